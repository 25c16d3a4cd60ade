/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Landlock and seccomp as the gateway uses them, each denial tried for itself in a child process
 * (row F09): with the measure in place it is refused, without it it is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "ringpost/kernel.h"

enum { NOBODY = 65534, PORT = 24987, CONNECTS = 1, SERVES = 2, NO_FILES = 4, NO_CALLS = 8 };

static char folder[] = "/tmp/ringpost-confine-XXXXXX", path_in[64], path_out[64];
static int listener;
static struct sockaddr_in listener_name;

#define must(condition)                                                                            \
    ((condition) ? (void)0                                                                         \
                 : (void)(fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                                  strerror(errno)),                                                \
                          _exit(1)))

/* In the child: what the gateway does, in its order. */
static void confine_child(unsigned how)
{
    struct confine_calls calls;
    bool may_connect = how & CONNECTS;
    if (geteuid() == 0)
        must(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0);
    must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    must(confine_calls_make(may_connect, &calls) == 0);
    if (!(how & NO_FILES)) {
        int ruleset = confine_files_begin(may_connect);
        must(ruleset >= 0);
        must(confine_files_allow(ruleset, path_in, CONFINE_STORES) == 0);
        must(confine_files_end(ruleset) == 0);
    }
    if (!(how & NO_CALLS)) {
        must(confine_calls_start(&calls) == 0);
        if (how & SERVES)
            must(confine_calls_serve(&calls) == 0);
    }
    confine_calls_free(&calls);
}

static int run_child(void (*body)(void), unsigned how)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        confine_child(how);
        body();
        _exit(0);
    }
    int status = -1;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

#define child_holds(body, how) assert_int_equal(run_child(body, how), 0)

/* Ends by SIGSYS; and by no signal when there is no filter. */
static void child_dies(void (*body)(void))
{
    int status = run_child(body, SERVES);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    assert_false(WIFSIGNALED(run_child(body, NO_CALLS)));
}

/* ---------------------------------------------------------------- files */

static int try_open(const char *base, const char *name, int flags)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", base, name);
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -errno : 0;
}

/* The same by a ring, as the cores do. */
static int try_ring(const char *path)
{
    struct io_uring ring;
    must(io_uring_queue_init(4, &ring, 0) == 0);
    io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, path, O_RDONLY, 0);
    struct io_uring_cqe *cqe;
    must(io_uring_submit_and_wait(&ring, 1) == 1 && io_uring_peek_cqe(&ring, &cqe) == 0);
    int result = cqe->res;
    io_uring_queue_exit(&ring);
    return result;
}

static void files_denied(void)
{
    must(try_open(path_in, "new", O_RDWR | O_CREAT) == 0);
    must(rename(path_in, path_out) < 0 && errno == EACCES);
    must(try_open(path_out, "there", O_RDONLY) == -EACCES);
    must(try_open(path_out, "new", O_RDWR | O_CREAT) == -EACCES);
    must(try_open("/", "", O_RDONLY) == -EACCES);
    must(try_open("/etc", "passwd", O_RDONLY) == -EACCES);
    must(try_open("/etc", "shadow", O_RDONLY) == -EACCES);
    must(try_open("/proc/self", "mem", O_RDONLY) == -EACCES);
    must(try_ring("/etc/passwd") == -EACCES);
    must(try_ring("/etc/shadow") == -EACCES);
}

static void files_open(void)
{
    must(try_open(path_out, "there", O_RDONLY) == 0);
    must(try_open("/etc", "passwd", O_RDONLY) == 0);
    must(try_ring("/etc/passwd") >= 0);
}

/* F09: open, by a call and by a ring. */
static void files(void **state)
{
    (void)state;
    child_holds(files_denied, NO_CALLS);
    child_holds(files_open, NO_FILES | NO_CALLS);
}

/* Of each access what it allows and no more. */
static void access_child(void)
{
    int ruleset = confine_files_begin(false);
    must(confine_files_allow(ruleset, path_in, CONFINE_READS) == 0);
    must(confine_files_allow(ruleset, path_out, CONFINE_LOGS) == 0);
    must(confine_files_end(ruleset) == 0);
    must(try_open(path_in, "there", O_RDONLY) == 0);
    must(try_open(path_in, "there", O_WRONLY) == -EACCES);
    must(try_open(path_in, "other", O_WRONLY | O_CREAT) == -EACCES);
    must(try_open(path_out, "log", O_WRONLY | O_APPEND | O_CREAT) == 0);
    must(try_open(path_out, "there", O_RDONLY) == -EACCES);
    must(try_open(path_out, "log", O_WRONLY | O_TRUNC) == -EACCES);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/socket", path_in);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) < 0 && errno == EACCES);
}

