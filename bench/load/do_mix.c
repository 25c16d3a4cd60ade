/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario mix: a whole population at once (mix_file.h), each with a rate of its own, against the
 * endpoints of one server. An operation is a message, a session or a log-in; whether somebody is
 * free or not it is meant for its time, so all latencies are those of an open loop.
 *
 * Workers are dealt to the populations in the order of their kinds. The time line of a population
 * is each core's own, in proportion to its workers there. Mail goes to users of the core that
 * delivers it, so that the idlers who must be told are on that core too.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "do_login.h"
#include "do_pop3.h"
#include "idlers.h"
#include "mix_file.h"

enum { IDLE_WORKERS_MAX = 8, IDLE_LOOK_MS = 50 };
/* What readers append has numbers of its own, beside the messages that are delivered. */
static const uint64_t APPENDED_NUMBER = UINT64_C(1) << 59;

/* Of one core. */
struct mix_core {
    const struct mix *mix;
    struct idlers *idlers; /* NULL: none */
    uint64_t due_ns[MIX_KIND_COUNT];
    double gap_ns[MIX_KIND_COUNT];
    unsigned cores, index;
};

/* What a worker has: the one of its population. */
struct mix_tools {
    struct imap_play play;
    struct pop3 pop3;
    struct mailbox_check check;
    struct mailbox_sender *sender;
    struct login *login;
};

/* ---------------------------------------------------------------- operations */

/* The user's idlers, when nobody waits for them already: they will wait for this message. */
static struct idle_user *begin_round(struct mix_core *core, unsigned user, uint64_t timeout_ns)
{
    struct idlers *idlers = core->idlers;
    struct idle_user *idle = idlers != NULL ? idlers_user(idlers, user) : NULL;
    if (idle == NULL)
        return NULL;
    bool is_late = idle->began_ns != 0 && load_now(idlers->at) > idle->began_ns + timeout_ns;
    if (idle->waiting > 0 && is_late)
        idlers_round_end(idlers, idle);
    if (idle->waiting > 0)
        return NULL;
    idlers_round_begin(idlers, idle);
    return idle;
}

static int deliver(struct mix_core *core, struct load_worker *worker, struct mix_tools *tools,
                   uint64_t number)
{
    const struct load_options *options = worker->options;
    unsigned own = (options->users - core->index - 1) / core->cores + 1;
    unsigned user = core->index + core->cores * random_below(&worker->random, own);
    int error = tools->sender == NULL ? mailbox_sender_make(worker, &tools->sender) : 0;
    if (error != 0)
        return error;
    struct idle_user *idle = begin_round(core, user, options->timeout_ns);
    error = mailbox_send(tools->sender, user, number, idle != NULL ? &idle->began_ns : NULL);
    if (idle != NULL && error != 0)
        idle->waiting = 0;
    return error;
}

static int read_session(struct load_worker *worker, struct mix_tools *tools,
                        const struct mix_population *readers, uint64_t number)
{
    struct imap_play *play = &tools->play;
    unsigned user = random_below(&worker->random, worker->options->users);
    play->mix = &readers->mix;
    int error = imap_play_begin(play, worker, user);
    play->imap.is_shared = true;
    for (unsigned i = 0; error == 0 && i < readers->commands; i++)
        error = imap_play_command(play, APPENDED_NUMBER + number * MIX_COMMANDS_MAX + i);
    if (error == 0)
        return imap_logout(&play->imap);
    peer_close(&play->imap.peer);
    return error;
}

/* Each worker of the population has users of its own: a maildrop has one session at a time. */
static int check_session(struct load_worker *worker, struct mix_tools *tools,
                         const struct mix_population *checkers, uint64_t session)
{
    const struct load_options *options = worker->options;
    unsigned first = worker->index - checkers->first, step = checkers->workers;
    unsigned own = (options->users - first - 1) / step + 1;
    mailbox_check_init(&tools->check, worker);
    return pop3_session(&tools->pop3, worker, first + (unsigned)(session % own) * step,
                        checkers->deletes, options->verifies ? &tools->check.reader : NULL);
}

static int log_in(struct load_worker *worker, struct mix_tools *tools,
                  const struct mix_population *logins)
{
    int error = tools->login == NULL ? login_make(worker, &tools->login) : 0;
    if (error != 0)
        return error;
    return login_once(tools->login, worker, logins->protocol,
                      random_below(&worker->random, worker->options->users));
}

/* ---------------------------------------------------------------- workers */

static void step(struct mix_core *core, struct load_worker *worker, enum mix_kind kind)
{
    double gap = core->gap_ns[kind];
    if (worker->options->is_poisson)
        gap *= -log(((double)(random_u64(&worker->random) >> 11) + 1) / 9007199254740993.0);
    core->due_ns[kind] += (uint64_t)gap;
}

