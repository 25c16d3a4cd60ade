/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost certificate make`, and the same for `ringpost try`. For a lab, or until the real one is
 * there: nobody trusts it who has not been told to.
 */
#include "certificate_write.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "certificate.h"
#include "command.h"
#include "file.h"

bool certificate_write(const char *directory, const char *const *names)
{
    char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
    const char *why = certificate_make(names, time(NULL), certificate, key);
    if (why != NULL) {
        complain("certificate: %s", why);
        return false;
    }
    bool ok = path_write(directory, "key.pem", 0600, slice_cstr(key)) &&
              path_write(directory, "certificate.pem", 0644, slice_cstr(certificate));
    explicit_bzero(key, sizeof key);
    return ok;
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= 253 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*") ==
               size;
}

int run_certificate_make(const struct invocation *invocation)
{
    const char *const names[] = {invocation->operand, NULL};
    if (!is_name(invocation->operand)) {
        complain("\"%.100s\" is no host name", invocation->operand);
        return STATUS_USAGE;
    }
    if (mkdir(invocation->dir, 0700) < 0 && errno != EEXIST) {
        complain("%s: %s", invocation->dir, strerror(errno));
        return STATUS_FAILED;
    }
    if (!certificate_write(invocation->dir, names))
        return STATUS_FAILED;
    printf("%s/certificate.pem and %s/key.pem, for two years\n", invocation->dir, invocation->dir);
    return STATUS_OK;
}
