/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The protocol as the session layer sees it: greeting, refusals, goodbye; and the commands that are
 * legal in every state. What the server can do is one table of capabilities.
 */
#include <stdlib.h>

#include "families.h"

/* ---------------------------------------------------------------- capabilities */

enum capability_condition {
    ALWAYS,
    BY_STORE, /* of the store behind the log-in, here or elsewhere */
    CAN_START_TLS,
    MECHANISMS, /* the name is that of each, behind it */
    MUST_NOT_LOG_IN
};

static const struct {
    const char *name;
    uint32_t states;
    enum capability_condition condition;
} capabilities[] = {
    {"IMAP4rev1", IMAP_ANY, ALWAYS},
    {"LITERAL+", IMAP_ANY, ALWAYS},
    {"SASL-IR", IMAP_NOT_AUTHENTICATED, ALWAYS},
    {"STARTTLS", IMAP_NOT_AUTHENTICATED, CAN_START_TLS},
    {"AUTH=", IMAP_NOT_AUTHENTICATED, MECHANISMS},
    {"LOGINDISABLED", IMAP_NOT_AUTHENTICATED, MUST_NOT_LOG_IN},
    {"ID", IMAP_ANY, ALWAYS},
    {"ENABLE", IMAP_ANY, BY_STORE},
    {"IDLE", IMAP_ANY, BY_STORE},
    {"NAMESPACE", IMAP_LOGGED_IN, ALWAYS},
    {"UIDPLUS", IMAP_LOGGED_IN, ALWAYS},
    {"UNSELECT", IMAP_LOGGED_IN, ALWAYS},
    {"CHILDREN", IMAP_LOGGED_IN, ALWAYS},
    {"SPECIAL-USE", IMAP_LOGGED_IN, ALWAYS},
    {"CREATE-SPECIAL-USE", IMAP_LOGGED_IN, ALWAYS},
    {"ESEARCH", IMAP_LOGGED_IN, ALWAYS},
    {"CONDSTORE", IMAP_LOGGED_IN, ALWAYS},
    {"MOVE", IMAP_LOGGED_IN, ALWAYS},
    {"STATUS=SIZE", IMAP_LOGGED_IN, ALWAYS},
};

static void add_capability(struct text *text, const char *name, struct slice rest)
{
    text_append(text, text->size > 0 ? SLICE(" ") : SLICE(""));
    text_append(text, slice_cstr(name));
    text_append(text, rest);
}

static void add_mechanisms(struct session *session, struct text *text, const char *name)
{
    char names[AUTH_MECHANISMS_BYTES_MAX];
    struct slice rest = slice_of(names, session_mechanisms(session, names));
    while (rest.size > 0) {
        struct slice mechanism = slice_first(rest, slice_find(rest, ' '));
        rest = slice_from(rest, mechanism.size + 1);
        add_capability(text, name, mechanism);
    }
}

static bool store_has(struct session *session, const char *name)
{
    return session->state != IMAP_NOT_AUTHENTICATED || imap_front_has(session, slice_cstr(name));
}

struct slice imap_capabilities(struct session *session)
{
    struct text text;
    text_init(&text, &session->arena);
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++) {
        enum capability_condition condition = capabilities[i].condition;
        if (!(capabilities[i].states & session->state) ||
            (condition == BY_STORE && !store_has(session, capabilities[i].name)) ||
            (condition == CAN_START_TLS && !session_offers_tls(session)) ||
            (condition == MUST_NOT_LOG_IN && session_may_log_in(session)))
            continue;
        if (condition == MECHANISMS)
            add_mechanisms(session, &text, capabilities[i].name);
        else
            add_capability(&text, capabilities[i].name, SLICE(""));
    }
    if (session->state == IMAP_NOT_AUTHENTICATED)
        imap_front_capabilities(session, &text);
    if (session->state & IMAP_LOGGED_IN)
        text_printf(&text, " APPENDLIMIT=%llu",
                    (unsigned long long)imap_options_of(session)->append_bytes_max);
    text_char(&text, '\0'); /* also a string */
    return text.failed ? SLICE("IMAP4rev1") : slice_of(text.data, text.size - 1);
}

