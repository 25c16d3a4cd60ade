/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arguments of SEARCH (RFC 9051 6.4.4, RFC 3501 6.4.4, RFC 4731, RFC 7162 3.1.5), pure: keys
 * become a program in postfix order. What is open (parentheses, NOT, OR) lies in a stack of frames,
 * one byte each; a key that is complete may complete what it is in, and so on (row I08).
 *
 *    NOT ( SEEN OR FROM a BODY b )   ─▶   SEEN FROM BODY OR AND NOT
 */
#include "search.h"

enum search_argument { NOTHING, KEYWORD, NUMBER, DATE, TEXT, FIELD_TEXT, UIDS, MODSEQ };

/* One row a key; it may stand for a leaf and its negation, or for a leaf of a fixed field. */
static const struct key {
    struct slice name;
    uint8_t argument; /* enum search_argument */
    uint8_t op;
    uint16_t flag;
    bool is_negated;
    struct slice field;
} keys[] = {
    {SLICE("ALL"), NOTHING, SEARCH_ALL},
    {SLICE("ANSWERED"), NOTHING, SEARCH_FLAG, MAIL_ANSWERED},
    {SLICE("UNANSWERED"), NOTHING, SEARCH_FLAG, MAIL_ANSWERED, true},
    {SLICE("DELETED"), NOTHING, SEARCH_FLAG, MAIL_DELETED},
    {SLICE("UNDELETED"), NOTHING, SEARCH_FLAG, MAIL_DELETED, true},
    {SLICE("DRAFT"), NOTHING, SEARCH_FLAG, MAIL_DRAFT},
    {SLICE("UNDRAFT"), NOTHING, SEARCH_FLAG, MAIL_DRAFT, true},
    {SLICE("FLAGGED"), NOTHING, SEARCH_FLAG, MAIL_FLAGGED},
    {SLICE("UNFLAGGED"), NOTHING, SEARCH_FLAG, MAIL_FLAGGED, true},
    {SLICE("SEEN"), NOTHING, SEARCH_FLAG, MAIL_SEEN},
    {SLICE("UNSEEN"), NOTHING, SEARCH_FLAG, MAIL_SEEN, true},
    {SLICE("KEYWORD"), KEYWORD, SEARCH_KEYWORD},
    {SLICE("UNKEYWORD"), KEYWORD, SEARCH_KEYWORD, 0, true},
    {SLICE("RECENT"), NOTHING, SEARCH_RECENT},
    {SLICE("NEW"), NOTHING, SEARCH_RECENT}, /* and UNSEEN: leaf_emit */
    {SLICE("OLD"), NOTHING, SEARCH_RECENT, 0, true},
    {SLICE("LARGER"), NUMBER, SEARCH_LARGER},
    {SLICE("SMALLER"), NUMBER, SEARCH_SMALLER},
    {SLICE("BEFORE"), DATE, SEARCH_BEFORE},
    {SLICE("ON"), DATE, SEARCH_ON},
    {SLICE("SINCE"), DATE, SEARCH_SINCE},
    {SLICE("SENTBEFORE"), DATE, SEARCH_SENTBEFORE},
    {SLICE("SENTON"), DATE, SEARCH_SENTON},
    {SLICE("SENTSINCE"), DATE, SEARCH_SENTSINCE},
    {SLICE("UID"), UIDS, SEARCH_UIDS},
    {SLICE("MODSEQ"), MODSEQ, SEARCH_MODSEQ},
    {SLICE("FROM"), TEXT, SEARCH_HEADER, 0, false, SLICE("From")},
    {SLICE("TO"), TEXT, SEARCH_HEADER, 0, false, SLICE("To")},
    {SLICE("CC"), TEXT, SEARCH_HEADER, 0, false, SLICE("Cc")},
    {SLICE("BCC"), TEXT, SEARCH_HEADER, 0, false, SLICE("Bcc")},
    {SLICE("SUBJECT"), TEXT, SEARCH_HEADER, 0, false, SLICE("Subject")},
    {SLICE("HEADER"), FIELD_TEXT, SEARCH_HEADER},
    {SLICE("BODY"), TEXT, SEARCH_BODY},
    {SLICE("TEXT"), TEXT, SEARCH_TEXT},
};

static const char *const why_too_large = "Search too large";

struct frame {
    uint8_t op; /* SEARCH_AND (a list), SEARCH_NOT or SEARCH_OR */
    bool has_operand;
};

struct parser {
    struct imap_cursor cursor;
    struct arena *arena;
    struct search_arguments *arguments;
    uint32_t capacity;      /* of arguments->steps */
    uint32_t reading_count; /* leaves that read messages */
    uint32_t depth, not_required_depth;
    struct frame frames[SEARCH_DEPTH_MAX];
};

