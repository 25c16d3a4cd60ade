/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The client's two messages of SCRAM (RFC 5802, section 7), read strictly: attributes in their
 * order, nothing twice, extensions only where they may stand. Pure.
 *
 *   n,a=boss,n=anna,r=fyko+d2l          head "n,a=boss,"   bare "n=anna,r=fyko+d2l"
 *   c=biws,r=fyko+d2l3rfc,p=v0X8v3B     unproved "c=biws,r=fyko+d2l3rfc"
 */
#include "scram.h"

/* Takes what stands before the next comma, and the comma, off *rest. */
static struct slice take(struct slice *rest)
{
    struct slice one = slice_first(*rest, slice_find(*rest, ','));
    *rest = slice_from(*rest, one.size + 1);
    return one;
}

static bool is_attribute(struct slice one, char name)
{
    return one.size > 2 && one.data[0] == name && one.data[1] == '=';
}

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

/* Attributes that nobody knows, up to the end or to one of that name. */
static bool skip_extensions(struct slice *rest, char end)
{
    while (rest->size > 0 && rest->data[0] != end) {
        bool has_comma = slice_find(*rest, ',') < rest->size;
        struct slice one = take(rest);
        if (one.size < 3 || !is_letter(one.data[0]) || one.data[1] != '=' ||
            slice_find(one, '\0') < one.size || !slice_is_utf8(one) ||
            (has_comma && rest->size == 0))
            return false;
    }
    return true;
}

static bool is_nonce(struct slice nonce, size_t size_max)
{
    if (nonce.size == 0 || nonce.size > size_max)
        return false;
    for (size_t i = 0; i < nonce.size; i++)
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e)
            return false;
    return true;
}

static bool is_binding_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!is_letter(name.data[i]) && (name.data[i] < '0' || name.data[i] > '9') &&
            name.data[i] != '.' && name.data[i] != '-')
            return false;
    return name.size > 0;
}

/* Takes gs2-header off *rest. */
static bool take_head(struct slice *rest, struct scram_first *ret_first)
{
    struct slice message = *rest;
    if (slice_find(*rest, ',') == rest->size)
        return false;
    struct slice flag = take(rest);
    if (slice_find(*rest, ',') == rest->size)
        return false;
    struct slice acts_as = take(rest);
    if (is_attribute(flag, 'p') && is_binding_name(slice_from(flag, 2)))
        ret_first->binding = slice_from(flag, 2);
    else if (!slice_equal(flag, SLICE("n")) && !slice_equal(flag, SLICE("y")))
        return false;
    if (acts_as.size > 0 && !is_attribute(acts_as, 'a'))
        return false;
    ret_first->flag = flag.data[0];
    ret_first->acts_as = slice_from(acts_as, 2);
    ret_first->head = slice_first(message, message.size - rest->size);
    return true;
}

bool scram_first_parse(struct slice message, struct scram_first *ret_first)
{
    struct scram_first first = {0};
    if (message.size > SCRAM_FIRST_BYTES_MAX || !take_head(&message, &first))
        return false;
    first.bare = message;
    if (slice_find(message, ',') == message.size)
        return false;
    struct slice user = take(&message);
    bool has_comma = slice_find(message, ',') < message.size;
    struct slice nonce = take(&message);
    first.user = slice_from(user, 2);
    first.nonce = slice_from(nonce, 2);
    if (!is_attribute(user, 'n') || !is_attribute(nonce, 'r') ||
        !is_nonce(first.nonce, SCRAM_NONCE_BYTES_MAX) || (has_comma && message.size == 0) ||
        !skip_extensions(&message, '\0') || message.size > 0)
        return false;
    *ret_first = first;
    return true;
}

bool scram_name_decode(struct slice name, char *text, size_t *ret_size)
{
    size_t size = 0;
    if (!slice_is_utf8(name))
        return false;
    while (name.size > 0) {
        char c = name.data[0];
        size_t used = 1;
        if (c == '=') {
            struct slice escape = slice_first(name, 3);
            c = slice_equal(escape, SLICE("=2C")) ? ',' : '=';
            used = 3;
            if (c == '=' && !slice_equal(escape, SLICE("=3D")))
                return false;
        } else if ((unsigned char)c < ' ' || c == 127 || c == ',') {
            return false;
        }
        text[size++] = c;
        name = slice_from(name, used);
    }
    *ret_size = size;
    return true;
}

bool scram_final_parse(struct slice message, struct scram_final *ret_final)
{
    struct slice rest = message;
    if (message.size > SCRAM_FINAL_BYTES_MAX)
        return false;
    struct slice binding = take(&rest), nonce = take(&rest);
    if (!is_attribute(binding, 'c') || !is_attribute(nonce, 'r') ||
        !is_nonce(slice_from(nonce, 2), SCRAM_FIRST_BYTES_MAX) || !skip_extensions(&rest, 'p') ||
        !is_attribute(rest, 'p') || slice_find(rest, ',') < rest.size)
        return false;
    *ret_final =
        (struct scram_final){.binding = slice_from(binding, 2),
                             .nonce = slice_from(nonce, 2),
                             .proof = slice_from(rest, 2),
                             .unproved = slice_first(message, message.size - rest.size - 1)};
    return true;
}
