/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether what came back is what was sent: the reader of one message, and the books of all.
 *
 * An entry of the books is a number of the run and a user in one word. Each core appends what it
 * learns to lists of its own, in chunks, so that nothing is moved while mail flows. In the end the
 * lists of all cores are joined, sorted and walked side by side. Eight bytes a recipient and list,
 * twice that while they are joined; at most VERIFY_ENTRIES_MAX of each list and core.
 *
 * For one number and user the books say how often it was accepted (or maybe so), deleted, there
 * before the run, and seen after it:
 *
 *     missing  accepted + before - deleted > seen
 *     doubled  seen > accepted + maybe + before > 0
 *
 * Of a user whose mailbox could not be read nothing is said, but that is an error that counts. A
 * message that was refused and is there all the same is not told, nor what others have put there.
 */
#include "verify.h"

#include <assert.h>
#include <stdlib.h>

#include "content_private.h"
#include "ringpost/hash.h"

enum {
    VERIFY_CHUNK = 8192,          /* entries */
    VERIFY_ENTRIES_MAX = 1 << 27, /* of a list of one core: 1 GiB */
    USER_BITS = 24,
    NUMBER_BITS = 40
};
static_assert(LOAD_USERS_MAX < 1 << USER_BITS, "a user has his place in an entry");

/* ---------------------------------------------------------------- one message */

static void take_header_line(struct verify_reader *reader)
{
    struct slice line = slice_of(reader->line, reader->line_bytes);
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (!reader->has_mark && content_read_mark(line, &reader->seed, &reader->number,
                                               &reader->body_bytes, &reader->crc_wanted))
        reader->has_mark = true;
    reader->in_body = line.size == 0;
    reader->line_bytes = 0;
}

/* The header up to the end of `piece` or of itself; how many bytes that is. */
static size_t feed_header(struct verify_reader *reader, struct slice piece)
{
    size_t used = 0;
    while (used < piece.size && !reader->in_body) {
        struct slice rest = slice_from(piece, used);
        size_t end = slice_find(rest, '\n');
        size_t room = sizeof reader->line - reader->line_bytes;
        size_t part = end < room ? end : room;
        memcpy(reader->line + reader->line_bytes, rest.data, part);
        reader->line_bytes += (unsigned)part;
        used += end;
        if (end < rest.size) {
            used++;
            take_header_line(reader);
        }
    }
    return used;
}

void verify_feed(struct verify_reader *reader, struct slice piece)
{
    if (!reader->in_body)
        piece = slice_from(piece, feed_header(reader, piece));
    if (piece.size == 0)
        return;
    reader->crc = crc32c(reader->crc, piece.data, piece.size);
    reader->body_seen += piece.size;
}

int verify_end(struct verify_reader *reader, const struct load_options *options,
               uint64_t *ret_number)
{
    if (!reader->has_mark || reader->seed != options->seed)
        return -1;
    *ret_number = reader->number;
    if (reader->body_seen != reader->body_bytes || reader->crc != reader->crc_wanted)
        return LOAD_ALTERED;
    return LOAD_FINE;
}

/* ---------------------------------------------------------------- the books */

struct chunk {
    struct chunk *next;
    unsigned count;
    uint64_t entries[VERIFY_CHUNK];
};

struct list {
    struct chunk *newest;
    uint64_t count;
};

struct verify {
    unsigned cores;
    bool failed; /* atomic: no memory, nothing is said */
    struct list lists[CORES_MAX][VERIFY_BOOK_COUNT];
};

int verify_create(unsigned cores, struct verify **ret_verify)
{
    assert(cores <= CORES_MAX);
    struct verify *verify = calloc(1, sizeof *verify);
    if (verify == NULL)
        return -ENOMEM;
    verify->cores = cores;
    *ret_verify = verify;
    return 0;
}

static void list_free(struct list *list)
{
    while (list->newest != NULL) {
        struct chunk *chunk = list->newest;
        list->newest = chunk->next;
        free(chunk);
    }
    list->count = 0;
}

