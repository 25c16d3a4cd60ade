/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the arguments of SEARCH; what is taken is run with leaves of drawn values
 * that become known in steps. A program's value never changes once it is known, and knowing all
 * wanted leaves is enough to know it.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../../src/imap/search.h"

#include <stdlib.h>

#include "ringpost/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void program_run(struct search_program *program, uint64_t seed)
{
    for (uint32_t i = 0; i < program->count; i++)
        program->truth[i] = SEARCH_UNKNOWN;
    enum search_truth known = SEARCH_UNKNOWN;
    for (unsigned step = 0; step < 3; step++) {
        enum search_truth value = search_combine(program);
        require(known == SEARCH_UNKNOWN || value == known);
        known = value;
        search_want(program);
        bool is_any = false;
        for (uint32_t i = 0; i < program->count; i++) {
            seed = hash_u64(seed + i + 1);
            require(!program->wanted[i] || known == SEARCH_UNKNOWN);
            is_any = is_any || program->wanted[i];
            if (program->steps[i].op < SEARCH_NOT && program->truth[i] == SEARCH_UNKNOWN &&
                (step == 2 ? program->wanted[i] : seed % 3 == 0))
                program->truth[i] = seed >> 32 & 1 ? SEARCH_YES : SEARCH_NO;
        }
        require(is_any == (known == SEARCH_UNKNOWN));
    }
    require(search_combine(program) != SEARCH_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct search_arguments arguments = {0};
    char *copy = malloc(size + 1); /* ends where the input ends, for the address sanitizer */
    require(copy != NULL);
    memcpy(copy, data, size);
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    if (imap_search_parse(slice_of(copy, size), &arena, &arguments) == NULL) {
        struct search_program program = {.steps = arguments.steps, .count = arguments.count};
        require(program.count > 0 && program.count <= SEARCH_STEPS_MAX);
        require(search_program_init(&program, &arena));
        for (uint64_t seed = 1; seed <= 4; seed++)
            program_run(&program, hash_u64(seed + size));
    }
    arena_reset(&arena);
    free(copy);
    return 0;
}
