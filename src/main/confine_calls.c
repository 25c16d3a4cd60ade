/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The system calls that the process may make, one table of them, and the two filters made of it.
 * Everything else fails with EPERM, and what only an intruder would try ends the process at once.
 * Both filters stay in force together; the kernel looks up a call without conditions in a bitmap.
 *
 *   ALWAYS    while it serves
 *   STARTS    only until everything is open
 *   CONNECTS  until everything is open, and later when a directory is reached by the network:
 *             sockets, name look-ups (which load libraries and make threads)
 *
 * Opening files is bounded by landlock, not here: a reload opens files.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

enum stage { ALWAYS, STARTS, CONNECTS };

struct call {
    int number;
    enum stage stage;
};

#define CALL(name, stage)                                                                          \
    {                                                                                              \
        SCMP_SYS(name), stage                                                                      \
    }

static const struct call table[] = {
    /* files that are open, and opening them */
    CALL(read, ALWAYS),
    CALL(write, ALWAYS),
    CALL(readv, ALWAYS),
    CALL(writev, ALWAYS),
    CALL(pread64, ALWAYS),
    CALL(pwrite64, ALWAYS),
    CALL(lseek, ALWAYS),
    CALL(close, ALWAYS),
    CALL(fcntl, ALWAYS),
    CALL(dup, ALWAYS),
    CALL(dup2, ALWAYS),
    CALL(dup3, ALWAYS),
    CALL(openat, ALWAYS),
    CALL(open, ALWAYS),
    CALL(stat, ALWAYS),
    CALL(fstat, ALWAYS),
    CALL(lstat, ALWAYS),
    CALL(newfstatat, ALWAYS),
    CALL(statx, ALWAYS),
    CALL(statfs, ALWAYS),
    CALL(fstatfs, ALWAYS),
    CALL(access, ALWAYS),
    CALL(faccessat, ALWAYS),
    CALL(faccessat2, ALWAYS),
    CALL(readlink, ALWAYS),
    CALL(readlinkat, ALWAYS),
    CALL(getcwd, ALWAYS),
    CALL(getdents64, ALWAYS),
    CALL(fadvise64, ALWAYS),
    CALL(mkdir, STARTS),
    CALL(flock, STARTS),
    CALL(unlink, STARTS),
    CALL(chmod, STARTS),
    CALL(ftruncate, STARTS),
    CALL(fsync, STARTS),
    CALL(fdatasync, STARTS),
    CALL(ioctl, STARTS),
    /* memory */
    CALL(munmap, ALWAYS),
    CALL(mremap, ALWAYS),
    CALL(madvise, ALWAYS),
    CALL(brk, ALWAYS),
    CALL(mmap, CONNECTS), /* without PROT_EXEC: always */
    CALL(mprotect, CONNECTS),
    /* threads, time, chance */
    CALL(futex, ALWAYS),
    CALL(set_robust_list, ALWAYS),
    CALL(rseq, ALWAYS),
    CALL(membarrier, ALWAYS),
    CALL(sched_yield, ALWAYS),
    CALL(sched_getaffinity, ALWAYS),
    CALL(sched_setaffinity, STARTS),
    CALL(getcpu, ALWAYS),
    CALL(nanosleep, ALWAYS),
    CALL(clock_nanosleep, ALWAYS),
    CALL(clock_gettime, ALWAYS),
    CALL(clock_getres, ALWAYS),
    CALL(gettimeofday, ALWAYS),
    CALL(time, ALWAYS),
    CALL(getrandom, ALWAYS),
    CALL(exit, ALWAYS),
    CALL(exit_group, ALWAYS),
    /* signals */
    CALL(rt_sigaction, ALWAYS),
    CALL(rt_sigprocmask, ALWAYS),
    CALL(rt_sigreturn, ALWAYS),
    CALL(rt_sigtimedwait, ALWAYS),
    CALL(sigaltstack, ALWAYS),
    CALL(restart_syscall, ALWAYS),
    /* who we are */
    CALL(getpid, ALWAYS),
    CALL(gettid, ALWAYS),
    CALL(getuid, ALWAYS),
    CALL(geteuid, ALWAYS),
    CALL(getgid, ALWAYS),
    CALL(getegid, ALWAYS),
    CALL(getresuid, ALWAYS),
    CALL(getresgid, ALWAYS),
    CALL(capget, ALWAYS),
    CALL(uname, ALWAYS),
    CALL(sysinfo, ALWAYS),
    CALL(getrusage, ALWAYS),
    CALL(prlimit64, STARTS),
    CALL(seccomp, STARTS),
    /* waiting, sockets that are there (the metrics' thread) */
    CALL(poll, ALWAYS),
    CALL(ppoll, ALWAYS),
    CALL(select, ALWAYS),
    CALL(pselect6, ALWAYS),
    CALL(epoll_wait, ALWAYS),
    CALL(epoll_pwait, ALWAYS),
    CALL(epoll_ctl, ALWAYS),
    CALL(accept, ALWAYS),
    CALL(accept4, ALWAYS),
    CALL(recvfrom, ALWAYS),
    CALL(sendto, ALWAYS),
    CALL(recvmsg, ALWAYS),
    CALL(sendmsg, ALWAYS),
    CALL(shutdown, ALWAYS),
    CALL(getsockopt, ALWAYS),
    CALL(setsockopt, ALWAYS),
    CALL(getsockname, ALWAYS),
    CALL(getpeername, ALWAYS),
    CALL(epoll_create1, CONNECTS),
    CALL(eventfd2, CONNECTS),
    CALL(pipe2, CONNECTS),
    CALL(pipe, CONNECTS),
    CALL(socketpair, CONNECTS),
    CALL(socket, CONNECTS),
    CALL(connect, CONNECTS),
    CALL(bind, CONNECTS), /* of TCP ports: landlock forbids it */
    CALL(sendmmsg, CONNECTS),
    CALL(recvmmsg, CONNECTS),
    CALL(listen, STARTS),
    /* rings */
    CALL(io_uring_enter, ALWAYS),
    CALL(io_uring_setup, STARTS),
    CALL(io_uring_register, STARTS),
};

