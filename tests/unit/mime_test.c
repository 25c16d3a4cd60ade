/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tidy: long because it is tables of messages and of what IMAP says of them, one program a module
 *
 * The MIME library: what IMAP says of messages (tables of message and expected text), sections,
 * decoders, and the hostile rows (M) of the list of bad input: each must give a sound summary of
 * bounded size. An alarm ends the program if work stops being linear.
 */
#include "ringpost/mime.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NONE "NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL"

enum { ARENA_BYTES = 1 << 29, TIME_MAX_SECONDS = 240 };

struct fixture {
    struct arena arena;
    struct slice bytes;
    struct mime_summary summary;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, ARENA_BYTES);
}

static void assert_slice(struct slice actual, const char *expected)
{
    if (!slice_equal(actual, slice_cstr(expected)))
        fail_msg("got      %.*s\nexpected %s", (int)actual.size, actual.data, expected);
}

/* Brackets pair outside strings; literals hold what they say; no control outside them. */
static void check_text(struct slice text)
{
    int depth = 0;
    assert_true(text.size > 0 && text.data[0] == '(');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        assert_true(c >= ' ' && c < 127);
        if (c == '(' || c == ')') {
            depth += c == '(' ? 1 : -1;
            assert_true(depth > 0 || i + 1 == text.size);
        } else if (c == '"') {
            for (i++; i < text.size && text.data[i] != '"'; i++) {
                i += text.data[i] == '\\';
                assert_true(i < text.size && text.data[i] > 0 && text.data[i] != '\r' &&
                            text.data[i] != '\n');
            }
        } else if (c == '{') {
            struct slice rest = slice_from(text, i + 1);
            uint64_t size = 0;
            size_t digits = slice_find(rest, '}');
            assert_true(slice_number(slice_first(rest, digits), text.size, &size));
            assert_memory_equal(rest.data + digits, "}\r\n", 3);
            assert_null(memchr(rest.data + digits + 3, '\0', size));
            i += digits + 3 + size;
        }
        assert_true(i < text.size);
    }
    assert_int_equal(depth, 0);
}

static void check_parts(const struct mime_summary *summary, size_t message_size)
{
    for (uint32_t i = 0; i < summary->part_count; i++) {
        struct mime_part part, parent;
        mime_summary_part(summary, i, &part);
        mime_summary_part(summary, part.parent, &parent);
        uint64_t end = (uint64_t)part.body_offset + part.body_size;
        assert_int_equal(part.header_offset + part.header_size, part.body_offset);
        if (i == 0) {
            assert_int_equal(end, message_size);
            continue;
        }
        assert_true(part.parent < i && part.header_offset >= parent.body_offset);
        assert_true(end <= (uint64_t)parent.body_offset + parent.body_size);
    }
}

/* Summarises, opens, and checks what holds for every message. */
static void summarize(struct fixture *f, struct slice message)
{
    assert_int_equal(mime_summarize(message, &f->arena, &f->bytes), 0);
    assert_int_equal(mime_summary_open(f->bytes, &f->summary), 0);
    check_parts(&f->summary, message.size);
    check_text(f->summary.envelope);
    check_text(f->summary.body);
    check_text(f->summary.bodystructure);
}

static struct text text_new(struct fixture *f)
{
    struct text text;
    text_init(&text, &f->arena);
    return text;
}

static void repeat(struct text *text, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        text_append(text, slice_cstr(piece));
}

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

/* --- headers and decoders
 * ---------------------------------------------------------------------------- */

static void test_header_fields(void **state)
{
    (void)state;
    struct slice header = SLICE("A: 1\r\nno colon\r\nB :2\r\n 3\r\n\r\nC: 4\r\n");
    struct mime_header field;
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "A");
    assert_slice(field.value, " 1");
    assert_slice(field.whole, "A: 1\r\n");
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "");
    assert_slice(field.whole, "no colon\r\n");
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "B");
    assert_slice(field.value, "2\r\n 3");
    assert_false(mime_header_next(&header, &field));
    assert_slice(header, "\r\nC: 4\r\n");
}

