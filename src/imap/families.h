/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command families of imap: what their rows in commands.c name. Each has a pure parser and a
 * handler; the arguments between them are the struct. FETCH and SEARCH are in imap_private.h.
 */
#ifndef RINGPOST_IMAP_FAMILIES_H
#define RINGPOST_IMAP_FAMILIES_H

#include "imap_private.h"

/* ---------------------------------------------------------------- reader.c */

enum imap_announced {
    IMAP_ANNOUNCED_NONE,
    IMAP_ANNOUNCED,
    IMAP_ANNOUNCED_WRONG, /* "{...}" that is none; the parser will refuse it */
    IMAP_ANNOUNCED_LOST   /* the same with "+}": the client may send bytes that we cannot count */
};
struct imap_literal {
    uint64_t size;
    size_t offset, length; /* of "{n}", "~{n}" in the line */
    bool is_sync, is_binary;
};
/* Does a line (without CRLF) end by announcing a literal? */
enum imap_announced imap_literal_announced(struct slice line, struct imap_literal *ret_literal);
/* Tag, verb ("UID FETCH" is one), arguments. NULL or why not (the tag is set when it is one). */
const char *imap_line_split(struct slice text, struct command_line *ret_line);
/* Reads off a literal of `size` bytes and the rest of its command, further {n+} too. 0; or -errno
 * of the stream; or -EAGAIN: too much, the session is ending. */
int imap_skip_command(struct session *session, uint64_t size);
int imap_read(struct session *session, struct command_line *ret_line);

const char *imap_nothing_parse(struct slice text, struct arena *arena, void *ret_arguments);

/* ---------------------------------------------------------------- reply.c: changes */

struct imap_report {
    struct session *session;
    struct arena arena; /* of its own: woken() has no command */
    struct text line;
};
void imap_report_begin(struct imap_report *report, struct session *session);
/* Without memory for what had to be told the session ends. */
void imap_report_end(struct imap_report *report);
/* "* number FETCH (UID u FLAGS (...) [MODSEQ (m)])" */
void imap_report_flags(struct imap_report *report, uint32_t number, const struct mail_entry *entry);
/* view_update, telling EXPUNGE, EXISTS, RECENT; `flags` gets the report as its argument. */
void imap_report_update(struct imap_report *report, bool may_expunge,
                        void (*flags)(void *argument, uint32_t number,
                                      const struct mail_entry *entry));

/* FLAGS and PERMANENTFLAGS of the selected mailbox: `always`, or when there are keywords that the
 * client has not been told of (before a FETCH answer names them). */
void imap_keywords_tell(struct session *session, bool always);

/* ---------------------------------------------------------------- session.c, login.c */

void imap_open(struct session *session);
void imap_refuse(struct session *session, const struct command *command,
                 enum session_refusal refusal, const char *why);
void imap_goodbye(struct session *session, enum session_end end);
void imap_closed(struct session *session);

/* front.c: users whose mail lies elsewhere */
void imap_front(struct session *session); /* logged in here: and there */
/* Before log-in: may this capability of the store's be offered? True where nothing is fronted. */
bool imap_front_has(struct session *session, struct slice name);
/* Others of the backends, a blank before each. */
void imap_front_capabilities(struct session *session, struct text *text);

void imap_capability_run(struct session *session, const void *arguments);
void imap_noop_run(struct session *session, const void *arguments);
void imap_logout_run(struct session *session, const void *arguments);

struct imap_login_arguments {
    struct slice user, password;
};
const char *imap_login_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_login_run(struct session *session, const void *arguments);

struct imap_authenticate_arguments {
    struct slice mechanism, initial; /* initial.data NULL: none was given */
};
const char *imap_authenticate_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_authenticate_run(struct session *session, const void *arguments);
void imap_starttls_run(struct session *session, const void *arguments);

struct imap_enable_arguments {
    uint32_t bits; /* enum imap_enabled */
};
const char *imap_enable_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_enable_run(struct session *session, const void *arguments);

struct imap_id_arguments {
    uint8_t hops; /* hops_of x-proxy-ttl */
};
const char *imap_id_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_id_run(struct session *session, const void *arguments);

/* The capabilities of the session's present state: "IMAP4rev1 ...", into the arena. */
struct slice imap_capabilities(struct session *session);

/* ---------------------------------------------------------------- select.c, status.c */

struct imap_select_arguments {
    struct slice mailbox;
    bool condstore;
};
const char *imap_select_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_select_run(struct session *session, const void *arguments);
void imap_examine_run(struct session *session, const void *arguments);
void imap_close_run(struct session *session, const void *arguments);
void imap_unselect_run(struct session *session, const void *arguments);
/* Closes the view; the state is AUTHENTICATED then. */
void imap_deselect(struct session *session);

struct imap_status_arguments {
    struct slice mailbox;
    uint32_t items; /* bits by row of the table in status.c */
};
const char *imap_status_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_status_run(struct session *session, const void *arguments);
/* "(MESSAGES UNSEEN)" */
bool imap_take_status_items(struct imap_cursor *cursor, uint32_t *ret_items);
/* "STATUS name (...)" of a mailbox; 0 or -errno. */
int imap_text_status(struct session *session, struct text *text, struct mailbox *mailbox,
                     uint32_t items);

