/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Parsers of SMTP's command table: pure. A verdict is a reply's text (reply.h), or NULL.
 *
 * Parameters (RFC 5321 4.1.1.11) are rows of a table a command: keyword, and what reads its value.
 * A keyword may come once. xtext (RFC 3461 4) is kept as it came; it is only looked at: what it
 * stands for must be printable, so that it can never make a line of its own anywhere.
 */
#include <errno.h>

#include "smtp_private.h"

/* ---------------------------------------------------------------- text */

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || (unsigned char)text.data[i] >= 0x7f)
            return false;
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

const char *smtp_parse_none(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena, (void)ret_arguments;
    return trim(text).size == 0 ? NULL : smtp_refusal(REPLY_NO_ARGUMENTS);
}

const char *smtp_parse_text(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena, (void)ret_arguments;
    return is_printable(text) ? NULL : smtp_refusal(REPLY_ARGUMENT_BYTES);
}

/* RFC 6531 3.7.4.2: VRFY and EXPN of names beyond ASCII end with SMTPUTF8. */
const char *smtp_parse_word(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena, (void)ret_arguments;
    const struct slice keyword = SLICE(" SMTPUTF8");
    bool is_ascii;
    text = trim(text);
    if (text.size == 0)
        return smtp_refusal(REPLY_ARGUMENT_WANTED);
    if (is_printable(text))
        return NULL;
    if (!smtp_utf8_valid(text, &is_ascii) || is_ascii)
        return smtp_refusal(REPLY_ARGUMENT_BYTES);
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return smtp_refusal(REPLY_ARGUMENT_BYTES);
    bool is_asked = text.size > keyword.size &&
                    slice_equal_nocase(slice_from(text, text.size - keyword.size), keyword);
    return is_asked ? NULL : smtp_refusal(REPLY_NOT_ASCII);
}

/* Host names of clients are often not quite domains ("_", "/"): taken, they are only told on. What
 * could end a comment or a line in a trace field is not. */
const char *smtp_parse_hello(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena, (void)ret_arguments;
    text = trim(text);
    if (text.size == 0 || text.size > HELLO_BYTES_MAX)
        return smtp_refusal(REPLY_HELLO_SYNTAX);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_name = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!is_name && (c <= ' ' || strchr(".-_:[]/+", c) == NULL))
            return smtp_refusal(REPLY_HELLO_SYNTAX);
    }
    return NULL;
}

/* ---------------------------------------------------------------- xtext */

static int hex_of(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* RFC 3461 4; with `utf8` (RFC 6533 3) bytes beyond ASCII stand for themselves. */
static bool is_xtext(struct slice text, bool utf8)
{
    bool is_ascii;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '=' || c == 0x7f || (c >= 0x80 && !utf8))
            return false;
        if (c != '+')
            continue;
        if (text.size - i < 3)
            return false;
        int high = hex_of(text.data[i + 1]), low = hex_of(text.data[i + 2]);
        if (high < 0 || low < 0 || high * 16 + low < ' ' || high * 16 + low == 0x7f)
            return false;
        i += 2;
    }
    return text.size > 0 && smtp_utf8_valid(text, &is_ascii);
}

int smtp_xtext_decode(struct slice text, size_t bytes_max, struct arena *arena,
                      struct slice *ret_value)
{
    bool is_ascii;
    if (!is_xtext(text, false) || text.size > bytes_max * 3)
        return -EBADMSG;
    char *value = arena_alloc(arena, text.size);
    size_t size = 0;
    if (value == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < text.size; i++) {
        value[size++] = text.data[i];
        if (text.data[i] != '+')
            continue;
        value[size - 1] = (char)(hex_of(text.data[i + 1]) * 16 + hex_of(text.data[i + 2]));
        i += 2;
    }
    *ret_value = slice_of(value, size);
    return size <= bytes_max && smtp_utf8_valid(*ret_value, &is_ascii) ? 0 : -EBADMSG;
}

/* ---------------------------------------------------------------- parameters */

enum verdict { SYNTAX, FIT, MEMORY };

struct parameter {
    const char *keyword;
    bool has_value;
    /* What it makes lives in the arena. */
    enum verdict (*read)(struct slice value, struct arena *arena, void *arguments);
};

static enum verdict read_size(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    struct mail_arguments *mail = arguments;
    return slice_number(value, UINT64_MAX, &mail->size);
}

static enum verdict read_body(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    static const struct slice names[] = {
        [BODY_7BIT] = {"7BIT", 4},
        [BODY_8BITMIME] = {"8BITMIME", 8},
        [BODY_BINARYMIME] = {"BINARYMIME", 10},
    };
    struct mail_arguments *mail = arguments;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_nocase(value, names[i])) {
            mail->body = (uint8_t)i;
            return FIT;
        }
    }
    return SYNTAX;
}

