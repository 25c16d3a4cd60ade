/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of imap: the session, the parser's primitives, what is written to clients.
 *
 *   reader.c    bytes ─▶ one command's text (literals inline), tag and verb split off
 *   commands.c  the table: one row a command ("UID FETCH" is a row of its own)
 *   parse.c, set.c, flags.c, utf7.c   pure: text ─▶ arguments
 *   reply.c     tagged and untagged answers, changes by others, errno ─▶ response code
 *   the rest    command families
 *
 * Invariants:
 *   M1 A handler's last act is one tagged answer (imap_finish, imap_no, imap_bad, imap_fail).
 *   M2 Changes of the selected mailbox are told before a tagged answer OK, and in IDLE; EXPUNGE
 *      only when the command's row does not say COMMAND_NO_EXPUNGE (RFC 9051 7.5.1).
 *   M3 What clients sent, and what messages hold, leaves only through the text functions below: no
 *      CR, LF or NUL outside a literal.
 *   M4 `view` is open exactly in IMAP_SELECTED, and in IMAP_IDLE when it came from there.
 */
#ifndef RINGPOST_IMAP_PRIVATE_H
#define RINGPOST_IMAP_PRIVATE_H

#include <assert.h>

#include "ringpost/imap.h"
#include "ringpost/store.h"

enum imap_state { /* bits of session->state */
                  IMAP_NOT_AUTHENTICATED = 1 << 0,
                  IMAP_AUTHENTICATED = 1 << 1,
                  IMAP_SELECTED = 1 << 2,
                  IMAP_IDLE = 1 << 3,
                  IMAP_ANY = IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED,
                  IMAP_LOGGED_IN = IMAP_AUTHENTICATED | IMAP_SELECTED
};

enum imap_enabled {                         /* bits of imap_session.enabled */
                    IMAP_CONDSTORE = 1 << 0 /* told MODSEQ in every FETCH of flags (RFC 7162) */
};

enum { COMMAND_NO_EXPUNGE = 1 << 16 }; /* M2 */

enum {
    IMAP_TAG_BYTES_MAX = 128,
    IMAP_LINE_BYTES_MAX = 65536,        /* logged in; a command is lines and literals */
    IMAP_LINE_BYTES_MAX_BEFORE = 13312, /* an initial response of 12288 bytes (RFC 4954) and room */
    IMAP_LITERALS_MAX = 1000,           /* of one command */
    IMAP_LITERALS_MAX_BEFORE = 4,
    IMAP_COMMAND_BYTES_MAX = 1048576, /* lines and literals of one command */
    IMAP_COMMAND_BYTES_MAX_BEFORE = 16384,
    IMAP_LITERAL_DISCARD_MAX = 16777216, /* of an unwanted {n+}, or the largest message: read off;
                                            above: BYE (RFC 7888 section 4) */
    IMAP_BYTES_PER_MS_MIN = 4,           /* slower senders of messages run into the deadline */
    IMAP_ARENA_BYTES_MAX = 16777216,     /* a command's text, arguments and answers being made */
    IMAP_PATTERN_BYTES_MAX = 4000,       /* of LIST: all patterns, each behind its reference */
    IMAP_FLAGS_MAX = 128,                /* named in one flag list */
    IMAP_SET_STAR = 0                    /* "*" in a parsed set */
};

struct imap_session {
    struct session session; /* first */
    struct account *account;
    struct view view;         /* M4; view.mailbox is NULL when closed */
    char *kept_tag;           /* of IDLE, or of a log-in that moves cores; NUL-ended, owned */
    uint64_t keywords_told;   /* those that a FLAGS answer has named */
    uint64_t literal_pending; /* bytes of a {n+} that its command has not read yet */
    uint32_t enabled;         /* enum imap_enabled */
    bool has_asked;           /* for CAPABILITY */
};

static inline struct imap_session *imap_of(struct session *session)
{
    return (struct imap_session *)session;
}

static inline const struct imap_options *imap_options_of(const struct session *session)
{
    return session->service->options;
}

/* How long receiving so much may take. */
static inline uint64_t imap_receive_ms(const struct session *session, uint64_t bytes)
{
    return session->service->command_ms_max + bytes / IMAP_BYTES_PER_MS_MIN;
}

/* ---------------------------------------------------------------- the table: commands.c
 *
 * FETCH and SEARCH (fetch.c, search.c) have their own argument structs, which must fit into these
 * (static assert there). */
