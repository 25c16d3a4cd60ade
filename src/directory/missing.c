/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds of directories that this program was built without say so.
 */
#include "directory_private.h"

#include <errno.h>

__attribute__((unused)) /* with all of them */
static int
missing(char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1], const char *kind)
{
    option_problem(problem, "this program was built without directories of the kind", kind);
    return -ENOTSUP;
}

#ifndef RINGPOST_WITH_SQLITE
int directory_open_sqlite(const struct directory_sqlite_options *options,
                          struct auth_directory *ret_directory,
                          char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    (void)options, (void)ret_directory;
    return missing(problem, "sqlite");
}
#endif

#ifndef RINGPOST_WITH_LDAP
int directory_open_ldap(const struct directory_ldap_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    (void)options, (void)ret_directory;
    return missing(problem, "ldap");
}
#endif

#ifndef RINGPOST_WITH_POSTGRESQL
int directory_open_postgres(const struct directory_postgres_options *options,
                            struct auth_directory *ret_directory,
                            char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    (void)options, (void)ret_directory;
    return missing(problem, "postgresql");
}
#endif

#ifndef RINGPOST_WITH_HTTP
int directory_open_http(const struct directory_http_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    (void)options, (void)ret_directory;
    return missing(problem, "http");
}
#endif
