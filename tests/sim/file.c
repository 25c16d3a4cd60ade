/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations on files, descriptors, and what a crash does to those in flight. An operation takes
 * its effect when it completes (a read sees the file of that moment); an fsync covers what had
 * completed when it was submitted.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "world.h"

/* ---------------------------------------------------------------- descriptors */

int descriptor_add(struct sim *sim, enum descriptor_kind kind, int32_t object, uint32_t flags)
{
    uint32_t index = 0;
    while (index < sim->descriptor_count && sim->descriptors[index].kind != DESCRIPTOR_FREE)
        index++;
    if (index == sim->descriptor_count) {
        sim->descriptors = array_room(sim->descriptors, &sim->descriptor_capacity,
                                      sim->descriptor_count, sizeof *sim->descriptors);
        sim->descriptor_count++;
    }
    sim->descriptors[index] = (struct descriptor){kind, object, flags};
    if (kind == DESCRIPTOR_FILE)
        sim->inodes[object].opens++;
    return FD_FIRST + (int)index;
}

struct descriptor *descriptor_of(struct sim *sim, int fd)
{
    if (fd < FD_FIRST || (unsigned)(fd - FD_FIRST) >= sim->descriptor_count)
        return NULL;
    struct descriptor *descriptor = &sim->descriptors[fd - FD_FIRST];
    return descriptor->kind == DESCRIPTOR_FREE ? NULL : descriptor;
}

int descriptor_close(struct sim *sim, int fd)
{
    struct descriptor *descriptor = descriptor_of(sim, fd);
    if (descriptor == NULL)
        return -EBADF;
    struct descriptor was = *descriptor;
    if (was.kind == DESCRIPTOR_LOCK && !lock_close(sim, fd))
        return 0; /* the ring holds it too */
    descriptor->kind = DESCRIPTOR_FREE;
    if (was.kind == DESCRIPTOR_FILE)
        disk_release(sim, was.object);
    else if (was.kind == DESCRIPTOR_SOCKET)
        socket_unref(sim, was.object);
    return 0;
}

/* ---------------------------------------------------------------- submitting */

static uint64_t disk_time(struct sim *sim)
{
    uint64_t ns = chance_around(sim, sim->options.disk_ns);
    if (sim_chance(sim, SIM_FAULT_SLOW_DISK))
        ns += chance_next(&sim->chance) % UINT64_C(5000000000);
    return ns < sim->disk_slow_ns ? sim->disk_slow_ns : ns;
}

static char *kept_path(const void *text, struct operation *operation)
{
    char path[PATH_BYTES_MAX];
    if (!path_normalize(text, path)) {
        operation->error = -ENAMETOOLONG;
        path[0] = '\0';
    }
    size_t size = strlen(path) + 1;
    return memcpy(sim_keep_alloc(size), path, size);
}

static bool is_misaligned(const struct operation *operation)
{
    if (!(operation->file_flags & O_DIRECT))
        return false;
    if (operation->opcode == IORING_OP_WRITEV) {
        const struct iovec *pieces = operation->data;
        for (uint64_t i = 0; i < operation->mode; i++)
            if (((uintptr_t)pieces[i].iov_base | pieces[i].iov_len) % SECTOR_BYTES != 0)
                return true;
        return operation->offset % SECTOR_BYTES != 0;
    }
    return ((uintptr_t)operation->data | operation->offset | operation->size) % SECTOR_BYTES != 0;
}

