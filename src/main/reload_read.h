/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a reload reads, on a helper thread: nothing of it touches a core.
 */
#ifndef RINGPOST_RELOAD_READ_H
#define RINGPOST_RELOAD_READ_H

#include "setup.h"

struct reload_reading {
    const struct setup *first; /* of the start, or the current one */
    const struct setup_process *process;
    struct setup *setup;      /* reload_read_config: the caller's; NULL without memory */
    struct config *config;    /* reload_read_tls: its problems; NULL without memory */
    struct tls_settings *tls; /* reload_read_tls; NULL with problems */
    uint64_t stamp;           /* reload_read_stamp */
};

/* Each with a struct reload_reading. */
void reload_read_config(void *reading);
void reload_read_tls(void *reading);
void reload_read_stamp(void *reading);
/* setup_free, for a helper. */
void reload_free(void *setup);

/* Names each setting that differs and is looked at only when the process starts. */
void reload_compare(const struct config *running, const struct config *read,
                    void (*say)(void *argument, const char *what), void *argument);

#endif
