/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One log-in, in steps.
 *
 *   begin      name ─▶ canonical; whose penalty
 *   record     the user's secrets, for a mechanism that judges itself (SCRAM), or that it exists
 *   password   passwd file, then directories in order; the first that knows the user counts
 *     ├─ verified lately ─────────────────────────────────────────▶ right, at once
 *     ├─ under penalty, too many of those wait already ───────────▶ -EAGAIN
 *     ├─ a directory verifies: it is asked ───────────────────────▶ right, wrong, -EAGAIN
 *     └─ helper: the user's secret, or the dummy, is hashed ──────▶ right, wrong
 *   end        right: remembered, the place known; wrong: one failure more; the delay due
 *   judged     the same, when a backend has said what a secret is worth that nobody here knows
 *
 * A user who is unknown, disabled, not allowed from there, without a secret, or not a master of
 * whom he acts as goes the same way with a secret that nobody has (A2): the try `can_only_fail`,
 * and nothing before its end depends on that.
 *
 * A password that was right is kept as 128 bits of keyed hash over user, protocol, the secret that
 * it was checked with (or the directory that said so), and the password (A3): a changed hash is
 * another key.
 *
 * Ownership: a try is its fiber's; helpers look at it while the fiber waits. It holds its options'
 * generation. The memory that held passwords and secrets is wiped (A4).
 */
#include "auth_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/base64.h"
#include "ringpost/network.h"

struct auth_try {
    struct auth *auth;
    const struct auth_options *options;
    const struct auth_client *client;
    const char *mechanism;
    struct slice name;    /* whose secret is checked; in name_text */
    struct slice acts_as; /* who is logged in; in acts_text; the same as name without a master */
    struct origin origin;
    uint32_t guess;
    bool acts;          /* as another */
    bool can_only_fail; /* A2 */
    bool is_elsewhere;  /* of options->judged_elsewhere, and himself */
    bool is_unverified; /* such a one's secret, which nobody has looked at */
    bool is_cached;
    bool by_directory;     /* one that verifies said so */
    int work_result;       /* of the helper */
    uint32_t directory_ms; /* what a directory wants a refusal held back */
    struct slice password; /* in password_text */
    struct recent_tag verified;
    char name_text[AUTH_USER_BYTES_MAX + 1], acts_text[AUTH_USER_BYTES_MAX + 1];
    char user[AUTH_USER_BYTES_MAX + 1]; /* who is logged in as its source writes it; "": acts_as */
    char attributes[DIRECTORY_ATTRIBUTES_BYTES_MAX + 1]; /* of who is logged in */
    char password_text[AUTH_PASSWORD_BYTES_MAX + 1];
    struct directory_record record;
};

/* ---------------------------------------------------------------- begin */

/* "user*master", where a password is typed; a certificate or a token names one only. */
static void take_apart(const struct auth_options *options, const char *mechanism,
                       struct slice *user, struct slice *acts_as)
{
    struct slice name = slice_cstr(mechanism);
    size_t at = slice_find(*user, options->master_separator);
    if (options->masters == NULL || options->master_separator == 0 || acts_as->size > 0 ||
        at == 0 || at + 1 >= user->size ||
        (!slice_equal(name, SLICE("PLAIN")) && !slice_equal(name, SLICE("LOGIN")) &&
         !slice_starts_nocase(name, SLICE("SCRAM-"))))
        return;
    *acts_as = slice_first(*user, at);
    *user = slice_from(*user, at + 1);
}

