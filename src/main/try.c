/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost try`: a sample config with users in a directory of its own, then the gateway on it,
 * on loopback. What it writes is an ordinary config, so it also shows how one looks.
 *
 * The certificate is self-signed: every port has TLS (STARTTLS, STLS, or from the first byte), and
 * takes passwords without it too, since all is on loopback.
 *
 * All users have the same password, and so the same hash: a slow hash for each would only make
 * the start slow.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "certificate_write.h"
#include "command.h"
#include "file.h"
#include "serve.h"

enum { PATH_BYTES = 4096 };

static const char config_format[] =
    "# Written by `ringpost try`, anew at each start. docs/config.md explains every key.\n"
    "host_name = \"localhost\";\n"
    "%s"
    "drain_pace = \"500ms\";\n"
    "drain_wait = \"5s\";\n"
    "\n"
    "store: { directory = \"store\"; };\n"
    "\n"
    "domains = (\n"
    "  {\n"
    "    name = \"example.test\";\n"
    "    users = \"users.passwd\";\n"
    "    separator = \"+\";\n"
    "    aliases = (\n"
    "      { name = \"postmaster\"; to = \"u0\"; },\n"
    "      { name = \"all-two\"; to = [\"u0\"%s]; }\n"
    "    );\n"
    "  }\n"
    ");\n"
    "auth: { default_domain = \"example.test\"; };\n"
    "\n"
    "tls: { certificates = ( { certificate = \"certificate.pem\"; key = \"key.pem\"; } ); };\n"
    "\n"
    "listeners = (\n"
    "  { protocol = \"smtp\"; address = \"127.0.0.1\"; port = %u; },\n"
    "  { protocol = \"submission\"; address = \"127.0.0.1\"; port = %u; plain_login = true; },\n"
    "  { protocol = \"submission\"; address = \"127.0.0.1\"; port = %u; tls = \"implicit\"; },\n"
    "  { protocol = \"lmtp\"; address = \"127.0.0.1\"; port = %u; },\n"
    "  { protocol = \"lmtp\"; path = \"lmtp.sock\"; mode = \"0660\"; },\n"
    "  { protocol = \"pop3\"; address = \"127.0.0.1\"; port = %u; plain_login = true; },\n"
    "  { protocol = \"pop3\"; address = \"127.0.0.1\"; port = %u; tls = \"implicit\"; },\n"
    "  { protocol = \"imap\"; address = \"127.0.0.1\"; port = %u; plain_login = true; },\n"
    "  { protocol = \"imap\"; address = \"127.0.0.1\"; port = %u; tls = \"implicit\"; }\n"
    ");\n"
    "limits: { connections = 19000; };\n"
    "admin: { address = \"127.0.0.1\"; port = %u; };\n";

static bool write_config(const struct invocation *invocation)
{
    char text[4096], cores[32] = "";
    unsigned base = invocation->port_base;
    if (invocation->given & OPTION_CORES)
        snprintf(cores, sizeof cores, "cores = %u;\n", invocation->cores);
    const char *second = invocation->users > 1 ? ", \"u1@example.test\"" : "";
    int size =
        snprintf(text, sizeof text, config_format, cores, second, base + 25, base + 587, base + 465,
                 base + 24, base + 110, base + 995, base + 143, base + 993, base + 80);
    return path_write(invocation->dir, "ringpost.conf", 0644, slice_of(text, (size_t)size));
}

static bool write_users(const struct invocation *invocation)
{
    char hash[256], salt[32];
    int result = getrandom(salt, sizeof salt, 0) == sizeof salt
                     ? auth_hash(SLICE(""), SLICE("pw"), slice_of(salt, sizeof salt), 0, hash)
                     : -errno;
    if (result < 0) {
        complain("cannot hash the password: %s", strerror(-result));
        return false;
    }
    size_t room = invocation->users * (strlen(hash) + 40) + 1, size = 0;
    char *text = malloc(room);
    if (text == NULL) {
        complain("out of memory");
        return false;
    }
    for (unsigned i = 0; i < invocation->users; i++)
        size += (size_t)snprintf(text + size, room - size, "u%u@example.test:%s\n", i, hash);
    bool ok = path_write(invocation->dir, "users.passwd", 0600, slice_of(text, size));
    free(text);
    return ok;
}

/* A certificate that is there stays, so that a client that has learned to trust it goes on. */
static bool write_certificate(const char *directory)
{
    static const char *const names[] = {"localhost", "example.test", "mail.example.test", NULL};
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/certificate.pem", directory);
    return access(path, F_OK) == 0 || certificate_write(directory, names);
}

static void say_how(const struct invocation *invocation)
{
    unsigned base = invocation->port_base;
    const char *dir = invocation->dir;
    fprintf(
        stderr,
        "ringpost: on 127.0.0.1: SMTP %u, submission %u and %u (TLS), LMTP %u, POP3 %u and %u "
        "(TLS), IMAP %u and %u (TLS), metrics and health http://127.0.0.1:%u/metrics\n"
        "ringpost: users u0@example.test to u%u@example.test, log-in also by u0 ..., password "
        "pw; mail in %s/store\n"
        "ringpost: openssl s_client -connect localhost:%u -CAfile %s/certificate.pem -crlf "
        "-quiet\n"
        "ringpost: openssl s_client -connect localhost:%u -starttls smtp -CAfile "
        "%s/certificate.pem -crlf -quiet\n"
        "ringpost: swaks --server localhost:%u --tls --auth PLAIN --auth-user u0 --auth-password "
        "pw --from u0@example.test --to u0@example.test\n",
        base + 25, base + 587, base + 465, base + 24, base + 110, base + 995, base + 143,
        base + 993, base + 80, invocation->users - 1, dir, base + 993, dir, base + 25, dir,
        base + 587);
}

int run_try(const struct invocation *invocation)
{
    if (mkdir(invocation->dir, 0700) < 0 && errno != EEXIST) {
        complain("%s: %s", invocation->dir, strerror(errno));
        return STATUS_FAILED;
    }
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/ringpost.conf", invocation->dir) >= PATH_BYTES - 32) {
        complain("--dir: the name is too long");
        return STATUS_USAGE;
    }
    if (invocation->port_base > 65535 - 995) {
        complain("--port-base %u is too high", invocation->port_base);
        return STATUS_USAGE;
    }
    if (!write_users(invocation) || !write_certificate(invocation->dir) ||
        !write_config(invocation))
        return STATUS_FAILED;
    say_how(invocation);
    return serve(path, false);
}
