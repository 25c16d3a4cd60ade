/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reports: the JSON of runs and of the suite (docs/bench-json.md) in, one HTML page out, or the
 * text of a comparison. Pure functions: no file but in page_read, no clock, the same bytes for the
 * same input.
 *
 * A page is one file that needs nothing else: no address outside, all charts are SVG in it, and all
 * of it is there without its script, which only shows values under the pointer and sorts tables.
 *
 * Invariants:
 *   P1 What is in the JSON comes from servers, too (greetings, error texts), and may be hostile or
 *      broken: every string is bounded and escaped, every number is checked; a member that is
 *      missing or of the wrong type is shown as "-", and never stops the page.
 *   P2 What is partial, was not verified or lost messages says so at the top.
 *   P3 No page is larger than PAGE_BYTES_MAX; what does not fit is -EFBIG.
 */
#ifndef RINGPOST_BENCH_PAGE_H
#define RINGPOST_BENCH_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { PAGE_BYTES_MAX = 32 << 20, PAGE_INPUT_BYTES_MAX = 16 << 20, PAGE_RUNS_MAX = 200 };

/* A buffer that grows, up to its maximum. Zero-initialise, text_free. When it is full or memory
 * ran out, `error` says so (-EFBIG, -ENOMEM) and what is written is dropped. */
struct text {
    char *data; /* NUL-ended when size > 0 */
    size_t size, room;
    int error;
};
void text_free(struct text *text);

/* Reads a file of JSON ("-": standard input) and checks that a run or suite of a format we know is
 * in it. On failure says why in problem, without the file's name. 0 or -errno. */
int page_read(const char *path, json_t **ret_input, char problem[200]);
bool page_is_suite(const json_t *input);

/* The page of a run, of the suite, or of whichever of the two it is. 0, -ENOMEM, -EFBIG. */
int page_run(json_t *run, struct text *out);
int page_suite(json_t *suite, struct text *out);
int page_draw(json_t *input, struct text *out);

/* Runs beside each other: those with the same label are repetitions, the first label is what others
 * are compared with. Text for a terminal, a page, and the same as JSON (NULL: out of memory; the
 * caller's). `names` say which file a run came from. count: 1 ... PAGE_RUNS_MAX. */
int compare_print(json_t *const *runs, const char *const *names, unsigned count, struct text *out);
int page_compare(json_t *const *runs, const char *const *names, unsigned count, struct text *out);
json_t *compare_json(json_t *const *runs, const char *const *names, unsigned count);

#endif
