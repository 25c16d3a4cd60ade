/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fields we write: the trace in front of a message (RFC 5321 4.4), and those that complete a
 * header. What the client said in EHLO and its addresses stand in them; the parsers let nothing
 * through that could end a line.
 */
#include "ringpost/number.h"

#include "smtp_private.h"

/* ---------------------------------------------------------------- writing */

/* A field under construction; what does not fit is cut (lengths are bounded so that all does). */
struct writer {
    char *text;
    size_t size, capacity;
};

static void put(struct writer *writer, struct slice s)
{
    s = slice_first(s, writer->capacity - writer->size);
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

/* RFC 5321 4.4, RFC 3848 and RFC 6531 4.3: "SMTP", or "E" or "UTF8" in front, "S" for TLS and "A"
 * for a user behind. */
static void put_protocol(struct writer *writer, const struct smtp_session *smtp)
{
    bool is_utf8 = smtp->transaction->is_utf8;
    if (smtp->is_lmtp) {
        put(writer, is_utf8 ? SLICE("UTF8LMTP") : SLICE("LMTP"));
        return;
    }
    if (!smtp->is_extended) {
        put(writer, SLICE("SMTP"));
        return;
    }
    put(writer, is_utf8 ? SLICE("UTF8SMTP") : SLICE("ESMTP"));
    if (session_is_secure(&smtp->session))
        put(writer, SLICE("S"));
    if (smtp->session.user.size > 0)
        put(writer, SLICE("A"));
}

/* "(TLSv1.3 TLS_AES_128_GCM_SHA256)" */
static void put_tls(struct writer *writer, const struct session *session)
{
    struct tls_info info;
    stream_tls_info(&session->stream, &info);
    put(writer, SLICE(" ("));
    put(writer, slice_cstr(info.version));
    put(writer, SLICE(" "));
    put(writer, slice_cstr(info.cipher));
    put(writer, SLICE(")"));
}

/* Inside a comment (RFC 5322 3.2.2). */
static void put_user(struct writer *writer, struct slice user)
{
    put(writer, SLICE("\r\n\t(user "));
    for (size_t i = 0; i < user.size; i++) {
        unsigned char c = (unsigned char)user.data[i];
        if (c < ' ' || c == 0x7f)
            continue;
        if (c == '(' || c == ')' || c == '\\')
            put(writer, SLICE("\\"));
        put(writer, slice_of(user.data + i, 1));
    }
    put(writer, SLICE(")"));
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
    struct transaction *transaction = smtp->transaction;
    struct session *session = &smtp->session;
    struct writer writer = {.text = text, .capacity = TRACE_BYTES_MAX};
    put(&writer, SLICE("Return-Path: <"));
    put(&writer, transaction->reverse_path);
    put(&writer, SLICE(">\r\n"));
    transaction->return_path_size = writer.size;
    put(&writer, SLICE("Received: from "));
    put(&writer, smtp->hello);
    put(&writer, SLICE(" ("));
    if (smtp->client_name.size > 0) {
        put(&writer, smtp->client_name);
        put(&writer, SLICE(" "));
    }
    if (session->stream.peer_family >= 4)
        put_peer(&writer, &session->stream);
    else
        put(&writer, SLICE("local"));
    put(&writer, SLICE(")\r\n\tby "));
    put(&writer, session->service->host_name);
    put(&writer, SLICE(" (session "));
    put_hexadecimal(&writer, session->id);
    put(&writer, SLICE(") with "));
    put_protocol(&writer, smtp);
    if (session_is_secure(session))
        put_tls(&writer, session);
    put(&writer, SLICE(" id "));
    put(&writer, slice_cstr(transaction->id));
    if (smtp->is_submission && options_of(smtp)->received_names_user)
        put_user(&writer, session->user);
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

size_t smtp_fields(struct smtp_session *smtp, unsigned missing, bool is_cut, bool is_bare,
                   char *text)
{
    struct session *session = &smtp->session;
    struct writer writer = {.text = text, .capacity = FIELDS_BYTES_MAX};
    if (is_cut)
        put(&writer, SLICE("\r\n"));
    if (missing & FIELD_DATE) {
        put(&writer, SLICE("Date: "));
        put_date(&writer, core_wall_ns(session_core(session)) / 1000000000);
        put(&writer, SLICE("\r\n"));
    }
    if (missing & FIELD_MESSAGE_ID) {
        put(&writer, SLICE("Message-ID: <"));
        put(&writer, slice_cstr(smtp->transaction->id));
        put(&writer, SLICE("@"));
        put(&writer, session->service->host_name);
        put(&writer, SLICE(">\r\n"));
    }
    if (is_bare)
        put(&writer, SLICE("\r\n"));
    return writer.size;
}
