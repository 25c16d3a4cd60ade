/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost backend ...`, `ringpost session ...`, `ringpost user move|delay|where|forget`: the
 * commands of the control socket, for people (tables, sentences) and for programs (--json).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "operator_client.h"

enum { COMMAND_BYTES_MAX = 900 };

/* ---------------------------------------------------------------- what is shown */

struct showing {
    bool json;
    unsigned rows;
    struct operator_table *table; /* NULL: rows are progress only */
    bool has_progress;            /* the terminal's line holds some */
};

/* How many sessions are left: one line that is written over on a terminal, else a line each. */
static void show_progress(struct showing *showing, const struct operator_row *row)
{
    bool is_terminal = isatty(STDERR_FILENO);
    fprintf(stderr, is_terminal ? "\r%s: %s left   " : "%s: %s left\n",
            operator_row_text(row, "progress"), operator_row_text(row, "sessions"));
    showing->has_progress = is_terminal;
}

static void show_row(void *argument, const struct operator_row *row, struct slice line)
{
    struct showing *showing = argument;
    if (row->count > 0 && strcmp(row->members[0].key, "progress") == 0) {
        show_progress(showing, row);
    } else if (showing->json) {
        printf("%s%.*s", showing->rows > 0 ? ",\n" : "[", (int)line.size, line.data);
    } else if (showing->table != NULL) {
        operator_table_row(showing->table, row);
    }
    showing->rows++;
}

/* A list: rows as a table, or as a JSON array. */
static int list(const struct invocation *invocation, const char *command,
                const struct operator_column *columns, unsigned count)
{
    struct operator_row last;
    struct operator_table table;
    struct showing showing = {.json = invocation->json, .table = &table};
    if (!invocation->json)
        operator_table_begin(&table, columns, count);
    int status = operator_ask(invocation->config, command, show_row, &showing, &last);
    if (invocation->json)
        puts(showing.rows > 0 ? "]" : "[]");
    else if (status == STATUS_OK || showing.rows > 0)
        operator_table_end(&table);
    return status;
}

/* An action: what it came to, as a sentence or as JSON. */
static int act(const struct invocation *invocation, const char *command,
               void (*say)(const struct invocation *invocation, const struct operator_row *last))
{
    struct operator_row last;
    struct showing showing = {.json = false};
    int status = operator_ask(invocation->config, command, show_row, &showing, &last);
    if (showing.has_progress)
        fputs("\r\033[K", stderr);
    if (status != STATUS_OK)
        return status;
    if (!invocation->json) {
        say(invocation, &last);
        return status;
    }
    fputs("{", stdout);
    for (unsigned i = 0; i < last.count; i++) /* numbers, true */
        printf("%s\"%s\":%s", i > 0 ? "," : "", last.members[i].key, last.members[i].text);
    puts("}");
    return status;
}

/* A word of a command: no blank, no control byte, not empty. False after saying why. */
static bool is_word(const char *text, const char *what)
{
    bool ok = *text != '\0' && strlen(text) <= 400;
    for (const char *at = text; *at != '\0'; at++)
        ok = ok && (unsigned char)*at > ' ' && *at != 0x7f;
    if (!ok)
        complain("\"%.100s\" is no %s", text, what);
    return ok;
}

/* ---------------------------------------------------------------- backends */

#define SHOW_TEXT(function, key)                                                                   \
    static void function(const struct operator_row *row, char *text, size_t size)                  \
    {                                                                                              \
        snprintf(text, size, "%s", operator_row_text(row, key));                                   \
    }
SHOW_TEXT(show_pool, "pool")
SHOW_TEXT(show_name, "name")
SHOW_TEXT(show_address, "address")
SHOW_TEXT(show_weight, "weight")
SHOW_TEXT(show_sessions, "sessions")
SHOW_TEXT(show_users, "users")
SHOW_TEXT(show_logins, "logins")
SHOW_TEXT(show_failures, "failures")
SHOW_TEXT(show_problem, "problem")
SHOW_TEXT(show_id, "id")
SHOW_TEXT(show_protocol, "protocol")
SHOW_TEXT(show_user, "user")

/* What it is doing, in one word: what the operator wants, else whether it answers. */
static void show_state(const struct operator_row *row, char *text, size_t size)
{
    const char *will = operator_row_text(row, "state");
    bool is_alive = strcmp(operator_row_text(row, "alive"), "true") == 0;
    if (strcmp(will, "up") == 0)
        will = is_alive ? "up" : "dead";
    snprintf(text, size, "%s%s", will, strcmp(will, "drain") == 0 && !is_alive ? ", dead" : "");
}

static void show_since(const struct operator_row *row, char *text, size_t size)
{
    operator_show_ms(operator_row_number(row, "state_ms"), text, size);
}

static const struct operator_column backend_columns[] = {
    {"POOL", show_pool, false},
    {"BACKEND", show_name, false},
    {"ADDRESS", show_address, false},
    {"WEIGHT", show_weight, true},
    {"STATE", show_state, false},
    {"SINCE", show_since, true},
    {"SESSIONS", show_sessions, true},
    {"USERS", show_users, true},
    {"LOG-INS", show_logins, true},
    {"FAILED", show_failures, true},
    {"LAST PROBLEM", show_problem, false},
};

int run_backend_list(const struct invocation *invocation)
{
    return list(invocation, "BACKENDS", backend_columns,
                sizeof backend_columns / sizeof *backend_columns);
}

static void say_drain(const struct invocation *invocation, const struct operator_row *last)
{
    printf("%s gets no new users; %s sessions are there\n", invocation->operand,
           operator_row_text(last, "sessions"));
}

static void say_up(const struct invocation *invocation, const struct operator_row *last)
{
    (void)last;
    printf("%s is up\n", invocation->operand);
}

static void say_down(const struct invocation *invocation, const struct operator_row *last)
{
    if (operator_row_number(last, "sessions") == 0)
        printf("%s is down, no session is left\n", invocation->operand);
    else
        printf("%s is down; %s sessions have not ended yet\n", invocation->operand,
               operator_row_text(last, "sessions"));
}

static int of_backend(const struct invocation *invocation, const char *verb,
                      void (*say)(const struct invocation *invocation,
                                  const struct operator_row *last))
{
    char command[COMMAND_BYTES_MAX];
    if (!is_word(invocation->operand, "name of a backend"))
        return STATUS_USAGE;
    int size = snprintf(command, sizeof command, "%s %s", verb, invocation->operand);
    if (invocation->given & OPTION_SPREAD)
        snprintf(command + size, sizeof command - (size_t)size, " %u", invocation->spread);
    return act(invocation, command, say);
}

int run_backend_drain(const struct invocation *invocation)
{
    return of_backend(invocation, "DRAIN", say_drain);
}

int run_backend_down(const struct invocation *invocation)
{
    return of_backend(invocation, "DOWN", say_down);
}

int run_backend_up(const struct invocation *invocation)
{
    return of_backend(invocation, "UP", say_up);
}

/* ---------------------------------------------------------------- sessions */

static void show_peer(const struct operator_row *row, char *text, size_t size)
{
    snprintf(text, size, "%s %s", operator_row_text(row, "peer"), operator_row_text(row, "port"));
}

static void show_backend(const struct operator_row *row, char *text, size_t size)
{
    snprintf(text, size, "%s/%s", operator_row_text(row, "pool"),
             operator_row_text(row, "backend"));
}

static void show_in(const struct operator_row *row, char *text, size_t size)
{
    operator_show_bytes(operator_row_number(row, "bytes_in"), text, size);
}

static void show_out(const struct operator_row *row, char *text, size_t size)
{
    operator_show_bytes(operator_row_number(row, "bytes_out"), text, size);
}

static void show_age(const struct operator_row *row, char *text, size_t size)
{
    operator_show_ms(operator_row_number(row, "ms"), text, size);
}

static const struct operator_column session_columns[] = {
    {"ID", show_id, false},           {"PROTOCOL", show_protocol, false},
    {"USER", show_user, false},       {"CLIENT", show_peer, false},
    {"BACKEND", show_backend, false}, {"FROM CLIENT", show_in, true},
    {"TO CLIENT", show_out, true},    {"SINCE", show_age, true},
};

int run_session_list(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    const char *user = invocation->operand == NULL ? "" : invocation->operand;
    if (*user != '\0' && !is_word(user, "user"))
        return STATUS_USAGE;
    int size = snprintf(command, sizeof command, "SESSIONS %s", user);
    if (invocation->given & OPTION_LIMIT)
        snprintf(command + size, sizeof command - (size_t)size, " %u", invocation->limit);
    return list(invocation, command, session_columns,
                sizeof session_columns / sizeof *session_columns);
}

static void say_kick(const struct invocation *invocation, const struct operator_row *last)
{
    (void)invocation;
    printf("%s sessions ended\n", operator_row_text(last, "sessions"));
}

int run_session_kick(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    if (!is_word(invocation->operand, "user, nor a session's id"))
        return STATUS_USAGE;
    snprintf(command, sizeof command, "KICK %s", invocation->operand);
    return act(invocation, command, say_kick);
}

/* ---------------------------------------------------------------- users */

static void say_move(const struct invocation *invocation, const struct operator_row *last)
{
    if (operator_row_number(last, "sessions") == 0)
        printf("%s is on %s now\n", invocation->operand, invocation->second);
    else
        printf("%s logs in to %s from now on; %s sessions elsewhere have not ended\n",
               invocation->operand, invocation->second, operator_row_text(last, "sessions"));
}

int run_user_move(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    if (!is_word(invocation->operand, "user") || !is_word(invocation->second, "name of a backend"))
        return STATUS_USAGE;
    int size =
        snprintf(command, sizeof command, "MOVE %s %s", invocation->operand, invocation->second);
    if (invocation->given & OPTION_DELAY)
        snprintf(command + size, sizeof command - (size_t)size, " %u", invocation->delay);
    return act(invocation, command, say_move);
}

static void say_delay(const struct invocation *invocation, const struct operator_row *last)
{
    (void)last;
    printf("log-ins of %s wait for %s seconds\n", invocation->operand, invocation->second);
}

int run_user_delay(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    if (!is_word(invocation->operand, "user") || !is_word(invocation->second, "time in seconds"))
        return STATUS_USAGE;
    snprintf(command, sizeof command, "DELAY %s %s", invocation->operand, invocation->second);
    return act(invocation, command, say_delay);
}

static void say_forget(const struct invocation *invocation, const struct operator_row *last)
{
    if (operator_row_number(last, "sessions") == 0)
        printf("%s is where the pool puts him\n", invocation->operand);
    else
        printf("%s is where the pool puts him, once his %s sessions are gone\n",
               invocation->operand, operator_row_text(last, "sessions"));
}

int run_user_forget(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    if (!is_word(invocation->operand, "user"))
        return STATUS_USAGE;
    snprintf(command, sizeof command, "FORGET %s", invocation->operand);
    return act(invocation, command, say_forget);
}

static void show_where(void *argument, const struct operator_row *row, struct slice line)
{
    static const struct {
        const char *key, *title, *none;
    } lines[] = {
        {"user", "user", ""},
        {"pool", "pool", ""},
        {"current", "now on", "no backend"},
        {"sessions", "sessions", ""},
        {"hashed", "by the pool's choice", "no backend"},
        {"exception", "by exception", "none"},
    };
    if (*(const bool *)argument) {
        printf("%.*s\n", (int)line.size, line.data);
        return;
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *text = operator_row_text(row, lines[i].key);
        printf("%-21s %s\n", lines[i].title, *text == '\0' ? lines[i].none : text);
    }
    uint64_t hold_ms = operator_row_number(row, "hold_ms");
    if (hold_ms > 0)
        printf("%-21s for %llu s more\n", "log-ins wait", (unsigned long long)hold_ms / 1000 + 1);
}

int run_user_where(const struct invocation *invocation)
{
    char command[COMMAND_BYTES_MAX];
    struct operator_row last;
    bool json = invocation->json;
    if (!is_word(invocation->operand, "user"))
        return STATUS_USAGE;
    snprintf(command, sizeof command, "USER %s", invocation->operand);
    return operator_ask(invocation->config, command, show_where, &json, &last);
}
