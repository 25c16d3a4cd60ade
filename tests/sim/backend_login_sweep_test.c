/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins at a backend while things fail: each single operation and each single allocation of one
 * in turn, in clear and behind TLS; then on lossy wires. A log-in is done or is "try later", never
 * a wrong password; nothing of it is left, neither a stream nor a count (backend_peer.c looks); and
 * the next one gets through. And the same seed gives the same run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "../unit/backend_peer.h"
#include "sim.h"

#define DOVECOT "> * OK [CAPABILITY IMAP4rev1 SASL-IR ID STARTTLS AUTH=PLAIN] ready\n"
#define LOGIN   "< I ID *\n< L LOGIN *\n> I OK x\n> L OK [CAPABILITY IMAP4rev1] in\n"

static const struct peer_login logins[] = {
    {BACKEND_IMAP, DOVECOT LOGIN, .is_native = true},
    {BACKEND_IMAP, "proxy\ntls\n" DOVECOT "< L LOGIN *\n> L OK in\n", .is_proxy = true,
     .is_tls = true},
    {BACKEND_IMAP, DOVECOT "< S STARTTLS\n> S OK\ntls\n" LOGIN, .is_native = true,
     .is_start_tls = true},
    {BACKEND_SUBMISSION,
     "> 220 b\n< EHLO *\n> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN *\n> 235 in\n"},
};

static const struct peer_login *current;
static uint64_t failing_n;
static unsigned failing_kinds;
static int failing_error; /* 0: what is usual */
static bool has_failed, was_told;
static uint64_t trace;

static void fail_begin(void)
{
    sim_fail_nth(harness_sim(), failing_kinds, failing_n, failing_error, false);
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), failing_kinds, 0, 0, false);
}

static void sweep_body(struct core *core)
{
    struct peer_result result;
    struct peer_login login = *current;
    login.login_ms = 1000; /* one round: who failed is told */
    peer.begin = fail_begin;
    peer.end = fail_end;
    peer_log_in(core, &login, &result);
    peer.begin = peer.end = NULL;
    check(result.result == 0 || (result.result == -EAGAIN && result.answer.problem != NULL));
    if (result.result != 0 && !has_failed)
        print_message("  %s; %s\n", result.answer.problem, peer.problem);
    check(result.result == 0 || has_failed);
    was_told = result.result != 0;
    peer_log_in(core, current, &result);
    check_equal(result.result, 0);
    check(sim_kept_alive(harness_sim()) > 0);
    trace = sim_trace_hash(harness_sim());
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
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        current = &logins[i];
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
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        current = &logins[i];
        check(sweep(SIM_OPERATION_MEMORY) >= 5);
    }
}

static void wires_body(struct core *core)
{
    static const enum sim_fault faults[] = {SIM_FAULT_RESET, SIM_FAULT_SILENT, SIM_FAULT_SLOW_PEER,
                                            SIM_FAULT_CONNECT_LOST};
    struct sim *sim = harness_sim();
    unsigned in = 0, later = 0;
    for (unsigned i = 0; i < 120; i++) {
        struct peer_login login = logins[i % 4];
        struct peer_result result;
        login.login_ms = 800;
        for (size_t n = 0; n < sizeof faults / sizeof *faults; n++)
            sim_fault_set(sim, faults[n], 20000);
        peer_log_in(core, &login, &result);
        for (size_t n = 0; n < sizeof faults / sizeof *faults; n++)
            sim_fault_set(sim, faults[n], 0);
        check(result.result == 0 || result.result == -EAGAIN);
        in += result.result == 0;
        later += result.result != 0;
    }
    print_message("  %u in, %u later\n", in, later);
    check(in > 10 && later > 10);
}

static void wires(void **state)
{
    (void)state;
    peer_run(wires_body);
}

static void again(void **state)
{
    (void)state;
    uint64_t traces[2];
    current = &logins[2];
    failing_n = 7;
    failing_kinds = SIM_OPERATION_SOCKET;
    for (unsigned i = 0; i < 2; i++) {
        peer_run(sweep_body);
        traces[i] = trace;
    }
    check(traces[0] == traces[1] && traces[0] != 0);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(operations), cmocka_unit_test(lost),  cmocka_unit_test(allocations),
        cmocka_unit_test(wires),      cmocka_unit_test(again),
    };
    return cmocka_run_group_tests_name("backend_login_sweep", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "2", 0);
    return harness_main(tests);
}
