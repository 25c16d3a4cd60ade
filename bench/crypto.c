/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the public-key operations of a TLS handshake cost the server, each by itself, in CPU time:
 * the parts that bench/tls shows the sum of.
 *
 *   crypto
 *
 * A full handshake of TLS 1.3 is a key, a shared secret and a signature; a resumed one (psk_dhe_ke,
 * RFC 8446, 4.2.9) saves the signature only. A resumed one of TLS 1.2 saves all of them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#pragma GCC diagnostic pop

enum { RUNS = 5 };

static struct {
    WC_RNG rng;
    curve25519_key mine, peer;
    ecc_key ecc;
    RsaKey rsa;
    unsigned char hash[32];
} crypto;

static void need(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "crypto: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void x25519_key(void)
{
    curve25519_key key;
    need(wc_curve25519_init(&key) == 0, "init");
    need(wc_curve25519_make_key(&crypto.rng, 32, &key) == 0, "X25519 key");
    wc_curve25519_free(&key);
}

static void x25519_secret(void)
{
    unsigned char secret[32];
    word32 size = sizeof secret;
    need(wc_curve25519_shared_secret(&crypto.mine, &crypto.peer, secret, &size) == 0, "X25519");
}

static void ecdsa_sign(void)
{
    unsigned char signature[128];
    word32 size = sizeof signature;
    need(wc_ecc_sign_hash(crypto.hash, sizeof crypto.hash, signature, &size, &crypto.rng,
                          &crypto.ecc) == 0,
         "ECDSA");
}

static void rsa_sign(void)
{
    unsigned char signature[256];
    need(wc_RsaPSS_Sign(crypto.hash, sizeof crypto.hash, signature, sizeof signature,
                        WC_HASH_TYPE_SHA256, WC_MGF1SHA256, &crypto.rsa, &crypto.rng) == 256,
         "RSA");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int rounds;
    } rows[] = {{"X25519, a new key", x25519_key, 2000},
                {"X25519, the secret", x25519_secret, 2000},
                {"ECDSA P-256, sign", ecdsa_sign, 2000},
                {"RSA-2048 PSS, sign", rsa_sign, 200}};
    wolfSSL_Init();
    need(wc_InitRng(&crypto.rng) == 0, "randomness");
    need(wc_curve25519_init(&crypto.mine) == 0 && wc_curve25519_init(&crypto.peer) == 0 &&
             wc_curve25519_make_key(&crypto.rng, 32, &crypto.mine) == 0 &&
             wc_curve25519_make_key(&crypto.rng, 32, &crypto.peer) == 0,
         "X25519 keys");
    need(wc_ecc_init(&crypto.ecc) == 0 && wc_ecc_make_key(&crypto.rng, 32, &crypto.ecc) == 0,
         "ECC key");
    need(wc_InitRsaKey(&crypto.rsa, NULL) == 0 &&
             wc_MakeRsaKey(&crypto.rsa, 2048, WC_RSA_EXPONENT, &crypto.rng) == 0 &&
             wc_RsaSetRNG(&crypto.rsa, &crypto.rng) == 0,
         "RSA key");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double spent[RUNS];
        for (int run = 0; run < RUNS; run++) {
            double begin = cpu_us();
            for (int round = 0; round < rows[i].rounds; round++)
                rows[i].run();
            spent[run] = (cpu_us() - begin) / rows[i].rounds;
        }
        qsort(spent, RUNS, sizeof *spent, compare);
        printf("%-20s %8.1f us (%.1f to %.1f)\n", rows[i].name, spent[RUNS / 2], spent[0],
               spent[RUNS - 1]);
    }
    return 0;
}
