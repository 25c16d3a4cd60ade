/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds the command, reads its options, checks that those needed are there, runs it.
 */
#include "command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ringpost/slice.h"

struct option_row {
    unsigned bit;
    const char *name, *value, *help;
    uint64_t min, max; /* numbers; 0, 0: a text */
};

static const struct option_row options[] = {
    {OPTION_CONFIG, "config", "FILE", "the config file", 0, 0},
    {OPTION_FILE, "file", "FILE", "the passwd file, instead of finding it by the config", 0, 0},
    {OPTION_DIR, "dir", "DIR", "the directory", 0, 0},
    {OPTION_PORT_BASE, "port-base", "P", "ports are P + the usual number (default 10000)", 1024,
     64000},
    {OPTION_USERS, "users", "N", "how many users (default 100)", 1, 100000},
    {OPTION_CORES, "cores", "N", "threads (default: the CPUs)", 1, 64},
    {OPTION_SCHEME, "scheme", "NAME", "yescrypt, sha512, argon2id or scram-sha-256", 0, 0},
    {OPTION_LIVE, "live", NULL, "whether it lives, not whether it takes mail", 0, 0},
    {OPTION_DELAY, "delay", "S", "seconds that log-ins wait when the sessions are gone (default 2)",
     0, 50},
    {OPTION_SPREAD, "spread", "S", "seconds over which sessions are ended (default: the config's)",
     0, 3600},
    {OPTION_LIMIT, "limit", "N", "rows at most", 1, 1000000000},
    {OPTION_JSON, "json", NULL, "answer in JSON", 0, 0},
};
enum { OPTION_ROWS = sizeof options / sizeof *options };

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("ringpost: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void json_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void show_usage(const struct program_command *command, FILE *file)
{
    fprintf(file, "usage: ringpost %s", command->name);
    for (int i = 0; i < OPTION_ROWS; i++) {
        const struct option_row *row = &options[i];
        if (!(command->options & row->bit))
            continue;
        bool needed = command->needed & row->bit;
        fprintf(file, needed ? " --%s%s%s" : " [--%s%s%s]", row->name, row->value ? " " : "",
                row->value ? row->value : "");
    }
    fprintf(file, "%s%s\n", command->operand ? " " : "", command->operand ? command->operand : "");
}

static void show_help(const struct program_command *command)
{
    show_usage(command, stdout);
    printf("\n%s.\n%s%s\n", command->summary, *command->detail ? "\n" : "", command->detail);
    for (int i = 0; i < OPTION_ROWS; i++)
        if (command->options & options[i].bit)
            printf("  --%-10s %-5s %s\n", options[i].name, options[i].value ? options[i].value : "",
                   options[i].help);
    printf("  --%-10s %-5s this page\n", "help", "");
}

static void show_all(FILE *file)
{
    fputs("usage: ringpost COMMAND [options]\n\n", file);
    for (unsigned i = 0; i < program_command_count; i++)
        fprintf(file, "  %-17s %s\n", program_commands[i].name, program_commands[i].summary);
    fputs("\n  ringpost COMMAND --help    what a command does and takes\n"
          "  ringpost --version         this program's version and its libraries'\n\n"
          "Exit status: 0 done; 1 it did not work, or problems were found; 2 the command line\n"
          "cannot be understood; 3 serve: stopped at once by a second signal; 4 the store is in\n"
          "use by another process.\n",
          file);
}

/* The command whose name begins argv[1...]; *ret_words says how many of them it is. */
static const struct program_command *find(int argc, char **argv, int *ret_words)
{
    char two[64];
    for (unsigned i = 0; i < program_command_count; i++) {
        const char *name = program_commands[i].name;
        snprintf(two, sizeof two, "%s %s", argv[1], argc > 2 ? argv[2] : "");
        if (strcmp(name, argv[1]) == 0 || strcmp(name, two) == 0) {
            *ret_words = strchr(name, ' ') == NULL ? 1 : 2;
            return &program_commands[i];
        }
    }
    return NULL;
}

static bool set_option(struct invocation *invocation, const struct option_row *row,
                       const char *value)
{
    uint64_t number = 0;
    if (row->max > 0 &&
        (!slice_number(slice_cstr(value), row->max, &number) || number < row->min)) {
        complain("--%s %s: a number from %u to %u is wanted", row->name, value, (unsigned)row->min,
                 (unsigned)row->max);
        return false;
    }
    invocation->given |= row->bit;
    switch ((enum option_bit)row->bit) {
    case OPTION_CONFIG:
        invocation->config = value;
        break;
    case OPTION_FILE:
        invocation->file = value;
        break;
    case OPTION_SCHEME:
        invocation->scheme = value;
        break;
    case OPTION_DIR:
        invocation->dir = value;
        break;
    case OPTION_PORT_BASE:
        invocation->port_base = (unsigned)number;
        break;
    case OPTION_USERS:
        invocation->users = (unsigned)number;
        break;
    case OPTION_CORES:
        invocation->cores = (unsigned)number;
        break;
    case OPTION_LIVE:
        invocation->live = true;
        break;
    case OPTION_DELAY:
        invocation->delay = (unsigned)number;
        break;
    case OPTION_SPREAD:
        invocation->spread = (unsigned)number;
        break;
    case OPTION_LIMIT:
        invocation->limit = (unsigned)number;
        break;
    case OPTION_JSON:
        invocation->json = true;
        break;
    }
    return true;
}

/* False after saying what is wrong with them. */
static bool take_operands(const struct program_command *command, int count, char **words,
                          struct invocation *invocation)
{
    const char *names = command->operand == NULL ? "" : command->operand;
    int most = *names != '\0', least = most;
    for (const char *at = names; *at != '\0'; at++) {
        most += *at == ' ';
        least += (*at == ' ') - (*at == '[');
    }
    if (count < least || count > most) {
        complain("%s wants %s%s", command->name,
                 most == 0                 ? "no more"
                 : most == 1 && least == 1 ? "one "
                                           : "",
                 names);
        return false;
    }
    invocation->operand = count > 0 ? words[0] : NULL;
    invocation->second = count > 1 ? words[1] : NULL;
    return true;
}

/* -1: go on; else the exit status. */
static int parse(const struct program_command *command, int argc, char **argv,
                 struct invocation *invocation)
{
    struct option long_options[OPTION_ROWS + 2];
    int count = 0, which[OPTION_ROWS + 1], index, letter;
    for (int i = 0; i < OPTION_ROWS; i++)
        if (command->options & options[i].bit) {
            which[count] = i;
            long_options[count++] = (struct option){
                options[i].name, options[i].value ? required_argument : no_argument, NULL, 1};
        }
    long_options[count++] = (struct option){"help", no_argument, NULL, 'h'};
    long_options[count] = (struct option){NULL, 0, NULL, 0};
    while ((letter = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (letter == 'h') {
            show_help(command);
            return STATUS_OK;
        }
        if (letter != 1 || !set_option(invocation, &options[which[index]], optarg)) {
            show_usage(command, stderr);
            return STATUS_USAGE;
        }
    }
    for (int i = 0; i < OPTION_ROWS; i++)
        if (command->needed & options[i].bit & ~invocation->given) {
            complain("%s wants --%s", command->name, options[i].name);
            show_usage(command, stderr);
            return STATUS_USAGE;
        }
    if (!take_operands(command, argc - optind, argv + optind, invocation)) {
        show_usage(command, stderr);
        return STATUS_USAGE;
    }
    return -1;
}

int command_run(int argc, char **argv)
{
    if (argc < 2) {
        show_all(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        show_all(stdout);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        version_show(stdout);
        return STATUS_OK;
    }
    int words;
    const struct program_command *command = find(argc, argv, &words);
    if (command == NULL) {
        complain("there is no command \"%.60s\"; see ringpost --help", argv[1]);
        return STATUS_USAGE;
    }
    struct invocation invocation = {.port_base = 10000, .users = 100};
    argv[words] = argv[0]; /* getopt names the program from it */
    int status = parse(command, argc - words, argv + words, &invocation);
    if (status < 0)
        status = command->run(&invocation);
    if (fflush(stdout) != 0 && status == STATUS_OK)
        status = STATUS_FAILED;
    return status;
}
