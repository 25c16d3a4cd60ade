/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of SCRAM for tests, by the text of RFC 5802 and with every fault that a client can have.
 */
#ifndef RINGPOST_TESTS_SCRAM_CLIENT_H
#define RINGPOST_TESTS_SCRAM_CLIENT_H

#include "../../src/auth/scram.h"
#include "sasl_host.h"

enum scram_fault {
    FAULT_NONE,
    FAULT_EXTENSION,  /* none: one may stand there */
    FAULT_DROP_FIRST, /* gives up at each step */
    FAULT_DROP_FINAL,
    FAULT_DROP_END,
    FAULT_END_NOT_EMPTY,
    FAULT_NONCE_SHORT, /* the server's part cut, altered, grown, alone */
    FAULT_NONCE_BIT,
    FAULT_NONCE_LONG,
    FAULT_NONCE_OURS_ONLY,
    FAULT_PROOF_SHORT, /* by a byte */
    FAULT_PROOF_LONG,
    FAULT_PROOF_EMPTY,
    FAULT_PROOF_BIT,
    FAULT_PROOF_NOT_BASE64,
    FAULT_PROOF_TWICE,
    FAULT_CHANNEL_HEAD, /* c= says another head, another channel, less, nothing */
    FAULT_CHANNEL_BIT,
    FAULT_CHANNEL_CUT,
    FAULT_CHANNEL_NOT_BASE64,
    FAULT_NO_CHANNEL,
    FAULT_NO_PROOF,
    FAULT_ORDER, /* r= before c= */
    FAULT_EXTENSION_BAD,
    FAULT_REPLAY, /* the final message of the exchange before */
    FAULT_LARGE,
    FAULT_COUNT
};

struct scram_client {
    enum crypto_hash hash;
    const char *head; /* "n,," */
    const char *user, *password, *nonce;
    const uint8_t *binding; /* 32 bytes, behind the head; NULL: none */
    enum scram_fault fault;
    char first[1024], final[8192], server_first[1024];
    char kept[8192];   /* the last good final message */
    bool knows_server; /* its signature was right */
};

/* For struct sasl_talk: argument is a struct scram_client. */
int scram_client_respond(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                         size_t *ret_size);
/* What proves the password, and what proves the server: of what was said. */
void scram_client_prove(enum crypto_hash hash, const char *password, struct slice salt,
                        unsigned iterations, const char *said, uint8_t *ret_proof,
                        uint8_t *ret_verifier);

#endif
