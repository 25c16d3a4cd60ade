/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths, parameters and arguments of SMTP commands: what is taken, what is refused and how. Rows
 * of the list of bad inputs: S13 (sizes of chunks), S23, S24, S25, S26, S38, S39.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../src/smtp/smtp_private.h"

/* In memory of its own, so that reading past the end is seen. */
static struct slice text_make(struct arena *arena, const char *text)
{
    size_t size = strlen(text);
    char *copy = arena_alloc(arena, size);
    memcpy(copy, text, size);
    return slice_of(copy, size);
}

static void fail_row(const char *text, const char *is, const char *want)
{
    fail_msg("%s: is %s, want %s", text, is, want);
}

static void check_slice(const char *text, struct slice is, const char *want)
{
    char copy[1000] = {0};
    memcpy(copy, is.data, is.size);
    if (strcmp(copy, want) != 0)
        fail_row(text, copy, want);
}

/* ---------------------------------------------------------------- paths */

static const char L64[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void good_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address, *local, *domain;
        bool is_ascii;
    } rows[] = {
        {"<a@b>", "a@b", "a", "b", true},
        {"<A.b+c@B.Example>", "A.b+c@B.Example", "A.b+c", "B.Example", true},
        {"<\"a b\"@c>", "\"a b\"@c", "a b", "c", true},
        {"<\"a\\\"\\\\b\"@c>", "\"a\\\"\\\\b\"@c", "a\"\\b", "c", true},
        {"<\"a@b\"@c>", "\"a@b\"@c", "a@b", "c", true},
        {"<a%b!c@d>", "a%b!c@d", "a%b!c", "d", true},
        {"<@x,@y.z:a@b>", "a@b", "a", "b", true},
        {"<@x:a@b>", "a@b", "a", "b", true},
        {"<a@[127.0.0.1]>", "a@[127.0.0.1]", "a", "[127.0.0.1]", true},
        {"<a@[IPv6:::1]>", "a@[IPv6:::1]", "a", "[IPv6:::1]", true},
        {"<postMaster>", "postMaster", "postMaster", "", true},
        {"<${run{x}}@localhost>", "${run{x}}@localhost", "${run{x}}", "localhost", true},
        {"<|cmd@x>", "|cmd@x", "|cmd", "x", true},
        {"<\xc3\xbc@\xc3\xa9.test>", "\xc3\xbc@\xc3\xa9.test", "\xc3\xbc", "\xc3\xa9.test", false},
        {"<x@a-b.c--d.1>", "x@a-b.c--d.1", "x", "a-b.c--d.1", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct smtp_path path;
        arena_init(&arena, 10000);
        struct slice text = text_make(&arena, rows[i].text);
        if (smtp_path_parse(&text, false, &arena, &path) != PATH_OK || text.size != 0)
            fail_row(rows[i].text, "refused", "taken");
        check_slice(rows[i].text, path.text, rows[i].address);
        check_slice(rows[i].text, path.local, rows[i].local);
        check_slice(rows[i].text, path.domain, rows[i].domain);
        assert_int_equal(path.is_ascii, rows[i].is_ascii);
        for (size_t cut = 0; cut < strlen(rows[i].text); cut++) { /* no prefix is a path */
            text = text_make(&arena, rows[i].text);
            text.size = cut;
            struct slice copy = arena_copy(&arena, text);
            if (smtp_path_parse(&copy, false, &arena, &path) == PATH_OK)
                fail_row(rows[i].text, "a prefix taken", "refused");
        }
        arena_reset(&arena);
    }
}

static void null_paths(void **state)
{
    (void)state;
    struct arena arena;
    struct smtp_path path;
    arena_init(&arena, 10000);
    struct slice text = text_make(&arena, "<> X=1");
    assert_int_equal(smtp_path_parse(&text, true, &arena, &path), PATH_OK);
    assert_int_equal(path.text.size, 0);
    check_slice("<>", text, " X=1");
    text = text_make(&arena, "<>");
    assert_int_equal(smtp_path_parse(&text, false, &arena, &path), PATH_LOCAL_PART);
    text = text_make(&arena, "<postmaster>");
    assert_int_equal(smtp_path_parse(&text, true, &arena, &path), PATH_DOMAIN);
    arena_reset(&arena);
}

