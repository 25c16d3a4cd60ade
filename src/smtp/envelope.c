/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * MAIL and RCPT: the envelope of a transaction. It lives in an arena of its own, from MAIL to
 * smtp_reset.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "smtp_private.h"

/* ---------------------------------------------------------------- MAIL */

static struct transaction *transaction_make(struct core *core, const struct mail_arguments *mail)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    if (transaction == NULL)
        return NULL;
    arena_init(&transaction->arena, TRANSACTION_BYTES_MAX);
    transaction->reverse_path = arena_copy(&transaction->arena, mail->path.text);
    transaction->envid = arena_copy(&transaction->arena, mail->envid);
    transaction->auth = arena_copy(&transaction->arena, mail->auth);
    if (transaction->reverse_path.data == NULL || transaction->envid.data == NULL ||
        transaction->auth.data == NULL) {
        arena_reset(&transaction->arena);
        free(transaction);
        return NULL;
    }
    transaction->declared = mail->size;
    transaction->body_type = mail->body;
    transaction->ret = mail->ret;
    transaction->is_utf8 = mail->is_utf8;
    transaction->requires_tls = mail->requires_tls;
    session_unique(core, transaction->id);
    return transaction;
}

static bool is_address(struct slice user, struct slice local, struct slice domain)
{
    return user.size == local.size + 1 + domain.size &&
           slice_equal_nocase(slice_first(user, local.size), local) &&
           user.data[local.size] == '@' &&
           slice_equal_nocase(slice_from(user, local.size + 1), domain);
}

/* May the session's user send with this reverse-path? */
static bool is_own_sender(const struct smtp_session *smtp, const struct smtp_path *path)
{
    const struct smtp_options *options = options_of(smtp);
    struct slice user = smtp->session.user;
    struct route_target targets[ROUTE_TARGETS_MAX];
    unsigned count = 0;
    if (path->text.size == 0 || options->sender_match == SMTP_SENDER_ANY ||
        is_address(user, path->local, path->domain))
        return true;
    if (options->sender_match == SMTP_SENDER_LOGIN)
        return false;
    enum route_answer answer =
        route_find(options->routes, path->local, path->domain, targets, &count);
    for (unsigned i = 0; i < count && (answer == ROUTE_TARGETS || answer == ROUTE_ASK); i++)
        if (targets[i].domain.size == 0 ? slice_equal(targets[i].user, user)
                                        : is_address(user, targets[i].user, targets[i].domain))
            return true; /* who has logged in need not be asked about */
    return false;
}

/* Why this MAIL is not taken; REPLY_OK: it is. */
static enum smtp_reply judge_mail(struct smtp_session *smtp, const struct mail_arguments *mail,
                                  unsigned *ret_recipients_left)
{
    if (mail->size > options_of(smtp)->message_bytes_max)
        return REPLY_TOO_BIG; /* RFC 1870 6.1 */
    if (mail->requires_tls && !session_is_secure(&smtp->session))
        return REPLY_NEEDS_TLS; /* RFC 8689 */
    if (smtp->is_submission && !is_own_sender(smtp, &mail->path))
        return REPLY_NOT_YOUR_SENDER;
    if (options_of(smtp)->fronted_count == 0) { /* else nobody may need it: see add_local */
        int state = store_state(session_core(&smtp->session));
        if (state < 0)
            return smtp_reply_of(state);
    }
    int quota = smtp_quota_left(smtp, ret_recipients_left);
    return quota == -EUSERS ? REPLY_QUOTA : smtp_reply_of(quota);
}

