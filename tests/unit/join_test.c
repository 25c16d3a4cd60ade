/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Joined streams: a client of the line server, with a front between them. All runs on one core's
 * fibers; at the end of each test no operation is in flight, no slot in use, no buffer away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "../../src/net/net_private.h"
#include "join_host.h"

/* More than the sockets on the way hold. */
static unsigned large(void)
{
    return harness_is_simulated() ? 3000000 : 50000000;
}

static struct tls_client *client_of_front(struct core *core)
{
    struct tls_client_options options = verifying(false);
    options.alpn = NULL;
    return made_client(core, &options);
}

static void wait_ms(struct core *core, unsigned ms)
{
    fiber_sleep(core, (uint64_t)ms * 1000000);
}

static const char word[] = "* still here\r\n";
static uint64_t said_behind; /* so much had passed */

/* In the core's turn, as whoever writes to a joined stream does. */
static void say(struct core *core, void *argument)
{
    (void)core;
    struct stream *client = argument;
    said_behind = ((struct pair *)((char *)client - offsetof(struct pair, client)))->passed_down;
    stream_write(client, slice_cstr(word));
}

/* ---------------------------------------------------------------- all is well */

static void pass_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client *tls = client_of_front(core);
    for (int i = 0; i < 4; i++) {
        struct front front = {.is_secure = i & 1, .tls = i & 2 ? tls : NULL};
        struct dialed client;
        front_open(&front, core);
        check_equal(front_dial(&front, &client, front.is_secure ? tls : NULL), 0);
        dialed_ask(&client, "hello\r\n", "hello");
        const struct pair *pair = front.last;
        check(stream_is_joined(&pair->client) && stream_is_joined(&pair->back));
        check(stream_is_at_rest(&pair->client) && stream_is_at_rest(&pair->back));
        check_equal(stream_stalled_ns(&pair->client), 0);
        front_bulk(&client, 700);
        front_bulk(&client, 900000);
        wait_ms(core, 100);
        check(stream_is_at_rest(&pair->client) && stream_is_at_rest(&pair->back));
        check_equal(stream_stalled_ns(&pair->client), 0);
        check_equal(stream_stalled_ns(&pair->back), 0);
        check_equal(buffer_lent(core), 0);
        uint64_t heard = stream_heard_ns(&pair->client);
        check(core_now_ns(core) - heard >= 90000000);
        dialed_ask(&client, "again\r\n", "again");
        check(stream_heard_ns(&pair->client) > heard);
        if (i == 0) {
            check_equal(pair->client.bytes_in, pair->back.bytes_out);
            check_equal(pair->passed_down, client.stream.bytes_in);
            check_equal(pair->passed_up, pair->back.bytes_out);
            check_equal(pair->passed_down, pair->client.bytes_out);
        }
        dialed_quit(&client);
        front_close(&front);
    }
    tls_client_free(tls);
}

/* X13: sent ahead of the joining, it is passed first, in order. */
static void ahead_body(struct core *core, struct world *world)
{
    (void)world;
    struct front front = {.wait_ns = 200000000};
    struct dialed client;
    front_open(&front, core);
    check_equal(front_dial(&front, &client, NULL), 0);
    stream_write(&client.stream, SLICE("one\r\ntwo\r\n"));
    wait_ms(core, 50);
    stream_write(&client.stream, SLICE("three\r\n"));
    dialed_ask(&client, "", "one");
    dialed_ask(&client, "", "two");
    dialed_ask(&client, "", "three");
    dialed_quit(&client);
    /* What was queued for the client goes before what lay unread. */
    front.greets = true;
    check_equal(front_dial(&front, &client, NULL), 0);
    dialed_ask(&client, "", "ready");
    dialed_ask(&client, "", "early");
    dialed_quit(&client);
    front.greets = false;
    /* And what ended before is told. */
    check_equal(front_dial(&front, &client, NULL), 0);
    stream_write(&client.stream, SLICE("one\r\n"));
    stream_flush(&client.stream);
    dialed_close(&client);
    front_close(&front);
}

