/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Going out under chaos: on one to three cores the line server, and beside it fibers that connect
 * to it again and again, ask, read, give up, and leave in the middle; through several lives.
 *
 * Oracle: a connect ends, by its deadline or soon after, with one of the errors that it may have;
 * what a client reads is what it asked for, up to where it ends; all of it when no fault got in the
 * way. In the end, healed, every client is done, every session ends, and nothing is left.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/dial_client.h"
#include "../unit/line_server.h"
#include "scenarios.h"

enum { PORT = 25, CALLERS_MAX = 8, VISITS_MAX = 6, LIVES_MAX = 3, BYTES_MAX = 40000 };
/* How late the world's own faults may make a completion and a turn, many times over. */
static const uint64_t LATE_NS = UINT64_C(20000000000), SECOND_NS = UINT64_C(1000000000);
/* Hours: single bytes over a slow network. */
static const uint64_t PATIENCE_NS = UINT64_C(40000000000000);

struct trip {
    const struct sim_case *one;
    struct sim *sim;
    struct line_server lines;
    struct listener *listeners[CORES_MAX];
    unsigned cores, returned, callers;
    bool is_quiet; /* no fault that a client could feel */
    bool is_stopping;
    uint32_t steps;
};

/* ---------------------------------------------------------------- a client */

struct caller {
    struct trip *trip;
    struct core *core;
};

static bool is_told(int result)
{
    static const int told[] = {-ECONNREFUSED, -ECONNRESET,   -EADDRNOTAVAIL, -EADDRINUSE,
                               -ENETUNREACH,  -EHOSTUNREACH, -ENOBUFS,       -ENFILE,
                               -EMFILE,       -ENOMEM,       -ETIMEDOUT,     -EOPNOTSUPP};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (told[i] == result)
            return true;
    return false;
}

/* Reads `size` bytes of the pattern, or fewer when the stream ends; how many. */
static size_t read_pattern(struct trip *trip, struct stream *stream, size_t size)
{
    size_t got = 0;
    struct slice bytes;
    while (got < size && stream_peek(stream, &bytes) == 0) {
        bytes = slice_first(bytes, size - got);
        for (size_t i = 0; i < bytes.size; i++)
            if (bytes.data[i] != pattern(got + i))
                sim_fail(trip->sim, "byte %zu is not what was asked for", got + i);
        got += bytes.size;
        stream_consume(stream, bytes.size);
    }
    return got;
}

/* A line as wanted, or the end. False: the end. */
static bool read_line(struct trip *trip, struct stream *stream, const char *want)
{
    struct slice line;
    int result = stream_read_line(stream, 1000, &line);
    if (result < 0)
        return false;
    if (!slice_equal(line, slice_cstr(want)) && !slice_equal(line, SLICE("busy")))
        sim_fail(trip->sim, "got the line %.*s, want %s", (int)line.size, line.data, want);
    return slice_equal(line, slice_cstr(want));
}

static bool ask(struct trip *trip, struct stream *stream)
{
    struct sim *sim = trip->sim;
    char text[100];
    size_t size = 1 + sim_below(sim, 1u << (4 + sim_below(sim, 12)));
    switch (sim_below(sim, 3)) {
    case 0:
        snprintf(text, sizeof text, "number %zu\r\n", size);
        stream_write(stream, slice_cstr(text));
        text[strlen(text) - 2] = '\0';
        return read_line(trip, stream, text);
    case 1:
        snprintf(text, sizeof text, "%s %zu\r\n", sim_below(sim, 2) ? "send" : "write", size);
        stream_write(stream, slice_cstr(text));
        return read_line(trip, stream, "begin") && read_pattern(trip, stream, size) == size &&
               read_line(trip, stream, "end");
    default:
        snprintf(text, sizeof text, "sink %zu\r\n", size);
        stream_write(stream, slice_cstr(text));
        char *data = malloc(size);
        if (data == NULL)
            return false;
        pattern_fill(data, size, 0);
        int result = stream_send(stream, slice_of(data, size));
        free(data);
        snprintf(text, sizeof text, "got %zu", size);
        return result == 0 && read_line(trip, stream, text);
    }
}

