/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * BODY and BODYSTRUCTURE (RFC 9051 7.5.2, "body" in section 9). Nodes come in depth-first order, so
 * the text is written in one walk: a container's head when it comes, its tail when the walk leaves
 * it. Invariants:
 *   1. The text follows the grammar whatever the message: an empty multipart shows one empty
 * text/plain part, a multipart or message that was not taken apart shows as
 * application/octet-stream (both as Dovecot does).
 *   2. An embedded message's envelope is rendered once and copied the second time.
 */
#include "mime_private.h"

enum { LANGUAGES_MAX = 64 };

static void parameters_put(struct text *out, const struct mime_parameters *parameters, bool is_text)
{
    bool has_charset = false;
    unsigned count = parameters ? parameters->count : 0;
    if (count == 0 && !is_text) {
        mime_put(out, SLICE("NIL"));
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct mime_parameter *parameter = &parameters->items[i];
        has_charset |= slice_equal_nocase(parameter->name, SLICE("charset")) ||
                       slice_equal_nocase(parameter->name, SLICE("charset*"));
        mime_put(out, i == 0 ? SLICE("(") : SLICE(" "));
        mime_put_string(out, parameter->name);
        mime_put(out, SLICE(" "));
        mime_put_string(out, parameter->value);
    }
    if (is_text && !has_charset) { /* RFC 2045 5.2 */
        mime_put(out, count == 0 ? SLICE("(") : SLICE(" "));
        mime_put(out, SLICE("\"charset\" \"us-ascii\""));
    }
    mime_put(out, SLICE(")"));
}

/* RFC 2183: type *(";" parameter) */
static void disposition_put(struct text *out, struct slice value)
{
    struct mime_parameters parameters;
    const char *at = value.data, *end = mime_end(value);
    struct slice type = at ? mime_token_take(&at, end) : value;
    if (type.size == 0) {
        mime_put(out, SLICE("NIL"));
        return;
    }
    if (mime_parameters_parse(slice_of(at, (size_t)(end - at)), out->arena, &parameters) < 0) {
        out->failed = true;
        return;
    }
    mime_put(out, SLICE("("));
    mime_put_string(out, type);
    mime_put(out, SLICE(" "));
    parameters_put(out, &parameters, false);
    mime_put(out, SLICE(")"));
}

/* RFC 3282: a list of tags */
static void language_put(struct text *out, struct slice value)
{
    const char *at = value.data, *end = mime_end(value);
    unsigned count = 0;
    while (at < end && count < LANGUAGES_MAX) {
        struct slice tag = mime_token_take(&at, end);
        if (tag.size > 0) {
            mime_put(out, count++ == 0 ? SLICE("(") : SLICE(" "));
            mime_put_string(out, tag);
        } else if (at < end) {
            at++;
        }
    }
    mime_put(out, count > 0 ? SLICE(")") : SLICE("NIL"));
}

/* " " dsp " " lang " " loc, the tail of both kinds of extension data */
static void extension_put(struct text *out, const struct mime_content *content)
{
    static const struct mime_content none = {0};
    if (content == NULL)
        content = &none;
    mime_put(out, SLICE(" "));
    disposition_put(out, content->value[CONTENT_DISPOSITION]);
    mime_put(out, SLICE(" "));
    language_put(out, content->value[CONTENT_LANGUAGE]);
    mime_put(out, SLICE(" "));
    mime_put_nstring(out, content->value[CONTENT_LOCATION]);
}

static void single_extension_put(struct text *out, const struct mime_content *content)
{
    mime_put(out, SLICE(" "));
    mime_put_nstring(out, content ? content->value[CONTENT_MD5] : (struct slice){0});
    extension_put(out, content);
}

