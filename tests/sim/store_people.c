/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the people of the store's scenario do (store_people.h). A user does one thing after another;
 * before each it writes down what will be true if it happens, and when the answer never comes, or
 * is an error, either may be true, and the user stops for this life.
 */
#include "store_people.h"

#include <stdio.h>
#include <stdlib.h>

#include "ringpost/hash.h"

unsigned home_of(const struct run *run, unsigned user)
{
    const char *name = run->model->users[user].name;
    return (unsigned)(hash_stable(name, strlen(name)) % run->options.shard_count) % run->cores;
}

static bool is_shard_same(const struct run *run, unsigned a, unsigned b)
{
    const char *left = run->model->users[a].name, *right = run->model->users[b].name;
    return hash_stable(left, strlen(left)) % run->options.shard_count ==
           hash_stable(right, strlen(right)) % run->options.shard_count;
}

/* What the world may answer when faults are on. */
static bool is_fault(const struct run *run, int result)
{
    return !run->calm && (result == -EIO || result == -ENOSPC || result == -EAGAIN ||
                          result == -ENOMEM || result == -ESHUTDOWN || result == -EBADMSG);
}

void answer_check(struct run *run, const char *what, int result)
{
    if (result < 0 && !is_fault(run, result))
        sim_fail(run->sim, "%s: %d", what, result);
}

static struct message_body *body_new(struct core *core, uint32_t number)
{
    char text[MODEL_TEXT_MAX];
    struct slice rest = slice_of(text, model_text(number, text, sizeof text));
    struct message_body *body = message_body_take(core, rest.size);
    while (body != NULL && rest.size > 0) {
        size_t room;
        char *at = message_body_room(body, rest.size, &room);
        if (at == NULL) {
            message_body_give(body);
            return NULL;
        }
        memcpy(at, rest.data, room);
        message_body_added(body, room);
        rest = slice_from(rest, room);
    }
    return body;
}

/* ---------------------------------------------------------------- deliveries */

static void deliver_one(struct run *run, struct core *core)
{
    struct sim *sim = run->sim;
    struct model *model = run->model;
    struct delivery deliveries[MODEL_RECIPIENTS + 1];
    uint32_t number = model_number_new(model);
    if (number == 0)
        return;
    struct model_number *sent = &model->numbers[number];
    unsigned count = 1 + sim_below(sim, MODEL_RECIPIENTS), first = sim_below(sim, MODEL_USERS);
    for (unsigned i = 0; i < count; i++) {
        sent->users[i] = (first + i * (1 + sim_below(sim, 1))) % MODEL_USERS;
        sent->at_once[i] = is_shard_same(run, sent->users[0], sent->users[i]);
        deliveries[i] =
            (struct delivery){slice_cstr(model->users[sent->users[i]].name), SLICE("INBOX"), 1};
    }
    deliveries[count] = deliveries[sim_below(sim, count)]; /* one twice: still one copy */
    struct message_body *body = body_new(core, number);
    if (body == NULL)
        return;
    sent->recipient_count = count;
    int result = store_deliver(core, body, SLICE("<sender@example>"), deliveries, count + 1);
    answer_check(run, "deliver", result);
    if (result == 0) {
        sent->acknowledged_at = ++model->acknowledgements;
        sent->acknowledged = true;
    }
}

int sender_body(struct core *core, void *argument)
{
    struct run *run = argument;
    for (unsigned left = sim_below(run->sim, 12); left > 0; left--) {
        deliver_one(run, core);
        if (sim_below(run->sim, 6) == 0)
            fiber_sleep(core, 1000000 * (1 + sim_below(run->sim, 900)));
    }
    run->working--;
    return 0;
}

/* ---------------------------------------------------------------- what a user does */

struct doing {
    struct run *run;
    struct core *core;
    struct model_user *user;
    struct account *account;
};

static struct model_box *box_draw(struct doing *doing, struct model_state *state)
{
    return state->count == 0 ? NULL : &state->boxes[sim_below(doing->run->sim, state->count)];
}

static struct mailbox *mailbox_of(struct doing *doing, const struct model_box *box)
{
    struct mailbox *mailbox = account_mailbox(doing->account, slice_cstr(box->name));
    if (mailbox == NULL)
        sim_fail(doing->run->sim, "%s: no mailbox %s", doing->user->name, box->name);
    return mailbox;
}

/* A change is described on user->after; `finished` decides. Returns false when the user must stop
 * for this life: what happened is not known. */
