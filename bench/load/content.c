/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages by number. What is dear (text, base64, checksums) is done once, for some hundreds of
 * models; a message is a copy of its model's head with its number in three places, and the model's
 * body as it is. So bodies come again after some hundreds of messages, and servers that keep equal
 * attachments once would find some.
 *
 * Sizes of real mail (--size real): a mixture of three log-normals, cut to 704 bytes ... 25 MiB:
 *
 *     share   median     sigma   what it stands for
 *     0.70     5.5 KiB   0.75    text, with the header fields that relays add
 *     0.25    35 KiB     1.05    HTML with pictures, small attachments
 *     0.05   450 KiB     1.35    attachments
 *
 * which makes the quartiles 4.1, 7.9 and 21 KiB, p90 78 KiB, p99 1.3 MiB, mean 71 KiB
 * (tests/unit/content_test.c holds them to that). It is our own choice: studies of mail traffic
 * agree on the kind of distribution (log-normal in the middle, a heavy tail), and differ by an
 * order of magnitude in its parameters. Models are taken at the quantiles (i + 1/2)/512, so that
 * each run has the same sizes and only the seed's order differs.
 *
 * Owns: the models. Immutable when content_open has returned, so that all cores may read.
 */
#include "content_private.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/hash.h"
#include "ringpost/number.h"

enum {
    REAL_BYTES_MIN = 704,
    REAL_BYTES_MAX = 25 << 20,
    SMALL_HEAD_BYTES = 900, /* messages below that have the fewest header fields */
    LARGE_HEAD_BYTES = 4096,
    PAD_BYTES_MAX = 48,   /* of a subject */
    MADE_BYTES = 16 << 20 /* of models of one size together, when that is more than four */
};

/* ---------------------------------------------------------------- sizes */

static const struct {
    double share, median, sigma;
} real_sizes[] = {{0.70, 5.5 * 1024, 0.75}, {0.25, 35.0 * 1024, 1.05}, {0.05, 450.0 * 1024, 1.35}};

/* The share of messages that are not larger. */
static double real_share(double bytes)
{
    double sum = 0;
    for (unsigned i = 0; i < sizeof real_sizes / sizeof real_sizes[0]; i++)
        sum += real_sizes[i].share *
               erfc(-log(bytes / real_sizes[i].median) / (real_sizes[i].sigma * M_SQRT2)) / 2;
    return sum;
}

/* In multiples of 16, so that it is the same whatever the last bit of a libm is. */
static size_t real_size(double share)
{
    double low = REAL_BYTES_MIN, high = REAL_BYTES_MAX;
    while (high - low > 1) {
        double middle = (low + high) / 2;
        if (real_share(middle) < share)
            low = middle;
        else
            high = middle;
    }
    return (size_t)low & ~(size_t)15;
}

/* ---------------------------------------------------------------- the mark */

size_t content_mark(char text[CONTENT_MARK_BYTES_MAX], uint64_t seed, uint64_t body_bytes,
                    uint32_t crc, uint32_t *ret_number_at)
{
    int size = snprintf(text, CONTENT_MARK_BYTES_MAX, CONTENT_MARK_NAME "%0*llx-%0*d-%llu-%08x\r\n",
                        CONTENT_SEED_DIGITS, (unsigned long long)seed, CONTENT_NUMBER_DIGITS, 0,
                        (unsigned long long)body_bytes, crc);
    assert(size > 0 && size < CONTENT_MARK_BYTES_MAX);
    *ret_number_at = sizeof CONTENT_MARK_NAME - 1 + CONTENT_SEED_DIGITS + 1;
    return (size_t)size;
}

static bool read_hexadecimal(struct slice text, unsigned digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.size != digits)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

bool content_read_mark(struct slice line, uint64_t *ret_seed, uint64_t *ret_number,
                       uint64_t *ret_body_bytes, uint32_t *ret_crc)
{
    uint64_t seed, number, body_bytes, crc;
    struct slice name = SLICE(CONTENT_MARK_NAME);
    if (!slice_starts_nocase(line, name))
        return false;
    line = slice_from(line, name.size);
    if (!read_hexadecimal(slice_first(line, CONTENT_SEED_DIGITS), CONTENT_SEED_DIGITS, &seed))
        return false;
    line = slice_from(line, CONTENT_SEED_DIGITS);
    size_t part = slice_find(slice_from(line, 1), '-');
    if (slice_find(line, '-') != 0 || part != CONTENT_NUMBER_DIGITS ||
        !slice_number(slice_of(line.data + 1, part), UINT64_MAX, &number))
        return false;
    line = slice_from(line, 2 + part);
    part = slice_find(line, '-');
    if (!slice_number(slice_first(line, part), UINT64_MAX, &body_bytes) ||
        !read_hexadecimal(slice_from(line, part + 1), 8, &crc))
        return false;
    *ret_seed = seed;
    *ret_number = number;
    *ret_body_bytes = body_bytes;
    *ret_crc = (uint32_t)crc;
    return true;
}

