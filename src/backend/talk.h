/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the log-in share: one conversation with one backend, from the first byte to the
 * answer to the log-in.
 *
 *   login.c        chooses, tries, tries elsewhere ─▶ a link
 *   place.c        the same for mail, where several users may share a connection
 *   attempt.c      one attempt at one backend; links
 *   credentials.c  what is to be shown there: the client's secret, a directory's, or the master's
 *   dial.c         one connection: source, PROXY header, TLS, greeting, STARTTLS
 *   talk.c         lines in with bounds, batches of commands out
 *   talk_NAME.c    the dialects, a row each
 *   identity.c     who the client is, in the words of each way
 *   answer.c       what lines mean (pure)
 *   speech.c       bytes to be sent, which may hold passwords
 *
 * Invariants:
 *   H1 What holds a secret (struct speech, the stream's output) is wiped when it is sent.
 *   H2 A batch holds only commands whose answers cannot change what the next one is to be: nothing
 *      stands behind STARTTLS, and nothing behind what waits for a continuation.
 *   H3 What a backend makes us read before its answer is bounded in lines, bytes and time.
 */
#ifndef RINGPOST_BACKEND_TALK_H
#define RINGPOST_BACKEND_TALK_H

#include "backend_private.h"

enum {
    TALK_LINE_BYTES_MAX = 8192,
    TALK_LINES_MAX = 100,   /* from one question to its answer */
    TALK_BYTES_MAX = 65536, /* the same */
    TALK_STRING_BYTES_MAX = 1000,
    SPEECH_BYTES_MAX = 16384,
    XCLIENT_LINE_BYTES_MAX = 512, /* with its CRLF */
    PROXY_HEADER_BYTES_MAX = 400
};

/* ---------------------------------------------------------------- speech */

/* Commands to be sent. What does not fit sets `failed`, and nothing of it may be sent. */
struct speech {
    size_t size;
    bool failed;
    char bytes[SPEECH_BYTES_MAX];
};
void say(struct speech *speech, struct slice bytes);
void say_text(struct speech *speech, const char *text);
void say_number(struct speech *speech, unsigned number);
/* The pieces as one. */
void say_base64(struct speech *speech, const struct slice *pieces, unsigned count);
void say_xtext(struct speech *speech, struct slice text); /* RFC 3461, section 4 */
/* A quoted string: `text` must be fit for one. */
void say_quoted(struct speech *speech, struct slice text);
/* Printable ASCII, and not too long. */
bool is_quotable(struct slice text);
void speech_wipe(struct speech *speech);

/* ---------------------------------------------------------------- answers (pure) */

enum said {
    SAID_NONSENSE,
    SAID_OK,
    SAID_NO,
    SAID_BAD,      /* IMAP: not understood */
    SAID_BYE,      /* it ends the connection */
    SAID_CONTINUE, /* it waits for more of the command */
    SAID_OTHER     /* not about the command */
};
struct reply {
    enum said said;
    struct slice code; /* IMAP, POP3: what is in brackets; SMTP: "5.7.8"; Sieve: in parentheses */
    struct slice text; /* with the code where it stands in the text; without the status word */
    unsigned number;   /* SMTP */
    bool is_more;      /* SMTP: there are further lines */
};
void reply_imap(struct slice line, struct slice tag, struct reply *ret_reply);
void reply_pop3(struct slice line, struct reply *ret_reply);
void reply_smtp(struct slice line, struct reply *ret_reply);
/* A line of ManageSieve without literals. SAID_OTHER: a capability, or what else it says. */
void reply_sieve(struct slice line, struct reply *ret_reply);
/* A quoted string at the start of `line`, unescaped into `out` of TALK_STRING_BYTES_MAX. False:
 * there is none. */
bool sieve_string(struct slice line, char *out, struct slice *ret_string, struct slice *ret_rest);
/* "{123}" or "{123+}" at the end of the line. */
bool literal_at_end(struct slice line, size_t bytes_max, size_t *ret_size);

enum verdict {
    VERDICT_IN,
    VERDICT_WRONG,   /* user or password */
    VERDICT_LIMIT,   /* too many connections of the user */
    VERDICT_LATER,   /* temporary, or not to be mended by the user; may work at another backend */
    VERDICT_NOT_NOW, /* the same; would be no better elsewhere */
    VERDICT_LOOP     /* SMTP: gateways refer to each other (RFC 3463) */
};
enum verdict verdict_of(enum backend_protocol protocol, const struct reply *reply);
/* A code of a refusal that the client is to know: a literal; NULL: none. */
const char *code_told(enum backend_protocol protocol, const struct reply *reply);
/* Where a referral leads to: the address, or the name, and the port (0: none said). */
struct referral {
    struct slice host;
    uint8_t family, address[16]; /* family 0: a name */
    uint16_t port;
};
bool referral_of(const struct reply *reply, struct referral *ret_referral);

/* Printable ASCII of at most capacity - 1 bytes, NUL-ended; what is not becomes '?'. */
void text_clean(struct slice text, char *to, size_t capacity);

/* Capabilities: words with a blank between; parameters behind '=', with ',' between. */
struct offer {
    bool is_known;
    size_t size;
    char text[BACKEND_CAPABILITY_BYTES_MAX + 1];
};
void offer_clear(struct offer *capabilities);
/* `word` with its parameters, which `separators` stand between. What would be no word, or does not
 * fit, is left out. */
void offer_add(struct offer *capabilities, struct slice word, struct slice parameters,
               const char *separators);
/* All words of an IMAP list. */
void offer_add_list(struct offer *capabilities, struct slice list);
/* The word is there, and, with a parameter, has that one. In any case. */
bool can(const struct offer *capabilities, const char *word, const char *parameter);

bool address_parse(struct slice text, uint8_t *ret_family, uint8_t ret_address[16]);
/* With `prefix` "IPV6:" where it is one; "" where the family is 0. */
void address_text(unsigned family, const uint8_t address[16], const char *prefix, char text[64]);

/* ---------------------------------------------------------------- credentials */

struct credentials {
    struct slice user;   /* whose mail it is */
    struct slice master; /* who logs in as him; data NULL: himself */
    struct slice secret;
    bool is_token;
    bool is_clients; /* the client has shown it: what the backend says of it is a verdict */
    enum auth_mechanism mechanism; /* of the token */
};

/* What a request means: its attributes read, and who is to be logged in by what. */
struct wish {
    const struct backend_request *request;
    const struct backend_pool_options *pool;
    struct credentials credentials;
    struct slice user;                  /* the directory's name for him; data NULL: none */
    const struct backend_member *fixed; /* NULL: chosen by hash */
    struct slice tag;
    /* Of fixed == pool->elsewhere; port also where it is one of ours (0: its own). */
    uint8_t family, address[16];
    uint16_t port;
    enum backend_tls tls;
    const char *problem;
};
/* 0; -ENOKEY; -ELOOP; -EAGAIN with wish->problem: the directory says what cannot be. */
int wish_make(const struct backend_request *request, struct wish *ret_wish);
/* It is to be there: an address, or the name of one of the pool's. 0; -EAGAIN as above. */
int wish_place(struct wish *wish, struct slice host);
/* What user_place is to be asked for; a held user is waited for until deadline_ns (0: not). */
void wish_choice(const struct wish *wish, uint64_t deadline_ns, struct choice *ret_choice);

/* ---------------------------------------------------------------- a conversation */

struct talk {
    struct core *core;
    struct stream *stream;
    enum backend_protocol protocol;
    const struct backend_pool_options *pool;
    const struct backend_member *member;   /* where we are */
    const char *host;                      /* for TLS; NULL: any name will do */
    const struct backend_client *client;   /* NULL: nobody's, a check */
    const struct credentials *credentials; /* NULL: none is to be logged in */
    bool (*gone)(void *argument);          /* may be NULL */
    void *argument;
    uint64_t deadline_ns;
    unsigned lines; /* heard since the question */
    size_t bytes;
    bool is_ours;             /* for want of something here: no fault of the backend's */
    bool is_greeted;          /* the backend lives: what fails now is not the connect */
    bool is_final;            /* elsewhere would be no better */
    bool may_resume;          /* an earlier session's TLS */
    bool is_stale;            /* that failed: once more, from the beginning */
    bool is_unfit;            /* TLS with it failed: it will not do a second later either */
    const char *problem;      /* a literal */
    struct offer now, after;  /* before the log-in; told with its answer */
    struct referral referral; /* host.data != NULL: go there; in answer->text's memory */
    char referral_host[TLS_NAME_BYTES_MAX + 1];
    struct backend_answer *answer;
    struct speech speech;
};

/* All on a fiber: 0 or -errno, with talk->problem a literal. After an error the stream is to be
 * closed. */

/* A line without its CRLF, valid until the next reading call. */
int talk_line(struct talk *talk, struct slice *ret_line);
/* Sends what was said, wipes it, and counts lines anew. */
int talk_send(struct talk *talk);
/* Drops so many bytes: those of a literal. */
int talk_skip(struct talk *talk, size_t size);
int talk_fail(struct talk *talk, const char *problem); /* -EAGAIN */
/* Clear-text bytes behind the answer to STARTTLS are somebody else's; then the handshake. */
int talk_secure(struct talk *talk);
/* The log-in's answer: 0, -EACCES, -EUSERS, -EAGAIN, or -EXDEV: a referral. */
int talk_judge(struct talk *talk, const struct reply *reply);
/* PLAIN, or the token's mechanism as one the backend has. NULL: it has none (talk->problem). */
const char *talk_mechanism(struct talk *talk, const char *word);
/* The first message of that mechanism, in base64. */
void talk_initial(struct talk *talk, const char *mechanism);
/* What answers a challenge of it: a token that failed (RFC 7628, section 3.2.3). */
const char *talk_resign(const char *mechanism);

/* A dialect; handlers on a fiber, results as above. */
struct dialect {
    int (*greet)(struct talk *talk); /* the greeting, and what is said with it */
    int (*ask)(struct talk *talk);   /* makes talk->now known, if need be by asking */
    int (*start_tls)(struct talk *talk);
    int (*log_in)(struct talk *talk); /* tells who the client is (NATIVE), then logs in */
    void (*leave)(struct talk *talk); /* good-bye, without an answer */
};
extern const struct dialect dialect_imap, dialect_pop3, dialect_smtp, dialect_sieve, dialect_lmtp;

/* ---------------------------------------------------------------- identity (pure) */

/* PROXY v2; a NULL client: LOCAL. The size. */
size_t identity_proxy(const struct backend_client *client, uint8_t header[PROXY_HEADER_BYTES_MAX]);
/* The parameter of IMAP's ID. */
void identity_id(struct speech *speech, const struct backend_client *client);
/* Some of XCLIENT's attributes, as a whole line; from *at on, which goes on. False: none is left.
 * `with_smtp`: those that `capabilities` announce, as SMTP writes them; else Dovecot's four. */
bool identity_xclient(struct speech *speech, const struct backend_client *client,
                      const struct offer *capabilities, bool with_smtp, unsigned *at);

/* ---------------------------------------------------------------- a connection (dial.c) */

struct dial_target {
    uint8_t family, address[16];
    uint16_t port;
    enum backend_tls tls;
};
extern const struct dialect *const dialects[BACKEND_PROTOCOL_COUNT];
/* Connects talk->stream up to where the log-in begins, within the pool's connect_ms_max. 0; -errno:
 * *ret_is_open tells whether the stream is to be closed. */
int dial_backend(struct talk *talk, const struct dial_target *target,
                 const struct stream_owner *owner, bool *ret_is_open);

/* ---------------------------------------------------------------- one attempt (attempt.c) */

struct attempt { /* what all attempts of one log-in share */
    struct core *core;
    const struct backend_request *request;
    const struct wish *wish;
    struct backend_answer *answer;
    struct talk *talk; /* from attempt_begin to attempt_end */
    char host[TLS_NAME_BYTES_MAX + 1];
};
struct held; /* what a link is */

/* 0 or -ENOMEM. */
int attempt_begin(struct attempt *attempt, bool (*gone)(void *argument), void *argument,
                  uint64_t deadline_ns);
void attempt_end(struct attempt *attempt);
/* The result, with the problem noted in the answer. */
int attempt_told(struct attempt *attempt, int result, const char *problem);
/* Fiber. A turn, a connection, the dialect, counted. 0 with *ret_held, for attempt_link or
 * attempt_drop; -EACCES, -EUSERS, -EAGAIN, -EXDEV, -ELOOP, -ECANCELED. */
int attempt_run(struct attempt *attempt, const struct backend_member *member,
                struct held **ret_held);
/* It is a link now, which leaves the claim (NULL: none) when it is closed. */
struct backend_link *attempt_link(struct attempt *attempt, const struct backend_member *member,
                                  struct held *held, struct user_claim *claim);
void attempt_drop(const struct backend_member *member, struct held *held);
/* Where it leads to for this wish. */
void attempt_target(const struct wish *wish, const struct backend_member *member,
                    struct dial_target *ret_target);

#endif
