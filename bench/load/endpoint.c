/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the server is: --target and --also taken apart, names resolved, and every address checked
 * before anything is connected to (L3). Of a name with both kinds of addresses IPv4 is taken: most
 * test servers listen there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/un.h>

#include "options.h"

enum { WORD_BYTES_MAX = 400 };

/* One place, taken apart. */
struct place {
    const char *option, *text; /* as it was given */
    enum load_protocol protocol;
    bool has_protocol, has_tls, has_port;
    enum load_tls tls;
    unsigned port;
    char host[LOAD_HOST_BYTES_MAX + 1];
    const char *path;
};

static const struct scheme {
    const char *name;
    enum load_protocol protocol;
    bool is_implicit;
    unsigned port;
} schemes[] = {
    {"smtp", LOAD_SMTP, false, 25},  {"smtps", LOAD_SMTP, true, 465},
    {"lmtp", LOAD_LMTP, false, 24},  {"imap", LOAD_IMAP, false, 143},
    {"imaps", LOAD_IMAP, true, 993}, {"pop3", LOAD_POP3, false, 110},
    {"pop3s", LOAD_POP3, true, 995},
};
enum { SCHEMES = sizeof schemes / sizeof *schemes };
static const char *const protocol_names[LOAD_PROTOCOL_COUNT] = {"smtp", "lmtp", "imap", "pop3"};

static int refuse(const struct place *place, const char *what, char *problem)
{
    snprintf(problem, OPTIONS_PROBLEM_BYTES, "--%s %.100s: %s", place->option, place->text, what);
    return -EINVAL;
}

/* "?tls=start" and the like behind a URL. */
static int take_query(struct place *place, char *text, char *problem)
{
    char *query = strchr(text, '?');
    if (query == NULL)
        return 0;
    *query++ = '\0';
    static const struct {
        const char *text;
        enum load_tls tls;
    } words[] = {{"tls=none", LOAD_TLS_NONE},
                 {"tls=start", LOAD_TLS_START},
                 {"tls=implicit", LOAD_TLS_IMPLICIT}};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(query, words[i].text) == 0) {
            place->tls = words[i].tls;
            place->has_tls = true;
            return 0;
        }
    return refuse(place, "behind the ? stands tls=none, tls=start or tls=implicit", problem);
}

/* "imap://" in front; *ret_rest is what follows. */
static int take_scheme(struct place *place, char *text, char **ret_rest, char *problem)
{
    char *mark = strstr(text, "://");
    *ret_rest = text;
    if (mark == NULL)
        return 0;
    *mark = '\0';
    *ret_rest = mark + 3;
    for (unsigned i = 0; i < SCHEMES; i++) {
        if (strcmp(text, schemes[i].name) != 0)
            continue;
        place->protocol = schemes[i].protocol;
        place->has_protocol = true;
        place->port = schemes[i].port;
        place->has_port = true;
        if (schemes[i].is_implicit) {
            place->tls = LOAD_TLS_IMPLICIT;
            place->has_tls = true;
        }
        return take_query(place, *ret_rest, problem);
    }
    return refuse(place, "the scheme is one of smtp smtps lmtp imap imaps pop3 pop3s", problem);
}

static int take_host(struct place *place, char *text, char *problem)
{
    char *port = NULL, *host = text;
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '/')
        text[--size] = '\0';
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (end == NULL)
            return refuse(place, "the ] behind the address is missing", problem);
        host++;
        *end = '\0';
        if (end[1] == ':')
            port = end + 2;
        else if (end[1] != '\0')
            return refuse(place, "a port follows the ], as in [::1]:25", problem);
    } else {
        port = strrchr(text, ':');
        if (port != NULL && strchr(text, ':') != port)
            return refuse(place, "an IPv6 address stands in brackets: [::1]:25", problem);
        if (port != NULL)
            *port++ = '\0';
    }
    if (*host == '\0' || strlen(host) > LOAD_HOST_BYTES_MAX)
        return refuse(place, "the host is missing, or too long", problem);
    snprintf(place->host, sizeof place->host, "%s", host);
    if (port == NULL && place->has_port)
        return 0;
    uint64_t number;
    if (port == NULL || !slice_number(slice_cstr(port), 65535, &number) || number == 0)
        return refuse(place, "HOST:PORT is wanted, the port from 1 to 65535", problem);
    place->port = (unsigned)number;
    return 0;
}