static void play_kind(struct mix_core *core, struct load_worker *worker, enum mix_kind kind,
                      struct mix_tools *tools)
{
    const struct mix_population *population = &core->mix->of[kind];
    struct operation operation;
    if (core->due_ns[kind] == 0) {
        double part = (double)(random_u64(&worker->random) >> 11) / 9007199254740992.0;
        core->due_ns[kind] = load_now(worker->at) + (uint64_t)(part * core->gap_ns[kind]);
    }
    for (uint64_t session = 0;; session++) {
        uint64_t due = core->due_ns[kind];
        int error = 0;
        step(core, worker, kind);
        if (pace_take_at(worker, due, &operation) < 0)
            break;
        switch (kind) {
        case MIX_DELIVER:
            error = deliver(core, worker, tools, operation.number);
            break;
        case MIX_READERS:
            error = read_session(worker, tools, population, operation.number);
            break;
        case MIX_CHECKERS:
            error = check_session(worker, tools, population, session);
            break;
        default:
            error = log_in(worker, tools, population);
            break;
        }
        pace_done(worker, &operation, error);
    }
}

static void hold_idlers(struct mix_core *core, struct load_worker *worker)
{
    while (!pace_is_over(worker)) {
        if (idlers_serve(core->idlers, worker))
            continue;
        idlers_scan(core->idlers);
        idlers_wait(core->idlers, IDLE_LOOK_MS);
    }
    idlers_close(core->idlers);
}

/* ---------------------------------------------------------------- the core's part */

static unsigned workers_on(const struct mix_population *population, unsigned core, unsigned cores)
{
    unsigned count = 0;
    for (unsigned i = population->first; i < population->first + population->workers; i++)
        count += i % cores == core;
    return count;
}

static void destroy_core(struct load_core *at, void *value)
{
    struct mix_core *core = value;
    (void)at;
    if (core->idlers != NULL)
        idlers_free(core->idlers);
    free(core);
}

static struct mix_core *core_of(struct load_worker *worker)
{
    struct mix_core *core = load_local(worker->at, LOAD_LOCAL_SCENARIO);
    const struct load_options *options = worker->options;
    if (core != NULL)
        return core;
    core = calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->mix = load_shared(load_of(worker->at));
    core->cores = options->threads;
    core->index = worker->index % core->cores;
    for (unsigned kind = 0; kind < MIX_KIND_COUNT; kind++) {
        const struct mix_population *population = &core->mix->of[kind];
        unsigned here = workers_on(population, core->index, core->cores);
        double rate = population->rate * here / (population->workers > 0 ? population->workers : 1);
        if (options->rate > 0)
            rate *= options->rate / core->mix->rate;
        core->gap_ns[kind] = rate > 0 ? 1e9 / rate : 0;
    }
    if (core->mix->of[MIX_IDLERS].is_set) {
        core->idlers = idlers_make(worker, core->mix->of[MIX_IDLERS].connections);
        if (core->idlers == NULL) {
            free(core);
            return NULL;
        }
    }
    load_local_set(worker->at, LOAD_LOCAL_SCENARIO, core, destroy_core);
    return core;
}

static void work(struct load_worker *worker)
{
    struct mix_core *core = core_of(worker);
    struct mix_tools *tools = calloc(1, sizeof *tools);
    if (core == NULL || tools == NULL) {
        free(tools);
        measure_error(worker->at, LOAD_OURS, SLICE(""));
        return;
    }
    /* Its first operation may be long in coming: that must not hold up the other workers. */
    pace_done(worker, &(struct operation){.intended_ns = load_now(worker->at)}, 0);
    unsigned kind = 0;
    while (worker->index >= core->mix->of[kind].first + core->mix->of[kind].workers)
        kind++;
    if (kind == MIX_IDLERS)
        hold_idlers(core, worker);
    else
        play_kind(core, worker, kind, tools);
    mailbox_sender_free(tools->sender);
    if (tools->login != NULL)
        login_free(tools->login);
    imap_forget(&tools->play.imap);
    pop3_forget(&tools->pop3);
    free(tools);
}

/* ---------------------------------------------------------------- the mix of a run */

