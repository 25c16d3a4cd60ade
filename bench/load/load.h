/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The load generator: what one run is. A run is a scenario played by workers against one server
 * (or several endpoints of it), on the gateway's own engine: a worker is a fiber with at most one
 * connection; an idle connection has no fiber.
 *
 *   options ─▶ load_open on every core ─▶ PREPARE ─▶ WARM_UP ─▶ MEASURE ─▶ VERIFY ─▶ ENDED
 *                                          fill        not        counted    what is there
 *                                          mailboxes   counted               is what was sent
 *
 *   main.c     the program: commands                      drive.c    a run of the program, in order
 *   options*.c the command line, a table                  endpoint.c where the server is (L3)
 *   run.c      stages and workers of all cores            pace.c     when an operation begins (L2)
 *   measure.c  phases, errors, seconds                    histogram.c  log-linear histograms
 *   peer.c     one connection to the server               content*.c messages, by number and seed
 *   smtp.c imap.c pop3.c   the protocols, a function a command
 *   do_*.c     a scenario each; scenarios.c lists them    verify.c   what came back
 *   cost*.c    what the server pays                       watch.c    signals, a look each second
 *   progress.c what a terminal shows                      result.c output.c  a run as JSON, files
 *   page*.c chart*.c compare*.c   reports: pure functions from JSON to text
 *
 * Invariants:
 *   L1 Everything a run does follows from its options and its seed; only times are measured.
 *   L2 A latency counts from when the operation was meant to begin, also when nobody was free.
 *   L3 Nothing is connected to that is not loopback, unless the operator named that very host.
 *   L4 However a run ends, what was measured until then is written, and says that it is partial.
 */
#ifndef RINGPOST_BENCH_LOAD_H
#define RINGPOST_BENCH_LOAD_H

#include "ringpost/stream.h"
#include "ringpost/tls.h"

enum {
    LOAD_CONNECTIONS_MAX = 1000000,
    LOAD_USERS_MAX = 10000000,
    LOAD_HOST_BYTES_MAX = 253,
    LOAD_USER_BYTES_MAX = 320, /* of a user's name when the format is filled in */
    LOAD_MESSAGE_BYTES_MAX = 256 << 20
};

enum load_protocol { LOAD_SMTP, LOAD_LMTP, LOAD_IMAP, LOAD_POP3, LOAD_PROTOCOL_COUNT };
enum load_tls { LOAD_TLS_NONE, LOAD_TLS_START, LOAD_TLS_IMPLICIT };

/* Where one protocol of the server is. */
struct load_endpoint {
    bool is_set;
    enum load_protocol protocol;
    enum load_tls tls;
    char host[LOAD_HOST_BYTES_MAX + 1]; /* as it was given: SNI, and what reports say */
    struct stream_target target;        /* its address; source is filled in per connection */
};

enum load_stage { LOAD_PREPARE, LOAD_WARM_UP, LOAD_MEASURE, LOAD_VERIFY, LOAD_ENDED };

struct load_scenario;

/* Immutable while a run lasts. All times in nanoseconds. */
struct load_options {
    const struct load_scenario *scenario;
    enum load_protocol target;                           /* the endpoint of --target */
    struct load_endpoint endpoints[LOAD_PROTOCOL_COUNT]; /* that one, and those of --also */
    unsigned threads;                                    /* cores of the generator */
    unsigned connections;    /* of all cores together: workers, or connections held (idle) */
    unsigned users;          /* u0 ... u(N-1) */
    const char *user_format; /* "u%d@example.test": one %d */
    const char *password;
    uint64_t messages;                /* operations; 0: until duration_ns */
    uint64_t duration_ns, warm_up_ns; /* duration_ns 0: until `messages` are done */
    double rate;                      /* operations a second, of all cores; 0: closed loop */
    bool is_poisson;                  /* open loop: exponential gaps instead of equal ones */
    uint64_t seed;
    uint64_t timeout_ns; /* of any one answer */
    /* messages (content.h) */
    unsigned size_bytes;   /* 0: sizes of real mail */
    const char *from_path; /* folder or mbox of real messages, or NULL */
    unsigned recipients;   /* per message */
    /* SMTP and LMTP */
    unsigned per_connection; /* messages a connection; 0: all */
    bool is_pipelined, is_chunked /* BDAT */, wants_login /* AUTH */;
    /* IMAP, POP3 */
    unsigned mailbox_messages; /* per user, put there before the run (prepare) */
    unsigned per_session;      /* commands a session (imap); 0: all in one */
    const char *mix;           /* "fetch=60,store=10,search=5,append=20,expunge=5" or a file */
    bool deletes;              /* pop3: DELE what was retrieved */
    /* TLS */
    bool tls_resumes;   /* each connection resumes the session of the one before */
    bool tls_12;        /* no TLS 1.3 */
    const char *tls_ca; /* file to verify against; NULL: certificates are not looked at */
    bool verifies;
    unsigned sources; /* source addresses 127.0.1.1 ...: for more connections than ports; 0: none */
};

