/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The POP3 server on a double of the store that fails when it is told to; over real sockets, and in
 * the simulator's worlds. Rows of the list of bad inputs are named by their id. After each test
 * nothing may be left: no session, account, view or lock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "line_client.h"
#include "pop3_double.h"
#include "ringpost/auth.h"
#include "ringpost/pop3.h"
#include "service_host.h"

enum { PORT = 22110 };

static struct auth_users *users;
static struct auth_options auth_options;
static struct pop3_options pop3_options;
static struct service service;
static struct host_options host_options;

static void no_problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "line %u: %s\n", line, what);
}

static int open_auth(struct core *core)
{
    return auth_open(core, &auth_options);
}

static void setup(void)
{
    char hash[256], text[1000];
    drops_reset();
    check_equal(auth_hash(SLICE("pw"), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text, sizeof text, "u0@x.test:%s\nu1@x.test:%s\n", hash, hash);
    check_equal(auth_hash(SLICE(" pa  ss "), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text + strlen(text), sizeof text - strlen(text), "u2@x.test:%s\n", hash);
    check_equal(auth_users_parse(slice_cstr(text), no_problem, NULL, &users), 0);
    auth_options = (struct auth_options){.users = users,
                                         .default_domain = SLICE("x.test"),
                                         .cache_entries_max = 100,
                                         .cache_ms_max = 60000,
                                         .waiting_max = 50,
                                         .failure_ms_first = 1,
                                         .failure_ms_max = 100};
    pop3_options = (struct pop3_options){.plain_login_allowed = true};
    service = (struct service){.protocol = &pop3_protocol,
                               .options = &pop3_options,
                               .host_name = SLICE("mail.x.test"),
                               .address = "127.0.0.1",
                               .port = PORT,
                               .connections_max = 50,
                               .login_ms_max = 10000,
                               .idle_ms_max = 10000,
                               .command_ms_max = 10000,
                               .errors_max = 50,
                               .junk_max = 200};
    host_options = (struct host_options){.services = {&service},
                                         .core_count = 2,
                                         .fibers_max = 40,
                                         .drain_pace_ms = 10,
                                         .drain_wait_ms = 2000,
                                         .open = open_auth,
                                         .close = auth_close};
}

static void finish(struct host *host)
{
    host_end(host);
    check(drops_are_closed());
    auth_users_free(users);
}

static int greeted(void)
{
    int fd = client_open(PORT);
    client_expect(fd, "+OK Ringpost ready\r\n");
    return fd;
}

static int logged_in(const char *user)
{
    int fd = greeted();
    char line[100];
    snprintf(line, sizeof line, "USER %s\r\nPASS pw\r\n", user);
    client_say(fd, line);
    client_expect(fd, "+OK\r\n+OK Logged in\r\n");
    return fd;
}

static void quit(int fd)
{
    client_say(fd, "QUIT\r\n");
    client_expect(fd, "+OK Goodbye\r\n");
    client_expect_end(fd);
}

static void ask(int fd, const char *command, const char *want)
{
    client_say(fd, command);
    client_say(fd, "\r\n");
    client_expect(fd, want);
}

#define ONE "Subject: one\r\n\r\nfirst\r\n.\r\n..x\r\nlast"
#define TWO "Subject: two\r\n\r\nbody\r\n"

/* ---------------------------------------------------------------- the whole protocol */

static const char dialogue[] =
    "CAPA\r\nNOOP\r\nUTF8\r\nUSER u0\r\nPASS pw\r\nSTAT\r\nLIST\r\nUIDL\r\nLIST 2\r\nUIDL 1\r\n"
    "RETR 1\r\nTOP 1 0\r\nTOP 1 2\r\nDELE 1\r\nDELE 1\r\nRETR 1\r\nSTAT\r\nLIST\r\nRSET\r\nSTAT\r\n"
    "DELE 2\r\nCAPA\r\nUSER u0\r\nQUIT\r\n";

#define CAPABILITIES                                                                               \
    "+OK Capabilities follow\r\nUSER\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"           \
    "PIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\nIMPLEMENTATION Ringpost\r\n.\r\n"

static const char answers[] =
    "+OK Ringpost ready\r\n" CAPABILITIES "-ERR Log in first\r\n+OK\r\n+OK\r\n+OK Logged in\r\n"
    "+OK 2 57\r\n+OK Listing follows\r\n1 35\r\n2 22\r\n.\r\n"
    "+OK Listing follows\r\n1 1700000000.1\r\n2 1700000000.2\r\n.\r\n+OK 2 22\r\n"
    "+OK 1 1700000000.1\r\n+OK 35 octets\r\nSubject: "
    "one\r\n\r\nfirst\r\n..\r\n...x\r\nlast\r\n.\r\n"
    "+OK Top of message follows\r\nSubject: one\r\n\r\n.\r\n"
    "+OK Top of message follows\r\nSubject: one\r\n\r\nfirst\r\n..\r\n.\r\n"
    "+OK Deleted at QUIT\r\n-ERR No such message\r\n-ERR No such message\r\n+OK 1 22\r\n"
    "+OK Listing follows\r\n2 22\r\n.\r\n+OK\r\n+OK 2 57\r\n+OK Deleted at QUIT\r\n" CAPABILITIES
    "-ERR You are logged in already\r\n+OK Goodbye\r\n";

/* One segment, a byte a segment, and cut in two at every place: the same answers. */
static void whole_dialogue(void **state)
{
    (void)state;
    setup();
    struct host *host = host_begin(&host_options);
    size_t size = sizeof dialogue - 1;
    for (size_t split = 0; split <= size + 1; split++) {
        drops_reset();
        drop_add(&drops[0], SLICE(ONE));
        drop_add(&drops[0], SLICE(TWO));
        drops[0].is_peeked = split % 2;
        int fd = client_open(PORT);
        if (split == size + 1) {
            client_say_in_pieces(fd, dialogue, size, 1);
        } else {
            client_put(fd, dialogue, split);
            if (split % 8 == 0)
                harness_nap(1000);
            client_put(fd, dialogue + split, size - split);
        }
        client_expect(fd, answers);
        client_expect_end(fd);
        check_equal(drop_alive(&drops[0]), 1);
        check_equal(drops[0].expunges, 1);
    }
    finish(host);
}

/* P05 */
static void log_ins(void **state)
{
    (void)state;
    char large[1200];
    setup();
    struct host *host = host_begin(&host_options);
    int fd = greeted();
    ask(fd, "PASS pw", "-ERR Give USER first\r\n");
    ask(fd, "USER", "-ERR Give a user name\r\n");
    ask(fd, "USER  ", "-ERR Give a user name\r\n");
    ask(fd, "USER nobody", "+OK\r\n");
    ask(fd, "USER u0", "+OK\r\n"); /* the second counts */
    ask(fd, "PASS", "-ERR [AUTH] Wrong user name or password\r\n");
    ask(fd, "PASS pw", "-ERR Give USER first\r\n");
    ask(fd, "USER u0", "+OK\r\n");
    ask(fd, "PASS  pw", "-ERR [AUTH] Wrong user name or password\r\n");
    ask(fd, "USER \xff\xfe", "+OK\r\n");
    ask(fd, "PASS pw", "-ERR [AUTH] Wrong user name or password\r\n");
    ask(fd, "USER %{u}';--", "+OK\r\n"); /* A04 */
    ask(fd, "PASS \xc3\xa9", "-ERR [AUTH] Wrong user name or password\r\n");
    client_put(fd, "USER u\0000\r\n", 10);
    client_expect_like(fd, "-ERR End lines with CRLF*");
    ask(fd, "USER u0\rx", "-ERR End lines with CRLF, and send no other control bytes\r\n");
    client_say(fd, "USER u0\n");
    client_expect_like(fd, "-ERR End lines with CRLF*");
    memset(large, 'a', sizeof large);
    memcpy(large, "USER ", 5);
    large[5 + 321] = '\0';
    ask(fd, large, "-ERR User name too long\r\n");
    ask(fd, "USER u0", "+OK\r\n");
    memset(large, 'a', sizeof large);
    memcpy(large, "PASS ", 5);
    large[5 + 513] = '\0';
    ask(fd, large, "-ERR [AUTH] Wrong user name or password\r\n");
    large[5 + 513] = 'a';
    large[1100] = '\0';
    ask(fd, large, "-ERR Line too long\r\n");
    ask(fd, "user U2@X.test", "+OK\r\n");
    ask(fd, "pass  pa  ss ", "+OK Logged in\r\n"); /* blanks are the password's */
    quit(fd);
    pop3_options.plain_login_allowed = false;
    fd = greeted();
    ask(fd, "USER u0", "-ERR Log-in is allowed on encrypted connections only\r\n");
    quit(fd);
    finish(host);
}

/* P01 */
static void bad_arguments(void **state)
{
    (void)state;
    static const char *const rows[] = {"RETR 0",
                                       "RETR -1",
                                       "RETR 4294967297",
                                       "RETR 1 2",
                                       "RETR",
                                       "TOP 1",
                                       "TOP 1 -1",
                                       "TOP 1 4294967295",
                                       "DELE x",
                                       "STAT 1",
                                       "LIST 99999999999",
                                       "RETR 3",
                                       "UIDL 3",
                                       "LIST 0",
                                       "TOP 3 0",
                                       "NOOP 1",
                                       "QUIT now",
                                       "XTND",
                                       "",
                                       "RETR\t1"};
    setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0"), honest = logged_in("u1");
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        client_say(fd, rows[i]);
        client_say(fd, "\r\n");
        client_expect_like(fd, "-ERR *");
        ask(honest, "STAT", "+OK 0 0\r\n");
    }
    ask(fd, "STAT", "+OK 2 57\r\n");
    quit(fd);
    quit(honest);
    finish(host);
}

/* A13, A09: the same words whoever is asked for; guesses end the session; others log in. */
static void guesses(void **state)
{
    (void)state;
    setup();
    service.errors_max = 5;
    struct host *host = host_begin(&host_options);
    int fd = greeted(), honest = logged_in("u1");
    for (unsigned i = 0; i < 6; i++) {
        ask(fd, i % 2 ? "USER u0" : "USER nobody", "+OK\r\n");
        ask(fd, "PASS guess", "-ERR [AUTH] Wrong user name or password\r\n");
    }
    client_expect(fd, "-ERR Too many commands that are of no use\r\n");
    client_expect_end(fd);
    quit(honest);
    quit(logged_in("u1"));
    check_equal(host_counter(host, COUNTER_AUTH_FAILED), 6);
    finish(host);
}

/* ---------------------------------------------------------------- deletions */

/* P02 */
static void no_quit(void **state)
{
    (void)state;
    setup();
    service.idle_ms_max = 300;
    drop_add(&drops[0], SLICE(ONE));
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0");
    ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_close(fd); /* disconnects */
    while (drops[0].accounts > 0)
        harness_nap(1000);
    fd = logged_in("u0");
    ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_expect_end(fd); /* idle: not a word (RFC 1939, 3) */
    fd = logged_in("u0");
    ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_reset(fd);
    fd = greeted();
    client_say(fd, "USER u1\r\nPASS pw\r\nQUIT\r\n");
    client_expect(fd, "+OK\r\n+OK Logged in\r\n+OK Goodbye\r\n");
    client_expect_end(fd);
    host_stop(host);
    finish(host);
    check_equal(drop_alive(&drops[0]), 1);
    check_equal(drops[0].expunges, 0);
}

/* P03 */
static void expunge_fails(void **state)
{
    (void)state;
    static const int errors[] = {-ENOSPC, -EIO, -ENOMEM};
    setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&host_options);
    for (unsigned i = 0; i < 3; i++) {
        int fd = logged_in("u0");
        drops[0].expunge_error = errors[i];
        ask(fd, "DELE 2", "+OK Deleted at QUIT\r\n");
        client_say(fd, "QUIT\r\n");
        client_expect_like(fd, "-ERR [SYS/TEMP]*");
        client_expect_end(fd);
        check_equal(drop_alive(&drops[0]), 2);
    }
    drops[0].expunge_error = 0;
    int fd = logged_in("u0");
    ask(fd, "DELE 2", "+OK Deleted at QUIT\r\n");
    quit(fd);
    check_equal(drop_alive(&drops[0]), 1);
    finish(host);
}

