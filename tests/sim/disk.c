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
 * Names are a table (whole path → file) in the same two states; what lies between them are name
 * operations, made durable by syncing the directory they lie in.
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

/* ---------------------------------------------------------------- names */

static uint32_t hash_of(const char *path, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)path[i]) * 16777619u;
    return hash;
}

static struct name *name_find(const struct names *names, const char *path, size_t size)
{
    uint32_t hash = hash_of(path, size);
    for (uint32_t i = 0; i < names->count; i++) {
        struct name *name = &names->rows[i];
        if (name->hash == hash && strncmp(name->path, path, size) == 0 && name->path[size] == '\0')
            return name;
    }
    return NULL;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = sim_keep_alloc(size + 1);
    memcpy(copy, text, size);
    return copy;
}

static uint32_t *references(struct sim *sim, const struct names *names, int32_t inode)
{
    return names == &sim->names ? &sim->inodes[inode].names : &sim->inodes[inode].durable_names;
}

static void collect(struct sim *sim, int32_t index)
{
    struct inode *inode = &sim->inodes[index];
    if (!inode->is_used || inode->opens > 0 || inode->names > 0 || inode->durable_names > 0)
        return;
    for (uint32_t i = 0; i < sim->name_operation_count; i++)
        if (sim->name_operations[i].inode == index)
            return;
    pending_clear(inode);
    unreserve(sim, inode, 0);
    for (uint32_t i = 0; i < inode->page_count; i++)
        page_free(&inode->pages[i]);
    inode->page_count = 0;
    inode->size = inode->durable_size = 0;
    inode->is_used = false;
}

static void name_drop(struct sim *sim, struct names *names, struct name *name)
{
    int32_t inode = name->inode;
    sim_keep_free(name->path);
    *name = names->rows[--names->count];
    --*references(sim, names, inode);
    collect(sim, inode);
}

static void name_set(struct sim *sim, struct names *names, const char *path, int32_t inode)
{
    size_t size = strlen(path);
    struct name *name = name_find(names, path, size);
    ++*references(sim, names, inode);
    if (name != NULL) {
        int32_t old = name->inode;
        name->inode = inode;
        --*references(sim, names, old);
        collect(sim, old);
        return;
    }
    names->rows = array_room(names->rows, &names->capacity, names->count, sizeof *names->rows);
    names->rows[names->count++] = (struct name){copy_text(path, size), hash_of(path, size), inode};
}

static void name_change(struct sim *sim, struct names *names, const struct name_operation *change)
{
    struct name *name = name_find(names, change->path, strlen(change->path));
    switch (change->kind) {
    case NAME_CREATE:
        name_set(sim, names, change->path, change->inode);
        break;
    case NAME_UNLINK:
        if (name != NULL && name->inode == change->inode)
            name_drop(sim, names, name);
        break;
    case NAME_RENAME:
        name_set(sim, names, change->to, change->inode);
        name = name_find(names, change->path, strlen(change->path));
        if (name != NULL && name->inode == change->inode)
            name_drop(sim, names, name);
        break;
    }
}

int32_t disk_find(const struct sim *sim, const char *path)
{
    const struct name *name = name_find(&sim->names, path, strlen(path));
    return name == NULL ? NONE : name->inode;
}

/* "/a/b" → "/a"; "/a" → "/". */
static size_t parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? 1 : (size_t)(slash - path);
}

bool disk_parent_is_there(const struct sim *sim, const char *path)
{
    const struct name *parent = name_find(&sim->names, path, parent_size(path));
    return parent != NULL && sim->inodes[parent->inode].is_directory;
}

int32_t disk_make(struct sim *sim, const char *path, bool is_directory)
{
    uint32_t index = 0;
    while (index < sim->inode_count && sim->inodes[index].is_used)
        index++;
    if (index == sim->inode_count) {
        sim->inodes =
            array_room(sim->inodes, &sim->inode_capacity, sim->inode_count, sizeof *sim->inodes);
        sim->inodes[sim->inode_count++] = (struct inode){0};
    }
    struct inode *inode = &sim->inodes[index];
    inode->is_used = true;
    inode->is_directory = is_directory;
    inode->opens = inode->names = inode->durable_names = 0;
    if (path != NULL) { /* durable at once */
        name_set(sim, &sim->names, path, (int32_t)index);
        name_set(sim, &sim->durable_names, path, (int32_t)index);
    }
    return (int32_t)index;
}

