/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the client's side of TLS under a stream. tls*.c, input.c and net.c are
 * those of the server; the core below them and the queue of output are doubles (tls_double.c).
 *
 *   input[0] % KINDS says what the rest is, input[1] in which pieces it comes:
 *   RAW          the client's side from its first byte
 *   AFTER_1x     bytes behind a whole handshake of that version
 *   SEALED_1x    behind a whole handshake: records of any type and content, sealed with the
 *                client's keys, so that they come through to what wolfSSL does with them
 *   EDITED_1x    a whole handshake with bytes of the client's side changed
 *   RESUMED_1x   the same, of one that resumes by a ticket
 *
 * The handshakes are OpenSSL's, recorded once when the program starts: the server's randomness is
 * the same for each input, so the same bytes finish it again, which is checked.
 *
 * What must hold: nobody who lacks the keys gets through a handshake, or a byte to the reader; what
 * is sealed as data comes whole and in order, and nothing else does.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../unit/tls_double.h"
#include "../unit/tls_openssl.h"

#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/wolfcrypt/kdf.h>
#pragma GCC diagnostic pop

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum kind {
    RAW,
    AFTER_13,
    AFTER_12,
    SEALED_13,
    SEALED_12,
    EDITED_13,
    EDITED_12,
    RESUMED_13,
    RESUMED_12,
    KINDS
};
enum { CONTENT_BYTES_MAX = 16384, RECORDED_BYTES_MAX = 16384, HANDSHAKE = 22, DATA = 23 };

/* A handshake: what the client sent, and its secret: of its data (TLS 1.3), or the master secret
 * and the randoms of server and client. */
struct recording {
    uint8_t client[RECORDED_BYTES_MAX];
    size_t client_size;
    uint8_t secret[48], randoms[64];
};

static struct recording recordings[4]; /* of TLS 1.3 and 1.2; of resumptions of these */

static const struct tls_service service = {NULL, 1};

/* ---------------------------------------------------------------- a stream */

static struct stream *begin(void)
{
    double_drawn = 0;
    return double_open(0, &service);
}

/* Each piece lies in memory of its own size, for the address sanitizer. */
static void feed(struct stream *stream, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t at = 0; at < size;) {
        size_t part = piece > 0 && size - at > piece ? piece : size - at;
        char *copy = malloc(part);
        require(copy != NULL);
        memcpy(copy, data + at, part);
        tls_receive(stream, copy, part);
        free(copy);
        at += part;
    }
    require(!stream_is_secure(stream) || stream->tls->state == TLS_SECURE);
    require(stream->tls->state != TLS_FAILED || (stream->tls->is_read_out && stream->end != 0));
}

static struct stream *begin_secure(int version)
{
    const struct recording *recording = &recordings[version];
    struct stream *stream = begin();
    feed(stream, recording->client, recording->client_size, 0);
    require(stream_is_secure(stream));
    return stream;
}

/* ---------------------------------------------------------------- sealed records */

struct sealer {
    bool is_13;
    uint64_t number; /* of the next record */
    uint8_t secret[32], iv[12];
    Aes aes;
    uint8_t record[TLS_HEADER_BYTES + 8 + CONTENT_BYTES_MAX + 1 + 16];
};

static void expand(uint8_t *to, size_t size, const uint8_t *secret, const char *label)
{
    require(wc_Tls13_HKDF_Expand_Label(to, (word32)size, secret, 32, (const byte *)"tls13 ", 6,
                                       (const byte *)label, (word32)strlen(label), NULL, 0,
                                       WC_SHA256) == 0);
}

static void keys_of_secret(struct sealer *sealer)
{
    uint8_t key[16];
    expand(key, sizeof key, sealer->secret, "key");
    expand(sealer->iv, sizeof sealer->iv, sealer->secret, "iv");
    require(wc_AesGcmSetKey(&sealer->aes, key, sizeof key) == 0);
    sealer->number = 0;
}

