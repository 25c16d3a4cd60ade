/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The load generator and the gateway in one world, on the same cores: scenarios smtp and lmtp with
 * --verify, under all faults of network and disk. What --verify says must be true: nothing that was
 * accepted is lost, altered or doubled (the gateway's other scenarios show that), so any alarm is a
 * false one.
 *
 * Planted (load_lossy): somebody deletes a message from a mailbox while the run goes on. That is
 * found.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../script/host.h"
#include "content.h"
#include "measure.h"
#include "ringpost/hash.h"
#include "scenario_load.h"
#include "scenarios.h"

enum { PORT_POP3 = 27, TRIES_MAX = 10 };
static const uint64_t SECOND_NS = UINT64_C(1000000000);
static const uint64_t PATIENCE_NS = UINT64_C(2000000000000);

static bool all_returned(void *argument)
{
    const struct load_trial *trial = argument;
    for (unsigned i = 0; i < trial->cores; i++)
        if (trial->results[i] == INT_MAX)
            return false;
    return true;
}

static int on_all_cores(struct load_trial *trial, int (*body)(struct core *core, void *argument),
                        uint64_t patience_ns)
{
    for (unsigned i = 0; i < trial->cores; i++) {
        trial->results[i] = INT_MAX;
        int result = sim_spawn(trial->sim, i, body, trial, &trial->results[i]);
        if (result < 0)
            return result;
    }
    int result = sim_until(trial->sim, all_returned, trial, patience_ns);
    for (unsigned i = 0; i < trial->cores && result == 0; i++)
        result = trial->results[i];
    return result;
}

static int open_body(struct core *core, void *argument)
{
    return host_gateway.open(core, ((struct load_trial *)argument)->state);
}

static int close_body(struct core *core, void *argument)
{
    host_gateway.close(core, ((struct load_trial *)argument)->state);
    return 0;
}

static int load_body(struct core *core, void *argument)
{
    return load_run(core, ((struct load_trial *)argument)->load);
}

/* ---------------------------------------------------------------- who deletes a message */

static bool ok(struct sim_actor *actor, struct sim_client *client, const char *text,
               struct slice *ret_line)
{
    if (text != NULL)
        sim_client_text(client, text);
    return sim_actor_line(actor, client, 60 * SECOND_NS, ret_line) &&
           slice_starts_nocase(*ret_line, SLICE("+OK"));
}

static bool delete_one(struct sim_actor *actor, struct sim_client *client)
{
    struct slice line;
    return ok(actor, client, NULL, &line) && ok(actor, client, "USER u0@example.org\r\n", &line) &&
           ok(actor, client, "PASS secret\r\n", &line) && ok(actor, client, "DELE 1\r\n", &line) &&
           ok(actor, client, "QUIT\r\n", &line);
}

static void thief(struct sim_actor *actor, void *argument)
{
    struct load_trial *trial = argument;
    while (!trial->has_deleted && trial->load != NULL && load_stage(trial->load) <= LOAD_MEASURE) {
        sim_actor_sleep(actor, 20000000);
        struct sim_client *client = sim_connect(trial->sim, "127.0.0.1", PORT_POP3);
        trial->has_deleted = delete_one(actor, client);
        sim_client_close(client);
    }
}

/* ---------------------------------------------------------------- the run */

void load_trial_endpoint(struct load_trial *trial, enum load_protocol protocol)
{
    static const uint16_t ports[] = {[LOAD_SMTP] = LOAD_TRIAL_PORT_BASE,
                                     [LOAD_LMTP] = LOAD_TRIAL_PORT_BASE + 1,
                                     [LOAD_POP3] = PORT_POP3,
                                     [LOAD_IMAP] = LOAD_TRIAL_PORT_BASE + 3};
    trial->options.endpoints[protocol] = (struct load_endpoint){
        .is_set = true,
        .protocol = protocol,
        .host = "127.0.0.1",
        .target = {.family = 4, .address = {127, 0, 0, 1}, .port = ports[protocol]}};
}

void load_trial_scenario(struct load_trial *trial, const char *name)
{
    for (unsigned i = 0; load_scenarios[i] != NULL; i++)
        if (strcmp(load_scenarios[i]->name, name) == 0)
            trial->options.scenario = load_scenarios[i];
}

static void choose_options(struct load_trial *trial)
{
    static const unsigned sizes[] = {500, 900, 2000, 9000};
    struct sim *sim = trial->sim;
    enum load_protocol target = sim_below(sim, 2) == 0 ? LOAD_SMTP : LOAD_LMTP;
    trial->options = (struct load_options){
        .target = target,
        .threads = trial->cores,
        .connections = trial->cores + sim_below(sim, 6), /* a worker on each core */
        .users = LOAD_TRIAL_USERS,
        .user_format = "u%d@example.org",
        .password = "secret",
        .messages = 1 + sim_below(sim, 40),
        .seed = sim_random(sim),
        .timeout_ns = 300 * SECOND_NS,
        .size_bytes = sizes[sim_below(sim, 4)],
        .recipients = 1 + sim_below(sim, LOAD_TRIAL_USERS),
        .per_connection = sim_below(sim, 4),
        .is_pipelined = sim_below(sim, 2) == 0,
        .is_chunked = sim_below(sim, 3) == 0,
        .verifies = true};
    if (sim_below(sim, 4) == 0)
        trial->options.rate = 50;
    load_trial_endpoint(trial, target);
    load_trial_endpoint(trial, sim_below(sim, 2) == 0 ? LOAD_IMAP : LOAD_POP3);
    load_trial_scenario(trial, target == LOAD_SMTP ? "smtp" : "lmtp");
}

static int destroy_body(struct core *core, void *argument)
{
    (void)core;
    struct load_trial *trial = argument;
    load_destroy(trial->load);
    trial->load = NULL; /* the thief may come once more */
    return 0;
}

static int create_body(struct core *core, void *argument)
{
    (void)core;
    struct load_trial *trial = argument;
    char problem[200] = "";
    int result = load_create(&trial->options, &trial->load, problem);
    if (result < 0)
        sim_trace(trial->sim, "load_create: %s", problem);
    return result;
}

static bool is_calm(const struct load_trial *trial)
{
    bool is_calm = true;
    for (unsigned fault = 0; fault < SIM_FAULT_COUNT; fault++)
        is_calm &= trial->faults[fault] == 0;
    return is_calm;
}

static void judge_mail(struct load_trial *trial, const struct measure *sum, bool is_calm)
{
    sim_trace(trial->sim, "%llu messages, %llu verified, %s", (unsigned long long)sum->operations,
              (unsigned long long)sum->verified,
              load_why(trial->load) != NULL ? load_why(trial->load) : "complete");
    if (sum->missing + sum->altered + sum->doubled > 0)
        sim_fail(trial->sim, "of %llu messages %llu missing, %llu altered, %llu doubled",
                 (unsigned long long)sum->operations, (unsigned long long)sum->missing,
                 (unsigned long long)sum->altered, (unsigned long long)sum->doubled);
    uint64_t wanted = trial->options.messages * trial->options.recipients;
    if (is_calm && !trial->is_lossy && (sum->verified != wanted || load_why(trial->load) != NULL))
        sim_fail(trial->sim, "nothing fails, and %llu of %llu are verified: %s",
                 (unsigned long long)sum->verified, (unsigned long long)wanted,
                 load_why(trial->load));
}

static void judge(struct load_trial *trial)
{
    struct measure *sum = calloc(1, sizeof *sum);
    if (sum == NULL || measure_sum(trial->load, sum) < 0)
        abort();
    for (unsigned i = 0; i < sum->example_count; i++)
        sim_trace(trial->sim, "%s: %s", load_error_name(sum->examples[i].error),
                  sum->examples[i].text);
    trial->judge(trial, sum, is_calm(trial));
    measure_free(sum);
    free(sum);
}

static void play(struct load_trial *trial)
{
    struct sim *sim = trial->sim;
    int result = sim_run(sim, 0, create_body, trial);
    if (result != 0)
        return;
    for (unsigned fault = 0; fault < SIM_FAULT_COUNT; fault++)
        sim_fault_set(sim, fault, trial->faults[fault]);
    for (unsigned i = 0; i < trial->cores; i++)
        trial->results[i] = INT_MAX;
    if (trial->is_lossy)
        sim_actor_start(sim, thief, trial);
    result = on_all_cores(trial, load_body, 100 * PATIENCE_NS);
    sim_heal(sim);
    if (result == SIM_STUCK)
        sim_fail(sim, "the run does not come to an end, stage %d", (int)load_stage(trial->load));
    else if (result == 0)
        judge(trial);
    if (result != SIM_STUCK && sim_run(sim, 0, destroy_body, trial) != 0)
        sim_fail(sim, "load_destroy did not return");
}

static bool start(struct load_trial *trial)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        host_gateway.begin(trial->state);
        int result = sim_start(trial->sim);
        if (result == 0)
            result = on_all_cores(trial, open_body, PATIENCE_NS);
        if (result == 0)
            return true;
        if (sim_is_up(trial->sim))
            sim_crash(trial->sim, SIM_FAIL_STOP);
    }
    sim_fail(trial->sim, "nothing fails, and the gateway does not start");
    return false;
}

