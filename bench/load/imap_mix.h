/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an IMAP session does: commands drawn by weights ("fetch=60,store=10"), each on a message
 * drawn among those that are there. Used by the scenarios imap and mix.
 */
#ifndef RINGPOST_BENCH_IMAP_MIX_H
#define RINGPOST_BENCH_IMAP_MIX_H

#include "imap.h"

/* Its name in a mix; what it does. */
#define IMAP_ACTION_TABLE(each)                                                                    \
    each(FETCH, "fetch", "BODY.PEEK[] of one message")                                             \
        each(LIST, "list", "ENVELOPE FLAGS UID RFC822.SIZE of up to 20 messages")                  \
            each(HEADER, "header", "BODY.PEEK[HEADER] of one message")                             \
                each(STORE, "store", "\\Seen on or off")                                           \
                    each(SEARCH, "search", "by flag, date or subject")                             \
                        each(APPEND, "append", "a new message")                                    \
                            each(EXPUNGE, "expunge", "\\Deleted on one message, and EXPUNGE")      \
                                each(NOOP, "noop", "NOOP")

enum imap_action {
#define ACTION_ENUM(name, text, what) IMAP_DO_##name,
    IMAP_ACTION_TABLE(ACTION_ENUM)
#undef ACTION_ENUM
        IMAP_ACTION_COUNT
};
enum { IMAP_WEIGHT_MAX = 1000000 };

struct imap_mix {
    unsigned weights[IMAP_ACTION_COUNT], total;
};
extern const char IMAP_MIX_DEFAULT[];
/* 0, or -EINVAL with what is wrong and what would be right in problem. */
int imap_mix_parse(const char *text, struct imap_mix *ret_mix, char problem[200]);

/* A worker's session. Zero-initialised, on the heap. */
struct imap_play {
    struct imap imap;
    const struct imap_mix *mix;
    struct mailbox_check check;
    unsigned user;
    uint64_t commands; /* in this session */
};
/* Connects, logs in, selects. */
int imap_play_begin(struct imap_play *play, struct load_worker *worker, unsigned user);
/* One command; `number` is the message's, should it append one. */
int imap_play_command(struct imap_play *play, uint64_t number);

#endif
