/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store on the real kernel, in a directory of its own: what is done is seen, and is still there
 * after the store was opened anew. Each test runs lives one after the other on the same directory;
 * what a life does is a body on a fiber of core 0, with the store open on every core.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store_life.h"

/* ---------------------------------------------------------------- what a view was told */

struct told {
    char text[4000];
    size_t size;
};

static void told_expunged(void *argument, uint32_t number, uint32_t uid)
{
    struct told *told = argument;
    told->size += (size_t)snprintf(told->text + told->size, sizeof told->text - told->size,
                                   "-%u/%u ", number, uid);
}

static void told_exists(void *argument, uint32_t count)
{
    struct told *told = argument;
    told->size +=
        (size_t)snprintf(told->text + told->size, sizeof told->text - told->size, "=%u ", count);
}

static void told_flags(void *argument, uint32_t number, const struct mail_entry *entry)
{
    struct told *told = argument;
    told->size += (size_t)snprintf(told->text + told->size, sizeof told->text - told->size,
                                   "*%u/%u:%x ", number, entry->uid, entry->flags);
}

static void check_update(struct view *view, bool may_expunge, const char *want)
{
    struct told told = {0};
    struct view_listener listener = {&told, told_expunged, told_exists, told_flags};
    view_update(view, may_expunge, &listener);
    if (strcmp(told.text, want) != 0) {
        fprintf(stderr, "told \"%s\", want \"%s\"\n", told.text, want);
        abort();
    }
}

static uint64_t list_modseq(struct mailbox *mailbox, struct account *account, uint32_t uid)
{
    struct view view = {0};
    check_equal(view_open(account, mailbox, true, &view), 0);
    uint64_t modseq = view_entry(&view, view_number(&view, uid, false))->modseq;
    view_close(&view);
    return modseq;
}

static void store_flags(struct mailbox *mailbox, uint32_t uid, enum store_how how, uint16_t flags)
{
    uint32_t failed_count = 77;
    struct store_change change = {.how = how, .flags = flags, .unchanged_since = UINT64_MAX};
    check_equal(mailbox_store(mailbox, &uid, 1, &change, &failed_count), 0);
    check_equal(failed_count, 0);
}

/* ---------------------------------------------------------------- delivery and reading */

#define TEXT_1 "Subject: one\r\n\r\nFirst.\r\n"
#define TEXT_2 "Subject: two\r\n\r\nSecond.\r\n"

static void deliver_first(struct core *core)
{
    const char *user = user_here(core);
    check_equal(store_state(core), 0);
    check_equal(deliver(core, user, "INBOX", TEXT_1), 0);
    check_equal(deliver(core, user, "No such", TEXT_2), 0);
    struct account *account = open_account(core, user);
    struct mailbox *inbox = find(account, "inbox");
    struct mailbox_status status;
    check_equal(mailbox_status(inbox, &status), 0);
    check_equal(status.messages, 2);
    check_equal(status.recent, 2);
    check_equal(status.unseen, 2);
    check_equal(status.uidnext, 3);
    check_equal(status.bytes, strlen(TEXT_1) + strlen(TEXT_2));
    check(status.uidvalidity > 0 && status.highest_modseq > 1);
    account_close(account);
}

static void deliver_again(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    struct mailbox *inbox = find(account, "INBOX");
    struct view view = {0};
    check_equal(view_open(account, inbox, false, &view), 0);
    check_equal(view.count, 2);
    check_text(inbox, view_entry(&view, 1), TEXT_1);
    check_text(inbox, view_entry(&view, 2), TEXT_2);
    check_equal(view_number(&view, 2, false), 2);
    check_equal(view_number(&view, 3, false), 0);
    check_equal(view_number(&view, 3, true), 3);
    struct arena arena;
    struct slice summary;
    arena_init(&arena, 1 << 20);
    check_equal(message_summary(inbox, view_entry(&view, 1), &arena, &summary), 0);
    check(summary.size > 20);
    check(memmem(summary.data, summary.size, "one", 3) != NULL);
    arena_reset(&arena);
    view_close(&view);
    account_close(account);
    check_equal(deliver(core, user_here(core), "INBOX", TEXT_1), 0);
}

