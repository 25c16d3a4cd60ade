/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Charsets of mail to UTF-8, by iconv(3). Only names in the table reach iconv_open: a name from
 * mail could otherwise load any converter of the system, and some of those have been broken by
 * hostile input (CVE-2020-29562, CVE-2021-3326, CVE-2020-27618). Never fails: a byte that cannot be
 * converted is kept as it is.
 */
#include "mime_private.h"

#include <errno.h>
#include <iconv.h>

enum { NAME_SIZE_MAX = 20 };

struct charset {
    struct slice name; /* as mail has it */
    const char *iconv_name;
};

static const struct charset charsets_of_mail[] = {
    {SLICE("iso-8859-1"),
     "WINDOWS-1252"}, /* WHATWG Encoding: mail that says the one means the other */
    {SLICE("latin1"), "WINDOWS-1252"},
    {SLICE("windows-1250"), "WINDOWS-1250"},
    {SLICE("windows-1251"), "WINDOWS-1251"},
    {SLICE("windows-1252"), "WINDOWS-1252"},
    {SLICE("windows-1253"), "WINDOWS-1253"},
    {SLICE("windows-1254"), "WINDOWS-1254"},
    {SLICE("windows-1255"), "WINDOWS-1255"},
    {SLICE("windows-1256"), "WINDOWS-1256"},
    {SLICE("windows-1257"), "WINDOWS-1257"},
    {SLICE("windows-1258"), "WINDOWS-1258"},
    {SLICE("cp1250"), "WINDOWS-1250"},
    {SLICE("cp1251"), "WINDOWS-1251"},
    {SLICE("cp1252"), "WINDOWS-1252"},
    {SLICE("cp866"), "IBM866"},
    {SLICE("ibm866"), "IBM866"},
    {SLICE("cp437"), "IBM437"},
    {SLICE("cp850"), "IBM850"},
    {SLICE("macintosh"), "MACINTOSH"},
    {SLICE("iso-8859-2"), "ISO-8859-2"},
    {SLICE("iso-8859-3"), "ISO-8859-3"},
    {SLICE("iso-8859-4"), "ISO-8859-4"},
    {SLICE("iso-8859-5"), "ISO-8859-5"},
    {SLICE("iso-8859-6"), "ISO-8859-6"},
    {SLICE("iso-8859-7"), "ISO-8859-7"},
    {SLICE("iso-8859-8"), "ISO-8859-8"},
    {SLICE("iso-8859-8-i"), "ISO-8859-8"},
    {SLICE("iso-8859-9"), "WINDOWS-1254"},
    {SLICE("iso-8859-10"), "ISO-8859-10"},
    {SLICE("iso-8859-11"), "ISO-8859-11"},
    {SLICE("iso-8859-13"), "ISO-8859-13"},
    {SLICE("iso-8859-14"), "ISO-8859-14"},
    {SLICE("iso-8859-15"), "ISO-8859-15"},
    {SLICE("iso-8859-16"), "ISO-8859-16"},
    {SLICE("koi8-r"), "KOI8-R"},
    {SLICE("koi8-u"), "KOI8-U"},
    {SLICE("tis-620"), "TIS-620"},
    {SLICE("gb2312"), "GB18030"},
    {SLICE("gbk"), "GB18030"},
    {SLICE("gb18030"), "GB18030"},
    {SLICE("hz-gb-2312"), "GB18030"},
    {SLICE("big5"), "BIG5"},
    {SLICE("big5-hkscs"), "BIG5-HKSCS"},
    {SLICE("euc-jp"), "EUC-JP"},
    {SLICE("iso-2022-jp"), "ISO-2022-JP"},
    {SLICE("shift_jis"), "CP932"},
    {SLICE("shift-jis"), "CP932"},
    {SLICE("sjis"), "CP932"},
    {SLICE("windows-31j"), "CP932"},
    {SLICE("cp932"), "CP932"},
    {SLICE("euc-kr"), "UHC"},
    {SLICE("ks_c_5601-1987"), "UHC"},
    {SLICE("iso-2022-kr"), "ISO-2022-KR"},
    {SLICE("utf-7"), "UTF-7"},
    {SLICE("utf-16"), "UTF-16"},
    {SLICE("utf-16le"), "UTF-16LE"},
    {SLICE("utf-16be"), "UTF-16BE"},
    {SLICE("utf-32"), "UTF-32"},
};

static const char *iconv_name_of(struct slice charset)
{
    if (charset.size > NAME_SIZE_MAX)
        return NULL;
    for (size_t i = 0; i < sizeof charsets_of_mail / sizeof *charsets_of_mail; i++)
        if (slice_equal_nocase(charsets_of_mail[i].name, charset))
            return charsets_of_mail[i].iconv_name;
    return NULL;
}

bool mime_charset_is_known(struct slice charset)
{
    return iconv_name_of(charset) != NULL;
}

void mime_charsets_open(struct mime_charsets *charsets)
{
    const size_t all = sizeof charsets_of_mail / sizeof *charsets_of_mail;
    _Static_assert(sizeof charsets_of_mail / sizeof *charsets_of_mail <= MIME_CHARSETS_MAX,
                   "raise MIME_CHARSETS_MAX");
    *charsets = (struct mime_charsets){.count = 0};
    for (size_t i = 0; i < all; i++) {
        iconv_t converter = iconv_open("UTF-8", charsets_of_mail[i].iconv_name);
        if (converter == (iconv_t)-1)
            charsets->missing++;
        else
            charsets->converters[charsets->count++] = converter;
    }
}

void mime_charsets_close(struct mime_charsets *charsets)
{
    while (charsets->count > 0)
        iconv_close(charsets->converters[--charsets->count]);
}

void mime_to_utf8(struct slice bytes, struct slice charset, struct text *out)
{
    const char *name = iconv_name_of(charset);
    iconv_t converter = name && bytes.size > 0 ? iconv_open("UTF-8", name) : (iconv_t)-1;
    if (converter == (iconv_t)-1) {
        text_append(out, bytes);
        return;
    }
    char *from = (char *)(uintptr_t)bytes.data; /* iconv(3) does not write to it */
    size_t left = bytes.size;
    while (left > 0) {
        char chunk[2048];
        char *to = chunk;
        size_t room = sizeof chunk;
        size_t status = iconv(converter, &from, &left, &to, &room);
        int error = status == (size_t)-1 ? errno : 0;
        text_append(out, slice_of(chunk, sizeof chunk - room));
        if (error == 0 || (error == E2BIG && room < sizeof chunk))
            continue;
        if (error == EILSEQ) {
            text_append(out, slice_of(from, 1));
            from++;
            left--;
            continue;
        }
        text_append(out, slice_of(from, left)); /* cut inside a character */
        break;
    }
    iconv_close(converter);
}
