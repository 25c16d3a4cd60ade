/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One walk over a header picks the fields that ENVELOPE and BODYSTRUCTURE are made of. A field's
 * name is looked up by its length: no two lengths have more than two names. The first field of a
 * name counts, as most readers do it; address fields that repeat are marked and read again when
 * they are rendered.
 */
#include "mime_private.h"

enum { NAME_SIZE_MAX = 25, FIELD_CONTENT = 32, FIELD_NONE = 255 };

struct candidate {
    struct slice name;
    unsigned field; /* enum mime_envelope_field, or FIELD_CONTENT + enum mime_content_field */
};

/* The names of a length stand in one row; a row may be empty. */
static const struct candidate candidates[NAME_SIZE_MAX + 1][2] = {
    [2] = {{SLICE("to"), ENVELOPE_TO}, {SLICE("cc"), ENVELOPE_CC}},
    [3] = {{SLICE("bcc"), ENVELOPE_BCC}},
    [4] = {{SLICE("from"), ENVELOPE_FROM}, {SLICE("date"), ENVELOPE_DATE}},
    [6] = {{SLICE("sender"), ENVELOPE_SENDER}},
    [7] = {{SLICE("subject"), ENVELOPE_SUBJECT}},
    [8] = {{SLICE("reply-to"), ENVELOPE_REPLY_TO}},
    [10] = {{SLICE("message-id"), ENVELOPE_MESSAGE_ID},
            {SLICE("content-id"), FIELD_CONTENT + CONTENT_ID}},
    [11] = {{SLICE("in-reply-to"), ENVELOPE_IN_REPLY_TO},
            {SLICE("content-md5"), FIELD_CONTENT + CONTENT_MD5}},
    [12] = {{SLICE("content-type"), FIELD_CONTENT + CONTENT_TYPE}},
    [16] = {{SLICE("content-language"), FIELD_CONTENT + CONTENT_LANGUAGE},
            {SLICE("content-location"), FIELD_CONTENT + CONTENT_LOCATION}},
    [19] = {{SLICE("content-description"), FIELD_CONTENT + CONTENT_DESCRIPTION},
            {SLICE("content-disposition"), FIELD_CONTENT + CONTENT_DISPOSITION}},
    [25] = {{SLICE("content-transfer-encoding"), FIELD_CONTENT + CONTENT_ENCODING}},
};

static unsigned field_of(struct slice name)
{
    if (name.size > NAME_SIZE_MAX)
        return FIELD_NONE;
    for (unsigned i = 0; i < 2; i++) {
        const struct candidate *candidate = &candidates[name.size][i];
        if (candidate->name.size > 0 && slice_equal_nocase(candidate->name, name))
            return candidate->field;
    }
    return FIELD_NONE;
}

bool mime_fields_collect(struct slice header, struct mime_content *ret_content,
                         struct mime_envelope *ret_envelope)
{
    *ret_content = (struct mime_content){0};
    if (ret_envelope != NULL)
        *ret_envelope = (struct mime_envelope){.header = header};
    bool has_content = false;
    struct mime_header line;
    while (mime_header_next(&header, &line)) {
        unsigned field = field_of(line.name);
        if (field == FIELD_NONE)
            continue;
        struct slice *value;
        if (field >= FIELD_CONTENT) {
            value = &ret_content->value[field - FIELD_CONTENT];
            has_content = true;
        } else if (ret_envelope != NULL) {
            value = &ret_envelope->value[field];
            if (value->data != NULL)
                ret_envelope->repeated |= UINT32_C(1) << field;
        } else {
            continue;
        }
        if (value->data == NULL)
            *value = line.value;
    }
    return has_content;
}

enum mime_encoding mime_encoding_of(struct slice token)
{
    static const struct candidate encodings[] = {
        {SLICE("7bit"), MIME_7BIT},     {SLICE("8bit"), MIME_8BIT},
        {SLICE("binary"), MIME_BINARY}, {SLICE("quoted-printable"), MIME_QUOTED_PRINTABLE},
        {SLICE("base64"), MIME_BASE64},
    };
    if (token.size == 0)
        return MIME_7BIT;
    for (unsigned i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        if (slice_equal_nocase(encodings[i].name, token))
            return (enum mime_encoding)encodings[i].field;
    return MIME_ENCODING_OTHER;
}

/* RFC 2045 5.1: type "/" subtype *(";" parameter). What cannot be read is as if absent (5.2). */
int mime_content_parse(struct mime_content *content, struct arena *arena)
{
    struct slice value = content->value[CONTENT_ENCODING];
    if (value.data != NULL) {
        const char *at = value.data, *end = mime_end(value);
        content->encoding = mime_token_take(&at, end);
        if (content->encoding.size == 0)
            content->encoding = (struct slice){0};
    }
    value = content->value[CONTENT_TYPE];
    if (value.data == NULL)
        return 0;
    const char *at = value.data, *end = mime_end(value);
    struct slice type = mime_token_take(&at, end);
    at = mime_skip_blanks(at, end);
    if (type.size == 0 || at == end || *at != '/')
        return 0;
    at++;
    struct slice subtype = mime_token_take(&at, end);
    if (subtype.size == 0)
        return 0;
    content->type = type;
    content->subtype = subtype;
    return mime_parameters_parse(slice_of(at, (size_t)(end - at)), arena, &content->parameters);
}

bool mime_content_is_text(struct slice header, struct arena *arena, struct slice *ret_charset)
{
    struct mime_content content;
    struct slice charset = {0};
    mime_fields_collect(header, &content, NULL);
    if (mime_content_parse(&content, arena) < 0)
        content.parameters.count = 0;
    if (content.type.data != NULL && !slice_equal_nocase(content.type, SLICE("text")))
        return false;
    for (unsigned i = 0; i < content.parameters.count && charset.size == 0; i++)
        if (slice_equal_nocase(content.parameters.items[i].name, SLICE("charset")))
            charset = content.parameters.items[i].value;
    *ret_charset = charset;
    return true;
}
