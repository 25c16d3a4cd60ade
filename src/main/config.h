/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The config file: libconfig's syntax, our own table of keys. One row of config_rows says a key's
 * section, type, unit, range, default and what it is for; the reader, `ringpost check` and
 * docs/config.md all come from it.
 *
 *   file ─▶ config_source: bytes, includes, numbers too large   (before libconfig sees them)
 *        ─▶ libconfig: syntax, names twice
 *        ─▶ config_environment: variables RINGPOST_... in place of what the file says
 *        ─▶ config.c: each key against its row                  one problem per mistake, all of
 *        ─▶ config_check.c: what belongs together               them, with file and line
 *
 * Invariants:
 *   G1 A key that is not in the table is an error, never passed over.
 *   G2 A struct config without problems holds every value in its row's range.
 *   G3 Nothing is applied from a file with problems.
 */
#ifndef RINGPOST_CONFIG_H
#define RINGPOST_CONFIG_H

#include "ringpost/arena.h"
#include "ringpost/network.h"

enum {
    CONFIG_FILE_BYTES_MAX = 4 << 20, /* of one file */
    CONFIG_BYTES_MAX = 16 << 20,     /* of all together */
    CONFIG_INCLUDE_DEPTH_MAX = 8,
    CONFIG_FILES_MAX = 256,
    CONFIG_VARIABLES_MAX = 1000,
    CONFIG_PROBLEMS_MAX = 100, /* told; what comes after them is only counted */
    CONFIG_ARENA_BYTES_MAX = 128 << 20,
    CONFIG_LISTENERS_MAX = 32,
    CONFIG_CERTIFICATES_MAX = 10000,
    CONFIG_DIRECTORIES_MAX = 100,
    CONFIG_DOMAINS_MAX = 100000,
    CONFIG_ALIASES_MAX = 1000000,
    CONFIG_POOLS_MAX = 64,
    CONFIG_BACKENDS_MAX = 1000, /* of all pools together */
    CONFIG_PINS_MAX = 8,
    CONFIG_SOURCES_MAX = 64,
    CONFIG_PIN_BYTES = 32
};

/* A number that was not given and has no default of its own. */
#define CONFIG_UNSET UINT64_MAX

struct config_place {
    const char *file; /* "" for a default; of an environment variable its name, and line 0 */
    unsigned line;
};

/* An environment variable that counts. */
struct config_variable {
    const char *name;
    struct config_place over; /* the setting in the file that it replaces; file NULL: none */
};

struct config_problem {
    struct config_place place;
    const char *what; /* "what is wrong; the fix" */
};

struct config_list {
    void *items; /* structs of one section */
    unsigned count;
};

struct config_names {
    const char **names;
    unsigned count;
};

/* Each section's struct begins with its place. Durations in milliseconds, sizes in bytes; flags are
 * 0 or 1; choices are the index in the row's list; texts are NULL when not given. Paths are taken
 * from the folder of the config file. */
struct config_general {
    struct config_place place;
    const char *host_name, *user, *group;
    uint64_t confine, cores, drain_pace_ms, drain_wait_ms;
};

struct config_log {
    struct config_place place;
    const char *file;
};

struct config_store {
    struct config_place place;
    const char *directory;
    uint64_t shards, segment_bytes, cache_bytes, index_bytes;
};

struct config_certificate {
    struct config_place place;
    const char *certificate, *key;
};

enum config_client_certificate { CONFIG_CLIENT_OFF, CONFIG_CLIENT_ASK, CONFIG_CLIENT_REQUIRED };

struct config_tls {
    struct config_place place;
    const char *client_ca;
    uint64_t profile, client_certificate, ticket_ms, reload_ms;
    struct config_list certificates; /* struct config_certificate */
};

/* A section within another that may be left out has a place only when it is there. */
struct config_tokens {
    struct config_place place;
    const char *jwks, *issuer, *audience, *user_claim, *introspection;
};

