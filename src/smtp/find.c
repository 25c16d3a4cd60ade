/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whom an address of RCPT leads to: the routes say, and where they say "ask", a directory is asked
 * (auth_lookup, which caches).
 *
 *   route_find ─▶ users of the table ─────────────────────────────▶ taken
 *       └ ask ─▶ each: known ─▶ its canonical name; unknown ─▶ dropped; not available ─▶ 451
 *                    └ nobody is left ─▶ route_find_without: catch-all, asked about once more
 *
 * A directory that is not available is never "no such user" (directory.h, Y3). The names live in
 * the transaction's arena.
 */
#include <stdlib.h>

#include "smtp_private.h"

/* Puts the users that there are in place of those to be asked about. */
static enum smtp_reply ask(struct smtp_session *smtp, struct route_target *targets, unsigned *count)
{
    struct core *core = session_core(&smtp->session);
    struct arena *arena = &smtp->transaction->arena;
    struct auth_result found;
    unsigned kept = 0;
    for (unsigned i = 0; i < *count; i++) {
        struct route_target target = targets[i];
        if (target.domain.size > 0) {
            struct slice name =
                arena_printf(arena, "%.*s@%.*s", (int)target.user.size, target.user.data,
                             (int)target.domain.size, target.domain.data);
            int result = name.data != NULL ? auth_lookup(core, name, &found) : -ENOMEM;
            if (result == -ENOENT)
                continue;
            if (result == -EAGAIN)
                return REPLY_NO_DIRECTORY;
            if (result == 0)
                target.user = arena_copy(arena, found.user);
            if (result < 0 || target.user.data == NULL)
                return REPLY_NO_MEMORY;
            target.domain = (struct slice){0};
        }
        targets[kept++] = target;
    }
    *count = kept;
    return kept > 0 ? REPLY_OK : REPLY_USER_UNKNOWN;
}

static enum smtp_reply judge(struct smtp_session *smtp, enum route_answer answer,
                             struct route_target *targets, unsigned *count)
{
    if (answer == ROUTE_ASK)
        return ask(smtp, targets, count);
    if (answer == ROUTE_TARGETS)
        return REPLY_OK;
    if (answer == ROUTE_UNKNOWN_USER)
        return REPLY_USER_UNKNOWN;
    return smtp->is_submission ? REPLY_NO_RELAY_YET : REPLY_NO_RELAY;
}

enum smtp_reply smtp_find(struct smtp_session *smtp, const struct smtp_path *path,
                          struct route_target *ret_targets, unsigned *ret_count)
{
    const struct route_table *routes = options_of(smtp)->routes;
    enum route_answer answer =
        route_find(routes, path->local, path->domain, ret_targets, ret_count);
    enum smtp_reply reply = judge(smtp, answer, ret_targets, ret_count);
    if (answer != ROUTE_ASK || reply != REPLY_USER_UNKNOWN)
        return reply;
    answer = route_find_without(routes, path->local, path->domain, ret_targets, ret_count);
    return judge(smtp, answer, ret_targets, ret_count);
}
