/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The power-cut loop of the log. For each seed a world with a drawn subset of disk faults; in it a
 * log with tiny segments, to which several fibers append, read and drop, and which is crashed six
 * times: by a power cut, kill -9 (writes in flight may land in the next life) or a fail-stop; in
 * the middle of recovery too, up to three deep. After each recovery the oracle compares (row F02 of
 * the list of bad input).
 *
 * usage: log_cuts [--seeds A..B] [--until-failure] [--verbose]
 *
 * Prints what happened, and each failure with its seed; exit status 1 if there was one.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log_oracle.h"

enum { CRASHES = 6, WORKERS = 3, BATCH_MAX = 4, BODY_MAX = 40000 };

struct totals {
    uint64_t seeds, crashes[SIM_CRASH_KINDS], in_recovery, ends, acknowledged, recovered, drops,
        faults, late, refused, failures, log_failures, reads, opens_failed;
};

struct cuts {
    struct sim *sim;
    struct oracle *oracle;
    struct totals *totals;
    struct log *log; /* of the present life */
    struct log_options options;
    unsigned workers, dropping;
    bool calm; /* faults are off: errors are failures */
};

/* ---------------------------------------------------------------- the program's side */

static int open_body(struct core *core, void *argument)
{
    struct cuts *cuts = argument;
    struct log *log;
    int result =
        log_open(core, &cuts->options, cuts->oracle->from, oracle_replay, cuts->oracle, &log);
    if (result == 0)
        cuts->log = log;
    return result;
}

struct batch;
struct sending {
    struct log_append append;
    struct batch *batch;
    uint32_t id;
    char meta[ORACLE_META_MAX];
};
struct batch {
    struct cuts *cuts;
    struct core *core;
    struct fiber *fiber;
    unsigned open;
    bool waits, failed;
    struct sending sendings[BATCH_MAX];
};

static void sending_done(struct log_append *append, int result)
{
    struct sending *sending = (struct sending *)append;
    struct batch *batch = sending->batch;
    struct cuts *cuts = batch->cuts;
    oracle_answer(cuts->oracle, sending->id, result);
    batch->failed = batch->failed || result < 0;
    cuts->totals->refused += result < 0;
    if (result < 0 && cuts->calm)
        sim_fail(cuts->sim, "append %u failed without a fault: %d", sending->id, result);
    if (--batch->open == 0 && batch->waits)
        fiber_wake(batch->core, batch->fiber);
}

static uint32_t drawn_size(struct sim *sim)
{
    uint32_t kind = sim_below(sim, 16);
    if (kind == 0)
        return 16385 + sim_below(sim, BODY_MAX - 16385); /* written from where it was received */
    return kind < 4 ? 1 + sim_below(sim, 6000) : 1 + sim_below(sim, 900);
}

static void send_one(struct batch *batch, struct sending *sending)
{
    struct cuts *cuts = batch->cuts;
    struct sim *sim = cuts->sim;
    bool is_message = sim_below(sim, 3) != 0;
    uint32_t size = is_message ? drawn_size(sim) : 0;
    struct log_body *body = is_message ? log_body_take(batch->core, size) : NULL;
    if (is_message && body == NULL)
        return;
    uint32_t meta = 4 + sim_below(sim, sim_below(sim, 20) == 0 ? ORACLE_META_MAX - 4 : 200);
    uint32_t id =
        oracle_new(cuts->oracle, is_message ? LOG_RECORD_MESSAGE : LOG_RECORD_EVENTS, size, meta);
    size_t room;
    if (is_message) {
        char *to = log_body_room(body, size, &room);
        oracle_body(id, to, size);
        log_body_added(body, size);
    }
    oracle_meta(cuts->oracle, id, sending->meta);
    sending->batch = batch;
    sending->id = id;
    sending->append = (struct log_append){.type = cuts->oracle->entries[id].type,
                                          .urgent = !is_message,
                                          .body = body,
                                          .meta = slice_of(sending->meta, meta),
                                          .done = sending_done};
    batch->open++;
    log_append(cuts->log, &sending->append);
    oracle_sent(cuts->oracle, id, &sending->append);
}

static void send_batch(struct batch *batch)
{
    unsigned count = 1 + sim_below(batch->cuts->sim, BATCH_MAX);
    batch->failed = batch->waits = false;
    batch->open = 1;
    for (unsigned i = 0; i < count; i++)
        send_one(batch, &batch->sendings[i]);
    if (--batch->open > 0) {
        batch->waits = true;
        fiber_park(batch->core);
    }
}

