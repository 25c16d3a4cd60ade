/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Submission and LMTP with a backend: up to the answer to the log-in (RFC 4954), and up to where a
 * transaction may begin (RFC 2033).
 *
 *   220 ─▶ EHLO ─▶ [STARTTLS ─▶ EHLO] ─▶ [XCLIENT ... ─▶ 220 ─▶ EHLO] ─▶ AUTH
 *
 * Nothing is pipelined: what EHLO is answered decides about all that follows, and both STARTTLS and
 * XCLIENT begin the session anew.
 */
#include "talk.h"

enum { COMMAND_BYTES_MAX = 510 }; /* RFC 5321, section 4.5.3.1.4, without CRLF */

/* All lines of one reply; the last one in *ret_reply. `capabilities`, or NULL, takes all lines but
 * the first. */
static int read_reply(struct talk *talk, struct offer *capabilities, struct reply *ret_reply)
{
    unsigned number = 0;
    bool is_first = true;
    do {
        struct slice line;
        int result = talk_line(talk, &line);
        if (result < 0)
            return result;
        reply_smtp(line, ret_reply);
        if (ret_reply->said == SAID_NONSENSE || (!is_first && ret_reply->number != number))
            return talk_fail(talk, "sent what is no answer");
        number = ret_reply->number;
        struct slice text = ret_reply->text, word = slice_first(text, slice_find(text, ' '));
        if (capabilities != NULL && !is_first && ret_reply->said == SAID_OK)
            offer_add(capabilities, word, slice_from(text, word.size + 1), " ");
        is_first = false;
    } while (ret_reply->is_more);
    return 0;
}

static int greet(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, NULL, &reply);
    if (result < 0)
        return result;
    if (reply.said == SAID_BYE || reply.said == SAID_NO)
        return talk_fail(talk, "refused the connection");
    return reply.number == 220 ? 0 : talk_fail(talk, "does not greet as SMTP does");
}

static int ask(struct talk *talk)
{
    struct reply reply;
    char name[64] = "";
    const struct backend_client *client = talk->client;
    if (talk->now.is_known)
        return 0;
    if (client != NULL)
        address_text(client->our_family, client->our_address, "IPv6:", name);
    say_text(&talk->speech, talk->protocol == BACKEND_LMTP ? "LHLO " : "EHLO ");
    say_text(&talk->speech, name[0] != '\0' ? "[" : "localhost");
    say_text(&talk->speech, name);
    say_text(&talk->speech, name[0] != '\0' ? "]\r\n" : "\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, &talk->now, &reply);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, "refused EHLO");
    talk->now.is_known = true;
    return 0;
}

static int start_tls(struct talk *talk)
{
    struct reply reply;
    int result = ask(talk);
    if (result < 0)
        return result;
    if (!can(&talk->now, "STARTTLS", NULL))
        return talk_fail(talk, "does not offer STARTTLS");
    say_text(&talk->speech, "STARTTLS\r\n");
    if ((result = talk_send(talk)) < 0 || (result = read_reply(talk, NULL, &reply)) < 0)
        return result;
    if (reply.number != 220)
        return talk_fail(talk, "refused STARTTLS");
    return talk_secure(talk);
}

/* ---------------------------------------------------------------- the log-in */

static int identify(struct talk *talk)
{
    unsigned at = 0;
    bool is_told = false;
    int result = ask(talk);
    if (result < 0 || talk->pool->identity != BACKEND_IDENTITY_NATIVE || talk->client == NULL)
        return result;
    while (identity_xclient(&talk->speech, talk->client, &talk->now, true, &at)) {
        struct reply reply;
        if ((result = talk_send(talk)) < 0 || (result = read_reply(talk, NULL, &reply)) < 0)
            return result;
        if (reply.said != SAID_OK)
            return talk_fail(talk, "refused XCLIENT");
        is_told = true;
    }
    if (!is_told)
        return 0;
    offer_clear(&talk->now);
    return ask(talk);
}

/* 334; or what else it said. */
static int read_continuation(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, NULL, &reply);
    if (result < 0 || reply.number == 334)
        return result;
    if (reply.said == SAID_OK)
        return talk_fail(talk, "answered before the log-in was sent");
    return talk_judge(talk, &reply);
}

static int read_verdict(struct talk *talk, const char *mechanism)
{
    bool has_resigned = !talk->credentials->is_token;
    struct reply reply;
    int result;
    while ((result = read_reply(talk, NULL, &reply)) == 0 && reply.said == SAID_CONTINUE) {
        if (has_resigned || reply.number != 334)
            return talk_fail(talk, "asked for more than the log-in");
        has_resigned = true;
        say_text(&talk->speech, talk_resign(mechanism));
        say_text(&talk->speech, "\r\n");
        if ((result = talk_send(talk)) < 0)
            return result;
    }
    if (result < 0)
        return result;
    if (reply.said == SAID_OK && reply.number != 235)
        return talk_fail(talk, "sent what is no answer");
    return talk_judge(talk, &reply);
}

static int log_in(struct talk *talk)
{
    struct speech *speech = &talk->speech;
    int result = identify(talk);
    if (result < 0)
        return result;
    const char *mechanism = talk_mechanism(talk, "AUTH");
    if (mechanism == NULL)
        return -EAGAIN;
    say_text(speech, "AUTH ");
    say_text(speech, mechanism);
    size_t before = speech->size;
    say_text(speech, " ");
    talk_initial(talk, mechanism);
    if (speech->size > COMMAND_BYTES_MAX) {
        explicit_bzero(speech->bytes + before, speech->size - before);
        speech->size = before;
        say_text(speech, "\r\n");
        if ((result = talk_send(talk)) < 0 || (result = read_continuation(talk)) < 0)
            return result;
        talk_initial(talk, mechanism);
    }
    say_text(speech, "\r\n");
    if ((result = talk_send(talk)) < 0 || (result = read_verdict(talk, mechanism)) < 0)
        return result;
    talk->after = talk->now;
    return 0;
}

/* LHLO is as good as the greeting: one that hangs there is given up as soon. */
static int settle(struct talk *talk)
{
    uint64_t deadline_ns = talk->deadline_ns;
    uint64_t connect_ns = core_now_ns(talk->core) + talk->pool->connect_ms_max * 1000000;
    if (talk->pool->connect_ms_max > 0 && connect_ns < deadline_ns)
        talk->deadline_ns = connect_ns;
    int result = identify(talk);
    talk->deadline_ns = deadline_ns;
    talk->after = talk->now;
    return result;
}

static void leave(struct talk *talk)
{
    stream_write(talk->stream, SLICE("QUIT\r\n"));
}

const struct dialect dialect_smtp = {greet, ask, start_tls, log_in, leave};
const struct dialect dialect_lmtp = {greet, ask, start_tls, settle, leave};
