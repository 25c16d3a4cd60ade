/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail handed on to backends that speak LMTP (relay_host.h): who is handed on together, who goes
 * elsewhere when one fails, and what is answered meanwhile; call-outs and what is kept of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay_host.h"

static const uint64_t MS = 1000000;

/* ---------------------------------------------------------------- groups */

static void groups_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    unsigned seen = 0;
    char name[40];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "anna%u", i);
        letter_to(letter, world, name);
    }
    letter_send(core, letter);
    for (unsigned i = 0; i < letter->count; i++) {
        check_reply(&letter->to[i], 0, "250 2.1.5 saved");
        unsigned backend = where(letter, i);
        check_equal(backend, bound_to(core, world, letter->names[i]));
        check_equal(backend, hashed_to(core, world, letter->names[i]));
        seen |= 1u << backend;
    }
    check_equal(seen, 31);
    check_equal(lmtp.record_count, 100);
    for (unsigned i = 0; i < 5; i++)
        check_equal(lmtp.connections[i], 1); /* one connection a backend ... */
    check(lmtp.most_open > 1);               /* ... and side by side */
    while (lmtp.open > 0)
        fiber_sleep(core, MS);
    check_equal(lmtp.quits, 5);
    check(strcmp(lmtp.from, "sender@example.org") == 0);
    check_equal(relay_counter(core, COUNTER_RELAY_MESSAGES), 1);
    check_equal(relay_counter(core, COUNTER_RELAY_HANDED_ON), 100);
    check_equal(
        relay_counter(core, COUNTER_RELAY_LATER) + relay_counter(core, COUNTER_RELAY_REFUSED), 0);
    free(letter);
}

static void groups(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 5);
    world.body = groups_body;
    relay_world_run(&world);
}

static void crowd_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    char name[40];
    lmtp.with_chunking = true;
    for (unsigned i = 0; i < 250; i++) {
        snprintf(name, sizeof name, "bert%u", i);
        letter_to(letter, world, name);
    }
    letter_send(core, letter);
    for (unsigned i = 0; i < letter->count; i++) {
        check_reply(&letter->to[i], 0, "250 2.1.5 saved");
        where(letter, i);
    }
    check_equal(lmtp.connections[0], 3); /* a hundred each, at most */
    free(letter);
}

static void crowd(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.body = crowd_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- elsewhere */

/* Nothing was bound to the dead one, so that all have another. */
static void dead_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    char name[40];
    unsigned moved = 0;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "carl%u", i);
        letter_to(letter, world, name);
        moved += hashed_to(core, world, letter->names[i]) == 0;
    }
    letter_send(core, letter);
    for (unsigned i = 0; i < letter->count; i++) {
        check_reply(&letter->to[i], 0, "250 2.1.5 saved");
        check(where(letter, i) != 0);
        check_equal(where(letter, i), bound_to(core, world, letter->names[i]));
    }
    check(moved > 3);
    check_equal(relay_counter(core, COUNTER_BACKEND_RETRIES), moved);
    free(letter);
}

static void dead(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 3);
    world.dead = 1;
    world.body = dead_body;
    relay_world_run(&world);
}

static void all_dead_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    letter_to(letter, world, "dora");
    letter_to(letter, world, "emil");
    letter_send(core, letter);
    for (unsigned i = 0; i < 2; i++) {
        check_reply(&letter->to[i], -EAGAIN, "451 4.4.1 ");
        check_equal(bound_to(core, world, letter->names[i]), LMTP_BACKENDS);
    }
    check_equal(lmtp.record_count, 0);
    check_equal(relay_counter(core, COUNTER_RELAY_LATER), 2);
    free(letter);
}

static void all_dead(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 3);
    world.dead = 7;
    world.body = all_dead_body;
    relay_world_run(&world);
}

