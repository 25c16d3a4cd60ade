/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of IMAP. A command is written, its answer read (imap_answer.c), its phase recorded.
 * Tags are "a1", "a2", ... of each connection.
 */
#include "imap_private.h"

#include <assert.h>

#include "ringpost/base64.h"

enum {
    LOGIN_BYTES_MAX = 500, /* of user and password, each */
    LITERAL_MINUS_BYTES_MAX = 4096,
    COPY_BYTES_MAX = 16384, /* of a message: what is longer is sent from where it lies */
    READ_AT_ONCE = 20,      /* messages a FETCH of imap_read_mailbox */
};

static uint32_t next_tag(struct imap *imap)
{
    peer_begin(&imap->peer);
    return ++imap->peer.tag;
}

/* Writes "TAG text", reads the answer, records the phase. */
static int command(struct imap *imap, enum load_phase phase, unsigned flags, const char *text)
{
    uint32_t tag = next_tag(imap);
    peer_printf(&imap->peer, "a%u %s\r\n", tag, text);
    int error = imap_read_answer(imap, tag, flags, NULL);
    if (error == 0 && phase < PHASE_COUNT)
        measure_phase(imap->peer.at, phase, imap->peer.began_ns);
    return error;
}

/* ---------------------------------------------------------------- the way in */

static int ask_capabilities(struct imap *imap)
{
    if (imap->peer.capabilities & IMAP_KNOWN)
        return 0;
    return command(imap, PHASE_HELLO, 0, "CAPABILITY");
}

static int start_tls(struct imap *imap)
{
    if (!(imap->peer.capabilities & IMAP_STARTTLS))
        return peer_fail(&imap->peer, LOAD_TLS_FAILED, SLICE("the server offers no STARTTLS"));
    int error = command(imap, PHASE_STARTTLS, 0, "STARTTLS");
    if (error != 0) {
        peer_close(&imap->peer);
        return error;
    }
    error = peer_secure(&imap->peer, imap->worker);
    imap->peer.capabilities = 0; /* what was said in clear does not count (RFC 3501 6.2.1) */
    return error;
}

int imap_connect(struct imap *imap, struct load_worker *worker, unsigned number)
{
    imap->worker = worker;
    imap->is_selected = imap->is_idle = imap->is_refused = false;
    imap->exists = imap->uid_validity = imap->uid_next = imap->uid = 0;
    int error = peer_open(&imap->peer, worker, LOAD_IMAP, number);
    if (error == 0)
        error = imap_greeting(imap);
    if (error != 0)
        return error;
    measure_phase(imap->peer.at, PHASE_GREETING, imap->peer.began_ns);
    error = ask_capabilities(imap);
    if (error == 0 && imap->peer.endpoint->tls == LOAD_TLS_START)
        error = start_tls(imap);
    if (error == 0)
        error = ask_capabilities(imap);
    if (error != 0)
        peer_close(&imap->peer);
    return error;
}

/* A quoted string of ASCII (RFC 3501 section 9), into text. False: it cannot be one. */
static bool quote(struct slice bytes, char text[2 * LOGIN_BYTES_MAX + 3])
{
    size_t size = 0;
    if (bytes.size > LOGIN_BYTES_MAX)
        return false;
    text[size++] = '"';
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.data[i];
        if ((unsigned char)c >= 0x7f || (unsigned char)c < ' ')
            return false;
        if (c == '"' || c == '\\')
            text[size++] = '\\';
        text[size++] = c;
    }
    text[size++] = '"';
    text[size] = 0;
    return true;
}

static int authenticate_plain(struct imap *imap, struct slice user, struct slice password)
{
    char plain[2 * LOGIN_BYTES_MAX + 2], text[(sizeof plain + 2) / 3 * 4];
    size_t size = 0;
    plain[size++] = 0;
    memcpy(plain + size, user.data, user.size);
    size += user.size;
    plain[size++] = 0;
    memcpy(plain + size, password.data, password.size);
    size += password.size;
    struct slice response = slice_of(text, base64_encode(slice_of(plain, size), text));
    bool at_once = imap->peer.capabilities & IMAP_SASL_IR;
    uint32_t tag = next_tag(imap);
    peer_printf(&imap->peer, "a%u AUTHENTICATE PLAIN%s", tag, at_once ? " " : "\r\n");
    if (!at_once) {
        int error = imap_read_answer(imap, tag, IMAP_WANTS_PLUS | IMAP_LOGS_IN, NULL);
        if (error != IMAP_CONTINUES)
            return error == 0 ? peer_fail(&imap->peer, LOAD_NONSENSE, SLICE("OK to a half log-in"))
                              : error;
    }
    peer_write(&imap->peer, response);
    peer_write(&imap->peer, SLICE("\r\n"));
    return imap_read_answer(imap, tag, IMAP_LOGS_IN, NULL);
}

