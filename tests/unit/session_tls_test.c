/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IMAP and POP3 under TLS, by STARTTLS, STLS and from the first byte, on two cores with a real
 * store. Rows A01 I11 P06 S16 S17 S18 T01 T03 of the list of bad inputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <unistd.h>

#include "line_client.h"
#include "ringpost/imap.h"
#include "ringpost/pop3.h"
#include "ringpost/store.h"
#include "service_host.h"
#include "tls_line.h"

enum { PORT = 24100, USERS = 4, LATE_MS = 700 };
enum { IMAP, IMAPS, POP3, POP3S, SERVICES };

static char directory[40];
static struct auth_users *users;
static struct auth_options auth_options;
static struct service services[SERVICES];
static struct host *host;
static bool has_certificate = true;

static const struct imap_options imap_options = {.append_bytes_max = 1000000,
                                                 .idle_ms_max = 1800000};

/* ---------------------------------------------------------------- the server */

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static int open_all(struct core *core)
{
    struct store_options store = {.directory = directory,
                                  .shard_count = 2,
                                  .segment_bytes = 4 << 20,
                                  .cache_bytes = 4 << 20,
                                  .index_bytes_max = 16 << 20};
    if (has_certificate)
        check_equal(tls_line_open(core), 0);
    check_equal(store_open(core, &store), 0);
    return auth_open(core, &auth_options);
}

static void close_all(struct core *core)
{
    auth_close(core);
    store_close(core);
    if (has_certificate)
        tls_line_close(core);
}

static void make_services(void)
{
    static const enum service_tls tls[SERVICES] = {SERVICE_START_TLS, SERVICE_TLS,
                                                   SERVICE_START_TLS, SERVICE_TLS};
    for (unsigned i = 0; i < SERVICES; i++)
        services[i] = (struct service){
            .protocol = i < POP3 ? &imap_protocol : &pop3_protocol,
            .options = i < POP3 ? &imap_options : NULL,
            .host_name = SLICE("mail.example.test"),
            .address = "127.0.0.1",
            .port = PORT + i,
            .connections_max = 500,
            .tls = tls[i],
            .tls_service = {.alpn = i < POP3 ? "imap" : "pop3", .id = i + 1},
            .login_ms_max = 10000,
            .idle_ms_max = 10000,
            .command_ms_max = 10000,
            .errors_max = 50,
            .junk_max = 50,
        };
}

static void begin(void (*change)(void))
{
    char text[1000] = "";
    size_t size = 0;
    struct crypt_data data = {0};
    const char *hash = crypt_r("pw", "$5$rounds=1000$salt", &data);
    strcpy(directory, "/tmp/ringpost-tls-XXXXXX");
    check(hash != NULL && mkdtemp(directory) != NULL);
    for (unsigned i = 0; i < USERS; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "u%u@example.test:%s\n", i, hash);
    check_equal(auth_users_parse(slice_of(text, size), problem, NULL, &users), 0);
    auth_options = (struct auth_options){.users = users,
                                         .default_domain = SLICE("example.test"),
                                         .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
                                         .cache_entries_max = 100,
                                         .cache_ms_max = 60000,
                                         .waiting_max = 20,
                                         .failure_ms_first = 1,
                                         .failure_ms_max = 2};
    make_services();
    if (change != NULL)
        change();
    struct host_options options = {.core_count = 2,
                                   .fibers_max = 100,
                                   .drain_pace_ms = 10,
                                   .drain_wait_ms = 1000,
                                   .open = open_all,
                                   .close = close_all};
    for (unsigned i = 0; i < SERVICES; i++)
        options.services[i] = &services[i];
    host = host_begin(&options);
}

static void end(void)
{
    char command[100];
    host_end(host);
    auth_users_free(users);
    snprintf(command, sizeof command, "rm -r %s", directory);
    check_equal(system(command), 0);
}

static void wait_for_ends(enum protocol_id protocol, enum session_end why, uint64_t count)
{
    for (int i = 0; i < 3000 && host_ends(host, protocol, why) < count; i++)
        harness_nap(1000);
    check_equal(host_ends(host, protocol, why), count);
}

/* ---------------------------------------------------------------- clients */

/* Lines are passed over until one is like this. */
static void wants(struct tls_line *line, const char *pattern)
{
    char text[1000];
    for (int i = 0; i < 50; i++) {
        tls_line_read(line, text, sizeof text);
        if (client_is_like(text, pattern))
            return;
    }
    fprintf(stderr, "got: %s\nwant: %s\n", text, pattern);
    check(false);
}

/* The next line is like this. */
static void wants_now(struct tls_line *line, const char *pattern)
{
    char text[1000];
    tls_line_read(line, text, sizeof text);
    if (!client_is_like(text, pattern))
        fprintf(stderr, "got: %s\nwant: %s\n", text, pattern);
    check(client_is_like(text, pattern));
}

