#include "world.h"

#include "base/check.h"
#include "host/result.h"

#include <stdlib.h>

#define SEED             0x5eedu
#define SHARED_BYTES     ((size_t)16 << 20)
#define PARTITION_BYTES  ((size_t)8 << 20)
#define DEDUP_BYTES      ((size_t)1 << 20)
#define LATE_BYTES       ((size_t)1 << 16)
#define TIMEOUTS_MAX     10000
#define TIMEOUTS_BYTES   ((size_t)2 << 20)
#define FEED_BYTES       ((size_t)1 << 20)
#define FEED_KEEP_US     (7 * US_PER_DAY)
#define ROUNDS_MAX       1000000u
#define PASS_STRIDE_US   10000
#define PASS_STRIDES_MAX 1000

/* --- the machine --- */

void machine_init(struct machine *machine)
{
    memory_log_init(&machine->log);
    memory_snapshots_init(&machine->snapshots);
    machine->now_us = WORLD_TIME(0);
}

void machine_deinit(struct machine *machine)
{
    memory_log_deinit(&machine->log);
    memory_snapshots_deinit(&machine->snapshots);
}

static struct clock_time clock_wall(void *ctx)
{
    const struct machine *machine = ctx;
    return (struct clock_time){machine->now_us};
}

static int64_t clock_boot_us(void *ctx)
{
    const struct machine *machine = ctx;
    return machine->now_us - WORLD_TIME(-1000);
}

static const struct clock_ops clock_ops = {.wall = clock_wall, .boot_us = clock_boot_us};

static struct clock_port machine_clock(struct machine *machine)
{
    return (struct clock_port){.ops = &clock_ops, .ctx = machine};
}

/* --- starting --- */

static void fill_defaults(struct world_options *options)
{
    options->runners = options->runners == 0 ? 1 : options->runners;
    options->partitions = options->partitions == 0 ? 4 : options->partitions;
    options->gateways = options->gateways == 0 ? 1 : options->gateways;
    options->letters_max = options->letters_max == 0 ? 1000 : options->letters_max;
    options->bytes_max = options->bytes_max == 0 ? (size_t)32 << 20 : options->bytes_max;
    options->pulse_every_us = options->pulse_every_us == 0 ? 20000 : options->pulse_every_us;
    options->dedup_horizon_us =
        options->dedup_horizon_us == 0 ? US_PER_DAY : options->dedup_horizon_us;
    options->replay_until = options->replay_until == 0 ? UINT64_MAX : options->replay_until;
}

static void *region(struct world *world, size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(memory != NULL);
    world->regions[world->region_count++] = memory;
    return memory;
}

static void make_runners(struct world *world)
{
    const struct world_options *options = &world->options;
    struct engine_limits limits = {
        .partitions = options->partitions,
        .seed = SEED,
        .dedup_bytes = DEDUP_BYTES,
        .dedup_horizon_us = options->dedup_horizon_us,
        .late_bytes = LATE_BYTES,
        .timeouts_max = TIMEOUTS_MAX,
        .timeouts_ended = TIMEOUTS_MAX,
        .timeouts_bytes = TIMEOUTS_BYTES,
        .feed_bytes = FEED_BYTES,
        .feed_keep_us = FEED_KEEP_US,
        .watch_bytes = (size_t)4 << 20,
        .watch_ended = 10000,
    };
    for (uint32_t n = 0; n < options->runners; n++) {
        struct engine *engine = region(world, sizeof(*engine));
        engine_init(engine, &limits, region(world, SHARED_BYTES), SHARED_BYTES);
        for (uint32_t p = n; p < options->partitions; p += options->runners) {
            engine_own(engine, p, region(world, PARTITION_BYTES), PARTITION_BYTES);
            world->owners[p] = engine;
        }
        runner_init(&world->runners[n],
                    n,
                    &world->post,
                    machine_clock(world->machine),
                    engine,
                    world->owners);
    }
}

static void make_gateways(struct world *world)
{
    for (uint32_t n = 0; n < world->options.gateways; n++) {
        struct gateway_options options = {
            .post = &world->post,
            .thread = n,
            .clock = machine_clock(world->machine),
            .facts = {.seed = SEED,
                      .partitions = world->options.partitions,
                      .runner_count = world->options.runners,
                      .dedup_horizon_us = world->options.dedup_horizon_us,
                      .started = {world->machine->now_us}},
            .peers = world->gateways,
            .peer_count = world->options.gateways,
            .bytes_max = world->options.bytes_max,
            .letters_max = world->options.letters_max,
        };
        world->gateways[n] = gateway_create(&options);
        CHECK(world->gateways[n] != NULL);
    }
}

