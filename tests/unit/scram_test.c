/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SCRAM against a client of our own with every fault (scram_client.h); with real helper threads and
 * in the simulator's worlds. gsasl_test.c asks somebody else's client. A07, A13, A06, A15.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/base64.h"
#include "scram_client.h"

static const uint8_t binding[32] = {'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b',
                                    'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b',
                                    'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b', 'b'};

static const struct variant {
    const char *mechanism, *head;
    enum crypto_hash hash;
    const uint8_t *binding;
} variants[] = {
    {"SCRAM-SHA-1", "n,,", CRYPTO_SHA1, NULL},
    {"SCRAM-SHA-256", "n,,", CRYPTO_SHA256, NULL},
    {"SCRAM-SHA-1-PLUS", "p=tls-exporter,,", CRYPTO_SHA1, binding},
    {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", CRYPTO_SHA256, binding},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static struct scram_client client_of(const struct variant *variant, const char *user,
                                     const char *password)
{
    return (struct scram_client){.hash = variant->hash,
                                 .head = variant->head,
                                 .binding = variant->binding,
                                 .user = user,
                                 .password = password,
                                 .nonce = "fyko+d2lbbFgONRv9qkxdawL"};
}

static int log_in(struct core *core, const char *mechanism, struct scram_client *client,
                  const struct auth_client *from, struct auth_result *ret_result)
{
    struct sasl_talk *talk = calloc(1, sizeof *talk);
    check(talk != NULL);
    talk->respond = scram_client_respond;
    talk->argument = client;
    int result = sasl_try(core, from, mechanism, (struct slice){0}, talk, ret_result);
    free(talk);
    return result;
}

/* The examples of the RFCs, against the client of these tests and against our records. */
static void examples(void **state)
{
    (void)state;
    static const struct {
        enum crypto_hash hash;
        const char *salt, *said, *proof, *verifier, *record;
    } rows[] = {
        {CRYPTO_SHA1, "QSXCR+Q6sek8bf92",
         "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
         "s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
         "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
         "4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="},
        {CRYPTO_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
         "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
         "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
         "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
         "4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
         "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
    };
    for (unsigned i = 0; i < 2; i++) {
        uint8_t proof[32], verifier[32];
        char salt[60], text[SCRAM_RECORD_BYTES_MAX];
        size_t salt_size, size = crypto_digest_size(rows[i].hash);
        struct scram_record record = {.iterations = 4096};
        check(base64_decode(slice_cstr(rows[i].salt), salt, &salt_size));
        scram_client_prove(rows[i].hash, "pencil", slice_of(salt, salt_size), 4096, rows[i].said,
                           proof, verifier);
        size_t end = base64_encode(slice_of(proof, size), text);
        check(slice_equal(slice_of(text, end), slice_cstr(rows[i].proof)));
        end = base64_encode(slice_of(verifier, size), text);
        check(slice_equal(slice_of(text, end), slice_cstr(rows[i].verifier)));
        memcpy(record.salt, salt, salt_size);
        record.salt_size = salt_size;
        check_equal(scram_record_derive(rows[i].hash, SLICE("pencil"), &record), 0);
        end = scram_record_print(rows[i].hash, &record, text);
        check(slice_equal(slice_of(text, end), slice_cstr(rows[i].record)));
    }
}

/* ---------------------------------------------------------------- good and wrong */

static void log_ins_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static const struct {
        const char *user, *password, *acts_as;
        int result;
        const char *is;
    } rows[] = {
        {"anna", "pencil", "", 0, "anna@x.test"},
        {"ANNA@x.test", "pencil", "", 0, "anna@x.test"},
        {"anna@x.test", "pencil", "a=anna", 0, "anna@x.test"},
        {"anna", "pencils", "", -EACCES, NULL},
        {"anna", "", "", -EACCES, NULL},
        {"bert", "pencil", "", -EACCES, NULL}, /* has no record */
        {"nobody", "pencil", "", -EACCES, NULL},
        {"gone", "pencil", "", -EACCES, NULL},
        {"far", "pencil", "", -EACCES, NULL},
        {"anna", "pencil", "a=bert", -EACCES, NULL},
        {"an=2Cna", "pencil", "", -EACCES, NULL},
        {"an=3Dna", "pencil", "", -EACCES, NULL},
        {"*)(uid=2A", "pencil", "", -EBADMSG, NULL},
        {"an=na", "pencil", "", -EBADMSG, NULL},
        {"an\nna", "pencil", "", -EBADMSG, NULL},
        {"an\xffna", "pencil", "", -EBADMSG, NULL},
        {"", "pencil", "", -EBADMSG, NULL},
        {"anna", "pencil", "a=", -EBADMSG, NULL},
        {"anna", "pencil", "b=anna", -EBADMSG, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned j = 0; j < VARIANTS; j++) {
            struct scram_client client = client_of(&variants[j], rows[i].user, rows[i].password);
            struct auth_client from = sasl_client();
            struct auth_result result;
            char head[100];
            snprintf(head, sizeof head, "%.*s%s,", (int)strlen(variants[j].head) - 1,
                     variants[j].head, rows[i].acts_as);
            client.head = head;
            int is = log_in(core, variants[j].mechanism, &client, &from, &result);
            if (is != rows[i].result)
                fprintf(stderr, "row %zu\n", i);
            check_equal(is, rows[i].result);
            check(client.knows_server == (is == 0)); /* and only then */
            check(is != 0 || slice_equal(result.user, slice_cstr(rows[i].is)));
        }
}

static void log_ins(void **state)
{
    (void)state;
    sasl_run_with(log_ins_body);
}

/* A13: what is shown before the proof: the same for a user and for nobody, and each time. */
static void nobody_body(struct core *core, struct sasl_run *run)
{
    static const char *const users[] = {"nobody", "NOBODY@x.test", "nobody",
                                        "other",  "bert",          "bert"};
    char shown[6][200];
    for (unsigned k = 0; k < sizeof run->options.dummy_key; k++)
        run->options.dummy_key[k] = (uint8_t)(k + 1);
    for (unsigned i = 0; i < 6; i++) {
        struct scram_client client = client_of(&variants[1], users[i], "pencil");
        struct auth_client from = sasl_client();
        struct auth_result result;
        struct sasl_talk *talk = calloc(1, sizeof *talk);
        talk->respond = scram_client_respond;
        talk->argument = &client;
        client.fault = FAULT_DROP_FINAL;
        check_equal(sasl_try(core, &from, "SCRAM-SHA-256", (struct slice){0}, talk, &result),
                    -ECANCELED);
        const char *salt = strstr(talk->challenge, ",s=");
        check(salt != NULL);
        snprintf(shown[i], sizeof shown[i], "%s", salt);
        check_equal(strlen(shown[i]), strlen(",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        check(strcmp(shown[i] + strlen(shown[i]) - 7, ",i=4096") == 0);
        free(talk);
    }
    check(strcmp(shown[0], shown[1]) == 0 && strcmp(shown[0], shown[2]) == 0);
    check(strcmp(shown[0], shown[3]) != 0 && strcmp(shown[4], shown[5]) == 0);
}

static void nobody(void **state)
{
    (void)state;
    sasl_run_with(nobody_body);
}

/* ---------------------------------------------------------------- faults */

static int want_of(enum scram_fault fault)
{
    switch (fault) {
    case FAULT_NONE:
    case FAULT_EXTENSION:
        return 0;
    case FAULT_DROP_FIRST:
    case FAULT_DROP_FINAL:
    case FAULT_DROP_END:
        return -ECANCELED;
    case FAULT_END_NOT_EMPTY:
    case FAULT_PROOF_EMPTY:
    case FAULT_PROOF_TWICE:
    case FAULT_NO_CHANNEL:
    case FAULT_NO_PROOF:
    case FAULT_ORDER:
    case FAULT_EXTENSION_BAD:
    case FAULT_LARGE:
        return -EBADMSG;
    default:
        return -EACCES;
    }
}

static void faults_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    for (unsigned j = 0; j < VARIANTS; j++) {
        struct scram_client *client = malloc(sizeof *client);
        check(client != NULL);
        *client = client_of(&variants[j], "anna", "pencil");
        for (unsigned fault = 0; fault < FAULT_COUNT; fault++) {
            struct auth_client from = sasl_client();
            struct auth_result result;
            memset(client->final, 0, sizeof client->final);
            client->fault = fault;
            int is = log_in(core, variants[j].mechanism, client, &from, &result);
            if (is != want_of(fault))
                fprintf(stderr, "fault %u of %s\n", fault, variants[j].mechanism);
            check_equal(is, want_of(fault));
            check((is == -EACCES) <= !client->knows_server);
            check(is != -EACCES || result.delay_ms > 0); /* it was counted */
        }
        free(client);
    }
}

static void faults(void **state)
{
    (void)state;
    sasl_run_with(faults_body);
}

/* A07: what a client says of binding, and what it could have known. */
static void downgrades_body(struct core *core, struct sasl_run *run)
{
    static const struct {
        const char *mechanism, *head;
        bool binds, channel_can, is_offered; /* offered: the mechanisms with binding */
        int result;
    } rows[] = {
        {"SCRAM-SHA-256", "n,,", false, true, true, 0},       /* it cannot */
        {"SCRAM-SHA-256", "y,,", false, true, true, -EACCES}, /* our list was altered */
        {"SCRAM-SHA-256", "y,,", false, false, true, 0},      /* we cannot, as it thinks */
        {"SCRAM-SHA-256", "y,,", false, true, false, 0},
        {"SCRAM-SHA-1", "y,,", false, true, true, -EACCES},
        {"SCRAM-SHA-256", "p=tls-exporter,,", true, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "n,,", false, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "y,,", false, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,", true, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", true, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "p=TLS-EXPORTER,,", true, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", false, true, true, -EACCES},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, true, false, -ENOTSUP},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true, false, true, -ENOTSUP},
        {"SCRAM-SHA-256", "p=,,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "p,,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "n=x,,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "x,,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", ",,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "N,,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "n,", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "n", false, true, true, -EBADMSG},
        {"SCRAM-SHA-256", "n,,m=must,", false, true, true, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scram_client client = client_of(&variants[1], "anna", "pencil");
        if (strncmp(rows[i].mechanism, "SCRAM-SHA-1", 11) == 0)
            client.hash = CRYPTO_SHA1;
        struct auth_client from = sasl_client();
        struct auth_result result;
        client.head = rows[i].head;
        client.binding = rows[i].binds ? binding : NULL;
        from.has_binding = rows[i].channel_can;
        run->options.mechanisms =
            rows[i].is_offered ? UINT32_MAX : 1u << AUTH_SCRAM_SHA_256 | 1u << AUTH_SCRAM_SHA_1;
        int is = log_in(core, rows[i].mechanism, &client, &from, &result);
        if (is != rows[i].result)
            fprintf(stderr, "row %zu\n", i);
        check_equal(is, rows[i].result);
    }
    run->options.mechanisms = UINT32_MAX;
    struct scram_client client = client_of(&variants[3], "anna", "pencil");
    struct auth_client from = sasl_client();
    struct auth_result result;
    from.binding[31] ^= 1; /* another's channel: somebody between us */
    check_equal(log_in(core, "SCRAM-SHA-256-PLUS", &client, &from, &result), -EACCES);
}

static void downgrades(void **state)
{
    (void)state;
    sasl_run_with(downgrades_body);
}

/* First messages at their limits, and beyond. */
static void sizes_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static char text[4000];
    static const struct {
        unsigned name, nonce;
        int result;
    } rows[] = {{313, 256, -EACCES},
                {320, 10, -EINVAL},
                {321, 10, -EINVAL},
                {10, 257, -EBADMSG},
                {3000, 200, -EBADMSG}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static char name[3001], nonce[300];
        struct scram_client client = client_of(&variants[1], name, "x");
        struct auth_client from = sasl_client();
        struct auth_result result;
        memset(name, 'a', rows[i].name);
        name[rows[i].name] = '\0';
        memset(nonce, 'n', rows[i].nonce);
        nonce[rows[i].nonce] = '\0';
        client.nonce = nonce;
        if (rows[i].name < 900) {
            check_equal(log_in(core, "SCRAM-SHA-256", &client, &from, &result), rows[i].result);
            continue;
        }
        int size = snprintf(text, sizeof text, "n,,n=%s,r=%s", name, nonce);
        check_equal(
            sasl_say(core, &from, "SCRAM-SHA-256", slice_of(text, (size_t)size), NULL, 0, &result),
            rows[i].result);
    }
    struct auth_client from = sasl_client();
    struct auth_result result;
    static const char *const bad[] = {
        "n,,r=x,n=anna",        "n,,n=anna,r=",   "n,,n=anna",         "n,,n=anna,",
        "n,,n=anna,r=a b",      "n,,n=anna,r=x,", "n,,n=anna,r=x,1=a", "n,,n=anna,r=x,z",
        "n,,n=anna,r=x,z=\xff", "n,,n=,r=x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_equal(sasl_say(core, &from, "SCRAM-SHA-1", slice_cstr(bad[i]), NULL, 0, &result),
                    -EBADMSG);
    check_equal(
        sasl_say(core, &from, "SCRAM-SHA-1", SLICE("n,,n=anna,r=x,z=\xc3\xa9"), NULL, 0, &result),
        -ENODATA); /* an extension that may be passed over */
}

static void sizes(void **state)
{
    (void)state;
    sasl_run_with(sizes_body);
}

/* A06: begun and dropped, again and again; auth_close asserts that none is left, the sanitizer's
 * build and the simulator that no memory is. */
static void drops_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    struct scram_client *client = malloc(sizeof *client);
    check(client != NULL);
    *client = client_of(&variants[3], "anna", "pencil");
    for (unsigned i = 0; i < (harness_is_simulated() ? 30 : 3000); i++) {
        struct auth_client from = sasl_client();
        struct auth_result result;
        client->fault = FAULT_DROP_FIRST + i % 2;
        check_equal(log_in(core, "SCRAM-SHA-256-PLUS", client, &from, &result), -ECANCELED);
    }
    free(client);
}

static void drops(void **state)
{
    (void)state;
    sasl_run_with(drops_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(examples), cmocka_unit_test(log_ins),    cmocka_unit_test(nobody),
        cmocka_unit_test(faults),   cmocka_unit_test(downgrades), cmocka_unit_test(sizes),
        cmocka_unit_test(drops),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