static long memory_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    check_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Sanitizers and the simulator hold what was freed. */
static void check_growth(long before_kib, long kib_max)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return;
#endif
#endif
    if (!harness_is_simulated())
        check(memory_kib() - before_kib < kib_max);
}

/* P04 */
static void delete_and_reset(void **state)
{
    (void)state;
    enum { ROUNDS = 1000, EACH = 50 };
    static char commands[EACH * 20], want[EACH * 60];
    setup();
    drop_add(&drops[0], SLICE(ONE));
    commands[0] = want[0] = '\0';
    for (unsigned i = 0; i < EACH; i++) {
        strcat(commands, "DELE 1\r\nRSET\r\n");
        strcat(want, "+OK Deleted at QUIT\r\n+OK\r\n");
    }
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0");
    long before = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        client_say(fd, commands);
        client_expect(fd, want);
        if (i == ROUNDS / 10)
            before = memory_kib();
    }
    check_growth(before, 8192);
    ask(fd, "STAT", "+OK 1 35\r\n");
    quit(fd);
    check_equal(drop_alive(&drops[0]), 1);
    finish(host);
}

/* ---------------------------------------------------------------- messages */

/* Asks for message 1 and compares; the message must end with CRLF and hold no dot that begins a
 * line. */
static void retrieve_exactly(int fd, struct slice message)
{
    char line[60];
    char *got = malloc(message.size + 1);
    client_say(fd, "RETR 1\r\n");
    snprintf(line, sizeof line, "+OK %zu octets\r\n", message.size);
    client_expect(fd, line);
    client_get(fd, got, message.size);
    check(memcmp(got, message.data, message.size) == 0);
    client_expect(fd, ".\r\n");
    free(got);
}

