/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the lines of a backend mean. Pure: bytes in, a meaning or "nonsense" out. A backend is
 * believed in what it says about its user and in nothing else: what is kept of a line is printable
 * and bounded, an unknown status is nonsense, and nonsense ends the connection.
 */
#include <arpa/inet.h>

#include "ringpost/smtp_reply.h"

#include "talk.h"

static bool starts(struct slice line, const char *word, struct slice *ret_rest)
{
    struct slice prefix = slice_cstr(word);
    if (!slice_starts_nocase(line, prefix) ||
        (line.size > prefix.size && line.data[prefix.size] != ' '))
        return false;
    *ret_rest = slice_from(line, prefix.size + 1);
    return true;
}

/* What stands between the brackets at the start of `text`; an IPv6 address has some of its own. */
static struct slice code_of(struct slice text)
{
    unsigned depth = 0;
    if (text.size == 0 || text.data[0] != '[')
        return (struct slice){0};
    for (size_t i = 0; i < text.size; i++) {
        depth += text.data[i] == '[';
        depth -= text.data[i] == ']';
        if (depth == 0)
            return slice_of(text.data + 1, i - 1);
    }
    return (struct slice){0};
}

/* "[CODE] text": the text is what stands behind it. */
static void take_code(struct reply *reply)
{
    reply->code = code_of(reply->text);
    if (reply->code.size == 0)
        return;
    reply->text = slice_from(reply->text, reply->code.size + 2);
    if (reply->text.size > 0 && reply->text.data[0] == ' ')
        reply->text = slice_from(reply->text, 1);
}

/* ---------------------------------------------------------------- IMAP */

void reply_imap(struct slice line, struct slice tag, struct reply *ret_reply)
{
    struct reply reply = {.said = SAID_NONSENSE};
    struct slice rest = slice_from(line, 2);
    if (line.size >= 1 && line.data[0] == '+' && (line.size == 1 || line.data[1] == ' ')) {
        reply.said = SAID_CONTINUE;
        reply.text = rest;
    } else if (line.size >= 2 && line.data[0] == '*' && line.data[1] == ' ') {
        reply.said = starts(rest, "BYE", &reply.text) ? SAID_BYE : SAID_OTHER;
        if (reply.said == SAID_OTHER)
            reply.text = rest;
    } else if (line.size > tag.size && slice_equal(slice_first(line, tag.size), tag) &&
               line.data[tag.size] == ' ') {
        rest = slice_from(line, tag.size + 1);
        if (starts(rest, "OK", &reply.text))
            reply.said = SAID_OK;
        else if (starts(rest, "NO", &reply.text))
            reply.said = SAID_NO;
        else if (starts(rest, "BAD", &reply.text))
            reply.said = SAID_BAD;
    }
    if (reply.said != SAID_OTHER && reply.said != SAID_CONTINUE)
        take_code(&reply);
    *ret_reply = reply;
}

/* ---------------------------------------------------------------- POP3 */

void reply_pop3(struct slice line, struct reply *ret_reply)
{
    struct reply reply = {.said = SAID_NONSENSE};
    if (starts(line, "+OK", &reply.text)) {
        reply.said = SAID_OK;
    } else if (starts(line, "-ERR", &reply.text)) {
        reply.said = SAID_NO;
    } else if (line.size >= 1 && line.data[0] == '+' && (line.size == 1 || line.data[1] == ' ')) {
        reply.said = SAID_CONTINUE;
        reply.text = slice_from(line, 2);
    }
    if (reply.said != SAID_CONTINUE)
        take_code(&reply);
    *ret_reply = reply;
}

/* ---------------------------------------------------------------- SMTP */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void reply_smtp(struct slice line, struct reply *ret_reply)
{
    struct smtp_reply reply;
    *ret_reply = (struct reply){.said = SAID_NONSENSE};
    if (!smtp_reply_parse(line, &reply))
        return;
    *ret_reply = (struct reply){.said = reply.number < 300    ? SAID_OK
                                        : reply.number < 400  ? SAID_CONTINUE
                                        : reply.number == 421 ? SAID_BYE
                                                              : SAID_NO,
                                .code = reply.code,
                                .text = reply.text,
                                .number = reply.number,
                                .is_more = reply.is_more};
}

/* ---------------------------------------------------------------- ManageSieve */

