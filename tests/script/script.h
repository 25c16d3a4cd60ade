/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A conformance script: what clients send, what they must be answered, and what happens to the
 * server meanwhile. A line of text each, so that a script reads like the conversation it is:
 *
 *   # SMTP: one message, and it is there after a power cut
 *   host gateway                 which server (host_*.c); first line
 *   not linux fail               modes to leave out: linux split fail honest
 *   cores 2                      of the server; 1 if not said
 *
 *   a = smtp                     client a connects to the server's service "smtp"
 *   S: 220 *                     one line must come and be like this
 *   C: EHLO client.example       one line is sent, CRLF added
 *   S* 250 *                     lines are passed over until one is like this
 *   b = pop3                     another client; it speaks from now on
 *   a> C: RSET                   a again, and from now on
 *   raw "DATA\r\n\x00\\\""       bytes as they are
 *   send "x" 1000000             the same, so many times over
 *   S= "+ "                      exactly these bytes must come next
 *   expect-close                 nothing more, and the end
 *   close                        or: half-close  reset  vanish  pause  resume
 *   pass 10s                     time passes: ns us ms s m h
 *   restart                      or: kill  power-cut  fail-stop; clients are gone, the server
 *                                starts again
 *   counter smtp_messages_total = 1      of all cores; also < and >
 *   acked ONE                    what comes before was acknowledged: the section ONE must hold
 *                                from now on
 *   honest off                   no honest clients from here; on: again
 *
 *   verify ONE                   a section, to the end or the next; played on a server started
 *   a = pop3                     afresh (after a crash, or after any failure in the modes below),
 *   ...                          if "acked ONE" was reached
 *
 * In what must come, `*` is any bytes, `?` one byte, `\` takes the next byte as it is, and
 * `${name}` a word: the first time it is kept, afterwards it must be the same; what is sent may use
 * it.
 *
 * How a script is played: see the head of main.c.
 */
#ifndef RINGPOST_TESTS_SCRIPT_H
#define RINGPOST_TESTS_SCRIPT_H

#include "ringpost/slice.h"

enum script_kind {
    SCRIPT_CONNECT,      /* text: service */
    SCRIPT_SEND,         /* text, `count` times */
    SCRIPT_SEND_LINE,    /* text with ${} */
    SCRIPT_EXPECT_LINE,  /* text: pattern */
    SCRIPT_EXPECT_UNTIL, /* text: pattern */
    SCRIPT_EXPECT_BYTES, /* text */
    SCRIPT_EXPECT_CLOSE,
    SCRIPT_CLOSE,
    SCRIPT_HALF_CLOSE,
    SCRIPT_RESET,
    SCRIPT_VANISH,
    SCRIPT_PAUSE,
    SCRIPT_RESUME,
    SCRIPT_PASS, /* count: ns */
    SCRIPT_RESTART,
    SCRIPT_KILL,
    SCRIPT_POWER_CUT,
    SCRIPT_FAIL_STOP,
    SCRIPT_COUNTER, /* text: name, relation, count */
    SCRIPT_ACKED,   /* count: section */
    SCRIPT_HONEST,  /* count: on or off */
};

struct script_step {
    enum script_kind kind;
    unsigned line;
    int client; /* index of its name; -1: none */
    struct slice text;
    uint64_t count;
    char relation;
};

enum script_mode { SCRIPT_LINUX = 1, SCRIPT_SPLIT = 2, SCRIPT_FAIL = 4, SCRIPT_HONEST_MODE = 8 };
enum { SCRIPT_CLIENTS_MAX = 16, SCRIPT_SECTIONS_MAX = 16, SCRIPT_NAME_MAX = 32 };

struct script {
    const char *path;
    char host[SCRIPT_NAME_MAX];
    unsigned cores, modes_left_out;
    char client_names[SCRIPT_CLIENTS_MAX][SCRIPT_NAME_MAX];
    unsigned client_count;
    char section_names[SCRIPT_SECTIONS_MAX][SCRIPT_NAME_MAX]; /* the verify sections */
    unsigned section_first[SCRIPT_SECTIONS_MAX + 1];          /* step; [section_count]: the end */
    unsigned section_count;
    struct script_step *steps;
    unsigned step_count, step_capacity;
    unsigned main_count; /* steps before the first section */
};

/* Aborts with a message that names file and line when it is not a script. */
struct script *script_read(const char *path);
void script_free(struct script *script);

#endif
