/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mailboxes of all users, read before and after a run of smtp or lmtp; each worker reads those
 * of its share. What is found before (of an earlier run with the same seed) and after goes into the
 * books (verify.h), a mailbox at a time and only when it was read to its end: a reader whose
 * connection breaks tries again, and after some tries the user is left out, so that a bad network
 * never looks like lost mail.
 *
 * "Accepted" does not mean "in the mailbox already": servers queue. So a mailbox that has fewer
 * messages than it must have is read again, until nothing more has come for --timeout.
 */
#include "do_smtp.h"

#include <stdlib.h>

#include "imap.h"
#include "pop3.h"
#include "verify.h"

enum { READS_MAX = 4 /* of a mailbox whose reader fails */ };
static const uint64_t PAUSE_NS = 250000000;

/* A mailbox while it is read. */
struct found {
    struct mailbox_reader reader;
    struct verify_reader state;
    const struct load_options *options;
    uint64_t *numbers; /* of messages of this run */
    size_t count, room;
    uint64_t altered;
    bool failed; /* no memory */
};

static void found_piece(void *argument, struct slice piece)
{
    struct found *found = argument;
    verify_feed(&found->state, piece);
}

static void found_end(void *argument)
{
    struct found *found = argument;
    uint64_t number;
    int result = verify_end(&found->state, found->options, &number);
    found->state = (struct verify_reader){0};
    if (result < 0)
        return;
    if (found->count == found->room) {
        size_t room = found->room == 0 ? 256 : found->room * 2;
        uint64_t *numbers = realloc(found->numbers, room * sizeof *numbers);
        if (numbers == NULL) {
            found->failed = true;
            return;
        }
        found->numbers = numbers;
        found->room = room;
    }
    found->numbers[found->count++] = number;
    found->altered += result == LOAD_ALTERED;
}

/* The whole mailbox, in several tries if need be. 0 or an enum load_error, counted. */
static int read_user(struct load_worker *worker, unsigned user, struct found *found)
{
    int error = 0;
    for (unsigned tries = 0; tries < READS_MAX; tries++) {
        found->state = (struct verify_reader){0};
        found->count = found->altered = 0;
        error = worker->options->endpoints[LOAD_IMAP].is_set
                    ? imap_read_mailbox(worker, user, &found->reader)
                    : pop3_read_mailbox(worker, user, &found->reader);
        if (found->failed)
            return measure_error(worker->at, LOAD_OURS, SLICE("no memory to verify"));
        if (error == 0 || load_why(load_of(worker->at)) != NULL)
            return error;
        fiber_sleep(load_engine(worker->at), PAUSE_NS);
    }
    return error;
}

/* Reads again what is not complete, until *until_ns, which moves on while mail comes. */
static int read_complete(struct load_worker *worker, unsigned user, uint32_t wanted,
                         uint64_t *until_ns, struct found *found)
{
    int error = read_user(worker, user, found);
    while (error == 0 && found->count < wanted && load_now(worker->at) < *until_ns &&
           load_why(load_of(worker->at)) == NULL) {
        size_t before = found->count;
        fiber_sleep(load_engine(worker->at), PAUSE_NS);
        error = read_user(worker, user, found);
        if (found->count > before)
            *until_ns = load_now(worker->at) + worker->options->timeout_ns;
    }
    return error;
}

static struct found new_found(const struct load_worker *worker)
{
    return (struct found){.reader = {.piece = found_piece, .end = found_end},
                          .options = worker->options};
}

int do_smtp_prepare(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct found found = new_found(worker);
    int error = 0;
    found.reader.argument = &found;
    for (unsigned user = worker->index; options->verifies && user < options->users && error == 0 &&
                                        load_why(load_of(worker->at)) == NULL;
         user += options->connections) {
        error = read_user(worker, user, &found);
        for (size_t i = 0; i < found.count && error == 0; i++)
            verify_before(worker->at, found.numbers[i], user);
    }
    free(found.numbers);
    return error;
}

/* ---------------------------------------------------------------- afterwards */

static void free_counts(struct load_core *at, void *counts)
{
    (void)at;
    free(counts);
}

/* How many messages each user must have: counted once a core. NULL: no memory. */
static const uint32_t *wanted_counts(struct load_worker *worker)
{
    uint32_t *counts = load_local(worker->at, LOAD_LOCAL_SCENARIO);
    if (counts != NULL)
        return counts;
    counts = calloc(worker->options->users, sizeof *counts);
    if (counts == NULL)
        return NULL;
    verify_expect(verify_of(load_of(worker->at)), worker->options->users, counts);
    load_local_set(worker->at, LOAD_LOCAL_SCENARIO, counts, free_counts);
    return counts;
}

static void add(uint64_t *word, uint64_t more)
{
    __atomic_store_n(word, *word + more, __ATOMIC_RELAXED); /* other threads read */
}

static void write_down(struct load_core *at, unsigned user, const struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        verify_seen(at, found->numbers[i], user);
    add(&measure_of(at)->verified, found->count);
    add(&measure_of(at)->altered, found->altered);
    for (uint64_t i = 0; i < found->altered; i++)
        measure_error(at, LOAD_ALTERED, SLICE("a message in a mailbox differs from what was sent"));
}

void do_smtp_verify(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    const uint32_t *wanted = wanted_counts(worker);
    struct found found = new_found(worker);
    found.reader.argument = &found;
    if (wanted == NULL)
        measure_error(worker->at, LOAD_OURS, SLICE("no memory to verify"));
    uint64_t until_ns = load_now(worker->at) + options->timeout_ns;
    for (unsigned user = worker->index; user < options->users; user += options->connections) {
        int error = wanted == NULL || load_why(load_of(worker->at)) != NULL
                        ? LOAD_OURS
                        : read_complete(worker, user, wanted[user], &until_ns, &found);
        if (error != 0)
            verify_unread(worker->at, user);
        else
            write_down(worker->at, user, &found);
    }
    free(found.numbers);
}
