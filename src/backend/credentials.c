/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a log-in is to be, of the request, the attributes of the user's directory and the pool:
 * where, as whom, and with what. Pure. Nothing is sent when a name or a password could not be what
 * it is on some way (a NUL, a line's end): it is refused here, for all dialects alike.
 */
#include "talk.h"

struct attributes {
    struct slice host, port, backend, tag, user, pass, master, tls;
};

static void attributes_read(struct slice text, struct attributes *attributes)
{
    const struct {
        const char *key;
        struct slice *value;
    } rows[] = {
        {"host", &attributes->host},       {"port", &attributes->port},
        {"backend", &attributes->backend}, {"tag", &attributes->tag},
        {"user", &attributes->user},       {"pass", &attributes->pass},
        {"master", &attributes->master},   {"tls", &attributes->tls},
    };
    *attributes = (struct attributes){0};
    while (text.size > 0) {
        struct slice line = slice_first(text, slice_find(text, '\n'));
        struct slice key = slice_first(line, slice_find(line, '='));
        struct slice value = slice_from(line, key.size + 1);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (value.size > 0 && slice_equal_nocase(key, slice_cstr(rows[i].key)))
                *rows[i].value = value;
        text = slice_from(text, line.size + 1);
    }
}

static int wrong(struct wish *wish, const char *problem)
{
    wish->problem = problem;
    return -EAGAIN;
}

/* ---------------------------------------------------------------- where */

static const struct backend_member *member_by_host(const struct backend_pool *pool,
                                                   struct slice host)
{
    for (unsigned i = 0; i < pool->member_count; i++)
        if (slice_equal_nocase(pool->members[i].options->host, host))
            return &pool->members[i];
    return NULL;
}

int wish_place(struct wish *wish, struct slice host)
{
    const struct backend_pool *pool = wish->request->pool;
    uint8_t family, address[16];
    if (!address_parse(host, &family, address)) {
        const struct backend_member *member = pool_member_named(pool, host);
        if (member == NULL)
            member = member_by_host(pool, host);
        if (member == NULL)
            return wrong(wish, "the user's backend is not known here");
        wish->fixed = member;
        return 0;
    }
    const struct backend_member *member = pool_member_at(pool, family, address);
    if (member == NULL)
        member = pool->elsewhere;
    if (member == NULL)
        return wrong(wish, "the user's backend has an address that is not known here");
    wish->fixed = member;
    wish->family = family;
    memcpy(wish->address, address, sizeof wish->address);
    return 0;
}

static int place(struct wish *wish, const struct attributes *attributes)
{
    uint64_t port;
    int result = 0;
    wish->tag = attributes->tag;
    if (attributes->backend.size > 0)
        result = wish_place(wish, attributes->backend);
    else if (attributes->host.size > 0)
        result = wish_place(wish, attributes->host);
    if (result < 0)
        return result;
    if (attributes->port.size > 0) {
        if (!slice_number(attributes->port, 65535, &port) || port == 0)
            return wrong(wish, "the user's backend has a port that is none");
        wish->port = (uint16_t)port;
    }
    struct slice tls = attributes->tls;
    if (slice_equal_nocase(tls, SLICE("starttls")))
        wish->tls = BACKEND_START_TLS;
    else if (slice_equal_nocase(tls, SLICE("tls")) || slice_equal_nocase(tls, SLICE("yes")))
        wish->tls = BACKEND_TLS;
    else if (slice_equal_nocase(tls, SLICE("no")))
        wish->tls = BACKEND_CLEAR;
    else if (tls.size > 0)
        return wrong(wish, "the user's tls is not no, starttls or tls");
    return 0;
}

/* ---------------------------------------------------------------- as whom */

static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return text.size > 0 && text.size <= AUTH_USER_BYTES_MAX;
}

static bool is_secret(struct slice text, bool is_token)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\0' || c == '\r' || c == '\n' || (is_token && (c <= ' ' || c >= 0x7f)))
            return false;
    }
    return text.size > 0 && text.size <= AUTH_MESSAGE_BYTES_MAX;
}

static int credentials_choose(struct wish *wish, const struct attributes *attributes)
{
    const struct backend_request *request = wish->request;
    const struct backend_pool_options *pool = wish->pool;
    struct credentials *credentials = &wish->credentials;
    credentials->user = attributes->user.size > 0 ? attributes->user : request->user;
    if (attributes->pass.size > 0) {
        credentials->secret = attributes->pass;
        credentials->master = attributes->master;
    } else if (attributes->master.size > 0) {
        credentials->secret = pool->master_password;
        credentials->master = attributes->master;
    } else if (pool->login == BACKEND_LOGIN_MASTER || request->secret.data == NULL) {
        credentials->secret = pool->master_password;
        credentials->master = pool->master_user;
        if (pool->master_user.size == 0)
            return -ENOKEY;
    } else {
        credentials->secret = request->secret;
        credentials->is_clients = true;
        credentials->mechanism = request->mechanism;
        credentials->is_token =
            request->mechanism == AUTH_OAUTHBEARER || request->mechanism == AUTH_XOAUTH2;
    }
    if (credentials->master.size == 0)
        credentials->master = (struct slice){0};
    bool is_good = is_name(credentials->user) &&
                   (credentials->master.data == NULL || is_name(credentials->master)) &&
                   is_secret(credentials->secret, credentials->is_token);
    return is_good ? 0 : -ENOKEY;
}

int wish_make(const struct backend_request *request, struct wish *ret_wish)
{
    struct attributes attributes;
    struct wish *wish = ret_wish;
    *wish = (struct wish){
        .request = request,
        .pool = request->pool->options,
        .tls = request->pool->options->tls[request->protocol],
    };
    attributes_read(request->attributes, &attributes);
    ret_wish->user = attributes.user.size > 0 ? attributes.user : (struct slice){0};
    if (request->client.ttl <= 1) {
        ret_wish->problem = "too many gateways on the way: they refer to each other in a circle";
        return -ELOOP;
    }
    int result = place(wish, &attributes);
    if (result == 0 && !request->without_login)
        result = credentials_choose(wish, &attributes);
    return result;
}

void wish_choice(const struct wish *wish, uint64_t deadline_ns, struct choice *ret_choice)
{
    *ret_choice = (struct choice){
        .pool = wish->request->pool,
        .protocol = wish->request->protocol,
        .user = wish->request->user,
        .tag = wish->tag,
        .fixed = wish->fixed,
        .deadline_ns = deadline_ns,
    };
}
