/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins at backends that play a script: honest ones as Dovecot, Cyrus and Stalwart greet, each
 * cut everywhere and stopped at each of its answers, and those that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "backend_peer.h"

#define ID_LINE                                                                                    \
    "< I ID (\"x-session-id\" \"s1\" \"x-originating-ip\" \"192.0.2.7\" \"x-originating-port\" "   \
    "\"4711\" \"x-connected-ip\" \"198.51.100.1\" \"x-connected-port\" \"993\" \"x-proxy-ttl\" "   \
    "\"6\" \"x-client-transport\" \"TLS\")\n"
#define DOVECOT                                                                                    \
    "> * OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS "       \
    "AUTH=PLAIN AUTH=OAUTHBEARER] Dovecot ready.\n"
#define DOVECOT_OK "> L OK [CAPABILITY IMAP4rev1 IDLE MOVE] Logged in\n"
#define LOGIN      "< L LOGIN \"user@example.com\" \"secret\"\n"
#define EHLO       "< EHLO [198.51.100.1]\n"
#define SIEVE                                                                                      \
    "> \"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\n> \"SIEVE\" \"fileinto vacation\"\n"             \
    "> \"SASL\" \"PLAIN OAUTHBEARER\"\n> \"STARTTLS\"\n> OK \"ready\"\n"
/* base64 of "\0user@example.com\0secret", "user@example.com\0master\0key" */
#define OWN    "AHVzZXJAZXhhbXBsZS5jb20Ac2VjcmV0"
#define MASTER "dXNlckBleGFtcGxlLmNvbQBtYXN0ZXIAa2V5"
/* of "n,a=user@example.com,\1auth=Bearer secret\1\1", "user=user@example.com\1auth=Bearer ..." */
#define BEARER "bixhPXVzZXJAZXhhbXBsZS5jb20sAWF1dGg9QmVhcmVyIHNlY3JldAEB"
#define XOAUTH "dXNlcj11c2VyQGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIHNlY3JldAEB"
#define SMTP_XCLIENT                                                                               \
    "> 250-b\n> 250-XCLIENT ADDR PORT HELO TTL DESTADDR\n> 250-SIZE 100\n> 250 AUTH PLAIN "        \
    "LOGIN\n< XCLIENT ADDR=192.0.2.7 PORT=4711 TTL=6 HELO=client.example "                         \
    "DESTADDR=198.51.100.1\n> 220 b again\n" EHLO

/* ---------------------------------------------------------------- honest ones */

