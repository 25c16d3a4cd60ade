/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail handed on to backends that die, hang, refuse and babble (relay_host.h), from fibers on one
 * to three cores, over the world's faulty connections, while an operator moves users; through
 * crashes of the gateway. Rows X07, X08 and X09 of the list of bad inputs.
 *
 * Oracle, kept outside of the crash domain:
 *   1 a recipient who was answered 250 has the message, whole, once; one who was refused has it
 *     not; one who was told "later" has it once at most: when its answer was lost behind the data
 *   2 nobody else has it, and no backend has a message that is none (cut short, or two in one)
 *   3 it is where the user is: where a directory or the operator says, else at one backend all
 *     the time (B1)
 *   4 a call-out says "known" or "unknown" of those only of whom a backend has said so
 *   5 it ends in its time; where nothing fails everybody has everything
 *   6 healed, everybody is reached, and in the end nothing is left of it
 */
#include "../unit/relay_host.h"
#include "ringpost/hash.h"
#include "scenarios.h"

enum {
    USERS = 14,
    MOVED_FIRST = 6,  /* from here on the operator moves them ... */
    FIXED_FIRST = 10, /* ... and these are where a directory says */
    BACKENDS = 5,
    DEAD = BACKENDS - 1, /* nobody listens there */
    LETTERS_MAX = 400,
    TO_MAX = 8,
    SENDERS = 3,                /* a core */
    KEPT_MAX = SENDERS * 3 + 1, /* what fibers hold */
    SENDS_MAX = 8,
    LIVES_MAX = 2,
    TEXT_BYTES_MAX = 40000,
    DELIVER_MS = 20000,
    VERIFY_MS = 5000
};
static const uint64_t SECOND = UINT64_C(1000000000);
static const uint64_t LATE_NS = UINT64_C(20000000000); /* of turns and completions, all in all */

struct user {
    char name[40];
    int wanted; /* where the operator wants him; -1: anywhere */
    unsigned changes;
    bool was_accepted, was_refused;
};

struct sent {
    uint32_t crc;
    size_t size;
    uint32_t to; /* a bit for each user */
};

struct post {
    const struct sim_case *one;
    struct sim *sim;
    struct relay_world world;
    struct listener *listeners[LMTP_BACKENDS];
    unsigned cores, opened, closed, active;
    uint32_t steps;
    bool is_calm; /* nothing fails, and backends are kind */
    bool is_kind; /* backends are */
    bool is_stopping, is_healed;
    struct user users[USERS];
    struct sent letters[LETTERS_MAX];
    unsigned count, life_record; /* the first record of this life */
    void *kept[KEPT_MAX];
};
static struct post *post; /* of the double's callback */

/* Memory of a fiber: it may end with its life. */
static void *keep(size_t size)
{
    unsigned i = 0;
    while (i < KEPT_MAX && post->kept[i] != NULL)
        i++;
    check(i < KEPT_MAX);
    return post->kept[i] = sim_keep_alloc(size);
}

static void let_go(const void *memory) /* NULL: of all of it */
{
    for (unsigned i = 0; i < KEPT_MAX; i++)
        if (post->kept[i] != NULL && (memory == NULL || memory == post->kept[i])) {
            sim_keep_free(post->kept[i]);
            post->kept[i] = NULL;
        }
}

/* ---------------------------------------------------------------- backends */

static struct user *user_of(struct slice name)
{
    for (unsigned i = 0; i < USERS; i++)
        if (slice_equal(slice_cstr(post->users[i].name), name))
            return &post->users[i];
    return NULL;
}

static enum lmtp_deed draw_deed(enum lmtp_step step)
{
    static const enum lmtp_deed any[] = {LMTP_CLOSES, LMTP_HANGS, LMTP_BUSY,
                                         LMTP_LATER,  LMTP_NO,    LMTP_BABBLES};
    if (post->is_kind || post->is_healed || sim_below(post->sim, 14) > 0)
        return LMTP_PLAYS;
    enum lmtp_deed deed = any[sim_below(post->sim, sizeof any / sizeof *any)];
    bool is_early = step == LMTP_CONNECT || step == LMTP_LHLO;
    return is_early && deed == LMTP_NO ? LMTP_BUSY : deed;
}

