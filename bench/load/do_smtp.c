/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenarios smtp and lmtp: messages delivered. An operation is a message, to the reply that says
 * who has it; where a connection has to be made for it, that is part of it. With --verify each
 * worker then reads the mailboxes of its share of the users and writes down what it found
 * (verify.h); what was there before the run, of an earlier one with the same seed, it has noted
 * first.
 */
#include <stdlib.h>

#include "imap.h"
#include "pace.h"
#include "pop3.h"
#include "smtp.h"
#include "verify.h"

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

/* ---------------------------------------------------------------- what is in the mailboxes */

struct found {
    struct mailbox_reader reader;
    struct verify_reader state;
    struct load_worker *worker;
    unsigned user;
    bool is_before;
};

static void add_one(uint64_t *word)
{
    __atomic_store_n(word, *word + 1, __ATOMIC_RELAXED); /* other threads read */
}

static void found_piece(void *argument, struct slice piece)
{
    struct found *found = argument;
    verify_feed(&found->state, piece);
}

static void found_end(void *argument)
{
    struct found *found = argument;
    struct load_core *at = found->worker->at;
    uint64_t number;
    int result = verify_end(&found->state, found->worker->options, &number);
    found->state = (struct verify_reader){0};
    if (result < 0)
        return;
    if (found->is_before) {
        verify_before(at, number, found->user);
        return;
    }
    verify_seen(at, number, found->user);
    add_one(&measure_of(at)->verified);
    if (result == LOAD_ALTERED) {
        add_one(&measure_of(at)->altered);
        measure_error(at, LOAD_ALTERED, SLICE("a message in a mailbox differs from what was sent"));
    }
}

static int read_mailboxes(struct load_worker *worker, bool is_before)
{
    const struct load_options *options = worker->options;
    struct found found = {.reader = {.piece = found_piece, .end = found_end, .argument = &found},
                          .worker = worker,
                          .is_before = is_before};
    int error = 0;
    for (unsigned user = worker->index; user < options->users && error == 0;
         user += options->connections) {
        if (load_why(load_of(worker->at)) != NULL)
            break; /* stopped */
        found.user = user;
        found.state = (struct verify_reader){0};
        error = options->endpoints[LOAD_IMAP].is_set
                    ? imap_read_mailbox(worker, user, &found.reader)
                    : pop3_read_mailbox(worker, user, &found.reader);
    }
    return error;
}

static int prepare(struct load_worker *worker)
{
    return worker->options->verifies ? read_mailboxes(worker, true) : 0;
}

static void verify(struct load_worker *worker)
{
    read_mailboxes(worker, false);
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
    "twice.\n"

const struct load_scenario scenario_smtp = {
    .name = "smtp",
    .summary = "messages by SMTP, or submission with --login",
    .operation = "message",
    .protocols = 1 << LOAD_SMTP,
    .help = HELP "With --login each connection authenticates (AUTH PLAIN) as one of the users and\n"
                 "sends as that user.\n",
    .problem = problem,
    .prepare = prepare,
    .work = work,
    .verify = verify,
};

const struct load_scenario scenario_lmtp = {
    .name = "lmtp",
    .summary = "messages by LMTP, over TCP or a Unix socket",
    .operation = "message",
    .protocols = 1 << LOAD_LMTP,
    .help = HELP,
    .problem = problem,
    .prepare = prepare,
    .work = work,
    .verify = verify,
};
