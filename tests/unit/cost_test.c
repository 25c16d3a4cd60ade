/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What cost.c reads, against puppets: child processes that are told by a pipe to burn CPU, to have
 * children (which stay, end, are waited for or not), to write and to map, and that say afterwards
 * what they used. Bounds are wide where a busy machine could move them; that nothing is counted
 * twice or lost is what the sums show. Cgroups are folders made here, and a real one where root
 * may make it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../bench/load/cost.h"

enum { WRITTEN = 10 << 20, MAPPED = 50 << 20, TMPFS = 0x01021994 };
static const double BURN = 0.2, ROUNDING = 0.06;

struct puppet {
    pid_t pid;
    int orders, answers;
};

static double cpu_of_self(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void burn(double seconds)
{
    double until = cpu_of_self() + seconds;
    while (cpu_of_self() < until)
        ;
}

static void write_file(void)
{
    static char data[1 << 20];
    int file = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    memset(data, 'w', sizeof data);
    for (unsigned i = 0; file >= 0 && i < WRITTEN / sizeof data; i++)
        if (write(file, data, sizeof data) != sizeof data)
            _exit(3);
    if (file < 0 || fsync(file) < 0)
        _exit(3);
    close(file);
}

static void map_memory(void)
{
    char *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        _exit(3);
    memset(memory, 'm', MAPPED);
}

/* A child, which burns and then stays, or ends; with its parent, unless it survives that. */
static pid_t child(bool stays, bool survives)
{
    int ready[2];
    char byte = 0;
    if (pipe(ready) < 0)
        _exit(3);
    pid_t pid = fork();
    if (pid == 0) {
        if (!survives)
            prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60);
        burn(BURN);
        if (write(ready[1], "", 1) != 1)
            _exit(3);
        while (stays)
            pause();
        _exit(0);
    }
    if (read(ready[0], &byte, 1) != 1)
        _exit(3);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* Has a child whose child stays while the one between ends: an orphan. */
static void orphan(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        child(true, true);
        burn(BURN);
        _exit(0); /* the grandchild is init's now */
    }
    waitpid(pid, NULL, 0);
}

static void play(int orders, int answers)
{
    char order;
    pid_t staying = 0;
    while (read(orders, &order, 1) == 1) {
        switch (order) {
        case 'b':
            burn(BURN);
            break;
        case 'w':
            write_file();
            break;
        case 'm':
            map_memory();
            break;
        case 's':
            staying = child(true, false);
            break;
        case 'e':
            waitpid(child(false, false), NULL, 0);
            break;
        case 'i': /* from now on nobody waits for children */
            signal(SIGCHLD, SIG_IGN);
            break;
        case 'k':
            kill(staying, SIGKILL);
            while (waitpid(staying, NULL, 0) > 0 || kill(staying, 0) == 0)
                ;
            break;
        case 'o':
            orphan();
            break;
        case 'r': /* many that end while they are looked at */
            for (unsigned i = 0; i < 300; i++) {
                pid_t pid = fork();
                if (pid == 0)
                    _exit(0);
                waitpid(pid, NULL, 0);
            }
            break;
        default:
            _exit(0);
        }
        double used = cpu_of_self();
        if (write(answers, &used, sizeof used) != sizeof used)
            _exit(3);
    }
    _exit(0);
}

