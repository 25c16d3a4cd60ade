/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the server's side of TLS under a stream that is the client. tls*.c,
 * input.c and net.c are those of the program; the core below them and the queue of output are
 * doubles (tls_double.c), and so is the fiber that waits: while it does, the input comes.
 *
 *   input[0] % KINDS says what the rest is, input[1] in which pieces it comes:
 *   RAW             the server's side from its first byte
 *   AFTER_1x        bytes behind a whole handshake of that version
 *   EDITED_1x       a whole handshake with bytes of the server's side changed
 *   UNVERIFIED_1x   the same, for a client that has an authority which did not sign it
 *
 * The handshakes are our own server's, recorded once when the program starts: the client's
 * randomness is the same for each input, so the same bytes finish it again, which is checked.
 *
 * What must hold: no server gets through a handshake that was changed on the way, none at all
 * through one that is verified, and nobody who lacks the keys gets a byte to the reader.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../unit/tls_chain.h"
#include "../unit/tls_double.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum kind { RAW, AFTER_13, AFTER_12, EDITED_13, EDITED_12, UNVERIFIED_13, UNVERIFIED_12, KINDS };
enum { RECORDED_BYTES_MAX = 16384 };

static struct recording {
    uint8_t server[RECORDED_BYTES_MAX];
    size_t size;
} recordings[2]; /* of TLS 1.3 and 1.2 */

static const struct tls_service service = {NULL, 1};
static struct core *core;
static struct tls_client *clients[2][2]; /* by version; without an authority, and with one */

/* ---------------------------------------------------------------- the fiber's double */

static struct script {
    const uint8_t *data;
    size_t size, piece;
    struct stream *server; /* while a handshake is recorded: who answers */
    struct recording *recording;
} script;

int stream_input_end(const struct stream *stream)
{
    return stream->end;
}

static void none(struct stream *stream)
{
    (void)stream;
}

static const struct stream_owner owner = {.input = none, .released = none, .secured = none};

/* Each piece lies in memory of its own size, for the address sanitizer. */
static void feed(struct stream *stream, const uint8_t *data, size_t size)
{
    char *copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data, size);
    tls_receive(stream, copy, size);
    free(copy);
    require(stream->tls->state != TLS_FAILED || (stream->tls->is_read_out && stream->end != 0));
}

/* What was said since `from` goes to the other side. */
static size_t pass(struct stream *to, size_t from)
{
    static uint8_t said[RECORDED_BYTES_MAX];
    size_t size = double_sent.size - from;
    require(size <= sizeof said);
    memcpy(said, double_sent.data + from, size);
    if (to != script.server) {
        struct recording *recording = script.recording;
        require(size <= sizeof recording->server - recording->size);
        memcpy(recording->server + recording->size, said, size);
        recording->size += size;
    }
    from = double_sent.size;
    static uint64_t drawn = UINT64_C(1) << 32; /* the server's own randomness */
    uint64_t other = double_drawn;
    if (to == script.server)
        double_drawn = drawn;
    if (size > 0)
        feed(to, said, size);
    if (to == script.server) {
        drawn = double_drawn;
        double_drawn = other;
    }
    return from;
}

void stream_input_wait(struct stream *stream)
{
    static size_t passed;
    if (stream->tls->begin != NULL) {
        passed = double_sent.size;
        tls_attended(stream);
    } else if (script.server != NULL) {
        size_t before = double_sent.size;
        passed = pass(script.server, passed);
        passed = pass(stream, passed);
        require(double_sent.size > before || stream_is_secure(stream));
    } else if (script.size > 0) {
        size_t part = script.piece > 0 && script.size > script.piece ? script.piece : script.size;
        feed(stream, script.data, part);
        script.data += part;
        script.size -= part;
    } else {
        stream_ended(stream, -EPIPE);
    }
}

/* ---------------------------------------------------------------- a client */

