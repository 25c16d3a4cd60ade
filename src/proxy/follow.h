/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can be told about a conversation from the bytes that pass, without holding any: whether the
 * next byte for the client begins a line (X3), whether an IMAP client is in IDLE, whether one side
 * has said goodbye. Pure. It only looks: nothing it finds changes what is passed on, and where it
 * cannot know (POP3's answers of several lines, TLS or COMPRESS by a command) it says no.
 */
#ifndef RINGPOST_PROXY_FOLLOW_H
#define RINGPOST_PROXY_FOLLOW_H

#include "ringpost/backend.h"

enum {
    FOLLOW_UP_BYTES = 20,   /* the longest command that is looked for, with its CRLF */
    FOLLOW_DOWN_BYTES = 24, /* a literal's size at the end of a line: "{", 19 digits, "+}", CRLF */
    FOLLOW_HEAD_BYTES = 6   /* "* BYE " */
};

enum follow_idle { FOLLOW_BUSY, FOLLOW_IDLE_ASKED, FOLLOW_IDLE };

struct follow {
    uint64_t literal; /* bytes of the backend's that are still to come of one */
    char up[FOLLOW_UP_BYTES], down[FOLLOW_DOWN_BYTES], head[FOLLOW_HEAD_BYTES];
    uint8_t up_size, down_size, head_size; /* down, head: of the line that has begun */
    uint8_t protocol;                      /* enum backend_protocol */
    uint8_t idle;                          /* enum follow_idle */
    bool is_in_line;                       /* of the backend's; a literal is part of a line */
    bool is_opaque;                        /* what follows need not be lines */
    bool has_quit;                         /* LOGOUT or QUIT was the client's last line */
    bool has_left;                         /* UNAUTHENTICATE was */
    bool has_bye;                          /* the backend's last line was its goodbye */
};

void follow_begin(struct follow *follow, enum backend_protocol protocol);
void follow_up(struct follow *follow, struct slice bytes);   /* from the client */
void follow_down(struct follow *follow, struct slice bytes); /* from the backend */
/* A line of our own may be said now. */
bool follow_is_between_lines(const struct follow *follow);

#endif
