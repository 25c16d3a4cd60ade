/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POP3 with a backend, up to the answer to the log-in (RFC 1939, 2449, 2595, 5034).
 *
 *   +OK ─▶ [STLS] ─▶ [CAPA] ─▶ XCLIENT ... + USER + PASS, or AUTH, in one write
 *
 * CAPA costs a round trip and is asked for when a mechanism or XCLIENT depends on it. A password
 * that is refused in clear may have been refused for that: then CAPA tells (no USER).
 */
#include "talk.h"

enum { COMMAND_BYTES_MAX = 250 }; /* RFC 2449, section 4, without CRLF and a little more */

static int read_reply(struct talk *talk, struct reply *ret_reply)
{
    struct slice line;
    int result = talk_line(talk, &line);
    if (result < 0)
        return result;
    reply_pop3(line, ret_reply);
    return ret_reply->said != SAID_NONSENSE ? 0 : talk_fail(talk, "sent what is no answer");
}

static int greet(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, &reply);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, reply.said == SAID_NO ? "refused the connection"
                                                     : "does not greet as POP3 does");
    if (slice_equal_nocase(reply.code, SLICE("XCLIENT"))) { /* Dovecot, to those it trusts */
        offer_add(&talk->now, reply.code, (struct slice){0}, " ");
        talk->now.is_known = false;
    }
    return 0;
}