void smtp_mail(struct session *session, const void *arguments)
{
    const struct mail_arguments *mail = arguments;
    struct smtp_session *smtp = smtp_of(session);
    unsigned recipients_left = UINT32_MAX;
    enum smtp_reply reply = judge_mail(smtp, mail, &recipients_left);
    if (reply != REPLY_OK) {
        smtp_say(smtp, reply);
        if (reply == REPLY_NEEDS_TLS || reply == REPLY_NOT_YOUR_SENDER)
            session_count_error(session);
        return;
    }
    smtp->transaction = transaction_make(session_core(session), mail);
    if (smtp->transaction == NULL) {
        smtp_say(smtp, REPLY_NO_MEMORY);
        return;
    }
    smtp->transaction->recipients_left = recipients_left;
    session->state = STATE_MAIL;
    smtp_say(smtp, REPLY_SENDER_OK);
}

/* ---------------------------------------------------------------- RCPT */

/* Room for `more` elements of `size` bytes behind `count`; moves them to a larger array in the
 * arena (the smaller ones go with the transaction). */
static bool make_room(struct arena *arena, void **array, size_t size, unsigned count, unsigned more,
                      unsigned *room)
{
    if (count + more <= *room)
        return true;
    unsigned wanted = *room * 2 > count + more ? *room * 2 : count + more + 3;
    void *larger = arena_zalloc(arena, wanted, size);
    if (larger == NULL)
        return false;
    if (count > 0)
        memcpy(larger, *array, count * size);
    *array = larger;
    *room = wanted;
    return true;
}

bool smtp_delivery_room(struct transaction *transaction, unsigned count)
{
    void *deliveries = transaction->deliveries;
    if (!make_room(&transaction->arena, &deliveries, sizeof(struct delivery), count, 1,
                   &transaction->delivery_room))
        return false;
    transaction->deliveries = deliveries;
    return true;
}

bool smtp_away_room(struct transaction *transaction, unsigned count)
{
    void *away = transaction->away;
    if (!make_room(&transaction->arena, &away, sizeof(struct relay_recipient), count, 1,
                   &transaction->away_room))
        return false;
    transaction->away = away;
    return true;
}

static bool recipient_add(struct transaction *transaction, const struct recipient *recipient)
{
    void *recipients = transaction->recipients;
    if (!make_room(&transaction->arena, &recipients, sizeof *recipient,
                   transaction->recipient_count, 1, &transaction->recipient_room))
        return false;
    transaction->recipients = recipients;
    transaction->recipients[transaction->recipient_count++] = *recipient;
    transaction->delivery_count += recipient->count;
    transaction->away_count += recipient->away_count;
    return true;
}

/* S28: past the limit 452; past twice the limit nobody is listening to that. */
static void refuse_many(struct smtp_session *smtp)
{
    if (++smtp->transaction->refused <= options_of(smtp)->recipients_max) {
        smtp_say(smtp, REPLY_RECIPIENTS_MANY);
        return;
    }
    smtp_say(smtp, REPLY_BYE_RECIPIENTS);
    session_end(&smtp->session, SESSION_END_PROTOCOL);
}

static void refuse_recipient(struct smtp_session *smtp, enum smtp_reply reply, const char *line)
{
    counter_add(core_counters(session_core(&smtp->session)), COUNTER_SMTP_RECIPIENTS_REFUSED, 1);
    if (line != NULL)
        smtp_say_line(smtp, line);
    else
        smtp_say(smtp, reply);
    session_count_error(&smtp->session);
}

/* Before anybody is asked. */
static enum smtp_reply judge_rcpt(const struct smtp_session *smtp,
                                  const struct rcpt_arguments *rcpt)
{
    const struct transaction *transaction = smtp->transaction;
    if (!rcpt->path.is_ascii && !transaction->is_utf8)
        return REPLY_NOT_ASCII; /* RFC 6531 3.5 */
    if (transaction->recipient_count >= options_of(smtp)->recipients_max ||
        (!smtp->is_lmtp && transaction->away_count > 0)) /* M4 */
        return REPLY_RECIPIENTS_MANY;
    if (transaction->recipient_count >= transaction->recipients_left)
        return REPLY_QUOTA;
    return REPLY_OK;
}