/* A code may hold quoted strings, and these parentheses. */
static struct slice sieve_code(struct slice text)
{
    bool is_quoted = false;
    if (text.size == 0 || text.data[0] != '(')
        return (struct slice){0};
    for (size_t i = 1; i < text.size; i++) {
        if (is_quoted && text.data[i] == '\\')
            i++;
        else if (text.data[i] == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && text.data[i] == ')')
            return slice_of(text.data + 1, i - 1);
    }
    return (struct slice){0};
}

void reply_sieve(struct slice line, struct reply *ret_reply)
{
    struct reply reply = {.said = SAID_OTHER, .text = line};
    if (starts(line, "OK", &reply.text))
        reply.said = SAID_OK;
    else if (starts(line, "NO", &reply.text))
        reply.said = SAID_NO;
    else if (starts(line, "BYE", &reply.text))
        reply.said = SAID_BYE;
    else if (line.size == 0 || (line.data[0] != '"' && line.data[0] != '{'))
        reply.said = SAID_NONSENSE;
    if (reply.said != SAID_OTHER && reply.said != SAID_NONSENSE) {
        reply.code = sieve_code(reply.text);
        if (reply.code.size > 0) { /* the text is a string behind it */
            reply.text = slice_from(reply.text, reply.code.size + 2);
            if (reply.text.size > 0 && reply.text.data[0] == ' ')
                reply.text = slice_from(reply.text, 1);
        }
    }
    *ret_reply = reply;
}

bool sieve_string(struct slice line, char *out, struct slice *ret_string, struct slice *ret_rest)
{
    size_t size = 0, i = 1;
    if (line.size == 0 || line.data[0] != '"')
        return false;
    for (; i < line.size && line.data[i] != '"'; i++) {
        if (line.data[i] == '\\' && ++i >= line.size)
            return false;
        if (size == TALK_STRING_BYTES_MAX)
            return false;
        out[size++] = line.data[i];
    }
    if (i >= line.size)
        return false;
    *ret_string = slice_of(out, size);
    *ret_rest = slice_from(line, i + 1);
    return true;
}

bool literal_at_end(struct slice line, size_t bytes_max, size_t *ret_size)
{
    size_t end = line.size, begin;
    uint64_t size;
    if (end < 3 || line.data[--end] != '}')
        return false;
    if (line.data[end - 1] == '+')
        end--;
    for (begin = end; begin > 0 && is_digit(line.data[begin - 1]);)
        begin--;
    if (begin == 0 || line.data[begin - 1] != '{' ||
        !slice_number(slice_of(line.data + begin, end - begin), UINT32_MAX, &size))
        return false;
    *ret_size = size < bytes_max + 1 ? (size_t)size : bytes_max + 1;
    return true;
}

/* ---------------------------------------------------------------- the verdict */

static const struct code_row {
    enum backend_protocol protocol;
    const char *code; /* its first word */
    enum verdict verdict;
    bool is_told; /* to the client: what he makes of it is other than of "try later" */
} code_rows[] = {
    {BACKEND_IMAP, "UNAVAILABLE", VERDICT_LATER},
    {BACKEND_IMAP, "SERVERBUG", VERDICT_NOT_NOW},
    {BACKEND_IMAP, "INUSE", VERDICT_NOT_NOW, true},
    {BACKEND_IMAP, "CONTACTADMIN", VERDICT_NOT_NOW, true},
    {BACKEND_IMAP, "PRIVACYREQUIRED", VERDICT_NOT_NOW},
    {BACKEND_IMAP, "CORRUPTION", VERDICT_NOT_NOW},
    {BACKEND_IMAP, "LIMIT", VERDICT_LIMIT},
    {BACKEND_POP3, "SYS/TEMP", VERDICT_LATER},
    {BACKEND_POP3, "SYS/PERM", VERDICT_NOT_NOW, true},
    {BACKEND_POP3, "IN-USE", VERDICT_NOT_NOW, true},
    {BACKEND_POP3, "LOGIN-DELAY", VERDICT_NOT_NOW, true},
    {BACKEND_SIEVE, "TRYLATER", VERDICT_LATER},
    {BACKEND_SIEVE, "ENCRYPT-NEEDED", VERDICT_NOT_NOW},
    {BACKEND_SIEVE, "AUTH-TOO-WEAK", VERDICT_NOT_NOW},
    {BACKEND_SIEVE, "QUOTA", VERDICT_LIMIT},
};

