/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034), response codes (RFC 2449,
 * 3206) and UTF8 (RFC 6856): the table of its commands, and what is said outside of them.
 *
 * No APOP: it wants passwords in clear on the server. Messages are sent as they are stored, with or
 * without UTF8: a client that did not ask for it gets the 8-bit header fields that were delivered,
 * as it does from all servers that came before RFC 6856.
 */
#include "pop3_private.h"

/* ---------------------------------------------------------------- responses */

/* World's failures, and the peer's where they are told by errno: the one place that gives them a
 * response code. */
static const struct error_row {
    int error;
    const char *line;
} errors[] = {
    {-EACCES, "-ERR [AUTH] Wrong user name or password\r\n"},
    {-EAGAIN, "-ERR [SYS/TEMP] Too busy, try again later\r\n"},
    {-ENOMEM, "-ERR [SYS/TEMP] Out of memory, try again later\r\n"},
    {-EBUSY, "-ERR [IN-USE] Another session has the maildrop\r\n"},
    {-EPERM, "-ERR Log-in is allowed on encrypted connections only\r\n"},
    {-ENOTSUP, "-ERR No such mechanism\r\n"},
    {-EUSERS, "-ERR [IN-USE] Too many connections of this user\r\n"},
    {-EMSGSIZE, "-ERR Response too long\r\n"},
    {-ECANCELED, "-ERR Cancelled\r\n"},
    {-ENOENT, "-ERR No such message\r\n"},
    {-EBADMSG, "-ERR [SYS/PERM] The message is damaged\r\n"},
    {-ENOSPC, "-ERR [SYS/TEMP] No space left, nothing was deleted\r\n"},
    {0, "-ERR [SYS/TEMP] The mail store is not available\r\n"}, /* all others */
};

void pop3_error(struct session *session, int error)
{
    const struct error_row *row = errors;
    while (row->error != 0 && row->error != error)
        row++;
    stream_write(&session->stream, slice_cstr(row->line));
}

void pop3_ok(struct session *session)
{
    stream_write(&session->stream, SLICE("+OK\r\n"));
}

void pop3_deadline(struct session *session, uint64_t bytes)
{
    session_deadline(session, session->service->command_ms_max + bytes);
}

/* ---------------------------------------------------------------- commands without a maildrop */

