/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SASL (RFC 4422): which mechanisms there are, who may use them, and the simple ones: PLAIN
 * (RFC 4616), LOGIN (draft-murchison-sasl-login), EXTERNAL (RFC 4422, appendix A).
 *
 *   auth_sasl ─▶ row of the table ─▶ may this client? ─▶ run: messages, auth_try_* ─▶ result
 *
 * What is offered and what is accepted is one function (may_use), so that they cannot differ.
 */
#include "sasl_private.h"

#include <errno.h>
#include <stdlib.h>

enum need {
    NEED_SECRECY = 1, /* shows a secret, or lets it be guessed, to who listens */
    NEED_BINDING = 2,
    NEED_CERTIFICATE = 4,
    NEED_TOKENS = 8,
    NEED_SCRAM = 16 /* somebody's record may be good for it */
};

static int plain_run(struct sasl *sasl);
static int login_run(struct sasl *sasl);
static int external_run(struct sasl *sasl);

static const struct mechanism {
    struct slice name;
    unsigned needs;
    int (*run)(struct sasl *sasl);
} mechanisms[AUTH_MECHANISM_COUNT] = {
    [AUTH_SCRAM_SHA_256_PLUS] = {{"SCRAM-SHA-256-PLUS", 18},
                                 NEED_SECRECY | NEED_BINDING | NEED_SCRAM,
                                 scram_run},
    [AUTH_SCRAM_SHA_256] = {{"SCRAM-SHA-256", 13}, NEED_SECRECY | NEED_SCRAM, scram_run},
    [AUTH_SCRAM_SHA_1_PLUS] = {{"SCRAM-SHA-1-PLUS", 16},
                               NEED_SECRECY | NEED_BINDING | NEED_SCRAM,
                               scram_run},
    [AUTH_SCRAM_SHA_1] = {{"SCRAM-SHA-1", 11}, NEED_SECRECY | NEED_SCRAM, scram_run},
    [AUTH_OAUTHBEARER] = {{"OAUTHBEARER", 11}, NEED_SECRECY | NEED_TOKENS, oauth_bearer_run},
    [AUTH_XOAUTH2] = {{"XOAUTH2", 7}, NEED_SECRECY | NEED_TOKENS, oauth_google_run},
    [AUTH_EXTERNAL] = {{"EXTERNAL", 8}, NEED_CERTIFICATE, external_run},
    [AUTH_PLAIN] = {{"PLAIN", 5}, NEED_SECRECY, plain_run},
    [AUTH_LOGIN] = {{"LOGIN", 5}, NEED_SECRECY, login_run},
};

bool auth_mechanism_find(struct slice name, enum auth_mechanism *ret_mechanism)
{
    for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++)
        if (slice_equal_nocase(mechanisms[i].name, name)) {
            *ret_mechanism = (enum auth_mechanism)i;
            return true;
        }
    return false;
}

/* Can any source of users hold a record of SCRAM? A directory's records are not known before. Those
 * of a domain that is judged elsewhere are never looked at. */
static bool has_scram(const struct auth_options *options)
{
    for (unsigned i = 0; i < options->directory_count; i++) {
        const struct auth_directory *directory = &options->directories[i];
        bool is_asked = directory->domain_count == 0;
        for (unsigned k = 0; k < directory->domain_count && !is_asked; k++)
            is_asked = !domain_is_elsewhere(options, directory->domains[k]);
        if (is_asked && !directory->kind->verifies)
            return true;
    }
    return options->users != NULL;
}

/* 0, -ENOTSUP, -EPERM (in clear). */
static int may_use(const struct auth_options *options, const struct auth_client *client,
                   enum auth_mechanism number)
{
    unsigned needs = mechanisms[number].needs;
    if ((options->mechanisms & 1u << number) == 0 ||
        ((needs & NEED_TOKENS) && options->tokens == NULL &&
         options->judged_elsewhere_count == 0) ||
        ((needs & NEED_SCRAM) && !has_scram(options)))
        return -ENOTSUP;
    if ((needs & NEED_SECRECY) && !client->may_send_password)
        return -EPERM;
    if (((needs & NEED_BINDING) && !client->has_binding) ||
        ((needs & NEED_CERTIFICATE) && client->certificate_name.size == 0))
        return -ENOTSUP;
    return 0;
}

size_t auth_mechanisms(struct core *core, const struct auth_client *client,
                       char text[AUTH_MECHANISMS_BYTES_MAX])
{
    const struct auth_options *options = auth_options_of(core);
    size_t size = 0;
    for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++) {
        struct slice name = mechanisms[i].name;
        if (may_use(options, client, i) < 0 || size + 1 + name.size > AUTH_MECHANISMS_BYTES_MAX)
            continue;
        if (size > 0)
            text[size++] = ' ';
        memcpy(text + size, name.data, name.size);
        size += name.size;
    }
    return size;
}

bool sasl_offers_binding(struct core *core, const struct auth_client *client)
{
    const struct auth_options *options = auth_options_of(core);
    for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++)
        if ((mechanisms[i].needs & NEED_BINDING) && may_use(options, client, i) == 0)
            return true;
    return false;
}

