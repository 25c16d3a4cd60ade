/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The doubles are called on several cores' threads, so one lock guards all of it; no fiber parks
 * with it held.
 */
#include "control_double.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

enum { BACKENDS = 5, EXCEPTIONS_MAX = 3000, RECORD_BYTES = 4000, NAME_BYTES = 100 };

struct backend {
    const char *pool, *name;
    enum backend_will will;
};

struct backend_pool {
    struct backend_pool_options options;
};

static const struct backend first[BACKENDS] = {{"mail", "b1", BACKEND_UP},
                                               {"mail", "b2", BACKEND_UP},
                                               {"mail", "b3", BACKEND_UP},
                                               {"old", "b3", BACKEND_UP},
                                               {"old", "x1", BACKEND_UP}};
static const struct backend_pool mail = {{.name = {"mail", 4}}}, old = {{.name = {"old", 3}}};
const struct proxy_domain double_domains[2] = {{{"mail.test", 9}, &mail}, {{"old.test", 8}, &old}};

/* tidy: allow static-data because a test has one world */
static struct {
    struct backend backends[BACKENDS];
    struct fake {
        char user[NAME_BYTES];
        unsigned core, backend, looks;
        bool is_there, is_ending;
    } sessions[DOUBLE_SESSIONS_MAX];
    unsigned session_count;
    struct {
        char user[NAME_BYTES], backend[NAME_BYTES];
        uint64_t hold_ms;
    } exceptions[EXCEPTIONS_MAX];
    unsigned exception_count;
    char record[RECORD_BYTES];
    size_t record_size;
    unsigned busy, cut_ms;
    bool has_fourth;
} world;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *what, struct slice user, struct slice backend, uint64_t ms)
{
    int size = snprintf(world.record + world.record_size, RECORD_BYTES - world.record_size,
                        "%s %.*s %.*s %llu; ", what, (int)user.size, user.data, (int)backend.size,
                        backend.data, (unsigned long long)ms);
    if (size > 0 && world.record_size + (size_t)size < RECORD_BYTES)
        world.record_size += (size_t)size;
}

void double_reset(void)
{
    memset(&world, 0, sizeof world);
    memcpy(world.backends, first, sizeof first);
}

void double_session(unsigned core, const char *user, unsigned backend, unsigned looks)
{
    check(world.session_count < DOUBLE_SESSIONS_MAX);
    struct fake *one = &world.sessions[world.session_count++];
    *one = (struct fake){.core = core, .backend = backend, .looks = looks, .is_there = true};
    snprintf(one->user, sizeof one->user, "%s", user);
}

unsigned double_alive(void)
{
    unsigned count = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < world.session_count; i++)
        count += world.sessions[i].is_there;
    pthread_mutex_unlock(&lock);
    return count;
}

void double_record(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    snprintf(text, size, "%s", world.record);
    world.record_size = 0;
    world.record[0] = '\0';
    pthread_mutex_unlock(&lock);
}

static unsigned exception_of(struct slice user)
{
    unsigned i = 0;
    while (i < world.exception_count && !slice_equal(slice_cstr(world.exceptions[i].user), user))
        i++;
    return i;
}

void double_exception(const char *user, char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    unsigned i = exception_of(slice_cstr(user));
    snprintf(text, size, "%s", i < world.exception_count ? world.exceptions[i].backend : "");
    pthread_mutex_unlock(&lock);
}

void double_busy(unsigned calls)
{
    pthread_mutex_lock(&lock);
    world.busy = calls;
    pthread_mutex_unlock(&lock);
}

void double_fourth(bool is_there)
{
    pthread_mutex_lock(&lock);
    world.has_fourth = is_there;
    pthread_mutex_unlock(&lock);
}

unsigned double_cut_ms(void)
{
    pthread_mutex_lock(&lock);
    unsigned ms = world.cut_ms;
    pthread_mutex_unlock(&lock);
    return ms;
}

/* Once an ending session was looked for often enough, it is gone. */
static bool is_there(struct fake *one)
{
    if (one->is_there && one->is_ending && one->looks-- == 0)
        one->is_there = false;
    return one->is_there;
}

/* ---------------------------------------------------------------- backend.h */

static int find(struct slice name)
{
    int found = -ENOENT;
    for (int i = 0; i < BACKENDS; i++) {
        char whole[NAME_BYTES];
        snprintf(whole, sizeof whole, "%s/%s", first[i].pool, first[i].name);
        if (slice_equal(name, slice_cstr(whole)))
            return i;
        if (slice_equal(name, slice_cstr(first[i].name)))
            found = found == -ENOENT ? i : -EEXIST;
    }
    return found;
}

int backend_find(struct core *core, struct slice name, const struct backend **ret_backend)
{
    (void)core;
    int i = find(name);
    if (i >= 0)
        *ret_backend = &world.backends[i];
    return i < 0 ? i : 0;
}

int backend_will_set(struct core *core, struct slice name, enum backend_will will)
{
    (void)core;
    int i = find(name);
    pthread_mutex_lock(&lock);
    if (i >= 0)
        world.backends[i].will = will;
    pthread_mutex_unlock(&lock);
    return i < 0 ? i : 0;
}

enum backend_will backend_will_of(const struct backend *backend)
{
    pthread_mutex_lock(&lock);
    enum backend_will will = backend->will;
    pthread_mutex_unlock(&lock);
    return will;
}

struct slice backend_name(const struct backend *backend)
{
    return slice_cstr(backend->name);
}

struct slice backend_pool_name(const struct backend *backend)
{
    return slice_cstr(backend->pool);
}

