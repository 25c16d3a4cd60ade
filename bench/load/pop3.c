/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of POP3, and what the server says to them: "+OK" or "-ERR" on one line, and
 * behind some a list or a message that a line of one dot ends. Messages are passed on as they
 * come, without their dots, and never held.
 *
 * Where the server takes several commands at once (PIPELINING), RETR and DELE are sent up to
 * POP3_AHEAD_MAX ahead; the time of each counts from when it was sent.
 */
#include "pop3.h"

#include <stdlib.h>

#include "ringpost/base64.h"
#include "ringpost/dot.h"

enum {
    LOGIN_BYTES_MAX = 500, /* of user and password, each */
    DECODED_BYTES = 4096,  /* decoded at once, on the fiber's stack */
    RENEW_BYTES = 1 << 20, /* of a message, after which its deadline moves on */
    CAPA_LINES_MAX = 1000,
    UNIQUE_ID_BYTES_MAX = 70 /* RFC 1939 section 7 */
};
static const uint64_t MESSAGE_BYTES_MAX = LOAD_MESSAGE_BYTES_MAX + (1 << 20);

/* ---------------------------------------------------------------- answers */

/* The status line: 0 with what stands behind "+OK"; or an error, counted. */
static int answer(struct pop3 *pop3, bool logs_in, struct slice *ret_text)
{
    struct slice line;
    int error = peer_line(&pop3->peer, &line);
    if (error != 0)
        return error;
    bool is_ok = slice_starts_nocase(line, SLICE("+OK"));
    size_t mark = is_ok ? 3 : 4;
    if ((!is_ok && !slice_starts_nocase(line, SLICE("-ERR"))) ||
        (line.size > mark && line.data[mark] != ' '))
        return peer_fail(&pop3->peer, LOAD_NONSENSE, line);
    struct slice text = slice_from(line, mark + 1);
    if (is_ok) {
        if (ret_text != NULL)
            *ret_text = text;
        return 0;
    }
    bool is_temporary = slice_starts_nocase(text, SLICE("[SYS/TEMP]")) ||
                        slice_starts_nocase(text, SLICE("[IN-USE]")) ||
                        slice_starts_nocase(text, SLICE("[LOGIN-DELAY]"));
    enum load_error kind = is_temporary ? LOAD_TEMPORARY : LOAD_PERMANENT;
    if (logs_in)
        return peer_fail(&pop3->peer, is_temporary ? kind : LOAD_LOGIN_REFUSED, line);
    return measure_error(pop3->peer.at, kind, line);
}

static bool is_end(struct slice line)
{
    return line.size == 1 && line.data[0] == '.';
}

/* "n", then what stands behind the blank. */
static bool take_number(struct slice *rest, uint64_t max, uint64_t *ret_number)
{
    size_t size = slice_find(*rest, ' ');
    if (!slice_number(slice_first(*rest, size), max, ret_number))
        return false;
    *rest = slice_from(*rest, size + 1);
    return true;
}

static int command(struct pop3 *pop3, enum load_phase phase, const char *text)
{
    peer_begin(&pop3->peer);
    peer_printf(&pop3->peer, "%s\r\n", text);
    int error = answer(pop3, false, NULL);
    if (error == 0)
        measure_phase(pop3->peer.at, phase, pop3->peer.began_ns);
    return error;
}

/* ---------------------------------------------------------------- the way in */

static uint32_t capability(struct slice line)
{
    static const struct {
        struct slice name;
        uint32_t bit;
    } names[] = {{SLICE("STLS"), POP3_STLS},
                 {SLICE("USER"), POP3_USER},
                 {SLICE("PIPELINING"), POP3_PIPELINING},
                 {SLICE("UIDL"), POP3_UIDL}};
    struct slice word = slice_first(line, slice_find(line, ' '));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal_nocase(word, names[i].name))
            return names[i].bit;
    if (!slice_equal_nocase(word, SLICE("SASL")))
        return 0;
    for (struct slice rest = line; rest.size > 0;) {
        rest = slice_from(rest, slice_find(rest, ' ') + 1);
        if (slice_equal_nocase(slice_first(rest, slice_find(rest, ' ')), SLICE("PLAIN")))
            return POP3_AUTH_PLAIN;
    }
    return 0;
}