/* NULL: none of these. */
static const struct code_row *row_of(enum backend_protocol protocol, const struct reply *reply)
{
    size_t end = slice_find(reply->code, ' ');
    if (protocol == BACKEND_SIEVE && slice_find(reply->code, '/') < end)
        end = slice_find(reply->code, '/');
    for (size_t i = 0; i < sizeof code_rows / sizeof *code_rows; i++)
        if (code_rows[i].protocol == protocol &&
            slice_equal_nocase(slice_first(reply->code, end), slice_cstr(code_rows[i].code)))
            return &code_rows[i];
    return NULL;
}

static enum verdict verdict_smtp(const struct reply *reply)
{
    bool is_plain = reply->code.size == 0;
    if (reply->number < 500)
        return VERDICT_LATER;
    if (reply->number == 535 ? is_plain || slice_equal(reply->code, SLICE("5.7.8")) ||
                                   slice_equal(reply->code, SLICE("5.7.0"))
                             : slice_equal(reply->code, SLICE("5.7.8")))
        return VERDICT_WRONG;
    return slice_equal(reply->code, SLICE("5.4.6")) ? VERDICT_LOOP : VERDICT_NOT_NOW;
}

enum verdict verdict_of(enum backend_protocol protocol, const struct reply *reply)
{
    if (reply->said == SAID_OK)
        return VERDICT_IN;
    if (reply->said == SAID_BYE)
        return VERDICT_LATER;
    if (reply->said != SAID_NO)
        return VERDICT_NOT_NOW;
    if (protocol == BACKEND_SUBMISSION || protocol == BACKEND_LMTP)
        return verdict_smtp(reply);
    if (slice_starts_nocase(reply->code, SLICE("REFERRAL")))
        return VERDICT_NOT_NOW; /* to nowhere: one that leads on is followed before this counts */
    const struct code_row *row = row_of(protocol, reply);
    return row != NULL ? row->verdict : VERDICT_WRONG;
}

const char *code_told(enum backend_protocol protocol, const struct reply *reply)
{
    const struct code_row *row = reply->said == SAID_NO ? row_of(protocol, reply) : NULL;
    return row != NULL && row->is_told ? row->code : NULL;
}

/* ---------------------------------------------------------------- referrals */

bool address_parse(struct slice text, uint8_t *ret_family, uint8_t ret_address[16])
{
    char copy[48];
    if (text.size >= sizeof copy || text.size == 0 || memchr(text.data, 0, text.size) != NULL)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    memset(ret_address, 0, 16);
    *ret_family = inet_pton(AF_INET, copy, ret_address) == 1    ? 4
                  : inet_pton(AF_INET6, copy, ret_address) == 1 ? 6
                                                                : 0;
    return *ret_family != 0;
}

void address_text(unsigned family, const uint8_t address[16], const char *prefix, char text[64])
{
    char plain[48] = "";
    if (family == 4 || family == 6)
        inet_ntop(family == 4 ? AF_INET : AF_INET6, address, plain, sizeof plain);
    if (family == 6 && strlen(prefix) < 16) {
        memcpy(text, prefix, strlen(prefix));
        text += strlen(prefix);
    }
    memcpy(text, plain, strlen(plain) + 1);
}

/* REFERRAL imap://user;AUTH=*@host:port/ (RFC 2221), POP3's REFERRAL/ before the same,
 * ManageSieve's in quotes. The user is not looked at: who logs in is ours to know. */