static const struct peer_login honest[] = {
    {BACKEND_IMAP, DOVECOT LOGIN DOVECOT_OK "+ * 1 EXISTS\\r\\n", .text = "Logged in",
     .capabilities = "IMAP4rev1 IDLE MOVE"},
    {BACKEND_IMAP, DOVECOT ID_LINE LOGIN "> * ID {3}\n+ a\\nb\n> \n> I OK done\n" DOVECOT_OK,
     .is_native = true},
    {BACKEND_IMAP, DOVECOT ID_LINE "> * ID NIL\n> I OK done\n" LOGIN DOVECOT_OK, .is_native = true,
     .waits = true},
    {BACKEND_IMAP, DOVECOT "< L AUTHENTICATE PLAIN " MASTER "\n" DOVECOT_OK, .is_master = true},
    {BACKEND_IMAP, DOVECOT "< L AUTHENTICATE OAUTHBEARER " BEARER "\n" DOVECOT_OK,
     .mechanism = AUTH_OAUTHBEARER},
    {BACKEND_IMAP,
     "> * OK [CAPABILITY IMAP4rev2 AUTH=XOAUTH2] x\n< L AUTHENTICATE XOAUTH2\n> + \n< " XOAUTH
     "\n> L OK in\n",
     .mechanism = AUTH_OAUTHBEARER, .text = "in"},
    /* Cyrus: what it can stands in an untagged answer; no SASL-IR */
    {BACKEND_IMAP,
     "> * OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN SASL-IR] b Cyrus IMAP "
     "3.8 server ready\n" LOGIN
     "> * CAPABILITY IMAP4rev1 UIDPLUS\n> L OK User logged in SESSIONID=<b-1>\n",
     .capabilities = "IMAP4rev1 UIDPLUS"},
    /* Stalwart: in clear nothing is known until it is asked */
    {BACKEND_IMAP,
     "> * OK Stalwart IMAP4rev2 at your service.\n< C CAPABILITY\n> * CAPABILITY IMAP4rev2 "
     "IMAP4rev1 AUTH=PLAIN\n> C OK done\n" LOGIN "> L OK [CAPABILITY IMAP4rev2] in\n",
     .capabilities = "IMAP4rev2"},
    {BACKEND_IMAP, DOVECOT "< L LOGIN \"a \\\\\"b\" \"\\\\\\\\p\"\n" DOVECOT_OK, .user = "a \"b",
     .secret = "\\p"},
    {BACKEND_IMAP,
     "> * OK [CAPABILITY IMAP4rev1] x\n< L LOGIN \"user@example.com\" {3}\n> + go\n< "
     "\xc3\xa4x\n" DOVECOT_OK,
     .secret = "\xc3\xa4x"},
    {BACKEND_IMAP,
     "> * OK [CAPABILITY IMAP4rev1 LITERAL+] x\n< L LOGIN \"user@example.com\" {3+}\n< "
     "\xc3\xa4x\n" DOVECOT_OK,
     .secret = "\xc3\xa4x"},
    {BACKEND_IMAP,
     "> * OK [CAPABILITY IMAP4rev1 ID] x\n" ID_LINE
     "< L LOGIN \"user@example.com\" {3}\n> I OK x\n> + go\n< \xc3\xa4x\n" DOVECOT_OK,
     .secret = "\xc3\xa4x", .is_native = true},
    {BACKEND_IMAP, "proxy\n" DOVECOT LOGIN DOVECOT_OK, .is_proxy = true},
    {BACKEND_IMAP, DOVECOT LOGIN DOVECOT_OK, .is_tls = true},
    {BACKEND_IMAP, "proxy\ntls\n" DOVECOT LOGIN DOVECOT_OK, .is_tls = true, .is_proxy = true},
    {BACKEND_IMAP, "proxy\n" DOVECOT "< S STARTTLS\n> S OK go\ntls\n" LOGIN DOVECOT_OK,
     .is_start_tls = true, .is_proxy = true},
    {BACKEND_IMAP,
     DOVECOT "< S STARTTLS\n> S OK go\ntls\n" ID_LINE LOGIN "> I BAD what\n" DOVECOT_OK,
     .is_start_tls = true, .is_native = true},
    {BACKEND_IMAP,
     DOVECOT "< S STARTTLS\n> S OK go\ntls\n< C CAPABILITY\n> * CAPABILITY IMAP4rev1 AUTH=PLAIN "
             "SASL-IR\n> C OK x\n< L AUTHENTICATE PLAIN " MASTER "\n" DOVECOT_OK,
     .is_start_tls = true, .is_master = true},
    {BACKEND_IMAP, DOVECOT "< L LOGIN \"other\" \"theirs\"\n" DOVECOT_OK,
     .attributes = "user=other\npass=theirs\nwhatever=1\n"},
    {BACKEND_IMAP, DOVECOT "< L AUTHENTICATE PLAIN " MASTER "\n" DOVECOT_OK, .no_secret = true,
     .attributes = "master=master\npass=key\n"},
    {BACKEND_POP3,
     "> +OK Dovecot ready.\n< USER user@example.com\n< PASS secret\n> +OK\n> +OK Logged in.\n",
     .text = "Logged in."},
    {BACKEND_POP3,
     "> +OK Dovecot ready.\n< USER user@example.com\n> +OK\n< PASS secret\n> +OK Logged in.\n",
     .waits = true},
    {BACKEND_POP3,
     "> +OK [XCLIENT] Dovecot ready.\n< XCLIENT ADDR=192.0.2.7 PORT=4711 SESSION=s1 TTL=6\n< USER "
     "user@example.com\n< PASS secret\n> +OK\n> +OK\n> +OK Logged in.\n",
     .is_native = true},
    {BACKEND_POP3,
     "> +OK ready\n< CAPA\n> +OK\n> SASL PLAIN LOGIN\n> USER\n> .\n< AUTH PLAIN " MASTER
     "\n> +OK in\n",
     .is_master = true},
    {BACKEND_POP3,
     "> +OK ready\n< STLS\n> +OK go\ntls\n< USER user@example.com\n< PASS secret\n> +OK\n> +OK "
     "in\n",
     .is_start_tls = true},
    {BACKEND_POP3,
     "> +OK [XCLIENT]\n< STLS\n> +OK go\ntls\n< CAPA\n> +OK\n> SASL PLAIN\n> .\n< XCLIENT *\n< "
     "AUTH PLAIN " MASTER "\n> +OK\n> +OK in\n",
     .is_start_tls = true, .is_native = true, .is_master = true},
    {BACKEND_SUBMISSION,
     "> 220-b\n> 220 ESMTP\n" EHLO
     "> 250-b\n> 250-SIZE 100\n> 250 AUTH PLAIN LOGIN\n< AUTH PLAIN " OWN "\n> 235 2.7.0 in\n",
     .text = "2.7.0 in", .capabilities = "SIZE=100 AUTH=PLAIN,LOGIN"},
    {BACKEND_SUBMISSION,
     "> 220 b\n" EHLO SMTP_XCLIENT "> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN " OWN "\n> 235 in\n",
     .is_native = true, .capabilities = "AUTH=PLAIN"},
    {BACKEND_SUBMISSION,
     "> 220 b\n" EHLO "> 250-b\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n" EHLO
     "> 250-b\n> 250 AUTH XOAUTH2\n< AUTH XOAUTH2 " XOAUTH "\n> 235 in\n",
     .is_start_tls = true, .mechanism = AUTH_XOAUTH2, .capabilities = "AUTH=XOAUTH2"},
    {BACKEND_SIEVE, SIEVE "< AUTHENTICATE \"PLAIN\" \"" OWN "\"\n> OK \"Logged in.\"\n",
     .text = "Logged in.",
     .capabilities = "IMPLEMENTATION=Dovecot,Pigeonhole SIEVE=fileinto,vacation "
                     "SASL=PLAIN,OAUTHBEARER STARTTLS"},
    {BACKEND_SIEVE,
     SIEVE "< STARTTLS\n> OK\ntls\n" SIEVE "< AUTHENTICATE \"OAUTHBEARER\" \"" BEARER
           "\"\n> OK {2}\n+ in\n> \n",
     .is_start_tls = true, .mechanism = AUTH_OAUTHBEARER},
    {BACKEND_LMTP, "> 220 b\n< LHLO [198.51.100.1]\n> 250-b\n> 250 PIPELINING\n",
     .capabilities = "PIPELINING"},
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
    for (unsigned i = 0; i < HONEST; i++) {
        size_t step = harness_is_simulated() ? 1 : 23;
        for (peer.cut = 1; peer.cut == 1 || peer.cut <= peer.answer_bytes + step; peer.cut += step)
            peer_check(core, &honest[i]);
        peer.cut = 0;
        if (i % 3 != 0 && !harness_is_simulated())
            i++;
    }
}

