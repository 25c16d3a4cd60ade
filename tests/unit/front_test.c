/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions that are passed through (src/proxy, src/session/join.c, front.c of imap and pop3), on
 * the real kernel and the simulator, with a backend and a log-in of the test's own
 * (front_double.h): what is said at the log-in, what passes, and every way it ends.
 *
 * Rows of the list of bad input: X08 X11 X12 X13 X14 X15.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/imap/imap_private.h"
#include "../../src/proxy/proxy_private.h"
#include "front_host.h"
#include "line_client.h"
#include "ringpost/imap.h"
#include "ringpost/pop3.h"

enum { PORT = 24520, IMAP = PORT, MIXED, POP3, TOY };
#define HUNG "* BYE [UNAVAILABLE] backend does not answer\r\n"
#define LOST "* BYE [UNAVAILABLE] connection to the backend was lost\r\n"

static struct host *host;
static struct proxy_options imap_front_options, mixed_front, pop3_front_options;
static const struct imap_options imap_options = {.append_bytes_max = 1000, .idle_ms_max = 1800000};

static struct service services[] = {
    {FRONT_HOST_SERVICE, .port = IMAP, .protocol = &imap_protocol, .options = &imap_options},
    {FRONT_HOST_SERVICE, .port = MIXED, .protocol = &imap_protocol, .options = &imap_options},
    {FRONT_HOST_SERVICE, .port = POP3, .protocol = &pop3_protocol},
    {FRONT_HOST_SERVICE, .port = TOY, .protocol = &toy_protocol},
};

static int begin(void **state)
{
    (void)state;
    imap_front_options = front_host_options(BACKEND_IMAP);
    imap_front_options.keep_alive_ms = 1000;
    mixed_front = pop3_front_options = imap_front_options;
    mixed_front.domain_count = 2;
    mixed_front.has_local_users = true;
    mixed_front.idle_ms_max = 500;
    pop3_front_options.protocol = BACKEND_POP3;
    services[0].front = &imap_front_options;
    services[1].front = &mixed_front;
    services[2].front = &pop3_front_options;
    services[2].command_ms_max = 1000;
    services[2].login_ms_max = 3000;
    toy_port = TOY;
    host = front_host_begin(services, 4, 0); /* the backend is told in the same turn */
    return 0;
}

static int end(void **state)
{
    (void)state;
    front_host_end(host);
    return 0;
}

static int greeted(unsigned port)
{
    int fd = client_open(port);
    client_expect_like(fd, "* OK *");
    return fd;
}

static int logged_in(unsigned port)
{
    int fd = greeted(port);
    client_ask(fd, "a LOGIN u1 pw\r\n", "a OK [CAPABILITY IMAP4rev1 XTOY] Logged in");
    return fd;
}

/* Within five seconds. */
static void expect_ends(enum protocol_id protocol, enum session_end end, uint64_t count)
{
    for (int i = 0; i < 500 && host_ends(host, protocol, end) < count; i++)
        harness_nap(10000);
    check_equal(host_ends(host, protocol, end), count);
}

/* ---------------------------------------------------------------- what passes */

