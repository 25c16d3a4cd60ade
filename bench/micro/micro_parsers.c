/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Micro-benchmarks of command parsers: a usual line each, with the arena that a session has for it.
 */
#include "../../src/imap/families.h"
#include "../../src/pop3/pop3_private.h"
#include "../../src/smtp/smtp_private.h"
#include "micro.h"

typedef const char *parse_function(struct slice text, struct arena *arena, void *ret_arguments);

static uint64_t one(void)
{
    return 1;
}

static void parse(parse_function *function, struct slice text)
{
    struct arena arena;
    _Alignas(16) char arguments[512] = {0};
    arena_init(&arena, 65536);
    micro_must(function(text, &arena, arguments) == NULL, text.data);
    arena_reset(&arena);
}

#define PARSE(name, function, text)                                                                \
    static void name(void)                                                                         \
    {                                                                                              \
        parse(function, SLICE(text));                                                              \
    }

/* clang-format off */
PARSE(run_smtp_mail, smtp_parse_mail,
      "FROM:<anna.example@mail.example.org> SIZE=10240 BODY=8BITMIME")
PARSE(run_smtp_rcpt, smtp_parse_rcpt, "TO:<bert.example@mail.example.net>")
PARSE(run_smtp_hello, smtp_parse_hello, "client.mail.example.org")
PARSE(run_imap_login, imap_login_parse, "\"anna@example.org\" \"secret word\"")
PARSE(run_imap_fetch, imap_fetch_parse,
      "1:100 (UID FLAGS INTERNALDATE RFC822.SIZE "
      "BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date)])")
PARSE(run_imap_search, imap_search_parse,
      "UNSEEN SINCE 1-Nov-2026 OR FROM \"anna\" SUBJECT \"weather\" NOT DELETED")
PARSE(run_imap_store, imap_store_parse, "1:20,30,40 +FLAGS.SILENT (\\Seen \\Answered)")
PARSE(run_pop3_retr, pop3_parse_number, "4711")
PARSE(run_pop3_top, pop3_parse_top, "4711 20")
/* clang-format on */

static void run_imap_line(void)
{
    struct command_line line;
    micro_must(imap_line_split(SLICE("a0042 UID FETCH 1:* (FLAGS)"), &line) == NULL, "imap-line");
}

const struct micro micro_parsers[] = {
    {"smtp-mail", "command", one, run_smtp_mail},
    {"smtp-rcpt", "command", one, run_smtp_rcpt},
    {"smtp-ehlo", "command", one, run_smtp_hello},
    {"imap-line", "command", one, run_imap_line},
    {"imap-login", "command", one, run_imap_login},
    {"imap-fetch", "command", one, run_imap_fetch},
    {"imap-search", "command", one, run_imap_search},
    {"imap-store", "command", one, run_imap_store},
    {"pop3-retr", "command", one, run_pop3_retr},
    {"pop3-top", "command", one, run_pop3_top},
    {0},
};
