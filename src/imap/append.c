/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * APPEND (RFC 9051 6.3.12, RFC 7889): the message goes from the stream straight into the store's
 * memory; no other buffer holds it.
 *
 *   reader: "APPEND name (flags) date {n}" ─▶ size, mailbox, store ready? ─▶ "+ OK" ─▶ n bytes
 *           ─▶ CRLF ─▶ mailbox_append ─▶ OK [APPENDUID]       each "no": read off n bytes of {n+}
 *
 * All or nothing: until mailbox_append there is nothing in the mailbox (row I13).
 */
#include "families.h"

const char *imap_append_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_append_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    struct imap_literal literal;
    *arguments = (struct imap_append_arguments){0};
    if (!imap_take_mailbox(&cursor, arena, &arguments->mailbox) || !imap_take(&cursor, ' '))
        return "Expected a mailbox name";
    if (imap_take_flag_list(&cursor, arena, &arguments->flags) && !imap_take(&cursor, ' '))
        return "Expected a message";
    arguments->has_date = imap_next(&cursor) == '"';
    if (arguments->has_date &&
        (!imap_take_date_time(&cursor, &arguments->date, &arguments->date_zone) ||
         !imap_take(&cursor, ' ')))
        return "Bad date and time";
    struct slice rest = slice_of(cursor.at - 1, (size_t)(cursor.end - cursor.at) + 1); /* " {n}" */
    if (imap_literal_announced(rest, &literal) != IMAP_ANNOUNCED || literal.offset != 1)
        return "Expected a message as a literal";
    arguments->size = literal.size;
    arguments->is_sync = literal.is_sync;
    arguments->is_binary = literal.is_binary;
    return NULL;
}

/* What can be said before the message comes. 0 or -errno; *ret_code and *ret_why for what errno
 * does not say well. */
static int look_ahead(struct session *session, const struct imap_append_arguments *append)
{
    uint64_t max = imap_options_of(session)->append_bytes_max;
    if (append->size > max || append->size > UINT32_MAX)
        return -EFBIG;
    if (append->size == 0)
        return -ENODATA;
    if (account_mailbox(imap_of(session)->account, append->mailbox) == NULL)
        return -ENOENT;
    return store_state(session_core(session));
}

static void say_failure(struct session *session, int error)
{
    if (error == -ENOENT)
        imap_no(session, "TRYCREATE", "No such mailbox");
    else if (error == -ENODATA)
        imap_no(session, NULL, "An empty message cannot be kept");
    else if (error == -EILSEQ)
        imap_no(session, NULL, "The message holds a NUL byte");
    else
        imap_fail(session, error);
}

/* Receives `size` bytes into the body. 0; -ENOMEM or -EILSEQ with *ret_left bytes not read; other
 * -errno: of the stream. */
static int receive(struct session *session, struct message_body *body, uint64_t size,
                   bool is_binary, uint64_t *ret_left)
{
    int verdict = 0;
    while (size > 0) {
        size_t room, want = size < SIZE_MAX ? (size_t)size : SIZE_MAX;
        char *data = message_body_await(session_core(session), body, want, &room);
        *ret_left = size;
        if (data == NULL || room == 0)
            return -ENOMEM;
        int got = stream_read_some(&session->stream, data, room < want ? room : want);
        if (got < 0)
            return got;
        if (!is_binary && memchr(data, '\0', (size_t)got) != NULL)
            verdict = -EILSEQ;
        message_body_added(body, (size_t)got);
        size -= (size_t)got;
    }
    *ret_left = 0;
    return verdict;
}

/* The empty rest of the command's last line. 0; -EPROTO: something else (read off, answered); or
 * -errno of the stream, or -EAGAIN. */
static int finish_line(struct session *session)
{
    struct slice line;
    struct imap_literal literal;
    int result = stream_read_line(&session->stream, IMAP_LINE_BYTES_MAX_BEFORE, &line);
    if (result == 0 && line.size == 0)
        return 0;
    if (result == -EMSGSIZE || result == -EBADMSG) {
        session_end(session, SESSION_END_PROTOCOL); /* R1 of reader.c */
        return -EAGAIN;
    }
    if (result < 0)
        return result;
    enum imap_announced announced = imap_literal_announced(line, &literal);
    if (announced == IMAP_ANNOUNCED && !literal.is_sync)
        result = imap_skip_command(session, literal.size);
    else if (announced == IMAP_ANNOUNCED_LOST)
        session_end(session, SESSION_END_PROTOCOL);
    if (result < 0)
        return result;
    imap_bad(session, "One message at a time");
    return -EPROTO;
}

static void put(struct session *session, const struct imap_append_arguments *append,
                struct message_body *body)
{
    struct mailbox *mailbox = account_mailbox(imap_of(session)->account, append->mailbox);
    struct append_result appended;
    uint64_t keywords = 0;
    int64_t date = append->date;
    int result =
        mailbox == NULL ? -ENOENT : imap_keyword_bits(mailbox, &append->flags, true, &keywords);
    if (result < 0) {
        message_body_give(body);
        say_failure(session, result);
        return;
    }
    if (!append->has_date)
        date = core_wall_ns(session_core(session)) / 1000000000;
    result = mailbox_append(mailbox, body, append->flags.flags, keywords, date, append->date_zone,
                            &appended);
    if (result < 0) {
        say_failure(session, result);
        return;
    }
    struct slice code =
        arena_printf(&session->arena, "APPENDUID %u %u", appended.uidvalidity, appended.uid);
    imap_finish(session, code.data, "Done");
}

void imap_append_run(struct session *session, const void *arguments)
{
    const struct imap_append_arguments *append = arguments;
    struct imap_session *imap = imap_of(session);
    imap->literal_pending = 0; /* from here on `left` */
    uint64_t left = append->is_sync ? 0 : append->size;
    struct message_body *body = NULL;
    int result = look_ahead(session, append);
    if (result == 0) {
        body = message_body_take_await(session_core(session), append->size);
        result = body == NULL ? -ENOMEM : 0;
    }
    if (result < 0 && append->is_sync) {
        say_failure(session, result);
        return;
    }
    session_deadline(session, imap_receive_ms(session, append->size));
    if (result == 0) {
        if (append->is_sync)
            stream_write(&session->stream, SLICE("+ OK\r\n"));
        result = receive(session, body, append->size, append->is_binary, &left);
    }
    if (result < 0) { /* refused: what is still to come is read off */
        if (body != NULL)
            message_body_give(body);
        bool is_verdict = session->stream.end == 0;
        if (is_verdict && imap_skip_command(session, left) == 0)
            say_failure(session, result);
        return;
    }
    result = finish_line(session);
    if (result == 0)
        put(session, append, body);
    else
        message_body_give(body);
}