/* Everyone but the sequencer, which is busy reading its log. */
static void others_take_turns(void *ctx)
{
    struct world *world = ctx;
    bool busy = true;
    world->machine->now_us += world->options.read_us;
    for (uint32_t round = 0; busy; round++) {
        CHECK(round < ROUNDS_MAX);
        busy = false;
        for (uint32_t part = POST_RUNNERS; part < world_part_count(world); part++) {
            busy |= world_step(world, part);
        }
    }
}

bool world_start(struct world *world, struct machine *machine, const struct world_options *options)
{
    *world = (struct world){.options = *options, .machine = machine};
    fill_defaults(&world->options);
    CHECK(post_init(&world->post, world->options.runners, world->options.gateways));
    make_runners(world);
    make_gateways(world);
    world->genesis = (struct genesis){
        .partitions = world->options.partitions, .seed = SEED, .created = {WORLD_TIME(0)}};
    struct sequencer_options sequencer_options = {
        .post = &world->post,
        .clock = machine_clock(machine),
        .log = memory_log_port(&machine->log),
        .log_reader = memory_log_reader_port(&machine->log),
        .snapshot = memory_snapshots_port(&machine->snapshots),
        .runners = world->runners,
        .genesis = world->genesis,
        .pulse_every_us = world->options.pulse_every_us,
        .pause_us = world->options.pause_us,
        .snapshot_every_bytes = world->options.snapshot_every_bytes,
        .replay_until = world->options.replay_until,
    };
    CHECK(sequencer_init(&world->sequencer, &sequencer_options));
    world->librarian = librarian_create(
        &world->post, memory_log_reader_port(&machine->log), machine_clock(machine));
    CHECK(world->librarian != NULL);
    machine->log.durable = sequencer_durable;
    machine->log.durable_ctx = &world->sequencer;
    machine->log.on_read = others_take_turns;
    machine->log.on_read_ctx = world;
    if (!world->options.ignore_snapshots &&
        !sequencer_restore(&world->sequencer, &world->replay_from)) {
        return false;
    }
    world->replayed = sequencer_replay(&world->sequencer, world->replay_from);
    machine->log.on_read = NULL; /* the librarian reads within a turn of its own */
    return true;
}

/* --- ending --- */

static void ticket_free(struct ticket *ticket)
{
    inspection_free(&ticket->inspection);
    query_free(&ticket->query);
    scan_free(&ticket->scan);
    free(ticket->memory);
    free(ticket->results);
    free(ticket);
}

/* Letters that are heap-allocated by their sender may still be on their way. */
static void drop_letters(struct world *world)
{
    for (uint32_t n = 0; n < world->options.gateways; n++) {
        for (struct letter *letter;
             (letter = post_take(&world->post, post_network(&world->post, n))) != NULL;) {
            if (letter->kind == LETTER_SKEWS) {
                free(letter);
            }
        }
    }
}

void world_stop(struct world *world)
{
    drop_letters(world);
    for (uint32_t n = 0; n < world->options.gateways; n++) {
        gateway_destroy(world->gateways[n]);
    }
    librarian_destroy(world->librarian);
    sequencer_deinit(&world->sequencer);
    post_deinit(&world->post);
    for (uint32_t n = 0; n < world->region_count; n++) {
        free(world->regions[n]);
    }
    for (struct ticket *next; world->tickets != NULL; world->tickets = next) {
        next = world->tickets->next;
        ticket_free(world->tickets);
    }
    memory_snapshots_crash(&world->machine->snapshots);
}

/* --- turns --- */

uint32_t world_part_count(const struct world *world)
{
    return world->post.address_count;
}

bool world_step(struct world *world, uint32_t part)
{
    CHECK(part < world_part_count(world));
    if (part == POST_SEQUENCER) {
        bool busy = sequencer_step(&world->sequencer);
        return busy || world->sequencer.submitted;
    }
    if (part == POST_LIBRARIAN) {
        return librarian_step(world->librarian);
    }
    if (part < post_network(&world->post, 0)) {
        return runner_step(&world->runners[part - POST_RUNNERS]);
    }
    return gateway_step(world->gateways[part - post_network(&world->post, 0)]);
}

void world_settle(struct world *world)
{
    bool busy = true;
    for (uint32_t round = 0; busy; round++) {
        CHECK(round < ROUNDS_MAX);
        busy = false;
        for (uint32_t part = 0; part < world_part_count(world); part++) {
            busy |= world_step(world, part);
        }
    }
}

void world_pass(struct world *world, int64_t us)
{
    int64_t end = world->machine->now_us + us;
    int64_t stride =
        us / PASS_STRIDES_MAX > PASS_STRIDE_US ? us / PASS_STRIDES_MAX : PASS_STRIDE_US;
    world_settle(world);
    while (world->machine->now_us < end) {
        int64_t next = world->machine->now_us + stride;
        world->machine->now_us = next < end ? next : end;
        world_settle(world);
    }
}