/* ---------------------------------------------------------------- mailbox.c, list.c */

struct imap_mailbox_arguments {
    struct slice mailbox, other; /* other: RENAME's new name */
    enum mailbox_use use;        /* CREATE ... (USE (\Sent)) */
};
const char *imap_mailbox_parse(struct slice text, struct arena *arena, void *ret_arguments);
const char *imap_create_parse(struct slice text, struct arena *arena, void *ret_arguments);
const char *imap_rename_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_create_run(struct session *session, const void *arguments);
void imap_delete_run(struct session *session, const void *arguments);
void imap_rename_run(struct session *session, const void *arguments);
void imap_subscribe_run(struct session *session, const void *arguments);
void imap_unsubscribe_run(struct session *session, const void *arguments);
void imap_namespace_run(struct session *session, const void *arguments);

/* RFC 6154: "\Sent", or NULL. */
const char *imap_use_name(enum mailbox_use use);

/* match.c */
struct imap_pattern {
    uint32_t count;           /* of literals */
    uint32_t words;           /* of each set of bits */
    uint64_t *star, *percent; /* bit i: this wildcard stands behind i literals */
    uint64_t **literals;      /* 256 sets or NULL: bit i: literal i is this byte */
};
/* At most IMAP_PATTERN_BYTES_MAX bytes. False: no memory. */
bool imap_pattern_compile(struct slice text, struct arena *arena, struct imap_pattern *ret_pattern);
/* INBOX (and the INBOX of its children) in any case. */
bool imap_pattern_matches(const struct imap_pattern *pattern, struct slice name);

enum imap_list_option { /* bits; see the tables in list.c */
                        IMAP_LIST_SELECT_SUBSCRIBED = 1 << 0,
                        IMAP_LIST_SELECT_REMOTE = 1 << 1,
                        IMAP_LIST_SELECT_USE = 1 << 2,
                        IMAP_LIST_RETURN_SUBSCRIBED = 1 << 3,
                        IMAP_LIST_RETURN_CHILDREN = 1 << 4,
                        IMAP_LIST_RETURN_USE = 1 << 5,
                        IMAP_LIST_RETURN_STATUS = 1 << 6
};
struct imap_list_arguments {
    uint32_t options; /* enum imap_list_option */
    uint32_t status_items;
    struct imap_pattern *patterns; /* in modified UTF-7, behind the reference */
    uint32_t pattern_count, pattern_bytes;
    bool is_empty_pattern; /* LIST "" "": asks for the separator */
};
const char *imap_list_parse(struct slice text, struct arena *arena, void *ret_arguments);
const char *imap_lsub_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_list_run(struct session *session, const void *arguments);
void imap_lsub_run(struct session *session, const void *arguments);

/* ---------------------------------------------------------------- append.c */

struct imap_append_arguments {
    struct slice mailbox;
    struct imap_flags flags;
    int64_t date; /* seconds since 1970 */
    uint64_t size;
    int16_t date_zone;
    bool has_date, is_sync, is_binary;
};
/* Up to and with the message's announcement "{n}". */
const char *imap_append_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_append_run(struct session *session, const void *arguments);

/* ---------------------------------------------------------------- store.c, expunge.c, copy.c */

struct imap_store_arguments {
    struct imap_set set;
    struct imap_flags flags;
    uint64_t unchanged_since; /* UINT64_MAX: none */
    enum store_how how;
    bool is_silent;
};
const char *imap_store_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_store_run(struct session *session, const void *arguments);
void imap_uid_store_run(struct session *session, const void *arguments);
/* The UIDs of a resolved set that are not expunged; false: no memory. */
bool imap_set_uids(struct session *session, const struct imap_set *numbers, uint32_t **ret_uids,
                   uint32_t *ret_count);

struct imap_set_arguments {
    struct imap_set set;
};
const char *imap_set_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_expunge_run(struct session *session, const void *arguments);
void imap_uid_expunge_run(struct session *session, const void *arguments);
/* Removes the \Deleted ones of the view, of `only` when not NULL. 0 or -errno. */
int imap_expunge(struct session *session, const struct imap_set *only);

struct imap_copy_arguments {
    struct imap_set set;
    struct slice mailbox;
};
const char *imap_copy_parse(struct slice text, struct arena *arena, void *ret_arguments);
void imap_copy_run(struct session *session, const void *arguments);
void imap_uid_copy_run(struct session *session, const void *arguments);
void imap_move_run(struct session *session, const void *arguments);
void imap_uid_move_run(struct session *session, const void *arguments);

/* ---------------------------------------------------------------- idle.c */

void imap_idle_run(struct session *session, const void *arguments);
void imap_done_run(struct session *session, const void *arguments);
void imap_idle_end(struct session *session); /* back to the state before */
void imap_woken(struct session *session);

#endif
