/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The append-only log of one shard: the only thing on disk that is true. Asynchronous, errors
 * judged per append, so that a second implementation (segments as objects of a replicated store)
 * fits behind the same calls.
 *
 *   append ─▶ gathered ─▶ group commit (O_DIRECT | DSYNC, up to LOG_COMMITS_IN_FLIGHT at once)
 *          ─▶ durable, in log order ─▶ done()
 *
 * Invariants (numbers are cited by asserts; the reasons are in ARCHITECTURE.md, "The log"):
 *   L1 append.done(0) runs in log order, and only when this record and every record before it are
 *      durable.
 *   L2 One process life (and one resumption after a failure) is one epoch; an epoch never appends
 *      to an older segment.
 *   L3 A segment's header lists every older live segment with its valid length; the newest word
 *      counts. Nobody is let in, to read or to write, before the new epoch's first header and its
 *      directory entry are durable.
 *   L4 After a failed or short write the epoch is over: what was in flight fails, the log resumes
 *      in a new segment that seals the failed one at its durable prefix. A failed sync is never
 *      tried again on the same file.
 *   L5 A record counts if and only if its header checksum, its segment id and epoch, its length,
 *      its meta checksum and its body checksums all hold, and it starts below the segment's sealed
 *      length. (format.h says it in bytes.)
 */
#ifndef RINGPOST_STORE_LOG_H
#define RINGPOST_STORE_LOG_H

#include "ringpost/core.h"

enum {
    LOG_COMMITS_IN_FLIGHT = 4,
    LOG_BLOCK_BYTES = 512,        /* records and commits start at multiples of this */
    LOG_BODY_CHUNK_BYTES = 65536, /* one CRC-32C each, checked at every read */
    LOG_META_BYTES_MAX = 524288   /* of one record */
};

enum log_record_type {
    LOG_RECORD_SEGMENT = 1, /* a segment's header: identity and seals; written by the log itself */
    LOG_RECORD_MESSAGE = 2, /* body = the message's bytes, meta = what the store keeps with it */
    LOG_RECORD_EVENTS = 3   /* body empty, meta = one or more of the store's events */
};

/* Where a record starts. Order: segment, then offset. {0,0} is before every record. */
struct log_position {
    uint32_t segment; /* number, from 1, never used twice */
    uint32_t offset;  /* bytes, a multiple of LOG_BLOCK_BYTES */
};

struct log_record {
    enum log_record_type type;
    struct log_position position;
    uint64_t sequence;   /* grows by one with each record of the shard, over all epochs; the log's
                            own records (drops, the end) have one too and are not shown */
    uint64_t body_size;  /* bytes */
    struct slice meta;   /* valid during the call */
    uint32_t disk_bytes; /* what the record takes in its segment, headers and padding included */
};

struct log;

struct log_options {
    const char *directory; /* exists; for this shard alone; the names of its parents are durable */
    uint32_t shard;
    uint64_t store_id;       /* the same for all shards of a store; random when the store is made */
    uint32_t segment_bytes;  /* 0: 64 MiB; 64 KiB to 1 GiB; a multiple of 4096 */
    uint64_t cache_bytes;    /* newest bodies kept in memory */
    uint32_t spare_segments; /* zero-filled ahead; 0: 2 */
    uint64_t body_bytes;     /* budget of bodies on this core, the first log decides; 0: 256 MiB */
};

/* Takes the directory's lock (trying for 10 s), replays every record after `from` (in order)
 * through replay(), then begins a new epoch. For a store that does not exist yet makes it. Fiber.
 * One log a directory and a life of the core: the lock is held until core_close, also when this
 * fails. Damage in the middle is passed over (log_damage); a record of which only the body is
 * damaged is replayed. 0 or -errno:
 *   -EWOULDBLOCK another process has it open     -ENOSPC no room for a new segment
 *   -EXDEV something of another shard or store, or no file, bears a segment's name
 *   -EPROTO a newer format                       -EBADMSG the newest segment's headers are damaged
 *   -ESTALE the log ends before `from`: its newest segments are missing
 *   -EINVAL options                              -EIO, -ENOMEM, ... what the world answered
 * A negative result of replay() ends the opening with it. */
int log_open(struct core *core, const struct log_options *options, struct log_position from,
             int (*replay)(void *argument, const struct log_record *record), void *argument,
             struct log **ret_log);
/* Waits for what is queued and in flight, then closes. No other call may be under way. Fiber. */
void log_close(struct log *log);

/* An append: embedded in its owner, whose memory lives until done() has run. */
struct log_append {
    /* in */
    enum log_record_type type; /* MESSAGE or EVENTS */
    bool urgent;               /* may use the space reserved for deletions when the disk is full */
    struct log_body *body;     /* MESSAGE: taken over by the log (also on failure); else NULL */
    struct slice meta;         /* at most LOG_META_BYTES_MAX; valid until done() */
    /* 0, -ENOSPC, -EIO, -EMSGSIZE (does not fit into a segment): L1; runs in the core's turn, not
     * on a fiber. Errors may be told before the answers to earlier appends. After an error the
     * record is not in the log; if the process dies before the log has resumed, it may yet be found
     * there, whole. */
    void (*done)(struct log_append *append, int result);
    /* out: set before done(), and by log_append itself for what needs no waiting */
    struct log_position position;
    uint64_t sequence;
    uint32_t disk_bytes;
    /* private */
    struct log_append *next;
    struct log_awaited *awaited;
    int result;
};
/* Queues. Position and sequence are assigned here, in call order. done() never runs inside this
 * call. */
