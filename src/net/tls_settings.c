/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificates and policy, checked before any core sees them: a pair that a handshake would trip
 * over is a sentence to the operator now, not a puzzle for clients later.
 */
#include "tls_private.h"

#include "ringpost/hash.h"

#include <stdlib.h>

enum { CHAIN_CERTIFICATES_MAX = 10, PEM_BYTES_MAX = 1 << 20 };

/* The one asking, while settings are made. */
struct making {
    struct tls_settings *settings;
    int64_t now_seconds;
    void (*problem)(void *argument, const char *name, const char *what);
    void *argument;
    int result;
};

static void fault(struct making *making, const char *name, const char *what)
{
    making->result = -EINVAL;
    if (making->problem != NULL)
        making->problem(making->argument, name, what);
}

/* ---------------------------------------------------------------- names */

static struct tls_name *place_of(const struct tls_settings *settings, struct slice text)
{
    size_t at = (size_t)hash_stable(text.data, text.size) & (settings->names_room - 1);
    for (;; at = (at + 1) & (settings->names_room - 1)) {
        struct tls_name *name = &settings->names[at];
        if (name->text == NULL || slice_equal(slice_of(name->text, name->size), text))
            return name;
    }
}

static bool names_grow(struct tls_settings *settings)
{
    struct tls_settings grown = {.names_room =
                                     settings->names_room ? settings->names_room * 2 : 64};
    grown.names = calloc(grown.names_room, sizeof *grown.names);
    if (grown.names == NULL)
        return false;
    for (size_t i = 0; i < settings->names_room; i++) {
        struct tls_name *name = &settings->names[i];
        if (name->text != NULL)
            *place_of(&grown, slice_of(name->text, name->size)) = *name;
    }
    free(settings->names);
    settings->names = grown.names;
    settings->names_room = grown.names_room;
    return true;
}

/* The first pair with a name has it. 1 when it is a host name, 0 when not, or -ENOMEM. */
static int name_add(struct tls_settings *settings, const char *data, int size, unsigned pair)
{
    struct slice text = slice_of(data, size > 0 ? (size_t)size : 0);
    char lower[TLS_NAME_BYTES_MAX];
    if (text.size == 0 || text.size > sizeof lower)
        return 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = lower[i] = ascii_lower(text.data[i]);
        bool is_host = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                       c == '.' || (c == '*' && i == 0);
        if (!is_host)
            return 0;
    }
    if (settings->names_used * 2 >= settings->names_room && !names_grow(settings))
        return -ENOMEM;
    struct tls_name *name = place_of(settings, slice_of(lower, text.size));
    if (name->text != NULL)
        return 1;
    if ((name->text = malloc(text.size)) == NULL)
        return -ENOMEM;
    memcpy(name->text, lower, text.size);
    name->size = (uint16_t)text.size;
    name->pair = pair;
    settings->names_used++;
    return 1;
}

unsigned tls_settings_find(const struct tls_settings *settings, struct slice name)
{
    char wild[TLS_NAME_BYTES_MAX + 1];
    if (name.size == 0 || name.size > TLS_NAME_BYTES_MAX || settings->names_room == 0)
        return 0;
    const struct tls_name *found = place_of(settings, name);
    if (found->text != NULL)
        return found->pair;
    struct slice parent = slice_from(name, slice_find(name, '.'));
    wild[0] = '*';
    if (parent.size == 0)
        return 0;
    memcpy(wild + 1, parent.data, parent.size);
    found = place_of(settings, slice_of(wild, parent.size + 1));
    return found->text != NULL ? found->pair : 0;
}

/* ---------------------------------------------------------------- one certificate */

/* Seconds since 1970 of an ASN.1 time with its tag and length; INT64_MIN: it is none. */
static int64_t time_of(const unsigned char *item, int size)
{
    const unsigned char *text;
    unsigned char format;
    int length;
    struct tm calendar = {0};
    if (wc_GetDateInfo(item, size, &text, &format, &length) != 0 ||
        wc_GetDateAsCalendarTime(text, length, format, &calendar) != 0 || calendar.tm_mon < 0 ||
        calendar.tm_mon > 11)
        return INT64_MIN;
    return timegm(&calendar);
}

static void check_dates(struct making *making, const char *name, const struct DecodedCert *seen,
                        bool is_leaf)
{
    int64_t begin = time_of(seen->beforeDate, seen->beforeDateLen);
    int64_t end = time_of(seen->afterDate, seen->afterDateLen);
    if (begin == INT64_MIN || end == INT64_MIN)
        fault(making, name, "a date of the certificate cannot be read: get a new certificate");
    else if (end < making->now_seconds)
        fault(making, name,
              is_leaf ? "the certificate has expired: get a new one, or correct the clock"
                      : "a certificate of the chain has expired: get the issuer's present chain");
    else if (is_leaf && begin > making->now_seconds)
        fault(making, name,
              "the certificate is not valid yet: wait, or correct the clock of this machine");
    else if (end < making->settings->end_seconds)
        making->settings->end_seconds = end;
}

