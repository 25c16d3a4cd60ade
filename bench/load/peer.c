/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One connection to the measured server, on a stream of the gateway's own (stream.h). It adds what
 * a client needs: names for what went wrong, times of the phases, a deadline for every answer.
 *
 * The deadline is one timer of the stream's. Setting it for every answer would cost more than
 * reading the answer, so it is moved only when it would come too early, and then an eighth further
 * than asked. It may so fire when nothing is awaited; the stream tells that by `input` (a reader
 * would have been woken instead), and goes on.
 *
 * Invariant: an open peer holds one stream; it is counted (measure_connection) from peer_open to
 * peer_close, and closed exactly once, by the fiber that waits for its end.
 */
#include "peer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CA_BYTES_MAX = 1 << 20 };

static struct peer *peer_of(struct stream *stream)
{
    return (struct peer *)((char *)stream - offsetof(struct peer, stream));
}

static void on_input(struct stream *stream)
{
    struct peer *peer = peer_of(stream);
    if (stream->end == -ETIMEDOUT)
        stream_resume(stream); /* nobody was waiting */
    if (peer->idle_input != NULL && (stream->end != 0 || stream_unread(stream) > 0))
        peer->idle_input(peer);
}

static void on_released(struct stream *stream)
{
    struct peer *peer = peer_of(stream);
    peer->is_released = true;
    if (peer->closer != NULL)
        fiber_wake(stream->core, peer->closer);
}

static void on_secured(struct stream *stream)
{
    (void)stream; /* a fiber waits in stream_secure_client */
}

static const struct stream_owner owner = {
    .input = on_input, .released = on_released, .secured = on_secured};

/* ---------------------------------------------------------------- errors */

enum load_error peer_error(int result)
{
    switch (result) {
    case -EPIPE:
    case -ECANCELED:
        return LOAD_CLOSED;
    case -ETIMEDOUT:
        return LOAD_TIMEOUT;
    case -EPROTO:
        return LOAD_TLS_FAILED;
    case -EMSGSIZE:
        return LOAD_TOO_LONG;
    case -EBADMSG:
        return LOAD_NONSENSE;
    case -ENOMEM:
    case -ENOBUFS:
        return LOAD_OURS;
    default:
        return LOAD_RESET;
    }
}

static enum load_error error_of_connecting(int result)
{
    switch (result) {
    case -ECONNREFUSED:
    case -ENOENT: /* of a Unix socket: nobody made it */
        return LOAD_REFUSED;
    case -ETIMEDOUT:
        return LOAD_CONNECT_TIMEOUT;
    case -EADDRNOTAVAIL:
    case -EADDRINUSE:
    case -ENFILE:
    case -EMFILE:
        return LOAD_NO_PORT;
    case -ENOMEM:
    case -ENOBUFS:
    case -EOPNOTSUPP: /* no source addresses on this kernel */
        return LOAD_OURS;
    case -ECONNRESET:
        return LOAD_RESET;
    default:
        return LOAD_UNREACHABLE;
    }
}

static void count_bytes(struct peer *peer)
{
    const struct stream *stream = &peer->stream;
    measure_bytes(peer->at, stream->bytes_in - peer->counted_in,
                  stream->bytes_out - peer->counted_out);
    peer->counted_in = stream->bytes_in;
    peer->counted_out = stream->bytes_out;
}

int peer_fail(struct peer *peer, enum load_error error, struct slice said)
{
    measure_error(peer->at, error, said);
    if (fiber_current(load_engine(peer->at)) != NULL)
        peer_close(peer);
    return (int)error;
}

/* A call of stream.h failed. What TLS says of it is the best text there is. */
static int fail(struct peer *peer, int result)
{
    const char *problem = stream_tls_problem(&peer->stream);
    enum load_error error = problem != NULL ? LOAD_TLS_FAILED : peer_error(result);
    return peer_fail(peer, error, problem != NULL ? slice_cstr(problem) : SLICE(""));
}

/* ---------------------------------------------------------------- TLS */

struct tls_making {
    struct message message;
    struct peer_core *shared;
    const struct load_options *options;
    struct fiber *waiting;
};

