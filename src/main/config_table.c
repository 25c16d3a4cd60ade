/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one table of config keys. To add a key: a row here, a member in its section's struct
 * (config.h), the code that uses it, a test; then `ringpost config-reference >docs/config.md`.
 *
 * Rules of taste: a key's name ends in no unit (its value carries one); no number means "no limit";
 * a dangerous setting has a name that says so.
 */
#include "config.h"

enum { TEXT_MAX = 4096, NAME_MAX_BYTES = 320, SECOND = 1000, MINUTE = 60000, HOUR = 3600000 };

#define KIB                           UINT64_C(1024)
#define MIB                           (KIB * 1024)
#define GIB                           (MIB * 1024)
#define AT(type, member)              NULL, offsetof(struct type, member)
#define ONE_OF(choices, type, member) choices, offsetof(struct type, member)

const struct config_section_row config_sections[CONFIG_SECTION_COUNT] = {
    [CONFIG_SECTION_GENERAL] = {"", CONFIG_SECTION_GENERAL, 0, 0, 0, "The gateway as a whole."},
    [CONFIG_SECTION_LOG] = {"log", CONFIG_SECTION_GENERAL, offsetof(struct config, log), 0, 0,
                            "Where log lines go: JSON, one object a line."},
    [CONFIG_SECTION_STORE] = {"store", CONFIG_SECTION_GENERAL, offsetof(struct config, store), 0, 0,
                              "The log that holds all mail."},
    [CONFIG_SECTION_AUTH] = {"auth", CONFIG_SECTION_GENERAL, offsetof(struct config, auth), 0, 0,
                             "Who may log in, and how fast they may guess."},
    [CONFIG_SECTION_LIMITS] = {"limits", CONFIG_SECTION_GENERAL, offsetof(struct config, limits), 0,
                               0, "What one client, one message and one core may take."},
    [CONFIG_SECTION_ADMIN] = {"admin", CONFIG_SECTION_GENERAL, offsetof(struct config, admin), 0, 0,
                              "Metrics and health over HTTP: /metrics, /live, /ready."},
    [CONFIG_SECTION_DOMAIN] = {"domains", CONFIG_SECTION_GENERAL, offsetof(struct config, domains),
                               sizeof(struct config_domain), CONFIG_DOMAINS_MAX,
                               "A list: the domains that mail is taken for."},
    [CONFIG_SECTION_ALIAS] = {"aliases", CONFIG_SECTION_DOMAIN,
                              offsetof(struct config_domain, aliases), sizeof(struct config_alias),
                              CONFIG_ALIASES_MAX,
                              "A list in a domain: further names, each leading to users, aliases, "
                              "or both."},
    [CONFIG_SECTION_LISTENER] = {"listeners", CONFIG_SECTION_GENERAL,
                                 offsetof(struct config, listeners), sizeof(struct config_listener),
                                 CONFIG_LISTENERS_MAX,
                                 "A list: where clients connect. Either `address` and `port`, or "
                                 "`path`."},
};