/* X07, X08: what a backend may do before it has taken anything: each has it at the other. */
static void before_data_body(struct core *core, struct relay_world *world)
{
    static const struct {
        enum lmtp_step at;
        enum lmtp_deed deed;
    } rows[] = {
        {LMTP_CONNECT, LMTP_CLOSES}, {LMTP_CONNECT, LMTP_BUSY}, {LMTP_CONNECT, LMTP_BABBLES},
        {LMTP_CONNECT, LMTP_HANGS},  {LMTP_LHLO, LMTP_HANGS},   {LMTP_LHLO, LMTP_CLOSES},
        {LMTP_LHLO, LMTP_NO},        {LMTP_MAIL, LMTP_CLOSES},  {LMTP_MAIL, LMTP_BUSY},
        {LMTP_MAIL, LMTP_BABBLES},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct letter *letter = letter_make();
        char name[40];
        name_of(core, world, 0, i, name);
        letter_to(letter, world, name);
        lmtp_forget();
        lmtp.plan[0] = (struct lmtp_plan){rows[i].at, rows[i].deed, NULL, 1};
        letter_send(core, letter);
        check_reply(&letter->to[0], 0, "250 2.1.5 saved");
        check_equal(lmtp.connections[0], 1);
        check_equal(where(letter, 0), 1);
        check_equal(bound_to(core, world, letter->names[0]), 1);
        free(letter);
    }
}

static void before_data(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.options.connect_ms_max = 200;
    world.body = before_data_body;
    relay_world_run(&world);
}

/* X07, X08: behind the message he may have it: never a second backend (R5), and he stays where he
 * is (B1). */
static void behind_data_body(struct core *core, struct relay_world *world)
{
    static const enum lmtp_deed deeds[] = {LMTP_CLOSES, LMTP_HANGS, LMTP_BABBLES};
    for (unsigned i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        struct letter *letter = letter_make();
        char name[40];
        lmtp_forget();
        name_of(core, world, 0, 2 * i, name);
        letter_to(letter, world, name);
        name_of(core, world, 0, 2 * i + 1, name);
        letter_to(letter, world, name);
        lmtp.plan[0] = (struct lmtp_plan){LMTP_END, deeds[i], letter->names[1], 1};
        letter_send(core, letter);
        if (deeds[i] == LMTP_BABBLES) /* then nothing that it said is believed */
            check_reply(&letter->to[0], -EAGAIN, "451 4.5.0 ");
        else
            check_reply(&letter->to[0], 0, "250 2.1.5 saved");
        check_reply(&letter->to[1], -EAGAIN, "451 4.");
        check_equal(lmtp.connections[0], 1);
        check_equal(lmtp.connections[1], 0);
        check_equal(where(letter, 1), 0);
        check_equal(bound_to(core, world, letter->names[1]), 0);
        /* The sender tries again, while that backend takes no connection: not elsewhere. */
        lmtp.plan[0] = (struct lmtp_plan){LMTP_CONNECT, LMTP_CLOSES, NULL, 9};
        letter_send(core, letter);
        check_reply(&letter->to[1], -EAGAIN, "451 4.4.1 ");
        check_equal(lmtp.connections[1], 0);
        lmtp.plan[0].times = 0;
        free(letter);
    }
}

static void behind_data(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.relay.deliver_ms_max = 1000;
    world.body = behind_data_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- answers */

static void answers_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    letter_to(letter, world, "known");
    letter_to(letter, world, "nobody");
    letter_to(letter, world, "other");
    lmtp.plan[0] = (struct lmtp_plan){LMTP_RCPT, LMTP_NO, "nobody", 1};
    letter_send(core, letter);
    check_reply(&letter->to[0], 0, "250 2.1.5 saved");
    check_reply(&letter->to[1], -EACCES, "550 5.1.1 nobody of that name");
    check_reply(&letter->to[2], 0, "250 2.1.5 saved");
    check_equal(lmtp.record_count, 2);
    check_equal(bound_to(core, world, "nobody@example.com"), LMTP_BACKENDS); /* guesses bind not */
    lmtp.plan[0] = (struct lmtp_plan){LMTP_END, LMTP_LATER, "known", 1};
    letter_send(core, letter);
    check_reply(&letter->to[0], -EAGAIN, "451 4.3.0 not now");
    check_reply(&letter->to[1], 0, "250 2.1.5 saved");
    lmtp.plan[0] = (struct lmtp_plan){LMTP_MAIL, LMTP_NO, NULL, 1};
    letter_send(core, letter);
    for (unsigned i = 0; i < 3; i++)
        check_reply(&letter->to[i], -EACCES, "550 5.1.1 nobody of that name");
    check_equal(relay_counter(core, COUNTER_RELAY_HANDED_ON), 4);
    check_equal(relay_counter(core, COUNTER_RELAY_REFUSED), 4);
    check_equal(relay_counter(core, COUNTER_RELAY_LATER), 1);
    free(letter);
}

