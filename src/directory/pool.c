/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections that wait for the next question, and the helper threads' own waiting.
 *
 * A pool is eight words. Taking exchanges a word for NULL, giving writes into a word that is NULL:
 * no list, so nothing can be taken twice, and no lock. Whoever finds none opens one; whoever finds
 * no room closes his.
 *
 * The clock and poll(2) are used here and nowhere else outside the engine: directories answer on
 * helper threads, to libraries that block; the simulator has doubles of directories instead.
 */
#include "directory_private.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

void *pool_take(struct pool *pool)
{
    for (unsigned i = 0; i < POOL_MAX; i++) {
        void *taken = __atomic_exchange_n(&pool->idle[i], NULL, __ATOMIC_ACQ_REL);
        if (taken != NULL)
            return taken;
    }
    return NULL;
}

bool pool_give(struct pool *pool, void *connection)
{
    for (unsigned i = 0; i < POOL_MAX; i++) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&pool->idle[i], &none, connection, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

uint64_t clock_ms(void)
{
    struct timespec now;
    /* tidy: allow call because a helper thread that blocks has no core to ask */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int clock_left_ms(uint64_t until_ms)
{
    uint64_t now = clock_ms();
    return now >= until_ms ? 0 : (int)(until_ms - now);
}

int wait_fd(int fd, bool for_writing, uint64_t until_ms)
{
    struct pollfd poller = {.fd = fd, .events = for_writing ? POLLOUT : POLLIN};
    for (;;) {
        int left = clock_left_ms(until_ms);
        if (left == 0)
            return -ETIMEDOUT;
        /* tidy: allow call because a helper thread waits here, never a core */
        int count = poll(&poller, 1, left);
        if (count > 0 || (count < 0 && errno != EINTR))
            return 0; /* an error shows in what comes next */
    }
}