static void listens_child(void)
{
    int ruleset = confine_files_begin(false);
    must(confine_files_allow(ruleset, path_in, CONFINE_LISTENS) == 0);
    must(confine_files_end(ruleset) == 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/socket", path_in);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    must(unlink(name.sun_path) == 0);
    must(try_open(path_in, "there", O_RDONLY) == -EACCES);
}

static void accesses(void **state)
{
    (void)state;
    child_holds(access_child, NO_FILES | NO_CALLS);
    child_holds(listens_child, NO_FILES | NO_CALLS);
}

/* ---------------------------------------------------------------- network */

static int try_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    int result = connect(fd, (struct sockaddr *)&listener_name, sizeof listener_name);
    int error = result < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int try_bind(uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    name.sin_port = htons(port);
    int error = bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static void network_denied_by_landlock(void)
{
    must(try_connect() == -EACCES);
    must(try_bind(PORT) == -EACCES);
}

static void network_denied(void)
{
    must(try_connect() == -EPERM);
    must(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 && errno == EPERM);
}

static void network_of_directories(void)
{
    must(try_connect() == 0);
    must(try_bind(PORT) == -EACCES);
}

/* Backends: their ports, and from sources whose ports the kernel chooses. */
static void ports_child(void)
{
    int ruleset = confine_files_begin(false);
    must(confine_files_allow_port(ruleset, ntohs(listener_name.sin_port)) == 0);
    must(confine_files_end(ruleset) == 0);
    must(try_connect() == 0);
    must(try_bind(0) == -EACCES);
    listener_name.sin_port = htons((uint16_t)(ntohs(listener_name.sin_port) ^ 1));
    must(try_connect() == -EACCES);
}

static void sources_child(void)
{
    int ruleset = confine_files_begin(false);
    must(confine_files_allow_sources(ruleset) == 0);
    must(confine_files_end(ruleset) == 0);
    must(try_bind(0) == 0);
    must(try_bind(PORT) == -EACCES);
    must(try_connect() == -EACCES);
}

static void network_open(void)
{
    must(try_connect() == 0);
    must(try_bind(PORT) == 0);
}

/* F09: connect. */
static void network(void **state)
{
    (void)state;
    if (confine_files_version() >= 4) {
        child_holds(network_denied_by_landlock, 0);
        child_holds(network_of_directories, SERVES | CONNECTS);
        child_holds(ports_child, NO_FILES | NO_CALLS);
        child_holds(sources_child, NO_FILES | NO_CALLS);
    }
    child_holds(network_denied, SERVES);
    child_holds(network_open, NO_FILES | NO_CALLS);
}

/* ---------------------------------------------------------------- deadly calls */

static void exec_true(void)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    execve("/bin/true", arguments, arguments + 1);
}

static void exec_at(void)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments + 1, 0);
}

static void trace(void)
{
    ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void read_other(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static void share_less(void)
{
    syscall(SYS_unshare, 0x10000000 /* a user namespace */);
}

static void watch_kernel(void)
{
    char attributes[128] = {0};
    syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}

/* F09: exec, ptrace. */
static void deadly(void **state)
{
    (void)state;
    child_dies(exec_true);
    child_dies(exec_at);
    child_dies(trace);
    child_dies(read_other);
    child_dies(share_less);
    child_dies(watch_kernel);
}

/* ---------------------------------------------------------------- refused calls */

static bool is_refused(long result)
{
    return result < 0 && errno == EPERM;
}

static void refused_child(void)
{
    struct io_uring_params parameters = {0};
    must(is_refused(syscall(SYS_io_uring_setup, 4, &parameters)));
    must(is_refused(syscall(SYS_fork)));
    must(is_refused(syscall(SYS_vfork)));
    must(is_refused(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L)));
    must(syscall(SYS_clone3, NULL, 0L) < 0 && errno == ENOSYS);
    must(is_refused(syscall(SYS_setuid, 0)));
    must(is_refused(kill(getppid(), 0)));
    must(is_refused(unlink("/nowhere")));
    must(is_refused(chmod("/nowhere", 0)));
    must(is_refused(syscall(SYS_io_uring_register, -1, IORING_REGISTER_BUFFERS, NULL, 0)));
    must(is_refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
    must(is_refused(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0})));
    must(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    must(errno == EPERM);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED && is_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    must(mprotect(page, 4096, PROT_READ) == 0);
    pthread_t thread;
    must(pthread_create(&thread, NULL, (void *(*)(void *))(void *)abort, NULL) != 0);
}

static void *probe_thread(void *argument)
{
    (void)argument;
    return NULL;
}

static void threads_child(void)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, probe_thread, NULL) == 0);
    must(pthread_join(thread, NULL) == 0);
    must(is_refused(syscall(SYS_fork)));
}

