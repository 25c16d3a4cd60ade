/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP and LMTP servers: command tables, and the commands that are not about a message. LMTP
 * is SMTP with LHLO for a greeting and a reply for each recipient (RFC 2033); they share all rows
 * but the hello.
 *
 * Owns the session's transaction and the client's name. Fails by replies only.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "smtp_private.h"

/* ---------------------------------------------------------------- transactions end here */

void smtp_reset(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
    if (transaction != NULL) {
        if (transaction->body != NULL)
            message_body_give(transaction->body);
        arena_reset(&transaction->arena);
        free(transaction);
        smtp->transaction = NULL;
    }
    if (smtp->session.state != STATE_START)
        smtp->session.state = STATE_READY;
}

/* ---------------------------------------------------------------- hello */

static bool hello_keep(struct smtp_session *smtp)
{
    struct slice name = smtp->session.line.arguments;
    while (name.size > 0 && name.data[name.size - 1] == ' ')
        name.size--;
    char *copy = malloc(name.size);
    if (copy == NULL)
        return false;
    memcpy(copy, name.data, name.size);
    free((void *)(uintptr_t)smtp->hello.data);
    smtp->hello = slice_of(copy, name.size);
    return true;
}

static bool hello(struct smtp_session *smtp, bool is_extended)
{
    if (!hello_keep(smtp)) {
        smtp_say(smtp, REPLY_NO_MEMORY);
        return false;
    }
    smtp->session.state = STATE_READY;
    smtp->is_extended = is_extended;
    smtp_reset(smtp); /* RFC 5321 4.1.4 */
    return true;
}

static void run_helo(struct session *session, const void *arguments)
{
    (void)arguments;
    struct slice name = session->service->host_name;
    if (hello(smtp_of(session), false))
        stream_printf(&session->stream, "250 %.*s\r\n", (int)name.size, name.data);
}

/* Also LHLO. Keywords: RFC 2920, 1870, 6152, 3030, 2034, 6531, 3461, 9422. */
static void run_ehlo(struct session *session, const void *arguments)
{
    (void)arguments;
    struct smtp_session *smtp = smtp_of(session);
    const struct smtp_options *options = options_of(smtp);
    struct slice name = session->service->host_name;
    if (!hello(smtp, true))
        return;
    stream_printf(&session->stream,
                  "250-%.*s\r\n"
                  "250-PIPELINING\r\n"
                  "250-SIZE %" PRIu64 "\r\n"
                  "250-8BITMIME\r\n"
                  "250-BINARYMIME\r\n"
                  "250-CHUNKING\r\n"
                  "250-ENHANCEDSTATUSCODES\r\n"
                  "250-SMTPUTF8\r\n"
                  "250-DSN\r\n"
                  "250 LIMITS RCPTMAX=%u\r\n",
                  (int)name.size, name.data, options->message_bytes_max, options->recipients_max);
}

/* ---------------------------------------------------------------- small commands */

static void run_rset(struct session *session, const void *arguments)
{
    (void)arguments;
    smtp_reset(smtp_of(session));
    smtp_say(smtp_of(session), REPLY_OK);
}

static void run_noop(struct session *session, const void *arguments)
{
    (void)arguments;
    smtp_say(smtp_of(session), REPLY_OK);
}

static void run_vrfy(struct session *session, const void *arguments)
{
    (void)arguments;
    smtp_say(smtp_of(session), REPLY_VERIFY_NOT); /* RFC 5321 3.5.3 */
}

static void run_expn(struct session *session, const void *arguments)
{
    (void)arguments;
    smtp_say(smtp_of(session), REPLY_NOT_IMPLEMENTED);
}

