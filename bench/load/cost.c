/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a process and its descendants pay, from /proc. Each reading finds the descendants again:
 * who was one stays one (an orphan becomes a child of init), so does whoever has a parent, or the
 * session of the watched process, among them.
 *
 * Nothing may be counted twice or lost when a process ends. What it has used is then found in its
 * parent's "of children waited for", or nowhere: when the parent ignores SIGCHLD, or has ended
 * first. So of those that have gone since the last reading the sum is compared with by how much
 * their nearest living ancestor's count has grown, and what is not there is kept as lost. Of
 * processes that began and ended between two readings only what was waited for is seen.
 *
 * CPU is read from the process's CPU clock (nanoseconds, all its threads, those that have ended
 * too); where that is refused, and for children, from stat in ticks of 10 ms.
 */
#include "cost_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 64 };

/* ---------------------------------------------------------------- files */

int cost_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    size_t used = 0;
    ssize_t part = 0;
    while (used < size && (part = read(file, text + used, size - used)) > 0)
        used += (size_t)part;
    int error = errno;
    close(file);
    return part < 0 ? -error : (int)used;
}

struct slice cost_word(struct slice *text)
{
    while (text->size > 0 && (*text->data == ' ' || *text->data == '\n' || *text->data == '\t'))
        *text = slice_from(*text, 1);
    size_t length = 0;
    while (length < text->size && text->data[length] != ' ' && text->data[length] != '\n' &&
           text->data[length] != '\t')
        length++;
    struct slice word = slice_first(*text, length);
    *text = slice_from(*text, length);
    return word;
}

bool cost_value(struct slice text, struct slice key, uint64_t *ret_value)
{
    while (text.size > 0) {
        struct slice line = slice_first(text, slice_find(text, '\n'));
        text = slice_from(text, line.size + 1);
        if (slice_equal(cost_word(&line), key))
            return slice_number(cost_word(&line), UINT64_MAX, ret_value);
    }
    return false;
}

static uint64_t next_number(struct slice *text)
{
    uint64_t value = 0;
    (void)slice_number(cost_word(text), UINT64_MAX, &value);
    return value;
}

void cost_say_without(struct cost *cost, const char *what)
{
    size_t used = strlen(cost->without);
    snprintf(cost->without + used, sizeof cost->without - used, "%s%s", used ? "; " : "", what);
}

/* ---------------------------------------------------------------- one process */

/* What stat says; false when it is gone. The name in brackets may hold anything, so the fields
 * begin behind the last bracket. */
static bool read_stat(int pid, struct cost_process *ret_process)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int size = cost_file(path, text, sizeof text);
    if (size <= 0)
        return false;
    const char *end = memrchr(text, ')', (size_t)size);
    if (end == NULL)
        return false;
    struct slice rest = slice_of(end + 1, (size_t)(text + size - end - 1));
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    struct cost_process process = {.pid = pid};
    struct slice state = cost_word(&rest);
    process.is_zombie = state.size > 0 && (*state.data == 'Z' || *state.data == 'X');
    process.parent = (int)next_number(&rest);
    cost_word(&rest); /* process group */
    process.session = (int)next_number(&rest);
    for (unsigned i = 0; i < 7; i++) /* terminal, its group, flags, four counts of page faults */
        cost_word(&rest);
    uint64_t own = next_number(&rest);
    own += next_number(&rest);
    uint64_t reaped = next_number(&rest);
    reaped += next_number(&rest);
    cost_word(&rest); /* priority, nice */
    cost_word(&rest);
    process.threads = (unsigned)next_number(&rest);
    cost_word(&rest);
    process.start = next_number(&rest);
    process.cpu = (double)own * tick;
    process.cpu_of_reaped = (double)reaped * tick;
    *ret_process = process;
    return true;
}

static void read_cpu_clock(struct cost_process *process)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process->pid, &clock) == 0 && clock_gettime(clock, &used) == 0)
        process->cpu = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* `before`: what stands when it cannot be read any more. */
static void read_disk(struct cost_process *process, const struct cost_process *before)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/io", process->pid);
    int size = cost_file(path, text, sizeof text);
    process->disk = before ? before->disk : 0;
    if (size > 0)
        (void)cost_value(slice_of(text, (size_t)size), SLICE("write_bytes:"), &process->disk);
}

static void read_memory(struct cost *cost, struct cost_process *process)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process->pid);
    int size = cost_file(path, text, sizeof text);
    uint64_t kib = 0;
    if (size > 0 && cost_value(slice_of(text, (size_t)size), SLICE("Pss:"), &kib)) {
        process->memory = kib << 10;
        return;
    }
    if (size != -EACCES && size != -EPERM && size != -ENOENT)
        return; /* it is ending */
    snprintf(path, sizeof path, "/proc/%d/statm", process->pid);
    size = cost_file(path, text, sizeof text);
    if (size <= 0)
        return;
    struct slice rest = slice_of(text, (size_t)size);
    cost_word(&rest);
    process->memory = next_number(&rest) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!cost->memory_is_rss)
        cost_say_without(cost,
                         "memory: resident instead of proportional size, pages that processes "
                         "share count in each (no right to read smaps_rollup: be root or "
                         "the server's user)");
    cost->memory_is_rss = true;
}

