/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of a message: into the mailboxes, and the reply, which is the promise that it is there
 * (S1 of store.h). SMTP gives one for all recipients, LMTP one for each (RFC 2033 4.2), in the
 * order of their RCPTs.
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

/* The worst that happened to the targets of one recipient. */
static int result_of(const struct transaction *transaction, const struct recipient *recipient)
{
    for (unsigned i = 0; i < recipient->count; i++)
        if (transaction->deliveries[recipient->first + i].result < 0)
            return transaction->deliveries[recipient->first + i].result;
    return 0;
}

static int store(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
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

/* Within what its user may submit. */
static enum smtp_reply deliver(struct smtp_session *smtp)
{
    unsigned recipients = smtp->transaction->recipient_count;
    int result = smtp_quota_take(smtp, recipients);
    if (result == -EUSERS)
        return REPLY_QUOTA;
    if (result == 0) {
        result = store(smtp);
        if (result < 0)
            smtp_quota_give(smtp, recipients);
    }
    return smtp_reply_of(result);
}

/* What can be said of the message now that it is there. */
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
    return REPLY_OK;
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

/* How many recipients have it. */
static unsigned reply_each(struct smtp_session *smtp)
{
    const struct transaction *transaction = smtp->transaction;
    unsigned accepted = 0;
    for (unsigned i = 0; i < transaction->recipient_count; i++) {
        int result = result_of(transaction, &transaction->recipients[i]);
        say(smtp, smtp_reply_of(result));
        accepted += result == 0;
    }
    return accepted;
}

/* One line a message: what an operator is asked about. */
static void log_message(struct smtp_session *smtp, enum smtp_reply reply)
{
    const struct transaction *transaction = smtp->transaction;
    struct event event;
    struct slice line = smtp_replies[reply];
    char session_id[NUMBER_HEXADECIMAL_BYTES_MAX]; /* as in the session's own line */
    size_t id_size = number_hexadecimal(session_id, smtp->session.id);
    event_begin(&event, "message", reply == REPLY_OK ? "info" : "warning");
    event_text(&event, "id", slice_cstr(transaction->id));
    event_text(&event, "session", slice_of(session_id, id_size));
    if (smtp->session.user.size > 0)
        event_text(&event, "user", smtp->session.user);
    event_text(&event, "from", transaction->reverse_path);
    event_text(&event, "to", transaction->recipients[0].text);
    event_number(&event, "recipients", transaction->recipient_count);
    event_number(&event, "size", (int64_t)transaction->taken);
    if (reply != REPLY_OK)
        event_text(&event, "refused", slice_first(line, line.size - 2));
    core_log(session_core(&smtp->session), &event);
}

void smtp_finish(struct smtp_session *smtp)
{
    struct counters *counters = core_counters(session_core(&smtp->session));
    unsigned accepted = 0;
    /* The message's own time is over; the store's and the reply's begins. */
    session_deadline(&smtp->session, smtp->session.service->command_ms_max);
    enum smtp_reply reply = judge(smtp);
    if (reply != REPLY_OK) {
        refuse(smtp, reply);
    } else {
        reply = deliver(smtp);
        if (smtp->is_lmtp) {
            accepted = reply_each(smtp);
        } else {
            say(smtp, reply);
            accepted = reply == REPLY_OK;
        }
    }
    counter_add(counters, accepted > 0 ? COUNTER_SMTP_MESSAGES : COUNTER_SMTP_REFUSED, 1);
    if (accepted > 0) /* limits are on what is done without delivering mail */
        smtp->session.junk = smtp->session.errors = 0;
    log_message(smtp, reply);
    smtp_reset(smtp);
}
