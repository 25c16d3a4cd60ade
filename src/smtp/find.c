/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whom an address of RCPT leads to: the routes say, and where they say "ask", a directory is asked
 * (auth_lookup, which caches), or, where the backends alone know their users, one of these
 * (relay_verify, which caches too).
 *
 *   route_find ─▶ users of the table ─────────────────────────────▶ a delivery
 *       └ ask ─▶ each: known ─▶ a delivery, or in a domain with a pool a row of those elsewhere
 *                      unknown ─▶ dropped; not available ─▶ 451
 *                    └ nobody is left ─▶ route_find_without: catch-all, asked about once more
 *
 * Who cannot answer is never "no such user" (directory.h, Y3; relay.h, R2). What is found lives in
 * the transaction's arena, in rows behind those that count.
 */
#include <stdlib.h>

#include "smtp_private.h"

struct search {
    struct smtp_session *smtp;
    const struct rcpt_arguments *rcpt;
    struct recipient *recipient;
    const char *line; /* what a backend said */
};

/* ---------------------------------------------------------------- local users */

static enum smtp_reply add_local(struct search *search, struct slice user, struct slice mailbox)
{
    struct transaction *transaction = search->smtp->transaction;
    struct recipient *recipient = search->recipient;
    unsigned index = recipient->first + recipient->count;
    if (options_of(search->smtp)->fronted_count > 0) {
        int state = store_state(session_core(&search->smtp->session));
        if (state < 0)
            return smtp_reply_of(state);
    }
    if (slice_equal(mailbox, SLICE("INBOX")))
        mailbox = SLICE("INBOX");
    else /* borrowed from the command */
        mailbox = arena_copy(&transaction->arena, mailbox);
    if (mailbox.data == NULL || !smtp_delivery_room(transaction, index))
        return REPLY_NO_MEMORY;
    transaction->deliveries[index] = (struct delivery){.user = user, .mailbox = mailbox};
    recipient->count++;
    return REPLY_OK;
}

/* ---------------------------------------------------------------- users elsewhere */

/* RFC 5321 4.1.2: Dot-string. */
static bool is_dot_string(struct slice local)
{
    for (size_t i = 0; i < local.size; i++) {
        unsigned char c = (unsigned char)ascii_lower(local.data[i]);
        bool is_dot = c == '.' && i > 0 && i + 1 < local.size && local.data[i - 1] != '.';
        if (!is_dot && c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL))
            return false;
    }
    return local.size > 0;
}

/* The target as RCPT is to name it, in quotes only where it needs them (RFC 5321 4.1.2). */
static struct slice write_address(struct arena *arena, const struct route_target *target)
{
    struct text text;
    bool is_quoted = !is_dot_string(target->named);
    text_init(&text, arena);
    if (is_quoted)
        text_char(&text, '"');
    for (size_t i = 0; i < target->named.size; i++) {
        if (is_quoted && (target->named.data[i] == '"' || target->named.data[i] == '\\'))
            text_char(&text, '\\');
        text_char(&text, target->named.data[i]);
    }
    text_append(&text, is_quoted ? SLICE("\"@") : SLICE("@"));
    text_append(&text, target->domain);
    return text.failed ? (struct slice){0} : text_slice(&text);
}

/* local@domain in lower case, as log-ins have it. */
static struct slice write_user(struct arena *arena, const struct route_target *target)
{
    struct slice name = arena_printf(arena, "%.*s@%.*s", (int)target->user.size, target->user.data,
                                     (int)target->domain.size, target->domain.data);
    for (size_t i = 0; i < name.size; i++)
        ((char *)(uintptr_t)name.data)[i] = ascii_lower(name.data[i]);
    return name;
}

static enum smtp_reply verify(struct search *search, struct relay_recipient *row, bool is_named)
{
    smtp_verify(search->smtp, row);
    if (row->result == 0)
        return REPLY_OK;
    search->line = row->result == -EAGAIN || is_named ? row->reply : NULL;
    return row->result == -EAGAIN ? REPLY_NO_BACKEND : REPLY_USER_UNKNOWN;
}

static enum smtp_reply add_away(struct search *search, const struct route_target *target,
                                const struct relay_recipient *found)
{
    struct transaction *transaction = search->smtp->transaction;
    struct recipient *recipient = search->recipient;
    const struct rcpt_arguments *rcpt = search->rcpt;
    unsigned index = recipient->away_first + recipient->away_count;
    if (!search->smtp->is_lmtp && transaction->recipient_count > 0) /* M4 */
        return REPLY_RECIPIENTS_MANY;
    if (!smtp_away_room(transaction, index))
        return REPLY_NO_MEMORY;
    struct relay_recipient *row = &transaction->away[index];
    *row = *found;
    row->address = write_address(&transaction->arena, target);
    row->orcpt = recipient->orcpt;
    row->notify = smtp_notify_text(rcpt->notify);
    if (row->address.data == NULL)
        return REPLY_NO_MEMORY;
    enum smtp_reply reply = REPLY_OK;
    if (backend_pool_options_of(row->pool)->judges) /* nobody here knows his users */
        reply = verify(search, row, target->named.data == rcpt->path.local.data);
    recipient->away_count += reply == REPLY_OK;
    return reply;
}

