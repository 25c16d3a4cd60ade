/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario imap: sessions that log in, select INBOX and issue commands drawn by --mix. An operation
 * is a command. In a closed loop a command is meant to begin when its session is there, so that
 * log-ins have phases of their own and are not in the commands' latency; in an open loop it is
 * meant for its time, whatever must come before it.
 */
#include <errno.h>
#include <stdlib.h>

#include "imap_mix.h"
#include "pace.h"

static int open_shared(const struct load_options *options, void **ret_shared, char problem[200])
{
    struct imap_mix *mix = malloc(sizeof *mix);
    if (mix == NULL)
        return -ENOMEM;
    int result =
        imap_mix_parse(options->mix != NULL ? options->mix : IMAP_MIX_DEFAULT, mix, problem);
    if (result < 0)
        free(mix);
    else
        *ret_shared = mix;
    return result;
}

/* A command of a session that is opened before where there is none. */
static int command(struct imap_play *play, struct load_worker *worker, uint64_t *sessions,
                   struct operation *operation)
{
    if (!peer_is_open(&play->imap.peer)) {
        int error = imap_play_begin(play, worker, mailbox_user(worker, (*sessions)++));
        if (error != 0)
            return error;
        if (worker->options->rate == 0)
            operation->intended_ns = load_now(worker->at);
    }
    return imap_play_command(play, operation->number);
}

static void work(struct load_worker *worker)
{
    struct imap_play *play = calloc(1, sizeof *play);
    struct operation operation;
    uint64_t sessions = 0;
    if (play == NULL) {
        measure_error(worker->at, LOAD_OURS, SLICE(""));
        return;
    }
    play->mix = load_shared(load_of(worker->at));
    while (pace_take(worker, &operation) == 0) {
        int error = command(play, worker, &sessions, &operation);
        pace_done(worker, &operation, error);
        unsigned per_session = worker->options->per_session;
        if (per_session > 0 && play->commands >= per_session)
            imap_logout(&play->imap);
    }
    imap_logout(&play->imap);
    imap_forget(&play->imap);
    free(play);
}

static const char help[] =
    "Sessions log in, SELECT INBOX, and issue commands drawn by --mix; an operation is a command.\n"
    "After --per-session commands a session logs out and a new one begins (0: never). Mailboxes\n"
    "are filled up to --mailbox messages before the run, by --also lmtp:// or smtp:// when given,\n"
    "else by APPEND. Each connection works as its own user as long as there are enough (--users).\n"
    "With --verify every message that is fetched is compared with what was sent.\n"
    "\n"
    "A mix is NAME=WEIGHT,...: fetch (BODY.PEEK[] of one message), list (ENVELOPE FLAGS of up to\n"
    "20), header (BODY.PEEK[HEADER]), store (\\Seen), search, append, expunge (\\Deleted and\n"
    "EXPUNGE), noop. Default: fetch=60,store=10,search=5,append=20,expunge=5\n";

const struct load_scenario scenario_imap = {
    .name = "imap",
    .summary = "IMAP sessions: fetch, store, search, append, expunge by a mix",
    .operation = "command",
    .protocols = 1 << LOAD_IMAP,
    .help = help,
    .open = open_shared,
    .close = free,
    .prepare = mailbox_prepare,
    .work = work,
};
