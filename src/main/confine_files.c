/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Landlock by its three system calls. A right that the kernel's version does not know is left out
 * of the ruleset: it is then not restricted, which the self-test sees where it matters.
 *
 * The numbers are of the kernel's interface and never change; the header of an older distribution
 * lacks some of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

enum {
    RIGHTS_FIRST = (1 << 13) - 1, /* EXECUTE to MAKE_SYM, version 1 */
    RIGHT_REFER = 1 << 13,        /* version 2 */
    RIGHT_TRUNCATE = 1 << 14,     /* version 3 */
    RIGHT_DEVICE = 1 << 15,       /* ioctl of devices, version 5 */
    NET_BIND = 1 << 0,            /* version 4 */
    NET_CONNECT = 1 << 1,
    SCOPE_ABSTRACT = 1 << 0, /* abstract Unix sockets of others, version 6 */
    SCOPE_SIGNAL = 1 << 1,

    /* those that make sense for a file that is no folder */
    RIGHTS_OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                      LANDLOCK_ACCESS_FS_READ_FILE | RIGHT_TRUNCATE | RIGHT_DEVICE,

    READS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    LOGS = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG,
    LISTENS = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
    STORES = READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
             LANDLOCK_ACCESS_FS_REMOVE_DIR | RIGHT_REFER | RIGHT_TRUNCATE
};

struct ruleset {
    uint64_t files, net, scoped;
};

unsigned confine_files_version(void)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : (unsigned)version;
}

static uint64_t rights_known(void)
{
    unsigned version = confine_files_version();
    uint64_t rights = RIGHTS_FIRST;
    if (version >= 2)
        rights |= RIGHT_REFER;
    if (version >= 3)
        rights |= RIGHT_TRUNCATE;
    if (version >= 5)
        rights |= RIGHT_DEVICE;
    return rights;
}

int confine_files_begin(bool any_port)
{
    unsigned version = confine_files_version();
    struct ruleset ruleset = {.files = rights_known()};
    if (version >= 4)
        ruleset.net = any_port ? NET_BIND : NET_BIND | NET_CONNECT;
    if (version >= 6)
        ruleset.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    return fd < 0 ? -errno : (int)fd;
}

int confine_files_allow(int ruleset, const char *path, enum confine_access access)
{
    static const uint64_t rights[] = {[CONFINE_READS] = READS,
                                      [CONFINE_STORES] = STORES,
                                      [CONFINE_LOGS] = LOGS,
                                      [CONFINE_LISTENS] = LISTENS};
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat there;
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights[access] & rights_known(),
                                                 .parent_fd = fd};
    int result = fstat(fd, &there);
    if (result == 0 && !S_ISDIR(there.st_mode))
        beneath.allowed_access &= RIGHTS_OF_FILES;
    if (result == 0)
        result =
            (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    int error = result < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* The kernel's struct landlock_net_port_attr, and LANDLOCK_RULE_NET_PORT. */
struct port_rule {
    uint64_t allowed, port;
};
enum { RULE_NET_PORT = 2 };

static int allow_net(int ruleset, uint64_t right, uint16_t port)
{
    struct port_rule rule = {right, port};
    if (confine_files_version() < 4)
        return 0;
    return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0 ? -errno : 0;
}

int confine_files_allow_port(int ruleset, uint16_t port)
{
    return allow_net(ruleset, NET_CONNECT, port);
}

int confine_files_allow_sources(int ruleset)
{
    return allow_net(ruleset, NET_BIND, 0);
}

int confine_files_end(int ruleset)
{
    int result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    int error = result < 0 ? -errno : 0;
    close(ruleset);
    return error;
}