static struct puppet puppet_begin(void)
{
    int orders[2], answers[2];
    struct puppet puppet;
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    puppet.pid = fork();
    assert_true(puppet.pid >= 0);
    if (puppet.pid == 0) {
        close(orders[1]);
        close(answers[0]);
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, ") Z 1 (x");
        play(orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    puppet.orders = orders[1];
    puppet.answers = answers[0];
    return puppet;
}

static void say(struct puppet *puppet, char order)
{
    assert_int_equal(write(puppet->orders, &order, 1), 1);
}

/* The CPU seconds that the puppet has used itself when it has done so. */
static double wait_answer(struct puppet *puppet)
{
    double used = 0;
    assert_int_equal(read(puppet->answers, &used, sizeof used), sizeof used);
    return used;
}

static double tell(struct puppet *puppet, char order)
{
    say(puppet, order);
    return wait_answer(puppet);
}

static void puppet_end(struct puppet *puppet)
{
    close(puppet->orders);
    close(puppet->answers);
    kill(-puppet->pid, SIGKILL);
    waitpid(puppet->pid, NULL, 0);
}

static struct cost *cost_of(const struct puppet *puppet)
{
    struct cost *cost = NULL;
    char problem[200] = "";
    assert_int_equal(cost_open_pid(puppet->pid, &cost, problem), 0);
    return cost;
}

static struct cost_reading reading_of(struct cost *cost, bool with_memory)
{
    struct cost_reading reading;
    assert_int_equal(cost_read(cost, with_memory, &reading), 0);
    return reading;
}

static void near(double value, double wanted)
{
    if (value < wanted - ROUNDING || value > wanted + ROUNDING)
        fail_msg("%.3f is not near %.3f", value, wanted);
}

/* ---------------------------------------------------------------- CPU */

static void cpu_of_one(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    double used = tell(&puppet, 'b');
    assert_true(used >= BURN);
    struct cost_reading reading = reading_of(cost, false);
    near(reading.cpu_seconds, used);
    assert_int_equal(reading.processes, 1);
    assert_int_equal(reading.threads, 1);
    cost_close(cost);
    puppet_end(&puppet);
}

/* A child that lives counts, and one that ended counts as much, once. */
static void cpu_of_children(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    double used = tell(&puppet, 's');
    struct cost_reading reading = reading_of(cost, false);
    near(reading.cpu_seconds, used + BURN);
    assert_int_equal(reading.processes, 2);
    used = tell(&puppet, 'e'); /* begins and ends between two readings */
    reading = reading_of(cost, false);
    near(reading.cpu_seconds, used + 2 * BURN);
    assert_int_equal(reading.processes, 2);
    used = tell(&puppet, 'k'); /* was seen, and is waited for */
    reading = reading_of(cost, false);
    near(reading.cpu_seconds, used + 2 * BURN);
    assert_int_equal(reading.processes, 1);
    cost_close(cost);
    puppet_end(&puppet);
}

/* Whom nobody waits for is in no parent's count: what was seen of him stays. */
static void cpu_of_the_unwaited(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    tell(&puppet, 'i');
    double used = tell(&puppet, 's');
    near(reading_of(cost, false).cpu_seconds, used + BURN);
    used = tell(&puppet, 'k');
    near(reading_of(cost, false).cpu_seconds, used + BURN);
    used = tell(&puppet, 'b');
    near(reading_of(cost, false).cpu_seconds, used + BURN);
    cost_close(cost);
    puppet_end(&puppet);
}

/* A puppet that leads its session is charged with what was orphaned in it, though its parent is
 * init. The child between was waited for. */
static void cpu_of_orphans(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    double used = tell(&puppet, 'o');
    struct cost_reading reading = reading_of(cost, false);
    near(reading.cpu_seconds, used + 2 * BURN);
    assert_int_equal(reading.processes, 2);
    cost_close(cost);
    puppet_end(&puppet);
}

static void vanishing(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    struct cost_reading reading, before = {0};
    unsigned most = 0;
    say(&puppet, 'r');
    for (unsigned i = 0; i < 50; i++) {
        reading = reading_of(cost, true);
        assert_true(reading.cpu_seconds >= before.cpu_seconds);
        assert_true(reading.disk_bytes >= before.disk_bytes);
        most = reading.processes > most ? reading.processes : most;
        before = reading;
    }
    assert_true(most >= 1 && most <= 2);
    wait_answer(&puppet);
    assert_true(reading_of(cost, false).cpu_seconds < 10);
    cost_close(cost);
    puppet_end(&puppet);
}

static void gone(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    struct cost_reading reading;
    double used = tell(&puppet, 'b');
    reading_of(cost, true);
    say(&puppet, 'q');
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)puppet.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(cost_read(cost, true, &reading), -ESRCH); /* a zombie */
    near(reading.cpu_seconds, used);
    assert_int_equal(reading.processes, 0);
    assert_true(reading.memory_bytes > 0); /* of before */
    waitpid(puppet.pid, NULL, 0);
    assert_int_equal(cost_read(cost, true, &reading), -ESRCH);
    near(reading.cpu_seconds, used);
    cost_close(cost);
    char problem[200] = "";
    assert_int_equal(cost_open_pid(puppet.pid, &cost, problem), -ESRCH);
    assert_non_null(strstr(problem, "there is no process"));
    assert_int_equal(cost_open_pid(0, &cost, problem), -ESRCH);
    close(puppet.orders);
    close(puppet.answers);
}

