/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a disk may do. Each file is two images in pages of 4 KiB: the medium, and what the page
 * cache says; a clean page is one and the same memory, a page of zeros none at all. Writes that
 * completed but are not durable stand in order among the file's `pending`, with their bytes.
 *
 *   disk_write ─▶ cache, pending ──disk_sync──▶ medium
 *                              ├──disk_doom──▶ doomed: reads from the cache show it, nothing else
 *                              └──disk_cut───▶ any sectors of it to the medium; cache = medium
 *
 * Invariant: bytes of the medium beyond the durable size, and of the cache beyond the size, are
 * zeros.
 */
#include <stdlib.h>

#include "world.h"

/* ---------------------------------------------------------------- pages: kept between worlds */

static uint8_t **spare_pages;
static uint32_t spare_count, spare_capacity;

static uint8_t *page_take(const uint8_t *copy)
{
    uint8_t *page = spare_count > 0 ? spare_pages[--spare_count] : sim_keep_alloc(PAGE_BYTES);
    if (copy != NULL)
        memcpy(page, copy, PAGE_BYTES);
    else
        memset(page, 0, PAGE_BYTES);
    return page;
}

static void page_give(uint8_t *page)
{
    if (page == NULL)
        return;
    spare_pages = array_room(spare_pages, &spare_capacity, spare_count, sizeof *spare_pages);
    spare_pages[spare_count++] = page;
}

static void page_free(struct page *page)
{
    if (page->cache != page->medium)
        page_give(page->cache);
    page_give(page->medium);
    page->cache = page->medium = NULL;
}

static struct page *page_at(struct inode *inode, uint64_t number)
{
    assert(number < (UINT64_C(1) << 24));
    if (number >= inode->page_count) {
        uint32_t count = (uint32_t)number + 1;
        if (count > inode->page_capacity) {
            uint32_t capacity = inode->page_capacity ? inode->page_capacity : 16;
            while (capacity < count)
                capacity *= 2;
            inode->pages = sim_keep_resize(inode->pages, capacity * sizeof *inode->pages);
            inode->page_capacity = capacity;
        }
        memset(inode->pages + inode->page_count, 0,
               (count - inode->page_count) * sizeof *inode->pages);
        inode->page_count = count;
    }
    return &inode->pages[number];
}

enum image { CACHE, MEDIUM };

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && (size == 1 || memcmp(data, data + 1, size - 1) == 0);
}

static void page_write(struct page *page, enum image image, size_t offset, const uint8_t *data,
                       size_t size)
{
    uint8_t **mine = image == CACHE ? &page->cache : &page->medium;
    if (*mine == NULL && is_zero(data, size))
        return;
    if (page->cache == page->medium || *mine == NULL)
        *mine = page_take(*mine);
    memcpy(*mine + offset, data, size);
}

/* Both images at once. */
static void page_write_through(struct page *page, size_t offset, const uint8_t *data, size_t size)
{
    if (page->cache != page->medium) {
        page_write(page, CACHE, offset, data, size);
        page_write(page, MEDIUM, offset, data, size);
        return;
    }
    if (page->cache == NULL) {
        if (is_zero(data, size))
            return;
        page->cache = page->medium = page_take(NULL);
    }
    memcpy(page->cache + offset, data, size);
}

enum images { TO_CACHE, TO_MEDIUM, TO_BOTH };

static void image_write(struct inode *inode, enum images images, uint64_t offset,
                        const uint8_t *data, uint64_t size)
{
    while (size > 0) {
        size_t in_page = offset % PAGE_BYTES;
        size_t part = PAGE_BYTES - in_page < size ? PAGE_BYTES - in_page : (size_t)size;
        struct page *page = page_at(inode, offset / PAGE_BYTES);
        if (images == TO_BOTH)
            page_write_through(page, in_page, data, part);
        else
            page_write(page, images == TO_CACHE ? CACHE : MEDIUM, in_page, data, part);
        offset += part;
        data += part;
        size -= part;
    }
}

static void image_cut(struct inode *inode, enum images images, uint64_t size)
{
    static const uint8_t zeros[PAGE_BYTES];
    if (size % PAGE_BYTES != 0 && size / PAGE_BYTES < inode->page_count)
        image_write(inode, images, size, zeros, PAGE_BYTES - size % PAGE_BYTES);
    for (uint64_t i = (size + PAGE_BYTES - 1) / PAGE_BYTES; i < inode->page_count; i++) {
        struct page *page = &inode->pages[i];
        if (images == TO_BOTH) {
            page_free(page);
        } else if (images == TO_CACHE) {
            if (page->cache != page->medium)
                page_give(page->cache);
            page->cache = NULL;
        } else {
            if (page->cache != page->medium)
                page_give(page->medium);
            page->medium = NULL;
        }
    }
}

