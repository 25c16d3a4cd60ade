/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario idle: many authenticated IMAP connections in IDLE, and how soon they are told of new
 * mail.
 *
 *   RAMP     connections log in, SELECT INBOX, IDLE; as many at once as there are workers
 *   QUIET    for --duration nothing happens: what the server's memory is read in
 *   DELIVER  --messages messages to the users in turn; each idler of that user must be told
 *   CLOSE    LOGOUT of all
 *
 * An idle connection has no fiber: what comes is read in the core's turn (on_idle_input), and what
 * needs a fiber (the connection has gone, IDLE must be renewed) is queued for the workers. All
 * connections of a user are on one core (user modulo cores), so that a delivery and those who are
 * told of it share memory without locks; cores agree on the stages by the words of idle_shared.
 *
 * Invariants:
 *   An idler is in the queue at most once, and only then a worker touches it.
 *   A user's deliveries are one after the other: who is told of one is told of that one.
 */
#include <errno.h>
#include <stdlib.h>

#include "imap.h"
#include "pace.h"

enum {
    WORKERS_MAX = 64,         /* of all cores: log-ins and deliveries at once */
    FAILURES_MAX = 5,         /* in a row; then the connection is given up */
    UNREAD_BYTES_MAX = 32768, /* that an idler is sent without a line */
    PORTS_PER_SOURCE = 28000, /* of the usual range of local ports, 32768 to 60999 */
    LOOK_MS = 20,
    LOOK_RARELY_MS = 1000,
    RETRY_MS = 20,
    SCAN_SECONDS = 30
};
static const uint64_t MS = UINT64_C(1000000);
static const uint64_t RENEW_NS = UINT64_C(27) * 60 * 1000000000; /* RFC 2177: before 29 minutes */

enum stage { STAGE_RAMP, STAGE_QUIET, STAGE_DELIVER, STAGE_CLOSE };

/* What the cores share; atomic. */
struct idle_shared {
    uint64_t ramped, delivered; /* how many cores */
    uint64_t quiet_until_ns;    /* 0: not all are ramped */
    uint64_t first_ns, last_ns; /* the first delivery began; the last idler was told */
};

enum care { CARE_NONE, CARE_OPEN, CARE_ENDED, CARE_BROKEN, CARE_RENEW };

struct idler {
    struct imap imap;
    struct idler *next; /* in the queue */
    uint64_t since_ns;  /* in IDLE */
    uint32_t base;      /* messages when the round began */
    uint32_t round;     /* that it was told in last */
    uint8_t care, failures;
    bool was_up, is_down; /* its first IDLE came about, or it was given up; it is not in IDLE now */
};

/* A user of this core: its idlers are idlers[first ... first + count). */
struct idle_user {
    struct fiber_lock lock; /* a round */
    struct waiters told;    /* the round's worker */
    uint64_t accepted_ns;   /* 0: the message of the round is not accepted yet */
    uint32_t round, waiting;
    unsigned first, count;
};

struct idle_core {
    struct idle_shared *shared;
    const struct load_options *options;
    struct load_core *at;
    unsigned cores, index;
    struct idler *idlers;
    struct idle_user *users;
    unsigned idler_count, user_count;
    unsigned pending; /* not up for the first time yet */
    struct idler *first, *last;
    struct waiters workers; /* without work */
    bool is_ramped, is_delivered;
    uint64_t next_message, delivering; /* looked at; in hand */
    uint64_t scanned_ns;
    unsigned playing, closed; /* workers that are not through; idlers that are closed */
};

static uint64_t get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* The users that have idlers. */
static unsigned active_users(const struct load_options *options)
{
    return options->users < options->connections ? options->users : options->connections;
}

static struct idle_core *core_of(const struct peer *peer)
{
    return load_local(peer->at, LOAD_LOCAL_SCENARIO);
}

/* ---------------------------------------------------------------- the queue */

static void queue(struct idle_core *idle, struct idler *idler, enum care care)
{
    bool is_queued = idler->care != CARE_NONE;
    idler->care = (uint8_t)care;
    idler->imap.peer.idle_input = NULL;
    if (is_queued)
        return;
    idler->next = NULL;
    if (idle->last != NULL)
        idle->last->next = idler;
    else
        idle->first = idler;
    idle->last = idler;
    waiters_wake_one(load_engine(idle->at), &idle->workers);
}

