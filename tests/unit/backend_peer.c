/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See the header.
 */
#include "backend_peer.h"

#include <stdlib.h>
#include <unistd.h>

#include "../../src/backend/core_state.h"
#include "tls_chain.h"

struct peer peer;

struct peer_session {
    struct stream stream;
    const char *at; /* in the script */
    unsigned number;
    bool has_fiber;
    bool is_behind_header; /* the handshake may have come with it */
};

static const struct tls_service peer_service = {"imap", 9};

unsigned peer_ports_first = 26500;

unsigned peer_port(unsigned number)
{
    return peer_ports_first + (unsigned)getpid() % 40 * (PEER_BACKENDS + 1) + number;
}

/* ---------------------------------------------------------------- the script */

static size_t unescape(const char *from, size_t size, char *to)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (from[i] == '\\' && i + 1 < size) {
            char c = from[++i];
            to[used++] = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
        } else {
            to[used++] = from[i];
        }
    }
    return used;
}

static void peer_send(struct peer_session *session, const char *text, size_t size)
{
    struct stream *stream = &session->stream;
    size_t first = peer.cut > peer.answer_bytes && peer.cut - peer.answer_bytes < size
                       ? peer.cut - peer.answer_bytes
                       : 0;
    peer.answer_bytes += size;
    if (first > 0) {
        stream_write(stream, slice_of(text, first));
        stream_flush(stream);
        fiber_sleep(stream->core, 2000000);
    }
    stream_write(stream, slice_of(text + first, size - first));
}

static bool peer_expect(struct peer_session *session, const char *want, size_t size)
{
    struct slice line;
    bool begins = size > 0 && want[size - 1] == '*';
    int result = stream_read_line(&session->stream, 60000, &line);
    if (result < 0)
        return false; /* the other side has had enough */
    bool is_same = begins ? slice_starts_nocase(line, slice_of(want, size - 1))
                          : slice_equal(line, slice_of(want, size));
    if (!is_same)
        snprintf(peer.problem, sizeof peer.problem, "got: %.*s want: %.*s",
                 (int)(line.size < 150 ? line.size : 150), line.data,
                 (int)(size < 150 ? size : 150), want);
    return is_same;
}

static bool peer_header(struct peer_session *session)
{
    if (stream_read_exact(&session->stream, peer.header, 16) < 0)
        return false;
    size_t size = (size_t)peer.header[14] << 8 | peer.header[15];
    check(size <= sizeof peer.header - 16);
    peer.header_size = 16 + size;
    session->is_behind_header = true;
    return size == 0 || stream_read_exact(&session->stream, peer.header + 16, size) == 0;
}

static void peer_end(struct peer_session *session)
{
    stream_close(&session->stream);
}

static void peer_hold(struct peer_session *session)
{
    struct slice bytes;
    while (stream_peek(&session->stream, &bytes) == 0)
        stream_consume(&session->stream, bytes.size);
    peer_end(session);
}

/* False: the session's fiber ends here. */
static bool peer_step(struct peer_session *session, const char *line, size_t size)
{
    struct stream *stream = &session->stream;
    char text[20000];
    check(size < sizeof text - 2);
    size_t used = size > 2 ? unescape(line + 2, size - 2, text) : 0;
    bool is_answer = line[0] == '>' || line[0] == '+';
    if (is_answer && ++peer.answers == peer.stop_at) {
        line = peer.stop;
        size = strlen(peer.stop);
        is_answer = false;
    }
    if (is_answer)
        session->is_behind_header = false;
    if (is_answer && line[0] == '>') {
        memcpy(text + used, "\r\n", 2);
        used += 2;
    }
    if (is_answer) {
        peer_send(session, text, used);
    } else if (line[0] == '<') {
        if (!peer_expect(session, text, used)) {
            peer_end(session);
            return false;
        }
    } else if (slice_equal(slice_of(line, size), SLICE("proxy"))) {
        if (!peer_header(session)) {
            peer_end(session);
            return false;
        }
    } else if (slice_equal(slice_of(line, size), SLICE("tls"))) {
        session->has_fiber = false;
        if (stream_secure(stream, &peer_service, session->is_behind_header) < 0)
            peer_end(session);
        return false;
    } else if (slice_equal(slice_of(line, size), SLICE("stall"))) {
        peer_hold(session);
        return false;
    } else {
        peer_end(session);
        return false;
    }
    return true;
}

