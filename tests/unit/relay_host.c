/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See the header.
 */
#include "relay_host.h"

#include <unistd.h>

#include "../../src/backend/core_state.h"
#include "ringpost/hash.h"

enum { CORES = 2, TO_MAX = 300 };
static const uint64_t MS = 1000000;

struct lmtp lmtp;

struct lmtp_session {
    struct stream stream;
    unsigned number;
    bool has_mail;
    unsigned to_count;
    char to[TO_MAX][80];
};

unsigned lmtp_port(unsigned number)
{
    return harness_ports(28000, 20, LMTP_BACKENDS + 1) + number;
}

void lmtp_forget(void)
{
    memset(lmtp.connections, 0, sizeof lmtp.connections);
    memset(lmtp.mails, 0, sizeof lmtp.mails);
    memset(lmtp.asked, 0, sizeof lmtp.asked);
    lmtp.most_open = lmtp.open;
    lmtp.record_count = lmtp.quits = 0;
}

/* ---------------------------------------------------------------- what it does */

static enum lmtp_deed deed_of(unsigned number, enum lmtp_step step, struct slice to)
{
    struct lmtp_plan *plan = &lmtp.plan[number];
    if (lmtp.deed != NULL)
        return lmtp.deed(number, step, to);
    if (plan->times == 0 || plan->at != step ||
        (plan->to != NULL && !slice_starts_nocase(to, slice_cstr(plan->to))))
        return LMTP_PLAYS;
    plan->times--;
    return plan->deed;
}

static void hang(struct lmtp_session *session)
{
    struct slice bytes;
    while (stream_peek(&session->stream, &bytes) == 0)
        stream_consume(&session->stream, bytes.size);
}

/* False: the connection is over. */
static bool answer(struct lmtp_session *session, enum lmtp_deed deed, const char *text)
{
    struct stream *stream = &session->stream;
    switch (deed) {
    case LMTP_PLAYS:
        stream_write(stream, slice_cstr(text));
        return true;
    case LMTP_LATER:
        stream_write(stream, SLICE("451 4.3.0 not now\r\n"));
        return true;
    case LMTP_NO:
        stream_write(stream, SLICE("550 5.1.1 nobody of that name\r\n"));
        return true;
    case LMTP_BABBLES:
        stream_write(stream, SLICE("well, what?\r\n"));
        return true;
    case LMTP_BUSY:
        stream_write(stream, SLICE("421 4.3.2 too much to do\r\n"));
        return false;
    case LMTP_HANGS:
        hang(session);
        return false;
    default:
        return false;
    }
}

static void note(const struct lmtp_session *session, unsigned to, uint32_t crc, size_t size,
                 bool is_answered)
{
    check(lmtp.record_count < LMTP_RECORDS_MAX);
    struct lmtp_record *record = &lmtp.records[lmtp.record_count++];
    *record = (struct lmtp_record){
        .backend = session->number, .crc = crc, .size = size, .is_answered = is_answered};
    memcpy(record->to, session->to[to], sizeof record->to);
}

/* The message has come: an answer for each. What is not answered may have been taken. */
static bool end_message(struct lmtp_session *session, uint32_t crc, size_t size)
{
    unsigned count = session->to_count;
    if (lmtp.think_ns > 0)
        fiber_sleep(session->stream.core, lmtp.think_ns);
    session->to_count = 0;
    for (unsigned i = 0; i < count; i++) {
        enum lmtp_deed deed = deed_of(session->number, LMTP_END, slice_cstr(session->to[i]));
        bool is_over = deed == LMTP_CLOSES || deed == LMTP_HANGS || deed == LMTP_BABBLES;
        for (unsigned k = i; is_over && k < count; k++)
            note(session, k, crc, size, false);
        if (deed == LMTP_PLAYS)
            note(session, i, crc, size, true);
        if (!answer(session, deed, "250 2.1.5 saved\r\n") || is_over)
            return false;
    }
    return true;
}

static bool data(struct lmtp_session *session)
{
    uint32_t crc = 0;
    size_t size = 0;
    struct slice line;
    if (session->to_count == 0)
        return answer(session, LMTP_PLAYS, "503 5.5.1 for whom?\r\n");
    enum lmtp_deed deed = deed_of(session->number, LMTP_DATA, SLICE(""));
    if (deed != LMTP_PLAYS)
        return answer(session, deed, "");
    answer(session, LMTP_PLAYS, "354 go on\r\n");
    while (stream_read_line(&session->stream, 60000, &line) == 0) {
        if (slice_equal(line, SLICE(".")))
            return end_message(session, crc, size);
        if (line.size > 0 && line.data[0] == '.')
            line = slice_from(line, 1);
        crc = crc32c(crc32c(crc, line.data, line.size), "\r\n", 2);
        size += line.size + 2;
    }
    return false;
}

