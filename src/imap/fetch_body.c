/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of one section: found, read in pieces of FETCH_PIECE_BYTES, sent before
 * the next is read. Small ones are copied to the stream's queue, where many answers leave by one
 * send; large ones go out from the piece.
 *
 *    range of the section ─▶ first piece read ─▶ "label {n}" ─▶ piece sent ⇄ next piece read
 *                                   │ fails                          │ fails
 *                                   ▼                                ▼
 *                       "label NIL", error kept               closed at once (F1)
 *
 * Header and text of the message itself are told apart by its empty line, which is mostly in the
 * first piece: that saves reading a summary. Parts are found by the summary.
 *
 * HEADER.FIELDS looks at the first MIME_HEADER_BYTES_MAX bytes of a header, as the summary does;
 * fields behind them are left out of its answers.
 */
#include "fetch.h"

#include <stdlib.h>

enum {
    COPY_BYTES_MAX = 16384,   /* a larger piece is sent from where it lies */
    HEADER_BYTES_FIRST = 8192 /* looked at first for the empty line; then four times as much */
};

void fetch_body_begin(struct fetch *fetch)
{
    fetch->piece_bytes = 0;
    fetch->has_header_size = false;
    arena_reset(&fetch->scratch);
}

/* The bytes [offset, offset + size) of a message into data. 0 or -errno. */
static int bytes_read(struct fetch *fetch, const struct mail_entry *entry, uint64_t offset,
                      char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        int64_t result =
            message_read(fetch->imap->view.mailbox, entry, offset + done, data + done, size - done);
        if (result == 0) /* shorter than its size says */
            return -EBADMSG;
        if (result < 0)
            return (int)result;
        assert((uint64_t)result <= size - done && "message_read gives at most what was asked");
        done += (size_t)result;
    }
    return 0;
}

/* The first of `size` bytes from `offset` on, at most FETCH_PIECE_BYTES of them, in the piece. */
static int piece_read(struct fetch *fetch, const struct mail_entry *entry, uint64_t offset,
                      uint64_t size, struct slice *ret_bytes)
{
    size_t wanted = size < FETCH_PIECE_BYTES ? (size_t)size : FETCH_PIECE_BYTES;
    if (fetch->piece == NULL && (fetch->piece = malloc(FETCH_PIECE_BYTES)) == NULL)
        return -ENOMEM;
    if (offset < fetch->piece_offset ||
        offset + wanted > fetch->piece_offset + fetch->piece_bytes) {
        fetch->piece_bytes = 0;
        int result = bytes_read(fetch, entry, offset, fetch->piece, wanted);
        if (result < 0)
            return result;
        fetch->piece_offset = offset;
        fetch->piece_bytes = (uint32_t)wanted;
    }
    *ret_bytes = slice_of(fetch->piece + (offset - fetch->piece_offset), wanted);
    return 0;
}

/* The size of the message's header with its empty line. 0 or -errno. */
static int header_measure(struct fetch *fetch, const struct mail_entry *entry)
{
    uint64_t seen = 0;
    size_t step = HEADER_BYTES_FIRST, end;
    while (!fetch->has_header_size) {
        uint64_t start = seen > 2 ? seen - 2 : 0; /* what an empty line may begin with */
        uint64_t left = entry->size - start;
        struct slice bytes;
        int result = piece_read(fetch, entry, start, left < step ? left : step, &bytes);
        if (result < 0)
            return result;
        seen = start + bytes.size;
        if (imap_header_end(bytes, start > 0 ? 2 : 0, &end))
            fetch->header_size = start + end;
        else
            fetch->header_size = entry->size;
        fetch->has_header_size = fetch->header_size <= seen;
        step = step * 4 < FETCH_PIECE_BYTES ? step * 4 : FETCH_PIECE_BYTES;
    }
    return 0;
}

/* Where the section lies, the partial not yet applied. 1; 0: there is no such part; -errno. */
static int section_range(struct fetch *fetch, const struct mail_entry *entry,
                         const struct mime_summary *summary, const struct fetch_section *section,
                         uint64_t *ret_offset, uint64_t *ret_size)
{
    uint64_t offset = 0, size = entry->size;
    if (section->number_count > 0) {
        if (!mime_section_find(summary, section->numbers, section->number_count,
                               (enum mime_section_text)section->text, entry->size, &offset, &size,
                               NULL))
            return 0;
        if (offset > entry->size || size > entry->size - offset) /* not of this message */
            return -EBADMSG;
    } else if (section->text != MIME_SECTION_ALL) {
        int result = header_measure(fetch, entry);
        if (result < 0)
            return result;
        offset = section->text == MIME_SECTION_TEXT ? fetch->header_size : 0;
        size = section->text == MIME_SECTION_TEXT ? entry->size - offset : fetch->header_size;
    }
    *ret_offset = offset;
    *ret_size = size;
    return 1;
}