static enum lmtp_deed deed(unsigned backend, enum lmtp_step step, struct slice to)
{
    enum lmtp_deed drawn = draw_deed(step);
    struct user *user = step == LMTP_RCPT ? user_of(to) : NULL;
    (void)backend;
    if (step == LMTP_RCPT && user == NULL)
        sim_fail(post->sim, "asked for %.*s", (int)to.size, to.data);
    if (user != NULL && drawn == LMTP_PLAYS)
        user->was_accepted = true;
    if (user != NULL && drawn == LMTP_NO)
        user->was_refused = true;
    return drawn;
}

/* ---------------------------------------------------------------- letters */

struct leaving {
    struct core *core;
    uint64_t leave_ns; /* 0: stays */
};

static bool gone(void *argument)
{
    const struct leaving *leaving = argument;
    return leaving->leave_ns > 0 && core_now_ns(leaving->core) >= leaving->leave_ns;
}

/* Different each time; with dots, and empty lines. */
static size_t write_text(char *text, unsigned number)
{
    size_t size = (size_t)snprintf(text, 100, "Subject: letter %u\r\n\r\n", number);
    size_t wanted = sim_below(post->sim, 4) ? sim_below(post->sim, 3000)
                                            : sim_below(post->sim, TEXT_BYTES_MAX - 200);
    while (size < wanted) {
        for (unsigned dots = sim_below(post->sim, 3); dots > 0; dots--)
            text[size++] = '.';
        for (unsigned i = sim_below(post->sim, 60); i > 0; i--)
            text[size++] = (char)('a' + i % 26);
        memcpy(text + size, "\r\n", 2);
        size += 2;
    }
    return size;
}

static void attribute(unsigned user, char text[40])
{
    text[0] = '\0';
    if (user >= FIXED_FIRST)
        snprintf(text, 40, "backend=b%u\n", user % DEAD);
}

struct letter_at_hand {
    struct relay_recipient to[TO_MAX];
    char attributes[TO_MAX][40];
    unsigned users[TO_MAX], changes[TO_MAX];
    int wanted[TO_MAX];
    unsigned count;
    struct slice text;
    char bytes[TEXT_BYTES_MAX];
};

static void check_place(const struct letter_at_hand *hand, unsigned i, unsigned backend)
{
    unsigned number = hand->users[i];
    const struct user *user = &post->users[number];
    int wanted = number >= FIXED_FIRST               ? (int)(number % DEAD)
                 : user->changes != hand->changes[i] ? -1
                                                     : hand->wanted[i];
    if (wanted >= 0 && (int)backend != wanted)
        sim_fail(post->sim, "%s is at b%d, his message at b%u", user->name, wanted, backend);
}

static void check_recipient(const struct letter_at_hand *hand, unsigned i, bool is_certain)
{
    const struct relay_recipient *recipient = &hand->to[i];
    const char *name = post->users[hand->users[i]].name;
    unsigned backend, count = lmtp_count(name, hand->text, &backend);
    char first = recipient->reply[0];
    if (recipient->result == 0 && (count != 1 || first != '2'))
        sim_fail(post->sim, "%s was answered \"%s\" and has it %u times", name, recipient->reply,
                 count);
    else if (recipient->result == -EACCES && (count != 0 || first != '5'))
        sim_fail(post->sim, "%s was refused (%s) and has it", name, recipient->reply);
    else if (recipient->result == -EAGAIN && (count > 1 || first != '4'))
        sim_fail(post->sim, "%s was told \"%s\" and has it %u times", name, recipient->reply,
                 count);
    else if (recipient->result != 0 && recipient->result != -EACCES && recipient->result != -EAGAIN)
        sim_fail(post->sim, "%s has no result", name);
    if (recipient->result != 0 && is_certain)
        sim_fail(post->sim, "nothing has failed, and %s was answered \"%s\"", name,
                 recipient->reply);
    if (slice_find(slice_cstr(recipient->reply), '\r') < strlen(recipient->reply))
        sim_fail(post->sim, "a reply of two lines");
    if (count > 0)
        check_place(hand, i, backend);
}

static bool has_user(const struct letter_at_hand *hand, unsigned user)
{
    for (unsigned i = 0; i < hand->count; i++)
        if (hand->users[i] == user)
            return true;
    return false;
}

