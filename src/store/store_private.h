/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of the store: what a shard keeps in memory, and how a record of its log
 * changes that.
 *
 *   call on a fiber ─▶ change: meta bytes ─▶ log_append ─▶ durable ─▶ fold ─▶ the fiber goes on
 *                                             replay at start ───────┘
 *
 * Everything a shard knows is a fold over its records: UIDs, MODSEQs, ids of mailboxes are given
 * out by the fold, so that replay gives the same ones. The fold reads nothing but the record and
 * the state: no clock, no chance, no options.
 *
 * Invariants:
 *   T1 State changes only in the fold, in log order (L1), so memory never runs ahead of the disk.
 *   T2 The fold of a record that no longer makes sense (its mailbox is gone) does nothing, and says
 *      so to the fiber that waits for it.
 *   T3 A message is alive while a mailbox or a pending delivery refers to it; its bytes lie at one
 *      position, which compaction may change, its id never changes.
 *   T4 A list of messages that anything else refers to is never changed in place.
 *   T5 The fold needs a mailbox's list only when a fiber has pinned it, or in replay, where it may
 *      wait for it.
 *
 * Memory that the fold needs cannot be refused (the record is durable): it dies instead, and
 * recovery replays.
 */
#ifndef RINGPOST_STORE_PRIVATE_H
#define RINGPOST_STORE_PRIVATE_H

#include <assert.h>
#include <stdlib.h>

#include "ringpost/hash.h"
#include "ringpost/kernel.h"
#include "ringpost/mime.h"
#include "ringpost/store.h"

#include "log.h"

enum {
    STORE_VERSION = 1,
    SHARDS_MAX = 1024,
    STORE_PATH_BYTES_MAX = 3000,
    META_VERSION = 1,
    META_BYTES_MAX = 500000,    /* below the log's own bound */
    SUMMARY_BYTES_MAX = 400000, /* a larger one is left out */
    SUMMARY_ARENA_BYTES_MAX = 1 << 24,
    DELIVERIES_MAX = 10000, /* recipients of one call */
    COURIERS_MAX = 64,      /* cross-shard deliveries under way, per shard */
    SUBSCRIPTIONS_MAX = 10000
};

/* ---------------------------------------------------------------- table.c: integer -> integer */

struct table_slot {
    uint64_t key, value; /* key 0: empty */
};
struct table {
    struct table_slot *slots;
    size_t capacity, used; /* capacity: 0 or a power of two */
};
uint64_t *table_find(const struct table *table, uint64_t key);
void table_put(struct table *table, uint64_t key, uint64_t value); /* key > 0; replaces */
bool table_remove(struct table *table, uint64_t key);
/* The first used slot at or after *index, which then points behind it; NULL at the end. */
const struct table_slot *table_next(const struct table *table, size_t *index);
void table_free(struct table *table);

/* What the fold cannot do without. */
void *store_need(size_t size);
void *store_need_resize(void *memory, size_t size);

/* ---------------------------------------------------------------- bytes.c: metas */

struct bytes {
    char *data;
    size_t size, capacity;
    bool failed; /* out of memory */
};
void put_u8(struct bytes *bytes, uint8_t value);
void put_u32(struct bytes *bytes, uint32_t value);
void put_u64(struct bytes *bytes, uint64_t value);
void put_number(struct bytes *bytes, uint64_t value); /* 7 bits a byte, lowest first */
void put_raw(struct bytes *bytes, struct slice s);
void put_text(struct bytes *bytes, struct slice s); /* size as a number, then the bytes */
void put_free(struct bytes *bytes);
/* UIDs, ascending: runs, as gap and length. -EINVAL when not ascending. */
int put_uids(struct bytes *bytes, const uint32_t *uids, uint32_t count);

