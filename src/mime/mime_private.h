/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of src/mime share. The way of a message through them:
 *
 *   structure.c  lines -> nodes (the part tree), with content.c reading each header once
 *   envelope.c, address.c, bodystructure.c, string.c  nodes -> the texts of IMAP
 *   summary.c    nodes and texts -> the bytes that are kept; section.c answers from those
 */
#ifndef RINGPOST_MIME_PRIVATE_H
#define RINGPOST_MIME_PRIVATE_H

#include "ringpost/mime.h"

/* The fields of ENVELOPE, in its order (RFC 9051 7.5.2). */
enum mime_envelope_field {
    ENVELOPE_DATE,
    ENVELOPE_SUBJECT,
    ENVELOPE_FROM,
    ENVELOPE_SENDER,
    ENVELOPE_REPLY_TO,
    ENVELOPE_TO,
    ENVELOPE_CC,
    ENVELOPE_BCC,
    ENVELOPE_IN_REPLY_TO,
    ENVELOPE_MESSAGE_ID,
    ENVELOPE_FIELDS
};

enum mime_content_field {
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_ID,
    CONTENT_DESCRIPTION,
    CONTENT_DISPOSITION,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_MD5,
    CONTENT_FIELDS
};

struct mime_parameter {
    struct slice name, value;
};

struct mime_parameters {
    struct mime_parameter *items;
    unsigned count;
};

/* The Content-* fields of one header: raw values, data NULL where absent; the first of its name
 * counts. */
struct mime_content {
    struct slice value[CONTENT_FIELDS];
    struct slice type, subtype, encoding; /* parsed; data NULL: absent or not readable */
    struct mime_parameters parameters;    /* of the type */
};

/* The fields of ENVELOPE of one header; the first of its name. */
struct mime_envelope {
    struct slice value[ENVELOPE_FIELDS]; /* raw; data NULL where absent */
    struct slice header;                 /* to find the further fields of a name from */
    uint32_t repeated; /* bit n: enum mime_envelope_field n stands more than once */
};

/* A part while its message is parsed. */
struct mime_node {
    struct mime_node *next;   /* in depth-first order */
    struct mime_node *parent; /* NULL: the message itself */
    struct mime_part part;
    uint32_t index, depth;
    uint32_t children;
    uint32_t lines_before;          /* line ends before body_offset */
    struct mime_content *content;   /* NULL: no Content-* field */
    struct mime_envelope *envelope; /* of whole messages (number 0), else NULL */
    size_t text_offset, text_size;  /* where the envelope stands in the summary, once rendered */
};

struct mime_tree {
    struct mime_node *first;
    uint32_t count;
    size_t header_bytes; /* looked at, of all parts */
};

/* structure.c: 0 or -ENOMEM. */
int mime_structure_parse(struct slice message, struct arena *arena, struct mime_tree *ret_tree);

/* content.c: reads a header's fields. `ret_envelope` may be NULL. True if a Content-* field is
 * there. */
bool mime_fields_collect(struct slice header, struct mime_content *ret_content,
                         struct mime_envelope *ret_envelope);
/* Fills the parsed members. 0 or -ENOMEM. */
int mime_content_parse(struct mime_content *content, struct arena *arena);
enum mime_encoding mime_encoding_of(struct slice token);

/* params.c */
const char *mime_skip_comment(const char *at, const char *end); /* at: behind "(" */
const char *mime_skip_blanks(const char *at, const char *end);  /* and folds and comments */
struct slice mime_token_take(const char **at, const char *end);
/* *(";" attribute "=" value) with RFC 2231 continuations joined. 0 or -ENOMEM. */
int mime_parameters_parse(struct slice text, struct arena *arena,
                          struct mime_parameters *ret_parameters);
/* The bytes of charset'language'percent-encoded (RFC 2231 4). False when the arena is full. */
bool mime_parameter_decode(struct slice value, struct arena *arena, struct slice *ret_value);

/* string.c */
void mime_put_string(struct text *out, struct slice value); /* quoted or literal; folds removed */
void mime_put_nstring(struct text *out,
                      struct slice value); /* trimmed first; NIL if data is NULL */
void mime_put_number(struct text *out, uint32_t number);

static inline void mime_put(struct text *out, struct slice s)
{
    if (!out->failed && out->capacity - out->size >= s.size && s.size > 0) {
        memcpy(out->data + out->size, s.data, s.size);
        out->size += s.size;
    } else {
        text_append(out, s);
    }
}

/* address.c: the addresses of one header family, as IMAP writes them. */
struct mime_address_writer {
    struct text *out;
    unsigned left;  /* addresses that may still be written */
    unsigned count; /* written */
    bool in_group;
    char *buffer; /* unquoted strings of one address */
    size_t buffer_size;
};
void mime_addresses_put(struct mime_address_writer *writer, struct slice value);
void mime_addresses_end(struct mime_address_writer *writer); /* ")" or NIL */

/* envelope.c: takes what it writes from *address_budget, and at most MIME_ADDRESSES_MAX a family.
 */
void mime_envelope_put(struct text *out, const struct mime_envelope *envelope,
                       unsigned *address_budget);

/* bodystructure.c */
void mime_structure_put(struct text *out, const struct mime_tree *tree, bool extended,
                        unsigned *address_budget);

/* header.c */
struct slice mime_trim(struct slice s); /* blanks and line ends at both ends */

static inline bool mime_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* 0..15, or -1. */
static inline int mime_hex_value(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte behind s; s may be empty with data NULL. */
static inline const char *mime_end(struct slice s)
{
    return s.size > 0 ? s.data + s.size : s.data;
}

/* The first byte of the next line. */
static inline const char *mime_line_next(const char *at, const char *end)
{
    const char *line_feed = memchr(at, '\n', (size_t)(end - at));
    return line_feed ? line_feed + 1 : end;
}

#endif
