/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users in an LDAP directory (libldap is known here only): RFC 4511.
 *
 *   search (as bind_dn) with the filter ─▶ one entry ─▶ password_attribute: its secrets
 *                                                  └──▶ none: bind as the entry's DN, with the
 *                                                       password that was typed (kind verifies)
 *
 * What a user typed goes into the filter with every byte that means something there escaped
 * (RFC 4515, section 3), so that "*)(uid=*" is a name of nobody (Y2). An empty password is never
 * tried: a server takes it for an anonymous bind and says yes (RFC 4513, 5.1.2).
 *
 * Connections for searching and connections for binding are apart, so that a search never runs with
 * a user's rights. Each call of libldap that waits is given the time that is left of the question.
 * A connection that failed is closed; if it came from the pool, a new one is tried once.
 */
#include "directory_private.h"

#include <errno.h>
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

enum {
    ANSWER_BYTES_MAX = 1 << 20,
    FILTER_BYTES_MAX = 8192,
    ATTRIBUTES_FIXED = 4,
    ATTRIBUTES_MAX = ATTRIBUTES_FIXED + LDAP_ROUTES_MAX
};

/* An attribute that is asked for, and the column, or the record's attribute, that it becomes. */
struct wanted {
    const char *attribute;
    struct slice column;
    bool is_route;
};

struct ldap_state {
    char *url, *ca, *bind_dn, *password, *base, *filter;
    char *password_attribute, *user_attribute, *networks_attribute, *disabled_attribute;
    char *routes; /* cut into the texts of `wanted` */
    struct wanted wanted[ATTRIBUTES_MAX];
    unsigned wanted_count;
    bool start_tls, verify;
    uint64_t timeout_ms;
    struct pool searchers, binders;
};

/* One connection. */
struct link {
    LDAP *ldap;
    uint64_t until_ms; /* of the question that uses it */
    struct ldap_conncb connected;
};

/* ---------------------------------------------------------------- connections */

/* The connection is no good any more. */
static bool is_dead(int code)
{
    return code == LDAP_SERVER_DOWN || code == LDAP_UNAVAILABLE || code == LDAP_TIMEOUT ||
           code == LDAP_CONNECT_ERROR || code == LDAP_DECODING_ERROR || code == LDAP_BUSY;
}

/* 0, or LDAP_TIMEOUT when nothing is left. */
static int set_time(struct link *link, uint64_t until_ms, struct timeval *ret_left)
{
    link->until_ms = until_ms;
    int left = clock_left_ms(until_ms);
    if (left == 0)
        return LDAP_TIMEOUT;
    *ret_left = (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    ldap_set_option(link->ldap, LDAP_OPT_NETWORK_TIMEOUT, ret_left);
    ldap_set_option(link->ldap, LDAP_OPT_TIMEOUT, ret_left);
    return LDAP_SUCCESS;
}

static int bind_as(struct link *link, const char *dn, struct slice password, uint64_t until_ms)
{
    struct berval secret = {.bv_len = password.size, .bv_val = (char *)(uintptr_t)password.data};
    struct timeval left;
    int code = set_time(link, until_ms, &left);
    if (code != LDAP_SUCCESS)
        return code;
    return ldap_sasl_bind_s(link->ldap, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

/* A length that a server says is memory that is taken: no answer of ours needs more. */
static bool set_answer_max(LDAP *ldap)
{
    ber_len_t bytes_max = ANSWER_BYTES_MAX;
    Sockbuf *socket = NULL;
    return ldap_get_option(ldap, LDAP_OPT_SOCKBUF, &socket) == LDAP_OPT_SUCCESS &&
           ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_MAX_INCOMING, &bytes_max) > 0;
}

/* ---- time for reads: below TLS, a layer of libldap's socket that waits no longer than the
 * question may take. Without it a handshake with a server that is silent is tried again and again
 * for ever (libldap 2.5 with GnuTLS takes "nothing there yet" for a reason to try at once). */

static int layer_setup(Sockbuf_IO_Desc *layer, void *argument)
{
    layer->sbiod_pvt = argument;
    return 0;
}

static int layer_remove(Sockbuf_IO_Desc *layer)
{
    layer->sbiod_pvt = NULL;
    return 0;
}

static int layer_control(Sockbuf_IO_Desc *layer, int option, void *argument)
{
    return LBER_SBIOD_CTRL_NEXT(layer, option, argument);
}

/* True: try again. */
static bool layer_wait(Sockbuf_IO_Desc *layer, bool for_writing)
{
    const struct link *link = layer->sbiod_pvt;
    int fd = -1;
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN || ber_sockbuf_ctrl(layer->sbiod_sb, LBER_SB_OPT_GET_FD, &fd) <= 0)
        return false;
    if (wait_fd(fd, for_writing, link->until_ms) == 0)
        return true;
    errno = ETIMEDOUT;
    return false;
}

static ber_slen_t layer_read(Sockbuf_IO_Desc *layer, void *data, ber_len_t size)
{
    for (;;) {
        ber_slen_t count = LBER_SBIOD_READ_NEXT(layer, data, size);
        if (count >= 0 || !layer_wait(layer, false))
            return count;
    }
}

static ber_slen_t layer_write(Sockbuf_IO_Desc *layer, void *data, ber_len_t size)
{
    for (;;) {
        ber_slen_t count = LBER_SBIOD_WRITE_NEXT(layer, data, size);
        if (count >= 0 || !layer_wait(layer, true))
            return count;
    }
}

/* libldap takes it by a pointer that is not const. */
static const Sockbuf_IO layer_io = {.sbi_setup = layer_setup,
                                    .sbi_remove = layer_remove,
                                    .sbi_ctrl = layer_control,
                                    .sbi_read = layer_read,
                                    .sbi_write = layer_write};

/* libldap calls this when TCP's connection is there. */
static int limit_reads(LDAP *ldap, Sockbuf *socket, LDAPURLDesc *server, struct sockaddr *address,
                       struct ldap_conncb *callback)
{
    (void)ldap, (void)server, (void)address;
    ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_NONBLOCK, socket);
    return ber_sockbuf_add_io(socket, (Sockbuf_IO *)(uintptr_t)&layer_io,
                              LBER_SBIOD_LEVEL_PROVIDER + 1, callback->lc_arg);
}

