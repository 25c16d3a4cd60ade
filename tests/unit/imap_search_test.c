/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tidy: long because keys, answers and limits of one command are tables of their own
 *
 * SEARCH: its grammar, each key against messages, what is read for it, the answers, and how it ends
 * early. Rows I06, I08 and D11 of the list of bad input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../src/imap/search.h"
#include "imap_double.h"

#define PLAIN                                                                                      \
    "From: Anna <anna@example.test>\nTo: bob@example.test, carl@example.test\nCc: dora@b\n"        \
    "Date: Tue, 03 Mar 2020 23:30:00 -0500\nSubject: Meeting on\n Monday\nX-Empty:\n"              \
    "Date: Thu, 05 Mar 2020 23:30:00 -0500\n\n"                                                    \
    "The agenda\nis here\n"
#define ENCODED                                                                                    \
    "From: =?iso-8859-1?q?J=F6rg?= <j@b>\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\nBcc: eva@b\n"         \
    "Date: Wed, 04 Mar 2020 00:30:00 +0500\nMIME-Version: 1.0\n"                                   \
    "Content-Type: multipart/mixed; boundary=x\n\npreamble\n--x\n"                                 \
    "Content-Type: text/plain; charset=iso-8859-1\n"                                               \
    "Content-Transfer-Encoding: quoted-printable\n\nSch=F6ne Gr=FC=\n=DFe aus K=F6ln\n--x\n"       \
    "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\nX-Part: inside\n"  \
    "\nPGI+w5xiZXI8L2I+\n--x\nContent-Type: message/rfc822\n\n"                                    \
    "Subject: forwarded\nFrom: old@b\n\nan old text\n--x\n"                                        \
    "Content-Type: application/octet-stream\n\nagenda in binary\n--x--\n"

static int setup(void **state)
{
    struct imap_double *world = malloc(sizeof *world);
    double_init(world);
    double_add(world, PLAIN);
    double_add(world, ENCODED);
    double_add(world, "Subject: third\n\nnothing\n");
    double_add(world, "Date: no date\nSubject:\n\n");
    struct double_message *messages = world->messages;
    messages[0].entry.flags = MAIL_SEEN | MAIL_ANSWERED;
    messages[1].entry.flags = MAIL_FLAGGED | MAIL_DRAFT;
    messages[2].entry.flags = MAIL_DELETED;
    messages[2].entry.keywords = 1 << 3;
    world->imap.view.recent_after_uid = 20;
    messages[0].entry.date = 1583281800; /* 2020-03-04 00:30 UTC: 3 March in its zone */
    messages[0].entry.date_zone = -300;
    messages[1].entry.date = 1583281800;
    messages[1].entry.date_zone = 300;
    messages[2].entry.date = -1; /* the last second of 1969 */
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    double_deinit(*state);
    free(*state);
    return 0;
}

struct row {
    const char *keys, *found;
};

static void check_rows(struct imap_double *world, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char expected[300];
        snprintf(expected, sizeof expected, "* SEARCH%s%s\r\nt1 OK\r\n", *rows[i].found ? " " : "",
                 rows[i].found);
        if (!double_search(world, rows[i].keys) || strcmp(world->output, expected) != 0)
            fail_msg("%s: %s", rows[i].keys, world->output);
    }
}
#define CHECK_ROWS(world, rows) check_rows(world, rows, sizeof rows / sizeof rows[0])

