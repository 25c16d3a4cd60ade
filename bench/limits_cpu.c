/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processor's part of bench/limits: copying, checksums, and wolfSSL without sockets: both ends
 * in one thread, bytes handed over in memory, the server's calls timed.
 */
#include "limits_private.h"

#include <stdlib.h>
#include <time.h>

#include "../src/main/certificate.h"
#include "ringpost/hash.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#pragma GCC diagnostic pop

/* ---------------------------------------------------------------- memory */

void limit_memory(struct bench *bench)
{
    enum { COLD = 256 << 20, HOT = 64 << 10 };
    char *from = malloc(COLD), *to = malloc(COLD);
    must(from != NULL && to != NULL, "memory");
    memset(from, 1, COLD);
    memset(to, 2, COLD);
    for (int hot = 0; hot < 2; hot++) {
        size_t piece = hot ? HOT : COLD, rounds = hot ? 16384 : 4;
        if (bench->seconds < 1)
            rounds /= hot ? 8 : 4;
        double begin = wall_seconds();
        for (size_t i = 0; i < rounds; i++) {
            memcpy(to, from, piece);
            __asm__ volatile("" : : "r"(to) : "memory");
        }
        double copied = wall_seconds();
        uint32_t sum = 0;
        for (size_t i = 0; i < rounds; i++)
            sum = crc32c(sum, from, piece);
        double summed = wall_seconds();
        double bytes = (double)piece * (double)rounds;
        fprintf(bench->text, "memory    %-16s %9.1f GiB/s memcpy, %.1f GiB/s crc32c (%08x)\n",
                hot ? "hot, 64 KiB" : "cold, 256 MiB", bytes / (copied - begin) / 1073741824,
                bytes / (summed - copied) / 1073741824, sum);
        ceiling_add(bench, hot ? "copy_hot" : "copy_cold", bytes / (copied - begin) / 1e9, "GB/s",
                    hot ? "memcpy of 64 KiB that are in the cache"
                        : "memcpy of 256 MiB, more than the cache holds");
        ceiling_add(bench, hot ? "crc32c_hot" : "crc32c_cold", bytes / (summed - copied) / 1e9,
                    "GB/s", hot ? "checksum of 64 KiB in the cache" : "checksum of 256 MiB");
    }
    free(from);
    free(to);
}

/* ---------------------------------------------------------------- TLS */

static void bulk(struct bench *bench)
{
    enum { RECORD = 16384 };
    static unsigned char plain[RECORD], sealed[RECORD];
    unsigned char key[16] = {1}, nonce[12] = {2}, tag[16], head[5] = {23, 3, 3, 64, 17};
    Aes aes;
    must(wc_AesInit(&aes, NULL, INVALID_DEVID) == 0, "AES");
    must(wc_AesGcmSetKey(&aes, key, sizeof key) == 0, "AES key");
    double begin = wall_seconds(), end = begin;
    unsigned count = 0;
    while (end < begin + bench->seconds) {
        for (unsigned i = 0; i < 100; i++, count++)
            must(wc_AesGcmEncrypt(&aes, sealed, plain, RECORD, nonce, sizeof nonce, tag, sizeof tag,
                                  head, sizeof head) == 0,
                 "AES-GCM");
        end = wall_seconds();
    }
    wc_AesFree(&aes);
    double speed = (double)count * RECORD / (end - begin) / 1e9;
    fprintf(bench->text, "TLS       AES-128-GCM      %9.2f GB/s in records of 16 KiB\n", speed);
    ceiling_add(bench, "tls_bulk", speed, "GB/s", "AES-128-GCM of records of 16 KiB, wolfCrypt");
}

struct pipe {
    char data[32768];
    size_t size, read;
};
/* What one end writes the other reads. */
struct end {
    struct pipe *in, *out;
};

