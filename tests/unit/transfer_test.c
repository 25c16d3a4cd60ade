/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One LMTP transaction with backends that play a script: honest ones with what they may offer,
 * each cut everywhere; every answer replaced by nonsense or by the end, and doubled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "transfer_peer.h"

#define MAIL  "< MAIL FROM:<sender@example.org>\n"
#define RCPT0 "< RCPT TO:<u0@example.com>\n"
#define RCPT1 "< RCPT TO:<u1@example.com>\n"
#define RCPT2 "< RCPT TO:<u2@example.com>\n"
#define OK    "> 250 2.1.0 OK\n"
#define SAVED "> 250 2.1.5 Saved\n"
#define GO    "> 354 go on\n"
#define LOST  "451 4.4.2 "
#define ODD   "451 4.5.0 "

/* ---------------------------------------------------------------- honest ones */

static const struct peer_case honest[] = {
    {"PIPELINING", MAIL RCPT0 OK OK "< DATA\n" GO "data\n" SAVED, .is_sent = true,
     .replies = {"250 2.1.5 Saved"}},
    {"PIPELINING CHUNKING", MAIL RCPT0 OK OK "bdat\n" SAVED, .is_sent = true},
    {"",
     MAIL "quiet\n" OK RCPT0 "quiet\n" OK RCPT1 "quiet\n" OK "< DATA\nquiet\n" GO
          "data\n" SAVED SAVED,
     .count = 2, .is_sent = true},
    {"PIPELINING CHUNKING SIZE=1000 8BITMIME SMTPUTF8 DSN REQUIRETLS BINARYMIME",
     "< MAIL FROM:<sender@example.org> SIZE=60 BODY=8BITMIME RET=HDRS ENVID=e+2B1\n"
     "< RCPT TO:<u0@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b\n" OK OK "bdat\n" SAVED,
     .message = {.body = RELAY_8BITMIME, .ret = {"HDRS", 4}, .envid = {"e+2B1", 5}},
     .orcpt = "rfc822;a@b", .notify = "SUCCESS,DELAY", .is_sent = true},
    {"SIZE PIPELINING", "< MAIL FROM:<> SIZE=60\n" RCPT0 OK OK "< DATA\n" GO "data\n" SAVED,
     .is_null_sender = true, .message = {.body = RELAY_8BITMIME, .ret = {"FULL", 4}},
     .notify = "NEVER", .is_sent = true},
    {"PIPELINING CHUNKING BINARYMIME",
     "< MAIL FROM:<sender@example.org> BODY=BINARYMIME\n" RCPT0 OK OK "bdat\n" SAVED,
     .message = {.body = RELAY_BINARYMIME, .bytes = {"A: b\r\n\r\n\0\n\r", 11}}, .is_sent = true},
    {"PIPELINING SMTPUTF8",
     "< MAIL FROM:<\xc3\xa4@example.org> SMTPUTF8\n< RCPT TO:<\xc3\xb6@example.com>\n" OK OK
     "< DATA\n" GO "data\n" SAVED,
     .message = {.from = {"\xc3\xa4@example.org", 14}, .is_utf8 = true},
     .address = {"\xc3\xb6@example.com"}, .is_sent = true},
    /* it asked for SMTPUTF8, and needs none */
    {"PIPELINING CHUNKING", MAIL RCPT0 OK OK "bdat\n" SAVED, .is_sent = true,
     .message = {.is_utf8 = true, .bytes = {"A: b\r\n\r\n\xc3\xa4\r\n", 12}}},
    {"PIPELINING CHUNKING", MAIL "< RCPT TO:<\"a> b\"@example.com>\n" OK OK "bdat\n" SAVED,
     .address = {"\"a> b\"@example.com"}, .is_sent = true},
    /* answers in lines, without text or with odd bytes */
    {"PIPELINING CHUNKING",
     MAIL RCPT0 RCPT1 "> 250-2.1.0 a\n> 250-b\n> 250\n> 250\n> 250 \n"
                      "bdat\n> 250-2.1.5 a\x1b\xff\n> 250 b\n> 250\n",
     .count = 2, .is_sent = true, .replies = {"250 2.1.5 a??", "250 2.0.0"}},
};
enum { HONEST = sizeof honest / sizeof *honest };

