/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One command: read, looked up in the protocol's table, refused or run.
 *
 *   read ─▶ row? ─▶ state? ─▶ TLS? ─▶ parse ─▶ run      each "no" ─▶ protocol.refuse, an error
 *
 * What carries a password is wiped where it lies when it is refused; what runs wipes its own.
 *
 * A connection that begins in another protocol (HTTP, TLS, SSH) is no client of ours, and what
 * follows may be an attack through a browser: it ends at once (FORBIDDEN).
 */
#include "session_private.h"

static unsigned name_hash(struct slice name)
{
    unsigned first = (unsigned char)ascii_upper(name.data[0]);
    unsigned last = (unsigned char)ascii_upper(name.data[name.size - 1]);
    return (first * 5 + last * 11 + (unsigned)name.size * 3) % INDEX_HEADS;
}

void command_index_make(struct command_index *index, const struct session_protocol *protocol)
{
    assert(protocol->command_count <= COMMANDS_MAX);
    *index = (struct command_index){.protocol = protocol};
    for (unsigned row = 0; row < protocol->command_count; row++) {
        uint8_t *head = &index->heads[name_hash(slice_cstr(protocol->commands[row].name))];
        index->next[row] = *head;
        *head = (uint8_t)(row + 1);
    }
}

static const struct command *find(struct sessions *sessions,
                                  const struct session_protocol *protocol, struct slice verb)
{
    struct command_index *index = &sessions->indexes[protocol->id];
    if (index->protocol != protocol)
        command_index_make(index, protocol);
    if (verb.size == 0)
        return NULL;
    for (unsigned row = index->heads[name_hash(verb)]; row != 0; row = index->next[row - 1]) {
        const struct command *command = &protocol->commands[row - 1];
        if (slice_equal_nocase(verb, slice_cstr(command->name)))
            return command;
    }
    return NULL;
}

/* The first word of a request in another protocol. */
static bool is_foreign(struct slice word)
{
    static const char *const words[] = {"GET",     "POST",    "PUT",   "HEAD",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_cstr(words[i])))
            return true;
    return slice_starts_nocase(word, SLICE("SSH-"));
}

/* ---------------------------------------------------------------- errors */

static unsigned errors_max(const struct session *session)
{
    unsigned max = session->service->errors_max;
    return max > STRESSED_ERRORS_MAX && overload_concerns(session) ? STRESSED_ERRORS_MAX : max;
}

/* How long the reply to the next error waits; 0: it does not. */
static uint64_t delay_ms(const struct session *session)
{
    const struct service *service = session->service;
    if (session->errors < service->errors_free || session->errors >= errors_max(session))
        return 0; /* the one after errors_max ends the session: no reason to wait */
    uint64_t ms = service->error_ms_first;
    for (unsigned n = session->errors - service->errors_free; n > 0 && ms < service->error_ms_max;
         n--)
        ms *= 2;
    return ms < service->error_ms_max ? ms : service->error_ms_max;
}

/* Before the reply to an error. Holds a fiber, so only so many sessions of a core do that at once,
 * and those that come then are closed; gives up when the client does, or the server drains. */
static void hold_back(struct session *session)
{
    struct core *core = session_core(session);
    struct sessions *sessions = sessions_of(core);
    uint64_t ms = session->end == SESSION_END_NONE ? delay_ms(session) : 0;
    uint64_t until = core_now_ns(core) + ms * 1000000;
    unsigned fibers_max = core_fibers_max(core) / 4;
    if (ms == 0)
        return;
    if (sessions->tarpit_fibers >= TARPIT_FIBERS_MAX || sessions->tarpit_fibers >= fibers_max) {
        session_end(session, SESSION_END_ERRORS);
        return;
    }
    sessions->tarpit_fibers++;
    counter_add(core_counters(core), COUNTER_REPLIES_DELAYED, 1);
    while (core_now_ns(core) < until && session->stream.end == 0 &&
           !(session->private_bits & DRAINING)) {
        uint64_t left = until - core_now_ns(core), step = (uint64_t)TARPIT_STEP_MS * 1000000;
        fiber_sleep(core, left < step ? left : step);
    }
    sessions->tarpit_fibers--;
    session_due(session, session->service->command_ms_max);
}