static const char *emit(struct parser *parser, struct search_step step)
{
    struct search_arguments *arguments = parser->arguments;
    if (arguments->count == SEARCH_STEPS_MAX)
        return why_too_large;
    if (search_reads_header(step.op) || search_reads_body(step.op))
        if (parser->reading_count++ == SEARCH_READING_MAX)
            return why_too_large;
    if (arguments->count == parser->capacity) {
        uint32_t capacity = parser->capacity > 0 ? parser->capacity * 2 : 8;
        struct search_step *steps = arena_zalloc(parser->arena, capacity, sizeof *steps);
        if (steps == NULL)
            return why_too_large;
        if (arguments->count > 0)
            memcpy(steps, arguments->steps, arguments->count * sizeof *steps);
        arguments->steps = steps;
        parser->capacity = capacity;
    }
    arguments->steps[arguments->count++] = step;
    return NULL;
}

static const char *emit_op(struct parser *parser, enum search_op op)
{
    return emit(parser, (struct search_step){.op = (uint8_t)op});
}

static const char *open_frame(struct parser *parser, enum search_op op)
{
    if (parser->depth == SEARCH_DEPTH_MAX)
        return "Search too deep";
    parser->frames[parser->depth++] = (struct frame){.op = (uint8_t)op};
    parser->not_required_depth += op != SEARCH_AND;
    return NULL;
}

static void close_frame(struct parser *parser)
{
    parser->not_required_depth -= parser->frames[--parser->depth].op != SEARCH_AND;
}

/* ---------------------------------------------------------------- leaves */

static const char *text_take(struct parser *parser, struct slice *ret_text)
{
    struct slice text;
    if (!imap_take_astring(&parser->cursor, parser->arena, &text))
        return "Search key needs a string";
    if (text.size > SEARCH_TEXT_BYTES_MAX)
        return "Search string too long";
    *ret_text = text;
    return NULL;
}

/* [entry-name SP entry-type SP] number (RFC 7162 3.1.5); all flags have one mod-sequence here. */
static const char *modseq_take(struct parser *parser, uint64_t *ret_number)
{
    struct imap_cursor *cursor = &parser->cursor;
    struct slice name;
    if (imap_next(cursor) == '"') {
        if (!imap_take_string(cursor, parser->arena, &name) ||
            !slice_starts_nocase(name, SLICE("/flags/")) || !imap_take(cursor, ' '))
            return "MODSEQ needs an entry of /flags/";
        if (!imap_take_word(cursor, SLICE("all")) && !imap_take_word(cursor, SLICE("shared")) &&
            !imap_take_word(cursor, SLICE("priv")))
            return "MODSEQ needs all, shared or priv";
        if (!imap_take(cursor, ' '))
            return "MODSEQ needs a number";
    }
    if (!imap_take_number(cursor, INT64_MAX, ret_number))
        return "MODSEQ needs a number";
    parser->arguments->names_modseq = true;
    return NULL;
}

static const char *argument_take(struct parser *parser, const struct key *key,
                                 struct search_step *step)
{
    struct imap_cursor *cursor = &parser->cursor;
    const char *why;
    if (key->argument != NOTHING && !imap_take(cursor, ' '))
        return "Search key needs an argument";
    switch ((enum search_argument)key->argument) {
    case NOTHING:
        return NULL;
    case KEYWORD:
        return imap_take_atom(cursor, &step->text) ? NULL : "Search key needs a keyword";
    case NUMBER:
        return imap_take_number(cursor, INT64_MAX, &step->number) ? NULL
                                                                  : "Search key needs a number";
    case DATE:
        return imap_take_date(cursor, &step->day) ? NULL : "Search key needs a date";
    case UIDS:
        return imap_take_set(cursor, parser->arena, &step->set) ? NULL
                                                                : "Search key needs a set of UIDs";
    case MODSEQ:
        return modseq_take(parser, &step->number);
    case FIELD_TEXT:
        if (!imap_take_astring(cursor, parser->arena, &step->field) || !imap_take(cursor, ' '))
            return "HEADER needs a field name and a string";
        return text_take(parser, &step->text);
    case TEXT:
        why = text_take(parser, &step->text);
        if (why == NULL && step->text.size == 0 && search_reads_body(step->op))
            step->op = SEARCH_ALL; /* every body holds the empty string */
        return why;
    }
    return why_too_large;
}

static const char *leaf_emit(struct parser *parser, const struct key *key, struct search_step step)
{
    static const struct search_step seen = {.op = SEARCH_FLAG, .flag = MAIL_SEEN};
    step.is_required = parser->not_required_depth == 0 && !key->is_negated;
    const char *why = emit(parser, step);
    if (why == NULL && key->is_negated)
        why = emit_op(parser, SEARCH_NOT);
    if (why == NULL && slice_equal(key->name, SLICE("NEW"))) {
        why = emit(parser, seen);
        if (why == NULL)
            why = emit_op(parser, SEARCH_NOT);
        if (why == NULL)
            why = emit_op(parser, SEARCH_AND);
    }
    return why;
}

