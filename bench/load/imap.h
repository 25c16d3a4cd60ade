/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IMAP as a client (RFC 3501 and 9051), a function a command. Each waits on its fiber for the
 * tagged answer, records its phase, and gives 0 or an enum load_error that has been counted. After
 * LOAD_TEMPORARY and LOAD_PERMANENT (NO, BAD) the connection goes on; after all others it is
 * closed.
 *
 * What the server says of the mailbox (EXISTS, EXPUNGE) is followed, so that sequence numbers are
 * right; what cannot be (EXISTS going down, EXPUNGE of what is not there) is LOAD_NONSENSE.
 */
#ifndef RINGPOST_BENCH_IMAP_H
#define RINGPOST_BENCH_IMAP_H

#include "content.h"
#include "mailbox.h"
#include "peer.h"

enum {
    IMAP_UNTAGGED_MAX = 4000000, /* untagged responses to one command */
    IMAP_NESTED_MAX = 64,        /* lists within lists */
    IMAP_PIECES_MAX = 10000,     /* literals of one response */
    IMAP_ATOM_BYTES_MAX = 1024,
    IMAP_PIPELINED_MAX = 16 /* APPENDs sent ahead of their answers */
};

/* peer.capabilities */
enum {
    IMAP_STARTTLS = 1 << 0,
    IMAP_LOGIN_DISABLED = 1 << 1,
    IMAP_AUTH_PLAIN = 1 << 2,
    IMAP_SASL_IR = 1 << 3,
    IMAP_LITERAL_PLUS = 1 << 4,
    IMAP_LITERAL_MINUS = 1 << 5, /* literals of at most 4096 bytes without waiting */
    IMAP_UIDPLUS = 1 << 6,
    IMAP_IDLE = 1 << 7,
    IMAP_KNOWN = 1 << 31 /* the server has said what it can */
};

/* Zero-initialised; embedded in its worker. */
struct imap {
    struct peer peer;
    struct load_worker *worker;
    bool is_selected, is_idle;
    bool is_shared;  /* set by the scenario: other sessions may expunge, so NO and no data are in
                            order where a message is asked for */
    bool is_refused; /* the last command got such a NO */
    uint32_t exists; /* messages, as the server counts them */
    uint32_t uid_validity, uid_next; /* as SELECT said; 0: it did not */
    uint32_t found;                  /* by the last SEARCH, how many */
    uint32_t uid;                    /* of the last FETCH or APPEND; 0: not said */
    uint32_t fetched;                /* messages that the last FETCH gave data of */
};

/* Connects, greeting, TLS, and what the server can do. `number` as in peer_open. */
int imap_connect(struct imap *imap, struct load_worker *worker, unsigned number);
/* As user number `user`: LOGIN, or AUTHENTICATE PLAIN where that is disabled. */
int imap_login(struct imap *imap, unsigned user);
int imap_select(struct imap *imap); /* INBOX */
int imap_noop(struct imap *imap);
/* ENVELOPE FLAGS UID RFC822.SIZE of messages first ... last. */
int imap_list(struct imap *imap, uint32_t first, uint32_t last);
/* BODY.PEEK[HEADER] of one. */
int imap_header(struct imap *imap, uint32_t sequence);
/* BODY.PEEK[] of first ... last, streamed to the reader (NULL: passed over). */
int imap_fetch(struct imap *imap, uint32_t first, uint32_t last,
               const struct mailbox_reader *reader);
/* The flag on or off: by UID when it is not 0, else by sequence number. */
int imap_store(struct imap *imap, uint32_t uid, uint32_t sequence, bool on, const char *flag);
int imap_search(struct imap *imap, const char *criteria);
int imap_append(struct imap *imap, const struct content_message *message);
/* The same in two parts, for several at once (at most IMAP_PIPELINED_MAX; only with
 * IMAP_LITERAL_PLUS): sends; and reads the answers, in order. */
int imap_append_send(struct imap *imap, const struct content_message *message);
int imap_append_answer(struct imap *imap, uint32_t tag);
/* UID EXPUNGE of one message where the server can, else EXPUNGE. */
int imap_expunge_uid(struct imap *imap, uint32_t uid);
/* IDLE until the continuation; then the connection may be left without a fiber. Ends it by DONE. */
int imap_idle(struct imap *imap);
int imap_idle_done(struct imap *imap);
/* Takes a line that came during IDLE: 0 or an error; not counted, nothing closed, any context. */
int imap_idle_line(struct imap *imap, struct slice line);
/* LOGOUT, and closes. 0 also for a connection that is not open. */
int imap_logout(struct imap *imap);
/* Before the worker ends. */
void imap_forget(struct imap *imap);

/* Reads the INBOX of user number `user` from beginning to end, on a connection of its own. */
int imap_read_mailbox(struct load_worker *worker, unsigned user,
                      const struct mailbox_reader *reader);

#endif
