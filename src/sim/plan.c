#include "sim/plan.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define SECOND     US_PER_SECOND
#define LENGTH_MIN 20    /* seconds */
#define LENGTH_MAX 28800 /* seconds */

#define READER_PAUSE_MAX_MS 1800000

#define TIMERS_PENDING 5000
#define TIMERS_ENDED   5000
#define FEED_BYTES     (3u << 20)
#define CROWD_BATCHES  60
#define PAGES_ASKED    2000 /* by a listener in a run, about, at most */

static uint32_t pick(struct choice *choice, uint32_t end)
{
    return choose(choice, CHOICE_OPTIONS, end);
}

static bool coin(struct choice *choice)
{
    return pick(choice, 2) == 1;
}

static uint32_t magnitude(struct choice *choice, uint32_t low, uint32_t high)
{
    return choose_magnitude(choice, CHOICE_OPTIONS, low, high);
}

/* --- faults --- */

static void draw_disk(struct plan *plan, struct choice *choice)
{
    struct sim_disk_weather *weather = &plan->disk_weather;
    plan->slow_disk = coin(choice);
    plan->full_disk = coin(choice);
    plan->disk_errors = coin(choice);
    plan->disk_class = (enum disk_class)(coin(choice) ? pick(choice, DISK_CLASSES) : DISK_HONEST);
    weather->latency_us = magnitude(choice, 1, plan->slow_disk ? 30000 : 2000);
    weather->no_direct = coin(choice);
    weather->no_reserve = pick(choice, 8) == 1;
    weather->once_in[FAULT_TORN_WRITE] = magnitude(choice, 1, 4);
    weather->once_in[FAULT_LOST_WRITE] = magnitude(choice, 1, 20);
    weather->once_in[FAULT_GARBAGE] = coin(choice) ? magnitude(choice, 2, 200) : 0;
    weather->once_in[FAULT_LOST_NAME] = magnitude(choice, 1, 20);
    weather->once_in[FAULT_LOST_SIZE] = magnitude(choice, 1, 20);
    if (plan->slow_disk) {
        weather->once_in[FAULT_SLOW] = magnitude(choice, 100, 10000);
    }
    if (plan->disk_errors) {
        weather->once_in[FAULT_SHORT_WRITE] = magnitude(choice, 5, 1000);
        weather->once_in[FAULT_SHORT_READ] = magnitude(choice, 5, 1000);
        weather->once_in[FAULT_INTERRUPTED] = magnitude(choice, 5, 1000);
        weather->once_in[FAULT_WRITE_ERROR] = coin(choice) ? magnitude(choice, 300, 30000) : 0;
        weather->once_in[FAULT_SYNC_ERROR] = coin(choice) ? magnitude(choice, 300, 30000) : 0;
        weather->once_in[FAULT_READ_ERROR] = coin(choice) ? magnitude(choice, 300, 30000) : 0;
    }
    if (plan->disk_class == DISK_BAD_LOG && coin(choice)) {
        weather->once_in[FAULT_MISDIRECTED] = magnitude(choice, 50, 2000);
    }
    if (plan->disk_class == DISK_LYING) {
        weather->once_in[FAULT_LYING_SYNC] = magnitude(choice, 2, 500);
    }
    plan->disk_bytes = plan->full_disk ? (uint64_t)magnitude(choice, 8, 60) << 20 : 1ull << 30;
}

static void draw_faults(struct plan *plan, struct choice *choice)
{
    plan->kills = coin(choice);
    plan->power_cuts = coin(choice);
    plan->clock_faults = coin(choice);
    plan->stops = coin(choice);
    plan->restarts = coin(choice);
    plan->no_memory = coin(choice);
    plan->weather.kill_once_in = plan->kills ? magnitude(choice, 40, 20000) : 0;
    plan->weather.power_once_in = plan->power_cuts ? magnitude(choice, 40, 20000) : 0;
    draw_disk(plan, choice);
}

/* --- sizes --- */