/* ---------------------------------------------------------------- the session's life */

void imap_open(struct session *session)
{
    struct stream *stream = &session->stream;
    stream_write(stream, SLICE("* OK [CAPABILITY "));
    stream_write(stream, imap_capabilities(session));
    stream_write(stream, SLICE("] "));
    stream_write(stream, session->service->host_name);
    stream_write(stream, SLICE(" Ringpost ready\r\n"));
}

void imap_refuse(struct session *session, const struct command *command,
                 enum session_refusal refusal, const char *why)
{
    struct imap_session *imap = imap_of(session);
    uint64_t pending = imap->literal_pending;
    imap->literal_pending = 0;
    if (pending > 0 && imap_skip_command(session, pending) < 0)
        return; /* the stream's end, or the session's, is seen by the loop */
    const char *kind = "BAD";
    (void)command;
    switch (refusal) {
    case SESSION_REFUSE_UNKNOWN:
        why = "Unknown command";
        break;
    case SESSION_REFUSE_STATE:
        why = session->state == IMAP_NOT_AUTHENTICATED ? "Log in first" : "Not in this state";
        break;
    case SESSION_REFUSE_TLS:
        kind = "NO [PRIVACYREQUIRED]";
        why = "Use TLS";
        break;
    case SESSION_REFUSE_TOO_LONG:
        why = "Line too long";
        break;
    case SESSION_REFUSE_BARE:
        why = "Line not ended by CRLF, or with a bare CR in it";
        break;
    case SESSION_REFUSE_MEMORY:
        kind = "NO [UNAVAILABLE]";
        why = "Out of memory, try again later";
        break;
    case SESSION_REFUSE_SYNTAX:
        break;
    }
    struct slice tag = session->line.tag;
    stream_write(&session->stream, tag.size > 0 ? tag : SLICE("*"));
    stream_printf(&session->stream, " %s %s\r\n", kind, why);
}

void imap_goodbye(struct session *session, enum session_end end)
{
    bool is_temporary = end == SESSION_END_DRAIN || end == SESSION_END_MEMORY ||
                        end == SESSION_END_BACKEND_LOST || end == SESSION_END_BACKEND_DOWN ||
                        end == SESSION_END_BACKEND_DEAD;
    stream_printf(&session->stream, "* BYE %s%s\r\n", is_temporary ? "[UNAVAILABLE] " : "",
                  session_end_rows[end].text);
}

void imap_closed(struct session *session)
{
    struct imap_session *imap = imap_of(session);
    if (imap->view.mailbox != NULL)
        view_close(&imap->view);
    imap->view.mailbox = NULL;
    if (imap->account != NULL)
        account_close(imap->account);
    imap->account = NULL;
    free(imap->kept_tag);
    imap->kept_tag = NULL;
}

/* ---------------------------------------------------------------- commands of every state */

const char *imap_nothing_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena, (void)ret_arguments;
    return text.size == 0 ? NULL : "No arguments are wanted";
}

void imap_capability_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_of(session)->has_asked = true;
    stream_write(&session->stream, SLICE("* CAPABILITY "));
    stream_write(&session->stream, imap_capabilities(session));
    stream_write(&session->stream, SLICE("\r\n"));
    imap_finish(session, NULL, "Done");
}

void imap_noop_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_finish(session, NULL, "Done");
}

void imap_logout_run(struct session *session, const void *arguments)
{
    (void)arguments;
    if (imap_of(session)->view.mailbox != NULL)
        imap_deselect(session);
    imap_untagged(session, "BYE Logging out");
    imap_finish(session, NULL, "Done");
    session_end(session, SESSION_END_QUIT);
}
