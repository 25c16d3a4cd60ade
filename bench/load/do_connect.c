/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario connect: connections without a log-in, for the cost of a connection and of a TLS
 * handshake. An operation is TCP, TLS, the greeting, and the command that ends a session; with
 * STARTTLS what must be said before it. Nothing else is asked, so that there is nothing else to
 * measure: what each protocol says is the table below.
 */
#include <stdlib.h>

#include "pace.h"
#include "peer.h"

enum { LINES_MAX = 200 };

/* What is written, and what the line begins with that answers it; others before it begin with
 * `more` ("* " of IMAP, "250-" of SMTP). */
struct exchange {
    struct slice say, want, more;
    enum load_phase phase;
};

static const struct talk {
    struct exchange greeting, hello, start, quit; /* hello: only before `start`; may be empty */
} talks[LOAD_PROTOCOL_COUNT] = {
    [LOAD_SMTP] = {{SLICE(""), SLICE("220 "), SLICE("220-"), PHASE_GREETING},
                   {SLICE("EHLO bench.example\r\n"), SLICE("250 "), SLICE("250-"), PHASE_HELLO},
                   {SLICE("STARTTLS\r\n"), SLICE("220 "), SLICE("220-"), PHASE_STARTTLS},
                   {SLICE("QUIT\r\n"), SLICE("221 "), SLICE("221-"), PHASE_LOGOUT}},
    [LOAD_LMTP] = {{SLICE(""), SLICE("220 "), SLICE("220-"), PHASE_GREETING},
                   {SLICE("LHLO bench.example\r\n"), SLICE("250 "), SLICE("250-"), PHASE_HELLO},
                   {SLICE("STARTTLS\r\n"), SLICE("220 "), SLICE("220-"), PHASE_STARTTLS},
                   {SLICE("QUIT\r\n"), SLICE("221 "), SLICE("221-"), PHASE_LOGOUT}},
    [LOAD_IMAP] = {{SLICE(""), SLICE("* OK"), {0}, PHASE_GREETING},
                   {{0}},
                   {SLICE("a1 STARTTLS\r\n"), SLICE("a1 OK"), SLICE("* "), PHASE_STARTTLS},
                   {SLICE("a2 LOGOUT\r\n"), SLICE("a2 OK"), SLICE("* "), PHASE_LOGOUT}},
    [LOAD_POP3] = {{SLICE(""), SLICE("+OK"), {0}, PHASE_GREETING},
                   {{0}},
                   {SLICE("STLS\r\n"), SLICE("+OK"), {0}, PHASE_STARTTLS},
                   {SLICE("QUIT\r\n"), SLICE("+OK"), {0}, PHASE_LOGOUT}},
};

/* What else a server says: a refusal that the protocol has a word for, or nonsense. */
static enum load_error refusal(struct slice line)
{
    if (slice_starts_nocase(line, SLICE("* BYE")))
        return LOAD_CLOSED;
    if (slice_starts_nocase(line, SLICE("-ERR")) || slice_starts_nocase(line, SLICE("5")) ||
        (line.size > 6 && slice_starts_nocase(slice_from(line, 2), SLICE(" BAD"))))
        return LOAD_PERMANENT;
    if (slice_starts_nocase(line, SLICE("4")) ||
        (line.size > 5 && slice_starts_nocase(slice_from(line, 2), SLICE(" NO"))))
        return LOAD_TEMPORARY;
    return LOAD_NONSENSE;
}

static int exchange(struct peer *peer, const struct exchange *exchange)
{
    struct slice line;
    if (exchange->say.size > 0) {
        peer_begin(peer);
        peer_write(peer, exchange->say);
    }
    for (unsigned lines = 0;; lines++) {
        int error = peer_line(peer, &line);
        if (error != 0)
            return error;
        if (slice_starts_nocase(line, exchange->want))
            break;
        bool goes_on = exchange->more.size > 0 && slice_starts_nocase(line, exchange->more);
        if (!goes_on || lines == LINES_MAX)
            return peer_fail(peer, goes_on ? LOAD_TOO_LONG : refusal(line), line);
    }
    measure_phase(peer->at, exchange->phase, peer->began_ns);
    return 0;
}

static int connect_once(struct peer *peer, struct load_worker *worker, unsigned number)
{
    enum load_protocol protocol = worker->options->target;
    const struct talk *talk = &talks[protocol];
    int error = peer_open(peer, worker, protocol, number);
    if (error == 0)
        error = exchange(peer, &talk->greeting);
    if (error == 0 && peer->endpoint->tls == LOAD_TLS_START) {
        if (talk->hello.say.size > 0)
            error = exchange(peer, &talk->hello);
        if (error == 0)
            error = exchange(peer, &talk->start);
        if (error == 0)
            error = peer_secure(peer, worker);
    }
    if (error == 0)
        error = exchange(peer, &talk->quit);
    peer_close(peer);
    return error;
}

static void work(struct load_worker *worker)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct operation operation;
    if (peer == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE(""));
        return;
    }
    while (pace_take(worker, &operation) == 0)
        pace_done(worker, &operation, connect_once(peer, worker, worker->index));
    peer_forget(peer);
    free(peer);
}

static const char help[] =
    "Connections that shake hands (--tls), wait for the greeting and quit, without a log-in; an\n"
    "operation is all of that. --tls-resume resumes the TLS session of the connection before.\n";

const struct load_scenario scenario_connect = {
    .name = "connect",
    .summary = "connections and TLS handshakes, without a log-in",
    .operation = "connection",
    .protocols = 1 << LOAD_SMTP | 1 << LOAD_LMTP | 1 << LOAD_IMAP | 1 << LOAD_POP3,
    .help = help,
    .work = work,
};
