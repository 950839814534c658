/* The simulated disk's operations, as the product sees them (ports/disk.h).
 *
 *     operation ──► draws ──► moment(before) ──► cache ──► wait ──► medium ──► moment(after)
 *
 *  1. What was drawn to fail fails before it changes anything; only a write error may leave a
 *     part of the write behind.
 *  2. A hook may not return: whoever calls one holds no memory of his own, and afterwards looks
 *     his node up again.
 *  3. A direct write is in the cache before moment(before): a power cut at that moment leaves any
 *     part of it, a process that dies then has written all of it, and none of it durably.
 *  4. Only what changes the disk has moments: reading, listing and closing have none. */
#include "sim/disk_memory.h"
#include "sim/disk_state.h"

#include <errno.h>
#include <limits.h>

#define BLOCK_BYTES       4096
#define SLOW_LEAST_US     100000
#define SLOW_MOST_US      30000000
#define PAUSE_US          1000 /* before EAGAIN, so that nobody spins */
#define RANDOM_ONCE_BYTES 8

static bool fails(int error)
{
    errno = error;
    return false;
}

static struct sim_disk *disk_of(void *ctx)
{
    return ctx;
}

static void moment(struct sim_disk *disk, const char *kind, const char *file, bool after)
{
    if (disk->hooks.moment != NULL) {
        disk->hooks.moment(disk->hooks.ctx, kind, file, after);
    }
}

static void node_moment(struct sim_disk *disk, const char *kind, uint32_t node, bool after)
{
    if (disk->hooks.moment != NULL) {
        char name[SIM_NAME_BYTES];
        memcpy(name, disk->nodes[node].name, SIM_NAME_BYTES);
        disk->hooks.moment(disk->hooks.ctx, kind, name, after);
    }
}

/* Lets the time pass that a write or sync takes. */
static void spend_time(struct sim_disk *disk)
{
    const struct sim_disk_weather *weather = &disk->luck.weather;
    int64_t us = 0;
    if (weather->latency_us > 0) {
        us = choose(disk->luck.choice, CHOICE_DISK, weather->latency_us) + 1;
    }
    if (luck_strikes(&disk->luck, CHOICE_DISK, FAULT_SLOW)) {
        us = choose_magnitude(disk->luck.choice, CHOICE_DISK, SLOW_LEAST_US, SLOW_MOST_US);
        luck_count(&disk->luck, FAULT_SLOW);
    }
    if (us > 0 && disk->hooks.wait != NULL) {
        disk->hooks.wait(disk->hooks.ctx, us);
    }
}

/* A fault that needs nothing but to strike. */
static bool strikes(struct sim_disk *disk, enum disk_fault fault)
{
    bool now = luck_strikes(&disk->luck, CHOICE_DISK, fault);
    disk->luck.counts[fault] += now ? 1 : 0;
    return now;
}

static bool is_interrupted(struct sim_disk *disk)
{
    if (!strikes(disk, FAULT_INTERRUPTED)) {
        return false;
    }
    if (choose(disk->luck.choice, CHOICE_DISK, 2) == 0) {
        errno = EINTR;
        return true;
    }
    if (disk->hooks.wait != NULL) {
        disk->hooks.wait(disk->hooks.ctx, PAUSE_US);
    }
    errno = EAGAIN;
    return true;
}

/* --- handles --- */

static const struct sim_handle *handle_of(const struct sim_disk *disk, int file)
{
    bool is_open = file >= 0 && file < SIM_HANDLES_MAX && disk->handles[file].open;
    if (!is_open) {
        errno = EBADF;
        return NULL;
    }
    return &disk->handles[file];
}

/* The handle of a file; of a file to be written, with `writing`. */
static const struct sim_handle *file_handle(const struct sim_disk *disk, int file, bool writing)
{
    const struct sim_handle *handle = handle_of(disk, file);
    if (handle != NULL && disk->nodes[handle->node].is_folder) {
        errno = EISDIR;
        return NULL;
    }
    if (handle != NULL && writing && (handle->mode & DISK_WRITE) == 0) {
        errno = EBADF;
        return NULL;
    }
    return handle;
}

