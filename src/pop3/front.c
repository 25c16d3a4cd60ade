/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users whose maildrop lies elsewhere (proxy.h): the answer to their log-in. From then on the
 * backend speaks, to CAPA too.
 */
#include "pop3_private.h"
#include "ringpost/proxy.h"

/* RFC 2449, 8.1; RFC 3206. */
static const struct failure {
    int error;
    const char *code, *text;
} failures[] = {
    {-EACCES, "AUTH", "Wrong user name or password"},
    {-EUSERS, "IN-USE", "Too many connections of this user"},
    {-ENOKEY, "SYS/PERM", "Log in with the password itself"},
    {-ELOOP, "SYS/PERM", "Servers refer to each other in a circle"},
    {-ENOMEM, "SYS/TEMP", "Out of memory, try again later"},
    {-EPERM, "SYS/TEMP", "The maildrop is being moved, try again later"},
    {0, "SYS/TEMP", "The mail server does not answer, try again later"}, /* all others */
};

static void refuse(struct session *session, int error, const struct backend_answer *answer)
{
    const struct failure *failure = failures;
    while (failure->error != 0 && failure->error != error)
        failure++;
    bool has_code = error == -EAGAIN && answer->code != NULL;
    bool is_told = (error == -EACCES || error == -EUSERS || has_code) && answer->text[0] != '\0';
    stream_printf(&session->stream, "-ERR [%s] %s\r\n", has_code ? answer->code : failure->code,
                  is_told ? answer->text : failure->text);
}

void pop3_front(struct session *session)
{
    struct backend_answer *answer = arena_zalloc(&session->arena, 1, sizeof *answer);
    if (answer == NULL) {
        session_login_forget(session);
        session_log_out(session);
        pop3_error(session, -ENOMEM);
        return;
    }
    int result = proxy_log_in(session, answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        refuse(session, result, answer);
        return;
    }
    stream_write(&session->stream, SLICE("+OK Logged in\r\n"));
    proxy_join(session);
}

static bool has_line(struct slice words, struct slice name)
{
    while (words.size > 0) {
        struct slice word = slice_first(words, slice_find(words, ' '));
        words = slice_from(words, word.size + 1);
        if (slice_equal_nocase(word, name))
            return true;
    }
    return false;
}

bool pop3_front_capa(struct session *session)
{
    static const struct slice names[] = {SLICE("TOP"), SLICE("UIDL"), SLICE("UTF8")};
    struct slice words = proxy_capabilities(session);
    if (words.data == NULL)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!has_line(words, names[i]))
            continue;
        stream_write(&session->stream, names[i]);
        stream_write(&session->stream, SLICE("\r\n"));
    }
    return true;
}
