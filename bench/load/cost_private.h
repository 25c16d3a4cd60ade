/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of cost*.c: what is known of the watched processes, and how files of /proc and cgroups
 * are read. Files there are read whole with one call, and a process may be gone at any moment:
 * every reading may fail, and the one before then stands.
 */
#ifndef RINGPOST_BENCH_COST_PRIVATE_H
#define RINGPOST_BENCH_COST_PRIVATE_H

#include <limits.h>

#include "cost.h"

enum {
    COST_PROCESSES_MAX = 65536, /* of the machine, looked at in one reading */
    COST_COUNTERS_MAX = 1024,   /* perf events: a thread or a CPU each */
    COST_FILE_BYTES_MAX = 65536,
    COST_PROBLEM_BYTES = 200,
    COST_WITHOUT_BYTES = 400,
};

struct cost_process {
    int pid, parent, session;
    uint64_t start;            /* clock ticks after boot: the pid is still the same process */
    double cpu, cpu_of_reaped; /* seconds: its own; that of children it has waited for */
    uint64_t disk, memory;     /* disk includes that of children it has waited for */
    unsigned threads;
    bool is_member, is_zombie;
    /* While two readings are compared: what the processes have used that lived below it in the
     * first of them and are gone in the second. */
    double gone_cpu;
    uint64_t gone_disk;
    unsigned gone;
};

struct cost_list { /* sorted by pid */
    struct cost_process *at;
    unsigned count, size;
};

struct cost {
    int pid;               /* 0: a cgroup */
    uint64_t start;        /* of pid */
    struct cost_list here; /* the members at the last reading */
    double cpu_lost;       /* of processes that ended and that nobody has waited for */
    uint64_t disk_lost;
    int counters[COST_COUNTERS_MAX];
    unsigned counter_count;
    char cpu_file[PATH_MAX]; /* of a cgroup: "" when it has none */
    char memory_file[PATH_MAX], memory_stat_file[PATH_MAX];
    char disk_file[PATH_MAX];
    char folder[PATH_MAX];
    bool memory_is_rss; /* smaps_rollup was not readable */
    char without[COST_WITHOUT_BYTES];
    struct cost_reading last;
};

/* Bytes read into text (COST_FILE_BYTES_MAX at most), or -errno. */
int cost_file(const char *path, char *text, size_t size);
/* The number behind `key` at the begin of a line; false when there is none. */
bool cost_value(struct slice text, struct slice key, uint64_t *ret_value);
/* The next word of a line or list, cut from text; empty at the end. */
struct slice cost_word(struct slice *text);
/* Marks the processes of the cgroup and those of cgroups inside it; -errno when it is gone. */
int cost_cgroup_members(const struct cost *cost, struct cost_list *every);
struct cost_process *cost_find(const struct cost_list *list, int pid);
/* Puts what the cgroup itself counts in place of the sums over processes. */
int cost_cgroup_read(const struct cost *cost, bool with_memory, struct cost_reading *reading);
/* Begins to count instructions of all that `cost` watches; says so in `without` if it cannot. */
void cost_count(struct cost *cost);
void cost_say_without(struct cost *cost, const char *what);

#endif
