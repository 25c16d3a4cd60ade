/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names of the simulated disk: a table (whole path → file) in two states, as the page cache and
 * as the medium have it; what lies between them are name operations, made durable by syncing the
 * directory they lie in. At a power cut each of the others has happened or not.
 *
 * Invariant: a file lives while a name in either state, a name operation or a descriptor refers to
 * it.
 */
#include <stdlib.h>

#include "world.h"

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
    inode_empty(sim, inode);
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

void disk_sync_directory(struct sim *sim, int32_t inode, uint64_t mark, bool failed)
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
        if (is_here && change.sequence < mark && failed)
            change.is_doomed = true;
        if (!is_here || change.sequence >= mark || change.is_doomed) {
            sim->name_operations[sim->name_operation_count++] = change;
            continue;
        }
        sim->name_operations[i].inode = NONE;
        name_change(sim, &sim->durable_names, &change);
        name_operation_free(sim, change);
    }
}

/* ---------------------------------------------------------------- the power is cut */

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
        if (!sim->name_operations[i].is_doomed &&
            (mode == 1 || (mode > 1 && chance_below(sim, 2) == 0)))
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
            inode_cut(sim, &sim->inodes[i]);
}

void disk_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inode_count; i++) {
        inode_empty(sim, &sim->inodes[i]);
        sim_keep_free(sim->inodes[i].pages);
        sim_keep_free(sim->inodes[i].pending);
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
