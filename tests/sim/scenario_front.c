/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A gateway before itself (host_front), under all faults and through crashes: users log in at its
 * fronts and are passed on to its own IMAP and POP3, over connections of the simulated world, which
 * are refused, reset, fall silent or end with the process. Half of the users belong to a backend
 * that is not there.
 *
 * Oracle, kept outside of the crash domain:
 *   1 a user sees his own letters only, each whole: nothing of another session, no byte lost or
 *     doubled, no word of ours within them
 *   2 answers come in the order of the commands, those sent ahead of the log-in's answer too
 *   3 a right password is never called wrong, a wrong one never right, whatever fails (B2)
 *   4 what was acknowledged by LMTP is found through the front
 *   5 where nothing fails every command is answered, and who idles hears from us
 *   6 in the end nothing is left of sessions, links and buffers
 */
#include <stdio.h>
#include <stdlib.h>

#include "../script/host.h"
#include "scenarios.h"

enum {
    USERS = 3,
    LETTERS_MAX = 48,
    LETTER_BYTES_MAX = 150000,
    LIVES_MAX = 3,
    CLIENTS = 5,
    PORT_BASE = 25,
    PORT_LMTP = PORT_BASE + 1,
    PORT_IMAP = PORT_BASE + 5,
    PORT_POP3 = PORT_BASE + 6
};
static const uint64_t SECOND = UINT64_C(1000000000);
static const char *const names[USERS] = {"anna", "bert", "carl"};

struct letter {
    unsigned user;
    size_t size;
    bool is_acknowledged;
};

struct front {
    const struct sim_case *one;
    struct sim *sim;
    void *state;
    unsigned cores;
    int results[CORES_MAX];
    struct letter letters[LETTERS_MAX];
    unsigned count;
    uint32_t steps;
    bool is_calm; /* nothing fails */
    char *text;   /* of the letter at hand: made and used in one go */
};

/* A session of a client, and what it has seen. */
struct talk {
    struct front *front;
    struct sim_actor *actor;
    struct sim_client *client;
    unsigned user;
    bool seen[LETTERS_MAX];
};

/* ---------------------------------------------------------------- letters */

/* The body of a letter: "NAME NUMBER SIZE", then lines that tell letter and place. */
static struct slice letter_text(struct front *front, unsigned number)
{
    const struct letter *letter = &front->letters[number];
    size_t size = (size_t)snprintf(front->text, 100, "%s %u %zu\r\n", names[letter->user], number,
                                   letter->size);
    while (size < letter->size)
        size += (size_t)snprintf(front->text + size, 100, "* %u OK line at %zu of %s {7}\r\n",
                                 number, size, names[letter->user]);
    if (front->text[letter->size - 3] == '\r')
        front->text[letter->size - 3] = 'x';
    memcpy(front->text + letter->size - 2, "\r\n", 2);
    return slice_of(front->text, letter->size);
}

/* The body as a client has got it. */
static void check_letter(struct talk *talk, struct slice body)
{
    struct front *front = talk->front;
    struct slice first = slice_first(body, slice_find(body, '\r'));
    struct slice name = slice_first(first, slice_find(first, ' '));
    struct slice rest = slice_from(first, name.size + 1);
    uint64_t number;
    if (!slice_number(slice_first(rest, slice_find(rest, ' ')), LETTERS_MAX - 1, &number) ||
        number >= front->count) {
        sim_fail(front->sim, "%s got what is no letter: %.*s", names[talk->user],
                 (int)(body.size < 60 ? body.size : 60), body.data);
        return;
    }
    if (front->letters[number].user != talk->user)
        sim_fail(front->sim, "%s got letter %u, of another", names[talk->user], (unsigned)number);
    if (!slice_equal(body, letter_text(front, (unsigned)number)))
        sim_fail(front->sim, "%s got letter %u altered: %zu bytes", names[talk->user],
                 (unsigned)number, body.size);
    talk->seen[number] = true;
}

/* ---------------------------------------------------------------- senders */

static bool said(struct talk *talk, const char *text, const char *code)
{
    struct slice line = SLICE("");
    if (text != NULL)
        sim_client_text(talk->client, text);
    do
        if (!sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line))
            return false;
    while (line.size > 3 && line.data[3] == '-');
    return slice_starts_nocase(line, slice_cstr(code));
}

