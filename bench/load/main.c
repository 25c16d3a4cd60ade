/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The program ringpost-bench: scenarios (drive.c), and what is done with their results: compare,
 * page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "drive.h"
#include "options.h"
#include "page.h"
#include "result.h"

static const char version[] = RINGPOST_VERSION;

static void show_all(FILE *file)
{
    fputs("usage: ringpost-bench SCENARIO --target HOST:PORT [options]\n"
          "       ringpost-bench compare A.json B.json ... [--html FILE] [--json FILE]\n"
          "       ringpost-bench page SUITE.json|RUN.json --html FILE\n\n"
          "Measures a mail server, any one; scenarios:\n\n",
          file);
    for (unsigned i = 0; load_scenarios[i] != NULL; i++)
        fprintf(file, "  %-9s %s\n", load_scenarios[i]->name, load_scenarios[i]->summary);
    fputs("\n  ringpost-bench SCENARIO --help    its options\n"
          "  ringpost-bench --version\n",
          file);
}

/* Files, and the options --html and --json. */
struct files {
    const char *names[PAGE_RUNS_MAX];
    unsigned count;
    const char *html, *json;
};

static int read_files(const char *command, int argc, char *const *argv, struct files *files)
{
    for (int i = 2; i < argc; i++) {
        bool is_html = strcmp(argv[i], "--html") == 0, is_json = strcmp(argv[i], "--json") == 0;
        if ((is_html || is_json) && i + 1 < argc) {
            *(is_html ? &files->html : &files->json) = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            complain("%s takes files, --html FILE and --json FILE; not %.60s", command, argv[i]);
            return BENCH_USAGE;
        } else if (files->count == PAGE_RUNS_MAX) {
            complain("%s takes at most %d files", command, PAGE_RUNS_MAX);
            return BENCH_USAGE;
        } else {
            files->names[files->count++] = argv[i];
        }
    }
    if (files->count > 0)
        return BENCH_OK;
    complain("%s wants files that --json has written", command);
    return BENCH_USAGE;
}

/* Writes what `made` says went well. */
static int write_file(const char *path, const char *text, size_t size, int made, FILE *out)
{
    struct output output;
    int result = made < 0 ? made : output_open(&output, path, out);
    if (result == 0)
        result = output_finish(&output, text, size);
    if (result < 0)
        complain("%s: not written: %s", path, strerror(-result));
    return result < 0 ? BENCH_ERRORS : BENCH_OK;
}

static int load_runs(const struct files *files, bool may_be_suite, json_t **runs)
{
    char problem[200] = "";
    for (unsigned i = 0; i < files->count; i++) {
        if (page_read(files->names[i], &runs[i], problem) < 0) {
            complain("%s: %s", files->names[i], problem);
            return BENCH_ERRORS;
        }
        if (!may_be_suite && page_is_suite(runs[i])) {
            complain("%s: a suite; compare takes single runs", files->names[i]);
            return BENCH_ERRORS;
        }
    }
    return BENCH_OK;
}

static int write_comparison(const struct files *files, json_t *const *runs, FILE *out)
{
    struct text text = {.data = NULL};
    int status = BENCH_OK, result = compare_print(runs, files->names, files->count, &text);
    bool to_stdout = (files->json != NULL && strcmp(files->json, "-") == 0) ||
                     (files->html != NULL && strcmp(files->html, "-") == 0);
    if (result == 0 && !to_stdout)
        fwrite(text.data, 1, text.size, out);
    text_free(&text);
    if (files->html != NULL) {
        struct text page = {.data = NULL};
        result = page_compare(runs, files->names, files->count, &page);
        status |= write_file(files->html, page.data, page.size, result, out);
        text_free(&page);
    }
    if (files->json != NULL) {
        json_t *object = compare_json(runs, files->names, files->count);
        char *dump = object != NULL ? json_dumps(object, JSON_INDENT(1)) : NULL;
        status |= write_file(files->json, dump, dump != NULL ? strlen(dump) : 0,
                             dump != NULL ? 0 : -ENOMEM, out);
        free(dump);
        json_decref(object);
    }
    return status;
}

static int compare(int argc, char *const *argv, FILE *out)
{
    struct files files = {.count = 0};
    json_t *runs[PAGE_RUNS_MAX] = {NULL};
    int status = read_files("compare", argc, argv, &files);
    if (status == BENCH_OK)
        status = load_runs(&files, false, runs);
    if (status == BENCH_OK)
        status = write_comparison(&files, runs, out);
    for (unsigned i = 0; i < files.count; i++)
        json_decref(runs[i]);
    return status;
}

static int page(int argc, char *const *argv, FILE *out)
{
    struct files files = {.count = 0};
    json_t *input = NULL;
    struct text text = {.data = NULL};
    int status = read_files("page", argc, argv, &files);
    if (status == BENCH_OK && (files.count > 1 || files.html == NULL || files.json != NULL)) {
        complain("page wants one file, and --html FILE");
        status = BENCH_USAGE;
    }
    if (status == BENCH_OK)
        status = load_runs(&files, true, &input);
    if (status == BENCH_OK) {
        int result = page_draw(input, &text);
        status = write_file(files.html, text.data, text.size, result, out);
    }
    text_free(&text);
    json_decref(input);
    return status;
}

static int run_scenario(int argc, char *const *argv, FILE *out)
{
    const char *suggestion;
    const struct load_scenario *scenario = options_scenario(argv[1], &suggestion);
    if (scenario == NULL) {
        complain("there is no scenario \"%.60s\"%s%s%s; see ringpost-bench --help", argv[1],
                 suggestion != NULL ? "; did you mean " : "", suggestion != NULL ? suggestion : "",
                 suggestion != NULL ? "?" : "");
        return BENCH_USAGE;
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options_help(scenario, out);
            return BENCH_OK;
        }
    return drive(scenario, argc, argv, version, out);
}

/* The standard output that results go to; what libraries print on descriptor 1 joins the standard
 * error from now on. */
static FILE *take_output(void)
{
    int fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || dup2(2, 1) < 0)
        return stdout;
    FILE *out = fdopen(fd, "w");
    return out != NULL ? out : stdout;
}

int main(int argc, char **argv)
{
    FILE *out = take_output();
    const char *command = argc > 1 ? argv[1] : "";
    int status = BENCH_OK;
    if (argc < 2) {
        show_all(stderr);
        return BENCH_USAGE;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0)
        show_all(out);
    else if (strcmp(command, "--version") == 0)
        fprintf(out, "ringpost-bench %s\n", version);
    else if (strcmp(command, "compare") == 0)
        status = compare(argc, argv, out);
    else if (strcmp(command, "page") == 0)
        status = page(argc, argv, out);
    else
        status = run_scenario(argc, argv, out);
    if (fflush(out) != 0 && status == BENCH_OK) {
        complain("standard output: %s", strerror(errno));
        status = BENCH_ERRORS;
    }
    return status;
}
