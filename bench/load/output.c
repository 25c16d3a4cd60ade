/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files of results: FILE.part is written and renamed to FILE, so that a reader never sees half of
 * one, and a full disk leaves an older result as it was.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "result.h"

int output_open(struct output *output, const char *path, FILE *out)
{
    struct stat known;
    *output = (struct output){.path = path};
    if (path == NULL)
        return 0;
    if (strcmp(path, "-") == 0) {
        output->file = out;
        return 0;
    }
    bool is_there = stat(path, &known) == 0;
    if (is_there && S_ISDIR(known.st_mode))
        return -EISDIR;
    if (!is_there || S_ISREG(known.st_mode)) {
        int size = snprintf(output->part, sizeof output->part, "%s.part", path);
        if (size < 0 || (size_t)size >= sizeof output->part)
            return -ENAMETOOLONG;
    }
    if (is_there && access(path, W_OK) < 0)
        return -errno;
    output->file = fopen(*output->part != '\0' ? output->part : path, "we");
    return output->file != NULL ? 0 : -errno;
}

int output_finish(struct output *output, const char *text, size_t size)
{
    if (output->file == NULL)
        return 0;
    bool is_ours = strcmp(output->path, "-") != 0, is_written;
    errno = 0;
    is_written = fwrite(text, 1, size, output->file) == size && fflush(output->file) == 0;
    int error = is_written ? 0 : errno != 0 ? errno : EIO;
    if (is_ours && fclose(output->file) != 0 && error == 0)
        error = errno;
    output->file = NULL;
    if (*output->part == '\0')
        return -error;
    if (error == 0 && rename(output->part, output->path) < 0)
        error = errno;
    if (error != 0)
        unlink(output->part);
    return -error;
}

void output_drop(struct output *output)
{
    if (output->file == NULL || strcmp(output->path, "-") == 0)
        return;
    fclose(output->file);
    output->file = NULL;
    if (*output->part != '\0')
        unlink(output->part);
}