/* ---------------------------------------------------------------- memory, disk, instructions */

static void memory(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    uint64_t before = reading_of(cost, true).memory_bytes;
    tell(&puppet, 'm');
    assert_int_equal(reading_of(cost, false).memory_bytes, before); /* not asked for */
    uint64_t after = reading_of(cost, true).memory_bytes;
    assert_in_range(after - before, MAPPED - (1 << 20), MAPPED + (8 << 20));
    tell(&puppet, 's'); /* shares the mapping: PSS counts it once */
    uint64_t shared = reading_of(cost, true).memory_bytes;
    assert_in_range(shared - before, MAPPED - (1 << 20), MAPPED + MAPPED / 2);
    cost_close(cost);
    puppet_end(&puppet);
}

static void disk(void **state)
{
    (void)state;
    struct statfs system;
    assert_int_equal(statfs(".", &system), 0);
    if (system.f_type == TMPFS)
        skip(); /* writes nothing to storage */
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    uint64_t before = reading_of(cost, false).disk_bytes;
    tell(&puppet, 'w');
    uint64_t written = reading_of(cost, false).disk_bytes - before;
    assert_in_range(written, WRITTEN, 2 * WRITTEN);
    cost_close(cost);
    puppet_end(&puppet);
}

static void instructions(void **state)
{
    (void)state;
    struct puppet puppet = puppet_begin();
    struct cost *cost = cost_of(&puppet);
    tell(&puppet, 's');
    double before = reading_of(cost, false).instructions;
    if (before < 0) {
        assert_non_null(cost_without(cost));
        assert_non_null(strstr(cost_without(cost), "instructions: "));
    } else {
        tell(&puppet, 'b'); /* at a tenth of an instruction a nanosecond at least */
        assert_true(reading_of(cost, false).instructions - before > BURN * 1e8);
    }
    cost_close(cost);
    puppet_end(&puppet);
}

static void self(void **state)
{
    (void)state;
    struct cost_reading before, after;
    cost_read_self(&before);
    burn(BURN);
    cost_read_self(&after);
    near(after.cpu_seconds - before.cpu_seconds, BURN);
    assert_in_range(after.memory_bytes, 100 << 10, UINT64_C(4) << 40);
    assert_int_equal(after.processes, 1);
}

/* ---------------------------------------------------------------- cgroups */

static void put(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
}

