/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The smallest store that can be right: records of one sector in one file, acknowledged when they
 * are durable, through crashes in a row. It shows that the disk model keeps its promises, and with
 * a planted bug, that it does not promise more.
 *
 *   record: its number, a sum of it; the n-th at sector n
 *
 * The file has two names by turns: each life gives it the other one, since the present name may be
 * lost for good (a sync of its directory failed in an earlier life) though it is still seen.
 *
 * Oracle: after each crash every acknowledged record is there. A write that fails ends the life
 * (fail-stop), as the rules of a log ask for.
 */
#include <fcntl.h>
#include <stdio.h>

#include "scenarios.h"

enum { SECTOR = 512, RECORDS_MAX = 200, LIVES = 8 };

enum bug { BUG_NONE, BUG_EARLY, BUG_NAMELESS };

struct store {
    struct sim *sim;
    enum bug bug;
    uint32_t next, acknowledged; /* records 0 .. acknowledged-1 */
    uint32_t life_records;
    const struct sim_case *one;
};

static uint64_t sum_of(uint64_t number)
{
    return (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static int sync_directories(struct core *core)
{
    static const char *const directories[] = {"/", "/disk"};
    for (int i = 0; i < 2; i++) {
        int fd = await_open(core, directories[i], O_RDONLY | O_DIRECTORY, 0);
        int result = fd < 0 ? fd : await_fsync(core, fd, false);
        if (fd >= 0)
            await_close(core, fd);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Reads what is there; a record is there when its sum is right. */
static int recover(struct core *core, struct store *store, int fd)
{
    _Alignas(SECTOR) uint64_t record[SECTOR / 8];
    int result = await_fsync(core, fd, false); /* what is seen now must not vanish later */
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < store->next; i++) {
        result = await_read(core, fd, record, SECTOR, (uint64_t)i * SECTOR);
        if (result < 0)
            return result;
        bool is_there = result == SECTOR && record[0] == i && record[1] == sum_of(i);
        if (!is_there && i < store->acknowledged) {
            sim_fail(store->sim, "record %u of %u is lost", i, store->acknowledged);
            return -EBADMSG;
        }
    }
    return 0;
}

static int append(struct core *core, struct store *store, int fd)
{
    _Alignas(SECTOR) uint64_t record[SECTOR / 8] = {store->next, sum_of(store->next)};
    int flags = store->bug == BUG_EARLY ? 0 : RWF_DSYNC;
    uint32_t number = store->next++;
    int result = await_write(core, fd, record, SECTOR, (uint64_t)number * SECTOR, flags);
    if (result != SECTOR)
        return result < 0 ? result : -EIO;
    store->acknowledged = store->next;
    return 0;
}

static int open_records(struct core *core)
{
    static const char *const names[] = {"/disk/records", "/disk/records.other"};
    for (int i = 0; i < 2; i++) {
        int result = await_rename(core, names[i], names[1 - i]);
        if (result == 0)
            return await_open(core, names[1 - i], O_RDWR | O_DIRECT, 0600);
        if (result != -ENOENT)
            return result;
    }
    return await_open(core, names[0], O_RDWR | O_CREAT | O_DIRECT, 0600);
}

static int life(struct core *core, void *argument)
{
    struct store *store = argument;
    int fd = open_records(core);
    if (fd < 0)
        return fd;
    int result = store->bug == BUG_NAMELESS ? 0 : sync_directories(core);
    if (result == 0)
        result = recover(core, store, fd);
    for (uint32_t i = 0; result == 0 && i < store->life_records; i++)
        if (store->next < RECORDS_MAX && sim_case_step(store->one, store->next))
            result = append(core, store, fd);
    await_close(core, fd);
    return result;
}

static int run(const struct sim_case *one, enum bug bug, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    struct sim *sim = sim_create(&options);
    struct store store = {.sim = sim, .bug = bug, .one = one};
    sim_directory_make(sim, "/disk");
    for (int i = 0; i < LIVES && sim_failure(sim) == NULL; i++) {
        if (i == LIVES - 1)
            sim_heal(sim);
        if (sim_start(sim) < 0)
            continue;
        store.life_records = sim_below(sim, RECORDS_MAX / LIVES);
        if (i < LIVES - 1)
            sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                            1 + sim_below(sim, 400));
        int result = sim_run(sim, 0, life, &store);
        if (i == LIVES - 1 && result != 0)
            sim_fail(sim, "healed, but the last life ended with %d", result);
        if (sim_is_up(sim))
            sim_crash(sim, SIM_POWER_CUT);
        store.next = store.next > store.acknowledged ? store.acknowledged : store.next;
    }
    return sim_case_end(sim, why, why_size);
}

int scenario_disk(const struct sim_case *one, char *why, size_t why_size)
{
    return run(one, BUG_NONE, why, why_size);
}

int scenario_disk_early(const struct sim_case *one, char *why, size_t why_size)
{
    return run(one, BUG_EARLY, why, why_size);
}

int scenario_disk_nameless(const struct sim_case *one, char *why, size_t why_size)
{
    return run(one, BUG_NAMELESS, why, why_size);
}
