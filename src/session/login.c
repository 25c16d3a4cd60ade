/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Logging in, for all protocols alike: who the client is, the password checked, the answer held
 * back as auth asks for, the session's user set. What is said about it is the protocol's.
 */
#include "session_private.h"

void session_auth_client(struct session *session, struct auth_client *ret_client)
{
    const struct stream *stream = &session->stream;
    *ret_client = (struct auth_client){
        .address = stream->peer,
        .family = stream->peer_family,
        .port = stream->peer_port,
        .protocol = protocol_of(session)->name,
        .session_id = session->id,
        .attempt = ++session->logins,
        .may_send_password = true,
    };
}

int session_log_in(struct session *session, struct slice user, struct slice password)
{
    struct core *core = session_core(session);
    struct auth_client client;
    struct auth_result answer = {0};
    session_auth_client(session, &client);
    int result = auth_password(core, &client, user, password, &answer);
    auth_wipe(password);
    if (result == 0 || result == -EACCES)
        auth_wait(core, &answer); /* right or wrong: silence tells nothing */
    if (result == -EACCES || result == -EINVAL)
        session_count_error(session);
    return result == 0 ? session_logged_in(session, answer.user) : result;
}
