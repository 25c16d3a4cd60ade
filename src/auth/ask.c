/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asking directories.
 *
 *   ask_record ─▶ cache ──fresh─────────────────────────────▶ record, or -ENOENT
 *                   │not known, or stale
 *                   ├─ the same question is under way ─▶ waits for its answer
 *                   ├─ directory rests after failures ─┐
 *                   └─ lane ─▶ helper: kind->ask ──────┤ -EAGAIN ─▶ stale record, if there is one;
 *                                                      │            else -EAGAIN (A5, Y3)
 *                                                      └ 0, -ENOENT ─▶ cache
 *
 * A question (struct flight) has memory of its own, as fiber and helper look at it and others may
 * wait for it; the last of them frees it. The questions of a core with the helpers are few, those
 * that wait are bounded (auth_options.waiting_max).
 *
 * A directory that failed three times in a row rests for half a second: nobody waits for what does
 * not come, and its helper threads are there for others. What it said last goes to the log when it
 * begins to fail, once a minute while it does, and when it is back.
 *
 * Answers are judged before they are believed: a name that is none, or a secret that no log-in
 * could use, is garbage and means "not available".
 */
#include "auth_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ASKING_MAX = 4, /* of this core with the helpers at once */
    HASHING_MAX = 4,
    FAILURES_MAX = 3,
    REST_MS = 500,
    TELL_MS = 60000
};

static const uint64_t queue_ns_max = UINT64_C(10000000000); /* 10 s for a place */

struct flight {
    struct flight *next, **previous_next; /* previous_next NULL: nobody can join it */
    struct recent_tag tag;
    struct waiters waiters;
    unsigned users;
    bool is_done;
    int result;
    const struct auth_directory *directory;
    const struct directory_query *query; /* of who began it, who waits until it is done */
    struct directory_record record;
};

/* ---------------------------------------------------------------- places */

int lane_enter(struct auth *auth, struct lane *lane, unsigned waiting_max)
{
    unsigned running_max = lane == &auth->hashing ? HASHING_MAX : ASKING_MAX;
    uint64_t deadline = core_now_ns(auth->core) + queue_ns_max;
    if (lane->waiting >= waiting_max)
        return -EAGAIN;
    lane->waiting++;
    while (lane->running >= running_max)
        if (waiters_wait(auth->core, &lane->waiters, deadline) < 0) {
            lane->waiting--;
            return -EAGAIN;
        }
    lane->running++;
    return 0;
}

void lane_leave(struct auth *auth, struct lane *lane)
{
    lane->running--;
    lane->waiting--;
    waiters_wake_one(auth->core, &lane->waiters);
}

/* ---------------------------------------------------------------- what is believed */

bool ask_concerns(const struct auth_directory *directory, struct slice user)
{
    const char *at = user.size > 0 ? memrchr(user.data, '@', user.size) : NULL;
    if (directory->domain_count == 0)
        return true;
    if (at == NULL)
        return false;
    struct slice domain = slice_from(user, (size_t)(at + 1 - user.data));
    for (unsigned i = 0; i < directory->domain_count; i++)
        if (slice_equal(directory->domains[i], domain))
            return true;
    return false;
}

static int refuse(struct directory_record *record, const char *problem)
{
    snprintf(record->problem, sizeof record->problem, "%s", problem);
    return -EAGAIN;
}

/* Makes the name canonical. 0, or -EAGAIN for garbage. */
static int judge(const struct directory_query *query, struct directory_record *record)
{
    char name[AUTH_USER_BYTES_MAX + 1];
    struct slice canonical;
    const char *at = memrchr(query->user.data, '@', query->user.size);
    struct slice domain = {0};
    if (at != NULL)
        domain = slice_from(query->user, (size_t)(at + 1 - query->user.data));
    if (record->user[0] != '\0') {
        if (name_make(slice_cstr(record->user), domain, name, &canonical) < 0 ||
            !name_is_possible(canonical))
            return refuse(record, "the user's name in the answer is none: write local@domain");
        memcpy(record->user, name, sizeof name);
    }
    const char *problem = NULL;
    if (password_is_locked(slice_cstr(record->secret)))
        record->is_disabled = true;
    else if (record->secret[0] != '\0')
        problem = password_problem(slice_cstr(record->secret));
    return problem == NULL ? 0 : refuse(record, problem);
}

/* ---------------------------------------------------------------- a directory's health */

