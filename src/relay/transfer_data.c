/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The message on its way to a backend, from where it lies. BDAT takes any bytes. DATA takes lines:
 * dots are doubled, and a message with a bare CR or LF is not sent by it, since what a backend
 * makes of these next to a dot is how messages are smuggled. Each piece is looked through before it
 * is sent, so that of such a message only harmless lines have left when it is given up (F2).
 *
 * A backend may answer before it has all, and read no further: then this fiber would wait for it to
 * read until the time is over. So the link tells of input that comes meanwhile, another fiber reads
 * the reply, and the deadline, set anew, is what takes this one out of its call. The connection
 * is of no use then. Only with the last piece an answer may be right, though it is read before we
 * know that the piece is sent: it is kept for who asks next.
 */
#include "transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "ringpost/dot.h"

enum {
    PIECE_BYTES_MAX = 256 * 1024, /* and as many between two looks at who waits for it */
    COPIED_BYTES_MAX = 4096       /* cheaper to copy into one send than to send by itself */
};

/* For a send that is done already, and not told of yet. */
static const uint64_t GRACE_NS = UINT64_C(200000000);

/* ---------------------------------------------------------------- early answers */

static void listen_fiber(void *argument)
{
    struct course *course = argument;
    struct core *core = course->transfer->core;
    course->kept_result = course_reply(course);
    course->is_kept = true;
    course->is_listening = false;
    if (course->is_sending)
        stream_deadline(course->stream, core_now_ns(core) + GRACE_NS);
    waiters_wake_all(core, &course->listened); /* the course may be gone behind this */
}

static void heard(struct backend_link *link)
{
    struct course *course = link->owner;
    struct core *core = course->transfer->core;
    if (course->is_heard)
        return;
    course->is_heard = true;
    course->is_listening = fiber_start(core, listen_fiber, course) == 0;
    if (!course->is_listening)
        stream_deadline(course->stream, core_now_ns(core));
}

static void listen_begin(struct course *course)
{
    course->asks_gone = false;
    course->transfer->link->owner = course;
    course->transfer->link->input = heard;
    stream_deadline(course->stream, course->transfer->deadline_ns);
}

static void listen_end(struct course *course)
{
    course->transfer->link->input = NULL;
    course->transfer->link->owner = NULL;
    while (course->is_listening)
        waiters_wait(course->transfer->core, &course->listened, 0);
    stream_deadline(course->stream, course->transfer->deadline_ns);
}

/* ---------------------------------------------------------------- pieces */

/* `is_last`: behind these bytes the message has ended, and answers are due. */
static int push(struct course *course, struct slice bytes, bool is_last)
{
    struct stream *stream = course->stream;
    const struct transfer *transfer = course->transfer;
    int result;
    if (course->is_heard || stream_unread(stream) > 0 || stream->end != 0)
        return -EALREADY;
    course->unwatched += bytes.size;
    if (is_last || course->unwatched >= PIECE_BYTES_MAX) {
        course->unwatched = 0;
        if (transfer->gone != NULL && transfer->gone(transfer->argument))
            return course_fail(course, "the sender left", NULL);
    }
    course->is_sending = true;
    if (bytes.size > COPIED_BYTES_MAX) {
        result = stream_send(stream, bytes);
    } else {
        stream_write(stream, bytes);
        result = is_last ? stream_flush(stream) : stream->output_error;
    }
    course->is_sending = false;
    if (is_last && result == 0)
        return 0;
    return result < 0 || course->is_heard ? -EALREADY : 0;
}

static int send_chunk(struct course *course)
{
    struct slice bytes = course->message->bytes;
    char command[48];
    int result, size = snprintf(command, sizeof command, "BDAT %zu LAST\r\n", bytes.size);
    assert(size > 0 && (size_t)size < sizeof command);
    result = push(course, slice_of(command, (size_t)size), bytes.size == 0);
    while (result == 0 && bytes.size > 0) {
        struct slice piece = slice_first(bytes, PIECE_BYTES_MAX);
        bytes = slice_from(bytes, piece.size);
        result = push(course, piece, bytes.size == 0);
    }
    return result;
}

/* A CR without LF or an LF without CR; *cr: the last byte before was a CR. */
static bool is_bare(struct slice piece, bool *cr)
{
    bool had_cr = *cr;
    while (piece.size > 0) {
        size_t lf = slice_find(piece, '\n'), at = slice_find(piece, '\r');
        if (had_cr && lf != 0)
            return true;
        if (!had_cr && lf < piece.size && (lf == 0 || at != lf - 1))
            return true;
        if (lf == piece.size && at + 1 < piece.size)
            return true;
        had_cr = lf == piece.size && at < piece.size;
        piece = slice_from(piece, lf + 1);
    }
    *cr = had_cr;
    return false;
}

static int send_runs(struct course *course, struct dot_encoder *encoder, struct slice piece)
{
    size_t run = dot_encode(encoder, piece);
    for (;;) {
        int result = run > 0 ? push(course, slice_first(piece, run), false) : 0;
        piece = slice_from(piece, run);
        if (result < 0 || piece.size == 0)
            return result;
        if ((result = push(course, SLICE("."), false)) < 0)
            return result;
        run = dot_encode_on(encoder, piece);
    }
}

static int send_lines(struct course *course)
{
    struct slice bytes = course->message->bytes;
    struct dot_encoder encoder = {0};
    bool cr = false;
    while (bytes.size > 0) {
        struct slice piece = slice_first(bytes, PIECE_BYTES_MAX);
        if (is_bare(piece, &cr) || (cr && piece.size == bytes.size))
            return -EBADMSG;
        int result = send_runs(course, &encoder, piece);
        if (result < 0)
            return result;
        bytes = slice_from(bytes, piece.size);
    }
    return push(course, dot_encode_end(&encoder), true);
}

int course_send(struct course *course, bool by_bdat)
{
    listen_begin(course);
    int result = by_bdat ? send_chunk(course) : send_lines(course);
    listen_end(course);
    if (result == -EALREADY && course_reply(course) < 0) /* it was no answer but the end */
        result = -EAGAIN;
    return result;
}