static void passes(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    check_equal(double_client.ttl, BACKEND_TTL_FIRST);
    check_equal(double_client.family, 4);
    client_ask(fd, "b ECHO hello\r\n", "* hello");
    client_expect(fd, "b OK done\r\n");
    client_say_in_pieces(fd, "c ECHO by bytes\r\n", 17, 1);
    client_expect(fd, "* by bytes\r\nc OK done\r\n");
    client_say(fd, "d LOGOUT\r\n");
    client_expect(fd, "* BYE\r\nd OK bye\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_CLOSED, 1);
}

/* X13: what is sent ahead of the log-in's answer reaches the backend once, in order, and not at all
 * when nobody was let in. */
static void pipelined(void **state)
{
    (void)state;
    int fd = greeted(IMAP);
    client_say(fd, "a LOGIN u1 pw\r\nb ECHO 1\r\nc ECHO 2\r\nd LOGOUT\r\n");
    client_expect(fd, "a OK [CAPABILITY IMAP4rev1 XTOY] Logged in\r\n"
                      "* 1\r\nb OK done\r\n* 2\r\nc OK done\r\n* BYE\r\nd OK bye\r\n");
    client_expect_end(fd);
    fd = greeted(IMAP);
    client_say(fd, "a LOGIN u1 wrong\r\nb ECHO 1\r\nc LOGIN u1 pw\r\nd ECHO 2\r\n");
    client_expect(fd, "a NO [AUTHENTICATIONFAILED] Never heard of you\r\n"
                      "b BAD Unknown command\r\n"
                      "c OK [CAPABILITY IMAP4rev1 XTOY] Logged in\r\n* 2\r\nd OK done\r\n");
    client_close(fd);
}

static void much(void **state)
{
    (void)state;
    enum { SIZE = 3000000 };
    static char bytes[SIZE];
    int fd = logged_in(IMAP);
    client_say(fd, "b BULK 3000000\r\n");
    client_expect(fd, "* 1 FETCH (BODY[] {3000000}\r\n");
    client_get(fd, bytes, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        check(bytes[i] == (char)('a' + i % 8192 % 26));
    client_expect(fd, ")\r\nb OK done\r\n");
    client_close(fd);
    check(host_counter(host, COUNTER_PROXY_BYTES_DOWN) > SIZE);
}

static void pop3(void **state)
{
    (void)state;
    int fd = client_open(POP3);
    client_expect_like(fd, "+OK *");
    strcpy(double_capabilities, "UIDL TOP");
    client_say(fd, "CAPA\r\n");
    client_expect(fd, "+OK Capabilities follow\r\nUSER\r\nSASL PLAIN LOGIN\r\nTOP\r\nUIDL\r\n"
                      "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
                      "IMPLEMENTATION Ringpost\r\n.\r\n");
    client_ask(fd, "USER u1\r\n", "+OK");
    client_ask(fd, "PASS wrong\r\n", "-ERR [AUTH] Never heard of you");
    client_say(fd,
               "USER eagain\r\nPASS pw\r\nUSER eusers\r\nPASS pw\r\nUSER enokey\r\nPASS pw\r\n");
    client_expect_like(fd, "+OK");
    client_expect_like(fd, "-ERR [SYS/TEMP] *");
    client_expect_like(fd, "+OK");
    client_expect_like(fd, "-ERR [IN-USE] *");
    client_expect_like(fd, "+OK");
    client_expect_like(fd, "-ERR [SYS/PERM] *");
    client_ask(fd, "USER inuse\r\n", "+OK");
    client_ask(fd, "PASS pw\r\n", "-ERR [IN-USE] Your other program has it");
    client_say(fd, "USER u1\r\nPASS pw\r\nb ECHO hello\r\nQUIT\r\n");
    client_expect(fd, "+OK\r\n+OK Logged in\r\n* hello\r\nb OK done\r\n* BAD\r\n");
    harness_nap(1500000); /* the time for a command is over, and no more of our business */
    client_ask(fd, "c ECHO hello\r\n", "* hello");
    client_expect(fd, "c OK done\r\n");
    client_close(fd);
    expect_ends(PROTOCOL_POP3, SESSION_END_CLOSED, 1);
}

/* ---------------------------------------------------------------- what is said at the log-in */

static void refusals(void **state)
{
    (void)state;
    int fd = greeted(IMAP);
    client_ask(fd, "a LOGIN eagain pw\r\n", "a NO [UNAVAILABLE] *");
    client_ask(fd, "a LOGIN eusers pw\r\n", "a NO [LIMIT] *");
    client_ask(fd, "a LOGIN enokey pw\r\n", "a NO [CANNOT] *");
    client_ask(fd, "a LOGIN eperm pw\r\n", "a NO [UNAVAILABLE] *");
    client_ask(fd, "a LOGIN enomem pw\r\n", "a NO [UNAVAILABLE] *");
    client_ask(fd, "a LOGIN inuse pw\r\n", "a NO [INUSE] Your other program has it");
    client_ask(fd, "a LOGIN eloop pw\r\n", "a NO [CONTACTADMIN] *");
    client_ask(fd, "a AUTHENTICATE PLAIN AHUxAHdyb25n\r\n", "a NO [AUTHENTICATIONFAILED] *");
    client_ask(fd, "a SELECT INBOX\r\n", "a BAD Log in first");
    check_equal(host_counter(host, COUNTER_AUTH_FAILED), 1); /* only what a backend called wrong */
    client_ask(fd, "a AUTHENTICATE PLAIN AHUxAHB3\r\n", "a OK *");
    client_ask(fd, "b ECHO x\r\n", "* x");
    client_close(fd);
}

/* X11 */
static void loops(void **state)
{
    (void)state;
    int fd = greeted(IMAP);
    client_ask(fd, "a ID (\"x-proxy-ttl\" \"3\")\r\n", "* ID *");
    client_expect_like(fd, "a OK *");
    client_ask(fd, "a ID (\"x-proxy-ttl\" \"6\")\r\n", "* ID *"); /* not more */
    client_expect_like(fd, "a OK *");
    client_ask(fd, "a LOGIN u1 pw\r\n", "a OK *");
    check_equal(double_client.ttl, 3);
    client_close(fd);
    fd = greeted(IMAP);
    client_ask(fd, "a ID (\"x-proxy-ttl\" \"0\")\r\n", "* ID *");
    client_expect_like(fd, "a OK *");
    client_ask(fd, "a LOGIN u1 pw\r\n", "a NO [CONTACTADMIN] *");
    client_close(fd);
}

static void capabilities(void **state)
{
    (void)state;
    int fd = greeted(IMAP);
    client_ask(fd, "a CAPABILITY\r\n",
               "* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN AUTH=LOGIN ID");
    client_expect(fd, "a OK Done\r\n");
    strcpy(double_capabilities, "IMAP4rev1 IDLE XFAR UNAUTHENTICATE AUTH=CRAM-MD5 STARTTLS ENABLE");
    client_ask(fd, "a CAPABILITY\r\n", "* CAPABILITY *AUTH=LOGIN ID ENABLE IDLE XFAR");
    client_expect(fd, "a OK Done\r\n");
    client_ask(fd, "b LOGIN u1 pw\r\n", "* CAPABILITY IMAP4rev1 XTOY"); /* it has asked */
    client_expect_like(fd, "b OK [CAPABILITY IMAP4rev1 XTOY] *");
    client_close(fd);
    strcpy(double_capabilities, "IDLE XFAR XNEAR");
    fd = greeted(MIXED);
    client_ask(fd, "a CAPABILITY\r\n", "* CAPABILITY *AUTH=LOGIN ID IDLE");
    client_close(fd);
}

/* Verified here, by a password of ours; the backend is shown it as well. */
static void verified_here(void **state)
{
    (void)state;
    int fd = greeted(MIXED);
    client_ask(fd, "a LOGIN anna@near.test no\r\n", "a NO [AUTHENTICATIONFAILED] *");
    check_equal(double_links(), 0);
    client_ask(fd, "a LOGIN anna@near.test pw\r\n", "a OK *");
    client_close(fd);
}

/* ---------------------------------------------------------------- silence */

static void keep_alives(void **state)
{
    (void)state;
    int fd = logged_in(IMAP), busy = logged_in(IMAP);
    client_ask(fd, "b IDLE\r\n", "+ idling");
    client_expect(fd, "* OK Still here\r\n* OK Still here\r\n");
    client_ask(fd, "DONE\r\n", "b OK done");
    client_ask(busy, "c ECHO x\r\n", "* x"); /* was told nothing */
    client_expect(busy, "c OK done\r\n");
    client_close(busy);
    client_close(fd);
}

/* Not offered, and the end where it is said all the same. */
static void unauthenticates(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_say(fd, "b UNAUTHENTICATE\r\n");
    client_expect_like(fd, "* BYE *");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_LOGGED_OUT, 1);
    for (int i = 0; i < 500 && double_links() > 0; i++)
        harness_nap(10000);
    check_equal(double_links(), 0);
}

static void idle_too_long(void **state)
{
    (void)state;
    int fd = logged_in(MIXED);
    client_expect(fd, "* BYE idle too long\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_IDLE, 1);
}

static void stalled(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_say(fd, "b BULK 50000000\r\n");
    expect_ends(PROTOCOL_IMAP, SESSION_END_READER_SLOW, 1);
    client_close(fd);
}

/* ---------------------------------------------------------------- ends */

/* X14: the client closes its side; the backend's answers still come. */
static void half_close(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_say(fd, "b SLOW\r\n");
    client_half_close(fd);
    client_expect(fd, "b OK slow\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_CLOSED, 1);
    fd = logged_in(IMAP);
    client_say(fd, "b SLOW\r\nc LOGOUT\r\n");
    client_half_close(fd);
    client_expect(fd, "b OK slow\r\n* BYE\r\nc OK bye\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_CLOSED, 2);
}

static void reset_by_client(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_reset(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_RESET, 1);
}

static void closed_by_backend(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_say(fd, "b ECHO last\r\nc BYE\r\n");
    client_expect(fd, "* last\r\nb OK done\r\n* BYE of the backend\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_CLOSED, 1);
    fd = logged_in(IMAP); /* as the kernel closes for a process that was killed */
    client_say(fd, "b ECHO last\r\nc CLOSE\r\n");
    client_expect(fd, "* last\r\nb OK done\r\n" LOST);
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_LOST, 1);
}

static void broken(void **state)
{
    (void)state;
    int fd = logged_in(IMAP);
    client_say(fd, "b BREAK\r\n");
    client_expect(fd, LOST);
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_LOST, 1);
}

/* A backend dies with more sessions than would be ended in steps within spread_ms: whenever one
 * looks, as many have heard of it as the time that is gone is a part of it. */
static void spread(void **state)
{
    (void)state;
    enum { MANY = LOSSES_FREE + 150, PARTS = 5, SPREAD_MS = 1000 };
    static int fd[MANY];
    imap_front_options.spread_ms = SPREAD_MS;
    for (int i = 0; i < MANY; i++)
        fd[i] = logged_in(IMAP);
    client_say(fd[0], "b BREAK\r\n");
    for (int part = 1, ended = 0, before = 0; part <= PARTS + 1; part++, before = ended) {
        harness_nap((SPREAD_MS - 50) * 1000 / PARTS);
        ended = (int)host_ends(host, PROTOCOL_IMAP, SESSION_END_BACKEND_LOST);
        int share = (MANY - LOSSES_FREE) / PARTS, free = part == 1 ? LOSSES_FREE : 0;
        if (part <= PARTS && harness_is_simulated()) /* where naps are exact */
            check(ended - before >= share / 2 && ended - before <= 2 * share + free);
    }
    for (int i = 0; i < MANY; i++) {
        client_expect(fd[i], LOST);
        client_expect_end(fd[i]);
    }
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_LOST, MANY);
    uint64_t late = host_counter(host, COUNTER_PROXY_SPREAD);
    check(late <= MANY - LOSSES_FREE && late >= MANY - LOSSES_FREE - 5);
}

/* Checks find the backend dead while its sessions are open: who hears nothing from it since is
 * ended, in IDLE too; who has come since, goes on. */
static void hung(void **state)
{
    (void)state;
    imap_front_options.keep_alive_ms = 0;
    int idle = logged_in(IMAP), waits = logged_in(IMAP);
    client_ask(idle, "b IDLE\r\n", "+ idling");
    client_say(waits, "b HANG\r\n");
    harness_nap(20000);
    int later = logged_in(IMAP);
    client_ask(later, "b IDLE\r\n", "+ idling");
    client_expect(waits, HUNG);
    client_expect_end(waits);
    client_expect(idle, HUNG);
    client_expect_end(idle);
    harness_nap(500000);
    client_ask(later, "DONE\r\n", "b OK done");
    client_close(later);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_DEAD, 2);
}

/* It hung for a moment: whose turn has not come by then, is not sent away. */
static void revived(void **state)
{
    (void)state;
    enum { MANY = 20 };
    int fd[MANY];
    unsigned ended = 0;
    char line[100];
    imap_front_options.spread_ms = 2000;
    for (int i = 0; i < MANY; i++)
        fd[i] = logged_in(IMAP);
    client_say(fd[0], "b HANG\r\n");
    harness_nap(1200000);
    int other = logged_in(IMAP);
    client_ask(other, "b LIVE\r\n", "b OK alive");
    uint64_t before = host_ends(host, PROTOCOL_IMAP, SESSION_END_BACKEND_DEAD);
    harness_nap(2500000);
    check_equal(host_ends(host, PROTOCOL_IMAP, SESSION_END_BACKEND_DEAD), before);
    for (int i = 0; i < MANY; i++) {
        (void)client_try_put(fd[i], "c ECHO x\r\n", 10);
        client_line(fd[i], line, sizeof line);
        ended += client_is_like(line, "* BYE *");
        check(client_is_like(line, "* BYE *") || client_is_like(line, "* x"));
        client_close(fd[i]);
    }
    check_equal(ended, before);
}

/* Many goodbyes in a short time are no dead backend: nobody waits for his end. */
static void goodbyes(void **state)
{
    (void)state;
    enum { MANY = LOSSES_FREE + 10 };
    for (int i = 0; i < MANY; i++) {
        int fd = logged_in(IMAP);
        client_say(fd, "b LOGOUT\r\n");
        client_expect(fd, "* BYE\r\nb OK bye\r\n");
        client_expect_end(fd);
    }
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_CLOSED, MANY);
    check_equal(host_counter(host, COUNTER_PROXY_SPREAD), 0);
}

