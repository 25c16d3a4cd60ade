/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names of mailboxes: which are allowed, and sorted lists of them. A name is UTF-8 without control
 * bytes, its parts are separated by '/' and none is empty, "." or "..". A first part INBOX in any
 * case is INBOX (RFC 9051 5.1).
 */
#include "store_private.h"

static bool part_is_fine(struct slice part)
{
    return part.size > 0 && !slice_equal(part, SLICE(".")) && !slice_equal(part, SLICE(".."));
}

bool name_is_inbox(struct slice name)
{
    return slice_equal(name, SLICE("INBOX"));
}

bool name_is_below(struct slice name, struct slice parent)
{
    return name.size > parent.size && name.data[parent.size] == '/' &&
           slice_equal(slice_first(name, parent.size), parent);
}

int name_check(struct slice name, char *buffer, struct slice *ret_name)
{
    if (name.size == 0 || name.size > MAILBOX_NAME_BYTES_MAX || !slice_is_utf8(name))
        return -EINVAL;
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
            return -EINVAL;
    unsigned depth = 0;
    for (struct slice rest = name;; depth++) {
        size_t size = slice_find(rest, '/');
        if (depth == MAILBOX_DEPTH_MAX || !part_is_fine(slice_first(rest, size)))
            return -EINVAL;
        if (size == rest.size)
            break;
        rest = slice_from(rest, size + 1);
    }
    memcpy(buffer, name.data, name.size);
    size_t first = slice_find(name, '/');
    if (slice_equal_nocase(slice_first(name, first), SLICE("INBOX")))
        memcpy(buffer, "INBOX", 5);
    *ret_name = slice_of(buffer, name.size);
    return 0;
}

/* ---------------------------------------------------------------- counted texts, sorted lists */

char *counted_new(struct slice text)
{
    uint32_t size = (uint32_t)text.size;
    char *counted = store_need(sizeof size + text.size);
    memcpy(counted, &size, sizeof size);
    if (size > 0)
        memcpy(counted + sizeof size, text.data, size);
    return counted;
}

struct slice counted_slice(const char *counted)
{
    uint32_t size;
    memcpy(&size, counted, sizeof size);
    return slice_of(counted + sizeof size, size);
}

static int compare(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool names_find(const struct names *names, struct slice name, unsigned *ret_index)
{
    unsigned low = 0, high = names->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = compare(counted_slice(names->names[middle]), name);
        if (order == 0) {
            *ret_index = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return false;
}

void names_add(struct names *names, struct slice name)
{
    unsigned at;
    if (names_find(names, name, &at))
        return;
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 8;
        names->names = store_need_resize(names->names, names->capacity * sizeof *names->names);
    }
    memmove(names->names + at + 1, names->names + at, (names->count - at) * sizeof *names->names);
    names->names[at] = counted_new(name);
    names->count++;
}

void names_remove(struct names *names, struct slice name)
{
    unsigned at;
    if (!names_find(names, name, &at))
        return;
    free(names->names[at]);
    names->count--;
    memmove(names->names + at, names->names + at + 1, (names->count - at) * sizeof *names->names);
}

struct slice names_at(const struct names *names, unsigned index)
{
    return index < names->count ? counted_slice(names->names[index]) : (struct slice){0};
}

void names_free(struct names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct names){0};
}