int auth_try_begin_as(struct core *core, const struct auth_client *client, const char *mechanism,
                      struct slice user, struct slice acts_as, struct auth_try **ret_try)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    struct auth_try *t = malloc(sizeof *t);
    if (t == NULL)
        return -EAGAIN;
    memset(t, 0, offsetof(struct auth_try, name_text));
    t->user[0] = t->attributes[0] = '\0';
    t->auth = auth;
    t->options = auth->options;
    t->client = client;
    t->mechanism = mechanism;
    struct slice domain = t->options->default_domain;
    take_apart(t->options, mechanism, &user, &acts_as);
    int result = name_make(user, domain, t->name_text, &t->name);
    if (result == 0 && acts_as.size > 0)
        result = name_make(acts_as, domain, t->acts_text, &t->acts_as);
    if (result < 0) {
        free(t);
        return result;
    }
    t->acts = acts_as.size > 0 && !slice_equal(t->acts_as, t->name);
    if (!t->acts)
        t->acts_as = t->name;
    t->is_elsewhere = !t->acts && name_is_elsewhere(t->options, t->name);
    penalty_origin(auth, client, t->name, &t->origin);
    t->guess = ++auth->guesses; /* of a password it becomes what stands for that */
    generation_enter(t->options->generation);
    auth->tries++;
    *ret_try = t;
    return 0;
}

int auth_try_begin(struct core *core, const struct auth_client *client, const char *mechanism,
                   struct slice user, struct auth_try **ret_try)
{
    return auth_try_begin_as(core, client, mechanism, user, (struct slice){0}, ret_try);
}

/* ---------------------------------------------------------------- who may, with what */

/* The secret that is hashed where there is none, of the shape that most users' have. */
static struct slice dummy_secret(const struct auth_try *t)
{
    const struct auth_options *options = t->options;
    const struct auth_users *users = t->acts ? options->masters : options->users;
    if (users != NULL && auth_users_count(users) > 0)
        return users_dummy(users);
    if (t->auth->dummy_votes > 0)
        return slice_cstr(t->auth->dummy);
    return users_dummy(NULL);
}

/* The majority of the shapes that directories showed (Boyer and Moore's vote). */
static void dummy_vote(struct auth *auth, struct slice secret)
{
    struct slice dummy = slice_cstr(auth->dummy);
    if (slice_equal(slice_first(secret, password_cost_size(secret)),
                    slice_first(dummy, password_cost_size(dummy)))) {
        auth->dummy_votes += auth->dummy_votes < 1000;
    } else if (auth->dummy_votes > 1) {
        auth->dummy_votes--;
    } else {
        memcpy(auth->dummy, secret.data, secret.size);
        auth->dummy[secret.size] = '\0';
        auth->dummy_votes = 1;
    }
}

static bool is_allowed(const struct auth_try *t, const struct directory_record *record)
{
    struct slice networks = slice_cstr(record->networks);
    return !record->is_disabled &&
           (networks.size == 0 ||
            network_text_holds(networks, t->client->family, t->client->address, NULL));
}

static bool has_password(const struct directory_record *record)
{
    return record->secret[0] != '\0' && !password_is_locked(slice_cstr(record->secret));
}

/* What the source of who is logged in says about him. */
static void adopt(struct auth_try *t)
{
    memcpy(t->user, t->record.user, sizeof t->user);
    memcpy(t->attributes, t->record.attributes, sizeof t->attributes);
}

/* A master's own record, and whether there is whom he acts as, if anybody here knows. */
static int find_master(struct auth_try *t)
{
    const struct auth_users *masters = t->options->masters;
    struct directory_query query = {
        .user = t->acts_as, .client = t->client, .mechanism = t->mechanism};
    if (!name_is_elsewhere(t->options, t->acts_as)) {
        int result = auth_find(t->auth, t->options, &query, &t->record);
        if (result == -EAGAIN)
            return result;
        if (result == 0)
            adopt(t);
        t->can_only_fail = result < 0 || t->record.is_disabled;
    }
    int64_t master = users_find(masters, t->name);
    if (master == AUTH_NO_USER)
        return -ENOENT;
    users_record(masters, (uint32_t)master, &t->record);
    return 0;
}

/* Puts what was found to the proof, or the dummy in its place. */
static void judge(struct auth_try *t, bool is_found)
{
    if (is_found && !t->acts)
        adopt(t);
    if (!is_found || !is_allowed(t, &t->record))
        t->can_only_fail = true;
}

