/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The oracle of the log: see log_oracle.h for what it knows and demands. Its memory is the test's:
 * a crash does not touch it. Contents follow from the id, so nothing need be kept to compare.
 */
#include "log_oracle.h"

#include <stdlib.h>

#include "ringpost/hash.h"

void oracle_begin(struct oracle *oracle, struct sim *sim)
{
    memset(oracle->entries, 0, oracle->count * sizeof *oracle->entries);
    oracle->sim = sim;
    oracle->count = oracle->life = oracle->recovery = 0;
    oracle->first_of_life = oracle->answered = oracle->last_seen = 0;
    oracle->last_sequence = 0;
    oracle->from = (struct log_position){0, 0};
    oracle->acknowledged = oracle->recovered = 0;
}

void oracle_life(struct oracle *oracle)
{
    oracle->life++;
    oracle->recovery++;
    oracle->last_seen = 0;
    oracle->last_sequence = 0;
    oracle->last_position = (struct log_position){0, 0};
}

static void fill(uint64_t seed, char *data, size_t size)
{
    uint64_t word = hash_u64(seed + 0x9e3779b97f4a7c15u);
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(data, &word, 8);
        word = word * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
    }
    memcpy(data, &word, size);
}

uint32_t oracle_new(struct oracle *oracle, enum log_record_type type, uint32_t body_size,
                    uint32_t meta_size)
{
    uint32_t id = oracle->count;
    if (id == ORACLE_ENTRIES_MAX - 1) {
        sim_fail(oracle->sim, "the oracle is full");
        return id;
    }
    oracle->count++;
    oracle->entries[id] = (struct oracle_entry){.type = (uint8_t)type,
                                                .life = oracle->life,
                                                .meta_size = meta_size,
                                                .body_size = body_size};
    return id;
}

void oracle_meta(const struct oracle *oracle, uint32_t id, char *data)
{
    fill(UINT64_C(1) << 40 | id, data, oracle->entries[id].meta_size);
    memcpy(data, &id, sizeof id);
}

void oracle_body(uint32_t id, char *data, size_t size)
{
    fill(id, data, size);
}

void oracle_sent(struct oracle *oracle, uint32_t id, const struct log_append *append)
{
    oracle->entries[id].position = append->position;
    oracle->entries[id].sequence = append->sequence;
}