/* S24, S25, S38 */
static void bad_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum path_verdict verdict;
    } rows[] = {
        {"", PATH_SYNTAX},
        {"a@b", PATH_SYNTAX},
        {" <a@b>", PATH_SYNTAX},
        {"<", PATH_LOCAL_PART},
        {"<@>", PATH_DOMAIN},
        {"<;id>", PATH_LOCAL_PART},
        {"<|cmd>", PATH_DOMAIN},
        {"</etc/passwd>", PATH_DOMAIN},
        {"<a b@c>", PATH_DOMAIN},
        {"<a@b c>", PATH_DOMAIN},
        {"<a@>", PATH_DOMAIN},
        {"<@a,@b:c@d", PATH_DOMAIN},
        {"<@a,@b c@d>", PATH_DOMAIN},
        {"<@a,b:c@d>", PATH_DOMAIN},
        {"<@a@b:c@d>", PATH_DOMAIN},
        {"<a@b@c>", PATH_DOMAIN},
        {"<a@b.>", PATH_DOMAIN},
        {"<a@.b>", PATH_DOMAIN},
        {"<a@b..c>", PATH_DOMAIN},
        {"<a@-b>", PATH_DOMAIN},
        {"<a@b->", PATH_DOMAIN},
        {"<a@b_c>", PATH_DOMAIN},
        {"<.a@b>", PATH_LOCAL_PART},
        {"<a.@b>", PATH_LOCAL_PART},
        {"<a..b@c>", PATH_LOCAL_PART},
        {"<\"\"@x>", PATH_LOCAL_PART},
        {"<\"a@x>", PATH_LOCAL_PART},
        {"<\"a\\", PATH_LOCAL_PART},
        {"<\"a\x01\"@x>", PATH_LOCAL_PART},
        {"<\"a\\\r\"@x>", PATH_LOCAL_PART},
        {"<\"a\"b@x>", PATH_DOMAIN},
        {"<a\x7f@x>", PATH_DOMAIN},
        {"<a@[127.0.0.1>", PATH_DOMAIN},
        {"<a@[127.0.0.256]>", PATH_DOMAIN},
        {"<a@[IPv6:::::]>", PATH_DOMAIN},
        {"<a@[]>", PATH_DOMAIN},
        {"<a@[tag:x]>", PATH_DOMAIN},
        {"<a@b", PATH_DOMAIN},
        {"<a@\xff>", PATH_LOCAL_PART},
        {"<\xc3@b>", PATH_LOCAL_PART},             /* cut */
        {"<\xc0\xaf@b>", PATH_LOCAL_PART},         /* overlong */
        {"<\xed\xa0\x80@b>", PATH_LOCAL_PART},     /* surrogate */
        {"<\xf4\x90\x80\x80@b>", PATH_LOCAL_PART}, /* beyond Unicode */
        {"<\xc2\x85@b>", PATH_LOCAL_PART},         /* C1 control */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct smtp_path path = {.is_ascii = true};
        arena_init(&arena, 10000);
        struct slice text = text_make(&arena, rows[i].text);
        if (smtp_path_parse(&text, false, &arena, &path) != rows[i].verdict)
            fail_row(rows[i].text, "another verdict", "this one");
        check_slice(rows[i].text, text, rows[i].text);
        arena_reset(&arena);
    }
}