static void asks(struct tls_line *line, const char *text, const char *pattern)
{
    tls_line_say(line, text);
    wants(line, pattern);
}

static int imap_greeted(void)
{
    int fd = client_open(PORT + IMAP);
    client_expect_like(fd, "* OK [CAPABILITY *STARTTLS*LOGINDISABLED*] *");
    return fd;
}

static int pop3_greeted(void)
{
    int fd = client_open(PORT + POP3);
    client_expect_like(fd, "+OK *");
    return fd;
}

static struct tls_line *imap_start_tls(int fd)
{
    client_ask(fd, "s STARTTLS\r\n", "s OK *");
    return tls_line_begin(fd);
}

/* A whole session; the user's home is this core or the other. */
static void imap_mail(struct tls_line *line, unsigned user)
{
    char text[200];
    snprintf(text, sizeof text, "a LOGIN u%u pw\r\n", user);
    asks(line, text, "a OK [CAPABILITY *");
    asks(line, "b APPEND INBOX {14+}\r\nSubject: x\r\n\r\n\r\n", "b OK *");
    asks(line, "c SELECT INBOX\r\n", "c OK *");
    tls_line_say(line, "d FETCH 1 BODY.PEEK[]\r\n");
    wants(line, "* 1 FETCH (BODY[] {14}");
    wants(line, "Subject: x");
    wants(line, "d OK *");
    asks(line, "e STARTTLS\r\n", "e BAD *"); /* S17, I11: behind the log-in */
    asks(line, "f LOGOUT\r\n", "f OK *");
    tls_line_end(line);
}

/* ---------------------------------------------------------------- IMAP */

static void imap(void **state)
{
    (void)state;
    begin(NULL);
    for (unsigned user = 0; user < USERS; user++) {
        int fd = imap_greeted();
        struct tls_line *line = imap_start_tls(fd);
        char text[1000];
        tls_line_say(line, "a CAPABILITY\r\n"); /* nothing comes unasked before it */
        tls_line_read(line, text, sizeof text);
        check(client_is_like(text, "* CAPABILITY *AUTH=PLAIN AUTH=LOGIN*"));
        check(strstr(text, "STARTTLS") == NULL && strstr(text, "LOGINDISABLED") == NULL);
        wants_now(line, "a OK *");
        asks(line, "a STARTTLS\r\n", "a BAD TLS is active already"); /* S17: twice */
        imap_mail(line, user);
    }
    end();
}

/* A01: whatever carries a password is refused in clear, and not asked for. */
static void imap_clear(void **state)
{
    (void)state;
    begin(NULL);
    int fd = imap_greeted();
    client_ask(fd, "a LOGIN u0 pw\r\n", "a NO [PRIVACYREQUIRED] *");
    client_ask(fd, "a LOGIN u0 {2}\r\n", "a NO [PRIVACYREQUIRED] *");
    client_ask(fd, "a LOGIN {2+}\r\nu0 {2+}\r\npw\r\n", "a NO [PRIVACYREQUIRED] *");
    client_ask(fd, "a AUTHENTICATE PLAIN AHUwAHB3\r\n", "a NO [PRIVACYREQUIRED] *");
    client_ask(fd, "a AUTHENTICATE PLAIN\r\n", "a NO [PRIVACYREQUIRED] *");
    client_ask(fd, "a STARTTLS now\r\n", "a BAD *"); /* S17 */
    client_ask(fd, "a STARTTLS\n", "a BAD *");
    struct tls_line *line = imap_start_tls(fd);
    asks(line, "a AUTHENTICATE PLAIN AHUwAHB3\r\n", "a OK *");
    asks(line, "a LOGOUT\r\n", "a OK *");
    tls_line_end(line);
    check_equal(host_counter(host, COUNTER_AUTH_OK), 1);
    check_equal(host_counter(host, COUNTER_AUTH_FAILED), 0);
    end();
}

/* I11, S16: what stands behind STARTTLS is never run, in clear or under TLS. */
static void imap_injected(void **state)
{
    (void)state;
    begin(NULL);
    int fd = imap_greeted();
    client_say(fd, "a STARTTLS\r\nb NOOP\r\n");
    client_expect_like(fd, "a BAD *");
    client_expect_like(fd, "* BYE *");
    client_expect_end(fd);
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_TLS_INJECTED, 1);
    fd = imap_greeted(); /* later, when it is no command any more */
    client_ask(fd, "a STARTTLS\r\n", "a OK *");
    client_say(fd, "b NOOP\r\n");
    client_expect_end(fd);
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_TLS_FAILED, 1);
    check_equal(host_counter(host, COUNTER_AUTH_OK), 0);
    end();
}

/* ---------------------------------------------------------------- POP3 */

