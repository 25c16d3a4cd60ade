/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of the load generator: made ones (the same bytes for a seed and number, sizes to the
 * byte, nothing that RFC 5322 forbids, every shape, the distribution of real sizes), and real ones
 * from a folder, maildir, mbox and file, put right where they may not go out as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content_private.h"
#include "ringpost/hash.h"

static struct content *open_content(uint64_t seed, unsigned size, const char *from)
{
    struct load_options options = {.seed = seed, .size_bytes = size, .from_path = from};
    struct content *content = NULL;
    char problem[200] = "";
    int result = content_open(&options, &content, problem);
    if (result != 0)
        fail_msg("%d: %s", result, problem);
    return content;
}

/* Head and body in one piece; free() it. */
static struct slice whole(struct content *content, uint64_t number)
{
    struct content_message message;
    assert_int_equal(content_make(content, number, &message), 0);
    size_t size = message.head.size + message.body.size;
    assert_int_equal(content_size(content, number), size);
    char *data = malloc(size + 1);
    memcpy(data, message.head.data, message.head.size);
    if (message.body.size > 0)
        memcpy(data + message.head.size, message.body.data, message.body.size);
    data[size] = '\0';
    content_release(&message);
    return slice_of(data, size);
}

/* What holds of every message, made or real: RFC 5322 sections 2.1.1, 2.2, 2.3, and the mark. */
static void check_message(struct content *content, uint64_t seed, uint64_t number)
{
    struct content_message message;
    assert_int_equal(content_make(content, number, &message), 0);
    struct slice text = whole(content, number), rest = text;
    bool in_head = true, has_dot = false, is_8bit = false;
    unsigned marks = 0;
    size_t head_size = 0;
    while (rest.size > 0) {
        size_t end = slice_find(rest, '\n');
        assert_true(end < rest.size && end > 0 && rest.data[end - 1] == '\r');
        struct slice line = slice_first(rest, end - 1);
        assert_true(line.size <= 998);
        has_dot |= line.size > 0 && line.data[0] == '.';
        for (size_t i = 0; i < line.size; i++) {
            assert_true(line.data[i] != '\r' && line.data[i] != '\0');
            is_8bit |= (unsigned char)line.data[i] > 127;
        }
        rest = slice_from(rest, end + 1);
        uint64_t got_seed, got_number, body_bytes;
        uint32_t crc;
        if (in_head && content_read_mark(line, &got_seed, &got_number, &body_bytes, &crc)) {
            marks++;
            assert_int_equal(got_seed, seed);
            assert_int_equal(got_number, number);
            assert_int_equal(body_bytes, message.body.size);
            assert_int_equal(crc, crc32c(0, message.body.data, message.body.size));
        }
        if (in_head)
            head_size += end + 1;
        in_head &= line.size > 0;
    }
    assert_false(in_head);
    assert_int_equal(head_size, message.head.size);
    assert_int_equal(marks, 1);
    assert_int_equal(has_dot, message.needs_dots);
    assert_int_equal(is_8bit, message.is_8bit);
    free((void *)(uintptr_t)text.data);
    content_release(&message);
}

static void deterministic(void **state)
{
    (void)state;
    struct content *one = open_content(7, 0, NULL), *same = open_content(7, 0, NULL),
                   *other = open_content(8, 0, NULL);
    unsigned differ = 0;
    for (uint64_t number = 0; number < 300; number++) {
        struct slice a = whole(one, number), b = whole(same, number), c = whole(other, number),
                     d = whole(one, number + 1);
        assert_true(slice_equal(a, b));
        assert_false(slice_equal(a, d));
        differ += !slice_equal(a, c);
        free((void *)(uintptr_t)a.data);
        free((void *)(uintptr_t)b.data);
        free((void *)(uintptr_t)c.data);
        free((void *)(uintptr_t)d.data);
    }
    assert_int_equal(differ, 300);
    content_close(one);
    content_close(same);
    content_close(other);
}

static void sizes(void **state)
{
    (void)state;
    static const unsigned exact[] = {
        500,  600,  700,  899,   900,   1000,  1023,  1024,  1025,   1500,    2048,
        4095, 4096, 8192, 10000, 16384, 20001, 65536, 99999, 102400, 1 << 20, (5 << 20) + 1};
    for (unsigned i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        struct content *content = open_content(i + 1, exact[i], NULL);
        for (unsigned model = 0; model < content->count; model++)
            assert_int_equal(content->models[model].head.size + content->models[model].body.size,
                             exact[i]);
        for (uint64_t number = 0; number < 20; number++)
            check_message(content, i + 1, number);
        content_close(content);
    }
    struct content *least = open_content(1, 10, NULL); /* as small as it can be */
    for (uint64_t number = 0; number < 100; number++) {
        check_message(least, 1, number);
        assert_true(content_size(least, number) < 500);
    }
    content_close(least);
}

