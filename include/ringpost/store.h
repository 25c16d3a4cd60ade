/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store: users' mailboxes on the shards' logs. Everything in memory is a cache of the log. A
 * shard belongs to one core; all calls here are made on a fiber of the account's home core
 * (store_home_core) unless they say otherwise, and calls that change something return when the
 * change is durable.
 *
 * Invariants:
 *   S1 Nothing is shown or acknowledged before it is durable; state is applied in log order, when
 *      durable.
 *   S2 A UID or MODSEQ once shown is never used again; UIDVALIDITY changes if it might be.
 *   S3 A shard refers to its own log only: a message for users of several shards is written once
 *      per shard.
 *   S4 A view's sequence numbers change only in view_update.
 */
#ifndef RINGPOST_STORE_H
#define RINGPOST_STORE_H

#include "ringpost/arena.h"
#include "ringpost/core.h"

enum {
    MAILBOX_NAME_BYTES_MAX = 1000,
    MAILBOX_DEPTH_MAX = 32,
    MAILBOXES_PER_ACCOUNT_MAX = 10000,
    KEYWORDS_MAX = 64, /* per mailbox */
    KEYWORD_BYTES_MAX = 64,
    USER_NAME_BYTES_MAX = 320 /* canonical user name, local@domain in lower case */
};

/* ---------------------------------------------------------------- opening */

struct store_options {
    const char *directory;
    unsigned shard_count;     /* used when the store is made; later the store's own count is used */
    uint32_t segment_bytes;   /* 0: default */
    uint64_t cache_bytes;     /* newest bodies in memory, per shard */
    uint64_t index_bytes_max; /* mailbox indexes in memory, per shard; cold ones are dropped */
};

/* A process may have no store at all, when all its users are elsewhere (backend.h): then nothing of
 * this file is called but store_home_core, store_state and account_open, which are -ENODEV,
 * store_open_bodies, the calls of a message body, and store_close. */

/* Opens the shards of this core (each core calls it, core 0 first makes or checks the store's
 * identity file). Fiber. 0 or -errno; the event log says what and where. */
int store_open(struct core *core, const struct store_options *options);
/* Instead of it, without a store: messages can be received all the same, for who else takes them. 0
 * or -ENOMEM. */
int store_open_bodies(struct core *core);
void store_close(struct core *core); /* a last checkpoint, then the logs. Fiber. */

/* Which core serves this user; from any core. */
unsigned store_home_core(struct core *core, struct slice user);

/* 0 when mail can be taken, -ENOSPC or -EIO when not (any core's own view of its shards). */
int store_state(struct core *core);

/* ---------------------------------------------------------------- delivery */

/* A message being received; see log.h's bodies. Any core. */
struct message_body;
struct message_body *message_body_take(struct core *core, uint64_t size_hint);
char *message_body_room(struct message_body *body, size_t want,
                        size_t *ret_room); /* NULL: out of budget */
/* Fiber. The same as take and room, but wait up to 10 s for other messages to leave room in the
 * core's budget, so that many large ones at once are slow and not refused. */
struct message_body *message_body_take_await(struct core *core, uint64_t size_hint);
char *message_body_await(struct core *core, struct message_body *body, size_t want,
                         size_t *ret_room);
void message_body_added(struct message_body *body, size_t size);
void message_body_cut(struct message_body *body, size_t size); /* gives up the last bytes */
struct slice message_body_bytes(const struct message_body *body);
void message_body_give(struct message_body *body);

struct delivery {
    struct slice user;    /* canonical */
    struct slice mailbox; /* "INBOX"; a mailbox that does not exist: INBOX */
    int result;           /* out: 0 or -errno */
};
/* Puts one message into each recipient's mailbox: returns when durable. Takes over the body. Any
 * core, on a fiber. `envelope` is kept with the message (opaque bytes: reverse-path, protocol,
 * client). Duplicate recipients get one copy. The common case (all recipients on one shard) is
 * one commit on that shard; otherwise the message is durable with its list of shards on the
 * first recipient's shard, then delivered exactly once to the others, over crashes too. Returns
 * 0 when every recipient is safe; else the first error, with each result set (never half a
 * recipient). */
int store_deliver(struct core *core, struct message_body *body, struct slice envelope,
                  struct delivery *deliveries, unsigned count);

/* ---------------------------------------------------------------- accounts and mailboxes */