static const char *leaf_take(struct parser *parser)
{
    static const struct key by_number = {.op = SEARCH_NUMBERS};
    struct search_step step = {.op = SEARCH_NUMBERS};
    char c = imap_next(&parser->cursor);
    if (c == '*' || (c >= '0' && c <= '9')) {
        if (!imap_take_set(&parser->cursor, parser->arena, &step.set))
            return "Malformed sequence set";
        return leaf_emit(parser, &by_number, step);
    }
    struct slice name;
    if (!imap_take_atom(&parser->cursor, &name))
        return "Search key expected";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (slice_equal_nocase(keys[i].name, name)) {
            step = (struct search_step){
                .op = keys[i].op, .flag = keys[i].flag, .field = keys[i].field};
            const char *why = argument_take(parser, &keys[i], &step);
            return why != NULL ? why : leaf_emit(parser, &keys[i], step);
        }
    return "Unknown search key";
}

/* ---------------------------------------------------------------- structure */

/* Takes "(", "NOT " or "OR "; *ret_opened false: a leaf stands there. */
static const char *opening_take(struct parser *parser, bool *ret_opened)
{
    struct imap_cursor *cursor = &parser->cursor;
    *ret_opened = true;
    if (imap_take(cursor, '('))
        return open_frame(parser, SEARCH_AND);
    bool is_not = imap_take_word(cursor, SLICE("NOT"));
    if (is_not || imap_take_word(cursor, SLICE("OR"))) {
        if (!imap_take(cursor, ' '))
            return "Search key expected";
        return open_frame(parser, is_not ? SEARCH_NOT : SEARCH_OR);
    }
    *ret_opened = false;
    return NULL;
}

/* A key has ended: closes what ends with it. *ret_more: another key follows. */
static const char *key_end(struct parser *parser, bool *ret_more)
{
    struct imap_cursor *cursor = &parser->cursor;
    const char *why = NULL;
    *ret_more = true;
    while (why == NULL) {
        struct frame *frame = &parser->frames[parser->depth - 1];
        bool is_second = frame->has_operand;
        frame->has_operand = true;
        if (frame->op == SEARCH_NOT || (frame->op == SEARCH_OR && is_second)) {
            why = emit_op(parser, (enum search_op)frame->op);
        } else if (frame->op == SEARCH_OR) {
            return imap_take(cursor, ' ') ? NULL : "OR needs two search keys";
        } else {
            if (is_second)
                why = emit_op(parser, SEARCH_AND);
            if (why != NULL || imap_take(cursor, ' '))
                return why;
            if (parser->depth == 1) {
                *ret_more = false;
                return imap_at_end(cursor) ? NULL : "Malformed search key";
            }
            if (!imap_take(cursor, ')'))
                return "Unfinished list of search keys";
        }
        close_frame(parser);
    }
    return why;
}

static const char *keys_take(struct parser *parser)
{
    const char *why = open_frame(parser, SEARCH_AND);
    bool has_more = true;
    while (why == NULL && has_more) {
        bool has_opened;
        why = opening_take(parser, &has_opened);
        if (why != NULL || has_opened)
            continue;
        why = leaf_take(parser);
        if (why == NULL)
            why = key_end(parser, &has_more);
    }
    return why;
}

/* ["RETURN" SP "(" [option *(SP option)] ")" SP] (RFC 4731 3.1, RFC 9051 6.4.4) */
static const char *returns_take(struct parser *parser)
{
    static const struct {
        struct slice name;
        uint32_t bit;
    } options[] = {{SLICE("MIN"), SEARCH_RETURN_MIN},
                   {SLICE("MAX"), SEARCH_RETURN_MAX},
                   {SLICE("ALL"), SEARCH_RETURN_ALL},
                   {SLICE("COUNT"), SEARCH_RETURN_COUNT}};
    struct imap_cursor *cursor = &parser->cursor;
    uint32_t returns = 0;
    if (!imap_take_word(cursor, SLICE("RETURN")))
        return NULL;
    if (!imap_take(cursor, ' ') || !imap_take(cursor, '('))
        return "RETURN needs a list";
    while (!imap_take(cursor, ')')) {
        size_t i = 0;
        if (returns != 0 && !imap_take(cursor, ' '))
            return "Malformed RETURN options";
        while (i < sizeof options / sizeof options[0] && !imap_take_word(cursor, options[i].name))
            i++;
        if (i == sizeof options / sizeof options[0])
            return "Unknown RETURN option";
        returns |= options[i].bit;
    }
    parser->arguments->returns = returns != 0 ? returns : SEARCH_RETURN_ALL;
    return imap_take(cursor, ' ') ? NULL : "Search key expected";
}

static const char *charset_take(struct parser *parser)
{
    if (!imap_take_word(&parser->cursor, SLICE("CHARSET")))
        return NULL;
    if (!imap_take(&parser->cursor, ' ') ||
        !imap_take_astring(&parser->cursor, parser->arena, &parser->arguments->charset))
        return "CHARSET needs a name";
    return imap_take(&parser->cursor, ' ') ? NULL : "Search key expected";
}

const char *imap_search_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct parser parser = {
        .cursor = imap_cursor_of(text), .arena = arena, .arguments = ret_arguments};
    const char *why = returns_take(&parser);
    if (why == NULL)
        why = charset_take(&parser);
    if (why == NULL)
        why = keys_take(&parser);
    return why;
}
