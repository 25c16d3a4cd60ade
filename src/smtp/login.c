/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * STARTTLS (RFC 3207) and AUTH (RFC 4954): when they are refused, and what their results are
 * called. The handshake, the mechanisms and the session's user are the session layer's.
 *
 * What the answer to AUTH says is the same whoever does not exist, is disabled or has another
 * password (A13 of the list of bad inputs).
 */
#include "smtp_private.h"

static void refuse(struct session *session, enum smtp_reply reply)
{
    smtp_say(smtp_of(session), reply);
    session_count_error(session);
}

/* ---------------------------------------------------------------- STARTTLS */

void smtp_starttls(struct session *session, const void *arguments)
{
    (void)arguments;
    if (session_is_secure(session))
        refuse(session, REPLY_TLS_TWICE);
    else if (session->user.size > 0)
        refuse(session, REPLY_AUTH_TWICE);
    else if (!session_offers_tls(session))
        refuse(session, REPLY_NOT_IMPLEMENTED);
    else if (session_has_unread(session))
        session_end(session, SESSION_END_TLS_INJECTED); /* S16 */
    else {
        smtp_say(smtp_of(session), REPLY_TLS_READY);
        session_start_tls(session);
    }
}

/* ---------------------------------------------------------------- AUTH */

size_t smtp_auth_offer(struct smtp_session *smtp, char *text)
{
    static const struct slice keyword = {"250-AUTH ", 9};
    struct session *session = &smtp->session;
    char names[AUTH_MECHANISMS_BYTES_MAX];
    size_t size = session->user.size > 0 ? 0 : session_mechanisms(session, names);
    if (size == 0)
        return 0;
    memcpy(text, keyword.data, keyword.size);
    memcpy(text + keyword.size, names, size);
    memcpy(text + keyword.size + size, "\r\n", 2);
    return keyword.size + size + 2;
}

static enum smtp_reply auth_reply(int result)
{
    switch (result) {
    case 0:
        return REPLY_AUTH_OK;
    case -EACCES:
    case -EINVAL:
        return REPLY_AUTH_FAILED;
    case -EPERM:
        return REPLY_AUTH_NEEDS_TLS;
    case -ENOTSUP:
        return REPLY_AUTH_MECHANISM;
    case -ECANCELED:
        return REPLY_AUTH_ENDED;
    case -EBADMSG:
        return REPLY_AUTH_BAD;
    case -EMSGSIZE:
        return REPLY_AUTH_LONG;
    case -EUSERS:
        return REPLY_AUTH_MANY;
    default: /* -EAGAIN, -ENOMEM */
        return REPLY_AUTH_NOT_NOW;
    }
}

void smtp_auth(struct session *session, const void *arguments)
{
    const struct auth_arguments *auth = arguments;
    struct smtp_session *smtp = smtp_of(session);
    if (!smtp_takes_auth(smtp) || session->user.size > 0) {
        auth_wipe(session->line.arguments);
        refuse(session, session->user.size > 0 ? REPLY_AUTH_TWICE : REPLY_NOT_IMPLEMENTED);
        return;
    }
    int result = session_authenticate(session, auth->mechanism, auth->initial, SLICE("334 "));
    if (session->stream.end != 0 && result != 0)
        return; /* nobody is there to be told; the loop sees why */
    if (result == 0 && smtp_front(smtp))
        return;
    smtp_reset(smtp); /* no more locked, when it is a user's */
    smtp_say(smtp, auth_reply(result));
}