static void peer_fiber(void *argument)
{
    struct peer_session *session = argument;
    while (session->at != NULL && *session->at != '\0') {
        const char *line = session->at, *end = strchr(line, '\n');
        size_t size = end != NULL ? (size_t)(end - line) : strlen(line);
        session->at = end != NULL ? end + 1 : line + size;
        if (slice_equal(slice_of(line, size), SLICE("more"))) { /* the next connection's part */
            peer.script[session->number] = session->at;
            session->at = NULL;
            break;
        }
        if (!peer_step(session, line, size))
            return;
    }
    peer_hold(session);
}

static void peer_begin(struct peer_session *session)
{
    session->has_fiber = fiber_start(session->stream.core, peer_fiber, session) == 0;
    if (!session->has_fiber)
        peer_end(session);
}

static void peer_secured(struct stream *stream)
{
    struct tls_info info;
    stream_tls_info(stream, &info);
    peer.resumed += info.is_resumed;
    peer_begin((struct peer_session *)stream);
}

static void peer_input(struct stream *stream)
{
    struct peer_session *session = (struct peer_session *)stream;
    if (stream->end != 0 && !session->has_fiber)
        peer_end(session);
}

static void peer_released(struct stream *stream)
{
    peer.sessions--;
    free(stream);
}

static const struct stream_owner peer_owner = {
    .input = peer_input, .secured = peer_secured, .released = peer_released};

static bool peer_accepted(struct core *core, unsigned slot, void *argument)
{
    struct peer_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return false;
    session->number = (unsigned)(uintptr_t)argument;
    session->at = peer.script[session->number];
    peer.connections[session->number]++;
    peer.sessions++;
    stream_open(&session->stream, core, slot, &peer_owner);
    stream_deadline(&session->stream, core_now_ns(core) + 10 * SECOND_NS);
    if (peer.is_tls && stream_secure(&session->stream, &peer_service, false) < 0)
        peer_end(session);
    else if (!peer.is_tls)
        peer_begin(session);
    return true;
}

/* ---------------------------------------------------------------- a log-in */

static void told(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s\n", what);
}

struct pool_double {
    struct backend_pool_options options;
    struct backend_options backends[PEER_BACKENDS];
};

static const uint8_t other_pin[TLS_PIN_BYTES] = {1};

static void pool_fill(const struct peer_login *login, struct pool_double *pool)
{
    static const char *const names[PEER_BACKENDS] = {"b0", "b1", "b2"};
    *pool = (struct pool_double){
        .options = {
            .name = SLICE("pool"),
            .backends = pool->backends,
            .backend_count = login->backends ? login->backends : 1,
            .any_address = login->any_address,
            .tls_ca = slice_cstr(login->ca ? login->ca : pem_chain_root),
            .pins = &other_pin,
            .pin_count = login->is_pinned,
            .identity = login->is_native  ? BACKEND_IDENTITY_NATIVE
                        : login->is_proxy ? BACKEND_IDENTITY_PROXY
                                          : BACKEND_IDENTITY_NONE,
            .login = login->is_master ? BACKEND_LOGIN_MASTER : BACKEND_LOGIN_FORWARD,
            .master_user = login->is_master ? SLICE("master") : (struct slice){0},
            .master_password = login->is_master ? SLICE("key") : (struct slice){0},
            .pipelines = !login->waits,
            .connect_ms_max = 2000,
            .login_ms_max = login->login_ms ? login->login_ms : 5000,
            .down_after = 100,
            .up_after = 1,
        }};
    pool->options.tls[login->protocol] = login->is_tls         ? BACKEND_TLS
                                         : login->is_start_tls ? BACKEND_START_TLS
                                                               : BACKEND_CLEAR;
    for (unsigned i = 0; i < pool->options.backend_count; i++) {
        pool->backends[i] = (struct backend_options){
            .name = slice_cstr(names[i]), .family = 4, .address = {127, 0, 0, 1}, .weight = 1};
        pool->backends[i].host = slice_cstr(i == 0 && login->host != NULL ? login->host : one);
        pool->backends[i].ports[login->protocol] =
            (uint16_t)peer_port(i < login->dead ? PEER_BACKENDS : i);
    }
}

