/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One command off the stream: lines and the literals between them, gathered in the command arena
 * as they came, CRLF between. Nobody is asked for a literal: clients of ManageSieve send theirs at
 * once (RFC 5804, 4), so that what is refused is to be read off, or the session ends.
 *
 *   line ─▶ whole ──────────────▶ verb, arguments
 *        ─▶ {n+}, within limits ─▶ n bytes ─▶ line ...
 *        ─▶ too long, too large, or not clear what follows ─▶ BYE (invariant 1)
 *
 * The stream is that of a session before its log-in: what it held is wiped here as soon as it is
 * copied (invariant 2), and the copy by who checks it.
 */
#include "ringpost/auth.h"
#include "sieve_private.h"

struct reading {
    struct session *session;
    char *data; /* in the command arena */
    size_t size, capacity, size_max;
    unsigned literals;
};

static struct slice text_of(const struct reading *reading)
{
    return reading->data != NULL ? slice_of(reading->data, reading->size) : SLICE("");
}

/* Room for `more` bytes, which are within size_max. */
static bool reserve(struct reading *reading, size_t more)
{
    if (more <= reading->capacity - reading->size)
        return true;
    size_t capacity = reading->size + more;
    if (capacity < reading->capacity * 2)
        capacity = reading->capacity * 2;
    char *data = arena_alloc(&reading->session->arena, capacity);
    if (data == NULL)
        return false;
    if (reading->size > 0)
        memcpy(data, reading->data, reading->size);
    auth_wipe(text_of(reading));
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

/* Invariant 1. */
static int give_up(struct reading *reading, const char *why)
{
    auth_wipe(text_of(reading));
    sieve_say(reading->session, "BYE", "", why);
    session_end(reading->session, SESSION_END_PROTOCOL);
    return -EAGAIN;
}

static int take_bytes(struct reading *reading, uint64_t size)
{
    struct stream *stream = &reading->session->stream;
    if (!reserve(reading, (size_t)size))
        return -ENOMEM;
    while (size > 0) {
        struct slice bytes;
        int result = stream_peek(stream, &bytes);
        if (result < 0)
            return result;
        bytes = slice_first(bytes, (size_t)size);
        append(reading, bytes); /* there is room */
        auth_wipe(bytes);
        stream_consume(stream, bytes.size);
        size -= bytes.size;
    }
    return 0;
}

/* 0: the text is whole; -EBADMSG: it is, and one of its lines was not as lines are; -EMSGSIZE,
 * -EPROTO: what follows cannot be told; -ENOMEM; -errno of the stream. */
static int gather(struct reading *reading)
{
    bool is_bad = false;
    for (;;) {
        struct slice line = SLICE("");
        uint64_t size = 0;
        int result =
            stream_read_line(&reading->session->stream, reading->size_max - reading->size, &line);
        if (result < 0 && result != -EBADMSG)
            return result;
        is_bad = is_bad || result < 0;
        enum sieve_scanned scanned = sieve_scan(line, &size);
        bool is_there = append(reading, line);
        auth_wipe(line);
        if (!is_there)
            return -ENOMEM;
        if (scanned == SIEVE_LINE_WHOLE)
            return is_bad ? -EBADMSG : 0;
        if (scanned == SIEVE_LINE_LOST || is_bad)
            return -EPROTO;
        if (++reading->literals > SIEVE_LITERALS_MAX || reading->size_max - reading->size < 2 ||
            size > reading->size_max - reading->size - 2)
            return -EMSGSIZE;
        if (!append(reading, SLICE("\r\n")))
            return -ENOMEM;
        result = take_bytes(reading, size);
        if (result < 0)
            return result;
    }
}

int sieve_read(struct session *session, struct command_line *ret_line)
{
    struct reading reading = {.session = session, .size_max = SIEVE_TEXT_BYTES_MAX};
    int result = gather(&reading);
    struct slice text = text_of(&reading);
    if (result == -EMSGSIZE)
        return give_up(&reading, "Command too long");
    if (result == -EPROTO)
        return give_up(&reading, "Not a literal: send {size+}");
    if (result < 0)
        auth_wipe(text);
    if (result == -EBADMSG) {
        session_count_error(session);
        sieve_say(session, "NO", "", "End lines with CRLF, and send no other control bytes");
        return -EAGAIN;
    }
    if (result < 0)
        return result;
    ret_line->verb = slice_first(text, slice_find(text, ' '));
    ret_line->arguments = slice_from(text, ret_line->verb.size + 1);
    return 0;
}

int sieve_read_string(struct session *session, struct slice *ret_string)
{
    struct reading reading = {.session = session, .size_max = SIEVE_STRING_BYTES_MAX + 2};
    int result = gather(&reading);
    struct slice text = text_of(&reading);
    if (result == -EMSGSIZE || result == -EPROTO) {
        auth_wipe(text);
        session_end(session, SESSION_END_PROTOCOL);
        return result == -EPROTO ? -EBADMSG : result;
    }
    struct sieve_cursor cursor = {text.data, text.data + text.size};
    if (result == 0 &&
        (!sieve_take_string(&cursor, &session->arena, ret_string) || cursor.at != cursor.end))
        result = -EBADMSG;
    if (result < 0 || ret_string->data < text.data || ret_string->data > text.data + text.size)
        auth_wipe(text); /* and there is a copy, without backslashes */
    return result;
}
