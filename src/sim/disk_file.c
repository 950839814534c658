/* The content of a simulated file.
 *
 *     put ──► cache, dirty ──sync──► medium           power cut: each write, each sector of it,
 *     resize ──► cache_bytes, cut_bytes ──sync──►     kept or not; then cache = medium
 *                                    medium_bytes
 *
 *  1. A sector that is not dirty is the same in cache and medium, as far as both sizes and the cut
 *     reach; but where a failed sync left the file astray.
 *  2. Beyond its size, cache and medium hold zeros. So what a file is made longer by is zeros.
 *  3. A dirty sector lies in one of `writes`. The newest that holds it decides what becomes of it.
 *  4. A file that was made shorter and longer again never shows what had been cut off: of the
 *     medium only the bytes below cut_bytes stand once its size is durable. Where a power cut undoes
 *     the sizes, it undoes what was written beyond the cut, too: one came after the other.
 *  5. Of a sector written twice, the first version is not kept: a power cut leaves the durable one
 *     or the newest.
 *  6. A damaged sector's pristine twin is changed by whatever changes the sector, but by damage. */
#include "sim/disk_file.h"

#include "sim/disk_memory.h"

#define WRITES_MAX  256 /* remembered apart; more are taken for one with the last */
#define ROOM_FIRST  ((uint64_t)4096)
#define SECTOR_BITS 64

static bool bit_get(const uint64_t *bits, uint64_t at)
{
    return (bits[at / SECTOR_BITS] >> (at % SECTOR_BITS) & 1) != 0;
}