/* PEM of the authorities; NULL with *ret_problem. The caller frees it. */
static char *read_authorities(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    char *data = file != NULL ? malloc(CA_BYTES_MAX) : NULL;
    if (data != NULL)
        *ret_size = fread(data, 1, CA_BYTES_MAX, file);
    if (file != NULL)
        fclose(file);
    return data;
}

/* In the core's turn: the library wants more stack than a fiber has. */
static void make_tls(struct core *core, struct message *message)
{
    struct tls_making *making = (struct tls_making *)message;
    const struct load_options *options = making->options;
    struct tls_client_options client = {.tls_12_only = options->tls_12, .profile = TLS_MODERN};
    char *authorities = NULL;
    size_t size = 0;
    if (options->tls_ca != NULL)
        authorities = read_authorities(options->tls_ca, &size);
    client.ca = slice_of(authorities, size);
    if (options->tls_ca == NULL || size > 0)
        tls_client_make(core, &client, &making->shared->tls);
    free(authorities);
    fiber_wake(core, making->waiting);
}

static int need_tls(struct peer *peer)
{
    struct core *core = load_engine(peer->at);
    struct peer_core *shared = load_peers(peer->at);
    if (shared->tls != NULL)
        return 0;
    fiber_lock_take(core, &shared->making);
    if (shared->tls == NULL) {
        struct tls_making making = {.message.handle = make_tls,
                                    .shared = shared,
                                    .options = peer->options,
                                    .waiting = fiber_current(core)};
        core_post(core, core_index(core), &making.message);
        fiber_park(core);
    }
    fiber_lock_give(core, &shared->making);
    if (shared->tls != NULL)
        return 0;
    return peer_fail(peer, peer->options->tls_ca != NULL ? LOAD_TLS_FAILED : LOAD_OURS,
                     SLICE("the file of --tls-ca is not readable, or no PEM"));
}

int peer_secure(struct peer *peer, struct load_worker *worker)
{
    (void)worker;
    int error = need_tls(peer);
    if (error != 0)
        return error;
    peer_begin(peer);
    int result = stream_secure_client(&peer->stream, load_peers(peer->at)->tls,
                                      peer->endpoint->host, peer->session);
    if (result < 0) {
        const char *problem = stream_tls_problem(&peer->stream);
        enum load_error kind = problem == NULL ? peer_error(result) : LOAD_TLS_FAILED;
        return peer_fail(peer, kind, problem != NULL ? slice_cstr(problem) : SLICE(""));
    }
    measure_phase(peer->at, PHASE_TLS, peer->began_ns);
    if (measure_of(peer->at)->tls[0] == '\0') {
        struct tls_info info;
        stream_tls_info(&peer->stream, &info);
        measure_tls(peer->at, info.version, info.cipher);
    }
    return 0;
}

void peer_core_close(struct peer_core *shared)
{
    if (shared->tls != NULL)
        tls_client_free(shared->tls);
    shared->tls = NULL;
}

/* ---------------------------------------------------------------- opening, closing */

/* 127.0.1.1 and on: 254 a network. */
static void choose_source(struct stream_target *target, unsigned sources, unsigned number)
{
    if (sources == 0 || target->family != 4)
        return;
    unsigned index = number % sources;
    target->source[0] = 127;
    target->source[1] = (uint8_t)(index / 254 / 254);
    target->source[2] = (uint8_t)(1 + index / 254 % 254);
    target->source[3] = (uint8_t)(1 + index % 254);
}

int peer_open(struct peer *peer, struct load_worker *worker, enum load_protocol protocol,
              unsigned number)
{
    assert(!peer->is_open);
    const struct load_options *options = worker->options;
    const struct load_endpoint *endpoint = &options->endpoints[protocol];
    peer->at = worker->at;
    peer->options = options;
    peer->endpoint = endpoint;
    peer->capabilities = peer->tag = 0;
    peer->counted_in = peer->counted_out = 0;
    peer->is_released = false;
    peer->is_new = true;
    struct stream_target target = endpoint->target;
    choose_source(&target, options->sources, number);
    struct core *core = load_engine(peer->at);
    uint64_t began_ns = load_now(peer->at);
    int result =
        stream_connect(&peer->stream, core, &target, began_ns + options->timeout_ns, &owner);
    if (result < 0)
        return measure_error(peer->at, error_of_connecting(result), slice_cstr(strerror(-result)));
    peer->is_open = true;
    measure_connection(peer->at, 1);
    measure_phase(peer->at, PHASE_CONNECT, began_ns);
    if (endpoint->tls == LOAD_TLS_IMPLICIT) {
        int error = peer_secure(peer, worker);
        if (error != 0)
            return error;
    }
    peer_begin(peer);
    return 0;
}

