/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Recipients whose mail lies with backends (relay.h): what of session and transaction these are
 * told, and what of their answers the client is.
 */
#include "smtp_private.h"

void smtp_say_line(struct smtp_session *smtp, const char *line)
{
    struct stream *stream = &smtp->session.stream;
    /* It is the backend that goes away, not we. */
    if (slice_starts_nocase(slice_cstr(line), SLICE("421")))
        stream_printf(stream, "451%s\r\n", line + 3);
    else
        stream_printf(stream, "%s\r\n", line);
}

void smtp_verify(struct smtp_session *smtp, struct relay_recipient *row)
{
    struct session *session = &smtp->session;
    struct relay_sender sender = {.gone = proxy_is_gone, .argument = session};
    char id[PROXY_ID_BYTES];
    proxy_describe(session, id, &sender.client);
    session_deadline(session, session->service->command_ms_max + options_of(smtp)->verify_ms_max);
    relay_verify(session_core(session), &sender, row);
}

struct slice smtp_notify_text(uint8_t notify)
{
    static const struct slice texts[] = {
        [NOTIFY_NEVER] = SLICE("NEVER"),
        [NOTIFY_SUCCESS] = SLICE("SUCCESS"),
        [NOTIFY_FAILURE] = SLICE("FAILURE"),
        [NOTIFY_SUCCESS | NOTIFY_FAILURE] = SLICE("SUCCESS,FAILURE"),
        [NOTIFY_DELAY] = SLICE("DELAY"),
        [NOTIFY_SUCCESS | NOTIFY_DELAY] = SLICE("SUCCESS,DELAY"),
        [NOTIFY_FAILURE | NOTIFY_DELAY] = SLICE("FAILURE,DELAY"),
        [NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY] = SLICE("SUCCESS,FAILURE,DELAY"),
    };
    return notify < sizeof texts / sizeof *texts ? texts[notify] : (struct slice){0};
}

/* An alias may lead from an ASCII address to one that is none. */
static bool needs_utf8(const struct transaction *transaction)
{
    bool is_ascii = !transaction->is_utf8;
    for (unsigned i = 0; i < transaction->away_count && is_ascii; i++)
        for (size_t j = 0; j < transaction->away[i].address.size && is_ascii; j++)
            is_ascii = (unsigned char)transaction->away[i].address.data[j] < 0x80;
    return !is_ascii;
}

void smtp_relay(struct smtp_session *smtp)
{
    static const enum relay_body bodies[] = {[BODY_7BIT] = RELAY_7BIT,
                                             [BODY_8BITMIME] = RELAY_8BITMIME,
                                             [BODY_BINARYMIME] = RELAY_BINARYMIME};
    static const struct slice rets[] = {[RETURN_UNSAID] = SLICE(""),
                                        [RETURN_FULL] = SLICE("FULL"),
                                        [RETURN_HEADERS] = SLICE("HDRS")};
    struct session *session = &smtp->session;
    struct transaction *transaction = smtp->transaction;
    struct relay_sender sender = {.gone = proxy_is_gone, .argument = session};
    char id[PROXY_ID_BYTES];
    struct relay_message message = {
        .from = transaction->reverse_path,
        /* Return-Path is written where mail is delivered (RFC 5321 4.4) */
        .bytes = slice_from(message_body_bytes(transaction->body), transaction->return_path_size),
        .body = bodies[transaction->body_type],
        .is_utf8 = needs_utf8(transaction),
        .requires_tls = transaction->requires_tls,
        .ret = rets[transaction->ret],
        .envid = transaction->envid,
    };
    proxy_describe(session, id, &sender.client);
    session_deadline(session, session->service->command_ms_max + options_of(smtp)->relay_ms_max);
    relay_deliver(session_core(session), &sender, &message, transaction->away,
                  transaction->away_count);
}
