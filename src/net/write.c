/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Output: one queue, one send in flight. What a command writes gathers in one block, which the end
 * of the turn sends at once: replies to a pipelined batch leave in one packet, which counts more
 * than any ring flag (engine.md, section 2).
 *
 *   stream->output ─▶ [being sent: stays] ─▶ [gathering: may grow]
 *
 * Invariants:
 *   W1 While HEAD_SENDING is set the first block is neither moved nor freed.
 *   W2 output_bytes is the sum of what the blocks hold.
 *   W3 While a fiber is inside stream_send (SEND_OWNED) only that fiber starts sends: nothing gets
 * between its pieces.
 */
#include "net_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct stream *stream_of_send(struct op *op)
{
    return (struct stream *)((char *)op - offsetof(struct stream, send));
}

void output_block_give(struct stream *stream, struct net_block *block)
{
    if (stream->state & WIPES)
        explicit_bzero(block->data, block->end);
    block_give(net_of(stream), block);
}

static void head_drop(struct stream *stream)
{
    struct net_block *head = stream->output;
    stream->output = head->next;
    stream->output_bytes -= head->end - head->start;
    output_block_give(stream, head);
}

/* Frees what is queued; a block in flight stays (W1) until its send is done. */
void output_free(struct stream *stream)
{
    if (stream->passage != NULL && !op_busy(&stream->send))
        passage_free(stream);
    if (!(stream->state & HEAD_SENDING)) {
        while (stream->output != NULL)
            head_drop(stream);
        return;
    }
    struct net_block *head = stream->output, *rest = head->next;
    head->next = NULL;
    while (rest != NULL) {
        struct net_block *next = rest->next;
        stream->output_bytes -= rest->end - rest->start;
        output_block_give(stream, rest);
        rest = next;
    }
}

void output_fail(struct stream *stream, int reason)
{
    if (stream->state & OUTPUT_FAILED)
        return;
    stream->state |= OUTPUT_FAILED;
    stream->output_error = reason;
    stream_ended(stream, reason == -EPIPE ? -ECONNRESET : reason);
    output_free(stream);
    waiters_wake_all(stream->core, &stream->writers);
    stream_attend(stream);
    if (stream->joined != NULL)
        stream_attend(stream->joined); /* what it holds for this one is to be dropped */
    stream_pump(stream);
}

/* Accounts for a finished send; returns how much of it was not of the first block. */
static int sent(struct stream *stream, int result)
{
    stream->state &= ~(unsigned)SEND_CANCELLED;
    int beyond = result;
    if (result > 0) {
        stream->bytes_out += (unsigned)result;
        counter_add(core_counters(stream->core), COUNTER_BYTES_SENT, result);
    }
    if (stream->state & HEAD_SENDING) {
        struct net_block *head = stream->output;
        uint32_t size = head->end - head->start, part = 0;
        if (result > 0)
            part = (uint32_t)result < size ? (uint32_t)result : size;
        stream->state &= ~(unsigned)HEAD_SENDING;
        head->start += part;
        stream->output_bytes -= part;
        if (result > 0)
            beyond = result - (int)part;
        if (head->start == head->end)
            head_drop(stream);
    } else if (stream->passage != NULL) {
        passage_sent(stream, result);
    }
    if (stream->state & OUTPUT_FAILED)
        output_free(stream);
    return beyond;
}

static bool is_retried(int result)
{
    return result > 0 || result == -EINTR || result == -EAGAIN;
}

void output_sent(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct stream *stream = stream_of_send(op);
    bool had_ended = stream->end != 0;
    sent(stream, result);
    if (!is_retried(result) && result != -ECANCELED) /* which is output_fail's */
        output_fail(stream, result == 0 ? -EPIPE : result);
    output_kick(stream);
    if (stream->state & JOINED)
        join_sent(stream, result > 0);
    waiters_wake_all(stream->core, &stream->writers);
    if (stream->state & (CLOSING | MOVING))
        stream_attend(stream);
    stream_pump(stream);
    if (!had_ended && stream->end != 0)
        stream_notify(stream);
}

/* Begins to send the first block, unless a send is in flight or owned. */
void output_kick(struct stream *stream)
{
    if (op_busy(&stream->send) || (stream->state & (OUTPUT_FAILED | SEND_OWNED)))
        return;
    if (stream->passage != NULL) { /* J2: it stands before what is queued */
        passage_send(stream);
        return;
    }
    if (stream->tls != NULL)
        tls_seal(stream);
    struct net_block *head = stream->output;
    if (head == NULL || (stream->state & OUTPUT_FAILED) ||
        (stream->tls != NULL && !head->is_sealed))
        return;
    stream->state |= HEAD_SENDING;
    stream->send.done = output_sent;
    op_send(stream->core, &stream->send, (unsigned)stream->slot, head->data + head->start,
            head->end - head->start);
}

static void wait_drained(struct stream *stream)
{
    stream->users++;
    waiters_wait(stream->core, &stream->writers, 0);
    stream->users--;
    if (stream->state & CLOSING)
        stream_attend(stream);
}

