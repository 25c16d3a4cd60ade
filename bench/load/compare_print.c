/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A comparison as text for a terminal, and as JSON.
 */
#include "compare.h"

#include <math.h>
#include <stdio.h>

enum { NAME_COLUMN = 20, VALUE_COLUMN = 26 };

/* How many columns of a terminal the end of `text` from `start` on takes: of UTF-8, the bytes that
 * begin a character. */
static unsigned columns_of(const struct text *text, size_t start)
{
    unsigned columns = 0;
    for (size_t i = start; i < text->size; i++)
        columns += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    return columns;
}

static void pad(struct text *out, size_t start, unsigned columns)
{
    unsigned is = columns_of(out, start);
    text_format(out, "%*s", is < columns ? (int)(columns - is) : 2, "");
}

static void put_median(struct text *out, const struct compare_cell *cell, enum unit unit)
{
    char median[UNIT_TEXT_BYTES], low[UNIT_TEXT_BYTES], high[UNIT_TEXT_BYTES];
    unit_text(unit, cell->median, median);
    unit_text(unit, cell->low, low);
    unit_text(unit, cell->high, high);
    text_put(out, median);
    if (cell->known > 1)
        text_format(out, "  (%s-%s)", low, high);
}

static void put_ratio(struct text *out, const struct compare_ratio *ratio)
{
    char middle[UNIT_TEXT_BYTES], low[UNIT_TEXT_BYTES], high[UNIT_TEXT_BYTES];
    unit_text(UNIT_TIMES, ratio->ratio, middle);
    unit_text(UNIT_PLAIN, ratio->low, low);
    unit_text(UNIT_PLAIN, ratio->high, high);
    text_put(out, middle);
    if (isfinite(ratio->low))
        text_format(out, " [%s-%s]", low, high);
}

static void put_group(struct text *out, const struct compare *compare, unsigned index)
{
    const struct compare_group *group = &compare->groups[index];
    text_put(out, "\n");
    text_plain(out, group->label, TEXT_SHORT);
    text_format(out, "  (n = %u%s)\n", group->count,
                index == 0         ? ", what the others are compared with"
                : group->is_paired ? ", in turns with the first: pairs"
                                   : "");
    for (unsigned m = 0; m < compare_metric_count; m++) {
        const struct compare_cell *cell = &group->cells[m];
        if (cell->known == 0)
            continue;
        size_t start = out->size;
        text_format(out, "  %s", compare_metrics[m].name);
        pad(out, start, NAME_COLUMN);
        start = out->size;
        put_median(out, cell, compare_metrics[m].unit);
        if (index > 0) {
            pad(out, start, 2 * VALUE_COLUMN - NAME_COLUMN);
            put_ratio(out, &cell->to_first);
        }
        text_put(out, "\n");
    }
}

static bool has_interval(const struct compare *compare)
{
    for (unsigned g = 1; g < compare->group_count; g++)
        for (unsigned m = 0; m < compare_metric_count; m++)
            if (isfinite(compare->groups[g].cells[m].to_first.low))
                return true;
    return false;
}

int compare_print(json_t *const *runs, const char *const *names, unsigned count, struct text *out)
{
    struct compare *compare;
    int error = compare_make(runs, names, count, &compare);
    if (error != 0)
        return error;
    text_put(out, "Medians, with the range over the runs; ratios to the first label");
    text_put(out, has_interval(compare)
                      ? ", with 95 % intervals (bootstrap over runs).\n"
                      : ".\nNo interval: that takes at least two runs of each label.\n");
    for (unsigned i = 0; i < compare->group_count; i++)
        put_group(out, compare, i);
    if (compare->warning_count > 0)
        text_put(out, "\n");
    for (unsigned i = 0; i < compare->warning_count; i++) {
        text_put(out, "warning: ");
        text_bytes(out, compare->warnings[i].data, compare->warnings[i].size);
        text_put(out, "\n");
    }
    compare_free(compare);
    return out->error;
}

/* ---- JSON */

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_json(const struct compare_cell *cell, const struct compare_group *group)
{
    json_t *values = json_array();
    for (unsigned i = 0; i < group->count; i++)
        json_array_append_new(values, number_or_null(cell->values[i]));
    const struct compare_ratio *ratio = &cell->to_first;
    json_t *to_first = json_null();
    if (isfinite(ratio->ratio))
        to_first = json_pack("{s:f, s:o, s:o, s:i}", "ratio", ratio->ratio, "low",
                             number_or_null(ratio->low), "high", number_or_null(ratio->high),
                             "pairs", (int)ratio->pairs);
    return json_pack("{s:o, s:o, s:o}", "median", number_or_null(cell->median), "values", values,
                     "to_first", to_first);
}

static json_t *group_json(const struct compare_group *group)
{
    json_t *metrics = json_object();
    for (unsigned m = 0; m < compare_metric_count; m++)
        json_object_set_new(metrics, compare_metrics[m].path, cell_json(&group->cells[m], group));
    return json_pack("{s:o, s:i, s:b, s:o}", "label",
                     json_stringn(group->label.data ? group->label.data : "", group->label.size),
                     "count", (int)group->count, "paired", (int)group->is_paired, "metrics",
                     metrics);
}

json_t *compare_json(json_t *const *runs, const char *const *names, unsigned count)
{
    struct compare *compare;
    if (compare_make(runs, names, count, &compare) != 0)
        return NULL;
    json_t *groups = json_array(), *warnings = json_array();
    for (unsigned i = 0; i < compare->group_count; i++)
        json_array_append_new(groups, group_json(&compare->groups[i]));
    for (unsigned i = 0; i < compare->warning_count; i++)
        json_array_append_new(warnings,
                              json_stringn(compare->warnings[i].data, compare->warnings[i].size));
    json_t *result = json_pack("{s:s, s:i, s:s, s:o, s:o}", "tool", "ringpost-compare", "format", 1,
                               "interval", "95 %, bootstrap of medians over runs, or over pairs",
                               "groups", groups, "warnings", warnings);
    compare_free(compare);
    return result;
}
