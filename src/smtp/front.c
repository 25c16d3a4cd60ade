/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Submission of users whose mail lies elsewhere (proxy.h), where their backends take submission:
 * the answer to their AUTH, and what EHLO offers before it. Once they are in, nothing of this
 * protocol runs: the backend, which has had an EHLO from us, speaks, and its own reading of lines
 * and dots is what counts.
 *
 * Few clients say EHLO again behind AUTH, so what it offers is what can be kept to whoever they
 * turn out to be: what we have and all backends too. What is not known yet is not offered.
 */
#include <inttypes.h>

#include "ringpost/proxy.h"
#include "ringpost/words.h"
#include "smtp_private.h"

/* ---------------------------------------------------------------- EHLO */

bool smtp_front_keywords(struct smtp_session *smtp, struct text *text)
{
    static const struct slice keywords[] = {
        SLICE("PIPELINING"),          SLICE("8BITMIME"), SLICE("BINARYMIME"), SLICE("CHUNKING"),
        SLICE("ENHANCEDSTATUSCODES"), SLICE("SMTPUTF8"), SLICE("DSN")};
    struct session *session = &smtp->session;
    struct slice words = proxy_capabilities(session), size = {0};
    uint64_t theirs = 0;
    if (words.data == NULL)
        return false;
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (words_find(words, keywords[i], NULL))
            text_printf(text, "250-%s\r\n", keywords[i].data);
    words_find(words, SLICE("SIZE"), &size);
    if (slice_number(size, UINT64_MAX, &theirs) && theirs > 0) {
        uint64_t ours = options_of(smtp)->message_bytes_max;
        if (session->service->front->has_local_users && ours < theirs)
            theirs = ours;
        text_printf(text, "250-SIZE %" PRIu64 "\r\n", theirs);
    }
    return true;
}

/* ---------------------------------------------------------------- AUTH */

/* RFC 4954, 6. */
static const struct proxy_refusal refusals[] = {
    {-EACCES, "535 5.7.8", "Authentication failed"},
    {-EUSERS, "454 4.7.0", "Too many connections, try again later"},
    {-ENOKEY, "534 5.7.9", "Log in with the password itself"},
    {-EOPNOTSUPP, "454 4.7.0", "No mail is taken for this user here"},
    {-ELOOP, "554 5.4.6", "Servers refer to each other in a circle"},
    {-ENOMEM, "454 4.7.0", "Out of memory, try again later"},
    {-EPERM, "454 4.7.0", "The mailbox is being moved, try again later"},
    {0, "454 4.7.0", "The mail server does not answer, try again later"}, /* all others */
};

static void refuse(struct session *session, int error)
{
    struct proxy_refusal refusal = proxy_refusal(refusals, error, NULL);
    stream_printf(&session->stream, "%s %s\r\n", refusal.code, refusal.text);
}

static void pass_on(struct smtp_session *smtp)
{
    struct session *session = &smtp->session;
    const struct backend_answer *answer;
    int result = proxy_log_in(session, &answer);
    if (result == -ECANCELED)
        return; /* nobody is there */
    if (result < 0) {
        refuse(session, result);
        return;
    }
    smtp_say(smtp, REPLY_AUTH_OK);
    proxy_join(session);
}

bool smtp_front(struct smtp_session *smtp)
{
    struct session *session = &smtp->session;
    if (smtp->is_submission && proxy_is_served(session)) {
        pass_on(smtp);
        return true;
    }
    bool is_unverified = session->login != NULL && session->login->is_unverified;
    session_login_forget(session);
    if (!is_unverified)
        return false;
    /* The password is a backend's to judge, and none of his takes submission. */
    session_log_out(session);
    refuse(session, -EOPNOTSUPP);
    session_count_error(session);
    return true;
}
