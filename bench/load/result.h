/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run as JSON: docs/bench-json.md is the schema.
 */
#ifndef RINGPOST_BENCH_RESULT_H
#define RINGPOST_BENCH_RESULT_H

#include <jansson.h>

#include "watch.h"

struct result_input {
    const struct watch *watch; /* its `sum` is the finished one */
    const char *version;
    int argc; /* the whole command line */
    char *const *argv;
    int64_t started; /* seconds since 1970 */
};
/* The caller's; NULL: out of memory. */
json_t *result_make(const struct result_input *input);

/* A file that is made before the run, so that a mistake in its name is known by then, and comes
 * into being under its own name when it is whole. Zero-initialised; path NULL: none. */
struct output {
    const char *path;
    char part[4096]; /* what is written; "": path itself (a device, standard output) */
    FILE *file;
};
/* "-": standard output, `out`. 0 or -errno. */
int output_open(struct output *output, const char *path, FILE *out);
/* Writes, closes, renames. 0 or -errno; what is half written is deleted. */
int output_finish(struct output *output, const char *text, size_t size);
void output_drop(struct output *output); /* nothing will be written */

#endif
