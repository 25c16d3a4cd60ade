/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading a checkpoint: its head and directory at start, a mailbox's part when it is asked for. The
 * log is opened at the beginning of the segment that holds the last record the checkpoint knows;
 * replay must find that very record there, or the checkpoint is of another past and is thrown away
 * (D06). A part that turns out damaged later is made again from the log (cold.c).
 */
#include <fcntl.h>
#include <stdio.h>

#include "store_private.h"

enum { DIRECTORY_BYTES_MAX = 1 << 30 };

int checkpoint_head_check(const struct shard *shard, const struct checkpoint_head *head,
                          uint64_t size)
{
    struct checkpoint_head zeroed = *head;
    zeroed.checksum = 0;
    if (memcmp(head->magic, "RINGPCHK", 8) != 0 ||
        crc32c(0, &zeroed, sizeof zeroed) != head->checksum || head->version != 1)
        return -EBADMSG;
    if (head->shard != shard->number || head->store_id != shard->store->id)
        return -EXDEV;
    if (head->directory_bytes > DIRECTORY_BYTES_MAX ||
        head->directory_offset < CHECKPOINT_HEAD_BYTES || head->directory_offset > size ||
        head->directory_bytes > size - head->directory_offset)
        return -EBADMSG;
    return 0;
}

struct newest {
    uint64_t number;
};

static void newest_each(void *argument, const char *name, bool is_regular)
{
    struct newest *newest = argument;
    struct slice text = slice_cstr(name);
    uint64_t number;
    if (is_regular && text.size == 14 && slice_equal(slice_from(text, 10), SLICE(".log")) &&
        slice_number(slice_first(text, 10), UINT32_MAX, &number) && number > newest->number)
        newest->number = number;
}

/* Is the log shorter than the checkpoint thinks? */
static int ahead_check(const struct shard *shard, uint32_t segment)
{
    struct newest newest = {0};
    int result =
        kernel_directory_list(core_kernel(shard->core), shard->directory, newest_each, &newest);
    return result < 0 ? result : newest.number < segment ? -ESTALE : 0;
}

static int directory_read(struct shard *shard, int fd, const struct checkpoint_head *head)
{
    size_t size = (size_t)head->directory_bytes;
    char *data = malloc(size + 1);
    if (data == NULL)
        return -ENOMEM;
    int result = file_read(shard->core, fd, head->directory_offset, data, size);
    if (result == 0 && crc32c(0, data, size) != head->directory_checksum)
        result = -EBADMSG;
    if (result == 0)
        result = directory_load(shard, slice_of(data, size));
    free(data);
    return result;
}

static int load_from(struct shard *shard, int fd)
{
    struct checkpoint_head head;
    uint64_t size;
    int result = kernel_file_size(core_kernel(shard->core), fd, &size);
    if (result == 0)
        result = file_read(shard->core, fd, 0, &head, sizeof head);
    if (result == 0)
        result = checkpoint_head_check(shard, &head, size);
    if (result == 0)
        result = ahead_check(shard, head.segment);
    if (result == 0)
        result = directory_read(shard, fd, &head);
    if (result < 0)
        return result;
    shard->folded = (struct log_position){head.segment, head.offset};
    shard->folded_sequence = head.sequence;
    shard->checkpoint = (struct checkpoint){.fd = fd,
                                            .position = shard->folded,
                                            .sequence = head.sequence,
                                            .size = size,
                                            .is_seen = head.sequence == 0};
    return 0;
}

int checkpoint_load(struct shard *shard)
{
    char path[STORE_PATH_BYTES_MAX + 64];
    checkpoint_path(shard, path);
    int fd = await_open(shard->core, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    int result = load_from(shard, fd);
    if (result < 0) {
        await_close(shard->core, fd);
        shard_clear(shard);
    }
    return result;
}

void checkpoint_forget(struct shard *shard)
{
    while (shard->loading > 0)
        waiters_wait(shard->core, &shard->loaded, 0);
    int fd = shard->checkpoint.fd;
    shard->checkpoint = (struct checkpoint){.fd = -1};
    if (fd >= 0)
        await_close(shard->core, fd);
}

/* ---------------------------------------------------------------- one mailbox's part */

int part_read(struct shard *shard, uint32_t id, uint64_t offset, uint32_t count,
              unsigned char **ret_entries)
{
    unsigned char head[PART_HEAD_BYTES];
    size_t size = (size_t)count * PART_ENTRY_BYTES;
    unsigned char *entries = malloc(size + 1);
    if (entries == NULL)
        return -ENOMEM;
    int fd = shard->checkpoint.fd;
    int result = fd < 0 ? -EBADMSG : file_read(shard->core, fd, offset, head, sizeof head);
    if (result == 0)
        result = file_read(shard->core, fd, offset + sizeof head, entries, size);
    uint32_t read_id, read_count, checksum;
    memcpy(&read_id, head, 4);
    memcpy(&read_count, head + 4, 4);
    memcpy(&checksum, head + 8, 4);
    if (result == 0 && (read_id != id || read_count != count ||
                        crc32c(crc32c(0, &id, sizeof id), entries, size) != checksum))
        result = -EBADMSG;
    if (result < 0) {
        free(entries);
        return result;
    }
    *ret_entries = entries;
    return 0;
}