/* The directory's node, for the name to be looked up in it; -1 with errno. */
static int64_t folder_at(const struct sim_disk *disk, int at, const char *name)
{
    const struct sim_handle *handle = handle_of(disk, at);
    if (handle == NULL) {
        return -1;
    }
    errno = 0;
    if (!disk->nodes[handle->node].is_folder) {
        errno = ENOTDIR;
    } else if (name[0] == '\0') {
        errno = ENOENT;
    } else if (text_len(name) >= SIM_NAME_BYTES) {
        errno = ENAMETOOLONG;
    } else if (strchr(name, '/') != NULL || strcmp(name, "..") == 0 || strcmp(name, ".") == 0) {
        errno = EINVAL;
    }
    return errno == 0 ? (int64_t)handle->node : -1;
}

static int new_handle(struct sim_disk *disk, uint32_t node, unsigned int mode)
{
    for (int n = 0; n < SIM_HANDLES_MAX; n++) {
        if (!disk->handles[n].open) {
            disk->handles[n] = (struct sim_handle){.open = true, .mode = mode, .node = node};
            return n;
        }
    }
    errno = EMFILE;
    return -1;
}

static bool has_free_handle(const struct sim_disk *disk)
{
    for (int n = 0; n < SIM_HANDLES_MAX; n++) {
        if (!disk->handles[n].open) {
            return true;
        }
    }
    return false;
}

static void touch(struct sim_disk *disk, uint32_t node)
{
    disk->nodes[node].written_us = disk->hooks.wall_us(disk->hooks.ctx);
}

/* Whether a node can be opened so; else errno. */
static bool may_open(const struct sim_disk *disk, const struct sim_name *found, unsigned int mode)
{
    if (found == NULL) {
        return (mode & DISK_CREATE) != 0 || fails(ENOENT);
    }
    bool is_folder = disk->nodes[found->node].is_folder;
    if (is_folder != ((mode & DISK_FOLDER) != 0)) {
        return fails(is_folder ? EISDIR : ENOTDIR);
    }
    return true;
}

/* Makes the file, or empties it; its node. */
static uint32_t create_file(struct sim_disk *disk, uint32_t folder, const char *name)
{
    moment(disk, "create", name, false);
    const struct sim_name *found = sim_names_find(&disk->nodes[folder].folder.cache, name);
    uint32_t node = 0;
    if (found != NULL) {
        node = found->node;
        sim_file_resize(&disk->nodes[node].file, 0);
        touch(disk, node);
    } else {
        node = sim_disk_new_node(disk, false, name);
        sim_folder_make(&disk->nodes[folder].folder, name, node);
    }
    return node;
}

static int file_open(void *ctx, int at, const char *name, unsigned int mode)
{
    struct sim_disk *disk = disk_of(ctx);
    CHECK((mode & DISK_CREATE) == 0 || (mode & DISK_WRITE) != 0);
    CHECK((mode & DISK_FOLDER) == 0 || (mode & (DISK_WRITE | DISK_DIRECT)) == 0);
    int64_t folder = folder_at(disk, at, name);
    if (folder < 0) {
        return -1;
    }
    const struct sim_names *names = &disk->nodes[folder].folder.cache;
    const struct sim_name *found = sim_names_find(names, name);
    if (!may_open(disk, found, mode)) {
        return -1;
    }
    if ((mode & DISK_DIRECT) != 0 && disk->luck.weather.no_direct) {
        errno = EINVAL;
        return -1;
    }
    bool makes = found == NULL;
    if (makes && names->count == SIM_NAMES_MAX) {
        errno = ENOSPC;
        return -1;
    }
    if (!has_free_handle(disk)) {
        errno = EMFILE;
        return -1;
    }
    if ((mode & DISK_CREATE) == 0) {
        return new_handle(disk, found->node, mode);
    }
    uint32_t node = create_file(disk, (uint32_t)folder, name);
    int handle = new_handle(disk, node, mode);
    node_moment(disk, "create", node, true);
    return handle;
}

