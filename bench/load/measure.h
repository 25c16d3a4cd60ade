/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is measured: how long each phase took (histograms), what went wrong by kind, and both by
 * second. A core writes its own; readers on other threads (progress) see numbers that may be a
 * moment old. Nothing is recorded outside LOAD_MEASURE but errors (of any stage).
 */
#ifndef RINGPOST_BENCH_MEASURE_H
#define RINGPOST_BENCH_MEASURE_H

#include "histogram.h"
#include "load.h"

/* Name in JSON and reports; what it spans. */
/* clang-format off */
#define LOAD_PHASE_TABLE(each)                                                                     \
    each(OPERATION, "operation", "from the intended start to the last answer")                     \
    each(CONNECT, "connect", "TCP: from the call until it is there")                               \
    each(TLS, "tls", "the handshake")                                                              \
    each(GREETING, "greeting", "from the connection to the server's first line")                   \
    each(HELLO, "hello", "EHLO, LHLO, CAPA, CAPABILITY")                                           \
    each(STARTTLS, "starttls", "STARTTLS, STLS: the answer, without the handshake")                \
    each(LOGIN, "log-in", "AUTH, LOGIN, USER and PASS, until OK")                                  \
    each(MAIL, "mail", "MAIL FROM")                                                                \
    each(RCPT, "rcpt", "RCPT TO")                                                                  \
    each(DATA, "data", "DATA, until 354")                                                          \
    each(ENVELOPE, "envelope", "MAIL, RCPT and DATA in one (pipelined), until the last answer")    \
    each(COMMIT, "commit", "from the message's last byte until it is accepted")                    \
    each(SELECT, "select", "IMAP") each(FETCH, "fetch", "IMAP, until the tagged answer")           \
    each(STORE, "store", "IMAP") each(SEARCH, "search", "IMAP") each(APPEND, "append", "IMAP")     \
    each(EXPUNGE, "expunge", "IMAP") each(NOOP, "noop", "any")                                     \
    each(LOGOUT, "log-out", "QUIT, LOGOUT")                                                        \
    each(LIST, "list", "POP3: STAT, LIST, UIDL") each(RETR, "retr", "POP3, until the last dot")    \
    each(DELE, "dele", "POP3")                                                                     \
    each(WAKE, "wake-up", "from when a message goes out until an idle session is told")            \
    each(WAKE_ALL, "wake-up all", "from the first delivery until the last idle session is told")

#define LOAD_ERROR_TABLE(each)                                                                     \
    each(REFUSED, "connection refused") each(UNREACHABLE, "unreachable")                           \
    each(NO_PORT, "no local port or descriptor left") each(CONNECT_TIMEOUT, "connect timed out")   \
    each(TIMEOUT, "no answer in time") each(RESET, "connection reset")                             \
    each(CLOSED, "server closed the connection") each(TLS_FAILED, "TLS failed")                    \
    each(LOGIN_REFUSED, "log-in refused") each(TEMPORARY, "refused for now (4xx, NO, SYS/TEMP)")   \
    each(PERMANENT, "refused (5xx, BAD, -ERR)") each(NONSENSE, "answer is not of the protocol")    \
    each(TOO_LONG, "answer too long") each(MISSING, "message is missing")                          \
    each(ALTERED, "message was altered") each(DOUBLED, "message is there twice")                   \
    each(OURS, "the generator ran out of memory")
/* clang-format on */

enum load_phase {
#define PHASE_ENUM(name, text, what) PHASE_##name,
    LOAD_PHASE_TABLE(PHASE_ENUM)
#undef PHASE_ENUM
        PHASE_COUNT
};
enum load_error { /* 0 is: none */
                  LOAD_FINE,
#define ERROR_ENUM(name, text) LOAD_##name,
                  LOAD_ERROR_TABLE(ERROR_ENUM)
#undef ERROR_ENUM
                      LOAD_ERROR_COUNT
};
const char *load_phase_name(enum load_phase phase);
const char *load_phase_what(enum load_phase phase);
const char *load_error_name(enum load_error error);

enum {
    MEASURE_SECONDS_MAX = 7200,
    MEASURE_EXAMPLES_MAX = 20,
    MEASURE_EXAMPLE_BYTES = 200,
    MEASURE_TLS_BYTES = 80
};

struct measure_second {
    uint64_t operations, errors, bytes_in, bytes_out;
    unsigned connections;      /* open at its end */
    struct histogram *latency; /* of PHASE_OPERATION; NULL when nothing ended in it */
};
/* One per core, and the sum of all. */
struct measure {
    struct histogram phases[PHASE_COUNT];
    uint64_t errors[LOAD_ERROR_COUNT];
    uint64_t operations, bytes_in, bytes_out;
    uint64_t verified, missing, altered, doubled;
    unsigned connections, connections_most; /* open now; at most */
    struct measure_second *seconds;         /* of the measured time */
    unsigned second_count;
    unsigned example_count; /* what servers said that was an error, the first of each kind */
    struct {
        enum load_error error;
        char text[MEASURE_EXAMPLE_BYTES];
    } examples[MEASURE_EXAMPLES_MAX];
    char greeting[MEASURE_EXAMPLE_BYTES]; /* of the server, the first that came; "": none */
    char tls[MEASURE_TLS_BYTES];          /* "TLSv1.3 TLS_AES_128_GCM_SHA256", likewise */
};
struct measure *measure_of(struct load_core *at);
/* The sum of all cores, from any thread. `seconds` have no histograms (measure_second_latency).
 * 0 or -ENOMEM; measure_free gives it back. */
int measure_sum(const struct load *load, struct measure *ret_sum);
void measure_free(struct measure *measure);
/* Adds the latencies of the operations that ended in that second of the measured time. */
void measure_second_latency(const struct load *load, unsigned second, struct histogram *into);

/* The phase that began then ends now. */
void measure_phase(struct load_core *at, enum load_phase phase, uint64_t began_ns);
/* The same with both ends known (wake-ups). */
void measure_span(struct load_core *at, enum load_phase phase, uint64_t began_ns, uint64_t end_ns);
/* Counts; `said` (what the server said, or empty) is kept for the first of its kind. Returns error.
 */
int measure_error(struct load_core *at, enum load_error error, struct slice said);
/* What reports say of the server; the first is kept, the others cost a comparison. */
void measure_greeting(struct load_core *at, struct slice line);
void measure_tls(struct load_core *at, const char *version, const char *cipher);
void measure_bytes(struct load_core *at, uint64_t in, uint64_t out);
void measure_connection(struct load_core *at, int change); /* +1, -1 */

#endif
