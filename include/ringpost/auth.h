/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may log in: users of directories (directory.h), by a password or by a SASL mechanism; hashes
 * are computed on helper threads, answers are cached, failures cost time.
 *
 * Invariants:
 *   A1 No password is hashed and no directory is asked on a core; the queues are bounded.
 *   A2 An unknown user costs and answers the same as a wrong password, and so do one who is
 *      disabled and one from a network that is not allowed.
 *   A3 A cache's key is the whole identity (user, secret, service, what it depends on); no user can
 *      see another's row.
 *   A4 Passwords and keys are wiped where they were copied, and never logged.
 *   A5 A directory that does not answer is "try later", never "wrong password".
 */
#ifndef RINGPOST_AUTH_H
#define RINGPOST_AUTH_H

#include "ringpost/arena.h"
#include "ringpost/core.h"
#include "ringpost/generation.h"

/* crypt(3) takes no longer passwords. */
enum { AUTH_USER_BYTES_MAX = 320, AUTH_PASSWORD_BYTES_MAX = 511 };

/* ---------------------------------------------------------------- the passwd file */

struct auth_users; /* immutable once read; shared by all cores */

/* "local@domain:hash[:anything...]" a line; '#' comments and empty lines. Names are taken in lower
 * case (ASCII) and must be unique; hashes must be of a crypt(3) method that the system knows and
 * that is not broken: yescrypt ($y$), SHA-512 ($6$), bcrypt ($2b$), SHA-256 ($5$), at a cost that
 * does not hold up others. A hash that begins with '!' or '*' is an account that nobody logs in to.
 * problem() is told each bad line (the first 100) with its number and the fix; bad lines make the
 * result -EINVAL with *ret_users untouched. 0 or -errno. `text` is not needed afterwards. */
int auth_users_parse(struct slice text,
                     void (*problem)(void *argument, unsigned line, const char *what),
                     void *argument, struct auth_users **ret_users);
void auth_users_free(struct auth_users *users);
unsigned auth_users_count(const struct auth_users *users);
/* The index-th user name; data NULL past the end. */
struct slice auth_users_name(const struct auth_users *users, unsigned index);

/* The mechanisms of SCRAM (bits, 1 << enum auth_mechanism) that every user who can log in has a
 * record for. Clients take the strongest mechanism that is offered and give up when it fails, so
 * one that some users cannot use shuts those out. */
uint32_t auth_users_scram(const struct auth_users *users);

/* Makes a hash for `ringpost user passwd` and the try-out, salt from `random` (16 bytes or more).
 * Schemes: "yescrypt" (SHA-512 where the system does not know it; also for an empty name),
 * "sha512", "argon2id" (64 MiB), "scram-sha-256" (the password must be UTF-8 without control
 * bytes). cost: crypt(3)'s, passes of argon2id, iterations of SCRAM; 0: default. text holds 256
 * bytes. Blocking and slow: not on a core. 0; -ENOTSUP: no such scheme; or -errno. */
int auth_hash(struct slice scheme, struct slice password, struct slice random, unsigned cost,
              char *ret_text);

/* ---------------------------------------------------------------- set-up */

struct auth_directory; /* directory.h */
struct auth_tokens;    /* what OAuth tokens are checked with: auth_tokens_make */

enum auth_mechanism { /* in the order of preference in which they are offered */
                      AUTH_SCRAM_SHA_256_PLUS,
                      AUTH_SCRAM_SHA_256,
                      AUTH_SCRAM_SHA_1_PLUS,
                      AUTH_SCRAM_SHA_1,
                      AUTH_OAUTHBEARER,
                      AUTH_XOAUTH2,
                      AUTH_EXTERNAL,
                      AUTH_PLAIN,
                      AUTH_LOGIN,
                      AUTH_MECHANISM_COUNT
};

/* By its name ("SCRAM-SHA-256"), in any case. */
bool auth_mechanism_find(struct slice name, enum auth_mechanism *ret_mechanism);

