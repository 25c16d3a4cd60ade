/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of a message: into the mailboxes, and the reply, which is the promise that it is there
 * (S1 of store.h), or with whom it is elsewhere (R1 of relay.h). SMTP gives one for all recipients,
 * LMTP one for each (RFC 2033 4.2), in the order of their RCPTs.
 */

#include "ringpost/number.h"

#include "smtp_private.h"

/* "250 2.0.0 OK <id>" */
static void say_accepted(struct smtp_session *smtp)
{
    char text[64];
    const struct slice parts[] = {smtp->is_lmtp ? SLICE("250 2.1.5 OK, delivered as ")
                                                : SLICE("250 2.0.0 OK, queued as "),
                                  slice_cstr(smtp->transaction->id), SLICE("\r\n")};
    size_t size = 0;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(text + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    stream_write(&smtp->session.stream, slice_of(text, size));
}

static void say(struct smtp_session *smtp, enum smtp_reply reply)
{
    if (reply == REPLY_OK)
        say_accepted(smtp);
    else
        smtp_say(smtp, reply);
}

/* What the client is told of a recipient: a row of ours, or what his backend said. */
struct answer {
    enum smtp_reply reply;
    const char *line; /* NULL: the row */
};

/* The first of his rows elsewhere with that result, or NULL. */
static const struct relay_recipient *find_away(const struct transaction *transaction,
                                               const struct recipient *recipient, int result)
{
    for (unsigned i = 0; i < recipient->away_count; i++)
        if (transaction->away[recipient->away_first + i].result == result)
            return &transaction->away[recipient->away_first + i];
    return NULL;
}

/* The worst that happened to the targets of one recipient: what a second try may mend goes before
 * what it cannot, so that nobody is given up for another. */
static struct answer answer_of(const struct transaction *transaction,
                               const struct recipient *recipient)
{
    const struct relay_recipient *row = find_away(transaction, recipient, -EAGAIN);
    if (row != NULL)
        return (struct answer){REPLY_NO_BACKEND, row->reply};
    for (unsigned i = 0; i < recipient->count; i++)
        if (transaction->deliveries[recipient->first + i].result < 0)
            return (struct answer){
                smtp_reply_of(transaction->deliveries[recipient->first + i].result), NULL};
    row = find_away(transaction, recipient, -EACCES);
    if (row != NULL)
        return (struct answer){REPLY_USER_UNKNOWN, row->reply};
    bool is_one = recipient->away_count == 1 && recipient->count == 0;
    return (struct answer){REPLY_OK,
                           is_one ? transaction->away[recipient->away_first].reply : NULL};
}

static void say_answer(struct smtp_session *smtp, struct answer answer)
{
    if (answer.line != NULL)
        smtp_say_line(smtp, answer.line);
    else
        say(smtp, answer.reply);
}

/* Who is to be tried again as a whole is not served in part now, or he would have it twice. */
static void drop_put_off(struct transaction *transaction)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < transaction->recipient_count && transaction->away_count > 0; i++) {
        struct recipient *recipient = &transaction->recipients[i];
        if (find_away(transaction, recipient, -EAGAIN) != NULL)
            recipient->count = 0;
        if (recipient->count > 0)
            memmove(&transaction->deliveries[kept], &transaction->deliveries[recipient->first],
                    recipient->count * sizeof *transaction->deliveries);
        recipient->first = kept;
        kept += recipient->count;
    }
    if (transaction->away_count > 0)
        transaction->delivery_count = kept;
}

static int store(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
    if (transaction->delivery_count == 0)
        return 0;
    struct slice envelope = smtp_envelope(smtp);
    for (unsigned i = 0; i < transaction->delivery_count; i++)
        transaction->deliveries[i].result = -ENOMEM;
    if (envelope.data == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < transaction->delivery_count; i++)
        transaction->deliveries[i].result = -EIO;
    struct message_body *body = transaction->body;
    transaction->body = NULL;
    return store_deliver(session_core(&smtp->session), body, envelope, transaction->deliveries,
                         transaction->delivery_count);
}

/* How many recipients have it; all are told. *ret_worst is not OK when there is one who has not. */
static unsigned reply_each(struct smtp_session *smtp, struct answer *ret_worst)
{
    const struct transaction *transaction = smtp->transaction;
    unsigned accepted = 0;
    for (unsigned i = 0; i < transaction->recipient_count; i++) {
        struct answer answer = answer_of(transaction, &transaction->recipients[i]);
        say_answer(smtp, answer);
        accepted += answer.reply == REPLY_OK;
        if (ret_worst->reply == REPLY_OK)
            *ret_worst = answer;
    }
    return accepted;
}

