/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plays conformance scripts (their format: script.h). Linked with a place it is one of two
 * programs: script_linux plays each script once over real sockets; script_sim plays it
 *
 *   as it is        with honest clients beside it, and once more with two cores
 *   cut             the clients' bytes in one segment, byte by byte, and in two at every offset
 *   fail, memory    every single operation (file, socket, call), every allocation fails in turn:
 *                   the server neither dies nor falls silent, ends at rest, starts again, and what
 *                   was acknowledged is there; every second time after a power cut instead
 *
 * After each play the server is ended (power cut, or well), started afresh, and the sections that
 * were acknowledged are played.
 *
 *   script_sim|script_linux [--seconds N] [--only as-is|cut|fail|memory] [--at N] SCRIPT...
 *
 * --seconds bounds each script: offsets and operations are then taken at equal distances. --at
 * plays one of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "place.h"
#include "play.h"

static const struct host *const hosts[] = {&host_line, &host_gateway, &host_front, &host_sieve};

struct arguments {
    uint64_t seconds, at;
    const char *only;
    bool verbose;
};

static struct now_playing {
    const char *path, *mode;
    uint64_t at;
} now_playing;

static void aborted(int signal_number)
{
    char text[300];
    int size = snprintf(text, sizeof text, "%s, %s %llu: signal %d\n", now_playing.path,
                        now_playing.mode, (unsigned long long)now_playing.at, signal_number);
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct host *host_of(const struct script *script)
{
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strcmp(hosts[i]->name, script->host) == 0)
            return hosts[i];
    fprintf(stderr, "%s: no host \"%s\" in this build\n", script->path, script->host);
    exit(2);
}

static bool report(const struct play *play, const char *what, const char *why)
{
    printf("%s:%u: %s %llu: %s%s%s\n", play->script->path, play->line, now_playing.mode,
           (unsigned long long)now_playing.at, what, why[0] != '\0' ? ": " : "", why);
    fflush(stdout);
    return false;
}

static int start_patiently(struct place *place)
{
    int result = place_start(place);
    for (int tries = 0; tries < 20 && result == -EWOULDBLOCK; tries++) {
        place_pass(place, 500000000);
        result = place_start(place);
    }
    return result;
}

/* The server ends, starts again without failures, and shows what it acknowledged. */
static bool check_sections(struct play *play, enum place_crash how)
{
    const char *why = place_down(play->place, how);
    if (why != NULL)
        return report(play, "at its end", why);
    place_heal(play->place);
    bool any = false;
    for (unsigned i = 0; i < play->script->section_count; i++)
        any = any || play->acked[i];
    if (!any)
        return true;
    int result = start_patiently(play->place);
    if (result < 0)
        return report(play, "it does not start again", strerror(-result));
    for (unsigned i = 0; i < play->script->section_count; i++)
        if (play->acked[i] && play_section(play, i) != PLAY_DONE)
            return report(play, "what was acknowledged is not there", play->why);
    why = place_down(play->place, PLACE_RESTART);
    return why == NULL || report(play, "at its end", why);
}

/* One play. ret_operations, ret_bytes: how many more there could be of the other modes. */
static bool play_once(const struct script *script, const struct place_options *options,
                      bool with_honest, uint64_t *ret_operations, uint64_t *ret_bytes)
{
    struct play play = {.script = script, .with_honest = with_honest};
    bool may_fail = options->fail_nth > 0;
    play.place = place_begin(host_of(script), options);
    play.services = host_of(script)->services;
    int started = start_patiently(play.place);
    enum play_end end = started < 0 ? PLAY_OTHER : play_main(&play);
    if (started < 0)
        snprintf(play.why, sizeof play.why, "it does not start: %s", strerror(-started));
    *ret_operations = place_operations(play.place);
    *ret_bytes = place_bytes_sent(play.place);
    bool is_good = end == PLAY_DONE || (may_fail && end == PLAY_OTHER);
    if (!is_good)
        report(&play, "", play.why);
    bool cut = may_fail ? options->fail_nth % 2 == 0 : options->cut_at % 2 == 0;
    bool is_simulated = place_is_simulated();
    if (is_good)
        is_good = check_sections(&play, is_simulated && cut ? PLACE_POWER_CUT : PLACE_RESTART);
    play.with_honest = false;
    place_end(play.place);
    return is_good;
}

/* ---------------------------------------------------------------- modes */

struct tally {
    uint64_t plays, failures, operations, bytes;
};

static void one_play(const struct script *script, const struct place_options *options,
                     const char *mode, uint64_t at, bool with_honest, struct tally *tally)
{
    now_playing.path = script->path;
    now_playing.mode = mode;
    now_playing.at = at;
    uint64_t operations, bytes;
    if (!play_once(script, options, with_honest, &operations, &bytes))
        tally->failures++;
    tally->plays++;
    tally->operations = operations;
    tally->bytes = bytes;
}

static bool wanted(const struct arguments *arguments, const struct script *script, const char *mode,
                   unsigned bit)
{
    return !(script->modes_left_out & bit) &&
           (arguments->only == NULL || strcmp(arguments->only, mode) == 0);
}

