/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of options, and what is made from it: parsing and the pages of --help. To add an
 * option: a row here, its member, and its use.
 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>

#define AT(member) offsetof(struct bench_options, member)

static const char target_group[] = "What is measured", load_group[] = "How much, and when",
                  mail_group[] = "Messages", session_group[] = "Sessions and mailboxes",
                  tls_group[] = "TLS", report_group[] = "Reports";

const struct option_row option_rows[] = {
    {target_group, "target", "HOST:PORT", "the server; also unix:/path, [::1]:25, imap://HOST:PORT",
     NULL, NULL, OPTION_TEXT, 0, 0, AT(target)},
    {target_group, "also", "URL",
     "another protocol of the same server: smtp:// lmtp:// imap:// pop3://, smtps:// "
     "imaps:// pop3s:// (implicit TLS), ?tls=start; lmtp:///path for a Unix socket; may be "
     "repeated",
     NULL, NULL, OPTION_ALSO, 0, 0, 0},
    {target_group, "i-own-this-server", "HOST",
     "allow this host though it is not loopback; may be repeated", NULL, NULL, OPTION_OWNED, 0, 0,
     0},
    {target_group, "users", "N", "user 0 to N-1 have a mailbox there", NULL, "100", OPTION_UNSIGNED,
     1, LOAD_USERS_MAX, AT(load.users)},
    {target_group, "user-format", "TEXT", "a user's name and address, %d for the number", NULL,
     "u%d@example.test", OPTION_TEXT, 0, 0, AT(load.user_format)},
    {target_group, "password", "PW", "of all users; *** in reports", NULL, "pw", OPTION_TEXT, 0, 0,
     AT(load.password)},

    {load_group, "connections", "N", "connections at once", NULL, "20", OPTION_UNSIGNED, 1,
     LOAD_CONNECTIONS_MAX, AT(load.connections)},
    {load_group, "messages", "N", "end after so many operations", NULL, NULL, OPTION_U64, 1,
     UINT64_C(1000000000000), AT(load.messages)},
    {load_group, "duration", "TIME",
     "end after this time (10s when --messages is not given either)", NULL, NULL, OPTION_TIME, 1,
     7200000, AT(load.duration_ns)},
    {load_group, "warm-up", "TIME", "work so long before anything is counted", NULL, "1s",
     OPTION_TIME, 0, 3600000, AT(load.warm_up_ns)},
    {load_group, "rate", "R",
     "operations a second, each at its time whatever the server does (open loop)", NULL, NULL,
     OPTION_RATE, 0, 10000000, AT(load.rate)},
    {load_group, "arrivals", "even|poisson", "with --rate: equal gaps, or as strangers come", NULL,
     "even", OPTION_ARRIVALS, 0, 0, AT(load.is_poisson)},
    {load_group, "timeout", "TIME", "how long an answer may take", NULL, "30s", OPTION_TIME, 10,
     3600000, AT(load.timeout_ns)},
    {load_group, "seed", "N", "messages, users and order follow from it", NULL, "1", OPTION_U64, 0,
     UINT64_MAX, AT(load.seed)},
    {load_group, "threads", "N", "threads of the generator", NULL, "1", OPTION_UNSIGNED, 1,
     CORES_MAX, AT(load.threads)},
    {load_group, "sources", "N",
     "connect from N addresses 127.0.1.1 and on (20,000 connections need one each)", NULL, NULL,
     OPTION_UNSIGNED, 1, 16000, AT(load.sources)},

    {mail_group, "size", "BYTES|real", "of a message, k and m are 1024; real: as real mail has",
     NULL, "1k", OPTION_SIZE, 1, LOAD_MESSAGE_BYTES_MAX, AT(load.size_bytes)},
    {mail_group, "from", "PATH", "real messages instead: a folder, maildir or mbox", NULL, NULL,
     OPTION_TEXT, 0, 0, AT(load.from_path)},
    {mail_group, "verify", NULL, "afterwards, read what was delivered and compare", NULL, NULL,
     OPTION_FLAG, 0, 0, AT(load.verifies)},
    {mail_group, "recipients", "N", "of each message", "smtp lmtp", "1", OPTION_UNSIGNED, 1, 1000,
     AT(load.recipients)},
    {mail_group, "per-connection", "N", "messages a connection, 0: all", "smtp lmtp", "0",
     OPTION_UNSIGNED, 0, 1000000000, AT(load.per_connection)},
    {mail_group, "no-pipelining", NULL, "wait for each answer", "smtp lmtp pop3", NULL,
     OPTION_FLAG_OFF, 0, 0, AT(load.is_pipelined)},
    {mail_group, "bdat", NULL, "send by BDAT (CHUNKING) instead of DATA", "smtp lmtp", NULL,
     OPTION_FLAG, 0, 0, AT(load.is_chunked)},
    {mail_group, "login", NULL, "log in first (AUTH)", "smtp", NULL, OPTION_FLAG, 0, 0,
     AT(load.wants_login)},

    {session_group, "mailbox", "N", "messages that each mailbox has before the run",
     "imap pop3 idle mix", "100", OPTION_UNSIGNED, 0, 10000000, AT(load.mailbox_messages)},
    {session_group, "per-session", "N", "commands a session, 0: all in one", "imap", "20",
     OPTION_UNSIGNED, 0, 1000000000, AT(load.per_session)},
    {session_group, "mix", "SPEC|FILE",
     "imap: weights, \"fetch=60,store=10,search=5,append=20,expunge=5\"; "
     "mix: the scenario file",
     "imap mix", NULL, OPTION_TEXT, 0, 0, AT(load.mix)},
    {session_group, "delete", NULL, "delete what was retrieved", "pop3", NULL, OPTION_FLAG, 0, 0,
     AT(load.deletes)},

    {tls_group, "tls", "none|start|implicit", "of --target", NULL, "none", OPTION_TLS, 0, 0, 0},
    {tls_group, "tls-resume", NULL, "each connection resumes the session of the one before", NULL,
     NULL, OPTION_FLAG, 0, 0, AT(load.tls_resumes)},
    {tls_group, "tls-version", "1.2|1.3", "1.2: nothing newer", NULL, "1.3", OPTION_TLS_VERSION, 0,
     0, AT(load.tls_12)},
    {tls_group, "tls-ca", "FILE",
     "verify certificates against these authorities (else they are not looked at)", NULL, NULL,
     OPTION_TEXT, 0, 0, AT(load.tls_ca)},

    {report_group, "json", "FILE", "write the result there, - is standard output", NULL, NULL,
     OPTION_TEXT, 0, 0, AT(json_path)},
    {report_group, "html", "FILE", "write a page there", NULL, NULL, OPTION_TEXT, 0, 0,
     AT(html_path)},
    {report_group, "label", "NAME", "what reports call the server", NULL, NULL, OPTION_TEXT, 0, 0,
     AT(label)},
    {report_group, "server-pid", "PID", "measure what this process and its descendants cost", NULL,
     NULL, OPTION_UNSIGNED, 1, 4194304, AT(server_pid)},
    {report_group, "server-cgroup", "DIR", "measure what this cgroup costs", NULL, NULL,
     OPTION_TEXT, 0, 0, AT(cgroup)},
    {report_group, "quiet", NULL, "no progress", NULL, NULL, OPTION_FLAG, 0, 0, AT(is_quiet)},
};
const unsigned option_row_count = sizeof option_rows / sizeof *option_rows;

