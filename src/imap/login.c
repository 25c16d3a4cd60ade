/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who the client is: LOGIN, AUTHENTICATE PLAIN (RFC 4616, with initial response: RFC 4959), and
 * what it is: ID (RFC 2971), ENABLE (RFC 5161).
 *
 *   password right ─▶ session_logged_in ─▶ moves to the user's home core ─▶ account_open ─▶ OK
 *
 * A wrong password and an unknown user are answered alike, after the delay that auth asks for.
 */
#include "families.h"
#include "ringpost/auth.h"

enum {
    ENABLE_NAMES_MAX = 64,
    ID_PAIRS_MAX = 30, /* and the sizes: RFC 2971 section 3.3 */
    ID_NAME_BYTES_MAX = 30,
    ID_VALUE_BYTES_MAX = 1024,
    SASL_LINE_BYTES_MAX = 4096
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

static void log_in(struct session *session, struct slice user, struct slice password)
{
    auth_wipe(session->line.arguments); /* the password may be a copy of what stands there */
    int result = session_log_in(session, user, password);
    if (result == 0) {
        session_move(session, store_home_core(session_core(session), session->user), at_home);
    } else if (result == -EACCES || result == -EINVAL) {
        imap_no(session, "AUTHENTICATIONFAILED", "Authentication failed");
    } else {
        imap_fail(session, result);
    }
}

/* Answered: passwords are not taken over a plain connection. */
static bool is_refused(struct session *session)
{
    if (imap_options_of(session)->plain_login_allowed)
        return false;
    imap_no(session, "PRIVACYREQUIRED", "Use TLS");
    return true;
}

const char *imap_login_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_login_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    bool is_good = imap_take_astring(&cursor, arena, &arguments->user) && imap_take(&cursor, ' ') &&
                   imap_take_astring(&cursor, arena, &arguments->password) && imap_at_end(&cursor);
    return is_good ? NULL : "Expected: LOGIN user password";
}

void imap_login_run(struct session *session, const void *arguments)
{
    const struct imap_login_arguments *login = arguments;
    if (!is_refused(session))
        log_in(session, login->user, login->password);
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
    struct slice response = authenticate->initial, user, password;
    if (is_refused(session))
        return;
    if (!slice_equal_nocase(authenticate->mechanism, SLICE("PLAIN"))) {
        imap_no(session, "CANNOT", "No such mechanism");
        return;
    }
    if (response.data == NULL) {
        stream_write(&session->stream, SLICE("+ \r\n"));
        int result = stream_read_line(&session->stream, SASL_LINE_BYTES_MAX, &response);
        if (result == -EMSGSIZE || result == -EBADMSG) {
            imap_bad(session, "Not a response");
            return;
        }
        if (result < 0)
            return;
        if (slice_equal(response, SLICE("*"))) {
            imap_bad(session, "Cancelled");
            return;
        }
        response = response.size > 0 ? response : SLICE("=");
    }
    const char *why = sasl_plain(response, &session->arena, &user, &password);
    if (why != NULL)
        imap_bad(session, why);
    else
        log_in(session, user, password);
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

const char *imap_id_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    static const char expected[] = "Expected: ID (name value ...) or ID NIL";
    struct imap_cursor cursor = imap_cursor_of(text);
    (void)ret_arguments;
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
    }
    return imap_at_end(&cursor) ? NULL : expected;
}

void imap_id_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_untagged(session, "ID (\"name\" \"Ringpost\")");
    imap_finish(session, NULL, "Done");
}
