/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail through the whole gateway on one or two cores: SMTP and LMTP clients in straight lines, by
 * DATA and BDAT, to users of several shards, in lives that end by power cuts, kills and fail-stops,
 * with all faults of network and disk on. The promise under test is the one that a 250 makes: each
 * recipient has the message, once, byte for byte, whatever happens; without a 250 at most once; and
 * never when its end was not sent (S33 of the list of bad inputs; D16 by slow disks, F06 by
 * fail-stops).
 */
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/gateway.h"
#include "ringpost/hash.h"
#include "ringpost/smtp.h"

#include "scenarios.h"

enum {
    LIVES = 4,
    TRIES_MAX = 12,
    CLIENTS = 4,
    USERS = 4,
    LETTERS_MAX = 400,
    LETTER_BYTES_MAX = 80000,
    TRACE_ROOM = 2000,
    SMTP_PORT = 25,
    LMTP_PORT = 24
};
static const uint64_t SECOND = 1000000000;

struct letter {
    uint32_t size;
    uint8_t asked, acknowledged; /* bits of users */
    bool is_cut;                 /* its end was never sent */
    uint8_t found[USERS];
};

struct mail {
    struct sim *sim;
    struct gateway gateway;
    struct gateway_options gateway_options;
    struct smtp_options smtp_options;
    struct service services[2];
    struct route_table *routes;
    struct auth_users *users;
    const uint32_t *faults;
    unsigned cores, working, count, checked_user;
    char *text, *wire; /* of the letter at hand: made, sent and checked in one go */
    struct letter letters[LETTERS_MAX];
};

/* ---------------------------------------------------------------- letters */

static const char *const names[USERS] = {"u0@x.test", "u1@x.test", "u2@x.test", "u3@x.test"};

/* The text of letter `id`: the same whenever it is made. Lines, many with a dot in front. */
static struct slice letter_text(const struct mail *mail, unsigned id)
{
    const struct letter *letter = &mail->letters[id];
    size_t size = (size_t)snprintf(mail->text, 100, "Subject: letter\r\nX-Letter: %u\r\n\r\n", id);
    while (size + 2 < letter->size) {
        uint64_t draw = hash_u64((uint64_t)id << 32 | size);
        size_t line = draw % 90;
        for (size_t i = 0; i < line && size + 2 < letter->size; i++)
            mail->text[size++] = i == 0 && draw % 3 == 0 ? '.' : (char)('a' + (draw + i) % 26);
        memcpy(mail->text + size, "\r\n", 2);
        size += 2;
    }
    memset(mail->text + size - 2, 'x', letter->size - size); /* the last line: to the size */
    memcpy(mail->text + letter->size - 2, "\r\n", 2);
    return slice_of(mail->text, letter->size);
}

static struct slice stuffed(const struct mail *mail, struct slice text)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.' && (i == 0 || text.data[i - 1] == '\n'))
            mail->wire[size++] = '.';
        mail->wire[size++] = text.data[i];
    }
    return slice_of(mail->wire, size);
}

/* ---------------------------------------------------------------- clients */

/* The code of a whole reply; 0: the connection has ended, or nothing comes. */
static unsigned reply(struct sim_actor *actor, struct sim_client *client)
{
    struct slice line;
    uint64_t code;
    while (sim_actor_line(actor, client, 300 * SECOND, &line)) {
        if (line.size < 4 || !slice_number(slice_first(line, 3), 599, &code)) {
            sim_fail(sim_actor_sim(actor), "no reply: %.*s", (int)line.size, line.data);
            return 0;
        }
        if (line.data[3] == ' ')
            return (unsigned)code;
    }
    return 0;
}

static unsigned ask(struct sim_actor *actor, struct sim_client *client, const char *text)
{
    sim_client_text(client, text);
    unsigned code = reply(actor, client);
    if (code / 100 == 5)
        sim_fail(sim_actor_sim(actor), "%u for good: %s", code, text);
    return code;
}

