/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POP3's messages and listings on the double of the store: octets at every size, reads that fail,
 * sessions beside each other, floods, a maildrop of ten million. Rows of the list of bad inputs are
 * named by their id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3_host.h"

const unsigned pop3_port = 22111;

#define ONE "Subject: one\r\n\r\nfirst\r\n.\r\n..x\r\nlast"
#define TWO "Subject: two\r\n\r\nbody\r\n"

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
    pop3_setup();
    struct host *host = host_begin(&pop3_host_options);
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        size_t size = rows[i / 2];
        drops_reset();
        drops[0].is_peeked = i % 2;
        drops[0].read_max = i % 2 ? 0 : 7777;
        message[size - 2] = '\r';
        message[size - 1] = '\n';
        drop_add(&drops[0], slice_of(message, size));
        int fd = pop3_logged_in("u0");
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
        drops_sync();
        message[size - 2] = message[size - 1] = 'z';
    }
    pop3_finish(host);
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
    pop3_setup();
    struct host *host = host_begin(&pop3_host_options);
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        drops_reset();
        drops[0].is_peeked = i % 2;
        drops[0].read_max = i % 2 ? 0 : 1;
        drop_add(&drops[0], rows[i / 2].message);
        int fd = pop3_logged_in("u0");
        pop3_ask(fd, "RETR 1", rows[i / 2].want);
        pop3_ask(fd, "STAT", rows[i / 2].message.size == 12 ? "+OK 1 12\r\n" : "+OK 1 ");
        if (rows[i / 2].message.size != 12)
            client_expect_like(fd, "*");
        pop3_quit_client(fd);
    }
    pop3_finish(host);
}

/* Before the status line a failed read is an error; behind it the connection ends, and no line
 * that could pass for the message's end or a response is said. */
static void read_fails(void **state)
{
    (void)state;
    static char message[200000], got[131072];
    memset(message, 'a', sizeof message);
    pop3_setup();
    drop_add(&drops[0], slice_of(message, sizeof message));
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0");
    drops[0].read_error = -EIO;
    pop3_ask(fd, "RETR 1", "-ERR [SYS/TEMP] The mail store is not available\r\n");
    drops[0].read_error = -EBADMSG;
    pop3_ask(fd, "TOP 1 1", "-ERR [SYS/PERM] The message is damaged\r\n");
    drops[0].read_error = -ENOENT;
    pop3_ask(fd, "RETR 1", "-ERR No such message\r\n");
    drops[0].read_error = 0;
    pop3_ask(fd, "STAT", "+OK 1 200000\r\n");
    drops[0].read_error = -EIO;
    drops[0].read_error_at = 100000;
    drops_sync();
    client_say(fd, "RETR 1\r\nSTAT\r\n");
    client_expect(fd, "+OK 200000 octets\r\n");
    client_get(fd, got, sizeof got); /* two pieces */
    check(memcmp(got, message, sizeof got) == 0);
    client_expect_end(fd);
    drops_sync();
    drops[0].open_error = -EIO;
    fd = pop3_greeted();
    client_say(fd, "USER u0\r\nPASS pw\r\n");
    client_expect(fd, "+OK\r\n-ERR [SYS/TEMP] The mail store is not available\r\n");
    client_expect_end(fd);
    pop3_finish(host);
}

/* ---------------------------------------------------------------- sessions beside each other */

/* P08 */
static void two_sessions(void **state)
{
    (void)state;
    pop3_setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0");
    for (unsigned i = 0; i < 10; i++) {
        int second = pop3_greeted();
        client_say(second, "USER u0\r\nPASS pw\r\nSTAT\r\n");
        client_expect(second, "+OK\r\n-ERR [IN-USE] Another session has the maildrop\r\n");
        client_expect_end(second);
    }
    drop_add(&drops[0], SLICE("new\r\n"));
    pop3_ask(fd, "STAT", "+OK 2 57\r\n");
    pop3_ask(fd, "UIDL", "+OK Listing follows\r\n1 1700000000.1\r\n2 1700000000.2\r\n.\r\n");
    pop3_ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    pop3_quit_client(fd);
    fd = pop3_logged_in("u0");
    pop3_ask(fd, "UIDL", "+OK Listing follows\r\n1 1700000000.2\r\n2 1700000000.3\r\n.\r\n");
    pop3_ask(fd, "STAT", "+OK 2 27\r\n");
    pop3_quit_client(fd);
    pop3_finish(host);
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
    pop3_setup();
    drop_add(&drops[0], slice_of(message, sizeof message));
    pop3_service.command_ms_max = 1500;
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0"), honest = pop3_logged_in("u1");
    long before = memory_kib();
    client_put(fd, flood, sizeof flood);
    for (unsigned i = 0; i < 50; i++) {
        pop3_ask(honest, "STAT", "+OK 0 0\r\n");
        harness_nap(10000);
    }
    check_growth(before, 8192);
    check(host_counter(host, COUNTER_BYTES_SENT) < 50000000);
    for (unsigned i = 0; i < 500 && drops[0].is_locked; i++) /* it is not waited for forever */
        harness_nap(10000);
    pop3_quit_client(pop3_logged_in("u0"));
    pop3_quit_client(honest);
    client_close(fd);
    pop3_finish(host);
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
    uint32_t count = pop3_is_slow() ? 30000 : 10000000;
    pop3_setup();
    pop3_service.command_ms_max = 60000;
    drops[0].made_up = count;
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0"), honest = pop3_logged_in("u1");
    long before = memory_kib();
    snprintf(line, sizeof line, "+OK %u %llu\r\n", count,
             (unsigned long long)count / 1000 * (1000 * 1000 + 999 * 500));
    pop3_ask(fd, "STAT", line);
    client_say(fd, "LIST\r\n");
    read_listing(fd, 1, count, false);
    pop3_ask(honest, "STAT", "+OK 0 0\r\n");
    pop3_ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n"); /* 1.25 MB of bits */
    client_say(fd, "UIDL\r\n");
    read_listing(fd, 2, count, true);
    check_growth(before, 16384);
    client_say(fd, "LIST\r\n"); /* and away in the middle of it */
    client_expect(fd, "+OK Listing follows\r\n2 1002\r\n");
    client_close(fd);
    pop3_quit_client(honest);
    pop3_finish(host);
}

static int pop3_mail_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),      cmocka_unit_test(odd_messages),
        cmocka_unit_test(read_fails), cmocka_unit_test(two_sessions),
        cmocka_unit_test(floods),     cmocka_unit_test(ten_million),
    };
    return cmocka_run_group_tests_name("pop3_mail", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(pop3_mail_tests);
}
