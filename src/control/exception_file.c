/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions in a file of lines "user backend". It is read a piece at a time; a change copies it
 * line by line into a file beside it, comments and order included, and renames that over it, so
 * that a reader sees the old file or the new one, and a crash leaves one of them. The name is
 * durable when the folder is synced.
 *
 * Only one gateway may write a file (others' changes between reading and renaming would be lost);
 * several gateways share a Redis.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "exception_private.h"

enum { PIECE_BYTES = 65536, PATH_BYTES_MAX = 4000 };

struct exception_file {
    struct exception_place place; /* first */
    struct core *core;
    uint64_t (*stamp)(const char *path);
    uint64_t stamp_seen; /* of the file that was read last; 0: none */
    bool was_read;
    char path[PATH_BYTES_MAX + 1], beside[PATH_BYTES_MAX + 8], folder[PATH_BYTES_MAX + 1];
};

static struct exception_file *file_of(struct exception_place *place)
{
    return (struct exception_file *)place;
}

/* ---------------------------------------------------------------- reading */

/* All of it through `lines`. 0; -ENOENT; -errno; -ECANCELED: `each` ended it. */
static int read_lines(struct exception_file *file, struct exception_lines *lines)
{
    struct core *core = file->core;
    char *piece = malloc(PIECE_BYTES);
    if (piece == NULL)
        return -ENOMEM;
    int fd = await_open(core, file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0), got = fd;
    uint64_t offset = 0;
    while (got >= 0 && (got = await_read(core, fd, piece, PIECE_BYTES, offset)) > 0) {
        offset += (uint64_t)got;
        if (!exception_lines_feed(lines, slice_of(piece, (size_t)got), false))
            got = -ECANCELED;
    }
    if (got == 0 && !exception_lines_feed(lines, SLICE(""), true))
        got = -ECANCELED;
    if (fd >= 0)
        await_close(core, fd);
    free(piece);
    return got;
}

struct reading {
    struct exception_set *set; /* NULL: only checked */
    struct exception_mistakes *mistakes;
    int error;
};

static bool read_line(void *argument, unsigned number, struct slice line)
{
    struct reading *reading = argument;
    struct slice user, backend;
    const char *why =
        line.data == NULL ? "the line is too long" : exception_line_parse(line, &user, &backend);
    if (why == NULL && user.size > 0 && exception_set_find(reading->set, user).size > 0)
        why = "this user has a line already";
    if (why != NULL)
        exception_mistake(reading->mistakes, number, why);
    else if (user.size > 0)
        reading->error = exception_set_put(reading->set, user, backend);
    return reading->error == 0;
}

/* The stamp, on a helper thread. */
struct stamping {
    const struct exception_file *file;
    uint64_t stamp;
};

static void take_stamp(void *argument)
{
    struct stamping *stamping = argument;
    stamping->stamp = stamping->file->stamp(stamping->file->path);
}

static int file_read(struct exception_place *place, struct exception_set *set,
                     struct exception_mistakes *mistakes)
{
    struct exception_file *file = file_of(place);
    struct stamping stamping = {.file = file};
    if (file->stamp != NULL) {
        int busy = core_help(file->core, take_stamp, &stamping);
        if (busy < 0)
            return busy;
        if (file->was_read && stamping.stamp == file->stamp_seen)
            return 1;
    }
    struct reading reading = {.set = set, .mistakes = mistakes};
    struct exception_lines lines = {.each = read_line, .argument = &reading};
    int result = read_lines(file, &lines);
    if (result == -ENOENT)
        result = 0; /* no exceptions yet */
    else if (result == -ECANCELED)
        result = reading.error;
    if (result == 0 && mistakes->count > 0)
        result = -EINVAL;
    /* Changed while it was read: the stamp taken before differs at the next look. */
    file->was_read = result == 0 || result == -EINVAL;
    file->stamp_seen = stamping.stamp;
    return result;
}

/* ---------------------------------------------------------------- changing */

struct writing {
    struct core *core;
    int fd;
    uint64_t offset;
    size_t size;
    char *data; /* of PIECE_BYTES */
    struct slice user, backend;
    bool is_there; /* the user's line was written */
    struct exception_mistakes *mistakes;
    int error;
};

static bool flush(struct writing *writing)
{
    size_t done = 0;
    while (done < writing->size && writing->error == 0) {
        int wrote = await_write(writing->core, writing->fd, writing->data + done,
                                writing->size - done, writing->offset, 0);
        if (wrote <= 0)
            writing->error = wrote < 0 ? wrote : -EIO;
        else {
            done += (size_t)wrote;
            writing->offset += (uint64_t)wrote;
        }
    }
    writing->size = 0;
    return writing->error == 0;
}

static bool put(struct writing *writing, struct slice bytes)
{
    if (bytes.size > PIECE_BYTES - writing->size && !flush(writing))
        return false;
    memcpy(writing->data + writing->size, bytes.data, bytes.size);
    writing->size += bytes.size;
    return true;
}

static bool put_entry(struct writing *writing)
{
    writing->is_there = true;
    return writing->backend.size == 0 ||
           (put(writing, writing->user) && put(writing, SLICE(" ")) &&
            put(writing, writing->backend) && put(writing, SLICE("\n")));
}

static bool copy_line(void *argument, unsigned number, struct slice line)
{
    struct writing *writing = argument;
    struct slice user, backend;
    const char *why =
        line.data == NULL ? "the line is too long" : exception_line_parse(line, &user, &backend);
    if (why != NULL) {
        exception_mistake(writing->mistakes, number, why);
        return true;
    }
    if (user.size > 0 && slice_equal(user, writing->user))
        return writing->is_there || put_entry(writing);
    return put(writing, line) && put(writing, SLICE("\n"));
}

/* The folder's own sync makes the name durable. */
static int sync_folder(struct exception_file *file)
{
    int fd = await_open(file->core, file->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int result = await_fsync(file->core, fd, false);
    await_close(file->core, fd);
    return result;
}

static int write_beside(struct exception_file *file, struct writing *writing)
{
    struct core *core = file->core;
    struct exception_lines lines = {.each = copy_line, .argument = writing};
    writing->fd =
        await_open(core, file->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writing->fd < 0)
        return writing->fd;
    int result = read_lines(file, &lines);
    if (result == -ENOENT)
        result = 0;
    else if (result == -ECANCELED)
        result = writing->error;
    if (result == 0 && writing->mistakes->count > 0)
        result = -EBADMSG;
    if (result == 0 && ((!writing->is_there && !put_entry(writing)) || !flush(writing)))
        result = writing->error;
    if (result == 0)
        result = await_fsync(core, writing->fd, false);
    await_close(core, writing->fd);
    return result;
}

static int file_write(struct exception_place *place, struct slice user, struct slice backend,
                      struct exception_mistakes *mistakes)
{
    struct exception_file *file = file_of(place);
    struct writing writing = {.core = file->core,
                              .data = malloc(PIECE_BYTES),
                              .user = user,
                              .backend = backend,
                              .mistakes = mistakes};
    if (writing.data == NULL)
        return -ENOMEM;
    int result = write_beside(file, &writing);
    if (result == 0)
        result = await_rename(file->core, file->beside, file->path);
    if (result < 0)
        await_unlink(file->core, file->beside);
    else
        result = sync_folder(file);
    free(writing.data);
    return result;
}

/* ---------------------------------------------------------------- made and freed */

static void file_free(struct exception_place *place)
{
    free(place);
}

int exception_file_make(struct core *core, const struct exception_keeper_options *options,
                        struct exception_place **ret_place)
{
    struct exception_file *file = calloc(1, sizeof *file);
    size_t size = strlen(options->path);
    if (file == NULL || size == 0 || size > PATH_BYTES_MAX) {
        free(file);
        return size == 0 || size > PATH_BYTES_MAX ? -ENAMETOOLONG : -ENOMEM;
    }
    file->place = (struct exception_place){
        .name = file->path, .read = file_read, .write = file_write, .free = file_free};
    file->core = core;
    file->stamp = options->stamp;
    memcpy(file->path, options->path, size + 1);
    snprintf(file->beside, sizeof file->beside, "%s.new", options->path);
    memcpy(file->folder, options->path, size + 1);
    char *slash = strrchr(file->folder, '/');
    if (slash == NULL)
        memcpy(file->folder, ".", 2);
    else
        slash[slash == file->folder] = '\0';
    *ret_place = &file->place;
    return 0;
}
