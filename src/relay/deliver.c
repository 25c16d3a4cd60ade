/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One message for users of other stores, handed on to all their backends side by side.
 *
 *   a place for each recipient ─▶ groups at the same backend ─▶ up to WORKERS_MAX at once:
 *        ▲                                                       connect ─▶ transfer_message
 *        └── the first could not have them: the next one (R5) ───────┘
 *
 * Workers are fibers, the caller's own among them, so that a message is handed on also when no
 * stack is free. Each takes the first group that waits, which is formed only then: what has failed
 * over meanwhile joins others at the same backend. A recipient who is being moved waits for it by
 * himself, and only when nobody else is left to be handed on.
 *
 * Another backend is tried only while nothing of use has been said to the first; behind the data
 * the answer is his or "later", never a second backend's (R5).
 *
 * Ownership: a delivery is its caller's, who leaves when all workers have.
 */
#include <stdlib.h>

#include "relay_private.h"

enum {
    WORKERS_MAX = 16, /* of one message */
    GROUP_MAX = 100,  /* what every server takes (RFC 5321, section 4.5.3.1.8) */
    ROUNDS_MAX = 8,   /* places of one recipient */
    TAKEN_AT_ONCE = 32,
    BACKENDS_BYTES_MAX = 300
};

enum handed_state {
    HANDED_HELD,   /* the user is being moved: no place yet */
    HANDED_PLACED, /* ready to be handed on */
    HANDED_TAKEN,  /* by a worker */
    HANDED_TWIN,   /* the same as another, whose answer is his too */
    HANDED_DONE
};

struct handed {
    struct relay_recipient *recipient;
    struct backend_place *place;
    struct slice address; /* as it came: recipient->address is lent a directory's name */
    char *named;
    enum handed_state state;
    unsigned rounds;
    const struct handed *twin; /* HANDED_TWIN: of whom; never of another twin */
};

struct delivery {
    struct relay *relay;
    const struct relay_sender *sender;
    const struct relay_message *message;
    struct handed *all;
    unsigned count;
    unsigned workers; /* beside the caller */
    unsigned busy;    /* of all */
    struct waiters changed;
    uint64_t begin_ns, deadline_ns, hold_ns;
    char backends[BACKENDS_BYTES_MAX]; /* for the log: where there was a connection */
};

/* ---------------------------------------------------------------- recipients */

static void done(struct handed *handed)
{
    handed->state = HANDED_DONE;
}

static void done_failed(struct delivery *delivery, struct handed *handed, int result,
                        const char *problem)
{
    recipient_failed(handed->recipient, result);
    relay_failed(delivery->relay, delivery->sender, handed->recipient, NULL, problem);
    done(handed);
}

/* One mailbox under one name, however the user's own part of it is written; a sub-address may be a
 * folder's name, whose case tells. */
static bool is_same(const struct relay_recipient *one, const struct relay_recipient *other)
{
    return one->pool == other->pool && slice_equal(one->user, other->user) &&
           (slice_equal(one->address, other->address) ||
            (slice_equal_nocase(one->address, one->user) &&
             slice_equal_nocase(other->address, other->user)));
}

/* Whom a backend is given, or was, in his place: he is to have one copy (RFC 2033, 4.2). */
static const struct handed *find_twin(const struct delivery *delivery, const struct handed *handed)
{
    for (unsigned i = 0; i < delivery->count; i++) {
        const struct handed *other = &delivery->all[i];
        if (other != handed && other->place != NULL && other->state != HANDED_TWIN &&
            is_same(handed->recipient, other->recipient))
            return other;
    }
    return NULL;
}

/* His first place; one who is held is waited for until hold_ns (0: he is left as HANDED_HELD). */
static void take(struct delivery *delivery, struct handed *handed, uint64_t hold_ns)
{
    const char *problem;
    int result = recipient_place(delivery->relay, delivery->sender, handed->recipient, hold_ns,
                                 &handed->place, &problem);
    if (result == -EPERM && hold_ns == 0) {
        handed->state = HANDED_HELD;
        return;
    }
    if (result == 0)
        result = recipient_name(handed->recipient, handed->place, &handed->named);
    if (result < 0) {
        done_failed(delivery, handed, result, problem);
        return;
    }
    handed->twin = find_twin(delivery, handed);
    handed->state = handed->twin != NULL ? HANDED_TWIN : HANDED_PLACED;
}

/* What there was to say about the first backend is said: it stays, when there is no other. */
static void elsewhere(struct delivery *delivery, struct handed *handed)
{
    struct core *core = delivery->relay->core;
    const char *problem;
    bool is_over = ++handed->rounds >= ROUNDS_MAX || core_now_ns(core) >= delivery->deadline_ns ||
                   sender_is_gone(delivery->sender);
    if (is_over || backend_place_next(core, handed->place, delivery->hold_ns, &problem) < 0)
        done(handed);
    else
        handed->state = HANDED_PLACED;
}

static void elsewhere_all(struct delivery *delivery, struct handed *const *group, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        elsewhere(delivery, group[i]);
}