static bool finished(struct doing *doing, const char *what, int result)
{
    answer_check(doing->run, what, result);
    if (result < 0)
        return false;
    doing->user->now = doing->user->after;
    doing->user->uncertain = false;
    return true;
}

static struct model_state *begin(struct doing *doing)
{
    doing->user->after = doing->user->now;
    doing->user->uncertain = true;
    return &doing->user->after;
}

static bool do_append(struct doing *doing)
{
    struct model_state *after = begin(doing);
    struct model_box *box = box_draw(doing, after);
    struct mailbox *mailbox = mailbox_of(doing, box);
    uint32_t number = model_number_new(doing->run->model);
    struct message_body *body = number == 0 ? NULL : body_new(doing->core, number);
    struct append_result appended = {0};
    uint16_t flags = sim_below(doing->run->sim, 2) ? MAIL_SEEN : 0;
    if (body == NULL || mailbox == NULL)
        return false;
    unsigned at = box->count;
    model_mail_add(box, 0, number, flags);
    int result = mailbox_append(mailbox, body, flags, 0, 1000000, 0, &appended);
    if (result == 0 && at < MODEL_MAILS) {
        box->mails[at].uid = appended.uid;
        if (appended.uid < box->uidnext)
            sim_fail(doing->run->sim, "UID %u after %u", appended.uid, box->uidnext);
        /* what came before it and was not seen yet has a lower UID: uidnext stays */
    }
    return finished(doing, "append", result);
}

/* Some of the UIDs that the user knows there, ascending. */
static unsigned uids_draw(struct doing *doing, const struct model_box *box, uint32_t *uids)
{
    unsigned count = 0;
    for (unsigned i = 0; i < box->count; i++)
        if (box->mails[i].uid != 0 && sim_below(doing->run->sim, 3) == 0)
            uids[count++] = box->mails[i].uid;
    return count;
}

static bool do_flags(struct doing *doing)
{
    struct model_state *after = begin(doing);
    struct model_box *box = box_draw(doing, after);
    struct mailbox *mailbox = mailbox_of(doing, box);
    uint32_t uids[MODEL_MAILS], failed = 0;
    unsigned count = uids_draw(doing, box, uids);
    struct store_change change = {.how = (enum store_how)sim_below(doing->run->sim, 3),
                                  .flags = (uint16_t)(1u << sim_below(doing->run->sim, 5)),
                                  .unchanged_since = UINT64_MAX};
    if (mailbox == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct model_mail *mail = model_mail(box, uids[i]);
        mail->flags = change.how == STORE_REPLACE ? change.flags
                      : change.how == STORE_ADD   ? mail->flags | change.flags
                                                  : (uint16_t)(mail->flags & ~change.flags);
    }
    return finished(doing, "store", mailbox_store(mailbox, uids, count, &change, &failed));
}

static bool do_expunge(struct doing *doing)
{
    struct model_state *after = begin(doing);
    struct model_box *box = box_draw(doing, after);
    struct mailbox *mailbox = mailbox_of(doing, box);
    uint32_t uids[MODEL_MAILS];
    unsigned count = uids_draw(doing, box, uids);
    if (mailbox == NULL)
        return false;
    for (unsigned i = 0; i < count; i++)
        model_mail_remove(box, uids[i]);
    return finished(doing, "expunge", mailbox_expunge(mailbox, uids, count));
}

static bool do_copy(struct doing *doing)
{
    struct model_state *after = begin(doing);
    struct model_box *from = box_draw(doing, after), *to = box_draw(doing, after);
    struct mailbox *mailbox = mailbox_of(doing, from), *target = mailbox_of(doing, to);
    uint32_t uids[MODEL_MAILS], new_uids[MODEL_MAILS], uidvalidity = 0;
    unsigned count = uids_draw(doing, from, uids), at = to->count;
    bool move = sim_below(doing->run->sim, 2) == 0;
    if (mailbox == NULL || target == NULL || at + count >= MODEL_MAILS) {
        doing->user->uncertain = false;
        return true;
    }
    for (unsigned i = 0; i < count; i++) {
        struct model_mail mail = *model_mail(from, uids[i]);
        model_mail_add(to, 0, mail.number, mail.flags);
    }
    for (unsigned i = 0; move && i < count; i++)
        model_mail_remove(from, uids[i]);
    at = to->count - count;
    int result = mailbox_copy(mailbox, uids, count, target, move, new_uids, &uidvalidity);
    for (unsigned i = 0; result == 0 && i < count; i++)
        to->mails[at + i].uid = new_uids[i];
    return finished(doing, move ? "move" : "copy", result);
}