/* ---------------------------------------------------------------- space */

static int reserve(struct sim *sim, struct inode *inode, uint64_t offset, uint64_t size)
{
    if (size == 0)
        return 0;
    uint64_t first = offset / PAGE_BYTES, last = (offset + size - 1) / PAGE_BYTES, wanted = 0;
    for (uint64_t i = first; i <= last; i++)
        wanted += i >= inode->page_count || !inode->pages[i].is_reserved;
    if ((sim->disk_pages + wanted) * PAGE_BYTES > sim->options.disk_bytes)
        return -ENOSPC;
    for (uint64_t i = first; i <= last && wanted > 0; i++) {
        struct page *page = page_at(inode, i);
        if (!page->is_reserved)
            sim->disk_pages++;
        page->is_reserved = true;
    }
    return 0;
}

static void unreserve(struct sim *sim, struct inode *inode, uint64_t size)
{
    for (uint64_t i = (size + PAGE_BYTES - 1) / PAGE_BYTES; i < inode->page_count; i++) {
        if (inode->pages[i].is_reserved)
            sim->disk_pages--;
        inode->pages[i].is_reserved = false;
    }
}

int disk_reserve(struct sim *sim, int32_t index, uint64_t offset, uint64_t size)
{
    return reserve(sim, &sim->inodes[index], offset, size);
}

void sim_disk_capacity(struct sim *sim, uint64_t bytes)
{
    sim->options.disk_bytes = bytes;
}

uint64_t sim_disk_used(const struct sim *sim)
{
    return sim->disk_pages * PAGE_BYTES;
}

void sim_disk_slow(struct sim *sim, uint64_t ns)
{
    sim->disk_slow_ns = ns;
}

/* ---------------------------------------------------------------- content */

static struct pending *pending_add(struct sim *sim, struct inode *inode)
{
    inode->pending = array_room(inode->pending, &inode->pending_capacity, inode->pending_count,
                                sizeof *inode->pending);
    struct pending *pending = &inode->pending[inode->pending_count++];
    *pending = (struct pending){.sequence = sim->disk_sequence++};
    return pending;
}

static bool has_doomed(const struct inode *inode)
{
    for (uint32_t i = 0; i < inode->pending_count; i++)
        if (inode->pending[i].is_doomed)
            return true;
    return false;
}

static void copy_out(const struct inode *inode, enum image image, uint64_t offset, uint8_t *data,
                     size_t size)
{
    while (size > 0) {
        size_t in_page = offset % PAGE_BYTES;
        size_t part = PAGE_BYTES - in_page < size ? PAGE_BYTES - in_page : size;
        uint64_t number = offset / PAGE_BYTES;
        const uint8_t *from = NULL;
        if (number < inode->page_count)
            from = image == CACHE ? inode->pages[number].cache : inode->pages[number].medium;
        if (from != NULL)
            memcpy(data, from + in_page, part);
        else
            memset(data, 0, part);
        offset += part;
        data += part;
        size -= part;
    }
}

size_t disk_read(struct sim *sim, int32_t index, uint64_t offset, void *data, size_t size,
                 bool is_direct)
{
    const struct inode *inode = &sim->inodes[index];
    if (offset >= inode->size)
        return 0;
    if (size > inode->size - offset)
        size = (size_t)(inode->size - offset);
    if (!is_direct || !has_doomed(inode)) {
        copy_out(inode, CACHE, offset, data, size);
        return size;
    }
    copy_out(inode, MEDIUM, offset, data, size);
    for (uint32_t i = 0; i < inode->pending_count; i++) { /* written back first */
        const struct pending *pending = &inode->pending[i];
        if (pending->is_doomed || pending->kind != PENDING_WRITE)
            continue;
        uint64_t from = pending->offset > offset ? pending->offset : offset;
        uint64_t end = pending->offset + pending->size, want = offset + size;
        end = end < want ? end : want;
        if (from < end)
            memcpy((uint8_t *)data + (from - offset), pending->data + (from - pending->offset),
                   end - from);
    }
    return size;
}

int disk_write(struct sim *sim, int32_t index, uint64_t offset, const void *data, uint64_t size,
               bool is_durable)
{
    struct inode *inode = &sim->inodes[index];
    if (size == 0)
        return 0;
    int error = reserve(sim, inode, offset, size);
    if (error < 0)
        return error;
    image_write(inode, is_durable ? TO_BOTH : TO_CACHE, offset, data, size);
    if (offset + size > inode->size)
        inode->size = offset + size;
    if (is_durable) {
        if (offset + size > inode->durable_size)
            inode->durable_size = offset + size;
        return 0;
    }
    struct pending *pending = pending_add(sim, inode);
    pending->kind = PENDING_WRITE;
    pending->offset = offset;
    pending->size = size;
    pending->data = sim_keep_alloc(size);
    memcpy(pending->data, data, size);
    return 0;
}

