/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An authority of clients, its key not kept, and what it signed: a fine certificate, and those that
 * nobody should get in with. Valid from 2020 to 2098. Made by hand: names with a NUL, or none; a
 * signature by SHA-1, of a leaf and of an authority between; P-521. pem_strange_key is the key of
 * all others.
 */
#ifndef RINGPOST_TESTS_TLS_STRANGE_H
#define RINGPOST_TESTS_TLS_STRANGE_H

static const char pem_strange_ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBTDCB86ADAgECAgJHEjAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFTdHJhbmdl\n"
    "IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowHDEa\n"
    "MBgGA1UEAwwRU3RyYW5nZSBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
    "BwNCAAROop7jcvW6vmglsJzxO2OAKeHrrEBquv3AmK3caAJXdJCuaN6iQ+aZrjL6\n"
    "4TgAXzdumhWyZwClXwRPMyzrWRptoyMwITAPBgNVHRMBAf8EBTADAQH/MA4GA1Ud\n"
    "DwEB/wQEAwICBDAKBggqhkjOPQQDAgNIADBFAiEAiJ0/ErMXmHcYdILkXiVU+ykN\n"
    "sGT4vAmSYfC2GrkhLZcCIAPog/6xetHcR80FYT9AaPzWdkBZv8X98ZqsGqL0F6Ms\n"
    "-----END CERTIFICATE-----\n";

static const char pem_strange_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq1rPMop/DzlIfoFc\n"
    "20v1ppLenYaEeODxwRP+a3gXaXqhRANCAAQtnqPwvgnA4IIbHNjwMljnqbdQr2bQ\n"
    "hE/9LUk958ToScKRBJt29WAjzXb3fBGRv9WjBhr6bPTKY1Npj0R0UYdH\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_fine[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBUTCB+KADAgECAgJHEzAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFTdHJhbmdl\n"
    "IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowFzEV\n"
    "MBMGA1UEAwwMQW5uYSBFeGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
    "LZ6j8L4JwOCCGxzY8DJY56m3UK9m0IRP/S1JPefE6EnCkQSbdvVgI81293wRkb/V\n"
    "owYa+mz0ymNTaY9EdFGHR6MtMCswDAYDVR0TAQH/BAIwADAbBgNVHREEFDASgRBh\n"
    "bm5hQGV4YW1wbGUub3JnMAoGCCqGSM49BAMCA0gAMEUCICksTqPx9LJvFKipUNIe\n"
    "i2pJNjSrqecfoCyqcDXUT7gpAiEA+Jso3XL2ph8HkK8UaVb/Js05lxdn6KlIQluc\n"
    "iSlCaVw=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_nul_name[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBXjCCAQWgAwIBAgICRxQwCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRU3RyYW5n\n"
    "ZSBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBcx\n"
    "FTATBgNVBAMMDEFubmEARXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n"
    "BC2eo/C+CcDgghsc2PAyWOept1CvZtCET/0tST3nxOhJwpEEm3b1YCPNdvd8EZG/\n"
    "1aMGGvps9MpjU2mPRHRRh0ejOjA4MAwGA1UdEwEB/wQCMAAwKAYDVR0RBCEwH4Ed\n"
    "YW5uYUBleGFtcGxlLm9yZwAuZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDRwAwRAIg\n"
    "CsLnmqx2XlzYH89+m86gRIbCyzJZg/YOFZcxYme3ENACIHrxqX/rRDU3ZbteO7B4\n"
    "FdDesriPmeaVXEwEQYd0C+LN\n"
    "-----END CERTIFICATE-----\n";

