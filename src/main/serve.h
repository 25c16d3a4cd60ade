/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Running a gateway that is set up, from the first ring to the last (serve.c), and what has to be
 * done to the process before (process.c).
 */
#ifndef RINGPOST_SERVE_H
#define RINGPOST_SERVE_H

#include "setup.h"

/* Reads the config and serves until told to stop. Returns the exit status. */
int serve(const char *path, bool is_service);

/* A finished event as a line on standard output, before and after the engine runs. */
void log_now(struct event *event);

/* Each returns false after saying why. */
bool process_check_kernel(void); /* Linux 6.1 or later */
bool process_log_to(const char *path);
/* Closes what we were started with and did not ask for; before anything is opened. */
void process_close_inherited(void);
/* Ignores SIGPIPE and SIGXFSZ, raises RLIMIT_NOFILE as far as it goes. */
void process_prepare(void);
/* As root a service wants a user that it can become; `ringpost try` goes on. */
bool process_check_user(const struct config *config, bool is_service);
/* All TCP sockets of the services, one for each core, and that of the metrics, bound while we may.
 * They are closed with the process if it does not come to serving. */
struct process_listeners {
    struct process_listener {
        const char *address; /* the service's own text */
        unsigned port, core;
        int fd;
    } listeners[CONFIG_LISTENERS_MAX * CORES_MAX];
    unsigned count;
    int admin_fd; /* 0: none */
};
bool process_bind(const struct setup *setup, struct process_listeners *ret_listeners);
/* Gives up what a mail server does not need: root (makes the store's directory for the user, then
 * becomes the user), all capabilities, gaining any, core dumps, being traced. */
bool process_drop(const struct config *config);
/* Nobody else listens there: our own listeners share their port between the cores (SO_REUSEPORT),
 * so a second gateway would share it too, and silently take half of the connections. Waits for up
 * to 5 s for a predecessor's sockets to go. */
bool process_probe_ports(const struct setup *setup);
/* Says what forbids io_uring, if something does. */
bool process_probe_ring(void);

#endif