static void file_close(void *ctx, int file)
{
    struct sim_disk *disk = disk_of(ctx);
    CHECK(handle_of(disk, file) != NULL);
    CHECK(file != SIM_ROOT);
    disk->handles[file].open = false;
    sim_disk_collect_garbage(disk);
}

/* --- content --- */

static ssize_t file_read(void *ctx, int file, void *into, size_t len, uint64_t offset)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = file_handle(disk, file, false);
    if (handle == NULL || is_interrupted(disk)) {
        return -1;
    }
    if (strikes(disk, FAULT_READ_ERROR)) {
        errno = EIO;
        return -1;
    }
    const struct sim_file *content = &disk->nodes[handle->node].file;
    uint64_t left = offset < content->cache_bytes ? content->cache_bytes - offset : 0;
    uint64_t count = len < left ? len : left;
    count = count < INT_MAX ? count : INT_MAX;
    if (count > 1 && strikes(disk, FAULT_SHORT_READ)) {
        count = 1 + choose(disk->luck.choice, CHOICE_DISK, (uint32_t)count - 1);
    }
    bool from_medium = (handle->mode & (DISK_UNCACHED | DISK_DIRECT)) != 0;
    return (ssize_t)sim_file_read(content, offset, into, count, from_medium);
}

/* The bytes of all parts; UINT64_MAX: more than a file may hold, or not laid out for a direct
 * write. */
static uint64_t parts_bytes(const struct iovec *parts, int part_count, uint64_t offset, bool direct)
{
    uint64_t len = 0;
    uint64_t odd = offset;
    for (int n = 0; n < part_count; n++) {
        if (parts[n].iov_len > INT_MAX - len) {
            return UINT64_MAX;
        }
        len += parts[n].iov_len;
        odd |= parts[n].iov_len | (uintptr_t)parts[n].iov_base;
    }
    bool fits = offset <= SIM_FILE_BYTES_MAX && len <= SIM_FILE_BYTES_MAX - offset;
    return fits && (!direct || odd % BLOCK_BYTES == 0) ? len : UINT64_MAX;
}

/* Whether the file can be made `size` bytes long. */
static bool has_space(struct sim_disk *disk, uint32_t node, uint64_t size, bool may_strike)
{
    uint64_t before = disk->nodes[node].file.cache_bytes;
    if (size <= before) {
        return true;
    }
    uint64_t blocks_before = (before + BLOCK_BYTES - 1) / BLOCK_BYTES;
    uint64_t blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    uint64_t used = sim_disk_used_bytes(disk) + (blocks - blocks_before) * BLOCK_BYTES;
    bool full = used > disk->capacity && blocks > blocks_before;
    if (!full && !(may_strike && luck_strikes(&disk->luck, CHOICE_DISK, FAULT_NO_SPACE))) {
        return true;
    }
    luck_count(&disk->luck, FAULT_NO_SPACE);
    return fails(ENOSPC);
}

/* Puts the first `len` bytes of the parts into the cache, as one write. */
static void put_parts(
    struct sim_disk *disk, uint32_t node, const struct iovec *parts, uint64_t len, uint64_t offset)
{
    struct sim_file *file = &disk->nodes[node].file;
    for (uint64_t done = 0; done < len; parts++) {
        uint64_t part = parts->iov_len < len - done ? parts->iov_len : len - done;
        sim_file_put(file, offset + done, bytes_of(parts->iov_base, (size_t)part));
        done += part;
    }
    sim_file_wrote(file, offset, len);
    touch(disk, node);
}