/* Numbers 1..count, all or as many as fit into the time, at equal distances. */
static void sweep(const struct arguments *arguments, const struct script *script,
                  const struct place_options *base, const char *mode, uint64_t count,
                  int64_t until_ms, struct tally *tally)
{
    uint64_t first = arguments->at > 0 ? arguments->at : 1, stride = 1, done = 0;
    int64_t begin = now_ms();
    for (uint64_t n = first; n <= count || arguments->at > 0; n += stride) {
        struct place_options options = *base;
        if (strcmp(mode, "cut") == 0) {
            options.cut = PLACE_CUT_AT;
            options.cut_at = n;
        } else {
            options.fail_nth = n;
        }
        one_play(script, &options, mode, n, false, tally);
        if (arguments->at > 0 || tally->failures > 10)
            return;
        done++;
        int64_t spent = now_ms() - begin + 1, left = until_ms - now_ms();
        if (left <= 0)
            return;
        if (done % 8 == 0) { /* how many more fit? */
            uint64_t fit = (uint64_t)left * done / (uint64_t)spent + 1;
            stride = (count - n) / fit + 1;
        }
    }
}

static void play_cuts(const struct arguments *arguments, const struct script *script,
                      const struct place_options *base, int64_t until_ms, struct tally *tally)
{
    struct place_options options = *base;
    uint64_t bytes = tally->bytes;
    if (arguments->at == 0) {
        options.cut = PLACE_CUT_WHOLE;
        one_play(script, &options, "whole", 0, false, tally);
        options.cut = PLACE_CUT_SINGLE;
        one_play(script, &options, "byte by byte", 0, false, tally);
    }
    sweep(arguments, script, base, "cut", bytes, until_ms, tally);
}

static void play_failures(const struct arguments *arguments, const struct script *script,
                          const struct place_options *base, const char *mode, unsigned kinds,
                          int64_t until_ms, struct tally *tally)
{
    struct place_options options = *base;
    options.fail_kinds = kinds;
    one_play(script, &options, "counting", 0, false, tally);
    uint64_t count = tally->operations;
    sweep(arguments, script, &options, mode, count, until_ms, tally);
}

static struct tally play_simulated(const struct arguments *arguments, const struct script *script)
{
    enum { MEMORY_KIND = 8 };
    struct tally tally = {0};
    struct place_options options = {.cores = script->cores, .seed = 1};
    int64_t begin = now_ms(), budget = (int64_t)arguments->seconds * 1000;
    bool with_honest = !(script->modes_left_out & SCRIPT_HONEST_MODE);
    one_play(script, &options, "as is", 0, with_honest, &tally);
    struct place_options more = options;
    more.cores = 2;
    more.seed = 2;
    if (script->cores == 1 && wanted(arguments, script, "as-is", 0))
        one_play(script, &more, "on two cores", 0, with_honest, &tally);
    one_play(script, &options, "alone", 0, false, &tally);
    if (tally.failures > 0)
        return tally;
    if (wanted(arguments, script, "cut", SCRIPT_SPLIT))
        play_cuts(arguments, script, &options, begin + budget / 3, &tally);
    if (wanted(arguments, script, "fail", SCRIPT_FAIL))
        play_failures(arguments, script, &options, "fail", 0, begin + budget * 3 / 4, &tally);
    if (wanted(arguments, script, "memory", SCRIPT_FAIL))
        play_failures(arguments, script, &options, "memory", MEMORY_KIND, begin + budget, &tally);
    return tally;
}

static struct tally play_linux(const struct script *script)
{
    struct tally tally = {0};
    struct place_options options = {.cores = script->cores, .seed = 1};
    if (!(script->modes_left_out & SCRIPT_LINUX))
        one_play(script, &options, "on the real kernel", 0,
                 !(script->modes_left_out & SCRIPT_HONEST_MODE), &tally);
    return tally;
}

int main(int count, char **words)
{
    struct arguments arguments = {.seconds = 3600};
    int status = 0, scripts = 0;
    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : "";
        if (strcmp(words[i], "--seconds") == 0) {
            arguments.seconds = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(words[i], "--at") == 0) {
            arguments.at = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(words[i], "--only") == 0) {
            arguments.only = value;
            i++;
        } else {
            struct script *script = script_read(words[i]);
            int64_t begin = now_ms();
            struct tally tally =
                place_is_simulated() ? play_simulated(&arguments, script) : play_linux(script);
            printf("%s: %llu plays, %llu failed, %lld ms\n", words[i],
                   (unsigned long long)tally.plays, (unsigned long long)tally.failures,
                   (long long)(now_ms() - begin));
            fflush(stdout);
            status |= tally.failures > 0;
            script_free(script);
            scripts++;
        }
    }
    if (scripts == 0) {
        fprintf(stderr, "usage: script [--seconds N] [--only as-is|cut|fail|memory] [--at N] "
                        "SCRIPT ...\n");
        return 2;
    }
    return status;
}