/* One RCPT; the users it stands for, or 0. */
static unsigned recipient(struct sim_actor *actor, struct sim_client *client)
{
    char text[64];
    unsigned user = sim_below(sim_actor_sim(actor), USERS + 1);
    snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", user < USERS ? names[user] : "both@x.test");
    if (ask(actor, client, text) != 250)
        return 0;
    return user < USERS ? 1u << user : 3;
}

/* Sends the text by BDAT or DATA. False: it was not asked for, or not sent to its end. */
static bool send_text(struct sim_actor *actor, struct mail *mail, struct sim_client *client,
                      unsigned id)
{
    struct sim *sim = mail->sim;
    struct letter *letter = &mail->letters[id];
    char line[64];
    letter->is_cut = sim_below(sim, 6) == 0;
    if (sim_below(sim, 2) == 0) {
        uint32_t left = letter->size, sent = 0;
        while (left > 0) {
            uint32_t part = sim_below(sim, 3) == 0 ? 1 + sim_below(sim, left) : left;
            bool is_last = part == left;
            uint32_t now = letter->is_cut && is_last ? part - 1 : part;
            snprintf(line, sizeof line, "BDAT %u%s\r\n", part, is_last ? " LAST" : "");
            sim_client_text(client, line);
            sim_client_send(client, letter_text(mail, id).data + sent, now);
            sent += part;
            left -= part;
            if (left > 0 && reply(actor, client) != 250) {
                letter->is_cut = true;
                return false;
            }
        }
        return !letter->is_cut;
    }
    if (ask(actor, client, "DATA\r\n") != 354) {
        letter->is_cut = true;
        return false;
    }
    struct slice wire = stuffed(mail, letter_text(mail, id));
    sim_client_send(client, wire.data, wire.size);
    sim_client_text(client, letter->is_cut ? ".\r" : ".\r\n");
    return !letter->is_cut;
}

/* False: the connection is of no more use. */
static bool send_letter(struct sim_actor *actor, struct mail *mail, struct sim_client *client,
                        bool is_lmtp)
{
    struct sim *sim = mail->sim;
    unsigned targets[4], count = 0;
    if (mail->count == LETTERS_MAX || ask(actor, client, "RSET\r\n") != 250)
        return false;
    if (ask(actor, client, "MAIL FROM:<s@y.test>\r\n") != 250)
        return true;
    if (mail->count == LETTERS_MAX)
        return false;
    unsigned id = mail->count++;
    struct letter *letter = &mail->letters[id];
    letter->size = 60 + sim_below(sim, sim_below(sim, 4) ? 3000 : LETTER_BYTES_MAX - 100);
    for (unsigned i = 1 + sim_below(sim, 3); i > 0; i--) {
        targets[count] = recipient(actor, client);
        letter->asked |= (uint8_t)targets[count];
        count += targets[count] != 0;
    }
    if (count == 0)
        return true;
    if (!send_text(actor, mail, client, id))
        return false;
    for (unsigned i = 0; i < (is_lmtp ? count : 1); i++) {
        unsigned code = reply(actor, client);
        if (code / 100 == 5)
            sim_fail(sim, "letter %u is refused for good: %u", id, code);
        if (code == 250)
            letter->acknowledged |= (uint8_t)(is_lmtp ? targets[i] : letter->asked);
        if (code == 0 || code == 421)
            return false;
    }
    return true;
}

static void client_body(struct sim_actor *actor, void *argument)
{
    struct mail *mail = argument;
    struct sim *sim = mail->sim;
    for (unsigned sessions = 1 + sim_below(sim, 4); sessions > 0 && sim_is_up(sim); sessions--) {
        bool is_lmtp = sim_below(sim, 3) == 0;
        struct sim_client *client = sim_connect(sim, "192.0.2.9", is_lmtp ? LMTP_PORT : SMTP_PORT);
        bool goes_on = reply(actor, client) == 220 &&
                       ask(actor, client, is_lmtp ? "LHLO c\r\n" : "EHLO c\r\n") == 250;
        for (unsigned letters = 1 + sim_below(sim, 5); letters > 0 && goes_on; letters--) {
            goes_on = send_letter(actor, mail, client, is_lmtp);
            sim_actor_sleep(actor, sim_below(sim, 20) * 1000000);
        }
        if (goes_on)
            ask(actor, client, "QUIT\r\n");
        sim_client_close(client);
        sim_actor_sleep(actor, sim_below(sim, 300) * 1000000);
    }
    mail->working--;
}

