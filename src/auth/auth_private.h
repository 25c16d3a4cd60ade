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
 * user must be a master, or the try can only fail. With PLAIN, LOGIN and SCRAM "user*master" says
 * the same. */
int auth_try_begin_as(struct core *core, const struct auth_client *client, const char *mechanism,
                      struct slice user, struct slice acts_as, struct auth_try **ret_try);
/* Fiber. 0, or -EAGAIN (directory not available; too many under penalty). An unknown or disabled
 * user, and one from a network that is not allowed, gives a record made from the name by a keyed
 * hash, of the shape that most users' have (SCRAM: salt and iterations are the same every time),
 * and the try can only fail: A2. */
int auth_try_record(struct auth_try *t, struct directory_record *ret_record);
/* Fiber. 0, -EACCES, -EAGAIN: by the cache, by a hash on a helper thread, or by a directory that
 * verifies. Instead of auth_try_record. */
int auth_try_password(struct auth_try *t, struct slice password);
/* Counts, delays, remembers, frees the try. verdict 0: right, or for the backend to judge; -EACCES:
 * wrong; else it was not judged. Result and ret_result as auth_password; a try that can only fail
 * fails. With 0 ret_proof (may be NULL) gets attributes, and `shown` (a token; data NULL: the
 * try's password, if there is one) unless it is a master's. */
int auth_try_end(struct auth_try *t, int verdict, struct slice shown,
                 struct auth_result *ret_result, struct auth_proof *ret_proof);

/* Of this core now: for what is asked outside a try. */
const struct auth_options *auth_options_of(struct core *core);

/* ---------------------------------------------------------------- password.c */

enum { PASSWORD_HASH_BYTES_MAX = 255, PASSWORD_HASHES_MAX = 8 };

/* `hashes` of one user: one or several, blanks between, each good for a log-in. What is wrong with
 * them and how to mend it, or NULL. */
const char *password_problem(struct slice hashes);
/* "!..." or "*...": an account that nobody logs in to. */
bool password_is_locked(struct slice hashes);
/* How many of a hash's first bytes say what a check costs (method and parameters). */
size_t password_cost_size(struct slice hash);
/* The first of them that begins so ("{SCRAM-"); data NULL: none does. */
struct slice password_find(struct slice hashes, struct slice prefix);
/* Blocking and slow. Any hashes without a problem. 1 one matches, 0 none does, or -errno. */
int password_verify(struct slice password, struct slice hashes);

/* ---------------------------------------------------------------- users.c */

enum { AUTH_NO_USER = -1 };

/* Index of the user of that canonical name, or AUTH_NO_USER. `users` may be NULL in both. */
int64_t users_find(const struct auth_users *users, struct slice name);
struct slice users_hash(const struct auth_users *users, uint32_t index);
/* Where that user may log in from, as written; empty: anywhere. */
struct slice users_networks(const struct auth_users *users, uint32_t index);
bool users_is_disabled(const struct auth_users *users, uint32_t index);
/* All of it, as a directory would say it. */
void users_record(const struct auth_users *users, uint32_t index,
                  struct directory_record *ret_record);
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

/* ---------------------------------------------------------------- cache.c */

struct cached_record;
struct cache_row {
    struct recent_tag tag;
    uint64_t fresh_until_ns, stale_until_ns; /* 0: free */
    struct cached_record *record;            /* NULL: no such user */
};

/* What directories said lately, by 128 bits of keyed hash of whom was asked about what. */
struct cache {
    struct cache_row *rows;
    uint32_t mask; /* sets - 1 */
};

int record_cache_open(struct cache *cache, unsigned rows_max); /* 0 rows: keeps nothing */
void record_cache_close(struct cache *cache);
/* 0: *ret_record is what was kept; -ENOENT: it was "no such user"; -EAGAIN: not known.
 * *ret_is_fresh false: only to be believed when nobody can be asked. */
int record_cache_find(const struct cache *cache, const struct recent_tag *tag, uint64_t now_ns,
                      struct directory_record *ret_record, bool *ret_is_fresh);
/* record NULL: no such user. Without memory it keeps nothing. */
void cache_put(struct cache *cache, const struct recent_tag *tag, uint64_t now_ns,
               uint64_t fresh_ns, uint64_t stale_ns, const struct directory_record *record);

