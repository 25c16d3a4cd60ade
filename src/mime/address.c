/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Address lists of RFC 5322 3.4 with their obsolete forms (4.4), written as IMAP's env-address list
 * (RFC 9051 7.5.2): (name route mailbox host). Mail holds every error there is, so nothing is
 * refused: an address reaches to the next
 * "," outside quotes, comments and routes, and what can be made of it is written. Two steps an
 * address: extent_scan finds its end and its landmarks, then the strings between them are cleaned
 * of quotes, comments and folds. A NIL host means a group to IMAP, so a lacking one becomes
 * MISSING_DOMAIN (as Dovecot does it). Invariants:
 *   1. Work is linear: no byte belongs to two extents. Nesting of comments is a counter.
 *   2. At most writer->left entries are written, the marks of groups included; each group that
 * opens is closed.
 *   3. The cleaned strings of an extent together are no longer than the extent.
 */
#include "mime_private.h"

struct extent {
    const char *start, *stop; /* the address; stop is its delimiter or the end */
    const char *angle;        /* "<", or NULL */
    const char *angle_end;    /* ">", or NULL */
    const char *colon;        /* end of a route inside <> (RFC 5322 4.4), or NULL */
    const char *last_at;      /* the last "@" of the address proper, or NULL */
    struct slice comment;     /* the last one's inside; data NULL: none */
    char delimiter;           /* , ; : or 0 at the end */
};

/* Bytes that mean something in an address list; all others are passed over quickly. */
static const bool is_special[256] = {
    ['"'] = true,  ['('] = true,  ['\\'] = true, ['<'] = true, ['>'] = true,
    ['@'] = true,  [':'] = true,  [';'] = true,  [','] = true, [' '] = true,
    ['\t'] = true, ['\r'] = true, ['\n'] = true,
};

static bool special(char c)
{
    return is_special[(unsigned char)c];
}

