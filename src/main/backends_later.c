/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In place of the log-in at backends, until it is there.
 */
#include "ringpost/backend.h"

int backend_probe(struct core *core, const void *member, enum backend_protocol protocol,
                  uint64_t deadline_ns, char *ret_capabilities, const char **ret_problem);
int backend_probe(struct core *core, const void *member, enum backend_protocol protocol,
                  uint64_t deadline_ns, char *ret_capabilities, const char **ret_problem)
{
    (void)core, (void)member, (void)protocol, (void)deadline_ns;
    *ret_capabilities = '\0';
    *ret_problem = "not there yet";
    return -ENOTSUP;
}

int backend_log_in(struct core *core, const struct backend_request *request,
                   bool (*gone)(void *argument), void *argument, struct backend_answer *ret_answer,
                   struct backend_link **ret_link)
{
    (void)core, (void)request, (void)gone, (void)argument, (void)ret_link;
    *ret_answer = (struct backend_answer){.problem = "not there yet"};
    return -EAGAIN;
}

void backend_link_close(struct backend_link *link)
{
    (void)link;
}

void backend_link_lost(struct backend_link *link)
{
    (void)link;
}