static void pop3_mail(struct tls_line *line)
{
    asks(line, "USER u1\r\n", "+OK");
    asks(line, "PASS pw\r\n", "+OK Logged in");
    asks(line, "STLS\r\n", "-ERR *"); /* P06: behind the log-in */
    asks(line, "STAT\r\n", "+OK *");
    asks(line, "QUIT\r\n", "+OK *");
    tls_line_end(line);
}

static void pop3(void **state)
{
    (void)state;
    begin(NULL);
    int fd = pop3_greeted();
    client_say(fd, "CAPA\r\n");
    client_expect(fd, "+OK Capabilities follow\r\nSTLS\r\nTOP\r\n");
    client_expect_like(fd, "UIDL");
    for (char text[100] = ""; strcmp(text, ".") != 0;)
        client_line(fd, text, sizeof text);
    client_ask(fd, "USER u1\r\n", "-ERR Log-in is allowed on encrypted connections only"); /* A01 */
    client_ask(fd, "AUTH PLAIN AHUwAHB3\r\n",
               "-ERR Log-in is allowed on encrypted connections only");
    client_ask(fd, "STLS now\r\n", "-ERR *");
    client_ask(fd, "STLS\r\n", "+OK *");
    struct tls_line *line = tls_line_begin(fd);
    tls_line_say(line, "CAPA\r\n");
    wants_now(line, "+OK *");
    wants_now(line, "USER");
    wants_now(line, "SASL PLAIN LOGIN");
    wants_now(line, "TOP");
    wants(line, ".");
    asks(line, "STLS\r\n", "-ERR TLS is active already");
    pop3_mail(line);
    fd = pop3_greeted();
    client_say(fd, "STLS\r\nUSER u1\r\nPASS pw\r\n"); /* P06 */
    client_expect_like(fd, "-ERR *");
    client_expect_end(fd);
    wait_for_ends(PROTOCOL_POP3, SESSION_END_TLS_INJECTED, 1);
    end();
}

static void allow_plain(void)
{
    services[POP3].plain_login_allowed = true;
    services[POP3].errors_max = 3;
}

/* S16: nothing of the session in clear is known afterwards, but the errors are. */
static void forgotten(void **state)
{
    (void)state;
    begin(allow_plain);
    int fd = pop3_greeted();
    client_ask(fd, "XYZZY\r\n", "-ERR *");
    client_ask(fd, "XYZZY\r\n", "-ERR *");
    client_ask(fd, "USER u1\r\n", "+OK");
    client_ask(fd, "STLS\r\n", "+OK *");
    struct tls_line *line = tls_line_begin(fd);
    asks(line, "PASS pw\r\n", "-ERR Give USER first"); /* the third */
    asks(line, "XYZZY\r\n", "-ERR *");
    wants_now(line, "-ERR [SYS/TEMP] Too many *");
    tls_line_end(line);
    wait_for_ends(PROTOCOL_POP3, SESSION_END_ERRORS, 1);
    end();
}

/* ---------------------------------------------------------------- from the first byte */

static void implicit(void **state)
{
    (void)state;
    begin(NULL);
    for (unsigned user = 0; user < USERS; user++) {
        struct tls_line *line = tls_line_begin(client_open(PORT + IMAPS));
        char text[1000];
        tls_line_read(line, text, sizeof text);
        check(client_is_like(text, "* OK [CAPABILITY *AUTH=PLAIN*"));
        check(strstr(text, "STARTTLS") == NULL && strstr(text, "LOGINDISABLED") == NULL);
        asks(line, "a STARTTLS\r\n", "a BAD *");
        imap_mail(line, user);
    }
    struct tls_line *line = tls_line_begin(client_open(PORT + POP3S));
    wants_now(line, "+OK *");
    pop3_mail(line);
    end();
}

/* What is no TLS gets no word in clear; another protocol under TLS is told so, once (T03). */
static void foreign(void **state)
{
    (void)state;
    begin(NULL);
    static const char *const clear[] = {"a LOGIN u0 pw\r\n", "GET / HTTP/1.0\r\n\r\n", "\r\n"};
    for (unsigned i = 0; i < 3; i++) {
        int fd = client_open(PORT + IMAPS);
        client_say(fd, clear[i]);
        client_half_close(fd);
        client_expect_end(fd);
    }
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_TLS_FAILED, 3);
    static const char *const inside[] = {"GET / HTTP/1.0\r\n", "\x16\x03\x01\r\n"};
    for (unsigned i = 0; i < 2; i++) {
        struct tls_line *line = tls_line_begin(client_open(PORT + IMAPS));
        wants_now(line, "* OK *");
        tls_line_say(line, inside[i]);
        wants_now(line, "* BYE *");
        tls_line_end(line);
    }
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_FORBIDDEN, 2);
    int fd = client_open(PORT + IMAP); /* and TLS where clear text is spoken */
    client_expect_like(fd, "* OK *");
    client_put(fd, "\x16\x03\x01\x02", 4);
    client_expect_like(fd, "* BYE *");
    client_expect_end(fd);
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_FORBIDDEN, 3);
    end();
}

