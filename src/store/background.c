/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a shard does by itself: a checkpoint when the log has grown, lists dropped when they are
 * over the budget, couriers that found no stack started again. One fiber a shard, which ends with
 * it.
 */
#include "store_private.h"

enum { COMPACT_PERCENT = 50 };
static const uint64_t TICK_NS = UINT64_C(1000000000), FAILED_NS = UINT64_C(10000000000);
static const uint64_t SEGMENT_BYTES = UINT64_C(67108864), TAIL_BYTES_MAX = UINT64_C(536870912);

/* How much log may lie behind the checkpoint: replaying it is what a start waits for; writing the
 * checkpoint costs its own size. */
static uint64_t tail_bytes(const struct shard *shard)
{
    uint32_t segment = shard->store->options.segment_bytes;
    uint64_t bytes = segment ? segment : SEGMENT_BYTES;
    if (bytes < 2 * shard->checkpoint.size)
        bytes = 2 * shard->checkpoint.size;
    return bytes < TAIL_BYTES_MAX ? bytes : TAIL_BYTES_MAX;
}

static bool over_budget(const struct shard *shard)
{
    uint64_t bytes_max = shard->store->options.index_bytes_max;
    return bytes_max > 0 && mailboxes_bytes(shard) > bytes_max;
}

/* 0, or -errno: not at once again. */
static int tend(struct shard *shard)
{
    int result = 0;
    if (over_budget(shard))
        mailboxes_evict(shard, shard->store->options.index_bytes_max);
    if (shard->bytes_since >= tail_bytes(shard) || (over_budget(shard) && shard->bytes_since > 0)) {
        result = checkpoint_write(shard);
        if (result == 0 && over_budget(shard))
            mailboxes_evict(shard, shard->store->options.index_bytes_max);
    }
    if (result == 0 || result == -ENOSPC) /* which is what heals a full disk */
        result = shard_compact(shard, COMPACT_PERCENT);
    return result;
}

static void background(void *argument)
{
    struct shard *shard = argument;
    while (!shard->is_closing) {
        couriers_start(shard);
        uint64_t wait_ns = tend(shard) < 0 ? FAILED_NS : TICK_NS;
        if (!shard->is_closing)
            waiters_wait(shard->core, &shard->wake, core_now_ns(shard->core) + wait_ns);
    }
    if (--shard->background == 0)
        waiters_wake_all(shard->core, &shard->background_ended);
}

int background_start(struct shard *shard)
{
    int result = fiber_start(shard->core, background, shard);
    if (result == 0)
        shard->background++;
    return result;
}
