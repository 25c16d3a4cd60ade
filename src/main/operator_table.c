/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rows as an aligned table for people. A list may be longer than anybody wants to hold, so only
 * the first rows decide about widths.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "operator_client.h"

void operator_show_ms(uint64_t ms, char *text, size_t size)
{
    unsigned long long seconds = ms / 1000;
    if (seconds < 100)
        snprintf(text, size, "%llus", seconds);
    else if (seconds < 3600)
        snprintf(text, size, "%llum %llus", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        snprintf(text, size, "%lluh %llum", seconds / 3600, seconds % 3600 / 60);
    else
        snprintf(text, size, "%llud %lluh", seconds / 86400, seconds % 86400 / 3600);
}

void operator_show_bytes(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = " KMGTPE";
    unsigned unit = 0;
    double value = (double)bytes;
    while (value >= 1000 && unit < sizeof units - 2) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, size, "%u", (unsigned)bytes);
    else
        snprintf(text, size, "%.1f %c", value, units[unit]);
}

/* How many places a text takes: characters of UTF-8. */
static unsigned places(const char *text)
{
    unsigned count = 0;
    for (; *text != '\0'; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

/* A line of cells, each with its width, cut at the screen's. */
static void write_line(const struct operator_table *table, char *const *cells)
{
    unsigned left = table->columns_of_screen == 0 ? UINT32_MAX : table->columns_of_screen;
    for (unsigned i = 0; i < table->column_count && left > 0; i++) {
        unsigned width = table->widths[i], size = places(cells[i]);
        unsigned blanks = size < width ? width - size : 0;
        bool is_last = i + 1 == table->column_count;
        if (table->columns[i].is_number)
            for (; blanks > 0 && left > 0; blanks--, left--)
                putchar(' ');
        for (const char *at = cells[i]; *at != '\0' && left > 0; at++) {
            putchar(*at);
            left -= (at[1] & 0xc0) != 0x80;
        }
        blanks = is_last ? 0 : blanks + 2;
        for (; blanks > 0 && left > 0; blanks--, left--)
            putchar(' ');
    }
    putchar('\n');
}

static void write_held(struct operator_table *table)
{
    char *titles[OPERATOR_COLUMNS_MAX];
    for (unsigned i = 0; i < table->column_count; i++)
        titles[i] = (char *)table->columns[i].title;
    write_line(table, titles);
    for (unsigned row = 0; row < table->held; row++) {
        char **cells = table->cells + (size_t)row * table->column_count;
        write_line(table, cells);
        for (unsigned i = 0; i < table->column_count; i++)
            free(cells[i]);
    }
    table->held = 0;
    table->is_begun = true;
}

void operator_table_begin(struct operator_table *table, const struct operator_column *columns,
                          unsigned count)
{
    struct winsize screen;
    *table = (struct operator_table){.columns = columns, .column_count = count};
    table->cells = calloc((size_t)count * OPERATOR_ROWS_HELD, sizeof *table->cells);
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &screen) == 0)
        table->columns_of_screen = screen.ws_col;
    for (unsigned i = 0; i < count; i++)
        table->widths[i] = places(columns[i].title);
    table->is_begun = table->cells == NULL; /* no memory: narrow columns are better than none */
}

void operator_table_row(struct operator_table *table, const struct operator_row *row)
{
    char texts[OPERATOR_COLUMNS_MAX][OPERATOR_CELL_BYTES_MAX], *cells[OPERATOR_COLUMNS_MAX];
    if (!table->is_begun && table->held == OPERATOR_ROWS_HELD)
        write_held(table);
    for (unsigned i = 0; i < table->column_count; i++) {
        table->columns[i].show(row, texts[i], sizeof texts[i]);
        for (char *at = texts[i]; *at != '\0'; at++)
            if ((unsigned char)*at < ' ' || *at == 0x7f)
                *at = '?';
        cells[i] = texts[i];
        if (!table->is_begun && places(texts[i]) > table->widths[i])
            table->widths[i] = places(texts[i]);
    }
    if (table->is_begun) {
        write_line(table, cells);
        return;
    }
    char **held = table->cells + (size_t)table->held++ * table->column_count;
    for (unsigned i = 0; i < table->column_count; i++) {
        held[i] = strdup(texts[i]);
        if (held[i] == NULL)
            abort();
    }
}

void operator_table_end(struct operator_table *table)
{
    if (!table->is_begun)
        write_held(table);
    free(table->cells);
}
