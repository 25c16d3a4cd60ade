/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mailboxes filled, delivered to and checked. What a mailbox is filled with has numbers of its own
 * (FILL_NUMBER and on), so that the run's messages have theirs: the i-th message of a user is the
 * same at every run with the same seed.
 */
#include "mailbox.h"

#include <errno.h>
#include <stdlib.h>

#include "imap.h"
#include "pop3.h"
#include "smtp.h"

enum { AHEAD_BYTES_MAX = 65536 }; /* of APPENDs sent ahead of their answers */
static const uint64_t FILL_NUMBER = UINT64_C(1) << 60;

static uint64_t fill_number(unsigned user, uint32_t message)
{
    return FILL_NUMBER + (uint64_t)user * MAILBOX_MESSAGES_MAX + message;
}

unsigned mailbox_workers(const struct load_worker *worker)
{
    const struct load_scenario *scenario = worker->options->scenario;
    if (scenario->workers == NULL)
        return worker->options->connections;
    return scenario->workers(worker->options, load_shared(load_of(worker->at)));
}

unsigned mailbox_user(const struct load_worker *worker, uint64_t session)
{
    unsigned users = worker->options->users, workers = mailbox_workers(worker);
    if (users < workers)
        return worker->index % users;
    unsigned own = (users - worker->index - 1) / workers + 1;
    return worker->index + (unsigned)(session % own) * workers;
}

/* ---------------------------------------------------------------- checked */