struct content;   /* content.h */
struct load;      /* a run, shared by all cores */
struct load_core; /* a core's part of it */

/* One of the run's workers; lives on one core. */
struct load_worker {
    struct load_core *at;
    const struct load_options *options;
    unsigned index;  /* 0 ... workers - 1, over all cores */
    uint64_t random; /* state of random_u64 below: from seed and index */
};

/* What a scenario is: a row of load_scenarios. */
struct load_scenario {
    const char *name, *summary;
    const char *operation; /* what rate, messages and latency count: "message", "session", ... */
    uint32_t protocols;    /* bits 1 << enum load_protocol that --target may speak */
    const char *help;
    const char *defaults; /* options read before the command line's: "--warm-up 0"; or NULL */
    /* Says why these options make no sense for it, or NULL. */
    const char *(*problem)(const struct load_options *options);
    /* What its workers share (a scenario file that was read; immutable, or atomics): made once by
     * load_create, found by load_shared; may be NULL. On failure says why in problem. */
    int (*open)(const struct load_options *options, void **ret_shared, char problem[200]);
    void (*close)(void *shared);
    /* How many workers, of all cores; NULL: options->connections. */
    unsigned (*workers)(const struct load_options *options, const void *shared);
    /* How many connections at once, of all cores; NULL: options->connections. */
    unsigned (*held)(const struct load_options *options, const void *shared);
    /* --messages and --duration are the scenario's own business: there is no warm-up, and the run
     * ends when every worker has returned, or by load_stop. */
    bool ends_itself;
    /* On a fiber of each worker, before anything is measured (may be NULL): 0 or an enum load_error
     * that ends the run. Worker i looks after users i, i + workers, ... */
    int (*prepare)(struct load_worker *worker);
    /* On a fiber of each worker: until pace_take says that the run is over. Returns with its
     * connection closed. */
    void (*work)(struct load_worker *worker);
    /* On a fiber of each worker after the run, with --verify (may be NULL). */
    void (*verify)(struct load_worker *worker);
};
extern const struct load_scenario *const load_scenarios[]; /* ends with NULL */

/* ---- a run (run.c) */

/* Allocates, and opens the scenario; `options` outlive it. 0; -errno, and why in problem. */
int load_create(const struct load_options *options, struct load **ret_load, char problem[200]);
void load_destroy(struct load *load);
/* engine_run's ready(), or called on a fiber of each core of a world: plays this core's part of the
 * run and returns when all cores have ended. 0, or -errno when the core cannot begin. */
int load_run(struct core *core, void *load);
/* From any thread or a signal handler: the run ends as soon as the operations that have begun are
 * done. `why` is a constant: "interrupted"; the first one stays. */
void load_stop(struct load *load, const char *why);
enum load_stage load_stage(const struct load *load);
const char *load_why(const struct load *load); /* why it is partial, or NULL */

/* Monotonic; 0: not yet. From any thread; the last two when it has ended. */
struct load_times {
    uint64_t begin_ns, measure_ns; /* warm-up; what is counted */
    uint64_t end_ns;               /* of --duration; 0: no such end */
    uint64_t ended_ns;             /* of the last operation, or --duration */
    uint64_t not_begun;            /* open loop: were due, and nobody came to them in time */
    bool is_unreachable;
};
void load_times(const struct load *load, struct load_times *ret_times);
unsigned load_workers(const struct load *load); /* of all cores */
unsigned load_connections(const struct load *load);
bool load_is_verified(const struct load *load); /* VERIFY was gone through to its end */

struct core *load_engine(const struct load_core *at);
struct load *load_of(const struct load_core *at);
void *load_shared(const struct load *load);            /* what scenario->open made */
struct content *load_content(const struct load *load); /* opened by load_create */
uint64_t load_now(const struct load_core *at);         /* a fresh reading, monotonic */
/* The user's name by format and number, into text. */
struct slice load_user(const struct load_options *options, unsigned number,
                       char text[LOAD_USER_BYTES_MAX]);

/* A pointer per core for each of these files, set when first needed; `done` (may be NULL) is called
 * on the core when its part of the run ends. */
enum load_local { LOAD_LOCAL_CONTENT, LOAD_LOCAL_SCENARIO, LOAD_LOCAL_COUNT };
void load_local_set(struct load_core *at, enum load_local which, void *value,
                    void (*done)(struct load_core *at, void *value));
void *load_local(const struct load_core *at, enum load_local which);

/* splitmix64: the next number of a stream. */
static inline uint64_t random_u64(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline unsigned random_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(((random_u64(state) >> 32) * limit) >> 32);
}

#endif