static int take_apart(struct place *place, char *problem)
{
    char text[WORD_BYTES_MAX], *rest;
    if (strlen(place->text) >= sizeof text)
        return refuse(place, "too long", problem);
    snprintf(text, sizeof text, "%s", place->text);
    int result = take_scheme(place, text, &rest, problem);
    if (result < 0)
        return result;
    bool is_unix = strncmp(rest, "unix:", 5) == 0;
    if (!is_unix && *rest != '/')
        return take_host(place, rest, problem);
    place->path = place->text + (rest - text) + (is_unix ? 5 : 0);
    struct sockaddr_un *address = NULL;
    if (*place->path != '/' || strlen(place->path) >= sizeof address->sun_path)
        return refuse(place, "the path of a Unix socket begins with / and has at most 107 bytes",
                      problem);
    if (strchr(place->path, '?') != NULL)
        return refuse(place, "TLS on a Unix socket is not for us", problem);
    snprintf(place->host, sizeof place->host, "unix");
    return 0;
}

/* ---------------------------------------------------------------- addresses */

static bool is_loopback(const struct stream_target *target)
{
    static const uint8_t six[16] = {[15] = 1};
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    if (target->family == 1)
        return true;
    if (target->family == 4)
        return target->address[0] == 127;
    return memcmp(target->address, six, 16) == 0 || memcmp(target->address, mapped, 13) == 0;
}

static int resolve(const struct place *place, struct stream_target *target, char *problem)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char text[200];
    int error = getaddrinfo(place->host, NULL, &hints, &list);
    if (error != 0) {
        snprintf(text, sizeof text, "no address of this host: %s", gai_strerror(error));
        return refuse(place, text, problem);
    }
    const struct addrinfo *best = NULL;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET || (best == NULL && at->ai_family == AF_INET6)) {
            best = at;
            if (at->ai_family == AF_INET)
                break;
        }
    if (best != NULL && best->ai_family == AF_INET) {
        target->family = 4;
        memcpy(target->address,
               &((const struct sockaddr_in *)(const void *)best->ai_addr)->sin_addr, 4);
    } else if (best != NULL) {
        target->family = 6;
        memcpy(target->address,
               &((const struct sockaddr_in6 *)(const void *)best->ai_addr)->sin6_addr, 16);
    }
    freeaddrinfo(list);
    return best != NULL ? 0 : refuse(place, "no address of this host", problem);
}

static int check_owner(const struct bench_options *options, const struct place *place,
                       const struct stream_target *target, char *problem)
{
    if (is_loopback(target))
        return 0;
    for (unsigned i = 0; i < options->owned_count; i++)
        if (strcasecmp(options->owned[i], place->host) == 0)
            return 0;
    char address[INET6_ADDRSTRLEN] = "";
    inet_ntop(target->family == 4 ? AF_INET : AF_INET6, target->address, address, sizeof address);
    snprintf(problem, OPTIONS_PROBLEM_BYTES,
             "--%s %.100s: %s is not loopback, and load on somebody else's server is an attack. If "
             "it is yours: --i-own-this-server %s",
             place->option, place->text, address, place->host);
    return -EINVAL;
}