static void draw_process(struct plan *plan, struct choice *choice)
{
    struct process_options *options = &plan->process;
    options->runners = 1 + pick(choice, 3);
    options->partitions = options->runners + pick(choice, 5);
    options->gateways = 1 + pick(choice, 2);
    options->letters_max = coin(choice) ? 1000 : magnitude(choice, 4, 64);
    options->bytes_max = coin(choice) ? 32u << 20 : magnitude(choice, 20000, 1000000);
    options->pulse_every_us = (int64_t)magnitude(choice, 20, 5000) * 1000;
    options->dedup_horizon_us = US_PER_DAY;
    options->snapshot_every_bytes = coin(choice) ? magnitude(choice, 20000, 2000000) : 0;
    options->segment_bytes = (uint64_t)magnitude(choice, 128, 512) * 4096;
    options->retain_us = coin(choice) ? (int64_t)magnitude(choice, 1, 3600) * SECOND : US_PER_DAY;
    options->retain_bytes = coin(choice) ? magnitude(choice, 100000, 4000000) : 1u << 30;
    options->hash_seed = (uint64_t)pick(choice, UINT32_MAX) << 32 | pick(choice, UINT32_MAX);
    options->replay_until = UINT64_MAX;
    options->uneven = coin(choice);
}

static void draw_sizes(struct plan *plan, struct choice *choice)
{
    plan->length_us = (int64_t)magnitude(choice, LENGTH_MIN, LENGTH_MAX) * SECOND;
    plan->client_count = 1 + pick(choice, PLAN_CLIENTS_MAX);
    plan->batch_max = magnitude(choice, 1, 500);
    plan->resend_once_in = coin(choice) ? magnitude(choice, 2, 50) : 0;
    plan->impatience_ms = magnitude(choice, 20, 10000);
    plan->commands = coin(choice);
    plan->lanes = coin(choice);
    plan->questions = coin(choice);
    plan->command_every_ms = magnitude(choice, 200, 60000);
    plan->event_count = magnitude(choice, 20, PLAN_EVENTS_MAX);
    plan->source_count = 1 + pick(choice, PLAN_SOURCES_MAX);
}

/* --- metrics and events --- */

static void draw_recipe(struct plan *plan, struct choice *choice, struct recipe *recipe)
{
    *recipe = (struct recipe){0};
    (void)snprintf(recipe->name, sizeof(recipe->name), "m%zu", (size_t)(recipe - plan->recipes));
    recipe->window_us = (int64_t)magnitude(choice, 1, 7200) * SECOND;
    recipe->lateness_us = coin(choice) ? (int64_t)magnitude(choice, 1, 3600) * SECOND : 0;
    recipe->group = (enum recipe_group)pick(choice, BY_SOURCE_AND_TYPE + 1);
    recipe->filtered = pick(choice, 3) == 1;
    recipe->x_above = (int64_t)pick(choice, 100) - 50;
    if (pick(choice, 4) == 1) {
        recipe->source_count = 1 + pick(choice, RECIPE_SOURCES_MAX);
        for (uint32_t n = 0; n < recipe->source_count; n++) {
            recipe->sources[n] = (pick(choice, plan->source_count) + n) % PLAN_SOURCES_MAX;
        }
        for (uint32_t n = 1; n < recipe->source_count; n++) {
            for (uint32_t m = 0; m < n; m++) {
                if (recipe->sources[m] == recipe->sources[n]) {
                    recipe->source_count = n; /* each once */
                }
            }
        }
    }
}

/* How long an event takes to arrive: mostly little, now and then much, sometimes it is early. */
static int64_t draw_delay(struct choice *choice, uint32_t usual_ms)
{
    int64_t usual_us = (int64_t)choose(choice, CHOICE_CLIENTS, usual_ms) * 1000;
    switch (choose(choice, CHOICE_CLIENTS, 40)) {
    case 1:
        return usual_us * 100;
    case 2:
        return (int64_t)choose_magnitude(choice, CHOICE_CLIENTS, 1, 7200) * SECOND;
    case 3:
        return -(int64_t)choose(choice, CHOICE_CLIENTS, 4 * 60) * SECOND;
    default:
        return usual_us;
    }
}

