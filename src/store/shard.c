/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A shard: its log opened and folded, its own fibers ended at the close.
 */
#include <stdio.h>

#include "store_private.h"

static int replay(void *argument, const struct log_record *record)
{
    shard_fold(argument, record, NULL);
    return 0;
}

static void shard_clear(struct shard *shard)
{
    accounts_free(shard);
    segments_free(shard);
    origins_free(shard);
    while (shard->pending != NULL) {
        struct pending *pending = shard->pending;
        shard->pending = pending->next;
        pending_free(pending);
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
    shard->is_replaying = true;
    int result = log_open(shard->core, &log_options, shard->folded, replay, shard, &shard->log);
    shard->is_replaying = false;
    return result;
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

int shard_open(struct store *store, unsigned number, struct shard **ret_shard)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL)
        return -ENOMEM;
    shard->store = store;
    shard->core = store->core;
    shard->number = number;
    core_random(store->core, &shard->key, sizeof shard->key);
    snprintf(shard->directory, sizeof shard->directory, "%s/shard-%04u", store->directory, number);
    int result = kernel_directory_make(core_kernel(store->core), shard->directory, 0700);
    if (result == 0)
        result = folder_sync(store->core, store->directory);
    if (result == 0)
        result = log_begin(shard);
    if (result < 0) {
        shard_clear(shard);
        free(shard);
        return result;
    }
    nothing_recent(shard);
    *ret_shard = shard;
    return 0;
}

void shard_close(struct shard *shard)
{
    shard->is_closing = true;
    waiters_wake_all(shard->core, &shard->courier_retry);
    if (shard->background > 0)
        waiters_wait(shard->core, &shard->background_ended, 0);
    log_close(shard->log);
    shard_clear(shard);
    free(shard);
}