static void read_some(struct cuts *cuts)
{
    struct oracle *oracle = cuts->oracle;
    if (oracle->count == 0)
        return;
    uint32_t id = sim_below(cuts->sim, oracle->count);
    if (!oracle_is_present(&oracle->entries[id]))
        return;
    oracle_read(oracle, cuts->log, id, !cuts->calm);
    cuts->totals->reads++;
}

/* Says that an old segment is dead, and drops it. */
static void drop_one(struct cuts *cuts)
{
    struct log_segment segments[64];
    unsigned count = log_segments(cuts->log, segments, 64);
    if (count < 3 || cuts->dropping != 0)
        return;
    uint32_t number = segments[sim_below(cuts->sim, count - 1)].number;
    cuts->dropping = number;
    oracle_drop(cuts->oracle, number, false);
    int result = log_drop(cuts->log, number);
    if (result == 0) {
        oracle_drop(cuts->oracle, number, true);
        cuts->totals->drops++;
    }
    cuts->dropping = 0;
}

static int worker_body(struct core *core, void *argument)
{
    struct cuts *cuts = argument;
    struct sim *sim = cuts->sim;
    struct batch batch = {.cuts = cuts, .core = core, .fiber = fiber_current(core)};
    for (unsigned left = 3 + sim_below(sim, 8); left > 0; left--) {
        send_batch(&batch);
        if (sim_below(sim, 4) == 0)
            read_some(cuts);
        if (sim_below(sim, 8) == 0)
            drop_one(cuts);
        if (batch.failed || sim_below(sim, 16) == 0)
            fiber_sleep(core, 1000000 * (1 + sim_below(sim, 1500)));
    }
    cuts->workers--;
    return 0;
}

/* ---------------------------------------------------------------- crashes */

static void faults_draw(struct sim_options *options, struct sim *chance)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_SHORT_READ,    SIM_FAULT_SHORT_WRITE,
                                           SIM_FAULT_READ_ERROR,    SIM_FAULT_WRITE_ERROR,
                                           SIM_FAULT_WRITE_FULL,    SIM_FAULT_FSYNC_ERROR,
                                           SIM_FAULT_NAME_ERROR,    SIM_FAULT_LATE_COMPLETION,
                                           SIM_FAULT_ENTER_PARTIAL, SIM_FAULT_SLOW_DISK};
    (void)chance;
    uint64_t draw = options->seed * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        draw ^= draw >> 29;
        draw *= 0xbf58476d1ce4e5b9u;
        if ((draw >> 60) < 5)
            options->faults[kinds[i]] =
                sim_fault_rows[kinds[i]].rate * (uint32_t)(1 + (draw >> 56 & 15));
    }
    if ((draw >> 48 & 7) == 0)
        options->disk_bytes = 65536 * (3 + (draw >> 40 & 7));
}

static enum sim_crash_kind kind_draw(struct sim *sim)
{
    uint32_t draw = sim_below(sim, 16);
    return draw < 9 ? SIM_POWER_CUT : draw < 14 ? SIM_KILL : SIM_FAIL_STOP;
}

static void crash_now(struct cuts *cuts)
{
    enum sim_crash_kind kind = kind_draw(cuts->sim);
    cuts->totals->crashes[kind]++;
    sim_crash(cuts->sim, kind);
}

/* A life begins: 0, or SIM_CRASHED, or what log_open said; planned crashes are counted. */
static int life_begin(struct cuts *cuts, uint64_t crash_events)
{
    struct sim *sim = cuts->sim;
    enum sim_crash_kind kind = kind_draw(sim);
    cuts->log = NULL;
    if (sim_start(sim) < 0)
        return -EIO;
    oracle_life(cuts->oracle);
    if (crash_events > 0)
        sim_crash_after(sim, kind, crash_events);
    int result = sim_run(sim, 0, open_body, cuts);
    if (result == SIM_CRASHED)
        cuts->totals->crashes[kind]++;
    if (result == 0)
        oracle_recovered(cuts->oracle);
    if (result == SIM_STUCK)
        sim_fail(sim, "log_open is stuck");
    return result;
}

static bool is_settled(void *argument)
{
    const struct cuts *cuts = argument;
    return cuts->workers == 0;
}