static void tell(struct auth *auth, const struct auth_directory *directory, const char *level,
                 const char *what, const char *problem)
{
    struct event event;
    event_begin(&event, "directory", level);
    event_text(&event, "name", directory->name);
    event_text(&event, "kind", slice_cstr(directory->kind->name));
    event_text(&event, "state", slice_cstr(what));
    if (problem != NULL)
        event_text(&event, "problem", slice_cstr(problem));
    core_log(auth->core, &event);
}

/* The state of a directory that is not among the present options (a log-in under way during a
 * reload) is nobody's. */
static struct directory_state *state_of(struct auth *auth, const struct auth_directory *directory)
{
    const struct auth_options *options = auth->options;
    for (unsigned i = 0; i < options->directory_count && i < DIRECTORIES_MAX; i++)
        if (&options->directories[i] == directory)
            return &auth->states[i];
    return NULL;
}

static void note(struct auth *auth, const struct auth_directory *directory, int result,
                 const char *problem)
{
    struct directory_state *state = state_of(auth, directory);
    uint64_t now = core_now_ns(auth->core);
    counter_add(core_counters(auth->core), COUNTER_DIRECTORY_QUESTIONS, 1);
    if (result == -EAGAIN)
        counter_add(core_counters(auth->core), COUNTER_DIRECTORY_FAILURES, 1);
    if (state == NULL)
        return;
    if (result != -EAGAIN) {
        if (state->failures > 0)
            tell(auth, directory, "info", "available", NULL);
        *state = (struct directory_state){0};
        return;
    }
    if (state->failures++ == 0 || now - state->told_ns >= (uint64_t)TELL_MS * 1000000) {
        tell(auth, directory, "warning", "not available", problem);
        state->told_ns = now;
    }
    if (state->failures >= FAILURES_MAX)
        state->rest_until_ns = now + (uint64_t)REST_MS * 1000000;
}

static bool is_resting(struct auth *auth, const struct auth_directory *directory)
{
    const struct directory_state *state = state_of(auth, directory);
    return state != NULL && state->rest_until_ns > core_now_ns(auth->core);
}

/* ---------------------------------------------------------------- one question */

static void flight_work(void *argument)
{
    struct flight *flight = argument;
    flight->result =
        flight->directory->kind->ask(flight->directory->state, flight->query, &flight->record);
    flight->record.problem[DIRECTORY_PROBLEM_BYTES_MAX] = '\0';
}

static struct flight *flight_make(const struct auth_directory *directory,
                                  const struct directory_query *query)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (flight == NULL)
        return NULL;
    flight->users = 1;
    flight->directory = directory;
    flight->query = query;
    return flight;
}

static void flight_leave(struct flight *flight)
{
    if (--flight->users > 0)
        return;
    explicit_bzero(flight, sizeof *flight); /* A4: hashes */
    free(flight);
}

/* Sets flight->result. */
static void flight_run(struct auth *auth, const struct auth_options *options, struct flight *flight)
{
    const struct auth_directory *directory = flight->directory;
    flight->result = -EAGAIN;
    if (directory->kind->is_immediate) {
        flight_work(flight);
    } else {
        if (is_resting(auth, directory) ||
            lane_enter(auth, &auth->asking, options->waiting_max) < 0)
            return;
        if (is_resting(auth, directory)) { /* by now */
            lane_leave(auth, &auth->asking);
            return;
        }
        int result = core_help_waiting(auth->core, flight_work, flight);
        lane_leave(auth, &auth->asking);
        if (result < 0) {
            flight->result = -EAGAIN;
            return;
        }
    }
    int result = flight->result;
    if (result != 0 && result != -ENOENT && (result != -EACCES || !directory->kind->verifies))
        result = -EAGAIN; /* whatever a kind says beyond its contract */
    if (result == 0)
        result = judge(flight->query, &flight->record);
    flight->result = result;
    note(auth, directory, result, flight->record.problem);
}

/* ---------------------------------------------------------------- records */

static struct recent_tag tag_of(const struct auth *auth, const struct auth_directory *directory,
                                struct slice user)
{
    struct {
        uint64_t identity, name;
        const void *state; /* where identity says nothing: as long as it is open */
        char user[AUTH_USER_BYTES_MAX];
    } key = {.identity = directory->identity,
             .name = hash_stable(directory->name.data, directory->name.size),
             .state = directory->identity == 0 ? directory->state : NULL};
    memcpy(key.user, user.data, user.size);
    return recent_tag_of(&auth->record_key, &key, offsetof(typeof(key), user) + user.size);
}

