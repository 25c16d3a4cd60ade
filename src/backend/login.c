/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A log-in at a backend, from the choice to a link; and links.
 *
 *   user_place ─▶ attempt: a turn, a place, connect, log in ─▶ user_settle ─▶ link
 *        ▲            │ failed: another of the pool │ referral: there, BACKEND_REFERRALS_MAX times
 *        └────────────┘ all failed: once more after a second, while the time allows it, but for
 *                       those with which TLS failed
 *
 * Only what the backend said about the client's own password or token is "wrong" (B2). A refusal of
 * the master's, or of a password that a directory gave, is our mistake: "try later", and the log
 * says so.
 *
 * A link owns its stream and its claim on the user; it is freed when its stream is released.
 */
#include <assert.h>
#include <stdlib.h>

#include "talk.h"

enum { ROUNDS_MAX = 3 };
static const uint64_t ROUND_NS = UINT64_C(1000000000), ROUND_LEFT_NS = UINT64_C(1100000000);

struct login {
    struct core *core;
    const struct backend_request *request;
    struct backend_answer *answer;
    struct wish wish;
    struct choice choice;
    struct user_claim *claim;
    struct talk *talk;
    char host[TLS_NAME_BYTES_MAX + 1];
    unsigned rounds, referrals;
};

struct held { /* what a link is */
    struct backend_link link;
    struct user_claim *claim;
    const struct backend_member *member;
    struct generation *generation; /* whose the member is */
    bool is_closed;
};

/* ---------------------------------------------------------------- links */

static void link_input(struct stream *stream)
{
    struct backend_link *link = (struct backend_link *)stream;
    if (link->input != NULL)
        link->input(link);
}

static void link_released(struct stream *stream)
{
    free(stream); /* struct held begins with it */
}

static const struct stream_owner link_owner = {.input = link_input, .released = link_released};

void backend_link_close(struct backend_link *link)
{
    struct held *held = (struct held *)link;
    if (held->is_closed)
        return;
    held->is_closed = true;
    link->input = NULL;
    backend_give(link->backend);
    user_leave(link->stream.core, held->claim);
    generation_leave(held->generation);
    stream_close(&link->stream);
}

void backend_link_lost(struct backend_link *link)
{
    struct held *held = (struct held *)link;
    if (!held->is_closed)
        backend_failed(link->stream.core, held->member, link->protocol, "the connection broke",
                       false);
}

/* ---------------------------------------------------------------- one attempt */

static int told(struct login *login, int result, const char *problem)
{
    login->answer->problem = problem;
    return result;
}

static bool is_gone(const struct login *login)
{
    return login->talk->gone != NULL && login->talk->gone(login->talk->argument);
}

static uint16_t usual_port(enum backend_protocol protocol, bool is_tls)
{
    static const uint16_t ports[BACKEND_PROTOCOL_COUNT][2] = {
        [BACKEND_IMAP] = {143, 993},       [BACKEND_POP3] = {110, 995},
        [BACKEND_SUBMISSION] = {587, 465}, [BACKEND_SIEVE] = {4190, 4190},
        [BACKEND_LMTP] = {24, 24},
    };
    return ports[protocol][is_tls];
}

static void target_of(const struct login *login, const struct backend_member *member,
                      struct dial_target *ret_target)
{
    const struct wish *wish = &login->wish;
    const struct backend_options *options = member->options;
    enum backend_protocol protocol = login->request->protocol;
    bool is_elsewhere = member == login->request->pool->elsewhere;
    bool is_fixed = member == wish->fixed;
    *ret_target = (struct dial_target){
        .family = is_elsewhere ? wish->family : options->family,
        .port = is_fixed && wish->port != 0 ? wish->port : options->ports[protocol],
        .tls = is_fixed ? wish->tls : wish->pool->tls[protocol],
    };
    memcpy(ret_target->address, is_elsewhere ? wish->address : options->address,
           sizeof ret_target->address);
    if (ret_target->port == 0 && is_elsewhere)
        ret_target->port = usual_port(protocol, ret_target->tls == BACKEND_TLS);
}

/* Where the log-in came in is not where it goes out to. */
static bool is_ourselves(const struct dial_target *target, const struct backend_client *client)
{
    return target->family == client->our_family && target->port == client->our_port &&
           memcmp(target->address, client->our_address, target->family == 4 ? 4 : 16) == 0;
}

