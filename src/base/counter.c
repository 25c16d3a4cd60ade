/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The counter table's names and help, from the one list in counter.h.
 */
#include "ringpost/counter.h"

#define COUNTER_ROW(enumerator, name, kind, help) [COUNTER_##enumerator] = {name, kind, help},
const struct counter_row counter_rows[COUNTER_COUNT] = {COUNTER_TABLE(COUNTER_ROW)};
#undef COUNTER_ROW
