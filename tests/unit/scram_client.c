/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scram_client.h. Its arithmetic is checked against the examples of RFC 5802 and RFC 7677 by
 * scram_test.c.
 */
#include "scram_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "ringpost/base64.h"

void scram_client_prove(enum crypto_hash hash, const char *password, struct slice salt,
                        unsigned iterations, const char *said, uint8_t *ret_proof,
                        uint8_t *ret_verifier)
{
    uint8_t salted[32], client[32], stored[32], server[32], signature[32];
    size_t size = crypto_digest_size(hash);
    struct slice text = slice_cstr(said), name = SLICE("Client Key");
    check_equal(crypto_pbkdf2(hash, slice_cstr(password), salt, iterations, salted), 0);
    check_equal(crypto_hmac(hash, slice_of(salted, size), &name, 1, client), 0);
    check_equal(crypto_digest(hash, slice_of(client, size), stored), 0);
    check_equal(crypto_hmac(hash, slice_of(stored, size), &text, 1, signature), 0);
    for (size_t i = 0; i < size; i++)
        ret_proof[i] = client[i] ^ signature[i];
    name = SLICE("Server Key");
    check_equal(crypto_hmac(hash, slice_of(salted, size), &name, 1, server), 0);
    check_equal(crypto_hmac(hash, slice_of(server, size), &text, 1, ret_verifier), 0);
}

static void append(char *text, const char *more, size_t size)
{
    size_t end = strlen(text);
    memcpy(text + end, more, size);
    text[end + size] = '\0';
}

static void append_base64(char *text, const void *bytes, size_t size)
{
    size_t end = strlen(text);
    text[end + base64_encode(slice_of(bytes, size), text + end)] = '\0';
}

/* c=... and r=... */
static void say_channel(const struct scram_client *client, const char *nonce, char *text)
{
    char channel[1100] = "", both[2][2000] = {"c=", "r="};
    size_t size = strlen(client->head);
    enum scram_fault fault = client->fault;
    memcpy(channel, client->head, size);
    if (fault == FAULT_CHANNEL_HEAD)
        channel[0] = channel[0] == 'n' ? 'y' : 'n';
    if (client->binding != NULL)
        memcpy(channel + size, client->binding, 32);
    size += client->binding != NULL ? 32 : 0;
    if (fault == FAULT_CHANNEL_BIT)
        channel[size - 1] ^= 1;
    append_base64(both[0], channel, fault == FAULT_CHANNEL_CUT ? size - 1 : size);
    if (fault == FAULT_CHANNEL_NOT_BASE64)
        both[0][3] = '*';
    append(both[1], nonce, strlen(nonce));
    size_t end = strlen(both[1]);
    if (fault == FAULT_NONCE_SHORT)
        both[1][end - 1] = '\0';
    if (fault == FAULT_NONCE_BIT)
        both[1][end - 1] ^= 1;
    if (fault == FAULT_NONCE_LONG)
        append(both[1], "x", 1);
    if (fault == FAULT_NONCE_OURS_ONLY)
        both[1][2 + strlen(client->nonce)] = '\0';
    if (fault == FAULT_NO_CHANNEL)
        snprintf(text, 4000, "%s", both[1]);
    else
        snprintf(text, 4000, "%s,%s", both[fault == FAULT_ORDER], both[fault != FAULT_ORDER]);
    if (fault == FAULT_EXTENSION)
        append(text, ",x=some,Y=\xc3\xa9", 12);
    if (fault == FAULT_EXTENSION_BAD)
        append(text, ",x=", 3);
}

static void say_proof(struct scram_client *client, const uint8_t *proof)
{
    char bytes[64] = "", *text = client->final;
    enum scram_fault fault = client->fault;
    size_t size = crypto_digest_size(client->hash);
    memcpy(bytes, proof, size);
    if (fault == FAULT_PROOF_BIT)
        bytes[size / 2] ^= 0x10;
    size += fault == FAULT_PROOF_LONG;
    size -= fault == FAULT_PROOF_SHORT;
    if (fault == FAULT_NO_PROOF)
        return;
    append(text, ",p=", 3);
    if (fault != FAULT_PROOF_EMPTY)
        append_base64(text, bytes, size);
    if (fault == FAULT_PROOF_NOT_BASE64)
        text[strlen(text) - 5] = '%';
    if (fault == FAULT_PROOF_TWICE) {
        append(text, ",p=", 3);
        append_base64(text, bytes, size);
    }
}

static void make_final(struct scram_client *client, struct slice challenge)
{
    char nonce[600], salt64[200], salt[150], said[8000];
    unsigned iterations;
    size_t salt_size;
    uint8_t proof[32], verifier[32];
    snprintf(client->server_first, sizeof client->server_first, "%.*s", (int)challenge.size,
             challenge.data);
    struct slice rest = challenge;
    struct slice parts[3];
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = slice_first(rest, slice_find(rest, ','));
        rest = slice_from(rest, parts[i].size + 1);
        check(parts[i].size > 2 && parts[i].data[0] == "rsi"[i] && parts[i].data[1] == '=');
        parts[i] = slice_from(parts[i], 2);
    }
    check(rest.size == 0);
    snprintf(nonce, sizeof nonce, "%.*s", (int)parts[0].size, parts[0].data);
    snprintf(salt64, sizeof salt64, "%.*s", (int)parts[1].size, parts[1].data);
    uint64_t number;
    check(slice_number(parts[2], 1000000, &number) && number >= 4096);
    iterations = (unsigned)number;
    check(strncmp(nonce, client->nonce, strlen(client->nonce)) == 0);
    check(strlen(nonce) >= strlen(client->nonce) + 24);
    check(base64_decode(slice_cstr(salt64), salt, &salt_size));
    say_channel(client, nonce, client->final);
    snprintf(said, sizeof said, "%s,%s,%s", client->first + strlen(client->head),
             client->server_first, client->final);
    scram_client_prove(client->hash, client->password, slice_of(salt, salt_size), iterations, said,
                       proof, verifier);
    say_proof(client, proof);
    char want[100] = "v=";
    append_base64(want, verifier, crypto_digest_size(client->hash));
    snprintf(client->server_first, sizeof client->server_first, "%s", want);
}

static int say(const char *text, char *out, size_t *ret_size)
{
    *ret_size = strlen(text);
    memcpy(out, text, *ret_size);
    return 0;
}

int scram_client_respond(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                         size_t *ret_size)
{
    struct scram_client *client = talk->argument;
    enum scram_fault fault = client->fault;
    if (step == 0) {
        client->knows_server = false;
        snprintf(client->first, sizeof client->first, "%sn=%s,r=%s", client->head, client->user,
                 client->nonce);
        check(challenge.size == 0);
        return fault == FAULT_DROP_FIRST ? -ECANCELED : say(client->first, out, ret_size);
    }
    if (step == 1) {
        if (fault == FAULT_DROP_FINAL)
            return -ECANCELED;
        make_final(client, challenge);
        if (fault == FAULT_LARGE)
            memset(client->final + strlen(client->final), 'x', 7000);
        if (fault == FAULT_REPLAY)
            return say(client->kept, out, ret_size);
        if (fault == FAULT_NONE)
            snprintf(client->kept, sizeof client->kept, "%s", client->final);
        return say(client->final, out, ret_size);
    }
    check_equal(step, 2);
    client->knows_server = slice_equal(challenge, slice_cstr(client->server_first));
    if (fault == FAULT_DROP_END)
        return -ECANCELED;
    return say(fault == FAULT_END_NOT_EMPTY ? "x" : "", out, ret_size);
}