/* ---------------------------------------------------------------- a peer that does not read */

/* Asks for much and reads only the first line; the pair when nothing moves any more. */
static struct pair *stall(struct front *front, struct dialed *client, struct tls_client *tls)
{
    char text[50];
    check_equal(front_dial(front, client, tls), 0);
    snprintf(text, sizeof text, "send %u\r\n", large());
    dialed_ask(client, text, "begin");
    struct pair *pair = front->last;
    for (uint64_t seen = 0, now; seen != (now = pair->back.bytes_in + pair->client.bytes_out);
         wait_ms(front->core, 400))
        seen = now;
    wait_ms(front->core, 20); /* J4: a turn after the last byte */
    check(pair->back.bytes_in < large());
    return pair;
}

/* Reads what is left of it, and no byte is wrong; how much there was. */
static uint64_t read_pattern(struct dialed *client, uint64_t size_max)
{
    struct slice bytes;
    uint64_t at = 0;
    while (at < size_max && stream_peek(&client->stream, &bytes) == 0) {
        bytes = slice_first(bytes, size_max - at);
        for (size_t i = 0; i < bytes.size; i++)
            check(bytes.data[i] == pattern(at + i));
        at += bytes.size;
        stream_consume(&client->stream, bytes.size);
    }
    return at;
}

static bool is_lent(const struct pair *pair) /* J4 */
{
    const struct net_passage *passage = pair->client.passage;
    bool is = input_is_lent(&pair->back);
    for (const struct stream_input *piece = passage ? passage->pieces : NULL; piece != NULL;
         piece = piece->next)
        is |= piece->buffer >= 0;
    return is;
}

static void stalled_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client *tls = client_of_front(core);
    for (int is_secure = 0; is_secure < 2; is_secure++) {
        struct front front = {.is_secure = is_secure};
        struct dialed client, other;
        front_open(&front, core);
        struct pair *pair = stall(&front, &client, is_secure ? tls : NULL);
        uint64_t since = stream_stalled_ns(&pair->client);
        check(since != 0 && core_now_ns(core) - since >= 100000000);
        check(!stream_is_at_rest(&pair->client) && stream_is_at_rest(&pair->back));
        /* one receive in bulk, or 64 KiB and what came while receiving was being stopped */
        check(stream_unread(&pair->back) > 0);
        if (pair->back.state & BULK)
            check(stream_unread(&pair->back) <= BULK_BUFFER_BYTES);
        check(stream_unread(&pair->back) <= (harness_is_simulated() ? 250000 : 1200000));
        check(!is_lent(pair));
        check_equal(front_dial(&front, &other, is_secure ? tls : NULL), 0);
        dialed_ask(&other, "hello\r\n", "hello"); /* others go on */
        dialed_quit(&other);
        check_equal(read_pattern(&client, large()), large());
        dialed_ask(&client, "", "end");
        wait_ms(core, 50);
        check_equal(stream_stalled_ns(&pair->client), 0);
        check(stream_is_at_rest(&pair->client));
        dialed_quit(&client);
        front_close(&front);
    }
    tls_client_free(tls);
}

/* ---------------------------------------------------------------- in bulk */

static bool is_in_bulk(const struct stream *stream)
{
    return stream->state & WANT_BULK;
}

