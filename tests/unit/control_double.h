/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Backends and sessions passed through that are not there: what control.h asks of backend.h and
 * proxy.h, with a record of what was done in which order. Two pools, "mail" with b1, b2, b3 and
 * "old" with b3, x1.
 */
#ifndef RINGPOST_TESTS_CONTROL_DOUBLE_H
#define RINGPOST_TESTS_CONTROL_DOUBLE_H

#include "ringpost/control.h"

enum { DOUBLE_SESSIONS_MAX = 4000 };

/* Before the engine runs: nothing is there. */
void double_reset(void);
extern const struct proxy_domain double_domains[2]; /* mail.test: "mail", old.test: "old" */
/* A session of `core`, at the index-th backend. `looks`: how often it is looked for until it is
 * gone, after it was ended. */
void double_session(unsigned core, const char *user, unsigned backend, unsigned looks);
unsigned double_alive(void);
/* What was done, and forgets it: "hold u mail/b2 12000; kick u; ..." into text. */
void double_record(char *text, size_t size);
/* The exception of the user; "" when there is none. */
void double_exception(const char *user, char *text, size_t size);
/* The next calls that reach a user's home core are answered -EAGAIN. */
void double_busy(unsigned calls);
/* From now on there is (not) a backend mail/b4, which is told by nobody. */
void double_fourth(bool is_there);
unsigned double_cut_ms(void); /* of the last proxy_cut */

#endif
