/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A double of what IMAP's command handlers stand on: a mailbox of messages in memory, a stream that
 * keeps what is written, a session that notes how it ends. Reads can be made short, slow or fail,
 * the client can go away; so each way of going wrong is a plain test, without a store or a ring.
 */
#ifndef RINGPOST_TESTS_IMAP_DOUBLE_H
#define RINGPOST_TESTS_IMAP_DOUBLE_H

#include "../../src/imap/imap_private.h"
#include "ringpost/mime.h"

enum { DOUBLE_MESSAGES_MAX = 64 };

struct double_message {
    struct mail_entry entry;
    struct slice bytes;
    struct slice summary;
    int summary_error;      /* of message_summary */
    int read_error;         /* of message_read, from read_error_at on */
    uint64_t read_error_at; /* offset */
};

struct imap_double {
    struct imap_session imap;
    struct service service;
    struct arena arena; /* of messages and their summaries */
    struct double_message messages[DOUBLE_MESSAGES_MAX];
    struct mail_entry *entries; /* instead of messages: many entries without bytes */
    char *output;               /* what the client got, with a NUL behind it */
    size_t output_size, output_capacity;
    size_t read_max;           /* message_read gives at most so many; 0: all */
    size_t output_fails_at;    /* the stream fails when so many bytes were written; 0: never */
    uint64_t bytes_read;       /* by message_read */
    uint64_t now_ns, yield_ns; /* what a yield adds to the clock */
    unsigned reads, summaries, yields, commits, closes, deadlines;
    size_t write_largest; /* one stream_write or stream_send */
    uint32_t stored_uids[DOUBLE_MESSAGES_MAX];
    uint32_t stored_count;
    int store_error;
    enum session_end end;
};

void double_init(struct imap_double *world);
void double_deinit(struct imap_double *world);
/* A message with CRLF line ends made from `text` (LF line ends); UIDs are 10, 20, ... */
struct double_message *double_add(struct imap_double *world, const char *text);
struct double_message *double_add_bytes(struct imap_double *world, struct slice bytes);
/* Parses and runs; what was said by then is forgotten. False: BAD, the reason is the output. */
bool double_fetch(struct imap_double *world, const char *text);
bool double_uid_fetch(struct imap_double *world, const char *text);
bool double_search(struct imap_double *world, const char *text);
bool double_uid_search(struct imap_double *world, const char *text);

#endif
