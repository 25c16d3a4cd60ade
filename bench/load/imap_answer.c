/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an IMAP server says, read strictly as far as it is understood (RFC 3501 section 9): a
 * response is a line, or lines with literals between them. A literal is passed on as it comes and
 * never held, so that a response of any size needs one line's memory.
 *
 * Everything is bounded: lines by PEER_LINE_BYTES_MAX, literals by LOAD_MESSAGE_BYTES_MAX (and
 * some header fields that servers add), the pieces of a response, lists within lists, and the
 * untagged responses to one command.
 */
#include "imap_private.h"

enum { LITERAL_BYTES_MAX = LOAD_MESSAGE_BYTES_MAX + (1 << 20) };

/* A response that is being read. */
struct scan {
    struct imap *imap;
    struct slice line; /* the line that `rest` lies in: for the report */
    struct slice rest; /* not consumed yet */
    unsigned pieces;   /* literals so far */
};

typedef void (*scan_sink)(void *argument, struct slice piece);

static int scan_nonsense(struct scan *scan)
{
    return peer_fail(&scan->imap->peer, LOAD_NONSENSE, scan->line);
}

static bool take_char(struct slice *rest, char c)
{
    if (rest->size == 0 || rest->data[0] != c)
        return false;
    *rest = slice_from(*rest, 1);
    return true;
}

static bool take_word(struct slice *rest, struct slice word)
{
    if (!slice_starts_nocase(*rest, word))
        return false;
    *rest = slice_from(*rest, word.size);
    return true;
}

static bool is_atom_char(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("(){%*\"]", c) == NULL;
}

/* An atom, or what stands where one could (flags with their backslash): empty when there is none.
 */
static struct slice take_atom(struct slice *rest)
{
    size_t size = 0;
    while (size < rest->size && size < IMAP_ATOM_BYTES_MAX && is_atom_char(rest->data[size]))
        size++;
    struct slice atom = slice_first(*rest, size);
    *rest = slice_from(*rest, size);
    return atom;
}

static bool take_number(struct slice *rest, uint64_t max, uint64_t *ret_value)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] >= '0' && rest->data[size] <= '9')
        size++;
    if (!slice_number(slice_first(*rest, size), max, ret_value))
        return false;
    *rest = slice_from(*rest, size);
    return true;
}

/* The size of the literal that ends this line: what is left of it is "{N}". */
static bool is_literal(struct slice rest, uint64_t *ret_size)
{
    take_char(&rest, '~');
    return take_char(&rest, '{') && take_number(&rest, LITERAL_BYTES_MAX, ret_size) &&
           take_char(&rest, '}') && rest.size == 0;
}

/* The literal's bytes, and the line that goes on behind it. */
static int take_literal(struct scan *scan, uint64_t size, scan_sink sink, void *argument)
{
    if (++scan->pieces > IMAP_PIECES_MAX)
        return scan_nonsense(scan);
    int error = peer_bytes(&scan->imap->peer, size, sink, argument);
    if (error == 0)
        error = peer_line(&scan->imap->peer, &scan->line);
    if (error == 0)
        scan->rest = scan->line;
    return error;
}

static int take_quoted(struct scan *scan, scan_sink sink, void *argument)
{
    size_t from = 1, at = 1;
    for (; at < scan->rest.size && scan->rest.data[at] != '"'; at++) {
        if (scan->rest.data[at] != '\\')
            continue;
        if (sink != NULL && at > from)
            sink(argument, slice_of(scan->rest.data + from, at - from));
        from = ++at;
    }
    if (at >= scan->rest.size)
        return scan_nonsense(scan);
    if (sink != NULL && at > from)
        sink(argument, slice_of(scan->rest.data + from, at - from));
    scan->rest = slice_from(scan->rest, at + 1);
    return 0;
}

/* An atom, a number, a quoted string or a literal. */
static int take_simple(struct scan *scan, scan_sink sink, void *argument)
{
    uint64_t size;
    if (scan->rest.size == 0)
        return scan_nonsense(scan);
    if (scan->rest.data[0] == '"')
        return take_quoted(scan, sink, argument);
    if (scan->rest.data[0] == '{' || scan->rest.data[0] == '~') {
        if (!is_literal(scan->rest, &size))
            return scan_nonsense(scan);
        return take_literal(scan, size, sink, argument);
    }
    if (take_atom(&scan->rest).size > 0)
        return 0;
    return take_char(&scan->rest, '*') ? 0 : scan_nonsense(scan); /* PERMANENTFLAGS (\*) */
}

