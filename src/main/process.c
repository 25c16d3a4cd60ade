/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done to the process before the first ring is made. The order matters: a ring keeps the
 * rights of the moment it was made, so privileges go first (serve.c has the whole order).
 *
 * Ports below 1024 are the only thing that root is needed for, and capabilities are a thread's own:
 * so all sockets are bound here, on the one thread there is, and every capability is given up
 * before there is a second one.
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

enum {
    KERNEL_MAJOR_MIN = 6,
    KERNEL_MINOR_MIN = 1,
    PORT_TRIES = 50,
    PORT_WAIT_NS = 100000000,
    ADMIN_BACKLOG = 32
};

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

void process_close_inherited(void)
{
    close_range(STDERR_FILENO + 1, ~0u, 0);
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

/* The store's directory must be there and belong to the user whom we become. NULL: no store. */
static bool give_directory(const char *path, uid_t uid, gid_t gid)
{
    if (path != NULL && mkdir(path, 0700) == 0 && chown(path, uid, gid) < 0) {
        complain("store.directory %s: %s", path, strerror(errno));
        return false;
    }
    return true; /* what else is wrong with it, the store will say */
}

/* Also those that systemd's AmbientCapabilities gave to an unprivileged process. Who stays root,
 * for `ringpost try`, keeps the right to its own folder wherever that is; landlock bounds it. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (geteuid() == 0)
        data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
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
    if (uid == 0) {
        complain("user %s is root; name one without privileges", name);
        return false;
    }
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
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* while we may */
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0) {
        complain("cannot become %s: %s", name, strerror(errno));
        return false;
    }
    if (setuid(0) == 0 || geteuid() == 0) {
        complain("became %s, but could become root again", name);
        return false;
    }
    return true;
}

bool process_check_user(const struct config *config, bool is_service)
{
    if (geteuid() != 0 || config->general.user != NULL)
        return true;
    if (is_service) {
        complain("started as root, and the config names no user to become; make one (useradd "
                 "--system ringpost) and say user = \"ringpost\";");
        return false;
    }
    complain("runs as root, which is for a first look only: `ringpost serve` wants a user");
    return true;
}

bool process_drop(const struct config *config)
{
    if (geteuid() == 0 && config->general.user != NULL && !become(config))
        return false;
    if (!drop_capabilities()) {
        complain("cannot give up capabilities: %s", strerror(errno));
        return false;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    umask(077);
#ifndef RINGPOST_SANITIZED /* whose leak check has to trace the process */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
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

static bool listen_problem(const char *what, const char *address, unsigned port, int error)
{
    complain("%scannot listen on %s port %u: %s", what, address, port, strerror(error));
    return false;
}

static bool wait_for_port(const char *what, const char *address, unsigned port)
{
    int error = probe_port(address, port);
    for (int try = 0; try < PORT_TRIES && error == EADDRINUSE; try++) {
        nanosleep(&(struct timespec){.tv_nsec = PORT_WAIT_NS}, NULL);
        error = probe_port(address, port);
    }
    return error == 0 || listen_problem(what, address, port, error);
}

bool process_probe_ports(const struct setup *setup)
{
    const struct config_admin *admin = &setup->config->admin;
    for (unsigned i = 0; i < setup->gateway.service_count; i++) {
        const struct service *service = setup->gateway.services[i];
        if (service->port != 0 && !wait_for_port("", service->address, service->port))
            return false;
    }
    return admin->port == CONFIG_UNSET ||
           wait_for_port("admin: ", admin->address, (unsigned)admin->port);
}

bool process_bind(const struct setup *setup, struct process_listeners *ret_listeners)
{
    unsigned count = 0;
    for (unsigned i = 0; i < setup->gateway.service_count; i++) {
        const struct service *service = setup->gateway.services[i];
        for (unsigned core = 0; core < setup->engine.core_count && service->port != 0; core++) {
            int fd = kernel_linux_bind(service->address, service->port);
            if (fd < 0)
                return listen_problem("", service->address, service->port, -fd);
            ret_listeners->listeners[count++] =
                (struct process_listener){service->address, service->port, core, fd};
        }
    }
    ret_listeners->count = count;
    const struct config_admin *admin = &setup->config->admin;
    int fd =
        admin->port == CONFIG_UNSET ? 0 : kernel_linux_bind(admin->address, (unsigned)admin->port);
    if (fd > 0 && listen(fd, ADMIN_BACKLOG) < 0)
        fd = -errno;
    if (fd < 0)
        return listen_problem("admin: ", admin->address, (unsigned)admin->port, -fd);
    ret_listeners->admin_fd = fd;
    return true;
}

/* Which of the two it is that answers EPERM. */
static void say_sysctl(void)
{
    char value[8] = "";
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, value, sizeof value - 1);
    if (fd >= 0)
        close(fd);
    value[strcspn(value, "\n")] = '\0';
    if (size > 0 && strcmp(value, "0") == 0)
        complain("kernel.io_uring_disabled is 0 here, so it is a seccomp profile");
    else if (size > 0)
        complain("kernel.io_uring_disabled is %s here: set it to 0 on the host first", value);
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
    if (result == -EPERM || result == -EACCES)
        say_sysctl();
    return false;
}
