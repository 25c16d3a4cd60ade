/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Receiving a message, by DATA or BDAT, into the store's memory. The trace fields go first, so the
 * message needs not be moved; each byte is copied once at most (decoder, or out of the receive
 * buffers), and not at all in long chunks.
 *
 * A message that cannot be kept (too big, no memory, a bare CR or LF) is received to its end all
 * the same, without being kept, and then refused: the next command is where the client thinks it
 * is. Up to a bound: after that the connection is closed.
 *
 * BDAT (RFC 3030):  READY, MAIL: bytes swallowed, 503     RCPT, CHUNKS: received ─▶ 250, CHUNKS
 *                   LAST: delivered ─▶ READY              refused: bytes swallowed, 5xx ─▶ READY
 *
 * Invariants: M2, M3 of smtp_private.h.
 */
#include "ringpost/dot.h"

#include <inttypes.h>
#include <stdio.h>

#include "smtp_private.h"

/* ---------------------------------------------------------------- the message being received */

/* S34: however slowly its bytes come, a message has a time to be there: data_ms_max, and what its
 * bytes so far take at the lowest rate allowed. */
static void set_deadline(struct smtp_session *smtp)
{
    const struct smtp_options *options = options_of(smtp);
    const struct transaction *transaction = smtp->transaction;
    uint64_t now = core_now_ns(session_core(&smtp->session));
    uint64_t elapsed_ms = (now - transaction->began_ns) / 1000000, ms = options->data_ms_max;
    if (options->data_bytes_per_second_min > 0)
        ms += transaction->passed * 1000 / options->data_bytes_per_second_min;
    session_deadline(&smtp->session, ms > elapsed_ms ? ms - elapsed_ms : 0);
}

/* `size` more bytes have come. */
static void count(struct smtp_session *smtp, uint64_t size)
{
    struct transaction *transaction = smtp->transaction;
    uint64_t before = transaction->passed;
    transaction->passed += size;
    if (before >> 16 != transaction->passed >> 16)
        set_deadline(smtp);
}

/* What comes of this message is not kept any more. */
static void drop(struct transaction *transaction, enum smtp_reply refusal)
{
    if (transaction->body != NULL)
        message_body_give(transaction->body);
    transaction->body = NULL;
    transaction->refusal = (uint8_t)refusal;
}

/* Where the next bytes of the message go; NULL: no memory, and none has come. */
static char *room_for(struct smtp_session *smtp, size_t want, size_t *ret_room)
{
    return message_body_await(session_core(&smtp->session), smtp->transaction->body, want,
                              ret_room);
}

bool smtp_append(struct message_body *body, struct slice bytes)
{
    while (bytes.size > 0) {
        size_t room;
        char *to = message_body_room(body, bytes.size, &room);
        if (to == NULL)
            return false;
        room = room < bytes.size ? room : bytes.size;
        memcpy(to, bytes.data, room);
        message_body_added(body, room);
        bytes = slice_from(bytes, room);
    }
    return true;
}

static void begin(struct smtp_session *smtp, uint64_t size)
{
    struct transaction *transaction = smtp->transaction;
    struct core *core = session_core(&smtp->session);
    char trace[TRACE_BYTES_MAX];
    if (size < transaction->declared)
        size = transaction->declared;
    if (size > options_of(smtp)->message_bytes_max)
        size = options_of(smtp)->message_bytes_max;
    transaction->began_ns = core_now_ns(core);
    set_deadline(smtp);
    transaction->trace_size = smtp_trace(smtp, trace);
    transaction->header_done = !smtp->is_submission;
    transaction->body = message_body_take_await(core, size ? size + transaction->trace_size : 0);
    if (transaction->body == NULL ||
        !smtp_append(transaction->body, slice_of(trace, transaction->trace_size)))
        drop(transaction, REPLY_NO_MEMORY);
}

/* How many more bytes are swallowed before the connection is closed instead. */
static uint64_t bytes_left(const struct smtp_session *smtp)
{
    uint64_t max = options_of(smtp)->message_bytes_max * 2 + OVERSHOOT_BYTES_MAX;
    uint64_t passed = smtp->transaction != NULL ? smtp->transaction->passed : 0;
    return passed < max ? max - passed : 0;
}