static void honest_body(struct core *core)
{
    for (unsigned i = 0; i < HONEST; i++)
        peer_check(core, &honest[i]);
}

static void honest_ones(void **state)
{
    (void)state;
    peer_run(honest_body);
}

/* X04: answers in two pieces, at each byte. */
static void cuts_body(struct core *core)
{
    size_t step = harness_is_simulated() ? 1 : 7;
    for (unsigned i = 0; i < HONEST; i++)
        for (peer.cut = 1; peer.cut == 1 || peer.cut <= peer.answer_bytes + step; peer.cut += step)
            peer_check(core, &honest[i]);
    peer.cut = 0;
}

static void cuts(void **state)
{
    (void)state;
    peer_run(cuts_body);
}

/* ---------------------------------------------------------------- what a backend says of mail */

static const struct peer_case verdicts[] = {
    /* X09: some are taken, and they are answered in their order */
    {"PIPELINING CHUNKING",
     MAIL RCPT0 RCPT1 RCPT2 OK OK "> 550 5.1.1 who\n" OK "bdat\n" SAVED "> 452 4.2.2 over quota\n",
     .count = 3, .is_sent = true, .results = {0, -EACCES, -EAGAIN},
     .replies = {"250 2.1.5 Saved", "550 5.1.1 who", "452 4.2.2 over quota"}},
    {"PIPELINING", MAIL RCPT0 RCPT1 OK OK OK "< DATA\n" GO "data\n> 554 5.7.1 spam\n" SAVED,
     .count = 2, .is_sent = true, .results = {-EACCES, 0},
     .replies = {"554 5.7.1 spam", "250 2.1.5 Saved"}},
    /* nobody is taken: no message */
    {"PIPELINING", MAIL RCPT0 RCPT1 OK "> 450 4.2.1 busy\n> 550-5.1.1 no\n> 550 such user\n",
     .count = 2, .is_sent = true, .results = {-EAGAIN, -EACCES},
     .replies = {"450 4.2.1 busy", "550 5.1.1 no"}, .without_message = true},
    /* the whole */
    {"PIPELINING", MAIL RCPT0 RCPT1 "> 552 5.3.4 too big\n> 503 MAIL\n> 503 MAIL\n", .count = 2,
     .results = {-EACCES, -EACCES}, .replies = {"552 5.3.4 too big", "552 5.3.4 too big"},
     .without_message = true},
    {"", MAIL "> 451 4.3.0 later\n", .results = {-EAGAIN}, .replies = {"451 4.3.0 later"},
     .without_message = true},
    {"PIPELINING", MAIL RCPT0 RCPT1 OK OK OK "< DATA\n> 554 5.6.0 no\n", .count = 2,
     .is_sent = true, .results = {-EACCES, -EACCES}, .replies = {"554 5.6.0 no", "554 5.6.0 no"},
     .without_message = true},
    {"PIPELINING", MAIL RCPT0 OK OK "< DATA\n> 451 4.3.1 full\n", .is_sent = true,
     .results = {-EAGAIN}, .replies = {"451 4.3.1 full"}, .without_message = true},
    /* R2: these are about the commands, and no sender is to give up for them */
    {"PIPELINING", MAIL RCPT0 "> 503 5.5.1 LHLO first\n> 503 5.5.1 MAIL first\n",
     .results = {-EAGAIN}, .replies = {ODD}, .without_message = true},
    {"PIPELINING CHUNKING",
     MAIL RCPT0 RCPT1 OK OK "> 555 5.5.4 parameters\n"
                            "bdat\n> 500 5.5.2 what\n",
     .count = 2, .is_sent = true, .results = {-EAGAIN, -EAGAIN}, .replies = {ODD, ODD}},
    {"PIPELINING", MAIL RCPT0 OK OK "< DATA\n> 502 5.5.1 no DATA\n", .is_sent = true,
     .results = {-EAGAIN}, .replies = {ODD}, .without_message = true},
    /* 421 anywhere is the end for all that are open */
    {"PIPELINING", MAIL RCPT0 RCPT1 "> 421 4.3.2 bye\nclose\n", .count = 2, .result = -EAGAIN,
     .problem = "said good-bye", .results = {-EAGAIN, -EAGAIN},
     .replies = {"451 4.3.2 bye", "451 4.3.2 bye"}},
    {"PIPELINING", MAIL RCPT0 RCPT1 OK OK "> 421 4.3.2 bye\nclose\n", .count = 2, .result = -EAGAIN,
     .problem = "said good-bye", .is_sent = true, .results = {-EAGAIN, -EAGAIN},
     .replies = {"451 4.3.2 bye", "451 4.3.2 bye"}},
    {"PIPELINING CHUNKING",
     MAIL RCPT0 RCPT1 RCPT2 OK OK OK OK "bdat\n" SAVED "> 421 4.3.2 bye\nclose\n", .count = 3,
     .result = -EAGAIN, .problem = "said good-bye", .is_sent = true,
     .results = {0, -EAGAIN, -EAGAIN}, .replies = {"250", "451 4.3.2 bye", "451 4.3.2 bye"}},
    /* X07: behind the message */
    {"PIPELINING CHUNKING", MAIL RCPT0 RCPT1 OK OK OK "bdat\n" SAVED "close\n", .count = 2,
     .result = -EAGAIN, .problem = "closed the connection", .is_sent = true, .may_come_twice = true,
     .results = {0, -EAGAIN}, .replies = {"250", LOST}},
    {"PIPELINING", MAIL RCPT0 OK OK "< DATA\n" GO "data\nstall\n", .wait_ms = 700,
     .result = -EAGAIN, .problem = "timed out", .is_sent = true, .may_come_twice = true,
     .results = {-EAGAIN}, .replies = {LOST}},
    /* F1: RCPT is taken without MAIL */
    {"PIPELINING", MAIL RCPT0 "> 451 4.3.0 later\n> 250 OK\n", .result = -EAGAIN,
     .problem = "sent what is no answer", .results = {-EAGAIN}, .replies = {ODD}},
    /* what cannot be handed on here is not begun */
    {"PIPELINING BINARYMIME", "", .message = {.body = RELAY_BINARYMIME}, .results = {-EACCES},
     .replies = {"554 5.6.1"}, .without_message = true},
    {"PIPELINING", "", .message = {.body = RELAY_BINARYMIME}, .results = {-EACCES},
     .replies = {"554 5.6.1"}, .without_message = true},
    {"PIPELINING CHUNKING", "", .message = {.body = RELAY_BINARYMIME}, .results = {-EACCES},
     .replies = {"554 5.6.1"}, .without_message = true},
    {"PIPELINING", "", .message = {.from = {"\xc3\xa4@example.org", 14}, .is_utf8 = true},
     .results = {-EACCES}, .replies = {"553 5.6.7"}},
    {"PIPELINING", "", .message = {.is_utf8 = true, .bytes = {"A: \xc3\xa4\r\n\r\nb\r\n", 13}},
     .results = {-EACCES}, .replies = {"553 5.6.7"}},
    {"PIPELINING REQUIRETLS", "", .message = {.requires_tls = true}, .results = {-EACCES},
     .replies = {"550 5.7.30"}},
    {"PIPELINING", "", .message = {.from = {"a\r\nDATA", 7}}, .results = {-EACCES},
     .replies = {"553 5.1.7"}},
    {"PIPELINING CHUNKING", MAIL "< RCPT TO:<b@example.com>\n" OK OK "bdat\n" SAVED,
     .address = {"a@b>\r\nRCPT TO:<c@d", "a@b>", "\xc3\xa4@example.com", "b@example.com"},
     .is_sent = true, .results = {-EACCES, -EACCES, -EACCES, 0},
     .replies = {"553 5.1.3", "553 5.1.3", "553 5.6.7", "250"}},
    {"PIPELINING CHUNKING DSN", MAIL RCPT0 OK OK "bdat\n" SAVED, .is_sent = true,
     .orcpt = "rfc822;a b", .notify = "NEVER\r\nQUIT",
     .message = {.ret = {"FULL\n", 5}, .envid = {"\x7f", 1}}},
};

