/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the log share.
 *
 *   log_open.c     the lock, the directory, recovery, opening and closing
 *   log_scan.c     reading a segment's records one after the other, telling an end from damage
 *   log_append.c   queue, group commit, acknowledgement, failure
 *   log_segment.c  the table of live segments; the keeper: rollover, resumption, drops
 *   log_spare.c    files zero-filled ahead
 *   log_read.c     bodies and metas read back by position
 *   log_cache.c    the newest bodies           log_body.c   memory in which bodies are received
 *
 *                         a failed or short write
 *   RUNNING ───────────────────────────────────────────▶ BROKEN   waits for what is in flight
 *      ▲  ▲                                                 │ append.c: epoch_over
 *      │  └───────────── RESUMING ◀─────────────────────────┘      appends queue
 *      │   keeper: resume    │ the new segment cannot be made
 *      └────────────────── FAILED ⟲ tried again                    appends are refused
 */
#ifndef RINGPOST_STORE_LOG_PRIVATE_H
#define RINGPOST_STORE_LOG_PRIVATE_H

#include <assert.h>
#include <stdlib.h>

#include "format.h"
#include "log.h"

enum {
    /* Bodies up to this are copied into the commit: from 4 to 16 KiB the copy costs no more than
     * two more pieces and the padding (measured), and it frees the body's memory at once. */
    LOG_COPY_BYTES_MAX = 16384,
    LOG_COMMIT_BUFFER_BYTES = 1048576, /* per commit in flight; holds the largest meta */
    /* Then the commit ends, unless it is one record: more writes at once are faster for small
     * records, fewer larger ones are cheaper for large ones. */
    LOG_COMMIT_BYTES_MAX = 524288,
    LOG_PIPELINED_BYTES_MIN = 65536, /* gathered: then a commit begins beside one in flight */
    LOG_PIECES_MAX = 64,
    LOG_SPARES_MAX = 8,
    LOG_ZERO_BYTES = 1048576, /* of one write of the zero fill */
    LOG_WINDOW_BYTES = 1048576,
    LOG_READERS_MAX = 16, /* reads of bodies at once, per shard */
    LOG_READ_HEAD_BYTES = 69632,
    LOG_READ_CHUNKS_MAX = 4, /* of FORMAT_CHUNK_BYTES, at once */
    LOG_READ_FDS_MAX = 128,
    LOG_PATH_BYTES_MAX = 512,
};

enum log_phase { LOG_RUNNING, LOG_BROKEN, LOG_RESUMING, LOG_FAILED };

/* Sorted by number; the last one is being written while the log is open. */
struct segment {
    uint32_t number, epoch;
    uint32_t begin, valid_bytes; /* of the last one: the durable end */
    uint64_t first_sequence;
    uint32_t identity; /* checksum of its identity */
    int read_fd;       /* -1: not open */
    uint32_t pins;     /* fibers that read it */
    uint64_t used;     /* log->reads when last read: the least is closed first */
    bool dropped;      /* its DROP record is durable; it leaves the table when nobody reads it */
    bool missing;      /* no such file */
};

struct spare {
    uint32_t id;
    int fd; /* -1: not open */
};

struct commit {
    struct op op;
    struct log *log;
    char *buffer;
    struct iovec pieces[LOG_PIECES_MAX];
    unsigned piece_count;
    struct log_append *first, *last;
    uint64_t bytes, end_sequence;
    uint32_t records, end_offset;
    bool complete;
    int result;
};

/* A read buffer that holds verified chunks of one body. */
struct reader {
    char *buffer; /* LOG_READ_CHUNKS_MAX and what aligning takes, aligned; allocated when needed */
    struct log_position position;
    uint32_t chunk, size; /* the first; bytes at data */
    const char *data;
    bool holds, busy;
    uint64_t used;
};

/* What is needed to read a record again without its header. */
struct layout {
    struct log_position position;
    uint32_t body_offset, body_bytes, meta_bytes, meta_checksum;
    uint32_t *chunks, chunk_capacity;
    uint32_t next_chunk; /* behind those read last */
    uint64_t used;
};
enum { LAYOUTS = 8 };

struct cached;
struct cache {
    struct cached **buckets, *oldest, *newest;
    uint32_t bucket_count;
    uint64_t bytes, bytes_max;
};

/* What all logs of a core share. */
struct log_core {
    struct core *core;
    unsigned references; /* logs and bodies out, and log_bodies_open */
    bool is_held;        /* by log_bodies_open */
    uint64_t body_bytes, body_bytes_max;
    struct waiters body_waiters; /* for the budget to have room */
    struct log_body *pool[3];
    unsigned pool_count[3];
};

struct log {
    struct core *core;
    struct log_core *shared;
    char *directory;
    int directory_fd;
    uint64_t store_id;
    uint32_t shard, segment_bytes, spares_wanted;
    uint32_t epoch;

    enum log_phase phase;
    int error; /* why, in BROKEN, RESUMING and FAILED */

    struct segment *segments;
    unsigned segment_count, segment_capacity;
    int write_fd;              /* of the last segment; -1 until the epoch has begun */
    uint32_t number_max;       /* highest number that any file ever bore */
    uint64_t next_sequence;    /* of the next append */
    uint64_t durable_sequence; /* of the next record after the durable prefix */
    struct log_position tail;  /* where the next append goes */
    unsigned planned;          /* segments between the last one and tail.segment */