/* A block of what was just written lands in another block of the durable file as well. */
static void misdirect(struct sim_disk *disk, uint32_t node, uint64_t len, uint64_t offset)
{
    struct sim_file *file = &disk->nodes[node].file;
    uint64_t blocks = file->medium_bytes / BLOCK_BYTES;
    if (len < BLOCK_BYTES || offset % BLOCK_BYTES != 0 || blocks == 0 || blocks > UINT32_MAX ||
        !luck_strikes(&disk->luck, CHOICE_DISK, FAULT_MISDIRECTED)) {
        return;
    }
    uint64_t to = choose(disk->luck.choice, CHOICE_DISK, (uint32_t)blocks) * (uint64_t)BLOCK_BYTES;
    if (to + BLOCK_BYTES <= offset || to >= offset + len) {
        uint8_t block[BLOCK_BYTES];
        memcpy(block, file->cache + offset, BLOCK_BYTES);
        bool changed = sim_file_damage(file, to, bytes_of(block, BLOCK_BYTES));
        disk->luck.counts[FAULT_MISDIRECTED] += changed ? 1 : 0;
    }
}

/* How much of a write is done; a direct one does whole blocks. */
static uint64_t drawn_length(struct sim_disk *disk, uint64_t len, bool direct)
{
    uint64_t unit = direct ? BLOCK_BYTES : 1;
    uint64_t units = len / unit;
    if (units > 1 && strikes(disk, FAULT_SHORT_WRITE)) {
        return (1 + choose(disk->luck.choice, CHOICE_DISK, (uint32_t)units - 1)) * unit;
    }
    return len;
}

/* An EIO: of the write's sectors the first few were written, or none. */
static ssize_t break_write(
    struct sim_disk *disk, uint32_t node, const struct iovec *parts, uint64_t len, uint64_t offset)
{
    uint32_t sectors = (uint32_t)(len / SIM_SECTOR);
    uint64_t part = choose(disk->luck.choice, CHOICE_DISK, sectors + 1) * (uint64_t)SIM_SECTOR;
    node_moment(disk, "write", node, false);
    if (part > 0) {
        put_parts(disk, node, parts, part, offset);
    }
    node_moment(disk, "write", node, true);
    errno = EIO;
    return -1;
}

static void write_direct(struct sim_disk *disk, uint32_t node, uint64_t len, uint64_t offset)
{
    node_moment(disk, "write", node, false);
    spend_time(disk);
    if (!strikes(disk, FAULT_LYING_SYNC)) {
        sim_file_sync_write(&disk->nodes[node].file, offset, len);
    }
}

static ssize_t
file_write(void *ctx, int file, const struct iovec *parts, int part_count, uint64_t offset)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = file_handle(disk, file, true);
    if (handle == NULL || is_interrupted(disk)) {
        return -1;
    }
    bool direct = (handle->mode & DISK_DIRECT) != 0;
    uint32_t node = handle->node;
    uint64_t len = parts_bytes(parts, part_count, offset, direct);
    if (len == UINT64_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (len == 0) {
        return 0;
    }
    len = drawn_length(disk, len, direct);
    if (!has_space(disk, node, offset + len, true)) {
        return -1;
    }
    if (strikes(disk, FAULT_WRITE_ERROR)) {
        return break_write(disk, node, parts, len, offset);
    }
    if (!direct) {
        node_moment(disk, "write", node, false);
    }
    put_parts(disk, node, parts, len, offset);
    misdirect(disk, node, len, offset);
    if (direct) {
        write_direct(disk, node, len, offset);
    } else {
        spend_time(disk);
    }
    node_moment(disk, "write", node, true);
    return (ssize_t)len;
}

/* An EIO of a file's sync: the cache keeps what it could not write, shows the medium again, or
 * believes that all was written. */
static void break_sync(struct sim_disk *disk, struct sim_file *file)
{
    uint32_t how = choose(disk->luck.choice, CHOICE_DISK, 4);
    if (how == 0) {
        return;
    }
    if (how == 1) {
        sim_file_forget(file);
    } else {
        sim_file_drop(file);
    }
}