/* Why the population cannot be played, or NULL. */
static const char *missing(const struct load_options *options, enum mix_kind kind,
                           struct mix_population *population)
{
    const struct load_endpoint *at = options->endpoints;
    switch (kind) {
    case MIX_DELIVER:
        return at[population->protocol].is_set
                   ? NULL
                   : "give --also lmtp://HOST:PORT or smtp://, as its protocol says";
    case MIX_CHECKERS:
        return at[LOAD_POP3].is_set ? NULL : "give --also pop3://HOST:PORT";
    case MIX_LOGINS:
        return at[population->protocol].is_set
                   ? NULL
                   : "give --also imap://HOST:PORT or smtp://, as its protocol says";
    default:
        return at[LOAD_IMAP].is_set ? NULL : "give --also imap://HOST:PORT";
    }
}

/* Leaves out (built in) or refuses (of a file) what there is no endpoint for. */
static int choose(const struct load_options *options, struct mix *mix, char problem[200])
{
    bool has_some = false;
    if (options->mix == NULL && !options->endpoints[LOAD_LMTP].is_set)
        mix->of[MIX_DELIVER].protocol = LOAD_SMTP;
    for (unsigned kind = 0; kind < MIX_KIND_COUNT; kind++) {
        struct mix_population *population = &mix->of[kind];
        const char *what = population->is_set ? missing(options, kind, population) : NULL;
        if (what != NULL && options->mix != NULL) {
            snprintf(problem, 200, "%.80s:%u: %s has no endpoint; %s", options->mix,
                     population->line, mix_kind_name(kind), what);
            return -EINVAL;
        }
        if (what != NULL)
            population->is_set = false;
        has_some = has_some || population->is_set;
    }
    if (!has_some)
        snprintf(problem, 200,
                 "no population of the mix has its endpoint; give --also imap:// and others");
    return has_some ? 0 : -EINVAL;
}

/* Who plays what: idlers' workers are on every core. */
static void deal(const struct load_options *options, struct mix *mix)
{
    for (unsigned kind = 0; kind < MIX_KIND_COUNT; kind++) {
        struct mix_population *population = &mix->of[kind];
        population->first = mix->workers;
        if (!population->is_set)
            continue;
        population->workers = population->connections;
        if (kind == MIX_IDLERS) {
            unsigned each = population->connections / options->threads + 1;
            each = each < IDLE_WORKERS_MAX ? each : IDLE_WORKERS_MAX;
            population->workers = each * options->threads;
        } else if (kind == MIX_CHECKERS && population->workers > options->users) {
            population->workers = options->users; /* a maildrop has one session at a time */
        }
        mix->workers += population->workers;
        mix->rate += population->rate;
    }
}

static int open_shared(const struct load_options *options, void **ret_shared, char problem[200])
{
    struct mix *mix = calloc(1, sizeof *mix);
    int error = mix == NULL ? -ENOMEM : 0;
    if (error == 0 && options->mix == NULL)
        mix_default(mix);
    else if (error == 0)
        error = mix_file_read(options->mix, mix, problem);
    if (error == 0)
        error = choose(options, mix, problem);
    if (error < 0) {
        free(mix);
        return error;
    }
    deal(options, mix);
    *ret_shared = mix;
    return 0;
}

static unsigned workers(const struct load_options *options, const void *shared)
{
    const struct mix *mix = shared;
    (void)options;
    return mix->workers;
}

static unsigned held(const struct load_options *options, const void *shared)
{
    const struct mix *mix = shared;
    const struct mix_population *idlers = &mix->of[MIX_IDLERS];
    return mix->workers + (idlers->is_set ? idlers_room(options, idlers->connections) : 0);
}

static const char *problem(const struct load_options *options)
{
    if (options->threads > options->users)
        return "fewer users than --threads: a user's mail and connections are on one of them";
    return NULL;
}

static const char help[] =
    "A whole population at once: mail that comes in, people who read, programs that look by POP3,\n"
    "connections that idle, log-ins; each with its rate, by --mix FILE. "
    "bench/scenarios/office.conf\n"
    "is such a file, commented, and what is played without one (as far as there are endpoints).\n"
    "--target is one endpoint of the server; name the others by --also. A visit is a message that\n"
    "is delivered, a session or a log-in, each meant for its time; the phases tell them apart:\n"
    "commit, fetch, retr, wake-up, log-in. --rate R scales all rates so that they are R together.\n"
    "Mailboxes are filled up to --mailbox messages before.\n";

const struct load_scenario scenario_mix = {
    .name = "mix",
    .summary = "a whole population: arriving mail, readers, idlers, by a scenario file",
    .operation = "visit",
    .protocols = 1 << LOAD_SMTP | 1 << LOAD_LMTP | 1 << LOAD_IMAP | 1 << LOAD_POP3,
    .help = help,
    .problem = problem,
    .open = open_shared,
    .close = free,
    .workers = workers,
    .held = held,
    .prepare = mailbox_prepare,
    .work = work,
};