/* The same, or a list of values, however deep; what is in it is passed over. */
static int take_value(struct scan *scan)
{
    unsigned depth = 0;
    do {
        int error = 0;
        if (take_char(&scan->rest, '(')) {
            if (++depth > IMAP_NESTED_MAX)
                return scan_nonsense(scan);
        } else if (depth > 0 && take_char(&scan->rest, ')')) {
            depth--;
        } else {
            error = take_simple(scan, NULL, NULL);
        }
        if (error != 0)
            return error;
        while (depth > 0 && take_char(&scan->rest, ' '))
            ;
    } while (depth > 0);
    return 0;
}

/* ---------------------------------------------------------------- capabilities and codes */

void imap_learn(struct imap *imap, struct slice list)
{
    static const struct {
        struct slice name;
        uint32_t bit;
    } names[] = {{SLICE("STARTTLS"), IMAP_STARTTLS},
                 {SLICE("LOGINDISABLED"), IMAP_LOGIN_DISABLED},
                 {SLICE("AUTH=PLAIN"), IMAP_AUTH_PLAIN},
                 {SLICE("SASL-IR"), IMAP_SASL_IR},
                 {SLICE("LITERAL+"), IMAP_LITERAL_PLUS},
                 {SLICE("LITERAL-"), IMAP_LITERAL_MINUS},
                 {SLICE("UIDPLUS"), IMAP_UIDPLUS},
                 {SLICE("IMAP4REV2"), IMAP_UIDPLUS | IMAP_LITERAL_MINUS | IMAP_SASL_IR},
                 {SLICE("IDLE"), IMAP_IDLE}};
    imap->peer.capabilities = IMAP_KNOWN;
    while (take_char(&list, ' ')) {
        struct slice atom = take_atom(&list);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (slice_equal_nocase(atom, names[i].name))
                imap->peer.capabilities |= names[i].bit;
    }
}

/* "[CODE ...]" at the beginning of a status' text; a code that is not whole is text. */
static void take_code(struct imap *imap, struct slice text)
{
    size_t end = slice_find(text, ']');
    if (!take_char(&text, '[') || end == 0 || end > text.size)
        return;
    struct slice code = slice_first(text, end - 1);
    uint64_t number;
    if (take_word(&code, SLICE("CAPABILITY "))) {
        imap_learn(imap, slice_of(code.data - 1, code.size + 1));
    } else if (take_word(&code, SLICE("UIDVALIDITY "))) {
        if (slice_number(code, UINT32_MAX, &number))
            imap->uid_validity = (uint32_t)number;
    } else if (take_word(&code, SLICE("UIDNEXT "))) {
        if (slice_number(code, UINT32_MAX, &number))
            imap->uid_next = (uint32_t)number;
    } else if (take_word(&code, SLICE("APPENDUID "))) {
        if (take_number(&code, UINT32_MAX, &number) && take_char(&code, ' ') &&
            slice_number(code, UINT32_MAX, &number))
            imap->uid = (uint32_t)number;
    }
}

/* ---------------------------------------------------------------- FETCH */

/* The name of an item, with its section and origin: "BODY[HEADER.FIELDS (TO)]<0>". */
static struct slice take_item(struct scan *scan)
{
    struct slice rest = scan->rest;
    take_atom(&rest); /* '[' is an atom's, ']' is not: "BODY[HEADER.FIELDS" */
    size_t size = scan->rest.size - rest.size;
    if (size > 0 && memchr(scan->rest.data, '[', size) != NULL) {
        size_t close = slice_find(rest, ']');
        rest = slice_from(rest, close);
        if (!take_char(&rest, ']'))
            return slice_of(NULL, 0);
        if (rest.size > 0 && rest.data[0] == '<')
            rest = slice_from(rest, slice_find(rest, '>') + 1);
    }
    size = scan->rest.size - rest.size;
    struct slice item = slice_first(scan->rest, size);
    scan->rest = rest;
    return item;
}