static void check_names(struct making *making, const char *name, const struct DecodedCert *seen,
                        unsigned pair)
{
    int found = 0, result;
    for (const DNS_entry *entry = seen->altNames; entry != NULL; entry = entry->next) {
        if (entry->type != ASN_DNS_TYPE)
            continue;
        result = name_add(making->settings, entry->name, entry->len, pair);
        if (result < 0)
            making->result = result;
        found += result > 0;
    }
    if (seen->altNames == NULL && seen->subjectCN != NULL) {
        result = name_add(making->settings, seen->subjectCN, seen->subjectCNLen, pair);
        if (result < 0)
            making->result = result;
        found += result > 0;
    }
    if (found == 0 && making->result != -ENOMEM)
        fault(making, name,
              "the certificate is for no host name: get one whose alternative names hold the "
              "server's");
}

static void check_one(struct making *making, const char *name, const DerBuffer *der, unsigned pair,
                      bool is_leaf)
{
    struct DecodedCert *seen = malloc(sizeof *seen);
    if (seen == NULL) {
        making->result = -ENOMEM;
        return;
    }
    wc_InitDecodedCert(seen, der->buffer, der->length, NULL);
    int result = wc_ParseCert(seen, CERT_TYPE, NO_VERIFY, NULL);
    if (result == MEMORY_E) {
        making->result = -ENOMEM;
    } else if (result != 0) {
        fault(making, name, "a certificate in the file cannot be read: is it X.509 in PEM?");
    } else {
        bool is_own = memcmp(seen->subjectHash, seen->issuerHash, KEYID_SIZE) == 0;
        if (tls_is_weak(seen) && (is_leaf || !is_own))
            fault(making, name,
                  "signed with SHA-1 or MD5, which clients refuse: get a certificate signed with "
                  "SHA-256");
        check_dates(making, name, seen, is_leaf);
        if (is_leaf)
            check_names(making, name, seen, pair);
    }
    wc_FreeDecodedCert(seen);
    free(seen);
}

/* Each certificate of the PEM text, leaf first. */
static void check_chain(struct making *making, const struct tls_pair *pair, unsigned index)
{
    struct slice left = pair->certificate;
    unsigned count = 0;
    while (count < CHAIN_CERTIFICATES_MAX) {
        DerBuffer *der = NULL;
        EncryptedInfo info = {0};
        int result = wc_PemToDer((const unsigned char *)left.data, (long)left.size, CERT_TYPE, &der,
                                 NULL, &info, NULL);
        if (result == 0)
            check_one(making, pair->name, der, index, count == 0);
        else if (result == MEMORY_E)
            making->result = -ENOMEM;
        else if (result != ASN_NO_PEM_HEADER || count == 0)
            fault(making, pair->name,
                  "no certificate could be read: the file must hold PEM, from -----BEGIN "
                  "CERTIFICATE----- to its END line");
        wc_FreeDer(&der);
        if (result != 0 || making->result != 0)
            return;
        count++;
        left = slice_from(left, (size_t)info.consumed);
    }
    fault(making, pair->name, "too many certificates: leave out all but the server's own chain");
}

/* ---------------------------------------------------------------- pairs */

static const char *refused(int error)
{
    switch (error) {
    case RSA_KEY_SIZE_E:
        return "the RSA key has fewer than 2048 bits: make a new key, best ECDSA P-256";
    case NO_PASSWORD:
        return "the key is encrypted: write it without a passphrase, readable by root only "
               "(openssl pkey -in FILE -out FILE)";
    default:
        return "the key cannot be used: it must be an unencrypted PEM key of the kind that the "
               "certificate names (RSA, ECDSA or Ed25519)";
    }
}

static void check_key(struct making *making, const struct tls_pair *pair, unsigned index)
{
    int error;
    struct slice key = pair->key;
    if (memmem(key.data, key.size, "ENCRYPTED", 9) != NULL) {
        fault(making, pair->name, refused(NO_PASSWORD));
        return;
    }
    WOLFSSL_CTX *library = tls_library_make(making->settings, index, &error);
    if (library == NULL && error == MEMORY_E)
        making->result = -ENOMEM;
    else if (library == NULL)
        fault(making, pair->name, refused(error));
    else if (wolfSSL_CTX_check_private_key(library) != WOLFSSL_SUCCESS)
        fault(making, pair->name,
              "the key is not the certificate's: give the file that was made with it");
    wolfSSL_CTX_free(library);
}

