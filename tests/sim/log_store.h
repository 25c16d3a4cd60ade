/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A log in a simulated world with its oracle, driven step by step: for the sweeps and the damage
 * tests. Files can be taken as an image and put into a fresh world.
 */
#ifndef RINGPOST_TESTS_LOG_STORE_H
#define RINGPOST_TESTS_LOG_STORE_H

#include "log_oracle.h"

struct log_store {
    struct sim *sim;
    struct oracle *oracle;
    struct log *log; /* NULL: not open */
    struct log_options options;
    int answer; /* of the last append */
};

enum { STORE_FILES_MAX = 16 };
struct log_image {
    unsigned count;
    struct {
        char path[64];
        uint64_t size;
        char *data;
    } files[STORE_FILES_MAX];
};

/* A calm world with 64 KiB segments. */
void store_begin(struct log_store *store, struct oracle *oracle, uint64_t seed);
void store_end(struct log_store *store);
/* Starts a life if there is none, opens. 0 (then the oracle has compared), SIM_CRASHED, -errno. */
int store_open(struct log_store *store);
int store_close(struct log_store *store); /* also ends the life */
/* Appends one after the other, each with a body of body_size (0: events) and a meta of meta_size;
 * stops at the first error. The last answer, or SIM_CRASHED. */
int store_append(struct log_store *store, unsigned count, uint32_t body_size, uint32_t meta_size);
/* The same without waiting in between: they go into one commit. */
int store_append_together(struct log_store *store, unsigned count, uint32_t body_size,
                          uint32_t meta_size);
int store_drop(struct log_store *store, uint32_t segment);
/* Reads every body that should be there. */
int store_read_all(struct log_store *store);
/* log_read_body of one entry into the oracle's judgement: bytes or -errno. */
int64_t store_read(struct log_store *store, uint32_t id);
/* Runs fn on a fiber. */
int store_run(struct log_store *store, int (*fn)(struct core *core, void *argument),
              void *argument);

void image_take(struct log_store *store, struct log_image *image);
void image_put(const struct log_image *image, struct sim *sim);
void image_free(struct log_image *image);
const char *image_segment(const struct log_image *image, uint32_t number, uint64_t *ret_size);

#endif