enum { IMAP_FETCH_ARGUMENTS_BYTES = 256, IMAP_SEARCH_ARGUMENTS_BYTES = 256 };
extern const struct command imap_commands[];
extern const unsigned imap_command_count;

const char *imap_fetch_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_fetch_run(struct session *session, const void *arguments);
void imap_uid_fetch_run(struct session *session, const void *arguments);
const char *imap_search_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_search_run(struct session *session, const void *arguments);
void imap_uid_search_run(struct session *session, const void *arguments);

/* ---------------------------------------------------------------- parsing: parse.c
 *
 * A cursor walks one command's text, in which literals stand as they came: "{5}\r\nhello". Every
 * imap_take_ function takes what its name says and returns true, or leaves cursor and results
 * untouched and returns false. Strings are borrowed from the text where they stand whole in it,
 * else copied to the arena. */
struct imap_cursor {
    const char *at, *end;
};

static inline struct imap_cursor imap_cursor_of(struct slice text)
{
    return (struct imap_cursor){text.data, text.data + text.size};
}

static inline bool imap_at_end(const struct imap_cursor *cursor)
{
    return cursor->at == cursor->end;
}

/* The next byte, or 0 at the end (a NUL is never legal outside literals). */
static inline char imap_next(const struct imap_cursor *cursor)
{
    return cursor->at == cursor->end ? '\0' : *cursor->at;
}