/* ---------------------------------------------------------------- each target */

/* Attributes, but those that a log-in alone needs: no secret is kept with a message. */
static struct slice copy_attributes(struct arena *arena, struct slice attributes)
{
    struct text text;
    text_init(&text, arena);
    while (attributes.size > 0) {
        struct slice line = slice_first(attributes, slice_find(attributes, '\n') + 1);
        attributes = slice_from(attributes, line.size);
        if (!slice_starts_nocase(line, SLICE("pass=")) &&
            !slice_starts_nocase(line, SLICE("master=")))
            text_append(&text, line);
    }
    return text.failed ? (struct slice){0} : slice_of(text.size > 0 ? text.data : "", text.size);
}

/* What a directory says of him: his canonical name, and where he is. */
static enum smtp_reply ask_directory(struct search *search, struct slice name,
                                     struct relay_recipient *ret_found)
{
    struct core *core = session_core(&search->smtp->session);
    struct arena *arena = &search->smtp->transaction->arena;
    struct auth_result result;
    struct auth_proof proof = {.memory_bytes = AUTH_PROOF_BYTES_MAX};
    bool is_away = ret_found->pool != NULL;
    if (is_away && (proof.memory = malloc(AUTH_PROOF_BYTES_MAX)) == NULL)
        return REPLY_NO_MEMORY;
    int error = auth_lookup_proof(core, name, &result, is_away ? &proof : NULL);
    if (error == 0) {
        ret_found->user = arena_copy(arena, result.user);
        ret_found->attributes = copy_attributes(arena, proof.attributes);
    }
    if (is_away)
        explicit_bzero(proof.memory, AUTH_PROOF_BYTES_MAX);
    free(proof.memory);
    if (error < 0)
        return error == -ENOENT   ? REPLY_USER_UNKNOWN
               : error == -EAGAIN ? REPLY_NO_DIRECTORY
                                  : REPLY_NO_MEMORY;
    return ret_found->user.data == NULL || ret_found->attributes.data == NULL ? REPLY_NO_MEMORY
                                                                              : REPLY_OK;
}

static enum smtp_reply take(struct search *search, const struct route_target *target)
{
    const struct smtp_options *options = options_of(search->smtp);
    struct relay_recipient found = {.result = 0};
    enum smtp_reply reply = REPLY_OK;
    if (target->domain.size == 0)
        return add_local(search, target->user, target->mailbox);
    found.pool = proxy_domain_pool(options->fronted, options->fronted_count, target->domain);
    found.user = write_user(&search->smtp->transaction->arena, target);
    if (found.user.data == NULL)
        return REPLY_NO_MEMORY;
    if (found.pool == NULL || !backend_pool_options_of(found.pool)->judges)
        reply = ask_directory(search, found.user, &found);
    if (reply != REPLY_OK)
        return reply;
    return found.pool == NULL ? add_local(search, found.user, target->mailbox)
                              : add_away(search, target, &found);
}

/* ---------------------------------------------------------------- all of them */

static enum smtp_reply judge(struct search *search, enum route_answer answer,
                             const struct route_target *targets, unsigned count)
{
    struct recipient *recipient = search->recipient;
    if (answer == ROUTE_UNKNOWN_USER)
        return REPLY_USER_UNKNOWN;
    if (answer == ROUTE_NOT_LOCAL)
        return search->smtp->is_submission ? REPLY_NO_RELAY_YET : REPLY_NO_RELAY;
    for (unsigned i = 0; i < count; i++) {
        enum smtp_reply reply = take(search, &targets[i]);
        if (reply != REPLY_OK && reply != REPLY_USER_UNKNOWN)
            return reply;
    }
    return recipient->count + recipient->away_count > 0 ? REPLY_OK : REPLY_USER_UNKNOWN;
}

enum smtp_reply smtp_find(struct smtp_session *smtp, const struct rcpt_arguments *rcpt,
                          struct recipient *ret_recipient, const char **ret_line)
{
    const struct route_table *routes = options_of(smtp)->routes;
    struct transaction *transaction = smtp->transaction;
    struct route_target targets[ROUTE_TARGETS_MAX];
    struct search search = {.smtp = smtp, .rcpt = rcpt, .recipient = ret_recipient};
    unsigned count = 0;
    *ret_recipient = (struct recipient){
        .text = arena_copy(&transaction->arena, rcpt->path.text),
        .orcpt = arena_copy(&transaction->arena, rcpt->orcpt),
        .notify = rcpt->notify,
        .first = transaction->delivery_count,
        .away_first = transaction->away_count,
    };
    if (ret_recipient->text.data == NULL || ret_recipient->orcpt.data == NULL)
        return REPLY_NO_MEMORY;
    enum route_answer answer =
        route_find(routes, rcpt->path.local, rcpt->path.domain, targets, &count);
    enum smtp_reply reply = judge(&search, answer, targets, count);
    if (answer == ROUTE_ASK && reply == REPLY_USER_UNKNOWN) {
        answer = route_find_without(routes, rcpt->path.local, rcpt->path.domain, targets, &count);
        if (answer != ROUTE_UNKNOWN_USER)
            reply = judge(&search, answer, targets, count);
    }
    *ret_line = search.line;
    return reply;
}
