/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A mailbox's messages in UID order: three levels of counted references, so that a list is shared
 * by everybody who sees the same state, and one change to a shared list of a million messages
 * copies three nodes, not the list.
 *
 *   list ─▶ branches (up to 256 leaves each) ─▶ leaves (up to 128 entries each)
 *     each reference carries: how many entries stand before it in its parent, its first UID
 *
 * Invariants:
 *   1. A node with more than one reference, or below such a node, is not changed (T4).
 *   2. Entries are in UID order; `first_uid` is not above the first entry's UID, and above every
 *      UID before it.
 *   3. No branch and no leaf is empty.
 */
#include "store_private.h"

enum { LEAF_MAX = 128, BRANCH_MAX = 256 };

struct leaf {
    uint32_t refs, count, capacity;
    struct mail_entry entries[];
};

struct child {
    void *node; /* struct leaf of a branch, struct branch of a list */
    uint32_t start, first_uid;
};

struct branch { /* and the list itself: there the children are branches */
    uint32_t refs, count, capacity;
    uint32_t entries;
    struct child children[];
};

struct mailbox_snapshot {
    struct branch root;
};

/* ---------------------------------------------------------------- nodes */

static struct branch *branch_new(uint32_t capacity)
{
    struct branch *branch = store_need(sizeof *branch + capacity * sizeof branch->children[0]);
    branch->refs = 1;
    branch->capacity = capacity;
    return branch;
}

static struct leaf *leaf_new(uint32_t capacity)
{
    struct leaf *leaf = store_need(sizeof *leaf + capacity * sizeof leaf->entries[0]);
    leaf->refs = 1;
    leaf->capacity = capacity;
    return leaf;
}

static void leaf_unref(struct leaf *leaf)
{
    if (--leaf->refs == 0)
        free(leaf);
}

static void branch_unref(struct branch *branch)
{
    if (--branch->refs > 0)
        return;
    for (uint32_t i = 0; i < branch->count; i++)
        leaf_unref(branch->children[i].node);
    free(branch);
}

struct mailbox_snapshot *list_new(void)
{
    return (struct mailbox_snapshot *)branch_new(1);
}

struct mailbox_snapshot *list_ref(struct mailbox_snapshot *list)
{
    list->root.refs++;
    return list;
}

void list_unref(struct mailbox_snapshot *list)
{
    if (list == NULL || --list->root.refs > 0)
        return;
    for (uint32_t i = 0; i < list->root.count; i++)
        branch_unref(list->root.children[i].node);
    free(list);
}

uint32_t list_count(const struct mailbox_snapshot *list)
{
    return list->root.entries;
}

/* A copy of one's own if others refer to the node; its children then have one reference more. */
static struct branch *own_branch(struct branch *branch, bool is_root)
{
    if (branch->refs == 1)
        return branch;
    uint32_t capacity = branch->count + branch->count / 4 + 1;
    struct branch *copy = branch_new(capacity);
    copy->count = branch->count;
    copy->entries = branch->entries;
    memcpy(copy->children, branch->children, branch->count * sizeof branch->children[0]);
    for (uint32_t i = 0; i < copy->count; i++) {
        void *node = copy->children[i].node;
        if (is_root)
            ((struct branch *)node)->refs++;
        else
            ((struct leaf *)node)->refs++;
    }
    branch->refs--;
    return copy;
}

static struct leaf *own_leaf(struct leaf *leaf)
{
    if (leaf->refs == 1)
        return leaf;
    uint32_t capacity = leaf->count + leaf->count / 4 + 1;
    struct leaf *copy = leaf_new(capacity < LEAF_MAX ? capacity : LEAF_MAX);
    copy->count = leaf->count;
    memcpy(copy->entries, leaf->entries, leaf->count * sizeof leaf->entries[0]);
    leaf->refs--;
    return copy;
}

static struct branch *branch_grow(struct branch *branch)
{
    if (branch->count < branch->capacity)
        return branch;
    branch->capacity = branch->capacity * 2;
    return store_need_resize(branch,
                             sizeof *branch + branch->capacity * sizeof branch->children[0]);
}

/* ---------------------------------------------------------------- finding */

