/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the mechanisms share: one run of one mechanism, and its messages.
 *
 * Invariants (of sasl.c, scram.c, oauth.c):
 *   M1 a message is wiped before the next is asked for, and the last when the run ends.
 *   M2 a try that was begun is ended on every way out.
 *   M3 what a mechanism says does not depend on whether the user exists.
 */
#ifndef RINGPOST_SASL_PRIVATE_H
#define RINGPOST_SASL_PRIVATE_H

#include "auth_private.h"

/* One run; on the fiber's stack. */
struct sasl {
    struct core *core;
    const struct auth_client *client;
    const struct auth_exchange *exchange;
    const char *mechanism; /* its name */
    enum auth_mechanism number;
    struct slice message; /* the client's latest; to be wiped */
    struct auth_result *ret_result;
    struct auth_proof *ret_proof; /* NULL: not wanted */
};

/* The client's first message, which may have come with the command; else `challenge` is sent for
 * it. 0, -EMSGSIZE (above AUTH_MESSAGE_BYTES_MAX) or what the exchange says. */
int sasl_first(struct sasl *sasl, struct slice challenge, struct slice *ret_message);
/* Wipes the message before (M1), sends the challenge, waits for the response. */
int sasl_ask(struct sasl *sasl, struct slice challenge, struct slice *ret_message);
/* Fiber. Verdict where no secret is looked at: 0, or -EAGAIN. The try itself knows whether there is
 * such a user. */
int sasl_exists(struct auth_try *t);
/* Has this client been offered a mechanism that binds to its channel? */
bool sasl_offers_binding(struct core *core, const struct auth_client *client);

/* scram.c */
int scram_run(struct sasl *sasl);
/* oauth.c */
struct oauth_message {    /* slices into the message */
    struct slice acts_as; /* =2C and =3D as they came */
    struct slice token;
};
bool oauth_bearer_parse(struct slice message, struct oauth_message *ret_message);
bool oauth_google_parse(struct slice message, struct oauth_message *ret_message);
int oauth_bearer_run(struct sasl *sasl);
int oauth_google_run(struct sasl *sasl);

#endif
