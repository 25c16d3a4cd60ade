/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is known of a conversation from the bytes that pass (src/proxy/follow.h): each case is
 * played in one piece and at every cut, and must be judged alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/proxy/follow.h"

/* The bytes of a backend, cut in two at each place, and one by one. */
static void between(enum backend_protocol protocol, const char *bytes, bool is_between)
{
    size_t size = strlen(bytes);
    for (size_t cut = 0; cut <= size; cut++) {
        struct follow follow;
        follow_begin(&follow, protocol);
        follow_down(&follow, slice_of(bytes, cut));
        follow_down(&follow, slice_of(bytes + cut, size - cut));
        if (follow_is_between_lines(&follow) != is_between)
            fail_msg("cut at %zu of: %s", cut, bytes);
    }
    struct follow follow;
    follow_begin(&follow, protocol);
    for (size_t i = 0; i < size; i++)
        follow_down(&follow, slice_of(bytes + i, 1));
    assert_int_equal(follow_is_between_lines(&follow), is_between);
}

static void lines(void **state)
{
    (void)state;
    between(BACKEND_IMAP, "", true);
    between(BACKEND_IMAP, "* 1 EXISTS\r\n", true);
    between(BACKEND_IMAP, "* 1 EXISTS\r\n* 2", false);
    between(BACKEND_IMAP, "* 1 EXISTS\r", false);
    between(BACKEND_IMAP, "a OK done\r\n", true);
    between(BACKEND_SUBMISSION, "250 ok\r\n", true);
    between(BACKEND_SUBMISSION, "250 o", false);
    between(BACKEND_SIEVE, "OK\r\n", true);
    between(BACKEND_POP3, "+OK\r\n", false); /* who knows what of */
}

static void literals(void **state)
{
    (void)state;
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {12}\r\nline\r\nline\r\n)\r\n", true);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {12}\r\nline\r\nline\r\n", false);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {12}\r\nline\r\n", false);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {14}\r\n* BYE\r\n* OK\r\n", false);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] ~{4}\r\n\r\n\r\n BODY[2] {2}\r\n\r\n)\r\n", true);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {0}\r\n)\r\n", true);
    between(BACKEND_IMAP, "* 1 FETCH (BODY[] {0}\r\n", false);
    between(BACKEND_IMAP, "* LIST () \"/\" {4294967296}\r\n0\r\n", false);
    between(BACKEND_IMAP, "* LIST () \"/\" {99999999999999999999999}\r\n", true); /* none */
    between(BACKEND_IMAP, "* LIST () \"/\" {}\r\n", true);
    between(BACKEND_IMAP, "* LIST () \"/\" 5}\r\n", true);
    between(BACKEND_SIEVE, "{5}\r\nab\r\ncOK\r\n", true);
    between(BACKEND_SIEVE, "{5}\r\nab\r\n", false);
    between(BACKEND_SIEVE, "NO {4}\r\nab\r\n", false);
}

/* Texts for people are not literals, whatever they end in. */
static void texts(void **state)
{
    (void)state;
    between(BACKEND_IMAP, "* OK no such box {5}\r\n", true);
    between(BACKEND_IMAP, "* NO no such box {5}\r\n", true);
    between(BACKEND_IMAP, "a12 NO no such box {50}\r\n", true);
    between(BACKEND_IMAP, "+ go on {50}\r\n", true);
    between(BACKEND_IMAP, "* NAMESPACE {3}\r\n", false);
}

static struct follow idling(const char *up, const char *down)
{
    struct follow follow;
    follow_begin(&follow, BACKEND_IMAP);
    follow_up(&follow, slice_cstr(up));
    follow_down(&follow, slice_cstr(down));
    return follow;
}

static void idle(void **state)
{
    (void)state;
    assert_int_equal(idling("a IDLE\r\n", "").idle, FOLLOW_IDLE_ASKED);
    assert_int_equal(idling("a IDLE\r\n", "+ idling\r\n").idle, FOLLOW_IDLE);
    assert_int_equal(idling("a idle\r\n", "+\r\n").idle, FOLLOW_IDLE);
    assert_int_equal(idling("a NOOP\r\nb IDLE\r\n", "a OK\r\n+ idling\r\n* 1 EXISTS\r\n").idle,
                     FOLLOW_IDLE);
    assert_int_equal(idling("a IDLE\r\n", "a NO\r\n").idle, FOLLOW_IDLE_ASKED);
    assert_int_equal(idling("a IDLED\r\n", "+ idling\r\n").idle, FOLLOW_BUSY);
    assert_int_equal(idling("IDLE", "+ idling\r\n").idle, FOLLOW_BUSY);
    /* A literal's text that looks so, and what the backend says to it. */
    assert_int_equal(idling("I am IDLE\r\n", "a OK APPEND\r\n").idle, FOLLOW_IDLE_ASKED);
    struct follow follow = idling("a IDLE\r\n", "+ idling\r\n");
    follow_up(&follow, SLICE("D"));
    assert_int_equal(follow.idle, FOLLOW_BUSY);
    follow_up(&follow, SLICE("ONE\r\nb ID"));
    follow_up(&follow, SLICE("LE\r"));
    follow_up(&follow, SLICE("\n"));
    assert_int_equal(follow.idle, FOLLOW_IDLE_ASKED);
    follow_down(&follow, SLICE("a OK done\r\n+"));
    assert_int_equal(follow.idle, FOLLOW_IDLE);
    assert_false(follow_is_between_lines(&follow));
    follow_down(&follow, SLICE(" idling\r\n"));
    assert_true(follow_is_between_lines(&follow));
    follow_down(&follow, SLICE("b OK the server ends it\r\n"));
    assert_int_equal(follow.idle, FOLLOW_BUSY);
}

