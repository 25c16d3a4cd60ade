/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checking a password, and what guessing costs.
 *
 *   name ─▶ canonical ─▶ cache ──hit──────────────────────────────────────▶ 0 at once
 *                          │miss
 *                          ├─ network under penalty, too many wait already ─▶ -EAGAIN
 *                          ├─ queue full, or 10 s in it ────────────────────▶ -EAGAIN
 *                          └─ helper: crypt(3) with the user's hash, or the dummy
 *                                  ├─ same ─▶ cached; place remembered ─────▶ 0 (delay of the past)
 *                                  └─ else ─▶ one failure more of the network ▶ -EACCES and delay
 *
 * Penalties are the client's network's, never the user's: whoever knows only a user's name cannot
 * keep the user out. A network that guessed waits before each answer, right or wrong, so that
 * silence tells nothing; a user who logged in from there before is not made to wait. The same wrong
 * password again (a forgotten telephone) adds no penalty: it is no guess.
 *
 * All tables are per core and of fixed size. Log-ins of a user land on any core, so each learns for
 * itself.
 */
#include "auth_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    NETWORKS_MAX = 16384, /* with failures lately; 512 KiB a core, touched when used */
    HASHING_MAX = 4,      /* of this core with the helpers at once */
    PLACES_MAX = 32768,   /* where users came from; 1 MiB */
    SLEEPERS_MAX = 64,    /* answers held back, or hashed for networks under penalty */
    SLEEPERS_PER_NETWORK_MAX = 4,
    FORGET_FACTOR = 10, /* a network is forgotten after 10 times the longest delay */
    DOUBLINGS_MAX = 20
};

static const uint64_t queue_ns_max = UINT64_C(10000000000);             /* 10 s in the queue */
static const uint64_t known_ns_max = UINT64_C(30) * 86400 * 1000000000; /* a place, 30 days */

struct auth {
    struct core *core;
    const struct auth_options *options;
    struct recent_key cache_key, known_key, network_key;
    struct recent cache, known, networks;
    struct waiters queue;
    unsigned hashing, waiting, sleeping;
};

/* One attempt. Lives in memory of its own, as helper and core both look at it. */
struct attempt {
    struct slice name, password; /* in `text` */
    struct slice hash;
    struct recent_tag identity, place, network;
    int64_t user;
    uint32_t guess; /* tells passwords apart, no more */
    bool has_network;
    int result;
    char text[AUTH_USER_BYTES_MAX + 1 + AUTH_PASSWORD_BYTES_MAX]; /* name NUL password */
};

int auth_open(struct core *core, const struct auth_options *options)
{
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL)
        return -ENOMEM;
    auth->core = core;
    auth->options = options;
    core_random(core, &auth->cache_key, sizeof auth->cache_key);
    core_random(core, &auth->known_key, sizeof auth->known_key);
    core_random(core, &auth->network_key, sizeof auth->network_key);
    if (recent_open(&auth->cache, options->cache_entries_max) < 0 ||
        recent_open(&auth->known, PLACES_MAX) < 0 ||
        recent_open(&auth->networks, NETWORKS_MAX) < 0) {
        recent_close(&auth->cache);
        recent_close(&auth->known);
        free(auth);
        return -ENOMEM;
    }
    core_local_set(core, CORE_LOCAL_AUTH, auth);
    return 0;
}

void auth_close(struct core *core)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    if (auth == NULL)
        return;
    assert(auth->waiting == 0 && auth->sleeping == 0 && "a log-in is still under way");
    core_local_set(core, CORE_LOCAL_AUTH, NULL);
    recent_close(&auth->cache);
    recent_close(&auth->known);
    recent_close(&auth->networks);
    explicit_bzero(auth, sizeof *auth);
    free(auth);
}

/* ---------------------------------------------------------------- penalties */

/* IPv4: the address; IPv6: its /48. Unix sockets and unknown peers have no network. */
static bool network_of(const struct auth *auth, const uint8_t *peer, unsigned family,
                       struct recent_tag *ret_tag)
{
    uint8_t key[7] = {(uint8_t)family};
    if (family != 4 && family != 6)
        return false;
    memcpy(key + 1, peer, family == 4 ? 4 : 6);
    *ret_tag = recent_tag_of(&auth->network_key, key, sizeof key);
    return true;
}

static uint64_t delay_after(const struct auth *auth, unsigned failures)
{
    uint64_t delay = auth->options->failure_ms_first, longest = auth->options->failure_ms_max;
    if (failures == 0)
        return 0;
    for (unsigned i = 1; i < failures && i < DOUBLINGS_MAX && delay < longest; i++)
        delay *= 2;
    return delay < longest ? delay : longest;
}

