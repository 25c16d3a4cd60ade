/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One command's text off the stream: lines and the literals between them, gathered in the command
 * arena as they came. What a literal may cost is decided from its announcement, before memory is
 * taken and before the client is told to go on.
 *
 *   line ──{n}──▶ within limits? ─▶ "+ OK" ─▶ n bytes ─▶ line ─▶ ... ─▶ tag, verb, arguments
 *        ──{n+}─▶ within limits? ─▶ n bytes, or read off and dropped (RFC 7888 section 4)
 *
 * Invariants:
 *   R1 A refused command leaves nothing behind in the stream that could be taken for a command:
 *      what cannot be read off (too long a line, too much to drop) ends the session.
 *   R2 The message of APPEND is not read here: `literal_pending`, append.c takes it.
 *   R3 Before log-in, what may hold a password lies in one place: the text. Where it was received
 *      it is wiped.
 *   R4 No client is asked for a literal of LOGIN in clear, where passwords are not taken so.
 */
#include "families.h"
#include "ringpost/auth.h"

/* ---------------------------------------------------------------- announcements, pure */

enum imap_announced imap_literal_announced(struct slice line, struct imap_literal *ret_literal)
{
    if (line.size == 0 || line.data[line.size - 1] != '}')
        return IMAP_ANNOUNCED_NONE;
    size_t open = line.size - 1;
    while (open > 0 && line.data[open] != '{')
        open--;
    if (line.data[open] != '{')
        return IMAP_ANNOUNCED_NONE;
    struct slice inside = slice_of(line.data + open + 1, line.size - open - 2);
    struct imap_literal literal = {.is_sync = true};
    if (inside.size > 0 && inside.data[inside.size - 1] == '+') {
        literal.is_sync = false;
        inside.size--;
    }
    literal.is_binary = open > 0 && line.data[open - 1] == '~';
    literal.offset = literal.is_binary ? open - 1 : open;
    literal.length = line.size - literal.offset;
    char before = literal.offset > 0 ? line.data[literal.offset - 1] : '\0';
    bool is_number = slice_number(inside, UINT64_MAX, &literal.size) &&
                     (inside.size == 1 || inside.data[0] != '0');
    bool is_digits = inside.size > 0;
    for (size_t i = 0; i < inside.size; i++)
        is_digits = is_digits && inside.data[i] >= '0' && inside.data[i] <= '9';
    if (!is_number || (before != ' ' && before != '('))
        return is_digits && !literal.is_sync ? IMAP_ANNOUNCED_LOST : IMAP_ANNOUNCED_WRONG;
    *ret_literal = literal;
    return IMAP_ANNOUNCED;
}

static bool is_tag(struct slice tag)
{
    if (tag.size == 0 || tag.size > IMAP_TAG_BYTES_MAX)
        return false;
    for (size_t i = 0; i < tag.size; i++)
        if (tag.data[i] == '+' || !imap_is_astring_char(tag.data[i]))
            return false;
    return true;
}

const char *imap_line_split(struct slice text, struct command_line *ret_line)
{
    size_t space = slice_find(text, ' ');
    struct slice tag = slice_first(text, space), rest = slice_from(text, space + 1);
    *ret_line = (struct command_line){0};
    if (!is_tag(tag))
        return text.size == 0 ? "Empty command" : "No tag";
    ret_line->tag = tag;
    size_t end = slice_find(rest, ' ');
    if (slice_equal_nocase(slice_first(rest, end), SLICE("UID")) && end < rest.size)
        end += 1 + slice_find(slice_from(rest, end + 1), ' ');
    if (end == 0)
        return "No command";
    ret_line->verb = slice_first(rest, end);
    ret_line->arguments = slice_from(rest, end + 1);
    return NULL;
}

/* ---------------------------------------------------------------- reading */

struct reading {
    struct session *session;
    char *data; /* in the command arena */
    size_t size, capacity;
    size_t bytes_max;
    unsigned literals, literals_max;
};

static struct slice text_of(const struct reading *reading)
{
    return reading->data != NULL ? slice_of(reading->data, reading->size) : SLICE("");
}

/* Makes room for `more` bytes; false: no memory. */
static bool reserve(struct reading *reading, size_t more)
{
    if (more <= reading->capacity - reading->size)
        return true;
    size_t capacity = reading->size + more;
    if (reading->size > 0 && capacity < reading->capacity * 2)
        capacity = reading->capacity * 2;
    char *data = arena_alloc(&reading->session->arena, capacity);
    if (data == NULL)
        return false;
    if (reading->size > 0)
        memcpy(data, reading->data, reading->size);
    if (reading->session->state == IMAP_NOT_AUTHENTICATED)
        auth_wipe(text_of(reading)); /* R3 */
    reading->data = data;
    reading->capacity = capacity;
    return true;
}