static void deliver_again_2(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    struct view view = {0};
    check_equal(view_open(account, find(account, "INBOX"), true, &view), 0);
    if (view.count > 0) /* another user may be the one at home here, with two cores */
        check_equal(view_entry(&view, 3)->uid, 3);
    view_close(&view);
    account_close(account);
}

static void delivery(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 1, deliver_first);
    live(directory, 1, deliver_again);
    live(directory, 2, deliver_again_2);
    directory_remove(directory);
}

/* ---------------------------------------------------------------- views, flags, expunge */

static void views_body(struct core *core)
{
    const char *user = user_here(core);
    struct account *account = open_account(core, user);
    struct mailbox *inbox = find(account, "INBOX");
    for (unsigned i = 0; i < 5; i++)
        check_equal(append(core, inbox, TEXT_1, 0, 0), i + 1);
    struct view a = {0}, b = {0};
    check_equal(view_open(account, inbox, false, &a), 0);
    check_equal(view_open(account, inbox, true, &b), 0);
    check_equal(a.recent_after_uid, 0);
    check(!view_stale(&a));

    store_flags(inbox, 2, STORE_ADD, MAIL_SEEN | MAIL_DELETED);
    check(view_stale(&a) && view_stale(&b));
    view_own(&a, 2, list_modseq(inbox, account, 2));
    check_update(&a, false, "");
    check_update(&b, false, "*2/2:9 ");
    check_update(&b, true, "");

    /* S4: an expunged message stays numbered, and readable, until it may be told. */
    uint32_t gone[] = {2, 4, 77};
    check_equal(mailbox_expunge(inbox, gone, 3), 0);
    check_equal(append(core, inbox, TEXT_2, MAIL_FLAGGED, 0), 6);
    check_equal(a.count, 5);
    check_text(inbox, view_entry(&a, 2), TEXT_1);
    check_update(&a, false, "=6 ");
    check(view_entry(&a, 2)->expunged && view_entry(&a, 4)->expunged);
    check(!view_entry(&a, 3)->expunged);
    check_equal(view_entry(&a, 6)->uid, 6);
    store_flags(inbox, 5, STORE_REPLACE, MAIL_SEEN);
    check_update(&a, false, "*5/5:1 ");
    check_update(&a, true, "-2/2 -3/4 ");
    check_equal(a.count, 4);
    check_equal(view_entry(&a, 3)->uid, 5);
    check_update(&b, true, "-2/2 -3/4 =4 *3/5:1 ");
    struct mailbox_status status;
    check_equal(mailbox_status(inbox, &status), 0);
    check_equal(status.messages, 4);
    check_equal(status.unseen, 3);
    check_equal(status.deleted, 0);
    check_equal(status.uidnext, 7);

    /* CONDSTORE: what has changed since is passed over and told. */
    uint64_t since = view_entry(&a, 1)->modseq;
    struct store_change change = {
        .how = STORE_ADD, .flags = MAIL_ANSWERED, .unchanged_since = since};
    uint32_t uids[] = {1, 3, 5}, failed_count = 0;
    check_equal(mailbox_store(inbox, uids, 3, &change, &failed_count), 0);
    check_equal(failed_count, 2);
    check_equal(uids[0], 3);
    check_equal(uids[1], 5);
    check_equal(uids[2], 1);
    check_update(&a, true, "*1/1:2 ");
    view_close(&a);
    view_close(&b);
    account_close(account);
}

static void views_again(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    struct mailbox *inbox = find(account, "INBOX");
    struct view view = {0};
    check_equal(view_open(account, inbox, false, &view), 0);
    check_equal(view.count, 4);
    static const uint32_t uids[] = {1, 3, 5, 6};
    static const uint16_t flags[] = {MAIL_ANSWERED, 0, MAIL_SEEN, MAIL_FLAGGED};
    for (unsigned i = 0; i < 4; i++) {
        check_equal(view_entry(&view, i + 1)->uid, uids[i]);
        check_equal(view_entry(&view, i + 1)->flags, flags[i]);
        check_equal(view_entry(&view, i + 1)->date, 1000000000);
        check_equal(view_entry(&view, i + 1)->date_zone, 60);
    }
    check_text(inbox, view_entry(&view, 4), TEXT_2);
    view_close(&view);
    account_close(account);
}

