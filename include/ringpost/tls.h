/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS for streams, as the server and as the client: certificates and policy (settings), what each
 * core keeps of them, and what is known of a connection. The stream itself keeps the calls of
 * stream.h.
 *
 *   files ─▶ tls_settings_make: parsed, checked, immutable ─▶ tls_adopt on every core ─▶ new
 *     connections use them; those that are there keep what they began with
 *
 *   stream_secure ─▶ HELLO (gathered until SNI is known) ─▶ HANDSHAKE ─▶ SECURE ─▶ owner->secured
 *                                │ deadline, size, bad bytes ─▶ stream->end, owner->input
 *
 * No fiber is held in a server's handshake. TLS 1.2 and 1.3; no renegotiation, no post-handshake
 * authentication, no 0-RTT, no session-ID cache. Tickets are sealed with keys that exist in memory
 * only, are the same on all cores, change with time, and are bound to service and SNI: a ticket
 * from elsewhere means a full handshake.
 *
 * Invariants:
 *   T1 While wolfSSL's own output buffer is being sent, wolfSSL is not called for that connection.
 *   T2 After close_notify, an alert or an error nothing of the peer's is read, ever.
 *   T3 Bytes received before stream_secure never reach a reader after it.
 */
#ifndef RINGPOST_TLS_H
#define RINGPOST_TLS_H

#include "ringpost/core.h"
#include "ringpost/stream.h"

enum {
    TLS_PAIRS_MAX = 10000,       /* certificates of one settings */
    TLS_NAME_BYTES_MAX = 253,    /* of a host name */
    TLS_HELLO_BYTES_MAX = 16389, /* one record: what is gathered until SNI is known */
    TLS_BINDING_BYTES = 32,      /* of tls-exporter (RFC 9266) */
    TLS_PIN_BYTES = 32,
    TLS_PINS_MAX = 16
};

/* ---------------------------------------------------------------- the library */

/* Once in the process, before the first core runs: initialises wolfSSL; its randomness comes from
 * kernel_random(kernel) from then on. 0 or -errno. */
int tls_library_open(struct kernel *kernel);
void tls_library_close(void);

/* ---------------------------------------------------------------- settings */

enum tls_profile {
    TLS_MODERN,      /* TLS 1.3, and TLS 1.2 with ECDHE and AEAD suites */
    TLS_INTERMEDIATE /* and ECDHE with CBC for TLS 1.2 clients of before 2014 */
};

/* A certificate (PEM, leaf first, then its chain) and its key (PEM, not encrypted). */
struct tls_pair {
    const char *name; /* what to call it in problems: the file */
    struct slice certificate, key;
};

struct tls_options {
    const struct tls_pair *pairs; /* chosen by SNI (exact name, then "*.", else the first) */
    unsigned pair_count;          /* 1...TLS_PAIRS_MAX */
    enum tls_profile profile;
    struct slice client_ca; /* PEM; empty: certificates of clients are not asked for */
    bool client_required;   /* no handshake without one */
    uint64_t ticket_ms_max; /* how long a ticket is good; keys change twice in that time; 0: none */
    uint8_t ticket_secret[32]; /* random; the same in later settings keeps tickets good */
};

struct tls_settings; /* immutable, shared by all cores, counted */

/* Parses and checks: each pair belongs together, is for host names, is not expired at wall_ns and
 * not too weak (RSA below 2048 bits, SHA-1, MD5). problem() is told each fault, by the pair's name.
 * 0; -EINVAL with *ret_settings untouched; -ENOMEM. Keys are wiped when the settings go; `options`
 * is not needed afterwards (wiping it is the caller's). Blocking: start-up and helper threads. */
int tls_settings_make(const struct tls_options *options, int64_t wall_ns,
                      void (*problem)(void *argument, const char *name, const char *what),
                      void *argument, struct tls_settings **ret_settings);
struct tls_settings *tls_settings_ref(struct tls_settings *settings); /* from any thread */
void tls_settings_unref(struct tls_settings *settings);               /* NULL is allowed */
/* Seconds since 1970 at which the first of its certificates ends. */
int64_t tls_settings_end(const struct tls_settings *settings);

/* On each core, after net_open: from now on new connections use them; may be called again at any
 * time. 0, or -errno and what was before stays. Not on a fiber's stack: call it from the core's
 * turn, or a fiber of at least 256 KiB. net_close gives all back. */