static void answers(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.body = answers_body;
    relay_world_run(&world);
}

/* One that hangs keeps its own recipients only, and those no longer than the message's time. */
static void hang_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    char name[40];
    uint64_t before_ns = core_now_ns(core);
    for (unsigned i = 0; i < 3; i++) {
        name_of(core, world, i, 0, name);
        letter_to(letter, world, name);
    }
    lmtp.plan[1] = (struct lmtp_plan){LMTP_END, LMTP_HANGS, NULL, 1};
    letter_send(core, letter);
    uint64_t ms = (core_now_ns(core) - before_ns) / MS;
    check_reply(&letter->to[0], 0, "250 2.1.5 saved");
    check_reply(&letter->to[1], -EAGAIN, "451 4.");
    check_reply(&letter->to[2], 0, "250 2.1.5 saved");
    check(ms >= 400 && ms < (harness_is_simulated() ? 60000 : 5000));
    free(letter);
}

static void hangs(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 3);
    world.relay.deliver_ms_max = 400;
    world.body = hang_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- a sender who leaves */

static bool has_left;

static bool left(void *argument)
{
    (void)argument;
    return has_left;
}

static void gone_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    struct relay_sender sender = relay_sender_double();
    sender.gone = left;
    letter_to(letter, world, "frida");
    has_left = true;
    relay_deliver(core, &sender, &letter->message, letter->to, 1);
    check_reply(&letter->to[0], -EAGAIN, "451 4.");
    check_equal(lmtp.record_count, 0);
    check_equal(bound_to(core, world, letter->names[0]), LMTP_BACKENDS);
    has_left = false;
    relay_deliver(core, &sender, &letter->message, letter->to, 1);
    check_reply(&letter->to[0], 0, "250 2.1.5 saved");
    free(letter);
}

static void gone(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.body = gone_body;
    relay_world_run(&world);
}

/* ---------------------------------------------------------------- limits, and who is where */

struct sending {
    struct core *core;
    struct letter *letter;
    bool is_done;
};

static void sending_fiber(void *argument)
{
    struct sending *sending = argument;
    letter_send(sending->core, sending->letter);
    sending->is_done = true;
}

static void begin_send(struct core *core, struct letter *letter, struct sending *sending)
{
    *sending = (struct sending){core, letter, false};
    check_equal(fiber_start(core, sending_fiber, sending), 0);
}

static void end_send(struct core *core, const struct sending *sending)
{
    while (!sending->is_done)
        fiber_sleep(core, 8 * MS);
}

static void full_body(struct core *core, struct relay_world *world)
{
    struct sending sending;
    struct letter *one = letter_make(), *other = letter_make();
    letter_to(one, world, "gerd");
    letter_to(other, world, "hans");
    lmtp.think_ns = 300 * MS;
    begin_send(core, one, &sending);
    while (lmtp.asked[0] == 0)
        fiber_sleep(core, MS);
    letter_send(core, other); /* the one connection is in use */
    check_reply(&other->to[0], -EAGAIN, "451 4.4.5 ");
    end_send(core, &sending);
    check_reply(&one->to[0], 0, "250 2.1.5 saved");
    fiber_sleep(core, 20 * MS);
    letter_send(core, other);
    check_reply(&other->to[0], 0, "250 2.1.5 saved");
    free(one);
    free(other);
}

static void full(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 1);
    world.options.connections_max = 1;
    world.body = full_body;
    relay_world_run(&world);
}

