/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sets of exceptions, and the places that they are kept in.
 */
#ifndef RINGPOST_EXCEPTION_PRIVATE_H
#define RINGPOST_EXCEPTION_PRIVATE_H

#include "ringpost/control.h"
#include "ringpost/hash.h"

enum {
    EXCEPTION_BACKEND_BYTES_MAX = BACKEND_NAME_BYTES_MAX * 2 + 1,
    EXCEPTION_LINE_BYTES_MAX = 1000, /* of the file, LF excluded */
    EXCEPTION_MISTAKES_MAX = 10      /* told of one reading; the rest is counted */
};

/* ---------------------------------------------------------------- a set (exception_set.c): pure */

/* User to backend. The texts of an entry lie one behind the other; an entry whose backend is empty
 * was taken out. */
struct exception_set {
    struct exception_entry {
        uint32_t offset;
        uint16_t user_bytes, backend_bytes;
    } * entries;
    char *text;
    uint32_t
        *slots; /* entry + 1, by the user's hash; open addressing, half of them at least empty */
    uint32_t entry_count, entry_capacity, slot_count, text_size, text_capacity;
    uint32_t live; /* entries that were not taken out */
    struct hash_key key;
};

void exception_set_init(struct exception_set *set, const struct hash_key *key);
void exception_set_free(struct exception_set *set);
/* The user's backend; data NULL when there is none. Valid until the next change. */
struct slice exception_set_find(const struct exception_set *set, struct slice user);
/* backend "": takes the user out. 0; -ENOSPC (BACKEND_EXCEPTIONS_MAX); -ENOMEM. */
int exception_set_put(struct exception_set *set, struct slice user, struct slice backend);
/* The next entry from *at on (0: the first); false past the last. */
bool exception_set_next(const struct exception_set *set, uint32_t *at, struct slice *ret_user,
                        struct slice *ret_backend);

/* ---------------------------------------------------------------- text (exception_text.c): pure */

/* NULL, or what is wrong with it. */
const char *exception_user_check(struct slice user);
const char *exception_backend_check(struct slice backend);
/* One line. NULL, with an empty user for a line that says nothing; or what is wrong. */
const char *exception_line_parse(struct slice line, struct slice *ret_user,
                                 struct slice *ret_backend);

/* Bytes in, lines out, whatever pieces they come in. */
struct exception_lines {
    char line[EXCEPTION_LINE_BYTES_MAX];
    unsigned size, number; /* of the line that has begun; of lines before it */
    bool is_long;
    /* line.data NULL: too long. False ends it. */
    bool (*each)(void *argument, unsigned number, struct slice line);
    void *argument;
};
/* False: `each` said so. The end of the file is told by `ends`: a last line without LF counts. */
bool exception_lines_feed(struct exception_lines *lines, struct slice bytes, bool ends);

/* ---------------------------------------------------------------- places */

/* What is told of one reading, on core 0 when it is over. */
struct exception_mistakes {
    unsigned count;
    struct {
        unsigned line; /* 0: none to name */
        char what[120];
    } told[EXCEPTION_MISTAKES_MAX];
};
void exception_mistake(struct exception_mistakes *mistakes, unsigned line, const char *what);

struct exception_place {
    const char *name; /* for the log */
    /* Reads all into *set, which is empty. 0; 1: it is what it was at the last reading, *set is
     * untouched; -EINVAL with *mistakes; -errno. On a fiber of core 0. */
    int (*read)(struct exception_place *place, struct exception_set *set,
                struct exception_mistakes *mistakes);
    /* One change (backend "": forgotten), durable when it returns. 0; -EBADMSG with *mistakes;
     * -errno. */
    int (*write)(struct exception_place *place, struct slice user, struct slice backend,
                 struct exception_mistakes *mistakes);
    void (*free)(struct exception_place *place);
    bool may_be_absent; /* at the start: a server, which will come */
};
int exception_file_make(struct core *core, const struct exception_keeper_options *options,
                        struct exception_place **ret_place);
int exception_redis_make(struct core *core, const struct exception_keeper_options *options,
                         struct exception_place **ret_place);
/* Of "redis://user@host:port/n". NULL, or what is wrong. */
struct exception_redis_address {
    char host[256], user[128]; /* user "": the server's default */
    unsigned port, database;
};
const char *exception_redis_parse(struct slice place, struct exception_redis_address *ret_address);

#endif