void verify_destroy(struct verify *verify)
{
    if (verify == NULL)
        return;
    for (unsigned core = 0; core < verify->cores; core++)
        for (unsigned book = 0; book < VERIFY_BOOK_COUNT; book++)
            list_free(&verify->lists[core][book]);
    free(verify);
}

bool verify_has_failed(const struct verify *verify)
{
    return __atomic_load_n(&verify->failed, __ATOMIC_RELAXED);
}

static void fail(struct load_core *at, struct verify *verify)
{
    if (!__atomic_exchange_n(&verify->failed, true, __ATOMIC_RELAXED))
        measure_error(at, LOAD_OURS, SLICE("no memory for the books of --verify"));
}

static bool append(struct list *list, uint64_t entry)
{
    if (list->newest == NULL || list->newest->count == VERIFY_CHUNK) {
        struct chunk *chunk = list->count < VERIFY_ENTRIES_MAX ? malloc(sizeof *chunk) : NULL;
        if (chunk == NULL)
            return false;
        chunk->next = list->newest;
        chunk->count = 0;
        list->newest = chunk;
    }
    list->newest->entries[list->newest->count++] = entry;
    list->count++;
    return true;
}

bool verify_note(struct verify *verify, unsigned core, enum verify_book book, uint64_t number,
                 unsigned user)
{
    assert(core < verify->cores && user < 1u << USER_BITS && number < UINT64_C(1) << NUMBER_BITS);
    return append(&verify->lists[core][book], number << USER_BITS | user);
}

static void note(struct load_core *at, enum verify_book book, uint64_t number, unsigned user)
{
    struct verify *verify = verify_of(load_of(at));
    if (verify != NULL && !verify_has_failed(verify) &&
        !verify_note(verify, core_index(load_engine(at)), book, number, user))
        fail(at, verify);
}

void verify_accepted(struct load_core *at, uint64_t number, unsigned user)
{
    note(at, VERIFY_ACCEPTED, number, user);
}

void verify_maybe(struct load_core *at, uint64_t number, unsigned user)
{
    note(at, VERIFY_MAYBE, number, user);
}

void verify_deleted(struct load_core *at, uint64_t number, unsigned user)
{
    note(at, VERIFY_DELETED, number, user);
}

void verify_before(struct load_core *at, uint64_t number, unsigned user)
{
    note(at, VERIFY_BEFORE, number, user);
}

void verify_seen(struct load_core *at, uint64_t number, unsigned user)
{
    note(at, VERIFY_SEEN, number, user);
}

void verify_unread(struct load_core *at, unsigned user)
{
    note(at, VERIFY_UNREAD, 0, user);
}

static void count_users(const struct list *list, unsigned users, uint32_t change, uint32_t *counts)
{
    for (const struct chunk *chunk = list->newest; chunk != NULL; chunk = chunk->next)
        for (unsigned i = 0; i < chunk->count; i++) {
            uint64_t user = chunk->entries[i] & (((uint64_t)1 << USER_BITS) - 1);
            if (user < users)
                counts[user] += change;
        }
}

void verify_expect(const struct verify *verify, unsigned users, uint32_t *counts)
{
    for (unsigned core = 0; core < verify->cores; core++) {
        count_users(&verify->lists[core][VERIFY_ACCEPTED], users, 1, counts);
        count_users(&verify->lists[core][VERIFY_BEFORE], users, 1, counts);
        count_users(&verify->lists[core][VERIFY_DELETED], users, UINT32_MAX, counts);
    }
}

/* ---------------------------------------------------------------- the end */

/* By the bytes of the entries from the last to the first, those that are the same in all left out;
 * `spare` is as large. Returns which of the two is sorted. */