static void on_descriptor(struct sim *sim, struct operation *operation, int fd)
{
    const struct descriptor *descriptor = descriptor_of(sim, fd);
    if (descriptor == NULL || descriptor->kind != DESCRIPTOR_FILE) {
        operation->error = -EBADF;
        return;
    }
    operation->object = descriptor->object;
    operation->file_flags = descriptor->flags;
    const struct inode *inode = &sim->inodes[descriptor->object];
    sim->inodes[descriptor->object].opens++;
    unsigned access = descriptor->flags & O_ACCMODE;
    bool is_read = operation->opcode == IORING_OP_READ;
    bool is_write = operation->opcode == IORING_OP_WRITE || operation->opcode == IORING_OP_WRITEV ||
                    operation->opcode == IORING_OP_FALLOCATE;
    if (inode->is_directory && (is_read || is_write))
        operation->error = -EISDIR;
    else if ((is_read && access == O_WRONLY) || (is_write && access == O_RDONLY))
        operation->error = -EBADF;
    else if ((is_read || is_write) && operation->opcode != IORING_OP_FALLOCATE &&
             is_misaligned(operation))
        operation->error = -EINVAL;
}

void file_submit(struct kernel *kernel, int32_t index, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    struct operation *operation = &sim->operations[index];
    const struct descriptor *descriptor = descriptor_of(sim, sqe->fd);
    if (sqe->opcode == IORING_OP_READ && descriptor != NULL &&
        descriptor->kind == DESCRIPTOR_WAKE) {
        operation->is_wake = true;
        wake_submit(kernel, index);
        return;
    }
    operation->is_file = true;
    operation->mark = sim->disk_sequence;
    switch (sqe->opcode) {
    case IORING_OP_WRITEV:
        operation->mode = (uint32_t)operation->size; /* pieces */
        operation->size = 0;
        for (uint32_t i = 0; i < operation->mode; i++)
            operation->size += ((const struct iovec *)operation->data)[i].iov_len;
        operation->rw_flags = sqe->rw_flags;
        on_descriptor(sim, operation, sqe->fd);
        break;
    case IORING_OP_READ:
    case IORING_OP_WRITE:
        operation->rw_flags = sqe->rw_flags;
        on_descriptor(sim, operation, sqe->fd);
        break;
    case IORING_OP_FALLOCATE:
        operation->size = sqe->addr;
        on_descriptor(sim, operation, sqe->fd);
        break;
    case IORING_OP_FSYNC:
        on_descriptor(sim, operation, sqe->fd);
        break;
    case IORING_OP_OPENAT:
        operation->file_flags = sqe->open_flags;
        operation->path = kept_path(operation->data, operation);
        break;
    case IORING_OP_UNLINKAT:
        operation->path = kept_path(operation->data, operation);
        break;
    default: /* IORING_OP_RENAMEAT */
        operation->path = kept_path(operation->data, operation);
        operation->path2 = kept_path((const void *)(uintptr_t)sqe->addr2, operation);
    }
    if (operation->error == 0) {
        operation->error = planned_failure(sim, SIM_OPERATION_FILE, -EIO);
        operation->has_failed = operation->error < 0;
    }
    operation_schedule(sim, index, operation->error == -EBADF ? 0 : disk_time(sim));
}

/* ---------------------------------------------------------------- reading and writing */

static int run_read(struct sim *sim, struct operation *operation)
{
    sim->counts[SIM_COUNT_FILE_READS]++;
    if (sim_chance(sim, SIM_FAULT_READ_ERROR))
        return -EIO;
    bool is_direct = operation->file_flags & O_DIRECT;
    size_t size = disk_read(sim, operation->object, operation->offset, operation->data,
                            operation->size, is_direct);
    if (size > 0 && sim_chance(sim, SIM_FAULT_BIT_ROT)) {
        uint64_t bit = chance_next(&sim->chance) % (size * 8);
        uint8_t *byte = (uint8_t *)operation->data + bit / 8;
        *byte ^= (uint8_t)(1 << bit % 8);
        disk_write(sim, operation->object, operation->offset + bit / 8, byte, 1, true);
    }
    size_t unit = is_direct ? SECTOR_BYTES : 1;
    if (size > unit && sim_chance(sim, SIM_FAULT_SHORT_READ))
        size = unit * (1 + chance_below(sim, (uint32_t)((size - 1) / unit)));
    return (int)size;
}

