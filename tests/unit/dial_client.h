/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client on a stream that connects, for tests on fibers: it asks the line server and checks what
 * it answers. What is not as expected aborts.
 */
#ifndef RINGPOST_TESTS_DIAL_CLIENT_H
#define RINGPOST_TESTS_DIAL_CLIENT_H

#include "harness.h"
#include "ringpost/stream.h"

struct dialed {
    struct stream stream;
    struct waiters gone;
    unsigned inputs; /* calls of the owner's input */
    bool is_released;
};

extern const struct stream_owner dialed_owner;

struct stream_target target_v4(unsigned port); /* 127.0.0.1 */
/* Waits for at most wait_ns (0: no bound). All of *client is overwritten. */
int dial(struct core *core, struct dialed *client, const struct stream_target *target,
         uint64_t wait_ns);
void dialed_ask(struct dialed *client, const char *question, const char *answer);
void dialed_line(struct dialed *client, char *text, size_t capacity);
void dialed_close(struct dialed *client); /* and waits until it is released */
void dialed_quit(struct dialed *client);  /* says so, waits for the server's end */

#endif