struct auth_options {
    const struct auth_users *users;           /* asked first; NULL: none */
    const struct auth_directory *directories; /* then these in order; the first that knows the
                                                 user counts, one that is not available ends
                                                 the search */
    unsigned directory_count;
    struct slice default_domain;      /* appended to a name without '@'; empty: such names fail */
    const struct auth_users *masters; /* who may log in as others ("user*master" with the master's
                                         password, or the authorization identity); NULL: nobody */
    char master_separator;            /* '*'; 0: none */
    const struct auth_tokens *tokens; /* NULL: no OAuth */
    uint32_t mechanisms;              /* bits (1 << enum auth_mechanism) that may be used at all */
    unsigned cache_entries_max;       /* per core; 0: no caches */
    uint64_t cache_ms_max;            /* how long a right answer is believed */
    uint64_t negative_ms_max;         /* how long "no such user" is */
    uint64_t stale_ms_max; /* how much longer when the directory is not available; 0: not */
    unsigned waiting_max;  /* hashes, and questions to directories, queued per core */
    uint64_t failure_ms_first, failure_ms_max; /* delay after a failure, doubling, per client
                                                  network (IPv4 /24... /32, IPv6 /48) and per
                                                  account */
    /* Users of these domains (lower case, sorted by bytes, the shorter first) are known to the
     * backends only: a name is taken as it is, a password or token is not judged here
     * (auth_judged), SCRAM is not for them. A token's user must then be named in the message.
     * Masters and certificates are judged here also for them. */
    const struct slice *judged_elsewhere;
    unsigned judged_elsewhere_count;
    uint8_t dummy_key[16]; /* what unknown users' SCRAM salts are made from: the same on all cores
                              and at every start, and nobody else's business */
    struct generation *generation; /* counted while a log-in uses these options; NULL: none */
};
/* Once per core. The options outlive it. 0 or -errno. */
int auth_open(struct core *core, const struct auth_options *options);
/* From now on these options; caches are kept as far as they are still true (a changed hash, a user
 * who is gone: not). Log-ins under way end with those they began with (options->generation). */
void auth_adopt(struct core *core, const struct auth_options *options);
void auth_close(struct core *core);

/* ---------------------------------------------------------------- who asks */

/* Slices live as long as the call. */
struct auth_client {
    const uint8_t *address; /* 16 bytes and family as in struct stream: for penalties, allow_nets */
    unsigned family;
    uint16_t port;
    const char *protocol; /* "imap", "pop3", "smtp" */
    uint64_t session_id;
    unsigned attempt;       /* log-ins tried in this session, this one included */
    bool is_secure;         /* under TLS */
    bool may_send_password; /* secure, or the listener takes passwords in clear */
    bool has_binding;       /* `binding` is tls-exporter's (RFC 9266) */
    uint8_t binding[32];
    struct slice hello;            /* SMTP: what the client calls itself */
    struct slice certificate_name; /* the user that its verified certificate names; else empty */
    const char *tls_version, *tls_cipher; /* NULL in clear */
    struct slice certificate_subject, certificate_issuer, certificate_serial;
    struct slice certificate_fingerprint; /* hexadecimal */
};

struct auth_result {
    struct slice user;  /* canonical; in `text` */
    bool is_unverified; /* auth_options.judged_elsewhere: nobody has looked at the password; what it
                           was worth is to be told by auth_judged. delay_ms is to be waited for
                           before the backend is asked, or guessing there would cost nothing */
    uint64_t delay_ms;  /* with 0 and -EACCES: how long to hold the answer back */
    /* private to auth: whose penalty that is, and what tells this guess from others */
    uint64_t network[2], account[2];
    uint32_t guess;
    char text[AUTH_USER_BYTES_MAX + 1];
};

/* ---------------------------------------------------------------- checking */

/* Fiber. 0; -EACCES (unknown user, wrong password, disabled, not from there: say the same for all);
 * -EAGAIN (temporary: queue full, directory not available, or a network under penalty that holds
 * too many answers back already); -EINVAL (name or password too long or holding NUL); -EPERM (in
 * clear, and the listener does not take it so; nothing was looked at). ret_result->user is set with
 * 0 only, delay_ms with 0 and -EACCES. From the cache it takes a microsecond and never a delay. A
 * network or an account under penalty waits also when the password is right, unless that user has
 * logged in from there lately. */
int auth_password(struct core *core, const struct auth_client *client, struct slice user,
                  struct slice password, struct auth_result *ret_result);

/* What a log-in has shown, for a backend that is to see it too. The memory is the caller's, and
 * wiped by him whatever the result. */