static void cuts(void **state)
{
    (void)state;
    peer_run(cuts_body);
}

/* X07, X08: it closes, resets or falls silent in place of each of its answers. */
static void stops_body(struct core *core)
{
    static const char *const ways[] = {"close", "reset", "stall"};
    for (unsigned i = 0; i < HONEST; i++) {
        unsigned answers = 0;
        peer.stop_at = 0;
        peer_check(core, &honest[i]);
        answers = peer.answers;
        for (unsigned n = 1; n <= answers; n++) {
            struct peer_login login = honest[i];
            struct peer_result result;
            login.login_ms = 300;
            peer.stop_at = n;
            peer.stop = ways[(i + n) % (harness_is_simulated() ? 3 : 2)];
            peer_log_in(core, &login, &result);
            check(result.result == -EAGAIN || (n == answers && result.result == 0));
            check(result.result == 0 || result.answer.problem != NULL);
            check(result.result == 0 || result.failures > 0);
        }
        peer.stop_at = 0;
    }
}

static void stops(void **state)
{
    (void)state;
    peer_run(stops_body);
}

/* ---------------------------------------------------------------- those that lie, and no */

static char too_long[9000 + 10], too_many[4000];

static const struct peer_login bad[] = {
    /* X12, X06 */
    {BACKEND_IMAP, "> * PREAUTH in\n", .result = -EAGAIN,
     .problem = "has logged in somebody already"},
    {BACKEND_IMAP, "> * BYE no\n", .result = -EAGAIN, .problem = "said good-bye"},
    {BACKEND_IMAP, "> 220 smtp\n", .result = -EAGAIN, .problem = "does not greet as IMAP does"},
    {BACKEND_IMAP, "> * OK [CAPABILITY IMAP2] x\n", .result = -EAGAIN,
     .problem = "does not speak IMAP4rev1"},
    {BACKEND_IMAP, DOVECOT LOGIN "> X OK in\n", .result = -EAGAIN,
     .problem = "sent what is no answer"},
    {BACKEND_IMAP, DOVECOT LOGIN "> L WELL in\n", .result = -EAGAIN,
     .problem = "sent what is no answer"},
    {BACKEND_IMAP, DOVECOT ID_LINE LOGIN DOVECOT_OK, .result = -EAGAIN, .is_native = true,
     .problem = "sent what is no answer"},
    {BACKEND_IMAP, DOVECOT LOGIN "> + more\n", .result = -EAGAIN,
     .problem = "asked for more than the log-in"},
    {BACKEND_IMAP, DOVECOT LOGIN "> * X {99999999}\n", .result = -EAGAIN,
     .problem = "sent too much before its answer"},
    {BACKEND_IMAP, DOVECOT LOGIN "> L O\\0K\n", .result = -EAGAIN,
     .problem = "sent a line that is none"},
    {BACKEND_IMAP, DOVECOT LOGIN "+ L OK in\\n\n", .result = -EAGAIN,
     .problem = "sent a line that is none"},
    {BACKEND_IMAP, too_long, .result = -EAGAIN, .problem = "sent a line that is too long"},
    {BACKEND_IMAP, too_many, .result = -EAGAIN, .problem = "sent too much before its answer"},
    {BACKEND_IMAP, "> * OK [CAPABILITY IMAP4rev1] x\n", .is_master = true, .result = -EAGAIN,
     .problem = "does not offer PLAIN"},
    {BACKEND_IMAP, "> * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x\n", .result = -EAGAIN,
     .problem = "does not take passwords without TLS"},
    /* X05 */
    {BACKEND_IMAP,
     DOVECOT "< S STARTTLS\n+ S OK go\\r\\n* OK [CAPABILITY IMAP4rev1] mine\\r\\n\nstall\n",
     .is_start_tls = true, .result = -EAGAIN,
     .problem = "sent clear text behind its answer to STARTTLS"},
    {BACKEND_IMAP, "> * OK [CAPABILITY IMAP4rev1] x\n", .is_start_tls = true, .result = -EAGAIN,
     .problem = "does not offer STARTTLS"},
    {BACKEND_IMAP, DOVECOT "< S STARTTLS\n> S NO\n", .is_start_tls = true, .result = -EAGAIN,
     .problem = "refused STARTTLS"},
    {BACKEND_SUBMISSION, "> 220 b\n" EHLO "> 250 STARTTLS\n", .is_start_tls = true,
     .result = -EAGAIN, .problem = "does not offer STARTTLS"},
    {BACKEND_POP3, "> +OK x\n< STLS\n> -ERR what\n", .is_start_tls = true, .result = -EAGAIN,
     .problem = "refused STLS"},
    {BACKEND_SIEVE, "> \"SASL\" \"PLAIN\"\n> OK\n", .is_start_tls = true, .result = -EAGAIN,
     .problem = "does not offer STARTTLS"},
    {BACKEND_IMAP, "> * OK x\n< S STARTTLS\n> S BAD what\n", .is_start_tls = true,
     .result = -EAGAIN, .problem = "refused STARTTLS"},
    {BACKEND_POP3, "> +OK x\n< STLS\n+ +OK\\r\\n+OK\\r\\n\nstall\n", .is_start_tls = true,
     .result = -EAGAIN, .problem = "sent clear text behind its answer to STARTTLS"},
    {BACKEND_LMTP,
     "> 220 b\n< LHLO [198.51.100.1]\n> 250-b\n> 250 STARTTLS\n< STARTTLS\n"
     "+ 220 go\\r\\n250 PIPELINING\\r\\n\nstall\n",
     .is_start_tls = true, .result = -EAGAIN,
     .problem = "sent clear text behind its answer to STARTTLS"},
    /* what a backend says of the user */
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO [AUTHENTICATIONFAILED] Authentication failed.\n",
     .result = -EACCES, .text = "Authentication failed."},
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO no \x1b[1m\xff!\n", .result = -EACCES,
     .text = "no ?[1m?!"},
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO [LIMIT] too many\n", .result = -EUSERS},
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO [INUSE] x\n", .result = -EAGAIN,
     .problem = "refused the log-in for now", .code = "INUSE", .text = "x"},
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO [CONTACTADMIN] a circle\n", .result = -EAGAIN,
     .code = "CONTACTADMIN", .text = "a circle"},
    {BACKEND_SUBMISSION,
     "> 220 b\n" EHLO "> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN *\n> 554 5.4.6 a circle\n",
     .result = -ELOOP},
    {BACKEND_IMAP, DOVECOT LOGIN "> L NO [SERVERBUG] x\n", .result = -EAGAIN, .code = ""},
    {BACKEND_POP3, "> +OK x\n< USER *\n< PASS *\n> +OK\n> -ERR [IN-USE] x\n", .result = -EAGAIN,
     .code = "IN-USE"},
    {BACKEND_POP3, "> +OK x\n< USER *\n< PASS *\n> +OK\n> -ERR [login-delay] in a minute\n",
     .result = -EAGAIN, .code = "LOGIN-DELAY", .text = "in a minute"},
    {BACKEND_POP3, "> +OK x\n< USER *\n< PASS *\n> +OK\n> -ERR [SYS/PERM] x\n", .result = -EAGAIN,
     .code = "SYS/PERM"},
    {BACKEND_POP3, "> +OK x\n< USER *\n< PASS *\n> +OK\n> -ERR [SYS/TEMP] x\n", .result = -EAGAIN,
     .code = ""},
    {BACKEND_IMAP, DOVECOT LOGIN "> L BAD x\n", .result = -EAGAIN,
     .problem = "did not understand the log-in"},
    {BACKEND_IMAP, DOVECOT "< L AUTHENTICATE PLAIN " MASTER "\n> L NO x\n", .is_master = true,
     .result = -EAGAIN, .problem = "refused the log-in that was not the client's own"},
    {BACKEND_IMAP,
     DOVECOT "< L AUTHENTICATE OAUTHBEARER " BEARER
             "\n> + eyJzdGF0dXMiOiJ4In0=\n< AQ==\n> L NO bad token\n",
     .mechanism = AUTH_OAUTHBEARER, .result = -EACCES},
    {BACKEND_POP3,
     "> +OK x\n< USER user@example.com\n< PASS secret\n> +OK\n> -ERR [AUTH] no\n< CAPA\n> +OK\n> "
     "USER\n> .\n",
     .result = -EACCES, .text = "no"},
    {BACKEND_POP3,
     "> +OK x\n< USER user@example.com\n< PASS secret\n> -ERR [AUTH] not in clear\n> -ERR\n< "
     "CAPA\n> +OK\n> STLS\n> .\n",
     .result = -EAGAIN, .problem = "does not take passwords without TLS"},
    {BACKEND_POP3, "> -ERR busy\n", .result = -EAGAIN, .problem = "refused the connection"},
    {BACKEND_POP3, "> +OK [XCLIENT]\n< XCLIENT *\n< USER *\n< PASS *\n> -ERR who\n",
     .is_native = true, .result = -EAGAIN, .problem = "refused XCLIENT"},
    /* X04 */
    {BACKEND_SUBMISSION, "> 220 b\n" EHLO "> 250 AUTH\n", .result = -EAGAIN,
     .problem = "does not offer PLAIN"},
    {BACKEND_SUBMISSION, "> 220 b\n" EHLO "> 250-b\n> 251 x\n", .result = -EAGAIN,
     .problem = "sent what is no answer"},
    {BACKEND_SUBMISSION, "> 999 b\n", .result = -EAGAIN, .problem = "sent what is no answer"},
    {BACKEND_SUBMISSION, "> 554 no\n", .result = -EAGAIN, .problem = "refused the connection"},
    {BACKEND_SUBMISSION,
     "> 220 b\n" EHLO "> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN *\n> 535 5.7.8 no\n",
     .result = -EACCES, .text = "5.7.8 no"},
    {BACKEND_SUBMISSION,
     "> 220 b\n" EHLO "> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN *\n> 534 5.7.9 weak\n",
     .result = -EAGAIN},
    {BACKEND_SUBMISSION, "> 220 b\n" EHLO "> 250-b\n> 250 AUTH PLAIN\n< AUTH PLAIN *\n> 250 in\n",
     .result = -EAGAIN, .problem = "sent what is no answer"},
    {BACKEND_SIEVE, "> NO (TRYLATER) \"x\"\n", .result = -EAGAIN},
    {BACKEND_SIEVE, "> * OK imap\n", .result = -EAGAIN, .problem = "sent what is no answer"},
    {BACKEND_SIEVE, SIEVE "< AUTHENTICATE *\n> NO (AUTH/X) \"it \\\\\"is\\\\\" no\"\n",
     .result = -EACCES, .text = "it \"is\" no"},
    {BACKEND_SIEVE, SIEVE "< AUTHENTICATE *\n> NO {4}\n+ dull\n> \n", .result = -EACCES,
     .text = ""},
    {BACKEND_SIEVE, SIEVE "< AUTHENTICATE *\n> BYE (TRYLATER) \"x\"\n", .result = -EAGAIN,
     .problem = "said good-bye", .login_ms = 500},
    /* nothing is sent */
    {BACKEND_IMAP, DOVECOT, .user = "a\r\nb", .result = -ENOKEY},
    {BACKEND_IMAP, DOVECOT, .secret = "a\nb", .result = -ENOKEY},
    {BACKEND_IMAP, DOVECOT, .no_secret = true, .result = -ENOKEY},
    {BACKEND_IMAP, DOVECOT, .ttl = 1, .result = -ELOOP, /* X11 */
     .problem = "too many gateways on the way: they refer to each other in a circle"},
    {BACKEND_IMAP, DOVECOT, .attributes = "host=203.0.113.9\n", .result = -EAGAIN,
     .problem = "the user's backend has an address that is not known here"},
    {BACKEND_IMAP, DOVECOT, .attributes = "host=198.51.100.1\nport=993\n", .any_address = true,
     .result = -ELOOP},
    {BACKEND_IMAP, DOVECOT, .attributes = "tls=maybe\n", .result = -EAGAIN},
};

