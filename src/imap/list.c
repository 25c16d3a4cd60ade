/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * LIST and LSUB (RFC 9051 6.3.9, RFC 3501 6.3.9, RFC 3348, RFC 5258 in part, RFC 6154, RFC 5819).
 *
 * Patterns are compared with names as they are on the wire, in modified UTF-7. Answers are gathered
 * and written in pieces; a write may park the fiber and another session may change the account, so
 * the walk then finds its place again by name.
 */
#include <stdlib.h>

#include "families.h"

enum {
    PATTERNS_MAX = 32,
    PIECE_BYTES = 16384,
    LOOK_AHEAD_MAX = 1000,
    WORK_MAX = 200000 /* between two turns of others: words of patterns looked at, and names */
};

/* ---------------------------------------------------------------- parsing */

struct option {
    struct slice name;
    uint32_t bit;
};
static const struct option select_options[] = {
    {SLICE("SUBSCRIBED"), IMAP_LIST_SELECT_SUBSCRIBED},
    {SLICE("REMOTE"), IMAP_LIST_SELECT_REMOTE},
    {SLICE("SPECIAL-USE"), IMAP_LIST_SELECT_USE},
};
static const struct option return_options[] = {
    {SLICE("SUBSCRIBED"), IMAP_LIST_RETURN_SUBSCRIBED},
    {SLICE("CHILDREN"), IMAP_LIST_RETURN_CHILDREN},
    {SLICE("SPECIAL-USE"), IMAP_LIST_RETURN_USE},
    {SLICE("STATUS"), IMAP_LIST_RETURN_STATUS},
};
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* "(SUBSCRIBED REMOTE)" */
static bool take_options(struct imap_cursor *cursor, const struct option *options, size_t count,
                         struct imap_list_arguments *arguments)
{
    if (!imap_take(cursor, '('))
        return false;
    for (bool is_first = true; !imap_take(cursor, ')'); is_first = false) {
        size_t i = 0;
        if (!is_first && !imap_take(cursor, ' '))
            return false;
        while (i < count && !imap_take_word(cursor, options[i].name))
            i++;
        if (i == count)
            return false;
        arguments->options |= options[i].bit;
        if (options[i].bit == IMAP_LIST_RETURN_STATUS &&
            (!imap_take(cursor, ' ') || !imap_take_status_items(cursor, &arguments->status_items)))
            return false;
    }
    return true;
}

static bool is_list_char(char c)
{
    return c == '%' || c == '*' || imap_is_astring_char(c);
}

/* list-mailbox, put behind the reference. */
static const char *take_pattern(struct imap_cursor *cursor, struct arena *arena,
                                struct slice reference, struct imap_list_arguments *arguments)
{
    struct slice raw = {cursor->at, 0};
    while (cursor->at < cursor->end && is_list_char(*cursor->at))
        cursor->at++;
    raw.size = (size_t)(cursor->at - raw.data);
    if (raw.size == 0 && !imap_take_string(cursor, arena, &raw))
        return "Expected a pattern";
    if (arguments->pattern_count == PATTERNS_MAX)
        return "Too many patterns";
    size_t size = reference.size + raw.size;
    if (size > IMAP_PATTERN_BYTES_MAX - arguments->pattern_bytes)
        return "Patterns too long";
    char *pattern = arena_alloc(arena, size);
    if (pattern == NULL)
        return "Out of memory";
    if (reference.size > 0)
        memcpy(pattern, reference.data, reference.size);
    if (raw.size > 0)
        memcpy(pattern + reference.size, raw.data, raw.size);
    if (!imap_pattern_compile(slice_of(pattern, size), arena,
                              &arguments->patterns[arguments->pattern_count]))
        return "Out of memory";
    arguments->is_empty_pattern = raw.size == 0;
    arguments->pattern_bytes += (uint32_t)size;
    arguments->pattern_count++;
    return NULL;
}

static const char *take_reference(struct imap_cursor *cursor, struct arena *arena,
                                  struct slice *ret_reference)
{
    if (!imap_take_astring(cursor, arena, ret_reference) || !imap_take(cursor, ' '))
        return "Expected a reference name";
    return NULL;
}

