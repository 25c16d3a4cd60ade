/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users in an SQLite file (sqlite3.h is known here only).
 *
 * The file is opened anew for each question: 0.1 ms, and a file that was replaced is seen at once,
 * so there is no connection to keep or to repair. It is opened to be read only, and the statement
 * must be one that reads; names reach it as parameters (Y2).
 *
 * A file that others write to may be locked: that is waited for, and a long statement is cut off,
 * as long as a question may take. Any failure is "not available" (Y3), with SQLite's own words.
 */
#include "directory_private.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

enum { STEPS_BETWEEN_LOOKS = 1000 /* of SQLite's machine, some 20 us */ };

struct sqlite {
    char *file, *query;
};

/* One opening of the file. */
struct reading {
    sqlite3 *database;
    sqlite3_stmt *statement;
    uint64_t until_ms;
};

static int look_at_clock(void *argument)
{
    const struct reading *reading = argument;
    return clock_left_ms(reading->until_ms) == 0;
}

static void reading_end(struct reading *reading)
{
    sqlite3_finalize(reading->statement); /* NULL is allowed */
    sqlite3_close(reading->database);
}

/* NULL, or what is wrong; it lives until reading_end. */
static const char *reading_begin(const struct sqlite *sqlite, struct reading *reading)
{
    const char *rest;
    *reading = (struct reading){.until_ms = clock_ms() + DIRECTORY_MS_DEFAULT};
    if (sqlite3_open_v2(sqlite->file, &reading->database,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return reading->database != NULL ? sqlite3_errmsg(reading->database) : "out of memory";
    sqlite3_busy_timeout(reading->database, DIRECTORY_MS_DEFAULT);
    sqlite3_progress_handler(reading->database, STEPS_BETWEEN_LOOKS, look_at_clock, reading);
    if (sqlite3_prepare_v2(reading->database, sqlite->query, -1, &reading->statement, &rest) !=
        SQLITE_OK)
        return sqlite3_errmsg(reading->database);
    if (reading->statement == NULL || rest[strspn(rest, "; \t\r\n")] != '\0')
        return "the query must be one statement";
    if (!sqlite3_stmt_readonly(reading->statement))
        return "the query must only read";
    for (int i = 1; i <= sqlite3_bind_parameter_count(reading->statement); i++) {
        const char *name = sqlite3_bind_parameter_name(reading->statement, i);
        if (name == NULL || (strcmp(name, ":user") != 0 && strcmp(name, ":local") != 0 &&
                             strcmp(name, ":domain") != 0))
            return "the query has a parameter that is not :user, :local or :domain";
    }
    return NULL;
}

static void set(sqlite3_stmt *statement, const char *name, const char *value)
{
    int index = sqlite3_bind_parameter_index(statement, name);
    if (index > 0)
        sqlite3_bind_text(statement, index, value, -1, SQLITE_STATIC);
}

static int read_row(sqlite3_stmt *statement, struct directory_record *record)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        const void *value = sqlite3_column_text(statement, i);
        struct slice text = slice_of(value, (size_t)sqlite3_column_bytes(statement, i));
        int result = record_set(record, slice_cstr(sqlite3_column_name(statement, i)), text);
        if (result < 0)
            return result;
    }
    return 0;
}

static int sqlite_ask(void *state, const struct directory_query *query,
                      struct directory_record *ret_record)
{
    struct reading reading;
    struct asked asked;
    if (asked_of(query->user, &asked) < 0)
        return -ENOENT;
    const char *problem = reading_begin(state, &reading);
    int result = 0;
    if (problem != NULL) {
        result = record_fail(ret_record, "SQLite", problem);
    } else {
        set(reading.statement, ":user", asked.user);
        set(reading.statement, ":local", asked.local);
        set(reading.statement, ":domain", asked.domain);
        int step = sqlite3_step(reading.statement);
        if (step == SQLITE_DONE) {
            result = -ENOENT;
        } else if (step == SQLITE_ROW) {
            result = read_row(reading.statement, ret_record);
            step = sqlite3_step(reading.statement);
        }
        if (result == 0 && step == SQLITE_ROW)
            result = record_fail(ret_record, "the query answers more than one row", NULL);
        else if (result == 0 && step != SQLITE_DONE)
            result = record_fail(ret_record, "SQLite", sqlite3_errmsg(reading.database));
    }
    reading_end(&reading);
    return result;
}

static void sqlite_close(void *state)
{
    struct sqlite *sqlite = state;
    option_free(sqlite->file);
    option_free(sqlite->query);
    free(sqlite);
}

static const struct directory_kind kind = {
    .name = "sqlite", .ask = sqlite_ask, .close = sqlite_close};

int directory_open_sqlite(const struct directory_sqlite_options *options,
                          struct auth_directory *ret_directory,
                          char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    struct reading reading;
    uint64_t identity = 1;
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    if (sqlite == NULL)
        return -ENOMEM;
    if (!option_copy(options->file, &identity, &sqlite->file) ||
        !option_copy(options->query, &identity, &sqlite->query)) {
        sqlite_close(sqlite);
        return -ENOMEM;
    }
    const char *why = reading_begin(sqlite, &reading);
    int result = why == NULL ? 0 : option_problem(problem, "SQLite", why);
    reading_end(&reading);
    if (result < 0) {
        sqlite_close(sqlite);
        return result;
    }
    *ret_directory = (struct auth_directory){.kind = &kind, .state = sqlite, .identity = identity};
    return 0;
}
