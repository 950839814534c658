#include "sim/snapshots.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static void copy_part(void *ctx, struct bytes part)
{
    struct sim_snapshots *snapshots = ctx;
    size_t need = snapshots->copy_len + part.len;
    if (need > snapshots->copy_capacity && !snapshots->copy_failed) {
        size_t capacity = 2 * need;
        uint8_t *grown = realloc(snapshots->copy, capacity);
        snapshots->copy_failed = grown == NULL;
        snapshots->copy = grown == NULL ? snapshots->copy : grown;
        snapshots->copy_capacity = grown == NULL ? snapshots->copy_capacity : capacity;
    }
    if (!snapshots->copy_failed) {
        memcpy(snapshots->copy + snapshots->copy_len, part.data, part.len);
        snapshots->copy_len = need;
    }
}

static enum err
start(void *ctx, uint64_t position, void (*write)(void *, struct snapshot_sink *), void *write_ctx)
{
    struct sim_snapshots *snapshots = ctx;
    if (snapshots->writing) {
        return ERR_CONFLICT;
    }
    snapshots->copy_len = 0;
    snapshots->copy_failed = false;
    snapshots->position = position;
    snapshots->begun++;
    write(write_ctx, &(struct snapshot_sink){.put = copy_part, .ctx = snapshots});
    snapshots->writing = true;
    return OK;
}

static void write_copy(void *ctx, struct snapshot_sink *sink)
{
    const struct sim_snapshots *snapshots = ctx;
    sink->put(sink->ctx, bytes_of(snapshots->copy, snapshots->copy_len));
}

bool sim_snapshots_write(struct sim_snapshots *snapshots)
{
    if (!snapshots->writing) {
        return false;
    }
    if (!snapshots->copy_failed) {
        struct snapshot_port port = snapshot_dir_port(snapshots->dir);
        enum err err = port.ops->start(port.ctx, snapshots->position, write_copy, snapshots);
        CHECK(err == OK);
    }
    snapshots->writing = false;
    return true;
}

static enum snapshot_state poll_state(void *ctx, uint64_t *position, uint64_t *oldest_kept)
{
    struct sim_snapshots *snapshots = ctx;
    if (snapshots->writing) {
        *position = snapshots->position;
        *oldest_kept = snapshots->oldest_kept;
        return SNAPSHOT_RUNNING;
    }
    if (snapshots->copy_failed) {
        snapshots->copy_failed = false;
        *position = snapshots->position;
        *oldest_kept = snapshots->oldest_kept;
        return SNAPSHOT_FAILED;
    }
    struct snapshot_port port = snapshot_dir_port(snapshots->dir);
    enum snapshot_state state = port.ops->poll(port.ctx, position, oldest_kept);
    snapshots->oldest_kept = *oldest_kept;
    return state;
}

static enum err open_newest(void *ctx, uint64_t until, uint64_t *position)
{
    const struct sim_snapshots *snapshots = ctx;
    struct snapshot_port port = snapshot_dir_port(snapshots->dir);
    return port.ops->open(port.ctx, until, position);
}

static bool read_opened(void *ctx, void *into, size_t len)
{
    const struct sim_snapshots *snapshots = ctx;
    struct snapshot_port port = snapshot_dir_port(snapshots->dir);
    return port.ops->read(port.ctx, into, len);
}

static void close_opened(void *ctx)
{
    const struct sim_snapshots *snapshots = ctx;
    struct snapshot_port port = snapshot_dir_port(snapshots->dir);
    port.ops->close(port.ctx);
}

static uint64_t damaged(void *ctx)
{
    const struct sim_snapshots *snapshots = ctx;
    struct snapshot_port port = snapshot_dir_port(snapshots->dir);
    return port.ops->damaged(port.ctx);
}

struct snapshot_port sim_snapshots_port(struct sim_snapshots *snapshots)
{
    static const struct snapshot_ops ops = {
        start, poll_state, open_newest, read_opened, close_opened, damaged};
    return (struct snapshot_port){.ops = &ops, .ctx = snapshots};
}
