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
#include "ringpost/words.h"

/* ---------------------------------------------------------------- capabilities before log-in */

/* Of the log-in, which is ours; referrals are followed here, and nobody logs out and in. ENABLE and
 * IDLE are in the table of session.c. */
static const struct slice ours[] = {
    SLICE("STARTTLS"), SLICE("LOGINDISABLED"), SLICE("SASL-IR"),        SLICE("ID"),
    SLICE("LITERAL+"), SLICE("LITERAL-"),      SLICE("IMAP4rev1"),      SLICE("LOGIN-REFERRALS"),
    SLICE("ENABLE"),   SLICE("IDLE"),          SLICE("UNAUTHENTICATE"),
};

static bool is_ours(struct slice name)
{
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (slice_equal_nocase(name, ours[i]))
            return true;
    return slice_starts_nocase(name, SLICE("AUTH="));
}

bool imap_front_has(struct session *session, struct slice name)
{
    struct slice words = proxy_capabilities(session);
    return words.data == NULL || words_have(words, name);
}

void imap_front_capabilities(struct session *session, struct text *text)
{
    struct slice words = proxy_capabilities(session);
    if (words.data == NULL || session->service->front->has_local_users)
        return;
    for (struct slice word; (word = words_next(&words)).size > 0;) {
        if (is_ours(word))
            continue;
        text_char(text, ' ');
        text_append(text, word);
    }
}

/* ---------------------------------------------------------------- logging in */

/* RFC 5530. A text of the backend's, where there is one, is what its users know. */
static const struct proxy_refusal refusals[] = {
    {-EACCES, "AUTHENTICATIONFAILED", "Authentication failed"},
    {-EUSERS, "LIMIT", "Too many connections of this user"},
    {-ENOKEY, "CANNOT", "Log in with the password itself"},
    {-ELOOP, "CONTACTADMIN", "Servers refer to each other in a circle"},
    {-ENOMEM, "UNAVAILABLE", "Out of memory, try again later"},
    {-EPERM, "UNAVAILABLE", "The mailbox is being moved, try again later"},
    {0, "UNAVAILABLE", "The mail server does not answer, try again later"}, /* all others */
};

static void say_capabilities(struct stream *stream, const char *before, struct slice capabilities,
                             const char *behind)
{
    stream_write(stream, slice_cstr(before));
    stream_write(stream, capabilities);
    stream_write(stream, slice_cstr(behind));
}

void imap_front(struct session *session)
{
    struct stream *stream = &session->stream;
    const struct backend_answer *answer;
    int result = proxy_log_in(session, &answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        struct proxy_refusal refusal = proxy_refusal(refusals, result, answer);
        imap_answer(session, " NO ", refusal.code, refusal.text);
        return;
    }
    struct slice capabilities = slice_cstr(answer->capabilities);
    if (imap_of(session)->has_asked && capabilities.size > 0)
        say_capabilities(stream, "* CAPABILITY ", capabilities, "\r\n");
    stream_write(stream, session->line.tag);
    if (capabilities.size > 0)
        say_capabilities(stream, " OK [CAPABILITY ", capabilities, "] Logged in\r\n");
    else
        stream_write(stream, SLICE(" OK Logged in\r\n"));
    proxy_join(session);
}
