/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The same small program on the real kernel and on the simulator: what each operation of kernel.h
 * answers, errors first of all, must be the transcript below. (That streams and fibers behave alike
 * is shown by stream_test and engine_test, which run on both too.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "harness.h"
#include "ringpost/kernel.h"
#include "ringpost/stream.h"

struct transcript {
    char text[8192];
    size_t size;
    char directory[64];
};

static void say(struct transcript *transcript, const char *what, int64_t result)
{
    int size =
        snprintf(transcript->text + transcript->size, sizeof transcript->text - transcript->size,
                 "%s %lld\n", what, (long long)result);
    transcript->size += (size_t)size;
    check(transcript->size < sizeof transcript->text);
}

/* Descriptors differ: only that there is one. */
static int say_fd(struct transcript *transcript, const char *what, int fd)
{
    say(transcript, what, fd < 0 ? fd : 1);
    return fd;
}

static const char *in(const struct transcript *transcript, const char *name, char *ret_path)
{
    snprintf(ret_path, 128, "%s/%s", transcript->directory, name);
    return ret_path;
}

static void paths(struct core *core, struct transcript *transcript)
{
    struct kernel *kernel = core_kernel(core);
    char a[128], b[128];
    say(transcript, "directory", kernel_directory_make(kernel, transcript->directory, 0700));
    say(transcript, "again", kernel_directory_make(kernel, transcript->directory, 0700));
    say_fd(transcript, "open none", await_open(core, in(transcript, "none", a), O_RDWR, 0));
    say_fd(transcript, "open in none",
           await_open(core, in(transcript, "no/ne", a), O_RDWR | O_CREAT, 0600));
    int fd = say_fd(transcript, "create",
                    await_open(core, in(transcript, "one", a), O_RDWR | O_CREAT | O_EXCL, 0600));
    say_fd(transcript, "create again", await_open(core, a, O_RDWR | O_CREAT | O_EXCL, 0600));
    say_fd(transcript, "as directory", await_open(core, a, O_RDONLY | O_DIRECTORY, 0));
    say_fd(transcript, "write directory", await_open(core, transcript->directory, O_RDWR, 0));
    say(transcript, "make over file", kernel_directory_make(kernel, a, 0700));
    say(transcript, "rename none", await_rename(core, in(transcript, "none", b), a));
    say(transcript, "rename", await_rename(core, a, in(transcript, "two", b)));
    say(transcript, "rename same", await_rename(core, b, b));
    say(transcript, "unlink old", await_unlink(core, a));
    say(transcript, "unlink directory", await_unlink(core, transcript->directory));
    say(transcript, "write", await_write(core, fd, "12345", 5, 0, 0));
    say(transcript, "unlink", await_unlink(core, b));
    char data[8] = {0};
    say(transcript, "read unlinked", await_read(core, fd, data, sizeof data, 0));
    say(transcript, "close", await_close(core, fd));
    say(transcript, "close again", await_close(core, fd));
    say(transcript, "read closed", await_read(core, fd, data, sizeof data, 0));
    int directory = say_fd(transcript, "directory",
                           await_open(core, transcript->directory, O_RDONLY | O_DIRECTORY, 0));
    say(transcript, "sync", await_fsync(core, directory, false));
    say(transcript, "read", await_read(core, directory, data, sizeof data, 0));
    await_close(core, directory);
    say(transcript, "make inner",
        kernel_directory_make(kernel, in(transcript, "inner/most", a), 0700));
    fd = await_open(core, in(transcript, "inner/most/file", a), O_RDWR | O_CREAT, 0600);
    say(transcript, "close", await_close(core, fd));
    say(transcript, "rename directory",
        await_rename(core, in(transcript, "inner/most", a), in(transcript, "outer", b)));
    fd = say_fd(transcript, "moved along",
                await_open(core, in(transcript, "outer/file", a), O_RDWR, 0));
    await_close(core, fd);
    say(transcript, "rename into full",
        await_rename(core, in(transcript, "inner", a), in(transcript, "outer", b)));
    say(transcript, "rename file over directory",
        await_rename(core, in(transcript, "outer/file", a), in(transcript, "inner", b)));
    say(transcript, "rename directory over file",
        await_rename(core, in(transcript, "inner", a), in(transcript, "outer/file", b)));
    await_unlink(core, b);
}

static void content(struct core *core, struct transcript *transcript)
{
    char a[128], data[32];
    uint64_t size = 0;
    int fd = say_fd(transcript, "create",
                    await_open(core, in(transcript, "three", a), O_RDWR | O_CREAT, 0600));
    say(transcript, "read empty", await_read(core, fd, data, 10, 0));
    say(transcript, "write hole", await_write(core, fd, "abc", 3, 10000, 0));
    say(transcript, "read hole", await_read(core, fd, data, 10, 5000));
    say(transcript, "is zero", data[0] == 0 && data[9] == 0);
    say(transcript, "read over end", await_read(core, fd, data, 10, 10001));
    say(transcript, "is bc", data[0] == 'b' && data[1] == 'c');
    say(transcript, "read past end", await_read(core, fd, data, 10, 20000));
    say(transcript, "fallocate", await_fallocate(core, fd, 0, 65536));
    kernel_file_size(core_kernel(core), fd, &size);
    say(transcript, "size", (int64_t)size);
    say(transcript, "fallocate within", await_fallocate(core, fd, 0, 4096));
    kernel_file_size(core_kernel(core), fd, &size);
    say(transcript, "size", (int64_t)size);
    say(transcript, "dsync", await_write(core, fd, "x", 1, 0, RWF_DSYNC));
    int other = say_fd(transcript, "open", await_open(core, a, O_RDONLY, 0));
    say(transcript, "write to read-only", await_write(core, other, "x", 1, 0, 0));
    say(transcript, "read", await_read(core, other, data, 1, 0));
    say(transcript, "is x", data[0] == 'x');
    await_close(core, other);
    other = say_fd(transcript, "truncate", await_open(core, a, O_WRONLY | O_TRUNC, 0));
    say(transcript, "read from write-only", await_read(core, other, data, 1, 0));
    kernel_file_size(core_kernel(core), fd, &size);
    say(transcript, "size", (int64_t)size);
    await_close(core, other);
    await_close(core, fd);
    await_unlink(core, a);
}

static void locks(struct core *core, struct transcript *transcript)
{
    char a[128];
    in(transcript, "lock", a);
    int fd = say_fd(transcript, "lock", kernel_file_lock(core_kernel(core), a));
    say_fd(transcript, "lock again", kernel_file_lock(core_kernel(core), a));
    say(transcript, "close", await_close(core, fd));
    fd = say_fd(transcript, "lock", kernel_file_lock(core_kernel(core), a));
    say(transcript, "hold", core_hold_fd(core, fd));
    say(transcript, "close", await_close(core, fd));
    say_fd(transcript, "lock again", kernel_file_lock(core_kernel(core), a));
    await_unlink(core, a);
}

struct ended {
    struct op op;
    struct core *core;
    struct fiber *fiber;
    int result;
};

static void ended_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct ended *ended = (struct ended *)op;
    ended->result = result;
    if (ended->fiber != NULL)
        fiber_wake(ended->core, ended->fiber);
}

