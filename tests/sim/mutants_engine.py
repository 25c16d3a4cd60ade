# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs planted into the engine, the streams and the gateway, each of which a scenario, a test or a
script must catch. Rows are those of mutants.py, which does the work."""
SECONDS_MAX = 120
HANG_IS_CAUGHT = True # every one of these has a bound of its own well below
NET = 'tests/sim/sim net --seeds 0..3000 --seconds 40'
GATEWAY = 'tests/sim/sim gateway --seeds 0..2000 --seconds 60'
RINGS = 'tests/sim/ring_fault_test'
ENGINE = 'tests/sim/engine_sim_test'
STREAM = 'tests/sim/stream_sim_test'
JOIN = 'tests/sim/sim join --seeds 0..2000 --seconds 30'
JOINED = 'tests/sim/join_sim_test'
SCRIPT = 'tests/script/script_sim --seconds 30 tests/script/'
SIEVE = SCRIPT + 'front_sieve.t'

MUTANTS = [
    ('a full table is not tried again', 'src/net/listener.c',
     'timer_set(listener->core, &listener->retry, core_now_ns(listener->core) + RETRY_NS);',
     '(void)RETRY_NS;', RINGS),
    ('a full table is tried again in a loop', 'src/net/listener.c',
     'timer_set(listener->core, &listener->retry, core_now_ns(listener->core) + RETRY_NS);\n'
     '        return;', '(void)RETRY_NS;', RINGS),
    ('a starved receive is forgotten', 'src/engine/buffer.c',
     '        starved->arm(starved);', '        (void)starved;', RINGS),
    ('completions are lost when the queue is full', 'src/engine/ring.c',
     '            backlog_fill(core);',
     '            core->ring.cq.khead[0] = core->ring.cq.ktail[0];', RINGS),
    ('a short send passes as success', 'src/net/write.c',
     'part = (uint32_t)result < size ? (uint32_t)result : size;', 'part = size;', NET),
    ('what is being sent for another is freed under the send', 'src/net/write.c',
     'if (stream->passage != NULL && !op_busy(&stream->send))', 'if (stream->passage != NULL)',
     JOIN),
    ('a short send of a passage passes as one byte less', 'src/net/join.c',
     'first->start += (uint32_t)left;', 'first->start = first->end - 1;', JOINED),
    ('a closed stream stays joined', 'src/net/join.c',
     '    other->joined = NULL;\n', '', JOINED),
    ('the end of a joined stream is told before its bytes are sent', 'src/net/join.c',
     'return takes_nothing(to) || stream_is_at_rest(to);', 'return true;', JOINED),
    ('a peer that does not read holds receive buffers', 'src/net/join.c',
     '        passage_settle(stream);', '        (void)passage_settle;', JOINED),
    ('a stream in bulk receives ahead', 'src/net/stream.c',
     '} else if (stream->input == NULL) {', '} else {', JOINED),
    ('a stream stays in bulk for good', 'src/net/join.c',
     'if (stream->small_receives == BULK_SMALL_MAX)', 'if (false)', JOINED),
    ('a moving stream has no deadline', 'src/net/move.c',
     '    output_kick(stream);\n    stream_pump(stream);\n    stream_attend(stream);\n}',
     '    timer_clear(stream->core, &stream->deadline);\n    output_kick(stream);\n'
     '    stream_pump(stream);\n    stream_attend(stream);\n}', NET),
    ('the last look at a paused stream is never the last', 'src/net/stream.c',
     '    stream->state &= ~(unsigned)PAUSED; /* nobody resumes what is dropped here */\n', '',
     NET),
    ('a sleeping core is not woken', 'src/engine/message.c',
     '        kernel_wake(to->kernel);', '        (void)to->kernel;', ENGINE),
    ('fibers of a core run on in the order of their waking, backwards', 'src/engine/message.c',
     '        newest->next = oldest;\n        oldest = newest;',
     '        oldest = oldest == NULL ? newest : oldest;', ENGINE),
    ('bytes of a literal are lines', 'src/sieve/reader.c',
     'if (scanned == SIEVE_LINE_WHOLE)', 'if (scanned != SIEVE_LINE_LOST)', SIEVE),
    ('a user of scripts is told so, and not joined', 'src/sieve/login.c',
     '    proxy_join(session);\n', '', SIEVE),
    ('a store of scripts is gone without a word', 'src/sieve/sieve.c',
     '{SESSION_END_BACKEND_LOST, "TRYLATER", "The server of the scripts was lost"},', '', SIEVE),
    ('a password is not looked at where scripts are kept', 'src/sieve/login.c',
     '    if (result < 0) {\n        refuse(session, front_refusals, result);',
     '    if (result < -1000) {\n        refuse(session, front_refusals, result);', SIEVE),
    ('mail is acknowledged whatever the store says', 'src/smtp/deliver.c',
     'store_deliver(', '0 * store_deliver(', GATEWAY),
    ('a failed allocation of a listener is fatal', 'src/net/listener.c',
     'for (unsigned i = 0; arrival == NULL && i < SPARES; i++)',
     'for (unsigned i = SPARES; arrival == NULL && i < SPARES; i++)', SCRIPT + 'line.t'),
]
