/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The whole gateway under all faults, through several lives: senders deliver numbered messages by
 * SMTP, readers fetch by POP3 what is there.
 *
 * Oracle, kept outside of the crash domain:
 *   1 a message whose end was answered 250 is in each recipient's maildrop, once, byte for byte
 *   2 any other is there at most once, whole
 *   3 what a reader was shown stays, under the same unique-id; no unique-id is ever given to two
 *     messages
 *   4 whoever uses a generation of the settings leaves it, sessions and log-ins alike, whatever is
 *     adopted meanwhile
 *   5 healed, the gateway starts, serves, and comes to rest
 */
#include <stdio.h>
#include <stdlib.h>

#include "../script/host.h"
#include "scenarios.h"

enum {
    MESSAGES_MAX = 64,
    USERS = 3,
    SENDERS_MAX = 4,
    LIVES_MAX = 4,
    PORT_SMTP = 25,
    PORT_POP3 = PORT_SMTP + 2,
    UIDL_MAX = 72,
};
static const uint64_t PATIENCE_NS = UINT64_C(1200000000000);
static const char *const user_names[USERS] = {"anna", "bert", "carl"};

struct letter {
    unsigned users; /* bits: for whom */
    bool is_sent, is_acknowledged;
    bool shown[USERS];
    char uidl[USERS][UIDL_MAX]; /* as shown */
    uint32_t size;
};

struct post {
    const struct sim_case *one;
    struct sim *sim;
    const struct host *host;
    void *state;
    unsigned cores;
    int results[CORES_MAX];
    struct letter letters[MESSAGES_MAX];
    unsigned letter_count;
    unsigned user; /* the reader's */
    bool must_read, has_read;
    uint32_t steps;
};

/* ---------------------------------------------------------------- messages */

/* Line i of the body of a message, without CRLF; its size. */
static size_t body_line(unsigned number, unsigned i, char *ret_line)
{
    size_t size = (number * 7 + i * 13) % 70;
    memset(ret_line, 'a' + (char)((number + i) % 26), size);
    if (size > 0 && i % 5 == 0)
        ret_line[0] = '.';
    return size;
}

static unsigned body_lines(const struct letter *letter)
{
    return letter->size;
}

static void send_message(struct sim_client *client, const struct post *post, unsigned number)
{
    char line[100];
    int size = snprintf(line, sizeof line, "Subject: T%u\r\n\r\n", number);
    sim_client_send(client, line, (size_t)size);
    for (unsigned i = 0; i < body_lines(&post->letters[number]); i++) {
        char stuffed[100] = ".";
        size_t length = body_line(number, i, line);
        size_t dot = length > 0 && line[0] == '.';
        memcpy(stuffed + dot, line, length);
        memcpy(stuffed + dot + length, "\r\n", 2);
        sim_client_send(client, stuffed, dot + length + 2);
    }
}

/* ---------------------------------------------------------------- senders */

/* The last line of a reply; its code, or 0 when the connection is over. */
static unsigned reply(struct sim_actor *actor, struct sim_client *client)
{
    struct slice line;
    while (sim_actor_line(actor, client, PATIENCE_NS, &line))
        if (line.size >= 3 && (line.size == 3 || line.data[3] == ' '))
            return (unsigned)(line.data[0] - '0') * 100 + (unsigned)(line.data[1] - '0') * 10 +
                   (unsigned)(line.data[2] - '0');
    return 0;
}

static bool transaction(struct sim_actor *actor, struct sim_client *client, struct post *post,
                        unsigned number)
{
    struct letter *letter = &post->letters[number];
    char line[100];
    sim_client_text(client, "MAIL FROM:<sender@client.example>\r\n");
    if (reply(actor, client) != 250)
        return false;
    for (unsigned i = 0; i < USERS; i++) {
        if (!(letter->users >> i & 1))
            continue;
        snprintf(line, sizeof line, "RCPT TO:<%s@example.org>\r\n", user_names[i]);
        sim_client_text(client, line);
        if (reply(actor, client) != 250)
            return false;
    }
    sim_client_text(client, "DATA\r\n");
    if (reply(actor, client) != 354)
        return false;
    send_message(client, post, number);
    letter->is_sent = true;
    sim_client_text(client, ".\r\n");
    unsigned code = reply(actor, client);
    letter->is_acknowledged = code == 250;
    return code != 0;
}