/* ---------------------------------------------------------------- one group */

static bool name_stands(const char *names, struct slice name)
{
    struct slice rest = slice_cstr(names);
    while (rest.size > 0) {
        struct slice first = slice_first(rest, slice_find(rest, ','));
        if (slice_equal(first, name))
            return true;
        rest = slice_from(rest, first.size + 1);
    }
    return false;
}

static void note_backend(struct delivery *delivery, struct slice name)
{
    char *names = delivery->backends;
    size_t size = strlen(names);
    if (size + name.size + 2 > sizeof delivery->backends || name_stands(names, name))
        return;
    if (size > 0)
        names[size++] = ',';
    memcpy(names + size, name.data, name.size);
    names[size + name.size] = '\0';
}

/* Some may not use the connection: they have been given another backend. The rest comes first. */
static unsigned sort_out(struct handed **group, unsigned count)
{
    unsigned settled = 0;
    for (unsigned i = 0; i < count; i++)
        if (backend_place_is_settled(group[i]->place)) {
            struct handed *one = group[i];
            group[i] = group[settled];
            group[settled++] = one;
        } else {
            recipient_failed(group[i]->recipient, -EAGAIN);
        }
    return settled;
}

static void transact(struct delivery *delivery, struct handed **group, unsigned count,
                     struct backend_link *link, const struct backend_answer *answer)
{
    struct relay *relay = delivery->relay;
    struct relay_recipient *recipients[GROUP_MAX];
    const struct relay_sender *sender = delivery->sender;
    struct transfer transfer = {
        .core = relay->core,
        .link = link,
        .offers = slice_cstr(answer->capabilities),
        .deadline_ns = delivery->deadline_ns,
        .gone = sender->gone,
        .argument = sender->argument,
    };
    bool is_sent = false;
    for (unsigned i = 0; i < count; i++)
        recipients[i] = group[i]->recipient;
    note_backend(delivery, backend_place_name(group[0]->place));
    int result = transfer_message(&transfer, delivery->message, recipients, count, &is_sent);
    bool is_lost = result < 0 && (is_sent || !sender_is_gone(sender));
    if (result == 0)
        transfer_leave(&transfer);
    else if (is_lost)
        backend_link_lost(link);
    if (is_lost)
        relay_failed(relay, sender, recipients[0], answer->path, transfer.problem);
    backend_link_close(link);
    for (unsigned i = 0; i < count; i++) {
        const struct relay_recipient *recipient = group[i]->recipient;
        if (recipient->result == 0 || (transfer.may_come_twice && recipient->result == -EAGAIN))
            backend_place_used(group[i]->place);
        if (recipient->result == -EACCES)
            known_forget(relay, recipient);
        if (result < 0 && !is_sent && recipient->result == -EAGAIN) {
            backend_place_fail(group[i]->place);
            elsewhere(delivery, group[i]);
        } else {
            done(group[i]);
        }
    }
}

static void hand_on(struct delivery *delivery, struct handed **group, unsigned count)
{
    struct relay *relay = delivery->relay;
    const struct relay_sender *sender = delivery->sender;
    struct backend_place *places[GROUP_MAX];
    struct backend_answer answer;
    struct backend_link *link;
    for (unsigned i = 0; i < count; i++)
        places[i] = group[i]->place;
    int result = backend_place_connect(relay->core, places, count, delivery->deadline_ns,
                                       sender->gone, sender->argument, &answer, &link);
    if (result == 0) {
        unsigned settled = sort_out(group, count);
        transact(delivery, group, settled, link, &answer);
        elsewhere_all(delivery, group + settled, count - settled);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        recipient_failed(group[i]->recipient, result);
    if (result != -ECANCELED)
        relay_failed(relay, sender, group[0]->recipient, answer.path, answer.problem);
    if (result == -EAGAIN)
        elsewhere_all(delivery, group, count);
    for (unsigned i = 0; i < count && result != -EAGAIN; i++)
        done(group[i]);
}

/* ---------------------------------------------------------------- workers */

/* Those who wait at the same backend; else one who is held. 0: none. */
static unsigned group_take(struct delivery *delivery, struct handed **group)
{
    struct handed *held = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < delivery->count && count < GROUP_MAX; i++) {
        struct handed *one = &delivery->all[i];
        if (one->state == HANDED_HELD && held == NULL)
            held = one;
        if (one->state != HANDED_PLACED ||
            (count > 0 && !backend_place_is_same(group[0]->place, one->place)))
            continue;
        one->state = HANDED_TAKEN;
        group[count++] = one;
    }
    if (count > 0 || held == NULL)
        return count;
    held->state = HANDED_TAKEN;
    group[0] = held;
    return 1;
}

static bool is_work_left(const struct delivery *delivery)
{
    for (unsigned i = 0; i < delivery->count; i++)
        if (delivery->all[i].state < HANDED_TAKEN)
            return true;
    return false;
}

static void worker(void *argument);

