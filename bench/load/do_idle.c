/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario idle: many authenticated IMAP connections in IDLE (idlers.h), and how soon they are told
 * of new mail.
 *
 *   RAMP     connections log in, SELECT INBOX, IDLE; as many at once as there are workers
 *   QUIET    for --duration nothing happens: what the server's memory is read in
 *   DELIVER  --messages messages to the users in turn; each idler of that user must be told
 *   CLOSE    LOGOUT of all
 *
 * Cores agree on the stages by the words of idle_shared.
 */
#include <errno.h>
#include <stdlib.h>

#include "idlers.h"
#include "pace.h"

enum {
    WORKERS_MAX = 64,         /* of all cores: log-ins and deliveries at once */
    PORTS_PER_SOURCE = 28000, /* of the usual range of local ports, 32768 to 60999 */
    LOOK_MS = 20,
    LOOK_RARELY_MS = 1000
};

static const uint64_t MS = UINT64_C(1000000);

enum stage { STAGE_RAMP, STAGE_QUIET, STAGE_DELIVER, STAGE_CLOSE };

/* What the cores share; atomic. */
struct idle_shared {
    uint64_t ramped, delivered; /* how many cores */
    uint64_t quiet_until_ns;    /* 0: not all are ramped */
    uint64_t first_ns, last_ns; /* the first delivery began; the last idler was told */
};

struct idle_core {
    struct idle_shared *shared;
    const struct load_options *options;
    struct load_core *at;
    struct idlers *idlers;
    unsigned cores, index;
    bool is_ramped, is_delivered;
    uint64_t next_message, delivering; /* looked at; in hand */
};

static uint64_t get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool is_stopped(const struct idle_core *idle)
{
    return load_why(load_of(idle->at)) != NULL;
}

/* ---------------------------------------------------------------- delivering */

static void note_first(struct idle_core *idle, uint64_t now)
{
    uint64_t none = 0;
    __atomic_compare_exchange_n(&idle->shared->first_ns, &none, now, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
}

static void note_last(struct idle_core *idle, uint64_t now)
{
    uint64_t last = get(&idle->shared->last_ns);
    while (last < now && !__atomic_compare_exchange_n(&idle->shared->last_ns, &last, now, false,
                                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

/* A message to a user of this core, until all its idlers have been told. */
static int deliver(struct idle_core *idle, struct idle_user *user, struct mailbox_sender *sender,
                   uint64_t number)
{
    struct core *core = load_engine(idle->at);
    fiber_lock_take(core, &user->lock);
    idlers_round_begin(idle->idlers, user);
    note_first(idle, load_now(idle->at));
    int error =
        mailbox_send(sender, idlers_user_number(idle->idlers, user), number, &user->began_ns);
    uint64_t until = load_now(idle->at) + idle->options->timeout_ns;
    while (error == 0 && user->waiting > 0 && !is_stopped(idle))
        if (waiters_wait(core, &user->told, until) < 0)
            break;
    if (error == 0)
        error = idlers_round_end(idle->idlers, user);
    user->waiting = 0;
    note_last(idle, idle->idlers->last_told_ns);
    fiber_lock_give(core, &user->lock);
    return error;
}

/* The next message of this core that nobody has in hand; its user, or NULL. */
static struct idle_user *next_message(struct idle_core *idle, uint64_t *ret_message)
{
    unsigned users = idle->idlers->users;
    while (idle->next_message < idle->options->messages) {
        uint64_t message = idle->next_message++;
        unsigned user = (unsigned)(message % users);
        if (user % idle->cores != idle->index)
            continue;
        *ret_message = message;
        return idlers_user(idle->idlers, user);
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
    if (is_stopped(idle))
        return STAGE_CLOSE;
    if (!idle->is_ramped && idle->idlers->pending == 0) {
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

/* How long nothing need be looked at, in milliseconds: idlers that want care wake us anyway. */
static unsigned patience(const struct idle_core *idle, enum stage stage)
{
    uint64_t until = get(&idle->shared->quiet_until_ns), now = load_now(idle->at);
    if (stage != STAGE_QUIET || until < now + LOOK_MS * MS)
        return LOOK_MS;
    return until < now + LOOK_RARELY_MS * MS ? (unsigned)((until - now) / MS) + 1 : LOOK_RARELY_MS;
}

static void play(struct load_worker *worker, struct idle_core *idle, struct mailbox_sender **sender)
{
    /* The first of a core looks often, and delivers only when it is alone: somebody must be free
     * for idlers that are thrown out. */
    bool is_first = worker->index < idle->cores;
    bool delivers = !is_first || mailbox_workers(worker) < 2 * idle->cores;
    for (;;) {
        enum stage stage = stage_of(idle);
        if (stage == STAGE_CLOSE)
            break;
        if (idlers_serve(idle->idlers, worker) ||
            (stage == STAGE_DELIVER && delivers && deliver_next(worker, idle, sender)))
            continue;
        idlers_scan(idle->idlers);
        idlers_wait(idle->idlers, is_first ? patience(idle, stage) : LOOK_RARELY_MS);
        if (is_first && stage_of(idle) != stage)
            idlers_wake(idle->idlers);
    }
    idlers_wake(idle->idlers);
}

/* ---------------------------------------------------------------- the core's part */

static void destroy_core(struct load_core *at, void *value)
{
    struct idle_core *idle = value;
    (void)at;
    if (idle->idlers != NULL)
        idlers_free(idle->idlers);
    free(idle);
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
    idle->idlers = idlers_make(worker, worker->options->connections);
    load_local_set(worker->at, LOAD_LOCAL_SCENARIO, idle, destroy_core);
    return idle;
}

static void work(struct load_worker *worker)
{
    struct mailbox_sender *sender = NULL;
    struct idle_core *idle = make_core(worker);
    if (idle == NULL || idle->idlers == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE("no memory for the connections"));
        load_stop(load_of(worker->at), "the generator ran out of memory");
        return;
    }
    play(worker, idle, &sender);
    mailbox_sender_free(sender);
    idlers_close(idle->idlers);
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

static unsigned held(const struct load_options *options, const void *shared)
{
    return idlers_room(options, options->connections) + workers(options, shared);
}

static const char *problem(const struct load_options *options)
{
    const struct load_endpoint *target = &options->endpoints[LOAD_IMAP];
    unsigned sources = options->sources > 0 ? options->sources : 1;
    if (target->target.family != 1 && options->connections / sources > PORTS_PER_SOURCE)
        return "more connections than an address has local ports: give --sources N (addresses of "
               "127.0.1.1 and on), one for each 28,000";
    if (options->threads > idlers_users(options, options->connections))
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
    "be told: \"wake-up\" is the time from when the message goes out to its EXISTS, \"wake-up\n"
    "all\" that from the first delivery until the last connection was told. An operation is a\n"
    "message of which everybody has been told. IDLE is renewed before 29 minutes; a connection "
    "that\n"
    "is thrown out is an error, and comes back. Where that is allowed, many connections come from\n"
    "several loopback addresses (--sources).\n";

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
    .held = held,
    .ends_itself = true,
    .prepare = mailbox_prepare,
    .work = work,
};
