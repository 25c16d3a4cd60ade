/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions in a Redis (or Valkey): hash "ringpost:exceptions", user to backend. hiredis blocks,
 * so all of it runs on a helper thread that waits for others; each answer has a time. One
 * connection is kept; after any error it is closed, and the next call makes another.
 *
 * HSCAN is no snapshot: what changes during it is seen at this look or at the next.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "exception_private.h"

#define EXCEPTIONS_HASH "ringpost:exceptions"
enum {
    PORT_USUAL = 6379,
    DATABASE_MAX = 1000000,
    SCAN_COUNT = 1000,
    SCANS_MAX = 4 * BACKEND_EXCEPTIONS_MAX /* of a server that never comes to an end */
};

struct exception_redis {
    struct exception_place place; /* first */
    struct core *core;
    redisContext *context; /* NULL: not connected; of the helper thread while it works */
    uint64_t wait_ms_max;
    struct exception_redis_address address;
    size_t password_size;                        /* 0: none */
    char password[EXCEPTION_PASSWORD_BYTES_MAX]; /* the config's memory may go before us */
    char name[sizeof(struct exception_redis_address) + 40];
};

/* A call on its way to a helper thread. */
struct redis_call {
    struct exception_redis *redis;
    struct exception_set *set; /* read; NULL: a change */
    struct exception_mistakes *mistakes;
    struct slice user, backend;
    int result;
};

const char *exception_redis_parse(struct slice place, struct exception_redis_address *ret_address)
{
    uint64_t port = PORT_USUAL, database = 0;
    if (!slice_starts_nocase(place, SLICE("redis://")))
        return "write \"redis://host:port/database\"";
    struct slice rest = slice_from(place, 8), user = {0};
    struct slice host = slice_first(rest, slice_find(rest, '/'));
    rest = slice_from(rest, host.size);
    if (slice_find(host, '@') < host.size) {
        user = slice_first(host, slice_find(host, '@'));
        host = slice_from(host, user.size + 1);
        if (user.size == 0 || user.size >= sizeof ret_address->user ||
            slice_find(user, ':') < user.size || slice_find(host, '@') < host.size)
            return "before the @ stands a user; a password stands in exceptions_password_file";
    }
    size_t colon = host.size;
    for (size_t i = 0; i < host.size; i++)
        if (host.data[i] == ':')
            colon = i; /* the last: addresses of IPv6 stand in brackets */
        else if (host.data[i] == ']')
            colon = host.size;
    struct slice port_text = slice_from(host, colon + 1);
    if (colon < host.size && (!slice_number(port_text, 65535, &port) || port == 0))
        return "the port is a number from 1 to 65535";
    host = slice_first(host, colon);
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = slice_of(host.data + 1, host.size - 2);
    if (host.size == 0 || host.size >= sizeof ret_address->host)
        return "name the host";
    if (rest.size > 1 && !slice_number(slice_from(rest, 1), DATABASE_MAX, &database))
        return "the database is a number";
    *ret_address =
        (struct exception_redis_address){.port = (unsigned)port, .database = (unsigned)database};
    memcpy(ret_address->host, host.data, host.size);
    if (user.size > 0)
        memcpy(ret_address->user, user.data, user.size);
    return NULL;
}

/* ---------------------------------------------------------------- on a helper thread */

static void disconnect(struct exception_redis *redis)
{
    if (redis->context != NULL)
        redisFree(redis->context);
    redis->context = NULL;
}

/* The answer, of that type; NULL after closing the connection. */
static redisReply *ask(struct exception_redis *redis, int type, int count, const char **words,
                       const size_t *sizes)
{
    redisReply *reply = redisCommandArgv(redis->context, count, words, sizes);
    if (reply != NULL && reply->type == type)
        return reply;
    if (reply != NULL)
        freeReplyObject(reply);
    disconnect(redis);
    return NULL;
}

/* Without one: nothing to do. */
static int show_password(struct exception_redis *redis)
{
    const char *user = redis->address.user;
    if (redis->password_size == 0)
        return 0;
    const char *words[] = {"AUTH", redis->password, redis->password};
    size_t sizes[] = {4, redis->password_size, redis->password_size};
    int count = 2;
    if (user[0] != '\0') {
        words[1] = user;
        sizes[1] = strlen(user);
        count = 3;
    }
    redisReply *reply = ask(redis, REDIS_REPLY_STATUS, count, words, sizes);
    if (reply == NULL)
        return -EACCES;
    freeReplyObject(reply);
    return 0;
}

static int connect_to(struct exception_redis *redis)
{
    struct timeval wait = {.tv_sec = (time_t)(redis->wait_ms_max / 1000),
                           .tv_usec = (suseconds_t)(redis->wait_ms_max % 1000 * 1000)};
    char number[16];
    if (redis->context != NULL)
        return 0;
    redis->context = redisConnectWithTimeout(redis->address.host, (int)redis->address.port, wait);
    if (redis->context == NULL)
        return -ENOMEM;
    if (redis->context->err != 0 || redisSetTimeout(redis->context, wait) != REDIS_OK) {
        disconnect(redis);
        return -ECONNREFUSED;
    }
    int result = show_password(redis);
    if (result < 0)
        return result;
    int size = snprintf(number, sizeof number, "%u", redis->address.database);
    const char *words[] = {"SELECT", number};
    const size_t sizes[] = {6, (size_t)size};
    redisReply *reply = ask(redis, REDIS_REPLY_STATUS, 2, words, sizes);
    if (reply == NULL)
        return -EPROTO;
    freeReplyObject(reply);
    return 0;
}

