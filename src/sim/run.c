#include "sim/run.h"

#include "base/check.h"
#include "sim/judge.h"
#include "sim/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NO_MEMORY_ONCE_IN   200
#define NO_MEMORY_AFTER_MAX 12
#define LIVES_MAX           60
#define CALAMITIES          12
#define STRIDE_US           200
#define PEACE_MAX_US        (4LL * 3600 * US_PER_SECOND)
#define STEPS_MAX           20000000u
#define EXIT_IO             74
#define EXIT_DAMAGED        75
#define EXIT_DIRECTORY      78
#define DOWN_MAX_S          600
#define ROT_BYTES_MAX       64

void run_counts_add(struct run_counts *sum, const struct run_counts *more)
{
    _Static_assert(sizeof(*sum) % sizeof(uint64_t) == 0, "nothing but counters");
    uint64_t *into = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t n = 0; n < sizeof(*sum) / sizeof(uint64_t); n++) {
        into[n] += from[n];
    }
}

static FILE *told; /* where lives and deaths are told */

void run_tell(FILE *out)
{
    told = out;
}

static void tell(const struct run *run, const char *what, uint64_t number)
{
    if (told != NULL) {
        (void)fprintf(
            told, "%14.6f s  %s %" PRIu64 "\n", (double)run->machine.now_us / 1e6, what, number);
    }
}

static void fail(struct run *run, const char *what)
{
    if (run->finding.text[0] == '\0') {
        (void)snprintf(run->finding.text, sizeof(run->finding.text), "%s", what);
    }
}

static bool failed(const struct run *run)
{
    return run->finding.text[0] != '\0';
}

/* The disk holds what nobody wrote there. */
static bool damaged(const struct run *run)
{
    return run->rotten > 0 ||
           sim_disk_fault_count(run->machine.disk, FAULT_MISDIRECTED) > run->astray;
}

static void restore(struct run *run)
{
    sim_disk_restore_pristine(run->machine.disk);
    run->rotten = 0;
    run->astray = sim_disk_fault_count(run->machine.disk, FAULT_MISDIRECTED);
}

/* --- the witness --- */

static void witness_opened(void *ctx, struct process *process)
{
    struct run *run = ctx;
    struct log_reader_port port = log_file_reader_port(process->log);
    uint64_t oldest = process->log_start.oldest;
    size_t known = run->journal.frame_count;
    if (run->plan.disk_class == DISK_LYING) {
        journal_forgive_end(&run->journal, &port, oldest);
    } else if (damaged(run)) {
        journal_forgive_last(&run->journal, &port, oldest);
    }
    if (run->journal.frame_count < known) {
        visitor_forget(&run->visitor);
        readers_forget(&run->readers);
        size_t left = run->journal.frame_count;
        timers_forgive(&run->timers, left == 0 ? 0 : run->journal.frames[left - 1].end);
        listeners_forget(&run->listeners);
    }
    if (!journal_recovered(&run->journal, &port, oldest, &run->finding)) {
        fail(run, "a recovered log is not what it was");
    }
    tell(run, "the log is open, frames:", run->journal.frame_count);
}

static void witness_durable(void *ctx, const struct log_frame *frame)
{
    struct run *run = ctx;
    struct bytes body = bytes_of(frame->data + LOG_FRAME_HEADER, frame->body_len);
    journal_frame(&run->journal, frame->position, frame->end, frame->record_count, body);
    run->counts.frames++;
    tell(run, "a frame is durable, end:", frame->end);
}

/* --- lives --- */

static void be_born(struct run *run)
{
    const struct process_witness witness = {witness_opened, witness_durable, run};
    run->read_errors = sim_disk_fault_count(run->machine.disk, FAULT_READ_ERROR);
    process_start(&run->process, &run->machine, &run->plan.process, &witness);
    run->alive = true;
    run->counts.lives++;
    if (run->counts.lives >= LIVES_MAX) {
        run->machine.weather = (struct machine_weather){0};
    }
}

static void die(struct run *run)
{
    run->counts.snapshots += run->process.snapshots.begun;
    process_bury(&run->process);
    clients_bereaved(&run->clients, run->machine.now_us);
    visitor_bereaved(&run->visitor);
    readers_bereaved(&run->readers);
    timers_bereaved(&run->timers, run->machine.now_us);
    listeners_bereaved(&run->listeners, run->machine.now_us);
    watcher_bereaved(&run->watcher);
    run->alive = false;
}

