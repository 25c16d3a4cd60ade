/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * USER and PASS, AUTH (RFC 5034), and STLS (RFC 2595). A password is everything behind "PASS ",
 * blanks included (RFC 1939, 7). A wrong one is answered like an unknown user, and late.
 */
#include "pop3_private.h"

#include <stdlib.h>

#include "ringpost/proxy.h"

void pop3_forget_name(struct pop3 *pop3)
{
    free((char *)(uintptr_t)pop3->name.data);
    pop3->name = (struct slice){0};
}

void pop3_user(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    struct slice name = session->line.arguments;
    while (name.size > 0 && name.data[name.size - 1] == ' ')
        name.size--;
    if (name.size == 0 || name.size > AUTH_USER_BYTES_MAX) {
        stream_write(&session->stream, name.size == 0 ? SLICE("-ERR Give a user name\r\n")
                                                      : SLICE("-ERR User name too long\r\n"));
        session_count_error(session);
        return;
    }
    char *copy = malloc(name.size);
    if (copy == NULL) {
        pop3_error(session, -ENOMEM);
        return;
    }
    memcpy(copy, name.data, name.size);
    pop3_forget_name(pop3);
    pop3->name = slice_of(copy, name.size);
    session->state = POP3_NAMED;
    pop3_ok(session);
}

/* Everything behind the first blank: the session has skipped blanks that belong to it. */
static struct slice password_of(const struct command_line *line)
{
    const char *end = line->arguments.data + line->arguments.size;
    const char *begin = line->verb.data + line->verb.size;
    if (begin < end)
        begin++;
    return slice_of(begin, (size_t)(end - begin));
}

static void open_locally(struct session *session)
{
    session_login_forget(session);
    session_move(session, store_home_core(session_core(session), session->user),
                 pop3_open_maildrop);
}

static void finish_log_in(struct session *session, int result)
{
    pop3_forget_name(pop3_of(session));
    session->state = POP3_AUTHORIZATION;
    if (result == 0 && proxy_is_wanted(session))
        pop3_front(session);
    else if (result == 0)
        open_locally(session);
    else if (result == -EBADMSG)
        stream_write(&session->stream, SLICE("-ERR Not a message of this mechanism\r\n"));
    else if (session->stream.end == 0 || result == -EACCES)
        pop3_error(session, result == -EINVAL ? -EACCES : result);
}

void pop3_pass(struct session *session, const void *arguments)
{
    (void)arguments;
    finish_log_in(session,
                  session_log_in(session, pop3_of(session)->name, password_of(&session->line)));
}

void pop3_auth(struct session *session, const void *arguments)
{
    const struct pop3_auth_arguments *auth = arguments;
    finish_log_in(session,
                  session_authenticate(session, auth->mechanism, auth->initial, SLICE("+ ")));
}

void pop3_stls(struct session *session, const void *arguments)
{
    (void)arguments;
    if (!session_offers_tls(session)) {
        stream_write(&session->stream, session_is_secure(session)
                                           ? SLICE("-ERR TLS is active already\r\n")
                                           : SLICE("-ERR No TLS here\r\n"));
        session_count_error(session);
    } else if (session_has_unread(session)) {
        stream_write(&session->stream, SLICE("-ERR Nothing may follow STLS\r\n"));
        session_end(session, SESSION_END_TLS_INJECTED);
    } else {
        stream_write(&session->stream, SLICE("+OK Begin TLS negotiation now\r\n"));
        session_start_tls(session);
    }
}
