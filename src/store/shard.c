/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A shard: opening it, from the checkpoint and what the log has behind it, or from the log alone;
 * closing it.
 */
#include "store_private.h"

struct shard *shard_new(struct store *store, unsigned number)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL)
        return NULL;
    shard->store = store;
    shard->core = store->core;
    shard->number = number;
    shard->checkpoint.fd = -1;
    core_random(store->core, &shard->key, sizeof shard->key);
    shard_directory(store->directory, store->id, number, shard->directory);
    return shard;
}

/* Forgets all that was folded. */
void shard_clear(struct shard *shard)
{
    accounts_free(shard);
    segments_free(shard);
    origins_free(shard);
    while (shard->pending != NULL) {
        struct pending *pending = shard->pending;
        shard->pending = pending->next;
        pending_free(pending);
    }
    shard->folded = (struct log_position){0};
    shard->folded_sequence = shard->bytes_since = shard->entries_loaded = 0;
    shard->mailbox_id_last = 0;
    shard->account_count = shard->mailbox_count = shard->message_count = 0;
}

/* ---------------------------------------------------------------- replay */

static int replay(void *argument, const struct log_record *record)
{
    struct shard *shard = argument;
    struct checkpoint *checkpoint = &shard->checkpoint;
    if (record->sequence <= checkpoint->sequence) {
        if (record->sequence == checkpoint->sequence)
            checkpoint->is_seen = record->position.segment == checkpoint->position.segment &&
                                  record->position.offset == checkpoint->position.offset;
        return 0;
    }
    if (checkpoint->fd >= 0 && !checkpoint->is_seen)
        shard->is_wrong = true;
    if (!shard->is_wrong)
        shard_fold(shard, record, NULL);
    return 0;
}

int log_scan_all(struct log *log, int (*each)(void *argument, const struct log_record *record),
                 void *argument)
{
    unsigned count = log_segments(log, NULL, 0);
    struct log_segment *segments = calloc(count + 1, sizeof *segments);
    if (segments == NULL)
        return -ENOMEM;
    unsigned listed = log_segments(log, segments, count);
    int result = 0;
    for (unsigned i = 0; i < count && i < listed && result == 0; i++) {
        result = log_scan(log, segments[i].number, each, argument);
        if (result == -ENOENT) /* dropped, or the file is missing, which the log has told */
            result = 0;
    }
    free(segments);
    return result;
}

struct replay {
    struct shard *shard;
    uint64_t sequence_max;
};

static int replay_one(void *argument, const struct log_record *record)
{
    const struct replay *one = argument;
    if (record->sequence <= one->sequence_max && record->sequence > one->shard->folded_sequence)
        shard_fold(one->shard, record, NULL);
    return 0;
}

int shard_replay(struct shard *shard, struct log *log, uint64_t sequence_max)
{
    struct replay one = {shard, sequence_max};
    shard->is_replaying = true;
    int result = log_scan_all(log, replay_one, &one);
    shard->is_replaying = false;
    return result;
}

/* ---------------------------------------------------------------- opening */

static void say_damaged(struct shard *shard, int result)
{
    struct event event;
    event_begin(&event, "store", "warning");
    event_text(&event, "what", SLICE("checkpoint does not hold; replaying the whole log"));
    event_number(&event, "shard", shard->number);
    event_number(&event, "error", -result);
    core_log(shard->core, &event);
}

/* What came before this life has been seen, or never will be as new. */
static void nothing_recent(struct shard *shard)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;) {
        struct mailbox *mailbox = (struct mailbox *)(uintptr_t)slot->value;
        mailbox->recent_uid = mailbox->uidnext - 1;
    }
}

static int log_begin(struct shard *shard)
{
    const struct store_options *options = &shard->store->options;
    struct log_options log_options = {
        .directory = shard->directory,
        .shard = shard->number,
        .store_id = shard->store->id,
        .segment_bytes = options->segment_bytes,
        .cache_bytes = options->cache_bytes,
    };
    int result = checkpoint_load(shard);
    if (result < 0 && result != -ENOENT)
        say_damaged(shard, result);
    struct log_position from = {.segment = shard->folded.segment};
    shard->is_replaying = true;
    result = log_open(shard->core, &log_options, from, replay, shard, &shard->log);
    shard->is_replaying = false;
    if (result < 0)
        return result;
    bool is_cached = shard->checkpoint.fd >= 0;
    if (is_cached && (shard->is_wrong || !shard->checkpoint.is_seen))
        say_damaged(shard, -EBADMSG);
    else if (is_cached)
        return 0;
    if (is_cached || shard->has_dump) {
        checkpoint_forget(shard);
        shard_clear(shard);
        result = shard_rebuild(shard, shard->log, UINT64_MAX);
        shard->is_wrong = false;
    }
    nothing_recent(shard);
    return result;
}

int shard_open(struct store *store, unsigned number, struct shard **ret_shard)
{
    struct shard *shard = shard_new(store, number);
    if (shard == NULL)
        return -ENOMEM;
    int result = log_begin(shard);
    if (result < 0) {
        if (shard->log != NULL)
            log_close(shard->log);
        checkpoint_forget(shard);
        shard_clear(shard);
        free(shard);
        return result;
    }
    *ret_shard = shard;
    return 0;
}

void shard_close(struct shard *shard)
{
    shard->is_closing = true;
    waiters_wake_all(shard->core, &shard->courier_retry);
    waiters_wake_all(shard->core, &shard->wake);
    for (struct pending *pending = shard->pending; pending != NULL; pending = pending->next)
        waiters_wake_all(shard->core, &pending->waiters);
    if (shard->background > 0)
        waiters_wait(shard->core, &shard->background_ended, 0);
    int result = checkpoint_write(shard);
    if (result < 0)
        say_damaged(shard, result);
    log_close(shard->log);
    checkpoint_forget(shard);
    shard_clear(shard);
    free(shard);
}