bool peer_is_open(const struct peer *peer)
{
    return peer->is_open;
}

bool peer_has_ended(const struct peer *peer)
{
    return !peer->is_open || peer->stream.end != 0;
}

void peer_close(struct peer *peer)
{
    if (!peer->is_open)
        return;
    peer->is_open = false;
    if (peer->options->tls_resumes && stream_is_secure(&peer->stream)) {
        struct tls_session *session = stream_tls_session(&peer->stream);
        if (session != NULL) {
            tls_session_free(peer->session);
            peer->session = session;
        }
    }
    stream_close(&peer->stream);
    peer->closer = fiber_current(peer->stream.core);
    while (!peer->is_released)
        fiber_park(peer->stream.core);
    peer->closer = NULL;
    count_bytes(peer);
    measure_connection(peer->at, -1);
}

void peer_forget(struct peer *peer)
{
    peer_close(peer);
    tls_session_free(peer->session);
    peer->session = NULL;
}

/* ---------------------------------------------------------------- writing */

void peer_write(struct peer *peer, struct slice bytes)
{
    if (peer->is_open)
        stream_write(&peer->stream, bytes);
}

void peer_printf(struct peer *peer, const char *format, ...)
{
    char text[PEER_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < sizeof text && "a command is short");
    peer_write(peer, slice_of(text, (size_t)size));
}

int peer_send(struct peer *peer, struct slice bytes)
{
    /* Pieces, each with a deadline of its own: a large message on a slow server is no timeout. */
    while (bytes.size > 0) {
        struct slice piece = slice_first(bytes, (size_t)1 << 20);
        peer_begin(peer);
        int result = stream_send(&peer->stream, piece);
        if (result < 0)
            return fail(peer, peer->stream.end < 0 ? peer->stream.end : result);
        bytes = slice_from(bytes, piece.size);
    }
    return 0;
}

/* ---------------------------------------------------------------- reading */

/* No earlier than timeout_ns from now. */
static void renew_deadline(struct peer *peer, uint64_t now_ns)
{
    uint64_t timeout_ns = peer->options->timeout_ns;
    if (peer->stream.deadline.due_ns < now_ns + timeout_ns)
        stream_deadline(&peer->stream, now_ns + timeout_ns + timeout_ns / 8);
}

void peer_begin(struct peer *peer)
{
    peer->began_ns = load_now(peer->at);
    if (!peer->is_open)
        return;
    count_bytes(peer);
    renew_deadline(peer, peer->began_ns);
}

int peer_line(struct peer *peer, struct slice *ret_line)
{
    struct slice line = {0};
    int result = stream_read_line(&peer->stream, PEER_LINE_BYTES_MAX, &line);
    if (result == -EBADMSG)
        return peer_fail(peer, LOAD_NONSENSE, line);
    if (result < 0)
        return fail(peer, result);
    if (peer->is_new && peer->endpoint->protocol == peer->options->target)
        measure_greeting(peer->at, line);
    peer->is_new = false;
    *ret_line = line;
    return 0;
}

bool peer_line_ready(struct peer *peer)
{
    return peer->is_open && peer->stream.end == 0 && stream_line_ready(&peer->stream);
}

int peer_bytes(struct peer *peer, uint64_t size, void (*each)(void *argument, struct slice piece),
               void *argument)
{
    while (size > 0) {
        struct slice piece;
        int result = stream_peek(&peer->stream, &piece);
        if (result < 0)
            return fail(peer, result);
        piece = slice_first(piece, size < SIZE_MAX ? (size_t)size : SIZE_MAX);
        if (each != NULL)
            each(argument, piece);
        stream_consume(&peer->stream, piece.size);
        size -= piece.size;
        renew_deadline(peer, core_now_ns(peer->stream.core));
    }
    return 0;
}

void peer_rest(struct peer *peer)
{
    if (!peer->is_open)
        return;
    count_bytes(peer);
    stream_deadline(&peer->stream, 0);
    stream_line_ready(&peer->stream);
}
