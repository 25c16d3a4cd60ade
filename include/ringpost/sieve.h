/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ManageSieve (RFC 5804) in front of stores that hold the scripts: capabilities, STARTTLS and the
 * log-in are answered here, all else by the backend (proxy.h). A service that fronts nothing lets
 * nobody in: there are no scripts here.
 */
#ifndef RINGPOST_SIEVE_H
#define RINGPOST_SIEVE_H

#include "ringpost/session.h"

extern const struct session_protocol sieve_protocol;

#endif