/* ---------------------------------------------------------------- all of them */

static int by_pid(const void *a, const void *b)
{
    const struct cost_process *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

struct cost_process *cost_find(const struct cost_list *list, int pid)
{
    struct cost_process key = {.pid = pid};
    if (list->count == 0)
        return NULL;
    return bsearch(&key, list->at, list->count, sizeof key, by_pid);
}

static bool list_add(struct cost_list *list, const struct cost_process *process)
{
    if (list->count == list->size) {
        unsigned size = list->size ? 2 * list->size : 256;
        struct cost_process *at =
            size <= COST_PROCESSES_MAX ? realloc(list->at, size * sizeof *at) : NULL;
        if (at == NULL)
            return false;
        list->at = at;
        list->size = size;
    }
    list->at[list->count++] = *process;
    return true;
}

/* All processes of the machine; more than COST_PROCESSES_MAX are not looked at. */
static int read_all(struct cost_list *every)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    if (folder == NULL)
        return -errno;
    while ((entry = readdir(folder)) != NULL) {
        uint64_t pid;
        struct cost_process process;
        if (!slice_number(slice_cstr(entry->d_name), INT_MAX, &pid) ||
            !read_stat((int)pid, &process))
            continue;
        if (!list_add(every, &process))
            break;
    }
    closedir(folder);
    if (every->count > 0)
        qsort(every->at, every->count, sizeof *every->at, by_pid);
    return 0;
}

static const struct cost_process *find_same(const struct cost_list *list,
                                            const struct cost_process *process)
{
    const struct cost_process *found = cost_find(list, process->pid);
    return found && found->start == process->start ? found : NULL;
}

static void mark_descendants(const struct cost *cost, struct cost_list *every)
{
    const struct cost_process *first = cost_find(every, cost->pid);
    if (first == NULL || first->start != cost->start)
        first = cost_find(&cost->here, cost->pid);
    bool leads = first && first->session == cost->pid, changed = true;
    for (unsigned i = 0; i < every->count; i++) {
        struct cost_process *process = &every->at[i];
        process->is_member = (process->pid == cost->pid && process->start == cost->start) ||
                             find_same(&cost->here, process) ||
                             (leads && process->session == cost->pid);
    }
    for (unsigned depth = 0; changed && depth < DEPTH_MAX; depth++) {
        changed = false;
        for (unsigned i = 0; i < every->count; i++) {
            struct cost_process *process = &every->at[i];
            const struct cost_process *parent = cost_find(every, process->parent);
            if (process->is_member || parent == NULL || !parent->is_member)
                continue;
            process->is_member = changed = true;
        }
    }
}

/* Who has waited, or will, for a process that was in `before` and is gone. */
static struct cost_process *nearest_ancestor(const struct cost_list *before, struct cost_list *now,
                                             const struct cost_process *process)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        const struct cost_process *parent = cost_find(before, process->parent);
        if (parent == NULL)
            return NULL;
        struct cost_process *here = cost_find(now, parent->pid);
        if (here && here->start == parent->start)
            return here;
        process = parent;
    }
    return NULL;
}

/* What has ended since the reading before and is found in no parent's count is lost (see above). */
static void keep_lost(struct cost *cost, struct cost_list *now)
{
    const struct cost_list *before = &cost->here;
    for (unsigned i = 0; i < before->count; i++) {
        const struct cost_process *process = &before->at[i];
        if (find_same(now, process))
            continue;
        struct cost_process *ancestor = nearest_ancestor(before, now, process);
        double cpu = process->cpu + process->cpu_of_reaped;
        if (ancestor == NULL) {
            cost->cpu_lost += cpu;
            cost->disk_lost += process->disk;
            continue;
        }
        ancestor->gone_cpu += cpu;
        ancestor->gone_disk += process->disk;
        ancestor->gone++;
    }
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    for (unsigned i = 0; i < now->count; i++) {
        struct cost_process *process = &now->at[i];
        const struct cost_process *was = process->gone ? find_same(before, process) : NULL;
        if (was == NULL)
            continue;
        double grown = process->cpu_of_reaped - was->cpu_of_reaped;
        uint64_t written = process->disk > was->disk ? process->disk - was->disk : 0;
        if (process->gone_cpu - grown > 2 * tick * (process->gone + 1)) /* else rounding */
            cost->cpu_lost += process->gone_cpu - grown;
        if (process->gone_disk > written)
            cost->disk_lost += process->gone_disk - written;
    }
}

