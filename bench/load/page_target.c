/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Targets of the suite's rows, read from their words.
 */
#include "page_suite.h"

#include <math.h>
#include <stdlib.h>

struct target {
    bool is_least; /* >=, else <= */
    double limit;
    struct slice server; /* of the ratio; empty: the first server's own value */
};

static struct slice skip_blanks(struct slice text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text = slice_from(text, 1);
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* Digits, commas between them, one point. */
static bool take_number(struct slice *text, double *ret_number)
{
    char digits[32];
    unsigned size = 0;
    while (size < text->size && size < sizeof digits - 1 &&
           strchr("0123456789.,", text->data[size]) != NULL && text->data[size] != '\0')
        size++;
    unsigned kept = 0;
    for (unsigned i = 0; i < size; i++)
        if (text->data[i] != ',')
            digits[kept++] = text->data[i];
    digits[kept] = '\0';
    char *end;
    *ret_number = strtod(digits, &end);
    *text = skip_blanks(slice_from(*text, size));
    return kept > 0 && *end == '\0';
}

static bool parse(struct slice text, struct target *target)
{
    *target = (struct target){0};
    text = skip_blanks(text);
    if (text.size < 2 || (text.data[0] != '<' && text.data[0] != '>'))
        return false;
    target->is_least = text.data[0] == '>';
    text = skip_blanks(slice_from(text, text.data[1] == '=' ? 2 : 1));
    if (!take_number(&text, &target->limit))
        return false;
    if (text.size > 2 && text.data[0] == 'x' && text.data[1] == ' ')
        target->server = skip_blanks(slice_from(text, 2));
    return true;
}

static const json_t *find_server(const json_t *servers, struct slice name)
{
    for (size_t i = 0; i < json_array_size(servers); i++)
        if (slice_equal(member_string(json_array_get(servers, i), "server"), name))
            return json_array_get(servers, i);
    return NULL;
}

static enum suite_verdict judge(const struct target *target, double median, double low, double high)
{
    if (!isfinite(median))
        return SUITE_UNKNOWN;
    low = isfinite(low) ? fmin(low, median) : median;
    high = isfinite(high) ? fmax(high, median) : median;
    bool all_are = target->is_least ? low >= target->limit : high <= target->limit;
    bool none_is = target->is_least ? high < target->limit : low > target->limit;
    if (all_are)
        return SUITE_MET;
    return none_is ? SUITE_MISSED : SUITE_CLOSE;
}

enum suite_verdict suite_judge(const json_t *row)
{
    struct target target;
    const json_t *servers = member(row, "servers");
    if (!parse(member_string(row, "target"), &target))
        return SUITE_UNKNOWN;
    if (target.server.size > 0) {
        const json_t *ratio = member(find_server(servers, target.server), "ratio");
        return judge(&target, member_number(ratio, "median"), member_number(ratio, "low"),
                     member_number(ratio, "high"));
    }
    const json_t *own = json_array_get(servers, 0), *values = member(own, "values");
    double low = NAN, high = NAN;
    for (size_t i = 0; i < json_array_size(values); i++) {
        low = fmin(low, json_finite(json_array_get(values, i))); /* fmin, fmax pass over NAN */
        high = fmax(high, json_finite(json_array_get(values, i)));
    }
    return judge(&target, member_number(own, "median"), low, high);
}
