/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Groups of runs: who belongs together, in which order they were measured, and the numbers of each.
 */
#include "compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

const struct compare_metric compare_metrics[] = {
    {"rate", "operations_per_second", UNIT_COUNT, true},
    {"p50", "phases.operation.p50_us", UNIT_US, false},
    {"p99", "phases.operation.p99_us", UNIT_US, false},
    {"server CPU/op", "cost.server.cpu_us_per_operation", UNIT_US, false},
    {"memory/connection", "cost.server.memory_bytes_per_connection", UNIT_BYTES, false},
    {"disk/op", "cost.server.disk_bytes_per_operation", UNIT_BYTES, false},
    {"generator CPU/op", "cost.generator.cpu_us_per_operation", UNIT_US, false},
};
const unsigned compare_metric_count = sizeof compare_metrics / sizeof compare_metrics[0];
_Static_assert(sizeof compare_metrics / sizeof compare_metrics[0] <= COMPARE_METRICS_MAX,
               "a cell for each metric");

/* "2026-11-29T02:00:00Z": such times are in order when their text is. */
static bool is_time(struct slice text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    if (text.size < sizeof form - 1 || text.data[text.size - 1] != 'Z')
        return false;
    for (unsigned i = 0; i < sizeof form - 1; i++)
        if (form[i] == 'd' ? text.data[i] < '0' || text.data[i] > '9' : text.data[i] != form[i])
            return false;
    return true;
}

/* Indices of all runs by time, those of the same second as they were given. False when one has no
 * time: then the order says nothing. */
static bool order_by_time(json_t *const *runs, unsigned count, unsigned *ret_order)
{
    for (unsigned i = 0; i < count; i++) {
        struct slice time = member_string(runs[i], "started");
        if (!is_time(time))
            return false;
        unsigned at = i;
        for (; at > 0; at--) {
            struct slice other = member_string(runs[ret_order[at - 1]], "started");
            size_t size = time.size < other.size ? time.size : other.size;
            if (memcmp(other.data, time.data, size) <= 0)
                break;
            ret_order[at] = ret_order[at - 1];
        }
        ret_order[at] = i;
    }
    return true;
}

static struct compare_group *group_of(struct compare *compare, struct slice label)
{
    if (label.size == 0)
        label = SLICE("(no label)");
    for (unsigned i = 0; i < compare->group_count; i++)
        if (slice_equal(compare->groups[i].label, label))
            return &compare->groups[i];
    if (compare->group_count == COMPARE_GROUPS_MAX)
        return NULL;
    struct compare_group *group = &compare->groups[compare->group_count++];
    group->label = label;
    return group;
}

static bool holds(const struct compare_group *group, unsigned run)
{
    for (unsigned i = 0; i < group->count; i++)
        if (group->runs[i] == run)
            return true;
    return false;
}

/* Whether the two were measured in turns: of the runs of both, in order, each two neighbours (the
 * first and second, the third and fourth, ...) are one of each. */
static bool is_in_turns(const struct compare_group *a, const struct compare_group *b,
                        const unsigned *order, unsigned count)
{
    unsigned seen_a = 0, seen_b = 0;
    if (a->count != b->count || a->count < 2)
        return false;
    for (unsigned i = 0; i < count; i++) {
        seen_a += holds(a, order[i]);
        seen_b += holds(b, order[i]);
        if ((seen_a + seen_b) % 2 == 0 && seen_a != seen_b)
            return false;
    }
    return true;
}

/* Groups appear in the order in which they were given, runs in the order of time. */
static void make_groups(struct compare *compare, json_t *const *runs, unsigned count)
{
    unsigned order[PAGE_RUNS_MAX];
    bool has_order = order_by_time(runs, count, order);
    for (unsigned i = 0; i < count; i++)
        group_of(compare, member_string(runs[i], "label"));
    for (unsigned i = 0; i < count; i++) {
        unsigned run = has_order ? order[i] : i;
        struct compare_group *group = group_of(compare, member_string(runs[run], "label"));
        if (group != NULL)
            group->runs[group->count++] = run;
        else
            compare->left_out++;
    }
    for (unsigned i = 1; i < compare->group_count && has_order; i++)
        compare->groups[i].is_paired =
            is_in_turns(&compare->groups[0], &compare->groups[i], order, count);
}

static void fill_cell(struct compare_cell *cell, const struct compare_group *group,
                      json_t *const *runs, const char *path)
{
    double known[PAGE_RUNS_MAX];
    for (unsigned i = 0; i < group->count; i++) {
        cell->values[i] = member_number(runs[group->runs[i]], path);
        if (isfinite(cell->values[i]))
            known[cell->known++] = cell->values[i];
    }
    cell->median = compare_median(known, cell->known); /* sorts */
    cell->low = cell->known ? known[0] : NAN;
    cell->high = cell->known ? known[cell->known - 1] : NAN;
}

int compare_make(json_t *const *runs, const char *const *names, unsigned count,
                 struct compare **ret_compare)
{
    struct compare *compare = calloc(1, sizeof *compare);
    if (compare == NULL)
        return -ENOMEM;
    compare->run_count = count < PAGE_RUNS_MAX ? count : PAGE_RUNS_MAX;
    make_groups(compare, runs, compare->run_count);
    for (unsigned g = 0; g < compare->group_count; g++)
        for (unsigned m = 0; m < compare_metric_count; m++) {
            struct compare_group *group = &compare->groups[g], *first = &compare->groups[0];
            struct compare_cell *cell = &group->cells[m];
            fill_cell(cell, group, runs, compare_metrics[m].path);
            cell->to_first = (struct compare_ratio){NAN, NAN, NAN, 0};
            if (g > 0)
                cell->to_first = compare_ratio(first->cells[m].values, first->count, cell->values,
                                               group->count, group->is_paired);
        }
    compare_warn(compare, runs, names);
    for (unsigned i = 0; i < compare->warning_count; i++)
        if (compare->warnings[i].error != 0) {
            compare_free(compare);
            return -ENOMEM;
        }
    *ret_compare = compare;
    return 0;
}

void compare_free(struct compare *compare)
{
    if (compare == NULL)
        return;
    for (unsigned i = 0; i < COMPARE_WARNINGS_MAX; i++)
        text_free(&compare->warnings[i]);
    free(compare);
}
