/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See imap_double.h. The functions below stand for those of stream.h, session.h, core.h, store.h
 * and src/imap/reply.c that FETCH and SEARCH call.
 */
#include "imap_double.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct imap_double *the; /* mailboxes and sessions are opaque: this is the one there is */

/* ---------------------------------------------------------------- making the world */

void double_init(struct imap_double *world)
{
    *world = (struct imap_double){0};
    the = world;
    arena_init(&world->arena, UINT32_MAX);
    world->service.command_ms_max = 60000;
    struct session *session = &world->imap.session;
    session->service = &world->service;
    session->line.tag = SLICE("t1");
    world->imap.view.mailbox = (struct mailbox *)world;
    world->imap.view.recent_after_uid = UINT32_MAX;
    arena_init(&session->arena, IMAP_ARENA_BYTES_MAX);
}

void double_deinit(struct imap_double *world)
{
    arena_reset(&world->imap.session.arena);
    arena_reset(&world->arena);
    free(world->output);
    the = NULL;
}

struct double_message *double_add_bytes(struct imap_double *world, struct slice bytes)
{
    assert(world->imap.view.count < DOUBLE_MESSAGES_MAX);
    struct double_message *message = &world->messages[world->imap.view.count++];
    message->bytes = arena_copy(&world->arena, bytes);
    message->entry = (struct mail_entry){.uid = world->imap.view.count * 10,
                                         .modseq = 100 + world->imap.view.count,
                                         .message = world->imap.view.count,
                                         .date = 86400 * 365 * 50,
                                         .size = (uint32_t)bytes.size};
    int result = mime_summarize(message->bytes, &world->arena, &message->summary);
    assert(result == 0);
    return message;
}

struct double_message *double_add(struct imap_double *world, const char *text)
{
    struct text bytes;
    text_init(&bytes, &world->arena);
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            text_char(&bytes, '\r');
        text_char(&bytes, *text);
    }
    return double_add_bytes(world, text_slice(&bytes));
}

static void said(struct slice bytes)
{
    if (the->output_size + bytes.size + 1 > the->output_capacity) {
        the->output_capacity = (the->output_size + bytes.size + 1) * 2;
        the->output = realloc(the->output, the->output_capacity);
        assert(the->output != NULL);
    }
    if (bytes.size > 0)
        memcpy(the->output + the->output_size, bytes.data, bytes.size);
    the->output_size += bytes.size;
    the->output[the->output_size] = '\0';
}

static bool run(struct imap_double *world, const char *text,
                const char *(*parse)(struct slice, struct arena *, void *),
                void (*handler)(struct session *, const void *))
{
    _Alignas(16) char arguments[IMAP_FETCH_ARGUMENTS_BYTES] = {0};
    struct session *session = &world->imap.session;
    the = world;
    world->output_size = 0;
    world->reads = world->summaries = world->commits = world->yields = world->deadlines = 0;
    world->stored_count = 0;
    world->bytes_read = 0;
    world->write_largest = 0;
    said(SLICE(""));
    const char *why = parse(slice_cstr(text), &session->arena, arguments);
    if (why != NULL)
        said(slice_cstr(why));
    else
        handler(session, arguments);
    arena_reset(&session->arena);
    return why == NULL;
}

bool double_fetch(struct imap_double *world, const char *text)
{
    return run(world, text, imap_fetch_parse, imap_fetch_run);
}

bool double_uid_fetch(struct imap_double *world, const char *text)
{
    return run(world, text, imap_fetch_parse, imap_uid_fetch_run);
}

bool double_search(struct imap_double *world, const char *text)
{
    return run(world, text, imap_search_parse, imap_search_run);
}

bool double_uid_search(struct imap_double *world, const char *text)
{
    return run(world, text, imap_search_parse, imap_uid_search_run);
}

/* ---------------------------------------------------------------- core.h, stream.h, session.h */

uint64_t core_now_ns(const struct core *core)
{
    (void)core;
    return the->now_ns;
}

void fiber_yield(struct core *core)
{
    (void)core;
    the->yields++;
    the->now_ns += the->yield_ns;
}

void stream_write(struct stream *stream, struct slice bytes)
{
    if (stream->output_error != 0 || the->closes > 0)
        return;
    if (the->output_fails_at > 0 && the->output_size + bytes.size > the->output_fails_at) {
        stream->output_error = -ECONNRESET;
        return;
    }
    if (bytes.size > the->write_largest)
        the->write_largest = bytes.size;
    said(bytes);
    stream->bytes_out += bytes.size;
}

int stream_send(struct stream *stream, struct slice bytes)
{
    stream_write(stream, bytes);
    return stream->output_error;
}

void stream_close(struct stream *stream)
{
    the->closes++;
    stream->slot = -1;
}

