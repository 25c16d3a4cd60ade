/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A blocking client for line protocols, for tests on the real kernel. What is not as expected
 * aborts, with both texts.
 */
#ifndef RINGPOST_TESTS_LINE_CLIENT_H
#define RINGPOST_TESTS_LINE_CLIENT_H

#include <stddef.h>

int client_open(unsigned port); /* 127.0.0.1 */
void client_put(int fd, const void *data, size_t size);
void client_say(int fd, const char *text);
void client_say_slowly(int fd, const char *text); /* a byte at a time */
void client_try(int fd, const char *text);        /* it may be closed already */
void client_get(int fd, void *data, size_t size);
void client_expect(int fd, const char *text);
/* One reply line; a '*' in the pattern stands for any bytes. */
void client_expect_like(int fd, const char *pattern);
/* All that comes until the end; the size, at most capacity. */
size_t client_rest(int fd, char *text, size_t capacity);
void client_expect_end(int fd); /* and closes it */

#endif