static void test_entry_keys(void **state)
{
    static const struct row rows[] = {
        {"ALL", "1 2 3 4"},
        {"ANSWERED", "1"},
        {"UNANSWERED", "2 3 4"},
        {"DELETED", "3"},
        {"UNDELETED", "1 2 4"},
        {"DRAFT", "2"},
        {"UNDRAFT", "1 3 4"},
        {"FLAGGED", "2"},
        {"UNFLAGGED", "1 3 4"},
        {"SEEN", "1"},
        {"UNSEEN", "2 3 4"},
        {"KEYWORD $work", "3"},
        {"UNKEYWORD $Work", "1 2 4"},
        {"KEYWORD none", ""},
        {"UNKEYWORD none", "1 2 3 4"},
        {"RECENT", "3 4"},
        {"NEW", "3 4"},
        {"OLD", "1 2"},
        {"NOT OLD", "3 4"},
        {"LARGER 27", "1 2"},
        {"LARGER 26", "1 2 3 4"},
        {"SMALLER 27", ""},
        {"SMALLER 28", "3 4"},
        {"LARGER 9223372036854775807", ""},
        {"ON 3-Mar-2020", "1"},
        {"ON \"04-mar-2020\"", "2"},
        {"BEFORE 4-Mar-2020", "1 3 4"},
        {"SINCE 4-Mar-2020", "2"},
        {"ON 31-Dec-1969", "3"},
        {"1", "1"},
        {"2:3", "2 3"},
        {"*", "4"},
        {"4:2", "2 3 4"},
        {"3,1:2", "1 2 3"},
        {"9", ""},
        {"UID 10,30:4294967295", "1 3 4"},
        {"UID *", "4"},
        {"UID 11", ""},
        {"MODSEQ 1", "1 2 3 4 (MODSEQ 104)"},
        {"MODSEQ 103", "3 4 (MODSEQ 104)"},
        {"MODSEQ \"/flags/\\\\draft\" all 104", "4 (MODSEQ 104)"},
        {"MODSEQ 999", ""},
        {"NOT MODSEQ 103", "1 2 (MODSEQ 102)"},
    };
    struct imap_double *world = *state;
    world->messages[3].entry.modseq = 104;
    world->imap.enabled = IMAP_CONDSTORE;
    CHECK_ROWS(world, rows);
    assert_int_equal(world->reads, 0);
    assert_true(double_uid_search(world, "2:3"));
    assert_string_equal(world->output, "* SEARCH 20 30\r\nt1 OK\r\n");
}

static void test_logic(void **state)
{
    static const struct row rows[] = {
        {"SEEN ANSWERED", "1"},
        {"SEEN FLAGGED", ""},
        {"OR SEEN FLAGGED", "1 2"},
        {"NOT OR SEEN FLAGGED", "3 4"},
        {"OR NOT SEEN ANSWERED", "1 2 3 4"},
        {"OR OR 1 2 3", "1 2 3"},
        {"OR 1 OR 2 3", "1 2 3"},
        {"OR (1:2 UNSEEN) (3 DELETED)", "2 3"},
        {"NOT (1:2 UNSEEN)", "1 3 4"},
        {"NOT NOT SEEN", "1"},
        {"NOT NOT NOT SEEN", "2 3 4"},
        {"((((SEEN))))", "1"},
        {"(OR SEEN FLAGGED) 2:4", "2"},
        {"1:3 NOT 2", "1 3"},
        {"OR 9 1", "1"},
        {"NOT 9", "1 2 3 4"},
        {"NOT (OR (1) (OR (2) (3 NOT DELETED)))", "3 4"},
        {"2:3 UID 30:40", "3"},
        {"OR NEW 1", "1 3 4"},
        {"NOT NEW", "1 2"},
    };
    CHECK_ROWS(*state, rows);
}