static void forget_reads(LDAP *ldap, Sockbuf *socket, struct ldap_conncb *callback)
{
    (void)ldap, (void)socket, (void)callback;
}

static int set_tls(struct link *link, const struct ldap_state *state)
{
    LDAP *ldap = link->ldap;
    ldap_set_option(ldap, LDAP_OPT_CONNECT_CB, &link->connected);
    int version = LDAP_VERSION3, one = 1;
    int verify = state->verify ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER, server = 0;
    ldap_set_option(ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_set_option(ldap, LDAP_OPT_SIZELIMIT, &one);
    ldap_set_option(ldap, LDAP_OPT_X_TLS_REQUIRE_CERT, &verify);
    if (state->ca != NULL)
        ldap_set_option(ldap, LDAP_OPT_X_TLS_CACERTFILE, state->ca);
    return ldap_set_option(ldap, LDAP_OPT_X_TLS_NEWCTX, &server);
}

static void link_close(struct link *link)
{
    if (link->ldap != NULL)
        ldap_unbind_ext_s(link->ldap, NULL, NULL);
    free(link);
}

/* A new connection, encrypted as configured, bound to nobody. */
static int connect_to(const struct ldap_state *state, uint64_t until_ms, struct link **ret_link)
{
    struct link *link = calloc(1, sizeof *link);
    struct timeval left;
    if (link == NULL)
        return LDAP_NO_MEMORY;
    link->connected = (struct ldap_conncb){limit_reads, forget_reads, link};
    int code = ldap_initialize(&link->ldap, state->url);
    if (code == LDAP_SUCCESS)
        code = set_answer_max(link->ldap) && set_tls(link, state) == LDAP_OPT_SUCCESS
                   ? set_time(link, until_ms, &left)
                   : LDAP_CONNECT_ERROR;
    if (code == LDAP_SUCCESS && state->start_tls)
        code = ldap_start_tls_s(link->ldap, NULL, NULL);
    if (code != LDAP_SUCCESS) {
        link_close(link);
        return code;
    }
    *ret_link = link;
    return LDAP_SUCCESS;
}

static void give_back(struct pool *pool, struct link *link)
{
    if (!pool_give(pool, link))
        link_close(link);
}

/* ---------------------------------------------------------------- search */

static bool put(char *filter, size_t *size, const char *text, size_t text_size)
{
    if (text_size >= FILTER_BYTES_MAX - *size)
        return false;
    memcpy(filter + *size, text, text_size);
    *size += text_size;
    return true;
}

static bool put_escaped(char *filter, size_t *size, const char *value)
{
    bool has_room = true;
    for (; *value != '\0' && has_room; value++) {
        char escaped[4];
        if (strchr("*()\\", *value) == NULL) {
            has_room = put(filter, size, value, 1);
        } else {
            snprintf(escaped, sizeof escaped, "\\%02x", (unsigned)(unsigned char)*value);
            has_room = put(filter, size, escaped, 3);
        }
    }
    return has_room;
}

/* The filter with its %u, %l, %d replaced. False: too long. */
static bool make_filter(const char *pattern, const struct asked *asked, char *filter)
{
    size_t size = 0;
    bool has_room = true;
    for (; *pattern != '\0' && has_room; pattern++) {
        char c = *pattern == '%' ? *++pattern : '\0';
        if (c == 'u')
            has_room = put_escaped(filter, &size, asked->user);
        else if (c == 'l')
            has_room = put_escaped(filter, &size, asked->local);
        else if (c == 'd')
            has_room = put_escaped(filter, &size, asked->domain);
        else
            has_room = put(filter, &size, pattern, 1);
    }
    filter[size] = '\0';
    return has_room;
}

/* Secrets of an entry: those of a known form, blanks between. "{CRYPT}" is taken off. */
static int add_secret(struct directory_record *record, struct slice value)
{
    size_t used = strlen(record->secret);
    if (slice_starts_nocase(value, SLICE("{CRYPT}")))
        value = slice_from(value, 7);
    if (value.size == 0 || slice_find(value, '\0') < value.size ||
        slice_find(value, ' ') < value.size)
        return record_fail(record, "the entry's password is no hash of a known form", NULL);
    if (value.size + 1 > DIRECTORY_SECRET_BYTES_MAX - used)
        return record_fail(record, "the entry's passwords are longer than 1023 bytes", NULL);
    if (used > 0)
        record->secret[used++] = ' ';
    memcpy(record->secret + used, value.data, value.size);
    record->secret[used + value.size] = '\0';
    return 0;
}

static int read_values(LDAP *ldap, LDAPMessage *entry, const struct wanted *wanted,
                       struct directory_record *record)
{
    struct berval **values = ldap_get_values_len(ldap, entry, wanted->attribute);
    int result = 0;
    for (unsigned i = 0; values != NULL && values[i] != NULL && result == 0; i++) {
        struct slice value = slice_of(values[i]->bv_val, values[i]->bv_len);
        if (!wanted->is_route && slice_equal(wanted->column, SLICE("password")))
            result = add_secret(record, value);
        else if (i == 0 && !wanted->is_route)
            result = record_set(record, wanted->column, value);
        else if (i == 0 && value.size > 0)
            result = record_attribute(record, wanted->column, value);
    }
    ldap_value_free_len(values);
    return result;
}

static int read_entry(const struct ldap_state *state, LDAP *ldap, LDAPMessage *entry,
                      struct directory_record *record)
{
    int result = 0;
    for (unsigned i = 0; i < state->wanted_count && result == 0; i++)
        result = read_values(ldap, entry, &state->wanted[i], record);
    return result;
}

/* An LDAP code; with success *ret_found is 0, -ENOENT or -EAGAIN, and *ret_dn the entry's name, to
 * be freed by ldap_memfree. */
static int search_on(const struct ldap_state *state, struct link *link, const char *filter,
                     uint64_t until_ms, struct directory_record *record, char **ret_dn,
                     int *ret_found)
{
    const char *wanted[ATTRIBUTES_MAX + 1];
    unsigned count = 0;
    while (count < state->wanted_count) {
        wanted[count] = state->wanted[count].attribute;
        count++;
    }
    if (count == 0)
        wanted[count++] = LDAP_NO_ATTRS;
    wanted[count] = NULL;
    LDAP *ldap = link->ldap;
    struct timeval left;
    LDAPMessage *message = NULL;
    int code = set_time(link, until_ms, &left);
    if (code == LDAP_SUCCESS)
        code = ldap_search_ext_s(ldap, state->base, LDAP_SCOPE_SUBTREE, filter,
                                 (char **)(uintptr_t)wanted, 0, NULL, NULL, &left, 2, &message);
    LDAPMessage *entry = message != NULL ? ldap_first_entry(ldap, message) : NULL;
    if (code == LDAP_SIZELIMIT_EXCEEDED ||
        (code == LDAP_SUCCESS && entry != NULL && ldap_next_entry(ldap, entry) != NULL)) {
        code = LDAP_SUCCESS;
        *ret_found = record_fail(record, "the filter fits more than one entry", NULL);
    } else if (code == LDAP_SUCCESS && entry == NULL) {
        *ret_found = -ENOENT;
    } else if (code == LDAP_SUCCESS) {
        *ret_found = read_entry(state, ldap, entry, record);
        *ret_dn = *ret_found == 0 ? ldap_get_dn(ldap, entry) : NULL;
        if (*ret_found == 0 && *ret_dn == NULL)
            code = LDAP_NO_MEMORY;
    }
    ldap_msgfree(message);
    return code;
}

/* 0, -ENOENT, -EAGAIN. */
static int search(struct ldap_state *state, const char *filter, uint64_t until_ms,
                  struct directory_record *record, char **ret_dn)
{
    struct link *link = pool_take(&state->searchers);
    bool is_old = link != NULL;
    int code = LDAP_SUCCESS, found = -EAGAIN;
    for (;;) {
        if (link == NULL) {
            struct slice password = {0};
            code = connect_to(state, until_ms, &link);
            if (code != LDAP_SUCCESS)
                break;
            if (state->password != NULL)
                password = slice_cstr(state->password);
            if (state->bind_dn != NULL)
                code = bind_as(link, state->bind_dn, password, until_ms);
        }
        if (code == LDAP_SUCCESS)
            code = search_on(state, link, filter, until_ms, record, ret_dn, &found);
        if (code == LDAP_SUCCESS) {
            give_back(&state->searchers, link);
            return found;
        }
        link_close(link);
        link = NULL;
        if (!is_old || !is_dead(code))
            break;
        is_old = false;
        code = LDAP_SUCCESS;
    }
    return record_fail(record, "LDAP, searching", ldap_err2string(code));
}

/* ---------------------------------------------------------------- questions */

/* The server judges the password. */
static int try_bind(struct ldap_state *state, const char *dn, struct slice password,
                    uint64_t until_ms, struct directory_record *record)
{
    struct link *link = pool_take(&state->binders);
    bool is_old = link != NULL;
    int code = LDAP_SUCCESS;
    for (;;) {
        if (link == NULL)
            code = connect_to(state, until_ms, &link);
        if (code != LDAP_SUCCESS)
            break;
        code = bind_as(link, dn, password, until_ms);
        if (!is_dead(code)) {
            give_back(&state->binders, link);
            break;
        }
        link_close(link);
        link = NULL;
        if (!is_old)
            break;
        is_old = false;
        code = LDAP_SUCCESS;
    }
    switch (code) {
    case LDAP_SUCCESS:
        record->is_verified = true;
        return 0;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_INAPPROPRIATE_AUTH:   /* the entry has no password */
    case LDAP_CONSTRAINT_VIOLATION: /* locked by the server's policy */
    case LDAP_UNWILLING_TO_PERFORM: /* disabled there */
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_NO_SUCH_OBJECT: /* gone since the search */
        return -EACCES;
    default:
        return record_fail(record, "LDAP, binding as a user", ldap_err2string(code));
    }
}

static int ldap_ask(void *argument, const struct directory_query *query,
                    struct directory_record *ret_record)
{
    struct ldap_state *state = argument;
    struct asked asked;
    uint64_t until_ms = clock_ms() + state->timeout_ms;
    if (asked_of(query->user, &asked) < 0)
        return -ENOENT;
    char *filter = malloc(FILTER_BYTES_MAX + 1);
    if (filter == NULL)
        return record_fail(ret_record, "out of memory", NULL);
    char *dn = NULL;
    int result = make_filter(state->filter, &asked, filter)
                     ? search(state, filter, until_ms, ret_record, &dn)
                     : record_fail(ret_record, "the filter is longer than 8 KiB", NULL);
    free(filter);
    if (result == 0 && query->password.data != NULL && state->password_attribute == NULL)
        result = query->password.size > 0
                     ? try_bind(state, dn, query->password, until_ms, ret_record)
                     : -EACCES; /* RFC 4513 5.1.2 */
    ldap_memfree(dn);
    return result;
}

/* ---------------------------------------------------------------- open, close */

static void drain(struct pool *pool)
{
    struct link *link;
    while ((link = pool_take(pool)) != NULL)
        link_close(link);
}

static void ldap_close(void *argument)
{
    struct ldap_state *state = argument;
    drain(&state->searchers);
    drain(&state->binders);
    option_free(state->url);
    option_free(state->ca);
    option_free(state->bind_dn);
    option_free_secret(state->password);
    option_free(state->base);
    option_free(state->filter);
    option_free(state->password_attribute);
    option_free(state->user_attribute);
    option_free(state->networks_attribute);
    option_free(state->routes);
    option_free(state->disabled_attribute);
    free(state);
}

static const struct directory_kind kind_read = {
    .name = "ldap", .ask = ldap_ask, .close = ldap_close};
static const struct directory_kind kind_bind = {
    .name = "ldap", .verifies = true, .ask = ldap_ask, .close = ldap_close};

static bool copy_options(const struct directory_ldap_options *options, struct ldap_state *state,
                         uint64_t *identity)
{
    const struct {
        const char *from;
        char **to;
    } texts[] = {
        {options->url, &state->url},
        {options->ca, &state->ca},
        {options->bind_dn, &state->bind_dn},
        {options->password, &state->password},
        {options->base, &state->base},
        {options->filter, &state->filter},
        {options->password_attribute, &state->password_attribute},
        {options->user_attribute, &state->user_attribute},
        {options->networks_attribute, &state->networks_attribute},
        {options->disabled_attribute, &state->disabled_attribute},
        {options->routes, &state->routes},
    };
    state->start_tls = options->start_tls;
    state->verify = options->verify;
    option_mix(options->start_tls * 2u + options->verify, identity);
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!option_copy(texts[i].from, identity, texts[i].to))
            return false;
    return true;
}