static void address(struct letter_at_hand *hand, unsigned user)
{
    unsigned i = hand->count++;
    hand->users[i] = user;
    hand->changes[i] = post->users[user].changes;
    hand->wanted[i] = post->users[user].wanted;
    hand->to[i] = relay_recipient_double(&post->world, post->users[user].name);
    attribute(user, hand->attributes[i]);
    hand->to[i].attributes = slice_cstr(hand->attributes[i]);
}

/* To all users, or some. */
static void send_letter(struct core *core, bool is_to_all)
{
    struct sim *sim = post->sim;
    struct relay_sender sender = relay_sender_double();
    struct leaving leaving = {.core = core};
    if (post->count == LETTERS_MAX)
        return;
    struct letter_at_hand *hand = keep(sizeof *hand);
    struct sent *sent = &post->letters[post->count];
    unsigned number = post->count++;
    for (unsigned k = is_to_all ? TO_MAX : 1 + sim_below(sim, TO_MAX); k > 0; k--) {
        unsigned user = is_to_all ? (number * TO_MAX + k) % USERS : sim_below(sim, USERS);
        if (!has_user(hand, user))
            address(hand, user);
    }
    hand->text = slice_of(hand->bytes, write_text(hand->bytes, number));
    *sent = (struct sent){crc32c(0, hand->text.data, hand->text.size), hand->text.size, 0};
    for (unsigned i = 0; i < hand->count; i++)
        sent->to |= 1u << hand->users[i];
    if (!is_to_all && sim_below(sim, 6) == 0)
        leaving.leave_ns = core_now_ns(core) + 1 + sim_below(sim, 1u << sim_below(sim, 32));
    struct relay_message message = {
        .from = SLICE("sender@example.org"), .bytes = hand->text, .body = RELAY_8BITMIME};
    sender.gone = gone;
    sender.argument = &leaving;
    uint64_t before_ns = core_now_ns(core);
    relay_deliver(core, &sender, &message, hand->to, hand->count);
    if (core_now_ns(core) - before_ns > DELIVER_MS * UINT64_C(1000000) + LATE_NS)
        sim_fail(sim, "a message took longer than it may");
    bool is_certain = (post->is_calm && leaving.leave_ns == 0) || is_to_all;
    for (unsigned i = 0; i < hand->count; i++)
        check_recipient(hand, i, is_certain);
    let_go(hand);
}

static void ask(struct core *core)
{
    struct sim *sim = post->sim;
    struct relay_sender sender = relay_sender_double();
    struct leaving leaving = {.core = core};
    unsigned number = sim_below(sim, USERS);
    const struct user *user = &post->users[number];
    struct relay_recipient *recipient = keep(sizeof *recipient);
    char attributes[40];
    *recipient = relay_recipient_double(&post->world, user->name);
    attribute(number, attributes);
    recipient->attributes = slice_cstr(attributes);
    if (sim_below(sim, 6) == 0)
        leaving.leave_ns = core_now_ns(core) + 1 + sim_below(sim, 1u << sim_below(sim, 32));
    sender.gone = gone;
    sender.argument = &leaving;
    uint64_t before_ns = core_now_ns(core);
    relay_verify(core, &sender, recipient);
    if (core_now_ns(core) - before_ns > VERIFY_MS * UINT64_C(1000000) + LATE_NS)
        sim_fail(sim, "a call-out took longer than it may");
    if ((recipient->result == 0 && !user->was_accepted) ||
        (recipient->result == -EACCES && !user->was_refused) ||
        (recipient->result != 0 && recipient->result != -EACCES && recipient->result != -EAGAIN))
        sim_fail(sim, "%s is called %d (%s)", user->name, recipient->result, recipient->reply);
    if (recipient->result != 0 && post->is_calm && leaving.leave_ns == 0)
        sim_fail(sim, "nothing has failed, and %s is not known: %s", user->name, recipient->reply);
    let_go(recipient);
}

/* ---------------------------------------------------------------- fibers */

static void sender_fiber(void *argument)
{
    struct core *core = argument;
    struct sim *sim = post->sim;
    for (unsigned count = 1 + sim_below(sim, SENDS_MAX); count > 0; count--) {
        fiber_sleep(core, sim_below(sim, 1000000000));
        if (!sim_case_step(post->one, post->steps++))
            continue;
        if (sim_below(sim, 3) == 0)
            ask(core);
        else
            send_letter(core, false);
    }
    post->active--;
}