const char *imap_lsub_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_list_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    struct slice reference;
    arguments->patterns = arena_zalloc(arena, PATTERNS_MAX, sizeof *arguments->patterns);
    if (arguments->patterns == NULL)
        return "Out of memory";
    const char *why = take_reference(&cursor, arena, &reference);
    if (why == NULL)
        why = take_pattern(&cursor, arena, reference, arguments);
    if (why == NULL && !imap_at_end(&cursor))
        why = "Not a pattern";
    return why;
}

const char *imap_list_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_list_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    struct slice reference;
    arguments->patterns = arena_zalloc(arena, PATTERNS_MAX, sizeof *arguments->patterns);
    if (arguments->patterns == NULL)
        return "Out of memory";
    if (imap_next(&cursor) == '(' &&
        (!take_options(&cursor, select_options, COUNT(select_options), arguments) ||
         !imap_take(&cursor, ' ')))
        return "Unknown selection option";
    const char *why = take_reference(&cursor, arena, &reference);
    bool is_many = why == NULL && imap_take(&cursor, '(');
    do {
        if (why == NULL)
            why = take_pattern(&cursor, arena, reference, arguments);
    } while (is_many && why == NULL && imap_take(&cursor, ' '));
    if (why == NULL && is_many && !imap_take(&cursor, ')'))
        why = "Expected a pattern";
    if (why != NULL)
        return why;
    if (is_many)
        arguments->is_empty_pattern = false;
    if (imap_take(&cursor, ' ') &&
        (!imap_take_word(&cursor, SLICE("RETURN")) || !imap_take(&cursor, ' ') ||
         !take_options(&cursor, return_options, COUNT(return_options), arguments)))
        return "Unknown return option";
    return imap_at_end(&cursor) ? NULL : "Not a pattern";
}

/* ---------------------------------------------------------------- answering */

struct listing {
    struct session *session;
    const struct imap_list_arguments *list;
    struct account *account;
    const char *verb;
    struct text out, encoded;
    size_t work; /* since the last turn of others */
};

/* A name as on the wire; valid until the next call. */
static struct slice encode(struct listing *listing, struct slice name)
{
    listing->encoded.size = 0;
    imap_utf7_encode(name, &listing->encoded);
    return text_slice(&listing->encoded);
}

static bool is_wanted(struct listing *listing, struct slice name)
{
    struct slice encoded = encode(listing, name);
    for (uint32_t i = 0; i < listing->list->pattern_count; i++) {
        const struct imap_pattern *pattern = &listing->list->patterns[i];
        listing->work += encoded.size * pattern->words;
        if (imap_pattern_matches(pattern, encoded))
            return true;
    }
    return false;
}

static void attribute(struct listing *listing, const char *name)
{
    struct text *out = &listing->out;
    if (out->size > 0 && out->data[out->size - 1] != '(')
        text_char(out, ' ');
    text_append(out, slice_cstr(name));
}

static void begin(struct listing *listing)
{
    text_append(&listing->out, SLICE("* "));
    text_append(&listing->out, slice_cstr(listing->verb));
    text_append(&listing->out, SLICE(" ("));
}

static void end(struct listing *listing, struct slice name)
{
    text_append(&listing->out, SLICE(") \"/\" "));
    imap_text_astring(&listing->out, encode(listing, name));
    text_append(&listing->out, SLICE("\r\n"));
}

/* Is `child` below `parent`? */
static bool is_below(struct slice child, struct slice parent)
{
    return child.size > parent.size && child.data[parent.size] == '/' &&
           slice_equal(slice_first(child, parent.size), parent);
}

/* 1, 0, or -1: it would take too long to find out. Names are in order, but "a-b" stands before
 * "a/b". */
static int has_children(struct listing *listing, struct mailbox *mailbox)
{
    struct slice name = mailbox_name(mailbox);
    struct mailbox *next = mailbox;
    for (unsigned steps = 0; steps < LOOK_AHEAD_MAX; steps++) {
        listing->work += 100;
        next = account_next(listing->account, next);
        struct slice other = next != NULL ? mailbox_name(next) : SLICE("");
        if (is_below(other, name))
            return 1;
        if (other.size <= name.size || !slice_equal(slice_first(other, name.size), name) ||
            other.data[name.size] > '/')
            return 0;
    }
    return -1;
}