/* Sizes around every limit: peeked, in pieces, in small pieces. */
static void sizes(void **state)
{
    (void)state;
    static const size_t rows[] = {2,     100,   1024,  29999, 30000,  30001,
                                  65535, 65536, 65537, 70000, 200000, 3000000};
    static char message[3000000];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (char)('a' + i * i / 64 % 26);
    setup();
    struct host *host = host_begin(&host_options);
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        size_t size = rows[i / 2];
        drops_reset();
        drops[0].is_peeked = i % 2;
        drops[0].read_max = i % 2 ? 0 : 7777;
        message[size - 2] = '\r';
        message[size - 1] = '\n';
        drop_add(&drops[0], slice_of(message, size));
        int fd = logged_in("u0");
        retrieve_exactly(fd, slice_of(message, size));
        for (unsigned j = 0; j < 20; j++)
            client_say(fd, "RETR 1\r\n");
        client_say(fd, "QUIT\r\n");
        for (unsigned j = 0; j < 20; j++) {
            char line[60];
            static char got[sizeof message];
            snprintf(line, sizeof line, "+OK %zu octets\r\n", size);
            client_expect(fd, line);
            client_get(fd, got, size);
            check(memcmp(got, message, size) == 0);
            client_expect(fd, ".\r\n");
        }
        client_expect(fd, "+OK Goodbye\r\n");
        client_expect_end(fd);
        message[size - 2] = message[size - 1] = 'z';
    }
    finish(host);
}

