/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A search program in postfix order, evaluated in three values: yes, no, unknown. So the cheap
 * leaves can be tried first, and the others only as far as they decide (K2). Pure.
 *
 *    SEEN OR FROM a BODY b        steps: SEEN, FROM, BODY, OR, AND
 *    truth after the entry:       no    ?     ?     ?   no        ─▶ nothing is read
 *    truth after the entry:       yes   ?     ?     ?   ?         ─▶ wanted: FROM, BODY
 *    truth after the header:      yes   yes   ?     yes yes       ─▶ the body is not read
 */
#include "search.h"

bool search_program_init(struct search_program *program, struct arena *arena)
{
    program->truth = arena_zalloc(arena, program->count, 1);
    program->wanted = arena_zalloc(arena, program->count, 1);
    return program->truth != NULL && program->wanted != NULL;
}

static uint8_t truth_and(uint8_t a, uint8_t b)
{
    if (a == SEARCH_NO || b == SEARCH_NO)
        return SEARCH_NO;
    return a == SEARCH_UNKNOWN || b == SEARCH_UNKNOWN ? SEARCH_UNKNOWN : SEARCH_YES;
}

static uint8_t truth_not(uint8_t a)
{
    return a == SEARCH_UNKNOWN ? SEARCH_UNKNOWN : a == SEARCH_YES ? SEARCH_NO : SEARCH_YES;
}

static uint8_t truth_or(uint8_t a, uint8_t b)
{
    return truth_not(truth_and(truth_not(a), truth_not(b)));
}

/* Each level of depth holds back at most one value, and a connective takes two. */
enum { STACK_MAX = SEARCH_DEPTH_MAX + 2 };

enum search_truth search_combine(struct search_program *program)
{
    uint8_t stack[STACK_MAX];
    unsigned used = 0;
    for (uint32_t i = 0; i < program->count; i++) {
        uint8_t *truth = &program->truth[i];
        unsigned takes = program->steps[i].op < SEARCH_NOT    ? 0
                         : program->steps[i].op == SEARCH_NOT ? 1
                                                              : 2;
        assert(used >= takes && used - takes < STACK_MAX && "K1");
        used -= takes;
        if (program->steps[i].op == SEARCH_NOT)
            *truth = truth_not(stack[used]);
        else if (program->steps[i].op == SEARCH_AND)
            *truth = truth_and(stack[used], stack[used + 1]);
        else if (program->steps[i].op == SEARCH_OR)
            *truth = truth_or(stack[used], stack[used + 1]);
        stack[used++] = *truth;
    }
    assert(used == 1 && "a program has one value");
    return (enum search_truth)stack[0];
}

/* Backwards, postfix is prefix: what a connective wants is known before its operands are met. */
void search_want(struct search_program *program)
{
    bool stack[STACK_MAX];
    unsigned used = 0;
    stack[used++] = true;
    for (uint32_t i = program->count; i-- > 0;) {
        assert(used > 0 && "K1");
        bool is_wanted = stack[--used] && program->truth[i] == SEARCH_UNKNOWN;
        unsigned op = program->steps[i].op;
        program->wanted[i] = is_wanted && op < SEARCH_NOT;
        for (unsigned operand = 0; op >= SEARCH_NOT && operand < (op == SEARCH_NOT ? 1U : 2U);
             operand++) {
            assert(used < STACK_MAX && "K1");
            stack[used++] = is_wanted;
        }
    }
    assert(used == 0 && "a program has one value");
}
