/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The toy protocol of limits_toy.h: each command asks the session layer for one thing and says what
 * came of it. Two protocols share the table: with a log-in, and without as SMTP is.
 */
#include "limits_toy.h"

#include <arpa/inet.h>

const struct service *const *toy_next;
unsigned toy_next_count;

static void say(struct session *session, const char *text)
{
    stream_printf(&session->stream, "%s\r\n", text);
}

static const char *parse_number(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    return slice_number(text, 1000000, ret_arguments) ? NULL : "a number is wanted";
}

static void run_who(struct session *session, const void *arguments)
{
    (void)arguments;
    char text[48];
    uint16_t port;
    stream_peer(&session->stream, text, &port);
    stream_printf(&session->stream, "%s %u\r\n", text, port);
}

static void run_user(struct session *session, const void *arguments)
{
    (void)arguments;
    int result = session_logged_in(session, session->line.arguments);
    check(result == 0 || result == -EUSERS);
    say(session, result == 0 ? "in" : "too many");
}

static void run_as(struct session *session, const void *arguments)
{
    (void)arguments;
    char text[64] = "";
    uint8_t address[16];
    memcpy(text, session->line.arguments.data, session->line.arguments.size);
    unsigned family = inet_pton(AF_INET, text, address) == 1 ? 4 : 6;
    check(family == 4 || inet_pton(AF_INET6, text, address) == 1);
    int result = session_set_peer(session, family, address, 77);
    check(result == 0 || result == -EUSERS);
    say(session, result == 0 ? "is" : "too many");
}

static void has_moved(struct session *session)
{
    stream_printf(&session->stream, "on %u\r\n", core_index(session_core(session)));
}

static void run_move(struct session *session, const void *arguments)
{
    const uint64_t *to = arguments;
    session_move(session, (unsigned)*to, has_moved);
}

static void run_adopt(struct session *session, const void *arguments)
{
    (void)arguments;
    services_adopt(session_core(session), toy_next, toy_next_count);
    say(session, "adopted");
}

static void run_echo(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, session->line.arguments);
    say(session, "");
}

static void run_nap(struct session *session, const void *arguments)
{
    const uint64_t *ms = arguments;
    fiber_sleep(session_core(session), *ms * 1000000);
    say(session, "awake");
}

static void run_noop(struct session *session, const void *arguments)
{
    (void)arguments;
    say(session, "nothing");
}

static void run_quit(struct session *session, const void *arguments)
{
    (void)arguments;
    say(session, "bye");
    session_end(session, SESSION_END_QUIT);
}

static const struct command commands[] = {
    {"WHO", 1, 0, NULL, 0, run_who, ""},
    {"USER", 1, COMMAND_FREE_ARGUMENTS, NULL, 0, run_user, ""},
    {"AS", 1, COMMAND_FREE_ARGUMENTS, NULL, 0, run_as, ""},
    {"MOVE", 1, 0, parse_number, sizeof(uint64_t), run_move, ""},
    {"ADOPT", 1, 0, NULL, 0, run_adopt, ""},
    {"ECHO", 1, COMMAND_FREE_ARGUMENTS, NULL, 0, run_echo, ""},
    {"NAP", 1, 0, parse_number, sizeof(uint64_t), run_nap, ""},
    {"NOOP", 1, COMMAND_JUNK, NULL, 0, run_noop, ""},
    {"QUIT", 1, 0, NULL, 0, run_quit, ""},
};

static void toy_open(struct session *session)
{
    say(session, "hello");
}

static void toy_refuse(struct session *session, const struct command *command,
                       enum session_refusal refusal, const char *why)
{
    (void)command, (void)refusal, (void)why;
    uint64_t age_ns = core_now_ns(session_core(session)) - session->began_ns;
    stream_printf(&session->stream, "no %u\r\n", (unsigned)(age_ns / 1000000));
}

static void toy_goodbye(struct session *session, enum session_end end)
{
    stream_printf(&session->stream, "end %s\r\n", session_end_rows[end].label);
}

static void toy_closed(struct session *session)
{
    (void)session;
}

#define TOY(protocol_id, protocol_name, is_without_login)                                          \
    {                                                                                              \
        .id = protocol_id, .name = protocol_name, .commands = commands,                            \
        .command_count = sizeof commands / sizeof *commands,                                       \
        .session_bytes = sizeof(struct session), .line_bytes_max = 10000,                          \
        .command_bytes_max = 10000, .state_first = 1, .open = toy_open, .refuse = toy_refuse,      \
        .goodbye = toy_goodbye, .closed = toy_closed, .without_login = is_without_login,           \
        .refusal = {"busy\r\n", 6},                                                                \
    }
const struct session_protocol limits_toy = TOY(PROTOCOL_POP3, "toy", false);
const struct session_protocol limits_mute_toy = TOY(PROTOCOL_SMTP, "mute", true);

struct service toy_service(const struct session_protocol *protocol, unsigned port)
{
    return (struct service){
        .protocol = protocol,
        .host_name = SLICE("toy.test"),
        .address = "127.0.0.1",
        .port = port,
        .connections_max = 1000,
        .login_ms_max = 60000,
        .idle_ms_max = 60000,
        .command_ms_max = 60000,
        .errors_max = 10,
        .junk_max = 10,
    };
}

struct service toy_proxied_service(const struct session_protocol *protocol, unsigned port)
{
    static const struct network everywhere[] = {{.family = 4}, {.family = 6}};
    struct service service = toy_service(protocol, port);
    service.proxy_from = (struct network_set){everywhere, 2};
    return service;
}

int toy_client(unsigned port, const char *address)
{
    char header[120];
    bool is_six = strchr(address, ':') != NULL;
    snprintf(header, sizeof header, "PROXY TCP%d %s %s 4711 25\r\n", is_six ? 6 : 4, address,
             is_six ? "::1" : "127.0.0.1");
    int client = client_open(port);
    client_say(client, header);
    return client;
}

int toy_served(unsigned port, const char *address)
{
    int client = toy_client(port, address);
    client_expect(client, "hello\r\n");
    return client;
}

void toy_refused(unsigned port, const char *address)
{
    int client = toy_client(port, address);
    client_expect(client, "busy\r\n");
    client_expect_end(client);
}

void toy_quit(int client)
{
    client_say(client, "QUIT\r\n");
    client_expect(client, "bye\r\n");
    client_expect_end(client);
}
