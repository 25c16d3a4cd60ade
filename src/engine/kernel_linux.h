/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of the real kernel: one object per core, and what the process has once (its
 * helper threads and log writer, counted by the objects that use them).
 */
#ifndef RINGPOST_ENGINE_KERNEL_LINUX_H
#define RINGPOST_ENGINE_KERNEL_LINUX_H

struct kernel {
    int wake_fd; /* an eventfd */
};

/* kernel_linux_threads.c */
int threads_begin(void);
void threads_end(void);

#endif
