/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The transparency of SMTP's DATA and of POP3's multi-line replies (RFC 5321 4.5.2, RFC 1939 3):
 * the one decoder of the whole program, and what an encoder needs. Only CRLF "." CRLF ends the
 * data. Nothing else does, whoever the peer is: what another program might take for an end (a bare
 * LF or CR around the dot) is how messages are smuggled, so data that holds a bare CR or LF is
 * decoded to its true end, and marked.
 *
 * Pure: bytes in, bytes out; split the input anywhere, the result is the same.
 */
#ifndef RINGPOST_DOT_H
#define RINGPOST_DOT_H

#include "ringpost/slice.h"

/* The CRLF of the DATA command counts as the one before a dot: LINE is the first state. */
enum dot_state {
    DOT_LINE,   /* a CRLF is behind us, or nothing */
    DOT_TEXT,   /* in a line */
    DOT_CR,     /* CR in a line, written already */
    DOT_DOT,    /* a dot began the line, not written */
    DOT_DOT_CR, /* dot, CR: neither written */
    DOT_END     /* dot, CR, LF: done */
};

struct dot_decoder { /* zeroed: at the beginning */
    uint8_t state;   /* enum dot_state */
    bool is_bare;    /* a CR without LF or an LF without CR was there: what was written is not
                        exact, refuse the message */
};

/* Decodes bytes of `in`, up to the end of the data, into `out`, which holds at least in.size bytes;
 * in.data itself: decodes in place; NULL: passes over them. How many were consumed (all, unless the
 * end came), and in *ret_size how many were (or would have been) written. Nothing is consumed after
 * the end. */
size_t dot_decode(struct dot_decoder *decoder, struct slice in, char *out, size_t *ret_size);

static inline bool dot_is_done(const struct dot_decoder *decoder)
{
    return decoder->state == DOT_END;
}

/* A dot is doubled behind any LF, not behind CRLF only: clients that end lines at a bare LF of a
 * stored message would take what follows for the end (RFC 1939 knows CRLF only, and no Internet
 * message may hold a bare LF: RFC 5322 2.3). Nothing else is altered. */
struct dot_encoder { /* zeroed: at the beginning of a line */
    bool in_line;
    bool is_bare; /* the last line ended with LF alone */
    bool has_cr;  /* the last byte was CR */
};
/* How many bytes of `in` go out as they are; if that is not all, the byte behind them is a dot that
 * begins a line: send a dot of your own, then go on with it: pass the rest to dot_encode_on, which
 * takes that dot as it is.
 *
 *   size_t run = dot_encode(&e, in);
 *   for (;;) {
 *       send(slice_first(in, run));  in = slice_from(in, run);
 *       if (in.size == 0) break;
 *       send(SLICE("."));  run = dot_encode_on(&e, in);
 *   } */
size_t dot_encode(struct dot_encoder *encoder, struct slice in);
size_t dot_encode_on(struct dot_encoder *encoder, struct slice in);
/* What ends the data after all of it: ".CRLF", after a CRLF unless the last line had one. */
struct slice dot_encode_end(const struct dot_encoder *encoder);

#endif
