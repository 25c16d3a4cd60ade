/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Logging in, for all protocols alike: who the client is, the password or the mechanism's messages
 * checked, the answer held back as auth asks for, the session's user set. What is said about it is
 * the protocol's.
 *
 *   AUTH mechanism [initial] ─▶ base64 ─▶ auth_sasl ⇄ converse: prompt + base64 ─▶ line ─▶ base64
 *
 * Where the service fronts, what was shown is kept in session->login until a backend has seen it.
 * Its verdict may be the first (session_login_judged); when it lets nobody in, the session has no
 * user again (session_log_out).
 *
 * Secrets are wiped where they came to lie: the command's arguments and each response's line.
 */
#include <stdlib.h>

#include "ringpost/base64.h"
#include "session_private.h"

enum {
    RESPONSE_BYTES_MAX = 12288, /* of a line, CRLF excluded (RFC 4954, 4) */
    PIECE_BYTES = 768           /* of a challenge, encoded at a time; a multiple of 3 */
};
static_assert(PIECE_BYTES % 3 == 0, "only the last piece has padding");
static_assert(RESPONSE_BYTES_MAX / 4 * 3 <= AUTH_MESSAGE_BYTES_MAX, "auth takes what is read");

/* ---------------------------------------------------------------- who the client is */

static void describe_certificate(struct session *session, const struct tls_info *info,
                                 struct auth_client *client)
{
    static const char digits[] = "0123456789abcdef";
    client->certificate_name = info->email.size > 0 ? info->email : info->common_name;
    client->certificate_subject = info->subject;
    client->certificate_issuer = info->issuer;
    client->certificate_serial = info->serial;
    char *text = arena_alloc(&session->arena, 2 * sizeof info->fingerprint);
    if (text == NULL)
        return;
    for (size_t i = 0; i < sizeof info->fingerprint; i++) {
        text[2 * i] = digits[info->fingerprint[i] >> 4];
        text[2 * i + 1] = digits[info->fingerprint[i] & 15];
    }
    client->certificate_fingerprint = slice_of(text, 2 * sizeof info->fingerprint);
}

static void describe(struct session *session, struct auth_client *ret_client)
{
    const struct stream *stream = &session->stream;
    const struct session_protocol *protocol = protocol_of(session);
    *ret_client = (struct auth_client){
        .address = stream->peer,
        .family = stream->peer_family,
        .port = stream->peer_port,
        .protocol = protocol->alpn != NULL ? protocol->alpn : protocol->name,
        .session_id = session->id,
        .attempt = session->logins,
        .is_secure = session_is_secure(session),
        .may_send_password = session_may_log_in(session),
        .hello = session->hello,
    };
    if (!ret_client->is_secure)
        return;
    struct tls_info info;
    stream_tls_info(stream, &info);
    ret_client->tls_version = info.version;
    ret_client->tls_cipher = info.cipher;
    ret_client->has_binding = stream_tls_binding(stream, ret_client->binding);
    if (info.has_certificate)
        describe_certificate(session, &info, ret_client);
}

void session_auth_client(struct session *session, struct auth_client *ret_client)
{
    session->logins++;
    describe(session, ret_client);
}

size_t session_mechanisms(struct session *session, char text[AUTH_MECHANISMS_BYTES_MAX])
{
    struct auth_client client;
    describe(session, &client);
    return auth_mechanisms(session_core(session), &client, text);
}

/* ---------------------------------------------------------------- the end of a try */

/* It was tried and was wrong, or was no message at all: not what is our failure, or the stream's.
 */
static bool is_clients_fault(const struct session *session, int result)
{
    switch (result) {
    case -EACCES:
    case -EINVAL:
    case -EPERM:
    case -ENOTSUP:
    case -EBADMSG:
    case -EMSGSIZE:
        return true;
    case -ECANCELED:
        return session->stream.end == 0;
    default:
        return false;
    }
}

static int finish(struct session *session, int result, const struct auth_result *answer)
{
    if (result == 0 || result == -EACCES)
        auth_wait(session_core(session), answer); /* right or wrong: silence tells nothing */
    if (is_clients_fault(session, result))
        session_count_error(session);
    return result == 0 ? session_logged_in(session, answer->user) : result;
}

/* ---------------------------------------------------------------- what a backend is to see */

/* Where the service fronts: as long as the log-in lasts. */
struct kept_login {
    struct session_login login; /* first */
    struct auth_proof proof;
    char memory[AUTH_PROOF_BYTES_MAX];
};

/* Before a try. 0; -ENOMEM. */
static int keep(struct session *session, struct kept_login **ret_kept)
{
    struct kept_login *kept = NULL;
    session_login_forget(session);
    if (session->service->front != NULL) {
        kept = malloc(sizeof *kept);
        if (kept == NULL)
            return -ENOMEM;
        kept->login = (struct session_login){0};
        kept->proof =
            (struct auth_proof){.memory = kept->memory, .memory_bytes = sizeof kept->memory};
        session->login = &kept->login;
    }
    *ret_kept = kept;
    return 0;
}

/* Behind it: its result. */
static int kept(struct session *session, struct kept_login *kept, int result,
                const struct auth_result *answer)
{
    if (kept == NULL)
        return result;
    if (result < 0) {
        session_login_forget(session);
        return result;
    }
    struct session_login *login = &kept->login;
    login->mechanism = kept->proof.mechanism;
    login->secret = kept->proof.secret;
    login->attributes = kept->proof.attributes;
    login->answer = *answer;
    login->answer.user = slice_of(login->answer.text, answer->user.size);
    login->user = login->answer.user;
    login->is_unverified = answer->is_unverified;
    return 0;
}

