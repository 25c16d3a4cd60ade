/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The people of the store's scenario, each a fiber of the program's cores: users who change their
 * mailboxes, sessions that watch, senders. What they do and are answered goes into the model.
 */
#ifndef RINGPOST_TESTS_STORE_PEOPLE_H
#define RINGPOST_TESTS_STORE_PEOPLE_H

#include "store_model.h"

struct run;

struct person { /* argument of a fiber */
    struct run *run;
    unsigned user;
};

struct run {
    struct sim *sim;
    struct model *model;
    struct store_options options;
    unsigned cores;
    unsigned working;
    bool calm; /* no faults: an error is a failure */
    struct person persons[MODEL_USERS], checked;
};

unsigned home_of(const struct run *run, unsigned user);
/* An error that no fault explains is a failure. */
void answer_check(struct run *run, const char *what, int result);

/* Bodies for sim_spawn; the argument is a struct person, or the run. They count run->working down
 * at their end. */
int user_body(struct core *core, void *person);
int watcher_body(struct core *core, void *person);
int sender_body(struct core *core, void *run);
int tending_body(struct core *core, void *run);
/* Reads all that a user has and compares. -EAGAIN: a fault was in the way. */
int check_body(struct core *core, void *person);

#endif
