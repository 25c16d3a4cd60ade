/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of the log on disk, and when they count. Everything is little-endian.
 *
 *   0000000007.log          a segment in use, by its number: ten digits
 *   spare-3                 a segment-sized file of any content, written once from end to end
 *   lock                    held by the process that has the shard open
 *
 *   segment:  header │ header again │ record │ record │ …            each header at a multiple of
 *             4096 bytes, records at multiples of 512
 *   header:   struct format_segment │ struct format_seal, one per older live segment │ zeros
 *   record:   struct format_record │ CRC-32C of each 64 KiB of the body │ meta │ body │ zeros
 *             (a body that is written from where it was received starts at a multiple of 512)
 *
 * A file is a segment if and only if its name is a segment's, one of its two headers holds its own
 * checksum, and that header bears this store, this shard and the number of the name. A file gets
 * its name only after its headers are durable, so a named file without them is damaged, not unborn.
 * The highest number is the newest. Which older segments live, and up to where they are valid, is
 * what the newest header says, less those that a DROP record in the newest segment names: the word
 * of an older header does not count.
 *
 * A record counts if and only if
 *   F1 its magic, its own offset, and its checksum hold: the checksum starts from the identity of
 *      the place (store, shard, segment, epoch), so a record of another life of a recycled file, or
 *      one that was written to the wrong place, does not count;
 *   F2 its lengths lie within the segment's valid length;
 *   F3 meta and body match their checksums;
 *   F4 its sequence is one more than that of the record before it.
 * In a segment whose valid length is known (sealed) a record that fails these is damage: it is
 * passed over and told. In the newest segment it is the end, unless a later record that holds says
 * in `durable` that this place was durable already: then it is damage too.
 */
#ifndef RINGPOST_STORE_FORMAT_H
#define RINGPOST_STORE_FORMAT_H

#include "ringpost/hash.h"
#include "ringpost/slice.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

enum {
    FORMAT_VERSION = 1,
    FORMAT_RECORD_MAGIC = 0x31636572, /* "rec1" */
    FORMAT_BLOCK_BYTES = 512,
    FORMAT_HEADER_ALIGN_BYTES = 4096,
    FORMAT_CHUNK_BYTES = 65536,
    FORMAT_SEGMENT_BYTES_MIN = 65536,
    FORMAT_SEGMENT_BYTES_MAX = 1 << 30,
    FORMAT_META_BYTES_MAX = 524288
};
#define FORMAT_MAGIC "RINGPLOG"

/* Types of records that the log writes for itself (others: enum log_record_type). */
enum {
    FORMAT_TYPE_DROP = 16, /* meta: the number of the segment that is dead, uint32_t */
    FORMAT_TYPE_END = 17   /* the log was closed in order: everything before it was durable */
};

enum { FORMAT_FLAG_ALIGNED = 1 }; /* the body starts at a multiple of FORMAT_BLOCK_BYTES */

struct format_segment {
    char magic[8]; /* FORMAT_MAGIC; these four members are the same in every version */
    uint32_t version;
    uint32_t header_bytes; /* with the seals, without the zeros */
    uint32_t checksum;     /* CRC-32C of all header_bytes, this member taken as 0 */
    uint32_t shard;
    uint64_t store_id;
    uint32_t number, epoch;
    uint32_t begin; /* offset of the first record */
    uint32_t segment_bytes;
    uint64_t first_sequence; /* of the first record */
    uint32_t seal_count, reserved;
};

struct format_seal {
    uint32_t number, epoch;
    uint32_t begin, valid_bytes;
    uint64_t first_sequence;
};

struct format_record {
    uint32_t magic;
    uint32_t checksum; /* CRC-32C from the identity on: of all that follows up to the meta */
    uint64_t sequence;
    uint32_t offset;  /* its own */
    uint32_t durable; /* everything in this segment below this offset was durable when this was
                         written */
    uint32_t meta_bytes, body_bytes;
    uint32_t meta_checksum;
    uint8_t type, flags;
    uint16_t reserved;
};
_Static_assert(sizeof(struct format_segment) == 64, "format");
_Static_assert(sizeof(struct format_seal) == 24, "format");
_Static_assert(sizeof(struct format_record) == 40, "format");

/* Whose record, and where: what a record's checksum starts from. */
struct format_identity {
    uint64_t store_id;
    uint32_t shard, number, epoch, version;
};

static inline uint32_t format_identity_checksum(const struct format_identity *identity)
{
    return crc32c(0, identity, sizeof *identity);
}

static inline uint32_t format_chunks(uint32_t body_bytes)
{
    return body_bytes / FORMAT_CHUNK_BYTES + (body_bytes % FORMAT_CHUNK_BYTES != 0);
}

/* Bytes from the record's start to its meta. */
static inline uint32_t format_head_bytes(uint32_t body_bytes)
{
    return (uint32_t)sizeof(struct format_record) + 4 * format_chunks(body_bytes);
}

static inline uint64_t format_round(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* Bytes from the record's start to its body. */
static inline uint64_t format_body_offset(const struct format_record *record)
{
    uint64_t at = (uint64_t)format_head_bytes(record->body_bytes) + record->meta_bytes;
    return record->flags & FORMAT_FLAG_ALIGNED ? format_round(at, FORMAT_BLOCK_BYTES) : at;
}

static inline uint64_t format_disk_bytes(const struct format_record *record)
{
    return format_round(format_body_offset(record) + record->body_bytes, FORMAT_BLOCK_BYTES);
}

/* Of a record's head (record and chunk checksums), contiguous in memory. */
static inline uint32_t format_record_checksum(uint32_t identity_checksum, const void *head,
                                              uint32_t head_bytes)
{
    return crc32c(identity_checksum, (const char *)head + 8, head_bytes - 8);
}

/* One header, seals and zeros included. */
static inline uint64_t format_header_bytes(uint32_t seal_count)
{
    return format_round(sizeof(struct format_segment) +
                            (uint64_t)seal_count * sizeof(struct format_seal),
                        FORMAT_HEADER_ALIGN_BYTES);
}

#endif
