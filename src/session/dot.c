/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The decoder is a table of states and classes of bytes. Text without anything special is most of a
 * message, so 64 bytes at a time are looked at first: as far as each LF has a CR before it, each CR
 * an LF behind it, and no line begins with a dot, they are copied as they are. What stands there
 * then goes through the table; the two agree by construction and by test (each split of each
 * sequence, and random bytes, against the table alone).
 *
 *                 CR        LF         dot       other
 *   LINE          CR        TEXT bare  DOT -     TEXT
 *   TEXT          CR        TEXT bare  TEXT      TEXT
 *   CR            CR bare   LINE       TEXT bare TEXT bare
 *   DOT           DOT_CR -  TEXT bare  TEXT      TEXT          "-": the byte is not written
 *   DOT_CR        CR bare   END -      TEXT bare TEXT bare
 */
#include "ringpost/dot.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { CLASS_CR, CLASS_LF, CLASS_DOT, CLASS_OTHER, CLASSES };
enum { STATE = 7, BARE = 8, SILENT = 16 };

static const uint8_t steps[DOT_END][CLASSES] = {
    [DOT_LINE] = {DOT_CR, DOT_TEXT | BARE, DOT_DOT | SILENT, DOT_TEXT},
    [DOT_TEXT] = {DOT_CR, DOT_TEXT | BARE, DOT_TEXT, DOT_TEXT},
    [DOT_CR] = {DOT_CR | BARE, DOT_LINE, DOT_TEXT | BARE, DOT_TEXT | BARE},
    [DOT_DOT] = {DOT_DOT_CR | SILENT, DOT_TEXT | BARE, DOT_TEXT, DOT_TEXT},
    [DOT_DOT_CR] = {DOT_CR | BARE, DOT_END | SILENT, DOT_TEXT | BARE, DOT_TEXT | BARE},
};

static unsigned class_of(char byte)
{
    return byte == '\r'   ? CLASS_CR
           : byte == '\n' ? CLASS_LF
           : byte == '.'  ? CLASS_DOT
                          : CLASS_OTHER;
}

enum { BLOCK = 64, STEPS = 4 /* by the table, before a block is tried again */ };

#if defined(__SSE2__)
static inline uint64_t matches_16(const char *data, __m128i wanted)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
}

/* Written out: at -O2 a loop stays one, and costs a third of the decoder's time. */
static inline uint64_t matches(const char *data, char byte)
{
    const __m128i wanted = _mm_set1_epi8(byte);
    return matches_16(data, wanted) | matches_16(data + 16, wanted) << 16 |
           matches_16(data + 32, wanted) << 32 | matches_16(data + 48, wanted) << 48;
}
_Static_assert(BLOCK == 64, "four times 16 bytes");
#else
static uint64_t matches(const char *data, char byte)
{
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK; i++)
        mask |= (uint64_t)(data[i] == byte) << i;
    return mask;
}
#endif

/* How many of these BLOCK bytes are plain lines after `state`: up to the first LF without CR, what
 * follows a CR and is no LF, or a dot that begins a line. */
static unsigned plain_count(const char *data, unsigned state)
{
    uint64_t cr = matches(data, '\r'), lf = matches(data, '\n');
    uint64_t begins = lf << 1 | (state == DOT_LINE);
    uint64_t wrong = lf ^ (cr << 1 | (state == DOT_CR));
    if (begins != 0)
        wrong |= begins & matches(data, '.');
    return wrong != 0 ? (unsigned)__builtin_ctzll(wrong) : BLOCK;
}

static unsigned state_after(char last)
{
    return last == '\r' ? DOT_CR : last == '\n' ? DOT_LINE : DOT_TEXT;
}

size_t dot_decode(struct dot_decoder *decoder, struct slice in, char *out, size_t *ret_size)
{
    unsigned state = decoder->state;
    bool in_place = out == in.data;
    size_t at = 0, size = 0;
    while (at < in.size && state != DOT_END) {
        size_t stop = in.size;
        if (in.size - at >= BLOCK) {
            unsigned plain = state <= DOT_CR ? plain_count(in.data + at, state) : 0;
            if (in_place)
                memmove(out + size, in.data + at, size < at ? plain : 0);
            else if (out != NULL && plain > 0) /* a whole block always fits: size <= at */
                memcpy(out + size, in.data + at, BLOCK);
            size += plain;
            at += plain;
            if (plain > 0)
                state = state_after(in.data[at - 1]);
            if (plain == BLOCK)
                continue;
            stop = in.size - at < STEPS ? in.size : at + STEPS;
        }
        while (at < stop && state != DOT_END) {
            char byte = in.data[at++];
            unsigned step = steps[state][class_of(byte)];
            state = step & STATE;
            decoder->is_bare |= (step & BARE) != 0;
            if (step & SILENT)
                continue;
            if (out != NULL)
                out[size] = byte;
            size++;
        }
    }
    decoder->state = (uint8_t)state;
    *ret_size = size;
    return at;
}

/* ---------------------------------------------------------------- encoding */

/* Dots are looked for, not lines: there are fewer, and none in base64. */
size_t dot_encode_on(struct dot_encoder *encoder, struct slice in)
{
    if (in.size == 0)
        return 0;
    const char *end = in.data + in.size, *at = in.data + 1; /* the first is taken as it is */
    while ((at = memchr(at, '.', (size_t)(end - at))) != NULL && at[-1] != '\n')
        at++;
    size_t run = at != NULL ? (size_t)(at - in.data) : in.size;
    bool had_cr = run > 1 ? in.data[run - 2] == '\r' : encoder->has_cr;
    encoder->in_line = in.data[run - 1] != '\n';
    encoder->is_bare = !encoder->in_line && !had_cr;
    encoder->has_cr = in.data[run - 1] == '\r';
    return run;
}

size_t dot_encode(struct dot_encoder *encoder, struct slice in)
{
    if (in.size > 0 && !encoder->in_line && in.data[0] == '.')
        return 0;
    return dot_encode_on(encoder, in);
}

struct slice dot_encode_end(const struct dot_encoder *encoder)
{
    return encoder->in_line || encoder->is_bare ? SLICE("\r\n.\r\n") : SLICE(".\r\n");
}
