/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The program: its table of commands. The start-up order of `serve` is in serve.c.
 *
 * To add a command: a row here, its function (command.h), a test in tests/e2e.
 */
#include "command.h"

const struct program_command program_commands[] = {
    {"serve", NULL, OPTION_CONFIG, OPTION_CONFIG, "run the gateway",
     "Runs until SIGTERM or SIGINT: then /ready says 503, sessions are told goodbye, running\n"
     "commands end, and it exits with 0. A second signal stops it at once (exit status 3);\n"
     "what was acknowledged is safe either way. Log lines go to standard output, one JSON\n"
     "object a line. SIGHUP reads the config, the users and the certificates again, and takes\n"
     "them when they have no problems; no session ends by it. It sees only the folders that the\n"
     "config named at the start.\n",
     run_serve},
    {"check", NULL, OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "check a config file, naming each mistake and the fix",
     "Prints `file:line: what is wrong; the fix` for each problem; exit status 1 if there are\n"
     "any. Without problems it lists the environment variables (RINGPOST_...) that set a key.\n",
     run_check},
    {"healthcheck", NULL, OPTION_CONFIG | OPTION_LIVE, OPTION_CONFIG,
     "ask the running gateway whether it serves",
     "Asks /ready (with --live: /live) on the admin port of the config, over loopback; exit\n"
     "status 0 when the answer is 200, else 1. For HEALTHCHECK of containers and exec probes.\n",
     run_healthcheck},
    {"try", NULL, OPTION_DIR | OPTION_PORT_BASE | OPTION_USERS | OPTION_CORES, OPTION_DIR,
     "write a sample config into DIR and run it on loopback",
     "Users u0@example.test ... (log-in also by u0 ...), password \"pw\". Ports: P+25 SMTP, P+587\n"
     "submission, P+24 LMTP, P+110 POP3, P+143 IMAP, all but LMTP with STARTTLS; P+465, P+995,\n"
     "P+993 the same under TLS from the first byte; P+80 metrics and health. Mail stays in\n"
     "DIR/store from run to run, and so do DIR/certificate.pem and DIR/key.pem; the config and "
     "the\n"
     "users are written anew each time.\n",
     run_try},
    {"user add", "USER@DOMAIN", OPTION_CONFIG | OPTION_FILE | OPTION_SCHEME, 0, "add a user",
     "The password is asked for on a terminal, or read from standard input (its first line).\n"
     "Either --config or --file says where. The gateway sees it after SIGHUP.\n",
     run_user_add},
    {"user del", "USER@DOMAIN", OPTION_CONFIG | OPTION_FILE, 0, "delete a user",
     "Mail in the store stays. The gateway sees it after SIGHUP.\n", run_user_delete},
    {"user list", NULL, OPTION_CONFIG | OPTION_FILE | OPTION_JSON, 0, "list the users", "",
     run_user_list},
    {"user passwd", "USER@DOMAIN", OPTION_CONFIG | OPTION_FILE | OPTION_SCHEME, 0,
     "change a user's password",
     "The password is asked for on a terminal, or read from standard input (its first line).\n"
     "The gateway sees it after SIGHUP.\n",
     run_user_passwd},
    {"user where", "USER", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "say which backend a user is on, and why", "", run_user_where},
    {"user move", "USER BACKEND", OPTION_CONFIG | OPTION_DELAY | OPTION_JSON, OPTION_CONFIG,
     "move a user to another backend of the pool",
     "His log-ins wait, his sessions are ended, and when they are gone (10 s are waited) and the\n"
     "delay is over he is let in at the other backend. That stays so: it is kept where the\n"
     "config's proxy.exceptions says. The mail itself is yours to move.\n",
     run_user_move},
    {"user delay", "USER SECONDS", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "let a user's log-ins wait", "60 seconds at most; 0 ends it. His sessions stay.\n",
     run_user_delay},
    {"user forget", "USER", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG, "take back `user move`",
     "His sessions stay where they are; the next ones go where the pool\n"
     "puts him.\n",
     run_user_forget},
    {"backend list", NULL, OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "list the backends of a running gateway",
     "This and the other commands of backends, sessions and moved users talk to the gateway by\n"
     "the socket that the config names (control.socket).\n",
     run_backend_list},
    {"backend drain", "BACKEND", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "give a backend no new users", "Those who have sessions there may have more.\n",
     run_backend_drain},
    {"backend down", "BACKEND", OPTION_CONFIG | OPTION_SPREAD | OPTION_JSON, OPTION_CONFIG,
     "give a backend nobody, and end its sessions",
     "The sessions end one by one over the spread, so that not all of them come back at once.\n",
     run_backend_down},
    {"backend up", "BACKEND", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "take a backend into use again", "", run_backend_up},
    {"session list", "[USER]", OPTION_CONFIG | OPTION_LIMIT | OPTION_JSON, OPTION_CONFIG,
     "list the sessions that are passed through, of all users or of one",
     "A long list is not of one moment: who comes or goes meanwhile may be missing, or twice.\n",
     run_session_list},
    {"session kick", "USER|ID", OPTION_CONFIG | OPTION_JSON, OPTION_CONFIG,
     "end the sessions of a user, or one session by its id", "", run_session_kick},
    {"certificate make", "NAME", OPTION_DIR, OPTION_DIR,
     "make a self-signed certificate for a host name",
     "Makes DIR, writes DIR/certificate.pem and DIR/key.pem over what is there: for a lab, or\n"
     "until the real one is there. A running gateway that uses them takes them by itself.\n",
     run_certificate_make},
    {"store verify", NULL, OPTION_CONFIG | OPTION_DIR | OPTION_JSON, 0,
     "read and check every record of a store",
     "Either --config or --dir (the store's own directory) says which. Not while the gateway\n"
     "runs on it (exit status 4). Exit status 1 when something is damaged.\n",
     run_store_verify},
    {"store stat", NULL, OPTION_CONFIG | OPTION_DIR | OPTION_JSON, 0, "count what a store holds",
     "Either --config or --dir (the store's own directory) says which. Not while the gateway\n"
     "runs on it (exit status 4).\n",
     run_store_stat},
    {"config-reference", NULL, 0, 0, "print the reference of config keys (docs/config.md)", "",
     run_config_reference},
};
const unsigned program_command_count = sizeof program_commands / sizeof *program_commands;

int main(int argc, char **argv)
{
    return command_run(argc, argv);
}
