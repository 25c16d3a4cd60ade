/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ManageSieve with a backend, up to the answer to the log-in (RFC 5804).
 *
 *   capabilities, OK ─▶ [STARTTLS ─▶ capabilities, OK] ─▶ XCLIENT + AUTHENTICATE "PLAIN" "..."
 *
 * The backend says what it can without being asked, at its start and behind TLS.
 */
#include "talk.h"

enum { HELD_BYTES_MAX = 200 };

/* The capability of a line: "NAME" "VALUE". */
static void take_capability(struct offer *capabilities, struct slice line)
{
    char name_text[TALK_STRING_BYTES_MAX], value_text[TALK_STRING_BYTES_MAX];
    struct slice name, value, rest;
    if (!sieve_string(line, name_text, &name, &rest))
        return;
    if (rest.size == 0 || !sieve_string(slice_from(rest, 1), value_text, &value, &rest))
        value = (struct slice){0};
    offer_add(capabilities, name, value, " ");
}

/* A literal is dropped, and the line that follows it belongs to the same. `held` keeps what the
 * reply still needs of its line. */
static int drop_literals(struct talk *talk, struct slice line, struct reply *reply,
                         char held[HELD_BYTES_MAX])
{
    size_t size;
    if (!literal_at_end(line, TALK_BYTES_MAX, &size))
        return 0;
    text_clean(reply->code, held, HELD_BYTES_MAX);
    reply->code = slice_cstr(held);
    reply->text = (struct slice){0};
    do {
        int result = talk_skip(talk, size);
        if (result == 0)
            result = talk_line(talk, &line);
        if (result < 0)
            return result;
    } while (literal_at_end(line, TALK_BYTES_MAX, &size));
    return 0;
}

/* Up to OK, NO or BYE; with `capabilities` strings before it are theirs, else the first one is a
 * challenge (SAID_CONTINUE). */
static int read_reply(struct talk *talk, struct offer *capabilities, struct reply *ret_reply,
                      char held[HELD_BYTES_MAX])
{
    for (;;) {
        struct slice line;
        int result = talk_line(talk, &line);
        if (result < 0)
            return result;
        reply_sieve(line, ret_reply);
        if (ret_reply->said == SAID_NONSENSE)
            return talk_fail(talk, "sent what is no answer");
        if (ret_reply->said == SAID_OTHER && capabilities != NULL)
            take_capability(capabilities, line);
        if ((result = drop_literals(talk, line, ret_reply, held)) < 0)
            return result;
        if (ret_reply->said == SAID_OTHER && capabilities == NULL)
            ret_reply->said = SAID_CONTINUE;
        if (ret_reply->said != SAID_OTHER)
            return 0;
    }
}

static int greet(struct talk *talk)
{
    struct reply reply;
    char held[HELD_BYTES_MAX];
    int result = read_reply(talk, &talk->now, &reply, held);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, "refused the connection");
    if (!talk->now.is_known)
        return talk_fail(talk, "does not greet as ManageSieve does");
    return 0;
}

static int ask(struct talk *talk)
{
    return talk->now.is_known ? 0 : talk_fail(talk, "does not say what it can");
}

static int start_tls(struct talk *talk)
{
    struct reply reply;
    char held[HELD_BYTES_MAX];
    if (!can(&talk->now, "STARTTLS", NULL))
        return talk_fail(talk, "does not offer STARTTLS");
    say_text(&talk->speech, "STARTTLS\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, NULL, &reply, held);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, "refused STARTTLS");
    result = talk_secure(talk);
    return result < 0 ? result : greet(talk);
}

/* ---------------------------------------------------------------- the log-in */

/* Its text is a string. */
static int judge(struct talk *talk, struct reply *reply)
{
    char text[TALK_STRING_BYTES_MAX];
    struct slice rest;
    if (!sieve_string(reply->text, text, &reply->text, &rest))
        reply->text = (struct slice){0};
    return talk_judge(talk, reply);
}

static int identify(struct talk *talk, unsigned *ret_lines)
{
    unsigned at = 0, lines = 0;
    *ret_lines = 0;
    if (talk->pool->identity != BACKEND_IDENTITY_NATIVE || talk->client == NULL ||
        !can(&talk->now, "XCLIENT", NULL))
        return 0;
    while (identity_xclient(&talk->speech, talk->client, &talk->now, false, &at))
        lines++;
    *ret_lines = lines;
    return talk->pool->pipelines ? 0 : talk_send(talk);
}

static int read_identity(struct talk *talk, unsigned lines)
{
    for (; lines > 0; lines--) {
        struct reply reply;
        char held[HELD_BYTES_MAX];
        int result = read_reply(talk, NULL, &reply, held);
        if (result < 0)
            return result;
        if (reply.said != SAID_OK)
            return talk_fail(talk, "refused XCLIENT");
    }
    return 0;
}

/* A quoted string, or from some size on a literal, which is not waited for. */
static void say_initial(struct talk *talk, const char *mechanism)
{
    const struct credentials *credentials = talk->credentials;
    struct speech *speech = &talk->speech;
    bool is_short =
        2 * credentials->user.size + credentials->master.size + credentials->secret.size < 600;
    if (is_short) {
        say_text(speech, "\"");
        talk_initial(talk, mechanism);
        say_text(speech, "\"\r\n");
        return;
    }
    size_t before = speech->size;
    talk_initial(talk, mechanism); /* to learn its size */
    size_t size = speech->failed ? 0 : speech->size - before;
    explicit_bzero(speech->bytes + before, size);
    speech->size = before;
    say_text(speech, "{");
    say_number(speech, (unsigned)size);
    say_text(speech, "+}\r\n");
    talk_initial(talk, mechanism);
    say_text(speech, "\r\n");
}

static int log_in(struct talk *talk)
{
    struct speech *speech = &talk->speech;
    bool has_resigned = !talk->credentials->is_token;
    struct reply reply;
    char held[HELD_BYTES_MAX];
    unsigned lines;
    const char *mechanism = talk_mechanism(talk, "SASL");
    if (mechanism == NULL)
        return -EAGAIN;
    int result = identify(talk, &lines);
    if (result == 0 && !talk->pool->pipelines) {
        result = read_identity(talk, lines);
        lines = 0;
    }
    if (result < 0)
        return result;
    say_text(speech, "AUTHENTICATE \"");
    say_text(speech, mechanism);
    say_text(speech, "\" ");
    say_initial(talk, mechanism);
    if ((result = talk_send(talk)) < 0 || (result = read_identity(talk, lines)) < 0)
        return result;
    while ((result = read_reply(talk, NULL, &reply, held)) == 0 && reply.said == SAID_CONTINUE) {
        if (has_resigned)
            return talk_fail(talk, "asked for more than the log-in");
        has_resigned = true;
        say_text(speech, "\"");
        say_text(speech, talk_resign(mechanism));
        say_text(speech, "\"\r\n");
        if ((result = talk_send(talk)) < 0)
            return result;
    }
    if (result < 0 || (result = judge(talk, &reply)) < 0)
        return result;
    talk->after = talk->now;
    return 0;
}

static void leave(struct talk *talk)
{
    stream_write(talk->stream, SLICE("LOGOUT\r\n"));
}

const struct dialect dialect_sieve = {greet, ask, start_tls, log_in, leave};