static int wait_for(struct ended *ended)
{
    if (op_busy(&ended->op)) {
        ended->fiber = fiber_current(ended->core);
        fiber_park(ended->core);
    }
    ended->fiber = NULL;
    return ended->result;
}

static void slots(struct core *core, struct transcript *transcript)
{
    struct ended one = {.op.done = ended_done, .core = core}, two = one;
    char data[8];
    op_recv(core, &one.op, 40, data, sizeof data, false);
    say(transcript, "receive on a free slot", wait_for(&one));
    op_close_slot(core, &one.op, 40);
    say(transcript, "close a free slot", wait_for(&one));
    op_cancel(core, &one.op, &two.op);
    say(transcript, "cancel nothing", wait_for(&one));
    int fd =
        say_fd(transcript, "listen", kernel_listen_tcp(core_kernel(core), "127.0.0.1", 20017, 10));
    op_accept(core, &two.op, fd);
    fiber_sleep(core, 20000000);
    op_cancel(core, &one.op, &two.op);
    say(transcript, "cancel", wait_for(&one));
    say(transcript, "the accept", wait_for(&two));
    op_nop(core, &one.op);
    say(transcript, "nop", wait_for(&one));
    say(transcript, "close", await_close(core, fd));
}

static int body(struct core *core, void *argument)
{
    struct transcript *transcript = argument;
    paths(core, transcript);
    content(core, transcript);
    locks(core, transcript);
    slots(core, transcript);
    harness_stop(core);
    return 0;
}

static const char *const expected =
    "directory 0\nagain 0\nopen none -2\nopen in none -2\ncreate 1\ncreate again -17\n"
    "as directory -20\nwrite directory -21\nmake over file -20\nrename none -2\nrename 0\n"
    "rename same 0\nunlink old -2\nunlink directory -21\nwrite 5\nunlink 0\nread unlinked 5\n"
    "close 0\nclose again -9\nread closed -9\ndirectory 1\nsync 0\nread -21\n"
    "make inner 0\nclose 0\nrename directory 0\nmoved along 1\nrename into full -39\n"
    "rename file over directory -21\nrename directory over file -20\n"
    "create 1\nread empty 0\nwrite hole 3\nread hole 10\nis zero 1\nread over end 2\nis bc 1\n"
    "read past end 0\nfallocate 0\nsize 65536\nfallocate within 0\nsize 65536\ndsync 1\nopen 1\n"
    "write to read-only -9\nread 1\nis x 1\ntruncate 1\nread from write-only -9\nsize 0\n"
    "lock 1\nlock again -11\nclose 0\nlock 1\nhold 0\nclose 0\nlock again -11\n"
    "receive on a free slot -9\nclose a free slot -9\ncancel nothing -2\nlisten 1\ncancel 0\n"
    "the accept -125\nnop 0\nclose 0\n";

static void conformance(void **state)
{
    (void)state;
    struct engine_options options = {1, 100, 16, 8, 65536};
    struct transcript transcript = {.size = 0};
    snprintf(transcript.directory, sizeof transcript.directory, "/tmp/conformance.%d",
             (int)getpid());
    check_equal(harness_run(&options, body, &transcript), 0);
    if (!harness_is_simulated()) {
        char path[128];
        rmdir(in(&transcript, "inner", path));
        rmdir(in(&transcript, "outer", path));
        rmdir(transcript.directory);
    }
    assert_string_equal(transcript.text, expected);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(conformance)};
    return cmocka_run_group_tests_name("conformance", all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