/* ---------------------------------------------------------------- messages */

static int take(struct sasl *sasl, struct slice message, struct slice *ret_message)
{
    sasl->message = message;
    if (message.size > AUTH_MESSAGE_BYTES_MAX)
        return -EMSGSIZE;
    *ret_message = message;
    return 0;
}

int sasl_ask(struct sasl *sasl, struct slice challenge, struct slice *ret_message)
{
    struct slice message = {0};
    auth_wipe(sasl->message);
    sasl->message = message;
    int result = sasl->exchange->ask(sasl->exchange->argument, challenge, &message);
    return result < 0 ? result : take(sasl, message, ret_message);
}

int sasl_first(struct sasl *sasl, struct slice challenge, struct slice *ret_message)
{
    if (sasl->exchange->initial.data == NULL)
        return sasl_ask(sasl, challenge, ret_message);
    return take(sasl, sasl->exchange->initial, ret_message);
}

int sasl_exists(struct auth_try *t)
{
    struct directory_record *record = malloc(sizeof *record);
    if (record == NULL)
        return -EAGAIN;
    int result = auth_try_record(t, record);
    explicit_bzero(record, sizeof *record); /* A4 */
    free(record);
    return result;
}

/* ---------------------------------------------------------------- PLAIN, LOGIN, EXTERNAL */

static int check(struct sasl *sasl, struct slice user, struct slice acts_as, struct slice password)
{
    struct auth_try *t;
    if (user.size == 0 || password.size == 0)
        return -EBADMSG;
    if (password.size > AUTH_PASSWORD_BYTES_MAX || slice_find(password, '\0') < password.size)
        return -EINVAL;
    int result = auth_try_begin_as(sasl->core, sasl->client, sasl->mechanism, user, acts_as, &t);
    if (result < 0)
        return result;
    return auth_try_end(t, auth_try_password(t, password), (struct slice){0}, sasl->ret_result,
                        sasl->ret_proof);
}

/* [authorization identity] NUL user NUL password */
static int plain_run(struct sasl *sasl)
{
    struct slice message;
    int result = sasl_first(sasl, (struct slice){0}, &message);
    if (result < 0)
        return result;
    struct slice acts_as = slice_first(message, slice_find(message, '\0'));
    struct slice rest = slice_from(message, acts_as.size + 1);
    struct slice user = slice_first(rest, slice_find(rest, '\0'));
    struct slice password = slice_from(rest, user.size + 1);
    if (acts_as.size == message.size || user.size == rest.size ||
        slice_find(password, '\0') < password.size)
        return -EBADMSG;
    return check(sasl, user, acts_as, password);
}

static int login_run(struct sasl *sasl)
{
    char name[AUTH_USER_BYTES_MAX];
    struct slice message;
    int result = sasl_first(sasl, SLICE("Username:"), &message);
    if (result < 0)
        return result;
    struct slice user = slice_of(name, message.size);
    if (message.size > sizeof name)
        return -EINVAL;
    if (message.size > 0)
        memcpy(name, message.data, message.size);
    result = sasl_ask(sasl, SLICE("Password:"), &message);
    return result < 0 ? result : check(sasl, user, (struct slice){0}, message);
}

/* The certificate says who it is; the message, whom he acts as. */
static int external_run(struct sasl *sasl)
{
    struct slice acts_as;
    struct auth_try *t;
    int result = sasl_first(sasl, (struct slice){0}, &acts_as);
    if (result < 0)
        return result;
    if (slice_find(acts_as, '\0') < acts_as.size || !slice_is_utf8(acts_as))
        return -EBADMSG;
    result = auth_try_begin_as(sasl->core, sasl->client, sasl->mechanism,
                               sasl->client->certificate_name, acts_as, &t);
    if (result < 0)
        return result;
    return auth_try_end(t, sasl_exists(t), (struct slice){0}, sasl->ret_result, sasl->ret_proof);
}

/* ---------------------------------------------------------------- one run */

int auth_sasl(struct core *core, const struct auth_client *client, struct slice mechanism,
              const struct auth_exchange *exchange, struct auth_result *ret_result)
{
    return auth_sasl_proof(core, client, mechanism, exchange, ret_result, NULL);
}

int auth_sasl_proof(struct core *core, const struct auth_client *client, struct slice mechanism,
                    const struct auth_exchange *exchange, struct auth_result *ret_result,
                    struct auth_proof *ret_proof)
{
    enum auth_mechanism number = AUTH_PLAIN;
    int result = auth_mechanism_find(mechanism, &number)
                     ? may_use(auth_options_of(core), client, number)
                     : -ENOTSUP;
    if (result < 0) {
        auth_wipe(exchange->initial);
        return result;
    }
    struct sasl sasl = {.core = core,
                        .client = client,
                        .exchange = exchange,
                        .mechanism = mechanisms[number].name.data,
                        .number = number,
                        .ret_result = ret_result,
                        .ret_proof = ret_proof};
    if (ret_proof != NULL)
        ret_proof->mechanism = number;
    result = mechanisms[number].run(&sasl);
    auth_wipe(sasl.message);
    return result;
}
