/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A summary as bytes, all numbers little-endian:
 *
 *    0  4  "RPM1"
 *    4  4  part_count, 1..MIME_PARTS_MAX
 *    8  4  size of ENVELOPE's text
 *   12  4  size of BODY's text
 *   16  4  size of BODYSTRUCTURE's text
 *   20  32 * part_count: the parts, each
 *            0 parent   4 number   8 header_offset   12 header_size   16 body_offset   20 body_size
 *            24 body_lines   28 kind (1 byte)   29 encoding (1 byte)   30 reserved (2 bytes)
 *    .  the three texts in this order, and nothing behind them
 *
 * It is fixed-size numbers so that a reader takes a part without decoding those before it.
 * Invariants:
 *   1. What mime_summary_open lets pass has parts that lie inside their parents, in depth-first
 * order: a reader may walk it without further checks. That a text says what the message says is the
 * store's checksum's matter.
 *   2. No bytes at all are a summary too: one opaque text/plain part (parts NULL).
 */
#include "mime_private.h"

#include <errno.h>

enum { HEAD_SIZE = 20, PART_SIZE = 32, PART_TEXT_GUESS = 200, TEXT_GUESS = 512 };

#define NO_ENVELOPE "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
#define NO_BODY     "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0"

static const char magic[4] = {'R', 'P', 'M', '1'};

