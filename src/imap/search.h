/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of SEARCH share:
 *
 *   search_parse.c    pure: the command's text ─▶ a program, flat and in postfix order
 *   search_program.c  pure: evaluating a program whose leaves may be unknown yet
 *   search.c          the command: which messages, in which order; the answer
 *   search_entry.c    leaves that an index entry answers
 *   search_header.c   leaves that need the header; search_body.c those that need the body
 *
 *   a message: entry leaves ─▶ known? ─▶ header leaves still wanted ─▶ known? ─▶ body leaves
 *
 * Invariants:
 *   K1 Nothing here recurses: depth is a counter with a maximum, and a stack of that size.
 *   K2 A byte of a message is read only for a leaf whose value decides the message.
 *   K3 Work is counted, in bytes compared, and others get their turn after SEARCH_WORK_MAX of it.
 *   K4 Memory: one bit a message of the view, one header of at most MIME_HEADER_BYTES_MAX, one
 *      summary, and pieces of a body, whatever their size.
 */
#ifndef RINGPOST_IMAP_SEARCH_H
#define RINGPOST_IMAP_SEARCH_H

#include "imap_private.h"
#include "ringpost/mime.h"

enum {
    SEARCH_STEPS_MAX = 4096,      /* keys and connectives of one command */
    SEARCH_DEPTH_MAX = 256,       /* parentheses, NOT and OR inside each other */
    SEARCH_READING_MAX = 256,     /* keys that read messages */
    SEARCH_TEXT_BYTES_MAX = 8192, /* of one string to look for */
    SEARCH_WORK_MAX = 131072,
    SEARCH_WORK_OF_MESSAGE = 32, /* what looking at an entry costs, and each step for it */
    SEARCH_WORK_OF_STEP = 8,
    SEARCH_WORK_OF_READ = 512
};

enum search_op {
    /* leaves: by the index entry */
    SEARCH_ALL,
    SEARCH_FLAG,
    SEARCH_KEYWORD,
    SEARCH_RECENT,
    SEARCH_LARGER,
    SEARCH_SMALLER,
    SEARCH_BEFORE,
    SEARCH_ON,
    SEARCH_SINCE,
    SEARCH_NUMBERS,
    SEARCH_UIDS,
    SEARCH_MODSEQ,
    /* by the header */
    SEARCH_HEADER,
    SEARCH_SENTBEFORE,
    SEARCH_SENTON,
    SEARCH_SENTSINCE,
    /* by the body */
    SEARCH_BODY,
    SEARCH_TEXT,
    /* connectives: of the values before */
    SEARCH_NOT,
    SEARCH_AND,
    SEARCH_OR
};

static inline bool search_reads_header(unsigned op)
{
    return op >= SEARCH_HEADER && op <= SEARCH_SENTSINCE;
}

static inline bool search_reads_body(unsigned op)
{
    return op == SEARCH_BODY || op == SEARCH_TEXT;
}

struct search_step {
    uint8_t op;
    bool is_required; /* a leaf that every found message has: no OR or NOT above it */
    uint16_t flag;
    union {
        uint64_t number; /* LARGER, SMALLER, MODSEQ; when running: KEYWORD's bit */
        int64_t day;
        struct imap_set set; /* as written; when running: resolved */
        struct slice text;   /* BODY, TEXT, HEADER; when parsed: KEYWORD's name */
    };
    struct slice field; /* HEADER */
};

enum search_return {
    SEARCH_RETURN_MIN = 1,
    SEARCH_RETURN_MAX = 2,
    SEARCH_RETURN_ALL = 4,
    SEARCH_RETURN_COUNT = 8
};

struct search_arguments {
    struct search_step *steps;
    uint32_t count;
    uint32_t returns;     /* enum search_return; 0: a plain SEARCH response */
    struct slice charset; /* data NULL: not named */
    bool names_modseq;
};
static_assert(sizeof(struct search_arguments) <= IMAP_SEARCH_ARGUMENTS_BYTES, "fits its row");

/* ---------------------------------------------------------------- search_program.c */

enum search_truth { SEARCH_NO, SEARCH_YES, SEARCH_UNKNOWN };

struct search_program {
    struct search_step *steps;
    uint32_t count;
    uint8_t *truth;  /* enum search_truth of each step */
    uint8_t *wanted; /* leaves whose value matters (search_want) */
};

/* Makes room for the values. False: no memory. */
bool search_program_init(struct search_program *program, struct arena *arena);
/* The program's value from the leaves' (truth[i], set by the caller) and sets the connectives'. */
enum search_truth search_combine(struct search_program *program);
/* After search_combine was SEARCH_UNKNOWN: marks the unknown leaves that may still decide. */
void search_want(struct search_program *program);

/* ---------------------------------------------------------------- a running command */

struct search_text; /* search_body.c */

struct search {
    struct imap_session *imap;
    const struct search_arguments *arguments;
    struct search_program program;
    struct arena scratch;              /* of one message or less */
    struct arena summary;              /* of one message */
    char *header;                      /* MIME_HEADER_BYTES_MAX, from the first read on */
    struct search_text *text;          /* from the first body on */
    struct imap_set candidates;        /* numbers to look at */
    uint64_t *found;                   /* bit number - 1; NULL when MIN and MAX are enough */
    uint32_t found_count, first, last; /* numbers */
    uint64_t modseq;                   /* the highest of what is found */
    uint64_t told_ns;                  /* when the client last heard from us */
    uint32_t work_left;                /* until others have their turn (K3) */
    int error;
    bool is_uid, reads_header, reads_body, is_over;
};

/* Counts work done; gives way to others when it was enough. False: the client is gone. */
bool search_work(struct search *search, size_t work);

/* search_entry.c: the leaves' values before anything is read; those that read are unknown. */
void search_entry_leaves(struct search *search, uint32_t number, const struct mail_entry *entry);

/* search_header.c: sets the wanted leaves that need the header. 0 or -errno. */
int search_header_leaves(struct search *search, const struct mail_entry *entry);
/* The bytes [offset, offset + size) of the message. 0 or -errno. */
int search_bytes_read(struct search *search, const struct mail_entry *entry, uint64_t offset,
                      char *data, size_t size);
/* Room for a header. 0 or -ENOMEM. */
int search_header_room(struct search *search);
/* Text of a field without folds and encoded words; valid until the next call. */
bool search_field_text(struct search *search, struct slice field, struct slice *ret_text);

/* search_body.c: sets the wanted leaves that need the body. 0 or -errno. */
int search_body_leaves(struct search *search, const struct mail_entry *entry);
void search_body_end(struct search *search);

#endif