/* ---------------------------------------------------------------- record */

/* Of secrets with blanks between, what follows {scheme} in the first that has it; data NULL: none
 * has. */
static struct slice secret_of(struct slice secrets, struct slice scheme)
{
    while (secrets.size > 0) {
        struct slice one = slice_first(secrets, slice_find(secrets, ' '));
        if (one.size > scheme.size + 2 && one.data[0] == '{' && one.data[scheme.size + 1] == '}' &&
            slice_equal_nocase(slice_of(one.data + 1, scheme.size), scheme))
            return slice_from(one, scheme.size + 2);
        secrets = slice_from(secrets, one.size + 1);
    }
    return (struct slice){0};
}

/* What SCRAM shows before the proof must be the same at every try, on every core: salt, keys and
 * iterations of nobody, by the site's key. */
static void dummy_scram(const struct auth_try *t, struct slice scheme,
                        char secret[DIRECTORY_SECRET_BYTES_MAX + 1])
{
    enum { SALT_BYTES = 16, SALT_WORDS = 2, KEY_WORDS = 4, ITERATIONS = 4096 };
    uint64_t words[SALT_WORDS + 2 * KEY_WORDS];
    char text[sizeof words * 2];
    struct slice usual = users_dummy(t->options->users);
    struct hash_key key;
    memcpy(&key, t->options->dummy_key, sizeof key);
    key.k0 ^= hash_keyed(&key, usual.data, usual.size); /* where the site has none */
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        key.k1 ^= hash_u64(i + 1);
        words[i] = hash_keyed(&key, t->name.data, t->name.size);
    }
    uint64_t iterations = ITERATIONS;
    usual = secret_of(usual, scheme);
    slice_number(slice_first(usual, slice_find(usual, ',')), UINT32_MAX, &iterations);
    size_t key_bytes = slice_equal_nocase(scheme, SLICE("SCRAM-SHA-1")) ? 20 : 32;
    size_t size = base64_encode(slice_of(words, SALT_BYTES), text);
    for (unsigned i = 0; i < 2; i++) {
        text[size++] = ',';
        size += base64_encode(slice_of(words + SALT_WORDS + i * KEY_WORDS, key_bytes), text + size);
    }
    snprintf(secret, DIRECTORY_SECRET_BYTES_MAX + 1, "{%.*s}%u,%.*s", (int)scheme.size, scheme.data,
             (unsigned)iterations, (int)size, text);
    explicit_bzero(words, sizeof words);
}

/* "SCRAM-SHA-256" of that and of "SCRAM-SHA-256-PLUS"; empty: a mechanism without stored secrets.
 */
static struct slice scheme_of(const char *mechanism)
{
    struct slice name = slice_cstr(mechanism);
    if (!slice_starts_nocase(name, SLICE("SCRAM-")))
        return (struct slice){0};
    if (name.size > 5 && slice_equal_nocase(slice_from(name, name.size - 5), SLICE("-PLUS")))
        name.size -= 5;
    return name;
}

/* Of somebody elsewhere there is no secret, so that SCRAM fails; a certificate needs none. */
static int find_record(struct auth_try *t)
{
    struct directory_query query = {
        .user = t->name, .client = t->client, .mechanism = t->mechanism};
    if (t->acts)
        return find_master(t);
    if (!t->is_elsewhere)
        return auth_find(t->auth, t->options, &query, &t->record);
    memset(&t->record, 0, sizeof t->record);
    return 0;
}