static void views(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 1, views_body);
    live(directory, 1, views_again);
    live(directory, 1, views_again);
    directory_remove(directory);
}

/* ---------------------------------------------------------------- copy, move, keywords */

static void copies_body(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    struct mailbox *inbox = find(account, "INBOX"), *junk = find(account, "Junk");
    check_equal(mailbox_special_use(junk), MAILBOX_USE_JUNK);
    check_equal(mailbox_keyword_bit(junk, SLICE("$Other"), true), 0);
    int bit = mailbox_keyword_bit(inbox, SLICE("$Label1"), true);
    check_equal(bit, 0);
    check_equal(mailbox_keyword_bit(inbox, SLICE("$label1"), false), 0);
    check_equal(mailbox_keyword_bit(inbox, SLICE("$None"), false), -1);
    check_equal(mailbox_keyword_bit(inbox, SLICE("a b"), true), -EINVAL);
    append(core, inbox, TEXT_1, MAIL_SEEN, 1);
    append(core, inbox, TEXT_2, 0, 0);
    uint32_t uids[] = {1, 2, 9}, new_uids[3], uidvalidity = 0;
    check_equal(mailbox_copy(inbox, uids, 3, junk, false, new_uids, &uidvalidity), 0);
    check(new_uids[0] == 1 && new_uids[1] == 2 && new_uids[2] == 0);
    struct mailbox_status status;
    check_equal(mailbox_status(junk, &status), 0);
    check_equal(status.uidvalidity, uidvalidity);
    check_equal(status.messages, 2);
    check_equal(mailbox_copy(inbox, uids, 1, junk, true, new_uids, &uidvalidity), 0);
    check_equal(new_uids[0], 3);
    check_equal(mailbox_status(inbox, &status), 0);
    check_equal(status.messages, 1);
    check_equal(mailbox_expunge(junk, uids, 1), 0);
    check(mailbox_pop3_lock(inbox));
    check(!mailbox_pop3_lock(inbox));
    mailbox_pop3_unlock(inbox);
    account_close(account);
}

static void copies_again(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    struct mailbox *junk = find(account, "Junk");
    struct view view = {0};
    check_equal(view_open(account, junk, false, &view), 0);
    check_equal(view.count, 2);
    check_equal(view_entry(&view, 2)->uid, 3);
    check_equal(view_entry(&view, 2)->flags, MAIL_SEEN);
    check_text(junk, view_entry(&view, 2), TEXT_1);
    check_text(junk, view_entry(&view, 1), TEXT_2);
    int bit = mailbox_keyword_bit(junk, SLICE("$Label1"), false);
    check(bit >= 0);
    check_equal(view_entry(&view, 2)->keywords, UINT64_C(1) << bit);
    check_equal(mailbox_keyword_bit(junk, SLICE("$Other"), false), -1);
    view_close(&view);
    account_close(account);
}

static void copies(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 1, copies_body);
    live(directory, 1, copies_again);
    directory_remove(directory);
}

/* ---------------------------------------------------------------- names */

static uint32_t uidvalidity_of(struct account *account, const char *name)
{
    struct mailbox_status status;
    check_equal(mailbox_status(find(account, name), &status), 0);
    return status.uidvalidity;
}

static void check_names(struct account *account, const char *want)
{
    char text[1000] = "";
    size_t size = 0;
    struct mailbox *mailbox = NULL;
    while ((mailbox = account_next(account, mailbox)) != NULL)
        size += (size_t)snprintf(text + size, sizeof text - size, "%.*s ",
                                 (int)mailbox_name(mailbox).size, mailbox_name(mailbox).data);
    if (strcmp(text, want) != 0) {
        fprintf(stderr, "names are \"%s\", want \"%s\"\n", text, want);
        abort();
    }
}