static bool append(struct reading *reading, struct slice bytes)
{
    if (!reserve(reading, bytes.size))
        return false;
    if (bytes.size > 0)
        memcpy(reading->data + reading->size, bytes.data, bytes.size);
    reading->size += bytes.size;
    return true;
}

/* Reads off `size` bytes. 0 or -errno of the stream. */
static int skip_bytes(struct stream *stream, uint64_t size)
{
    while (size > 0) {
        struct slice bytes;
        int result = stream_peek(stream, &bytes);
        if (result < 0)
            return result;
        bytes = slice_first(bytes, size < SIZE_MAX ? (size_t)size : SIZE_MAX);
        stream_consume(stream, bytes.size);
        size -= bytes.size;
    }
    return 0;
}

int imap_skip_command(struct session *session, uint64_t size)
{
    struct imap_literal literal = {.size = size};
    uint64_t left = IMAP_COMMAND_BYTES_MAX_BEFORE;
    if (session->state != IMAP_NOT_AUTHENTICATED) {
        left = imap_options_of(session)->append_bytes_max;
        left = left > IMAP_LITERAL_DISCARD_MAX ? left : IMAP_LITERAL_DISCARD_MAX;
        session_deadline(session, imap_receive_ms(session, size < left ? size : left));
    }
    for (;;) {
        struct slice line;
        if (literal.size > left) {
            session_end(session, SESSION_END_PROTOCOL);
            return -EAGAIN;
        }
        left -= literal.size;
        int result = skip_bytes(&session->stream, literal.size);
        if (result == 0)
            result = stream_read_line(&session->stream, IMAP_LINE_BYTES_MAX_BEFORE, &line);
        if (result == -EMSGSIZE || result == -EBADMSG) { /* R1 */
            session_end(session, SESSION_END_PROTOCOL);
            return -EAGAIN;
        }
        if (result < 0)
            return result;
        enum imap_announced announced = imap_literal_announced(line, &literal);
        if (announced == IMAP_ANNOUNCED_LOST) {
            session_end(session, SESSION_END_PROTOCOL);
            return -EAGAIN;
        }
        if (announced != IMAP_ANNOUNCED || literal.is_sync)
            return 0;
    }
}

/* Answers a command that cannot be gathered: BAD, or NO [code]. -EAGAIN: go on. */
static int refuse(struct reading *reading, const char *code, const char *why)
{
    struct session *session = reading->session;
    struct command_line line;
    imap_line_split(text_of(reading), &line);
    session->line.tag = line.tag;
    if (code != NULL)
        imap_no(session, code, why);
    else
        imap_bad(session, why);
    return -EAGAIN;
}

/* The same, and the client may be out of step: R1. */
static int refuse_and_end(struct reading *reading, const char *why)
{
    refuse(reading, NULL, why);
    session_end(reading->session, SESSION_END_PROTOCOL);
    return -EAGAIN;
}

/* One line, appended. 0, 1: it announces a literal; or -errno. */
static int gather_line(struct reading *reading, struct imap_literal *ret_literal)
{
    struct session *session = reading->session;
    struct slice line = SLICE("");
    size_t left = reading->bytes_max - reading->size, max = IMAP_LINE_BYTES_MAX;
    if (session->state == IMAP_NOT_AUTHENTICATED)
        max = IMAP_LINE_BYTES_MAX_BEFORE;
    int result = stream_read_line(&session->stream, max < left ? max : left, &line);
    if (result == -EMSGSIZE)
        return refuse_and_end(reading, "Line too long");
    if (result < 0 && result != -EBADMSG)
        return result;
    enum imap_announced announced = imap_literal_announced(line, ret_literal);
    bool is_lost = announced == IMAP_ANNOUNCED_LOST ||
                   (announced == IMAP_ANNOUNCED && result < 0 && !ret_literal->is_sync);
    bool is_appended = append(reading, line);
    if (session->state == IMAP_NOT_AUTHENTICATED)
        auth_wipe(line); /* R3 */
    if (!is_appended)
        return is_lost || announced == IMAP_ANNOUNCED
                   ? -ENOMEM
                   : refuse(reading, "UNAVAILABLE", "Out of memory");
    if (is_lost)
        return refuse_and_end(reading, "Bad literal");
    if (result == -EBADMSG)
        return refuse(reading, NULL, "Line not ended by CRLF, or with a bare CR in it");
    return announced == IMAP_ANNOUNCED;
}

/* Exactly `size` bytes. 0 or -errno. */
static int take_bytes(struct session *session, char *to, size_t size)
{
    if (session->state != IMAP_NOT_AUTHENTICATED)
        return stream_read_exact(&session->stream, to, size);
    while (size > 0) {
        struct slice bytes;
        int result = stream_peek(&session->stream, &bytes);
        if (result < 0)
            return result;
        bytes = slice_first(bytes, size);
        memcpy(to, bytes.data, bytes.size);
        auth_wipe(bytes); /* R3 */
        stream_consume(&session->stream, bytes.size);
        to += bytes.size;
        size -= bytes.size;
    }
    return 0;
}

