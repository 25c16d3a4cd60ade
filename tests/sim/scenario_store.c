/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store on one to three cores and up to four shards: users who change their mailboxes, sessions
 * that watch, deliveries to one to three recipients over shards, checkpoints and compaction under
 * way, disk faults; ended by power cuts, kills and fail-stops, in recovery too, three deep. After
 * each recovery, and now and then between, what is there is compared with the model
 * (store_model.h). Rows D06, D07, D10, D11, D17, D18, F02, F04 and I21 of the list of bad
 * input.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/hash.h"
#include "scenarios.h"
#include "store_people.h"

enum { LIVES = 6, TRIES_MAX = 14, WATCHERS = 2, SENDERS = 3 };

/* ---------------------------------------------------------------- lives */

static enum sim_crash_kind kind_draw(struct sim *sim)
{
    uint32_t draw = sim_below(sim, 16);
    return draw < 9 ? SIM_POWER_CUT : draw < 14 ? SIM_KILL : SIM_FAIL_STOP;
}

static int open_body(struct core *core, void *argument)
{
    return store_open(core, argument);
}

static int close_body(struct core *core, void *argument)
{
    (void)argument;
    store_close(core);
    return 0;
}

struct opening {
    unsigned left;
    int results[CORES_MAX];
};

static bool all_open(void *argument)
{
    const struct opening *opening = argument;
    for (unsigned i = 0; i < opening->left; i++)
        if (opening->results[i] == INT_MAX)
            return false;
    return true;
}

/* 0, SIM_CRASHED, SIM_STUCK or the first error. */
static int open_all(struct run *run)
{
    static struct opening opening; /* outlives a crash */
    opening.left = run->cores;
    for (unsigned i = 0; i < run->cores; i++)
        opening.results[i] = INT_MAX;
    for (unsigned i = 0; i < run->cores; i++)
        if (sim_spawn(run->sim, i, open_body, &run->options, &opening.results[i]) != 0)
            return SIM_CRASHED;
    int result = sim_until(run->sim, all_open, &opening, UINT64_C(900000000000));
    for (unsigned i = 0; i < run->cores && result == 0; i++)
        result = opening.results[i];
    return result;
}

static int users_check(struct run *run)
{
    for (unsigned i = 0; i < MODEL_USERS; i++) {
        run->checked = (struct person){run, i};
        int result = sim_run(run->sim, home_of(run, i), check_body, &run->checked);
        if (result != 0)
            return result;
    }
    return 0;
}

/* ---------------------------------------------------------------- damage (D06) */

static void copy_file(struct sim *sim, const char *from, const char *to)
{
    int64_t size = sim_file_size(sim, from);
    char *data = size <= 0 ? NULL : malloc((size_t)size);
    if (data == NULL)
        return;
    if (sim_file_read(sim, from, 0, data, (size_t)size) == size) {
        sim_file_patch(sim, to, 0, data, (size_t)size);
        sim_file_truncate(sim, to, (uint64_t)size);
    }
    free(data);
}

static void checkpoint_path(struct sim *sim, unsigned shard, char path[64])
{
    char identity[200] = "";
    sim_file_read(sim, "/store/identity", 0, identity, sizeof identity - 1);
    const char *id = strstr(identity, "\nid ");
    snprintf(path, 64, "/store/shard-%04u-%.8s/checkpoint", shard, id == NULL ? "" : id + 12);
}

/* The checkpoint is a cache: whatever happens to it between two lives, nothing is lost. */
static void checkpoint_damage(struct run *run)
{
    struct sim *sim = run->sim;
    char path[64], other[64], old[64];
    unsigned shard = sim_below(sim, run->options.shard_count);
    checkpoint_path(sim, shard, path);
    checkpoint_path(sim, (shard + 1) % run->options.shard_count, other);
    snprintf(old, sizeof old, "/kept-%u", shard);
    int64_t size = sim_file_size(sim, path);
    if (size <= 0)
        return;
    switch (sim_below(sim, 12)) {
    case 0:
        sim_file_delete(sim, path);
        break;
    case 1:
        sim_file_truncate(sim, path, sim_below(sim, (uint32_t)size));
        break;
    case 2:
    case 3:
        sim_file_flip(sim, path, sim_below(sim, (uint32_t)size * 8));
        break;
    case 4:
        copy_file(sim, other, path);
        break;
    case 5: /* a stale one */
    case 6:
    case 7:
    case 8:
        copy_file(sim, old, path);
        break;
    default:
        copy_file(sim, path, old);
    }
}