/* ---------------------------------------------------------------- models */

int content_add(struct content *content, const struct content_model *model)
{
    content->bytes += model->head.size + model->body.size;
    if (content->count == CONTENT_MODELS_MAX || content->bytes > content_bytes_max)
        return -E2BIG;
    if (content->count == content->room) {
        unsigned room = content->room == 0 ? CONTENT_MADE_MAX : content->room * 2;
        struct content_model *models = realloc(content->models, room * sizeof *models);
        if (models == NULL)
            return -ENOMEM;
        content->models = models;
        content->room = room;
    }
    content->models[content->count++] = *model;
    return 0;
}

/* A head while it is written: text, and places in it. */
struct head {
    char text[CONTENT_HEAD_BYTES_MAX];
    size_t size;
};

__attribute__((format(printf, 2, 3))) static size_t put(struct head *head, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof head->text - head->size, before = head->size;
    int size = vsnprintf(head->text + head->size, room, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < room);
    head->size += (size_t)size;
    return before;
}

static const char *const names[] = {"Anna",  "Bruno", "Chiara", "Dmitri", "Eva",  "Farid",
                                    "Greta", "Hugo",  "Ines",   "Jan",    "Kira", "Liam"};

static const char *name_of(uint64_t *random)
{
    return names[random_below(random, sizeof names / sizeof names[0])];
}

/* Fields that relays, signers and lists add. */
static void put_trace(struct head *head, unsigned day, uint64_t *random)
{
    for (unsigned i = 0; i < 2; i++)
        put(head,
            "Received: from mail%u.example.org (mail%u.example.org [192.0.2.%u])\r\n"
            "\tby mx%u.example.test (Postfix) with ESMTPS id %08X\r\n"
            "\tfor <list@example.test>; Thu, %u Jan 2026 08:00:0%u +0000 (UTC)\r\n",
            i, i, random_below(random, 250), i, (unsigned)random_u64(random), day, 9 - i);
    put(head, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s2026;\r\n"
              "\th=from:to:subject:date:message-id:mime-version:content-type;\r\n\tbh=");
    for (unsigned i = 0; i < 2; i++)
        put(head, "%016llx", (unsigned long long)random_u64(random));
    put(head, "=;\r\n\tb=");
    for (unsigned line = 0; line < 5; line++) {
        for (unsigned i = 0; i < 4; i++)
            put(head, "%016llx", (unsigned long long)random_u64(random));
        put(head, line < 4 ? "\r\n\t " : "==\r\n");
    }
    put(head, "List-Id: <list.example.test>\r\n"
              "List-Unsubscribe: <mailto:list-leave@example.test>\r\nPrecedence: list\r\n");
}

/* The head of a message of `size` bytes, whose body is described. The length of the mark is that of
 * a body of that size. */
static void write_head(struct head *head, struct content_model *model, size_t size,
                       const struct content_body *body, size_t pad, uint64_t seed, uint64_t random)
{
    const char *from = name_of(&random), *to = name_of(&random);
    unsigned day = 8 + 7 * random_below(&random, 3); /* a Thursday */
    bool is_small = size < SMALL_HEAD_BYTES;
    head->size = 0;
    if (size >= LARGE_HEAD_BYTES)
        put_trace(head, day, &random);
    put(head, "Date: Thu, %02u Jan 2026 ", day);
    model->time_at = (uint32_t)head->size;
    put(head, "00:00:00 +0000\r\nFrom: %s <%s@example.org>\r\nTo: %s <%s@example.test>\r\n", from,
        from, to, to);
    put(head, "Message-ID: <%08x.", (unsigned)hash_u64(seed));
    model->id_at = (uint32_t)head->size;
    put(head, "%0*d@example.org>\r\nSubject: %s%.*s\r\n", CONTENT_NUMBER_DIGITS, 0,
        is_small ? "Hello" : body->subject, (int)pad,
        " and what we said about it on the telephone last week");
    if (!is_small) {
        put(head, "User-Agent: Mozilla Thunderbird\r\n");
        if (random_below(&random, 2) == 0)
            put(head,
                "In-Reply-To: <%08x.1@example.test>\r\n"
                "References: <%08x.0@example.test>\r\n <%08x.1@example.test>\r\n",
                (unsigned)random, (unsigned)random, (unsigned)random);
    }
    put(head, "%s", body->fields);
    char mark[CONTENT_MARK_BYTES_MAX];
    uint32_t crc = body->data != NULL ? crc32c(0, body->data, body->size) : 0;
    size_t length = content_mark(mark, seed, body->size, crc, &model->mark_at);
    model->mark_at += (uint32_t)head->size;
    model->crc = crc;
    put(head, "%.*s\r\n", (int)length, mark);
}