/* The delay this attempt is due whatever its outcome. */
static uint64_t delay_before(const struct auth *auth, const struct attempt *attempt)
{
    uint64_t now = core_now_ns(auth->core);
    if (!attempt->has_network || recent_find(&auth->known, &attempt->place, now) != NULL)
        return 0;
    const struct recent_row *row = recent_find(&auth->networks, &attempt->network, now);
    return row != NULL ? delay_after(auth, row->count) : 0;
}

/* There is no place left to hold an answer back. */
static bool is_crowded(const struct auth *auth, const struct recent_tag *network)
{
    const struct recent_row *row = recent_find(&auth->networks, network, core_now_ns(auth->core));
    return auth->sleeping >= SLEEPERS_MAX ||
           (row != NULL && row->sleeping >= SLEEPERS_PER_NETWORK_MAX);
}

static uint64_t failed(struct auth *auth, const struct attempt *attempt)
{
    if (!attempt->has_network)
        return auth->options->failure_ms_first;
    uint64_t now = core_now_ns(auth->core);
    struct recent_row *row = recent_make(&auth->networks, &attempt->network, now);
    if ((row->count == 0 || row->detail != attempt->guess) && row->count < UINT16_MAX)
        row->count++;
    row->detail = attempt->guess;
    row->until_ns = now + auth->options->failure_ms_max * FORGET_FACTOR * 1000000 + 1;
    return delay_after(auth, row->count);
}

static void place_take(struct auth *auth, const struct recent_tag *network)
{
    struct recent_row *row = recent_find(&auth->networks, network, core_now_ns(auth->core));
    if (row != NULL)
        row->sleeping++;
    auth->sleeping++;
}

static void place_give(struct auth *auth, const struct recent_tag *network)
{
    struct recent_row *row = recent_find(&auth->networks, network, core_now_ns(auth->core));
    if (row != NULL && row->sleeping > 0) /* the row may have been another's meanwhile */
        row->sleeping--;
    auth->sleeping--;
}

void auth_wait(struct core *core, const struct auth_result *result)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    struct recent_tag network = {{result->network[0], result->network[1]}};
    if (result->delay_ms == 0 || is_crowded(auth, &network))
        return;
    place_take(auth, &network);
    fiber_sleep(core, result->delay_ms * 1000000);
    place_give(auth, &network);
}

/* ---------------------------------------------------------------- hashing */

static void hash_work(void *argument)
{
    struct attempt *attempt = argument;
    attempt->result = password_verify(attempt->password, attempt->hash);
}

/* Waits for one of the places with the helpers. 0, or -EAGAIN. */
static int queue_enter(struct auth *auth)
{
    uint64_t deadline = core_now_ns(auth->core) + queue_ns_max;
    if (auth->waiting >= auth->options->waiting_max)
        return -EAGAIN;
    auth->waiting++;
    while (auth->hashing >= HASHING_MAX)
        if (waiters_wait(auth->core, &auth->queue, deadline) < 0) {
            auth->waiting--;
            return -EAGAIN;
        }
    auth->hashing++;
    return 0;
}

static void queue_leave(struct auth *auth)
{
    auth->hashing--;
    auth->waiting--;
    waiters_wake_one(auth->core, &auth->queue);
}

static bool is_cached(const struct auth *auth, const struct attempt *attempt)
{
    return attempt->user != AUTH_NO_USER &&
           recent_find(&auth->cache, &attempt->identity, core_now_ns(auth->core)) != NULL;
}

/* 1 right, 0 wrong, 2 right says the cache, or -errno. */
static int verify(struct auth *auth, struct attempt *attempt)
{
    int result = queue_enter(auth);
    if (result < 0)
        return result;
    if (is_cached(auth, attempt)) { /* verified for another connection while this one waited */
        queue_leave(auth);
        return 2;
    }
    counter_add(core_counters(auth->core), COUNTER_AUTH_HASHES, 1);
    result = core_help(auth->core, hash_work, attempt);
    queue_leave(auth);
    return result < 0 ? result : attempt->result;
}

static void remember(struct auth *auth, const struct attempt *attempt)
{
    uint64_t now = core_now_ns(auth->core);
    struct recent_row *row = recent_make(&auth->cache, &attempt->identity, now);
    if (row != NULL && row->until_ns == 0)
        row->until_ns = now + auth->options->cache_ms_max * 1000000;
    if (attempt->has_network && (row = recent_make(&auth->known, &attempt->place, now)) != NULL)
        row->until_ns = now + known_ns_max;
}

/* ---------------------------------------------------------------- one attempt */

