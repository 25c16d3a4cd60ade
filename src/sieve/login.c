/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * AUTHENTICATE (RFC 5804, 2.1) and STARTTLS (2.2).
 *
 *   right, or for the backend to judge ─▶ proxy_log_in ─▶ OK ─▶ proxy_join
 *
 * Challenges and responses are strings with base64 in them. Scripts lie at backends only: who has
 * none is told so, and is not logged in.
 */
#include "ringpost/auth.h"
#include "ringpost/proxy.h"
#include "sieve_private.h"

static const struct proxy_refusal refusals[] = {
    {-EACCES, "", "Wrong user name or password"},
    {-EINVAL, "", "Wrong user name or password"},
    {-EPERM, "ENCRYPT-NEEDED", "Log-in is allowed on encrypted connections only"},
    {-ENOTSUP, "", "No such mechanism"},
    {-EUSERS, "TRYLATER", "Too many connections of this user"},
    {-EBADMSG, "", "Not a message of this mechanism"},
    {-EMSGSIZE, "", "Response too long"},
    {-ECANCELED, "", "Cancelled"},
    {-ENOMEM, "TRYLATER", "Out of memory, try again later"},
    {0, "TRYLATER", "Too busy, try again later"}, /* all others */
};

static const struct proxy_refusal front_refusals[] = {
    {-EACCES, "", "Wrong user name or password"},
    {-EUSERS, "TRYLATER", "Too many connections of this user"},
    {-ENOKEY, "", "Log in with the password itself"},
    {-ELOOP, "TRYLATER", "Servers refer to each other in a circle"},
    {-ENOMEM, "TRYLATER", "Out of memory, try again later"},
    {-EPERM, "TRYLATER", "The scripts are being moved, try again later"},
    {0, "TRYLATER", "The server of the scripts does not answer, try again later"},
};

static void refuse(struct session *session, const struct proxy_refusal *rows, int error)
{
    struct proxy_refusal refusal = proxy_refusal(rows, error, NULL);
    sieve_say(session, "NO", refusal.code, refusal.text);
}

/* ---------------------------------------------------------------- AUTHENTICATE */

/* For session_authenticate_by. */
static int ask(struct session *session, struct slice challenge, struct slice *ret_base64)
{
    stream_write(&session->stream, SLICE("\""));
    session_write_base64(session, challenge);
    stream_write(&session->stream, SLICE("\"\r\n"));
    int result = sieve_read_string(session, ret_base64);
    return result == 0 && slice_equal(*ret_base64, SLICE("*")) ? -ECANCELED : result;
}

/* The session has its user. */
static void front(struct session *session)
{
    const struct backend_answer *answer;
    if (!proxy_is_wanted(session)) {
        session_login_forget(session);
        session_log_out(session);
        sieve_say(session, "NO", "", "No scripts are kept for this user");
        session_count_error(session);
        return;
    }
    int result = proxy_log_in(session, &answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        refuse(session, front_refusals, result);
        return;
    }
    sieve_say(session, "OK", "", "Logged in");
    proxy_join(session);
}

void sieve_authenticate(struct session *session, const void *arguments)
{
    const struct sieve_authenticate_arguments *authenticate = arguments;
    int result =
        session_authenticate_by(session, authenticate->mechanism, authenticate->initial, ask);
    auth_wipe(session->line.arguments);
    if (result == 0)
        front(session);
    else if (session->stream.end == 0)
        refuse(session, refusals, result);
}

/* ---------------------------------------------------------------- STARTTLS */

void sieve_starttls(struct session *session, const void *arguments)
{
    (void)arguments;
    if (!session_offers_tls(session)) {
        sieve_say(session, "NO", "",
                  session_is_secure(session) ? "TLS is active already" : "No TLS here");
        session_count_error(session);
    } else if (session_has_unread(session)) {
        sieve_say(session, "NO", "", "Nothing may follow STARTTLS");
        session_end(session, SESSION_END_TLS_INJECTED);
    } else {
        sieve_say(session, "OK", "", "Begin TLS negotiation now");
        session_start_tls(session);
    }
}
