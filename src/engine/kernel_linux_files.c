/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real kernel behind kernel.h: listening sockets and files, as needed at start-up. These calls
 * block.
 */
#include "kernel_linux.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "ringpost/kernel.h"

static int fail_closing(int fd)
{
    int error = errno;
    close(fd);
    return -error;
}

/* A numeric address ("192.0.2.1", "2001:db8::1") and port; its length, or 0. */
static socklen_t parse_address(const char *text, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    *ret = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        return sizeof v4;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        return sizeof v6;
    }
    return 0;
}

/* Connections inherit it, so it costs nothing for each. Where it cannot be had it is done without.
 */
static void keep_alive(int fd)
{
    int on = 1, idle_seconds = KERNEL_KEEP_IDLE_SECONDS;
    int interval_seconds = KERNEL_KEEP_INTERVAL_SECONDS, count = KERNEL_KEEP_COUNT;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* Options of the listener pass to each accepted socket (TCP_NODELAY: replies are gathered by us,
 * not by the kernel). */
int kernel_linux_bind(const char *address, unsigned port)
{
    struct sockaddr_storage name;
    socklen_t size = parse_address(address, port, &name);
    if (size == 0 || port > 65535)
        return -EINVAL;
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1, off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return fail_closing(fd);
    if (name.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    keep_alive(fd);
    return bind(fd, (struct sockaddr *)&name, size) < 0 ? fail_closing(fd) : fd;
}

int kernel_linux_give(struct kernel *kernel, const char *address, unsigned port, int fd)
{
    if (kernel->listener_count == KERNEL_LINUX_LISTENERS_MAX)
        return -ENOSPC;
    kernel->listeners[kernel->listener_count++] = (struct bound){address, port, fd};
    return 0;
}

/* One that was bound before privileges were dropped; else -1. */
static int take_given(struct kernel *kernel, const char *address, unsigned port)
{
    for (unsigned i = 0; i < kernel->listener_count; i++) {
        struct bound *bound = &kernel->listeners[i];
        if (bound->port != port || strcmp(bound->address, address) != 0)
            continue;
        int fd = bound->fd;
        *bound = kernel->listeners[--kernel->listener_count];
        return fd;
    }
    return -1;
}

int kernel_listen_tcp(struct kernel *kernel, const char *address, unsigned port, unsigned backlog)
{
    int fd = take_given(kernel, address, port);
    if (fd < 0)
        fd = kernel_linux_bind(address, port);
    if (fd < 0)
        return fd;
    return listen(fd, (int)backlog) < 0 ? fail_closing(fd) : fd;
}

/* A socket file left by a dead process is replaced; one that somebody listens on is -EADDRINUSE. */
int kernel_listen_unix(struct kernel *kernel, const char *path, unsigned mode, unsigned backlog)
{
    (void)kernel;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof name.sun_path)
        return -ENAMETOOLONG;
    memcpy(name.sun_path, path, size);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0) {
        close(fd);
        return -EADDRINUSE;
    }
    struct stat there;
    if (errno == ECONNREFUSED && lstat(path, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(path);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || chmod(path, mode) < 0 ||
        listen(fd, (int)backlog) < 0)
        return fail_closing(fd);
    return fd;
}

int kernel_directory_make(struct kernel *kernel, const char *path, unsigned mode)
{
    (void)kernel;
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return -errno;
    }
    struct stat there;
    if (stat(path, &there) < 0)
        return -errno;
    return S_ISDIR(there.st_mode) ? 0 : -ENOTDIR;
}

int kernel_directory_list(struct kernel *kernel, const char *path,
                          void (*each)(void *argument, const char *name, bool is_regular),
                          void *argument)
{
    (void)kernel;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -errno;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        bool is_regular = entry->d_type == DT_REG;
        struct stat there;
        if (entry->d_type == DT_UNKNOWN &&
            fstatat(dirfd(directory), entry->d_name, &there, AT_SYMLINK_NOFOLLOW) == 0)
            is_regular = S_ISREG(there.st_mode);
        each(argument, entry->d_name, is_regular);
    }
    int result = -errno;
    closedir(directory);
    return result;
}

int kernel_file_lock(struct kernel *kernel, const char *path)
{
    (void)kernel;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return fail_closing(fd);
    return fd;
}

int kernel_file_size(struct kernel *kernel, int fd, uint64_t *ret_size)
{
    (void)kernel;
    struct stat there;
    uint64_t size;
    if (fstat(fd, &there) < 0)
        return -errno;
    if (S_ISBLK(there.st_mode)) {
        if (ioctl(fd, BLKGETSIZE64, &size) < 0)
            return -errno;
    } else {
        size = (uint64_t)there.st_size;
    }
    *ret_size = size;
    return 0;
}

int kernel_space_free(struct kernel *kernel, const char *path, uint64_t *ret_bytes)
{
    (void)kernel;
    struct statvfs there;
    if (statvfs(path, &there) < 0)
        return -errno;
    *ret_bytes = (uint64_t)there.f_bavail * there.f_frsize;
    return 0;
}
