/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small files beside the log: read whole, replaced whole. A replaced file is the old one or the new
 * one after any crash: temporary file, fsync, rename, fsync of the directory. What cannot be made
 * durable is an error, and is not tried again on the same file.
 */
#include <fcntl.h>
#include <stdio.h>

#include "store_private.h"

enum { PIECE_BYTES_MAX = 1 << 20 };

int folder_sync(struct core *core, const char *directory)
{
    int fd = await_open(core, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int result = await_fsync(core, fd, false);
    await_close(core, fd);
    return result < 0 ? result : 0;
}

int file_write(struct core *core, int fd, uint64_t offset, struct slice content)
{
    while (content.size > 0) {
        struct slice piece = slice_first(content, PIECE_BYTES_MAX);
        int result = await_write(core, fd, piece.data, piece.size, offset, 0);
        if (result == -EINTR || result == -EAGAIN)
            continue;
        if (result <= 0)
            return result < 0 ? result : -EIO;
        offset += (unsigned)result;
        content = slice_from(content, (unsigned)result);
    }
    return 0;
}

int file_read(struct core *core, int fd, uint64_t offset, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        int result =
            await_read(core, fd, at, size < PIECE_BYTES_MAX ? size : PIECE_BYTES_MAX, offset);
        if (result == -EINTR || result == -EAGAIN)
            continue;
        if (result <= 0)
            return result < 0 ? result : -ENODATA;
        at += result;
        offset += (unsigned)result;
        size -= (unsigned)result;
    }
    return 0;
}

int file_commit(struct core *core, int fd, const char *temporary, const char *path,
                const char *directory)
{
    int result = await_fsync(core, fd, false);
    if (result < 0)
        return result;
    result = await_rename(core, temporary, path);
    return result < 0 ? result : folder_sync(core, directory);
}

int file_make(struct core *core, const char *path)
{
    int result = await_unlink(core, path);
    if (result < 0 && result != -ENOENT)
        return result;
    return await_open(core, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int file_replace(struct core *core, const char *directory, const char *path, struct slice content)
{
    char temporary[STORE_PATH_BYTES_MAX + 64];
    int size = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof temporary)
        return -ENAMETOOLONG;
    int fd = file_make(core, temporary);
    if (fd < 0)
        return fd;
    int result = file_write(core, fd, 0, content);
    if (result == 0)
        result = file_commit(core, fd, temporary, path, directory);
    await_close(core, fd);
    return result;
}

int file_load(struct core *core, const char *path, size_t size_max, struct bytes *ret_content)
{
    uint64_t size;
    int fd = await_open(core, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    int result = kernel_file_size(core_kernel(core), fd, &size);
    struct bytes content = {0};
    if (result == 0 && size > size_max)
        result = -EFBIG;
    if (result == 0) {
        content.data = malloc((size_t)size + 1);
        content.size = (size_t)size;
        result =
            content.data == NULL ? -ENOMEM : file_read(core, fd, 0, content.data, (size_t)size);
    }
    await_close(core, fd);
    if (result < 0)
        put_free(&content);
    else
        *ret_content = content;
    return result;
}
