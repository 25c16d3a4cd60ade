/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The maildrop: INBOX as it was at log-in. The view is never brought up to date, so numbers mean
 * the same messages to the end of the session and new mail waits for the next one (RFC 1939, 4).
 * Listings are written as they are made, however many messages there are.
 *
 * A unique id is uidvalidity.uid (RFC 1939, 7): the store gives neither twice.
 */
#include "pop3_private.h"

#include <assert.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- opening and closing */

/* In loops over a whole maildrop, however large. */
static void let_others_run(struct pop3 *pop3, uint32_t number)
{
    if (number % 65536 == 0)
        fiber_yield(session_core(&pop3->session));
}

/* The octets of all messages: from the mailbox's own count when it is of the same moment, else
 * added up. */
static void count_bytes(struct pop3 *pop3, const struct mailbox_status *status)
{
    if (status->messages == pop3->view.count && !view_stale(&pop3->view)) {
        pop3->bytes = status->bytes;
        return;
    }
    for (uint32_t number = 1; number <= pop3->view.count; number++) {
        pop3->bytes += view_entry(&pop3->view, number)->size;
        let_others_run(pop3, number);
    }
}

static int open_maildrop(struct pop3 *pop3)
{
    struct mailbox_status status;
    int result = account_open(session_core(&pop3->session), pop3->session.user, &pop3->account);
    if (result < 0)
        return result;
    struct mailbox *mailbox = account_mailbox(pop3->account, SLICE("INBOX"));
    if (mailbox == NULL)
        return -EIO;
    if (!mailbox_pop3_lock(mailbox))
        return -EBUSY;
    pop3->mailbox = mailbox; /* from here on it is ours to unlock */
    result = view_open(pop3->account, mailbox, true, &pop3->view);
    if (result < 0) {
        pop3->view.mailbox = NULL;
        return result;
    }
    result = mailbox_status(mailbox, &status);
    if (result < 0)
        return result;
    pop3->uidvalidity = status.uidvalidity;
    count_bytes(pop3, &status);
    return 0;
}

/* On the user's core, after PASS. */
void pop3_open_maildrop(struct session *session)
{
    struct pop3 *pop3 = pop3_of(session);
    int result = open_maildrop(pop3);
    if (result < 0) {
        pop3_error(session, result);
        pop3->is_mute = true;
        session_end(session, result == -EBUSY ? SESSION_END_IN_USE : SESSION_END_STORE);
        return;
    }
    session->state = POP3_TRANSACTION;
    stream_write(&session->stream, SLICE("+OK Logged in\r\n"));
}

void pop3_close_maildrop(struct pop3 *pop3)
{
    if (pop3->view.mailbox != NULL)
        view_close(&pop3->view);
    if (pop3->mailbox != NULL)
        mailbox_pop3_unlock(pop3->mailbox);
    if (pop3->account != NULL)
        account_close(pop3->account);
    free(pop3->deleted);
    pop3->view.mailbox = pop3->mailbox = NULL;
    pop3->account = NULL;
    pop3->deleted = NULL;
}

/* ---------------------------------------------------------------- messages */

static bool is_deleted(const struct pop3 *pop3, uint32_t number)
{
    return pop3->deleted != NULL && (pop3->deleted[(number - 1) / 8] >> (number - 1) % 8 & 1);
}

const struct mail_entry *pop3_message(struct pop3 *pop3, uint32_t number)
{
    if (number >= 1 && number <= pop3->view.count && !is_deleted(pop3, number))
        return view_entry(&pop3->view, number);
    pop3_error(&pop3->session, -ENOENT);
    session_count_error(&pop3->session);
    return NULL;
}

void pop3_stat(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    stream_printf(&session->stream, "+OK %u %llu\r\n", pop3->view.count - pop3->deleted_count,
                  (unsigned long long)(pop3->bytes - pop3->deleted_bytes));
}

/* ---------------------------------------------------------------- listings */