/* Between `changes` and `changes` he may be anywhere. */
static void move(struct core *core)
{
    struct sim *sim = post->sim;
    struct user *user = &post->users[MOVED_FIRST + sim_below(sim, FIXED_FIRST - MOVED_FIRST)];
    unsigned to = sim_below(sim, DEAD + 1);
    char backend[8] = "";
    if (to < DEAD)
        snprintf(backend, sizeof backend, "b%u", to);
    struct backend_exception exception = {slice_cstr(user->name), slice_cstr(backend),
                                          sim_below(sim, 2) ? sim_below(sim, 4000) : 0};
    user->changes++;
    user->wanted = -1;
    int result = backend_exception_set(core, &exception);
    user->changes++;
    user->wanted = result == 0 && to < DEAD ? (int)to : -1;
}

static void operator_fiber(void *argument)
{
    struct core *core = argument;
    for (unsigned count = sim_below(post->sim, 6); count > 0; count--) {
        fiber_sleep(core, sim_below(post->sim, 2000000000));
        if (sim_case_step(post->one, post->steps++))
            move(core);
    }
    post->active--;
}

static void start_fiber(struct core *core, void (*fn)(void *argument))
{
    post->active++;
    if (fiber_start(core, fn, core) < 0)
        post->active--;
}

static void wait_for(struct core *core, const unsigned *count, unsigned wanted)
{
    while (*count != wanted)
        fiber_sleep(core, SECOND / 100);
}

static int core_body(struct core *core, void *argument)
{
    struct relay_world *world = &post->world;
    (void)argument;
    while (net_open(core) < 0)
        fiber_sleep(core, SECOND / 10);
    while (backends_open(core, world->states, world->table) < 0)
        fiber_sleep(core, SECOND / 10);
    while (relay_open(core, &world->relay) < 0)
        fiber_sleep(core, SECOND / 10);
    while (core_index(core) == 0 && lmtp_open(core, post->listeners) < 0)
        fiber_sleep(core, SECOND / 10);
    post->opened++;
    wait_for(core, &post->opened, post->cores);
    for (unsigned i = 0; i < SENDERS; i++)
        start_fiber(core, sender_fiber);
    if (core_index(core) == 0)
        start_fiber(core, operator_fiber);
    while (!post->is_stopping)
        fiber_sleep(core, SECOND / 10);
    if (core_index(core) == 0) /* healed: everybody is reached */
        for (unsigned i = 0; i < USERS / TO_MAX + 2; i++)
            send_letter(core, true);
    relay_close(core);
    if (core_index(core) == 0)
        lmtp_close(core, post->listeners);
    post->closed++;
    wait_for(core, &post->closed, post->cores);
    fiber_sleep(core, SECOND); /* what was left at another core */
    backends_close(core);
    net_close(core);
    post->closed++;
    return 0;
}

/* ---------------------------------------------------------------- lives */

/* Of all that backends have: each is one of ours, for one of its recipients. */
static void check_records(void)
{
    for (unsigned i = 0; i < lmtp.record_count; i++) {
        const struct lmtp_record *record = &lmtp.records[i];
        const struct sent *sent = NULL;
        for (unsigned k = 0; k < post->count && sent == NULL; k++)
            if (post->letters[k].crc == record->crc && post->letters[k].size == record->size)
                sent = &post->letters[k];
        const struct user *user = user_of(slice_cstr(record->to));
        if (sent == NULL)
            sim_fail(post->sim, "b%u has a message that was never sent (%zu bytes)",
                     record->backend, record->size);
        else if (user == NULL || !(sent->to >> (user - post->users) & 1))
            sim_fail(post->sim, "%s has a message that was not for him", record->to);
    }
}

/* B1: of those whom nobody moves. */
static void check_bound(void)
{
    int at[MOVED_FIRST];
    memset(at, -1, sizeof at);
    for (unsigned i = post->life_record; i < lmtp.record_count; i++) {
        const struct lmtp_record *record = &lmtp.records[i];
        const struct user *user = user_of(slice_cstr(record->to));
        if (user == NULL || user - post->users >= MOVED_FIRST)
            continue;
        int *where_he_is = &at[user - post->users];
        if (*where_he_is >= 0 && *where_he_is != (int)record->backend)
            sim_fail(post->sim, "%s has mail at b%d and at b%u", user->name, *where_he_is,
                     record->backend);
        *where_he_is = (int)record->backend;
    }
}

