/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The doubles below a stream under TLS.
 */
#include "tls_double.h"

#include <stdlib.h>
#include <time.h>

#include "../../src/main/certificate.h"
#include "ringpost/hash.h"

struct double_sent double_sent;

struct core {
    void *net;
};

static struct core cores[DOUBLE_CORES];
int64_t double_wall_ns;
uint64_t double_drawn;

void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---------------------------------------------------------------- the core */

void *core_local(const struct core *of, enum core_local which)
{
    require(which == CORE_LOCAL_NET);
    return of->net;
}

void core_local_set(struct core *of, enum core_local which, void *value)
{
    require(which == CORE_LOCAL_NET);
    of->net = value;
}

void core_hook_add(struct core *of, struct hook *hook)
{
    (void)of;
    (void)hook;
}

void core_hook_remove(struct core *of, struct hook *hook)
{
    (void)of;
    (void)hook;
}

void core_again(struct core *of)
{
    (void)of;
}

int64_t core_wall_ns(struct core *of)
{
    (void)of;
    return double_wall_ns;
}

void kernel_random(struct kernel *kernel, void *data, size_t size)
{
    (void)kernel;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)hash_u64(++double_drawn);
}

void core_random(struct core *of, void *data, size_t size)
{
    (void)of;
    kernel_random(NULL, data, size);
}

void waiters_wake_all(struct core *of, struct waiters *waiters)
{
    (void)of;
    (void)waiters;
}

void buffer_give(struct core *of, unsigned number)
{
    (void)of;
    (void)number;
    require(false); /* none was lent */
}

unsigned buffer_size(const struct core *of, unsigned number)
{
    (void)of;
    (void)number;
    require(false);
    return 0;
}

/* ---------------------------------------------------------------- the stream's other files */

void stream_attended(struct stream *stream)
{
    (void)stream;
}

void stream_notify(struct stream *stream)
{
    (void)stream;
}

void stream_pump(struct stream *stream)
{
    (void)stream;
}

void stream_ended(struct stream *stream, int reason)
{
    if (stream->end == 0)
        stream->end = reason;
}

bool output_append_sealed(struct stream *stream, struct slice bytes, size_t wanted)
{
    (void)stream;
    (void)wanted;
    require(bytes.size <= sizeof double_sent.data);
    if (bytes.size > sizeof double_sent.data - double_sent.size)
        double_sent.size = 0; /* answers to key updates */
    memcpy(double_sent.data + double_sent.size, bytes.data, bytes.size);
    double_sent.size += bytes.size;
    return true;
}

void output_block_give(struct stream *stream, struct net_block *block)
{
    block_give(net_of(stream), block);
}

struct net_block *output_take_plain(struct stream *stream)
{
    (void)stream;
    return NULL;
}

void output_fail(struct stream *stream, int reason)
{
    stream->output_error = reason;
    stream->state |= OUTPUT_FAILED;
}

/* ---------------------------------------------------------------- a stream */

static void none(struct stream *stream)
{
    (void)stream;
}

static const struct stream_owner owner = {.input = none, .released = none, .secured = none};

void double_begin(const struct tls_options *wanted)
{
    static char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
    static const char *const names[] = {"a.example", NULL};
    struct tls_settings *settings = NULL;
    struct tls_pair pair = {"pair", {0}, {0}};
    struct tls_options options = *wanted;
    options.pairs = &pair;
    options.pair_count = 1;
    double_wall_ns = (int64_t)time(NULL) * 1000000000;
    require(tls_library_open(NULL) == 0);
    require(certificate_make(names, double_wall_ns / 1000000000, certificate, key) == NULL);
    pair.certificate = slice_cstr(certificate);
    pair.key = slice_cstr(key);
    require(tls_settings_make(&options, double_wall_ns, NULL, NULL, &settings) == 0);
    for (int i = 0; i < DOUBLE_CORES; i++) {
        require(net_open(&cores[i]) == 0);
        require(tls_adopt(&cores[i], settings) == 0);
    }
    tls_settings_unref(settings);
}

void double_end(void)
{
    for (int i = 0; i < DOUBLE_CORES; i++)
        net_close(&cores[i]);
    tls_library_close();
}

struct stream *double_open(unsigned core, const struct tls_service *service)
{
    struct stream *stream = calloc(1, sizeof *stream);
    require(stream != NULL);
    *stream = (struct stream){.core = &cores[core], .owner = &owner, .slot = -1};
    double_sent.size = 0;
    require(stream_secure(stream, service, false) == 0);
    return stream;
}

void double_close(struct stream *stream)
{
    struct net *net = net_of(stream);
    stream->state |= CLOSING;
    tls_seal(stream);
    require(stream->tls->is_goodbye_said == stream_is_secure(stream));
    tls_receive(stream, "more", 4); /* T2 */
    tls_free(stream);
    input_drop(stream, input_size(stream));
    require(net->tls->uses == 1);
    net->attended = NULL;
    net->attended_end = &net->attended;
    free(stream);
}
