/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The servers of SMTP (RFC 5321), LMTP (RFC 2033) and submission (RFC 6409), and extensions:
 * protocols for a struct service.
 */
#ifndef RINGPOST_SMTP_H
#define RINGPOST_SMTP_H

#include "ringpost/proxy.h"
#include "ringpost/route.h"
#include "ringpost/session.h"

/* Submission is SMTP for our own users: nothing before AUTH, the reverse-path must be the user's,
 * the message is completed. It is no relay either: mail is for users of our domains, which are
 * local, or those of backends (relay.h).
 *
 * A user elsewhere has the message when his backend says so, and it is the backend's reply that the
 * client reads. SMTP has one reply for all recipients, so there such a user is the only one of his
 * transaction: all others are told 452 4.5.3, which senders know how to go on from (RFC 5321,
 * 4.5.3.1.10). LMTP has a reply for each. */
extern const struct session_protocol smtp_protocol, lmtp_protocol, submission_protocol;

/* Which reverse-paths a user may give on a submission listener. The null path is everybody's (RFC
 * 6409 and RFC 8098: notifications). */
enum smtp_sender_match {
    SMTP_SENDER_LOGIN,   /* the log-in name itself */
    SMTP_SENDER_ALIASES, /* and every address whose mail the user gets: sub-addresses, aliases,
                            catch-all (route.h) */
    SMTP_SENDER_ANY
};

/* How much each user has submitted lately: a table for each core, touched by that core alone.
 * Outlives all options that name it; after a reload the new ones name it again. */
struct smtp_quotas;
int smtp_quotas_create(unsigned core_count, struct smtp_quotas **ret_quotas); /* 0 or -ENOMEM */
void smtp_quotas_free(struct smtp_quotas *quotas);

struct smtp_options {
    const struct route_table *routes;
    /* Domains whose mail goes to backends; in the routes their users are elsewhere. Sorted by name.
     * relay_open has been called where there are any. */
    const struct proxy_domain *fronted;
    unsigned fronted_count;
    /* What a backend may take when it is asked about a user, and backends for a message; beside the
     * command's own time. */
    uint64_t verify_ms_max, relay_ms_max;
    uint64_t message_bytes_max; /* SIZE (RFC 1870) */
    unsigned recipients_max;    /* RCPTMAX (RFC 9422); 452 beyond, close past twice as many */
    unsigned received_max;      /* Received fields before a loop is assumed: 554 5.4.6 */
    uint64_t data_ms_max;       /* for one message, at least; plus size / rate below */
    uint64_t data_bytes_per_second_min;
    uint64_t greeting_ms; /* the greeting waits so long for clients that speak before it; 0: not */
    bool forbid_early_talk; /* refuse those (port 25), and commands behind DATA that wait not */
    bool auth_offered;      /* AUTH on an SMTP listener too; submission always offers it */

    /* Submission only. */
    enum smtp_sender_match sender_match;
    bool received_names_user;     /* Received tells the log-in name */
    bool keeps_bcc;               /* Bcc and Resent-Bcc are not removed */
    struct smtp_quotas *quotas;   /* NULL: the next three are not looked at */
    unsigned user_messages_max;   /* accepted from one user in user_window_ms; 0: no limit */
    unsigned user_recipients_max; /* the same, of all messages; 0: no limit */
    uint64_t user_window_ms;      /* from a user's first message on, then afresh */
};

#endif
