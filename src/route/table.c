/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Building the route table from what the operator wrote. Everything is checked here once, so that
 * looking up need not. Owns all it allocates; fails with -ENOMEM and the table as it was.
 */
#include "route_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ringpost/hash.h"

int route_create(struct route_table **ret_table)
{
    struct route_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return -ENOMEM;
    *ret_table = table;
    return 0;
}

void route_free(struct route_table *table)
{
    if (table == NULL)
        return;
    free(table->text);
    free(table->domains.items);
    free(table->names.items);
    free(table->targets.items);
    free(table->domain_slots.index);
    free(table->name_slots.index);
    free(table);
}

/* ---------------------------------------------------------------- memory */

static int array_room(struct route_array *array, size_t item_size)
{
    if (array->count < array->capacity)
        return 0;
    uint32_t capacity = array->capacity ? array->capacity * 2 : 16;
    size_t bytes;
    if (capacity < array->capacity || __builtin_mul_overflow(capacity, item_size, &bytes))
        return -ENOMEM;
    void *items = realloc(array->items, bytes);
    if (items == NULL)
        return -ENOMEM;
    array->items = items;
    array->capacity = capacity;
    return 0;
}

/* Copies in lower case (R1). */
static int text_add(struct route_table *table, struct slice s, struct route_text *ret_text)
{
    if (table->text_capacity - table->text_size < s.size) {
        uint64_t capacity = (table->text_capacity + s.size) * 2 + 256;
        char *text = realloc(table->text, capacity);
        if (text == NULL)
            return -ENOMEM;
        table->text = text;
        table->text_capacity = capacity;
    }
    *ret_text = (struct route_text){table->text_size, (uint32_t)s.size};
    for (size_t i = 0; i < s.size; i++)
        table->text[table->text_size + i] = ascii_lower(s.data[i]);
    table->text_size += s.size;
    return 0;
}

/* ---------------------------------------------------------------- slots */

static struct slice name_text(const struct route_table *table, uint32_t index)
{
    return route_text(table, route_name_at(table, index)->text);
}

static struct slice domain_text(const struct route_table *table, uint32_t index)
{
    return route_text(table, route_domain_at(table, index)->text);
}

typedef struct slice text_of(const struct route_table *table, uint32_t index);

static uint32_t slots_find(const struct route_table *table, const struct route_slots *slots,
                           text_of *text, struct slice key)
{
    if (slots->size == 0)
        return UINT32_MAX;
    uint32_t mask = slots->size - 1;
    uint32_t at = (uint32_t)hash_stable(key.data, key.size) & mask;
    for (; slots->index[at] != 0; at = (at + 1) & mask)
        if (slice_equal(text(table, slots->index[at] - 1), key))
            return slots->index[at] - 1;
    return UINT32_MAX;
}

static void slots_put(struct route_slots *slots, struct slice key, uint32_t index)
{
    uint32_t mask = slots->size - 1;
    uint32_t at = (uint32_t)hash_stable(key.data, key.size) & mask;
    while (slots->index[at] != 0)
        at = (at + 1) & mask;
    slots->index[at] = index + 1;
}