static void send_letters(struct talk *talk)
{
    struct front *front = talk->front;
    struct sim *sim = front->sim;
    char text[200];
    if (!said(talk, NULL, "220") || !said(talk, "LHLO c\r\n", "250"))
        return;
    for (unsigned i = 1 + sim_below(sim, 4); i > 0 && front->count < LETTERS_MAX; i--) {
        unsigned user = sim_below(sim, USERS);
        snprintf(text, sizeof text, "RCPT TO:<%s@example.org>\r\n", names[user]);
        if (!said(talk, "MAIL FROM:<s@y.test>\r\n", "250") || !said(talk, text, "250") ||
            !said(talk, "DATA\r\n", "354") || front->count == LETTERS_MAX)
            return;
        unsigned number = front->count++;
        size_t max = sim_below(sim, 4) > 0 ? 2000 : LETTER_BYTES_MAX - 300;
        front->letters[number] =
            (struct letter){.user = user, .size = 200 + sim_below(sim, (uint32_t)max)};
        struct slice body = letter_text(front, number);
        sim_client_text(talk->client, "Subject: letter\r\n\r\n");
        sim_client_send(talk->client, body.data, body.size);
        front->letters[number].is_acknowledged = said(talk, ".\r\n", "250");
        if (!front->letters[number].is_acknowledged)
            return;
    }
    said(talk, "QUIT\r\n", "221");
}

/* ---------------------------------------------------------------- IMAP */

enum answer { ENDED, OK, NO };

static void unexpected(struct talk *talk, const char *what, struct slice line)
{
    sim_fail(talk->front->sim, "%s: %s: %.*s", names[talk->user], what,
             (int)(line.size < 100 ? line.size : 100), line.data);
}

/* "... {n}": the literal behind it is a letter. False: it did not come whole. */
static bool literal(struct talk *talk, struct slice line)
{
    size_t open = line.size;
    uint64_t size;
    if (line.size == 0 || line.data[line.size - 1] != '}' || line.data[0] != '*')
        return true;
    while (open > 0 && line.data[open - 1] != '{')
        open--;
    if (!slice_number(slice_of(line.data + open, line.size - open - 1), LETTER_BYTES_MAX, &size) ||
        size == 0) {
        unexpected(talk, "no literal", line);
        return false;
    }
    /* The line is still there, and dropped with the next one that is asked for. */
    size_t before = line.size + 2;
    if (!sim_actor_wait(talk->actor, talk->client, before + size - 1, 600 * SECOND))
        return false;
    struct slice there = slice_from(sim_client_received(talk->client), before);
    check_letter(talk, slice_first(there, size));
    sim_client_consume(talk->client, size);
    return true;
}

/* Up to the line that begins with the tag (or "+"). */
static enum answer answer(struct talk *talk, const char *tag)
{
    struct slice line;
    char copy[200];
    while (sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line)) {
        size_t size = line.size < sizeof copy - 1 ? line.size : sizeof copy - 1;
        memcpy(copy, line.data, size); /* waiting for a literal gives the line up */
        copy[size] = '\0';
        line = slice_of(copy, size);
        if (!literal(talk, line))
            return ENDED;
        if (slice_starts_nocase(line, SLICE("* NO ")) || slice_starts_nocase(line, SLICE("* BAD ")))
            return ENDED; /* without memory for the tag */
        if (line.size > 0 && (line.data[0] == '*' || line.data[0] == ')' || line.data[0] == ' '))
            continue;
        struct slice rest = slice_from(line, strlen(tag));
        if (!slice_starts_nocase(line, slice_cstr(tag))) {
            unexpected(talk, "out of order", line);
            return ENDED;
        }
        if (*tag == '+' || slice_starts_nocase(rest, SLICE(" OK")))
            return OK;
        if (!slice_starts_nocase(rest, SLICE(" NO")))
            unexpected(talk, "refused", line);
        else if (slice_starts_nocase(rest, SLICE(" NO [AUTHENTICATIONFAILED]")))
            unexpected(talk, "a right password is called wrong", line);
        return NO;
    }
    return ENDED;
}

/* Where nothing fails, there is an answer, and it is OK. */
static bool ask(struct talk *talk, const char *text, const char *tag)
{
    if (text != NULL)
        sim_client_text(talk->client, text);
    enum answer is = answer(talk, tag);
    if (is != OK && talk->front->is_calm)
        sim_fail(talk->front->sim, "nothing fails, and %s's %s is answered %d (client %d)",
                 names[talk->user], tag, (int)is, (int)sim_client_state(talk->client));
    return is == OK;
}

