/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the SMTP tests share: services on a host with the store's double, a client that knows the
 * first lines, and an honest client to stand beside each attacker.
 */
#ifndef RINGPOST_TESTS_SMTP_FIXTURE_H
#define RINGPOST_TESTS_SMTP_FIXTURE_H

#include "ringpost/smtp.h"

#include "line_client.h"
#include "service_host.h"
#include "store_double.h"

/* Of this process, so that tests can run side by side. */
unsigned smtp_port(unsigned service);
#define SMTP_PORT       smtp_port(0)
#define LMTP_PORT       smtp_port(1)
#define STRICT_PORT     smtp_port(2) /* forbids early talk */
#define SUBMISSION_PORT smtp_port(3)

struct smtp_fixture {
    struct smtp_options options, strict_options, submission_options;
    struct service smtp, lmtp, strict, submission;
    struct route_table *routes;
    struct host *host;
    unsigned core_count;
    /* For a `change` to set: with these there is submission too (smtp_login.h). */
    int (*open)(struct core *core);
    void (*close)(struct core *core);
};

/* Limits: 20,000 bytes, 20 recipients, 50 errors, 100 commands of junk; users u0, u1, u2, "a b",
 * "über" and alias team (u0, u1) in example.test, everybody in catch.test. `change` may alter the
 * fixture before it starts; NULL: nothing. */
void smtp_begin(struct smtp_fixture *fixture, void (*change)(struct smtp_fixture *));
void smtp_end(struct smtp_fixture *fixture);

/* Past the greeting; and past EHLO (LHLO). */
int smtp_greet(unsigned port);
int smtp_hello(unsigned port);
/* Passes over a reply of several lines, to its last line, which must be like the pattern. */
void smtp_reply(int client, const char *pattern);
/* A whole honest transaction on a connection of its own; it must arrive, exactly. */
void smtp_honest(void);
/* The message without the trace fields that we put in front of it. */
const char *smtp_without_trace(const struct double_delivery *delivery, size_t *ret_size);
void smtp_quit(int client);

#endif
