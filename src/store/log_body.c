/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory in which bodies are received, aligned so that it can be written from there (O_DIRECT).
 *
 *   16 KiB ─▶ 64 KiB ─▶ 256 KiB ─▶ mapped, doubled by mremap
 *   └──── pooled, grown by copying ────┘  (LOG_BODY_START_BYTES)
 *
 * The pool is a stack per size, so the memory taken next is the one that is warm in the cache; it
 * and the budget belong to the core, for as long as a log is open there, or bodies without one, or
 * a body is out (a body on its way between two cores belongs to none and goes back to the
 * allocator). The budget counts capacity, and bodies on their way to the disk; those that the cache
 * keeps are counted there. Fails by NULL.
 */
#include "log_private.h"

#include <sys/mman.h>

enum { SIZES = 3, MAPPED = SIZES, HINT_BYTES_MAX = 1048576 };
static const uint32_t size_bytes[SIZES] = {16384, 65536, LOG_BODY_START_BYTES};
static const uint32_t size_pooled_max[SIZES] = {256, 64, 32};
static const uint64_t BUDGET_BYTES = UINT64_C(256) << 20;

struct log_body {
    struct log_body *next;   /* in the pool */
    struct log_core *shared; /* NULL between two cores */
    char *data;
    uint64_t capacity, size;
    unsigned which; /* index of size_bytes, or MAPPED */
    bool is_kept;   /* by the cache, which has a budget of its own */
};

struct log_core *log_core_ref(struct core *core)
{
    struct log_core *shared = core_local(core, CORE_LOCAL_LOG);
    if (shared == NULL) {
        shared = calloc(1, sizeof *shared);
        if (shared == NULL)
            return NULL;
        shared->core = core;
        shared->body_bytes_max = BUDGET_BYTES;
        core_local_set(core, CORE_LOCAL_LOG, shared);
    }
    shared->references++;
    return shared;
}

static void memory_free(struct log_body *body)
{
    if (body->which == MAPPED)
        munmap(body->data, body->capacity);
    else
        free(body->data);
}

void log_core_unref(struct log_core *shared)
{
    if (--shared->references > 0)
        return;
    for (unsigned which = 0; which < SIZES; which++)
        while (shared->pool[which] != NULL) {
            struct log_body *body = shared->pool[which];
            shared->pool[which] = body->next;
            memory_free(body);
            free(body);
        }
    core_local_set(shared->core, CORE_LOCAL_LOG, NULL);
    free(shared);
}

int log_bodies_open(struct core *core)
{
    struct log_core *shared = log_core_ref(core);
    if (shared == NULL)
        return -ENOMEM;
    assert(!shared->is_held);
    shared->is_held = true;
    return 0;
}

void log_bodies_close(struct core *core)
{
    struct log_core *shared = core_local(core, CORE_LOCAL_LOG);
    if (shared == NULL || !shared->is_held)
        return;
    shared->is_held = false;
    log_core_unref(shared);
}

/* Memory of at least `wanted` bytes into the body, whose old memory is not touched. */
static bool memory_take(struct log_body *body, uint64_t wanted)
{
    unsigned which = 0;
    while (which < SIZES && size_bytes[which] < wanted)
        which++;
    if (which == MAPPED) {
        uint64_t capacity = format_round(wanted, 4096);
        void *data = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED)
            return false;
        body->data = data;
        body->capacity = capacity;
    } else {
        void *data = NULL;
        if (posix_memalign(&data, 4096, size_bytes[which]) != 0)
            return false;
        body->data = data;
        body->capacity = size_bytes[which];
    }
    body->which = which;
    return true;
}

/* The budget: may the core hold this many more? */
static bool budget_allows(const struct log_core *shared, uint64_t more)
{
    return more <= shared->body_bytes_max && shared->body_bytes <= shared->body_bytes_max - more;
}

static void budget_give(struct log_core *shared, uint64_t bytes)
{
    shared->body_bytes -= bytes;
    waiters_wake_all(shared->core, &shared->body_waiters);
}

static struct log_body *pool_take(struct log_core *shared, uint64_t wanted)
{
    unsigned which = 0;
    while (which < SIZES && size_bytes[which] < wanted)
        which++;
    if (which == SIZES || shared->pool[which] == NULL || !budget_allows(shared, size_bytes[which]))
        return NULL;
    struct log_body *body = shared->pool[which];
    shared->pool[which] = body->next;
    shared->pool_count[which]--;
    return body;
}

struct log_body *log_body_take(struct core *core, uint64_t size_hint)
{
    struct log_core *shared = log_core_ref(core);
    if (shared == NULL)
        return NULL;
    uint64_t wanted = size_hint < HINT_BYTES_MAX ? size_hint : HINT_BYTES_MAX;
    struct log_body *body = pool_take(shared, wanted);
    if (body == NULL) {
        body = calloc(1, sizeof *body);
        if (body == NULL || !memory_take(body, wanted)) {
            free(body);
            log_core_unref(shared);
            return NULL;
        }
        body->shared = shared;
        if (!budget_allows(shared, body->capacity)) {
            memory_free(body);
            free(body);
            log_core_unref(shared);
            return NULL;
        }
    }
    body->size = 0;
    shared->body_bytes += body->capacity;
    return body;
}

