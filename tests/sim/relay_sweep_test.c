/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail handed on, and call-outs, while things fail: each single operation and each single
 * allocation in turn. A recipient has his message or is told "later"; nobody is called unknown;
 * nothing is left of it (relay_host.c looks); and the next one gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/relay_host.h"
#include "sim.h"

enum { USERS = 3 };
static const uint64_t MS = 1000000;

static const char *const names[USERS] = {"anna", "bert", "carla"};
static uint64_t failing_n;
static unsigned failing_kinds;
static bool has_failed, was_told;

static void fail_begin(void)
{
    sim_fail_nth(harness_sim(), failing_kinds, failing_n, 0, false);
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), failing_kinds, 0, 0, false);
}

static void look(const struct relay_recipient *recipient)
{
    check(recipient->result == 0 || recipient->result == -EAGAIN);
    check(recipient->reply[0] == (recipient->result == 0 ? '2' : '4'));
    was_told |= recipient->result != 0;
    if (recipient->result != 0 && !has_failed)
        print_message("  %s\n", recipient->reply);
    check(recipient->result == 0 || has_failed);
}

static void deliver_body(struct core *core, struct relay_world *world)
{
    struct letter *letter = letter_make();
    for (unsigned i = 0; i < USERS; i++)
        letter_to(letter, world, names[i]);
    fail_begin();
    letter_send(core, letter);
    fail_end();
    for (unsigned i = 0; i < USERS; i++) {
        unsigned backend, count = lmtp_count(letter->names[i], letter->message.bytes, &backend);
        look(&letter->to[i]);
        check(letter->to[i].result == 0 ? count == 1 : count <= 1);
    }
    fiber_sleep(core, 3000 * MS);
    lmtp_forget();
    letter_send(core, letter);
    for (unsigned i = 0; i < USERS; i++) {
        check_reply(&letter->to[i], 0, "250 2.1.5 saved");
        where(letter, i);
    }
    free(letter);
}

static void ask_body(struct core *core, struct relay_world *world)
{
    struct relay_sender sender = relay_sender_double();
    struct relay_recipient recipient = relay_recipient_double(world, "dora@example.com");
    fail_begin();
    relay_verify(core, &sender, &recipient);
    fail_end();
    look(&recipient);
    fiber_sleep(core, 3000 * MS);
    relay_verify(core, &sender, &recipient);
    check_reply(&recipient, 0, "250 2.1.5 ");
}

static unsigned sweep(unsigned kinds, void (*body)(struct core *core, struct relay_world *world))
{
    unsigned told = 0;
    failing_kinds = kinds;
    has_failed = true;
    for (failing_n = 0; has_failed || failing_n == 1; failing_n++) {
        struct relay_world world;
        relay_world_make(&world, 2);
        world.body = body;
        was_told = false;
        relay_world_run(&world);
        told += was_told;
        check(failing_n < 3000);
    }
    print_message("  %llu tried, %u told\n", (unsigned long long)failing_n, told);
    return told;
}

static void operations(void **state)
{
    (void)state;
    check(sweep(SIM_OPERATION_SOCKET, deliver_body) >= 2);
    sweep(SIM_OPERATION_SOCKET, ask_body); /* another backend is asked */
}

static void allocations(void **state)
{
    (void)state;
    check(sweep(SIM_OPERATION_MEMORY, deliver_body) >= 3);
    check(sweep(SIM_OPERATION_MEMORY, ask_body) >= 3);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(operations), cmocka_unit_test(allocations)};
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
