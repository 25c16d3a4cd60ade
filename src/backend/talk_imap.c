/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IMAP with a backend, up to the answer to the log-in (RFC 9051, RFC 3501).
 *
 *   * OK [CAPABILITY ...] ─▶ S STARTTLS ─▶ C CAPABILITY ─▶ I ID (...) + L LOGIN ... in one write
 *
 * CAPABILITY is asked for only when something depends on it and the greeting did not say it: in
 * clear (LOGINDISABLED), for a mechanism, or where the pool does not pipeline. Tagged answers must
 * come in the order of the commands; a tag that is not the next one ends the connection.
 */
#include "talk.h"

static const struct slice tag_ask = {"C", 1}, tag_id = {"I", 1}, tag_login = {"L", 1},
                          tag_tls = {"S", 1};

static bool has_imap(const struct offer *capabilities)
{
    return can(capabilities, "IMAP4rev1", NULL) || can(capabilities, "IMAP4rev2", NULL);
}

/* A code or a response "CAPABILITY ..." is taken in; else nothing is done. */
static bool take_capabilities(struct offer *capabilities, struct slice text)
{
    struct slice word = SLICE("CAPABILITY ");
    if (!slice_starts_nocase(text, word))
        return false;
    offer_clear(capabilities);
    offer_add_list(capabilities, slice_from(text, word.size));
    return true;
}