static void test_header_select(void **state)
{
    (void)state;
    static const struct {
        const char *header, *selected, *others;
    } rows[] = {
        {"A: 1\r\nto: x\r\n y\r\nB: 2\r\nTO: z\r\n\r\n", "to: x\r\n y\r\nTO: z\r\n\r\n",
         "A: 1\r\nB: 2\r\n\r\n"},
        {"To: x", "To: x\r\n\r\n", "\r\n"},
        {"junk\r\nTo: x\r\n", "To: x\r\n\r\n", "junk\r\n\r\n"},
        {"Tomato: x\r\n", "\r\n", "Tomato: x\r\n\r\n"},
        {"", "\r\n", "\r\n"},
    };
    const struct slice names[] = {SLICE("nothing"), SLICE("To")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text selected = text_new(&f), others = text_new(&f);
        mime_header_select(slice_cstr(rows[i].header), names, 2, false, &selected);
        mime_header_select(slice_cstr(rows[i].header), names, 2, true, &others);
        assert_slice(text_slice(&selected), rows[i].selected);
        assert_slice(text_slice(&others), rows[i].others);
        arena_reset(&f.arena);
    }
}

static void test_decode_words(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {" plain\r\n folded ", "plain folded"},
        {"=?utf-8?q?a_=C3=A9?=", "a \xc3\xa9"},
        {"=?ISO-8859-1*fr?Q?=E9?= x", "\xc3\xa9 x"},
        {"=?utf-8?B?w6k=?=\r\n =?utf-8?b?w6k?=", "\xc3\xa9\xc3\xa9"},
        {"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "\xc3\xa9"},
        {"=?gb2312?q?=C4?= =?gb2312?q?=E3?=", "\xe4\xbd\xa0"},
        {"a =?utf-8?q?b?= c =?utf-8?q?d?= =?koi8-r?q?=C1?=", "a b c d\xd0\xb0"},
        {"=?utf-8?q?a=0D=0AX:=00b?=", "a  X: b"},
        {"=?x-unknown?q?=FF=01?=", "\xff "},
        {"=?utf-8?q?", "=?utf-8?q?"},
        {"=?=?utf-8?q?x?=", "=?x"},
        {"=?utf-8?x?y?= =??q?z?=", "=?utf-8?x?y?= =??q?z?="},
        {"=?utf-8?q?=?utf-8?q?x?=?=", "=?utf-8?q?x?="},
        {"a\rb\tc", "a b c"},
        {"=?iso-2022-jp?b?GyRCJA==?=", "$"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_decode_words(slice_cstr(rows[i].message), &out);
        assert_slice(text_slice(&out), rows[i].expected);
        arena_reset(&f.arena);
    }
}

static void test_decode_transfer(void **state)
{
    (void)state;
    static const struct {
        enum mime_encoding encoding;
        const char *body, *expected;
    } rows[] = {
        {MIME_BASE64, "aGVs\r\nbG8=", "hello"},
        {MIME_BASE64, "aGVsbG8", "hello"},
        {MIME_BASE64, "a!G*Vs=bG8=bG8", "hellolo"},
        {MIME_BASE64, "aA==aQ==", "hi"},
        {MIME_BASE64, "a", ""},
        {MIME_QUOTED_PRINTABLE, "a=3D=\r\nb=3db \t\r\nc= \r\nd", "a=b=b\r\ncd"},
        {MIME_QUOTED_PRINTABLE, "=zz====41=4", "=zz===A=4"},
        {MIME_QUOTED_PRINTABLE, "a b  ", "a b"},
        {MIME_QUOTED_PRINTABLE, "a=", "a"},
        {MIME_8BIT, "=41", "=41"},
        {MIME_ENCODING_OTHER, "M=41", "M=41"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_decode_transfer(slice_cstr(rows[i].body), rows[i].encoding, &out);
        if (!slice_equal(text_slice(&out), slice_cstr(rows[i].expected)))
            fail_msg("row %zu: %.*s", i, (int)out.size, out.data);
        arena_reset(&f.arena);
    }
}

static void test_to_utf8(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"utf-8", "\xc3\xa9\xff", "\xc3\xa9\xff"},
        {"ISO-8859-1", "\xe9", "\xc3\xa9"},
        {"", "\xe9", "\xe9"},
        {"../../x", "\xe9", "\xe9"},
        {"utf-8//ignore", "\xe9", "\xe9"},
        {"big5", "a\xffz", "a\xffz"},
        {"gb2312", "\xc4", "\xc4"},
        {"gb2312", "\xff\xc4\xe3", "\xff\xe4\xbd\xa0"},
        {"koi8-r", "\xc1", "\xd0\xb0"},
        {"iso-2022-jp", "\x1b$B$\"", "\xe3\x81\x82"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_to_utf8(slice_cstr(rows[i][1]), slice_cstr(rows[i][0]), &out);
        assert_slice(text_slice(&out), rows[i][2]);
        arena_reset(&f.arena);
    }
}

/* M09 */
static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t seconds, day; /* day -1: no date at all; seconds -1: no time */
        int zone;
    } rows[] = {
        {"Thu, 01 Jan 1970 00:00:00 +0000", 0, 0, 0},
        {" Mon, 20 Nov 1995 19:12:08 -0500", 816912728, 9454, -300},
        {"20 Nov 95 19:12 EST", 816912720, 9454, -300},
        {"Thu,\r\n 29 Feb (leap) 2024 23:59:60 +0530 (IST)", 1709231400, 19782, 330},
        {"1 Jan 00 00:00:00", 946684800, 10957, 0},
        {"1 Jan 100 00:00:00 Z", 946684800, 10957, 0},
        {"31 December 9999 0:0 UT", 253402214400, 2932896, 0},
        {"1-Jan-2000", -1, 10957, 0},
        {"1 Jan 2000 24:00:00 +0000", -1, 10957, 0},
        {"1 Jan 2000 00:00:00 +9999", -1, 10957, 0},
        {"1 Jan 2000 00:00:00 +00000", -1, 10957, 0},
        {"Thu, 1 Jan 99999999999 00:00:00 +0000", -1, -1, 0},
        {"Thu, 1 Jan -1 00:00:00 +0000", -1, -1, 0},
        {"1 Xyz 2000 00:00:00 +0000", -1, -1, 0},
        {"1 13 2000 00:00:00 +0000", -1, -1, 0},
        {"29 Feb 1900 00:00:00 +0000", -1, -1, 0},
        {"0 Jan 2000 00:00:00 +0000", -1, -1, 0},
        {"1 Jan 1800 00:00:00 +0000", -1, -1, 0},
        {"", -1, -1, 0},
        {"Thu,", -1, -1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = -1, day = -1;
        int zone = 0;
        bool has_time = mime_date_parse(slice_cstr(rows[i].value), &seconds, &zone);
        bool has_day = mime_date_day(slice_cstr(rows[i].value), &day);
        if (has_time != (rows[i].seconds >= 0) || has_day != (rows[i].day >= 0) ||
            seconds != rows[i].seconds || day != rows[i].day || zone != rows[i].zone)
            fail_msg("%s: %lld %lld %d", rows[i].value, (long long)seconds, (long long)day, zone);
    }
}

