/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The passwd file in memory: one owned text of "name:hash" behind each other, 8 bytes a user that
 * say where, and a hash table of 8 bytes a slot that holds 32 bits of the hash, so that a look-up
 * touches one name. Ten million users of 120 bytes take 1.5 GB, nearly all of it their hashes.
 *
 * The table is built from the operator's file and then immutable; look-ups by names that peers
 * choose add nothing, so its hash is not keyed.
 *
 * Invariants:
 *   1. names are lower case (ASCII), hold one '@' or more with something on both sides, no control
 *      bytes, valid UTF-8, and are unique.
 *   2. every hash passed password_problem().
 */
#include "auth_private.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(AUTH_USER_BYTES_MAX <= 0xfff && PASSWORD_HASH_BYTES_MAX <= 0xfff, "struct user_row");

enum { USERS_MAX = 1 << 30, CLASSES_MAX = 32, PROBLEMS_MAX = 100 };

struct user_row {
    uint64_t where; /* offset of the name in the text << 24 | its size << 12 | size of the hash */
};

static struct slice row_name(const char *text, struct user_row row)
{
    return slice_of(text + (row.where >> 24), row.where >> 12 & 0xfff);
}

struct user_slot {
    uint32_t tag;
    uint32_t index; /* + 1; 0: free */
};

struct auth_users {
    char *text;
    struct user_row *rows;
    struct user_slot *slots;
    uint64_t text_size;
    uint32_t count, mask;
    char dummy[PASSWORD_HASH_BYTES_MAX + 1];
    size_t dummy_size;
};

/* Methods and costs that occur, to find the one of most users. */
struct class
{
    struct slice cost; /* in users->text */
    uint32_t example, count;
};

struct parse {
    struct auth_users *users;
    struct class classes[CLASSES_MAX];
    unsigned class_count;
    void (*problem)(void *argument, unsigned line, const char *what);
    void *argument;
    unsigned line, problems;
};

/* Hash of a password nobody has, where there is no user to take it from: yescrypt at its default
 * cost. */
static const struct slice nobody = {
    "$y$j9T$Vd9E1GxhzsFSMl2Cm6X8Y/$1/TGIZGImWHyLvL70HXMcnW3drjSKQf7Olq2OMFk2AB", 73};

void auth_users_free(struct auth_users *users)
{
    if (users == NULL)
        return;
    free(users->text);
    free(users->rows);
    free(users->slots);
    free(users);
}

unsigned auth_users_count(const struct auth_users *users)
{
    return users->count;
}

struct slice auth_users_name(const struct auth_users *users, unsigned index)
{
    if (index >= users->count)
        return (struct slice){0};
    return row_name(users->text, users->rows[index]);
}

struct slice users_hash(const struct auth_users *users, uint32_t index)
{
    struct slice name = row_name(users->text, users->rows[index]);
    return slice_of(name.data + name.size, users->rows[index].where & 0xfff);
}

struct slice users_dummy(const struct auth_users *users)
{
    return slice_of(users->dummy, users->dummy_size);
}

/* The slot that holds the name, or the free one where it would be. */
static struct user_slot *find_slot(const struct auth_users *users, struct slice name,
                                   uint64_t *ret_hash)
{
    uint64_t hash = hash_stable(name.data, name.size);
    uint32_t at = (uint32_t)hash & users->mask, tag = (uint32_t)(hash >> 32);
    *ret_hash = hash;
    for (;; at = (at + 1) & users->mask) {
        struct user_slot *slot = &users->slots[at];
        if (slot->index == 0 ||
            (slot->tag == tag && slice_equal(auth_users_name(users, slot->index - 1), name)))
            return slot;
    }
}

int64_t users_find(const struct auth_users *users, struct slice name)
{
    uint64_t hash;
    return (int64_t)find_slot(users, name, &hash)->index - 1;
}

/* ---------------------------------------------------------------- reading the file */

static void tell(struct parse *parse, const char *what)
{
    if (parse->problems < PROBLEMS_MAX)
        parse->problem(parse->argument, parse->line, what);
    else if (parse->problems == PROBLEMS_MAX)
        parse->problem(parse->argument, parse->line, "and more lines are broken from here on");
    parse->problems++;
}

static const char *name_problem(struct slice name)
{
    if (name.size > AUTH_USER_BYTES_MAX)
        return "the user's name is too long: 320 bytes at most";
    size_t at = slice_find(name, '@');
    if (at == 0 || at + 1 >= name.size)
        return "no user: write local@domain:hash";
    if (name.data[name.size - 1] == '@')
        return "no domain behind the last @: write local@domain:hash";
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 127)
            return "blank or control byte in the user's name: remove it";
    if (!slice_is_utf8(name))
        return "the user's name is not UTF-8: save the file as UTF-8";
    return NULL;
}

