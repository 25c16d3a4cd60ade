/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core's receive buffers: one mapping, lent to the kernel through a buffer ring, coming back
 * filled with a completion; and a few large ones, in a ring of their own, for bulk.
 *
 *   home (in the ring) ──recv──▶ lent (buffer_of) ──buffer_give──▶ home
 *
 * A multishot receive that found no buffer ends with -ENOBUFS, even on an idle socket. It waits in
 * the `starved` queue; when buffers are home the waiting receives are armed again, oldest first,
 * some per turn and for as many turns as it takes: one that proves idle must not keep the buffer
 * from one that has data.
 *
 * Numbers from buffer_count on are the bulk buffers'. A receive that finds none of these home falls
 * back to the others, so they have no queue, and no part in what pressure is.
 *
 * Invariant B1: buffers_lent <= buffer_count; a buffer is given back once.
 */
#include "core_private.h"

#include <sys/mman.h>

enum { REARMS_MIN = 16 };

static size_t ring_bytes(unsigned count)
{
    return count * sizeof(struct io_uring_buf);
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool is_bulk(const struct core *core, unsigned number)
{
    return number >= core->buffer_count;
}

unsigned buffer_size(const struct core *core, unsigned number)
{
    return is_bulk(core, number) ? BULK_BUFFER_BYTES : BUFFER_BYTES;
}

static char *memory_of(const struct core *core, unsigned number)
{
    return is_bulk(core, number)
               ? core->bulk_memory + (size_t)(number - core->buffer_count) * BULK_BUFFER_BYTES
               : core->buffer_memory + (size_t)number * BUFFER_BYTES;
}

static void home(struct core *core, unsigned number)
{
    struct io_uring_buf_ring *ring = is_bulk(core, number) ? core->bulk_ring : core->buffer_ring;
    unsigned count = is_bulk(core, number) ? BULK_BUFFERS : core->buffer_count;
    io_uring_buf_ring_add(ring, memory_of(core, number), buffer_size(core, number),
                          (unsigned short)number, io_uring_buf_ring_mask(count), 0);
    io_uring_buf_ring_advance(ring, 1);
}

int buffers_open(struct core *core)
{
    core->buffer_count = core->engine->options.buffers;
    core->starved_end = &core->starved;
    core->buffer_ring = map(ring_bytes(core->buffer_count));
    core->buffer_memory = map((size_t)core->buffer_count * BUFFER_BYTES);
    core->bulk_ring = map(ring_bytes(BULK_BUFFERS));
    core->bulk_memory = map((size_t)BULK_BUFFERS * BULK_BUFFER_BYTES);
    if (core->buffer_ring == NULL || core->buffer_memory == NULL || core->bulk_ring == NULL ||
        core->bulk_memory == NULL)
        return -ENOMEM;
    io_uring_buf_ring_init(core->buffer_ring);
    io_uring_buf_ring_init(core->bulk_ring);
    int result = kernel_buffers_register(core->kernel, &core->ring, core->buffer_ring,
                                         core->buffer_count, BUFFER_GROUP);
    if (result == 0)
        result = kernel_buffers_register(core->kernel, &core->ring, core->bulk_ring, BULK_BUFFERS,
                                         BUFFER_GROUP_BULK);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < core->buffer_count + BULK_BUFFERS; i++)
        home(core, i);
    return 0;
}

static void unmap(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}

void buffers_close(struct core *core)
{
    unmap(core->buffer_ring, ring_bytes(core->buffer_count));
    unmap(core->buffer_memory, (size_t)core->buffer_count * BUFFER_BYTES);
    unmap(core->bulk_ring, ring_bytes(BULK_BUFFERS));
    unmap(core->bulk_memory, (size_t)BULK_BUFFERS * BULK_BUFFER_BYTES);
    core->buffer_ring = core->bulk_ring = NULL;
    core->buffer_memory = core->bulk_memory = NULL;
}

static unsigned number_of(const struct core *core, unsigned cqe_flags)
{
    unsigned number = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
    assert(number < core->buffer_count + BULK_BUFFERS && "E4");
    return number;
}

void buffer_take(struct core *core, unsigned cqe_flags)
{
    if (is_bulk(core, number_of(core, cqe_flags)))
        core->bulk_lent++;
    else
        core->buffers_lent++;
}

char *buffer_of(struct core *core, unsigned cqe_flags, unsigned *ret_number)
{
    assert(cqe_flags & IORING_CQE_F_BUFFER);
    *ret_number = number_of(core, cqe_flags);
    return memory_of(core, *ret_number);
}

/* The one place where a buffer goes home (E4). */
void buffer_give(struct core *core, unsigned number)
{
    unsigned *lent = is_bulk(core, number) ? &core->bulk_lent : &core->buffers_lent;
    assert(number < core->buffer_count + BULK_BUFFERS && "E4");
    assert(*lent != 0 && "B1");
    *lent -= 1;
    home(core, number);
}

bool buffer_pressure(const struct core *core)
{
    return core->buffers_lent > core->buffer_count / 2;
}

unsigned buffer_lent(const struct core *core)
{
    return core->buffers_lent + core->bulk_lent;
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