void world_drain(struct world *world)
{
    world->sequencer.final_pulse = true;
    for (uint32_t round = 0; !sequencer_is_idle(&world->sequencer); round++) {
        CHECK(round < ROUNDS_MAX);
        world_settle(world);
    }
    world->sequencer.final_pulse = false;
}

uint64_t world_digest(struct world *world)
{
    for (uint32_t n = 0; n < world->options.runners; n++) {
        CHECK(world->runners[n].state == RUNNER_IDLE);
        engine_validate(world->runners[n].engine);
    }
    return sequencer_digest(&world->sequencer);
}

/* --- asking --- */

static void ticket_done(struct letter *letter)
{
    struct ticket *ticket = letter->user;
    ticket->done++;
    CHECK(ticket->done == 1);
}

static struct ticket *ticket_create(struct world *world, enum ticket_kind kind)
{
    struct ticket *ticket = calloc(1, sizeof(*ticket));
    CHECK(ticket != NULL);
    ticket->kind = kind;
    ticket->next = world->tickets;
    world->tickets = ticket;
    struct letter letter = {.done = ticket_done, .user = ticket};
    ticket->proposal.letter = letter;
    ticket->inspection.letter = letter;
    ticket->query.letter = letter;
    ticket->scan.letter = letter;
    return ticket;
}

struct ticket *world_tell(struct world *world,
                          uint32_t gateway,
                          const struct telling *events,
                          uint32_t count,
                          bool wants_applied)
{
    static struct batch_writer writer; /* large, and used within this call only */
    struct ticket *ticket = ticket_create(world, TICKET_PROPOSAL);
    size_t bytes = 256;
    for (uint32_t n = 0; n < count; n++) {
        bytes += events[n].source.len + events[n].id.len + events[n].subject.len +
                 events[n].data.len + 128;
    }
    ticket->memory = malloc(bytes);
    CHECK(ticket->memory != NULL);
    batch_writer_init(&writer, SEED, world->options.partitions);
    batch_writer_reset(&writer, ticket->memory, bytes);
    batch_begin(&writer, gateway_now(world->gateways[gateway]), (struct event_time){WORLD_TIME(0)});
    for (uint32_t n = 0; n < count; n++) {
        struct event event = {.source = events[n].source,
                              .id = events[n].id,
                              .type = BYTES("told"),
                              .subject = events[n].subject,
                              .data = events[n].data,
                              .time = {events[n].time_us},
                              .flags = EVENT_HAS_TIME | EVENT_HAS_SUBJECT};
        event.flags |= events[n].data.len > 0 ? EVENT_HAS_DATA : 0;
        CHECK(batch_add(&writer, &event));
    }
    batch_end(&writer);
    ticket->proposal.kind = PROPOSE_EVENTS;
    ticket->proposal.records = buf_bytes(&writer.out);
    ticket->proposal.event_count = count;
    ticket->proposal.wants_applied = wants_applied;
    ticket->refused = gateway_propose(world->gateways[gateway], &ticket->proposal);
    return ticket;
}

struct ticket *world_command(struct world *world,
                             uint32_t gateway,
                             const struct timeout_command *commands,
                             uint32_t count)
{
    struct ticket *ticket = ticket_create(world, TICKET_PROPOSAL);
    size_t bytes = 64;
    for (uint32_t n = 0; n < count; n++) {
        bytes += timeout_command_bytes_max(&commands[n]);
    }
    ticket->memory = malloc(bytes);
    ticket->results = calloc(count, sizeof(*ticket->results));
    CHECK(ticket->memory != NULL && ticket->results != NULL);
    struct buf out = buf_of(ticket->memory, bytes);
    size_t start = timeouts_begin(&out, count);
    for (uint32_t n = 0; n < count; n++) {
        uint64_t hash = timeout_hash(commands[n].key, SEED);
        timeout_command_put(&out, &commands[n], timeout_partition(hash, world->options.partitions));
    }
    record_end(&out, start);
    CHECK(!out.overflow);
    ticket->proposal.kind = PROPOSE_TIMEOUTS;
    ticket->proposal.records = buf_bytes(&out);
    ticket->proposal.event_count = count;
    ticket->proposal.results = ticket->results;
    ticket->refused = gateway_propose(world->gateways[gateway], &ticket->proposal);
    return ticket;
}

