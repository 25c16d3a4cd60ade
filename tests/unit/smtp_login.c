/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users of the submission tests.
 */
#include "smtp_login.h"

#include "ringpost/base64.h"

/* SHA-512 crypt of "secret" */
#define HASH                                                                                       \
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/"          \
    "1GM/O6IND4WQhG."

static struct {
    struct auth_users *users;
    struct auth_options options;
} login;

static int open_auth(struct core *core)
{
    return auth_open(core, &login.options);
}

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

void login_offer(struct smtp_fixture *fixture)
{
    static const struct slice text =
        SLICE("u0@example.test:" HASH "\nu1@example.test:" HASH "\nall@catch.test:" HASH "\n");
    check_equal(auth_users_parse(text, problem, NULL, &login.users), 0);
    login.options = (struct auth_options){
        .users = login.users,
        .default_domain = SLICE("example.test"),
        .mechanisms = (1u << AUTH_MECHANISM_COUNT) - 1,
        .cache_entries_max = 100,
        .cache_ms_max = 60000,
        .waiting_max = 20,
        .failure_ms_first = 1,
        .failure_ms_max = 2,
    };
    fixture->submission.plain_login_allowed = true;
    fixture->submission_options.sender_match = SMTP_SENDER_ALIASES;
    fixture->open = open_auth;
    fixture->close = auth_close;
}

void login_clear(void)
{
    auth_users_free(login.users);
}

void login_as(int client, const char *user, const char *password, const char *pattern)
{
    char plain[300], encoded[450] = "AUTH PLAIN ";
    int size = snprintf(plain, sizeof plain, "%c%s%c%s", 0, user, 0, password);
    size_t used = 11 + base64_encode(slice_of(plain, (size_t)size), encoded + 11);
    memcpy(encoded + used, "\r\n", 3);
    client_ask(client, encoded, pattern);
}

int login_open(unsigned port, const char *user)
{
    int client = smtp_hello(port);
    login_as(client, user, "secret", "235 2.7.0 *");
    return client;
}
