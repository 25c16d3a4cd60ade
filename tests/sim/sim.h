/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator: a world with one seed, in which the very same libraries run over a simulated
 * kernel (tests/sim/kernel_*.c in place of src/engine/kernel_linux*.c). The world owns time, order,
 * network, disk, chance and faults; one thread steps all cores. The same seed and the same calls
 * give the same run, down to the trace hash.
 *
 *      scenario (test code)                       the program under test
 *   sim_create ─ sim_start ──────────────▶ engine_create, core_open on each core
 *   sim_run(core, fn) ────────────────────▶ fn on a fiber of that core
 *   sim_connect, sim_client_send … ───────▶ sockets ─▶ listener ─▶ streams
 *   sim_crash(POWER_CUT) ─────────────────▶ core_abandon; the disk keeps what it must, and chance
 *   sim_start ────────────────────────────▶ the next life, on the same disk
 *   sim_failure, sim_destroy
 *
 * A smallest use:
 *
 *   struct sim_options options;
 *   sim_options_calm(&options, seed);          // or sim_options_draw: a random subset of faults
 *   struct sim *sim = sim_create(&options);
 *   sim_start(sim);
 *   int result = sim_run(sim, 0, open_my_log, &state); // int open_my_log(struct core *, void *)
 *   if (result != SIM_CRASHED) ...
 *   sim_crash(sim, SIM_POWER_CUT);
 *   sim_start(sim);
 *   ...
 *   sim_destroy(sim);
 *
 * Cores are stepped like threads: each runs on a stack of its own and gives way to the world
 * between turns and where it would sleep in the kernel. Virtual time passes a little with each turn
 * and jumps to the next event when nobody has work. So `core->sleeping`, wake-ups and timeouts are
 * real.
 *
 * Memory: what the program under test allocates (malloc family, mmap) while a core runs belongs to
 * that life; a crash frees it, as the end of a process would. So an oracle that must survive
 * crashes allocates outside of cores' turns or with sim_keep_*; an array that was allocated outside
 * may be realloc()ed inside. This is done by the linker's --wrap (see meson.build), so the
 * n-th allocation can be made to fail too.
 */
#ifndef RINGPOST_TESTS_SIM_H
#define RINGPOST_TESTS_SIM_H

#include <limits.h>

#include "ringpost/core.h"

struct sim;
struct sim_client;

/* ---------------------------------------------------------------- faults: one row each */

/* enumerator, name, usual rate (per million chances), what happens. To add one: a row here, and
 * sim_chance(sim, SIM_FAULT_X) where it happens. */
