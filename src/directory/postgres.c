/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users in a PostgreSQL database (libpq is known here only).
 *
 * A question is one statement with parameters (Y2) on a connection of the pool. libpq's calls that
 * wait do so without end, so those that do not wait are used, and poll(2) with the time that a
 * question may take; the server is told the same limit (statement_timeout), so that it does not
 * work on for nobody. A connection that failed is closed; if it came from the pool, it may have
 * been dead for long, and a new one is tried once.
 *
 * Any failure is "not available" (Y3), with libpq's own words.
 */
#include "directory_private.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARAMETERS_MAX = 3, TEXT_OID = 25 };

struct postgres {
    char *connection, *password, *query;
    uint64_t timeout_ms;
    int parameters; /* the highest $n */
    struct pool pool;
};

/* ---------------------------------------------------------------- waiting */

/* Sends all that is queued. 0 or -ETIMEDOUT, -EIO. */
static int flush(PGconn *connection, uint64_t until_ms)
{
    for (;;) {
        int more = PQflush(connection);
        if (more < 0)
            return -EIO;
        if (more == 0)
            return 0;
        if (wait_fd(PQsocket(connection), true, until_ms) < 0)
            return -ETIMEDOUT;
    }
}

/* The one result of what was sent; NULL: none in time, or the connection failed. */
static PGresult *result_of(PGconn *connection, uint64_t until_ms)
{
    PGresult *last = NULL;
    if (flush(connection, until_ms) < 0)
        return NULL;
    for (;;) {
        while (PQisBusy(connection)) {
            if (wait_fd(PQsocket(connection), false, until_ms) < 0 ||
                PQconsumeInput(connection) == 0) {
                PQclear(last);
                return NULL;
            }
        }
        PGresult *next = PQgetResult(connection);
        if (next == NULL)
            return last;
        PQclear(last);
        last = next;
    }
}

/* ---------------------------------------------------------------- connections */

static bool limit_statements(PGconn *connection, const struct postgres *postgres, uint64_t until_ms)
{
    char text[64];
    snprintf(text, sizeof text, "SET statement_timeout = %" PRIu64, postgres->timeout_ms);
    if (PQsendQuery(connection, text) == 0)
        return false;
    PGresult *result = result_of(connection, until_ms);
    bool is_set = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return is_set;
}

static PGconn *connect_to(const struct postgres *postgres, uint64_t until_ms,
                          struct directory_record *record)
{
    const char *const names[] = {"dbname", "password", "fallback_application_name",
                                 "client_encoding", NULL};
    const char *const values[] = {postgres->connection, postgres->password, "ringpost", "UTF8",
                                  NULL};
    const char *const *from = names, *const *with = values;
    const char *const names_open[] = {"dbname", "fallback_application_name", "client_encoding",
                                      NULL};
    const char *const values_open[] = {postgres->connection, "ringpost", "UTF8", NULL};
    if (postgres->password == NULL) {
        from = names_open;
        with = values_open;
    }
    PGconn *connection = PQconnectStartParams(from, with, 1);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (connection != NULL && PQstatus(connection) != CONNECTION_BAD &&
           state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
        if (wait_fd(PQsocket(connection), state == PGRES_POLLING_WRITING, until_ms) < 0) {
            record_fail(record, "PostgreSQL", "no connection in time");
            PQfinish(connection);
            return NULL;
        }
        state = PQconnectPoll(connection);
    }
    if (connection != NULL && state == PGRES_POLLING_OK && PQsetnonblocking(connection, 1) == 0 &&
        limit_statements(connection, postgres, until_ms))
        return connection;
    record_fail(record, "PostgreSQL",
                connection != NULL ? PQerrorMessage(connection) : "out of memory");
    PQfinish(connection);
    return NULL;
}

static void give_back(struct postgres *postgres, PGconn *connection)
{
    if (PQstatus(connection) != CONNECTION_OK || PQtransactionStatus(connection) != PQTRANS_IDLE ||
        !pool_give(&postgres->pool, connection))
        PQfinish(connection);
}

/* ---------------------------------------------------------------- questions */

static int read_row(const PGresult *result, struct directory_record *record)
{
    for (int i = 0; i < PQnfields(result); i++) {
        struct slice value = slice_of(PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i));
        int failed = record_set(record, slice_cstr(PQfname(result, i)), value);
        if (failed < 0)
            return failed;
    }
    return 0;
}