static void bulk_body(struct core *core, struct world *world)
{
    (void)world;
    enum { CLIENTS = BULK_BUFFERS + 4, MUCH = 3000000 };
    struct front front = {0};
    struct dialed clients[CLIENTS];
    struct pair *pairs[CLIENTS];
    unsigned larger = 0;
    front_open(&front, core);
    for (unsigned i = 0; i < CLIENTS; i++) { /* nobody reads on: bulk buffers run out */
        check_equal(front_dial(&front, &clients[i], NULL), 0);
        dialed_ask(&clients[i], "send 3000000\r\n", "begin");
        pairs[i] = front.last;
    }
    wait_ms(core, 200);
    for (unsigned i = 0; i < CLIENTS; i++) {
        check_equal(read_pattern(&clients[i], MUCH), MUCH);
        dialed_ask(&clients[i], "", "end");
        check(!is_in_bulk(&pairs[i]->client));
        larger += pairs[i]->largest_down > BUFFER_BYTES;
    }
    check(larger > CLIENTS / 2);
    for (unsigned i = 0; i < CLIENTS; i++) {
        for (unsigned small = 0; small <= BULK_SMALL_MAX; small++)
            dialed_ask(&clients[i], "hello\r\n", "hello");
        check(!is_in_bulk(&pairs[i]->back));
    }
    wait_ms(core, 50);
    check_equal(buffer_lent(core), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        dialed_quit(&clients[i]);
    front_close(&front);
}

/* ---------------------------------------------------------------- ends */

/* X14: the back end is closed under a send: it is gone at once, and the client gets what was on its
 * way, a prefix, and no more. */
static void cut_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client *tls = client_of_front(core);
    for (int is_secure = 0; is_secure < 2; is_secure++) {
        struct front front = {.is_secure = is_secure, .keeps = true};
        struct dialed client;
        front_open(&front, core);
        struct pair *pair = stall(&front, &client, is_secure ? tls : NULL);
        stream_close(&pair->back);
        wait_ms(core, 100);
        check(pair->back_released && !pair->client_released);
        check(stream_is_joined(&pair->client) && pair->client_inputs == 0);
        in_turn(core, say, &pair->client); /* behind what is on its way */
        check(read_pattern(&client, pair->passed_down - strlen("begin\r\n")) > 0);
        dialed_ask(&client, "", "* still here");
        check_equal(stream_unread(&client.stream), 0);
        check_equal(pair->client_inputs, 0);
        dialed_close(&client);
        wait_ms(core, 200);
        check_equal(pair->client_inputs, 1);
        stream_close(&pair->client);
        front_close(&front);
    }
    tls_client_free(tls);
}

/* A deadline is told while all is stuck; after stream_resume all goes on. */
static void deadline_body(struct core *core, struct world *world)
{
    (void)world;
    struct front front = {.keeps = true};
    struct dialed client;
    front_open(&front, core);
    struct pair *pair = stall(&front, &client, NULL);
    stream_deadline(&pair->back, core_now_ns(core) + 100000000);
    wait_ms(core, 300);
    check_equal(pair->back.end, -ETIMEDOUT);
    check_equal(pair->back_inputs, 1);
    check_equal(pair->client_inputs, 0);
    stream_interrupt(&pair->client, -ECANCELED);
    stream_interrupt(&pair->client, -ECANCELED);
    wait_ms(core, 100);
    check_equal(pair->client.end, -ECANCELED);
    check_equal(pair->client_inputs, 1);
    stream_resume(&pair->back);
    stream_resume(&pair->client);
    check_equal(read_pattern(&client, large()), large());
    dialed_ask(&client, "", "end");
    dialed_ask(&client, "hello\r\n", "hello");
    check_equal(pair->back_inputs, 1);
    stream_interrupt(&pair->client, -ECANCELED);
    wait_ms(core, 100);
    check_equal(pair->client_inputs, 2);
    stream_close(&pair->client);
    stream_close(&pair->back);
    dialed_close(&client);
    front_close(&front);
}

/* X14: the back end says much and closes: the client, who reads late, gets all of it, and only then
 * is the front told. */
