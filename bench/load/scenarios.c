/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scenarios there are, in the order in which --help lists them. To add one: its file do_NAME.c
 * with `const struct load_scenario scenario_NAME`, a declaration and a row here, the file in
 * meson.build, an end-to-end test.
 */
#include "load.h"

extern const struct load_scenario scenario_smtp, scenario_lmtp;
extern const struct load_scenario scenario_imap, scenario_pop3, scenario_login, scenario_connect;
extern const struct load_scenario scenario_idle, scenario_mix;

const struct load_scenario *const load_scenarios[] = {
    &scenario_smtp,    &scenario_lmtp, &scenario_imap, &scenario_pop3, &scenario_login,
    &scenario_connect, &scenario_idle, &scenario_mix,  NULL,
};
