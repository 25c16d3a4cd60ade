/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Line protocols on the harness's blocking clients, byte by byte: nothing is read ahead.
 */
#include "line_client.h"

_Noreturn static void failed(const char *what, const char *is, const char *want)
{
    fprintf(stderr, "client: %s\n--- got:\n%s\n--- want:\n%s\n", what, is, want);
    harness_failed(__FILE__, __LINE__, what);
}

int client_open(unsigned port)
{
    return client_open_at("127.0.0.1", port);
}

void client_say(int client, const char *text)
{
    client_put(client, text, strlen(text));
}

void client_say_in_pieces(int client, const char *text, size_t size, size_t piece)
{
    if (piece == 0)
        piece = size;
    for (size_t at = 0; at < size; at += piece) {
        client_put(client, text + at, piece < size - at ? piece : size - at);
        if (at + piece < size)
            harness_nap(200);
    }
}

void client_expect(int client, const char *text)
{
    size_t size = strlen(text);
    char *is = calloc(1, size + 1);
    for (size_t got = 0; got < size; got++) {
        client_get(client, is + got, 1);
        if (is[got] != text[got])
            failed("something else came", is, text);
    }
    free(is);
}

bool client_is_like(const char *text, const char *pattern)
{
    for (; *pattern && *pattern != '*'; pattern++, text++)
        if (*text != *pattern)
            return false;
    if (*pattern == '\0')
        return *text == '\0';
    for (;; text++) {
        if (client_is_like(text, pattern + 1))
            return true;
        if (*text == '\0')
            return false;
    }
}

void client_line(int client, char *text, size_t capacity)
{
    size_t size = 0;
    do {
        if (size == capacity)
            failed("a line too long", "", "");
        client_get(client, text + size, 1);
    } while (text[size++] != '\n');
    if (size < 2 || text[size - 2] != '\r')
        failed("a bare LF", "", "");
    text[size - 2] = '\0';
}

void client_expect_like(int client, const char *pattern)
{
    char line[1000];
    client_line(client, line, sizeof line);
    if (!client_is_like(line, pattern))
        failed("another line came", line, pattern);
}

void client_ask(int client, const char *text, const char *pattern)
{
    client_say(client, text);
    client_expect_like(client, pattern);
}