static int add(struct bench_options *options, struct place *place, char *problem)
{
    struct load_endpoint *endpoint = &options->load.endpoints[place->protocol];
    if (endpoint->is_set) {
        char text[100];
        snprintf(text, sizeof text, "a server of %s was named already",
                 protocol_names[place->protocol]);
        return refuse(place, text, problem);
    }
    struct stream_target target = {.family = 1, .path = place->path};
    if (place->path == NULL) {
        target.port = (uint16_t)place->port;
        int result = resolve(place, &target, problem);
        if (result == 0)
            result = check_owner(options, place, &target, problem);
        if (result < 0)
            return result;
    }
    if (place->protocol == LOAD_LMTP && place->tls == LOAD_TLS_IMPLICIT)
        return refuse(place, "there is no LMTP under implicit TLS", problem);
    *endpoint = (struct load_endpoint){
        .is_set = true, .protocol = place->protocol, .tls = place->tls, .target = target};
    memcpy(endpoint->host, place->host, sizeof endpoint->host);
    return 0;
}

/* Which protocol --target speaks when it does not say so itself. */
static int choose_protocol(const struct bench_options *options, struct place *place, char *problem)
{
    const struct load_scenario *scenario = options->load.scenario;
    uint32_t may = scenario->protocols;
    char text[200] = "";
    if (place->has_protocol && (may & 1u << place->protocol))
        return 0;
    if (!place->has_protocol && may != 0 && (may & (may - 1)) == 0) {
        place->protocol = (enum load_protocol)__builtin_ctz(may);
        return 0;
    }
    for (unsigned i = 0; i < SCHEMES && !place->has_protocol && place->path == NULL; i++)
        if (schemes[i].port == place->port && (may & 1u << schemes[i].protocol)) {
            place->protocol = schemes[i].protocol; /* the usual port says it */
            return 0;
        }
    size_t used = (size_t)snprintf(text, sizeof text, "%s measures", scenario->name);
    for (unsigned i = 0; i < LOAD_PROTOCOL_COUNT; i++)
        if (may & 1u << i)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", protocol_names[i]);
    snprintf(text + used, sizeof text - used, "; say which, as in %s://HOST:PORT",
             protocol_names[may != 0 ? __builtin_ctz(may) : 0]);
    return refuse(place, text, problem);
}

/* More connections than one address has ports need several. */
static int check_sources(struct bench_options *options, char *problem)
{
    enum { PORTS_EACH = 20000 };
    struct load_options *load = &options->load;
    const struct stream_target *target = &load->endpoints[load->target].target;
    bool may = target->family == 4 && target->address[0] == 127;
    if (load->sources == 0 && may && load->connections > PORTS_EACH)
        load->sources = load->connections / PORTS_EACH + 1;
    if (load->sources == 0 || may)
        return 0;
    snprintf(problem, OPTIONS_PROBLEM_BYTES,
             "--sources %u: they are 127.0.1.1 and on, from where only 127.0.0.0/8 is reached",
             load->sources);
    return -EINVAL;
}

int options_resolve(struct bench_options *options, char problem[OPTIONS_PROBLEM_BYTES])
{
    struct place target = {.option = "target", .text = options->target};
    int result = take_apart(&target, problem);
    if (result == 0)
        result = choose_protocol(options, &target, problem);
    if (result == 0 && options->has_tls && target.has_tls && target.tls != options->tls)
        result = refuse(&target, "--tls says otherwise than the URL", problem);
    if (result < 0)
        return result;
    if (options->has_tls)
        target.tls = options->tls;
    options->tls = target.tls;
    options->load.target = target.protocol;
    result = add(options, &target, problem);
    for (unsigned i = 0; i < options->also_count && result == 0; i++) {
        struct place also = {.option = "also", .text = options->also[i]};
        result = take_apart(&also, problem);
        if (result == 0 && !also.has_protocol)
            result = refuse(&also, "a URL is wanted: imap://HOST:PORT", problem);
        if (result == 0)
            result = add(options, &also, problem);
    }
    if (result == 0)
        result = check_sources(options, problem);
    const char *what = result == 0 && options->load.scenario->problem != NULL
                           ? options->load.scenario->problem(&options->load)
                           : NULL;
    if (what == NULL)
        return result;
    snprintf(problem, OPTIONS_PROBLEM_BYTES, "%s: %s", options->load.scenario->name, what);
    return -EINVAL;
}
