/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Config files as texts in a test, and what is to be said about them.
 */
#include "config_text.h"

char config_folder[40];
static char path[200];

void write_named(const char *name, const void *data, size_t size)
{
    char file_path[300];
    snprintf(file_path, sizeof file_path, "%s/%s", config_folder, name);
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

struct config *load_bytes(const void *data, size_t size)
{
    write_named("test.conf", data, size);
    struct config *config = config_load(path);
    assert_non_null(config);
    return config;
}

struct config *load(const char *text)
{
    return load_bytes(text, strlen(text));
}

/* The text has exactly the problem, on that line. */
void expect(const char *text, unsigned line, const char *what)
{
    struct config *config = load(text);
    bool found = config->problem_count == 1 && config->problems[0].place.line == line &&
                 strstr(config->problems[0].what, what) != NULL;
    if (!found) {
        print_error("for: %s\nexpected line %u: %s\n", text, line, what);
        for (unsigned i = 0; i < config->problem_count && i < CONFIG_PROBLEMS_MAX; i++)
            print_error("got %s:%u: %s\n", config->problems[i].place.file,
                        config->problems[i].place.line, config->problems[i].what);
    }
    assert_true(found);
    config_free(config);
}

/* One more line below a good config. */
void expect_line(const char *text, const char *what)
{
    char whole[4096];
    snprintf(whole, sizeof whole, "%s%s\n", GOOD, text);
    expect(whole, 5, what);
}

void expect_good(const char *text)
{
    struct config *config = load(text);
    for (unsigned i = 0; i < config->problem_count && i < CONFIG_PROBLEMS_MAX; i++)
        print_error("for: %s\ngot %u: %s\n", text, config->problems[i].place.line,
                    config->problems[i].what);
    assert_int_equal(config->problem_count, 0);
    config_free(config);
}

int config_folder_make(void **state)
{
    (void)state;
    snprintf(config_folder, sizeof config_folder, "/tmp/ringpost-config-XXXXXX");
    if (mkdtemp(config_folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/test.conf", config_folder);
    return 0;
}

int config_folder_remove(void **state)
{
    (void)state;
    static const char *const names[] = {"test.conf", "domain.conf", "bad.conf", "empty.conf"};
    char name[300];
    for (int i = 1; i < CONFIG_INCLUDE_DEPTH_MAX; i++) {
        snprintf(name, sizeof name, "%s/deep%d.conf", config_folder, i);
        unlink(name);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", config_folder, names[i]);
        unlink(name);
    }
    return rmdir(config_folder);
}