/* `size` bytes of the operation's memory from `from` on. */
static int write_part(struct sim *sim, const struct operation *operation, uint64_t from,
                      uint64_t size, bool is_durable)
{
    if (operation->opcode == IORING_OP_WRITE)
        return disk_write(sim, operation->object, operation->offset + from,
                          (const uint8_t *)operation->data + from, size, is_durable);
    const struct iovec *pieces = operation->data;
    uint64_t at = 0;
    for (uint32_t i = 0; i < operation->mode && size > 0; i++) {
        uint64_t end = at + pieces[i].iov_len;
        if (end > from) {
            uint64_t part = end - from < size ? end - from : size;
            int error =
                disk_write(sim, operation->object, operation->offset + from,
                           (const uint8_t *)pieces[i].iov_base + (from - at), part, is_durable);
            if (error < 0)
                return error;
            from += part;
            size -= part;
        }
        at = end;
    }
    return 0;
}

/* Some sectors of a write that failed, or was under way, are new. */
static void write_some(struct sim *sim, const struct operation *operation)
{
    for (uint64_t done = 0; done < operation->size;) {
        uint64_t part = SECTOR_BYTES - (operation->offset + done) % SECTOR_BYTES;
        if (part > operation->size - done)
            part = operation->size - done;
        if (chance_below(sim, 2) == 0)
            write_part(sim, operation, done, part, false);
        done += part;
    }
}

static bool is_dsync(const struct operation *operation)
{
    return (operation->file_flags & O_DSYNC) || (operation->rw_flags & (RWF_DSYNC | RWF_SYNC));
}

static int run_write(struct sim *sim, struct operation *operation)
{
    sim->counts[SIM_COUNT_FILE_WRITES]++;
    if (sim_chance(sim, SIM_FAULT_WRITE_ERROR)) {
        write_some(sim, operation);
        return -EIO;
    }
    uint64_t size = operation->size, unit = operation->file_flags & O_DIRECT ? SECTOR_BYTES : 1;
    if (sim_chance(sim, SIM_FAULT_WRITE_FULL))
        return -ENOSPC;
    if (size > unit && sim_chance(sim, SIM_FAULT_SHORT_WRITE))
        size = unit * (1 + chance_below(sim, (uint32_t)((size - 1) / unit)));
    int error = write_part(sim, operation, 0, size, is_dsync(operation));
    return error < 0 ? error : (int)size;
}

static void fsync_failed(struct sim *sim, const struct operation *operation)
{
    if (sim->inodes[operation->object].is_directory)
        disk_sync_directory(sim, operation->object, operation->mark, true);
    else
        disk_doom(sim, operation->object, operation->mark);
}

static int run_fsync(struct sim *sim, struct operation *operation)
{
    sim->counts[SIM_COUNT_FSYNCS]++;
    if (sim_chance(sim, SIM_FAULT_FSYNC_ERROR)) {
        fsync_failed(sim, operation);
        return -EIO;
    }
    if (sim->inodes[operation->object].is_directory)
        disk_sync_directory(sim, operation->object, operation->mark, false);
    else
        disk_sync(sim, operation->object, operation->mark);
    return 0;
}

static int run_fallocate(struct sim *sim, struct operation *operation)
{
    int error = disk_reserve(sim, operation->object, operation->offset, operation->size);
    uint64_t end = operation->offset + operation->size;
    if (error == 0 && end > sim->inodes[operation->object].size)
        error = disk_length(sim, operation->object, end, false);
    return error;
}

/* ---------------------------------------------------------------- names */

static int run_open(struct sim *sim, struct operation *operation)
{
    uint32_t flags = operation->file_flags;
    int32_t inode = disk_find(sim, operation->path);
    struct place_in place;
    if (inode == NONE) {
        if (!disk_place(sim, operation->path, &place) || !(flags & O_CREAT))
            return -ENOENT;
        inode = disk_make(sim, false);
        disk_name_add(sim, NAME_CREATE, place, NULL, inode);
    } else if ((flags & O_CREAT) && (flags & O_EXCL)) {
        return -EEXIST;
    }
    bool is_directory = sim->inodes[inode].is_directory;
    if ((flags & O_DIRECTORY) && !is_directory)
        return -ENOTDIR;
    if (is_directory && (flags & O_ACCMODE) != O_RDONLY)
        return -EISDIR;
    if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY && sim->inodes[inode].size > 0)
        disk_length(sim, inode, 0, false);
    return descriptor_add(sim, DESCRIPTOR_FILE, inode, flags);
}