static void list_mailbox(struct listing *listing, struct mailbox *mailbox)
{
    struct slice name = mailbox_name(mailbox);
    begin(listing);
    int children = has_children(listing, mailbox);
    if (children >= 0)
        attribute(listing, children ? "\\HasChildren" : "\\HasNoChildren");
    if ((listing->list->options & (IMAP_LIST_RETURN_SUBSCRIBED | IMAP_LIST_SELECT_SUBSCRIBED)) &&
        account_subscribed(listing->account, name))
        attribute(listing, "\\Subscribed");
    const char *use = imap_use_name(mailbox_special_use(mailbox));
    if (use != NULL)
        attribute(listing, use);
    end(listing, name);
}

/* Parents of `name` that do not exist and are not parents of `before` too, which has been seen to:
 * shown where a pattern matches them. */
static void list_missing_parents(struct listing *listing, struct slice name, struct slice before)
{
    for (size_t size = 1; size < name.size; size++) {
        struct slice parent = slice_first(name, size);
        if (name.data[size] != '/' || is_below(before, parent) || slice_equal(before, parent) ||
            account_mailbox(listing->account, parent) != NULL || !is_wanted(listing, parent))
            continue;
        begin(listing);
        attribute(listing, "\\NonExistent");
        attribute(listing, "\\Noselect");
        attribute(listing, "\\HasChildren");
        end(listing, parent);
    }
}

/* Writes what is gathered. May park. */
static void flush(struct listing *listing)
{
    if (!listing->out.failed)
        stream_write(&listing->session->stream, text_slice(&listing->out));
    listing->out.size = 0;
}

/* Between two names: writes when there is much to write, lets others run when there was much to do.
 * True: the fiber may have been parked. */
static bool pause(struct listing *listing)
{
    bool is_full = listing->out.size >= PIECE_BYTES, is_long = listing->work >= WORK_MAX;
    if (is_full)
        flush(listing);
    if (is_long) {
        fiber_yield(session_core(listing->session));
        listing->work = 0;
    }
    return is_full || is_long;
}

/* Does a come before b in account_next's order? */
static bool is_before(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order < 0 || (order == 0 && a.size < b.size);
}

/* The last mailbox not behind `name`: where a walk goes on. NULL: its beginning. */
static struct mailbox *place_of(struct account *account, struct slice name)
{
    struct mailbox *place = account_mailbox(account, name);
    if (place != NULL)
        return place;
    struct mailbox *next = NULL;
    while ((next = account_next(account, next)) != NULL && is_before(mailbox_name(next), name))
        place = next;
    return place;
}

/* STATUS of a mailbox, in the answer. May park. */
static void list_status(struct listing *listing, struct mailbox *mailbox)
{
    size_t size = listing->out.size;
    text_append(&listing->out, SLICE("* "));
    if (imap_text_status(listing->session, &listing->out, mailbox, listing->list->status_items) < 0)
        listing->out.size = size;
    else
        text_append(&listing->out, SLICE("\r\n"));
}

static void list_all(struct listing *listing)
{
    uint32_t options = listing->list->options;
    char name_bytes[MAILBOX_NAME_BYTES_MAX];
    struct slice before = SLICE("");
    struct mailbox *mailbox = NULL;
    while ((mailbox = account_next(listing->account, mailbox)) != NULL) {
        struct slice name = mailbox_name(mailbox);
        assert(name.size <= sizeof name_bytes && "the store bounds names");
        if (!(options & IMAP_LIST_SELECT_USE))
            list_missing_parents(listing, name, before);
        bool is_used = mailbox_special_use(mailbox) != MAILBOX_USE_NONE;
        bool is_listed = (is_used || !(options & IMAP_LIST_SELECT_USE)) && is_wanted(listing, name);
        memcpy(name_bytes, name.data, name.size);
        before = slice_of(name_bytes, name.size);
        if (is_listed)
            list_mailbox(listing, mailbox);
        bool has_status = is_listed && (options & IMAP_LIST_RETURN_STATUS);
        if (has_status)
            list_status(listing, mailbox);
        if (pause(listing) || has_status)
            mailbox = place_of(listing->account, before);
    }
}

