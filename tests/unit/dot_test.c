/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end-of-data decoder: the nine sequences by which messages are smuggled (S01-S09 of the list
 * of bad inputs), exact un-stuffing (S11), at every split; the fast path against a plain model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "ringpost/dot.h"
#include "ringpost/hash.h"

struct decoded {
    char data[4096];
    size_t size, consumed;
    struct dot_decoder decoder;
};

/* A piece at a time; each piece in memory of its own, so that reading past it is seen. */
static void feed(struct decoded *to, struct slice in)
{
    size_t size;
    char *copy = malloc(in.size ? in.size : 1), *out = malloc(in.size ? in.size : 1);
    memcpy(copy, in.data, in.size);
    struct dot_decoder again = to->decoder, in_place = to->decoder;
    size_t used = dot_decode(&to->decoder, slice_of(copy, in.size), out, &size);
    assert_true(used <= in.size && size <= in.size);
    assert_true(used == in.size || dot_is_done(&to->decoder));
    memcpy(to->data + to->size, out, size);
    to->size += size;
    to->consumed += used;
    size_t would;
    assert_int_equal(dot_decode(&again, slice_of(copy, in.size), NULL, &would), used);
    assert_int_equal(would, size);
    assert_memory_equal(&again, &to->decoder, sizeof again);
    assert_int_equal(dot_decode(&in_place, slice_of(copy, in.size), copy, &would), used);
    assert_int_equal(would, size);
    assert_memory_equal(copy, out, size);
    assert_memory_equal(copy + used, in.data + used, in.size - used); /* what follows is whole */
    assert_memory_equal(&in_place, &to->decoder, sizeof in_place);
    free(copy);
    free(out);
}

/* In one piece, at every split in two, byte by byte: the same. */
static void decode(struct slice in, struct decoded *to)
{
    memset(to, 0, sizeof *to);
    feed(to, in);
    for (size_t split = 0; split <= in.size + 1; split++) {
        struct decoded other = {.size = 0};
        if (split <= in.size) {
            feed(&other, slice_first(in, split));
            feed(&other, slice_from(in, split));
        } else {
            for (size_t i = 0; i < in.size; i++)
                feed(&other, slice_of(in.data + i, 1));
        }
        assert_int_equal(other.consumed, to->consumed);
        assert_int_equal(other.size, to->size);
        assert_memory_equal(other.data, to->data, to->size);
        assert_memory_equal(&other.decoder, &to->decoder, sizeof to->decoder);
    }
}

static void unstuffing(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {".\r\n", ""},
        {"a\r\n.\r\n", "a\r\n"},
        {"..\r\n.\r\n", ".\r\n"},
        {"...\r\n.\r\n", "..\r\n"},
        {".x\r\n.\r\n", "x\r\n"},
        {"a.\r\n.b\r\n..c\r\n.\r\n", "a.\r\nb\r\n.c\r\n"},
        {"\r\n\r\n..\r\n.\r\n", "\r\n\r\n.\r\n"},
        {"a.b.c\r\n..\r\n\r\n.\r\n", "a.b.c\r\n.\r\n\r\n"},
        {"0123456789012345678901234567890123456789012345678901234567890\r\n..\r\n.\r\n",
         "0123456789012345678901234567890123456789012345678901234567890\r\n.\r\n"},
        {"012345678901234567890123456789012345678901234567890123456789012\r\n.\r\n",
         "012345678901234567890123456789012345678901234567890123456789012\r\n"},
        {"01234567890123456789012345678901234567890123456789012345678901\r\n"
         "01234567890123456789012345678901234567890123456789012345678901\r\n.\r\n",
         "01234567890123456789012345678901234567890123456789012345678901\r\n"
         "01234567890123456789012345678901234567890123456789012345678901\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decoded got;
        char in[300];
        size_t size = strlen(rows[i].in);
        memcpy(in, rows[i].in, size);
        memcpy(in + size, "QUIT\r\n.\r\n", 9);
        decode(slice_of(in, size + 9), &got);
        assert_true(dot_is_done(&got.decoder));
        assert_false(got.decoder.is_bare);
        assert_int_equal(got.consumed, size);
        assert_int_equal(got.size, strlen(rows[i].out));
        assert_memory_equal(got.data, rows[i].out, got.size);
    }
}

/* S01-S09 */
static void smuggling(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        {"\n.\n", 3},       {"\n.\r", 3},       {"\r.\n", 3},
        {"\r.\r", 3},       {"\n.\r\n", 4},     {"\r.\r\n", 4},
        {"\r\n\0.\r\n", 6}, {"\r\n.\r\r\n", 6}, {"\r\r\n.\r\r\n", 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t before = 0; before < 70; before++) { /* at every place of a block */
            char in[400];
            struct decoded got;
            memset(in, 'a', before);
            memcpy(in + before, rows[i].data, rows[i].size);
            const char *evil =
                "MAIL FROM:<evil@example.org>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n";
            size_t size = before + rows[i].size;
            memcpy(in + size, evil, strlen(evil));
            size += strlen(evil);
            memset(&got, 0, sizeof got);
            feed(&got, slice_of(in, size));
            assert_false(dot_is_done(&got.decoder));
            assert_int_equal(got.consumed, size);
            memcpy(in + size, "\r\n.\r\nQUIT\r\n", 11);
            if (before < 3 || before > 60)
                decode(slice_of(in, size + 11), &got);
            else
                memset(&got, 0, sizeof got), feed(&got, slice_of(in, size + 11));
            assert_true(dot_is_done(&got.decoder));
            assert_int_equal(got.consumed, size + 5);
            bool is_clean = memcmp(rows[i].data, "\r\n\0", 3) == 0;
            assert_int_equal(got.decoder.is_bare, !is_clean);
        }
    }
}

