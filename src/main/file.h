/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files that the config names, read whole: certificates, and what must stay secret (keys,
 * passwords). Blocking: start-up and helper threads.
 */
#ifndef RINGPOST_FILE_H
#define RINGPOST_FILE_H

#include <sys/types.h>

#include "ringpost/slice.h"

enum { FILE_BYTES_MAX = 1 << 20, FILE_WHY_BYTES = 300 };

/* Whom the process is, or becomes: who has to read the file again after the start. */
struct file_reader {
    uid_t uid;
    gid_t gid;
};

/* A regular file, by a symbolic link or not, with a NUL behind its bytes. NULL, or "what; the fix"
 * (constant, or in `text`). *ret_bytes is given to path_forget. */
const char *path_read(const char *path, char text[FILE_WHY_BYTES], struct slice *ret_bytes);
/* The same of a secret (row C05): no symbolic link; of root, of us or of the reader; not readable
 * by anyone but its owner and the reader's own group; readable by the reader. */
const char *path_read_secret(const char *path, const struct file_reader *reader,
                             char text[FILE_WHY_BYTES], struct slice *ret_bytes);
/* Wipes and frees. */
void path_forget(struct slice *bytes);

/* DIRECTORY/name, whole or not at all: beside it, then renamed. False after saying why. */
bool path_write(const char *directory, const char *name, mode_t mode, struct slice text);

/* What tells a file that was written anew from the one before; all zero when there is none. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t written_ns, changed_ns;
};
void path_stamp(const char *path, struct file_stamp *ret_stamp);

#endif