/* CAPA; a server without it has USER and UIDL, as far as we know. */
static int ask_capabilities(struct pop3 *pop3)
{
    struct peer *peer = &pop3->peer;
    struct slice line;
    peer_begin(peer);
    peer_write(peer, SLICE("CAPA\r\n"));
    int error = peer_line(peer, &line);
    if (error != 0)
        return error;
    if (slice_starts_nocase(line, SLICE("-ERR"))) {
        peer->capabilities = POP3_USER | POP3_UIDL;
        return 0;
    }
    if (!slice_starts_nocase(line, SLICE("+OK")))
        return peer_fail(peer, LOAD_NONSENSE, line);
    peer->capabilities = POP3_KNOWN;
    for (unsigned lines = 0;; lines++) {
        error = peer_line(peer, &line);
        if (error != 0)
            return error;
        if (is_end(line))
            break;
        if (lines == CAPA_LINES_MAX)
            return peer_fail(peer, LOAD_TOO_LONG, line);
        peer->capabilities |= capability(line);
    }
    if (!pop3->worker->options->is_pipelined)
        peer->capabilities &= ~(uint32_t)POP3_PIPELINING;
    measure_phase(peer->at, PHASE_HELLO, peer->began_ns);
    return 0;
}

static int start_tls(struct pop3 *pop3)
{
    if (!(pop3->peer.capabilities & POP3_STLS))
        return peer_fail(&pop3->peer, LOAD_TLS_FAILED, SLICE("the server offers no STLS"));
    int error = command(pop3, PHASE_STARTTLS, "STLS");
    if (error == 0)
        error = peer_secure(&pop3->peer, pop3->worker);
    if (error == 0)
        error = ask_capabilities(pop3);
    return error;
}

int pop3_open(struct pop3 *pop3, struct load_worker *worker, unsigned number)
{
    pop3->worker = worker;
    pop3->messages = 0;
    pop3->bytes = 0;
    int error = peer_open(&pop3->peer, worker, LOAD_POP3, number);
    if (error == 0)
        error = answer(pop3, false, NULL);
    if (error == 0) {
        measure_phase(pop3->peer.at, PHASE_GREETING, pop3->peer.began_ns);
        error = ask_capabilities(pop3);
    }
    if (error == 0 && pop3->peer.endpoint->tls == LOAD_TLS_START)
        error = start_tls(pop3);
    if (error != 0)
        peer_close(&pop3->peer);
    return error;
}

/* Where both are there USER and PASS are taken: what most clients do, and what is cheaper to
 * write. */
static int auth_plain(struct pop3 *pop3, struct slice user, struct slice password)
{
    char plain[2 * LOGIN_BYTES_MAX + 2], text[(sizeof plain + 2) / 3 * 4];
    size_t size = 0;
    plain[size++] = 0;
    memcpy(plain + size, user.data, user.size);
    size += user.size;
    plain[size++] = 0;
    memcpy(plain + size, password.data, password.size);
    size += password.size;
    peer_write(&pop3->peer, SLICE("AUTH PLAIN "));
    peer_write(&pop3->peer, slice_of(text, base64_encode(slice_of(plain, size), text)));
    peer_write(&pop3->peer, SLICE("\r\n"));
    return answer(pop3, true, NULL);
}

static int user_and_pass(struct pop3 *pop3, struct slice user, struct slice password)
{
    bool at_once = pop3->peer.capabilities & POP3_PIPELINING;
    peer_write(&pop3->peer, SLICE("USER "));
    peer_write(&pop3->peer, user);
    peer_write(&pop3->peer, SLICE("\r\n"));
    int error = at_once ? 0 : answer(pop3, true, NULL);
    if (error != 0)
        return error;
    peer_write(&pop3->peer, SLICE("PASS "));
    peer_write(&pop3->peer, password);
    peer_write(&pop3->peer, SLICE("\r\n"));
    if (at_once)
        error = answer(pop3, true, NULL);
    return error != 0 ? error : answer(pop3, true, NULL);
}

