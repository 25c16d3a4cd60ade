/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From what a directory answered to a struct directory_record, and from options to a state: bounded
 * copies, and the reason when something does not fit.
 */
#include "directory_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/hash.h"

int asked_of(struct slice user, struct asked *ret_asked)
{
    const char *at = user.size > 0 ? memrchr(user.data, '@', user.size) : NULL;
    if (at == NULL || user.size > AUTH_USER_BYTES_MAX)
        return -ENOENT;
    for (size_t i = 0; i < user.size; i++)
        if ((unsigned char)user.data[i] <= ' ' || user.data[i] == 127)
            return -ENOENT;
    size_t local = (size_t)(at - user.data), domain = user.size - local - 1;
    memcpy(ret_asked->user, user.data, user.size);
    ret_asked->user[user.size] = '\0';
    memcpy(ret_asked->local, user.data, local);
    ret_asked->local[local] = '\0';
    memcpy(ret_asked->domain, at + 1, domain);
    ret_asked->domain[domain] = '\0';
    return 0;
}

/* ---------------------------------------------------------------- the answer */

static void write_problem(char text[DIRECTORY_PROBLEM_BYTES_MAX + 1], const char *what,
                          const char *detail)
{
    int size = snprintf(text, DIRECTORY_PROBLEM_BYTES_MAX + 1, "%s%s%s", what,
                        detail != NULL ? ": " : "", detail != NULL ? detail : "");
    if (size > DIRECTORY_PROBLEM_BYTES_MAX)
        size = DIRECTORY_PROBLEM_BYTES_MAX;
    for (int i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
    while (size > 0 && text[size - 1] == ' ')
        text[--size] = '\0';
}

int record_fail(struct directory_record *record, const char *what, const char *detail)
{
    write_problem(record->problem, what, detail);
    return -EAGAIN;
}

bool record_is_true(struct slice value)
{
    static const struct slice untrue[] = {{"", 0},  {"0", 1},     {"f", 1},
                                          {"n", 1}, {"false", 5}, {"no", 2}};
    for (unsigned i = 0; i < sizeof untrue / sizeof untrue[0]; i++)
        if (slice_equal_nocase(value, untrue[i]))
            return false;
    return true;
}

int record_attribute(struct directory_record *record, struct slice key, struct slice value)
{
    size_t used = strlen(record->attributes);
    if (key.size + value.size + 2 > DIRECTORY_ATTRIBUTES_BYTES_MAX - used)
        return record_fail(record, "the user's attributes are longer than 1023 bytes", NULL);
    char *to = record->attributes + used;
    for (size_t i = 0; i < key.size; i++)
        *to++ = (unsigned char)key.data[i] < ' ' || key.data[i] == '=' ? ' ' : key.data[i];
    *to++ = '=';
    for (size_t i = 0; i < value.size; i++)
        *to++ = (unsigned char)value.data[i] < ' ' ? ' ' : value.data[i];
    *to++ = '\n';
    *to = '\0';
    return 0;
}

static int copy(struct directory_record *record, struct slice column, struct slice value, char *to,
                size_t size_max)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(column.size < 60 ? column.size : 60), column.data);
    if (value.size > size_max || slice_find(value, '\0') < value.size)
        return record_fail(record, "the value is too long, or holds NUL", name);
    if (value.size > 0)
        memcpy(to, value.data, value.size);
    to[value.size] = '\0';
    return 0;
}

int record_set(struct directory_record *record, struct slice column, struct slice value)
{
    if (slice_equal_nocase(column, SLICE("password")))
        return copy(record, column, value, record->secret, DIRECTORY_SECRET_BYTES_MAX);
    if (slice_equal_nocase(column, SLICE("allow_nets")))
        return copy(record, column, value, record->networks, DIRECTORY_NETWORKS_BYTES_MAX);
    if (slice_equal_nocase(column, SLICE("user")))
        return copy(record, column, value, record->user, AUTH_USER_BYTES_MAX);
    if (slice_equal_nocase(column, SLICE("backend_user")))
        column = SLICE("user");
    else if (slice_equal_nocase(column, SLICE("disabled"))) {
        record->is_disabled = record_is_true(value);
        return 0;
    }
    return value.size > 0 ? record_attribute(record, column, value) : 0;
}

/* ---------------------------------------------------------------- options */

int option_problem(char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1], const char *what,
                   const char *detail)
{
    write_problem(problem, what, detail);
    return -EINVAL;
}

int option_timeout(uint64_t timeout_ms, uint64_t *ret_ms,
                   char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    if (timeout_ms > DIRECTORY_QUERY_MS_MAX)
        return option_problem(problem, "the time for an answer is 10 seconds at most", NULL);
    *ret_ms = timeout_ms > 0 ? timeout_ms : DIRECTORY_MS_DEFAULT;
    return 0;
}

void option_mix(uint64_t value, uint64_t *identity)
{
    *identity = hash_u64(*identity + value + 1);
    if (*identity == 0)
        *identity = 1;
}

bool option_copy(const char *text, uint64_t *identity, char **ret_copy)
{
    option_mix(text != NULL ? hash_stable(text, strlen(text)) : 7, identity);
    /* tidy: allow call because directories are not run under the simulator */
    *ret_copy = text != NULL ? strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL;
}

void option_free(char *text)
{
    free(text);
}

void option_free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}
