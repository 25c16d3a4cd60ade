/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The part tree of a message (RFC 2046 5.1), in one pass over its lines. `open` is the innermost
 * part not yet ended; `levels` are the multiparts around it whose boundary still counts. A boundary
 * line ends every part inside its multipart, so parts nest by construction, whatever the boundaries
 * are. Invariants:
 *   1. A part's header and body lie inside its parent's body; siblings do not overlap.
 *   2. At most MIME_PARTS_MAX nodes, MIME_DEPTH_MAX levels, MIME_HEADER_BYTES_MAX header bytes
 * looked at, in all parts together; what is past a limit is body bytes of the part around it.
 *   3. A MIME_MESSAGE node has exactly one child.
 * The line end before a boundary belongs to the boundary (RFC 2046 5.1.1), unless it ends the
 * part's header.
 */
#include "mime_private.h"

#include <errno.h>

struct level {
    struct mime_node *node;
    struct slice boundary;
};

struct parser {
    struct slice message;
    struct arena *arena;
    struct mime_tree *tree;
    struct mime_node *last, *open;
    bool in_header; /* of `open` */
    uint32_t lines; /* line ends passed */
    unsigned level_count;
    struct level levels[MIME_DEPTH_MAX];
};

static bool node_open(struct parser *parser, struct mime_node *parent, uint32_t offset,
                      bool is_message)
{
    struct mime_node *node = arena_zalloc(parser->arena, 1, sizeof *node);
    if (node == NULL)
        return false;
    node->index = parser->tree->count++;
    node->parent = parent;
    node->part.header_offset = offset;
    if (parent != NULL) {
        parent->children++;
        node->depth = parent->depth + 1;
        node->part.parent = parent->index;
        node->part.number = is_message ? 0 : parent->children;
        parser->last->next = node;
    } else {
        parser->tree->first = node;
    }
    parser->last = parser->open = node;
    parser->in_header = true;
    return true;
}

/* Reads the fields of node's header into what BODYSTRUCTURE needs. */
static bool fields_read(struct parser *parser, struct mime_node *node)
{
    struct slice header =
        slice_first(slice_from(parser->message, node->part.header_offset), node->part.header_size);
    header = slice_first(header, MIME_HEADER_BYTES_MAX - parser->tree->header_bytes);
    parser->tree->header_bytes += header.size;
    bool is_message = node->part.number == 0;
    if (is_message) {
        node->envelope = arena_alloc(parser->arena, sizeof *node->envelope);
        if (node->envelope == NULL)
            return false;
    }
    struct mime_content content;
    if (!mime_fields_collect(header, &content, node->envelope))
        return true;
    if (mime_content_parse(&content, parser->arena) < 0)
        return false;
    node->content = arena_alloc(parser->arena, sizeof content);
    if (node->content == NULL)
        return false;
    *node->content = content;
    node->part.encoding = (uint8_t)mime_encoding_of(content.encoding);
    return true;
}

/* The boundary, size 0 if there is none. False when the arena is full. */
static bool boundary_read(const struct mime_content *content, struct arena *arena,
                          struct slice *ret_boundary)
{
    *ret_boundary = SLICE("");
    for (unsigned i = 0; i < content->parameters.count; i++) {
        const struct mime_parameter *parameter = &content->parameters.items[i];
        struct slice boundary = parameter->value;
        if (slice_equal_nocase(parameter->name, SLICE("boundary*"))) {
            if (!mime_parameter_decode(parameter->value, arena, &boundary))
                return false;
        } else if (!slice_equal_nocase(parameter->name, SLICE("boundary"))) {
            continue;
        }
        while (boundary.size > 0 && mime_is_blank(boundary.data[boundary.size - 1]))
            boundary.size--; /* RFC 2046 5.1.1: does not end in white space */
        *ret_boundary = boundary;
        break;
    }
    return true;
}

/* RFC 2046 5.1.5: a part of a digest without a type is a message. */
static bool default_is_message(const struct mime_node *node)
{
    const struct mime_node *parent = node->parent;
    return parent != NULL && parent->part.kind == MIME_MULTIPART && parent->content != NULL &&
           slice_equal_nocase(parent->content->subtype, SLICE("digest"));
}

static enum mime_part_kind kind_of(const struct mime_node *node)
{
    if (node->depth >= MIME_DEPTH_MAX)
        return MIME_LEAF;
    const struct mime_content *content = node->content;
    bool is_message;
    if (content == NULL || content->type.data == NULL) {
        is_message = default_is_message(node);
    } else {
        if (slice_equal_nocase(content->type, SLICE("multipart")))
            return MIME_MULTIPART;
        is_message = slice_equal_nocase(content->type, SLICE("message")) &&
                     (slice_equal_nocase(content->subtype, SLICE("rfc822")) ||
                      slice_equal_nocase(content->subtype, SLICE("global")));
    }
    bool is_encoded =
        node->part.encoding == MIME_BASE64 || node->part.encoding == MIME_QUOTED_PRINTABLE;
    return is_message && !is_encoded ? MIME_MESSAGE : MIME_LEAF;
}

