/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One value of one option: read strictly, and told what is allowed when it is not; written back as
 * text.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "options.h"

static int refuse(const struct option_row *row, const char *value, char *problem,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

static int refuse(const struct option_row *row, const char *value, char *problem,
                  const char *format, ...)
{
    char wanted[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(wanted, sizeof wanted, format, arguments);
    va_end(arguments);
    snprintf(problem, OPTIONS_PROBLEM_BYTES, "--%s %.60s: %s is wanted", row->name, value, wanted);
    return -EINVAL;
}

/* "12", "0.5": digits with at most one point, and what follows in *ret_rest. False: no number. */
static bool read_decimal(const char *text, double *ret_value, const char **ret_rest)
{
    size_t whole = strspn(text, "0123456789"), part = 0;
    if (text[whole] == '.')
        part = strspn(text + whole + 1, "0123456789");
    size_t size = whole + (text[whole] == '.' ? 1 + part : 0);
    if (whole == 0 || size > 30)
        return false;
    double value = 0, unit = 1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.') {
            unit = 0.1;
            continue;
        }
        double digit = text[i] - '0';
        if (i < whole)
            value = value * 10 + digit;
        else {
            value += digit * unit;
            unit /= 10;
        }
    }
    *ret_value = value;
    *ret_rest = text + size;
    return true;
}

static int set_number(const struct option_row *row, const char *value, void *member, char *problem)
{
    uint64_t number;
    if (!slice_number(slice_cstr(value), row->max, &number) || number < row->min)
        return refuse(row, value, problem, "a number from %" PRIu64 " to %" PRIu64, row->min,
                      row->max);
    if (row->kind == OPTION_UNSIGNED)
        *(unsigned *)member = (unsigned)number;
    else
        *(uint64_t *)member = number;
    return 0;
}

static int set_rate(const struct option_row *row, const char *value, double *member, char *problem)
{
    double rate;
    const char *rest;
    if (!read_decimal(value, &rate, &rest) || *rest != '\0' || rate < 0.001 ||
        rate > (double)row->max)
        return refuse(row, value, problem, "operations a second, from 0.001 to %" PRIu64, row->max);
    *member = rate;
    return 0;
}

static int set_time(const struct option_row *row, const char *value, uint64_t *member,
                    char *problem)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 6e10}};
    double number;
    const char *rest;
    if (read_decimal(value, &number, &rest))
        for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
            double ns = number * units[i].ns;
            if (strcmp(rest, units[i].unit) != 0 || ns < (double)row->min * 1e6 ||
                ns > (double)row->max * 1e6)
                continue;
            *member = (uint64_t)ns;
            return 0;
        }
    return refuse(row, value, problem, "a time from %gs to %gs (500ms, 10s, 2m)",
                  (double)row->min / 1e3, (double)row->max / 1e3);
}

static int set_size(const struct option_row *row, const char *value, unsigned *member,
                    char *problem)
{
    double number, factor = 1;
    const char *rest;
    if (strcmp(value, "real") == 0) {
        *member = 0;
        return 0;
    }
    bool is_number = read_decimal(value, &number, &rest);
    if (is_number && (*rest == 'k' || *rest == 'K'))
        factor = 1024;
    else if (is_number && (*rest == 'm' || *rest == 'M'))
        factor = 1048576;
    if (!is_number || strlen(rest) != (factor > 1) || number * factor < (double)row->min ||
        number * factor > (double)row->max)
        return refuse(row, value, problem,
                      "real, or bytes from %" PRIu64 " to %" PRIu64 " (10k, 1m)", row->min,
                      row->max);
    *member = (unsigned)(number * factor);
    return 0;
}

/* Which of the words it is. */
static int set_word(const struct option_row *row, const char *value, const char *const *words,
                    unsigned *ret_index, char *problem)
{
    for (unsigned i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], value) == 0) {
            *ret_index = i;
            return 0;
        }
    return refuse(row, value, problem, "one of %s", row->value);
}

static const char *const arrivals_words[] = {"even", "poisson", NULL};
static const char *const tls_words[] = {"none", "start", "implicit", NULL};
static const char *const version_words[] = {"1.3", "1.2", NULL};

