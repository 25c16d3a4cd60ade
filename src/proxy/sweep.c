/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What time does to sessions that are passed through. They have no timers of their own for it: each
 * byte would have to set them anew. One tick per core looks at a part of the list, so that all have
 * been seen in an eighth of the shortest time that matters; what is found late, is late by as much.
 */
#include "proxy_private.h"

static bool is_past(uint64_t now_ns, uint64_t since_ns, uint64_t ms)
{
    return now_ns > since_ns && (now_ns - since_ns) / 1000000 >= ms;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* NAT and mobile networks forget a connection in which nothing is said. In IDLE clients take any
 * untagged line, and nothing else is under way (X3). */
static void keep_alive(struct proxied *proxied, uint64_t now_ns, uint64_t ms)
{
    struct stream *client = &proxied->session->stream;
    uint64_t heard_ns = stream_heard_ns(&proxied->link->stream);
    uint64_t since_ns = later(later(heard_ns, proxied->said_ns), proxied->joined_ns);
    if (ms == 0 || proxied->follow.idle != FOLLOW_IDLE || !is_past(now_ns, since_ns, ms) ||
        !follow_is_between_lines(&proxied->follow) || !stream_is_at_rest(client))
        return;
    stream_write(client, SLICE("* OK Still here\r\n"));
    proxied->said_ns = now_ns;
}

/* Checks have found it dead, and here nothing has come since: it hangs, or its machine is gone.
 * Log-ins go elsewhere, and who stays would wait for mail that comes there. */
static bool is_left_alone(const struct proxied *proxied)
{
    uint64_t dead_ns = backend_dead_ns(proxied->backend);
    return dead_ns != 0 && dead_ns > proxied->joined_ns &&
           dead_ns > stream_heard_ns(&proxied->link->stream);
}

static void look(struct proxied *proxied, uint64_t now_ns)
{
    const struct proxy_options *options = proxy_options_of(proxied->session);
    struct stream *client = &proxied->session->stream;
    if (proxied->phase == PROXIED_ENDING || proxied->link == NULL ||
        proxied->session->end != SESSION_END_NONE)
        return;
    struct stream *backend = &proxied->link->stream;
    uint64_t heard_ns = later(stream_heard_ns(client), stream_heard_ns(backend));
    uint64_t client_stalled_ns = stream_stalled_ns(client);
    uint64_t backend_stalled_ns = stream_stalled_ns(backend);
    if (client_stalled_ns != 0 && is_past(now_ns, client_stalled_ns, options->stalled_ms_max))
        session_end(proxied->session, SESSION_END_READER_SLOW);
    else if (backend_stalled_ns != 0 &&
             is_past(now_ns, backend_stalled_ns, options->stalled_ms_max))
        proxied_lost(proxied, true);
    else if (is_past(now_ns, later(heard_ns, proxied->joined_ns), options->idle_ms_max))
        session_end(proxied->session, SESSION_END_IDLE);
    else if (proxied->phase == PROXIED_OPEN && backend_will_of(proxied->backend) == BACKEND_DOWN)
        proxied_end_within(proxied, SESSION_END_BACKEND_DOWN,
                           options->spread_ms < DOWN_SPREAD_MS_MAX ? options->spread_ms
                                                                   : DOWN_SPREAD_MS_MAX);
    else if (proxied->phase == PROXIED_OPEN && is_left_alone(proxied))
        proxied_end_within(proxied, SESSION_END_BACKEND_DEAD, options->spread_ms);
    else
        keep_alive(proxied, now_ns, options->keep_alive_ms);
}

static void arm(struct proxy *proxy)
{
    timer_set(proxy->core, &proxy->tick, core_now_ns(proxy->core) + (uint64_t)TICK_MS * 1000000);
}

void sweep_tick(struct timer *timer)
{
    struct proxy *proxy = (struct proxy *)((char *)timer - offsetof(struct proxy, tick));
    uint64_t now_ns = core_now_ns(proxy->core);
    uint64_t visits = (uint64_t)proxy->count * TICK_MS / proxy->sweep_ms + 1;
    if (visits > SWEEP_VISITS_MAX)
        visits = SWEEP_VISITS_MAX;
    if (proxy->cursor == NULL)
        proxy->cursor = proxy->list;
    for (; visits > 0 && proxy->cursor != NULL; visits--) {
        struct proxied *proxied = proxy->cursor;
        proxy->cursor = proxied->next; /* sessions leave the list on fibers only */
        look(proxied, now_ns);
    }
    if (proxy->count > 0)
        arm(proxy);
}

static uint64_t shorter(uint64_t ms, uint64_t wait_ms)
{
    return wait_ms != 0 && wait_ms / SWEEP_PARTS < ms ? wait_ms / SWEEP_PARTS : ms;
}

void sweep_begin(struct proxy *proxy, const struct proxy_options *options)
{
    uint64_t ms = proxy->count <= 1 ? SWEEP_MS_MAX : proxy->sweep_ms;
    ms = shorter(ms, options->keep_alive_ms);
    ms = shorter(ms, options->idle_ms_max);
    ms = shorter(ms, options->stalled_ms_max);
    proxy->sweep_ms = ms < TICK_MS ? TICK_MS : ms;
    if (proxy->tick.previous_next == NULL)
        arm(proxy);
}