int disk_length(struct sim *sim, int32_t index, uint64_t size, bool is_durable)
{
    struct inode *inode = &sim->inodes[index];
    if (size < inode->size) {
        image_cut(inode, is_durable ? TO_BOTH : TO_CACHE, size);
        unreserve(sim, inode, size);
    }
    inode->size = size;
    if (is_durable) {
        inode->durable_size = size;
    } else {
        struct pending *pending = pending_add(sim, inode);
        pending->kind = PENDING_LENGTH;
        pending->offset = size;
    }
    return 0;
}

static void durable_length(struct inode *inode, uint64_t size)
{
    if (size < inode->durable_size)
        image_cut(inode, TO_MEDIUM, size);
    inode->durable_size = size;
}

static void make_durable(struct inode *inode, const struct pending *pending)
{
    if (pending->kind == PENDING_LENGTH) {
        durable_length(inode, pending->offset);
        return;
    }
    image_write(inode, TO_MEDIUM, pending->offset, pending->data, pending->size);
    if (pending->offset + pending->size > inode->durable_size)
        inode->durable_size = pending->offset + pending->size;
}

static void pending_clear(struct inode *inode)
{
    for (uint32_t i = 0; i < inode->pending_count; i++)
        sim_keep_free(inode->pending[i].data);
    inode->pending_count = 0;
}

void disk_sync(struct sim *sim, int32_t index, uint64_t mark)
{
    struct inode *inode = &sim->inodes[index];
    if (inode->pending_count == 0)
        return;
    bool is_all = inode->pending[inode->pending_count - 1].sequence < mark && !has_doomed(inode);
    if (is_all) { /* then the cache is what the medium becomes */
        for (uint32_t i = 0; i < inode->page_count; i++) {
            struct page *page = &inode->pages[i];
            if (page->cache != page->medium)
                page_give(page->medium);
            page->medium = page->cache;
        }
        inode->durable_size = inode->size;
        pending_clear(inode);
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < inode->pending_count; i++) {
        struct pending *pending = &inode->pending[i];
        if (pending->is_doomed || pending->sequence >= mark) {
            inode->pending[kept++] = *pending;
            continue;
        }
        make_durable(inode, pending);
        sim_keep_free(pending->data);
    }
    inode->pending_count = kept;
}

void disk_doom(struct sim *sim, int32_t index, uint64_t mark)
{
    struct inode *inode = &sim->inodes[index];
    for (uint32_t i = 0; i < inode->pending_count; i++)
        if (inode->pending[i].sequence < mark)
            inode->pending[i].is_doomed = true;
}

/* ---------------------------------------------------------------- the power is cut */

static void cut_write(struct sim *sim, struct inode *inode, const struct pending *pending,
                      uint32_t mode)
{
    for (uint64_t done = 0; done < pending->size;) {
        uint64_t at = pending->offset + done, part = SECTOR_BYTES - at % SECTOR_BYTES;
        if (part > pending->size - done)
            part = pending->size - done;
        bool is_kept = mode == 1 || chance_below(sim, 2) == 0;
        if (is_kept)
            image_write(inode, TO_MEDIUM, at, pending->data + done, part);
        else
            sim->counts[SIM_COUNT_SECTORS_LOST]++;
        if ((is_kept || chance_below(sim, 4) == 0) && at + part > inode->durable_size)
            inode->durable_size = at + part;
        done += part;
    }
}

void inode_cut(struct sim *sim, struct inode *inode)
{
    uint32_t mode = inode->pending_count > 0 ? chance_below(sim, 4) : 0;
    for (uint32_t i = 0; i < inode->pending_count; i++) {
        const struct pending *pending = &inode->pending[i];
        if (pending->is_doomed || mode == 0)
            continue;
        if (pending->kind == PENDING_WRITE)
            cut_write(sim, inode, pending, mode);
        else if (mode == 1 || chance_below(sim, 2) == 0)
            durable_length(inode, pending->offset);
    }
    pending_clear(inode);
    for (uint32_t i = 0; i < inode->page_count; i++) {
        struct page *page = &inode->pages[i];
        if (page->cache != page->medium)
            page_give(page->cache);
        page->cache = page->medium;
    }
    if (inode->durable_size < inode->size)
        unreserve(sim, inode, inode->durable_size);
    inode->size = inode->durable_size;
}

/* Nothing is left of its content, in either image. */
void inode_empty(struct sim *sim, struct inode *inode)
{
    pending_clear(inode);
    unreserve(sim, inode, 0);
    for (uint32_t i = 0; i < inode->page_count; i++)
        page_free(&inode->pages[i]);
    inode->page_count = 0;
    inode->size = inode->durable_size = 0;
}