static void bad_body(struct core *core)
{
    memset(too_long, 'x', sizeof too_long - 1);
    memcpy(too_long, "> * OK ", 7);
    too_many[0] = '\0';
    for (unsigned i = 0; i < 110; i++)
        strcat(too_many, i == 0 ? DOVECOT LOGIN : "> * 1 EXISTS\n");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peer_login login = bad[i];
        login.login_ms = login.login_ms ? login.login_ms : 1000; /* one round */
        peer_check(core, &login);
    }
}

static void bad_ones(void **state)
{
    (void)state;
    peer_run(bad_body);
}

/* ---------------------------------------------------------------- elsewhere */

static void elsewhere_body(struct core *core)
{
    static const char good[] = DOVECOT LOGIN DOVECOT_OK;
    char text[300];
    struct peer_result result;
    struct peer_login login = {BACKEND_IMAP, good, .backends = 3};
    for (login.dead = 0; login.dead < 3; login.dead++) { /* refused there: another has him */
        peer.script[1] = peer.script[2] = good;
        peer_log_in(core, &login, &result);
        check_equal(result.result, 0);
        check_equal(peer.connections[0] + peer.connections[1] + peer.connections[2], 1);
    }
    login.dead = 0;
    static const char later[] = DOVECOT LOGIN "> L NO [UNAVAILABLE] x\n";
    login.script = later; /* all say so: each is asked once a round */
    peer.script[1] = peer.script[2] = later;
    login.login_ms = 1000;
    peer_log_in(core, &login, &result);
    check_equal(result.result, -EAGAIN);
    check(strlen(result.answer.path) == strlen("b0,b1,b2"));
    static const char wrong[] = DOVECOT LOGIN "> L NO x\n";
    login.script = wrong; /* a verdict is not asked for again */
    peer.script[1] = peer.script[2] = wrong;
    peer_log_in(core, &login, &result);
    check_equal(result.result, -EACCES);
    check_equal(peer.connections[0] + peer.connections[1] + peer.connections[2], 1);
    /* one that is starting again is tried a second later */
    struct peer_login again = {BACKEND_IMAP, "close\nmore\n", .result = 0};
    snprintf(text, sizeof text, "+ \nmore\n%s", good);
    again.script = "> * BYE starting\nmore\n" DOVECOT LOGIN DOVECOT_OK;
    peer_log_in(core, &again, &result);
    check_equal(result.result, 0);
    check_equal(peer.connections[0], 2);
    check(strcmp(result.answer.path, "b0,b0") == 0);
    /* referrals: to one of the pool's; to each other; to a stranger */
    login = (struct peer_login){BACKEND_IMAP,
                                DOVECOT LOGIN "> L NO [REFERRAL imap://u;AUTH=*@b1/] there\n",
                                .backends = 3, .attributes = "backend=b0\n"};
    peer.script[1] = good;
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check(strcmp(result.answer.path, "b0,b1") == 0);
    peer.script[1] = DOVECOT LOGIN "> L NO [REFERRAL imap://u;AUTH=*@b2:1430/] there\n";
    peer.script[2] = DOVECOT LOGIN "> L NO [REFERRAL imap://b0/] there\n";
    peer_log_in(core, &login, &result);
    check_equal(result.result, -EAGAIN);
    check(strcmp(result.answer.problem, "the backends refer to each other") == 0);
    check(strcmp(result.answer.path, "b0,b1,b2") == 0);
    login.script = DOVECOT LOGIN "> L NO [REFERRAL imap://u@203.0.113.1/] there\n";
    peer_log_in(core, &login, &result);
    check_equal(result.result, -EAGAIN);
    check(strcmp(result.answer.problem, "refers to a backend that is not known here") == 0);
    /* an address that a directory says */
    snprintf(text, sizeof text, "host=127.0.0.2\nport=%u\ntls=no\n", peer_port(0));
    login = (struct peer_login){BACKEND_IMAP, good, .any_address = true, .attributes = text};
    peer_log_in(core, &login, &result);
    check_equal(result.result, harness_is_simulated() ? result.result : -EAGAIN);
    check(strcmp(result.answer.path, "127.0.0.2") == 0 ||
          strncmp(result.answer.path, "127.0.0.2,", 10) == 0);
}

