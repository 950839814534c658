/* tidemark ingest --data: no server, no HTTP; the crew's workers parse and propose by themselves.
 *
 *     load ─► parse its lines ─► a chunk of records ─► propose ─► durable: counted, chunk free
 *             (the text is not needed any more)       └─ at most CHUNKS under way per worker
 *
 * Worker n asks through gateway n; gateway `workers` belongs to the main thread. A load is given
 * back as soon as its text is encoded, so what became of its events is told by the worker at its
 * end. */
#include "api/event_json.h"
#include "api/tally.h"
#include "apps/direct.h"
#include "apps/ingest.h"
#include "apps/node_settings.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"
#include "model/batch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNKS       4
#define CHUNK_MARGIN ((size_t)64 * 1024)
#define CHUNK_BYTES  (LOAD_BYTES + CHUNK_MARGIN)
#define WAIT_US      20000

struct direct_chunk {
    struct proposal proposal;
    struct direct_worker *worker;
    bool under_way;
    bool batch_open;
    uint64_t events;
    uint8_t *memory;
};

struct direct_worker {
    struct node *node;
    uint32_t number;
    struct batch_writer *writer;
    struct memory texts;
    struct buf extensions;
    struct direct_chunk chunks[CHUNKS];
    struct tally_of_events durable; /* accepted events whose chunk came back */
    enum err failed;
    char failure[DETAIL_BYTES];
};

struct direct_crew {
    struct node *node;
    int64_t patience_us;
    struct direct_worker workers[CREW_MAX];
};

static bool worker_begin(void *ctx, uint32_t number)
{
    struct direct_crew *crew = ctx;
    struct direct_worker *worker = &crew->workers[number];
    const struct gateway_facts *facts = gateway_facts(node_gateway(crew->node, number));
    worker->node = crew->node;
    worker->number = number;
    worker->writer = malloc(sizeof(*worker->writer));
    uint8_t *extensions = malloc(EVENT_BYTES_MAX);
    worker->extensions = buf_of(extensions, EVENT_BYTES_MAX);
    bool good = worker->writer != NULL && extensions != NULL;
    for (size_t i = 0; i < CHUNKS; i++) {
        worker->chunks[i].worker = worker;
        worker->chunks[i].memory = malloc(CHUNK_BYTES);
        good = good && worker->chunks[i].memory != NULL;
    }
    if (good) {
        batch_writer_init(worker->writer, facts->seed, facts->partitions);
    }
    return good;
}

static void chunk_done(struct letter *letter)
{
    struct direct_chunk *chunk = letter->user;
    struct direct_worker *worker = chunk->worker;
    chunk->under_way = false;
    if (chunk->proposal.err == OK) {
        worker->durable.accepted += chunk->events;
    } else if (worker->failed == OK) {
        worker->failed = chunk->proposal.err;
        text_put(worker->failure, sizeof(worker->failure), "%s", chunk->proposal.detail);
    }
}

static void letters_take(struct direct_worker *worker)
{
    if (!node_gateway_step(worker->node, worker->number)) {
        node_wait(worker->node, worker->number, WAIT_US);
        (void)node_gateway_step(worker->node, worker->number);
    }
}

static struct direct_chunk *chunk_free(struct direct_worker *worker)
{
    for (;;) {
        for (size_t i = 0; i < CHUNKS; i++) {
            if (!worker->chunks[i].under_way) {
                return &worker->chunks[i];
            }
        }
        letters_take(worker);
    }
}

static void worker_end(void *ctx, uint32_t number)
{
    struct direct_crew *crew = ctx;
    struct direct_worker *worker = &crew->workers[number];
    for (size_t i = 0; i < CHUNKS; i++) {
        while (worker->chunks[i].under_way) {
            letters_take(worker);
        }
        free(worker->chunks[i].memory);
    }
    free(worker->writer);
    free(worker->extensions.data);
}

/* --- Parsing --- */

static bool
chunk_add(struct direct_worker *worker, struct direct_chunk *chunk, const struct event *event)
{
    struct batch_writer *writer = worker->writer;
    if (!chunk->batch_open) {
        batch_begin(writer, event->arrival, event->time);
        chunk->batch_open = true;
    }
    if (!batch_add(writer, event)) {
        batch_end(writer);
        batch_begin(writer, event->arrival, event->time);
        if (!batch_add(writer, event)) {
            return false;
        }
    }
    chunk->events++;
    return true;
}