int auth_try_record(struct auth_try *t, struct directory_record *ret_record)
{
    struct slice scheme = scheme_of(t->mechanism);
    if (penalty_enter(t->auth, &t->origin) < 0)
        return -EAGAIN;
    int result = find_record(t);
    if (result == -EAGAIN)
        return result;
    judge(t, result == 0);
    if (result == 0 && scheme.size > 0 &&
        (!has_password(&t->record) || secret_of(slice_cstr(t->record.secret), scheme).size == 0))
        t->can_only_fail = true;
    if (t->can_only_fail) {
        explicit_bzero(&t->record, sizeof t->record);
        if (scheme.size > 0)
            dummy_scram(t, scheme, t->record.secret);
        else
            memcpy(t->record.secret, dummy_secret(t).data, dummy_secret(t).size);
    }
    *ret_record = t->record;
    return 0;
}

/* ---------------------------------------------------------------- password */

/* A3. identity: of the directory that judges, where no secret does. */
static void verified_key(struct auth_try *t, struct slice secret, uint64_t identity)
{
    struct {
        uint64_t identity;
        char text[AUTH_USER_BYTES_MAX + DIRECTORY_SECRET_BYTES_MAX + AUTH_PASSWORD_BYTES_MAX + 64];
    } key = {.identity = identity};
    struct slice parts[] = {t->name, slice_cstr(t->client->protocol), secret, t->password};
    size_t size = 0;
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct slice part = i == 1 ? slice_first(parts[i], 32) : parts[i];
        if (part.size > 0)
            memcpy(key.text + size, part.data, part.size);
        size += part.size;
        key.text[size++] = '\0'; /* none of them holds one */
    }
    t->verified = recent_tag_of(&t->auth->verified_key, &key, offsetof(typeof(key), text) + size);
    explicit_bzero(&key, sizeof key);
}

static bool is_verified(const struct auth_try *t)
{
    return !t->can_only_fail &&
           recent_find(&t->auth->verified, &t->verified, core_now_ns(t->auth->core)) != NULL;
}

static void hash_work(void *argument)
{
    struct auth_try *t = argument;
    t->work_result = password_verify(t->password, slice_cstr(t->record.secret));
}

/* With the secret in t->record, or the dummy. */
static int verify_hash(struct auth_try *t)
{
    struct auth *auth = t->auth;
    if (!t->can_only_fail && !has_password(&t->record))
        t->can_only_fail = true;
    if (!t->can_only_fail) {
        dummy_vote(auth, slice_cstr(t->record.secret));
        verified_key(t, slice_cstr(t->record.secret), 0);
        t->is_cached = is_verified(t);
    } else if (!has_password(&t->record)) {
        struct slice dummy = dummy_secret(t);
        memcpy(t->record.secret, dummy.data, dummy.size);
        t->record.secret[dummy.size] = '\0';
    }
    if (t->is_cached)
        return 0;
    if (penalty_enter(auth, &t->origin) < 0 ||
        lane_enter(auth, &auth->hashing, t->options->waiting_max) < 0)
        return -EAGAIN;
    if (!t->can_only_fail && is_verified(t)) { /* for another connection, while this one waited */
        lane_leave(auth, &auth->hashing);
        t->is_cached = true;
        return 0;
    }
    counter_add(core_counters(auth->core), COUNTER_AUTH_HASHES, 1);
    int result = core_help(auth->core, hash_work, t);
    lane_leave(auth, &auth->hashing);
    if (result < 0 || t->work_result < 0)
        return -EAGAIN;
    return t->work_result > 0 ? 0 : -EACCES;
}

/* By a directory that verifies. Its answer is believed for a while, and longer when it is not
 * available. -ENOENT: it does not know the user. */
