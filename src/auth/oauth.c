/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OAUTHBEARER (RFC 7628) and XOAUTH2 (as Google and Microsoft have it): a token in place of a
 * password. ^A is byte 1.
 *
 *   OAUTHBEARER  n,a=anna@example.org,^Ahost=mx.example.org^Aport=993^Aauth=Bearer TOKEN^A^A
 *   XOAUTH2      user=anna@example.org^Aauth=Bearer TOKEN^A^A
 *
 * The token says who it is, the message whom he acts as: another only if he is a master. A token
 * that is wrong is answered by a JSON text; the client's answer to that has no meaning. The token
 * of a user who is judged elsewhere is not looked at: the message says who it is.
 */
#include "jwt.h"
#include "sasl_private.h"

#include <errno.h>
#include <stdlib.h>

#include "ringpost/directory.h"
#include "scram.h"

enum { MARK = 1 };

static const char bearer_refusal[] = "{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}";
static const char google_refusal[] = "{\"status\":\"401\",\"schemes\":\"bearer\"}";

/* ---------------------------------------------------------------- messages; pure */

/* "Bearer TOKEN" (RFC 6750, section 2.1). */
static bool token_take(struct slice value, struct slice *ret_token)
{
    static const char marks[] = "-._~+/";
    size_t at = sizeof "Bearer " - 1, digits;
    if (!slice_starts_nocase(value, SLICE("Bearer ")))
        return false;
    while (at < value.size && value.data[at] == ' ')
        at++;
    struct slice token = slice_from(value, at);
    for (digits = 0; digits < token.size; digits++) {
        char c = token.data[digits];
        if ((c < '0' || c > '9') && (ascii_lower(c) < 'a' || ascii_lower(c) > 'z') &&
            (c == '\0' || strchr(marks, c) == NULL))
            break;
    }
    for (at = digits; at < token.size; at++)
        if (token.data[at] != '=')
            return false;
    *ret_token = token;
    return digits > 0;
}

/* Pairs key=value^A, ^A behind the last: the token of "auth", which stands there once. */
static bool pairs_parse(struct slice rest, struct slice *ret_token)
{
    struct slice token = {0};
    while (rest.size > 0 && rest.data[0] != MARK) {
        struct slice pair = slice_first(rest, slice_find(rest, MARK));
        struct slice key = slice_first(pair, slice_find(pair, '='));
        if (pair.size == rest.size || key.size == pair.size || key.size == 0 ||
            slice_find(pair, '\0') < pair.size)
            return false;
        for (size_t i = 0; i < key.size; i++)
            if (ascii_lower(key.data[i]) < 'a' || ascii_lower(key.data[i]) > 'z')
                return false;
        if (slice_equal_nocase(key, SLICE("auth")) &&
            (token.data != NULL || !token_take(slice_from(pair, key.size + 1), &token)))
            return false;
        rest = slice_from(rest, pair.size + 1);
    }
    *ret_token = token;
    return rest.size == 1 && token.data != NULL;
}

bool oauth_bearer_parse(struct slice message, struct oauth_message *ret_message)
{
    struct slice head = slice_first(message, slice_find(message, MARK)), token;
    struct slice flag = slice_first(head, slice_find(head, ','));
    struct slice acts_as = slice_from(head, flag.size + 1);
    if ((!slice_equal(flag, SLICE("n")) && !slice_equal(flag, SLICE("y"))) || acts_as.size == 0 ||
        slice_find(acts_as, ',') + 1 != acts_as.size ||
        !pairs_parse(slice_from(message, head.size + 1), &token))
        return false;
    acts_as.size--;
    if (acts_as.size > 0 && (acts_as.size < 3 || memcmp(acts_as.data, "a=", 2) != 0))
        return false;
    *ret_message = (struct oauth_message){.acts_as = slice_from(acts_as, 2), .token = token};
    return true;
}

bool oauth_google_parse(struct slice message, struct oauth_message *ret_message)
{
    struct slice head = slice_first(message, slice_find(message, MARK)), token;
    if (head.size < 6 || memcmp(head.data, "user=", 5) != 0 ||
        !pairs_parse(slice_from(message, head.size + 1), &token))
        return false;
    *ret_message = (struct oauth_message){.acts_as = slice_from(head, 5), .token = token};
    return true;
}

/* ---------------------------------------------------------------- the token */

/* What a helper thread does; its memory is the heap's, the token the exchange's, which stands
 * still meanwhile. */
struct job {
    const struct auth_tokens *tokens;
    const struct auth_client *client;
    struct slice token;
    int64_t now_s;
    int result;
    char user[AUTH_USER_BYTES_MAX + 1];
    struct directory_record record;
};