static void draw_events(struct plan *plan, struct choice *choice)
{
    uint32_t types = 1 + pick(choice, 6);
    uint32_t subjects = magnitude(choice, 1, 1000);
    uint32_t usual_ms = magnitude(choice, 10, 20000);
    uint32_t x_range = magnitude(choice, 1, 100000);
    size_t burst = magnitude(choice, 1, 500);     /* so many come at a time */
    int64_t grain_us = coin(choice) ? SECOND : 1; /* whole seconds meet the ends of windows */
    int64_t share_us = plan->length_us / (int64_t)plan->event_count;
    for (size_t n = 0; n < plan->event_count; n++) {
        struct planned_event *event = &plan->events[n];
        plan->due_us[n] = (int64_t)(n / burst * burst) * share_us;
        *event = (struct planned_event){
            .source = choose(choice, CHOICE_CLIENTS, plan->source_count),
            .id = (uint32_t)n,
            .type = choose(choice, CHOICE_CLIENTS, types),
            .subject = choose(choice, CHOICE_CLIENTS, subjects + 1),
            .has_x = choose(choice, CHOICE_CLIENTS, 8) != 1,
            .x = (int64_t)choose(choice, CHOICE_CLIENTS, x_range) - x_range / 2,
        };
        if (n % 2 == 1 && plan->source_count > 1) {
            /* Two sources may use one id. */
            event->id = event[-1].id;
            event->source = (event[-1].source + 1) % plan->source_count;
        }
        int64_t time_us = plan->due_us[n] - draw_delay(choice, usual_ms);
        event->time.us = MACHINE_EPOCH_US + time_us / grain_us * grain_us;
    }
}

/* From a stream of their own: what else is drawn does not depend on them. */
static void draw_readers(struct plan *plan, struct choice *choice)
{
    if (choose(choice, CHOICE_READERS, 2) == 1) {
        plan->reader_count = 1 + choose(choice, CHOICE_READERS, PLAN_READERS_MAX);
        plan->reader_pause_ms = choose_magnitude(choice, CHOICE_READERS, 10, READER_PAUSE_MAX_MS);
    }
}

/* Keys that all fall into one partition, of so many that a pulse leaves some to the next. */
static void draw_crowd(struct plan *plan, struct choice *choice)
{
    plan->process.partitions = PARTITIONS_MAX;
    plan->timers.crowd = true;
    plan->timers.key_count = 1000 + choose(choice, CHOICE_TIMERS, 1000);
    plan->timers.batch_max = 300;
    plan->timers.grain_us = plan->length_us / 5;
    plan->timers.every_ms =
        (uint32_t)(plan->length_us / 1000 / CROWD_BATCHES) * plan->timers.client_count + 1;
}

static void draw_timer_limits(struct plan *plan, struct choice *choice)
{
    struct process_options *options = &plan->process;
    bool small = !plan->timers.crowd;
    if (small && choose_once_in(choice, CHOICE_TIMERS, 6)) {
        options->timers_pending = choose_magnitude(choice, CHOICE_TIMERS, 1, 50);
    }
    if (small && choose_once_in(choice, CHOICE_TIMERS, 4)) {
        options->timers_ended = choose_magnitude(choice, CHOICE_TIMERS, 1, 100);
        return; /* the feed must tell in which order they ended */
    }
    if (small && choose_once_in(choice, CHOICE_TIMERS, 4)) {
        options->feed_keep_us = (int64_t)choose_magnitude(choice, CHOICE_TIMERS, 10, 3600) * SECOND;
    }
    if (small && choose_once_in(choice, CHOICE_TIMERS, 8)) {
        options->feed_bytes = choose_magnitude(choice, CHOICE_TIMERS, 500, 20000);
        options->feed_whole = false;
    }
}

/* From a stream of their own, too. */
static void draw_timers(struct plan *plan, struct choice *choice)
{
    struct timer_plan *timers = &plan->timers;
    plan->process.timers_pending = TIMERS_PENDING;
    plan->process.timers_ended = TIMERS_ENDED;
    plan->process.feed_bytes = FEED_BYTES;
    plan->process.feed_keep_us = 7 * US_PER_DAY;
    plan->process.feed_whole = true;
    if (choose(choice, CHOICE_TIMERS, 2) == 0) {
        return;
    }
    uint32_t batches = choose_magnitude(choice, CHOICE_TIMERS, 20, 500);
    timers->client_count = 1 + choose(choice, CHOICE_TIMERS, PLAN_TIMERS_MAX);
    timers->listener_count = choose(choice, CHOICE_TIMERS, PLAN_LISTENERS_MAX + 1);
    timers->key_count = choose_magnitude(choice, CHOICE_TIMERS, 1, 2000);
    timers->batch_max = choose_magnitude(choice, CHOICE_TIMERS, 1, 60);
    timers->every_ms = (uint32_t)(plan->length_us / 1000 / batches) * timers->client_count + 1;
    timers->repeat_once_in = choose_magnitude(choice, CHOICE_TIMERS, 2, 40);
    uint32_t pause_ms = (uint32_t)(plan->length_us / 1000 / PAGES_ASKED) + 10;
    timers->pause_ms = pause_ms * choose_magnitude(choice, CHOICE_TIMERS, 1, 50);
    timers->page_max = choose_magnitude(choice, CHOICE_TIMERS, 1, 100);
    timers->grain_us = choose(choice, CHOICE_TIMERS, 2) == 1 ? SECOND : 1;
    timers->by_events = choose(choice, CHOICE_TIMERS, 3) != 1;
    if (choose_once_in(choice, CHOICE_TIMERS, 7)) {
        draw_crowd(plan, choice);
    }
    draw_timer_limits(plan, choice);
    plan_draw_rules(plan, choice);
}

