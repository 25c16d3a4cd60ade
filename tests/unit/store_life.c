/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lives of a store on the real kernel, for tests: opened on every core, a body run on a fiber of
 * core 0, closed again; and short forms of what tests do most.
 */
#include "store_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"

_Noreturn void failed(int line, const char *what, int64_t is, int64_t want)
{
    fprintf(stderr, "line %d: %s (is %lld, want %lld)\n", line, what, (long long)is,
            (long long)want);
    abort();
}

void check_numbers(int line, const char *what, int64_t is, int64_t want)
{
    if (is != want)
        failed(line, what, is, want);
}

/* ---------------------------------------------------------------- lives */

static int close_there(struct core *core, void *argument)
{
    (void)argument;
    store_close(core);
    return 0;
}

/* A core that has no store says so, and users have their cores all the same. */
static void check_without(struct core *core)
{
    struct account *account = NULL;
    check_equal(store_state(core), -ENODEV);
    check_equal(account_open(core, SLICE("a@example.test"), &account), -ENODEV);
    check(store_home_core(core, SLICE("a@example.test")) < core_count(core));
    store_close(core);
}

static int life_ready(struct core *core, void *argument)
{
    struct life *life = argument;
    struct store_options options = {
        .directory = life->directory,
        .shard_count = life->shards,
        .segment_bytes = 1 << 20,
        .cache_bytes = 1 << 20,
        .index_bytes_max = life->index_bytes_max,
    };
    int result = store_open(core, &options);
    check_equal(result, life->want);
    atomic_fetch_add(&life->open, 1);
    if (core_index(core) != 0)
        return 0;
    while (atomic_load(&life->open) < core_count(core))
        fiber_sleep(core, 1000000);
    if (life->want == 0) {
        life->body(core);
        for (unsigned i = core_count(core); i-- > 0;)
            check_equal(core_call(core, i, close_there, NULL), 0);
        check_without(core);
    }
    engine_stop(life->engine);
    return 0;
}

void live_as(struct life life, unsigned cores)
{
    struct kernel *kernels[CORES_MAX] = {0};
    struct engine_options options = {
        .core_count = cores,
        .connections_max = 100,
        .buffers = 16,
        .fibers_max = 100,
        .stack_bytes = 131072,
    };
    for (unsigned i = 0; i < cores; i++)
        check_equal(kernel_linux_create(&kernels[i]), 0);
    check_equal(engine_create(&options, kernels, &life.engine), 0);
    check_equal(engine_run(life.engine, life_ready, &life), 0);
    engine_destroy(life.engine);
    for (unsigned i = 0; i < cores; i++)
        kernel_linux_destroy(kernels[i]);
}

void live(const char *directory, unsigned cores, void (*body)(struct core *core))
{
    live_as((struct life){.directory = directory, .body = body, .shards = 3}, cores);
}

char *directory_new(void)
{
    static char template[64];
    snprintf(template, sizeof template, "%s", "/tmp/ringpost-store-XXXXXX");
    check(mkdtemp(template) != NULL);
    return template;
}

void directory_remove(const char *directory)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    check_equal(system(command), 0);
}

/* ---------------------------------------------------------------- short forms */

struct message_body *body_of(struct core *core, struct slice text)
{
    struct message_body *body = message_body_take(core, text.size);
    check(body != NULL);
    while (text.size > 0) {
        size_t room;
        char *at = message_body_room(body, text.size, &room);
        check(at != NULL && room > 0 && room <= text.size);
        memcpy(at, text.data, room);
        message_body_added(body, room);
        text = slice_from(text, room);
    }
    return body;
}

int deliver(struct core *core, const char *user, const char *mailbox, const char *text)
{
    struct delivery one = {.user = slice_cstr(user), .mailbox = slice_cstr(mailbox), .result = 1};
    int result = store_deliver(core, body_of(core, slice_cstr(text)), SLICE("<a@b>"), &one, 1);
    check_equal(one.result, result);
    return result;
}

/* A user whose home is core 0. */
const char *user_here(struct core *core)
{
    static const char *const users[] = {"a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x", "h@x"};
    for (unsigned i = 0; i < 8; i++)
        if (store_home_core(core, slice_cstr(users[i])) == 0)
            return users[i];
    failed(__LINE__, "no user lives on core 0", 0, 0);
}

struct account *open_account(struct core *core, const char *user)
{
    struct account *account = NULL;
    check_equal(account_open(core, slice_cstr(user), &account), 0);
    return account;
}

struct mailbox *find(struct account *account, const char *name)
{
    struct mailbox *mailbox = account_mailbox(account, slice_cstr(name));
    check(mailbox != NULL);
    return mailbox;
}

void check_text(struct mailbox *mailbox, const struct mail_entry *entry, const char *want)
{
    char data[1000];
    check_equal(entry->size, strlen(want));
    check_equal(message_read(mailbox, entry, 0, data, sizeof data), strlen(want));
    check(memcmp(data, want, strlen(want)) == 0);
    check_equal(message_read(mailbox, entry, entry->size, data, sizeof data), 0);
}

uint32_t append(struct core *core, struct mailbox *mailbox, const char *text, uint16_t flags,
                uint64_t keywords)
{
    struct append_result result;
    check_equal(mailbox_append(mailbox, body_of(core, slice_cstr(text)), flags, keywords,
                               1000000000, 60, &result),
                0);
    return result.uid;
}
