/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS as the client to a server that is not ours: OpenSSL's own (openssl s_server).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls_chain.h"
#include "tls_client_host.h"

extern char **environ;

/* It answers each line by the same backwards, and ends with its input. */
static void peer_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 3);
    for (int i = 0; i < 4; i++) {
        bool is_12 = i & 1;
        struct tls_info info;
        struct tls_session *session = NULL;
        struct tls_client_options options = verifying(is_12);
        options.alpn = i & 2 ? "smtp" : NULL;
        struct tls_client *tls = made_client(core, &options);
        for (unsigned n = 0; n < 3; n++) {
            uint64_t until = core_now_ns(core) + 20 * SECOND_NS;
            int result; /* it takes a while to listen */
            while ((result = dial(core, &client, &target, 0)) == -ECONNREFUSED &&
                   core_now_ns(core) < until)
                fiber_sleep(core, 20000000);
            check_equal(result, 0);
            stream_deadline(&client.stream, core_now_ns(core) + 60 * SECOND_NS);
            check_equal(stream_secure_client(&client.stream, tls, one, session), 0);
            stream_tls_info(&client.stream, &info);
            check(strcmp(info.version, is_12 ? "TLSv1.2" : "TLSv1.3") == 0);
            check_equal(info.is_resumed, n > 0);
            stream_write(&client.stream, SLICE("tsopgnir\n"));
            char text[10];
            check_equal(stream_read_exact(&client.stream, text, 9), 0);
            check(memcmp(text, "ringpost\n", 9) == 0);
            tls_session_free(session);
            session = stream_tls_session(&client.stream);
            check(session != NULL);
            dialed_close(&client);
        }
        tls_session_free(session);
        tls_client_free(tls);
    }
}

static void put_file(const char *folder, const char *name, const char *text, const char *more)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    check(file != NULL);
    check(fputs(text, file) >= 0 && fputs(more, file) >= 0);
    check_equal(fclose(file), 0);
}

static void peer(void **state)
{
    (void)state;
    char folder[] = "/tmp/tls_client_test.XXXXXX", leaf[200], chain[200], key[200], port[16];
    check(mkdtemp(folder) != NULL);
    snprintf(leaf, sizeof leaf, "%s/leaf.pem", folder);
    snprintf(chain, sizeof chain, "%s/chain.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(port, sizeof port, "127.0.0.1:%u", port_base() + 3);
    put_file(folder, "leaf.pem", pem_chain_leaf, "");
    put_file(folder, "chain.pem", pem_chain_middle, "");
    put_file(folder, "key.pem", pem_chain_key, "");
    const char *const words[] = {"openssl", "s_server", "-quiet", "-rev",        "-accept",
                                 port,      "-cert",    leaf,     "-cert_chain", chain,
                                 "-key",    key,        "-alpn",  "smtp,imap",   NULL};
    pid_t child;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    int error =
        posix_spawnp(&child, "openssl", &quiet, NULL, (char *const *)(uintptr_t)words, environ);
    if (error == 0) {
        struct world world = {.body = peer_body};
        run(&world);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    posix_spawn_file_actions_destroy(&quiet);
    unlink(leaf);
    unlink(chain);
    unlink(key);
    rmdir(folder);
    if (error != 0)
        skip(); /* there is no openssl here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(peer)};
    harness_library(tls_library_open, tls_library_close);
    return cmocka_run_group_tests_name("tls_client_peer", tests, NULL, NULL);
}