struct account; /* one user's mailboxes; lives while it has references */

enum mailbox_use { /* RFC 6154 attributes */
                   MAILBOX_USE_NONE,
                   MAILBOX_USE_ALL,
                   MAILBOX_USE_ARCHIVE,
                   MAILBOX_USE_DRAFTS,
                   MAILBOX_USE_FLAGGED,
                   MAILBOX_USE_JUNK,
                   MAILBOX_USE_SENT,
                   MAILBOX_USE_TRASH
};

/* Names are UTF-8, hierarchy separator '/', INBOX in any case is "INBOX". Makes INBOX and the
 * default folders (Drafts, Sent, Junk, Trash, with their special uses, subscribed) at first use. */
int account_open(struct core *core, struct slice user, struct account **ret_account);
void account_close(struct account *account);
struct slice account_user(const struct account *account);

struct mailbox;
/* NULL when there is none. */
struct mailbox *account_mailbox(struct account *account, struct slice name);
/* In name order; subscribed names without a mailbox are not listed here. NULL: no more. Valid
 * until the fiber parks. */
struct mailbox *account_next(struct account *account, struct mailbox *previous);
struct slice mailbox_name(const struct mailbox *mailbox);
enum mailbox_use mailbox_special_use(const struct mailbox *mailbox);

/* 0 or -errno: -EEXIST, -ENOENT, -EINVAL (name not allowed: empty part, control bytes, invalid
 * UTF-8, too long, too deep), -EMLINK (too many), -EPERM (INBOX cannot be deleted), -ENOSPC,
 * -EIO. create makes missing parents too. rename moves children too; renaming INBOX moves its
 * messages to the new mailbox and leaves INBOX empty (RFC 9051 6.3.6). */
int account_create(struct account *account, struct slice name, enum mailbox_use use);
int account_delete(struct account *account, struct slice name);
int account_rename(struct account *account, struct slice from, struct slice to);
int account_subscribe(struct account *account, struct slice name, bool subscribed);
bool account_subscribed(const struct account *account, struct slice name);
/* The index-th subscribed name (any order, stable until the fiber parks); data NULL past the
 * end. */
struct slice account_subscription(const struct account *account, unsigned index);

struct mailbox_status {
    uint32_t messages, recent, unseen, deleted, uidvalidity, uidnext;
    uint64_t highest_modseq, bytes;
    uint32_t id;
};
/* May load the mailbox's index. 0 or -errno. */
int mailbox_status(struct mailbox *mailbox, struct mailbox_status *ret_status);

/* ---------------------------------------------------------------- messages of a mailbox */

enum mail_flag {
    MAIL_SEEN = 1,
    MAIL_ANSWERED = 2,
    MAIL_FLAGGED = 4,
    MAIL_DELETED = 8,
    MAIL_DRAFT = 16
};

struct mail_entry {
    uint32_t uid;
    uint16_t flags; /* enum mail_flag */
    uint16_t reserved;
    uint64_t keywords; /* bit n: mailbox_keyword(n) */
    uint64_t modseq;
    uint64_t message;  /* the message's id in its shard */
    int64_t date;      /* INTERNALDATE, seconds since 1970 */
    uint32_t size;     /* RFC822.SIZE */
    int16_t date_zone; /* minutes east, as given at APPEND */
    bool expunged;     /* gone from the mailbox, still numbered in some view */
};

/* A session's view: an immutable list of messages shared by all sessions that see the same
 * state, never a private copy. */
struct view {
    struct mailbox *mailbox;
    struct mailbox_snapshot *snapshot;
    uint32_t count;            /* messages, as this session knows */
    uint32_t recent_after_uid; /* \Recent: messages above this UID, for the session that saw them
                                  first */
    uint64_t modseq_seen;
    bool examine; /* read-only */
    bool is_told; /* the store's: changed() was called since the last view_update */
    struct view *next, **previous_next;
    void (*changed)(struct view *view); /* called (in the turn, not on a fiber) when view_update
                                           would have something to say; may be NULL */
};
int view_open(struct account *account, struct mailbox *mailbox, bool examine, struct view *view);
void view_close(struct view *view);
/* number 1..view->count; never NULL for those. */
const struct mail_entry *view_entry(const struct view *view, uint32_t number);
/* The number of the message with this UID, or 0; or with `or_next` of the first one with a
 * higher UID (count + 1 if none). */
