/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies of made messages: what people and programs write, in the shapes that servers have to
 * parse. Every shape gives exactly the size asked for: it is written with an empty first text and
 * the place of that is remembered; what is then left of the size is filled in there.
 *
 *   text (us-ascii) │ text (UTF-8) │ format=flowed with quotes and dots │ lines of up to 998
 *   bytes │ alternative: text and HTML │ mixed: text and a file in base64 │ nested: alternative
 *   with an inline picture, a file, and a forwarded message
 *
 * Words are drawn from short lists; it is the shape that costs a server time, not the prose.
 */
#include "content_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const plain_words[] = {
    "the",      "a",        "of",       "and",      "to",       "in",       "is",      "that",
    "for",      "it",       "with",     "as",       "was",      "on",       "be",      "at",
    "by",       "this",     "have",     "from",     "or",       "had",      "not",     "are",
    "but",      "we",       "they",     "which",    "you",      "were",     "all",     "will",
    "there",    "meeting",  "tomorrow", "report",   "please",   "attached", "invoice", "thanks",
    "regards",  "schedule", "project",  "customer", "delivery", "server",   "monday",  "answer",
    "question", "price",    "room",     "office",   "week",     "number",   "time",    "house",
    "garden",   "weather",  "travel",   "ticket",   "order",    "contract", "page",    "picture"};
static const char *const utf8_words[] = {
    "für",    "über",       "schöne",   "Grüße",    "Straße",  "möglich",   "déjà",
    "façon",  "année",      "élève",    "España",   "mañana",  "niño",      "corazón",
    "São",    "coração",    "ελληνικά", "γράμμα",   "σήμερα",  "привет",    "письмо",
    "завтра", "спасибо",    "встреча",  "会議",     "資料",    "ご確認",    "お願いします",
    "메일",   "안녕하세요", "你好",     "附件",     "příloha", "žluťoučký", "zażółć",
    "gęślą",  "jaźń",       "İstanbul", "günaydın", "naïve",   "and",       "the",
    "to",     "with",       "von",      "und",      "le",      "des"};
static const char *const subjects[] = {"Meeting on Monday",
                                       "Your order 4711",
                                       "Re: Report of the week",
                                       "Invoice 2026-1138",
                                       "Re: Re: question about the schedule",
                                       "Fwd: picture of the garden",
                                       "Ticket closed",
                                       "Minutes",
                                       "Re: travel",
                                       "Thanks!",
                                       "Price list, as promised",
                                       "A short note"};
static const char *const utf8_subjects[] = {
    "=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_M=C3=BCnchen?=", "=?utf-8?B?5Lya6K2w44Gu6LOH5paZ?=",
    "Re: =?utf-8?Q?R=C3=A9union_de_d=C3=A9cembre?=",
    "=?utf-8?B?0JLRgdGC0YDQtdGH0LAg0LfQsNCy0YLRgNCw?=", "=?utf-8?Q?Re=3A_ma=C3=B1ana?="};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A body while it is written. `hole` is where the text goes that makes it the right size. */
struct writer {
    char *data;
    size_t size, room, hole;
    bool failed; /* does not fit: another shape */
    uint64_t random;
};

enum text_kind { TEXT_PLAIN, TEXT_UTF8, TEXT_FLOWED, TEXT_LONG };

static void put(struct writer *writer, struct slice bytes)
{
    if (bytes.size > writer->room - writer->size) {
        writer->failed = true;
        return;
    }
    memcpy(writer->data + writer->size, bytes.data, bytes.size);
    writer->size += bytes.size;
}

__attribute__((format(printf, 2, 3))) static void put_line(struct writer *writer,
                                                           const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text - 2, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < sizeof text - 2);
    memcpy(text + size, "\r\n", 2);
    put(writer, slice_of(text, (size_t)size + 2));
}

/* ---------------------------------------------------------------- text of an exact size */

static unsigned line_width(enum text_kind kind, uint64_t *random)
{
    if (kind == TEXT_LONG)
        return 200 + random_below(random, CONTENT_LINE_BYTES_MAX - 199);
    return kind == TEXT_FLOWED ? 40 + random_below(random, 38) : 20 + random_below(random, 56);
}

/* Some lines begin in a way that means something to somebody. */
static size_t begin_line(char *line, enum text_kind kind, uint64_t *random)
{
    unsigned chance = random_below(random, 16);
    const char *begin = "";
    if (kind == TEXT_FLOWED && chance < 6)
        begin = chance < 3 ? "> " : chance < 5 ? ">> " : ".";
    else if (chance == 0)
        begin = ".";
    else if (chance == 1)
        begin = "..";
    else if (chance == 2)
        begin = "From ";
    size_t size = strlen(begin);
    memcpy(line, begin, size);
    return size;
}

