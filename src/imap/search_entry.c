/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Search keys that an index entry answers: flags, numbers, sizes, dates. They run for every message
 * of the view, so they are plain comparisons.
 */
#include "search.h"

enum { DAY_SECONDS = 86400 };

/* The day of INTERNALDATE as it was given: "disregarding time and timezone" (RFC 9051 6.4.4). */
static int64_t entry_day(const struct mail_entry *entry)
{
    int64_t local;
    if (__builtin_add_overflow(entry->date, (int64_t)entry->date_zone * 60, &local))
        local = entry->date;
    return local / DAY_SECONDS - (local % DAY_SECONDS < 0);
}

static bool is_match(const struct search *search, const struct search_step *step, uint32_t number,
                     const struct mail_entry *entry)
{
    switch (step->op) {
    case SEARCH_ALL:
        return true;
    case SEARCH_FLAG:
        return entry->flags & step->flag;
    case SEARCH_KEYWORD:
        return entry->keywords & step->number;
    case SEARCH_RECENT:
        return imap_is_recent(&search->imap->view, entry);
    case SEARCH_LARGER:
        return entry->size > step->number;
    case SEARCH_SMALLER:
        return entry->size < step->number;
    case SEARCH_BEFORE:
        return entry_day(entry) < step->day;
    case SEARCH_ON:
        return entry_day(entry) == step->day;
    case SEARCH_SINCE:
        return entry_day(entry) >= step->day;
    case SEARCH_NUMBERS:
    case SEARCH_UIDS:
        return imap_set_holds(&step->set, number);
    case SEARCH_MODSEQ:
        return entry->modseq >= step->number;
    default:
        assert(false && "leaves of entries come before SEARCH_HEADER");
        return false;
    }
}

void search_entry_leaves(struct search *search, uint32_t number, const struct mail_entry *entry)
{
    struct search_program *program = &search->program;
    for (uint32_t i = 0; i < program->count; i++) {
        const struct search_step *step = &program->steps[i];
        if (step->op < SEARCH_HEADER)
            program->truth[i] = is_match(search, step, number, entry) ? SEARCH_YES : SEARCH_NO;
        else if (step->op < SEARCH_NOT)
            program->truth[i] = SEARCH_UNKNOWN;
    }
}