static void refused(void **state)
{
    (void)state;
    child_holds(refused_child, SERVES);
    child_holds(threads_child, 0);
    child_holds(threads_child, SERVES | CONNECTS);
}

/* ---------------------------------------------------------------- all threads, self-test */

static pthread_barrier_t put;

static void *other_thread(void *argument)
{
    pthread_barrier_wait(&put);
    *(bool *)argument = is_refused(socket(AF_INET, SOCK_STREAM, 0));
    return NULL;
}

static void all_threads_child(void)
{
    struct confine_calls calls;
    pthread_t thread;
    bool holds = false;
    pthread_barrier_init(&put, NULL, 2);
    must(confine_calls_make(false, &calls) == 0);
    must(pthread_create(&thread, NULL, other_thread, &holds) == 0);
    must(confine_calls_serve(&calls) == 0);
    pthread_barrier_wait(&put);
    pthread_join(thread, NULL);
    must(holds);
}

static void all_threads(void **state)
{
    (void)state;
    child_holds(all_threads_child, NO_CALLS);
}

enum {
    /* confine.c asks the core */
    BY_RING = 1 << CONFINE_RING_FILES | 1 << CONFINE_RING | 1 << CONFINE_CONNECTS,
    ALL = (1 << CONFINE_MEASURES) - 1 - BY_RING,
    BY_CALLS = 1 << CONFINE_RINGS | 1 << CONFINE_EXEC | 1 << CONFINE_TRACE | 1 << CONFINE_FORK |
               1 << CONFINE_SOCKETS
};

static void probe_all(void)
{
    must(confine_probe() == ALL);
}

static void probe_without_files(void)
{
    must(confine_probe() == (ALL & ~(1 << CONFINE_FILES)));
}

static void probe_without_calls(void)
{
    must(confine_probe() == (ALL & ~BY_CALLS));
}

static void probe_with_network(void)
{
    must(confine_probe() == (ALL & ~(1 << CONFINE_SOCKETS)));
}

/* The self-test sees what holds and what does not. */
static void probe(void **state)
{
    (void)state;
    child_holds(probe_all, SERVES);
    child_holds(probe_without_files, SERVES | NO_FILES);
    child_holds(probe_without_calls, NO_CALLS);
    child_holds(probe_with_network, SERVES | CONNECTS);
}

static void dumpable_child(void)
{
    must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
    must(confine_probe() == (ALL & ~BY_CALLS & ~(1 << CONFINE_DUMPS)));
}

static void probe_dumps(void **state)
{
    (void)state;
    child_holds(dumpable_child, NO_CALLS);
}

static int set_up(void **state)
{
    (void)state;
    socklen_t size = sizeof listener_name;
    listener_name =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0)
        return -1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    char file[128];
    char *const paths[] = {path_in, path_out};
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof path_in, "%s/%s", folder, i == 0 ? "in" : "out");
        snprintf(file, sizeof file, "%s/there", paths[i]);
        if (mkdir(paths[i], 0777) < 0 || chmod(paths[i], 0777) < 0)
            return -1;
        int fd = open(file, O_WRONLY | O_CREAT, 0666);
        if (fd < 0 || fchmod(fd, 0666) < 0 || close(fd) < 0)
            return -1;
    }
    return bind(listener, (struct sockaddr *)&listener_name, size) < 0 ||
                   listen(listener, 100) < 0 ||
                   getsockname(listener, (struct sockaddr *)&listener_name, &size) < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    close(listener);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),  cmocka_unit_test(accesses),    cmocka_unit_test(network),
        cmocka_unit_test(deadly), cmocka_unit_test(refused),     cmocka_unit_test(all_threads),
        cmocka_unit_test(probe),  cmocka_unit_test(probe_dumps),
    };
    if (confine_files_version() == 0) {
        fprintf(stderr, "this kernel has no landlock\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