/* Which ends the process may choose itself, and why. */
static bool may_exit(const struct run *run, int code)
{
    const struct sim_disk *disk = run->machine.disk;
    bool read_error = sim_disk_fault_count(disk, FAULT_READ_ERROR) > run->read_errors;
    switch (code) {
    case EXIT_IO:
        return sim_disk_fault_count(disk, FAULT_WRITE_ERROR) > 0 ||
               sim_disk_fault_count(disk, FAULT_SYNC_ERROR) > 0 ||
               sim_disk_fault_count(disk, FAULT_NO_SPACE) > 0;
    case EXIT_DAMAGED:
        return damaged(run) || run->plan.disk_class == DISK_LYING || read_error;
    case EXIT_DIRECTORY:
        return sim_disk_fault_count(disk, FAULT_NO_SPACE) > 0 || read_error ||
               sim_disk_fault_count(disk, FAULT_WRITE_ERROR) > 0 ||
               sim_disk_fault_count(disk, FAULT_SYNC_ERROR) > 0;
    default:
        return false;
    }
}

static void complain_of_exit(struct run *run, const char *what, int code, const char *words)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "%s with code %d: %s", what, code, words);
    fail(run, text);
}

/* --- damage, while nobody is looking --- */

static bool rot_file(struct run *run, const char *folder, const char *name)
{
    uint64_t size = 0;
    const uint8_t *content = sim_disk_content(run->machine.disk, folder, name, &size);
    if (content == NULL || size == 0) {
        return false;
    }
    uint64_t used = size;
    while (used > 1 && content[used - 1] == 0) {
        used--;
    }
    uint64_t offset = choose(run->choice, CHOICE_DISK, (uint32_t)used);
    uint8_t bytes[ROT_BYTES_MAX];
    size_t len = 1 + choose(run->choice, CHOICE_DISK, ROT_BYTES_MAX);
    len = offset + len > size ? (size_t)(size - offset) : len;
    for (size_t n = 0; n < len; n++) {
        bytes[n] = (uint8_t)(content[offset + n] ^ (1 + choose(run->choice, CHOICE_DISK, 255)));
    }
    sim_disk_rot(run->machine.disk, folder, name, offset, bytes_of(bytes, len));
    run->rotten++;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void rot_log(struct run *run)
{
    size_t count = sim_disk_name_count(run->machine.disk, "log");
    if (count == 0) {
        return;
    }
    size_t at = choose(run->choice, CHOICE_DISK, (uint32_t)count);
    const char *name = sim_disk_name(run->machine.disk, "log", at);
    if (ends_with(name, ".log")) {
        (void)rot_file(run, "log", name);
    }
}

/* The newest one, when there is another before it. */
static void rot_snapshot(struct run *run)
{
    const char *newest = NULL;
    size_t good = 0;
    size_t count = sim_disk_name_count(run->machine.disk, "snapshots");
    for (size_t n = 0; n < count; n++) {
        const char *name = sim_disk_name(run->machine.disk, "snapshots", n);
        if (strncmp(name, "snap-", 5) == 0 && !ends_with(name, ".tmp")) {
            good++;
            newest = newest == NULL || strcmp(name, newest) > 0 ? name : newest;
        }
    }
    if (good >= 2 && run->rotten == 0) {
        (void)rot_file(run, "snapshots", newest);
    }
}

static void damage(struct run *run)
{
    if (run->peace || !choose_once_in(run->choice, CHOICE_DISK, 2)) {
        return;
    }
    if (run->plan.disk_class == DISK_BAD_LOG) {
        rot_log(run);
    } else if (run->plan.disk_class == DISK_BAD_SNAPSHOT) {
        rot_snapshot(run);
    }
}

static void be_down_for_a_while(struct run *run)
{
    bool long_time = !run->peace && choose_once_in(run->choice, CHOICE_CRASH, 4);
    uint32_t seconds = long_time ? choose(run->choice, CHOICE_CRASH, DOWN_MAX_S) : 1;
    run->machine.now_us += (int64_t)seconds * US_PER_SECOND;
}

/* --- how a life ended --- */

static void refused_to_start(struct run *run)
{
    int code = run->process.exit_code;
    if (!may_exit(run, code)) {
        complain_of_exit(run, "it would not start", code, run->process.error.text);
        return;
    }
    run->counts.refusals += code == EXIT_DAMAGED;
    die(run);
    if (damaged(run)) {
        restore(run);
    } else if (run->plan.disk_class == DISK_LYING) {
        run->over = true;
        return;
    }
    if (code == EXIT_DIRECTORY) {
        sim_disk_set_capacity(run->machine.disk, 4 * run->plan.disk_bytes);
    }
    run->machine.now_us += US_PER_SECOND;
}

static void ended(struct run *run)
{
    struct machine *machine = &run->machine;
    bool by_itself = machine->ended == END_EXIT;
    if (by_itself && !may_exit(run, machine->exit_code)) {
        complain_of_exit(run, "it ended", machine->exit_code, machine->last_words);
        return;
    }
    tell(run, "the process ended, how (1 kill, 2 power, 3 exit):", machine->ended);
    run->counts.kills += machine->ended == END_KILL;
    run->counts.power_cuts += machine->ended == END_POWER;
    run->counts.exits += by_itself;
    bool found_damage = by_itself && machine->exit_code == EXIT_DAMAGED;
    die(run);
    if (found_damage && damaged(run)) {
        restore(run);
    } else if (found_damage && run->plan.disk_class == DISK_LYING) {
        run->over = true;
    }
    be_down_for_a_while(run);
    damage(run);
}

/* --- calamities that the machine doesn't bring about by itself --- */

static void clock_calamity(struct run *run)
{
    struct machine *machine = &run->machine;
    if (machine->wall_frozen) {
        return;
    }
    if (choose(run->choice, CHOICE_CLOCK, 3) == 0) {
        machine_freeze_wall(machine, true);
        run->thaw_at = machine->now_us +
                       (int64_t)choose_magnitude(run->choice, CHOICE_CLOCK, 1, 600) * US_PER_SECOND;
        run->counts.clock_freezes++;
        return;
    }
    int64_t step_us = (int64_t)choose_magnitude(run->choice, CHOICE_CLOCK, 1, 3600000) * 1000;
    machine_step_wall(machine, choose(run->choice, CHOICE_CLOCK, 2) == 0 ? step_us : -step_us);
    run->counts.clock_steps++;
}

static void calamity(struct run *run)
{
    struct machine *machine = &run->machine;
    switch (choose(run->choice, CHOICE_CRASH, 6)) {
    case 0:
        if (run->plan.stops) {
            machine->now_us += (int64_t)choose(run->choice, CHOICE_CRASH, 90) * US_PER_SECOND;
            run->counts.stops++;
        }
        break;
    case 1:
        if (run->plan.clock_faults) {
            clock_calamity(run);
        }
        break;
    case 2:
        if (run->plan.restarts && run->alive && run->process.state == PROCESS_READY) {
            process_drain(&run->process);
        }
        break;
    case 3:
        if (run->plan.full_disk && run->refill_at == 0) {
            sim_disk_set_capacity(machine->disk, 0);
            run->refill_at =
                machine->now_us +
                (int64_t)choose_magnitude(run->choice, CHOICE_DISK, 10, 3000) * US_PER_SECOND;
            run->counts.disk_full++;
        }
        break;
    case 4:
        if (run->plan.kills && run->alive) {
            machine_end_process(machine, END_KILL, 0);
        }
        break;
    default:
        if (run->plan.power_cuts && run->alive) {
            machine_end_process(machine, END_POWER, 0);
        }
        break;
    }
}

static void calamities(struct run *run)
{
    struct machine *machine = &run->machine;
    if (run->thaw_at != 0 && machine->now_us >= run->thaw_at) {
        machine_freeze_wall(machine, false);
        run->thaw_at = 0;
    }
    if (run->refill_at != 0 && machine->now_us >= run->refill_at) {
        sim_disk_set_capacity(machine->disk, run->plan.disk_bytes);
        run->refill_at = 0;
    }
    if (!run->peace && machine->now_us >= run->next_calamity) {
        uint32_t mean_ms = (uint32_t)(run->plan.length_us / 1000 / CALAMITIES) + 1;
        uint32_t sooner_ms = choose(run->choice, CHOICE_CRASH, 2 * mean_ms);
        run->next_calamity = machine->now_us + (int64_t)(2 * mean_ms - sooner_ms) * 1000;
        if (run->counts.lives < LIVES_MAX) {
            calamity(run);
        }
    }
}

/* --- time --- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void let_time_pass(struct run *run, int64_t until_us)
{
    struct machine *machine = &run->machine;
    int64_t next = run->alive ? process_next(&run->process) : machine->now_us;
    next = earlier(next, earlier(clients_next(&run->clients), visitor_next(&run->visitor)));
    next = earlier(next, readers_next(&run->readers));
    next = earlier(next, earlier(timers_next(&run->timers), listeners_next(&run->listeners)));
    next = earlier(next, watcher_next(&run->watcher));
    next = earlier(next, run->peace ? INT64_MAX : run->next_calamity);
    next = earlier(next, until_us);
    machine->now_us = next > machine->now_us ? next : machine->now_us + STRIDE_US;
}

/* Turns for the process; now and then one of its allocations fails meanwhile. */
static void settle(struct run *run)
{
    bool fails = run->plan.no_memory && !run->peace && run->process.state == PROCESS_READY &&
                 choose_once_in(run->choice, CHOICE_TURNS, NO_MEMORY_ONCE_IN);
    uint64_t before = memory_failures();
    if (fails) {
        memory_fail_after(choose(run->choice, CHOICE_TURNS, NO_MEMORY_AFTER_MAX));
    }
    process_settle(&run->process);
    memory_fail_after(UINT64_MAX);
    run->counts.no_memory += memory_failures() - before;
}

/* One moment: everybody acts, then time passes. */
static void moment(struct run *run, int64_t until_us)
{
    if (!run->alive) {
        be_born(run);
    }
    clients_act(&run->clients, &run->process);
    visitor_act(&run->visitor, &run->process);
    readers_act(&run->readers, &run->process);
    timers_act(&run->timers, &run->process);
    listeners_act(&run->listeners, &run->process);
    watcher_act(&run->watcher, &run->process);
    settle(run);
    if (run->visitor.finding.text[0] != '\0') {
        fail(run, run->visitor.finding.text);
    }
    if (run->readers.finding.text[0] != '\0') {
        fail(run, run->readers.finding.text);
    }
    if (run->timers.finding.text[0] != '\0') {
        fail(run, run->timers.finding.text);
    }
    if (run->listeners.finding.text[0] != '\0') {
        fail(run, run->listeners.finding.text);
    }
    if (run->watcher.finding.text[0] != '\0') {
        fail(run, run->watcher.finding.text);
    }
    if (!process_ended(&run->process)) {
        calamities(run);
    }
    if (failed(run)) {
        return;
    }
    if (process_ended(&run->process)) {
        ended(run);
    } else if (run->process.state == PROCESS_REFUSED) {
        refused_to_start(run);
    } else if (run->process.state == PROCESS_CLOSED) {
        run->counts.orderly++;
        die(run);
        be_down_for_a_while(run);
        damage(run);
    } else {
        if (run->process.state == PROCESS_READY) {
            run->rotten = run->plan.disk_class == DISK_BAD_SNAPSHOT ? 0 : run->rotten;
        }
        let_time_pass(run, until_us);
    }
}

static void be_at_peace(struct run *run)
{
    struct sim_disk_weather calm = run->plan.disk_weather;
    memset(calm.once_in, 0, sizeof(calm.once_in));
    calm.latency_us = calm.latency_us > 2000 ? 2000 : calm.latency_us;
    sim_disk_set_weather(run->machine.disk, &calm);
    sim_disk_set_capacity(run->machine.disk, 4ull << 30);
    restore(run);
    run->machine.weather = (struct machine_weather){0};
    machine_freeze_wall(&run->machine, false);
    run->thaw_at = 0;
    run->refill_at = 0;
    run->clients.hurried = true;
    run->visitor.only_questions = true;
    run->readers.hurried = true;
    run->timers.hurried = true;
    run->listeners.hurried = true;
    run->watcher.hurried = true;
    run->peace = true;
}

/* What is due has fired, as far as the engine can tell: it may have to wait until it hears again. */
static bool nothing_is_due(const struct process *process)
{
    const struct sequencer *sequencer = &process->sequencer;
    return sequencer->clock.us < sequencer->next_due_clock &&
           (sequencer->next_due == INT64_MAX || sequencer->tide.watermark < sequencer->next_due ||
            !sequencer->last_held);
}

/* Everything was taken, defined, handed over, answered: the engine is at rest. */
static bool at_rest(struct run *run)
{
    return run->alive && run->process.state == PROCESS_READY && clients_content(&run->clients) &&
           readers_content(&run->readers) && timers_content(&run->timers) &&
           listeners_content(&run->listeners) && nothing_is_due(&run->process) &&
           visitor_define_all(&run->visitor, &run->process) && process_is_calm(&run->process) &&
           sequencer_is_idle(&run->process.sequencer) && !run->process.sequencer.moved;
}

static void live_on_in_peace(struct run *run)
{
    be_at_peace(run);
    int64_t began_us = run->machine.now_us;
    uint32_t rested = 0;
    while (!failed(run) && !run->over && rested < 3) {
        if (run->machine.now_us - began_us > PEACE_MAX_US) {
            fail(run, "it did not come to rest in peace: no progress");
            return;
        }
        moment(run, INT64_MAX);
        rested = at_rest(run) ? rested + 1 : 0;
    }
}

static bool set_up(struct run *run, struct choice *choice)
{
    *run = (struct run){.choice = choice};
    if (!plan_draw(&run->plan, choice)) {
        return false;
    }
    journal_init(&run->journal);
    bool good = machine_init(&run->machine, choice, run->plan.disk_bytes) &&
                clients_init(&run->clients, &run->plan, choice, &run->journal) &&
                visitor_init(&run->visitor, &run->plan, choice, &run->journal);
    readers_init(&run->readers, &run->plan, choice, &run->journal);
    good = good && timers_init(&run->timers, &run->plan, choice, &run->journal);
    listeners_init(&run->listeners, &run->plan, choice, &run->journal, &run->timers.book);
    watcher_init(&run->watcher, &run->plan, choice, &run->journal, &run->timers.book);
    if (good) {
        run->machine.weather = run->plan.weather;
        run->machine.drift_ppm =
            run->plan.clock_faults ? (int32_t)choose(choice, CHOICE_CLOCK, 400) - 200 : 0;
        sim_disk_set_weather(run->machine.disk, &run->plan.disk_weather);
    }
    return good;
}

bool run_all(struct run *run, struct choice *choice)
{
    CHECK(set_up(run, choice));
    for (uint32_t steps = 0;
         run->machine.now_us < run->plan.length_us && !failed(run) && !run->over;
         steps++) {
        CHECK(steps < STEPS_MAX);
        moment(run, run->plan.length_us);
    }
    if (!failed(run) && !run->over) {
        live_on_in_peace(run);
    }
    if (!failed(run) && !run->over) {
        judge(run);
    }
    run->counts.runs = 1;
    run->counts.simulated_us = (uint64_t)run->machine.now_us;
    run->counts.acked = run->journal.acked;
    run->counts.refused = run->clients.refused;
    run->counts.slow_readings = run->readers.slow;
    run->counts.readings_over_lives = run->readers.over_lives;
    run->counts.looks = run->timers.looks;
    run->counts.rule_looks = run->watcher.looks;
    run->counts.feed_pages = run->listeners.pages;
    run->counts.feed_pages_over_lives = run->listeners.over_lives;
    run->counts.feed_resumed = run->listeners.resumed;
    run->counts.feed_gaps = run->listeners.gaps;
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
        run->counts.faults[fault] = sim_disk_fault_count(run->machine.disk, (enum disk_fault)fault);
    }
    return !failed(run);
}

void run_free(struct run *run)
{
    if (run->alive) {
        process_bury(&run->process);
    }
    visitor_free(&run->visitor);
    readers_free(&run->readers);
    clients_free(&run->clients);
    timers_free(&run->timers);
    journal_free(&run->journal);
    machine_deinit(&run->machine);
    plan_free(&run->plan);
}
