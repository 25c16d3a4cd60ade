/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading a script (the format is in script.h). Its author is one of us: what is wrong ends the
 * program with file and line.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "script.h"

struct reading {
    struct script *script;
    unsigned line;
    int client; /* who speaks now */
};

_Noreturn static void wrong(const struct reading *reading, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", reading->script->path, reading->line, what);
    exit(2);
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static struct slice keep(const char *data, size_t size)
{
    char *copy = must(malloc(size + 1));
    memcpy(copy, data, size);
    copy[size] = '\0';
    return slice_of(copy, size);
}

static struct script_step *add(struct reading *reading, enum script_kind kind)
{
    struct script *script = reading->script;
    if (script->step_count == script->step_capacity) {
        script->step_capacity = script->step_capacity ? 2 * script->step_capacity : 64;
        script->steps = must(realloc(script->steps, script->step_capacity * sizeof *script->steps));
    }
    struct script_step *step = &script->steps[script->step_count++];
    *step = (struct script_step){
        .kind = kind, .line = reading->line, .client = reading->client, .count = 1};
    return step;
}

static bool takes(const char **at, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(*at, word, size) != 0 ||
        (isalnum((unsigned char)word[size - 1]) &&
         (isalnum((unsigned char)(*at)[size]) || (*at)[size] == '-')))
        return false;
    *at += size;
    return true;
}

static void blanks(const char **at)
{
    while (**at == ' ' || **at == '\t')
        ++*at;
}

/* A word of letters, digits, '_', '-', '.' into ret_word. */
static void word(const struct reading *reading, const char **at, char *ret_word)
{
    size_t size = 0;
    blanks(at);
    while (isalnum((unsigned char)**at) || strchr("_-.", **at) != NULL) {
        if (**at == '\0')
            break;
        if (size + 1 == SCRIPT_NAME_MAX)
            wrong(reading, "this word is too long");
        ret_word[size++] = *(*at)++;
    }
    ret_word[size] = '\0';
    if (size == 0)
        wrong(reading, "a word is missing");
}

static uint64_t number(const struct reading *reading, const char **at)
{
    char *end;
    blanks(at);
    uint64_t value = strtoull(*at, &end, 10);
    if (end == *at)
        wrong(reading, "a number is missing");
    *at = end;
    return value;
}

static void nothing_more(const struct reading *reading, const char *at)
{
    blanks(&at);
    if (*at != '\0')
        wrong(reading, "there is more on this line than belongs to it");
}

/* "..." with \r \n \t \0 \xHH \\ \". */
static struct slice quoted(const struct reading *reading, const char **at)
{
    blanks(at);
    if (**at != '"')
        wrong(reading, "a text in quotes is missing");
    char *bytes = must(malloc(strlen(*at) + 1));
    size_t size = 0;
    const char *from = *at + 1;
    for (; *from != '"'; from++) {
        if (*from == '\0')
            wrong(reading, "the text in quotes does not end");
        char c = *from;
        if (c == '\\') {
            char hex[3] = {0};
            c = *++from;
            switch (c) {
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            case 't':
                c = '\t';
                break;
            case '0':
                c = '\0';
                break;
            case 'x':
                hex[0] = from[1];
                hex[1] = hex[0] == '\0' ? '\0' : from[2];
                if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1]))
                    wrong(reading, "\\x wants two hexadecimal digits");
                c = (char)strtoul(hex, NULL, 16);
                from += 2;
                break;
            case '\\':
            case '"':
                break;
            default:
                wrong(reading, "no such escape: \\r \\n \\t \\0 \\xHH \\\\ \\\"");
            }
        }
        bytes[size++] = c;
    }
    *at = from + 1;
    return slice_of(bytes, size);
}

static int client_index(struct reading *reading, const char *name, bool make)
{
    struct script *script = reading->script;
    for (unsigned i = 0; i < script->client_count; i++)
        if (strcmp(script->client_names[i], name) == 0)
            return (int)i;
    if (!make)
        wrong(reading, "this client never connected");
    if (script->client_count == SCRIPT_CLIENTS_MAX)
        wrong(reading, "too many clients");
    memcpy(script->client_names[script->client_count], name, strlen(name) + 1);
    return (int)script->client_count++;
}

static int section_index(struct reading *reading, const char *name)
{
    struct script *script = reading->script;
    for (unsigned i = 0; i < script->section_count; i++)
        if (strcmp(script->section_names[i], name) == 0)
            return (int)i;
    return -1;
}

static uint64_t duration(const struct reading *reading, const char **at)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},       {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    uint64_t value = number(reading, at);
    char unit[SCRIPT_NAME_MAX];
    word(reading, at, unit);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].unit, unit) == 0)
            return value * units[i].ns;
    wrong(reading, "no such unit of time: ns us ms s m h");
}

/* ---------------------------------------------------------------- lines */

static bool head_line(struct reading *reading, const char *at)
{
    struct script *script = reading->script;
    char mode[SCRIPT_NAME_MAX];
    if (takes(&at, "host")) {
        word(reading, &at, script->host);
    } else if (takes(&at, "cores")) {
        script->cores = (unsigned)number(reading, &at);
    } else if (takes(&at, "not")) {
        for (blanks(&at); *at != '\0'; blanks(&at)) {
            word(reading, &at, mode);
            unsigned bit = strcmp(mode, "linux") == 0    ? SCRIPT_LINUX
                           : strcmp(mode, "split") == 0  ? SCRIPT_SPLIT
                           : strcmp(mode, "fail") == 0   ? SCRIPT_FAIL
                           : strcmp(mode, "honest") == 0 ? SCRIPT_HONEST_MODE
                                                         : 0;
            if (bit == 0)
                wrong(reading, "no such mode: linux split fail honest");
            script->modes_left_out |= bit;
        }
    } else if (takes(&at, "verify")) {
        if (script->section_count == SCRIPT_SECTIONS_MAX)
            wrong(reading, "too many sections");
        word(reading, &at, script->section_names[script->section_count]);
        script->section_first[script->section_count++] = script->step_count;
        reading->client = -1;
    } else {
        return false;
    }
    nothing_more(reading, at);
    return true;
}

