/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RETR and TOP. A small message that lies in memory is copied to the stream's queue, so that those
 * of pipelined commands leave together; any other is read piece by piece into memory of the
 * command's and sent from there. Either way its bytes are copied once.
 *
 * The first piece is read before the status line is written, so that a message that cannot be read
 * is answered with -ERR. If a later one cannot be read the connection is closed without the line
 * that ends the response: the client sees that the message is not whole.
 */
#include "pop3_private.h"
#include "ringpost/dot.h"

enum {
    PEEK_BYTES_MAX = 30000, /* encoded (twice as many at most) and framed it fits into the queue */
    FRAME_BYTES_MAX = 100
};
_Static_assert(2 * PEEK_BYTES_MAX + FRAME_BYTES_MAX <= STREAM_OUTPUT_BYTES_MAX,
               "a message that was peeked at is queued without waiting");

struct retrieval {
    struct session *session;
    struct dot_encoder dots;
    struct cut cut;
    bool is_cut; /* TOP */
};

/* Encodes and sends. `in_queue`: by copying only. */
static void put(struct retrieval *retrieval, struct slice bytes, bool in_queue)
{
    struct stream *stream = &retrieval->session->stream;
    if (retrieval->is_cut)
        bytes = slice_first(bytes, cut_next(&retrieval->cut, bytes));
    size_t run = dot_encode(&retrieval->dots, bytes);
    for (;;) {
        struct slice piece = slice_first(bytes, run);
        if (in_queue || run < POP3_PIECE_BYTES / 4)
            stream_write(stream, piece);
        else
            (void)stream_send(stream, piece); /* stream->output_error tells */
        bytes = slice_from(bytes, run);
        if (bytes.size == 0)
            break;
        stream_write(stream, SLICE("."));
        run = dot_encode_on(&retrieval->dots, bytes);
    }
}

static void put_begin(struct retrieval *retrieval, uint32_t size)
{
    if (retrieval->is_cut)
        stream_write(&retrieval->session->stream, SLICE("+OK Top of message follows\r\n"));
    else
        stream_printf(&retrieval->session->stream, "+OK %u octets\r\n", size);
}

static void put_end(struct retrieval *retrieval)
{
    stream_write(&retrieval->session->stream, dot_encode_end(&retrieval->dots));
}

/* False: it does not lie in memory, or is large. */
static bool send_from_memory(struct retrieval *retrieval, uint32_t number)
{
    struct session *session = retrieval->session;
    struct pop3 *pop3 = pop3_of(session);
    const struct mail_entry *entry = view_entry(&pop3->view, number);
    struct slice message;
    if (entry->size > PEEK_BYTES_MAX)
        return false;
    uint32_t room = 2 * entry->size + FRAME_BYTES_MAX;
    if (session->stream.output_bytes + room > STREAM_OUTPUT_BYTES_MAX) {
        (void)stream_flush(&session->stream); /* parks: the entry may have moved */
        entry = view_entry(&pop3->view, number);
    }
    if (!message_peek(pop3->mailbox, entry, &message) || message.size > PEEK_BYTES_MAX)
        return false;
    put_begin(retrieval, entry->size);
    put(retrieval, message, true);
    put_end(retrieval);
    return true;
}

/* 0, or -errno before anything was said. */
static int send_by_pieces(struct retrieval *retrieval, uint32_t number)
{
    struct session *session = retrieval->session;
    struct pop3 *pop3 = pop3_of(session);
    struct mail_entry entry = *view_entry(&pop3->view, number);
    char *data = arena_alloc(&session->arena, POP3_PIECE_BYTES);
    if (data == NULL)
        return -ENOMEM;
    int64_t got = message_read(pop3->mailbox, &entry, 0, data, POP3_PIECE_BYTES);
    if (got < 0)
        return (int)got;
    uint64_t offset = 0;
    put_begin(retrieval, entry.size);
    pop3->is_mute = true;
    while (got > 0 && session->stream.output_error == 0) {
        pop3_deadline(session, (uint64_t)got);
        put(retrieval, slice_of(data, (size_t)got), false);
        offset += (uint64_t)got;
        if (retrieval->is_cut && retrieval->cut.is_done)
            break;
        got = message_read(pop3->mailbox, &entry, offset, data, POP3_PIECE_BYTES);
    }
    if (got < 0) {
        session_end(session, SESSION_END_STORE);
        return 0;
    }
    put_end(retrieval);
    pop3->is_mute = false;
    return 0;
}

static void retrieve(struct retrieval *retrieval, uint32_t number)
{
    struct session *session = retrieval->session;
    if (pop3_message(pop3_of(session), number) == NULL)
        return;
    session->junk = 0;
    if (send_from_memory(retrieval, number))
        return;
    int result = send_by_pieces(retrieval, number);
    if (result < 0) {
        pop3_error(session, result);
        session_count_error(session);
    }
}

void pop3_retr(struct session *session, const void *arguments)
{
    struct retrieval retrieval = {.session = session};
    retrieve(&retrieval, ((const struct pop3_arguments *)arguments)->number);
}

void pop3_top(struct session *session, const void *arguments)
{
    const struct pop3_arguments *given = arguments;
    struct retrieval retrieval = {.session = session, .is_cut = true};
    cut_init(&retrieval.cut, given->lines);
    retrieve(&retrieval, given->number);
}
