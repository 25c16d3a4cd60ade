/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Line protocols on the harness's blocking clients. What is not as expected aborts, with both
 * texts.
 */
#ifndef RINGPOST_TESTS_LINE_CLIENT_H
#define RINGPOST_TESTS_LINE_CLIENT_H

#include "harness.h"

int client_open(unsigned port); /* 127.0.0.1 */
void client_say(int client, const char *text);
/* In pieces of `piece` bytes, with naps between them; 0: all at once. */
void client_say_in_pieces(int client, const char *text, size_t size, size_t piece);
void client_expect(int client, const char *text);
bool client_is_like(const char *text, const char *pattern);
/* One reply line; a '*' in the pattern stands for any bytes. */
void client_expect_like(int client, const char *pattern);
/* say, then expect_like of one line */
void client_ask(int client, const char *text, const char *pattern);
/* A line without its CRLF; text holds `capacity` bytes. */
void client_line(int client, char *text, size_t capacity);

#endif
