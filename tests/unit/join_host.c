/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The front of tests of joined streams.
 */
#include "join_host.h"

#include <stdlib.h>
#include <unistd.h>

static const struct tls_service front_service = {NULL, 9};

unsigned front_port(void)
{
    return harness_ports(26800, 100, 1);
}

static struct pair *pair_of(struct stream *stream, bool *ret_is_client)
{
    *ret_is_client = stream->owner->secured != NULL;
    size_t offset = *ret_is_client ? offsetof(struct pair, client) : offsetof(struct pair, back);
    return (struct pair *)((char *)stream - offset);
}

static void ended(struct stream *stream)
{
    bool is_client;
    struct pair *pair = pair_of(stream, &is_client);
    if (!pair->is_joined) /* it is told again then */
        return;
    check(stream->end != 0 || stream->output_error != 0);
    *(is_client ? &pair->client_inputs : &pair->back_inputs) += 1;
    if (pair->front->keeps)
        return;
    stream_close(&pair->client);
    stream_close(&pair->back);
}

static void released(struct stream *stream)
{
    bool is_client;
    struct pair *pair = pair_of(stream, &is_client);
    *(is_client ? &pair->client_released : &pair->back_released) = true;
    if (--pair->open > 0) {
        if (!pair->front->keeps)
            stream_close(is_client ? &pair->back : &pair->client);
        return;
    }
    if (pair->front->last == pair)
        pair->front->last = NULL;
    pair->front->pairs--;
    free(pair);
}

static void passes(struct stream *from, struct slice bytes)
{
    bool is_client;
    struct pair *pair = pair_of(from, &is_client);
    check(bytes.size > 0);
    *(is_client ? &pair->passed_up : &pair->passed_down) += bytes.size;
    if (!is_client && bytes.size > pair->largest_down)
        pair->largest_down = bytes.size;
}

static const struct stream_observer observer = {.passes = passes};
static const struct stream_owner back_owner = {.input = ended, .released = released};

static void give_up(struct pair *pair)
{
    pair->front->keeps = false;
    stream_close(&pair->client);
}

static void pair_main(void *argument)
{
    struct pair *pair = argument;
    struct front *front = pair->front;
    struct stream_target target = target_v4(port_base() + (front->tls ? 0 : 1));
    if (front->wait_ns > 0)
        fiber_sleep(front->core, front->wait_ns);
    if (stream_connect(&pair->back, front->core, &target, core_now_ns(front->core) + 20 * SECOND_NS,
                       &back_owner) < 0) {
        give_up(pair);
        return;
    }
    pair->open++;
    stream_deadline(&pair->back, core_now_ns(front->core) + 20 * SECOND_NS);
    if (front->tls != NULL && stream_secure_client(&pair->back, front->tls, one, NULL) < 0) {
        give_up(pair);
        stream_close(&pair->back);
        return;
    }
    stream_deadline(&pair->back, 0);
    if (front->greets) {
        stream_write(&pair->back, SLICE("early\r\n"));
        while (stream_unread(&pair->back) < strlen("early\r\n") && pair->back.end == 0)
            fiber_sleep(front->core, 8000000);
        stream_write(&pair->client, SLICE("ready\r\n"));
    }
    pair->is_joined = true;
    stream_join(&pair->client, &pair->back, &observer);
}

static void begin(struct stream *stream)
{
    bool is_client;
    struct pair *pair = pair_of(stream, &is_client);
    if (fiber_start(pair->front->core, pair_main, pair) < 0)
        stream_close(stream);
}

static const struct stream_owner client_owner = {
    .input = ended, .released = released, .secured = begin};

static void handshake_ended(struct stream *stream)
{
    bool is_client;
    const struct pair *pair = pair_of(stream, &is_client);
    if (!stream_is_secure(stream) && stream->end != 0 && !pair->is_joined)
        stream_close(stream);
    else
        ended(stream);
}

static const struct stream_owner secure_owner = {
    .input = handshake_ended, .released = released, .secured = begin};

static bool accepted(struct core *core, unsigned slot, void *argument)
{
    struct front *front = argument;
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        return false;
    *pair = (struct pair){.front = front, .open = 1};
    front->pairs++;
    front->last = pair;
    stream_open(&pair->client, core, slot, front->is_secure ? &secure_owner : &client_owner);
    if (!front->is_secure)
        begin(&pair->client);
    else if (stream_secure(&pair->client, &front_service, false) < 0)
        stream_close(&pair->client);
    return true;
}

void front_open(struct front *front, struct core *core)
{
    struct listener_options options = {.address = "127.0.0.1",
                                       .port = front_port(),
                                       .connections_max = 200,
                                       .accepted = accepted,
                                       .argument = front};
    front->core = core;
    check_equal(listener_open(core, &options, &front->listener), 0);
}

void front_close(struct front *front)
{
    uint64_t until = core_now_ns(front->core) + 60 * SECOND_NS;
    listener_close(front->listener);
    while (front->pairs > 0) {
        check(core_now_ns(front->core) < until && "a pair stays");
        fiber_sleep(front->core, 8000000);
    }
    /* Until nobody listens: who dials the next front must not get into the backlog of this one. */
    struct stream_target target = target_v4(front_port());
    struct dialed late;
    while (dial(front->core, &late, &target, 20 * SECOND_NS) == 0) {
        check(core_now_ns(front->core) < until && "the listener stays");
        dialed_close(&late);
        fiber_sleep(front->core, 8000000);
    }
}

int front_dial(struct front *front, struct dialed *client, struct tls_client *tls)
{
    struct stream_target target = target_v4(front_port());
    int result = dial(front->core, client, &target, 20 * SECOND_NS);
    if (result < 0 || tls == NULL)
        return result;
    stream_deadline(&client->stream, core_now_ns(front->core) + 20 * SECOND_NS);
    result = stream_secure_client(&client->stream, tls, one, NULL);
    stream_deadline(&client->stream, 0);
    return result;
}

struct pair *front_joined(struct front *front)
{
    while (front->last == NULL || !front->last->is_joined)
        fiber_sleep(front->core, 8000000);
    return front->last;
}

void front_bulk(struct dialed *client, unsigned size)
{
    char *data = malloc(size), text[100];
    check(data != NULL);
    pattern_fill(data, size, 0);
    snprintf(text, sizeof text, "sink %u\r\n", size);
    stream_write(&client->stream, slice_cstr(text));
    check_equal(stream_send(&client->stream, slice_of(data, size)), 0);
    snprintf(text, sizeof text, "got %u", size);
    dialed_ask(client, "", text);
    for (int is_send = 0; is_send < 2; is_send++) {
        snprintf(text, sizeof text, "%s %u\r\n", is_send ? "send" : "write", size);
        dialed_ask(client, text, "begin");
        memset(data, 0, size);
        check_equal(stream_read_exact(&client->stream, data, size), 0);
        for (unsigned i = 0; i < size; i++)
            check_equal(data[i], pattern(i));
        dialed_ask(client, "", "end");
    }
    free(data);
}