static void add_one(uint64_t *word)
{
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void check_piece(void *argument, struct slice piece)
{
    struct mailbox_check *check = argument;
    verify_feed(&check->state, piece);
}

static void check_end(void *argument)
{
    struct mailbox_check *check = argument;
    struct load_core *at = check->worker->at;
    uint64_t number;
    int result = verify_end(&check->state, check->worker->options, &number);
    check->state = (struct verify_reader){0};
    if (result < 0)
        return;
    add_one(&measure_of(at)->verified);
    if (result == LOAD_ALTERED) {
        add_one(&measure_of(at)->altered);
        measure_error(at, LOAD_ALTERED,
                      SLICE("a message that was read differs from what was sent"));
    }
}

void mailbox_check_init(struct mailbox_check *check, struct load_worker *worker)
{
    *check = (struct mailbox_check){
        .reader = {.piece = check_piece, .end = check_end, .argument = check}, .worker = worker};
}

/* ---------------------------------------------------------------- delivered to */

struct mailbox_sender {
    struct load_worker *worker;
    struct smtp smtp;
    struct imap imap;
    unsigned user; /* that imap is logged in as */
};

/* By LMTP or SMTP, rather than by APPEND. */
static bool is_delivering(const struct load_options *options)
{
    return options->endpoints[LOAD_LMTP].is_set || options->endpoints[LOAD_SMTP].is_set;
}

bool mailbox_can_send(const struct load_options *options)
{
    return is_delivering(options) || options->endpoints[LOAD_IMAP].is_set;
}

int mailbox_sender_make(struct load_worker *worker, struct mailbox_sender **ret_sender)
{
    struct mailbox_sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    sender->worker = worker;
    *ret_sender = sender;
    return 0;
}

static void tell_began(const struct mailbox_sender *sender, uint64_t *began_ns)
{
    if (began_ns != NULL)
        *began_ns = load_now(sender->worker->at);
}

static int append(struct mailbox_sender *sender, unsigned user,
                  const struct content_message *message, uint64_t *began_ns)
{
    struct imap *imap = &sender->imap;
    if (peer_is_open(&imap->peer) && sender->user != user)
        imap_logout(imap);
    int error = 0;
    if (!peer_is_open(&imap->peer)) {
        error = imap_connect(imap, sender->worker, sender->worker->index);
        if (error == 0)
            error = imap_login(imap, user);
        sender->user = user;
    }
    if (error != 0)
        return error;
    tell_began(sender, began_ns);
    return imap_append(imap, message);
}

static int deliver(struct mailbox_sender *sender, unsigned user, uint64_t number,
                   const struct content_message *message, uint64_t *began_ns)
{
    struct smtp *smtp = &sender->smtp;
    struct load_worker *worker = sender->worker;
    enum load_protocol protocol =
        worker->options->endpoints[LOAD_LMTP].is_set ? LOAD_LMTP : LOAD_SMTP;
    struct smtp_delivery delivery = {
        .message = message, .number = number, .users = &user, .user_count = 1};
    int error = 0;
    if (peer_is_open(&smtp->peer) && peer_has_ended(&smtp->peer))
        peer_close(&smtp->peer); /* between two messages a server may close */
    if (!peer_is_open(&smtp->peer))
        error = smtp_open(smtp, worker, protocol, worker->index, user);
    if (error == 0) {
        tell_began(sender, began_ns);
        return smtp_deliver(smtp, &delivery);
    }
    peer_close(&smtp->peer);
    return error;
}

int mailbox_send(struct mailbox_sender *sender, unsigned user, uint64_t number, uint64_t *began_ns)
{
    struct content_message message;
    struct load_core *at = sender->worker->at;
    if (content_make(load_content(load_of(at)), number, &message) < 0)
        return measure_error(at, LOAD_OURS, SLICE(""));
    int error = is_delivering(sender->worker->options)
                    ? deliver(sender, user, number, &message, began_ns)
                    : append(sender, user, &message, began_ns);
    content_release(&message);
    return error;
}

void mailbox_sender_free(struct mailbox_sender *sender)
{
    if (sender == NULL)
        return;
    smtp_quit(&sender->smtp);
    smtp_forget(&sender->smtp);
    imap_logout(&sender->imap);
    imap_forget(&sender->imap);
    free(sender);
}

/* ---------------------------------------------------------------- filled */

/* How many messages the user has. */
static int count_messages(struct load_worker *worker, unsigned user, uint32_t *ret_messages)
{
    struct {
        struct imap imap;
        struct pop3 pop3;
    } *use = calloc(1, sizeof *use);
    if (use == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    int error;
    if (worker->options->endpoints[LOAD_IMAP].is_set) {
        error = imap_connect(&use->imap, worker, worker->index);
        if (error == 0)
            error = imap_login(&use->imap, user);
        if (error == 0)
            error = imap_select(&use->imap);
        *ret_messages = use->imap.exists;
        imap_logout(&use->imap);
        imap_forget(&use->imap);
    } else {
        error = pop3_open(&use->pop3, worker, worker->index);
        if (error == 0)
            error = pop3_login(&use->pop3, user);
        if (error == 0)
            error = pop3_read_stat(&use->pop3);
        *ret_messages = use->pop3.messages;
        if (pop3_leave(&use->pop3) != 0)
            error = error != 0 ? error : LOAD_CLOSED;
        pop3_forget(&use->pop3);
    }
    free(use);
    return error;
}

/* Sends APPENDs from *message on, as many as go ahead of their answers; or does one, where the
 * server does not let us. */
static int append_some(struct imap *imap, unsigned user, uint32_t *message, uint32_t wanted,
                       uint32_t *ret_sent)
{
    struct load_core *at = imap->peer.at;
    bool at_once = imap->peer.capabilities & IMAP_LITERAL_PLUS;
    size_t bytes = 0;
    int error = 0;
    peer_begin(&imap->peer);
    *ret_sent = 0;
    while (error == 0 && *message < wanted && *ret_sent < IMAP_PIPELINED_MAX &&
           bytes < AHEAD_BYTES_MAX) {
        struct content_message made;
        if (content_make(load_content(load_of(at)), fill_number(user, (*message)++), &made) < 0)
            return measure_error(at, LOAD_OURS, SLICE(""));
        bytes += made.head.size + made.body.size;
        error = at_once ? imap_append_send(imap, &made) : imap_append(imap, &made);
        content_release(&made);
        if (!at_once)
            break;
        (*ret_sent)++;
    }
    return error;
}

/* APPENDs messages first ... wanted - 1. */
static int append_many(struct imap *imap, unsigned user, uint32_t first, uint32_t wanted)
{
    int error = 0;
    for (uint32_t message = first, sent; error == 0 && message < wanted;) {
        uint32_t tag = imap->peer.tag + 1;
        error = append_some(imap, user, &message, wanted, &sent);
        for (; error == 0 && sent > 0; sent--)
            error = imap_append_answer(imap, tag++);
        if (sent > 0)
            peer_close(&imap->peer); /* other answers are still to come */
    }
    return error;
}

static int fill_by_append(struct load_worker *worker, unsigned user, uint32_t wanted)
{
    struct imap *imap = calloc(1, sizeof *imap);
    if (imap == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    int error = imap_connect(imap, worker, worker->index);
    if (error == 0)
        error = imap_login(imap, user);
    if (error == 0)
        error = imap_select(imap);
    if (error == 0)
        error = append_many(imap, user, imap->exists, wanted);
    imap_logout(imap);
    imap_forget(imap);
    free(imap);
    return error;
}

static int fill_by_delivery(struct load_worker *worker, struct mailbox_sender *sender,
                            unsigned user, uint32_t wanted)
{
    uint32_t messages = 0;
    int error = count_messages(worker, user, &messages);
    for (; error == 0 && messages < wanted; messages++)
        error = mailbox_send(sender, user, fill_number(user, messages), NULL);
    return error;
}

/* Nothing can be put there: it must be there already. */
static int need_messages(struct load_worker *worker, unsigned user)
{
    uint32_t messages = 0;
    int error = count_messages(worker, user, &messages);
    if (error != 0 || messages > 0)
        return error;
    return measure_error(worker->at, LOAD_MISSING,
                         SLICE("a maildrop is empty, and POP3 cannot fill it: say where mail is "
                               "taken, by --also lmtp://HOST:PORT, smtp:// or imap://"));
}

int mailbox_prepare(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    unsigned workers = mailbox_workers(worker), wanted = options->mailbox_messages;
    struct mailbox_sender *sender = NULL;
    bool delivers = is_delivering(options), appends = options->endpoints[LOAD_IMAP].is_set;
    int error = wanted > 0 && delivers ? mailbox_sender_make(worker, &sender) : 0;
    for (unsigned user = worker->index; error == 0 && user < options->users; user += workers) {
        if (load_why(load_of(worker->at)) != NULL)
            break; /* stopped */
        if (wanted > 0 && delivers)
            error = fill_by_delivery(worker, sender, user, wanted);
        else if (wanted > 0 && appends)
            error = fill_by_append(worker, user, wanted);
        else if (wanted > 0 && options->endpoints[LOAD_POP3].is_set)
            error = need_messages(worker, user);
    }
    mailbox_sender_free(sender);
    return error;
}
