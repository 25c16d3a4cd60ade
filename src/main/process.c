/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done to the process before the first ring is made. The order matters: a ring keeps the
 * rights of the moment it was made, so privileges go first (serve.c has the whole order).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"
#include "serve.h"

enum { KERNEL_MAJOR_MIN = 6, KERNEL_MINOR_MIN = 1, PORT_TRIES = 50, PORT_WAIT_NS = 100000000 };

void log_now(struct event *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct slice line = event_end(event, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    ssize_t written = write(STDOUT_FILENO, line.data, line.size);
    (void)written; /* nobody reads the log: not a reason to stop */
}

bool process_check_kernel(void)
{
    struct utsname name;
    if (uname(&name) < 0)
        return true;
    char *end;
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    if (major > KERNEL_MAJOR_MIN || (major == KERNEL_MAJOR_MIN && minor >= KERNEL_MINOR_MIN))
        return true;
    complain("this is Linux %s; Linux %d.%d or later is needed", name.release, KERNEL_MAJOR_MIN,
             KERNEL_MINOR_MIN);
    return false;
}

bool process_log_to(const char *path)
{
    if (path == NULL)
        return true;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        complain("log.file %s: %s", path, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

void process_prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* what it does not allow, the engine says */
}

/* ---------------------------------------------------------------- privileges */

/* The store's directory must be there and belong to the user whom we become. */
static bool give_directory(const char *path, uid_t uid, gid_t gid)
{
    if (mkdir(path, 0700) == 0 && chown(path, uid, gid) < 0) {
        complain("store.directory %s: %s", path, strerror(errno));
        return false;
    }
    return true; /* what else is wrong with it, the store will say */
}

static bool keep_only(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].effective = data[0].permitted = 1u << capability;
    return syscall(SYS_capset, &header, data) == 0;
}

static bool become(const struct config *config)
{
    const char *name = config->general.user;
    const struct passwd *user = getpwnam(name);
    if (user == NULL) {
        complain("user %s does not exist", name);
        return false;
    }
    uid_t uid = user->pw_uid;
    gid_t gid = user->pw_gid;
    if (config->general.group != NULL) {
        const struct group *group = getgrnam(config->general.group);
        if (group == NULL) {
            complain("group %s does not exist", config->general.group);
            return false;
        }
        gid = group->gr_gid;
    }
    if (!give_directory(config->store.directory, uid, gid))
        return false;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setgid(gid) < 0 ||
        setuid(uid) < 0 || !keep_only(CAP_NET_BIND_SERVICE)) {
        complain("cannot become %s: %s", name, strerror(errno));
        return false;
    }
    if (uid != 0 && (setuid(0) == 0 || geteuid() == 0)) {
        complain("became %s, but could become root again", name);
        return false;
    }
    return true;
}

bool process_drop(const struct config *config, bool is_service)
{
    if (geteuid() == 0 && config->general.user != NULL && !become(config))
        return false;
    if (geteuid() == 0 && is_service) {
        struct event event;
        event_begin(&event, "start", "warning");
        event_text(&event, "what", SLICE("running as root; name a user in the config"));
        log_now(&event);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef RINGPOST_SANITIZED /* whose leak check has to trace the process */
    if (is_service)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    return true;
}

/* 0, or why a socket cannot be bound there. */
static int probe_port(const char *address, unsigned port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, address, &six.sin6_addr) != 1)
        return EINVAL;
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, off = 0;
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* of TIME_WAIT, not of listeners */
    if (!is_four)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    int result = is_four ? bind(fd, (struct sockaddr *)&four, sizeof four)
                         : bind(fd, (struct sockaddr *)&six, sizeof six);
    int error = result < 0 ? errno : 0;
    close(fd);
    return error;
}

bool process_probe_ports(const struct setup *setup)
{
    for (unsigned i = 0; i < setup->gateway.service_count; i++) {
        const struct service *service = setup->gateway.services[i];
        int error = service->port == 0 ? 0 : probe_port(service->address, service->port);
        for (int try = 0; try < PORT_TRIES && error == EADDRINUSE; try++) {
            nanosleep(&(struct timespec){.tv_nsec = PORT_WAIT_NS}, NULL);
            error = probe_port(service->address, service->port);
        }
        if (error != 0) {
            complain("cannot listen on %s port %u: %s", service->address, service->port,
                     strerror(error));
            return false;
        }
    }
    return true;
}

bool process_probe_ring(void)
{
    struct kernel *kernel;
    struct io_uring ring;
    struct kernel_ring_options options = {.sq_entries = 8, .cq_entries = 16, .slots = 8};
    int result = kernel_linux_create(&kernel);
    if (result < 0) {
        complain("cannot start threads: %s", strerror(-result));
        return false;
    }
    result = kernel_ring_open(kernel, &ring, &options);
    if (result >= 0)
        kernel_ring_close(kernel, &ring);
    kernel_linux_destroy(kernel);
    if (result >= 0)
        return true;
    complain("io_uring: %s: %s", strerror(-result), kernel_ring_advice(result));
    return false;
}