static void store_u32(unsigned char *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t load_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void part_store(unsigned char *at, const struct mime_part *part)
{
    store_u32(at, part->parent);
    store_u32(at + 4, part->number);
    store_u32(at + 8, part->header_offset);
    store_u32(at + 12, part->header_size);
    store_u32(at + 16, part->body_offset);
    store_u32(at + 20, part->body_size);
    store_u32(at + 24, part->body_lines);
    at[28] = part->kind;
    at[29] = part->encoding;
    at[30] = at[31] = 0;
}

static void part_load(const unsigned char *at, struct mime_part *part)
{
    *part = (struct mime_part){
        .parent = load_u32(at),
        .number = load_u32(at + 4),
        .header_offset = load_u32(at + 8),
        .header_size = load_u32(at + 12),
        .body_offset = load_u32(at + 16),
        .body_size = load_u32(at + 20),
        .body_lines = load_u32(at + 24),
        .kind = at[28],
        .encoding = at[29],
    };
}

int mime_summarize(struct slice message, struct arena *arena, struct slice *ret_summary)
{
    *ret_summary = (struct slice){0};
    if (message.size > UINT32_MAX) /* offsets have 32 bits: opaque */
        return 0;
    if (message.data == NULL)
        message = SLICE("");
    struct mime_tree tree;
    if (mime_structure_parse(message, arena, &tree) < 0)
        return -ENOMEM;

    struct text out;
    text_init(&out, arena);
    size_t fixed = HEAD_SIZE + (size_t)tree.count * PART_SIZE;
    out.capacity =
        fixed + (size_t)tree.count * PART_TEXT_GUESS + TEXT_GUESS + 2 * tree.header_bytes;
    out.data = arena_alloc(arena, out.capacity);
    if (out.data == NULL)
        return -ENOMEM;
    out.size = fixed;

    unsigned top_budget = ENVELOPE_FIELDS * MIME_ADDRESSES_MAX;
    unsigned embedded_budget = MIME_ADDRESSES_MAX; /* of all embedded messages together */
    mime_envelope_put(&out, tree.first->envelope, &top_budget);
    size_t envelope_end = out.size;
    mime_structure_put(&out, &tree, false, &embedded_budget);
    size_t body_end = out.size;
    mime_structure_put(&out, &tree, true, &embedded_budget);
    if (out.failed)
        return -ENOMEM;
    if (out.size > UINT32_MAX)
        return 0;

    unsigned char *at = (unsigned char *)out.data;
    memcpy(at, magic, sizeof magic);
    store_u32(at + 4, tree.count);
    store_u32(at + 8, (uint32_t)(envelope_end - fixed));
    store_u32(at + 12, (uint32_t)(body_end - envelope_end));
    store_u32(at + 16, (uint32_t)(out.size - body_end));
    at += HEAD_SIZE;
    for (const struct mime_node *node = tree.first; node != NULL;
         node = node->next, at += PART_SIZE)
        part_store(at, &node->part);
    *ret_summary = text_slice(&out);
    return 0;
}

static uint64_t body_end_of(const struct mime_part *part)
{
    return (uint64_t)part->body_offset + part->body_size;
}

/* Invariant 1, for the part at `index`, the ones before it being sound. */
static bool part_is_sound(const struct mime_summary *summary, uint32_t index)
{
    struct mime_part part, parent, previous;
    mime_summary_part(summary, index, &part);
    if (part.kind > MIME_MESSAGE || part.encoding > MIME_ENCODING_OTHER ||
        part.body_offset != (uint64_t)part.header_offset + part.header_size ||
        body_end_of(&part) > UINT32_MAX || part.body_lines > part.body_size)
        return false;
    if (index == 0)
        return part.parent == 0 && part.number == 0 && part.header_offset == 0;
    if (part.parent >= index)
        return false;
    mime_summary_part(summary, part.parent, &parent);
    if (part.header_offset < parent.body_offset || body_end_of(&part) > body_end_of(&parent))
        return false;
    if (parent.kind == MIME_LEAF || (part.number == 0) != (parent.kind == MIME_MESSAGE))
        return false;
    if (part.parent == index - 1)
        return part.number <= 1;
    /* The next sibling of the part before it or of one of that part's ancestors. */
    uint32_t elder = index - 1;
    mime_summary_part(summary, elder, &previous);
    for (unsigned depth = 0; previous.parent != part.parent; depth++) {
        if (elder == 0 || depth > MIME_DEPTH_MAX)
            return false;
        elder = previous.parent;
        mime_summary_part(summary, elder, &previous);
    }
    return elder != 0 && previous.number != 0 && part.number == previous.number + 1 &&
           part.header_offset >= body_end_of(&previous);
}

static int open_empty(struct mime_summary *ret_summary)
{
    *ret_summary = (struct mime_summary){
        .envelope = SLICE(NO_ENVELOPE),
        .body = SLICE("(" NO_BODY ")"),
        .bodystructure = SLICE("(" NO_BODY " NIL NIL NIL NIL)"),
        .part_count = 1,
    };
    return 0;
}

int mime_summary_open(struct slice bytes, struct mime_summary *ret_summary)
{
    if (bytes.size == 0)
        return open_empty(ret_summary);
    const unsigned char *at = (const unsigned char *)bytes.data;
    if (bytes.size < HEAD_SIZE || memcmp(at, magic, sizeof magic) != 0)
        return -EBADMSG;
    uint32_t count = load_u32(at + 4);
    uint64_t envelope = load_u32(at + 8), body = load_u32(at + 12), structure = load_u32(at + 16);
    if (count == 0 || count > MIME_PARTS_MAX)
        return -EBADMSG;
    uint64_t fixed = HEAD_SIZE + (uint64_t)count * PART_SIZE;
    if (bytes.size != fixed + envelope + body + structure)
        return -EBADMSG;
    struct mime_summary summary = {
        .envelope = slice_of(bytes.data + fixed, envelope),
        .body = slice_of(bytes.data + fixed + envelope, body),
        .bodystructure = slice_of(bytes.data + fixed + envelope + body, structure),
        .part_count = count,
        .parts = at + HEAD_SIZE,
    };
    for (uint32_t i = 0; i < count; i++)
        if (!part_is_sound(&summary, i))
            return -EBADMSG;
    *ret_summary = summary;
    return 0;
}

void mime_summary_part(const struct mime_summary *summary, uint32_t index,
                       struct mime_part *ret_part)
{
    if (summary->parts == NULL || index >= summary->part_count)
        *ret_part = (struct mime_part){0};
    else
        part_load(summary->parts + (size_t)index * PART_SIZE, ret_part);
}
