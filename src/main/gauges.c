/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gauges of backends; see gauges.h. Labels are names of the config, which holds none that would
 * have to be quoted (config_check_pool.c).
 */
#include "gauges.h"

#include <inttypes.h>
#include <stdlib.h>

enum { VALUES = 7, TRIES = 100 };

/* Words, each written and read as a whole. Names end in NUL and live as long as the process's
 * backends (backend.h). */
struct gauge {
    uint64_t pool, name, values[VALUES];
};
enum { WORDS = sizeof(struct gauge) / sizeof(uint64_t) };

static const struct {
    const char *name, *kind, *help;
} rows[VALUES] = {
    {"backend_up", "gauge", "1 while log-ins may go to the backend"},
    {"backend_drained", "gauge", "1 while the operator wants no new users there"},
    {"backend_weight", "gauge", "share of the users"},
    {"backend_sessions", "gauge", "sessions that are passed on to it"},
    {"backend_users", "gauge", "users with a session there, or within the affinity time"},
    {"backend_user_logins_total", "counter", "log-ins done there"},
    {"backend_attempts_failed_total", "counter", "log-ins and checks that failed there"},
};

int gauges_open(struct gauges *gauges)
{
    *gauges = (struct gauges){0};
    gauges->seen = calloc(BACKENDS_MAX, sizeof *gauges->seen);
    gauges->copy = calloc(BACKENDS_MAX, sizeof *gauges->copy);
    return gauges->seen == NULL || gauges->copy == NULL ? -ENOMEM : 0;
}

void gauges_free(struct gauges *gauges)
{
    free(gauges->seen);
    free(gauges->copy);
}

static void set(struct gauge *gauge, const struct backend_info *info)
{
    const uint64_t words[WORDS] = {
        (uintptr_t)info->pool.data,
        (uintptr_t)info->name.data,
        info->is_alive && info->will != BACKEND_DOWN,
        info->will != BACKEND_UP,
        info->weight,
        info->sessions,
        info->users,
        info->logins,
        info->failures,
    };
    for (unsigned i = 0; i < WORDS; i++)
        __atomic_store_n((uint64_t *)gauge + i, words[i], __ATOMIC_RELAXED);
}

void gauges_take(struct gauges *gauges, struct core *core)
{
    struct backend_info info;
    unsigned count = 0;
    if (gauges->seen == NULL)
        return;
    __atomic_add_fetch(&gauges->turn, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (count < BACKENDS_MAX && backend_info_get(core, count, &info))
        set(&gauges->seen[count++], &info);
    __atomic_store_n(&gauges->count, count, __ATOMIC_RELAXED);
    __atomic_add_fetch(&gauges->turn, 1, __ATOMIC_SEQ_CST);
}

/* How many. What core 0 never stopped writing is told as it is: some of it a second older. */
static unsigned copy(struct gauges *gauges)
{
    unsigned count = 0;
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint32_t turn = __atomic_load_n(&gauges->turn, __ATOMIC_SEQ_CST);
        count = __atomic_load_n(&gauges->count, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < count * WORDS; i++)
            ((uint64_t *)gauges->copy)[i] =
                __atomic_load_n((uint64_t *)gauges->seen + i, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if ((turn & 1) == 0 && __atomic_load_n(&gauges->turn, __ATOMIC_SEQ_CST) == turn)
            break;
    }
    return count;
}

void gauges_write(struct gauges *gauges, struct text *text)
{
    unsigned count = gauges->seen == NULL ? 0 : copy(gauges);
    for (unsigned row = 0; row < VALUES && count > 0; row++) {
        text_printf(text, "# HELP ringpost_%s %s\n# TYPE ringpost_%s %s\n", rows[row].name,
                    rows[row].help, rows[row].name, rows[row].kind);
        for (unsigned i = 0; i < count; i++) {
            const struct gauge *gauge = &gauges->copy[i];
            text_printf(text, "ringpost_%s{pool=\"%s\",backend=\"%s\"} %" PRIu64 "\n",
                        rows[row].name, (const char *)(uintptr_t)gauge->pool,
                        (const char *)(uintptr_t)gauge->name, gauge->values[row]);
        }
    }
}
