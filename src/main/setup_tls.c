/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificates and keys from their files. Keys are wiped as soon as the settings are made of them
 * (which hold their own copy and wipe it when they go).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "ringpost/hash.h"
#include "ringpost/tls.h"
#include "setup.h"

struct reading {
    struct config *config;
    struct tls_pair *pairs;
};

/* By the pair's name, which is the file's path in the config. */
static void tls_problem(void *argument, const char *name, const char *what)
{
    struct reading *reading = argument;
    struct config *config = reading->config;
    const struct config_certificate *all = config->tls.certificates.items;
    for (unsigned i = 0; i < config->tls.certificates.count && name != NULL; i++)
        if (strcmp(all[i].certificate, name) == 0) {
            config_problem(config, all[i].place, "%s: %s", name, what);
            return;
        }
    config_problem(config, config->tls.place, "%s%s%s", name == NULL ? "" : name,
                   name == NULL ? "" : ": ", what);
}

static void read_pair(struct config *config, const struct config_certificate *from,
                      const struct file_reader *reader, struct tls_pair *ret_pair)
{
    char text[FILE_WHY_BYTES];
    ret_pair->name = from->certificate;
    const char *why = path_read(from->certificate, text, &ret_pair->certificate);
    if (why != NULL)
        config_problem(config, from->place, "certificate %s: %s", from->certificate, why);
    why = path_read_secret(from->key, reader, text, &ret_pair->key);
    if (why != NULL)
        config_problem(config, from->place, "key %s: %s", from->key, why);
}

static struct slice read_authorities(struct config *config)
{
    struct slice bytes = {NULL, 0};
    char text[FILE_WHY_BYTES];
    if (config->tls.client_ca == NULL)
        return bytes;
    const char *why = path_read(config->tls.client_ca, text, &bytes);
    if (why != NULL)
        config_problem(config, config->tls.place, "client_ca %s: %s", config->tls.client_ca, why);
    return bytes;
}

static struct tls_settings *make(struct reading *reading, struct slice authorities,
                                 const uint8_t ticket_secret[32])
{
    struct config *config = reading->config;
    const struct config_tls *tls = &config->tls;
    struct tls_settings *settings = NULL;
    struct tls_options options = {
        .pairs = reading->pairs,
        .pair_count = tls->certificates.count,
        .profile = tls->profile == 0 ? TLS_MODERN : TLS_INTERMEDIATE,
        .client_ca = authorities,
        .client_required = tls->client_certificate == CONFIG_CLIENT_REQUIRED,
        .ticket_ms_max = tls->ticket_ms,
    };
    memcpy(options.ticket_secret, ticket_secret, sizeof options.ticket_secret);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int result = tls_settings_make(&options, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                                   tls_problem, reading, &settings);
    explicit_bzero(&options, sizeof options);
    if (result < 0 && config->problem_count == 0)
        config_problem(config, tls->place, "certificates: %s", strerror(-result));
    return settings;
}

struct tls_settings *setup_make_tls(struct config *config, const struct file_reader *reader,
                                    const uint8_t ticket_secret[32])
{
    unsigned count = config->tls.certificates.count, before = config->problem_count;
    const struct config_certificate *all = config->tls.certificates.items;
    struct reading reading = {config, NULL};
    struct tls_settings *settings = NULL;
    if (count == 0)
        return NULL;
    reading.pairs = calloc(count, sizeof *reading.pairs);
    if (reading.pairs == NULL) {
        config_problem(config, config->tls.place, "certificates: no memory");
        return NULL;
    }
    for (unsigned i = 0; i < count; i++)
        read_pair(config, &all[i], reader, &reading.pairs[i]);
    struct slice authorities = read_authorities(config);
    if (config->problem_count == before)
        settings = make(&reading, authorities, ticket_secret);
    path_forget(&authorities);
    for (unsigned i = 0; i < count; i++) {
        path_forget(&reading.pairs[i].certificate);
        path_forget(&reading.pairs[i].key);
    }
    free(reading.pairs);
    return settings;
}

static uint64_t mix_stamp(uint64_t hash, const char *path)
{
    struct file_stamp stamp;
    if (path == NULL)
        return hash;
    path_stamp(path, &stamp);
    return hash_u64(hash ^ hash_stable(&stamp, sizeof stamp));
}

uint64_t setup_tls_stamp(const struct config *config)
{
    const struct config_certificate *all = config->tls.certificates.items;
    uint64_t hash = mix_stamp(0, config->tls.client_ca);
    for (unsigned i = 0; i < config->tls.certificates.count; i++)
        hash = mix_stamp(mix_stamp(hash, all[i].certificate), all[i].key);
    return hash;
}

_Static_assert((int)CONFIG_CERTIFICATES_MAX <= (int)TLS_PAIRS_MAX, "all pairs fit into settings");