static void check_work(void *argument)
{
    struct job *job = argument;
    job->result = jwt_check(job->tokens, job->token, job->now_s, job->user);
}

static void ask_work(void *argument)
{
    struct job *job = argument;
    const struct auth_directory *directory = jwt_introspection(job->tokens);
    job->result =
        directory->kind->ask_token(directory->state, job->token, job->client, &job->record);
    if (job->result == 0)
        memcpy(job->user, job->record.user, sizeof job->user);
    if (job->result == 0 && (job->record.is_disabled || job->user[0] == '\0'))
        job->result = -EACCES;
}

/* On a helper thread, when it is this log-in's turn. 0, -EACCES, -EAGAIN; -ENOENT: not a JWT. */
static int help(struct sasl *sasl, struct job *job, bool asks)
{
    struct auth *auth = core_local(sasl->core, CORE_LOCAL_AUTH);
    struct lane *lane = asks ? &auth->asking : &auth->hashing;
    if (lane_enter(auth, lane, auth_options_of(sasl->core)->waiting_max) < 0)
        return -EAGAIN;
    int result = asks ? core_help_waiting(sasl->core, ask_work, job)
                      : core_help(sasl->core, check_work, job);
    lane_leave(auth, lane);
    if (result == 0)
        result = job->result;
    return result == 0 || result == -EACCES || (result == -ENOENT && !asks) ? result : -EAGAIN;
}

static int token_judge(struct sasl *sasl, struct job *job)
{
    job->now_s = core_wall_ns(sasl->core) / 1000000000;
    int result = job->tokens != NULL ? help(sasl, job, false) : -EACCES;
    if (result == -ENOENT)
        result = jwt_introspection(job->tokens) != NULL ? help(sasl, job, true) : -EACCES;
    return result;
}

/* ---------------------------------------------------------------- the mechanisms */

static bool is_elsewhere(const struct sasl *sasl, struct slice user)
{
    const struct auth_options *options = auth_options_of(sasl->core);
    char text[AUTH_USER_BYTES_MAX + 1];
    struct slice name;
    return name_make(user, options->default_domain, text, &name) == 0 &&
           name_is_elsewhere(options, name);
}

/* The backend is to judge the token of whom the message names. */
static int pass_on(struct sasl *sasl, struct slice token, struct slice user)
{
    struct auth_try *t;
    int begun = auth_try_begin(sasl->core, sasl->client, sasl->mechanism, user, &t);
    if (begun < 0)
        return begun;
    return auth_try_end(t, sasl_exists(t), token, sasl->ret_result, sasl->ret_proof);
}

static int judge(struct sasl *sasl, struct job *job, struct slice acts_as)
{
    struct auth_try *t;
    if (is_elsewhere(sasl, acts_as))
        return pass_on(sasl, job->token, acts_as);
    int result = token_judge(sasl, job);
    struct slice user = result == 0 ? slice_cstr(job->user) : acts_as;
    if (result < 0 && result != -EACCES)
        return result;
    int begun = auth_try_begin_as(sasl->core, sasl->client, sasl->mechanism, user, acts_as, &t);
    if (begun < 0)
        return begun;
    return auth_try_end(t, result == 0 ? sasl_exists(t) : result, job->token, sasl->ret_result,
                        sasl->ret_proof);
}

static int run(struct sasl *sasl,
               bool (*parse)(struct slice message, struct oauth_message *ret_message),
               struct slice refusal)
{
    struct slice message;
    struct oauth_message parsed;
    char acts_as[AUTH_USER_BYTES_MAX];
    size_t size = 0;
    int result = sasl_first(sasl, (struct slice){0}, &message);
    if (result < 0)
        return result;
    if (!parse(message, &parsed))
        return -EBADMSG;
    if (parsed.acts_as.size > sizeof acts_as)
        return -EINVAL;
    if (!scram_name_decode(parsed.acts_as, acts_as, &size))
        return -EBADMSG;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return -EAGAIN;
    const struct auth_options *options = auth_options_of(sasl->core);
    job->tokens = options->tokens;
    job->client = sasl->client;
    job->token = parsed.token;
    generation_enter(options->generation); /* the tokens must outlive the job */
    result = judge(sasl, job, slice_of(acts_as, size));
    generation_leave(options->generation);
    explicit_bzero(job, sizeof *job);
    free(job);
    if (result == -EACCES)
        sasl_ask(sasl, refusal, &message); /* whatever the client says: it is refused */
    return result;
}

int oauth_bearer_run(struct sasl *sasl)
{
    return run(sasl, oauth_bearer_parse, slice_cstr(bearer_refusal));
}

int oauth_google_run(struct sasl *sasl)
{
    return run(sasl, oauth_google_parse, slice_cstr(google_refusal));
}
