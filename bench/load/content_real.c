/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Real messages: a folder (each regular file in it a message), a maildir (those in cur and new), an
 * mbox, or one file. They are read once, in the order of their names, and used in turn. What a
 * message may not hold on its way (RFC 5322, section 2.3) is put right, so that whoever accepts
 * mail accepts these:
 *
 *   LF or CR alone           becomes CRLF
 *   NUL                      becomes "?"
 *   a line over 998 bytes    is broken: by CRLF, and in the header by CRLF and a blank
 *   no empty line            the whole is the header
 *   no CRLF at the end       is added
 *   From_ line in front      is left out; in an mbox, ">From" at the beginning of a line loses its
 *                            ">" (what ">>From" means is the same with one ">" more: mboxrd)
 *   a mark of an earlier run is left out
 *
 * All else is kept as it is, whether or not it is right: 8 bits, broken MIME, header fields without
 * a colon. Limits: LOAD_MESSAGE_BYTES_MAX a message, CONTENT_MODELS_MAX messages, 2 GiB in all.
 */
#include "content_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "ringpost/hash.h"

/* ---------------------------------------------------------------- one message */

/* A message while it is copied. `room` is enough for what lines and breaks add. */
struct copy {
    char *data;
    size_t size;
    bool in_body;
};

static void end_line(struct copy *copy)
{
    copy->data[copy->size++] = '\r';
    copy->data[copy->size++] = '\n';
}

/* The next line of `rest`, without its end (CRLF, LF or CR). */
static struct slice next_line(struct slice *rest)
{
    size_t size = 0, end;
    while (size < rest->size && rest->data[size] != '\n' && rest->data[size] != '\r')
        size++;
    end = size;
    if (end < rest->size)
        end +=
            rest->data[end] == '\r' && end + 1 < rest->size && rest->data[end + 1] == '\n' ? 2 : 1;
    struct slice line = slice_of(rest->data, size);
    *rest = slice_from(*rest, end);
    return line;
}

/* How much of a line that is too long goes before the break: no UTF-8 character is cut. */
static size_t break_at(struct slice line)
{
    size_t size = CONTENT_LINE_BYTES_MAX;
    while (size > CONTENT_LINE_BYTES_MAX - 4 && ((unsigned char)line.data[size] & 0xc0) == 0x80)
        size--;
    return size;
}

static void copy_line(struct copy *copy, struct slice line)
{
    bool is_first = true;
    do {
        size_t room = CONTENT_LINE_BYTES_MAX;
        if (!is_first && !copy->in_body) {
            copy->data[copy->size++] = ' ';
            room--;
        }
        size_t part =
            line.size <= room ? line.size : break_at(line) - (room < CONTENT_LINE_BYTES_MAX);
        for (size_t i = 0; i < part; i++)
            copy->data[copy->size++] = line.data[i] == '\0' ? '?' : line.data[i];
        end_line(copy);
        line = slice_from(line, part);
        is_first = false;
    } while (line.size > 0);
}

/* Lines of an mbox have lost the ">" that quoting gave them. */
static struct slice unquote(struct slice line)
{
    size_t marks = 0;
    while (marks < line.size && line.data[marks] == '>')
        marks++;
    bool is_quoted =
        marks > 0 && line.size >= marks + 5 && memcmp(line.data + marks, "From ", 5) == 0;
    return is_quoted ? slice_from(line, 1) : line;
}