const struct backend_pool_options *backend_pool_options_of(const struct backend_pool *pool)
{
    return &pool->options;
}

bool backend_info_get(struct core *core, unsigned index, struct backend_info *ret_info)
{
    (void)core;
    if (index >= BACKENDS)
        return false;
    pthread_mutex_lock(&lock);
    *ret_info = (struct backend_info){.pool = slice_cstr(first[index].pool),
                                      .name = slice_cstr(first[index].name),
                                      .weight = 1,
                                      .will = world.backends[index].will,
                                      .is_alive = true};
    for (unsigned i = 0; i < world.session_count; i++)
        ret_info->sessions += world.sessions[i].backend == index && is_there(&world.sessions[i]);
    pthread_mutex_unlock(&lock);
    snprintf(ret_info->address, sizeof ret_info->address, "192.0.2.%u", index);
    snprintf(ret_info->problem, sizeof ret_info->problem, "said \"no\"\n");
    return true;
}

int backend_exception_set(struct core *core, const struct backend_exception *exception)
{
    (void)core;
    int result = exception->backend.size == 0 || find(exception->backend) >= 0 ? 0 : -ENOENT;
    pthread_mutex_lock(&lock);
    if (world.has_fourth && slice_equal(exception->backend, SLICE("mail/b4")))
        result = 0;
    unsigned i = exception_of(exception->user);
    if (world.busy > 0) {
        world.busy--;
        result = -EAGAIN;
    } else if (i == EXCEPTIONS_MAX) {
        result = -ENOSPC;
    }
    if (result == 0) {
        note("set", exception->user, exception->backend, exception->hold_ms);
        world.exception_count += i == world.exception_count;
        snprintf(world.exceptions[i].user, NAME_BYTES, "%.*s", (int)exception->user.size,
                 exception->user.data);
        snprintf(world.exceptions[i].backend, NAME_BYTES, "%.*s", (int)exception->backend.size,
                 exception->backend.data);
        world.exceptions[i].hold_ms = exception->hold_ms;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int backend_whereabouts(struct core *core, const struct backend_pool *pool, struct slice user,
                        struct backend_whereabouts *ret_whereabouts)
{
    (void)core;
    check(pool != NULL);
    memset(ret_whereabouts, 0, sizeof *ret_whereabouts);
    pthread_mutex_lock(&lock);
    int result = world.busy > 0 ? -EAGAIN : 0;
    world.busy -= world.busy > 0;
    for (unsigned i = 0; i < world.session_count && result == 0; i++) {
        struct fake *one = &world.sessions[i];
        if (!slice_equal(slice_cstr(one->user), user) || !is_there(one))
            continue;
        ret_whereabouts->sessions++;
        snprintf(ret_whereabouts->current, sizeof ret_whereabouts->current, "%s/%s",
                 first[one->backend].pool, first[one->backend].name);
    }
    unsigned i = exception_of(user);
    if (i < world.exception_count) {
        snprintf(ret_whereabouts->exception, sizeof ret_whereabouts->exception, "%s",
                 world.exceptions[i].backend);
        ret_whereabouts->hold_ms = world.exceptions[i].hold_ms;
    }
    if (result == 0 && ret_whereabouts->sessions == 0)
        note("nobody", user, SLICE(""), 0);
    pthread_mutex_unlock(&lock);
    snprintf(ret_whereabouts->hashed, sizeof ret_whereabouts->hashed, "%.*s/b3",
             (int)pool->options.name.size, pool->options.name.data);
    return result;
}

/* ---------------------------------------------------------------- proxy.h */

void proxy_sessions_each(struct core *core,
                         bool (*tell)(void *argument, const struct proxy_session_info *info),
                         void *argument)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < world.session_count; i++) {
        struct fake *one = &world.sessions[i];
        if (one->core != core_index(core) || !one->is_there)
            continue;
        struct proxy_session_info info = {.id = 0xe00 + i,
                                          .protocol = "imap",
                                          .user = slice_cstr(one->user),
                                          .peer = "2001:db8::1",
                                          .port = 4711,
                                          .pool = slice_cstr(first[one->backend].pool),
                                          .backend = slice_cstr(first[one->backend].name),
                                          .bytes_in = i,
                                          .bytes_out = UINT32_MAX,
                                          .ms = 1};
        if (!tell(argument, &info))
            break;
    }
    pthread_mutex_unlock(&lock);
}

unsigned proxy_kick(struct core *core, struct slice user, uint64_t id)
{
    unsigned count = 0;
    pthread_mutex_lock(&lock);
    note("kick", user, SLICE(""), core_index(core));
    for (unsigned i = 0; i < world.session_count; i++) {
        struct fake *one = &world.sessions[i];
        bool is_meant = user.size > 0 ? slice_equal(slice_cstr(one->user), user) : id == 0xe00 + i;
        if (one->core != core_index(core) || !one->is_there || one->is_ending || !is_meant)
            continue;
        one->is_ending = true;
        count++;
        is_there(one);
    }
    pthread_mutex_unlock(&lock);
    return count;
}

unsigned proxy_cut(struct core *core, const struct backend *backend, uint64_t ms)
{
    unsigned count = 0;
    pthread_mutex_lock(&lock);
    world.cut_ms = (unsigned)ms;
    for (unsigned i = 0; i < world.session_count; i++) {
        struct fake *one = &world.sessions[i];
        if (one->core != core_index(core) || &world.backends[one->backend] != backend)
            continue;
        count += one->is_there && !one->is_ending;
        one->is_ending = true;
    }
    pthread_mutex_unlock(&lock);
    return count;
}
