/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One fiber on core 0 does all of it, so there is never more than one reload under way; reading
 * runs on a helper thread meanwhile (reload_read.c).
 */
#include "reload.h"

#include <stdlib.h>

#include "reload_read.h"
#include "ringpost/tls.h"

enum { TICK_NS = 1000000000, END_WARNED_DAYS = 14, DAY_SECONDS = 86400 };
#define DAY_NS (UINT64_C(86400) * 1000000000)

void reload_init(struct reload *reload, struct setup *first, const struct setup_process *process)
{
    memset(reload, 0, sizeof *reload);
    reload->first = reload->current = first;
    reload->process = process;
    reload->stamp = first->tls_stamp;
}

/* ---------------------------------------------------------------- log */

static void say_problems(struct core *core, const struct config *config, const char *what)
{
    unsigned count = config->problem_count;
    for (unsigned i = 0; i < count && i < CONFIG_PROBLEMS_MAX; i++) {
        const struct config_problem *problem = &config->problems[i];
        struct event event;
        event_begin(&event, "reload", "error");
        event_text(&event, "what", slice_cstr(what));
        event_text(&event, "file", slice_cstr(problem->place.file));
        event_number(&event, "line", problem->place.line);
        event_text(&event, "problem", slice_cstr(problem->what));
        core_log(core, &event);
    }
}

static void say(struct core *core, const char *level, const char *what, const char *text)
{
    struct event event;
    event_begin(&event, "reload", level);
    event_text(&event, "what", slice_cstr(what));
    event_text(&event, "result", slice_cstr(text));
    core_log(core, &event);
}

static void count(struct core *core, enum counter which)
{
    counter_add(core_counters(core), which, 1);
}

static void refuse(struct core *core, const char *what, const char *why)
{
    count(core, COUNTER_RELOADS_REFUSED);
    say(core, "error", what, why);
}

static void say_fixed(void *argument, const char *what)
{
    struct event event;
    event_begin(&event, "reload", "warning");
    event_text(&event, "what", slice_cstr(what));
    event_text(&event, "result", SLICE("changes by a restart only; left as it is"));
    core_log(argument, &event);
}

/* ---------------------------------------------------------------- adopting */

static void adoption_back(struct core *core, struct message *message)
{
    struct reload_adoption *mine = (struct reload_adoption *)message;
    struct reload *reload = mine->reload;
    if (--reload->adopting_left == 0)
        waiters_wake_all(core, &reload->adopted);
}

static void adopt_here(struct core *here, struct message *message)
{
    struct reload_adoption *mine = (struct reload_adoption *)message;
    struct reload *reload = mine->reload;
    mine->result = reload->adopting != NULL ? gateway_adopt(here, reload->adopting)
                                            : tls_adopt(here, reload->adopting_tls);
    message->handle = adoption_back;
    core_post(here, 0, message);
}

/* On every core; 0, or the first core's error: its certificates are then the old ones. */
static int adopt(struct reload *reload, struct core *core, const struct gateway_options *options,
                 struct tls_settings *settings)
{
    int result = 0;
    reload->adopting = options;
    reload->adopting_tls = settings;
    reload->adopting_left = core_count(core);
    for (unsigned i = 0; i < core_count(core); i++) {
        reload->adoptions[i] =
            (struct reload_adoption){.message.handle = adopt_here, .reload = reload};
        core_post(core, i, &reload->adoptions[i].message);
    }
    while (reload->adopting_left > 0)
        waiters_wait(core, &reload->adopted, 0);
    for (unsigned i = 0; i < core_count(core) && result == 0; i++)
        result = reload->adoptions[i].result;
    return result;
}

static void say_adopted(struct reload *reload, struct core *core, const char *what, int result)
{
    reload->warn_ns = 0; /* the end of the new ones is looked at now */
    count(core, COUNTER_RELOADS);
    if (result < 0)
        say(core, "error", what,
            "taken, but no memory for the certificates: they stay the old ones");
    else
        say(core, "info", what, "taken");
}

/* ---------------------------------------------------------------- the whole config */

static void replace(struct reload *reload, struct core *core, struct setup *setup)
{
    struct setup *old = reload->current;
    int result = adopt(reload, core, &setup->gateway, NULL);
    reload_compare(reload->first->config, setup->config, say_fixed, core);
    reload->current = setup;
    reload->stamp = setup->tls_stamp;
    tls_settings_unref(reload->tls);
    reload->tls = NULL;
    if (old != reload->first) {
        old->next = reload->older;
        reload->older = old;
        reload->older_count++;
    }
    say_adopted(reload, core, "config", result);
}

static void reload_config(struct reload *reload, struct core *core)
{
    struct reload_reading reading = {.first = reload->first, .process = reload->process};
    if (reload->older_count >= RELOAD_GENERATIONS_MAX) {
        refuse(core, "config", "too many older configs are still in use by old sessions; restart");
        return;
    }
    if (core_help_waiting(core, reload_read_config, &reading) < 0 || reading.setup == NULL) {
        refuse(core, "config", "no memory, or too busy; try again");
        return;
    }
    struct setup *setup = reading.setup;
    if (setup->config->problem_count == 0 && !reload->is_stopping) {
        replace(reload, core, setup);
        return;
    }
    if (!reload->is_stopping) {
        say_problems(core, setup->config, "config");
        refuse(core, "config", "not taken; everything stays as it was");
    }
    while (core_help_waiting(core, reload_free, setup) < 0)
        fiber_sleep(core, TICK_NS);
}

