/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scenarios that tests/sim/sim runs. To add one: write `sim_scenario_run scenario_NAME` in a
 * file scenario_NAME.c, put a row here and the file into meson.build.
 */
#ifndef RINGPOST_TESTS_SIM_SCENARIOS_H
#define RINGPOST_TESTS_SIM_SCENARIOS_H

#include "sim.h"

/* name, has to fail (a planted bug: proves that the checker sees), what it is */
#define SCENARIO_TABLE(ROW)                                                                        \
    ROW(net, false, "line server on 1-3 cores, clients that misbehave, all faults of the network") \
    ROW(dial, false, "fibers that connect to a line server beside them, through crashes")          \
    ROW(join, false, "a front that joins clients with a server, its pairs cut now and then")       \
    ROW(gateway, false, "senders and readers over the whole gateway, through crashes")             \
    ROW(disk, false, "a tiny store that acknowledges what is durable; crashes in a row")           \
    ROW(disk_early, true, "the same, but it acknowledges before its bytes are durable")            \
    ROW(disk_nameless, true, "the same, but it never syncs the directory")                         \
    ROW(store, false, "users and deliveries over shards, checkpoints, crashes, against a model")   \
    ROW(store_full, false, "a disk that fills up, is read, is emptied and heals")                  \
    ROW(mail, false, "SMTP and LMTP clients over the whole gateway; what a 250 promises")          \
    ROW(front, false, "a gateway before itself: users passed through to its own services")         \
    ROW(relay, false, "mail handed on to backends that die, hang, refuse and babble")              \
    ROW(load, false, "the load generator and the gateway in one world: --verify, no false alarm")  \
    ROW(load_lossy, true, "the same, and somebody deletes a message")                              \
    ROW(load_imap, false, "the load generator's scenario imap beside the gateway")                 \
    ROW(load_pop3, false, "its scenario pop3")                                                     \
    ROW(load_idle, false, "its scenario idle: everybody is told")

#define SCENARIO_DECLARE(name, has_to_fail, help) sim_scenario_run scenario_##name;
SCENARIO_TABLE(SCENARIO_DECLARE)
#undef SCENARIO_DECLARE

#endif
