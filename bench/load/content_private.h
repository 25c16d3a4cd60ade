/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How messages are kept: a model is a message whose head has places for what differs from one
 * message to the next. A run has some hundreds of them, made or read once; making message k is
 * copying the head of its model and writing a few digits.
 */
#ifndef RINGPOST_BENCH_CONTENT_PRIVATE_H
#define RINGPOST_BENCH_CONTENT_PRIVATE_H

#include "content.h"

enum {
    CONTENT_MODELS_MAX = 1000000, /* real messages */
    CONTENT_MADE_MAX = 512,
    CONTENT_HEAD_BYTES_MAX = 4096, /* of a made message */
    CONTENT_LINE_BYTES_MAX = 998,  /* RFC 5322 section 2.1.1 */
    CONTENT_SEED_DIGITS = 16,      /* hexadecimal */
    CONTENT_NUMBER_DIGITS = 12,
    CONTENT_MARK_BYTES_MAX = 80
};
static const uint64_t content_bytes_max = (uint64_t)2 << 30; /* of all models together */

#define CONTENT_MARK_NAME "X-Ringpost-Bench: "

struct content_model {
    struct slice head, body; /* in memory of the model's own, `memory` */
    uint32_t crc;            /* of the body */
    uint32_t time_at, id_at; /* where the time of day and the Message-ID's number stand; 0: none */
    uint32_t mark_at;        /* where the mark's number stands */
    bool needs_dots, is_8bit;
    char *memory;
};

struct content {
    struct content_model *models;
    unsigned count, room;
    bool in_turn; /* message k is model k % count; else chosen by the seed */
    uint64_t seed, bytes;
};

/* What content_text.c makes: the body, and the fields of the head that describe it. */
struct content_body {
    char *data; /* malloc */
    size_t size;
    char fields[512]; /* "MIME-Version: ...", each line with its CRLF */
    const char *subject;
};
/* A body of exactly `size` bytes (at least 2) in a shape that fits; `random` chooses. 0 or -ENOMEM.
 */
int content_make_body(size_t size, uint64_t *random, struct content_body *ret_body);
/* 8 bits, dots at the beginning of a line. */
void content_look(struct slice bytes, bool *is_8bit, bool *needs_dots);

/* "X-Ringpost-Bench: SEED-NUMBER-BODYBYTES-CRC32C" CRLF with number 0 into text; returns its size,
 * and where the number stands. */
size_t content_mark(char text[CONTENT_MARK_BYTES_MAX], uint64_t seed, uint64_t body_bytes,
                    uint32_t crc, uint32_t *ret_number_at);
/* Reads such a line (without its CRLF). */
bool content_read_mark(struct slice line, uint64_t *ret_seed, uint64_t *ret_number,
                       uint64_t *ret_body_bytes, uint32_t *ret_crc);

/* Adds a model. 0, -ENOMEM, -E2BIG (too many, or too large together). Takes `memory` over. */
int content_add(struct content *content, const struct content_model *model);
/* All messages of a folder, maildir, mbox or single file. */
int content_read(struct content *content, const char *path, char problem[200]);

#endif