bool plan_droppable(uint32_t recipe)
{
    return recipe % 2 == 1;
}

bool plan_draw(struct plan *plan, struct choice *choice)
{
    *plan = (struct plan){0};
    draw_sizes(plan, choice);
    draw_process(plan, choice);
    draw_faults(plan, choice);
    plan->recipe_count = 1 + pick(choice, PLAN_RECIPES_MAX);
    for (size_t n = 0; n < plan->recipe_count; n++) {
        draw_recipe(plan, choice, &plan->recipes[n]);
    }
    plan->events = calloc(plan->event_count, sizeof(*plan->events));
    plan->due_us = calloc(plan->event_count, sizeof(*plan->due_us));
    if (plan->events == NULL || plan->due_us == NULL) {
        plan_free(plan);
        return false;
    }
    draw_events(plan, choice);
    draw_readers(plan, choice);
    draw_timers(plan, choice);
    return true;
}

void plan_free(struct plan *plan)
{
    free(plan->events);
    free(plan->due_us);
    plan->events = NULL;
    plan->due_us = NULL;
}

/* --- for people --- */

static void print_faults(const struct plan *plan, FILE *out)
{
    static const char *const classes[DISK_CLASSES] = {
        "honest", "snapshots rot", "the log rots", "syncs lie"};
    (void)fprintf(out,
                  "  faults       kill 1/%u, power cut 1/%u (0: never)%s%s%s%s\n",
                  plan->weather.kill_once_in,
                  plan->weather.power_once_in,
                  plan->clock_faults ? ", clocks step and freeze" : "",
                  plan->stops ? ", stops" : "",
                  plan->restarts ? ", restarts in order" : "",
                  plan->no_memory ? ", memory fails" : "");
    (void)fprintf(out,
                  "  disk         %s; %llu MiB%s, latency <= %u us%s%s\n",
                  classes[plan->disk_class],
                  (unsigned long long)(plan->disk_bytes >> 20),
                  plan->full_disk ? " and sometimes full" : "",
                  plan->disk_weather.latency_us,
                  plan->disk_weather.no_direct ? ", no direct writes" : "",
                  plan->disk_weather.no_reserve ? ", no reservations" : "");
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
        if (plan->disk_weather.once_in[fault] > 0) {
            (void)fprintf(out,
                          "               %s 1/%u\n",
                          disk_fault_name((enum disk_fault)fault),
                          plan->disk_weather.once_in[fault]);
        }
    }
}

static void print_timers(const struct plan *plan, FILE *out)
{
    const struct timer_plan *timers = &plan->timers;
    if (timers->client_count == 0) {
        return;
    }
    (void)fprintf(out,
                  "  timeouts     %u clients, %u keys, batches <= %u every %u ms%s%s; of a "
                  "partition <= %u pending, %u ended\n",
                  timers->client_count,
                  timers->key_count,
                  timers->batch_max,
                  timers->every_ms,
                  timers->by_events ? ", by events too" : "",
                  timers->crowd ? ", a crowd" : "",
                  plan->process.timers_pending,
                  plan->process.timers_ended);
    (void)fprintf(out,
                  "  feed         %u listeners, pages <= %u; kept %lld s or %u bytes\n",
                  timers->listener_count,
                  timers->page_max,
                  (long long)(plan->process.feed_keep_us / SECOND),
                  plan->process.feed_bytes);
}