static void test_header_keys(void **state)
{
    static const struct row rows[] = {
        {"FROM anna", "1"},
        {"FROM example.test", "1"},
        {"TO CARL@", "1"},
        {"CC dora", "1"},
        {"BCC eva", "2"},
        {"SUBJECT \"meeting on monday\"", "1"},
        {"SUBJECT \"\"", "1 2 3 4"},
        {"SUBJECT {7}\r\ngr\xc3\xbc\xc3\x9f"
         "e",
         "2"},
        {"FROM \"J\xc3\x96RG\"", "2"},
        {"CHARSET UTF-8 FROM \"j\xc3\xb6rg\"", "2"},
        {"CHARSET us-ascii FROM anna", "1"},
        {"CHARSET iso-8859-1 FROM {4}\r\nj\xf6rg", "2"},
        {"HEADER X-Empty \"\"", "1"},
        {"HEADER x-empty a", ""},
        {"HEADER Subject third", "3"},
        {"HEADER X-Part \"\"", ""},
        {"HEADER Date 2020", "1 2"},
        {"SENTON 3-Mar-2020", "1"}, /* the first of two Date fields */
        {"SENTON 5-Mar-2020", ""},
        {"SENTON 4-Mar-2020", "2"},
        {"SENTBEFORE 4-Mar-2020", "1"},
        {"SENTSINCE 3-Mar-2020", "1 2"},
        {"NOT SENTSINCE 1-Jan-1970", "3 4"},
        {"OR FROM anna SUBJECT third", "1 3"},
        {"FROM anna NOT TO carl", ""},
    };
    struct imap_double *world = *state;
    CHECK_ROWS(world, rows);
    assert_int_equal(world->summaries, 0);
}

static void test_body_keys(void **state)
{
    static const struct row rows[] = {
        {"BODY agenda", "1"},
        {"TEXT agenda", "1"},
        {"BODY \"sch\xc3\xb6ne gr\xc3\xbc\xc3\x9f"
         "e aus k\xc3\xb6ln\"",
         "2"},
        {"BODY \"<b>\xc3\xbc"
         "ber</b>\"",
         "2"},
        {"BODY \"an old text\"", "2"},
        {"BODY forwarded", "2"},
        {"BODY Meeting", ""},
        {"TEXT \"subject: meeting on monday\"", "1"},
        {"BODY inside", ""},
        {"TEXT inside", "2"},
        {"TEXT j\xc3\xb6rg", "2"},
        {"TEXT nothing", "3"},
        {"BODY nothing", "3"},
        {"BODY \"\"", "1 2 3 4"},
        {"OR BODY agenda BODY \xc3\xbc"
         "ber",
         "1 2"},
        {"OR TEXT third BODY agenda", "1 3"},
    };
    static const struct row opaque[] = {{"BODY nothing", "3"}, {"TEXT third", "3"}};
    struct imap_double *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char literal[200]; /* 8-bit atoms are none: all strings as literals */
        const char *quote = strpbrk(rows[i].keys, "\x80\xc3");
        if (quote == NULL || strchr(rows[i].keys, '"') != NULL) {
            check_rows(world, &rows[i], 1);
            continue;
        }
        const char *start = quote;
        while (start[-1] != ' ')
            start--;
        snprintf(literal, sizeof literal, "%.*s{%zu}\r\n%s", (int)(start - rows[i].keys),
                 rows[i].keys, strlen(start), start);
        struct row row = {literal, rows[i].found};
        check_rows(world, &row, 1);
    }
    world->messages[2].summary = (struct slice){0};
    CHECK_ROWS(world, opaque);
}

enum { LARGE_BYTES = 140000 };

struct large {
    const char *charset, *encoding, *needle;
    size_t line_bytes; /* 0: no line ends */
};

/* A message of one part that holds the needle at `place`; false: a line end would lie in it. */
static bool large_add(struct imap_double *world, const struct large *large, size_t place)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t needle_bytes = strlen(large->needle);
    if (large->line_bytes > 0 && place % large->line_bytes + needle_bytes > large->line_bytes - 2)
        return false;
    unsigned char *body = malloc(LARGE_BYTES);
    char *message = malloc(LARGE_BYTES * 2 + 1000);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        body[i] = 'x';
    for (size_t end = large->line_bytes; end > 0 && end <= LARGE_BYTES; end += large->line_bytes)
        memcpy(body + end - 2, "\r\n", 2);
    memcpy(body + place, large->needle, needle_bytes);
    size_t size = (size_t)sprintf(message,
                                  "Content-Type: text/plain; charset=%s\r\n"
                                  "Content-Transfer-Encoding: %s\r\n\r\n",
                                  large->charset, large->encoding);
    for (size_t i = 0; i + 2 < LARGE_BYTES; i++) {
        if (*large->encoding == 'b' && i % 3 == 0) {
            unsigned bits = (unsigned)body[i] << 16 | (unsigned)body[i + 1] << 8 | body[i + 2];
            for (int shift = 18; shift >= 0; shift -= 6)
                message[size++] = digits[bits >> shift & 63];
            if (i % 54 == 51)
                size += (size_t)sprintf(message + size, "\r\n");
        } else if (*large->encoding == 'q' && (body[i] >= 128 || body[i] == 'N')) {
            size += (size_t)sprintf(message + size, "=%02X", body[i]);
        } else if (*large->encoding != 'b') {
            message[size++] = (char)body[i];
        }
    }
    double_init(world);
    double_add_bytes(world, slice_of(message, size));
    free(body);
    free(message);
    return true;
}

