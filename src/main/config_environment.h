/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Settings by environment variables (config_environment.c), between libconfig's tree and its
 * reader.
 */
#ifndef RINGPOST_CONFIG_ENVIRONMENT_H
#define RINGPOST_CONFIG_ENVIRONMENT_H

#include <libconfig.h>

#include "config.h"

/* Lays the variables RINGPOST_... over the tree. What comes from one has its place as its hook. */
void config_environment_lay(struct config *config, config_setting_t *root,
                            const struct config_source *source);
/* Remembers a variable that counts, for `ringpost check`. */
void config_variable_note(struct config *config, const char *name, struct config_place over);

#endif