/* Opens, with crashes on the way and errors as they come. False: the seed has failed. */
static bool life_open(struct cuts *cuts)
{
    unsigned depth = sim_below(cuts->sim, 2) == 0 ? 0 : 1 + sim_below(cuts->sim, 3);
    for (unsigned tries = 0; sim_failure(cuts->sim) == NULL; tries++) {
        if (tries > 12) {
            sim_heal(cuts->sim);
            sim_disk_capacity(cuts->sim, 64 << 20);
            cuts->calm = true;
        }
        uint64_t events = tries < depth ? 1 + sim_below(cuts->sim, 60) : 0;
        int result = life_begin(cuts, events);
        if (result == 0) {
            sim_crash_after(cuts->sim, SIM_FAIL_STOP, 0);
            return sim_failure(cuts->sim) == NULL;
        }
        if (result == SIM_CRASHED) {
            cuts->totals->in_recovery++;
            continue;
        }
        cuts->totals->opens_failed++;
        if (cuts->calm || (result != -EIO && result != -ENOSPC))
            sim_fail(cuts->sim, "log_open: %d", result);
        if (sim_is_up(cuts->sim))
            crash_now(cuts);
    }
    return false;
}

static void life_work(struct cuts *cuts)
{
    struct sim *sim = cuts->sim;
    enum sim_crash_kind kind = kind_draw(sim);
    if (sim_below(sim, 8) != 0)
        sim_crash_after(sim, kind, 1 + sim_below(sim, 500));
    cuts->workers = WORKERS;
    cuts->dropping = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        sim_spawn(sim, 0, worker_body, cuts, NULL);
    int result = sim_until(sim, is_settled, cuts, UINT64_C(600000000000));
    if (result == SIM_CRASHED)
        cuts->totals->crashes[kind]++;
    else if (result == SIM_STUCK)
        sim_fail(sim, "the workers are stuck");
    if (sim_is_up(sim)) {
        struct log_statistics statistics;
        log_statistics(cuts->log, &statistics);
        cuts->totals->log_failures += statistics.failures;
        if (sim_below(sim, 4) == 0)
            cuts->oracle->from = log_durable_end(cuts->log);
    }
}

static int close_body(struct core *core, void *argument)
{
    (void)core;
    struct cuts *cuts = argument;
    log_close(cuts->log);
    return 0;
}

/* A good end: everything is closed, nothing is left. */
static void life_close(struct cuts *cuts)
{
    sim_crash_after(cuts->sim, SIM_FAIL_STOP, 0);
    int result = sim_run(cuts->sim, 0, close_body, cuts);
    if (result != 0)
        sim_fail(cuts->sim, "log_close: %d", result);
    sim_stop(cuts->sim);
    cuts->totals->ends++;
}

static int read_all_body(struct core *core, void *argument)
{
    (void)core;
    struct cuts *cuts = argument;
    for (uint32_t id = 0; id < cuts->oracle->count; id++)
        if (oracle_is_present(&cuts->oracle->entries[id]))
            oracle_read(cuts->oracle, cuts->log, id, false);
    return 0;
}

/* Faults are over: everything is there, and mail flows again. */
static void last_life(struct cuts *cuts)
{
    struct sim *sim = cuts->sim;
    sim_heal(sim);
    sim_disk_capacity(sim, 64 << 20);
    sim_disk_slow(sim, 0);
    cuts->calm = true;
    cuts->oracle->from = (struct log_position){0, 0};
    if (life_begin(cuts, 0) != 0) {
        sim_fail(sim, "the last log_open failed");
        return;
    }
    sim_run(sim, 0, read_all_body, cuts);
    cuts->workers = 1;
    sim_spawn(sim, 0, worker_body, cuts, NULL);
    if (sim_until(sim, is_settled, cuts, UINT64_C(60000000000)) != 0)
        sim_fail(sim, "mail does not flow again");
    else
        life_close(cuts);
}

/* ---------------------------------------------------------------- one seed, many seeds */

static uint64_t seed_now;

/* An assertion of the program has failed, or worse: which seed was it? */
static void aborted(int signal_number)
{
    char line[80];
    int size = snprintf(line, sizeof line, "seed %llu: signal %d\n", (unsigned long long)seed_now,
                        signal_number);
    if (write(STDOUT_FILENO, line, (size_t)size) < 0)
        _exit(2);
    _exit(1);
}

