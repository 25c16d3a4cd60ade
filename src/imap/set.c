/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sequence sets (RFC 9051 section 9, sequence-set): parsed as written, then resolved against a view
 * into ascending disjoint ranges of sequence numbers. A range is clipped to the view before
 * anything walks it, so the cost follows the messages there are, not the numbers named (row I06).
 */
#include <stdlib.h>

#include "imap_private.h"

static bool take_number_or_star(struct imap_cursor *cursor, uint32_t *ret_number)
{
    if (!imap_take(cursor, '*'))
        return imap_take_nz_number(cursor, ret_number);
    *ret_number = IMAP_SET_STAR;
    return true;
}

static bool take_range(struct imap_cursor *cursor, struct imap_range *ret_range)
{
    if (!take_number_or_star(cursor, &ret_range->first))
        return false;
    ret_range->last = ret_range->first;
    return !imap_take(cursor, ':') || take_number_or_star(cursor, &ret_range->last);
}

/* Ranges that the set at the cursor can have at most: its commas, and one. */
static size_t ranges_bound(const struct imap_cursor *cursor)
{
    size_t commas = 0;
    for (const char *at = cursor->at; at < cursor->end; at++) {
        if (*at == ',')
            commas++;
        else if (*at != ':' && *at != '*' && (*at < '0' || *at > '9'))
            break;
    }
    return commas + 1;
}

bool imap_take_set(struct imap_cursor *cursor, struct arena *arena, struct imap_set *ret_set)
{
    struct imap_cursor at = *cursor;
    struct imap_set set = {0};
    if (at.at == at.end || (*at.at != '*' && (*at.at < '1' || *at.at > '9')))
        return false;
    size_t bound = ranges_bound(&at);
    if (bound > UINT32_MAX)
        return false;
    set.ranges = arena_zalloc(arena, bound, sizeof *set.ranges);
    if (set.ranges == NULL)
        return false;
    do {
        if (!take_range(&at, &set.ranges[set.count++]))
            return false;
    } while (imap_take(&at, ','));
    *ret_set = set;
    *cursor = at;
    return true;
}

/* The numbers that a range of numbers names, first <= last; false: none. */
static bool range_of_numbers(const struct view *view, struct imap_range range,
                             struct imap_range *ret_numbers)
{
    uint32_t first = range.first == IMAP_SET_STAR ? view->count : range.first;
    uint32_t last = range.last == IMAP_SET_STAR ? view->count : range.last;
    if (first > last) {
        uint32_t swap = first;
        first = last;
        last = swap;
    }
    if (first > view->count || view->count == 0)
        return false;
    *ret_numbers = (struct imap_range){first, last < view->count ? last : view->count};
    return true;
}

static bool range_of_uids(const struct view *view, struct imap_range range,
                          struct imap_range *ret_numbers)
{
    if (view->count == 0)
        return false;
    uint32_t highest = view_entry(view, view->count)->uid;
    uint32_t first = range.first == IMAP_SET_STAR ? highest : range.first;
    uint32_t last = range.last == IMAP_SET_STAR ? highest : range.last;
    if (first > last) {
        uint32_t swap = first;
        first = last;
        last = swap;
    }
    uint32_t from = view_number(view, first, true);
    uint32_t to = last >= highest ? view->count : view_number(view, last + 1, true) - 1;
    if (from > to)
        return false;
    *ret_numbers = (struct imap_range){from, to};
    return true;
}

static int range_compare(const void *a, const void *b)
{
    const struct imap_range *one = a, *other = b;
    return (one->first > other->first) - (one->first < other->first);
}

/* Merges ranges that touch. */
static void ranges_merge(struct imap_set *set)
{
    uint32_t count = 0;
    bool is_sorted = true;
    for (uint32_t i = 1; i < set->count; i++)
        is_sorted = is_sorted && set->ranges[i - 1].first <= set->ranges[i].first;
    if (!is_sorted)
        qsort(set->ranges, set->count, sizeof *set->ranges, range_compare);
    for (uint32_t i = 0; i < set->count; i++) {
        struct imap_range range = set->ranges[i];
        struct imap_range *before = count > 0 ? &set->ranges[count - 1] : NULL;
        if (before == NULL || range.first - 1 > before->last)
            set->ranges[count++] = range;
        else if (range.last > before->last)
            before->last = range.last;
    }
    set->count = count;
}

bool imap_set_resolve(const struct imap_set *set, bool is_uid, const struct view *view,
                      struct arena *arena, struct imap_set *ret_numbers)
{
    struct imap_set numbers = {.ranges = arena_zalloc(arena, set->count, sizeof *numbers.ranges)};
    if (numbers.ranges == NULL)
        return false;
    for (uint32_t i = 0; i < set->count; i++) {
        struct imap_range *range = &numbers.ranges[numbers.count];
        if (is_uid ? range_of_uids(view, set->ranges[i], range)
                   : range_of_numbers(view, set->ranges[i], range))
            numbers.count++;
    }
    ranges_merge(&numbers);
    *ret_numbers = numbers;
    return true;
}

uint32_t imap_set_size(const struct imap_set *numbers)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < numbers->count; i++)
        size += numbers->ranges[i].last - numbers->ranges[i].first + 1;
    return size;
}

bool imap_set_holds(const struct imap_set *numbers, uint32_t number)
{
    uint32_t low = 0, high = numbers->count; /* the first range that ends at or after number */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (numbers->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < numbers->count && numbers->ranges[low].first <= number;
}

void imap_text_numbers(struct text *text, const uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = i;
        while (i + 1 < count && numbers[i] != UINT32_MAX && numbers[i + 1] == numbers[i] + 1)
            i++;
        text_printf(text, "%s%u", first > 0 ? "," : "", numbers[first]);
        if (i > first)
            text_printf(text, ":%u", numbers[i]);
    }
}
