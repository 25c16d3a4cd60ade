/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Call-outs (src/relay/verify.c): what is asked of a backend, what is kept of its answer and for
 * how long, and that one who is asked about is asked about once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/relay/relay_private.h"
#include "relay_host.h"

static const uint64_t MS = 1000000;

static struct relay_recipient verify(struct core *core, const struct relay_world *world,
                                     const char *user)
{
    struct relay_sender sender = relay_sender_double();
    struct relay_recipient recipient = relay_recipient_double(world, user);
    relay_verify(core, &sender, &recipient);
    return recipient;
}

static void check_verify(struct core *core, const struct relay_world *world, const char *user,
                         int result, const char *reply)
{
    struct relay_recipient recipient = verify(core, world, user);
    check_reply(&recipient, result, reply);
}

static unsigned asked(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LMTP_BACKENDS; i++)
        count += lmtp.asked[i];
    return count;
}

/* ---------------------------------------------------------------- what is kept */

static void kept_body(struct core *core, struct relay_world *world)
{
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "no", 100};
    for (unsigned i = 0; i < 3; i++) {
        check_verify(core, world, "yes@example.com", 0, "250 2.1.5 ");
        check_verify(core, world, "no@example.com", -EACCES, "550 5.1.1 nobody of that name");
    }
    check_equal(asked(), 2);
    check(strcmp(lmtp.from, "") == 0); /* as a bounce would */
    check_equal(lmtp.record_count, 0);
    check_equal(bound_to(core, world, "yes@example.com"), LMTP_BACKENDS); /* nobody is bound */
    check_equal(relay_counter(core, COUNTER_RELAY_CALL_OUTS), 2);
    check_equal(relay_counter(core, COUNTER_RELAY_KNOWN), 4);
    fiber_sleep(core, 150 * MS); /* "unknown" is over, "known" is not */
    check_verify(core, world, "yes@example.com", 0, "250 2.1.5 ");
    check_equal(asked(), 2);
    check_verify(core, world, "no@example.com", -EACCES, "550 5.1.1 nobody of that name");
    check_equal(asked(), 3);
    fiber_sleep(core, 500 * MS);
    check_verify(core, world, "yes@example.com", 0, "250 2.1.5 ");
    check_equal(asked(), 4);
    /* "Later" is not kept. */
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_LATER, NULL, 2};
    for (unsigned i = 0; i < 2; i++)
        check_verify(core, world, "third@example.com", -EAGAIN, "451 4.3.0 not now");
    check_verify(core, world, "third@example.com", 0, "250 2.1.5 ");
    check_equal(asked(), 7);
    /* All that is over is swept away by itself. */
    fiber_sleep(core, 2500 * MS);
    check_equal(relay_of(core)->known.used, 0);
}

static void kept(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.relay.known_ms = 500;
    world.relay.unknown_ms = 100;
    world.body = kept_body;
    relay_world_run(&world);
}

/* A delivery that is refused takes back what was known. */
static void taken_back_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    letter_to(letter, world, "karl");
    check_verify(core, world, letter->names[0], 0, "250 2.1.5 ");
    lmtp.plan[0] = (struct lmtp_plan){LMTP_END, LMTP_NO, NULL, 1};
    letter_send(core, letter);
    check_reply(&letter->to[0], -EACCES, "550 5.1.1 ");
    check_equal(asked(), 2);
    check_verify(core, world, letter->names[0], 0, "250 2.1.5 ");
    check_equal(asked(), 3);
    letter_send(core, letter); /* one that is taken leaves it */
    check_verify(core, world, letter->names[0], 0, "250 2.1.5 ");
    check_equal(asked(), 4);
    check_equal(bound_to(core, world, letter->names[0]), 0);
    known_forget(relay_of(core), &letter->to[0]); /* a question does not end what mail has begun */
    check_verify(core, world, letter->names[0], 0, "250 2.1.5 ");
    check_equal(asked(), 5);
    fiber_sleep(core, 50 * MS);
    check_equal(bound_to(core, world, letter->names[0]), 0);
    free(letter);
}

static void taken_back(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.body = taken_back_body;
    relay_world_run(&world);
}

/* Ten are kept: a flood of unknown names does not drive out one who is known. */
static void bounded_body(struct core *core, struct relay_world *world)
{
    char user[40];
    check_verify(core, world, "known@example.com", 0, "250 2.1.5 ");
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "guess", 1000};
    for (unsigned i = 0; i < 100; i++) {
        snprintf(user, sizeof user, "guess%u@example.com", i);
        check_verify(core, world, user, -EACCES, "550 5.1.1 ");
        check(relay_of(core)->known.used <= 10);
    }
    check_equal(asked(), 101);
    check_verify(core, world, "known@example.com", 0, "250 2.1.5 ");
    check_verify(core, world, user, -EACCES, "550 5.1.1 "); /* the last one is there */
    check_equal(asked(), 101);
    /* Adopted: fewer are kept, then none. */
    static struct relay_options fewer;
    fewer = world->relay;
    fewer.cache_entries_max = 2;
    relay_adopt(core, &fewer);
    check_verify(core, world, "another@example.com", 0, "250 2.1.5 ");
    check_equal(relay_of(core)->known.used, 2);
    fewer.cache_entries_max = 0;
    check_verify(core, world, "fourth@example.com", 0, "250 2.1.5 ");
    check_verify(core, world, "fourth@example.com", 0, "250 2.1.5 ");
    check_equal(asked(), 104);
}

