/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP, submission and LMTP servers: command tables, and the commands that are not about a
 * message. Submission has SMTP's rows, and nothing goes before AUTH (RFC 6409 4.3). LMTP is SMTP
 * with LHLO for a greeting and a reply for each recipient (RFC 2033); it has neither TLS nor users.
 *
 * Owns the session's transaction and the client's names. Fails by replies only.
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
    if (smtp->session.state != STATE_START) {
        bool is_locked = smtp->is_submission && smtp->session.user.size == 0;
        smtp->session.state = is_locked ? STATE_LOCKED : STATE_READY;
    }
}

/* ---------------------------------------------------------------- hello */

bool smtp_name_keep(struct slice *name, struct slice from)
{
    char *copy = malloc(from.size + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, from.data, from.size);
    free((void *)(uintptr_t)name->data);
    *name = slice_of(copy, from.size);
    return true;
}

static bool hello_keep(struct smtp_session *smtp)
{
    struct slice name = smtp->session.line.arguments;
    while (name.size > 0 && name.data[name.size - 1] == ' ')
        name.size--;
    if (!smtp_name_keep(&smtp->hello, name))
        return false;
    smtp->session.hello = smtp->hello; /* directories may be told */
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

/* Keywords that are not for everybody and always: RFC 3207, 4954, 8689, XCLIENT as Postfix has it.
 * The size. */
static size_t extras(struct smtp_session *smtp, char text[EXTRAS_BYTES_MAX])
{
    size_t size = 0;
    if (smtp_takes_auth(smtp))
        size = smtp_auth_offer(smtp, text);
    const struct {
        bool is_offered;
        struct slice line;
    } rows[] = {
        {session_offers_tls(&smtp->session), SLICE("250-STARTTLS\r\n")},
        {session_is_secure(&smtp->session), SLICE("250-REQUIRETLS\r\n")},
        {smtp_may_xclient(smtp), SLICE("250-" XCLIENT_OFFER "\r\n")},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].is_offered)
            continue;
        memcpy(text + size, rows[i].line.data, rows[i].line.size);
        size += rows[i].line.size;
    }
    return size;
}

/* Also LHLO. Keywords: RFC 2920, 1870, 6152, 3030, 2034, 6531, 3461, 9422. */
static void run_ehlo(struct session *session, const void *arguments)
{
    (void)arguments;
    struct smtp_session *smtp = smtp_of(session);
    const struct smtp_options *options = options_of(smtp);
    struct slice name = session->service->host_name;
    char more[EXTRAS_BYTES_MAX];
    if (!hello(smtp, true))
        return;
    size_t more_size = extras(smtp, more);
    struct text front;
    text_init(&front, &session->arena);
    if (smtp_front_keywords(smtp, &front)) {
        struct slice keywords = text_slice(&front);
        stream_printf(&session->stream, "250-%.*s\r\n%.*s%.*s250 HELP\r\n", (int)name.size,
                      name.data, (int)keywords.size, keywords.data, (int)more_size, more);
        return;
    }
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
                  "%.*s"
                  "250 LIMITS RCPTMAX=%u\r\n",
                  (int)name.size, name.data, options->message_bytes_max, (int)more_size, more,
                  options->recipients_max);
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

/* SMTP and submission have all rows but the last, LMTP all but the first five. BDAT is legal in all
 * states because its bytes must be read in all of them (M3). */