static void test_contains(void **state)
{
    (void)state;
    static const struct {
        const char *haystack, *needle;
        bool found;
    } rows[] = {
        {"", "", true},
        {"abc", "", true},
        {"", "a", false},
        {"xABCx", "abc", true},
        {"aab", "AB", true},
        {"abcabcabd", "ABCABD", true},
        {"abcabcabc", "abcabd", false},
        {"aaaaaaaab", "aab", true},
        {"xx \xc3\x89T\xc3\x89", "\xc3\xa9t\xc3\xa9", true},
        {"\xd0\x9f\xd0\xa0\xd0\x98", "\xd0\xbf\xd1\x80\xd0\xb8", true},
        {"\xce\xa3", "\xcf\x83", true},
        {"\xc5\x81", "\xc5\x82", true},
        {"\xc3\x97", "\xc3\xb7", false}, /* times, divided by: not letters */
        {"[@`{", "{", true},
        {"[", "{", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mime_contains_nocase(slice_cstr(rows[i].haystack), slice_cstr(rows[i].needle)) !=
            rows[i].found)
            fail_msg("row %zu", i);
}

/* All strings of up to 7 letters of {a, b} in one another, against the obvious algorithm. */
static void test_contains_agrees_with_naive_search(void **state)
{
    (void)state;
    char haystack[12], needle[7];
    for (unsigned h = 0; h < 1u << 11; h++)
        for (size_t size = 1; size <= 6; size++)
            for (unsigned n = 0; n < 1u << size; n++) {
                for (unsigned i = 0; i < 11; i++)
                    haystack[i] = (char)('a' + (h >> i & 1));
                for (unsigned i = 0; i < size; i++)
                    needle[i] = (char)('A' + (n >> i & 1));
                bool expected = false;
                for (size_t at = 0; at + size <= 11 && !expected; at++)
                    expected =
                        slice_equal_nocase(slice_of(haystack + at, size), slice_of(needle, size));
                if (mime_contains_nocase(slice_of(haystack, 11), slice_of(needle, size)) !=
                    expected)
                    fail_msg("%.11s %.*s", haystack, (int)size, needle);
            }
}

/* --- hostile input: the rows of section M
 * ------------------------------------------------------------- */

enum { OUTPUT_MAX = 2 << 20, HELD_MAX = 8 << 20 }; /* what any summary, and making it, may take */

static void finish(struct fixture *f, const struct text *message)
{
    assert_false(message->failed);
    struct fixture run;
    fixture_init(&run);
    arena_init(&run.arena, HELD_MAX);
    summarize(&run, text_slice(message));
    assert_true(run.bytes.size <= OUTPUT_MAX);
    assert_true(run.summary.part_count <= MIME_PARTS_MAX);
    arena_reset(&run.arena);
    arena_reset(&f->arena);
}

/* `head`, `piece` times `count`, `tail` as a message. */
static void hostile(const char *head, const char *piece, size_t count, const char *tail)
{
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, head, 1);
    repeat(&message, piece, count);
    repeat(&message, tail, 1);
    finish(&f, &message);
}

