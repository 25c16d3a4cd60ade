/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading a config for a command, and telling its problems.
 */
#ifndef RINGPOST_CHECK_H
#define RINGPOST_CHECK_H

#include <stdio.h>

#include "setup.h"

/* Reads, checks and puts together. NULL when memory is out (which is said). process NULL: only to
 * be looked at. */
struct setup *setup_read(const char *path, const struct setup_process *process);
/* One line a problem: `file:line: what; the fix`. */
void problems_show(const struct config *config, FILE *file);

#endif
