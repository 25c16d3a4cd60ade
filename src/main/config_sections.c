/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sections of the config file: where each stands, and how many of it there may be. Their keys
 * are in config_table.c.
 */
#include "config.h"

const struct config_section_row config_sections[CONFIG_SECTION_COUNT] = {
    [CONFIG_SECTION_GENERAL] = {"", CONFIG_SECTION_GENERAL, 0, 0, 0, "The gateway as a whole."},
    [CONFIG_SECTION_LOG] = {"log", CONFIG_SECTION_GENERAL, offsetof(struct config, log), 0, 0,
                            "Where log lines go: JSON, one object a line."},
    [CONFIG_SECTION_STORE] = {"store", CONFIG_SECTION_GENERAL, offsetof(struct config, store), 0, 0,
                              "The log that holds all mail."},
    [CONFIG_SECTION_TLS] = {"tls", CONFIG_SECTION_GENERAL, offsetof(struct config, tls), 0, 0,
                            "TLS 1.3 and 1.2 of all listeners that have it."},
    [CONFIG_SECTION_CERTIFICATE] =
        {"certificates", CONFIG_SECTION_TLS, offsetof(struct config_tls, certificates),
         sizeof(struct config_certificate), CONFIG_CERTIFICATES_MAX,
         "A list in `tls`: certificates, chosen by the name that a client asks for (SNI); who asks "
         "for none of them gets the first."},
    [CONFIG_SECTION_AUTH] = {"auth", CONFIG_SECTION_GENERAL, offsetof(struct config, auth), 0, 0,
                             "Who may log in, and how fast they may guess."},
    [CONFIG_SECTION_TOKENS] =
        {"tokens", CONFIG_SECTION_AUTH, offsetof(struct config_auth, tokens), 0, 0,
         "A section in `auth`: log-in by OAuth tokens (OAUTHBEARER, XOAUTH2), "
         "checked here by `jwks`, or by the server that issued them."},
    [CONFIG_SECTION_DIRECTORY] =
        {"directories", CONFIG_SECTION_GENERAL, offsetof(struct config, directories),
         sizeof(struct config_directory), CONFIG_DIRECTORIES_MAX,
         "A list: where users are known other than in passwd files. Each has exactly one of the "
         "sections `sqlite`, `ldap`, `postgresql`, `http`, and is named by domains. What a user "
         "typed reaches a directory as data, never as a part of the query."},
    [CONFIG_SECTION_SQLITE] = {"sqlite", CONFIG_SECTION_DIRECTORY,
                               offsetof(struct config_directory, sqlite), 0, 0,
                               "Users in an SQLite file, which is only read."},
    [CONFIG_SECTION_LDAP] = {"ldap", CONFIG_SECTION_DIRECTORY,
                             offsetof(struct config_directory, ldap), 0, 0,
                             "Users in an LDAP server (RFC 4511)."},
    [CONFIG_SECTION_POSTGRESQL] = {"postgresql", CONFIG_SECTION_DIRECTORY,
                                   offsetof(struct config_directory, postgresql), 0, 0,
                                   "Users in a PostgreSQL database."},
    [CONFIG_SECTION_HTTP] = {"http", CONFIG_SECTION_DIRECTORY,
                             offsetof(struct config_directory, http), 0, 0,
                             "An HTTP server that judges log-ins, asked as nginx's `auth_http` "
                             "does, and tokens (RFC 7662)."},
    [CONFIG_SECTION_LIMITS] = {"limits", CONFIG_SECTION_GENERAL, offsetof(struct config, limits), 0,
                               0, "What one client, one message and one core may take."},
    [CONFIG_SECTION_SUBMISSION] =
        {"submission", CONFIG_SECTION_GENERAL, offsetof(struct config, submission), 0, 0,
         "What users may send by listeners of protocol `submission`, and how much."},
    [CONFIG_SECTION_ADMIN] = {"admin", CONFIG_SECTION_GENERAL, offsetof(struct config, admin), 0, 0,
                              "Metrics and health over HTTP: /metrics, /live, /ready."},
    [CONFIG_SECTION_CONTROL] = {"control", CONFIG_SECTION_GENERAL, offsetof(struct config, control),
                                0, 0, "The operator's commands to the running gateway."},
    [CONFIG_SECTION_PROXY] = {"proxy", CONFIG_SECTION_GENERAL, offsetof(struct config, proxy), 0, 0,
                              "Sessions that are passed on to backends."},
    [CONFIG_SECTION_LMTP] =
        {"lmtp", CONFIG_SECTION_GENERAL, offsetof(struct config, lmtp), 0, 0,
         "Mail for users of pools, handed on to their backends by LMTP while its sender waits. "
         "What "
         "a backend does not take now is answered 451, and the sender tries again."},
    [CONFIG_SECTION_POOL] =
        {"pools", CONFIG_SECTION_GENERAL, offsetof(struct config, pools),
         sizeof(struct config_pool), CONFIG_POOLS_MAX,
         "A list: groups of other mail servers (backends) that hold the mail of whole domains. "
         "Each user has a backend of the pool, chosen by a hash of the name and by weights; "
         "IMAP, POP3, submission and ManageSieve are passed through to it, mail is handed on to it "
         "by "
         "LMTP."},
    [CONFIG_SECTION_BACKEND] = {"backends", CONFIG_SECTION_POOL,
                                offsetof(struct config_pool, backends),
                                sizeof(struct config_backend), CONFIG_BACKENDS_MAX,
                                "A list in a pool: its servers."},
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
