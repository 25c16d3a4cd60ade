/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A chain of three for tests of TLS: an authority, one between, and what that signed, for
 * one.example.org: a fine certificate, one that ended with 2020, one that begins with 2098. The
 * others are valid from 2020 to 2098; the keys of the authorities are not kept.
 */
#ifndef RINGPOST_TESTS_TLS_CHAIN_H
#define RINGPOST_TESTS_TLS_CHAIN_H

static const char pem_chain_root[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBXzCCAQSgAwIBAgICRyAwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKQ2hhaW4g\n"
    "cm9vdDAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowFTETMBEGA1UE\n"
    "AwwKQ2hhaW4gcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNptKJ/17ua+\n"
    "G2MHyjhvgSIk7niTwtTwZyPgyW5Tyv8KQXADh66MtaB/uictClr0FzBk4xdwJYXu\n"
    "oWBUVcac0yOjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMB0G\n"
    "A1UdDgQWBBRlSPWNRNz5QmAR4YZUIQqyCKF36TAKBggqhkjOPQQDAgNJADBGAiEA\n"
    "qmAvrONnb/61Pk6Zapp8hmNhhwiRhFrGh3BDC7ABlyICIQDoB0EaEuNIA62OO2ZV\n"
    "91tGw+2nM/xHW4s3rqoGNMdu6g==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_chain_middle[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBgTCCASegAwIBAgICRyEwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKQ2hhaW4g\n"
    "cm9vdDAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowFzEVMBMGA1UE\n"
    "AwwMQ2hhaW4gbWlkZGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUEjq0sVB\n"
    "0jbKDn1+jH9nTCMSd8gmgU7uoxkMFEfNSHfdeQPA2nrYUtRltLUoyOCn3zajK3kW\n"
    "JC2erooO2A5O26NjMGEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQw\n"
    "HQYDVR0OBBYEFHQzSer3GP9aaVMupfGaLPac8rx2MB8GA1UdIwQYMBaAFGVI9Y1E\n"
    "3PlCYBHhhlQhCrIIoXfpMAoGCCqGSM49BAMCA0gAMEUCIDqYQPdYxMRWxpxHEdcs\n"
    "SMfR7GG2lB+/rKp5Ylids2tuAiEApI7M5BrD8O594k3cece8PQdE8yV6nw5omIbF\n"
    "gJtHu5w=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_chain_leaf[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBjDCCATKgAwIBAgICRyIwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMQ2hhaW4g\n"
    "bWlkZGxlMCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjAaMRgwFgYD\n"
    "VQQDDA9vbmUuZXhhbXBsZS5vcmcwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARX\n"
    "bDkPhseDNKk5+swt/JCTjEY6YbaMn5fHlmVkac51LnVLt/qra6bwv2I2tb0lsY84\n"
    "g+Un2iXhPwJe07Y5opN8o2kwZzAJBgNVHRMEAjAAMBoGA1UdEQQTMBGCD29uZS5l\n"
    "eGFtcGxlLm9yZzAdBgNVHQ4EFgQUKJnknuoxmjNelE7sDH7Rsqcdi7QwHwYDVR0j\n"
    "BBgwFoAUdDNJ6vcY/1ppUy6l8Zos9pzyvHYwCgYIKoZIzj0EAwIDSAAwRQIhAMF+\n"
    "PmZD8t1XYumEucN3IB7emG88W0O9QvLtqcLPNJxXAiAsmzQ0PHEO1iZ1Mj+uw6x/\n"
    "Pt4CdVNK+tg/riZDV0ZVcw==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_chain_expired[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBijCCATCgAwIBAgICRyMwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMQ2hhaW4g\n"
    "bWlkZGxlMB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAwMDAwMFowGjEYMBYGA1UE\n"
    "AwwPb25lLmV4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEV2w5\n"
    "D4bHgzSpOfrMLfyQk4xGOmG2jJ+Xx5ZlZGnOdS51S7f6q2um8L9iNrW9JbGPOIPl\n"
    "J9ol4T8CXtO2OaKTfKNpMGcwCQYDVR0TBAIwADAaBgNVHREEEzARgg9vbmUuZXhh\n"
    "bXBsZS5vcmcwHQYDVR0OBBYEFCiZ5J7qMZozXpRO7Ax+0bKnHYu0MB8GA1UdIwQY\n"
    "MBaAFHQzSer3GP9aaVMupfGaLPac8rx2MAoGCCqGSM49BAMCA0gAMEUCIGUygYC1\n"
    "4+3c7gKqA7ECzsK6U5hLedW050jH7g8GEbjzAiEAlQs3Z2KmUvW3kipXtvIDkYbI\n"
    "A7UCHP4VjRFWBe1ZP5A=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_chain_early[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBjzCCATSgAwIBAgICRyQwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMQ2hhaW4g\n"
    "bWlkZGxlMCIYDzIwOTgwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBoxGDAW\n"
    "BgNVBAMMD29uZS5leGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n"
    "BFdsOQ+Gx4M0qTn6zC38kJOMRjphtoyfl8eWZWRpznUudUu3+qtrpvC/Yja1vSWx\n"
    "jziD5SfaJeE/Al7Ttjmik3yjaTBnMAkGA1UdEwQCMAAwGgYDVR0RBBMwEYIPb25l\n"
    "LmV4YW1wbGUub3JnMB0GA1UdDgQWBBQomeSe6jGaM16UTuwMftGypx2LtDAfBgNV\n"
    "HSMEGDAWgBR0M0nq9xj/WmlTLqXxmiz2nPK8djAKBggqhkjOPQQDAgNJADBGAiEA\n"
    "4evaasEIh+7a7WyIjxtPdTErQf4aKH8XC9ZU52kbpo0CIQC9stIq5rygEQdEKvkH\n"
    "VsidbvyrFR4JJZ2r89oxYdLwGA==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_chain_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwUU5+bTpIfkzHENB\n"
    "mF9HjC9S1WDEj4NDUlu116e2qNihRANCAARXbDkPhseDNKk5+swt/JCTjEY6YbaM\n"
    "n5fHlmVkac51LnVLt/qra6bwv2I2tb0lsY84g+Un2iXhPwJe07Y5opN8\n"
    "-----END PRIVATE KEY-----\n";

#endif