bool referral_of(const struct reply *reply, struct referral *ret_referral)
{
    struct referral referral = {0};
    struct slice code = reply->code, prefix = SLICE("REFERRAL");
    if (!slice_starts_nocase(code, prefix) || code.size < prefix.size + 2)
        return false;
    code = slice_from(code, prefix.size + 1);
    if (code.data[0] == '"')
        code = slice_from(slice_first(code, code.size - 1), 1);
    for (size_t i = 0; i + 2 < code.size; i++)
        if (memcmp(code.data + i, "://", 3) == 0) {
            code = slice_from(code, i + 3);
            break;
        }
    code = slice_first(code, slice_find(code, '/'));
    for (size_t at; (at = slice_find(code, '@')) < code.size;)
        code = slice_from(code, at + 1);
    struct slice host = code, port = {0};
    if (code.size > 0 && code.data[0] == '[') {
        host = code_of(code);
        port = slice_from(code, host.size + 2);
    } else {
        host = slice_first(code, slice_find(code, ':'));
        port = slice_from(code, host.size);
    }
    uint64_t number = 0;
    if (host.size == 0 || host.size > TLS_NAME_BYTES_MAX ||
        (port.size > 0 &&
         (port.data[0] != ':' || !slice_number(slice_from(port, 1), 65535, &number))))
        return false;
    referral.host = host;
    referral.port = (uint16_t)number;
    address_parse(host, &referral.family, referral.address);
    *ret_referral = referral;
    return true;
}

/* ---------------------------------------------------------------- text, capabilities */

void text_clean(struct slice text, char *to, size_t capacity)
{
    size_t size = text.size < capacity - 1 ? text.size : capacity - 1;
    for (size_t i = 0; i < size; i++)
        to[i] = text.data[i];
    for (size_t i = 0; i < size; i++)
        if (to[i] < ' ' || to[i] > '~')
            to[i] = '?';
    to[size] = '\0';
}

void offer_clear(struct offer *capabilities)
{
    capabilities->is_known = false;
    capabilities->size = 0;
    capabilities->text[0] = '\0';
}

/* What may stand in a list, a response code and a quoted string alike. Each log-in comes with some
 * forty words, so a character is one look. */
static bool is_word(struct slice text)
{
    static const bool is_special[256] = {
        ['('] = true, [')'] = true, ['{'] = true,  ['}'] = true, ['['] = true,
        [']'] = true, ['"'] = true, ['\\'] = true, ['%'] = true, ['*'] = true,
    };
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || is_special[(unsigned char)text.data[i]])
            return false;
    return text.size > 0;
}

void offer_add(struct offer *capabilities, struct slice word, struct slice parameters,
               const char *separators)
{
    char *text = capabilities->text;
    size_t size = capabilities->size, room = BACKEND_CAPABILITY_BYTES_MAX - size;
    capabilities->is_known = true;
    if (!is_word(word) || word.size + parameters.size + 2 > room)
        return;
    if (size > 0)
        text[size++] = ' ';
    memcpy(text + size, word.data, word.size);
    size += word.size;
    bool is_first = true;
    for (size_t at = 0; at < parameters.size;) {
        size_t end = at;
        while (end < parameters.size && strchr(separators, parameters.data[end]) == NULL)
            end++;
        struct slice one = slice_of(parameters.data + at, end - at);
        at = end + 1;
        if (!is_word(one))
            continue;
        text[size++] = is_first ? '=' : ',';
        memcpy(text + size, one.data, one.size);
        size += one.size;
        is_first = false;
    }
    text[size] = '\0';
    capabilities->size = size;
}

void offer_add_list(struct offer *capabilities, struct slice list)
{
    capabilities->is_known = true;
    while (list.size > 0) {
        size_t end = slice_find(list, ' ');
        offer_add(capabilities, slice_first(list, end), (struct slice){0}, " ");
        list = slice_from(list, end + 1);
    }
}

static bool has_parameter(struct slice parameters, struct slice wanted)
{
    while (parameters.size > 0) {
        size_t end = slice_find(parameters, ',');
        if (slice_equal_nocase(slice_first(parameters, end), wanted))
            return true;
        parameters = slice_from(parameters, end + 1);
    }
    return false;
}

bool can(const struct offer *capabilities, const char *word, const char *parameter)
{
    struct slice rest = slice_of(capabilities->text, capabilities->size);
    while (rest.size > 0) {
        struct slice one = slice_first(rest, slice_find(rest, ' '));
        struct slice name = slice_first(one, slice_find(one, '='));
        if (parameter == NULL && slice_equal_nocase(one, slice_cstr(word)))
            return true; /* a word of IMAP may hold a '=' */
        if (slice_equal_nocase(name, slice_cstr(word)) &&
            (parameter == NULL ||
             has_parameter(slice_from(one, name.size + 1), slice_cstr(parameter))))
            return true;
        rest = slice_from(rest, one.size + 1);
    }
    return false;
}