static void refuse(struct load *load, uint64_t line, const struct refusal *refusal)
{
    struct tally_of_events *tally = &load->tally;
    tally->rejected++;
    if (tally->shown < REFUSALS_SHOWN) {
        struct refused_event *refused = &tally->refusals[tally->shown++];
        char words[200];
        refusal_words(refusal, words, sizeof(words));
        refused->line = line;
        text_put(refused->detail, sizeof(refused->detail), "%s", words);
        text_put(refused->id,
                 sizeof(refused->id),
                 "%.*s",
                 (int)(refusal->id.len < 60 ? refusal->id.len : 60),
                 refusal->id.data == NULL ? "" : (const char *)refusal->id.data);
    }
}

static void line_parse(struct direct_worker *worker,
                       struct event_reader *reader,
                       struct bytes line,
                       struct direct_chunk *chunk,
                       struct refusal *refusal)
{
    struct json_scanner scanner = json_scanner_of(line);
    struct event event;
    enum err err = event_read_json(reader, &scanner, &event, refusal);
    if (err == OK) {
        err = json_end(&scanner);
    }
    if (err != OK) {
        *refusal = (struct refusal){.err = err, .detail = "the line is not one JSON text"};
        return;
    }
    if (refusal->err == OK && event.time.us > event.arrival.us) {
        struct gateway *gateway = node_gateway(worker->node, worker->number);
        if (event.time.us > gateway_time_limit(gateway, event.source).us) {
            *refusal =
                (struct refusal){.err = ERR_FUTURE,
                                 .member = BYTES("time"),
                                 .detail = "it lies further ahead than this source may speak",
                                 .id = event.id};
        }
    }
    if (refusal->err == OK && !chunk_add(worker, chunk, &event)) {
        *refusal = (struct refusal){.err = ERR_EVENT_TOO_LARGE, .id = event.id};
    }
}

static void load_parse(struct direct_worker *worker, struct load *load, struct direct_chunk *chunk)
{
    struct event_reader reader = {
        .memory = &worker->texts,
        .extensions = worker->extensions,
        .now = gateway_now(node_gateway(worker->node, worker->number)),
    };
    struct bytes rest = buf_bytes(&load->text);
    struct bytes line;
    uint64_t number = load->first_line;
    batch_writer_reset(worker->writer, chunk->memory, CHUNK_BYTES);
    chunk->batch_open = false;
    chunk->events = 0;
    for (; line_take(&rest, &line); number++) {
        if (line_is_blank(line)) {
            continue;
        }
        struct refusal refusal = {.err = OK};
        load->tally.sent++;
        line_parse(worker, &reader, line, chunk, &refusal);
        if (refusal.err != OK) {
            refuse(load, number, &refusal);
        }
    }
    if (chunk->batch_open) {
        batch_end(worker->writer);
    }
    memory_free(&worker->texts);
}

/* Until it was taken, or can't be. The place keeps the file's order, whichever worker is faster; so
 * a chunk without events is proposed as well. */
static void chunk_propose(const struct direct_crew *crew,
                          struct direct_worker *worker,
                          struct direct_chunk *chunk,
                          uint64_t place)
{
    struct bytes records = buf_bytes(&worker->writer->out);
    int64_t give_up_us = steady_us() + crew->patience_us;
    enum err err = OK;
    CHECK(chunk->events <= UINT32_MAX);
    do {
        chunk->proposal = (struct proposal){
            .letter = {.done = chunk_done, .user = chunk},
            .kind = PROPOSE_EVENTS,
            .records = records,
            .event_count = (uint32_t)chunk->events,
            .place = place,
        };
        err = gateway_propose(node_gateway(worker->node, worker->number), &chunk->proposal);
        if (err == ERR_OVERLOADED || err == ERR_NO_SPACE) {
            letters_take(worker);
        }
        /* Too much under way passes by itself; a full disk is waited for, but not for ever. */
    } while (err == ERR_OVERLOADED || (err == ERR_NO_SPACE && steady_us() < give_up_us));
    chunk->under_way = err == OK;
    if (err != OK && worker->failed == OK) {
        worker->failed = err;
        text_put(worker->failure, sizeof(worker->failure), "%s", err_text(err));
    }
}

