/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Trace fields (RFC 5321 4.4): those we add in front of a message, and those of others that show a
 * loop. What the client said in EHLO and its addresses stand in them; the parsers let nothing
 * through that could end a line.
 */
#include "ringpost/number.h"

#include "smtp_private.h"

/* ---------------------------------------------------------------- writing */

/* A field under construction; what does not fit is cut (lengths are bounded so that all does). */
struct writer {
    char *text;
    size_t size;
};

static void put(struct writer *writer, struct slice s)
{
    s = slice_first(s, TRACE_BYTES_MAX - writer->size);
    memcpy(writer->text + writer->size, s.data, s.size);
    writer->size += s.size;
}

static void put_digits(struct writer *writer, unsigned value, unsigned width)
{
    char digits[NUMBER_DECIMAL_BYTES_MAX];
    put(writer, slice_of(digits, number_digits(digits, value, width)));
}

/* RFC 5322 3.3, in UTC. Days to a date by the civil calendar's 400-year cycle. */
static void put_date(struct writer *writer, int64_t seconds)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOct"
                                                                   "NovDec";
    int64_t day = seconds / 86400;
    unsigned of_day = (unsigned)(seconds % 86400);
    unsigned shifted = (unsigned)(day + 719468); /* days since 0000-03-01 */
    unsigned era = shifted / 146097, of_era = shifted % 146097;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * of_year + 2) / 153;
    unsigned month = march_month < 10 ? march_month + 2 : march_month - 10; /* 0: January */
    unsigned year = year_of_era + era * 400 + (month <= 1);
    put(writer, slice_of(days + 3 * ((unsigned)(day + 4) % 7), 3));
    put(writer, SLICE(", "));
    put_digits(writer, of_year - (153 * march_month + 2) / 5 + 1, 2);
    put(writer, SLICE(" "));
    put(writer, slice_of(months + 3 * month, 3));
    put(writer, SLICE(" "));
    put_digits(writer, year, 4);
    put(writer, SLICE(" "));
    put_digits(writer, of_day / 3600, 2);
    put(writer, SLICE(":"));
    put_digits(writer, of_day / 60 % 60, 2);
    put(writer, SLICE(":"));
    put_digits(writer, of_day % 60, 2);
    put(writer, SLICE(" +0000"));
}

/* RFC 5321 4.4 and RFC 6531 4.3 */
static struct slice protocol_name(const struct smtp_session *smtp)
{
    bool is_utf8 = smtp->transaction->is_utf8;
    if (smtp->is_lmtp)
        return is_utf8 ? SLICE("UTF8LMTP") : SLICE("LMTP");
    if (!smtp->is_extended)
        return SLICE("SMTP");
    return is_utf8 ? SLICE("UTF8SMTP") : SLICE("ESMTP");
}

static void put_peer(struct writer *writer, const struct stream *stream)
{
    char text[48];
    uint16_t port;
    stream_peer((struct stream *)(uintptr_t)stream, text, &port);
    put(writer, stream->peer_family == 6 ? SLICE("[IPv6:") : SLICE("["));
    put(writer, slice_cstr(text));
    put(writer, SLICE("]"));
}

static void put_hexadecimal(struct writer *writer, uint64_t value)
{
    char digits[NUMBER_HEXADECIMAL_BYTES_MAX];
    put(writer, slice_of(digits, number_hexadecimal(digits, value)));
}

size_t smtp_trace(struct smtp_session *smtp, char *text)
{
    const struct transaction *transaction = smtp->transaction;
    struct session *session = &smtp->session;
    struct writer writer = {.text = text};
    put(&writer, SLICE("Return-Path: <"));
    put(&writer, transaction->reverse_path);
    put(&writer, SLICE(">\r\nReceived: from "));
    put(&writer, smtp->hello);
    put(&writer, SLICE(" ("));
    if (session->stream.peer_family >= 4)
        put_peer(&writer, &session->stream);
    else
        put(&writer, SLICE("local"));
    put(&writer, SLICE(")\r\n\tby "));
    put(&writer, session->service->host_name);
    put(&writer, SLICE(" (session "));
    put_hexadecimal(&writer, session->id);
    put(&writer, SLICE(") with "));
    put(&writer, protocol_name(smtp));
    put(&writer, SLICE(" id "));
    put(&writer, slice_cstr(transaction->id));
    if (transaction->recipient_count == 1) { /* of several, one would learn of the others */
        put(&writer, SLICE("\r\n\tfor <"));
        put(&writer, transaction->recipients[0].text);
        put(&writer, SLICE(">"));
    }
    put(&writer, SLICE(";\r\n\t"));
    put_date(&writer, core_wall_ns(session_core(session)) / 1000000000);
    put(&writer, SLICE("\r\n"));
    return writer.size;
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
