/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where mail for an address goes: domains, their users, aliases, catch-all, sub-addressing. One
 * function answers for every protocol. A target is a user of ours, or somebody to be asked about,
 * because users of that domain are known elsewhere: to a directory, or to the backends of its pool.
 *
 * The table is built at start-up (or reload), then immutable and shared by all cores. Its hash is
 * not keyed: names come from the operator's files, a peer's look-ups add nothing to it.
 */
#ifndef RINGPOST_ROUTE_H
#define RINGPOST_ROUTE_H

#include "ringpost/slice.h"

enum {
    ROUTE_TARGETS_MAX = 100,  /* of one address, aliases expanded */
    ROUTE_ALIAS_DEPTH_MAX = 8 /* an alias that names an alias that ... */
};

struct route_table;
int route_create(struct route_table **ret_table); /* 0 or -ENOMEM */
void route_free(struct route_table *table);

struct route_domain_options {
    struct slice catch_all; /* address or user that takes what nobody else does; empty: none */
    struct slice separator; /* characters that begin a sub-address ("+"); empty: none */
    bool detail_mailbox;    /* "user+Work@..." goes to mailbox Work if it exists (else INBOX) */
    bool users_elsewhere;   /* a name that is not in the table may be a user all the same (a
                               directory knows): ROUTE_ASK. Such names hold no separator */
};
/* 0; -EEXIST; -EINVAL (not a domain name: RFC 5321 4.1.2, or U-labels in UTF-8); -ENOMEM. Domains
 * are compared without regard to ASCII case. */
int route_add_domain(struct route_table *table, struct slice domain,
                     const struct route_domain_options *options);
/* user: local@domain; its domain must be there (-ENOENT). -EEXIST a user or alias of that name;
 * -EINVAL not local@domain; -ENOMEM. */
int route_add_user(struct route_table *table, struct slice user);
/* alias local@domain → an address; called again for the same alias, one more. Targets are looked up
 * when mail comes, so order does not matter. 0; -ENOENT no such domain; -EEXIST there is a user of
 * that name, or the alias has this target already; -EINVAL not local@domain; -ENOMEM. */
int route_add_alias(struct route_table *table, struct slice alias, struct slice target);
/* After the last add: every alias and catch-all must lead to users (no unknown names, no loops, not
 * too deep or too many). problem() names each that does not. 0 or -EINVAL. */
int route_check(const struct route_table *table,
                void (*problem)(void *argument, struct slice address, const char *what),
                void *argument);

struct route_target {
    struct slice user;    /* canonical, owned by the table; to be asked about: the local part only,
                             in any case, borrowed like the domain */
    struct slice mailbox; /* "INBOX", or the sub-address (borrowed from local_part) */
    struct slice domain;  /* not empty: ask whether there is user@domain (auth_lookup, or the
                             backends of a domain whose mail is elsewhere) */
    struct slice named;   /* to be asked about: the local part as it was named, with its
                             sub-address; borrowed */
};
enum route_answer {
    ROUTE_TARGETS,      /* there is at least one target, all are users */
    ROUTE_ASK,          /* there is at least one target, and one or more are to be asked about */
    ROUTE_UNKNOWN_USER, /* our domain, no such user: 550 5.1.1 */
    ROUTE_NOT_LOCAL     /* not our domain: 550 5.7.1 without authentication */
};
/* local_part: unquoted bytes as the sender meant them (RFC 5321 4.1.2); compared without regard to
 * ASCII case. "postmaster" without a domain (empty domain) is looked up in the first domain.
 * Targets are without duplicates. */
enum route_answer route_find(const struct route_table *table, struct slice local_part,
                             struct slice domain, struct route_target *ret_targets,
                             unsigned *ret_count);
/* The same once it is known that elsewhere there is no user of this very name: the domain's
 * catch-all, or ROUTE_UNKNOWN_USER. */
enum route_answer route_find_without(const struct route_table *table, struct slice local_part,
                                     struct slice domain, struct route_target *ret_targets,
                                     unsigned *ret_count);

#endif
