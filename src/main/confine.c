/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this gateway's config needs, and no more: the folders of its paths, the network if a
 * directory is behind it (confine.h has the whole picture).
 *
 * Every CONFIG_PATH of the table is looked at, so that a key added there is not forgotten here: its
 * folder may be read (a file is replaced by renaming, and a reload must see the new one), unless
 * the list below says otherwise. A reload can name new files in these folders, but no new folders.
 */
#include "confine.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "command.h"
#include "ringpost/kernel.h"
#include "setup.h"

static const struct special {
    enum config_section section;
    const char *key;
    enum confine_access access;
} specials[] = {
    {CONFIG_SECTION_STORE, "directory", CONFINE_STORES},
    {CONFIG_SECTION_LOG, "file", CONFINE_LOGS},
    {CONFIG_SECTION_LISTENER, "path", CONFINE_LISTENS},
    {CONFIG_SECTION_CONTROL, "socket", CONFINE_LISTENS},
};

/* What name look-ups and TLS of the libraries behind network directories read. Those that are not
 * there are not missed. */
static const char *const system_folders[] = {
    "/etc",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/run/systemd/resolve",
    "/usr/share/p11-kit",
};

/* Folders that were allowed already: configs have many users files in one folder. */
enum { ALLOWED_MAX = 64 };

struct allowing {
    int ruleset, error;
    unsigned count;
    struct allowed {
        enum confine_access access;
        char folder[PATH_MAX];
    } allowed[ALLOWED_MAX]; /* the first ones; more are only slower */
};

static void allow(struct allowing *allowing, const char *path, enum confine_access access)
{
    for (unsigned i = 0; i < allowing->count; i++)
        if (allowing->allowed[i].access == access && strcmp(allowing->allowed[i].folder, path) == 0)
            return;
    int result = confine_files_allow(allowing->ruleset, path, access);
    if (result < 0 && result != -ENOENT && result != -ENOTDIR && allowing->error == 0)
        allowing->error = result;
    if (allowing->count < ALLOWED_MAX && strlen(path) < PATH_MAX) {
        struct allowed *entry = &allowing->allowed[allowing->count++];
        entry->access = access;
        memcpy(entry->folder, path, strlen(path) + 1);
    }
}

static void allow_folder_of(struct allowing *allowing, const char *path, enum confine_access access)
{
    char folder[PATH_MAX];
    struct stat there;
    size_t size = strlen(path);
    if (size >= sizeof folder)
        return;
    memcpy(folder, path, size + 1);
    if (stat(path, &there) < 0 || !S_ISDIR(there.st_mode)) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            memcpy(folder, ".", 2);
        else
            slash[slash == folder] = '\0';
    }
    allow(allowing, folder, access);
}

/* ---------------------------------------------------------------- the config's paths */

static enum confine_access access_of(const struct config_row *row)
{
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (specials[i].section == row->section && strcmp(specials[i].key, row->key) == 0)
            return specials[i].access;
    return CONFINE_READS;
}

/* All texts of type CONFIG_PATH in one struct of a section. */
static void allow_paths(struct allowing *allowing, enum config_section section, const char *at)
{
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->section != section || row->type != CONFIG_PATH)
            continue;
        const char *path = *(const char *const *)(const void *)(at + row->offset);
        if (path == NULL || *path == '\0')
            continue;
        enum confine_access access = access_of(row);
        if (access == CONFINE_STORES)
            allow(allowing, path, access);
        else
            allow_folder_of(allowing, path, access);
    }
}

static void each_section(struct allowing *allowing, enum config_section section, const char *at);

/* tidy: sections nest three deep at most, by the table and not by input. */
static void each_child(struct allowing *allowing, enum config_section parent, const char *at)
{
    for (unsigned child = 0; child < CONFIG_SECTION_COUNT; child++)
        if (child != CONFIG_SECTION_GENERAL && config_sections[child].parent == parent)
            each_section(allowing, (enum config_section)child, at);
}

static void each_section(struct allowing *allowing, enum config_section section, const char *at)
{
    const struct config_section_row *row = &config_sections[section];
    const char *group = at + row->offset;
    if (row->item_bytes == 0) {
        allow_paths(allowing, section, group);
        each_child(allowing, section, group);
        return;
    }
    const struct config_list *list = (const struct config_list *)(const void *)group;
    for (unsigned i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * row->item_bytes;
        allow_paths(allowing, section, item);
        each_child(allowing, section, item);
    }
}

/* ---------------------------------------------------------------- TCP */

