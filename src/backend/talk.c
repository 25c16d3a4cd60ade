/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all dialects do on a connection: read lines within bounds, send batches, shake hands, and
 * tell what an answer to the log-in is worth.
 *
 * While a line is waited for, `gone` is asked every half second: a client that has left does not
 * keep a log-in at a slow backend. The stream's deadline is what wakes the reader; only when the
 * conversation's own time is over it is one.
 */
#include "talk.h"

static const uint64_t GLANCE_NS = UINT64_C(500000000);

int talk_fail(struct talk *talk, const char *problem)
{
    talk->problem = problem;
    return -EAGAIN;
}

/* Certificates and versions are not mended while somebody waits. TLS 1.3 refuses our certificate
 * behind our handshake: in place of the greeting. */
static int unfit(struct talk *talk)
{
    const char *problem = stream_tls_problem(talk->stream);
    talk->is_unfit = !talk->is_greeted && !talk->is_stale;
    return talk_fail(talk, problem != NULL ? problem : "TLS failed");
}

static int ended(struct talk *talk, int result)
{
    if (result == -ECANCELED && talk->gone != NULL && talk->gone(talk->argument)) {
        talk->problem = "the client left";
        return -ECANCELED;
    }
    if (result == -EPROTO)
        return unfit(talk);
    return talk_fail(talk, result == -ETIMEDOUT    ? "timed out"
                           : result == -EPIPE      ? "closed the connection"
                           : result == -ECONNRESET ? "reset the connection"
                           : result == -ENOMEM     ? "out of memory"
                                                   : "the connection broke");
}

/* One step of waiting. -EINPROGRESS: go on. */
static int glance(struct talk *talk)
{
    if (talk->gone != NULL && talk->gone(talk->argument))
        return ended(talk, -ECANCELED);
    if (core_now_ns(talk->core) >= talk->deadline_ns)
        return ended(talk, -ETIMEDOUT);
    stream_resume(talk->stream);
    if (talk->stream->end == -ETIMEDOUT) /* not by our deadline: it stays, whoever asks again */
        return ended(talk, -ETIMEDOUT);
    return -EINPROGRESS;
}

static void glance_set(struct talk *talk)
{
    uint64_t due_ns = talk->deadline_ns;
    if (talk->gone != NULL && core_now_ns(talk->core) + GLANCE_NS < due_ns)
        due_ns = core_now_ns(talk->core) + GLANCE_NS;
    stream_deadline(talk->stream, due_ns);
}

int talk_line(struct talk *talk, struct slice *ret_line)
{
    int result;
    do {
        glance_set(talk);
        result = stream_read_line(talk->stream, TALK_LINE_BYTES_MAX, ret_line);
    } while (result == -ETIMEDOUT && (result = glance(talk)) == -EINPROGRESS);
    stream_deadline(talk->stream, talk->deadline_ns);
    if (result == -EAGAIN || (result == -ECANCELED && talk->problem != NULL))
        return result; /* said by glance */
    if (result == -EMSGSIZE)
        return talk_fail(talk, "sent a line that is too long");
    if (result == -EBADMSG || (result == 0 && memchr(ret_line->data, 0, ret_line->size) != NULL))
        return talk_fail(talk, "sent a line that is none");
    if (result < 0)
        return ended(talk, result);
    talk->bytes += ret_line->size + 2;
    if (++talk->lines > TALK_LINES_MAX || talk->bytes > TALK_BYTES_MAX)
        return talk_fail(talk, "sent too much before its answer");
    return 0;
}

int talk_skip(struct talk *talk, size_t size)
{
    talk->bytes += size;
    if (talk->bytes > TALK_BYTES_MAX)
        return talk_fail(talk, "sent too much before its answer");
    while (size > 0) {
        struct slice bytes;
        int result;
        do {
            glance_set(talk);
            result = stream_peek(talk->stream, &bytes);
        } while (result == -ETIMEDOUT && (result = glance(talk)) == -EINPROGRESS);
        stream_deadline(talk->stream, talk->deadline_ns);
        if (result < 0)
            return result == -EAGAIN || talk->problem != NULL ? result : ended(talk, result);
        bytes = slice_first(bytes, size);
        size -= bytes.size;
        stream_consume(talk->stream, bytes.size);
    }
    return 0;
}

int talk_send(struct talk *talk)
{
    struct speech *speech = &talk->speech;
    int result = 0;
    if (talk->gone != NULL && talk->gone(talk->argument))
        result = ended(talk, -ECANCELED);
    else if (speech->failed)
        result = talk_fail(talk, "the log-in is too long");
    else if (speech->size > 0) {
        stream_deadline(talk->stream, talk->deadline_ns);
        result = stream_send(talk->stream, slice_of(speech->bytes, speech->size));
        if (result < 0) /* it may have said why before it closed */
            result =
                talk->stream->end == -EPIPE || talk->stream->end == 0 ? 0 : ended(talk, result);
    }
    speech_wipe(speech);
    talk->lines = 0;
    talk->bytes = 0;
    return result;
}

