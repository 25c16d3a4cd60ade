/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bytes of the config file and of the files it includes, put together into one text with the place
 * of every line. Done here and not by libconfig, because its includes know no limit on files or
 * bytes, open whatever they are pointed at (a FIFO blocks for ever), and its integers wrap silently
 * (4294967321 is taken as port 25).
 *
 *   @include "more.conf"      alone on its line, outside comments and texts; its path is taken from
 *                             the folder of the main file
 *
 * Invariants:
 *   1. The text holds no NUL but the one behind it.
 *   2. Files open at the same time: at most CONFIG_INCLUDE_DEPTH_MAX; each is a regular file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

/* Where the scanner is, across lines. */
enum lexical { IN_CODE, IN_COMMENT, IN_TEXT };

struct open_file {
    const char *name;
    char *data;
    size_t size, at;
    unsigned line;
};

struct loader {
    struct config *config;
    struct config_source source;
    size_t capacity;
    unsigned line_capacity, files, depth;
    struct open_file stack[CONFIG_INCLUDE_DEPTH_MAX];
    enum lexical lexical;
};

static const char *read_whole(const char *path, char **ret_data, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    struct stat status;
    const char *why = NULL;
    char *data = NULL;
    size_t size = 0;
    if (fstat(fd, &status) < 0)
        why = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        why = "not a regular file";
    else if (status.st_size > CONFIG_FILE_BYTES_MAX)
        why = "larger than 4 MiB";
    else if ((data = malloc(CONFIG_FILE_BYTES_MAX + 1)) == NULL)
        why = strerror(ENOMEM);
    while (why == NULL) {
        ssize_t got = read(fd, data + size, CONFIG_FILE_BYTES_MAX + 1 - size);
        if (got < 0)
            why = strerror(errno);
        if (got <= 0)
            break;
        size += (size_t)got;
        if (size > CONFIG_FILE_BYTES_MAX)
            why = "larger than 4 MiB";
    }
    close(fd);
    if (why != NULL) {
        free(data);
        return why;
    }
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return NULL;
}

static bool check_bytes(struct config *config, const char *name, const char *data, size_t size)
{
    struct config_place place = {name, 1};
    const char *nul = memchr(data, '\0', size);
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        config_problem(config, place, "begins with a byte order mark; save it as plain UTF-8");
        return false;
    }
    if (nul == NULL)
        return true;
    for (const char *at = data; at < nul; at++)
        place.line += *at == '\n';
    config_problem(config, place, "holds a NUL byte; a config file is text");
    return false;
}

/* `from` is where the include stands; the main file has none. */
static bool push(struct loader *loader, const char *path, struct config_place from)
{
    struct config *config = loader->config;
    if (loader->depth == CONFIG_INCLUDE_DEPTH_MAX) {
        config_problem(config, from,
                       "includes nested more than %d deep; does a file include "
                       "itself?",
                       CONFIG_INCLUDE_DEPTH_MAX);
        return false;
    }
    if (loader->files++ == CONFIG_FILES_MAX) {
        config_problem(config, from, "more than %d files; put some together", CONFIG_FILES_MAX);
        return false;
    }
    struct open_file *file = &loader->stack[loader->depth];
    *file = (struct open_file){.name = path, .line = 1};
    const char *why = read_whole(path, &file->data, &file->size);
    if (why != NULL) {
        config_problem(config, from, "cannot read %s: %s", path, why);
        return false;
    }
    if (!check_bytes(config, path, file->data, file->size)) {
        free(file->data);
        return false;
    }
    loader->depth++;
    return true;
}

static bool grow(struct loader *loader, size_t more)
{
    struct config_source *source = &loader->source;
    if (source->size + more > CONFIG_BYTES_MAX) {
        config_problem(loader->config, (struct config_place){loader->config->path, 1},
                       "together with its includes larger than 16 MiB; make it smaller");
        return false;
    }
    if (source->size + more + 1 > loader->capacity) {
        size_t capacity = (source->size + more + 1) * 2;
        char *text = realloc(source->text, capacity);
        if (text == NULL)
            return false;
        source->text = text;
        loader->capacity = capacity;
    }
    if (source->line_count == loader->line_capacity) {
        unsigned capacity = loader->line_capacity * 2 + 256;
        struct config_place *lines = realloc(source->lines, capacity * sizeof *lines);
        if (lines == NULL)
            return false;
        source->lines = lines;
        loader->line_capacity = capacity;
    }
    return true;
}