static struct backend_client client_of(const struct peer_login *login)
{
    return (struct backend_client){
        .family = 4,
        .address = {192, 0, 2, 7},
        .port = 4711,
        .our_family = 4,
        .our_address = {198, 51, 100, 1},
        .our_port = 993,
        .is_secure = true,
        .tls_version = "TLSv1.3",
        .tls_cipher = "TLS_AES_128_GCM_SHA256",
        .session_id = SLICE("s1"),
        .hello = SLICE("client.example"),
        .ttl = login->ttl ? login->ttl : BACKEND_TTL_FIRST,
    };
}

/* What came behind the answer is the session's. */
static void look_behind(struct core *core, struct backend_link *link, struct peer_result *result)
{
    fiber_sleep(core, harness_is_simulated() ? 200000000 : 20000000);
    result->unread = stream_unread(&link->stream);
    size_t size = result->unread, size_max = sizeof result->behind - 1;
    if (size > 0)
        stream_read_exact(&link->stream, result->behind, size < size_max ? size : size_max);
}

struct opened {
    struct pool_double pool;
    struct backend_states *states;
    struct backend_table *table;
};

static void open_all(struct core *core, const struct peer_login *login, struct opened *opened)
{
    pool_fill(login, &opened->pool);
    peer.script[0] = login->script != NULL ? login->script : peer.script[0];
    peer.is_tls = login->is_tls && !login->is_proxy;
    peer.problem[0] = '\0';
    peer.answers = 0;
    peer.answer_bytes = peer.header_size = 0;
    peer.resumed = 0;
    memset(peer.connections, 0, sizeof peer.connections);
    check_equal(backend_states_make(core_count(core), &opened->states), 0);
    check_equal(
        backend_table_make(opened->states, &opened->pool.options, 1, told, NULL, &opened->table),
        0);
    check_equal(backends_open(core, opened->states, opened->table), 0);
}

static void close_all(struct core *core, struct opened *opened)
{
    while (peer.sessions > 0)
        fiber_sleep(core, 4000000);
    for (unsigned i = 0; i < opened->table->pools[0].member_count; i++)
        check_equal(atomic_load(&opened->table->pools[0].members[i].backend->sessions), 0);
    backends_close(core);
    backend_table_free(opened->table);
    backend_states_free(opened->states);
}

static void log_in_once(struct core *core, const struct peer_login *login,
                        const struct backend_request *request, struct peer_result *ret_result)
{
    struct backend_link *link = NULL;
    if (peer.begin != NULL)
        peer.begin();
    ret_result->result =
        backend_log_in(core, request, login->gone, NULL, &ret_result->answer, &link);
    if (peer.end != NULL)
        peer.end();
    check((ret_result->result == 0) == (link != NULL));
    if (link != NULL) {
        look_behind(core, link, ret_result);
        check(link->protocol == login->protocol);
        backend_link_close(link);
    }
}

static void adopt_again(struct core *core, void *table)
{
    check_equal(backends_adopt(core, table), 0);
}

