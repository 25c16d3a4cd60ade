/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files of a segment's size, written from end to end ahead of their use: writing into them later
 * changes no metadata, which halves the time of a commit. The keeper makes them, one write a step,
 * so that a rollover never waits for more than one write; dropped segments come back as spares.
 *
 * What lies in a spare does not matter (format.h, F1). When one cannot be made, spare_error says
 * why until one could, tried again every RETRY_NS: so a full disk heals by itself.
 */
#include "log_private.h"

#include <fcntl.h>
#include <stdio.h>

#include "ringpost/kernel.h"

static const uint64_t RETRY_NS = UINT64_C(1000000000);

void spare_path(const struct log *log, uint32_t id, char path[LOG_PATH_BYTES_MAX])
{
    snprintf(path, LOG_PATH_BYTES_MAX, "%s/spare-%u", log->directory, id);
}

/* Where the file system has no O_DIRECT, without: then a read after a failed sync may lie. */
int open_direct(struct log *log, const char *path, int flags)
{
    int fd = await_open(log->core, path, flags | O_DIRECT | O_NOFOLLOW, 0600);
    return fd == -EINVAL ? await_open(log->core, path, flags | O_NOFOLLOW, 0600) : fd;
}

void spare_discard(struct log *log, const struct spare *spare)
{
    char path[LOG_PATH_BYTES_MAX];
    spare_path(log, spare->id, path);
    if (spare->fd >= 0)
        await_close(log->core, spare->fd);
    await_unlink(log->core, path);
}

bool spare_add(struct log *log, const struct spare *spare)
{
    if (log->spare_count >= log->spares_wanted)
        return false;
    log->spares[log->spare_count++] = *spare;
    log->spare_error = 0;
    return true;
}

bool spare_wanted(const struct log *log)
{
    return log->spare_count < log->spares_wanted &&
           (log->spare_error == 0 || core_now_ns(log->core) >= log->spare_retry_ns);
}

static int fill_failed(struct log *log, int result)
{
    if (log->is_filling) {
        struct spare spare = log->filling;
        log->is_filling = false;
        spare_discard(log, &spare);
    }
    log->spare_error = log_error(result);
    log->spare_retry_ns = core_now_ns(log->core) + RETRY_NS;
    return log->spare_error;
}

static int fill_begin(struct log *log)
{
    char path[LOG_PATH_BYTES_MAX];
    void *zeros = log->zeros;
    size_t size = log->segment_bytes < LOG_ZERO_BYTES ? log->segment_bytes : LOG_ZERO_BYTES;
    if (zeros == NULL && posix_memalign(&zeros, 4096, size) != 0)
        return fill_failed(log, -ENOMEM);
    memset(zeros, 0, size);
    log->zeros = zeros;
    uint32_t id = log->spare_id_next++;
    spare_path(log, id, path);
    int fd = open_direct(log, path, O_CREAT | O_EXCL | O_RDWR);
    if (fd == -EEXIST)
        return 0;
    if (fd < 0)
        return fill_failed(log, fd);
    log->filling = (struct spare){id, fd};
    log->fill_offset = 0;
    log->is_filling = true;
    /* asks for the space first, so that a full disk is not written to in vain again and again */
    int result = await_fallocate(log->core, fd, 0, log->segment_bytes);
    return result < 0 && result != -EOPNOTSUPP ? fill_failed(log, result) : 0;
}

int spare_step(struct log *log)
{
    if (!log->is_filling)
        return fill_begin(log);
    if (log->fill_offset < log->segment_bytes) {
        uint32_t rest = log->segment_bytes - log->fill_offset;
        int result =
            await_write(log->core, log->filling.fd, log->zeros,
                        rest < LOG_ZERO_BYTES ? rest : LOG_ZERO_BYTES, log->fill_offset, 0);
        if (result <= 0)
            return fill_failed(log, result < 0 ? result : -EIO);
        log->fill_offset += (uint32_t)result / FORMAT_BLOCK_BYTES * FORMAT_BLOCK_BYTES;
        return result < FORMAT_BLOCK_BYTES ? fill_failed(log, -EIO) : 0;
    }
    int result = await_fsync(log->core, log->filling.fd, false);
    if (result < 0)
        return fill_failed(log, result);
    struct spare spare = log->filling;
    log->is_filling = false;
    if (!spare_add(log, &spare))
        spare_discard(log, &spare);
    if (log->spare_count >= log->spares_wanted) {
        free(log->zeros);
        log->zeros = NULL;
    }
    return 0;
}

/* Does it bear the header of a segment in use? After a failed directory sync a file may have two
 * names: then one of them is taken away, and nothing is written. 1, 0, or -errno. */
static int is_in_use(struct log *log, int fd)
{
    void *memory = NULL;
    struct format_segment header = {0};
    if (posix_memalign(&memory, 4096, FORMAT_HEADER_ALIGN_BYTES) != 0)
        return -ENOMEM;
    int result = await_read(log->core, fd, memory, FORMAT_HEADER_ALIGN_BYTES, 0);
    if (result >= (int)sizeof header)
        memcpy(&header, memory, sizeof header);
    free(memory);
    if (result < 0)
        return result;
    return memcmp(header.magic, FORMAT_MAGIC, sizeof header.magic) == 0 &&
           segment_find(log, header.number) != NULL;
}

/* Opens one that was found or that came back. It is synced, so that nothing that its earlier life
 * wrote can land on what it will hold. */
static int spare_open(struct log *log, struct spare *spare)
{
    char path[LOG_PATH_BYTES_MAX];
    uint64_t size = 0;
    spare_path(log, spare->id, path);
    spare->fd = open_direct(log, path, O_RDWR);
    if (spare->fd < 0)
        return spare->fd;
    int result = kernel_file_size(core_kernel(log->core), spare->fd, &size);
    if (result == 0 && size != log->segment_bytes)
        result = -EBADMSG;
    if (result == 0)
        result = is_in_use(log, spare->fd);
    return result != 0 ? -EBADMSG : await_fsync(log->core, spare->fd, false);
}

int spare_take(struct log *log, struct spare *ret_spare)
{
    for (;;) {
        while (log->spare_count == 0) {
            int result = spare_step(log);
            if (result < 0)
                return result;
        }
        struct spare spare = log->spares[--log->spare_count];
        if (spare.fd >= 0 || spare_open(log, &spare) == 0) {
            *ret_spare = spare;
            return 0;
        }
        spare_discard(log, &spare);
    }
}
