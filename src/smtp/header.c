/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done with a message's own header: loops are found, and what our users submit is completed
 * (RFC 6409 8): Date and Message-ID where they are missing, Bcc and Resent-Bcc taken out, because
 * copies are for those whom nobody shall see (RFC 5322 3.6.3). Nothing else is changed.
 *
 *   begin ─▶ lines come ─▶ is this one a field's? ─no─▶ the header ends here: complete it, once
 *                ▲                   │ yes
 *                └───────────────────┘
 *
 * The header is completed as soon as its end has come, when little lies behind it that must be
 * moved. A line that is no field ends the header as an empty one does; an empty one is then put in
 * front of it, so that it stays what it was.
 *
 * Invariants:
 *   H1 Each byte of a header is looked at a bounded number of times, in whatever pieces it came.
 *   H2 Header fields that are not named above leave here as they came.
 */
#include "smtp_private.h"

/* ---------------------------------------------------------------- fields */

/* The field at the start of `message`, folded lines included; false at the header's end. */
static bool next_field(struct slice *message, struct slice *ret_field)
{
    size_t size = 0;
    if (message->size == 0 || message->data[0] == '\r' || message->data[0] == '\n')
        return false;
    do {
        size += slice_find(slice_from(*message, size), '\n') + 1;
    } while (size < message->size && (message->data[size] == ' ' || message->data[size] == '\t'));
    *ret_field = slice_first(*message, size);
    *message = slice_from(*message, size);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 5322 3.6, and blanks in front of the colon (4.5). 0: not a field; else the name's size. */
static size_t name_size(struct slice line)
{
    size_t size = 0, colon;
    while (size < line.size && (unsigned char)line.data[size] > ' ' &&
           (unsigned char)line.data[size] < 0x7f && line.data[size] != ':')
        size++;
    for (colon = size; colon < line.size && is_blank(line.data[colon]); colon++)
        ;
    return colon < line.size && line.data[colon] == ':' ? size : 0;
}

static bool is_named(struct slice field, struct slice name)
{
    return slice_equal_nocase(slice_first(field, name_size(field)), name);
}

/* ---------------------------------------------------------------- loops */

/* "by <host name>" in a Received field's text. */
static bool is_by(struct slice field, struct slice host)
{
    const char *at = memmem(field.data, field.size, "by ", 3);
    struct slice rest = at ? slice_from(field, (size_t)(at - field.data) + 3) : SLICE("");
    return rest.size > host.size && slice_equal_nocase(slice_first(rest, host.size), host) &&
           (rest.data[host.size] == ' ' || rest.data[host.size] == '\r');
}

static bool is_recipient(const struct transaction *transaction, struct slice text)
{
    while (text.size > 0 && (unsigned char)text.data[0] <= ' ')
        text = slice_from(text, 1);
    while (text.size > 0 && (unsigned char)text.data[text.size - 1] <= ' ')
        text.size--;
    for (unsigned i = 0; i < transaction->recipient_count; i++)
        if (slice_equal_nocase(text, transaction->recipients[i].text))
            return true;
    return false;
}

bool smtp_is_loop(const struct smtp_session *smtp, struct slice message)
{
    const struct smtp_options *options = options_of(smtp);
    unsigned received = 0, own = 0;
    struct slice field;
    message = slice_first(message, LOOP_HEADER_BYTES_MAX);
    while (next_field(&message, &field)) {
        if ((field.data[0] | 32) == 'r' && slice_starts_nocase(field, SLICE("Received:"))) {
            received++;
            own += is_by(field, smtp->session.service->host_name);
        } else if ((field.data[0] | 32) == 'd' &&
                   slice_starts_nocase(field, SLICE("Delivered-To:")) &&
                   is_recipient(smtp->transaction, slice_from(field, 13))) {
            return true;
        }
    }
    return received > options->received_max || own > OWN_RECEIVED_MAX;
}

/* ---------------------------------------------------------------- completing */

/* Moves the fields that stay together; how large they are. */
static size_t keep_fields(char *header, size_t size, bool keeps_bcc, unsigned *ret_missing)
{
    struct slice rest = slice_of(header, size), field;
    size_t kept = 0;
    *ret_missing = FIELD_DATE | FIELD_MESSAGE_ID;
    while (next_field(&rest, &field)) {
        if (!keeps_bcc && (is_named(field, SLICE("Bcc")) || is_named(field, SLICE("Resent-Bcc"))))
            continue;
        if (is_named(field, SLICE("Date")))
            *ret_missing &= ~(unsigned)FIELD_DATE;
        if (is_named(field, SLICE("Message-ID")))
            *ret_missing &= ~(unsigned)FIELD_MESSAGE_ID;
        memmove(header + kept, field.data, field.size);
        kept += field.size;
    }
    return kept;
}

/* The header is the first header_size bytes of the message. */
static bool complete(struct smtp_session *smtp)
{
    struct transaction *transaction = smtp->transaction;
    struct slice bytes = message_body_bytes(transaction->body);
    size_t start = transaction->trace_size, size = transaction->header_size;
    size_t tail = bytes.size - start - size; /* what has come behind the header */
    char fields[FIELDS_BYTES_MAX];
    unsigned missing;
    char *header = (char *)(uintptr_t)bytes.data + start; /* the body is ours */
    size_t kept = keep_fields(header, size, options_of(smtp)->keeps_bcc, &missing);
    bool is_cut = kept > 0 && header[kept - 1] != '\n'; /* its last line has no end */
    bool is_bare = tail > 0 && header[size] != '\r' && header[size] != '\n';
    size_t more = smtp_fields(smtp, missing, is_cut, is_bare, fields);
    transaction->header_done = true;
    memmove(header + kept, header + size, tail);
    message_body_cut(transaction->body, size - kept);
    if (!smtp_append(transaction->body, slice_of(fields, more)))
        return false;
    bytes = message_body_bytes(transaction->body);
    header = (char *)(uintptr_t)bytes.data + start;
    memmove(header + kept + more, header + kept, tail);
    memcpy(header + kept, fields, more);
    return true;
}

bool smtp_header_look(struct smtp_session *smtp, bool is_end)
{
    struct transaction *transaction = smtp->transaction;
    struct slice bytes = message_body_bytes(transaction->body);
    struct slice message = slice_from(bytes, transaction->trace_size);
    while (transaction->header_size < message.size) {
        struct slice line = slice_from(message, transaction->header_size);
        struct slice unseen = slice_from(line, transaction->line_seen); /* H1 */
        size_t lf = transaction->line_seen + slice_find(unseen, '\n');
        if (lf == line.size && !is_end) {
            transaction->line_seen = lf;
            return true;
        }
        bool is_folded = transaction->header_size > 0 && is_blank(line.data[0]);
        if (!is_folded && name_size(slice_first(line, lf)) == 0)
            return complete(smtp);
        transaction->header_size += lf + (lf < line.size);
        transaction->line_seen = 0;
    }
    return is_end ? complete(smtp) : true;
}
