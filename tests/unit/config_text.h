/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Config files as texts in a test, and what is to be said about them.
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/main/config.h"

#define DOMAIN   "domains = ( { name = \"example.test\"; users = \"users\"; } );\n"
#define LISTENER "listeners = ( { protocol = \"smtp\"; address = \"127.0.0.1\"; port = 2525; } );\n"
#define HEAD     "host_name = \"mx.example.test\";\nstore: { directory = \"store\"; };\n"
#define GOOD     HEAD DOMAIN LISTENER

/* A group's setup and teardown: a folder for the files, and nothing left of it. */
extern char config_folder[40];
int config_folder_make(void **state);
int config_folder_remove(void **state);

void write_named(const char *name, const void *data, size_t size);
/* The text as the file test.conf, read; to be given to config_free. */
struct config *load_bytes(const void *data, size_t size);
struct config *load(const char *text);
/* The text has exactly the problem, on that line. */
void expect(const char *text, unsigned line, const char *what);
/* The same of one more line below a good config. */
void expect_line(const char *text, const char *what);
void expect_good(const char *text);

#endif