/* False: failed. */
static bool seed_run(uint64_t seed, struct oracle *oracle, struct totals *totals, bool verbose)
{
    struct sim_options options;
    seed_now = seed;
    sim_options_calm(&options, seed);
    options.verbose = verbose;
    options.in_order = false;
    options.engine.fibers_max = 16;
    options.engine.connections_max = 4;
    options.engine.buffers = 2;
    faults_draw(&options, NULL);
    struct sim *sim = sim_create(&options);
    struct cuts cuts = {
        .sim = sim,
        .oracle = oracle,
        .totals = totals,
        .options = {.directory = "/s",
                    .shard = 1,
                    .store_id = 0x1122334455667788 + seed,
                    .segment_bytes = 65536 << (seed % 16 == 0),
                    .cache_bytes = seed % 4 == 0 ? 0 : 20000,
                    .spare_segments = 1 + seed % 2},
    };
    oracle_begin(oracle, sim);
    sim_file_patch(sim, "/s/made", 0, "", 1);
    for (unsigned i = 0; i < CRASHES && life_open(&cuts); i++) {
        life_work(&cuts);
        if (!sim_is_up(sim))
            continue;
        if (sim_below(sim, 3) == 0 && sim_failure(sim) == NULL)
            life_close(&cuts);
        else
            crash_now(&cuts);
    }
    if (sim_failure(sim) == NULL)
        last_life(&cuts);
    totals->seeds++;
    totals->acknowledged += oracle->acknowledged;
    totals->recovered += oracle->recovered;
    totals->faults += sim_count(sim, SIM_COUNT_FAULTS);
    totals->late += sim_count(sim, SIM_COUNT_LATE_WRITES);
    const char *why = sim_failure(sim);
    if (why != NULL) {
        printf("seed %llu: %s\n", (unsigned long long)seed, why);
        fflush(stdout);
        totals->failures++;
    }
    sim_destroy(sim);
    return why == NULL;
}

static void print_totals(const struct totals *totals, double seconds)
{
    uint64_t crashes = 0;
    for (unsigned i = 0; i < SIM_CRASH_KINDS; i++)
        crashes += totals->crashes[i];
    printf("%llu seeds, %llu crashes: %llu power cuts, %llu kills, %llu fail-stops (%llu in "
           "recovery)\n",
           (unsigned long long)totals->seeds, (unsigned long long)crashes,
           (unsigned long long)totals->crashes[SIM_POWER_CUT],
           (unsigned long long)totals->crashes[SIM_KILL],
           (unsigned long long)totals->crashes[SIM_FAIL_STOP],
           (unsigned long long)totals->in_recovery);
    printf("%llu acknowledged, %llu recovered, %llu drops, %llu disk faults, %llu late writes, "
           "%llu appends refused, %llu epochs failed, %llu opens failed, %llu reads, %llu ends\n",
           (unsigned long long)totals->acknowledged, (unsigned long long)totals->recovered,
           (unsigned long long)totals->drops, (unsigned long long)totals->faults,
           (unsigned long long)totals->late, (unsigned long long)totals->refused,
           (unsigned long long)totals->log_failures, (unsigned long long)totals->opens_failed,
           (unsigned long long)totals->reads, (unsigned long long)totals->ends);
    printf("%.1f s, %.0f crashes/s; failures: %llu\n", seconds,
           seconds > 0 ? (double)crashes / seconds : 0, (unsigned long long)totals->failures);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **arguments)
{
    uint64_t first = 1, last = 500;
    bool until_failure = false, verbose = false;
    for (int i = 1; i < count; i++) {
        char *end;
        if (strcmp(arguments[i], "--until-failure") == 0) {
            until_failure = true;
        } else if (strcmp(arguments[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(arguments[i], "--seeds") == 0 && i + 1 < count) {
            first = last = strtoull(arguments[++i], &end, 10);
            if (end[0] == '.' && end[1] == '.')
                last = strtoull(end + 2, NULL, 10);
        } else {
            fprintf(stderr, "usage: log_cuts [--seeds A..B] [--until-failure] [--verbose]\n");
            return 2;
        }
    }
    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    struct oracle *oracle = calloc(1, sizeof *oracle);
    struct totals totals = {0};
    if (oracle == NULL)
        return 2;
    for (uint64_t seed = first; seed <= last; seed++)
        if (!seed_run(seed, oracle, &totals, verbose) && until_failure)
            break;
    print_totals(&totals, cpu_seconds());
    free(oracle);
    return totals.failures > 0;
}