/* R4 */
static bool is_secret_in_clear(const struct reading *reading)
{
    struct command_line line;
    return !session_may_log_in(reading->session) &&
           imap_line_split(text_of(reading), &line) == NULL &&
           slice_equal_nocase(line.verb, SLICE("LOGIN"));
}

/* The bytes of an announced literal, appended behind CRLF. 0 or -errno. */
static int gather_literal(struct reading *reading, const struct imap_literal *literal)
{
    struct session *session = reading->session;
    bool is_logged_in = session->state != IMAP_NOT_AUTHENTICATED;
    size_t left = reading->bytes_max - reading->size;
    if (reading->literals++ == reading->literals_max || left < 2 || literal->size > left - 2) {
        int result = literal->is_sync ? 0 : imap_skip_command(session, literal->size);
        if (result < 0)
            return result;
        return refuse(reading, is_logged_in ? "TOOBIG" : NULL, "Literal too big, or too many");
    }
    if (!append(reading, SLICE("\r\n")) || !reserve(reading, (size_t)literal->size)) {
        int result = literal->is_sync ? 0 : imap_skip_command(session, literal->size);
        return result < 0 ? result : refuse(reading, "UNAVAILABLE", "Out of memory");
    }
    if (literal->is_sync && is_secret_in_clear(reading)) {
        session_count_error(session);
        return refuse(reading, "PRIVACYREQUIRED", "Use TLS");
    }
    if (literal->is_sync)
        stream_write(&session->stream, SLICE("+ OK\r\n"));
    int result = take_bytes(session, reading->data + reading->size, (size_t)literal->size);
    reading->size += result == 0 ? (size_t)literal->size : 0;
    return result;
}

/* Is the literal that the text ends with the message of an APPEND? All are but one that is the
 * mailbox's name. */
static bool is_message(const struct reading *reading, const struct imap_literal *literal)
{
    struct command_line line;
    return imap_line_split(text_of(reading), &line) == NULL &&
           slice_equal_nocase(line.verb, SLICE("APPEND")) && line.arguments.size > literal->length;
}

static int gather(struct reading *reading)
{
    struct imap_literal literal;
    int result;
    while ((result = gather_line(reading, &literal)) > 0) {
        if (is_message(reading, &literal)) {
            imap_of(reading->session)->literal_pending = literal.is_sync ? 0 : literal.size;
            return 0;
        }
        result = gather_literal(reading, &literal);
        if (result < 0)
            return result;
    }
    return result;
}

/* In IDLE: "DONE" becomes a command with IDLE's tag; anything else ends IDLE, refused. */
static int read_idle(struct session *session, struct command_line *ret_line)
{
    struct slice line;
    struct imap_literal literal;
    int result = stream_read_line(&session->stream, IMAP_LINE_BYTES_MAX_BEFORE, &line);
    if (result < 0 && result != -EMSGSIZE && result != -EBADMSG)
        return result;
    struct slice tag = arena_copy(&session->arena, slice_cstr(imap_of(session)->kept_tag));
    session->line.tag = tag;
    if (tag.data == NULL)
        return -ENOMEM;
    if (result == 0 && slice_equal_nocase(line, SLICE("DONE"))) {
        *ret_line = (struct command_line){.tag = tag, .verb = SLICE("DONE")};
        return 0;
    }
    imap_idle_end(session);
    imap_bad(session, "Expected DONE");
    if (result < 0 || imap_literal_announced(line, &literal) != IMAP_ANNOUNCED_NONE)
        session_end(session, SESSION_END_PROTOCOL); /* R1 */
    return -EAGAIN;
}

int imap_read(struct session *session, struct command_line *ret_line)
{
    if (session->state == IMAP_IDLE)
        return read_idle(session, ret_line);
    bool is_logged_in = session->state != IMAP_NOT_AUTHENTICATED;
    struct reading reading = {
        .session = session,
        .bytes_max = is_logged_in ? IMAP_COMMAND_BYTES_MAX : IMAP_COMMAND_BYTES_MAX_BEFORE,
        .literals_max = is_logged_in ? IMAP_LITERALS_MAX : IMAP_LITERALS_MAX_BEFORE};
    int result = gather(&reading);
    if (result < 0)
        return result;
    const char *why = imap_line_split(text_of(&reading), ret_line);
    if (why == NULL)
        return 0;
    uint64_t pending = imap_of(session)->literal_pending;
    imap_of(session)->literal_pending = 0;
    result = pending > 0 ? imap_skip_command(session, pending) : 0;
    return result < 0 ? result : refuse(&reading, NULL, why);
}