static void path_add(struct login *login, const struct backend_member *member,
                     const struct dial_target *target)
{
    char *path = login->answer->path, text[64];
    size_t size = strlen(path);
    struct slice name = member->options->name;
    if (member == login->request->pool->elsewhere) {
        address_text(target->family, target->address, "", text);
        name = slice_cstr(text);
    }
    if (size + name.size + 2 > sizeof login->answer->path)
        return;
    if (size > 0)
        path[size++] = ',';
    text_clean(name, path + size, name.size + 1);
}

/* What the attempt was worth for the backend's health. */
static void account(struct login *login, const struct backend_member *member, int result)
{
    enum backend_protocol protocol = login->request->protocol;
    const struct talk *talk = login->talk;
    if (result == -ECANCELED)
        return;
    if (result == 0 || result == -EACCES || result == -EXDEV || result == -EUSERS)
        backend_worked(login->core, member, protocol);
    else
        backend_failed(login->core, member, protocol,
                       talk->problem != NULL ? talk->problem : "failed",
                       !talk->is_greeted && !talk->is_ours);
    if (result == 0) {
        counter_add(core_counters(login->core), COUNTER_BACKEND_LOGINS, 1);
        atomic_fetch_add_explicit(&member->backend->logins, 1, memory_order_relaxed);
    }
    if (result == -EACCES) {
        counter_add(core_counters(login->core), COUNTER_BACKEND_REFUSED, 1);
        atomic_fetch_add_explicit(&member->backend->refused, 1, memory_order_relaxed);
    }
}

static int converse(struct login *login, const struct backend_member *member,
                    const struct dial_target *target, struct held **ret_held)
{
    struct talk *talk = login->talk;
    struct held *held = calloc(1, sizeof *held);
    bool is_open = false;
    if (held == NULL)
        return talk_fail(talk, "out of memory here");
    text_clean(member->options->host, login->host, sizeof login->host);
    talk->host = login->host[0] != '\0' ? login->host : NULL;
    talk->member = member;
    talk->stream = &held->link.stream;
    int result = dial_backend(talk, target, &link_owner, &is_open);
    if (result == 0)
        result = dialects[talk->protocol]->log_in(talk);
    if (result < 0 && is_open)
        stream_close(&held->link.stream); /* and is freed */
    else if (result < 0)
        free(held);
    else
        *ret_held = held;
    return result;
}

/* 0, -EACCES, -EUSERS, -EAGAIN, -EXDEV, -ELOOP, -ECANCELED. */
static int attempt(struct login *login, const struct backend_member *member, struct held **ret_held)
{
    struct talk *talk = login->talk;
    struct dial_target target;
    target_of(login, member, &target);
    talk->is_final = talk->is_unfit = false;
    login->answer->code = NULL;
    path_add(login, member, &target);
    if (target.port == 0)
        return told(login, -EAGAIN, "the backend does not serve this protocol");
    if (is_ourselves(&target, &login->request->client))
        return told(login, -ELOOP, "the backend is this very listener");
    int result = connecting_take(login->core, member, login->request->protocol, talk->deadline_ns);
    if (result < 0) {
        talk->is_final = result == -ETIMEDOUT;
        return told(login, -EAGAIN,
                    result == -ETIMEDOUT ? "waited too long for its turn" : "the backend is down");
    }
    result = backend_take(member);
    if (result < 0) {
        connecting_give(login->core, member);
        return told(login, -EUSERS, "the backend has too many connections");
    }
    result = converse(login, member, &target, ret_held);
    connecting_give(login->core, member);
    account(login, member, result);
    if (result < 0)
        backend_give(member->backend);
    return told(login, result, talk->problem);
}

/* ---------------------------------------------------------------- all attempts */

static int settle(struct login *login, const struct backend_member *member, struct held *held,
                  struct backend_link **ret_link)
{
    int result = user_settle(login->core, login->request->user, login->claim);
    if (result < 0) {
        stream_close(&held->link.stream);
        backend_give(member->backend);
        return told(login, -EAGAIN, "the user was given another backend meanwhile");
    }
    stream_deadline(&held->link.stream, 0);
    stream_line_ready(&held->link.stream); /* gives up the line that was the answer */
    memcpy(login->answer->capabilities, login->talk->after.text, login->talk->after.size + 1);
    login->answer->problem = NULL;
    held->link.backend = member->backend;
    held->link.protocol = login->request->protocol;
    held->claim = login->claim;
    held->member = member;
    held->generation = member->pool->table->generation;
    generation_enter(held->generation);
    login->claim = NULL;
    *ret_link = &held->link;
    return 0;
}