/* ---------------------------------------------------------------- subscribed names */

struct subscribed {
    struct slice name;
    bool is_parent; /* of a subscribed name, shown for "%" (RFC 3501 6.3.9) */
};

static int subscribed_compare(const void *a, const void *b)
{
    const struct subscribed *one = a, *other = b;
    if (is_before(one->name, other->name))
        return -1;
    if (is_before(other->name, one->name))
        return 1;
    return (int)one->is_parent - (int)other->is_parent;
}

/* The nearest parent that a pattern matches. */
static struct slice wanted_parent(struct listing *listing, struct slice name)
{
    for (size_t size = name.size; size-- > 1;)
        if (name.data[size] == '/' && is_wanted(listing, slice_first(name, size)))
            return slice_first(name, size);
    return (struct slice){0};
}

/* All names to show, in order, copied; false: no memory. */
static bool subscribed_gather(struct listing *listing, bool with_parents,
                              struct subscribed **ret_names, unsigned *ret_count)
{
    struct arena *arena = &listing->session->arena;
    unsigned total = 0, count = 0;
    while (account_subscription(listing->account, total).data != NULL)
        total++;
    struct subscribed *names = arena_zalloc(arena, total, sizeof *names);
    if (names == NULL)
        return false;
    for (unsigned i = 0; i < total; i++) {
        struct slice name = account_subscription(listing->account, i);
        bool is_parent = !is_wanted(listing, name);
        if (is_parent)
            name = with_parents ? wanted_parent(listing, name) : (struct slice){0};
        if (name.size == 0)
            continue;
        names[count] = (struct subscribed){arena_copy(arena, name), is_parent};
        if (names[count++].name.data == NULL)
            return false;
    }
    if (count > 1)
        qsort(names, count, sizeof *names, subscribed_compare);
    *ret_names = names;
    *ret_count = count;
    return true;
}

static bool list_subscribed(struct listing *listing, bool is_lsub)
{
    struct subscribed *names;
    unsigned count;
    if (!subscribed_gather(listing, is_lsub, &names, &count))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (i > 0 && slice_equal(names[i].name, names[i - 1].name))
            continue;
        struct mailbox *mailbox = account_mailbox(listing->account, names[i].name);
        uint32_t options = listing->list->options;
        if ((options & IMAP_LIST_SELECT_USE) &&
            (mailbox == NULL || mailbox_special_use(mailbox) == MAILBOX_USE_NONE))
            continue;
        if (mailbox != NULL && !is_lsub) {
            list_mailbox(listing, mailbox);
            if (options & IMAP_LIST_RETURN_STATUS)
                list_status(listing, mailbox);
        } else {
            begin(listing);
            if (names[i].is_parent)
                attribute(listing, "\\Noselect");
            if (!is_lsub)
                attribute(listing, "\\Subscribed"), attribute(listing, "\\NonExistent");
            end(listing, names[i].name);
        }
        pause(listing);
    }
    return true;
}

/* ---------------------------------------------------------------- running */

static void list_run(struct session *session, const struct imap_list_arguments *list, bool is_lsub)
{
    struct listing listing = {.session = session,
                              .list = list,
                              .account = imap_of(session)->account,
                              .verb = is_lsub ? "LSUB" : "LIST"};
    text_init(&listing.out, &session->arena);
    text_init(&listing.encoded, &session->arena);
    bool is_done = true;
    if (list->is_empty_pattern)
        stream_printf(&session->stream, "* %s (\\Noselect) \"/\" \"\"\r\n", listing.verb);
    else if (is_lsub || (list->options & IMAP_LIST_SELECT_SUBSCRIBED))
        is_done = list_subscribed(&listing, is_lsub);
    else
        list_all(&listing);
    flush(&listing);
    if (!is_done || listing.out.failed || listing.encoded.failed)
        imap_fail(session, -ENOMEM);
    else
        imap_finish(session, NULL, "Done");
}

void imap_list_run(struct session *session, const void *arguments)
{
    list_run(session, arguments, false);
}

void imap_lsub_run(struct session *session, const void *arguments)
{
    list_run(session, arguments, true);
}
