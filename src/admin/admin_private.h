/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of this folder share: the pages are written into a struct text of the request.
 */
#ifndef RINGPOST_ADMIN_PRIVATE_H
#define RINGPOST_ADMIN_PRIVATE_H

#include "ringpost/admin.h"
#include "ringpost/arena.h"

/* "ready", or why not. */
const char *health_text(enum admin_health health);
/* The page of all metrics, Prometheus' text format 0.0.4. */
void metrics_write(const struct admin_options *options, struct text *text);

#endif
