/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making and unmaking the real kernel behind kernel.h. Only the program's start and tests that run
 * on Linux itself include this; the simulator makes its own.
 */
#ifndef RINGPOST_KERNEL_LINUX_H
#define RINGPOST_KERNEL_LINUX_H

struct kernel;

/* One per core. The first starts the helper threads and the log thread of this process, the last
 * destroyed ends them (after the queued log lines are written, for at most two seconds). 0 or
 * -errno. */
int kernel_linux_create(struct kernel **ret_kernel);
void kernel_linux_destroy(struct kernel *kernel);

/* A TCP socket bound to a numeric address and port, as kernel_listen_tcp makes them, before
 * privileges are dropped. A descriptor or -errno. */
int kernel_linux_bind(const char *address, unsigned port);
enum { KERNEL_LINUX_LISTENERS_MAX = 64 };
/* Gives a bound socket to a kernel: its kernel_listen_tcp for that address (the text must outlive
 * the kernel) and port takes it instead of binding one. 0, or -ENOSPC: the descriptor stays the
 * caller's. */
int kernel_linux_give(struct kernel *kernel, const char *address, unsigned port, int fd);

#endif
