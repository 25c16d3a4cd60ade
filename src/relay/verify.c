/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is there such a user? Asked of his backend by a transaction that ends behind RCPT, and what it
 * said is kept for a while: "known" and "unknown", never "later".
 *
 *   relay_verify ─▶ kept? ─▶ that
 *               ─▶ another asks about him just now? ─▶ its answer
 *               ─▶ call_out: place, connect, MAIL, RCPT; elsewhere when that failed
 *
 * He is asked about by his own name, without the sub-address of this message: it is he who is kept.
 *
 * Strangers choose the names: keys are hashed with a key, rows are bounded by cache_entries_max,
 * and the one of a few that would be over first makes room, so that a flood of unknown names (short
 * lived) drives out itself rather than what is known. One who is asked about is asked about once at
 * a time; when its client has left, one of those that wait asks anew.
 *
 * Ownership: a row owns its reply. An `asking` lies on the heap until its asker and all that wait
 * have left it.
 */
#include <stdlib.h>

#include "relay_private.h"

enum { SWEEP_SLOTS = 4096, SAMPLE_SLOTS = 32, SAMPLE_ROWS = 8, KNOWN_SLOTS_MAX = 1 << 24 };
static const uint64_t SWEEP_NS = 1000000000;

struct known {
    uint64_t key;
    uint64_t end_ns;
    char *reply; /* NULL: there is such a user */
};

struct asking {
    struct asking *next, **previous_next; /* previous_next is NULL when it is answered */
    uint64_t key;
    struct waiters waiters;
    unsigned users;
    bool is_given_up; /* nothing came of it: ask yourself */
    int result;
    char reply[RELAY_REPLY_BYTES_MAX + 1];
};

/* ---------------------------------------------------------------- what is kept */

static uint64_t key_of(const struct relay *relay, const struct relay_recipient *recipient)
{
    struct slice pool = backend_pool_options_of(recipient->pool)->name;
    return hash_u64(hash_keyed(&relay->key, recipient->user.data, recipient->user.size) ^
                    hash_stable(pool.data, pool.size)) |
           1;
}

static bool known_is_over(void *row, void *argument)
{
    struct known *known = row;
    if (known->end_ns > core_now_ns(((struct relay *)argument)->core))
        return false;
    free(known->reply);
    return true;
}

static void known_remove(struct relay *relay, struct known *known)
{
    free(known->reply);
    rows_remove(&relay->known, known);
}

static void sweep(struct timer *timer)
{
    struct relay *relay = (struct relay *)((char *)timer - offsetof(struct relay, sweep));
    rows_sweep(&relay->known, SWEEP_SLOTS, known_is_over, relay);
    if (relay->known.used > 0)
        timer_set(relay->core, timer, core_now_ns(relay->core) + SWEEP_NS);
}

void known_adopt(struct relay *relay)
{
    uint32_t slots = 64; /* at most half full, and half of that: it grows before */
    while (slots < KNOWN_SLOTS_MAX && slots / 4 < relay->options->cache_entries_max)
        slots *= 2;
    if (slots > relay->known.slots_max)
        relay->known.slots_max = slots;
}

void known_open(struct relay *relay)
{
    relay->known.row_bytes = sizeof(struct known);
    relay->sweep.fire = sweep;
    known_adopt(relay);
}

static bool always(void *row, void *argument)
{
    (void)argument;
    free(((struct known *)row)->reply);
    return true;
}

void known_close(struct relay *relay)
{
    timer_clear(relay->core, &relay->sweep);
    while (relay->known.used > 0)
        rows_sweep(&relay->known, relay->known.slot_count, always, NULL);
    rows_free(&relay->known);
}

struct sample {
    uint64_t key, end_ns;
    unsigned count;
};

static bool look(void *row, void *argument)
{
    const struct known *known = row;
    struct sample *first = argument;
    first->count++;
    if (first->key == 0 || known->end_ns < first->end_ns) {
        first->key = known->key;
        first->end_ns = known->end_ns;
    }
    return false;
}

