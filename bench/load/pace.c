/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clock of a run, a part on each core: operation k belongs to core k mod cores, so that cores
 * need not talk. Nothing here allocates or waits in line but in fibers.
 *
 *   closed loop     taken at once; over when end_ns has come or --messages are taken
 *   open loop       the j-th of this core is due at begin_ns + its place on the time line (equal
 *                   gaps over all cores; or, Poisson, gaps drawn by each core: the sum of Poisson
 *                   processes is one). The time line goes on whether or not somebody is free.
 *   clocks of the scenario's own (pace_take_at)   a heap of those who wait
 *
 * In an open loop what was due before the end is begun behind it too, else a stall at the end would
 * be hidden; for --timeout at most, then what is left is counted as not begun.
 *
 * Invariant: who waits (in the queue or the heap) is woken exactly once, by the alarm or by
 * pace_end, with `operation` or -ECANCELED in his slot.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "load_private.h"

enum { REST_FIRST_MS = 10, REST_MS_MAX = 1000, AT_ONCE_MS = 100 };
static const uint64_t MS_NS = 1000000;

static bool is_open_loop(const struct load_core *at)
{
    return at->load->options->rate > 0;
}

/* No operation begins that is due at or after this. */
static uint64_t end_of(const struct load_core *at)
{
    uint64_t end = word_get(&at->load->end_ns);
    return end == 0 ? UINT64_MAX : end;
}

/* No operation begins at or after this. */
static uint64_t stop_of(const struct load_core *at)
{
    uint64_t end = end_of(at);
    bool has_clock = is_open_loop(at) || at->pace.is_timed;
    return end == UINT64_MAX || !has_clock ? end : end + at->load->options->timeout_ns;
}

/* ---------------------------------------------------------------- the heap of pace_take_at */

static void heap_swap(struct worker_slot **heap, unsigned a, unsigned b)
{
    struct worker_slot *slot = heap[a];
    heap[a] = heap[b];
    heap[b] = slot;
}

static void heap_push(struct pace *pace, struct worker_slot *slot)
{
    unsigned at = pace->timed_count++;
    pace->timed[at] = slot;
    for (; at > 0 && pace->timed[at]->due_ns < pace->timed[(at - 1) / 2]->due_ns; at = (at - 1) / 2)
        heap_swap(pace->timed, at, (at - 1) / 2);
}

static struct worker_slot *heap_pop(struct pace *pace)
{
    struct worker_slot *top = pace->timed[0], **heap = pace->timed;
    unsigned count = --pace->timed_count, at = 0;
    heap[0] = heap[count];
    for (;;) {
        unsigned least = at, left = 2 * at + 1;
        for (unsigned child = left; child < left + 2 && child < count; child++)
            if (heap[child]->due_ns < heap[least]->due_ns)
                least = child;
        if (least == at)
            return top;
        heap_swap(heap, at, least);
        at = least;
    }
}

/* ---------------------------------------------------------------- the time line */

static uint64_t number_of(const struct load_core *at, uint64_t taken)
{
    return taken * at->load->core_count + at->index;
}

/* Moves the time line to the next operation of this core. */
static void step(struct load_core *at)
{
    struct pace *pace = &at->pace;
    if (at->load->options->is_poisson) {
        double even = ((double)(random_u64(&pace->random) >> 11) + 1) / 9007199254740993.0;
        pace->next_ns += -log(even) * pace->gap_ns;
    } else {
        double place = (double)++pace->placed + (double)at->index / at->load->core_count;
        pace->next_ns = place * pace->gap_ns;
    }
    pace->due_ns = word_get(&at->load->begin_ns) + (uint64_t)pace->next_ns;
}

static bool is_counted(const struct load_core *at, uint64_t intended_ns)
{
    uint64_t measure = word_get(&at->load->measure_ns);
    return measure != 0 && intended_ns >= measure;
}

/* The core's next operation, meant for then. */
static void take(struct load_core *at, uint64_t intended_ns, struct operation *ret_operation)
{
    struct pace *pace = &at->pace;
    *ret_operation = (struct operation){.number = number_of(at, pace->taken),
                                        .intended_ns = intended_ns,
                                        .is_counted = is_counted(at, intended_ns)};
    if (is_open_loop(at) && !pace->is_timed)
        step(at);
    pace->taken++;
    pace->counted += ret_operation->is_counted;
    if (pace->counted >= pace->counted_max)
        pace_end(at);
}