#define SIM_FAULT_TABLE(ROW)                                                                       \
    ROW(SHORT_READ, "short-read", 20000, "a file read returns fewer bytes than there are")         \
    ROW(SHORT_WRITE, "short-write", 10000, "a file write takes only its first bytes")              \
    ROW(READ_ERROR, "read-error", 1000, "a file read fails with EIO")                              \
    ROW(WRITE_ERROR, "write-error", 2000, "a file write fails with EIO; some sectors may be new")  \
    ROW(WRITE_FULL, "write-full", 2000, "a file write fails with ENOSPC")                          \
    ROW(FSYNC_ERROR, "fsync-error", 5000, "an fsync fails; its pages are lost for good")           \
    ROW(NAME_ERROR, "name-error", 1000, "open, rename, unlink, fallocate fail with EIO")           \
    ROW(BIT_ROT, "bit-rot", 200, "one bit of what a read returns is wrong (the medium too)")       \
    ROW(SLOW_DISK, "slow-disk", 5000, "a file operation takes up to 5 s")                          \
    ROW(SHORT_SEND, "short-send", 50000, "a send takes only its first bytes")                      \
    ROW(SHORT_RECV, "short-recv", 50000, "a receive returns fewer bytes than are there")           \
    ROW(RESET, "reset", 300, "a connection is reset under a transfer")                             \
    ROW(SILENT, "silent", 300, "a peer vanishes: nothing comes, nothing is taken, ever")           \
    ROW(SLOW_PEER, "slow-peer", 20000, "a segment takes up to 30 s")                               \
    ROW(NO_BUFFERS, "no-buffers", 10000, "a multishot receive ends with ENOBUFS")                  \
    ROW(MULTISHOT_END, "multishot-end", 20000, "a completion comes without F_MORE")                \
    ROW(ACCEPT_ERROR, "accept-error", 10000, "accept ends: ECONNABORTED, ENFILE, EMFILE, ENOMEM")  \
    ROW(PEER_NAME, "peer-name", 5000, "the peer's name cannot be told")                            \
    ROW(MOVE_ERROR, "move-error", 10000, "a slot cannot be sent to another ring (ENFILE)")         \
    ROW(ENTER_INTR, "enter-intr", 20000, "enter returns EINTR, EAGAIN or EBUSY, nothing taken")    \
    ROW(ENTER_PARTIAL, "enter-partial", 20000, "enter takes only a part of the queue")             \
    ROW(LATE_COMPLETION, "late-completion", 20000, "a completion is posted up to 50 ms late")      \
    ROW(LATE_WAKE, "late-wake", 20000, "a wake-up of a core arrives up to 20 ms late")             \
    ROW(STALL, "stall", 2000, "a core is not scheduled for up to 200 ms")                          \
    ROW(CLOCK_JUMP, "clock-jump", 500, "the wall clock jumps by up to a day, either way")          \
    ROW(HELP_FULL, "help-full", 20000, "the helpers' queue is full")                               \
    ROW(CALL_ERROR, "call-error", 1000, "a blocking start-up call fails")                          \
    ROW(NO_MEMORY, "no-memory", 500, "an allocation fails")                                        \
    ROW(LOG_FULL, "log-full", 20000, "a log line is not taken, or in part")                        \
    ROW(SOCKET_ERROR, "socket-error", 5000, "socket ends: ENFILE, ENOBUFS ...; bind: EADDRINUSE")  \
    ROW(OPTION_ERROR, "option-error", 5000, "an option cannot be set by the ring (EOPNOTSUPP)")    \
    ROW(CONNECT_ERROR, "connect-error", 5000, "connect ends: refused, reset, EADDRNOTAVAIL ...")   \
    ROW(CONNECT_LOST, "connect-lost", 2000, "nobody answers a connect: ETIMEDOUT after 127 s")

#define SIM_FAULT_ENUM(enumerator, name, rate, help) SIM_FAULT_##enumerator,
enum sim_fault { SIM_FAULT_TABLE(SIM_FAULT_ENUM) SIM_FAULT_COUNT };
#undef SIM_FAULT_ENUM

struct sim_fault_row {
    const char *name;
    uint32_t rate; /* per million */
    const char *help;
};
extern const struct sim_fault_row sim_fault_rows[SIM_FAULT_COUNT];

/* ---------------------------------------------------------------- making a world */

struct sim_options {
    uint64_t seed;
    uint32_t faults[SIM_FAULT_COUNT]; /* per million chances; 0: never */
    uint64_t disk_bytes;              /* capacity: writes beyond it are -ENOSPC */
    int64_t wall_start_ns;            /* wall clock at the start */
    uint64_t monotonic_start_ns;      /* not 0 */
    unsigned sq_entries, cq_entries;  /* of each ring, powers of two; few: full rings are tested */
    unsigned slots;                   /* direct descriptors: 0 as asked by the engine, else that
                                         many above the held ones */
    unsigned disk_ns, net_ns;     /* usual time of an operation, of a segment; drawn around it */
    uint64_t fault_events_max;    /* no fault after that many events; 0: no such bound */
    bool in_order;                /* no drawn delays: completions in the order submitted */
    bool verbose;                 /* every event on stderr */
    struct engine_options engine; /* core_count and pools of every life */
};
/* No faults; 1 core, small pools, 64 MiB of disk. */
void sim_options_calm(struct sim_options *options, uint64_t seed);
/* The same, with a drawn subset of fault kinds on (about a third of them; none at all in every
 * eighth seed), drawn delays, ring sizes and clock. Faults that tell lies no store can repair
 * (BIT_ROT) and NO_MEMORY are never drawn: switch them on by hand. */
void sim_options_draw(struct sim_options *options, uint64_t seed);