void session_end(struct session *session, enum session_end end)
{
    (void)session;
    the->end = end;
}

void session_deadline(struct session *session, uint64_t ms)
{
    (void)session;
    assert(ms > 0);
    the->deadlines++;
}

/* ---------------------------------------------------------------- reply.c */

void imap_untagged(struct session *session, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    stream_write(&session->stream, SLICE("* "));
    stream_write(&session->stream, slice_of(line, (size_t)size));
    stream_write(&session->stream, SLICE("\r\n"));
}

static void tagged(struct session *session, const char *status, const char *code)
{
    stream_write(&session->stream, SLICE("t1 "));
    stream_write(&session->stream, slice_cstr(status));
    if (code != NULL) {
        stream_write(&session->stream, SLICE(" ["));
        stream_write(&session->stream, slice_cstr(code));
        stream_write(&session->stream, SLICE("]"));
    }
    stream_write(&session->stream, SLICE("\r\n"));
}

void imap_finish(struct session *session, const char *code, const char *text)
{
    (void)text;
    tagged(session, "OK", code);
}

void imap_no(struct session *session, const char *code, const char *text)
{
    (void)text;
    tagged(session, "NO", code);
}

void imap_fail(struct session *session, int error)
{
    char code[32];
    snprintf(code, sizeof code, "%d", -error);
    tagged(session, "NO", code);
}

void imap_condstore_enable(struct session *session)
{
    if (!(the->imap.enabled & IMAP_CONDSTORE))
        imap_untagged(session, "OK [HIGHESTMODSEQ]");
    the->imap.enabled |= IMAP_CONDSTORE;
}

bool imap_set_refused(struct session *session, const struct imap_set *numbers, bool is_uid)
{
    if (numbers->count == 0)
        tagged(session, is_uid ? "OK" : "BAD", NULL);
    return numbers->count == 0;
}

/* ---------------------------------------------------------------- store.h */

const struct mail_entry *view_entry(const struct view *view, uint32_t number)
{
    assert(number >= 1 && number <= view->count);
    return the->entries != NULL ? &the->entries[number - 1] : &the->messages[number - 1].entry;
}

uint32_t view_number(const struct view *view, uint32_t uid, bool or_next)
{
    uint32_t number = 1;
    while (number <= view->count && view_entry(view, number)->uid < uid)
        number++;
    return or_next || (number <= view->count && view_entry(view, number)->uid == uid) ? number : 0;
}

static struct double_message *message_of(const struct mail_entry *entry)
{
    assert(entry->message >= 1 && entry->message <= DOUBLE_MESSAGES_MAX);
    return &the->messages[entry->message - 1];
}

int64_t message_read(struct mailbox *mailbox, const struct mail_entry *entry, uint64_t offset,
                     void *data, size_t size)
{
    (void)mailbox;
    struct double_message *message = message_of(entry);
    if (message->read_error != 0 && offset + size > message->read_error_at) {
        if (offset >= message->read_error_at)
            return message->read_error;
        size = (size_t)(message->read_error_at - offset);
    }
    if (the->read_max > 0 && size > the->read_max)
        size = the->read_max;
    struct slice bytes = slice_first(slice_from(message->bytes, offset), size);
    memcpy(data, bytes.data, bytes.size);
    the->reads++;
    the->bytes_read += bytes.size;
    return (int64_t)bytes.size;
}

int message_summary(struct mailbox *mailbox, const struct mail_entry *entry, struct arena *arena,
                    struct slice *ret_summary)
{
    (void)mailbox;
    struct double_message *message = message_of(entry);
    the->summaries++;
    if (message->summary_error != 0)
        return message->summary_error;
    *ret_summary = arena_copy(arena, message->summary);
    return ret_summary->data == NULL ? -ENOMEM : 0;
}

int mailbox_store(struct mailbox *mailbox, uint32_t *uids, uint32_t count,
                  const struct store_change *change, uint32_t *ret_failed)
{
    (void)mailbox;
    assert(change->how == STORE_ADD && change->flags == MAIL_SEEN && change->keywords == 0);
    the->commits++;
    if (the->store_error != 0)
        return the->store_error;
    for (uint32_t i = 0; i < count; i++)
        the->stored_uids[the->stored_count++ % DOUBLE_MESSAGES_MAX] = uids[i];
    *ret_failed = 0;
    return 0;
}

struct slice mailbox_keyword(const struct mailbox *mailbox, unsigned bit)
{
    (void)mailbox;
    return bit == 3 ? SLICE("$Work") : (struct slice){0};
}

int mailbox_keyword_bit(struct mailbox *mailbox, struct slice name, bool make)
{
    (void)mailbox;
    assert(!make);
    return slice_equal_nocase(name, SLICE("$Work")) ? 3 : -1;
}
