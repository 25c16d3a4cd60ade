/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may log in: users with crypt(3) hashes from a passwd file, checked on helper threads, with a
 * cache of what was verified. Later directories (SQL, LDAP, HTTP) and mechanisms stand behind the
 * same call.
 *
 * Invariants:
 *   A1 A password is hashed on a helper thread, never on a core; the queue is bounded.
 *   A2 An unknown user costs and answers the same as a wrong password.
 *   A3 The cache's key is the whole identity; no user can see another's row.
 *   A4 Passwords are wiped where they were copied, and never logged.
 */
#ifndef RINGPOST_AUTH_H
#define RINGPOST_AUTH_H

#include "ringpost/arena.h"
#include "ringpost/core.h"

/* crypt(3) takes no longer passwords. */
enum { AUTH_USER_BYTES_MAX = 320, AUTH_PASSWORD_BYTES_MAX = 511 };

/* ---------------------------------------------------------------- the passwd file */

struct auth_users; /* immutable once read; shared by all cores */

/* "local@domain:hash[:anything...]" a line; '#' comments and empty lines. Names are taken in lower
 * case (ASCII) and must be unique; hashes must be of a crypt(3) method that the system knows and
 * that is not broken: yescrypt ($y$), SHA-512 ($6$), bcrypt ($2b$), SHA-256 ($5$), at a cost that
 * does not hold up others. A hash that begins with '!' or '*' is an account that nobody logs in to.
 * problem() is told each bad line (the first 100) with its number and the fix; bad lines make the
 * result -EINVAL with *ret_users untouched. 0 or -errno. `text` is not needed afterwards. */
int auth_users_parse(struct slice text,
                     void (*problem)(void *argument, unsigned line, const char *what),
                     void *argument, struct auth_users **ret_users);
void auth_users_free(struct auth_users *users);
unsigned auth_users_count(const struct auth_users *users);
/* The index-th user name; data NULL past the end. */
struct slice auth_users_name(const struct auth_users *users, unsigned index);

/* Makes a hash for `ringpost user passwd` and the try-out: yescrypt or SHA-512 with salt from
 * `random`. cost 0: default. text holds 256 bytes. Blocking and slow: not on a core.
 * 0 or -errno. */
int auth_hash(struct slice password, struct slice random, unsigned cost, char *ret_text);

/* ---------------------------------------------------------------- checking */

struct auth_options {
    const struct auth_users *users;
    struct slice default_domain; /* appended to a name without '@'; empty: such names fail */
    unsigned cache_entries_max;  /* per core; 0: no cache */
    uint64_t cache_ms_max;       /* how long a verified password is believed */
    unsigned waiting_max;        /* hashes queued per core; beyond: -EAGAIN */
    uint64_t failure_ms_first, failure_ms_max; /* delay after a failure, doubling, per client
                                                  network (IPv4 /24... /32, IPv6 /48) */
};
/* Once per core. The options outlive it. 0 or -errno. */
int auth_open(struct core *core, const struct auth_options *options);
void auth_close(struct core *core);

struct auth_result {
    struct slice user;   /* canonical; lives as long as the users */
    uint64_t delay_ms;   /* with 0 and -EACCES: how long to hold the answer back */
    uint64_t network[2]; /* private to auth: whose penalty that is */
};
/* Fiber. `peer` (16 bytes and family as in struct stream) is for penalties. 0; -EACCES (unknown
 * user or wrong password: say the same for both); -EAGAIN (temporary: queue full, or a network
 * under penalty that holds too many answers back already); -EINVAL (name or password too long or
 * holding NUL). ret_result->user is set with 0 only, delay_ms with 0 and -EACCES. From the cache
 * it takes a microsecond and never a delay. A network under penalty waits also when the password is
 * right, unless that user has logged in from there lately. */
int auth_password(struct core *core, struct slice user, struct slice password, const uint8_t *peer,
                  unsigned peer_family, struct auth_result *ret_result);

/* Fiber. Holds the answer back for result->delay_ms. Not at all when too many are held back already
 * (64 per core, 4 per network). */
void auth_wait(struct core *core, const struct auth_result *result);

/* Overwrites a password where it lies; the memory must be writable (a line of a stream, an arena).
 */
void auth_wipe(struct slice secret);

/* ---------------------------------------------------------------- SASL */

/* PLAIN (RFC 4616): the decoded message's parts, copied into the arena (auth_wipe the password).
 * `base64` as on the wire ("=" alone is an empty message). NULL, or why not. An authorization
 * identity other than empty or the user itself is refused. */
const char *sasl_plain(struct slice base64, struct arena *arena, struct slice *ret_user,
                       struct slice *ret_password);

#endif
