/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See the header.
 */
#include "transfer_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dial_client.h"

enum { GOT_BYTES_MAX = 20 * 1024 * 1024, NAP_NS = 2000000 };

struct lmtp_peer peer;

struct peer_session {
    struct stream stream;
    const char *at; /* in the script */
    bool is_slow, has_fiber;
};

static const char *peer_script;

static unsigned peer_port(void)
{
    return harness_ports(28200, 190, 1);
}

/* ---------------------------------------------------------------- the script */

static size_t unescape(struct slice from, char *to)
{
    size_t used = 0;
    for (size_t i = 0; i < from.size; i++) {
        char c = from.data[i];
        if (c == '\\' && i + 1 < from.size) {
            c = from.data[++i];
            c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
        }
        to[used++] = c;
    }
    return used;
}

static void answer(struct peer_session *session, struct slice bytes)
{
    struct stream *stream = &session->stream;
    size_t first = 0;
    if (peer.cut > peer.answer_bytes && peer.cut - peer.answer_bytes < bytes.size)
        first = peer.cut - peer.answer_bytes;
    peer.answer_bytes += bytes.size;
    if (first > 0) {
        stream_write(stream, slice_first(bytes, first));
        stream_flush(stream);
        fiber_sleep(stream->core, NAP_NS);
    }
    stream_write(stream, slice_from(bytes, first));
}

static void complain(const char *problem, struct slice is, struct slice want)
{
    snprintf(peer.problem, sizeof peer.problem, "%s: %.*s want: %.*s", problem,
             (int)(is.size < 150 ? is.size : 150), is.data,
             (int)(want.size < 150 ? want.size : 150), want.data);
}

static bool expect(struct peer_session *session, struct slice want)
{
    struct slice line;
    bool begins = want.size > 0 && want.data[want.size - 1] == '*';
    if (stream_read_line(&session->stream, 60000, &line) < 0)
        return false;
    bool is_same = begins ? slice_starts_nocase(line, slice_first(want, want.size - 1))
                          : slice_equal(line, want);
    if (!is_same)
        complain("got", line, want);
    return is_same;
}

static bool more(struct peer_session *session, struct slice *ret_bytes)
{
    if (session->is_slow)
        fiber_sleep(session->stream.core, NAP_NS);
    return stream_peek(&session->stream, ret_bytes) == 0;
}

static void keep(struct slice bytes)
{
    check(bytes.size <= GOT_BYTES_MAX - peer.got_size);
    memcpy(peer.got + peer.got_size, bytes.data, bytes.size);
    peer.got_size += bytes.size;
}

static bool take(struct peer_session *session, size_t size, bool is_kept)
{
    while (size > 0) {
        struct slice bytes;
        if (!more(session, &bytes))
            return false;
        bytes = slice_first(bytes, size);
        size -= bytes.size;
        if (is_kept)
            keep(bytes);
        stream_consume(&session->stream, bytes.size);
    }
    return true;
}

static bool take_chunk(struct peer_session *session)
{
    struct slice line;
    uint64_t size;
    if (stream_read_line(&session->stream, 100, &line) < 0)
        return false;
    if (!slice_starts_nocase(line, SLICE("BDAT ")) || line.size < 11 ||
        !slice_equal(slice_from(line, line.size - 5), SLICE(" LAST")) ||
        !slice_number(slice_of(line.data + 5, line.size - 10), GOT_BYTES_MAX, &size)) {
        complain("got", line, SLICE("BDAT n LAST"));
        return false;
    }
    return peer.has_message = take(session, (size_t)size, true);
}

/* The plain way: a line is what CRLF ends, a dot at its beginning goes. */
static bool take_lines(struct peer_session *session)
{
    size_t line = 0; /* where it begins in peer.got */
    for (;;) {
        struct slice bytes;
        if (!more(session, &bytes))
            return false;
        size_t used = 0;
        while (used < bytes.size) {
            keep(slice_of(bytes.data + used++, 1));
            size_t end = peer.got_size;
            if (end < line + 2 || memcmp(peer.got + end - 2, "\r\n", 2) != 0)
                continue;
            if (peer.got[line] == '.' && end == line + 3) {
                peer.got_size = line;
                stream_consume(&session->stream, used);
                return peer.has_message = true;
            }
            if (peer.got[line] == '.') {
                memmove(peer.got + line, peer.got + line + 1, end - line - 1);
                peer.got_size--;
            }
            line = peer.got_size;
        }
        stream_consume(&session->stream, used);
    }
}

