/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Summaries of messages: what IMAP says of them (tables of message and expected text), sections,
 * and the summary's own bytes, cut and altered.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mime_check.h"

#define NONE "NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL"

/* --- ENVELOPE -------------------------------------------------------------------------------- */

struct row {
    const char *message, *expected;
};

static void test_envelope(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "(" NONE ")"},
        {"\r\n", "(" NONE ")"},
        {"Subject:\r\n\r\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"sUBJECT : a \"q\" \\ b  \r\n\r\n",
         "(NIL \"a \\\"q\\\" \\\\ b\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: one\r\n two\r\n\tthree\r\nSubject: no\r\n",
         "(NIL \"one two\tthree\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: \xc3\xa9\r\n\r\n", "(NIL {2}\r\n\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: a\rb\r\n\r\n", "(NIL {3}\r\na\rb NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: =?utf-8?q?x?=\r\n\r\n",
         "(NIL \"=?utf-8?q?x?=\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Date: d\r\nMessage-ID: <m>\r\nIn-Reply-To: <i>\r\nBcc: b@c\r\nCc: c@d\r\n\r\n",
         "(\"d\" NIL NIL NIL NIL NIL ((NIL NIL \"c\" \"d\")) ((NIL NIL \"b\" \"c\")) \"<i>\" "
         "\"<m>\")"},
        {"Sender: s@t\r\nReply-To: ,\r\nFrom: f@g\r\n\r\n",
         "(NIL NIL ((NIL NIL \"f\" \"g\")) ((NIL NIL \"s\" \"t\")) ((NIL NIL \"f\" \"g\")) "
         "NIL NIL NIL NIL NIL)"},
        {"no colon\r\nSubject: s\r\n\r\nSubject: body",
         "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"From a@b Sat Jan  1 00:00:00 2000\r\nSubject: s\r\n\r\n",
         "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        summarize(&f, slice_cstr(rows[i].message));
        assert_slice(f.summary.envelope, rows[i].expected);
        arena_reset(&f.arena);
    }
}