static int login(struct imap *imap, struct slice user, struct slice password)
{
    char name[2 * LOGIN_BYTES_MAX + 3], word[2 * LOGIN_BYTES_MAX + 3];
    if (user.size > LOGIN_BYTES_MAX || password.size > LOGIN_BYTES_MAX)
        return peer_fail(&imap->peer, LOAD_LOGIN_REFUSED, SLICE("user or password too long"));
    bool is_disabled = imap->peer.capabilities & IMAP_LOGIN_DISABLED;
    if (is_disabled || !quote(user, name) || !quote(password, word)) {
        if (!(imap->peer.capabilities & IMAP_AUTH_PLAIN))
            return peer_fail(&imap->peer, LOAD_LOGIN_REFUSED,
                             SLICE("the server offers neither LOGIN nor AUTH=PLAIN"));
        return authenticate_plain(imap, user, password);
    }
    uint32_t tag = next_tag(imap);
    peer_printf(&imap->peer, "a%u LOGIN ", tag);
    peer_write(&imap->peer, slice_cstr(name));
    peer_write(&imap->peer, SLICE(" "));
    peer_write(&imap->peer, slice_cstr(word));
    peer_write(&imap->peer, SLICE("\r\n"));
    return imap_read_answer(imap, tag, IMAP_LOGS_IN, NULL);
}

int imap_login(struct imap *imap, unsigned user)
{
    char text[LOAD_USER_BYTES_MAX];
    const struct load_options *options = imap->worker->options;
    struct slice name = load_user(options, user, text);
    int error = login(imap, name, slice_cstr(options->password));
    if (error == 0)
        measure_phase(imap->peer.at, PHASE_LOGIN, imap->peer.began_ns);
    return error;
}

/* ---------------------------------------------------------------- the mailbox */

int imap_select(struct imap *imap)
{
    imap->exists = imap->uid_validity = imap->uid_next = 0;
    int error = command(imap, PHASE_SELECT, IMAP_SELECTS | IMAP_MAY_EXPUNGE, "SELECT INBOX");
    imap->is_selected = error == 0;
    return error;
}

int imap_noop(struct imap *imap)
{
    return command(imap, PHASE_NOOP, IMAP_MAY_EXPUNGE, "NOOP");
}

/* A FETCH by sequence numbers; data must come, unless the messages may be gone. */
static int fetch(struct imap *imap, uint32_t first, uint32_t last, const char *items,
                 const struct mailbox_reader *reader)
{
    assert(first >= 1 && first <= last && last <= imap->exists);
    imap->fetched = 0;
    uint32_t tag = next_tag(imap);
    if (first == last)
        peer_printf(&imap->peer, "a%u FETCH %u (%s)\r\n", tag, first, items);
    else
        peer_printf(&imap->peer, "a%u FETCH %u:%u (%s)\r\n", tag, first, last, items);
    int error = imap_read_answer(imap, tag, imap->is_shared ? IMAP_NO_IS_FINE : 0, reader);
    if (error != 0)
        return error;
    measure_phase(imap->peer.at, PHASE_FETCH, imap->peer.began_ns);
    if (imap->fetched < last - first + 1 && !imap->is_shared)
        return measure_error(imap->peer.at, LOAD_MISSING, SLICE("FETCH gave no data"));
    return 0;
}

int imap_list(struct imap *imap, uint32_t first, uint32_t last)
{
    return fetch(imap, first, last, "UID FLAGS RFC822.SIZE ENVELOPE", NULL);
}

int imap_header(struct imap *imap, uint32_t sequence)
{
    return fetch(imap, sequence, sequence, "UID BODY.PEEK[HEADER]", NULL);
}

int imap_fetch(struct imap *imap, uint32_t first, uint32_t last,
               const struct mailbox_reader *reader)
{
    return fetch(imap, first, last, "UID BODY.PEEK[]", reader);
}

int imap_store(struct imap *imap, uint32_t uid, uint32_t sequence, bool on, const char *flag)
{
    uint32_t tag = next_tag(imap);
    peer_printf(&imap->peer, "a%u %sSTORE %u %cFLAGS.SILENT (%s)\r\n", tag, uid != 0 ? "UID " : "",
                uid != 0 ? uid : sequence, on ? '+' : '-', flag);
    unsigned flags = (uid != 0 ? IMAP_MAY_EXPUNGE : 0) | (imap->is_shared ? IMAP_NO_IS_FINE : 0);
    int error = imap_read_answer(imap, tag, flags, NULL);
    if (error == 0)
        measure_phase(imap->peer.at, PHASE_STORE, imap->peer.began_ns);
    return error;
}

int imap_search(struct imap *imap, const char *criteria)
{
    uint32_t tag = next_tag(imap);
    imap->found = 0;
    peer_printf(&imap->peer, "a%u UID SEARCH %s\r\n", tag, criteria);
    int error = imap_read_answer(imap, tag, IMAP_MAY_EXPUNGE, NULL);
    if (error == 0)
        measure_phase(imap->peer.at, PHASE_SEARCH, imap->peer.began_ns);
    return error;
}