static int verify_by(struct auth_try *t, unsigned index)
{
    const struct auth_directory *directory = &t->options->directories[index];
    struct auth *auth = t->auth;
    bool is_fresh = false;
    uint64_t now = core_now_ns(auth->core);
    uint64_t identity =
        directory->identity != 0 ? directory->identity : (uintptr_t)directory->state;
    verified_key(t, directory->name, identity);
    bool is_kept = ask_cached(auth, t->options, index, t->name, &t->record, &is_fresh) == 0 &&
                   is_allowed(t, &t->record);
    const struct recent_row *row = recent_find(&auth->verified, &t->verified, now);
    is_kept = is_kept && row != NULL;
    if (is_kept && is_fresh && row->until_ns > now + t->options->stale_ms_max * 1000000) {
        t->is_cached = true;
        return 0;
    }
    struct directory_query query = {
        .user = t->name, .password = t->password, .client = t->client, .mechanism = t->mechanism};
    if (penalty_enter(auth, &t->origin) < 0)
        return -EAGAIN;
    int result = ask_verdict(auth, t->options, index, &query, &t->record);
    t->by_directory = result == 0;
    if (result == -EACCES)
        t->directory_ms = t->record.delay_ms;
    if (result == -EAGAIN && is_kept &&
        ask_cached(auth, t->options, index, t->name, &t->record, &is_fresh) == 0) {
        counter_add(core_counters(auth->core), COUNTER_DIRECTORY_STALE, 1);
        t->is_cached = true;
        return 0;
    }
    return result;
}

/* Passwd file, then directories. The verdict. */
static int verify(struct auth_try *t)
{
    const struct auth_options *options = t->options;
    bool has_verifier = false;
    t->record.secret[0] = '\0';
    if (t->acts) {
        int result = find_master(t);
        if (result == -EAGAIN)
            return result;
        judge(t, result == 0);
        return verify_hash(t);
    }
    int64_t user = users_find(options->users, t->name);
    if (user != AUTH_NO_USER) {
        users_record(options->users, (uint32_t)user, &t->record);
        judge(t, true);
        return verify_hash(t);
    }
    for (unsigned i = 0; i < options->directory_count && name_is_possible(t->name); i++) {
        const struct auth_directory *directory = &options->directories[i];
        struct directory_query query = {
            .user = t->name, .client = t->client, .mechanism = t->mechanism};
        if (!ask_concerns(directory, t->name))
            continue;
        has_verifier = directory->kind->verifies;
        int result =
            has_verifier ? verify_by(t, i) : ask_record(t->auth, options, i, &query, &t->record);
        if (result == 0)
            judge(t, true);
        if (result != -ENOENT)
            return result == 0 && !has_verifier ? verify_hash(t) : result;
    }
    t->record.secret[0] = '\0';
    judge(t, false);
    return has_verifier ? -EACCES : verify_hash(t); /* the work that a wrong password would be */
}

/* Nothing is hashed and nobody is asked. No password is none: a backend may take that for a log-in
 * that does without one (LDAP's unauthenticated bind). */
static int leave_to_backend(struct auth_try *t)
{
    t->can_only_fail = t->password.size == 0;
    t->is_unverified = !t->can_only_fail;
    return penalty_enter(t->auth, &t->origin) < 0 ? -EAGAIN : 0;
}

int auth_try_password(struct auth_try *t, struct slice password)
{
    if (password.size > AUTH_PASSWORD_BYTES_MAX || slice_find(password, '\0') < password.size)
        return -EINVAL;
    if (password.size > 0)
        memcpy(t->password_text, password.data, password.size);
    t->password = slice_of(t->password_text, password.size);
    verified_key(t, (struct slice){0}, 0);
    t->guess = (uint32_t)(t->verified.word[1] >> 32);
    return t->is_elsewhere ? leave_to_backend(t) : verify(t);
}

/* ---------------------------------------------------------------- end */

static void remember(struct auth_try *t)
{
    struct auth *auth = t->auth;
    uint64_t now = core_now_ns(auth->core);
    bool is_password = t->password.data != NULL;
    struct recent_row *row = is_password ? recent_make(&auth->verified, &t->verified, now) : NULL;
    uint64_t lives_ms = t->options->cache_ms_max + (t->by_directory ? t->options->stale_ms_max : 0);
    if (row != NULL && (row->until_ns == 0 || t->by_directory))
        row->until_ns = now + lives_ms * 1000000;
}

