/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scenario login: connect, log in, log out. For IMAP, POP3 and submission (SMTP with AUTH).
 */
#include "do_login.h"

#include <stdlib.h>

#include "imap.h"
#include "pace.h"
#include "pop3.h"
#include "smtp.h"

struct login {
    struct imap imap;
    struct pop3 pop3;
    struct smtp smtp;
};

static int login_imap(struct login *login, struct load_worker *worker, unsigned user)
{
    int error = imap_connect(&login->imap, worker, worker->index);
    if (error == 0)
        error = imap_login(&login->imap, user);
    if (error == 0)
        return imap_logout(&login->imap);
    peer_close(&login->imap.peer);
    return error;
}

static int login_pop3(struct login *login, struct load_worker *worker, unsigned user)
{
    int error = pop3_open(&login->pop3, worker, worker->index);
    if (error == 0)
        error = pop3_login(&login->pop3, user);
    if (error == 0)
        return pop3_leave(&login->pop3);
    peer_close(&login->pop3.peer);
    return error;
}

static int login_smtp(struct login *login, struct load_worker *worker, unsigned user)
{
    struct smtp *smtp = &login->smtp;
    int error = smtp_open(smtp, worker, LOAD_SMTP, worker->index, user);
    if (error == 0 && !worker->options->wants_login)
        error = smtp_login(smtp, user);
    if (error == 0)
        smtp_quit(smtp);
    peer_close(&smtp->peer);
    return error;
}

int login_make(struct load_worker *worker, struct login **ret_login)
{
    struct login *login = calloc(1, sizeof *login);
    if (login == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    *ret_login = login;
    return 0;
}

int login_once(struct login *login, struct load_worker *worker, enum load_protocol protocol,
               unsigned user)
{
    switch (protocol) {
    case LOAD_POP3:
        return login_pop3(login, worker, user);
    case LOAD_SMTP:
        return login_smtp(login, worker, user);
    default:
        return login_imap(login, worker, user);
    }
}

void login_free(struct login *login)
{
    imap_forget(&login->imap);
    pop3_forget(&login->pop3);
    smtp_forget(&login->smtp);
    free(login);
}

static void work(struct load_worker *worker)
{
    struct login *login;
    struct operation operation;
    if (login_make(worker, &login) != 0)
        return;
    for (uint64_t session = 0; pace_take(worker, &operation) == 0; session++)
        pace_done(
            worker, &operation,
            login_once(login, worker, worker->options->target, mailbox_user(worker, session)));
    login_free(login);
}

static const char *problem(const struct load_options *options)
{
    if (options->target == LOAD_POP3 && options->connections > options->users)
        return "a maildrop has one session at a time (RFC 1939): --connections must not be above "
               "--users";
    return NULL;
}

static const char help[] =
    "A storm of log-ins: an operation is to connect (with TLS, by --tls), log in and log out. For\n"
    "IMAP, POP3, and SMTP as submission (AUTH PLAIN). --tls-resume resumes TLS sessions.\n";

const struct load_scenario scenario_login = {
    .name = "login",
    .summary = "connect, log in, log out: IMAP, POP3 or submission",
    .operation = "log-in",
    .protocols = 1 << LOAD_SMTP | 1 << LOAD_IMAP | 1 << LOAD_POP3,
    .help = help,
    .problem = problem,
    .work = work,
};
