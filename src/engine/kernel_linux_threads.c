/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the process has once: two pools of helper threads with a bounded queue of work each (one
 * computes, one waits for directories: a directory that does not answer must not hold up password
 * hashes), and one thread that writes log lines to standard output. The output may be a pipe that
 * nobody reads, and it may be shared with other processes, so that it must not be made
 * non-blocking: a thread of its own waits instead, behind a bounded buffer.
 *
 *   kernel_help ─▶ queue ─▶ helper: work(), finished()        kernel_log_write ─▶ buffer ─▶ writer:
 * write(1)
 *
 * Invariant: all fields of `process` are read and written under its lock. It is the one static
 * variable of the engine.
 */
#include "kernel_linux.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/kernel.h"

enum {
    HELPERS_COMPUTING = 2,
    HELPERS_WAITING = 8,
    HELPERS = HELPERS_COMPUTING + HELPERS_WAITING,
    WORK_MAX = 256,            /* in each pool's queue */
    STACK_WIPED_BYTES = 65536, /* below a helper's frame, after each piece of work: 2 us */
    LOG_BYTES_MAX = 262144,
    LOG_GATHER_BYTES_MAX = LOG_BYTES_MAX / 4, /* then the writer waits no longer */
    LOG_GATHER_NS = 20000000,                 /* for more lines: a wake-up a line costs 3 us */
    END_SECONDS = 2
};

struct work {
    void (*work)(void *argument);
    void (*finished)(void *argument);
    void *argument;
};

struct pool {
    pthread_cond_t work_came;
    struct work work[WORK_MAX];
    unsigned first, count;
};

static struct process {
    pthread_mutex_t lock;
    pthread_cond_t lines_came, lines_many, lines_gone;
    unsigned users;
    bool ending;
    pthread_t helpers[HELPERS], writer;
    struct pool pools[KERNEL_HELP_COUNT];
    char *lines; /* gathered while the writer writes the last batch */
    size_t lines_size;
    bool writing;
} process = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .pools = {[KERNEL_HELP_COMPUTES].work_came = PTHREAD_COND_INITIALIZER,
              [KERNEL_HELP_WAITS].work_came = PTHREAD_COND_INITIALIZER},
    .lines_came = PTHREAD_COND_INITIALIZER,
    .lines_many = PTHREAD_COND_INITIALIZER,
    .lines_gone = PTHREAD_COND_INITIALIZER,
};

/* Passwords and keys may have lain on the stack of what has just returned. */
__attribute__((noinline)) static void wipe_stack(void)
{
    char below[STACK_WIPED_BYTES];
    explicit_bzero(below, sizeof below);
}

static void *helper_thread(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&process.lock);
    for (;;) {
        while (pool->count == 0 && !process.ending)
            pthread_cond_wait(&pool->work_came, &process.lock);
        if (pool->count == 0)
            break;
        struct work work = pool->work[pool->first];
        pool->first = (pool->first + 1) % WORK_MAX;
        pool->count--;
        pthread_mutex_unlock(&process.lock);
        work.work(work.argument);
        wipe_stack();
        work.finished(work.argument);
        pthread_mutex_lock(&process.lock);
    }
    pthread_mutex_unlock(&process.lock);
    return NULL;
}

static void write_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, data, size);
        if (written < 0 && errno == EAGAIN) { /* somebody else made it non-blocking */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
}

/* Under the lock, which is given up meanwhile. */
static void gather_lines(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOG_GATHER_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (process.lines_size < LOG_GATHER_BYTES_MAX && !process.ending)
        if (pthread_cond_timedwait(&process.lines_many, &process.lock, &until) != 0)
            break;
}