struct config_auth {
    struct config_place place;
    const char *default_domain, *master_users, *master_separator;
    struct config_names mechanisms;
    uint64_t cache_entries, cache_ms, negative_ms, stale_ms;
    uint64_t waiting_max, failure_ms_first, failure_ms_max;
    struct config_tokens tokens;
};

struct config_sqlite {
    struct config_place place;
    const char *file, *query;
};

struct config_ldap {
    struct config_place place;
    const char *url, *ca, *bind_dn, *password_file, *base, *filter;
    const char *user_attribute, *password_attribute, *networks_attribute, *disabled_attribute,
        *routes;
    uint64_t start_tls, timeout_ms;
};

struct config_postgresql {
    struct config_place place;
    const char *connection, *password_file, *query;
    uint64_t timeout_ms;
};

struct config_http {
    struct config_place place;
    const char *url, *ca, *header_file, *token_url, *client_id, *password_file;
    uint64_t timeout_ms;
};

struct config_directory {
    struct config_place place;
    const char *name;
    struct config_sqlite sqlite; /* exactly one of the four is there */
    struct config_ldap ldap;
    struct config_postgresql postgresql;
    struct config_http http;
};

struct config_limits {
    struct config_place place;
    uint64_t connections, connections_per_address, connections_per_network, connections_per_user,
        before_login_share;
    uint64_t receive_buffers, fibers, stack_bytes;
    uint64_t login_ms, command_ms, smtp_idle_ms, pop3_idle_ms, imap_idle_ms;
    uint64_t errors, errors_free, error_ms_first, error_ms_max, junk;
    uint64_t message_bytes, recipients, received, data_ms, data_bytes_per_second;
    uint64_t greeting_ms;
    struct network_set unlimited;
};

struct config_submission {
    struct config_place place;
    uint64_t sender_match, received_names_user, keeps_bcc;
    uint64_t user_messages, user_recipients, user_window_ms;
};

struct config_admin {
    struct config_place place;
    const char *address;
    uint64_t port, exposed;
};

struct config_alias {
    struct config_place place;
    const char *name;
    struct config_names to;
};

struct config_domain {
    struct config_place place;
    const char *name, *users, *directory, *pool, *catch_all, *separator;
    uint64_t detail_mailbox;
    struct config_list aliases; /* struct config_alias */
};

enum config_tls_way { CONFIG_TLS_NONE, CONFIG_TLS_START, CONFIG_TLS_IMPLICIT };

struct config_backend {
    struct config_place place;
    const char *name, *address, *host, *tag;
    uint64_t imap, pop3, submission, sieve, lmtp; /* ports */
    uint64_t weight;
};

enum config_identity { CONFIG_IDENTITY_NONE, CONFIG_IDENTITY_PROXY, CONFIG_IDENTITY_NATIVE };
enum config_backend_login { CONFIG_LOGIN_FORWARD, CONFIG_LOGIN_MASTER };
enum config_verify { CONFIG_VERIFY_HERE, CONFIG_VERIFY_BACKEND };

struct config_pool {
    struct config_place place;
    const char *name, *tls_ca, *tls_certificate, *tls_key, *master_user, *master_password_file;
    struct config_names tls_pins, sources;
    /* enum config_tls_way, also where they were not given */
    uint64_t tls, tls_imap, tls_pop3, tls_submission, tls_sieve, tls_lmtp;
    uint64_t unverified_tls, insecure_clear;
    uint64_t identity, login, verify, pipelining, any_address;
    uint64_t connections, connecting;
    uint64_t connect_ms, login_ms, health_ms, down_after, up_after, slow_start_ms, affinity_ms;
    struct config_list backends; /* struct config_backend */
};

struct config_proxy {
    struct config_place place;
    const char *exceptions, *exceptions_password_file;
    uint64_t keep_alive_ms, idle_ms, stalled_ms, spread_ms, farewell_ms;
};

struct config_lmtp {
    struct config_place place;
    uint64_t cache_entries, known_ms, unknown_ms, verify_ms, delivery_ms;
};