int talk_secure(struct talk *talk)
{
    if (stream_unread(talk->stream) > 0)
        return talk_fail(talk, "sent clear text behind its answer to STARTTLS");
    struct tls_client *client = backend_tls_client(talk->core, talk->member->pool);
    if (client == NULL)
        return talk_fail(talk, "TLS is not set up");
    stream_deadline(talk->stream, talk->deadline_ns);
    struct tls_session *session =
        talk->may_resume ? resume_take(talk->core, talk->member, talk->protocol) : NULL;
    int result = stream_secure_client(talk->stream, client, talk->host, session);
    if (session != NULL && (result == -EPROTO || result == -EPIPE || result == -ECONNRESET)) {
        resume_failed(talk->core, talk->member, talk->protocol);
        talk->is_stale = true;
    }
    tls_session_free(session);
    offer_clear(&talk->now); /* what was said in clear */
    return result < 0 ? ended(talk, result) : 0;
}

/* ---------------------------------------------------------------- the log-in */

int talk_judge(struct talk *talk, const struct reply *reply)
{
    struct backend_answer *answer = talk->answer;
    enum verdict verdict = verdict_of(talk->protocol, reply);
    text_clean(reply->text, answer->text, sizeof answer->text);
    if (verdict == VERDICT_IN)
        return 0;
    if ((reply->said == SAID_NO || reply->said == SAID_BYE) &&
        referral_of(reply, &talk->referral)) {
        text_clean(talk->referral.host, talk->referral_host, sizeof talk->referral_host);
        talk->referral.host = slice_cstr(talk->referral_host);
        talk->problem = "refers to another backend";
        return -EXDEV;
    }
    talk->is_final = verdict != VERDICT_LATER;
    answer->code = code_told(talk->protocol, reply);
    if (verdict == VERDICT_LOOP) { /* else each gateway on the way would try again */
        talk->problem = "says that servers refer to each other in a circle";
        return -ELOOP;
    }
    if (verdict == VERDICT_LIMIT) {
        talk->problem = "the user has too many connections";
        return -EUSERS;
    }
    if (verdict == VERDICT_WRONG && talk->credentials->is_clients)
        return -EACCES;
    return talk_fail(talk, verdict == VERDICT_WRONG
                               ? "refused the log-in that was not the client's own"
                           : reply->said == SAID_BYE ? "said good-bye"
                           : reply->said == SAID_NO  ? "refused the log-in for now"
                                                     : "did not understand the log-in");
}

const char *talk_mechanism(struct talk *talk, const char *word)
{
    static const char *const bearer = "OAUTHBEARER", *const x = "XOAUTH2";
    const struct credentials *credentials = talk->credentials;
    if (!credentials->is_token) {
        if (!talk->now.is_known || can(&talk->now, word, "PLAIN"))
            return "PLAIN";
        talk->problem = "does not offer PLAIN";
        return NULL;
    }
    bool is_x = credentials->mechanism == AUTH_XOAUTH2;
    const char *first = is_x ? x : bearer, *second = is_x ? bearer : x;
    if (!talk->now.is_known || can(&talk->now, word, first))
        return first;
    if (can(&talk->now, word, second))
        return second;
    talk->problem = "does not take tokens";
    return NULL;
}

/* As a GS2 header wants it (RFC 5801, section 4). */
static size_t escape(struct slice user, char *to)
{
    size_t size = 0;
    for (size_t i = 0; i < user.size && i < AUTH_USER_BYTES_MAX; i++) {
        if (user.data[i] != '=' && user.data[i] != ',') {
            to[size++] = user.data[i];
            continue;
        }
        memcpy(to + size, user.data[i] == '=' ? "=3D" : "=2C", 3);
        size += 3;
    }
    return size;
}

void talk_initial(struct talk *talk, const char *mechanism)
{
    const struct credentials *credentials = talk->credentials;
    char user[3 * AUTH_USER_BYTES_MAX];
    size_t user_size = escape(credentials->user, user);
    const struct slice nul = SLICE("\0"), who = credentials->master;
    if (mechanism[0] == 'P') {
        const struct slice plain[] = {who.data != NULL ? credentials->user : (struct slice){0}, nul,
                                      who.data != NULL ? who : credentials->user, nul,
                                      credentials->secret};
        say_base64(&talk->speech, plain, 5);
    } else if (mechanism[0] == 'X') {
        const struct slice token[] = {SLICE("user="), credentials->user, SLICE("\1auth=Bearer "),
                                      credentials->secret, SLICE("\1\1")};
        say_base64(&talk->speech, token, 5);
    } else {
        const struct slice token[] = {SLICE("n,a="), slice_of(user, user_size),
                                      SLICE(",\1auth=Bearer "), credentials->secret, SLICE("\1\1")};
        say_base64(&talk->speech, token, 5);
    }
}

const char *talk_resign(const char *mechanism)
{
    return mechanism[0] == 'O' ? "AQ==" : "";
}