static const char *quoted_skip(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* Steps over a quoted string, comment or quoted pair at `at`; NULL if there is none. */
static const char *opaque_skip(const char *at, const char *end)
{
    if (*at == '"')
        return quoted_skip(at + 1, end);
    if (*at == '(')
        return mime_skip_comment(at + 1, end);
    if (*at == '\\' && end - at > 1)
        return at + 2;
    return NULL;
}

static void comment_note(struct extent *extent, const char *at, const char *behind)
{
    size_t size = (size_t)(behind - at) - 1;
    if (size > 0 && behind[-1] == ')')
        size--;
    extent->comment = slice_of(at + 1, size);
}

/* Reads one address from `at`. Returns the byte behind its delimiter, or the end. */
static const char *extent_scan(const char *at, const char *end, bool in_group,
                               struct extent *extent)
{
    *extent = (struct extent){.start = at};
    bool fresh = false;    /* only blanks and comments since "<" */
    bool in_route = false; /* "<@a,@b:" up to the colon */
    for (; at < end; at++) {
        if (!special(*at)) {
            fresh = false;
            continue;
        }
        bool in_angle = extent->angle != NULL && extent->angle_end == NULL;
        const char *behind = opaque_skip(at, end);
        if (behind != NULL) {
            if (*at == '(')
                comment_note(extent, at, behind);
            else
                fresh = false;
            at = behind - 1;
            continue;
        }
        if (*at == '<' && extent->angle == NULL) {
            extent->angle = at;
            extent->last_at = NULL;
            fresh = true;
            continue;
        }
        if (*at == '>' && in_angle) {
            extent->angle_end = at;
        } else if (*at == '@' && extent->angle_end == NULL) {
            extent->last_at = at;
            in_route = in_route || fresh;
        } else if (*at == ':' && in_route && in_angle) {
            extent->colon = at;
            extent->last_at = NULL;
            in_route = false;
        } else if (*at == ':' && !in_group && extent->angle == NULL && extent->last_at == NULL) {
            break;
        } else if ((*at == ';' && (!in_angle || in_group)) ||
                   (*at == ',' && !(in_angle && in_route))) {
            break;
        }
        if (!mime_is_blank(*at))
            fresh = false;
    }
    extent->stop = at;
    extent->delimiter = at < end ? *at : '\0';
    return at < end ? at + 1 : end;
}

/* Cleans [from, to) of quotes, quoted pairs, comments and folds; blanks become one space, or
 * nothing. */
static struct slice words_clean(struct mime_address_writer *writer, size_t *used, const char *from,
                                const char *to, bool keep_blanks)
{
    char *out = writer->buffer + *used;
    size_t size = 0;
    bool blank = false;
    while (from < to) {
        if (mime_is_blank(*from) || *from == '(') {
            from = *from == '(' ? mime_skip_comment(from + 1, to) : from + 1;
            blank = keep_blanks && size > 0;
            continue;
        }
        if (blank)
            out[size++] = ' ';
        blank = false;
        if (*from != '"') {
            from += *from == '\\' && to - from > 1;
            out[size++] = *from++;
            while (from < to && !special(*from))
                out[size++] = *from++;
            continue;
        }
        for (from++; from < to && *from != '"'; from++) {
            from += *from == '\\' && to - from > 1;
            if (*from != '\r' && *from != '\n')
                out[size++] = *from;
        }
        from += from < to;
    }
    *used += size;
    return slice_of(out, size);
}

/* A name given as a comment (RFC 5322 A.6.3): quoted pairs and folds undone, inner brackets kept.
 */
static struct slice comment_clean(struct mime_address_writer *writer, size_t *used,
                                  struct slice comment)
{
    char *out = writer->buffer + *used;
    size_t size = 0;
    comment = mime_trim(comment);
    for (size_t i = 0; i < comment.size; i++) {
        i += comment.data[i] == '\\' && i + 1 < comment.size;
        if (comment.data[i] != '\r' && comment.data[i] != '\n')
            out[size++] = comment.data[i];
    }
    *used += size;
    return slice_of(out, size);
}

static void nstring_put(struct text *out, struct slice s)
{
    if (s.size == 0)
        mime_put(out, SLICE("NIL"));
    else
        mime_put_string(out, s);
}

static void entry_put(struct mime_address_writer *writer, struct slice name, struct slice route,
                      struct slice mailbox, struct slice host)
{
    struct text *out = writer->out;
    mime_put(out, writer->count == 0 ? SLICE("((") : SLICE("("));
    nstring_put(out, name);
    mime_put(out, SLICE(" "));
    nstring_put(out, route);
    mime_put(out, SLICE(" "));
    nstring_put(out, mailbox);
    mime_put(out, SLICE(" "));
    nstring_put(out, host);
    mime_put(out, SLICE(")"));
    writer->count++;
    writer->left--;
}

static void extent_put(struct mime_address_writer *writer, const struct extent *extent)
{
    const char *from = extent->start, *to = extent->stop;
    size_t used = 0;
    struct slice name = {0}, route = {0}, host = {0};
    if (extent->delimiter == ':') {
        name = words_clean(writer, &used, from, to, true);
        if (name.size == 0)
            name = SLICE("group"); /* a NIL mailbox would end the group */
        entry_put(writer, (struct slice){0}, route, name, host);
        writer->in_group = true;
        writer->left--; /* kept for the group's end */
        return;
    }
    if (extent->angle != NULL) {
        name = words_clean(writer, &used, from, extent->angle, true);
        from = extent->angle + 1;
        to = extent->angle_end ? extent->angle_end : extent->stop;
        if (extent->colon != NULL) {
            route = words_clean(writer, &used, from, extent->colon, false);
            from = extent->colon + 1;
        }
    }
    const char *sign = extent->last_at;
    struct slice mailbox = words_clean(writer, &used, from, sign ? sign : to, sign == NULL);
    if (sign != NULL)
        host = words_clean(writer, &used, sign + 1, to, false);
    if (extent->angle == NULL && sign == NULL && mailbox.size == 0)
        return;
    if (name.size == 0 && extent->comment.data != NULL)
        name = comment_clean(writer, &used, extent->comment);
    if (mailbox.size == 0)
        mailbox = SLICE("MISSING_MAILBOX");
    if (host.size == 0)
        host = SLICE("MISSING_DOMAIN");
    entry_put(writer, name, route, mailbox, host);
}

static void group_end(struct mime_address_writer *writer)
{
    if (!writer->in_group)
        return;
    writer->left++;
    entry_put(writer, (struct slice){0}, (struct slice){0}, (struct slice){0}, (struct slice){0});
    writer->in_group = false;
}

void mime_addresses_put(struct mime_address_writer *writer, struct slice value)
{
    if (value.size > writer->buffer_size) {
        writer->buffer = arena_alloc(writer->out->arena, value.size);
        writer->buffer_size = writer->buffer ? value.size : 0;
        if (writer->buffer == NULL) {
            writer->out->failed = true;
            return;
        }
    }
    const char *at = value.data, *end = mime_end(value);
    while (at < end && writer->left > 0) {
        struct extent extent;
        at = extent_scan(at, end, writer->in_group, &extent);
        if (extent.delimiter == ':' && writer->left < 2)
            break;
        extent_put(writer, &extent);
        if (extent.delimiter == ';')
            group_end(writer);
    }
    group_end(writer); /* a group does not reach into the next field */
}

void mime_addresses_end(struct mime_address_writer *writer)
{
    mime_put(writer->out, writer->count > 0 ? SLICE(")") : SLICE("NIL"));
}
