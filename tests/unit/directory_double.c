/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See directory_double.h.
 */
#include "directory_double.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"

const char *hash_of(const char *password, const char *setting, char *text)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *hash = crypt_rn(password, setting, data, (int)sizeof *data);
    check(hash != NULL);
    snprintf(text, 256, "%s", hash);
    free(data);
    return text;
}

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int answer(const struct directory_double *directory, const struct directory_query *query,
                  struct directory_record *record)
{
    for (unsigned i = 0; i < directory->count; i++) {
        const struct double_user *user = &directory->users[i];
        if (!slice_equal(slice_cstr(user->name), query->user))
            continue;
        if (user->canonical != NULL)
            snprintf(record->user, sizeof record->user, "%s", user->canonical);
        if (user->networks != NULL)
            snprintf(record->networks, sizeof record->networks, "%s", user->networks);
        if (user->attributes != NULL)
            snprintf(record->attributes, sizeof record->attributes, "%s", user->attributes);
        record->is_disabled = user->is_disabled;
        if (!directory->directory.kind->verifies) {
            snprintf(record->secret, sizeof record->secret, "%s", user->secret);
            return 0;
        }
        if (query->password.data == NULL)
            return 0;
        record->is_verified = slice_equal(slice_cstr(user->password), query->password);
        record->delay_ms = record->is_verified ? 0 : 30;
        return record->is_verified ? 0 : -EACCES;
    }
    return -ENOENT;
}

static int double_ask(void *state, const struct directory_query *query,
                      struct directory_record *ret_record)
{
    struct directory_double *directory = state;
    unsigned number = __atomic_fetch_add(&directory->questions, 1, __ATOMIC_RELAXED);
    int fault = __atomic_load_n(&directory->fault, __ATOMIC_ACQUIRE);
    check_equal(ret_record->secret[0], 0); /* zeroed */
    check(!directory->directory.kind->verifies ? query->password.data == NULL : true);
    if (fault == DOUBLE_FLAPS)
        fault = (int)(number % 8 < DOUBLE_FLAPS ? number % 8 : DOUBLE_FINE);
    switch (fault) {
    case DOUBLE_HANGS:
        nap(directory->nap_ms);
        /* fall through */
    case DOUBLE_DOWN:
        __atomic_fetch_add(&directory->refused, 1, __ATOMIC_RELAXED);
        snprintf(ret_record->problem, sizeof ret_record->problem, "the double is down");
        return -EAGAIN;
    case DOUBLE_SLOW:
        nap(directory->nap_ms);
        return answer(directory, query, ret_record);
    case DOUBLE_BAD_NAME:
        snprintf(ret_record->user, sizeof ret_record->user, "somebody else\r\n");
        return 0;
    case DOUBLE_BAD_SECRET:
        snprintf(ret_record->secret, sizeof ret_record->secret, "{MD5}xxx");
        return 0;
    case DOUBLE_BAD_CODE:
        return -EPIPE;
    default:
        return answer(directory, query, ret_record);
    }
}

static const struct directory_kind kind_record = {.name = "double", .ask = double_ask};
static const struct directory_kind kind_verify = {
    .name = "double", .verifies = true, .ask = double_ask};

void double_open(struct directory_double *directory, bool verifies)
{
    *directory = (struct directory_double){.nap_ms = 1};
    directory->directory = (struct auth_directory){.kind = verifies ? &kind_verify : &kind_record,
                                                   .state = directory,
                                                   .name = SLICE("double"),
                                                   .identity = 77};
}

struct double_user *double_add(struct directory_double *directory, const char *name,
                               const char *password)
{
    struct double_user *user = &directory->users[directory->count++];
    check(directory->count <= DOUBLE_USERS_MAX);
    *user = (struct double_user){.name = name, .password = password};
    hash_of(password, "$5$rounds=1000$salt", user->secret);
    return user;
}

void double_set(struct directory_double *directory, enum double_fault fault)
{
    __atomic_store_n(&directory->fault, fault, __ATOMIC_RELEASE);
}

unsigned double_questions(const struct directory_double *directory)
{
    return __atomic_load_n(&directory->questions, __ATOMIC_RELAXED);
}