int load_trial_run(const struct sim_case *one, const struct load_trial *start_with, char *why,
                   size_t why_size)
{
    struct sim_options options;
    uint32_t faults[SIM_FAULT_COUNT];
    sim_case_options(one, &options);
    memcpy(faults, options.faults, sizeof faults);
    options.disk_bytes = UINT64_C(512) << 20;
    options.engine.core_count = 1 + (unsigned)(one->seed * 0x9e3779b97f4a7c15u >> 40) % 3;
    options.engine.connects = true;
    options.engine.fibers_max = 200;
    options.engine.connections_max = 200;
    options.engine.stack_bytes = 131072;
    struct load_trial *trial = sim_keep_alloc(sizeof *trial);
    *trial = *start_with;
    trial->sim = sim_create(&options);
    trial->faults = faults;
    trial->cores = options.engine.core_count;
    struct sim *sim = trial->sim;
    sim_heal(sim);
    trial->state = host_gateway.make(trial->cores, LOAD_TRIAL_PORT_BASE, "/store");
    trial->choose(trial);
    if (trial->state == NULL)
        abort();
    sim_directory_make(sim, "/store");
    if (start(trial)) {
        if (sim_case_step(one, 0))
            play(trial);
        if (sim_failure(sim) == NULL && sim_is_up(sim)) {
            if (on_all_cores(trial, close_body, PATIENCE_NS) != 0)
                sim_fail(sim, "the gateway does not close");
            else if (sim_stop(sim) != 0)
                sim_fail(sim, "the engine does not come to rest");
        }
    }
    if (one->verbose)
        fprintf(stderr, "%.*s", (int)sim_log(sim).size, sim_log(sim).data);
    int result = sim_case_end(sim, why, why_size);
    host_gateway.free(trial->state);
    sim_keep_free(trial);
    return result;
}

int scenario_load(const struct sim_case *one, char *why, size_t why_size)
{
    struct load_trial trial = {.choose = choose_options, .judge = judge_mail};
    return load_trial_run(one, &trial, why, why_size);
}

int scenario_load_lossy(const struct sim_case *one, char *why, size_t why_size)
{
    struct load_trial trial = {.choose = choose_options, .judge = judge_mail, .is_lossy = true};
    return load_trial_run(one, &trial, why, why_size);
}
