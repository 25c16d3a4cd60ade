/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A log-in at a backend, from the choice to a link.
 *
 *   user_place ─▶ attempt: a turn, a place, connect, log in ─▶ user_settle ─▶ link
 *        ▲            │ failed: another of the pool │ referral: there, BACKEND_REFERRALS_MAX times
 *        └────────────┘ all failed: once more after a second, while the time allows it, but for
 *                       those with which TLS failed
 *
 * Only what the backend said about the client's own password or token is "wrong" (B2). A refusal of
 * the master's, or of a password that a directory gave, is our mistake: "try later", and the log
 * says so.
 */
#include <assert.h>
#include <stdlib.h>

#include "talk.h"

enum { ROUNDS_MAX = 3 };
static const uint64_t ROUND_NS = UINT64_C(1000000000), ROUND_LEFT_NS = UINT64_C(1100000000);

struct login {
    struct attempt attempt;
    struct wish wish;
    struct choice choice;
    struct user_claim *claim;
    unsigned rounds, referrals;
};

static int told(struct login *login, int result, const char *problem)
{
    return attempt_told(&login->attempt, result, problem);
}

static bool is_gone(const struct login *login)
{
    return login->attempt.talk->gone != NULL &&
           login->attempt.talk->gone(login->attempt.talk->argument);
}

/* ---------------------------------------------------------------- all attempts */

static int settle(struct login *login, const struct backend_member *member, struct held *held,
                  struct backend_link **ret_link)
{
    int result = user_settle(login->attempt.core, login->attempt.request->user, login->claim);
    if (result < 0) {
        attempt_drop(member, held);
        return told(login, -EAGAIN, "the user was given another backend meanwhile");
    }
    *ret_link = attempt_link(&login->attempt, member, held, login->claim);
    login->claim = NULL;
    return 0;
}

static int follow(struct login *login)
{
    const struct referral *referral = &login->attempt.talk->referral;
    struct wish *wish = &login->wish;
    if (++login->referrals > BACKEND_REFERRALS_MAX)
        return told(login, -EAGAIN, "the backends refer to each other");
    wish->port = 0;
    int result = wish_place(wish, referral->host);
    if (result < 0)
        return told(login, result, "refers to a backend that is not known here");
    if (wish->fixed == login->attempt.request->pool->elsewhere)
        wish->port = referral->port;
    login->choice.fixed = wish->fixed;
    login->choice.tried_count = login->choice.unfit_count;
    return 0;
}

/* Everything was tried. 0: once more. */
static int another_round(struct login *login)
{
    const struct backend_answer *answer = login->attempt.answer;
    uint64_t now_ns = core_now_ns(login->attempt.core);
    if (login->choice.tried_count == login->choice.unfit_count || login->rounds >= ROUNDS_MAX ||
        now_ns + ROUND_LEFT_NS > login->attempt.talk->deadline_ns)
        return told(login, -EAGAIN, answer->problem != NULL ? answer->problem : "no backend is up");
    login->rounds++;
    for (unsigned i = 0; i < 4; i++) {
        fiber_sleep(login->attempt.core, ROUND_NS / 4);
        if (is_gone(login))
            return told(login, -ECANCELED, "the client left");
    }
    login->choice.tried_count = login->choice.unfit_count;
    return 0;
}

static int next(struct login *login, struct backend_link **ret_link, bool *ret_is_over)
{
    const struct backend_member *member;
    struct held *held = NULL;
    *ret_is_over = false;
    int result = user_place(login->attempt.core, &login->choice, &login->claim, &member);
    if (result == -EAGAIN)
        return another_round(login);
    if (result < 0)
        return told(login, result == -EPERM ? result : -EAGAIN,
                    result == -EPERM ? "the user is being moved" : "out of memory here");
    result = attempt_run(&login->attempt, member, &held);
    if (result == -EXDEV)
        return follow(login);
    if (result == 0) {
        *ret_is_over = true;
        result = settle(login, member, held, ret_link);
        if (result == 0 || ++login->rounds > ROUNDS_MAX)
            return result;
        *ret_is_over = false;
        return 0;
    }
    if (result != -EAGAIN || login->attempt.talk->is_final ||
        login->choice.tried_count == BACKEND_TRIED_MAX ||
        core_now_ns(login->attempt.core) >= login->attempt.talk->deadline_ns)
        return result;
    choice_tried(&login->choice, member, login->attempt.talk->is_unfit);
    counter_add(core_counters(login->attempt.core), COUNTER_BACKEND_RETRIES, 1);
    return 0;
}

/* Log-ins that wait hold a stack each, and others must get one, or none of them gets on: those by
 * which the user's home core settles what other cores have done, checks, commands. */
static bool is_crowded(struct core *core)
{
    return core_counters(core)->value[COUNTER_FIBERS_ACTIVE] > core_fibers_max(core) / 4 * 3;
}

int backend_log_in(struct core *core, const struct backend_request *request,
                   bool (*gone)(void *argument), void *argument, struct backend_answer *ret_answer,
                   struct backend_link **ret_link)
{
    struct login *login = calloc(1, sizeof *login);
    bool is_over = false;
    int result;
    *ret_answer = (struct backend_answer){0};
    assert((request->protocol == BACKEND_LMTP) == request->without_login);
    if (login == NULL)
        goto no_memory;
    if (is_crowded(core)) {
        free(login);
        ret_answer->problem = "too many log-ins wait here";
        return -EAGAIN;
    }
    login->attempt = (struct attempt){
        .core = core, .request = request, .wish = &login->wish, .answer = ret_answer};
    result = wish_make(request, &login->wish);
    ret_answer->problem = login->wish.problem;
    if (result < 0)
        goto done;
    uint64_t deadline_ns = core_now_ns(core) + login->wish.pool->login_ms_max * 1000000;
    wish_choice(&login->wish, deadline_ns, &login->choice);
    if (attempt_begin(&login->attempt, gone, argument, deadline_ns) < 0)
        goto no_memory;
    do
        result = next(login, ret_link, &is_over);
    while (result == 0 && !is_over);
    user_leave(core, login->claim);
    attempt_end(&login->attempt);
    if (result == -EACCES)
        ret_answer->problem = NULL;
done:
    free(login);
    return result;
no_memory:
    free(login);
    ret_answer->problem = "out of memory here";
    return -EAGAIN;
}