/* Which attributes are asked for; cuts state->routes. False: not pairs, or too many. */
static bool list_wanted(struct ldap_state *state)
{
    const struct wanted fixed[ATTRIBUTES_FIXED] = {
        {state->password_attribute, {"password", 8}, false},
        {state->user_attribute, {"user", 4}, false},
        {state->networks_attribute, {"allow_nets", 10}, false},
        {state->disabled_attribute, {"disabled", 8}, false}};
    for (unsigned i = 0; i < ATTRIBUTES_FIXED; i++)
        if (fixed[i].attribute != NULL)
            state->wanted[state->wanted_count++] = fixed[i];
    char *at = state->routes;
    for (unsigned count = 0; at != NULL && *(at += strspn(at, " ,")) != '\0'; count++) {
        char *end = at + strcspn(at, " ,"), *name = memchr(at, '=', (size_t)(end - at));
        if (count == LDAP_ROUTES_MAX || name == NULL || name == at || name + 1 == end)
            return false;
        *name = '\0';
        struct slice key = slice_of(name + 1, (size_t)(end - name - 1));
        if (slice_equal_nocase(key, SLICE("backend_user"))) /* as a column is called */
            key = SLICE("user");
        state->wanted[state->wanted_count++] = (struct wanted){at, key, true};
        at = *end == '\0' ? end : end + 1;
        *end = '\0';
    }
    return true;
}

