/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ManageSieve (RFC 5804) up to the log-in: the table of its commands, what it can, and what is said
 * outside of commands.
 *
 * What a client learns before the log-in is what the backends have in common (proxy_capabilities):
 * there is one list for users of different stores. Until a backend has been asked, the list of
 * extensions is empty, and clients ask again once they are logged in. UNAUTHENTICATE is never
 * offered: who is behind it would be between the backend and the client alone.
 */
#include "sieve_private.h"

#include "ringpost/proxy.h"
#include "ringpost/words.h"

void sieve_say(struct session *session, const char *condition, const char *code, const char *text)
{
    stream_printf(&session->stream, "%s%s%s%s \"%s\"\r\n", condition, *code != '\0' ? " (" : "",
                  code, *code != '\0' ? ")" : "", text);
}

/* ---------------------------------------------------------------- capabilities */

/* Where it stands quoted without an escape. */
static bool is_plain(struct slice word)
{
    for (size_t i = 0; i < word.size; i++)
        if ((unsigned char)word.data[i] <= ' ' || word.data[i] == '"' || word.data[i] == '\\' ||
            word.data[i] == 127)
            return false;
    return word.size > 0;
}

/* "NAME" "word word ...": of those NAME=word,word that backends have in common. */
static void write_values(struct session *session, struct slice words, struct slice name)
{
    bool is_first = true;
    stream_printf(&session->stream, "\"%.*s\" \"", (int)name.size, name.data);
    for (struct slice word; (word = words_next(&words)).size > 0;) {
        struct slice value = slice_from(word, name.size + 1);
        if (!slice_starts_nocase(word, name) || word.size <= name.size ||
            word.data[name.size] != '=' || !is_plain(value))
            continue;
        while (value.size > 0) {
            struct slice one = slice_first(value, slice_find(value, ','));
            value = slice_from(value, one.size + 1);
            if (!is_first)
                stream_write(&session->stream, SLICE(" "));
            stream_write(&session->stream, one);
            is_first = false;
        }
    }
    stream_write(&session->stream, SLICE("\"\r\n"));
}

static void say_capabilities(struct session *session, const char *text)
{
    static const struct slice others[] = {SLICE("NOTIFY"), SLICE("MAXREDIRECTS"),
                                          SLICE("EXTLISTS")};
    char names[AUTH_MECHANISMS_BYTES_MAX];
    size_t size = session_mechanisms(session, names);
    struct slice words = proxy_capabilities(session);
    struct stream *stream = &session->stream;
    stream_write(stream, SLICE("\"IMPLEMENTATION\" \"Ringpost\"\r\n"));
    stream_printf(stream, "\"SASL\" \"%.*s\"\r\n", (int)size, names);
    write_values(session, words, SLICE("SIEVE"));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (words_find(words, others[i], NULL))
            write_values(session, words, others[i]);
    if (session_offers_tls(session))
        stream_write(stream, SLICE("\"STARTTLS\"\r\n"));
    if (words.size == 0 || words_find(words, SLICE("VERSION"), NULL))
        stream_write(stream, SLICE("\"VERSION\" \"1.0\"\r\n"));
    sieve_say(session, "OK", "", text);
}

/* ---------------------------------------------------------------- commands */

static void sieve_capability(struct session *session, const void *arguments)
{
    (void)arguments;
    say_capabilities(session, "Capabilities");
}

/* Given back as a literal, whatever it holds. */
static void sieve_noop(struct session *session, const void *arguments)
{
    const struct sieve_noop_arguments *noop = arguments;
    if (noop->tag.data == NULL) {
        sieve_say(session, "OK", "", "Done");
        return;
    }
    stream_printf(&session->stream, "OK (TAG {%zu}\r\n", noop->tag.size);
    stream_write(&session->stream, noop->tag);
    stream_write(&session->stream, SLICE(") \"Done\"\r\n"));
}

static void sieve_logout(struct session *session, const void *arguments)
{
    (void)arguments;
    sieve_say(session, "OK", "", "Goodbye");
    session_end(session, SESSION_END_QUIT);
}

static const struct command commands[] = {
    {"AUTHENTICATE", SIEVE_BEFORE, COMMAND_WIPED, sieve_parse_authenticate,
     sizeof(struct sieve_authenticate_arguments), sieve_authenticate,
     "AUTHENTICATE mechanism [initial-response]"},
    {"STARTTLS", SIEVE_BEFORE, 0, sieve_parse_none, 0, sieve_starttls, "STARTTLS"},
    {"CAPABILITY", SIEVE_BEFORE, COMMAND_JUNK, sieve_parse_none, 0, sieve_capability, "CAPABILITY"},
    {"NOOP", SIEVE_BEFORE, COMMAND_JUNK, sieve_parse_noop, sizeof(struct sieve_noop_arguments),
     sieve_noop, "NOOP [tag]"},
    {"LOGOUT", SIEVE_BEFORE, 0, sieve_parse_none, 0, sieve_logout, "LOGOUT"},
};

