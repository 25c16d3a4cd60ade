/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * More large messages at once than there is memory for bodies: senders by DATA, BDAT and APPEND,
 * and one who stops in the middle, so that his part of it is held until his time is over. Whoever
 * waits for room is let on, or told to try again, in bounded time; somebody gets on in each round;
 * nobody waits for ever; and when the one who stopped is ended, all of the memory is back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../src/store/log_private.h"
#include "../script/host.h"
#include "../unit/harness.h"
#include "sim.h"

enum {
    PORT_BASE = 25,
    PORT_LMTP = PORT_BASE + 1,
    PORT_IMAP = PORT_BASE + 3,
    SENDERS = 9,
    SEEDS = 12,
    ROUNDS_MAX = 20,
    LINE_BYTES = 72,
    LINES = 11000,      /* 792 KB: a MiB of memory, when it has doubled twice */
    STOPS_AFTER = 8000, /* 576 KB: it has */
    HELD_BYTES = 1 << 20,
    BUDGET_BYTES = 3 << 20
};
static const uint64_t SECOND = UINT64_C(1000000000);
/* Each doubling may wait for 10 s; and all bytes travel. */
static const uint64_t ANSWER_NS_MAX = 90 * UINT64_C(1000000000);
/* data_ms_max of host_gateway, and its bytes at the lowest rate. */
static const uint64_t STALLED_NS_MAX =
    (600 + LINES * LINE_BYTES / 1000 + 60) * UINT64_C(1000000000);

enum kind { BY_DATA, BY_BDAT, BY_APPEND };

struct room {
    struct sim *sim;
    void *state;
    char *lines; /* LINES of them */
    struct log_core *shared;
    unsigned accepted, refused; /* answers to whole messages */
    unsigned working;           /* senders who have not got theirs through */
    bool has_stopped, is_over;
};

struct sender {
    struct room *room;
    enum kind kind;
    struct sim_client *client;
    struct sim_actor *actor;
};

/* ---------------------------------------------------------------- what is said */

static struct slice line_of(struct sender *sender, uint64_t ns_max)
{
    struct slice line;
    check(sim_actor_line(sender->actor, sender->client, ns_max, &line));
    return line;
}

static void say(struct sender *sender, const char *text, const char *answer)
{
    sim_client_text(sender->client, text);
    struct slice line = line_of(sender, 60 * SECOND);
    while (line.size > 3 && line.data[3] == '-')
        line = line_of(sender, 60 * SECOND);
    check(slice_starts_nocase(line, slice_cstr(answer)));
}

static void begin(struct sender *sender)
{
    bool is_imap = sender->kind == BY_APPEND;
    sender->client = sim_connect(sender->room->sim, "127.0.0.1", is_imap ? PORT_IMAP : PORT_LMTP);
    sim_client_segments(sender->client, SIM_SEGMENTS_WHOLE, 0);
    say(sender, "", is_imap ? "* OK" : "220");
    if (is_imap)
        say(sender, "a LOGIN anna@example.org secret\r\n", "a OK");
    else
        say(sender, "LHLO client.test\r\n", "250");
}

/* A message with a pause in it: true when it was taken, false: to be tried again. */
static bool send_message(struct sender *sender, uint64_t pause_ns)
{
    struct room *room = sender->room;
    size_t size = (size_t)LINES * LINE_BYTES;
    char text[100];
    if (sender->kind != BY_APPEND) {
        say(sender, "MAIL FROM:<>\r\n", "250");
        say(sender, "RCPT TO:<anna@example.org>\r\n", "250");
    }
    if (sender->kind == BY_DATA)
        sim_client_text(sender->client, "DATA\r\n");
    else if (sender->kind == BY_BDAT)
        snprintf(text, sizeof text, "BDAT %zu LAST\r\n", size);
    else
        snprintf(text, sizeof text, "b APPEND INBOX {%zu+}\r\n", size);
    if (sender->kind == BY_DATA) {
        struct slice line = line_of(sender, ANSWER_NS_MAX);
        if (slice_starts_nocase(line, SLICE("452")))
            return false;
        check(slice_starts_nocase(line, SLICE("354")));
    } else {
        sim_client_text(sender->client, text);
    }
    size_t half = (size_t)LINES / 2 * LINE_BYTES;
    sim_client_send(sender->client, room->lines, half);
    sim_actor_sleep(sender->actor, pause_ns); /* holding some, and wanting more */
    sim_client_send(sender->client, room->lines + half, size - half);
    if (sender->kind != BY_BDAT)
        sim_client_text(sender->client, sender->kind == BY_DATA ? ".\r\n" : "\r\n");
    struct slice line = line_of(sender, ANSWER_NS_MAX);
    bool is_taken =
        slice_starts_nocase(line, SLICE("250")) || slice_starts_nocase(line, SLICE("b OK"));
    check(is_taken || slice_starts_nocase(line, SLICE("452")) ||
          slice_starts_nocase(line, SLICE("b NO")));
    return is_taken;
}

/* ---------------------------------------------------------------- who says it */