/* M01 */
static void test_m01_many_addresses(void **state)
{
    (void)state;
    hostile("", "From: a@b\r\n", 100000, "\r\n");
    hostile("", "Cc: a@b\r\n ,\"\r\n", 500000, "\r\n");
    hostile("From: ", "a@b,\r\n ", 500000, "\r\n\r\n");
    hostile("To: ", "g:;", 500000, "\r\n\r\n");
    hostile("To: ", "g:a,", 500000, "\r\n\r\n");
    hostile("To: ", ",", 500000, "\r\n\r\n");
    hostile("To: <", "@a,", 500000, "\r\n\r\n");
}

static void test_m01_addresses_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "To: a@b, ", 1);
    repeat(&message, "a@b,", 5000);
    repeat(&message, "\r\n\r\n", 1);
    summarize(&f, text_slice(&message));
    size_t entries = 0;
    for (size_t i = 0; i < f.summary.envelope.size; i++)
        entries += f.summary.envelope.data[i] == '@' || f.summary.envelope.data[i] == 'a';
    assert_int_equal(entries, MIME_ADDRESSES_MAX);
    arena_reset(&f.arena);
}

static void test_m01_groups_are_counted(void **state)
{
    (void)state;
    static const char *const pieces[] = {"g:;", "g:a;", "g:a,a,"};
    for (size_t row = 0; row < sizeof pieces / sizeof pieces[0]; row++) {
        struct fixture f;
        fixture_init(&f);
        struct text message = text_new(&f);
        repeat(&message, "To: a,", 1);
        repeat(&message, pieces[row], 5000);
        repeat(&message, "\r\n\r\n", 1);
        summarize(&f, text_slice(&message));
        size_t opened = 0, groups = 0, ends = 0;
        for (size_t i = 0; i + 6 < f.summary.envelope.size; i++) {
            const char *at = f.summary.envelope.data + i;
            opened += *at == '(';
            groups += memcmp(at, "\"g\" NIL", 7) == 0;
            ends += memcmp(at, "NIL)", 4) == 0 && memcmp(at - 4, "NIL ", 4) == 0;
        }
        assert_int_equal(groups, ends);
        assert_true(opened - 2 <= MIME_ADDRESSES_MAX && opened - 2 >= MIME_ADDRESSES_MAX - 2);
        arena_reset(&f.arena);
    }
}