/* `size` bytes of the message have been written at the body's end. */
static void added(struct smtp_session *smtp, size_t size)
{
    struct transaction *transaction = smtp->transaction;
    message_body_added(transaction->body, size);
    transaction->taken += size;
    if (!transaction->header_done && !smtp_header_look(smtp, false))
        drop(transaction, REPLY_NO_MEMORY);
}

/* ---------------------------------------------------------------- DATA */

/* The decoder has written `size` bytes at the body's end. */
static void take(struct smtp_session *smtp, const struct dot_decoder *decoder, size_t size)
{
    struct transaction *transaction = smtp->transaction;
    if (decoder->is_bare) {
        drop(transaction, REPLY_BARE_IN_DATA);
    } else if (size > options_of(smtp)->message_bytes_max - transaction->taken) {
        drop(transaction, REPLY_TOO_BIG);
    } else if (size > 0) {
        added(smtp, size);
    }
}

/* Some bytes of `in`, through the decoder, into the body: how many. */
static size_t decode(struct smtp_session *smtp, struct dot_decoder *decoder, struct slice in)
{
    struct transaction *transaction = smtp->transaction;
    char *to = NULL;
    size_t room, size;
    if (transaction->refusal == REPLY_OK) {
        to = room_for(smtp, in.size, &room);
        if (to == NULL)
            drop(transaction, REPLY_NO_MEMORY);
        else
            in = slice_first(in, room);
    }
    size_t used = dot_decode(decoder, in, to, &size);
    if (to != NULL)
        take(smtp, decoder, size);
    return used;
}

/* Large messages: received where they will be written from, and decoded in place. What lies behind
 * the end of the data is the client's next command. How many bytes, or -errno. */
static int64_t receive_in_place(struct smtp_session *smtp, struct dot_decoder *decoder)
{
    struct stream *stream = &smtp->session.stream;
    size_t room, size;
    char *to = room_for(smtp, IN_PLACE_BYTES_MIN, &room);
    if (to == NULL) {
        drop(smtp->transaction, REPLY_NO_MEMORY);
        return 0;
    }
    int got = stream_read_some(stream, to, room);
    if (got < 0)
        return got;
    size_t used = dot_decode(decoder, slice_of(to, (size_t)got), to, &size);
    int result = stream_unread_bytes(stream, slice_of(to + used, (size_t)got - used));
    take(smtp, decoder, size);
    return result < 0 ? result : (int64_t)used;
}

static int64_t receive_some(struct smtp_session *smtp, struct dot_decoder *decoder)
{
    struct stream *stream = &smtp->session.stream;
    struct slice in;
    size_t used = 0;
    if (smtp->transaction->refusal == REPLY_OK && smtp->transaction->taken >= IN_PLACE_BYTES_MIN)
        return receive_in_place(smtp, decoder);
    int result = stream_peek(stream, &in);
    if (result < 0)
        return result;
    while (used < in.size && !dot_is_done(decoder))
        used += decode(smtp, decoder, slice_from(in, used));
    stream_consume(stream, used);
    return (int64_t)used;
}

/* Up to the end of the data. False: the session ends first. */
static bool receive_data(struct smtp_session *smtp)
{
    struct dot_decoder decoder = {0};
    while (!dot_is_done(&decoder)) {
        int64_t used = receive_some(smtp, &decoder);
        if (used < 0)
            return false;
        if ((uint64_t)used > bytes_left(smtp)) {
            smtp_say(smtp, REPLY_TOO_BIG);
            session_end(&smtp->session, SESSION_END_PROTOCOL);
            return false;
        }
        count(smtp, (uint64_t)used);
    }
    return true;
}

void smtp_data(struct session *session, const void *arguments)
{
    (void)arguments;
    struct smtp_session *smtp = smtp_of(session);
    struct transaction *transaction = smtp->transaction;
    if (transaction->body_type == BODY_BINARYMIME) { /* RFC 3030 3 */
        smtp_say(smtp, REPLY_BDAT_ONLY);
        session_count_error(session);
        return;
    }
    if (options_of(smtp)->forbid_early_talk && stream_unread(&session->stream) > 0) {
        smtp_say(smtp, REPLY_OUT_OF_STEP); /* S21; RFC 2920 3.1: DATA ends a group */
        session_end(session, SESSION_END_EARLY);
        return;
    }
    begin(smtp, 0);
    if (transaction->refusal != REPLY_OK) {
        smtp_say(smtp, transaction->refusal);
        smtp_reset(smtp);
        return;
    }
    smtp_say(smtp, REPLY_SEND_DATA);
    if (receive_data(smtp))
        smtp_finish(smtp);
}

