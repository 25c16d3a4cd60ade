/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names of the simulated disk: a table (directory, name → file) in two states, as the page
 * cache and as the medium have it; what lies between them are name operations, made durable by
 * syncing the directory they lie in. At a power cut each of the others has happened or not.
 *
 * Invariants:
 *   1 A file lives while a name in either state, a name operation or a descriptor refers to it.
 *   2 File 0 is the root directory; it needs no name.
 */
#include <stdlib.h>

#include "world.h"

enum { ROOT = 0 };

static uint32_t hash_of(int32_t directory, const char *text)
{
    uint32_t hash = 2166136261u ^ (uint32_t)directory;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash;
}

static struct name *name_find(const struct names *names, int32_t directory, const char *text)
{
    uint32_t hash = hash_of(directory, text);
    for (uint32_t i = 0; i < names->count; i++) {
        struct name *name = &names->rows[i];
        if (name->hash == hash && name->directory == directory && strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(sim_keep_alloc(size), text, size);
}

static uint32_t *references(struct sim *sim, const struct names *names, int32_t inode)
{
    return names == &sim->names ? &sim->inodes[inode].names : &sim->inodes[inode].durable_names;
}

static void collect(struct sim *sim, int32_t index)
{
    struct inode *inode = &sim->inodes[index];
    if (!inode->is_used || inode->opens > 0 || inode->names > 0 || inode->durable_names > 0 ||
        index == ROOT)
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
    sim_keep_free(name->text);
    *name = names->rows[--names->count];
    --*references(sim, names, inode);
    collect(sim, inode);
}

static void name_set(struct sim *sim, struct names *names, int32_t directory, const char *text,
                     int32_t inode)
{
    struct name *name = name_find(names, directory, text);
    ++*references(sim, names, inode);
    if (name != NULL) {
        int32_t old = name->inode;
        name->inode = inode;
        --*references(sim, names, old);
        collect(sim, old);
        return;
    }
    names->rows = array_room(names->rows, &names->capacity, names->count, sizeof *names->rows);
    names->rows[names->count++] =
        (struct name){directory, hash_of(directory, text), copy_text(text), inode};
}

static void name_change(struct sim *sim, struct names *names, const struct name_operation *change)
{
    struct name *name;
    if (change->kind == NAME_CREATE)
        name_set(sim, names, change->directory, change->text, change->inode);
    if (change->kind == NAME_RENAME)
        name_set(sim, names, change->to_directory, change->to_text, change->inode);
    if (change->kind == NAME_CREATE)
        return;
    name = name_find(names, change->directory, change->text);
    if (name != NULL && name->inode == change->inode)
        name_drop(sim, names, name);
}

/* ---------------------------------------------------------------- paths */

bool disk_place(const struct sim *sim, const char *path, struct place_in *ret_place)
{
    char part[PATH_BYTES_MAX];
    int32_t directory = ROOT;
    assert(path[0] == '/');
    for (path++;;) {
        const char *slash = strchr(path, '/');
        if (slash == NULL)
            break;
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        const struct name *name = name_find(&sim->names, directory, part);
        if (name == NULL || !sim->inodes[name->inode].is_directory)
            return false;
        directory = name->inode;
        path = slash + 1;
    }
    *ret_place = (struct place_in){directory, path};
    return true;
}

int32_t disk_find(const struct sim *sim, const char *path)
{
    struct place_in place;
    if (path[1] == '\0')
        return ROOT;
    if (!disk_place(sim, path, &place))
        return NONE;
    const struct name *name = name_find(&sim->names, place.directory, place.text);
    return name == NULL ? NONE : name->inode;
}

int32_t disk_make(struct sim *sim, bool is_directory)
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
    return (int32_t)index;
}

void disk_name_now(struct sim *sim, struct place_in place, int32_t inode)
{
    name_set(sim, &sim->names, place.directory, place.text, inode);
    name_set(sim, &sim->durable_names, place.directory, place.text, inode);
}

void disk_name_add(struct sim *sim, enum name_operation_kind kind, struct place_in place,
                   const struct place_in *to, int32_t inode)
{
    sim->name_operations = array_room(sim->name_operations, &sim->name_operation_capacity,
                                      sim->name_operation_count, sizeof *sim->name_operations);
    struct name_operation *change = &sim->name_operations[sim->name_operation_count++];
    *change = (struct name_operation){
        .kind = kind,
        .directory = place.directory,
        .text = copy_text(place.text),
        .to_directory = to == NULL ? NONE : to->directory,
        .to_text = to == NULL ? NULL : copy_text(to->text),
        .inode = inode,
        .sequence = sim->disk_sequence++,
    };
    name_change(sim, &sim->names, change);
}

void disk_forget_name(struct sim *sim, struct place_in place)
{
    struct names *both[] = {&sim->names, &sim->durable_names};
    for (int i = 0; i < 2; i++) {
        struct name *name = name_find(both[i], place.directory, place.text);
        if (name != NULL)
            name_drop(sim, both[i], name);
    }
}

bool disk_is_empty(const struct sim *sim, int32_t directory)
{
    for (uint32_t i = 0; i < sim->names.count; i++)
        if (sim->names.rows[i].directory == directory)
            return false;
    return true;
}

void disk_release(struct sim *sim, int32_t index)
{
    assert(sim->inodes[index].opens > 0);
    sim->inodes[index].opens--;
    collect(sim, index);
}

static void name_operation_free(struct sim *sim, struct name_operation change)
{
    sim_keep_free(change.text);
    sim_keep_free(change.to_text);
    collect(sim, change.inode);
}

void disk_sync_directory(struct sim *sim, int32_t directory, uint64_t mark, bool failed)
{
    uint32_t count = sim->name_operation_count;
    sim->name_operation_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct name_operation change = sim->name_operations[i];
        bool is_here = change.directory == directory || change.to_directory == directory;
        if (is_here && change.sequence < mark && failed)
            change.is_doomed = true;
        if (!is_here || change.sequence >= mark || change.is_doomed) {
            sim->name_operations[sim->name_operation_count++] = change;
            continue;
        }
        name_change(sim, &sim->durable_names, &change);
        name_operation_free(sim, change);
    }
}

/* ---------------------------------------------------------------- the power is cut */

/* Names in a directory that has none itself. */
static void drop_orphans(struct sim *sim, struct names *names)
{
    for (uint32_t i = 0; i < names->count;) {
        int32_t directory = names->rows[i].directory;
        if (directory == ROOT || *references(sim, names, directory) > 0) {
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
    for (uint32_t i = 0; i < sim->durable_names.count; i++) {
        const struct name *name = &sim->durable_names.rows[i];
        name_set(sim, &sim->names, name->directory, name->text, name->inode);
    }
    for (uint32_t i = 0; i < sim->names.count;) {
        struct name *name = &sim->names.rows[i];
        if (name_find(&sim->durable_names, name->directory, name->text) == NULL)
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

static void names_free(struct names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        sim_keep_free(names->rows[i].text);
    sim_keep_free(names->rows);
}

void disk_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->inode_count; i++) {
        inode_empty(sim, &sim->inodes[i]);
        sim_keep_free(sim->inodes[i].pages);
        sim_keep_free(sim->inodes[i].pending);
    }
    for (uint32_t i = 0; i < sim->name_operation_count; i++) {
        sim_keep_free(sim->name_operations[i].text);
        sim_keep_free(sim->name_operations[i].to_text);
    }
    names_free(&sim->names);
    names_free(&sim->durable_names);
    sim_keep_free(sim->inodes);
    sim_keep_free(sim->name_operations);
}
