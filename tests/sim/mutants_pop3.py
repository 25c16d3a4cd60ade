# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs planted into log-in, routes and POP3, each of which the test named with it must catch. Rows
are those of mutants.py, which does the work."""
SECONDS_MAX = 120
HANG_IS_CAUGHT = True # every one of these has a bound of its own well below
STORE, POP3, MAIL, PARSE = ('tests/sim/pop3_store_test', 'tests/unit/pop3_test',
                            'tests/unit/pop3_mail_test', 'tests/unit/pop3_parse_test')
AUTH, PASSWD, ROUTE = 'tests/unit/auth_test', 'tests/unit/passwd_test', 'tests/unit/route_test'
DROP, RETRIEVE, LOGIN, TABLE = ('src/pop3/maildrop.c', 'src/pop3/retrieve.c', 'src/pop3/login.c',
                                'src/pop3/pop3.c')
CHECK = 'src/auth/auth.c'

MUTANTS = [
    ('QUIT is answered before it is durable', DROP,
     'int result = session->state == POP3_TRANSACTION ? update(pop3) : 0;',
     'int result = 0; stream_write(&session->stream, SLICE("+OK Goodbye\\r\\n"));'
     'stream_flush(&session->stream); if (session->state == POP3_TRANSACTION) update(pop3);'
     'if (result == 0) { session_end(session, SESSION_END_QUIT); return; }', STORE),
    ('two sessions in one maildrop', DROP,
     'if (!mailbox_pop3_lock(mailbox))', 'if (!mailbox_pop3_lock(mailbox) && false)', MAIL),
    ('RSET keeps the counts', DROP,
     '    pop3->deleted_count = 0;\n    pop3->deleted_bytes = 0;\n', '', POP3),
    ('LIST shows what is deleted', DROP,
     '        if (is_deleted(pop3, number))\n            continue;\n', '', POP3),
    ('a dropped connection keeps the maildrop', TABLE,
     '    pop3_close_maildrop(pop3_of(session));',
     '    if (session->end == SESSION_END_QUIT)\n        pop3_close_maildrop(pop3_of(session));',
     POP3),
    ('a word to who was idle', TABLE, '    default: /* timers',
     '    case SESSION_END_IDLE:\n        pop3_error(session, -EIO);\n        break;\n'
     '    default: /* timers', POP3),
    ('a message cut short looks whole', RETRIEVE,
     '        session_end(session, SESSION_END_STORE);\n        return 0;', '        got = 0;',
     MAIL),
    ('last words inside a message', RETRIEVE, '    pop3->is_mute = true;\n', '', MAIL),
    ('PASS twice for one USER', LOGIN, '    session->state = POP3_AUTHORIZATION;\n', '', POP3),
    ('blanks of a password are lost', LOGIN,
     '    if (begin < end)\n        begin++;', '    begin = line->arguments.data;', POP3),
    ('an end that only readers of LF see', 'src/session/dot.c',
     'encoder->is_bare = !encoder->in_line && !had_cr;',
     'encoder->is_bare = had_cr && encoder->in_line && false;', MAIL),
    ('a dot behind a bare LF ends the message', 'src/session/dot.c',
     "&& at[-1] != '\\n')", "&& (at[-1] != '\\n' || at < in.data + 2 || at[-2] != '\\r'))", PARSE),
    ('TOP sees a blank line at a split', 'src/pop3/cut.c',
     "cut->is_line_begun ? size == 0 && cut->before == '\\r' : size == 0 || is_cr",
     'size == 0 || is_cr', PARSE),
    ('message number 0', 'src/pop3/parse.c', ' || value == 0', '', PARSE),
    ('a cached password is good for all users', CHECK,
     'recent_tag_of(&auth->cache_key, text, size + 1 + password.size)',
     'recent_tag_of(&auth->cache_key, text + size, 1 + password.size)', AUTH),
    ('a locked account logs in', CHECK, 'attempt->user = AUTH_NO_USER; /* A2 */',
     'attempt->hash = slice_from(hash, 1);', AUTH),
    ('guesses keep out who was there before', CHECK,
     ' || recent_find(&auth->known, &attempt->place, now) != NULL', '', AUTH),
    ('the queue of hashes has no end', CHECK,
     '    if (auth->waiting >= auth->options->waiting_max)\n        return -EAGAIN;\n', '', AUTH),
    ('a network is more than its addresses', CHECK, 'family == 4 ? 4 : 6);',
     'family == 4 ? 1 : 3);', AUTH),
    ('an unknown user costs nothing', CHECK,
     '    int result = verify(auth, attempt);',
     '    int result = attempt->user == AUTH_NO_USER ? 0 : verify(auth, attempt);', AUTH),
    ('the same user twice in the file', 'src/auth/users.c',
     'if (slot->index != 0) {', 'if (slot->index == UINT32_MAX) {', PASSWD),
    ('two readings of one SASL message', 'src/auth/sasl.c',
     '        if (out[--size] != 0)\n            return false;', '        --size;', PASSWD),
    ('aliases in a loop', 'src/route/find.c',
     'if (expansion->steps[at].alias == by) {', 'if (expansion->steps[at].depth > 99) {', ROUTE),
    ('a sub-address is another user', 'src/route/find.c',
     'if (end < step.local.size)', 'if (end > step.local.size)', ROUTE),
]
