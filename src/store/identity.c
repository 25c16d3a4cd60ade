/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What makes a directory a store: the file `identity`. It says which store this is, so that a
 * segment of another one is known as such, and how many shards users are dealt out to, which is
 * fixed when the store is made.
 *
 *   ringpost store 1            the format's version: a newer one is refused
 *   id 0f3a...                  16 hexadecimal digits
 *   shards 2
 *   checksum 1a2b3c4d           CRC-32C of the lines above
 *
 * A shard's directory is shard-NNNN-XXXXXXXX: its number, and the id's last eight digits.
 */
#include <stdio.h>

#include "store_private.h"

enum { IDENTITY_BYTES_MAX = 1000 };
static const uint64_t LOCK_NS_MAX = UINT64_C(10000000000), LOCK_NS = UINT64_C(20000000);

static bool take_line(struct slice *rest, struct slice key, struct slice *ret_value)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = slice_first(*rest, end);
    if (end == rest->size || line.size <= key.size ||
        !slice_equal(slice_first(line, key.size), key))
        return false;
    *ret_value = slice_from(line, key.size);
    *rest = slice_from(*rest, end + 1);
    return true;
}

static bool hex_number(struct slice s, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.size == 0 || s.size > 16)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = memchr(digits, s.data[i], 16);
        if (at == NULL)
            return false;
        value = value << 4 | (uint64_t)(at - digits);
    }
    *ret_value = value;
    return true;
}

static int identity_parse(struct slice content, uint64_t *ret_id, unsigned *ret_shard_count)
{
    struct slice rest = content, text;
    uint64_t version, id, shards, checksum;
    if (!take_line(&rest, SLICE("ringpost store "), &text) ||
        !slice_number(text, UINT32_MAX, &version))
        return -EBADMSG;
    if (version > STORE_VERSION)
        return -EPROTO;
    if (!take_line(&rest, SLICE("id "), &text) || !hex_number(text, &id) ||
        !take_line(&rest, SLICE("shards "), &text) || !slice_number(text, SHARDS_MAX, &shards))
        return -EBADMSG;
    uint32_t sum = crc32c(0, content.data, content.size - rest.size);
    if (!take_line(&rest, SLICE("checksum "), &text) || !hex_number(text, &checksum) ||
        checksum != sum || shards == 0 || rest.size != 0)
        return -EBADMSG;
    *ret_id = id;
    *ret_shard_count = (unsigned)shards;
    return 0;
}

/* The names of the store's directory and of its parents are durable, if a sync tells the truth. It
 * may not when a sync failed in an earlier life, which then died: the name is there, unwritten, and
 * no later sync writes it. Everything else in a store gets a fresh name then (identity_make); this
 * name is the config's, and to move what may be the operator's own directory away and back for it
 * would risk more than it saves: a file system with a journal stops for good when it cannot write
 * names (ext4 aborts its journal, xfs shuts down), so what is seen in a later life has been
 * written. On one without a journal the promise holds for a directory that was there before the
 * first start. */
static int ancestors_sync(struct core *core, const char *directory)
{
    char path[STORE_PATH_BYTES_MAX];
    size_t size = strlen(directory);
    int result = 0;
    while (size > 0 && result == 0 && (size > 1 || directory[0] != '/')) {
        while (size > 1 && directory[size - 1] == '/')
            size--;
        while (size > 0 && directory[size - 1] != '/')
            size--;
        memcpy(path, directory, size);
        memcpy(path + size, size == 0 ? "." : "", size == 0 ? 2 : 1);
        result = folder_sync(core, path);
        if (result == -EACCES) /* a parent that was there before us */
            result = 0;
    }
    return result;
}

static int identity_write(struct core *core, const char *directory, const char *path, uint64_t id,
                          unsigned shard_count)
{
    char text[IDENTITY_BYTES_MAX];
    int size = snprintf(text, sizeof text, "ringpost store %u\nid %016llx\nshards %u\n",
                        (unsigned)STORE_VERSION, (unsigned long long)id, shard_count);
    size += snprintf(text + size, sizeof text - (size_t)size, "checksum %08x\n",
                     crc32c(0, text, (size_t)size));
    return file_replace(core, directory, path, slice_of(text, (size_t)size));
}

void shard_directory(const char *directory, uint64_t id, unsigned number,
                     char path[STORE_PATH_BYTES_MAX + 32])
{
    snprintf(path, STORE_PATH_BYTES_MAX + 32, "%s/shard-%04u-%08x", directory, number,
             (unsigned)(uint32_t)id);
}

/* Makes a store: its directories are durable before the identity says that it is one. Their names
 * are new each time: one from an earlier try may stem from a sync that failed, and then another
 * sync of it promises nothing. */
static int identity_make(struct core *core, const char *directory, const char *path,
                         unsigned shard_count, uint64_t *ret_id)
{
    uint64_t id;
    core_random(core, &id, sizeof id);
    int result = ancestors_sync(core, directory);
    for (unsigned number = 0; number < shard_count && result == 0; number++) {
        char shard[STORE_PATH_BYTES_MAX + 32];
        shard_directory(directory, id, number, shard);
        result = kernel_directory_make(core_kernel(core), shard, 0700);
    }
    if (result == 0)
        result = folder_sync(core, directory);
    if (result == 0)
        result = identity_write(core, directory, path, id, shard_count);
    if (result == 0)
        *ret_id = id;
    return result;
}

/* Held by the ring: one process at a time makes or opens a store, and no write of a dead one is
 * still to land. */
static int lock_take(struct core *core, const char *directory)
{
    char path[STORE_PATH_BYTES_MAX + 32];
    snprintf(path, sizeof path, "%s/lock", directory);
    uint64_t until = core_now_ns(core) + LOCK_NS_MAX;
    int fd;
    while ((fd = kernel_file_lock(core_kernel(core), path)) == -EWOULDBLOCK &&
           core_now_ns(core) < until)
        fiber_sleep(core, LOCK_NS);
    if (fd < 0)
        return fd;
    int result = core_hold_fd(core, fd);
    await_close(core, fd);
    return result;
}

/* One that is there is written again, so that its name is durable whatever became of the life that
 * made it. */
int identity_open(struct core *core, const char *directory, unsigned shard_count, uint64_t *ret_id,
                  unsigned *ret_shard_count)
{
    char path[STORE_PATH_BYTES_MAX + 32];
    snprintf(path, sizeof path, "%s/identity", directory);
    struct bytes content;
    uint64_t id = 0;
    int result = lock_take(core, directory);
    if (result < 0)
        return result;
    result = file_load(core, path, IDENTITY_BYTES_MAX, &content);
    if (result == -ENOENT) {
        if (shard_count == 0 || shard_count > SHARDS_MAX)
            return -EINVAL;
        result = identity_make(core, directory, path, shard_count, &id);
    } else if (result == 0) {
        result = identity_parse(slice_of(content.data, content.size), &id, &shard_count);
        put_free(&content);
        if (result == 0)
            result = identity_write(core, directory, path, id, shard_count);
        if (result == -ENOSPC) /* a full store is opened for those who will delete */
            result = 0;
    }
    if (result < 0)
        return result;
    *ret_id = id;
    *ret_shard_count = shard_count;
    return 0;
}
