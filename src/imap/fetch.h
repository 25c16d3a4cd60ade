/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of FETCH share:
 *
 *   section.c      pure: "[1.2.HEADER.FIELDS (FROM)]<0.100>" ─▶ struct fetch_section; ranges
 *   fetch_parse.c  pure: the command's text ─▶ struct fetch_arguments
 *   fetch.c        the command: messages in order, \Seen, what failed
 *   fetch_body.c   the bytes of one section, in pieces
 *
 * Invariants:
 *   F1 A literal's length is said before its bytes, and exactly so many bytes follow, or the
 *      connection is closed without another byte.
 *   F2 Whatever is asked, a command holds one line, one piece of FETCH_PIECE_BYTES, one summary and
 *      one header of at most MIME_HEADER_BYTES_MAX; nothing grows with messages or their sizes but
 *      the resolved set.
 *   F3 Only bytes that are asked for are read, and a message's beginning for its header or text.
 */
#ifndef RINGPOST_IMAP_FETCH_H
#define RINGPOST_IMAP_FETCH_H

#include "imap_private.h"
#include "ringpost/mime.h"

enum {
    FETCH_SECTIONS_MAX = 256,       /* of one command */
    SECTION_NUMBERS_MAX = 200,      /* "1.2.3": more than any message of MIME_DEPTH_MAX has */
    SECTION_FIELDS_MAX = 128,       /* names in one HEADER.FIELDS */
    SECTION_FIELD_BYTES_MAX = 1000, /* of one name: a header line (RFC 5322 2.1.1) */
    FETCH_PIECE_BYTES = 131072,
    FETCH_SEEN_MAX = 4096, /* messages in one commit of \Seen */
    FETCH_SCRATCH_BYTES_MAX = 16777216
};

enum fetch_attribute { /* bits; answered in this order, before sections */
                       FETCH_UID = 1 << 0,
                       FETCH_FLAGS = 1 << 1,
                       FETCH_MODSEQ = 1 << 2,
                       FETCH_INTERNALDATE = 1 << 3,
                       FETCH_SIZE = 1 << 4,
                       FETCH_ENVELOPE = 1 << 5,
                       FETCH_BODY = 1 << 6,
                       FETCH_BODYSTRUCTURE = 1 << 7
};

struct fetch_section {
    struct fetch_section *next;
    struct slice label; /* as the answer names it: "BODY[1.MIME]<0>" */
    uint32_t *numbers;
    struct slice *fields;
    uint64_t offset, size_max; /* of the partial; 0 and UINT64_MAX for all */
    uint16_t number_count, field_count;
    uint8_t text; /* enum mime_section_text */
    bool has_fields, without_fields, is_peek;
};

struct fetch_arguments {
    struct imap_set set;
    struct fetch_section *sections;
    uint64_t changed_since; /* 0: all */
    uint32_t attributes;    /* enum fetch_attribute */
    uint32_t section_count;
    bool enables_condstore; /* MODSEQ or CHANGEDSINCE was named (RFC 7162 3.1) */
};
static_assert(sizeof(struct fetch_arguments) <= IMAP_FETCH_ARGUMENTS_BYTES, "fits its row");

/* ---------------------------------------------------------------- section.c */

/* "[section]<offset.size>" behind BODY or BODY.PEEK. NULL, or why not. */
const char *section_take(struct imap_cursor *cursor, struct arena *arena,
                         struct fetch_section *section);
/* The part of `size` bytes from *offset on that the section's partial leaves (RFC 9051 6.4.5): an
 * origin past the end leaves nothing. */
uint64_t section_clip(const struct fetch_section *section, uint64_t *offset, uint64_t size);

/* ---------------------------------------------------------------- a running command */

struct fetch {
    struct imap_session *imap;
    const struct fetch_arguments *arguments;
    struct text line;     /* of the answer being made; in the command's arena */
    struct arena scratch; /* of one message: summary, header */
    char *piece;          /* FETCH_PIECE_BYTES, from the first read on */
    uint64_t piece_offset;
    uint32_t piece_bytes; /* read into it, of the message being answered */
    bool has_header_size; /* of that message: */
    uint64_t header_size;
    uint32_t *seen_uids;
    uint32_t seen_count;
    uint64_t bytes_marked;            /* stream.bytes_out when the deadline was set */
    int error;                        /* the first that a message met */
    bool is_uid, has_gone, is_broken; /* broken: nothing more can be said */
};

static inline struct stream *fetch_stream(struct fetch *fetch)
{
    return &fetch->imap->session.stream;
}

/* The client takes nothing any more. */
static inline bool fetch_is_over(struct fetch *fetch)
{
    struct stream *stream = fetch_stream(fetch);
    return fetch->is_broken || stream->output_error != 0 || stream->slot < 0;
}

/* Gives a client that reads its time: call often. */
void fetch_progress(struct fetch *fetch);

/* ---------------------------------------------------------------- fetch_body.c */

/* F1: what was announced cannot be sent; closes without a word. */
void fetch_break_off(struct fetch *fetch, int error);
/* Queues the line so far and begins it anew. */
void fetch_line_flush(struct fetch *fetch);

/* The next message: nothing is known or read of it. */
void fetch_body_begin(struct fetch *fetch);
/* Whether the section asks for what only a summary tells. */
static inline bool fetch_section_needs_summary(const struct fetch_section *section)
{
    return section->number_count > 0;
}
/* Reads the section's first piece. Nothing is written. 0 or -errno. */
int fetch_section_ready(struct fetch *fetch, const struct mail_entry *entry,
                        const struct mime_summary *summary, const struct fetch_section *section);
/* Writes the line and "label {n}" and the bytes, or "label NIL" for what is not there or (in
 * fetch->error) cannot be read. */
void fetch_section_write(struct fetch *fetch, const struct mail_entry *entry,
                         const struct mime_summary *summary, const struct fetch_section *section);

/* Decimal digits. */
static inline void fetch_text_number(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_append(text, slice_of(digits + at, sizeof digits - at));
}

#endif