static int ask(struct talk *talk)
{
    struct reply reply;
    struct slice line;
    if (talk->now.is_known)
        return 0;
    say_text(&talk->speech, "CAPA\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, &reply);
    if (result < 0)
        return result;
    if (reply.said == SAID_CONTINUE)
        return talk_fail(talk, "sent what is no answer");
    talk->now.is_known = true; /* -ERR: it has no more than RFC 1939 */
    if (reply.said == SAID_NO)
        return 0;
    while ((result = talk_line(talk, &line)) == 0 && !slice_equal(line, SLICE("."))) {
        struct slice word = slice_first(line, slice_find(line, ' '));
        if (!can(&talk->now, "XCLIENT", NULL) || !slice_equal_nocase(word, SLICE("XCLIENT")))
            offer_add(&talk->now, word, slice_from(line, word.size + 1), " ");
    }
    return result;
}

static int start_tls(struct talk *talk)
{
    struct reply reply;
    say_text(&talk->speech, "STLS\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, &reply);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, "refused STLS");
    bool takes_xclient = can(&talk->now, "XCLIENT", NULL);
    result = talk_secure(talk);
    /* Dovecot says it in its greeting and never again; whoever has made that up in clear gets
     * nothing but an XCLIENT under TLS to a server that is verified. */
    if (result == 0 && takes_xclient) {
        offer_add(&talk->now, SLICE("XCLIENT"), (struct slice){0}, " ");
        talk->now.is_known = false; /* all else is still to be asked for */
    }
    return result;
}

/* ---------------------------------------------------------------- the log-in */

/* XCLIENT is said in lines of its own; *lines: how many answers to it are due. */
static int say_identity(struct talk *talk, unsigned *lines)
{
    unsigned at = 0;
    *lines = 0;
    if (talk->pool->identity != BACKEND_IDENTITY_NATIVE || talk->client == NULL)
        return 0;
    if (!can(&talk->now, "XCLIENT", NULL)) {
        int result = ask(talk);
        if (result < 0 || !can(&talk->now, "XCLIENT", NULL))
            return result;
    }
    while (identity_xclient(&talk->speech, talk->client, &talk->now, false, &at))
        ++*lines;
    return 0;
}

static int read_identity(struct talk *talk, unsigned lines)
{
    for (; lines > 0; lines--) {
        struct reply reply;
        int result = read_reply(talk, &reply);
        if (result < 0)
            return result;
        if (reply.said != SAID_OK)
            return talk_fail(talk, "refused XCLIENT");
    }
    return 0;
}

static int read_continuation(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, &reply);
    if (result < 0 || reply.said == SAID_CONTINUE)
        return result;
    if (reply.said == SAID_OK)
        return talk_fail(talk, "answered before the log-in was sent");
    return talk_judge(talk, &reply);
}

static int authenticate(struct talk *talk, const char *mechanism, unsigned lines)
{
    struct speech *speech = &talk->speech;
    bool has_resigned = !talk->credentials->is_token;
    struct reply reply;
    int result;
    say_text(speech, "AUTH ");
    say_text(speech, mechanism);
    size_t before = speech->size;
    say_text(speech, " ");
    talk_initial(talk, mechanism);
    bool is_asked = speech->size - before > COMMAND_BYTES_MAX - 20;
    if (is_asked) {
        explicit_bzero(speech->bytes + before, speech->size - before);
        speech->size = before;
    }
    say_text(speech, "\r\n");
    if ((result = talk_send(talk)) < 0 || (result = read_identity(talk, lines)) < 0)
        return result;
    if (is_asked) {
        if ((result = read_continuation(talk)) < 0)
            return result;
        talk_initial(talk, mechanism);
        say_text(speech, "\r\n");
        if ((result = talk_send(talk)) < 0)
            return result;
    }
    while ((result = read_reply(talk, &reply)) == 0 && reply.said == SAID_CONTINUE) {
        if (has_resigned)
            return talk_fail(talk, "asked for more than the log-in");
        has_resigned = true;
        say_text(speech, talk_resign(mechanism));
        say_text(speech, "\r\n");
        if ((result = talk_send(talk)) < 0)
            return result;
    }
    return result < 0 ? result : talk_judge(talk, &reply);
}

/* Refused in clear: was it for that? */
static int judge_refusal(struct talk *talk, const struct reply *reply)
{
    int result = talk_judge(talk, reply);
    if (result != -EACCES || stream_is_secure(talk->stream) || talk->now.is_known)
        return result;
    if (ask(talk) == 0 && talk->now.size > 0 && !can(&talk->now, "USER", NULL) &&
        !can(&talk->now, "SASL", "PLAIN"))
        return talk_fail(talk, "does not take passwords without TLS");
    talk->problem = NULL;
    return result;
}

static int user_and_password(struct talk *talk, unsigned lines)
{
    struct speech *speech = &talk->speech;
    struct reply reply;
    int result = 0;
    say_text(speech, "USER ");
    say(speech, talk->credentials->user);
    say_text(speech, "\r\n");
    if (!talk->pool->pipelines) {
        if ((result = talk_send(talk)) < 0 || (result = read_identity(talk, lines)) < 0 ||
            (result = read_reply(talk, &reply)) < 0)
            return result;
        if (reply.said != SAID_OK)
            return judge_refusal(talk, &reply);
    }
    say_text(speech, "PASS ");
    say(speech, talk->credentials->secret);
    say_text(speech, "\r\n");
    if ((result = talk_send(talk)) < 0)
        return result;
    if (talk->pool->pipelines) {
        if ((result = read_identity(talk, lines)) < 0 || (result = read_reply(talk, &reply)) < 0)
            return result;
        if (reply.said != SAID_OK) { /* of USER; what PASS is answered is read first */
            struct reply first = reply, second;
            char text[BACKEND_ANSWER_BYTES_MAX], code[64];
            text_clean(first.text, text, sizeof text);
            text_clean(first.code, code, sizeof code);
            first.text = slice_cstr(text);
            first.code = slice_cstr(code);
            if (read_reply(talk, &second) < 0)
                return talk_judge(talk, &first);
            return judge_refusal(talk, &first);
        }
    }
    result = read_reply(talk, &reply);
    return result < 0 ? result : judge_refusal(talk, &reply);
}

/* A line of USER or PASS. */
static bool is_line(struct slice text, bool blanks)
{
    return text.size > 0 && text.size <= COMMAND_BYTES_MAX &&
           (blanks || memchr(text.data, ' ', text.size) == NULL);
}

static int log_in(struct talk *talk)
{
    const struct credentials *credentials = talk->credentials;
    unsigned lines;
    bool needs_sasl = credentials->is_token || credentials->master.data != NULL ||
                      !is_line(credentials->user, false) || !is_line(credentials->secret, true);
    const char *mechanism = NULL;
    int result = needs_sasl ? ask(talk) : 0;
    if (result < 0)
        return result;
    if (needs_sasl && (mechanism = talk_mechanism(talk, "SASL")) == NULL)
        return -EAGAIN;
    if ((result = say_identity(talk, &lines)) < 0)
        return result;
    if (lines > 0 && !talk->pool->pipelines) {
        if ((result = talk_send(talk)) < 0 || (result = read_identity(talk, lines)) < 0)
            return result;
        lines = 0;
    }
    return mechanism != NULL ? authenticate(talk, mechanism, lines)
                             : user_and_password(talk, lines);
}

static void leave(struct talk *talk)
{
    stream_write(talk->stream, SLICE("QUIT\r\n"));
}

const struct dialect dialect_pop3 = {greet, ask, start_tls, log_in, leave};
