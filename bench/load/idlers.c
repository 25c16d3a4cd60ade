/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections in IDLE (idlers.h).
 */
#include "idlers.h"

#include <stdlib.h>

enum {
    FAILURES_MAX = 5,         /* in a row; then one that was never up is given up */
    UNREAD_BYTES_MAX = 32768, /* that an idler is sent without a line */
    RETRY_MS = 20,
    SCAN_SECONDS = 30
};
static const uint64_t MS = UINT64_C(1000000);
static const uint64_t RENEW_NS = UINT64_C(27) * 60 * 1000000000; /* RFC 2177: before 29 minutes */

enum care { CARE_NONE, CARE_OPEN, CARE_ENDED, CARE_BROKEN, CARE_RENEW };

static bool is_stopped(const struct idlers *idlers)
{
    return load_why(load_of(idlers->at)) != NULL;
}

/* ---------------------------------------------------------------- the queue */

static void queue(struct idlers *idlers, struct idler *idler, enum care care)
{
    bool is_queued = idler->care != CARE_NONE;
    idler->care = (uint8_t)care;
    idler->imap.peer.idle_input = NULL;
    if (is_queued)
        return;
    idler->next = NULL;
    if (idlers->last != NULL)
        idlers->last->next = idler;
    else
        idlers->first = idler;
    idlers->last = idler;
    waiters_wake_one(load_engine(idlers->at), &idlers->workers);
}

static struct idler *take(struct idlers *idlers)
{
    struct idler *idler = idlers->first;
    if (idler == NULL)
        return NULL;
    idlers->first = idler->next;
    if (idlers->first == NULL)
        idlers->last = NULL;
    return idler;
}

/* ---------------------------------------------------------------- being told */