int tls_adopt(struct core *core, struct tls_settings *settings);

/* ---------------------------------------------------------------- a connection */

/* What a listener asks of its connections; outlives them. */
struct tls_service {
    const char *alpn; /* "imap", "pop3", "smtp": others are refused, none is accepted */
    uint32_t id;      /* of the service: tickets are bound to it */
};

/* Switches the stream to TLS. Unread bytes are dropped, or with `keep_unread` (implicit TLS, behind
 * a PROXY header) are the beginning of the handshake. Queued output is sent in clear first. From
 * the core's turn or a fiber, with no reading call under way; then owner->secured, or owner->input
 * with stream->end set: -EPROTO (the handshake failed: stream_tls_problem), -ETIMEDOUT (the
 * deadline), -EPIPE ... 0; or, with the stream as it was, its `end` when it has ended already,
 * -ENOMEM, -ENOENT when the core has no settings. */
int stream_secure(struct stream *stream, const struct tls_service *service, bool keep_unread);

/* ---------------------------------------------------------------- as the client */

struct tls_client_options {
    struct slice ca; /* PEM of the authorities to verify against; empty: the peer's
                                certificate is not looked at, but for the pins */
    const uint8_t (*pins)[TLS_PIN_BYTES]; /* SHA-256 of certificates: the peer's own must be one of
                                them. Without a `ca` that is all that is asked of it: authority,
                                names and dates are not looked at */
    unsigned pin_count;                   /* 0...TLS_PINS_MAX */
    const char *alpn;                     /* offered; NULL: none */
    struct tls_pair pair;                 /* our own certificate; empty: none */
    bool tls_12_only;                     /* no TLS 1.3 */
    enum tls_profile profile;
};
struct tls_client; /* of one core: made, used and freed on it */
/* 0; -EINVAL (PEM not understood), -ENOMEM. Not on a small stack, see tls_adopt. */
int tls_client_make(struct core *core, const struct tls_client_options *options,
                    struct tls_client **ret_client);
void tls_client_free(struct tls_client *client); /* connections of it may go on */

struct tls_session;                                 /* what a client keeps to resume */
void tls_session_free(struct tls_session *session); /* NULL is allowed */
/* Shakes hands as the client and waits for the end of it: on a fiber with no other call under way;
 * the stream's deadline bounds it. The host's name is sent as SNI and, with a `ca`, must be in the
 * certificate; an IPv4 or IPv6 address is not sent, and must be in it likewise. NULL: none is sent,
 * and any will do. Unread bytes are dropped, queued output is sent in clear first. `resume` may be
 * NULL and stays the caller's; it must come from a client of the same ca and pins, for a server
 * that resumes shows no certificate.
 * 0; -EPROTO (stream_tls_problem says why), -EPIPE, -ETIMEDOUT ... as the stream's end: close it
 * then. */
int stream_secure_client(struct stream *stream, struct tls_client *client, const char *host,
                         struct tls_session *resume);
/* The session to resume later, by one connection at a time; with TLS 1.3 tickets come behind the
 * handshake, so ask after the first answer. NULL: there is none. */
struct tls_session *stream_tls_session(struct stream *stream);

/* ---------------------------------------------------------------- of both */

/* The handshake is done: all that is read and written is encrypted. */
bool stream_is_secure(const struct stream *stream);
/* stream_secure was called. */
bool stream_has_tls(const struct stream *stream);
/* Why TLS ended the stream: "unsupported version", "no_application_protocol", ... or NULL. */
const char *stream_tls_problem(const struct stream *stream);

struct tls_certificate; /* private to net */

/* All slices live as long as the stream and are empty when there is nothing to say. */
struct tls_info {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    struct slice server_name;     /* SNI, lower case */
    bool is_resumed;
    bool has_certificate; /* the peer's, verified against the authorities; what follows is of it */
    struct slice email, common_name;      /* rfc822Name of the subject's alternative names; CN */
    struct slice subject, issuer, serial; /* as text; serial in hexadecimal */
    uint8_t fingerprint[32];              /* SHA-256 of the certificate */
};
void stream_tls_info(const struct stream *stream, struct tls_info *ret_info);
/* tls-exporter (RFC 9266). False: not TLS 1.3, or not secure. */
bool stream_tls_binding(const struct stream *stream, uint8_t ret_binding[TLS_BINDING_BYTES]);

#endif