static const struct command commands[] = {
    {"STARTTLS", STATE_START | STATE_READY | STATE_LOCKED, COMMAND_JUNK | COMMAND_ENDS_GROUP,
     smtp_parse_none, 0, smtp_starttls, ""},
    {"AUTH", STATE_READY | STATE_LOCKED, COMMAND_WIPED | COMMAND_ENDS_GROUP, smtp_parse_auth,
     sizeof(struct auth_arguments), smtp_auth, "mechanism [initial-response]"},
    {"XCLIENT", STATE_START | STATE_READY | STATE_LOCKED, COMMAND_JUNK | COMMAND_ENDS_GROUP,
     smtp_parse_xclient, sizeof(struct xclient_arguments), smtp_xclient, "attribute=value ..."},
    {"HELO", STATE_ANY, COMMAND_JUNK, smtp_parse_hello, 0, run_helo, "domain"},
    {"EHLO", STATE_ANY, COMMAND_JUNK | COMMAND_ENDS_GROUP, smtp_parse_hello, 0, run_ehlo, "domain"},
    {"MAIL", STATE_READY, 0, smtp_parse_mail, sizeof(struct mail_arguments), smtp_mail,
     "FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME|BINARYMIME] [SMTPUTF8] [RET=FULL|HDRS] "
     "[ENVID=id] [AUTH=address] [REQUIRETLS]"},
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
enum { COMMAND_COUNT = sizeof commands / sizeof *commands, NOT_LMTP_COUNT = 5 };

/* ---------------------------------------------------------------- the loop's calls */

static void begin_session(struct session *session)
{
    struct smtp_session *smtp = smtp_of(session);
    smtp->is_lmtp = session->service->protocol == &lmtp_protocol;
    smtp->is_submission = session->service->protocol == &submission_protocol;
}

void smtp_say_greeting(struct smtp_session *smtp)
{
    struct slice name = smtp->session.service->host_name;
    stream_printf(&smtp->session.stream, "220 %.*s %s Ringpost\r\n", (int)name.size, name.data,
                  smtp->is_lmtp ? "LMTP" : "ESMTP");
}

static void open_session(struct session *session)
{
    const struct smtp_options *options = session->service->options;
    if (options->greeting_ms > 0)
        fiber_sleep(session_core(session), options->greeting_ms * 1000000);
    if (options->forbid_early_talk && stream_unread(&session->stream) > 0) /* S21 */
        session_end(session, SESSION_END_EARLY);
    else
        smtp_say_greeting(smtp_of(session));
}

/* A command whose place is not here. */
static enum smtp_reply out_of_order(uint32_t state, const struct command *command)
{
    bool is_outside = (command->states & (STATE_MAIL | STATE_RCPT | STATE_CHUNKS)) == 0;
    switch (state) {
    case STATE_START:
        return REPLY_HELLO_FIRST;
    case STATE_LOCKED:
        return REPLY_AUTH_FIRST;
    case STATE_READY:
        return REPLY_MAIL_FIRST;
    case STATE_MAIL:
        return is_outside ? REPLY_MAIL_TWICE : REPLY_NO_RECIPIENTS;
    case STATE_RCPT:
        return REPLY_MAIL_TWICE;
    default:
        return is_outside ? REPLY_MAIL_TWICE : REPLY_NOT_AFTER_BDAT;
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
        reply = REPLY_AUTH_NEEDS_TLS;
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
        [SESSION_END_IDLE] = REPLY_BYE_LATE,
        [SESSION_END_COMMAND_LATE] = REPLY_BYE_LATE,
        [SESSION_END_LOGIN_LATE] = REPLY_BYE_LATE,
        [SESSION_END_READER_SLOW] = REPLY_BYE_LATE,
        [SESSION_END_DRAIN] = REPLY_BYE_DRAIN,
        [SESSION_END_ERRORS] = REPLY_BYE_ERRORS,
        [SESSION_END_JUNK] = REPLY_BYE_JUNK,
        [SESSION_END_EARLY] = REPLY_BYE_EARLY,
        [SESSION_END_FORBIDDEN] = REPLY_BYE_FORBIDDEN,
        [SESSION_END_MEMORY] = REPLY_BYE_MEMORY,
        [SESSION_END_STORE] = REPLY_BYE_STORE,
        [SESSION_END_BACKEND_LOST] = REPLY_BYE_STORE,
        [SESSION_END_BACKEND_DOWN] = REPLY_BYE_STORE,
        [SESSION_END_BACKEND_DEAD] = REPLY_BYE_STORE,
        [SESSION_END_KICKED] = REPLY_BYE_KICKED,
        [SESSION_END_MOVE_FAILED] = REPLY_BYE_STORE,
        [SESSION_END_TOO_MANY] = REPLY_BYE_MANY,
        [SESSION_END_TLS_INJECTED] = REPLY_BYE_INJECTED,
        [SESSION_END_OVERLOAD] = REPLY_BYE_OVERLOAD,
    };
    if (rows[end] != REPLY_OK) /* PROTOCOL: what was wrong has been said */
        smtp_say(smtp_of(session), rows[end]);
}

static void closed(struct session *session)
{
    struct smtp_session *smtp = smtp_of(session);
    smtp_reset(smtp);
    free((void *)(uintptr_t)smtp->hello.data);
    free((void *)(uintptr_t)smtp->client_name.data);
    smtp->hello = smtp->client_name = session->hello = (struct slice){0};
}

/* What they have in common. Only submission has a deadline for the log-in. */
#define REFUSAL "421 4.7.0 Too many connections, try again later\r\n"
#define COMMON                                                                                     \
    .session_bytes = sizeof(struct smtp_session), .command_bytes_max = COMMAND_BYTES_MAX,          \
    .state_first = STATE_START, .begin = begin_session, .open = open_session, .refuse = refuse,    \
    .goodbye = goodbye, .closed = closed, .refusal = {REFUSAL, sizeof REFUSAL - 1}

const struct session_protocol smtp_protocol = {
    .id = PROTOCOL_SMTP,
    .name = "smtp",
    .alpn = "smtp",
    .commands = commands,
    .command_count = COMMAND_COUNT - 1,
    .line_bytes_max = LINE_BYTES_MAX,
    .without_login = true,
    COMMON,
};

const struct session_protocol submission_protocol = {
    .id = PROTOCOL_SUBMISSION,
    .name = "submission",
    .alpn = "smtp",
    .commands = commands,
    .command_count = COMMAND_COUNT - 1,
    .line_bytes_max = AUTH_LINE_BYTES_MAX,
    COMMON,
};

const struct session_protocol lmtp_protocol = {
    .id = PROTOCOL_LMTP,
    .name = "lmtp",
    .commands = commands + NOT_LMTP_COUNT,
    .command_count = COMMAND_COUNT - NOT_LMTP_COUNT,
    .line_bytes_max = LINE_BYTES_MAX,
    .without_login = true,
    COMMON,
};
