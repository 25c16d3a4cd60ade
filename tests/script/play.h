/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plays a script at a place.
 */
#ifndef RINGPOST_TESTS_SCRIPT_PLAY_H
#define RINGPOST_TESTS_SCRIPT_PLAY_H

#include "place.h"
#include "script.h"

enum play_end {
    PLAY_DONE,   /* to the end */
    PLAY_OTHER,  /* another answer than the script wants, or the end of a connection */
    PLAY_SILENT, /* neither an answer nor an end: never right */
    PLAY_BROKEN  /* the server: it does not start, does not come to rest, lost memory */
};

struct play {
    const struct script *script;
    struct place *place;
    const struct host_service *services; /* for the honest */
    bool with_honest;
    bool acked[SCRIPT_SECTIONS_MAX]; /* out: the sections whose mark was passed */
    unsigned line;                   /* out: of the step that ended the play */
    char why[600];                   /* out, unless PLAY_DONE */
};

/* The steps before the first section. The server must be up, and stays up when the play ends
 * early. */
enum play_end play_main(struct play *play);
/* One section. */
enum play_end play_section(struct play *play, unsigned section);
/* Does the text match a pattern (without ${})? */
bool play_is_like(struct slice text, struct slice pattern);

#endif
