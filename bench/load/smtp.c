/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The conversation (smtp.h). Answers are read strictly: three digits and a blank, hyphen or
 * nothing, the same code in all lines of a reply (RFC 5321 section 4.2); anything else is
 * LOAD_NONSENSE, and so is a reply of success to the wrong thing.
 *
 * Invariants:
 *   C1 Each command that was sent has its reply read, in order, or the connection is closed.
 *   C2 In the books "accepted" is written when the reply to the message (LMTP: the recipient's) has
 *      said so, and "maybe" when the message has left and that reply did not come.
 */
#include <stdio.h>

#include "ringpost/base64.h"
#include "smtp_private.h"

/* ---------------------------------------------------------------- replies */

static bool read_code(struct slice line, unsigned *ret_code, bool *ret_is_last)
{
    uint64_t code;
    if (line.size < 3 || line.data[0] < '2' || line.data[0] > '5' ||
        !slice_number(slice_first(line, 3), 599, &code))
        return false;
    if (line.size > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return false;
    *ret_code = (unsigned)code;
    *ret_is_last = line.size == 3 || line.data[3] == ' ';
    return true;
}

int smtp_read_reply(struct smtp *smtp, struct smtp_reply *ret_reply,
                    void (*each)(struct smtp *smtp, struct slice text))
{
    bool is_last = false;
    ret_reply->code = 0;
    for (unsigned lines = 0; !is_last; lines++) {
        unsigned code;
        int error = peer_line(&smtp->peer, &ret_reply->text);
        if (error != 0)
            return error;
        if (!read_code(ret_reply->text, &code, &is_last) || lines == SMTP_REPLY_LINES_MAX ||
            (lines > 0 && code != ret_reply->code))
            return peer_fail(&smtp->peer, LOAD_NONSENSE, ret_reply->text);
        ret_reply->code = code;
        if (each != NULL)
            each(smtp, slice_from(ret_reply->text, 4));
    }
    return 0;
}

/* A reply that is not what was hoped for: counted. 421 closes. */
static int refused(struct smtp *smtp, const struct smtp_reply *reply)
{
    if (reply->code < 400)
        return peer_fail(&smtp->peer, LOAD_NONSENSE, reply->text);
    enum load_error error = reply->code < 500 ? LOAD_TEMPORARY : LOAD_PERMANENT;
    if (reply->code == 421)
        return peer_fail(&smtp->peer, error, reply->text);
    return measure_error(smtp->peer.at, error, reply->text);
}

int smtp_expect(struct smtp *smtp, unsigned wanted)
{
    struct smtp_reply reply;
    int error = smtp_read_reply(smtp, &reply, NULL);
    if (error != 0)
        return error;
    bool is_right = wanted == 200 ? reply.code / 100 == 2 : reply.code == wanted;
    return is_right ? 0 : refused(smtp, &reply);
}

bool smtp_goes_on(int error)
{
    return error == 0 || error == LOAD_TEMPORARY || error == LOAD_PERMANENT;
}

int smtp_essential(struct smtp *smtp, int error)
{
    if (error != 0)
        peer_close(&smtp->peer);
    return error;
}

/* ---------------------------------------------------------------- opening */

static void learn(struct smtp *smtp, struct slice text)
{
    static const struct {
        struct slice keyword;
        uint32_t bit;
    } known[] = {{SLICE("PIPELINING"), SMTP_PIPELINING},
                 {SLICE("8BITMIME"), SMTP_8BITMIME},
                 {SLICE("SIZE"), SMTP_SIZE},
                 {SLICE("CHUNKING"), SMTP_CHUNKING},
                 {SLICE("STARTTLS"), SMTP_STARTTLS}};
    struct slice keyword = slice_first(text, slice_find(text, ' '));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_equal_nocase(keyword, known[i].keyword))
            smtp->peer.capabilities |= known[i].bit;
    if (!slice_equal_nocase(keyword, SLICE("AUTH")))
        return;
    while (text.size > 0) {
        struct slice word = slice_first(text, slice_find(text, ' '));
        if (slice_equal_nocase(word, SLICE("PLAIN")))
            smtp->peer.capabilities |= SMTP_AUTH_PLAIN;
        text = slice_from(text, word.size + 1);
    }
}

static int hello(struct smtp *smtp)
{
    struct smtp_reply reply;
    smtp->peer.capabilities = 0;
    peer_begin(&smtp->peer);
    peer_write(&smtp->peer, smtp->protocol == LOAD_LMTP ? SLICE("LHLO bench.example.org\r\n")
                                                        : SLICE("EHLO bench.example.org\r\n"));
    int error = smtp_read_reply(smtp, &reply, learn);
    if (error != 0)
        return error;
    if (reply.code != 250)
        return smtp_essential(smtp, refused(smtp, &reply));
    measure_phase(smtp->peer.at, PHASE_HELLO, smtp->peer.began_ns);
    if (smtp->worker->options->is_chunked && !(smtp->peer.capabilities & SMTP_CHUNKING))
        return peer_fail(&smtp->peer, LOAD_PERMANENT, SLICE("the server does not offer CHUNKING"));
    return 0;
}

static int start_tls(struct smtp *smtp)
{
    if (!(smtp->peer.capabilities & SMTP_STARTTLS))
        return peer_fail(&smtp->peer, LOAD_TLS_FAILED, SLICE("the server does not offer STARTTLS"));
    peer_begin(&smtp->peer);
    peer_write(&smtp->peer, SLICE("STARTTLS\r\n"));
    int error = smtp_essential(smtp, smtp_expect(smtp, 220));
    if (error != 0)
        return error;
    measure_phase(smtp->peer.at, PHASE_STARTTLS, smtp->peer.began_ns);
    error = peer_secure(&smtp->peer, smtp->worker);
    return error != 0 ? error : hello(smtp);
}

static int log_in(struct smtp *smtp, struct slice user)
{
    char plain[2 + LOAD_USER_BYTES_MAX + 256], text[sizeof plain * 4 / 3 + 4];
    struct slice password = slice_cstr(smtp->worker->options->password);
    if (!(smtp->peer.capabilities & SMTP_AUTH_PLAIN))
        return peer_fail(&smtp->peer, LOAD_LOGIN_REFUSED,
                         SLICE("the server does not offer AUTH PLAIN"));
    password = slice_first(password, 256);
    plain[0] = plain[1 + user.size] = '\0';
    memcpy(plain + 1, user.data, user.size);
    memcpy(plain + 2 + user.size, password.data, password.size);
    size_t size = base64_encode(slice_of(plain, 2 + user.size + password.size), text);
    peer_begin(&smtp->peer);
    peer_printf(&smtp->peer, "AUTH PLAIN %.*s\r\n", (int)size, text);
    struct smtp_reply reply;
    int error = smtp_read_reply(smtp, &reply, NULL);
    if (error != 0)
        return error;
    if (reply.code != 235)
        return peer_fail(&smtp->peer, reply.code < 400 ? LOAD_NONSENSE : LOAD_LOGIN_REFUSED,
                         reply.text);
    measure_phase(smtp->peer.at, PHASE_LOGIN, smtp->peer.began_ns);
    return 0;
}

int smtp_open(struct smtp *smtp, struct load_worker *worker, enum load_protocol protocol,
              unsigned number, unsigned user)
{
    const struct load_options *options = worker->options;
    smtp->worker = worker;
    smtp->protocol = protocol;
    smtp->delivered = 0;
    smtp->wants_reset = smtp->has_quit = false;
    snprintf(smtp->sender, sizeof smtp->sender, "bench@example.org");
    int error = peer_open(&smtp->peer, worker, protocol, number);
    if (error == 0)
        error = smtp_essential(smtp, smtp_expect(smtp, 220));
    if (error != 0)
        return error;
    measure_phase(worker->at, PHASE_GREETING, smtp->peer.began_ns);
    error = hello(smtp);
    if (error == 0 && smtp->peer.endpoint->tls == LOAD_TLS_START)
        error = start_tls(smtp);
    if (error == 0 && options->wants_login && protocol == LOAD_SMTP)
        error = smtp_login(smtp, user);
    return error;
}

int smtp_login(struct smtp *smtp, unsigned user)
{
    char name[LOAD_USER_BYTES_MAX];
    struct slice login = load_user(smtp->worker->options, user, name);
    snprintf(smtp->sender, sizeof smtp->sender, "%.*s", (int)login.size, login.data);
    return log_in(smtp, login);
}

void smtp_quit(struct smtp *smtp)
{
    if (!peer_is_open(&smtp->peer))
        return;
    struct smtp_reply reply;
    peer_begin(&smtp->peer); /* if it was sent with the message: since that was accepted */
    if (!smtp->has_quit)
        peer_write(&smtp->peer, SLICE("QUIT\r\n"));
    int error = smtp_read_reply(smtp, &reply, NULL);
    if (error == 0 && reply.code != 221)
        error = refused(smtp, &reply);
    if (error == 0)
        measure_phase(smtp->peer.at, PHASE_LOGOUT, smtp->peer.began_ns);
    peer_close(&smtp->peer);
}

void smtp_forget(struct smtp *smtp)
{
    peer_forget(&smtp->peer);
}
