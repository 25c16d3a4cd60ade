/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a script is played: the simulator (place_sim.c) or the real kernel (place_linux.c). One
 * server, its clients, and time.
 */
#ifndef RINGPOST_TESTS_SCRIPT_PLACE_H
#define RINGPOST_TESTS_SCRIPT_PLACE_H

#include "host.h"

/* How the clients' bytes are cut into segments. */
enum place_cut { PLACE_CUT_DRAWN, PLACE_CUT_WHOLE, PLACE_CUT_SINGLE, PLACE_CUT_AT };

struct place_options {
    unsigned cores;
    uint64_t seed;
    enum place_cut cut;
    uint64_t cut_at;     /* PLACE_CUT_AT: offset in each client's stream */
    uint64_t fail_nth;   /* 0: none */
    unsigned fail_kinds; /* of sim.h; 0: file, socket, call */
};

enum place_crash { PLACE_RESTART, PLACE_KILL, PLACE_POWER_CUT, PLACE_FAIL_STOP };
enum place_state { PLACE_OPEN, PLACE_ENDED, PLACE_RESET, PLACE_REFUSED };

struct place;
bool place_is_simulated(void);
struct place *place_begin(const struct host *host, const struct place_options *options);
/* Opens the server. 0, or -errno of its open; then it is not up. */
int place_start(struct place *place);
bool place_is_up(const struct place *place);
/* Ends the server in this way; PLACE_RESTART is a good end, others are of the simulator. NULL, or
 * what was not as it must be. */
const char *place_down(struct place *place, enum place_crash how);
/* No planned failure any more. */
void place_heal(struct place *place);
/* How many operations could have failed; has the planned one? */
uint64_t place_operations(struct place *place);
bool place_has_failed(const struct place *place);
/* Frees everything, also when it is up. */
void place_end(struct place *place);

int place_connect(struct place *place, const char *service);
void place_send(struct place *place, int client, const void *data, size_t size);
struct slice place_received(struct place *place, int client);
void place_consume(struct place *place, int client, size_t size);
/* Until more than `size` bytes are there, or the client's state is not PLACE_OPEN (true), or for
 * PATIENCE (false). */
bool place_wait(struct place *place, int client, size_t size);
enum place_state place_state(struct place *place, int client);
void place_half_close(struct place *place, int client);
void place_close(struct place *place, int client);
void place_reset(struct place *place, int client);
void place_vanish(struct place *place, int client);
void place_pause(struct place *place, int client, bool paused);
void place_pass(struct place *place, uint64_t ns);
uint64_t place_counter(struct place *place, enum counter which);
/* The longest stream that a client has sent. */
uint64_t place_bytes_sent(struct place *place);

#endif