int imap_expunge_uid(struct imap *imap, uint32_t uid)
{
    char text[48];
    bool has_uid = uid != 0 && (imap->peer.capabilities & IMAP_UIDPLUS);
    snprintf(text, sizeof text, has_uid ? "UID EXPUNGE %u" : "EXPUNGE", uid);
    return command(imap, PHASE_EXPUNGE, IMAP_MAY_EXPUNGE, text);
}

/* ---------------------------------------------------------------- APPEND */

static int send_message(struct imap *imap, const struct content_message *message)
{
    peer_write(&imap->peer, message->head);
    if (message->body.size > COPY_BYTES_MAX) {
        int error = peer_send(&imap->peer, message->body);
        if (error != 0)
            return error;
    } else {
        peer_write(&imap->peer, message->body);
    }
    peer_write(&imap->peer, SLICE("\r\n"));
    return 0;
}

int imap_append_send(struct imap *imap, const struct content_message *message)
{
    size_t size = message->head.size + message->body.size;
    uint32_t tag = ++imap->peer.tag;
    peer_printf(&imap->peer, "a%u APPEND INBOX {%zu+}\r\n", tag, size);
    return send_message(imap, message);
}

int imap_append_answer(struct imap *imap, uint32_t tag)
{
    int error = imap_read_answer(imap, tag, IMAP_MAY_EXPUNGE, NULL);
    if (error == 0)
        measure_phase(imap->peer.at, PHASE_APPEND, imap->peer.began_ns);
    return error;
}

int imap_append(struct imap *imap, const struct content_message *message)
{
    size_t size = message->head.size + message->body.size;
    uint32_t can = imap->peer.capabilities;
    bool at_once = (can & IMAP_LITERAL_PLUS) ||
                   ((can & IMAP_LITERAL_MINUS) && size <= LITERAL_MINUS_BYTES_MAX);
    uint32_t tag = next_tag(imap);
    uint64_t began_ns = imap->peer.began_ns;
    imap->uid = 0;
    peer_printf(&imap->peer, "a%u APPEND INBOX {%zu%s}\r\n", tag, size, at_once ? "+" : "");
    if (!at_once) {
        int error = imap_read_answer(imap, tag, IMAP_MAY_EXPUNGE | IMAP_WANTS_PLUS, NULL);
        if (error != IMAP_CONTINUES)
            return error == 0 ? peer_fail(&imap->peer, LOAD_NONSENSE, SLICE("OK to half an APPEND"))
                              : error;
    }
    int error = send_message(imap, message);
    if (error == 0)
        error = imap_read_answer(imap, tag, IMAP_MAY_EXPUNGE, NULL);
    if (error == 0)
        measure_phase(imap->peer.at, PHASE_APPEND, began_ns);
    return error;
}

/* ---------------------------------------------------------------- IDLE, the way out */

int imap_idle(struct imap *imap)
{
    uint32_t tag = next_tag(imap);
    peer_printf(&imap->peer, "a%u IDLE\r\n", tag);
    int error = imap_read_answer(imap, tag, IMAP_MAY_EXPUNGE | IMAP_WANTS_PLUS, NULL);
    if (error == 0)
        return peer_fail(&imap->peer, LOAD_NONSENSE, SLICE("OK to IDLE that was not ended"));
    if (error == IMAP_CONTINUES) {
        imap->is_idle = true;
        error = 0;
    }
    return error;
}

int imap_idle_done(struct imap *imap)
{
    imap->is_idle = false;
    peer_begin(&imap->peer);
    peer_write(&imap->peer, SLICE("DONE\r\n"));
    return imap_read_answer(imap, imap->peer.tag, IMAP_MAY_EXPUNGE, NULL);
}

int imap_logout(struct imap *imap)
{
    if (!peer_is_open(&imap->peer))
        return 0;
    int error = imap->is_idle ? imap_idle_done(imap) : 0;
    if (error == 0)
        error = command(imap, PHASE_LOGOUT, IMAP_MAY_EXPUNGE | IMAP_LOGS_OUT, "LOGOUT");
    peer_close(&imap->peer);
    return error;
}

void imap_forget(struct imap *imap)
{
    peer_forget(&imap->peer);
}

/* ---------------------------------------------------------------- a whole mailbox */

int imap_read_mailbox(struct load_worker *worker, unsigned user,
                      const struct mailbox_reader *reader)
{
    struct imap *imap = calloc(1, sizeof *imap);
    if (imap == NULL)
        return measure_error(worker->at, LOAD_OURS, SLICE(""));
    int error = imap_connect(imap, worker, worker->index);
    if (error == 0)
        error = imap_login(imap, user);
    if (error == 0)
        error = imap_select(imap);
    uint32_t messages = imap->exists;
    for (uint32_t first = 1; error == 0 && first <= messages; first += READ_AT_ONCE) {
        uint32_t last = first + READ_AT_ONCE - 1;
        error = imap_fetch(imap, first, last < messages ? last : messages, reader);
    }
    imap_logout(imap);
    imap_forget(imap);
    free(imap);
    return error;
}