/* One item of FETCH and its value. */
static int take_fetch_item(struct scan *scan, const struct mailbox_reader *reader,
                           bool *ret_is_data)
{
    struct slice item = take_item(scan);
    uint64_t number;
    if (item.size == 0 || !take_char(&scan->rest, ' '))
        return scan_nonsense(scan);
    if (slice_equal_nocase(item, SLICE("UID"))) {
        if (!take_number(&scan->rest, UINT32_MAX, &number) || number == 0)
            return scan_nonsense(scan);
        scan->imap->uid = (uint32_t)number;
        return 0;
    }
    if (slice_equal_nocase(item, SLICE("FLAGS"))) {
        if (scan->rest.size == 0 || scan->rest.data[0] != '(')
            return scan_nonsense(scan);
        return take_value(scan);
    }
    if (slice_equal_nocase(item, SLICE("RFC822.SIZE")))
        return take_number(&scan->rest, UINT64_MAX, &number) ? 0 : scan_nonsense(scan);
    if (!slice_starts_nocase(item, SLICE("BODY["))) {
        *ret_is_data = *ret_is_data || !slice_equal_nocase(item, SLICE("MODSEQ"));
        return take_value(scan);
    }
    *ret_is_data = true;
    bool is_whole = slice_equal_nocase(item, SLICE("BODY[]")) && reader != NULL;
    int error =
        take_simple(scan, is_whole ? reader->piece : NULL, is_whole ? reader->argument : NULL);
    if (error == 0 && is_whole && reader->end != NULL)
        reader->end(reader->argument);
    return error;
}

/* Behind "* n FETCH ". */
static int take_fetch(struct scan *scan, uint64_t number, const struct mailbox_reader *reader)
{
    bool is_data = false;
    if (number == 0 || number > scan->imap->exists || !take_char(&scan->rest, '('))
        return scan_nonsense(scan);
    for (unsigned items = 0;; items++) {
        int error = take_fetch_item(scan, reader, &is_data);
        if (error != 0)
            return error;
        if (take_char(&scan->rest, ')'))
            break;
        if (items > IMAP_PIECES_MAX || !take_char(&scan->rest, ' '))
            return scan_nonsense(scan);
    }
    if (scan->rest.size > 0)
        return scan_nonsense(scan);
    scan->imap->fetched += is_data;
    return 0;
}

/* ---------------------------------------------------------------- untagged responses */

/* "n EXISTS", "n EXPUNGE": false when it cannot be. */
static bool take_count(struct imap *imap, uint64_t number, struct slice word, unsigned flags)
{
    if (slice_equal_nocase(word, SLICE("EXISTS"))) {
        if (number < imap->exists && !(flags & IMAP_SELECTS))
            return false;
        imap->exists = (uint32_t)number;
    } else if (slice_equal_nocase(word, SLICE("EXPUNGE"))) {
        if (!(flags & IMAP_MAY_EXPUNGE) || number == 0 || number > imap->exists)
            return false;
        imap->exists--;
    }
    return true;
}

/* "OK", "NO", "BAD", "BYE" or "PREAUTH" and its text. */
static bool is_status(struct slice word)
{
    return slice_equal_nocase(word, SLICE("OK")) || slice_equal_nocase(word, SLICE("NO")) ||
           slice_equal_nocase(word, SLICE("BAD")) || slice_equal_nocase(word, SLICE("BYE")) ||
           slice_equal_nocase(word, SLICE("PREAUTH"));
}

/* What nobody asked about is passed over, with its literals. */
static int pass_over(struct scan *scan)
{
    while (scan->rest.size > 0) {
        if (!take_char(&scan->rest, ' '))
            return scan_nonsense(scan);
        int error = scan->rest.size > 0 ? take_value(scan) : 0;
        if (error != 0)
            return error;
    }
    return 0;
}

static int take_search(struct scan *scan)
{
    uint64_t number;
    scan->imap->found = 0;
    while (take_char(&scan->rest, ' ')) {
        if (scan->rest.size > 0 && scan->rest.data[0] == '(')
            return take_value(scan); /* (MODSEQ n) */
        if (scan->rest.size == 0)
            break;
        if (!take_number(&scan->rest, UINT32_MAX, &number) || number == 0)
            return scan_nonsense(scan);
        scan->imap->found++;
    }
    return scan->rest.size == 0 ? 0 : scan_nonsense(scan);
}

/* Behind "* ". */
static int take_untagged(struct scan *scan, unsigned flags, const struct mailbox_reader *reader)
{
    struct imap *imap = scan->imap;
    uint64_t number;
    bool has_number = scan->rest.size > 0 && scan->rest.data[0] >= '0' && scan->rest.data[0] <= '9';
    if (has_number && !take_number(&scan->rest, UINT32_MAX, &number))
        return scan_nonsense(scan);
    if (has_number) {
        bool has_word = take_char(&scan->rest, ' ');
        struct slice word = take_atom(&scan->rest);
        if (!has_word || word.size == 0)
            return scan_nonsense(scan);
        if (slice_equal_nocase(word, SLICE("FETCH")))
            return take_char(&scan->rest, ' ') ? take_fetch(scan, number, reader)
                                               : scan_nonsense(scan);
        if (!take_count(imap, number, word, flags))
            return scan_nonsense(scan);
        return pass_over(scan);
    }
    struct slice word = take_atom(&scan->rest);
    if (word.size == 0)
        return scan_nonsense(scan);
    if (is_status(word)) {
        if (slice_equal_nocase(word, SLICE("BYE")) && !(flags & IMAP_LOGS_OUT))
            return peer_fail(&imap->peer, LOAD_CLOSED, scan->line);
        if (take_char(&scan->rest, ' '))
            take_code(imap, scan->rest);
        return 0;
    }
    if (slice_equal_nocase(word, SLICE("CAPABILITY"))) {
        imap_learn(imap, scan->rest);
        return 0;
    }
    return slice_equal_nocase(word, SLICE("SEARCH")) ? take_search(scan) : pass_over(scan);
}

