/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The doubles of front_double.h. One core: nothing here is shared.
 */
#include "front_double.h"

#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "ringpost/proxy.h"

struct backend_pool {
    struct backend_pool_options options;
};
struct backend {
    enum backend_will will;
    uint64_t dead_ns;
};

struct double_link {
    struct backend_link link; /* first */
    struct double_link *next;
    struct fiber *reader;
    bool is_closed;
};

static struct backend_pool pools[2] = {
    {.options = {.name = {"far", 3}, .login_ms_max = 5000, .any_address = true}},
    {.options = {.name = {"near", 4}, .login_ms_max = 5000, .any_address = true}},
};
static struct backend the_backend;
static struct double_link *links;
static unsigned link_count;
unsigned toy_port;
struct backend_client double_client;
char double_capabilities[BACKEND_CAPABILITY_BYTES_MAX];

void double_reset(void)
{
    the_backend.will = BACKEND_UP;
    the_backend.dead_ns = 0;
    double_capabilities[0] = '\0';
}

void double_serve(bool serves)
{
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++)
        pools[i].options.any_address = serves;
}

unsigned double_links(void)
{
    return __atomic_load_n(&link_count, __ATOMIC_RELAXED);
}

const struct backend_pool *double_pool(unsigned number)
{
    return &pools[number];
}

const struct backend_pool_options *backend_pool_options_of(const struct backend_pool *pool)
{
    return &pool->options;
}

enum backend_will backend_will_of(const struct backend *backend)
{
    return backend->will;
}

uint64_t backend_dead_ns(const struct backend *backend)
{
    return backend->dead_ns;
}

struct slice backend_name(const struct backend *backend)
{
    (void)backend;
    return SLICE("toy");
}

struct slice backend_pool_name(const struct backend *backend)
{
    (void)backend;
    return SLICE("far");
}

struct slice backend_capabilities(struct core *core, const struct backend_pool *pool,
                                  enum backend_protocol protocol)
{
    (void)core, (void)protocol;
    return pool == &pools[0] ? slice_cstr(double_capabilities) : SLICE("IDLE ENABLE XNEAR TOP");
}

/* ---------------------------------------------------------------- links */

static void link_input(struct stream *stream)
{
    struct backend_link *link = (struct backend_link *)stream;
    if (link->input != NULL)
        link->input(link);
}

static void link_released(struct stream *stream)
{
    struct double_link *link = (struct double_link *)stream;
    check(link->is_closed);
    __atomic_sub_fetch(&link_count, 1, __ATOMIC_RELAXED);
    free(link);
}

static const struct stream_owner link_owner = {.input = link_input, .released = link_released};

void backend_link_close(struct backend_link *link)
{
    struct double_link **at = &links;
    check(!((struct double_link *)link)->is_closed);
    ((struct double_link *)link)->is_closed = true;
    link->input = NULL;
    while (*at != (struct double_link *)link)
        at = &(*at)->next;
    *at = (*at)->next;
    stream_close(&link->stream);
}

void backend_link_lost(struct backend_link *link)
{
    (void)link;
}

static void break_links(void)
{
    struct double_link *next;
    for (struct double_link *link = links; link != NULL; link = next) {
        next = link->next;
        stream_interrupt(&link->link.stream, -ECONNRESET);
    }
}

