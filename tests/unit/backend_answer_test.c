/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What goes to a backend and what comes from it, as bytes: who the client is, and what each word of
 * an answer is worth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/backend/talk.h"

static struct backend_client some_client(void)
{
    return (struct backend_client){
        .family = 4,
        .address = {192, 0, 2, 7},
        .port = 0x1234,
        .our_family = 4,
        .our_address = {198, 51, 100, 1},
        .our_port = 993,
        .is_secure = true,
        .tls_version = "TLSv1.3",
        .tls_cipher = "AES",
        .session_id = SLICE("s1"),
        .ttl = 7,
    };
}

/* ---------------------------------------------------------------- who the client is */

/* Each TLV inside of the header, to its end. */
static void walk(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        assert_true(end - at >= 3);
        size_t size = (size_t)at[1] << 8 | at[2];
        assert_true((size_t)(end - at) - 3 >= size);
        if (at[0] == 0x20) {
            assert_int_equal(at[3], 1);
            walk(at + 8, at + 3 + size);
        }
        at += 3 + size;
    }
    assert_ptr_equal(at, end);
}

static void proxy_headers(void **state)
{
    (void)state;
    static const uint8_t start[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11";
    static const uint8_t addresses[] = {192,  0, 2,    7, 198, 51, 100, 1,  0x12,
                                        0x34, 3, 0xe1, 5, 0,   2,  's', '1'};
    uint8_t header[PROXY_HEADER_BYTES_MAX];
    struct backend_client client = some_client();
    size_t size = identity_proxy(&client, header);
    assert_memory_equal(header, start, 14);
    assert_int_equal(header[14] << 8 | header[15], size - 16);
    assert_memory_equal(header + 16, addresses, sizeof addresses);
    walk(header + 16 + 12, header + size);
    client.our_family = 6; /* one of each family: both as IPv6 */
    char text[200];
    memset(text, 'x', sizeof text);
    client.session_id = slice_of(text, sizeof text); /* cut */
    size = identity_proxy(&client, header);
    assert_int_equal(header[13], 0x21);
    assert_memory_equal(header + 16, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7", 16);
    walk(header + 16 + 36, header + size);
    assert_true(size <= PROXY_HEADER_BYTES_MAX);
    client.family = 0; /* not known: nobody's */
    assert_int_equal(identity_proxy(&client, header), 16);
    assert_int_equal(header[12], 0x20);
    assert_int_equal(identity_proxy(NULL, header), 16);
}

/* X03: what a client calls itself becomes no word of ours; lines are at most 512 bytes. */
static void xclient(void **state)
{
    (void)state;
    static struct speech speech;
    static struct offer offer;
    struct backend_client client = some_client();
    char hello[400];
    unsigned at = 0, lines = 0;
    memset(hello, ' ', sizeof hello);
    memcpy(hello, "a b\r\nXCLIENT NAME=x+=", 21);
    client.hello = slice_of(hello, sizeof hello);
    client.session_id = slice_of(hello, 60);
    offer_clear(&offer);
    offer_add(&offer, SLICE("XCLIENT"),
              SLICE("NAME ADDR PORT PROTO HELO SESSION TTL DESTADDR DESTPORT"), " ");
    for (size_t begin = 0; identity_xclient(&speech, &client, &offer, true, &at); lines++) {
        assert_true(speech.size - begin <= 512);
        assert_memory_equal(speech.bytes + begin, "XCLIENT ", 8);
        assert_ptr_equal(memchr(speech.bytes + begin, '\r', speech.size - begin),
                         speech.bytes + speech.size - 2);
        begin = speech.size;
    }
    speech.bytes[speech.size] = '\0';
    assert_true(lines == 2 && !speech.failed);
    assert_non_null(strstr(speech.bytes, " HELO=a+20b??XCLIENT+20NAME+3Dx+2B+3D+20"));
    assert_non_null(strstr(speech.bytes, " NAME=[UNAVAILABLE] PROTO=ESMTP"));
    assert_non_null(strstr(speech.bytes, " TTL=6"));
    assert_null(strstr(speech.bytes, "TRANSPORT")); /* not announced */
    client.family = 6;
    speech.size = at = 0;
    identity_xclient(&speech, &client, &offer, true, &at);
    assert_memory_equal(speech.bytes, "XCLIENT ADDR=IPV6:c000:207:: ", 29);
    speech.size = at = 0;
    identity_xclient(&speech, &client, &offer, false, &at); /* Dovecot's has no prefix */
    assert_memory_equal(speech.bytes, "XCLIENT ADDR=c000:207:: ", 24);
}

/* ---------------------------------------------------------------- what an answer is worth */

static enum verdict imap(const char *line)
{
    struct reply reply;
    reply_imap(slice_cstr(line), SLICE("L"), &reply);
    return verdict_of(BACKEND_IMAP, &reply);
}

static enum verdict pop3(const char *line)
{
    struct reply reply;
    reply_pop3(slice_cstr(line), &reply);
    return verdict_of(BACKEND_POP3, &reply);
}

static enum verdict smtp(const char *line)
{
    struct reply reply;
    reply_smtp(slice_cstr(line), &reply);
    return verdict_of(BACKEND_SUBMISSION, &reply);
}

static enum verdict sieve(const char *line)
{
    struct reply reply;
    reply_sieve(slice_cstr(line), &reply);
    return verdict_of(BACKEND_SIEVE, &reply);
}

static void verdicts(void **state)
{
    (void)state;
    assert_int_equal(imap("L OK in"), VERDICT_IN);
    assert_int_equal(imap("L ok"), VERDICT_IN);
    assert_int_equal(imap("L NO no"), VERDICT_WRONG);
    assert_int_equal(imap("L NO [AUTHENTICATIONFAILED] no"), VERDICT_WRONG);
    assert_int_equal(imap("L NO [unavailable] no"), VERDICT_LATER);
    assert_int_equal(imap("L NO [SERVERBUG] no"), VERDICT_NOT_NOW);
    assert_int_equal(imap("L NO [LIMIT] no"), VERDICT_LIMIT);
    assert_int_equal(imap("L BAD no"), VERDICT_NOT_NOW);
    assert_int_equal(imap("* BYE no"), VERDICT_LATER);
    assert_int_equal(pop3("+OK"), VERDICT_IN);
    assert_int_equal(pop3("-ERR no"), VERDICT_WRONG);
    assert_int_equal(pop3("-ERR [AUTH] no"), VERDICT_WRONG);
    assert_int_equal(pop3("-ERR [SYS/TEMP] no"), VERDICT_LATER);
    assert_int_equal(pop3("-ERR [SYS/PERM] no"), VERDICT_NOT_NOW);
    assert_int_equal(pop3("-ERR [IN-USE] no"), VERDICT_NOT_NOW);
    assert_int_equal(pop3("-ERR [LOGIN-DELAY] no"), VERDICT_NOT_NOW);
    assert_int_equal(smtp("235 in"), VERDICT_IN);
    assert_int_equal(smtp("535 no"), VERDICT_WRONG);
    assert_int_equal(smtp("535 5.7.8 no"), VERDICT_WRONG);
    assert_int_equal(smtp("535 5.7.1 no"), VERDICT_NOT_NOW);
    assert_int_equal(smtp("550 5.7.8 no"), VERDICT_WRONG);
    assert_int_equal(smtp("554 5.4.6 no"), VERDICT_LOOP);
    assert_int_equal(smtp("454 4.7.0 no"), VERDICT_LATER);
    assert_int_equal(smtp("421 no"), VERDICT_LATER);
    assert_int_equal(smtp("538 no"), VERDICT_NOT_NOW);
    assert_int_equal(sieve("OK"), VERDICT_IN);
    assert_int_equal(sieve("NO \"no\""), VERDICT_WRONG);
    assert_int_equal(sieve("NO (TRYLATER) \"no\""), VERDICT_LATER);
    assert_int_equal(sieve("NO (QUOTA/MAXSIZE) \"no\""), VERDICT_LIMIT);
    assert_int_equal(sieve("NO (ENCRYPT-NEEDED)"), VERDICT_NOT_NOW);
}

/* X04: what is no answer. */
static void nonsense(void **state)
{
    (void)state;
    static const char *const not_imap[] = {"",    "L", "L ",   "L OKAY", "M OK",
                                           "LOK", "*", "l OK", "OK"};
    static const char *const not_smtp[] = {"",      "25",    "250x", "199 x",
                                           "600 x", "2a0 x", "abc",  "260 x"};
    static const char *const not_pop3[] = {"", "OK", "+OKAY", "-ERROR", "ERR"};
    struct reply reply;
    for (size_t i = 0; i < sizeof not_imap / sizeof *not_imap; i++) {
        reply_imap(slice_cstr(not_imap[i]), SLICE("L"), &reply);
        assert_int_equal(reply.said, SAID_NONSENSE);
    }
    for (size_t i = 0; i < sizeof not_smtp / sizeof *not_smtp; i++) {
        reply_smtp(slice_cstr(not_smtp[i]), &reply);
        assert_int_equal(reply.said, SAID_NONSENSE);
    }
    for (size_t i = 0; i < sizeof not_pop3 / sizeof *not_pop3; i++) {
        reply_pop3(slice_cstr(not_pop3[i]), &reply);
        assert_int_equal(reply.said, SAID_NONSENSE);
    }
}

static void referrals(void **state)
{
    (void)state;
    struct reply reply;
    struct referral referral;
    reply_imap(SLICE("L NO [REFERRAL imap://u%40x;AUTH=*@[2001:db8::1]:1143/] x"), SLICE("L"),
               &reply);
    assert_true(referral_of(&reply, &referral));
    assert_true(referral.family == 6 && referral.port == 1143 && referral.address[15] == 1);
    reply_pop3(SLICE("-ERR [REFERRAL/pop3://u@b1.example/] x"), &reply);
    assert_true(referral_of(&reply, &referral));
    assert_true(referral.family == 0 && referral.port == 0);
    assert_true(slice_equal(referral.host, SLICE("b1.example")));
    reply_sieve(SLICE("BYE (REFERRAL \"sieve://192.0.2.1:4190\") \"x\""), &reply);
    assert_true(referral_of(&reply, &referral) && referral.family == 4 && referral.port == 4190);
    reply_imap(SLICE("L NO [REFERRAL imap://u@h:99999/] x"), SLICE("L"), &reply);
    assert_false(referral_of(&reply, &referral));
    reply_imap(SLICE("L NO [REFERRAL ] x"), SLICE("L"), &reply);
    assert_false(referral_of(&reply, &referral));
}

static void offers(void **state)
{
    (void)state;
    static struct offer offer;
    offer_clear(&offer);
    offer_add_list(&offer, SLICE("IMAP4rev1 a\"b  AUTH=PLAIN x]y \xff IDLE"));
    assert_string_equal(offer.text, "IMAP4rev1 AUTH=PLAIN IDLE");
    assert_true(can(&offer, "auth", "plain") && can(&offer, "AUTH=PLAIN", NULL) &&
                !can(&offer, "AUTH", "LOGIN"));
    for (unsigned i = 0; i < 1000; i++)
        offer_add(&offer, SLICE("WORD"), SLICE("a b"), " ");
    assert_true(offer.size <= BACKEND_CAPABILITY_BYTES_MAX && strlen(offer.text) == offer.size);
    assert_true(offer.size > BACKEND_CAPABILITY_BYTES_MAX - 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxy_headers), cmocka_unit_test(xclient),   cmocka_unit_test(verdicts),
        cmocka_unit_test(nonsense),      cmocka_unit_test(referrals), cmocka_unit_test(offers),
    };
    return cmocka_run_group_tests_name("backend_answer", tests, NULL, NULL);
}