/* The selected fields and the empty line, in the scratch arena. */
static int fields_select(struct fetch *fetch, const struct mail_entry *entry,
                         const struct fetch_section *section, uint64_t offset, uint64_t size,
                         struct slice *ret_bytes)
{
    size_t wanted = size < MIME_HEADER_BYTES_MAX ? (size_t)size : MIME_HEADER_BYTES_MAX;
    struct slice header = {0};
    if (wanted <= FETCH_PIECE_BYTES) {
        int result = piece_read(fetch, entry, offset, wanted, &header);
        if (result < 0)
            return result;
    } else {
        char *data = arena_alloc(&fetch->scratch, wanted);
        if (data == NULL)
            return -ENOMEM;
        int result = bytes_read(fetch, entry, offset, data, wanted);
        if (result < 0)
            return result;
        header = slice_of(data, wanted);
        while (wanted < size && header.size > 0 && header.data[header.size - 1] != '\n')
            header.size--;
    }
    struct text fields;
    text_init(&fields, &fetch->scratch);
    mime_header_select(header, section->fields, section->field_count, section->without_fields,
                       &fields);
    if (fields.failed)
        return -ENOMEM;
    *ret_bytes = text_slice(&fields);
    return 0;
}

int fetch_section_ready(struct fetch *fetch, const struct mail_entry *entry,
                        const struct mime_summary *summary, const struct fetch_section *section)
{
    uint64_t offset, size;
    struct slice bytes;
    int result = section_range(fetch, entry, summary, section, &offset, &size);
    if (result <= 0)
        return result;
    if (section->has_fields)
        size = size < MIME_HEADER_BYTES_MAX ? size : MIME_HEADER_BYTES_MAX;
    else
        size = section_clip(section, &offset, size);
    return size > 0 ? piece_read(fetch, entry, offset, size, &bytes) : 0;
}

void fetch_break_off(struct fetch *fetch, int error)
{
    struct session *session = &fetch->imap->session;
    fetch->is_broken = true;
    session_end(session, error == -ENOMEM ? SESSION_END_MEMORY : SESSION_END_STORE);
    stream_close(&session->stream);
}

void fetch_line_flush(struct fetch *fetch)
{
    if (fetch->line.failed)
        fetch_break_off(fetch, -ENOMEM);
    else
        stream_write(fetch_stream(fetch), text_slice(&fetch->line));
    fetch->line.size = 0;
}

static void line_nil(struct fetch *fetch, const struct fetch_section *section)
{
    text_append(&fetch->line, section->label);
    text_append(&fetch->line, SLICE(" NIL"));
}

/* "label {size}" and the line so far. */
static void line_literal(struct fetch *fetch, const struct fetch_section *section, uint64_t size)
{
    text_append(&fetch->line, section->label);
    text_append(&fetch->line, SLICE(" {"));
    fetch_text_number(&fetch->line, size);
    text_append(&fetch->line, SLICE("}\r\n"));
    fetch_line_flush(fetch);
}

/* `size` bytes of the message, announced; the first of them are in the piece. */
static void bytes_send(struct fetch *fetch, const struct mail_entry *entry, uint64_t offset,
                       uint64_t size)
{
    struct stream *stream = fetch_stream(fetch);
    struct slice piece;
    while (size > 0 && !fetch_is_over(fetch)) {
        int result = piece_read(fetch, entry, offset, size, &piece);
        if (result < 0) {
            fetch_break_off(fetch, result);
            return;
        }
        if (piece.size <= COPY_BYTES_MAX)
            stream_write(stream, piece);
        else if (stream_send(stream, piece) < 0)
            fetch->is_broken = true; /* nothing can follow: the stream failed or is closing */
        offset += piece.size;
        size -= piece.size;
        fetch_progress(fetch);
    }
}

/* What is wanted of a section that exists. 0, or -errno when nothing was written. */
static int found_write(struct fetch *fetch, const struct mail_entry *entry,
                       const struct fetch_section *section, uint64_t offset, uint64_t size)
{
    struct slice bytes;
    if (section->has_fields) {
        int result = fields_select(fetch, entry, section, offset, size, &bytes);
        if (result < 0)
            return result;
        offset = 0;
        size = section_clip(section, &offset, bytes.size);
        line_literal(fetch, section, size);
        if (!fetch->is_broken)
            stream_write(fetch_stream(fetch), slice_first(slice_from(bytes, offset), size));
        return 0;
    }
    size = section_clip(section, &offset, size);
    int result = size > 0 ? piece_read(fetch, entry, offset, size, &bytes) : 0;
    if (result < 0)
        return result;
    line_literal(fetch, section, size);
    bytes_send(fetch, entry, offset, size);
    return 0;
}

void fetch_section_write(struct fetch *fetch, const struct mail_entry *entry,
                         const struct mime_summary *summary, const struct fetch_section *section)
{
    uint64_t offset, size;
    int result = section_range(fetch, entry, summary, section, &offset, &size);
    if (result > 0) {
        result = found_write(fetch, entry, section, offset, size);
        if (result == 0)
            return;
    }
    if (result < 0 && fetch->error == 0)
        fetch->error = result;
    line_nil(fetch, section);
}
