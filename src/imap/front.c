/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users whose mail lies elsewhere (proxy.h): the answer to their log-in, and what is offered before
 * it. Once they are in, nothing of this protocol runs: the backend speaks.
 *
 * Before the log-in a client is told what can be kept to, whoever it turns out to be: for the
 * log-in itself what is ours, for the rest what all backends have, and where some users are local
 * what we have as well.
 */
#include "families.h"
#include "ringpost/proxy.h"

/* ---------------------------------------------------------------- capabilities before log-in */

/* Of the log-in, which is ours; referrals are followed here. ENABLE and IDLE are in the table of
 * session.c. */
static const struct slice ours[] = {
    SLICE("STARTTLS"), SLICE("LOGINDISABLED"), SLICE("SASL-IR"),   SLICE("ID"),
    SLICE("LITERAL+"), SLICE("LITERAL-"),      SLICE("IMAP4rev1"), SLICE("LOGIN-REFERRALS"),
    SLICE("ENABLE"),   SLICE("IDLE"),
};

static bool is_ours(struct slice name)
{
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (slice_equal_nocase(name, ours[i]))
            return true;
    return slice_starts_nocase(name, SLICE("AUTH="));
}

static struct slice take_word(struct slice *words)
{
    struct slice word = slice_first(*words, slice_find(*words, ' '));
    *words = slice_from(*words, word.size + 1);
    return word;
}

bool imap_front_has(struct session *session, struct slice name)
{
    struct slice words = proxy_capabilities(session);
    if (words.data == NULL)
        return true;
    while (words.size > 0)
        if (slice_equal_nocase(take_word(&words), name))
            return true;
    return false;
}

void imap_front_capabilities(struct session *session, struct text *text)
{
    struct slice words = proxy_capabilities(session);
    if (words.data == NULL || session->service->front->has_local_users)
        return;
    while (words.size > 0) {
        struct slice word = take_word(&words);
        if (word.size == 0 || is_ours(word))
            continue;
        text_char(text, ' ');
        text_append(text, word);
    }
}

/* ---------------------------------------------------------------- logging in */

/* RFC 5530. A text of the backend's, where there is one, is what its users know. */
static const struct failure {
    int error;
    const char *code, *text;
} failures[] = {
    {-EACCES, "AUTHENTICATIONFAILED", "Authentication failed"},
    {-EUSERS, "LIMIT", "Too many connections of this user"},
    {-ENOKEY, "CANNOT", "Log in with the password itself"},
    {-ELOOP, "CONTACTADMIN", "Servers refer to each other in a circle"},
    {-ENOMEM, "UNAVAILABLE", "Out of memory, try again later"},
    {-EPERM, "UNAVAILABLE", "The mailbox is being moved, try again later"},
    {0, "UNAVAILABLE", "The mail server does not answer, try again later"}, /* all others */
};

static void refuse(struct session *session, int error, const struct backend_answer *answer)
{
    const struct failure *failure = failures;
    while (failure->error != 0 && failure->error != error)
        failure++;
    bool has_code = error == -EAGAIN && answer->code != NULL;
    bool is_told = (error == -EACCES || error == -EUSERS || has_code) && answer->text[0] != '\0';
    imap_answer(session, " NO ", has_code ? answer->code : failure->code,
                is_told ? answer->text : failure->text);
}

void imap_front(struct session *session)
{
    struct stream *stream = &session->stream;
    struct backend_answer *answer = arena_zalloc(&session->arena, 1, sizeof *answer);
    if (answer == NULL) {
        session_login_forget(session);
        session_log_out(session);
        imap_answer(session, " NO ", "UNAVAILABLE", "Out of memory, try again later");
        return;
    }
    int result = proxy_log_in(session, answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        refuse(session, result, answer);
        return;
    }
    struct slice capabilities = slice_cstr(answer->capabilities);
    if (imap_of(session)->has_asked && capabilities.size > 0)
        imap_untagged(session, "CAPABILITY %s", answer->capabilities);
    stream_write(stream, session->line.tag);
    if (capabilities.size > 0)
        stream_printf(stream, " OK [CAPABILITY %s] Logged in\r\n", answer->capabilities);
    else
        stream_write(stream, SLICE(" OK Logged in\r\n"));
    proxy_join(session);
}
