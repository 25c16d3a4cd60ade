/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Capabilities as words with blanks between, each with values behind '=' or without:
 *
 *   PIPELINING SIZE=1000 SIEVE=fileinto,reject AUTH=PLAIN AUTH=LOGIN
 *
 * Compared in any case (ASCII).
 */
#ifndef RINGPOST_WORDS_H
#define RINGPOST_WORDS_H

#include "ringpost/slice.h"

/* Takes the first word off; empty at the end. */
struct slice words_next(struct slice *words);
/* Is this very word among them? */
bool words_have(struct slice words, struct slice word);
/* Is there a word of that name, with values or without? ret_values (NULL: not asked for): those of
 * the first that has any. */
bool words_find(struct slice words, struct slice name, struct slice *ret_values);
/* Leaves of `words`, in place, what `others` say too: of a word with values those that are values
 * of a word of that name there, and of one without the word itself. The size. */
size_t words_common(char *words, size_t size, struct slice others);
/* Leaves out this very word, in place. The size. */
size_t words_without(char *words, size_t size, struct slice word);

#endif