static void work(struct delivery *delivery)
{
    struct core *core = delivery->relay->core;
    struct handed *group[GROUP_MAX];
    for (;;) {
        unsigned count = group_take(delivery, group);
        if (count == 0 && delivery->busy == 0)
            return;
        if (count == 0) { /* those who work may leave more */
            waiters_wait(core, &delivery->changed, 0);
            continue;
        }
        delivery->busy++;
        if (delivery->workers + 1 < WORKERS_MAX && is_work_left(delivery) &&
            fiber_start(core, worker, delivery) == 0)
            delivery->workers++;
        if (group[0]->place == NULL)
            take(delivery, group[0], delivery->hold_ns);
        else
            hand_on(delivery, group, count);
        delivery->busy--;
        waiters_wake_all(core, &delivery->changed);
    }
}

static void worker(void *argument)
{
    struct delivery *delivery = argument;
    struct core *core = delivery->relay->core;
    work(delivery);
    delivery->workers--;
    waiters_wake_all(core, &delivery->changed); /* the caller runs later in this turn */
}

/* ---------------------------------------------------------------- the message */

static void account(const struct delivery *delivery)
{
    struct core *core = delivery->relay->core;
    const struct relay_sender *sender = delivery->sender;
    unsigned handed_on = 0, refused = 0, later = 0;
    struct event event;
    for (unsigned i = 0; i < delivery->count; i++) {
        int result = delivery->all[i].recipient->result;
        handed_on += result == 0;
        refused += result == -EACCES;
        later += result == -EAGAIN;
    }
    assert(handed_on + refused + later == delivery->count && "each has a result");
    counter_add(core_counters(core), COUNTER_RELAY_MESSAGES, 1);
    counter_add(core_counters(core), COUNTER_RELAY_HANDED_ON, handed_on);
    counter_add(core_counters(core), COUNTER_RELAY_REFUSED, refused);
    counter_add(core_counters(core), COUNTER_RELAY_LATER, later);
    event_begin(&event, "relay", "info");
    event_text(&event, "id", sender->client.session_id);
    event_text(&event, "from", delivery->message->from);
    event_number(&event, "bytes", (int64_t)delivery->message->bytes.size);
    event_text(&event, "backends", slice_cstr(delivery->backends));
    event_number(&event, "handed_on", handed_on);
    event_number(&event, "refused", refused);
    event_number(&event, "later", later);
    event_number(&event, "ms", (int64_t)((core_now_ns(core) - delivery->begin_ns) / 1000000));
    core_log(core, &event);
}

static void answer_as_twin(struct handed *handed)
{
    const struct relay_recipient *first = handed->twin->recipient;
    assert(handed->twin->state == HANDED_DONE);
    handed->recipient->result = first->result;
    memcpy(handed->recipient->reply, first->reply, sizeof first->reply);
    done(handed);
}

static void deliver(struct delivery *delivery, struct relay_recipient *recipients)
{
    struct relay *relay = delivery->relay;
    for (unsigned i = 0; i < delivery->count; i++) {
        struct handed *handed = &delivery->all[i];
        handed->recipient = &recipients[i];
        handed->address = recipients[i].address;
        take(delivery, handed, 0);
        if (i % TAKEN_AT_ONCE == TAKEN_AT_ONCE - 1) /* each was compared with all: others' turn */
            fiber_yield(relay->core);
    }
    relay->deliveries++;
    work(delivery);
    while (delivery->workers > 0)
        waiters_wait(relay->core, &delivery->changed, 0);
    relay->deliveries--;
    for (unsigned i = 0; i < delivery->count; i++)
        if (delivery->all[i].state == HANDED_TWIN)
            answer_as_twin(&delivery->all[i]);
    for (unsigned i = 0; i < delivery->count; i++) {
        struct handed *handed = &delivery->all[i];
        assert(handed->state == HANDED_DONE);
        recipients[i].address = handed->address;
        backend_place_give(relay->core, handed->place);
        free(handed->named);
    }
}

void relay_deliver(struct core *core, const struct relay_sender *sender,
                   const struct relay_message *message, struct relay_recipient *recipients,
                   unsigned count)
{
    struct relay *relay = relay_of(core);
    uint64_t now_ns = core_now_ns(core), ms = relay->options->deliver_ms_max;
    uint64_t hold_ms = ms < RELAY_HOLD_MS_MAX ? ms : RELAY_HOLD_MS_MAX;
    struct delivery delivery = {
        .relay = relay,
        .sender = sender,
        .message = message,
        .all = calloc(count, sizeof *delivery.all),
        .count = count,
        .begin_ns = now_ns,
        .deadline_ns = now_ns + ms * 1000000,
        .hold_ns = now_ns + hold_ms * 1000000,
    };
    if (delivery.all != NULL)
        deliver(&delivery, recipients);
    for (unsigned i = 0; i < count && delivery.all == NULL; i++)
        recipient_failed(&recipients[i], -ENOMEM);
    if (delivery.all != NULL)
        account(&delivery);
    free(delivery.all);
}