static void sender(struct sim_actor *actor, void *argument)
{
    struct post *post = argument;
    struct sim *sim = post->sim;
    sim_actor_sleep(actor, sim_below(sim, 1000000000));
    struct sim_client *client = sim_connect(sim, "127.0.0.1", PORT_SMTP);
    bool is_up = reply(actor, client) == 220;
    if (is_up) {
        sim_client_text(client, "EHLO client.example\r\n");
        is_up = reply(actor, client) == 250;
    }
    unsigned count = 1 + sim_below(sim, 6);
    for (unsigned i = 0; i < count && is_up && post->letter_count < MESSAGES_MAX; i++) {
        unsigned number = post->letter_count++;
        post->letters[number].users = 1 + sim_below(sim, (1u << USERS) - 1);
        post->letters[number].size = sim_below(sim, 1u << (1 + sim_below(sim, 11)));
        if (sim_case_step(post->one, post->steps++))
            is_up = transaction(actor, client, post, number);
        if (sim_below(sim, 4) == 0)
            sim_actor_sleep(actor, sim_below(sim, 2000000000));
    }
    if (sim_below(sim, 3) == 0)
        sim_client_reset(client);
    else
        sim_client_close(client);
}

/* ---------------------------------------------------------------- readers */

static bool ok(struct sim_actor *actor, struct sim_client *client)
{
    struct slice line;
    return sim_actor_line(actor, client, PATIENCE_NS, &line) && line.size >= 3 &&
           memcmp(line.data, "+OK", 3) == 0;
}

/* Checks one message while it comes; its number, or -1 when the connection is over. */
static int read_message(struct sim_actor *actor, struct sim_client *client, struct post *post)
{
    struct slice line;
    char want[100];
    int number = -1;
    unsigned i = 0;
    bool is_body = false;
    while (sim_actor_line(actor, client, PATIENCE_NS, &line)) {
        if (line.size == 1 && line.data[0] == '.') {
            if (number >= 0 && i != body_lines(&post->letters[number]))
                sim_fail(post->sim, "message %d has %u lines, not %u", number, i,
                         body_lines(&post->letters[number]));
            if (number < 0)
                sim_fail(post->sim, "a message that nobody sent");
            return number;
        }
        if (line.size > 0 && line.data[0] == '.')
            line = slice_from(line, 1);
        if (is_body) {
            size_t size = number < 0 ? 0 : body_line((unsigned)number, i++, want);
            if (number >= 0 && !slice_equal(line, slice_of(want, size)))
                sim_fail(post->sim, "line %u of message %d is not what was sent", i, number);
        } else if (line.size == 0) {
            is_body = true;
        } else if (line.size > 10 && memcmp(line.data, "Subject: T", 10) == 0) {
            uint64_t value;
            if (slice_number(slice_from(line, 10), post->letter_count - 1, &value))
                number = (int)value;
        }
    }
    return -1;
}

static void shown(struct post *post, unsigned number, const char *uidl, bool *seen)
{
    struct letter *letter = &post->letters[number];
    unsigned user = post->user;
    if (!(letter->users >> user & 1))
        sim_fail(post->sim, "message %u is in %s's maildrop", number, user_names[user]);
    if (!letter->is_sent)
        sim_fail(post->sim, "message %u was never sent to its end", number);
    if (seen[number])
        sim_fail(post->sim, "message %u is twice in %s's maildrop", number, user_names[user]);
    seen[number] = true;
    for (unsigned i = 0; i < post->letter_count; i++)
        if (i != number && post->letters[i].shown[user] &&
            strcmp(post->letters[i].uidl[user], uidl) == 0)
            sim_fail(post->sim, "unique-id %s of %s is given twice", uidl, user_names[user]);
    if (letter->shown[user] && strcmp(letter->uidl[user], uidl) != 0)
        sim_fail(post->sim, "message %u of %s had unique-id %s, now %s", number, user_names[user],
                 letter->uidl[user], uidl);
    letter->shown[user] = true;
    memcpy(letter->uidl[user], uidl, UIDL_MAX);
}

/* What must be there when the maildrop was opened: it may be more by now. */
static void check_all(struct post *post, const bool *seen, const bool *must)
{
    for (unsigned i = 0; i < post->letter_count; i++)
        if (must[i] && !seen[i])
            sim_fail(post->sim, "message %u is not in %s's maildrop: %s", i, user_names[post->user],
                     post->letters[i].is_acknowledged ? "it was acknowledged"
                                                      : "it was shown before");
}

