/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of relay share.
 *
 *   relay.c     options, set-up                  verify.c    call-outs and what is known of them
 *   deliver.c   recipients by backend, side by side, elsewhere when one fails
 *   transfer.c, transfer_data.c
 *               one transaction on one connection: MAIL, RCPTs, replies; data
 */
#ifndef RINGPOST_RELAY_PRIVATE_H
#define RINGPOST_RELAY_PRIVATE_H

#include <assert.h>

#include "ringpost/hash.h"
#include "ringpost/relay.h"
#include "ringpost/rows.h"

/* ---------------------------------------------------------------- a core's */

struct asking; /* a call-out under way (verify.c) */

enum { RELAY_ASKING_LISTS = 256, RELAY_FAILURE_LOG_MS = 1000, RELAY_HOLD_MS_MAX = 10000 };

struct relay {
    struct core *core;
    const struct relay_options *options;
    struct hash_key key;
    struct rows known;  /* answers to call-outs (verify.c) */
    struct timer sweep; /* of them; runs while there are any */
    struct asking *asking[RELAY_ASKING_LISTS];
    unsigned asking_count;
    unsigned deliveries;     /* under way */
    uint64_t failure_log_ns; /* when the next line may come */
    unsigned failures;       /* since the last one */
};

static inline struct relay *relay_of(const struct core *core)
{
    struct relay *relay = core_local(core, CORE_LOCAL_RELAY);
    assert(relay != NULL && "relay_open must be called on each core first");
    return relay;
}

/* Our own words in place of a backend's. */
void recipient_later(struct relay_recipient *recipient, const char *reply);
/* The same for what a call of backend.h has failed with. */
void recipient_failed(struct relay_recipient *recipient, int result);
bool sender_is_gone(const struct relay_sender *sender);
/* A place for him, waiting for a held user until hold_ns. As backend_place_take. */
int recipient_place(struct relay *relay, const struct relay_sender *sender,
                    const struct relay_recipient *recipient, uint64_t hold_ns,
                    struct backend_place **ret_place, const char **ret_problem);
/* Has recipient->address say what his directory says that the backend calls him, the sub-address
 * kept; *ret_named, for free(), or NULL, is where it lies. 0; -ENOMEM; -EAGAIN: it would be no
 * address. */
int recipient_name(struct relay_recipient *recipient, const struct backend_place *place,
                   char **ret_named);
/* What our side, or a backend's, is to blame for: a line a second. `path`, `problem` may be NULL.
 */
void relay_failed(struct relay *relay, const struct relay_sender *sender,
                  const struct relay_recipient *recipient, const char *path, const char *problem);

/* verify.c */
void known_open(struct relay *relay);
void known_close(struct relay *relay);
void known_adopt(struct relay *relay);
/* His backend has refused him: what was known of him is not so. */
void known_forget(struct relay *relay, const struct relay_recipient *recipient);

/* ---------------------------------------------------------------- one transaction (transfer.c) */

/* A connection where a transaction may begin. */
struct transfer {
    struct core *core;
    struct backend_link *link;
    struct slice offers; /* what LHLO was answered, as words.h has it */
    uint64_t deadline_ns;
    bool (*gone)(void *argument); /* as in struct relay_sender */
    void *argument;
    const char *problem; /* out: a literal, what failed on the way; NULL: nothing */
    bool may_come_twice; /* out: some are told "later" who may have the message already (R1) */
};

/* Fiber. The whole transaction; each recipient's result and reply are set. 0: all answers came, and
 * the connection could be used again; -EAGAIN with transfer->problem: it is to be closed. With
 * `ret_is_sent` false not one byte behind MAIL's answer was of use: all may be tried elsewhere. */
int transfer_message(struct transfer *transfer, const struct relay_message *message,
                     struct relay_recipient *const *recipients, unsigned count, bool *ret_is_sent);
/* Fiber. MAIL FROM:<> and RCPT only. As above. */
int transfer_ask(struct transfer *transfer, struct relay_recipient *recipient);
/* Fiber. QUIT; does not wait for long. The link is still to be closed. */
void transfer_leave(struct transfer *transfer);

#endif