static void run_help(struct session *session, const void *arguments)
{
    (void)arguments;
    const struct session_protocol *protocol = session->service->protocol;
    for (unsigned i = 0; i < protocol->command_count; i++)
        stream_printf(&session->stream, "214-2.0.0 %s%s%s\r\n", protocol->commands[i].name,
                      *protocol->commands[i].help ? " " : "", protocol->commands[i].help);
    stream_write(&session->stream, SLICE("214 2.0.0 End of HELP\r\n"));
}

static void run_quit(struct session *session, const void *arguments)
{
    (void)arguments;
    smtp_say(smtp_of(session), REPLY_BYE);
    session_end(session, SESSION_END_QUIT);
}

/* ---------------------------------------------------------------- the tables */

/* SMTP has all rows but the last, LMTP all but the first two. STARTTLS and AUTH belong before QUIT,
 * once there is a TLS stream and submission. BDAT is legal in all states because its bytes must be
 * read in all of them (M3). */
static const struct command commands[] = {
    {"HELO", STATE_ANY, COMMAND_JUNK, smtp_parse_hello, 0, run_helo, "domain"},
    {"EHLO", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_hello, 0, run_ehlo, "domain"},
    {"MAIL", STATE_READY, 0, smtp_parse_mail, sizeof(struct mail_arguments), smtp_mail,
     "FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME|BINARYMIME] [SMTPUTF8] [RET=FULL|HDRS] "
     "[ENVID=id]"},
    {"RCPT", STATE_MAIL | STATE_RCPT, 0, smtp_parse_rcpt, sizeof(struct rcpt_arguments), smtp_rcpt,
     "TO:<address> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;address]"},
    {"DATA", STATE_RCPT, COMMAND_ENDS_GROUP, smtp_parse_none, 0, smtp_data, ""},
    {"BDAT", STATE_ANY, SMTP_CARRIES_DATA, smtp_parse_bdat, sizeof(struct bdat_arguments),
     smtp_bdat, "size [LAST]"},
    {"RSET", STATE_ANY, COMMAND_JUNK, smtp_parse_none, 0, run_rset, ""},
    {"NOOP", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_text, 0, run_noop,
     "[anything]"},
    {"VRFY", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_word, 0, run_vrfy,
     "name [SMTPUTF8]"},
    {"EXPN", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_word, 0, run_expn,
     "name (not implemented)"},
    {"HELP", STATE_ANY, COMMAND_JUNK, smtp_parse_text, 0, run_help, "[anything]"},
    {"QUIT", STATE_ANY, COMMAND_ENDS_GROUP, smtp_parse_none, 0, run_quit, ""},
    {"LHLO", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_hello, 0, run_ehlo, "domain"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands, HELLO_COUNT = 2 };

/* ---------------------------------------------------------------- the loop's calls */

static void open_session(struct session *session)
{
    struct smtp_session *smtp = smtp_of(session);
    struct slice name = session->service->host_name;
    smtp->is_lmtp = session->service->protocol == &lmtp_protocol;
    if (options_of(smtp)->forbid_early_talk) { /* S21 */
        fiber_sleep(session_core(session), (uint64_t)EARLY_MS * 1000000);
        if (stream_unread(&session->stream) > 0) {
            session_end(session, SESSION_END_EARLY);
            return;
        }
    }
    stream_printf(&session->stream, "220 %.*s %s Ringpost\r\n", (int)name.size, name.data,
                  smtp->is_lmtp ? "LMTP" : "ESMTP");
}

static enum smtp_reply out_of_order(uint32_t state, const struct command *command)
{
    bool is_mail = command->run == smtp_mail;
    switch (state) {
    case STATE_START:
        return REPLY_HELLO_FIRST;
    case STATE_READY:
        return REPLY_MAIL_FIRST;
    case STATE_MAIL:
        return is_mail ? REPLY_MAIL_TWICE : REPLY_NO_RECIPIENTS;
    case STATE_RCPT:
        return REPLY_MAIL_TWICE;
    default:
        return is_mail ? REPLY_MAIL_TWICE : REPLY_NOT_AFTER_BDAT;
    }
}

static void refuse(struct session *session, const struct command *command,
                   enum session_refusal refusal, const char *why)
{
    struct smtp_session *smtp = smtp_of(session);
    enum smtp_reply reply = REPLY_UNKNOWN;
    switch (refusal) {
    case SESSION_REFUSE_UNKNOWN:
        break;
    case SESSION_REFUSE_STATE:
        reply = out_of_order(session->state, command);
        break;
    case SESSION_REFUSE_TLS:
        reply = REPLY_NEEDS_TLS;
        break;
    case SESSION_REFUSE_TOO_LONG: /* S22 */
        reply = REPLY_TOO_LONG;
        session_end(session, SESSION_END_PROTOCOL);
        break;
    case SESSION_REFUSE_BARE:
        reply = REPLY_BARE;
        break;
    case SESSION_REFUSE_MEMORY:
        reply = REPLY_NO_MEMORY;
        break;
    case SESSION_REFUSE_SYNTAX:
        stream_write(&session->stream, slice_cstr(why));
        break;
    }
    if (refusal != SESSION_REFUSE_SYNTAX)
        smtp_say(smtp, reply);
    if (command != NULL && (command->flags & SMTP_CARRIES_DATA)) /* M3 */
        session_end(session, SESSION_END_PROTOCOL);
}

static void goodbye(struct session *session, enum session_end end)
{
    static const uint8_t rows[SESSION_END_COUNT] = {
        [SESSION_END_IDLE] = REPLY_BYE_LATE,           [SESSION_END_COMMAND_LATE] = REPLY_BYE_LATE,
        [SESSION_END_LOGIN_LATE] = REPLY_BYE_LATE,     [SESSION_END_READER_SLOW] = REPLY_BYE_LATE,
        [SESSION_END_DRAIN] = REPLY_BYE_DRAIN,         [SESSION_END_ERRORS] = REPLY_BYE_ERRORS,
        [SESSION_END_JUNK] = REPLY_BYE_JUNK,           [SESSION_END_EARLY] = REPLY_BYE_EARLY,
        [SESSION_END_FORBIDDEN] = REPLY_BYE_FORBIDDEN, [SESSION_END_MEMORY] = REPLY_BYE_MEMORY,
        [SESSION_END_STORE] = REPLY_BYE_STORE,         [SESSION_END_KICKED] = REPLY_BYE_KICKED,
        [SESSION_END_MOVE_FAILED] = REPLY_BYE_STORE,
    };
    if (rows[end] != REPLY_OK) /* PROTOCOL: what was wrong has been said */
        smtp_say(smtp_of(session), rows[end]);
}

static void closed(struct session *session)
{
    struct smtp_session *smtp = smtp_of(session);
    smtp_reset(smtp);
    free((void *)(uintptr_t)smtp->hello.data);
    smtp->hello = SLICE("");
}

/* What the two have in common. */
#define REFUSAL "421 4.7.0 Too many connections, try again later\r\n"
#define COMMON                                                                                     \
    .session_bytes = sizeof(struct smtp_session), .line_bytes_max = LINE_BYTES_MAX,                \
    .command_bytes_max = COMMAND_BYTES_MAX, .state_first = STATE_START, .without_login = true,     \
    .open = open_session, .refuse = refuse, .goodbye = goodbye, .closed = closed,                  \
    .refusal = {REFUSAL, sizeof REFUSAL - 1}

const struct session_protocol smtp_protocol = {
    .id = PROTOCOL_SMTP,
    .name = "smtp",
    .commands = commands,
    .command_count = COMMAND_COUNT - 1,
    COMMON,
};

const struct session_protocol lmtp_protocol = {
    .id = PROTOCOL_LMTP,
    .name = "lmtp",
    .commands = commands + HELLO_COUNT,
    .command_count = COMMAND_COUNT - HELLO_COUNT,
    COMMON,
};
