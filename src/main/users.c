/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * passwd files on disk. Invariants:
 *   1. The name always leads to a whole file: the old one or the new one, each synced (rename).
 *   2. Two commands at the same time follow each other: each locks the file, and looks again
 *      whether the name still leads to what it has locked.
 *   3. Mode, owner and group of the file stay.
 */
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TRIES_MAX = 100 };

static const char *because(char text[300], const char *path, const char *what, int error)
{
    snprintf(text, 300, "%.200s: %s: %s", path, what, strerror(error));
    return text;
}

static const char *check_owner(const struct stat *status, long owner, char text[300])
{
    if (!S_ISREG(status->st_mode))
        return "not a regular file; name the passwd file itself";
    if (status->st_mode & S_IROTH)
        return "password hashes readable by everyone; chmod o-rwx it";
    if (status->st_mode & (S_IWOTH | S_IWGRP))
        return "writable by others; chmod g-w,o-rwx it";
    if (status->st_uid != 0 && status->st_uid != geteuid() && (long)status->st_uid != owner) {
        snprintf(text, 300, "belongs to uid %u, who could replace it; chown root it",
                 (unsigned)status->st_uid);
        return text;
    }
    return NULL;
}

/* All of an open file. */
static const char *read_all(int fd, const char *path, size_t expected, char text[300],
                            char **ret_data, size_t *ret_size)
{
    size_t capacity = expected + 2, size = 0;
    char *data = malloc(capacity);
    while (data != NULL) {
        ssize_t got = read(fd, data + size, capacity - 1 - size);
        if (got < 0 && errno != EINTR) {
            free(data);
            return because(text, path, "cannot be read", errno);
        }
        if (got == 0)
            break;
        size += got > 0 ? (size_t)got : 0;
        if (size > USERS_FILE_BYTES_MAX) {
            free(data);
            return "larger than 1 GiB; split it by domains";
        }
        if (size == capacity - 1) {
            char *more = realloc(data, capacity *= 2);
            if (more == NULL)
                free(data);
            data = more;
        }
    }
    if (data == NULL)
        return "does not fit into memory";
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return NULL;
}

const char *users_file_read(const char *path, long owner, char text[300], char **ret_data,
                            size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0 && errno == ELOOP)
        return "a symbolic link; name the file that it leads to";
    if (fd < 0)
        return because(text, path, "cannot be opened", errno);
    struct stat status;
    const char *why = fstat(fd, &status) < 0 ? because(text, path, "cannot be looked at", errno)
                                             : check_owner(&status, owner, text);
    if (why == NULL)
        why = read_all(fd, path, (size_t)status.st_size, text, ret_data, ret_size);
    close(fd);
    return why;
}

/* ---------------------------------------------------------------- changing */

/* Opens the file and locks it, so that the name leads to what is locked. */
static const char *open_locked(const char *path, bool make, char text[300], int *ret_fd)
{
    for (int i = 0; i < LOCK_TRIES_MAX; i++) {
        int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (make ? O_CREAT : 0);
        int fd = open(path, flags, 0640);
        struct stat locked, named;
        if (fd < 0)
            return because(text, path, "cannot be opened", errno);
        while (flock(fd, LOCK_EX) < 0)
            if (errno != EINTR) {
                int error = errno;
                close(fd);
                return because(text, path, "cannot be locked", error);
            }
        if (fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
            locked.st_dev == named.st_dev) {
            *ret_fd = fd;
            return NULL;
        }
        close(fd); /* replaced while we waited */
    }
    return because(text, path, "is always being replaced", EAGAIN);
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static bool sync_folder(const char *path)
{
    char folder[4200];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Writes `data` beside the file (with its mode and owner) and renames it over the file. */
static const char *replace(const char *path, int old_fd, struct slice data, char text[300])
{
    char beside[4200];
    struct stat status;
    if (strlen(path) > 4096 || fstat(old_fd, &status) < 0)
        return because(text, path, "cannot be replaced", ENAMETOOLONG);
    snprintf(beside, sizeof beside, "%s.new", path);
    unlink(beside); /* we hold the lock: what lies there was left by a crash */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return because(text, beside, "cannot be made", errno);
    bool ok = (fchown(fd, status.st_uid, status.st_gid) == 0 || errno == EPERM) &&
              fchmod(fd, status.st_mode & 0770) == 0 && write_all(fd, data.data, data.size) &&
              fsync(fd) == 0;
    int error = errno;
    ok = close(fd) == 0 && ok;
    if (ok && rename(beside, path) == 0 && sync_folder(path))
        return NULL;
    error = ok ? errno : error;
    unlink(beside);
    return because(text, path, "cannot be replaced", error);
}

/* The bytes of the user's line, its newline included; empty behind the end when there is none. */
static struct slice line_of(struct slice file, struct slice user)
{
    for (size_t at = 0; at < file.size;) {
        struct slice rest = slice_from(file, at);
        size_t end = slice_find(rest, '\n');
        struct slice line = slice_first(rest, end + 1);
        if (line.size > user.size && line.data[user.size] == ':' &&
            slice_equal_nocase(slice_first(line, user.size), user))
            return line;
        at += line.size;
    }
    return slice_from(file, file.size);
}

/* The line's fields behind the hash (":..." or nothing), its newline not included. */
static struct slice behind_hash(struct slice line, struct slice user)
{
    struct slice rest = slice_from(line, user.size + 1);
    rest = slice_first(rest, slice_find(rest, '\n'));
    return slice_from(rest, slice_find(rest, ':'));
}

static const char *change_text(struct slice file, enum users_change change, struct slice user,
                               const char *hash, struct slice *ret_text)
{
    struct slice line = line_of(file, user);
    if (change == USERS_ADD && line.size > 0)
        return "this user is already there; use `ringpost user passwd`";
    if (change != USERS_ADD && line.size == 0)
        return "no such user; see `ringpost user list`";
    struct slice before = slice_first(file, (size_t)(line.data - file.data));
    struct slice after = slice_from(file, before.size + line.size);
    struct slice extra = change == USERS_PASSWD ? behind_hash(line, user) : slice_of("", 0);
    size_t room = file.size + user.size + (hash == NULL ? 0 : strlen(hash)) + 8;
    char *text = malloc(room);
    if (text == NULL)
        return "no memory";
    bool open_end = before.size > 0 && before.data[before.size - 1] != '\n';
    int size = change == USERS_DELETE
                   ? snprintf(text, room, "%.*s", (int)before.size, before.data)
                   : snprintf(text, room, "%.*s%s%.*s:%s%.*s\n", (int)before.size, before.data,
                              open_end ? "\n" : "", (int)user.size, user.data, hash,
                              (int)extra.size, extra.data);
    memcpy(text + size, after.data, after.size);
    *ret_text = slice_of(text, (size_t)size + after.size);
    return NULL;
}

const char *users_file_change(const char *path, enum users_change change, struct slice user,
                              const char *hash, char text[300])
{
    int fd = -1;
    char *data = NULL;
    size_t size = 0;
    struct slice changed = {NULL, 0};
    const char *why = open_locked(path, change == USERS_ADD, text, &fd);
    if (why != NULL)
        return why;
    why = read_all(fd, path, 4096, text, &data, &size);
    if (why == NULL && memchr(data, '\0', size) != NULL)
        why = "holds a NUL byte; it is no passwd file";
    if (why == NULL)
        why = change_text(slice_of(data, size), change, user, hash, &changed);
    if (why == NULL)
        why = replace(path, fd, changed, text);
    free((char *)changed.data);
    free(data);
    close(fd);
    return why;
}