/* How much more growing takes, for a moment at least. */
static uint64_t growth(const struct log_body *body)
{
    return body->which == MAPPED ? body->capacity : 4 * body->capacity;
}

/* What a body of that hint takes; 0: more than all may have. */
static uint64_t first_bytes(const struct log_core *shared, uint64_t size_hint)
{
    uint64_t wanted = size_hint < HINT_BYTES_MAX ? size_hint : HINT_BYTES_MAX, bytes = wanted;
    for (unsigned which = SIZES; which-- > 0;)
        if (size_bytes[which] >= wanted)
            bytes = size_bytes[which];
    return bytes <= shared->body_bytes_max ? format_round(bytes, 4096) : 0;
}

struct log_body *log_body_take_await(struct core *core, uint64_t size_hint, uint64_t deadline_ns)
{
    struct log_body *body = log_body_take(core, size_hint);
    struct log_core *shared = body != NULL ? NULL : log_core_ref(core);
    if (shared == NULL)
        return body;
    uint64_t bytes = first_bytes(shared, size_hint);
    while (body == NULL && bytes > 0 && !budget_allows(shared, bytes) &&
           waiters_wait(core, &shared->body_waiters, deadline_ns) == 0)
        body = log_body_take(core, size_hint);
    log_core_unref(shared);
    return body;
}

static bool grow(struct log_body *body)
{
    struct log_core *shared = body->shared;
    uint64_t old = body->capacity;
    if (!budget_allows(shared, growth(body)))
        return false;
    if (body->which == MAPPED) {
        void *data = mremap(body->data, old, 2 * old, MREMAP_MAYMOVE);
        if (data == MAP_FAILED)
            return false;
        body->data = data;
        body->capacity = 2 * old;
    } else {
        struct log_body larger = *body;
        if (!memory_take(&larger, 2 * old))
            return false;
        memcpy(larger.data, body->data, body->size);
        free(body->data);
        *body = larger;
    }
    shared->body_bytes += body->capacity - old;
    return true;
}

char *log_body_room(struct log_body *body, size_t want, size_t *ret_room)
{
    assert(want > 0);
    if (body->size == body->capacity && !grow(body))
        return NULL;
    uint64_t room = body->capacity - body->size;
    *ret_room = room < want ? (size_t)room : want;
    return body->data + body->size;
}

char *log_body_await(struct log_body *body, size_t want, uint64_t deadline_ns, size_t *ret_room)
{
    struct log_core *shared = body->shared;
    char *to = log_body_room(body, want, ret_room);
    while (to == NULL && growth(body) + body->capacity <= shared->body_bytes_max &&
           !budget_allows(shared, growth(body)) &&
           waiters_wait(shared->core, &shared->body_waiters, deadline_ns) == 0)
        to = log_body_room(body, want, ret_room);
    return to;
}

void log_body_added(struct log_body *body, size_t size)
{
    assert(size <= body->capacity - body->size);
    body->size += size;
}

void log_body_cut(struct log_body *body, size_t size)
{
    assert(size <= body->size);
    body->size -= size;
}

struct slice log_body_bytes(const struct log_body *body)
{
    return slice_of(body->data, body->size);
}

uint64_t body_trim(struct log_body *body)
{
    uint64_t size = format_round(body->size, 4096);
    if (body->which == MAPPED && size > 0 && size < body->capacity &&
        mremap(body->data, body->capacity, size, 0) != MAP_FAILED) {
        if (body->shared != NULL)
            budget_give(body->shared, body->capacity - size);
        body->capacity = size; /* a mapping that shrinks stays where it is */
    }
    return body->capacity;
}

void body_keep(struct log_body *body)
{
    assert(!body->is_kept);
    body->is_kept = true;
    if (body->shared != NULL)
        budget_give(body->shared, body->capacity);
}

struct slice body_padded(struct log_body *body)
{
    uint64_t size = format_round(body->size, FORMAT_BLOCK_BYTES);
    assert(size <= body->capacity);
    memset(body->data + body->size, 0, size - body->size);
    return slice_of(body->data, size);
}

static void body_free(struct log_body *body)
{
    memory_free(body);
    free(body);
}

void log_body_give(struct log_body *body)
{
    struct log_core *shared = body->shared;
    if (shared == NULL) {
        body_free(body);
        return;
    }
    if (!body->is_kept)
        budget_give(shared, body->capacity);
    body->is_kept = false;
    if (body->which != MAPPED && shared->pool_count[body->which] < size_pooled_max[body->which]) {
        body->next = shared->pool[body->which];
        shared->pool[body->which] = body;
        shared->pool_count[body->which]++;
    } else {
        body_free(body);
    }
    log_core_unref(shared);
}

void log_body_leave(struct log_body *body)
{
    struct log_core *shared = body->shared;
    assert(!body->is_kept);
    budget_give(shared, body->capacity);
    body->shared = NULL;
    log_core_unref(shared);
}

void log_body_arrive(struct log_body *body, struct core *core)
{
    assert(body->shared == NULL);
    body->shared = log_core_ref(core);
    if (body->shared != NULL) /* else it stays in no budget until it is given back */
        body->shared->body_bytes += body->capacity;
}

bool body_is_of(const struct log_body *body, const struct core *core)
{
    return body->shared == NULL || body->shared->core == core;
}
