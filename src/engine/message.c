/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages between cores, and what is built on them: calls to another core, work on helper threads.
 *
 *   sender:    push on the target's inbox (a lock-free stack) ─▶ target asleep? wake it
 *   receiver:  take the whole stack, turn it round, handle in order
 *
 * Turning the stack round restores the order of each sender. Nobody misses a message: the sender
 * pushes and then reads `sleeping`, the receiver sets `sleeping` and then reads the inbox
 * (core_turn), all sequentially consistent.
 */
#include "core_private.h"

static void push(struct core *to, struct message *message)
{
    struct message *first = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do {
        message->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &first, message,
                                                    memory_order_seq_cst, memory_order_relaxed));
}

static void wake_if_asleep(struct core *to)
{
    if (atomic_load(&to->sleeping) && atomic_exchange(&to->sleeping, false))
        kernel_wake(to->kernel);
}

void core_post(struct core *from, unsigned to, struct message *message)
{
    struct core *target = core_peer(from, to);
    push(target, message);
    if (target != from)
        wake_if_asleep(target);
}

void core_post_from_helper(struct core *to, struct message *message)
{
    /* The message may be handled, and the engine end, before this thread is done with *to. */
    atomic_uint *posting = &to->engine->helpers_posting;
    atomic_fetch_add(posting, 1);
    push(to, message);
    wake_if_asleep(to);
    atomic_fetch_sub(posting, 1);
}

unsigned messages_handle(struct core *core)
{
    if (atomic_load_explicit(&core->inbox, memory_order_relaxed) == NULL)
        return 0;
    struct message *newest = atomic_exchange_explicit(&core->inbox, NULL, memory_order_acq_rel);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    unsigned handled = 0;
    for (; oldest != NULL; handled++) {
        struct message *message = oldest;
        oldest = message->next;
        message->handle(core, message);
    }
    return handled;
}

/* ---------------------------------------------------------------- calls; on the calling fiber's
 * stack */

struct call {
    struct message message;
    int (*fn)(struct core *there, void *argument);
    void *argument;
    struct core *here, *there;
    struct fiber *fiber;
    int result;
};

static void call_returned(struct core *here, struct message *message)
{
    struct call *call = (struct call *)message;
    fiber_wake(here, call->fiber);
}

static void call_return(struct call *call, int result)
{
    call->result = result;
    call->message.handle = call_returned;
    core_post(call->there, call->here->index, &call->message);
}

static void call_run(void *argument)
{
    struct call *call = argument;
    call_return(call, call->fn(call->there, call->argument));
}

static void call_arrived(struct core *there, struct message *message)
{
    struct call *call = (struct call *)message;
    call->there = there;
    if (fiber_start(there, call_run, call) < 0)
        call_return(call, -EAGAIN);
}

int core_call(struct core *here, unsigned to, int (*fn)(struct core *there, void *argument),
              void *argument)
{
    if (to == here->index)
        return fn(here, argument);
    struct call call = {
        .message.handle = call_arrived,
        .fn = fn,
        .argument = argument,
        .here = here,
        .fiber = fiber_current(here),
    };
    core_post(here, to, &call.message);
    fiber_park(here);
    return call.result;
}

/* ---------------------------------------------------------------- helper threads */

struct help {
    struct message message;
    void (*work)(void *argument);
    void *argument;
    struct core *core;
    struct fiber *fiber;
};

static void help_work(void *argument)
{
    struct help *help = argument;
    help->work(help->argument);
}

static void help_finished(void *argument)
{
    struct help *help = argument;
    core_post_from_helper(help->core, &help->message);
}

static void help_returned(struct core *core, struct message *message)
{
    struct help *help = (struct help *)message;
    fiber_wake(core, help->fiber);
}

static int help_from(struct core *core, enum kernel_help pool, void (*work)(void *argument),
                     void *argument)
{
    struct help help = {
        .message.handle = help_returned,
        .work = work,
        .argument = argument,
        .core = core,
        .fiber = fiber_current(core),
    };
    int result = kernel_help(core->kernel, pool, help_work, help_finished, &help);
    if (result < 0)
        return result;
    fiber_park(core);
    return 0;
}

int core_help(struct core *core, void (*work)(void *argument), void *argument)
{
    return help_from(core, KERNEL_HELP_COMPUTES, work, argument);
}

int core_help_waiting(struct core *core, void (*work)(void *argument), void *argument)
{
    return help_from(core, KERNEL_HELP_WAITS, work, argument);
}