/* What the log-in is due, counted unless it is not judged yet. */
static uint64_t count(struct auth_try *t, int verdict)
{
    struct auth *auth = t->auth;
    struct counters *counters = core_counters(auth->core);
    uint64_t delay = t->is_cached ? 0 : penalty_ms(auth, &t->origin);
    if (verdict == 0 && t->is_unverified)
        return delay;
    counter_add(counters, verdict == 0 ? COUNTER_AUTH_OK : COUNTER_AUTH_FAILED, 1);
    if (verdict < 0) {
        delay = penalty_failed(auth, &t->origin, t->guess);
        return delay > t->directory_ms ? delay : t->directory_ms;
    }
    penalty_passed(auth, &t->origin);
    if (t->is_cached)
        counter_add(counters, COUNTER_AUTH_CACHED, 1);
    else
        remember(t);
    return delay;
}

/* What a master shows is good for every user: it goes no further. */
static void prove(const struct auth_try *t, struct slice shown, struct auth_proof *proof)
{
    struct slice attributes = slice_cstr(t->attributes);
    struct slice secret = shown.data != NULL ? shown : t->password;
    if (t->acts)
        secret = (struct slice){0};
    assert(attributes.size + secret.size < proof->memory_bytes && "AUTH_PROOF_BYTES_MAX");
    memcpy(proof->memory, attributes.data, attributes.size + 1);
    proof->attributes = slice_of(proof->memory, attributes.size);
    proof->secret = (struct slice){0};
    if (secret.data == NULL)
        return;
    proof->secret = slice_of(proof->memory + attributes.size, secret.size);
    memcpy(proof->memory + attributes.size, secret.data, secret.size);
}

int auth_try_end(struct auth_try *t, int verdict, struct slice shown,
                 struct auth_result *ret_result, struct auth_proof *ret_proof)
{
    struct auth *auth = t->auth;
    penalty_leave(auth, &t->origin);
    if (verdict == 0 && t->can_only_fail)
        verdict = -EACCES;
    if (verdict == 0 && shown.data != NULL && t->is_elsewhere)
        t->is_unverified = true;
    if (verdict == 0 || verdict == -EACCES)
        *ret_result =
            (struct auth_result){.delay_ms = count(t, verdict),
                                 .is_unverified = verdict == 0 && t->is_unverified,
                                 .network = {t->origin.network.word[0], t->origin.network.word[1]},
                                 .account = {t->origin.account.word[0], t->origin.account.word[1]},
                                 .guess = t->guess};
    if (verdict == 0) {
        struct slice name = t->user[0] != '\0' ? slice_cstr(t->user) : t->acts_as;
        memcpy(ret_result->text, name.data, name.size);
        ret_result->user = slice_of(ret_result->text, name.size);
    }
    if (verdict == 0 && ret_proof != NULL && ret_proof->memory != NULL)
        prove(t, shown, ret_proof);
    assert(auth->tries > 0 && "a try ends once");
    auth->tries--;
    generation_leave(t->options->generation);
    explicit_bzero(t, sizeof *t);
    free(t);
    return verdict;
}

void auth_judged(struct core *core, const struct auth_client *client, bool is_right,
                 struct auth_result *result)
{
    struct auth *auth = core_local(core, CORE_LOCAL_AUTH);
    struct origin origin;
    uint64_t waited_ms = result->delay_ms;
    assert(result->is_unverified && "judged once");
    result->is_unverified = false;
    result->delay_ms = 0;
    /* Such a name is as it was typed, so that it is the account of auth_try_begin. */
    penalty_origin(auth, client, slice_cstr(result->text), &origin);
    counter_add(core_counters(core), is_right ? COUNTER_AUTH_OK : COUNTER_AUTH_FAILED, 1);
    if (is_right) {
        penalty_passed(auth, &origin);
        return;
    }
    uint64_t due_ms = penalty_failed(auth, &origin, result->guess);
    if (due_ms > waited_ms)
        result->delay_ms = due_ms - waited_ms;
}