static enum verdict read_utf8(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena, (void)value;
    ((struct mail_arguments *)arguments)->is_utf8 = true;
    return FIT;
}

static enum verdict read_return(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    struct mail_arguments *mail = arguments;
    if (slice_equal_nocase(value, SLICE("FULL")))
        mail->ret = RETURN_FULL;
    else if (slice_equal_nocase(value, SLICE("HDRS")))
        mail->ret = RETURN_HEADERS;
    return mail->ret != RETURN_UNSAID;
}

static enum verdict read_envid(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    ((struct mail_arguments *)arguments)->envid = value;
    return value.size <= ENVID_BYTES_MAX && is_xtext(value, false);
}

/* RFC 8689 */
static enum verdict read_requiretls(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena, (void)value;
    ((struct mail_arguments *)arguments)->requires_tls = true;
    return FIT;
}

/* RFC 4954 5: "<>", or a mailbox. */
static enum verdict read_auth(struct slice value, struct arena *arena, void *arguments)
{
    struct slice mailbox;
    struct smtp_path path;
    if (value.size > AUTH_MAILBOX_BYTES_MAX)
        return SYNTAX;
    int result = smtp_xtext_decode(value, AUTH_MAILBOX_BYTES_MAX, arena, &mailbox);
    if (result < 0)
        return result == -ENOMEM ? MEMORY : SYNTAX;
    ((struct mail_arguments *)arguments)->auth = value;
    if (slice_equal(mailbox, SLICE("<>")))
        return FIT;
    struct slice whole = arena_printf(arena, "<%.*s>", (int)mailbox.size, mailbox.data);
    if (whole.data == NULL)
        return MEMORY;
    enum path_verdict verdict = smtp_path_parse(&whole, true, arena, &path);
    if (verdict == PATH_MEMORY)
        return MEMORY;
    return verdict == PATH_OK && whole.size == 0 && path.text.size == mailbox.size;
}

/* RFC 3461 4.1: NEVER stands alone. */
static enum verdict read_notify(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    static const struct {
        struct slice name;
        uint8_t bit;
    } names[] = {
        {{"SUCCESS", 7}, NOTIFY_SUCCESS},
        {{"FAILURE", 7}, NOTIFY_FAILURE},
        {{"DELAY", 5}, NOTIFY_DELAY},
        {{"NEVER", 5}, NOTIFY_NEVER},
    };
    struct rcpt_arguments *rcpt = arguments;
    for (;;) {
        size_t comma = slice_find(value, ',');
        uint8_t bit = 0;
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
            if (slice_equal_nocase(slice_first(value, comma), names[i].name))
                bit = names[i].bit;
        if (bit == 0 || (rcpt->notify & bit))
            return SYNTAX;
        rcpt->notify |= bit;
        if (comma == value.size)
            return rcpt->notify == NOTIFY_NEVER || !(rcpt->notify & NOTIFY_NEVER);
        value = slice_from(value, comma + 1);
    }
}

static enum verdict read_orcpt(struct slice value, struct arena *arena, void *arguments)
{
    (void)arena;
    struct slice type = slice_first(value, slice_find(value, ';'));
    bool is_utf8 = slice_equal_nocase(type, SLICE("utf-8"));
    ((struct rcpt_arguments *)arguments)->orcpt = value;
    return value.size <= ORCPT_BYTES_MAX && type.size > 0 && is_xtext(type, false) &&
           memchr(type.data, '+', type.size) == NULL &&
           is_xtext(slice_from(value, type.size + 1), is_utf8);
}

static const struct parameter mail_parameters[] = {
    {"SIZE", true, read_size},
    {"BODY", true, read_body},
    {"SMTPUTF8", false, read_utf8},
    {"RET", true, read_return},
    {"ENVID", true, read_envid},
    {"AUTH", true, read_auth},
    {"REQUIRETLS", false, read_requiretls},
};
static const struct parameter rcpt_parameters[] = {
    {"NOTIFY", true, read_notify},
    {"ORCPT", true, read_orcpt},
};

static const char *read_parameter(struct slice word, const struct parameter *rows, unsigned count,
                                  uint32_t *seen, struct arena *arena, void *arguments)
{
    size_t equals = slice_find(word, '=');
    struct slice keyword = slice_first(word, equals), value = slice_from(word, equals + 1);
    for (unsigned i = 0; i < count; i++) {
        if (!slice_equal_nocase(keyword, slice_cstr(rows[i].keyword)))
            continue;
        if (*seen & UINT32_C(1) << i)
            return smtp_refusal(REPLY_PARAMETER_TWICE);
        *seen |= UINT32_C(1) << i;
        enum verdict verdict = SYNTAX;
        if (rows[i].has_value == (equals < word.size))
            verdict = rows[i].read(value, arena, arguments);
        return verdict == FIT      ? NULL
               : verdict == MEMORY ? smtp_refusal(REPLY_NO_MEMORY)
                                   : smtp_refusal(REPLY_PARAMETER_SYNTAX);
    }
    return smtp_refusal(REPLY_PARAMETER_UNKNOWN);
}