static void sealer_init(struct sealer *sealer, bool is_13)
{
    const struct recording *recording = &recordings[is_13 ? 0 : 1];
    sealer->is_13 = is_13;
    require(wc_AesInit(&sealer->aes, NULL, INVALID_DEVID) == 0);
    memcpy(sealer->secret, recording->secret, sizeof sealer->secret);
    if (is_13) {
        keys_of_secret(sealer);
        return;
    }
    uint8_t block[2 * (16 + 4)];
    require(wc_PRF_TLS(block, sizeof block, recording->secret, 48, (const byte *)"key expansion",
                       13, recording->randoms, 64, 1, sha256_mac, NULL, INVALID_DEVID) == 0);
    require(wc_AesGcmSetKey(&sealer->aes, block, 16) == 0);
    memcpy(sealer->iv, block + 32, 4);
    sealer->number = 1; /* Finished was the first */
}

static void put64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

static size_t seal_13(struct sealer *sealer, uint8_t type, const uint8_t *content, size_t size)
{
    uint8_t nonce[12] = {0}, *record = sealer->record;
    size_t sealed = size + 1 + 16;
    memcpy(record, (uint8_t[]){DATA, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed}, 5);
    memcpy(record + 5, content, size);
    record[5 + size] = type;
    put64(nonce + 4, sealer->number++);
    for (int i = 0; i < 12; i++)
        nonce[i] ^= sealer->iv[i];
    require(wc_AesGcmEncrypt(&sealer->aes, record + 5, record + 5, (word32)(size + 1), nonce, 12,
                             record + 5 + size + 1, 16, record, 5) == 0);
    return 5 + sealed;
}

static size_t seal_12(struct sealer *sealer, uint8_t type, const uint8_t *content, size_t size)
{
    uint8_t nonce[12], aad[13], *record = sealer->record;
    size_t sealed = 8 + size + 16;
    memcpy(record, (uint8_t[]){type, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed}, 5);
    put64(record + 5, sealer->number);
    put64(aad, sealer->number++);
    memcpy(aad + 8, (uint8_t[]){type, 3, 3, (uint8_t)(size >> 8), (uint8_t)size}, 5);
    memcpy(nonce, sealer->iv, 4);
    memcpy(nonce + 4, record + 5, 8);
    memcpy(record + 13, content, size);
    require(wc_AesGcmEncrypt(&sealer->aes, record + 13, record + 13, (word32)size, nonce, 12,
                             record + 13 + size, 16, aad, 13) == 0);
    return 5 + sealed;
}

/* What a reader must get, if the server goes on: the contents of records of data. */
struct expected {
    uint8_t *data;
    size_t size;
    bool is_sure; /* all so far were well-formed records of data */
};

static void expect(struct expected *expected, bool is_13, uint8_t type, const uint8_t *content,
                   size_t size)
{
    while (is_13 && type == 0 && size > 0) /* RFC 8446, 5.4: it was padding */
        type = content[--size];
    if (type == DATA) {
        memcpy(expected->data + expected->size, content, size);
        expected->size += size;
    } else {
        expected->is_sure = false;
    }
}

static void key_update(struct sealer *sealer)
{
    expand(sealer->secret, sizeof sealer->secret, sealer->secret, "traffic upd");
    keys_of_secret(sealer);
}

/* One record: what, size (2 bytes), content. Returns how many bytes of the input it took. */
static size_t sealed_record(struct stream *stream, struct sealer *sealer, struct slice left,
                            size_t piece, struct expected *expected)
{
    static const uint8_t types[] = {DATA, HANDSHAKE, 21, 20, 24, 0, 255, DATA};
    const uint8_t *data = (const uint8_t *)left.data;
    const uint8_t *content = data + 3;
    size_t size = left.size - 3, wanted = (size_t)(data[1] & 0x3f) << 8 | data[2];
    uint8_t type = types[data[0] % sizeof types], update[5] = {24, 0, 0, 1, data[0] >> 7};
    if (size > wanted)
        size = wanted;
    size_t taken = 3 + size;
    bool is_update = (data[0] & 0x78) == 0x78;
    if (is_update) {
        type = HANDSHAKE, content = update, size = sizeof update, taken = 3;
    } else if ((data[0] & 0x78) == 0x70) { /* T04: another hello */
        const struct recording *recording = &recordings[sealer->is_13 ? 0 : 1];
        type = HANDSHAKE, content = recording->client + 5, taken = 3;
        size = recording->client[3] * 256u + recording->client[4];
    }
    expect(expected, sealer->is_13, type, content, size);
    size_t sealed =
        sealer->is_13 ? seal_13(sealer, type, content, size) : seal_12(sealer, type, content, size);
    feed(stream, sealer->record, sealed, piece);
    if (is_update && sealer->is_13)
        key_update(sealer);
    return taken;
}