static void take_entry(struct redis_call *call, const redisReply *user, const redisReply *backend)
{
    struct slice user_text = slice_of(user->str, user->len);
    struct slice backend_text = slice_of(backend->str, backend->len);
    const char *why = exception_user_check(user_text);
    char what[120];
    if (why == NULL)
        why = exception_backend_check(backend_text);
    if (why == NULL) {
        call->result = exception_set_put(call->set, user_text, backend_text);
        return;
    }
    snprintf(what, sizeof what, "%.40s: %s", user->str, why);
    exception_mistake(call->mistakes, 0, what);
}

/* One answer of HSCAN. False: it is none, or there is an error. */
static bool take_scan(struct redis_call *call, const redisReply *reply, char cursor[32])
{
    if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY || reply->element[1]->elements % 2 != 0 ||
        reply->element[0]->len >= 32)
        return false;
    memcpy(cursor, reply->element[0]->str, reply->element[0]->len + 1);
    const redisReply *list = reply->element[1];
    for (size_t i = 0; i < list->elements && call->result == 0; i += 2) {
        if (list->element[i]->type != REDIS_REPLY_STRING ||
            list->element[i + 1]->type != REDIS_REPLY_STRING)
            return false;
        take_entry(call, list->element[i], list->element[i + 1]);
    }
    return call->result == 0;
}

static void scan(void *argument)
{
    struct redis_call *call = argument;
    char cursor[32] = "0", count[16];
    int size = snprintf(count, sizeof count, "%d", SCAN_COUNT);
    call->result = connect_to(call->redis);
    for (unsigned i = 0; call->result == 0 && i < SCANS_MAX; i++) {
        const char *words[] = {"HSCAN", EXCEPTIONS_HASH, cursor, "COUNT", count};
        const size_t sizes[] = {5, sizeof EXCEPTIONS_HASH - 1, strlen(cursor), 5, (size_t)size};
        redisReply *reply = ask(call->redis, REDIS_REPLY_ARRAY, 5, words, sizes);
        if (reply == NULL) {
            call->result = -EPROTO;
            break;
        }
        bool is_good = take_scan(call, reply, cursor);
        freeReplyObject(reply);
        if (!is_good) {
            disconnect(call->redis);
            call->result = call->result == 0 ? -EPROTO : call->result;
        } else if (strcmp(cursor, "0") == 0) {
            return;
        }
    }
    call->result = call->result == 0 ? -EPROTO : call->result;
}

static void change(void *argument)
{
    struct redis_call *call = argument;
    const char *set[] = {"HSET", EXCEPTIONS_HASH, call->user.data, call->backend.data};
    const char *unset[] = {"HDEL", EXCEPTIONS_HASH, call->user.data};
    const size_t sizes[] = {4, sizeof EXCEPTIONS_HASH - 1, call->user.size, call->backend.size};
    bool sets = call->backend.size > 0;
    call->result = connect_to(call->redis);
    if (call->result < 0)
        return;
    redisReply *reply =
        ask(call->redis, REDIS_REPLY_INTEGER, sets ? 4 : 3, sets ? set : unset, sizes);
    if (reply == NULL)
        call->result = -EPROTO;
    else
        freeReplyObject(reply);
}

/* ---------------------------------------------------------------- on core 0 */

static int redis_read(struct exception_place *place, struct exception_set *set,
                      struct exception_mistakes *mistakes)
{
    struct exception_redis *redis = (struct exception_redis *)place;
    struct redis_call call = {.redis = redis, .set = set, .mistakes = mistakes};
    int result = core_help_waiting(redis->core, scan, &call);
    if (result < 0)
        return result;
    return call.result == 0 && mistakes->count > 0 ? -EINVAL : call.result;
}

static int redis_write(struct exception_place *place, struct slice user, struct slice backend,
                       struct exception_mistakes *mistakes)
{
    struct exception_redis *redis = (struct exception_redis *)place;
    struct redis_call call = {.redis = redis, .user = user, .backend = backend};
    (void)mistakes;
    int result = core_help_waiting(redis->core, change, &call);
    /* A connection that the server had closed meanwhile is made anew, once; both commands may be
     * said twice. */
    if (result == 0 && call.result == -EPROTO)
        result = core_help_waiting(redis->core, change, &call);
    return result < 0 ? result : call.result;
}

static void redis_free(struct exception_place *place)
{
    struct exception_redis *redis = (struct exception_redis *)place;
    disconnect(redis);
    explicit_bzero(redis->password, sizeof redis->password);
    free(redis);
}

int exception_redis_make(struct core *core, const struct exception_keeper_options *options,
                         struct exception_place **ret_place)
{
    struct exception_redis *redis = calloc(1, sizeof *redis);
    if (redis == NULL)
        return -ENOMEM;
    struct exception_redis_address *address = &redis->address;
    if (exception_redis_parse(options->place, address) != NULL ||
        options->password.size > sizeof redis->password) {
        free(redis);
        return -EINVAL;
    }
    snprintf(redis->name, sizeof redis->name, "redis://%s:%u/%u", address->host, address->port,
             address->database);
    redis->place = (struct exception_place){.name = redis->name,
                                            .read = redis_read,
                                            .write = redis_write,
                                            .free = redis_free,
                                            .may_be_absent = true};
    redis->core = core;
    redis->password_size = options->password.size;
    if (redis->password_size > 0)
        memcpy(redis->password, options->password.data, redis->password_size);
    redis->wait_ms_max = options->wait_ms_max;
    *ret_place = &redis->place;
    return 0;
}
