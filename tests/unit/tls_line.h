/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS for the tests of line protocols: a certificate for the services, and wolfSSL as the client on
 * a connection of the harness (real kernel only). What is not as expected aborts.
 */
#ifndef RINGPOST_TESTS_TLS_LINE_H
#define RINGPOST_TESTS_TLS_LINE_H

#include "harness.h"

/* On each core, on a fiber, after net_open: the library and the certificate of mx.example.test. */
int tls_line_open(struct core *core);
void tls_line_close(struct core *core); /* before net_close */

struct tls_line;
struct tls_line *tls_line_begin(int client); /* the handshake */
void tls_line_say(struct tls_line *line, const char *text);
/* A reply, to its last line, which must begin so. All of it without line ends' CR in `text`, if
 * that is not NULL. */
void tls_line_reply(struct tls_line *line, const char *begins, char *text, size_t capacity);
/* One line without its CRLF. */
void tls_line_read(struct tls_line *line, char *text, size_t capacity);
void tls_line_ask(struct tls_line *line, const char *text, const char *begins);
/* Says close_notify, and no more by TLS; the connection stays. */
void tls_line_notify(struct tls_line *line);
/* The other side has nothing more to say; all is freed. */
void tls_line_end(struct tls_line *line);

#endif
