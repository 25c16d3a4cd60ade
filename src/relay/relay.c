/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Per core: opening and closing, and what call-outs and deliveries share: places, what is said of
 * what has failed, the log's line about it.
 */
#include <stdlib.h>

#include "relay_private.h"

int relay_open(struct core *core, const struct relay_options *options)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return -ENOMEM;
    relay->core = core;
    relay->options = options;
    core_random(core, &relay->key, sizeof relay->key);
    known_open(relay);
    core_local_set(core, CORE_LOCAL_RELAY, relay);
    return 0;
}

void relay_adopt(struct core *core, const struct relay_options *options)
{
    struct relay *relay = relay_of(core);
    relay->options = options;
    known_adopt(relay);
}

void relay_close(struct core *core)
{
    struct relay *relay = core_local(core, CORE_LOCAL_RELAY);
    if (relay == NULL)
        return;
    assert(relay->asking_count == 0 && relay->deliveries == 0 && "sessions_drain comes first");
    known_close(relay);
    core_local_set(core, CORE_LOCAL_RELAY, NULL);
    free(relay);
}

/* ---------------------------------------------------------------- recipients */

void recipient_failed(struct relay_recipient *recipient, int result)
{
    recipient_later(recipient,
                    result == -EPERM    ? "451 4.2.1 The mailbox is being moved"
                    : result == -ELOOP  ? "451 4.4.6 Too many hops"
                    : result == -ENOMEM ? "451 4.3.1 Out of memory here"
                    : result == -EUSERS ? "451 4.4.5 The mailbox's server has too many connections"
                    : result == -ECANCELED ? "451 4.4.2 The sender left"
                                           : "451 4.4.1 The mailbox's server cannot be reached");
}

bool sender_is_gone(const struct relay_sender *sender)
{
    return sender->gone != NULL && sender->gone(sender->argument);
}

int recipient_place(struct relay *relay, const struct relay_sender *sender,
                    const struct relay_recipient *recipient, uint64_t hold_ns,
                    struct backend_place **ret_place, const char **ret_problem)
{
    const struct backend_request request = {
        .pool = recipient->pool,
        .protocol = BACKEND_LMTP,
        .user = recipient->user,
        .attributes = recipient->attributes,
        .client = sender->client,
        .without_login = true,
    };
    return backend_place_take(relay->core, &request, hold_ns, ret_place, ret_problem);
}

/* What may stand between <> without quotes, or our own words would end there. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '\\' || c == ',')
            return false;
    }
    return text.size > 0 && text.size <= AUTH_USER_BYTES_MAX;
}

static size_t domain_at(struct slice address)
{
    size_t at = address.size;
    while (at > 0 && address.data[at - 1] != '@')
        at--;
    return at > 0 ? at - 1 : address.size;
}

int recipient_name(struct relay_recipient *recipient, const struct backend_place *place,
                   char **ret_named)
{
    struct slice name = backend_place_user(place), address = recipient->address;
    struct slice user = recipient->user, detail = {0};
    *ret_named = NULL;
    if (name.data == NULL)
        return 0;
    if (!is_plain(name))
        return -EAGAIN;
    struct slice local = slice_first(name, domain_at(name));
    struct slice domain = slice_from(name, local.size);
    if (domain.size == 0)
        domain = slice_from(address, domain_at(address));
    user = slice_first(user, domain_at(user));
    if (slice_starts_nocase(address, user))
        detail = slice_from(slice_first(address, domain_at(address)), user.size);
    const struct slice pieces[] = {local, detail, domain};
    char *named = malloc(local.size + detail.size + domain.size + 1);
    size_t size = 0;
    if (named == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        if (pieces[i].size > 0) {
            memcpy(named + size, pieces[i].data, pieces[i].size);
            size += pieces[i].size;
        }
    recipient->address = slice_of(named, size);
    *ret_named = named;
    return 0;
}

/* ---------------------------------------------------------------- the log */

void relay_failed(struct relay *relay, const struct relay_sender *sender,
                  const struct relay_recipient *recipient, const char *path, const char *problem)
{
    struct core *core = relay->core;
    struct event event;
    relay->failures++;
    if (core_now_ns(core) < relay->failure_log_ns)
        return;
    relay->failure_log_ns = core_now_ns(core) + (uint64_t)RELAY_FAILURE_LOG_MS * 1000000;
    event_begin(&event, "backend_mail", "warning");
    event_text(&event, "id", sender->client.session_id);
    event_text(&event, "user", recipient->user);
    event_text(&event, "pool", backend_pool_options_of(recipient->pool)->name);
    if (path != NULL)
        event_text(&event, "path", slice_cstr(path));
    if (problem != NULL)
        event_text(&event, "problem", slice_cstr(problem));
    event_text(&event, "answer", slice_cstr(recipient->reply));
    event_number(&event, "failures", relay->failures);
    core_log(core, &event);
    relay->failures = 0;
}