static int add_message(struct content *content, struct slice raw, bool is_mbox)
{
    /* Each byte may end a line (two bytes), and each 990th may be a break; mark and ends. */
    char *data = malloc(raw.size * 2 + raw.size / 300 + CONTENT_MARK_BYTES_MAX + 64);
    if (data == NULL)
        return -ENOMEM;
    char *text = data + CONTENT_MARK_BYTES_MAX; /* the mark is put in front of it */
    struct copy copy = {.data = text};
    size_t head_size = 0;
    bool is_dropped = false;
    if (raw.size >= 5 && memcmp(raw.data, "From ", 5) == 0)
        next_line(&raw);
    while (raw.size > 0) {
        struct slice line = next_line(&raw);
        if (is_mbox)
            line = unquote(line);
        if (!copy.in_body) {
            bool is_folded = line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
            is_dropped =
                is_folded ? is_dropped : slice_starts_nocase(line, SLICE("X-Ringpost-Bench:"));
            if (is_dropped)
                continue;
        }
        copy_line(&copy, line);
        if (!copy.in_body && line.size == 0) {
            copy.in_body = true;
            head_size = copy.size;
        }
    }
    if (!copy.in_body) {
        end_line(&copy);
        head_size = copy.size;
    }
    char *shrunk = realloc(data, CONTENT_MARK_BYTES_MAX + copy.size);
    if (shrunk != NULL) {
        data = shrunk;
        text = data + CONTENT_MARK_BYTES_MAX;
    }
    struct content_model model = {.memory = data};
    char mark[CONTENT_MARK_BYTES_MAX];
    model.body = slice_of(text + head_size, copy.size - head_size);
    model.crc = crc32c(0, model.body.data, model.body.size);
    size_t size = content_mark(mark, content->seed, model.body.size, model.crc, &model.mark_at);
    memcpy(text - size, mark, size);
    model.head = slice_of(text - size, head_size + size);
    bool is_8bit, needs_dots;
    content_look(model.body, &model.is_8bit, &model.needs_dots);
    content_look(model.head, &is_8bit, &needs_dots);
    model.is_8bit |= is_8bit;
    model.needs_dots |= needs_dots;
    int result = content_add(content, &model);
    if (result < 0)
        free(data);
    return result;
}

/* ---------------------------------------------------------------- files */

struct reading {
    struct content *content;
    const char *path;
    char *problem;
    struct timespec told;
};

static void show_progress(struct reading *reading)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - reading->told.tv_sec < 2)
        return;
    reading->told = now;
    fprintf(stderr, "reading %s: %u messages, %llu MiB\n", reading->path, reading->content->count,
            (unsigned long long)reading->content->bytes >> 20);
}

static int say(struct reading *reading, int result, const char *what, const char *path)
{
    const char *why = result == -E2BIG   ? "too many messages or bytes (at most 1,000,000, 2 GiB)"
                      : result == -EFBIG ? "larger than 256 MiB"
                                         : strerror(-result);
    size_t length = strlen(path), keep = 100; /* the end of a long path tells more */
    snprintf(reading->problem, 200, "--from: %s %s%s: %s", what, length > keep ? "..." : "",
             length > keep ? path + length - keep : path, why);
    return result;
}

/* A file as a whole. */
static int load_file(const char *path, size_t size_max, char **ret_data, size_t *ret_size)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    int result = fstat(fileno(file), &status) < 0 ? -errno : 0;
    if (result == 0 && (size_t)status.st_size > size_max)
        result = -EFBIG;
    char *data = result == 0 ? malloc((size_t)status.st_size + 1) : NULL;
    if (result == 0 && data == NULL)
        result = -ENOMEM;
    if (result == 0) {
        *ret_size = fread(data, 1, (size_t)status.st_size, file);
        if (ferror(file))
            result = errno == EISDIR ? -EISDIR : -EIO;
    }
    fclose(file);
    if (result < 0)
        free(data);
    else
        *ret_data = data;
    return result;
}

static int read_message(struct reading *reading, const char *path)
{
    char *data;
    size_t size = 0;
    int result = load_file(path, LOAD_MESSAGE_BYTES_MAX, &data, &size);
    if (result == 0) {
        result = size == 0 ? 0 : add_message(reading->content, slice_of(data, size), false);
        free(data);
    }
    show_progress(reading);
    return result < 0 ? say(reading, result, "cannot read", path) : 0;
}

