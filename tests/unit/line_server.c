/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sessions of the line server. An answer to each command line; "sink", "exact" and "peek" take
 * bytes by the three ways of reading, "send" and "write" give them by the two ways of writing,
 * "nap", "deadline", "abort", "move" and "quit" are about time, place and end. Any other line is
 * echoed.
 */
#include "line_server.h"

#include <stdlib.h>

#include "harness.h"
#include "ringpost/hash.h"

/* Byte `at` of the pattern. */
char pattern(uint64_t at)
{
    return (char)(hash_u64(at / 8) >> (at % 8 * 8));
}

void pattern_fill(char *data, size_t size, uint64_t at)
{
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(at + i);
}

struct session {
    struct stream stream;
    struct line_server *server;
    struct timer timer;
    bool has_fiber, is_released;
    unsigned arrived_on;
};

static void session_free(struct session *session)
{
    atomic_fetch_sub(&session->server->sessions, 1);
    free(session);
}

/* Nothing is said to a peer that was too late, or is gone. */
static void session_got(struct session *session, size_t got)
{
    if (session->stream.end == 0 || session->stream.end == -EPIPE)
        stream_printf(&session->stream, "got %zu\r\n", got);
}

/* It is patient: what is out of memory now need not be so for long. */
static char *session_memory(struct session *session, size_t size)
{
    char *data;
    while ((data = malloc(size ? size : 1)) == NULL)
        fiber_sleep(session->stream.core, 10000000);
    return data;
}

static void session_sink(struct session *session, size_t size, bool exact)
{
    struct stream *stream = &session->stream;
    size_t room = 300000, got = 0;
    char *data = session_memory(session, exact ? size : room);
    if (exact) {
        int result = stream_read_exact(stream, data, size);
        check(result == 0 || session->stream.end != 0);
        for (; result == 0 && got < size; got++)
            check_equal(data[got], pattern(got));
    }
    while (got < size) {
        int result = stream_read_some(stream, data, room);
        if (result < 0)
            break;
        int use = (size_t)result > size - got ? (int)(size - got) : result;
        for (int i = 0; i < use; i++)
            check_equal(data[i], pattern(got + (size_t)i));
        got += (size_t)use;
        if (stream_unread_bytes(stream, slice_of(data + use, (size_t)(result - use))) < 0) {
            stream_close(stream);
            break;
        }
    }
    free(data);
    session_got(session, got);
}

/* By peek and consume, with a nap while the bytes are looked at. */
static void session_peek(struct session *session, size_t size)
{
    struct stream *stream = &session->stream;
    size_t got = 0;
    struct slice bytes;
    while (got < size && stream_peek(stream, &bytes) == 0) {
        bytes = slice_first(bytes, size - got);
        if (got % 7 == 0)
            fiber_sleep(stream->core, 1000000);
        for (size_t i = 0; i < bytes.size; i++)
            check_equal(bytes.data[i], pattern(got + i));
        got += bytes.size;
        stream_consume(stream, bytes.size);
    }
    session_got(session, got);
}

static void session_source(struct session *session, size_t size, bool owned)
{
    char *data = session_memory(session, size);
    pattern_fill(data, size, 0);
    stream_write(&session->stream, SLICE("begin\r\n"));
    if (owned)
        stream_send(&session->stream, slice_of(data, size));
    else
        stream_write(&session->stream, slice_of(data, size));
    free(data);
    stream_write(&session->stream, SLICE("end\r\n"));
}

static void abort_fire(struct timer *timer)
{
    struct session *session = (struct session *)((char *)timer - offsetof(struct session, timer));
    stream_close(&session->stream);
    stream_close(&session->stream);
}

static void session_deadline(struct session *session, uint64_t ms)
{
    struct stream *stream = &session->stream;
    struct slice line;
    stream_deadline(stream, core_now_ns(stream->core) + ms * 1000000);
    check_equal(stream_read_line(stream, 100, &line), -ETIMEDOUT);
    check_equal(stream_read_line(stream, 100, &line), -ETIMEDOUT);
    stream_resume(stream);
    stream_write(stream, SLICE("timeout\r\n"));
}

/* "TLSv1.3 SUITE NAME full|resumed EMAIL CN" and the binding. */
static void session_info(struct session *session)
{
    struct tls_info info;
    uint8_t binding[TLS_BINDING_BYTES] = {0};
    stream_tls_info(&session->stream, &info);
    stream_tls_binding(&session->stream, binding);
    stream_printf(&session->stream, "%s %s <%.*s> %s <%.*s> <%.*s> ", info.version, info.cipher,
                  (int)info.server_name.size, info.server_name.data,
                  info.is_resumed ? "resumed" : "full", (int)info.email.size, info.email.data,
                  (int)info.common_name.size, info.common_name.data);
    for (size_t i = 0; i < sizeof binding; i++)
        stream_printf(&session->stream, "%02x", binding[i]);
    stream_write(&session->stream, SLICE("\r\n"));
}