static void known_make_room(struct relay *relay)
{
    while (relay->known.used >= relay->options->cache_entries_max) {
        struct sample first = {0};
        uint32_t slots = 0;
        for (; first.count < SAMPLE_ROWS && slots < relay->known.slot_count; slots += SAMPLE_SLOTS)
            rows_sweep(&relay->known, SAMPLE_SLOTS, look, &first);
        known_remove(relay, rows_find(&relay->known, first.key));
    }
}

static void known_keep(struct relay *relay, uint64_t key, int result, const char *reply)
{
    const struct relay_options *options = relay->options;
    uint64_t ms = result == 0 ? options->known_ms : options->unknown_ms;
    struct known *known;
    char *copy = NULL;
    if (options->cache_entries_max == 0 || ms == 0 || (result != 0 && result != -EACCES))
        return;
    if (result != 0) {
        if ((copy = malloc(strlen(reply) + 1)) == NULL)
            return;
        memcpy(copy, reply, strlen(reply) + 1);
    }
    if ((known = rows_find(&relay->known, key)) == NULL) {
        known_make_room(relay);
        known = rows_add(&relay->known, key, known_is_over, relay);
    }
    if (known == NULL) {
        free(copy);
        return;
    }
    free(known->reply);
    known->reply = copy;
    known->end_ns = core_now_ns(relay->core) + ms * 1000000;
    if (relay->sweep.previous_next == NULL)
        timer_set(relay->core, &relay->sweep, core_now_ns(relay->core) + SWEEP_NS);
}

static bool known_tell(struct relay *relay, uint64_t key, struct relay_recipient *recipient)
{
    const struct known *known = rows_find(&relay->known, key);
    if (known == NULL || known->end_ns <= core_now_ns(relay->core))
        return false;
    recipient_later(recipient, known->reply != NULL ? known->reply : "250 2.1.5 Known");
    recipient->result = known->reply != NULL ? -EACCES : 0;
    return true;
}

void known_forget(struct relay *relay, const struct relay_recipient *recipient)
{
    struct known *known = rows_find(&relay->known, key_of(relay, recipient));
    if (known != NULL && known->reply == NULL)
        known_remove(relay, known);
}

/* ---------------------------------------------------------------- asking */

/* One connection's answer in `asked`. 0, or another backend may be asked. */
static int ask_there(struct relay *relay, const struct relay_sender *sender, uint64_t deadline_ns,
                     struct backend_place *place, struct relay_recipient *asked)
{
    struct backend_answer answer;
    struct backend_link *link;
    int result = backend_place_connect(relay->core, &place, 1, deadline_ns, sender->gone,
                                       sender->argument, &answer, &link);
    if (result < 0) {
        recipient_failed(asked, result);
        if (result != -ECANCELED)
            relay_failed(relay, sender, asked, answer.path, answer.problem);
        return result;
    }
    struct transfer transfer = {
        .core = relay->core,
        .link = link,
        .offers = slice_cstr(answer.capabilities),
        .deadline_ns = deadline_ns,
        .gone = sender->gone,
        .argument = sender->argument,
    };
    result = transfer_ask(&transfer, asked);
    if (result == 0) {
        transfer_leave(&transfer);
    } else if (!sender_is_gone(sender)) {
        backend_link_lost(link);
        backend_place_fail(place);
        relay_failed(relay, sender, asked, answer.path, transfer.problem);
    }
    backend_link_close(link);
    return result;
}