static int take(WOLFSSL *library, char *to, int size, void *argument)
{
    (void)library;
    struct pipe *pipe = ((struct end *)argument)->in;
    size_t left = pipe->size - pipe->read, part = (size_t)size < left ? (size_t)size : left;
    if (part == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    memcpy(to, pipe->data + pipe->read, part);
    pipe->read += part;
    if (pipe->read == pipe->size)
        pipe->read = pipe->size = 0;
    return (int)part;
}

static int give(WOLFSSL *library, char *from, int size, void *argument)
{
    (void)library;
    struct pipe *pipe = ((struct end *)argument)->out;
    must(pipe->size + (size_t)size <= sizeof pipe->data, "a handshake of that size");
    memcpy(pipe->data + pipe->size, from, (size_t)size);
    pipe->size += (size_t)size;
    return size;
}

static WOLFSSL *end_open(WOLFSSL_CTX *context, struct end *end)
{
    WOLFSSL *library = wolfSSL_new(context);
    must(library != NULL, "wolfSSL_new");
    wolfSSL_SSLSetIORecv(library, take);
    wolfSSL_SSLSetIOSend(library, give);
    wolfSSL_SetIOReadCtx(library, end);
    wolfSSL_SetIOWriteCtx(library, end);
    return library;
}

static double thread_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One handshake: the server's CPU seconds for it. *session is resumed, if any, and replaced. */
static double shake(WOLFSSL_CTX *server_context, WOLFSSL_CTX *client_context,
                    WOLFSSL_SESSION **session)
{
    static struct pipe up, down;
    struct end at_server = {&up, &down}, at_client = {&down, &up};
    WOLFSSL *client = end_open(client_context, &at_client);
    bool resumes = *session != NULL;
    char one = 'x';
    up.size = up.read = down.size = down.read = 0;
    must(wolfSSL_UseKeyShare(client, WOLFSSL_ECC_X25519) == WOLFSSL_SUCCESS, "X25519");
    if (resumes)
        wolfSSL_set_session(client, *session);
    double begin = thread_cpu(), spent;
    WOLFSSL *server = end_open(server_context, &at_server);
    spent = thread_cpu() - begin;
    bool client_done = false, server_done = false;
    for (unsigned i = 0; i < 10 && !(client_done && server_done); i++) {
        client_done = client_done || wolfSSL_connect(client) == WOLFSSL_SUCCESS;
        begin = thread_cpu();
        server_done = server_done || wolfSSL_accept(server) == WOLFSSL_SUCCESS;
        spent += thread_cpu() - begin;
    }
    must(client_done && server_done, "handshake");
    must(!resumes || wolfSSL_session_reused(client), "resumption");
    must(wolfSSL_write(server, &one, 1) == 1 && wolfSSL_read(client, &one, 1) == 1, "a byte");
    wolfSSL_SESSION_free(*session);
    *session = wolfSSL_get1_session(client); /* with the ticket, which came before the byte */
    wolfSSL_free(client);
    begin = thread_cpu();
    wolfSSL_free(server);
    return spent + thread_cpu() - begin;
}

static void handshakes(struct bench *bench)
{
    static char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
    const char *const names[] = {"limits.test", NULL};
    must(certificate_make(names, (int64_t)time(NULL), certificate, key) == NULL, "certificate");
    WOLFSSL_CTX *server = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    WOLFSSL_CTX *client = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    must(server != NULL && client != NULL, "wolfSSL");
    must(wolfSSL_CTX_use_certificate_chain_buffer(server, (unsigned char *)certificate,
                                                  (long)strlen(certificate)) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_use_PrivateKey_buffer(server, (unsigned char *)key, (long)strlen(key),
                                               WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS,
         "certificate");
    wolfSSL_CTX_set_cipher_list(server, "TLS13-AES128-GCM-SHA256");
    wolfSSL_CTX_set_session_cache_mode(server, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_set_verify(client, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_UseSessionTicket(client);
    for (int resumes = 0; resumes < 2; resumes++) {
        WOLFSSL_SESSION *session = NULL;
        double until = wall_seconds() + bench->seconds, spent = 0;
        unsigned count = 0;
        shake(server, client, &session);
        while (wall_seconds() < until) {
            if (!resumes || count % 100 == 99) { /* tickets may not be used for ever */
                wolfSSL_SESSION_free(session);
                session = NULL;
            }
            if (resumes && session == NULL)
                shake(server, client, &session);
            spent += shake(server, client, &session);
            count++;
        }
        wolfSSL_SESSION_free(session);
        fprintf(bench->text, "TLS       %-16s %9.1f us CPU of the server\n",
                resumes ? "resumed 1.3" : "handshake 1.3", spent * 1e6 / count);
        ceiling_add(bench, resumes ? "tls_resumed_us" : "tls_handshake_us", spent * 1e6 / count,
                    "us",
                    resumes ? "a TLS 1.3 handshake resumed by a ticket, server, no sockets"
                            : "a TLS 1.3 handshake (ECDSA P-256, X25519), server, no sockets");
    }
    wolfSSL_CTX_free(server);
    wolfSSL_CTX_free(client);
}

void limit_tls(struct bench *bench)
{
    wolfSSL_Init();
    bulk(bench);
    handshakes(bench);
    wolfSSL_Cleanup();
}
