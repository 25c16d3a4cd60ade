/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Playing: step after step, each waiting for what it wants. Beside the script's clients goes an
 * honest one for each of the server's services, who asks between the steps and must always be
 * answered: nobody may suffer from what a client does.
 */
#include "play.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { VARIABLES_MAX = 32, VALUE_MAX = 200, HONEST_ASKS = 4, TEXT_MAX = 65536 };

struct variable {
    char name[SCRIPT_NAME_MAX], value[VALUE_MAX];
};

struct playing {
    struct play *play;
    const struct script_step *step;
    int clients[SCRIPT_CLIENTS_MAX]; /* place's numbers; -1 */
    struct variable variables[VARIABLES_MAX];
    unsigned variable_count;
    int honest[HOST_SERVICES_MAX];
    unsigned asked;
    bool honest_off;
};

/* ---------------------------------------------------------------- patterns */

static const char *value_of(struct playing *playing, struct slice name)
{
    for (unsigned i = 0; i < playing->variable_count; i++)
        if (slice_equal(name, slice_cstr(playing->variables[i].name)))
            return playing->variables[i].value;
    return NULL;
}

static void keep_value(struct playing *playing, struct slice name, struct slice value)
{
    if (playing->variable_count == VARIABLES_MAX || name.size >= SCRIPT_NAME_MAX ||
        value.size >= VALUE_MAX)
        return;
    struct variable *variable = &playing->variables[playing->variable_count++];
    memset(variable, 0, sizeof *variable);
    memcpy(variable->name, name.data, name.size);
    memcpy(variable->value, value.data, value.size);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || strchr("._-@<>", c) != NULL;
}

/* "${name}" at the start of the pattern: its name, and what is behind it. */
static bool is_variable(struct slice pattern, struct slice *ret_name, struct slice *ret_rest)
{
    if (pattern.size < 4 || pattern.data[0] != '$' || pattern.data[1] != '{')
        return false;
    size_t end = slice_find(pattern, '}');
    *ret_name = slice_of(pattern.data + 2, end - 2);
    *ret_rest = slice_from(pattern, end + 1);
    return end < pattern.size;
}

/* With the one backtracking point that `*` needs. playing may be NULL: no variables. */
static bool matches(struct playing *playing, struct slice text, struct slice pattern)
{
    struct slice star_text = {0}, star_pattern = {0}, name, rest;
    bool has_star = false;
    for (;;) {
        bool fits = false;
        if (pattern.size > 0 && pattern.data[0] == '*') {
            has_star = true;
            star_pattern = pattern = slice_from(pattern, 1);
            star_text = text;
            continue;
        }
        if (playing != NULL && is_variable(pattern, &name, &rest)) {
            const char *value = value_of(playing, name);
            size_t size = 0;
            if (value != NULL)
                size = strlen(value);
            else
                while (size < text.size && is_word(text.data[size]))
                    size++;
            fits = size > 0 && size <= text.size &&
                   (value == NULL || memcmp(value, text.data, size) == 0);
            if (fits) {
                if (value == NULL)
                    keep_value(playing, name, slice_first(text, size));
                text = slice_from(text, size);
                pattern = rest;
            }
        } else if (pattern.size > 0 && text.size > 0) {
            bool is_escape = pattern.data[0] == '\\' && pattern.size > 1;
            char c = pattern.data[is_escape];
            fits = c == text.data[0] || (!is_escape && c == '?');
            if (fits) {
                text = slice_from(text, 1);
                pattern = slice_from(pattern, is_escape ? 2 : 1);
            }
        } else if (pattern.size == 0 && text.size == 0) {
            return true;
        }
        if (fits)
            continue;
        if (!has_star || star_text.size == 0)
            return false;
        text = star_text = slice_from(star_text, 1);
        pattern = star_pattern;
    }
}

bool play_is_like(struct slice text, struct slice pattern)
{
    return matches(NULL, text, pattern);
}

/* ---------------------------------------------------------------- answers */

