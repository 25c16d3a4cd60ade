/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of src/auth share: hashes of passwords, the users' table, tables of what happened
 * lately.
 */
#ifndef RINGPOST_AUTH_PRIVATE_H
#define RINGPOST_AUTH_PRIVATE_H

#include "ringpost/auth.h"
#include "ringpost/hash.h"

/* ---------------------------------------------------------------- password.c */

enum { PASSWORD_HASH_BYTES_MAX = 255 };

/* What is wrong with a hash of the passwd file and how to mend it, or NULL. */
const char *password_problem(struct slice hash);
/* "!..." or "*...": an account that nobody logs in to. */
bool password_is_locked(struct slice hash);
/* How many of the hash's first bytes say what a check costs (method and parameters). */
size_t password_cost_size(struct slice hash);
/* Blocking and slow. Any hash without a problem. 1 it matches, 0 it does not, or -errno. */
int password_verify(struct slice password, struct slice hash);

/* ---------------------------------------------------------------- users.c */

enum { AUTH_NO_USER = -1 };

/* Index of the user of that canonical name, or AUTH_NO_USER. */
int64_t users_find(const struct auth_users *users, struct slice name);
struct slice users_hash(const struct auth_users *users, uint32_t index);
/* The hash that is computed where there is none: of the method and cost that most users have (A2).
 */
struct slice users_dummy(const struct auth_users *users);

/* ---------------------------------------------------------------- recent.c */

/* What is known of a key, under 128 bits of keyed hash: keys themselves are not kept. */
struct recent_tag {
    uint64_t word[2];
};

struct recent_row {
    struct recent_tag tag;
    uint64_t until_ns; /* 0: free */
    uint32_t detail;   /* of the owner */
    uint16_t count, sleeping;
};

/* A table of fixed size: a new row takes the place of the one that ends first among its few. */
struct recent {
    struct recent_row *rows;
    uint32_t mask; /* sets - 1 */
};

struct recent_key {
    struct hash_key half[2]; /* independent */
};

int recent_open(struct recent *recent, unsigned rows_max); /* 0 rows: a table that keeps nothing */
void recent_close(struct recent *recent);
struct recent_tag recent_tag_of(const struct recent_key *key, const void *data, size_t size);
/* NULL: not known, or its time is over. */
struct recent_row *recent_find(const struct recent *recent, const struct recent_tag *tag,
                               uint64_t now_ns);
/* The row of this tag, made if there is none (detail, count and sleeping are then 0); the caller
 * sets until_ns. NULL when the table keeps nothing. */
struct recent_row *recent_make(struct recent *recent, const struct recent_tag *tag,
                               uint64_t now_ns);

#endif
