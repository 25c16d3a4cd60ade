/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reading calls, on a fiber. Each takes what it needs from the queue of unread bytes, and waits
 * for more when that does not do.
 *
 * A line is copied once, to a block of the stream's own, so that no receive buffer is held while
 * its command runs; the copy costs some 20 ns and spares a rule about which bytes may lie where.
 *
 * Receiving straight into the reader's memory goes in two steps: cancel the multishot receive and
 * wait for its last completion (bytes that still come with it are served first), then one receive
 * at a time. See engine.md, section 1.
 *
 * Which end is told when: when the peer closed (-EPIPE), what it sent before is read first. All
 * other ends (deadline, interrupt, reset, closing) are told at once.
 */
#include "net_private.h"

int stream_input_end(const struct stream *stream)
{
    if (stream->state & CLOSING)
        return stream->end != -EPIPE ? stream->end : -ECANCELED;
    if (stream->end == -EPIPE && stream->input != NULL)
        return 0;
    return stream->end;
}

/* N2: parks until stream_notify. */
static void park_reader(struct stream *stream)
{
    assert(stream->reader == NULL && !(stream->state & READING) && "N2");
    assert(fiber_current(stream->core) != NULL && "reading calls are for fibers");
    stream->state |= READING;
    stream->reader = fiber_current(stream->core);
    stream->users++;
    fiber_park(stream->core);
    stream->users--;
    stream->state &= ~(unsigned)READING;
    if (stream->state & CLOSING)
        stream_attend(stream);
}

void stream_input_wait(struct stream *stream)
{
    stream->state &= ~(unsigned)(PAUSED | WANT_DIRECT);
    stream_pump(stream);
    park_reader(stream);
}

void stream_line_drop(struct stream *stream)
{
    if (stream->line == NULL)
        return;
    if (stream->state & (WIPES | WIPES_LINE))
        explicit_bzero(stream->line->data, stream->line->end);
    stream->state &= ~(unsigned)WIPES_LINE;
    block_give(net_of(stream), stream->line);
    stream->line = NULL;
}

void stream_wipe(struct stream *stream, bool wipes)
{
    if (wipes)
        stream->state |= WIPES;
    else if (stream->state & WIPES)
        stream->state = (stream->state & ~(unsigned)WIPES) | WIPES_LINE;
}

bool stream_line_ready(struct stream *stream)
{
    size_t lf;
    stream_line_drop(stream);
    if (stream->end != 0 || (stream->state & (PAUSED | CLOSING)) || input_find_line(stream, &lf))
        return true;
    if (stream->state & WANT_DIRECT) {
        stream->state &= ~(unsigned)WANT_DIRECT;
        stream_pump(stream);
    }
    return false;
}

size_t stream_unread(const struct stream *stream)
{
    return input_size(stream);
}

/* Takes the first `size` unread bytes, which end with the only LF among them, as the line. */
static int take_line(struct stream *stream, size_t size, struct slice *ret_line)
{
    stream->line = block_take(net_of(stream), size);
    if (stream->line == NULL) {
        stream_ended(stream, -ENOMEM);
        return -ENOMEM;
    }
    const char *data = stream->line->data;
    stream->line->end = (uint32_t)input_copy(stream, stream->line->data, size);
    input_drop(stream, size);
    bool is_bare = size < 2 || data[size - 2] != '\r';
    *ret_line = slice_of(data, is_bare ? size - 1 : size - 2);
    if (is_bare || memchr(ret_line->data, '\r', ret_line->size) != NULL)
        return -EBADMSG;
    return 0;
}

/* Whether the bytes before the LF at `lf` are, without their CR, more than max_size. */
static bool is_too_long(const struct stream *stream, size_t lf, size_t max_size)
{
    if (lf != max_size + 1)
        return lf > max_size + 1;
    size_t before = 0;
    for (const struct stream_input *piece = stream->input; piece != NULL; piece = piece->next) {
        size_t size = piece->end - piece->start;
        if (lf - 1 < before + size)
            return piece->data[piece->start + (lf - 1 - before)] != '\r';
        before += size;
    }
    return true;
}

int stream_read_line(struct stream *stream, size_t max_size, struct slice *ret_line)
{
    assert(max_size <= STREAM_LINE_BYTES_MAX);
    stream_line_drop(stream);
    stream->bulk_bytes = 0;
    for (;;) {
        size_t lf;
        int end = stream_input_end(stream);
        if (end != 0)
            return end;
        if (input_find_line(stream, &lf)) {
            if ((stream->state & DISCARDING) || is_too_long(stream, lf, max_size)) {
                stream->state &= ~(unsigned)DISCARDING;
                input_drop(stream, lf + 1);
                return -EMSGSIZE;
            }
            return take_line(stream, lf + 1, ret_line);
        }
        size_t size = input_size(stream);
        if (size > max_size + 1 || (stream->state & DISCARDING)) {
            stream->state |= DISCARDING;
            input_drop(stream, size);
        }
        if (stream->end != 0)
            return stream->end;
        stream_input_wait(stream);
    }
}

