/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tidy: long because the answers of one command are a table of its own
 *
 * FETCH: its grammar, sections and partials, what is answered, and what happens when a message
 * cannot be read or the client goes away. Rows I06, I07, I17, I20 and D11 of the list of bad input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../src/imap/fetch.h"
#include "imap_double.h"

#define SIMPLE "From: a@b\nSubject: hi\nX-Long: one\n two\n\nhello\nworld\n"
#define NESTED                                                                                     \
    "Subject: outer\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"             \
    "--x\nContent-Type: text/plain\nX-Part: 1\n\none\n"                                            \
    "--x\nContent-Type: message/rfc822\n\n"                                                        \
    "Subject: inner\nContent-Type: multipart/alternative; boundary=y\n\n"                          \
    "--y\n\ntwo one\n--y\nContent-Type: text/html\n\n<b>two two</b>\n--y--\n"                      \
    "--x--\n"

static int setup(void **state)
{
    struct imap_double *world = malloc(sizeof *world);
    double_init(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    double_deinit(*state);
    free(*state);
    return 0;
}

/* The answer to a FETCH, '|' standing for CRLF, without "t1 OK|" at its end. */
static void answers(struct imap_double *world, const char *text, const char *expected)
{
    char wanted[4096];
    size_t size = 0;
    for (const char *at = expected; *at != '\0'; at++) {
        if (*at == '|')
            wanted[size++] = '\r';
        wanted[size++] = *at == '|' ? '\n' : *at;
    }
    memcpy(wanted + size, "t1 OK\r\n", 8);
    bool is_complete = strstr(expected, "t1 ") != NULL;
    wanted[is_complete ? size : size + 7] = '\0';
    assert_true(double_fetch(world, text));
    assert_string_equal(world->output, wanted);
}

static void test_attributes(void **state)
{
    struct imap_double *world = *state;
    struct double_message *message = double_add(world, SIMPLE);
    message->entry.flags = MAIL_SEEN | MAIL_FLAGGED;
    message->entry.keywords = 1 << 3;
    message->entry.date_zone = -90;
    answers(world, "1 FLAGS", "* 1 FETCH (FLAGS (\\Flagged \\Seen $Work))|");
    answers(world, "1 (UID RFC822.SIZE)", "* 1 FETCH (UID 10 RFC822.SIZE 59)|");
    answers(world, "1 internaldate", "* 1 FETCH (INTERNALDATE \"19-Dec-2019 22:30:00 -0130\")|");
    answers(world, "1 FAST",
            "* 1 FETCH (FLAGS (\\Flagged \\Seen $Work) "
            "INTERNALDATE \"19-Dec-2019 22:30:00 -0130\" RFC822.SIZE 59)|");
    answers(world, "1 ENVELOPE",
            "* 1 FETCH (ENVELOPE (NIL \"hi\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
            "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL))|");
    answers(world, "1 BODY",
            "* 1 FETCH (BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 14 "
            "2))|");
    answers(world, "1 (BODYSTRUCTURE BODY)",
            "* 1 FETCH (BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 14 2) "
            "BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 14 2 "
            "NIL NIL NIL NIL))|");
    assert_int_equal(world->reads, 0);
    assert_true(double_fetch(world, "1 ALL") && strstr(world->output, "ENVELOPE") != NULL);
    assert_null(strstr(world->output, "BODY"));
    assert_true(double_fetch(world, "1 FULL") && strstr(world->output, " BODY (") != NULL);
    assert_true(double_uid_fetch(world, "10 FLAGS"));
    assert_string_equal(world->output,
                        "* 1 FETCH (UID 10 FLAGS (\\Flagged \\Seen $Work))\r\nt1 OK\r\n");
}

static void test_sections(void **state)
{
    struct imap_double *world = *state;
    double_add(world, SIMPLE);
    double_add(world, NESTED);
    world->imap.view.examine = true;
    answers(world, "1 BODY[TEXT]", "* 1 FETCH (BODY[TEXT] {14}|hello|world|)|");
    answers(world, "1 BODY[1]", "* 1 FETCH (BODY[1] {14}|hello|world|)|");
    answers(world, "1 BODY[1.1]", "* 1 FETCH (BODY[1.1] NIL)|");
    answers(world, "1 RFC822.TEXT", "* 1 FETCH (RFC822.TEXT {14}|hello|world|)|");
    answers(world, "1 (rfc822.header UID)",
            "* 1 FETCH (UID 10 RFC822.HEADER {45}|From: a@b|Subject: hi|X-Long: one| two||)|");
    answers(world, "1 RFC822",
            "* 1 FETCH (RFC822 {59}|From: a@b|Subject: hi|X-Long: one| two||hello|world|)|");
    answers(world, "1 body.peek[header.fields (subject \"From\")]",
            "* 1 FETCH (BODY[HEADER.FIELDS (subject From)] {26}|From: a@b|Subject: hi||)|");
    answers(world, "1 BODY[HEADER.FIELDS.NOT (X-LONG from)]<3.4>",
            "* 1 FETCH (BODY[HEADER.FIELDS.NOT (X-LONG from)]<3> {4}|ject)|");
    answers(world, "1:2 BODY[HEADER]<43.99>",
            "* 1 FETCH (BODY[HEADER]<43> {2}||)|* 2 FETCH (BODY[HEADER]<43> {37}|Type: "
            "multipart/mixed; boundary=x||)|");
    answers(world, "2 BODY[1]", "* 2 FETCH (BODY[1] {3}|one)|");
    answers(world, "2 BODY[1.MIME]",
            "* 2 FETCH (BODY[1.MIME] {39}|Content-Type: text/plain|X-Part: 1||)|");
    answers(world, "2 BODY[1.TEXT]", "* 2 FETCH (BODY[1.TEXT] NIL)|");
    answers(world, "2 BODY[2.HEADER]",
            "* 2 FETCH (BODY[2.HEADER] {67}|Subject: inner|Content-Type: multipart/alternative; "
            "boundary=y||)|");
    answers(world, "2 BODY[2.HEADER.FIELDS (SUBJECT)]",
            "* 2 FETCH (BODY[2.HEADER.FIELDS (SUBJECT)] {18}|Subject: inner||)|");
    answers(world, "2 BODY[2.MIME]",
            "* 2 FETCH (BODY[2.MIME] {32}|Content-Type: message/rfc822||)|");
    answers(world, "2 BODY[2.1]", "* 2 FETCH (BODY[2.1] {7}|two one)|");
    answers(world, "2 (BODY[2.2] BODY[2.2.MIME] BODY[2.2.2])",
            "* 2 FETCH (BODY[2.2] {14}|<b>two two</b> BODY[2.2.MIME] {27}|Content-Type: "
            "text/html|| BODY[2.2.2] NIL)|");
    answers(world, "2 BODY[2.TEXT]<0.5>", "* 2 FETCH (BODY[2.TEXT]<0> {5}|--y|)|");
    answers(world, "2 (BODY[3] BODY[4294967295])", "* 2 FETCH (BODY[3] NIL BODY[4294967295] NIL)|");
    world->messages[0].summary = (struct slice){0};
    answers(world, "1 BODY[]<54.9>", "* 1 FETCH (BODY[]<54> {5}|rld|)|");
}

/* Row I07 and the rest of the grammar: what is refused. tidy: long because it is a table. */
static void test_grammar(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "1 ",
        " 1 UID",
        "0 UID",
        "4294967296 UID",
        "1:0 UID",
        "1, UID",
        "1:2:3 UID",
        "a UID",
        "$ UID",
        "1 UIDS",
        "1 ()",
        "1 (UID",
        "1 (UID )",
        "1 ( UID)",
        "1 (UID  FLAGS)",
        "1 UID)",
        "1 UID FLAGS",
        "1 (ALL)",
        "1 (UID FAST)",
        "1 ALL FAST",
        "1 BODY.PEEK",
        "1 BODY[",
        "1 BODY[1",
        "1 BODY[0]",
        "1 BODY[4294967296]",
        "1 BODY[01]",
        "1 BODY[1.]",
        "1 BODY[.1]",
        "1 BODY[1..2]",
        "1 BODY[-1]",
        "1 BODY[MIME]",
        "1 BODY[1.HEADERS]",
        "1 BODY[HEADER.FIELDS]",
        "1 BODY[HEADER.FIELDS ()]",
        "1 BODY[HEADER.FIELDS (a]",
        "1 BODY[HEADER.FIELDS (a )]",
        "1 BODY[HEADER.FIELDS (\"a b\")]",
        "1 BODY[HEADER.FIELDS (a:)]",
        "1 BODY[HEADER.FIELDS (\"\")]",
        "1 BODY[HEADER.FIELDS ({7}\r\na\r\n* b)]",
        "1 BODY[HEADER.FIELDS ({999}\r\na)]",
        "1 BODY[]<0.0>",
        "1 BODY[]<0>",
        "1 BODY[]<.1>",
        "1 BODY[]<1.>",
        "1 BODY[]<-1.1>",
        "1 BODY[]<0.9223372036854775808>",
        "1 BODY[]<99999999999999999999.1>",
        "1 BODY[]<0.1",
        "1 BODY[] <0.1>",
        "1 BODYSTRUCTURE[]",
        "1 RFC822[]",
        "1 RFC822.PEEK",
        "1 UID ()",
        "1 UID (CHANGEDSINCE)",
        "1 UID (CHANGEDSINCE -1)",
        "1 UID (CHANGEDSINCE 1",
        "1 UID (CHANGEDSINCE 1) ",
        "1 UID (VANISHED)",
        "1 UID (CHANGEDSINCE 1 VANISHED)",
        "1 BINARY[]",
        "1 UID\r\n",
        "1 MODSEQ(",
    };
    static const char *const good[] = {
        "1 BODY[]<0.9223372036854775807>",
        "1 BODY[]<9223372036854775807.1>",
        "1 BODY[]<4294967295.4294967295>",
        "1 (BODY.PEEK[1.2.3.MIME] UID)",
        "1 BODY[HEADER.FIELDS ({4}\r\nFrom \"To\")]",
        "1 FULL (CHANGEDSINCE 5)",
        "1,1:*,*:1 (UID)",
        "1 body[text]",
        "1 BODY[HEADER.FIELDS (NIL)]",
    };
    struct imap_double *world = *state;
    double_add(world, SIMPLE);
    world->imap.view.examine = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (double_fetch(world, bad[i]))
            fail_msg("taken: %s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!double_fetch(world, good[i]))
            fail_msg("refused: %s: %s", good[i], world->output);
}

/* Row I07: what repeats has a maximum. */
static void test_limits(void **state)
{
    struct imap_double *world = *state;
    double_add(world, SIMPLE);
    world->imap.view.examine = true;
    for (unsigned count = 1; count <= 20000; count = count < 300 ? count + 1 : count * 4) {
        char *text = malloc((size_t)count * 16 + 64), *at = text;
        at += sprintf(at, "1 BODY[1");
        for (unsigned i = 1; i < count; i++)
            at += sprintf(at, ".1");
        sprintf(at, "]");
        assert_int_equal(double_fetch(world, text), count <= SECTION_NUMBERS_MAX);
        at = text + sprintf(text, "1 BODY.PEEK[HEADER.FIELDS (");
        for (unsigned i = 0; i < count; i++)
            at += sprintf(at, "%sa%u", i > 0 ? " " : "", i);
        sprintf(at, ")]");
        assert_int_equal(double_fetch(world, text), count <= SECTION_FIELDS_MAX);
        at = text + sprintf(text, "1 (UID");
        for (unsigned i = 0; i < count; i++)
            at += sprintf(at, " BODY[1.9]");
        sprintf(at, ")");
        assert_int_equal(double_fetch(world, text), count <= FETCH_SECTIONS_MAX);
        at = text + sprintf(text, "1 BODY[HEADER.FIELDS (");
        for (unsigned i = 0; i < count; i++)
            at += sprintf(at, ")]");
        assert_false(double_fetch(world, text));
        free(text);
    }
}

/* Row I07: the arithmetic of partials. */
static void test_partials(void **state)
{
    static const uint64_t values[] = {
        0, 1, 54, 55, 56, 4294967294, 4294967295, 4294967296, INT64_MAX - 1, INT64_MAX};
    struct imap_double *world = *state;
    struct double_message *message = double_add(world, SIMPLE);
    world->imap.view.examine = true;
    enum { COUNT = sizeof values / sizeof values[0] };
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned j = 1; j < COUNT; j++) {
            char text[100], expected[300];
            uint64_t offset = values[i] < 59 ? values[i] : 59, size = 59 - offset;
            if (values[j] < size)
                size = values[j];
            sprintf(text, "1 BODY[]<%llu.%llu>", (unsigned long long)values[i],
                    (unsigned long long)values[j]);
            sprintf(expected, "* 1 FETCH (BODY[]<%llu> {%llu}\r\n%.*s)\r\nt1 OK\r\n",
                    (unsigned long long)values[i], (unsigned long long)size, (int)size,
                    message->bytes.data + offset);
            assert_true(double_fetch(world, text));
            assert_string_equal(world->output, expected);
            assert_int_equal(world->bytes_read, size);
        }
}

