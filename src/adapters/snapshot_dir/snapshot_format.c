/* Snapshot files: blocks, then a footer.
 *
 *     block:  0 length u32 (1 .. 1 MiB)    footer:  0 magic "TIDESNP1"   24 content_bytes u64
 *             4 zero u32                            8 version u32        32 hash u64
 *             8 XXH3-64 u64                        12 block_count u32    40 zeros
 *            16 content                            16 position u64       60 CRC-32C
 *
 * All blocks but the last are full. Little endian. */
#include "adapters/snapshot_dir/snapshot_format.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

#define NAME_DIGITS 20
#define CRC_AT      (SNAPSHOT_FOOTER_BYTES - 4)

static const char footer_magic[8] = {'T', 'I', 'D', 'E', 'S', 'N', 'P', '1'};
static const char name_prefix[] = "snap-";
#define PREFIX_LEN (sizeof name_prefix - 1)

uint64_t snapshot_block_hash(struct bytes content, uint64_t position, uint32_t index)
{
    return hash64(content, hash64_mix(position, index));
}

uint64_t snapshot_hash_add(uint64_t hash, uint64_t block_hash)
{
    return hash64_mix(hash + 1, block_hash);
}

void snapshot_header_encode(uint8_t out[SNAPSHOT_HEADER_BYTES], uint32_t len, uint64_t hash)
{
    CHECK(len > 0 && len <= SNAPSHOT_BLOCK_BYTES);
    struct buf buf = buf_of(out, SNAPSHOT_HEADER_BYTES);
    buf_put_u32(&buf, len);
    buf_put_u32(&buf, 0);
    buf_put_u64(&buf, hash);
    CHECK(!buf.overflow && buf.len == SNAPSHOT_HEADER_BYTES);
}

bool snapshot_header_decode(const uint8_t in[SNAPSHOT_HEADER_BYTES], uint32_t *len, uint64_t *hash)
{
    struct reader reader = reader_of(bytes_of(in, SNAPSHOT_HEADER_BYTES));
    *len = read_u32(&reader);
    uint32_t reserved = read_u32(&reader);
    *hash = read_u64(&reader);
    return *len > 0 && *len <= SNAPSHOT_BLOCK_BYTES && reserved == 0;
}

void snapshot_footer_encode(uint8_t out[SNAPSHOT_FOOTER_BYTES],
                            const struct snapshot_footer *footer)
{
    memset(out, 0, SNAPSHOT_FOOTER_BYTES);
    struct buf buf = buf_of(out, CRC_AT);
    buf_put(&buf, footer_magic, sizeof footer_magic);
    buf_put_u32(&buf, footer->version);
    buf_put_u32(&buf, footer->block_count);
    buf_put_u64(&buf, footer->position);
    buf_put_u64(&buf, footer->content_bytes);
    buf_put_u64(&buf, footer->hash);
    CHECK(!buf.overflow);
    struct buf crc = buf_of(out + CRC_AT, 4);
    buf_put_u32(&crc, crc32c(0, bytes_of(out, CRC_AT)));
}

bool snapshot_footer_decode(const uint8_t in[SNAPSHOT_FOOTER_BYTES], struct snapshot_footer *footer)
{
    static const uint8_t zeros[SNAPSHOT_FOOTER_BYTES];
    struct reader reader = reader_of(bytes_of(in, SNAPSHOT_FOOTER_BYTES));
    struct bytes magic = read_bytes(&reader, sizeof footer_magic);
    footer->version = read_u32(&reader);
    footer->block_count = read_u32(&reader);
    footer->position = read_u64(&reader);
    footer->content_bytes = read_u64(&reader);
    footer->hash = read_u64(&reader);
    struct bytes reserved = read_bytes(&reader, (size_t)(in + CRC_AT - reader.at));
    uint32_t crc = read_u32(&reader);
    CHECK(!reader.bad);
    if (!bytes_equal(magic, bytes_of(footer_magic, sizeof footer_magic)) ||
        crc != crc32c(0, bytes_of(in, CRC_AT))) {
        footer->version = 0;
        return false;
    }
    return footer->version == SNAPSHOT_VERSION &&
           bytes_equal(reserved, bytes_of(zeros, reserved.len));
}

void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t position)
{
    memcpy(name, name_prefix, PREFIX_LEN);
    memset(name + PREFIX_LEN, '0', NAME_DIGITS);
    name[PREFIX_LEN + NAME_DIGITS] = '\0';
    for (size_t i = PREFIX_LEN + NAME_DIGITS; position != 0; position /= 10) {
        name[--i] = (char)('0' + position % 10);
    }
}

bool snapshot_parse_name(const char *name, uint64_t *position)
{
    struct bytes text = bytes_of_string(name);
    return text.len == PREFIX_LEN + NAME_DIGITS && memcmp(name, name_prefix, PREFIX_LEN) == 0 &&
           u64_parse(bytes_of(name + PREFIX_LEN, NAME_DIGITS), position);
}
