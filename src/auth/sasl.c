/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SASL PLAIN (RFC 4616): authorization identity NUL user NUL password, in base64 (RFC 4648). Read
 * strictly: what a careless decoder passes over (blanks, inner '=', loose bits at the end) is
 * refused, so that a message has one reading only. Pure.
 */
#include "auth_private.h"

enum {
    PLAIN_BYTES_MAX = 2 * AUTH_USER_BYTES_MAX + AUTH_PASSWORD_BYTES_MAX + 2,
    PLAIN_BASE64_BYTES_MAX = (PLAIN_BYTES_MAX + 2) / 3 * 4
};

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Into `out` of at least text.size / 4 * 3 bytes. False: not base64. */
static bool base64_decode(struct slice text, char *out, size_t *ret_size)
{
    size_t size = 0, padding = 0;
    if (text.size % 4 != 0)
        return false;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = i < text.size - padding ? base64_digit(text.data[i]) : 0;
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            out[size++] = (char)(bits >> 16);
            out[size++] = (char)(bits >> 8);
            out[size++] = (char)bits;
        }
    }
    for (size_t i = 0; i < padding; i++) /* loose bits: RFC 4648 3.5 */
        if (out[--size] != 0)
            return false;
    *ret_size = size;
    return true;
}

const char *sasl_plain(struct slice base64, struct arena *arena, struct slice *ret_user,
                       struct slice *ret_password)
{
    if (slice_equal(base64, SLICE("=")))
        base64.size = 0;
    if (base64.size > PLAIN_BASE64_BYTES_MAX)
        return "Response too long";
    size_t size;
    char *data = arena_alloc(arena, base64.size / 4 * 3 + 1);
    if (data == NULL)
        return "Out of memory";
    if (!base64_decode(base64, data, &size))
        return "Not base64";
    struct slice message = slice_of(data, size);
    struct slice identity = slice_first(message, slice_find(message, '\0'));
    struct slice rest = slice_from(message, identity.size + 1);
    struct slice user = slice_first(rest, slice_find(rest, '\0'));
    struct slice password = slice_from(rest, user.size + 1);
    const char *why = NULL;
    if (identity.size == message.size || user.size == rest.size ||
        slice_find(password, '\0') != password.size)
        why = "Not a PLAIN message";
    else if (user.size == 0 || password.size == 0)
        why = "User and password must not be empty";
    else if (user.size > AUTH_USER_BYTES_MAX || password.size > AUTH_PASSWORD_BYTES_MAX)
        why = "User or password too long";
    else if (identity.size > 0 && !slice_equal_nocase(identity, user))
        why = "No log-in on behalf of others";
    if (why != NULL) {
        explicit_bzero(data, size);
        return why;
    }
    *ret_user = user;
    *ret_password = password;
    return NULL;
}