/* K2: what is read follows what decides. */
static void test_reads(void **state)
{
    struct imap_double *world = *state;
    static const struct {
        const char *keys;
        unsigned reads, summaries;
    } rows[] = {
        {"SEEN ANSWERED", 0, 0},
        {"OR ALL BODY x", 0, 0},
        {"NOT ALL BODY x", 0, 0},
        {"3 FROM x", 1, 0},
        {"DELETED BODY x", 2, 1},        /* header, body */
        {"FROM anna BODY agenda", 6, 1}, /* 4 headers, one message's header and body */
        {"OR SEEN FROM x", 3, 0},
        {"OR (SEEN FROM anna) (UNSEEN 1)", 1, 0},
        {"9 BODY x", 0, 0},
        {"OR BODY \"\" TEXT \"\"", 0, 0},
        {"UID 30 BODY x", 2, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(double_search(world, rows[i].keys));
        if (world->reads != rows[i].reads || world->summaries != rows[i].summaries)
            fail_msg("%s: %u reads, %u summaries", rows[i].keys, world->reads, world->summaries);
    }
}

/* K2: what one leaf has found is not read on for another that does not matter. */
static void test_wanted(void **state)
{
    static const struct large large = {"utf-8", "8bit", "agenda", 0};
    struct imap_double *world = *state;
    double_deinit(world);
    assert_true(large_add(world, &large, 10));
    assert_true(double_search(world, "NOT (OR (UNSEEN BODY agenda) (SEEN BODY zzz)) UID 10"));
    assert_string_equal(world->output, "* SEARCH\r\nt1 OK\r\n");
    assert_in_range(world->bytes_read, 1, LARGE_BYTES / 2);
    assert_true(double_search(world, "OR BODY agenda BODY zzz"));
    assert_in_range(world->bytes_read, LARGE_BYTES, LARGE_BYTES + 1000);
}

static void test_returns(void **state)
{
    static const struct row rows[] = {
        {"RETURN () ALL", " ALL 1:4"},
        {"RETURN (ALL) NOT 2", " ALL 1,3:4"},
        {"RETURN (MIN) 2:3", " MIN 2"},
        {"RETURN (MAX) 2:3", " MAX 3"},
        {"RETURN (MIN MAX) 2:3", " MIN 2 MAX 3"},
        {"RETURN (MAX MIN) 4", " MIN 4 MAX 4"},
        {"RETURN (COUNT) UNSEEN", " COUNT 3"},
        {"RETURN (MIN MAX COUNT ALL) UNSEEN", " MIN 2 MAX 4 COUNT 3 ALL 2:4"},
        {"RETURN (min count) 9", " COUNT 0"},
        {"RETURN (MIN MAX ALL) 9", ""},
        {"RETURN (ALL) MODSEQ 102 1:3", " ALL 2:3 MODSEQ 103"},
        {"RETURN (MIN) MODSEQ 102", " MIN 2 MODSEQ 102"},
        {"RETURN (MIN MAX) MODSEQ 101", " MIN 1 MAX 4 MODSEQ 104"},
        {"RETURN (COUNT) MODSEQ 999", " COUNT 0"},
        {"RETURN (COUNT) CHARSET UTF-8 FROM anna", " COUNT 1"},
    };
    struct imap_double *world = *state;
    world->imap.enabled = IMAP_CONDSTORE;
    world->messages[3].entry.modseq = 104;
    char expected[200];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(expected, sizeof expected, "* ESEARCH (TAG \"t1\")%s\r\nt1 OK\r\n", rows[i].found);
        if (!double_search(world, rows[i].keys) || strcmp(world->output, expected) != 0)
            fail_msg("%s: %s", rows[i].keys, world->output);
    }
    assert_true(double_uid_search(world, "RETURN (MIN ALL) 2:4"));
    assert_string_equal(world->output, "* ESEARCH (TAG \"t1\") UID MIN 20 ALL 20,30,40\r\n"
                                       "t1 OK\r\n");
    world->messages[1].entry.expunged = true; /* is not found any more */
    assert_true(double_search(world, "RETURN (ALL) ALL"));
    assert_non_null(strstr(world->output, " ALL 1,3:4\r\n"));
    world->imap.view.count = 0;
    assert_true(double_search(world, "ALL"));
    assert_string_equal(world->output, "* SEARCH\r\nt1 OK\r\n");
    assert_true(double_search(world, "RETURN (MIN MAX) 1:*"));
    assert_string_equal(world->output, "* ESEARCH (TAG \"t1\")\r\nt1 OK\r\n");
}

