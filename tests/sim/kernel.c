/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rest of kernel.h: time, randomness, the wake-up of a core, helpers, the lock file, log lines.
 *
 * A lock that was given to the ring (kernel_slot_register) is let go only when the ring's last
 * write is done: after a kill it lingers until the last late one has landed, and some more.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "world.h"

enum { HELPS_MAX = 256 };

uint64_t kernel_monotonic_ns(struct kernel *kernel)
{
    return kernel->sim->now_ns;
}

int64_t kernel_wall_ns(struct kernel *kernel)
{
    return sim_wall_ns(kernel->sim);
}

void kernel_random(struct kernel *kernel, void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        uint64_t drawn = chance_next(&kernel->sim->program_chance);
        size_t part = size < sizeof drawn ? size : sizeof drawn;
        memcpy(at, &drawn, part);
        at += part;
        size -= part;
    }
}

const char *kernel_ring_advice(int error)
{
    (void)error;
    return "this is the simulator";
}

/* ---------------------------------------------------------------- wake-ups */

int kernel_wake_fd(struct kernel *kernel)
{
    for (uint32_t i = 0; i < kernel->sim->descriptor_count; i++)
        if (kernel->sim->descriptors[i].kind == DESCRIPTOR_WAKE &&
            kernel->sim->descriptors[i].object == (int32_t)kernel->index)
            return FD_FIRST + (int)i;
    return descriptor_add(kernel->sim, DESCRIPTOR_WAKE, (int32_t)kernel->index, 0);
}

void kernel_wake(struct kernel *target)
{
    struct sim *sim = target->sim;
    uint64_t delay = chance_around(sim, 2000);
    if (sim_chance(sim, SIM_FAULT_LATE_WAKE))
        delay += chance_below(sim, 20000000);
    event_add(sim, delay, EVENT_WAKE, target->index, sim->life);
}

static int32_t waiting_read(struct kernel *kernel)
{
    int32_t i = kernel->operations;
    while (i != NONE && !(kernel->sim->operations[i].is_wake &&
                          kernel->sim->operations[i].state == OPERATION_WAITING))
        i = kernel->sim->operations[i].ring_next;
    return i;
}

void wake_arrive(struct sim *sim, uint32_t core)
{
    struct kernel *kernel = &sim->kernels[core];
    kernel->wakes++;
    int32_t read = waiting_read(kernel);
    if (read != NONE)
        operation_schedule(sim, read, 0);
}

void wake_submit(struct kernel *kernel, int32_t index)
{
    if (kernel->wakes > 0)
        operation_schedule(kernel->sim, index, 0);
}

void wake_run(struct sim *sim, int32_t index)
{
    const struct operation *operation = &sim->operations[index];
    struct kernel *kernel = &sim->kernels[operation->core];
    if (operation->is_cancelled) {
        operation_end(sim, index, -ECANCELED, 0);
        return;
    }
    if (kernel->wakes == 0)
        return;
    memcpy(operation->data, &kernel->wakes, sizeof kernel->wakes);
    kernel->wakes = 0;
    operation_end(sim, index, sizeof kernel->wakes, 0);
}

/* ---------------------------------------------------------------- helpers */

int kernel_help(struct kernel *kernel, enum kernel_help pool, void (*work)(void *),
                void (*finished)(void *), void *argument)
{
    (void)pool; /* each piece of work has a delay of its own: no pool holds up another */
    struct sim *sim = kernel->sim;
    int error = planned_failure(sim, SIM_OPERATION_CALL, -EAGAIN);
    if (error < 0)
        return error;
    uint32_t index = 0;
    while (index < sim->help_count && sim->helps[index].is_used)
        index++;
    if (index == HELPS_MAX || sim_chance(sim, SIM_FAULT_HELP_FULL))
        return -EAGAIN;
    if (index == sim->help_count) {
        sim->helps =
            array_room(sim->helps, &sim->help_capacity, sim->help_count, sizeof *sim->helps);
        sim->help_count++;
    }
    sim->helps[index] = (struct help){true, kernel->index, work, finished, argument};
    event_add(sim, chance_around(sim, 1000000), EVENT_HELP, index, sim->life);
    return 0;
}

