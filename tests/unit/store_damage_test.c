/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store on files that were tampered with between two lives, on the real kernel: rows D06, D11
 * and D17 of the list of bad input; and its tools, which say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_life.h"

enum { MESSAGES = 300 };

static void text_of(unsigned number, char text[64])
{
    snprintf(text, 64, "Subject: %u\r\n\r\nMessage number %u.\r\n", number, number);
}

static void live_one_shard(const char *directory, void (*body)(struct core *core),
                           uint64_t index_bytes_max)
{
    live_as(
        (struct life){
            .directory = directory, .body = body, .shards = 1, .index_bytes_max = index_bytes_max},
        1);
}

static void write_body(struct core *core)
{
    struct account *account = open_account(core, "a@x");
    struct mailbox *inbox = find(account, "INBOX");
    for (unsigned i = 1; i <= MESSAGES; i++) {
        char text[64];
        text_of(i, text);
        check_equal(append(core, inbox, text, i % 3 ? 0 : MAIL_SEEN, 0), i);
    }
    uint32_t gone[] = {10, 20, 299};
    check_equal(mailbox_expunge(inbox, gone, 3), 0);
    account_close(account);
}

static void check_nothing(struct core *core)
{
    account_close(open_account(core, "a@x"));
}

/* Everything as it was written; `damaged` counts messages that cannot be read. */
static unsigned check_all(struct core *core)
{
    struct account *account = open_account(core, "a@x");
    struct view view = {0};
    unsigned damaged = 0;
    check_equal(view_open(account, find(account, "INBOX"), false, &view), 0);
    check_equal(view.count, MESSAGES - 3);
    for (uint32_t i = 1, uid = 0; i <= view.count; i++) {
        char text[64], is[100];
        struct mail_entry entry = *view_entry(&view, i);
        uid += uid + 1 == 10 || uid + 1 == 20 || uid + 1 == 299 ? 2 : 1;
        check_equal(entry.uid, uid);
        check_equal(entry.flags, uid % 3 ? 0 : MAIL_SEEN);
        text_of(uid, text);
        int64_t size = message_read(view.mailbox, &entry, 0, is, sizeof is);
        if (size == -EBADMSG) {
            damaged++;
            continue;
        }
        check_equal(size, strlen(text));
        check(memcmp(is, text, strlen(text)) == 0);
    }
    view_close(&view);
    account_close(account);
    return damaged;
}

static void check_body(struct core *core)
{
    check_equal(check_all(core), 0);
}

/* The path of the shard's file. */
static void path_of(const char *directory, const char *name, char path[256])
{
    char pattern[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/shard-0000-*/%s", directory, name);
    check_equal(glob(pattern, 0, NULL, &found), 0);
    snprintf(path, 256, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static char *load(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    check(file != NULL);
    check_equal(fseek(file, 0, SEEK_END), 0);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*ret_size + 1);
    check(data != NULL && fread(data, 1, *ret_size, file) == *ret_size);
    fclose(file);
    return data;
}

static void save(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    check(file != NULL && fwrite(data, 1, size, file) == size);
    check_equal(fclose(file), 0);
}

/* D06: a checkpoint that was cut, flipped at many places, is older, or is nonsense. Whatever it
 * says, the log's word counts. */
static void checkpoints(void **state)
{
    (void)state;
    char path[256];
    size_t size, old_size;
    const char *directory = directory_new();
    live_one_shard(directory, check_nothing, 0);
    path_of(directory, "checkpoint", path);
    char *old = load(path, &old_size);
    live_one_shard(directory, write_body, 0);
    char *good = load(path, &size);
    live_one_shard(directory, check_body, 0);
    save(path, old, old_size);
    live_one_shard(directory, check_body, 1);
    for (unsigned i = 0; i < 12; i++) {
        save(path, good, size * i / 12);
        live_one_shard(directory, check_body, i % 2);
    }
    for (unsigned i = 0; i < 24; i++) {
        char *bad = load(path, &size);
        size_t at = i < 12 ? i * 8 : size / 24 * i + i;
        bad[at] = (char)(bad[at] ^ (1 << i % 8));
        save(path, bad, size);
        free(bad);
        live_one_shard(directory, check_body, i % 2);
    }
    memset(good, 'x', size);
    save(path, good, size);
    live_one_shard(directory, check_body, 0);
    check_equal(unlink(path), 0);
    live_one_shard(directory, check_body, 0);
    free(good);
    free(old);
    directory_remove(directory);
}

static void said(void *argument, const char *line)
{
    check(line[0] != '\0');
    ++*(unsigned *)argument;
}

static void damaged_body(struct core *core)
{
    struct store_report report;
    unsigned lines = 0;
    check_equal(check_all(core), 1);
    check_equal(store_verify(core, &report, said, &lines), 0);
    check_equal(report.damaged, 1);
    check_equal(report.messages, MESSAGES - 3);
    check(lines > 0 && report.records > MESSAGES);
}

static void whole_body(struct core *core)
{
    struct store_report report;
    check_equal(store_verify(core, &report, NULL, NULL), 0);
    check_equal(report.damaged, 0);
    check_equal(report.accounts, 1);
    check_equal(report.mailboxes, 5);
    check_equal(store_stat(core, &report), 0);
    check_equal(report.messages, MESSAGES - 3);
    check(report.bytes_live > 0 && report.bytes > report.bytes_live);
}

/* D11: one message's bytes are wrong: that message only. */
static void one_message(void **state)
{
    (void)state;
    char path[256], text[64];
    size_t size;
    const char *directory = directory_new();
    live_one_shard(directory, write_body, 0);
    live_one_shard(directory, whole_body, 0);
    path_of(directory, "0000000001.log", path);
    char *log = load(path, &size);
    text_of(123, text);
    char *at = memmem(log, size, text, strlen(text));
    check(at != NULL);
    at[20] ^= 1;
    save(path, log, size);
    free(log);
    live_one_shard(directory, damaged_body, 0);
    live_one_shard(directory, damaged_body, 0);
    directory_remove(directory);
}

/* ---------------------------------------------------------------- compaction */

static void thin_out(struct core *core)
{
    struct account *account = open_account(core, "a@x");
    struct mailbox *inbox = find(account, "INBOX");
    char *text = malloc(20001);
    check(text != NULL);
    memset(text, 'y', 20000);
    text[20000] = '\0';
    uint32_t uids[MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++)
        uids[i] = append(core, inbox, text, 0, 0);
    struct store_report before, after;
    check_equal(store_stat(core, &before), 0);
    check_equal(mailbox_expunge(inbox, uids, MESSAGES), 0);
    check_equal(store_compact(core, 50), 0);
    check_equal(store_stat(core, &after), 0);
    check(after.bytes < before.bytes / 2);
    check_equal(check_all(core), 0);
    check_equal(store_verify(core, &after, NULL, NULL), 0);
    check_equal(after.damaged, 0);
    free(text);
    account_close(account);
}

static void compaction(void **state)
{
    (void)state;
    char path[256];
    const char *directory = directory_new();
    live_one_shard(directory, write_body, 0);
    live_one_shard(directory, thin_out, 0);
    live_one_shard(directory, check_body, 0);
    path_of(directory, "checkpoint", path);
    check_equal(unlink(path), 0); /* the log alone, its first segments gone */
    live_one_shard(directory, check_body, 0);
    live_one_shard(directory, thin_out, 1);
    check_equal(unlink(path), 0);
    live_one_shard(directory, check_body, 1);
    directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(one_message),
        cmocka_unit_test(compaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
