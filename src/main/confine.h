/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the process may still do once it talks to strangers. Each layer bounds what the others do
 * not see:
 *
 *   landlock    which files and folders may be opened, by calls and by rings alike; no TCP bind,
 *               and TCP connects to the ports of backends only, unless a directory needs more
 *   seccomp     which system calls there are (it does not see what a ring is asked to do)
 *   ring        which operations a ring takes (kernel.h, KERNEL_OPERATIONS)
 *   user        no capability, no way to get one (no_new_privs), no core dump, nobody may trace us
 *
 * Order (process.c, serve.c): listeners are bound → privileges dropped → ring probed →
 * confine_begin: landlock and the first seccomp filter, before any lasting thread and ring →
 * everything opens → confine_finish: the second, stricter filter on all threads, then the
 * self-test, whose one line in the log says what holds.
 *
 * Invariants:
 *   1. Rings and threads are made after landlock: they inherit it.
 *   2. What is not in place is said in the log, never passed over.
 */
#ifndef RINGPOST_CONFINE_H
#define RINGPOST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringpost/mime.h"

/* ---------------------------------------------------------------- files (landlock) */

enum confine_access {
    CONFINE_READS,  /* files beneath, and their list */
    CONFINE_STORES, /* everything beneath */
    CONFINE_LOGS,   /* files beneath are made and written, not read */
    CONFINE_LISTENS /* sockets are made and removed there */
};

/* The version of the kernel's landlock; 0: there is none. */
unsigned confine_files_version(void);
/* A ruleset that allows nothing (with any_port: TCP connections). A descriptor or -errno. */
int confine_files_begin(bool any_port);
/* Allows more beneath `path`, a folder or a file. 0 or -errno. */
int confine_files_allow(int ruleset, const char *path, enum confine_access access);
/* Allows TCP connections to that port; kernels before 6.7 allow them all. 0 or -errno. */
int confine_files_allow_port(int ruleset, uint16_t port);
/* Allows a TCP socket to be bound to an address of ours when its port is left to the kernel. */
int confine_files_allow_sources(int ruleset);
/* From now on, for this thread and those it makes. Closes the ruleset. 0 or -errno. */
int confine_files_end(int ruleset);

/* ---------------------------------------------------------------- system calls (seccomp) */

/* Two filters: the first while everything opens, the second while it serves. */
struct confine_calls {
    struct sock_filter *starting, *serving;
    unsigned short starting_count, serving_count;
};
/* Makes both; with may_connect they let sockets connect. 0 or -errno. */
int confine_calls_make(bool may_connect, struct confine_calls *ret_calls);
void confine_calls_free(struct confine_calls *calls);
/* Each puts a filter on this thread and those it makes; the second on all threads of the process.
 * Needs no_new_privs. Small stack, no memory. 0 or -errno. */
int confine_calls_start(const struct confine_calls *calls);
int confine_calls_serve(const struct confine_calls *calls);

/* ---------------------------------------------------------------- self-test */

enum confine_measure {
    CONFINE_FILES,      /* files outside cannot be opened by a system call */
    CONFINE_RING_FILES, /* nor by a ring */
    CONFINE_RING,       /* a ring refuses an operation that is not in use */
    CONFINE_RINGS,      /* no further ring can be made */
    CONFINE_EXEC,       /* no program can be started */
    CONFINE_TRACE,      /* no process can be traced */
    CONFINE_SOCKETS,    /* no socket can be made by a system call */
    CONFINE_CONNECTS,   /* a ring connects to the ports of backends only */
    CONFINE_FORK,       /* no process can be made */
    CONFINE_ROOT,       /* we are not root and cannot become it */
    CONFINE_RIGHTS,     /* no capability is left, and none can be gained */
    CONFINE_DUMPS,      /* no core dump, no access to our memory by others of our user */
    CONFINE_MEASURES
};
extern const char *const confine_names[CONFINE_MEASURES];
/* Tries all but those of the ring (RING_FILES, RING, CONNECTS): a bit per measure that holds.
 * Blocks no longer than a few system calls. */
uint32_t confine_probe(void);
/* Files that must not open: one of root's alone, and one that everybody may read. */
extern const char *const confine_probe_files[2];

/* ---------------------------------------------------------------- the gateway's own */

struct core;
struct setup;

struct confine {
    bool is_on;
    bool may_connect; /* libraries: directories, name look-ups, Redis */
    bool any_port;
    uint16_t closed_port; /* that no backend of the start has */
    struct confine_calls calls;
    struct mime_charsets charsets; /* held open: their files are out of reach later */
    int files_error, calls_error;  /* 0 or -errno: why a layer is missing */
};

/* Landlock and the first filter, as the config needs them. False, after saying why, only when the
 * config's own folders are not there; a kernel that lacks a layer is told by the self-test. */
bool confine_begin(struct confine *confine, const struct setup *setup);
/* On a fiber of one core, once every core serves: the second filter, the self-test, its line. */
void confine_finish(struct confine *confine, struct core *core);
void confine_end(struct confine *confine);

struct config;
/* A process that was started with this config, confined, may connect to that port. */
bool confine_port_is_open(const struct config *config, uint64_t port);
/* It may bind sockets to addresses of its own. */
bool confine_has_sources(const struct config *config);
/* It may look up names. */
bool confine_may_look_up(const struct config *config);

#endif