static bool file_sync(void *ctx, int file)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = handle_of(disk, file);
    if (handle == NULL) {
        return false;
    }
    uint32_t number = handle->node;
    node_moment(disk, "sync", number, false);
    spend_time(disk);
    struct sim_node *node = &disk->nodes[number];
    bool unsynced =
        node->is_folder ? node->folder.change_count > 0 : sim_file_unsynced(&node->file);
    bool done = !strikes(disk, FAULT_SYNC_ERROR);
    if (!done) {
        break_sync(disk, &node->file);
    } else if (!unsynced || !strikes(disk, FAULT_LYING_SYNC)) {
        sim_file_sync(&node->file);
        sim_folder_sync(&node->folder);
        disk->has_garbage = disk->has_garbage || node->is_folder;
    }
    sim_disk_collect_garbage(disk);
    node_moment(disk, "sync", number, true);
    return done || fails(EIO);
}

static bool file_resize(void *ctx, int file, uint64_t size, bool reserve)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = file_handle(disk, file, true);
    if (handle == NULL) {
        return false;
    }
    if (size > SIM_FILE_BYTES_MAX) {
        return fails(EFBIG);
    }
    if (reserve && disk->luck.weather.no_reserve) {
        return fails(EOPNOTSUPP);
    }
    uint32_t node = handle->node;
    if (reserve && size <= disk->nodes[node].file.cache_bytes) {
        return true;
    }
    if (!has_space(disk, node, size, reserve)) {
        return false;
    }
    node_moment(disk, "resize", node, false);
    sim_file_resize(&disk->nodes[node].file, size);
    touch(disk, node);
    node_moment(disk, "resize", node, true);
    return true;
}

static int64_t file_next_data(void *ctx, int file, uint64_t offset)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = file_handle(disk, file, false);
    if (handle == NULL) {
        return -1;
    }
    int64_t found = sim_file_next_data(&disk->nodes[handle->node].file, offset);
    if (found < 0) {
        errno = ENXIO;
    }
    return found;
}

/* --- names --- */

static bool folder_make(void *ctx, int at, const char *name)
{
    struct sim_disk *disk = disk_of(ctx);
    int64_t folder = folder_at(disk, at, name);
    if (folder < 0) {
        return false;
    }
    const struct sim_names *names = &disk->nodes[folder].folder.cache;
    if (sim_names_find(names, name) != NULL) {
        return fails(EEXIST);
    }
    if (names->count == SIM_NAMES_MAX) {
        return fails(ENOSPC);
    }
    moment(disk, "make", name, false);
    uint32_t node = sim_disk_new_node(disk, true, name);
    sim_folder_make(&disk->nodes[folder].folder, name, node);
    moment(disk, "make", name, true);
    return true;
}

/* From the last name to the first: a name that is removed while it is told is replaced by one that
 * was told before. */
static bool folder_list(void *ctx, int at, bool (*tell)(void *user, const char *name), void *user)
{
    struct sim_disk *disk = disk_of(ctx);
    const struct sim_handle *handle = handle_of(disk, at);
    if (handle == NULL) {
        return false;
    }
    uint32_t node = handle->node;
    if (!disk->nodes[node].is_folder) {
        return fails(ENOTDIR);
    }
    for (uint32_t left = disk->nodes[node].folder.cache.count; left > 0; left--) {
        const struct sim_names *names = &disk->nodes[node].folder.cache;
        if (left <= names->count) {
            struct sim_name name = names->list[left - 1];
            if (!tell(user, name.text)) {
                break;
            }
        }
    }
    return true;
}

static bool folder_info(void *ctx, int at, const char *name, struct disk_info *info)
{
    struct sim_disk *disk = disk_of(ctx);
    int64_t folder = folder_at(disk, at, name);
    if (folder < 0) {
        return false;
    }
    const struct sim_name *found = sim_names_find(&disk->nodes[folder].folder.cache, name);
    if (found == NULL) {
        return fails(ENOENT);
    }
    const struct sim_node *node = &disk->nodes[found->node];
    *info = (struct disk_info){.bytes = node->file.cache_bytes, .written_us = node->written_us};
    return true;
}

