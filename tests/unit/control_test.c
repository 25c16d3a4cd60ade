/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control protocol over a Unix socket, with doubles of backends and sessions
 * (control_double.h). Runs on the real kernel and on the simulator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_double.h"
#include "line_client.h"
#include "service_host.h"

enum { CORES = 3, ROW_BYTES = 3000 };

static char path[100];
static struct control_options options = {
    .domains = double_domains,
    .domain_count = 2,
    .default_domain = {"mail.test", 9},
    .spread_ms = 1000,
};

static struct service make_service(void)
{
    return (struct service){
        .protocol = &control_protocol,
        .options = &options,
        .host_name = SLICE("test"),
        .address = path,
        .mode = 0600,
        .connections_max = 200,
        .login_ms_max = 1, /* must not matter */
        .idle_ms_max = 60000,
        .command_ms_max = 5000,
        .errors_max = 10,
        .errors_free = 10,
        .junk_max = 1000,
    };
}

static struct host *begin(struct service *service)
{
    snprintf(path, sizeof path, "/tmp/control_test.%d", (int)getpid());
    *service = make_service();
    struct host_options host = {
        .services = {service}, .core_count = CORES, .fibers_max = 100, .drain_wait_ms = 100};
    return host_begin(&host);
}

/* A row or an answer, without its LF. */
static void row(int client, char text[ROW_BYTES])
{
    size_t size = 0;
    do {
        check(size < ROW_BYTES);
        client_get(client, text + size, 1);
    } while (text[size++] != '\n');
    text[size - 1] = '\0';
}

static void expect(int client, const char *pattern)
{
    char text[ROW_BYTES];
    row(client, text);
    if (!client_is_like(text, pattern)) {
        fprintf(stderr, "is:   %s\nwant: %s\n", text, pattern);
        harness_failed(__FILE__, __LINE__, "another answer");
    }
}

static void ask(int client, const char *line, const char *pattern)
{
    client_say(client, line);
    expect(client, pattern);
}

static int open_client(void)
{
    return client_open_at(path, 0);
}

static void end(struct host *host, int client)
{
    ask(client, "QUIT\n", "{\"ok\":true}");
    client_expect_end(client);
    host_end(host);
}

/* ---------------------------------------------------------------- lines */

/* N03 */
static void lines(void **state)
{
    (void)state;
    double_reset();
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    char text[ROW_BYTES];
    client_say(client, "help\r\n");
    for (int i = 0; i < 12; i++) {
        row(client, text);
        check(client_is_like(text, "{\"command\":\"*\",\"usage\":\"*\"}"));
    }
    expect(client, "{\"ok\":true,\"rows\":12}");
    ask(client, "  HELP me\n",
        "{\"error\":\"no arguments here; usage: HELP\",\"code\":\"syntax\"}");
    ask(client, "NONSENSE\n", "{\"error\":\"there is no such command; HELP lists them\",*}");
    ask(client, "\n", "{\"error\":*}");
    ask(client, "DRAIN\n", "{\"error\":\"name one backend; usage: DRAIN backend\",*}");
    ask(client, "DRAIN a b\n", "{\"error\":*}");
    ask(client, "MOVE u b2 51\n", "{\"error\":\"the delay is seconds*}");
    ask(client, "DELAY u@mail.test -1\n", "{\"error\":\"the delay is seconds*}");
    ask(client, "SESSIONS 0\n", "{\"error\":\"the limit is 1*}");
    client_close(client);
    client = open_client(); /* whose errors are counted anew */
    client_say(client, "USER \xff\xfe\n");
    expect(client, "{\"error\":\"the line holds bytes that are no text\",*}");
    client_put(client, "USER a\0b\n", 9);
    expect(client, "{\"error\":\"the line holds bytes that are no text\",*}");
    memset(text, 'x', 2000);
    client_put(client, text, 2000);
    client_say(client, "\nUSER u@mail.test\n");
    expect(client, "{\"error\":\"the line is too long\",*}");
    expect(client, "{\"user\":\"u@mail.test\",*}");
    expect(client, "{\"ok\":true,\"rows\":1}");
    end(host, client);
    host = begin(&service);
    client = open_client();
    for (int i = 0; i < 10; i++) /* junk without end ends */
        ask(client, "?\n", "{\"error\":*}");
    ask(client, "?\n", "{\"error\":\"there is no such command*}");
    expect(client, "{\"error\":\"too many errors\",\"code\":\"closing\"}");
    client_expect_end(client);
    client = open_client();
    client_say(client, "GET / HTTP/1.1\r\n");
    expect(client, "{\"error\":\"not this protocol\",*}");
    client_expect_end(client);
    host_end(host);
}

