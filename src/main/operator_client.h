/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The other end of the control socket (ringpost/control.h), for the commands of an operator: one
 * command a connection, rows as they come, shown as a table or as JSON. What a gateway says is
 * data: bytes that a terminal would obey are not written to one.
 */
#ifndef RINGPOST_OPERATOR_CLIENT_H
#define RINGPOST_OPERATOR_CLIENT_H

#include "command.h"
#include "ringpost/slice.h"

enum { OPERATOR_ROW_BYTES_MAX = 4096, OPERATOR_MEMBERS_MAX = 32 };

/* A row: one flat JSON object. Texts are unescaped and NUL-ended; numbers, true, false as text. */
struct operator_row {
    unsigned count;
    struct {
        const char *key, *text;
    } members[OPERATOR_MEMBERS_MAX];
    char bytes[OPERATOR_ROW_BYTES_MAX];
};

/* False: this is no such object. */
bool operator_row_parse(struct operator_row *row, struct slice line);
/* "" when there is none. */
const char *operator_row_text(const struct operator_row *row, const char *key);
uint64_t operator_row_number(const struct operator_row *row, const char *key);

/* Sends one command to the gateway of that config and calls `row` for each line of the answer but
 * the last, which is in *ret_last. The exit status: STATUS_OK when that says "ok", else it was
 * said why. `line` is without its end. */
int operator_ask(const char *config_name, const char *command,
                 void (*row)(void *argument, const struct operator_row *row, struct slice line),
                 void *argument, struct operator_row *ret_last);

/* ---------------------------------------------------------------- tables (operator_table.c) */

struct operator_column {
    const char *title;
    /* The cell's text into `text`. */
    void (*show)(const struct operator_row *row, char *text, size_t size);
    bool is_number; /* on the right */
};

enum { OPERATOR_COLUMNS_MAX = 12, OPERATOR_CELL_BYTES_MAX = 340, OPERATOR_ROWS_HELD = 500 };

/* Widths follow the first rows, which are held; what comes then is written at once. On a terminal
 * lines are cut at its width. */
struct operator_table {
    const struct operator_column *columns;
    unsigned column_count, held;
    unsigned widths[OPERATOR_COLUMNS_MAX];
    char **cells; /* of the rows held, column_count each */
    bool is_begun;
    unsigned columns_of_screen; /* 0: no terminal */
};
void operator_table_begin(struct operator_table *table, const struct operator_column *columns,
                          unsigned count);
void operator_table_row(struct operator_table *table, const struct operator_row *row);
void operator_table_end(struct operator_table *table);

/* Cells of usual kinds. */
void operator_show_ms(uint64_t ms, char *text, size_t size);       /* "3h 2m" */
void operator_show_bytes(uint64_t bytes, char *text, size_t size); /* "1.2 M" */

#endif
