/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arguments of FETCH (RFC 9051 6.4.5, RFC 3501 6.4.5, RFC 7162 3.1.4), pure. What is asked for
 * twice is answered once, as far as it is a bit; sections are counted and bounded (row I07).
 */
#include "fetch.h"

#include <stddef.h>

enum { FAST = FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE, ALL = FAST | FETCH_ENVELOPE };

struct word {
    struct slice name;
    uint32_t attributes;
};

/* Only by themselves, not in a list. */
static const struct word macros[] = {
    {SLICE("ALL"), ALL},
    {SLICE("FAST"), FAST},
    {SLICE("FULL"), ALL | FETCH_BODY},
};

static const struct word attributes[] = {
    {SLICE("FLAGS"), FETCH_FLAGS},
    {SLICE("UID"), FETCH_UID},
    {SLICE("INTERNALDATE"), FETCH_INTERNALDATE},
    {SLICE("RFC822.SIZE"), FETCH_SIZE},
    {SLICE("ENVELOPE"), FETCH_ENVELOPE},
    {SLICE("BODY"), FETCH_BODY},
    {SLICE("BODYSTRUCTURE"), FETCH_BODYSTRUCTURE},
    {SLICE("MODSEQ"), FETCH_MODSEQ},
};

/* The names that RFC 3501 has for sections. */
static const struct {
    struct slice name;
    enum mime_section_text text;
    bool is_peek;
} old_sections[] = {
    {SLICE("RFC822"), MIME_SECTION_ALL, false},
    {SLICE("RFC822.HEADER"), MIME_SECTION_HEADER, true},
    {SLICE("RFC822.TEXT"), MIME_SECTION_TEXT, false},
};

static bool word_take(struct imap_cursor *cursor, const struct word *words, size_t count,
                      uint32_t *ret_attributes)
{
    for (size_t i = 0; i < count; i++)
        if (imap_take_word(cursor, words[i].name)) {
            *ret_attributes = words[i].attributes;
            return true;
        }
    return false;
}

static bool old_section_take(struct imap_cursor *cursor, struct fetch_section *section)
{
    for (size_t i = 0; i < sizeof old_sections / sizeof old_sections[0]; i++)
        if (imap_take_word(cursor, old_sections[i].name)) {
            section->label = old_sections[i].name;
            section->text = (uint8_t)old_sections[i].text;
            section->is_peek = old_sections[i].is_peek;
            section->size_max = UINT64_MAX;
            return true;
        }
    return false;
}

/* "BODY[" or "BODY.PEEK[", the cursor then at the bracket. */
static bool body_take(struct imap_cursor *cursor, bool *ret_is_peek)
{
    struct slice rest = slice_of(cursor->at, (size_t)(cursor->end - cursor->at));
    bool is_peek = slice_starts_nocase(rest, SLICE("BODY.PEEK["));
    if (!is_peek && !slice_starts_nocase(rest, SLICE("BODY[")))
        return false;
    cursor->at += is_peek ? sizeof "BODY.PEEK" - 1 : sizeof "BODY" - 1;
    *ret_is_peek = is_peek;
    return true;
}

struct parser {
    struct imap_cursor cursor;
    struct arena *arena;
    struct fetch_arguments *arguments;
    struct fetch_section **sections_end;
};

/* fetch-att */
static const char *attribute_take(struct parser *parser)
{
    uint32_t bits;
    if (word_take(&parser->cursor, attributes, sizeof attributes / sizeof attributes[0], &bits)) {
        parser->arguments->attributes |= bits;
        return NULL;
    }
    struct fetch_section section = {0};
    if (!old_section_take(&parser->cursor, &section)) {
        if (!body_take(&parser->cursor, &section.is_peek))
            return "Unknown FETCH item";
        const char *why = section_take(&parser->cursor, parser->arena, &section);
        if (why != NULL)
            return why;
    }
    if (parser->arguments->section_count == FETCH_SECTIONS_MAX)
        return "Too many sections";
    struct fetch_section *kept = arena_alloc(parser->arena, sizeof *kept);
    if (kept == NULL)
        return "Command too large";
    *kept = section;
    *parser->sections_end = kept;
    parser->sections_end = &kept->next;
    parser->arguments->section_count++;
    return NULL;
}

static const char *attributes_take(struct parser *parser)
{
    if (word_take(&parser->cursor, macros, sizeof macros / sizeof macros[0],
                  &parser->arguments->attributes))
        return NULL;
    if (!imap_take(&parser->cursor, '('))
        return attribute_take(parser);
    do {
        const char *why = attribute_take(parser);
        if (why != NULL)
            return why;
    } while (imap_take(&parser->cursor, ' '));
    return imap_take(&parser->cursor, ')') ? NULL : "Unfinished list of FETCH items";
}

/* fetch-modifiers (RFC 4466): CHANGEDSINCE is the one there is (RFC 7162 3.1.4.1). */
static const char *modifiers_take(struct parser *parser)
{
    struct imap_cursor *cursor = &parser->cursor;
    if (imap_at_end(cursor))
        return NULL;
    if (!imap_take(cursor, ' ') || !imap_take(cursor, '('))
        return "Nothing but modifiers may follow the FETCH items";
    if (!imap_take_word(cursor, SLICE("CHANGEDSINCE")) || !imap_take(cursor, ' '))
        return "Unknown FETCH modifier";
    if (!imap_take_number(cursor, INT64_MAX, &parser->arguments->changed_since))
        return "CHANGEDSINCE needs a mod-sequence";
    if (!imap_take(cursor, ')') || !imap_at_end(cursor))
        return "Malformed FETCH modifiers";
    parser->arguments->attributes |= FETCH_MODSEQ;
    return NULL;
}

const char *imap_fetch_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct fetch_arguments *arguments = ret_arguments;
    struct parser parser = {.cursor = imap_cursor_of(text),
                            .arena = arena,
                            .arguments = arguments,
                            .sections_end = &arguments->sections};
    if (!imap_take_set(&parser.cursor, arena, &arguments->set))
        return "FETCH needs a sequence set";
    if (!imap_take(&parser.cursor, ' '))
        return "FETCH needs items";
    const char *why = attributes_take(&parser);
    if (why == NULL)
        why = modifiers_take(&parser);
    arguments->enables_condstore = arguments->attributes & FETCH_MODSEQ;
    return why;
}
