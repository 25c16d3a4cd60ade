/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a user is. His home core, by a hash of the name, keeps a row for each pool in which he has
 * sessions, log-ins under way, or affinity; and it alone decides where a log-in of his goes, so
 * that two that come at once on two cores are given the same backend. That costs a message there
 * and back for the choice and one more when the log-in is done, nothing when the session is at
 * home.
 *
 *   place    exception ─▶ directory ─▶ row (B1) ─▶ hash        pending + 1
 *   settle   still so?                                         pending - 1, sessions + 1
 *   leave                                                      affinity begins, or is longer
 *
 * Settling asks again because log-ins of one user may fail over while others are under way: the
 * first to get through decides, and one that got through elsewhere is refused ("try later"), as is
 * one that overlapped a move, or the operator's DOWN. So no user has sessions at two backends,
 * except where the operator or the directory moved him and left the old ones.
 *
 * A row is found by a keyed hash (two users who share one, 2^-64, share a place). Rows that are
 * over are swept a little each second; the table is bounded by USER_SLOTS_MAX.
 *
 * Invariants: K2, K3 (backend_private.h). A row with sessions or pending log-ins is never removed.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_state.h"

enum { USER_SLOTS_MAX = 1 << 23, SWEEP_PARTS = 32, SWEEP_SLOTS_MIN = 256 };

static const uint64_t SWEEP_NS = 1000000000;

struct user_row {
    uint64_t key;
    struct backend *backend;
    uint64_t affinity_end_ns;
    uint32_t sessions;  /* at `backend` */
    uint32_t elsewhere; /* left behind by a move, or by a backend that went down */
    uint32_t pending;   /* log-ins, wherever */
};

unsigned user_home(const struct core *core, struct slice user)
{
    return (unsigned)((hash_stable(user.data, user.size) >> 32) % core_count(core));
}

static uint64_t key_of(const struct backends *backends, const struct backend_pool *pool,
                       struct slice user)
{
    return hash_u64(hash_keyed(&backends->key, user.data, user.size) ^ pool->hash) | 1;
}

/* ---------------------------------------------------------------- rows */

static bool row_is_over(void *argument, void *backends)
{
    struct user_row *row = argument;
    if (row->sessions + row->elsewhere + row->pending > 0 ||
        row->affinity_end_ns > core_now_ns(((struct backends *)backends)->core))
        return false;
    if (row->backend != NULL)
        atomic_fetch_sub_explicit(&row->backend->users, 1, memory_order_relaxed);
    return true;
}

static void row_turn_to(struct user_row *row, struct backend *backend)
{
    if (row->backend == backend)
        return;
    if (row->backend != NULL)
        atomic_fetch_sub_explicit(&row->backend->users, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&backend->users, 1, memory_order_relaxed);
    row->backend = backend;
    row->elsewhere += row->sessions;
    row->sessions = 0;
    row->affinity_end_ns = 0;
}

/* B1: he is given no other backend. */
static bool is_bound(const struct user_row *row, uint64_t now_ns)
{
    return row->sessions > 0 || row->affinity_end_ns > now_ns;
}

static void sweep(struct timer *timer)
{
    struct backends *backends =
        (struct backends *)((char *)timer - offsetof(struct backends, sweep));
    struct rows *tables[] = {&backends->users, &backends->exceptions};
    rows_over_fn over[] = {row_is_over, exception_is_over};
    for (unsigned i = 0; i < 2; i++) {
        uint32_t part = tables[i]->slot_count / SWEEP_PARTS;
        rows_sweep(tables[i], part > SWEEP_SLOTS_MIN ? part : SWEEP_SLOTS_MIN, over[i], backends);
    }
    timer_set(backends->core, timer, core_now_ns(backends->core) + SWEEP_NS);
}

void users_open(struct backends *backends)
{
    backends->users =
        (struct rows){.row_bytes = sizeof(struct user_row), .slots_max = USER_SLOTS_MAX};
    core_random(backends->core, &backends->key, sizeof backends->key);
    backends->sweep.fire = sweep;
    timer_set(backends->core, &backends->sweep, core_now_ns(backends->core) + SWEEP_NS);
}