/* Row I08: what is refused. tidy: long because it is a table. */
static void test_grammar(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "ALL ",
        " ALL",
        "ALL  SEEN",
        "()",
        "( SEEN)",
        "(SEEN",
        "(SEEN ",
        "SEEN)",
        "((SEEN)",
        "NOT",
        "NOT ",
        "NOT (",
        "NOT()",
        "OR",
        "OR SEEN",
        "OR SEEN ",
        "OR (SEEN)",
        "OR SEEN)",
        "(OR SEEN) FLAGGED",
        "(NOT) SEEN",
        "NOTSEEN",
        "FOO",
        "SEENX",
        "SEEN(FLAGGED)",
        "0",
        "1:0",
        "4294967296",
        "1,",
        "$",
        "UID",
        "UID ",
        "UID x",
        "UID 0",
        "BEFORE",
        "BEFORE x",
        "BEFORE 32-Jan-2020",
        "BEFORE 1-Foo-2020",
        "ON 29-Feb-2021",
        "ON \"1-Jan-2020",
        "SENTON 1-Jan-20",
        "LARGER",
        "LARGER x",
        "LARGER -1",
        "SMALLER 9223372036854775808",
        "KEYWORD",
        "KEYWORD \\Seen",
        "KEYWORD \"a\"",
        "FROM",
        "FROM ",
        "FROM \"a",
        "FROM (a)",
        "FROM {5}\r\nab",
        "FROM {2}\r\nabc",
        "HEADER",
        "HEADER a",
        "HEADER a ",
        "MODSEQ",
        "MODSEQ x",
        "MODSEQ \"/flags/x\" 1",
        "MODSEQ \"/flags/x\" some 1",
        "MODSEQ \"/other/x\" all 1",
        "RETURN",
        "RETURN (MIN)",
        "RETURN (MIN) ",
        "RETURN MIN ALL",
        "RETURN (MIN ALL",
        "RETURN ( MIN) ALL",
        "RETURN (MIN  MAX) ALL",
        "RETURN (MIN ) ALL",
        "RETURN (FOO) ALL",
        "RETURN (PARTIAL 4294967295:1) ALL",
        "RETURN (SAVE) ALL",
        "RETURN (MIN)(MAX) ALL",
        "CHARSET",
        "CHARSET UTF-8",
        "CHARSET UTF-8 ",
        "CHARSET UTF-8 RETURN (MIN) ALL",
        "ALL CHARSET UTF-8",
        "ALL\r\n",
    };
    struct imap_double *world = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (double_search(world, bad[i]))
            fail_msg("taken: %s", bad[i]);
    assert_true(double_search(world, "CHARSET klingon FROM a"));
    assert_string_equal(world->output, "t1 NO [BADCHARSET (US-ASCII UTF-8)]\r\n");
}

