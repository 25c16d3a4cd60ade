/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the measured server pays: CPU seconds, instructions (where the kernel counts them), memory
 * (PSS) and bytes written to disk, of a process and all that descend from it, or of a cgroup. Read
 * from /proc, /sys/fs/cgroup and perf events; never from a core's turn.
 */
#ifndef RINGPOST_BENCH_COST_H
#define RINGPOST_BENCH_COST_H

#include "ringpost/slice.h"

struct cost; /* what is watched */

struct cost_reading {
    double cpu_seconds;    /* user and system, children that have ended included */
    double instructions;   /* -1: not counted here */
    uint64_t memory_bytes; /* PSS of all processes; of a cgroup: what it is charged without cache */
    uint64_t disk_bytes;   /* written to storage since the start of each process (write_bytes) */
    unsigned processes, threads;
};

/* By pid (and its descendants, found again at each reading), or cgroup directory. On failure says
 * why and what to do in problem (200 bytes): gone, no right. 0 or -errno. */
int cost_open_pid(int pid, struct cost **ret_cost, char problem[200]);
int cost_open_cgroup(const char *path, struct cost **ret_cost, char problem[200]);
/* `with_memory` reads the memory too (dear for large processes: it walks their page tables; else
 * memory_bytes is that of the reading before). 0 or -ESRCH when it is gone: what was read before
 * stays, with the CPU of processes that have ended. */
int cost_read(struct cost *cost, bool with_memory, struct cost_reading *ret_reading);
const char *cost_without(const struct cost *cost); /* what is not counted and why, or NULL */
void cost_close(struct cost *cost);
/* The generator itself: CPU and memory of this process. */
void cost_read_self(struct cost_reading *ret_reading);

#endif