static bool idle(struct talk *talk)
{
    struct front *front = talk->front;
    struct sim *sim = front->sim;
    bool is_long = sim_below(sim, 3) == 0, has_heard = false;
    struct slice line;
    if (!ask(talk, "i IDLE\r\n", "+"))
        return false;
    uint64_t until = sim_now_ns(sim) + (is_long ? 90 : sim_below(sim, 5)) * SECOND;
    while (sim_now_ns(sim) < until &&
           sim_actor_line(talk->actor, talk->client, until - sim_now_ns(sim), &line)) {
        has_heard = true;
        if (line.size < 2 || line.data[0] != '*')
            unexpected(talk, "in IDLE", line);
    }
    if (is_long && front->is_calm && !has_heard)
        sim_fail(sim, "%s idles, and hears nothing", names[talk->user]);
    return ask(talk, "DONE\r\n", "i");
}

static bool imap_step(struct talk *talk)
{
    static const char all[] = "f UID FETCH 1:* BODY.PEEK[TEXT]\r\n";
    struct sim *sim = talk->front->sim;
    switch (sim_below(sim, 5)) {
    case 0:
        return ask(talk, "s STATUS INBOX (MESSAGES)\r\n", "s");
    case 1:
        sim_client_text(talk->client, "n1 NOOP\r\nn2 NOOP\r\nn3 CAPABILITY\r\n");
        return ask(talk, NULL, "n1") && ask(talk, NULL, "n2") && ask(talk, NULL, "n3");
    case 2:
        return idle(talk);
    case 3:
        sim_actor_sleep(talk->actor, sim_below(sim, 40) * SECOND);
        return true;
    default:
        return ask(talk, all, "f");
    }
}

static void leave(struct talk *talk)
{
    struct slice line;
    switch (sim_below(talk->front->sim, 5)) {
    case 0:
        sim_client_reset(talk->client);
        break;
    case 1:
        sim_client_vanish(talk->client);
        break;
    case 2:
        sim_client_text(talk->client, "h NOOP\r\n");
        sim_client_half_close(talk->client);
        ask(talk, NULL, "h");
        break;
    case 3:
        break;
    default:
        if (!ask(talk, "z LOGOUT\r\n", "z"))
            break;
        if (sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line))
            unexpected(talk, "after LOGOUT", line);
    }
}

/* A wrong password: whatever happens, it is not right. */
static void guess(struct talk *talk)
{
    struct slice line;
    char text[100];
    snprintf(text, sizeof text, "a LOGIN %s wrong\r\nb NOOP\r\n", names[talk->user]);
    sim_client_text(talk->client, text);
    while (sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line))
        if (slice_starts_nocase(line, SLICE("a OK")))
            unexpected(talk, "a wrong password is called right", line);
        else if (slice_starts_nocase(line, SLICE("b ")))
            return;
}

static bool imap_log_in(struct talk *talk)
{
    char text[200];
    bool is_ahead = sim_below(talk->front->sim, 3) == 0;
    struct slice line;
    if (!sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line))
        return false;
    snprintf(text, sizeof text, "a LOGIN %s secret\r\n%s", names[talk->user],
             is_ahead ? "b NOOP\r\nc SELECT INBOX\r\n" : "");
    if (!ask(talk, text, "a"))
        return false;
    if (is_ahead)
        return ask(talk, NULL, "b") && ask(talk, NULL, "c");
    return ask(talk, "c SELECT INBOX\r\n", "c");
}

static void talk_imap(struct talk *talk)
{
    struct sim *sim = talk->front->sim;
    if (sim_below(sim, 8) == 0) {
        guess(talk);
        return;
    }
    if (!imap_log_in(talk))
        return;
    for (unsigned i = sim_below(sim, 6); i > 0; i--)
        if (!imap_step(talk))
            return;
    leave(talk);
}

/* ---------------------------------------------------------------- POP3 */