/* ---------------------------------------------------------------- the handshake's time */

static void make_late(void)
{
    services[IMAP].login_ms_max = services[IMAPS].login_ms_max = LATE_MS;
}

/* T01, S18: no fiber waits for a client that says nothing, or little, and its time ends. */
static void late(void **state)
{
    (void)state;
    enum { CLIENTS = 120 }; /* more than there are stacks */
    int silent[CLIENTS];
    begin(make_late);
    harness_nap(100000);
    uint64_t before = host_counter(host, COUNTER_FIBERS_ACTIVE); /* the host's and the store's */
    for (unsigned i = 0; i < CLIENTS; i++) {
        silent[i] = client_open(PORT + (i % 2 ? IMAP : IMAPS));
        if (i % 2) {
            client_expect_like(silent[i], "* OK *");
            client_ask(silent[i], "a STARTTLS\r\n", "a OK *");
        }
        if (i % 3 == 0)
            client_put(silent[i], "\x16\x03\x01\x02\x00\x01", 6);
    }
    harness_nap(100000);
    check_equal(host_counter(host, COUNTER_FIBERS_ACTIVE), before);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_expect_end(silent[i]);
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_TLS_FAILED, CLIENTS);
    end();
}

/* Clients that go away before and in the handshake end at once. */
static void gone(void **state)
{
    (void)state;
    begin(NULL);
    for (unsigned i = 0; i < 20; i++) {
        int fd = i % 2 ? imap_greeted() : client_open(PORT + IMAPS);
        if (i % 2)
            client_say(fd, "a STARTTLS\r\n");
        if (i % 2 && i % 4 == 1)
            client_expect_like(fd, "a OK *");
        client_half_close(fd);
        if (i % 4 == 3)
            client_expect_like(fd, "a OK *");
        client_expect_end(fd);
    }
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_CLOSED, 20);
    end();
}

/* Without a certificate no handshake begins, and nothing is said in clear instead. */
static void no_certificate(void **state)
{
    (void)state;
    has_certificate = false;
    begin(NULL);
    int fd = imap_greeted();
    client_ask(fd, "a STARTTLS\r\n", "a OK *");
    client_expect_end(fd);
    client_expect_end(client_open(PORT + IMAPS));
    wait_for_ends(PROTOCOL_IMAP, SESSION_END_TLS_FAILED, 2);
    end();
    has_certificate = true;
}

/* The server drains while handshakes are under way: nothing is said in clear. */
static void drained(void **state)
{
    (void)state;
    enum { CLIENTS = 20 };
    int fds[CLIENTS];
    begin(NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = i % 2 ? imap_greeted() : client_open(PORT + IMAPS);
        if (i % 2)
            client_ask(fds[i], "a STARTTLS\r\n", "a OK *");
        if (i % 3 == 0)
            client_put(fds[i], "\x16\x03\x01\x02\x00\x01", 6);
    }
    struct tls_line *line = tls_line_begin(client_open(PORT + IMAPS));
    wants_now(line, "* OK *");
    host_stop(host);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_expect_end(fds[i]);
    wants_now(line, "* BYE [UNAVAILABLE] *");
    tls_line_end(line);
    end();
}

/* A06, for the handshake: begun and dropped, at each of its steps. */
static void dropped(void **state)
{
    (void)state;
    char alert[100];
    begin(NULL);
    for (unsigned i = 0; i < 500; i++) {
        int fd = client_open(PORT + IMAPS);
        switch (i % 4) {
        case 0:
            client_reset(fd);
            break;
        case 1:
            client_put(fd, "\x16\x03\x01", 3);
            client_close(fd);
            break;
        case 2: {
            struct tls_line *line = tls_line_begin(fd);
            wants_now(line, "* OK *");
            tls_line_say(line, "a AUTHENTICATE LOGIN\r\n");
            wants_now(line, "+ *");
            tls_line_notify(line);
            tls_line_end(line);
            break;
        }
        default:
            client_put(fd, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
            while (read(fd, alert, sizeof alert) > 0)
                continue;
            client_close(fd);
            break;
        }
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imap),    cmocka_unit_test(imap_clear), cmocka_unit_test(imap_injected),
        cmocka_unit_test(pop3),    cmocka_unit_test(forgotten),  cmocka_unit_test(implicit),
        cmocka_unit_test(foreign), cmocka_unit_test(late),       cmocka_unit_test(gone),
        cmocka_unit_test(drained), cmocka_unit_test(dropped),    cmocka_unit_test(no_certificate),
    };
    return cmocka_run_group_tests_name("session_tls", tests, NULL, NULL);
}
