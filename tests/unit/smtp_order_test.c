/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The order of a submission's commands: S40 of the list of bad inputs, with AUTH and STARTTLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_login.h"

/* As S40, with AUTH and STARTTLS: each pair of verbs in each state, against a small model. */
enum model_state { START, LOCKED, READY, MAIL, RCPT, CHUNKS, STATES };
#define IN(state) (1u << (state))
#define OUTSIDE   (IN(START) | IN(LOCKED) | IN(READY))
#define ALL       (OUTSIDE | IN(MAIL) | IN(RCPT) | IN(CHUNKS))
static const struct verb {
    const char *text;
    unsigned legal;
    enum model_state next;
    const char *code;
    bool stays;
} verbs[] = {
    {"EHLO x\r\n", ALL, LOCKED, "250", false},
    {"AUTH PLAIN AHUwAHNlY3JldA==\r\n", IN(LOCKED) | IN(READY), READY, "235", false},
    {"AUTH PLAIN AHUwAHdyb25n\r\n", IN(LOCKED) | IN(READY), READY, "535", true},
    {"STARTTLS\r\n", OUTSIDE, START, "502", true},
    {"MAIL FROM:<u0@example.test>\r\n", IN(READY), MAIL, "250", false},
    {"MAIL FROM:<u1@example.test>\r\n", IN(READY), MAIL, "550", true},
    {"RCPT TO:<u1@example.test>\r\n", IN(MAIL) | IN(RCPT), RCPT, "250", false},
    {"DATA\r\n", IN(RCPT), READY, "354", false},
    {"BDAT 4\r\nx: y", IN(RCPT) | IN(CHUNKS), CHUNKS, "250", false},
    {"BDAT 2 LAST\r\n\r\n", IN(RCPT) | IN(CHUNKS), READY, "250", false},
    {"RSET\r\n", ALL, LOCKED, "250", false},
    {"NOOP\r\n", ALL, START, "250", true},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

struct model {
    enum model_state is;
    bool has_user;
};

static void step(int client, struct model *model, const struct verb *verb)
{
    bool is_legal = verb->legal & IN(model->is), is_auth = verb->text[0] == 'A';
    bool is_hello = verb->text[0] == 'E', is_reset = verb->text[1] == 'S';
    const char *code = is_legal ? verb->code : model->is == LOCKED ? "530" : "503";
    if (is_legal && model->has_user && (is_auth || strncmp(verb->text, "STARTTLS", 8) == 0))
        code = "503";
    client_say(client, verb->text);
    smtp_reply(client, code);
    if (!is_legal || verb->stays || (is_auth && model->has_user))
        return;
    if (strcmp(code, "354") == 0) {
        client_say(client, "x: y\r\n.\r\n");
        smtp_reply(client, "250");
    }
    model->has_user |= is_auth;
    if (is_hello || (is_reset && model->is != START))
        model->is = model->has_user ? READY : LOCKED;
    else if (!is_reset)
        model->is = verb->next;
}

static void relax(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    fixture->submission.errors_max = fixture->submission.junk_max = 1000000;
}

static void order(void **state)
{
    (void)state;
    static const unsigned way[STATES] = {
        [LOCKED] = 0, [READY] = 1, [MAIL] = 4, [RCPT] = 6, [CHUNKS] = 8};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, relax);
    for (unsigned pair = 0; pair < VERBS * VERBS; pair++) {
        for (unsigned depth = START; depth < STATES; depth++) {
            int client = smtp_greet(SUBMISSION_PORT);
            struct model model = {START, false};
            for (unsigned i = LOCKED; i <= depth; i++)
                step(client, &model, &verbs[way[i]]);
            check_equal(model.is, depth);
            step(client, &model, &verbs[pair / VERBS]);
            step(client, &model, &verbs[pair % VERBS]);
            smtp_quit(client);
        }
        store_double_clear();
    }
    smtp_honest();
    smtp_end(&fixture);
    login_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order)};
    return cmocka_run_group_tests_name("smtp_order", tests, NULL, NULL);
}