/* P07 */
static void odd_messages(void **state)
{
    (void)state;
    static const struct {
        struct slice message;
        const char *want;
    } rows[] = {
        {{"", 0}, "+OK 0 octets\r\n.\r\n"},
        {{".", 1}, "+OK 1 octets\r\n..\r\n.\r\n"},
        {{"..\r\n.\r\n", 7}, "+OK 7 octets\r\n...\r\n..\r\n.\r\n"},
        {{"a\n.\nb\n", 6}, "+OK 6 octets\r\na\n..\nb\n\r\n.\r\n"},
        {{"a\n.\r\n+OK b\r\n", 12}, "+OK 12 octets\r\na\n..\r\n+OK b\r\n.\r\n"},
        {{"a\r", 2}, "+OK 2 octets\r\na\r\r\n.\r\n"},
    };
    setup();
    struct host *host = host_begin(&host_options);
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        drops_reset();
        drops[0].is_peeked = i % 2;
        drops[0].read_max = i % 2 ? 0 : 1;
        drop_add(&drops[0], rows[i / 2].message);
        int fd = logged_in("u0");
        ask(fd, "RETR 1", rows[i / 2].want);
        ask(fd, "STAT", rows[i / 2].message.size == 12 ? "+OK 1 12\r\n" : "+OK 1 ");
        if (rows[i / 2].message.size != 12)
            client_expect_like(fd, "*");
        quit(fd);
    }
    finish(host);
}

