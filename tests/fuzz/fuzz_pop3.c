/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: a message, 0xff, and lines of a client. The protocol's functions run on doubles of the
 * session, the stream, log-in and the store. Each command must have exactly one response of the
 * right form, the message must come back byte for byte to clients that end lines at CRLF or at LF
 * (as far as they can tell), and nothing may be deleted but by QUIT.
 */
#include "../../src/pop3/pop3_private.h"
#include "../unit/pop3_double.h"
#include "ringpost/proxy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_BYTES_MAX = 1 << 20 };

static char output[OUTPUT_BYTES_MAX];
static size_t output_size;
static unsigned logins;
static bool is_secured;

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---------------------------------------------------------------- doubles */

void stream_write(struct stream *stream, struct slice bytes)
{
    (void)stream;
    require(bytes.size <= OUTPUT_BYTES_MAX - output_size);
    if (bytes.size > 0)
        memcpy(output + output_size, bytes.data, bytes.size);
    output_size += bytes.size;
}

void stream_printf(struct stream *stream, const char *format, ...)
{
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    require(size >= 0 && (size_t)size < sizeof text);
    stream_write(stream, slice_of(text, (size_t)size));
}

int stream_send(struct stream *stream, struct slice bytes)
{
    stream_write(stream, bytes);
    return 0;
}

int stream_flush(struct stream *stream)
{
    (void)stream;
    return 0;
}

void session_end(struct session *session, enum session_end end)
{
    session->end = (uint8_t)end;
}

void session_count_error(struct session *session)
{
    session->errors++;
}

int session_logged_in(struct session *session, struct slice user)
{
    session->user = user;
    logins++;
    return 0;
}

void session_login_forget(struct session *session)
{
    (void)session;
}

void session_log_out(struct session *session)
{
    (void)session;
}

bool proxy_is_wanted(const struct session *session)
{
    (void)session;
    return false;
}

int proxy_log_in(struct session *session, const struct backend_answer **ret_answer)
{
    (void)session, (void)ret_answer;
    return -EAGAIN;
}

struct proxy_refusal proxy_refusal(const struct proxy_refusal *rows, int error,
                                   const struct backend_answer *answer)
{
    (void)error, (void)answer;
    return rows[0];
}

void proxy_join(struct session *session)
{
    (void)session;
}

struct slice proxy_capabilities(struct session *session)
{
    (void)session;
    return (struct slice){0};
}

void session_move(struct session *session, unsigned to_core, void (*then)(struct session *session))
{
    (void)to_core;
    then(session);
}

void session_deadline(struct session *session, uint64_t ms)
{
    (void)session, (void)ms;
}

int session_log_in(struct session *session, struct slice user, struct slice password)
{
    (void)session;
    require(user.size > 0);
    if (!slice_equal(user, SLICE("u")) || !slice_equal(password, SLICE("p")))
        return password.size > 100 ? -EAGAIN : -EACCES;
    session->user = SLICE("u0@x.test");
    return 0;
}

int session_authenticate(struct session *session, struct slice mechanism, struct slice initial,
                         struct slice prompt)
{
    require(mechanism.size > 0 && prompt.size == 2);
    require(initial.data == NULL || initial.size < POP3_LINE_BYTES_MAX);
    if (!slice_equal(mechanism, SLICE("X")))
        return mechanism.size == 1 ? -ECANCELED : mechanism.size == 2 ? -EBADMSG : -ENOTSUP;
    session->user = SLICE("u0@x.test");
    return 0;
}

size_t session_mechanisms(struct session *session, char text[AUTH_MECHANISMS_BYTES_MAX])
{
    (void)session;
    memcpy(text, "X", 1);
    return 1;
}

bool stream_is_secure(const struct stream *stream)
{
    (void)stream;
    return false;
}

size_t stream_unread(const struct stream *stream)
{
    (void)stream;
    return 0;
}

bool session_offers_tls(const struct session *session)
{
    return session->service->tls == SERVICE_START_TLS;
}

void session_start_tls(struct session *session)
{
    require(session->state != POP3_TRANSACTION && !is_secured);
    is_secured = true;
}

unsigned core_index(const struct core *core)
{
    (void)core;
    return 0;
}

unsigned core_count(const struct core *core)
{
    (void)core;
    return 1;
}

void fiber_yield(struct core *core)
{
    (void)core;
}

/* ---------------------------------------------------------------- the response */

/* What a client sees that ends lines at `end`, dots taken away; false when the response has no end
 * or goes on behind it. */
static bool unstuff(struct slice response, struct slice end, char *out, size_t *ret_size)
{
    size_t size = 0;
    while (response.size > 0) {
        const char *found = memmem(response.data, response.size, end.data, end.size);
        if (found == NULL)
            return false;
        struct slice line = slice_first(response, (size_t)(found - response.data) + end.size);
        response = slice_from(response, line.size);
        if (slice_equal(line, SLICE(".\r\n")) || slice_equal(line, SLICE(".\n")))
            break;
        size_t skip = line.data[0] == '.';
        memcpy(out + size, line.data + skip, line.size - skip);
        size += line.size - skip;
    }
    *ret_size = size;
    return response.size == 0;
}