static void farewell_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client *tls = client_of_front(core);
    for (int i = 0; i < 4; i++) {
        struct front front = {.is_secure = i & 1, .tls = i & 2 ? tls : NULL};
        struct dialed client;
        char text[50];
        front_open(&front, core);
        check_equal(front_dial(&front, &client, front.is_secure ? tls : NULL), 0);
        snprintf(text, sizeof text, "send %u\r\nquit\r\n", large());
        dialed_ask(&client, text, "begin");
        wait_ms(core, 500);
        check_equal(front.last->back_inputs, 0);
        check_equal(read_pattern(&client, large()), large());
        dialed_ask(&client, "", "end");
        dialed_ask(&client, "", "bye");
        struct slice line;
        check_equal(stream_read_line(&client.stream, 100, &line), -EPIPE);
        dialed_close(&client);
        front_close(&front);
    }
    tls_client_free(tls);
}

/* X14: the client resets while much is on its way to it. */
static void gone_body(struct core *core, struct world *world)
{
    (void)world;
    for (int keeps = 0; keeps < 2; keeps++) {
        struct front front = {.keeps = keeps};
        struct dialed client;
        front_open(&front, core);
        struct pair *pair = stall(&front, &client, NULL);
        dialed_close(&client); /* with bytes unread: a reset */
        if (keeps) {
            wait_ms(core, 500);
            check_equal(pair->client_inputs, 1);
            check(pair->client.output_error != 0);
            check_equal(stream_stalled_ns(&pair->client), 0);
            check_equal(stream_unread(&pair->back), 0); /* dropped, and received on */
            stream_close(&pair->client);
            wait_ms(core, 500);
            check_equal(pair->client_released, true);
            stream_close(&pair->back);
        }
        front_close(&front);
    }
}

/* ---------------------------------------------------------------- words of our own */

/* Whatever is on its way, each word stands behind what has passed, and before what passes then. */
static void words_body(struct core *core, struct world *world)
{
    (void)world;
    enum { WORDS = 8 };
    struct tls_client *tls = client_of_front(core);
    for (int i = 0; i < 2; i++) {
        struct front front = {.is_secure = i};
        struct dialed client;
        uint64_t places[WORDS], at = 0, pattern_at = 0;
        char text[50];
        front_open(&front, core);
        check_equal(front_dial(&front, &client, i ? tls : NULL), 0);
        snprintf(text, sizeof text, "send %u\r\n", large());
        dialed_ask(&client, text, "begin");
        struct pair *pair = front.last;
        for (unsigned w = 0; w < WORDS; w++) {
            uint64_t part = large() / (2 * WORDS) * (w & 1); /* some are written behind another */
            char *data = malloc(part + 1);
            check(data != NULL);
            in_turn(core, say, &pair->client);
            places[w] = said_behind - strlen("begin\r\n") + w * strlen(word);
            for (unsigned v = 0; v < part; v++, at++) {
                if (v % 65536 == 0)
                    check_equal(stream_read_exact(&client.stream, data,
                                                  part - v < 65536 ? part - v : 65536),
                                0);
                unsigned k = 0;
                while (k <= w && !(at >= places[k] && at < places[k] + strlen(word)))
                    k++;
                check_equal(data[v % 65536], k <= w ? word[at - places[k]] : pattern(pattern_at++));
            }
            free(data);
        }
        stream_close(&pair->back);
        stream_close(&pair->client);
        dialed_close(&client);
        front_close(&front);
    }
    tls_client_free(tls);
}

/* ---------------------------------------------------------------- the list */

#define WORLD_TEST(name)                                                                           \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        struct world world = {.body = name##_body};                                                \
        run(&world);                                                                               \
    }

WORLD_TEST(pass)
WORLD_TEST(ahead)
WORLD_TEST(stalled)
WORLD_TEST(bulk)
WORLD_TEST(cut)
WORLD_TEST(deadline)
WORLD_TEST(farewell)
WORLD_TEST(gone)
WORLD_TEST(words)

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(pass), cmocka_unit_test(ahead),    cmocka_unit_test(stalled),
        cmocka_unit_test(cut),  cmocka_unit_test(deadline), cmocka_unit_test(farewell),
        cmocka_unit_test(gone), cmocka_unit_test(words),    cmocka_unit_test(bulk),
    };
    return cmocka_run_group_tests_name("join", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    return harness_main(tests);
}
