/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk's part of bench/limits: durable writes as the log makes them, into a segment that was
 * written from end to end before (O_DIRECT, RWF_DSYNC).
 */
#include "limits_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { COMMIT = 20 * 2048, COMMITS_MAX = 20000, IN_FLIGHT = 4, GROUP = 256 << 10 };

void segment_open(struct bench *bench)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/limits.segment", bench->directory);
    bench->segment = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    must(bench->segment >= 0, path);
    unlink(path);
    char *zeros = aligned_alloc(4096, 1 << 20);
    must(zeros != NULL, "memory");
    memset(zeros, 0, 1 << 20);
    for (uint64_t at = 0; at < SEGMENT; at += 1 << 20)
        must(pwrite(bench->segment, zeros, 1 << 20, (off_t)at) == 1 << 20, "write");
    fsync(bench->segment);
    free(zeros);
}

struct commits {
    struct bench *bench;
    size_t size;
    double until, took[COMMITS_MAX];
    unsigned count;
    unsigned running;
};

static void commit_fiber(void *argument)
{
    struct commits *commits = argument;
    struct bench *bench = commits->bench;
    char *batch = aligned_alloc(4096, (commits->size + 4095) & ~(size_t)4095);
    must(batch != NULL, "memory");
    memset(batch, 'm', commits->size);
    double last = wall_seconds();
    while (last < commits->until && commits->count < COMMITS_MAX) {
        uint64_t offset = bench->offset;
        bench->offset = (bench->offset + commits->size + 4095) & ~UINT64_C(4095);
        if (bench->offset > SEGMENT - 2 * GROUP)
            bench->offset = 0;
        int result =
            await_write(bench->core, bench->segment, batch, commits->size, offset, RWF_DSYNC);
        must(result == (int)commits->size, "write");
        double now = wall_seconds();
        if (commits->count < COMMITS_MAX)
            commits->took[commits->count++] = now - last;
        last = now;
    }
    commits->running--;
    free(batch);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Durable writes of `size` bytes, `in_flight` at a time. */
static struct measure commit(struct commits *commits, size_t size, unsigned in_flight)
{
    struct bench *bench = commits->bench;
    commits->size = size;
    commits->count = 0;
    commits->until = wall_seconds() + bench->seconds;
    struct measure measure = {wall_seconds(), cpu_seconds()};
    for (unsigned i = 0; i < in_flight; i++) {
        must(fiber_start(bench->core, commit_fiber, commits) == 0, "fiber");
        commits->running++;
    }
    while (commits->running > 0)
        core_turn(bench->core, 100000000);
    measure = (struct measure){wall_seconds() - measure.wall, cpu_seconds() - measure.cpu};
    must(commits->count > 0, "no commit in time");
    qsort(commits->took, commits->count, sizeof *commits->took, by_value);
    return measure;
}

static struct commits commits; /* large */

void limit_commit(struct bench *bench)
{
    commits.bench = bench;
    struct measure measure = commit(&commits, COMMIT, 1);
    double p50 = commits.took[commits.count / 2] * 1e6;
    double each = measure.cpu * 1e6 / commits.count;
    fprintf(bench->text,
            "commit    20 x 2 KiB       %9.0f messages/s, p50 %.0f us, p99 %.0f us, "
            "%.1f us CPU a commit\n",
            20 * commits.count / measure.wall, p50, commits.took[commits.count * 99 / 100] * 1e6,
            each);
    ceiling_add(bench, "commit_p50_us", p50, "us",
                "time of a durable write of 40 KiB (20 messages of 2 KiB), one in flight");
    ceiling_add(bench, "commit_us", each, "us", "CPU of a durable write of 40 KiB");
}

void limit_append(struct bench *bench)
{
    static const struct {
        size_t size;
        const char *text, *rate, *price, *what_rate, *what_price;
    } rows[] = {
#define ROW(kib, n, each)                                                                          \
    {kib << 10,                                                                                    \
     n,                                                                                            \
     "durable_append_" n "_per_second",                                                            \
     "durable_append_" n "_us",                                                                    \
     "messages of " each " appended durably, in groups of 256 KiB, four writes in flight",         \
     "CPU for a message of " each " appended durably in such groups"}
        ROW(1, "1k", "1 KiB"), ROW(4, "4k", "4 KiB"), ROW(64, "64k", "64 KiB"),
        ROW(100, "100k", "100 KiB")};
#undef ROW
    commits.bench = bench;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned group = GROUP / (unsigned)rows[i].size;
        struct measure measure = commit(&commits, group * rows[i].size, IN_FLIGHT);
        double count = (double)commits.count * group;
        fprintf(bench->text,
                "append    %-4s in groups   %9.0f messages/s, %.0f MiB/s, %.2f us CPU each\n",
                rows[i].text, count / measure.wall,
                count * (double)rows[i].size / measure.wall / 1048576, measure.cpu * 1e6 / count);
        ceiling_add(bench, rows[i].rate, count / measure.wall, "1/s", rows[i].what_rate);
        ceiling_add(bench, rows[i].price, measure.cpu * 1e6 / count, "us", rows[i].what_price);
    }
}
