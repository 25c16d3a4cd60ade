/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A core's measures: one large block made before the run. Only its own thread writes; whoever reads
 * meanwhile (progress) takes each word as it is (relaxed), so a sum is of slightly different
 * moments, and exact once the run has ended.
 *
 * Seconds: the array is there from the start; the histogram of a second is made when the one before
 * begins, so that recording allocates nothing. Behind MEASURE_SECONDS_MAX, or without memory,
 * seconds are not told apart any more and the totals go on.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_private.h"

const char *load_phase_name(enum load_phase phase)
{
#define NAME(name, text, what) text,
    static const char *const names[] = {LOAD_PHASE_TABLE(NAME)};
#undef NAME
    assert(phase < PHASE_COUNT);
    return names[phase];
}

const char *load_phase_what(enum load_phase phase)
{
#define WHAT(name, text, what) what,
    static const char *const texts[] = {LOAD_PHASE_TABLE(WHAT)};
#undef WHAT
    assert(phase < PHASE_COUNT);
    return texts[phase];
}

const char *load_error_name(enum load_error error)
{
#define NAME(name, text) text,
    static const char *const names[] = {"none", LOAD_ERROR_TABLE(NAME)};
#undef NAME
    assert(error < LOAD_ERROR_COUNT);
    return names[error];
}

struct measure *measure_of(struct load_core *at)
{
    return &at->measure;
}

/* ---------------------------------------------------------------- seconds */

int measure_open(struct load_core *at)
{
    at->measure.seconds = calloc(MEASURE_SECONDS_MAX, sizeof *at->measure.seconds);
    if (at->measure.seconds == NULL)
        return -ENOMEM;
    at->measure.seconds[0].latency = calloc(1, sizeof(struct histogram));
    return at->measure.seconds[0].latency == NULL ? -ENOMEM : 0;
}

void measure_close(struct load_core *at)
{
    measure_free(&at->measure);
}

