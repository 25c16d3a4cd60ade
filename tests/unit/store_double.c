/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stand-in for src/store's delivery calls. One core at a time may use it.
 */
#include "store_double.h"

#include "harness.h"

struct store_double store_double;

struct message_body {
    char *data;
    size_t size, capacity;
};

void store_double_clear(void)
{
    for (unsigned i = 0; i < store_double.count; i++)
        free(store_double.deliveries[i].data);
    store_double.count = 0;
    store_double.delivered = 0;
    store_double.bytes_high = store_double.bytes;
}

void store_double_reset(void)
{
    store_double_clear();
    check_equal(store_double.bodies, 0);
    store_double = (struct store_double){.budget = 100 << 20};
}

int store_state(struct core *core)
{
    (void)core;
    return store_double.state;
}

static bool grow(struct message_body *body, size_t capacity)
{
    if (store_double.bytes + capacity - body->capacity > store_double.budget)
        return false;
    char *data = realloc(body->data, capacity);
    if (data == NULL)
        return false;
    store_double.bytes += capacity - body->capacity;
    if (store_double.bytes > store_double.bytes_high)
        store_double.bytes_high = store_double.bytes;
    body->data = data;
    body->capacity = capacity;
    return true;
}

unsigned store_home_core(struct core *core, struct slice user)
{
    check(user.size > 0 && store_double.home_core < core_count(core));
    return store_double.home_core;
}

struct message_body *message_body_take(struct core *core, uint64_t size_hint)
{
    (void)core;
    struct message_body *body = calloc(1, sizeof *body);
    store_double.bodies++;
    if (body != NULL && grow(body, size_hint ? size_hint : 1024))
        return body;
    store_double.bodies--;
    free(body);
    return NULL;
}

struct message_body *message_body_take_await(struct core *core, uint64_t size_hint)
{
    return message_body_take(core, size_hint);
}

char *message_body_room(struct message_body *body, size_t want, size_t *ret_room)
{
    if (body->size == body->capacity && !grow(body, body->capacity * 2))
        return NULL;
    size_t room = body->capacity - body->size;
    if (room > want)
        room = want;
    if (store_double.room_max > 0 && room > store_double.room_max)
        room = store_double.room_max;
    check(want > 0 && room > 0);
    *ret_room = room;
    return body->data + body->size;
}

char *message_body_await(struct core *core, struct message_body *body, size_t want,
                         size_t *ret_room)
{
    (void)core;
    return message_body_room(body, want, ret_room);
}

void message_body_added(struct message_body *body, size_t size)
{
    check(size <= body->capacity - body->size);
    body->size += size;
}

void message_body_cut(struct message_body *body, size_t size)
{
    check(size <= body->size);
    body->size -= size;
}
struct slice message_body_bytes(const struct message_body *body)
{
    return slice_of(body->data, body->size);
}

void message_body_give(struct message_body *body)
{
    store_double.bytes -= body->capacity;
    store_double.bodies--;
    free(body->data);
    free(body);
}

const struct double_delivery *store_double_find(const char *user, const char *mailbox, unsigned n)
{
    for (unsigned i = 0; i < store_double.count; i++) {
        const struct double_delivery *found = &store_double.deliveries[i];
        if (strcmp(found->user, user) == 0 && strcmp(found->mailbox, mailbox) == 0 && n-- == 0)
            return found;
    }
    return NULL;
}

static void copy(char *to, size_t capacity, struct slice s)
{
    check(s.size < capacity);
    memcpy(to, s.data, s.size);
    to[s.size] = '\0';
}

static bool is_duplicate(const struct delivery *deliveries, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (slice_equal(deliveries[i].user, deliveries[at].user) &&
            slice_equal(deliveries[i].mailbox, deliveries[at].mailbox))
            return true;
    return false;
}

static int keep(const struct message_body *body, struct slice envelope, struct slice user,
                struct slice mailbox)
{
    check(store_double.count < sizeof store_double.deliveries / sizeof *store_double.deliveries);
    struct double_delivery *kept = &store_double.deliveries[store_double.count];
    copy(kept->user, sizeof kept->user, user);
    copy(kept->mailbox, sizeof kept->mailbox, mailbox);
    copy(kept->envelope, sizeof kept->envelope, envelope);
    kept->size = body->size;
    kept->data = malloc(body->size + 1);
    if (kept->data == NULL)
        return -ENOMEM;
    memcpy(kept->data, body->data, body->size);
    kept->data[body->size] = '\0';
    store_double.count++;
    return 0;
}

int store_deliver(struct core *core, struct message_body *body, struct slice envelope,
                  struct delivery *deliveries, unsigned count)
{
    int first_error = store_double.result;
    check(count > 0);
    if (store_double.wait_ns > 0)
        fiber_sleep(core, store_double.wait_ns);
    for (unsigned i = 0; i < count; i++) {
        bool is_failing = store_double.failing_user != NULL &&
                          slice_equal(deliveries[i].user, slice_cstr(store_double.failing_user));
        int result = is_failing ? store_double.failing_result : store_double.result;
        if (result == 0 && !is_duplicate(deliveries, i))
            result = keep(body, envelope, deliveries[i].user, deliveries[i].mailbox);
        if (!store_double.is_silent)
            deliveries[i].result = result;
        if (result < 0)
            first_error = first_error < 0 ? first_error : result;
    }
    store_double.delivered += first_error == 0;
    message_body_give(body);
    return first_error;
}