static void verdicts_body(struct core *core)
{
    for (unsigned i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        peer_check(core, &verdicts[i]);
}

static void all_verdicts(void **state)
{
    (void)state;
    peer_run(verdicts_body);
}

static const struct peer_case asked[] = {
    {"PIPELINING SIZE 8BITMIME DSN", "< MAIL FROM:<>\n" RCPT0 OK SAVED, .asks = true,
     .notify = "NEVER", .replies = {"250 2.1.5 Saved"}},
    {"PIPELINING SMTPUTF8", "< MAIL FROM:<>\n" RCPT0 OK OK, .asks = true},
    {"", "< MAIL FROM:<>\nquiet\n" OK RCPT0 "quiet\n> 550 5.1.1 who\n", .asks = true,
     .results = {-EACCES}, .replies = {"550 5.1.1 who"}},
    {"PIPELINING", "< MAIL FROM:<>\n" RCPT0 OK "> 450 4.2.0 grey\n", .asks = true,
     .results = {-EAGAIN}, .replies = {"450 4.2.0 grey"}},
    {"PIPELINING SMTPUTF8", "< MAIL FROM:<> SMTPUTF8\n< RCPT TO:<\xc3\xa4@example.com>\n" OK OK,
     .asks = true, .address = {"\xc3\xa4@example.com"}},
    {"PIPELINING", "", .asks = true, .address = {"\xc3\xa4@example.com"}, .results = {-EACCES},
     .replies = {"553 5.6.7"}},
    {"PIPELINING", "< MAIL FROM:<>\n" RCPT0 "> 550 5.7.1 no bounces\n> 503 MAIL first\n",
     .asks = true, .result = -EAGAIN, .problem = "refuses the null sender", .results = {-EAGAIN},
     .replies = {"451 4.4.0 "}},
    {"PIPELINING", "< MAIL FROM:<>\n" RCPT0 "> 451 4.3.0 not now\n> 503 MAIL first\n", .asks = true,
     .results = {-EAGAIN}, .replies = {"451 4.3.0 not now"}},
    {"PIPELINING", "< MAIL FROM:<>\n" RCPT0 OK "> 503 5.5.1 no\n", .asks = true,
     .results = {-EAGAIN}, .replies = {ODD}},
    {"PIPELINING", "< MAIL FROM:<>\n" RCPT0 OK "close\n", .asks = true, .result = -EAGAIN,
     .problem = "closed the connection", .results = {-EAGAIN}, .replies = {LOST}},
};

static void asked_body(struct core *core)
{
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++)
        peer_check(core, &asked[i]);
}