/* Before the status line a failed read is an error; behind it the connection ends, and no line
 * that could pass for the message's end or a response is said. */
static void read_fails(void **state)
{
    (void)state;
    static char message[200000], got[131072];
    memset(message, 'a', sizeof message);
    setup();
    drop_add(&drops[0], slice_of(message, sizeof message));
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0");
    drops[0].read_error = -EIO;
    ask(fd, "RETR 1", "-ERR [SYS/TEMP] The mail store is not available\r\n");
    drops[0].read_error = -EBADMSG;
    ask(fd, "TOP 1 1", "-ERR [SYS/PERM] The message is damaged\r\n");
    drops[0].read_error = -ENOENT;
    ask(fd, "RETR 1", "-ERR No such message\r\n");
    drops[0].read_error = 0;
    ask(fd, "STAT", "+OK 1 200000\r\n");
    drops[0].read_error = -EIO;
    drops[0].read_error_at = 100000;
    client_say(fd, "RETR 1\r\nSTAT\r\n");
    client_expect(fd, "+OK 200000 octets\r\n");
    client_get(fd, got, sizeof got); /* two pieces */
    check(memcmp(got, message, sizeof got) == 0);
    client_expect_end(fd);
    drops[0].open_error = -EIO;
    fd = greeted();
    client_say(fd, "USER u0\r\nPASS pw\r\n");
    client_expect(fd, "+OK\r\n-ERR [SYS/TEMP] The mail store is not available\r\n");
    client_expect_end(fd);
    finish(host);
}

/* ---------------------------------------------------------------- sessions beside each other */

/* P08 */
static void two_sessions(void **state)
{
    (void)state;
    setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0");
    for (unsigned i = 0; i < 10; i++) {
        int second = greeted();
        client_say(second, "USER u0\r\nPASS pw\r\nSTAT\r\n");
        client_expect(second, "+OK\r\n-ERR [IN-USE] Another session has the maildrop\r\n");
        client_expect_end(second);
    }
    drop_add(&drops[0], SLICE("new\r\n"));
    ask(fd, "STAT", "+OK 2 57\r\n");
    ask(fd, "UIDL", "+OK Listing follows\r\n1 1700000000.1\r\n2 1700000000.2\r\n.\r\n");
    ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    quit(fd);
    fd = logged_in("u0");
    ask(fd, "UIDL", "+OK Listing follows\r\n1 1700000000.2\r\n2 1700000000.3\r\n.\r\n");
    ask(fd, "STAT", "+OK 2 27\r\n");
    quit(fd);
    finish(host);
}

/* P09: more commands than there is room for answers, which nobody reads. (The simulator's clients
 * always read.) */