/* Makes room for one more than `count`. */
static int slots_room(const struct route_table *table, struct route_slots *slots, text_of *text,
                      uint32_t count)
{
    if (count < slots->size / 2)
        return 0;
    struct route_slots larger = {.size = slots->size ? slots->size * 2 : 32};
    if (larger.size < slots->size)
        return -ENOMEM;
    larger.index = calloc(larger.size, sizeof *larger.index);
    if (larger.index == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        slots_put(&larger, text(table, i), i);
    free(slots->index);
    *slots = larger;
    return 0;
}

uint32_t route_domain_index(const struct route_table *table, struct slice domain)
{
    return slots_find(table, &table->domain_slots, domain_text, domain);
}

uint32_t route_name_index(const struct route_table *table, struct slice name)
{
    return slots_find(table, &table->name_slots, name_text, name);
}

/* ---------------------------------------------------------------- domains */

/* RFC 5321 4.1.2: sub-domains of letters, digits and inner hyphens; U-labels as they are. */
static bool is_domain(struct slice domain)
{
    if (domain.size == 0 || domain.size > ROUTE_DOMAIN_BYTES_MAX || !slice_is_utf8(domain))
        return false;
    for (size_t begin = 0; begin <= domain.size;) {
        struct slice label = slice_from(domain, begin);
        label = slice_first(label, slice_find(label, '.'));
        if (label.size == 0 || label.size > ROUTE_LABEL_BYTES_MAX || label.data[0] == '-' ||
            label.data[label.size - 1] == '-')
            return false;
        for (size_t i = 0; i < label.size; i++) {
            unsigned char c = (unsigned char)ascii_lower(label.data[i]);
            if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c >= 0x80))
                return false;
        }
        begin += label.size + 1;
    }
    return true;
}