/* Whether a name may be replaced by what `from` names; else errno. */
static bool
may_replace(const struct sim_disk *disk, const struct sim_name *from, const struct sim_name *to)
{
    if (to == NULL || (!disk->nodes[from->node].is_folder && !disk->nodes[to->node].is_folder)) {
        return true;
    }
    return fails(disk->nodes[to->node].is_folder ? EISDIR : ENOTDIR);
}

static bool folder_rename(void *ctx, int at, const char *from, const char *to)
{
    struct sim_disk *disk = disk_of(ctx);
    int64_t folder = folder_at(disk, at, from);
    if (folder < 0 || folder_at(disk, at, to) < 0) {
        return false;
    }
    const struct sim_names *names = &disk->nodes[folder].folder.cache;
    const struct sim_name *found = sim_names_find(names, from);
    if (found == NULL) {
        return fails(ENOENT);
    }
    if (!may_replace(disk, found, sim_names_find(names, to))) {
        return false;
    }
    uint32_t node = found->node;
    if (strcmp(from, to) == 0) {
        return true;
    }
    moment(disk, "rename", from, false);
    sim_folder_move(&disk->nodes[folder].folder, from, to);
    memset(disk->nodes[node].name, 0, SIM_NAME_BYTES);
    memcpy(disk->nodes[node].name, to, text_len(to));
    disk->has_garbage = true;
    moment(disk, "rename", to, true);
    return true;
}

static bool folder_remove(void *ctx, int at, const char *name)
{
    struct sim_disk *disk = disk_of(ctx);
    int64_t folder = folder_at(disk, at, name);
    if (folder < 0) {
        return false;
    }
    const struct sim_name *found = sim_names_find(&disk->nodes[folder].folder.cache, name);
    if (found == NULL) {
        return fails(ENOENT);
    }
    if (disk->nodes[found->node].is_folder) {
        return fails(EISDIR);
    }
    moment(disk, "remove", name, false);
    sim_folder_remove(&disk->nodes[folder].folder, name);
    disk->has_garbage = true;
    moment(disk, "remove", name, true);
    return true;
}

/* --- fate --- */

/* Never the same twice, even where a shortened tape draws nothing but zeros: salts must differ. */
static uint64_t random_word(struct sim_disk *disk)
{
    disk->random_count++;
    uint64_t high = choose(disk->luck.choice, CHOICE_DISK, UINT32_MAX);
    uint64_t x = (high << 32 | (disk->random_count & UINT32_MAX)) * 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93U;
    return x ^ (x >> 32);
}

static void fate_random(void *ctx, void *into, size_t len)
{
    struct sim_disk *disk = disk_of(ctx);
    for (size_t done = 0; done < len;) {
        uint64_t word = random_word(disk);
        size_t part = len - done < RANDOM_ONCE_BYTES ? len - done : RANDOM_ONCE_BYTES;
        for (size_t n = 0; n < part; n++) {
            ((uint8_t *)into)[done + n] = (uint8_t)(word >> (8 * n));
        }
        done += part;
    }
}

__attribute__((noreturn)) static void fate_die(void *ctx, int exit_code, const char *text)
{
    struct sim_disk *disk = disk_of(ctx);
    disk->hooks.die(disk->hooks.ctx, exit_code, text);
}

struct disk_port sim_disk_port(struct sim_disk *disk)
{
    static const struct file_ops files = {.open = file_open,
                                          .close = file_close,
                                          .read = file_read,
                                          .write = file_write,
                                          .sync = file_sync,
                                          .resize = file_resize,
                                          .next_data = file_next_data};
    static const struct folder_ops folders = {.make = folder_make,
                                              .list = folder_list,
                                              .info = folder_info,
                                              .rename = folder_rename,
                                              .remove = folder_remove};
    static const struct disk_fate_ops fate = {.random = fate_random, .die = fate_die};
    return (struct disk_port){.files = &files, .folders = &folders, .fate = &fate, .ctx = disk};
}
