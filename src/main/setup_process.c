/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is made once in the life of the process: the secret of session tickets, which is new at
 * every start; the key that dummy salts of unknown users are made from, which must not change (who
 * saw a user's salt change at a restart would know that there is no such user); the quotas.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "setup.h"

enum { PATH_BYTES = 4200 };

static bool fill(void *data, size_t size)
{
    if (getrandom(data, size, 0) == (ssize_t)size)
        return true;
    complain("no random bytes: %s", strerror(errno));
    return false;
}

bool setup_process_begin(struct setup_process *process)
{
    memset(process, 0, sizeof *process);
    return fill(process->ticket_secret, sizeof process->ticket_secret);
}

/* The key in the store's directory; made when it is not there, whole or not at all. */
static bool read_key(const char *path, uint8_t key[16])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool ok = fd >= 0 && read(fd, key, 16) == 16;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool make_key(const char *path, uint8_t key[16])
{
    char beside[PATH_BYTES + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, key, 16) == 16 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok && rename(beside, path) == 0;
}

static bool open_key(const struct config *config, uint8_t key[16])
{
    char path[PATH_BYTES];
    const char *directory = config->store.directory;
    if (directory == NULL) /* nowhere to keep it: the salts change at the next start */
        return fill(key, 16);
    if (mkdir(directory, 0700) < 0 && errno != EEXIST && errno != ENOENT) {
        complain("store.directory %s: %s", directory, strerror(errno));
        return false;
    }
    snprintf(path, sizeof path, "%s/dummy.key", directory);
    if (read_key(path, key))
        return true;
    if (!fill(key, 16))
        return false;
    if (!make_key(path, key))
        complain("%s: %s; the salts of unknown users change at the next start", path,
                 strerror(errno));
    return true;
}

bool setup_process_open(struct setup_process *process, struct setup *setup)
{
    if (!open_key(setup->config, process->dummy_key))
        return false;
    int result = smtp_quotas_create(setup->engine.core_count, &process->quotas);
    if (result < 0) {
        complain("quotas: %s", strerror(-result));
        return false;
    }
    process->backend_states = setup->backend_states;
    process->is_open = true;
    memcpy(setup->gateway.auth.dummy_key, process->dummy_key, sizeof process->dummy_key);
    setup->submission.quotas = process->quotas;
    return true;
}

void setup_process_end(struct setup_process *process)
{
    smtp_quotas_free(process->quotas);
    explicit_bzero(process, sizeof *process);
}
