/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificates for trying out: self-signed, ECDSA P-256.
 */
#ifndef RINGPOST_CERTIFICATE_H
#define RINGPOST_CERTIFICATE_H

#include <stdint.h>

enum { CERTIFICATE_BYTES_MAX = 4096, CERTIFICATE_NAMES_MAX = 8 };

/* A new key and a certificate for DNS names (the first is also the subject) and the address
 * 127.0.0.1, valid from a day before now_seconds for two years, both as PEM with a NUL behind it.
 * names is NULL-ended. NULL, or what failed. */
const char *certificate_make(const char *const *names, int64_t now_seconds,
                             char ret_certificate[CERTIFICATE_BYTES_MAX],
                             char ret_key[CERTIFICATE_BYTES_MAX]);
/* wolfSSL's version. */
const char *certificate_library_version(void);

#endif