/* The header of `open` ends before `offset`, with `lines` line ends before it. */
static bool header_end(struct parser *parser, uint32_t offset, uint32_t lines)
{
    struct mime_node *node = parser->open;
    parser->in_header = false;
    node->part.header_size = offset - node->part.header_offset;
    node->part.body_offset = offset;
    node->lines_before = lines;
    if (!fields_read(parser, node))
        return false;
    enum mime_part_kind kind = kind_of(node);
    if (kind == MIME_MESSAGE && parser->tree->count >= MIME_PARTS_MAX)
        kind = MIME_LEAF;
    node->part.kind = (uint8_t)kind;
    if (kind == MIME_MESSAGE)
        return node_open(parser, node, offset, true);
    if (kind == MIME_MULTIPART) {
        struct slice boundary;
        if (!boundary_read(node->content, parser->arena, &boundary))
            return false;
        if (boundary.size > 0)
            parser->levels[parser->level_count++] = (struct level){node, boundary};
    }
    return true;
}

/* Ends `open` and its ancestors up to, not with, `stop`. The part ends at `line`, the start of a
 * boundary line or the end of the message, less the line end of `cut` bytes before it. */
static bool parts_end(struct parser *parser, const struct mime_node *stop, uint32_t line,
                      uint32_t cut)
{
    uint32_t end = line - cut;
    uint32_t lines = parser->lines - (cut > 0);
    while (parser->in_header && parser->open != stop) {
        bool fits = parser->open->part.header_offset <= end;
        if (!header_end(parser, fits ? end : line, fits ? lines : parser->lines))
            return false;
    }
    for (struct mime_node *node = parser->open; node != stop; node = node->parent) {
        struct mime_part *part = &node->part;
        if (end < part->body_offset) { /* the line end was the header's, or a child's header's */
            end = line;
            lines = parser->lines;
        }
        part->body_size = end - part->body_offset;
        part->body_lines = lines - node->lines_before;
        if (part->body_size > 0 && parser->message.data[end - 1] != '\n')
            part->body_lines++;
    }
    return true;
}

/* The level whose boundary the line is, or NULL. RFC 2046 5.1.1: "--" boundary ["--"] padding. */
static struct level *boundary_find(struct parser *parser, struct slice line, bool *ret_closes)
{
    if (line.size < 3 || line.data[0] != '-' || line.data[1] != '-')
        return NULL;
    line = slice_from(line, 2);
    while (line.size > 0 && mime_is_blank(line.data[line.size - 1]))
        line.size--;
    for (unsigned i = parser->level_count; i-- > 0;) {
        struct slice boundary = parser->levels[i].boundary;
        if (line.size != boundary.size && line.size != boundary.size + 2)
            continue;
        *ret_closes = line.size != boundary.size;
        if (*ret_closes && memcmp(line.data + boundary.size, "--", 2) != 0)
            continue;
        if (memcmp(line.data, boundary.data, boundary.size) == 0)
            return &parser->levels[i];
    }
    return NULL;
}

static bool boundary_pass(struct parser *parser, struct level *level, bool closes, uint32_t line,
                          uint32_t next)
{
    const char *data = parser->message.data;
    uint32_t cut = line > 0 && data[line - 1] == '\n' ? 1 : 0;
    if (cut == 1 && line > 1 && data[line - 2] == '\r')
        cut = 2;
    unsigned index = (unsigned)(level - parser->levels);
    struct mime_node *multipart = level->node;
    if (!parts_end(parser, multipart, line, cut))
        return false;
    parser->open = multipart;
    parser->in_header = false;
    parser->level_count = closes ? index : index + 1;
    if (closes || parser->tree->count >= MIME_PARTS_MAX)
        return true;
    return node_open(parser, multipart, next, false);
}

static bool lines_scan(struct parser *parser)
{
    const char *start = parser->message.data, *end = start + parser->message.size;
    for (const char *at = start; at < end;) {
        const char *line_feed = memchr(at, '\n', (size_t)(end - at));
        const char *next = line_feed ? line_feed + 1 : end;
        struct level *level = NULL;
        bool closes = false;
        if (*at == '-' && parser->level_count > 0)
            level = boundary_find(parser, slice_of(at, (size_t)(next - at)), &closes);
        if (level != NULL) {
            if (!boundary_pass(parser, level, closes, (uint32_t)(at - start),
                               (uint32_t)(next - start)))
                return false;
            parser->lines += line_feed != NULL;
        } else {
            parser->lines += line_feed != NULL;
            bool empty = line_feed == at || (line_feed == at + 1 && *at == '\r');
            if (parser->in_header && empty &&
                !header_end(parser, (uint32_t)(next - start), parser->lines))
                return false;
        }
        at = next;
    }
    return parts_end(parser, NULL, (uint32_t)parser->message.size, 0);
}

int mime_structure_parse(struct slice message, struct arena *arena, struct mime_tree *ret_tree)
{
    *ret_tree = (struct mime_tree){0};
    struct parser parser; /* levels stay unset until used: they are most of it */
    parser.message = message;
    parser.arena = arena;
    parser.tree = ret_tree;
    parser.last = parser.open = NULL;
    parser.lines = 0;
    parser.level_count = 0;
    if (!node_open(&parser, NULL, 0, true) || !lines_scan(&parser))
        return -ENOMEM;
    return 0;
}