/* "+OK", then "n uidl" lines to ".". The count, or -1. */
static int read_uidl(struct sim_actor *actor, struct sim_client *client, char (*ret_uidl)[UIDL_MAX])
{
    struct slice line;
    int count = 0;
    sim_client_text(client, "UIDL\r\n");
    if (!ok(actor, client))
        return -1;
    while (sim_actor_line(actor, client, PATIENCE_NS, &line)) {
        if (line.size == 1)
            return count;
        struct slice uidl = slice_from(line, slice_find(line, ' ') + 1);
        if (count == MESSAGES_MAX || uidl.size >= UIDL_MAX)
            return -1;
        memset(ret_uidl[count], 0, UIDL_MAX);
        memcpy(ret_uidl[count++], uidl.data, uidl.size);
    }
    return -1;
}

static bool log_in(struct sim_actor *actor, struct sim_client *client, unsigned user)
{
    char line[100];
    if (!ok(actor, client))
        return false;
    snprintf(line, sizeof line, "USER %s@example.org\r\n", user_names[user]);
    sim_client_text(client, line);
    if (!ok(actor, client))
        return false;
    sim_client_text(client, "PASS secret\r\n");
    return ok(actor, client);
}

static void read_all(struct sim_actor *actor, struct sim_client *client, struct post *post)
{
    static char uidl[MESSAGES_MAX][UIDL_MAX];
    bool seen[MESSAGES_MAX] = {0}, must[MESSAGES_MAX] = {0};
    char line[100];
    for (unsigned i = 0; i < post->letter_count; i++)
        must[i] = (post->letters[i].users >> post->user & 1) &&
                  (post->letters[i].is_acknowledged || post->letters[i].shown[post->user]);
    if (!log_in(actor, client, post->user))
        return;
    int count = read_uidl(actor, client, uidl);
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "RETR %d\r\n", i + 1);
        sim_client_text(client, line);
        if (!ok(actor, client))
            return;
        int number = read_message(actor, client, post);
        if (number < 0)
            return;
        shown(post, (unsigned)number, uidl[i], seen);
    }
    if (count < 0)
        return;
    check_all(post, seen, must);
    post->has_read = true;
    sim_client_text(client, "QUIT\r\n");
    ok(actor, client);
}

static void reader(struct sim_actor *actor, void *argument)
{
    struct post *post = argument;
    for (post->user = 0; post->user < USERS; post->user++) {
        struct sim_client *client = sim_connect(post->sim, "127.0.0.1", PORT_POP3);
        post->has_read = false;
        read_all(actor, client, post);
        if (post->must_read && !post->has_read)
            sim_fail(post->sim, "healed, but %s cannot read (client state %d)",
                     user_names[post->user], (int)sim_client_state(client));
        sim_client_close(client);
    }
}

/* ---------------------------------------------------------------- reloads */

static int adopt_body(struct core *core, void *argument)
{
    struct post *post = argument;
    post->host->adopt(core, post->state);
    return 0;
}

static void reloader(struct sim_actor *actor, void *argument)
{
    struct post *post = argument;
    struct sim *sim = post->sim;
    for (unsigned count = sim_below(sim, 6); count > 0; count--) {
        sim_actor_sleep(actor, sim_below(sim, 2000000000));
        post->host->renew(post->state);
        for (unsigned i = 0; i < post->cores; i++)
            if (!sim_is_up(sim) || sim_spawn(sim, i, adopt_body, post, NULL) < 0)
                return;
    }
}

static void check_left(struct post *post)
{
    if (post->host->users(post->state) != 0)
        sim_fail(post->sim, "closed, but %llu still use the settings",
                 (unsigned long long)post->host->users(post->state));
}

/* ---------------------------------------------------------------- lives */

static int open_body(struct core *core, void *argument)
{
    struct post *post = argument;
    return post->host->open(core, post->state);
}

static int close_body(struct core *core, void *argument)
{
    struct post *post = argument;
    post->host->close(core, post->state);
    return 0;
}

static bool all_returned(void *argument)
{
    const struct post *post = argument;
    for (unsigned i = 0; i < post->cores; i++)
        if (post->results[i] == INT_MAX)
            return false;
    return true;
}