void peer_log_in(struct core *core, const struct peer_login *login, struct peer_result *ret_result)
{
    struct opened opened;
    open_all(core, login, &opened);
    struct backend_request request = {
        .pool = backend_pool_find(opened.table, SLICE("pool")),
        .protocol = login->protocol,
        .user = slice_cstr(login->user ? login->user : "user@example.com"),
        .attributes = slice_cstr(login->attributes ? login->attributes : ""),
        .mechanism = login->mechanism ? login->mechanism : AUTH_PLAIN,
        .secret = slice_cstr(login->secret ? login->secret : "secret"),
        .client = client_of(login),
        .without_login = login->protocol == BACKEND_LMTP,
    };
    if (login->no_secret)
        request.secret = (struct slice){0};
    *ret_result = (struct peer_result){0};
    for (unsigned i = 0; i < (login->times ? login->times : 1); i++) {
        if (i > 0 && peer.adopts)
            in_turn(core, adopt_again, (void *)(uintptr_t)opened.table);
        log_in_once(core, login, &request, ret_result);
    }
    fiber_sleep(core, 20000000);
    const struct backend *backend = opened.table->pools[0].members[0].backend;
    ret_result->logins = atomic_load(&backend->logins);
    ret_result->failures = atomic_load(&backend->failures);
    ret_result->refused = atomic_load(&backend->refused);
    close_all(core, &opened);
}

static void check_text(const struct peer_login *login, const char *what, const char *is,
                       const char *want)
{
    if (want == NULL || strcmp(is ? is : "", want) == 0)
        return;
    fprintf(stderr, "%s: %s\n  want: %s\n  script: %s\n", what, is ? is : "(none)", want,
            login->script);
    harness_failed(__FILE__, __LINE__, what);
}

/* X05: clear text that the network has cut off comes when TLS has begun, and is none. */
static bool is_cut_off(const char *problem, const char *want)
{
    return harness_is_simulated() && want != NULL && problem != NULL &&
           strcmp(want, "sent clear text behind its answer to STARTTLS") == 0 &&
           strcmp(problem, "not TLS") == 0;
}

void peer_check(struct core *core, const struct peer_login *login)
{
    struct peer_result result;
    peer_log_in(core, login, &result);
    if (result.result != login->result || peer.problem[0] != '\0')
        fprintf(stderr, "result %d, problem \"%s\"\n  peer: %s\n  script: %s\n", result.result,
                result.answer.problem ? result.answer.problem : "", peer.problem, login->script);
    check_equal(result.result, login->result);
    check(peer.problem[0] == '\0');
    check_text(login, "text", result.answer.text, login->text);
    check_text(login, "capabilities", result.answer.capabilities, login->capabilities);
    if (!is_cut_off(result.answer.problem, login->problem))
        check_text(login, "problem", result.answer.problem, login->problem);
    check_text(login, "code", result.answer.code, login->code);
    check_equal(result.refused, result.result == -EACCES);
}

int peer_probe(struct core *core, const struct peer_login *login,
               char text[BACKEND_CAPABILITY_BYTES_MAX + 1], const char **ret_problem)
{
    struct opened opened;
    open_all(core, login, &opened);
    int result = backend_probe(core, &opened.table->pools[0].members[0], login->protocol,
                               core_now_ns(core) + 5 * SECOND_NS, text, ret_problem);
    fiber_sleep(core, 20000000);
    close_all(core, &opened);
    return result;
}

/* ---------------------------------------------------------------- the world */

static void (*peer_body)(struct core *core);

static void world_body(struct core *core, struct world *world)
{
    struct listener *listeners[PEER_BACKENDS];
    (void)world;
    peer = (struct peer){0};
    for (unsigned i = 0; i < PEER_BACKENDS; i++) {
        struct listener_options options = {
            .address = "127.0.0.1",
            .port = peer_port(i),
            .connections_max = 100,
            .accepted = peer_accepted,
            .argument = (void *)(uintptr_t)i,
        };
        check_equal(listener_open(core, &options, &listeners[i]), 0);
    }
    peer_body(core);
    for (unsigned i = 0; i < PEER_BACKENDS; i++)
        listener_close(listeners[i]);
}

void peer_run(void (*body)(struct core *core))
{
    struct world world = {.body = world_body};
    peer_body = body;
    run(&world);
}
