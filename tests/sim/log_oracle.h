/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What somebody outside the crash domain knows about a log: what was sent, what was acknowledged,
 * what was seen after each recovery. Used by the power-cut loop and by the sweeps.
 *
 *   O1 acknowledged, and its segment not dropped: present after every recovery, byte for byte
 *   O2 not acknowledged: present or absent, whole; decided by the first recovery, for ever
 *   O3 failed, and the log has resumed since: absent for ever
 *   O4 dropped: absent for ever; a drop that was cut: all of the segment or nothing
 *   O5 in order, each once, sequences and positions growing; of what was sent and not answered
 *      when the life ended, a prefix
 *   O6 acknowledgements come in the order of the appends
 */
#ifndef RINGPOST_TESTS_LOG_ORACLE_H
#define RINGPOST_TESTS_LOG_ORACLE_H

#include "../../src/store/log.h"
#include "sim.h"

enum { ORACLE_ENTRIES_MAX = 8192, ORACLE_META_MAX = 4096 };

struct oracle_entry {
    uint8_t type;
    bool acknowledged, failed, settled; /* settled: O3 holds */
    enum { FATE_OPEN, FATE_PRESENT, FATE_ABSENT } fate;
    enum { DROP_NONE, DROP_MAYBE, DROP_DONE } drop;
    bool excused; /* damaged on purpose: may be missing */
    uint32_t life, seen;
    uint32_t meta_size, body_size;
    struct log_position position;
    uint64_t sequence;
};

struct oracle {
    struct sim *sim;
    struct oracle_entry entries[ORACLE_ENTRIES_MAX];
    uint32_t count, life, recovery;
    uint32_t first_of_life, answered; /* entries below it have been answered */
    uint32_t last_seen;               /* 1 + the id replayed last, 0: none */
    uint64_t last_sequence;
    struct log_position last_position, from;
    uint64_t acknowledged, recovered;
};

void oracle_begin(struct oracle *oracle, struct sim *sim);
void oracle_life(struct oracle *oracle); /* before each log_open */
/* A new entry with drawn sizes, its id; room bytes at most on disk. */
uint32_t oracle_new(struct oracle *oracle, enum log_record_type type, uint32_t body_size,
                    uint32_t meta_size);
void oracle_meta(const struct oracle *oracle, uint32_t id, char *data);
void oracle_body(uint32_t id, char *data, size_t size);
void oracle_sent(struct oracle *oracle, uint32_t id, const struct log_append *append);
void oracle_answer(struct oracle *oracle, uint32_t id, int result);
void oracle_drop(struct oracle *oracle, uint32_t segment, bool is_done);
/* The replay function of log_open (argument: the oracle), and what is due after it. */
int oracle_replay(void *argument, const struct log_record *record);
void oracle_recovered(struct oracle *oracle);
/* Reads one entry's body and compares. errors_allowed: -EIO is an answer too. */
void oracle_read(struct oracle *oracle, struct log *log, uint32_t id, bool errors_allowed);
bool oracle_is_present(const struct oracle_entry *entry);

#endif