/* False: the session's fiber must end, the stream is moving or closing. */
static bool session_command(struct session *session, struct slice line)
{
    struct stream *stream = &session->stream;
    char text[32] = {0}, peer[48];
    uint16_t port;
    size_t space = slice_find(line, ' ');
    struct slice verb = slice_first(line, space), rest = slice_from(line, space + 1);
    memcpy(text, rest.data, rest.size < sizeof text - 1 ? rest.size : sizeof text - 1);
    size_t number = strtoul(text, NULL, 10);
    if (slice_equal(verb, SLICE("sink"))) {
        session_sink(session, number, false);
    } else if (slice_equal(verb, SLICE("exact"))) {
        session_sink(session, number, true);
    } else if (slice_equal(verb, SLICE("peek"))) {
        session_peek(session, number);
    } else if (slice_equal(verb, SLICE("send"))) {
        session_source(session, number, true);
    } else if (slice_equal(verb, SLICE("write"))) {
        session_source(session, number, false);
    } else if (slice_equal(verb, SLICE("deadline"))) {
        session_deadline(session, number);
    } else if (slice_equal(verb, SLICE("nap"))) {
        fiber_sleep(stream->core, number * 1000000);
        stream_write(stream, SLICE("awake\r\n"));
    } else if (slice_equal(verb, SLICE("peer"))) {
        stream_peer(stream, peer, &port);
        stream_printf(stream, "%s %u\r\n", peer, port);
    } else if (slice_equal(verb, SLICE("core"))) {
        stream_printf(stream, "%u %u\r\n", core_index(stream->core), session->arrived_on);
    } else if (slice_equal(verb, SLICE("abort"))) {
        struct slice none;
        session->timer.fire = abort_fire;
        timer_set(stream->core, &session->timer, core_now_ns(stream->core) + number * 1000000);
        check_equal(stream_read_line(stream, 1000, &none), -ECANCELED);
        fiber_sleep(stream->core, 50000000); /* released() comes first: the session must stay */
        return false;
    } else if (slice_equal(verb, SLICE("quit"))) {
        stream_write(stream, SLICE("bye\r\n"));
        stream_close(stream);
        return false;
    } else if (slice_equal(verb, SLICE("secure")) || slice_equal(verb, SLICE("keep"))) {
        bool keeps = slice_equal(verb, SLICE("keep")); /* what lies behind it is the hello */
        stream_write(stream, SLICE("go\r\n"));
        session->has_fiber = false;
        if (stream_secure(stream, session->server->tls_service, keeps) < 0)
            stream_close(stream);
        return false;
    } else if (slice_equal(verb, SLICE("info"))) {
        session_info(session);
    } else if (slice_equal(verb, SLICE("move"))) {
        unsigned to = (core_index(stream->core) + 1) % core_count(stream->core);
        stream_printf(stream, "moving to %u\r\n", to);
        session->has_fiber = false;
        stream_move(stream, to);
        return false;
    } else {
        stream_write(stream, line);
        stream_write(stream, SLICE("\r\n"));
    }
    return true;
}

static void session_fiber(void *argument)
{
    struct session *session = argument;
    struct stream *stream = &session->stream;
    while (stream_line_ready(stream)) {
        struct slice line = {0};
        int result = stream_read_line(stream, 1000, &line);
        if (result == -EMSGSIZE) {
            stream_write(stream, SLICE("too long\r\n"));
        } else if (result == -EBADMSG) {
            stream_printf(stream, "bare %.*s\r\n", (int)line.size, line.data);
        } else if (result < 0) {
            stream_close(stream);
            break;
        } else if (!session_command(session, line)) {
            if (!session->has_fiber)
                return; /* moved: no longer ours */
            break;
        }
    }
    session->has_fiber = false;
    if (session->is_released)
        session_free(session);
}

static void session_input(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    if (session->has_fiber || !stream_line_ready(stream))
        return;
    session->has_fiber = true;
    if (fiber_start(stream->core, session_fiber, session) < 0) {
        session->has_fiber = false;
        stream_close(stream);
    }
}

static void session_released(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    check_equal(stream->slot, -1);
    if (stream->end == -EPROTO)
        atomic_fetch_add(&session->server->insecure, 1);
    check(stream->tls == NULL);
    check(stream->input == NULL && stream->output == NULL && stream->line == NULL);
    session->is_released = true;
    if (!session->has_fiber)
        session_free(session);
}

static void session_moved(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    session->arrived_on = core_index(stream->core);
    session_input(stream);
}

static void session_secured(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    check(stream_is_secure(stream));
    atomic_fetch_add(&session->server->secured, 1);
    session_input(stream);
}

static const struct stream_owner session_owner = {session_input, session_released, session_moved,
                                                  session_secured};

bool line_server_accepted(struct core *core, unsigned slot, void *argument)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return false;
    session->server = argument;
    session->arrived_on = core_index(core);
    atomic_fetch_add(&session->server->sessions, 1);
    stream_open(&session->stream, core, slot, &session_owner);
    if (session->server->idle_ns > 0)
        stream_deadline(&session->stream, core_now_ns(core) + session->server->idle_ns);
    if (session->server->is_implicit &&
        stream_secure(&session->stream, session->server->tls_service, true) < 0)
        stream_close(&session->stream);
    return true;
}
