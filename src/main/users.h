/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * passwd files: reading them for the gateway, changing them for `ringpost user`. What a line means
 * is auth.h's business; here are the files: whose they may be, and how they are replaced.
 */
#ifndef RINGPOST_USERS_H
#define RINGPOST_USERS_H

#include "ringpost/slice.h"

enum { USERS_FILE_BYTES_MAX = 1 << 30 };

/* The whole file into malloc'd memory with a NUL behind it. Refuses what is no regular file, a
 * symbolic link, readable or writable by others, or owned by somebody else than root, us, or
 * `owner` (a uid; -1: nobody more). NULL, or "what; the fix" (constant, or in `text`). */
const char *users_file_read(const char *path, long owner, char text[300], char **ret_data,
                            size_t *ret_size);

enum users_change { USERS_ADD, USERS_DELETE, USERS_PASSWD };
/* Replaces the file by one with the user's line added, removed or with a new hash; all other lines
 * stay as they are, to the byte. Atomic: written beside it, synced, renamed. One at a time: holds a
 * lock on the file. ADD makes the file (mode 0640) when it is not there. NULL, or what is wrong. */
const char *users_file_change(const char *path, enum users_change change, struct slice user,
                              const char *hash, char text[300]);

#endif