static int on_all_cores(struct post *post, int (*body)(struct core *core, void *argument))
{
    for (unsigned i = 0; i < post->cores; i++) {
        post->results[i] = INT_MAX;
        int result = sim_spawn(post->sim, i, body, post, &post->results[i]);
        if (result < 0)
            return result;
    }
    int result = sim_until(post->sim, all_returned, post, PATIENCE_NS);
    for (unsigned i = 0; i < post->cores && result == 0; i++)
        result = post->results[i];
    return result;
}

/* A start that fails ends the process; somebody starts it again. */
static bool start(struct post *post, unsigned tries)
{
    int result = 0;
    for (unsigned i = 0; i < tries; i++) {
        post->host->begin(post->state);
        result = sim_start(post->sim);
        if (result == 0)
            result = on_all_cores(post, open_body);
        if (result == 0)
            return true;
        if (sim_is_up(post->sim))
            sim_crash(post->sim, SIM_FAIL_STOP);
        sim_pass(post->sim, UINT64_C(1000000000));
    }
    sim_trace(post->sim, "does not start: %d", result);
    return false;
}

static bool actors_done(void *argument)
{
    return sim_actors_done(((struct post *)argument)->sim);
}

static void end_actors(struct post *post)
{
    int result;
    do /* they outlive a crash */
        result = sim_until(post->sim, actors_done, post, 100 * PATIENCE_NS);
    while (result == SIM_CRASHED);
    if (result != 0)
        sim_fail(post->sim, "the clients do not come to an end");
}

static void live(struct post *post)
{
    struct sim *sim = post->sim;
    int closed;
    if (sim_below(sim, 4) > 0)
        sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                        1 + sim_below(sim, 1u << (6 + sim_below(sim, 9))));
    if (!start(post, 5))
        return;
    unsigned senders = 1 + sim_below(sim, SENDERS_MAX);
    for (unsigned i = 0; i < senders; i++)
        sim_actor_start(sim, sender, post);
    if (sim_below(sim, 2) == 0)
        sim_actor_start(sim, reader, post);
    sim_actor_start(sim, reloader, post);
    end_actors(post);
    sim_crash_after(sim, SIM_KILL, 0);
    if (!sim_is_up(sim))
        return;
    if (sim_below(sim, 2) == 0)
        sim_crash(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS));
    else if ((closed = on_all_cores(post, close_body)) != SIM_STUCK) {
        if (closed == 0)
            check_left(post);
        sim_stop(sim);
    } else
        sim_fail(sim, "the gateway does not close");
}

static void last_life(struct post *post)
{
    struct sim *sim = post->sim;
    sim_heal(sim);
    if (!start(post, 10)) {
        sim_fail(sim, "healed, but it does not start");
        return;
    }
    post->must_read = true;
    sim_actor_start(sim, reader, post);
    sim_actor_start(sim, reloader, post);
    end_actors(post);
    if (on_all_cores(post, close_body) != 0)
        sim_fail(sim, "healed, but it does not close");
    else
        check_left(post);
    if (sim_failure(sim) != NULL)
        return;
    if (sim_stop(sim) != 0)
        sim_fail(sim, "healed, but the engine does not come to rest");
}

int scenario_gateway(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.disk_bytes = UINT64_C(512) << 20;
    options.engine.core_count = 1 + (unsigned)(one->seed * 0x9e3779b97f4a7c15u >> 40) % 3;
    options.engine.fibers_max = 200;
    options.engine.buffers = 16;
    struct post *post = sim_keep_alloc(sizeof *post);
    struct sim *sim = sim_create(&options);
    post->one = one;
    post->sim = sim;
    post->host = &host_gateway;
    post->cores = options.engine.core_count;
    post->state = host_gateway.make(post->cores, PORT_SMTP, "/store");
    sim_directory_make(sim, "/store");
    sim_abort_is_crash(sim, options.faults[SIM_FAULT_NO_MEMORY] > 0);
    unsigned lives = 1 + sim_below(sim, LIVES_MAX);
    for (unsigned i = 0; i < lives && sim_failure(sim) == NULL; i++)
        live(post);
    if (sim_failure(sim) == NULL)
        last_life(post);
    int result = sim_case_end(sim, why, why_size);
    host_gateway.free(post->state);
    sim_keep_free(post);
    return result;
}
