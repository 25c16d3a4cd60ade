/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The passwd file in memory: one owned text of names and hashes behind each other, 8 bytes a user
 * that say where, and a hash table of 8 bytes a slot that holds 32 bits of the hash, so that a
 * look-up touches one name. Ten million users of 120 bytes take 1.5 GB, nearly all of it their
 * hashes.
 *
 * Lines may be those of Dovecot's passwd-file, name:hash:uid:gid:gecos:home:shell:extra; of these
 * fields the extra ones "allow_nets=..." and "nologin" matter here. What a user has of them stands
 * behind the hash, a tab between: rarely anything.
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

#include "ringpost/network.h"

enum { USERS_MAX = 1 << 30, CLASSES_MAX = 32, PROBLEMS_MAX = 100, EXTRA_FIELD = 7 };
enum { REST_BYTES_MAX = DIRECTORY_SECRET_BYTES_MAX + 2 + DIRECTORY_NETWORKS_BYTES_MAX };

_Static_assert(AUTH_USER_BYTES_MAX <= 0xfff && REST_BYTES_MAX <= 0xfff, "struct user_row");

struct user_row {
    uint64_t where; /* offset of the name in the text << 24 | its size << 12 | size of the rest:
                       hash [TAB ('!' if disabled) networks] */
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
    char dummy[DIRECTORY_SECRET_BYTES_MAX + 1];
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

static struct slice row_rest(const struct auth_users *users, uint32_t index)
{
    struct slice name = row_name(users->text, users->rows[index]);
    return slice_of(name.data + name.size, users->rows[index].where & 0xfff);
}

static struct slice row_extra(const struct auth_users *users, uint32_t index)
{
    struct slice rest = row_rest(users, index);
    return slice_from(rest, slice_find(rest, '\t') + 1);
}

struct slice users_hash(const struct auth_users *users, uint32_t index)
{
    struct slice rest = row_rest(users, index);
    return slice_first(rest, slice_find(rest, '\t'));
}

bool users_is_disabled(const struct auth_users *users, uint32_t index)
{
    struct slice extra = row_extra(users, index);
    return extra.size > 0 && extra.data[0] == '!';
}

struct slice users_networks(const struct auth_users *users, uint32_t index)
{
    return slice_from(row_extra(users, index), users_is_disabled(users, index) ? 1 : 0);
}

static void text_copy(struct slice from, char *text)
{
    memcpy(text, from.data, from.size);
    text[from.size] = '\0';
}

void users_record(const struct auth_users *users, uint32_t index,
                  struct directory_record *ret_record)
{
    ret_record->user[0] = ret_record->attributes[0] = ret_record->problem[0] = '\0';
    text_copy(users_hash(users, index), ret_record->secret);
    text_copy(users_networks(users, index), ret_record->networks);
    ret_record->is_disabled =
        users_is_disabled(users, index) || password_is_locked(users_hash(users, index));
    ret_record->is_verified = false;
    ret_record->delay_ms = 0;
}

uint32_t auth_users_scram(const struct auth_users *users)
{
    static const struct {
        struct slice prefix;
        uint32_t bits;
    } kinds[] = {
        {{"{SCRAM-SHA-256}", 15},
         UINT32_C(1) << AUTH_SCRAM_SHA_256 | UINT32_C(1) << AUTH_SCRAM_SHA_256_PLUS},
        {{"{SCRAM-SHA-1}", 13},
         UINT32_C(1) << AUTH_SCRAM_SHA_1 | UINT32_C(1) << AUTH_SCRAM_SHA_1_PLUS},
    };
    uint32_t bits = 0;
    for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        bool have_all = users->count > 0;
        for (uint32_t i = 0; i < users->count && have_all; i++) {
            struct slice hashes = users_hash(users, i);
            have_all = users_is_disabled(users, i) || password_is_locked(hashes) ||
                       password_find(hashes, kinds[kind].prefix).data != NULL;
        }
        if (have_all)
            bits |= kinds[kind].bits;
    }
    return bits;
}

struct slice users_dummy(const struct auth_users *users)
{
    return users != NULL ? slice_of(users->dummy, users->dummy_size) : nobody;
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
    if (users == NULL)
        return AUTH_NO_USER;
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

/* The extra fields, blanks between, in the form that is kept: ('!' if disabled) networks. NULL, or
 * what is wrong. */
static const char *extra_parse(struct slice line, char text[REST_BYTES_MAX + 1], size_t *ret_size)
{
    bool is_disabled = false, is_broken = false;
    struct slice networks = {0};
    for (unsigned i = 0; i < EXTRA_FIELD; i++)
        line = slice_from(line, slice_find(line, ':') + 1);
    while (line.size > 0) {
        struct slice one = slice_first(line, slice_find(line, ' '));
        line = slice_from(line, one.size + 1);
        if (slice_equal(one, SLICE("nologin")) || slice_starts_nocase(one, SLICE("nologin=")))
            is_disabled = true;
        else if (slice_starts_nocase(one, SLICE("allow_nets=")))
            networks = slice_from(one, sizeof "allow_nets=" - 1);
    }
    if (networks.size > DIRECTORY_NETWORKS_BYTES_MAX)
        return "allow_nets is too long: 1023 bytes at most";
    network_text_holds(networks, 0, NULL, &is_broken);
    if (is_broken)
        return "allow_nets has something that is no network: write 192.0.2.0/24,2001:db8::/32";
    size_t size = 0;
    if (is_disabled || networks.size > 0)
        text[size++] = '\t';
    if (is_disabled)
        text[size++] = '!';
    if (networks.size > 0)
        memcpy(text + size, networks.data, networks.size);
    *ret_size = size + networks.size;
    return NULL;
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
    char extra[REST_BYTES_MAX + 1];
    size_t extra_size = 0;
    if (problem == NULL)
        problem = password_problem(hash);
    if (problem == NULL && hash.size > DIRECTORY_SECRET_BYTES_MAX)
        problem = "the hashes are too long: 1023 bytes at most";
    if (problem == NULL)
        problem = extra_parse(line, extra, &extra_size);
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
    if (password_is_locked(hash)) /* what follows may be anything */
        hash.size = 1;
    memcpy(to + name.size, hash.data, hash.size);
    memcpy(to + name.size + hash.size, extra, extra_size);
    size_t rest = hash.size + extra_size;
    users->rows[users->count].where = users->text_size << 24 | name.size << 12 | rest;
    users->text_size += name.size + rest;
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
