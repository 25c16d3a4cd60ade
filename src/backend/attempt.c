/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One attempt at one backend, and links: what a log-in (login.c) and mail (place.c) have in common.
 *
 *   a turn ─▶ a place among connections_max ─▶ connect ─▶ the dialect ─▶ counted for its health
 *
 * A link owns its stream and, of a log-in, its claim on the user; it is freed when its stream is
 * released.
 */
#include <assert.h>
#include <stdlib.h>

#include "talk.h"

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

int attempt_told(struct attempt *attempt, int result, const char *problem)
{
    attempt->answer->problem = problem;
    return result;
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

void attempt_target(const struct wish *wish, const struct backend_member *member,
                    struct dial_target *ret_target)
{
    const struct backend_options *options = member->options;
    enum backend_protocol protocol = wish->request->protocol;
    bool is_elsewhere = member == wish->request->pool->elsewhere;
    /* A directory's port and its TLS are those of the log-in, of which mail knows nothing. */
    bool is_told = member == wish->fixed && protocol != BACKEND_LMTP;
    *ret_target = (struct dial_target){
        .family = is_elsewhere ? wish->family : options->family,
        .port = is_told && wish->port != 0 ? wish->port : options->ports[protocol],
        .tls = is_told ? wish->tls : wish->pool->tls[protocol],
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

static void path_add(struct attempt *attempt, const struct backend_member *member,
                     const struct dial_target *target)
{
    char *path = attempt->answer->path, text[64];
    size_t size = strlen(path);
    struct slice name = member->options->name;
    if (member == attempt->request->pool->elsewhere) {
        address_text(target->family, target->address, "", text);
        name = slice_cstr(text);
    }
    if (size + name.size + 2 > sizeof attempt->answer->path)
        return;
    if (size > 0)
        path[size++] = ',';
    text_clean(name, path + size, name.size + 1);
}

/* What the attempt was worth for the backend's health. */
static void account(struct attempt *attempt, const struct backend_member *member, int result)
{
    enum backend_protocol protocol = attempt->request->protocol;
    const struct talk *talk = attempt->talk;
    if (result == -ECANCELED)
        return;
    if (result == 0 || result == -EACCES || result == -EXDEV || result == -EUSERS)
        backend_worked(attempt->core, member, protocol);
    else
        backend_failed(attempt->core, member, protocol,
                       talk->problem != NULL ? talk->problem : "failed",
                       !talk->is_greeted && !talk->is_ours);
    if (result == 0) {
        counter_add(core_counters(attempt->core), COUNTER_BACKEND_LOGINS, 1);
        atomic_fetch_add_explicit(&member->backend->logins, 1, memory_order_relaxed);
    }
    if (result == -EACCES) {
        counter_add(core_counters(attempt->core), COUNTER_BACKEND_REFUSED, 1);
        atomic_fetch_add_explicit(&member->backend->refused, 1, memory_order_relaxed);
    }
}

static int converse(struct attempt *attempt, const struct backend_member *member,
                    const struct dial_target *target, struct held **ret_held)
{
    struct talk *talk = attempt->talk;
    struct held *held = calloc(1, sizeof *held);
    bool is_open = false;
    if (held == NULL)
        return talk_fail(talk, "out of memory here");
    text_clean(member->options->host, attempt->host, sizeof attempt->host);
    talk->host = attempt->host[0] != '\0' ? attempt->host : NULL;
    talk->member = member;
    talk->stream = &held->link.stream;
    int result = dial_backend(talk, target, &link_owner, &is_open);
    if (result == 0)
        result = dialects[talk->protocol]->log_in(talk);
    if (result == 0 && talk->may_resume)
        resume_keep(attempt->core, member, talk->protocol, talk->stream);
    if (result < 0 && is_open)
        stream_close(&held->link.stream); /* and is freed */
    else if (result < 0)
        free(held);
    else
        *ret_held = held;
    return result;
}

int attempt_run(struct attempt *attempt, const struct backend_member *member,
                struct held **ret_held)
{
    struct talk *talk = attempt->talk;
    struct dial_target target;
    attempt_target(attempt->wish, member, &target);
    talk->is_final = talk->is_unfit = talk->is_stale = false;
    attempt->answer->code = NULL;
    path_add(attempt, member, &target);
    if (target.port == 0)
        return attempt_told(attempt, -EAGAIN, "the backend does not serve this protocol");
    if (is_ourselves(&target, &attempt->request->client))
        return attempt_told(attempt, -ELOOP, "the backend is this very listener");
    int result =
        connecting_take(attempt->core, member, attempt->request->protocol, talk->deadline_ns);
    if (result < 0) {
        talk->is_final = result == -ETIMEDOUT;
        return attempt_told(attempt, -EAGAIN,
                            result == -ETIMEDOUT ? "waited too long for its turn"
                                                 : "the backend is down");
    }
    result = backend_take(member);
    if (result < 0) {
        connecting_give(attempt->core, member);
        return attempt_told(attempt, -EUSERS, "the backend has too many connections");
    }
    talk->may_resume = target.port == member->options->ports[talk->protocol];
    result = converse(attempt, member, &target, ret_held);
    if (talk->is_stale)
        result = converse(attempt, member, &target, ret_held);
    connecting_give(attempt->core, member);
    account(attempt, member, result);
    if (result < 0)
        backend_give(member->backend);
    return attempt_told(attempt, result, talk->problem);
}

struct backend_link *attempt_link(struct attempt *attempt, const struct backend_member *member,
                                  struct held *held, struct user_claim *claim)
{
    stream_deadline(&held->link.stream, 0);
    stream_line_ready(&held->link.stream); /* gives up the line that was the answer */
    memcpy(attempt->answer->capabilities, attempt->talk->after.text, attempt->talk->after.size + 1);
    attempt->answer->problem = NULL;
    held->link.backend = member->backend;
    held->link.protocol = attempt->request->protocol;
    held->claim = claim;
    held->member = member;
    held->generation = member->pool->table->generation;
    generation_enter(held->generation);
    return &held->link;
}

void attempt_drop(const struct backend_member *member, struct held *held)
{
    stream_close(&held->link.stream);
    backend_give(member->backend);
}

/* ---------------------------------------------------------------- before and after */

int attempt_begin(struct attempt *attempt, bool (*gone)(void *argument), void *argument,
                  uint64_t deadline_ns)
{
    const struct backend_request *request = attempt->request;
    struct talk *talk = malloc(sizeof *talk);
    if (talk == NULL)
        return -ENOMEM;
    memset(talk, 0, offsetof(struct talk, speech));
    talk->speech.size = 0;
    talk->core = attempt->core;
    talk->protocol = request->protocol;
    talk->pool = attempt->wish->pool;
    talk->client = &request->client;
    talk->credentials = request->without_login ? NULL : &attempt->wish->credentials;
    talk->gone = gone;
    talk->argument = argument;
    talk->answer = attempt->answer;
    talk->deadline_ns = deadline_ns;
    attempt->talk = talk;
    return 0;
}

void attempt_end(struct attempt *attempt)
{
    if (attempt->talk != NULL)
        speech_wipe(&attempt->talk->speech);
    free(attempt->talk);
    attempt->talk = NULL;
}