/* A model of `size` bytes, or of the smallest that is possible. */
static int make_model(struct content *content, size_t size, uint64_t random)
{
    struct content_model model = {0};
    struct content_body body;
    struct head head;
    uint64_t head_random = random_u64(&random), body_random = random;
    /* What the body needs of the head is known when it is made, and the other way round: try, and
     * let a longer subject make up for the last bytes. */
    size_t body_size = size > 600 ? size - 600 : 0, pad = 0;
    for (unsigned attempt = 0; attempt < 8; attempt++) {
        uint64_t again = body_random;
        int result = content_make_body(body_size, &again, &body);
        if (result < 0)
            return result;
        write_head(&head, &model, size, &body, pad, content->seed, head_random);
        size_t total = head.size + body.size;
        if (total < size && size - total <= PAD_BYTES_MAX - pad) {
            pad += size - total;
            write_head(&head, &model, size, &body, pad, content->seed, head_random);
            break;
        }
        if (total == size || (total > size && body_size == 0) || attempt == 7)
            break;
        free(body.data);
        body_size = total - size < body_size || total < size ? body_size + size - total : 0;
        if (body_size == 1)
            body_size = 0;
    }
    model.memory = malloc(head.size + body.size + 1);
    if (model.memory == NULL) {
        free(body.data);
        return -ENOMEM;
    }
    memcpy(model.memory, head.text, head.size);
    if (body.size > 0)
        memcpy(model.memory + head.size, body.data, body.size);
    free(body.data);
    model.head = slice_of(model.memory, head.size);
    model.body = slice_of(model.memory + head.size, body.size);
    content_look(model.body, &model.is_8bit, &model.needs_dots);
    int result = content_add(content, &model);
    if (result < 0)
        free(model.memory);
    return result;
}

static int make_models(struct content *content, size_t size, char problem[200])
{
    unsigned count = CONTENT_MADE_MAX;
    if (size > 0 && MADE_BYTES / size < count)
        count = MADE_BYTES / size < 4 ? size > (64 << 20) ? 1 : 4 : (unsigned)(MADE_BYTES / size);
    for (unsigned i = 0; i < count; i++) {
        size_t bytes = size > 0 ? size : real_size((i + 0.5) / count);
        int result = make_model(content, bytes, hash_u64(content->seed * 1000003 + i));
        if (result < 0) {
            snprintf(problem, 200, "no memory for messages of %zu bytes", bytes);
            return result;
        }
    }
    return 0;
}

int content_open(const struct load_options *options, struct content **ret_content,
                 char problem[200])
{
    struct content *content = malloc(sizeof *content);
    if (content == NULL) {
        snprintf(problem, 200, "no memory");
        return -ENOMEM;
    }
    *content = (struct content){.seed = options->seed, .in_turn = options->from_path != NULL};
    int result = content->in_turn ? content_read(content, options->from_path, problem)
                                  : make_models(content, options->size_bytes, problem);
    if (result < 0) {
        content_close(content);
        return result;
    }
    *ret_content = content;
    return 0;
}

void content_close(struct content *content)
{
    if (content == NULL)
        return;
    for (unsigned i = 0; i < content->count; i++)
        free(content->models[i].memory);
    free(content->models);
    free(content);
}

/* ---------------------------------------------------------------- messages */

static const struct content_model *model_of(const struct content *content, uint64_t number)
{
    if (content->in_turn)
        return &content->models[number % content->count];
    uint64_t random = hash_u64(content->seed ^ number * 0x9e3779b97f4a7c15u);
    return &content->models[((random >> 32) * content->count) >> 32];
}

unsigned content_size(struct content *content, uint64_t number)
{
    const struct content_model *model = model_of(content, number);
    return (unsigned)(model->head.size + model->body.size);
}

int content_make(struct content *content, uint64_t number, struct content_message *ret_message)
{
    const struct content_model *model = model_of(content, number);
    char *head = malloc(model->head.size);
    if (head == NULL)
        return -ENOMEM;
    memcpy(head, model->head.data, model->head.size);
    number_digits(head + model->mark_at, number, CONTENT_NUMBER_DIGITS);
    if (model->id_at != 0)
        number_digits(head + model->id_at, number, CONTENT_NUMBER_DIGITS);
    if (model->time_at != 0) {
        unsigned second = (unsigned)(number * 7 % 86400);
        number_digits(head + model->time_at, second / 3600, 2);
        number_digits(head + model->time_at + 3, second / 60 % 60, 2);
        number_digits(head + model->time_at + 6, second % 60, 2);
    }
    *ret_message = (struct content_message){.head = slice_of(head, model->head.size),
                                            .body = model->body,
                                            .needs_dots = model->needs_dots,
                                            .is_8bit = model->is_8bit,
                                            .block = head};
    return 0;
}

void content_release(struct content_message *message)
{
    free(message->block);
    message->block = NULL;
}