/* Elsewhere first: what is put off there is known before our own part is for ever. Replies; how
 * many recipients have it. */
static unsigned deliver(struct smtp_session *smtp, struct answer *ret_worst)
{
    struct transaction *transaction = smtp->transaction;
    if (transaction->away_count > 0) {
        smtp_relay(smtp);
        session_deadline(&smtp->session, smtp->session.service->command_ms_max);
        drop_put_off(transaction);
    }
    int result = store(smtp);
    *ret_worst = (struct answer){REPLY_OK, NULL};
    if (smtp->is_lmtp || transaction->away_count > 0) /* M4: then there is one recipient */
        return reply_each(smtp, ret_worst);
    ret_worst->reply = smtp_reply_of(result);
    say(smtp, ret_worst->reply);
    return ret_worst->reply == REPLY_OK ? transaction->recipient_count : 0;
}

/* What can be said of the message now that it is there; it is within what its user may submit. */
static enum smtp_reply judge(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
    if (transaction->refusal != REPLY_OK)
        return transaction->refusal;
    struct slice bytes = message_body_bytes(transaction->body);
    if (smtp_is_loop(smtp, slice_from(bytes, transaction->trace_size)))
        return REPLY_LOOP;
    if (!transaction->header_done && !smtp_header_look(smtp, true))
        return REPLY_NO_MEMORY;
    int result = smtp_quota_take(smtp, transaction->recipient_count);
    return result == -EUSERS ? REPLY_QUOTA : smtp_reply_of(result);
}

/* The message is refused as a whole, whoever it is for. */
static void refuse(struct smtp_session *smtp, enum smtp_reply reply)
{
    unsigned replies = smtp->is_lmtp ? smtp->transaction->recipient_count : 1;
    for (unsigned i = 0; i < replies; i++)
        smtp_say(smtp, reply);
    if (smtp_replies[reply].data[0] == '5')
        session_count_error(&smtp->session);
}

/* One line a message: what an operator is asked about. */
static void log_message(struct smtp_session *smtp, struct answer worst)
{
    const struct transaction *transaction = smtp->transaction;
    struct event event;
    struct slice line = smtp_replies[worst.reply];
    char session_id[NUMBER_HEXADECIMAL_BYTES_MAX]; /* as in the session's own line */
    size_t id_size = number_hexadecimal(session_id, smtp->session.id);
    event_begin(&event, "message", worst.reply == REPLY_OK ? "info" : "warning");
    event_text(&event, "id", slice_cstr(transaction->id));
    event_text(&event, "session", slice_of(session_id, id_size));
    if (smtp->session.user.size > 0)
        event_text(&event, "user", smtp->session.user);
    event_text(&event, "from", transaction->reverse_path);
    event_text(&event, "to", transaction->recipients[0].text);
    event_number(&event, "recipients", transaction->recipient_count);
    event_number(&event, "size", (int64_t)transaction->taken);
    if (transaction->away_count > 0)
        event_number(&event, "elsewhere", transaction->away_count);
    if (worst.line != NULL) /* a backend's own words, by which its log can be searched */
        event_text(&event, worst.reply == REPLY_OK ? "answer" : "refused", slice_cstr(worst.line));
    else if (worst.reply != REPLY_OK)
        event_text(&event, "refused", slice_first(line, line.size - 2));
    core_log(session_core(&smtp->session), &event);
}

void smtp_finish(struct smtp_session *smtp)
{
    struct counters *counters = core_counters(session_core(&smtp->session));
    unsigned accepted = 0;
    /* The message's own time is over; the store's and the reply's begins. */
    session_deadline(&smtp->session, smtp->session.service->command_ms_max);
    struct answer worst = {judge(smtp), NULL};
    if (worst.reply != REPLY_OK) {
        refuse(smtp, worst.reply);
    } else {
        accepted = deliver(smtp, &worst);
        if (accepted == 0)
            smtp_quota_give(smtp, smtp->transaction->recipient_count);
    }
    counter_add(counters, accepted > 0 ? COUNTER_SMTP_MESSAGES : COUNTER_SMTP_REFUSED, 1);
    if (accepted > 0) /* limits are on what is done without delivering mail */
        smtp->session.junk = smtp->session.errors = 0;
    log_message(smtp, worst);
    smtp_reset(smtp);
}
