/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of TLS share: certificates made on the spot, the line server behind TLS at one port
 * and in clear, with "secure", at the next, and clients that check.
 */
#ifndef RINGPOST_TESTS_TLS_HOST_H
#define RINGPOST_TESTS_TLS_HOST_H

#include "../../src/main/certificate.h"
#include "line_server.h"
#include "wolf_client.h"

enum { DAY_SECONDS = 86400, SETTINGS_MAX = 8 };

struct tls_made {
    char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
};
extern struct tls_made made[3]; /* of one.example.org, *.two.example.org, and an expired one */

struct server {
    struct harness_engine *engine;
    struct listener *listeners[CORES_MAX];
    unsigned cores;
    struct tls_options tls;
    atomic_uint ready, stopped, adopting;
    struct line_server lines, others;                      /* two services */
    _Atomic(struct tls_settings *) settings[SETTINGS_MAX]; /* one after the other, of all cores */
};

extern const struct tls_options plain_options;

void make_certificates(int64_t now_seconds);
struct tls_pair pair_of(const char *certificate, const char *key);
struct tls_settings *settings_make(const struct tls_options *options); /* of made[0] and made[1] */
unsigned port_base(void);
void server_begin(struct server *server, unsigned cores, const struct tls_options *tls);
void server_end(struct server *server);
void client_say(int fd, const char *text);
int client_dial(void);
void begin(struct wolf_client *client, const struct wolf_client_options *options);
void quit(struct wolf_client *client);
void failing(const struct wolf_client_options *options, int error);
void info(struct wolf_client *client, char *text, size_t size);
bool is_resumed(struct wolf_client *client);
bool is_pair(const struct wolf_client *client, int pair);
WOLFSSL_SESSION *session_of(struct wolf_client *client);

#endif