static void path_limits(void **state)
{
    (void)state;
    struct arena arena;
    struct smtp_path path;
    char text[1000], domain[400] = {0};
    arena_init(&arena, 100000);
    for (int quoted = 0; quoted < 2; quoted++) {
        for (int more = 0; more < 2; more++) {
            const char *quote = quoted ? "\"" : "";
            snprintf(text, sizeof text, "<%s%s%s%s@b>", quote, L64, more ? "a" : "", quote);
            struct slice s = text_make(&arena, text);
            assert_int_equal(smtp_path_parse(&s, false, &arena, &path),
                             more ? PATH_LOCAL_PART : PATH_OK);
        }
    }
    for (int i = 0; i < 4; i++) /* 4 * 63 + 3 = 255 */
        snprintf(domain + strlen(domain), sizeof domain - strlen(domain), "%s%.63s", i ? "." : "",
                 L64);
    assert_true(smtp_domain_valid(slice_cstr(domain)));
    domain[63] = 'a'; /* a label of 127 */
    assert_false(smtp_domain_valid(slice_cstr(domain)));
    domain[63] = '.';
    domain[62] = '.'; /* an empty one */
    assert_false(smtp_domain_valid(slice_cstr(domain)));
    domain[62] = 'a';
    snprintf(text, sizeof text, "%s.a", domain);
    assert_false(smtp_domain_valid(slice_cstr(text)));
    snprintf(text, sizeof text, "%s", "<");
    for (int i = 0; i < SOURCE_ROUTE_MAX + 1; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s@x", i ? "," : "");
    snprintf(text + strlen(text), sizeof text - strlen(text), ":a@b>");
    struct slice s = text_make(&arena, text);
    assert_int_equal(smtp_path_parse(&s, false, &arena, &path), PATH_DOMAIN);
    arena_reset(&arena);
    arena_init(&arena, 10); /* no memory for the unquoted text */
    s = SLICE("<\"a\"@b>");
    assert_int_equal(smtp_path_parse(&s, false, &arena, &path), PATH_MEMORY);
}

/* ---------------------------------------------------------------- commands */

typedef const char *parser(struct slice text, struct arena *arena, void *ret_arguments);

static void check_refusal(parser *parse, const char *text, const char *code)
{
    struct arena arena;
    union {
        struct mail_arguments mail;
        struct rcpt_arguments rcpt;
        struct bdat_arguments bdat;
        struct auth_arguments auth;
        struct xclient_arguments xclient;
    } arguments;
    memset(&arguments, 0, sizeof arguments);
    arena_init(&arena, COMMAND_BYTES_MAX);
    const char *why = parse(text_make(&arena, text), &arena, &arguments);
    if (code == NULL ? why != NULL : why == NULL || strncmp(why, code, strlen(code)) != 0)
        fail_row(text, why ? why : "(taken)", code ? code : "(taken)");
    arena_reset(&arena);
}

/* tidy: long because it is tables */
static void parameters(void **state)
{
    (void)state;
    struct arena arena;
    struct mail_arguments mail = {0};
    struct rcpt_arguments rcpt = {0};
    arena_init(&arena, COMMAND_BYTES_MAX);
    struct slice text =
        SLICE("from: <a@b> size=0123  BODY=binarymime SMTPUTF8 ret=HDRS ENVID=+20 ");
    assert_null(smtp_parse_mail(text, &arena, &mail));
    assert_int_equal(mail.size, 123);
    assert_int_equal(mail.body, BODY_BINARYMIME);
    assert_int_equal(mail.ret, RETURN_HEADERS);
    assert_true(mail.is_utf8);
    check_slice("ENVID", mail.envid, "+20");
    text = SLICE("TO:<a@b> NOTIFY=success,DELAY ORCPT=RFC822;a+2Bb@c");
    assert_null(smtp_parse_rcpt(text, &arena, &rcpt));
    assert_int_equal(rcpt.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    check_slice("ORCPT", rcpt.orcpt, "RFC822;a+2Bb@c");
    arena_reset(&arena);

    mail = (struct mail_arguments){0};
    text = SLICE("FROM:<a@b> AUTH=a+2Bb@c REQUIRETLS");
    assert_null(smtp_parse_mail(text, &arena, &mail));
    check_slice("AUTH", mail.auth, "a+2Bb@c");
    assert_true(mail.requires_tls);
    arena_reset(&arena);
    check_refusal(smtp_parse_mail, "FROM:<a@b> AUTH=<>", NULL);
    check_refusal(smtp_parse_mail, "FROM:<a@b> AUTH=\"a+20b\"@c", NULL);
    check_refusal(smtp_parse_mail, "FROM:<a@b> SMTPUTF8", NULL);
    check_refusal(smtp_parse_mail, "FROM:<\xc3\xbc@b> SMTPUTF8", NULL);
    check_refusal(smtp_parse_rcpt, "TO:<a@b> NOTIFY=NEVER", NULL);
    check_refusal(smtp_parse_rcpt, "TO:<a@b> ORCPT=utf-8;\xc3\xbc@c", NULL);
    static const struct {
        const char *text, *code;
    } rows[] = {
        {"<a@b>", "501 5.5.4"},
        {"FROM <a@b>", "501 5.5.4"},
        {"TO:<a@b>", "501 5.5.4"},
        {"FROM:a@b", "501 5.5.4"},
        {"FROM:<a@b", "553 5.1.7"},
        {"FROM:<a b@c>", "553 5.1.7"},
        {"FROM:<\xc3\xbc@b>", "553 5.6.7"},
        {"FROM:<a@b>SIZE=1", "501 5.5.4"},
        /* S26 */
        {"FROM:<> AUTH=x+0Ay", "501 5.5.4"}, /* CVE-2020-28021 */
        {"FROM:<> AUTH=a@b+0D+0AX-Evil:+20x", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+00", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+7F", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+E2+80", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+C2+85", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+", "501 5.5.4"},
        {"FROM:<> AUTH=a@b+4", "501 5.5.4"},
        {"FROM:<> AUTH=a+3E+20SIZE+3D1", "501 5.5.4"},
        {"FROM:<> AUTH=a@b>", "501 5.5.4"},
        {"FROM:<> AUTH=@x:a@b", "501 5.5.4"},
        {"FROM:<> AUTH=nobody", "501 5.5.4"},
        {"FROM:<> AUTH=", "501 5.5.4"},
        {"FROM:<> AUTH", "501 5.5.4"},
        {"FROM:<> AUTH=<> AUTH=<>", "501 5.5.4"},
        {"FROM:<> REQUIRETLS=1", "501 5.5.4"},
        {"FROM:<> REQUIRETLS REQUIRETLS", "501 5.5.4"},
        {"FROM:<> ENVID=+00", "501 5.5.4"},
        {"FROM:<> ENVID=a+0D+0Ab", "501 5.5.4"},
        {"FROM:<> ENVID=+7F", "501 5.5.4"},
        {"FROM:<> ENVID=a+", "501 5.5.4"},
        {"FROM:<> ENVID=a+2", "501 5.5.4"},
        {"FROM:<> ENVID=a+2g", "501 5.5.4"},
        {"FROM:<> ENVID=a=b", "501 5.5.4"},
        {"FROM:<> ENVID=\xc3\xbc", "501 5.5.4"},
        {"FROM:<> ENVID=", "501 5.5.4"},
        {"FROM:<> ENVID", "501 5.5.4"},
        {"FROM:<> SIZE=-1", "501 5.5.4"},
        {"FROM:<> SIZE=99999999999999999999", "501 5.5.4"},
        {"FROM:<> SIZE=1 SIZE=1", "501 5.5.4"},
        {"FROM:<> SIZE", "501 5.5.4"},
        {"FROM:<> SMTPUTF8=1", "501 5.5.4"},
        {"FROM:<> BODY=9BIT", "501 5.5.4"},
        {"FROM:<> RET=ALL", "501 5.5.4"},
        {"FROM:<> =", "555 5.5.4"},
        {"FROM:<> X\ty", "555 5.5.4"},
        {"FROM:<> NOTIFY=NEVER", "555 5.5.4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refusal(smtp_parse_mail, rows[i].text, rows[i].code);
    static const struct {
        const char *text, *code;
    } rcpt_rows[] = {
        {"TO:<>", "553 5.1.3"},
        {"TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"},
        {"TO:<a@b> NOTIFY=DELAY,DELAY", "501 5.5.4"},
        {"TO:<a@b> NOTIFY=", "501 5.5.4"},
        {"TO:<a@b> NOTIFY=DELAY,", "501 5.5.4"},
        {"TO:<a@b> ORCPT=rfc822;a+0D+0Ab", "501 5.5.4"},
        {"TO:<a@b> ORCPT=rfc822", "501 5.5.4"},
        {"TO:<a@b> ORCPT=rfc822;", "501 5.5.4"},
        {"TO:<a@b> ORCPT=;a", "501 5.5.4"},
        {"TO:<a@b> ORCPT=rfc822;\xc3\xbc", "501 5.5.4"},
        {"TO:<a@b> ORCPT=utf-8;\xc3", "501 5.5.4"},
        {"TO:<a@b> SIZE=1", "555 5.5.4"},
    };
    for (size_t i = 0; i < sizeof rcpt_rows / sizeof *rcpt_rows; i++)
        check_refusal(smtp_parse_rcpt, rcpt_rows[i].text, rcpt_rows[i].code);
}

/* S13 */
/* A01, A02: the line of AUTH. */
static void auth_lines(void **state)
{
    (void)state;
    struct auth_arguments auth = {0};
    assert_null(smtp_parse_auth(SLICE("PLAIN"), NULL, &auth));
    check_slice("AUTH", auth.mechanism, "PLAIN");
    assert_null(auth.initial.data);
    assert_null(smtp_parse_auth(SLICE("scram-sha-256-PLUS abc= "), NULL, &auth));
    check_slice("AUTH", auth.mechanism, "scram-sha-256-PLUS");
    check_slice("AUTH", auth.initial, "abc=");
    assert_null(smtp_parse_auth(SLICE("LOGIN ="), NULL, &auth));
    check_slice("AUTH", auth.initial, "=");
    static const char *const rows[] = {"",
                                       " ",
                                       "PL\tAIN x",
                                       "PLAIN a b",
                                       "PLAIN  a",
                                       "PLAIN\xc3\xbc x",
                                       "MECHANISMOFTWENTYONEB",
                                       "a=b",
                                       "../x",
                                       "PLAIN\r"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refusal(smtp_parse_auth, rows[i], "501 5.5.4");
}

static void xclient_lines(void **state)
{
    (void)state;
    struct arena arena;
    struct xclient_arguments xclient = {0};
    static const uint8_t v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    arena_init(&arena, COMMAND_BYTES_MAX);
    assert_null(smtp_parse_xclient(SLICE("NAME=mail.example addr=192.0.2.1 PORT=4711 PROTO=ESMTP "
                                         "HELO=a.example LOGIN=u+2Bx@example.test "
                                         "DESTADDR=IPV6:::1 DESTPORT=25 REVERSE_NAME=x.example"),
                                   &arena, &xclient));
    check_slice("NAME", xclient.name, "mail.example");
    check_slice("HELO", xclient.hello, "a.example");
    check_slice("LOGIN", xclient.login, "u+x@example.test");
    assert_int_equal(xclient.family, 4);
    assert_memory_equal(xclient.address, v4, 4);
    assert_int_equal(xclient.port, 4711);
    xclient = (struct xclient_arguments){0};
    assert_null(
        smtp_parse_xclient(SLICE("ADDR=ipv6:2001:db8::1 NAME=[unavailable]"), &arena, &xclient));
    assert_int_equal(xclient.family, 6);
    assert_memory_equal(xclient.address, v6, 16);
    assert_true(xclient.says_name && xclient.name.size == 0);
    xclient = (struct xclient_arguments){0};
    assert_null(smtp_parse_xclient(SLICE("ADDR=[TEMPUNAVAIL] PORT=[UNAVAILABLE] LOGIN=[UNAVAILABLE]"
                                         " HELO=[UNAVAILABLE] DESTADDR=[UNAVAILABLE]"),
                                   &arena, &xclient));
    assert_int_equal(xclient.family, 0);
    assert_int_equal(xclient.port, 0);
    arena_reset(&arena);
}

/* X03 */
static void x03_names(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "NAME",
        "NAME=",
        "=x",
        "NAME=a NAME=b",
        "WHAT=x",
        "NAME=a+0D+0AXCLIENT+20NAME=x",
        "NAME=a+0D+0AXCLIENT+20NAME+3Dx",
        "NAME=a+0Ab",
        "NAME=a+00b",
        "NAME=a+20b",
        "NAME=a+22b",
        "NAME=a+28b+29",
        "NAME=+5B127.0.0.1+5D",
        "NAME=a..b",
        "NAME=+C3+BC.example",
        "NAME=a+2",
        "NAME=a\tb",
        "HELO=a+20b",
        "HELO=a+28b",
        "HELO=a+0D+0A",
        "LOGIN=a+0Ab@example.test",
        "LOGIN=a+20b@example.test",
        "LOGIN=+00",
        "LOGIN=+FF",
        "ADDR=192.0.2.256",
        "ADDR=192.0.2.1+00",
        "ADDR=192.0.2.1/32",
        "ADDR=::1",
        "ADDR=IPV6:192.0.2.1",
        "ADDR=IPV6:fe80::1%25eth0",
        "ADDR=IPV6:",
        "ADDR=1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
        "PORT=0",
        "PORT=65536",
        "PORT=-1",
        "PORT=1e3",
        "PROTO=LMTP",
        "PROTO=",
        "DESTADDR=x",
        "DESTPORT=65536",
        "REVERSE_NAME=a+0Ab",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refusal(smtp_parse_xclient, rows[i], "501 5.5.4");
    char text[1100] = "NAME=";
    memset(text + 5, 'a', 1000);
    check_refusal(smtp_parse_xclient, text, "501 5.5.4");
    memcpy(text, "LOGIN=", 6);
    check_refusal(smtp_parse_xclient, text, "501 5.5.4");
}

static void chunks(void **state)
{
    (void)state;
    struct bdat_arguments bdat = {0};
    assert_null(smtp_parse_bdat(SLICE("18446744073709551615 last "), NULL, &bdat));
    assert_int_equal(bdat.size, UINT64_MAX);
    assert_true(bdat.is_last);
    assert_null(smtp_parse_bdat(SLICE("0"), NULL, &bdat));
    assert_false(bdat.is_last);
    static const char *const rows[] = {"",   "-1",      "+1",      "1e3",  "18446744073709551616",
                                       "5x", "5 LASTX", "5  LAST", "LAST", "0x10"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refusal(smtp_parse_bdat, rows[i], "501 5.5.4");
}

/* S23, S39 */
static void words(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'a', sizeof name);
    name[255] = '\0';
    check_refusal(smtp_parse_hello, name, NULL);
    name[255] = 'a';
    name[256] = '\0';
    check_refusal(smtp_parse_hello, name, "501");
    static const char *const hellos[] = {"",      " ",    "\x1b[2J", "a b",   "a\xc3\xbc",
                                         "a(b)",  "a\tb", "a;b",     "a\x7f", "<a>",
                                         "\"a\"", "a\\b", "a,b",     "a@b"};
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++)
        check_refusal(smtp_parse_hello, hellos[i], "501 5.5.4");
    check_refusal(smtp_parse_hello, "my_host.example ", NULL);
    check_refusal(smtp_parse_hello, "[IPv6:::1]", NULL);
    check_refusal(smtp_parse_none, "", NULL);
    check_refusal(smtp_parse_none, "  ", NULL);
    check_refusal(smtp_parse_none, "x", "501 5.5.4");
    check_refusal(smtp_parse_text, "any thing", NULL);
    for (int c = 1; c < 256; c++) {
        char text[4] = {'a', (char)c, 'b', 0};
        if (c >= ' ' && c < 0x7f)
            continue;
        check_refusal(smtp_parse_text, text, "501");
        check_refusal(smtp_parse_word, text, "501");
        check_refusal(smtp_parse_hello, text, "501");
    }
    check_refusal(smtp_parse_word, "", "501 5.5.4");
    check_refusal(smtp_parse_word, "u0", NULL);
    check_refusal(smtp_parse_word, "\xc3\xbc", "553 5.6.7"); /* S20 */
    check_refusal(smtp_parse_word, "\xc3\xbc smtputf8", NULL);
    check_refusal(smtp_parse_word, "\xc3\xbc\x01 SMTPUTF8", "501 5.5.4");
}

static void errors(void **state)
{
    (void)state;
    for (int error = 1; error < 200; error++) /* no failure of ours is the peer's fault */
        assert_int_equal(smtp_replies[smtp_reply_of(-error)].data[0], '4');
    assert_int_equal(smtp_reply_of(0), REPLY_OK);
    for (unsigned i = 0; i < REPLY_COUNT; i++) {
        struct slice line = smtp_replies[i];
        assert_true(line.size > 6 && line.size <= 512 &&
                    memcmp(line.data + line.size - 2, "\r\n", 2) == 0);
        assert_int_equal(slice_find(line, '\n'), line.size - 1);
        if (line.data[0] != '3') /* RFC 2034 4: the class is the code's */
            assert_true(line.data[4] == line.data[0] && line.data[5] == '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_paths),    cmocka_unit_test(null_paths), cmocka_unit_test(bad_paths),
        cmocka_unit_test(path_limits),   cmocka_unit_test(parameters), cmocka_unit_test(auth_lines),
        cmocka_unit_test(xclient_lines), cmocka_unit_test(x03_names),  cmocka_unit_test(chunks),
        cmocka_unit_test(words),         cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests_name("smtp_parse", tests, NULL, NULL);
}