static bool is_sent(void *argument)
{
    (void)argument;
    return post->opened == post->cores && post->active == 0;
}

static bool is_closed(void *argument)
{
    (void)argument;
    return post->closed == 2 * post->cores;
}

/* False: it crashed. */
static bool live(void)
{
    struct sim *sim = post->sim;
    post->opened = post->closed = post->active = 0;
    post->is_stopping = false;
    post->life_record = lmtp.record_count;
    lmtp.open = 0;
    for (unsigned i = 0; i < USERS; i++)
        post->users[i].wanted = -1; /* exceptions are of the process */
    if (sim_start(sim) < 0)
        return false;
    for (unsigned i = 0; i < post->cores; i++)
        if (sim_spawn(sim, i, core_body, NULL, NULL) != 0)
            return false;
    int result = sim_until(sim, is_sent, NULL, 3000 * SECOND);
    if (result == SIM_STUCK)
        sim_fail(sim, "the senders do not come to an end");
    return result == 0;
}

static void rest(void)
{
    struct sim *sim = post->sim;
    sim_heal(sim);
    post->is_healed = true;
    if (sim_pass(sim, 500 * SECOND) != 0) /* holds, and connections that hang, are over */
        return;
    post->is_stopping = true;
    if (sim_until(sim, is_closed, NULL, 3000 * SECOND) != 0)
        sim_fail(sim, "it does not come to an end");
    else if (sim_stop(sim) != 0)
        sim_fail(sim, "the engine does not come to rest");
}

static void whole_life(bool is_last)
{
    struct sim *sim = post->sim;
    relay_world_table(&post->world, post->cores);
    if (!is_last)
        sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                        1 + sim_below(sim, 1u << (8 + sim_below(sim, 8))));
    bool is_up = live();
    sim_crash_after(sim, SIM_KILL, 0);
    if (is_up && is_last && sim_failure(sim) == NULL)
        rest();
    if (sim_is_up(sim) && sim_failure(sim) == NULL)
        sim_crash(sim, SIM_FAIL_STOP);
    let_go(NULL);
    check_bound();
    check_records();
    if (!sim_is_up(sim)) {
        backend_table_free(post->world.table);
        backend_states_free(post->world.states);
    }
}

int scenario_relay(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.engine.core_count = 1 + (unsigned)(one->seed * 0x9e3779b97f4a7c15u >> 40) % 3;
    options.engine.connects = true;
    options.engine.fibers_max = 300;
    options.engine.connections_max = 300;
    post = sim_keep_alloc(sizeof *post);
    struct sim *sim = sim_create(&options);
    post->one = one;
    post->sim = sim;
    post->cores = options.engine.core_count;
    post->is_calm = post->is_kind = sim_below(sim, 3) == 0;
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++)
        post->is_calm &= options.faults[i] == 0;
    memset(&lmtp, 0, sizeof lmtp);
    lmtp.deed = deed;
    lmtp.with_chunking = sim_below(sim, 2) == 0;
    relay_world_make(&post->world, BACKENDS);
    post->world.dead = 1u << DEAD;
    post->world.options.connect_ms_max = 3000;
    post->world.options.affinity_ms = 100000000;
    post->world.options.connecting_max = sim_below(sim, 3);
    post->world.relay.deliver_ms_max = DELIVER_MS;
    post->world.relay.verify_ms_max = VERIFY_MS;
    post->world.relay.known_ms = 3000;
    post->world.relay.unknown_ms = 1000;
    post->world.relay.cache_entries_max = sim_below(sim, USERS);
    for (unsigned i = 0; i < USERS; i++)
        snprintf(post->users[i].name, sizeof post->users[i].name, "u%u@example.com", i);
    unsigned lives = 1 + sim_below(sim, LIVES_MAX);
    for (unsigned i = 0; i < lives && sim_failure(sim) == NULL; i++)
        whole_life(i + 1 == lives);
    int result = sim_case_end(sim, why, why_size);
    sim_keep_free(post);
    return result;
}