static int forced(struct slice user)
{
    static const struct {
        struct slice name;
        int error;
    } rows[] = {{SLICE("eusers@"), -EUSERS}, {SLICE("eagain@"), -EAGAIN},
                {SLICE("eloop@"), -ELOOP},   {SLICE("enokey@"), -ENOKEY},
                {SLICE("eperm@"), -EPERM},   {SLICE("enomem@"), -ENOMEM}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (slice_starts_nocase(user, rows[i].name))
            return rows[i].error;
    return 0;
}

static int talk(struct double_link *link, const struct backend_request *request,
                struct backend_answer *ret_answer)
{
    struct stream *stream = &link->link.stream;
    struct slice line;
    if (stream_read_line(stream, 1000, &line) < 0)
        return -EAGAIN;
    stream_printf(stream, "x LOGIN %.*s %.*s\r\n", (int)request->user.size, request->user.data,
                  (int)request->secret.size, request->secret.data);
    if (stream_read_line(stream, 1000, &line) < 0)
        return -EAGAIN;
    if (!slice_starts_nocase(line, SLICE("x OK"))) {
        snprintf(ret_answer->text, sizeof ret_answer->text, "Never heard of you");
        return -EACCES;
    }
    snprintf(ret_answer->capabilities, sizeof ret_answer->capabilities,
             "IMAP4rev1 UNAUTHENTICATE XTOY");
    return 0;
}

int backend_log_in(struct core *core, const struct backend_request *request,
                   bool (*gone)(void *argument), void *argument, struct backend_answer *ret_answer,
                   struct backend_link **ret_link)
{
    struct stream_target target = {.family = 4, .address = {127, 0, 0, 1}, .port = 0};
    struct double_link *link;
    int result = forced(request->user);
    double_client = request->client;
    snprintf(ret_answer->path, sizeof ret_answer->path, "far/toy");
    if (slice_starts_nocase(request->user, SLICE("inuse@"))) {
        ret_answer->code = request->protocol == BACKEND_POP3 ? "IN-USE" : "INUSE";
        snprintf(ret_answer->text, sizeof ret_answer->text, "Your other program has it");
        result = -EAGAIN;
    }
    if (result < 0)
        return result;
    if (request->client.ttl == 0)
        return -ELOOP;
    if (gone(argument))
        return -ECANCELED;
    link = calloc(1, sizeof *link);
    target.port = (uint16_t)toy_port;
    if (link == NULL)
        return -ENOMEM;
    result = stream_connect(&link->link.stream, core, &target,
                            core_now_ns(core) + UINT64_C(5000000000), &link_owner);
    if (result < 0) {
        free(link);
        return -EAGAIN;
    }
    __atomic_add_fetch(&link_count, 1, __ATOMIC_RELAXED);
    link->next = links;
    links = link;
    link->link.backend = &the_backend;
    link->link.protocol = request->protocol;
    result = talk(link, request, ret_answer);
    if (result < 0) {
        backend_link_close(&link->link);
        return result;
    }
    *ret_link = &link->link;
    return 0;
}

/* ---------------------------------------------------------------- the backend */

struct toy {
    struct session session; /* first */
    char tag[40];
};

static void answer(struct session *session, const char *what)
{
    stream_printf(&session->stream, "%s OK %s\r\n", ((struct toy *)session)->tag, what);
}

/* "tag verb arguments", or "DONE". */
static int toy_read(struct session *session, struct command_line *ret_line)
{
    struct slice line;
    int result = stream_read_line(&session->stream, 4000, &line);
    if (result < 0)
        return result;
    *ret_line = (struct command_line){.verb = line};
    size_t space = slice_find(line, ' ');
    if (space < line.size) {
        struct slice rest = slice_from(line, space + 1);
        size_t end = slice_find(rest, ' ');
        *ret_line = (struct command_line){.tag = slice_first(line, space),
                                          .verb = slice_first(rest, end),
                                          .arguments = slice_from(rest, end + 1)};
    }
    if (ret_line->tag.size > 0) /* DONE has that of IDLE */
        snprintf(((struct toy *)session)->tag, sizeof((struct toy *)session)->tag, "%.*s",
                 (int)ret_line->tag.size, ret_line->tag.data);
    return 0;
}

static void toy_login(struct session *session, const void *arguments)
{
    struct slice user = session->line.arguments;
    (void)arguments;
    struct slice password = slice_from(user, slice_find(user, ' ') + 1);
    if (slice_equal(password, SLICE("wrong"))) {
        stream_printf(&session->stream, "%s NO wrong\r\n", ((struct toy *)session)->tag);
        return;
    }
    check_equal(session_logged_in(session, slice_first(user, slice_find(user, ' '))), 0);
    answer(session, "in");
}

static void toy_echo(struct session *session, const void *arguments)
{
    (void)arguments;
    struct slice text = session->line.arguments;
    stream_printf(&session->stream, "* %.*s\r\n", (int)text.size, text.data);
    answer(session, "done");
}

static void toy_bulk(struct session *session, const void *arguments)
{
    (void)arguments;
    static char bytes[8192];
    struct slice digits = session->line.arguments;
    size_t size = 0;
    for (size_t i = 0; i < digits.size; i++)
        size = size * 10 + (size_t)(digits.data[i] - '0');
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i % 26);
    stream_printf(&session->stream, "* 1 FETCH (BODY[] {%zu}\r\n", size);
    session_deadline(session, 60000);
    for (size_t left = size; left > 0 && session->stream.end == 0;) {
        size_t piece = left < sizeof bytes ? left : sizeof bytes;
        stream_write(&session->stream, slice_of(bytes, piece));
        left -= piece;
    }
    stream_write(&session->stream, SLICE(")\r\n"));
    answer(session, "done");
}

