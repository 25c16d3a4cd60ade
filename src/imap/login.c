/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who the client is: LOGIN, AUTHENTICATE (with initial response: RFC 4959), over what: STARTTLS,
 * and what it is: ID (RFC 2971), ENABLE (RFC 5161).
 *
 *   password right ─▶ session_log_in ─▶ moves to the user's home core ─▶ account_open ─▶ OK
 *                                   └─▶ or his mail lies elsewhere: imap_front
 *
 * A wrong password and an unknown user are answered alike, after the delay that auth asks for.
 */
#include "families.h"
#include "ringpost/auth.h"
#include "ringpost/proxy.h"

enum {
    ENABLE_NAMES_MAX = 64,
    ID_PAIRS_MAX = 30, /* and the sizes: RFC 2971 section 3.3 */
    ID_NAME_BYTES_MAX = 30,
    ID_VALUE_BYTES_MAX = 1024
};

/* On the user's home core; the command's text is still in the arena. */
static void at_home(struct session *session)
{
    struct imap_session *imap = imap_of(session);
    int result = account_open(session_core(session), session->user, &imap->account);
    if (result < 0) {
        imap_fail(session, result);
        session_end(session, SESSION_END_STORE);
        return;
    }
    uint64_t idle_ms_max = imap_options_of(session)->idle_ms_max;
    session->idle_ms_max = idle_ms_max < UINT32_MAX ? (uint32_t)idle_ms_max : UINT32_MAX;
    session->state = IMAP_AUTHENTICATED;
    struct stream *stream = &session->stream;
    stream_write(stream, session->line.tag);
    stream_write(stream, SLICE(" OK [CAPABILITY "));
    stream_write(stream, imap_capabilities(session));
    stream_write(stream, SLICE("] Logged in\r\n"));
}

/* What is said about a try that failed (RFC 5530). All others are ends of the stream. */
static const struct {
    int error;
    const char *condition, *code, *text;
} failures[] = {
    {-EACCES, " NO ", "AUTHENTICATIONFAILED", "Authentication failed"},
    {-EINVAL, " NO ", "AUTHENTICATIONFAILED", "Authentication failed"},
    {-EPERM, " NO ", "PRIVACYREQUIRED", "Use TLS"},
    {-ENOTSUP, " NO ", "CANNOT", "No such mechanism"},
    {-EUSERS, " NO ", "LIMIT", "Too many connections of this user"},
    {-EAGAIN, " NO ", "UNAVAILABLE", "Too busy, try again later"},
    {-ENOMEM, " NO ", "UNAVAILABLE", "Out of memory, try again later"},
    {-EBADMSG, " BAD ", NULL, "Not a message of this mechanism"},
    {-EMSGSIZE, " BAD ", NULL, "Response too long"},
    {-ECANCELED, " BAD ", NULL, "Cancelled"},
};

static void finish_log_in(struct session *session, int result)
{
    if (result == 0 && proxy_is_wanted(session)) {
        imap_front(session);
        return;
    }
    if (result == 0) {
        session_login_forget(session);
        session_move(session, store_home_core(session_core(session), session->user), at_home);
        return;
    }
    if (result == -ECANCELED && session->stream.end != 0)
        return; /* not by the client */
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].error == result)
            imap_answer(session, failures[i].condition, failures[i].code, failures[i].text);
}

const char *imap_login_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_login_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    bool is_good = imap_take_astring(&cursor, arena, &arguments->user) && imap_take(&cursor, ' ') &&
                   imap_take_astring(&cursor, arena, &arguments->password);
    if (is_good && imap_at_end(&cursor))
        return NULL;
    const char *password = arguments->password.data;
    if (password < text.data || password > text.data + text.size)
        auth_wipe(arguments->password); /* a copy; the text itself is its owner's to wipe */
    return "Expected: LOGIN user password";
}

void imap_login_run(struct session *session, const void *arguments)
{
    const struct imap_login_arguments *login = arguments;
    int result = session_log_in(session, login->user, login->password);
    auth_wipe(session->line.arguments); /* what was checked may be a copy of what stands there */
    finish_log_in(session, result);
}

const char *imap_authenticate_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_authenticate_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    (void)arena;
    if (!imap_take_atom(&cursor, &arguments->mechanism))
        return "Expected: AUTHENTICATE mechanism [initial-response]";
    if (imap_take(&cursor, ' ')) {
        arguments->initial = slice_of(cursor.at, (size_t)(cursor.end - cursor.at));
        return arguments->initial.size > 0 ? NULL : "Empty initial response: send \"=\"";
    }
    return imap_at_end(&cursor) ? NULL : "Not a mechanism's name";
}