/* Reads the members of `every` and makes them the list of those that are here. */
static int read_members(struct cost *cost, bool with_memory, struct cost_list *every)
{
    struct cost_list now = {0};
    for (unsigned i = 0; i < every->count; i++) {
        struct cost_process *process = &every->at[i];
        if (!process->is_member)
            continue;
        const struct cost_process *before = find_same(&cost->here, process);
        read_cpu_clock(process);
        read_disk(process, before);
        process->memory = before && !process->is_zombie ? before->memory : 0;
        if (with_memory && !process->is_zombie)
            read_memory(cost, process);
        if (!list_add(&now, process)) {
            free(now.at);
            return -ENOMEM;
        }
    }
    keep_lost(cost, &now);
    free(cost->here.at);
    cost->here = now;
    return 0;
}

static int read_tree(struct cost *cost, bool with_memory, struct cost_reading *reading)
{
    struct cost_list every = {0};
    int error = read_all(&every);
    if (error == 0) {
        if (cost->pid)
            mark_descendants(cost, &every);
        else
            error = cost_cgroup_members(cost, &every);
    }
    if (error == 0)
        error = read_members(cost, with_memory, &every);
    free(every.at);
    if (error < 0)
        return error;
    double cpu = cost->cpu_lost;
    uint64_t disk = cost->disk_lost, memory = 0;
    reading->processes = reading->threads = 0;
    for (unsigned i = 0; i < cost->here.count; i++) {
        const struct cost_process *process = &cost->here.at[i];
        cpu += process->cpu + process->cpu_of_reaped;
        disk += process->disk;
        memory += process->memory;
        reading->processes += !process->is_zombie;
        reading->threads += process->is_zombie ? 0 : process->threads;
    }
    if (cpu > reading->cpu_seconds) /* what is in ticks may seem to go back */
        reading->cpu_seconds = cpu;
    if (disk > reading->disk_bytes)
        reading->disk_bytes = disk;
    if (with_memory && reading->processes > 0)
        reading->memory_bytes = memory;
    return reading->processes > 0 ? 0 : -ESRCH;
}

static double read_counters(const struct cost *cost)
{
    double sum = 0;
    for (unsigned i = 0; i < cost->counter_count; i++) {
        uint64_t count = 0;
        if (read(cost->counters[i], &count, sizeof count) == sizeof count)
            sum += (double)count;
    }
    return cost->counter_count ? sum : -1;
}

int cost_read(struct cost *cost, bool with_memory, struct cost_reading *ret_reading)
{
    struct cost_reading reading = cost->last;
    int error = 0;
    if (cost->pid == 0 && cost->cpu_file[0])
        error = cost_cgroup_read(cost, with_memory, &reading);
    if (error == 0) {
        struct cost_reading whole = reading; /* what the cgroup itself knows goes first */
        error = read_tree(cost, with_memory && !cost->memory_file[0], &reading);
        if (cost->cpu_file[0])
            reading.cpu_seconds = whole.cpu_seconds;
        if (cost->memory_file[0])
            reading.memory_bytes = whole.memory_bytes;
        if (cost->disk_file[0])
            reading.disk_bytes = whole.disk_bytes;
    }
    reading.instructions = read_counters(cost);
    if (error < 0)
        reading.processes = reading.threads = 0;
    cost->last = reading;
    *ret_reading = reading;
    return error == 0 || error == -ENOMEM ? error : -ESRCH;
}

int cost_open_pid(int pid, struct cost **ret_cost, char problem[200])
{
    struct cost_process process;
    if (pid <= 0 || !read_stat(pid, &process)) {
        snprintf(problem, COST_PROBLEM_BYTES,
                 "there is no process %d; give the pid of the running server", pid);
        return -ESRCH;
    }
    if (process.is_zombie) {
        snprintf(problem, COST_PROBLEM_BYTES,
                 "process %d has ended and waits for its parent; give the pid of a running server",
                 pid);
        return -ESRCH;
    }
    struct cost *cost = calloc(1, sizeof *cost);
    struct cost_reading reading;
    if (cost == NULL) {
        snprintf(problem, COST_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    cost->pid = pid;
    cost->start = process.start;
    int error = cost_read(cost, false, &reading);
    if (error < 0) {
        snprintf(problem, COST_PROBLEM_BYTES, "process %d cannot be read: %s", pid,
                 strerror(-error));
        cost_close(cost);
        return error;
    }
    cost_count(cost);
    *ret_cost = cost;
    return 0;
}

const char *cost_without(const struct cost *cost)
{
    return cost->without[0] ? cost->without : NULL;
}

void cost_close(struct cost *cost)
{
    if (cost == NULL)
        return;
    for (unsigned i = 0; i < cost->counter_count; i++)
        close(cost->counters[i]);
    free(cost->here.at);
    free(cost);
}

void cost_read_self(struct cost_reading *ret_reading)
{
    struct rusage usage;
    struct cost_process self = {.pid = (int)getpid()};
    struct cost none = {.memory_is_rss = true};
    getrusage(RUSAGE_SELF, &usage);
    read_stat(self.pid, &self);
    read_disk(&self, NULL);
    read_memory(&none, &self);
    *ret_reading = (struct cost_reading){
        .cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
        .instructions = -1,
        .memory_bytes = self.memory,
        .disk_bytes = self.disk,
        .processes = 1,
        .threads = self.threads,
    };
}