/* The last child that starts at or before `index`. */
static uint32_t child_at(const struct branch *branch, uint32_t index)
{
    uint32_t low = 0, high = branch->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (branch->children[middle].start <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The last child that may hold `uid`. */
static uint32_t child_of_uid(const struct branch *branch, uint32_t uid)
{
    uint32_t low = 0, high = branch->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (branch->children[middle].first_uid <= uid)
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct mail_entry *list_at(const struct mailbox_snapshot *list, uint32_t number)
{
    assert(number >= 1 && number <= list->root.entries);
    uint32_t index = number - 1;
    const struct child *child = &list->root.children[child_at(&list->root, index)];
    const struct branch *branch = child->node;
    index -= child->start;
    child = &branch->children[child_at(branch, index)];
    const struct leaf *leaf = child->node;
    return &leaf->entries[index - child->start];
}

uint32_t list_find(const struct mailbox_snapshot *list, uint32_t uid, bool or_next)
{
    if (list->root.entries == 0)
        return or_next ? 1 : 0;
    const struct child *child = &list->root.children[child_of_uid(&list->root, uid)];
    const struct branch *branch = child->node;
    uint32_t before = child->start;
    child = &branch->children[child_of_uid(branch, uid)];
    const struct leaf *leaf = child->node;
    before += child->start;
    uint32_t low = 0, high = leaf->count; /* the first entry with a UID not below */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (leaf->entries[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < leaf->count && leaf->entries[low].uid == uid)
        return before + low + 1;
    return or_next ? before + low + 1 : 0;
}

/* ---------------------------------------------------------------- changing */

/* One's own branch `at` of an own root. */
static struct branch *own_child_branch(struct branch *root, uint32_t at)
{
    struct branch *branch = own_branch(root->children[at].node, false);
    root->children[at].node = branch;
    return branch;
}

static struct branch *own_root(struct mailbox_snapshot **list)
{
    struct branch *root = own_branch(&(*list)->root, true);
    *list = (struct mailbox_snapshot *)root;
    return root;
}

/* The last branch, with room for one more leaf at its end; of its own. */
static struct branch *last_branch(struct mailbox_snapshot **list, bool needs_leaf, uint32_t uid)
{
    struct branch *root = own_root(list);
    if (root->count > 0) {
        struct branch *branch = root->children[root->count - 1].node;
        if (!needs_leaf || branch->count < BRANCH_MAX)
            return own_child_branch(root, root->count - 1);
    }
    root = branch_grow(root);
    *list = (struct mailbox_snapshot *)root;
    struct branch *branch = branch_new(1);
    root->children[root->count++] = (struct child){branch, root->entries, uid};
    return branch;
}

static bool last_leaf_is_full(const struct mailbox_snapshot *list)
{
    if (list->root.count == 0)
        return true;
    const struct branch *branch = list->root.children[list->root.count - 1].node;
    const struct leaf *leaf = branch->children[branch->count - 1].node;
    return leaf->count == LEAF_MAX;
}

void list_append(struct mailbox_snapshot **list, const struct mail_entry *entry)
{
    bool needs_leaf = last_leaf_is_full(*list);
    struct branch *branch = last_branch(list, needs_leaf, entry->uid);
    struct branch *root = &(*list)->root;
    struct child *last = &root->children[root->count - 1];
    if (needs_leaf) {
        branch = branch_grow(branch);
        last->node = branch;
        branch->children[branch->count++] =
            (struct child){leaf_new(1), branch->entries, entry->uid};
    }
    struct child *child = &branch->children[branch->count - 1];
    struct leaf *leaf = own_leaf(child->node);
    if (leaf->count == leaf->capacity) {
        leaf->capacity = leaf->capacity * 2 < LEAF_MAX ? leaf->capacity * 2 : LEAF_MAX;
        leaf = store_need_resize(leaf, sizeof *leaf + leaf->capacity * sizeof leaf->entries[0]);
    }
    assert((leaf->count == 0 || leaf->entries[leaf->count - 1].uid < entry->uid) && "UID order");
    leaf->entries[leaf->count++] = *entry;
    child->node = leaf;
    branch->entries++;
    root->entries++;
}

struct mail_entry *list_edit(struct mailbox_snapshot **list, uint32_t number)
{
    assert(number >= 1 && number <= (*list)->root.entries);
    struct branch *root = own_root(list);
    uint32_t index = number - 1, at = child_at(root, index);
    index -= root->children[at].start;
    struct branch *branch = own_child_branch(root, at);
    struct child *child = &branch->children[child_at(branch, index)];
    struct leaf *leaf = own_leaf(child->node);
    child->node = leaf;
    return &leaf->entries[index - child->start];
}

static void child_remove(struct branch *branch, uint32_t at)
{
    branch->count--;
    memmove(&branch->children[at], &branch->children[at + 1],
            (branch->count - at) * sizeof branch->children[0]);
}

/* Joins a leaf that has become small with the next one, so that removals do not leave a leaf for
 * each message that is left. */
static void leaf_join(struct branch *branch, uint32_t at)
{
    if (at + 1 >= branch->count)
        return;
    struct leaf *leaf = branch->children[at].node, *next = branch->children[at + 1].node;
    uint32_t count = leaf->count + next->count;
    if (leaf->count > LEAF_MAX / 4 || count > LEAF_MAX / 2)
        return;
    if (leaf->capacity < count) {
        leaf->capacity = count;
        leaf = store_need_resize(leaf, sizeof *leaf + count * sizeof leaf->entries[0]);
        branch->children[at].node = leaf;
    }
    memcpy(leaf->entries + leaf->count, next->entries, next->count * sizeof next->entries[0]);
    leaf->count = count;
    child_remove(branch, at + 1);
    leaf_unref(next);
}

void list_remove(struct mailbox_snapshot **list, uint32_t number)
{
    assert(number >= 1 && number <= (*list)->root.entries);
    struct branch *root = own_root(list);
    uint32_t index = number - 1, at = child_at(root, index);
    index -= root->children[at].start;
    struct branch *branch = own_child_branch(root, at);
    uint32_t leaf_at = child_at(branch, index);
    index -= branch->children[leaf_at].start;
    struct leaf *leaf = own_leaf(branch->children[leaf_at].node);
    branch->children[leaf_at].node = leaf;
    leaf->count--;
    memmove(&leaf->entries[index], &leaf->entries[index + 1],
            (leaf->count - index) * sizeof leaf->entries[0]);
    for (uint32_t i = leaf_at + 1; i < branch->count; i++)
        branch->children[i].start--;
    for (uint32_t i = at + 1; i < root->count; i++)
        root->children[i].start--;
    branch->entries--;
    root->entries--;
    if (leaf->count == 0) {
        child_remove(branch, leaf_at);
        leaf_unref(leaf);
    } else {
        leaf_join(branch, leaf_at);
    }
    if (branch->count == 0) {
        child_remove(root, at);
        branch_unref(branch);
    }
}

/* ---------------------------------------------------------------- walking */

static const struct branch *cursor_branch(const struct list_cursor *cursor)
{
    return cursor->branch < cursor->list->root.count
               ? cursor->list->root.children[cursor->branch].node
               : NULL;
}

/* Stands on an entry, or at the end. */
static const struct mail_entry *cursor_peek(const struct list_cursor *cursor)
{
    const struct branch *branch = cursor_branch(cursor);
    if (branch == NULL)
        return NULL;
    const struct leaf *leaf = branch->children[cursor->leaf].node;
    return &leaf->entries[cursor->entry];
}

static void cursor_past_leaf(struct list_cursor *cursor)
{
    cursor->entry = 0;
    if (++cursor->leaf == cursor_branch(cursor)->count) {
        cursor->leaf = 0;
        cursor->branch++;
    }
}

static void cursor_past_entry(struct list_cursor *cursor)
{
    const struct leaf *leaf = cursor_branch(cursor)->children[cursor->leaf].node;
    if (++cursor->entry == leaf->count)
        cursor_past_leaf(cursor);
}

const struct mail_entry *list_next(struct list_cursor *cursor)
{
    const struct mail_entry *entry = cursor_peek(cursor);
    if (entry != NULL)
        cursor_past_entry(cursor);
    return entry;
}

/* Passes a node that both lists share, if both stand at the beginning of one. */
static bool skip_shared(struct list_difference *walk)
{
    struct list_cursor *old = &walk->old_at, *new = &walk->new_at;
    if (old->entry != 0 || new->entry != 0)
        return false;
    const struct branch *old_branch = cursor_branch(old), *new_branch = cursor_branch(new);
    if (old_branch == NULL || new_branch == NULL)
        return false;
    uint32_t passed;
    if (old->leaf == 0 && new->leaf == 0 && old_branch == new_branch) {
        passed = old_branch->entries;
        old->branch++;
        new->branch++;
    } else if (old_branch->children[old->leaf].node == new_branch->children[new->leaf].node) {
        passed = ((const struct leaf *)old_branch->children[old->leaf].node)->count;
        cursor_past_leaf(old);
        cursor_past_leaf(new);
    } else {
        return false;
    }
    walk->old_number += passed;
    walk->new_number += passed;
    return true;
}

bool list_differ(struct list_difference *walk, const struct mail_entry **ret_old,
                 const struct mail_entry **ret_new)
{
    for (;;) {
        if (skip_shared(walk))
            continue;
        const struct mail_entry *old = cursor_peek(&walk->old_at);
        const struct mail_entry *new = cursor_peek(&walk->new_at);
        if (old == NULL && new == NULL)
            return false;
        bool has_old = old != NULL && (new == NULL || old->uid <= new->uid);
        bool has_new = new != NULL && (old == NULL || new->uid <= old->uid);
        if (has_old) {
            cursor_past_entry(&walk->old_at);
            walk->old_number++;
        }
        if (has_new) {
            cursor_past_entry(&walk->new_at);
            walk->new_number++;
        }
        if (has_old && has_new && old->modseq == new->modseq)
            continue;
        *ret_old = has_old ? old : NULL;
        *ret_new = has_new ? new : NULL;
        return true;
    }
}