/* The next "From " that begins a line behind an empty one, or the end. */
static size_t find_separator(struct slice text)
{
    for (size_t at = 0; at < text.size; at++) {
        const char *found = memmem(text.data + at, text.size - at, "\nFrom ", 6);
        if (found == NULL)
            break;
        at = (size_t)(found - text.data);
        size_t before = at; /* the line in front: "\n\n" or "\n\r\n" */
        if (before > 0 && text.data[before - 1] == '\r')
            before--;
        if (before > 0 && text.data[before - 1] == '\n')
            return at + 1;
    }
    return text.size;
}

static int read_mbox(struct reading *reading, const char *path)
{
    char *data;
    size_t size = 0;
    int result = load_file(path, content_bytes_max, &data, &size);
    if (result < 0)
        return say(reading, result == -EFBIG ? -E2BIG : result, "cannot read", path);
    struct slice rest = slice_of(data, size);
    while (rest.size > 0 && result == 0) {
        size_t part = find_separator(rest);
        struct slice message = slice_first(rest, part);
        rest = slice_from(rest, part);
        if (rest.size > 0) { /* the empty line before the next is the mbox's */
            message.size--;
            if (message.size > 0 && message.data[message.size - 1] == '\r')
                message.size--;
        }
        result = message.size > LOAD_MESSAGE_BYTES_MAX
                     ? -EFBIG
                     : add_message(reading->content, message, true);
        show_progress(reading);
    }
    free(data);
    return result < 0 ? say(reading, result, "a message of", path) : 0;
}

static int is_wanted(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_folder(struct reading *reading, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_wanted, alphasort), result = 0;
    if (count < 0)
        return say(reading, -errno, "cannot read", path);
    for (int i = 0; i < count; i++) {
        char file[4096];
        struct stat status;
        int size = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (result < 0)
            continue;
        if (size >= (int)sizeof file)
            result = say(reading, -ENAMETOOLONG, "cannot read", path);
        else if (stat(file, &status) < 0)
            result = say(reading, -errno, "cannot read", file);
        else if (S_ISREG(status.st_mode))
            result = read_message(reading, file);
    }
    free(entries);
    return result;
}

static bool is_folder(const char *path, const char *name)
{
    char folder[4096];
    struct stat status;
    return snprintf(folder, sizeof folder, "%s/%s", path, name) < (int)sizeof folder &&
           stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
}

static int read_maildir(struct reading *reading, const char *path)
{
    static const char *const names[] = {"cur", "new"};
    int result = 0;
    for (unsigned i = 0; i < 2 && result == 0; i++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%.4000s/%s", path, names[i]);
        result = read_folder(reading, folder);
    }
    return result;
}

static int read_file(struct reading *reading, const char *path)
{
    char begin[5] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return say(reading, -errno, "cannot open", path);
    size_t size = fread(begin, 1, sizeof begin, file);
    fclose(file);
    if (size == sizeof begin && memcmp(begin, "From ", sizeof begin) == 0)
        return read_mbox(reading, path);
    return read_message(reading, path);
}

int content_read(struct content *content, const char *path, char problem[200])
{
    struct reading reading = {.content = content, .path = path, .problem = problem};
    struct stat status;
    int result;
    clock_gettime(CLOCK_MONOTONIC, &reading.told);
    if (stat(path, &status) < 0)
        return say(&reading, -errno, "cannot open", path);
    if (S_ISREG(status.st_mode))
        result = read_file(&reading, path);
    else if (!S_ISDIR(status.st_mode))
        return say(&reading, -EINVAL, "neither a folder nor a file:", path);
    else if (is_folder(path, "cur") && is_folder(path, "new"))
        result = read_maildir(&reading, path);
    else
        result = read_folder(&reading, path);
    if (result == 0 && content->count == 0)
        return say(&reading, -ENODATA, "no message in", path);
    return result;
}