static enum play_end ended(struct playing *playing, enum play_end end, const char *what,
                           struct slice got)
{
    struct play *play = playing->play;
    play->line = playing->step->line;
    struct slice shown = slice_first(got, 200);
    snprintf(play->why, sizeof play->why, "%s%s%.*s%s", what, got.data != NULL ? ": \"" : "",
             (int)shown.size, shown.data != NULL ? shown.data : "", got.data != NULL ? "\"" : "");
    return end;
}

/* A line of the client, without CRLF; it stays unconsumed: *ret_size with its end. */
static enum play_end next_line(struct playing *playing, int client, struct slice *ret_line,
                               size_t *ret_size)
{
    struct place *place = playing->play->place;
    size_t seen = 0;
    for (;;) {
        struct slice bytes = place_received(place, client);
        size_t at = seen + slice_find(slice_from(bytes, seen), '\n');
        if (at < bytes.size) {
            *ret_size = at + 1;
            bool has_cr = at > 0 && bytes.data[at - 1] == '\r';
            *ret_line = slice_first(bytes, has_cr ? at - 1 : at);
            return PLAY_DONE;
        }
        if (place_state(place, client) != PLACE_OPEN)
            return ended(playing, PLAY_OTHER, "the connection has ended", bytes);
        seen = bytes.size;
        if (!place_wait(place, client, seen))
            return ended(playing, PLAY_SILENT, "neither an answer nor an end", bytes);
    }
}

static enum play_end expect_line(struct playing *playing, int client, bool until)
{
    struct slice line;
    size_t size;
    for (;;) {
        enum play_end end = next_line(playing, client, &line, &size);
        if (end != PLAY_DONE)
            return end;
        bool fits = matches(playing, line, playing->step->text);
        if (!fits && !until) {
            end = ended(playing, PLAY_OTHER, "another line", line);
            place_consume(playing->play->place, client, size);
            return end;
        }
        place_consume(playing->play->place, client, size);
        if (fits)
            return PLAY_DONE;
    }
}

static enum play_end expect_bytes(struct playing *playing, int client)
{
    struct place *place = playing->play->place;
    struct slice want = playing->step->text;
    for (;;) {
        struct slice got = place_received(place, client);
        size_t size = got.size < want.size ? got.size : want.size;
        if (size > 0 && memcmp(got.data, want.data, size) != 0)
            return ended(playing, PLAY_OTHER, "other bytes", got);
        if (size == want.size) {
            place_consume(place, client, size);
            return PLAY_DONE;
        }
        if (place_state(place, client) != PLACE_OPEN)
            return ended(playing, PLAY_OTHER, "the connection has ended", got);
        if (!place_wait(place, client, got.size))
            return ended(playing, PLAY_SILENT, "neither bytes nor an end", got);
    }
}

static enum play_end expect_close(struct playing *playing, int client)
{
    struct place *place = playing->play->place;
    while (place_state(place, client) == PLACE_OPEN && place_received(place, client).size == 0)
        if (!place_wait(place, client, 0))
            return ended(playing, PLAY_SILENT, "the connection does not end", (struct slice){0});
    if (place_received(place, client).size > 0)
        return ended(playing, PLAY_OTHER, "more bytes before the end",
                     place_received(place, client));
    return PLAY_DONE;
}

/* ---------------------------------------------------------------- sending */

static void send_line(struct playing *playing, int client)
{
    static char text[TEXT_MAX];
    size_t size = 0;
    struct slice from = playing->step->text, name, rest;
    while (from.size > 0 && size + VALUE_MAX + 2 < sizeof text) {
        if (is_variable(from, &name, &rest)) {
            const char *value = value_of(playing, name);
            size_t value_size = value == NULL ? 0 : strlen(value);
            memcpy(text + size, value == NULL ? "" : value, value_size);
            size += value_size;
            from = rest;
        } else {
            text[size++] = from.data[0];
            from = slice_from(from, 1);
        }
    }
    memcpy(text + size, "\r\n", 2);
    place_send(playing->play->place, client, text, size + 2);
}