struct sim *sim_create(const struct sim_options *options); /* aborts without memory */
/* Also ends a life that is under way (as fail-stop does) and frees clients and actors. */
void sim_destroy(struct sim *sim);

/* Faults can be changed, or all switched off ("heal"), at any time. */
void sim_fault_set(struct sim *sim, enum sim_fault fault, uint32_t per_million);
void sim_heal(struct sim *sim);

/* ---------------------------------------------------------------- lives */

/* Makes the engine of options.engine.core_count cores and opens its cores. 0 or -errno (of
 * core_open, under faults; the life is then over). */
int sim_start(struct sim *sim);
bool sim_is_up(const struct sim *sim);
unsigned sim_life(const struct sim *sim);       /* 1, 2, ...: how many were started */
unsigned sim_kept_alive(const struct sim *sim); /* connects with keep-alive so far */
struct core *sim_core(struct sim *sim, unsigned index);
struct engine *sim_engine(struct sim *sim);
/* A good end: turns until nothing is in flight (at most 10 s of virtual time), core_close on every
 * core. Then at rest: no op in flight, no fiber alive, every buffer home, no slot in use, no memory
 * of that life left; else sim_fail says what. What the program opened it must have closed before.
 * Returns 0, SIM_CRASHED or SIM_STUCK. */
int sim_stop(struct sim *sim);

enum sim_crash_kind {
    SIM_POWER_CUT, /* page cache, unsynced names and sectors: see "disk" below */
    SIM_KILL,      /* kill -9: page cache stays; requests in flight are done, dropped, or land LATE,
                      in the next life */
    SIM_FAIL_STOP, /* abort(): as SIM_KILL, but nothing lands late */
    SIM_CRASH_KINDS
};
/* Now. Not from within a core's turn. The engine is gone afterwards; connections are reset or
 * silent. */
void sim_crash(struct sim *sim, enum sim_crash_kind kind);
/* When `events` more events (completions, deliveries, turns) have happened. 0 calls it off. */
void sim_crash_after(struct sim *sim, enum sim_crash_kind kind, uint64_t events);
/* From within a core's turn (inside a program's hook): at the end of this turn. */
void sim_crash_soon(struct sim *sim, enum sim_crash_kind kind);

/* ---------------------------------------------------------------- running */

enum {
    SIM_CRASHED = INT_MIN,  /* the life ended (a planned crash) */
    SIM_STUCK = INT_MIN + 1 /* nothing is left to happen, or the limit passed */
};
enum { SIM_RUN_SECONDS_MAX = 3600 }; /* virtual, of one call */

/* fn(core, argument) on a fiber of that core, stepping the world until it returns. Its result, or
 * SIM_CRASHED, or SIM_STUCK. */
int sim_run(struct sim *sim, unsigned core, int (*fn)(struct core *core, void *argument),
            void *argument);
/* The same, but does not wait: *ret_result (optional) is set when fn has returned; until then it is
 * not touched. 0, or SIM_CRASHED. */
int sim_spawn(struct sim *sim, unsigned core, int (*fn)(struct core *core, void *argument),
              void *argument, int *ret_result);
/* One event or one turn. False when the life is over or nothing is left to happen. */
bool sim_step(struct sim *sim);
/* Until `until(argument)` is true: 0, SIM_CRASHED, or SIM_STUCK after ns_max of virtual time or
 * when nothing is left to happen. */
int sim_until(struct sim *sim, bool (*until)(void *argument), void *argument, uint64_t ns_max);
/* Until this much virtual time has passed. Works between lives too. */
int sim_pass(struct sim *sim, uint64_t ns);
/* Until only timers of the program further than 100 ms away are left (no operation under way that
 * will complete by itself, no segment on its way). */
int sim_quiet(struct sim *sim);

uint64_t sim_now_ns(const struct sim *sim);
int64_t sim_wall_ns(const struct sim *sim);
void sim_clock_jump(struct sim *sim, int64_t ns); /* of the wall clock */

/* ---------------------------------------------------------------- chance, failure, trace */

/* The scenario's own chance: reproducible, apart from the world's. */
uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t bound);    /* 0 .. bound-1; bound > 0 */
bool sim_chance(struct sim *sim, enum sim_fault fault); /* one chance at the fault's rate; counts */

