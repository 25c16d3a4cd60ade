/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is a certificate for an address? wolfSSL as distributed skips the iPAddress entries of the
 * subject's alternative names (RFC 5280, section 4.2.1.6), so they are read here, from the DER of a
 * certificate that wolfSSL has parsed and verified. Nothing is trusted all the same: what does not
 * fit means no.
 *
 *   Certificate { TBSCertificate { ..., [3] { Extensions { Extension { OID, [critical], OCTETS {
 *     GeneralNames { [7] address } } } } } } }
 */
#include "tls_private.h"

#include <arpa/inet.h>

enum {
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    DER_ADDRESS = 0x87,   /* GeneralName [7] */
    DER_EXTENSIONS = 0xa3 /* TBSCertificate [3] */
};

/* Takes the next element from *bytes; its tag, or -1. */
static int take(struct slice *bytes, struct slice *ret_content)
{
    const unsigned char *at = (const unsigned char *)bytes->data;
    if (bytes->size < 2)
        return -1;
    size_t size = at[1], head = 2;
    if (size & 0x80) {
        size_t count = size & 0x7f;
        if (count == 0 || count > 3 || bytes->size < 2 + count)
            return -1;
        for (size = 0; head < 2 + count; head++)
            size = size << 8 | at[head];
    }
    if (size > bytes->size - head)
        return -1;
    *ret_content = slice_of(bytes->data + head, size);
    *bytes = slice_from(*bytes, head + size);
    return at[0];
}

/* What the next element with that tag holds; others before it are passed over. Empty, and *bytes
 * too: there is none. */
static struct slice find(struct slice *bytes, int tag)
{
    struct slice content;
    for (int is; (is = take(bytes, &content)) != -1;)
        if (is == tag)
            return content;
    *bytes = (struct slice){0}; /* what does not fit is not looked at again */
    return (struct slice){0};
}

/* The GeneralNames of the subject, or empty. */
static struct slice alternative_names(struct slice certificate)
{
    static const char wanted[] = "\x55\x1d\x11"; /* 2.5.29.17 */
    struct slice outer = find(&certificate, DER_SEQUENCE);
    struct slice inner = find(&outer, DER_SEQUENCE);
    struct slice wrapped = find(&inner, DER_EXTENSIONS);
    struct slice extensions = find(&wrapped, DER_SEQUENCE);
    while (extensions.size > 0) {
        struct slice extension = find(&extensions, DER_SEQUENCE);
        struct slice id = find(&extension, DER_OID);
        if (!slice_equal(id, slice_of(wanted, 3)))
            continue;
        struct slice octets = find(&extension, DER_OCTETS);
        return find(&octets, DER_SEQUENCE);
    }
    return (struct slice){0};
}

unsigned tls_address_parse(const char *host, uint8_t ret_address[16])
{
    if (inet_pton(AF_INET, host, ret_address) == 1)
        return 4;
    return inet_pton(AF_INET6, host, ret_address) == 1 ? 16 : 0;
}

bool tls_address_is_in(struct slice certificate, const uint8_t *address, unsigned size)
{
    struct slice names = alternative_names(certificate);
    while (names.size > 0) {
        struct slice name = find(&names, DER_ADDRESS);
        if (name.size > 0 && slice_equal(name, slice_of(address, size)))
            return true;
    }
    return false;
}