/* ---------------------------------------------------------------- certificates alone */

static void replace_tls(struct reload *reload, struct core *core, struct tls_settings *settings)
{
    int result = adopt(reload, core, NULL, settings);
    tls_settings_unref(reload->tls);
    reload->tls = settings;
    say_adopted(reload, core, "certificates", result);
}

static void reload_tls(struct reload *reload, struct core *core)
{
    struct reload_reading reading = {.first = reload->current, .process = reload->process};
    if (core_help_waiting(core, reload_read_tls, &reading) < 0 || reading.config == NULL) {
        refuse(core, "certificates", "no memory, or too busy");
        return;
    }
    if (reading.tls != NULL && !reload->is_stopping) {
        replace_tls(reload, core, reading.tls);
    } else if (reading.tls != NULL) {
        tls_settings_unref(reading.tls);
    } else {
        say_problems(core, reading.config, "certificates");
        refuse(core, "certificates", "not taken; the old ones stay");
    }
    config_free(reading.config);
}

/* A pair is two files: what has just changed is looked at again a moment later, before it counts as
 * changed. */
static void look_at_files(struct reload *reload, struct core *core)
{
    uint64_t interval_ns = reload->current->config->tls.reload_ms * 1000000;
    struct reload_reading reading = {.first = reload->current};
    reload->look_ns = core_now_ns(core) + interval_ns;
    if (core_help_waiting(core, reload_read_stamp, &reading) < 0 ||
        reading.stamp == reload->stamp || reload->is_stopping)
        return;
    if (reading.stamp != reload->stamp_seen) {
        reload->stamp_seen = reading.stamp;
        reload->look_ns = core_now_ns(core) + TICK_NS;
        return;
    }
    reload->stamp = reading.stamp;
    reload_tls(reload, core);
}

static void look_at_end(struct reload *reload, struct core *core)
{
    struct tls_settings *settings = reload->tls != NULL ? reload->tls : reload->current->tls;
    int64_t left =
        settings == NULL ? 0 : tls_settings_end(settings) - core_wall_ns(core) / 1000000000;
    uint64_t *word = &core_counters(core)->value[COUNTER_TLS_CERTIFICATE_SECONDS];
    counter_word_add(word, (left < 0 ? 0 : left) - (int64_t)*word);
    if (settings == NULL || core_now_ns(core) < reload->warn_ns)
        return;
    reload->warn_ns = core_now_ns(core) + DAY_NS;
    if (left >= END_WARNED_DAYS * DAY_SECONDS)
        return;
    struct event event;
    event_begin(&event, "certificate", "warning");
    event_text(&event, "what",
               left > 0 ? SLICE("a certificate ends soon") : SLICE("a certificate has ended"));
    event_number(&event, "seconds_left", left);
    core_log(core, &event);
}

/* ---------------------------------------------------------------- older generations */

static void free_older(struct reload *reload, struct core *core)
{
    struct setup **at = &reload->older;
    while (*at != NULL) {
        struct setup *setup = *at;
        if (generation_users(&setup->generation) > 0) { /* L3 */
            at = &setup->next;
            continue;
        }
        *at = setup->next;
        reload->older_count--;
        if (core_help_waiting(core, reload_free, setup) == 0)
            continue;
        setup->next = *at; /* the helpers are busy: later */
        *at = setup;
        reload->older_count++;
        break;
    }
    uint64_t *word = &core_counters(core)->value[COUNTER_GENERATIONS];
    bool has_first =
        reload->current != reload->first && generation_users(&reload->first->generation) > 0;
    counter_word_add(word, (int64_t)(1 + reload->older_count + has_first) - (int64_t)*word);
}

/* ---------------------------------------------------------------- the fiber */

static void run(void *argument)
{
    struct reload *reload = argument;
    struct core *core = reload->core;
    reload->look_ns = core_now_ns(core) + reload->current->config->tls.reload_ms * 1000000;
    while (!reload->is_stopping) {
        bool has_files = reload->current->config->tls.reload_ms > 0 &&
                         reload->current->config->tls.certificates.count > 0;
        if (reload->is_wanted) {
            reload->is_wanted = false;
            reload_config(reload, core);
        } else if (has_files && core_now_ns(core) >= reload->look_ns) {
            look_at_files(reload, core);
        }
        free_older(reload, core);
        look_at_end(reload, core);
        if (!reload->is_stopping && !reload->is_wanted)
            waiters_wait(core, &reload->waiters, core_now_ns(core) + TICK_NS);
    }
    reload->ended(reload->argument);
}

int reload_start(struct reload *reload, struct core *core, void (*ended)(void *argument),
                 void *argument)
{
    reload->core = core;
    reload->ended = ended;
    reload->argument = argument;
    return fiber_start(core, run, reload);
}

void reload_want(struct reload *reload, struct core *core)
{
    reload->is_wanted = true;
    waiters_wake_all(core, &reload->waiters);
}

void reload_stop(struct reload *reload, struct core *core)
{
    reload->is_stopping = true; /* L4 */
    waiters_wake_all(core, &reload->waiters);
    while (reload->adopting_left > 0)
        waiters_wait(core, &reload->adopted, 0);
}

void reload_deinit(struct reload *reload)
{
    while (reload->older != NULL) {
        struct setup *setup = reload->older;
        reload->older = setup->next;
        setup_free(setup);
    }
    if (reload->current != reload->first)
        setup_free(reload->current);
    tls_settings_unref(reload->tls);
}
