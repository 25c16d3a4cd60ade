/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line: one table of commands, one of options. Help, parsing and refusals all come from
 * them.
 */
#ifndef RINGPOST_COMMAND_H
#define RINGPOST_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

enum exit_status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,  /* what was asked for did not work, or problems were found */
    STATUS_USAGE = 2,   /* the command line cannot be understood */
    STATUS_AT_ONCE = 3, /* serve: a second signal came while draining */
    STATUS_BUSY = 4     /* the store is in use by another process */
};

enum option_bit {
    OPTION_CONFIG = 1 << 0,
    OPTION_JSON = 1 << 1,
    OPTION_DIR = 1 << 2,
    OPTION_PORT_BASE = 1 << 3,
    OPTION_USERS = 1 << 4,
    OPTION_FILE = 1 << 5,
    OPTION_CORES = 1 << 6,
    OPTION_SCHEME = 1 << 7,
    OPTION_LIVE = 1 << 8,
    OPTION_DELAY = 1 << 9,
    OPTION_SPREAD = 1 << 10,
    OPTION_LIMIT = 1 << 11
};

struct invocation {
    unsigned given; /* option bits */
    const char *config, *dir, *file, *scheme;
    unsigned port_base, users, cores, delay, spread, limit;
    bool json, live;
    const char *operand, *second; /* NULL when they were not given */
};

struct program_command {
    const char *name;    /* one word or two */
    const char *operand; /* its name, or NULL; "A B": two, "[A]": may be left out */
    unsigned options, needed;
    const char *summary; /* half a line */
    const char *detail;  /* further lines, each ended */
    int (*run)(const struct invocation *invocation);
};
extern const struct program_command program_commands[];
extern const unsigned program_command_count;

/* Parses, runs, returns the exit status. */
int command_run(int argc, char **argv);
/* "ringpost: what" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A text as a JSON string, quotes included. */
void json_text(FILE *file, const char *text);
/* The libraries' versions, one line each; of --version and of the metrics. */
void version_show(FILE *file);
extern const char version_text[];

/* Commands, each in a file of its own. */
int run_serve(const struct invocation *invocation);
int run_check(const struct invocation *invocation);
int run_config_reference(const struct invocation *invocation);
int run_try(const struct invocation *invocation);
int run_user_add(const struct invocation *invocation);
int run_user_delete(const struct invocation *invocation);
int run_user_list(const struct invocation *invocation);
int run_user_passwd(const struct invocation *invocation);
int run_healthcheck(const struct invocation *invocation);
int run_certificate_make(const struct invocation *invocation);
int run_store_verify(const struct invocation *invocation);
int run_store_stat(const struct invocation *invocation);
int run_backend_list(const struct invocation *invocation);
int run_backend_drain(const struct invocation *invocation);
int run_backend_down(const struct invocation *invocation);
int run_backend_up(const struct invocation *invocation);
int run_session_list(const struct invocation *invocation);
int run_session_kick(const struct invocation *invocation);
int run_user_move(const struct invocation *invocation);
int run_user_delay(const struct invocation *invocation);
int run_user_where(const struct invocation *invocation);
int run_user_forget(const struct invocation *invocation);

#endif
