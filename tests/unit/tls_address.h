/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A certificate of one.example.org, 127.0.0.1 and 2001:db8::25 for the key of tls_chain.h, and its
 * authority, whose key is not kept. Valid from 2020 to 2098.
 */
#ifndef RINGPOST_TESTS_TLS_ADDRESS_H
#define RINGPOST_TESTS_TLS_ADDRESS_H

static const char pem_address_root[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBYTCCAQegAwIBAgIBATAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxBZGRyZXNz\n"
    "IHJvb3QwIBcNMjAwMTAxMDAwMDAwWhgPMjA5ODAxMDEwMDAwMDBaMBcxFTATBgNV\n"
    "BAMMDEFkZHJlc3Mgcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKen8CHz\n"
    "bXxWh6aLVWS95foi+u4mv2iiMjcGchx2R6tjOVDOpMRc+b+nPdVaZnofL0aUMlrL\n"
    "jP8Mr9AqTzzPT3SjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIE\n"
    "MB0GA1UdDgQWBBTx+1s1P8gZb5T/LOTWTvxA2DvUpTAKBggqhkjOPQQDAgNIADBF\n"
    "AiEArfhnBKmtFoYMuMj/wNNqax54fmrqu4tXhaTH1KTMBl4CIGi6IEAxBNese6Wt\n"
    "KoXk900WgwBv98X6hEBUqcVBIKpI\n"
    "-----END CERTIFICATE-----\n";

static const char pem_address_leaf[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBhjCCAS2gAwIBAgIBTTAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxBZGRyZXNz\n"
    "IHJvb3QwIBcNMjAwMTAxMDAwMDAwWhgPMjA5ODAxMDEwMDAwMDBaMBoxGDAWBgNV\n"
    "BAMMD29uZS5leGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFds\n"
    "OQ+Gx4M0qTn6zC38kJOMRjphtoyfl8eWZWRpznUudUu3+qtrpvC/Yja1vSWxjziD\n"
    "5SfaJeE/Al7Ttjmik3yjZTBjMAwGA1UdEwEB/wQCMAAwMgYDVR0RBCswKYIPb25l\n"
    "LmV4YW1wbGUub3JnhwR/AAABhxAgAQ24AAAAAAAAAAAAAAAlMB8GA1UdIwQYMBaA\n"
    "FPH7WzU/yBlvlP8s5NZO/EDYO9SlMAoGCCqGSM49BAMCA0cAMEQCIELstcf/5mFF\n"
    "xx7mGIteLWivPRT7fXWg74ORcd52JAYiAiAPMBZmp6G7UeZsK02+5Msp5cPOJuxt\n"
    "Ir9dsn7XHNZICg==\n"
    "-----END CERTIFICATE-----\n";

#endif