/* M02 */
static void test_m02_large_headers(void **state)
{
    (void)state;
    hostile("Subject: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 1 << 20, "\r\n\r\n");
    hostile("", "X: y\r\n", 1000000, "\r\n");
    hostile("", "xxxxxxxxxxxxxxxx", 1 << 16, ": y\r\n\r\n");
    hostile("Subject: x", "\r\n y", 1000000, "\r\n\r\n");
    hostile("Subject: ", "\"", 1000000, "\r\n\r\n");
    hostile("Content-Type: ", "(", 1000000, "\r\n\r\n");
}

/* M03 */
static void test_m03_many_parameters(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "Content-Type: a/b", 1);
    for (int i = 100000; i-- > 0;)
        text_printf(&message, ";a*%d*=%%41", i % 3 ? i : 100000 - i);
    repeat(&message, "\r\n\r\n", 1);
    finish(&f, &message);
    hostile("Content-Type: a/b", "; a*0=x; b*0=y; a*1*=z", 100000, "\r\n\r\n");
    hostile("Content-Disposition: a", ";=;;a=\"", 100000, "\r\n\r\n");
}

static void nest(const char *piece, size_t depth)
{
    hostile("", piece, depth, "");
}

/* M04 */
static void test_m04_deep_nesting(void **state)
{
    (void)state;
    static const size_t depths[] = {10, 63, 64, 65, 101, 10000, 1000000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        nest("Content-Type: message/rfc822\r\n\r\n", depths[i]);
        nest("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n", depths[i]);
        nest("Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\n", depths[i]);
    }
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    for (int i = 0; i < 20000; i++)
        text_printf(&message, "Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    for (int i = 20000; i-- > 0;)
        text_printf(&message, "\r\n--b%d--\r\n", i);
    finish(&f, &message);
}

/* M05 */
static void test_m05_boundaries(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "Content-Type: multipart/mixed; boundary=", 1);
    repeat(&message, "bbbbbbbbbb", 1024);
    repeat(&message, "\r\n\r\n--", 1);
    repeat(&message, "bbbbbbbbbb", 1024);
    repeat(&message, "\r\n\r\nx", 1);
    summarize(&f, text_slice(&message));
    assert_int_equal(f.summary.part_count, 2);
    arena_reset(&f.arena);
    hostile("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a-\r\n--aa\r\n--a--\r\n--a\r\n",
            10000, "");
    hostile("Content-Type: multipart/mixed; boundary=\"a--\"\r\n\r\n--a--\r\n"
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n",
            "--a\r\n\r\n--a--\r\n--a----\r\n", 10000, "");
}

/* M06 */
static void test_m06_million_empty_parts(void **state)
{
    (void)state;
    hostile("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a\r\n", 1000000, "--a--\r\n");
    hostile("Content-Type: multipart/digest; boundary=a\r\n\r\n", "--a\r\n\r\nFrom: a,a,a\r\n\r\n",
            100000, "");
}

/* M07 */
static void test_m07_unterminated(void **state)
{
    (void)state;
    hostile("From: a@b ", "(", 1000000, "\r\n\r\n");
    hostile("From: ", "(a@b, ", 100000, "\\");
    hostile("From: \"", "x", 1000, "\\");
    hostile("From: x (", "y", 1000, "\\");
    hostile("Content-Type: text/plain; a=\"", "x", 1000, "\\");
    hostile("Content-Type: text/plain; (", "\\", 1001, "");
    hostile("Content-Type: text/plain; a*0", "*", 1000, "");
}

/* M08 */
static void test_m08_broken_addresses(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<",      ">",  "\"",  ":",   ";",  "@",
                                         "a@b@c,", "<@", "<@:", "g:<", "\\", "()"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        hostile("From: x", pieces[i], 100000, "\r\n\r\n");
}

/* M10 */
static void test_m10_decoders_survive_cuts(void **state)
{
    (void)state;
    static const char quoted[] = "=C3=A9=\r\n= \t\r\n \r\n====3", base64[] = "w6nD\r\nqQ==w6k=";
    struct fixture f;
    fixture_init(&f);
    for (size_t size = 0; size < sizeof quoted; size++) {
        char *copy = malloc(size + 1);
        struct text out = text_new(&f);
        assert_non_null(copy);
        memcpy(copy, quoted, size);
        mime_decode_transfer(slice_of(copy, size), MIME_QUOTED_PRINTABLE, &out);
        memcpy(copy, base64, size < sizeof base64 ? size : sizeof base64);
        mime_decode_transfer(slice_of(copy, size), MIME_BASE64, &out);
        assert_true(out.size <= 2 * size);
        free(copy);
    }
    arena_reset(&f.arena);
}

