/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a cgroup is charged, and instructions by perf events.
 *
 * Version 2 has all controllers in one folder; version 1 has a hierarchy each, and the same group
 * under the same name in all of them, so that whichever folder is given the others are found by
 * the mount table. What a group does not count is summed over its processes (cost.c): memory as
 * PSS, disk as write_bytes. Version 1's blkio is not used: what is written back later is charged
 * to nobody there.
 */
#include "cost_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CGROUP_DEPTH_MAX = 8 };

/* ---------------------------------------------------------------- folders and files */

/* Whether `path` is `folder` or inside it; what is left of it, or NULL. */
static const char *inside(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return path + length;
}

/* The same group's folder in the hierarchy of another controller of version 1. */
static bool sibling(const char *folder, const char *controller, char ret_folder[PATH_MAX])
{
    char inner[PATH_MAX] = "", other[PATH_MAX] = "", text[2 * PATH_MAX];
    struct mntent mount;
    bool is_inside = false;
    FILE *table = setmntent("/proc/self/mounts", "re");
    if (table == NULL)
        return false;
    while (getmntent_r(table, &mount, text, sizeof text)) {
        if (strcmp(mount.mnt_type, "cgroup") != 0)
            continue;
        const char *rest = inside(folder, mount.mnt_dir);
        if (rest) {
            snprintf(inner, sizeof inner, "%s", rest);
            is_inside = true;
        }
        if (hasmntopt(&mount, controller))
            snprintf(other, sizeof other, "%s", mount.mnt_dir);
    }
    endmntent(table);
    struct stat status;
    return is_inside && other[0] &&
           snprintf(ret_folder, PATH_MAX, "%s%s", other, inner) < PATH_MAX &&
           stat(ret_folder, &status) == 0;
}

/* FOLDER/name when that can be read, else that of the controller's hierarchy, else "". With `key`
 * the file must have that line: cpu.stat is another in version 1. */
static bool find_file(const char *folder, const char *controller, const char *name,
                      struct slice key, char ret_file[PATH_MAX])
{
    char text[4096], place[PATH_MAX];
    uint64_t value;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !sibling(folder, controller, place))
            break;
        if (snprintf(ret_file, PATH_MAX, "%s/%s", i == 0 ? folder : place, name) >= PATH_MAX)
            break;
        int size = cost_file(ret_file, text, sizeof text);
        if (size >= 0 && (key.size == 0 || cost_value(slice_of(text, (size_t)size), key, &value)))
            return true;
    }
    ret_file[0] = '\0';
    return false;
}

static void find_memory(struct cost *cost)
{
    const char *folder = cost->folder;
    if (find_file(folder, "memory", "memory.current", SLICE(""), cost->memory_file) &&
        find_file(folder, "memory", "memory.stat", SLICE("file"), cost->memory_stat_file))
        return;
    cost->memory_stat_file[0] = '\0';
    find_file(folder, "memory", "memory.stat", SLICE("total_rss"), cost->memory_file);
}

