/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writing and reading the metas of records. All numbers are little-endian; "number" is 7 bits a
 * byte, lowest first, the high bit set on all but the last; a text is its size as a number, then
 * its bytes. A set of UIDs is a number of runs, each as the gap behind the run before and its
 * length less one: 1:1000000 takes four bytes.
 *
 * Reading checks every length: these bytes come from disk.
 */
#include "store_private.h"

static char *room(struct bytes *bytes, size_t more)
{
    if (bytes->failed)
        return NULL;
    if (more > bytes->capacity - bytes->size) {
        size_t capacity = bytes->capacity ? bytes->capacity * 2 : 128;
        while (capacity - bytes->size < more)
            capacity *= 2;
        char *data = realloc(bytes->data, capacity);
        if (data == NULL) {
            bytes->failed = true;
            return NULL;
        }
        bytes->data = data;
        bytes->capacity = capacity;
    }
    char *at = bytes->data + bytes->size;
    bytes->size += more;
    return at;
}

void put_raw(struct bytes *bytes, struct slice s)
{
    char *at = room(bytes, s.size);
    if (at != NULL && s.size > 0)
        memcpy(at, s.data, s.size);
}

void put_u8(struct bytes *bytes, uint8_t value)
{
    put_raw(bytes, slice_of(&value, 1));
}

void put_u32(struct bytes *bytes, uint32_t value)
{
    unsigned char data[4];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(value >> (8 * i));
    put_raw(bytes, slice_of(data, sizeof data));
}

void put_u64(struct bytes *bytes, uint64_t value)
{
    unsigned char data[8];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(value >> (8 * i));
    put_raw(bytes, slice_of(data, sizeof data));
}

void put_number(struct bytes *bytes, uint64_t value)
{
    unsigned char data[10];
    unsigned size = 0;
    do {
        data[size] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        size++;
    } while (value > 0);
    put_raw(bytes, slice_of(data, size));
}

void put_text(struct bytes *bytes, struct slice s)
{
    put_number(bytes, s.size);
    put_raw(bytes, s);
}

void put_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

int put_uids(struct bytes *bytes, const uint32_t *uids, uint32_t count)
{
    uint64_t runs = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (uids[i] == 0 || (i > 0 && uids[i] <= uids[i - 1]))
            return -EINVAL;
        runs += i == 0 || uids[i] != uids[i - 1] + 1;
    }
    put_number(bytes, runs);
    uint32_t after = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t first = uids[i], length = 1;
        while (i + length < count && uids[i + length] == first + length)
            length++;
        put_number(bytes, first - after);
        put_number(bytes, length - 1);
        after = first + length - 1;
        i += length;
    }
    return 0;
}

/* ---------------------------------------------------------------- reading */

struct reader reader_of(struct slice s)
{
    const unsigned char *data = (const unsigned char *)s.data;
    return (struct reader){.at = data, .end = data + s.size};
}

static const unsigned char *take(struct reader *reader, uint64_t size)
{
    if (reader->failed || size > (uint64_t)(reader->end - reader->at)) {
        reader->failed = true;
        return NULL;
    }
    const unsigned char *at = reader->at;
    reader->at += size;
    return at;
}

static uint64_t read_bytes(struct reader *reader, unsigned size)
{
    const unsigned char *at = take(reader, size);
    uint64_t value = 0;
    for (unsigned i = 0; at != NULL && i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint8_t read_u8(struct reader *reader)
{
    return (uint8_t)read_bytes(reader, 1);
}

uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_bytes(reader, 4);
}

uint64_t read_u64(struct reader *reader)
{
    return read_bytes(reader, 8);
}

uint64_t read_number(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const unsigned char *at = take(reader, 1);
        if (at == NULL)
            return 0;
        value |= (uint64_t)(*at & 0x7f) << shift;
        if ((*at & 0x80) == 0)
            return value;
    }
    reader->failed = true;
    return 0;
}

struct slice read_text(struct reader *reader)
{
    uint64_t size = read_number(reader);
    const unsigned char *at = take(reader, size);
    return at == NULL ? (struct slice){0} : slice_of(at, size);
}

struct uid_reader uid_reader_of(struct reader *reader)
{
    return (struct uid_reader){.reader = reader, .runs = read_number(reader)};
}

bool uid_next(struct uid_reader *uids, uint32_t *ret_uid)
{
    if (uids->left == 0) {
        if (uids->runs == 0 || uids->reader->failed)
            return false;
        uids->runs--;
        uint64_t gap = read_number(uids->reader), length = read_number(uids->reader);
        uint64_t last;
        if (uids->reader->failed || gap == 0 ||
            __builtin_add_overflow(uids->next, gap, &uids->next) ||
            __builtin_add_overflow(uids->next, length, &last) || last > UINT32_MAX) {
            uids->reader->failed = true;
            return false;
        }
        uids->left = length + 1;
        uids->next--; /* counted up below */
    }
    uids->next++;
    uids->left--;
    *ret_uid = (uint32_t)uids->next;
    return true;
}
