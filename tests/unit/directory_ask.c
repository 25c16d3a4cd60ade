/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opens one directory and asks it: what tests/e2e/directories.py drives against real servers.
 *
 *   directory_ask KIND key=value...     then on standard input, one question a line:
 *     lookup USER             login USER PASSWORD       token TOKEN
 *     external USER           (a lookup for a verified certificate)
 *     client ADDRESS          (who asks from now on; IPv4, under TLS)
 *     together COUNT USER PASSWORD   COUNT threads ask at once; all must get the same answer
 *
 * Each answer is one line: "0 user=... secret=... networks=... disabled verified | attributes",
 * "ENOENT", "EACCES delay=...", "EAGAIN problem", and how many milliseconds it took behind a tab.
 * USER and PASSWORD may hold %XX.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ringpost/directories.h"

enum { LINE_BYTES_MAX = 16384, THREADS_MAX = 16 };

struct ask {
    struct auth_directory directory;
    struct auth_client client;
    bool has_client;
    const char *mechanism;
    uint8_t address[16];
};

static const char *value_of(char **arguments, const char *key)
{
    size_t size = strlen(key);
    for (; *arguments != NULL; arguments++)
        if (strncmp(*arguments, key, size) == 0 && (*arguments)[size] == '=')
            return *arguments + size + 1;
    return NULL;
}

static uint64_t timeout_of(char **arguments)
{
    const char *text = value_of(arguments, "timeout");
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static int open_kind(const char *kind, char **arguments, struct auth_directory *ret_directory,
                     char *problem)
{
    if (strcmp(kind, "sqlite") == 0)
        return directory_open_sqlite(
            &(struct directory_sqlite_options){.file = value_of(arguments, "file"),
                                               .query = value_of(arguments, "query")},
            ret_directory, problem);
    if (strcmp(kind, "postgresql") == 0)
        return directory_open_postgres(
            &(struct directory_postgres_options){.connection = value_of(arguments, "connection"),
                                                 .password = value_of(arguments, "password"),
                                                 .query = value_of(arguments, "query"),
                                                 .timeout_ms = timeout_of(arguments)},
            ret_directory, problem);
    if (strcmp(kind, "ldap") == 0)
        return directory_open_ldap(
            &(struct directory_ldap_options){
                .url = value_of(arguments, "url"),
                .start_tls = value_of(arguments, "start_tls") != NULL,
                .verify = value_of(arguments, "no_verify") == NULL,
                .ca = value_of(arguments, "ca"),
                .bind_dn = value_of(arguments, "bind_dn"),
                .password = value_of(arguments, "password"),
                .base = value_of(arguments, "base"),
                .filter = value_of(arguments, "filter"),
                .password_attribute = value_of(arguments, "password_attribute"),
                .user_attribute = value_of(arguments, "user_attribute"),
                .networks_attribute = value_of(arguments, "networks_attribute"),
                .disabled_attribute = value_of(arguments, "disabled_attribute"),
                .routes = value_of(arguments, "routes"),
                .timeout_ms = timeout_of(arguments)},
            ret_directory, problem);
    return directory_open_http(
        &(struct directory_http_options){.url = value_of(arguments, "url"),
                                         .token_url = value_of(arguments, "token_url"),
                                         .ca = value_of(arguments, "ca"),
                                         .header = value_of(arguments, "header"),
                                         .client_id = value_of(arguments, "client_id"),
                                         .password = value_of(arguments, "password"),
                                         .user_claim = value_of(arguments, "user_claim"),
                                         .timeout_ms = timeout_of(arguments)},
        ret_directory, problem);
}

/* %XX in place. NULL: an empty text. */
static struct slice unescape(char *text)
{
    char *to = text;
    if (text == NULL)
        return SLICE("");
    for (char *from = text; *from != '\0'; to++) {
        unsigned byte;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to = (char)byte;
            from += 3;
        } else {
            *to = *from++;
        }
    }
    return slice_of(text, (size_t)(to - text));
}

static void print_attributes(const char *attributes)
{
    for (; *attributes != '\0'; attributes++)
        putchar(*attributes == '\n' ? ' ' : *attributes);
}

static void print_answer(int result, const struct directory_record *record, double ms)
{
    if (result == 0) {
        printf("0 user=%s secret=%s networks=%s%s%s | ", record->user, record->secret,
               record->networks, record->is_disabled ? " disabled" : "",
               record->is_verified ? " verified" : "");
        print_attributes(record->attributes);
    } else if (result == -ENOENT) {
        printf("ENOENT");
    } else if (result == -EACCES) {
        printf("EACCES delay=%u", (unsigned)record->delay_ms);
    } else if (result == -EAGAIN) {
        printf("EAGAIN %s", record->problem);
    } else {
        printf("%d", result);
    }
    printf("\t%.0f\n", ms);
    fflush(stdout);
}

