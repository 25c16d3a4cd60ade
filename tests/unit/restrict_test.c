/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The restrictions of a ring on the real kernel: entries and registrations that kernel.h does not
 * name are refused, those it names are not (rows F09, R11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"

struct opened {
    struct kernel *kernel;
    struct io_uring ring;
};

static void open_ring_for(struct opened *opened, bool connects)
{
    struct kernel_ring_options options = {
        .sq_entries = 8, .cq_entries = 64, .slots = 8, .connects = connects};
    assert_int_equal(kernel_linux_create(&opened->kernel), 0);
    assert_true(kernel_ring_open(opened->kernel, &opened->ring, &options) >= 0);
}

static void open_ring(struct opened *opened)
{
    open_ring_for(opened, false);
}

static void close_ring(struct opened *opened)
{
    kernel_ring_close(opened->kernel, &opened->ring);
    kernel_linux_destroy(opened->kernel);
}

static struct io_uring_sqe *entry(struct opened *opened)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&opened->ring);
    assert_non_null(sqe);
    return sqe;
}

/* What the one entry in the queue ends with. */
static int outcome(struct opened *opened)
{
    assert_true(kernel_ring_enter(opened->kernel, &opened->ring, 1, 1000000000) >= 0);
    struct io_uring_cqe *cqe;
    assert_int_equal(io_uring_peek_cqe(&opened->ring, &cqe), 0);
    int result = cqe->res;
    io_uring_cqe_seen(&opened->ring, cqe);
    return result;
}

static bool is_named(unsigned opcode)
{
#define OPERATION(name) IORING_OP_##name,
    static const uint8_t operations[] = {KERNEL_OPERATIONS(OPERATION)};
    return memchr(operations, (int)opcode, sizeof operations) != NULL;
}

/* F09: forbidden opcode. */
static void operations(void **state)
{
    (void)state;
    struct opened opened;
    open_ring(&opened);
    unsigned refused = 0;
    for (unsigned opcode = 0; opcode < IORING_OP_LAST; opcode++) {
        struct io_uring_sqe *sqe = entry(&opened);
        io_uring_prep_rw((int)opcode, sqe, -1, NULL, 0, 0);
        int result = outcome(&opened);
        if (is_named(opcode))
            assert_int_not_equal(result, -EACCES);
        else
            assert_int_equal(result, -EACCES);
        refused += result == -EACCES;
    }
    assert_int_equal(refused, IORING_OP_LAST - 17);
    close_ring(&opened);
}

/* What an attacker would want, done properly. */
static void attempts(void **state)
{
    (void)state;
    struct opened opened;
    struct statx there;
    open_ring(&opened);
    io_uring_prep_statx(entry(&opened), AT_FDCWD, "/", 0, STATX_TYPE, (void *)&there);
    assert_int_equal(outcome(&opened), -EACCES);
    io_uring_prep_socket(entry(&opened), AF_INET, SOCK_STREAM, 0, 0);
    assert_int_equal(outcome(&opened), -EACCES);
    io_uring_prep_openat_direct(entry(&opened), AT_FDCWD, "/dev/null", O_RDONLY, 0, 1);
    assert_int_equal(outcome(&opened), 0); /* is named: what it may open, landlock says */
    io_uring_prep_nop(entry(&opened));
    assert_int_equal(outcome(&opened), 0);
    close_ring(&opened);
}

/* A ring that may connect takes these three more, and still no others. */
static void connecting(void **state)
{
    (void)state;
    struct opened opened;
    open_ring_for(&opened, true);
    unsigned refused = 0;
    for (unsigned opcode = 0; opcode < IORING_OP_LAST; opcode++) {
        io_uring_prep_rw((int)opcode, entry(&opened), -1, NULL, 0, 0);
        refused += outcome(&opened) == -EACCES;
    }
    assert_int_equal(refused, IORING_OP_LAST - 20);
    io_uring_prep_socket_direct_alloc(entry(&opened), AF_INET, SOCK_STREAM, 0, 0);
    int slot = outcome(&opened);
    assert_true(slot >= KERNEL_SLOTS_HELD);
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct io_uring_sqe *sqe = entry(&opened);
    io_uring_prep_connect(sqe, slot, (struct sockaddr *)&nobody, sizeof nobody);
    sqe->flags |= IOSQE_FIXED_FILE;
    assert_int_equal(outcome(&opened), -ECONNREFUSED);
    close_ring(&opened);
}

static void flags(void **state)
{
    (void)state;
    struct opened opened;
    open_ring(&opened);
    static const uint8_t flags[] = {IOSQE_IO_DRAIN, IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_ASYNC,
                                    IOSQE_CQE_SKIP_SUCCESS};
    for (size_t i = 0; i < sizeof flags; i++) {
        struct io_uring_sqe *sqe = entry(&opened);
        io_uring_prep_nop(sqe);
        sqe->flags = flags[i];
        assert_int_equal(outcome(&opened), -EACCES);
    }
    close_ring(&opened);
}

static void registrations(void **state)
{
    (void)state;
    struct opened opened;
    open_ring(&opened);
    int event = eventfd(0, 0), null = open("/dev/null", O_RDONLY);
    assert_true(event >= 0 && null >= 0);
    assert_int_equal(io_uring_register_eventfd(&opened.ring, event), -EACCES);
    assert_int_equal(io_uring_register_personality(&opened.ring), -EACCES);
    assert_int_equal(io_uring_unregister_files(&opened.ring), -EACCES);
    struct io_uring_restriction all = {.opcode = IORING_RESTRICTION_SQE_OP,
                                       .sqe_op = IORING_OP_SOCKET};
    assert_int_equal(io_uring_register_restrictions(&opened.ring, &all, 1), -EACCES);
    assert_int_equal(kernel_slot_register(opened.kernel, &opened.ring, 0, null), 0);
    close(null);
    close(event);
    close_ring(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations), cmocka_unit_test(attempts),      cmocka_unit_test(connecting),
        cmocka_unit_test(flags),      cmocka_unit_test(registrations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