static bool is_quiet(struct peer_session *session)
{
    fiber_sleep(session->stream.core, NAP_NS);
    if (stream_unread(&session->stream) == 0)
        return true;
    complain("not asked for", SLICE("more"), SLICE("nothing"));
    return false;
}

static bool peer_lines(struct peer_session *session, const char *script, bool is_script);

/* False: it is at its end. */
static bool step(struct peer_session *session, struct slice line, bool is_script)
{
    char text[20000];
    struct slice rest = slice_from(line, 2);
    uint64_t size;
    check(line.size < sizeof text - 2);
    size_t used = unescape(rest, text);
    if (line.data[0] == '>' || line.data[0] == '+') {
        bool is_it = is_script && ++peer.answers == peer.at;
        if (is_it && peer.instead != NULL)
            return peer_lines(session, peer.instead, false);
        if (is_it && peer.before != NULL && !peer_lines(session, peer.before, false))
            return false;
        if (line.data[0] == '>') {
            memcpy(text + used, "\r\n", 2);
            used += 2;
        }
        answer(session, slice_of(text, used));
        return true;
    }
    if (line.data[0] == '<')
        return expect(session, slice_of(text, used));
    if (slice_equal(line, SLICE("quiet")))
        return is_quiet(session);
    if (slice_equal(line, SLICE("data")))
        return take_lines(session);
    if (slice_equal(line, SLICE("bdat")))
        return take_chunk(session);
    if (slice_equal(line, SLICE("slow")))
        return session->is_slow = true;
    if (slice_equal(line, SLICE("nap"))) {
        fiber_sleep(session->stream.core, UINT64_C(100) * NAP_NS);
        return true;
    }
    if (slice_equal(line, SLICE("close")))
        return false;
    if (slice_equal(line, SLICE("stall"))) {
        while (!peer.is_over)
            fiber_sleep(session->stream.core, NAP_NS);
        return false;
    }
    check(slice_starts_nocase(line, SLICE("take ")));
    check(slice_number(slice_from(line, 5), GOT_BYTES_MAX, &size));
    return take(session, (size_t)size, false);
}

static bool peer_lines(struct peer_session *session, const char *script, bool is_script)
{
    while (*script != '\0') {
        const char *end = strchr(script, '\n');
        size_t size = end != NULL ? (size_t)(end - script) : strlen(script);
        if (!step(session, slice_of(script, size), is_script))
            return false;
        script += end != NULL ? size + 1 : size;
    }
    return true;
}

static void peer_fiber(void *argument)
{
    struct peer_session *session = argument;
    struct slice bytes;
    if (peer_lines(session, session->at, true))
        while (more(session, &bytes)) {
            size_t room = sizeof peer.behind - peer.behind_size;
            size_t size = bytes.size < room ? bytes.size : room;
            memcpy(peer.behind + peer.behind_size, bytes.data, size);
            peer.behind_size += size;
            stream_consume(&session->stream, bytes.size);
        }
    session->has_fiber = false;
    stream_close(&session->stream);
}

static void peer_input(struct stream *stream)
{
    if (stream->end != 0 && !((struct peer_session *)stream)->has_fiber)
        stream_close(stream);
}

static void peer_released(struct stream *stream)
{
    peer.sessions--;
    free(stream);
}

static const struct stream_owner peer_owner = {.input = peer_input, .released = peer_released};

static bool peer_accepted(struct core *core, unsigned slot, void *argument)
{
    struct peer_session *session = calloc(1, sizeof *session);
    (void)argument;
    peer.accepted++;
    if (session == NULL)
        return false;
    session->at = peer_script;
    peer.sessions++;
    stream_open(&session->stream, core, slot, &peer_owner);
    stream_deadline(&session->stream, core_now_ns(core) + UINT64_C(60000000000));
    session->has_fiber = fiber_start(core, peer_fiber, session) == 0;
    if (!session->has_fiber)
        stream_close(&session->stream);
    return true;
}

