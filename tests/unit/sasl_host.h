/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of mechanisms run in: a core with auth, some users, and the client's side of an
 * exchange as a list of responses or as a function. Between two messages it looks whether the one
 * before was wiped.
 *
 *   anna@x.test   a hash and records for both SCRAMs, all of "pencil"
 *   bert@x.test   a hash of "pencil" only
 *   gone@x.test   disabled;  far@x.test  may come from elsewhere only
 *   root@x.test   may log in as others; "master"
 */
#ifndef RINGPOST_TESTS_SASL_HOST_H
#define RINGPOST_TESTS_SASL_HOST_H

#include "harness.h"
#include "ringpost/auth.h"

struct sasl_run {
    struct auth_users *users, *masters;
    struct auth_tokens *tokens;
    struct auth_options options;
    void (*body)(struct core *core, struct sasl_run *run);
};

void sasl_run_with(void (*body)(struct core *core, struct sasl_run *run));
/* Secure, with a binding of 32 times 'b', from a network of its own each time. */
struct auth_client sasl_client(void);

struct sasl_talk {
    /* The client: the step-th response (from 0, the initial one not counted) into `out`. 0 or
     * -errno, which ends the exchange. */
    int (*respond)(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                   size_t *ret_size);
    void *argument;
    const struct slice *list; /* of the function that answers from a list */
    unsigned list_count, steps;
    struct auth_proof *proof; /* NULL: not wanted */
    char challenge[1024]; /* the last one, NUL-ended */
    char message[16384];
    size_t message_size;
};

/* initial.data NULL: none. The result; -ENODATA when a list came to its end. */
int sasl_try(struct core *core, const struct auth_client *client, const char *mechanism,
             struct slice initial, struct sasl_talk *talk, struct auth_result *ret_result);
/* With a list. */
int sasl_say(struct core *core, const struct auth_client *client, const char *mechanism,
             struct slice initial, const struct slice *list, unsigned count,
             struct auth_result *ret_result);

#endif
