/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of src/auth share: hashes of passwords, the users' table, tables of what happened
 * lately.
 */
#ifndef RINGPOST_AUTH_PRIVATE_H
#define RINGPOST_AUTH_PRIVATE_H

#include "ringpost/auth.h"
#include "ringpost/directory.h"
#include "ringpost/hash.h"

/* ---------------------------------------------------------------- try.c: one log-in */

struct auth_try; /* one log-in under way; its memory is heap */

/* Fiber. The canonical name (default domain, lower case, "user*master" taken apart). -EINVAL: too
 * long or holding NUL; -EAGAIN. The client must live as long as the try. A try that has begun ends
 * with auth_try_end. */
int auth_try_begin(struct core *core, const struct auth_client *client, const char *mechanism,
                   struct slice user, struct auth_try **ret_try);
/* The same for who names whom he acts as (the authorization identity of RFC 4422): `user` is whose
 * secret is checked, `acts_as` who is logged in. Empty or the same as the user: himself; else the
 * user must be a master, or the try can only fail. */
int auth_try_begin_as(struct core *core, const struct auth_client *client, const char *mechanism,
                      struct slice user, struct slice acts_as, struct auth_try **ret_try);
/* The options that this log-in began with, and whose secret it checks (canonical). */
const struct auth_options *auth_try_options(const struct auth_try *t);
struct slice auth_try_name(const struct auth_try *t);
/* Fiber. 0, or -EAGAIN (directory not available; too many under penalty). An unknown or disabled
 * user, and one from a network that is not allowed, gives a record made from the name by a keyed
 * hash, of the shape that most users' have (SCRAM: salt and iterations are the same every time),
 * and the try can only fail: A2. */
int auth_try_record(struct auth_try *t, struct directory_record *ret_record);
/* Fiber. 0, -EACCES, -EAGAIN: by the cache, by a hash on a helper thread, or by a directory that
 * verifies. Instead of auth_try_record. */
int auth_try_password(struct auth_try *t, struct slice password);
/* Counts, delays, remembers, frees the try. verdict 0: right; -EACCES: wrong; else it was not
 * judged. Result and ret_result as auth_password; a try that can only fail fails. */
int auth_try_end(struct auth_try *t, int verdict, struct auth_result *ret_result);

/* Of this core now: for what is asked outside a try. */
const struct auth_options *auth_options_of(struct core *core);

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
