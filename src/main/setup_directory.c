/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories from their sections in the config. Passwords come from files of their own and are
 * wiped here when the directory has taken them.
 */
#include <stdlib.h>

#include "ringpost/directories.h"
#include "ringpost/hash.h"
#include "setup.h"

/* ---------------------------------------------------------------- secrets */

/* The first line of a file; NULL data when there is no file. False after naming the problem. */
static bool read_line(struct setup *setup, struct config_place place, const char *path,
                      struct slice *ret_bytes)
{
    char text[FILE_WHY_BYTES];
    *ret_bytes = slice_of(NULL, 0);
    if (path == NULL)
        return true;
    const char *why = path_read_secret(path, &setup->reader, text, ret_bytes);
    if (why == NULL) {
        size_t end = slice_find(*ret_bytes, '\n');
        while (end > 0 && ret_bytes->data[end - 1] == '\r')
            end--;
        ((char *)ret_bytes->data)[end] = '\0';
        if (end == 0 || strlen(ret_bytes->data) != end)
            why = "its first line is empty, or holds a NUL";
    }
    if (why == NULL)
        return true;
    config_problem(setup->config, place, "%s: %s", path, why);
    path_forget(ret_bytes);
    return false;
}

/* ---------------------------------------------------------------- each kind */

struct opening {
    struct auth_directory *directory;
    char *problem;
    struct slice password, header;
};

static int open_sqlite(const struct config_directory *from, struct opening *opening)
{
    struct directory_sqlite_options options = {.file = from->sqlite.file,
                                               .query = from->sqlite.query};
    return directory_open_sqlite(&options, opening->directory, opening->problem);
}

static int open_postgresql(const struct config_directory *from, struct opening *opening)
{
    struct directory_postgres_options options = {
        .connection = from->postgresql.connection,
        .password = opening->password.data,
        .query = from->postgresql.query,
        .timeout_ms = from->postgresql.timeout_ms,
    };
    return directory_open_postgres(&options, opening->directory, opening->problem);
}

static int open_ldap(const struct config_directory *from, struct opening *opening)
{
    const struct config_ldap *ldap = &from->ldap;
    struct directory_ldap_options options = {
        .url = ldap->url,
        .start_tls = ldap->start_tls != 0,
        .verify = true,
        .ca = ldap->ca,
        .bind_dn = ldap->bind_dn,
        .password = opening->password.data,
        .base = ldap->base == NULL ? "" : ldap->base,
        .filter = ldap->filter,
        .password_attribute = ldap->password_attribute,
        .user_attribute = ldap->user_attribute,
        .networks_attribute = ldap->networks_attribute,
        .disabled_attribute = ldap->disabled_attribute,
        .routes = ldap->routes,
        .timeout_ms = ldap->timeout_ms,
    };
    return directory_open_ldap(&options, opening->directory, opening->problem);
}

static int open_http(const struct config_directory *from, const char *user_claim,
                     struct opening *opening)
{
    struct directory_http_options options = {
        .url = from->http.url,
        .token_url = from->http.token_url,
        .ca = from->http.ca,
        .header = opening->header.data,
        .client_id = from->http.client_id,
        .password = opening->password.data,
        .user_claim = user_claim,
        .timeout_ms = from->http.timeout_ms,
    };
    return directory_open_http(&options, opening->directory, opening->problem);
}

static int open_one(struct setup *setup, const struct config_directory *from,
                    struct opening *opening)
{
    const struct config_tokens *tokens = &setup->config->auth.tokens;
    if (from->sqlite.place.file != NULL)
        return open_sqlite(from, opening);
    if (from->postgresql.place.file != NULL)
        return open_postgresql(from, opening);
    if (from->ldap.place.file != NULL)
        return open_ldap(from, opening);
    return open_http(from, tokens->place.file == NULL ? NULL : tokens->user_claim, opening);
}

/* ---------------------------------------------------------------- identity: what is known outlives
 * a reload */

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    return hash_u64(hash ^ hash_stable(data, size));
}