static void toy_idle(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, SLICE("+ idling\r\n"));
}

static void toy_done(struct session *session, const void *arguments)
{
    (void)arguments;
    answer(session, "done");
}

static void toy_slow(struct session *session, const void *arguments)
{
    (void)arguments;
    fiber_sleep(session_core(session), 400000000);
    answer(session, "slow");
}

static void toy_close(struct session *session, const void *arguments)
{
    (void)arguments;
    session_end(session, SESSION_END_QUIT);
}

static void toy_bye(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, SLICE("* BYE of the backend\r\n"));
    session_end(session, SESSION_END_QUIT);
}

static void toy_break(struct session *session, const void *arguments)
{
    (void)session, (void)arguments;
    break_links();
}

static void toy_kick(struct session *session, const void *arguments)
{
    (void)arguments;
    check_equal(proxy_kick(session_core(session), session->user, 0), 1);
    check_equal(proxy_kick(session_core(session), session->user, 0), 0);
}

static void toy_down(struct session *session, const void *arguments)
{
    (void)arguments;
    the_backend.will = BACKEND_DOWN;
    answer(session, "down");
}

static void toy_hang(struct session *session, const void *arguments)
{
    (void)arguments;
    the_backend.dead_ns = core_now_ns(session_core(session));
}

static void toy_live(struct session *session, const void *arguments)
{
    (void)arguments;
    the_backend.dead_ns = 0;
    answer(session, "alive");
}

static void toy_logout(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, SLICE("* BYE\r\n"));
    answer(session, "bye");
    session_end(session, SESSION_END_QUIT);
}

static void toy_open(struct session *session)
{
    stream_write(&session->stream, SLICE("* OK toy\r\n"));
}

static void toy_refuse(struct session *session, const struct command *command,
                       enum session_refusal refusal, const char *why)
{
    (void)command, (void)refusal, (void)why;
    stream_write(&session->stream, SLICE("* BAD\r\n"));
}

static void toy_goodbye(struct session *session, enum session_end end)
{
    (void)session, (void)end;
}

static void toy_closed(struct session *session)
{
    (void)session;
}

static void toy_nothing(struct session *session, const void *arguments)
{
    (void)session;
    (void)arguments;
}

#define TOY(name, run)                                                                             \
    {                                                                                              \
        name, 1, COMMAND_FREE_ARGUMENTS, NULL, 0, run, name                                        \
    }
static const struct command commands[] = {
    TOY("LOGIN", toy_login), TOY("ECHO", toy_echo),     TOY("BULK", toy_bulk),
    TOY("IDLE", toy_idle),   TOY("DONE", toy_done),     TOY("SLOW", toy_slow),
    TOY("CLOSE", toy_close), TOY("BYE", toy_bye),       TOY("BREAK", toy_break),
    TOY("KICK", toy_kick),   TOY("DOWN", toy_down),     TOY("HANG", toy_hang),
    TOY("LIVE", toy_live),   TOY("LOGOUT", toy_logout), TOY("UNAUTHENTICATE", toy_nothing)};

const struct session_protocol toy_protocol = {
    .id = PROTOCOL_CONTROL,
    .name = "toy",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
    .session_bytes = sizeof(struct toy),
    .line_bytes_max = 4000,
    .command_bytes_max = 8192,
    .state_first = 1,
    .read = toy_read,
    .open = toy_open,
    .refuse = toy_refuse,
    .goodbye = toy_goodbye,
    .closed = toy_closed,
};