static int ask(struct ask *state, struct slice user, struct slice password, bool has_password,
               struct directory_record *record)
{
    struct directory_query query = {.user = user,
                                    .client = state->has_client ? &state->client : NULL,
                                    .mechanism = state->mechanism};
    memset(record, 0, sizeof *record);
    if (has_password)
        query.password = password;
    return state->directory.kind->ask(state->directory.state, &query, record);
}

struct one {
    struct ask *state;
    struct slice user, password;
    int result;
    struct directory_record record;
};

static void *ask_thread(void *argument)
{
    struct one *one = argument;
    one->result = ask(one->state, one->user, one->password, one->state->directory.kind->verifies,
                      &one->record);
    return NULL;
}

static int together(struct ask *state, unsigned count, struct slice user, struct slice password,
                    struct directory_record *ret_record)
{
    pthread_t threads[THREADS_MAX];
    struct one *all = calloc(THREADS_MAX, sizeof *all);
    for (unsigned i = 0; i < count && i < THREADS_MAX; i++) {
        all[i] = (struct one){.state = state, .user = user, .password = password};
        if (pthread_create(&threads[i], NULL, ask_thread, &all[i]) != 0)
            abort();
    }
    int result = 0;
    for (unsigned i = 0; i < count && i < THREADS_MAX; i++) {
        pthread_join(threads[i], NULL);
        bool is_same = all[i].result == result &&
                       (result != 0 || memcmp(&all[i].record, ret_record,
                                              offsetof(struct directory_record, problem)) == 0);
        if (i > 0 && !is_same) {
            print_answer(all[i].result, &all[i].record, 0);
            abort();
        }
        result = all[i].result;
        *ret_record = all[i].record;
    }
    free(all);
    return result;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void answer(struct ask *state, char *line)
{
    struct directory_record *record = calloc(1, sizeof *record);
    char *rest = line, *verb = strsep(&rest, " \n");
    double began = now_ms();
    int result = -EINVAL;
    bool is_external = strcmp(verb, "external") == 0;
    state->mechanism = is_external ? "EXTERNAL" : "PLAIN";
    if (is_external || strcmp(verb, "lookup") == 0) {
        result = ask(state, unescape(strsep(&rest, " \n")), (struct slice){0}, false, record);
    } else if (strcmp(verb, "login") == 0) {
        struct slice user = unescape(strsep(&rest, " \n"));
        result = ask(state, user, unescape(strsep(&rest, " \n")), true, record);
    } else if (strcmp(verb, "token") == 0) {
        result = state->directory.kind->ask_token(
            state->directory.state, unescape(strsep(&rest, " \n")), &state->client, record);
    } else if (strcmp(verb, "together") == 0) {
        unsigned count = (unsigned)strtoul(strsep(&rest, " \n"), NULL, 10);
        struct slice user = unescape(strsep(&rest, " \n"));
        result = together(state, count, user, unescape(strsep(&rest, " \n")), record);
    } else if (strcmp(verb, "client") == 0) {
        state->has_client = inet_pton(AF_INET, strsep(&rest, " \n"), state->address) == 1;
        state->client = (struct auth_client){.address = state->address,
                                             .family = 4,
                                             .protocol = "imap",
                                             .attempt = 3,
                                             .is_secure = true,
                                             .hello = SLICE("client.test"),
                                             .tls_version = "TLSv1.3",
                                             .tls_cipher = "TLS_AES_128_GCM_SHA256",
                                             .certificate_subject = SLICE("CN=ann"),
                                             .certificate_serial = SLICE("0A")};
        result = 0;
    }
    print_answer(result, record, now_ms() - began);
    free(record);
}

int main(int count, char **arguments)
{
    struct ask state = {0};
    char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1] = "";
    char *line = malloc(LINE_BYTES_MAX);
    if (count < 2 || line == NULL)
        return 2;
    int result = open_kind(arguments[1], arguments + 2, &state.directory, problem);
    printf("%d %s\n", result, problem);
    fflush(stdout);
    while (result == 0 && fgets(line, LINE_BYTES_MAX, stdin) != NULL)
        answer(&state, line);
    if (result == 0)
        state.directory.kind->close(state.directory.state);
    free(line);
    return 0;
}