static bool pop3_line(struct talk *talk, const char *text, struct slice *ret_line)
{
    if (text != NULL)
        sim_client_text(talk->client, text);
    bool has_come = sim_actor_line(talk->actor, talk->client, 600 * SECOND, ret_line);
    bool is_good = has_come && slice_starts_nocase(*ret_line, SLICE("+OK"));
    if (has_come && slice_starts_nocase(*ret_line, SLICE("-ERR [AUTH]")))
        unexpected(talk, "a right password is called wrong", *ret_line);
    return is_good;
}

static bool read_letter(struct talk *talk)
{
    char *body = NULL;
    size_t size = 0;
    bool is_body = false, is_whole = false;
    struct slice line;
    while (!is_whole && sim_actor_line(talk->actor, talk->client, 600 * SECOND, &line)) {
        is_whole = slice_equal(line, SLICE("."));
        if (is_body && !is_whole && size + line.size + 2 <= LETTER_BYTES_MAX) {
            body = sim_keep_resize(body, size + line.size + 2);
            memcpy(body + size, line.data, line.size);
            memcpy(body + size + line.size, "\r\n", 2);
            size += line.size + 2;
        }
        is_body |= line.size == 0;
    }
    if (is_whole)
        check_letter(talk, slice_of(body, size));
    sim_keep_free(body);
    return is_whole;
}

static void talk_pop3(struct talk *talk)
{
    struct slice line;
    char text[100];
    uint64_t count = 0;
    snprintf(text, sizeof text, "USER %s\r\n", names[talk->user]);
    if (!pop3_line(talk, NULL, &line) || !pop3_line(talk, text, &line) ||
        !pop3_line(talk, "PASS secret\r\n", &line) || !pop3_line(talk, "STAT\r\n", &line))
        return;
    line = slice_from(line, 4);
    (void)slice_number(slice_first(line, slice_find(line, ' ')), LETTERS_MAX, &count);
    for (unsigned i = 1; i <= count; i++) {
        snprintf(text, sizeof text, "RETR %u\r\n", i);
        if (!pop3_line(talk, text, &line) || !read_letter(talk))
            return;
    }
    if (sim_below(talk->front->sim, 2) == 0)
        pop3_line(talk, "QUIT\r\n", &line);
}

/* ---------------------------------------------------------------- clients */

static void client(struct sim_actor *actor, void *argument)
{
    struct front *front = argument;
    struct sim *sim = front->sim;
    for (unsigned sessions = 1 + sim_below(sim, 4); sessions > 0; sessions--) {
        struct talk *talk = sim_keep_alloc(sizeof *talk);
        unsigned kind = sim_below(sim, 4);
        unsigned port = kind == 0 ? PORT_LMTP : kind == 1 ? PORT_POP3 : PORT_IMAP;
        *talk = (struct talk){.front = front, .actor = actor, .user = sim_below(sim, USERS)};
        if (sim_case_step(front->one, front->steps++)) {
            talk->client = sim_connect(sim, "127.0.0.1", port);
            (kind == 0 ? send_letters : kind == 1 ? talk_pop3 : talk_imap)(talk);
            sim_client_close(talk->client);
        }
        sim_keep_free(talk);
        sim_actor_sleep(actor, sim_below(sim, 3000) * 1000000);
    }
}

/* Healed: everybody finds his letters through the front. */
static void last_reader(struct sim_actor *actor, void *argument)
{
    struct front *front = argument;
    for (unsigned user = 0; user < USERS; user++) {
        struct talk *talk = sim_keep_alloc(sizeof *talk);
        *talk = (struct talk){.front = front, .actor = actor, .user = user};
        talk->client = sim_connect(front->sim, "127.0.0.1", PORT_IMAP);
        if (!imap_log_in(talk) || !ask(talk, "f UID FETCH 1:* BODY.PEEK[TEXT]\r\n", "f"))
            sim_fail(front->sim, "healed, but %s cannot read", names[user]);
        else
            for (unsigned i = 0; i < front->count; i++)
                if (front->letters[i].user == user && front->letters[i].is_acknowledged &&
                    !talk->seen[i])
                    sim_fail(front->sim, "letter %u was acknowledged, and %s has it not", i,
                             names[user]);
        sim_client_close(talk->client);
        sim_keep_free(talk);
    }
}

/* ---------------------------------------------------------------- lives */

static int open_body(struct core *core, void *argument)
{
    return host_front.open(core, ((struct front *)argument)->state);
}

static int close_body(struct core *core, void *argument)
{
    host_front.close(core, ((struct front *)argument)->state);
    return 0;
}