int ask_cached(const struct auth *auth, const struct auth_options *options, unsigned index,
               struct slice user, struct directory_record *ret_record, bool *ret_is_fresh)
{
    struct recent_tag tag = tag_of(auth, &options->directories[index], user);
    return record_cache_find(&auth->records, &tag, core_now_ns(auth->core), ret_record,
                             ret_is_fresh);
}

static void keep(struct auth *auth, const struct auth_options *options, const struct flight *flight)
{
    uint64_t stale_ns = options->stale_ms_max * 1000000, now = core_now_ns(auth->core);
    if (flight->directory->kind->is_immediate)
        return;
    if (flight->result == 0)
        cache_put(&auth->records, &flight->tag, now, options->cache_ms_max * 1000000, stale_ns,
                  &flight->record);
    else if (flight->result == -ENOENT)
        cache_put(&auth->records, &flight->tag, now, options->negative_ms_max * 1000000, 0, NULL);
}

static struct flight *flight_find(const struct auth *auth, const struct recent_tag *tag)
{
    for (struct flight *flight = auth->flights; flight != NULL; flight = flight->next)
        if (flight->tag.word[0] == tag->word[0] && flight->tag.word[1] == tag->word[1])
            return flight;
    return NULL;
}

/* Waits for somebody else's question. */
static int flight_join(struct auth *auth, const struct auth_options *options, struct flight *flight)
{
    if (auth->asking.waiting >= options->waiting_max)
        return -EAGAIN;
    flight->users++;
    auth->asking.waiting++;
    while (!flight->is_done)
        waiters_wait(auth->core, &flight->waiters, 0); /* ask and the lane are bounded */
    auth->asking.waiting--;
    return 0;
}

static void flight_fly(struct auth *auth, const struct auth_options *options, struct flight *flight)
{
    flight->next = auth->flights;
    flight->previous_next = &auth->flights;
    if (flight->next != NULL)
        flight->next->previous_next = &flight->next;
    auth->flights = flight;
    flight_run(auth, options, flight);
    *flight->previous_next = flight->next;
    if (flight->next != NULL)
        flight->next->previous_next = flight->previous_next;
    keep(auth, options, flight);
    flight->is_done = true;
    waiters_wake_all(auth->core, &flight->waiters);
}

int ask_record(struct auth *auth, const struct auth_options *options, unsigned index,
               const struct directory_query *query, struct directory_record *ret_record)
{
    const struct auth_directory *directory = &options->directories[index];
    struct recent_tag tag = tag_of(auth, directory, query->user);
    bool is_fresh = false;
    int result = -EAGAIN;
    if (!directory->kind->is_immediate)
        result =
            record_cache_find(&auth->records, &tag, core_now_ns(auth->core), ret_record, &is_fresh);
    if (is_fresh) {
        counter_add(core_counters(auth->core), COUNTER_DIRECTORY_CACHED, 1);
        return result;
    }
    struct flight *flight = flight_find(auth, &tag);
    if (flight != NULL) {
        if (flight_join(auth, options, flight) < 0)
            return -EAGAIN;
    } else {
        flight = flight_make(directory, query);
        if (flight == NULL)
            return -EAGAIN;
        flight->tag = tag;
        flight_fly(auth, options, flight);
    }
    result = flight->result;
    if (result == 0)
        *ret_record = flight->record;
    flight_leave(flight);
    if (result == -EAGAIN && record_cache_find(&auth->records, &tag, core_now_ns(auth->core),
                                               ret_record, &is_fresh) == 0) {
        counter_add(core_counters(auth->core), COUNTER_DIRECTORY_STALE, 1);
        return 0;
    }
    return result;
}

int ask_verdict(struct auth *auth, const struct auth_options *options, unsigned index,
                const struct directory_query *query, struct directory_record *ret_record)
{
    struct flight *flight = flight_make(&options->directories[index], query);
    if (flight == NULL)
        return -EAGAIN;
    flight->tag = tag_of(auth, flight->directory, query->user);
    flight_run(auth, options, flight);
    if (flight->result == 0 && flight->record.is_verified)
        keep(auth, options, flight);
    int result = flight->result;
    if (result == 0 && !flight->record.is_verified)
        result = -EACCES; /* known, but not judged right */
    if (result == 0 || result == -EACCES)
        *ret_record = flight->record;
    flight_leave(flight);
    return result;
}