/* The end of its handshake, with the script as its server. */
static struct stream *begin(int version, bool verifies, int *ret_result)
{
    struct stream *stream = calloc(1, sizeof *stream);
    require(stream != NULL);
    *stream = (struct stream){.core = core, .owner = &owner, .slot = -1};
    double_drawn = 1000;
    if (script.server == NULL)
        double_sent.size = 0;
    *ret_result = stream_secure_client(stream, clients[version][verifies], "a.example", NULL);
    require((*ret_result == 0) == stream_is_secure(stream));
    return stream;
}

static void end(struct stream *stream)
{
    struct net *net = net_of(stream);
    stream->state |= CLOSING;
    tls_seal(stream);
    tls_receive(stream, "more", 4); /* T2 */
    tls_free(stream);
    require(stream->input == NULL); /* nobody here seals data */
    net->attended = NULL;
    net->attended_end = &net->attended;
    free(stream);
}

static void edit(uint8_t *server, size_t size, struct slice edits)
{
    for (; edits.size >= 3; edits = slice_from(edits, 3)) {
        const uint8_t *one = (const uint8_t *)edits.data;
        server[(one[0] * 256u + one[1]) % size] ^= one[2];
    }
}

/* Edits of what wolfSSL does not look at (a version in a record's header) are no edits. */
static bool is_same_but_headers(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t at = 0; at + TLS_HEADER_BYTES <= size;) {
        size_t record = TLS_HEADER_BYTES + (b[at + 3] * 256u + b[at + 4]);
        if (record > size - at)
            record = size - at;
        if (a[at] != b[at] || memcmp(a + at + 3, b + at + 3, record - 3) != 0)
            return false;
        at += record;
    }
    return true;
}

static void edited(struct slice edits, int version, bool verifies)
{
    const struct recording *recording = &recordings[version];
    int result;
    uint8_t *server = malloc(recording->size);
    require(server != NULL);
    memcpy(server, recording->server, recording->size);
    edit(server, recording->size, edits);
    bool is_same = memcmp(server, recording->server, recording->size) == 0;
    script.data = server;
    script.size = recording->size;
    struct stream *stream = begin(version, verifies, &result);
    require(!is_same || (result == 0) == !verifies);
    require(result != 0 || !verifies);
    /* Behind the server's Finished come tickets, which may be anything. */
    require(result != 0 || version == 0 ||
            is_same_but_headers(server, recording->server, recording->size));
    end(stream);
    free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int result;
    enum kind kind = data[0] % KINDS;
    size_t piece = data[1] < 128 ? 0 : data[1] - 127u;
    script = (struct script){.data = data + 2, .size = size - 2, .piece = piece};
    if (kind >= EDITED_13) {
        edited(slice_of(data + 2, size - 2), kind == EDITED_12 || kind == UNVERIFIED_12,
               kind >= UNVERIFIED_13);
        return 0;
    }
    int version = kind == AFTER_12 || (kind == RAW && size % 2 == 1);
    if (kind != RAW)
        script.data = recordings[version].server, script.size = recordings[version].size;
    struct stream *stream = begin(version, false, &result);
    require((result == 0) == (kind != RAW));
    for (size_t at = 2; kind != RAW && at < size && !stream->tls->is_read_out;) {
        size_t part = piece > 0 && size - at > piece ? piece : size - at;
        feed(stream, data + at, part);
        at += part;
    }
    end(stream);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    double_begin(&(struct tls_options){.ticket_ms_max = 3600000});
    for (int version = 0; version < 2; version++) {
        struct stream *server = double_open(0, &service);
        core = server->core;
        for (int verifies = 0; verifies < 2; verifies++) {
            struct tls_client_options options = {.tls_12_only = version == 1};
            if (verifies)
                options.ca = slice_cstr(pem_chain_root);
            require(tls_client_make(core, &options, &clients[version][verifies]) == 0);
        }
        int result;
        script = (struct script){.server = server, .recording = &recordings[version]};
        struct stream *stream = begin(version, false, &result);
        require(result == 0);
        script.server = NULL;
        end(stream);
        double_close(server);
    }
    return 0;
}
