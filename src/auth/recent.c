/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tables of what happened lately: verified passwords, places a user came from, networks that
 * guessed. The keys are a client's choice, so they are kept as 128 bits of two SipHash runs under
 * keys drawn at start: nobody can aim at a row, and a memory dump shows no password.
 *
 * A set of 8 rows is searched one by one; tags are compared without a branch on their bytes.
 */
#include "auth_private.h"

#include <errno.h>
#include <stdlib.h>

enum { WAYS = 8 };

int recent_open(struct recent *recent, unsigned rows_max)
{
    *recent = (struct recent){0};
    if (rows_max == 0)
        return 0;
    uint32_t sets = 1;
    while (sets <= rows_max / WAYS / 2)
        sets *= 2;
    recent->rows = calloc((size_t)sets * WAYS, sizeof *recent->rows);
    if (recent->rows == NULL)
        return -ENOMEM;
    recent->mask = sets - 1;
    return 0;
}

void recent_close(struct recent *recent)
{
    free(recent->rows);
    recent->rows = NULL;
}

struct recent_tag recent_tag_of(const struct recent_key *key, const void *data, size_t size)
{
    return (struct recent_tag){
        {hash_keyed(&key->half[0], data, size), hash_keyed(&key->half[1], data, size)}};
}

static struct recent_row *set_of(const struct recent *recent, const struct recent_tag *tag)
{
    return recent->rows + (size_t)(tag->word[0] & recent->mask) * WAYS;
}

struct recent_row *recent_find(const struct recent *recent, const struct recent_tag *tag,
                               uint64_t now_ns)
{
    if (recent->rows == NULL)
        return NULL;
    struct recent_row *set = set_of(recent, tag);
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t difference =
            (set[i].tag.word[0] ^ tag->word[0]) | (set[i].tag.word[1] ^ tag->word[1]);
        if (difference == 0 && set[i].until_ns > now_ns)
            return &set[i];
    }
    return NULL;
}

struct recent_row *recent_make(struct recent *recent, const struct recent_tag *tag, uint64_t now_ns)
{
    struct recent_row *row = recent_find(recent, tag, now_ns);
    if (row != NULL || recent->rows == NULL)
        return row;
    row = set_of(recent, tag);
    for (unsigned i = 1; i < WAYS; i++)
        if (set_of(recent, tag)[i].until_ns < row->until_ns)
            row = set_of(recent, tag) + i;
    *row = (struct recent_row){.tag = *tag};
    return row;
}