/* Splits at the last '@' (R2): a quoted local part may hold others. */
static bool split(struct slice name, struct slice *ret_local, struct slice *ret_domain)
{
    if (name.size > ROUTE_NAME_BYTES_MAX || !slice_is_utf8(name))
        return false;
    const char *at = name.size ? memrchr(name.data, '@', name.size) : NULL;
    if (at == NULL || at == name.data)
        return false;
    for (const char *c = name.data; c < at; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return false;
    *ret_local = slice_of(name.data, (size_t)(at - name.data));
    *ret_domain = slice_from(name, ret_local->size + 1);
    return true;
}

static struct slice lower(struct slice s, char room[ROUTE_NAME_BYTES_MAX])
{
    assert(s.size <= ROUTE_NAME_BYTES_MAX);
    for (size_t i = 0; i < s.size; i++)
        room[i] = ascii_lower(s.data[i]);
    return slice_of(room, s.size);
}

int route_add_domain(struct route_table *table, struct slice domain,
                     const struct route_domain_options *options)
{
    char room[ROUTE_NAME_BYTES_MAX];
    if (!is_domain(domain) || options->catch_all.size > ROUTE_NAME_BYTES_MAX ||
        options->separator.size > ROUTE_NAME_BYTES_MAX)
        return -EINVAL;
    domain = lower(domain, room);
    if (route_domain_index(table, domain) != UINT32_MAX)
        return -EEXIST;
    struct route_domain row = {.detail_mailbox = options->detail_mailbox,
                               .users_elsewhere = options->users_elsewhere};
    if (array_room(&table->domains, sizeof row) < 0 ||
        slots_room(table, &table->domain_slots, domain_text, table->domains.count) < 0 ||
        text_add(table, domain, &row.text) < 0 ||
        text_add(table, options->catch_all, &row.catch_all) < 0 ||
        text_add(table, options->separator, &row.separator) < 0)
        return -ENOMEM;
    slots_put(&table->domain_slots, domain, table->domains.count);
    *route_domain_at(table, table->domains.count++) = row;
    return 0;
}

/* ---------------------------------------------------------------- names */

/* Checks that the name may be added: *ret_lower is it in `room`. */
static int name_check(const struct route_table *table, struct slice name,
                      char room[ROUTE_NAME_BYTES_MAX], struct slice *ret_lower)
{
    struct slice local, domain;
    if (name.size > ROUTE_NAME_BYTES_MAX)
        return -EINVAL;
    name = lower(name, room);
    if (!split(name, &local, &domain))
        return -EINVAL;
    if (route_domain_index(table, domain) == UINT32_MAX)
        return -ENOENT;
    *ret_lower = name;
    return 0;
}

static int name_add(struct route_table *table, struct slice name, bool is_alias)
{
    struct route_name row = {.is_alias = is_alias};
    if (array_room(&table->names, sizeof row) < 0 ||
        slots_room(table, &table->name_slots, name_text, table->names.count) < 0 ||
        text_add(table, name, &row.text) < 0)
        return -ENOMEM;
    slots_put(&table->name_slots, name, table->names.count);
    *route_name_at(table, table->names.count++) = row;
    return 0;
}

int route_add_user(struct route_table *table, struct slice user)
{
    char room[ROUTE_NAME_BYTES_MAX];
    int result = name_check(table, user, room, &user);
    if (result < 0)
        return result;
    if (route_name_index(table, user) != UINT32_MAX)
        return -EEXIST;
    return name_add(table, user, false);
}

static bool has_target(const struct route_table *table, const struct route_name *name,
                       struct slice target)
{
    for (uint32_t at = name->first_target; at != 0; at = route_aim_at(table, at - 1)->next)
        if (slice_equal(route_text(table, route_aim_at(table, at - 1)->text), target))
            return true;
    return false;
}

int route_add_alias(struct route_table *table, struct slice alias, struct slice target)
{
    char room[ROUTE_NAME_BYTES_MAX], target_room[ROUTE_NAME_BYTES_MAX];
    struct slice local, domain;
    int result = name_check(table, alias, room, &alias);
    if (result < 0)
        return result;
    if (!split(target, &local, &domain))
        return -EINVAL;
    target = lower(target, target_room);
    uint32_t index = route_name_index(table, alias);
    if (index != UINT32_MAX && (!route_name_at(table, index)->is_alias ||
                                has_target(table, route_name_at(table, index), target)))
        return -EEXIST;
    struct route_aim row = {0};
    if (array_room(&table->targets, sizeof row) < 0 || text_add(table, target, &row.text) < 0)
        return -ENOMEM;
    if (index == UINT32_MAX) {
        result = name_add(table, alias, true);
        if (result < 0)
            return result;
        index = table->names.count - 1;
    }
    struct route_name *name = route_name_at(table, index);
    *route_aim_at(table, table->targets.count++) = row;
    if (name->first_target == 0)
        name->first_target = table->targets.count;
    else
        route_aim_at(table, name->last_target - 1)->next = table->targets.count;
    name->last_target = table->targets.count;
    return 0;
}

/* ---------------------------------------------------------------- check */

struct check {
    void (*problem)(void *argument, struct slice address, const char *what);
    void *argument;
    struct slice address;
    bool failed;
};

static void check_problem(void *argument, const char *what)
{
    struct check *check = argument;
    check->failed = true;
    check->problem(check->argument, check->address, what);
}

static void check_address(const struct route_table *table, struct check *check,
                          struct slice address)
{
    struct route_target targets[ROUTE_TARGETS_MAX];
    struct slice local, domain;
    unsigned count;
    if (!split(address, &local, &domain)) {
        check_problem(check, "not an address: write local@domain");
        return;
    }
    route_expand(table, local, domain, false, check_problem, check, targets, &count);
}

int route_check(const struct route_table *table,
                void (*problem)(void *argument, struct slice address, const char *what),
                void *argument)
{
    struct check check = {.problem = problem, .argument = argument};
    for (uint32_t i = 0; i < table->names.count; i++) {
        if (!route_name_at(table, i)->is_alias)
            continue;
        check.address = name_text(table, i);
        check_address(table, &check, check.address);
    }
    for (uint32_t i = 0; i < table->domains.count; i++) {
        char room[2 * ROUTE_NAME_BYTES_MAX + 2];
        struct slice target = route_text(table, route_domain_at(table, i)->catch_all);
        struct slice domain = domain_text(table, i);
        if (target.size == 0)
            continue;
        check.address = target;
        if (memchr(target.data, '@', target.size) == NULL) { /* a user of this domain */
            memcpy(room, target.data, target.size);
            room[target.size] = '@';
            memcpy(room + target.size + 1, domain.data, domain.size);
            target = slice_of(room, target.size + 1 + domain.size);
        }
        check_address(table, &check, target);
    }
    return check.failed ? -EINVAL : 0;
}
