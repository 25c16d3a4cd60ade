/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * STATUS (RFC 9051 6.3.11, RFC 7162 3.1.7, RFC 8438, RFC 7889): one table of items.
 */
#include "families.h"

enum item {
    MESSAGES,
    RECENT,
    UIDNEXT,
    UIDVALIDITY,
    UNSEEN,
    DELETED,
    SIZE,
    HIGHESTMODSEQ,
    APPENDLIMIT,
    ITEM_COUNT
};

static const struct slice items[ITEM_COUNT] = {
    [MESSAGES] = SLICE("MESSAGES"),
    [RECENT] = SLICE("RECENT"),
    [UIDNEXT] = SLICE("UIDNEXT"),
    [UIDVALIDITY] = SLICE("UIDVALIDITY"),
    [UNSEEN] = SLICE("UNSEEN"),
    [DELETED] = SLICE("DELETED"),
    [SIZE] = SLICE("SIZE"),
    [HIGHESTMODSEQ] = SLICE("HIGHESTMODSEQ"),
    [APPENDLIMIT] = SLICE("APPENDLIMIT"),
};

bool imap_take_status_items(struct imap_cursor *cursor, uint32_t *ret_items)
{
    struct imap_cursor at = *cursor;
    uint32_t found = 0;
    if (!imap_take(&at, '('))
        return false;
    do {
        unsigned item = 0;
        while (item < ITEM_COUNT && !imap_take_word(&at, items[item]))
            item++;
        if (item == ITEM_COUNT)
            return false;
        found |= UINT32_C(1) << item;
    } while (imap_take(&at, ' '));
    if (!imap_take(&at, ')'))
        return false;
    *cursor = at;
    *ret_items = found;
    return true;
}

const char *imap_status_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_status_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    if (!imap_take_mailbox(&cursor, arena, &arguments->mailbox) || !imap_take(&cursor, ' '))
        return "Expected a mailbox name";
    if (!imap_take_status_items(&cursor, &arguments->items) || !imap_at_end(&cursor))
        return "Unknown status item";
    return NULL;
}

int imap_text_status(struct session *session, struct text *text, struct mailbox *mailbox,
                     uint32_t wanted)
{
    struct mailbox_status status;
    int result = mailbox_status(mailbox, &status);
    if (result < 0)
        return result;
    const uint64_t values[ITEM_COUNT] = {
        [MESSAGES] = status.messages,
        [RECENT] = status.recent,
        [UIDNEXT] = status.uidnext,
        [UIDVALIDITY] = status.uidvalidity,
        [UNSEEN] = status.unseen,
        [DELETED] = status.deleted,
        [SIZE] = status.bytes,
        [HIGHESTMODSEQ] = status.highest_modseq,
        [APPENDLIMIT] = imap_options_of(session)->append_bytes_max,
    };
    text_append(text, SLICE("STATUS "));
    imap_text_mailbox(text, mailbox_name(mailbox));
    char before = '(';
    text_char(text, ' ');
    for (unsigned item = 0; item < ITEM_COUNT; item++)
        if (wanted & UINT32_C(1) << item) {
            text_printf(text, "%c%s %llu", before, items[item].data,
                        (unsigned long long)values[item]);
            before = ' ';
        }
    text_char(text, ')');
    return text->failed ? -ENOMEM : 0;
}

void imap_status_run(struct session *session, const void *arguments)
{
    const struct imap_status_arguments *status = arguments;
    struct mailbox *mailbox = account_mailbox(imap_of(session)->account, status->mailbox);
    struct text text;
    if (status->items & UINT32_C(1) << HIGHESTMODSEQ)
        imap_condstore_enable(session);
    text_init(&text, &session->arena);
    text_append(&text, SLICE("* "));
    int result =
        mailbox == NULL ? -ENOENT : imap_text_status(session, &text, mailbox, status->items);
    text_append(&text, SLICE("\r\n"));
    if (result == 0 && text.failed)
        result = -ENOMEM;
    if (result < 0) {
        imap_fail(session, result);
        return;
    }
    stream_write(&session->stream, text_slice(&text));
    imap_finish(session, NULL, "Done");
}