/* Who was not let in is a stranger again: the time for the log-in goes on. */
static void late(void **state)
{
    (void)state;
    int fd = client_open(POP3);
    client_expect_like(fd, "+OK *");
    client_ask(fd, "USER u1\r\n", "+OK");
    client_ask(fd, "PASS wrong\r\n", "-ERR [AUTH] *");
    client_expect_end(fd);
    expect_ends(PROTOCOL_POP3, SESSION_END_LOGIN_LATE, 1);
}

static void operator(void **state)
{
    (void)state;
    int fd = logged_in(IMAP), other = greeted(IMAP);
    client_ask(other, "a LOGIN u2 pw\r\n", "a OK *");
    client_say(fd, "b KICK\r\n");
    client_expect(fd, "* BYE closed by the operator\r\n");
    client_expect_end(fd);
    expect_ends(PROTOCOL_IMAP, SESSION_END_KICKED, 1);
    client_ask(other, "b DOWN\r\n", "b OK down");
    client_expect(other, "* BYE [UNAVAILABLE] backend was taken down\r\n");
    client_expect_end(other);
    expect_ends(PROTOCOL_IMAP, SESSION_END_BACKEND_DOWN, 1);
}

/* In the middle of a literal, too. */
static void drained(void **state)
{
    (void)state;
    int fd = logged_in(IMAP), busy = logged_in(IMAP);
    char bytes[100];
    client_say(busy, "b BULK 9000000\r\n");
    client_expect(busy, "* 1 FETCH (BODY[] {9000000}\r\n");
    harness_nap(200000);
    host_stop(host);
    client_expect(fd, "* BYE [UNAVAILABLE] server is shutting down\r\n");
    client_expect_end(fd);
    size_t got = 0, size;
    while ((size = client_get_some(busy, bytes, sizeof bytes)) > 0) {
        for (size_t i = 0; i < size; i++, got++)
            check(bytes[i] == (char)('a' + got % 8192 % 26)); /* no word of ours in it */
    }
    check(got < 9000000);
    client_close(busy);
}

/* What an idle session holds, as malloc rounds it: 3 KiB with both streams. */
static void memory(void **state)
{
    (void)state;
    enum { CLAIM = 96, USER = 64, ROUNDED = 4 }; /* of backend and session; an eighth each */
    size_t size = sizeof(struct imap_session) + sizeof(struct proxied) +
                  sizeof(struct backend_link) + CLAIM + USER;
    printf("session %zu (stream %zu), proxied %zu, link %zu\n", sizeof(struct imap_session),
           sizeof(struct stream), sizeof(struct proxied), sizeof(struct backend_link));
    check(size + size / ROUNDED <= 3072);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(passes),
        TEST(pipelined),
        TEST(much),
        TEST(pop3),
        TEST(refusals),
        TEST(loops),
        TEST(capabilities),
        TEST(verified_here),
        TEST(keep_alives),
        TEST(unauthenticates),
        TEST(idle_too_long),
        TEST(stalled),
        TEST(half_close),
        TEST(reset_by_client),
        TEST(closed_by_backend),
        TEST(broken),
        TEST(spread),
        TEST(hung),
        TEST(revived),
        TEST(operator),
        TEST(goodbyes),
        TEST(late),
        TEST(drained),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
