/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue of a stream's unread bytes.
 *
 *   stream->input ─▶ [own block] ─▶ [lent buffer 17] ─▶ [lent buffer 4] ─▶ NULL
 *                     oldest                              newest
 *
 * Bytes stay in the buffers they came in while the reader is at work; small arrivals are copied
 * behind the newest piece, so that a peer that sends single bytes does not hold a buffer for each.
 * input_settle moves what is left to one block.
 *
 * Invariants:
 *   I1 No piece is empty.
 *   I2 The first `scanned` unread bytes hold no LF.
 *   I3 While PEEKED is set the first piece is neither moved nor given back.
 *   I4 While WIPES is set no consumed byte stays in memory that is given back, nor one that was
 *      sent.
 */
#include "net_private.h"

#include <stdlib.h>

enum { OWN_BYTES_MIN = 256 }; /* of a piece that decrypted bytes are put into */

static void wipe(const struct stream *stream, char *data, size_t size)
{
    if (stream->state & WIPES)
        explicit_bzero(data, size);
}

void input_piece_free(struct stream *stream, struct stream_input *piece)
{
    wipe(stream, piece->data, piece->end);
    if (piece->buffer >= 0)
        buffer_give(stream->core, (unsigned)piece->buffer);
    else
        free(piece->data);
    piece_give(net_of(stream), piece);
}

/* Takes over the receive buffer, also when it fails (-ENOMEM). */
int input_append(struct stream *stream, char *data, uint32_t size, unsigned buffer)
{
    struct stream_input **end = &stream->input, *last = NULL;
    for (; *end != NULL; end = &last->next)
        last = *end;
    if (last != NULL && size <= SMALL_BYTES && last->capacity - last->end >= size) {
        memcpy(last->data + last->end, data, size);
        last->end += size;
        wipe(stream, data, size);
        buffer_give(stream->core, buffer);
        return 0;
    }
    struct stream_input *piece = piece_take(net_of(stream));
    if (piece == NULL) {
        buffer_give(stream->core, buffer);
        return -ENOMEM;
    }
    *piece = (struct stream_input){.data = data,
                                   .end = size,
                                   .capacity = buffer_size(stream->core, buffer),
                                   .buffer = (int32_t)buffer};
    *end = piece;
    return 0;
}

char *input_extend(struct stream *stream, uint32_t size)
{
    struct stream_input **end = &stream->input, *last = NULL;
    for (; *end != NULL; end = &last->next)
        last = *end;
    if (last == NULL || last->buffer >= 0 || last->capacity - last->end < size) {
        uint32_t capacity = size < OWN_BYTES_MIN ? OWN_BYTES_MIN : size;
        char *data = malloc(capacity);
        last = data ? piece_take(net_of(stream)) : NULL;
        if (last == NULL) {
            free(data);
            return NULL;
        }
        *last = (struct stream_input){.data = data, .capacity = capacity, .buffer = -1};
        *end = last;
    }
    last->end += size;
    return last->data + last->end - size;
}

int input_prepend(struct stream *stream, struct slice bytes)
{
    if (bytes.size == 0)
        return 0;
    char *data = malloc(bytes.size);
    struct stream_input *piece = data ? piece_take(net_of(stream)) : NULL;
    if (piece == NULL) {
        free(data);
        return -ENOMEM;
    }
    memcpy(data, bytes.data, bytes.size);
    *piece = (struct stream_input){.next = stream->input,
                                   .data = data,
                                   .end = (uint32_t)bytes.size,
                                   .capacity = (uint32_t)bytes.size,
                                   .buffer = -1};
    stream->input = piece;
    stream->scanned = 0;
    stream->state &= ~(unsigned)PEEKED;
    return 0;
}

size_t input_size(const struct stream *stream)
{
    size_t size = 0;
    for (const struct stream_input *piece = stream->input; piece != NULL; piece = piece->next)
        size += piece->end - piece->start;
    return size;
}

bool input_find_line(struct stream *stream, size_t *ret_lf)
{
    size_t before = 0;
    for (const struct stream_input *piece = stream->input; piece != NULL; piece = piece->next) {
        size_t size = piece->end - piece->start;
        if (before + size > stream->scanned) {
            size_t from = stream->scanned > before ? stream->scanned - before : 0;
            const char *bytes = piece->data + piece->start;
            const char *lf = memchr(bytes + from, '\n', size - from);
            if (lf != NULL) {
                *ret_lf = before + (size_t)(lf - bytes);
                stream->scanned = (uint32_t)*ret_lf;
                return true;
            }
        }
        before += size;
    }
    stream->scanned = (uint32_t)before;
    return false;
}

size_t input_copy(const struct stream *stream, char *to, size_t size)
{
    size_t copied = 0;
    const struct stream_input *piece = stream->input;
    for (; piece != NULL && copied < size; piece = piece->next) {
        size_t part = piece->end - piece->start;
        if (part > size - copied)
            part = size - copied;
        memcpy(to + copied, piece->data + piece->start, part);
        copied += part;
    }
    return copied;
}

void input_drop(struct stream *stream, size_t size)
{
    stream->scanned = stream->scanned > size ? stream->scanned - (uint32_t)size : 0;
    stream->state &= ~(unsigned)PEEKED;
    while (size > 0) {
        struct stream_input *piece = stream->input;
        assert(piece != NULL && "consumed more than was unread");
        size_t part = piece->end - piece->start;
        if (size < part) {
            wipe(stream, piece->data + piece->start, size);
            piece->start += (uint32_t)size;
            break;
        }
        size -= part;
        stream->input = piece->next;
        input_piece_free(stream, piece);
    }
    if (stream->state & PAUSED)
        stream_attend(stream);
}

bool input_is_lent(const struct stream *stream)
{
    for (const struct stream_input *piece = stream->input; piece != NULL; piece = piece->next)
        if (piece->buffer >= 0)
            return true;
    return false;
}

/* The block grows by powers of two, so that a line trickling in is not copied for each byte. */
int input_settle(struct stream *stream)
{
    assert(!(stream->state & PEEKED) && "I3");
    if (!input_is_lent(stream))
        return 0;
    size_t size = input_size(stream), capacity = 64;
    while (capacity < size)
        capacity *= 2;
    char *data = malloc(capacity);
    struct stream_input *settled = data ? piece_take(net_of(stream)) : NULL;
    if (settled == NULL) {
        free(data);
        return -ENOMEM;
    }
    input_copy(stream, data, size);
    while (stream->input != NULL) {
        struct stream_input *piece = stream->input;
        stream->input = piece->next;
        input_piece_free(stream, piece);
    }
    *settled = (struct stream_input){
        .data = data, .end = (uint32_t)size, .capacity = (uint32_t)capacity, .buffer = -1};
    stream->input = settled;
    return 0;
}
