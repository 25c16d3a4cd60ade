/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core's receive buffers: one mapping, lent to the kernel through a buffer ring, coming back
 * filled with a completion.
 *
 *   home (in the ring) ──recv──▶ lent (buffer_of) ──buffer_give──▶ home
 *
 * A multishot receive that found no buffer ends with -ENOBUFS, even on an idle socket. It waits in
 * the `starved` queue; when buffers are home the waiting receives are armed again, oldest first,
 * some per turn and for as many turns as it takes: one that proves idle must not keep the buffer
 * from one that has data.
 *
 * Invariant B1: buffers_lent <= buffer_count; a buffer is given back once.
 */
#include "core_private.h"

#include <sys/mman.h>

enum { REARMS_MIN = 16 };

static size_t ring_bytes(const struct core *core)
{
    return core->buffer_count * sizeof(struct io_uring_buf);
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void home(struct core *core, unsigned number)
{
    io_uring_buf_ring_add(core->buffer_ring, core->buffer_memory + (size_t)number * BUFFER_BYTES,
                          BUFFER_BYTES, (unsigned short)number,
                          io_uring_buf_ring_mask(core->buffer_count), 0);
    io_uring_buf_ring_advance(core->buffer_ring, 1);
}

int buffers_open(struct core *core)
{
    core->buffer_count = core->engine->options.buffers;
    core->starved_end = &core->starved;
    core->buffer_ring = map(ring_bytes(core));
    core->buffer_memory = map((size_t)core->buffer_count * BUFFER_BYTES);
    if (core->buffer_ring == NULL || core->buffer_memory == NULL)
        return -ENOMEM;
    io_uring_buf_ring_init(core->buffer_ring);
    int result = kernel_buffers_register(core->kernel, &core->ring, core->buffer_ring,
                                         core->buffer_count, BUFFER_GROUP);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < core->buffer_count; i++)
        home(core, i);
    return 0;
}

void buffers_close(struct core *core)
{
    if (core->buffer_ring != NULL)
        munmap(core->buffer_ring, ring_bytes(core));
    if (core->buffer_memory != NULL)
        munmap(core->buffer_memory, (size_t)core->buffer_count * BUFFER_BYTES);
    core->buffer_ring = NULL;
    core->buffer_memory = NULL;
}

char *buffer_of(struct core *core, unsigned cqe_flags, unsigned *ret_number)
{
    assert(cqe_flags & IORING_CQE_F_BUFFER);
    unsigned number = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
    assert(number < core->buffer_count && "E4");
    *ret_number = number;
    return core->buffer_memory + (size_t)number * BUFFER_BYTES;
}

/* The one place where a buffer goes home (E4). */
void buffer_give(struct core *core, unsigned number)
{
    assert(number < core->buffer_count && core->buffers_lent > 0 && "B1");
    core->buffers_lent--;
    home(core, number);
}

bool buffer_pressure(const struct core *core)
{
    return core->buffers_lent > core->buffer_count / 2;
}

unsigned buffer_lent(const struct core *core)
{
    return core->buffers_lent;
}

void buffer_starved(struct core *core, struct starved *starved)
{
    assert(starved->previous_next == NULL && starved->arm != NULL);
    counter_add(&core->counters, COUNTER_RECEIVE_STARVED, 1);
    starved->next = NULL;
    starved->previous_next = core->starved_end;
    *core->starved_end = starved;
    core->starved_end = &starved->next;
}

void buffer_starved_forget(struct core *core, struct starved *starved)
{
    if (starved->previous_next == NULL)
        return;
    *starved->previous_next = starved->next;
    if (starved->next != NULL)
        starved->next->previous_next = starved->previous_next;
    else
        core->starved_end = starved->previous_next;
    starved->previous_next = NULL;
    starved->next = NULL;
}

bool buffers_rearm(struct core *core)
{
    unsigned at_home = core->buffer_count - core->buffers_lent;
    unsigned rearms = at_home == 0 ? 0 : at_home > REARMS_MIN ? at_home : REARMS_MIN;
    while (core->starved != NULL && rearms-- > 0) {
        struct starved *starved = core->starved;
        buffer_starved_forget(core, starved);
        starved->arm(starved);
    }
    return core->starved != NULL && at_home > 0;
}