static void asks(void **state)
{
    (void)state;
    peer_run(asked_body);
}

/* ---------------------------------------------------------------- answers that are none */

/* Three recipients, all taken; what answers there are. */
static const struct peer_case three[] = {
    {"PIPELINING CHUNKING", MAIL RCPT0 RCPT1 RCPT2 OK OK OK OK "bdat\n" SAVED SAVED SAVED,
     .count = 3},
    {"PIPELINING", MAIL RCPT0 RCPT1 RCPT2 OK OK OK OK "< DATA\n" GO "data\n" SAVED SAVED SAVED,
     .count = 3},
    {"", MAIL OK RCPT0 OK RCPT1 OK RCPT2 OK "< DATA\n" GO "data\n" SAVED SAVED SAVED, .count = 3},
};
static struct peer_result result;

/* All are told "later": what was answered before nonsense is not believed either, but before the
 * end of the connection it is. */
static void check_later(const char *lie, unsigned n, unsigned answers)
{
    bool is_end = strstr(lie, "close") != NULL || strstr(lie, "stall") != NULL;
    unsigned before = n + 2 < answers || !is_end ? 0 : n + 2 - answers; /* of three verdicts */
    check_equal(result.result, -EAGAIN);
    check(result.transfer.problem != NULL && peer.problem[0] == '\0');
    check_equal(result.transfer.may_come_twice, n + 2 >= answers);
    check_equal(result.is_sent, n > 2);
    for (unsigned i = 0; i < 3; i++) {
        check_equal(result.recipients[i].result, i < before ? 0 : -EAGAIN);
        check(result.recipients[i].reply[0] == (i < before ? '2' : '4'));
    }
}

static unsigned answers_of(struct core *core, const struct peer_case *one)
{
    peer.at = 0;
    peer_transfer(core, one, &result);
    check_equal(result.result, 0);
    return peer.answers;
}