static struct idle_user *user_of(const struct idlers *idlers, const struct idler *idler)
{
    unsigned number = (unsigned)(idler - idlers->all), low = 0, high = idlers->user_count;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (idlers->user[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    return &idlers->user[low];
}

static void leave_round(struct idlers *idlers, struct idle_user *user, struct idler *idler)
{
    idler->round = user->round;
    if (--user->waiting == 0)
        waiters_wake_all(load_engine(idlers->at), &user->told);
}

/* Perhaps it has been told of the message of the round. */
static void look(struct idlers *idlers, struct idler *idler)
{
    struct idle_user *user = user_of(idlers, idler);
    if (user->waiting == 0 || idler->round == user->round || idler->imap.exists <= idler->base)
        return;
    uint64_t now = load_now(idlers->at);
    measure_span(idlers->at, PHASE_WAKE, user->began_ns != 0 ? user->began_ns : now, now);
    idlers->last_told_ns = now;
    leave_round(idlers, user, idler);
}

/* It is no more in IDLE: nobody waits for it, and a worker opens it anew. */
static void lose(struct idlers *idlers, struct idler *idler, enum care care)
{
    struct idle_user *user = user_of(idlers, idler);
    idler->is_down = true;
    if (user->waiting > 0 && idler->round != user->round)
        leave_round(idlers, user, idler);
    queue(idlers, idler, care);
}

/* In the core's turn. */
static void on_idle_input(struct peer *peer)
{
    struct idler *idler = (struct idler *)((char *)peer - offsetof(struct idler, imap.peer));
    struct idlers *idlers = idler->home;
    struct slice line;
    if (stream_unread(&peer->stream) > UNREAD_BYTES_MAX) {
        measure_error(peer->at, LOAD_TOO_LONG, SLICE("a line without end during IDLE"));
        lose(idlers, idler, CARE_BROKEN);
        return;
    }
    while (peer_line_ready(peer)) {
        int error = peer_line(peer, &line);
        if (error == 0) {
            error = imap_idle_line(&idler->imap, line);
            if (error != 0)
                measure_error(peer->at, (enum load_error)error, line);
        }
        if (error != 0) {
            lose(idlers, idler, CARE_BROKEN);
            return;
        }
        look(idlers, idler);
    }
    if (peer_has_ended(peer))
        lose(idlers, idler, CARE_ENDED);
}

/* ---------------------------------------------------------------- an idler and its worker */

/* In IDLE now: the fiber leaves it. */
static void rest(struct idlers *idlers, struct idler *idler)
{
    struct peer *peer = &idler->imap.peer;
    idler->care = CARE_NONE;
    idler->failures = 0;
    idler->is_down = false;
    idler->since_ns = load_now(idlers->at);
    look(idlers, idler);
    peer->idle_input = on_idle_input;
    on_idle_input(peer); /* what came with the continuation */
    if (idler->care == CARE_NONE)
        peer_rest(peer);
}

static int open_idler(struct load_worker *worker, struct idlers *idlers, struct idler *idler)
{
    const struct idle_user *user = user_of(idlers, idler);
    unsigned number = idlers_user_number(idlers, user);
    unsigned nth = (unsigned)(idler - idlers->all) - user->first;
    struct imap *imap = &idler->imap;
    int error = imap_connect(imap, worker, number + nth * idlers->users);
    if (error == 0)
        error = imap_login(imap, number);
    if (error == 0)
        error = imap_select(imap);
    if (error == 0)
        error = imap_idle(imap);
    return error;
}

static void came_up(struct idlers *idlers, struct idler *idler)
{
    if (!idler->was_up)
        idlers->pending--;
    idler->was_up = true;
}

/* Opens it, anew when it has gone. When that fails once more later: for ever if it was up once (the
 * server may come back), else a few times. */
static void bring_up(struct load_worker *worker, struct idlers *idlers, struct idler *idler)
{
    peer_close(&idler->imap.peer);
    if (open_idler(worker, idlers, idler) == 0) {
        came_up(idlers, idler);
        rest(idlers, idler);
        return;
    }
    peer_close(&idler->imap.peer);
    if (idler->failures < FAILURES_MAX)
        idler->failures++;
    if (idler->failures == FAILURES_MAX && !idler->was_up) {
        idler->care = CARE_NONE;
        came_up(idlers, idler);
        return;
    }
    fiber_sleep(load_engine(idlers->at), (RETRY_MS * MS) << idler->failures);
    idler->care = CARE_NONE;
    queue(idlers, idler, CARE_OPEN);
}

static void serve(struct load_worker *worker, struct idlers *idlers, struct idler *idler)
{
    struct peer *peer = &idler->imap.peer;
    switch ((enum care)idler->care) {
    case CARE_RENEW:
        if (imap_idle_done(&idler->imap) == 0 && imap_idle(&idler->imap) == 0) {
            rest(idlers, idler);
            return;
        }
        break;
    case CARE_ENDED:
        peer_fail(peer, peer_error(peer->stream.end), SLICE("during IDLE"));
        break;
    default:
        break;
    }
    lose(idlers, idler, CARE_OPEN);
    bring_up(worker, idlers, idler);
}

bool idlers_serve(struct idlers *idlers, struct load_worker *worker)
{
    struct idler *idler = idlers->is_closing ? NULL : take(idlers);
    if (idler == NULL)
        return false;
    idlers->serving++;
    serve(worker, idlers, idler);
    idlers->serving--;
    return true;
}

void idlers_scan(struct idlers *idlers)
{
    uint64_t now = load_now(idlers->at);
    if (now < idlers->scanned_ns + SCAN_SECONDS * 1000 * MS)
        return;
    idlers->scanned_ns = now;
    for (unsigned i = 0; i < idlers->count; i++) {
        struct idler *idler = &idlers->all[i];
        if (idler->care == CARE_NONE && !idler->is_down && now > idler->since_ns + RENEW_NS)
            queue(idlers, idler, CARE_RENEW);
    }
}

void idlers_wait(struct idlers *idlers, unsigned ms)
{
    waiters_wait(load_engine(idlers->at), &idlers->workers, load_now(idlers->at) + ms * MS);
}

void idlers_wake(struct idlers *idlers)
{
    waiters_wake_all(load_engine(idlers->at), &idlers->workers);
}

void idlers_close(struct idlers *idlers)
{
    idlers->is_closing = true;
    idlers_wake(idlers);
    while (idlers->serving > 0)
        idlers_wait(idlers, RETRY_MS);
    while (idlers->closed < idlers->count) {
        struct idler *idler = &idlers->all[idlers->closed++];
        idler->imap.peer.idle_input = NULL;
        if (!is_stopped(idlers) && !peer_has_ended(&idler->imap.peer))
            imap_logout(&idler->imap);
        imap_forget(&idler->imap);
    }
}

/* ---------------------------------------------------------------- rounds */

struct idle_user *idlers_user(struct idlers *idlers, unsigned user)
{
    if (user >= idlers->users || user % idlers->cores != idlers->index)
        return NULL;
    return &idlers->user[user / idlers->cores];
}

unsigned idlers_user_number(const struct idlers *idlers, const struct idle_user *user)
{
    return (unsigned)(user - idlers->user) * idlers->cores + idlers->index;
}

void idlers_round_begin(struct idlers *idlers, struct idle_user *user)
{
    user->round++;
    user->waiting = 0;
    user->began_ns = 0;
    for (unsigned i = user->first; i < user->first + user->count; i++) {
        struct idler *idler = &idlers->all[i];
        idler->base = idler->imap.exists;
        if (idler->is_down)
            idler->round = user->round;
        else
            user->waiting++;
    }
}

int idlers_round_end(struct idlers *idlers, struct idle_user *user)
{
    int error = 0;
    for (unsigned i = user->first; user->waiting > 0 && i < user->first + user->count; i++) {
        struct idler *idler = &idlers->all[i];
        if (idler->round == user->round)
            continue;
        if (!is_stopped(idlers))
            error = measure_error(idlers->at, LOAD_TIMEOUT, SLICE("not told of a new message"));
        idler->round = user->round;
        user->waiting--;
    }
    return error;
}

/* ---------------------------------------------------------------- made, freed */

/* Users of this core and, user by user, their idlers. */
static bool lay_out(struct idlers *idlers)
{
    unsigned users = idlers->users;
    idlers->user_count = users / idlers->cores + (idlers->index < users % idlers->cores);
    idlers->user = calloc(idlers->user_count + 1, sizeof *idlers->user);
    if (idlers->user == NULL)
        return false;
    for (unsigned i = 0; i < idlers->user_count; i++) {
        unsigned number = idlers_user_number(idlers, &idlers->user[i]);
        idlers->user[i].first = idlers->count;
        idlers->user[i].count =
            idlers->connections / users + (number < idlers->connections % users);
        idlers->count += idlers->user[i].count;
    }
    idlers->all = calloc(idlers->count + 1, sizeof *idlers->all);
    return idlers->all != NULL;
}

/* Turn by turn, so that a user's log-ins are not all at once. */
static void queue_all(struct idlers *idlers)
{
    idlers->pending = idlers->count;
    for (unsigned nth = 0, queued = 0; queued < idlers->count; nth++) {
        for (unsigned i = 0; i < idlers->user_count; i++) {
            if (nth >= idlers->user[i].count)
                continue;
            struct idler *idler = &idlers->all[idlers->user[i].first + nth];
            idler->home = idlers;
            idler->is_down = true;
            queue(idlers, idler, CARE_OPEN);
            queued++;
        }
    }
}

struct idlers *idlers_make(struct load_worker *worker, unsigned connections)
{
    struct idlers *idlers = calloc(1, sizeof *idlers);
    if (idlers == NULL)
        return NULL;
    idlers->options = worker->options;
    idlers->at = worker->at;
    idlers->connections = connections;
    idlers->users = idlers_users(worker->options, connections);
    idlers->cores = worker->options->threads;
    idlers->index = worker->index % idlers->cores;
    if (!lay_out(idlers)) {
        idlers_free(idlers);
        return NULL;
    }
    queue_all(idlers);
    return idlers;
}

void idlers_free(struct idlers *idlers)
{
    free(idlers->all);
    free(idlers->user);
    free(idlers);
}