static void call_out(struct relay *relay, const struct relay_sender *sender, uint64_t deadline_ns,
                     struct relay_recipient *recipient)
{
    struct relay_recipient asked = *recipient;
    struct backend_place *place;
    const char *problem;
    char *named = NULL;
    int result = recipient_place(relay, sender, recipient, deadline_ns, &place, &problem);
    counter_add(core_counters(relay->core), COUNTER_RELAY_CALL_OUTS, 1);
    if (result < 0) {
        recipient_failed(recipient, result);
        relay_failed(relay, sender, recipient, NULL, problem);
        return;
    }
    asked.address = asked.user;
    result = recipient_name(&asked, place, &named);
    if (result < 0)
        recipient_failed(&asked, result);
    while (result == 0) {
        result = ask_there(relay, sender, deadline_ns, place, &asked);
        if (result != -EAGAIN || core_now_ns(relay->core) >= deadline_ns || sender_is_gone(sender))
            break;
        result = backend_place_next(relay->core, place, deadline_ns, &problem);
    }
    backend_place_give(relay->core, place);
    free(named);
    recipient->result = asked.result;
    memcpy(recipient->reply, asked.reply, sizeof recipient->reply);
}

static struct asking **list_of(struct relay *relay, uint64_t key)
{
    return &relay->asking[(key >> 32) % RELAY_ASKING_LISTS];
}

static struct asking *asking_find(struct relay *relay, uint64_t key)
{
    struct asking *asking = *list_of(relay, key);
    while (asking != NULL && asking->key != key)
        asking = asking->next;
    return asking;
}

static struct asking *asking_begin(struct relay *relay, uint64_t key)
{
    struct asking *asking = calloc(1, sizeof *asking), **list = list_of(relay, key);
    if (asking == NULL)
        return NULL;
    asking->key = key;
    asking->users = 1;
    asking->next = *list;
    asking->previous_next = list;
    if (*list != NULL)
        (*list)->previous_next = &asking->next;
    *list = asking;
    relay->asking_count++;
    return asking;
}

static void asking_leave(struct asking *asking)
{
    if (--asking->users == 0)
        free(asking);
}

static void asking_end(struct relay *relay, struct asking *asking)
{
    *asking->previous_next = asking->next;
    if (asking->next != NULL)
        asking->next->previous_next = asking->previous_next;
    asking->previous_next = NULL;
    relay->asking_count--;
    waiters_wake_all(relay->core, &asking->waiters);
    asking_leave(asking);
}

/* False: the one who asked has given up. */
static bool wait_for(struct relay *relay, struct asking *asking, uint64_t deadline_ns,
                     struct relay_recipient *recipient)
{
    asking->users++;
    int result = waiters_wait(relay->core, &asking->waiters, deadline_ns);
    bool is_told = result < 0 || !asking->is_given_up;
    if (result < 0) {
        recipient_failed(recipient, result);
    } else if (is_told) {
        recipient->result = asking->result;
        memcpy(recipient->reply, asking->reply, sizeof recipient->reply);
    }
    asking_leave(asking);
    return is_told;
}

void relay_verify(struct core *core, const struct relay_sender *sender,
                  struct relay_recipient *recipient)
{
    struct relay *relay = relay_of(core);
    uint64_t key = key_of(relay, recipient);
    uint64_t deadline_ns = core_now_ns(core) + relay->options->verify_ms_max * 1000000;
    struct asking *asking;
    for (;;) {
        if (known_tell(relay, key, recipient))
            break;
        if ((asking = asking_find(relay, key)) == NULL) {
            if ((asking = asking_begin(relay, key)) == NULL) {
                recipient_failed(recipient, -ENOMEM);
                return;
            }
            call_out(relay, sender, deadline_ns, recipient);
            asking->is_given_up = recipient->result == -EAGAIN && sender_is_gone(sender);
            asking->result = recipient->result;
            memcpy(asking->reply, recipient->reply, sizeof asking->reply);
            known_keep(relay, key, recipient->result, recipient->reply);
            asking_end(relay, asking);
            return;
        }
        if (wait_for(relay, asking, deadline_ns, recipient))
            break;
    }
    counter_add(core_counters(core), COUNTER_RELAY_KNOWN, 1);
}
