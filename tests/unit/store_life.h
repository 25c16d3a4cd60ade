/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lives of a store on the real kernel, for tests: opened on every core, a body run on a fiber of
 * core 0, closed again; and short forms of what tests do most.
 */
#ifndef RINGPOST_TESTS_STORE_LIFE_H
#define RINGPOST_TESTS_STORE_LIFE_H

#include <stdatomic.h>

#include "ringpost/core.h"
#include "ringpost/store.h"

/* cmocka's own assertions jump to another stack, which bodies on fibers must not do. */
#define check(condition)      ((condition) ? (void)0 : failed(__LINE__, #condition, 0, 0))
#define check_equal(is, want) check_numbers(__LINE__, #is, (int64_t)(is), (int64_t)(want))

_Noreturn void failed(int line, const char *what, int64_t is, int64_t want);
void check_numbers(int line, const char *what, int64_t is, int64_t want);

struct life {
    struct engine *engine;
    const char *directory;
    void (*body)(struct core *core);
    unsigned shards;
    uint64_t index_bytes_max;
    int want; /* of store_open */
    atomic_uint open;
};

void live_as(struct life life, unsigned cores);
/* A life with three shards. */
void live(const char *directory, unsigned cores, void (*body)(struct core *core));
/* A new directory under /tmp; its name is valid until the next call. */
char *directory_new(void);
void directory_remove(const char *directory);

struct message_body *body_of(struct core *core, struct slice text);
int deliver(struct core *core, const char *user, const char *mailbox, const char *text);
const char *user_here(struct core *core); /* one whose home is core 0 */
struct account *open_account(struct core *core, const char *user);
struct mailbox *find(struct account *account, const char *name);
void check_text(struct mailbox *mailbox, const struct mail_entry *entry, const char *want);
uint32_t append(struct core *core, struct mailbox *mailbox, const char *text, uint16_t flags,
                uint64_t keywords);

#endif