static const char *const names[] = {"a", "b", "a/x", "b/x/y", "c"};

static const char *name_draw(struct doing *doing)
{
    return names[sim_below(doing->run->sim, sizeof names / sizeof names[0])];
}

static void parents_add(struct model_state *state, const char *name)
{
    for (size_t i = 0; name[i] != '\0'; i++) {
        char parent[MODEL_NAME_BYTES];
        if (name[i] != '/')
            continue;
        snprintf(parent, sizeof parent, "%.*s", (int)i, name);
        if (model_box(state, parent) == NULL)
            model_box_add(state, parent);
    }
}

static bool do_create(struct doing *doing)
{
    const char *name = name_draw(doing);
    struct model_state *after = begin(doing);
    bool is_there = model_box(after, name) != NULL;
    if (!is_there) {
        parents_add(after, name);
        model_box_add(after, name);
    }
    int result = account_create(doing->account, slice_cstr(name), MAILBOX_USE_NONE);
    if (is_there && result != -EEXIST)
        sim_fail(doing->run->sim, "create of %s, which is there: %d", name, result);
    return finished(doing, "create", is_there && result == -EEXIST ? 0 : result);
}

static bool do_delete(struct doing *doing)
{
    const char *name = name_draw(doing);
    struct model_state *after = begin(doing);
    bool is_there = model_box(after, name) != NULL;
    model_box_remove(after, name);
    int result = account_delete(doing->account, slice_cstr(name));
    if (!is_there && result != -ENOENT)
        sim_fail(doing->run->sim, "delete of %s, which is not there: %d", name, result);
    return finished(doing, "delete", !is_there && result == -ENOENT ? 0 : result);
}

static bool is_below(const char *name, const char *parent)
{
    size_t size = strlen(parent);
    return strncmp(name, parent, size) == 0 && name[size] == '/';
}

/* Renames a mailbox without children to a new name at the top, or INBOX. */
static bool do_rename(struct doing *doing)
{
    const char *from = sim_below(doing->run->sim, 3) == 0 ? "INBOX" : name_draw(doing);
    char to[MODEL_NAME_BYTES];
    snprintf(to, sizeof to, "r%u", sim_below(doing->run->sim, 4));
    struct model_state *after = begin(doing);
    struct model_box *box = model_box(after, from);
    for (unsigned i = 0; i < after->count && box != NULL; i++)
        if (is_below(after->boxes[i].name, from))
            box = NULL;
    if (box == NULL || model_box(after, to) != NULL || after->count + 3 > MODEL_BOXES) {
        doing->user->uncertain = false;
        return true;
    }
    if (strcmp(from, "INBOX") == 0) {
        struct model_box *made = model_box_add(after, to);
        box = model_box(after, from);
        made->uidnext = box->uidnext;
        made->count = box->count;
        memcpy(made->mails, box->mails, sizeof box->mails);
        box->count = 0;
    } else {
        snprintf(box->name, sizeof box->name, "%s", to);
    }
    return finished(doing, "rename",
                    account_rename(doing->account, slice_cstr(from), slice_cstr(to)));
}

typedef bool do_something(struct doing *doing);
static do_something *const doings[] = {do_append, do_append,  do_append, do_flags,
                                       do_flags,  do_expunge, do_copy,   do_copy,
                                       do_create, do_delete,  do_rename};

static bool user_check(struct run *run, unsigned user, struct account *account, const char *when)
{
    int result = model_read(run->model, account);
    answer_check(run, "reading all", result);
    if (result == 0)
        model_compare(run->model, user, when);
    return result == 0;
}

/* -EAGAIN: a fault was in the way; nothing is known of the user. */
int check_body(struct core *core, void *argument)
{
    const struct person *person = argument;
    struct run *run = person->run;
    unsigned user = person->user;
    struct account *account;
    int result = account_open(core, slice_cstr(run->model->users[user].name), &account);
    answer_check(run, "account", result);
    if (result < 0)
        return result;
    bool is_known = user_check(run, user, account, run->calm ? "at the end" : "after recovery");
    account_close(account);
    return is_known ? 0 : -EAGAIN;
}