int pop3_login(struct pop3 *pop3, unsigned user)
{
    char text[LOAD_USER_BYTES_MAX];
    const struct load_options *options = pop3->worker->options;
    struct slice name = load_user(options, user, text), password = slice_cstr(options->password);
    uint32_t can = pop3->peer.capabilities;
    if (name.size > LOGIN_BYTES_MAX || password.size > LOGIN_BYTES_MAX)
        return peer_fail(&pop3->peer, LOAD_LOGIN_REFUSED, SLICE("user or password too long"));
    if (!(can & (POP3_USER | POP3_AUTH_PLAIN)))
        return peer_fail(&pop3->peer, LOAD_LOGIN_REFUSED,
                         SLICE("the server offers neither USER nor SASL PLAIN"));
    peer_begin(&pop3->peer);
    int error =
        (can & POP3_USER) ? user_and_pass(pop3, name, password) : auth_plain(pop3, name, password);
    if (error == 0)
        measure_phase(pop3->peer.at, PHASE_LOGIN, pop3->peer.began_ns);
    return error;
}

/* ---------------------------------------------------------------- the maildrop */

int pop3_read_stat(struct pop3 *pop3)
{
    struct slice text;
    uint64_t messages, bytes;
    peer_begin(&pop3->peer);
    peer_write(&pop3->peer, SLICE("STAT\r\n"));
    int error = answer(pop3, false, &text);
    if (error != 0)
        return error;
    struct slice rest = text;
    if (!take_number(&rest, POP3_MESSAGES_MAX, &messages) ||
        !slice_number(slice_first(rest, slice_find(rest, ' ')), UINT64_MAX, &bytes))
        return peer_fail(&pop3->peer, LOAD_NONSENSE, text);
    pop3->messages = (uint32_t)messages;
    pop3->bytes = bytes;
    measure_phase(pop3->peer.at, PHASE_LIST, pop3->peer.began_ns);
    return 0;
}

/* As many lines "n what" as there are messages, in their order; `what` is a size or a unique-id. */
static int read_list(struct pop3 *pop3, bool has_sizes)
{
    int error = answer(pop3, false, NULL);
    for (uint32_t lines = 0; error == 0; lines++) {
        struct slice line;
        uint64_t number;
        error = peer_line(&pop3->peer, &line);
        if (error != 0 || (is_end(line) && lines == pop3->messages))
            break;
        struct slice rest = line;
        bool is_fine = lines < pop3->messages && take_number(&rest, UINT32_MAX, &number) &&
                       number == lines + 1;
        if (is_fine && has_sizes)
            is_fine = slice_number(slice_first(rest, slice_find(rest, ' ')), UINT64_MAX, &number);
        else if (is_fine)
            is_fine = rest.size > 0 && rest.size <= UNIQUE_ID_BYTES_MAX;
        if (!is_fine)
            error = peer_fail(&pop3->peer, LOAD_NONSENSE, line);
    }
    if (error == 0)
        measure_phase(pop3->peer.at, PHASE_LIST, pop3->peer.began_ns);
    return error;
}

int pop3_read_list(struct pop3 *pop3)
{
    bool has_ids = pop3->peer.capabilities & POP3_UIDL;
    bool at_once = has_ids && (pop3->peer.capabilities & POP3_PIPELINING);
    peer_begin(&pop3->peer);
    peer_write(&pop3->peer, at_once ? SLICE("LIST\r\nUIDL\r\n") : SLICE("LIST\r\n"));
    int error = read_list(pop3, true);
    if (error != 0 || !has_ids) {
        if (at_once && peer_is_open(&pop3->peer))
            peer_close(&pop3->peer); /* another answer is on its way */
        return error;
    }
    peer_begin(&pop3->peer);
    if (!at_once)
        peer_write(&pop3->peer, SLICE("UIDL\r\n"));
    return read_list(pop3, false);
}

/* Decodes what lies there; whether the end of the message was in it. */
static void decode(struct dot_decoder *decoder, struct slice piece,
                   const struct mailbox_reader *reader, size_t *ret_consumed)
{
    char out[DECODED_BYTES];
    size_t size, at = 0;
    while (at < piece.size && !dot_is_done(decoder)) {
        struct slice part = slice_from(piece, at);
        if (reader == NULL) {
            at += dot_decode(decoder, part, NULL, &size);
            continue;
        }
        at += dot_decode(decoder, slice_first(part, sizeof out), out, &size);
        if (size > 0)
            reader->piece(reader->argument, slice_of(out, size));
    }
    *ret_consumed = at;
}

