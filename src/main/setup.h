/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a checked config to what the layers want: users, routes, directories, certificates,
 * services, options. A setup is a generation: built at once, immutable, shared by all cores, freed
 * when a newer one has taken its place and nobody uses it any more.
 */
#ifndef RINGPOST_SETUP_H
#define RINGPOST_SETUP_H

#include "config.h"
#include "file.h"
#include "ringpost/auth.h"
#include "ringpost/backend.h"
#include "ringpost/control.h"
#include "ringpost/directory.h"
#include "ringpost/gateway.h"
#include "ringpost/generation.h"
#include "ringpost/imap.h"
#include "ringpost/pop3.h"
#include "ringpost/proxy.h"
#include "ringpost/route.h"
#include "ringpost/sieve.h"
#include "ringpost/smtp.h"

struct setup;

/* What is made once and outlives every reading of the config. */
struct setup_process {
    uint8_t ticket_secret[32], dummy_key[16];
    struct smtp_quotas *quotas;
    struct backend_states *backend_states; /* the first setup's; NULL: it has no pools */
    bool is_open;
};

/* The tickets' secret; before anything is read. False after saying why. */
bool setup_process_begin(struct setup_process *process);
/* After privileges are dropped: makes the store's directory, and there the file with the key that
 * has to be the same at every start; tells the first setup. False after saying why. */
bool setup_process_open(struct setup_process *process, struct setup *setup);
void setup_process_end(struct setup_process *process);

struct setup {
    struct generation generation;
    struct config *config; /* owned */
    struct file_reader reader;
    struct auth_users *users, *masters;
    struct auth_directory
        *directories; /* those of domains; then that of tokens, if it is another */
    unsigned directory_count, directories_asked;
    struct auth_tokens *tokens;
    struct route_table *routes;
    struct tls_settings *tls; /* counted; NULL without certificates */
    uint64_t tls_stamp;       /* of the files that they were made of */
    struct smtp_options smtp, lmtp, submission;
    struct imap_options imap;
    struct backend_states *backend_states; /* owned; NULL but in the first one */
    struct backend_table *backends;
    struct slice *pool_files; /* bytes that the table points to */
    unsigned pool_file_count;
    const struct proxy_domain *fronted; /* sorted by name */
    const struct slice *judged;         /* names of those whose backends judge; sorted */
    unsigned fronted_count, judged_count;
    struct proxy_options proxy[BACKEND_PROTOCOL_COUNT];
    struct control_options control;
    struct exception_keeper_options exceptions;
    struct slice exceptions_secret;                    /* the file's bytes */
    struct service services[CONFIG_LISTENERS_MAX + 1]; /* and the control socket's */
    struct gateway_options gateway;
    struct engine_options engine;
    struct setup *next; /* older generations that are still used; of reload.c */
};

/* Reads the users and certificates, puts everything together; what is wrong goes to the config's
 * problems. Takes over the config. NULL without memory; else setup->config->problem_count says if
 * it may be used. process NULL: only to be checked. */
struct setup *setup_make(struct config *config, const struct setup_process *process);
void setup_free(struct setup *setup);

/* The CPUs that this process may use. */
unsigned setup_cpu_count(void);
/* Those that this config has the process use. */
unsigned setup_core_count(const struct config *config);
/* Empty for NULL. */
struct slice setup_text(const char *text);
/* A copy in lower case, in the config's arena. */
struct slice setup_lower(struct config *config, const char *name);

/* ---- parts of setup_make, in this order */
void setup_read_users(struct setup *setup);       /* setup_mail.c */
void setup_make_directories(struct setup *setup); /* setup_directory.c */
void setup_make_backends(struct setup *setup,
                         const struct setup_process *process); /* setup_backend.c */
void setup_make_routes(struct setup *setup);                   /* setup_mail.c */
void setup_make_auth(struct setup *setup, const struct setup_process *process); /* setup_auth.c */
void setup_make_control(struct setup *setup); /* setup_control.c; behind the other services */
void setup_free_auth(struct setup *setup);
void setup_free_directories(struct setup *setup);
void setup_free_backends(struct setup *setup);
/* The domain (lower case) has a pool. After setup_make_backends. */
bool setup_is_fronted(const struct setup *setup, struct slice domain);
/* By its name in the config; NULL when there is none. */
const struct auth_directory *setup_directory(const struct setup *setup, const char *name);

/* ---- certificates (setup_tls.c) */

/* Reads and checks the certificates and keys that the config names; what is wrong becomes its
 * problems. NULL when there are problems, or no certificates. */
struct tls_settings *setup_make_tls(struct config *config, const struct file_reader *reader,
                                    const uint8_t ticket_secret[32]);

/* Another number when one of those files is another than before. */
uint64_t setup_tls_stamp(const struct config *config);

#endif
