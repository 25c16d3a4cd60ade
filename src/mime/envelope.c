/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ENVELOPE (RFC 9051 7.5.2): date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to,
 * message-id. Strings are the raw values without folds, encoded words (RFC 2047) left as they are.
 * Sender and Reply-To without an address are From's. Address fields of one name count as one list,
 * as in Dovecot.
 */
#include "mime_private.h"

static const char *const family_names[ENVELOPE_FIELDS] = {
    [ENVELOPE_FROM] = "from", [ENVELOPE_SENDER] = "sender", [ENVELOPE_REPLY_TO] = "reply-to",
    [ENVELOPE_TO] = "to",     [ENVELOPE_CC] = "cc",         [ENVELOPE_BCC] = "bcc",
};

/* Writes the list of a family; false (and NIL written) when it has no address. */
static bool family_put(struct text *out, const struct mime_envelope *envelope, unsigned field,
                       unsigned *address_budget)
{
    char buffer[512];
    struct mime_address_writer writer = {
        .out = out, .left = MIME_ADDRESSES_MAX, .buffer = buffer, .buffer_size = sizeof buffer};
    if (writer.left > *address_budget)
        writer.left = *address_budget;
    unsigned allowed = writer.left;
    if (envelope->repeated & (UINT32_C(1) << field)) {
        struct slice name = slice_cstr(family_names[field]);
        struct slice rest = envelope->header;
        struct mime_header line;
        while (writer.left > 0 && mime_header_next(&rest, &line))
            if (slice_equal_nocase(line.name, name))
                mime_addresses_put(&writer, line.value);
    } else if (envelope->value[field].data != NULL) {
        mime_addresses_put(&writer, envelope->value[field]);
    }
    mime_addresses_end(&writer);
    *address_budget -= allowed - writer.left;
    return writer.count > 0;
}

void mime_envelope_put(struct text *out, const struct mime_envelope *envelope,
                       unsigned *address_budget)
{
    size_t from_offset = 0, from_size = 0;
    for (unsigned field = 0; field < ENVELOPE_FIELDS; field++) {
        mime_put(out, field == 0 ? SLICE("(") : SLICE(" "));
        if (family_names[field] == NULL) {
            mime_put_nstring(out, envelope->value[field]);
            continue;
        }
        size_t offset = out->size;
        bool any = family_put(out, envelope, field, address_budget);
        if (field == ENVELOPE_FROM) {
            from_offset = offset;
            from_size = out->size - offset;
        } else if (!any && (field == ENVELOPE_SENDER || field == ENVELOPE_REPLY_TO)) {
            if (!out->failed)
                out->size = offset; /* takes NIL back */
            mime_put(out, slice_of(out->data + from_offset, from_size));
        }
    }
    mime_put(out, SLICE(")"));
}