void users_close(struct backends *backends)
{
    timer_clear(backends->core, &backends->sweep);
    for (uint32_t i = 0; i < backends->users.slot_count; i++) {
        struct user_row *row =
            (struct user_row *)(backends->users.slots + (size_t)i * backends->users.row_bytes);
        if (row->key != 0 && row->backend != NULL)
            atomic_fetch_sub_explicit(&row->backend->users, 1, memory_order_relaxed);
    }
    rows_free(&backends->users);
}

/* ---------------------------------------------------------------- where to */

static const struct backend_member *if_usable(const struct choice *choice,
                                              const struct backend_member *member, uint64_t now_ns)
{
    bool is_usable = backend_is_usable(member, choice->protocol, now_ns);
    return is_usable && !choice_has_tried(choice, member) ? member : NULL;
}

static bool is_down(const struct backend_member *member)
{
    return !backend_is_up(member) || backend_will_of(member->backend) == BACKEND_DOWN;
}

/* `wanted`: the operator's exception, or NULL; one that names a backend that the pool has no more
 * is passed over. What is said by operator or directory is where his
 * mail is: another place would show him an empty mailbox, so there is no fail-over from it. */
static const struct backend_member *decide(const struct choice *choice,
                                           const struct backend *wanted, const struct user_row *row,
                                           uint64_t now_ns)
{
    const struct backend_member *member =
        wanted != NULL ? pool_member_of(choice->pool, wanted) : NULL;
    if (member == NULL)
        member = choice->fixed;
    if (member != NULL)
        return if_usable(choice, member, now_ns);
    if (row != NULL && row->backend != NULL && !row->backend->is_elsewhere)
        member = pool_member_of(choice->pool, row->backend);
    if (member != NULL && is_bound(row, now_ns) && !is_down(member))
        return if_usable(choice, member, now_ns);
    if (member != NULL && row->pending > 0 && if_usable(choice, member, now_ns) != NULL)
        return member;
    return choose(choice, now_ns);
}

struct placing {
    const struct choice *choice;
    struct user_claim *claim;
    bool is_new;
    const struct backend_member *member; /* out */
};

static int place_at_home(struct core *core, void *argument)
{
    struct placing *placing = argument;
    const struct choice *choice = placing->choice;
    struct user_claim *claim = placing->claim;
    struct backends *backends = backends_of(core);
    struct backend *wanted;
    if (backends == NULL)
        return -EAGAIN;
    int result = exception_wait(backends, choice->user, choice->deadline_ns, &wanted);
    if (result < 0)
        return result;
    uint64_t now_ns = core_now_ns(core), key = key_of(backends, choice->pool, choice->user);
    struct user_row *row = rows_find(&backends->users, key);
    placing->member = decide(choice, wanted, row, now_ns);
    if (placing->member == NULL)
        return -EAGAIN;
    row = rows_add(&backends->users, key, row_is_over, backends);
    if (row == NULL)
        return -ENOMEM;
    row_turn_to(row, placing->member->backend);
    row->pending += placing->is_new;
    claim->home = core;
    claim->key = key;
    claim->backend = row->backend;
    claim->wanted = wanted;
    return 0;
}

int user_place(struct core *core, const struct choice *choice, struct user_claim **claim,
               const struct backend_member **ret_member)
{
    struct placing placing = {.choice = choice, .claim = *claim, .is_new = *claim == NULL};
    if (placing.is_new)
        placing.claim = calloc(1, sizeof *placing.claim);
    if (placing.claim == NULL)
        return -ENOMEM;
    placing.claim->affinity_ns = choice->pool->options->affinity_ms * 1000000;
    int result = core_call(core, user_home(core, choice->user), place_at_home, &placing);
    if (result < 0) {
        if (placing.is_new)
            free(placing.claim);
        return result;
    }
    *claim = placing.claim;
    *ret_member = placing.member;
    return 0;
}

/* ---------------------------------------------------------------- sessions */

struct settling {
    struct user_claim *claim;
    struct slice user;
};