static int follow(struct login *login)
{
    const struct referral *referral = &login->talk->referral;
    struct wish *wish = &login->wish;
    if (++login->referrals > BACKEND_REFERRALS_MAX)
        return told(login, -EAGAIN, "the backends refer to each other");
    wish->port = 0;
    int result = wish_place(wish, referral->host);
    if (result < 0)
        return told(login, result, "refers to a backend that is not known here");
    if (wish->fixed == login->request->pool->elsewhere)
        wish->port = referral->port;
    login->choice.fixed = wish->fixed;
    login->choice.tried_count = login->choice.unfit_count;
    return 0;
}

/* Everything was tried. 0: once more. */
static int another_round(struct login *login)
{
    const struct backend_answer *answer = login->answer;
    uint64_t now_ns = core_now_ns(login->core);
    if (login->choice.tried_count == login->choice.unfit_count || login->rounds >= ROUNDS_MAX ||
        now_ns + ROUND_LEFT_NS > login->talk->deadline_ns)
        return told(login, -EAGAIN, answer->problem != NULL ? answer->problem : "no backend is up");
    login->rounds++;
    for (unsigned i = 0; i < 4; i++) {
        fiber_sleep(login->core, ROUND_NS / 4);
        if (is_gone(login))
            return told(login, -ECANCELED, "the client left");
    }
    login->choice.tried_count = login->choice.unfit_count;
    return 0;
}

static void tried_add(struct choice *choice, const struct backend_member *member, bool is_unfit)
{
    const struct backend_member **tried = choice->tried;
    tried[choice->tried_count++] = member;
    if (!is_unfit)
        return;
    tried[choice->tried_count - 1] = tried[choice->unfit_count];
    tried[choice->unfit_count++] = member;
}

static int next(struct login *login, struct backend_link **ret_link, bool *ret_is_over)
{
    const struct backend_member *member;
    struct held *held = NULL;
    *ret_is_over = false;
    int result = user_place(login->core, &login->choice, &login->claim, &member);
    if (result == -EAGAIN)
        return another_round(login);
    if (result < 0)
        return told(login, result == -EPERM ? result : -EAGAIN,
                    result == -EPERM ? "the user is being moved" : "out of memory here");
    result = attempt(login, member, &held);
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
    if (result != -EAGAIN || login->talk->is_final ||
        login->choice.tried_count == BACKEND_TRIED_MAX ||
        core_now_ns(login->core) >= login->talk->deadline_ns)
        return result;
    tried_add(&login->choice, member, login->talk->is_unfit);
    counter_add(core_counters(login->core), COUNTER_BACKEND_RETRIES, 1);
    return 0;
}

static void login_prepare(struct login *login, bool (*gone)(void *argument), void *argument)
{
    const struct backend_request *request = login->request;
    struct talk *talk = login->talk;
    memset(talk, 0, offsetof(struct talk, speech));
    talk->speech.size = 0;
    talk->core = login->core;
    talk->protocol = request->protocol;
    talk->pool = login->wish.pool;
    talk->client = &request->client;
    talk->credentials = request->without_login ? NULL : &login->wish.credentials;
    talk->gone = gone;
    talk->argument = argument;
    talk->answer = login->answer;
    talk->deadline_ns = core_now_ns(login->core) + login->wish.pool->login_ms_max * 1000000;
    login->choice = (struct choice){
        .pool = request->pool,
        .protocol = request->protocol,
        .user = request->user,
        .tag = login->wish.tag,
        .fixed = login->wish.fixed,
        .deadline_ns = talk->deadline_ns,
    };
}

int backend_log_in(struct core *core, const struct backend_request *request,
                   bool (*gone)(void *argument), void *argument, struct backend_answer *ret_answer,
                   struct backend_link **ret_link)
{
    struct login *login = malloc(sizeof *login);
    struct talk *talk = malloc(sizeof *talk);
    bool is_over = false;
    int result;
    *ret_answer = (struct backend_answer){0};
    if (login == NULL || talk == NULL) {
        ret_answer->problem = "out of memory here";
        result = -EAGAIN;
        goto done;
    }
    assert((request->protocol == BACKEND_LMTP) == request->without_login);
    *login = (struct login){.core = core, .request = request, .answer = ret_answer, .talk = talk};
    result = wish_make(request, &login->wish);
    ret_answer->problem = login->wish.problem;
    if (result < 0)
        goto done;
    login_prepare(login, gone, argument);
    do
        result = next(login, ret_link, &is_over);
    while (result == 0 && !is_over);
    user_leave(core, login->claim);
    speech_wipe(&talk->speech);
    if (result == -EACCES)
        ret_answer->problem = NULL;
done:
    free(talk);
    free(login);
    return result;
}
