/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POP3 as a client (RFC 1939, 2449, 2595, 5034), a function a command, or several in one where the
 * server takes them so (PIPELINING). Each gives 0 or an enum load_error that has been counted.
 * After LOAD_TEMPORARY and LOAD_PERMANENT (-ERR) the connection goes on; after all others it is
 * closed.
 */
#ifndef RINGPOST_BENCH_POP3_H
#define RINGPOST_BENCH_POP3_H

#include "mailbox.h"
#include "peer.h"

enum {
    POP3_MESSAGES_MAX = 10000000, /* that STAT may claim */
    POP3_AHEAD_MAX = 32           /* commands sent ahead of their answers */
};

/* peer.capabilities */
enum {
    POP3_STLS = 1 << 0,
    POP3_USER = 1 << 1,
    POP3_AUTH_PLAIN = 1 << 2,
    POP3_PIPELINING = 1 << 3,
    POP3_UIDL = 1 << 4,
    POP3_KNOWN = 1 << 31 /* CAPA was answered */
};

/* Zero-initialised; embedded in its worker. */
struct pop3 {
    struct peer peer;
    struct load_worker *worker;
    uint32_t messages; /* as STAT said */
    uint64_t bytes;
};

/* Connects, greeting, CAPA, TLS, CAPA again. `number` as in peer_open. */
int pop3_open(struct pop3 *pop3, struct load_worker *worker, unsigned number);
int pop3_login(struct pop3 *pop3, unsigned user);
int pop3_read_stat(struct pop3 *pop3);
/* LIST, and UIDL where there is one: as many lines as STAT said. */
int pop3_read_list(struct pop3 *pop3);
/* RETR of messages first ... last, streamed to the reader (NULL: passed over). */
int pop3_retrieve(struct pop3 *pop3, uint32_t first, uint32_t last,
                  const struct mailbox_reader *reader);
int pop3_delete(struct pop3 *pop3, uint32_t first, uint32_t last);
/* QUIT, and closes. An error: deletions may not have been done. */
int pop3_leave(struct pop3 *pop3);
/* Before the worker ends. */
void pop3_forget(struct pop3 *pop3);

/* Reads the maildrop of user number `user` from beginning to end, on a connection of its own. */
int pop3_read_mailbox(struct load_worker *worker, unsigned user,
                      const struct mailbox_reader *reader);

#endif