static unsigned times(struct slice text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text.data; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* Every boundary that is announced is used and closed. */
static void check_boundaries(struct slice text)
{
    for (const char *at = text.data; (at = strstr(at, "boundary=\"")) != NULL;) {
        char begin[100], end[100];
        at += 10;
        int size = (int)strcspn(at, "\"");
        snprintf(begin, sizeof begin, "\r\n--%.*s\r\n", size, at);
        snprintf(end, sizeof end, "\r\n--%.*s--\r\n", size, at);
        assert_true(times(text, begin) >= 2);
        assert_int_equal(times(text, end), 1);
    }
}

static void shapes(void **state)
{
    (void)state;
    static const char *const wanted[] = {"multipart/alternative",
                                         "multipart/mixed",
                                         "multipart/related",
                                         "message/rfc822",
                                         "format=flowed",
                                         "charset=utf-8",
                                         "8bit",
                                         "base64",
                                         "text/html",
                                         "Subject: =?utf-8?",
                                         "DKIM-Signature:",
                                         "\r\n.",
                                         "References:",
                                         "\r\n> ",
                                         "image/png"};
    unsigned seen[sizeof wanted / sizeof wanted[0]] = {0};
    struct content *content = open_content(3, 0, NULL);
    unsigned long_lines = 0;
    for (uint64_t number = 0; number < 3000; number++) {
        if (content_size(content, number) > 100000)
            continue;
        check_message(content, 3, number);
        struct slice text = whole(content, number);
        check_boundaries(text);
        for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            seen[i] += strstr(text.data, wanted[i]) != NULL;
        for (const char *line = text.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
            long_lines += end - line > 900;
        free((void *)(uintptr_t)text.data);
    }
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (seen[i] < 30)
            fail_msg("%s in %u messages of 3000", wanted[i], seen[i]);
    assert_true(long_lines > 30);
    content_close(content);
}

static int compare_sizes(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

/* What the head of content.c says of real sizes. */
static void distribution(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct content *content = open_content(1, 0, NULL);
    unsigned *drawn = malloc(COUNT * sizeof *drawn);
    double sum = 0;
    for (unsigned number = 0; number < COUNT; number++) {
        drawn[number] = content_size(content, number);
        sum += drawn[number];
    }
    qsort(drawn, COUNT, sizeof *drawn, compare_sizes);
    double kib[] = {drawn[COUNT / 4] / 1024.0,        drawn[COUNT / 2] / 1024.0,
                    drawn[COUNT * 3 / 4] / 1024.0,    drawn[COUNT * 9 / 10] / 1024.0,
                    drawn[COUNT * 99 / 100] / 1024.0, sum / COUNT / 1024.0};
    static const double claimed[] = {4.1, 7.9, 20.7, 78, 1315, 71};
    for (unsigned i = 0; i < 6; i++)
        if (kib[i] < claimed[i] * 0.95 || kib[i] > claimed[i] * 1.05)
            fail_msg("%u: %.1f KiB, not %.1f", i, kib[i], claimed[i]);
    assert_true(drawn[0] >= 704 && drawn[COUNT - 1] <= 25 << 20);
    free(drawn);
    content_close(content);
}

/* ---------------------------------------------------------------- real ones */

static char folder[] = "/tmp/content-test-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, struct slice text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}

/* Message `number` of `content` is, its mark apart, exactly this. */
static void check_text(struct content *content, uint64_t number, struct slice wanted)
{
    check_message(content, 5, number);
    struct slice got = whole(content, number);
    size_t mark = slice_find(got, '\n') + 1;
    assert_true(slice_starts_nocase(got, SLICE(CONTENT_MARK_NAME)));
    if (!slice_equal(slice_from(got, mark), wanted))
        fail_msg("message %u is: %s", (unsigned)number, got.data + mark);
    free((void *)(uintptr_t)got.data);
}

static void put_right(void **state)
{
    (void)state;
    char long_text[3100], long_wanted[3200];
    static const struct {
        struct slice in, out;
    } rows[] = {
        {SLICE("Subject: a\r\n\r\nbody\r\n"), SLICE("Subject: a\r\n\r\nbody\r\n")},
        {SLICE("Subject: a\n\nbody\nno end"), SLICE("Subject: a\r\n\r\nbody\r\nno end\r\n")},
        {SLICE("Subject: a\r\rb\0dy\rx\n\n"), SLICE("Subject: a\r\n\r\nb?dy\r\nx\r\n\r\n")},
        {SLICE("Subject: no body"), SLICE("Subject: no body\r\n\r\n")},
        {SLICE("A: 1\nX-Ringpost-Bench: 0-1-2-3\n more\nB: 2\n\nX-Ringpost-Bench: stays\n"),
         SLICE("A: 1\r\nB: 2\r\n\r\nX-Ringpost-Bench: stays\r\n")},
        {SLICE("\n.body\n..\n"), SLICE("\r\n.body\r\n..\r\n")},
        {SLICE("Subject: \xc3\xbc\n\n\xff\n"), SLICE("Subject: \xc3\xbc\r\n\r\n\xff\r\n")},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_file("one", rows[i].in);
        struct content *content = open_content(5, 0, path_of("one"));
        assert_int_equal(content->count, 1);
        check_text(content, 0, rows[i].out);
        check_text(content, 9, rows[i].out);
        content_close(content);
    }
    /* 2500 bytes in the header, then in the body. */
    memset(long_text, 'x', sizeof long_text);
    int size = snprintf(long_wanted, sizeof long_wanted, "A: %.995s\r\n %.997s\r\n %.508s\r\n\r\n",
                        long_text, long_text, long_text);
    long_text[0] = 'A', long_text[1] = ':', long_text[2] = ' ';
    put_file("one", slice_of(long_text, 2503));
    struct content *content = open_content(5, 0, path_of("one"));
    check_text(content, 0, slice_of(long_wanted, (size_t)size));
    content_close(content);
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text, "A: b\n\n", 6);
    memcpy(long_text + 6 + 996, "\xe2\x82\xac", 3); /* would be cut */
    put_file("one", slice_of(long_text, 6 + 1500));
    content = open_content(5, 0, path_of("one"));
    check_message(content, 5, 0);
    size = snprintf(long_wanted, sizeof long_wanted, "A: b\r\n\r\n%.996s\r\n%.504s\r\n",
                    long_text + 6, long_text + 6 + 996);
    check_text(content, 0, slice_of(long_wanted, (size_t)size));
    content_close(content);
    unlink(path_of("one"));
}

static void folders(void **state)
{
    (void)state;
    put_file("b", SLICE("Subject: b\n\n"));
    put_file("a", SLICE("From me Thu\nSubject: a\n\nFrom here\n>From there\n"));
    put_file(".hidden", SLICE("Subject: hidden\n\n"));
    put_file("empty", SLICE(""));
    struct content *content = open_content(5, 0, folder);
    assert_int_equal(content->count, 2);
    check_text(content, 0, SLICE("Subject: a\r\n\r\nFrom here\r\n>From there\r\n"));
    check_text(content, 3, SLICE("Subject: b\r\n\r\n"));
    content_close(content);

    assert_int_equal(mkdir(path_of("cur"), 0700), 0);
    assert_int_equal(mkdir(path_of("new"), 0700), 0);
    put_file("cur/1:2,S", SLICE("Subject: read\n\n"));
    put_file("new/2", SLICE("Subject: new\n\n"));
    content = open_content(5, 0, folder);
    assert_int_equal(content->count, 2);
    check_text(content, 0, SLICE("Subject: read\r\n\r\n"));
    check_text(content, 1, SLICE("Subject: new\r\n\r\n"));
    content_close(content);

    put_file("mbox", SLICE("From a@b Thu Jan  1 00:00:00 2026\nSubject: 1\n\n>From x\n>>From y\n"
                           "> From z\nFrom the middle\n\n"
                           "From a@b Thu Jan  1 00:00:00 2026\r\nSubject: 2\r\n\r\n\r\n"
                           "From a@b Thu Jan  1 00:00:00 2026\nSubject: 3\n\nlast\n\n"));
    content = open_content(5, 0, path_of("mbox"));
    assert_int_equal(content->count, 3);
    check_text(content, 0,
               SLICE("Subject: 1\r\n\r\nFrom x\r\n>From y\r\n> From z\r\nFrom the middle\r\n"));
    check_text(content, 1, SLICE("Subject: 2\r\n\r\n"));
    check_text(content, 2, SLICE("Subject: 3\r\n\r\nlast\r\n\r\n"));
    content_close(content);
    static const char *const names[] = {"b", "a", ".hidden", "empty", "cur/1:2,S", "new/2", "mbox"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    rmdir(path_of("cur"));
    rmdir(path_of("new"));
}

static void bad_paths(void **state)
{
    (void)state;
    struct content *content = NULL;
    char problem[200];
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(mkdir(path_of("nothing"), 0700), 0);
    put_file("message", SLICE("Subject: x\n\n")); /* sparse: nothing of it is on the disk */
    assert_int_equal(truncate(path_of("message"), LOAD_MESSAGE_BYTES_MAX + 1), 0);
    put_file("mbox", SLICE("From me\n"));
    assert_int_equal(truncate(path_of("mbox"), INT64_C(3) << 30), 0);
    static const struct {
        const char *name;
        int result;
        const char *says;
    } rows[] = {{"absent", -ENOENT, "No such file"},
                {"fifo", -EINVAL, "neither a folder nor a file"},
                {"nothing", -ENODATA, "no message in"},
                {"message", -EFBIG, "larger than 256 MiB"},
                {"mbox", -E2BIG, "too many messages or bytes"}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct load_options options = {.from_path = path_of(rows[i].name)};
        problem[0] = '\0';
        assert_int_equal(content_open(&options, &content, problem), rows[i].result);
        assert_non_null(strstr(problem, rows[i].says));
        assert_non_null(strstr(problem, rows[i].name));
        assert_null(content);
    }
    unlink(path_of("fifo"));
    unlink(path_of("message"));
    unlink(path_of("mbox"));
    rmdir(path_of("nothing"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deterministic), cmocka_unit_test(sizes),     cmocka_unit_test(shapes),
        cmocka_unit_test(distribution),  cmocka_unit_test(put_right), cmocka_unit_test(folders),
        cmocka_unit_test(bad_paths),
    };
    return cmocka_run_group_tests_name("content", tests, make_folder, remove_folder);
}
