/* The one who looks at instances of rules: at those of a key that an event just had, again and again,
 * also right before and after a crash. */
#pragma once

#include "sim/plan.h"
#include "sim/timer_book.h"

struct watch_request;
struct journal;

struct watcher {
    const struct plan *plan;
    struct choice *choice;
    const struct journal *journal;
    struct timer_book *book;
    int64_t next_at; /* true time */
    int64_t patience_ends;
    struct watch_request *pending; /* the process's memory */
    uint64_t looks;
    bool hurried; /* liveness: nothing new */
    struct finding finding;
};

void watcher_init(struct watcher *watcher,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal,
                  struct timer_book *book);
void watcher_act(struct watcher *watcher, struct process *process);
int64_t watcher_next(const struct watcher *watcher);

/* The process is gone, and what it had. */
void watcher_bereaved(struct watcher *watcher);