static void visit(struct trip *trip, struct core *core)
{
    struct sim *sim = trip->sim;
    struct dialed client;
    struct stream_target target = target_v4(PORT);
    uint64_t wait_ns = 1 + sim_below(sim, 1u << (10 + sim_below(sim, 22)));
    uint64_t before = core_now_ns(core);
    if (sim_below(sim, 3) == 0) /* one of ours; at times none of ours */
        memcpy(target.source, sim_below(sim, 10) ? "\x7f\x00\x00\x05" : "\xcb\x00\x71\x05", 4);
    bool is_patient = sim_below(sim, 2) == 0;
    int result = dial(core, &client, &target, is_patient ? 200 * SECOND_NS : wait_ns);
    if (core_now_ns(core) - before > (is_patient ? 200 * SECOND_NS : wait_ns) + LATE_NS)
        sim_fail(sim, "the connect outlived its deadline");
    if (result < 0) {
        if (!is_told(result))
            sim_fail(sim, "connecting: %d", result);
        if (trip->is_quiet && is_patient && target.source[0] != 0xcb)
            sim_fail(sim, "connecting: %d, though nothing was in the way", result);
        return;
    }
    if (target.source[0] == 0xcb)
        sim_fail(sim, "connected from an address that is none of ours");
    bool is_whole = true;
    uint64_t idle_ns = is_patient ? PATIENCE_NS / 4 : wait_ns + SECOND_NS / 100;
    stream_deadline(&client.stream, core_now_ns(core) + idle_ns);
    for (unsigned count = sim_below(sim, 4); count > 0 && is_whole; count--)
        is_whole = ask(trip, &client.stream);
    if (!is_whole && trip->is_quiet && is_patient)
        sim_fail(sim, "ended (%d), though nothing was in the way", client.stream.end);
    if (is_whole && sim_below(sim, 2) == 0) { /* leaves in the middle */
        stream_write(&client.stream, SLICE("write 30000\r\nsink 10\r\n"));
        if (sim_below(sim, 2) == 0)
            read_line(trip, &client.stream, "begin");
    }
    dialed_close(&client);
}

static void caller_fiber(void *argument)
{
    struct caller *caller = argument;
    struct trip *trip = caller->trip;
    struct sim *sim = trip->sim;
    for (unsigned count = 1 + sim_below(sim, VISITS_MAX); count > 0; count--) {
        fiber_sleep(caller->core, sim_below(sim, 100000000));
        if (sim_case_step(trip->one, trip->steps++))
            visit(trip, caller->core);
    }
    trip->callers--;
    free(caller);
}

/* ---------------------------------------------------------------- a core */

static int core_body(struct core *core, void *argument)
{
    struct trip *trip = argument;
    struct listener **listener = &trip->listeners[core_index(core)];
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = PORT,
        .connections_max = 50,
        .refusal = SLICE("busy\r\n"),
        .accepted = line_server_accepted,
        .argument = &trip->lines,
    };
    while (net_open(core) < 0)
        fiber_sleep(core, 100000000);
    while (listener_open(core, &options, listener) < 0)
        fiber_sleep(core, 100000000);
    for (unsigned i = 1 + sim_below(trip->sim, CALLERS_MAX); i > 0; i--) {
        struct caller *caller = malloc(sizeof *caller);
        if (caller == NULL)
            continue;
        *caller = (struct caller){trip, core};
        trip->callers++;
        if (fiber_start(core, caller_fiber, caller) < 0) {
            trip->callers--;
            free(caller);
        }
    }
    fiber_sleep(core, SECOND_NS);
    while (trip->callers > 0)
        fiber_sleep(core, SECOND_NS);
    while (!trip->is_stopping)
        fiber_sleep(core, SECOND_NS);
    listener_close(*listener);
    while (trip->lines.sessions > 0)
        fiber_sleep(core, SECOND_NS);
    fiber_sleep(core, SECOND_NS);
    net_close(core);
    trip->returned++;
    return 0;
}

