/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who the client is, as a backend is told: a PROXY header (version 2) in front of everything, or
 * the protocol's own words. Pure.
 *
 * A backend believes it, so that nothing of a client's may become a word of ours: texts are cut and
 * written as xtext (RFC 3461, section 4) or in quotes, and what does not fit is left out.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "talk.h"

/* ---------------------------------------------------------------- PROXY, version 2 */

enum {
    PROXY_LOCAL = 0x20,
    PROXY_PROXY = 0x21,
    PROXY_TCP4 = 0x11,
    PROXY_TCP6 = 0x21,
    TLV_UNIQUE_ID = 0x05,
    TLV_TTL = 0xe5, /* for one's own use: as src/session/proxy.c reads it */
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CIPHER = 0x23,
    TLV_TEXT_BYTES_MAX = 100 /* of the unique id 128 are allowed */
};

static uint8_t *put_16(uint8_t *at, size_t number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
    return at + 2;
}

static uint8_t *put_tlv(uint8_t *at, uint8_t type, struct slice value)
{
    value = slice_first(value, TLV_TEXT_BYTES_MAX);
    *at++ = type;
    at = put_16(at, value.size);
    if (value.size > 0)
        memcpy(at, value.data, value.size);
    return at + value.size;
}

/* An IPv4 address beside one of IPv6 is written as ::ffff:a.b.c.d. */
static uint8_t *put_address(uint8_t *at, unsigned family, const uint8_t address[16], bool is_wide)
{
    if (!is_wide) {
        memcpy(at, address, 4);
        return at + 4;
    }
    memset(at, 0, 16);
    if (family == 6)
        memcpy(at, address, 16);
    else if (family == 4) {
        at[10] = at[11] = 0xff;
        memcpy(at + 12, address, 4);
    }
    return at + 16;
}

size_t identity_proxy(const struct backend_client *client, uint8_t header[PROXY_HEADER_BYTES_MAX])
{
    static const uint8_t signature[] = "\r\n\r\n\0\r\nQUIT\n";
    memset(header, 0, 16);
    memcpy(header, signature, 12);
    header[12] = PROXY_LOCAL;
    if (client == NULL || client->family == 0)
        return 16;
    bool is_wide = client->family != 4 || client->our_family == 6;
    header[12] = PROXY_PROXY;
    header[13] = is_wide ? PROXY_TCP6 : PROXY_TCP4;
    uint8_t *at = put_address(header + 16, client->family, client->address, is_wide);
    at = put_address(at, client->our_family, client->our_address, is_wide);
    at = put_16(at, client->port);
    at = put_16(at, client->our_port);
    if (client->session_id.size > 0)
        at = put_tlv(at, TLV_UNIQUE_ID, client->session_id);
    char ttl[16];
    snprintf(ttl, sizeof ttl, "ttl=%u", client->ttl - 1);
    at = put_tlv(at, TLV_TTL, slice_cstr(ttl));
    if (client->is_secure) {
        uint8_t *begin = at;
        at += 3;
        *at++ = 1; /* by TLS */
        memset(at, 0, 4);
        at[3] = 1; /* the client's certificate was not verified: none was asked for */
        at += 4;
        if (client->tls_version != NULL)
            at = put_tlv(at, TLV_SSL_VERSION, slice_cstr(client->tls_version));
        if (client->tls_cipher != NULL)
            at = put_tlv(at, TLV_SSL_CIPHER, slice_cstr(client->tls_cipher));
        begin[0] = TLV_SSL;
        put_16(begin + 1, (size_t)(at - begin) - 3);
    }
    put_16(header + 14, (size_t)(at - header) - 16);
    return (size_t)(at - header);
}

/* ---------------------------------------------------------------- IMAP's ID */

static void id_pair(struct speech *speech, const char *key, const char *value)
{
    if (value[0] == '\0')
        return;
    say_text(speech, speech->bytes[speech->size - 1] == '(' ? "\"" : " \"");
    say_text(speech, key);
    say_text(speech, "\" ");
    say_quoted(speech, slice_cstr(value));
}

