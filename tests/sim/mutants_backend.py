# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs planted into the state of backends, each of which the test named with it must catch. Rows
are those of mutants.py, which does the work."""
SECONDS_MAX = 120
HANG_IS_CAUGHT = True # every one of these has a bound of its own well below
USER, MOVE, HEALTH, CHAOS, CHOICE = (
    'tests/sim/backend_user_sim_test', 'tests/sim/backend_move_sim_test',
    'tests/sim/backend_health_sim_test', 'tests/sim/backend_chaos_sim_test',
    'tests/unit/backend_choice_test')
USERS, EXCEPTION, STATE, CHECKS, OPEN, CHOOSE = (
    'src/backend/users.c', 'src/backend/exception.c', 'src/backend/state.c',
    'src/backend/health.c', 'src/backend/open.c', 'src/backend/choose.c')

MUTANTS = [
    ('a session at a second backend', USERS,
     '    if (row->backend != claim->backend && is_bound(row, core_now_ns(core)))\n'
     '        return -EAGAIN;\n',
     '', USER),
    ('the hash moves who is there', USERS,
     'if (member != NULL && is_bound(row, now_ns) && !is_down(member))',
     'if (0)', USER),
    ('two log-ins at once, two backends', USERS,
     'if (member != NULL && row->pending > 0 && if_usable(choice, member, now_ns) != NULL)',
     'if (0)', USER),
    ('a log-in gets through in a hold', USERS,
     'if (hold_ns > core_now_ns(core) || is_moved || is_cut)',
     'if (is_moved || is_cut)', CHAOS),
    ('a log-in overlaps a move', USERS,
     'if (hold_ns > core_now_ns(core) || is_moved || is_cut)',
     'if (hold_ns > core_now_ns(core) || is_cut)', MOVE),
    ('a log-in at a backend that was put down', USERS,
     'if (hold_ns > core_now_ns(core) || is_moved || is_cut)',
     'if (hold_ns > core_now_ns(core) || is_moved)', USER),
    ('an exception without its backend keeps the user out', USERS,
     'wanted != claim->wanted && ',
     '', MOVE),
    ('affinity to where he was', USERS,
     '    row->affinity_end_ns = 0;\n',
     '', USER),
    ('no affinity', USERS,
     'row->affinity_end_ns = end_ns;',
     'row->affinity_end_ns = 0;', USER),
    ('sessions counted at the wrong backend', USERS,
     '    row->elsewhere += row->sessions;\n'
     '    row->sessions = 0;\n',
     '', USER),
    ('a moved user fails over', USERS,
     '    if (member != NULL)\n'
     '        return if_usable(choice, member, now_ns);\n',
     '    if (member != NULL && if_usable(choice, member, now_ns))\n'
     '        return member;\n', MOVE),
    ('a backend that is put down keeps its users', USERS,
     'return !backend_is_up(member) || backend_will_of(member->backend) == BACKEND_DOWN;',
     'return !backend_is_up(member);', USER),
    ('an address of the directory binds', USERS,
     '!row->backend->is_elsewhere',
     'true', MOVE),
    ('a hold taken back wakes nobody', EXCEPTION,
     '        waiters_wake_all(core, &row->held->waiters);',
     '        (void)0;', MOVE),
    ('log-ins held without end', EXCEPTION,
     'held->count < EXCEPTION_HELD_MAX',
     'true', MOVE),
    ('exceptions lost from the count', EXCEPTION,
     '        atomic_fetch_sub(&backends->states->exceptions, 1);\n'
     '            return -ENOSPC',
     '        return -ENOSPC', MOVE),
    ('dead one failure late', STATE,
     '(old & FAILURES) + 1 < down_after',
     '(old & FAILURES) + 2 < down_after', HEALTH),
    ('alive one success early', STATE,
     '(old & SUCCESSES) / SUCCESS + 1 < up_after',
     '(old & SUCCESSES) / SUCCESS < up_after', USER),
    ('successes that are not in a row', STATE,
     '        new = DEAD;\n'
     '        if (!(old',
     '        new = old & DEAD ? old : DEAD;\n'
     '        if (!(old', HEALTH),
    ('what is no failure to connect', STATE,
     'if (!is_connect || backend->is_elsewhere)',
     'if (backend->is_elsewhere)', HEALTH),
    ('all log-ins try a dead one', STATE,
     'atomic_compare_exchange_strong(retry_ns, &old, now_ns + RETRY_NS)',
     'true', HEALTH),
    ('log-ins try what checks call dead', STATE,
     'member->pool->options->health_ms == 0 && now_ns >= old &&',
     'now_ns >= old &&', HEALTH),
    ('a turn at a dead backend', STATE,
     '    /* The turn was handed over: under_way counts us already. */\n'
     '    if (passes(',
     '    if (1 || passes(', HEALTH),
    ('a turn too few comes back', STATE,
     '    if (connecting->waiters.first != NULL)\n'
     '        waiters_wake_one(core, &connecting->waiters);\n'
     '    else\n',
     '    if (connecting->waiters.first != NULL)\n'
     '        waiters_wake_one(core, &connecting->waiters);\n', HEALTH),
    ('a refusal is silence', CHECKS,
     'return result == 0 || core_now_ns(core) < deadline_ns;',
     'return result == 0;', HEALTH),
    ('silence has no end', CHECKS,
     '    check->is_silent = !is_heard;\n',
     '    check->is_silent |= !is_heard;\n', HEALTH),
    ('nobody hurries', STATE,
     '    if (!atomic_exchange(&backend->hurries, true))\n'
     '        core_post(core, backend->index % core_count(core), &backend->hurry);',
     '    (void)core;', HEALTH),
    ('a refused connection is counted', STATE,
     '    backend_give(backend);\n'
     '    return -EUSERS;',
     '    return -EUSERS;', USER),
    ('want of memory makes backends dead', CHECKS,
     'result != -ENOMEM && result != -ENFILE && result != -EMFILE',
     'true', HEALTH),
    ('a dead service is asked in turn', CHECKS,
     'check->is_first || backend_is_suspect(member)',
     'check->is_first', HEALTH),
    ('one protocol is asked for ever', CHECKS,
     '        check->next_protocol = (protocol + 1) % BACKEND_PROTOCOL_COUNT;\n',
     '', HEALTH),
    ('a check does not keep its table', CHECKS,
     '    check->asked = check->member;\n'
     '    generation_enter(',
     '    check->asked = check->member;\n'
     '    (void)(', HEALTH),
    ('a check is freed beneath its fiber', CHECKS,
     '    if (!check->is_running)\n'
     '        free(check);',
     '    free(check);', HEALTH),
    ('the end does not wait for checks', CHECKS,
     '    while (backends->checks_running > 0)\n'
     '        waiters_wait(backends->core, &backends->checks_ended, 0);\n',
     '', HEALTH),
    ('a removed backend is counted', CHECKS,
     '    timer_clear(check->backends->core, &check->timer);\n'
     '    count(check, false);',
     '    timer_clear(check->backends->core, &check->timer);', HEALTH),
    ('old capabilities', OPEN,
     '(*common)->version != version',
     'false', HEALTH),
    ('dead backends have a say', OPEN,
     '!backend_is_alive(member->backend, protocol) ||',
     '', HEALTH),
    ('a backend that came back takes all at once', CHOOSE,
     'if (since_ns == 0 || since_ns + whole_ns <= now_ns)',
     'if (true)', HEALTH),
    ('other gateways choose otherwise', CHOOSE,
     'a->hash != b->hash ? a->hash > b->hash',
     'a->hash != b->hash ? a->hash < b->hash', CHOICE),
    ('the order in the config chooses', CHOOSE,
     'hash_u64(user ^ member->hash)',
     'hash_u64(user + i)', CHOICE),
    ('tags', CHOOSE,
     '!slice_equal(member->options->tag, choice->tag)',
     'false', CHOICE),
    ('a wrong logarithm', CHOOSE,
     'mantissa = (uint64_t)(square >> (63 + carry));',
     'mantissa = (uint64_t)(square >> 63);', CHOICE),
    ('rows stay for ever', USERS,
     '    if (row != NULL && row_is_over(row, backends))\n'
     '        rows_remove(&backends->users, row);\n'
     '    free(claim);',
     '    free(claim);', USER),
]
