/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS under a stream. Received bytes are fed to wolfSSL at once and what they hold is put behind
 * the stream's unread input, so that the reading calls do not know of it; queued output is sealed
 * just before it is sent.
 *
 *   receive ─▶ feed ─▶ wolfSSL ─▶ stream->input      (the core's turn only: its stack is large)
 *   stream->output ─▶ [sealed, being sent] ─▶ [sealed] ─▶ [plain] ─▶ tls_seal ─▶ wolfSSL
 *
 * What wolfSSL writes is copied into a sealed block inside its callback, also in stream_send: two
 * records in one send cost no more than each by itself from where wolfSSL keeps it, and so its
 * buffer is never in flight (T1) and reading never waits for a send.
 *
 * Invariants: T1-T3 of tls.h, and
 *   T4 From stream_secure on no block is sent that is not sealed; those queued before count as
 *      such.
 *   T5 wolfSSL gets bytes in the order they came, and its records leave in the order they were
 *      made.
 */
#include "tls_private.h"

#include <stdlib.h>

static bool is_read_out(const struct stream *stream)
{
    return stream->tls->is_read_out || (stream->state & CLOSING);
}

static void drop_plain(struct stream *stream)
{
    struct net_block *block;
    while ((block = output_take_plain(stream)) != NULL)
        output_block_give(stream, block);
    waiters_wake_all(stream->core, &stream->writers);
}

static void handshake_over(struct stream *stream)
{
    if (stream->tls->context != NULL)
        tls_context_unref(stream->tls->context);
    stream->tls->context = NULL;
}

/* Nothing more is read or written; an alert that wolfSSL made is sent. */
void tls_fail(struct stream *stream, int reason, const char *problem)
{
    struct stream_tls *tls = stream->tls;
    if (tls->state == TLS_FAILED)
        return;
    tls->state = TLS_FAILED;
    tls->is_read_out = true;
    tls->problem = problem;
    handshake_over(stream);
    stream_ended(stream, reason);
    drop_plain(stream);
    stream_attend(stream);
}

/* ---------------------------------------------------------------- why */

static const char *problem_of(int code)
{
    switch (code) {
    case VERSION_ERROR:
        return "unsupported version";
    case MATCH_SUITE_ERROR:
        return "no common cipher suite";
    case UNKNOWN_ALPN_PROTOCOL_NAME_E:
        return "no_application_protocol";
    case NO_PEER_CERT:
        return "no client certificate";
    case FATAL_ERROR:
        return "alert from the peer";
    case DOMAIN_NAME_MISMATCH:
        return "the certificate is for another name";
    case ASN_NO_SIGNER_E:
        return "the certificate is of an unknown authority";
    case ASN_AFTER_DATE_E:
        return "the certificate has expired";
    case ASN_BEFORE_DATE_E:
        return "the certificate is not valid yet";
    case MEMORY_E:
        return "out of memory";
    default:
        return wolfSSL_ERR_reason_error_string((unsigned long)code);
    }
}

/* The last call failed with `result`. */
static void fail_by(struct stream *stream, int result)
{
    struct stream_tls *tls = stream->tls;
    int code = wolfSSL_get_error(tls->library, result);
    bool no_memory = tls->no_memory || code == MEMORY_E || code == SOCKET_ERROR_E;
    const char *problem =
        no_memory || tls->refusal == NULL ? problem_of(no_memory ? MEMORY_E : code) : tls->refusal;
    tls_fail(stream, no_memory ? -ENOMEM : -EPROTO, problem);
}

/* ---------------------------------------------------------------- wolfSSL's callbacks */

static int give_bytes(WOLFSSL *library, char *to, int size, void *argument)
{
    (void)library;
    struct stream *stream = argument;
    struct stream_tls *tls = stream->tls;
    struct slice part = slice_first(tls->feed, (size_t)size);
    if (part.size == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    if (size == TLS_HEADER_BYTES && tls->state == TLS_SECURE)
        tls->silent++; /* until it shows that it holds data */
    memcpy(to, part.data, part.size);
    tls->feed = slice_from(tls->feed, part.size);
    return (int)part.size;
}

static int take_bytes(WOLFSSL *library, char *from, int size, void *argument)
{
    (void)library;
    struct stream *stream = argument;
    if (stream->state & OUTPUT_FAILED)
        return size;
    if (output_append_sealed(stream, slice_of(from, (size_t)size), 0))
        return size;
    stream->tls->no_memory = true;
    return WOLFSSL_CBIO_ERR_GENERAL;
}

/* ---------------------------------------------------------------- from hello to secure */

/* Letters, digits, "-", "_" and "." only; anything else is as if no name was sent (T02). */
bool tls_name_keep(struct stream_tls *tls, struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = ascii_lower(name.data[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.')
            return true;
    }
    if (name.size == 0)
        return true;
    tls->server_name = malloc(name.size);
    if (tls->server_name == NULL)
        return false;
    for (size_t i = 0; i < name.size; i++)
        tls->server_name[i] = ascii_lower(name.data[i]);
    tls->server_name_size = (uint16_t)name.size;
    return true;
}

bool tls_library_attach(struct stream *stream, WOLFSSL_CTX *library)
{
    struct stream_tls *tls = stream->tls;
    tls->library = wolfSSL_new(library);
    if (tls->library == NULL)
        return false;
    wolfSSL_SSLSetIORecv(tls->library, give_bytes);
    wolfSSL_SSLSetIOSend(tls->library, take_bytes);
    wolfSSL_SetIOReadCtx(tls->library, stream);
    wolfSSL_SetIOWriteCtx(tls->library, stream);
    wolfSSL_SetCertCbCtx(tls->library, stream);
    wolfSSL_KeepArrays(tls->library);
    return true;
}

static bool library_begin(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    struct tls_context *context = net_of(stream)->tls;
    struct slice name = slice_of(tls->server_name, tls->server_name_size);
    WOLFSSL_CTX *settings =
        context ? tls_context_library(context, tls_settings_find(context->settings, name)) : NULL;
    if (settings == NULL || !tls_library_attach(stream, settings))
        return false;
    tls->context = context;
    context->uses++;
    const char *alpn = tls->service->alpn;
    return alpn == NULL ||
           wolfSSL_UseALPN(tls->library, (char *)(uintptr_t)alpn, (unsigned)strlen(alpn),
                           WOLFSSL_ALPN_FAILED_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

/* Looks at the beginning of what the client says. False: more is needed to go on, or it failed. */
static bool hello(struct stream *stream, struct slice bytes)
{
    struct stream_tls *tls = stream->tls;
    unsigned char name[TLS_NAME_BYTES_MAX + 3];
    word32 size = sizeof name;
    const unsigned char *data = (const unsigned char *)bytes.data;
    if (data[0] != 0x16) {
        tls_fail(stream, -EPROTO, "not TLS");
        return false;
    }
    int found =
        wolfSSL_SNI_GetFromBuffer(data, (word32)bytes.size, WOLFSSL_SNI_HOST_NAME, name, &size);
    if (found == INCOMPLETE_DATA) {
        size_t record = bytes.size < TLS_HEADER_BYTES
                            ? TLS_HELLO_BYTES_MAX
                            : TLS_HEADER_BYTES + (data[3] * 256u + data[4]);
        if (record <= TLS_HELLO_BYTES_MAX && bytes.size < record) /* wolfSSL refuses larger ones */
            return false;
    }
    struct slice sent = slice_of(name, found == 1 && size <= TLS_NAME_BYTES_MAX ? size : 0);
    if (!tls_name_keep(tls, sent) || !library_begin(stream)) {
        tls_fail(stream, -ENOMEM, "out of memory");
        return false;
    }
    tls->state = TLS_HANDSHAKE;
    return true;
}

static void secured(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    tls->is_resumed = wolfSSL_session_reused(tls->library);
    if (tls->judge != NULL && !tls->is_judged && !tls->is_resumed) {
        tls_fail(stream, -EPROTO, "the server showed no certificate");
        return;
    }
    tls->has_binding = wolfSSL_version(tls->library) == TLS1_3_VERSION &&
                       wolfSSL_export_keying_material(
                           tls->library, tls->binding, sizeof tls->binding,
                           "EXPORTER-Channel-Binding", 24, NULL, 0, 0) == WOLFSSL_SUCCESS;
    wolfSSL_FreeArrays(tls->library);
    tls->state = TLS_SECURE;
    handshake_over(stream);
    stream_attend(stream);
    waiters_wake_all(stream->core, &stream->writers);
    if (tls->is_client)
        stream_notify(stream); /* the fiber in stream_secure_client */
    else if (stream->owner->secured != NULL)
        stream->owner->secured(stream);
    else
        stream->owner->input(stream);
}

void tls_handshake(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    int result = tls->is_client ? wolfSSL_connect(tls->library) : wolfSSL_accept(tls->library);
    if (result == WOLFSSL_SUCCESS)
        secured(stream);
    else if (wolfSSL_get_error(tls->library, result) != WOLFSSL_ERROR_WANT_READ)
        fail_by(stream, result);
}

/* ---------------------------------------------------------------- reading */

/* One record's data, or why there is none. False: wolfSSL wants more bytes, or reading is over. */
static bool read_record(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    size_t before = tls->feed.size;
    char probe;
    int result = wolfSSL_peek(tls->library, &probe, 1);
    if (tls->silent > TLS_SILENT_MAX) {
        tls_fail(stream, -EPROTO, "too many records without data");
        return false;
    }
    if (result <= 0) {
        int code = wolfSSL_get_error(tls->library, result);
        if (code == WOLFSSL_ERROR_WANT_READ)
            return tls->feed.size > 0 && tls->feed.size < before;
        if (code == WOLFSSL_ERROR_ZERO_RETURN) { /* close_notify: T2 */
            tls->is_read_out = true;
            stream_ended(stream, -EPIPE);
        } else {
            fail_by(stream, result);
        }
        return false;
    }
    tls->silent -= tls->silent > 0;
    int size = wolfSSL_pending(tls->library);
    char *room = input_extend(stream, (uint32_t)size);
    if (room == NULL) {
        tls_fail(stream, -ENOMEM, "out of memory");
        return false;
    }
    result = wolfSSL_read(tls->library, room, size);
    assert(result == size && "wolfSSL gives what it said is pending");
    return true;
}

/* A server that does not speak TLS: wolfSSL would call it by some version's name. */
static bool is_other(struct stream_tls *tls)
{
    enum { ALERT = 0x15, HANDSHAKE = 0x16 };
    if (!tls->is_client || tls->has_heard || tls->feed.size == 0)
        return false;
    tls->has_heard = true;
    return tls->feed.data[0] != ALERT && tls->feed.data[0] != HANDSHAKE;
}

static void step(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    if (is_other(tls)) {
        tls_fail(stream, -EPROTO, "not TLS");
        return;
    }
    if (tls->state == TLS_HELLO && !hello(stream, tls->feed))
        return;
    if (tls->state == TLS_HANDSHAKE)
        tls_handshake(stream);
    if (tls->state == TLS_HANDSHAKE)
        return;
    while (tls->state == TLS_SECURE && !is_read_out(stream) && read_record(stream))
        ;
}

static bool raw_append(struct stream *stream, struct slice bytes)
{
    struct stream_tls *tls = stream->tls;
    struct net_block *raw = tls->raw;
    size_t size = raw ? raw->end : 0;
    if (raw == NULL || raw->capacity - raw->end < bytes.size) {
        size_t capacity = size + bytes.size > BLOCK_BYTES ? 2 * (size + bytes.size) : BLOCK_BYTES;
        struct net_block *grown = block_take(net_of(stream), capacity);
        if (grown == NULL)
            return false;
        if (raw != NULL) {
            memcpy(grown->data, raw->data, size);
            grown->end = raw->end;
            block_give(net_of(stream), raw);
        }
        raw = tls->raw = grown;
    }
    if (bytes.size > 0)
        memcpy(raw->data + raw->end, bytes.data, bytes.size);
    raw->end += (uint32_t)bytes.size;
    return true;
}

static void raw_drop(struct stream *stream)
{
    if (stream->tls->raw != NULL)
        block_give(net_of(stream), stream->tls->raw);
    stream->tls->raw = NULL;
}

/* In the core's turn. The bytes are the caller's again afterwards. */
void tls_receive(struct stream *stream, const char *data, size_t size)
{
    struct stream_tls *tls = stream->tls;
    tls->is_raw_new = false;
    stream_attend(stream);
    if (is_read_out(stream))
        return;
    tls->feed = slice_of(data, size);
    if (tls->raw != NULL) {
        if (!raw_append(stream, tls->feed)) {
            tls_fail(stream, -ENOMEM, "out of memory");
            return;
        }
        tls->feed = slice_of(tls->raw->data, tls->raw->end);
    }
    step(stream);
    if (tls->state == TLS_HELLO) {
        if (tls->raw == NULL && !raw_append(stream, tls->feed))
            tls_fail(stream, -ENOMEM, "out of memory");
    } else {
        raw_drop(stream);
    }
    tls->feed = (struct slice){0};
}

bool tls_wants_bytes(const struct stream *stream)
{
    return !stream->tls->is_read_out;
}

/* At the end of the turn: what stream_secure kept is fed, what stream_secure_client wants begins.
 */
void tls_attended(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    if (tls->state != TLS_HELLO || (stream->state & CLOSING))
        return;
    int end = stream->end;
    if (tls->begin != NULL)
        tls->begin(stream);
    else if (tls->is_raw_new) /* once: half a hello waits for its other half, not in a loop */
        tls_receive(stream, NULL, 0);
    if (stream->end != end || stream->input != NULL)
        stream_notify(stream);
}

/* ---------------------------------------------------------------- writing */

static bool seal(struct stream *stream, struct slice bytes)
{
    struct stream_tls *tls = stream->tls;
    int result = wolfSSL_write(tls->library, bytes.data, (int)bytes.size);
    if (result == (int)bytes.size)
        return true;
    bool no_memory = tls->no_memory || wolfSSL_get_error(tls->library, result) == MEMORY_E;
    tls->state = TLS_FAILED;
    output_fail(stream, no_memory ? -ENOMEM : -EPROTO);
    return false;
}

/* All queued blocks, oldest first. */
static bool seal_queue(struct stream *stream)
{
    struct net_block *block;
    bool ok = true;
    while (ok && (block = output_take_plain(stream)) != NULL) {
        ok = seal(stream, slice_of(block->data + block->start, block->end - block->start));
        output_block_give(stream, block);
    }
    return ok;
}

void tls_seal(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    bool is_closing = stream->state & CLOSING;
    if (tls->state == TLS_FAILED || (tls->state != TLS_SECURE && is_closing))
        drop_plain(stream);
    if (tls->state != TLS_SECURE || (stream->state & (SEND_OWNED | OUTPUT_FAILED)))
        return;
    if (!seal_queue(stream) || !is_closing || tls->is_goodbye_said)
        return;
    tls->is_goodbye_said = true;
    wolfSSL_shutdown(tls->library); /* when it fails the peer sees an end without it */
}

int tls_seal_bytes(struct stream *stream, struct slice bytes)
{
    if (stream->tls->state != TLS_SECURE)
        return stream->output_error ? stream->output_error : -EPROTO;
    if (!seal_queue(stream) || (bytes.size > 0 && !seal(stream, bytes)))
        return stream->output_error;
    return 0;
}

/* ---------------------------------------------------------------- the contract */

int tls_attach(struct stream *stream, size_t unread)
{
    assert(stream->tls == NULL && !(stream->state & (READING | SEND_OWNED)) &&
           "TLS begins once, and with no call under way");
    if (stream->end != 0)
        return stream->end;
    struct stream_tls *tls = calloc(1, sizeof *tls);
    struct net_block *raw = unread > 0 ? block_take(net_of(stream), unread) : NULL;
    if (tls == NULL || (unread > 0 && raw == NULL)) {
        if (raw != NULL)
            block_give(net_of(stream), raw);
        free(tls);
        return -ENOMEM;
    }
    if (raw != NULL)
        raw->end = (uint32_t)input_copy(stream, raw->data, unread);
    tls->raw = raw;
    tls->is_raw_new = raw != NULL;
    stream->tls = tls;
    input_drop(stream, input_size(stream)); /* T3 */
    stream->state &= ~(unsigned)(DISCARDING | PAUSED | WANT_DIRECT);
    for (struct net_block *block = stream->output; block != NULL; block = block->next)
        block->is_sealed = true; /* T4 */
    stream_attend(stream);
    stream_pump(stream);
    return 0;
}

int stream_secure(struct stream *stream, const struct tls_service *service, bool keep_unread)
{
    if (stream->end == 0 && net_of(stream)->tls == NULL)
        return -ENOENT;
    int result = tls_attach(stream, keep_unread ? input_size(stream) : 0);
    if (result == 0)
        stream->tls->service = service;
    return result;
}

void tls_free(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    handshake_over(stream);
    raw_drop(stream);
    if (tls->library != NULL)
        wolfSSL_free(tls->library);
    free(tls->certificate);
    free(tls->server_name);
    free(tls);
    stream->tls = NULL;
}

bool stream_is_secure(const struct stream *stream)
{
    return stream->tls != NULL && stream->tls->state == TLS_SECURE;
}

bool stream_has_tls(const struct stream *stream)
{
    return stream->tls != NULL;
}

const char *stream_tls_problem(const struct stream *stream)
{
    return stream->tls != NULL ? stream->tls->problem : NULL;
}

void stream_tls_info(const struct stream *stream, struct tls_info *ret_info)
{
    const struct stream_tls *tls = stream->tls;
    *ret_info = (struct tls_info){.version = "", .cipher = ""};
    if (tls == NULL)
        return;
    ret_info->server_name = slice_of(tls->server_name, tls->server_name_size);
    if (tls->state != TLS_SECURE)
        return;
    int suite = wolfSSL_get_current_cipher_suite(tls->library);
    ret_info->version = wolfSSL_get_version(tls->library);
    ret_info->cipher = wolfSSL_get_cipher_name_iana_from_suite((byte)(suite >> 8), (byte)suite);
    ret_info->is_resumed = tls->is_resumed;
    const struct tls_certificate *certificate = tls->certificate;
    if (certificate == NULL)
        return;
    ret_info->has_certificate = true;
    ret_info->email = certificate->email;
    ret_info->common_name = certificate->common_name;
    ret_info->subject = certificate->subject;
    ret_info->issuer = certificate->issuer;
    ret_info->serial = certificate->serial;
    memcpy(ret_info->fingerprint, certificate->fingerprint, sizeof ret_info->fingerprint);
}

bool stream_tls_binding(const struct stream *stream, uint8_t ret_binding[TLS_BINDING_BYTES])
{
    if (!stream_is_secure(stream) || !stream->tls->has_binding)
        return false;
    memcpy(ret_binding, stream->tls->binding, TLS_BINDING_BYTES);
    return true;
}