void help_run(struct sim *sim, uint32_t index)
{
    struct help help = sim->helps[index];
    sim->helps[index].is_used = false;
    memory_enter(sim);
    help.work(help.argument);
    help.finished(help.argument);
    memory_leave();
}

/* ---------------------------------------------------------------- the lock file */

int kernel_file_lock(struct kernel *kernel, const char *path)
{
    struct sim *sim = kernel->sim;
    int error = planned_failure(sim, SIM_OPERATION_CALL, -EIO);
    if (error == 0 && sim_chance(sim, SIM_FAULT_CALL_ERROR))
        error = -EIO;
    if (error < 0)
        return error;
    uint32_t i = 0;
    while (i < sim->lock_count && strcmp(sim->locks[i].path, path) != 0)
        i++;
    if (i == sim->lock_count) {
        sim->locks =
            array_room(sim->locks, &sim->lock_capacity, sim->lock_count, sizeof *sim->locks);
        size_t size = strlen(path) + 1;
        char *copy = memcpy(sim_keep_alloc(size), path, size);
        sim->locks[sim->lock_count++] = (struct lock){.path = copy};
    }
    struct lock *lock = &sim->locks[i];
    if (lock->is_held || lock->until_ns > sim->now_ns)
        return -EWOULDBLOCK;
    lock->is_held = true;
    lock->is_registered = false;
    lock->fd = descriptor_add(sim, DESCRIPTOR_LOCK, (int32_t)i, 0);
    return lock->fd;
}

int kernel_slot_register(struct kernel *kernel, struct io_uring *ring, unsigned slot, int fd)
{
    struct sim *sim = kernel->sim;
    assert(kernel->ring == ring && slot < KERNEL_SLOTS_HELD && kernel->held[slot] == NONE);
    const struct descriptor *descriptor = descriptor_of(sim, fd);
    if (descriptor == NULL)
        return -EBADF;
    int error = planned_failure(sim, SIM_OPERATION_CALL, -ENOMEM);
    if (error < 0)
        return error;
    kernel->held[slot] = fd;
    if (descriptor->kind == DESCRIPTOR_LOCK)
        sim->locks[descriptor->object].is_registered = true;
    return 0;
}

static bool is_held_by_ring(const struct sim *sim, int fd)
{
    for (unsigned core = 0; core < sim->options.engine.core_count; core++)
        for (unsigned i = 0; sim->kernels[core].ring != NULL && i < KERNEL_SLOTS_HELD; i++)
            if (sim->kernels[core].held[i] == fd)
                return true;
    return false;
}

/* True when nobody holds it any more. */
bool lock_close(struct sim *sim, int fd)
{
    if (is_held_by_ring(sim, fd))
        return false;
    for (uint32_t i = 0; i < sim->lock_count; i++)
        if (sim->locks[i].is_held && sim->locks[i].fd == fd)
            sim->locks[i].is_held = false;
    return true;
}

void locks_crash(struct sim *sim, enum sim_crash_kind kind, uint64_t last_late_ns)
{
    for (uint32_t i = 0; i < sim->lock_count; i++) {
        struct lock *lock = &sim->locks[i];
        if (kind == SIM_POWER_CUT) /* else the ring of a life before may still be ending */
            lock->until_ns = 0;
        if (lock->is_held && lock->is_registered && kind == SIM_KILL)
            lock->until_ns = sim->now_ns + last_late_ns + 1 + chance_below(sim, 500000000);
        lock->is_held = false;
    }
}

/* ---------------------------------------------------------------- log lines */

int kernel_log_write(struct kernel *kernel, const void *data, size_t size)
{
    struct sim *sim = kernel->sim;
    if (sim_chance(sim, SIM_FAULT_LOG_FULL))
        return -EAGAIN;
    sim->counts[SIM_COUNT_LOG_BYTES] += size;
    if (sim->log.size + size > LOG_KEPT_BYTES)
        bytes_drop(&sim->log, sim->log.size + size > 2 * LOG_KEPT_BYTES || size > LOG_KEPT_BYTES
                                  ? sim->log.size
                                  : sim->log.size + size - LOG_KEPT_BYTES);
    bytes_add(&sim->log, data, size);
    return (int)size;
}
