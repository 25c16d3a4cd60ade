/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario pop3: sessions that log in, list and retrieve the whole maildrop, and with --delete
 * empty it. An operation is a session, from the connection to the answer to QUIT.
 */
#include "do_pop3.h"

#include <stdlib.h>

int pop3_session(struct pop3 *pop3, struct load_worker *worker, unsigned user, bool deletes,
                 const struct mailbox_reader *reader)
{
    int error = pop3_open(pop3, worker, worker->index);
    if (error == 0)
        error = pop3_login(pop3, user);
    if (error == 0)
        error = pop3_read_stat(pop3);
    if (error == 0)
        error = pop3_read_list(pop3);
    if (error == 0 && pop3->messages > 0)
        error = pop3_retrieve(pop3, 1, pop3->messages, reader);
    if (error == 0 && pop3->messages > 0 && deletes)
        error = pop3_delete(pop3, 1, pop3->messages);
    if (error == 0)
        return pop3_leave(pop3);
    peer_close(&pop3->peer); /* without QUIT: nothing is deleted */
    return error;
}

static void work(struct load_worker *worker)
{
    struct {
        struct pop3 pop3;
        struct mailbox_check check;
    } *use = calloc(1, sizeof *use);
    const struct load_options *options = worker->options;
    struct operation operation;
    if (use == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE(""));
        return;
    }
    for (uint64_t session = 0; pace_take(worker, &operation) == 0; session++) {
        mailbox_check_init(&use->check, worker);
        int error = pop3_session(&use->pop3, worker, mailbox_user(worker, session),
                                 options->deletes, options->verifies ? &use->check.reader : NULL);
        pace_done(worker, &operation, error);
    }
    pop3_forget(&use->pop3);
    free(use);
}

static const char *problem(const struct load_options *options)
{
    if (options->connections > options->users)
        return "a maildrop has one session at a time (RFC 1939): --connections must not be above "
               "--users";
    return NULL;
}

static const char help[] =
    "Sessions log in, STAT, LIST, UIDL, RETR all messages, and QUIT; an operation is a session.\n"
    "POP3 cannot put mail into a maildrop: name where the server takes it, by --also lmtp://,\n"
    "smtp:// or imap://, and each is filled up to --mailbox messages before the run; else what is\n"
    "there is read, and an empty maildrop ends the run. With --delete the messages are deleted at\n"
    "the end of each session (the next one finds none). With --verify every message is compared\n"
    "with what was sent. Where the server offers PIPELINING, commands are sent ahead of answers.\n";

const struct load_scenario scenario_pop3 = {
    .name = "pop3",
    .summary = "POP3 sessions: log in, list, retrieve all",
    .operation = "session",
    .protocols = 1 << LOAD_POP3,
    .help = help,
    .problem = problem,
    .prepare = mailbox_prepare,
    .work = work,
};