static void send_often(struct playing *playing, int client)
{
    enum { BLOCK = 65536 };
    struct slice text = playing->step->text;
    uint64_t left = playing->step->count;
    if (left == 1 || text.size == 0 || text.size > BLOCK) {
        for (; left > 0 && text.size > 0; left--)
            place_send(playing->play->place, client, text.data, text.size);
        return;
    }
    char *block = malloc(BLOCK);
    size_t fit = BLOCK / text.size;
    if (block == NULL)
        abort();
    for (size_t i = 0; i < fit; i++)
        memcpy(block + i * text.size, text.data, text.size);
    while (left > 0) {
        size_t now = left < fit ? (size_t)left : fit;
        place_send(playing->play->place, client, block, now * text.size);
        left -= now;
    }
    free(block);
}

/* ---------------------------------------------------------------- the honest */

static enum play_end honest_answer(struct playing *playing, const struct host_service *service,
                                   int client, const char *pattern)
{
    struct slice line = {0};
    size_t size = 0;
    enum play_end end = next_line(playing, client, &line, &size);
    if (end == PLAY_DONE && !matches(NULL, line, slice_cstr(pattern)))
        end = ended(playing, PLAY_BROKEN, "another line", line);
    if (end != PLAY_DONE) {
        char why[sizeof playing->play->why];
        memcpy(why, playing->play->why, sizeof why);
        snprintf(playing->play->why, sizeof why, "the honest client of %s: %.500s", service->name,
                 why);
        return PLAY_BROKEN;
    }
    place_consume(playing->play->place, client, size);
    return PLAY_DONE;
}

static void honest_say(struct playing *playing, int client, const char *text)
{
    place_send(playing->play->place, client, text, strlen(text));
    place_send(playing->play->place, client, "\r\n", 2);
}

static enum play_end ask_honest(struct playing *playing)
{
    struct play *play = playing->play;
    const struct host_service *services = play->services;
    enum play_end end = PLAY_DONE;
    for (int i = 0; i < HOST_SERVICES_MAX && services[i].name != NULL && end == PLAY_DONE; i++) {
        if (playing->honest[i] < 0) {
            playing->honest[i] = place_connect(play->place, services[i].name);
            if (services[i].greeting != NULL)
                end =
                    honest_answer(playing, &services[i], playing->honest[i], services[i].greeting);
        }
        if (end == PLAY_DONE) {
            honest_say(playing, playing->honest[i], services[i].says);
            end = honest_answer(playing, &services[i], playing->honest[i], services[i].answer);
        }
        if (end == PLAY_DONE && playing->asked % HONEST_ASKS == HONEST_ASKS - 1) {
            honest_say(playing, playing->honest[i], services[i].goodbye);
            place_close(play->place, playing->honest[i]);
            playing->honest[i] = -1;
        }
    }
    playing->asked++;
    return end;
}

/* ---------------------------------------------------------------- steps */

static enum play_end down_and_up(struct playing *playing, enum place_crash how)
{
    struct place *place = playing->play->place;
    for (int i = 0; i < SCRIPT_CLIENTS_MAX; i++)
        playing->clients[i] = -1;
    for (int i = 0; i < HOST_SERVICES_MAX; i++) {
        if (playing->honest[i] >= 0)
            place_close(place, playing->honest[i]);
        playing->honest[i] = -1;
    }
    const char *why = place_down(place, how);
    if (why != NULL)
        return ended(playing, PLAY_BROKEN, why, (struct slice){0});
    for (int tries = 0;; tries++) { /* a lock may linger for a while */
        int result = place_start(place);
        if (result == 0)
            return PLAY_DONE;
        if (tries == 20 || result != -EWOULDBLOCK)
            return ended(playing, PLAY_OTHER, "it does not start again",
                         slice_cstr(strerror(-result)));
        place_pass(place, 500000000);
    }
}

static enum play_end check_counter(struct playing *playing)
{
    const struct script_step *step = playing->step;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        if (!slice_equal(step->text, slice_cstr(counter_rows[i].name)))
            continue;
        uint64_t value = place_counter(playing->play->place, (enum counter)i);
        bool holds = step->relation == '='   ? value == step->count
                     : step->relation == '<' ? value < step->count
                                             : value > step->count;
        char text[40];
        int size = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        return holds ? PLAY_DONE
                     : ended(playing, PLAY_OTHER, "the counter is", slice_of(text, (size_t)size));
    }
    return ended(playing, PLAY_BROKEN, "no such counter", step->text);
}

