/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What --verify finds: a message read at every split, each byte of its body altered in turn; the
 * books with planted faults, and against a slow model of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "verify.h"

static const struct load_options options = {.seed = 11, .size_bytes = 900};

/* A message as a server gives it back: with trace fields in front. */
static struct slice stored(uint64_t number)
{
    static const char trace[] = "Return-Path: <bench@example.org>\r\n"
                                "Received: from x by y; a very long line, longer than the reader "
                                "keeps, so that it is cut there and passed over, and this is the "
                                "end of it\r\n";
    struct content *content = NULL;
    struct content_message message;
    char problem[200];
    assert_int_equal(content_open(&options, &content, problem), 0);
    assert_int_equal(content_make(content, number, &message), 0);
    size_t size = sizeof trace - 1 + message.head.size + message.body.size;
    char *text = malloc(size);
    memcpy(text, trace, sizeof trace - 1);
    memcpy(text + sizeof trace - 1, message.head.data, message.head.size);
    memcpy(text + sizeof trace - 1 + message.head.size, message.body.data, message.body.size);
    content_release(&message);
    content_close(content);
    return slice_of(text, size);
}

static int read_whole(struct slice text, uint64_t *ret_number)
{
    struct verify_reader reader = {0};
    verify_feed(&reader, text);
    return verify_end(&reader, &options, ret_number);
}

static size_t body_of(struct slice text)
{
    return (size_t)((char *)memmem(text.data, text.size, "\r\n\r\n", 4) - text.data) + 4;
}

static void splits(void **state)
{
    (void)state;
    struct slice text = stored(42);
    for (size_t at = 0; at <= text.size; at++) {
        struct verify_reader reader = {0};
        uint64_t number = 0;
        verify_feed(&reader, slice_first(text, at));
        verify_feed(&reader, slice_from(text, at));
        assert_int_equal(verify_end(&reader, &options, &number), LOAD_FINE);
        assert_int_equal(number, 42);
    }
    struct verify_reader reader = {0};
    uint64_t number = 0;
    for (size_t at = 0; at < text.size; at++)
        verify_feed(&reader, slice_of(text.data + at, 1));
    assert_int_equal(verify_end(&reader, &options, &number), LOAD_FINE);
    assert_int_equal(number, 42);
    free((void *)(uintptr_t)text.data);
}

static void altered(void **state)
{
    (void)state;
    struct slice text = stored(7);
    char *data = (char *)(uintptr_t)text.data;
    uint64_t number;
    for (size_t at = body_of(text); at < text.size; at++) {
        data[at] ^= 1;
        number = 0;
        assert_int_equal(read_whole(text, &number), LOAD_ALTERED);
        assert_int_equal(number, 7);
        data[at] ^= 1;
    }
    assert_int_equal(read_whole(slice_first(text, text.size - 2), &number), LOAD_ALTERED);
    assert_int_equal(read_whole(slice_first(text, body_of(text)), &number), LOAD_ALTERED);
    assert_int_equal(read_whole(text, &number), LOAD_FINE);
    free(data);
}

static void not_ours(void **state)
{
    (void)state;
    uint64_t number = 99;
    assert_int_equal(read_whole(SLICE(""), &number), -1);
    assert_int_equal(read_whole(SLICE("Subject: x\r\n\r\nbody\r\n"), &number), -1);
    static const char *const marks[] = {
        "X-Ringpost-Bench: 000000000000000c-000000000042-0-00000000", /* another seed */
        "X-Ringpost-Bench: 000000000000000b-00000000004-0-00000000",
        "X-Ringpost-Bench: 000000000000000b-000000000042--00000000",
        "X-Ringpost-Bench: 000000000000000b-000000000042-0-0000000",
        "X-Ringpost-Bench: 000000000000000B-000000000042-0-00000000",
        "X-Ringpost-Bench: 000000000000000b-000000000042-0-00000000 ",
        "X-Ringpost-Bench: 000000000000000b",
        "X-Ringpost-Bench: 000000000000000b-",
        "X-Ringpost-Bench: ",
        "Y-Ringpost-Bench: 000000000000000b-000000000042-0-00000000"};
    for (unsigned i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        struct verify_reader reader = {0};
        verify_feed(&reader, slice_cstr(marks[i]));
        verify_feed(&reader, SLICE("\r\n\r\n"));
        assert_int_equal(verify_end(&reader, &options, &number), -1);
    }
    /* A mark in the body is none. */
    assert_int_equal(read_whole(SLICE("A: b\r\n\r\nX-Ringpost-Bench: "
                                      "000000000000000b-000000000042-0-00000000\r\n"),
                                &number),
                     -1);
    assert_int_equal(number, 99);
    assert_int_equal(read_whole(SLICE("X-Ringpost-Bench: "
                                      "000000000000000b-000000000042-0-00000000\r\n\r\n"),
                                &number),
                     LOAD_FINE);
    assert_int_equal(number, 42);
}