static bool world_line(struct reading *reading, const char *at)
{
    static const struct {
        const char *name;
        enum script_kind kind;
    } plain[] = {{"restart", SCRIPT_RESTART},
                 {"kill", SCRIPT_KILL},
                 {"power-cut", SCRIPT_POWER_CUT},
                 {"fail-stop", SCRIPT_FAIL_STOP}};
    char name[SCRIPT_NAME_MAX];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (takes(&at, plain[i].name)) {
            add(reading, plain[i].kind);
            nothing_more(reading, at);
            return true;
        }
    if (takes(&at, "pass")) {
        add(reading, SCRIPT_PASS)->count = duration(reading, &at);
    } else if (takes(&at, "counter")) {
        struct script_step *step = add(reading, SCRIPT_COUNTER);
        word(reading, &at, name);
        step->text = keep(name, strlen(name));
        blanks(&at);
        step->relation = *at == '\0' ? '?' : *at++;
        if (strchr("<>=", step->relation) == NULL)
            wrong(reading, "counter NAME = | < | > NUMBER");
        step->count = number(reading, &at);
    } else if (takes(&at, "acked")) {
        word(reading, &at, name);
        struct script_step *step = add(reading, SCRIPT_ACKED);
        step->text = keep(name, strlen(name)); /* its section comes later */
    } else if (takes(&at, "honest")) {
        word(reading, &at, name);
        add(reading, SCRIPT_HONEST)->count = strcmp(name, "on") == 0;
    } else {
        return false;
    }
    nothing_more(reading, at);
    return true;
}

static bool client_line(struct reading *reading, const char *at)
{
    static const struct {
        const char *name;
        enum script_kind kind;
    } plain[] = {{"expect-close", SCRIPT_EXPECT_CLOSE},
                 {"close", SCRIPT_CLOSE},
                 {"half-close", SCRIPT_HALF_CLOSE},
                 {"reset", SCRIPT_RESET},
                 {"vanish", SCRIPT_VANISH},
                 {"pause", SCRIPT_PAUSE},
                 {"resume", SCRIPT_RESUME}};
    static const struct {
        const char *mark;
        enum script_kind kind;
    } lines[] = {{"C:", SCRIPT_SEND_LINE}, {"S:", SCRIPT_EXPECT_LINE}, {"S*", SCRIPT_EXPECT_UNTIL}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (takes(&at, lines[i].mark)) {
            if (*at == ' ')
                at++;
            add(reading, lines[i].kind)->text = keep(at, strlen(at));
            return true;
        }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (takes(&at, plain[i].name)) {
            add(reading, plain[i].kind);
            nothing_more(reading, at);
            return true;
        }
    if (takes(&at, "S=")) {
        add(reading, SCRIPT_EXPECT_BYTES)->text = quoted(reading, &at);
    } else if (takes(&at, "raw")) {
        add(reading, SCRIPT_SEND)->text = quoted(reading, &at);
    } else if (takes(&at, "send")) {
        struct script_step *step = add(reading, SCRIPT_SEND);
        step->text = quoted(reading, &at);
        step->count = number(reading, &at);
    } else {
        return false;
    }
    nothing_more(reading, at);
    return true;
}

static void read_line(struct reading *reading, char *line)
{
    char name[SCRIPT_NAME_MAX];
    const char *at = line;
    size_t size = strlen(line);
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        line[--size] = '\0';
    blanks(&at);
    if (*at == '\0' || *at == '#' || head_line(reading, at) || world_line(reading, at))
        return;
    const char *after = at;
    while (isalnum((unsigned char)*after))
        after++;
    if (after > at && (strncmp(after, " = ", 3) == 0 || *after == '>')) {
        bool connects = *after == ' ';
        word(reading, &at, name);
        reading->client = client_index(reading, name, connects);
        at += connects ? 3 : 1;
        blanks(&at);
        if (connects) {
            word(reading, &at, name);
            add(reading, SCRIPT_CONNECT)->text = keep(name, strlen(name));
            nothing_more(reading, at);
            return;
        }
    }
    if (reading->client < 0)
        wrong(reading, "nobody has connected yet, or this is no line of a script");
    if (!client_line(reading, at))
        wrong(reading, "this is no line of a script (see tests/script/script.h)");
}

struct script *script_read(const char *path)
{
    struct script *script = must(calloc(1, sizeof *script));
    *script = (struct script){.path = path, .cores = 1};
    struct reading reading = {.script = script, .client = -1};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) >= 0) {
        reading.line++;
        read_line(&reading, line);
    }
    free(line);
    fclose(file);
    if (script->host[0] == '\0')
        wrong(&reading, "no host line");
    script->section_first[script->section_count] = script->step_count;
    script->main_count = script->section_first[0];
    for (unsigned i = 0; i < script->step_count; i++) {
        struct script_step *step = &script->steps[i];
        if (step->kind != SCRIPT_ACKED)
            continue;
        reading.line = step->line;
        int section = section_index(&reading, step->text.data);
        if (section < 0)
            wrong(&reading, "there is no such verify section");
        step->count = (uint64_t)section;
    }
    return script;
}

void script_free(struct script *script)
{
    for (unsigned i = 0; i < script->step_count; i++)
        free((void *)(uintptr_t)script->steps[i].text.data);
    free(script->steps);
    free(script);
}
