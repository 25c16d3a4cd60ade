/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of all shapes on their way to a backend, by BDAT and by DATA: each comes as it is, or
 * not at all; backends that answer before they have it, or read slowly; senders that leave;
 * batches of recipients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "transfer_peer.h"

#define ENVELOPE                                                                                   \
    "< MAIL FROM:<sender@example.org>\n< RCPT TO:<u0@example.com>\n> 250 OK\n> 250 OK\n"
#define BDAT ENVELOPE "bdat\n> 250 2.0.0 Saved\n"
#define DATA ENVELOPE "< DATA\n> 354 go\ndata\n> 250 2.0.0 Saved\n"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

enum { PIECE = 256 * 1024, LARGE_MAX = 16 * 1024 * 1024 };
static char script[60000];
static char *large; /* lines of 64 bytes, each seventh of which begins with a dot */
static size_t large_size;

static void large_make(void)
{
    large_size = harness_is_simulated() ? 1024 * 1024 : LARGE_MAX;
    large = malloc(large_size);
    check(large != NULL);
    for (size_t i = 0; i < large_size; i++)
        large[i] = i % 64 == 62   ? '\r'
                   : i % 64 == 63 ? '\n'
                   : i % 448 == 0 ? '.'
                                  : (char)('a' + i / 64 % 26);
}

static void comes(struct core *core, struct slice bytes, bool by_bdat)
{
    struct peer_case one = {by_bdat ? "PIPELINING CHUNKING" : "PIPELINING", by_bdat ? BDAT : DATA,
                            .message = {.bytes = bytes}, .is_sent = true, .wait_ms = 60000};
    peer_check(core, &one);
}

static void both(struct core *core, struct slice bytes)
{
    comes(core, bytes, true);
    comes(core, bytes, false);
}

/* ---------------------------------------------------------------- shapes */

