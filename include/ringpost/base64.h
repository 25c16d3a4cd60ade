/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Base64 and its URL-safe form (RFC 4648, sections 4 and 5), read strictly: what a careless decoder
 * passes over (blanks, inner '=', loose bits at the end) is refused, so that a text has one reading
 * only. Pure; not in constant time.
 */
#ifndef RINGPOST_BASE64_H
#define RINGPOST_BASE64_H

#include "ringpost/slice.h"

/* With padding. Into `out` of at least text.size / 4 * 3 bytes (text.size may be 0). False: not
 * base64; *ret_size is untouched. `out` may be text.data. */
bool base64_decode(struct slice text, char *out, size_t *ret_size);
/* Into `out` of (bytes.size + 2) / 3 * 4 bytes; returns that. No NUL behind it. */
size_t base64_encode(struct slice bytes, char *out);
/* URL-safe, without padding (RFC 7515, section 2). `out`: text.size bytes do. */
bool base64url_decode(struct slice text, char *out, size_t *ret_size);

#endif