/* X04, X07, X08 */
static void nonsense_body(struct core *core)
{
    static char long_line[9000], many_lines[2000];
    static const char *const lies[] = {
        "close",
        "stall",
        "> 999 x",
        "> 25x x",
        "> 250_x",
        "+ 250 x\\n",
        "> 250 a\\0b",
        "> ",
        "> 2",
        "> 130 x",
        "> 250-a\n> 251 b",
        "> 220 x",
        "> 334 x",
        "+ 250-a\\r\\n\nclose",
        "> 250 a\\rb",
        "> +OK x",
        "> 250-a\n> 25x",
        long_line,
        many_lines,
        "> * BYE x",
    };
    memset(long_line, 'x', sizeof long_line - 1);
    memcpy(long_line, "> 250 ", 6);
    many_lines[0] = 0;
    for (unsigned i = 0; i < 110; i++)
        strcat(many_lines, "> 250-x\n");
    for (unsigned c = 0; c < sizeof three / sizeof *three; c++) {
        unsigned answers = answers_of(core, &three[c]);
        for (unsigned n = 1; n <= answers; n++)
            for (size_t i = c == 0 || harness_is_simulated() ? 0 : n % 3;
                 i < sizeof lies / sizeof *lies; i += harness_is_simulated() ? 1 : 3) {
                struct peer_case one = three[c];
                one.wait_ms = i == 1 && !harness_is_simulated() ? 200 : 5000;
                peer.at = n;
                peer.instead = lies[i];
                peer_transfer(core, &one, &result);
                check_later(lies[i], n, answers);
            }
    }
    peer.at = 0;
    peer.instead = NULL;
}

static void nonsense(void **state)
{
    (void)state;
    peer_run(nonsense_body);
}

/* X12, R1: an answer too many makes all worthless, wherever it stands. */
static void doubled_body(struct core *core)
{
    static const char *const more[] = {"> 250 2.0.0 more", "> 550 5.1.1 more",
                                       "> 250-more\n> 250 x"};
    unsigned tried = 0, unseen = 0;
    for (unsigned c = 0; c < sizeof three / sizeof *three; c++) {
        unsigned answers = answers_of(core, &three[c]);
        for (unsigned n = 1; n <= answers; n++)
            for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
                peer.at = n;
                peer.before = more[i];
                peer_transfer(core, &three[c], &result);
                tried++;
                if (result.result == 0 && harness_is_simulated()) {
                    unseen++; /* the last answer came in two pieces, the second behind our end */
                    continue;
                }
                check_equal(result.result, -EAGAIN);
                check(result.transfer.problem != NULL);
                for (unsigned r = 0; r < 3; r++)
                    check_equal(result.recipients[r].result, -EAGAIN);
            }
    }
    check(unseen * 10 < tried);
    peer.at = 0;
    peer.before = NULL;
}

static void doubled(void **state)
{
    (void)state;
    peer_run(doubled_body);
}

/* X08: it talks before it is asked. */
static const struct peer_case ahead_of_mail = {
    "PIPELINING CHUNKING", "> 250 2.1.0 OK\n> 250 OK\n> 250 OK\nstall\n",
    .result = -EAGAIN,     .problem = "answered more than it was asked",
    .results = {-EAGAIN},  .replies = {ODD},
    .waits = true,         .without_message = true};
static const struct peer_case ahead_of_message = {"PIPELINING",
                                                  MAIL RCPT0 OK OK
                                                  "< DATA\n+ 354 go\\r\\n250 Saved\\r\\n\ndata\n",
                                                  .is_sent = true,
                                                  .result = -EAGAIN,
                                                  .problem = "answered before it had the message",
                                                  .results = {-EAGAIN},
                                                  .replies = {ODD}};

static void ahead_body(struct core *core)
{
    peer_check(core, &ahead_of_mail);
    if (!harness_is_simulated()) /* whose wire may part the two */
        peer_check(core, &ahead_of_message);
}

static void ahead(void **state)
{
    (void)state;
    peer_run(ahead_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(honest_ones), cmocka_unit_test(cuts),     cmocka_unit_test(all_verdicts),
        cmocka_unit_test(asks),        cmocka_unit_test(nonsense), cmocka_unit_test(doubled),
        cmocka_unit_test(ahead),
    };
    return cmocka_run_group_tests_name("transfer", list, NULL, NULL);
}

int main(void)
{
    setenv("WORLDS", "3", 0);
    return harness_main(tests);
}