/* ---------------------------------------------------------------- auth.c: of one core */

/* Places with the helpers. */
struct lane {
    struct waiters waiters;
    unsigned running, waiting; /* those running included */
};

/* A directory that failed is left alone for a while. */
struct directory_state {
    uint64_t rest_until_ns, told_ns;
    unsigned failures; /* in a row */
};

enum { DIRECTORIES_MAX = 100 };

struct flight;

struct auth {
    struct core *core;
    const struct auth_options *options;
    struct recent_key verified_key, place_key, record_key;
    struct recent verified;           /* passwords that were right */
    struct recent known;              /* places where users logged in */
    struct recent networks, accounts; /* with failures lately */
    struct cache records;
    struct lane hashing, asking;
    struct flight *flights; /* questions under way */
    struct directory_state states[DIRECTORIES_MAX];
    unsigned sleeping, tries;
    uint32_t guesses;                           /* each is another one, as far as is known */
    char dummy[DIRECTORY_SECRET_BYTES_MAX + 1]; /* a secret of the shape that most have */
    unsigned dummy_votes;
};

/* In lower case (ASCII), with `domain` appended where there is none, NUL-ended. 0, or -EINVAL: too
 * long, or holding NUL. */
int name_make(struct slice user, struct slice domain, char text[AUTH_USER_BYTES_MAX + 1],
              struct slice *ret_name);
/* local@domain, UTF-8, no blanks, no control bytes: somebody may have it. Others are nobody's, and
 * no directory is asked about them. */
bool name_is_possible(struct slice name);
bool domain_is_elsewhere(const struct auth_options *options, struct slice domain);
/* A name as name_make gives it, that somebody may have, of such a domain. */
bool name_is_elsewhere(const struct auth_options *options, struct slice name);

/* Fiber. The first source that knows the user: passwd file, then directories in order, passwords
 * not looked at. 0, -ENOENT, -EAGAIN. Not for names that are elsewhere. */
int auth_find(struct auth *auth, const struct auth_options *options,
              const struct directory_query *query, struct directory_record *ret_record);

/* ---------------------------------------------------------------- penalty.c */

/* Whom a log-in is counted for. */
struct origin {
    struct recent_tag network, account, place;
    bool has_network, holds_place;
};

int penalty_open(struct auth *auth);
void penalty_close(struct auth *auth);
void penalty_origin(struct auth *auth, const struct auth_client *client, struct slice name,
                    struct origin *ret_origin);
/* The delay that a log-in from there is due whatever its outcome. */
uint64_t penalty_ms(const struct auth *auth, const struct origin *origin);
/* Before work is done: takes one of the places of those under penalty. 0, or -EAGAIN: none left. */
int penalty_enter(struct auth *auth, struct origin *origin);
void penalty_leave(struct auth *auth, struct origin *origin);
/* `guess` tells passwords apart, no more. Returns the delay now due. */
uint64_t penalty_failed(struct auth *auth, const struct origin *origin, uint32_t guess);
void penalty_passed(struct auth *auth, const struct origin *origin);

/* ---------------------------------------------------------------- ask.c */

/* Fiber. Waits for one of the places with the helpers. 0; -EAGAIN: too many wait, or too long. */
int lane_enter(struct auth *auth, struct lane *lane, unsigned waiting_max);
void lane_leave(struct auth *auth, struct lane *lane);
/* Is this directory asked about users of that name's domain? */
bool ask_concerns(const struct auth_directory *directory, struct slice user);
/* Fiber. One directory's record of a user: by the cache, or by asking; one question at a time about
 * one user. 0, -ENOENT, -EAGAIN. */
int ask_record(struct auth *auth, const struct auth_options *options, unsigned index,
               const struct directory_query *query, struct directory_record *ret_record);
/* Fiber. The same with query->password of a directory that verifies: never from the cache; also
 * -EACCES (ret_record->delay_ms is set). */
int ask_verdict(struct auth *auth, const struct auth_options *options, unsigned index,
                const struct directory_query *query, struct directory_record *ret_record);
/* What is kept of it, fresh or not. */
int ask_cached(const struct auth *auth, const struct auth_options *options, unsigned index,
               struct slice user, struct directory_record *ret_record, bool *ret_is_fresh);

#endif
