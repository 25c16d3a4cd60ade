/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What guessing costs: time. A failure is counted for the network that it came from and for the
 * account that it aimed at; what the next answer, right or wrong, is held back for doubles with
 * each, up to a maximum, so that silence tells nothing.
 *
 *   many guesses from one network        its network's row      (IPv4: the address, IPv6: its /48)
 *   one guess each from many networks    the account's row
 *   a user who logged in from there in the last 30 days: neither concerns him
 *
 * Nobody is ever locked out (A10): a penalty is a delay. But answers held back take memory, so they
 * are few, of each network and each account and in all; who comes beyond them is told "try later"
 * without work. So a flood of guesses at one account makes its owner wait or try again, on a
 * network where he was never seen; elsewhere he does not notice, and no other account does.
 *
 * The same wrong password again (a forgotten telephone) adds no penalty: it is no guess. An account
 * is a name that somebody typed, whether there is such a user or not (A13).
 *
 * All tables are per core and of fixed size: log-ins land on any core, so each learns for itself.
 */
#include "auth_private.h"

#include <errno.h>

enum {
    NETWORKS_MAX = 16384, /* with failures lately; 512 KiB a core, touched when used */
    ACCOUNTS_MAX = 16384,
    PLACES_MAX = 32768, /* where users came from; 1 MiB */
    SLEEPERS_MAX = 64,  /* answers held back, or worked on for those under penalty */
    SLEEPERS_PER_NETWORK_MAX = 4,
    SLEEPERS_PER_ACCOUNT_MAX = 16,
    FORGET_FACTOR = 10, /* a failure is forgotten after 10 times the longest delay */
    DOUBLINGS_MAX = 20
};

static const uint64_t known_ns_max = UINT64_C(30) * 86400 * 1000000000; /* a place, 30 days */

int penalty_open(struct auth *auth)
{
    if (recent_open(&auth->known, PLACES_MAX) < 0 ||
        recent_open(&auth->networks, NETWORKS_MAX) < 0 ||
        recent_open(&auth->accounts, ACCOUNTS_MAX) < 0) {
        penalty_close(auth);
        return -ENOMEM;
    }
    return 0;
}

void penalty_close(struct auth *auth)
{
    recent_close(&auth->known);
    recent_close(&auth->networks);
    recent_close(&auth->accounts);
}

/* Unix sockets and unknown peers have no network. */
static bool network_of(const struct auth *auth, const struct auth_client *client,
                       struct recent_tag *ret_tag)
{
    uint8_t key[7] = {(uint8_t)client->family};
    if (client->family != 4 && client->family != 6)
        return false;
    memcpy(key + 1, client->address, client->family == 4 ? 4 : 6);
    *ret_tag = recent_tag_of(&auth->place_key, key, sizeof key);
    return true;
}

void penalty_origin(struct auth *auth, const struct auth_client *client, struct slice name,
                    struct origin *ret_origin)
{
    char text[sizeof(struct recent_tag) + AUTH_USER_BYTES_MAX];
    *ret_origin = (struct origin){0};
    ret_origin->has_network = network_of(auth, client, &ret_origin->network);
    memcpy(text, &ret_origin->network, sizeof ret_origin->network);
    memcpy(text + sizeof ret_origin->network, name.data, name.size);
    size_t size = sizeof ret_origin->network + name.size;
    ret_origin->place = recent_tag_of(&auth->place_key, text, size);
    memset(text, 0xff, sizeof ret_origin->network); /* no network's tag but by chance of 2^-128 */
    ret_origin->account = recent_tag_of(&auth->place_key, text, size);
}

/* ---------------------------------------------------------------- delays */

static uint64_t delay_after(const struct auth *auth, unsigned failures)
{
    uint64_t delay = auth->options->failure_ms_first, longest = auth->options->failure_ms_max;
    if (failures == 0)
        return 0;
    for (unsigned i = 1; i < failures && i < DOUBLINGS_MAX && delay < longest; i++)
        delay *= 2;
    return delay < longest ? delay : longest;
}

/* That user has logged in from there lately. */
static bool is_known(const struct auth *auth, const struct origin *origin)
{
    return origin->has_network &&
           recent_find(&auth->known, &origin->place, core_now_ns(auth->core)) != NULL;
}