/* A line of `width` bytes at most, without its end; never empty. */
static size_t write_line(char *line, size_t width, enum text_kind kind, uint64_t *random)
{
    const char *const *words = kind == TEXT_UTF8 ? utf8_words : plain_words;
    unsigned count = kind == TEXT_UTF8 ? COUNT(utf8_words) : COUNT(plain_words);
    size_t size = width > 8 ? begin_line(line, kind, random) : 0;
    for (;;) {
        const char *word = words[random_below(random, count)];
        size_t length = strlen(word);
        if (size + length + 1 > width)
            break;
        memcpy(line + size, word, length);
        size += length;
        line[size++] = ' ';
    }
    if (size > 0 && line[size - 1] == ' ' && kind != TEXT_FLOWED)
        size--; /* only format=flowed has blanks at the end */
    if (size == 0)
        line[size++] = '-';
    return size;
}

/* Exactly `size` bytes of lines that end with CRLF; size is not 1. */
static void write_text(char *to, size_t size, enum text_kind kind, uint64_t *random)
{
    while (size > 0) {
        if (size < 24) { /* the rest of it as it comes */
            memset(to, '=', size - 2);
            memcpy(to + size - 2, "\r\n", 2);
            return;
        }
        unsigned width = line_width(kind, random);
        if (width > size - 4)
            width = (unsigned)size - 4;
        size_t length = random_below(random, 12) == 0 ? 0 : write_line(to, width, kind, random);
        memcpy(to + length, "\r\n", 2);
        to += length + 2;
        size -= length + 2;
    }
}

/* ---------------------------------------------------------------- parts */

static void put_base64(struct writer *writer, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[78];
    line[76] = '\r';
    line[77] = '\n';
    for (; size >= sizeof line; size -= sizeof line) {
        for (unsigned i = 0; i < 76; i += 10) {
            uint64_t bits = random_u64(&writer->random);
            for (unsigned k = i; k < i + 10 && k < 76; k++, bits >>= 6)
                line[k] = letters[bits & 63];
        }
        put(writer, slice_of(line, sizeof line));
    }
}

static void put_html(struct writer *writer, size_t size)
{
    size_t end = writer->size + size;
    put_line(writer, "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><style>p{margin:0 0 1em;"
                     "font-family:sans-serif}</style></head><body>");
    while (writer->size < end && !writer->failed) {
        char text[400];
        size_t length =
            write_line(text, 40 + random_below(&writer->random, 340), TEXT_PLAIN, &writer->random);
        put_line(writer, "<p class=\"text\"><a href=\"http://www.example.test/%08x\">%.*s</a></p>",
                 (unsigned)random_u64(&writer->random), (int)length, text);
    }
    put_line(writer, "</body></html>");
}

struct boundary {
    char text[40];
};

static struct boundary new_boundary(struct writer *writer)
{
    struct boundary boundary;
    snprintf(boundary.text, sizeof boundary.text, "=_%016llx",
             (unsigned long long)random_u64(&writer->random));
    return boundary;
}

static void put_part(struct writer *writer, const struct boundary *boundary, const char *fields)
{
    put_line(writer, "--%s", boundary->text);
    put_line(writer, "%s", fields);
    put_line(writer, "%s", "");
}

static void put_text_hole(struct writer *writer, const struct boundary *boundary)
{
    put_part(writer, boundary,
             "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit");
    writer->hole = writer->size;
}

static void put_alternative(struct writer *writer, const struct boundary *boundary, size_t html)
{
    put_text_hole(writer, boundary);
    put_part(writer, boundary,
             "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit");
    put_html(writer, html);
    put_line(writer, "--%s--", boundary->text);
}

static void put_file(struct writer *writer, const struct boundary *boundary, const char *type,
                     const char *name, size_t size)
{
    char fields[300];
    snprintf(fields, sizeof fields,
             "Content-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"
             "Content-Disposition: attachment; filename=\"%s\"",
             type, name, name);
    put_part(writer, boundary, fields);
    put_base64(writer, size);
}

/* ---------------------------------------------------------------- shapes */

/* What of `size` goes into files, so that the text in front stays one that somebody has typed. */
static size_t share_of_files(size_t size, uint64_t *random)
{
    size_t text = 400 + random_below(random, 6000);
    return size > text + 2000 ? size - text - 1500 : size / 3;
}

static void shape_alternative(struct writer *writer, char fields[512])
{
    struct boundary boundary = new_boundary(writer);
    snprintf(fields, 512,
             "MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n",
             boundary.text);
    put_alternative(writer, &boundary, writer->room * 2 / 3 - 300);
}

