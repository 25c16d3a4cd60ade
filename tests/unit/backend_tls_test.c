/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS with backends, beyond what every log-in shows (backend_login_test.c): certificates that do
 * not fit, and handshakes that begin where an earlier one left off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "backend_peer.h"
#include "tls_pem.h"

#define DOVECOT                                                                                    \
    "> * OK [CAPABILITY IMAP4rev1 SASL-IR ID IDLE LITERAL+ STARTTLS AUTH=PLAIN] Dovecot ready.\n"
#define LOGIN      "< L LOGIN \"user@example.com\" \"secret\"\n"
#define DOVECOT_OK "> L OK [CAPABILITY IMAP4rev1 IDLE MOVE] Logged in\n"

/* A certificate that does not fit is no better a second later, but another backend may do. */
static void unfit_body(struct core *core)
{
    static const struct peer_login unfit[] = {
        {BACKEND_IMAP, DOVECOT, .is_tls = true, .host = "two.example.org",
         .problem = "the certificate is for another name"},
        {BACKEND_IMAP, DOVECOT, .is_tls = true, .host = "127.0.0.1",
         .problem = "the certificate is for another address"},
        {BACKEND_IMAP, DOVECOT, .is_tls = true, .ca = pem_ca_certificate,
         .problem = "the certificate is of an unknown authority"},
        {BACKEND_IMAP, DOVECOT, .is_tls = true, .is_pinned = true,
         .problem = "the certificate is not one of those pinned"},
        {BACKEND_IMAP, DOVECOT "< S STARTTLS\n> S OK go\ntls\n", .is_start_tls = true,
         .host = "two.example.org", .problem = "the certificate is for another name"},
        {BACKEND_IMAP, "proxy\n" DOVECOT, .is_tls = true, .is_proxy = true, .problem = "not TLS"},
    };
    struct peer_result result;
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        struct peer_login login = unfit[i];
        uint64_t begin_ns = core_now_ns(core);
        login.result = -EAGAIN;
        peer_check(core, &login);
        check_equal(peer.connections[0], 1);
        check(core_now_ns(core) - begin_ns < SECOND_NS);
    }
    static const char *const users[] = {"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"};
    unsigned failed_over = 0;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        struct peer_login login = {BACKEND_IMAP,     DOVECOT "< L LOGIN *\n" DOVECOT_OK,
                                   .user = users[i], .backends = 2,
                                   .is_tls = true,   .host = "two.example.org"};
        peer.script[1] = login.script;
        peer_log_in(core, &login, &result);
        check_equal(result.result, 0);
        check(peer.connections[0] <= 1 && peer.connections[1] == 1);
        failed_over += peer.connections[0];
    }
    check(failed_over > 0);
    /* the other is starting again: it is waited for, and only it is asked again */
    struct peer_login login = {BACKEND_IMAP, DOVECOT, .backends = 2, .is_tls = true,
                               .host = "two.example.org"};
    peer.script[1] = "> * BYE starting\nmore\n" DOVECOT LOGIN DOVECOT_OK;
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check(peer.connections[0] <= 1);
    check_equal(peer.connections[1], 2);
}

static void unfit_ones(void **state)
{
    (void)state;
    peer_run(unfit_body);
}

/* TLS begins from where the last log-in left it, and where that does not work, anew. */
static void resumes_body(struct core *core)
{
    static const char once[] = "proxy\ntls\n" DOVECOT LOGIN DOVECOT_OK "more\n";
    static char text[6 * sizeof once];
    struct peer_result result;
    struct peer_login login = {BACKEND_IMAP, DOVECOT LOGIN DOVECOT_OK, .is_tls = true, .times = 6};
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check_equal(peer.connections[0], 6);
    check(peer.resumed == 5 || (harness_clock_jumps() && peer.resumed <= 5));
    peer.adopts = true; /* another config may ask for more */
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check_equal(peer.resumed, 0);
    peer.adopts = false;
    login = (struct peer_login){BACKEND_IMAP, text, .is_tls = true, .is_proxy = true, .times = 2};
    snprintf(text, sizeof text, "%sproxy\n> what?\nmore\n%s", once, once);
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check_equal(peer.connections[0], 3);
    check_equal(peer.resumed, 0);
    check(strcmp(result.answer.path, "b0") == 0);
}

static void resumes(void **state)
{
    (void)state;
    peer_run(resumes_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(unfit_ones), cmocka_unit_test(resumes)};
    return cmocka_run_group_tests_name("backend_tls", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "5", 0);
    peer_ports_first = 29400;
    return harness_main(tests);
}