static enum play_end client_step(struct playing *playing, int client)
{
    struct place *place = playing->play->place;
    switch (playing->step->kind) {
    case SCRIPT_SEND:
        send_often(playing, client);
        return PLAY_DONE;
    case SCRIPT_SEND_LINE:
        send_line(playing, client);
        return PLAY_DONE;
    case SCRIPT_EXPECT_LINE:
        return expect_line(playing, client, false);
    case SCRIPT_EXPECT_UNTIL:
        return expect_line(playing, client, true);
    case SCRIPT_EXPECT_BYTES:
        return expect_bytes(playing, client);
    case SCRIPT_EXPECT_CLOSE:
        return expect_close(playing, client);
    case SCRIPT_CLOSE:
        place_close(place, client);
        return PLAY_DONE;
    case SCRIPT_HALF_CLOSE:
        place_half_close(place, client);
        return PLAY_DONE;
    case SCRIPT_RESET:
        place_reset(place, client);
        return PLAY_DONE;
    case SCRIPT_VANISH:
        place_vanish(place, client);
        return PLAY_DONE;
    case SCRIPT_PAUSE:
    case SCRIPT_RESUME:
        place_pause(place, client, playing->step->kind == SCRIPT_PAUSE);
        return PLAY_DONE;
    default:
        abort();
    }
}

static enum play_end step(struct playing *playing)
{
    const struct script_step *now = playing->step;
    struct place *place = playing->play->place;
    switch (now->kind) {
    case SCRIPT_CONNECT:
        playing->clients[now->client] = place_connect(place, now->text.data);
        if (place_state(place, playing->clients[now->client]) == PLACE_REFUSED)
            return ended(playing, PLAY_OTHER, "nobody listens", now->text);
        return PLAY_DONE;
    case SCRIPT_PASS:
        place_pass(place, now->count);
        return PLAY_DONE;
    case SCRIPT_RESTART:
        return down_and_up(playing, PLACE_RESTART);
    case SCRIPT_KILL:
        return down_and_up(playing, PLACE_KILL);
    case SCRIPT_POWER_CUT:
        return down_and_up(playing, PLACE_POWER_CUT);
    case SCRIPT_FAIL_STOP:
        return down_and_up(playing, PLACE_FAIL_STOP);
    case SCRIPT_COUNTER:
        return check_counter(playing);
    case SCRIPT_ACKED:
        playing->play->acked[now->count] = true;
        return PLAY_DONE;
    case SCRIPT_HONEST:
        playing->honest_off = now->count == 0;
        return PLAY_DONE;
    default:
        if (playing->clients[now->client] < 0)
            return ended(playing, PLAY_BROKEN, "this client is not connected", (struct slice){0});
        return client_step(playing, playing->clients[now->client]);
    }
}

static enum play_end play_steps(struct play *play, unsigned first, unsigned end)
{
    struct playing *playing = calloc(1, sizeof *playing);
    if (playing == NULL)
        abort();
    playing->play = play;
    for (int i = 0; i < SCRIPT_CLIENTS_MAX; i++)
        playing->clients[i] = -1;
    for (int i = 0; i < HOST_SERVICES_MAX; i++)
        playing->honest[i] = -1;
    enum play_end result = PLAY_DONE;
    for (unsigned i = first; i < end && result == PLAY_DONE; i++) {
        playing->step = &play->script->steps[i];
        result = step(playing);
        if (result == PLAY_DONE && play->with_honest && !playing->honest_off)
            result = ask_honest(playing);
    }
    for (int i = 0; i < SCRIPT_CLIENTS_MAX; i++)
        if (playing->clients[i] >= 0)
            place_close(play->place, playing->clients[i]);
    for (int i = 0; i < HOST_SERVICES_MAX; i++)
        if (playing->honest[i] >= 0)
            place_close(play->place, playing->honest[i]);
    free(playing);
    return result;
}

enum play_end play_main(struct play *play)
{
    return play_steps(play, 0, play->script->main_count);
}

enum play_end play_section(struct play *play, unsigned section)
{
    return play_steps(play, play->script->section_first[section],
                      play->script->section_first[section + 1]);
}
