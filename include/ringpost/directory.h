/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A directory knows users: a passwd file in memory, SQLite, LDAP, PostgreSQL, an HTTP server. One
 * question and one answer for all of them; auth asks, caches and judges.
 *
 *   auth (on a core, cached) ─▶ core_help_waiting ─▶ kind->ask on a helper thread, may block
 *
 * Invariants:
 *   Y1 `ask` of a kind that is not immediate runs on helper threads only, several at once.
 *   Y2 What a user typed is data: it reaches a directory by parameters, never as a part of a query.
 *   Y3 "unavailable" and "unknown" are never confused.
 */
#ifndef RINGPOST_DIRECTORY_H
#define RINGPOST_DIRECTORY_H

#include "ringpost/auth.h"

enum {
    DIRECTORY_SECRET_BYTES_MAX = 1023,
    DIRECTORY_NETWORKS_BYTES_MAX = 1023,
    DIRECTORY_ATTRIBUTES_BYTES_MAX = 1023,
    DIRECTORY_PROBLEM_BYTES_MAX = 255,
    DIRECTORY_QUERY_MS_MAX = 10000 /* longest time any kind waits for an answer */
};

struct directory_query {
    struct slice user;                /* canonical: lower case, local@domain */
    struct slice password;            /* data NULL: only looked up. Given to kinds that verify */
    const struct auth_client *client; /* NULL: not a log-in (is there such a user?) */
    const char *mechanism;            /* "PLAIN", ... of a log-in */
};

/* All texts NUL-ended, "" when there is nothing to say. */
struct directory_record {
    char user[AUTH_USER_BYTES_MAX + 1]; /* canonical; "": as it was asked for */
    /* Hashes and SCRAM records as in a passwd file, separated by blanks: $y$... $6$... $2b$...
     * $argon2id$... {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey {SCRAM-SHA-1}... "": no
     * password logs in. */
    char secret[DIRECTORY_SECRET_BYTES_MAX + 1];
    char networks[DIRECTORY_NETWORKS_BYTES_MAX + 1]; /* where log-ins may come from; "": anywhere */
    char attributes[DIRECTORY_ATTRIBUTES_BYTES_MAX + 1]; /* "key=value\n" each: for routes */
    bool is_disabled;                                    /* nobody logs in; mail is still taken */
    bool is_verified;  /* by a kind that verifies: the password is right */
    uint32_t delay_ms; /* the directory wants the refusal held back so long */
    char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]; /* with -EAGAIN: why, for the log */
};

struct directory_kind {
    const char *name;  /* "passwd", "sqlite", "ldap", "postgresql", "http" */
    bool is_immediate; /* from memory, on the core */
    bool verifies;     /* is given the password and judges it (LDAP bind, HTTP) */
    /* 0: *ret_record is filled (zeroed before the call). -ENOENT no such user; -EACCES (kinds that
     * verify) the password is wrong (delay_ms may be set); -EAGAIN not available: say "try later"
     * (problem is set). Blocking, at most DIRECTORY_QUERY_MS_MAX. */
    int (*ask)(void *state, const struct directory_query *query,
               struct directory_record *ret_record);
    /* An OAuth token as an introspection URL judges it (RFC 7662): 0 with record->user; -EACCES;
     * -EAGAIN. NULL: this kind cannot. */
    int (*ask_token)(void *state, struct slice token, const struct auth_client *client,
                     struct directory_record *ret_record);
    void (*close)(void *state);
};

struct auth_directory {
    const struct directory_kind *kind;
    void *state;
    struct slice name;           /* of the config, for the log */
    uint64_t identity;           /* hash of its settings: what is known from it outlives a reload
                                    that leaves name and identity as they were; 0: nothing does */
    const struct slice *domains; /* lower case; asked only for users of these; count 0: of all */
    unsigned domain_count;
};

#endif
