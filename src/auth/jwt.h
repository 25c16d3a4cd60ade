/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is a token signed by who we trust, and whom does it name?
 */
#ifndef RINGPOST_JWT_H
#define RINGPOST_JWT_H

#include "ringpost/auth.h"

/* From any thread; some 100 us: not on a core. now_s: since 1970. 0 with the name of its user,
 * NUL-ended, as the token writes it; -EACCES: forged, over, not for us; -ENOENT: not a JWT, or none
 * is checked here; -EAGAIN: no memory. */
int jwt_check(const struct auth_tokens *tokens, struct slice token, int64_t now_s,
              char ret_user[AUTH_USER_BYTES_MAX + 1]);
/* Who is asked about tokens that are no JWT, or NULL. */
const struct auth_directory *jwt_introspection(const struct auth_tokens *tokens);

#endif