/* The first failure is kept; stepping goes on. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *sim_failure(const struct sim *sim); /* NULL: none */
/* Adds to the trace (and to stderr when verbose). No pointers. */
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t sim_trace_hash(const struct sim *sim);

/* What happened, since the world began. */
#define SIM_COUNT_TABLE(ROW)                                                                       \
    ROW(EVENTS, "events")                                                                          \
    ROW(TURNS, "turns")                                                                            \
    ROW(ENTRIES, "entries")                                                                        \
    ROW(COMPLETIONS, "completions")                                                                \
    ROW(ACCEPTS, "accepts")                                                                        \
    ROW(BYTES_TO_SERVER, "bytes to the server")                                                    \
    ROW(BYTES_TO_CLIENTS, "bytes to clients")                                                      \
    ROW(FILE_READS, "file reads")                                                                  \
    ROW(FILE_WRITES, "file writes")                                                                \
    ROW(FSYNCS, "fsyncs")                                                                          \
    ROW(CRASHES, "crashes")                                                                        \
    ROW(LATE_WRITES, "writes that landed in the next life")                                        \
    ROW(SECTORS_LOST, "sectors lost at power cuts")                                                \
    ROW(LOG_BYTES, "log bytes")                                                                    \
    ROW(FAULTS, "faults")
#define SIM_COUNT_ENUM(enumerator, name) SIM_COUNT_##enumerator,
enum sim_count { SIM_COUNT_TABLE(SIM_COUNT_ENUM) SIM_COUNT_COUNT };
#undef SIM_COUNT_ENUM
uint64_t sim_count(const struct sim *sim, enum sim_count which);
uint64_t sim_fault_count(const struct sim *sim, enum sim_fault fault);
void sim_print_counts(const struct sim *sim); /* those that are not 0, on stderr */

/* Log lines of the program under test, the last 64 KiB of them. */
struct slice sim_log(const struct sim *sim);

/* ---------------------------------------------------------------- sweeps: the n-th fails */

enum sim_operation {
    SIM_OPERATION_FILE = 1,   /* open read write fsync unlink rename fallocate */
    SIM_OPERATION_SOCKET = 2, /* accept recv send sendmsg peer name, sending a slot to a ring;
                                 socket, its options, bind, connect */
    SIM_OPERATION_CALL = 4,   /* blocking kernel_ calls that can fail, kernel_help */
    SIM_OPERATION_MEMORY = 8, /* malloc family and mmap inside cores' turns */
    SIM_OPERATION_ALL = 15
};
/* Of the kinds given (a mask), the n-th from now (1: the next) fails with `error` (-errno; 0: what
 * is usual for it: EIO, ECONNRESET, ENOMEM ...); with `persistent` all after it too. n = 0 calls it
 * off. */
void sim_fail_nth(struct sim *sim, unsigned kinds, uint64_t n, int error, bool persistent);
/* How many of these kinds there were since sim_fail_nth or the start. */
uint64_t sim_operations(const struct sim *sim, unsigned kinds);
bool sim_nth_failed(const struct sim *sim); /* has the planned failure happened? */
/* Where the program prefers dying to being wrong (out of memory with a durable record in its
 * hands): from now on an assertion that fails once the planned failure or a SIM_FAULT_NO_MEMORY has
 * happened ends the life as SIM_FAIL_STOP, not the test. */
void sim_abort_is_crash(struct sim *sim, bool allowed);
/* The last such assertion: "file:line: text", or NULL. */
const char *sim_aborted(const struct sim *sim);

/* ---------------------------------------------------------------- clients of the network */

/* A connection attempt to whoever listens there ("192.0.2.9" also finds "0.0.0.0" and "::"; a Unix
 * socket: its path, port 0). Never NULL; when nobody listens the client is SIM_CLIENT_REFUSED. All
 * clients live until sim_destroy, or sim_client_forget. */
struct sim_client *sim_connect(struct sim *sim, const char *address, unsigned port);
/* Of the following connections: which core's listener takes them (-1: drawn), and the peer's
 * numeric address (NULL: drawn from 192.0.2.0/24, or 2001:db8::/64 for an IPv6 listener). */
