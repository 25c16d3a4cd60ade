/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ending sessions wherever they are: each core ends its own.
 */
#include "control_private.h"

struct kick {
    struct slice user;
    uint64_t id, count;
};

static int kick_there(struct core *there, void *argument)
{
    struct kick *kick = argument;
    kick->count += proxy_kick(there, kick->user, kick->id);
    return 0;
}

int control_kick_all(struct core *core, struct slice user, uint64_t id, uint64_t *ret_count)
{
    struct kick kick = {.user = user, .id = id};
    int result = 0;
    for (unsigned i = 0; i < core_count(core); i++) {
        int error = control_call(core, i, kick_there, &kick);
        result = error < 0 ? error : result; /* the others all the same */
    }
    if (result == 0)
        *ret_count = kick.count;
    return result;
}