static void remove_folder(const char *folder)
{
    const char *const names[] = {"cgroup.procs",   "cpu.stat",    "cpuacct.usage",
                                 "memory.current", "memory.stat", "io.stat"};
    char path[300];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void cgroup_2(void **state)
{
    (void)state;
    char folder[] = "/tmp/cost-test-XXXXXX", pid[20], inner[100], problem[200];
    struct puppet puppet = puppet_begin();
    struct cost *cost;
    assert_non_null(mkdtemp(folder));
    snprintf(inner, sizeof inner, "%s/inner", folder);
    assert_int_equal(mkdir(inner, 0700), 0);
    snprintf(pid, sizeof pid, "%d\n", puppet.pid);
    put(inner, "cgroup.procs", pid);
    put(folder, "cgroup.procs", "");
    put(folder, "cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n");
    put(folder, "memory.current", "100000000\n");
    put(folder, "memory.stat", "anon 5\nfile 60000000\nfile_mapped 7\n");
    put(folder, "io.stat", "8:0 rbytes=9 wbytes=1000 rios=1 wios=2\n8:16 wbytes=500 wios=2\n");
    assert_int_equal(cost_open_cgroup(folder, &cost, problem), 0);
    struct cost_reading reading = reading_of(cost, true);
    near(reading.cpu_seconds, 2.5);
    assert_int_equal(reading.memory_bytes, 40000000);
    assert_int_equal(reading.disk_bytes, 1500);
    assert_int_equal(reading.processes, 1);
    put(folder, "cpu.stat", "usage_usec 3500000\n");
    put(folder, "memory.current", "200000000\n");
    reading = reading_of(cost, false);
    near(reading.cpu_seconds, 3.5);
    assert_int_equal(reading.memory_bytes, 40000000);
    remove_folder(inner);
    remove_folder(folder);
    assert_int_equal(cost_read(cost, true, &reading), -ESRCH);
    near(reading.cpu_seconds, 3.5);
    cost_close(cost);
    puppet_end(&puppet);
}

/* Version 1 with nothing but the CPU: the rest is summed over the processes. */
static void cgroup_1(void **state)
{
    (void)state;
    char folder[] = "/tmp/cost-test-XXXXXX", pid[20], problem[200];
    struct puppet puppet = puppet_begin();
    struct cost *cost;
    assert_non_null(mkdtemp(folder));
    snprintf(pid, sizeof pid, "%d\n", puppet.pid);
    put(folder, "cgroup.procs", pid);
    put(folder, "cpu.stat", "nr_periods 0\n");
    put(folder, "cpuacct.usage", "1234567890\n");
    assert_int_equal(cost_open_cgroup(folder, &cost, problem), 0);
    uint64_t before = reading_of(cost, true).memory_bytes;
    near(reading_of(cost, true).cpu_seconds, 1.234);
    tell(&puppet, 'm');
    struct cost_reading reading = reading_of(cost, true);
    assert_in_range(reading.memory_bytes - before, MAPPED - (1 << 20), MAPPED + (8 << 20));
    cost_close(cost);
    put(folder, "memory.stat", "cache 7\nrss 8\ntotal_cache 9\ntotal_rss 4096\n");
    assert_int_equal(cost_open_cgroup(folder, &cost, problem), 0);
    assert_int_equal(reading_of(cost, true).memory_bytes, 4096);
    cost_close(cost);
    remove_folder(folder);
    puppet_end(&puppet);
}

static void cgroup_real(void **state)
{
    (void)state;
    const char *const roots[] = {"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"};
    char folder[100] = "", file[120], pid[20], problem[200];
    struct cost *cost;
    for (unsigned i = 0; i < 2 && folder[0] == '\0'; i++) {
        snprintf(folder, sizeof folder, "%s/ringpost-cost-test-%d", roots[i], (int)getpid());
        snprintf(file, sizeof file, "%s/cgroup.procs", folder);
        if (mkdir(folder, 0755) < 0 || access(file, W_OK) < 0) {
            rmdir(folder);
            folder[0] = '\0';
        }
    }
    if (folder[0] == '\0')
        skip(); /* no right, or no cgroups here */
    struct puppet puppet = puppet_begin();
    int procs = open(file, O_WRONLY | O_CLOEXEC);
    snprintf(pid, sizeof pid, "%d", puppet.pid);
    assert_int_equal(write(procs, pid, strlen(pid)), strlen(pid));
    close(procs);
    assert_int_equal(cost_open_cgroup(folder, &cost, problem), 0);
    double before = reading_of(cost, true).cpu_seconds;
    tell(&puppet, 'b');
    tell(&puppet, 's');
    struct cost_reading reading = reading_of(cost, true);
    near(reading.cpu_seconds - before, 2 * BURN);
    assert_int_equal(reading.processes, 2);
    assert_true(reading.memory_bytes > 0);
    puppet_end(&puppet);
    cost_close(cost);
    for (unsigned i = 0; i < 100 && rmdir(folder) < 0; i++) /* the last has to go */
        usleep(20000);
}

static void no_cgroup(void **state)
{
    (void)state;
    char problem[200] = "";
    struct cost *cost;
    assert_int_equal(cost_open_cgroup("/nowhere/at/all", &cost, problem), -ENOENT);
    assert_non_null(strstr(problem, "/nowhere/at/all: No such file"));
    assert_int_equal(cost_open_cgroup("/proc/self", &cost, problem), -EINVAL);
    assert_non_null(strstr(problem, "counts no CPU time"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_of_one),
        cmocka_unit_test(cpu_of_children),
        cmocka_unit_test(cpu_of_the_unwaited),
        cmocka_unit_test(cpu_of_orphans),
        cmocka_unit_test(vanishing),
        cmocka_unit_test(gone),
        cmocka_unit_test(memory),
        cmocka_unit_test(disk),
        cmocka_unit_test(instructions),
        cmocka_unit_test(self),
        cmocka_unit_test(cgroup_2),
        cmocka_unit_test(cgroup_1),
        cmocka_unit_test(cgroup_real),
        cmocka_unit_test(no_cgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