void sim_connect_core(struct sim *sim, int core);
void sim_connect_from(struct sim *sim, const char *address);

enum sim_client_state {
    SIM_CLIENT_OPEN,    /* connected, as far as the client knows */
    SIM_CLIENT_ENDED,   /* the server has closed: end of stream, all its bytes were received */
    SIM_CLIENT_RESET,   /* by the server, or by a fault */
    SIM_CLIENT_REFUSED, /* nobody listened */
    SIM_CLIENT_CLOSED   /* by sim_client_close, sim_client_reset or sim_client_vanish */
};
enum sim_client_state sim_client_state(const struct sim_client *client);

/* Queues bytes; they travel in segments. Ignored unless open. */
void sim_client_send(struct sim_client *client, const void *data, size_t size);
void sim_client_text(struct sim_client *client, const char *text); /* strlen(text) bytes */
/* What has come and was not consumed; contiguous; valid until the next call on this client or
 * step. */
struct slice sim_client_received(const struct sim_client *client);
void sim_client_consume(struct sim_client *client, size_t size);
/* Bytes that were sent but have not reached the server's socket. */
size_t sim_client_unsent(const struct sim_client *client);

void sim_client_half_close(struct sim_client *client); /* FIN after what is queued */
void sim_client_close(struct sim_client *client);      /* FIN after what is queued; does not read */
void sim_client_reset(struct sim_client *client);      /* RST now: bytes on the way may be lost */
void sim_client_vanish(struct sim_client *client);     /* never heard of again */
void sim_client_pause(struct sim_client *client, bool paused); /* true: zero window */
void sim_client_forget(struct sim_client *client);             /* reset, then freed */

/* How the client's bytes are cut into segments from now on. */
enum sim_segments {
    SIM_SEGMENTS_DRAWN,   /* from the seed (the usual) */
    SIM_SEGMENTS_WHOLE,   /* each send is one segment */
    SIM_SEGMENTS_FIXED,   /* `size` bytes each */
    SIM_SEGMENTS_SPLIT_AT /* two: bytes before and from offset `size` of the connection's stream,
                             else whole */
};
void sim_client_segments(struct sim_client *client, enum sim_segments how, uint64_t size);

/* Called (outside cores' turns) whenever bytes or the end have come. For clients that are state
 * machines. */
void sim_client_watch(struct sim_client *client,
                      void (*changed)(struct sim_client *client, void *argument), void *argument);
struct sim *sim_client_sim(const struct sim_client *client);
/* Its address and port as the server sees them: "192.0.2.7 4711". */
void sim_client_name(const struct sim_client *client, char *text, size_t size);

/* ---------------------------------------------------------------- the program as a client
 *
 * An engine whose options say `connects` may also connect, to whoever of it listens at that address
 * (as sim_connect finds it): both ends are then its own, and what travels between them meets the
 * faults of a client's bytes at each end. The listener sees the bound source address, else
 * loopback's when it is there, else a drawn one. Addresses that sockets may be bound to: 127/8,
 * 10/8, 192.0.2/24, ::1, 2001:db8::/32, fd00::/8. */

/* ---------------------------------------------------------------- actors: clients in straight
 * lines */

/* fn(actor, argument) runs on a stack of its own, outside the program under test, stepped by the
 * world between events. It outlives crashes and must end by itself; sim_destroy frees its stack. */
struct sim_actor;
struct sim_actor *sim_actor_start(struct sim *sim,
                                  void (*fn)(struct sim_actor *actor, void *argument),
                                  void *argument);
bool sim_actor_done(const struct sim_actor *actor);
bool sim_actors_done(const struct sim *sim); /* all of them */
struct sim *sim_actor_sim(const struct sim_actor *actor);
/* From within fn: */
void sim_actor_sleep(struct sim_actor *actor, uint64_t ns);
/* Until at least one more byte than `size` is there, or the client's state is not OPEN, or time is
 * up: true when there are more than `size` bytes. */
bool sim_actor_wait(struct sim_actor *actor, struct sim_client *client, size_t size,
                    uint64_t ns_max);