/* ---------------------------------------------------------------- a transaction */

struct linked {
    struct backend_link link;
    struct waiters gone;
    bool is_released;
};

static void link_input(struct stream *stream)
{
    struct backend_link *link = (struct backend_link *)stream;
    if (link->input != NULL)
        link->input(link);
}

static void link_released(struct stream *stream)
{
    struct linked *linked = (struct linked *)stream;
    linked->is_released = true;
    waiters_wake_all(stream->core, &linked->gone);
}

static const struct stream_owner link_owner = {.input = link_input, .released = link_released};

static const char short_message[] =
    "From: a@example.com\r\nSubject: short\r\n\r\nHello,\r\n.dot\r\n\r\nbye\r\n";

static struct relay_message message_of(const struct peer_case *one)
{
    struct relay_message message = one->message;
    if (message.bytes.data == NULL)
        message.bytes = slice_cstr(short_message);
    if (message.from.data == NULL && !one->is_null_sender)
        message.from = SLICE("sender@example.org");
    return message;
}

static void recipients_make(const struct peer_case *one, struct peer_result *result,
                            char (*names)[32])
{
    unsigned count = 0;
    while (count < PEER_RECIPIENTS && one->address[count] != NULL)
        count++;
    result->count = one->count ? one->count : count ? count : 1;
    for (unsigned i = 0; i < result->count; i++) {
        struct relay_recipient *recipient = &result->recipients[i];
        *recipient = (struct relay_recipient){.result = 77};
        snprintf(names[i], sizeof names[i], "u%u@example.com", i);
        recipient->address = slice_cstr(i < count ? one->address[i] : names[i]);
        recipient->orcpt = slice_cstr(one->orcpt ? one->orcpt : "");
        recipient->notify = slice_cstr(one->notify ? one->notify : "");
    }
}

void peer_transfer(struct core *core, const struct peer_case *one, struct peer_result *result)
{
    static char names[PEER_RECIPIENTS_MAX][32];
    struct relay_recipient *pointers[PEER_RECIPIENTS_MAX];
    struct linked linked = {0};
    struct stream_target target = target_v4(peer_port());
    uint64_t begin_ns = core_now_ns(core), wait_ms = one->wait_ms ? one->wait_ms : 5000;
    struct relay_message message = message_of(one);
    unsigned accepted = peer.accepted;
    peer_script = one->script;
    peer.answers = 0;
    peer.answer_bytes = peer.got_size = peer.behind_size = 0;
    peer.has_message = peer.is_over = false;
    peer.problem[0] = '\0';
    recipients_make(one, result, names);
    for (unsigned i = 0; i < result->count; i++)
        pointers[i] = &result->recipients[i];
    check_equal(stream_connect(&linked.link.stream, core, &target, begin_ns + wait_ms * 1000000,
                               &link_owner),
                0);
    result->transfer = (struct transfer){
        .core = core,
        .link = &linked.link,
        .offers = slice_cstr(one->offers),
        .deadline_ns = begin_ns + wait_ms * 1000000,
        .gone = one->gone,
        .problem = "not set",
    };
    result->is_sent = false;
    if (one->waits)
        fiber_sleep(core, harness_is_simulated() ? 1000 * (uint64_t)NAP_NS : 10 * NAP_NS);
    if (peer.begin != NULL)
        peer.begin();
    result->result = one->asks ? transfer_ask(&result->transfer, pointers[0])
                               : transfer_message(&result->transfer, &message, pointers,
                                                  result->count, &result->is_sent);
    result->ms = peer.ms = (core_now_ns(core) - begin_ns) / 1000000;
    if (peer.end != NULL)
        peer.end();
    check(linked.link.input == NULL);
    if (result->result == 0)
        transfer_leave(&result->transfer);
    stream_close(&linked.link.stream);
    peer.is_over = true;
    while (!linked.is_released)
        waiters_wait(core, &linked.gone, 0);
    for (unsigned i = 0; i < 2500 && peer.accepted == accepted; i++)
        fiber_sleep(core, NAP_NS); /* or its accept has failed */
    while (peer.sessions > 0)
        fiber_sleep(core, NAP_NS);
}