struct config_control {
    struct config_place place;
    const char *socket;
    uint64_t mode;
};

enum config_protocol {
    CONFIG_SMTP,
    CONFIG_LMTP,
    CONFIG_POP3,
    CONFIG_IMAP,
    CONFIG_SUBMISSION,
    CONFIG_SIEVE
};

struct config_listener {
    struct config_place place;
    const char *address, *path;
    uint64_t protocol, port, mode, connections, connections_per_address;
    uint64_t tls; /* enum config_tls_way, also when it was not given */
    uint64_t plain_login, insecure_plain_login;
    struct network_set proxy_from, xclient_from;
};

struct config {
    struct arena arena; /* holds everything below */
    const char *path;   /* as given */
    const char *folder; /* of the file, for relative paths */
    bool is_again;      /* config_load_again */
    struct config_general general;
    struct config_log log;
    struct config_store store;
    struct config_tls tls;
    struct config_auth auth;
    struct config_limits limits;
    struct config_submission submission;
    struct config_admin admin;
    struct config_control control;
    struct config_proxy proxy;
    struct config_lmtp lmtp;
    struct config_list pools;       /* struct config_pool */
    struct config_list directories; /* struct config_directory */
    struct config_list domains;     /* struct config_domain */
    struct config_list listeners;   /* struct config_listener */
    struct config_variable *variables;
    unsigned variable_count;
    struct config_problem problems[CONFIG_PROBLEMS_MAX];
    unsigned problem_count; /* may be above CONFIG_PROBLEMS_MAX */
};

/* ---------------------------------------------------------------- the table */

enum config_section {
    CONFIG_SECTION_GENERAL,
    CONFIG_SECTION_LOG,
    CONFIG_SECTION_STORE,
    CONFIG_SECTION_TLS,
    CONFIG_SECTION_CERTIFICATE,
    CONFIG_SECTION_AUTH,
    CONFIG_SECTION_TOKENS,
    CONFIG_SECTION_DIRECTORY,
    CONFIG_SECTION_SQLITE,
    CONFIG_SECTION_LDAP,
    CONFIG_SECTION_POSTGRESQL,
    CONFIG_SECTION_HTTP,
    CONFIG_SECTION_LIMITS,
    CONFIG_SECTION_SUBMISSION,
    CONFIG_SECTION_ADMIN,
    CONFIG_SECTION_CONTROL,
    CONFIG_SECTION_PROXY,
    CONFIG_SECTION_LMTP,
    CONFIG_SECTION_POOL,
    CONFIG_SECTION_BACKEND,
    CONFIG_SECTION_DOMAIN,
    CONFIG_SECTION_ALIAS,
    CONFIG_SECTION_LISTENER,
    CONFIG_SECTION_COUNT
};

enum config_type {
    CONFIG_FLAG,       /* true or false */
    CONFIG_COUNT,      /* a whole number */
    CONFIG_COUNT_POW2, /* the same, a power of two */
    CONFIG_SIZE,       /* "25M": K, M, G are powers of 1024; B alone */
    CONFIG_DURATION,   /* "30m": ms, s, m, h, d */
    CONFIG_TEXT,
    CONFIG_PATH,
    CONFIG_MODE,    /* "0660" */
    CONFIG_CHOICE,  /* one of row->choices */
    CONFIG_NAMES,   /* one text, or an array of them */
    CONFIG_NETWORKS /* the same, of networks (network.h); out is a struct network_set */
};

struct config_row {
    enum config_section section;
    const char *key;
    enum config_type type;
    uint64_t min, max;    /* numbers; of texts the length in bytes */
    const char *fallback; /* the default as it would stand in the file (texts without quotes);
                                NULL: must be given; "": none */
    const char *doc;      /* one sentence, or a few */
    const char *choices;  /* "a|b|c" */
    size_t offset;        /* in the section's struct */
};
extern const struct config_row config_rows[];
extern const unsigned config_row_count;