static void sealed_records(struct stream *stream, struct slice input, size_t piece, bool is_13)
{
    struct sealer *sealer = calloc(1, sizeof *sealer);
    struct expected expected = {malloc(input.size + 1), 0, true};
    char *got = malloc(input.size + 1);
    require(sealer != NULL && expected.data != NULL && got != NULL);
    sealer_init(sealer, is_13);
    while (input.size >= 3)
        input = slice_from(input, sealed_record(stream, sealer, input, piece, &expected));
    size_t size = input_size(stream);
    require(size <= expected.size && (size == expected.size || !expected.is_sure));
    require(!expected.is_sure || stream_is_secure(stream));
    require(input_copy(stream, got, size) == size && memcmp(got, expected.data, size) == 0);
    wc_AesFree(&sealer->aes);
    free(sealer);
    free(expected.data);
    free(got);
}

/* ---------------------------------------------------------------- edits */

static void edited(struct stream *stream, struct slice edits, size_t piece,
                   const struct recording *recording)
{
    uint8_t *client = malloc(recording->client_size);
    require(client != NULL);
    memcpy(client, recording->client, recording->client_size);
    for (; edits.size >= 3; edits = slice_from(edits, 3)) {
        const uint8_t *edit = (const uint8_t *)edits.data;
        client[(edit[0] * 256u + edit[1]) % recording->client_size] ^= edit[2];
    }
    bool is_same = memcmp(client, recording->client, recording->client_size) == 0;
    feed(stream, client, recording->client_size, piece);
    /* What wolfSSL puts into tickets changes by its own clock. */
    require(!is_same || recording >= &recordings[2] || stream_is_secure(stream));
    require(input_size(stream) == 0);
    free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum kind kind = data[0] % KINDS;
    size_t piece = data[1] < 128 ? 0 : data[1] - 127u;
    struct slice rest = slice_of(data + 2, size - 2);
    struct stream *stream;
    if (kind == SEALED_13 || kind == SEALED_12) {
        stream = begin_secure(kind == SEALED_12);
        sealed_records(stream, rest, piece, kind == SEALED_13);
    } else if (kind >= EDITED_13) {
        stream = begin();
        edited(stream, rest, piece, &recordings[kind - EDITED_13]);
    } else {
        stream = kind == RAW ? begin() : begin_secure(kind == AFTER_12);
        feed(stream, data + 2, size - 2, piece);
        require(input_size(stream) == 0 && (kind != RAW || !stream_is_secure(stream)));
    }
    double_close(stream);
    return 0;
}

/* Returns a session to resume; the one given is resumed. */
static void *record(struct recording *recording, bool is_13, void *session)
{
    struct openssl *client =
        openssl_begin(&(struct openssl_options){.is_13 = is_13, .session = session});
    struct stream *stream = begin();
    size_t answered = 0;
    while (!stream_is_secure(stream)) {
        uint8_t *to = recording->client + recording->client_size;
        size_t size = openssl_step(client, double_sent.data + answered, double_sent.size - answered,
                                   to, sizeof recording->client - recording->client_size);
        answered = double_sent.size;
        recording->client_size += size;
        require(size > 0);
        tls_receive(stream, (const char *)to, size);
    }
    uint8_t last[64]; /* the client reads the server's last */
    openssl_step(client, double_sent.data + answered, double_sent.size - answered, last,
                 sizeof last);
    openssl_secrets(client, recording->secret, recording->randoms);
    require(openssl_is_resumed(client) == (session != NULL));
    session = openssl_session(client);
    openssl_end(client);
    double_close(stream);
    return session;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    double_begin(&(struct tls_options){.ticket_ms_max = 3600000});
    for (int version = 0; version < 2; version++) {
        void *session = record(&recordings[version], version == 0, NULL);
        openssl_session_free(record(&recordings[2 + version], version == 0, session));
        openssl_session_free(session);
    }
    return 0;
}
