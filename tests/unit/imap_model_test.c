/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several clients work on one mailbox at once, each keeping the picture of it that the server's
 * answers give (RFC 9051 5.2, 7.5.1): numbers, UIDs, flags. After every few rounds each picture is
 * compared with what the server says now. EXPUNGE where it is forbidden, a number beyond the
 * picture, a UID that changed, a flag that was not told, a keyword without a name: each ends the
 * test.
 *
 * Row of the list of bad input: I18.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap_host.h"

const unsigned imap_port = 22230;

enum { CLIENTS = 4, MESSAGES_MAX = 4000, GROW_TO = 60, UNKNOWN = 0xffff };

enum kind { NOOP, STORE, APPEND, EXPUNGE, COPY, MOVE, FETCH, SEARCH, IDLE, RESELECT, KIND_COUNT };

struct known {
    uint32_t uid;   /* 0: not told yet */
    uint32_t flags; /* bits by flag_names, or UNKNOWN */
};

struct client {
    int fd;
    unsigned number, tags;
    enum kind kind;
    bool is_uid, is_checking;
    uint32_t count;
    unsigned fetched; /* answers of the running FETCH */
    uint32_t named;   /* flags that a FLAGS answer has named (RFC 9051 7.3.5) */
    struct known messages[MESSAGES_MAX + 1];
};

static const char *const flag_names[] = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen",
                                         "\\Draft",    "$A",        "$B"};
enum { FLAG_COUNT = sizeof flag_names / sizeof flag_names[0] };

static struct client clients[CLIENTS];
static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % bound;
}

/* ---------------------------------------------------------------- what the server says */

/* "(\Seen $A)" */
static uint32_t flags_of(const char *text)
{
    uint32_t flags = 0;
    while (*text != ')') {
        size_t size = strcspn(++text, " )");
        for (unsigned i = 0; i < FLAG_COUNT; i++)
            if (strlen(flag_names[i]) == size && memcmp(text, flag_names[i], size) == 0)
                flags |= 1u << i;
        text += size;
    }
    return flags;
}

static void fetched(struct client *client, uint32_t number, const char *line)
{
    check(number >= 1 && number <= client->count);
    struct known *known = &client->messages[number];
    const char *uid_text = strstr(line, "UID "), *flags_text = strstr(line, "FLAGS (");
    uint32_t uid = uid_text != NULL ? (uint32_t)strtoul(uid_text + 4, NULL, 10) : 0;
    if (uid != 0) {
        check(known->uid == 0 || known->uid == uid);
        known->uid = uid;
        for (uint32_t i = number; i-- > 1;)
            check(client->messages[i].uid < uid);
        for (uint32_t i = number + 1; i <= client->count; i++)
            check(client->messages[i].uid == 0 || client->messages[i].uid > uid);
    }
    if (flags_text != NULL) {
        uint32_t flags = flags_of(flags_text + 6);
        if (client->is_checking && known->flags != UNKNOWN)
            check_equal(known->flags, flags);
        check((flags & ~client->named) == 0);
        known->flags = flags;
    }
    client->fetched++;
}

static void untagged(struct client *client, const char *line)
{
    char *word;
    uint32_t number = (uint32_t)strtoul(line + 2, &word, 10);
    if (memcmp(line, "* SEARCH", 8) == 0) {
        const char *at = line + 8;
        while (*at == ' ') {
            uint32_t found = (uint32_t)strtoul(at, (char **)&at, 10);
            check(found >= 1 && (client->is_uid || found <= client->count));
        }
    } else if (strcmp(word, " EXISTS") == 0) {
        check(number >= client->count && number <= MESSAGES_MAX);
        while (client->count < number)
            client->messages[++client->count] = (struct known){0, UNKNOWN};
    } else if (strcmp(word, " EXPUNGE") == 0) {
        bool is_forbidden = !client->is_uid && (client->kind == FETCH || client->kind == STORE ||
                                                client->kind == SEARCH);
        check(!is_forbidden && number >= 1 && number <= client->count);
        memmove(&client->messages[number], &client->messages[number + 1],
                (client->count - number) * sizeof client->messages[0]);
        client->count--;
    } else if (memcmp(word, " FETCH (", 8) == 0) {
        fetched(client, number, line);
    } else if (memcmp(line, "* FLAGS (", 9) == 0) {
        client->named = flags_of(line + 8);
    } else {
        check(strcmp(word, " RECENT") == 0 || memcmp(line, "* OK [", 6) == 0);
    }
}

/* Reads up to the tagged answer. */
static void answered(struct client *client)
{
    char line[4096], tag[32];
    size_t tag_size = (size_t)snprintf(tag, sizeof tag, "t%u ", client->tags);
    for (;;) {
        client_line(client->fd, line, sizeof line);
        for (char *open; (open = strrchr(line, '{')) != NULL && strchr(open, '}')[1] == '\0';) {
            char literal[2000];
            client_get(client->fd, literal, strtoul(open + 1, NULL, 10));
            client_line(client->fd, open, sizeof line - (size_t)(open - line));
        }
        if (memcmp(line, tag, tag_size) == 0)
            break;
        if (line[0] == '+' && client->kind == IDLE)
            client_say(client->fd, "DONE\r\n");
        else
            untagged(client, line);
    }
    bool is_good = memcmp(line + tag_size, "OK", 2) == 0 ||
                   memcmp(line + tag_size, "NO [EXPUNGEISSUED]", 18) == 0;
    if (!is_good)
        fprintf(stderr, "%s\n", line);
    check(is_good);
}

/* ---------------------------------------------------------------- what clients do */