static void refused_names(struct account *account)
{
    check_equal(account_create(account, SLICE(""), 0), -EINVAL);
    check_equal(account_create(account, SLICE("a//b"), 0), -EINVAL);
    check_equal(account_create(account, SLICE("/a"), 0), -EINVAL);
    check_equal(account_create(account, SLICE("a\x01"), 0), -EINVAL);
    check_equal(account_create(account, SLICE("a\xff"), 0), -EINVAL);
    check_equal(account_create(account, SLICE("a/../b"), 0), -EINVAL);
    check_equal(account_create(account, SLICE("inbox"), 0), -EEXIST);
    check_equal(account_create(account, SLICE("Junk"), 0), -EEXIST);
    check_equal(account_delete(account, SLICE("Inbox")), -EPERM);
    check_equal(account_delete(account, SLICE("None")), -ENOENT);
    check_equal(account_rename(account, SLICE("None"), SLICE("x")), -ENOENT);
    check_equal(account_rename(account, SLICE("Junk"), SLICE("Sent")), -EEXIST);
    check_equal(account_rename(account, SLICE("Junk"), SLICE("Junk/x")), -EINVAL);
    char deep[2 * MAILBOX_DEPTH_MAX + 2];
    memset(deep, '/', sizeof deep);
    for (unsigned i = 0; i < sizeof deep; i += 2)
        deep[i] = 'a';
    check_equal(account_create(account, slice_of(deep, 2 * MAILBOX_DEPTH_MAX + 1), 0), -EINVAL);
    check_equal(account_create(account, slice_of(deep, 2 * MAILBOX_DEPTH_MAX - 1), 0), 0);
    check_equal(account_delete(account, SLICE("a/a")), 0);
    check(account_mailbox(account, SLICE("a/a")) == NULL);
    check(account_mailbox(account, SLICE("a/a/a")) != NULL);
    for (unsigned i = 2 * MAILBOX_DEPTH_MAX - 1; i > 3; i -= 2)
        check_equal(account_delete(account, slice_of(deep, i)), 0);
    check_equal(account_delete(account, SLICE("a")), 0);
}

static void names_body(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    check_names(account, "Drafts INBOX Junk Sent Trash ");
    refused_names(account);
    check_equal(account_create(account, SLICE("x/y/z"), MAILBOX_USE_ARCHIVE), 0);
    check_names(account, "Drafts INBOX Junk Sent Trash x x/y x/y/z ");
    uint32_t first = uidvalidity_of(account, "x/y/z");
    check_equal(append(core, find(account, "x/y/z"), TEXT_1, 0, 0), 1);
    check_equal(account_rename(account, SLICE("x"), SLICE("new/x")), 0);
    check_names(account, "Drafts INBOX Junk Sent Trash new new/x new/x/y new/x/y/z ");
    check_equal(uidvalidity_of(account, "new/x/y/z"), first);
    struct mailbox *held = find(account, "new/x/y/z");
    struct view view = {0};
    check_equal(view_open(account, held, false, &view), 0);
    check_equal(account_delete(account, SLICE("new/x/y/z")), 0);
    check(view_mailbox_deleted(&view));
    check_equal(view.count, 1);
    view_close(&view);
    check_equal(account_create(account, SLICE("new/x/y/z"), 0), 0);
    check(uidvalidity_of(account, "new/x/y/z") > first);
    check(account_subscribed(account, SLICE("inbox")));
    check(!account_subscribed(account, SLICE("new")));
    check_equal(account_subscribe(account, SLICE("not/there"), true), 0);
    check_equal(account_subscribe(account, SLICE("Junk"), false), 0);

    /* INBOX is emptied, never renamed away (RFC 9051 6.3.6). */
    append(core, find(account, "INBOX"), TEXT_1, MAIL_SEEN, 0);
    append(core, find(account, "INBOX"), TEXT_2, 0, 0);
    check_equal(view_open(account, find(account, "INBOX"), false, &view), 0);
    check_equal(account_rename(account, SLICE("INBOX"), SLICE("Old/inbox")), 0);
    check_update(&view, true, "-1/1 -1/2 ");
    view_close(&view);
    check_equal(append(core, find(account, "INBOX"), TEXT_1, 0, 0), 3);
    account_close(account);
}