bool option_is_for(const struct option_row *row, const struct load_scenario *scenario)
{
    if (row->scenarios == NULL)
        return true;
    size_t size = strlen(scenario->name);
    for (const char *at = row->scenarios; *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (word == size && memcmp(at, scenario->name, size) == 0)
            return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

/* ---------------------------------------------------------------- parsing */

static const struct option_row *find(const char *name, size_t size)
{
    for (unsigned i = 0; i < option_row_count; i++)
        if (strlen(option_rows[i].name) == size && memcmp(option_rows[i].name, name, size) == 0)
            return &option_rows[i];
    return NULL;
}

static const struct option_row *suggest(const char *name, size_t size,
                                        const struct load_scenario *scenario)
{
    const struct option_row *best = NULL;
    unsigned least = 4;
    char word[40];
    snprintf(word, sizeof word, "%.*s", size < sizeof word ? (int)size : (int)sizeof word - 1,
             name);
    for (unsigned i = 0; i < option_row_count; i++) {
        unsigned far = option_distance(word, option_rows[i].name);
        if (option_is_for(&option_rows[i], scenario) && far < least &&
            far < strlen(option_rows[i].name)) {
            least = far;
            best = &option_rows[i];
        }
    }
    return best;
}

static int unknown(const struct load_scenario *scenario, const char *word, size_t size,
                   char *problem)
{
    const struct option_row *near = suggest(word, size, scenario);
    if (near != NULL)
        snprintf(problem, OPTIONS_PROBLEM_BYTES, "there is no option --%.*s; did you mean --%s?",
                 (int)(size < 60 ? size : 60), word, near->name);
    else
        snprintf(problem, OPTIONS_PROBLEM_BYTES,
                 "there is no option --%.*s; see ringpost-bench %s --help",
                 (int)(size < 60 ? size : 60), word, scenario->name);
    return -EINVAL;
}

/* One option at words[*at], and its value. */
static int parse_one(const struct load_scenario *scenario, int count, char *const *words, int *at,
                     struct bench_options *options, char *problem)
{
    const char *word = words[(*at)++];
    if (word[0] != '-' || word[1] != '-' || word[2] == '\0') {
        snprintf(problem, OPTIONS_PROBLEM_BYTES,
                 "\"%.60s\" is no option; options begin with --, and some take one value", word);
        return -EINVAL;
    }
    word += 2;
    size_t size = strcspn(word, "=");
    const struct option_row *row = find(word, size);
    if (row == NULL)
        return unknown(scenario, word, size, problem);
    if (!option_is_for(row, scenario)) {
        snprintf(problem, OPTIONS_PROBLEM_BYTES, "--%s is not for %s; it is for: %s", row->name,
                 scenario->name, row->scenarios);
        return -EINVAL;
    }
    const char *value = word[size] == '=' ? word + size + 1 : NULL;
    if (row->value == NULL && value != NULL) {
        snprintf(problem, OPTIONS_PROBLEM_BYTES, "--%s takes no value", row->name);
        return -EINVAL;
    }
    if (row->value != NULL && value == NULL) {
        if (*at == count) {
            snprintf(problem, OPTIONS_PROBLEM_BYTES, "--%s wants %s: %s", row->name, row->value,
                     row->help);
            return -EINVAL;
        }
        value = words[(*at)++];
    }
    return option_set(row, value, options, problem);
}

static int parse_words(const struct load_scenario *scenario, int count, char *const *words,
                       struct bench_options *options, char *problem)
{
    int at = 0, result = 0;
    while (at < count && result == 0)
        result = parse_one(scenario, count, words, &at, options, problem);
    return result;
}

static int parse_defaults(const struct load_scenario *scenario, struct bench_options *options,
                          char *problem)
{
    char *words[OPTIONS_WORDS_MAX];
    int count = 0, result = 0;
    options->load.is_pipelined = true;
    for (unsigned i = 0; i < option_row_count && result == 0; i++)
        if (option_rows[i].default_text != NULL)
            result = option_set(&option_rows[i], option_rows[i].default_text, options, problem);
    options->has_tls = false;
    if (scenario->defaults == NULL || result < 0)
        return result;
    snprintf(options->words, sizeof options->words, "%s", scenario->defaults);
    for (char *at = options->words; *at != '\0' && count < OPTIONS_WORDS_MAX;) {
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    return parse_words(scenario, count, words, options, problem);
}

/* What two options may not be together, or without each other. */
static const char *conflict(const struct bench_options *options)
{
    const struct load_options *load = &options->load;
    const char *mark = strchr(load->user_format, '%');
    if (options->target == NULL)
        return "--target HOST:PORT is needed: the server to measure";
    if (strlen(load->user_format) > LOAD_USER_BYTES_MAX - 20)
        return "--user-format is too long: 300 bytes are enough";
    if (mark == NULL && load->users > 1)
        return "--user-format has no %d: then there is one user, say --users 1";
    if (mark != NULL && (mark[1] != 'd' || strchr(mark + 1, '%') != NULL))
        return "--user-format takes one %d, and no other %";
    if (options->server_pid != 0 && options->cgroup != NULL)
        return "--server-pid and --server-cgroup say the same twice; give one of them";
    if (load->is_poisson && load->rate <= 0)
        return "--arrivals poisson is about --rate, which is not given";
    if (load->scenario->workers == NULL && load->threads > load->connections)
        return "--threads is more than --connections: one without a connection would do nothing";
    return NULL;
}

int options_parse(const struct load_scenario *scenario, int argc, char *const *argv,
                  struct bench_options *options, char problem[OPTIONS_PROBLEM_BYTES])
{
    memset(options, 0, sizeof *options);
    options->load.scenario = scenario;
    int result = parse_defaults(scenario, options, problem);
    if (result == 0)
        result = parse_words(scenario, argc - 1, argv + 1, options, problem);
    if (result < 0)
        return result;
    struct load_options *load = &options->load;
    if (load->messages == 0 && load->duration_ns == 0 && !scenario->ends_itself)
        load->duration_ns = UINT64_C(10000000000);
    const char *what = conflict(options);
    if (what == NULL)
        return 0;
    snprintf(problem, OPTIONS_PROBLEM_BYTES, "%s", what);
    return -EINVAL;
}

const struct load_scenario *options_scenario(const char *name, const char **ret_suggestion)
{
    unsigned least = 3;
    *ret_suggestion = NULL;
    for (unsigned i = 0; load_scenarios[i] != NULL; i++) {
        unsigned far = option_distance(name, load_scenarios[i]->name);
        if (far == 0)
            return load_scenarios[i];
        if (far < least) {
            least = far;
            *ret_suggestion = load_scenarios[i]->name;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- help */

/* Breaks the text into lines, each but the first indented. */
static void show_text(const char *text, int indent, int width, FILE *file)
{
    while (strlen(text) > (size_t)width) {
        int cut = width;
        while (cut > 0 && text[cut] != ' ')
            cut--;
        if (cut == 0)
            break;
        fprintf(file, "%.*s\n%*s", cut, text, indent, "");
        text += cut + 1;
    }
    fprintf(file, "%s\n", text);
}

static void show_row(const struct option_row *row, FILE *file)
{
    char left[64], help[400];
    snprintf(left, sizeof left, "--%s%s%s", row->name, row->value != NULL ? " " : "",
             row->value != NULL ? row->value : "");
    snprintf(help, sizeof help, "%s%s%s%s", row->help, row->default_text != NULL ? " [" : "",
             row->default_text != NULL ? row->default_text : "",
             row->default_text != NULL ? "]" : "");
    fprintf(file, "  %-27s ", left);
    if (strlen(left) > 27)
        fprintf(file, "\n%30s", "");
    show_text(help, 30, 70, file);
}

void options_help(const struct load_scenario *scenario, FILE *file)
{
    fprintf(file, "usage: ringpost-bench %s --target HOST:PORT [options]\n\n%s.\n", scenario->name,
            scenario->summary);
    if (scenario->help != NULL)
        fprintf(file, "%s", scenario->help);
    fprintf(file, "An operation, which --rate, --messages and latency count, is %s %s.\n",
            strchr("aeiou", scenario->operation[0]) != NULL ? "an" : "a", scenario->operation);
    const char *group = NULL;
    for (unsigned i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        if (!option_is_for(row, scenario))
            continue;
        if (group != row->group)
            fprintf(file, "\n%s\n", row->group);
        group = row->group;
        show_row(row, file);
    }
    if (scenario->defaults != NULL)
        fprintf(file, "\nHere %s unless said otherwise.\n", scenario->defaults);
    fputs("\nTimes are seconds, or 500ms, 10s, 2m. Exit status: 0 done; 1 errors happened, or what "
          "was\n"
          "read back is not what was sent; 2 the command line cannot be understood; 3 nothing was\n"
          "measured; 130 interrupted (what was measured until then is written).\n",
          file);
}