static void say(struct client *client, enum kind kind, bool is_uid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct client *client, enum kind kind, bool is_uid, const char *format, ...)
{
    char line[500];
    va_list arguments;
    client->kind = kind;
    client->is_uid = is_uid;
    client->fetched = 0;
    size_t size =
        (size_t)snprintf(line, sizeof line, "t%u %s", ++client->tags, is_uid ? "UID " : "");
    va_start(arguments, format);
    size += (size_t)vsnprintf(line + size, sizeof line - size - 2, format, arguments);
    va_end(arguments);
    memcpy(line + size, "\r\n", 2);
    client_put(client->fd, line, size + 2);
}

static void store(struct client *client, bool is_uid, uint32_t first, uint32_t last)
{
    unsigned how = below(3), flag = below(3) == 0 ? 2 : below(FLAG_COUNT),
             other = below(FLAG_COUNT);
    bool is_silent = below(2);
    uint32_t bits = 1u << flag | 1u << other;
    for (uint32_t i = 1; i <= client->count && is_silent; i++) {
        struct known *known = &client->messages[i];
        uint32_t key = is_uid ? known->uid : i;
        if (key < first || key > last || key == 0)
            continue;
        if (how == 2)
            known->flags = bits;
        else if (known->flags != UNKNOWN)
            known->flags = how == 0 ? known->flags | bits : known->flags & ~bits;
    }
    say(client, STORE, is_uid, "STORE %u:%u %sFLAGS%s (%s %s)", first, last,
        how == 0   ? "+"
        : how == 1 ? "-"
                   : "",
        is_silent ? ".SILENT" : "", flag_names[flag], flag_names[other]);
}

static void select_again(struct client *client)
{
    say(client, RESELECT, false, below(2) ? "CLOSE" : "UNSELECT");
    answered(client);
    client->count = 0;
    say(client, RESELECT, false, "SELECT INBOX");
}

static void act(struct client *client)
{
    enum kind kind = (enum kind)below(KIND_COUNT);
    bool is_uid = below(2);
    uint32_t count = client->count;
    if (count == 0 && kind != RESELECT && kind != IDLE && kind != NOOP)
        kind = APPEND;
    if (count > GROW_TO && (kind == APPEND || kind == COPY))
        kind = EXPUNGE;
    uint32_t first = 1 + below(count ? count : 1), last = first + below(3);
    last = last <= count ? last : count;
    uint32_t uid = client->messages[first].uid;
    if (uid == 0 || count == 0)
        is_uid = false;
    uint32_t from = is_uid ? uid : first, to = is_uid ? uid + (last - first) : last;
    switch (kind) {
    case STORE:
        store(client, is_uid, from, to);
        break;
    case APPEND:
        say(client, APPEND, false, "APPEND INBOX (%s) {1+}\r\nx", flag_names[below(FLAG_COUNT)]);
        break;
    case EXPUNGE:
        if (is_uid)
            say(client, EXPUNGE, true, "EXPUNGE %u:%u", from, to + 10);
        else
            say(client, EXPUNGE, false, "EXPUNGE");
        break;
    case COPY:
        say(client, COPY, is_uid, "COPY %u:%u INBOX", from, to);
        break;
    case MOVE:
        say(client, MOVE, is_uid, "MOVE %u:%u %s", from, to, below(2) ? "INBOX" : "Trash");
        break;
    case FETCH:
        say(client, FETCH, is_uid, "FETCH %u:%u (UID FLAGS%s)", from, to,
            below(4) == 0 ? " BODY[HEADER.FIELDS (X)]<0.1>" : "");
        break;
    case SEARCH:
        say(client, SEARCH, is_uid, "SEARCH %s", below(2) ? "ALL" : "OR DELETED UNSEEN");
        break;
    case IDLE:
        say(client, IDLE, false, "IDLE");
        break;
    case RESELECT:
        if (below(4) == 0)
            select_again(client);
        else
            say(client, NOOP, false, "CHECK");
        break;
    default:
        say(client, NOOP, false, "NOOP");
    }
}

/* Nobody else is doing anything now. */
static void compare(struct client *client)
{
    say(client, NOOP, false, "NOOP");
    answered(client);
    if (client->count == 0)
        return;
    client->is_checking = true;
    say(client, FETCH, false, "FETCH 1:* (UID FLAGS)");
    answered(client);
    client->is_checking = false;
    check_equal(client->fetched, client->count);
}

static void pictures(void **state)
{
    (void)state;
    static unsigned worlds;
    random_state = ++worlds;
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.fd = imap_login(0), .number = i};
        say(&clients[i], RESELECT, false, "SELECT INBOX");
        answered(&clients[i]);
    }
    for (unsigned round = 0; round < 400; round++) {
        unsigned busy = 1 + below(CLIENTS);
        for (unsigned i = 0; i < busy; i++)
            act(&clients[i]);
        for (unsigned i = busy; i-- > 0;)
            answered(&clients[i]);
        for (unsigned i = 0; i < CLIENTS && round % 10 == 9; i++)
            compare(&clients[i]);
        for (unsigned i = 1; i < CLIENTS && round % 10 == 9; i++) {
            check_equal(clients[i].count, clients[0].count);
            for (uint32_t number = 1; number <= clients[0].count; number++)
                check_equal(clients[i].messages[number].uid, clients[0].messages[number].uid);
        }
        struct client first = clients[0]; /* another one begins the next round */
        memmove(clients, clients + 1, sizeof clients - sizeof clients[0]);
        clients[CLIENTS - 1] = first;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(clients[i].fd);
}

static int imap_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pictures)};
    imap_host_begin();
    int result = cmocka_run_group_tests_name("imap model", tests, NULL, NULL);
    imap_host_end();
    return result;
}

int main(void)
{
    return harness_main(imap_tests);
}