static void wake(struct load_core *at, struct worker_slot *slot, int result)
{
    slot->result = result;
    fiber_wake(at->core, slot->waiting);
}

static struct worker_slot *queue_pop(struct pace *pace)
{
    struct worker_slot *slot = pace->first;
    pace->first = slot->next;
    if (pace->first == NULL)
        pace->last = NULL;
    return slot;
}

static void on_alarm(void *argument);

static void set_alarm(struct load_core *at)
{
    const struct pace *pace = &at->pace;
    uint64_t due = UINT64_MAX, end = end_of(at), stop = stop_of(at);
    if (at->is_over) {
        core_alarm(at->core, UINT64_MAX, NULL, NULL);
        return;
    }
    if (pace->first != NULL)
        due = pace->due_ns;
    if (pace->timed_count > 0 && pace->timed[0]->due_ns < due)
        due = pace->timed[0]->due_ns;
    if ((pace->first != NULL || pace->timed_count > 0) && end < due)
        due = end;
    core_alarm(at->core, due < stop ? due : stop, on_alarm, at);
}

/* Gives what is due to those who wait, and sends home whom nothing is left for. */
static void on_alarm(void *argument)
{
    struct load_core *at = argument;
    struct pace *pace = &at->pace;
    uint64_t now = core_now_ns(at->core), end = end_of(at);
    if (now >= stop_of(at))
        pace_end(at);
    while (pace->first != NULL && pace->due_ns <= now && pace->due_ns < end) {
        struct worker_slot *slot = queue_pop(pace);
        take(at, pace->due_ns, &slot->operation); /* may be the last: the others go then */
        wake(at, slot, 0);
    }
    while (pace->timed_count > 0 && pace->timed[0]->due_ns <= now && pace->timed[0]->due_ns < end) {
        struct worker_slot *slot = heap_pop(pace);
        take(at, slot->due_ns, &slot->operation);
        wake(at, slot, 0);
    }
    while (now >= end && pace->first != NULL)
        wake(at, queue_pop(pace), -ECANCELED);
    while (now >= end && pace->timed_count > 0)
        wake(at, heap_pop(pace), -ECANCELED);
    set_alarm(at);
}

/* ---------------------------------------------------------------- what workers call */

static int wait_for_turn(struct load_core *at, struct worker_slot *slot,
                         struct operation *ret_operation)
{
    slot->waiting = fiber_current(at->core);
    fiber_park(at->core);
    slot->waiting = NULL;
    if (slot->result == 0)
        *ret_operation = slot->operation;
    return slot->result;
}

int pace_take(struct load_worker *worker, struct operation *ret_operation)
{
    struct worker_slot *slot = (struct worker_slot *)worker;
    struct load_core *at = worker->at;
    struct pace *pace = &at->pace;
    if (at->is_over)
        return -ECANCELED;
    uint64_t now = load_now(at);
    if (now >= stop_of(at)) {
        pace_end(at);
        return -ECANCELED;
    }
    if (!is_open_loop(at)) {
        take(at, now, ret_operation);
        return 0;
    }
    if (pace->due_ns >= end_of(at) && now >= end_of(at))
        return -ECANCELED;
    if (pace->first == NULL && pace->due_ns <= now) {
        take(at, pace->due_ns, ret_operation);
        return 0;
    }
    if (!slot->has_begun)
        run_ramp(slot); /* it will not connect at once with all the others */
    slot->next = NULL;
    if (pace->last != NULL)
        pace->last->next = slot;
    else
        pace->first = slot;
    pace->last = slot;
    if (pace->first == slot)
        set_alarm(at);
    return wait_for_turn(at, slot, ret_operation);
}

int pace_take_at(struct load_worker *worker, uint64_t due_ns, struct operation *ret_operation)
{
    struct worker_slot *slot = (struct worker_slot *)worker;
    struct load_core *at = worker->at;
    at->pace.is_timed = true;
    if (at->is_over || due_ns >= end_of(at))
        return -ECANCELED;
    uint64_t now = load_now(at);
    if (now >= stop_of(at)) {
        pace_end(at);
        return -ECANCELED;
    }
    if (due_ns <= now) {
        take(at, due_ns, ret_operation);
        return 0;
    }
    if (!slot->has_begun)
        run_ramp(slot);
    slot->due_ns = due_ns;
    heap_push(&at->pace, slot);
    if (at->pace.timed[0] == slot)
        set_alarm(at);
    return wait_for_turn(at, slot, ret_operation);
}

