/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions: their text at every cut, sets against a slow one, and the keeper with a file, whose
 * backends are doubles (control_double.h). The latter on the real kernel and on the simulator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "../../src/control/exception_private.h"
#include "control_double.h"
#include "harness.h"
#include "line_client.h"
#include "ringpost/kernel.h"

/* ---------------------------------------------------------------- text */

struct parsed {
    char text[1000];
    size_t size;
};

static bool collect(void *argument, unsigned number, struct slice line)
{
    struct parsed *parsed = argument;
    struct slice user, backend;
    const char *why = line.data == NULL ? "too long" : exception_line_parse(line, &user, &backend);
    int size = why != NULL
                   ? snprintf(parsed->text + parsed->size, sizeof parsed->text - parsed->size,
                              "%u:%.10s;", number, why)
                   : snprintf(parsed->text + parsed->size, sizeof parsed->text - parsed->size,
                              "%u:%.*s>%.*s;", number, (int)user.size, user.data,
                              user.size == 0 ? 0 : (int)backend.size, backend.data);
    parsed->size += (size_t)size;
    return true;
}

static void text_at_every_cut(void **state)
{
    (void)state;
    static const char text[] =
        "a@b x1\r\n\n # c d e f\n\tu@v\tmail/x2 \na@b\na b c\nA@b x\n\xff@b x\n"
        "u@v x\x01y\nlast@b z";
    static const char want[] =
        "1:a@b>x1;2:>;3:>;4:u@v>mail/x2;5:a line is ;6:a line is ;7:users are ;"
        "8:this is no;9:this is no;10:last@b>z;";
    for (size_t cut = 0; cut < sizeof text; cut++)
        for (size_t piece = 1; piece < 4; piece++) {
            struct parsed parsed = {.size = 0};
            struct exception_lines lines = {.each = collect, .argument = &parsed};
            check(exception_lines_feed(&lines, slice_of(text, cut), false));
            for (size_t at = cut; at < sizeof text - 1; at += piece)
                check(exception_lines_feed(
                    &lines, slice_first(slice_of(text + at, sizeof text - 1 - at), piece), false));
            check(exception_lines_feed(&lines, SLICE(""), true));
            assert_string_equal(parsed.text, want);
        }
}

static void text_bounds(void **state)
{
    (void)state;
    char text[3 * EXCEPTION_LINE_BYTES_MAX];
    memset(text, 'x', sizeof text);
    for (unsigned size = EXCEPTION_LINE_BYTES_MAX - 1; size < EXCEPTION_LINE_BYTES_MAX + 3;
         size++) {
        struct parsed parsed = {.size = 0};
        struct exception_lines lines = {.each = collect, .argument = &parsed};
        check(exception_lines_feed(&lines, slice_of(text, size), false));
        check(exception_lines_feed(&lines, SLICE("\na@b x\n"), true));
        assert_string_equal(parsed.text, size <= EXCEPTION_LINE_BYTES_MAX ? "1:a line is ;2:a@b>x;"
                                                                          : "1:too long;2:a@b>x;");
    }
    check(exception_user_check(slice_of(text, AUTH_USER_BYTES_MAX)) == NULL);
    check(exception_user_check(slice_of(text, AUTH_USER_BYTES_MAX + 1)) != NULL);
    check(exception_backend_check(slice_of(text, EXCEPTION_BACKEND_BYTES_MAX)) == NULL);
    check(exception_backend_check(slice_of(text, EXCEPTION_BACKEND_BYTES_MAX + 1)) != NULL);
}

static void places(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path; /* path NULL: refused */
    } rows[] = {
        {"file:/var/lib/x", "/var/lib/x"},
        {"FILE:/x", "/x"},
        {"file:", NULL},
        {"file:x", "x"},
        {"/var/lib/x", NULL},
        {"", NULL},
        {"redis://localhost", ""},
        {"redis://10.0.0.1:7000/3", ""},
        {"redis://[2001:db8::1]:7000/", ""},
        {"redis://h:0/", NULL},
        {"redis://h:65536/", NULL},
        {"redis://h:1/x", NULL},
        {"redis://:6379/1", NULL},
        {"redis:h", NULL},
        {"redis://user@h/1", ""},
        {"redis://:secret@h/1", NULL},
        {"redis://user:secret@h/1", NULL},
        {"redis://@h/1", NULL},
        {"redis://a@b@h/1", NULL},
        {"redis://h:1/1000001", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice path;
        const char *why = exception_place_check(slice_cstr(rows[i].text), &path);
        check((why == NULL) == (rows[i].path != NULL));
        check(rows[i].path == NULL || slice_equal(path, slice_cstr(rows[i].path)));
    }
    struct exception_redis_address address;
    check(exception_redis_parse(SLICE("redis://[2001:db8::1]:7000/9"), &address) == NULL);
    assert_string_equal(address.host, "2001:db8::1");
    assert_string_equal(address.user, "");
    check_equal(address.port, 7000);
    check_equal(address.database, 9);
    check(exception_redis_parse(SLICE("redis://gate@[2001:db8::1]"), &address) == NULL);
    assert_string_equal(address.host, "2001:db8::1");
    assert_string_equal(address.user, "gate");
    check_equal(address.port, 6379);
}

