/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a name that is none may have been meant to be: the nearest by Levenshtein's distance, when
 * it is near. Names have 63 bytes at most, there are BACKENDS_MAX of them, and a person waits.
 */
#include <stdio.h>

#include "control_private.h"

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

static unsigned distance(struct slice a, struct slice b)
{
    unsigned row[CONTROL_QUALIFIED_BYTES_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            bool differs = ascii_lower(a.data[i - 1]) != ascii_lower(b.data[j - 1]);
            unsigned best = smallest(diagonal + differs, row[j] + 1, row[j - 1] + 1);
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.size];
}

bool control_near(struct core *core, struct slice name, char text[CONTROL_QUALIFIED_BYTES_MAX + 1])
{
    struct backend_info info;
    bool is_qualified = slice_find(name, '/') < name.size, found = false;
    unsigned best = (unsigned)name.size / 3 + 1; /* farther is something else */
    for (unsigned i = 0; i < BACKENDS_MAX && backend_info_get(core, i, &info); i++) {
        char one[CONTROL_QUALIFIED_BYTES_MAX + 1];
        int size = is_qualified
                       ? snprintf(one, sizeof one, "%.*s/%.*s", (int)info.pool.size, info.pool.data,
                                  (int)info.name.size, info.name.data)
                       : snprintf(one, sizeof one, "%.*s", (int)info.name.size, info.name.data);
        if (size < 0 || (size_t)size >= sizeof one)
            continue;
        unsigned far = distance(name, slice_of(one, (size_t)size));
        if (far > best || (far == best && found))
            continue;
        best = far;
        found = true;
        memcpy(text, one, (size_t)size + 1);
    }
    return found;
}