static char *put_number(char *at, uint32_t number)
{
    char digits[10];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

enum { LISTING_LINE_BYTES_MAX = 10 + 1 + 10 + 1 + 10 + 2 };

static char *put_line(char *at, const struct pop3 *pop3, uint32_t number, bool is_uidl)
{
    const struct mail_entry *entry = view_entry(&pop3->view, number);
    at = put_number(at, number);
    *at++ = ' ';
    if (is_uidl) {
        at = put_number(at, pop3->uidvalidity);
        *at++ = '.';
    }
    at = put_number(at, is_uidl ? entry->uid : entry->size);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* LIST and UIDL: of one message, or of all that are not deleted. */
static void listing(struct session *session, uint32_t number, bool is_uidl)
{
    struct pop3 *pop3 = pop3_of(session);
    char lines[POP3_LIST_BYTES], *at = lines;
    if (number != 0) {
        if (pop3_message(pop3, number) == NULL)
            return;
        stream_write(&session->stream, SLICE("+OK "));
        at = put_line(at, pop3, number, is_uidl);
        stream_write(&session->stream, slice_of(lines, (size_t)(at - lines)));
        return;
    }
    stream_write(&session->stream, SLICE("+OK Listing follows\r\n"));
    pop3->is_mute = true;
    for (number = 1; number <= pop3->view.count && session->stream.output_error == 0; number++) {
        let_others_run(pop3, number);
        if (is_deleted(pop3, number))
            continue;
        at = put_line(at, pop3, number, is_uidl);
        if (lines + sizeof lines - at >= LISTING_LINE_BYTES_MAX)
            continue;
        pop3_deadline(session, sizeof lines);
        stream_write(&session->stream, slice_of(lines, (size_t)(at - lines)));
        at = lines;
    }
    stream_write(&session->stream, slice_of(lines, (size_t)(at - lines)));
    stream_write(&session->stream, SLICE(".\r\n"));
    pop3->is_mute = false;
}

void pop3_list(struct session *session, const void *arguments)
{
    listing(session, ((const struct pop3_arguments *)arguments)->number, false);
}

void pop3_uidl(struct session *session, const void *arguments)
{
    listing(session, ((const struct pop3_arguments *)arguments)->number, true);
}

/* ---------------------------------------------------------------- deleting */

void pop3_dele(struct session *session, const void *arguments)
{
    struct pop3 *pop3 = pop3_of(session);
    uint32_t number = ((const struct pop3_arguments *)arguments)->number;
    const struct mail_entry *entry = pop3_message(pop3, number);
    if (entry == NULL)
        return;
    if (pop3->deleted == NULL)
        pop3->deleted = calloc((pop3->view.count + (size_t)7) / 8, 1);
    if (pop3->deleted == NULL) {
        pop3_error(session, -ENOMEM);
        return;
    }
    pop3->deleted[(number - 1) / 8] |= (uint8_t)(1 << (number - 1) % 8);
    pop3->deleted_count++;
    pop3->deleted_bytes += entry->size;
    session->junk = 0;
    stream_write(&session->stream, SLICE("+OK Deleted at QUIT\r\n"));
}

void pop3_rset(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    free(pop3->deleted);
    pop3->deleted = NULL;
    pop3->deleted_count = 0;
    pop3->deleted_bytes = 0;
    pop3_ok(session);
}

/* Removes what is marked: all of it, durably, or nothing (invariant 2). 0 or -errno. */
static int update(struct pop3 *pop3)
{
    uint32_t count = 0;
    if (pop3->deleted_count == 0)
        return 0;
    uint32_t *uids = malloc(pop3->deleted_count * sizeof *uids);
    if (uids == NULL)
        return -ENOMEM;
    for (uint32_t number = 1; number <= pop3->view.count; number++) {
        let_others_run(pop3, number);
        if (is_deleted(pop3, number))
            uids[count++] = view_entry(&pop3->view, number)->uid;
    }
    assert(count == pop3->deleted_count);
    int result = mailbox_expunge(pop3->mailbox, uids, count);
    free(uids);
    return result;
}

void pop3_quit(struct session *session, const void *arguments)
{
    (void)arguments;
    struct pop3 *pop3 = pop3_of(session);
    int result = session->state == POP3_TRANSACTION ? update(pop3) : 0;
    pop3_close_maildrop(pop3); /* free for the next session before the client hears of it */
    if (result < 0)
        pop3_error(session, result);
    else
        stream_write(&session->stream, SLICE("+OK Goodbye\r\n"));
    pop3->is_mute = true;
    session_end(session, SESSION_END_QUIT);
}
