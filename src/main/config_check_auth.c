/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What directories, tokens and master users must be together (row C08): each directory is of one
 * kind and is used, passwords stand in files of their own and do not travel in clear, tokens that
 * were made for other services do not log in here.
 */
#include "config.h"

unsigned config_directory_find(const struct config *config, const char *name)
{
    const struct config_directory *all = config->directories.items;
    for (unsigned i = 0; i < config->directories.count; i++)
        if (all[i].name != NULL && strcmp(all[i].name, name) == 0)
            return i;
    return CONFIG_DIRECTORIES_MAX;
}

static bool is_there(const struct config_place *place)
{
    return place->file != NULL;
}

/* Under TLS, on this machine, or both. */
static bool is_safe_url(const char *url)
{
    static const char *const safe[] = {"https://", "ldaps://", "ldapi://", "http://", "ldap://"};
    static const char *const local[] = {"127.0.0.1", "localhost", "[::1]"};
    enum { SAFE = sizeof safe / sizeof *safe, IN_CLEAR = 3, LOCAL = sizeof local / sizeof *local };
    for (int i = 0; i < SAFE; i++) {
        size_t size = strlen(safe[i]);
        if (strncmp(url, safe[i], size) != 0)
            continue;
        bool is_local = false;
        for (int j = 0; j < LOCAL; j++)
            is_local = is_local || (strncmp(url + size, local[j], strlen(local[j])) == 0 &&
                                    strchr(":/", url[size + strlen(local[j])]) != NULL);
        return i < IN_CLEAR || is_local;
    }
    return false;
}

static bool has_password(const char *url)
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    const char *at = strchr(host, '@');
    return at != NULL && at < host + strcspn(host, "/?#");
}

static void check_http(struct config *config, const struct config_http *http)
{
    const char *const urls[] = {http->url, http->token_url};
    if (http->url == NULL && http->token_url == NULL)
        config_problem(config, http->place, "http has neither url nor token_url; add one");
    for (int i = 0; i < 2; i++)
        if (urls[i] != NULL && has_password(urls[i]))
            config_problem(config, http->place,
                           "a name or password in a URL is seen in logs; remove it, use "
                           "password_file");
        else if (urls[i] != NULL && !is_safe_url(urls[i]))
            config_problem(config, http->place,
                           "\"%.100s\" takes passwords over the network in clear; use https, or a "
                           "server on a loopback address",
                           urls[i]);
    if ((http->client_id == NULL) != (http->password_file == NULL))
        config_problem(config, http->place,
                       "http.client_id and password_file go together; add the other");
}

static void check_ldap(struct config *config, const struct config_ldap *ldap)
{
    if ((ldap->bind_dn == NULL) != (ldap->password_file == NULL))
        config_problem(config, ldap->place,
                       "ldap.bind_dn and password_file go together; add the other");
    if (strstr(ldap->filter, "%u") == NULL && strstr(ldap->filter, "%l") == NULL)
        config_problem(config, ldap->place, "ldap.filter names no user; such as \"(mail=%%u)\"");
    if (!is_safe_url(ldap->url) && (!ldap->start_tls || strncmp(ldap->url, "ldap://", 7) != 0))
        config_problem(config, ldap->place,
                       "\"%.100s\" takes passwords over the network in clear; use ldaps://, or "
                       "start_tls = true",
                       ldap->url);
}

static void check_directory(struct config *config, const struct config_directory *directory)
{
    int kinds = is_there(&directory->sqlite.place) + is_there(&directory->ldap.place) +
                is_there(&directory->postgresql.place) + is_there(&directory->http.place);
    if (kinds != 1)
        config_problem(config, directory->place,
                       "a directory has exactly one of sqlite, ldap, postgresql, http; this has %d",
                       kinds);
    if (is_there(&directory->http.place))
        check_http(config, &directory->http);
    if (is_there(&directory->ldap.place))
        check_ldap(config, &directory->ldap);
    if (is_there(&directory->postgresql.place) &&
        strstr(directory->postgresql.connection, "password=") != NULL)
        config_problem(config, directory->postgresql.place,
                       "a password in connection; put it into a file, and that into "
                       "password_file");
}

static void check_directories(struct config *config)
{
    const struct config_directory *all = config->directories.items;
    const struct config_domain *domains = config->domains.items;
    const char *introspection = config->auth.tokens.introspection;
    bool is_used[CONFIG_DIRECTORIES_MAX + 1] = {false};
    for (unsigned i = 0; i < config->domains.count; i++) {
        if (domains[i].directory == NULL)
            continue;
        unsigned found = config_directory_find(config, domains[i].directory);
        is_used[found] = true;
        if (found == CONFIG_DIRECTORIES_MAX)
            config_problem(config, domains[i].place,
                           "directory \"%.60s\" is none of the directories; add it to them",
                           domains[i].directory);
        else if (all[found].http.token_url != NULL && all[found].http.url == NULL)
            config_problem(config, domains[i].place,
                           "directory \"%.60s\" knows tokens only; add http.url to it",
                           domains[i].directory);
    }
    if (introspection != NULL)
        is_used[config_directory_find(config, introspection)] = true;
    for (unsigned i = 0; i < config->directories.count; i++) {
        if (config_directory_find(config, all[i].name) != i)
            config_problem(config, all[i].place, "a second directory \"%.60s\"; rename one",
                           all[i].name);
        else if (!is_used[i])
            config_problem(config, all[i].place,
                           "directory \"%.60s\" is named by no domain; add directory = \"%.60s\" "
                           "to one, or remove it",
                           all[i].name, all[i].name);
        check_directory(config, &all[i]);
    }
}

static void check_tokens(struct config *config)
{
    const struct config_tokens *tokens = &config->auth.tokens;
    if (!is_there(&tokens->place))
        return;
    if (tokens->jwks == NULL && tokens->introspection == NULL)
        config_problem(config, tokens->place,
                       "tokens that nothing checks; add jwks = \"...\" or introspection = \"...\"");
    if (tokens->jwks != NULL && (tokens->issuer == NULL || tokens->audience == NULL))
        config_problem(config, tokens->place,
                       "jwks without issuer and audience: tokens given to other services would "
                       "log in here; add both");
    if (tokens->introspection == NULL)
        return;
    unsigned found = config_directory_find(config, tokens->introspection);
    const struct config_directory *all = config->directories.items;
    if (found == CONFIG_DIRECTORIES_MAX)
        config_problem(config, tokens->place,
                       "introspection = \"%.60s\" is none of the directories; add it to them",
                       tokens->introspection);
    else if (!is_there(&all[found].http.place) || all[found].http.token_url == NULL)
        config_problem(config, tokens->place,
                       "directory \"%.60s\" cannot judge tokens; give it http.token_url",
                       tokens->introspection);
}

void config_check_auth(struct config *config)
{
    check_directories(config);
    check_tokens(config);
    const char *separator = config->auth.master_separator;
    unsigned char c = (unsigned char)*separator;
    if (c <= 0x20 || c >= 0x7f || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
        (c >= 'a' && c <= 'z') || strchr("@:.-_+", c) != NULL)
        config_problem(config, config->auth.place,
                       "auth.master_separator = \"%s\" stands in user names; such as \"*\"",
                       separator);
}
