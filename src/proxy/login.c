/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Logging a session's user in at his backend. What it takes from the session (who the client is,
 * what it has shown) is put together here; what is said about the result is the protocol's.
 *
 * However it ends, the secret is wiped (A4). From the moment when there is a link, the session has
 * a joint, so that it is let go of on every way the session may end.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "proxy_private.h"
#include "ringpost/number.h"
#include "ringpost/words.h"

bool proxy_is_gone(void *argument)
{
    const struct session *session = argument;
    int end = session->stream.end;
    return end != 0 && (end != -EPIPE || !session_has_unread(session));
}

void proxy_describe(const struct session *session, char id[PROXY_ID_BYTES],
                    struct backend_client *ret_client)
{
    const struct stream *stream = &session->stream;
    const struct service *service = session->service;
    id[number_hexadecimal(id, session->id)] = '\0';
    *ret_client = (struct backend_client){
        .family = stream->peer_family >= 4 ? stream->peer_family : 0,
        .port = stream->peer_port,
        .our_port = (uint16_t)service->port,
        .is_secure = session_is_secure(session),
        .session_id = slice_cstr(id),
        .hello = session->hello,
        .ttl = session->hops_left > 0 && session->hops_left <= BACKEND_TTL_FIRST
                   ? session->hops_left - 1u
                   : BACKEND_TTL_FIRST,
    };
    memcpy(ret_client->address, stream->peer, sizeof ret_client->address);
    /* Where it came in, as far as the listener's address says; both must be of one family. */
    ret_client->our_family = ret_client->family;
    if (ret_client->family != 0)
        (void)inet_pton(ret_client->family == 4 ? AF_INET : AF_INET6, service->address,
                        ret_client->our_address);
    if (ret_client->is_secure) {
        struct tls_info info;
        stream_tls_info(stream, &info);
        ret_client->tls_version = info.version;
        ret_client->tls_cipher = info.cipher;
    }
}

/* What our side, or the backend's, is to blame for: a line a second. */
static void log_failure(struct session *session, const struct backend_pool *pool, const char *id,
                        int result, const struct backend_answer *answer)
{
    struct core *core = session_core(session);
    struct proxy *proxy = proxy_of(core);
    struct event event;
    if (result == -EACCES || result == -ECANCELED)
        return;
    proxy->failures++;
    if (core_now_ns(core) < proxy->failure_log_ns)
        return;
    proxy->failure_log_ns = core_now_ns(core) + (uint64_t)FAILURE_LOG_MS * 1000000;
    event_begin(&event, "backend_login", "warning");
    event_text(&event, "id", slice_cstr(id));
    event_text(&event, "protocol", slice_cstr(session->service->protocol->name));
    event_text(&event, "user", session->user);
    event_text(&event, "pool", backend_pool_options_of(pool)->name);
    event_text(&event, "path", slice_cstr(answer->path));
    event_text(&event, "error", slice_cstr(strerror(-result)));
    if (answer->problem != NULL)
        event_text(&event, "problem", slice_cstr(answer->problem));
    event_text(&event, "answer", slice_cstr(answer->text));
    event_number(&event, "failures", proxy->failures);
    core_log(core, &event);
    proxy->failures = 0;
}

static int make(struct session *session, struct backend_link *link,
                const struct backend_answer *answer, struct proxied **ret_proxied)
{
    struct proxied *proxied = calloc(1, sizeof *proxied);
    struct slice path = slice_cstr(answer->path);
    if (proxied == NULL)
        return -ENOMEM;
    bool is_direct = slice_find(path, ',') == path.size; /* tried nowhere else */
    if (!is_direct && (proxied->path = malloc(path.size + 1)) != NULL)
        memcpy(proxied->path, path.data, path.size + 1);
    proxied->session = session;
    proxied->link = link;
    proxied->backend = link->backend;
    follow_begin(&proxied->follow, link->protocol);
    *ret_proxied = proxied;
    return 0;
}

struct proxy_refusal proxy_refusal(const struct proxy_refusal *rows, int error,
                                   const struct backend_answer *answer)
{
    while (rows->error != 0 && rows->error != error)
        rows++;
    struct proxy_refusal refusal = *rows;
    if (answer == NULL)
        return refusal;
    bool has_code = error == -EAGAIN && answer->code != NULL;
    if (has_code)
        refusal.code = answer->code;
    if ((error == -EACCES || error == -EUSERS || has_code) && answer->text[0] != '\0')
        refusal.text = answer->text;
    return refusal;
}

int proxy_log_in(struct session *session, const struct backend_answer **ret_answer)
{
    static const struct backend_answer nothing;
    struct core *core = session_core(session);
    struct session_login *login = session->login;
    const struct backend_pool *pool = proxy_pool(session, session->user);
    struct backend_link *link = NULL;
    struct proxied *proxied = NULL;
    char id[PROXY_ID_BYTES];
    assert(pool != NULL && login != NULL && "proxy_is_wanted");
    struct backend_answer *answer = arena_zalloc(&session->arena, 1, sizeof *answer);
    *ret_answer = answer != NULL ? answer : &nothing;
    if (answer == NULL) {
        session_login_forget(session);
        session_log_out(session);
        return -ENOMEM;
    }
    struct backend_request request = {
        .pool = pool,
        .protocol = proxy_options_of(session)->protocol,
        .user = login->user,
        .attributes = login->attributes,
        .mechanism = login->mechanism,
        .secret = login->secret,
    };
    proxy_describe(session, id, &request.client);
    session_deadline(session, backend_pool_options_of(pool)->login_ms_max +
                                  session->service->command_ms_max);
    int result = backend_log_in(core, &request, proxy_is_gone, session, answer, &link);
    if (login->is_unverified && (result == 0 || result == -EACCES))
        session_login_judged(session, result == 0);
    session_login_forget(session);
    if (result == 0) /* what would end the session (pass.c) is not offered */
        answer->capabilities[words_without(answer->capabilities, strlen(answer->capabilities),
                                           SLICE("UNAUTHENTICATE"))] = '\0';
    if (result == 0 && make(session, link, answer, &proxied) < 0) {
        backend_link_close(link);
        result = -ENOMEM;
    }
    if (result < 0) {
        log_failure(session, pool, id, result, answer);
        session_log_out(session);
        return result;
    }
    link->owner = proxied;
    link->input = proxied_backend_ended;
    proxy_of(core)->client_owner = session->stream.owner;
    session_join(session, &link->stream, &proxy_joint, proxied);
    return 0;
}
