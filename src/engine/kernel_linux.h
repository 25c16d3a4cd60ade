/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of the real kernel: one object per core, and what the process has once (its
 * helper threads and log writer, counted by the objects that use them).
 */
#ifndef RINGPOST_ENGINE_KERNEL_LINUX_H
#define RINGPOST_ENGINE_KERNEL_LINUX_H

#include "ringpost/kernel_linux.h"

struct kernel {
    int wake_fd; /* an eventfd */
    struct bound {
        const char *address;
        unsigned port;
        int fd;
    } listeners[KERNEL_LINUX_LISTENERS_MAX]; /* bound before privileges were dropped */
    unsigned listener_count;
};

/* kernel_linux_threads.c */
int threads_begin(void);
void threads_end(void);

#endif