/* False: too long, or holding NUL. */
static bool attempt_begin(struct auth *auth, struct attempt *attempt, struct slice user,
                          struct slice password)
{
    struct slice domain = auth->options->default_domain;
    bool is_whole = user.size > 0 && memchr(user.data, '@', user.size) != NULL;
    size_t size = user.size + (is_whole || domain.size == 0 ? 0 : 1 + domain.size);
    if (user.size > AUTH_USER_BYTES_MAX || size > AUTH_USER_BYTES_MAX ||
        password.size > AUTH_PASSWORD_BYTES_MAX || slice_find(user, '\0') < user.size ||
        slice_find(password, '\0') < password.size)
        return false;
    char *text = attempt->text;
    for (size_t i = 0; i < user.size; i++)
        text[i] = ascii_lower(user.data[i]);
    for (size_t i = user.size; i < size; i++)
        text[i] = i == user.size ? '@' : ascii_lower(domain.data[i - user.size - 1]);
    attempt->name = slice_of(text, size);
    text[size] = '\0';
    attempt->password = slice_of(text + size + 1, password.size);
    if (password.size > 0)
        memcpy(text + size + 1, password.data, password.size);
    attempt->identity = recent_tag_of(&auth->cache_key, text, size + 1 + password.size); /* A3 */
    attempt->guess = (uint32_t)(attempt->identity.word[1] >> 32);
    attempt->user = users_find(auth->options->users, attempt->name);
    attempt->hash = users_dummy(auth->options->users);
    if (attempt->user != AUTH_NO_USER) {
        struct slice hash = users_hash(auth->options->users, (uint32_t)attempt->user);
        if (password_is_locked(hash))
            attempt->user = AUTH_NO_USER; /* A2 */
        else
            attempt->hash = hash;
    }
    return true;
}

static void place_of(struct auth *auth, struct attempt *attempt, const uint8_t *peer,
                     unsigned family)
{
    char text[AUTH_USER_BYTES_MAX + sizeof attempt->network];
    attempt->has_network = network_of(auth, peer, family, &attempt->network);
    memcpy(text, &attempt->network, sizeof attempt->network);
    memcpy(text + sizeof attempt->network, attempt->name.data, attempt->name.size);
    attempt->place =
        recent_tag_of(&auth->known_key, text, sizeof attempt->network + attempt->name.size);
}

/* What is not in the cache. */
static int attempt_run(struct auth *auth, struct attempt *attempt, const uint8_t *peer,
                       unsigned family, struct auth_result *ret_result)
{
    place_of(auth, attempt, peer, family);
    uint64_t delay = delay_before(auth, attempt);
    bool has_penalty = delay > 0;
    if (has_penalty && is_crowded(auth, &attempt->network))
        return -EAGAIN;
    if (has_penalty)
        place_take(auth, &attempt->network);
    int result = verify(auth, attempt);
    if (has_penalty)
        place_give(auth, &attempt->network);
    if (result < 0)
        return -EAGAIN;
    bool is_right = result > 0 && attempt->user != AUTH_NO_USER;
    counter_add(core_counters(auth->core), is_right ? COUNTER_AUTH_OK : COUNTER_AUTH_FAILED, 1);
    if (is_right)
        remember(auth, attempt);
    else
        delay = failed(auth, attempt);
    *ret_result = (struct auth_result){
        .delay_ms = delay, .network = {attempt->network.word[0], attempt->network.word[1]}};
    return is_right ? 0 : -EACCES;
}

int auth_password(struct core *core, const struct auth_client *client, struct slice user,
                  struct slice password, struct auth_result *ret_result)
{
    if (!client->may_send_password)
        return -EPERM;
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    struct attempt *attempt = malloc(sizeof *attempt);
    int result = -EAGAIN;
    if (attempt == NULL)
        return result;
    attempt->network = (struct recent_tag){0};
    if (!attempt_begin(auth, attempt, user, password)) {
        result = -EINVAL;
    } else if (is_cached(auth, attempt)) {
        counter_add(core_counters(core), COUNTER_AUTH_OK, 1);
        counter_add(core_counters(core), COUNTER_AUTH_CACHED, 1);
        *ret_result = (struct auth_result){0};
        result = 0;
    } else {
        result = attempt_run(auth, attempt, client->address, client->family, ret_result);
    }
    if (result == 0) {
        struct slice name = auth_users_name(auth->options->users, (unsigned)attempt->user);
        memcpy(ret_result->text, name.data, name.size);
        ret_result->user = slice_of(ret_result->text, name.size);
    }
    explicit_bzero(attempt, sizeof *attempt); /* A4 */
    free(attempt);
    return result;
}