void identity_id(struct speech *speech, const struct backend_client *client)
{
    char text[64], session[64];
    say_text(speech, "(");
    text_clean(client->session_id, session, sizeof session);
    id_pair(speech, "x-session-id", session);
    address_text(client->family, client->address, "", text);
    id_pair(speech, "x-originating-ip", text);
    snprintf(text, sizeof text, "%u", client->port);
    id_pair(speech, "x-originating-port", client->family != 0 ? text : "");
    address_text(client->our_family, client->our_address, "", text);
    id_pair(speech, "x-connected-ip", text);
    snprintf(text, sizeof text, "%u", client->our_port);
    id_pair(speech, "x-connected-port", client->our_family != 0 ? text : "");
    snprintf(text, sizeof text, "%u", client->ttl - 1);
    id_pair(speech, "x-proxy-ttl", text);
    id_pair(speech, "x-client-transport", client->is_secure ? "TLS" : "insecure");
    say_text(speech, ")");
}

/* ---------------------------------------------------------------- XCLIENT */

enum attribute { ADDR, PORT, SESSION, TTL, NAME, PROTO, HELO, DESTADDR, DESTPORT, TRANSPORT };
static const char *const attribute_names[] = {
    "ADDR",  "PORT", "SESSION",  "TTL",      "NAME",
    "PROTO", "HELO", "DESTADDR", "DESTPORT", "CLIENT-TRANSPORT"};
enum {
    ATTRIBUTE_COUNT = sizeof attribute_names / sizeof *attribute_names,
    DOVECOT_ATTRIBUTES = TTL + 1, /* what its POP3 and ManageSieve have always taken */
    HELO_BYTES_MAX = 120          /* three times as long as xtext */
};

/* False: nothing is known. `text` holds 128 bytes. */
static bool value_of(enum attribute attribute, const struct backend_client *client, bool with_smtp,
                     char *text)
{
    const char *prefix = with_smtp ? "IPV6:" : "";
    text[0] = '\0';
    switch (attribute) {
    case ADDR:
        address_text(client->family, client->address, prefix, text);
        break;
    case PORT:
        snprintf(text, 128, "%u", client->port);
        return client->family != 0;
    case DESTADDR:
        address_text(client->our_family, client->our_address, prefix, text);
        break;
    case DESTPORT:
        snprintf(text, 128, "%u", client->our_port);
        return client->our_family != 0;
    case SESSION:
        text_clean(client->session_id, text, 64);
        break;
    case TTL:
        snprintf(text, 128, "%u", client->ttl - 1);
        break;
    case PROTO:
        snprintf(text, 128, "ESMTP");
        break;
    case HELO:
        text_clean(client->hello, text, HELO_BYTES_MAX);
        break;
    case TRANSPORT:
        snprintf(text, 128, "%s", client->is_secure ? "TLS" : "insecure");
        break;
    case NAME:
        break;
    }
    if (text[0] == '\0' && with_smtp)
        snprintf(text, 128, "[UNAVAILABLE]");
    return text[0] != '\0';
}

bool identity_xclient(struct speech *speech, const struct backend_client *client,
                      const struct offer *capabilities, bool with_smtp, unsigned *at)
{
    size_t begin = speech->size;
    unsigned count = with_smtp ? ATTRIBUTE_COUNT : DOVECOT_ATTRIBUTES;
    bool is_begun = false;
    for (; *at < count; ++*at) {
        char text[128];
        enum attribute attribute = (enum attribute) * at;
        if (with_smtp && !can(capabilities, "XCLIENT", attribute_names[attribute]))
            continue;
        if (!value_of(attribute, client, with_smtp, text))
            continue;
        size_t before = speech->size;
        say_text(speech, is_begun ? " " : "XCLIENT ");
        say_text(speech, attribute_names[attribute]);
        say_text(speech, "=");
        say_xtext(speech, slice_cstr(text));
        if (is_begun && speech->size - begin > XCLIENT_LINE_BYTES_MAX - 2) {
            speech->size = before; /* on the next line */
            break;
        }
        is_begun = true;
    }
    if (is_begun)
        say_text(speech, "\r\n");
    return is_begun;
}