/* ---------------------------------------------------------------- BDAT */

/* Passes over `size` bytes. False: the session ends first. */
static bool swallow(struct smtp_session *smtp, uint64_t size)
{
    struct stream *stream = &smtp->session.stream;
    while (size > 0) {
        struct slice in;
        if (stream_peek(stream, &in) < 0)
            return false;
        in = slice_first(in, size < in.size ? (size_t)size : in.size);
        stream_consume(stream, in.size);
        size -= in.size;
        if (smtp->transaction != NULL)
            count(smtp, in.size);
    }
    return true;
}

static bool receive_chunk(struct smtp_session *smtp, uint64_t size)
{
    struct transaction *transaction = smtp->transaction;
    while (size > 0 && transaction->refusal == REPLY_OK) {
        size_t room, wanted = size < SIZE_MAX ? (size_t)size : SIZE_MAX;
        char *to = room_for(smtp, wanted, &room);
        if (to == NULL) {
            drop(transaction, REPLY_NO_MEMORY);
            break;
        }
        int got = stream_read_some(&smtp->session.stream, to, room < wanted ? room : wanted);
        if (got < 0)
            return false;
        added(smtp, (size_t)got);
        size -= (unsigned)got;
        count(smtp, (unsigned)got);
    }
    return swallow(smtp, size);
}

/* M3 when there is nothing the chunk could belong to. */
static void bdat_out_of_order(struct smtp_session *smtp, uint64_t size)
{
    struct session *session = &smtp->session;
    session_deadline(session, options_of(smtp)->data_ms_max);
    if (size > bytes_left(smtp))
        session_end(session, SESSION_END_PROTOCOL);
    else if (!swallow(smtp, size))
        return;
    smtp_say(smtp, session->state == STATE_START    ? REPLY_HELLO_FIRST
                   : session->state == STATE_LOCKED ? REPLY_AUTH_FIRST
                   : session->state == STATE_READY  ? REPLY_MAIL_FIRST
                                                    : REPLY_NO_RECIPIENTS);
    session_count_error(session);
}

static void say_chunk(struct smtp_session *smtp, uint64_t size)
{
    char text[64];
    int length = snprintf(text, sizeof text, "250 2.0.0 %" PRIu64 " octets received\r\n", size);
    stream_write(&smtp->session.stream, slice_of(text, (size_t)length));
}

void smtp_bdat(struct session *session, const void *arguments)
{
    const struct bdat_arguments *bdat = arguments;
    struct smtp_session *smtp = smtp_of(session);
    struct transaction *transaction = smtp->transaction;
    if (!(session->state & (STATE_RCPT | STATE_CHUNKS))) {
        bdat_out_of_order(smtp, bdat->size);
        return;
    }
    if (session->state == STATE_RCPT)
        begin(smtp, bdat->size);
    else
        set_deadline(smtp);
    session->state = STATE_CHUNKS;
    if (bdat->size > bytes_left(smtp)) {
        smtp_say(smtp, REPLY_TOO_BIG);
        session_end(session, SESSION_END_PROTOCOL);
        return;
    }
    if (transaction->refusal == REPLY_OK &&
        bdat->size > options_of(smtp)->message_bytes_max - transaction->taken)
        drop(transaction, REPLY_TOO_BIG);
    if (!receive_chunk(smtp, bdat->size))
        return;
    if (bdat->is_last) {
        smtp_finish(smtp);
    } else if (transaction->refusal == REPLY_OK) {
        say_chunk(smtp, bdat->size);
    } else {
        smtp_say(smtp, transaction->refusal);
        if (smtp_replies[transaction->refusal].data[0] == '5')
            session_count_error(session);
        smtp_reset(smtp);
    }
}
