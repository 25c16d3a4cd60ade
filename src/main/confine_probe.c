/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The self-test: what must fail is tried, in a form that does no harm if it does not fail. Only the
 * outcome counts, not by which layer it is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

const char *const confine_names[CONFINE_MEASURES] = {
    [CONFINE_FILES] = "files",     [CONFINE_RING_FILES] = "ring_files",
    [CONFINE_RING] = "ring",       [CONFINE_RINGS] = "rings",
    [CONFINE_EXEC] = "exec",       [CONFINE_TRACE] = "trace",
    [CONFINE_SOCKETS] = "sockets", [CONFINE_CONNECTS] = "connects",
    [CONFINE_FORK] = "fork",       [CONFINE_ROOT] = "root",
    [CONFINE_RIGHTS] = "rights",   [CONFINE_DUMPS] = "dumps",
};

const char *const confine_probe_files[2] = {"/etc/shadow", "/"};

static bool files_hold(void)
{
    bool holds = true;
    for (int i = 0; i < 2; i++) {
        int fd = open(confine_probe_files[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
        holds = holds && fd < 0;
    }
    return holds;
}

/* An entry count of 0 is wrong: without a filter -EINVAL. */
static bool rings_hold(void)
{
    struct io_uring_params parameters = {0};
    return syscall(SYS_io_uring_setup, 0, &parameters) < 0 && errno == EPERM;
}

/* The filter kills for a path and fails without one; without a filter there is no program at NULL:
 * -EFAULT. */
static bool exec_holds(void)
{
    return syscall(SYS_execve, NULL, NULL, NULL) < 0 && errno == EPERM;
}

/* There is no such request. */
static bool trace_holds(void)
{
    return syscall(SYS_ptrace, -1L, 0L, NULL, NULL) < 0 && errno == EPERM;
}

static bool sockets_hold(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/* This flag cannot be alone: without a filter -EINVAL. */
static bool fork_holds(void)
{
    return syscall(SYS_clone, (unsigned long)CLONE_SIGHAND, NULL, NULL, NULL, 0L) < 0 &&
           errno == EPERM;
}

static bool root_holds(void)
{
    return getuid() != 0 && geteuid() != 0 && syscall(SYS_setuid, 0) < 0;
}

static bool rights_hold(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    return (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective |
            data[1].permitted | data[1].inheritable) == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static bool dumps_hold(void)
{
    struct rlimit limit;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &limit) == 0 &&
           limit.rlim_max == 0;
}

uint32_t confine_probe(void)
{
    static bool (*const probes[CONFINE_MEASURES])(void) = {
        [CONFINE_FILES] = files_hold,     [CONFINE_RINGS] = rings_hold,
        [CONFINE_EXEC] = exec_holds,      [CONFINE_TRACE] = trace_holds,
        [CONFINE_SOCKETS] = sockets_hold, [CONFINE_FORK] = fork_holds,
        [CONFINE_ROOT] = root_holds,      [CONFINE_RIGHTS] = rights_hold,
        [CONFINE_DUMPS] = dumps_hold,
    };
    uint32_t held = 0;
    for (unsigned i = 0; i < CONFINE_MEASURES; i++)
        if (probes[i] != NULL && probes[i]())
            held |= UINT32_C(1) << i;
    return held;
}
