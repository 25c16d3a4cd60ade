# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs planted into the store, each of which its scenario of the simulator must catch. Rows are
those of mutants.py, which does the work."""
SIM = 'sim'
SECONDS_MAX = 120
HANG_IS_CAUGHT = True # the program stops after 60 s: one that goes on has met an endless loop
# What a row takes until it is caught, in seconds of a busy machine, for --quick.
COSTS = {SIM: 1, 'identity believed without a sync': 5, 'directories of an earlier try used': 20}


def command(_, binary, is_mutant):
    return [binary, 'store', '--seeds', '1..1000000', '--seconds', '60' if is_mutant else '5',
            '--until-failure']


MUTANTS = [
    # --- what is acknowledged --------------------------------------------------------------------
    ('folded though the append failed', 'changes.c',
     'if (result < 0) return; struct log_record record', 'struct log_record record', SIM),
    ('no sync of the directories above the store', 'identity.c',
     'result = ancestors_sync(core, directory);', 'result = 0 * ancestors_sync(core, ".");',
     SIM),
    ('directories of an earlier try used', 'identity.c',
     '(unsigned)(uint32_t)id);', '0 * (unsigned)(uint32_t)id);', SIM),
    ('identity believed without a sync', 'identity.c',
     'if (result == 0) result = identity_write(core, directory, path, id, shard_count); '
     'if (result == -ENOSPC)', 'if (result == -ENOSPC)', SIM),
    ('messages of several shards: key not remembered', 'courier.c',
     'return origin != NULL && (sequence < origin->below',
     'return false && origin != NULL && (sequence < origin->below', SIM),
    ('messages of several shards: finished before they are taken', 'courier.c',
     'put_free(&parcel.meta); if (result < 0) return result;', 'put_free(&parcel.meta);', SIM),
    ('messages of several shards: told finished too far', 'courier.c',
     'if (pending->targets[i].shard == target && !pending->targets[i].is_finished) '
     'return pending->sequence;',
     'if (pending->targets[i].shard == target && pending->targets[i].shard > 9999) '
     'return pending->sequence;', SIM),
    ('duplicate recipients get two copies', 'deliver.c',
     'shards[i] = UINT32_MAX;', 'shards[i] += 0;', SIM),
    # --- numbers ---------------------------------------------------------------------------------
    ('UIDNEXT taken from the messages that are left', 'capture.c',
     'put_u32(bytes, mailbox->uidnext);', 'put_u32(bytes, mailbox->messages + 1);', SIM),
    ('UIDVALIDITY from the clock alone', 'account.c',
     'if (uidvalidity <= account->uidvalidity_last)', 'if (false)', SIM),
    ('MODSEQ not kept', 'capture.c',
     'put_u64(bytes, mailbox->highest_modseq);', 'put_u64(bytes, 1);', SIM),
    # --- lists and views -------------------------------------------------------------------------
    ('a shared list changed in place', 'list.c',
     'if (leaf->refs == 1) return leaf; uint32_t capacity',
     'if (leaf->refs < 9) return leaf; uint32_t capacity', SIM),
    ('expunges told though they must not be', 'view.c',
     '} else if (has_expunged(old, new)) {', '} else if (false) {', SIM),
    ('expunges told in old numbers', 'view.c', 'walk.old_number - gone', 'walk.old_number', SIM),
    # --- the checkpoint --------------------------------------------------------------------------
    ('changed before it was captured', 'capture.c',
     'if (capture != NULL) account_capture(capture, account);', '(void)capture;', SIM),
    ('a cold list keeps what the new checkpoint holds', 'checkpoint.c',
     'if (entry->uid >= uidnext) list_append(&tail, entry);', 'list_append(&tail, entry);', SIM),
    ('a changed list is dropped from memory', 'cold.c',
     'mailbox->changed_sequence <= checkpoint->sequence && '
     'mailbox->cold_count == mailbox->messages',
     'mailbox->cold_count == mailbox->messages', SIM),
    ('a part is believed without its checksum', 'checkpoint_load.c',
     'crc32c(crc32c(0, &id, sizeof id), entries, size) != checksum', 'false', SIM),
    ('a stale checkpoint is believed', 'dump.c',
     'if (shard->is_replaying && shard->checkpoint.fd >= 0 && '
     'sequence > shard->checkpoint.sequence)', 'if (false)', SIM),
    # --- compaction ------------------------------------------------------------------------------
    ('dropped without the state in the log', 'compact.c',
     'result = dump_write(shard);', '(void)dump_write;', SIM),
    ('dropped with living messages', 'compact.c',
     'result = victims_empty(shard, &victims);', 'segment_of(shard, victims.numbers[0], '
     'true)->live_messages = 0; (void)victims_empty;', SIM),
    ('moved messages looked for where they were', 'messages.c',
     'return message_place(moved == NULL ? message : *moved);',
     'return message_place(moved == NULL ? message : message);', SIM),
    ('references not counted', 'messages.c',
     'if (shared != NULL) { if (--*shared == 1)', 'if (shared != NULL && *shared > 99) { '
     'if (--*shared == 1)', SIM),
]