static void shape_file(struct writer *writer, char fields[512])
{
    struct boundary boundary = new_boundary(writer);
    snprintf(fields, 512,
             "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n",
             boundary.text);
    put_text_hole(writer, &boundary);
    put_file(writer, &boundary, "application/pdf", "report-2026.pdf",
             share_of_files(writer->room, &writer->random));
    put_line(writer, "--%s--", boundary.text);
}

static void shape_nested(struct writer *writer, char fields[512])
{
    struct boundary mixed = new_boundary(writer), related = new_boundary(writer),
                    alternative = new_boundary(writer);
    size_t files = share_of_files(writer->room, &writer->random);
    char type[200];
    snprintf(fields, 512,
             "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n",
             mixed.text);
    put_line(writer, "This is a multi-part message in MIME format.");
    snprintf(type, sizeof type, "Content-Type: multipart/related; boundary=\"%s\"", related.text);
    put_part(writer, &mixed, type);
    snprintf(type, sizeof type, "Content-Type: multipart/alternative; boundary=\"%s\"",
             alternative.text);
    put_part(writer, &related, type);
    put_alternative(writer, &alternative, files / 10);
    put_line(writer, "%s", "");
    put_part(writer, &related,
             "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
             "Content-ID: <picture@example.test>\r\nContent-Disposition: inline");
    put_base64(writer, files / 4);
    put_line(writer, "--%s--", related.text);
    put_line(writer, "%s", "");
    put_file(writer, &mixed, "application/octet-stream", "data.bin", files / 2);
    put_part(writer, &mixed, "Content-Type: message/rfc822");
    put_line(writer, "From: Erika <erika@example.test>");
    put_line(writer, "To: undisclosed-recipients:;");
    put_line(writer, "Subject: the message before\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000");
    put_line(writer, "%s", "");
    put_line(writer, ".and this is what it said.");
    put_line(writer, "--%s--", mixed.text);
}

static enum text_kind shape_text(struct writer *writer, char fields[512])
{
    static const char *const described[] = {
        [TEXT_PLAIN] = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n",
        [TEXT_UTF8] = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: 8bit\r\n",
        [TEXT_FLOWED] = "MIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=us-ascii; format=flowed\r\n",
        [TEXT_LONG] = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"};
    unsigned chance = random_below(&writer->random, 10);
    enum text_kind kind = chance < 4   ? TEXT_PLAIN
                          : chance < 7 ? TEXT_UTF8
                          : chance < 9 ? TEXT_FLOWED
                                       : TEXT_LONG;
    snprintf(fields, 512, "%s", described[kind]);
    return kind;
}

/* Text grows rare with the size: what is large has files in it. */
static void choose_shape(struct writer *writer, char fields[512])
{
    unsigned chance = random_below(&writer->random, 100);
    size_t room = writer->room;
    if (room < 1500)
        writer->failed = true;
    else if (room < 12000 ? chance < 35 : room < 48000 ? chance < 50 : chance < 10)
        shape_alternative(writer, fields);
    else if (room >= 6000 && chance >= 100 - (room < 12000 ? 10 : room < 48000 ? 30 : 75))
        shape_file(writer, fields);
    else if (room >= 12000 && (room >= 48000 || chance < 60))
        shape_nested(writer, fields);
    else
        writer->failed = true;
}

int content_make_body(size_t size, uint64_t *random, struct content_body *ret_body)
{
    assert(size != 1);
    struct writer writer = {
        .data = malloc(size > 0 ? size : 1), .room = size, .random = random_u64(random)};
    if (writer.data == NULL)
        return -ENOMEM;
    enum text_kind kind = TEXT_PLAIN;
    choose_shape(&writer, ret_body->fields);
    size_t left = size - writer.size;
    if (writer.failed || left == 1) {
        writer.size = writer.hole = 0;
        left = size;
        kind = shape_text(&writer, ret_body->fields);
    }
    char *hole = writer.data + writer.hole;
    memmove(hole + left, hole, writer.size - writer.hole);
    write_text(hole, left, kind, &writer.random);
    ret_body->data = writer.data;
    ret_body->size = size;
    ret_body->subject = kind == TEXT_UTF8
                            ? utf8_subjects[random_below(&writer.random, COUNT(utf8_subjects))]
                            : subjects[random_below(&writer.random, COUNT(subjects))];
    return 0;
}

void content_look(struct slice bytes, bool *is_8bit, bool *needs_dots)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    *is_8bit = false;
    for (const char *c = at; c < end && !*is_8bit; c++)
        *is_8bit = (unsigned char)*c > 127;
    *needs_dots = bytes.size > 0 && *at == '.';
    while (!*needs_dots && at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        *needs_dots = at < end && *at == '.';
    }
}
