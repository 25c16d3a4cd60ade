/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading and writing files whole. Secrets lie in one piece of memory from the first byte on, so
 * that wiping it leaves none of them.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

static const char *because(char text[FILE_WHY_BYTES], const char *what, int error)
{
    snprintf(text, FILE_WHY_BYTES, "%s: %s", what, strerror(error));
    return text;
}

static const char *read_all(int fd, char text[FILE_WHY_BYTES], struct slice *ret_bytes)
{
    char *data = malloc(FILE_BYTES_MAX + 1);
    size_t size = 0;
    const char *why = data == NULL ? "does not fit into memory" : NULL;
    while (why == NULL) {
        ssize_t got = read(fd, data + size, FILE_BYTES_MAX + 1 - size);
        if (got < 0 && errno != EINTR)
            why = because(text, "cannot be read", errno);
        if (got == 0)
            break;
        size += got > 0 ? (size_t)got : 0;
        if (size > FILE_BYTES_MAX)
            why = "larger than 1 MiB; is it the right file?";
    }
    struct slice bytes = slice_of(data, size);
    if (why != NULL) {
        path_forget(&bytes);
        return why;
    }
    data[size] = '\0';
    *ret_bytes = bytes;
    return NULL;
}

static const char *check_secret(const struct stat *status, const struct file_reader *reader,
                                char text[FILE_WHY_BYTES])
{
    bool is_of_group = status->st_gid == reader->gid || status->st_gid == getegid();
    if (status->st_mode & (S_IROTH | S_IWOTH))
        return "open to everyone; chmod o-rwx it";
    if (status->st_mode & S_IWGRP)
        return "its group can replace it; chmod g-w it";
    if ((status->st_mode & S_IRGRP) && !is_of_group) {
        snprintf(text, FILE_WHY_BYTES,
                 "readable by group %u, which is not the gateway's; chmod g-rwx it, or chgrp it",
                 (unsigned)status->st_gid);
        return text;
    }
    if (status->st_uid != 0 && status->st_uid != geteuid() && status->st_uid != reader->uid) {
        snprintf(text, FILE_WHY_BYTES,
                 "belongs to uid %u, who could replace it; chown it to root or the gateway's user",
                 (unsigned)status->st_uid);
        return text;
    }
    bool is_readable = reader->uid == 0 ||
                       (status->st_uid == reader->uid && (status->st_mode & S_IRUSR)) ||
                       (status->st_gid == reader->gid && (status->st_mode & S_IRGRP));
    if (!is_readable)
        return "the gateway's user cannot read it again for a reload; chgrp it to that user's "
               "group and chmod 0640 it";
    return NULL;
}

static const char *load_file(const char *path, const struct file_reader *reader,
                             char text[FILE_WHY_BYTES], struct slice *ret_bytes)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (reader == NULL ? 0 : O_NOFOLLOW);
    int fd = open(path, flags);
    if (fd < 0 && errno == ELOOP && reader != NULL)
        return "a symbolic link; name the file that it leads to";
    if (fd < 0)
        return because(text, "cannot be opened", errno);
    struct stat status;
    const char *why = NULL;
    if (fstat(fd, &status) < 0)
        why = because(text, "cannot be looked at", errno);
    else if (!S_ISREG(status.st_mode))
        why = "not a regular file";
    else if (reader != NULL)
        why = check_secret(&status, reader, text);
    if (why == NULL)
        why = read_all(fd, text, ret_bytes);
    close(fd);
    return why;
}

const char *path_read(const char *path, char text[FILE_WHY_BYTES], struct slice *ret_bytes)
{
    return load_file(path, NULL, text, ret_bytes);
}

const char *path_read_secret(const char *path, const struct file_reader *reader,
                             char text[FILE_WHY_BYTES], struct slice *ret_bytes)
{
    return load_file(path, reader, text, ret_bytes);
}

void path_forget(struct slice *bytes)
{
    if (bytes->data != NULL)
        explicit_bzero((char *)bytes->data, bytes->size);
    free((char *)bytes->data);
    *bytes = slice_of(NULL, 0);
}

bool path_write(const char *directory, const char *name, mode_t mode, struct slice text)
{
    char path[PATH_MAX], beside[PATH_MAX + 8];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        complain("%.100s...: %s", directory, strerror(ENAMETOOLONG));
        return false;
    }
    snprintf(beside, sizeof beside, "%s.new", path);
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0;
    for (size_t done = 0; ok && done < text.size;) {
        ssize_t written = write(fd, text.data + done, text.size - done);
        ok = written > 0 || errno == EINTR;
        done += written > 0 ? (size_t)written : 0;
    }
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (ok && rename(beside, path) == 0)
        return true;
    complain("%s: %s", path, strerror(errno));
    return false;
}

void path_stamp(const char *path, struct file_stamp *ret_stamp)
{
    struct stat status;
    memset(ret_stamp, 0, sizeof *ret_stamp);
    if (stat(path, &status) < 0)
        return;
    *ret_stamp = (struct file_stamp){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .written_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec,
        .changed_ns = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec,
    };
}