static bool quits(enum backend_protocol protocol, const char *text)
{
    struct follow follow;
    follow_begin(&follow, protocol);
    for (size_t i = 0; i < strlen(text); i++)
        follow_up(&follow, slice_of(text + i, 1));
    return follow.has_quit;
}

static void goodbyes(void **state)
{
    (void)state;
    assert_true(quits(BACKEND_IMAP, "a NOOP\r\nb LOGOUT\r\n"));
    assert_true(quits(BACKEND_POP3, "quit\r\n"));
    assert_true(quits(BACKEND_SUBMISSION, "QUIT\n"));
    assert_true(quits(BACKEND_SIEVE, "LOGOUT\r\n"));
    assert_false(quits(BACKEND_IMAP, "a LOGOUT\r\nb"));
    assert_false(quits(BACKEND_IMAP, "LOGOUT\r\n"));
    assert_false(quits(BACKEND_POP3, "QUIT"));
}

static void leaving(void **state)
{
    static const struct {
        enum backend_protocol protocol;
        const char *text;
        bool leaves;
    } rows[] = {
        {BACKEND_IMAP, "a NOOP\r\nb UNAUTHENTICATE\r\n", true},
        {BACKEND_IMAP, "a-very-long-tag-of-a-client unauthenticate\n", true},
        {BACKEND_IMAP, "a UNAUTHENTICATE\r", false},
        {BACKEND_IMAP, "UNAUTHENTICATE\r\n", false},
        {BACKEND_IMAP, "a UNAUTHENTICATED\r\n", false},
        {BACKEND_IMAP, "a UNAUTHENTICATE\r\nb NOOP\r\n", false}, /* when it has gone on */
        {BACKEND_SIEVE, "UNAUTHENTICATE\r\n", true},
        {BACKEND_POP3, "UNAUTHENTICATE\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct follow follow;
        follow_begin(&follow, rows[i].protocol);
        for (size_t at = 0; at < strlen(rows[i].text); at++)
            follow_up(&follow, slice_of(rows[i].text + at, 1));
        if (follow.has_left != rows[i].leaves)
            fail_msg("%s", rows[i].text);
    }
}

static bool says_bye(enum backend_protocol protocol, const char *text)
{
    struct follow follow;
    follow_begin(&follow, protocol);
    for (size_t i = 0; i < strlen(text); i++)
        follow_down(&follow, slice_of(text + i, 1));
    return follow.has_bye;
}

static void backend_goodbyes(void **state)
{
    (void)state;
    assert_true(says_bye(BACKEND_IMAP, "* 1 EXISTS\r\n* BYE\r\n"));
    assert_true(says_bye(BACKEND_IMAP, "* bye [UNAVAILABLE] {5}\r\n"));
    assert_true(says_bye(BACKEND_SIEVE, "BYE (TRYLATER) {2}\r\nab\r\n"));
    assert_true(says_bye(BACKEND_SUBMISSION, "250 2.0.0 {3}\r\n421 4.4.2 late\r\n"));
    assert_false(says_bye(BACKEND_IMAP, "* BYE"));
    assert_false(says_bye(BACKEND_IMAP, "* BYE\r\n* 1 EXISTS\r\n"));
    assert_false(says_bye(BACKEND_IMAP, "* 1 FETCH (BODY[] {7}\r\n* BYE\r\n"));
    assert_false(says_bye(BACKEND_SUBMISSION, "250 421\r\n"));
    assert_false(says_bye(BACKEND_POP3, "* BYE\r\n"));
}

/* TLS or compression by a command: nothing of ours may be said any more. */
static void opaque(void **state)
{
    (void)state;
    static const char *const commands[] = {"a COMPRESS DEFLATE\r\n", "a STARTTLS\r\n", "stls\n"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct follow follow = idling(commands[i], "a OK\r\n");
        assert_true(follow.is_opaque);
        assert_false(follow_is_between_lines(&follow));
        follow_up(&follow, SLICE("b IDLE\r\n"));
        assert_false(follow_is_between_lines(&follow));
    }
    assert_false(idling("a LOGIN STARTTLSX\r\n", "").is_opaque);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),  cmocka_unit_test(literals), cmocka_unit_test(texts),
        cmocka_unit_test(idle),   cmocka_unit_test(goodbyes), cmocka_unit_test(backend_goodbyes),
        cmocka_unit_test(opaque), cmocka_unit_test(leaving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
