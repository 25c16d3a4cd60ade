/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What comes back is what was sent: a reader of messages that finds the X-Ringpost-Bench field and
 * checks the body behind it, and the books of which numbers were accepted for whom and which were
 * seen.
 */
#ifndef RINGPOST_BENCH_VERIFY_H
#define RINGPOST_BENCH_VERIFY_H

#include "content.h"
#include "measure.h"

/* Fed the bytes of one message in pieces (dots removed); zero-initialised. */
struct verify_reader {
    uint64_t seed, number, body_bytes, body_seen;
    uint32_t crc, crc_wanted;
    bool has_mark, in_body;
    unsigned line_bytes; /* gathered of the header line */
    char line[128];
};
void verify_feed(struct verify_reader *reader, struct slice piece);
/* LOAD_FINE or LOAD_ALTERED, with *ret_number; or -1: it carries no mark of this run's seed. */
int verify_end(struct verify_reader *reader, const struct load_options *options,
               uint64_t *ret_number);

/* The books. Accepted: the server said that it has message `number` for user `user`. Maybe: the
 * connection went before the answer. Before: it was found in the mailbox before the run (by an
 * earlier one with the same seed). Seen: it was found there after the run. Each core writes its
 * own; verify_finish, after all have read their mailboxes, counts missing and doubled ones into
 * `measure`, and blocks for as long as sorting them takes. Numbers are those of operations; when
 * memory is out this is told once, and then nothing is verified. */
struct verify;
enum verify_book {
    VERIFY_ACCEPTED,
    VERIFY_MAYBE,
    VERIFY_DELETED,
    VERIFY_BEFORE,
    VERIFY_SEEN,
    VERIFY_UNREAD, /* number 0: the user's mailbox could not be read, nothing is said of it */
    VERIFY_BOOK_COUNT
};
int verify_create(unsigned cores, struct verify **ret_verify);
void verify_destroy(struct verify *verify);
struct verify *verify_of(struct load *load); /* run.c; NULL without --verify */
void verify_accepted(struct load_core *at, uint64_t number, unsigned user);
void verify_maybe(struct load_core *at, uint64_t number, unsigned user);
void verify_deleted(struct load_core *at, uint64_t number, unsigned user);
void verify_before(struct load_core *at, uint64_t number, unsigned user);
void verify_seen(struct load_core *at, uint64_t number, unsigned user);
void verify_unread(struct load_core *at, unsigned user);
/* How many messages each of `users` must have: added to counts[user]. When no core writes. */
void verify_expect(const struct verify *verify, unsigned users, uint32_t *counts);
/* What these call. False: full, or no memory. */
bool verify_note(struct verify *verify, unsigned core, enum verify_book book, uint64_t number,
                 unsigned user);
bool verify_has_failed(const struct verify *verify);
void verify_finish(struct verify *verify, struct measure *measure);

#endif