static void floods(void **state)
{
    (void)state;
    static char flood[8 * 10000], message[20000];
    if (harness_is_simulated())
        return;
    for (size_t i = 0; i < sizeof flood; i += 8)
        memcpy(flood + i, "RETR 1\r\n", 8);
    memset(message, 'a', sizeof message);
    setup();
    drop_add(&drops[0], slice_of(message, sizeof message));
    service.command_ms_max = 1500;
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0"), honest = logged_in("u1");
    long before = memory_kib();
    client_put(fd, flood, sizeof flood);
    for (unsigned i = 0; i < 50; i++) {
        ask(honest, "STAT", "+OK 0 0\r\n");
        harness_nap(10000);
    }
    check_growth(before, 8192);
    check(host_counter(host, COUNTER_BYTES_SENT) < 50000000);
    for (unsigned i = 0; i < 500 && drops[0].is_locked; i++) /* it is not waited for forever */
        harness_nap(10000);
    quit(logged_in("u0"));
    quit(honest);
    client_close(fd);
    finish(host);
}

static uint64_t digits(uint64_t number)
{
    return number < 10 ? 1 : 1 + digits(number / 10);
}

/* Reads a listing of messages first..last to its end and checks every line. */
static void read_listing(int fd, uint32_t first, uint32_t last, bool is_uidl)
{
    static char data[1 << 20];
    uint64_t size = strlen("+OK Listing follows\r\n.\r\n"), at = 0;
    for (uint32_t n = first; n <= last; n++)
        size += digits(n) + (is_uidl ? 14 + digits(n) : 3 + 4);
    uint32_t number = first;
    char line[64];
    unsigned used = 0;
    client_expect(fd, "+OK Listing follows\r\n");
    size -= strlen("+OK Listing follows\r\n");
    while (at < size) {
        size_t part = size - at < sizeof data ? (size_t)(size - at) : sizeof data;
        client_get(fd, data, part);
        at += part;
        for (size_t i = 0; i < part; i++) {
            check(used < sizeof line);
            line[used++] = data[i];
            if (data[i] != '\n')
                continue;
            struct slice got = slice_of(line, used);
            uint64_t is_number;
            used = 0;
            if (number > last) {
                check(slice_equal(got, SLICE(".\r\n")) && at == size && i == part - 1);
                continue;
            }
            check(slice_number(slice_first(got, slice_find(got, ' ')), last, &is_number));
            check_equal(is_number, number++);
        }
    }
    check_equal(number, last + 1);
}

/* P10 */
static void ten_million(void **state)
{
    (void)state;
    char line[80];
    uint32_t count = harness_is_simulated() ? 30000 : 10000000;
    setup();
    service.command_ms_max = 60000;
    drops[0].made_up = count;
    struct host *host = host_begin(&host_options);
    int fd = logged_in("u0"), honest = logged_in("u1");
    long before = memory_kib();
    snprintf(line, sizeof line, "+OK %u %llu\r\n", count,
             (unsigned long long)count / 1000 * (1000 * 1000 + 999 * 500));
    ask(fd, "STAT", line);
    client_say(fd, "LIST\r\n");
    read_listing(fd, 1, count, false);
    ask(honest, "STAT", "+OK 0 0\r\n");
    ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n"); /* 1.25 MB of bits */
    client_say(fd, "UIDL\r\n");
    read_listing(fd, 2, count, true);
    check_growth(before, 16384);
    client_say(fd, "LIST\r\n"); /* and away in the middle of it */
    client_expect(fd, "+OK Listing follows\r\n2 1002\r\n");
    client_close(fd);
    quit(honest);
    finish(host);
}

static int pop3_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_dialogue),   cmocka_unit_test(log_ins),
        cmocka_unit_test(bad_arguments),    cmocka_unit_test(guesses),
        cmocka_unit_test(no_quit),          cmocka_unit_test(expunge_fails),
        cmocka_unit_test(delete_and_reset), cmocka_unit_test(sizes),
        cmocka_unit_test(odd_messages),     cmocka_unit_test(read_fails),
        cmocka_unit_test(two_sessions),     cmocka_unit_test(floods),
        cmocka_unit_test(ten_million),
    };
    return cmocka_run_group_tests_name("pop3", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(pop3_tests);
}