static bool add_line(struct loader *loader, const char *data, size_t size,
                     struct config_place place)
{
    struct config_source *source = &loader->source;
    if (!grow(loader, size + 1))
        return false;
    memcpy(source->text + source->size, data, size);
    source->size += size;
    source->text[source->size++] = '\n';
    source->text[source->size] = '\0';
    source->lines[source->line_count++] = place;
    return true;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A number in the code that libconfig would bend to 32 bits. Returns its length (of the word). */
static size_t check_number(struct config *config, struct slice word, struct config_place place)
{
    size_t size = 0;
    while (size < word.size && is_word(word.data[size]))
        size++;
    size_t digits = size;
    while (digits > 0 && (word.data[digits - 1] == 'L' || word.data[digits - 1] == 'l'))
        digits--;
    uint64_t value;
    struct slice number = slice_of(word.data, digits);
    bool is_hex = slice_starts_nocase(number, SLICE("0x"));
    if (is_hex ? digits > 9
               : strspn(number.data, "0123456789") >= digits &&
                     !slice_number(number, INT32_MAX, &value))
        config_problem(config, place, "number %.*s is too large; no key takes more than %d",
                       (int)(digits < 40 ? digits : 40), number.data, INT32_MAX);
    return size;
}

/* Follows comments and texts through one line, and looks at its numbers. */
static void scan(struct loader *loader, struct slice line, struct config_place place)
{
    for (size_t i = 0; i < line.size;) {
        char c = line.data[i];
        char next = i + 1 < line.size ? line.data[i + 1] : '\0';
        size_t step = 1;
        if (loader->lexical == IN_COMMENT) {
            if (c == '*' && next == '/') {
                loader->lexical = IN_CODE;
                step = 2;
            }
        } else if (loader->lexical == IN_TEXT) {
            if (c == '"')
                loader->lexical = IN_CODE;
            step = c == '\\' ? 2 : 1;
        } else if (c == '#' || (c == '/' && next == '/')) {
            return;
        } else if (c == '/' && next == '*') {
            loader->lexical = IN_COMMENT;
            step = 2;
        } else if (c == '"') {
            loader->lexical = IN_TEXT;
        } else if (c >= '0' && c <= '9') {
            step = check_number(loader->config, slice_from(line, i), place);
        } else if (is_word(c)) {
            while (i + step < line.size && is_word(line.data[i + step]))
                step++;
        }
        i += step;
    }
}

/* `@include "path"` alone on the line: the path, copied; else NULL. */
static const char *include_of(struct loader *loader, struct slice line)
{
    static const char word[] = "@include";
    size_t at = 0;
    while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'))
        at++;
    if (loader->lexical != IN_CODE || line.size - at < sizeof word - 1 ||
        memcmp(line.data + at, word, sizeof word - 1) != 0)
        return NULL;
    line = slice_from(line, at + sizeof word - 1);
    size_t open = slice_find(line, '"');
    struct slice path = slice_from(line, open + 1);
    path.size = slice_find(path, '"');
    struct slice copy = arena_copy(&loader->config->arena, path);
    return copy.data == NULL ? "" : copy.data;
}

/* One line of the innermost file. False: stop. */
static bool step(struct loader *loader)
{
    struct open_file *file = &loader->stack[loader->depth - 1];
    struct slice rest = slice_of(file->data + file->at, file->size - file->at);
    struct slice line = slice_first(rest, slice_find(rest, '\n'));
    struct config_place place = {file->name, file->line++};
    file->at += line.size < rest.size ? line.size + 1 : line.size;
    const char *include = include_of(loader, line);
    if (include == NULL) {
        scan(loader, line, place);
        return add_line(loader, line.data, line.size, place);
    }
    if (*include == '\0') {
        config_problem(loader->config, place,
                       "@include without a file; write @include \"more.conf\"");
        return false;
    }
    return push(loader, config_path(loader->config, include), place);
}

static void pop(struct loader *loader)
{
    free(loader->stack[--loader->depth].data);
}

bool config_source_read(struct config *config, const char *path, struct config_source *ret_source)
{
    struct loader loader = {.config = config};
    bool ok = push(&loader, path, (struct config_place){path, 1}) &&
              add_line(&loader, "", 0, (struct config_place){path, 1});
    while (ok && loader.depth > 0) {
        struct open_file *file = &loader.stack[loader.depth - 1];
        if (file->at == file->size)
            pop(&loader);
        else
            ok = step(&loader);
    }
    while (loader.depth > 0)
        pop(&loader);
    *ret_source = loader.source;
    return ok;
}

void config_source_free(struct config_source *source)
{
    free(source->text);
    free(source->lines);
}

struct config_place config_source_place(const struct config_source *source, unsigned line)
{
    if (source->line_count == 0)
        return (struct config_place){"", 0};
    if (line < 1)
        line = 1;
    return source->lines[line <= source->line_count ? line - 1 : source->line_count - 1];
}