static void pop3_capa(struct session *session, const void *arguments)
{
    (void)arguments;
    char names[AUTH_MECHANISMS_BYTES_MAX];
    size_t size = session_mechanisms(session, names);
    stream_write(&session->stream, SLICE("+OK Capabilities follow\r\n"));
    if (session_may_log_in(session))
        stream_write(&session->stream, SLICE("USER\r\n"));
    if (session_offers_tls(session))
        stream_write(&session->stream, SLICE("STLS\r\n"));
    if (size > 0)
        stream_printf(&session->stream, "SASL %.*s\r\n", (int)size, names);
    if (pop3_front_capa(session))
        stream_write(&session->stream, SLICE("RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"));
    else
        stream_write(&session->stream, SLICE("TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                                             "PIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\n"));
    stream_write(&session->stream, SLICE("IMPLEMENTATION Ringpost\r\n.\r\n"));
}

static void pop3_ok_command(struct session *session, const void *arguments)
{
    (void)arguments;
    pop3_ok(session);
}

enum {
    ANY = POP3_AUTHORIZATION | POP3_NAMED | POP3_TRANSACTION,
    BEFORE = POP3_AUTHORIZATION | POP3_NAMED,
    AFTER = POP3_TRANSACTION,
    NUMBERS = sizeof(struct pop3_arguments)
};

static const struct command commands[] = {
    {"CAPA", ANY, COMMAND_JUNK, pop3_parse_none, 0, pop3_capa, "CAPA"},
    {"UTF8", BEFORE, COMMAND_JUNK, pop3_parse_none, 0, pop3_ok_command, "UTF8"},
    {"STLS", BEFORE, 0, pop3_parse_none, 0, pop3_stls, "STLS"},
    {"USER", BEFORE, COMMAND_JUNK | COMMAND_SECRET | COMMAND_FREE_ARGUMENTS, NULL, 0, pop3_user,
     "USER name"},
    {"PASS", POP3_NAMED, COMMAND_SECRET | COMMAND_FREE_ARGUMENTS, NULL, 0, pop3_pass,
     "PASS password"},
    {"AUTH", BEFORE, COMMAND_WIPED, pop3_parse_auth, sizeof(struct pop3_auth_arguments), pop3_auth,
     "AUTH mechanism [initial-response]"},
    {"STAT", AFTER, 0, pop3_parse_none, 0, pop3_stat, "STAT"},
    {"LIST", AFTER, 0, pop3_parse_maybe_number, NUMBERS, pop3_list, "LIST [message]"},
    {"UIDL", AFTER, 0, pop3_parse_maybe_number, NUMBERS, pop3_uidl, "UIDL [message]"},
    {"RETR", AFTER, 0, pop3_parse_number, NUMBERS, pop3_retr, "RETR message"},
    {"TOP", AFTER, 0, pop3_parse_top, NUMBERS, pop3_top, "TOP message lines"},
    {"DELE", AFTER, 0, pop3_parse_number, NUMBERS, pop3_dele, "DELE message"},
    {"RSET", AFTER, 0, pop3_parse_none, 0, pop3_rset, "RSET"},
    {"NOOP", AFTER, COMMAND_JUNK, pop3_parse_none, 0, pop3_ok_command, "NOOP"},
    {"QUIT", ANY, 0, pop3_parse_none, 0, pop3_quit, "QUIT"},
};

/* ---------------------------------------------------------------- the session */

static void pop3_open(struct session *session)
{
    stream_write(&session->stream, SLICE("+OK Ringpost ready\r\n")); /* no <...>: no APOP */
}

static void pop3_refuse(struct session *session, const struct command *command,
                        enum session_refusal refusal, const char *why)
{
    static const char *const texts[] = {
        [SESSION_REFUSE_UNKNOWN] = "Unknown command",
        [SESSION_REFUSE_TLS] = "Log-in is allowed on encrypted connections only",
        [SESSION_REFUSE_TOO_LONG] = "Line too long",
        [SESSION_REFUSE_BARE] = "End lines with CRLF, and send no other control bytes",
        [SESSION_REFUSE_MEMORY] = "[SYS/TEMP] Out of memory, try again later",
    };
    const char *text = why;
    if (refusal == SESSION_REFUSE_STATE)
        text = session->state == POP3_TRANSACTION ? "You are logged in already"
               : command->states & BEFORE         ? "Give USER first"
                                                  : "Log in first";
    else if (refusal != SESSION_REFUSE_SYNTAX)
        text = texts[refusal];
    if (command != NULL && refusal == SESSION_REFUSE_SYNTAX)
        stream_printf(&session->stream, "-ERR %s: %s\r\n", text, command->help);
    else
        stream_printf(&session->stream, "-ERR %s\r\n", text);
}

static void pop3_goodbye(struct session *session, enum session_end end)
{
    if (pop3_of(session)->is_mute)
        return;
    switch (end) {
    case SESSION_END_DRAIN:
    case SESSION_END_KICKED:
        stream_write(&session->stream, SLICE("-ERR [SYS/TEMP] The server is closing\r\n"));
        break;
    case SESSION_END_ERRORS:
    case SESSION_END_JUNK:
        stream_write(&session->stream,
                     SLICE("-ERR [SYS/TEMP] Too many commands that are of no use\r\n"));
        break;
    case SESSION_END_FORBIDDEN:
        stream_write(&session->stream, SLICE("-ERR This is a POP3 server\r\n"));
        break;
    case SESSION_END_MEMORY:
        pop3_error(session, -ENOMEM);
        break;
    case SESSION_END_STORE:
        pop3_error(session, -EIO);
        break;
    default: /* timers end a session without a word: RFC 1939, 3 */
        break;
    }
}

static void pop3_closed(struct session *session)
{
    pop3_forget_name(pop3_of(session));
    pop3_close_maildrop(pop3_of(session));
}

static const char refusal[] = "-ERR [SYS/TEMP] Too many connections, try again later\r\n";

const struct session_protocol pop3_protocol = {
    .id = PROTOCOL_POP3,
    .name = "pop3",
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
    .session_bytes = sizeof(struct pop3),
    .line_bytes_max = POP3_LINE_BYTES_MAX,
    .command_bytes_max = POP3_COMMAND_BYTES_MAX,
    .state_first = POP3_AUTHORIZATION,
    .alpn = "pop3",
    .open = pop3_open,
    .refuse = pop3_refuse,
    .goodbye = pop3_goodbye,
    .closed = pop3_closed,
    .refusal = {refusal, sizeof refusal - 1},
};
