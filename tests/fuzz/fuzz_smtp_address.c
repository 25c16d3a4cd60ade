/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the arguments of MAIL, RCPT, BDAT, EHLO, VRFY, AUTH, XCLIENT. What is
 * taken must keep the promises that others build on: bounded, UTF-8, without a control byte, and
 * the same when its canonical form is parsed again.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../../src/smtp/smtp_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void is_harmless(struct slice text)
{
    bool is_ascii;
    for (size_t i = 0; i < text.size; i++)
        require((unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f);
    require(smtp_utf8_valid(text, &is_ascii));
}

static void path_check(const struct smtp_path *path, bool is_sender, struct arena *arena)
{
    is_harmless(path->text);
    require(path->local.size <= LOCAL_PART_BYTES_MAX && path->domain.size <= DOMAIN_BYTES_MAX);
    require(path->text.size <= 2 * LOCAL_PART_BYTES_MAX + 3 + DOMAIN_BYTES_MAX);
    if (path->text.size == 0) {
        require(is_sender);
        return;
    }
    require(path->domain.size > 0 || !is_sender);
    struct slice again = arena_printf(arena, "<%.*s>", (int)path->text.size, path->text.data);
    struct smtp_path other;
    require(again.data != NULL);
    require(smtp_path_parse(&again, is_sender, arena, &other) == PATH_OK && again.size == 0);
    require(slice_equal(other.local, path->local) && slice_equal(other.domain, path->domain));
    require(slice_equal(other.text, path->text) && other.is_ascii == path->is_ascii);
}

/* A verdict is a reply line of ours. */
static bool is_taken(const char *why)
{
    for (unsigned i = 0; why != NULL && i < REPLY_COUNT; i++)
        if (smtp_replies[i].data == why)
            return false;
    require(why == NULL);
    return true;
}

static void auth_check(const struct auth_arguments *auth)
{
    require(auth->mechanism.size > 0 && auth->mechanism.size <= 20);
    is_harmless(auth->mechanism);
    require(slice_find(auth->initial, ' ') == auth->initial.size);
}

/* X03: a name is a word, whatever stands around it. */
static void xclient_check(const struct xclient_arguments *xclient)
{
    const struct slice names[] = {xclient->name, xclient->hello, xclient->login};
    for (unsigned i = 0; i < 3; i++) {
        is_harmless(names[i]);
        require(names[i].size <= XCLIENT_VALUE_BYTES_MAX);
        require(slice_find(names[i], ' ') == names[i].size);
    }
    require(slice_find(xclient->name, ')') == xclient->name.size);
    require(slice_find(xclient->hello, '(') == xclient->hello.size);
    require(xclient->family == 0 || xclient->family == 4 || xclient->family == 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct mail_arguments mail = {0};
    struct rcpt_arguments rcpt = {0};
    struct bdat_arguments bdat = {0};
    struct auth_arguments auth = {0};
    struct xclient_arguments xclient = {0};
    struct arena arena;
    arena_init(&arena, COMMAND_BYTES_MAX);
    if (is_taken(smtp_parse_mail(text, &arena, &mail))) {
        path_check(&mail.path, true, &arena);
        is_harmless(mail.envid);
        is_harmless(mail.auth);
        require(mail.envid.size <= ENVID_BYTES_MAX && (mail.path.is_ascii || mail.is_utf8));
    }
    if (is_taken(smtp_parse_rcpt(text, &arena, &rcpt))) {
        path_check(&rcpt.path, false, &arena);
        is_harmless(rcpt.orcpt);
        require(rcpt.orcpt.size <= ORCPT_BYTES_MAX);
    }
    (void)is_taken(smtp_parse_bdat(text, &arena, &bdat));
    if (is_taken(smtp_parse_hello(text, &arena, NULL)))
        is_harmless(text);
    if (is_taken(smtp_parse_word(text, &arena, NULL)))
        is_harmless(text);
    if (is_taken(smtp_parse_auth(text, &arena, &auth)))
        auth_check(&auth);
    if (is_taken(smtp_parse_xclient(text, &arena, &xclient)))
        xclient_check(&xclient);
    arena_reset(&arena);
    return 0;
}
