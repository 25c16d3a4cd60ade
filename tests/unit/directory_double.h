/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A directory for tests: some users in memory, and faults to switch on. Asked from helper threads
 * (or the simulator's), so what both sides touch is atomic.
 */
#ifndef RINGPOST_TESTS_DIRECTORY_DOUBLE_H
#define RINGPOST_TESTS_DIRECTORY_DOUBLE_H

#include "ringpost/directory.h"

enum { DOUBLE_USERS_MAX = 32 };

enum double_fault {
    DOUBLE_FINE,
    DOUBLE_DOWN,       /* -EAGAIN */
    DOUBLE_SLOW,       /* fine, after nap_ms */
    DOUBLE_HANGS,      /* -EAGAIN, after nap_ms */
    DOUBLE_BAD_NAME,   /* an answer about a user whose name is none */
    DOUBLE_BAD_SECRET, /* an answer with a secret that nothing can check */
    DOUBLE_BAD_CODE,   /* a result that the contract does not know */
    DOUBLE_FLAPS       /* each of fine, down, slow, bad in turn */
};

struct double_user {
    const char *name;
    char secret[256];     /* a hash */
    const char *password; /* what is right, for a kind that verifies */
    const char *canonical, *networks, *attributes;
    bool is_disabled;
};

struct directory_double {
    struct auth_directory directory; /* to be put into the options */
    struct double_user users[DOUBLE_USERS_MAX];
    unsigned count;
    int fault; /* atomic */
    unsigned nap_ms;
    unsigned questions, refused; /* atomic */
};

void double_open(struct directory_double *directory, bool verifies);
/* secret NULL: the hash of the password by the cheapest means. */
struct double_user *double_add(struct directory_double *directory, const char *name,
                               const char *password);
void double_set(struct directory_double *directory, enum double_fault fault);
unsigned double_questions(const struct directory_double *directory);
/* The hash of a password by a setting, into text of 256 bytes. */
const char *hash_of(const char *password, const char *setting, char *text);

#endif
