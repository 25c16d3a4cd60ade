/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of bench/limits: what its parts share. Each part measures for `seconds` a row, prints a
 * line, and names its ceilings.
 */
#ifndef RINGPOST_BENCH_LIMITS_PRIVATE_H
#define RINGPOST_BENCH_LIMITS_PRIVATE_H

#include <stdio.h>
#include <sys/types.h>

#include "ringpost/core.h"
#include "ringpost/kernel.h"
#include "ringpost/stream.h"

enum {
    CONNECTIONS = 20,
    REQUEST = 64,
    REPLY = 32,
    SEGMENT = 64 << 20,
    MESSAGE = 102400,
    CEILINGS_MAX = 64,
};

struct ceiling {
    const char *name, *unit, *what; /* without quotation marks: they go into JSON as they are */
    double value;
};

struct bench {
    struct core *core;
    const char *directory;
    double seconds; /* of each row */
    unsigned port;
    FILE *text; /* what a person reads */
    struct listener *listener;
    bool (*accepted)(struct core *core, unsigned slot, void *argument);
    const char *answer; /* to a request */
    size_t answer_bytes;
    unsigned long long exchanges, bytes; /* done in this row */
    unsigned open;                       /* connections */
    int segment;
    uint64_t offset;
    struct ceiling ceilings[CEILINGS_MAX];
    unsigned ceiling_count;
};

struct measure {
    double wall, cpu;
};

void must(bool ok, const char *what);
/* Binds this process to one processor. */
void pin(int cpu);
double wall_seconds(void);
/* Of this process: the kernel's threads of the ring included, children not. */
double cpu_seconds(void);
struct measure turn_for(struct bench *bench, double seconds);
void ceiling_add(struct bench *bench, const char *name, double value, const char *unit,
                 const char *what);

/* limits_net.c; receive_and_append wants the segment. */
void limit_exchange(struct bench *bench);
void limit_connect(struct bench *bench);
void limit_send(struct bench *bench);
void limit_receive(struct bench *bench);
void limit_file(struct bench *bench);
/* limits_disk.c */
void segment_open(struct bench *bench);
void limit_commit(struct bench *bench);
void limit_append(struct bench *bench);
/* limits_cpu.c */
void limit_memory(struct bench *bench);
void limit_tls(struct bench *bench);

#endif