struct reader {
    const unsigned char *at, *end;
    bool failed; /* bytes were missing or wrong: everything read since is 0 */
};
struct reader reader_of(struct slice s);
uint8_t read_u8(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
uint64_t read_number(struct reader *reader);
struct slice read_text(struct reader *reader);

struct uid_reader {
    struct reader *reader;
    uint64_t runs;       /* still to read */
    uint64_t next, left; /* of the present run */
};
struct uid_reader uid_reader_of(struct reader *reader);
bool uid_next(struct uid_reader *uids, uint32_t *ret_uid);

/* ---------------------------------------------------------------- list.c: lists of messages */

struct mailbox_snapshot *list_new(void);
struct mailbox_snapshot *list_ref(struct mailbox_snapshot *list);
void list_unref(struct mailbox_snapshot *list);
uint32_t list_count(const struct mailbox_snapshot *list);
/* number 1..count */
const struct mail_entry *list_at(const struct mailbox_snapshot *list, uint32_t number);
/* The number of this UID or 0; with or_next of the next higher one (count + 1: none). */
uint32_t list_find(const struct mailbox_snapshot *list, uint32_t uid, bool or_next);
/* These change *list, copying what it shares with other lists (T4). */
void list_append(struct mailbox_snapshot **list, const struct mail_entry *entry);
struct mail_entry *list_edit(struct mailbox_snapshot **list, uint32_t number);
void list_remove(struct mailbox_snapshot **list, uint32_t number);

/* Walks a list in order. */
struct list_cursor {
    const struct mailbox_snapshot *list;
    uint32_t branch, leaf, entry;
};
const struct mail_entry *list_next(struct list_cursor *cursor); /* NULL: the end */
/* Walks what two lists do not share, in UID order. *ret_old or *ret_new is NULL when only the other
 * list has the message; both set: it is in both with different MODSEQ. Numbers are those in the
 * lists. False at the end. */
struct list_difference {
    struct list_cursor old_at, new_at;
    uint32_t old_number, new_number; /* passed so far */
};
bool list_differ(struct list_difference *walk, const struct mail_entry **ret_old,
                 const struct mail_entry **ret_new);

/* ---------------------------------------------------------------- the shard */

struct shard;

/* A name list, sorted by bytes. */
struct names {
    char **names; /* each: uint32_t size, then the bytes */
    unsigned count, capacity;
};

struct mailbox {
    struct account *account;
    char *name;
    uint32_t name_size;
    uint32_t id; /* in its shard, never used twice */
    uint32_t uidvalidity, uidnext;
    uint32_t messages, unseen, deleted_messages;
    uint32_t recent_uid; /* seen by some session: not part of the fold */
    uint64_t highest_modseq, bytes;
    uint8_t use;
    bool is_deleted, is_locked; /* locked: by a POP3 session */
    bool is_cold, is_loading;
    uint32_t pins;                 /* fibers that need the list in memory */
    struct mailbox_snapshot *list; /* if cold: only what came since the checkpoint */
    struct view *views;
    char **keywords; /* NULL, or KEYWORDS_MAX names: uint32_t size, then bytes */
    uint64_t keywords_durable;
    uint64_t used_at;        /* for eviction */
    struct mailbox *zombies; /* deleted, in account->zombies */
    struct waiters loading;
    uint64_t changed_sequence; /* of the last record that changed it */
    uint64_t cold_offset;      /* of its part in the checkpoint; 0: none */
    uint32_t cold_count;       /* messages in that part */
};

struct account {
    struct account *next; /* same hash */
    struct shard *shard;
    char *user;
    uint32_t user_size;
    uint32_t refs;
    uint32_t uidvalidity_last;
    bool has_folders;           /* the default folders have been made */
    uint32_t capture;           /* number of the last one that holds it */
    struct mailbox **mailboxes; /* sorted by name */
    unsigned count, capacity;
    struct names subscriptions;
    struct mailbox *zombies;
};

/* One segment of the log: which messages born in it live, where those went that were moved, and
 * what lies in it now. */
struct segment {
    uint32_t number;
    uint32_t blocks; /* bits in `alive` */
    uint8_t *alive;  /* by offset / LOG_BLOCK_BYTES, of messages born here */
    uint32_t born_alive;
    struct table moved;                     /* offset + 1 -> position */
    uint32_t total_messages, live_messages; /* lying here now */
    uint64_t total_body, total_disk, live_body;
};

/* A message of several shards, accepted here, whose other shards have not all taken it. */
struct pending {
    struct pending *next; /* in order of sequence */
    uint64_t sequence, message;
    uint32_t size;
    int64_t date;
    struct waiters waiters; /* deliveries that answer when it is finished */
    unsigned target_count;
    struct pending_target {
        uint32_t shard;
        bool is_finished, is_under_way;
        uint32_t recipient_count;
        struct bytes recipients; /* as in the meta of a message record */
    } targets[];
};

/* Keys of messages that this shard has taken from another one. */
struct origin {
    uint64_t below; /* all these are finished at the origin: not told apart any more */
    struct table taken;
};

/* The checkpoint file that is in use: what is cold lies there. */
struct checkpoint {
    int fd;                       /* -1: none */
    struct log_position position; /* of the last record that it knows */
    uint64_t sequence, size;
    bool is_seen; /* replay has found that record */
};

struct shard {
    struct store *store;
    struct core *core;
    uint32_t number;
    struct log *log;
    char directory[STORE_PATH_BYTES_MAX + 32];

    /* the fold's */
    struct log_position folded; /* the last record */
    uint64_t folded_sequence;
    uint32_t mailbox_id_last;
    struct table accounts;  /* keyed hash of the user -> struct account, chained */
    struct table mailboxes; /* id -> struct mailbox */
    struct table segments;  /* number -> struct segment */
    struct table shared;    /* message -> references, when more than one */
    struct table origins;   /* shard + 1 -> struct origin */
    struct pending *pending;
    uint64_t account_count, mailbox_count, message_count;

    /* not the fold's */
    struct hash_key key;
    unsigned couriers;
    unsigned background; /* fibers of the shard's own */
    bool is_replaying, is_closing;
    bool has_dump; /* replay has passed a dump */
    bool is_wrong; /* what was loaded from the checkpoint does not hold: replay all */
    struct waiters courier_retry, background_ended, wake;
    uint64_t use_clock;
    uint64_t entries_loaded; /* in the lists in memory */
    struct checkpoint checkpoint;
    struct capture *capture; /* under way */
    uint32_t capture_number;
    struct fiber_lock checkpoint_lock; /* writing one, compacting */
    unsigned loading;                  /* fibers that read the checkpoint */
    struct waiters loaded;
    uint64_t bytes_since; /* of log, folded since the checkpoint */
};

struct store {
    struct core *core;
    struct store_options options;
    char directory[STORE_PATH_BYTES_MAX];
    uint64_t id;
    unsigned shard_count;
    unsigned own_count;
    struct shard **own; /* of this core */
};

static inline struct store *store_of(struct core *core)
{
    return core_local(core, CORE_LOCAL_STORE);
}
/* The shard when it is open on this core, else NULL. */
struct shard *store_shard(struct store *store, unsigned number);
unsigned store_shard_of(const struct store *store, struct slice user);

/* identity.c: reads or makes the file `directory`/identity. 0 or -errno. */
int identity_open(struct core *core, const char *directory, unsigned shard_count, uint64_t *ret_id,
                  unsigned *ret_shard_count);
void shard_directory(const char *directory, uint64_t id, unsigned number,
                     char path[STORE_PATH_BYTES_MAX + 32]);
/* Replaces `path` by these bytes, durably. */
int file_replace(struct core *core, const char *directory, const char *path, struct slice content);
/* The whole file, malloc'd. */
int file_load(struct core *core, const char *path, size_t size_max, struct bytes *ret_content);
/* A new file, whatever had that name: a write of a dead process may still land in its old one. */
int file_make(struct core *core, const char *path);
int folder_sync(struct core *core, const char *directory);
int file_write(struct core *core, int fd, uint64_t offset, struct slice content);
int file_read(struct core *core, int fd, uint64_t offset, void *data, size_t size);
/* fsync, rename, fsync of the directory. */
int file_commit(struct core *core, int fd, const char *temporary, const char *path,
                const char *directory);

/* shard.c, background.c */
int background_start(struct shard *shard);
int shard_open(struct store *store, unsigned number, struct shard **ret_shard);
void shard_close(struct shard *shard); /* waits for the shard's own fibers */

/* ---------------------------------------------------------------- records */

enum meta_kind {
    META_DELIVERED = 1,
    META_APPENDED = 2,
    META_MOVED = 3 /* a copy made by compaction */
};

enum event_kind {
    EVENT_FOLDERS = 1,
    EVENT_CREATE,
    EVENT_DELETE,
    EVENT_RENAME,
    EVENT_SUBSCRIBE,
    EVENT_STORE,
    EVENT_EXPUNGE,
    EVENT_COPY,
    EVENT_FINISHED, /* another shard has taken a message of several shards */
    EVENT_DUMP_BEGIN,
    EVENT_DUMP_PART,
    EVENT_DUMP_END
};

/* What of a message record's meta every reader needs. */
struct message_meta {
    enum meta_kind kind;
    uint64_t message; /* 0: its own position */
    int64_t date;
    int16_t zone;
    struct slice body; /* what the kind adds */
    struct slice envelope, summary;
};
int message_meta_parse(struct slice meta, struct message_meta *ret_meta);
/* Begins and ends a message record's meta around `body`. */
void message_meta_put(struct bytes *bytes, const struct message_meta *meta);
void event_begin_meta(struct bytes *bytes, enum event_kind kind);

static inline uint64_t message_id(struct log_position position)
{
    return (uint64_t)position.segment << 32 | position.offset;
}
static inline struct log_position message_place(uint64_t id)
{
    return (struct log_position){(uint32_t)(id >> 32), (uint32_t)id};
}

/* A change on its way through the log to the fold; on the stack of the fiber that waits. */
struct change {
    struct log_append append;
    struct shard *shard;
    struct bytes meta;
    uint64_t body_size;
    /* what the fold found */
    int result;
    uint32_t uid, uidvalidity, count;
    uint32_t *uids; /* the caller's: of copies, or those that failed */
    uint32_t uids_capacity;
};
/* Takes over body and meta; returns the log's error or the fold's result. */
int change_commit(struct change *change, struct shard *shard, struct log_body *body, bool urgent);

/* fold.c */
void shard_fold(struct shard *shard, const struct log_record *record, struct change *change);

/* fold_events.c; `reader` stands behind the kind. Each returns the result for the fiber. */
int fold_folders(struct shard *shard, struct reader *reader, struct change *change);
int fold_create(struct shard *shard, struct reader *reader, struct change *change);
int fold_delete(struct shard *shard, struct reader *reader, struct change *change);
int fold_rename(struct shard *shard, struct reader *reader, struct change *change);
int fold_subscribe(struct shard *shard, struct reader *reader, struct change *change);
int fold_store(struct shard *shard, struct reader *reader, struct change *change);
int fold_expunge(struct shard *shard, struct reader *reader, struct change *change);
int fold_copy(struct shard *shard, struct reader *reader, struct change *change);
int fold_finished(struct shard *shard, struct reader *reader, struct change *change);
void fold_message(struct shard *shard, const struct log_record *record, struct change *change);

/* messages.c: which live, and where they lie (T3) */
void message_born(struct shard *shard, uint64_t message, const struct log_record *record);
void message_moved(struct shard *shard, uint64_t message, const struct log_record *record);
void message_refer(struct shard *shard, uint64_t message, uint64_t size);
void message_release(struct shard *shard, uint64_t message, uint64_t size);
bool message_is_alive(const struct shard *shard, uint64_t message);
struct log_position message_position(const struct shard *shard, uint64_t message);
struct segment *segment_of(struct shard *shard, uint32_t number, bool make);
void segments_free(struct shard *shard);

/* names.c */
/* Checks and normalises (INBOX) a mailbox name into `buffer` (MAILBOX_NAME_BYTES_MAX). -EINVAL. */
int name_check(struct slice name, char *buffer, struct slice *ret_name);
bool name_is_inbox(struct slice name);
bool name_is_below(struct slice name, struct slice parent); /* "a/b" is below "a" */
/* Index of the name, or where it belongs. */
bool names_find(const struct names *names, struct slice name, unsigned *ret_index);
void names_add(struct names *names, struct slice name);
void names_remove(struct names *names, struct slice name);
struct slice names_at(const struct names *names, unsigned index);
void names_free(struct names *names);
char *counted_new(struct slice text); /* uint32_t size, then the bytes */
struct slice counted_slice(const char *counted);

/* account.c */
struct account *account_find(struct shard *shard, struct slice user);
struct account *account_make(struct shard *shard, struct slice user); /* without any mailbox */
struct account *account_find_or_make(struct shard *shard, struct slice user, uint32_t uidvalidity);
struct mailbox *account_lookup(struct account *account, struct slice name, unsigned *ret_index);
struct mailbox *account_add(struct account *account, struct slice name, enum mailbox_use use,
                            uint32_t uidvalidity);
void account_take_out(struct account *account, struct mailbox *mailbox); /* of the name list */
void account_put_in(struct account *account, struct mailbox *mailbox, struct slice name);
void accounts_free(struct shard *shard);

/* mailbox.c */
struct mailbox *mailbox_by_id(const struct shard *shard, uint32_t id);
/* Gives the entry its UID and MODSEQ and refers to its message. */
void mailbox_add_entry(struct mailbox *mailbox, struct mail_entry *entry);
void mailbox_changed(struct mailbox *mailbox);
void mailbox_free(struct mailbox *mailbox);
/* The list in memory, until unpinned. Fiber. 0 or -errno. */
int mailbox_pin(struct mailbox *mailbox);
void mailbox_unpin(struct mailbox *mailbox);
/* In the fold: pinned by the caller, or loaded now (T5). */
void mailbox_fold_needs(struct mailbox *mailbox);
void keyword_define(struct mailbox *mailbox, unsigned bit, struct slice name);
/* The definitions that a change using these keywords must carry. */
void keywords_put(struct bytes *bytes, const struct mailbox *mailbox, uint64_t keywords);
uint64_t keywords_read(struct reader *reader, struct mailbox *mailbox);

/* deliver.c, courier.c */
void couriers_start(struct shard *shard);
/* Until the message accepted with this sequence is everywhere, or for some seconds. */
void courier_wait(struct shard *shard, uint64_t sequence);
void pending_add(struct shard *shard, uint64_t sequence, uint64_t message, uint64_t size,
                 int64_t date, struct reader *others);
void pending_finish(struct shard *shard, uint64_t sequence, uint32_t target);
void pending_free(struct pending *pending);
bool origin_takes(struct shard *shard, uint32_t origin, uint64_t sequence, uint64_t below);
bool origin_has_taken(const struct shard *shard, uint32_t origin, uint64_t sequence);
void origins_free(struct shard *shard);

/* capture.c: the state as of one record, taken while the fold goes on */
struct captured { /* one mailbox */
    uint32_t id, count;
    uint64_t offset;               /* of its part in the new file */
    struct mailbox_snapshot *list; /* if cold: what comes behind the old part */
    uint64_t cold_offset;          /* in the old file, 0: not cold */
    uint32_t cold_count, uidnext;
};
struct capture {
    struct shard *shard;
    struct log_position position;
    uint64_t sequence;
    struct account **accounts;
    size_t account_count, account_next;
    struct bytes directory;
    struct captured *mailboxes;
    size_t mailbox_count, mailbox_capacity;
    uint64_t offset; /* where the next part goes */
};
int capture_begin(struct shard *shard, struct capture *capture);
bool capture_step(struct capture *capture); /* some more accounts; false: all are taken */
void capture_end(struct capture *capture);
/* Before the fold changes anything of the account. */
void capture_before(struct account *account);
/* The opposite: state of an empty shard from a directory. */
int directory_load(struct shard *shard, struct slice directory);

/* checkpoint.c, checkpoint_load.c */
enum { PART_HEAD_BYTES = 16, PART_ENTRY_BYTES = 44, CHECKPOINT_HEAD_BYTES = 4096 };
struct checkpoint_head {
    char magic[8];
    uint32_t version, shard;
    uint64_t store_id, sequence;
    uint32_t segment, offset;
    uint64_t directory_offset, directory_bytes;
    uint32_t directory_checksum, checksum; /* of the head, this taken as 0 */
};
int checkpoint_write(struct shard *shard); /* takes the lock. Fiber */
int checkpoint_write_locked(struct shard *shard);
/* Where the bytes of a checkpoint go: a file, or records of the log. */
struct output {
    struct shard *shard;
    int (*write)(struct output *output, uint64_t offset, struct slice bytes);
    int fd;            /* of the file */
    uint64_t dump;     /* of the records */
    uint64_t offset;   /* of what is in `bytes` */
    uint32_t checksum; /* of all before it, without the head */
    struct bytes bytes;
};
/* All that follows the head, which the caller writes. */
int content_write(struct output *output, struct capture *capture, struct checkpoint_head *ret_head);
/* 0 when there is one that looks right (the shard then holds its state), else -errno. */
int checkpoint_load(struct shard *shard);
int checkpoint_head_check(const struct shard *shard, const struct checkpoint_head *head,
                          uint64_t size);
void checkpoint_forget(struct shard *shard);
void checkpoint_path(const struct shard *shard, char path[STORE_PATH_BYTES_MAX + 64]);
void entry_pack(const struct mail_entry *entry, unsigned char bytes[PART_ENTRY_BYTES]);
void entry_unpack(const unsigned char bytes[PART_ENTRY_BYTES], struct mail_entry *ret_entry);
/* The entries of a part, packed and checked; malloc'd. */
int part_read(struct shard *shard, uint32_t id, uint64_t offset, uint32_t count,
              unsigned char **ret_entries);
/* cold.c: drops lists that the checkpoint holds until the rest fits into the budget. */
void mailboxes_evict(struct shard *shard, uint64_t bytes_max);
uint64_t mailboxes_bytes(const struct shard *shard);
/* What is cold, from the log, because the checkpoint turned out to be damaged. Fiber. */
int cold_rebuild(struct shard *shard);

/* shard.c */
struct shard *shard_new(struct store *store, unsigned number);
void shard_clear(struct shard *shard);
int log_scan_all(struct log *log, int (*each)(void *argument, const struct log_record *record),
                 void *argument);
/* Folds every record of the log behind what the shard knows, up to this sequence. Fiber. */
int shard_replay(struct shard *shard, struct log *log, uint64_t sequence_max);

/* dump.c, compact.c */
int dump_write(struct shard *shard);
/* The state as of this sequence, from the log alone, into an empty shard. Fiber. */
int shard_rebuild(struct shard *shard, struct log *log, uint64_t sequence_max);
int shard_compact(struct shard *shard, unsigned percent);
int fold_dump_end(struct shard *shard, struct reader *reader, struct change *change);

/* read.c */
int message_meta_load(struct shard *shard, uint64_t message, struct bytes *ret_bytes,
                      struct message_meta *ret_meta);

#endif
