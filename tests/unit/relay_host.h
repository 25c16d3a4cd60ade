/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail stores that speak LMTP and do what they are told, and relay.h before them, for tests of
 * src/relay. What they take is noted with a checksum, so that a test can say who has what.
 */
#ifndef RINGPOST_TESTS_RELAY_HOST_H
#define RINGPOST_TESTS_RELAY_HOST_H

#include "harness.h"
#include "ringpost/relay.h"

enum { LMTP_BACKENDS = 8, LMTP_RECORDS_MAX = 8192 };

/* Where a backend may do something else than go on; END once for each recipient. */
enum lmtp_step { LMTP_CONNECT, LMTP_LHLO, LMTP_MAIL, LMTP_RCPT, LMTP_DATA, LMTP_END };
enum lmtp_deed {
    LMTP_PLAYS,
    LMTP_CLOSES,
    LMTP_HANGS,
    LMTP_BUSY,  /* 421, and closes */
    LMTP_LATER, /* 451 */
    LMTP_NO,    /* 550 */
    LMTP_BABBLES
};

/* A message that was taken for somebody. */
struct lmtp_record {
    unsigned backend;
    uint32_t crc;
    size_t size;
    char to[80];
    bool is_answered; /* with 250 */
};

struct lmtp_plan {
    enum lmtp_step at;
    enum lmtp_deed deed;
    const char *to; /* only for addresses that begin so; NULL: all */
    unsigned times; /* 0: nothing is planned */
};

struct lmtp {
    struct lmtp_plan plan[LMTP_BACKENDS];
    /* In place of the plans; NULL: these. */
    enum lmtp_deed (*deed)(unsigned backend, enum lmtp_step step, struct slice to);
    uint64_t think_ns; /* before what follows the message */
    bool with_chunking;
    /* what was seen */
    unsigned connections[LMTP_BACKENDS], mails[LMTP_BACKENDS], asked[LMTP_BACKENDS];
    unsigned open, most_open;
    unsigned quits;
    char from[80];
    struct lmtp_record records[LMTP_RECORDS_MAX];
    unsigned record_count;
};
extern struct lmtp lmtp;
void lmtp_forget(void); /* all but the plans */
/* Listens for all of them, on this core. Fiber; 0 or -errno, and nothing is open. */
int lmtp_open(struct core *core, struct listener *listeners[LMTP_BACKENDS]);
void lmtp_close(struct core *core, struct listener *listeners[LMTP_BACKENDS]);
/* The port of the n-th; behind them is one where nobody listens. */
unsigned lmtp_port(unsigned number);
/* How often he has the message; *ret_backend: where last, LMTP_BACKENDS: nowhere. */
unsigned lmtp_count(const char *to, struct slice message, unsigned *ret_backend);

struct relay_world {
    void (*body)(struct core *core, struct relay_world *world); /* on core 0 */
    unsigned backends;                                          /* b0, b1, ... */
    unsigned dead; /* a bit for each: nobody listens there */
    struct backend_pool_options options;
    struct relay_options relay;
    const struct backend_pool *pool; /* in the body */
    struct backend_states *states;
    struct backend_table *table;
    struct backend_options members[LMTP_BACKENDS];
    _Atomic unsigned opened, done, closed;
};
/* Options as most tests want them. */
void relay_world_make(struct relay_world *world, unsigned backends);
/* The table, of world->options; aborts when it cannot. */
void relay_world_table(struct relay_world *world, unsigned cores);
/* Two cores; afterwards nothing is left of it. */
void relay_world_run(struct relay_world *world);

/* One who hands in mail. */
struct relay_sender relay_sender_double(void);
/* Fills a recipient: user, address, no attributes. */
struct relay_recipient relay_recipient_double(const struct relay_world *world, const char *address);

/* ---------------------------------------------------------------- letters */

enum { LETTER_MAX = 260 };

/* One message for several, and their names. */
struct letter {
    struct relay_message message;
    unsigned count;
    struct relay_recipient to[LETTER_MAX];
    char names[LETTER_MAX][80];
};
struct letter *letter_make(void); /* for free() */
/* To name@example.com. */
struct relay_recipient *letter_to(struct letter *letter, const struct relay_world *world,
                                  const char *name);
void letter_send(struct core *core, struct letter *letter);
/* The reply begins so. */
void check_reply(const struct relay_recipient *recipient, int result, const char *reply);
/* Which backend has it for the index-th: once, and nowhere else. */
unsigned where(const struct letter *letter, unsigned index);
/* Where the user is now, as his home core knows it; LMTP_BACKENDS: nowhere. */
unsigned bound_to(struct core *core, const struct relay_world *world, const char *user);
unsigned hashed_to(struct core *core, const struct relay_world *world, const char *user);
/* A name, without its domain, that the hash gives to that backend; the n-th of them. */
void name_of(struct core *core, const struct relay_world *world, unsigned backend, unsigned n,
             char name[40]);
uint64_t relay_counter(struct core *core, enum counter which);

#endif