/* ---------------------------------------------------------------- what was wanted */

static void wrong(const struct peer_case *one, const char *what, const char *is, const char *want)
{
    fprintf(stderr, "%s: %s\n  want: %s\n  peer: %s\n  offers: %s\n  script: %s\n", what,
            is ? is : "(none)", want ? want : "(none)", peer.problem, one->offers, one->script);
    harness_failed(__FILE__, __LINE__, what);
}

static void check_message(const struct peer_case *one)
{
    struct slice want = message_of(one).bytes, got = slice_of(peer.got, peer.got_size);
    if (!peer.has_message)
        wrong(one, "message", NULL, "one");
    bool is_lines = strstr(one->script, "\ndata") != NULL;
    bool is_open = want.size < 2 || memcmp(want.data + want.size - 2, "\r\n", 2) != 0;
    if (is_lines && is_open && want.size > 0) { /* DATA ends with a line */
        check(got.size == want.size + 2 && memcmp(got.data + want.size, "\r\n", 2) == 0);
        got.size -= 2;
    }
    if (!slice_equal(got, want))
        wrong(one, "message", "another", "as it is");
}

void peer_check(struct core *core, const struct peer_case *one)
{
    static struct peer_result result;
    peer_transfer(core, one, &result);
    const char *problem = result.transfer.problem;
    if (peer.problem[0] != '\0' || result.result != one->result)
        wrong(one, "peer or result", problem, one->problem);
    if ((problem == NULL) != (one->problem == NULL) ||
        (problem != NULL && strcmp(problem, one->problem) != 0))
        wrong(one, "problem", problem, one->problem);
    check_equal(result.is_sent, one->is_sent);
    if (result.transfer.may_come_twice != one->may_come_twice)
        wrong(one, "may come twice", problem, one->problem);
    check_equal(result.transfer.may_come_twice, one->may_come_twice);
    int want = 0;
    const char *reply = NULL;
    bool any = false;
    for (unsigned i = 0; i < result.count; i++) {
        const struct relay_recipient *recipient = &result.recipients[i];
        want = i < PEER_RECIPIENTS ? one->results[i] : want;
        reply = i < PEER_RECIPIENTS ? one->replies[i] : reply;
        check_equal(recipient->result, want);
        if (reply != NULL && strncmp(recipient->reply, reply, strlen(reply)) != 0)
            wrong(one, "reply", recipient->reply, reply);
        check(recipient->reply[0] == (want == 0 ? '2' : want == -EACCES ? '5' : '4'));
        any = any || want == 0;
    }
    if (any && !one->asks)
        check_message(one);
    if (one->without_message)
        check(!peer.has_message && peer.got_size == 0);
    if (one->result == 0 && peer.behind_size > 0)
        check(slice_equal(slice_of(peer.behind, peer.behind_size), SLICE("QUIT\r\n")));
}

/* ---------------------------------------------------------------- the world */

static void (*peer_body)(struct core *core);

static int world_ready(struct core *core, void *argument)
{
    struct listener *listener;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = peer_port(),
        .connections_max = 100,
        .accepted = peer_accepted,
    };
    (void)argument;
    check_equal(net_open(core), 0);
    peer = (struct lmtp_peer){.got = malloc(GOT_BYTES_MAX)};
    check(peer.got != NULL);
    check_equal(listener_open(core, &options, &listener), 0);
    peer_body(core);
    listener_close(listener);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    net_close(core);
    free(peer.got);
    harness_stop(core);
    return 0;
}

void peer_run(void (*body)(struct core *core))
{
    struct engine_options options = {
        .core_count = 1,
        .connections_max = 100,
        .buffers = 64,
        .fibers_max = 30,
        .stack_bytes = 131072,
        .connects = true,
    };
    peer_body = body;
    check_equal(harness_run(&options, world_ready, NULL), 0);
}
