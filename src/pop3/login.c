/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * USER and PASS. A password is everything behind "PASS ", blanks included (RFC 1939, 7), and is
 * wiped where it lay as soon as it was checked. A wrong one is answered like an unknown user, and
 * late (auth_wait).
 */
#include "pop3_private.h"

#include <stdlib.h>

void pop3_forget_name(struct pop3 *pop3)
{
    free((char *)(uintptr_t)pop3->name.data);
    pop3->name = (struct slice){0};
}

void pop3_user(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    const struct pop3_options *options = session->service->options;
    struct slice name = session->line.arguments;
    while (name.size > 0 && name.data[name.size - 1] == ' ')
        name.size--;
    if (!options->plain_login_allowed) {
        stream_write(&session->stream,
                     SLICE("-ERR Log-in is allowed on encrypted connections only\r\n"));
        session_count_error(session);
        return;
    }
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

void pop3_pass(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    struct core *core = session_core(session);
    int result = session_log_in(session, pop3->name, password_of(&session->line));
    pop3_forget_name(pop3);
    session->state = POP3_AUTHORIZATION;
    if (result < 0) {
        pop3_error(session, result == -EINVAL ? -EACCES : result);
        return;
    }
    session_move(session, store_home_core(core, session->user), pop3_open_maildrop);
}
