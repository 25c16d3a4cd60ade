/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XCLIENT, as Postfix describes it: a proxy of the operator's (service.xclient_from) tells who its
 * client is. Then the session begins anew, with a greeting.
 *
 *   ADDR, PORT    the peer from now on: limits, penalties, log, Received
 *   NAME          stands in Received
 *   HELO          as if it had been said
 *   LOGIN         this user has logged in (where AUTH is offered)
 *   PROTO, DESTADDR, DESTPORT, REVERSE_NAME    are looked at, and not used
 *
 * Values are xtext; what they stand for is as strict as if the client itself had said it, so none
 * can make a line, a field or a comment of its own anywhere (X03 of the list of bad inputs).
 * [UNAVAILABLE] and [TEMPUNAVAIL] are "not known"; an address that is not known leaves the peer as
 * it is.
 *
 * Who may say it is decided by the address that the session began with, and stays decided.
 */
#include "ringpost/network.h"

#include "ringpost/proxy.h"
#include "smtp_private.h"

bool smtp_may_xclient(const struct smtp_session *smtp)
{
    const struct session *session = &smtp->session;
    return !smtp->is_lmtp && (smtp->has_xclient ||
                              network_set_holds(&session->service->xclient_from,
                                                session->stream.peer_family, session->stream.peer));
}

/* The proxy has checked the password; that there is such a user is ours to check. Who submits
 * elsewhere cannot come so: there is nothing to log him in with at his backend. */
static enum smtp_reply log_in(struct smtp_session *smtp, struct slice login)
{
    struct session *session = &smtp->session;
    struct auth_result answer = {0};
    if (login.size == 0 || !smtp_takes_auth(smtp))
        return REPLY_OK;
    int result = auth_lookup(session_core(session), login, &answer);
    if (result == 0)
        result = session_logged_in(session, answer.user);
    if (result == 0 && smtp->is_submission && proxy_is_served(session)) {
        session_log_out(session);
        result = -EAGAIN;
    }
    return result == 0         ? REPLY_OK
           : result == -ENOENT ? REPLY_AUTH_FAILED
           : result == -EUSERS ? REPLY_AUTH_MANY
                               : REPLY_AUTH_NOT_NOW;
}

static enum smtp_reply apply(struct smtp_session *smtp, const struct xclient_arguments *xclient)
{
    struct session *session = &smtp->session;
    const struct stream *stream = &session->stream;
    bool is_other = xclient->family != 0;
    uint16_t port = xclient->port;
    if (port == 0 && !is_other)
        port = stream->peer_port;
    if (xclient->says_name && !smtp_name_keep(&smtp->client_name, xclient->name))
        return REPLY_NO_MEMORY;
    if (xclient->hello.size > 0 && !smtp_name_keep(&smtp->hello, xclient->hello))
        return REPLY_NO_MEMORY;
    session->hello = smtp->hello;
    if (is_other || (xclient->port != 0 && stream->peer_family >= 4)) {
        const uint8_t *address = is_other ? xclient->address : stream->peer;
        uint8_t copy[16], family = is_other ? xclient->family : stream->peer_family;
        memcpy(copy, address, sizeof copy);
        if (session_set_peer(session, family, copy, port) < 0)
            return REPLY_BYE_MANY;
    }
    return log_in(smtp, xclient->login);
}

void smtp_xclient(struct session *session, const void *arguments)
{
    struct smtp_session *smtp = smtp_of(session);
    if (!smtp_may_xclient(smtp)) { /* X02 */
        smtp_say(smtp, REPLY_NOT_TRUSTED);
        session_count_error(session);
        return;
    }
    if (session->user.size > 0) {
        smtp_say(smtp, REPLY_AUTH_TWICE);
        session_count_error(session);
        return;
    }
    smtp->has_xclient = true;
    enum smtp_reply reply = apply(smtp, arguments);
    if (reply == REPLY_BYE_MANY) {
        session_end(session, SESSION_END_TOO_MANY); /* which says so */
        return;
    }
    if (reply != REPLY_OK) {
        smtp_say(smtp, reply);
        session_count_error(session);
        return;
    }
    session->state = STATE_START;
    session->junk = 0;
    smtp_say_greeting(smtp);
}