    struct log_append *staged, **staged_end; /* not yet in a commit */
    struct log_append *refused, **refused_end;
    struct commit commits[LOG_COMMITS_IN_FLIGHT];
    unsigned commit_first, commit_count;
    struct hook hook;

    uint32_t directory_failures; /* syncs of it that failed */
    struct spare spares[LOG_SPARES_MAX], filling;
    unsigned spare_count;
    uint32_t spare_id_next, fill_offset;
    bool is_filling;
    char *zeros;
    int spare_error; /* 0: more can be made */
    uint64_t spare_retry_ns, resume_retry_ns, resume_wait_ns;

    struct waiters keeper, keeper_end, drained, unpinned, reader_free;
    bool keeper_runs, closing, rolling;

    struct reader readers[LOG_READERS_MAX];
    struct layout layouts[LAYOUTS];
    uint64_t reads;
    unsigned read_fds;
    struct cache cache;

    struct log_damage damage[LOG_DAMAGE_KEPT_MAX];
    unsigned damage_count;
    struct log_statistics statistics;
};

/* -ENOSPC for all that mean a lack of space, else -EIO: what callers of the log are told. */
int log_error(int result);
struct log_core *log_core_ref(struct core *core);
void log_core_unref(struct log_core *shared);

/* log_segment.c */
void segment_path(const struct log *log, uint32_t number, char path[LOG_PATH_BYTES_MAX]);
uint32_t segment_identity(const struct log *log, uint32_t number, uint32_t epoch);
struct segment *segment_find(struct log *log, uint32_t number); /* NULL: none, or dropped */
int segment_add(struct log *log, const struct segment *segment);
void segment_remove(struct log *log, uint32_t number);
uint32_t segment_begin_bytes(const struct log *log, unsigned seals);
unsigned segment_live_count(const struct log *log);
/* Makes a spare the segment `number` of the present epoch, its first record at `begin`: durable,
 * with its name, when this returns 0. Then it is the last one. Fiber. */
int segment_begin(struct log *log, uint32_t number, uint32_t begin);
void keeper_run(void *argument);
void keeper_wake(struct log *log);
/* Renames and makes the new name durable. */
int file_rename(struct log *log, const char *from, const char *to);
/* The file of a segment that no header and no reader needs any more becomes a spare. Fiber. */
int segment_retire(struct log *log, uint32_t number);

/* log_spare.c */
void spare_path(const struct log *log, uint32_t id, char path[LOG_PATH_BYTES_MAX]);
/* An open, filled file; made on the spot if there is none. Fiber. */
int spare_take(struct log *log, struct spare *ret_spare);
void spare_discard(struct log *log, const struct spare *spare); /* close and unlink. Fiber */
bool spare_add(struct log *log, const struct spare *spare);     /* false: there are enough */
/* One step of making one. Fiber. */
int spare_step(struct log *log);
bool spare_wanted(const struct log *log);
int open_direct(struct log *log, const char *path, int flags);

/* log_append.c */
void append_fail_all(struct log *log, int error);
void append_hook(struct hook *hook);
void append_begin_commits(struct log *log);
int append_buffers(struct log *log);
/* Would it be taken? 0 or -errno. */
int append_admits(const struct log *log, uint64_t disk_bytes, bool urgent);

/* log_scan.c */
enum scan_mode {
    SCAN_SEALED, /* valid_bytes is known: what does not hold is damage */
    SCAN_TAIL    /* the end is to be found */
};
struct scan {
    struct log *log;
    const struct segment *segment;
    int fd;
    enum scan_mode mode;
    bool skip_bodies, quiet;
    uint32_t from;         /* records before this offset are not shown */
    uint32_t limit;        /* in: up to where; out: where the records end */
    uint64_t sequence;     /* out: of the next record */
    uint64_t sequence_end; /* of the first record after the segment, 0: not known */
    int (*each)(void *argument, const struct log_record *record, uint8_t type);
    void *argument;
    /* private */
    char *window;
    uint32_t window_bytes, window_start, window_filled, end, durable_max;
    bool durable_known;
};
/* 0 or -errno (of each(), -EIO in TAIL mode, -ENOMEM). Fiber. */
int scan_run(struct scan *scan);
void damage_note(struct log *log, const struct log_damage *damage);

/* log_cache.c */
int cache_open(struct cache *cache, uint64_t bytes_max);
void cache_close(struct cache *cache);
/* Copies `bytes`, or takes over `body` when given (also when it is not kept). */
void cache_add(struct cache *cache, struct log_position position, struct slice bytes,
               struct log_body *body);
void cache_remove(struct cache *cache, struct log_position position);
bool cache_find(struct cache *cache, struct log_position position, struct slice *ret_bytes);

/* log_body.c */
/* Gives back the mapped pages behind the bytes, of which doubling left up to as many again; returns
 * the capacity that is left. */
uint64_t body_trim(struct log_body *body);
/* Takes it out of the budget of bodies, until it is given back. */
void body_keep(struct log_body *body);
bool body_is_of(const struct log_body *body, const struct core *core);
/* The bytes with zeros up to a multiple of FORMAT_BLOCK_BYTES behind them. */
struct slice body_padded(struct log_body *body);

/* log_read.c */
void segment_unpin(struct log *log, uint32_t number);
void readers_free(struct log *log);

static inline bool position_before(struct log_position a, struct log_position b)
{
    return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

#endif