/* A command in pieces, several in one, half a command and the end. */
static void pieces(void **state)
{
    (void)state;
    double_reset();
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    static const char all[] = "USER u@mail.test\nUSER v@old.test\r\nDRAIN b1\n";
    for (size_t piece = 1; piece < 8; piece += 3) {
        client_say_in_pieces(client, all, sizeof all - 1, piece);
        expect(client, "{\"user\":\"u@mail.test\",\"pool\":\"mail\",\"current\":\"\",\"hashed\":"
                       "\"mail/b3\",\"exception\":\"\",\"sessions\":0,\"hold_ms\":0}");
        expect(client, "{\"ok\":true,\"rows\":1}");
        expect(client, "{\"user\":\"v@old.test\",\"pool\":\"old\",*}");
        expect(client, "{\"ok\":true,\"rows\":1}");
        expect(client, "{\"ok\":true,\"sessions\":0}");
    }
    int half = open_client();
    client_say(half, "MOVE u@mail.te");
    client_close(half);
    ask(client, "USER u@mail.test\n", "{\"user\":\"u@mail.test\",*\"exception\":\"\",*}");
    expect(client, "{\"ok\":true,\"rows\":1}");
    end(host, client);
}

/* ---------------------------------------------------------------- backends */

static void backends(void **state)
{
    (void)state;
    double_reset();
    double_session(0, "a@mail.test", 0, 3);
    double_session(2, "b@mail.test", 0, 20);
    double_session(1, "c@mail.test", 1, 0);
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    ask(client, "BACKENDS\n",
        "{\"pool\":\"mail\",\"name\":\"b1\",\"address\":\"192.0.2.0\",\"weight\":1,\"state\":"
        "\"up\","
        "\"alive\":true,\"state_ms\":0,\"sessions\":2,\"users\":0,\"logins\":0,\"failures\":0,"
        "\"refused\":0,\"problem\":\"said \\\"no\\\"\\u000a\"}");
    for (int i = 0; i < 4; i++)
        expect(client, "{\"pool\":*}");
    expect(client, "{\"ok\":true,\"rows\":5}");
    ask(client, "DRAIN b1\n", "{\"ok\":true,\"sessions\":2}");
    ask(client, "BACKENDS\n", "{\"pool\":\"mail\",\"name\":\"b1\",*\"state\":\"drain\",*}");
    for (int i = 0; i < 4; i++)
        expect(client, "{*\"state\":\"up\",*}");
    expect(client, "{\"ok\":true,\"rows\":5}");
    ask(client, "DRAIN b9\n",
        "{\"error\":\"there is no backend b9; did you mean b1?\",\"code\":\"not_found\"}");
    ask(client, "DRAIN mail/x1\n",
        "{\"error\":\"there is no backend mail/x1; did you mean mail/b1?\",*}");
    ask(client, "DRAIN something\n",
        "{\"error\":\"there is no backend something; BACKENDS lists them\",*}");
    ask(client, "UP b3\n",
        "{\"error\":\"several pools have a backend b3; write POOL/b3\",\"code\":"
        "\"ambiguous\"}");
    ask(client, "UP old/b3\n", "{\"ok\":true,\"sessions\":0}");
    check_equal(double_alive(), 3);
    client_say(client, "DOWN b1 7\n");
    char text[ROW_BYTES];
    bool was_told = false;
    for (row(client, text); text[2] == 'p'; row(client, text))
        was_told = true;
    check(was_told && client_is_like(text, "{\"ok\":true,\"sessions\":0}"));
    check_equal(double_cut_ms(), 7000);
    check_equal(double_alive(), 1);
    ask(client, "DOWN b2\n", "{\"ok\":true,\"sessions\":0}");
    check_equal(double_cut_ms(), 1000);
    ask(client, "UP b1\n", "{\"ok\":true,\"sessions\":0}");
    end(host, client);
}

/* ---------------------------------------------------------------- sessions */

static unsigned count_rows(int client, const char *pattern)
{
    char text[ROW_BYTES];
    unsigned count = 0;
    for (row(client, text); text[2] == 'i'; row(client, text)) {
        check(client_is_like(text, pattern));
        count++;
    }
    unsigned said = 0;
    for (const char *at = strrchr(text, ':') + 1; *at != '}'; at++)
        said = said * 10 + (unsigned)(*at - '0');
    check(client_is_like(text, "{\"ok\":true,\"rows\":*}"));
    check_equal(said, count);
    return count;
}