static void *writer_thread(void *argument)
{
    char *batch = argument;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
    for (;;) {
        pthread_mutex_lock(&process.lock);
        process.writing = false;
        if (process.lines_size == 0)
            pthread_cond_broadcast(&process.lines_gone);
        int state;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        while (process.lines_size == 0 && !process.ending)
            pthread_cond_wait(&process.lines_came, &process.lock);
        gather_lines();
        pthread_setcancelstate(state, NULL);
        size_t size = process.lines_size;
        char *data = process.lines;
        process.lines = batch;
        process.lines_size = 0;
        process.writing = true;
        pthread_mutex_unlock(&process.lock);
        batch = data;
        if (size == 0)
            break;
        write_all(batch, size);
    }
    free(batch);
    return NULL;
}

/* Without signals: they are the main thread's business. */
static int thread_begin(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int threads_begin(void)
{
    int result = 0;
    pthread_mutex_lock(&process.lock);
    if (process.users == 0) {
        process.ending = false;
        process.lines = malloc(LOG_BYTES_MAX);
        char *batch = malloc(LOG_BYTES_MAX);
        if (process.lines == NULL || batch == NULL)
            result = -ENOMEM;
        if (result == 0)
            result = thread_begin(&process.writer, writer_thread, batch);
        for (int i = 0; i < HELPERS && result == 0; i++)
            result = thread_begin(
                &process.helpers[i], helper_thread,
                &process.pools[i < HELPERS_COMPUTING ? KERNEL_HELP_COMPUTES : KERNEL_HELP_WAITS]);
    }
    if (result == 0)
        process.users++;
    pthread_mutex_unlock(&process.lock);
    return result; /* after a failure the program ends: what was begun is left */
}

/* Gives the writer a while; a reader of our output who never reads does not keep us from ending. */
static void writer_end(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_SECONDS;
    pthread_mutex_lock(&process.lock);
    while (process.lines_size > 0 || process.writing)
        if (pthread_cond_timedwait(&process.lines_gone, &process.lock, &until) != 0)
            break;
    bool is_stuck = process.lines_size > 0 || process.writing;
    process.ending = true;
    pthread_cond_broadcast(&process.lines_came);
    pthread_cond_broadcast(&process.lines_many);
    for (int i = 0; i < KERNEL_HELP_COUNT; i++)
        pthread_cond_broadcast(&process.pools[i].work_came);
    pthread_mutex_unlock(&process.lock);
    if (is_stuck)
        pthread_cancel(process.writer);
    pthread_join(process.writer, NULL);
}

void threads_end(void)
{
    pthread_mutex_lock(&process.lock);
    bool is_last = --process.users == 0;
    pthread_mutex_unlock(&process.lock);
    if (!is_last)
        return;
    writer_end();
    for (int i = 0; i < HELPERS; i++)
        pthread_join(process.helpers[i], NULL);
    free(process.lines);
    process.lines = NULL;
    process.lines_size = 0;
    process.writing = false;
}

int kernel_help(struct kernel *kernel, enum kernel_help which, void (*work)(void *),
                void (*finished)(void *), void *argument)
{
    (void)kernel;
    struct pool *pool = &process.pools[which];
    int result = 0;
    pthread_mutex_lock(&process.lock);
    if (pool->count == WORK_MAX) {
        result = -EAGAIN;
    } else {
        unsigned end = (pool->first + pool->count++) % WORK_MAX;
        pool->work[end] = (struct work){work, finished, argument};
        pthread_cond_signal(&pool->work_came);
    }
    pthread_mutex_unlock(&process.lock);
    return result;
}

int kernel_log_write(struct kernel *kernel, const void *data, size_t size)
{
    (void)kernel;
    pthread_mutex_lock(&process.lock);
    if (size > LOG_BYTES_MAX - process.lines_size)
        size = 0; /* never a part of a batch: lines of several cores must not mix */
    memcpy(process.lines + process.lines_size, data, size);
    process.lines_size += size;
    if (size > 0 && process.lines_size == size)
        pthread_cond_signal(&process.lines_came);
    if (process.lines_size >= LOG_GATHER_BYTES_MAX)
        pthread_cond_signal(&process.lines_many);
    pthread_mutex_unlock(&process.lock);
    return size > 0 ? (int)size : -EAGAIN;
}