static int look_at(struct ldap_state *state, char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    bool asks = false;
    if (!ldap_is_ldap_url(state->url) && !ldap_is_ldaps_url(state->url) &&
        !ldap_is_ldapi_url(state->url))
        return option_problem(problem, "the url must begin with ldap://, ldaps:// or ldapi://",
                              state->url);
    if (state->start_tls && (ldap_is_ldaps_url(state->url) || ldap_is_ldapi_url(state->url)))
        return option_problem(problem, "start_tls goes with ldap:// only", state->url);
    for (const char *at = strchr(state->filter, '%'); at != NULL; at = strchr(at + 2, '%')) {
        if (at[1] == '\0' || strchr("uld%", at[1]) == NULL)
            return option_problem(problem,
                                  "in the filter, write %u (user), %l (local part), %d"
                                  " (domain) or %%",
                                  state->filter);
        asks = asks || at[1] != '%';
    }
    if (!list_wanted(state))
        return option_problem(problem, "write routes as \"mailHost=host mailPort=port\", 8 at most",
                              NULL);
    if (!asks)
        return option_problem(problem, "the filter fits everybody: it needs %u, or %l and %d",
                              state->filter);
    return 0;
}

int directory_open_ldap(const struct directory_ldap_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    uint64_t identity = 3;
    struct ldap_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return -ENOMEM;
    int result = option_timeout(options->timeout_ms, &state->timeout_ms, problem);
    if (result == 0 && !copy_options(options, state, &identity))
        result = -ENOMEM;
    if (result == 0)
        result = look_at(state, problem);
    if (result < 0) {
        ldap_close(state);
        return result;
    }
    *ret_directory = (struct auth_directory){
        .kind = options->password_attribute != NULL ? &kind_read : &kind_bind,
        .state = state,
        .identity = identity};
    return 0;
}
