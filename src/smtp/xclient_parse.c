/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The attributes of XCLIENT (xclient.c), pure: a row each, with what reads its value.
 */
#include <arpa/inet.h>

#include "smtp_private.h"

/* What DNS may say, in ASCII. */
static bool is_name(struct slice value)
{
    bool is_ascii;
    return value.data[0] != '[' && smtp_domain_valid(value) && smtp_utf8_valid(value, &is_ascii) &&
           is_ascii;
}

static bool read_name(struct slice value, struct xclient_arguments *xclient)
{
    xclient->name = value;
    xclient->says_name = true;
    return value.size == 0 || is_name(value);
}

/* Only looked at. */
static bool read_reverse_name(struct slice value, struct xclient_arguments *xclient)
{
    (void)xclient;
    return value.size == 0 || is_name(value);
}

static bool parse_address(struct slice value, uint8_t *ret_family, uint8_t ret_address[16])
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16] = {0};
    bool is_v6 = slice_starts_nocase(value, SLICE("IPV6:"));
    value = is_v6 ? slice_from(value, 5) : value;
    if (value.size >= sizeof text)
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) != 1)
        return false;
    memcpy(ret_address, address, sizeof address);
    *ret_family = is_v6 ? 6 : 4;
    return true;
}

static bool read_address(struct slice value, struct xclient_arguments *xclient)
{
    return value.size == 0 || parse_address(value, &xclient->family, xclient->address);
}

static bool read_own_address(struct slice value, struct xclient_arguments *xclient)
{
    uint8_t family, address[16];
    (void)xclient;
    return value.size == 0 || parse_address(value, &family, address);
}

static bool read_port(struct slice value, struct xclient_arguments *xclient)
{
    uint64_t port = 0;
    if (value.size > 0 && (!slice_number(value, UINT16_MAX, &port) || port == 0))
        return false;
    xclient->port = (uint16_t)port;
    return true;
}

static bool read_own_port(struct slice value, struct xclient_arguments *xclient)
{
    uint64_t port;
    (void)xclient;
    return value.size == 0 || slice_number(value, UINT16_MAX, &port);
}

static bool read_protocol(struct slice value, struct xclient_arguments *xclient)
{
    (void)xclient;
    return slice_equal_nocase(value, SLICE("SMTP")) || slice_equal_nocase(value, SLICE("ESMTP"));
}

static bool read_hello(struct slice value, struct xclient_arguments *xclient)
{
    xclient->hello = value;
    return value.size == 0 || smtp_parse_hello(value, NULL, NULL) == NULL;
}

static bool read_login(struct slice value, struct xclient_arguments *xclient)
{
    xclient->login = value;
    return true;
}

static const struct {
    struct slice keyword;
    bool (*read)(struct slice value, struct xclient_arguments *xclient); /* empty: not known */
} attributes[] = {
    {{"NAME", 4}, read_name},
    {{"ADDR", 4}, read_address},
    {{"PORT", 4}, read_port},
    {{"PROTO", 5}, read_protocol},
    {{"HELO", 4}, read_hello},
    {{"LOGIN", 5}, read_login},
    {{"DESTADDR", 8}, read_own_address},
    {{"DESTPORT", 8}, read_own_port},
    {{"REVERSE_NAME", 12}, read_reverse_name},
};

/* No blanks nor controls in any value, and all of it is there or not known. As
 * smtp_xtext_decode. */
static int decode(struct slice text, struct arena *arena, struct slice *ret_value)
{
    int result = smtp_xtext_decode(text, XCLIENT_VALUE_BYTES_MAX, arena, ret_value);
    if (result < 0)
        return result;
    for (size_t i = 0; i < ret_value->size; i++)
        if ((unsigned char)ret_value->data[i] <= ' ' || ret_value->data[i] == 0x7f)
            return -EBADMSG;
    if (slice_equal_nocase(*ret_value, SLICE("[UNAVAILABLE]")) ||
        slice_equal_nocase(*ret_value, SLICE("[TEMPUNAVAIL]")))
        *ret_value = SLICE("");
    return 0;
}

static const char *read_word(struct slice word, struct arena *arena,
                             struct xclient_arguments *xclient)
{
    const char *bad = smtp_refusal(REPLY_XCLIENT_SYNTAX);
    size_t equals = slice_find(word, '=');
    struct slice keyword = slice_first(word, equals), value;
    for (unsigned i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (!slice_equal_nocase(keyword, attributes[i].keyword))
            continue;
        if ((xclient->seen & UINT32_C(1) << i) || equals == word.size)
            return bad;
        xclient->seen |= UINT32_C(1) << i;
        int result = decode(slice_from(word, equals + 1), arena, &value);
        if (result == -ENOMEM)
            return smtp_refusal(REPLY_NO_MEMORY);
        return result == 0 && attributes[i].read(value, xclient) ? NULL : bad;
    }
    return bad;
}

const char *smtp_parse_xclient(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct xclient_arguments *xclient = ret_arguments;
    while (text.size > 0) {
        size_t space = slice_find(text, ' ');
        const char *why = space > 0 ? read_word(slice_first(text, space), arena, xclient) : NULL;
        if (why != NULL)
            return why;
        text = slice_from(text, space + 1);
    }
    return xclient->seen != 0 ? NULL : smtp_refusal(REPLY_XCLIENT_SYNTAX);
}