static char *repeat(const char *before, const char *part, unsigned count, const char *after)
{
    char *text = malloc(strlen(before) + strlen(part) * count + strlen(after) + 1), *at = text;
    at += sprintf(at, "%s", before);
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s", part);
    sprintf(at, "%s", after);
    return text;
}

static void check_limit(struct imap_double *world, const char *before, const char *part,
                        const char *after, unsigned allowed)
{
    unsigned counts[] = {1, allowed, allowed + 1, allowed * 2, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char *text = repeat(before, part, counts[i], after);
        if (double_search(world, text) != (counts[i] <= allowed))
            fail_msg("%u times %s: %.100s", counts[i], part, world->output);
        free(text);
    }
}

/* Row I08: depth and size. */
static void test_limits(void **state)
{
    struct imap_double *world = *state;
    check_limit(world, "", "NOT ", "SEEN", SEARCH_DEPTH_MAX - 1);
    check_limit(world, "", "OR SEEN ", "SEEN", SEARCH_DEPTH_MAX - 1);
    check_limit(world, "SEEN", " SEEN", "", (SEARCH_STEPS_MAX - 1) / 2);
    check_limit(world, "SEEN", " FROM a", "", SEARCH_READING_MAX);
    check_limit(world, "SEEN BODY ", "x", "", SEARCH_TEXT_BYTES_MAX);
    check_limit(world, "SEEN BODY ", "x", "", SEARCH_TEXT_BYTES_MAX);
    for (unsigned depth = 1; depth < 2 * SEARCH_DEPTH_MAX; depth++) {
        char *open = repeat("", "(", depth, "SEEN"), *text = repeat(open, ")", depth, "");
        assert_int_equal(double_search(world, text), depth < SEARCH_DEPTH_MAX);
        if (depth < SEARCH_DEPTH_MAX)
            assert_string_equal(world->output, "* SEARCH 1\r\nt1 OK\r\n");
        free(open);
        free(text);
        open = repeat("", "OR (SEEN NEW) (1 ", depth, "SEEN");
        text = repeat(open, ")", depth, "");
        assert_int_equal(double_search(world, text), depth < SEARCH_DEPTH_MAX / 2);
        free(open);
        free(text);
    }
}

/* Row D11: a message that cannot be read is not found, the others are, and it is said. */
static void test_damaged(void **state)
{
    struct imap_double *world = *state;
    world->messages[1].read_error = -EBADMSG;
    assert_true(double_search(world, "NOT SUBJECT xyz"));
    assert_string_equal(world->output, "* SEARCH 1 3 4\r\nt1 NO [74]\r\n");
    assert_true(double_search(world, "UNSEEN"));
    assert_string_equal(world->output, "* SEARCH 2 3 4\r\nt1 OK\r\n");
    world->messages[1].read_error = -ENOENT; /* expunged meanwhile */
    assert_true(double_search(world, "NOT BODY xyz"));
    assert_string_equal(world->output, "* SEARCH 1 3 4\r\nt1 OK\r\n");
    world->messages[1].read_error = 0;
    world->messages[2].summary_error = -EIO;
    assert_true(double_search(world, "RETURN (COUNT) NOT TEXT xyz"));
    assert_string_equal(world->output, "* ESEARCH (TAG \"t1\") COUNT 3\r\nt1 NO [5]\r\n");
    world->messages[2].summary_error = 0;
    world->messages[2].entry.size++; /* shorter than it says */
    assert_true(double_search(world, "3 FROM xyz"));
    assert_non_null(strstr(world->output, "t1 NO [74]"));
}