static bool all_returned(void *argument)
{
    const struct front *front = argument;
    for (unsigned i = 0; i < front->cores; i++)
        if (front->results[i] == INT_MAX)
            return false;
    return true;
}

static int on_all_cores(struct front *front, int (*body)(struct core *core, void *argument))
{
    for (unsigned i = 0; i < front->cores; i++) {
        front->results[i] = INT_MAX;
        int result = sim_spawn(front->sim, i, body, front, &front->results[i]);
        if (result < 0)
            return result;
    }
    int result = sim_until(front->sim, all_returned, front, 1200 * SECOND);
    for (unsigned i = 0; i < front->cores && result == 0; i++)
        result = front->results[i];
    return result;
}

static bool start(struct front *front, unsigned tries)
{
    for (unsigned i = 0; i < tries; i++) {
        host_front.begin(front->state);
        if (sim_start(front->sim) == 0 && on_all_cores(front, open_body) == 0)
            return true;
        if (sim_is_up(front->sim))
            sim_crash(front->sim, SIM_FAIL_STOP);
        sim_pass(front->sim, SECOND);
    }
    return false;
}

static bool actors_done(void *argument)
{
    return sim_actors_done(((struct front *)argument)->sim);
}

static void end_actors(struct front *front)
{
    int result;
    do /* they outlive a crash */
        result = sim_until(front->sim, actors_done, front, 200000 * SECOND);
    while (result == SIM_CRASHED);
    if (result != 0)
        sim_fail(front->sim, "the clients do not come to an end");
}

/* The last of a life: nothing of it is left. */
static void close_life(struct front *front)
{
    struct sim *sim = front->sim;
    int result = on_all_cores(front, close_body);
    if (result == SIM_STUCK)
        sim_fail(sim, "the gateway does not close");
    else if (result == 0 && host_front.users(front->state) != 0)
        sim_fail(sim, "closed, but somebody still uses the settings");
    if (result == 0)
        sim_stop(sim);
}

static void live(struct front *front)
{
    struct sim *sim = front->sim;
    bool is_cut = !front->is_calm && sim_below(sim, 3) == 0; /* clients may be in the middle */
    if (!front->is_calm && sim_below(sim, 3) == 0)
        sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                        1 + sim_below(sim, 1u << (8 + sim_below(sim, 8))));
    if (!start(front, 5))
        return;
    for (unsigned i = 0; i < CLIENTS; i++)
        sim_actor_start(sim, client, front);
    if (is_cut)
        sim_pass(sim, sim_below(sim, 60) * SECOND);
    else
        end_actors(front);
    sim_crash_after(sim, SIM_KILL, 0);
    if (sim_is_up(sim))
        close_life(front);
    end_actors(front);
}

static bool is_calm(const struct sim_options *options)
{
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++)
        if (options->faults[i] > 0)
            return false;
    return true;
}

int scenario_front(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.disk_bytes = UINT64_C(512) << 20;
    options.engine.core_count = 1 + (unsigned)(one->seed * 0x9e3779b97f4a7c15u >> 40) % 3;
    options.engine.fibers_max = 200;
    options.engine.buffers = 32;
    options.engine.connects = true;
    struct front *front = sim_keep_alloc(sizeof *front);
    struct sim *sim = sim_create(&options);
    front->one = one;
    front->sim = sim;
    front->cores = options.engine.core_count;
    front->text = sim_keep_alloc(LETTER_BYTES_MAX + 200);
    front->is_calm = is_calm(&options);
    front->state = host_front.make(front->cores, PORT_BASE, "/store");
    sim_directory_make(sim, "/store");
    sim_abort_is_crash(sim, options.faults[SIM_FAULT_NO_MEMORY] > 0);
    unsigned lives = 1 + sim_below(sim, LIVES_MAX);
    for (unsigned i = 0; i < lives && sim_failure(sim) == NULL; i++)
        live(front);
    sim_heal(sim);
    if (sim_failure(sim) == NULL && start(front, 10)) {
        sim_actor_start(sim, last_reader, front);
        end_actors(front);
        close_life(front);
    } else if (sim_failure(sim) == NULL) {
        sim_fail(sim, "healed, but it does not start");
    }
    int result = sim_case_end(sim, why, why_size);
    host_front.free(front->state);
    sim_keep_free(front->text);
    sim_keep_free(front);
    return result;
}
