/* Snapshots of the engine's state, each at one log position, written without stopping the world.
 *
 * `start` is called at a moment when the state stands still; the implementation sees to it that
 * what `write` hands out is the state of that moment (the directory adapter forks: the child writes
 * its frozen copy; the simulator writes at once). */
#pragma once

#include "base/err.h"

/* Where a snapshot's bytes go. `put` buffers; it never fails (a failing disk ends the attempt). */
struct snapshot_sink {
    void (*put)(void *ctx, struct bytes part);
    void *ctx;
};

enum snapshot_state {
    SNAPSHOT_IDLE,
    SNAPSHOT_RUNNING,
    SNAPSHOT_DONE,   /* the last one is durable; `position` says which */
    SNAPSHOT_FAILED, /* the last one failed; the older ones are kept */
};

struct snapshot_ops {
    /* Begins a snapshot of `position`; write(write_ctx, sink) is called once, in the frozen copy.
     * ERR_CONFLICT while one is running. */
    enum err (*start)(void *ctx,
                      uint64_t position,
                      void (*write)(void *, struct snapshot_sink *),
                      void *write_ctx) MUST_CHECK;

    /* How it goes. After DONE or FAILED was reported once, IDLE again. *oldest_kept is the position
     * of the oldest snapshot on disk (UINT64_MAX: none). */
    enum snapshot_state (*poll)(void *ctx, uint64_t *position, uint64_t *oldest_kept);

    /* Opens the newest snapshot at or before `until` (UINT64_MAX: any) for reading: OK, ERR_NOT_FOUND, or
     * ERR_OVERLOADED (no memory). That it is there as a whole is seen at once, its content is proved as it
     * is read. A damaged one is skipped, counted and left alone. */
    enum err (*open)(void *ctx, uint64_t until, uint64_t *position) MUST_CHECK;

    /* Reads exactly len bytes of the opened one, which are proved. False when it ends before, or what
     * follows is damaged: then it is counted, and never opened again. */
    bool (*read)(void *ctx, void *into, size_t len);

    void (*close)(void *ctx);

    /* How many snapshots were found damaged since the start: when one is opened or read, and read back
     * after it was written. */
    uint64_t (*damaged)(void *ctx);
};

struct snapshot_port {
    const struct snapshot_ops *ops;
    void *ctx;
};