/* ---------------------------------------------------------------- the queue */

/* The block to append to, with room for at least one byte. NULL: no memory. */
static struct net_block *tail_with_room(struct stream *stream, size_t wanted)
{
    struct net_block **end = &stream->output;
    while (*end != NULL && (*end)->next != NULL)
        end = &(*end)->next;
    struct net_block *tail = *end;
    bool is_fixed = tail != NULL &&
                    (tail->is_sealed || (tail == stream->output && (stream->state & HEAD_SENDING)));
    if (tail == NULL || is_fixed) {
        struct net_block *block = block_take(net_of(stream), wanted);
        if (tail != NULL)
            tail->next = block;
        else
            stream->output = block;
        return block;
    }
    if (tail->end < tail->capacity)
        return tail;
    size_t capacity = (size_t)tail->capacity * 4;
    if (capacity < wanted)
        capacity = wanted;
    if (tail->capacity >= STREAM_OUTPUT_BYTES_MAX)
        return tail->next = block_take(net_of(stream), wanted);
    struct net_block *grown = malloc(sizeof *grown + capacity);
    if (grown == NULL)
        return NULL;
    *grown = (struct net_block){.capacity = (uint32_t)capacity, .end = tail->end - tail->start};
    memcpy(grown->data, tail->data + tail->start, grown->end);
    *end = grown;
    output_block_give(stream, tail);
    return grown;
}

static bool append(struct stream *stream, struct slice bytes)
{
    while (bytes.size > 0) {
        struct net_block *tail = tail_with_room(stream, bytes.size);
        if (tail == NULL)
            return false;
        size_t part = tail->capacity - tail->end;
        if (part > bytes.size)
            part = bytes.size;
        memcpy(tail->data + tail->end, bytes.data, part);
        tail->end += (uint32_t)part;
        stream->output_bytes += (uint32_t)part;
        bytes = slice_from(bytes, part);
    }
    return true;
}

void stream_write(struct stream *stream, struct slice bytes)
{
    bool on_fiber = fiber_current(stream->core) != NULL;
    while (bytes.size > 0 && !(stream->state & (OUTPUT_FAILED | CLOSING))) {
        size_t room = STREAM_OUTPUT_BYTES_MAX > stream->output_bytes
                          ? STREAM_OUTPUT_BYTES_MAX - stream->output_bytes
                          : 0;
        if (room == 0 && on_fiber) {
            output_kick(stream);
            bool is_full = stream->output_bytes >= STREAM_OUTPUT_BYTES_MAX;
            if (is_full && !(stream->state & OUTPUT_FAILED)) /* kicking may have dropped all */
                wait_drained(stream);
            continue;
        }
        if (!on_fiber) {
            room = bytes.size;
            if (room > 4 * (size_t)STREAM_OUTPUT_BYTES_MAX - stream->output_bytes) {
                output_fail(stream, -ENOBUFS);
                return;
            }
        }
        struct slice part = slice_first(bytes, room);
        if (!append(stream, part)) {
            output_fail(stream, -ENOMEM);
            return;
        }
        bytes = slice_from(bytes, part.size);
        stream_attend(stream);
    }
}