void plan_print(const struct plan *plan, FILE *out)
{
    const struct process_options *options = &plan->process;
    char sql[512];
    (void)fprintf(out,
                  "  length       %lld s, %zu events of %u sources, %u clients, batches <= %u\n",
                  (long long)(plan->length_us / SECOND),
                  plan->event_count,
                  plan->source_count,
                  plan->client_count,
                  plan->batch_max);
    (void)fprintf(
        out,
        "  engine       %u runners, %u partitions, %u gateways of %u letters and %u bytes, "
        "pulse every %lld ms%s\n",
        options->runners,
        options->partitions,
        options->gateways,
        options->letters_max,
        options->bytes_max,
        (long long)(options->pulse_every_us / 1000),
        options->uneven ? ", uneven turns" : "");
    (void)fprintf(out,
                  "  log          segments of %llu bytes, kept %lld s or %llu bytes; a snapshot "
                  "every %llu bytes (0: never)\n",
                  (unsigned long long)options->segment_bytes,
                  (long long)(options->retain_us / SECOND),
                  (unsigned long long)options->retain_bytes,
                  (unsigned long long)options->snapshot_every_bytes);
    (void)fprintf(
        out,
        "  clients      give up after %u ms, send again 1/%u (0: never)%s%s%s, each %u ms\n",
        plan->impatience_ms,
        plan->resend_once_in,
        plan->commands ? ", commands" : "",
        plan->lanes ? ", lanes" : "",
        plan->questions ? ", questions" : "",
        plan->command_every_ms);
    if (plan->reader_count > 0) {
        (void)fprintf(out,
                      "  readers      %u, slow: they rest up to %u ms between two pages\n",
                      plan->reader_count,
                      plan->reader_pause_ms);
    }
    print_timers(plan, out);
    print_faults(plan, out);
    for (uint32_t n = 0; n < plan->rule_count; n++) {
        struct bytes text = rule_sql(plan, n, sql, sizeof(sql));
        (void)fprintf(out, "  rule         %.*s\n", (int)text.len, (const char *)text.data);
    }
    for (size_t n = 0; n < plan->recipe_count; n++) {
        struct bytes text = recipe_sql(&plan->recipes[n], sql, sizeof(sql));
        (void)fprintf(out, "  metric       %.*s\n", (int)text.len, (const char *)text.data);
    }
}

static const char *group_columns(enum recipe_group group)
{
    switch (group) {
    case BY_NOTHING:
        return "";
    case BY_TYPE:
        return "type";
    case BY_SOURCE:
        return "source";
    case BY_SUBJECT:
        return "subject";
    case BY_SOURCE_AND_TYPE:
        return "source, type";
    }
    UNREACHABLE("a group of the enumeration");
}

struct bytes recipe_sql(const struct recipe *recipe, char *text, size_t cap)
{
    char sources[128] = "";
    size_t len = 0;
    for (uint32_t n = 0; n < recipe->source_count; n++) {
        len += (size_t)snprintf(sources + len,
                                sizeof(sources) - len,
                                "%ss%u",
                                n == 0 ? " WITH (sources = '" : ", ",
                                recipe->sources[n]);
    }
    if (recipe->source_count > 0) {
        (void)snprintf(sources + len, sizeof(sources) - len, "')");
    }
    char filter[64] = "";
    if (recipe->filtered) {
        (void)snprintf(filter, sizeof(filter), " WHERE data.x > %lld", (long long)recipe->x_above);
    }
    const char *groups = group_columns(recipe->group);
    bool grouped = groups[0] != '\0';
    int written = snprintf(
        text,
        cap,
        "CREATE METRIC %s%s AS SELECT %s%scount(*) AS n, count(data.x) AS c, sum(data.x) AS s, "
        "min(data.x) AS lo, max(data.x) AS hi FROM TUMBLE(events, time, INTERVAL '%lld seconds')%s"
        "%s%s ALLOW LATENESS INTERVAL '%lld seconds'",
        recipe->name,
        sources,
        groups,
        grouped ? ", " : "",
        (long long)(recipe->window_us / SECOND),
        filter,
        grouped ? " GROUP BY " : "",
        groups,
        (long long)(recipe->lateness_us / SECOND));
    CHECK(written > 0 && (size_t)written < cap);
    return bytes_of_string(text);
}
