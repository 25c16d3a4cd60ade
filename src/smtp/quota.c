/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How much a user may submit: messages and recipients that were accepted in a window of time, which
 * begins with the user's first message and then afresh. A user's sessions may be on any core; what
 * is counted is counted on the user's home core (store_home_core), so limits are exact. That costs
 * a message to that core and back at MAIL (so that a client learns early) and once more when the
 * message is there; nothing when the session is at home.
 *
 * A row is found by the keyed hash of the name (two users who share one, 2^-64, share a count).
 * Only who has logged in has a row, and rows whose window is over go when the table grows: it is
 * bounded by the number of users.
 *
 * Invariant: Q1 a table is touched on its own core only.
 */
#include "ringpost/hash.h"
#include "ringpost/rows.h"

#include <stdlib.h>

#include "smtp_private.h"

enum { QUOTA_SLOTS_MAX = 1 << 21 };

struct quota {
    uint64_t key; /* 0: empty */
    uint64_t began_ns;
    uint32_t messages, recipients;
};

struct quota_table {
    struct rows rows;
    struct hash_key key;
};

struct smtp_quotas {
    unsigned core_count;
    struct quota_table tables[];
};

int smtp_quotas_create(unsigned core_count, struct smtp_quotas **ret_quotas)
{
    struct smtp_quotas *quotas =
        calloc(1, sizeof *quotas + core_count * sizeof(struct quota_table));
    if (quotas == NULL)
        return -ENOMEM;
    quotas->core_count = core_count;
    for (unsigned i = 0; i < core_count; i++)
        quotas->tables[i].rows =
            (struct rows){.row_bytes = sizeof(struct quota), .slots_max = QUOTA_SLOTS_MAX};
    *ret_quotas = quotas;
    return 0;
}

void smtp_quotas_free(struct smtp_quotas *quotas)
{
    for (unsigned i = 0; quotas != NULL && i < quotas->core_count; i++)
        rows_free(&quotas->tables[i].rows);
    free(quotas);
}

/* ---------------------------------------------------------------- one core's table */

struct window {
    uint64_t now_ns, ms;
};

static bool is_over(void *row, void *argument)
{
    const struct quota *quota = row;
    const struct window *window = argument;
    return (window->now_ns - quota->began_ns) / 1000000 >= window->ms;
}

/* ---------------------------------------------------------------- asking it */

struct quota_request {
    const struct smtp_options *options;
    struct slice user;
    unsigned messages, recipients; /* to count; with `is_return` to take back; 0, 0: only asked */
    bool is_return;
    unsigned recipients_left; /* out */
};

static unsigned left_of(unsigned max, unsigned used)
{
    return max == 0 ? UINT32_MAX : used < max ? max - used : 0;
}

/* On the user's home core (Q1). 0; -EUSERS: past a limit; -EAGAIN: no room. */
static int answer(struct core *core, void *argument)
{
    struct quota_request *request = argument;
    const struct smtp_options *options = request->options;
    struct quota_table *table = &options->quotas->tables[core_index(core)];
    struct window window = {core_now_ns(core), options->user_window_ms};
    if (table->rows.slot_count == 0)
        core_random(core, &table->key, sizeof table->key);
    uint64_t key = hash_keyed(&table->key, request->user.data, request->user.size) | 1;
    struct quota *quota = rows_find(&table->rows, key);
    if (request->is_return) {
        if (quota != NULL && quota->messages >= request->messages &&
            quota->recipients >= request->recipients) {
            quota->messages -= request->messages;
            quota->recipients -= request->recipients;
        }
        return 0;
    }
    struct quota now = quota != NULL && !is_over(quota, &window)
                           ? *quota
                           : (struct quota){.key = key, .began_ns = window.now_ns};
    unsigned messages_left = left_of(options->user_messages_max, now.messages);
    request->recipients_left = left_of(options->user_recipients_max, now.recipients);
    if (messages_left == 0 || request->recipients_left == 0 ||
        request->recipients > request->recipients_left)
        return -EUSERS;
    if (request->messages == 0)
        return 0;
    now.messages += request->messages;
    now.recipients += request->recipients;
    quota = rows_add(&table->rows, key, is_over, &window);
    if (quota == NULL)
        return -EAGAIN;
    *quota = now;
    return 0;
}

static int ask(const struct smtp_session *smtp, struct quota_request *request)
{
    const struct smtp_options *options = options_of(smtp);
    struct core *core = session_core(&smtp->session);
    if (!smtp->is_submission || options->quotas == NULL ||
        (options->user_messages_max == 0 && options->user_recipients_max == 0))
        return 0;
    request->options = options;
    request->user = smtp->session.user;
    return core_call(core, store_home_core(core, request->user), answer, request);
}

int smtp_quota_left(const struct smtp_session *smtp, unsigned *ret_recipients)
{
    struct quota_request request = {.recipients_left = UINT32_MAX};
    int result = ask(smtp, &request);
    if (result == 0)
        *ret_recipients = request.recipients_left;
    return result;
}

int smtp_quota_take(const struct smtp_session *smtp, unsigned recipients)
{
    struct quota_request request = {.messages = 1, .recipients = recipients};
    return ask(smtp, &request);
}

void smtp_quota_give(const struct smtp_session *smtp, unsigned recipients)
{
    struct quota_request request = {.messages = 1, .recipients = recipients, .is_return = true};
    (void)ask(smtp, &request); /* else the user has that much less until the window ends */
}