/* What follows the line up to its end, which literals are part of. */
static int skip_literals(struct talk *talk, struct slice line)
{
    size_t size;
    while (literal_at_end(line, TALK_BYTES_MAX, &size)) {
        int result = talk_skip(talk, size);
        if (result == 0)
            result = talk_line(talk, &line);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Up to the tagged answer, a continuation, or BYE. */
static int read_reply(struct talk *talk, struct slice tag, struct offer *capabilities,
                      struct reply *ret_reply)
{
    for (;;) {
        struct slice line;
        int result = talk_line(talk, &line);
        if (result < 0)
            return result;
        reply_imap(line, tag, ret_reply);
        if (ret_reply->said == SAID_NONSENSE)
            return talk_fail(talk, "sent what is no answer");
        if (ret_reply->said != SAID_OTHER)
            return 0;
        take_capabilities(capabilities, ret_reply->text);
        if ((result = skip_literals(talk, line)) < 0)
            return result;
    }
}

static int greet(struct talk *talk)
{
    struct slice line, ok = SLICE("* OK ");
    struct reply reply;
    int result = talk_line(talk, &line);
    if (result < 0)
        return result;
    reply_imap(line, SLICE("*"), &reply);
    if (reply.said == SAID_BYE)
        return talk_fail(talk, "said good-bye");
    if (slice_starts_nocase(line, SLICE("* PREAUTH")))
        return talk_fail(talk, "has logged in somebody already");
    if (!slice_starts_nocase(line, ok))
        return talk_fail(talk, "does not greet as IMAP does");
    struct slice text = slice_from(line, ok.size);
    if (text.size > 0 && text.data[0] == '[' &&
        take_capabilities(&talk->now, slice_from(slice_first(text, slice_find(text, ']')), 1)) &&
        !has_imap(&talk->now))
        return talk_fail(talk, "does not speak IMAP4rev1");
    return 0;
}

static int ask(struct talk *talk)
{
    struct reply reply;
    if (talk->now.is_known)
        return 0;
    say_text(&talk->speech, "C CAPABILITY\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, tag_ask, &talk->now, &reply);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK || !talk->now.is_known)
        return talk_fail(talk, "does not say what it can");
    return has_imap(&talk->now) ? 0 : talk_fail(talk, "does not speak IMAP4rev1");
}

static int start_tls(struct talk *talk)
{
    struct reply reply;
    if (talk->now.is_known && !can(&talk->now, "STARTTLS", NULL))
        return talk_fail(talk, "does not offer STARTTLS");
    say_text(&talk->speech, "S STARTTLS\r\n");
    int result = talk_send(talk);
    if (result == 0)
        result = read_reply(talk, tag_tls, &talk->now, &reply);
    if (result < 0)
        return result;
    if (reply.said != SAID_OK)
        return talk_fail(talk, "refused STARTTLS");
    return talk_secure(talk);
}

/* ---------------------------------------------------------------- the log-in */

/* Waits until the literal, or the response, may be sent. */
static int read_continuation(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, tag_login, &talk->after, &reply);
    if (result < 0 || reply.said == SAID_CONTINUE)
        return result;
    if (reply.said == SAID_OK)
        return talk_fail(talk, "answered before the log-in was sent");
    return talk_judge(talk, &reply);
}

static int read_id(struct talk *talk)
{
    struct reply reply;
    int result = read_reply(talk, tag_id, &talk->now, &reply);
    if (result < 0)
        return result;
    if (reply.said == SAID_BYE)
        return talk_fail(talk, "said good-bye");
    /* NO and BAD: it does not want to know. */
    return reply.said != SAID_CONTINUE ? 0 : talk_fail(talk, "sent what is no answer");
}

/* A user's name or a password as an argument; *is_id: ID's answer comes first. */
static int say_argument(struct talk *talk, struct slice text, bool *is_id)
{
    bool waits = !can(&talk->now, "LITERAL+", NULL) &&
                 (text.size > 4096 || !can(&talk->now, "LITERAL-", NULL));
    int result = 0;
    say_text(&talk->speech, " ");
    if (is_quotable(text)) {
        say_quoted(&talk->speech, text);
        return 0;
    }
    say_text(&talk->speech, "{");
    say_number(&talk->speech, (unsigned)text.size);
    say_text(&talk->speech, waits ? "}\r\n" : "+}\r\n");
    if (waits) {
        result = talk_send(talk);
        if (result == 0 && *is_id)
            result = read_id(talk);
        *is_id = false;
        if (result == 0)
            result = read_continuation(talk);
    }
    say(&talk->speech, text);
    return result;
}

static int say_login(struct talk *talk, bool *is_id)
{
    say_text(&talk->speech, "L LOGIN");
    int result = say_argument(talk, talk->credentials->user, is_id);
    if (result == 0)
        result = say_argument(talk, talk->credentials->secret, is_id);
    say_text(&talk->speech, "\r\n");
    return result;
}

/* *ret_is_asked: the first message is still to be asked for. */
static void say_authenticate(struct talk *talk, const char *mechanism, bool *ret_is_asked)
{
    say_text(&talk->speech, "L AUTHENTICATE ");
    say_text(&talk->speech, mechanism);
    *ret_is_asked = !can(&talk->now, "SASL-IR", NULL);
    if (!*ret_is_asked) {
        say_text(&talk->speech, " ");
        talk_initial(talk, mechanism);
    }
    say_text(&talk->speech, "\r\n");
}

static int read_verdict(struct talk *talk, const char *mechanism)
{
    struct reply reply;
    bool has_resigned = mechanism == NULL || !talk->credentials->is_token;
    int result;
    while ((result = read_reply(talk, tag_login, &talk->after, &reply)) == 0 &&
           reply.said == SAID_CONTINUE) {
        if (has_resigned)
            return talk_fail(talk, "asked for more than the log-in");
        has_resigned = true;
        say_text(&talk->speech, talk_resign(mechanism));
        say_text(&talk->speech, "\r\n");
        if ((result = talk_send(talk)) < 0)
            return result;
    }
    if (result < 0)
        return result;
    if (reply.said == SAID_OK)
        take_capabilities(&talk->after, reply.code);
    return talk_judge(talk, &reply);
}

/* How: *ret_mechanism NULL is LOGIN. */
static int choose_way(struct talk *talk, const char **ret_mechanism)
{
    const struct credentials *credentials = talk->credentials;
    bool needs_sasl = credentials->is_token || credentials->master.data != NULL;
    int result = 0;
    *ret_mechanism = NULL;
    if (!talk->now.is_known &&
        (needs_sasl || !talk->pool->pipelines || !stream_is_secure(talk->stream)))
        result = ask(talk);
    if (result < 0)
        return result;
    bool is_disabled = can(&talk->now, "LOGINDISABLED", NULL);
    if (needs_sasl ||
        ((is_disabled || !is_quotable(credentials->user) || !is_quotable(credentials->secret)) &&
         can(&talk->now, "AUTH", "PLAIN"))) {
        *ret_mechanism = talk_mechanism(talk, "AUTH");
        return *ret_mechanism != NULL ? 0 : -EAGAIN;
    }
    return is_disabled ? talk_fail(talk, "does not take passwords without TLS") : 0;
}

static int log_in(struct talk *talk)
{
    const char *mechanism;
    bool is_asked = false, is_id;
    int result = choose_way(talk, &mechanism);
    if (result < 0)
        return result;
    is_id = talk->pool->identity == BACKEND_IDENTITY_NATIVE && talk->client != NULL &&
            (!talk->now.is_known || can(&talk->now, "ID", NULL));
    if (is_id) {
        say_text(&talk->speech, "I ID ");
        identity_id(&talk->speech, talk->client);
        say_text(&talk->speech, "\r\n");
    }
    if (is_id && !talk->pool->pipelines) {
        is_id = false;
        if ((result = talk_send(talk)) < 0 || (result = read_id(talk)) < 0)
            return result;
    }
    if (mechanism != NULL)
        say_authenticate(talk, mechanism, &is_asked);
    else
        result = say_login(talk, &is_id);
    if (result == 0)
        result = talk_send(talk);
    if (result == 0 && is_id)
        result = read_id(talk);
    if (result == 0 && is_asked && (result = read_continuation(talk)) == 0) {
        talk_initial(talk, mechanism);
        say_text(&talk->speech, "\r\n");
        result = talk_send(talk);
    }
    return result < 0 ? result : read_verdict(talk, mechanism);
}

static void leave(struct talk *talk)
{
    stream_write(talk->stream, SLICE("Z LOGOUT\r\n"));
}

const struct dialect dialect_imap = {greet, ask, start_tls, log_in, leave};
