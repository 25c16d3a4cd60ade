/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of the engine and of streams run on, chosen when linking: the real kernel with threads
 * and sockets (harness_linux.c), or the simulator (tests/sim/harness_sim.c), where the same bodies
 * meet many seeds, ring faults and virtual time. Each call aborts the test when it fails.
 */
#ifndef RINGPOST_TESTS_HARNESS_H
#define RINGPOST_TESTS_HARNESS_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/core.h"

/* cmocka's own assertions jump to another stack, which bodies on fibers and other threads must not
 * do. */
#define check(condition)                                                                           \
    ((condition) ? (void)0 : harness_failed(__FILE__, __LINE__, #condition))
#define check_equal(is, want) harness_check(__FILE__, __LINE__, #is, (int64_t)(is), (int64_t)(want))
_Noreturn void harness_failed(const char *file, int line, const char *what);
void harness_check(const char *file, int line, const char *what, int64_t is, int64_t want);

bool harness_is_simulated(void);
/* The simulator only: the world since harness_begin. */
struct sim *harness_sim(void);
/* Runs the whole test once on the real kernel, with each of several worlds on the simulator. */
int harness_main(int (*tests)(void));

/* An engine that runs ready(core, argument) on a fiber of each core, until harness_stop; then it
 * drains and closes. 0, or the first error of a ready(). */
int harness_run(const struct engine_options *options,
                int (*ready)(struct core *core, void *argument), void *argument);
void harness_stop(struct core *core);
/* The same beside the test: harness_wait waits for its end. */
struct harness_engine;
struct harness_engine *harness_begin(const struct engine_options *options,
                                     int (*ready)(struct core *core, void *argument),
                                     void *argument);
int harness_end(struct harness_engine *engine);
/* Called by harness_begin before the engine runs, with the first core's kernel, and by harness_end
 * after it: for what a process opens once. */
void harness_library(int (*open)(struct kernel *kernel), void (*close)(void));
int64_t harness_wall_ns(void);
bool harness_clock_jumps(void); /* the wall clock, in this world */
void harness_nap(uint64_t us); /* the test waits, the engine goes on */
/* The first of `size` neighbouring ports that are this process's until it ends: of so many groups
 * behind `first`, which belong to tests that share them and to nobody else. */
unsigned harness_ports(unsigned first, unsigned groups, unsigned size);

/* Blocking clients. At most HARNESS_CLIENTS_MAX at once; each waits for at most 20 s. */
enum { HARNESS_CLIENTS_MAX = 256 };
int client_open_at(const char *address, unsigned port); /* port 0: a Unix socket */
void client_put(int client, const void *data, size_t size);
bool client_try_put(int client, const void *data, size_t size); /* false: the peer is gone */
void client_get(int client, void *data, size_t size);
size_t client_get_some(int client, void *data, size_t size); /* at least 1; 0: end or reset */
void client_expect_end(int client); /* end or reset; the client is gone afterwards */
void client_half_close(int client);
void client_close(int client);
void client_reset(int client);
/* The address that the server sees: "127.0.0.1 4711". */
void client_name(int client, char *text, size_t size);

#endif