static char *kept(struct slice text)
{
    char *copy = malloc(text.size + 1);
    if (copy != NULL) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
    return copy;
}

static void take_pair(struct making *making, const struct tls_pair *pair, unsigned index)
{
    struct tls_pair_kept *to = &making->settings->pairs[index];
    if (pair->certificate.size == 0 || pair->key.size == 0 ||
        pair->certificate.size > PEM_BYTES_MAX || pair->key.size > PEM_BYTES_MAX) {
        fault(making, pair->name, "the certificate or the key is empty, or above 1 MiB");
        return;
    }
    to->certificate = kept(pair->certificate);
    to->key = kept(pair->key);
    if (to->certificate == NULL || to->key == NULL) {
        making->result = -ENOMEM;
        return;
    }
    to->certificate_size = pair->certificate.size;
    to->key_size = pair->key.size;
    int before = making->result;
    making->result = 0;
    check_chain(making, pair, index);
    if (making->result == 0)
        check_key(making, pair, index);
    if (making->result == 0)
        making->result = before;
}

static void take_client_ca(struct making *making, const struct tls_options *options)
{
    struct tls_settings *settings = making->settings;
    if (options->client_ca.size == 0)
        return;
    settings->client_ca = kept(options->client_ca);
    if (settings->client_ca == NULL) {
        making->result = -ENOMEM;
        return;
    }
    WOLFSSL_CTX *library = wolfSSL_CTX_new(wolfSSLv23_server_method());
    int result =
        library == NULL
            ? MEMORY_E
            : wolfSSL_CTX_load_verify_buffer(library, (const unsigned char *)settings->client_ca,
                                             (long)options->client_ca.size, WOLFSSL_FILETYPE_PEM);
    if (result == MEMORY_E)
        making->result = -ENOMEM;
    else if (result != WOLFSSL_SUCCESS)
        fault(making, "client_ca",
              "the authorities of clients cannot be read: the file must hold CA certificates in "
              "PEM that are valid now");
    else
        settings->client_ca_size = options->client_ca.size;
    wolfSSL_CTX_free(library);
}

/* ---------------------------------------------------------------- the whole */

static void settings_free(struct tls_settings *settings)
{
    for (unsigned i = 0; settings->pairs != NULL && i < settings->pair_count; i++) {
        struct tls_pair_kept *pair = &settings->pairs[i];
        if (pair->key != NULL)
            explicit_bzero(pair->key, pair->key_size);
        free(pair->key);
        free(pair->certificate);
    }
    for (size_t i = 0; i < settings->names_room; i++)
        free(settings->names[i].text);
    free(settings->names);
    free(settings->pairs);
    free(settings->client_ca);
    explicit_bzero(settings->ticket_secret, sizeof settings->ticket_secret);
    free(settings);
}

int tls_settings_make(const struct tls_options *options, int64_t wall_ns,
                      void (*problem)(void *argument, const char *name, const char *what),
                      void *argument, struct tls_settings **ret_settings)
{
    assert(options->pair_count >= 1 && options->pair_count <= TLS_PAIRS_MAX);
    struct tls_settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return -ENOMEM;
    struct making making = {settings, wall_ns / 1000000000, problem, argument, 0};
    settings->uses = 1;
    settings->profile = options->profile;
    settings->client_required = options->client_required;
    settings->ticket_ms_max = options->ticket_ms_max;
    settings->end_seconds = INT64_MAX;
    settings->pair_count = options->pair_count;
    memcpy(settings->ticket_secret, options->ticket_secret, sizeof settings->ticket_secret);
    settings->pairs = calloc(options->pair_count, sizeof *settings->pairs);
    if (settings->pairs == NULL)
        making.result = -ENOMEM;
    if (making.result == 0)
        take_client_ca(&making, options);
    for (unsigned i = 0; i < options->pair_count && making.result != -ENOMEM; i++)
        take_pair(&making, &options->pairs[i], i);
    if (making.result == 0)
        *ret_settings = settings;
    else
        settings_free(settings);
    return making.result;
}

struct tls_settings *tls_settings_ref(struct tls_settings *settings)
{
    atomic_fetch_add(&settings->uses, 1);
    return settings;
}

void tls_settings_unref(struct tls_settings *settings)
{
    if (settings != NULL && atomic_fetch_sub(&settings->uses, 1) == 1)
        settings_free(settings);
}

int64_t tls_settings_end(const struct tls_settings *settings)
{
    return settings->end_seconds;
}