/* Of a user: the backend would take them, so they are told apart from nonsense. */
static bool is_for_users(struct slice verb)
{
    static const char *const verbs[] = {"HAVESPACE",    "PUTSCRIPT",   "LISTSCRIPTS",
                                        "SETACTIVE",    "GETSCRIPT",   "DELETESCRIPT",
                                        "RENAMESCRIPT", "CHECKSCRIPT", "UNAUTHENTICATE"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (slice_equal_nocase(verb, slice_cstr(verbs[i])))
            return true;
    return false;
}

/* ---------------------------------------------------------------- the session */

/* Under TLS it is another session, which begins by saying what it can (RFC 5804, 2.2). */
static void sieve_begin(struct session *session)
{
    if (session->service->tls == SERVICE_START_TLS && session_is_secure(session))
        session_wake(session);
}

static void sieve_woken(struct session *session)
{
    say_capabilities(session, "TLS is active");
}

static void sieve_open(struct session *session)
{
    say_capabilities(session, "Ringpost ready");
}

static void sieve_refuse(struct session *session, const struct command *command,
                         enum session_refusal refusal, const char *why)
{
    static const char *const texts[] = {
        [SESSION_REFUSE_STATE] = "Not now",
        [SESSION_REFUSE_TLS] = "Log-in is allowed on encrypted connections only",
        [SESSION_REFUSE_TOO_LONG] = "Command too long",
        [SESSION_REFUSE_BARE] = "End lines with CRLF",
    };
    (void)command;
    auth_wipe(session->line.arguments); /* whatever it was */
    if (refusal == SESSION_REFUSE_MEMORY)
        sieve_say(session, "NO", "TRYLATER", "Out of memory, try again later");
    else if (refusal == SESSION_REFUSE_UNKNOWN)
        sieve_say(session, "NO", "",
                  is_for_users(session->line.verb) ? "Log in first" : "Unknown command");
    else
        sieve_say(session, "NO", "", refusal == SESSION_REFUSE_SYNTAX ? why : texts[refusal]);
}

static void sieve_goodbye(struct session *session, enum session_end end)
{
    static const struct {
        enum session_end end;
        const char *code, *text;
    } rows[] = {
        {SESSION_END_DRAIN, "TRYLATER", "The server is closing"},
        {SESSION_END_KICKED, "TRYLATER", "Closed by the operator"},
        {SESSION_END_BACKEND_LOST, "TRYLATER", "The server of the scripts was lost"},
        {SESSION_END_BACKEND_DOWN, "TRYLATER", "The server of the scripts is closing"},
        {SESSION_END_BACKEND_DEAD, "TRYLATER", "The server of the scripts does not answer"},
        {SESSION_END_MEMORY, "TRYLATER", "Out of memory, try again later"},
        {SESSION_END_ERRORS, "", "Too many commands that are of no use"},
        {SESSION_END_JUNK, "", "Too many commands that are of no use"},
        {SESSION_END_FORBIDDEN, "", "This is a ManageSieve server"},
        {SESSION_END_IDLE, "", "Idle for too long"},
        {SESSION_END_LOGIN_LATE, "", "No log-in in time"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].end == end)
            sieve_say(session, "BYE", rows[i].code, rows[i].text);
}

static void sieve_closed(struct session *session)
{
    (void)session;
}

static const char refusal[] = "BYE (TRYLATER) \"Too many connections, try again later\"\r\n";

const struct session_protocol sieve_protocol = {
    .id = PROTOCOL_SIEVE,
    .name = "sieve",
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
    .session_bytes = sizeof(struct sieve),
    .line_bytes_max = SIEVE_TEXT_BYTES_MAX,
    .command_bytes_max = SIEVE_COMMAND_BYTES_MAX,
    .state_first = SIEVE_BEFORE,
    .alpn = "managesieve",
    .begin = sieve_begin,
    .open = sieve_open,
    .read = sieve_read,
    .refuse = sieve_refuse,
    .goodbye = sieve_goodbye,
    .woken = sieve_woken,
    .closed = sieve_closed,
    .refusal = {refusal, sizeof refusal - 1},
};
