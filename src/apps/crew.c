/* Workers: see crew.h.
 *
 * Invariants:
 *  1. A load belongs to main (free, being filled, or back), to one mailbox, or to one worker.
 *  2. given of all workers together = under_way; the mailboxes hold all loads, so putting never
 *     fails. */
#include "apps/crew.h"

#include "base/check.h"
#include "base/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOADS_PER_WORKER 3
#define LOADS_MAX        (LOADS_PER_WORKER * CREW_MAX)
#define BOX_ITEMS        256

struct worker {
    struct crew *crew;
    uint32_t number;
    pthread_t thread;
    bool started;
    uint32_t given;
    struct waker waker;
    struct mailbox in;
    struct mailbox out;
};

struct crew {
    struct crew_work work;
    uint32_t count;
    struct worker workers[CREW_MAX];
    struct waker waker;
    struct load loads[LOADS_MAX];
    struct load *free[LOADS_MAX];
    size_t free_count;
    size_t load_count;
    size_t under_way;
    uint32_t next;
    uint64_t given_ever;
    _Atomic bool stop;
};

_Static_assert(BOX_ITEMS >= LOADS_MAX, "a mailbox holds all loads");

void tally_add(struct tally_of_events *sum, const struct tally_of_events *part)
{
    sum->sent += part->sent;
    sum->accepted += part->accepted;
    sum->rejected += part->rejected;
    sum->again += part->again;
    for (size_t i = 0; i < part->shown && sum->shown < REFUSALS_SHOWN; i++) {
        sum->refusals[sum->shown++] = part->refusals[i];
    }
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    bool good = crew->work.begin == NULL || crew->work.begin(crew->work.ctx, worker->number);
    for (;;) {
        struct load *load = mailbox_take(&worker->in);
        if (load != NULL) {
            if (good) {
                crew->work.work(crew->work.ctx, worker->number, load);
            } else {
                load->exit_code = 71; /* no memory */
            }
            bool put = mailbox_put(&worker->out, load);
            CHECK(put);
            mailbox_flush(&worker->out);
            continue;
        }
        if (atomic_load(&crew->stop)) {
            break;
        }
        waker_prepare(&worker->waker);
        if (mailbox_empty(&worker->in) && !atomic_load(&crew->stop)) {
            waker_wait(&worker->waker, -1);
        }
        waker_awake(&worker->waker);
    }
    if (good && crew->work.end != NULL) {
        crew->work.end(crew->work.ctx, worker->number);
    }
    return NULL;
}

static bool worker_start(struct crew *crew, uint32_t number)
{
    struct worker *worker = &crew->workers[number];
    worker->crew = crew;
    worker->number = number;
    worker->waker.event_fd = -1;
    if (!waker_open(&worker->waker)) {
        return false;
    }
    if (!mailbox_init(&worker->in, BOX_ITEMS, &worker->waker) ||
        !mailbox_init(&worker->out, BOX_ITEMS, &crew->waker)) {
        return false;
    }
    worker->started = pthread_create(&worker->thread, NULL, worker_run, worker) == 0;
    return worker->started;
}

static bool loads_make(struct crew *crew)
{
    size_t count = (size_t)crew->count * LOADS_PER_WORKER;
    for (size_t i = 0; i < count; i++) {
        uint8_t *memory = malloc(LOAD_BYTES);
        if (memory == NULL) {
            return false;
        }
        crew->loads[i].text = buf_of(memory, LOAD_BYTES);
        crew->free[crew->free_count++] = &crew->loads[i];
        crew->load_count++;
    }
    return true;
}

struct crew *crew_create(uint32_t workers, const struct crew_work *work)
{
    CHECK(workers > 0 && workers <= CREW_MAX);
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) {
        return NULL;
    }
    crew->work = *work;
    crew->waker.event_fd = -1;
    bool good = waker_open(&crew->waker);
    crew->count = workers;
    good = good && loads_make(crew);
    for (uint32_t i = 0; i < workers && good; i++) {
        good = worker_start(crew, i);
    }
    if (!good) {
        crew_destroy(crew);
        return NULL;
    }
    return crew;
}

void crew_destroy(struct crew *crew)
{
    CHECK(crew->under_way == 0);
    atomic_store(&crew->stop, true);
    for (uint32_t i = 0; i < crew->count; i++) {
        struct worker *worker = &crew->workers[i];
        if (worker->started) {
            waker_wake(&worker->waker);
            int rc = pthread_join(worker->thread, NULL);
            CHECK(rc == 0);
        }
        mailbox_deinit(&worker->in);
        mailbox_deinit(&worker->out);
        if (worker->crew != NULL && worker->waker.event_fd >= 0) {
            waker_close(&worker->waker);
        }
    }
    if (crew->waker.event_fd >= 0) {
        waker_close(&crew->waker);
    }
    for (size_t i = 0; i < crew->load_count; i++) {
        free(crew->loads[i].text.data);
    }
    free(crew);
}

struct load *crew_load(struct crew *crew)
{
    if (crew->free_count == 0) {
        return NULL;
    }
    struct load *load = crew->free[--crew->free_count];
    struct buf text = buf_of(load->text.data, load->text.cap);
    *load = (struct load){.text = text};
    return load;
}

void crew_put_back(struct crew *crew, struct load *load)
{
    CHECK(crew->free_count < crew->load_count);
    crew->free[crew->free_count++] = load;
}

void crew_give(struct crew *crew, struct load *load)
{
    uint32_t best = crew->next;
    for (uint32_t i = 0; i < crew->count; i++) {
        uint32_t candidate = (crew->next + i) % crew->count;
        if (crew->workers[candidate].given < crew->workers[best].given) {
            best = candidate;
        }
    }
    struct worker *worker = &crew->workers[best];
    crew->next = (best + 1) % crew->count;
    load->worker = best;
    load->place = ++crew->given_ever;
    worker->given++;
    crew->under_way++;
    bool put = mailbox_put(&worker->in, load);
    CHECK(put);
    mailbox_flush(&worker->in);
}

struct load *crew_done(struct crew *crew)
{
    for (uint32_t i = 0; i < crew->count; i++) {
        struct load *load = mailbox_take(&crew->workers[i].out);
        if (load != NULL) {
            CHECK(crew->under_way > 0);
            crew->workers[i].given--;
            crew->under_way--;
            return load;
        }
    }
    return NULL;
}

void crew_wait(struct crew *crew, int64_t timeout_us)
{
    bool empty = true;
    waker_prepare(&crew->waker);
    for (uint32_t i = 0; i < crew->count; i++) {
        empty = empty && mailbox_empty(&crew->workers[i].out);
    }
    if (empty) {
        waker_wait(&crew->waker, timeout_us);
    }
    waker_awake(&crew->waker);
}

size_t crew_under_way(const struct crew *crew)
{
    return crew->under_way;
}
