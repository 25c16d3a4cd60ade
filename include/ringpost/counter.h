/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one table of counters: each row is an enum value, a name on /metrics (prefixed "ringpost_")
 * and a line
 * of help. Each core has its own array, written only by that core; the metrics page adds them up.
 * Gauges (rows
 * whose kind is "gauge") go up and down.
 *
 * To add one: a row here, and counter_add where it happens.
 */
#ifndef RINGPOST_COUNTER_H
#define RINGPOST_COUNTER_H

#include <stdint.h>

/*        enum                 name                         kind       help */
#define COUNTER_TABLE(ROW)                                                                         \
    ROW(CONNECTIONS_OPEN, "connections_open", "gauge", "client connections now open")              \
    ROW(CONNECTIONS_TOTAL, "connections_total", "counter", "client connections accepted")          \
    ROW(CONNECTIONS_REFUSED, "connections_refused_total", "counter", "refused by a limit")         \
    ROW(BYTES_RECEIVED, "received_bytes_total", "counter", "bytes received from clients")          \
    ROW(BYTES_SENT, "sent_bytes_total", "counter", "bytes sent to clients")                        \
    ROW(RING_ENTERS, "ring_enters_total", "counter", "calls into the kernel's ring")               \
    ROW(RING_COMPLETIONS, "ring_completions_total", "counter", "completions reaped")               \
    ROW(RECEIVE_STARVED, "receive_starved_total", "counter", "receives that found no buffer")      \
    ROW(FIBERS_ACTIVE, "fibers_active", "gauge", "fibers holding a stack now")                     \
    ROW(FIBERS_REFUSED, "fibers_refused_total", "counter", "commands put off for want of a stack") \
    ROW(LOG_COMMITS, "log_commits_total", "counter", "group commits made durable")                 \
    ROW(LOG_RECORDS, "log_records_total", "counter", "records made durable")                       \
    ROW(LOG_BYTES, "log_bytes_total", "counter", "bytes written to the log")                       \
    ROW(LOG_FAILURES, "log_failures_total", "counter", "commits that failed")                      \
    ROW(MESSAGES_DELIVERED, "messages_delivered_total", "counter", "messages put into mailboxes")  \
    ROW(MESSAGES_EXPUNGED, "messages_expunged_total", "counter",                                   \
        "messages removed from mailboxes")                                                         \
    ROW(MESSAGES_READ, "messages_read_total", "counter", "message bodies read")                    \
    ROW(SMTP_MESSAGES, "smtp_messages_total", "counter", "messages acknowledged by SMTP and LMTP") \
    ROW(SMTP_REFUSED, "smtp_refused_total", "counter", "transactions refused at end of data")      \
    ROW(SMTP_RECIPIENTS_REFUSED, "smtp_recipients_refused_total", "counter", "recipients refused") \
    ROW(AUTH_OK, "auth_ok_total", "counter", "successful log-ins")                                 \
    ROW(AUTH_FAILED, "auth_failed_total", "counter", "failed log-ins")                             \
    ROW(AUTH_HASHES, "auth_hashes_total", "counter", "password hashes computed")                   \
    ROW(AUTH_CACHED, "auth_cached_total", "counter", "log-ins answered from the cache")            \
    ROW(DIRECTORY_QUESTIONS, "directory_questions_total", "counter",                               \
        "questions that directories were asked")                                                   \
    ROW(DIRECTORY_FAILURES, "directory_failures_total", "counter",                                 \
        "questions that no directory answered")                                                    \
    ROW(DIRECTORY_CACHED, "directory_cached_total", "counter",                                     \
        "questions answered from the cache")                                                       \
    ROW(DIRECTORY_STALE, "directory_stale_total", "counter",                                       \
        "answers that were too old, for want of newer ones")                                       \
    ROW(PROTOCOL_ERRORS, "protocol_errors_total", "counter", "bad commands from clients")          \
    ROW(SESSION_TIMEOUTS, "session_timeouts_total", "counter", "sessions ended by a deadline")     \
    ROW(REPLIES_DELAYED, "replies_delayed_total", "counter", "replies to errors held back")        \
    ROW(OVERLOADED, "overloaded_cores", "gauge", "cores that turn strangers away or hurry them")   \
    ROW(RELOADS, "reloads_total", "counter", "configs and certificates taken while running")       \
    ROW(RELOADS_REFUSED, "reloads_refused_total", "counter",                                       \
        "configs and certificates with problems, not taken")                                       \
    ROW(TLS_CERTIFICATE_SECONDS, "tls_certificate_seconds", "gauge",                               \
        "until the first certificate ends")                                                        \
    ROW(GENERATIONS, "generations", "gauge", "configs in use, older ones by older sessions")       \
    ROW(BACKEND_LOGINS, "backend_logins_total", "counter", "users logged in at backends")          \
    ROW(BACKEND_REFUSED, "backend_refused_total", "counter", "log-ins that backends called wrong") \
    ROW(BACKEND_FAILURES, "backend_failures_total", "counter", "connects and log-ins that failed") \
    ROW(BACKEND_RETRIES, "backend_retries_total", "counter", "log-ins tried at another backend")   \
    ROW(BACKEND_CHECKS, "backend_checks_total", "counter", "health checks made")                   \
    ROW(BACKENDS_ALIVE, "backends_alive", "gauge", "backends that answer")                         \
    ROW(RELAY_MESSAGES, "relay_messages_total", "counter",                                         \
        "messages for users of other stores, all their recipients answered")                       \
    ROW(RELAY_HANDED_ON, "relay_handed_on_total", "counter",                                       \
        "recipients whose message a backend has taken")                                            \
    ROW(RELAY_REFUSED, "relay_refused_total", "counter", "recipients that backends refused")       \
    ROW(RELAY_LATER, "relay_later_total", "counter", "recipients answered: try again later")       \
    ROW(RELAY_CALL_OUTS, "relay_call_outs_total", "counter",                                       \
        "backends asked whether they know a recipient")                                            \
    ROW(RELAY_KNOWN, "relay_known_total", "counter",                                               \
        "recipients of whom a backend had been asked before")                                      \
    ROW(PROXY_SESSIONS, "proxy_sessions", "gauge", "sessions passed through now")                  \
    ROW(PROXY_BYTES_UP, "proxy_up_bytes_total", "counter", "bytes passed to backends")             \
    ROW(PROXY_BYTES_DOWN, "proxy_down_bytes_total", "counter", "bytes passed to clients")          \
    ROW(PROXY_SPREAD, "proxy_spread_total", "counter", "sessions ended late, backend lost")        \
    ROW(LOG_LINES_DROPPED, "log_lines_dropped_total", "counter", "log lines that found no room")

