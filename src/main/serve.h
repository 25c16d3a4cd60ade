/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Running a gateway that is set up, from the first ring to the last (serve.c), and what has to be
 * done to the process before (process.c).
 */
#ifndef RINGPOST_SERVE_H
#define RINGPOST_SERVE_H

#include "setup.h"

/* Serves until told to stop. Takes over the setup. Returns the exit status. */
int serve(struct setup *setup, bool is_service);

/* A finished event as a line on standard output, before and after the engine runs. */
void log_now(struct event *event);

/* Each returns false after saying why. */
bool process_check_kernel(void); /* Linux 6.1 or later */
bool process_log_to(const char *path);
/* Ignores SIGPIPE and SIGXFSZ, raises RLIMIT_NOFILE as far as it goes. */
void process_prepare(void);
/* Gives up what a mail server does not need. As root with a user in the config: makes the store's
 * directory for that user, then becomes the user, keeping CAP_NET_BIND_SERVICE alone. */
bool process_drop(const struct config *config, bool is_service);
/* Nobody else listens there: our own listeners share their port between the cores (SO_REUSEPORT),
 * so a second gateway would share it too, and silently take half of the connections. Waits for up
 * to 5 s for a predecessor's sockets to go. */
bool process_probe_ports(const struct setup *setup);
/* Says what forbids io_uring, if something does. */
bool process_probe_ring(void);

#endif
