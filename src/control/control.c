/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control protocol: the table of its commands, how a line is read, and what is said outside of
 * commands. A person may type here (nc -U), so lines may end with LF alone; other control bytes are
 * nothing that a name holds, and are refused.
 */
#include "control_private.h"

static void help(struct session *session, const void *arguments);

static void quit(struct session *session, const void *arguments)
{
    (void)arguments;
    control_ok(session, NULL, 0);
    session_end(session, SESSION_END_QUIT);
}

enum { ARGUMENTS = sizeof(struct control_arguments) };

static const struct command commands[] = {
    {"BACKENDS", CONTROL_READY, 0, control_parse_none, ARGUMENTS, control_backends, "BACKENDS"},
    {"DRAIN", CONTROL_READY, 0, control_parse_name, ARGUMENTS, control_drain, "DRAIN backend"},
    {"DOWN", CONTROL_READY, 0, control_parse_down, ARGUMENTS, control_down,
     "DOWN backend [spread-seconds]"},
    {"UP", CONTROL_READY, 0, control_parse_name, ARGUMENTS, control_up, "UP backend"},
    {"SESSIONS", CONTROL_READY, 0, control_parse_sessions, ARGUMENTS, control_sessions,
     "SESSIONS [user] [limit]"},
    {"KICK", CONTROL_READY, 0, control_parse_kick, ARGUMENTS, control_kick, "KICK user|id"},
    {"USER", CONTROL_READY, 0, control_parse_user, ARGUMENTS, control_user, "USER user"},
    {"MOVE", CONTROL_READY, 0, control_parse_move, ARGUMENTS, control_move,
     "MOVE user backend [delay-seconds]"},
    {"DELAY", CONTROL_READY, 0, control_parse_delay, ARGUMENTS, control_delay,
     "DELAY user seconds"},
    {"FORGET", CONTROL_READY, 0, control_parse_user, ARGUMENTS, control_forget, "FORGET user"},
    {"HELP", CONTROL_READY, 0, control_parse_none, ARGUMENTS, help, "HELP"},
    {"QUIT", CONTROL_READY, 0, control_parse_none, ARGUMENTS, quit, "QUIT"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(struct session *session, const void *arguments)
{
    (void)arguments;
    for (unsigned i = 0; i < COMMANDS; i++) {
        struct event row;
        event_begin_row(&row);
        event_text(&row, "command", slice_cstr(commands[i].name));
        event_text(&row, "usage", slice_cstr(commands[i].help));
        control_say(session, &row);
    }
    control_ok(session, "rows", COMMANDS);
}

/* ---------------------------------------------------------------- reading */

static bool is_text(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
            return false;
    return slice_is_utf8(line);
}

static int refuse_line(struct session *session, const char *what)
{
    control_error(session, CONTROL_SYNTAX, "%s", what);
    session_count_error(session);
    return -EAGAIN;
}

static int control_read(struct session *session, struct command_line *ret_line)
{
    struct slice text = SLICE("");
    int result = stream_read_line(&session->stream, CONTROL_LINE_BYTES_MAX, &text);
    if (result == -EMSGSIZE)
        return refuse_line(session, "the line is too long");
    if (result < 0 && result != -EBADMSG)
        return result;
    if (!is_text(text))
        return refuse_line(session, "the line holds bytes that are no text");
    while (text.size > 0 && text.data[0] == ' ')
        text = slice_from(text, 1);
    size_t space = slice_find(text, ' ');
    *ret_line = (struct command_line){.verb = slice_first(text, space),
                                      .arguments = slice_from(text, space + 1)};
    return 0;
}

/* ---------------------------------------------------------------- the session */

static void control_open(struct session *session)
{
    (void)session; /* programs send their command at once */
}

static void control_refuse(struct session *session, const struct command *command,
                           enum session_refusal refusal, const char *why)
{
    if (refusal == SESSION_REFUSE_MEMORY)
        control_error(session, CONTROL_BUSY, "out of memory");
    else if (command != NULL)
        control_error(session, CONTROL_SYNTAX, "%s; usage: %s", why != NULL ? why : "not now",
                      command->help);
    else
        control_error(session, CONTROL_SYNTAX, "there is no such command; HELP lists them");
}

static void control_goodbye(struct session *session, enum session_end end)
{
    control_error(session, CONTROL_CLOSING, "%s", session_end_rows[end].text);
}

static void control_closed(struct session *session)
{
    (void)session;
}

static const char refusal[] = "{\"error\":\"too many connections\",\"code\":\"busy\"}\n";

const struct session_protocol control_protocol = {
    .id = PROTOCOL_CONTROL,
    .name = "control",
    .commands = commands,
    .command_count = COMMANDS,
    .session_bytes = sizeof(struct session),
    .line_bytes_max = CONTROL_LINE_BYTES_MAX,
    .command_bytes_max = CONTROL_COMMAND_BYTES,
    .state_first = CONTROL_READY,
    .without_login = true,
    .open = control_open,
    .read = control_read,
    .refuse = control_refuse,
    .goodbye = control_goodbye,
    .closed = control_closed,
    .refusal = {refusal, sizeof refusal - 1},
};
