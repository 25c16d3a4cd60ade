/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * MIME, pure: bytes in, slices out; no I/O, no state, no recursion on input depth, work linear in
 * the input.
 * A message is parsed once, at delivery; what readers ask for most (ENVELOPE, BODY, BODYSTRUCTURE,
 * where each
 * part lies) is kept beside it as a "summary", a byte string with its own checks. Hostile input
 * yields a
 * summary too: past a limit (parts, depth, addresses, parameters) the rest is opaque body bytes.
 */
#ifndef RINGPOST_MIME_H
#define RINGPOST_MIME_H

#include "ringpost/arena.h"

enum {
    MIME_DEPTH_MAX = 64,       /* nested multiparts and message/rfc822; deeper is opaque */
    MIME_PARTS_MAX = 2000,     /* parts of one message */
    MIME_ADDRESSES_MAX = 2000, /* addresses kept of one header family */
    MIME_PARAMETERS_MAX = 64,  /* parameters kept of one Content-Type or Content-Disposition */
    MIME_HEADER_BYTES_MAX =
        262144 /* header bytes looked at; what follows still belongs to the header */
};

/* Parses `message` (CRLF lines) and makes its summary in `arena`: about 2 KiB for
 * common mail, at most about 2 KiB + 1 KiB a part + 16 times the header bytes looked at, under 8
 * MiB
 * for any message. Returns 0, or -ENOMEM when the arena's cap is reached: then deliver with an
 * empty summary
 * (size 0), which mime_summary_open accepts as "one opaque text/plain part". */
int mime_summarize(struct slice message, struct arena *arena, struct slice *ret_summary);

enum mime_part_kind {
    MIME_LEAF,
    MIME_MULTIPART,
    MIME_MESSAGE /* message/rfc822 or message/global */
};

/* One part. Offsets count from the message's first byte. Parts are in depth-first order; part 0 is
 * the message
 * itself. A MIME_MESSAGE part's only child (its embedded message) has number 0 and is again like
 * part 0. */
struct mime_part {
    uint32_t parent; /* index; part 0 names itself */
    uint32_t number; /* 1.. among its siblings (RFC 9051 6.4.5.1); 0 for a whole message */
    uint32_t header_offset, header_size; /* header with its empty line */
    uint32_t body_offset, body_size;
    uint32_t body_lines;
    uint8_t kind;     /* enum mime_part_kind */
    uint8_t encoding; /* enum mime_encoding */
    uint16_t reserved;
};

enum mime_encoding {
    MIME_7BIT,
    MIME_8BIT,
    MIME_BINARY,
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_ENCODING_OTHER
};

/* A summary opened for reading; the slices borrow the summary's bytes. The three texts are ready to
 * be sent
 * after "ENVELOPE ", "BODY ", "BODYSTRUCTURE " (RFC 9051 7.5.2): quoted strings, or literals where
 * a byte
 * needs it, NIL where absent; never a bare CR, LF or NUL outside a literal. */
struct mime_summary {
    struct slice envelope, body, bodystructure;
    uint32_t part_count;
    const unsigned char *parts; /* packed; read by mime_summary_part */
};

/* Checks every length in the bytes (they come from disk). 0, or -EBADMSG. */
int mime_summary_open(struct slice bytes, struct mime_summary *ret_summary);
void mime_summary_part(const struct mime_summary *summary, uint32_t index,
                       struct mime_part *ret_part);

enum mime_section_text {
    MIME_SECTION_ALL,    /* BODY[] or BODY[1.2] */
    MIME_SECTION_HEADER, /* BODY[HEADER], BODY[1.HEADER], also the base of HEADER.FIELDS */
    MIME_SECTION_TEXT,   /* BODY[TEXT], BODY[1.TEXT] */
    MIME_SECTION_MIME    /* BODY[1.MIME] */
};

/* Finds the byte range of a section (RFC 9051 6.4.5.1). `numbers` is the dotted part number, count
 * 0 for the
 * whole message. `message_size` is the message's real size (used when the summary is empty).
 * False when there is no such part: the answer is then NIL. */
bool mime_section_find(const struct mime_summary *summary, const uint32_t *numbers, unsigned count,
                       enum mime_section_text text, uint64_t message_size, uint64_t *ret_offset,
                       uint64_t *ret_size, struct mime_part *ret_part);

/* Walks header fields. `name` excludes the colon; `value` is the raw value after the colon, folded
 * lines
 * included, without the last CRLF; `whole` is the field as it stands with its CRLF. */
struct mime_header {
    struct slice name, value, whole;
};
/* Takes the next field from *header (advancing it). False at the empty line or the end. */
bool mime_header_next(struct slice *header, struct mime_header *ret_field);

/* HEADER.FIELDS / HEADER.FIELDS.NOT: the fields whose names are (not) among `names`, then the empty
 * line. */
void mime_header_select(struct slice header, const struct slice *names, unsigned count, bool negate,
                        struct text *out);

/* Unfolds and decodes RFC 2047 encoded words to UTF-8; bytes in an unknown charset are kept as they
 * are with
 * controls replaced. Appends to out. */
void mime_decode_words(struct slice value, struct text *out);

/* Undoes a transfer encoding; never fails hard, appends what could be decoded. */
void mime_decode_transfer(struct slice body, enum mime_encoding encoding, struct text *out);

/* Converts from a MIME charset to UTF-8 (iconv); unknown charset or broken input: bytes as they
 * are. */
void mime_to_utf8(struct slice bytes, struct slice charset, struct text *out);
/* Whether mime_to_utf8 has a converter of this name (not US-ASCII and UTF-8, which need none). */
bool mime_charset_is_known(struct slice charset);

/* All converters, held open. libc loads them from files: a process that is to lose the right to
 * open files opens them before, and mime_to_utf8 goes on working. */
enum { MIME_CHARSETS_MAX = 64 };
struct mime_charsets {
    void *converters[MIME_CHARSETS_MAX];
    unsigned count, missing; /* missing: this machine has no files for them */
};
void mime_charsets_open(struct mime_charsets *ret_charsets);
void mime_charsets_close(struct mime_charsets *charsets);

/* Whether a part with this header is text (RFC 2045 5.2: also one without a readable Content-Type),
 * and its charset (size 0: not named; borrows the header or the arena). */
bool mime_content_is_text(struct slice header, struct arena *arena, struct slice *ret_charset);

/* Date: header (RFC 5322 3.3, obsolete zones too) as seconds since 1970 UTC and the zone in minutes
 * east.
 * False if it cannot be read. */
bool mime_date_parse(struct slice value, int64_t *ret_seconds, int *ret_zone_minutes);

/* Days since 1970-01-01 of the civil date as written in the header (no zone shift): for SENTON and
 * friends. */
bool mime_date_day(struct slice value, int64_t *ret_day);

/* Does the UTF-8 `haystack` hold `needle`, both folded for case (ASCII always; Unicode simple
 * folding where
 * cheap)? Linear time. An empty needle is always found. */
bool mime_contains_nocase(struct slice haystack, struct slice needle);

#endif
