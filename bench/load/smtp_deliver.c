/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One message: the envelope, the message, the answers. Two orders of the same steps: all that the
 * protocol lets go together in one group (RFC 2920 section 3.1: DATA ends a group, and what comes
 * behind the message's dot may begin the next), or each command by itself.
 *
 * What a refusal does: a refused recipient is an error of this message, which goes on to the
 * others; a refused MAIL or DATA, or the last recipient's, ends it. The replies of all that was
 * sent ahead are read in any case (C1 of smtp.c), and count as errors only when nothing before
 * them was refused: the server then says "503" for each.
 */
#include <assert.h>

#include "ringpost/dot.h"
#include "ringpost/hash.h"
#include "ringpost/number.h"
#include "smtp_private.h"
#include "verify.h"

enum { COPY_BYTES_MAX = 16384 }; /* of a piece; a larger one is sent from where it lies */

struct transaction {
    struct smtp *smtp;
    struct peer *peer;
    const struct smtp_delivery *delivery;
    bool is_pipelined, is_chunked;
    bool has_sender; /* MAIL was accepted */
    bool was_sent;   /* the message has left as a whole */
    unsigned left;   /* recipients that are not refused */
    unsigned chunks; /* sent whose replies are still to be read, the last one apart */
    int error;       /* the first that was counted */
    uint64_t is_refused[(SMTP_RECIPIENTS_MAX + 63) / 64];
};

/* Remembers the first error; true when the connection is gone. */
static bool is_lost(struct transaction *t, int error)
{
    if (t->error == 0)
        t->error = error;
    return !smtp_goes_on(error) || !peer_is_open(t->peer);
}

static void refuse(struct transaction *t, unsigned recipient)
{
    t->is_refused[recipient / 64] |= UINT64_C(1) << recipient % 64;
    t->left--;
}

static bool is_refused(const struct transaction *t, unsigned recipient)
{
    return t->is_refused[recipient / 64] >> recipient % 64 & 1;
}

/* A reply that may be a refusal which follows from one that was counted already. */
static int reply_after(struct transaction *t, unsigned wanted)
{
    struct smtp_reply reply;
    if (t->error == 0)
        return smtp_expect(t->smtp, wanted);
    int error = smtp_read_reply(t->smtp, &reply, NULL);
    if (error != 0 || (wanted == 200 ? reply.code / 100 == 2 : reply.code == wanted))
        return error;
    if (reply.code == 421)
        peer_close(t->peer);
    return reply.code < 500 ? LOAD_TEMPORARY : LOAD_PERMANENT;
}

/* ---------------------------------------------------------------- the envelope */

static void write_mail(struct transaction *t)
{
    const struct content_message *message = t->delivery->message;
    char text[LOAD_USER_BYTES_MAX + 100];
    struct slice sender = slice_cstr(t->smtp->sender);
    size_t size = 0;
    memcpy(text, "MAIL FROM:<", 11);
    memcpy(text + 11, sender.data, sender.size);
    size = 11 + sender.size;
    text[size++] = '>';
    if (t->peer->capabilities & SMTP_SIZE) {
        memcpy(text + size, " SIZE=", 6);
        size += 6;
        size += number_decimal(text + size, message->head.size + message->body.size);
    }
    if (message->is_8bit && (t->peer->capabilities & SMTP_8BITMIME)) {
        memcpy(text + size, " BODY=8BITMIME", 14);
        size += 14;
    }
    memcpy(text + size, "\r\n", 2);
    peer_write(t->peer, slice_of(text, size + 2));
}

static void write_recipient(struct transaction *t, unsigned recipient)
{
    char text[LOAD_USER_BYTES_MAX + 16];
    memcpy(text, "RCPT TO:<", 9);
    struct slice user =
        load_user(t->smtp->worker->options, t->delivery->users[recipient], text + 9);
    memcpy(text + 9 + user.size, ">\r\n", 3);
    peer_write(t->peer, slice_of(text, 9 + user.size + 3));
}

static bool read_mail(struct transaction *t)
{
    int error = smtp_expect(t->smtp, 200);
    t->has_sender = error == 0;
    return !is_lost(t, error);
}

static bool read_recipient(struct transaction *t, unsigned recipient)
{
    int error = t->has_sender ? smtp_expect(t->smtp, 200) : reply_after(t, 200);
    if (error != 0 || !t->has_sender)
        refuse(t, recipient);
    return !is_lost(t, error);
}

/* ---------------------------------------------------------------- the message */

static int put(struct peer *peer, struct slice bytes)
{
    if (bytes.size > COPY_BYTES_MAX)
        return peer_send(peer, bytes);
    peer_write(peer, bytes);
    return 0;
}

static int put_dotted(struct peer *peer, struct slice bytes)
{
    struct dot_encoder encoder = {0};
    size_t run = dot_encode(&encoder, bytes);
    for (;;) {
        int error = put(peer, slice_first(bytes, run));
        bytes = slice_from(bytes, run);
        if (error != 0 || bytes.size == 0)
            return error;
        peer_write(peer, SLICE("."));
        run = dot_encode_on(&encoder, bytes);
    }
}

/* What follows the message in the same send. */
static void write_end(struct transaction *t, struct slice end)
{
    peer_write(t->peer, end);
    t->smtp->has_quit = t->delivery->is_last && t->is_pipelined;
    if (t->smtp->has_quit)
        peer_write(t->peer, SLICE("QUIT\r\n"));
    t->was_sent = true;
}

static int send_data(struct transaction *t)
{
    const struct content_message *message = t->delivery->message;
    int error =
        message->needs_dots ? put_dotted(t->peer, message->head) : put(t->peer, message->head);
    if (error == 0)
        error =
            message->needs_dots ? put_dotted(t->peer, message->body) : put(t->peer, message->body);
    if (error == 0)
        write_end(t, SLICE(".\r\n"));
    return error;
}

/* `size` bytes of the message from `offset` on. */
static int put_range(struct transaction *t, size_t offset, size_t size)
{
    const struct content_message *message = t->delivery->message;
    struct slice head = slice_first(slice_from(message->head, offset), size);
    size_t skipped = offset > message->head.size ? offset - message->head.size : 0;
    struct slice body = slice_first(slice_from(message->body, skipped), size - head.size);
    int error = put(t->peer, head);
    return error != 0 ? error : put(t->peer, body);
}

static int send_chunks(struct transaction *t)
{
    const struct content_message *message = t->delivery->message;
    size_t total = message->head.size + message->body.size;
    for (size_t offset = 0; offset < total;) {
        size_t size = total - offset;
        bool is_last = size <= SMTP_CHUNK_BYTES_MAX;
        if (!is_last)
            size = SMTP_CHUNK_BYTES_MAX;
        peer_printf(t->peer, is_last ? "BDAT %zu LAST\r\n" : "BDAT %zu\r\n", size);
        int error = put_range(t, offset, size);
        if (error != 0)
            return error;
        offset += size;
        if (is_last) {
            write_end(t, SLICE(""));
        } else if (t->is_pipelined) {
            t->chunks++;
        } else {
            error = smtp_essential(t->smtp, smtp_expect(t->smtp, 200));
            if (error != 0)
                return error;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------- what the server says of it */

/* Of recipients first ... last-1: the one reply that was for all of them, or for each its own. */
static void note(struct transaction *t, unsigned first, unsigned last, int error)
{
    struct load_core *at = t->peer->at;
    for (unsigned i = first; i < last; i++) {
        if (is_refused(t, i))
            continue;
        if (error == 0)
            verify_accepted(at, t->delivery->number, t->delivery->users[i]);
        else if (!smtp_goes_on(error))
            verify_maybe(at, t->delivery->number, t->delivery->users[i]);
    }
}

static void read_verdict(struct transaction *t)
{
    uint64_t began_ns = t->peer->began_ns;
    unsigned count = t->delivery->user_count;
    if (t->smtp->protocol != LOAD_LMTP) {
        int error = smtp_expect(t->smtp, 200);
        note(t, 0, count, error);
        is_lost(t, error);
    } else {
        for (unsigned i = 0; i < count; i++) {
            if (is_refused(t, i))
                continue;
            int error = smtp_expect(t->smtp, 200);
            note(t, i, smtp_goes_on(error) ? i + 1 : count, error);
            if (is_lost(t, error))
                return;
        }
    }
    if (t->error == 0)
        measure_phase(t->peer->at, PHASE_COMMIT, began_ns);
}

/* Nobody is left to deliver to, but a body was sent, or is awaited: the reply is no news. */
static void read_rest(struct transaction *t)
{
    if (!is_lost(t, reply_after(t, 200)))
        t->smtp->wants_reset = t->is_chunked;
}

/* ---------------------------------------------------------------- in groups */

static void end_chunked(struct transaction *t)
{
    for (; t->chunks > 0; t->chunks--)
        if (is_lost(t, smtp_essential(t->smtp, reply_after(t, 200)))) {
            note(t, 0, t->delivery->user_count, LOAD_CLOSED);
            return;
        }
    if (t->left > 0)
        read_verdict(t);
    else
        read_rest(t);
    t->smtp->wants_reset = t->error != 0;
}

static void end_data(struct transaction *t)
{
    int error = reply_after(t, 354);
    if (is_lost(t, error))
        return;
    if (error == 0 && t->error == 0)
        measure_phase(t->peer->at, PHASE_ENVELOPE, t->peer->began_ns);
    if (error == 0 && t->left > 0) {
        peer_begin(t->peer);
        error = send_data(t);
        if (is_lost(t, error))
            return;
        peer_begin(t->peer);
        read_verdict(t);
    } else if (error == 0) { /* RFC 2920 section 3.1: it wants a message all the same */
        peer_write(t->peer, SLICE(".\r\n"));
        read_rest(t);
    } else {
        t->smtp->wants_reset = t->has_sender;
    }
}

static void deliver_in_groups(struct transaction *t)
{
    bool was_reset = t->smtp->wants_reset;
    peer_begin(t->peer);
    uint64_t began_ns = t->peer->began_ns;
    if (was_reset)
        peer_write(t->peer, SLICE("RSET\r\n"));
    t->smtp->wants_reset = false;
    write_mail(t);
    for (unsigned i = 0; i < t->delivery->user_count; i++)
        write_recipient(t, i);
    if (!t->is_chunked)
        peer_write(t->peer, SLICE("DATA\r\n"));
    else if (is_lost(t, send_chunks(t)))
        return;
    else
        peer_begin(t->peer);
    bool goes_on = !was_reset || !is_lost(t, smtp_expect(t->smtp, 200));
    goes_on = goes_on && read_mail(t);
    for (unsigned i = 0; i < t->delivery->user_count && goes_on; i++)
        goes_on = read_recipient(t, i);
    if (!goes_on) {
        if (t->was_sent)
            note(t, 0, t->delivery->user_count, LOAD_CLOSED);
        return;
    }
    if (t->is_chunked) {
        if (t->error == 0)
            measure_phase(t->peer->at, PHASE_ENVELOPE, began_ns);
        end_chunked(t);
    } else {
        end_data(t);
    }
}

/* ---------------------------------------------------------------- one by one */

static void deliver_one_by_one(struct transaction *t)
{
    struct smtp *smtp = t->smtp;
    if (smtp->wants_reset) {
        smtp->wants_reset = false;
        peer_begin(t->peer);
        peer_write(t->peer, SLICE("RSET\r\n"));
        if (is_lost(t, smtp_essential(smtp, smtp_expect(smtp, 200))))
            return;
    }
    peer_begin(t->peer);
    write_mail(t);
    if (!read_mail(t) || !t->has_sender)
        return;
    measure_phase(t->peer->at, PHASE_MAIL, t->peer->began_ns);
    for (unsigned i = 0; i < t->delivery->user_count; i++) {
        peer_begin(t->peer);
        write_recipient(t, i);
        if (!read_recipient(t, i))
            return;
        if (!is_refused(t, i))
            measure_phase(t->peer->at, PHASE_RCPT, t->peer->began_ns);
    }
    if (t->left == 0) {
        smtp->wants_reset = true;
        return;
    }
    peer_begin(t->peer);
    if (!t->is_chunked) {
        peer_write(t->peer, SLICE("DATA\r\n"));
        int error = smtp_expect(smtp, 354);
        smtp->wants_reset = error != 0;
        if (is_lost(t, error) || error != 0)
            return;
        measure_phase(t->peer->at, PHASE_DATA, t->peer->began_ns);
    }
    if (is_lost(t, t->is_chunked ? send_chunks(t) : send_data(t)))
        return;
    peer_begin(t->peer);
    read_verdict(t);
    smtp->wants_reset = t->is_chunked && t->error != 0;
}

int smtp_deliver(struct smtp *smtp, const struct smtp_delivery *delivery)
{
    const struct load_options *options = smtp->worker->options;
    assert(delivery->user_count >= 1 && delivery->user_count <= SMTP_RECIPIENTS_MAX);
    struct transaction t = {.smtp = smtp,
                            .peer = &smtp->peer,
                            .delivery = delivery,
                            .is_pipelined = options->is_pipelined &&
                                            (smtp->peer.capabilities & SMTP_PIPELINING),
                            .is_chunked = options->is_chunked,
                            .left = delivery->user_count};
    if (t.is_pipelined)
        deliver_in_groups(&t);
    else
        deliver_one_by_one(&t);
    smtp->delivered++;
    return t.error;
}

unsigned smtp_recipient(const struct load_options *options, uint64_t number, unsigned i)
{
    uint64_t random = hash_u64(options->seed * 0x9e3779b97f4a7c15u + number + 1);
    unsigned first = (unsigned)(((random >> 32) * options->users) >> 32);
    return (unsigned)(((uint64_t)first + i) % options->users);
}