static void check_message(struct slice response, struct slice message)
{
    static char out[OUTPUT_BYTES_MAX];
    size_t size;
    require(unstuff(response, SLICE("\n"), out, &size));
    require(size >= message.size && size <= message.size + 2);
    require(message.size == 0 || memcmp(out, message.data, message.size) == 0);
    require(unstuff(response, SLICE("\r\n"), out, &size));
    for (size_t i = 0; i < message.size; i++) /* no bare LF: exact for both */
        if (message.data[i] == '\n' && (i == 0 || message.data[i - 1] != '\r'))
            return;
    require(size >= message.size && size <= message.size + 2);
    require(message.size == 0 || memcmp(out, message.data, message.size) == 0);
}

static void check_response(const struct command *command, struct slice arguments,
                           struct slice message)
{
    struct slice response = slice_of(output, output_size);
    bool is_ok = slice_starts_nocase(response, SLICE("+OK"));
    require(is_ok || slice_starts_nocase(response, SLICE("-ERR ")));
    const char *end = memmem(response.data, response.size, "\r\n", 2);
    require(end != NULL);
    size_t first = (size_t)(end - response.data) + 2;
    require(memchr(response.data, '\0', first) == NULL);
    struct slice rest = slice_from(response, first);
    const char *name = command != NULL ? command->name : "";
    bool is_list = strcmp(name, "LIST") == 0 || strcmp(name, "UIDL") == 0;
    bool is_long = strcmp(name, "CAPA") == 0 || strcmp(name, "RETR") == 0 ||
                   strcmp(name, "TOP") == 0 ||
                   (is_list && slice_find(arguments, '1') == arguments.size &&
                    slice_find(arguments, '2') == arguments.size);
    if (!is_ok || !is_long) {
        require(rest.size == 0);
        return;
    }
    require(rest.size >= 3 && memcmp(rest.data + rest.size - 3, ".\r\n", 3) == 0);
    if (strcmp(name, "RETR") == 0)
        check_message(rest, message);
}

/* ---------------------------------------------------------------- the session's loop, in short */

static const struct command *find(struct slice verb)
{
    for (unsigned i = 0; i < pop3_protocol.command_count; i++)
        if (slice_equal_nocase(verb, slice_cstr(pop3_protocol.commands[i].name)))
            return &pop3_protocol.commands[i];
    return NULL;
}

static void run_line(struct session *session, struct slice text)
{
    size_t space = slice_find(text, ' ');
    struct slice arguments = slice_from(text, space + 1);
    while (arguments.size > 0 && arguments.data[0] == ' ')
        arguments = slice_from(arguments, 1);
    session->line = (struct command_line){.verb = slice_first(text, space), .arguments = arguments};
    const struct command *command = find(session->line.verb);
    union {
        struct pop3_arguments numbers;
        struct pop3_auth_arguments auth;
    } parsed = {0};
    const char *why = NULL;
    output_size = 0;
    if (command == NULL)
        pop3_protocol.refuse(session, NULL, SESSION_REFUSE_UNKNOWN, NULL);
    else if ((command->states & session->state) == 0)
        pop3_protocol.refuse(session, command, SESSION_REFUSE_STATE, NULL);
    else if (command->parse != NULL &&
             (why = command->parse(arguments, &session->arena, &parsed)) != NULL)
        pop3_protocol.refuse(session, command, SESSION_REFUSE_SYNTAX, why);
    else
        command->run(session, &parsed);
    struct slice message = drops[0].messages[0].bytes;
    if (slice_find(arguments, '2') < arguments.size)
        message = drops[0].messages[1].bytes;
    check_response(command, arguments, message);
    arena_reset(&session->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct service service = {
        .plain_login_allowed = true, .tls = SERVICE_START_TLS, .command_ms_max = 1000};
    struct slice rest = slice_of(data, size);
    struct slice message = slice_first(rest, slice_find(rest, (char)0xff));
    rest = slice_from(rest, message.size + 1);
    if (size > 65536)
        return 0;
    drops_reset();
    drop_add(&drops[0], message);
    drop_add(&drops[0], SLICE("Subject: x\r\n\r\n.\r\n"));
    drops[0].is_peeked = message.size % 2 == 0;
    drops[0].read_max = message.size % 5;
    struct pop3 pop3 = {.session = {.service = &service, .state = pop3_protocol.state_first}};
    struct session *session = &pop3.session;
    arena_init(&session->arena, pop3_protocol.command_bytes_max);
    while (rest.size > 0 && session->end == SESSION_END_NONE && !is_secured) {
        char line[POP3_LINE_BYTES_MAX]; /* the stream's own, writable */
        struct slice text = slice_first(rest, slice_find(rest, '\n'));
        rest = slice_from(rest, text.size + 1);
        text = slice_first(text, sizeof line);
        if (text.size > 0)
            memcpy(line, text.data, text.size);
        text.data = line;
        if (memchr(line, '\r', text.size) != NULL || memchr(line, '\0', text.size) != NULL)
            continue; /* refused by the session */
        require(session->state == POP3_TRANSACTION || logins == 0);
        run_line(session, text);
        require(drops[0].expunges == 0 || session->end == SESSION_END_QUIT);
    }
    if (session->end != SESSION_END_QUIT)
        require(drop_alive(&drops[0]) == 2);
    pop3_protocol.closed(session);
    require(drops_are_closed());
    logins = 0;
    is_secured = false;
    arena_reset(&session->arena);
    return 0;
}