/* Nobody but an intruder tries these: execve and ptrace below have a harmless form for the
 * self-test, which fails only. */
static const int deadly[] = {
    SCMP_SYS(execveat),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(personality),
};

static int allow(scmp_filter_ctx filter, int number)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int allow_if(scmp_filter_ctx filter, int number, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, condition);
}

/* Calls that are allowed with certain arguments only. */
static int add_conditions(scmp_filter_ctx filter, bool starts, bool may_connect)
{
    static const unsigned registers[] = {IORING_REGISTER_FILES_UPDATE, IORING_UNREGISTER_RING_FDS};
    static const int names[] = {PR_SET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP,
                                PR_SET_VMA};
    int result = 0;
    for (size_t i = 0; i < sizeof registers / sizeof *registers && result == 0 && !starts; i++)
        result = allow_if(filter, SCMP_SYS(io_uring_register),
                          SCMP_A1(SCMP_CMP_MASKED_EQ, 0x7fffffff, registers[i]));
    for (size_t i = 0; i < sizeof names / sizeof *names && result == 0; i++)
        result = allow_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)names[i]));
    if (result == 0 && !starts) /* reading a limit */
        result = allow_if(filter, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
    if (result == 0 && !starts)
        result = allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONBIO));
    if (result == 0) /* abort() */
        result = allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    if (result == 0 && !starts && !may_connect)
        result = allow_if(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (result == 0 && !starts && !may_connect)
        result = allow_if(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (result == 0 && (starts || may_connect)) /* threads, never processes */
        result = allow_if(filter, SCMP_SYS(clone),
                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (result == 0) /* whose arguments cannot be seen: the C library then uses clone */
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return result;
}

static int add_deadly(scmp_filter_ctx filter)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(execve), 1,
                                  SCMP_A0(SCMP_CMP_NE, 0));
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 1,
                                  SCMP_A0(SCMP_CMP_NE, UINT64_MAX));
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly && result == 0; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    return result;
}

/* The filter's instructions, in memory of our own: put in force later, they need no library. */
static int export_filter(scmp_filter_ctx filter, struct sock_filter **ret_code,
                         unsigned short *ret_count)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = seccomp_export_bpf(filter, fd);
    off_t size = result == 0 ? lseek(fd, 0, SEEK_END) : -1;
    struct sock_filter *code = size > 0 ? malloc((size_t)size) : NULL;
    if (code != NULL && pread(fd, code, (size_t)size, 0) == size) {
        *ret_code = code;
        *ret_count = (unsigned short)((size_t)size / sizeof *code);
    } else {
        free(code);
        result = result < 0 ? result : -ENOMEM;
    }
    close(fd);
    return result;
}

static int make(bool starts, bool may_connect, struct sock_filter **ret_code,
                unsigned short *ret_count)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return -ENOMEM;
    int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* only makes it faster */
    for (size_t i = 0; i < sizeof table / sizeof *table && result == 0; i++)
        if (table[i].stage == ALWAYS || starts || (table[i].stage == CONNECTS && may_connect))
            result = allow(filter, table[i].number);
    if (result == 0)
        result = add_conditions(filter, starts, may_connect);
    if (result == 0)
        result = add_deadly(filter);
    if (result == 0)
        result = export_filter(filter, ret_code, ret_count);
    seccomp_release(filter);
    return result;
}

int confine_calls_make(bool may_connect, struct confine_calls *ret_calls)
{
    struct confine_calls made = {0};
    int result = make(true, may_connect, &made.starting, &made.starting_count);
    if (result == 0)
        result = make(false, may_connect, &made.serving, &made.serving_count);
    if (result < 0)
        confine_calls_free(&made);
    else
        *ret_calls = made;
    return result;
}

void confine_calls_free(struct confine_calls *calls)
{
    free(calls->starting);
    free(calls->serving);
    *calls = (struct confine_calls){0};
}

static int put(struct sock_filter *code, unsigned short count, unsigned long flags)
{
    struct sock_fprog program = {.len = count, .filter = code};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return result < 0 ? -errno : result > 0 ? -EBUSY : 0; /* above 0: a thread that refuses */
}

int confine_calls_start(const struct confine_calls *filters)
{
    return put(filters->starting, filters->starting_count, 0);
}

int confine_calls_serve(const struct confine_calls *filters)
{
    return put(filters->serving, filters->serving_count, SECCOMP_FILTER_FLAG_TSYNC);
}
