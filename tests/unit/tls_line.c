/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Settings and clients of TLS for tests.
 */
#include "tls_line.h"

#include "ringpost/tls.h"

#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

/* Of mx.example.test, from 2020 to 2120, signed by itself; worth nothing anywhere else. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBfTCCASOgAwIBAgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9teC5leGFt\n"
    "cGxlLnRlc3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBoxGDAW\n"
    "BgNVBAMMD214LmV4YW1wbGUudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n"
    "BAERCrRxw8IkXxQnyjo79IwC6Dv499Ba5XXO+08JCZHgYwCf/df/6+O3O0VUXWg3\n"
    "52FZYBVIz/u6ZSkPMD+i33SjWDBWMBoGA1UdEQQTMBGCD214LmV4YW1wbGUudGVz\n"
    "dDAMBgNVHRMBAf8EAjAAMAsGA1UdDwQEAwIHgDAdBgNVHQ4EFgQUuxZB0FBmjgY8\n"
    "StCCORg7nOyx+MEwCgYIKoZIzj0EAwIDSAAwRQIgf7EtWasF7Okbn7SoSmzIVHYj\n"
    "pLQVNu/gaDNAj90McU4CIQDpFx/NVeb1TXbpHP59Imc3086mwjhcD/0KWH9NsEiC\n"
    "Nw==\n"
    "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1CSR94TZvZnRjEOs\n"
                          "Ozxobjm03V/lplSzdKWF+tpoAvOhRANCAAQBEQq0ccPCJF8UJ8o6O/SMAug7+PfQ\n"
                          "WuV1zvtPCQmR4GMAn/3X/+vjtztFVF1oN+dhWWAVSM/7umUpDzA/ot90\n"
                          "-----END PRIVATE KEY-----\n";

struct tls_line {
    int fd;
    WOLFSSL *tls;
};

static WOLFSSL_CTX *context;

/* ---------------------------------------------------------------- the server's side */

struct adoption {
    struct message message;
    struct tls_settings *settings;
    int result;
    bool is_done;
};

/* In the core's turn: a fiber's stack is too small. */
static void adopt(struct core *here, struct message *message)
{
    struct adoption *adoption = (struct adoption *)message;
    adoption->result = tls_adopt(here, adoption->settings);
    adoption->is_done = true;
}

static void problem(void *argument, const char *name, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s: %s\n", name, what);
}

static int make(void *argument)
{
    struct tls_pair pair = {"test", slice_of(certificate, sizeof certificate - 1),
                            slice_of(key, sizeof key - 1)};
    struct tls_options options = {.pairs = &pair, .pair_count = 1, .ticket_ms_max = 60000};
    return tls_settings_make(&options, INT64_C(1700000000) * 1000000000, problem, NULL, argument);
}

static void make_on_helper(void *argument)
{
    struct adoption *adoption = argument;
    adoption->result = make(&adoption->settings);
}

int tls_line_open(struct core *core)
{
    struct adoption adoption = {.message.handle = adopt};
    check_equal(tls_library_open(core_kernel(core)), 0);
    check_equal(core_help(core, make_on_helper, &adoption), 0);
    check_equal(adoption.result, 0);
    core_post(core, core_index(core), &adoption.message);
    while (!adoption.is_done)
        fiber_sleep(core, 8000000);
    tls_settings_unref(adoption.settings);
    if (core_index(core) > 0)
        return adoption.result;
    context = wolfSSL_CTX_new(wolfSSLv23_client_method());
    check(context != NULL);
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL);
    return adoption.result;
}

void tls_line_close(struct core *core)
{
    if (core_index(core) == 0)
        wolfSSL_CTX_free(context);
    tls_library_close();
}

/* ---------------------------------------------------------------- the client's */

struct tls_line *tls_line_begin(int client)
{
    struct tls_line *line = calloc(1, sizeof *line);
    line->fd = client;
    line->tls = wolfSSL_new(context);
    check(line->tls != NULL);
    check_equal(wolfSSL_UseKeyShare(line->tls, WOLFSSL_ECC_X25519), WOLFSSL_SUCCESS);
    check_equal(wolfSSL_set_fd(line->tls, client), WOLFSSL_SUCCESS);
    check_equal(wolfSSL_connect(line->tls), WOLFSSL_SUCCESS);
    return line;
}

void tls_line_say(struct tls_line *line, const char *text)
{
    int size = (int)strlen(text);
    check_equal(wolfSSL_write(line->tls, text, size), size);
}

void tls_line_reply(struct tls_line *line, const char *begins, char *text, size_t capacity)
{
    char one[1000];
    size_t size = 0, used = 0;
    for (;;) {
        check(size + 1 < sizeof one);
        check_equal(wolfSSL_read(line->tls, one + size, 1), 1);
        if (one[size++] != '\n')
            continue;
        one[size - 2] = '\0';
        if (text != NULL)
            used += (size_t)snprintf(text + used, capacity - used, "%s\n", one);
        if (size > 5 && one[3] != '-')
            break;
        size = 0;
    }
    if (strncmp(one, begins, strlen(begins)) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", one, begins);
    check(strncmp(one, begins, strlen(begins)) == 0);
}

void tls_line_read(struct tls_line *line, char *text, size_t capacity)
{
    size_t size = 0;
    do {
        check(size < capacity);
        check_equal(wolfSSL_read(line->tls, text + size, 1), 1);
    } while (text[size++] != '\n');
    check(size >= 2 && text[size - 2] == '\r');
    text[size - 2] = '\0';
}

void tls_line_ask(struct tls_line *line, const char *text, const char *begins)
{
    tls_line_say(line, text);
    tls_line_reply(line, begins, NULL, 0);
}

void tls_line_notify(struct tls_line *line)
{
    (void)wolfSSL_shutdown(line->tls);
}

void tls_line_end(struct tls_line *line)
{
    char more;
    check(wolfSSL_read(line->tls, &more, 1) <= 0);
    wolfSSL_free(line->tls);
    close(line->fd);
    free(line);
}