static void shapes_body(struct core *core)
{
    static const char *const texts[] = {
        "",           "a",      "\r\n",        ".",  ".\r\n",           "..",     "..\r\n.\r\n",
        "a\r\n.\r\n", "a\r\n.", "a\r\n..\r\n", "a.", "\r\n.\r\n\r\n.b", ".\r\n.", "a.\r\n.a\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        both(core, slice_cstr(texts[i]));
    /* no text but dots at the beginning of lines */
    char dots[3000];
    for (size_t i = 0; i < sizeof dots; i++)
        dots[i] = ".\r\n"[i % 3];
    both(core, slice_of(dots, sizeof dots));
}

static void shapes(void **state)
{
    (void)state;
    peer_run(shapes_body);
}

/* Pieces end in text, within CRLF, in front of a dot and behind it. */
static void borders_body(struct core *core)
{
    large_make();
    for (size_t skipped = 0; skipped < 3; skipped++)
        for (size_t size = PIECE - 1; size <= PIECE + 2; size++) {
            /* a dot begins the line at the border when nothing is skipped */
            large[PIECE] = skipped == 0 ? '.' : 'x';
            bool is_whole = large[skipped + size - 1] != '\r';
            if (is_whole)
                both(core, slice_of(large + skipped, size));
            else
                comes(core, slice_of(large + skipped, size), true);
        }
    large[PIECE] = 'x';
    both(core, slice_of(large, large_size - 64));
    free(large);
}

static void borders(void **state)
{
    (void)state;
    peer_run(borders_body);
}

/* S10: what somebody might take for the end, and what might be taken for commands behind it. By
 * BDAT it is bytes; by DATA it is not sent. */
static void smuggling_body(struct core *core)
{
    static const struct slice ends[] = {
        TEXT("\n.\n"),       TEXT("\n.\r\n"),   TEXT("\r\n.\n"),    TEXT("\r.\r"),
        TEXT("\r.\r\n"),     TEXT("\r.\n"),     TEXT("\n.\r"),      TEXT("\r\n.\r"),
        TEXT("\r\n\0.\r\n"), TEXT("\r\n.\r\n"), TEXT("\r\n..\r\n"),
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (unsigned is_far = 0; is_far < 2; is_far++) {
            static char text[PIECE + 200];
            size_t size = is_far ? PIECE - i % 3 : 6;
            memset(text, 'a', size);
            memcpy(text + size, ends[i].data, ends[i].size);
            size += ends[i].size;
            memcpy(text + size, "MAIL FROM:<evil@example.org>\r\n", 30);
            struct slice bytes = slice_of(text, size + 30);
            comes(core, bytes, true);
            if (i >= 8) {
                comes(core, bytes, false);
                continue;
            }
            struct peer_case one = {"PIPELINING",
                                    DATA,
                                    .message = {.bytes = bytes},
                                    .is_sent = true,
                                    .result = -EAGAIN,
                                    .problem = "takes no bare CR or LF",
                                    .results = {-EACCES},
                                    .replies = {"554 5.6.1 "}};
            peer_check(core, &one);
            check(!peer.has_message && peer.behind_size == 0);
            check(memchr(peer.got, '.', peer.got_size) == NULL);
        }
    /* a CR at the very end */
    struct peer_case one = {"PIPELINING",
                            DATA,
                            .message = {.bytes = {"a\r\nb\r", 5}},
                            .is_sent = true,
                            .result = -EAGAIN,
                            .problem = "takes no bare CR or LF",
                            .results = {-EACCES},
                            .replies = {"554 5.6.1 "}};
    peer_check(core, &one);
    check(!peer.has_message);
}

static void smuggling(void **state)
{
    (void)state;
    peer_run(smuggling_body);
}

/* ---------------------------------------------------------------- early, slow */

#define EARLY "answered before it had the message"
#define ODD   "451 4.5.0 "

/* X08, X09 */
static const struct peer_case early[] = {
    {"", "nap\n> 552 5.3.4 too big\nstall\n", .problem = EARLY, .results = {-EACCES},
     .replies = {"552 5.3.4 too big"}},
    {"", "> 552 5.3.4 too big\nstall\n", .problem = EARLY, .results = {-EACCES},
     .replies = {"552 5.3.4 too big"}},
    {"", "> 552 5.3.4 too big\n", .problem = EARLY, .results = {-EACCES}},
    {"", "> 452 4.3.1 full\nstall\n", .problem = EARLY, .results = {-EAGAIN},
     .replies = {"452 4.3.1 full"}},
    {"", "> 421 4.3.2 bye\nstall\n", .problem = EARLY, .results = {-EAGAIN},
     .replies = {"451 4.3.2 bye"}},
    /* R1, R2: these may be meant for something else */
    {"", "> 250 2.0.0 Saved\nstall\n", .problem = EARLY, .results = {-EAGAIN}, .replies = {ODD}},
    {"", "> 250 2.0.0 Saved\n", .problem = EARLY, .results = {-EAGAIN}, .replies = {ODD}},
    {"", "> 550 5.7.1 spam\nstall\n", .problem = EARLY, .results = {-EAGAIN}, .replies = {ODD}},
    {"", "> what\nstall\n", .problem = "sent what is no answer", .results = {-EAGAIN},
     .replies = {ODD}},
    {"", "+ 55\nstall\n", .wait_ms = 1000, .problem = "timed out", .results = {-EAGAIN},
     .replies = {"451 4.4.2 "}},
    {"", "stall\n", .wait_ms = 1000, .problem = "timed out", .results = {-EAGAIN}},
};

static void early_one(struct core *core, const struct peer_case *row, const char *begin,
                      const char *offers)
{
    struct peer_case one = *row;
    snprintf(script, sizeof script, "%stake 1000\n%s", begin, row->script);
    one.script = script;
    one.offers = offers;
    one.result = -EAGAIN;
    one.is_sent = true;
    one.wait_ms = row->wait_ms ? row->wait_ms : 60000;
    one.message.bytes = slice_of(large, large_size);
    if (harness_is_simulated()) { /* whose wire takes all, at times before the answer comes */
        static struct peer_result result;
        peer_transfer(core, &one, &result);
        bool is_doubtful = row->replies[0] != NULL && strcmp(row->replies[0], ODD) == 0;
        check(is_doubtful || result.recipients[0].result == row->results[0]);
    } else {
        peer_check(core, &one);
        check(!peer.has_message);
    }
    check(peer.ms < 3000 || harness_is_simulated()); /* not the whole time */
    check(peer.ms < one.wait_ms / 2 || row->wait_ms > 0);
}

static void early_body(struct core *core)
{
    large_make();
    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        early_one(core, &early[i], ENVELOPE "< BDAT *\n", "PIPELINING CHUNKING");
        early_one(core, &early[i], ENVELOPE "< DATA\n> 354 go\n", "PIPELINING");
    }
    free(large);
}

static void early_ones(void **state)
{
    (void)state;
    peer_run(early_body);
}

/* X07: it is gone in the middle, which shows as one or the other. */
static void closes_body(struct core *core)
{
    static struct peer_result result;
    large_make();
    for (unsigned i = 0; i < 2; i++) {
        struct peer_case one = {i ? "PIPELINING CHUNKING" : "PIPELINING",
                                i ? ENVELOPE "< BDAT *\ntake 1000\nclose\n"
                                  : ENVELOPE "< DATA\n> 354 go\ntake 1000\nclose\n",
                                .message = {.bytes = slice_of(large, large_size)},
                                .wait_ms = 60000};
        peer_transfer(core, &one, &result);
        check_equal(result.result, -EAGAIN);
        check(result.is_sent && result.transfer.problem != NULL);
        check(strstr(result.transfer.problem, "the connection") != NULL);
        check_equal(result.recipients[0].result, -EAGAIN);
        check(!result.transfer.may_come_twice || harness_is_simulated());
    }
    free(large);
}

static void closes(void **state)
{
    (void)state;
    peer_run(closes_body);
}

static void slow_body(struct core *core)
{
    large_make();
    for (unsigned i = 0; i < 2; i++) {
        struct peer_case one = {i ? "PIPELINING CHUNKING" : "PIPELINING",
                                i ? "slow\n" BDAT : "slow\n" DATA,
                                .message = {.bytes = slice_of(large, large_size / 2)},
                                .is_sent = true, .wait_ms = 600000};
        peer_check(core, &one);
    }
    free(large);
}

static void slow(void **state)
{
    (void)state;
    peer_run(slow_body);
}

/* ---------------------------------------------------------------- who waits */

static unsigned looks, looks_max;

static bool gone(void *argument)
{
    (void)argument;
    return ++looks > looks_max;
}

static bool gone_behind(void *argument)
{
    (void)argument;
    return peer.has_message;
}

/* F2: nothing is sent that would end the message. */
static void leaves_body(struct core *core)
{
    static struct peer_result result;
    large_make();
    for (unsigned i = 0; i < 4; i++) {
        unsigned left = 0;
        struct peer_case one = {i % 3 == 0 ? "PIPELINING CHUNKING" : "PIPELINING",
                                i % 3 == 0 ? BDAT : DATA,
                                .message = {.bytes = slice_of(large, i >= 2 ? 640 : PIECE * 3)},
                                .gone = gone, .wait_ms = 60000};
        result.result = -EAGAIN;
        for (looks_max = 0; result.result != 0; looks_max++) {
            looks = 0;
            peer_transfer(core, &one, &result);
            if (result.result == 0)
                break;
            left++;
            check_equal(result.recipients[0].result, -EAGAIN);
            check(strcmp(result.transfer.problem, "the sender left") == 0);
            check(!peer.has_message && !result.transfer.may_come_twice);
        }
        check(left >= (i >= 2 ? 1 : 3) && left < 10 && peer.has_message);
    }
    /* behind the end nobody asks: the answer is still of use */
    struct peer_case late = {"PIPELINING CHUNKING",
                             ENVELOPE "bdat\nnap\nnap\nnap\nnap\n> 250 2.0.0 Saved\n",
                             .gone = gone_behind, .is_sent = true};
    peer_check(core, &late);
    /* while an answer is waited for */
    struct peer_case one = {"PIPELINING", "stall\n", .gone = gone, .wait_ms = 60000};
    looks = 0;
    looks_max = 2;
    peer_transfer(core, &one, &result);
    check(strcmp(result.transfer.problem, "the sender left") == 0);
    check(!result.is_sent && result.ms < 10000);
    free(large);
}

static void leaves(void **state)
{
    (void)state;
    peer_run(leaves_body);
}

/* ---------------------------------------------------------------- batches */

/* `number` where the format has one. */
static char *put(char *at, const char *format, unsigned number)
{
    size_t room = (size_t)(script + sizeof script - at);
    const char *percent = strstr(format, "%u");
    int size = percent == NULL ? snprintf(at, room, "%s", format)
                               : snprintf(at, room, "%.*s%u%s", (int)(percent - format), format,
                                          number, percent + 2);
    check(size >= 0 && (size_t)size < room);
    return at + size;
}

/* No more than 100 commands, or 32 KiB, are on their way without an answer. */
static void batches_body(struct core *core)
{
    static char orcpt[901];
    memset(orcpt, 'x', sizeof orcpt - 1);
    memcpy(orcpt, "rfc822;", 7);
    for (unsigned is_long = 0; is_long < 2; is_long++) {
        unsigned count = 250, next = 0, batch = is_long ? 36 : 100;
        char *at = put(script, "< MAIL*\n", 0);
        for (bool is_first = true; next < count; is_first = false) {
            unsigned end = next + batch < count ? next + batch : count;
            for (unsigned i = next; i < end; i++)
                at = put(at, "< RCPT TO:<u%u@example.com>*\n", i);
            at = put(at, is_first ? "quiet\n> 250 OK\n" : "quiet\n", 0);
            for (; next < end; next++)
                at = put(at, next % 10 == 0 ? "> 550 who\n" : "> 250 OK\n", 0);
        }
        at = put(at, "bdat\n", 0);
        for (unsigned i = 0; i < count; i++)
            if (i % 10 != 0)
                at = put(at, i % 10 == 9 ? "> 452 full\n" : "> 250 Saved\n", 0);
        static struct peer_result result;
        struct peer_case one = {is_long ? "PIPELINING CHUNKING DSN" : "PIPELINING CHUNKING", script,
                                .count = count, .orcpt = orcpt, .wait_ms = 60000};
        peer_transfer(core, &one, &result);
        if (peer.problem[0] != '\0')
            fprintf(stderr, "%s\n", peer.problem);
        check(peer.problem[0] == '\0' && peer.has_message);
        check_equal(result.result, 0);
        for (unsigned i = 0; i < count; i++)
            check_equal(result.recipients[i].result, i % 10 == 0   ? -EACCES
                                                     : i % 10 == 9 ? -EAGAIN
                                                                   : 0);
    }
}

static void batches(void **state)
{
    (void)state;
    peer_run(batches_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(shapes),     cmocka_unit_test(borders), cmocka_unit_test(smuggling),
        cmocka_unit_test(early_ones), cmocka_unit_test(closes),  cmocka_unit_test(slow),
        cmocka_unit_test(leaves),     cmocka_unit_test(batches),
    };
    return cmocka_run_group_tests_name("transfer_data", list, NULL, NULL);
}

int main(void)
{
    setenv("WORLDS", "3", 0);
    return harness_main(tests);
}