static struct idler *take(struct idle_core *idle)
{
    struct idler *idler = idle->first;
    if (idler == NULL)
        return NULL;
    idle->first = idler->next;
    if (idle->first == NULL)
        idle->last = NULL;
    return idler;
}

/* ---------------------------------------------------------------- being told */

static struct idle_user *user_of(const struct idle_core *idle, const struct idler *idler)
{
    unsigned number = (unsigned)(idler - idle->idlers), low = 0, high = idle->user_count;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (idle->users[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    return &idle->users[low];
}

static void leave_round(struct idle_core *idle, struct idle_user *user, struct idler *idler)
{
    idler->round = user->round;
    if (--user->waiting == 0)
        waiters_wake_all(load_engine(idle->at), &user->told);
}

static void note_last(struct idle_core *idle, uint64_t now)
{
    uint64_t last = get(&idle->shared->last_ns);
    while (last < now && !__atomic_compare_exchange_n(&idle->shared->last_ns, &last, now, false,
                                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

/* Perhaps it has been told of the message of the round. */
static void look(struct idle_core *idle, struct idler *idler)
{
    struct idle_user *user = user_of(idle, idler);
    if (user->waiting == 0 || idler->round == user->round || idler->imap.exists <= idler->base)
        return;
    uint64_t now = load_now(idle->at);
    /* told before the one who delivered was: then it took no time */
    measure_span(idle->at, PHASE_WAKE, user->accepted_ns != 0 ? user->accepted_ns : now, now);
    note_last(idle, now);
    leave_round(idle, user, idler);
}

/* It is no more in IDLE: nobody waits for it, and a worker opens it anew. */
static void lose(struct idle_core *idle, struct idler *idler, enum care care)
{
    struct idle_user *user = user_of(idle, idler);
    idler->is_down = true;
    if (user->waiting > 0 && idler->round != user->round)
        leave_round(idle, user, idler);
    queue(idle, idler, care);
}

/* In the core's turn. */
static void on_idle_input(struct peer *peer)
{
    struct idle_core *idle = core_of(peer);
    struct idler *idler = (struct idler *)((char *)peer - offsetof(struct idler, imap.peer));
    struct slice line;
    if (stream_unread(&peer->stream) > UNREAD_BYTES_MAX) {
        measure_error(peer->at, LOAD_TOO_LONG, SLICE("a line without end during IDLE"));
        lose(idle, idler, CARE_BROKEN);
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
            lose(idle, idler, CARE_BROKEN);
            return;
        }
        look(idle, idler);
    }
    if (peer_has_ended(peer))
        lose(idle, idler, CARE_ENDED);
}

/* ---------------------------------------------------------------- an idler and its worker */

/* In IDLE now: the fiber leaves it. */
static void rest(struct idle_core *idle, struct idler *idler)
{
    struct peer *peer = &idler->imap.peer;
    idler->care = CARE_NONE;
    idler->failures = 0;
    idler->is_down = false;
    idler->since_ns = load_now(idle->at);
    look(idle, idler);
    peer->idle_input = on_idle_input;
    on_idle_input(peer); /* what came with the continuation */
    if (idler->care == CARE_NONE)
        peer_rest(peer);
}

static int open_idler(struct load_worker *worker, struct idle_core *idle, struct idler *idler)
{
    const struct idle_user *user = user_of(idle, idler);
    unsigned number = (unsigned)(user - idle->users) * idle->cores + idle->index;
    unsigned nth = (unsigned)(idler - idle->idlers) - user->first;
    struct imap *imap = &idler->imap;
    int error = imap_open(imap, worker, number + nth * active_users(idle->options));
    if (error == 0)
        error = imap_login(imap, number);
    if (error == 0)
        error = imap_select(imap);
    if (error == 0)
        error = imap_idle(imap);
    return error;
}

static void came_up(struct idle_core *idle, struct idler *idler)
{
    if (!idler->was_up)
        idle->pending--;
    idler->was_up = true;
}

/* Opens it, anew when it has gone; once more later when that fails, and not for ever. */
static void bring_up(struct load_worker *worker, struct idle_core *idle, struct idler *idler)
{
    peer_close(&idler->imap.peer);
    if (open_idler(worker, idle, idler) == 0) {
        came_up(idle, idler);
        rest(idle, idler);
        return;
    }
    peer_close(&idler->imap.peer);
    if (++idler->failures == FAILURES_MAX) {
        idler->care = CARE_NONE;
        came_up(idle, idler);
        return;
    }
    fiber_sleep(load_engine(idle->at), (RETRY_MS * MS) << idler->failures);
    idler->care = CARE_NONE;
    queue(idle, idler, CARE_OPEN);
}

static void serve(struct load_worker *worker, struct idle_core *idle, struct idler *idler)
{
    struct peer *peer = &idler->imap.peer;
    switch ((enum care)idler->care) {
    case CARE_RENEW:
        if (imap_idle_done(&idler->imap) == 0 && imap_idle(&idler->imap) == 0) {
            rest(idle, idler);
            return;
        }
        break;
    case CARE_ENDED:
        peer_fail(peer, peer_error(peer->stream.end), SLICE("during IDLE"));
        break;
    default:
        break;
    }
    lose(idle, idler, CARE_OPEN);
    bring_up(worker, idle, idler);
}

/* Queues those whose IDLE is old. */
static void scan(struct idle_core *idle, uint64_t now)
{
    if (now < idle->scanned_ns + SCAN_SECONDS * 1000 * MS)
        return;
    idle->scanned_ns = now;
    for (unsigned i = 0; i < idle->idler_count; i++) {
        struct idler *idler = &idle->idlers[i];
        if (idler->care == CARE_NONE && !idler->is_down && now > idler->since_ns + RENEW_NS)
            queue(idle, idler, CARE_RENEW);
    }
}

/* ---------------------------------------------------------------- delivering */

static void begin_round(struct idle_core *idle, struct idle_user *user)
{
    user->round++;
    user->waiting = 0;
    user->accepted_ns = 0;
    for (unsigned i = user->first; i < user->first + user->count; i++) {
        struct idler *idler = &idle->idlers[i];
        idler->base = idler->imap.exists;
        if (idler->is_down)
            idler->round = user->round;
        else
            user->waiting++;
    }
}

/* Those who have not been told in time. */
static int end_round(struct idle_core *idle, struct idle_user *user)
{
    int error = 0;
    for (unsigned i = user->first; user->waiting > 0 && i < user->first + user->count; i++) {
        struct idler *idler = &idle->idlers[i];
        if (idler->round == user->round)
            continue;
        if (load_why(load_of(idle->at)) == NULL)
            error = measure_error(idle->at, LOAD_TIMEOUT, SLICE("not told of a new message"));
        idler->round = user->round;
        user->waiting--;
    }
    return error;
}

static void note_first(struct idle_core *idle, uint64_t now)
{
    uint64_t none = 0;
    __atomic_compare_exchange_n(&idle->shared->first_ns, &none, now, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
}

/* A message to a user of this core, until all its idlers have been told. */
static int deliver(struct idle_core *idle, struct idle_user *user, struct mailbox_sender *sender,
                   uint64_t number)
{
    struct core *core = load_engine(idle->at);
    fiber_lock_take(core, &user->lock);
    begin_round(idle, user);
    note_first(idle, load_now(idle->at));
    int error =
        mailbox_send(sender, (unsigned)(user - idle->users) * idle->cores + idle->index, number);
    user->accepted_ns = load_now(idle->at);
    uint64_t until = user->accepted_ns + idle->options->timeout_ns;
    while (error == 0 && user->waiting > 0 && load_why(load_of(idle->at)) == NULL)
        if (waiters_wait(core, &user->told, until) < 0)
            break;
    if (error == 0)
        error = end_round(idle, user);
    user->waiting = 0;
    fiber_lock_give(core, &user->lock);
    return error;
}

/* The next message of this core that nobody has in hand; its user, or NULL. */
static struct idle_user *next_message(struct idle_core *idle, uint64_t *ret_message)
{
    unsigned users = active_users(idle->options);
    while (idle->next_message < idle->options->messages) {
        uint64_t message = idle->next_message++;
        unsigned user = (unsigned)(message % users);
        if (user % idle->cores != idle->index)
            continue;
        *ret_message = message;
        return &idle->users[user / idle->cores];
    }
    return NULL;
}

static bool deliver_next(struct load_worker *worker, struct idle_core *idle,
                         struct mailbox_sender **sender)
{
    const struct load_options *options = idle->options;
    struct operation operation;
    uint64_t message, due = load_now(idle->at);
    struct idle_user *user = next_message(idle, &message);
    if (user == NULL)
        return false;
    idle->delivering++;
    if (options->rate > 0)
        due =
            get(&idle->shared->quiet_until_ns) + (uint64_t)((double)message * 1e9 / options->rate);
    if (pace_take_at(worker, due, &operation) == 0) {
        int error = *sender == NULL ? mailbox_sender_make(worker, sender) : 0;
        if (error == 0)
            error = deliver(idle, user, *sender, operation.number);
        pace_done(worker, &operation, error);
    }
    idle->delivering--;
    return true;
}

/* ---------------------------------------------------------------- stages */

static void wake_workers(struct idle_core *idle)
{
    waiters_wake_all(load_engine(idle->at), &idle->workers);
}

static void begin_quiet(struct idle_core *idle)
{
    uint64_t none = 0, until = load_now(idle->at) + idle->options->duration_ns;
    __atomic_compare_exchange_n(&idle->shared->quiet_until_ns, &none, until, false,
                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* This core's last message has been dealt with; the last core says how long it took in all. */
static void end_delivering(struct idle_core *idle)
{
    struct idle_shared *shared = idle->shared;
    idle->is_delivered = true;
    if (__atomic_add_fetch(&shared->delivered, 1, __ATOMIC_ACQ_REL) < idle->cores)
        return;
    if (get(&shared->first_ns) != 0 && get(&shared->last_ns) != 0)
        measure_span(idle->at, PHASE_WAKE_ALL, get(&shared->first_ns), get(&shared->last_ns));
}

static enum stage stage_of(struct idle_core *idle)
{
    struct idle_shared *shared = idle->shared;
    uint64_t now = load_now(idle->at), quiet_until;
    if (load_why(load_of(idle->at)) != NULL)
        return STAGE_CLOSE;
    if (!idle->is_ramped && idle->pending == 0) {
        idle->is_ramped = true;
        __atomic_add_fetch(&shared->ramped, 1, __ATOMIC_ACQ_REL);
    }
    if (get(&shared->ramped) < idle->cores)
        return STAGE_RAMP;
    begin_quiet(idle);
    quiet_until = get(&shared->quiet_until_ns);
    if (now < quiet_until)
        return STAGE_QUIET;
    if (!idle->is_delivered && idle->next_message >= idle->options->messages &&
        idle->delivering == 0)
        end_delivering(idle);
    return get(&shared->delivered) == idle->cores ? STAGE_CLOSE : STAGE_DELIVER;
}

/* When no worker has one in hand any more. */
static void close_idlers(struct idle_core *idle)
{
    while (idle->playing > 0)
        waiters_wait(load_engine(idle->at), &idle->workers, load_now(idle->at) + LOOK_MS * MS);
    while (idle->closed < idle->idler_count) {
        struct idler *idler = &idle->idlers[idle->closed++];
        idler->imap.peer.idle_input = NULL;
        if (load_why(load_of(idle->at)) == NULL && !peer_has_ended(&idler->imap.peer))
            imap_logout(&idler->imap);
        imap_forget(&idler->imap);
    }
}

static void play(struct load_worker *worker, struct idle_core *idle, struct mailbox_sender **sender)
{
    /* The first of a core looks often, and delivers only when it is alone: somebody must be free
     * for idlers that are thrown out. */
    bool is_first = worker->index < idle->cores;
    bool delivers = !is_first || mailbox_workers(worker) < 2 * idle->cores;
    idle->playing++;
    for (;;) {
        enum stage stage = stage_of(idle);
        if (stage == STAGE_CLOSE)
            break;
        struct idler *idler = take(idle);
        if (idler != NULL) {
            serve(worker, idle, idler);
            continue;
        }
        if (stage == STAGE_DELIVER && delivers && deliver_next(worker, idle, sender))
            continue;
        uint64_t now = load_now(idle->at);
        scan(idle, now);
        waiters_wait(load_engine(idle->at), &idle->workers,
                     now + (is_first ? LOOK_MS : LOOK_RARELY_MS) * MS);
        if (is_first && stage_of(idle) != stage)
            wake_workers(idle);
    }
    idle->playing--;
    wake_workers(idle);
}

/* ---------------------------------------------------------------- the core's part */

static void destroy_core(struct load_core *at, void *value)
{
    struct idle_core *idle = value;
    (void)at;
    free(idle->idlers);
    free(idle->users);
    free(idle);
}

/* Users of this core and, user by user, their idlers. */
static bool lay_out(struct idle_core *idle)
{
    unsigned users = active_users(idle->options), connections = idle->options->connections;
    idle->user_count = users / idle->cores + (idle->index < users % idle->cores);
    idle->users = calloc(idle->user_count + 1, sizeof *idle->users);
    if (idle->users == NULL)
        return false;
    for (unsigned i = 0; i < idle->user_count; i++) {
        unsigned number = i * idle->cores + idle->index;
        idle->users[i].first = idle->idler_count;
        idle->users[i].count = connections / users + (number < connections % users);
        idle->idler_count += idle->users[i].count;
    }
    idle->idlers = calloc(idle->idler_count + 1, sizeof *idle->idlers);
    if (idle->idlers == NULL)
        return false;
    idle->pending = idle->idler_count;
    /* turn by turn, so that a user's log-ins are not all at once */
    for (unsigned nth = 0, queued = 0; queued < idle->idler_count; nth++) {
        for (unsigned i = 0; i < idle->user_count; i++) {
            if (nth >= idle->users[i].count)
                continue;
            struct idler *idler = &idle->idlers[idle->users[i].first + nth];
            idler->is_down = true;
            queue(idle, idler, CARE_OPEN);
            queued++;
        }
    }
    return true;
}

static struct idle_core *make_core(struct load_worker *worker)
{
    struct idle_core *idle = load_local(worker->at, LOAD_LOCAL_SCENARIO);
    if (idle != NULL)
        return idle;
    idle = calloc(1, sizeof *idle);
    if (idle == NULL)
        return NULL;
    idle->shared = load_shared(load_of(worker->at));
    idle->options = worker->options;
    idle->at = worker->at;
    idle->cores = worker->options->threads;
    idle->index = worker->index % idle->cores;
    load_local_set(worker->at, LOAD_LOCAL_SCENARIO, idle, destroy_core);
    return lay_out(idle) ? idle : NULL;
}

static void work(struct load_worker *worker)
{
    struct mailbox_sender *sender = NULL;
    struct idle_core *idle = make_core(worker);
    if (idle == NULL || idle->idlers == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE(""));
        load_stop(load_of(worker->at), "the generator ran out of memory");
        return;
    }
    play(worker, idle, &sender);
    mailbox_sender_free(sender);
    close_idlers(idle);
}

static int open_shared(const struct load_options *options, void **ret_shared, char problem[200])
{
    (void)options;
    (void)problem;
    *ret_shared = calloc(1, sizeof(struct idle_shared));
    return *ret_shared == NULL ? -ENOMEM : 0;
}

static unsigned workers(const struct load_options *options, const void *shared)
{
    (void)shared;
    unsigned most = WORKERS_MAX / options->threads * options->threads;
    most = most > 0 ? most : options->threads;
    return options->connections < most ? options->connections : most;
}

static const char *problem(const struct load_options *options)
{
    const struct load_endpoint *target = &options->endpoints[LOAD_IMAP];
    unsigned sources = options->sources > 0 ? options->sources : 1;
    if (target->target.family != 1 && options->connections / sources > PORTS_PER_SOURCE)
        return "more connections than an address has local ports: give --sources N (addresses of "
               "127.0.1.1 and on), one for each 28,000";
    if (options->threads > active_users(options))
        return "fewer users (or connections) than --threads: a user's connections are on one";
    if (options->messages == 0 && options->duration_ns == 0)
        return "nothing would be done: give --duration, to stay idle, or --messages, to be woken";
    return NULL;
}

static const char help[] =
    "Ramps up to --connections IMAP connections that have logged in, selected INBOX and sit in\n"
    "IDLE, at most 64 log-ins at once, users spread over them. For --duration nothing happens: "
    "the\n"
    "server's memory is read then (give --server-pid, and 10 s or more). Then --messages messages\n"
    "are delivered to the users in turn, by --also lmtp:// or smtp:// when given, else by APPEND\n"
    "over connections of its own (at --rate, else 64 at once), and each connection of the user "
    "must\n"
    "be told: \"wake-up\" is the time from the acceptance of the message to its EXISTS, \"wake-up\n"
    "all\" that from the first delivery until the last connection was told. An operation is a\n"
    "message of which everybody has been told. IDLE is renewed before 29 minutes; a connection "
    "that\n"
    "is thrown out is an error, and comes back. Beyond 28,000 connections give --sources.\n";

const struct load_scenario scenario_idle = {
    .name = "idle",
    .summary = "many connections in IDLE: their cost, and how soon they are woken",
    .operation = "delivery",
    .protocols = 1 << LOAD_IMAP,
    .help = help,
    .defaults = "--duration 10s --mailbox 0",
    .problem = problem,
    .open = open_shared,
    .close = free,
    .workers = workers,
    .ends_itself = true,
    .prepare = mailbox_prepare,
    .work = work,
};