static uint64_t *sort(uint64_t *entries, uint64_t *spare, uint64_t count)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint64_t starts[257] = {0};
        for (uint64_t i = 0; i < count; i++)
            starts[(entries[i] >> shift & 255) + 1]++;
        bool is_same = false;
        for (unsigned digit = 0; digit < 256 && !is_same; digit++)
            is_same = starts[digit + 1] == count;
        if (is_same)
            continue;
        for (unsigned digit = 0; digit < 256; digit++)
            starts[digit + 1] += starts[digit];
        for (uint64_t i = 0; i < count; i++)
            spare[starts[entries[i] >> shift & 255]++] = entries[i];
        uint64_t *swapped = entries;
        entries = spare;
        spare = swapped;
    }
    return entries;
}

struct sorted {
    uint64_t *memory, *entries;
    uint64_t count, at;
};

/* One book of all cores; the lists are empty afterwards. */
static bool join(struct verify *verify, unsigned book, struct sorted *sorted)
{
    uint64_t count = 0;
    for (unsigned core = 0; core < verify->cores; core++)
        count += verify->lists[core][book].count;
    *sorted = (struct sorted){.count = count};
    if (count == 0)
        return true;
    sorted->memory = malloc(2 * count * sizeof *sorted->memory);
    if (sorted->memory == NULL)
        return false;
    uint64_t *to = sorted->memory;
    for (unsigned core = 0; core < verify->cores; core++) {
        struct list *list = &verify->lists[core][book];
        for (const struct chunk *chunk = list->newest; chunk != NULL; chunk = chunk->next) {
            memcpy(to, chunk->entries, chunk->count * sizeof *to);
            to += chunk->count;
        }
        list_free(list);
    }
    sorted->entries = sort(sorted->memory, sorted->memory + count, count);
    return true;
}

/* How often `entry` comes next. */
static int64_t take(struct sorted *sorted, uint64_t entry)
{
    uint64_t before = sorted->at;
    while (sorted->at < sorted->count && sorted->entries[sorted->at] == entry)
        sorted->at++;
    return (int64_t)(sorted->at - before);
}

static bool is_unread(const struct sorted *unread, uint64_t entry)
{
    uint64_t user = entry & (((uint64_t)1 << USER_BITS) - 1), low = 0, high = unread->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (unread->entries[middle] < user)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unread->count && unread->entries[low] == user;
}

static void compare(struct sorted books[VERIFY_BOOK_COUNT], struct measure *measure)
{
    for (;;) {
        uint64_t entry = UINT64_MAX;
        int64_t times[VERIFY_UNREAD];
        for (unsigned book = 0; book < VERIFY_UNREAD; book++) {
            const struct sorted *sorted = &books[book];
            if (sorted->at < sorted->count && sorted->entries[sorted->at] < entry)
                entry = sorted->entries[sorted->at];
        }
        if (entry == UINT64_MAX)
            return;
        for (unsigned book = 0; book < VERIFY_UNREAD; book++)
            times[book] = take(&books[book], entry);
        if (is_unread(&books[VERIFY_UNREAD], entry))
            continue;
        int64_t most = times[VERIFY_ACCEPTED] + times[VERIFY_BEFORE];
        int64_t least = most - times[VERIFY_DELETED];
        most += times[VERIFY_MAYBE];
        int64_t seen = times[VERIFY_SEEN];
        if (seen < least)
            measure->missing += (uint64_t)(least - seen);
        if (seen > most && most > 0)
            measure->doubled += (uint64_t)(seen - most);
    }
}

void verify_finish(struct verify *verify, struct measure *measure)
{
    struct sorted books[VERIFY_BOOK_COUNT] = {0};
    bool is_joined = !verify_has_failed(verify);
    for (unsigned book = 0; book < VERIFY_BOOK_COUNT && is_joined; book++)
        is_joined = join(verify, book, &books[book]);
    if (is_joined)
        compare(books, measure);
    else
        measure->errors[LOAD_OURS] += !verify_has_failed(verify);
    measure->errors[LOAD_MISSING] += measure->missing;
    measure->errors[LOAD_DOUBLED] += measure->doubled;
    for (unsigned book = 0; book < VERIFY_BOOK_COUNT; book++)
        free(books[book].memory);
}