static int run_unlink(struct sim *sim, const struct operation *operation)
{
    int32_t inode = disk_find(sim, operation->path);
    struct place_in place;
    if (inode == NONE || !disk_place(sim, operation->path, &place))
        return -ENOENT;
    if (sim->inodes[inode].is_directory)
        return -EISDIR;
    disk_name_add(sim, NAME_UNLINK, place, NULL, inode);
    return 0;
}

static int run_rename(struct sim *sim, const struct operation *operation)
{
    int32_t inode = disk_find(sim, operation->path), old = disk_find(sim, operation->path2);
    struct place_in from, to;
    if (inode == NONE || !disk_place(sim, operation->path, &from) ||
        !disk_place(sim, operation->path2, &to))
        return -ENOENT;
    if (old == inode)
        return 0;
    bool is_directory = sim->inodes[inode].is_directory;
    if (old != NONE && sim->inodes[old].is_directory && !is_directory)
        return -EISDIR;
    if (old != NONE && !sim->inodes[old].is_directory && is_directory)
        return -ENOTDIR;
    if (old != NONE && is_directory && !disk_is_empty(sim, old))
        return -ENOTEMPTY;
    disk_name_add(sim, NAME_RENAME, from, &to, inode);
    return 0;
}

static int run_on_name(struct sim *sim, struct operation *operation)
{
    if (sim_chance(sim, SIM_FAULT_NAME_ERROR))
        return -EIO;
    switch (operation->opcode) {
    case IORING_OP_OPENAT:
        return run_open(sim, operation);
    case IORING_OP_UNLINKAT:
        return run_unlink(sim, operation);
    case IORING_OP_RENAMEAT:
        return run_rename(sim, operation);
    default:
        return run_fallocate(sim, operation);
    }
}

void file_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    int result = operation->error;
    if (result == 0) {
        switch (operation->opcode) {
        case IORING_OP_READ:
            result = run_read(sim, operation);
            break;
        case IORING_OP_WRITE:
        case IORING_OP_WRITEV:
            result = run_write(sim, operation);
            break;
        case IORING_OP_FSYNC:
            result = run_fsync(sim, operation);
            break;
        default:
            result = run_on_name(sim, operation);
        }
    } else if (operation->has_failed && operation->opcode == IORING_OP_FSYNC) {
        fsync_failed(sim, operation);
    }
    if (sim->options.verbose && operation->path != NULL)
        sim_trace(sim, "core %u: operation %d: %s%s%s", operation->core, index, operation->path,
                  operation->path2 == NULL ? "" : " to ",
                  operation->path2 == NULL ? "" : operation->path2);
    operation_end(sim, index, result, 0);
}

/* ---------------------------------------------------------------- crashes */

static void keep_late(struct sim *sim, const struct operation *operation, uint64_t delay_ns)
{
    uint32_t index = 0;
    while (index < sim->late_count && sim->lates[index].is_used)
        index++;
    if (index == sim->late_count) {
        sim->lates =
            array_room(sim->lates, &sim->late_capacity, sim->late_count, sizeof *sim->lates);
        sim->late_count++;
    }
    struct late *late = &sim->lates[index];
    *late = (struct late){true, operation->object, operation->offset, operation->size,
                          sim_keep_alloc(operation->size)};
    uint64_t at = 0;
    if (operation->opcode == IORING_OP_WRITE) {
        memcpy(late->data, operation->data, operation->size);
    } else {
        const struct iovec *pieces = operation->data;
        for (uint32_t i = 0; i < operation->mode; at += pieces[i].iov_len, i++)
            memcpy(late->data + at, pieces[i].iov_base, pieces[i].iov_len);
    }
    sim->inodes[late->inode].opens++;
    event_add(sim, delay_ns, EVENT_LATE, index, 0);
}