static int settle_at_home(struct core *core, void *argument)
{
    struct settling *settling = argument;
    struct user_claim *claim = settling->claim;
    struct backends *backends = backends_of(core);
    struct user_row *row = backends != NULL ? rows_find(&backends->users, claim->key) : NULL;
    uint64_t hold_ns;
    if (row == NULL)
        return -EAGAIN;                             /* the end of the process */
    assert(row->pending > 0 && !claim->is_settled); /* K3 */
    struct backend *wanted = exception_look(backends, settling->user, &hold_ns);
    bool is_moved = wanted != NULL && wanted != claim->wanted && wanted != claim->backend &&
                    strcmp(wanted->pool, claim->backend->pool) == 0;
    bool is_cut = backend_will_of(claim->backend) == BACKEND_DOWN;
    if (hold_ns > core_now_ns(core) || is_moved || is_cut)
        return -EAGAIN;
    if (row->backend != claim->backend && is_bound(row, core_now_ns(core)))
        return -EAGAIN;
    row_turn_to(row, claim->backend);
    row->pending--;
    row->sessions++;
    claim->is_settled = true;
    return 0;
}

int user_settle(struct core *core, struct slice user, struct user_claim *claim)
{
    struct settling settling = {.claim = claim, .user = user};
    return core_call(core, core_index(claim->home), settle_at_home, &settling);
}

static void leave_at_home(struct core *core, struct message *message)
{
    struct user_claim *claim = (struct user_claim *)message;
    struct backends *backends = backends_of(core);
    struct user_row *row = backends != NULL ? rows_find(&backends->users, claim->key) : NULL;
    if (row != NULL && !claim->is_settled) {
        assert(row->pending > 0); /* K3 */
        row->pending--;
    } else if (row != NULL) {
        bool is_here = row->backend == claim->backend && row->sessions > 0;
        assert(is_here || row->elsewhere > 0); /* K3 */
        uint64_t end_ns = core_now_ns(core) + claim->affinity_ns;
        row->sessions -= is_here;
        row->elsewhere -= !is_here;
        if (is_here && end_ns > row->affinity_end_ns)
            row->affinity_end_ns = end_ns;
    }
    if (row != NULL && row_is_over(row, backends))
        rows_remove(&backends->users, row);
    free(claim);
}

void user_leave(struct core *core, struct user_claim *claim)
{
    if (claim == NULL)
        return;
    claim->message.handle = leave_at_home;
    if (claim->home == core)
        leave_at_home(core, &claim->message);
    else
        core_post(core, core_index(claim->home), &claim->message);
}

/* ---------------------------------------------------------------- for the operator */

static void put_name(char *to, size_t size, const struct backend *backend)
{
    if (backend != NULL)
        snprintf(to, size, "%s/%s", backend->pool, backend->name);
    else
        to[0] = '\0';
}

struct asking {
    const struct backend_pool *pool;
    struct slice user;
    struct backend_whereabouts *whereabouts;
};

/* Where he would go without row and exception, by the first protocol for which there is a place. */
static struct backend *hashed(const struct asking *asking, uint64_t now_ns)
{
    const struct backend_member *member = NULL;
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT && member == NULL; i++) {
        struct choice choice = {.pool = asking->pool, .protocol = i, .user = asking->user};
        member = choose(&choice, now_ns);
    }
    return member != NULL ? member->backend : NULL;
}

static int ask_at_home(struct core *core, void *argument)
{
    struct asking *asking = argument;
    struct backend_whereabouts *answer = asking->whereabouts;
    struct backends *backends = backends_of(core);
    uint64_t now_ns = core_now_ns(core), hold_ns;
    if (backends == NULL)
        return -EAGAIN;
    struct user_row *row =
        rows_find(&backends->users, key_of(backends, asking->pool, asking->user));
    struct backend *wanted = exception_look(backends, asking->user, &hold_ns);
    bool is_there = row != NULL && (is_bound(row, now_ns) || row->pending > 0);
    put_name(answer->current, sizeof answer->current, is_there ? row->backend : NULL);
    put_name(answer->hashed, sizeof answer->hashed, hashed(asking, now_ns));
    put_name(answer->exception, sizeof answer->exception, wanted);
    answer->sessions = row != NULL ? row->sessions + row->elsewhere : 0;
    answer->hold_ms = hold_ns > now_ns ? (hold_ns - now_ns + 999999) / 1000000 : 0;
    return 0;
}

int backend_whereabouts(struct core *core, const struct backend_pool *pool, struct slice user,
                        struct backend_whereabouts *ret_whereabouts)
{
    struct asking asking = {.pool = pool, .user = user, .whereabouts = ret_whereabouts};
    return core_call(core, user_home(core, user), ask_at_home, &asking);
}
