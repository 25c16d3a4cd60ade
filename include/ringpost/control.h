/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The operator's door: a line protocol on a Unix socket, for the program's own commands (`ringpost
 * backend ...`) and for scripts. Who may open the socket's file may do everything; there is no
 * other log-in, and no TCP.
 *
 *   > BACKENDS                            a command a line, ended by LF or CRLF
 *   < {"pool":"mail","name":"imap1",...}  rows, one JSON object a line
 *   < {"ok":true,"rows":2}                the end: "ok" or "error" is the first member
 *   > DRAIN imap7
 *   < {"error":"there is no backend imap7; did you mean imap1?","code":"not_found"}
 *
 * Long work tells how it goes by rows whose first member is "progress". Lists are gathered from the
 * cores in bounded batches and sent as fast as the client reads: a list of sessions is a snapshot
 * of each batch, not of one moment; who comes or goes meanwhile may be missing, or stand twice.
 *
 * Moving a user (MOVE): what is to be is written down (exception_keeper), log-ins are
 * held, his sessions are ended, and when they are gone he is let in at the new backend, after the
 * delay that the old one has to let go of his mailbox.
 *
 * Invariants:
 *   O1 Each command is answered by rows and one last line; no answer but rows of lists has more
 *      than EVENT_BYTES_MAX bytes.
 *   O2 What a command holds does not grow with the number of sessions.
 *   O3 What was answered "ok" and is to survive a restart has been written durably before.
 *   O4 A user is let in at another backend only when his sessions are gone or the wait is over.
 */
#ifndef RINGPOST_CONTROL_H
#define RINGPOST_CONTROL_H

#include "ringpost/proxy.h"

/* Of a service with control_protocol. Shared by all cores, immutable while services run. */
struct control_options {
    const struct proxy_domain *domains; /* all that are fronted, sorted by name */
    unsigned domain_count;
    struct slice default_domain; /* of users without one; empty: none */
    uint64_t spread_ms;          /* DOWN without a time: sessions are ended over this */
};

/* Listen on a Unix socket of mode 0600. */
extern const struct session_protocol control_protocol;

enum {
    CONTROL_LINE_BYTES_MAX = 1000,
    CONTROL_MOVE_WAIT_MS_MAX = 10000, /* for a moved user's sessions to be gone */
    CONTROL_DELAY_MS = 2000,          /* MOVE without a delay */
    CONTROL_DELAY_MS_MAX = BACKEND_HOLD_MS_MAX - CONTROL_MOVE_WAIT_MS_MAX,
    CONTROL_SPREAD_MS_MAX = 3600000
};

/* ---------------------------------------------------------------- exceptions that survive
 *
 * Which users are elsewhere than the choice would put them, in a file or a Redis, looked at again
 * and again, so that several gateways agree and so that other programs may change it:
 *
 *   file:path             lines "user backend", blank lines, lines that begin with "#"
 *   redis://host:port/n   hash "ringpost:exceptions", user to backend, of database n; user@host
 *                         names who it is that the password belongs to
 *
 * A backend is NAME or POOL/NAME. What is read is checked as a whole; with mistakes nothing of it
 * is applied, each is in the log, and what was known stays. So it does while the place is not
 * there. A user whose exception has changed while the gateway runs is moved: his sessions at other
 * backends are ended, log-ins held.
 *
 * Invariants:
 *   K1 The set applied is one that stood there as a whole, and what was kept by us since.
 *   K2 exception_keeper_keep returns 0 only when the file, or Redis, has it.
 *   K3 Looking and keeping do not overlap.
 * All of it lives on core 0. */

enum { EXCEPTION_PASSWORD_BYTES_MAX = 512 };
struct exception_keeper_options {
    struct slice place;    /* as above */
    const char *path;      /* of the file, to be opened by; NUL-ended */
    uint64_t look_ms;      /* between looks */
    uint64_t wait_ms_max;  /* of a Redis, for each answer */
    struct slice password; /* for a Redis; empty: none */
    /* On a helper thread: another number when the file is another; 0: there is none. NULL: the file
     * is read at each look. */
    uint64_t (*stamp)(const char *path);
};

/* NULL, or what is wrong with the text and the fix. *ret_path: the path within a text "file:...",
 * else empty. */
const char *exception_place_check(struct slice place, struct slice *ret_path);

/* On core 0, on a fiber, when the backends of all cores are open and before services are: reads and
 * applies, then goes on looking. The options' texts outlive it. 0; -EINVAL (mistakes, in the log);
 * -errno of the file; a Redis that is not there yet is waited for in the background. Without it
 * moves are forgotten at the end of the process. */
int exception_keeper_open(struct core *core, const struct exception_keeper_options *options);
/* On a fiber of core 0, when sessions are gone and before the backends of any core close. */
void exception_keeper_close(struct core *core);
/* On core 0, outside fibers too: there are other backends now, and some exceptions may name one
 * that was not there. No effect without a keeper. */
void exception_keeper_again(struct core *core);
/* Writes it down; backend "": forgets it. On a fiber of any core. 0, also when there is no keeper;
 * -EBADMSG: the file has mistakes, and is left as it is; -errno. The caller tells the backends
 * (backend_exception_set). */
int exception_keeper_keep(struct core *core, struct slice user, struct slice backend);

#endif