static bool chunk(struct lmtp_session *session, struct slice arguments)
{
    uint64_t size;
    uint32_t crc = 0;
    struct slice bytes;
    enum lmtp_deed deed = deed_of(session->number, LMTP_DATA, SLICE(""));
    check(slice_number(slice_first(arguments, slice_find(arguments, ' ')), 1 << 30, &size));
    for (size_t left = size; left > 0; left -= bytes.size) {
        if (stream_peek(&session->stream, &bytes) < 0)
            return false;
        bytes = slice_first(bytes, left);
        crc = crc32c(crc, bytes.data, bytes.size);
        stream_consume(&session->stream, bytes.size);
    }
    if (session->to_count == 0)
        return answer(session, LMTP_PLAYS, "503 5.5.1 for whom?\r\n");
    if (deed == LMTP_PLAYS)
        return end_message(session, crc, size);
    return answer(session, deed, "");
}

/* ---------------------------------------------------------------- a session */

static void path_copy(struct slice line, char text[80])
{
    struct slice path = slice_from(line, slice_find(line, '<') + 1);
    path = slice_first(path, slice_find(path, '>'));
    snprintf(text, 80, "%.*s", (int)path.size, path.data != NULL ? path.data : "");
}

static bool mail(struct lmtp_session *session, struct slice line)
{
    enum lmtp_deed deed = deed_of(session->number, LMTP_MAIL, SLICE(""));
    path_copy(line, lmtp.from);
    lmtp.mails[session->number]++;
    session->to_count = 0;
    session->has_mail = deed == LMTP_PLAYS;
    return answer(session, deed, "250 2.1.0 yes\r\n");
}

static bool rcpt(struct lmtp_session *session, struct slice line)
{
    check(session->to_count < TO_MAX);
    if (!session->has_mail)
        return answer(session, LMTP_PLAYS, "503 5.5.1 from whom?\r\n");
    char *to = session->to[session->to_count];
    path_copy(line, to);
    enum lmtp_deed deed = deed_of(session->number, LMTP_RCPT, slice_cstr(to));
    lmtp.asked[session->number]++;
    session->to_count += deed == LMTP_PLAYS;
    return answer(session, deed, "250 2.1.5 he is here\r\n");
}

