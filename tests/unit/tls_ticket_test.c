/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tickets under a clock that is set, changed byte by byte, and used until they must end (T07); and
 * where randomness comes from (T08). On doubles of core and queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_memory.h"

enum { DAY_MS = 86400000, TICKET_BYTES_MAX = 2048 };

static const int64_t minute_ns = INT64_C(60000000000), hour_ns = 60 * INT64_C(60000000000);

/* A ticket, and the session that it is of. */
struct ticket {
    WOLFSSL_SESSION *session;
    uint8_t bytes[TICKET_BYTES_MAX];
    word32 size;
};

static void keep(struct memory_client *client, struct ticket *ticket)
{
    ticket->session = wolfSSL_get1_session(client->library);
    ticket->size = sizeof ticket->bytes;
    assert_non_null(ticket->session);
    assert_int_equal(wolfSSL_get_SessionTicket(client->library, ticket->bytes, &ticket->size),
                     WOLFSSL_SUCCESS);
    assert_true(ticket->size > 64);
}

/* A full handshake, and its ticket. */
static void first(const struct memory_options *options, struct ticket *ticket)
{
    struct memory_client client;
    memory_begin(&client, options);
    assert_true(client.is_whole);
    assert_false(memory_is_resumed(&client));
    keep(&client, ticket);
    memory_end(&client);
}

/* With TLS 1.2 this client takes the answer to a ticket for a yes, whatever it is, and gives up. */
static bool is_fine(const struct memory_client *client, const struct memory_options *options)
{
    return client->is_whole || (options->is_12 && !memory_is_resumed(client));
}

/* Whether the connection was a resumption; it comes to be in any case. */
static bool again(struct memory_options options, const struct ticket *ticket)
{
    struct memory_client client;
    options.session = ticket->session;
    memory_begin(&client, &options);
    bool is_resumed = memory_is_resumed(&client);
    assert_true(is_fine(&client, &options));
    memory_end(&client);
    return is_resumed;
}

/* T07: by the age, and by the keys: each lives for half of the time. */
static void ages(void **state)
{
    (void)state;
    static const struct {
        int64_t minutes;
        bool is_good;
    } rows[] = {{0, true},        {1, true},           {11 * 60, true},       {12 * 60, true},
                {13 * 60, true},  {24 * 60 - 1, true}, {24 * 60 + 1, false},  {25 * 60, false},
                {36 * 60, false}, {48 * 60, false},    {30 * 24 * 60, false}, {-5, false}};
    for (int old = 0; old < 2; old++) {
        struct memory_options options = {.is_12 = old};
        for (int start = 0; start < 3; start++) { /* wherever in an epoch it was made */
            int64_t made_ns = double_wall_ns + start * 5 * hour_ns;
            int64_t before_ns = double_wall_ns;
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct ticket ticket;
                double_wall_ns = made_ns;
                first(&options, &ticket);
                double_wall_ns = made_ns + rows[i].minutes * minute_ns;
                if (again(options, &ticket) != rows[i].is_good)
                    fail_msg("%d minutes, TLS 1.%d", (int)rows[i].minutes, 3 - old);
                wolfSSL_SESSION_free(ticket.session);
            }
            double_wall_ns = before_ns;
        }
    }
}

/* T07: a bit of each byte. */
static void flipped(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct ticket ticket;
        struct memory_options options = {.is_12 = old};
        first(&options, &ticket);
        options.ticket = ticket.bytes;
        options.ticket_size = ticket.size;
        for (size_t at = 0; at < ticket.size; at++) {
            struct memory_client client;
            uint8_t bit = (uint8_t)(1 << at % 8);
            ticket.bytes[at] ^= bit;
            options.session = ticket.session;
            memory_begin(&client, &options);
            if (memory_is_resumed(&client))
                fail_msg("a ticket with byte %zu of %u changed is taken", at, ticket.size);
            assert_true(is_fine(&client, &options));
            memory_end(&client);
            ticket.bytes[at] ^= bit;
        }
        options.ticket_size = ticket.size;
        assert_true(again(options, &ticket));
        for (size_t size = 1; size < ticket.size; size += 7) {
            options.ticket_size = size;
            assert_false(again(options, &ticket));
        }
        wolfSSL_SESSION_free(ticket.session);
    }
}

/* T07: what core 0 gave, core 1 takes, and the other way round. */
static void cores(void **state)
{
    (void)state;
    for (unsigned from = 0; from < DOUBLE_CORES; from++)
        for (int old = 0; old < 2; old++) {
            struct ticket ticket, other;
            struct memory_options options = {.is_12 = old, .core = from};
            first(&options, &ticket);
            first(&options, &other); /* no nonce is used twice */
            assert_memory_not_equal(ticket.bytes + WOLFSSL_TICKET_NAME_SZ,
                                    other.bytes + WOLFSSL_TICKET_NAME_SZ, 12);
            options.core = 1 - from;
            assert_true(again(options, &ticket));
            assert_true(again(options, &other));
            wolfSSL_SESSION_free(ticket.session);
            wolfSSL_SESSION_free(other.session);
        }
}

/* T07: another service's. */
static void services(void **state)
{
    (void)state;
    static const struct tls_service other = {NULL, 2};
    for (int old = 0; old < 2; old++) {
        struct ticket ticket;
        struct memory_options options = {.is_12 = old};
        first(&options, &ticket);
        options.service = &other;
        assert_false(again(options, &ticket));
        options.service = NULL;
        assert_true(again(options, &ticket));
        wolfSSL_SESSION_free(ticket.session);
    }
}

/* T07: a chain of resumptions ends, and begins anew with a full handshake. */
static void links(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct ticket ticket;
        struct memory_options options = {.is_12 = old};
        first(&options, &ticket);
        unsigned count = 0;
        bool is_resumed = true;
        while (is_resumed && count <= TLS_TICKET_LINKS_MAX) {
            struct memory_client client;
            options.session = ticket.session;
            memory_begin(&client, &options);
            assert_true(is_fine(&client, &options));
            is_resumed = memory_is_resumed(&client);
            count += is_resumed;
            wolfSSL_SESSION_free(ticket.session);
            if (client.is_whole)
                keep(&client, &ticket);
            memory_end(&client);
            if (!client.is_whole) {
                options.session = NULL;
                first(&options, &ticket);
            }
        }
        assert_int_equal(count, TLS_TICKET_LINKS_MAX);
        assert_true(again(options, &ticket));
        wolfSSL_SESSION_free(ticket.session);
    }
}

/* T08: all of a handshake's randomness is the kernel's, and no two connections share any. */
static void randomness(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct memory_options options = {.is_12 = old};
        uint8_t randoms[4][32];
        for (int i = 0; i < 4; i++) {
            struct memory_client client;
            options.core = (unsigned)i % 2;
            uint64_t before = double_drawn;
            memory_begin(&client, &options);
            assert_true(client.is_whole);
            assert_true(double_drawn - before >= 32 + 32); /* a random, a key */
            memcpy(randoms[i], client.random, sizeof randoms[i]);
            memory_end(&client);
            for (int j = 0; j < i; j++)
                assert_memory_not_equal(randoms[i], randoms[j], 24);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages),     cmocka_unit_test(flipped), cmocka_unit_test(cores),
        cmocka_unit_test(services), cmocka_unit_test(links),   cmocka_unit_test(randomness),
    };
    wolfSSL_Init();
    double_begin(&(struct tls_options){.ticket_ms_max = DAY_MS});
    int result = cmocka_run_group_tests_name("tls_ticket", tests, NULL, NULL);
    double_end();
    return result;
}
