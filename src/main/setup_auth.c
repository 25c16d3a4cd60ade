/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may log in: master users, tokens, mechanisms; and the options that bind them together.
 */
#include <stdlib.h>

#include "setup.h"
#include "users.h"

/* ---------------------------------------------------------------- master users */

struct masters_reading {
    struct config *config;
    const char *path;
};

static void masters_problem(void *argument, unsigned line, const char *what)
{
    struct masters_reading *reading = argument;
    config_problem(reading->config, (struct config_place){reading->path, line}, "%s", what);
}

static void read_masters(struct setup *setup)
{
    struct config *config = setup->config;
    struct masters_reading reading = {config, config->auth.master_users};
    char text[300], *data;
    size_t size;
    if (reading.path == NULL)
        return;
    const char *why = users_file_read(reading.path, (long)setup->reader.uid, text, &data, &size);
    if (why != NULL) {
        config_problem(config, config->auth.place, "master_users: %s", why);
        return;
    }
    int result = auth_users_parse(slice_of(data, size), masters_problem, &reading, &setup->masters);
    explicit_bzero(data, size);
    free(data);
    if (result < 0 && config->problem_count == 0)
        config_problem(config, config->auth.place, "master_users: %s", strerror(-result));
}

/* ---------------------------------------------------------------- mechanisms */

/* Not given: all but those of SCRAM that somebody may be without. What a directory holds is not
 * known before, and nobody has a record here whose backend judges. */
static uint32_t mechanisms_of(const struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_names *names = &config->auth.mechanisms;
    uint32_t bits = 0;
    if (names->count == 0) {
        uint32_t scram = 1u << AUTH_SCRAM_SHA_256 | 1u << AUTH_SCRAM_SHA_256_PLUS |
                         1u << AUTH_SCRAM_SHA_1 | 1u << AUTH_SCRAM_SHA_1_PLUS;
        bits = ((UINT32_C(1) << AUTH_MECHANISM_COUNT) - 1) & ~scram;
        if (setup->directories_asked == 0 && setup->judged_count == 0 && setup->users != NULL)
            bits |= auth_users_scram(setup->users);
        return bits;
    }
    for (unsigned i = 0; i < names->count; i++) {
        enum auth_mechanism found;
        if (auth_mechanism_find(slice_cstr(names->names[i]), &found))
            bits |= UINT32_C(1) << found;
        else
            config_problem(config, config->auth.place,
                           "mechanism \"%.40s\" is not known; such as \"SCRAM-SHA-256\", \"PLAIN\"",
                           names->names[i]);
    }
    return bits;
}

/* ---------------------------------------------------------------- tokens */

static void make_tokens(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_tokens *from = &config->auth.tokens;
    struct auth_token_options options = {
        .issuer = setup_text(from->issuer),
        .audience = setup_text(from->audience),
        .user_claim = setup_text(from->user_claim),
    };
    struct slice jwks = {NULL, 0};
    char text[FILE_WHY_BYTES];
    if (from->place.file == NULL)
        return;
    const char *why = from->jwks == NULL ? NULL : path_read(from->jwks, text, &jwks);
    if (why != NULL) {
        config_problem(config, from->place, "jwks %s: %s", from->jwks, why);
        return;
    }
    if (from->introspection != NULL)
        options.introspection = setup_directory(setup, from->introspection);
    options.jwks = jwks.data == NULL ? SLICE("") : jwks;
    why = auth_tokens_make(&options, &setup->tokens);
    if (why != NULL)
        config_problem(config, from->place, "tokens: %s", why);
    path_forget(&jwks);
}

/* ---------------------------------------------------------------- all */

void setup_make_auth(struct setup *setup, const struct setup_process *process)
{
    struct config *config = setup->config;
    const struct config_auth *from = &config->auth;
    read_masters(setup);
    make_tokens(setup);
    struct auth_options *options = &setup->gateway.auth;
    *options = (struct auth_options){
        .users = setup->users,
        .directories = setup->directories,
        .directory_count = setup->directories_asked,
        .default_domain = setup_text(from->default_domain),
        .masters = setup->masters,
        .master_separator = *from->master_separator,
        .tokens = setup->tokens,
        .mechanisms = mechanisms_of(setup),
        .cache_entries_max = (unsigned)from->cache_entries,
        .cache_ms_max = from->cache_ms,
        .negative_ms_max = from->negative_ms,
        .stale_ms_max = from->stale_ms,
        .waiting_max = (unsigned)from->waiting_max,
        .failure_ms_first = from->failure_ms_first,
        .failure_ms_max = from->failure_ms_max,
        .judged_elsewhere = setup->judged,
        .judged_elsewhere_count = setup->judged_count,
        .generation = &setup->generation,
    };
    memcpy(options->dummy_key, process->dummy_key, sizeof options->dummy_key);
}

void setup_free_auth(struct setup *setup)
{
    auth_tokens_free(setup->tokens);
    auth_users_free(setup->masters);
    auth_users_free(setup->users);
    setup_free_directories(setup);
}
