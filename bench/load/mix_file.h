/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a population does to a server, as a file says it (bench/scenarios/office.conf is one).
 */
#ifndef RINGPOST_BENCH_MIX_FILE_H
#define RINGPOST_BENCH_MIX_FILE_H

#include "imap_mix.h"

enum { MIX_FILE_BYTES_MAX = 1 << 20, MIX_CONNECTIONS_MAX = 10000, MIX_COMMANDS_MAX = 100000 };

/* Its name in the file. */
#define MIX_KIND_TABLE(each)                                                                       \
    each(IDLERS, "idlers") each(DELIVER, "deliver") each(READERS, "readers")                       \
        each(CHECKERS, "checkers") each(LOGINS, "logins")

enum mix_kind {
#define KIND_ENUM(name, text) MIX_##name,
    MIX_KIND_TABLE(KIND_ENUM)
#undef KIND_ENUM
        MIX_KIND_COUNT
};

struct mix_population {
    bool is_set;
    unsigned line;               /* of the file; 0: built in */
    double rate;                 /* operations a second; 0 of idlers */
    unsigned connections;        /* at once, at most; of idlers: held */
    enum load_protocol protocol; /* of deliver and logins */
    unsigned commands;           /* of readers: a session */
    struct imap_mix mix;         /* the same */
    bool deletes;                /* of checkers */
    unsigned first, workers;     /* those of the run that play it (do_mix.c) */
};

struct mix {
    struct mix_population of[MIX_KIND_COUNT];
    double rate; /* of all */
    unsigned workers;
};

const char *mix_kind_name(enum mix_kind kind);
/* What is played without a file: a small office. */
void mix_default(struct mix *ret_mix);
/* 0; or -errno with "file:line: what is wrong; what would be right" in problem. Blocking. */
int mix_file_read(const char *path, struct mix *ret_mix, char problem[200]);

#endif
