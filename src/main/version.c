/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this program is made of: its own version and those of the libraries that run in it.
 */
#include <libconfig.h>

#include "certificate.h"
#include "command.h"
#include "ringpost/admin.h"
#include "ringpost/kernel.h"

/* jemalloc's, where the program is linked with it (not in sanitizer builds). */
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

const char version_text[] = RINGPOST_VERSION;

void version_show(FILE *file)
{
    const char *allocator = "of the C library";
    size_t size = sizeof allocator;
    if (mallctl != NULL)
        mallctl("version", &allocator, &size, NULL, 0);
    fprintf(file, "ringpost %s\n", version_text);
    fprintf(file, "  liburing %d.%d\n", IO_URING_VERSION_MAJOR, IO_URING_VERSION_MINOR);
    fprintf(file, "  wolfSSL %s\n", certificate_library_version());
    fprintf(file, "  libconfig %d.%d.%d\n", LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR,
            LIBCONFIG_VER_REVISION);
    fprintf(file, "  libmicrohttpd %s\n", admin_library_version());
    fprintf(file, "  %s %s\n", mallctl != NULL ? "jemalloc" : "malloc", allocator);
    fputs("Licence: GPL-2.0-or-later; there is no warranty.\n", file);
}
