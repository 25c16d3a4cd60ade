/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IDLE (RFC 2177): the command's fiber ends after "+ idling"; the session then holds nothing but
 * its structs. A change of the mailbox wakes it (select.c, view_changed), DONE or anything else
 * ends it (reader.c).
 *
 *   SELECTED or AUTHENTICATED ──IDLE──▶ IDLE ──DONE, bad line──▶ back (by whether a view is open)
 */
#include <stdlib.h>

#include "families.h"

void imap_idle_run(struct session *session, const void *arguments)
{
    struct imap_session *imap = imap_of(session);
    struct slice tag = session->line.tag;
    (void)arguments;
    free(imap->kept_tag);
    imap->kept_tag = malloc(tag.size + 1);
    if (imap->kept_tag == NULL) {
        imap_fail(session, -ENOMEM);
        return;
    }
    memcpy(imap->kept_tag, tag.data, tag.size);
    imap->kept_tag[tag.size] = '\0';
    session->state = IMAP_IDLE;
    stream_write(&session->stream, SLICE("+ idling\r\n"));
    imap_report(session, true);
}

void imap_idle_end(struct session *session)
{
    struct imap_session *imap = imap_of(session);
    session->state = imap->view.mailbox != NULL ? IMAP_SELECTED : IMAP_AUTHENTICATED;
    free(imap->kept_tag);
    imap->kept_tag = NULL;
}

void imap_done_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_idle_end(session);
    imap_finish(session, NULL, "Done");
}

void imap_woken(struct session *session)
{
    if (session->state == IMAP_IDLE)
        imap_report(session, true);
}
