/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transaction with a backend while things fail: each single operation and each single allocation
 * of one in turn, then on lossy wires. A recipient is "done" only when the backend had the message
 * and said so, else "later", never "no"; nothing is left (transfer_peer.c looks); the next one gets
 * through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "../unit/transfer_peer.h"
#include "sim.h"

#define ENVELOPE "< MAIL *\n< RCPT *\n< RCPT *\n> 250 OK\n> 250 OK\n> 250 OK\n"
#define BDAT     ENVELOPE "bdat\n> 250 Saved\n> 250 Saved\n"
#define DATA     ENVELOPE "< DATA\n> 354 go\ndata\n> 250 Saved\n> 250 Saved\n"

static char large[100000];
static const struct peer_case transactions[] = {
    {"PIPELINING CHUNKING", BDAT, .count = 2},
    {"PIPELINING", DATA, .count = 2},
    {"PIPELINING CHUNKING", BDAT, .count = 2, .message = {.bytes = {large, sizeof large}}},
    {"PIPELINING", DATA, .count = 2, .message = {.bytes = {large, sizeof large}}},
    /* it answers early, so that another fiber hears it */
    {"PIPELINING CHUNKING", ENVELOPE "< BDAT *\n> 451 4.3.0 later\nstall\n", .count = 2,
     .message = {.bytes = {large, sizeof large}}},
};
enum { TRANSACTIONS = sizeof transactions / sizeof *transactions, EARLY = TRANSACTIONS - 1 };

static const struct peer_case *current;
static uint64_t failing_n;
static unsigned failing_kinds;
static int failing_error; /* 0: what is usual */
static bool has_failed, was_told;

static void fail_begin(void)
{
    sim_fail_nth(harness_sim(), failing_kinds, failing_n, failing_error, false);
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), failing_kinds, 0, 0, false);
}

/* How many are done. */
static unsigned count_done(const struct peer_result *result)
{
    unsigned done = 0;
    check(result->result == 0 || result->transfer.problem != NULL);
    for (unsigned i = 0; i < result->count; i++) {
        check(result->recipients[i].result == 0 || result->recipients[i].result == -EAGAIN);
        done += result->recipients[i].result == 0;
    }
    check(done == 0 || peer.has_message);
    check(done == result->count || result->result < 0);
    return done;
}

static void sweep_body(struct core *core)
{
    static struct peer_result result;
    struct peer_case one = *current;
    bool is_early = current == &transactions[EARLY];
    one.wait_ms = 2000;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = "..x\r\n"[i % 5];
    peer.begin = fail_begin;
    peer.end = fail_end;
    peer_transfer(core, &one, &result);
    peer.begin = peer.end = NULL;
    was_told = count_done(&result) < result.count;
    check(was_told ? has_failed || is_early : !is_early);
    one = transactions[0];
    peer_transfer(core, &one, &result);
    check_equal(result.result, 0);
    check(peer.has_message);
}

static unsigned sweep(unsigned kinds)
{
    unsigned failures = 0;
    failing_kinds = kinds;
    has_failed = true;
    for (failing_n = 0; has_failed || failing_n == 1; failing_n++) {
        peer_run(sweep_body);
        failures += was_told;
        check(failing_n < 3000);
    }
    print_message("  %llu tried, %u told\n", (unsigned long long)failing_n, failures);
    return failures;
}

static void operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSACTIONS; i++) {
        current = &transactions[i];
        check(sweep(SIM_OPERATION_SOCKET) >= 3);
    }
}

/* As the kernel says of a peer that has gone without a word: not to be taken for our deadline. */
static void lost(void **state)
{
    failing_error = -ETIMEDOUT;
    operations(state);
    failing_error = 0;
}

static void allocations(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRANSACTIONS; i++) {
        current = &transactions[i];
        check(sweep(SIM_OPERATION_MEMORY) >= 1);
    }
}

static void wires_set(uint32_t rate)
{
    static const enum sim_fault faults[] = {SIM_FAULT_RESET, SIM_FAULT_SILENT, SIM_FAULT_SLOW_PEER};
    for (size_t n = 0; n < sizeof faults / sizeof *faults; n++)
        sim_fault_set(harness_sim(), faults[n], rate);
}

static void wires_begin(void)
{
    wires_set(20000);
}

static void wires_end(void)
{
    wires_set(0);
}

static void wires_body(struct core *core)
{
    static struct peer_result result;
    unsigned done = 0, later = 0;
    peer.begin = wires_begin;
    peer.end = wires_end;
    for (unsigned i = 0; i < 120; i++) {
        peer_transfer(core, &transactions[i % EARLY], &result);
        unsigned count = count_done(&result);
        done += count;
        later += result.count - count;
    }
    print_message("  %u done, %u later\n", done, later);
    check(done > 20 && later > 10);
}

static void wires(void **state)
{
    (void)state;
    peer_run(wires_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(operations),
        cmocka_unit_test(lost),
        cmocka_unit_test(allocations),
        cmocka_unit_test(wires),
    };
    return cmocka_run_group_tests_name("transfer_sweep", list, NULL, NULL);
}

int main(void)
{
    setenv("WORLDS", "3", 0);
    return harness_main(tests);
}