/* A message behind its "+OK", up to the line of one dot. */
static int read_message(struct pop3 *pop3, const struct mailbox_reader *reader)
{
    struct peer *peer = &pop3->peer;
    struct dot_decoder decoder = {0};
    uint64_t bytes = 0, renewed = 0;
    while (!dot_is_done(&decoder)) {
        struct slice piece;
        size_t consumed;
        int result = stream_peek(&peer->stream, &piece);
        if (result < 0)
            return peer_fail(peer, peer_error(result), SLICE(""));
        decode(&decoder, piece, reader, &consumed);
        stream_consume(&peer->stream, consumed);
        bytes += consumed;
        if (bytes > MESSAGE_BYTES_MAX)
            return peer_fail(peer, LOAD_TOO_LONG, SLICE("a message without end"));
        if (bytes - renewed >= RENEW_BYTES) {
            uint64_t began_ns = peer->began_ns;
            peer_begin(peer);
            peer->began_ns = began_ns;
            renewed = bytes;
        }
    }
    if (decoder.is_bare)
        return peer_fail(peer, LOAD_NONSENSE, SLICE("a message with a bare CR or LF"));
    if (reader != NULL && reader->end != NULL)
        reader->end(reader->argument);
    return 0;
}

/* One command for each of first ... last, several ahead of their answers; the time of each counts
 * from when it was sent. An answer that is an error ends it, and the connection too when others are
 * still to come. */
static int for_each(struct pop3 *pop3, enum load_phase phase, uint32_t first, uint32_t last,
                    const struct mailbox_reader *reader)
{
    struct peer *peer = &pop3->peer;
    uint32_t ahead = (peer->capabilities & POP3_PIPELINING) ? POP3_AHEAD_MAX : 1;
    uint32_t sent = first;
    uint64_t sent_ns[POP3_AHEAD_MAX];
    for (uint32_t at = first; at <= last; at++) {
        /* by halves, so that many commands leave in one send */
        if (sent - at <= ahead / 2) {
            peer_begin(peer);
            for (; sent <= last && sent - at < ahead; sent++) {
                sent_ns[sent % POP3_AHEAD_MAX] = peer->began_ns;
                peer_printf(peer, "%s %u\r\n", phase == PHASE_RETR ? "RETR" : "DELE", sent);
            }
        }
        int error = answer(pop3, false, NULL);
        if (error == 0 && phase == PHASE_RETR)
            error = read_message(pop3, reader);
        if (error != 0) {
            if (sent > at + 1)
                peer_close(peer);
            return error;
        }
        measure_phase(peer->at, phase, sent_ns[at % POP3_AHEAD_MAX]);
    }
    return 0;
}

int pop3_retrieve(struct pop3 *pop3, uint32_t first, uint32_t last,
                  const struct mailbox_reader *reader)
{
    return for_each(pop3, PHASE_RETR, first, last, reader);
}

int pop3_delete(struct pop3 *pop3, uint32_t first, uint32_t last)
{
    return for_each(pop3, PHASE_DELE, first, last, NULL);
}

int pop3_leave(struct pop3 *pop3)
{
    if (!peer_is_open(&pop3->peer))
        return 0;
    int error = command(pop3, PHASE_LOGOUT, "QUIT");
    peer_close(&pop3->peer);
    return error;
}

void pop3_forget(struct pop3 *pop3)
{
    peer_forget(&pop3->peer);
}

int pop3_read_mailbox(struct load_worker *worker, unsigned user,
                      const struct mailbox_reader *reader)
{
    struct pop3 *pop3 = calloc(1, sizeof *pop3);
    if (pop3 == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    int error = pop3_open(pop3, worker, worker->index);
    if (error == 0)
        error = pop3_login(pop3, user);
    if (error == 0)
        error = pop3_read_stat(pop3);
    if (error == 0 && pop3->messages > 0)
        error = pop3_retrieve(pop3, 1, pop3->messages, reader);
    if (peer_is_open(&pop3->peer)) {
        int quit_error = pop3_leave(pop3);
        error = error != 0 ? error : quit_error;
    }
    pop3_forget(pop3);
    free(pop3);
    return error;
}