void late_land(struct sim *sim, uint32_t index)
{
    struct late *late = &sim->lates[index];
    if (!late->is_used) /* the power was cut in between */
        return;
    sim->counts[SIM_COUNT_LATE_WRITES]++;
    sim_trace(sim, "a write of the life before lands: %llu bytes at %llu",
              (unsigned long long)late->size, (unsigned long long)late->offset);
    disk_write(sim, late->inode, late->offset, late->data, late->size, false);
    disk_release(sim, late->inode);
    sim_keep_free(late->data);
    *late = (struct late){0};
}

static uint64_t settle_write(struct sim *sim, const struct operation *operation,
                             enum sim_crash_kind kind)
{
    uint32_t how = chance_below(sim, 3);
    if (kind == SIM_POWER_CUT) {
        if (how > 0)
            write_part(sim, operation, 0, operation->size, false);
        return 0;
    }
    if (how == 1)
        write_part(sim, operation, 0, operation->size, is_dsync(operation));
    if (how != 2 || kind != SIM_KILL)
        return 0;
    uint64_t delay = chance_next(&sim->chance) % UINT64_C(50000000);
    keep_late(sim, operation, delay);
    return delay;
}

/* What was in flight: done, not done, or (kill) to be done late. Returns how late the last is. */
static uint64_t settle(struct sim *sim, struct operation *operation, enum sim_crash_kind kind)
{
    if (operation->error != 0)
        return 0;
    switch (operation->opcode) {
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
        return settle_write(sim, operation, kind);
    case IORING_OP_UNLINKAT:
        if (chance_below(sim, 2) == 0)
            run_unlink(sim, operation);
        return 0;
    case IORING_OP_RENAMEAT:
        if (chance_below(sim, 2) == 0)
            run_rename(sim, operation);
        return 0;
    case IORING_OP_OPENAT:
        if (chance_below(sim, 2) == 0)
            run_open(sim, operation);
        return 0;
    case IORING_OP_FSYNC:
        if (kind != SIM_POWER_CUT && chance_below(sim, 2) == 0)
            run_fsync(sim, operation);
        return 0;
    default:
        return 0;
    }
}

void files_crash(struct sim *sim, enum sim_crash_kind kind)
{
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < sim->operation_count; i++) {
        struct operation *operation = &sim->operations[i];
        if (operation->state == OPERATION_FREE || !operation->is_file)
            continue;
        uint64_t late_ns = settle(sim, operation, kind);
        last_ns = late_ns > last_ns ? late_ns : last_ns;
    }
    for (uint32_t i = 0; i < sim->operation_count; i++) {
        struct operation *operation = &sim->operations[i];
        if (operation->state == OPERATION_FREE || !operation->is_file || operation->object == NONE)
            continue;
        int32_t inode = operation->object;
        operation->object = NONE;
        disk_release(sim, inode);
    }
    for (uint32_t i = 0; i < sim->descriptor_count; i++) {
        struct descriptor *descriptor = &sim->descriptors[i];
        if (descriptor->kind == DESCRIPTOR_FILE)
            disk_release(sim, descriptor->object);
        if (descriptor->kind != DESCRIPTOR_SOCKET)
            descriptor->kind = DESCRIPTOR_FREE;
    }
    locks_crash(sim, kind, last_ns);
    if (kind != SIM_POWER_CUT)
        return;
    for (uint32_t i = 0; i < sim->late_count; i++) { /* writes of an earlier life: lost */
        struct late *late = &sim->lates[i];
        if (!late->is_used)
            continue;
        disk_write(sim, late->inode, late->offset, late->data, late->size, false);
        disk_release(sim, late->inode);
        sim_keep_free(late->data);
        *late = (struct late){0};
    }
    disk_cut(sim);
}