void stream_printf(struct stream *stream, const char *format, ...)
{
    char small[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    if ((size_t)size < sizeof small) {
        stream_write(stream, slice_of(small, (size_t)size));
        return;
    }
    char *large = malloc((size_t)size + 1);
    if (large == NULL) {
        output_fail(stream, -ENOMEM);
        return;
    }
    va_start(arguments, format);
    vsnprintf(large, (size_t)size + 1, format, arguments);
    va_end(arguments);
    stream_write(stream, slice_of(large, (size_t)size));
    free(large);
}

int stream_flush(struct stream *stream)
{
    while (output_is_busy(stream) && !(stream->state & OUTPUT_FAILED)) {
        output_kick(stream);
        if (output_is_busy(stream) && !(stream->state & OUTPUT_FAILED))
            wait_drained(stream);
    }
    return stream->output_error;
}

/* ---------------------------------------------------------------- sealed blocks */

bool output_append_sealed(struct stream *stream, struct slice bytes, size_t wanted)
{
    struct net_block **end = &stream->output, *last = NULL;
    for (; *end != NULL && (*end)->is_sealed; end = &last->next)
        last = *end;
    bool is_fixed = last != NULL && last == stream->output && (stream->state & HEAD_SENDING);
    if (last == NULL || is_fixed || last->capacity - last->end < bytes.size) {
        last = block_take(net_of(stream), wanted > bytes.size ? wanted : bytes.size);
        if (last == NULL)
            return false;
        last->is_sealed = true;
        last->next = *end;
        *end = last;
    }
    memcpy(last->data + last->end, bytes.data, bytes.size);
    last->end += (uint32_t)bytes.size;
    stream->output_bytes += (uint32_t)bytes.size;
    stream_attend(stream);
    return true;
}

struct net_block *output_take_plain(struct stream *stream)
{
    struct net_block **end = &stream->output;
    while (*end != NULL && (*end)->is_sealed)
        end = &(*end)->next;
    struct net_block *block = *end;
    if (block != NULL) {
        *end = block->next;
        block->next = NULL;
        stream->output_bytes -= block->end - block->start;
    }
    return block;
}

/* ---------------------------------------------------------------- from where the bytes lie */

/* Whole records. Medians of seven interleaved runs of bench/tls, CPU for 10 MiB: one 3.7 ms, two or
 * four 3.5 ms (their runs overlap), eight 4.0 ms. Two hold less memory than four. */
enum { SEALED_PIECE_BYTES = 2 * 16384 };

static bool output_has_sealed(const struct stream *stream)
{
    return stream->output != NULL && stream->output->is_sealed;
}

static void owned_sent(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct stream *stream = stream_of_send(op);
    stream->send_result = sent(stream, result);
    if (!is_retried(result))
        output_fail(stream, result == 0 ? -EPIPE : result);
    if (stream->state & (CLOSING | MOVING))
        stream_attend(stream);
    fiber_wake(stream->core, stream->sender);
}

/* One sendmsg of the first block and the beginning of `bytes`; how many of these were sent, or an
 * error. */
static int send_owned(struct stream *stream, struct slice bytes)
{
    struct iovec pieces[2];
    struct msghdr message = {.msg_iov = pieces};
    struct net_block *head = stream->output;
    bytes = slice_first(bytes, SEND_BYTES_MAX);
    if (head != NULL) {
        pieces[message.msg_iovlen++] =
            (struct iovec){head->data + head->start, head->end - head->start};
        stream->state |= HEAD_SENDING;
    }
    if (head == NULL || head->next == NULL)
        pieces[message.msg_iovlen++] = (struct iovec){(char *)(uintptr_t)bytes.data, bytes.size};
    stream->send.done = owned_sent;
    op_sendmsg(stream->core, &stream->send, (unsigned)stream->slot, &message);
    stream->sender = fiber_current(stream->core);
    fiber_park(stream->core);
    stream->sender = NULL;
    if (stream->state & OUTPUT_FAILED)
        return stream->output_error;
    return stream->send_result > 0 ? stream->send_result : 0;
}

/* The same under TLS: what is sealed is a copy, so the next piece is sealed while one is on its
 * way. */
static int send_sealed(struct stream *stream, struct slice bytes)
{
    int result = tls_seal_bytes(stream, slice_first(bytes, 0)); /* what was queued before */
    while (result == 0 && (bytes.size > 0 || output_has_sealed(stream) || op_busy(&stream->send))) {
        bool is_sending = op_busy(&stream->send);
        if (!is_sending && output_has_sealed(stream)) {
            struct net_block *head = stream->output;
            stream->state |= HEAD_SENDING;
            stream->send.done = owned_sent;
            op_send(stream->core, &stream->send, (unsigned)stream->slot, head->data + head->start,
                    head->end - head->start);
        } else if (bytes.size > 0 && (!is_sending || stream->output->next == NULL ||
                                      !stream->output->next->is_sealed)) {
            struct slice piece = slice_first(bytes, SEALED_PIECE_BYTES);
            result = tls_seal_bytes(stream, piece);
            bytes = slice_from(bytes, piece.size);
        } else {
            stream->sender = fiber_current(stream->core);
            fiber_park(stream->core);
            stream->sender = NULL;
        }
        if (stream->state & OUTPUT_FAILED)
            result = stream->output_error;
        else if (bytes.size > 0 && (stream->state & CLOSING))
            result = -ECANCELED;
    }
    while (op_busy(&stream->send)) {
        stream->sender = fiber_current(stream->core);
        fiber_park(stream->core);
        stream->sender = NULL;
    }
    return result;
}

int stream_send(struct stream *stream, struct slice bytes)
{
    assert(fiber_current(stream->core) != NULL && "stream_send is for fibers");
    assert(!(stream->state & JOINED));
    if (bytes.size <= SMALL_BYTES / 2) {
        stream_write(stream, bytes);
        return stream_flush(stream);
    }
    int result = 0;
    while ((stream->state & SEND_OWNED) || op_busy(&stream->send)) {
        if (stream->state & OUTPUT_FAILED)
            break;
        wait_drained(stream);
    }
    if (stream->state & (OUTPUT_FAILED | CLOSING))
        return stream->output_error ? stream->output_error : -ECANCELED;
    stream->state |= SEND_OWNED;
    stream->users++;
    if (stream->tls != NULL) {
        result = send_sealed(stream, bytes);
        bytes.size = 0;
    }
    while (bytes.size > 0 && result >= 0) {
        result = send_owned(stream, bytes);
        if (result >= 0)
            bytes = slice_from(bytes, (size_t)result);
        if (bytes.size > 0 && result >= 0 && (stream->state & CLOSING))
            result = -ECANCELED;
    }
    stream->users--;
    stream->state &= ~(unsigned)SEND_OWNED;
    if (result == -ECANCELED) /* cut in the middle: what is queued behind must not follow */
        output_fail(stream, result);
    waiters_wake_all(stream->core, &stream->writers);
    stream_attend(stream);
    return result < 0 ? result : 0;
}
