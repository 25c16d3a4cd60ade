/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Talks to the control socket that the config names. Of the config only the section control counts:
 * a file that was changed and is wrong elsewhere keeps nobody from operating the gateway that runs.
 */
#include "operator_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"

/* A move or a spread tells that it goes on every second; silence for so long is a gateway that
 * hangs. */
enum { SILENCE_SECONDS_MAX = 60, BUFFER_BYTES = 65536 };

/* ---------------------------------------------------------------- one row */

static bool take_char(struct slice *at, char c)
{
    if (at->size == 0 || at->data[0] != c)
        return false;
    *at = slice_from(*at, 1);
    return true;
}

static int hex(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of \u only what event.h writes: one byte. */
static bool take_escape(struct slice *at, char *ret_c)
{
    if (at->size >= 1 && (at->data[0] == '"' || at->data[0] == '\\' || at->data[0] == '/')) {
        *ret_c = at->data[0];
        *at = slice_from(*at, 1);
        return true;
    }
    if (at->size < 5 || at->data[0] != 'u' || at->data[1] != '0' || at->data[2] != '0')
        return false;
    int high = hex(at->data[3]), low = hex(at->data[4]);
    *ret_c = (char)(high * 16 + low);
    *at = slice_from(*at, 5);
    return high >= 0 && low >= 0;
}

/* A text between quotes into *to, which ends with NUL and is moved behind it. */
static bool take_text(struct slice *at, char **to)
{
    if (!take_char(at, '"'))
        return false;
    while (at->size > 0 && at->data[0] != '"') {
        char c = at->data[0];
        *at = slice_from(*at, 1);
        if (c == '\\' && !take_escape(at, &c))
            return false;
        *(*to)++ = c == '\0' ? '?' : c;
    }
    *(*to)++ = '\0';
    return take_char(at, '"');
}

/* A number, true or false. */
static bool take_word(struct slice *at, char **to)
{
    size_t size = 0;
    while (size < at->size && at->data[size] != ',' && at->data[size] != '}')
        size++;
    memcpy(*to, at->data, size);
    *to += size;
    *(*to)++ = '\0';
    *at = slice_from(*at, size);
    return size > 0;
}

bool operator_row_parse(struct operator_row *row, struct slice line)
{
    char *to = row->bytes;
    row->count = 0;
    /* What is unescaped with its NUL is never longer than what it was with quotes or comma. */
    if (line.size >= sizeof row->bytes || !take_char(&line, '{'))
        return false;
    while (line.size > 0 && line.data[0] != '}') {
        if ((row->count > 0 && !take_char(&line, ',')) || row->count == OPERATOR_MEMBERS_MAX)
            return false;
        row->members[row->count].key = to;
        if (!take_text(&line, &to) || !take_char(&line, ':'))
            return false;
        row->members[row->count].text = to;
        bool is_text = line.size > 0 && line.data[0] == '"';
        if (!(is_text ? take_text(&line, &to) : take_word(&line, &to)))
            return false;
        row->count++;
    }
    return take_char(&line, '}') && line.size == 0;
}

const char *operator_row_text(const struct operator_row *row, const char *key)
{
    for (unsigned i = 0; i < row->count; i++)
        if (strcmp(row->members[i].key, key) == 0)
            return row->members[i].text;
    return "";
}

uint64_t operator_row_number(const struct operator_row *row, const char *key)
{
    uint64_t value = 0;
    slice_number(slice_cstr(operator_row_text(row, key)), UINT64_MAX, &value);
    return value;
}

/* ---------------------------------------------------------------- the socket */

/* The socket's path, in malloc'd memory; NULL after saying why. */
static char *path_of(const char *config_name)
{
    struct config *config = config_load(config_name);
    char *path = NULL;
    if (config != NULL && config->control.socket != NULL)
        path = strdup(config->control.socket);
    else
        complain("%s names no control socket; add control: { socket = \"/run/ringpost/control\"; } "
                 "and restart the gateway",
                 config_name);
    config_free(config);
    return path;
}

static void complain_connect(const char *path, int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        complain("%s: no gateway is running here (or it was started without this socket)", path);
        break;
    case EACCES:
    case EPERM:
        complain("%s: %s; become root or the gateway's user", path, strerror(error));
        break;
    default:
        complain("%s: %s", path, strerror(error));
    }
}

/* -1 after saying why. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = SILENCE_SECONDS_MAX};
    if (strlen(path) >= sizeof address.sun_path) {
        complain("%s: the path of a Unix socket has %zu bytes at most", path,
                 sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        complain_connect(path, errno);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return fd;
}

static bool send_all(int fd, const char *text)
{
    for (size_t size = strlen(text), sent = 0; sent < size;) {
        ssize_t now = send(fd, text + sent, size - sent, MSG_NOSIGNAL);
        if (now < 0)
            return false;
        sent += (size_t)now;
    }
    return true;
}

struct reader {
    int fd;
    size_t start, size;
    char bytes[BUFFER_BYTES];
};

/* The next line without its LF; false: none comes (errno, 0: the end). */
static bool next_line(struct reader *reader, struct slice *ret_line)
{
    for (;;) {
        struct slice held = slice_of(reader->bytes + reader->start, reader->size - reader->start);
        size_t lf = slice_find(held, '\n');
        if (lf < held.size) {
            *ret_line = slice_first(held, lf);
            reader->start += lf + 1;
            return true;
        }
        memmove(reader->bytes, held.data, held.size);
        reader->start = 0;
        reader->size = held.size;
        errno = EPROTO;
        if (reader->size == sizeof reader->bytes)
            return false;
        ssize_t got =
            recv(reader->fd, reader->bytes + reader->size, sizeof reader->bytes - reader->size, 0);
        if (got == 0)
            errno = 0;
        if (got <= 0)
            return false;
        reader->size += (size_t)got;
    }
}

static int read_answer(struct reader *reader,
                       void (*each)(void *argument, const struct operator_row *row,
                                    struct slice line),
                       void *argument, struct operator_row *ret_last)
{
    struct slice line;
    while (next_line(reader, &line)) {
        if (!operator_row_parse(ret_last, line)) {
            complain("what answers there is no gateway's control socket");
            return STATUS_FAILED;
        }
        const char *first = ret_last->count > 0 ? ret_last->members[0].key : "";
        if (strcmp(first, "ok") == 0)
            return STATUS_OK;
        if (strcmp(first, "error") == 0) {
            complain("%s", ret_last->members[0].text);
            return STATUS_FAILED;
        }
        each(argument, ret_last, line);
    }
    complain("the gateway %s", errno == 0 ? "closed the connection before it had answered"
                               : errno == EAGAIN || errno == EWOULDBLOCK
                                   ? "does not answer"
                                   : "gave no answer that could be read");
    return STATUS_FAILED;
}

int operator_ask(const char *config_name, const char *command,
                 void (*row)(void *argument, const struct operator_row *row, struct slice line),
                 void *argument, struct operator_row *ret_last)
{
    struct reader *reader = calloc(1, sizeof *reader);
    char *path = path_of(config_name);
    int fd = path == NULL || reader == NULL ? -1 : connect_to(path), status = STATUS_FAILED;
    if (fd >= 0) {
        reader->fd = fd;
        /* EPIPE: it has closed already, and said why. */
        if ((send_all(fd, command) && send_all(fd, "\n")) || errno == EPIPE)
            status = read_answer(reader, row, argument, ret_last);
        else
            complain_connect(path, errno);
        close(fd);
    }
    free(path);
    free(reader);
    return status;
}
