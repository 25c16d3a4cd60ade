/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenarios smtp and lmtp: messages delivered. An operation is a message, to the reply that says
 * who has it; where a connection has to be made for it, that is part of it. What
 * --verify reads is in do_smtp_verify.c.
 */
#include <stdlib.h>

#include "do_smtp.h"
#include "pace.h"
#include "smtp.h"

/* ---------------------------------------------------------------- work */

struct sender {
    struct smtp smtp;
    unsigned users[SMTP_RECIPIENTS_MAX];
};

static int send_message(struct sender *sender, struct load_worker *worker, uint64_t number)
{
    const struct load_options *options = worker->options;
    struct smtp *smtp = &sender->smtp;
    struct content_message message;
    struct smtp_delivery delivery = {.message = &message,
                                     .number = number,
                                     .users = sender->users,
                                     .user_count = options->recipients};
    if (peer_is_open(&smtp->peer) && peer_has_ended(&smtp->peer))
        peer_close(&smtp->peer); /* between two messages a server may close */
    if (!peer_is_open(&smtp->peer)) {
        int error =
            smtp_open(smtp, worker, options->target, worker->index, worker->index % options->users);
        if (error != 0)
            return error;
    }
    if (content_make(load_content(load_of(worker->at)), number, &message) < 0)
        return measure_error(worker->at, LOAD_OURS, SLICE("no memory for a message"));
    for (unsigned i = 0; i < options->recipients; i++)
        sender->users[i] = smtp_recipient(options, number, i);
    delivery.is_last =
        options->per_connection > 0 && smtp->delivered + 1 >= options->per_connection;
    int error = smtp_deliver(smtp, &delivery);
    content_release(&message);
    return error;
}

static void work(struct load_worker *worker)
{
    unsigned per_connection = worker->options->per_connection;
    struct sender *sender = calloc(1, sizeof *sender);
    struct operation operation;
    if (sender == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE("no memory for a worker"));
        return;
    }
    while (pace_take(worker, &operation) == 0) {
        int error = send_message(sender, worker, operation.number);
        pace_done(worker, &operation, error);
        if (per_connection > 0 && sender->smtp.delivered >= per_connection)
            smtp_quit(&sender->smtp);
    }
    smtp_quit(&sender->smtp);
    smtp_forget(&sender->smtp);
    free(sender);
}

/* ---------------------------------------------------------------- the rows */

static const char *problem(const struct load_options *options)
{
    if (options->recipients > options->users)
        return "--recipients must not be above --users: a message goes to each user once";
    if (options->recipients > SMTP_RECIPIENTS_MAX)
        return "--recipients must not be above 1000";
    if (options->verifies && !options->endpoints[LOAD_IMAP].is_set &&
        !options->endpoints[LOAD_POP3].is_set)
        return "--verify reads the mailboxes: say where, by --also imap://HOST:PORT or pop3://";
    return NULL;
}

#define HELP                                                                                       \
    "An operation is a message, until the server has accepted it; making the connection is part\n" \
    "of it where there is none. --per-connection N: QUIT and a new connection after N messages\n"  \
    "(1: a connection each; 0: never). Where the server offers PIPELINING the envelope is one\n"   \
    "group, unless --no-pipelining is given; --bdat sends by BDAT instead of DATA, all in one\n"   \
    "group then. Each message goes to --recipients of the users, chosen by the seed.\n"            \
    "With --verify the mailboxes of all users are read before and after the run, by --also\n"      \
    "imap://, imaps://, pop3:// or pop3s://: nothing accepted may be missing, altered or there\n"  \
    "twice. What is on its way still is waited for, until nothing more comes for --timeout.\n"

const struct load_scenario scenario_smtp = {
    .name = "smtp",
    .summary = "messages by SMTP, or submission with --login",
    .operation = "message",
    .protocols = 1 << LOAD_SMTP,
    .help = HELP "With --login each connection authenticates (AUTH PLAIN) as one of the users and\n"
                 "sends as that user.\n",
    .problem = problem,
    .prepare = do_smtp_prepare,
    .work = work,
    .verify = do_smtp_verify,
};

const struct load_scenario scenario_lmtp = {
    .name = "lmtp",
    .summary = "messages by LMTP, over TCP or a Unix socket",
    .operation = "message",
    .protocols = 1 << LOAD_LMTP,
    .help = HELP,
    .problem = problem,
    .prepare = do_smtp_prepare,
    .work = work,
    .verify = do_smtp_verify,
};