static bool lhlo(struct lmtp_session *session)
{
    enum lmtp_deed deed = deed_of(session->number, LMTP_LHLO, SLICE(""));
    return answer(session, deed,
                  lmtp.with_chunking ? "250-b\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n"
                                     : "250-b\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
}

static bool command(struct lmtp_session *session, struct slice line)
{
    if (slice_starts_nocase(line, SLICE("LHLO ")))
        return lhlo(session);
    if (slice_starts_nocase(line, SLICE("MAIL ")))
        return mail(session, line);
    if (slice_starts_nocase(line, SLICE("RCPT ")))
        return rcpt(session, line);
    if (slice_starts_nocase(line, SLICE("DATA")))
        return data(session);
    if (slice_starts_nocase(line, SLICE("BDAT ")))
        return chunk(session, slice_from(line, 5));
    if (slice_starts_nocase(line, SLICE("RSET")))
        return answer(session, LMTP_PLAYS, "250 2.0.0 forgotten\r\n");
    check(slice_equal_nocase(line, SLICE("QUIT")));
    lmtp.quits++;
    answer(session, LMTP_PLAYS, "221 2.0.0 bye\r\n");
    return false;
}

static void session_fiber(void *argument)
{
    struct lmtp_session *session = argument;
    struct slice line;
    bool goes_on =
        answer(session, deed_of(session->number, LMTP_CONNECT, SLICE("")), "220 b LMTP\r\n");
    while (goes_on && stream_read_line(&session->stream, 2000, &line) == 0)
        goes_on = command(session, line);
    stream_close(&session->stream);
}

static void session_input(struct stream *stream)
{
    (void)stream; /* its fiber looks */
}

static void session_released(struct stream *stream)
{
    lmtp.open--;
    free(stream);
}

static const struct stream_owner session_owner = {.input = session_input,
                                                  .released = session_released};

static bool accepted(struct core *core, unsigned slot, void *argument)
{
    struct lmtp_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return false;
    session->number = (unsigned)(uintptr_t)argument;
    lmtp.connections[session->number]++;
    lmtp.open++;
    if (lmtp.open > lmtp.most_open)
        lmtp.most_open = lmtp.open;
    stream_open(&session->stream, core, slot, &session_owner);
    stream_deadline(&session->stream, core_now_ns(core) + 400000 * MS);
    if (fiber_start(core, session_fiber, session) < 0)
        stream_close(&session->stream);
    return true;
}

int lmtp_open(struct core *core, struct listener *listeners[LMTP_BACKENDS])
{
    for (unsigned i = 0; i < LMTP_BACKENDS; i++) {
        struct listener_options options = {
            .address = "127.0.0.1",
            .port = lmtp_port(i),
            .connections_max = 100,
            .accepted = accepted,
            .argument = (void *)(uintptr_t)i,
        };
        int result = listener_open(core, &options, &listeners[i]);
        if (result < 0) {
            while (i-- > 0)
                listener_close(listeners[i]);
            return result;
        }
    }
    return 0;
}

void lmtp_close(struct core *core, struct listener *listeners[LMTP_BACKENDS])
{
    for (unsigned i = 0; i < LMTP_BACKENDS; i++)
        listener_close(listeners[i]);
    while (lmtp.open > 0)
        fiber_sleep(core, 4 * MS);
}

unsigned lmtp_count(const char *to, struct slice message, unsigned *ret_backend)
{
    uint32_t crc = crc32c(0, message.data, message.size);
    unsigned count = 0;
    *ret_backend = LMTP_BACKENDS;
    for (unsigned i = 0; i < lmtp.record_count; i++) {
        const struct lmtp_record *record = &lmtp.records[i];
        if (strcmp(record->to, to) != 0 || record->crc != crc || record->size != message.size)
            continue;
        *ret_backend = record->backend;
        count++;
    }
    return count;
}

/* ---------------------------------------------------------------- the world */

static void told(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s\n", what);
}

void relay_world_make(struct relay_world *world, unsigned backends)
{
    *world = (struct relay_world){
        .backends = backends,
        .options = {.name = SLICE("pool"),
                    .connect_ms_max = 1000,
                    .login_ms_max = 2000,
                    .down_after = 100,
                    .up_after = 1,
                    .affinity_ms = 60000,
                    .login = BACKEND_LOGIN_FORWARD},
        .relay = {.cache_entries_max = 1000,
                  .known_ms = 60000,
                  .unknown_ms = 60000,
                  .verify_ms_max = 2000,
                  .deliver_ms_max = 2000},
    };
}

void relay_world_table(struct relay_world *world, unsigned cores)
{
    static const char *const names[LMTP_BACKENDS] = {"b0", "b1", "b2", "b3",
                                                     "b4", "b5", "b6", "b7"};
    for (unsigned i = 0; i < world->backends; i++) {
        world->members[i] = (struct backend_options){
            .name = slice_cstr(names[i]), .family = 4, .address = {127, 0, 0, 1}, .weight = 1};
        world->members[i].ports[BACKEND_LMTP] =
            (uint16_t)lmtp_port(world->dead >> i & 1 ? LMTP_BACKENDS : i);
    }
    world->options.backends = world->members;
    world->options.backend_count = world->backends;
    check_equal(backend_states_make(cores, &world->states), 0);
    check_equal(backend_table_make(world->states, &world->options, 1, told, NULL, &world->table),
                0);
    world->pool = backend_pool_find(world->table, SLICE("pool"));
}

static void wait_all(struct core *core, _Atomic unsigned *count, unsigned wanted)
{
    while (atomic_load(count) < wanted)
        fiber_sleep(core, 8 * MS);
}

static int ready(struct core *core, void *argument)
{
    struct relay_world *world = argument;
    struct listener *listeners[LMTP_BACKENDS];
    check_equal(net_open(core), 0);
    check_equal(backends_open(core, world->states, world->table), 0);
    atomic_fetch_add(&world->opened, 1);
    wait_all(core, &world->opened, CORES);
    if (core_index(core) == 0) {
        check_equal(lmtp_open(core, listeners), 0);
        check_equal(relay_open(core, &world->relay), 0);
        world->body(core, world);
        relay_close(core);
        lmtp_close(core, listeners);
        atomic_fetch_add(&world->done, 1);
    }
    wait_all(core, &world->done, 1);
    fiber_sleep(core, 50 * MS); /* what was left on the other core */
    for (unsigned i = 0; i < world->pool->member_count; i++)
        check_equal(atomic_load(&world->pool->members[i].backend->sessions), 0);
    backends_close(core);
    for (int i = 0; i < 100 && core_busy(core) > 0; i++) /* listeners are being closed */
        fiber_sleep(core, 10 * MS);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    net_close(core);
    if (atomic_fetch_add(&world->closed, 1) + 1 == CORES)
        harness_stop(core);
    return 0;
}

void relay_world_run(struct relay_world *world)
{
    struct engine_options options = {
        .core_count = CORES,
        .connections_max = 200,
        .buffers = 64,
        .fibers_max = 200,
        .stack_bytes = 65536,
        .connects = true,
    };
    memset(&lmtp, 0, sizeof lmtp);
    relay_world_table(world, CORES);
    check_equal(harness_run(&options, ready, world), 0);
    for (unsigned i = 0; i < world->pool->member_count; i++)
        check_equal(atomic_load(&world->pool->members[i].backend->users), 0);
    backend_table_free(world->table);
    backend_states_free(world->states);
}

struct relay_sender relay_sender_double(void)
{
    return (struct relay_sender){
        .client = {.family = 4,
                   .address = {192, 0, 2, 7},
                   .port = 4711,
                   .our_family = 4,
                   .our_address = {198, 51, 100, 1},
                   .our_port = 24,
                   .session_id = SLICE("s1"),
                   .hello = SLICE("client.example"),
                   .ttl = BACKEND_TTL_FIRST},
    };
}

struct relay_recipient relay_recipient_double(const struct relay_world *world, const char *address)
{
    return (struct relay_recipient){
        .pool = world->pool,
        .user = slice_cstr(address),
        .address = slice_cstr(address),
        .result = 77,
    };
}

/* ---------------------------------------------------------------- letters */

#define BODY "Subject: a letter\r\n\r\nOne line.\r\n.\r\n..and dots\r\n"

struct letter *letter_make(void)
{
    struct letter *letter = calloc(1, sizeof *letter);
    check(letter != NULL);
    letter->message = (struct relay_message){
        .from = SLICE("sender@example.org"), .bytes = SLICE(BODY), .body = RELAY_8BITMIME};
    return letter;
}

struct relay_recipient *letter_to(struct letter *letter, const struct relay_world *world,
                                  const char *name)
{
    check(letter->count < LETTER_MAX);
    char *text = letter->names[letter->count];
    snprintf(text, sizeof letter->names[0], "%s@example.com", name);
    letter->to[letter->count] = relay_recipient_double(world, text);
    return &letter->to[letter->count++];
}

void letter_send(struct core *core, struct letter *letter)
{
    struct relay_sender sender = relay_sender_double();
    for (unsigned i = 0; i < letter->count; i++)
        letter->to[i].result = 77;
    relay_deliver(core, &sender, &letter->message, letter->to, letter->count);
}

void check_reply(const struct relay_recipient *recipient, int result, const char *reply)
{
    bool is_right =
        recipient->result == result && strncmp(recipient->reply, reply, strlen(reply)) == 0;
    if (!is_right)
        fprintf(stderr, "%.*s: %d %s\n  want: %d %s\n", (int)recipient->user.size,
                recipient->user.data, recipient->result, recipient->reply, result, reply);
    check(is_right);
}

unsigned where(const struct letter *letter, unsigned index)
{
    unsigned backend;
    check_equal(lmtp_count(letter->names[index], letter->message.bytes, &backend), 1);
    return backend;
}

unsigned bound_to(struct core *core, const struct relay_world *world, const char *user)
{
    struct backend_whereabouts whereabouts;
    check_equal(backend_whereabouts(core, world->pool, slice_cstr(user), &whereabouts), 0);
    if (whereabouts.current[0] == '\0')
        return LMTP_BACKENDS;
    return (unsigned)(whereabouts.current[strlen("pool/b")] - '0');
}

unsigned hashed_to(struct core *core, const struct relay_world *world, const char *user)
{
    struct backend_whereabouts whereabouts;
    check_equal(backend_whereabouts(core, world->pool, slice_cstr(user), &whereabouts), 0);
    return (unsigned)(whereabouts.hashed[strlen("pool/b")] - '0');
}

void name_of(struct core *core, const struct relay_world *world, unsigned backend, unsigned n,
             char name[40])
{
    char user[80];
    for (unsigned i = 0;; i++) {
        snprintf(name, 40, "user%u", i);
        snprintf(user, sizeof user, "%s@example.com", name);
        if (hashed_to(core, world, user) == backend && n-- == 0)
            return;
        check(i < 100000);
    }
}

uint64_t relay_counter(struct core *core, enum counter which)
{
    return core_counters(core)->value[which];
}
