/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands of an IMAP session, drawn by weights. Messages are drawn evenly among those that the
 * session knows of. Where the mailbox is empty, what needs a message appends one instead.
 */
#include "imap_mix.h"

#include <errno.h>
#include <stdio.h>

enum { LISTED_AT_ONCE = 20 };

const char IMAP_MIX_DEFAULT[] = "fetch=60,store=10,search=5,append=20,expunge=5";

static const struct {
    struct slice name;
} actions[] = {
#define ACTION_NAME(name, text, what) {SLICE(text)},
    IMAP_ACTION_TABLE(ACTION_NAME)
#undef ACTION_NAME
};

static int find_action(struct slice name)
{
    for (int i = 0; i < IMAP_ACTION_COUNT; i++)
        if (slice_equal(actions[i].name, name))
            return i;
    return -1;
}

int imap_mix_parse(const char *text, struct imap_mix *ret_mix, char problem[200])
{
    struct imap_mix mix = {0};
    struct slice rest = slice_cstr(text);
    while (rest.size > 0) {
        struct slice part = slice_first(rest, slice_find(rest, ','));
        size_t equals = slice_find(part, '=');
        uint64_t weight;
        rest = slice_from(rest, part.size + 1);
        int action = find_action(slice_first(part, equals));
        if (action < 0 || !slice_number(slice_from(part, equals + 1), IMAP_WEIGHT_MAX, &weight)) {
            snprintf(problem, 200,
                     "'%.*s': a mix is NAME=WEIGHT,... of fetch, list, header, store, search, "
                     "append, expunge, noop; weights are 0 to %d",
                     (int)(part.size < 40 ? part.size : 40), part.data, IMAP_WEIGHT_MAX);
            return -EINVAL;
        }
        mix.total += (unsigned)weight - mix.weights[action];
        mix.weights[action] = (unsigned)weight;
    }
    if (mix.total == 0) {
        snprintf(problem, 200,
                 "a mix of nothing: give a weight above 0, as in \"fetch=60,store=10\"");
        return -EINVAL;
    }
    *ret_mix = mix;
    return 0;
}

static enum imap_action draw(const struct imap_mix *mix, uint64_t *random)
{
    unsigned at = random_below(random, mix->total), action = 0;
    while (at >= mix->weights[action])
        at -= mix->weights[action++];
    return (enum imap_action)action;
}

int imap_play_begin(struct imap_play *play, struct load_worker *worker, unsigned user)
{
    const struct load_options *options = worker->options;
    play->user = user;
    play->commands = 0;
    play->imap.is_shared = options->users < mailbox_workers(worker);
    mailbox_check_init(&play->check, worker);
    int error = imap_connect(&play->imap, worker, worker->index);
    if (error == 0)
        error = imap_login(&play->imap, user);
    if (error == 0)
        error = imap_select(&play->imap);
    if (error != 0)
        peer_close(&play->imap.peer);
    return error;
}

static int append(struct imap_play *play, uint64_t number)
{
    struct content_message message;
    struct load_core *at = play->imap.peer.at;
    if (content_make(load_content(load_of(at)), number, &message) < 0)
        return measure_error(at, LOAD_OURS, SLICE(""));
    int error = imap_append(&play->imap, &message);
    content_release(&message);
    return error;
}

/* Another session may have expunged it meanwhile: then nothing is marked and nothing goes, and
 * neither is an error. */
static int expunge(struct imap_play *play, uint32_t sequence)
{
    struct imap *imap = &play->imap;
    uint32_t uid = (imap->peer.capabilities & IMAP_UIDPLUS) ? imap->uid : 0;
    int error = imap_store(imap, uid, sequence, true, "\\Deleted");
    if (error == 0)
        error = imap_expunge_uid(imap, uid);
    imap->uid = 0;
    return error;
}

static int search(struct imap_play *play, unsigned kind)
{
    static const char *const criteria[] = {"UNSEEN", "SINCE 1-Jan-2020 SMALLER 20000",
                                           "SUBJECT report"};
    return imap_search(&play->imap, criteria[kind]);
}

int imap_play_command(struct imap_play *play, uint64_t number)
{
    struct imap *imap = &play->imap;
    uint64_t *random = &imap->worker->random;
    enum imap_action action = draw(play->mix, random);
    bool needs_message =
        action != IMAP_DO_APPEND && action != IMAP_DO_SEARCH && action != IMAP_DO_NOOP;
    play->commands++;
    if (needs_message && imap->exists == 0)
        action = IMAP_DO_APPEND;
    uint32_t sequence = imap->exists > 0 ? 1 + random_below(random, imap->exists) : 0;
    uint32_t last =
        imap->exists - sequence < LISTED_AT_ONCE ? imap->exists : sequence + LISTED_AT_ONCE - 1;
    switch (action) {
    case IMAP_DO_FETCH:
        return imap_fetch(imap, sequence, sequence,
                          imap->worker->options->verifies ? &play->check.reader : NULL);
    case IMAP_DO_LIST:
        return imap_list(imap, sequence, last);
    case IMAP_DO_HEADER:
        return imap_header(imap, sequence);
    case IMAP_DO_STORE:
        return imap_store(imap, imap->uid, sequence, random_u64(random) & 1, "\\Seen");
    case IMAP_DO_SEARCH:
        return search(play, random_below(random, 3));
    case IMAP_DO_APPEND:
        return append(play, number);
    case IMAP_DO_EXPUNGE:
        return expunge(play, sequence);
    default:
        return imap_noop(imap);
    }
}