/* ---------------------------------------------------------------- lives */

static bool is_decided(void *argument)
{
    const struct mail *mail = argument;
    return mail->gateway.state == GATEWAY_READY || mail->gateway.failed > 0;
}

static bool is_stopped(void *argument)
{
    const struct mail *mail = argument;
    return mail->gateway.state == GATEWAY_STOPPED;
}

static bool is_idle(void *argument)
{
    const struct mail *mail = argument;
    return mail->working == 0;
}

static enum sim_crash_kind kind_draw(struct sim *sim)
{
    uint32_t draw = sim_below(sim, 16);
    return draw < 9 ? SIM_POWER_CUT : draw < 14 ? SIM_KILL : SIM_FAIL_STOP;
}

static bool life_begin(struct mail *mail)
{
    struct sim *sim = mail->sim;
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        if (i == TRIES_MAX / 2)
            sim_heal(sim);
        if (sim_start(sim) != 0)
            continue;
        gateway_init(&mail->gateway, &mail->gateway_options);
        for (unsigned core = 0; core < mail->cores; core++)
            sim_spawn(sim, core, gateway_open, &mail->gateway, NULL);
        int result = sim_until(sim, is_decided, mail, 900 * SECOND);
        if (result == 0 && mail->gateway.failed == 0)
            return true;
        if (result == SIM_STUCK)
            sim_fail(sim, "the gateway's start is stuck");
        if (sim_is_up(sim))
            sim_crash(sim, kind_draw(sim));
    }
    sim_fail(sim, "the gateway does not start");
    return false;
}

static int close_body(struct core *core, void *gateway)
{
    gateway_close(core, gateway);
    return 0;
}

static void life_close(struct mail *mail)
{
    for (unsigned core = 0; core < mail->cores; core++)
        sim_spawn(mail->sim, core, close_body, &mail->gateway, NULL);
    int result = sim_until(mail->sim, is_stopped, mail, 900 * SECOND);
    if (result == SIM_STUCK)
        sim_fail(mail->sim, "draining is stuck");
    if (result == 0)
        sim_stop(mail->sim);
}

static void life_work(struct mail *mail)
{
    struct sim *sim = mail->sim;
    for (unsigned fault = 0; fault < SIM_FAULT_COUNT; fault++)
        sim_fault_set(sim, fault, mail->faults[fault]);
    if (sim_below(sim, 4) != 0)
        sim_crash_after(sim, kind_draw(sim), 1 + sim_below(sim, 6000));
    mail->working = CLIENTS;
    for (unsigned i = 0; i < CLIENTS; i++)
        sim_actor_start(sim, client_body, mail);
    while (!is_idle(mail)) /* the clients outlive a crash, which ends their connections */
        if (sim_until(sim, is_idle, mail, 9000 * SECOND) == SIM_STUCK) {
            sim_fail(sim, "the clients are stuck");
            break;
        } else if (!sim_is_up(sim)) {
            sim_pass(sim, SECOND);
        }
    sim_crash_after(sim, SIM_FAIL_STOP, 0);
}

/* ---------------------------------------------------------------- what is there */

static void check_message(struct mail *mail, unsigned user, struct slice message)
{
    static const char key[] = "\r\nX-Letter: ";
    const char *at = memmem(message.data, message.size, key, sizeof key - 1);
    uint64_t id = 0;
    struct slice rest =
        slice_from(message, at ? (size_t)(at - message.data) + sizeof key - 1 : message.size);
    if (!slice_number(slice_first(rest, slice_find(rest, '\r')), mail->count - 1, &id)) {
        sim_fail(mail->sim, "%s has a message that nobody sent", names[user]);
        return;
    }
    struct slice text = letter_text(mail, (unsigned)id);
    struct slice trace = slice_first(message, message.size - text.size);
    bool is_whole =
        message.size >= text.size && trace.size < TRACE_ROOM &&
        slice_equal(slice_from(message, trace.size), text) &&
        slice_starts_nocase(trace, SLICE("Return-Path: <s@y.test>\r\nReceived: from c"));
    if (!is_whole)
        sim_fail(mail->sim, "letter %u of %s is altered: %zu bytes before %zu, begins %.40s",
                 (unsigned)id, names[user], trace.size, text.size, message.data);
    mail->letters[id].found[user]++;
}