void imap_authenticate_run(struct session *session, const void *arguments)
{
    const struct imap_authenticate_arguments *authenticate = arguments;
    finish_log_in(session, session_authenticate(session, authenticate->mechanism,
                                                authenticate->initial, SLICE("+ ")));
}

/* ---------------------------------------------------------------- STARTTLS */

void imap_starttls_run(struct session *session, const void *arguments)
{
    (void)arguments;
    if (!session_offers_tls(session)) {
        imap_bad(session, session_is_secure(session) ? "TLS is active already" : "No TLS here");
    } else if (session_has_unread(session)) {
        imap_bad(session, "Nothing may follow STARTTLS");
        session_end(session, SESSION_END_TLS_INJECTED);
    } else {
        imap_finish(session, NULL, "Begin TLS negotiation now");
        session_start_tls(session);
    }
}

/* ---------------------------------------------------------------- ENABLE, ID */

static const struct {
    struct slice name;
    uint32_t bit;
} enables[] = {{SLICE("CONDSTORE"), IMAP_CONDSTORE}};

const char *imap_enable_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_enable_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    (void)arena;
    for (unsigned count = 0;; count++) {
        struct slice name;
        if (!imap_take_atom(&cursor, &name))
            return "Expected: ENABLE capability ...";
        if (count == ENABLE_NAMES_MAX)
            return "Too many capabilities";
        for (size_t i = 0; i < sizeof enables / sizeof enables[0]; i++)
            if (slice_equal_nocase(name, enables[i].name))
                arguments->bits |= enables[i].bit;
        if (imap_at_end(&cursor))
            return NULL;
        if (!imap_take(&cursor, ' '))
            return "Expected: ENABLE capability ...";
    }
}

void imap_enable_run(struct session *session, const void *arguments)
{
    const struct imap_enable_arguments *enable = arguments;
    uint32_t fresh = enable->bits & ~imap_of(session)->enabled;
    stream_write(&session->stream, SLICE("* ENABLED"));
    for (size_t i = 0; i < sizeof enables / sizeof enables[0]; i++)
        if (fresh & enables[i].bit)
            stream_printf(&session->stream, " %s", enables[i].name.data);
    stream_write(&session->stream, SLICE("\r\n"));
    if (fresh & IMAP_CONDSTORE)
        imap_condstore_enable(session);
    imap_finish(session, NULL, "Done");
}

/* A gateway before us says how many more there may be. 0: nothing of the kind; else one more. */
static uint8_t hops_of(struct slice value)
{
    bool is_digit = value.size == 1 && value.data[0] >= '0' && value.data[0] <= '9';
    return is_digit ? (uint8_t)(value.data[0] - '0' + 1) : 0;
}

const char *imap_id_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    static const char expected[] = "Expected: ID (name value ...) or ID NIL";
    struct imap_cursor cursor = imap_cursor_of(text);
    struct imap_id_arguments *arguments = ret_arguments;
    if (imap_take_word(&cursor, SLICE("NIL")))
        return imap_at_end(&cursor) ? NULL : expected;
    if (!imap_take(&cursor, '('))
        return expected;
    for (unsigned count = 0; !imap_take(&cursor, ')'); count++) {
        struct slice name, value;
        if (count == ID_PAIRS_MAX)
            return "Too many fields";
        if ((count > 0 && !imap_take(&cursor, ' ')) || !imap_take_string(&cursor, arena, &name) ||
            !imap_take(&cursor, ' ') || !imap_take_nstring(&cursor, arena, &value))
            return expected;
        if (name.size > ID_NAME_BYTES_MAX || value.size > ID_VALUE_BYTES_MAX)
            return "Field too long";
        if (slice_equal_nocase(name, SLICE("x-proxy-ttl")))
            arguments->hops = hops_of(value);
    }
    return imap_at_end(&cursor) ? NULL : expected;
}

void imap_id_run(struct session *session, const void *arguments)
{
    const struct imap_id_arguments *id = arguments;
    /* From whoever says it: it can only forbid. */
    if (id->hops != 0 && id->hops <= BACKEND_TTL_FIRST && session->user.size == 0 &&
        (session->hops_left == 0 || id->hops < session->hops_left))
        session->hops_left = id->hops;
    imap_untagged(session, "ID (\"name\" \"Ringpost\")");
    imap_finish(session, NULL, "Done");
}