struct auth_proof {
    enum auth_mechanism mechanism;
    struct slice secret;     /* password, or OAuth token; data NULL: none (SCRAM, EXTERNAL, and a
                                master's, which is nobody else's business) */
    struct slice attributes; /* of the user's directory, "key=value\n" each */
    char *memory;            /* holds both; NULL: not wanted */
    size_t memory_bytes;     /* AUTH_PROOF_BYTES_MAX */
};
enum { AUTH_PROOF_BYTES_MAX = 10240 };
/* The same as auth_password and auth_sasl, and with 0 the proof as well. ret_proof may be NULL; its
 * memory is set by the caller. */
int auth_password_proof(struct core *core, const struct auth_client *client, struct slice user,
                        struct slice password, struct auth_result *ret_result,
                        struct auth_proof *ret_proof);
/* A log-in that was is_unverified has been judged by the backend: remembered, or one failure more
 * for network and account. `result` as the log-in left it, its delay waited for; what is due now
 * is result->delay_ms. Once for a log-in; not at all when the backend could not be asked. */
void auth_judged(struct core *core, const struct auth_client *client, bool is_right,
                 struct auth_result *result);

/* Fiber. Is there such a user (for RCPT)? `user` is local@domain in any case; from the cache if
 * possible. 0 with the canonical name in ret_result->user; -ENOENT; -EAGAIN, also for users who are
 * judged elsewhere: nobody here knows them. */
int auth_lookup(struct core *core, struct slice user, struct auth_result *ret_result);
/* The same, and with 0 the user's attributes in ret_proof, as after a log-in; no secret. */
int auth_lookup_proof(struct core *core, struct slice user, struct auth_result *ret_result,
                      struct auth_proof *ret_proof);

/* Fiber. Holds the answer back for result->delay_ms. Not at all when too many are held back already
 * (64 per core, 4 per network). */
void auth_wait(struct core *core, const struct auth_result *result);

/* Overwrites a password where it lies; the memory must be writable (a line of a stream, an arena).
 */
void auth_wipe(struct slice secret);

/* ---------------------------------------------------------------- SASL (RFC 4422) */

enum {
    AUTH_MECHANISMS_BYTES_MAX = 160, /* of the names of all, blanks between */
    AUTH_MESSAGE_BYTES_MAX = 9216    /* of one message of a mechanism, decoded (tokens are long) */
};

/* How a mechanism talks with the client; messages are plain bytes here, base64 is the caller's. */
struct auth_exchange {
    struct slice initial; /* the client's first message; data NULL: none came with the command */
    /* Sends the challenge, waits for the response, which is writable and lives until the next call.
     * 0; -ECANCELED (the client gave up: "*"); -EBADMSG (not base64), -EMSGSIZE; -errno of the
     * stream. */
    int (*ask)(void *argument, struct slice challenge, struct slice *ret_response);
    void *argument;
};

/* The mechanisms that this client may use now, by name, blanks between; the size. 0: none. */
size_t auth_mechanisms(struct core *core, const struct auth_client *client,
                       char text[AUTH_MECHANISMS_BYTES_MAX]);
/* Fiber. Runs one mechanism to its end. Results as auth_password, and -ENOTSUP (no such mechanism,
 * or none for this client now), -EBADMSG (not a message of this mechanism), and what `ask` said.
 * The exchange's messages are wiped. */
int auth_sasl(struct core *core, const struct auth_client *client, struct slice mechanism,
              const struct auth_exchange *exchange, struct auth_result *ret_result);

int auth_sasl_proof(struct core *core, const struct auth_client *client, struct slice mechanism,
                    const struct auth_exchange *exchange, struct auth_result *ret_result,
                    struct auth_proof *ret_proof);

/* Checks JWTs (RFC 7519, signed by RS256, ES256 or EdDSA) against a JWKS file (RFC 7517), and asks
 * `introspection` about tokens that are none. */
struct auth_token_options {
    struct slice jwks;                          /* JSON text; empty: no local check */
    struct slice issuer, audience;              /* must be equal; empty: not looked at */
    struct slice user_claim;                    /* "email", "sub" ... */
    const struct auth_directory *introspection; /* its kind has ask_token; NULL: none */
};
/* NULL, or what is wrong and the fix. Nothing of the options is needed afterwards but
 * `introspection`. */
const char *auth_tokens_make(const struct auth_token_options *options,
                             struct auth_tokens **ret_tokens);
void auth_tokens_free(struct auth_tokens *tokens);

#endif