/* A life with the store open and the users looked at. False: the seed has failed. */
static bool life_begin(struct run *run)
{
    struct sim *sim = run->sim;
    unsigned depth = sim_below(sim, 2) == 0 ? 0 : 1 + sim_below(sim, 3);
    for (unsigned tries = 0; sim_failure(sim) == NULL; tries++) {
        if (tries > TRIES_MAX) {
            sim_heal(sim);
            sim_disk_capacity(sim, 256 << 20);
            run->calm = true;
        }
        if (tries > TRIES_MAX + 4) {
            sim_fail(sim, "the store does not open");
            break;
        }
        if (sim_below(sim, 2) == 0)
            checkpoint_damage(run);
        if (sim_start(sim) < 0)
            continue;
        if (tries < depth)
            sim_crash_after(sim, kind_draw(sim), 1 + sim_below(sim, 400));
        int result = open_all(run);
        if (result == 0)
            result = users_check(run);
        if (result == 0) {
            sim_crash_after(sim, SIM_FAIL_STOP, 0);
            return sim_failure(sim) == NULL;
        }
        if (result == SIM_STUCK)
            sim_fail(sim, "opening is stuck");
        else if (result != SIM_CRASHED)
            answer_check(run, "store_open", result);
        if (sim_is_up(sim))
            sim_crash(sim, kind_draw(sim));
    }
    return false;
}

static bool is_idle(void *argument)
{
    const struct run *run = argument;
    return run->working == 0;
}

static void life_work(struct run *run)
{
    struct sim *sim = run->sim;
    run->working = 0;
    if (!run->calm && sim_below(sim, 6) != 0)
        sim_crash_after(sim, kind_draw(sim), 1 + sim_below(sim, 4000));
    for (unsigned i = 0; i < MODEL_USERS; i++) {
        run->persons[i] = (struct person){run, i};
        run->working++;
        sim_spawn(sim, home_of(run, i), user_body, &run->persons[i], NULL);
    }
    for (unsigned i = 0; i < WATCHERS; i++) {
        run->working++;
        sim_spawn(sim, home_of(run, i), watcher_body, &run->persons[i], NULL);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        run->working++;
        sim_spawn(sim, sim_below(sim, run->cores), sender_body, run, NULL);
    }
    for (unsigned i = 0; i < run->cores; i++) {
        run->working++;
        sim_spawn(sim, i, tending_body, run, NULL);
    }
    if (sim_until(sim, is_idle, run, UINT64_C(900000000000)) == SIM_STUCK)
        sim_fail(sim, "the workers are stuck");
    sim_crash_after(sim, SIM_FAIL_STOP, 0);
}

static void life_close(struct run *run)
{
    for (unsigned i = run->cores; i-- > 0;)
        if (sim_run(run->sim, i, close_body, NULL) != 0)
            sim_fail(run->sim, "store_close does not return");
    sim_stop(run->sim);
}

/* Faults are over: what was accepted arrives, and everything works. */
static void last_life(struct run *run)
{
    sim_heal(run->sim);
    sim_disk_capacity(run->sim, 256 << 20);
    run->calm = true;
    if (!life_begin(run))
        return;
    sim_pass(run->sim, UINT64_C(20000000000)); /* couriers */
    life_work(run);
    sim_pass(run->sim, UINT64_C(20000000000));
    if (users_check(run) != 0)
        sim_fail(run->sim, "the users cannot be read");
    model_finish(run->model);
    life_close(run);
}

int scenario_store(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    uint64_t draw = hash_u64(one->seed + 77);
    options.engine.core_count = 1 + (unsigned)(draw % 3);
    options.engine.fibers_max = 64;
    options.engine.stack_bytes = 131072;
    options.engine.buffers = 2;
    options.engine.connections_max = 4;
    options.disk_bytes = (draw >> 8) % 8 == 0 ? (4 << 20) + (draw >> 16) % (8 << 20) : 64 << 20;
    struct sim *sim = sim_create(&options);
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL)
        abort();
    struct run run = {
        .sim = sim,
        .model = model,
        .cores = options.engine.core_count,
        .options = {.directory = "/store",
                    .shard_count = 1 + (unsigned)(draw >> 32) % 4,
                    .segment_bytes = 65536 << (draw >> 40) % 3,
                    .cache_bytes = (draw >> 44) % 3 == 0 ? 0 : 30000,
                    .index_bytes_max = (draw >> 48) % 2 == 0 ? 1 : 1 << 20},
    };
    model_begin(model, sim);
    /* The operator's directory is durable; for another the promise is less, see identity.c. */
    if (options.faults[SIM_FAULT_FSYNC_ERROR] > 0)
        sim_file_patch(sim, "/store/made", 0, "", 1);
    for (unsigned i = 0; i < LIVES && life_begin(&run); i++) {
        if (sim_case_step(one, i))
            life_work(&run);
        if (sim_is_up(sim) && sim_failure(sim) == NULL && sim_below(sim, 3) == 0)
            life_close(&run);
        else if (sim_is_up(sim))
            sim_crash(sim, kind_draw(sim));
    }
    if (sim_failure(sim) == NULL)
        last_life(&run);
    if (one->verbose)
        fprintf(stderr, "%.*s", (int)sim_log(sim).size, sim_log(sim).data);
    free(model);
    return sim_case_end(sim, why, why_size);
}