static void elsewhere(void **state)
{
    (void)state;
    peer_run(elsewhere_body);
}

/* ---------------------------------------------------------------- the rest */

static unsigned glances; /* before it is gone */

static bool left(void *argument)
{
    (void)argument;
    return glances == 0 || glances-- == 0;
}

static void stay(void *core)
{
    fiber_sleep(core, 500000000);
}

/* With a quarter of the stacks left a log-in is put off, so that those before it get on. */
static void crowded_body(struct core *core)
{
    static const struct peer_login refused = {BACKEND_IMAP, "", .result = -EAGAIN,
                                              .problem = "too many log-ins wait here"};
    const uint64_t *active = &core_counters(core)->value[COUNTER_FIBERS_ACTIVE];
    while (*active <= core_fibers_max(core) / 4 * 3)
        check_equal(fiber_start(core, stay, core), 0);
    peer_check(core, &refused);
    while (*active > core_fibers_max(core) / 4 * 3)
        fiber_sleep(core, 20000000);
    peer_check(core, &honest[0]);
}

static void others_body(struct core *core)
{
    char text[BACKEND_CAPABILITY_BYTES_MAX + 1];
    const char *problem;
    struct peer_result result;
    /* what comes behind the answer is the session's, byte for byte (X12, X13) */
    struct peer_login login = {BACKEND_IMAP,
                               DOVECOT LOGIN "+ L OK in\\r\\n* 1 EXISTS\\r\\n* 2 EX\n"};
    peer_log_in(core, &login, &result);
    check_equal(result.result, 0);
    check(strcmp(result.behind, "* 1 EXISTS\r\n* 2 EX") == 0);
    check_equal(result.logins, 1);
    /* a client that has left keeps nobody waiting */
    login = (struct peer_login){BACKEND_IMAP, DOVECOT LOGIN "stall\n", .gone = left};
    for (unsigned i = 0; i < 4; i++) { /* before the log-in is sent, and while it is waited for */
        uint64_t begin_ns = core_now_ns(core);
        glances = i;
        peer_log_in(core, &login, &result);
        check_equal(result.result, -ECANCELED);
        check_equal(result.failures, 0);
        check(core_now_ns(core) - begin_ns < 3 * SECOND_NS);
    }
    /* checks: as a log-in would, without a user; nobody is behind the PROXY header */
    login = (struct peer_login){BACKEND_IMAP, "proxy\n" DOVECOT "< Z LOGOUT\n", .is_proxy = true};
    check_equal(peer_probe(core, &login, text, &problem), 0);
    check(strncmp(text, "IMAP4rev1 SASL-IR ", 18) == 0 && peer.problem[0] == '\0');
    check_equal(peer.header_size, 16);
    check_equal(peer.header[12], 0x20);
    login = (struct peer_login){BACKEND_LMTP,
                                "> 220 b\n< LHLO localhost\n> 250-b\n> 250 SIZE 7\n< QUIT\n"};
    check_equal(peer_probe(core, &login, text, &problem), 0);
    check(strcmp(text, "SIZE=7") == 0 && peer.problem[0] == '\0');
    login = (struct peer_login){BACKEND_POP3,
                                "> +OK x\n< CAPA\n> +OK\n> TOP\n> SASL PLAIN\n> .\n< QUIT\n"};
    check_equal(peer_probe(core, &login, text, &problem), 0);
    check(strcmp(text, "TOP SASL=PLAIN") == 0 && peer.problem[0] == '\0');
    login = (struct peer_login){BACKEND_SIEVE, "> NO\n"};
    check_equal(peer_probe(core, &login, text, &problem), -EAGAIN);
    check(strcmp(problem, "refused the connection") == 0);
    crowded_body(core);
}

static void others(void **state)
{
    (void)state;
    peer_run(others_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(honest_ones), cmocka_unit_test(bad_ones), cmocka_unit_test(elsewhere),
        cmocka_unit_test(others),      cmocka_unit_test(stops),    cmocka_unit_test(cuts),
    };
    return cmocka_run_group_tests_name("backend_login", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "3", 0);
    return harness_main(tests);
}