/* ---------------------------------------------------------------- sets */

static uint64_t chance = 1;

static unsigned below(unsigned n)
{
    chance = hash_u64(chance + 0x9e3779b97f4a7c15u);
    return (unsigned)(chance % n);
}

static void sets(void **state)
{
    (void)state;
    enum { USERS = 300, STEPS = 30000 };
    static char model[USERS][20];
    memset(model, 0, sizeof model);
    struct exception_set set;
    exception_set_init(&set, &(struct hash_key){1, 2});
    check(exception_set_find(&set, SLICE("u1")).data == NULL);
    unsigned live = 0;
    for (int i = 0; i < STEPS; i++) {
        unsigned user = below(USERS);
        char name[20], backend[20] = "";
        snprintf(name, sizeof name, "u%u", user);
        if (below(3) > 0)
            snprintf(backend, sizeof backend, "b%u", below(50));
        check_equal(exception_set_put(&set, slice_cstr(name), slice_cstr(backend)), 0);
        live = live + (*backend != '\0') - (*model[user] != '\0');
        memcpy(model[user], backend, sizeof backend);
        check_equal(set.live, live);
    }
    uint32_t at = 0;
    unsigned seen = 0;
    struct slice user, backend;
    for (; exception_set_next(&set, &at, &user, &backend); seen++) {
        uint64_t number;
        check(slice_number(slice_from(user, 1), USERS - 1, &number));
        check(slice_equal(slice_cstr(model[number]), backend));
        check(slice_equal(exception_set_find(&set, user), backend));
    }
    check_equal(seen, live);
    exception_set_free(&set);
}

/* ---------------------------------------------------------------- the keeper */

enum { TEXT_BYTES = 4000 };

/* Real time is not spent where less does: what a look finds is done well before the next one. */
static unsigned look_ms(void)
{
    return harness_is_simulated() ? 1000 : 100;
}

static void wait_looks(struct core *core, unsigned looks)
{
    fiber_sleep(core, (uint64_t)looks * look_ms() * 1000000);
}

/* For what does not wait for a look: virtual time shows that. */
static void wait_again(struct core *core)
{
    fiber_sleep(core, harness_is_simulated() ? 500000000 : 300000000);
}

static char directory[100], path[120];
static uint64_t stamp_now; /* of the double; 0: none is asked for */

static uint64_t stamp(const char *of)
{
    check(strcmp(of, path) == 0);
    return __atomic_load_n(&stamp_now, __ATOMIC_RELAXED);
}

static int open_keeper(struct core *core)
{
    char place[200];
    snprintf(place, sizeof place, "file:%s", path);
    struct exception_keeper_options options = {
        .place = slice_cstr(place),
        .path = path,
        .look_ms = look_ms(),
        .stamp = stamp_now != 0 ? stamp : NULL,
    };
    return exception_keeper_open(core, &options);
}

/* At once, as an editor does it: a look in between would see half. */
static void put_file(struct core *core, const char *text)
{
    char beside[140];
    snprintf(beside, sizeof beside, "%s.edited", path);
    int fd = await_open(core, beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0);
    check_equal(await_write(core, fd, text, strlen(text), 0, 0), (int)strlen(text));
    check_equal(await_close(core, fd), 0);
    check_equal(await_rename(core, beside, path), 0);
}

static void get_file(struct core *core, char text[TEXT_BYTES])
{
    int fd = await_open(core, path, O_RDONLY, 0);
    check(fd >= 0);
    int size = await_read(core, fd, text, TEXT_BYTES - 1, 0);
    check(size >= 0);
    text[size] = '\0';
    await_close(core, fd);
}

static void expect_record(const char *pattern)
{
    char text[TEXT_BYTES];
    double_record(text, sizeof text);
    if (!client_is_like(text, pattern)) {
        fprintf(stderr, "is:   %s\nwant: %s\n", text, pattern);
        harness_failed(__FILE__, __LINE__, "something else was done");
    }
}