static const char *read_parameters(struct slice text, const struct parameter *rows, unsigned count,
                                   uint32_t *seen, struct arena *arena, void *arguments)
{
    if (text.size > 0 && text.data[0] != ' ')
        return smtp_refusal(REPLY_PARAMETER_SYNTAX);
    while (text.size > 0) {
        size_t space = slice_find(text, ' ');
        if (space > 0) {
            const char *why =
                read_parameter(slice_first(text, space), rows, count, seen, arena, arguments);
            if (why != NULL)
                return why;
        }
        text = slice_from(text, space + 1);
    }
    return NULL;
}

/* ---------------------------------------------------------------- MAIL, RCPT, BDAT */

/* Takes "FROM:" or "TO:" and blanks behind it, which RFC 5321 3.3 forbids and people type. */
static bool take_keyword(struct slice *text, struct slice keyword)
{
    if (!slice_starts_nocase(*text, keyword))
        return false;
    *text = slice_from(*text, keyword.size);
    while (text->size > 0 && text->data[0] == ' ')
        *text = slice_from(*text, 1);
    return true;
}

static const char *path_refusal(enum path_verdict verdict, enum smtp_reply syntax,
                                enum smtp_reply address)
{
    switch (verdict) {
    case PATH_OK:
        return NULL;
    case PATH_SYNTAX:
        return smtp_refusal(syntax);
    case PATH_MEMORY:
        return smtp_refusal(REPLY_NO_MEMORY);
    default:
        return smtp_refusal(address);
    }
}

const char *smtp_parse_mail(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct mail_arguments *mail = ret_arguments;
    if (!take_keyword(&text, SLICE("FROM:")))
        return smtp_refusal(REPLY_MAIL_SYNTAX);
    enum path_verdict verdict = smtp_path_parse(&text, true, arena, &mail->path);
    const char *why = path_refusal(verdict, REPLY_MAIL_SYNTAX, REPLY_SENDER_SYNTAX);
    if (why == NULL)
        why =
            read_parameters(text, mail_parameters, sizeof mail_parameters / sizeof *mail_parameters,
                            &mail->seen, arena, mail);
    if (why == NULL && !mail->path.is_ascii && !mail->is_utf8)
        why = smtp_refusal(REPLY_NOT_ASCII); /* RFC 6531 3.5 */
    return why;
}

const char *smtp_parse_rcpt(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct rcpt_arguments *rcpt = ret_arguments;
    if (!take_keyword(&text, SLICE("TO:")))
        return smtp_refusal(REPLY_RCPT_SYNTAX);
    enum path_verdict verdict = smtp_path_parse(&text, false, arena, &rcpt->path);
    const char *why = path_refusal(verdict, REPLY_RCPT_SYNTAX, REPLY_RECIPIENT_SYNTAX);
    if (why == NULL)
        why =
            read_parameters(text, rcpt_parameters, sizeof rcpt_parameters / sizeof *rcpt_parameters,
                            &rcpt->seen, arena, rcpt);
    return why;
}

/* RFC 3030 2: chunk-size and an optional LAST. */
const char *smtp_parse_bdat(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct bdat_arguments *bdat = ret_arguments;
    text = trim(text);
    size_t space = slice_find(text, ' ');
    struct slice last = slice_from(text, space + 1);
    if (!slice_number(slice_first(text, space), UINT64_MAX, &bdat->size))
        return smtp_refusal(REPLY_BDAT_SYNTAX);
    bdat->is_last = slice_equal_nocase(last, SLICE("LAST"));
    if (last.size > 0 && !bdat->is_last)
        return smtp_refusal(REPLY_BDAT_SYNTAX);
    return NULL;
}

/* ---------------------------------------------------------------- AUTH */

/* RFC 4954 4: mechanism names are those of RFC 4422 3.1. */
const char *smtp_parse_auth(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct auth_arguments *auth = ret_arguments;
    text = trim(text);
    size_t space = slice_find(text, ' ');
    auth->mechanism = slice_first(text, space);
    if (space == 0 || space > 20)
        return smtp_refusal(REPLY_AUTH_SYNTAX);
    for (size_t i = 0; i < space; i++) {
        char c = ascii_upper(text.data[i]);
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return smtp_refusal(REPLY_AUTH_SYNTAX);
    }
    if (space == text.size)
        return NULL;
    auth->initial = slice_from(text, space + 1);
    if (slice_find(auth->initial, ' ') < auth->initial.size)
        return smtp_refusal(REPLY_AUTH_SYNTAX);
    return NULL;
}