/* ---------------------------------------------------------------- lives */

static bool is_called(void *argument)
{
    const struct trip *trip = argument;
    return trip->callers == 0;
}

static bool all_returned(void *argument)
{
    const struct trip *trip = argument;
    return trip->returned == trip->cores;
}

static void look_quiet(struct trip *trip, const struct sim_options *options)
{
    static const enum sim_fault harmless[] = {
        SIM_FAULT_SHORT_SEND,    SIM_FAULT_SHORT_RECV,      SIM_FAULT_NO_BUFFERS,
        SIM_FAULT_MULTISHOT_END, SIM_FAULT_ENTER_INTR,      SIM_FAULT_ENTER_PARTIAL,
        SIM_FAULT_LATE_WAKE,     SIM_FAULT_LATE_COMPLETION, SIM_FAULT_CLOCK_JUMP,
        SIM_FAULT_LOG_FULL,      SIM_FAULT_STALL,           SIM_FAULT_PEER_NAME};
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        seen |= UINT64_C(1) << harmless[i];
    trip->is_quiet = true;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (options->faults[i] > 0 && !(seen >> i & 1))
            trip->is_quiet = false;
}

/* False: it crashed. */
static bool live(struct trip *trip)
{
    struct sim *sim = trip->sim;
    trip->lines.sessions = trip->callers = trip->returned = 0;
    trip->is_stopping = false;
    if (sim_start(sim) < 0)
        return false;
    for (unsigned i = 0; i < trip->cores; i++)
        if (sim_spawn(sim, i, core_body, trip, NULL) != 0)
            return false;
    int result = sim_pass(sim, 2 * SECOND_NS);
    if (result == 0)
        result = sim_until(sim, is_called, trip, 10 * PATIENCE_NS);
    if (result == SIM_STUCK)
        sim_fail(sim, "the clients do not come to an end");
    return result == 0;
}

static void rest(struct trip *trip)
{
    struct sim *sim = trip->sim;
    trip->is_stopping = true;
    sim_heal(sim);
    if (sim_until(sim, all_returned, trip, 10 * PATIENCE_NS) != 0)
        sim_fail(sim, "the sessions do not come to an end");
    else if (sim_stop(sim) != 0)
        sim_fail(sim, "the engine does not come to rest");
}

int scenario_dial(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.engine.core_count = 1 + (unsigned)(one->seed * 0x9e3779b97f4a7c15u >> 40) % 3;
    options.engine.connects = true;
    options.engine.fibers_max = 200;
    options.engine.connections_max = 200;
    struct trip *trip = sim_keep_alloc(sizeof *trip);
    struct sim *sim = sim_create(&options);
    *trip = (struct trip){.one = one, .sim = sim, .cores = options.engine.core_count};
    trip->lines.idle_ns = PATIENCE_NS;
    look_quiet(trip, &options);
    unsigned lives = 1 + sim_below(sim, LIVES_MAX);
    bool is_up = false;
    for (unsigned i = 0; i < lives && sim_failure(sim) == NULL; i++) {
        bool is_last = i + 1 == lives;
        if (!is_last)
            sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                            1 + sim_below(sim, 1u << (6 + sim_below(sim, 9))));
        is_up = live(trip);
        sim_crash_after(sim, SIM_KILL, 0);
        if (is_up && !is_last)
            sim_crash(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS));
        else if (!is_up && sim_is_up(sim) && sim_failure(sim) == NULL)
            sim_crash(sim, SIM_FAIL_STOP);
    }
    if (is_up && sim_is_up(sim) && sim_failure(sim) == NULL)
        rest(trip);
    int result = sim_case_end(sim, why, why_size);
    sim_keep_free(trip);
    return result;
}
