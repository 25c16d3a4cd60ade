/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See sasl_host.h.
 */
#include "sasl_host.h"

#include "jwt_samples.h"

#define HASH_OF_PENCIL "$5$rounds=1000$salt$BxPMZ75oloPWergPfDO9NVHciPe1x5i3eBj/a825Rb7"

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "line %u: %s\n", line, what);
}

static struct auth_users *users_of(const char *text)
{
    struct auth_users *users;
    check_equal(auth_users_parse(slice_cstr(text), problem, NULL, &users), 0);
    return users;
}

static int run_ready(struct core *core, void *argument)
{
    struct sasl_run *run = argument;
    check_equal(auth_open(core, &run->options), 0);
    run->body(core, run);
    auth_close(core); /* asserts that no try is under way */
    harness_stop(core);
    return 0;
}

void sasl_run_with(void (*body)(struct core *core, struct sasl_run *run))
{
    static const char hash[] = HASH_OF_PENCIL;
    char text[4000];
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 200,
                                     .stack_bytes = 65536};
    snprintf(text, sizeof text,
             "anna@x.test:%s "
             "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
             "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
             "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU= "
             "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"
             "D+CSWLOshSulAsxiupA+qs2/fTE=\n"
             "bert@x.test:%s\n"
             "gone@x.test:%s::::::nologin\n"
             "far@x.test:%s::::::allow_nets=192.0.2.0/24\n",
             hash, hash, hash, hash);
    struct sasl_run run = {.users = users_of(text), .body = body};
    snprintf(text, sizeof text, "root@x.test:%s\n", hash);
    run.masters = users_of(text);
    const struct auth_token_options token_options = {.jwks = slice_cstr(jwt_keys),
                                                     .issuer = SLICE("https://id.x.test"),
                                                     .audience = SLICE("mail"),
                                                     .user_claim = SLICE("email")};
    const char *why = auth_tokens_make(&token_options, &run.tokens);
    if (why != NULL)
        harness_failed(__FILE__, __LINE__, why);
    run.options = (struct auth_options){
        .users = run.users,
        .masters = run.masters,
        .master_separator = '*',
        .tokens = run.tokens,
        .mechanisms = UINT32_MAX,
        .default_domain = SLICE("X.test"),
        .cache_entries_max = 1000,
        .cache_ms_max = 200,
        .waiting_max = 20,
        .failure_ms_first = 20,
        .failure_ms_max = 100,
    };
    check_equal(harness_run(&options, run_ready, &run), 0);
    auth_tokens_free(run.tokens);
    auth_users_free(run.masters);
    auth_users_free(run.users);
}

struct auth_client sasl_client(void)
{
    static uint8_t address[16] = {10};
    struct auth_client client = {.address = address,
                                 .family = 4,
                                 .protocol = "test",
                                 .is_secure = true,
                                 .may_send_password = true,
                                 .has_binding = true};
    memset(client.binding, 'b', sizeof client.binding);
    if (++address[3] == 0 && ++address[2] == 0)
        address[1]++;
    return client;
}

static void check_wiped(const struct sasl_talk *talk)
{
    for (size_t i = 0; i < talk->message_size; i++)
        check(talk->message[i] == 0);
}

static int ask(void *argument, struct slice challenge, struct slice *ret_response)
{
    struct sasl_talk *talk = argument;
    check_wiped(talk); /* A15 */
    check(challenge.size < sizeof talk->challenge);
    if (challenge.size > 0)
        memcpy(talk->challenge, challenge.data, challenge.size);
    talk->challenge[challenge.size] = '\0';
    talk->message_size = 0;
    int result = talk->respond(talk, talk->steps++, challenge, talk->message, &talk->message_size);
    if (result < 0) {
        explicit_bzero(talk->message, sizeof talk->message);
        return result;
    }
    *ret_response = slice_of(talk->message, talk->message_size);
    return 0;
}

int sasl_try(struct core *core, const struct auth_client *client, const char *mechanism,
             struct slice initial, struct sasl_talk *talk, struct auth_result *ret_result)
{
    struct auth_exchange exchange = {.ask = ask, .argument = talk};
    talk->steps = 0;
    talk->challenge[0] = '\0';
    talk->message_size = initial.size;
    check(initial.size <= sizeof talk->message);
    if (initial.data != NULL) {
        memcpy(talk->message, initial.data, initial.size);
        exchange.initial = slice_of(talk->message, initial.size);
    }
    *ret_result = (struct auth_result){0};
    int result = auth_sasl_proof(core, client, slice_cstr(mechanism), &exchange, ret_result,
                                 talk->proof);
    check_wiped(talk);
    check((result == 0) == (ret_result->user.data != NULL));
    return result;
}

static int respond_by_list(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                           size_t *ret_size)
{
    (void)challenge;
    if (step >= talk->list_count)
        return -ENODATA;
    memcpy(out, talk->list[step].data, talk->list[step].size);
    *ret_size = talk->list[step].size;
    return 0;
}

int sasl_say(struct core *core, const struct auth_client *client, const char *mechanism,
             struct slice initial, const struct slice *list, unsigned count,
             struct auth_result *ret_result)
{
    struct sasl_talk *talk = calloc(1, sizeof *talk);
    check(talk != NULL);
    talk->respond = respond_by_list;
    talk->list = list;
    talk->list_count = count;
    int result = sasl_try(core, client, mechanism, initial, talk, ret_result);
    free(talk);
    return result;
}