static unsigned lines_count(const struct imap_double *world, const char *with)
{
    unsigned count = 0;
    const char *at = world->output, *end = at + world->output_size;
    while ((at = memmem(at, (size_t)(end - at), with, strlen(with))) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* Row I06: the cost follows the messages, not the numbers. */
static void test_sets(void **state)
{
    struct imap_double *world = *state;
    for (unsigned i = 0; i < 5; i++)
        double_add(world, SIMPLE);
    answers(world, "2:3 UID", "* 2 FETCH (UID 20)|* 3 FETCH (UID 30)|");
    answers(world, "*:* UID", "* 5 FETCH (UID 50)|");
    answers(world, "4294967295:4 UID", "* 4 FETCH (UID 40)|* 5 FETCH (UID 50)|");
    answers(world, "3,1,3:2,1 UID", "* 1 FETCH (UID 10)|* 2 FETCH (UID 20)|* 3 FETCH (UID 30)|");
    answers(world, "6 UID", "t1 BAD|");
    assert_true(double_fetch(world, "1:4294967295 UID"));
    assert_int_equal(lines_count(world, "FETCH"), 5);
    assert_true(double_uid_fetch(world, "1:29,31:49,60:4294967295 FLAGS"));
    assert_int_equal(lines_count(world, "FETCH"), 3);
    assert_null(strstr(world->output, "UID 30"));
    assert_true(double_uid_fetch(world, "15 FLAGS"));
    assert_string_equal(world->output, "t1 OK\r\n");
    char *text = malloc(300000), *at = text + sprintf(text, "1");
    for (unsigned i = 0; i < 100000; i++)
        at += sprintf(at, ",1");
    sprintf(at, " UID");
    answers(world, text, "* 1 FETCH (UID 10)|");
    free(text);
    world->imap.view.count = 0;
    answers(world, "1:* UID", "t1 BAD|");
}

static void test_seen(void **state)
{
    struct imap_double *world = *state;
    for (unsigned i = 0; i < 4; i++)
        double_add(world, SIMPLE);
    world->messages[1].entry.flags = MAIL_SEEN;
    world->messages[2].entry.expunged = true;
    assert_true(double_fetch(world, "1:* BODY.PEEK[]"));
    assert_true(double_fetch(world, "1:* (FLAGS RFC822.HEADER ENVELOPE)"));
    assert_int_equal(world->commits, 0);
    static const char *const marking[] = {"1:* BODY[]", "1:* BODY[1]", "1:* RFC822",
                                          "1:* RFC822.TEXT", "1:* (BODY.PEEK[] BODY[HEADER])"};
    for (size_t i = 0; i < sizeof marking / sizeof marking[0]; i++) {
        assert_true(double_fetch(world, marking[i]));
        assert_int_equal(world->commits, 1);
        assert_int_equal(world->stored_count, 2);
        assert_int_equal(world->stored_uids[0], 10);
        assert_int_equal(world->stored_uids[1], 40);
    }
    world->store_error = -ENOSPC; /* reading goes on */
    assert_true(double_fetch(world, "1 BODY[TEXT]"));
    assert_non_null(strstr(world->output, "t1 OK"));
    world->imap.view.examine = true;
    assert_true(double_fetch(world, "1:* BODY[]"));
    assert_int_equal(world->commits, 0);
}

static void test_modseq(void **state)
{
    struct imap_double *world = *state;
    for (unsigned i = 0; i < 3; i++)
        double_add(world, SIMPLE);
    answers(world, "1:* (UID) (CHANGEDSINCE 101)",
            "* OK [HIGHESTMODSEQ]|* 2 FETCH (UID 20 MODSEQ (102))|"
            "* 3 FETCH (UID 30 MODSEQ (103))|");
    answers(world, "3 (MODSEQ)", "* 3 FETCH (MODSEQ (103))|");
    answers(world, "1:* UID (CHANGEDSINCE 103)", "");
}

/* Row D11: that message fails, the rest works. */
static void test_damaged(void **state)
{
    struct imap_double *world = *state;
    for (unsigned i = 0; i < 3; i++)
        double_add(world, SIMPLE);
    world->messages[1].read_error = -EBADMSG;
    answers(world, "1:3 BODY[]<0.6>",
            "* 1 FETCH (BODY[]<0> {6}|From: )|* 3 FETCH (BODY[]<0> {6}|From: )|t1 NO [74]|");
    assert_int_equal(world->stored_count, 2);
    answers(world, "2 (UID ENVELOPE)",
            "* 2 FETCH (UID 20 ENVELOPE (NIL \"hi\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" "
            "\"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL))|");
    world->messages[1].read_error_at = 45;
    answers(world, "2 (BODY[]<0.4> BODY[TEXT])",
            "* 2 FETCH (BODY[]<0> {4}|From BODY[TEXT] NIL)|t1 NO [74]|");
    assert_int_equal(world->stored_count, 0);
    world->messages[0].summary_error = -EIO;
    answers(world, "1:3 (UID BODY[1.TEXT])",
            "* 2 FETCH (UID 20 BODY[1.TEXT] NIL)|"
            "* 3 FETCH (UID 30 BODY[1.TEXT] NIL)|t1 NO [5]|");
    answers(world, "1 (UID BODY[]<0.4>)", "* 1 FETCH (UID 10 BODY[]<0> {4}|From)|");
    world->messages[2].summary = SLICE("RPM1 not a summary at all");
    answers(world, "3 BODY[1]", "t1 NO [74]|");
    assert_int_equal(world->end, SESSION_END_NONE);
    world->messages[2].entry.size++; /* shorter than it says */
    answers(world, "3 BODY[]", "t1 NO [74]|");
}

/* Expunged by another session, still numbered (RFC 2180 4.1). */
static void test_expunged(void **state)
{
    struct imap_double *world = *state;
    double_add(world, SIMPLE);
    double_add(world, SIMPLE);
    world->messages[0].entry.expunged = true;
    answers(world, "1:2 BODY[]<0.4>",
            "* 1 FETCH (BODY[]<0> {4}|From)|* 2 FETCH (BODY[]<0> {4}|From)|");
    world->messages[0].read_error = world->messages[0].summary_error = -ENOENT;
    answers(world, "1:2 BODY[]<0.4>", "* 2 FETCH (BODY[]<0> {4}|From)|t1 NO [EXPUNGEISSUED]|");
    answers(world, "1 (UID RFC822.SIZE)", "* 1 FETCH (UID 10 RFC822.SIZE 59)|");
    assert_true(double_uid_fetch(world, "1:* ENVELOPE"));
    assert_int_equal(lines_count(world, "FETCH"), 1);
    assert_non_null(strstr(world->output, "t1 OK"));
}

static struct double_message *add_large(struct imap_double *world, size_t size)
{
    char *data = malloc(size);
    memcpy(data, "Subject: x\r\n\r\n", 14);
    for (size_t i = 14; i < size; i++)
        data[i] = (char)(i % 71 == 0 ? '\n' : i % 71 == 70 ? '\r' : 'a' + i * 7 % 26);
    struct double_message *message = double_add_bytes(world, slice_of(data, size));
    free(data);
    return message;
}

/* Row I17: pieces, whatever the size; a client that goes away is noticed. */
static void test_large(void **state)
{
    enum { SIZE = 1000003 };
    struct imap_double *world = *state;
    struct double_message *message = add_large(world, SIZE);
    for (unsigned split = 0; split < 3; split++) {
        world->read_max = split == 0 ? 0 : split == 1 ? 4096 : 70001;
        assert_true(double_fetch(world, "1 BODY[]"));
        assert_int_equal(world->output_size, 29 + SIZE + 3 + 7);
        assert_memory_equal(world->output, "* 1 FETCH (BODY[] {1000003}\r\n", 29);
        assert_memory_equal(world->output + 29, message->bytes.data, SIZE);
        assert_memory_equal(world->output + 29 + SIZE, ")\r\nt1 OK", 8);
        assert_in_range(world->write_largest, 1, FETCH_PIECE_BYTES);
        assert_int_equal(world->bytes_read, SIZE);
        assert_in_range(world->deadlines, 8, 20);
    }
    add_large(world, SIZE);
    world->read_max = 0;
    world->output_fails_at = 300000;
    assert_true(double_fetch(world, "1:2 BODY[]"));
    assert_in_range(world->bytes_read, 300000, 300000 + 2 * FETCH_PIECE_BYTES);
    assert_int_equal(world->commits, 0);
}

/* The empty line at every place where a piece that is looked through may end. */
static void test_header_ends(void **state)
{
    static const size_t around[] = {1, 8192, 8190 + 32768, 8188 + 32768 + 131072, 300000};
    struct imap_double *world = *state;
    char *data = malloc(400000), label[64];
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++)
        for (size_t size = around[i] > 9 ? around[i] - 9 : 0; size < around[i] + 9; size++)
            for (unsigned end = 0; end < 3; end++) {
                static const char *const ends[] = {"\r\n\r\ntext\r\n\r\n", "\n\ntext\r\n\r\n", ""};
                memset(data, 'a', size);
                size_t ends_size = strlen(ends[end]), header = size + (end == 2 ? 0 : 4 - 2 * end);
                memcpy(data + size, ends[end], ends_size);
                if (size == 0 && end < 2)
                    header = 2 - end; /* the first line is empty */
                world->imap.view.count = 0;
                double_add_bytes(world, slice_of(data, size + ends_size));
                assert_true(double_fetch(world, "1 BODY.PEEK[HEADER]"));
                int label_size = sprintf(label, "* 1 FETCH (BODY[HEADER] {%zu}\r\n", header);
                assert_memory_equal(world->output, label, (size_t)label_size);
                assert_memory_equal(world->output + label_size, data, header);
                assert_true(double_fetch(world, "1 BODY.PEEK[TEXT]"));
                size_t text = size + ends_size - header;
                label_size = sprintf(label, "* 1 FETCH (BODY[TEXT] {%zu}\r\n", text);
                assert_memory_equal(world->output, label, (size_t)label_size);
                assert_memory_equal(world->output + label_size, data + header, text);
                assert_int_equal(world->summaries, 0);
            }
    free(data);
}

/* HEADER.FIELDS looks at MIME_HEADER_BYTES_MAX bytes of a header, up to a whole line. */
static void test_large_header(void **state)
{
    struct imap_double *world = *state;
    for (size_t filler = 100000; filler <= 300000; filler += 50000) {
        struct text message;
        text_init(&message, &world->arena);
        text_append(&message, SLICE("A: 1\r\n"));
        while (message.size < filler)
            text_append(&message, SLICE("X-Filler: filler filler filler filler\r\n"));
        text_append(&message, SLICE("Z: 2\r\n\r\nbody\r\n"));
        world->imap.view.count = 0;
        double_add_bytes(world, text_slice(&message));
        answers(world, "1 BODY.PEEK[HEADER.FIELDS (Z A)]",
                filler > MIME_HEADER_BYTES_MAX
                    ? "* 1 FETCH (BODY[HEADER.FIELDS (Z A)] {8}|A: 1||)|"
                    : "* 1 FETCH (BODY[HEADER.FIELDS (Z A)] {14}|A: 1|Z: 2||)|");
        assert_in_range(world->write_largest, 1, FETCH_PIECE_BYTES);
        answers(world, "1 BODY.PEEK[TEXT]", "* 1 FETCH (BODY[TEXT] {6}|body|)|");
        assert_true(double_fetch(world, "1 BODY.PEEK[HEADER.FIELDS.NOT (A Z)]<35.6>"));
        assert_non_null(strstr(world->output, "{6}\r\ner\r\nX-)\r\n"));
    }
}

/* F1: a literal that cannot be finished ends the connection, and nothing follows. */
static void test_breaks_off(void **state)
{
    struct imap_double *world = *state;
    struct double_message *message = add_large(world, 500000);
    double_add(world, SIMPLE);
    message->read_error = -EBADMSG;
    message->read_error_at = 300000;
    assert_true(double_fetch(world, "1:2 BODY[]"));
    assert_int_equal(world->closes, 1);
    assert_int_equal(world->end, SESSION_END_STORE);
    assert_in_range(world->output_size, 28, 28 + 300000);
    assert_memory_equal(world->output, "* 1 FETCH (BODY[] {500000}\r\n", 28);
    assert_memory_equal(world->output + 28, message->bytes.data, world->output_size - 28);
    assert_int_equal(world->commits, 0);
}

/* Reads the output as a client does: lines that begin with "* " or "t1 ", literals passed over. */
static void check_lines(const struct imap_double *world)
{
    struct slice rest = slice_of(world->output, world->output_size);
    bool is_start = true;
    while (rest.size > 0) {
        size_t size = slice_find(rest, '\n');
        assert_true(size < rest.size && size > 0 && rest.data[size - 1] == '\r');
        struct slice line = slice_first(rest, size - 1);
        if (is_start)
            assert_true(slice_starts_nocase(line, SLICE("* ")) ||
                        slice_starts_nocase(line, SLICE("t1 ")));
        assert_null(memchr(line.data, '\r', line.size));
        rest = slice_from(rest, size + 1);
        is_start = line.size == 0 || line.data[line.size - 1] != '}';
        if (is_start)
            continue;
        size_t digits = line.size - 1;
        while (digits > 0 && line.data[digits - 1] != '{')
            digits--;
        uint64_t literal = 0;
        assert_true(slice_number(slice_of(line.data + digits, line.size - 1 - digits), rest.size,
                                 &literal));
        rest = slice_from(rest, literal);
    }
    assert_true(is_start);
}

/* Row I20: what a message or a client says never becomes a line of ours. */
static void test_injection(void **state)
{
    static const char *const messages[] = {
        "Subject: a)\n b {5}\nFrom: \"x\\\" \" <a@b>, =?utf-8?q?=0d=0a*_BYE?= <c@d>\n\n",
        "Subject: a\r* BYE\nTo: {5}\n\nx",
        "Subject: =?utf-8?b?DQoqIEJZRQ==?=\nMessage-ID: <a\"b\\c>\n\n",
        "Content-Type: text/plain; name=\"a\\\"{3}\"; charset=\"\xff)\"\nSubject: \xc3\xa4\n\n",
        ("Content-Type: multipart/mixed; boundary=\"a b\"\nContent-Disposition: x; y=\"{9}\"\n\n"
         "--a b\nContent-ID: ) {1}\n\nx\n--a b--\n"),
        "Content-Description: {7}\nSubject:\n\t{5}\n\n* BYE\n",
    };
    struct imap_double *world = *state;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        double_add(world, messages[i]);
    static const char *const asked[] = {
        "1:* FULL",
        "1:* (ENVELOPE BODYSTRUCTURE BODY[HEADER] BODY[1.MIME] RFC822)",
        "1:* (BODY[HEADER.FIELDS (SUBJECT \"{5}\" \"a\\\"b\" \"\\\\\" {3}\r\n]{))] UID)",
        "1:* BODY[HEADER.FIELDS.NOT (\"*\" \"x)\" ]]]]<7.9>",
    };
    for (size_t i = 0; i < 3; i++) {
        assert_true(double_fetch(world, asked[i]));
        check_lines(world);
    }
    assert_true(double_fetch(world, "1 BODY[HEADER.FIELDS (\"{5}\" \"a\\\"b\" {2}\r\n]{)]<0.1>"));
    assert_non_null(
        strstr(world->output, "BODY[HEADER.FIELDS (\"{5}\" \"a\\\"b\" \"]{\")]<0> {1}\r\n"));
    assert_false(double_fetch(world, asked[3]));
}

/* Many entries: bounded pieces, and others get their turn. */
static void test_many(void **state)
{
    enum { COUNT = 200000 };
    struct imap_double *world = *state;
    world->entries = calloc(COUNT, sizeof world->entries[0]);
    for (uint32_t i = 0; i < COUNT; i++)
        world->entries[i] = (struct mail_entry){.uid = i + 1, .modseq = 1, .message = 1};
    world->imap.view.count = COUNT;
    assert_true(double_fetch(world, "1:* (FLAGS UID)"));
    assert_int_equal(lines_count(world, "FETCH"), COUNT);
    assert_in_range(world->yields, COUNT / 1000, COUNT / 10);
    assert_in_range(world->write_largest, 1, 200);
    assert_true(double_fetch(world, "1:* UID (CHANGEDSINCE 5)"));
    assert_in_range(world->yields, COUNT / 1000, COUNT / 10);
    free(world->entries);
    world->entries = NULL;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_attributes),   TEST(test_sections),    TEST(test_grammar),
        TEST(test_limits),       TEST(test_partials),    TEST(test_sets),
        TEST(test_seen),         TEST(test_modseq),      TEST(test_damaged),
        TEST(test_expunged),     TEST(test_large),       TEST(test_breaks_off),
        TEST(test_large_header), TEST(test_header_ends), TEST(test_injection),
        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