static void bit_set(uint64_t *bits, uint64_t at, bool to)
{
    uint64_t bit = (uint64_t)1 << (at % SECTOR_BITS);
    bits[at / SECTOR_BITS] = to ? bits[at / SECTOR_BITS] | bit : bits[at / SECTOR_BITS] & ~bit;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t sectors_of(uint64_t bytes)
{
    return (bytes + SIM_SECTOR - 1) / SIM_SECTOR;
}

static size_t bitmap_bytes(uint64_t room_bytes)
{
    return (size_t)((sectors_of(room_bytes) + SECTOR_BITS - 1) / SECTOR_BITS * sizeof(uint64_t));
}

void sim_file_init(struct sim_file *file)
{
    *file = (struct sim_file){.cut_bytes = UINT64_MAX};
}

void sim_file_free(struct sim_file *file)
{
    free(file->cache);
    free(file->medium);
    free(file->dirty);
    free(file->cache_data);
    free(file->medium_data);
    free(file->writes);
    free(file->damages);
    sim_file_init(file);
}

void sim_file_copy(struct sim_file *to, const struct sim_file *from)
{
    size_t bits = bitmap_bytes(from->room_bytes);
    *to = *from;
    to->cache = sim_copy_of(from->cache, (size_t)from->room_bytes);
    to->medium = sim_copy_of(from->medium, (size_t)from->room_bytes);
    to->dirty = sim_copy_of(from->dirty, bits);
    to->cache_data = sim_copy_of(from->cache_data, bits);
    to->medium_data = sim_copy_of(from->medium_data, bits);
    to->writes =
        sim_copy_of(from->writes, from->writes == NULL ? 0 : WRITES_MAX * sizeof(*to->writes));
    to->damages = sim_copy_of(from->damages, from->damage_capacity * sizeof(*to->damages));
}

static void make_room(struct sim_file *file, uint64_t bytes)
{
    CHECK(bytes <= SIM_FILE_BYTES_MAX);
    if (bytes <= file->room_bytes) {
        return;
    }
    uint64_t room = max_u64(file->room_bytes, ROOM_FIRST);
    while (room < bytes) {
        room *= 2;
    }
    size_t bits_before = bitmap_bytes(file->room_bytes);
    size_t bits = bitmap_bytes(room);
    file->cache = sim_longer(file->cache, (size_t)file->room_bytes, (size_t)room);
    file->medium = sim_longer(file->medium, (size_t)file->room_bytes, (size_t)room);
    file->dirty = sim_longer(file->dirty, bits_before, bits);
    file->cache_data = sim_longer(file->cache_data, bits_before, bits);
    file->medium_data = sim_longer(file->medium_data, bits_before, bits);
    file->room_bytes = room;
}

/* How much of the medium stands once the sizes are durable. */
static uint64_t standing_bytes(const struct sim_file *file)
{
    return min_u64(file->medium_bytes, file->cut_bytes);
}

bool sim_file_unsynced(const struct sim_file *file)
{
    return file->write_count > 0 || file->cache_bytes != file->medium_bytes ||
           file->cut_bytes < file->medium_bytes;
}

/* --- pristine twins --- */

static struct sim_damage *find_damage(const struct sim_file *file, uint64_t sector)
{
    for (uint32_t n = 0; n < file->damage_count; n++) {
        if (file->damages[n].sector == sector) {
            return &file->damages[n];
        }
    }
    return NULL;
}

/* Bytes of the twins, in the cache or on the medium, become these; NULL: zeros. */
static void
patch_twins(struct sim_file *file, bool medium, uint64_t offset, const uint8_t *data, uint64_t len)
{
    for (uint32_t n = 0; n < file->damage_count; n++) {
        uint64_t start = (uint64_t)file->damages[n].sector * SIM_SECTOR;
        uint64_t from = max_u64(start, offset);
        uint64_t end = min_u64(start + SIM_SECTOR, offset + len);
        if (from >= end) {
            continue;
        }
        uint8_t *twin = medium ? file->damages[n].medium : file->damages[n].cache;
        if (data == NULL) {
            memset(twin + (from - start), 0, (size_t)(end - from));
        } else {
            memcpy(twin + (from - start), data + (from - offset), (size_t)(end - from));
        }
    }
}

/* Forgets a twin that has become the same as its sector. */
static void settle_twin(struct sim_file *file, struct sim_damage *damage)
{
    size_t at = (size_t)damage->sector * SIM_SECTOR;
    if (memcmp(file->medium + at, damage->medium, SIM_SECTOR) == 0 &&
        memcmp(file->cache + at, damage->cache, SIM_SECTOR) == 0) {
        *damage = file->damages[--file->damage_count];
    }
}

static struct sim_damage *twin_of(struct sim_file *file, uint64_t sector)
{
    struct sim_damage *damage = find_damage(file, sector);
    if (damage != NULL) {
        return damage;
    }
    if (file->damage_count == file->damage_capacity) {
        uint32_t capacity = file->damage_capacity == 0 ? 8 : 2 * file->damage_capacity;
        file->damages = sim_longer(file->damages,
                                   file->damage_capacity * sizeof(*file->damages),
                                   capacity * sizeof(*file->damages));
        file->damage_capacity = capacity;
    }
    damage = &file->damages[file->damage_count++];
    damage->sector = (uint32_t)sector;
    memcpy(damage->medium, file->medium + sector * SIM_SECTOR, SIM_SECTOR);
    memcpy(damage->cache, file->cache + sector * SIM_SECTOR, SIM_SECTOR);
    return damage;
}

/* --- one sector --- */

/* Cache to medium. */
static void keep_sector(struct sim_file *file, uint64_t sector)
{
    size_t at = (size_t)sector * SIM_SECTOR;
    memcpy(file->medium + at, file->cache + at, SIM_SECTOR);
    bit_set(file->dirty, sector, false);
    bit_set(file->medium_data, sector, bit_get(file->cache_data, sector));
    struct sim_damage *damage = file->damage_count > 0 ? find_damage(file, sector) : NULL;
    if (damage != NULL) {
        memcpy(damage->medium, damage->cache, SIM_SECTOR);
        settle_twin(file, damage);
    }
}

/* Medium, as far as it stands, to cache. */
static void drop_sector(struct sim_file *file, uint64_t sector)
{
    uint64_t at = sector * SIM_SECTOR;
    uint64_t standing = standing_bytes(file);
    size_t stands = standing <= at ? 0 : (size_t)min_u64(standing - at, SIM_SECTOR);
    memcpy(file->cache + at, file->medium + at, stands);
    memset(file->cache + at + stands, 0, SIM_SECTOR - stands);
    bit_set(file->dirty, sector, false);
    bit_set(file->cache_data, sector, stands > 0 && bit_get(file->medium_data, sector));
    struct sim_damage *damage = file->damage_count > 0 ? find_damage(file, sector) : NULL;
    if (damage != NULL) {
        memcpy(damage->cache, damage->medium, stands);
        memset(damage->cache + stands, 0, SIM_SECTOR - stands);
        settle_twin(file, damage);
    }
}

/* --- writing and reading --- */

static void zero_cache(struct sim_file *file, uint64_t from, uint64_t end)
{
    if (from < end) {
        memset(file->cache + from, 0, (size_t)(end - from));
        patch_twins(file, false, from, NULL, end - from);
    }
}

static void zero_medium(struct sim_file *file, uint64_t from, uint64_t end)
{
    if (from < end) {
        memset(file->medium + from, 0, (size_t)(end - from));
        patch_twins(file, true, from, NULL, end - from);
    }
}

void sim_file_put(struct sim_file *file, uint64_t offset, struct bytes bytes)
{
    if (bytes.len == 0) {
        return;
    }
    CHECK(offset <= SIM_FILE_BYTES_MAX);
    CHECK(bytes.len <= SIM_FILE_BYTES_MAX - offset);
    uint64_t end = offset + bytes.len;
    make_room(file, end);
    memcpy(file->cache + offset, bytes.data, bytes.len);
    patch_twins(file, false, offset, bytes.data, bytes.len);
    file->cache_bytes = max_u64(file->cache_bytes, end);
    for (uint64_t sector = offset / SIM_SECTOR; sector < sectors_of(end); sector++) {
        bit_set(file->dirty, sector, true);
        bit_set(file->cache_data, sector, true);
    }
}

void sim_file_wrote(struct sim_file *file, uint64_t offset, uint64_t len)
{
    if (len == 0) {
        return;
    }
    struct sim_write write = {.first = (uint32_t)(offset / SIM_SECTOR),
                              .end = (uint32_t)sectors_of(offset + len)};
    if (file->writes == NULL) {
        file->writes = malloc(WRITES_MAX * sizeof(*file->writes));
        CHECK(file->writes != NULL);
    }
    if (file->write_count < WRITES_MAX) {
        file->writes[file->write_count++] = write;
        return;
    }
    struct sim_write *last = &file->writes[WRITES_MAX - 1];
    last->first = write.first < last->first ? write.first : last->first;
    last->end = write.end > last->end ? write.end : last->end;
}

void sim_file_resize(struct sim_file *file, uint64_t size)
{
    make_room(file, size);
    if (size < file->cache_bytes) {
        zero_cache(file, size, file->cache_bytes);
        for (uint64_t sector = sectors_of(size); sector < sectors_of(file->cache_bytes); sector++) {
            bit_set(file->dirty, sector, false);
            bit_set(file->cache_data, sector, false);
        }
        file->cut_bytes = min_u64(file->cut_bytes, size);
    }
    file->cache_bytes = size;
}

/* A part of one sector as the medium will have it when the sizes are durable. */
static void read_medium(const struct sim_file *file, uint64_t offset, uint8_t *into, uint64_t part)
{
    uint64_t standing = standing_bytes(file);
    uint64_t stands = standing <= offset ? 0 : min_u64(standing - offset, part);
    memcpy(into, file->medium + offset, (size_t)stands);
    memset(into + stands, 0, (size_t)(part - stands));
}

uint64_t sim_file_read(
    const struct sim_file *file, uint64_t offset, uint8_t *into, uint64_t len, bool from_medium)
{
    if (offset >= file->cache_bytes) {
        return 0;
    }
    uint64_t count = min_u64(len, file->cache_bytes - offset);
    if (!from_medium || !file->astray) {
        memcpy(into, file->cache + offset, (size_t)count);
        return count;
    }
    for (uint64_t done = 0; done < count;) {
        uint64_t at = offset + done;
        uint64_t part = min_u64(SIM_SECTOR - at % SIM_SECTOR, count - done);
        if (bit_get(file->dirty, at / SIM_SECTOR)) {
            memcpy(into + done, file->cache + at, (size_t)part);
        } else {
            read_medium(file, at, into + done, part);
        }
        done += part;
    }
    return count;
}

int64_t sim_file_next_data(const struct sim_file *file, uint64_t offset)
{
    uint64_t end = sectors_of(file->cache_bytes);
    uint64_t sector = offset / SIM_SECTOR;
    while (offset < file->cache_bytes && sector < end) {
        uint64_t word = file->cache_data[sector / SECTOR_BITS] >> (sector % SECTOR_BITS);
        if (word != 0) {
            sector += (uint64_t)__builtin_ctzll(word);
            return (int64_t)max_u64(offset, sector * SIM_SECTOR);
        }
        sector = (sector / SECTOR_BITS + 1) * SECTOR_BITS;
    }
    return -1;
}

/* --- becoming durable --- */

/* The size becomes durable, and with it what was cut off. */
static void sync_size(struct sim_file *file)
{
    uint64_t standing = standing_bytes(file);
    zero_medium(file, standing, file->medium_bytes);
    for (uint64_t n = sectors_of(standing); n < sectors_of(file->medium_bytes); n++) {
        bit_set(file->medium_data, n, false);
    }
    file->medium_bytes = file->cache_bytes;
    file->cut_bytes = UINT64_MAX;
}

static void sync_sectors(struct sim_file *file, struct sim_write range)
{
    for (uint64_t sector = range.first; sector < range.end; sector++) {
        if (bit_get(file->dirty, sector)) {
            keep_sector(file, sector);
        }
    }
}

void sim_file_sync(struct sim_file *file)
{
    sync_size(file);
    for (uint32_t n = 0; n < file->write_count; n++) {
        sync_sectors(file, file->writes[n]);
    }
    file->write_count = 0;
}

void sim_file_sync_write(struct sim_file *file, uint64_t offset, uint64_t len)
{
    CHECK(offset % SIM_SECTOR == 0);
    CHECK(len % SIM_SECTOR == 0);
    if (offset + len > standing_bytes(file)) {
        sync_size(file);
    }
    struct sim_write range = {.first = (uint32_t)(offset / SIM_SECTOR),
                              .end = (uint32_t)sectors_of(offset + len)};
    sync_sectors(file, range);
    while (file->write_count > 0 && file->writes[file->write_count - 1].first >= range.first &&
           file->writes[file->write_count - 1].end <= range.end) {
        file->write_count--;
    }
}

void sim_file_drop(struct sim_file *file)
{
    for (uint32_t n = 0; n < file->write_count; n++) {
        for (uint64_t sector = file->writes[n].first; sector < file->writes[n].end; sector++) {
            if (bit_get(file->dirty, sector)) {
                drop_sector(file, sector);
            }
        }
    }
    file->write_count = 0;
}

void sim_file_forget(struct sim_file *file)
{
    file->astray = file->astray || file->write_count > 0;
    file->write_count = 0;
    if (file->room_bytes > 0) {
        memset(file->dirty, 0, bitmap_bytes(file->room_bytes));
    }
}

/* --- the power cut --- */

enum tear { TEAR_KEEPS_FRONT, TEAR_KEEPS_BACK, TEAR_KEEPS_ANY, TEARS };

struct fate {
    bool lost;
    bool torn;
    enum tear tear;
    uint32_t border; /* in dirty sectors */
};

static uint32_t dirty_count(const struct sim_file *file, struct sim_write write)
{
    uint32_t count = 0;
    for (uint64_t sector = write.first; sector < write.end; sector++) {
        count += bit_get(file->dirty, sector) ? 1 : 0;
    }
    return count;
}

static struct fate draw_fate(struct sim_luck *luck, uint32_t dirty)
{
    struct fate fate = {.lost = luck_strikes(luck, CHOICE_CRASH, FAULT_LOST_WRITE)};
    fate.torn = !fate.lost && dirty > 1 && luck_strikes(luck, CHOICE_CRASH, FAULT_TORN_WRITE);
    if (fate.torn) {
        fate.tear = (enum tear)choose(luck->choice, CHOICE_CRASH, TEARS);
        fate.border = 1 + choose(luck->choice, CHOICE_CRASH, dirty - 1);
    }
    return fate;
}

static bool sector_is_kept(struct sim_luck *luck, const struct fate *fate, uint32_t number)
{
    if (fate->lost || !fate->torn) {
        return !fate->lost;
    }
    switch (fate->tear) {
    case TEAR_KEEPS_FRONT:
        return number < fate->border;
    case TEAR_KEEPS_BACK:
        return number >= fate->border;
    case TEAR_KEEPS_ANY:
        return choose(luck->choice, CHOICE_CRASH, 2) == 0;
    case TEARS:
        break;
    }
    UNREACHABLE("a tear that is none");
}

enum garbage { GARBAGE_HALF, GARBAGE_ONES, GARBAGE_NOISE, GARBAGES };

enum remains { REMAINS_NEW, REMAINS_OLD, REMAINS_GARBAGE };

/* Garbage into the cache's sector; says what it came to be. */
static enum remains make_garbage(struct sim_file *file, uint64_t sector, struct sim_luck *luck)
{
    uint64_t at = sector * SIM_SECTOR;
    uint8_t *cache = file->cache + at;
    const uint8_t *medium = file->medium + at;
    uint8_t written[SIM_SECTOR];
    memcpy(written, cache, SIM_SECTOR);
    uint32_t kind = choose(luck->choice, CHOICE_CRASH, GARBAGES);
    uint32_t seed = choose(luck->choice, CHOICE_CRASH, 1U << 16);
    if (kind == GARBAGE_HALF) {
        size_t border = 1 + seed % (SIM_SECTOR - 1);
        memcpy(cache + border, medium + border, SIM_SECTOR - border);
    } else if (kind == GARBAGE_ONES) {
        memset(cache, 0xff, SIM_SECTOR);
    } else {
        for (size_t n = 0; n < SIM_SECTOR; n++) {
            seed = seed * 1664525U + 1013904223U;
            cache[n] = (uint8_t)(seed >> 24);
        }
    }
    zero_cache(file, min_u64(max_u64(at, file->cache_bytes), at + SIM_SECTOR), at + SIM_SECTOR);
    patch_twins(file, false, at, cache, SIM_SECTOR);
    if (memcmp(cache, written, SIM_SECTOR) == 0) {
        return REMAINS_NEW;
    }
    return memcmp(cache, medium, SIM_SECTOR) == 0 ? REMAINS_OLD : REMAINS_GARBAGE;
}

/* What remains of a dirty sector; it is the same in cache and medium then. */
static enum remains
decide_sector(struct sim_file *file, uint64_t sector, bool keep, struct sim_luck *luck)
{
    enum remains remains = keep ? REMAINS_NEW : REMAINS_OLD;
    if (luck_strikes(luck, CHOICE_CRASH, FAULT_GARBAGE)) {
        remains = make_garbage(file, sector, luck);
    }
    if (remains == REMAINS_OLD) {
        drop_sector(file, sector);
    } else {
        keep_sector(file, sector);
    }
    return remains;
}

static void decide_write(struct sim_file *file, struct sim_write write, struct sim_luck *luck)
{
    uint32_t dirty = dirty_count(file, write);
    if (dirty == 0) {
        return;
    }
    struct fate fate = draw_fate(luck, dirty);
    uint32_t number = 0;
    uint32_t changed[REMAINS_GARBAGE + 1] = {0}; /* sectors whose old and new content differ */
    for (uint64_t sector = write.first; sector < write.end; sector++) {
        if (!bit_get(file->dirty, sector)) {
            continue;
        }
        size_t at = (size_t)sector * SIM_SECTOR;
        bool differs = memcmp(file->cache + at, file->medium + at, SIM_SECTOR) != 0;
        bool keep = sector_is_kept(luck, &fate, number++);
        enum remains remains = decide_sector(file, sector, keep, luck);
        changed[remains] += differs || remains == REMAINS_GARBAGE ? 1 : 0;
    }
    luck->counts[FAULT_GARBAGE] += changed[REMAINS_GARBAGE];
    if (changed[REMAINS_OLD] > 0) {
        luck_count(luck, changed[REMAINS_NEW] > 0 ? FAULT_TORN_WRITE : FAULT_LOST_WRITE);
    }
}

/* The old size stands again, and nothing beyond the cut was written. */
static void undo_size(struct sim_file *file, struct sim_luck *luck)
{
    uint64_t standing = standing_bytes(file);
    uint64_t first = standing / SIM_SECTOR;
    uint64_t start = first * SIM_SECTOR;
    uint64_t end = max_u64(file->medium_bytes, file->cache_bytes);
    bool apart = file->cache_bytes != file->medium_bytes ||
                 memcmp(file->cache + start, file->medium + start, (size_t)(end - start)) != 0;
    file->cut_bytes = UINT64_MAX;
    for (uint64_t n = first; n < sectors_of(end); n++) {
        drop_sector(file, n);
    }
    zero_cache(file, file->medium_bytes, end);
    file->cache_bytes = file->medium_bytes;
    luck->counts[FAULT_LOST_SIZE] += apart ? 1 : 0;
}

void sim_file_power_cut(struct sim_file *file, struct sim_luck *luck)
{
    bool resized = file->cache_bytes != file->medium_bytes || file->cut_bytes < file->medium_bytes;
    if (resized && luck_strikes(luck, CHOICE_CRASH, FAULT_LOST_SIZE)) {
        undo_size(file, luck);
    } else {
        sync_size(file);
    }
    while (file->write_count > 0) {
        file->write_count--;
        decide_write(file, file->writes[file->write_count], luck);
    }
    if (file->astray) {
        for (uint64_t n = 0; n < sectors_of(file->cache_bytes); n++) {
            drop_sector(file, n);
        }
        file->astray = false;
    }
}

/* --- damage --- */

bool sim_file_damage(struct sim_file *file, uint64_t offset, struct bytes bytes)
{
    uint64_t end = standing_bytes(file);
    uint64_t len = offset >= end ? 0 : min_u64(bytes.len, end - offset);
    bool changed = false;
    for (uint64_t done = 0; done < len;) {
        uint64_t at = offset + done;
        uint64_t sector = at / SIM_SECTOR;
        size_t part = (size_t)min_u64(SIM_SECTOR - at % SIM_SECTOR, len - done);
        struct sim_damage *damage = twin_of(file, sector);
        changed = changed || memcmp(file->medium + at, bytes.data + done, part) != 0;
        memcpy(file->medium + at, bytes.data + done, part);
        memcpy(file->cache + at, bytes.data + done, part);
        bit_set(file->medium_data, sector, true);
        bit_set(file->cache_data, sector, true);
        settle_twin(file, damage);
        done += part;
    }
    return changed;
}

void sim_file_restore(struct sim_file *file)
{
    for (uint32_t n = 0; n < file->damage_count; n++) {
        size_t at = (size_t)file->damages[n].sector * SIM_SECTOR;
        memcpy(file->medium + at, file->damages[n].medium, SIM_SECTOR);
        memcpy(file->cache + at, file->damages[n].cache, SIM_SECTOR);
    }
    file->damage_count = 0;
}

/* --- what must hold --- */

static bool is_in_a_write(const struct sim_file *file, uint64_t sector)
{
    for (uint32_t n = 0; n < file->write_count; n++) {
        if (sector >= file->writes[n].first && sector < file->writes[n].end) {
            return true;
        }
    }
    return false;
}

static bool all_zero(const uint8_t *data, uint64_t from, uint64_t end)
{
    uint8_t any = 0;
    for (uint64_t n = from; n < end; n++) {
        any |= data[n];
    }
    return any == 0;
}

void sim_file_validate(const struct sim_file *file)
{
    CHECK(file->cache_bytes <= file->room_bytes);
    CHECK(file->medium_bytes <= file->room_bytes);
    CHECK(standing_bytes(file) <= file->cache_bytes);
    CHECK(file->write_count <= WRITES_MAX);
    CHECK(all_zero(file->cache, file->cache_bytes, file->room_bytes));
    CHECK(all_zero(file->medium, file->medium_bytes, file->room_bytes));
    uint64_t standing = standing_bytes(file);
    for (uint64_t n = 0; n < sectors_of(file->room_bytes); n++) {
        uint64_t at = n * SIM_SECTOR;
        uint64_t same = standing <= at ? 0 : min_u64(standing - at, SIM_SECTOR);
        if (bit_get(file->dirty, n)) {
            CHECK(is_in_a_write(file, n));
        } else if (!file->astray) {
            CHECK(memcmp(file->cache + at, file->medium + at, (size_t)same) == 0);
            CHECK(all_zero(file->cache, at + same, at + SIM_SECTOR));
        }
        CHECK(bit_get(file->cache_data, n) || all_zero(file->cache, at, at + SIM_SECTOR));
        CHECK(bit_get(file->medium_data, n) || all_zero(file->medium, at, at + SIM_SECTOR));
    }
}