static void expect_file(struct core *core, const char *want)
{
    char text[TEXT_BYTES];
    get_file(core, text);
    if (strcmp(text, want) != 0) {
        fprintf(stderr, "is:   %s\nwant: %s\n", text, want);
        harness_failed(__FILE__, __LINE__, "another file");
    }
}

struct run {
    void (*body)(struct core *core);
};

static int run_ready(struct core *core, void *argument)
{
    struct run *run = argument;
    if (core_index(core) != 0)
        return 0;
    check_equal(kernel_directory_make(core_kernel(core), directory, 0700), 0);
    await_unlink(core, path);
    run->body(core);
    exception_keeper_close(core);
    await_unlink(core, path);
    harness_stop(core);
    return 0;
}

static void run_with(void (*body)(struct core *core))
{
    struct engine_options options = {.core_count = 2,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 20,
                                     .stack_bytes = 65536};
    struct run run = {.body = body};
    snprintf(directory, sizeof directory,
             harness_is_simulated() ? "/exceptions" : "/tmp/exception_test.%d", (int)getpid());
    snprintf(path, sizeof path, "%s/users", directory);
    double_reset();
    stamp_now = 0;
    check_equal(harness_run(&options, run_ready, &run), 0);
    if (!harness_is_simulated())
        rmdir(directory);
}

static void looks_body(struct core *core)
{
    put_file(core, "# moved\nu@mail.test b1\nv@mail.test mail/b2\n");
    double_session(1, "w@mail.test", 0, 0);
    check_equal(open_keeper(core), 0);
    expect_record("set u@mail.test b1 0; set v@mail.test mail/b2 0; "); /* nobody is ended */
    wait_looks(core, 4);
    expect_record(""); /* the same: nothing to do */
    put_file(core, "v@mail.test mail/b1\nw@mail.test b2\n");
    wait_looks(core, 4);
    expect_record("set v@mail.test mail/b1 3000; kick v@mail.test  0; kick v@mail.test  1; "
                  "set w@mail.test b2 3000; kick w@mail.test  0; kick w@mail.test  1; "
                  "set u@mail.test  0; ");
    check_equal(double_alive(), 0);
    put_file(core, "v@mail.test nowhere\n"); /* is where he would be, and told */
    wait_looks(core, 4);
    expect_record("set v@mail.test  0; set w@mail.test  0; ");
}

static void looks(void **state)
{
    (void)state;
    run_with(looks_body);
}

/* N03 */
static void mistakes_body(struct core *core)
{
    put_file(core, "u@mail.test b1\nwhat is this\nu@mail.test b2\n");
    check_equal(open_keeper(core), -EINVAL);
    expect_record(""); /* not half of it */
    put_file(core, "u@mail.test b1\n");
    check_equal(open_keeper(core), 0);
    expect_record("set u@mail.test b1 0; ");
    put_file(core, "u@mail.test b2\nv@mail.test\n");
    wait_looks(core, 4);
    expect_record(""); /* what was known stays */
    check_equal(exception_keeper_keep(core, SLICE("w@mail.test"), SLICE("b1")), -EBADMSG);
    expect_file(core, "u@mail.test b2\nv@mail.test\n");
    put_file(core, "u@mail.test b2\nu@mail.test b3\n");
    wait_looks(core, 4);
    expect_record("");
    put_file(core, "u@mail.test b2\n");
    wait_looks(core, 4);
    expect_record("set u@mail.test b2 3000; *");
}

/* A backend that comes with a reload takes those who were sent to it before. */
static void again_body(struct core *core)
{
    put_file(core, "u@mail.test mail/b4\nv@mail.test b1\nw@mail.test mail/b4\n");
    check_equal(open_keeper(core), 0);
    expect_record("set v@mail.test b1 0; ");
    exception_keeper_again(core);
    wait_again(core);
    expect_record("set u@mail.test  0; set w@mail.test  0; ");
    check_equal(exception_keeper_keep(core, SLICE("w@mail.test"), SLICE("b1")), 0);
    double_fourth(true);
    exception_keeper_again(core);
    wait_again(core);
    expect_record("set u@mail.test mail/b4 3000; kick u@mail.test  0; kick u@mail.test  1; ");
    exception_keeper_again(core);
    wait_again(core);
    expect_record("");
}

static void again(void **state)
{
    (void)state;
    run_with(again_body);
}

static void mistakes(void **state)
{
    (void)state;
    run_with(mistakes_body);
}