static void sessions(void **state)
{
    (void)state;
    double_reset();
    for (unsigned i = 0; i < 2100; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u@mail.test", i % 1000);
        double_session(i % CORES, user, 1, 0);
    }
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    client_say(client, "SESSIONS\n");
    unsigned seen = count_rows(client, "{\"id\":\"*\",\"protocol\":\"imap\",\"user\":\"user*\",*}");
    check_equal(seen, 2100);
    client_say(client, "SESSIONS USER7@Mail.Test\n");
    check_equal(count_rows(client, "*\"user\":\"user7@mail.test\",*"), 3);
    client_say(client, "SESSIONS user7\n"); /* of the default domain */
    check_equal(count_rows(client, "*\"user\":\"user7@mail.test\",*"), 3);
    client_say(client, "SESSIONS user7@mail.test 2\n");
    check_equal(count_rows(client, "*"), 2);
    client_say(client, "SESSIONS 1501\n");
    check_equal(count_rows(client, "*"), 1501);
    client_say(client, "SESSIONS nobody@mail.test\n");
    check_equal(count_rows(client, "*"), 0);
    ask(client, "KICK user7@mail.test\n", "{\"ok\":true,\"sessions\":3}");
    ask(client, "KICK E00\n", "{\"ok\":true,\"sessions\":1}"); /* user0's first */
    ask(client, "KICK ffffffffffffffff\n", "{\"ok\":true,\"sessions\":0}");
    check_equal(double_alive(), 2096);
    client_say(client, "SESSIONS user0@mail.test\n");
    check_equal(count_rows(client, "*"), 2);
    end(host, client);
}

/* Who does not read is not sent more than the socket takes, and ends by the deadline. */
static void slow_reader(void **state)
{
    (void)state;
    double_reset();
    for (unsigned i = 0; i < DOUBLE_SESSIONS_MAX; i++)
        double_session(i % CORES, "a-user-with-a-long-name@mail.test", 1, 0);
    struct service service;
    struct host *host = begin(&service);
    service.command_ms_max = 500;
    int client = open_client(), other = open_client();
    for (int i = 0; i < 8; i++)
        client_say(client, "SESSIONS\nSESSIONS\n");
    for (int i = 0; i < 300 && host_ends(host, PROTOCOL_CONTROL, SESSION_END_READER_SLOW) == 0;
         i++) {
        ask(other, "DRAIN b1\n", "{\"ok\":true,\"sessions\":0}");
        harness_nap(20000);
    }
    check_equal(host_ends(host, PROTOCOL_CONTROL, SESSION_END_READER_SLOW), 1);
    client_close(client);
    end(host, other);
}

/* ---------------------------------------------------------------- users */

static void expect_record(const char *pattern)
{
    char text[4000];
    double_record(text, sizeof text);
    if (!client_is_like(text, pattern)) {
        fprintf(stderr, "is:   %s\nwant: %s\n", text, pattern);
        harness_failed(__FILE__, __LINE__, "another order");
    }
}

/* Held first, then ended, then let in: O4. */
static void move(void **state)
{
    (void)state;
    double_reset();
    double_session(0, "u@mail.test", 0, 3);
    double_session(2, "u@mail.test", 0, 5);
    double_session(1, "v@mail.test", 0, 0);
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    char text[ROW_BYTES];
    client_say(client, "MOVE U@mail.test b2 4\n");
    expect(client, "{\"progress\":\"ending sessions\",\"sessions\":2}");
    for (row(client, text); text[2] == 'p'; row(client, text))
        ;
    check(client_is_like(text, "{\"ok\":true,\"sessions\":0}"));
    expect_record("set u@mail.test mail/b2 14000; kick u@mail.test  0; kick u@mail.test  1; "
                  "kick u@mail.test  2; *nobody u@mail.test  0; set u@mail.test mail/b2 4000; ");
    check_equal(double_alive(), 1);
    ask(client, "USER u\n", "{\"user\":\"u@mail.test\",*\"exception\":\"mail/b2\",*}");
    expect(client, "{\"ok\":true,\"rows\":1}");
    expect_record("nobody*");
    ask(client, "MOVE u@mail.test mail/b1\n", "{\"ok\":true,\"sessions\":0}"); /* nobody to end */
    expect_record(
        "nobody u@mail.test  0; set u@mail.test mail/b1 12000; nobody u@mail.test  0; set "
        "u@mail.test mail/b1 2000; ");
    ask(client, "MOVE v@mail.test b1\n", "{\"ok\":true,\"sessions\":0}"); /* is there already */
    expect_record("set v@mail.test mail/b1 0; ");
    check_equal(double_alive(), 1);
    ask(client, "DELAY u@mail.test 30\n", "{\"ok\":true,\"hold_ms\":30000}");
    expect_record("nobody*set u@mail.test mail/b1 30000; ");
    ask(client, "FORGET u@mail.test\n", "{\"ok\":true,\"sessions\":0}");
    expect_record("nobody*set u@mail.test  0; ");
    end(host, client);
}

