/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds of directories that there are beside the passwd file: SQLite, LDAP, PostgreSQL, HTTP.
 * Each is opened from a struct of options into a struct auth_directory (directory.h), of which the
 * caller sets name and domains.
 *
 * Opening looks at the options and connects to nothing, except that SQLite's file must be there and
 * its query must fit it. 0; -EINVAL with what is wrong and the fix in `problem`; -ENOMEM; -ENOTSUP
 * (this program was built without that kind; problem says so). Nothing of the options is needed
 * afterwards. Blocking: not on a core. directory->kind->close(directory->state) when no log-in uses
 * it any more.
 *
 * The time a question takes is bounded by timeout_ms (1 to DIRECTORY_QUERY_MS_MAX; 0: 5000), except
 * for the resolver's own time where a server is named and not numbered.
 */
#ifndef RINGPOST_DIRECTORIES_H
#define RINGPOST_DIRECTORIES_H

#include "ringpost/directory.h"

/* What a query of SQLite or PostgreSQL answers: at most one row, whose columns mean by their names
 *   password      secrets as in a passwd file (directory.h); NULL or empty: no password logs in
 *   allow_nets    networks, blanks or commas between
 *   disabled      anything but NULL, empty, 0, f, false, n, no: nobody logs in
 *   user          the canonical name, when it is not the one asked for
 *   backend_user  the name at the backend, when it is not the canonical one: attribute "user"
 *   any other     attribute of that name: host, port, backend, tag, pass, master, tls (backend.h)
 */
struct directory_sqlite_options {
    const char *file;
    const char *query; /* one statement that only reads; :user :local :domain */
};
int directory_open_sqlite(const struct directory_sqlite_options *options,
                          struct auth_directory *ret_directory,
                          char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]);

struct directory_postgres_options {
    const char *connection; /* conninfo: "host=... dbname=... user=... sslmode=verify-full" */
    const char *password;   /* NULL: none, or by the conninfo */
    const char *query;      /* $1 user, $2 local, $3 domain: texts */
    uint64_t timeout_ms;
};
int directory_open_postgres(const struct directory_postgres_options *options,
                            struct auth_directory *ret_directory,
                            char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]);

enum { LDAP_ROUTES_MAX = 8 };
struct directory_ldap_options {
    const char *url;                /* ldap://, ldaps://, ldapi:// */
    bool start_tls;                 /* on ldap:// */
    bool verify;                    /* the server's certificate; false: any will do */
    const char *ca;                 /* PEM file; NULL: the system's */
    const char *bind_dn, *password; /* to search with; NULL: anonymous */
    const char *base;
    const char *filter; /* "(mail=%u)": %u user, %l local, %d domain, %% */
    /* The entry's attribute with secrets in the form of a passwd file, "{CRYPT}" before them or
     * not. NULL: the password is tried by a bind as the entry. */
    const char *password_attribute;
    const char *user_attribute, *networks_attribute, *disabled_attribute; /* NULL: none */
    /* Others that are asked for, and the record's attribute that each becomes (its first value):
     * "mailHost=host mailPort=port uid=backend_user"; NULL: none, at most LDAP_ROUTES_MAX. */
    const char *routes;
    uint64_t timeout_ms;
};
int directory_open_ldap(const struct directory_ldap_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]);

/* url: a server that speaks as nginx's auth_http wants it. It judges passwords by Auth-Status; a
 * question without a password has "Auth-Method: none", to which OK means that there is such a user.
 * A certificate (EXTERNAL) is "Auth-Method: external": it is verified already. Auth-Server,
 * Auth-Port, Auth-User and Auth-Pass become the attributes host, port, user and pass; Auth-User is
 * the canonical name as well, with the domain of who logs in where it has none.
 * token_url: RFC 7662, as client client_id with `password` (HTTP Basic). Either may be NULL. */
struct directory_http_options {
    const char *url, *token_url;
    const char *ca;                   /* PEM file; NULL: the system's */
    const char *header;               /* "Name: value", sent with each question to url; or NULL */
    const char *client_id, *password; /* NULL: none */
    const char *user_claim;           /* of the token's answer; NULL: "username" */
    uint64_t timeout_ms;
};
int directory_open_http(const struct directory_http_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]);

#endif
