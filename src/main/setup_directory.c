/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories from their sections in the config.
 */
#include <stdlib.h>

#include "setup.h"

void setup_make_directories(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_directory *all = config->directories.items;
    for (unsigned i = 0; i < config->directories.count; i++)
        config_problem(config, all[i].place, "directory \"%.60s\": this program was built without",
                       all[i].name);
}

const struct auth_directory *setup_directory(const struct setup *setup, const char *name)
{
    for (unsigned i = 0; i < setup->directory_count; i++)
        if (slice_equal(setup->directories[i].name, slice_cstr(name)))
            return &setup->directories[i];
    return NULL;
}

void setup_free_directories(struct setup *setup)
{
    for (unsigned i = 0; i < setup->directory_count; i++)
        setup->directories[i].kind->close(setup->directories[i].state);
    free(setup->directories);
}
