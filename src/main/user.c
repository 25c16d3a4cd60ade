/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost user ...`: local users in passwd files. The file is named by --file, or found by the
 * config: that of the user's domain.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "check.h"
#include "command.h"
#include "users.h"

/* ---------------------------------------------------------------- which file, which user */

static bool is_user(const char *text)
{
    const char *at = strchr(text, '@');
    if (strlen(text) > AUTH_USER_BYTES_MAX || at == NULL || at == text || at[1] == '\0' ||
        strchr(at + 1, '@') != NULL)
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= 0x20 || *text == ':' || *text == '#' || *text == 0x7f)
            return false;
    return true;
}

/* The passwd file of a domain of the config, in malloc'd memory; NULL after saying why. */
static char *file_of_domain(const char *config_name, const char *domain)
{
    struct config *config = config_load(config_name);
    char *found = NULL;
    if (config == NULL) {
        complain("out of memory");
        return NULL;
    }
    const struct config_domain *domains = config->domains.items;
    if (config->problem_count > 0)
        problems_show(config, stderr);
    for (unsigned i = 0; i < config->domains.count && config->problem_count == 0; i++)
        if (slice_equal_nocase(slice_cstr(domains[i].name), slice_cstr(domain)))
            found = strdup(domains[i].users);
    if (found == NULL && config->problem_count == 0)
        complain("%s has no domain %s", config_name, domain);
    config_free(config);
    return found;
}

static char *file_of(const struct invocation *invocation)
{
    bool by_file = invocation->given & OPTION_FILE, by_config = invocation->given & OPTION_CONFIG;
    if (by_file == by_config) {
        complain("which passwd file? give either --config or --file");
        return NULL;
    }
    if (by_file)
        return strdup(invocation->file);
    return file_of_domain(invocation->config, strchr(invocation->operand, '@') + 1);
}

/* ---------------------------------------------------------------- the password */

static bool read_line(char *line, size_t size, size_t *ret_size)
{
    size_t used = 0;
    char c;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &c, 1)) > 0 && c != '\n') {
        if (used == size)
            return false;
        line[used++] = c;
    }
    if (got < 0 || (got == 0 && used == 0))
        return false;
    *ret_size = used;
    return true;
}

/* While the echo is off: what gives it back, also when a signal ends the program. */
static struct termios echo_before;

static void echo_restore(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &echo_before);
    raise(number); /* SA_RESETHAND: now it ends us, as soon as this handler returns */
}

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* Signals that the caller ignores (nohup) go on being ignored. */
static void endings_catch(struct sigaction old[ENDINGS])
{
    struct sigaction restore = {.sa_handler = echo_restore, .sa_flags = (int)SA_RESETHAND};
    for (int i = 0; i < ENDINGS; i++) {
        sigaction(endings[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN)
            sigaction(endings[i], &restore, NULL);
    }
}

static bool ask(const char *prompt, char *line, size_t size, size_t *ret_size)
{
    struct sigaction old[ENDINGS];
    bool is_terminal = tcgetattr(STDIN_FILENO, &echo_before) == 0;
    if (is_terminal) {
        struct termios silent = echo_before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        endings_catch(old);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent); /* first: it throws away what was typed */
        fputs(prompt, stderr);
    }
    bool ok = read_line(line, size, ret_size);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &echo_before);
        for (int i = 0; i < ENDINGS; i++)
            sigaction(endings[i], &old[i], NULL);
        fputc('\n', stderr);
    }
    return ok;
}

static bool ask_password(char *password, size_t *ret_size)
{
    char again[AUTH_PASSWORD_BYTES_MAX];
    size_t size, again_size;
    if (!ask("Password: ", password, AUTH_PASSWORD_BYTES_MAX, &size) || size == 0) {
        complain("no password, or one of more than %d bytes", AUTH_PASSWORD_BYTES_MAX);
        return false;
    }
    if (memchr(password, '\0', size) != NULL) {
        complain("a password holds no NUL");
        return false;
    }
    bool same = true;
    if (isatty(STDIN_FILENO))
        same = ask("Once more: ", again, sizeof again, &again_size) && again_size == size &&
               memcmp(again, password, size) == 0;
    explicit_bzero(again, sizeof again);
    if (!same)
        complain("the two are not the same");
    *ret_size = size;
    return same;
}

static bool make_hash(const char *scheme, char hash[256])
{
    char password[AUTH_PASSWORD_BYTES_MAX], salt[32];
    size_t size;
    bool ok = ask_password(password, &size);
    if (ok) {
        int result = getrandom(salt, sizeof salt, 0) == sizeof salt
                         ? auth_hash(slice_cstr(scheme == NULL ? "" : scheme),
                                     slice_of(password, size), slice_of(salt, sizeof salt), 0, hash)
                         : -errno;
        ok = result == 0;
        if (!ok)
            complain("cannot hash the password: %s", result == -ENOTSUP
                                                         ? "there is no such scheme; see --help"
                                                         : strerror(-result));
    }
    explicit_bzero(password, sizeof password);
    return ok;
}

/* ---------------------------------------------------------------- commands */

static int change(const struct invocation *invocation, enum users_change what)
{
    char hash[256], text[300], user[AUTH_USER_BYTES_MAX + 1];
    if (!is_user(invocation->operand)) {
        complain("\"%.100s\" is no user name; write local@domain", invocation->operand);
        return STATUS_USAGE;
    }
    char *file = file_of(invocation);
    if (file == NULL)
        return STATUS_FAILED;
    size_t size = strlen(invocation->operand);
    for (size_t i = 0; i <= size; i++)
        user[i] = ascii_lower(invocation->operand[i]);
    const char *why = NULL;
    if (what == USERS_DELETE || make_hash(invocation->scheme, hash))
        why = users_file_change(file, what, slice_of(user, size), hash, text);
    else
        why = "";
    if (why != NULL && *why != '\0')
        complain("%s: %s", user, why);
    free(file);
    return why == NULL ? STATUS_OK : STATUS_FAILED;
}

int run_user_add(const struct invocation *invocation)
{
    return change(invocation, USERS_ADD);
}

int run_user_delete(const struct invocation *invocation)
{
    return change(invocation, USERS_DELETE);
}

int run_user_passwd(const struct invocation *invocation)
{
    return change(invocation, USERS_PASSWD);
}

static void bad_line(void *argument, unsigned line, const char *what)
{
    complain("%s:%u: %s", (const char *)argument, line, what);
}

static void show_users(const struct auth_users *users, bool json)
{
    unsigned count = auth_users_count(users);
    if (json)
        fputs("[", stdout);
    for (unsigned i = 0; i < count; i++) {
        char name[AUTH_USER_BYTES_MAX + 1];
        struct slice user = auth_users_name(users, i);
        snprintf(name, sizeof name, "%.*s", (int)user.size, user.data);
        if (json) {
            fputs(i > 0 ? "," : "", stdout);
            json_text(stdout, name);
        } else {
            puts(name);
        }
    }
    if (json)
        puts("]");
}

static int list_file(const char *path, bool json)
{
    char text[300], *data;
    size_t size;
    const char *why = users_file_read(path, -1, text, &data, &size);
    if (why != NULL) {
        complain("%s: %s", path, why);
        return STATUS_FAILED;
    }
    struct auth_users *users;
    int result = auth_users_parse(slice_of(data, size), bad_line, (void *)path, &users);
    free(data);
    if (result < 0)
        return STATUS_FAILED;
    show_users(users, json);
    auth_users_free(users);
    return STATUS_OK;
}

int run_user_list(const struct invocation *invocation)
{
    bool by_file = invocation->given & OPTION_FILE, by_config = invocation->given & OPTION_CONFIG;
    if (by_file == by_config) {
        complain("which users? give either --config or --file");
        return STATUS_USAGE;
    }
    if (by_file)
        return list_file(invocation->file, invocation->json);
    struct setup *setup = setup_read(invocation->config, NULL);
    if (setup == NULL)
        return STATUS_FAILED;
    bool ok = setup->config->problem_count == 0;
    if (ok)
        show_users(setup->users, invocation->json);
    else
        problems_show(setup->config, stderr);
    setup_free(setup);
    return ok ? STATUS_OK : STATUS_FAILED;
}
