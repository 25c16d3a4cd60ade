/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading everything and checking what refers to what; counting what there is.
 */
#include <stdio.h>

#include "store_private.h"

struct verifying {
    struct shard *shard;
    struct store_report *report;
    struct table present; /* message -> size + 1, of records that are what the state says */
    void (*say)(void *argument, const char *line);
    void *argument;
};

static void finding(struct verifying *verifying, const char *what, uint64_t where)
{
    char line[200];
    verifying->report->damaged++;
    snprintf(line, sizeof line, "shard %u: %s at segment %u, offset %u", verifying->shard->number,
             what, (unsigned)(where >> 32), (unsigned)where);
    if (verifying->say != NULL)
        verifying->say(verifying->argument, line);
}

static int record_check(void *argument, const struct log_record *record)
{
    struct verifying *verifying = argument;
    struct message_meta meta;
    uint64_t here = message_id(record->position);
    verifying->report->records++;
    if (record->type != LOG_RECORD_MESSAGE)
        return 0;
    if (message_meta_parse(record->meta, &meta) < 0) {
        finding(verifying, "a message whose meta cannot be read", here);
        return 0;
    }
    uint64_t message = meta.kind == META_MOVED ? meta.message : here;
    if (message_is_alive(verifying->shard, message) &&
        message_id(message_position(verifying->shard, message)) == here)
        table_put(&verifying->present, message, record->body_size + 1);
    return 0;
}

static void mailbox_check(struct verifying *verifying, struct mailbox *mailbox)
{
    if (mailbox_pin(mailbox) < 0) {
        finding(verifying, "a mailbox whose list cannot be read", mailbox->id);
        return;
    }
    struct list_cursor cursor = {.list = mailbox->list};
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;) {
        const uint64_t *size = table_find(&verifying->present, entry->message);
        /* A message that came or went while this ran is not looked for. */
        if (entry->message > message_id(verifying->shard->folded) ||
            !message_is_alive(verifying->shard, entry->message))
            continue;
        if (size == NULL)
            finding(verifying, "a message that is missing", entry->message);
        else if (*size != (uint64_t)entry->size + 1)
            finding(verifying, "a message of another size", entry->message);
    }
    mailbox_unpin(mailbox);
}

static void count_shard(const struct shard *shard, struct store_report *report)
{
    struct log_statistics statistics;
    log_statistics(shard->log, &statistics);
    report->shards++;
    report->segments += statistics.segments;
    report->bytes += statistics.bytes_used;
    report->messages += shard->message_count;
    report->mailboxes += shard->mailbox_count;
    report->accounts += shard->account_count;
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->segments, &index)) != NULL;)
        report->bytes_live += ((const struct segment *)(uintptr_t)slot->value)->live_body;
}

static int mailboxes_check(struct verifying *verifying)
{
    const struct shard *shard = verifying->shard;
    size_t count = 0, index = 0;
    uint32_t *ids = malloc((shard->mailboxes.used + 1) * sizeof *ids);
    if (ids == NULL)
        return -ENOMEM;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;)
        ids[count++] = (uint32_t)slot->key;
    for (size_t i = 0; i < count; i++) {
        struct mailbox *mailbox = mailbox_by_id(shard, ids[i]);
        if (mailbox != NULL) {
            struct account *account = mailbox->account;
            account->refs++; /* so that the mailbox lives */
            mailbox_check(verifying, mailbox);
            account_close(account);
        }
        fiber_yield(shard->core);
    }
    free(ids);
    return 0;
}

static int shard_verify(struct verifying *verifying)
{
    struct shard *shard = verifying->shard;
    struct log_statistics statistics;
    int result = log_scan_all(shard->log, record_check, verifying);
    if (result == 0)
        result = mailboxes_check(verifying);
    log_statistics(shard->log, &statistics);
    if (statistics.damaged_records > 0) { /* since the log was opened: each is counted once */
        finding(verifying, "records that are damaged (the event log names them)", 0);
        verifying->report->damaged += statistics.damaged_records - 1;
    }
    table_free(&verifying->present);
    return result;
}

int store_verify(struct core *core, struct store_report *ret_report,
                 void (*say)(void *argument, const char *line), void *argument)
{
    struct store *store = store_of(core);
    struct store_report report = {0};
    for (unsigned i = 0; i < store->own_count; i++) {
        char line[100];
        struct verifying verifying = {
            .shard = store->own[i], .report = &report, .say = say, .argument = argument};
        count_shard(store->own[i], &report);
        int result = shard_verify(&verifying);
        if (result < 0)
            return result;
        snprintf(line, sizeof line, "shard %u: %llu records read", store->own[i]->number,
                 (unsigned long long)report.records);
        if (say != NULL)
            say(argument, line);
    }
    *ret_report = report;
    return 0;
}

int store_stat(struct core *core, struct store_report *ret_report)
{
    const struct store *store = store_of(core);
    struct store_report report = {0};
    for (unsigned i = 0; i < store->own_count; i++)
        count_shard(store->own[i], &report);
    *ret_report = report;
    return 0;
}