/* One who is moved: waited for, beside the others, and handed on where he is then. */
static void moved_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    char name[40];
    name_of(core, world, 0, 0, name);
    letter_to(letter, world, name);
    name_of(core, world, 0, 1, name);
    letter_to(letter, world, name);
    struct backend_exception exception = {slice_cstr(letter->names[0]), SLICE("b1"), 300};
    check_equal(backend_exception_set(core, &exception), 0);
    letter_send(core, letter);
    check_reply(&letter->to[0], 0, "250 2.1.5 saved");
    check_reply(&letter->to[1], 0, "250 2.1.5 saved");
    check_equal(where(letter, 0), 1);
    check_equal(where(letter, 1), 0);
    /* Too long: he is told, and the other one has not waited for him. */
    lmtp_forget();
    exception.hold_ms = 50000;
    check_equal(backend_exception_set(core, &exception), 0);
    letter_send(core, letter);
    check_reply(&letter->to[0], -EAGAIN, "451 4.2.1 ");
    check_reply(&letter->to[1], 0, "250 2.1.5 saved");
    check_equal(lmtp.record_count, 1);
    /* Moved while his message is at the old one: it is his still, the next one goes on. */
    exception.hold_ms = 0;
    exception.backend = SLICE("b0");
    check_equal(backend_exception_set(core, &exception), 0);
    struct sending sending;
    lmtp_forget();
    lmtp.think_ns = 200 * MS;
    begin_send(core, letter, &sending);
    while (lmtp.asked[0] == 0)
        fiber_sleep(core, MS);
    exception.backend = SLICE("b1");
    check_equal(backend_exception_set(core, &exception), 0);
    end_send(core, &sending);
    check_reply(&letter->to[0], 0, "250 2.1.5 saved");
    check_equal(where(letter, 0), 0);
    lmtp_forget();
    letter_send(core, letter);
    check_equal(where(letter, 0), 1);
    exception.backend = SLICE("");
    check_equal(backend_exception_set(core, &exception), 0);
    free(letter);
}

static void moved(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.body = moved_body;
    relay_world_run(&world);
}

/* What the operator drains takes those who are there, and nobody else. */
static void drained_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    char name[40];
    name_of(core, world, 0, 0, name);
    letter_to(letter, world, name);
    letter_send(core, letter);
    check_equal(where(letter, 0), 0);
    name_of(core, world, 0, 1, name);
    check_equal(backend_will_set(core, SLICE("b0"), BACKEND_DRAIN), 0);
    letter_to(letter, world, name);
    lmtp_forget();
    letter_send(core, letter);
    check_equal(where(letter, 0), 0);
    check_equal(where(letter, 1), 1);
    check_equal(backend_will_set(core, SLICE("b0"), BACKEND_DOWN), 0);
    lmtp_forget();
    letter_send(core, letter);
    check_equal(where(letter, 0), 1);
    free(letter);
}

static void drained(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.body = drained_body;
    relay_world_run(&world);
}

/* What directories say: where, and by what name; with the sub-address of this message. */
static void named_body(struct core *core, struct relay_world *world)
{
    static const struct {
        const char *attributes, *address, *to;
    } rows[] = {
        {"backend=b2\nuser=0815\n", "ida@example.com", "0815@example.com"},
        {"backend=b2\nuser=0815\n", "Ida+news@example.com", "0815+news@example.com"},
        {"backend=b2\nuser=x@store.example\n", "ida-a@example.com", "x-a@store.example"},
        {"backend=b2\nuser=0815\n", "alias@example.com", "0815@example.com"},
        {"backend=b2\n", "ida+news@example.com", "ida+news@example.com"},
        {"backend=b2\nport=1\ntls=yes\n", "ida@example.com", "ida@example.com"}, /* a log-in's */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct letter *letter = letter_make();
        unsigned backend;
        lmtp_forget();
        struct relay_recipient *recipient = letter_to(letter, world, "ida");
        recipient->address = slice_cstr(rows[i].address);
        recipient->attributes = slice_cstr(rows[i].attributes);
        letter_send(core, letter);
        check_reply(recipient, 0, "250 2.1.5 saved");
        check_equal(lmtp_count(rows[i].to, letter->message.bytes, &backend), 1);
        check_equal(backend, 2);
        check(slice_equal(recipient->address, slice_cstr(rows[i].address)));
        recipient->attributes = SLICE("backend=b2\nuser=a> b\n");
        letter_send(core, letter);
        check_reply(recipient, -EAGAIN, "451 4.");
        check_equal(lmtp.record_count, 1);
        recipient->attributes = SLICE("backend=b9\n");
        letter_send(core, letter);
        check_reply(recipient, -EAGAIN, "451 4.");
        free(letter);
    }
    struct letter *letter = letter_make();
    struct relay_sender sender = relay_sender_double();
    letter_to(letter, world, "jo");
    sender.client.ttl = 1;
    relay_deliver(core, &sender, &letter->message, letter->to, 1);
    check_reply(&letter->to[0], -EAGAIN, "451 4.4.6 ");
    free(letter);
}

