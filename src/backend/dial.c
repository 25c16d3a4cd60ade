/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A connection to a backend up to where a log-in may begin, and the checks, which stop there.
 *
 *   source ─▶ connect ─▶ PROXY header ─▶ [TLS] ─▶ greeting ─▶ [STARTTLS] ─▶ greeted
 *
 * All of it has connect_ms_max. What fails on the way speaks against the backend; what fails behind
 * it may be the user's or the mechanism's fault.
 *
 * With several sources each connection begins with the next one in turn, and goes on to others
 * when its ports are used up.
 */
#include <stdlib.h>

#include "core_state.h"
#include "talk.h"

const struct dialect *const dialects[BACKEND_PROTOCOL_COUNT] = {
    [BACKEND_IMAP] = &dialect_imap,       [BACKEND_POP3] = &dialect_pop3,
    [BACKEND_SUBMISSION] = &dialect_smtp, [BACKEND_SIEVE] = &dialect_sieve,
    [BACKEND_LMTP] = &dialect_lmtp,
};

static const char *connect_problem(int result)
{
    switch (result) {
    case -ECONNREFUSED:
        return "refused the connection";
    case -ETIMEDOUT:
        return "did not answer in time";
    case -EADDRNOTAVAIL:
    case -EADDRINUSE:
        return "no source address or port is left here";
    case -ENETUNREACH:
    case -EHOSTUNREACH:
        return "cannot be reached";
    case -ENFILE:
    case -EMFILE:
    case -ENOMEM:
    case -ENOBUFS:
        return "out of sockets or memory here";
    default:
        return "could not be connected to";
    }
}

static bool is_shortage(int result)
{
    return result == -EADDRNOTAVAIL || result == -EADDRINUSE || result == -ENFILE ||
           result == -EMFILE || result == -ENOMEM || result == -ENOBUFS;
}

/* The `index`-th source of that family. */
static bool source_find(const struct backend_pool_options *pool, unsigned family, unsigned index,
                        uint8_t ret_source[16])
{
    for (unsigned i = 0; i < pool->source_count; i++)
        if (pool->sources[i].family == family && index-- == 0) {
            memcpy(ret_source, pool->sources[i].address, 16);
            return true;
        }
    return false;
}

static int connect_by(struct talk *talk, const struct dial_target *where,
                      const struct stream_owner *owner)
{
    struct stream_target target = {
        .family = where->family, .port = where->port, .keeps_alive = true};
    unsigned count = 0, first = 0;
    uint8_t ignored[16];
    memcpy(target.address, where->address, sizeof target.address);
    while (source_find(talk->pool, where->family, count, ignored))
        count++;
    if (count > 1)
        first = backends_of(talk->core)->connects++;
    int result, tried = 0;
    do {
        if (count > 0)
            source_find(talk->pool, where->family, (first % count + (unsigned)tried) % count,
                        target.source);
        result = stream_connect(talk->stream, talk->core, &target, talk->deadline_ns, owner);
    } while ((result == -EADDRNOTAVAIL || result == -EADDRINUSE) && ++tried < (int)count);
    return result;
}

static int greeted(struct talk *talk, enum backend_tls tls)
{
    const struct dialect *dialect = dialects[talk->protocol];
    uint8_t header[PROXY_HEADER_BYTES_MAX];
    if (talk->pool->identity == BACKEND_IDENTITY_PROXY)
        stream_write(talk->stream, slice_of(header, identity_proxy(talk->client, header)));
    int result = tls == BACKEND_TLS ? talk_secure(talk) : 0;
    if (result == 0)
        result = dialect->greet(talk);
    if (result == 0 && tls == BACKEND_START_TLS)
        result = dialect->start_tls(talk);
    return result;
}

int dial_backend(struct talk *talk, const struct dial_target *target,
                 const struct stream_owner *owner, bool *ret_is_open)
{
    uint64_t deadline_ns = talk->deadline_ns;
    uint64_t connect_ns = core_now_ns(talk->core) + talk->pool->connect_ms_max * 1000000;
    if (talk->pool->connect_ms_max > 0 && connect_ns < deadline_ns)
        talk->deadline_ns = connect_ns;
    offer_clear(&talk->now);
    offer_clear(&talk->after);
    speech_wipe(&talk->speech);
    talk->lines = 0;
    talk->bytes = 0;
    talk->is_greeted = talk->is_final = talk->is_unfit = talk->is_ours = talk->is_stale = false;
    talk->problem = NULL;
    talk->referral = (struct referral){0};
    *ret_is_open = false;
    int result = connect_by(talk, target, owner);
    if (result < 0) {
        talk->is_ours = is_shortage(result);
        result = talk_fail(talk, connect_problem(result));
    } else {
        *ret_is_open = true;
        stream_wipe(talk->stream, talk->credentials != NULL); /* H1 */
        result = greeted(talk, target->tls);
    }
    talk->is_greeted = result == 0;
    talk->deadline_ns = deadline_ns;
    return result;
}

/* ---------------------------------------------------------------- checks */

static void probe_input(struct stream *stream)
{
    (void)stream; /* nobody waits for it */
}

static void probe_released(struct stream *stream)
{
    free(stream);
}

int backend_probe(struct core *core, const struct backend_member *member,
                  enum backend_protocol protocol, uint64_t deadline_ns,
                  char ret_capabilities[BACKEND_CAPABILITY_BYTES_MAX + 1], const char **ret_problem)
{
    static const struct stream_owner owner = {.input = probe_input, .released = probe_released};
    const struct backend_options *options = member->options;
    const struct backend_pool_options *pool = member->pool->options;
    struct dial_target target = {
        .family = options->family, .port = options->ports[protocol], .tls = pool->tls[protocol]};
    char host[TLS_NAME_BYTES_MAX + 1];
    bool is_open;
    struct talk *talk = malloc(sizeof *talk);
    struct stream *stream = malloc(sizeof *stream);
    *ret_problem = "out of memory here";
    if (talk == NULL || stream == NULL) {
        free(talk);
        free(stream);
        return -ENOMEM;
    }
    memset(talk, 0, offsetof(struct talk, speech));
    talk->speech.size = 0;
    talk->core = core;
    talk->stream = stream;
    talk->protocol = protocol;
    talk->pool = pool;
    talk->member = member;
    talk->deadline_ns = deadline_ns;
    memcpy(target.address, options->address, sizeof target.address);
    text_clean(options->host, host, sizeof host);
    talk->host = host[0] != '\0' ? host : NULL;
    int result = dial_backend(talk, &target, &owner, &is_open);
    if (result == 0)
        result = dialects[protocol]->ask(talk);
    if (result == 0) {
        dialects[protocol]->leave(talk);
        memcpy(ret_capabilities, talk->now.text, talk->now.size + 1);
    }
    *ret_problem = result == 0 ? NULL : talk->problem != NULL ? talk->problem : "failed";
    if (is_open)
        stream_close(stream);
    else
        free(stream);
    free(talk);
    return result;
}
