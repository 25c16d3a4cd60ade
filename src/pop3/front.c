/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users whose maildrop lies elsewhere (proxy.h): the answer to their log-in. From then on the
 * backend speaks, to CAPA too.
 */
#include "pop3_private.h"
#include "ringpost/proxy.h"
#include "ringpost/words.h"

/* RFC 2449, 8.1; RFC 3206. */
static const struct proxy_refusal refusals[] = {
    {-EACCES, "AUTH", "Wrong user name or password"},
    {-EUSERS, "IN-USE", "Too many connections of this user"},
    {-ENOKEY, "SYS/PERM", "Log in with the password itself"},
    {-ELOOP, "SYS/PERM", "Servers refer to each other in a circle"},
    {-ENOMEM, "SYS/TEMP", "Out of memory, try again later"},
    {-EPERM, "SYS/TEMP", "The maildrop is being moved, try again later"},
    {0, "SYS/TEMP", "The mail server does not answer, try again later"}, /* all others */
};

void pop3_front(struct session *session)
{
    const struct backend_answer *answer;
    int result = proxy_log_in(session, &answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        struct proxy_refusal refusal = proxy_refusal(refusals, result, answer);
        stream_printf(&session->stream, "-ERR [%s] %s\r\n", refusal.code, refusal.text);
        return;
    }
    stream_write(&session->stream, SLICE("+OK Logged in\r\n"));
    proxy_join(session);
}

bool pop3_front_capa(struct session *session)
{
    static const struct slice names[] = {SLICE("TOP"), SLICE("UIDL"), SLICE("UTF8")};
    struct slice words = proxy_capabilities(session);
    if (words.data == NULL)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!words_have(words, names[i]))
            continue;
        stream_write(&session->stream, names[i]);
        stream_write(&session->stream, SLICE("\r\n"));
    }
    return true;
}
