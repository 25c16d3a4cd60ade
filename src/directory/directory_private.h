/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kinds of directories share: connections that wait for the next question, filling a
 * record, time. All of it runs on helper threads, several at once; nothing here has a lock.
 */
#ifndef RINGPOST_DIRECTORY_PRIVATE_H
#define RINGPOST_DIRECTORY_PRIVATE_H

#include "ringpost/directories.h"

enum { DIRECTORY_MS_DEFAULT = 5000 };

/* ---------------------------------------------------------------- pool.c */

enum { POOL_MAX = 8 /* as many as helper threads can use at once */ };

/* Connections that nobody uses now. Zero-initialised. */
struct pool {
    void *idle[POOL_MAX]; /* atomic; NULL: none */
};

/* NULL: none is idle. What is taken is the taker's. */
void *pool_take(struct pool *pool);
/* False: there are enough; the caller closes it. */
bool pool_give(struct pool *pool, void *connection);

/* Milliseconds of a clock that only goes forward. */
uint64_t clock_ms(void);
/* What is left until then, at least 1; 0: it is over. */
int clock_left_ms(uint64_t until_ms);
/* Waits until fd can be read (or written). 0, or -ETIMEDOUT. */
int wait_fd(int fd, bool for_writing, uint64_t until_ms);

/* ---------------------------------------------------------------- record.c */

/* A user's name in parts, NUL-ended. */
struct asked {
    char user[AUTH_USER_BYTES_MAX + 1], local[AUTH_USER_BYTES_MAX + 1],
        domain[AUTH_USER_BYTES_MAX + 1];
};

/* 0, or -ENOENT: nobody has a name like that. */
int asked_of(struct slice user, struct asked *ret_asked);

/* Says why in record->problem, on one line. Returns -EAGAIN. */
int record_fail(struct directory_record *record, const char *what, const char *detail);
/* One column of an answer, by its name (directories.h). 0, or -EAGAIN when it is too long or holds
 * NUL. */
int record_set(struct directory_record *record, struct slice column, struct slice value);
/* Text that means true: anything but what directories.h lists. */
bool record_is_true(struct slice value);
/* "key=value\n" behind the attributes. Control bytes become blanks. 0 or -EAGAIN. */
int record_attribute(struct directory_record *record, struct slice key, struct slice value);

/* Says what is wrong with the options. Returns -EINVAL. */
int option_problem(char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1], const char *what,
                   const char *detail);
/* 0, or -EINVAL with the problem. */
int option_timeout(uint64_t timeout_ms, uint64_t *ret_ms,
                   char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1]);
/* Copies a text of the options (NULL stays NULL) and mixes it into *identity. -ENOMEM: false. */
bool option_copy(const char *text, uint64_t *identity, char **ret_copy);
void option_mix(uint64_t value, uint64_t *identity);
void option_free(char *text);        /* NULL is allowed */
void option_free_secret(char *text); /* wiped */

#endif
