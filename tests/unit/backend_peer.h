/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A backend that plays a script, whatever the protocol, and one log-in at it. A script is lines:
 *
 *   > text   is sent, with CRLF      < text   must come, with CRLF; a '*' at its end: begins so
 *   + text   is sent, without        proxy    a PROXY header must come (peer.header)
 *   tls      handshake, as server    close    the end; reset: the same
 *   stall    nothing more is said    more     the next connection goes on behind this
 *
 * "\r", "\n", "\0" and "\\" in a text are what C makes of them. At the script's end the
 * connection is held until the other side closes.
 */
#ifndef RINGPOST_TESTS_BACKEND_PEER_H
#define RINGPOST_TESTS_BACKEND_PEER_H

#include "ringpost/backend.h"
#include "tls_client_host.h"

enum { PEER_BACKENDS = 3, PEER_ANSWERS_MAX = 40 };

struct peer {
    const char *script[PEER_BACKENDS]; /* of each backend, one a port */
    size_t cut;                        /* after so many bytes of the answers a pause; 0: none */
    unsigned stop_at; /* at this answer (from 1) it does what `stop` says instead; 0: never */
    const char *stop; /* "close", "reset", "stall" */
    bool is_tls;      /* from the first byte */
    void (*begin)(void), (*end)(void); /* around the log-in itself; NULL: nothing */
    bool adopts;                       /* the same table anew before each further log-in */
    /* what was seen */
    unsigned connections[PEER_BACKENDS], sessions, answers, resumed;
    size_t answer_bytes;
    uint8_t header[400];
    size_t header_size;
    char problem[400]; /* what came instead of what should; "" */
};
extern struct peer peer;

extern unsigned peer_ports_first; /* of a program's own, below those of clients */
/* The port of the n-th backend; PEER_BACKENDS of them, and then one where nobody listens. */
unsigned peer_port(unsigned number);

/* Which log-in, and what is to become of it. */
struct peer_login {
    enum backend_protocol protocol;
    const char *script;
    const char *user, *secret, *attributes; /* NULL: "user@example.com", "secret", "" */
    enum auth_mechanism mechanism;          /* 0: PLAIN */
    bool no_secret, waits, is_native, is_proxy, is_master, any_address, is_tls, is_start_tls;
    unsigned backends; /* 0: 1 */
    unsigned dead;     /* so many of the first have nobody listening */
    bool (*gone)(void *argument);
    uint64_t login_ms; /* 0: 5000 */
    unsigned times;    /* one after the other; 0: 1 */
    unsigned ttl;      /* 0: BACKEND_TTL_FIRST */
    const char *host;  /* for TLS, of the first backend; NULL: what its certificate says */
    const char *ca;    /* NULL: that of its certificate */
    bool is_pinned;    /* to another certificate */
    int result;
    const char *text, *capabilities, *problem, *code; /* NULL: not looked at; "": none */
};

struct peer_result {
    int result;
    struct backend_answer answer;
    uint64_t logins, failures, refused; /* of the first backend */
    size_t unread;                      /* behind the answer */
    char behind[100];
};
/* Fiber. Runs it, closes what came of it; scripts beyond the first are peer.script's. */
void peer_log_in(struct core *core, const struct peer_login *login, struct peer_result *ret_result);
/* And compares with what was wanted. */
void peer_check(struct core *core, const struct peer_login *login);
/* A check (backend_probe); the result, capabilities in `text`. */
int peer_probe(struct core *core, const struct peer_login *login,
               char text[BACKEND_CAPABILITY_BYTES_MAX + 1], const char **ret_problem);
/* Runs body(core) with the backends listening. */
void peer_run(void (*body)(struct core *core));

#endif
