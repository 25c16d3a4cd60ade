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
    {CONFIG_SECTION_GENERAL, "confine", CONFIG_FLAG, 0, 1, "true",
     "Gives up, before the first client is served, what a mail server does not need: files outside "
     "the folders named in the config (landlock), system calls (seccomp), programs, sockets of its "
     "own. The log line `confined` says what holds. `false` only to look for a fault.",
     AT(config_general, confine)},
    {CONFIG_SECTION_GENERAL, "drain_pace", CONFIG_DURATION, 0, 10 * MINUTE, "2s",
     "On SIGTERM the sessions are told goodbye spread over this time.",
     AT(config_general, drain_pace_ms)},
    {CONFIG_SECTION_GENERAL, "drain_wait", CONFIG_DURATION, 0, HOUR, "20s",
     "Then running commands have this long to end.", AT(config_general, drain_wait_ms)},
    /* ---- log */
    {CONFIG_SECTION_LOG, "file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file to append to, made with mode 0640. Not given: standard output.", AT(config_log, file)},
    /* ---- store */
    {CONFIG_SECTION_STORE, "directory", CONFIG_PATH, 1, TEXT_MAX, "",
     "The store's own directory; made if it is not there. Needed unless every domain has a `pool`.",
     AT(config_store, directory)},
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
    /* ---- tls */
    {CONFIG_SECTION_TLS, "profile", CONFIG_CHOICE, 0, 0, "modern",
     "`modern` is TLS 1.3, and TLS 1.2 with ephemeral keys and authenticated ciphers; "
     "`intermediate` takes also the CBC ciphers that TLS 1.2 clients of before 2014 know.",
     ONE_OF("modern|intermediate", config_tls, profile)},
    {CONFIG_SECTION_TLS, "client_certificate", CONFIG_CHOICE, 0, 0, "off",
     "Whether clients are asked for a certificate, with which they can log in by EXTERNAL; "
     "`required` turns away who has none, on every listener with TLS.",
     ONE_OF("off|ask|required", config_tls, client_certificate)},
    {CONFIG_SECTION_TLS, "client_ca", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with the certificates that those of clients must lead to.",
     AT(config_tls, client_ca)},
    {CONFIG_SECTION_TLS, "ticket_lifetime", CONFIG_DURATION, 0, 7 * 24 * HOUR, "12h",
     "How long a client may resume a session without a full handshake. The keys of the tickets "
     "are in memory only and change twice in this time. \"0s\": no tickets.",
     AT(config_tls, ticket_ms)},
    {CONFIG_SECTION_TLS, "reload_interval", CONFIG_DURATION, 0, 24 * HOUR, "1m",
     "The files of certificates and keys are looked at so often, and taken when they have changed "
     "and are right. \"0s\": only on SIGHUP.",
     AT(config_tls, reload_ms)},
    /* ---- certificates */
    {CONFIG_SECTION_CERTIFICATE, "certificate", CONFIG_PATH, 1, TEXT_MAX, NULL,
     "PEM file: the certificate, then those that lead to its root.",
     AT(config_certificate, certificate)},
    {CONFIG_SECTION_CERTIFICATE, "key", CONFIG_PATH, 1, TEXT_MAX, NULL,
     "PEM file with its private key, not encrypted: a regular file that nobody but the gateway's "
     "user can read, owned by that user (mode 0600), or by root and of that user's group (0640).",
     AT(config_certificate, key)},
    /* ---- auth */
    {CONFIG_SECTION_AUTH, "default_domain", CONFIG_TEXT, 1, 253, "",
     "Added to a log-in name without `@`. Not given: such names fail.",
     AT(config_auth, default_domain)},
    {CONFIG_SECTION_AUTH, "cache_entries", CONFIG_COUNT, 0, 10000000, "10000",
     "Verified passwords remembered per core (as keyed digests); 0 checks each by its slow hash.",
     AT(config_auth, cache_entries)},
    {CONFIG_SECTION_AUTH, "cache_time", CONFIG_DURATION, 0, 24 * HOUR, "10m",
     "How long a verified password is believed.", AT(config_auth, cache_ms)},
    {CONFIG_SECTION_AUTH, "negative_cache_time", CONFIG_DURATION, 0, 24 * HOUR, "1m",
     "How long a directory's \"no such user\" is believed.", AT(config_auth, negative_ms)},
    {CONFIG_SECTION_AUTH, "stale_time", CONFIG_DURATION, 0, 7 * 24 * HOUR, "0s",
     "How much longer than `cache_time` the last answer about a user is believed while the "
     "directory does not answer. \"0s\": then nobody logs in and mail is put off.",
     AT(config_auth, stale_ms)},
    {CONFIG_SECTION_AUTH, "mechanisms", CONFIG_NAMES, 1, 32, "",
     "The SASL mechanisms that may be used. Not given: all that work for every user; those of "
     "SCRAM "
     "only when there is no directory and each user has a record for them, because clients take "
     "the strongest mechanism that is offered and give up when it fails.",
     AT(config_auth, mechanisms)},
    {CONFIG_SECTION_AUTH, "master_users", CONFIG_PATH, 1, TEXT_MAX, "",
     "A passwd file of those who may log in as any other user, with their own password.",
     AT(config_auth, master_users)},
    {CONFIG_SECTION_AUTH, "master_separator", CONFIG_TEXT, 1, 1, "*",
     "A master user logs in as `user*master`.", AT(config_auth, master_separator)},
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
    /* ---- tokens */
    {CONFIG_SECTION_TOKENS, "jwks", CONFIG_PATH, 1, TEXT_MAX, "",
     "A JWKS file (RFC 7517) with the issuer's public keys: tokens are JWTs signed by RS256, ES256 "
     "or EdDSA.",
     AT(config_tokens, jwks)},
    {CONFIG_SECTION_TOKENS, "issuer", CONFIG_TEXT, 1, 1000, "",
     "What the token's `iss` must be; needed with `jwks`.", AT(config_tokens, issuer)},
    {CONFIG_SECTION_TOKENS, "audience", CONFIG_TEXT, 1, 1000, "",
     "What the token's `aud` must be or hold; needed with `jwks`: else tokens that were given to "
     "other services would log in here.",
     AT(config_tokens, audience)},
    {CONFIG_SECTION_TOKENS, "user_claim", CONFIG_TEXT, 1, 64, "email",
     "The token's member that names the user.", AT(config_tokens, user_claim)},
    {CONFIG_SECTION_TOKENS, "introspection", CONFIG_TEXT, 1, 64, "",
     "The directory (with `http.token_url`) that is asked about tokens which are no JWT.",
     AT(config_tokens, introspection)},
    /* ---- directories */
    {CONFIG_SECTION_DIRECTORY, "name", CONFIG_TEXT, 1, 64, NULL, "What domains call it.",
     AT(config_directory, name)},
    {CONFIG_SECTION_SQLITE, "file", CONFIG_PATH, 1, TEXT_MAX, NULL, "The database.",
     AT(config_sqlite, file)},
    {CONFIG_SECTION_SQLITE, "query", CONFIG_TEXT, 1, TEXT_MAX, NULL,
     "One SELECT with the parameters `:user`, `:local` and `:domain`. Columns by name: `password` "
     "(as in a passwd file), `allow_nets`, `disabled`, `user`; for users of a pool `host` or "
     "`backend`, `port`, `tag`, `tls`, `backend_user`, `pass`, `master`.",
     AT(config_sqlite, query)},
    {CONFIG_SECTION_LDAP, "url", CONFIG_TEXT, 1, 1000, NULL,
     "`ldaps://HOST`, `ldap://HOST` or `ldapi://PATH`.", AT(config_ldap, url)},
    {CONFIG_SECTION_LDAP, "start_tls", CONFIG_FLAG, 0, 1, "false", "StartTLS on `ldap://`.",
     AT(config_ldap, start_tls)},
    {CONFIG_SECTION_LDAP, "ca", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with the certificates that the server's must lead to. Not given: those of the "
     "system.",
     AT(config_ldap, ca)},
    {CONFIG_SECTION_LDAP, "bind_dn", CONFIG_TEXT, 1, 1000, "",
     "Whom to search as. Not given: anonymously.", AT(config_ldap, bind_dn)},
    {CONFIG_SECTION_LDAP, "password_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file whose first line is the password of `bind_dn`; as private as a key.",
     AT(config_ldap, password_file)},
    {CONFIG_SECTION_LDAP, "base", CONFIG_TEXT, 0, 1000, "", "Where in the tree users are.",
     AT(config_ldap, base)},
    {CONFIG_SECTION_LDAP, "filter", CONFIG_TEXT, 1, 1000, "(mail=%u)",
     "Which entry is the user's: `%u` the whole name, `%l` before the `@`, `%d` behind it, each "
     "escaped (RFC 4515).",
     AT(config_ldap, filter)},
    {CONFIG_SECTION_LDAP, "user_attribute", CONFIG_TEXT, 1, 64, "",
     "The attribute with the user's own name, where it can be another than the one asked for.",
     AT(config_ldap, user_attribute)},
    {CONFIG_SECTION_LDAP, "password_attribute", CONFIG_TEXT, 1, 64, "",
     "The attribute with the hash, as in a passwd file. Not given: the server judges passwords, by "
     "a bind as the user.",
     AT(config_ldap, password_attribute)},
    {CONFIG_SECTION_LDAP, "networks_attribute", CONFIG_TEXT, 1, 64, "",
     "The attribute with the networks that the user may log in from.",
     AT(config_ldap, networks_attribute)},
    {CONFIG_SECTION_LDAP, "disabled_attribute", CONFIG_TEXT, 1, 64, "",
     "The attribute that is TRUE for users who may not log in.",
     AT(config_ldap, disabled_attribute)},
    {CONFIG_SECTION_LDAP, "routes", CONFIG_TEXT, 1, 1000, "",
     "For users of a pool, attributes that say where their mail is, and as what: `mailHost=host "
     "mailPort=port`; the words behind the `=` are those of `sqlite`'s columns.",
     AT(config_ldap, routes)},
    {CONFIG_SECTION_LDAP, "timeout", CONFIG_DURATION, SECOND, 10 * SECOND, "5s",
     "Longest wait for an answer.", AT(config_ldap, timeout_ms)},
    {CONFIG_SECTION_POSTGRESQL, "connection", CONFIG_TEXT, 1, 1000, NULL,
     "As of libpq: `host=... dbname=... user=... sslmode=verify-full`; without the password.",
     AT(config_postgresql, connection)},
    {CONFIG_SECTION_POSTGRESQL, "password_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file whose first line is the password; as private as a key.",
     AT(config_postgresql, password_file)},
    {CONFIG_SECTION_POSTGRESQL, "query", CONFIG_TEXT, 1, TEXT_MAX, NULL,
     "One SELECT with the parameters $1 (the whole name), $2 (before the `@`) and $3 (behind it); "
     "columns as of `sqlite`.",
     AT(config_postgresql, query)},
    {CONFIG_SECTION_POSTGRESQL, "timeout", CONFIG_DURATION, SECOND, 10 * SECOND, "5s",
     "Longest wait for an answer.", AT(config_postgresql, timeout_ms)},
    {CONFIG_SECTION_HTTP, "url", CONFIG_TEXT, 1, 1000, "", "What is asked about log-ins.",
     AT(config_http, url)},
    {CONFIG_SECTION_HTTP, "header_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file whose first line is a header field for `url`, `Name: value`, by which it knows us; as "
     "private as a key.",
     AT(config_http, header_file)},
    {CONFIG_SECTION_HTTP, "token_url", CONFIG_TEXT, 1, 1000, "",
     "What is asked about tokens (RFC 7662).", AT(config_http, token_url)},
    {CONFIG_SECTION_HTTP, "client_id", CONFIG_TEXT, 1, 200, "",
     "Who we are at `token_url`, with the password of `password_file`.",
     AT(config_http, client_id)},
    {CONFIG_SECTION_HTTP, "password_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file whose first line is that password; as private as a key.",
     AT(config_http, password_file)},
    {CONFIG_SECTION_HTTP, "ca", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with the certificates that the server's must lead to. Not given: those of the "
     "system.",
     AT(config_http, ca)},
    {CONFIG_SECTION_HTTP, "timeout", CONFIG_DURATION, SECOND, 10 * SECOND, "5s",
     "Longest wait for an answer.", AT(config_http, timeout_ms)},
    /* ---- limits */
    {CONFIG_SECTION_LIMITS, "connections", CONFIG_COUNT, 1, 1000000, "10000",
     "Client connections per core, of all listeners together. Bounded by RLIMIT_NOFILE per core.",
     AT(config_limits, connections)},
    {CONFIG_SECTION_LIMITS, "connections_per_address", CONFIG_COUNT, 1, 1000000, "50",
     "Connections of one client address (IPv6: of one /64) to one listener, per core. Listeners on "
     "loopback addresses and Unix sockets have no such limit unless they set their own.",
     AT(config_limits, connections_per_address)},
    {CONFIG_SECTION_LIMITS, "connections_per_network", CONFIG_COUNT, 1, 1000000, "500",
     "The same for a client's network: IPv4 /24, IPv6 /48.",
     AT(config_limits, connections_per_network)},
    {CONFIG_SECTION_LIMITS, "connections_per_user", CONFIG_COUNT, 1, 1000000, "50",
     "Connections of one user from one address, per core; of IMAP and POP3, all are on one core.",
     AT(config_limits, connections_per_user)},
    {CONFIG_SECTION_LIMITS, "before_login_share", CONFIG_COUNT, 1, 100, "75",
     "How many percent of the connections may be such that nobody has logged in on (imap, pop3, "
     "submission); the rest is kept for users.",
     AT(config_limits, before_login_share)},
    {CONFIG_SECTION_LIMITS, "unlimited_networks", CONFIG_NETWORKS, 1, 64, "",
     "Clients there have none of these three limits.", AT(config_limits, unlimited)},
    {CONFIG_SECTION_LIMITS, "receive_buffers", CONFIG_COUNT_POW2, 16, 32768, "1024",
     "Receive buffers of 16 KiB per core, shared by all its connections; a power of two.",
     AT(config_limits, receive_buffers)},
    {CONFIG_SECTION_LIMITS, "fibers", CONFIG_COUNT, 16, 100000, "1024",
     "Commands that may run at the same time, per core; each needs a stack.",
     AT(config_limits, fibers)},
    {CONFIG_SECTION_LIMITS, "stack", CONFIG_SIZE, 64 * KIB, MIB, "64K",
     "Size of such a stack, a multiple of 4K.", AT(config_limits, stack_bytes)},
    {CONFIG_SECTION_LIMITS, "login_time", CONFIG_DURATION, SECOND, HOUR, "1m",
     "From the connection to the log-in (IMAP, POP3, ManageSieve).", AT(config_limits, login_ms)},
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
    {CONFIG_SECTION_LIMITS, "errors_free", CONFIG_COUNT, 0, 10000, "3",
     "So many of them are answered at once, each further one later than the one before.",
     AT(config_limits, errors_free)},
    {CONFIG_SECTION_LIMITS, "error_delay_first", CONFIG_DURATION, 0, MINUTE, "1s",
     "The first such delay; it doubles with each error.", AT(config_limits, error_ms_first)},
    {CONFIG_SECTION_LIMITS, "error_delay", CONFIG_DURATION, 0, 5 * MINUTE, "10s",
     "The longest such delay.", AT(config_limits, error_ms_max)},
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
    {CONFIG_SECTION_LIMITS, "greeting_delay", CONFIG_DURATION, 0, 10 * SECOND, "20ms",
     "SMTP's greeting comes so late, and clients that speak before it are refused. \"0s\": at "
     "once.",
     AT(config_limits, greeting_ms)},
    /* ---- submission */
    {CONFIG_SECTION_SUBMISSION, "sender_match", CONFIG_CHOICE, 0, 0, "aliases",
     "Which sender address a user may give: `login` the own name, `aliases` every address whose "
     "mail the user gets, `any` whatever it is. The null address is always allowed.",
     ONE_OF("login|aliases|any", config_submission, sender_match)},
    {CONFIG_SECTION_SUBMISSION, "received_names_user", CONFIG_FLAG, 0, 1, "false",
     "Whether the Received field tells all readers the log-in name.",
     AT(config_submission, received_names_user)},
    {CONFIG_SECTION_SUBMISSION, "keep_bcc", CONFIG_FLAG, 0, 1, "false",
     "Whether Bcc fields stay in the message for all recipients to read.",
     AT(config_submission, keeps_bcc)},
    {CONFIG_SECTION_SUBMISSION, "messages_per_user", CONFIG_COUNT, 1, 1000000000, "600",
     "Messages taken from one user in `rate_window`; more are put off with 450.",
     AT(config_submission, user_messages)},
    {CONFIG_SECTION_SUBMISSION, "recipients_per_user", CONFIG_COUNT, 1, 1000000000, "3000",
     "The same of recipients, those of all messages together.",
     AT(config_submission, user_recipients)},
    {CONFIG_SECTION_SUBMISSION, "rate_window", CONFIG_DURATION, MINUTE, 24 * HOUR, "1h",
     "The time over which both are counted, from a user's first message on.",
     AT(config_submission, user_window_ms)},
    /* ---- admin */
    {CONFIG_SECTION_ADMIN, "address", CONFIG_TEXT, 1, 64, "127.0.0.1", "A numeric address.",
     AT(config_admin, address)},
    {CONFIG_SECTION_ADMIN, "port", CONFIG_COUNT, 1, 65535, "", "Not given: no admin pages.",
     AT(config_admin, port)},
    {CONFIG_SECTION_ADMIN, "exposed_without_authentication", CONFIG_FLAG, 0, 1, "false",
     "Must be true when `address` is not a loopback address: everyone who reaches it can read the "
     "metrics.",
     AT(config_admin, exposed)},
    /* ---- control */
    {CONFIG_SECTION_CONTROL, "socket", CONFIG_PATH, 1, 107, "",
     "A Unix socket for `ringpost backend`, `ringpost session` and `ringpost user move`. Not "
     "given: "
     "these do not work.",
     AT(config_control, socket)},
    {CONFIG_SECTION_CONTROL, "mode", CONFIG_MODE, 0, 0777, "0600",
     "Who may connect to it, as of chmod: whoever does is the operator.", AT(config_control, mode)},
    /* ---- proxy */
    {CONFIG_SECTION_PROXY, "exceptions", CONFIG_TEXT, 1, TEXT_MAX, "",
     "Where it is kept which users are on another backend than the hash says (`ringpost user "
     "move`): `file:PATH`, or `redis://HOST:PORT/DB` for several gateways. Not given: in memory, "
     "until the next restart.",
     AT(config_proxy, exceptions)},
    {CONFIG_SECTION_PROXY, "exceptions_password_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "File whose first line is the password of that Redis; as private as a key. Whose it is, if "
     "not "
     "the default user's, stands in front of the host: `redis://USER@HOST:PORT/DB`. What is said "
     "to "
     "a Redis is not encrypted: keep it on a private network.",
     AT(config_proxy, exceptions_password_file)},
    {CONFIG_SECTION_PROXY, "keep_alive", CONFIG_DURATION, 0, HOUR, "2m",
     "An IMAP client in IDLE hears \"Still here\" when its backend was silent so long. \"0s\": "
     "never.",
     AT(config_proxy, keep_alive_ms)},
    {CONFIG_SECTION_PROXY, "idle_time", CONFIG_DURATION, MINUTE, 7 * 24 * HOUR, "24h",
     "A session without a byte either way for so long is closed.", AT(config_proxy, idle_ms)},
    {CONFIG_SECTION_PROXY, "stalled_time", CONFIG_DURATION, SECOND, HOUR, "5m",
     "The same when one side does not take what the other has sent.", AT(config_proxy, stalled_ms)},
    {CONFIG_SECTION_PROXY, "spread", CONFIG_DURATION, 0, 10 * MINUTE, "30s",
     "The sessions of a backend that died, hangs or is taken down are ended over this time, so "
     "that they do not all come back at once.",
     AT(config_proxy, spread_ms)},
    {CONFIG_SECTION_PROXY, "farewell", CONFIG_DURATION, 0, MINUTE, "2s",
     "When a client has closed, its backend has so long to say its last.",
     AT(config_proxy, farewell_ms)},
    /* ---- mail to backends */
    {CONFIG_SECTION_LMTP, "verify_timeout", CONFIG_DURATION, SECOND, 5 * MINUTE, "10s",
     "At RCPT to a domain whose pool has `verify = \"backend\"` the user's backend is asked "
     "whether "
     "there is such a user, by an LMTP transaction without a message; for so long. No answer: 451.",
     AT(config_lmtp, verify_ms)},
    {CONFIG_SECTION_LMTP, "cache_entries", CONFIG_COUNT, 0, 10000000, "10000",
     "Answers to that question remembered per core; 0: it is asked at each RCPT.",
     AT(config_lmtp, cache_entries)},
    {CONFIG_SECTION_LMTP, "known_time", CONFIG_DURATION, 0, 24 * HOUR, "5m",
     "How long \"there is such a user\" is believed.", AT(config_lmtp, known_ms)},
    {CONFIG_SECTION_LMTP, "unknown_time", CONFIG_DURATION, 0, 24 * HOUR, "1m",
     "How long \"there is none\" is.", AT(config_lmtp, unknown_ms)},
    {CONFIG_SECTION_LMTP, "delivery_timeout", CONFIG_DURATION, SECOND, HOUR, "2m",
     "One message is handed on to all its backends within this time, or answered 451. Shorter than "
     "the sender's patience (Postfix: `lmtp_data_done_timeout`), or it sends again what was "
     "delivered.",
     AT(config_lmtp, delivery_ms)},
    /* ---- pools */
    {CONFIG_SECTION_POOL, "name", CONFIG_TEXT, 1, 63, NULL, "What domains call it.",
     AT(config_pool, name)},
    {CONFIG_SECTION_POOL, "verify", CONFIG_CHOICE, 0, 0, "here",
     "Who judges passwords and tokens: `here`, the gateway, by the domain's users or directory; "
     "`backend`, the backend, to which they are handed on.",
     ONE_OF("here|backend", config_pool, verify)},
    {CONFIG_SECTION_POOL, "login", CONFIG_CHOICE, 0, 0, "forward",
     "How the gateway logs in there: `forward` with what the client has shown (a password or "
     "token), `master` as `master_user` for the user (SASL PLAIN). With `forward` a `master_user`, "
     "if there is one, is for log-ins that show nothing to forward (SCRAM, EXTERNAL).",
     ONE_OF("forward|master", config_pool, login)},
    {CONFIG_SECTION_POOL, "master_user", CONFIG_TEXT, 1, NAME_MAX_BYTES, "",
     "Whom the backends let log in as everybody.", AT(config_pool, master_user)},
    {CONFIG_SECTION_POOL, "master_password_file", CONFIG_PATH, 1, TEXT_MAX, "",
     "A file whose first line is the password of `master_user`; as private as a key.",
     AT(config_pool, master_password_file)},
    {CONFIG_SECTION_POOL, "identity", CONFIG_CHOICE, 0, 0, "none",
     "How backends are told who the client is: `proxy` by a PROXY header (version 2) before "
     "everything; `native` by IMAP ID, POP3 and SMTP XCLIENT; `none`. The backends must trust the "
     "gateway's address for it.",
     ONE_OF("none|proxy|native", config_pool, identity)},
    {CONFIG_SECTION_POOL, "tls", CONFIG_CHOICE, 0, 0, "",
     "TLS to the backends: `start` by STARTTLS or STLS, `implicit`, or `none`. Must be given "
     "unless "
     "all are on loopback addresses, where it is `none`.",
     ONE_OF("none|start|implicit", config_pool, tls)},
    {CONFIG_SECTION_POOL, "imap_tls", CONFIG_CHOICE, 0, 0, "", "In place of `tls` for IMAP.",
     ONE_OF("none|start|implicit", config_pool, tls_imap)},
    {CONFIG_SECTION_POOL, "pop3_tls", CONFIG_CHOICE, 0, 0, "", "In place of `tls` for POP3.",
     ONE_OF("none|start|implicit", config_pool, tls_pop3)},
    {CONFIG_SECTION_POOL, "submission_tls", CONFIG_CHOICE, 0, 0, "",
     "In place of `tls` for submission.",
     ONE_OF("none|start|implicit", config_pool, tls_submission)},
    {CONFIG_SECTION_POOL, "sieve_tls", CONFIG_CHOICE, 0, 0, "",
     "In place of `tls` for ManageSieve, where `implicit` means `start` unless it is said here.",
     ONE_OF("none|start|implicit", config_pool, tls_sieve)},
    {CONFIG_SECTION_POOL, "lmtp_tls", CONFIG_CHOICE, 0, 0, "", "In place of `tls` for LMTP.",
     ONE_OF("none|start|implicit", config_pool, tls_lmtp)},
    {CONFIG_SECTION_POOL, "tls_ca", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with the certificates that those of the backends must lead to; their name is "
     "`host`, or the name in `address`.",
     AT(config_pool, tls_ca)},
    {CONFIG_SECTION_POOL, "tls_pins", CONFIG_NAMES, 1, 200, "",
     "SHA-256 of the backends' certificates, in hex (`openssl x509 -noout -fingerprint -sha256`): "
     "one of them must be shown.",
     AT(config_pool, tls_pins)},
    {CONFIG_SECTION_POOL, "unverified_tls", CONFIG_FLAG, 0, 1, "false",
     "Must be true where there is TLS with neither `tls_ca` nor `tls_pins`: whoever is on the way "
     "can then be the backend.",
     AT(config_pool, unverified_tls)},
    {CONFIG_SECTION_POOL, "insecure_clear_over_the_network", CONFIG_FLAG, 0, 1, "false",
     "Must be true where `tls` is `none` and a backend's address is neither loopback nor private "
     "(a name is not known to be): "
     "passwords and mail can then be read on the way.",
     AT(config_pool, insecure_clear)},
    {CONFIG_SECTION_POOL, "tls_certificate", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with our own certificate, for backends that ask for one.",
     AT(config_pool, tls_certificate)},
    {CONFIG_SECTION_POOL, "tls_key", CONFIG_PATH, 1, TEXT_MAX, "",
     "PEM file with its private key; as private as a listener's.", AT(config_pool, tls_key)},
    {CONFIG_SECTION_POOL, "pipelining", CONFIG_FLAG, 0, 1, "true",
     "Log in without waiting for each answer where the protocol allows it; false for backends that "
     "lose commands so.",
     AT(config_pool, pipelining)},
    {CONFIG_SECTION_POOL, "sources", CONFIG_NAMES, 2, 64, "",
     "Numeric addresses of this machine to connect from, by chance. Not given: the kernel's "
     "choice. "
     "Each allows some 28,000 connections to one port of a backend.",
     AT(config_pool, sources)},
    {CONFIG_SECTION_POOL, "any_address", CONFIG_FLAG, 0, 1, "false",
     "Whether a directory may send users to addresses that are no backend here, as nginx's "
     "`auth_http` does. The process may then connect to every TCP port.",
     AT(config_pool, any_address)},
    {CONFIG_SECTION_POOL, "connections", CONFIG_COUNT, 1, 1000000, "",
     "Sessions on one backend, of all cores together; more are answered \"try later\". Not given: "
     "as many as come.",
     AT(config_pool, connections)},
    {CONFIG_SECTION_POOL, "connecting", CONFIG_COUNT, 1, 10000, "100",
     "Log-ins under way on one backend, per core; more wait.", AT(config_pool, connecting)},
    {CONFIG_SECTION_POOL, "connect_timeout", CONFIG_DURATION, 100, MINUTE, "5s",
     "For one attempt to reach a backend, with TLS and greeting.", AT(config_pool, connect_ms)},
    {CONFIG_SECTION_POOL, "login_timeout", CONFIG_DURATION, SECOND, 5 * MINUTE, "15s",
     "For a log-in there, all attempts together.", AT(config_pool, login_ms)},
    {CONFIG_SECTION_POOL, "health_interval", CONFIG_DURATION, 0, HOUR, "10s",
     "Each backend is looked at so often. \"0s\": only what log-ins meet counts.",
     AT(config_pool, health_ms)},
    {CONFIG_SECTION_POOL, "down_after", CONFIG_COUNT, 1, 100, "3",
     "Failures in a row after which a backend is taken for dead.", AT(config_pool, down_after)},
    {CONFIG_SECTION_POOL, "up_after", CONFIG_COUNT, 1, 100, "2",
     "Successes in a row after which it is alive again.", AT(config_pool, up_after)},
    {CONFIG_SECTION_POOL, "slow_start", CONFIG_DURATION, 0, HOUR, "30s",
     "A backend that came back takes new users in growing numbers over this time.",
     AT(config_pool, slow_start_ms)},
    {CONFIG_SECTION_POOL, "affinity", CONFIG_DURATION, 0, 24 * HOUR, "15m",
     "A user stays on his backend for so long after the last session.",
     AT(config_pool, affinity_ms)},
    /* ---- backends */
    {CONFIG_SECTION_BACKEND, "name", CONFIG_TEXT, 1, 63, NULL,
     "What the log, the metrics and the commands call it. The hash goes by it: a backend that gets "
     "another address keeps its users as long as it keeps its name.",
     AT(config_backend, name)},
    {CONFIG_SECTION_BACKEND, "address", CONFIG_TEXT, 1, 253, NULL,
     "A numeric address, or a name that is looked up whenever the config is read.",
     AT(config_backend, address)},
    {CONFIG_SECTION_BACKEND, "host", CONFIG_TEXT, 1, 253, "",
     "The name that its certificate must have. Not given: the name in `address`.",
     AT(config_backend, host)},
    {CONFIG_SECTION_BACKEND, "imap", CONFIG_COUNT, 1, 65535, "",
     "Its IMAP port. Not given, here and below: it does not serve that.", AT(config_backend, imap)},
    {CONFIG_SECTION_BACKEND, "pop3", CONFIG_COUNT, 1, 65535, "", "Its POP3 port.",
     AT(config_backend, pop3)},
    {CONFIG_SECTION_BACKEND, "submission", CONFIG_COUNT, 1, 65535, "", "Its submission port.",
     AT(config_backend, submission)},
    {CONFIG_SECTION_BACKEND, "sieve", CONFIG_COUNT, 1, 65535, "", "Its ManageSieve port.",
     AT(config_backend, sieve)},
    {CONFIG_SECTION_BACKEND, "lmtp", CONFIG_COUNT, 1, 65535, "",
     "Its LMTP port, where mail for its users is handed on to it. Where no backend of a pool has "
     "one, mail to the pool's domains is refused at RCPT (550 5.7.1).",
     AT(config_backend, lmtp)},
    {CONFIG_SECTION_BACKEND, "weight", CONFIG_COUNT, 0, 1000000, "100",
     "Its share of the users, beside the others' weights. 0: only whom an exception or a directory "
     "sends there.",
     AT(config_backend, weight)},
    {CONFIG_SECTION_BACKEND, "tag", CONFIG_TEXT, 1, 63, "",
     "Users whose directory gives them the attribute `tag` are only on backends with that tag; all "
     "others only on those without.",
     AT(config_backend, tag)},
    /* ---- domains */
    {CONFIG_SECTION_DOMAIN, "name", CONFIG_TEXT, 1, 253, NULL, "The domain, as in addresses.",
     AT(config_domain, name)},
    {CONFIG_SECTION_DOMAIN, "users", CONFIG_PATH, 1, TEXT_MAX, "",
     "The passwd file with the domain's users: `local@domain:hash` a line, hashes as of crypt(3); "
     "kept by `ringpost user`. Must not be readable by others. Several domains may share one.",
     AT(config_domain, users)},
    {CONFIG_SECTION_DOMAIN, "directory", CONFIG_TEXT, 1, 64, "",
     "Instead of `users`: the name of the directory that knows them.",
     AT(config_domain, directory)},
    {CONFIG_SECTION_DOMAIN, "pool", CONFIG_TEXT, 1, 63, "",
     "Its mail is on other servers: the name of their pool. Log-ins are passed on to it, and mail "
     "to the domain where backends have `lmtp`. With `verify = \"backend\"` there, in place of "
     "users or directory.",
     AT(config_domain, pool)},
    {CONFIG_SECTION_DOMAIN, "catch_all", CONFIG_TEXT, 1, NAME_MAX_BYTES, "",
     "Who gets the mail for names that nobody has. Not given: such mail is refused at RCPT.",
     AT(config_domain, catch_all)},
    {CONFIG_SECTION_DOMAIN, "separator", CONFIG_TEXT, 0, 8, "+",
     "Characters that begin a sub-address: `user+tag@...` is delivered to `user`. \"\": none. In a "
     "domain with a pool it is the backend of `user` who gets it, and reads the whole address.",
     AT(config_domain, separator)},
    {CONFIG_SECTION_DOMAIN, "detail_mailbox", CONFIG_FLAG, 0, 1, "false",
     "Whether `user+Work@...` is put into the mailbox Work, where there is one. In a domain with a "
     "pool that is its backends' affair.",
     AT(config_domain, detail_mailbox)},
    /* ---- aliases */
    {CONFIG_SECTION_ALIAS, "name", CONFIG_TEXT, 1, NAME_MAX_BYTES, NULL,
     "The name before the `@`, or the whole address.", AT(config_alias, name)},
    {CONFIG_SECTION_ALIAS, "to", CONFIG_NAMES, 1, NAME_MAX_BYTES, NULL,
     "An address or an array of addresses; those without `@` are of the same domain.",
     AT(config_alias, to)},
    /* ---- listeners */
    {CONFIG_SECTION_LISTENER, "protocol", CONFIG_CHOICE, 0, 0, NULL,
     "What is spoken there. `smtp` is for other mail servers and never relays; `submission` is "
     "SMTP for users, who log in first (RFC 6409); `sieve` is ManageSieve (RFC 5804), for users of "
     "pools alone.",
     ONE_OF("smtp|lmtp|pop3|imap|submission|sieve", config_listener, protocol)},
    {CONFIG_SECTION_LISTENER, "address", CONFIG_TEXT, 1, 64, "",
     "A numeric address; \"0.0.0.0\" is every IPv4 address of this machine, \"::\" every address "
     "of "
     "both kinds.",
     AT(config_listener, address)},
    {CONFIG_SECTION_LISTENER, "port", CONFIG_COUNT, 1, 65535, "",
     "A TCP port. Usual are 25 for smtp, 24 for lmtp; with `tls = \"start\"` 587 for submission, "
     "143 for imap, 110 for pop3, 4190 for sieve; with `tls = \"implicit\"` 465 for submission, "
     "993 for imap, 995 "
     "for pop3 (RFC 8314).",
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
    {CONFIG_SECTION_LISTENER, "tls", CONFIG_CHOICE, 0, 0, "",
     "`start`: clients may switch to TLS by STARTTLS or STLS; `implicit`: they begin with it; "
     "`none`. Not given: `start` where there are certificates, except for lmtp.",
     ONE_OF("none|start|implicit", config_listener, tls)},
    {CONFIG_SECTION_LISTENER, "proxy_protocol", CONFIG_NETWORKS, 1, 64, "",
     "The proxies before this listener: each connection comes from there and begins with a PROXY "
     "header (version 1 or 2) that names the client; all others are closed.",
     AT(config_listener, proxy_from)},
    {CONFIG_SECTION_LISTENER, "xclient", CONFIG_NETWORKS, 1, 64, "",
     "Who may say by XCLIENT which client it speaks for (smtp, submission).",
     AT(config_listener, xclient_from)},
    {CONFIG_SECTION_LISTENER, "plain_login", CONFIG_FLAG, 0, 1, "false",
     "Whether passwords may be sent without TLS (imap, pop3, submission, sieve).",
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
