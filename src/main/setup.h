/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a checked config to what the layers want: users, routes, services, options. Built once,
 * immutable, shared by all cores; lives as long as the process serves.
 */
#ifndef RINGPOST_SETUP_H
#define RINGPOST_SETUP_H

#include "config.h"
#include "ringpost/auth.h"
#include "ringpost/gateway.h"
#include "ringpost/imap.h"
#include "ringpost/pop3.h"
#include "ringpost/route.h"
#include "ringpost/smtp.h"

struct setup {
    struct config *config; /* owned */
    struct auth_users *users;
    struct route_table *routes;
    struct smtp_options smtp, lmtp;
    struct pop3_options pop3[2]; /* by whether plain log-in is allowed */
    struct imap_options imap[2];
    struct service services[CONFIG_LISTENERS_MAX];
    struct gateway_options gateway;
    struct engine_options engine;
};

/* Reads the users, puts everything together; what is wrong goes to the config's problems. Takes
 * over the config. NULL without memory; else setup->config->problem_count says if it may be used.
 */
struct setup *setup_make(struct config *config);
void setup_free(struct setup *setup);

/* The CPUs that this process may use. */
unsigned setup_cpu_count(void);

#endif
