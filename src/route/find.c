/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking up an address. An address is a user, or a sub-address of one ("user+tag"), or an alias,
 * or it falls to the domain's catch-all; the targets of the latter two are addresses again. They
 * are worked through in a list, each entry knowing whom it came from: that bounds the work, and
 * finds loops without marking the table, which all cores share.
 *
 * Order: the whole name first, so that a user whose name holds the separator is found; then the
 * part before the separator; then, where users are known elsewhere, whoever is asked there (by the
 * part before the separator); then the catch-all.
 */
#include "route_private.h"

/* One address to look at. */
struct step {
    struct slice local, domain;
    uint32_t alias; /* the alias or (CATCH_ALL +) domain that named this address */
    int16_t parent; /* the step before, -1: none */
    uint16_t depth;
};

enum { CATCH_ALL = 0x40000000, NOBODY = 0x7fffffff };

struct expansion {
    const struct route_table *table;
    void (*problem)(void *argument, const char *what);
    void *argument;
    struct step *steps;
    unsigned step_count;
    struct route_target *targets;
    unsigned target_count;
    bool stopped;
    bool without; /* no user elsewhere has the first step's name */
};

static void tell(const struct expansion *expansion, const char *what)
{
    if (expansion->problem != NULL)
        expansion->problem(expansion->argument, what);
}

static uint32_t find_name(const struct route_table *table, struct slice local, struct slice domain)
{
    char room[ROUTE_NAME_BYTES_MAX];
    if (local.size == 0 || local.size + 1 + domain.size > sizeof room)
        return UINT32_MAX;
    for (size_t i = 0; i < local.size; i++)
        room[i] = ascii_lower(local.data[i]);
    room[local.size] = '@';
    for (size_t i = 0; i < domain.size; i++)
        room[local.size + 1 + i] = ascii_lower(domain.data[i]);
    return route_name_index(table, slice_of(room, local.size + 1 + domain.size));
}

static uint32_t find_domain(const struct route_table *table, struct slice domain)
{
    char room[ROUTE_DOMAIN_BYTES_MAX];
    if (domain.size > sizeof room)
        return UINT32_MAX;
    for (size_t i = 0; i < domain.size; i++)
        room[i] = ascii_lower(domain.data[i]);
    return route_domain_index(table, slice_of(room, domain.size));
}

/* Where the sub-address begins: the first separator behind the first byte; local.size: nowhere. */
static size_t find_separator(const struct route_table *table, const struct route_domain *domain,
                             struct slice local)
{
    struct slice separator = route_text(table, domain->separator);
    for (size_t i = 1; separator.size > 0 && i < local.size; i++)
        if (memchr(separator.data, local.data[i], separator.size) != NULL)
            return i;
    return local.size;
}

static void add_target(struct expansion *expansion, struct route_target target)
{
    for (unsigned i = 0; i < expansion->target_count; i++)
        if (slice_equal_nocase(expansion->targets[i].user, target.user) &&
            slice_equal_nocase(expansion->targets[i].domain, target.domain))
            return;
    if (expansion->target_count == ROUTE_TARGETS_MAX) {
        tell(expansion, "leads to more than 100 users: use a mailing list");
        expansion->stopped = true;
        return;
    }
    expansion->targets[expansion->target_count++] = target;
}

/* `by`: the alias or catch-all that step number `from` turned out to be. */
static void add_step(struct expansion *expansion, unsigned from, uint32_t by, struct slice local,
                     struct slice domain)
{
    for (int at = (int)from; at >= 0; at = expansion->steps[at].parent)
        if (expansion->steps[at].alias == by) {
            tell(expansion, "leads back to itself: break the loop");
            return;
        }
    if (expansion->steps[from].depth == ROUTE_ALIAS_DEPTH_MAX) {
        tell(expansion, "aliases of aliases more than 8 deep: name the users");
        return;
    }
    if (expansion->step_count == ROUTE_WORK_MAX) {
        tell(expansion, "leads to too many addresses: use a mailing list");
        expansion->stopped = true;
        return;
    }
    expansion->steps[expansion->step_count++] = (struct step){
        .local = local,
        .domain = domain,
        .alias = by,
        .parent = (int16_t)from,
        .depth = (uint16_t)(expansion->steps[from].depth + 1),
    };
}

static void follow_alias(struct expansion *expansion, unsigned from, uint32_t index)
{
    const struct route_table *table = expansion->table;
    uint32_t at = route_name_at(table, index)->first_target;
    for (; at != 0 && !expansion->stopped; at = route_aim_at(table, at - 1)->next) {
        struct slice target = route_text(table, route_aim_at(table, at - 1)->text);
        const char *sign = memrchr(target.data, '@', target.size); /* R2 */
        size_t local_size = (size_t)(sign - target.data);
        add_step(expansion, from, index, slice_first(target, local_size),
                 slice_from(target, local_size + 1));
    }
}