/* Every value of the section's rows, by the table itself. */
static uint64_t mix_section(uint64_t hash, enum config_section section, const void *values)
{
    hash = mix(hash, &section, sizeof section);
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        const char *at = (const char *)values + row->offset;
        if (row->section != section)
            continue;
        const char *text =
            row->type == CONFIG_TEXT || row->type == CONFIG_PATH ? *(const char *const *)at : NULL;
        hash = text != NULL ? mix(hash, text, strlen(text)) : mix(hash, at, sizeof(uint64_t));
    }
    return hash;
}

static uint64_t identity_of(const struct config_directory *from, const struct opening *opening)
{
    const struct {
        enum config_section section;
        const struct config_place *place;
    } kinds[] = {{CONFIG_SECTION_SQLITE, &from->sqlite.place},
                 {CONFIG_SECTION_LDAP, &from->ldap.place},
                 {CONFIG_SECTION_POSTGRESQL, &from->postgresql.place},
                 {CONFIG_SECTION_HTTP, &from->http.place}};
    uint64_t hash = mix(0, from->name, strlen(from->name));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].place->file != NULL)
            hash = mix_section(hash, kinds[i].section, kinds[i].place);
    hash = mix(hash, opening->password.data, opening->password.size);
    return mix(hash, opening->header.data, opening->header.size) | 1;
}

/* ---------------------------------------------------------------- all */

static bool open_directory(struct setup *setup, const struct config_directory *from,
                           struct auth_directory *directory)
{
    char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1] = "";
    struct opening opening = {.directory = directory, .problem = problem};
    const char *password = from->ldap.password_file;
    if (password == NULL)
        password = from->postgresql.password_file;
    if (password == NULL)
        password = from->http.password_file;
    bool ok = read_line(setup, from->place, password, &opening.password) &&
              read_line(setup, from->place, from->http.header_file, &opening.header);
    if (ok) {
        int result = open_one(setup, from, &opening);
        ok = result == 0;
        if (!ok)
            config_problem(setup->config, from->place, "directory \"%.60s\": %s", from->name,
                           *problem != '\0' ? problem : strerror(-result));
    }
    if (ok) {
        directory->name = slice_cstr(from->name);
        directory->identity = identity_of(from, &opening);
    }
    path_forget(&opening.password);
    path_forget(&opening.header);
    return ok;
}

struct slice setup_lower(struct config *config, const char *name)
{
    struct slice copy = arena_copy(&config->arena, slice_cstr(name));
    for (size_t i = 0; i < copy.size; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

/* The domains that name it. None, when only tokens do. */
static void find_domains(struct config *config, struct auth_directory *directory)
{
    const struct config_domain *domains = config->domains.items;
    struct slice *names = arena_zalloc(&config->arena, config->domains.count + 1, sizeof *names);
    unsigned count = 0;
    for (unsigned i = 0; i < config->domains.count && names != NULL; i++)
        if (domains[i].directory != NULL &&
            slice_equal(directory->name, slice_cstr(domains[i].directory)))
            names[count++] = setup_lower(config, domains[i].name);
    directory->domains = names;
    directory->domain_count = count;
}

/* Those that domains name come first: they are the ones that are asked about users. */
static void order(struct setup *setup)
{
    struct auth_directory *all = setup->directories;
    for (unsigned i = 0; i < setup->directory_count; i++)
        if (all[i].domain_count > 0) {
            struct auth_directory one = all[i];
            all[i] = all[setup->directories_asked];
            all[setup->directories_asked++] = one;
        }
}

void setup_make_directories(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_directory *all = config->directories.items;
    setup->directories = calloc(config->directories.count + 1, sizeof *setup->directories);
    if (setup->directories == NULL) {
        config_problem(config, config->general.place, "directories: no memory");
        return;
    }
    for (unsigned i = 0; i < config->directories.count; i++) {
        struct auth_directory *directory = &setup->directories[setup->directory_count];
        if (!open_directory(setup, &all[i], directory))
            continue;
        setup->directory_count++;
        find_domains(config, directory);
    }
    order(setup);
}

const struct auth_directory *setup_directory(const struct setup *setup, const char *name)
{
    for (unsigned i = 0; i < setup->directory_count; i++)
        if (slice_equal(setup->directories[i].name, slice_cstr(name)))
            return &setup->directories[i];
    return NULL;
}

void setup_free_directories(struct setup *setup)
{
    for (unsigned i = 0; i < setup->directory_count; i++)
        setup->directories[i].kind->close(setup->directories[i].state);
    free(setup->directories);
}