static void class_count(struct parse *parse, uint32_t index)
{
    struct slice hash = users_hash(parse->users, index);
    if (password_is_locked(hash))
        return;
    struct slice cost = slice_first(hash, password_cost_size(hash));
    unsigned i = 0;
    while (i < parse->class_count && !slice_equal(parse->classes[i].cost, cost))
        i++;
    if (i == CLASSES_MAX)
        return;
    if (i == parse->class_count)
        parse->classes[parse->class_count++] = (struct class){cost, index, 0};
    parse->classes[i].count++;
}

static void parse_line(struct parse *parse, struct slice line)
{
    struct auth_users *users = parse->users;
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0 || line.data[0] == '#')
        return;
    if (parse->line == 1 && slice_starts_nocase(line, SLICE("\xef\xbb\xbf"))) {
        tell(parse, "byte order mark: save the file as UTF-8 without it");
        return;
    }
    struct slice name = slice_first(line, slice_find(line, ':'));
    struct slice hash = slice_from(line, name.size + 1);
    hash = slice_first(hash, slice_find(hash, ':'));
    const char *problem =
        name.size == line.size ? "no ':': write local@domain:hash" : name_problem(name);
    if (problem == NULL)
        problem = password_problem(hash);
    if (problem != NULL) {
        tell(parse, problem);
        return;
    }
    char *to = users->text + users->text_size;
    for (size_t i = 0; i < name.size; i++)
        to[i] = ascii_lower(name.data[i]);
    name.data = to;
    uint64_t key;
    struct user_slot *slot = find_slot(users, name, &key);
    if (slot->index != 0) {
        tell(parse, "a line above has the same user: remove one of them");
        return;
    }
    memcpy(to + name.size, hash.data, hash.size);
    users->rows[users->count].where = users->text_size << 24 | name.size << 12 | hash.size;
    users->text_size += name.size + hash.size;
    *slot = (struct user_slot){(uint32_t)(key >> 32), ++users->count};
    class_count(parse, users->count - 1);
}

static int users_create(struct slice text, struct auth_users **ret_users)
{
    uint64_t lines = 1;
    for (struct slice rest = text; rest.size > 0; lines++)
        rest = slice_from(rest, slice_find(rest, '\n') + 1);
    if (lines > USERS_MAX || text.size >= UINT64_C(1) << 40)
        return -EFBIG;
    uint32_t slots = 16;
    while (slots < lines + lines / 2)
        slots *= 2;
    struct auth_users *users = calloc(1, sizeof *users);
    if (users == NULL)
        return -ENOMEM;
    users->mask = slots - 1;
    users->text = malloc(text.size + 1);
    users->rows = calloc(lines, sizeof *users->rows);
    users->slots = calloc(slots, sizeof *users->slots);
    if (users->text == NULL || users->rows == NULL || users->slots == NULL) {
        auth_users_free(users);
        return -ENOMEM;
    }
    *ret_users = users;
    return 0;
}

static void dummy_choose(const struct parse *parse)
{
    struct auth_users *users = parse->users;
    struct slice hash = nobody;
    uint32_t most = 0;
    for (unsigned i = 0; i < parse->class_count; i++)
        if (parse->classes[i].count > most) {
            most = parse->classes[i].count;
            hash = users_hash(users, parse->classes[i].example);
        }
    memcpy(users->dummy, hash.data, hash.size);
    users->dummy_size = hash.size;
}

int auth_users_parse(struct slice text,
                     void (*problem)(void *argument, unsigned line, const char *what),
                     void *argument, struct auth_users **ret_users)
{
    struct parse parse = {.problem = problem, .argument = argument};
    int result = users_create(text, &parse.users);
    if (result < 0)
        return result;
    while (text.size > 0) {
        struct slice line = slice_first(text, slice_find(text, '\n'));
        text = slice_from(text, line.size + 1);
        parse.line++;
        parse_line(&parse, line);
    }
    if (parse.problems > 0) {
        auth_users_free(parse.users);
        return -EINVAL;
    }
    dummy_choose(&parse);
    char *shorter = realloc(parse.users->text, parse.users->text_size + 1);
    if (shorter != NULL)
        parse.users->text = shorter;
    *ret_users = parse.users;
    return 0;
}