void session_login_forget(struct session *session)
{
    struct kept_login *kept = (struct kept_login *)session->login;
    if (kept == NULL)
        return;
    session->login = NULL;
    /* A4, as far as it was written: the rest would only push other things out of the cache. */
    size_t written = kept->proof.attributes.size + kept->proof.secret.size + 1;
    assert(written <= sizeof kept->memory);
    explicit_bzero(kept, offsetof(struct kept_login, memory) + written);
    free(kept);
}

void session_login_judged(struct session *session, bool is_right)
{
    struct auth_client client;
    struct auth_result *answer = &session->login->answer;
    describe(session, &client);
    auth_judged(session_core(session), &client, is_right, answer);
    session->login->is_unverified = false;
    if (is_right)
        return;
    auth_wait(session_core(session), answer);
    session_count_error(session);
}

/* The deadline of the log-in counts again, from where it began. */
void session_log_out(struct session *session)
{
    session_user_give(session);
    free((void *)(uintptr_t)session->user.data);
    session->user = (struct slice){0};
    if (!protocol_of(session)->without_login) {
        session->private_bits &= ~(uint32_t)LOGGED_IN;
        stream_wipe(&session->stream, true);
    }
    limits_anonymous_again(session);
    session_due(session, session->service->command_ms_max);
}

int session_log_in(struct session *session, struct slice user, struct slice password)
{
    struct auth_client client;
    struct auth_result answer = {0};
    struct kept_login *login;
    session_auth_client(session, &client);
    int result = keep(session, &login);
    if (result == 0)
        result = auth_password_proof(session_core(session), &client, user, password, &answer,
                                     login != NULL ? &login->proof : NULL);
    auth_wipe(password);
    return kept(session, login, finish(session, result, &answer), &answer);
}

/* ---------------------------------------------------------------- SASL */

struct conversation {
    struct session *session;
    struct slice prompt;
    int (*ask)(struct session *session, struct slice challenge, struct slice *ret_base64);
};

void session_write_base64(struct session *session, struct slice bytes)
{
    struct stream *stream = &session->stream;
    char text[PIECE_BYTES / 3 * 4];
    while (bytes.size > 0) {
        size_t size = base64_encode(slice_first(bytes, PIECE_BYTES), text);
        stream_write(stream, slice_of(text, size));
        bytes = slice_from(bytes, PIECE_BYTES);
    }
}

/* In place. False: not base64, and wiped. */
static bool decode(struct slice *text)
{
    char *data = (char *)(uintptr_t)text->data; /* writable, says the caller */
    size_t size = 0;
    bool is_good = base64_decode(*text, data, &size);
    auth_wipe(slice_from(*text, size));
    *text = slice_of(data, size);
    return is_good;
}

/* By a line each. */
static int ask_by_line(const struct conversation *conversation, struct slice challenge,
                       struct slice *ret_line)
{
    struct session *session = conversation->session;
    stream_write(&session->stream, conversation->prompt);
    session_write_base64(session, challenge);
    stream_write(&session->stream, SLICE("\r\n"));
    int result = stream_read_line(&session->stream, RESPONSE_BYTES_MAX, ret_line);
    if (result == -EBADMSG)
        auth_wipe(*ret_line);
    return result == 0 && slice_equal(*ret_line, SLICE("*")) ? -ECANCELED : result;
}

static int converse(void *argument, struct slice challenge, struct slice *ret_response)
{
    const struct conversation *conversation = argument;
    struct session *session = conversation->session;
    struct slice text = SLICE("");
    session_due(session, session->service->command_ms_max);
    int result = conversation->ask != NULL ? conversation->ask(session, challenge, &text)
                                           : ask_by_line(conversation, challenge, &text);
    if (result < 0)
        return result;
    if (!decode(&text))
        return -EBADMSG;
    *ret_response = text;
    return 0;
}

/* The client's first message, in memory that reading does not touch. 0; -EBADMSG; -ENOMEM. */
static int take_initial(struct session *session, struct slice initial, struct slice *ret_message)
{
    if (initial.data == NULL)
        return 0;
    if (initial.size == 0)
        return -EBADMSG;
    struct slice message = SLICE("");
    if (!slice_equal(initial, SLICE("="))) {
        message = arena_copy(&session->arena, initial);
        auth_wipe(initial);
        if (message.data == NULL)
            return -ENOMEM;
        if (!decode(&message))
            return -EBADMSG;
    }
    *ret_message = message;
    return 0;
}

static int authenticate(struct conversation *conversation, struct slice mechanism,
                        struct slice initial)
{
    struct session *session = conversation->session;
    struct auth_exchange exchange = {.ask = converse, .argument = conversation};
    struct auth_result answer = {0};
    struct auth_client client;
    struct kept_login *login = NULL;
    session_auth_client(session, &client);
    int result = take_initial(session, initial, &exchange.initial);
    struct slice name = arena_copy(&session->arena, mechanism); /* it lies in the line, too */
    if (result == 0 && name.data == NULL)
        result = -ENOMEM;
    if (result == 0)
        result = keep(session, &login);
    if (result == 0)
        result = auth_sasl_proof(session_core(session), &client, name, &exchange, &answer,
                                 login != NULL ? &login->proof : NULL);
    auth_wipe(exchange.initial);
    return kept(session, login, finish(session, result, &answer), &answer);
}

int session_authenticate(struct session *session, struct slice mechanism, struct slice initial,
                         struct slice prompt)
{
    struct conversation conversation = {.session = session, .prompt = prompt};
    return authenticate(&conversation, mechanism, initial);
}

int session_authenticate_by(struct session *session, struct slice mechanism, struct slice initial,
                            int (*ask)(struct session *session, struct slice challenge,
                                       struct slice *ret_base64))
{
    struct conversation conversation = {.session = session, .ask = ask};
    return authenticate(&conversation, mechanism, initial);
}