static void send_until_taken(struct sim_actor *actor, void *argument)
{
    struct sender *sender = argument;
    struct room *room = sender->room;
    sender->actor = actor;
    begin(sender);
    while (!room->has_stopped)
        sim_actor_sleep(actor, SECOND / 100);
    for (unsigned round = 0; !send_message(sender, sim_below(room->sim, 15) * SECOND); round++) {
        room->refused++;
        check(round < ROUNDS_MAX);
        sim_actor_sleep(actor, sim_below(room->sim, 20) * SECOND);
    }
    room->accepted++;
    room->working--;
    sim_client_close(sender->client);
}

/* Most of it, and then nothing, for as long as he may. */
static void stop_in_the_middle(struct sim_actor *actor, void *argument)
{
    struct sender *sender = argument;
    struct room *room = sender->room;
    struct slice line;
    sender->actor = actor;
    sender->kind = BY_DATA;
    begin(sender);
    say(sender, "MAIL FROM:<>\r\n", "250");
    say(sender, "RCPT TO:<anna@example.org>\r\n", "250");
    say(sender, "DATA\r\n", "354");
    sim_client_send(sender->client, room->lines, (size_t)STOPS_AFTER * LINE_BYTES);
    sim_actor_sleep(actor, 5 * SECOND);
    check(room->shared->body_bytes == HELD_BYTES);
    room->has_stopped = true;
    uint64_t began_ns = sim_now_ns(room->sim);
    while (room->working > 0)
        sim_actor_sleep(actor, SECOND);
    check(sim_now_ns(room->sim) < began_ns + 500 * SECOND); /* not because he was ended */
    check(room->shared->body_bytes == HELD_BYTES);
    check(sim_actor_line(actor, sender->client, STALLED_NS_MAX, &line));
    check(slice_starts_nocase(line, SLICE("421")));
    check(!sim_actor_line(actor, sender->client, 60 * SECOND, &line));
    check(room->shared->body_bytes == 0);
    began_ns = sim_now_ns(room->sim);
    sender->kind = BY_BDAT;
    begin(sender);
    check(send_message(sender, 0)); /* nothing to wait for */
    check(sim_now_ns(room->sim) < began_ns + 5 * SECOND);
    sim_client_close(sender->client);
}

/* ---------------------------------------------------------------- the world */

static int open_body(struct core *core, void *argument)
{
    struct room *room = argument;
    int result = host_gateway.open(core, room->state);
    room->shared = core_local(core, CORE_LOCAL_LOG);
    room->shared->body_bytes_max = BUDGET_BYTES;
    return result;
}

static int close_body(struct core *core, void *argument)
{
    host_gateway.close(core, ((struct room *)argument)->state);
    return 0;
}

static bool all_done(void *argument)
{
    return sim_actors_done(((struct room *)argument)->sim);
}

static void play(uint64_t seed, char *lines, unsigned *refused)
{
    struct sim_options options;
    struct room room = {.lines = lines, .working = SENDERS};
    struct sender senders[SENDERS + 1];
    static const enum kind kinds[] = {BY_DATA, BY_BDAT, BY_DATA, BY_APPEND};
    sim_options_calm(&options, seed);
    options.disk_bytes = UINT64_C(256) << 20;
    options.engine.fibers_max = 100;
    options.engine.connections_max = 100;
    options.engine.buffers = 64;
    room.sim = sim_create(&options);
    sim_directory_make(room.sim, "/store");
    room.state = host_gateway.make(1, PORT_BASE, "/store");
    host_gateway.begin(room.state);
    check_equal(sim_start(room.sim), 0);
    check_equal(sim_run(room.sim, 0, open_body, &room), 0);
    for (unsigned i = 0; i <= SENDERS; i++) {
        senders[i] = (struct sender){.room = &room, .kind = kinds[i % 4]};
        sim_actor_start(room.sim, i < SENDERS ? send_until_taken : stop_in_the_middle, &senders[i]);
    }
    check_equal(sim_until(room.sim, all_done, &room, 7200 * SECOND), 0);
    check_equal(room.accepted, SENDERS);
    *refused += room.refused;
    check_equal(sim_run(room.sim, 0, close_body, &room), 0);
    check_equal(sim_stop(room.sim), 0);
    check(sim_failure(room.sim) == NULL);
    sim_destroy(room.sim);
    host_gateway.free(room.state);
}

int main(void)
{
    char *lines = malloc((size_t)LINES * LINE_BYTES);
    unsigned refused = 0;
    check(lines != NULL);
    memset(lines, 'x', (size_t)LINES * LINE_BYTES);
    for (size_t i = 0; i < LINES; i++)
        memcpy(lines + (i + 1) * LINE_BYTES - 2, "\r\n", 2);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(seed, lines, &refused);
    printf("%d messages in %d worlds, %u times put off\n", SEEDS * SENDERS, SEEDS, refused);
    check(refused > 0);               /* else there was room for all, and nothing was tried */
    check(refused < SEEDS * SENDERS); /* who waits is let on when there is room */
    free(lines);
    return 0;
}