/* ---------------------------------------------------------------- the books */

static void finish(struct verify *verify, uint64_t missing, uint64_t doubled)
{
    struct measure *measure = calloc(1, sizeof *measure);
    verify_finish(verify, measure);
    assert_int_equal(measure->missing, missing);
    assert_int_equal(measure->doubled, doubled);
    assert_int_equal(measure->errors[LOAD_MISSING], missing);
    assert_int_equal(measure->errors[LOAD_DOUBLED], doubled);
    assert_int_equal(measure->errors[LOAD_OURS], 0);
    free(measure);
    verify_destroy(verify);
}

static void planted(void **state)
{
    (void)state;
    static const struct {
        const char *books; /* a letter each: Accepted Maybe Deleted Before Seen */
        unsigned missing, doubled;
    } rows[] = {{"", 0, 0},     {"AS", 0, 0},    {"A", 1, 0},   {"ASS", 0, 1}, {"ASSS", 0, 2},
                {"M", 0, 0},    {"MS", 0, 0},    {"MSS", 0, 1}, {"AMS", 0, 0}, {"AMSS", 0, 0},
                {"AD", 0, 0},   {"ADS", 0, 0},   {"B", 1, 0},   {"BS", 0, 0},  {"BAS", 1, 0},
                {"BASS", 0, 0}, {"BASSS", 0, 1}, {"S", 0, 0},   {"SS", 0, 0},  {"BD", 0, 0}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct verify *verify;
        assert_int_equal(verify_create(2, &verify), 0);
        for (const char *book = rows[i].books; *book != '\0'; book++)
            assert_true(verify_note(verify, (unsigned)(book - rows[i].books) % 2,
                                    (enum verify_book)(strchr("AMDBS", *book) - "AMDBS"), 5, 3));
        /* The same number for another user, and the next number, are others. */
        verify_note(verify, 0, VERIFY_ACCEPTED, 5, 4);
        verify_note(verify, 1, VERIFY_SEEN, 5, 4);
        verify_note(verify, 0, VERIFY_ACCEPTED, 6, 3);
        verify_note(verify, 0, VERIFY_SEEN, 6, 3);
        finish(verify, rows[i].missing, rows[i].doubled);
    }
}

static void unread(void **state)
{
    (void)state;
    struct verify *verify;
    uint32_t counts[10] = {0};
    assert_int_equal(verify_create(1, &verify), 0);
    for (unsigned user = 0; user < 12; user++)
        for (uint64_t number = 0; number < 3; number++)
            verify_note(verify, 0, VERIFY_ACCEPTED, 100 * user + number, user);
    verify_note(verify, 0, VERIFY_BEFORE, 999, 4);
    verify_note(verify, 0, VERIFY_DELETED, 301, 3);
    verify_expect(verify, 10, counts);
    for (unsigned user = 0; user < 10; user++)
        assert_int_equal(counts[user], user == 4 ? 4 : user == 3 ? 2 : 3);
    for (unsigned user = 0; user < 12; user += 2)
        verify_note(verify, 0, VERIFY_UNREAD, 0, user);
    finish(verify, 6 * 3 - 1, 0);
}

/* Many entries in any order, over several chunks and cores. */
static void many(void **state)
{
    (void)state;
    enum { MESSAGES = 50000 };
    struct verify *verify;
    uint64_t random = 1, missing = 0, doubled = 0;
    uint64_t *seen = malloc(2 * MESSAGES * sizeof *seen);
    unsigned seen_count = 0;
    assert_int_equal(verify_create(CORES_MAX, &verify), 0);
    for (uint64_t number = 0; number < MESSAGES; number++) {
        unsigned user = random_below(&random, LOAD_USERS_MAX), fate = random_below(&random, 1000);
        uint64_t at = number * 1000003 % (UINT64_C(1) << 39);
        assert_true(
            verify_note(verify, random_below(&random, CORES_MAX), VERIFY_ACCEPTED, at, user));
        missing += fate == 0;
        doubled += fate == 1;
        for (unsigned times = fate == 0 ? 0 : fate == 1 ? 2 : 1; times > 0; times--)
            seen[seen_count++] = at << 24 | user;
    }
    for (unsigned i = seen_count; i > 1; i--) {
        unsigned other = random_below(&random, i);
        uint64_t swapped = seen[i - 1];
        seen[i - 1] = seen[other];
        seen[other] = swapped;
    }
    for (unsigned i = 0; i < seen_count; i++)
        assert_true(verify_note(verify, random_below(&random, CORES_MAX), VERIFY_SEEN,
                                seen[i] >> 24, (unsigned)(seen[i] & 0xffffff)));
    assert_true(missing > 0 && doubled > 0);
    finish(verify, missing, doubled);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),  cmocka_unit_test(altered), cmocka_unit_test(not_ours),
        cmocka_unit_test(planted), cmocka_unit_test(unread),  cmocka_unit_test(many),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