static int add_text(const struct option_row *row, const char *value, const char **texts,
                    unsigned *count, unsigned most, char *problem)
{
    if (*count == most)
        return refuse(row, value, problem, "at most %u times --%s", most, row->name);
    texts[(*count)++] = value;
    return 0;
}

int option_set(const struct option_row *row, const char *value, struct bench_options *options,
               char problem[OPTIONS_PROBLEM_BYTES])
{
    char *member = (char *)options + row->offset;
    unsigned index = 0;
    int result = 0;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)member = true;
        break;
    case OPTION_FLAG_OFF:
        *(bool *)member = false;
        break;
    case OPTION_UNSIGNED:
    case OPTION_U64:
        return set_number(row, value, member, problem);
    case OPTION_RATE:
        return set_rate(row, value, (double *)(void *)member, problem);
    case OPTION_TIME:
        return set_time(row, value, (uint64_t *)(void *)member, problem);
    case OPTION_SIZE:
        return set_size(row, value, (unsigned *)(void *)member, problem);
    case OPTION_TEXT:
        if (*value == '\0')
            return refuse(row, value, problem, "%s, not an empty text,", row->value);
        *(const char **)(void *)member = value;
        break;
    case OPTION_ARRIVALS:
        result = set_word(row, value, arrivals_words, &index, problem);
        *(bool *)member = index == 1;
        break;
    case OPTION_TLS_VERSION:
        result = set_word(row, value, version_words, &index, problem);
        *(bool *)member = index == 1;
        break;
    case OPTION_TLS:
        result = set_word(row, value, tls_words, &index, problem);
        options->tls = (enum load_tls)index;
        options->has_tls = true;
        break;
    case OPTION_ALSO:
        return add_text(row, value, options->also, &options->also_count, OPTIONS_ALSO_MAX, problem);
    case OPTION_OWNED:
        return add_text(row, value, options->owned, &options->owned_count, OPTIONS_OWNED_MAX,
                        problem);
    }
    return result;
}

void option_text(const struct option_row *row, const struct bench_options *options, char *text,
                 size_t size)
{
    const void *member = (const char *)options + row->offset;
    const char *word = NULL;
    switch (row->kind) {
    case OPTION_FLAG:
    case OPTION_FLAG_OFF:
        word = *(const bool *)member ? "true" : "false";
        break;
    case OPTION_UNSIGNED:
        snprintf(text, size, "%u", *(const unsigned *)member);
        return;
    case OPTION_U64:
        snprintf(text, size, "%" PRIu64, *(const uint64_t *)member);
        return;
    case OPTION_RATE:
        snprintf(text, size, "%g", *(const double *)member);
        return;
    case OPTION_TIME:
        snprintf(text, size, "%g", (double)*(const uint64_t *)member / 1e9);
        return;
    case OPTION_SIZE:
        snprintf(text, size, "%u", *(const unsigned *)member);
        word = *(const unsigned *)member == 0 ? "real" : NULL;
        break;
    case OPTION_TEXT:
        word = *(const char *const *)member;
        word = word != NULL ? word : "";
        break;
    case OPTION_ARRIVALS:
        word = arrivals_words[*(const bool *)member];
        break;
    case OPTION_TLS_VERSION:
        word = version_words[*(const bool *)member];
        break;
    case OPTION_TLS:
        word = tls_words[options->tls];
        break;
    case OPTION_ALSO:
    case OPTION_OWNED:
        word = "";
        break;
    }
    if (word != NULL)
        snprintf(text, size, "%s", word);
}

unsigned option_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 40 };
    size_t rows = strlen(a), columns = strlen(b);
    unsigned before[WORD_MAX + 1];
    if (rows > WORD_MAX || columns > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= columns; j++)
        before[j] = j;
    for (unsigned i = 1; i <= rows; i++) {
        unsigned diagonal = before[0];
        before[0] = i;
        for (unsigned j = 1; j <= columns; j++) {
            unsigned changed = diagonal + (ascii_lower(a[i - 1]) != b[j - 1]);
            unsigned shorter = before[j] < before[j - 1] ? before[j] : before[j - 1];
            diagonal = before[j];
            before[j] = changed < shorter + 1 ? changed : shorter + 1;
        }
    }
    return before[columns];
}