#define COUNTER_ENUM(enumerator, name, kind, help) COUNTER_##enumerator,
enum counter { COUNTER_TABLE(COUNTER_ENUM) COUNTER_COUNT };
#undef COUNTER_ENUM

/* The protocols that have a command table; also the label on /metrics. */
enum protocol_id {
    PROTOCOL_SMTP,
    PROTOCOL_LMTP,
    PROTOCOL_POP3,
    PROTOCOL_IMAP,
    PROTOCOL_SUBMISSION,
    PROTOCOL_SIEVE,
    PROTOCOL_CONTROL,
    PROTOCOL_COUNT
};
enum { COMMANDS_MAX = 64 }; /* rows in one protocol's command table */
enum { ENDS_MAX = 32 };     /* rows in the table of the ways a session ends */

struct counters {
    uint64_t value[COUNTER_COUNT];
    uint64_t commands[PROTOCOL_COUNT][COMMANDS_MAX]; /* by row of the protocol's command table */
    uint64_t ends[PROTOCOL_COUNT][ENDS_MAX];         /* sessions ended, by enum session_end */
};

struct counter_row {
    const char *name, *kind, *help;
};
extern const struct counter_row counter_rows[COUNTER_COUNT];

/* The metrics thread reads these words while the core writes them. */
static inline void counter_word_add(uint64_t *word, int64_t delta)
{
    __atomic_store_n(word, *word + (uint64_t)delta, __ATOMIC_RELAXED);
}

static inline void counter_add(struct counters *counters, enum counter which, int64_t delta)
{
    counter_word_add(&counters->value[which], delta);
}

#endif