uint64_t penalty_ms(const struct auth *auth, const struct origin *origin)
{
    uint64_t now = core_now_ns(auth->core);
    if (is_known(auth, origin))
        return 0;
    const struct recent_row *network = recent_find(&auth->networks, &origin->network, now);
    const struct recent_row *account = recent_find(&auth->accounts, &origin->account, now);
    unsigned failures = origin->has_network && network != NULL ? network->count : 0;
    if (account != NULL && account->count > failures)
        failures = account->count;
    return delay_after(auth, failures);
}

static unsigned count_failure(struct auth *auth, struct recent *table, const struct recent_tag *tag,
                              uint32_t guess)
{
    uint64_t now = core_now_ns(auth->core);
    struct recent_row *row = recent_make(table, tag, now);
    if ((row->count == 0 || row->detail != guess) && row->count < UINT16_MAX)
        row->count++;
    row->detail = guess;
    row->until_ns = now + auth->options->failure_ms_max * FORGET_FACTOR * 1000000 + 1;
    return row->count;
}

uint64_t penalty_failed(struct auth *auth, const struct origin *origin, uint32_t guess)
{
    unsigned account = count_failure(auth, &auth->accounts, &origin->account, guess);
    unsigned network = 0;
    if (origin->has_network)
        network = count_failure(auth, &auth->networks, &origin->network, guess);
    if (is_known(auth, origin)) /* his own slip is not made dear by what others guess */
        return delay_after(auth, network);
    return delay_after(auth, network > account ? network : account);
}

void penalty_passed(struct auth *auth, const struct origin *origin)
{
    uint64_t now = core_now_ns(auth->core);
    if (!origin->has_network)
        return;
    struct recent_row *row = recent_make(&auth->known, &origin->place, now);
    row->until_ns = now + known_ns_max;
}

/* ---------------------------------------------------------------- places to wait in */

/* There is no place left to hold an answer back. */
static bool is_crowded(const struct auth *auth, const struct recent_tag *network,
                       const struct recent_tag *account)
{
    uint64_t now = core_now_ns(auth->core);
    const struct recent_row *row = recent_find(&auth->networks, network, now);
    if (auth->sleeping >= SLEEPERS_MAX ||
        (row != NULL && row->sleeping >= SLEEPERS_PER_NETWORK_MAX))
        return true;
    row = recent_find(&auth->accounts, account, now);
    return row != NULL && row->sleeping >= SLEEPERS_PER_ACCOUNT_MAX;
}

static void sleepers_add(struct auth *auth, const struct recent_tag *network,
                         const struct recent_tag *account, int more)
{
    uint64_t now = core_now_ns(auth->core);
    struct recent_row *rows[] = {recent_find(&auth->networks, network, now),
                                 recent_find(&auth->accounts, account, now)};
    for (unsigned i = 0; i < 2; i++)
        if (rows[i] != NULL && (more > 0 || rows[i]->sleeping > 0)) /* it may be another's by now */
            rows[i]->sleeping = (uint16_t)(rows[i]->sleeping + more);
    auth->sleeping += (unsigned)more;
}

int penalty_enter(struct auth *auth, struct origin *origin)
{
    if (origin->holds_place || penalty_ms(auth, origin) == 0)
        return 0;
    if (is_crowded(auth, &origin->network, &origin->account))
        return -EAGAIN;
    sleepers_add(auth, &origin->network, &origin->account, 1);
    origin->holds_place = true;
    return 0;
}

void penalty_leave(struct auth *auth, struct origin *origin)
{
    if (origin->holds_place)
        sleepers_add(auth, &origin->network, &origin->account, -1);
    origin->holds_place = false;
}

void auth_wait(struct core *core, const struct auth_result *result)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    struct recent_tag network = {{result->network[0], result->network[1]}};
    struct recent_tag account = {{result->account[0], result->account[1]}};
    if (result->delay_ms == 0 || is_crowded(auth, &network, &account))
        return;
    sleepers_add(auth, &network, &account, 1);
    fiber_sleep(core, result->delay_ms * 1000000);
    sleepers_add(auth, &network, &account, -1);
}
