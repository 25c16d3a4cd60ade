/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all pages are put together from: beginning and end, headline figures, notices, tables of two
 * columns, sections that are there on every page (machine, command).
 */
#ifndef RINGPOST_BENCH_PAGE_PARTS_H
#define RINGPOST_BENCH_PAGE_PARTS_H

#include "chart.h"

extern const char page_style[], page_script[], page_script_hash[]; /* page_style.c */

/* Up to and with <main>; `title` is of the window, plain words of ours or of others. */
void page_begin(struct text *out, struct slice title);
void page_end(struct text *out, const json_t *input);

/* kind: "bad" (partial, wrong), "note" or "good". Between the two: HTML. */
void notice_begin(struct text *out, const char *kind);
void notice_end(struct text *out);

/* <section> with its heading; title is ours. */
void section_begin(struct text *out, const char *id, const char *title);
void section_end(struct text *out);

/* A list of figures, large: figure_begin, the value, figure_end. */
void figure_begin(struct text *out, const char *name);
void figure_end(struct text *out, const char *below);
void figure_value(struct text *out, const char *name, enum unit unit, double value,
                  const char *below);

/* Tables. `classes` of the table: "", "sortable". A scrolling box of their own around them. */
void table_begin(struct text *out, const char *classes, const char *caption);
void table_end(struct text *out);
void cell_number(struct text *out, enum unit unit, double value); /* <td>, with data-sort */
void cell_words(struct text *out, struct slice words);

/* Rows of a table of two columns; nothing when there is no such member. */
void pair_value(struct text *out, const char *name, enum unit unit, double value);
void pair_words(struct text *out, const char *name, struct slice words);
void pair_json(struct text *out, struct slice name, const json_t *value);

/* Histograms of runs, [[upper end in us, count], ...], taken together, as points of 1 / (1 - p) and
 * microseconds; `points` has distribution_room of them. Returns how many. */
size_t distribution_room(const json_t *const *histograms, unsigned count);
unsigned distribution_points(const json_t *const *histograms, unsigned count,
                             struct chart_point *points);

/* The machine, the command with its words quoted for a shell. */
void part_machine(struct text *out, const json_t *machine);
void part_command(struct text *out, const json_t *command);
/* The notice that a result is partial, unless "complete" is true. */
void part_partial(struct text *out, const json_t *input);

#endif
