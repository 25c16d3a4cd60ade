/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading results back: a file of JSON, bounded, and of a kind and format that is known here.
 */
#include "page_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FORMAT = 1 };

static int read_all(FILE *file, struct text *out, char problem[200])
{
    char block[65536];
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0 && out->error == 0) {
        text_bytes(out, block, size);
        if (out->size > PAGE_INPUT_BYTES_MAX)
            out->error = -EFBIG;
    }
    if (ferror(file))
        out->error = -EIO;
    if (out->error == -EFBIG)
        snprintf(problem, 200, "is larger than %d MiB", PAGE_INPUT_BYTES_MAX >> 20);
    else if (out->error != 0)
        snprintf(problem, 200, "cannot be read: %s", strerror(-out->error));
    return out->error;
}

static int check(const json_t *input, char problem[200])
{
    struct slice tool = member_string(input, "tool");
    if (!slice_equal(tool, SLICE("ringpost-bench")) &&
        !slice_equal(tool, SLICE("ringpost-suite"))) {
        snprintf(problem, 200, "is no result of ringpost-bench (\"tool\" is missing)");
        return -EINVAL;
    }
    if (member_number(input, "format") != FORMAT) {
        snprintf(problem, 200,
                 "is of a format that this version does not know (\"format\" is not %d)", FORMAT);
        return -EINVAL;
    }
    return 0;
}

int page_read(const char *path, json_t **ret_input, char problem[200])
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL) {
        int error = -errno;
        snprintf(problem, 200, "cannot be opened: %s", strerror(-error));
        return error;
    }
    struct text content = {0};
    int error = read_all(file, &content, problem);
    if (file != stdin)
        fclose(file);
    if (error == 0) {
        json_error_t where;
        json_t *input =
            json_loadb(content.size ? content.data : "", content.size, JSON_ALLOW_NUL, &where);
        if (input == NULL) {
            snprintf(problem, 200, "is no JSON (line %d, column %d)", where.line, where.column);
            error = -EINVAL;
        } else if ((error = check(input, problem)) != 0) {
            json_decref(input);
        } else {
            *ret_input = input;
        }
    }
    text_free(&content);
    return error;
}

bool page_is_suite(const json_t *input)
{
    return slice_equal(member_string(input, "tool"), SLICE("ringpost-suite"));
}

int page_draw(json_t *input, struct text *out)
{
    return page_is_suite(input) ? page_suite(input, out) : page_run(input, out);
}