/* Libraries that talk to servers of their own: who knows which ports. */
static bool needs_network(const struct config *config)
{
    const char *exceptions = config->proxy.exceptions;
    const struct config_directory *directories = config->directories.items;
    bool needs = config->auth.tokens.introspection != NULL ||
                 (exceptions != NULL && strncmp(exceptions, "redis:", 6) == 0);
    for (unsigned i = 0; i < config->directories.count; i++)
        needs = needs || directories[i].ldap.url != NULL || directories[i].http.url != NULL ||
                directories[i].http.token_url != NULL ||
                directories[i].postgresql.connection != NULL;
    return needs;
}

static bool goes_anywhere(const struct config *config)
{
    const struct config_pool *pools = config->pools.items;
    bool any = needs_network(config);
    for (unsigned i = 0; i < config->pools.count; i++)
        any = any || pools[i].any_address != 0;
    return any;
}

static bool has_names(const struct config *config)
{
    const struct config_pool *pools = config->pools.items;
    bool has = false;
    for (unsigned i = 0; i < config->pools.count; i++) {
        const struct config_backend *backends = pools[i].backends.items;
        for (unsigned j = 0; j < pools[i].backends.count; j++)
            has = has || !config_is_numeric(backends[j].address);
    }
    return has;
}

static bool may_connect(const struct config *config)
{
    return needs_network(config) || has_names(config);
}

bool confine_may_look_up(const struct config *config)
{
    return config->general.confine == 0 || may_connect(config);
}

/* tell() for each port of a backend; until it is false. */
static void each_port(const struct config *config, bool (*tell)(void *argument, uint16_t port),
                      void *argument)
{
    const struct config_pool *pools = config->pools.items;
    for (unsigned i = 0; i < config->pools.count; i++) {
        const struct config_backend *backends = pools[i].backends.items;
        for (unsigned j = 0; j < pools[i].backends.count; j++) {
            const uint64_t ports[] = {backends[j].imap, backends[j].pop3, backends[j].submission,
                                      backends[j].sieve, backends[j].lmtp};
            for (size_t k = 0; k < sizeof ports / sizeof *ports; k++)
                if (ports[k] != CONFIG_UNSET && !tell(argument, (uint16_t)ports[k]))
                    return;
        }
    }
}

struct looking {
    uint64_t port;
    bool found;
};

static bool look(void *argument, uint16_t port)
{
    struct looking *looking = argument;
    looking->found = looking->port == port;
    return !looking->found;
}

static bool is_listed(const struct config *config, uint64_t port)
{
    struct looking looking = {.port = port};
    each_port(config, look, &looking);
    return looking.found;
}

bool confine_port_is_open(const struct config *config, uint64_t port)
{
    return is_listed(config, port) || config->general.confine == 0 || goes_anywhere(config);
}

static bool allow_port(void *argument, uint16_t port)
{
    struct allowing *allowing = argument;
    int result = confine_files_allow_port(allowing->ruleset, port);
    if (result < 0 && allowing->error == 0)
        allowing->error = result;
    return true;
}

static bool has_sources(const struct config *config)
{
    const struct config_pool *pools = config->pools.items;
    bool has = false;
    for (unsigned i = 0; i < config->pools.count; i++)
        has = has || pools[i].sources.count > 0;
    return has;
}

bool confine_has_sources(const struct config *config)
{
    return config->general.confine == 0 || has_sources(config);
}

static void allow_ports(struct allowing *allowing, const struct config *config)
{
    if (has_sources(config) && confine_files_allow_sources(allowing->ruleset) < 0)
        allowing->error = -EINVAL;
    if (goes_anywhere(config))
        return;
    each_port(config, allow_port, allowing);
    if (has_names(config)) /* long answers of name servers */
        allow_port(allowing, 53);
}

/* ---------------------------------------------------------------- start */

static int confine_files(struct confine *confine, struct config *config)
{
    const char *exceptions = config_exceptions_file(config);
    static struct allowing allowing; /* large, and used once */
    allowing = (struct allowing){.ruleset = confine_files_begin(confine->any_port)};
    if (allowing.ruleset < 0)
        return allowing.ruleset;
    allow_folder_of(&allowing, config->path, CONFINE_READS);
    allow_paths(&allowing, CONFIG_SECTION_GENERAL, (const char *)&config->general);
    each_child(&allowing, CONFIG_SECTION_GENERAL, (const char *)config);
    for (size_t i = 0; i < sizeof system_folders / sizeof *system_folders && confine->may_connect;
         i++)
        allow(&allowing, system_folders[i], CONFINE_READS);
    if (exceptions != NULL) /* written beside and renamed */
        allow_folder_of(&allowing, exceptions, CONFINE_STORES);
    allow_ports(&allowing, config);
    int result = confine_files_end(allowing.ruleset);
    return result < 0 ? result : allowing.error;
}

