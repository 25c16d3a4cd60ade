/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The load generator's scenarios that read mailboxes (imap, pop3, idle) and the gateway in one
 * world. The gateway does not lie, whatever fails around it: so nothing that is read may be found
 * altered, no answer may be nonsense or too long, and where nothing fails there is no error at all,
 * every command has been done, and everybody in IDLE has been told of every message.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scenario_load.h"
#include "scenarios.h"

static const uint64_t SECOND_NS = UINT64_C(1000000000);

static void choose_common(struct load_trial *trial, const char *scenario, enum load_protocol target)
{
    static const unsigned sizes[] = {500, 900, 2000, 9000, 70000};
    struct sim *sim = trial->sim;
    trial->options = (struct load_options){.target = target,
                                           .threads = trial->cores,
                                           .connections = trial->cores + sim_below(sim, 6),
                                           .users = LOAD_TRIAL_USERS,
                                           .user_format = "u%d@example.org",
                                           .password = "secret",
                                           .messages = 1 + sim_below(sim, 60),
                                           .seed = sim_random(sim),
                                           .timeout_ns = 300 * SECOND_NS,
                                           .size_bytes = sizes[sim_below(sim, 5)],
                                           .recipients = 1,
                                           .is_pipelined = sim_below(sim, 2) == 0,
                                           .mailbox_messages = sim_below(sim, 8),
                                           .verifies = true};
    load_trial_endpoint(trial, target);
    load_trial_scenario(trial, scenario);
    if (sim_below(sim, 4) == 0)
        trial->options.rate = 50;
}

static void judge(struct load_trial *trial, const struct measure *sum, bool is_calm)
{
    static const enum load_error never[] = {LOAD_NONSENSE, LOAD_TOO_LONG, LOAD_MISSING,
                                            LOAD_ALTERED,  LOAD_DOUBLED,  LOAD_PERMANENT};
    const char *why = load_why(trial->load);
    uint64_t errors = 0;
    sim_trace(trial->sim, "%llu operations, %llu verified, %s", (unsigned long long)sum->operations,
              (unsigned long long)sum->verified, why != NULL ? why : "complete");
    for (unsigned i = 0; i < sizeof never / sizeof *never; i++)
        if (sum->errors[never[i]] > 0)
            sim_fail(trial->sim, "the gateway does not lie, and yet: %s",
                     load_error_name(never[i]));
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        errors += sum->errors[i];
    if (is_calm && (errors > 0 || why != NULL || sum->operations != trial->options.messages))
        sim_fail(trial->sim, "nothing fails, and %llu of %llu operations, %llu errors: %s",
                 (unsigned long long)sum->operations, (unsigned long long)trial->options.messages,
                 (unsigned long long)errors, sum->example_count > 0 ? sum->examples[0].text : why);
}

/* ---------------------------------------------------------------- imap */

static void choose_imap(struct load_trial *trial)
{
    static const char *const mixes[] = {
        NULL, "fetch=30,list=10,header=10,store=10,search=10,append=15,expunge=15,noop=10",
        "fetch=1", "fetch=10,append=10,expunge=10"};
    choose_common(trial, "imap", LOAD_IMAP);
    trial->options.mix = mixes[sim_below(trial->sim, 4)];
    trial->options.per_session = sim_below(trial->sim, 12);
    if (sim_below(trial->sim, 3) == 0)
        load_trial_endpoint(trial, LOAD_LMTP);
}

int scenario_load_imap(const struct sim_case *one, char *why, size_t why_size)
{
    struct load_trial trial = {.choose = choose_imap, .judge = judge};
    return load_trial_run(one, &trial, why, why_size);
}

/* ---------------------------------------------------------------- pop3 */

static void choose_pop3(struct load_trial *trial)
{
    choose_common(trial, "pop3", LOAD_POP3);
    trial->options.connections = trial->cores; /* a maildrop has one session at a time */
    trial->options.messages = 1 + trial->options.messages % 12;
    trial->options.deletes = sim_below(trial->sim, 4) == 0;
    static const enum load_protocol ways[] = {LOAD_LMTP, LOAD_SMTP, LOAD_IMAP};
    load_trial_endpoint(trial, ways[sim_below(trial->sim, 3)]);
}

int scenario_load_pop3(const struct sim_case *one, char *why, size_t why_size)
{
    struct load_trial trial = {.choose = choose_pop3, .judge = judge};
    return load_trial_run(one, &trial, why, why_size);
}

/* ---------------------------------------------------------------- idle */

static void choose_idle(struct load_trial *trial)
{
    choose_common(trial, "idle", LOAD_IMAP);
    trial->options.connections = trial->cores + sim_below(trial->sim, 12);
    trial->options.messages = 1 + trial->options.messages % 10;
    trial->options.mailbox_messages = 0;
    trial->options.rate = 0;
    trial->options.timeout_ns = 60 * SECOND_NS;
    /* now and then so long that the gateway would end an IDLE that is not renewed (30 minutes) */
    trial->options.duration_ns = (sim_below(trial->sim, 4) == 0 ? 4000 : 2) * SECOND_NS;
    if (sim_below(trial->sim, 2) == 0)
        load_trial_endpoint(trial, sim_below(trial->sim, 2) == 0 ? LOAD_LMTP : LOAD_SMTP);
}

/* How many are told of all messages: message k goes to user k modulo users. */
static uint64_t tellings(const struct load_options *options)
{
    unsigned users = options->users < options->connections ? options->users : options->connections;
    uint64_t count = 0;
    for (uint64_t message = 0; message < options->messages; message++)
        count += options->connections / users + (message % users < options->connections % users);
    return count;
}

static void judge_idle(struct load_trial *trial, const struct measure *sum, bool is_calm)
{
    judge(trial, sum, is_calm);
    uint64_t told = sum->phases[PHASE_WAKE].count, wanted = tellings(&trial->options);
    if (told > wanted || (is_calm && told != wanted))
        sim_fail(trial->sim, "%llu were told, not %llu", (unsigned long long)told,
                 (unsigned long long)wanted);
    if (is_calm && sum->phases[PHASE_OPERATION].max_ns > 10 * SECOND_NS) /* of virtual time */
        sim_fail(trial->sim, "a delivery of which all were told went on waiting");
    if (is_calm && sum->phases[PHASE_WAKE_ALL].count != 1)
        sim_fail(trial->sim, "nobody says how long it took until all were told");
}

int scenario_load_idle(const struct sim_case *one, char *why, size_t why_size)
{
    struct load_trial trial = {.choose = choose_idle, .judge = judge_idle};
    return load_trial_run(one, &trial, why, why_size);
}
