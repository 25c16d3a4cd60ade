/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What somebody outside the crash domain knows about the users of a store: what was sent and
 * answered, and what was seen last.
 *
 *   M1 an acknowledged delivery shows up, in one mailbox of each recipient, once in all lives
 *   M2 one that was not acknowledged shows up whole, or not; what was absent after a recovery
 *      though it was to be seen at once does not come later twice
 *   M3 a user's own changes are seen exactly as acknowledged; of the one that was under way when
 *      the life ended, all or nothing
 *   M4 UIDs, MODSEQs, UIDVALIDITYs of a name only grow
 *   M5 what was removed stays removed
 */
#ifndef RINGPOST_TESTS_STORE_MODEL_H
#define RINGPOST_TESTS_STORE_MODEL_H

#include "ringpost/store.h"
#include "sim.h"

enum {
    MODEL_USERS = 5,
    MODEL_BOXES = 24,
    MODEL_MAILS = 160,
    MODEL_NUMBERS = 4096,
    MODEL_NAME_BYTES = 24,
    MODEL_RECIPIENTS = 3
};

struct model_mail {
    uint32_t uid; /* 0: not known yet */
    uint32_t number;
    uint16_t flags;
};

struct model_box {
    char name[MODEL_NAME_BYTES];
    uint32_t uidvalidity; /* 0: not known yet */
    uint32_t uidnext;     /* at least */
    uint64_t modseq;      /* at least */
    uint32_t count;
    struct model_mail mails[MODEL_MAILS];
};

struct model_state {
    unsigned count;
    struct model_box boxes[MODEL_BOXES];
};

struct model_user {
    char name[16];
    bool exists;    /* its default folders were acknowledged or seen */
    bool uncertain; /* `after` may have happened as well as `now` */
    struct model_state now, after;
    struct {
        char name[MODEL_NAME_BYTES];
        uint32_t uidvalidity;
    } highest[64];
    unsigned highest_count;
};

/* A message that was sent to somebody; appended ones have no recipients. */
struct model_number {
    unsigned recipient_count;
    unsigned users[MODEL_RECIPIENTS];
    bool acknowledged, at_once[MODEL_RECIPIENTS], seen[MODEL_RECIPIENTS];
    uint64_t acknowledged_at; /* model->acknowledgements then */
};

struct model {
    struct sim *sim;
    struct model_user users[MODEL_USERS];
    struct model_number numbers[MODEL_NUMBERS];
    uint32_t number_count;
    struct model_state actual; /* what was read last */
    uint64_t acknowledgements, read_began, checks, delivered;
};

void model_begin(struct model *model, struct sim *sim);
uint32_t model_number_new(struct model *model);
/* The text of message `number`; returns its size. */
size_t model_text(uint32_t number, char *data, size_t capacity);
enum { MODEL_TEXT_MAX = 9000 };
struct model_box *model_box(struct model_state *state, const char *name);
struct model_box *model_box_add(struct model_state *state, const char *name);
void model_box_remove(struct model_state *state, const char *name);
struct model_mail *model_mail(struct model_box *box, uint32_t uid);
void model_mail_add(struct model_box *box, uint32_t uid, uint32_t number, uint16_t flags);
void model_mail_remove(struct model_box *box, uint32_t uid);
/* Reads all that the user has. Fiber of the user's core. 0 or -errno (unreadable because of a
 * fault). */
int model_read(struct model *model, struct account *account);
/* Compares what was read with what the user must have, and takes it over. */
void model_compare(struct model *model, unsigned user, const char *when);
/* Everything acknowledged has been seen. */
void model_finish(struct model *model);

#endif
