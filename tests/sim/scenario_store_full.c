/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A store on a disk that is too small (row D10): deliveries until there is no room, then a small
 * one is still refused, what is there is read, flags may be refused, removing works; and without a
 * restart or a larger disk mail is taken again once enough was removed. Twice in a row, then a
 * start from what is left.
 */
#include <stdio.h>

#include "scenarios.h"
#include "store_model.h"

enum { NUMBERS_MAX = 3000, ROUNDS = 2 };

struct full {
    struct sim *sim;
    struct store_options options;
    uint32_t number, kept; /* kept: messages that must be there */
    const char *user;
};

static int deliver(struct core *core, struct full *full)
{
    char text[MODEL_TEXT_MAX];
    struct slice rest = slice_of(text, model_text(full->number * 7 + 7, text, sizeof text));
    struct message_body *body = message_body_take(core, rest.size);
    while (body != NULL && rest.size > 0) {
        size_t room;
        char *at = message_body_room(body, rest.size, &room);
        if (at == NULL)
            break;
        memcpy(at, rest.data, room);
        message_body_added(body, room);
        rest = slice_from(rest, room);
    }
    if (body == NULL)
        return -ENOMEM;
    struct delivery one = {slice_cstr(full->user), SLICE("INBOX"), 1};
    int result = store_deliver(core, body, SLICE("<sender@example>"), &one, 1);
    full->number++;
    full->kept += result == 0;
    return result;
}

/* Every message can be read, whole. */
static void read_all(struct full *full, struct view *view)
{
    for (uint32_t i = 1; i <= view->count; i++) {
        char is[MODEL_TEXT_MAX];
        struct mail_entry entry = *view_entry(view, i);
        int64_t size = message_read(view->mailbox, &entry, 0, is, sizeof is);
        if (size != (int64_t)entry.size || size < 10 || memcmp(is, "Subject: ", 9) != 0)
            sim_fail(full->sim, "UID %u cannot be read on a full disk: %lld", entry.uid,
                     (long long)size);
    }
}

static void remove_most(struct full *full, struct view *view)
{
    static uint32_t uids[NUMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 1; i <= view->count; i++)
        if (i % 10 != 0 && count < NUMBERS_MAX)
            uids[count++] = view_entry(view, i)->uid;
    int result = mailbox_expunge(view->mailbox, uids, count);
    if (result < 0)
        sim_fail(full->sim, "nothing can be removed from a full disk: %d", result);
    else
        full->kept -= count;
}

static void round_of(struct core *core, struct full *full, struct account *account)
{
    struct sim *sim = full->sim;
    struct view view = {0};
    struct view_listener listener = {0};
    int result = 0;
    unsigned sent = 0;
    while (sent++ < NUMBERS_MAX && (result = deliver(core, full)) == 0)
        continue;
    if (result != -ENOSPC || store_state(core) != -ENOSPC)
        sim_fail(sim, "a full disk answers %d, state %d", result, store_state(core));
    struct mailbox *inbox = account_mailbox(account, SLICE("INBOX"));
    result = view_open(account, inbox, false, &view);
    if (result < 0) {
        sim_fail(sim, "no view of a full disk: %d", result);
        return;
    }
    if (view.count != full->kept)
        sim_fail(sim, "%u messages, not %u", view.count, full->kept);
    read_all(full, &view);
    remove_most(full, &view);
    view_update(&view, true, &listener);
    view_close(&view);
    for (unsigned seconds = 0; seconds < 120; seconds++) {
        fiber_sleep(core, 1000000000);
        if (store_state(core) == 0 && deliver(core, full) == 0)
            return;
    }
    sim_fail(sim, "mail is not taken again, two minutes after room was made");
}

static int first_life(struct core *core, void *argument)
{
    struct full *full = argument;
    struct account *account;
    int result = store_open(core, &full->options);
    if (result == 0)
        result = account_open(core, slice_cstr(full->user), &account);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < ROUNDS && sim_failure(full->sim) == NULL; i++)
        round_of(core, full, account);
    account_close(account);
    store_close(core);
    return 0;
}

static int second_life(struct core *core, void *argument)
{
    struct full *full = argument;
    struct account *account;
    struct view view = {0};
    int result = store_open(core, &full->options);
    if (result == 0)
        result = account_open(core, slice_cstr(full->user), &account);
    if (result < 0)
        return result;
    struct mailbox *inbox = account_mailbox(account, SLICE("INBOX"));
    if (view_open(account, inbox, true, &view) == 0) {
        if (view.count != full->kept)
            sim_fail(full->sim, "%u messages after a restart, not %u", view.count, full->kept);
        read_all(full, &view);
        view_close(&view);
    }
    account_close(account);
    store_close(core);
    return 0;
}

int scenario_store_full(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_options_calm(&options, one->seed);
    options.engine.fibers_max = 32;
    options.engine.stack_bytes = 131072;
    options.verbose = one->verbose;
    options.in_order = false;
    options.disk_bytes = (1 << 20) + one->seed % 64 * 32768;
    struct sim *sim = sim_create(&options);
    struct full full = {.sim = sim,
                        .user = "user@example",
                        .options = {.directory = "/store",
                                    .shard_count = 1,
                                    .segment_bytes = 65536 << one->seed % 2,
                                    .index_bytes_max = 1 << one->seed % 20}};
    int result = sim_start(sim);
    if (result == 0)
        result = sim_run(sim, 0, first_life, &full);
    if (result == 0)
        result = sim_stop(sim);
    if (result == 0)
        result = sim_start(sim);
    if (result == 0)
        result = sim_run(sim, 0, second_life, &full);
    if (result != 0)
        sim_fail(sim, "a life ended with %d", result);
    return sim_case_end(sim, why, why_size);
}
