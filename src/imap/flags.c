/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Flags and keywords between the wire and the store (RFC 9051 2.3.2). System flags are bits of
 * enum mail_flag; keywords are bits that each mailbox gives names to. \Recent is the session's.
 */
#include "imap_private.h"

static const struct {
    struct slice name;
    uint16_t flag;
} system_flags[] = {
    {SLICE("\\Answered"), MAIL_ANSWERED}, {SLICE("\\Flagged"), MAIL_FLAGGED},
    {SLICE("\\Deleted"), MAIL_DELETED},   {SLICE("\\Seen"), MAIL_SEEN},
    {SLICE("\\Draft"), MAIL_DRAFT},
};
enum { SYSTEM_FLAG_COUNT = sizeof system_flags / sizeof system_flags[0] };

/* One flag; a keyword is added to flags->keywords, which has room. */
static bool take_flag(struct imap_cursor *cursor, struct imap_flags *flags)
{
    for (unsigned i = 0; i < SYSTEM_FLAG_COUNT; i++)
        if (imap_take_word(cursor, system_flags[i].name)) {
            flags->flags |= system_flags[i].flag;
            return true;
        }
    struct slice keyword;
    if (!imap_take_atom(cursor, &keyword)) /* "\" is no atom character: other \Flags end here */
        return false;
    flags->keywords[flags->keyword_count++] = keyword;
    return true;
}

/* Flags up to `end` (")" or the end of the text). */
static bool take_flags_until(struct imap_cursor *cursor, struct arena *arena, char end,
                             struct imap_flags *ret_flags)
{
    struct imap_flags flags = {.keywords =
                                   arena_alloc(arena, IMAP_FLAGS_MAX * sizeof(struct slice))};
    if (flags.keywords == NULL)
        return false;
    for (unsigned count = 0; imap_next(cursor) != end; count++)
        if (count == IMAP_FLAGS_MAX || (count > 0 && !imap_take(cursor, ' ')) ||
            !take_flag(cursor, &flags))
            return false;
    *ret_flags = flags;
    return true;
}

bool imap_take_flag_list(struct imap_cursor *cursor, struct arena *arena,
                         struct imap_flags *ret_flags)
{
    struct imap_cursor at = *cursor;
    struct imap_flags flags;
    if (!imap_take(&at, '(') || !take_flags_until(&at, arena, ')', &flags) || !imap_take(&at, ')'))
        return false;
    *cursor = at;
    *ret_flags = flags;
    return true;
}

bool imap_take_flags(struct imap_cursor *cursor, struct arena *arena, struct imap_flags *ret_flags)
{
    if (imap_next(cursor) == '(')
        return imap_take_flag_list(cursor, arena, ret_flags);
    struct imap_cursor at = *cursor;
    if (imap_at_end(&at) || !take_flags_until(&at, arena, '\0', ret_flags))
        return false;
    *cursor = at;
    return imap_at_end(cursor);
}

int imap_keyword_bits(struct mailbox *mailbox, const struct imap_flags *flags, bool make,
                      uint64_t *ret_bits)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < flags->keyword_count; i++) {
        int bit = mailbox_keyword_bit(mailbox, flags->keywords[i], make);
        if (bit < 0 && make)
            return bit;
        if (bit >= 0)
            bits |= UINT64_C(1) << bit;
    }
    *ret_bits = bits;
    return 0;
}

static void text_flag(struct text *text, struct slice name, bool *is_first)
{
    if (!*is_first)
        text_char(text, ' ');
    *is_first = false;
    text_append(text, name);
}

void imap_text_flags(struct text *text, const struct mailbox *mailbox, uint16_t flags,
                     uint64_t keywords, bool is_recent)
{
    bool is_first = true;
    text_char(text, '(');
    for (unsigned i = 0; i < SYSTEM_FLAG_COUNT; i++)
        if (flags & system_flags[i].flag)
            text_flag(text, system_flags[i].name, &is_first);
    if (is_recent)
        text_flag(text, SLICE("\\Recent"), &is_first);
    for (; keywords != 0; keywords &= keywords - 1) {
        struct slice name = mailbox_keyword(mailbox, (unsigned)__builtin_ctzll(keywords));
        if (name.size > 0)
            text_flag(text, name, &is_first);
    }
    text_char(text, ')');
}