static void keeps_body(struct core *core)
{
    check_equal(open_keeper(core), 0); /* no file: nobody is elsewhere */
    check_equal(exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("mail/b1")), 0);
    expect_file(core, "u@mail.test mail/b1\n");
    put_file(core, "# by hand\n\nu@mail.test   b1\n# v\nv@mail.test b2");
    wait_looks(core, 4);
    expect_record("set u@mail.test b1 3000; *set v@mail.test b2 3000; *");
    check_equal(exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("mail/b2")), 0);
    expect_file(core, "# by hand\n\nu@mail.test mail/b2\n# v\nv@mail.test b2\n");
    check_equal(exception_keeper_keep(core, SLICE("w@mail.test"), SLICE("b1")), 0);
    check_equal(exception_keeper_keep(core, SLICE("v@mail.test"), SLICE("")), 0);
    check_equal(exception_keeper_keep(core, SLICE("x@mail.test"), SLICE("")), 0);
    expect_file(core, "# by hand\n\nu@mail.test mail/b2\n# v\nw@mail.test b1\n");
    wait_looks(core, 4);
    expect_record(""); /* what we kept is known: the next look finds no difference */
    check_equal(exception_keeper_keep(core, SLICE("a b"), SLICE("b1")), -EINVAL);
    check_equal(exception_keeper_keep(core, SLICE("a@b\nc@d"), SLICE("b1")), -EINVAL);
    check_equal(exception_keeper_keep(core, SLICE("a@b"), SLICE("b1 b2")), -EINVAL);
    exception_keeper_close(core);
    check_equal(open_keeper(core), 0); /* the next life */
    expect_record("set u@mail.test mail/b2 0; set w@mail.test b1 0; ");
}

static void keeps(void **state)
{
    (void)state;
    run_with(keeps_body);
}

/* More than one piece is read and written. */
static void large_body(struct core *core)
{
    enum { USERS = 2500, BYTES = 100000 };
    char *text = calloc(1, BYTES);
    size_t size = 0;
    for (unsigned i = 0; i < USERS; i++)
        size +=
            (size_t)snprintf(text + size, BYTES - size, "user-number-%u@mail.test mail/b2\n", i);
    check(size > 65536);
    put_file(core, text);
    check_equal(open_keeper(core), 0);
    char backend[100];
    double_exception("user-number-2499@mail.test", backend, sizeof backend);
    check(strcmp(backend, "mail/b2") == 0);
    check_equal(exception_keeper_keep(core, SLICE("user-number-1@mail.test"), SLICE("b1")), 0);
    exception_keeper_close(core);
    check_equal(open_keeper(core), 0);
    double_exception("user-number-1@mail.test", backend, sizeof backend);
    check(strcmp(backend, "b1") == 0);
    double_exception("user-number-2498@mail.test", backend, sizeof backend);
    check(strcmp(backend, "mail/b2") == 0);
    free(text);
}

static void large(void **state)
{
    (void)state;
    run_with(large_body);
}

/* The file is read only when its stamp is another. */
static void stamps_body(struct core *core)
{
    stamp_now = 7;
    put_file(core, "u@mail.test b1\n");
    check_equal(open_keeper(core), 0);
    put_file(core, "u@mail.test b2\n");
    wait_looks(core, 4);
    expect_record("set u@mail.test b1 0; ");
    __atomic_store_n(&stamp_now, 8, __ATOMIC_RELAXED);
    wait_looks(core, 4);
    expect_record("set u@mail.test b2 3000; *");
    __atomic_store_n(&stamp_now, 9, __ATOMIC_RELAXED);
    put_file(core, "u@mail.test\n");
    wait_looks(core, 5);
    put_file(core, "u@mail.test b1\n"); /* with mistakes it is not read again and again either */
    wait_looks(core, 4);
    expect_record("");
}

static void stamps(void **state)
{
    (void)state;
    run_with(stamps_body);
}

static void absent_body(struct core *core)
{
    snprintf(path, sizeof path, "%s/none/users", directory);
    check_equal(open_keeper(core), 0);
    check(exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("b1")) < 0);
    exception_keeper_close(core);
    check_equal(exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("b1")), 0); /* none */
    snprintf(path, sizeof path, "%s/users", directory);
    put_file(core, "u@mail.test b1\n");
    check_equal(open_keeper(core), 0);
    check_equal(await_unlink(core, path), 0); /* a file that went away names nobody */
    wait_looks(core, 4);
    expect_record("set u@mail.test b1 0; set u@mail.test  0; ");
}

static void absent(void **state)
{
    (void)state;
    run_with(absent_body);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(text_at_every_cut),
        cmocka_unit_test(text_bounds),
        cmocka_unit_test(places),
        cmocka_unit_test(sets),
        cmocka_unit_test(looks),
        cmocka_unit_test(again),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(keeps),
        cmocka_unit_test(large),
        cmocka_unit_test(stamps),
        cmocka_unit_test(absent),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