static inline bool imap_take(struct imap_cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

bool imap_is_atom_char(char c);    /* ATOM-CHAR (RFC 9051 9) */
bool imap_is_astring_char(char c); /* and "]" */
/* A word of ours, in any case, not followed by a further atom character. */
bool imap_take_word(struct imap_cursor *cursor, struct slice word);
bool imap_take_atom(struct imap_cursor *cursor, struct slice *ret_atom);
/* quoted or literal. Quoted: no CR, LF, NUL, 8-bit bytes only as UTF-8 (RFC 9051 4.3). Literal:
 * anything but NUL. */
bool imap_take_string(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string);
bool imap_take_astring(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string);
/* NIL gives data NULL. */
bool imap_take_nstring(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string);
bool imap_take_number(struct imap_cursor *cursor, uint64_t max, uint64_t *ret_number);
bool imap_take_nz_number(struct imap_cursor *cursor, uint32_t *ret_number);
/* mailbox: an astring in modified UTF-7, given as UTF-8, INBOX in upper case. What is no canonical
 * modified UTF-7 (8-bit bytes, printable ASCII in base64, lone surrogates ...) is refused. */
bool imap_take_mailbox(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_name);
/* date-time: " 1-Jan-2026 00:00:00 +0100", quoted. Seconds since 1970 UTC, zone in minutes east. */
bool imap_take_date_time(struct imap_cursor *cursor, int64_t *ret_seconds, int16_t *ret_zone);
/* date: 1-Jan-2026, quoted or not. Days since 1970-01-01. */
bool imap_take_date(struct imap_cursor *cursor, int64_t *ret_day);

/* Days since 1970-01-01 of a civil date, and back (proleptic Gregorian). */
int64_t imap_day_of(int year, int month, int day);
void imap_day_split(int64_t day, int *ret_year, int *ret_month, int *ret_day);

/* ---------------------------------------------------------------- sequence sets: set.c */

struct imap_range {
    uint32_t first, last;
};
struct imap_set {
    struct imap_range *ranges;
    uint32_t count;
};
/* As written; IMAP_SET_STAR for "*". */
bool imap_take_set(struct imap_cursor *cursor, struct arena *arena, struct imap_set *ret_set);
/* The sequence numbers that a set of numbers or UIDs stands for in a view: ascending, disjoint,
 * merged, all within 1..view->count (expunged ones included: see mail_entry.expunged). Numbers
 * beyond the view are left out. False: no memory. */
bool imap_set_resolve(const struct imap_set *set, bool is_uid, const struct view *view,
                      struct arena *arena, struct imap_set *ret_numbers);
/* How many numbers are in a resolved set; whether one is. */
uint32_t imap_set_size(const struct imap_set *numbers);
bool imap_set_holds(const struct imap_set *numbers, uint32_t number);
/* "1:3,7" of ascending numbers; a descending or equal neighbour begins a new item. */
void imap_text_numbers(struct text *text, const uint32_t *numbers, uint32_t count);

/* ---------------------------------------------------------------- messages: section.c */

/* Looks for a header's empty line that ends in bytes[from, size): its end in *ret_end. `bytes`
 * begins a message, or `from` is at least 2. */
bool imap_header_end(struct slice bytes, size_t from, size_t *ret_end);

/* ---------------------------------------------------------------- flags: flags.c */

struct imap_flags {
    uint16_t flags;         /* enum mail_flag */
    uint32_t keyword_count; /* names as written; not yet of a mailbox */
    struct slice *keywords;
};
/* "(\Seen $Forwarded)"; \Recent and unknown \Flags are refused. */
bool imap_take_flag_list(struct imap_cursor *cursor, struct arena *arena,
                         struct imap_flags *ret_flags);
/* The same, or without parentheses (STORE). */
bool imap_take_flags(struct imap_cursor *cursor, struct arena *arena, struct imap_flags *ret_flags);
/* The mailbox's bits of the keywords; with `make` allocated. 0, or of mailbox_keyword_bit. Unknown
 * ones without `make` are passed over. */
int imap_keyword_bits(struct mailbox *mailbox, const struct imap_flags *flags, bool make,
                      uint64_t *ret_bits);
/* "(\Seen \Recent $Forwarded)" */
void imap_text_flags(struct text *text, const struct mailbox *mailbox, uint16_t flags,
                     uint64_t keywords, bool is_recent);
static inline bool imap_is_recent(const struct view *view, const struct mail_entry *entry)
{
    return entry->uid > view->recent_after_uid;
}

/* ---------------------------------------------------------------- mailbox names: utf7.c */

/* Modified UTF-7 (RFC 3501 5.1.3) to UTF-8; false when it is not canonical. Control characters
 * pass (the store refuses them). */
bool imap_utf7_decode(struct slice name, struct text *out);
/* Valid UTF-8 to modified UTF-7. */
void imap_utf7_encode(struct slice name, struct text *out);

/* ---------------------------------------------------------------- composing: text.c */

/* string: quoted when it is short and plain 7-bit, else a literal. NULs (from damaged messages)
 * become "?" (a literal may hold none: RFC 3501 9, CHAR8). */
void imap_text_string(struct text *text, struct slice string);
void imap_text_astring(struct text *text, struct slice string); /* an atom where it can be */
void imap_text_mailbox(struct text *text, struct slice name);   /* UTF-8 name as astring */
void imap_text_date_time(struct text *text, int64_t seconds, int zone); /* with its quotes */

/* ---------------------------------------------------------------- answering: reply.c
 *
 * `code` is "UIDNEXT 5" without brackets, or NULL. Texts are ours, never the peer's. */

void imap_untagged(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* "* " before, CRLF behind; M3 is the caller's */
/* "tag", the condition with its blanks (" NO "), "[code] ", the text; nothing is counted. */
void imap_answer(struct session *session, const char *condition, const char *code,
                 const char *text);
/* Tells changes (M2), then "tag OK [code] text". */
void imap_finish(struct session *session, const char *code, const char *text);
void imap_no(struct session *session, const char *code, const char *text);
void imap_bad(struct session *session, const char *text); /* counts an error */
/* "tag NO [CODE] ..." for -errno of the store: the one place where errno becomes a code. */
void imap_fail(struct session *session, int error);
/* Tells what has changed in the selected mailbox: EXPUNGE (if allowed), EXISTS, RECENT, FETCH
 * (UID FLAGS [MODSEQ]). Nothing when no mailbox is selected. */
void imap_report(struct session *session, bool may_expunge);
/* How many of the view's messages are \Recent. */
uint32_t imap_recent_count(const struct view *view);
void imap_report_exists(struct session *session, uint32_t count); /* and RECENT */
/* The first CONDSTORE-enabling command (RFC 7162 3.1): from now on MODSEQ is told; says
 * HIGHESTMODSEQ of the selected mailbox. */
void imap_condstore_enable(struct session *session);
/* "tag NO" or "BAD" when a resolved set of sequence numbers is empty (RFC 9051 6.4.9: BAD for
 * numbers, nothing to do for UIDs): true when answered. */
bool imap_set_refused(struct session *session, const struct imap_set *numbers, bool is_uid);

#endif