struct config_section_row {
    const char *name; /* "" for the top level */
    enum config_section parent;
    size_t offset;      /* in the parent's struct (of struct config for those at the top) */
    size_t item_bytes;  /* lists: of one struct; groups: 0 */
    unsigned count_max; /* lists */
    const char *doc;
};
extern const struct config_section_row config_sections[CONFIG_SECTION_COUNT];

/* The row of a key, or NULL. */
const struct config_row *config_row_find(enum config_section section, const char *key);
/* The section of that name within `parent`, or NULL. */
const struct config_section_row *config_section_find(enum config_section parent, const char *name,
                                                     enum config_section *ret_section);
/* What the writer may have meant: "did you mean \"port\"?", or where the key belongs, or which keys
 * there are. Into text. */
void config_suggest(enum config_section section, const char *key, char *text, size_t size);
/* The same for what follows RINGPOST_ in the name of a variable. */
void config_suggest_variable(const char *name, char *text, size_t size);
/* The reference page (Markdown), from the table. */
void config_reference(void (*say)(void *argument, const char *text), void *argument);

/* ---------------------------------------------------------------- values */

/* Each NULL, or what is wrong with the text and the fix. */
const char *config_parse_size(const char *text, uint64_t *ret_bytes);
const char *config_parse_duration(const char *text, uint64_t *ret_ms);
const char *config_parse_mode(const char *text, uint64_t *ret_mode);
/* SHA-256 in hex, colons between bytes or not. */
const char *config_parse_pin(const char *text, uint8_t ret_pin[CONFIG_PIN_BYTES]);
/* The shortest text of a size or duration that parses to the value. */
void config_show_size(uint64_t bytes, char text[32]);
void config_show_duration(uint64_t ms, char text[32]);

/* ---------------------------------------------------------------- reading */

/* The text of the file and what it includes, with the place of each line. */
struct config_source {
    char *text; /* NUL behind it */
    size_t size;
    struct config_place *lines;
    unsigned line_count;
};
/* False when it cannot be read at all; problems are told either way. */
bool config_source_read(struct config *config, const char *path, struct config_source *ret_source);
void config_source_free(struct config_source *source);
/* The place of a line of `text` (1...). */
struct config_place config_source_place(const struct config_source *source, unsigned line);

/* Reads and checks. The result always has to be given to config_free; it may be used only when
 * problem_count is 0. NULL: no memory. */
struct config *config_load(const char *path);
/* The same for a process that has become its user long ago, and may not see the user database. */
struct config *config_load_again(const char *path);
void config_free(struct config *config);
/* Remembers a problem. The format makes "what; the fix". */
void config_problem(struct config *config, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A path as in the file, from the config's folder. */
const char *config_path(struct config *config, const char *path);

/* What one row cannot say (config_check.c, config_check_listener.c, config_check_auth.c,
 * config_check_pool.c). */
void config_check(struct config *config);
void config_check_listeners(struct config *config);
void config_check_auth(struct config *config);
void config_check_pools(struct config *config);
bool config_is_loopback(const char *address);
bool config_is_numeric(const char *address);
/* Two listeners cannot have this address. "::" takes IPv4 too. */
bool config_same_address(const char *address, uint64_t port, const struct config_listener *other);
/* The listener serves users who log in. */
bool config_has_login(const struct config_listener *listener);
/* The index of the directory of that name; CONFIG_DIRECTORIES_MAX when there is none. */
unsigned config_directory_find(const struct config *config, const char *name);
/* The pool of that name; NULL when there is none. */
const struct config_pool *config_pool_find(const struct config *config, const char *name);
/* Mail for its users is taken: a backend of it has a port for LMTP. */
bool config_takes_mail(const struct config_pool *pool);
/* The file of proxy.exceptions, from the config's folder; NULL: none, or no file. */
const char *config_exceptions_file(struct config *config);
/* Mail of some domain is kept here: there is a store. */
bool config_has_store(const struct config *config);

#endif