/* A line ended by LF, without CRLF, consumed: valid until the next call for this client. False: the
 * end, or time is up. */
bool sim_actor_line(struct sim_actor *actor, struct sim_client *client, uint64_t ns_max,
                    struct slice *ret_line);

/* ---------------------------------------------------------------- the disk
 *
 * Weaker than any real file system, on purpose:
 *   write   durable only by a successful fsync (or fdatasync) of its file that was submitted after
 *           the write completed, or by RWF_DSYNC / O_DSYNC on the write itself once it completed
 *   cut     each 512-byte sector of every other write, also of those in flight, is old or new; the
 *           length lands anywhere from the durable one to the longest pending; holes read as zeros
 *   names   create, rename, unlink: durable only by an fsync of the directory (opened as a file)
 *           submitted after their completion; otherwise each may have happened or not
 *   fsync   a failed one drops its dirty sectors (its names, of a directory) for good, though they
 *           read back until the crash
 *   O_DIRECT reads see the medium after writing back what is dirty and not doomed (so they see a
 *           failed fsync's loss); O_DIRECT writes go to the medium, durable as above
 *
 * These act on both page cache and medium at once, and are durable. -errno, or bytes, or 0. */
int64_t sim_file_size(struct sim *sim, const char *path);
int64_t sim_file_read(struct sim *sim, const char *path, uint64_t offset, void *data, size_t size);
int sim_file_patch(struct sim *sim, const char *path, uint64_t offset, const void *data,
                   size_t size); /* also makes the file, and its directories */
int sim_directory_make(struct sim *sim, const char *path);
int sim_file_flip(struct sim *sim, const char *path, uint64_t bit);
int sim_file_truncate(struct sim *sim, const char *path, uint64_t size);
int sim_file_delete(struct sim *sim, const char *path);
int sim_file_list(struct sim *sim, const char *directory,
                  void (*each)(void *argument, const char *name, uint64_t size), void *argument);
void sim_disk_capacity(struct sim *sim, uint64_t bytes);
uint64_t sim_disk_used(const struct sim *sim);
/* All disk operations take at least this long until it is set to 0. */
void sim_disk_slow(struct sim *sim, uint64_t ns);

/* ---------------------------------------------------------------- memory of the test itself */

/* Survives crashes though called from within a core's turn. Freed by sim_keep_free (or free). */
void *sim_keep_alloc(size_t size); /* zeroed; aborts without memory */
void *sim_keep_resize(void *memory, size_t size);
void sim_keep_free(void *memory);
/* Bytes the present life holds. */
uint64_t sim_memory_live(const struct sim *sim);

/* ---------------------------------------------------------------- scenarios (tests/sim/sim)
 *
 * A file scenario_X.c holds its run function, declared and listed by one row in scenarios.h. The
 * program runs it for seeds; --shrink runs it with fewer fault kinds, fewer events, fewer steps. */
struct sim_case {
    uint64_t seed;
    uint64_t faults_allowed; /* a bit per enum sim_fault; all set, unless shrinking */
    const uint32_t *rates;   /* per fault: UINT32_MAX as drawn, else this; NULL: all as drawn */
    uint64_t events_max;     /* UINT64_MAX, unless shrinking: then no fault after that many */
    const uint8_t *dropped;  /* a byte per step that --shrink left out; NULL: none */
    uint32_t dropped_count;
    bool verbose;
};
/* Returns 0, or -1 with the reason in why. */
typedef int sim_scenario_run(const struct sim_case *one, char *why, size_t why_size);
/* sim_options_draw for the case, without faults that are not allowed. */
void sim_case_options(const struct sim_case *one, struct sim_options *options);
/* Should step i (numbered by the scenario, from 0) be taken? */
bool sim_case_step(const struct sim_case *one, uint32_t i);
/* How many steps sim_case_step was asked about, the highest number + 1. */
uint32_t sim_case_steps_seen(void);
/* The trace hashes of all worlds destroyed since the last call, as one. */
uint64_t sim_traces_take(void);
/* Ends the scenario: copies the world's failure to why, destroys the world; 0 or -1. */
int sim_case_end(struct sim *sim, char *why, size_t why_size);

#endif
