/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line of a run, from one table: parsing, ranges, help and the settings in the result
 * all come from it.
 */
#ifndef RINGPOST_BENCH_OPTIONS_H
#define RINGPOST_BENCH_OPTIONS_H

#include <stdio.h>

#include "load.h"

enum {
    OPTIONS_PROBLEM_BYTES = 600,
    OPTIONS_ALSO_MAX = 4,
    OPTIONS_OWNED_MAX = 4,
    OPTIONS_WORDS_MAX = 64, /* of a scenario's defaults */
};

/* A command line understood: what the run is (load), and what the program does around it. */
struct bench_options {
    struct load_options load;
    const char *target, *also[OPTIONS_ALSO_MAX], *owned[OPTIONS_OWNED_MAX];
    unsigned also_count, owned_count;
    enum load_tls tls; /* --tls: of the target */
    bool has_tls;
    const char *json_path, *html_path, *label, *cgroup;
    unsigned server_pid; /* 0: none */
    bool is_quiet;
    char words[512]; /* of the scenario's defaults */
};

enum option_kind {
    OPTION_FLAG,        /* sets a bool */
    OPTION_FLAG_OFF,    /* clears one */
    OPTION_UNSIGNED,    /* min ... max */
    OPTION_U64,         /* min ... max */
    OPTION_RATE,        /* double, up to max */
    OPTION_TIME,        /* nanoseconds; range in milliseconds */
    OPTION_SIZE,        /* "real" is 0 */
    OPTION_TEXT,        /* const char * */
    OPTION_ARRIVALS,    /* bool is_poisson */
    OPTION_TLS,         /* tls, has_tls */
    OPTION_TLS_VERSION, /* bool tls_12 */
    OPTION_ALSO,
    OPTION_OWNED
};

struct option_row {
    const char *group; /* heading of the help page */
    const char *name, *value, *help;
    const char *scenarios;    /* names, blanks between; NULL: all */
    const char *default_text; /* NULL: none */
    enum option_kind kind;
    uint64_t min, max;
    size_t offset; /* in struct bench_options */
};
extern const struct option_row option_rows[];
extern const unsigned option_row_count;
bool option_is_for(const struct option_row *row, const struct load_scenario *scenario);

/* argv[0] is the scenario's name, options follow. 0; -EINVAL with the reason in problem. `options`
 * is overwritten and refers to argv. Names are not resolved yet. */
int options_parse(const struct load_scenario *scenario, int argc, char *const *argv,
                  struct bench_options *options, char problem[OPTIONS_PROBLEM_BYTES]);
/* Fills load.endpoints: --target and --also taken apart, names resolved (blocking), and each
 * address checked: loopback, or a host that the operator named as his own (L3). 0 or -EINVAL. */
int options_resolve(struct bench_options *options, char problem[OPTIONS_PROBLEM_BYTES]);
void options_help(const struct load_scenario *scenario, FILE *file);
/* The scenario of that name, or NULL, with a suggestion or NULL. */
const struct load_scenario *options_scenario(const char *name, const char **ret_suggestion);

/* options_value.c: one value for one row. */
int option_set(const struct option_row *row, const char *value, struct bench_options *options,
               char problem[OPTIONS_PROBLEM_BYTES]);
/* What it is, as text: "10 s", "1024", "real"; empty for texts that are not set. */
void option_text(const struct option_row *row, const struct bench_options *options, char *text,
                 size_t size);
/* How many letters must change from one word to the other; for suggestions. */
unsigned option_distance(const char *a, const char *b);

#endif