bool confine_begin(struct confine *confine, const struct setup *setup)
{
    struct config *config = setup->config;
    *confine = (struct confine){
        .may_connect = may_connect(config), .any_port = goes_anywhere(config), .closed_port = 1};
    while (is_listed(config, confine->closed_port))
        confine->closed_port++;
#ifndef RINGPOST_SANITIZED /* whose run-time traces the process and reads /proc */
    confine->is_on = config->general.confine != 0;
#endif
    if (!confine->is_on)
        return true;
    int result = config->store.directory == NULL
                     ? 0
                     : kernel_directory_make(NULL, config->store.directory, 0700);
    if (result < 0) {
        complain("store.directory %s: %s", config->store.directory, strerror(-result));
        return false;
    }
    void *frame;
    (void)backtrace(&frame, 1); /* loads what ending a thread needs: later it cannot be opened */
    mime_charsets_open(&confine->charsets);
    if (confine->charsets.missing > 0)
        complain("%u charsets of mail are missing on this machine (files of iconv, gconv): mail in "
                 "them is not found by its words",
                 confine->charsets.missing);
    confine->calls_error = confine_calls_make(confine->may_connect, &confine->calls);
    confine->files_error = confine_files(confine, config);
    if (confine->calls_error == 0)
        confine->calls_error = confine_calls_start(&confine->calls);
    return true;
}

/* ---------------------------------------------------------------- self-test */

static bool ring_files_hold(struct core *core)
{
    bool holds = true;
    for (int i = 0; i < 2; i++) {
        int fd = await_open(core, confine_probe_files[i], 0, 0);
        if (fd >= 0)
            await_close(core, fd);
        holds = holds && fd < 0;
    }
    return holds;
}

struct trial {
    struct op op; /* first */
    struct core *core;
    struct fiber *fiber;
    int result;
};

static void trial_done(struct op *op, int result, unsigned flags)
{
    struct trial *trial = (struct trial *)op;
    (void)flags;
    trial->result = result;
    fiber_wake(trial->core, trial->fiber);
}

static int trial_wait(struct trial *trial)
{
    fiber_park(trial->core);
    return trial->result;
}

/* To ourselves, where nobody listens: without landlock it is refused by the network. */
static bool ring_connects_hold(struct core *core, uint16_t port)
{
    struct trial trial = {
        .op.done = trial_done, .core = core, .fiber = fiber_current(core), .result = 0};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    op_socket(core, &trial.op, AF_INET);
    int slot = trial_wait(&trial);
    if (slot < 0)
        return slot == -EACCES; /* the ring's own restrictions */
    op_connect(core, &trial.op, (unsigned)slot, &to, sizeof to);
    int result = trial_wait(&trial);
    op_close_slot(core, &trial.op, (unsigned)slot);
    trial_wait(&trial);
    return result == -EACCES;
}

static bool is_needed(const struct confine *confine, unsigned measure)
{
    return confine->is_on && !(measure == CONFINE_SOCKETS && confine->may_connect) &&
           !(measure == CONFINE_CONNECTS && confine->any_port);
}

static void say(const struct confine *confine, struct core *core, uint32_t held)
{
    bool is_whole = true;
    for (unsigned i = 0; i < CONFINE_MEASURES; i++)
        is_whole = is_whole && (held >> i & 1 || !is_needed(confine, i));
    struct event event;
    event_begin(&event, "confined", is_whole && confine->is_on ? "info" : "warning");
    event_text(&event, "on", confine->is_on ? SLICE("true") : SLICE("false"));
    for (unsigned i = 0; i < CONFINE_MEASURES; i++)
        event_text(&event, confine_names[i], held >> i & 1 ? SLICE("true") : SLICE("false"));
    if (confine->may_connect)
        event_text(&event, "sockets_for", SLICE("directories, names or Redis"));
    if (confine->any_port)
        event_text(&event, "connects_to", SLICE("any port"));
    if (confine->files_error < 0)
        event_text(&event, "landlock", slice_cstr(strerror(-confine->files_error)));
    if (confine->calls_error < 0)
        event_text(&event, "seccomp", slice_cstr(strerror(-confine->calls_error)));
    core_log(core, &event);
}

void confine_finish(struct confine *confine, struct core *core)
{
    if (confine->is_on && confine->calls_error == 0)
        confine->calls_error = confine_calls_serve(&confine->calls);
    uint32_t held = confine_probe();
    if (ring_files_hold(core))
        held |= UINT32_C(1) << CONFINE_RING_FILES;
    if (await_forbidden(core) == -EACCES)
        held |= UINT32_C(1) << CONFINE_RING;
    if (ring_connects_hold(core, confine->closed_port))
        held |= UINT32_C(1) << CONFINE_CONNECTS;
    say(confine, core, held);
}

void confine_end(struct confine *confine)
{
    confine_calls_free(&confine->calls);
    mime_charsets_close(&confine->charsets);
}