/* 0, -ENOENT, -EAGAIN; -EIO: the connection failed, record->problem is set. */
static int ask_on(const struct postgres *postgres, PGconn *connection, const struct asked *asked,
                  uint64_t until_ms, struct directory_record *record)
{
    const char *const values[PARAMETERS_MAX] = {asked->user, asked->local, asked->domain};
    const Oid types[PARAMETERS_MAX] = {TEXT_OID, TEXT_OID, TEXT_OID};
    PGresult *result = NULL;
    if (PQsendQueryParams(connection, postgres->query, postgres->parameters, types, values, NULL,
                          NULL, 0) == 1)
        result = result_of(connection, until_ms);
    int answer;
    if (result == NULL) {
        record_fail(record, "PostgreSQL",
                    clock_left_ms(until_ms) == 0 ? "no answer in time"
                                                 : PQerrorMessage(connection));
        return -EIO;
    }
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        answer = record_fail(record, "PostgreSQL", PQresultErrorMessage(result));
    else if (PQntuples(result) == 0)
        answer = -ENOENT;
    else if (PQntuples(result) > 1)
        answer = record_fail(record, "the query answers more than one row", NULL);
    else
        answer = read_row(result, record);
    PQclear(result);
    return PQstatus(connection) == CONNECTION_OK ? answer : -EIO;
}

static int postgres_ask(void *state, const struct directory_query *query,
                        struct directory_record *ret_record)
{
    struct postgres *postgres = state;
    struct asked asked;
    uint64_t until_ms = clock_ms() + postgres->timeout_ms;
    if (asked_of(query->user, &asked) < 0)
        return -ENOENT;
    PGconn *connection = pool_take(&postgres->pool);
    bool is_old = connection != NULL;
    for (;;) {
        if (connection == NULL)
            connection = connect_to(postgres, until_ms, ret_record);
        if (connection == NULL)
            return -EAGAIN;
        int result = ask_on(postgres, connection, &asked, until_ms, ret_record);
        if (result != -EIO) {
            give_back(postgres, connection);
            return result;
        }
        PQfinish(connection);
        connection = NULL;
        if (!is_old || clock_left_ms(until_ms) == 0)
            return -EAGAIN;
        is_old = false;
        ret_record->problem[0] = '\0';
    }
}

/* ---------------------------------------------------------------- open, close */

static void postgres_close(void *state)
{
    struct postgres *postgres = state;
    PGconn *connection;
    while ((connection = pool_take(&postgres->pool)) != NULL)
        PQfinish(connection);
    option_free_secret(postgres->connection); /* may hold a password */
    option_free_secret(postgres->password);
    option_free(postgres->query);
    free(postgres);
}

static const struct directory_kind kind = {
    .name = "postgresql", .ask = postgres_ask, .close = postgres_close};

/* The highest $n; 0: none; -1: one that we have not. */
static int parameters_of(const char *query)
{
    int highest = 0;
    for (const char *at = strchr(query, '$'); at != NULL; at = strchr(at + 1, '$')) {
        if (at[1] < '0' || at[1] > '9')
            continue;
        int number = at[1] - '0';
        if (number == 0 || number > PARAMETERS_MAX || (at[2] >= '0' && at[2] <= '9'))
            return -1;
        if (number > highest)
            highest = number;
    }
    return highest;
}

static int look_at(struct postgres *postgres, char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(postgres->connection, &why);
    if (parsed == NULL) {
        option_problem(problem, "connection", why != NULL ? why : "out of memory");
        PQfreemem(why);
        return -EINVAL;
    }
    PQconninfoFree(parsed);
    postgres->parameters = parameters_of(postgres->query);
    if (postgres->parameters < 1)
        return option_problem(problem,
                              "the query must ask for $1 (user), $2 (local part) or $3"
                              " (domain), and for nothing else",
                              NULL);
    return 0;
}

int directory_open_postgres(const struct directory_postgres_options *options,
                            struct auth_directory *ret_directory,
                            char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    uint64_t identity = 2;
    struct postgres *postgres = calloc(1, sizeof *postgres);
    if (postgres == NULL)
        return -ENOMEM;
    int result = option_timeout(options->timeout_ms, &postgres->timeout_ms, problem);
    if (result == 0 && (!option_copy(options->connection, &identity, &postgres->connection) ||
                        !option_copy(options->password, &identity, &postgres->password) ||
                        !option_copy(options->query, &identity, &postgres->query)))
        result = -ENOMEM;
    if (result == 0)
        result = look_at(postgres, problem);
    if (result < 0) {
        postgres_close(postgres);
        return result;
    }
    *ret_directory =
        (struct auth_directory){.kind = &kind, .state = postgres, .identity = identity};
    return 0;
}
