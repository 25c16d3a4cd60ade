/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The memory of a life. The linker's --wrap sends the program's malloc family and mmap here; while
 * a core runs, what is allocated is written down in a table by address, and a crash frees what is
 * left in it, as the end of a process would. All else passes through.
 *
 * Invariant: the order of the table never shows in a run (W1): it is only looked up and emptied.
 */
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "world.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret_memory, size_t alignment, size_t size);
void __real_free(void *memory);
void *__real_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
void *__real_mremap(void *address, size_t size, size_t new_size, int flags, ...);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret_memory, size_t alignment, size_t size);
void __wrap_free(void *memory);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);
void *__wrap_mremap(void *address, size_t size, size_t new_size, int flags, ...);

/* Open addressing; an empty row has address 0, a deleted one 1. */
struct row {
    uintptr_t address;
    size_t size;
    bool is_mapping;
};
static struct row *rows;
static size_t row_capacity, row_used, row_live; /* used: with the deleted ones */
static uint64_t bytes_live;
static struct sim *living; /* its core runs now */
static bool is_sure;       /* no allocation fails: it is the test's */

enum { DELETED = 1, ROWS_MIN = 1024 };

/* A life takes what the one before has left: pages from the kernel each time were a third of what
 * many worlds cost. */
__attribute__((constructor)) static void keep_pages(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

static size_t place(uintptr_t address)
{
    return (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (row_capacity - 1);
}

static struct row *find(const void *memory)
{
    uintptr_t address = (uintptr_t)memory;
    if (row_live == 0)
        return NULL;
    for (size_t at = place(address); rows[at].address != 0; at = (at + 1) & (row_capacity - 1))
        if (rows[at].address == address)
            return &rows[at];
    return NULL;
}

static void put(uintptr_t address, size_t size, bool is_mapping)
{
    size_t at = place(address);
    while (rows[at].address > DELETED)
        at = (at + 1) & (row_capacity - 1);
    if (rows[at].address == 0)
        row_used++;
    rows[at] = (struct row){address, size, is_mapping};
}

static void grow(void)
{
    if (2 * (row_used + 1) < row_capacity)
        return;
    struct row *old = rows;
    size_t old_capacity = row_capacity;
    row_capacity = ROWS_MIN;
    while (row_capacity < 4 * (row_live + 1))
        row_capacity *= 2;
    rows = __real_calloc(row_capacity, sizeof *rows);
    if (rows == NULL)
        abort();
    row_used = 0;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].address > DELETED)
            put(old[i].address, old[i].size, old[i].is_mapping);
    __real_free(old);
}

static void note(void *memory, size_t size, bool is_mapping)
{
    grow();
    put((uintptr_t)memory, size, is_mapping);
    row_live++;
    bytes_live += size;
}

static void *noted(void *memory, size_t size, bool is_mapping)
{
    if (living != NULL && memory != NULL && memory != MAP_FAILED)
        note(memory, size, is_mapping);
    return memory;
}

static void forget(struct row *row)
{
    row->address = DELETED;
    row_live--;
    bytes_live -= row->size;
}

static bool refused(void)
{
    return living != NULL && !is_sure &&
           (planned_failure(living, SIM_OPERATION_MEMORY, -ENOMEM) < 0 ||
            sim_chance(living, SIM_FAULT_NO_MEMORY));
}

void memory_enter(struct sim *sim)
{
    living = sim;
    is_sure = false;
}

void memory_enter_surely(struct sim *sim)
{
    living = sim;
    is_sure = true;
}

struct sim *memory_owner(void)
{
    return living;
}

void memory_leave(void)
{
    living = NULL;
}

uint64_t memory_live(void)
{
    return bytes_live;
}

uint64_t sim_memory_live(const struct sim *sim)
{
    (void)sim;
    return bytes_live;
}

void memory_drop(void)
{
    if (row_live > 0)
        for (size_t i = 0; i < row_capacity; i++) {
            if (rows[i].address <= DELETED)
                continue;
            void *memory = (void *)rows[i].address;
            if (rows[i].is_mapping)
                __real_munmap(memory, rows[i].size);
            else
                __real_free(memory);
        }
    if (row_used > 0)
        memset(rows, 0, row_capacity * sizeof *rows);
    row_used = row_live = 0;
    bytes_live = 0;
}

/* ---------------------------------------------------------------- the wrapped calls */

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : noted(__real_malloc(size), size, false);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : noted(__real_calloc(count, size), count * size, false);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : noted(__real_aligned_alloc(alignment, size), size, false);
}

int __wrap_posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    if (refused())
        return ENOMEM;
    int error = __real_posix_memalign(ret_memory, alignment, size);
    if (error == 0)
        noted(*ret_memory, size, false);
    return error;
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (memory == NULL)
        return __wrap_malloc(size);
    if (refused())
        return NULL;
    struct row *row = find(memory);
    void *moved = __real_realloc(memory, size);
    if (row == NULL || moved == NULL)
        return moved;
    forget(row);
    note(moved, size, false);
    return moved;
}

void __wrap_free(void *memory)
{
    struct row *row = memory == NULL ? NULL : find(memory);
    if (row != NULL)
        forget(row);
    __real_free(memory);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return noted(__real_mmap64(address, size, protection, flags, fd, offset), size, true);
}

void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{ /* what mmap is called with 64-bit file offsets */
    return __wrap_mmap(address, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *address, size_t size)
{
    struct row *row = find(address);
    if (row != NULL && row->is_mapping)
        forget(row);
    return __real_munmap(address, size);
}

void *__wrap_mremap(void *address, size_t size, size_t new_size, int flags, ...)
{
    if (refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    struct row *row = find(address);
    void *moved = __real_mremap(address, size, new_size, flags);
    if (moved != MAP_FAILED && row != NULL) {
        forget(row);
        note(moved, new_size, true);
    }
    return moved;
}

/* ---------------------------------------------------------------- memory of the test */

void *sim_keep_alloc(size_t size)
{
    void *memory = __real_calloc(1, size ? size : 1);
    if (memory == NULL)
        abort();
    return memory;
}

void *sim_keep_resize(void *memory, size_t size)
{
    memory = __real_realloc(memory, size ? size : 1);
    if (memory == NULL)
        abort();
    return memory;
}

void sim_keep_free(void *memory)
{
    __real_free(memory);
}