static void follow_catch_all(struct expansion *expansion, unsigned from, uint32_t domain_index)
{
    const struct route_table *table = expansion->table;
    const struct route_domain *domain = route_domain_at(table, domain_index);
    struct slice target = route_text(table, domain->catch_all);
    const char *sign = memrchr(target.data, '@', target.size);
    size_t local_size = sign != NULL ? (size_t)(sign - target.data) : target.size;
    add_step(expansion, from, CATCH_ALL + domain_index, slice_first(target, local_size),
             sign != NULL ? slice_from(target, local_size + 1) : route_text(table, domain->text));
}

static enum route_answer take_step(struct expansion *expansion, unsigned number)
{
    const struct route_table *table = expansion->table;
    struct step step = expansion->steps[number];
    uint32_t domain_index = find_domain(table, step.domain);
    if (domain_index == UINT32_MAX) {
        tell(expansion, "leads to a domain that is not ours");
        return ROUTE_NOT_LOCAL;
    }
    const struct route_domain *domain = route_domain_at(table, domain_index);
    struct slice mailbox = SLICE("INBOX");
    uint32_t index = find_name(table, step.local, step.domain);
    struct slice user = step.local;
    if (index == UINT32_MAX) {
        user = slice_first(user, find_separator(table, domain, user));
        if (user.size < step.local.size)
            index = find_name(table, user, step.domain);
        if (domain->detail_mailbox && user.size + 1 < step.local.size)
            mailbox = slice_from(step.local, user.size + 1);
    }
    if (index == UINT32_MAX && domain->users_elsewhere && user.size > 0 &&
        !(number == 0 && expansion->without)) {
        add_target(expansion, (struct route_target){user, mailbox, step.domain, step.local});
        return ROUTE_TARGETS;
    }
    if (index == UINT32_MAX && domain->catch_all.size == 0) {
        tell(expansion, "leads to an unknown user");
        return ROUTE_UNKNOWN_USER;
    }
    if (index == UINT32_MAX)
        follow_catch_all(expansion, number, domain_index);
    else if (route_name_at(table, index)->is_alias)
        follow_alias(expansion, number, index);
    else
        add_target(expansion, (struct route_target){
                                  .user = route_text(table, route_name_at(table, index)->text),
                                  .mailbox = mailbox});
    return ROUTE_TARGETS;
}

enum route_answer route_expand(const struct route_table *table, struct slice local_part,
                               struct slice domain, bool without,
                               void (*problem)(void *, const char *what), void *argument,
                               struct route_target *ret_targets, unsigned *ret_count)
{
    struct step steps[ROUTE_WORK_MAX];
    struct expansion expansion = {
        .table = table,
        .problem = problem,
        .argument = argument,
        .steps = steps,
        .step_count = 1,
        .targets = ret_targets,
        .without = without,
    };
    steps[0] = (struct step){local_part, domain, NOBODY, -1, 0};
    enum route_answer answer = take_step(&expansion, 0);
    for (unsigned i = 1; i < expansion.step_count && !expansion.stopped; i++)
        take_step(&expansion, i);
    *ret_count = expansion.target_count;
    if (answer == ROUTE_TARGETS && expansion.target_count == 0)
        return ROUTE_UNKNOWN_USER;
    for (unsigned i = 0; i < expansion.target_count; i++)
        if (ret_targets[i].domain.size > 0)
            return ROUTE_ASK;
    return answer;
}

static enum route_answer find(const struct route_table *table, struct slice local_part,
                              struct slice domain, bool without, struct route_target *ret_targets,
                              unsigned *ret_count)
{
    if (domain.size == 0 && table->domains.count > 0 &&
        slice_equal_nocase(local_part, SLICE("postmaster"))) /* RFC 5321 4.5.1 */
        domain = route_text(table, route_domain_at(table, 0)->text);
    return route_expand(table, local_part, domain, without, NULL, NULL, ret_targets, ret_count);
}

enum route_answer route_find(const struct route_table *table, struct slice local_part,
                             struct slice domain, struct route_target *ret_targets,
                             unsigned *ret_count)
{
    return find(table, local_part, domain, false, ret_targets, ret_count);
}

enum route_answer route_find_without(const struct route_table *table, struct slice local_part,
                                     struct slice domain, struct route_target *ret_targets,
                                     unsigned *ret_count)
{
    return find(table, local_part, domain, true, ret_targets, ret_count);
}