static void named(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 3);
    world.body = named_body;
    relay_world_run(&world);
}

/* Who is named twice has one copy, and each of his names the answer that it had; also when his user
 * is waited for, when his name is a directory's, and when he cannot have it. */
static void twice_body(struct core *core, struct relay_world *world)
{
    static const char *const addresses[] = {"kim@example.com", "kim+a@example.com",
                                            "Kim@Example.COM", "kim+A@example.com",
                                            "kim+a@example.com"};
    unsigned backend;
    struct letter *letter = letter_make();
    for (unsigned i = 0; i < 5; i++)
        letter_to(letter, world, "kim")->address = slice_cstr(addresses[i]);
    struct backend_exception exception = {SLICE("kim@example.com"), SLICE("b1"), 0};
    for (unsigned round = 0; round < 2; round++) {
        lmtp_forget();
        exception.hold_ms = round * 300;
        check_equal(backend_exception_set(core, &exception), 0);
        letter_send(core, letter);
        for (unsigned i = 0; i < 5; i++)
            check_reply(&letter->to[i], 0, "250 2.1.5 saved");
        check_equal(lmtp.record_count, 3); /* kim, kim+a, kim+A */
        check_equal(lmtp_count("kim+a@example.com", letter->message.bytes, &backend), 1);
        check_equal(backend, 1);
    }
    check_equal(relay_counter(core, COUNTER_RELAY_HANDED_ON), 10);
    lmtp_forget();
    lmtp.plan[1] = (struct lmtp_plan){LMTP_END, LMTP_LATER, "kim+a", 1};
    letter_send(core, letter);
    for (unsigned i = 0; i < 5; i++)
        check_reply(&letter->to[i], i == 1 || i == 4 ? -EAGAIN : 0, i == 1 || i == 4 ? "451" : "2");
    check_equal(lmtp.record_count, 2);
    exception.backend = SLICE("");
    check_equal(backend_exception_set(core, &exception), 0);
    for (unsigned i = 0; i < 5; i++) {
        letter->to[i].attributes = SLICE("user=0815\n");
        letter->to[i].address = i % 2 ? SLICE("alias@example.com") : SLICE("kim@example.com");
    }
    lmtp_forget();
    letter_send(core, letter);
    check_equal(lmtp_count("0815@example.com", letter->message.bytes, &backend), 1);
    check_equal(lmtp.record_count, 1);
    free(letter);
}

static void twice(void **state)
{
    (void)state;
    struct relay_world world;
    relay_world_make(&world, 2);
    world.body = twice_body;
    relay_world_run(&world);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(groups),   cmocka_unit_test(crowd),       cmocka_unit_test(dead),
        cmocka_unit_test(all_dead), cmocka_unit_test(before_data), cmocka_unit_test(behind_data),
        cmocka_unit_test(answers),  cmocka_unit_test(hangs),       cmocka_unit_test(gone),
        cmocka_unit_test(full),     cmocka_unit_test(moved),       cmocka_unit_test(drained),
        cmocka_unit_test(named),    cmocka_unit_test(twice),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