int cost_open_cgroup(const char *path, struct cost **ret_cost, char problem[200])
{
    struct cost *cost = calloc(1, sizeof *cost);
    struct cost_reading reading;
    int error = 0;
    if (cost == NULL) {
        snprintf(problem, COST_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    if (realpath(path, cost->folder) == NULL) {
        error = -errno;
        snprintf(problem, COST_PROBLEM_BYTES,
                 "%.80s: %s; give the folder of a cgroup, as /sys/fs/cgroup/NAME", path,
                 strerror(errno));
    } else if (!find_file(cost->folder, "cpu", "cpu.stat", SLICE("usage_usec"), cost->cpu_file) &&
               !find_file(cost->folder, "cpuacct", "cpuacct.usage", SLICE(""), cost->cpu_file)) {
        error = -EINVAL;
        snprintf(problem, COST_PROBLEM_BYTES,
                 "%.80s counts no CPU time; give a cgroup that has cpu.stat (version 2) or "
                 "cpuacct.usage (version 1)",
                 path);
    }
    if (error < 0) {
        cost_close(cost);
        return error;
    }
    find_memory(cost);
    find_file(cost->folder, "io", "io.stat", SLICE(""), cost->disk_file);
    (void)cost_read(cost, false, &reading); /* an empty group may fill later */
    cost_count(cost);
    *ret_cost = cost;
    return 0;
}

/* ---------------------------------------------------------------- reading */

static int mark_folder(const char *folder, unsigned depth, struct cost_list *every)
{
    char path[PATH_MAX], *text = malloc(COST_FILE_BYTES_MAX);
    struct dirent *entry;
    if (text == NULL || snprintf(path, sizeof path, "%s/cgroup.procs", folder) >= PATH_MAX) {
        free(text);
        return -ENOMEM;
    }
    int size = cost_file(path, text, COST_FILE_BYTES_MAX);
    struct slice rest = slice_of(text, size > 0 ? (size_t)size : 0), word;
    while ((word = cost_word(&rest)).size > 0) {
        uint64_t pid;
        struct cost_process *process =
            slice_number(word, INT_MAX, &pid) ? cost_find(every, (int)pid) : NULL;
        if (process)
            process->is_member = true;
    }
    free(text);
    DIR *inner = depth < CGROUP_DEPTH_MAX ? opendir(folder) : NULL;
    while (inner && (entry = readdir(inner)) != NULL)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < PATH_MAX)
            mark_folder(path, depth + 1, every);
    if (inner)
        closedir(inner);
    return size < 0 && depth == 0 ? size : 0;
}

int cost_cgroup_members(const struct cost *cost, struct cost_list *every)
{
    return mark_folder(cost->folder, 0, every);
}

/* Sum over the devices: "8:0 rbytes=1 wbytes=2 ..." */
static uint64_t disk_written(struct slice text)
{
    const struct slice key = SLICE("wbytes=");
    uint64_t sum = 0;
    struct slice word;
    while ((word = cost_word(&text)).size > 0) {
        uint64_t bytes;
        if (slice_equal(slice_first(word, key.size), key) &&
            slice_number(slice_from(word, key.size), UINT64_MAX, &bytes))
            sum += bytes;
    }
    return sum;
}

int cost_cgroup_read(const struct cost *cost, bool with_memory, struct cost_reading *reading)
{
    char text[16384];
    uint64_t value, cache = 0;
    int size = cost_file(cost->cpu_file, text, sizeof text);
    if (size < 0)
        return size;
    struct slice rest = slice_of(text, (size_t)size);
    if (cost_value(rest, SLICE("usage_usec"), &value))
        reading->cpu_seconds = (double)value / 1e6;
    else if (slice_number(cost_word(&rest), UINT64_MAX, &value))
        reading->cpu_seconds = (double)value / 1e9;
    if (cost->disk_file[0] && (size = cost_file(cost->disk_file, text, sizeof text)) >= 0)
        reading->disk_bytes = disk_written(slice_of(text, (size_t)size));
    if (!with_memory || cost->memory_file[0] == '\0')
        return 0;
    size = cost_file(cost->memory_file, text, sizeof text);
    rest = slice_of(text, size > 0 ? (size_t)size : 0);
    if (cost->memory_stat_file[0] == '\0') {
        (void)cost_value(rest, SLICE("total_rss"), &reading->memory_bytes);
    } else if (slice_number(cost_word(&rest), UINT64_MAX, &value)) {
        size = cost_file(cost->memory_stat_file, text, sizeof text);
        (void)cost_value(slice_of(text, size > 0 ? (size_t)size : 0), SLICE("file"), &cache);
        reading->memory_bytes = value > cache ? value - cache : 0;
    }
    return 0;
}

/* ---------------------------------------------------------------- instructions */

static int counter_open(int pid, int cpu, unsigned long flags, bool with_kernel)
{
    struct perf_event_attr wanted = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof wanted,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .inherit = !(flags & PERF_FLAG_PID_CGROUP),
        .exclude_kernel = !with_kernel,
        .exclude_hv = 1,
    };
    int file =
        (int)syscall(SYS_perf_event_open, &wanted, pid, cpu, -1, flags | PERF_FLAG_FD_CLOEXEC);
    return file >= 0 ? file : -errno;
}

/* Those of a process's threads; their later children are counted with them. */
static int count_process(struct cost *cost, int pid, bool with_kernel)
{
    char path[64];
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    int error = 0;
    while (folder && (entry = readdir(folder)) != NULL && error == 0) {
        uint64_t thread;
        if (!slice_number(slice_cstr(entry->d_name), INT_MAX, &thread))
            continue;
        int file = cost->counter_count < COST_COUNTERS_MAX
                       ? counter_open((int)thread, -1, 0, with_kernel)
                       : -EMFILE;
        if (file >= 0)
            cost->counters[cost->counter_count++] = file;
        else if (file != -ESRCH)
            error = file;
    }
    if (folder)
        closedir(folder);
    return error;
}

static int count_cgroup(struct cost *cost, bool with_kernel)
{
    char folder[PATH_MAX];
    int error = 0;
    if (!sibling(cost->folder, "perf_event", folder))
        snprintf(folder, sizeof folder, "%s", cost->folder);
    int group = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0)
        return -errno;
    for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN) && error == 0; cpu++) {
        int file = cost->counter_count < COST_COUNTERS_MAX
                       ? counter_open(group, cpu, PERF_FLAG_PID_CGROUP, with_kernel)
                       : -EMFILE;
        if (file >= 0)
            cost->counters[cost->counter_count++] = file;
        else
            error = file;
    }
    close(group);
    return error;
}

static int count_all(struct cost *cost, bool with_kernel)
{
    int error = 0;
    if (cost->pid == 0)
        error = count_cgroup(cost, with_kernel);
    for (unsigned i = 0; cost->pid && i < cost->here.count && error == 0; i++)
        error = count_process(cost, cost->here.at[i].pid, with_kernel);
    if (error < 0) {
        while (cost->counter_count > 0)
            close(cost->counters[--cost->counter_count]);
    }
    return error;
}

void cost_count(struct cost *cost)
{
    char text[160];
    int error = count_all(cost, true);
    if (error == 0)
        return;
    if ((error == -EACCES || error == -EPERM) && count_all(cost, false) == 0) {
        cost_say_without(cost, "instructions: those of the kernel are not counted "
                               "(kernel.perf_event_paranoid)");
        return;
    }
    if (error == -ENOENT || error == -EOPNOTSUPP || error == -ENODEV)
        snprintf(text, sizeof text, "instructions: this machine lets nobody count them (no PMU)");
    else if (error == -EMFILE)
        snprintf(text, sizeof text, "instructions: too many threads, or open files (ulimit -n)");
    else
        snprintf(text, sizeof text, "instructions: perf_event_open: %s", strerror(-error));
    cost_say_without(cost, text);
}
