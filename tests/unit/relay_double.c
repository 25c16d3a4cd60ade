/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The double of relay_double.h.
 */
#include "relay_double.h"

#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

struct relay_double relay_double;

void relay_double_reset(void)
{
    free(relay_double.data);
    relay_double = (struct relay_double){0};
}

static bool begins(const struct relay_recipient *recipient, const char *name)
{
    return slice_starts_nocase(recipient->user, slice_cstr(name));
}

static void copy(char *to, size_t capacity, struct slice s)
{
    check(s.size < capacity);
    if (s.size > 0)
        memcpy(to, s.data, s.size);
    to[s.size] = '\0';
}

static void keep_row(struct double_row *row, const struct relay_recipient *recipient)
{
    check(backend_pool_options_of(recipient->pool)->name.size > 0);
    copy(row->user, sizeof row->user, recipient->user);
    copy(row->address, sizeof row->address, recipient->address);
    copy(row->attributes, sizeof row->attributes, recipient->attributes);
    copy(row->orcpt, sizeof row->orcpt, recipient->orcpt);
    copy(row->notify, sizeof row->notify, recipient->notify);
}

static void say(struct relay_recipient *recipient, int result, const char *before,
                const char *after)
{
    bool is_named = *after != '\0';
    recipient->result = result;
    snprintf(recipient->reply, sizeof recipient->reply, "%s%s%.*s%s%s", before,
             is_named ? " <" : "", is_named ? (int)recipient->address.size : 0,
             recipient->address.data, is_named ? "> " : "", after);
}

void relay_verify(struct core *core, const struct relay_sender *sender,
                  struct relay_recipient *recipient)
{
    check(sender->gone != NULL && sender->client.session_id.size > 0);
    relay_double.verified++;
    if (begins(recipient, "slow"))
        fiber_sleep(core, 800000000);
    keep_row(&relay_double.asked, recipient);
    if (begins(recipient, "no"))
        say(recipient, -EACCES, "550 5.1.1", "Never heard of");
    else if (begins(recipient, "shut"))
        say(recipient, -EAGAIN, "451 4.4.1 Refused", "");
    else if (begins(recipient, "bye"))
        say(recipient, -EAGAIN, "421 4.3.2 Going away", "");
    else
        say(recipient, 0, "250 2.1.5", "Known");
}

/* False: no memory. */
static bool keep_message(const struct relay_sender *sender, const struct relay_message *message)
{
    free(relay_double.data);
    relay_double.data = malloc(message->bytes.size + 1);
    if (relay_double.data == NULL)
        return false;
    memcpy(relay_double.data, message->bytes.data, message->bytes.size);
    relay_double.data[message->bytes.size] = '\0';
    relay_double.size = message->bytes.size;
    copy(relay_double.from, sizeof relay_double.from, message->from);
    copy(relay_double.envid, sizeof relay_double.envid, message->envid);
    copy(relay_double.ret, sizeof relay_double.ret, message->ret);
    copy(relay_double.hello, sizeof relay_double.hello, sender->client.hello);
    copy(relay_double.session_id, sizeof relay_double.session_id, sender->client.session_id);
    relay_double.family = sender->client.family;
    relay_double.body = message->body;
    relay_double.is_utf8 = message->is_utf8;
    relay_double.requires_tls = message->requires_tls;
    return true;
}

static void await_gone(struct core *core, const struct relay_sender *sender)
{
    for (int i = 0; i < 500 && !relay_double.was_gone; i++) {
        fiber_sleep(core, 10000000);
        relay_double.was_gone = sender->gone(sender->argument);
    }
}

void relay_deliver(struct core *core, const struct relay_sender *sender,
                   const struct relay_message *message, struct relay_recipient *recipients,
                   unsigned count)
{
    check(count > 0 && count <= sizeof relay_double.rows / sizeof *relay_double.rows);
    relay_double.delivered++;
    relay_double.row_count = count;
    bool is_kept = keep_message(sender, message);
    for (unsigned i = 0; i < count; i++) {
        keep_row(&relay_double.rows[i], &recipients[i]);
        if (begins(&recipients[i], "slow"))
            fiber_sleep(core, 800000000);
        if (begins(&recipients[i], "wait"))
            await_gone(core, sender);
        if (begins(&recipients[i], "full"))
            say(&recipients[i], -EACCES, "552 5.2.2 Full", "");
        else if (begins(&recipients[i], "late") || !is_kept)
            say(&recipients[i], -EAGAIN, "451 4.4.2 Lost", "");
        else
            say(&recipients[i], 0, "250 2.1.5", "Saved");
        relay_double.saved += recipients[i].result == 0;
    }
}