static void names_again(struct core *core)
{
    struct account *account = open_account(core, user_here(core));
    check_names(account, "Drafts INBOX Junk Old Old/inbox Sent Trash new new/x new/x/y "
                         "new/x/y/z ");
    check_equal(mailbox_special_use(find(account, "new/x/y/z")), MAILBOX_USE_NONE);
    check(account_subscribed(account, SLICE("not/there")));
    check(!account_subscribed(account, SLICE("Junk")));
    check(account_subscribed(account, SLICE("Trash")));
    struct view view = {0};
    check_equal(view_open(account, find(account, "Old/inbox"), false, &view), 0);
    check_equal(view.count, 2);
    check_text(view.mailbox, view_entry(&view, 2), TEXT_2);
    check_equal(view_entry(&view, 1)->flags, MAIL_SEEN);
    view_close(&view);
    struct mailbox_status status;
    check_equal(mailbox_status(find(account, "INBOX"), &status), 0);
    check_equal(status.messages, 1);
    check_equal(status.uidnext, 4); /* I21 */
    account_close(account);
}

static void names(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 1, names_body);
    live(directory, 1, names_again);
    directory_remove(directory);
}

/* ---------------------------------------------------------------- several shards */

enum { USERS = 12 };

static void shards_body(struct core *core)
{
    struct delivery deliveries[USERS + 1];
    char users[USERS][8];
    for (unsigned i = 0; i < USERS; i++) {
        snprintf(users[i], sizeof users[i], "u%u@x", i);
        deliveries[i] = (struct delivery){slice_cstr(users[i]), SLICE("INBOX"), 1};
    }
    deliveries[USERS] = deliveries[0];
    for (unsigned round = 0; round < 20; round++)
        check_equal(store_deliver(core, body_of(core, SLICE(TEXT_1)), SLICE("<a@b>"), deliveries,
                                  USERS + 1),
                    0);
    fiber_sleep(core, 300000000);
}

static int shards_check(struct core *core, void *argument)
{
    struct account *account;
    struct view view = {0};
    check_equal(account_open(core, slice_cstr(argument), &account), 0);
    check_equal(view_open(account, find(account, "INBOX"), true, &view), 0);
    check_equal(view.count, 20);
    for (unsigned i = 1; i <= view.count; i++)
        check_text(view.mailbox, view_entry(&view, i), TEXT_1);
    view_close(&view);
    account_close(account);
    return 0;
}

static void shards_again(struct core *core)
{
    for (unsigned i = 0; i < USERS; i++) {
        char user[8];
        snprintf(user, sizeof user, "u%u@x", i);
        unsigned home = store_home_core(core, slice_cstr(user));
        check_equal(core_call(core, home, shards_check, user), 0);
    }
}

/* D14: the number of shards is the store's, not the caller's; F11: that of cores may change. */
static void shards(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 2, shards_body);
    live(directory, 2, shards_again);
    live(directory, 1, shards_again);
    live_as((struct life){.directory = directory, .body = shards_again, .shards = 7}, 3);
    directory_remove(directory);
}

static void identity_write(const char *directory, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/identity", directory);
    FILE *file = fopen(path, "w");
    check(file != NULL);
    fputs(text, file);
    check_equal(fclose(file), 0);
}

static void identity(void **state)
{
    (void)state;
    const char *directory = directory_new();
    live(directory, 1, shards_body);
    struct life life = {.directory = directory, .shards = 3, .want = -EPROTO};
    identity_write(directory, "ringpost store 2\nwhatever\n");
    live_as(life, 1);
    life.want = -EBADMSG;
    identity_write(directory, "ringpost store 1\nid 1\nshards 3\nchecksum 0\n");
    live_as(life, 1);
    identity_write(directory, "");
    live_as(life, 1);
    directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivery), cmocka_unit_test(views),  cmocka_unit_test(copies),
        cmocka_unit_test(names),    cmocka_unit_test(shards), cmocka_unit_test(identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