static void move_refused(void **state)
{
    (void)state;
    double_reset();
    double_session(0, "u@mail.test", 0, 0);
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    ask(client, "MOVE u@mail.test b9\n",
        "{\"error\":\"there is no backend mail/b9; did you mean mail/b1?\",*}");
    ask(client, "MOVE u@mail.test x1\n",
        "{\"error\":\"x1 is not in the user's pool, which is mail\",*}");
    ask(client, "MOVE u@mail.test old/x1\n",
        "{\"error\":\"old/x1 is not in the user's pool, which is mail\",*}");
    ask(client, "MOVE u@elsewhere.test b1\n",
        "{\"error\":\"no pool has the users of the domain of u@elsewhere.test\",\"code\":"
        "\"not_fronted\"}");
    ask(client, "USER u@mail.test.\n", "{\"error\":\"no pool *}");
    ask(client, "USER @\n", "{\"error\":\"no pool *}");
    expect_record("");
    check_equal(double_alive(), 1);
    end(host, client);
}

/* A session that does not end: the wait is bounded, and it is said. */
static void move_bounded(void **state)
{
    (void)state;
    double_reset();
    double_session(1, "u@mail.test", 0, 100000);
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    char text[ROW_BYTES];
    client_say(client, "MOVE u@mail.test b2 0\n");
    for (row(client, text); text[2] == 'p'; row(client, text))
        ;
    check(client_is_like(text, "{\"ok\":true,\"sessions\":1}"));
    expect_record("set u@mail.test mail/b2 10000; kick*");
    double_busy(3); /* a core that is busy for a moment is asked again */
    ask(client, "DELAY u@mail.test 1\n", "{\"ok\":true,\"hold_ms\":1000}");
    end(host, client);
}

/* Whoever asked is gone: what was begun is done all the same. */
static void move_unheard(void **state)
{
    (void)state;
    double_reset();
    double_session(0, "u@mail.test", 0, 5);
    struct service service;
    struct host *host = begin(&service);
    int client = open_client();
    client_say(client, "MOVE u@mail.test b2 1\n");
    expect(client, "{\"progress\":*}");
    client_close(client);
    for (int i = 0; i < 300 && double_alive() > 0; i++)
        harness_nap(20000);
    check_equal(double_alive(), 0);
    char text[100];
    double_exception("u@mail.test", text, sizeof text);
    check(strcmp(text, "mail/b2") == 0);
    host_end(host);
    expect_record("*set u@mail.test mail/b2 1000; ");
}

/* ---------------------------------------------------------------- many */

static void many(void **state)
{
    (void)state;
    enum { CLIENTS = 200 };
    double_reset();
    struct service service;
    struct host *host = begin(&service);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = open_client();
        client_say(clients[i], i % 2 ? "USER u@mail.test\n" : "USE");
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 2 == 0)
            client_say(clients[i], "R u@mail.test\n");
        expect(clients[i], "{\"user\":*}");
        expect(clients[i], "{\"ok\":true,\"rows\":1}");
    }
    int over = open_client();
    expect(over, "{\"error\":\"too many connections\",\"code\":\"busy\"}");
    client_expect_end(over);
    for (int i = 0; i < CLIENTS; i++)
        client_close(clients[i]);
    host_end(host);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(lines),        cmocka_unit_test(pieces),
        cmocka_unit_test(backends),     cmocka_unit_test(sessions),
        cmocka_unit_test(slow_reader),  cmocka_unit_test(move),
        cmocka_unit_test(move_refused), cmocka_unit_test(move_bounded),
        cmocka_unit_test(move_unheard), cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
