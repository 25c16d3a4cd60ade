/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A user's place at a backend while mail is handed to it: what login.c does for a session, taken
 * apart, because the recipients of one message that are at the same backend share a connection.
 *
 *   backend_place_take ─▶ [connect ─▶ user_settle of each ─▶ a transaction] ─▶ backend_place_give
 *            ▲                 │ failed, or the transaction came to nothing
 *            └── place_next ───┘
 *
 * A place is a claim (K3): pending when taken, a session when a connection was made for it. Only
 * one that was of use begins the user's affinity, so that neither strangers' guesses at names nor
 * a backend that takes no mail bind anybody.
 */
#include <assert.h>
#include <stdlib.h>

#include "talk.h"

struct backend_place {
    struct backend_request request;
    struct wish wish;
    struct choice choice;
    struct user_claim *claim; /* NULL: between two backends */
    const struct backend_member *member;
    uint64_t affinity_ns; /* its user's when it was of use */
    bool has_failed;      /* the last connect: another backend is to be tried */
    bool is_unfit;
};

static int find(struct core *core, struct backend_place *place, const char **ret_problem)
{
    int result = user_place(core, &place->choice, &place->claim, &place->member);
    if (result == -EAGAIN)
        *ret_problem = "no backend is up";
    if (result == -EPERM)
        *ret_problem = "the user is being moved";
    if (result == -ENOMEM)
        *ret_problem = "out of memory here";
    if (result == 0) {
        place->affinity_ns = place->claim->affinity_ns;
        place->has_failed = place->is_unfit = false;
    }
    return result;
}

int backend_place_take(struct core *core, const struct backend_request *request,
                       uint64_t deadline_ns, struct backend_place **ret_place,
                       const char **ret_problem)
{
    assert(request->protocol == BACKEND_LMTP && request->without_login);
    struct backend_place *place = calloc(1, sizeof *place);
    *ret_problem = "out of memory here";
    if (place == NULL)
        return -ENOMEM;
    place->request = *request;
    int result = wish_make(&place->request, &place->wish);
    if (result < 0)
        *ret_problem = result == -ELOOP ? "too many hops" : place->wish.problem;
    if (result == 0) {
        wish_choice(&place->wish, deadline_ns, &place->choice);
        result = find(core, place, ret_problem);
    }
    if (result < 0)
        free(place);
    else
        *ret_place = place;
    return result;
}

int backend_place_next(struct core *core, struct backend_place *place, uint64_t deadline_ns,
                       const char **ret_problem)
{
    place->choice.deadline_ns = deadline_ns;
    if (place->has_failed) {
        if (place->choice.tried_count == BACKEND_TRIED_MAX) {
            *ret_problem = "too many backends have failed";
            return -EAGAIN;
        }
        choice_tried(&place->choice, place->member, place->is_unfit);
        counter_add(core_counters(core), COUNTER_BACKEND_RETRIES, 1);
        place->has_failed = false;
    }
    if (backend_place_is_settled(place)) { /* of no use: it binds nobody */
        place->claim->affinity_ns = 0;
        user_leave(core, place->claim);
        place->claim = NULL;
    }
    return find(core, place, ret_problem);
}

bool backend_place_is_same(const struct backend_place *one, const struct backend_place *other)
{
    struct dial_target a, b;
    if (one->member != other->member)
        return false;
    attempt_target(&one->wish, one->member, &a);
    attempt_target(&other->wish, other->member, &b);
    return a.family == b.family && a.port == b.port && a.tls == b.tls &&
           memcmp(a.address, b.address, a.family == 4 ? 4 : 16) == 0;
}

void backend_place_fail(struct backend_place *place)
{
    place->has_failed = true;
}

struct slice backend_place_name(const struct backend_place *place)
{
    return backend_name(place->member->backend);
}

struct slice backend_place_user(const struct backend_place *place)
{
    return place->wish.user;
}

bool backend_place_is_settled(const struct backend_place *place)
{
    return place->claim != NULL && place->claim->is_settled;
}

void backend_place_used(struct backend_place *place)
{
    if (place->claim != NULL)
        place->claim->affinity_ns = place->affinity_ns;
}

void backend_place_give(struct core *core, struct backend_place *place)
{
    if (place == NULL)
        return;
    user_leave(core, place->claim);
    free(place);
}

/* ---------------------------------------------------------------- a connection for several */

/* How many may use it. */
static unsigned settle(struct core *core, struct backend_place *const *places, unsigned count)
{
    unsigned settled = 0;
    for (unsigned i = 0; i < count; i++) {
        struct backend_place *place = places[i];
        place->claim->affinity_ns = 0;
        settled += user_settle(core, place->request.user, place->claim) == 0;
    }
    return settled;
}

static void failed(struct backend_place *const *places, unsigned count, bool is_unfit)
{
    for (unsigned i = 0; i < count; i++) {
        places[i]->has_failed = true;
        places[i]->is_unfit = is_unfit;
    }
}

int backend_place_connect(struct core *core, struct backend_place *const *places, unsigned count,
                          uint64_t deadline_ns, bool (*gone)(void *argument), void *argument,
                          struct backend_answer *ret_answer, struct backend_link **ret_link)
{
    struct backend_place *first = places[0];
    struct attempt attempt = {
        .core = core, .request = &first->request, .wish = &first->wish, .answer = ret_answer};
    struct held *held = NULL;
    *ret_answer = (struct backend_answer){0};
    for (unsigned i = 0; i < count; i++)
        assert(places[i]->claim != NULL && !places[i]->claim->is_settled && "taken, or next");
    if (attempt_begin(&attempt, gone, argument, deadline_ns) < 0)
        return attempt_told(&attempt, -EAGAIN, "out of memory here");
    int result = attempt_run(&attempt, first->member, &held);
    assert(result != -EXDEV && result != -EACCES && "nobody is logged in");
    if (result < 0) {
        failed(places, count, attempt.talk->is_unfit);
    } else if (settle(core, places, count) == 0) {
        attempt_drop(first->member, held);
        result = attempt_told(&attempt, -EAGAIN, "the users were given other backends meanwhile");
    } else {
        *ret_link = attempt_link(&attempt, first->member, held, NULL);
    }
    attempt_end(&attempt);
    return result;
}
