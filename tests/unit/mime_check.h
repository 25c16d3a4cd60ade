/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of the MIME library share: a message summarised, and what holds for every summary.
 */
#ifndef RINGPOST_TESTS_MIME_CHECK_H
#define RINGPOST_TESTS_MIME_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/mime.h"

enum { TIME_MAX_SECONDS = 240 }; /* an alarm ends a program whose work is not linear any more */

struct fixture {
    struct arena arena;
    struct slice bytes;
    struct mime_summary summary;
};

void fixture_init(struct fixture *f);
struct text text_new(struct fixture *f);
void repeat(struct text *text, const char *piece, size_t times);
void assert_slice(struct slice actual, const char *expected);
/* Summarises, opens, and checks what holds for every message: parts lie within parts, and texts are
 * what IMAP takes. */
void summarize(struct fixture *f, struct slice message);

#endif
