/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins of one core through doubles of directories (directory_double.h). The first, of x.test,
 * knows ann, bob (canonical "Robert"), off (disabled), far (from networks of his own) and none (no
 * secret); the second eve@y.test and another ann@x.test.
 */
#ifndef RINGPOST_TESTS_AUTH_DIRECTORY_HOST_H
#define RINGPOST_TESTS_AUTH_DIRECTORY_HOST_H

#include "directory_double.h"
#include "harness.h"

enum { VERIFIES = 1, SECOND = 2, USERS = 4 }; /* how to run: USERS are a passwd file and masters */
enum { CACHE_MS = 200, NEGATIVE_MS = 100, STALE_MS = 400, MS = 1000000 };

struct run {
    struct directory_double first, second;
    struct auth_directory directories[2];
    struct auth_options options;
    struct auth_users *users, *masters;
    struct generation generation;
    void (*body)(struct core *core, struct run *run);
};

void run_with(unsigned how, void (*body)(struct core *core, struct run *));
struct auth_users *users_of(const char *text);
/* From 10.0/16, host `from`. */
int try_from(struct core *core, const char *user, const char *password, unsigned from,
             struct auth_result *ret_result);
void expect(struct core *core, const char *user, const char *password,
            int want); /* from anywhere */
uint64_t counted(struct core *core, enum counter which);

#endif