static void count_error(struct session *session)
{
    counter_add(core_counters(session_core(session)), COUNTER_PROTOCOL_ERRORS, 1);
    if (++session->errors > errors_max(session))
        session_end(session, SESSION_END_ERRORS);
}

void session_count_error(struct session *session)
{
    hold_back(session);
    count_error(session);
}

static void refuse(struct session *session, const struct command *command,
                   enum session_refusal refusal, const char *why)
{
    const struct command_line *line = &session->line;
    if (command != NULL && (command->flags & (COMMAND_SECRET | COMMAND_WIPED)))
        auth_wipe(line->arguments);
    if (refusal == SESSION_REFUSE_UNKNOWN &&
        is_foreign(line->tag.size > 0 ? line->tag : line->verb)) {
        session_end(session, SESSION_END_FORBIDDEN);
        return;
    }
    hold_back(session);
    protocol_of(session)->refuse(session, command, refusal, why);
    count_error(session);
}

static int read_line(struct session *session, struct command_line *ret_line)
{
    struct slice text = SLICE("");
    int result = stream_read_line(&session->stream, protocol_of(session)->line_bytes_max, &text);
    size_t space = slice_find(text, ' ');
    struct slice arguments = slice_from(text, space + 1);
    while (arguments.size > 0 && arguments.data[0] == ' ')
        arguments = slice_from(arguments, 1);
    *ret_line = (struct command_line){.verb = slice_first(text, space), .arguments = arguments};
    if (result == 0 && text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        return -EBADMSG;
    return result;
}

static void run(struct session *session, const struct command *command)
{
    const struct command_line *line = &session->line;
    void *arguments = NULL;
    if (command->parse != NULL) {
        arguments = arena_zalloc(&session->arena, 1, command->arguments_size);
        if (arguments == NULL) {
            refuse(session, command, SESSION_REFUSE_MEMORY, NULL);
            return;
        }
        const char *why = command->parse(line->arguments, &session->arena, arguments);
        if (why != NULL) { /* parsers do not tell want of memory from bad syntax */
            bool was_short = session->arena.was_short;
            refuse(session, command, was_short ? SESSION_REFUSE_MEMORY : SESSION_REFUSE_SYNTAX,
                   was_short ? NULL : why);
            return;
        }
    }
    command->run(session, arguments);
    unsigned junk_max = session->service->junk_max;
    if (junk_max > STRESSED_JUNK_MAX && overload_concerns(session))
        junk_max = STRESSED_JUNK_MAX;
    if ((command->flags & COMMAND_JUNK) && ++session->junk > junk_max)
        session_end(session, SESSION_END_JUNK);
}

static void look_up(struct session *session)
{
    const struct session_protocol *protocol = protocol_of(session);
    struct core *core = session_core(session);
    const struct command *command = find(sessions_of(core), protocol, session->line.verb);
    session->commands++;
    if (command == NULL) {
        refuse(session, NULL, SESSION_REFUSE_UNKNOWN, NULL);
        return;
    }
    uint64_t *counter = &core_counters(core)->commands[protocol->id][command - protocol->commands];
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED); /* the metrics thread reads */
    if ((command->states & session->state) == 0)
        refuse(session, command, SESSION_REFUSE_STATE, NULL);
    else if ((command->flags & COMMAND_SECRET) && !session_may_log_in(session))
        refuse(session, command, SESSION_REFUSE_TLS, NULL);
    else
        run(session, command);
}

void session_command(struct session *session)
{
    const struct session_protocol *protocol = protocol_of(session);
    session->line = (struct command_line){0};
    if (session->stream.end == 0)
        session_begin_command(session);
    int result = protocol->read != NULL ? protocol->read(session, &session->line)
                                        : read_line(session, &session->line);
    if (result == 0) {
        session->private_bits &= ~(uint32_t)(BEGUN | AWAITING);
        session_due(session, session->service->command_ms_max);
        look_up(session);
    } else if (result == -EMSGSIZE && protocol->read == NULL) {
        refuse(session, NULL, SESSION_REFUSE_TOO_LONG, NULL);
    } else if (result == -EBADMSG && protocol->read == NULL) {
        refuse(session, NULL, SESSION_REFUSE_BARE, NULL);
    } else if (result != -EAGAIN) {
        session_end(session, session_end_of(session, result));
    }
    session->private_bits &= ~(uint32_t)(BEGUN | AWAITING);
}