/* Those that come at once when the server is gone, or we have come to our own end. */
static bool is_of_connection(int error)
{
    switch ((enum load_error)error) {
    case LOAD_REFUSED:
    case LOAD_UNREACHABLE:
    case LOAD_NO_PORT:
    case LOAD_CONNECT_TIMEOUT:
    case LOAD_RESET:
    case LOAD_CLOSED:
    case LOAD_TLS_FAILED:
    case LOAD_OURS:
        return true;
    default:
        return false;
    }
}

static void rest(struct load_core *at, struct worker_slot *slot, uint64_t now)
{
    uint64_t ms = (uint64_t)REST_FIRST_MS << (slot->failures < 7 ? slot->failures : 7);
    slot->failures++;
    if (!at->is_over)
        waiters_wait(at->core, &at->pace.resting,
                     now + (ms < REST_MS_MAX ? ms : REST_MS_MAX) * MS_NS);
}

void pace_done(struct load_worker *worker, const struct operation *operation, int error)
{
    struct worker_slot *slot = (struct worker_slot *)worker;
    struct load_core *at = worker->at;
    uint64_t now = load_now(at);
    if (error == 0 && operation->is_counted)
        measure_operation(at, operation->intended_ns, now);
    if (!slot->has_begun)
        run_ramp(slot);
    bool was_quick = now < operation->intended_ns + AT_ONCE_MS * MS_NS || slot->failures > 0;
    if (is_of_connection(error) && was_quick)
        rest(at, slot, now);
    else
        slot->failures = 0;
}

bool pace_is_over(const struct load_worker *worker)
{
    const struct load_core *at = worker->at;
    bool has_end = at->stage == LOAD_WARM_UP || at->stage == LOAD_MEASURE;
    bool has_more = is_open_loop(at) && !at->pace.is_timed && at->pace.due_ns < end_of(at);
    return at->is_over || (has_end && load_now(at) >= (has_more ? stop_of(at) : end_of(at)));
}

/* ---------------------------------------------------------------- what run.c calls */

int pace_open(struct load_core *at)
{
    const struct load_options *options = at->load->options;
    struct pace *pace = &at->pace;
    unsigned cores = at->load->core_count;
    pace->timed = calloc(at->worker_count + 1, sizeof(struct worker_slot *));
    if (pace->timed == NULL)
        return -ENOMEM;
    pace->counted_max = UINT64_MAX;
    if (options->messages > 0 && !options->scenario->ends_itself)
        pace->counted_max =
            options->messages / cores + (at->index < options->messages % cores ? 1 : 0);
    pace->random = options->seed ^ (UINT64_C(0x9e3779b97f4a7c15) * (at->index + 1));
    if (options->rate > 0)
        pace->gap_ns = 1e9 * cores / options->rate;
    return 0;
}

void pace_close(struct load_core *at)
{
    free(at->pace.timed);
    at->pace.timed = NULL;
}

void pace_begin(struct load_core *at)
{
    struct pace *pace = &at->pace;
    if (pace->counted_max == 0)
        at->is_over = true; /* fewer messages than cores */
    if (at->load->options->is_poisson)
        step(at); /* the first gap is drawn too */
    else
        pace->next_ns = (double)at->index * pace->gap_ns / at->load->core_count;
    pace->due_ns = word_get(&at->load->begin_ns) + (uint64_t)pace->next_ns;
}

/* What the warm-up left behind is not carried into what is measured: a server that was overrun in
 * it starts afresh. */
void pace_measure(struct load_core *at)
{
    while (is_open_loop(at) && !at->pace.is_timed &&
           at->pace.due_ns < word_get(&at->load->measure_ns))
        step(at);
    set_alarm(at); /* the end is known now */
}

void pace_end(struct load_core *at)
{
    struct pace *pace = &at->pace;
    if (at->is_over)
        return;
    at->is_over = true;
    uint64_t end = end_of(at), now = load_now(at);
    if (is_open_loop(at) && !pace->is_timed && pace->counted < pace->counted_max) {
        uint64_t until = end < now ? end : now;
        if (pace->due_ns < until)
            word_set(&at->not_begun,
                     1 + (uint64_t)((double)(until - pace->due_ns - 1) / pace->gap_ns));
    }
    while (pace->first != NULL)
        wake(at, queue_pop(pace), -ECANCELED);
    while (pace->timed_count > 0)
        wake(at, heap_pop(pace), -ECANCELED);
    waiters_wake_all(at->core, &pace->resting);
    core_alarm(at->core, UINT64_MAX, NULL, NULL);
}