static int read_mailbox(struct mail *mail, struct mailbox *mailbox, const struct view *view)
{
    char *data = sim_keep_alloc(LETTER_BYTES_MAX + TRACE_ROOM);
    int result = 0;
    for (uint32_t number = 1; number <= view->count && result == 0; number++) {
        const struct mail_entry *entry = view_entry(view, number);
        uint64_t size = 0;
        while (size < entry->size) {
            int64_t got = message_read(mailbox, entry, size, data + size,
                                       LETTER_BYTES_MAX + TRACE_ROOM - (size_t)size);
            if (got <= 0) {
                sim_fail(mail->sim, "message_read: %d", (int)got);
                result = -EIO;
                break;
            }
            size += (uint64_t)got;
        }
        if (result == 0)
            check_message(mail, mail->checked_user, slice_of(data, (size_t)size));
    }
    sim_keep_free(data);
    return result;
}

static int check_body(struct core *core, void *argument)
{
    struct mail *mail = argument;
    struct account *account;
    struct view view = {0};
    int result = account_open(core, slice_cstr(names[mail->checked_user]), &account);
    if (result < 0)
        return result;
    struct mailbox *inbox = account_mailbox(account, SLICE("INBOX"));
    result = view_open(account, inbox, true, &view);
    if (result == 0) {
        result = read_mailbox(mail, inbox, &view);
        view_close(&view);
    }
    account_close(account);
    return result;
}

static void compare(struct mail *mail, bool is_final)
{
    for (unsigned id = 0; id < mail->count; id++) {
        const struct letter *letter = &mail->letters[id];
        for (unsigned user = 0; user < USERS; user++) {
            unsigned found = letter->found[user], bit = 1u << user;
            if (found > 1)
                sim_fail(mail->sim, "letter %u is there %u times", id, found);
            if (found == 1 && (!(letter->asked & bit) || letter->is_cut))
                sim_fail(mail->sim, "letter %u is with %s, and should not", id, names[user]);
            if (found == 0 && is_final && (letter->acknowledged & bit))
                sim_fail(mail->sim, "letter %u was acknowledged for %s, and is lost", id,
                         names[user]);
        }
    }
}

/* In calm: reads all mailboxes. What is on its way between shards has time to arrive. */
static void check_all(struct mail *mail, bool is_final)
{
    sim_pass(mail->sim, 20 * SECOND);
    for (unsigned id = 0; id < mail->count; id++)
        memset(mail->letters[id].found, 0, sizeof mail->letters[id].found);
    for (mail->checked_user = 0; mail->checked_user < USERS; mail->checked_user++) {
        struct slice name = slice_cstr(names[mail->checked_user]);
        unsigned home = store_home_core(sim_core(mail->sim, 0), name);
        int result = sim_run(mail->sim, home, check_body, mail);
        if (result != 0)
            sim_fail(mail->sim, "%s cannot be read: %d", names[mail->checked_user], result);
    }
    if (sim_failure(mail->sim) == NULL)
        compare(mail, is_final);
}

/* ---------------------------------------------------------------- the scenario */

static void no_problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users line %u: %s\n", line, what);
}