/* The To field's list. */
static void test_addresses(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a@b", "((NIL NIL \"a\" \"b\"))"},
        {"<a@b>", "((NIL NIL \"a\" \"b\"))"},
        {"A B <a@b>, c@d", "((\"A B\" NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
        {"\"A, \\\"B\\\"\"\r\n C <a@b>", "((\"A, \\\"B\\\" C\" NIL \"a\" \"b\"))"},
        {"a . b @ c . d (Name (x) \\))", "((\"Name (x) )\" NIL \"a.b\" \"c.d\"))"},
        {"\"a b\"@c", "((NIL NIL \"a b\" \"c\"))"},
        {"\"a@b\"@c", "((NIL NIL \"a@b\" \"c\"))"},
        {"a@[IPv6:::1]", "((NIL NIL \"a\" \"[IPv6:::1]\"))"},
        {"<@r,@s:a@b>, c@d", "((NIL \"@r,@s\" \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
        {"g: a@b, C <c@d>; e@f",
         "((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL \"c\" \"d\")(NIL NIL NIL NIL)"
         "(NIL NIL \"e\" \"f\"))"},
        {"undisclosed-recipients:;", "((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL))"},
        {":;", "((NIL NIL \"group\" NIL)(NIL NIL NIL NIL))"},
        {"g:a@b", "((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))"},
        {"a@b;c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
        {"a@b@c", "((NIL NIL \"a@b\" \"c\"))"},
        {"<a@b, c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
        {"\"a <b@c>", "((NIL NIL \"a <b@c>\" \"MISSING_DOMAIN\"))"},
        {"foo bar", "((NIL NIL \"foo bar\" \"MISSING_DOMAIN\"))"},
        {"<>", "((NIL NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))"},
        {"@b", "((NIL NIL \"MISSING_MAILBOX\" \"b\"))"},
        {" , (x),\r\n ,", "NIL"},
        {"a@b (c\\", "((\"c\\\\\" NIL \"a\" \"b\"))"},
        {"\xc3\xa9 <a@b>", "(({2}\r\n\xc3\xa9 NIL \"a\" \"b\"))"},
        {"a@b\r\nTo: c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
        {"a@xn--", "((NIL NIL \"a\" \"xn--\"))"},
        {"x@y <c>", "((\"x@y\" NIL \"c\" \"MISSING_DOMAIN\"))"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct slice message = arena_printf(&f.arena, "To: %s\r\n\r\n", rows[i].message);
        struct slice expected =
            arena_printf(&f.arena, "(NIL NIL NIL NIL NIL %s NIL NIL NIL NIL)", rows[i].expected);
        summarize(&f, message);
        assert_slice(f.summary.envelope, expected.data);
        arena_reset(&f.arena);
    }
}

/* --- BODYSTRUCTURE ---------------------------------------------------------------------------- */

#define PLAIN(rest) "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" " rest
#define EMPTY       PLAIN("0 0 NIL NIL NIL NIL)")

static void test_bodystructure(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", EMPTY},
        {"\r\none\r\ntwo", PLAIN("8 2 NIL NIL NIL NIL)")},
        {"A: b\r\n\r\none\r\ntwo\r\n", PLAIN("10 2 NIL NIL NIL NIL)")},
        {"Content-Type: garbage\r\n\r\n", EMPTY},
        {"Content-Type: TEXT/Html (c); charset=\"x\\\"y\" (d); a = b c ; =; q\r\n"
         "Content-ID: <i>\r\nContent-Description: d\r\nContent-Transfer-Encoding: BASE64\r\n"
         "Content-MD5: m\r\nContent-Disposition: inline\r\nContent-Language: en, (x) de\r\n"
         "Content-Location: l\r\n\r\n",
         "(\"TEXT\" \"Html\" (\"charset\" \"x\\\"y\" \"a\" \"b c\") \"<i>\" \"d\" \"BASE64\" 0 0 "
         "\"m\" "
         "(\"inline\" NIL) (\"en\" \"de\") \"l\")"},
        {"Content-Type: image/png; name*1=\"b c\"; name*0*=utf-8''a%20; x*2=lost\r\n"
         "Content-Disposition: attachment; filename*1=.t; filename*0=n; filename*2=xt\r\n\r\n",
         "(\"image\" \"png\" (\"name*\" \"utf-8''a%20b%20c\") NIL NIL \"7bit\" 0 NIL "
         "(\"attachment\" (\"filename\" \"n.txt\")) NIL NIL)"},
        {"Content-Type: multipart/mixed\r\n\r\n--\r\nx", "(" EMPTY " \"mixed\" NIL NIL NIL NIL)"},
        {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\nx",
         "(" EMPTY " \"mixed\" (\"boundary\" \"\") NIL NIL NIL)"},
        {"Content-Type: multipart/mixed; boundary=a\r\n\r\nno parts --a\r\n--ab\r\n",
         "(" EMPTY " \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"},
        {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a \r\n\r\nx\r\n--a--\r\n--a\r\n\r\ny",
         "(" PLAIN("1 1 NIL NIL NIL NIL)") " \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"},
        {"Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\n--a\r\n\r\n--a\r\nA: b",
         "(" EMPTY EMPTY EMPTY " \"x\" (\"boundary\" \"a\") NIL NIL NIL)"},
        {"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\nSubject: "
         "s\r\n\r\nb\r\n--a--\r\n",
         "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 "
         "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) " PLAIN(
             "1 1 NIL NIL NIL NIL)") " 3 NIL NIL NIL NIL) \"digest\" (\"boundary\" \"a\") NIL NIL "
                                     "NIL)"},
        {"Content-Type: message/rfc822",
         "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 (" NONE ") " EMPTY " 0 NIL NIL NIL NIL)"},
        {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
         "(\"application\" \"octet-stream\" NIL NIL NIL \"base64\" 6 NIL NIL NIL NIL)"},
        {"Content-Type: a/b; n*0=\"a b\"; n*1*=%20\r\n\r\n",
         "(\"a\" \"b\" (\"n*\" \"''a%20b%20\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)"},
        {"Content-Type: text/x; charset*=''utf-8\r\n\r\n",
         "(\"text\" \"x\" (\"charset*\" \"''utf-8\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"},
        {"Content-Type: multipart/x; boundary*=us-ascii''%61%\r\n\r\n--a%\r\n\r\n",
         "(" EMPTY " \"x\" (\"boundary*\" \"us-ascii''%61%\") NIL NIL NIL)"},
        {"Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--x\r\n--ax\r\n--a-\r\n",
         "(" PLAIN("23 4 NIL NIL NIL NIL)") " \"x\" (\"boundary\" \"a\") NIL NIL NIL)"},
        {"Content-Type: message/delivery-status\r\n\r\nA: b\r\n",
         "(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 6 NIL NIL NIL NIL)"},
        /* A boundary that begins like its parent's; the parent's ends the child. */
        {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
         "Content-Type: multipart/alternative; "
         "boundary=a-b\r\n\r\n--a-b\r\n\r\nx\r\n--a\r\n\r\ny\r\n--a-b\r\n",
         "((" PLAIN("1 1 NIL NIL NIL NIL)") " \"alternative\" (\"boundary\" \"a-b\") NIL NIL "
                                            "NIL)" PLAIN(
                                                "10 2 NIL NIL NIL NIL)") " \"mixed\" (\"boundary\" "
                                                                         "\"a\") NIL NIL NIL)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        summarize(&f, slice_cstr(rows[i].message));
        assert_slice(f.summary.bodystructure, rows[i].expected);
        arena_reset(&f.arena);
    }
}

static void test_body_has_no_extension(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(
        &f,
        SLICE("Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\nContent-Type: image/png; n=v\r\n"
              "Content-Disposition: inline\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n"
              "Subject: s\r\n\r\n"));
    assert_slice(
        f.summary.body,
        "((\"image\" \"png\" (\"n\" \"v\") NIL NIL \"7bit\" 0)(\"message\" \"rfc822\" NIL NIL NIL "
        "\"7bit\" 14 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) " PLAIN("0 0)") " 2) \"x\")");
    arena_reset(&f.arena);
}

/* --- sections -----------------------------------------------------------------------------------
 */

static const char nested[] =
    "Content-Type: multipart/mixed; boundary=m\r\n\r\npreamble\r\n"
    "--m\r\nContent-ID: <1>\r\n\r\nfirst\r\n"
    "--m\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
    "--i\r\nContent-ID: <21>\r\n\r\nplain\r\n"
    "--i\r\nContent-Type: text/html\r\n\r\nhtml\r\n--i--\r\n"
    "--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: only\r\n\r\nbody\r\n"
    "--m--\r\nepilogue\r\n";

static void test_sections(void **state)
{
    (void)state;
    static const char inner_text[] = "--i\r\nContent-ID: <21>\r\n\r\nplain\r\n--i\r\nContent-Type: "
                                     "text/html\r\n\r\nhtml\r\n--i--";
    static const char inner_header[] =
        "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n";
    static const struct {
        uint32_t numbers[4];
        unsigned count;
        enum mime_section_text text;
        const char *expected, *more; /* NULL: no such section; more: what follows expected */
    } rows[] = {
        {{0}, 0, MIME_SECTION_ALL, nested, NULL},
        {{0}, 0, MIME_SECTION_HEADER, "Content-Type: multipart/mixed; boundary=m\r\n\r\n", NULL},
        {{0}, 0, MIME_SECTION_TEXT, nested + 45, NULL},
        {{0}, 0, MIME_SECTION_MIME, NULL, NULL},
        {{1}, 1, MIME_SECTION_ALL, "first", NULL},
        {{1}, 1, MIME_SECTION_MIME, "Content-ID: <1>\r\n\r\n", NULL},
        {{1}, 1, MIME_SECTION_HEADER, NULL, NULL},
        {{1}, 1, MIME_SECTION_TEXT, NULL, NULL},
        {{1, 1}, 2, MIME_SECTION_ALL, NULL, NULL},
        {{2}, 1, MIME_SECTION_ALL, inner_header, inner_text},
        {{2}, 1, MIME_SECTION_MIME, "Content-Type: message/rfc822\r\n\r\n", NULL},
        {{2}, 1, MIME_SECTION_HEADER, inner_header, NULL},
        {{2}, 1, MIME_SECTION_TEXT, inner_text, NULL},
        {{2, 1}, 2, MIME_SECTION_ALL, "plain", NULL},
        {{2, 1}, 2, MIME_SECTION_MIME, "Content-ID: <21>\r\n\r\n", NULL},
        {{2, 1}, 2, MIME_SECTION_TEXT, NULL, NULL},
        {{2, 2}, 2, MIME_SECTION_ALL, "html", NULL},
        {{2, 3}, 2, MIME_SECTION_ALL, NULL, NULL},
        {{2, 2, 1}, 3, MIME_SECTION_ALL, NULL, NULL},
        {{3, 1}, 2, MIME_SECTION_ALL, "body", NULL},
        {{3, 1}, 2, MIME_SECTION_MIME, "Subject: only\r\n\r\n", NULL},
        {{3, 2}, 2, MIME_SECTION_ALL, NULL, NULL},
        {{3, 1, 1}, 3, MIME_SECTION_ALL, NULL, NULL},
        {{3}, 1, MIME_SECTION_TEXT, "body", NULL},
        {{4}, 1, MIME_SECTION_ALL, NULL, NULL},
        {{0}, 1, MIME_SECTION_ALL, NULL, NULL},
        {{UINT32_MAX}, 1, MIME_SECTION_ALL, NULL, NULL},
    };
    struct fixture f;
    fixture_init(&f);
    struct slice message = SLICE(nested);
    summarize(&f, message);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t offset, size;
        bool found = mime_section_find(&f.summary, rows[i].numbers, rows[i].count, rows[i].text,
                                       message.size, &offset, &size, NULL);
        if (found != (rows[i].expected != NULL))
            fail_msg("row %zu: found %d", i, found);
        if (!found)
            continue;
        struct slice expected =
            arena_printf(&f.arena, "%s%s", rows[i].expected, rows[i].more ? rows[i].more : "");
        assert_slice(slice_of(nested + offset, size), expected.data);
    }
    arena_reset(&f.arena);
}

static void test_section_of_single_part(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct slice message = SLICE("Content-Transfer-Encoding: base64\r\n\r\nAAAA");
    const uint32_t numbers[] = {1, 1};
    uint64_t offset, size;
    struct mime_part part;
    summarize(&f, message);
    assert_true(mime_section_find(&f.summary, numbers, 1, MIME_SECTION_ALL, message.size, &offset,
                                  &size, &part));
    assert_int_equal(part.encoding, MIME_BASE64);
    assert_slice(slice_of(message.data + offset, size), "AAAA");
    assert_true(mime_section_find(&f.summary, numbers, 1, MIME_SECTION_MIME, message.size, &offset,
                                  &size, &part));
    assert_int_equal(size, 37);
    assert_false(mime_section_find(&f.summary, numbers, 2, MIME_SECTION_ALL, message.size, &offset,
                                   &size, &part));
    assert_false(mime_section_find(&f.summary, numbers, 1, MIME_SECTION_TEXT, message.size, &offset,
                                   &size, &part));
    arena_reset(&f.arena);
}

static void test_empty_summary_is_one_opaque_part(void **state)
{
    (void)state;
    struct mime_summary summary;
    struct mime_part part;
    const uint32_t one = 1;
    uint64_t offset, size, huge = UINT64_C(1) << 40;
    assert_int_equal(mime_summary_open((struct slice){0}, &summary), 0);
    assert_int_equal(summary.part_count, 1);
    assert_slice(summary.envelope, "(" NONE ")");
    assert_slice(summary.bodystructure, EMPTY);
    mime_summary_part(&summary, 0, &part);
    assert_int_equal(part.kind, MIME_LEAF);
    assert_true(
        mime_section_find(&summary, NULL, 0, MIME_SECTION_ALL, huge, &offset, &size, &part));
    assert_true(offset == 0 && size == huge);
    assert_true(
        mime_section_find(&summary, &one, 1, MIME_SECTION_ALL, huge, &offset, &size, &part));
    assert_true(offset == 0 && size == huge);
    assert_true(
        mime_section_find(&summary, NULL, 0, MIME_SECTION_HEADER, huge, &offset, &size, NULL));
    assert_true(size == 0);
    assert_false(
        mime_section_find(&summary, &one, 1, MIME_SECTION_TEXT, huge, &offset, &size, NULL));
}

/* --- the summary's bytes
 * -------------------------------------------------------------------------- */

static void use_if_open(struct slice bytes)
{
    struct mime_summary summary;
    if (mime_summary_open(bytes, &summary) != 0)
        return;
    const char *end = bytes.data + bytes.size;
    assert_true(bytes.size == 0 || summary.bodystructure.data + summary.bodystructure.size <= end);
    for (uint32_t first = 0; first < 5; first++)
        for (uint32_t second = 0; second < 3; second++)
            for (int text = MIME_SECTION_ALL; text <= MIME_SECTION_MIME; text++) {
                uint32_t numbers[2] = {first, second};
                uint64_t offset, size;
                mime_section_find(&summary, numbers, 2, (enum mime_section_text)text, 1000, &offset,
                                  &size, NULL);
            }
}

static void test_open_survives_corruption(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(&f, SLICE(nested));
    size_t size = f.bytes.size;
    char *copy = malloc(size); /* of exactly this size: the address sanitizer sees a byte too far */
    assert_non_null(copy);
    memcpy(copy, f.bytes.data, size);
    for (size_t i = 0; i < size; i++)
        for (int value = 0; value < 256; value++) {
            copy[i] = (char)value;
            if (i < 20 + 32 * f.summary.part_count || value < 4)
                use_if_open(slice_of(copy, size));
            copy[i] = f.bytes.data[i];
        }
    free(copy);
    arena_reset(&f.arena);
}

static void test_open_refuses_truncation(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(&f, SLICE(nested));
    for (size_t size = 1; size < f.bytes.size; size++) {
        char *copy = malloc(size);
        struct mime_summary summary;
        assert_non_null(copy);
        memcpy(copy, f.bytes.data, size);
        assert_int_equal(mime_summary_open(slice_of(copy, size), &summary), -EBADMSG);
        free(copy);
    }
    arena_reset(&f.arena);
}

static char *part_bytes(struct slice summary, uint32_t part)
{
    return (char *)(uintptr_t)summary.data + 20 + 32 * part;
}

static void test_open_refuses_unsound_parts(void **state)
{
    (void)state;
    static const struct {
        uint32_t part;
        size_t offset;
        char value;
    } rows[] = {{2, 0, 2}, {2, 0, 7},  {2, 0, 1},  {2, 4, 0},  {2, 4, 1},
                {2, 8, 0}, {2, 22, 1}, {1, 28, 3}, {1, 29, 9}, {1, 24, 9}};
    struct fixture f;
    fixture_init(&f);
    summarize(&f, SLICE(nested));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice copy = arena_copy(&f.arena, f.bytes);
        struct mime_summary summary;
        part_bytes(copy, rows[i].part)[rows[i].offset] = rows[i].value;
        if (mime_summary_open(copy, &summary) != -EBADMSG)
            fail_msg("row %zu was let pass", i);
    }
    arena_reset(&f.arena);
}

static void test_open_refuses_overlap_and_excess(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(&f, SLICE(nested));
    struct mime_summary summary;
    struct slice longer = arena_copy(&f.arena, f.bytes); /* arena_copy adds a NUL */
    longer.size++;
    assert_int_equal(mime_summary_open(longer, &summary), -EBADMSG);
    struct slice copy = arena_copy(&f.arena, f.bytes);
    part_bytes(copy, 2)[8] = (char)(part_bytes(copy, 2)[8] - 9);   /* header_offset, header_size: */
    part_bytes(copy, 2)[12] = (char)(part_bytes(copy, 2)[12] + 9); /* begins in part 1 */
    assert_int_equal(mime_summary_open(copy, &summary), -EBADMSG);
    arena_reset(&f.arena);
}

static void test_summarize_reports_full_arena(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 6000; cap += 7) {
        struct arena arena;
        struct slice bytes;
        arena_init(&arena, cap);
        int status = mime_summarize(SLICE(nested), &arena, &bytes);
        assert_true(status == 0 || (status == -ENOMEM && bytes.size == 0));
        assert_true(status == 0 || cap < 5900);
        arena_reset(&arena);
    }
}

/* Python's e-mail test messages, where they are installed. */
static void test_corpus(void **state)
{
    (void)state;
    static const char folder[] = "/usr/lib/python3.11/test/test_email/data";
    DIR *directory = opendir(folder);
    if (directory == NULL)
        skip();
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct fixture f;
        fixture_init(&f);
        struct slice path = arena_printf(&f.arena, "%s/%s", folder, entry->d_name);
        FILE *file = strstr(entry->d_name, ".txt") ? fopen(path.data, "rb") : NULL;
        if (file == NULL) {
            arena_reset(&f.arena);
            continue;
        }
        struct text message = text_new(&f);
        for (int c, last = 0; (c = fgetc(file)) != EOF; last = c) {
            if (c == '\n' && last != '\r')
                text_char(&message, '\r');
            text_char(&message, (char)c);
        }
        fclose(file);
        summarize(&f, text_slice(&message));
        arena_reset(&f.arena);
    }
    closedir(directory);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_bodystructure),
        cmocka_unit_test(test_body_has_no_extension),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_section_of_single_part),
        cmocka_unit_test(test_empty_summary_is_one_opaque_part),
        cmocka_unit_test(test_open_survives_corruption),
        cmocka_unit_test(test_open_refuses_truncation),
        cmocka_unit_test(test_open_refuses_unsound_parts),
        cmocka_unit_test(test_open_refuses_overlap_and_excess),
        cmocka_unit_test(test_summarize_reports_full_arena),
        cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