/* M11 */
static void test_m11_many_words(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "=?utf-8?q?x?= ",     "=?", "=?a?q?", "=?utf-8?b?", "=?koi8-r?q?=C1?=",
        "=?utf-8?q?=0D=0A?=", "?=", "="};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text value = text_new(&f), out = text_new(&f);
        repeat(&value, pieces[i], 100000);
        mime_decode_words(text_slice(&value), &out);
        assert_false(out.failed);
        assert_true(out.size <= value.size);
        assert_true(out.size == 0 || memchr(out.data, '\n', out.size) == NULL);
        arena_reset(&f.arena);
    }
}

/* M12 */
static void test_m12_odd_shapes(void **state)
{
    (void)state;
    static const struct {
        struct slice message;
        uint32_t header_size, body_lines;
    } rows[] = {
        {SLICE(""), 0, 0},
        {SLICE("\r\n"), 2, 0},
        {SLICE("A: b\r\n"), 6, 0},
        {SLICE("A: b"), 4, 0},
        {SLICE("\r\nx"), 2, 1},
        {SLICE("body only"), 9, 0},
        {SLICE("\0\0\0\r\n\r\n\0"), 7, 1},
        {SLICE("A: b\r\r\n\r\nx"), 9, 1},
        {SLICE("\nx\ny\n"), 1, 2},
        {SLICE("Subject: a\0b\r\nFrom: \0@\0\r\n\r\n"), 27, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct mime_part part;
        summarize(&f, rows[i].message);
        mime_summary_part(&f.summary, 0, &part);
        if (part.header_size != rows[i].header_size || part.body_lines != rows[i].body_lines)
            fail_msg("row %zu: header %u, lines %u", i, part.header_size, part.body_lines);
        arena_reset(&f.arena);
    }
    hostile("\r\n", "xxxxxxxxxxxxxxxx", 1 << 22, "");
}

/* M15 */
static void test_m15_name_over_lines(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(
        &f, SLICE("Content-Type: a/b\r\nContent-Disposition: attachment;\r\n filename*0=\"evil.\r\n"
                  " e\";\r\n filename*1=\"xe\"\r\n\r\n"));
    assert_slice(f.summary.bodystructure, "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL (\"attachment\" "
                                          "(\"filename\" \"evil. exe\")) NIL NIL)");
    arena_reset(&f.arena);
}

/* The periodic strings that make the obvious search quadratic. */
static void test_search_is_linear(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text haystack = text_new(&f), needle = text_new(&f);
    repeat(&haystack, "a", 4000000);
    repeat(&needle, "a", 1000000);
    repeat(&needle, "b", 1);
    repeat(&needle, "a", 1000000);
    assert_false(mime_contains_nocase(text_slice(&haystack), text_slice(&needle)));
    arena_reset(&f.arena);
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
        cmocka_unit_test(test_header_fields),
        cmocka_unit_test(test_header_select),
        cmocka_unit_test(test_decode_words),
        cmocka_unit_test(test_decode_transfer),
        cmocka_unit_test(test_to_utf8),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_contains_agrees_with_naive_search),
        cmocka_unit_test(test_m01_many_addresses),
        cmocka_unit_test(test_m01_addresses_are_counted),
        cmocka_unit_test(test_m01_groups_are_counted),
        cmocka_unit_test(test_m02_large_headers),
        cmocka_unit_test(test_m03_many_parameters),
        cmocka_unit_test(test_m04_deep_nesting),
        cmocka_unit_test(test_m05_boundaries),
        cmocka_unit_test(test_m06_million_empty_parts),
        cmocka_unit_test(test_m07_unterminated),
        cmocka_unit_test(test_m08_broken_addresses),
        cmocka_unit_test(test_m10_decoders_survive_cuts),
        cmocka_unit_test(test_m11_many_words),
        cmocka_unit_test(test_m12_odd_shapes),
        cmocka_unit_test(test_m15_name_over_lines),
        cmocka_unit_test(test_search_is_linear),
        cmocka_unit_test(test_corpus),
    };
    alarm(TIME_MAX_SECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