static void mail_make(struct mail *mail, uint64_t draw)
{
    static const char passwd[] =
        "u0@x.test:$6$rounds=1000$abcdefgh$XqwJcW6OI747PCzoKGoK/1tWSlKoh2vkjEp0I.CpQYUGXuxtpSzAi0rX"
        "pF1oWR/3/HfvxKLb7xwD0vymBsSv8/\n";
    struct route_domain_options plain = {.detail_mailbox = false};
    if (route_create(&mail->routes) < 0 ||
        route_add_domain(mail->routes, SLICE("x.test"), &plain) < 0 ||
        auth_users_parse(slice_cstr(passwd), no_problem, NULL, &mail->users) < 0)
        abort();
    for (unsigned i = 0; i < USERS; i++)
        if (route_add_user(mail->routes, slice_cstr(names[i])) < 0)
            abort();
    for (unsigned i = 0; i < 2; i++)
        if (route_add_alias(mail->routes, SLICE("both@x.test"), slice_cstr(names[i])) < 0)
            abort();
    mail->smtp_options = (struct smtp_options){
        .routes = mail->routes,
        .message_bytes_max = 200000,
        .recipients_max = 100,
        .received_max = 50,
        .data_ms_max = 200000,
        .data_bytes_per_second_min = 500,
    };
    mail->gateway_options = (struct gateway_options){
        .store = {.directory = "/store",
                  .shard_count = 1 + (unsigned)(draw >> 32) % 4,
                  .segment_bytes = 262144,
                  .cache_bytes = (draw >> 44) % 3 == 0 ? 0 : 30000},
        .auth = {.users = mail->users, .waiting_max = 20},
        .services = {&mail->services[0], &mail->services[1]},
        .service_count = 2,
        .drain_pace_ms = 10,
        .drain_wait_ms = 2000,
    };
    for (unsigned i = 0; i < 2; i++)
        mail->services[i] = (struct service){
            .protocol = i ? &lmtp_protocol : &smtp_protocol,
            .options = &mail->smtp_options,
            .host_name = SLICE("mx.x.test"),
            .address = "0.0.0.0",
            .port = i ? LMTP_PORT : SMTP_PORT,
            .connections_max = 20,
            .idle_ms_max = 200000,
            .command_ms_max = 200000,
            .errors_max = 20,
            .junk_max = 100,
        };
    mail->text = malloc(LETTER_BYTES_MAX + 200);
    mail->wire = malloc(2 * LETTER_BYTES_MAX + 200);
    if (mail->text == NULL || mail->wire == NULL)
        abort();
}

static void mail_free(struct mail *mail)
{
    route_free(mail->routes);
    auth_users_free(mail->users);
    free(mail->text);
    free(mail->wire);
    free(mail);
}

int scenario_mail(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    uint64_t draw = hash_u64(one->seed + 1234);
    uint32_t faults[SIM_FAULT_COUNT];
    memcpy(faults, options.faults, sizeof faults);
    options.engine.core_count = 1 + (unsigned)(draw % 2);
    options.engine.fibers_max = 40;
    options.engine.stack_bytes = 131072;
    options.engine.buffers = 16;
    options.engine.connections_max = 30;
    struct mail *mail = calloc(1, sizeof *mail);
    if (mail == NULL)
        abort();
    mail_make(mail, draw);
    mail->sim = sim_create(&options);
    mail->faults = faults;
    mail->cores = options.engine.core_count;
    /* The store's own name is promised to last when the operator has made the directory, or when no
     * sync of its parent fails in a life that then dies (src/store/identity.c). */
    if (faults[SIM_FAULT_FSYNC_ERROR] > 0)
        sim_directory_make(mail->sim, "/store");
    for (unsigned life = 0; life < LIVES && sim_failure(mail->sim) == NULL; life++) {
        if (!life_begin(mail))
            break;
        if (sim_case_step(one, life))
            life_work(mail);
        if (sim_is_up(mail->sim) && sim_below(mail->sim, 3) == 0)
            life_close(mail);
        if (sim_is_up(mail->sim))
            sim_crash(mail->sim, kind_draw(mail->sim));
        sim_heal(mail->sim);
        if (sim_failure(mail->sim) != NULL || !life_begin(mail))
            break;
        check_all(mail, true);
        life_close(mail);
    }
    if (one->verbose)
        fprintf(stderr, "%.*s", (int)sim_log(mail->sim).size, sim_log(mail->sim).data);
    int result = sim_case_end(mail->sim, why, why_size);
    mail_free(mail);
    return result;
}