void log_append(struct log *log, struct log_append *append);
/* For fibers: queues and waits; returns the result. append->done must be NULL or is called before
 * the fiber goes on. */
int log_append_await(struct log *log, struct log_append *append);

/* -ENOSPC, -EIO, or 0: would a message append be refused right now? For refusing early. */
int log_state(const struct log *log);

/* ---- bodies: contiguous, growing memory in which a message is received and from which it is
 * written (no copy; small ones are copied into the commit, which is cheaper).
 * Capacity grows by remapping, not by copying, beyond LOG_BODY_START_BYTES. Budgeted per core. */
struct log_body;
enum { LOG_BODY_START_BYTES = 262144 };
/* Where no log is opened: pool and budget stay between two bodies. 0 or -ENOMEM. */
int log_bodies_open(struct core *core);
void log_bodies_close(struct core *core); /* also when they were not opened */
/* NULL: budget or memory is out. size_hint: what is expected, 0 if unknown. */
struct log_body *log_body_take(struct core *core, uint64_t size_hint);
/* At least one and up to `want` writable bytes at the end: pointer, and how many in *ret_room.
 * NULL: out of budget. */
char *log_body_room(struct log_body *body, size_t want, size_t *ret_room);
/* Fiber. The same as log_body_take and log_body_room, but waits until deadline_ns for room in the
 * budget when that is what lacks. */
struct log_body *log_body_take_await(struct core *core, uint64_t size_hint, uint64_t deadline_ns);
char *log_body_await(struct log_body *body, size_t want, uint64_t deadline_ns, size_t *ret_room);
void log_body_added(struct log_body *body, size_t size);
void log_body_cut(struct log_body *body, size_t size);
struct slice log_body_bytes(const struct log_body *body);
void log_body_give(struct log_body *body); /* unless an append has taken it over */
/* A body belongs to the core whose log takes it (asserted by log_append). To hand one over: leave
 * on the old core, then arrive on the new one; between the two it is in no core's budget and may
 * only be given back. */
void log_body_leave(struct log_body *body);
void log_body_arrive(struct log_body *body, struct core *core);

/* ---- reading */

/* `size` bytes of a message's body from `offset` on (bounded by body_size), checked against their
 * checksums before they are returned. Fiber. Bytes read, or -errno: -EBADMSG damaged, -ENOENT no
 * such record (segment dropped). */
int64_t log_read_body(struct log *log, struct log_position position, uint64_t body_size,
                      uint64_t offset, void *data, size_t size);
/* The body if it lies in memory: valid until the fiber parks or the turn ends. */
bool log_peek_body(struct log *log, struct log_position position, struct slice *ret_body);
/* The meta bytes, copied to `data` (size: capacity). Returns their size or -errno (-EMSGSIZE).
 * Fiber. */
int64_t log_read_meta(struct log *log, struct log_position position, void *data, size_t size);

/* ---- segments, for checkpoint and compaction */
struct log_segment {
    uint32_t number, epoch, valid_bytes;
};
/* In order; the last is the one being written. Returns how many there are. */
unsigned log_segments(const struct log *log, struct log_segment *segments, unsigned capacity);
struct log_position log_durable_end(const struct log *log);
/* Every record of one segment that is durable, bodies checked. Fiber; each() may park. 0, -ENOENT,
 * -EIO, or the negative result of each(). */
int log_scan(struct log *log, uint32_t segment,
             int (*each)(void *argument, const struct log_record *record), void *argument);
/* The segment is dead: nothing in it counts any more, and that fact is durable. It becomes a spare.
 * Fiber. -EBUSY: the one being written; -ENOENT. After another error (-EIO) try again. */
int log_drop(struct log *log, uint32_t segment);

/* What was found damaged since log_open began, oldest first; each was told to the event log too. */
enum log_damage_kind {
    LOG_DAMAGE_RECORDS = 1, /* bytes that hold no valid record: `records` of them are lost */
    LOG_DAMAGE_BODY = 2,    /* one record's body */
    LOG_DAMAGE_SEGMENT = 3  /* the whole file is missing */
};
struct log_damage {
    enum log_damage_kind kind;
    struct log_position position;
    uint32_t bytes;
    uint64_t sequence; /* of the first record lost */
    uint64_t records;
};
enum { LOG_DAMAGE_KEPT_MAX = 64 };
/* Copies up to `capacity`; returns how many are kept (at most LOG_DAMAGE_KEPT_MAX). */
unsigned log_damage(const struct log *log, struct log_damage *damage, unsigned capacity);

struct log_statistics {
    uint64_t segments, bytes_used, bytes_spare, commits, records, failures, damaged_records;
};
void log_statistics(const struct log *log, struct log_statistics *ret_statistics);

#endif