static void bounded(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.relay.cache_entries_max = 10;
    world.relay.unknown_ms = 30000;
    world.body = bounded_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- how it is asked */

/* By his own name, or the one that a directory has for him; elsewhere when one fails. */
static void asked_body(struct core *core, struct relay_world *world)
{
    struct relay_sender sender = relay_sender_double();
    struct relay_recipient recipient = relay_recipient_double(world, "lena@example.com");
    lmtp.plan[2] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "lena@example.com", 1};
    recipient.attributes = SLICE("backend=b2\n");
    recipient.address = SLICE("lena+news@example.com");
    relay_verify(core, &sender, &recipient);
    check_reply(&recipient, -EACCES, "550 5.1.1 ");
    recipient.user = SLICE("mia@example.com");
    lmtp.plan[2] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "4711@example.com", 1};
    recipient.attributes = SLICE("backend=b2\nuser=4711\n");
    relay_verify(core, &sender, &recipient);
    check_reply(&recipient, -EACCES, "550 5.1.1 ");
    check(slice_equal(recipient.address, SLICE("lena+news@example.com")));
    recipient.user = SLICE("nina@example.com");
    recipient.attributes = SLICE("backend=b9\n");
    relay_verify(core, &sender, &recipient);
    check_reply(&recipient, -EAGAIN, "451 4.");
    static const struct lmtp_plan plans[] = {
        {LMTP_CONNECT, LMTP_CLOSES, NULL, 2},
        {LMTP_MAIL, LMTP_CLOSES, NULL, 2},
        {LMTP_RCPT, LMTP_BUSY, NULL, 2},
        {LMTP_RCPT, LMTP_BABBLES, NULL, 2},
    };
    for (unsigned i = 0; i < sizeof plans / sizeof *plans; i++) {
        char name[40], user[80];
        name_of(core, world, 0, i, name);
        snprintf(user, sizeof user, "%s@example.com", name);
        lmtp_forget();
        lmtp.plan[0] = plans[i];
        check_verify(core, world, user, 0, "250 2.1.5 ");
        check_equal(lmtp.connections[0], 1);
        check_equal(lmtp.asked[1] + lmtp.asked[2], 1);
    }
    /* Nowhere: later. */
    for (unsigned i = 0; i < 3; i++)
        lmtp.plan[i] = (struct lmtp_plan){LMTP_CONNECT, LMTP_CLOSES, NULL, 1};
    check_verify(core, world, "olaf@example.com", -EAGAIN, "451 4.4.1 ");
    check_verify(core, world, "olaf@example.com", 0, "250 2.1.5 ");
}

static void how(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 3);
    world.body = asked_body;
    relay_world_run(&world);
}

/* One that does not answer: as long as a call-out may last. */
static void late_body(struct core *core, struct relay_world *world)
{
    uint64_t before_ns = core_now_ns(core);
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_HANGS, NULL, 1};
    check_verify(core, world, "paul@example.com", -EAGAIN, "451 4.");
    uint64_t ms = (core_now_ns(core) - before_ns) / MS;
    check(ms >= 300 && ms < (harness_is_simulated() ? 60000 : 5000));
}

static void late(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.relay.verify_ms_max = 300;
    world.body = late_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- several at once */

enum { ASKERS = 20 };

struct asker {
    struct core *core;
    const struct relay_world *world;
    struct relay_recipient recipient;
    unsigned *done;
    bool has_left;
};

static bool asker_left(void *argument)
{
    return ((const struct asker *)argument)->has_left;
}

static void asker_fiber(void *argument)
{
    struct asker *asker = argument;
    struct relay_sender sender = relay_sender_double();
    sender.gone = asker_left;
    sender.argument = asker;
    relay_verify(asker->core, &sender, &asker->recipient);
    ++*asker->done;
}

static void askers_start(struct core *core, const struct relay_world *world, const char *user,
                         struct asker askers[ASKERS], unsigned *done)
{
    *done = 0;
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){core, world, relay_recipient_double(world, user), done, false};
        check_equal(fiber_start(core, asker_fiber, &askers[i]), 0);
    }
}

static void wait_done(struct core *core, const unsigned *done)
{
    while (*done < ASKERS)
        fiber_sleep(core, 4 * MS);
}

static void once_body(struct core *core, struct relay_world *world)
{
    static struct asker askers[ASKERS];
    unsigned done;
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "rita", 1};
    askers_start(core, world, "rita@example.com", askers, &done);
    wait_done(core, &done);
    for (unsigned i = 0; i < ASKERS; i++)
        check_reply(&askers[i].recipient, -EACCES, "550 5.1.1 nobody of that name");
    check_equal(asked(), 1);
    check_equal(lmtp.connections[0], 1);
    /* The one who asks leaves: another asks in his place, and all others are answered. */
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_HANGS, "sven", 1};
    askers_start(core, world, "sven@example.com", askers, &done);
    while (asked() < 2)
        fiber_sleep(core, MS);
    askers[0].has_left = true;
    wait_done(core, &done);
    check_reply(&askers[0].recipient, -EAGAIN, "451 4.");
    for (unsigned i = 1; i < ASKERS; i++)
        check_reply(&askers[i].recipient, 0, "250 2.1.5 ");
    check_equal(asked(), 3);
    /* The backend hangs: all are told, when their time is over. */
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_HANGS, "tina", 100};
    askers_start(core, world, "tina@example.com", askers, &done);
    wait_done(core, &done);
    for (unsigned i = 0; i < ASKERS; i++)
        check_reply(&askers[i].recipient, -EAGAIN, "451 4.");
    check_equal(relay_of(core)->asking_count, 0);
}

static void once(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.body = once_body;
    relay_world_run(&world);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(kept), cmocka_unit_test(taken_back), cmocka_unit_test(bounded),
        cmocka_unit_test(how),  cmocka_unit_test(late),       cmocka_unit_test(once),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
