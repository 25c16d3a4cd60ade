/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a passwd file. Either every line is good, and each name is found again
 * once and in lower case; or at least one line is named, by a number that exists.
 */
#include "../../src/auth/auth_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

struct told {
    unsigned count, last;
};

static void problem(void *argument, unsigned line, const char *what)
{
    struct told *told = argument;
    require(what != NULL && line >= told->last && line > 0);
    told->count++;
    told->last = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told told = {0};
    struct auth_users *users = NULL;
    unsigned lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    int result = auth_users_parse(slice_of(data, size), problem, &told, &users);
    if (result != 0) {
        require(result == -EINVAL && users == NULL && told.count > 0 && told.last <= lines);
        return 0;
    }
    require(told.count == 0 && auth_users_count(users) <= lines);
    for (unsigned i = 0; i < auth_users_count(users); i++) {
        struct slice name = auth_users_name(users, i);
        require(users_find(users, name) == (int64_t)i && slice_is_utf8(name));
        for (size_t j = 0; j < name.size; j++)
            require(ascii_lower(name.data[j]) == name.data[j] && (unsigned char)name.data[j] > ' ');
        require(password_problem(users_hash(users, i)) == NULL);
        require(password_cost_size(users_hash(users, i)) <= users_hash(users, i).size);
    }
    require(auth_users_name(users, auth_users_count(users)).data == NULL);
    require(password_problem(users_dummy(users)) == NULL);
    auth_users_free(users);
    return 0;
}
