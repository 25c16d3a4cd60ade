/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Servers that answer a handshake oddly. A session that passes on has two streams and a fiber for
 * each direction; whichever ends first closes both.
 */
#include "tls_odd.h"

#include <stdlib.h>

#include "dial_client.h"

struct odd {
    struct stream stream, beyond;
    struct odd_server *server;
    unsigned parts; /* streams that are not released, fibers that have not ended */
};

static void part_over(struct odd *odd)
{
    if (--odd->parts > 0)
        return;
    atomic_fetch_sub(&odd->server->sessions, 1);
    free(odd);
}

static void odd_released(struct stream *stream)
{
    part_over((struct odd *)stream);
}

static void beyond_released(struct stream *stream)
{
    part_over((struct odd *)((char *)stream - offsetof(struct odd, beyond)));
}

static void odd_input(struct stream *stream)
{
    struct odd *odd = (struct odd *)stream;
    if (stream->end != 0 || odd->server->kind == ODD_CLOSES)
        stream_close(stream);
}

static void none(struct stream *stream)
{
    (void)stream;
}

static const struct stream_owner odd_owner = {.input = odd_input, .released = odd_released},
                                 front_owner = {.input = none, .released = odd_released},
                                 beyond_owner = {.input = none, .released = beyond_released};

/* ---------------------------------------------------------------- passing on */

static void pass(struct stream *from, struct stream *to, size_t bytes_max)
{
    struct slice bytes;
    while (bytes_max > 0 && stream_peek(from, &bytes) == 0) {
        bytes = slice_first(bytes, bytes_max);
        stream_write(to, bytes);
        stream_consume(from, bytes.size);
        bytes_max -= bytes.size;
    }
}

static void back_fiber(void *argument)
{
    struct odd *odd = argument;
    pass(&odd->beyond, &odd->stream, odd->server->bytes);
    stream_close(&odd->stream);
    stream_close(&odd->beyond);
    part_over(odd);
}

static void there_fiber(void *argument)
{
    struct odd *odd = argument;
    struct core *core = odd->stream.core;
    struct stream_target target = target_v4(odd->server->port);
    if (stream_connect(&odd->beyond, core, &target, 0, &beyond_owner) == 0) {
        odd->parts++;
        if (fiber_start(core, back_fiber, odd) == 0) {
            odd->parts++;
            pass(&odd->stream, &odd->beyond, SIZE_MAX);
        }
        stream_close(&odd->beyond);
    }
    stream_close(&odd->stream);
    part_over(odd);
}

/* ---------------------------------------------------------------- the beginning */

bool odd_accepted(struct core *core, unsigned slot, void *argument)
{
    struct odd_server *server = argument;
    struct odd *odd = calloc(1, sizeof *odd);
    if (odd == NULL)
        return false;
    bool passes = server->kind == ODD_BREAKS;
    if (passes && fiber_start(core, there_fiber, odd) < 0) {
        free(odd);
        return false;
    }
    odd->server = server;
    odd->parts = passes ? 2 : 1;
    atomic_fetch_add(&server->sessions, 1);
    stream_open(&odd->stream, core, slot, passes ? &front_owner : &odd_owner);
    if (server->kind == ODD_PLAIN)
        stream_write(&odd->stream, SLICE("220 one.example.org ESMTP\r\n"));
    else if (server->kind == ODD_NONSENSE)
        stream_write(&odd->stream, slice_of("\x16\x03\x03\x00\x05"
                                            "abcde",
                                            10));
    else if (server->kind == ODD_ALERT)
        stream_write(&odd->stream, slice_of("\x15\x03\x03\x00\x02\x02\x28", 7));
    return true;
}