static bool before(struct log_position a, struct log_position b)
{
    return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

/* An acknowledgement after failures means that the log has resumed: O3. */
void oracle_answer(struct oracle *oracle, uint32_t id, int result)
{
    struct oracle_entry *entry = &oracle->entries[id];
    if (entry->acknowledged || entry->failed)
        sim_fail(oracle->sim, "append %u was answered twice", id);
    if (result < 0) {
        entry->failed = true;
        entry->settled = entry->position.segment == 0;
        return;
    }
    entry->acknowledged = true;
    oracle->acknowledged++;
    for (uint32_t i = oracle->answered; i < id; i++) {
        struct oracle_entry *earlier = &oracle->entries[i];
        if (!earlier->acknowledged && !earlier->failed)
            sim_fail(oracle->sim, "O6: append %u was acknowledged before append %u", id, i);
        if (earlier->failed && before(earlier->position, entry->position))
            earlier->settled = true;
    }
    oracle->answered = id;
}

void oracle_drop(struct oracle *oracle, uint32_t segment, bool is_done)
{
    for (uint32_t id = 0; id < oracle->count; id++) {
        struct oracle_entry *entry = &oracle->entries[id];
        if (entry->position.segment == segment && entry->fate != FATE_ABSENT)
            entry->drop = is_done ? DROP_DONE : DROP_MAYBE;
    }
}

bool oracle_is_present(const struct oracle_entry *entry)
{
    return entry->drop == DROP_NONE && (entry->acknowledged || entry->fate == FATE_PRESENT) &&
           !entry->excused;
}

/* ---------------------------------------------------------------- recovery */

static bool same_content(const struct oracle *oracle, const struct oracle_entry *entry, uint32_t id,
                         const struct log_record *record)
{
    char meta[ORACLE_META_MAX];
    oracle_meta(oracle, id, meta);
    return entry->type == record->type && entry->body_size == record->body_size &&
           record->meta.size == entry->meta_size &&
           memcmp(meta, record->meta.data, record->meta.size) == 0;
}

int oracle_replay(void *argument, const struct log_record *record)
{
    struct oracle *oracle = argument;
    uint32_t id = UINT32_MAX;
    if (record->meta.size >= sizeof id)
        memcpy(&id, record->meta.data, sizeof id);
    struct oracle_entry *entry = id < oracle->count ? &oracle->entries[id] : NULL;
    if (entry == NULL || !same_content(oracle, entry, id, record)) {
        sim_fail(oracle->sim, "O1: the record at %u:%u is not what was sent (id %u)",
                 record->position.segment, record->position.offset, id);
        return 0;
    }
    if (id < oracle->last_seen || record->sequence <= oracle->last_sequence ||
        !before(oracle->last_position, record->position))
        sim_fail(oracle->sim, "O5: record %u at %u:%u comes out of order, after %u", id,
                 record->position.segment, record->position.offset, oracle->last_seen - 1);
    if (entry->position.segment != record->position.segment ||
        entry->position.offset != record->position.offset || entry->sequence != record->sequence)
        sim_fail(oracle->sim, "record %u is at %u:%u, was put at %u:%u", id,
                 record->position.segment, record->position.offset, entry->position.segment,
                 entry->position.offset);
    if (before(record->position, oracle->from))
        sim_fail(oracle->sim, "record %u lies before where replay begins", id);
    oracle->last_seen = id + 1;
    oracle->last_sequence = record->sequence;
    oracle->last_position = record->position;
    entry->seen = oracle->recovery;
    return 0;
}

static void settle(struct oracle *oracle, uint32_t id, bool *prefix_ended)
{
    struct oracle_entry *entry = &oracle->entries[id];
    bool seen = entry->seen == oracle->recovery;
    if (entry->position.segment == 0 || before(entry->position, oracle->from))
        return;
    if (seen && entry->fate == FATE_ABSENT)
        sim_fail(oracle->sim, "O2: record %u was absent and is back", id);
    if (seen && entry->settled)
        sim_fail(oracle->sim, "O3: record %u had failed and is there", id);
    if (seen && entry->drop == DROP_DONE)
        sim_fail(oracle->sim, "O4: record %u was dropped and is back", id);
    if (!seen && oracle_is_present(entry))
        sim_fail(oracle->sim, "O1: record %u (at %u:%u, %s, life %u) is lost", id,
                 entry->position.segment, entry->position.offset,
                 entry->acknowledged ? "acknowledged" : "seen before", entry->life);
    bool is_open = !entry->acknowledged && !entry->failed && entry->fate == FATE_OPEN;
    if (is_open && entry->drop == DROP_NONE) {
        if (seen && *prefix_ended)
            sim_fail(oracle->sim, "O5: record %u is there, one sent before it is not", id);
        *prefix_ended = *prefix_ended || !seen;
    }
    if (entry->drop == DROP_MAYBE && (entry->acknowledged || entry->fate == FATE_PRESENT))
        entry->drop = seen ? DROP_NONE : DROP_DONE;
    if (entry->drop == DROP_NONE)
        entry->fate = seen ? FATE_PRESENT : FATE_ABSENT;
    oracle->recovered += seen;
}

/* O4: what is left of a drop that was cut must not be a part. */
static void drops_whole(struct oracle *oracle)
{
    for (uint32_t id = 1; id < oracle->count; id++) {
        const struct oracle_entry *one = &oracle->entries[id - 1], *two = &oracle->entries[id];
        if (one->position.segment == two->position.segment && one->position.segment != 0 &&
            one->acknowledged && two->acknowledged && !one->excused && !two->excused &&
            one->drop != two->drop)
            sim_fail(oracle->sim, "O4: a part of segment %u was dropped", one->position.segment);
    }
}

void oracle_recovered(struct oracle *oracle)
{
    bool prefix_ended = false;
    for (uint32_t id = 0; id < oracle->count; id++)
        settle(oracle, id, &prefix_ended);
    drops_whole(oracle);
    oracle->first_of_life = oracle->answered = oracle->count;
}

void oracle_read(struct oracle *oracle, struct log *log, uint32_t id, bool errors_allowed)
{
    const struct oracle_entry *entry = &oracle->entries[id];
    uint32_t size = entry->body_size;
    if (entry->type != LOG_RECORD_MESSAGE)
        return;
    char *data = malloc(2 * (size_t)size + 16), *want = data + size + 8; /* of this life */
    if (data == NULL)
        return;
    int64_t got = log_read_body(log, entry->position, size, 0, data, size);
    oracle_body(id, want, size);
    if (got < 0 && !(errors_allowed && got == -EIO) && oracle_is_present(entry))
        sim_fail(oracle->sim, "reading record %u: %lld", id, (long long)got);
    if (got >= 0 && (got != size || memcmp(data, want, size) != 0))
        sim_fail(oracle->sim, "O1: the body of record %u is not what was sent", id);
    free(data);
}