uint32_t view_number(const struct view *view, uint32_t uid, bool or_next);
bool view_stale(const struct view *view);
bool view_mailbox_deleted(const struct view *view);

struct view_listener {
    void *argument;
    void (*expunged)(
        void *argument, uint32_t number,
        uint32_t uid); /* numbers as of the moment, highest first or one by one renumbered */
    void (*exists)(void *argument, uint32_t count);
    void (*flags)(void *argument, uint32_t number, const struct mail_entry *entry);
};
/* Brings the view up to date, telling each difference. With may_expunge false, expunged messages
 * stay numbered (entry->expunged). The changes this session made itself are told too unless
 * silenced by view_own. */
void view_update(struct view *view, bool may_expunge, const struct view_listener *listener);
/* The caller has told its client about everything up to this message's modseq itself (FETCH
 * response to STORE): not told again. */
void view_own(struct view *view, uint32_t uid, uint64_t modseq);

/* Keywords: the name of bit n (size 0: unused), and the bit of a name (-1: none; with `make`
 * allocated, -EMLINK when all are used, -EINVAL when it is not an atom). Allocation becomes
 * durable with the change that uses it. */
struct slice mailbox_keyword(const struct mailbox *mailbox, unsigned bit);
int mailbox_keyword_bit(struct mailbox *mailbox, struct slice name, bool make);

struct append_result {
    uint32_t uidvalidity, uid;
};
/* IMAP APPEND: takes over the body. zone in minutes east. */
int mailbox_append(struct mailbox *mailbox, struct message_body *body, uint16_t flags,
                   uint64_t keywords, int64_t date, int16_t date_zone,
                   struct append_result *ret_result);

enum store_how { STORE_REPLACE, STORE_ADD, STORE_REMOVE };
struct store_change {
    enum store_how how;
    uint16_t flags;
    uint64_t keywords;
    uint64_t unchanged_since; /* UINT64_MAX: no condition (CONDSTORE) */
};
/* Changes flags of the messages with these UIDs (ascending; those that are gone are passed
 * over). uids of messages whose modseq was above unchanged_since are moved to the front of
 * `uids` and counted in *ret_failed. */
int mailbox_store(struct mailbox *mailbox, uint32_t *uids, uint32_t count,
                  const struct store_change *change, uint32_t *ret_failed);
/* Removes them. All or nothing. */
int mailbox_expunge(struct mailbox *mailbox, const uint32_t *uids, uint32_t count);
/* Copies (or moves, atomically) within one account. ret_uids[i] is the new UID of uids[i], 0 for
 * a message that was gone. */
int mailbox_copy(struct mailbox *from, const uint32_t *uids, uint32_t count, struct mailbox *to,
                 bool move, uint32_t *ret_uids, uint32_t *ret_uidvalidity);

/* One POP3 session a mailbox at a time. False when another holds it. */
bool mailbox_pop3_lock(struct mailbox *mailbox);
void mailbox_pop3_unlock(struct mailbox *mailbox);

/* Bytes of a message: count (0 at its end), or -errno: -ENOENT expunged and gone, -EBADMSG
 * damaged, -EIO. */
int64_t message_read(struct mailbox *mailbox, const struct mail_entry *entry, uint64_t offset,
                     void *data, size_t size);
/* The whole message, if it lies in memory; valid until the fiber parks. */
bool message_peek(struct mailbox *mailbox, const struct mail_entry *entry,
                  struct slice *ret_message);
/* The summary that mime_summarize made at delivery (size 0: none), copied into the arena. 0 or
 * -errno. */
int message_summary(struct mailbox *mailbox, const struct mail_entry *entry, struct arena *arena,
                    struct slice *ret_summary);

/* ---------------------------------------------------------------- tools */

struct store_report {
    uint64_t shards, segments, records, messages, mailboxes, accounts, bytes, bytes_live, damaged;
};
/* Reads every record and checks it and what refers to it (`ringpost store verify`). say() gets a
 * line per finding and progress. Fiber. */
int store_verify(struct core *core, struct store_report *ret_report,
                 void (*say)(void *argument, const char *line), void *argument);
int store_stat(struct core *core, struct store_report *ret_report);
/* Compacts segments whose live part is below `percent`; called by the store itself in the
 * background too. Fiber. */
int store_compact(struct core *core, unsigned percent);
/* Writes a checkpoint now. Fiber. */
int store_checkpoint(struct core *core);

#endif