void smtp_rcpt(struct session *session, const void *arguments)
{
    const struct rcpt_arguments *rcpt = arguments;
    struct smtp_session *smtp = smtp_of(session);
    struct recipient recipient;
    const char *line = NULL;
    enum smtp_reply reply = judge_rcpt(smtp, rcpt);
    if (reply == REPLY_OK)
        reply = smtp_find(smtp, rcpt, &recipient, &line);
    if (reply == REPLY_OK && !recipient_add(smtp->transaction, &recipient))
        reply = REPLY_NO_MEMORY;
    switch (reply) {
    case REPLY_OK:
        session->state = STATE_RCPT;
        smtp_say(smtp, REPLY_RECIPIENT_OK);
        break;
    case REPLY_RECIPIENTS_MANY:
        refuse_many(smtp);
        break;
    case REPLY_NO_BACKEND:
        smtp_say_line(smtp, line);
        break;
    case REPLY_QUOTA: /* these are no fault of the client's */
    case REPLY_NO_DIRECTORY:
    case REPLY_NO_STORE:
    case REPLY_NO_SPACE:
    case REPLY_BUSY:
    case REPLY_NO_MEMORY:
        smtp_say(smtp, reply);
        break;
    default:
        refuse_recipient(smtp, reply, line);
        break;
    }
}

/* ---------------------------------------------------------------- what is kept of it */

static void put(struct text *text, struct slice key, struct slice value)
{
    if (value.size == 0)
        return;
    text_append(text, key);
    text_char(text, ' ');
    text_append(text, value);
    text_char(text, '\n');
}

static void put_notify(struct text *text, uint8_t notify)
{
    static const struct slice names[] = {
        {" never", 6}, {" success", 8}, {" failure", 8}, {" delay", 6}};
    if (notify == 0)
        return;
    text_append(text, SLICE("notify"));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (notify & 1u << i)
            text_append(text, names[i]);
    text_char(text, '\n');
}

struct slice smtp_envelope(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
    struct text text;
    char peer[48];
    uint16_t port;
    stream_peer(&smtp->session.stream, peer, &port);
    text_init(&text, &transaction->arena);
    put(&text, SLICE("id"), slice_cstr(transaction->id));
    text_append(&text, SLICE("from <"));
    text_append(&text, transaction->reverse_path);
    text_append(&text, SLICE(">\n"));
    put(&text, SLICE("protocol"), slice_cstr(smtp->session.service->protocol->name));
    put(&text, SLICE("peer"), slice_cstr(peer));
    put(&text, SLICE("hello"), smtp->hello);
    if (session_is_secure(&smtp->session)) {
        struct tls_info info;
        stream_tls_info(&smtp->session.stream, &info);
        put(&text, SLICE("tls"), slice_cstr(info.version));
    }
    put(&text, SLICE("user"), smtp->session.user);
    if (transaction->auth.size > 0) /* RFC 4954 5: of nobody whom we know, it is worth nothing */
        put(&text, SLICE("auth"), smtp->session.user.size > 0 ? transaction->auth : SLICE("<>"));
    if (transaction->requires_tls)
        put(&text, SLICE("requiretls"), SLICE("yes"));
    put(&text, SLICE("envid"), transaction->envid);
    if (transaction->ret != RETURN_UNSAID)
        put(&text, SLICE("ret"), transaction->ret == RETURN_FULL ? SLICE("full") : SLICE("hdrs"));
    for (unsigned i = 0; i < transaction->recipient_count; i++) {
        const struct recipient *recipient = &transaction->recipients[i];
        if (recipient->notify == 0 && recipient->orcpt.size == 0)
            continue;
        put(&text, SLICE("to"), recipient->text);
        put(&text, SLICE("orcpt"), recipient->orcpt);
        put_notify(&text, recipient->notify);
    }
    return text.failed ? (struct slice){0} : text_slice(&text);
}