int stream_peek(struct stream *stream, struct slice *ret_bytes)
{
    stream_line_drop(stream);
    for (;;) {
        int end = stream_input_end(stream);
        if (end != 0)
            return end;
        if (stream->input != NULL)
            break;
        stream_input_wait(stream);
    }
    stream->state &= ~(unsigned)PEEKED;
    if (buffer_pressure(stream->core) && input_settle(stream) < 0)
        stream->state &= ~(unsigned)PEEKED; /* no memory: hold the buffer after all */
    const struct stream_input *piece = stream->input;
    stream->state |= PEEKED;
    *ret_bytes = slice_first(slice_of(piece->data + piece->start, piece->end - piece->start),
                             STREAM_INPUT_BYTES_MAX);
    return 0;
}

void stream_consume(struct stream *stream, size_t size)
{
    input_drop(stream, size);
    stream->bulk_bytes += (uint32_t)size;
}

int stream_unread_bytes(struct stream *stream, struct slice bytes)
{
    return input_prepend(stream, bytes);
}

/* ---------------------------------------------------------------- into the reader's memory */

static void direct_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct stream *stream = (struct stream *)((char *)op - offsetof(struct stream, receive));
    struct fiber *reader = stream->reader;
    stream->state &= ~(unsigned)CANCELLED;
    stream->receive_result = result;
    stream->reader = NULL;
    fiber_wake(stream->core, reader);
}

/* One receive into `data`. The count, or 0: look again (bytes are queued, or the end has come, or
 * try once more). */
static size_t receive_direct(struct stream *stream, void *data, size_t size, bool whole)
{
    stream->state |= WANT_DIRECT;
    stream->state &= ~(unsigned)PAUSED;
    stream_pump(stream);
    while (op_busy(&stream->receive) && stream->input == NULL && stream_input_end(stream) == 0)
        park_reader(stream);
    if (op_busy(&stream->receive) || stream->input != NULL || stream_input_end(stream) != 0)
        return 0;
    stream->state |= DIRECT;
    stream->receive.done = direct_done;
    op_recv(stream->core, &stream->receive, (unsigned)stream->slot, data,
            size < DIRECT_BYTES_MAX ? size : DIRECT_BYTES_MAX, whole);
    park_reader(stream);
    stream->state &= ~(unsigned)DIRECT;
    stream->receive.done = stream_receive_done;
    int result = stream->receive_result;
    if (result > 0) {
        stream->bytes_in += (unsigned)result;
        stream->heard_ns = core_now_ns(stream->core);
        stream->bulk_bytes += (unsigned)result;
        counter_add(core_counters(stream->core), COUNTER_BYTES_RECEIVED, result);
        return (size_t)result;
    }
    if (result == 0)
        stream_ended(stream, -EPIPE);
    else if (result != -EINTR && result != -EAGAIN && (result != -ECANCELED || stream->end == 0))
        stream_ended(stream, result);
    return 0;
}

int stream_read_exact(struct stream *stream, void *data, size_t size)
{
    char *at = data;
    stream_line_drop(stream);
    while (size > 0) {
        int end = stream_input_end(stream);
        if (end != 0)
            return end;
        size_t got = input_copy(stream, at, size);
        if (got > 0)
            input_drop(stream, got);
        else if (size >= BULK_BYTES_MIN && stream->tls == NULL)
            got = receive_direct(stream, at, size, true);
        else
            stream_input_wait(stream);
        at += got;
        size -= got;
    }
    return 0;
}

int stream_read_some(struct stream *stream, void *data, size_t size)
{
    assert(size > 0);
    if (size > INT32_MAX)
        size = INT32_MAX;
    stream_line_drop(stream);
    for (;;) {
        int end = stream_input_end(stream);
        if (end != 0)
            return end;
        size_t got = input_copy(stream, data, size);
        if (got > 0) {
            input_drop(stream, got);
            stream->bulk_bytes += (uint32_t)got;
            return (int)got;
        }
        if (size >= DIRECT_BYTES_MIN && stream->bulk_bytes >= BULK_BYTES_MIN && stream->tls == NULL)
            got = receive_direct(stream, data, size, false);
        else
            stream_input_wait(stream);
        if (got > 0)
            return (int)got;
    }
}