static void set_count(unsigned *word, unsigned value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static unsigned get_count(const unsigned *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Opens second `index`, and makes the histogram of the one behind it. */
static void open_second(struct load_core *at, unsigned index)
{
    struct measure *measure = &at->measure;
    if (index + 1 < MEASURE_SECONDS_MAX && measure->seconds[index + 1].latency == NULL) {
        struct histogram *latency = calloc(1, sizeof *latency);
        __atomic_store_n(&measure->seconds[index + 1].latency, latency, __ATOMIC_RELEASE);
    }
    at->second = &measure->seconds[index];
    at->second_end_ns += SECOND_NS;
    set_count(&at->second->connections, measure->connections);
    set_count(&measure->second_count, index + 1);
}

void measure_begin(struct load_core *at)
{
    at->second_end_ns = word_get(&at->load->measure_ns);
    open_second(at, 0);
}

void measure_turn(struct load_core *at)
{
    while (at->second != NULL && core_now_ns(at->core) >= at->second_end_ns) {
        unsigned next = (unsigned)(at->second - at->measure.seconds) + 1;
        set_count(&at->second->connections, at->measure.connections);
        if (next == MEASURE_SECONDS_MAX)
            at->second = NULL;
        else
            open_second(at, next);
    }
}

/* ---------------------------------------------------------------- recording */

void measure_span(struct load_core *at, enum load_phase phase, uint64_t began_ns, uint64_t end_ns)
{
    if (phase == PHASE_CONNECT)
        word_add(&at->connects, 1);
    else {
        word_set(&at->alive_ns, end_ns);
        word_set(&at->errors_since, 0);
    }
    if (at->stage == LOAD_MEASURE)
        histogram_add(&at->measure.phases[phase], end_ns > began_ns ? end_ns - began_ns : 0);
}

void measure_phase(struct load_core *at, enum load_phase phase, uint64_t began_ns)
{
    measure_span(at, phase, began_ns, load_now(at));
}

void measure_operation(struct load_core *at, uint64_t intended_ns, uint64_t end_ns)
{
    run_look(at, end_ns);
    measure_span(at, PHASE_OPERATION, intended_ns, end_ns);
    word_add(&at->measure.operations, 1);
    word_set(&at->last_ns, end_ns);
    if (at->second == NULL)
        return;
    word_add(&at->second->operations, 1);
    if (at->second->latency != NULL)
        histogram_add(at->second->latency, end_ns > intended_ns ? end_ns - intended_ns : 0);
}

/* What a server says, as one line of printable text. */
static void keep_text(char *text, size_t room, struct slice said)
{
    size_t size = said.size < room - 1 ? said.size : room - 1;
    for (size_t i = 0; i < size; i++)
        text[i] = said.data[i] >= ' ' && said.data[i] != 127 ? said.data[i] : '?';
    text[size] = '\0';
}

int measure_error(struct load_core *at, enum load_error error, struct slice said)
{
    struct measure *measure = &at->measure;
    assert(error > LOAD_FINE && error < LOAD_ERROR_COUNT);
    word_add(&measure->errors[error], 1);
    word_add(&at->errors_since, 1);
    if (at->second != NULL)
        word_add(&at->second->errors, 1);
    if (said.size == 0 || measure->example_count == MEASURE_EXAMPLES_MAX)
        return (int)error;
    for (unsigned i = 0; i < measure->example_count; i++)
        if (measure->examples[i].error == error)
            return (int)error;
    measure->examples[measure->example_count].error = error;
    keep_text(measure->examples[measure->example_count].text, MEASURE_EXAMPLE_BYTES, said);
    set_count(&measure->example_count, measure->example_count + 1);
    return (int)error;
}

void measure_bytes(struct load_core *at, uint64_t in, uint64_t out)
{
    if (at->stage != LOAD_MEASURE)
        return;
    word_add(&at->measure.bytes_in, in);
    word_add(&at->measure.bytes_out, out);
    if (at->second == NULL)
        return;
    word_add(&at->second->bytes_in, in);
    word_add(&at->second->bytes_out, out);
}

void measure_connection(struct load_core *at, int change)
{
    struct measure *measure = &at->measure;
    unsigned now = measure->connections + (unsigned)change;
    set_count(&measure->connections, now);
    if (now > measure->connections_most)
        set_count(&measure->connections_most, now);
}

/* The first byte is written last: a reader sees nothing, or all of it. */
static void publish(char *to, const char *text, size_t room)
{
    memcpy(to + 1, text + 1, room - 1);
    __atomic_store_n(to, text[0], __ATOMIC_RELEASE);
}

static bool is_published(const char *text)
{
    return __atomic_load_n(text, __ATOMIC_ACQUIRE) != '\0';
}

void measure_greeting(struct load_core *at, struct slice line)
{
    char text[MEASURE_EXAMPLE_BYTES] = "";
    if (at->measure.greeting[0] != '\0' || line.size == 0)
        return;
    keep_text(text, sizeof text, line);
    publish(at->measure.greeting, text, sizeof text);
}

void measure_tls(struct load_core *at, const char *version, const char *cipher)
{
    char text[MEASURE_TLS_BYTES] = "";
    if (at->measure.tls[0] != '\0')
        return;
    snprintf(text, sizeof text, "%s %s", version, cipher);
    publish(at->measure.tls, text, sizeof text);
}

/* ---------------------------------------------------------------- reading, from any thread */

static void add_second(struct measure_second *into, const struct measure_second *from)
{
    into->operations += word_get(&from->operations);
    into->errors += word_get(&from->errors);
    into->bytes_in += word_get(&from->bytes_in);
    into->bytes_out += word_get(&from->bytes_out);
    into->connections += get_count(&from->connections);
}

static void add_examples(struct measure *sum, const struct measure *from)
{
    unsigned count = get_count(&from->example_count);
    for (unsigned i = 0; i < count && sum->example_count < MEASURE_EXAMPLES_MAX; i++) {
        bool is_known = false;
        for (unsigned j = 0; j < sum->example_count; j++)
            is_known = is_known || sum->examples[j].error == from->examples[i].error;
        if (!is_known)
            sum->examples[sum->example_count++] = from->examples[i];
    }
}

static void add_core(struct measure *sum, const struct measure *from, unsigned second_count)
{
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        histogram_merge(&sum->phases[i], &from->phases[i]);
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum->errors[i] += word_get(&from->errors[i]);
    sum->operations += word_get(&from->operations);
    sum->bytes_in += word_get(&from->bytes_in);
    sum->bytes_out += word_get(&from->bytes_out);
    sum->verified += word_get(&from->verified);
    sum->missing += word_get(&from->missing);
    sum->altered += word_get(&from->altered);
    sum->doubled += word_get(&from->doubled);
    sum->connections += get_count(&from->connections);
    sum->connections_most += get_count(&from->connections_most);
    for (unsigned i = 0; i < second_count && i < get_count(&from->second_count); i++)
        add_second(&sum->seconds[i], &from->seconds[i]);
    add_examples(sum, from);
    if (sum->greeting[0] == '\0' && is_published(from->greeting))
        memcpy(sum->greeting, from->greeting, sizeof sum->greeting);
    if (sum->tls[0] == '\0' && is_published(from->tls))
        memcpy(sum->tls, from->tls, sizeof sum->tls);
}

int measure_sum(const struct load *load, struct measure *ret_sum)
{
    unsigned second_count = 0;
    for (unsigned i = 0; i < load->core_count; i++) {
        unsigned here = get_count(&load->cores[i]->measure.second_count);
        second_count = here > second_count ? here : second_count;
    }
    struct measure_second *seconds = calloc(second_count + 1, sizeof *seconds);
    if (seconds == NULL)
        return -ENOMEM;
    memset(ret_sum, 0, sizeof *ret_sum);
    ret_sum->seconds = seconds;
    ret_sum->second_count = second_count;
    for (unsigned i = 0; i < load->core_count; i++)
        add_core(ret_sum, &load->cores[i]->measure, second_count);
    return 0;
}

void measure_second_latency(const struct load *load, unsigned second, struct histogram *into)
{
    for (unsigned i = 0; i < load->core_count; i++) {
        const struct measure *measure = &load->cores[i]->measure;
        if (second >= get_count(&measure->second_count))
            continue;
        const struct histogram *from =
            __atomic_load_n(&measure->seconds[second].latency, __ATOMIC_ACQUIRE);
        if (from != NULL)
            histogram_merge(into, from);
    }
}

void measure_free(struct measure *measure)
{
    for (unsigned i = 0;
         measure->seconds != NULL && i < measure->second_count + 1 && i < MEASURE_SECONDS_MAX; i++)
        free(measure->seconds[i].latency);
    free(measure->seconds);
    measure->seconds = NULL;
    measure->second_count = 0;
}
