/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS sessions to resume from: kept by core, backend and protocol (a server's services need not
 * share the keys of their tickets), a few of each, and dropped with their table, so that what a new
 * config asks of certificates holds at once. Checks do without: they see the certificate that is
 * there, and log-ins follow what checks say.
 *
 * TLS 1.3 only. With TLS 1.2 wolfSSL before 5.7.6 looks at the wrong length of a session's number:
 * a server that refuses the ticket and goes on with a full handshake, as it may, is taken for one
 * that resumes, and its certificate for "Out of order message". A TLS 1.3 server says in so many
 * words which session it resumes.
 *
 * Some servers fail the handshake where they should just not resume (OpenSSL's that asks for
 * certificates of clients and has no name for its sessions): three in a row, and that backend is
 * asked no more.
 */
#include <stdlib.h>

#include "core_state.h"

/* NULL: not of the table in use, or no backend with an address of its own. */
static struct resume **place(struct core *core, const struct backend_member *member,
                             enum backend_protocol protocol)
{
    const struct backends *backends = backends_of(core);
    const struct backend_table *table = member->pool->table;
    size_t index = (size_t)(member - table->members);
    if (table != backends->table || index >= table->member_count)
        return NULL;
    return &backends->resume[index * BACKEND_PROTOCOL_COUNT + protocol];
}

static void drop(struct resume *resume)
{
    while (resume->count > 0)
        tls_session_free(resume->sessions[--resume->count]);
}

struct tls_session *resume_take(struct core *core, const struct backend_member *member,
                                enum backend_protocol protocol)
{
    struct resume **at = place(core, member, protocol);
    if (at == NULL || *at == NULL || (*at)->count == 0)
        return NULL;
    return (*at)->sessions[--(*at)->count];
}

void resume_keep(struct core *core, const struct backend_member *member,
                 enum backend_protocol protocol, struct stream *stream)
{
    struct resume **at = place(core, member, protocol), *resume;
    struct tls_info info;
    stream_tls_info(stream, &info);
    if (at == NULL || strcmp(info.version, "TLSv1.3") != 0)
        return;
    if (*at == NULL && (*at = calloc(1, sizeof **at)) == NULL)
        return;
    resume = *at;
    if (info.is_resumed)
        resume->failures = 0;
    if (resume->count == RESUME_SESSIONS_MAX || resume->failures >= RESUME_FAILURES_MAX)
        return;
    struct tls_session *session = stream_tls_session(stream);
    if (session != NULL)
        resume->sessions[resume->count++] = session;
}

void resume_failed(struct core *core, const struct backend_member *member,
                   enum backend_protocol protocol)
{
    struct resume **at = place(core, member, protocol);
    if (at == NULL || *at == NULL)
        return;
    drop(*at);
    (*at)->failures++;
}

void resume_free(struct resume **resume, unsigned member_count)
{
    for (size_t i = 0; resume != NULL && i < (size_t)member_count * BACKEND_PROTOCOL_COUNT; i++) {
        if (resume[i] != NULL)
            drop(resume[i]);
        free(resume[i]);
    }
    free(resume);
}