void disk_name_add(struct sim *sim, enum name_operation_kind kind, const char *path, const char *to,
                   int32_t inode)
{
    sim->name_operations = array_room(sim->name_operations, &sim->name_operation_capacity,
                                      sim->name_operation_count, sizeof *sim->name_operations);
    struct name_operation *change = &sim->name_operations[sim->name_operation_count++];
    *change = (struct name_operation){
        .kind = kind,
        .path = copy_text(path, strlen(path)),
        .to = to == NULL ? NULL : copy_text(to, strlen(to)),
        .inode = inode,
        .sequence = sim->disk_sequence++,
    };
    name_change(sim, &sim->names, change);
}

void disk_forget_name(struct sim *sim, const char *path)
{
    struct names *both[] = {&sim->names, &sim->durable_names};
    for (int i = 0; i < 2; i++) {
        struct name *name = name_find(both[i], path, strlen(path));
        if (name != NULL)
            name_drop(sim, both[i], name);
    }
}

void disk_release(struct sim *sim, int32_t index)
{
    assert(sim->inodes[index].opens > 0);
    sim->inodes[index].opens--;
    collect(sim, index);
}

static bool lies_in(const char *path, const char *directory)
{
    size_t size = parent_size(path);
    return strlen(directory) == size && memcmp(path, directory, size) == 0;
}

static void name_operation_free(struct sim *sim, struct name_operation change)
{
    sim_keep_free(change.path);
    sim_keep_free(change.to);
    collect(sim, change.inode);
}

void disk_sync_directory(struct sim *sim, int32_t inode, uint64_t mark)
{
    const char *directory = NULL;
    for (uint32_t i = 0; i < sim->names.count; i++)
        if (sim->names.rows[i].inode == inode)
            directory = sim->names.rows[i].path;
    uint32_t count = sim->name_operation_count;
    sim->name_operation_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct name_operation change = sim->name_operations[i];
        bool is_here = directory != NULL && (lies_in(change.path, directory) ||
                                             (change.to != NULL && lies_in(change.to, directory)));
        if (!is_here || change.sequence >= mark) {
            sim->name_operations[sim->name_operation_count++] = change;
            continue;
        }
        sim->name_operations[i].inode = NONE;
        name_change(sim, &sim->durable_names, &change);
        name_operation_free(sim, change);
    }
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

static void cut_inode(struct sim *sim, struct inode *inode)
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

static void drop_orphans(struct sim *sim, struct names *names)
{
    for (uint32_t i = 0; i < names->count;) {
        const char *path = names->rows[i].path;
        if (strcmp(path, "/") == 0 || name_find(names, path, parent_size(path)) != NULL) {
            i++;
            continue;
        }
        name_drop(sim, names, &names->rows[i]);
        i = 0;
    }
}

/* All descriptors are closed, all operations in flight are settled. */
void disk_cut(struct sim *sim)
{
    uint32_t mode = sim->name_operation_count > 0 ? chance_below(sim, 4) : 0;
    uint32_t count = sim->name_operation_count;
    for (uint32_t i = 0; i < count; i++)
        if (mode == 1 || (mode > 1 && chance_below(sim, 2) == 0))
            name_change(sim, &sim->durable_names, &sim->name_operations[i]);
    drop_orphans(sim, &sim->durable_names);
    for (uint32_t i = 0; i < sim->durable_names.count; i++)
        name_set(sim, &sim->names, sim->durable_names.rows[i].path,
                 sim->durable_names.rows[i].inode);
    for (uint32_t i = 0; i < sim->names.count;) {
        struct name *name = &sim->names.rows[i];
        if (name_find(&sim->durable_names, name->path, strlen(name->path)) == NULL)
            name_drop(sim, &sim->names, name);
        else
            i++;
    }
    sim->name_operation_count = 0;
    for (uint32_t i = 0; i < count; i++)
        name_operation_free(sim, sim->name_operations[i]);
    for (uint32_t i = 0; i < sim->inode_count; i++)
        if (sim->inodes[i].is_used)
            cut_inode(sim, &sim->inodes[i]);
}

void disk_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inode_count; i++) {
        struct inode *inode = &sim->inodes[i];
        pending_clear(inode);
        for (uint32_t j = 0; j < inode->page_count; j++)
            page_free(&inode->pages[j]);
        sim_keep_free(inode->pages);
        sim_keep_free(inode->pending);
    }
    for (uint32_t i = 0; i < sim->names.count; i++)
        sim_keep_free(sim->names.rows[i].path);
    for (uint32_t i = 0; i < sim->durable_names.count; i++)
        sim_keep_free(sim->durable_names.rows[i].path);
    for (uint32_t i = 0; i < sim->name_operation_count; i++) {
        sim_keep_free(sim->name_operations[i].path);
        sim_keep_free(sim->name_operations[i].to);
    }
    sim_keep_free(sim->inodes);
    sim_keep_free(sim->names.rows);
    sim_keep_free(sim->durable_names.rows);
    sim_keep_free(sim->name_operations);
}