const struct config_row config_rows[] = {
    /* ---- the top level */
    {CONFIG_SECTION_GENERAL, "host_name", CONFIG_TEXT, 1, 253, NULL,
     "Our name in greetings, trace headers and message ids; the name our address resolves to.",
     AT(config_general, host_name)},
    {CONFIG_SECTION_GENERAL, "cores", CONFIG_COUNT, 1, 64, "",
     "Threads, each with its own ring. Not given: as many as there are CPUs that the process may "
     "use. More than CPUs is allowed.",
     AT(config_general, cores)},
    {CONFIG_SECTION_GENERAL, "user", CONFIG_TEXT, 1, 32, "",
     "Whom the process becomes when it is started as root, before it opens the store. Keeps the "
     "right to listen on ports below 1024 and no other.",
     AT(config_general, user)},
    {CONFIG_SECTION_GENERAL, "group", CONFIG_TEXT, 1, 32, "",
     "The group to go with `user`. Not given: that user's own group.", AT(config_general, group)},
    {CONFIG_SECTION_GENERAL, "drain_pace", CONFIG_DURATION, 0, 10 * MINUTE, "2s",
     "On SIGTERM the sessions are told goodbye spread over this time.",
     AT(config_general, drain_pace_ms)},
    {CONFIG_SECTION_GENERAL, "drain_wait", CONFIG_DURATION, 0, HOUR, "20s",
     "Then running commands have this long to end.", AT(config_general, drain_wait_ms)},
    /* ---- log */
    {CONFIG_SECTION_LOG, "file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file to append to, made with mode 0640. Not given: standard output.", AT(config_log, file)},
    /* ---- store */
    {CONFIG_SECTION_STORE, "directory", CONFIG_PATH, 1, TEXT_MAX, NULL,
     "The store's own directory; made if it is not there.", AT(config_store, directory)},
    {CONFIG_SECTION_STORE, "shards", CONFIG_COUNT, 1, 64, "",
     "How many logs a new store is made of; later the store's own number counts. Not given: the "
     "number of cores.",
     AT(config_store, shards)},
    {CONFIG_SECTION_STORE, "segment_size", CONFIG_SIZE, MIB, GIB, "64M",
     "Size of a new log file. A message must fit into one.", AT(config_store, segment_bytes)},
    {CONFIG_SECTION_STORE, "cache", CONFIG_SIZE, 0, 64 * GIB, "64M",
     "The newest messages are kept in this much memory, per shard.", AT(config_store, cache_bytes)},
    {CONFIG_SECTION_STORE, "index_memory", CONFIG_SIZE, MIB, 64 * GIB, "256M",
     "Mailbox indexes in memory, per shard; those not used are dropped beyond it.",
     AT(config_store, index_bytes)},
    /* ---- auth */
    {CONFIG_SECTION_AUTH, "default_domain", CONFIG_TEXT, 1, 253, "",
     "Added to a log-in name without `@`. Not given: such names fail.",
     AT(config_auth, default_domain)},
    {CONFIG_SECTION_AUTH, "cache_entries", CONFIG_COUNT, 0, 10000000, "10000",
     "Verified passwords remembered per core (as keyed digests); 0 checks each by its slow hash.",
     AT(config_auth, cache_entries)},
    {CONFIG_SECTION_AUTH, "cache_time", CONFIG_DURATION, 0, 24 * HOUR, "10m",
     "How long a verified password is believed.", AT(config_auth, cache_ms)},
    {CONFIG_SECTION_AUTH, "waiting", CONFIG_COUNT, 1, 128, "64",
     "Log-ins that may wait for a password hash, per core; beyond them the answer is \"try "
     "later\".",
     AT(config_auth, waiting_max)},
    {CONFIG_SECTION_AUTH, "failure_delay_first", CONFIG_DURATION, 0, MINUTE, "2s",
     "The answer to a wrong password comes this late; each further one from the same network "
     "doubles it.",
     AT(config_auth, failure_ms_first)},
    {CONFIG_SECTION_AUTH, "failure_delay", CONFIG_DURATION, 0, 5 * MINUTE, "15s",
     "The longest such delay.", AT(config_auth, failure_ms_max)},
    /* ---- limits */
    {CONFIG_SECTION_LIMITS, "connections", CONFIG_COUNT, 1, 1000000, "10000",
     "Client connections per core, of all listeners together. Bounded by RLIMIT_NOFILE per core.",
     AT(config_limits, connections)},
    {CONFIG_SECTION_LIMITS, "connections_per_address", CONFIG_COUNT, 1, 1000000, "50",
     "Connections of one client address (IPv6: of one /64) to one listener, per core. Listeners on "
     "loopback addresses and Unix sockets have no such limit unless they set their own.",
     AT(config_limits, connections_per_address)},
    {CONFIG_SECTION_LIMITS, "receive_buffers", CONFIG_COUNT_POW2, 16, 32768, "1024",
     "Receive buffers of 16 KiB per core, shared by all its connections; a power of two.",
     AT(config_limits, receive_buffers)},
    {CONFIG_SECTION_LIMITS, "fibers", CONFIG_COUNT, 16, 100000, "1024",
     "Commands that may run at the same time, per core; each needs a stack.",
     AT(config_limits, fibers)},
    {CONFIG_SECTION_LIMITS, "stack", CONFIG_SIZE, 64 * KIB, MIB, "64K",
     "Size of such a stack, a multiple of 4K.", AT(config_limits, stack_bytes)},
    {CONFIG_SECTION_LIMITS, "login_time", CONFIG_DURATION, SECOND, HOUR, "1m",
     "From the connection to the log-in (IMAP, POP3).", AT(config_limits, login_ms)},
    {CONFIG_SECTION_LIMITS, "command_time", CONFIG_DURATION, SECOND, HOUR, "5m",
     "From the first byte of a command to its last, and for a reply to be taken.",
     AT(config_limits, command_ms)},
    {CONFIG_SECTION_LIMITS, "smtp_idle_time", CONFIG_DURATION, SECOND, HOUR, "5m",
     "Between commands of SMTP and LMTP; RFC 5321 section 4.5.3.2.7 asks for 5 minutes.",
     AT(config_limits, smtp_idle_ms)},
    {CONFIG_SECTION_LIMITS, "pop3_idle_time", CONFIG_DURATION, SECOND, HOUR, "10m",
     "Between commands of POP3; RFC 1939 section 3 asks for 10 minutes.",
     AT(config_limits, pop3_idle_ms)},
    {CONFIG_SECTION_LIMITS, "imap_idle_time", CONFIG_DURATION, SECOND, 24 * HOUR, "30m",
     "Between commands of IMAP after log-in; RFC 9051 section 5.4 asks for 30 minutes.",
     AT(config_limits, imap_idle_ms)},
    {CONFIG_SECTION_LIMITS, "errors", CONFIG_COUNT, 1, 10000, "20",
     "Bad commands of one session before it is closed.", AT(config_limits, errors)},
    {CONFIG_SECTION_LIMITS, "junk", CONFIG_COUNT, 1, 1000000, "100",
     "Commands without effect (NOOP, RSET and the like) before log-in or between two messages, "
     "before the session is closed.",
     AT(config_limits, junk)},
    {CONFIG_SECTION_LIMITS, "message_size", CONFIG_SIZE, 64 * KIB, GIB, "50M",
     "The largest message taken, by SMTP and by IMAP APPEND.", AT(config_limits, message_bytes)},
    {CONFIG_SECTION_LIMITS, "recipients", CONFIG_COUNT, 100, 100000, "1000",
     "Recipients of one message; RFC 5321 section 4.5.3.1.8 asks for 100 at least.",
     AT(config_limits, recipients)},
    {CONFIG_SECTION_LIMITS, "received", CONFIG_COUNT, 10, 1000, "100",
     "A message with more Received fields than this goes in circles and is refused.",
     AT(config_limits, received)},
    {CONFIG_SECTION_LIMITS, "data_time", CONFIG_DURATION, SECOND, 24 * HOUR, "10m",
     "For receiving one message, at least; longer ones may take their size divided by `data_rate`.",
     AT(config_limits, data_ms)},
    {CONFIG_SECTION_LIMITS, "data_rate", CONFIG_SIZE, 1, GIB, "4K",
     "Bytes per second that the sender of a long message must keep up.",
     AT(config_limits, data_bytes_per_second)},
    /* ---- admin */
    {CONFIG_SECTION_ADMIN, "address", CONFIG_TEXT, 1, 64, "127.0.0.1", "A numeric address.",
     AT(config_admin, address)},
    {CONFIG_SECTION_ADMIN, "port", CONFIG_COUNT, 1, 65535, "", "Not given: no admin pages.",
     AT(config_admin, port)},
    {CONFIG_SECTION_ADMIN, "exposed_without_authentication", CONFIG_FLAG, 0, 1, "false",
     "Must be true when `address` is not a loopback address: everyone who reaches it can read the "
     "metrics.",
     AT(config_admin, exposed)},
    /* ---- domains */
    {CONFIG_SECTION_DOMAIN, "name", CONFIG_TEXT, 1, 253, NULL, "The domain, as in addresses.",
     AT(config_domain, name)},
    {CONFIG_SECTION_DOMAIN, "users", CONFIG_PATH, 1, TEXT_MAX, NULL,
     "The passwd file with the domain's users: `local@domain:hash` a line, hashes as of crypt(3); "
     "kept by `ringpost user`. Must not be readable by others. Several domains may share one.",
     AT(config_domain, users)},
    {CONFIG_SECTION_DOMAIN, "catch_all", CONFIG_TEXT, 1, NAME_MAX_BYTES, "",
     "Who gets the mail for names that nobody has. Not given: such mail is refused at RCPT.",
     AT(config_domain, catch_all)},
    {CONFIG_SECTION_DOMAIN, "separator", CONFIG_TEXT, 0, 8, "+",
     "Characters that begin a sub-address: `user+tag@...` is delivered to `user`. \"\": none.",
     AT(config_domain, separator)},
    {CONFIG_SECTION_DOMAIN, "detail_mailbox", CONFIG_FLAG, 0, 1, "false",
     "Whether `user+Work@...` is put into the mailbox Work, where there is one.",
     AT(config_domain, detail_mailbox)},
    /* ---- aliases */
    {CONFIG_SECTION_ALIAS, "name", CONFIG_TEXT, 1, NAME_MAX_BYTES, NULL,
     "The name before the `@`, or the whole address.", AT(config_alias, name)},
    {CONFIG_SECTION_ALIAS, "to", CONFIG_NAMES, 1, NAME_MAX_BYTES, NULL,
     "An address or an array of addresses; those without `@` are of the same domain.",
     AT(config_alias, to)},
    /* ---- listeners */
    {CONFIG_SECTION_LISTENER, "protocol", CONFIG_CHOICE, 0, 0, NULL, "What is spoken there.",
     ONE_OF("smtp|lmtp|pop3|imap", config_listener, protocol)},
    {CONFIG_SECTION_LISTENER, "address", CONFIG_TEXT, 1, 64, "",
     "A numeric address; \"0.0.0.0\" is every IPv4 address of this machine, \"::\" every address "
     "of "
     "both kinds.",
     AT(config_listener, address)},
    {CONFIG_SECTION_LISTENER, "port", CONFIG_COUNT, 1, 65535, "", "A TCP port.",
     AT(config_listener, port)},
    {CONFIG_SECTION_LISTENER, "path", CONFIG_PATH, 1, 107, "",
     "A Unix socket instead of address and port.", AT(config_listener, path)},
    {CONFIG_SECTION_LISTENER, "mode", CONFIG_MODE, 0, 0777, "0660",
     "Who may connect to the Unix socket, as of chmod.", AT(config_listener, mode)},
    {CONFIG_SECTION_LISTENER, "connections", CONFIG_COUNT, 1, 1000000, "",
     "Connections to this listener per core. Not given: `limits.connections`.",
     AT(config_listener, connections)},
    {CONFIG_SECTION_LISTENER, "connections_per_address", CONFIG_COUNT, 1, 1000000, "",
     "In place of `limits.connections_per_address`.", AT(config_listener, connections_per_address)},
    {CONFIG_SECTION_LISTENER, "plain_login", CONFIG_FLAG, 0, 1, "false",
     "Whether passwords may be sent without TLS (IMAP, POP3). Without it nobody can log in there "
     "until TLS is served.",
     AT(config_listener, plain_login)},
    {CONFIG_SECTION_LISTENER, "insecure_plain_login_over_the_network", CONFIG_FLAG, 0, 1, "false",
     "Must be true as well when `plain_login` is and the address is not a loopback address: "
     "passwords can then be read on the way.",
     AT(config_listener, insecure_plain_login)},
};
const unsigned config_row_count = sizeof config_rows / sizeof *config_rows;

const struct config_row *config_row_find(enum config_section section, const char *key)
{
    for (unsigned i = 0; i < config_row_count; i++)
        if (config_rows[i].section == section && strcmp(config_rows[i].key, key) == 0)
            return &config_rows[i];
    return NULL;
}