/* The table, written out again as plainly as can be: the index after the first CRLF "." CRLF. */
static size_t model_end(const char *data, size_t size)
{
    if (size >= 3 && memcmp(data, ".\r\n", 3) == 0)
        return 3;
    const char *end = memmem(data, size, "\r\n.\r\n", 5);
    return end ? (size_t)(end - data) + 5 : 0;
}

static bool model_bare(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((data[i] == '\n' && (i == 0 || data[i - 1] != '\r')) ||
            (data[i] == '\r' && i + 1 < size && data[i + 1] != '\n'))
            return true;
    return false;
}

static void random_text(void **state)
{
    (void)state;
    uint64_t chance = 1;
    unsigned ended = 0, clean = 0;
    for (int round = 0; round < 20000; round++) {
        char data[1200], want[1200];
        size_t size = 0, wanted = 0;
        unsigned ratio = round % 3 == 0 ? 4 : round % 3 == 1 ? 40 : 400;
        while (size < 1100) {
            chance = hash_u64(chance + 1);
            static const struct slice pieces[] = {{"\r\n", 2},      {"\r\n", 2},       {"\r\n.", 3},
                                                  {".", 1},         {"\r\n..\r\n", 6}, {"\r\n.", 3},
                                                  {"\r\n.\r\n", 5}, {"\r", 1},         {"\n", 1}};
            unsigned kinds = round & 1 ? 7 : 9;
            struct slice piece = pieces[chance % kinds];
            if (chance / 16 % ratio != 0)
                piece = SLICE("x");
            memcpy(data + size, piece.data, piece.size);
            size += piece.size;
        }
        size_t end = model_end(data, size), until = end ? end : size;
        struct decoded got = {.size = 0};
        for (size_t at = 0; at < size && !dot_is_done(&got.decoder);) {
            chance = hash_u64(chance + 1);
            size_t part = chance % 300 < size - at ? chance % 300 : size - at;
            feed(&got, slice_of(data + at, part));
            at += part;
        }
        assert_int_equal(got.consumed, until);
        assert_int_equal(dot_is_done(&got.decoder), end != 0);
        assert_int_equal(got.decoder.is_bare, model_bare(data, until));
        if (got.decoder.is_bare || end == 0)
            continue;
        for (size_t i = 0; i < end - 3; i++)
            if (data[i] != '.' || (i > 0 && data[i - 1] != '\n'))
                want[wanted++] = data[i];
        assert_int_equal(got.size, wanted);
        assert_memory_equal(got.data, want, wanted);
        ended++;
        clean += wanted > 200;
    }
    assert_true(ended > 1000 && clean > 100);
}

static size_t encode(struct slice in, size_t split, char *out)
{
    struct dot_encoder encoder = {false};
    size_t size = 0;
    for (int half = 0; half < 2; half++) {
        struct slice rest = half ? slice_from(in, split) : slice_first(in, split);
        size_t run = dot_encode(&encoder, rest);
        for (;;) {
            memcpy(out + size, rest.data, run);
            size += run;
            rest = slice_from(rest, run);
            if (rest.size == 0)
                break;
            assert_int_equal(rest.data[0], '.');
            out[size++] = '.';
            run = dot_encode_on(&encoder, rest);
        }
    }
    struct slice end = dot_encode_end(&encoder);
    memcpy(out + size, end.data, end.size);
    return size + end.size;
}

static void encoding(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {"..\r\n.\r\na.b\r\n", "...\r\n..\r\na.b\r\n.\r\n"},
        {"x\r\n.y\r\n\r\n...", "x\r\n..y\r\n\r\n....\r\n.\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice in = slice_cstr(rows[i].in);
        for (size_t split = 0; split <= in.size; split++) {
            char out[200];
            size_t size = encode(in, split, out);
            assert_int_equal(size, strlen(rows[i].out));
            assert_memory_equal(out, rows[i].out, size);
            struct decoded got;
            decode(slice_of(out, size), &got);
            assert_true(dot_is_done(&got.decoder));
            assert_memory_equal(got.data, in.data, in.size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unstuffing),
        cmocka_unit_test(smuggling),
        cmocka_unit_test(random_text),
        cmocka_unit_test(encoding),
    };
    return cmocka_run_group_tests_name("dot", tests, NULL, NULL);
}
