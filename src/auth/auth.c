/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a core knows of log-ins, and the questions without one. A log-in itself is in steps (try.c),
 * which the SASL mechanisms use as well:
 *
 *   try.c      canonical name ─▶ record or password ─▶ verdict ─▶ counted, delayed, remembered
 *   ask.c      directories, helper threads             cache.c     what they said lately
 *   penalty.c  what guessing costs                     recent.c    tables of keyed tags
 *   users.c    the passwd file                         password.c  hashes
 *
 * Ownership: struct auth is its core's; options are the caller's and must outlive it, or until
 * auth_adopt and the last log-in that began with them (options->generation tells).
 */
#include "auth_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int auth_open(struct core *core, const struct auth_options *options)
{
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL)
        return -ENOMEM;
    auth->core = core;
    auth->options = options;
    core_random(core, &auth->verified_key, sizeof auth->verified_key);
    core_random(core, &auth->place_key, sizeof auth->place_key);
    core_random(core, &auth->record_key, sizeof auth->record_key);
    if (recent_open(&auth->verified, options->cache_entries_max) < 0 ||
        record_cache_open(&auth->records, options->cache_entries_max) < 0 ||
        penalty_open(auth) < 0) {
        recent_close(&auth->verified);
        record_cache_close(&auth->records);
        free(auth);
        return -ENOMEM;
    }
    core_local_set(core, CORE_LOCAL_AUTH, auth);
    return 0;
}

/* Caches need no change: their keys hold what they depend on, a secret or a directory's identity.
 * Their size stays. */
void auth_adopt(struct core *core, const struct auth_options *options)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    auth->options = options;
    memset(auth->states, 0, sizeof auth->states);
    explicit_bzero(auth->dummy, sizeof auth->dummy);
    auth->dummy_votes = 0;
}

void auth_close(struct core *core)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    if (auth == NULL)
        return;
    assert(auth->tries == 0 && auth->sleeping == 0 && "a log-in is still under way");
    core_local_set(core, CORE_LOCAL_AUTH, NULL);
    recent_close(&auth->verified);
    record_cache_close(&auth->records);
    penalty_close(auth);
    explicit_bzero(auth, sizeof *auth);
    free(auth);
}

const struct auth_options *auth_options_of(struct core *core)
{
    const struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    return auth->options;
}

/* ---------------------------------------------------------------- names */

int name_make(struct slice user, struct slice domain, char text[AUTH_USER_BYTES_MAX + 1],
              struct slice *ret_name)
{
    bool is_whole = user.size > 0 && memchr(user.data, '@', user.size) != NULL;
    if (user.size > AUTH_USER_BYTES_MAX || slice_find(user, '\0') < user.size)
        return -EINVAL;
    size_t size = user.size + (is_whole || domain.size == 0 ? 0 : 1 + domain.size);
    if (size > AUTH_USER_BYTES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < user.size; i++)
        text[i] = ascii_lower(user.data[i]);
    for (size_t i = user.size; i < size; i++)
        text[i] = i == user.size ? '@' : ascii_lower(domain.data[i - user.size - 1]);
    text[size] = '\0';
    *ret_name = slice_of(text, size);
    return 0;
}

bool name_is_possible(struct slice name)
{
    const char *at = name.size > 0 ? memrchr(name.data, '@', name.size) : NULL;
    if (at == NULL || at == name.data || at + 1 == name.data + name.size)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 127)
            return false;
    return slice_is_utf8(name);
}

bool domain_is_elsewhere(const struct auth_options *options, struct slice domain)
{
    unsigned low = 0, high = options->judged_elsewhere_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct slice one = options->judged_elsewhere[middle];
        size_t size = one.size < domain.size ? one.size : domain.size;
        int order = size > 0 ? memcmp(one.data, domain.data, size) : 0;
        if (order == 0 && one.size == domain.size)
            return true;
        if (order < 0 || (order == 0 && one.size < domain.size))
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool name_is_elsewhere(const struct auth_options *options, struct slice name)
{
    const char *at = name.size > 0 ? memrchr(name.data, '@', name.size) : NULL;
    return at != NULL &&
           domain_is_elsewhere(options, slice_from(name, (size_t)(at + 1 - name.data))) &&
           name_is_possible(name);
}

/* ---------------------------------------------------------------- without a log-in */

int auth_find(struct auth *auth, const struct auth_options *options,
              const struct directory_query *query, struct directory_record *ret_record)
{
    if (!name_is_possible(query->user))
        return -ENOENT;
    int64_t user = users_find(options->users, query->user);
    if (user != AUTH_NO_USER) {
        users_record(options->users, (uint32_t)user, ret_record);
        return 0;
    }
    for (unsigned i = 0; i < options->directory_count; i++) {
        if (!ask_concerns(&options->directories[i], query->user))
            continue;
        int result = ask_record(auth, options, i, query, ret_record);
        if (result != -ENOENT)
            return result;
    }
    return -ENOENT;
}

int auth_lookup(struct core *core, struct slice user, struct auth_result *ret_result)
{
    return auth_lookup_proof(core, user, ret_result, NULL);
}

static void prove(const struct directory_record *record, struct auth_proof *proof)
{
    struct slice attributes = slice_cstr(record->attributes);
    assert(attributes.size < proof->memory_bytes && "AUTH_PROOF_BYTES_MAX");
    memcpy(proof->memory, attributes.data, attributes.size + 1);
    proof->attributes = slice_of(proof->memory, attributes.size);
    proof->secret = (struct slice){0};
}

int auth_lookup_proof(struct core *core, struct slice user, struct auth_result *ret_result,
                      struct auth_proof *ret_proof)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    const struct auth_options *options = auth->options;
    char text[AUTH_USER_BYTES_MAX + 1];
    struct directory_query query = {0};
    if (name_make(user, options->default_domain, text, &query.user) < 0)
        return -ENOENT;
    if (name_is_elsewhere(options, query.user))
        return -EAGAIN;
    struct directory_record *record = malloc(sizeof *record);
    if (record == NULL)
        return -EAGAIN;
    generation_enter(options->generation);
    auth->tries++;
    int result = auth_find(auth, options, &query, record);
    auth->tries--;
    generation_leave(options->generation);
    if (result == 0) {
        *ret_result = (struct auth_result){0};
        struct slice name = record->user[0] != '\0' ? slice_cstr(record->user) : query.user;
        memcpy(ret_result->text, name.data, name.size);
        ret_result->user = slice_of(ret_result->text, name.size);
    }
    if (result == 0 && ret_proof != NULL)
        prove(record, ret_proof);
    explicit_bzero(record, sizeof *record);
    free(record);
    return result;
}

int auth_password(struct core *core, const struct auth_client *client, struct slice user,
                  struct slice password, struct auth_result *ret_result)
{
    return auth_password_proof(core, client, user, password, ret_result, NULL);
}

int auth_password_proof(struct core *core, const struct auth_client *client, struct slice user,
                        struct slice password, struct auth_result *ret_result,
                        struct auth_proof *ret_proof)
{
    struct auth_try *t;
    if (!client->may_send_password)
        return -EPERM;
    int result = auth_try_begin(core, client, "PLAIN", user, &t);
    if (result < 0)
        return result;
    if (ret_proof != NULL)
        ret_proof->mechanism = AUTH_PLAIN;
    return auth_try_end(t, auth_try_password(t, password), (struct slice){0}, ret_result,
                        ret_proof);
}