/* ---------------------------------------------------------------- answers */

/* Behind "TAG ": the end of the command. */
static int take_end(struct scan *scan, unsigned flags)
{
    struct imap *imap = scan->imap;
    struct slice word = take_atom(&scan->rest);
    if (!take_char(&scan->rest, ' ') && scan->rest.size > 0)
        return scan_nonsense(scan);
    if (slice_equal_nocase(word, SLICE("OK"))) {
        take_code(imap, scan->rest);
        return 0;
    }
    bool is_no = slice_equal_nocase(word, SLICE("NO"));
    if (!is_no && !slice_equal_nocase(word, SLICE("BAD")))
        return scan_nonsense(scan);
    if (is_no && (flags & IMAP_NO_IS_FINE)) {
        imap->is_refused = true;
        return 0;
    }
    if (flags & IMAP_LOGS_IN)
        return peer_fail(&imap->peer, is_no ? LOAD_LOGIN_REFUSED : LOAD_PERMANENT, scan->line);
    return measure_error(imap->peer.at, is_no ? LOAD_TEMPORARY : LOAD_PERMANENT, scan->line);
}

/* The number of "a123 ", consumed; 0: it is no tag of ours. */
static uint64_t take_tag(struct slice *rest)
{
    uint64_t tag;
    if (!take_char(rest, 'a') || !take_number(rest, UINT32_MAX, &tag) || !take_char(rest, ' '))
        return 0;
    return tag;
}

int imap_read_answer(struct imap *imap, uint32_t tag, unsigned flags,
                     const struct mailbox_reader *reader)
{
    struct scan scan = {.imap = imap};
    imap->is_refused = false;
    for (unsigned count = 0;; count++) {
        int error = peer_line(&imap->peer, &scan.line);
        if (error != 0)
            return error;
        scan.rest = scan.line;
        scan.pieces = 0;
        if (take_word(&scan.rest, SLICE("* "))) {
            if (count >= IMAP_UNTAGGED_MAX)
                return scan_nonsense(&scan);
            error = take_untagged(&scan, flags, reader);
            if (error != 0)
                return error;
        } else if (take_char(&scan.rest, '+')) {
            return (flags & IMAP_WANTS_PLUS) ? IMAP_CONTINUES : scan_nonsense(&scan);
        } else {
            return take_tag(&scan.rest) == tag ? take_end(&scan, flags) : scan_nonsense(&scan);
        }
    }
}

int imap_greeting(struct imap *imap)
{
    struct scan scan = {.imap = imap};
    int error = peer_line(&imap->peer, &scan.line);
    if (error != 0)
        return error;
    scan.rest = scan.line;
    if (!take_word(&scan.rest, SLICE("* ")))
        return scan_nonsense(&scan);
    if (slice_starts_nocase(scan.rest, SLICE("BYE")))
        return peer_fail(&imap->peer, LOAD_CLOSED, scan.line);
    if (!take_word(&scan.rest, SLICE("OK ")))
        return scan_nonsense(&scan); /* PREAUTH: no log-in is left to measure */
    take_code(imap, scan.rest);
    return 0;
}

int imap_idle_line(struct imap *imap, struct slice line)
{
    uint64_t number, size;
    struct slice rest = line;
    if (!take_word(&rest, SLICE("* ")))
        return LOAD_NONSENSE;
    if (slice_starts_nocase(rest, SLICE("BYE")))
        return LOAD_CLOSED;
    if (rest.size > 0 && rest.data[rest.size - 1] == '}' &&
        is_literal(slice_from(rest, slice_find(rest, '{')), &size))
        return LOAD_NONSENSE; /* nothing that is told to who idles needs one */
    if (!take_number(&rest, UINT32_MAX, &number))
        return 0;
    if (!take_char(&rest, ' ') || !take_count(imap, number, take_atom(&rest), IMAP_MAY_EXPUNGE))
        return LOAD_NONSENSE;
    return 0;
}
