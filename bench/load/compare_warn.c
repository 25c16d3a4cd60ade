/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reasons not to believe a comparison: runs that were not played alike, did not end, or went wrong.
 */
#include "compare.h"

#include <math.h>

/* NULL when there are enough already. */
static struct text *new_warning(struct compare *compare)
{
    if (compare->warning_count == COMPARE_WARNINGS_MAX)
        return NULL;
    return &compare->warnings[compare->warning_count++];
}

static void put_name(struct text *text, const char *name)
{
    text_plain(text, slice_cstr(name), TEXT_SHORT);
}

/* Settings that say nothing about the work that was done. */
static bool is_harmless(const char *setting)
{
    static const char *const names[] = {"target",
                                        "label",
                                        "json",
                                        "html",
                                        "server_pid",
                                        "server_cgroup",
                                        "also",
                                        "quiet",
                                        "workers",
                                        "password",
                                        "user_format",
                                        "seed",
                                        "i_own_this_server",
                                        "verify"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(setting, names[i]) == 0)
            return true;
    return false;
}

/* The version of TLS and the cipher are the server's choice; what was asked for is a setting. */
static const char *const same_paths[] = {"scenario",     "version",        "machine.cpu",
                                         "machine.cpus", "machine.kernel", "server.tls"};

/* `value` of run `index` differs from that of the first run. */
static void warn_differs(struct compare *compare, const char *what, const char *const *names,
                         unsigned index, const json_t *first, const json_t *value)
{
    struct text *text = new_warning(compare);
    if (text == NULL)
        return;
    text_plain(text, slice_cstr(what), TEXT_SHORT);
    text_put(text, " differs: ");
    text_json(text, first, false);
    text_put(text, " in ");
    put_name(text, names[0]);
    text_put(text, ", ");
    text_json(text, value, false);
    text_put(text, " in ");
    put_name(text, names[index]);
}

/* jansson's json_equal takes no const and no NULL. */
static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_finite(a) == json_finite(b);
    if (a == NULL || b == NULL)
        return (a == NULL || json_is_null(a)) && (b == NULL || json_is_null(b));
    return json_equal((json_t *)a, (json_t *)b);
}

/* One warning for each member: of the first run that has another value. */
static void check_member(struct compare *compare, json_t *const *runs, const char *const *names,
                         const char *what,
                         const json_t *(*get)(const json_t *run, const char *name))
{
    const json_t *first = get(runs[0], what);
    for (unsigned i = 1; i < compare->run_count; i++) {
        const json_t *value = get(runs[i], what);
        if (!is_same(first, value)) {
            warn_differs(compare, what, names, i, first, value);
            return;
        }
    }
}

static const json_t *get_path(const json_t *run, const char *path)
{
    return member(run, path);
}

static const json_t *get_setting(const json_t *run, const char *name)
{
    return json_object_get(member(run, "settings"), name);
}

/* Settings that run `index` has and no run before it: each is looked at once. */
static void check_settings(struct compare *compare, json_t *const *runs, const char *const *names)
{
    for (unsigned i = 0; i < compare->run_count; i++) {
        const char *name;
        json_t *value;
        unsigned looked = 0;
        json_object_foreach((json_t *)member(runs[i], "settings"), name, value)
        {
            bool is_new = true;
            for (unsigned j = 0; j < i && is_new; j++)
                is_new = get_setting(runs[j], name) == NULL;
            if (is_new && !is_harmless(name) && looked++ < 200)
                check_member(compare, runs, names, name, get_setting);
        }
    }
}

static void check_run(struct compare *compare, const json_t *run, const char *name)
{
    struct text *text;
    if (!json_is_true(member(run, "complete")) && (text = new_warning(compare)) != NULL) {
        put_name(text, name);
        text_put(text, " is partial: ");
        struct slice why = member_string(run, "why");
        text_plain(text, why.size > 0 ? why : SLICE("it does not say why"), TEXT_SHORT);
    }
    double errors = member_number(run, "error_count");
    if (errors > 0 && (text = new_warning(compare)) != NULL) {
        char count[UNIT_TEXT_BYTES];
        unit_text(UNIT_COUNT, errors, count);
        put_name(text, name);
        text_format(text, " had errors: %s", count);
    }
    double wrong = 0;
    for (unsigned i = 0; i < 3; i++) {
        double count = member_number(
            run, (const char *[]){"verify.missing", "verify.altered", "verify.doubled"}[i]);
        wrong += isfinite(count) ? count : 0;
    }
    if (wrong > 0 && (text = new_warning(compare)) != NULL) {
        put_name(text, name);
        text_format(text, ": %.0f messages were missing, altered or there twice", wrong);
    }
}

void compare_warn(struct compare *compare, json_t *const *runs, const char *const *names)
{
    struct text *text;
    if (compare->left_out > 0 && (text = new_warning(compare)) != NULL)
        text_format(text, "%u runs are left out: more than %d labels", compare->left_out,
                    COMPARE_GROUPS_MAX);
    if (compare->group_count == 1 && (text = new_warning(compare)) != NULL)
        text_put(text, "all runs have the same label: they are repetitions, nothing is compared");
    for (unsigned i = 0; i < sizeof same_paths / sizeof same_paths[0]; i++)
        check_member(compare, runs, names, same_paths[i], get_path);
    check_settings(compare, runs, names);
    for (unsigned i = 0; i < compare->run_count; i++)
        check_run(compare, runs[i], names[i]);
}