int user_body(struct core *core, void *argument)
{
    const struct person *person = argument;
    struct run *run = person->run;
    unsigned index = person->user;
    struct doing doing = {run, core, &run->model->users[index], NULL};
    int result = account_open(core, slice_cstr(doing.user->name), &doing.account);
    answer_check(run, "account", result);
    bool goes_on = result == 0 && doing.user->exists && !doing.user->uncertain;
    for (unsigned left = sim_below(run->sim, 16); left > 0 && goes_on; left--) {
        goes_on = doings[sim_below(run->sim, sizeof doings / sizeof doings[0])](&doing);
        if (goes_on && sim_below(run->sim, 12) == 0 && run->working == 1)
            user_check(run, index, doing.account, "alone");
        if (sim_below(run->sim, 8) == 0)
            fiber_sleep(core, 1000000 * (1 + sim_below(run->sim, 900)));
    }
    if (result == 0)
        account_close(doing.account);
    run->working--;
    return 0;
}

/* ---------------------------------------------------------------- sessions that watch (S4) */

struct watching {
    struct run *run;
    struct view view;
    uint32_t uids[MODEL_MAILS * 4];
    unsigned count;
};

static void watched_expunged(void *argument, uint32_t number, uint32_t uid)
{
    struct watching *watching = argument;
    if (number == 0 || number > watching->count || watching->uids[number - 1] != uid) {
        sim_fail(watching->run->sim, "told that %u, UID %u, is expunged: it is not that", number,
                 uid);
        return;
    }
    watching->count--;
    memmove(&watching->uids[number - 1], &watching->uids[number],
            (watching->count - number + 1) * sizeof watching->uids[0]);
}

static void watched_exists(void *argument, uint32_t count)
{
    struct watching *watching = argument;
    if (count <= watching->count)
        sim_fail(watching->run->sim, "told of %u messages, had %u", count, watching->count);
    for (; watching->count < count && watching->count < MODEL_MAILS * 4; watching->count++)
        watching->uids[watching->count] = view_entry(&watching->view, watching->count + 1)->uid;
}

static void watched_flags(void *argument, uint32_t number, const struct mail_entry *entry)
{
    struct watching *watching = argument;
    if (number > watching->count || watching->uids[number - 1] != entry->uid)
        sim_fail(watching->run->sim, "told flags of %u, UID %u: it is not that", number,
                 entry->uid);
}

static void watched_check(struct watching *watching, const char *when)
{
    if (watching->view.count != watching->count)
        sim_fail(watching->run->sim, "S4: %u messages %s, not %u", watching->view.count, when,
                 watching->count);
    for (unsigned i = 0; i < watching->count && i < watching->view.count; i++)
        if (view_entry(&watching->view, i + 1)->uid != watching->uids[i])
            sim_fail(watching->run->sim, "S4: number %u is UID %u %s, not %u", i + 1,
                     view_entry(&watching->view, i + 1)->uid, when, watching->uids[i]);
}

int watcher_body(struct core *core, void *argument)
{
    const struct person *person = argument;
    struct run *run = person->run;
    unsigned index = person->user;
    struct watching *watching = calloc(1, sizeof *watching);
    struct account *account = NULL;
    struct mailbox *mailbox = NULL;
    struct view_listener listener = {watching, watched_expunged, watched_exists, watched_flags};
    watching->run = run;
    int result = account_open(core, slice_cstr(run->model->users[index].name), &account);
    if (result == 0)
        mailbox = account_mailbox(account, SLICE("INBOX"));
    if (mailbox != NULL)
        result = view_open(account, mailbox, sim_below(run->sim, 2) == 0, &watching->view);
    answer_check(run, "view", result);
    if (mailbox != NULL && result == 0) {
        if (watching->view.count > 0)
            watched_exists(watching, watching->view.count);
        for (unsigned left = 12; left > 0; left--) {
            watched_check(watching, "before an update");
            view_update(&watching->view, sim_below(run->sim, 2) == 0, &listener);
            watched_check(watching, "after an update");
            fiber_sleep(core, 1000000 * (1 + sim_below(run->sim, 300)));
        }
        view_close(&watching->view);
    }
    if (account != NULL)
        account_close(account);
    free(watching);
    run->working--;
    return 0;
}

int tending_body(struct core *core, void *argument)
{
    struct run *run = argument;
    for (unsigned left = sim_below(run->sim, 5); left > 0; left--) {
        fiber_sleep(core, 1000000 * (1 + sim_below(run->sim, 600)));
        answer_check(run, "tending",
                     sim_below(run->sim, 2) == 0 ? store_checkpoint(core)
                                                 : store_compact(core, 70));
    }
    run->working--;
    return 0;
}