/* The media type. Returns whether it is text. */
static bool type_put(struct text *out, const struct mime_node *node)
{
    const struct mime_content *content = node->content;
    if (node->part.kind == MIME_MESSAGE && (content == NULL || content->type.data == NULL)) {
        mime_put(out, SLICE("\"message\" \"rfc822\""));
        return false;
    }
    if (content == NULL || content->type.data == NULL) {
        mime_put(out, SLICE("\"text\" \"plain\""));
        return true;
    }
    bool is_text = slice_equal_nocase(content->type, SLICE("text"));
    bool not_taken_apart = node->part.kind == MIME_LEAF && !is_text &&
                           (slice_equal_nocase(content->type, SLICE("multipart")) ||
                            (slice_equal_nocase(content->type, SLICE("message")) &&
                             (slice_equal_nocase(content->subtype, SLICE("rfc822")) ||
                              slice_equal_nocase(content->subtype, SLICE("global")))));
    if (not_taken_apart) {
        mime_put(out, SLICE("\"application\" \"octet-stream\""));
        return false;
    }
    mime_put_string(out, content->type);
    mime_put(out, SLICE(" "));
    mime_put_string(out, content->subtype);
    return is_text;
}

/* type SP subtype SP parameters SP id SP description SP encoding SP octets; returns whether it is
 * text */
static bool fields_put(struct text *out, const struct mime_node *node)
{
    const struct mime_content *content = node->content;
    bool is_text = type_put(out, node);
    mime_put(out, SLICE(" "));
    parameters_put(out, content ? &content->parameters : NULL, is_text);
    mime_put(out, SLICE(" "));
    mime_put_nstring(out, content ? content->value[CONTENT_ID] : (struct slice){0});
    mime_put(out, SLICE(" "));
    mime_put_nstring(out, content ? content->value[CONTENT_DESCRIPTION] : (struct slice){0});
    mime_put(out, SLICE(" "));
    mime_put_string(out, content && content->encoding.data ? content->encoding : SLICE("7bit"));
    mime_put(out, SLICE(" "));
    mime_put_number(out, node->part.body_size);
    return is_text;
}

static void lines_put(struct text *out, const struct mime_node *node)
{
    mime_put(out, SLICE(" "));
    mime_put_number(out, node->part.body_lines);
}

static void node_begin(struct text *out, struct mime_node *node, bool extended,
                       unsigned *address_budget)
{
    mime_put(out, SLICE("("));
    if (node->part.kind == MIME_MULTIPART)
        return;
    bool is_text = fields_put(out, node);
    if (node->part.kind == MIME_LEAF) {
        if (is_text)
            lines_put(out, node);
        if (extended)
            single_extension_put(out, node->content);
        mime_put(out, SLICE(")"));
        return;
    }
    mime_put(out, SLICE(" "));
    struct mime_node *child = node->next;
    if (child->text_size > 0) {
        mime_put(out, slice_of(out->data + child->text_offset, child->text_size));
    } else {
        child->text_offset = out->size;
        mime_envelope_put(out, child->envelope, address_budget);
        child->text_size = out->size - child->text_offset;
    }
    mime_put(out, SLICE(" "));
}

/* The tail of a container. */
static void node_end(struct text *out, const struct mime_node *node, bool extended)
{
    if (node->part.kind == MIME_MESSAGE) {
        lines_put(out, node);
        if (extended)
            single_extension_put(out, node->content);
    } else {
        if (node->children == 0) { /* the grammar asks for one */
            mime_put(out,
                     SLICE("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0"));
            mime_put(out, extended ? SLICE(" NIL NIL NIL NIL)") : SLICE(")"));
        }
        mime_put(out, SLICE(" "));
        mime_put_string(out, node->content->subtype);
        if (extended) {
            mime_put(out, SLICE(" "));
            parameters_put(out, &node->content->parameters, false);
            extension_put(out, node->content);
        }
    }
    mime_put(out, SLICE(")"));
}

void mime_structure_put(struct text *out, const struct mime_tree *tree, bool extended,
                        unsigned *address_budget)
{
    struct mime_node *open = NULL; /* the innermost container not yet ended */
    for (struct mime_node *node = tree->first; node != NULL; node = node->next) {
        for (; open != node->parent; open = open->parent)
            node_end(out, open, extended);
        node_begin(out, node, extended, address_budget);
        if (node->part.kind != MIME_LEAF)
            open = node;
    }
    for (; open != NULL; open = open->parent)
        node_end(out, open, extended);
}
