/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fills a store with small messages and times what depends on how many there are: a delivery's CPU,
 * opening the store, opening the largest mailbox, one more message in it while a session looks on.
 *
 *   fill DIRECTORY [MESSAGES [USERS [DOMAIN]]]     defaults: 1000000 messages, 100 users
 *
 * One core. Half of the messages go to the first user, so that one mailbox is large. A store that
 * is there already is not filled again. Users are user0@example ...; with DOMAIN u0@DOMAIN ..., as
 * `ringpost try` has them at example.test, and then the store is filled and nothing more is timed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ringpost/core.h"
#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"
#include "ringpost/store.h"

enum { SENDERS = 200, MESSAGE_BYTES = 1024, MORE = 1000 };

struct fill {
    struct engine *engine;
    struct store_options options;
    unsigned long messages, users, sent;
    const char *name, *domain; /* of users: NAME0@DOMAIN ... */
    unsigned senders;
    struct waiters done;
    struct core *core;
    int result;
    bool reopen;
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int deliver(struct fill *fill, unsigned long number)
{
    char text[MESSAGE_BYTES], user[300];
    int head =
        snprintf(text, sizeof text,
                 "From: sender@example\r\nTo: user@example\r\nSubject: number %lu\r\n"
                 "Date: Tue, 24 Nov 2026 19:00:00 +0000\r\nMessage-ID: <%lu@example>\r\n\r\n",
                 number, number);
    memset(text + head, 'x', sizeof text - (size_t)head);
    snprintf(user, sizeof user, "%s%lu@%s", fill->name, number % 2 ? 0 : number / 2 % fill->users,
             fill->domain);
    struct message_body *body = message_body_take(fill->core, sizeof text);
    for (size_t done = 0, room; body != NULL && done < sizeof text; done += room) {
        char *at = message_body_room(body, sizeof text - done, &room);
        if (at == NULL)
            return -ENOMEM;
        memcpy(at, text + done, room);
        message_body_added(body, room);
    }
    struct delivery one = {slice_cstr(user), SLICE("INBOX"), 0};
    return body == NULL ? -ENOMEM
                        : store_deliver(fill->core, body, SLICE("<sender@example>"), &one, 1);
}

static void sender(void *argument)
{
    struct fill *fill = argument;
    while (fill->sent < fill->messages && fill->result == 0) {
        int result = deliver(fill, fill->sent++);
        if (result < 0)
            fill->result = result;
    }
    if (--fill->senders == 0)
        waiters_wake_all(fill->core, &fill->done);
}

static void fill_up(struct fill *fill)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (fill->senders = 0; fill->senders < SENDERS; fill->senders++)
        if (fiber_start(fill->core, sender, fill) < 0)
            break;
    waiters_wait(fill->core, &fill->done, 0);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    printf("delivered   %lu messages of %d bytes: %.0f a second, %.2f us of CPU each\n",
           fill->messages, MESSAGE_BYTES, (double)fill->messages / wall,
           cpu / (double)fill->messages * 1e6);
}

static void look_on(struct fill *fill)
{
    struct account *account;
    struct view view = {0};
    struct view_listener listener = {0};
    fill->result = account_open(fill->core, SLICE("user0@example"), &account);
    if (fill->result < 0)
        return;
    struct mailbox *inbox = account_mailbox(account, SLICE("INBOX"));
    double wall = seconds(CLOCK_MONOTONIC);
    fill->result = view_open(account, inbox, false, &view);
    if (fill->result == 0) {
        printf("first view  %u messages: %.1f ms\n", view.count,
               (seconds(CLOCK_MONOTONIC) - wall) * 1e3);
        double cpu = 0;
        for (unsigned i = 0; i < MORE && fill->result == 0; i++) {
            fill->result = deliver(fill, 1);
            double before = seconds(CLOCK_THREAD_CPUTIME_ID);
            view_update(&view, true, &listener);
            cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
        }
        printf("watched     one more message, told: %.2f us of CPU in view_update\n",
               cpu / MORE * 1e6);
        view_close(&view);
    }
    account_close(account);
}

static int ready(struct core *core, void *argument)
{
    struct fill *fill = argument;
    fill->core = core;
    double wall = seconds(CLOCK_MONOTONIC);
    fill->result = store_open(core, &fill->options);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    if (fill->result == 0) {
        struct store_report report;
        struct rusage usage;
        store_stat(core, &report);
        getrusage(RUSAGE_SELF, &usage);
        printf("opened      %llu messages, %llu bytes: %.3f s, %ld MiB resident at most\n",
               (unsigned long long)report.messages, (unsigned long long)report.bytes, wall,
               usage.ru_maxrss / 1024);
        if (report.messages == 0)
            fill_up(fill);
        else
            look_on(fill);
        wall = seconds(CLOCK_MONOTONIC);
        store_close(core);
        printf("closed      %.3f s\n", seconds(CLOCK_MONOTONIC) - wall);
    }
    engine_stop(fill->engine);
    return fill->result;
}

static int life(struct fill *fill)
{
    struct kernel *kernel = NULL;
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 16,
                                     .buffers = 16,
                                     .fibers_max = SENDERS + 50,
                                     .stack_bytes = 131072};
    int result = kernel_linux_create(&kernel);
    if (result == 0)
        result = engine_create(&options, &kernel, &fill->engine);
    if (result == 0) {
        result = engine_run(fill->engine, ready, fill);
        engine_destroy(fill->engine);
    }
    kernel_linux_destroy(kernel);
    return result;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: fill DIRECTORY [MESSAGES [USERS [DOMAIN]]]\n");
        return 2;
    }
    struct fill fill = {
        .options = {.directory = arguments[1],
                    .shard_count = 1,
                    .cache_bytes = 16 << 20,
                    .index_bytes_max = UINT64_C(256) << 20},
        .messages = count > 2 ? strtoul(arguments[2], NULL, 10) : 1000000,
        .users = count > 3 ? strtoul(arguments[3], NULL, 10) : 100,
        .name = count > 4 ? "u" : "user",
        .domain = count > 4 ? arguments[4] : "example",
    };
    for (unsigned i = 0; i < (count > 4 ? 1 : 2); i++) {
        int result = life(&fill);
        if (result < 0) {
            fprintf(stderr, "fill: %s\n", strerror(-result));
            return 1;
        }
    }
    return 0;
}
