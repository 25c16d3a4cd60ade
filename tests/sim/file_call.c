/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk outside the ring: the blocking calls of kernel.h on files and directories, and what
 * tests do to the disk from outside.
 */
#include <stdlib.h>

#include "world.h"

/* "a//b/" → "/a/b". False when it is too long. */
bool path_normalize(const char *path, char *ret_path)
{
    size_t size = 0;
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/' && (path[i + 1] == '/' || path[i + 1] == '\0'))
            continue;
        if (size == 0 && path[i] != '/')
            ret_path[size++] = '/';
        if (size + 2 > PATH_BYTES_MAX)
            return false;
        ret_path[size++] = path[i];
    }
    if (size == 0)
        ret_path[size++] = '/';
    ret_path[size] = '\0';
    return true;
}

/* ---------------------------------------------------------------- blocking calls */

static int call_error(struct kernel *kernel)
{
    int error = planned_failure(kernel->sim, SIM_OPERATION_CALL, -EIO);
    return error == 0 && sim_chance(kernel->sim, SIM_FAULT_CALL_ERROR) ? -EIO : error;
}

static int make_directories(struct sim *sim, const char *path, bool is_durable)
{
    char part[PATH_BYTES_MAX];
    struct place_in place;
    for (size_t i = 1; path[0] != '\0' && path[1] != '\0'; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int32_t inode = disk_find(sim, part);
        if (inode == NONE) {
            if (!disk_place(sim, part, &place))
                return -ENOTDIR;
            inode = disk_make(sim, true);
            if (is_durable)
                disk_name_now(sim, place, inode);
            else
                disk_name_add(sim, NAME_CREATE, place, NULL, inode);
        } else if (!sim->inodes[inode].is_directory) {
            return -ENOTDIR;
        }
        if (path[i] == '\0')
            break;
    }
    return 0;
}

int kernel_directory_make(struct kernel *kernel, const char *path, unsigned mode)
{
    (void)mode;
    char whole[PATH_BYTES_MAX];
    int error = call_error(kernel);
    if (error < 0)
        return error;
    if (!path_normalize(path, whole))
        return -ENAMETOOLONG;
    return make_directories(kernel->sim, whole, false);
}

int kernel_directory_list(struct kernel *kernel, const char *path,
                          void (*each)(void *argument, const char *name, bool is_regular),
                          void *argument)
{
    struct sim *sim = kernel->sim;
    char whole[PATH_BYTES_MAX];
    int error = call_error(kernel);
    if (error < 0)
        return error;
    int32_t inode = path_normalize(path, whole) ? disk_find(sim, whole) : NONE;
    if (inode == NONE)
        return -ENOENT;
    if (!sim->inodes[inode].is_directory)
        return -ENOTDIR;
    for (uint32_t i = 0; i < sim->names.count; i++) {
        const struct name *name = &sim->names.rows[i];
        if (name->directory == inode)
            each(argument, name->text, !sim->inodes[name->inode].is_directory);
    }
    return 0;
}

int kernel_file_size(struct kernel *kernel, int fd, uint64_t *ret_size)
{
    const struct descriptor *descriptor = descriptor_of(kernel->sim, fd);
    int error = call_error(kernel);
    if (error < 0)
        return error;
    if (descriptor == NULL || descriptor->kind != DESCRIPTOR_FILE)
        return -EBADF;
    *ret_size = kernel->sim->inodes[descriptor->object].size;
    return 0;
}

int kernel_space_free(struct kernel *kernel, const char *path, uint64_t *ret_bytes)
{
    struct sim *sim = kernel->sim;
    char whole[PATH_BYTES_MAX];
    int error = call_error(kernel);
    if (error < 0)
        return error;
    if (!path_normalize(path, whole) || disk_find(sim, whole) == NONE)
        return -ENOENT;
    uint64_t used = sim->disk_pages * PAGE_BYTES;
    *ret_bytes = used < sim->options.disk_bytes ? sim->options.disk_bytes - used : 0;
    return 0;
}

/* ---------------------------------------------------------------- for tests */

int64_t sim_file_size(struct sim *sim, const char *path)
{
    char whole[PATH_BYTES_MAX];
    int32_t inode = path_normalize(path, whole) ? disk_find(sim, whole) : NONE;
    return inode == NONE ? -ENOENT : (int64_t)sim->inodes[inode].size;
}

int64_t sim_file_read(struct sim *sim, const char *path, uint64_t offset, void *data, size_t size)
{
    char whole[PATH_BYTES_MAX];
    int32_t inode = path_normalize(path, whole) ? disk_find(sim, whole) : NONE;
    return inode == NONE ? -ENOENT : (int64_t)disk_read(sim, inode, offset, data, size, false);
}

int sim_file_patch(struct sim *sim, const char *path, uint64_t offset, const void *data,
                   size_t size)
{
    char whole[PATH_BYTES_MAX], parent[PATH_BYTES_MAX];
    if (!path_normalize(path, whole))
        return -ENAMETOOLONG;
    int32_t inode = disk_find(sim, whole);
    if (inode == NONE) {
        size_t cut = (size_t)(strrchr(whole, '/') - whole);
        memcpy(parent, whole, cut);
        parent[cut] = '\0';
        int error = make_directories(sim, parent, true);
        if (error < 0)
            return error;
        struct place_in place;
        if (!disk_place(sim, whole, &place))
            return -ENOTDIR;
        inode = disk_make(sim, false);
        disk_name_now(sim, place, inode);
    }
    return disk_write(sim, inode, offset, data, size, true);
}

int sim_directory_make(struct sim *sim, const char *path)
{
    char whole[PATH_BYTES_MAX];
    return path_normalize(path, whole) ? make_directories(sim, whole, true) : -ENAMETOOLONG;
}

int sim_file_flip(struct sim *sim, const char *path, uint64_t bit)
{
    uint8_t byte;
    int64_t got = sim_file_read(sim, path, bit / 8, &byte, 1);
    if (got < 1)
        return got < 0 ? (int)got : -ERANGE;
    byte ^= (uint8_t)(1 << bit % 8);
    return sim_file_patch(sim, path, bit / 8, &byte, 1);
}

int sim_file_truncate(struct sim *sim, const char *path, uint64_t size)
{
    char whole[PATH_BYTES_MAX];
    int32_t inode = path_normalize(path, whole) ? disk_find(sim, whole) : NONE;
    return inode == NONE ? -ENOENT : disk_length(sim, inode, size, true);
}

int sim_file_delete(struct sim *sim, const char *path)
{
    char whole[PATH_BYTES_MAX];
    struct place_in place;
    if (!path_normalize(path, whole) || disk_find(sim, whole) == NONE ||
        !disk_place(sim, whole, &place))
        return -ENOENT;
    disk_forget_name(sim, place);
    return 0;
}

int sim_file_list(struct sim *sim, const char *directory,
                  void (*each)(void *argument, const char *name, uint64_t size), void *argument)
{
    char whole[PATH_BYTES_MAX];
    int32_t inode = path_normalize(directory, whole) ? disk_find(sim, whole) : NONE;
    if (inode == NONE)
        return -ENOENT;
    for (uint32_t i = 0; i < sim->names.count; i++) {
        const struct name *name = &sim->names.rows[i];
        if (name->directory == inode && !sim->inodes[name->inode].is_directory)
            each(argument, name->text, sim->inodes[name->inode].size);
    }
    return 0;
}
