#include "memory_snapshots.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

void memory_snapshots_init(struct memory_snapshots *snapshots)
{
    *snapshots = (struct memory_snapshots){0};
}

void memory_snapshots_crash(struct memory_snapshots *snapshots)
{
    free(snapshots->running.bytes);
    snapshots->running = (struct memory_snapshot){0};
    snapshots->is_running = false;
    snapshots->opened = 0;
}

void memory_snapshots_deinit(struct memory_snapshots *snapshots)
{
    memory_snapshots_crash(snapshots);
    for (uint32_t n = 0; n < snapshots->count; n++) {
        free(snapshots->kept[n].bytes);
    }
}

static void put(void *ctx, struct bytes part)
{
    struct memory_snapshot *running = ctx;
    if (part.len > running->cap - running->len) {
        running->cap = 2 * (running->cap + part.len);
        running->bytes = realloc(running->bytes, running->cap);
        CHECK(running->bytes != NULL);
    }
    memcpy(running->bytes + running->len, part.data, part.len);
    running->len += part.len;
}

static enum err
start(void *ctx, uint64_t position, void (*write)(void *, struct snapshot_sink *), void *write_ctx)
{
    struct memory_snapshots *snapshots = ctx;
    if (snapshots->is_running || snapshots->refuses) {
        return ERR_CONFLICT;
    }
    CHECK(position > 0);
    snapshots->running = (struct memory_snapshot){.position = position};
    snapshots->is_running = true;
    snapshots->polls_left = snapshots->polls_to_done;
    snapshots->started++;
    struct snapshot_sink sink = {.put = put, .ctx = &snapshots->running};
    write(write_ctx, &sink);
    return OK;
}

static void keep_running(struct memory_snapshots *snapshots)
{
    snapshots->kept[snapshots->count++] = snapshots->running;
    snapshots->running = (struct memory_snapshot){0};
    if (snapshots->count > MEMORY_SNAPSHOTS_KEPT) {
        free(snapshots->kept[0].bytes);
        snapshots->count--;
        memmove(
            snapshots->kept, snapshots->kept + 1, snapshots->count * sizeof(snapshots->kept[0]));
    }
}

static enum snapshot_state poll(void *ctx, uint64_t *position, uint64_t *oldest_kept)
{
    struct memory_snapshots *snapshots = ctx;
    *oldest_kept = snapshots->count > 0 ? snapshots->kept[0].position : UINT64_MAX;
    if (!snapshots->is_running) {
        return SNAPSHOT_IDLE;
    }
    snapshots->polls_left -= snapshots->polls_left > 0;
    if (snapshots->polls_left > 0) {
        return SNAPSHOT_RUNNING;
    }
    if (snapshots->fails) {
        memory_snapshots_crash(snapshots);
        return SNAPSHOT_FAILED;
    }
    snapshots->is_running = false;
    *position = snapshots->running.position;
    keep_running(snapshots);
    *oldest_kept = snapshots->kept[0].position;
    return SNAPSHOT_DONE;
}

static enum err open_newest(void *ctx, uint64_t until, uint64_t *position)
{
    struct memory_snapshots *snapshots = ctx;
    CHECK(snapshots->opened == 0);
    for (uint32_t n = snapshots->count; n > 0; n--) {
        if (snapshots->kept[n - 1].position <= until && !snapshots->kept[n - 1].known_damaged) {
            snapshots->opened = n;
            snapshots->read_at = 0;
            *position = snapshots->kept[n - 1].position;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

static bool read_exactly(void *ctx, void *into, size_t len)
{
    struct memory_snapshots *snapshots = ctx;
    CHECK(snapshots->opened > 0);
    struct memory_snapshot *opened = &snapshots->kept[snapshots->opened - 1];
    if (opened->damaged_from > 0 && snapshots->read_at + len > opened->damaged_from) {
        snapshots->damaged_count += !opened->known_damaged;
        opened->known_damaged = true;
        return false;
    }
    if (len > opened->len - snapshots->read_at) {
        return false;
    }
    memcpy(into, opened->bytes + snapshots->read_at, len);
    snapshots->read_at += len;
    return true;
}

static void close_opened(void *ctx)
{
    struct memory_snapshots *snapshots = ctx;
    CHECK(snapshots->opened > 0);
    snapshots->opened = 0;
}

static uint64_t damaged(void *ctx)
{
    const struct memory_snapshots *snapshots = ctx;
    return snapshots->damaged_count;
}

static const struct snapshot_ops snapshot_ops = {
    .start = start,
    .poll = poll,
    .open = open_newest,
    .read = read_exactly,
    .close = close_opened,
    .damaged = damaged,
};

struct snapshot_port memory_snapshots_port(struct memory_snapshots *snapshots)
{
    return (struct snapshot_port){.ops = &snapshot_ops, .ctx = snapshots};
}