/* The needle at many places, so that it lies across the edges of pieces too: those are near 32768
 * bytes of the part, 23911 when it is base64. */
static void check_large(struct imap_double *world, const struct large *large)
{
    for (size_t place = 0; place < LARGE_BYTES - 100;) {
        if (large_add(world, large, place)) {
            assert_true(double_search(world, "RETURN (COUNT) BODY {6}\r\nn\xc3\x84"
                                             "dle"));
            if (strstr(world->output, "COUNT 1") == NULL)
                fail_msg("%s %s: not found at %zu", large->charset, large->encoding, place);
            assert_true(double_search(world, "RETURN (COUNT) BODY nadle"));
            assert_true(world->yields > 0);
            assert_non_null(strstr(world->output, "COUNT 0"));
            double_deinit(world);
        }
        bool is_near = (place >= 23860 && place < 23950) || (place >= 32700 && place < 32790);
        place += is_near ? 1 : place < 23860 ? 23860 - place : place < 32700 ? 32700 - place : 9973;
    }
}

static void test_large(void **state)
{
    static const struct large rows[] = {
        {"utf-8", "8bit",
         "N\xc3\xa4"
         "dle",
         61},
        {"utf-8", "8bit",
         "N\xc3\xa4"
         "dle",
         0},
        {"utf-8", "base64",
         "N\xc3\xa4"
         "dle",
         61},
        {"utf-8", "base64",
         "N\xc3\xa4"
         "dle",
         0},
        {"utf-8", "quoted-printable",
         "N\xc3\xa4"
         "dle",
         61},
        {"utf-8", "quoted-printable",
         "N\xc3\xa4"
         "dle",
         0},
        {"iso-8859-1", "8bit",
         "N\xe4"
         "dle",
         61},
        {"iso-8859-1", "base64",
         "N\xe4"
         "dle",
         0},
    };
    struct imap_double *world = *state;
    double_deinit(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_large(world, &rows[i]);
    double_init(world);
}

/* Many entries give way to others; a long search says so, and notices that its client is gone. */
static void test_long(void **state)
{
    enum { COUNT = 1000000 };
    struct imap_double *world = *state;
    world->entries = calloc(COUNT, sizeof world->entries[0]);
    for (uint32_t i = 0; i < COUNT; i++)
        world->entries[i] =
            (struct mail_entry){.uid = 2 * i + 1, .flags = i % 3 == 0 ? MAIL_SEEN : 0};
    world->imap.view.count = COUNT;
    assert_true(double_search(world, "RETURN (COUNT MAX) SEEN"));
    assert_string_equal(world->output, "* ESEARCH (TAG \"t1\") MAX 1000000 COUNT 333334\r\n"
                                       "t1 OK\r\n");
    assert_in_range(world->yields, COUNT / 5000, COUNT / 500);
    assert_true(double_uid_search(world, "SEEN"));
    assert_memory_equal(world->output, "* SEARCH 1 7 13 19", 18);
    assert_true(double_search(world, "RETURN (ALL) ALL"));
    assert_non_null(strstr(world->output, " ALL 1:1000000\r\n"));
    assert_true(double_search(world, "RETURN (MIN) SEEN"));
    assert_int_equal(world->yields, 0);
    world->yield_ns = 1000000000;
    assert_true(double_search(world, "RETURN (COUNT) SEEN"));
    assert_memory_equal(world->output, "* OK Still searching\r\n* OK Still", 32);
    world->imap.session.stream.end = -ECONNRESET;
    assert_true(double_search(world, "RETURN (COUNT) SEEN"));
    assert_int_equal(world->yields, 1);
    assert_int_equal(world->output_size, 0);
    free(world->entries);
    world->entries = NULL;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_entry_keys), TEST(test_logic),   TEST(test_header_keys), TEST(test_body_keys),
        TEST(test_reads),      TEST(test_wanted),  TEST(test_returns),     TEST(test_grammar),
        TEST(test_limits),     TEST(test_damaged), TEST(test_large),       TEST(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
