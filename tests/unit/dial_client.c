/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client on a stream that connects.
 */
#include "dial_client.h"

static void dialed_input(struct stream *stream)
{
    ((struct dialed *)stream)->inputs++;
}

static void dialed_released(struct stream *stream)
{
    struct dialed *client = (struct dialed *)stream;
    check(!client->is_released);
    client->is_released = true;
    waiters_wake_all(stream->core, &client->gone);
}

const struct stream_owner dialed_owner = {.input = dialed_input, .released = dialed_released};

struct stream_target target_v4(unsigned port)
{
    return (struct stream_target){.family = 4, .address = {127, 0, 0, 1}, .port = (uint16_t)port};
}

int dial(struct core *core, struct dialed *client, const struct stream_target *target,
         uint64_t wait_ns)
{
    *client = (struct dialed){0};
    uint64_t deadline = wait_ns == 0 ? 0 : core_now_ns(core) + wait_ns;
    return stream_connect(&client->stream, core, target, deadline, &dialed_owner);
}

void dialed_line(struct dialed *client, char *text, size_t capacity)
{
    struct slice line;
    check_equal(stream_read_line(&client->stream, capacity - 1, &line), 0);
    memcpy(text, line.data, line.size);
    text[line.size] = '\0';
}

void dialed_ask(struct dialed *client, const char *question, const char *answer)
{
    char text[1000];
    stream_write(&client->stream, slice_cstr(question));
    dialed_line(client, text, sizeof text);
    if (strcmp(text, answer) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", text, answer);
    check(strcmp(text, answer) == 0);
}

void dialed_close(struct dialed *client)
{
    struct core *core = client->stream.core;
    stream_close(&client->stream);
    while (!client->is_released)
        waiters_wait(core, &client->gone, 0);
    check_equal(client->stream.slot, -1);
}

void dialed_quit(struct dialed *client)
{
    struct slice line;
    dialed_ask(client, "quit\r\n", "bye");
    check_equal(stream_read_line(&client->stream, 1000, &line), -EPIPE);
    dialed_close(client);
}