static const char pem_no_name[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBKDCBz6ADAgECAgJHFTAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFTdHJhbmdl\n"
    "IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowCzEJ\n"
    "MAcGA1UEAwwAMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELZ6j8L4JwOCCGxzY\n"
    "8DJY56m3UK9m0IRP/S1JPefE6EnCkQSbdvVgI81293wRkb/VowYa+mz0ymNTaY9E\n"
    "dFGHR6MQMA4wDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNIADBFAiBxWAQFBppq\n"
    "qAdGA0ZRhRH2EMZr2mLnWVc6o9lCUbHD+AIhAJbOc7+PUwDNWs1eMyNLRkRQxsRu\n"
    "pXidmigAURnRXgYW\n"
    "-----END CERTIFICATE-----\n";

static const char pem_sha1[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBTzCB96ADAgECAgJHFjAJBgcqhkjOPQQBMBwxGjAYBgNVBAMMEVN0cmFuZ2Ug\n"
    "YXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjAXMRUw\n"
    "EwYDVQQDDAxBbm5hIEV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQt\n"
    "nqPwvgnA4IIbHNjwMljnqbdQr2bQhE/9LUk958ToScKRBJt29WAjzXb3fBGRv9Wj\n"
    "Bhr6bPTKY1Npj0R0UYdHoy0wKzAMBgNVHRMBAf8EAjAAMBsGA1UdEQQUMBKBEGFu\n"
    "bmFAZXhhbXBsZS5vcmcwCQYHKoZIzj0EAQNIADBFAiEAkdUTTZ1PyMG8lLD0H/dW\n"
    "sDFM6SDuqr1DcaYln2V5S90CIA6nqV8yseiKtbtgTC/mAlQ+uOHrDcUgcAnnOmVN\n"
    "j1on\n"
    "-----END CERTIFICATE-----\n";

static const char pem_p521[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBljCCATugAwIBAgICRxcwCgYIKoZIzj0EAwQwHDEaMBgGA1UEAwwRU3RyYW5n\n"
    "ZSBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBcx\n"
    "FTATBgNVBAMMDEFubmEgRXhhbXBsZTCBmzAQBgcqhkjOPQIBBgUrgQQAIwOBhgAE\n"
    "AJ3dN3VENdcHG9QB6EaaoWnoaCYtux666WxcKcRdQN81BzeTOhI2Qd/su/fGfjbA\n"
    "6Q+UUaNPR5QnR0RPW0QB78qvAYjatoELis2hl17IPq6VtnG9vB1fPHQg4NfUokpC\n"
    "/8QolGqV8R1njtbfOy8MllEirR8gnZYRj7BV8jHPWKVBevH0oy0wKzAMBgNVHRMB\n"
    "Af8EAjAAMBsGA1UdEQQUMBKBEGFubmFAZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwQD\n"
    "SQAwRgIhAKwkmk8QYL57yFISMoCXkkxYDWNPatf3oVpQcp0YGQ+fAiEAgDnJDH+s\n"
    "tleN9ZRtnzT/LCp2bHa+9awVpMIlLyXPzpM=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_p521_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBjbS7TwGn6+WKMFHI\n"
    "DDsRP2DqAx/1R/IRAsE3HK0donoJZmNgKU6rEQWjRUIKqUHOavbyqFOBaTnC1Tma\n"
    "eBupI5uhgYkDgYYABACd3Td1RDXXBxvUAehGmqFp6GgmLbseuulsXCnEXUDfNQc3\n"
    "kzoSNkHf7Lv3xn42wOkPlFGjT0eUJ0dET1tEAe/KrwGI2raBC4rNoZdeyD6ulbZx\n"
    "vbwdXzx0IODX1KJKQv/EKJRqlfEdZ47W3zsvDJZRIq0fIJ2WEY+wVfIxz1ilQXrx\n"
    "9A==\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_weak_middle[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBPzCB56ADAgECAgJHGTAJBgcqhkjOPQQBMBwxGjAYBgNVBAMMEVN0cmFuZ2Ug\n"
    "YXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjARMQ8w\n"
    "DQYDVQQDDAZNaWRkbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQRqdVkh49V\n"
    "BJ6c5YDRkoLI/EGTqPbb5fIwuAamtUgLowrr/QavLndrww181NxilC8y57yBtQWT\n"
    "6+/AoLFCrbB/oyMwITAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAJ\n"
    "BgcqhkjOPQQBA0gAMEUCICIuLQpYoDuIkb96ilC/WmiIRnnvaOAbg+BxnIsohllO\n"
    "AiEA3bcoB9T5Rl3XdP7XZAm5B+i3joM6Xve7rOf4irtyswo=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_below_weak[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBRjCB7aADAgECAgJHGjAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZNaWRkbGUw\n"
    "IBcNMjAwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBcxFTATBgNVBAMMDEFu\n"
    "bmEgRXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABC2eo/C+CcDgghsc\n"
    "2PAyWOept1CvZtCET/0tST3nxOhJwpEEm3b1YCPNdvd8EZG/1aMGGvps9MpjU2mP\n"
    "RHRRh0ejLTArMAwGA1UdEwEB/wQCMAAwGwYDVR0RBBQwEoEQYW5uYUBleGFtcGxl\n"
    "Lm9yZzAKBggqhkjOPQQDAgNIADBFAiBGDfbe9MpWST+6xtY5vn3lhosha1zM9Nvj\n"
    "596ajMdgKAIhAPAUBEJkzBqeuqHeucvrlQuQvJqIBD9IPI24U5rtnars\n"
    "-----END CERTIFICATE-----\n";

#endif
