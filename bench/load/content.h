/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages: number k of a run is the same bytes at every run with the same seed. Either made (text,
 * HTML, attachments in base64; sizes given, or drawn from what real mail has), or taken in turn
 * from a folder or mbox of real ones. Each carries a header field by which it is recognised
 * when it comes back:
 *
 *   X-Ringpost-Bench: SEED-NUMBER-BODYBYTES-CRC32C
 *
 * BODYBYTES and CRC32C are of what stands behind the empty line that ends the headers: servers add
 * header fields, and leave the body alone.
 */
#ifndef RINGPOST_BENCH_CONTENT_H
#define RINGPOST_BENCH_CONTENT_H

#include "load.h"

struct content; /* immutable once made; shared by all cores */

/* Reads the folder (each regular file a message), maildir or mbox (blocking, with progress on
 * standard error when it takes long), or prepares the generator. On failure says why in problem
 * (200 bytes). 0 or -errno. */
int content_open(const struct load_options *options, struct content **ret_content,
                 char problem[200]);
void content_close(struct content *content);

/* A message, lines ended by CRLF, no dots added. The body is the content's own and is there as long
 * as that; the head is good until content_release. They do not lie beside each other: a body of
 * megabytes is never copied. */
struct content_message {
    struct slice head, body; /* head ends with the empty line; the message is both */
    bool needs_dots;         /* a line of the body begins with a dot (no header field does) */
    bool is_8bit;            /* the body has bytes above 127 */
    void *block;             /* private */
};
int content_make(struct content *content, uint64_t number, struct content_message *ret_message);
void content_release(struct content_message *message);
/* Its size without making it. */
unsigned content_size(struct content *content, uint64_t number);

#endif