struct ticket *world_propose(struct world *world, const struct proposal *proposal)
{
    struct ticket *ticket = ticket_create(world, TICKET_PROPOSAL);
    struct letter letter = ticket->proposal.letter;
    ticket->proposal = *proposal;
    ticket->proposal.letter = letter;
    size_t bytes = proposal->name.len + proposal->definition.len + proposal->records.len;
    ticket->memory = malloc(bytes + 1);
    CHECK(ticket->memory != NULL);
    struct buf copy = buf_of(ticket->memory, bytes);
    buf_put_bytes(&copy, proposal->name);
    buf_put_bytes(&copy, proposal->definition);
    ticket->proposal.name = bytes_of(ticket->memory, proposal->name.len);
    ticket->proposal.definition =
        bytes_of(ticket->memory + proposal->name.len, proposal->definition.len);
    size_t records_at = copy.len;
    buf_put_bytes(&copy, proposal->records);
    ticket->proposal.records = bytes_of(ticket->memory + records_at, proposal->records.len);
    ticket->refused = gateway_propose(world->gateways[0], &ticket->proposal);
    return ticket;
}

struct ticket *world_define(struct world *world, struct bytes sql, enum define_mode mode)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static uint8_t encoded[DEFINITION_BYTES_MAX];
    struct arena arena = arena_of(memory, sizeof(memory));
    struct statement statement;
    struct error error = {0};
    CHECK(lang_parse(sql, &arena, &statement, &error) == OK);
    bool rule = statement.kind == STATEMENT_CREATE_RULE;
    CHECK(rule || statement.kind == STATEMENT_CREATE_METRIC);
    struct buf out = buf_of(encoded, sizeof(encoded));
    if (rule) {
        rule_put(&out, &statement.rule);
    } else {
        definition_put(&out, &statement.definition);
    }
    CHECK(!out.overflow);
    struct proposal proposal = {.kind = rule ? PROPOSE_RULE_DEFINE : PROPOSE_DEFINE,
                                .name = statement.name,
                                .definition = buf_bytes(&out),
                                .mode = mode};
    return world_propose(world, &proposal);
}

struct ticket *world_inspect(struct world *world, enum inspection_kind kind, const char *name)
{
    struct ticket *ticket = ticket_create(world, TICKET_INSPECTION);
    ticket->inspection.kind = kind;
    ticket->inspection.name = name == NULL ? (struct bytes){0} : bytes_of_string(name);
    ticket->refused = gateway_inspect(world->gateways[0], &ticket->inspection);
    return ticket;
}

static struct ticket *
ask(struct world *world, enum query_kind kind, struct bytes metric, uint64_t min_as_of)
{
    struct ticket *ticket = ticket_create(world, TICKET_QUERY);
    ticket->query.kind = kind;
    ticket->query.metric = metric;
    ticket->query.from = INT64_MIN;
    ticket->query.to = INT64_MAX;
    ticket->query.limit = 100000;
    ticket->query.min_as_of = min_as_of;
    ticket->query.deadline.us = world->machine->now_us + US_PER_SECOND;
    ticket->refused = gateway_query(world->gateways[0], &ticket->query);
    return ticket;
}

struct ticket *world_values(struct world *world, const char *metric, uint64_t min_as_of)
{
    return ask(world, QUERY_VALUES, bytes_of_string(metric), min_as_of);
}

struct ticket *world_stats(struct world *world)
{
    return ask(world, QUERY_STATS, (struct bytes){0}, 0);
}

struct ticket *world_ask(struct world *world, const struct query *query)
{
    struct ticket *ticket = ticket_create(world, TICKET_QUERY);
    struct letter letter = ticket->query.letter;
    ticket->query = *query;
    ticket->query.letter = letter;
    ticket->query.deadline.us = world->machine->now_us + US_PER_SECOND;
    ticket->refused = gateway_query(world->gateways[0], &ticket->query);
    return ticket;
}

struct ticket *world_scan(struct world *world, const struct scan *scan)
{
    struct ticket *ticket = ticket_create(world, TICKET_SCAN);
    struct letter letter = ticket->scan.letter;
    ticket->scan = *scan;
    ticket->scan.letter = letter;
    if (scan->deadline.us == 0) {
        ticket->scan.deadline.us = world->machine->now_us + US_PER_SECOND;
    }
    ticket->refused = gateway_scan(world->gateways[0], &ticket->scan);
    return ticket;
}

/* --- reading answers --- */

int64_t world_stat(struct world *world, const char *counter, const char *metric)
{
    const struct ticket *ticket = world_stats(world);
    CHECK(ticket->refused == OK);
    world_settle(world);
    CHECK(ticket->done == 1);
    int64_t sum = 0;
    for (uint32_t n = 0; n < ticket->query.runner_count; n++) {
        struct reader in = reader_of(buf_bytes(&ticket->query.answers[n].rows));
        while (reader_left(&in) > 0) {
            (void)read_u32(&in);
            struct bytes name = read_string(&in);
            struct bytes of = read_string(&in);
            int64_t value = read_i64(&in);
            CHECK(!in.bad);
            if (bytes_equal(name, bytes_of_string(counter)) &&
                bytes_equal(of, bytes_of_string(metric))) {
                sum += value;
            }
        }
    }
    return sum;
}
