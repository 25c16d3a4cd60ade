/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A new self-signed certificate and its key as files.
 */
#ifndef RINGPOST_CERTIFICATE_WRITE_H
#define RINGPOST_CERTIFICATE_WRITE_H

#include <stdbool.h>

/* DIRECTORY/key.pem (0600) and DIRECTORY/certificate.pem, over what is there. names as of
 * certificate_make. False after saying why. */
bool certificate_write(const char *directory, const char *const *names);

#endif