static void worker_work(void *ctx, uint32_t number, struct load *load)
{
    struct direct_crew *crew = ctx;
    struct direct_worker *worker = &crew->workers[number];
    struct direct_chunk *chunk = chunk_free(worker);
    if (worker->failed == OK) {
        load_parse(worker, load, chunk);
        chunk_propose(crew, worker, chunk, load->place);
    }
    if (worker->failed != OK) {
        load->exit_code = EXIT_CODE_IO;
        text_put(load->failure, sizeof(load->failure), "%s", worker->failure);
    }
}

/* --- The whole --- */

static int lane_prepare(struct node *node, uint32_t gateway, const struct settings *settings)
{
    if (!setting_given(settings, OPTION_DISORDER)) {
        return EXIT_CODE_OK;
    }
    struct proposal proposal = {
        .kind = PROPOSE_SOURCE,
        .name = BYTES("*"),
        .source = {.kind = LANE_BOUNDED,
                   .disorder_us = setting_number(settings, OPTION_DISORDER),
                   .idle_after_us = 30 * US_PER_SECOND,
                   .max_future_skew_us = 5 * US_PER_MINUTE,
                   .name = BYTES("*")},
    };
    enum err err = direct_propose(node, gateway, &proposal);
    if (err != OK) {
        complain("--disorder: %s", err_text(err));
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

static int statements_run(struct node *node, uint32_t gateway, const struct settings *settings)
{
    const struct setting_texts *texts = &settings->texts[OPTION_SQL_FIRST];
    int code = EXIT_CODE_OK;
    for (size_t i = 0; i < texts->count && code == EXIT_CODE_OK; i++) {
        code = direct_sql(node, gateway, texts->items[i]);
    }
    return code;
}

static int lane_finish(struct node *node, uint32_t gateway)
{
    struct proposal proposal = {.kind = PROPOSE_LANE, .name = BYTES("*"), .command = LANE_FINISH};
    enum err err = direct_propose(node, gateway, &proposal);
    if (err != OK) {
        complain("--final: %s", err_text(err));
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

static int events_ingest(struct direct_crew *crew, uint32_t workers, struct ingest_run *run)
{
    const struct crew_work work = {
        .begin = worker_begin, .work = worker_work, .end = worker_end, .ctx = crew};
    run->crew = crew_create(workers, &work);
    if (run->crew == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    int code = ingest_pump(run);
    int64_t pumped_us = steady_us();
    crew_destroy(run->crew); /* waits for what is under way */
    run->us += steady_us() - pumped_us;
    for (uint32_t i = 0; i < workers; i++) {
        tally_add(&run->tally, &crew->workers[i].durable);
        if (crew->workers[i].failed != OK && code == EXIT_CODE_OK) {
            complain("%s", crew->workers[i].failure);
            code = EXIT_CODE_IO;
        }
    }
    return code;
}

int ingest_into_directory(const struct command *command, struct feed *feed)
{
    const struct settings *settings = command->settings;
    static struct direct_crew crew; /* large */
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wanted = (uint32_t)setting_number(settings, OPTION_THREADS);
    uint32_t workers = wanted > 0 ? wanted : cores > 0 && cores <= 16 ? (uint32_t)cores : 1;
    struct node_options options = node_settings(settings);
    struct node_start start;
    options.directory = setting_text(settings, OPTION_DATA);
    options.gateways = workers + 1;
    crew = (struct direct_crew){.patience_us = setting_number(settings, OPTION_PATIENCE)};
    int code = direct_open(&options, &crew.node, &start);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct ingest_run run = {.command = command, .feed = feed};
    code = lane_prepare(crew.node, workers, settings);
    if (code == EXIT_CODE_OK) {
        code = statements_run(crew.node, workers, settings);
    }
    if (code == EXIT_CODE_OK) {
        code = events_ingest(&crew, workers, &run);
        if (code == EXIT_CODE_OK && setting_flag(settings, OPTION_FINAL)) {
            code = lane_finish(crew.node, workers);
        }
        int refused = ingest_summary(&run);
        code = code != EXIT_CODE_OK ? code : refused;
    }
    node_close(crew.node);
    return code;
}
