/* tidemark ingest over HTTP: each worker of the crew has a connection of its own.
 *
 *     load ─► slices of at most --batch lines ─► POST /v1/events ─► 200: counted
 *                                                    │ 429, 503, 507, or the connection broke:
 *                                                    └─► wait, then the same slice again
 *
 * Sending a slice again is safe: the server counts the same (source, id) once. */
#include "apps/answer_json.h"
#include "apps/ingest.h"
#include "apps/say.h"
#include "apps/server.h"
#include "apps/terminal.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_US 100000
#define BACKOFF_MAX_US   2000000
#define RETRY_AFTER_MAX  30

struct sender {
    struct http_client *client;
    uint8_t *array; /* --form batch: the JSON array */
};

struct senders {
    const struct settings *settings;
    struct http_url url;
    uint64_t batch;
    bool as_array;
    int64_t patience_us;
    int64_t timeout_us;
    struct sender senders[CREW_MAX];
};

/* A slice with its own first line and load, on its way. */
struct slice {
    struct load *load;
    struct bytes text;
    uint64_t first_line;
    uint64_t events;
};

static bool sender_begin(void *ctx, uint32_t worker)
{
    struct senders *senders = ctx;
    struct sender *sender = &senders->senders[worker];
    sender->client = http_client_create(&senders->url, senders->timeout_us);
    sender->array = senders->as_array ? malloc(LOAD_BYTES + 16) : NULL;
    return sender->client != NULL && (!senders->as_array || sender->array != NULL);
}

static void sender_end(void *ctx, uint32_t worker)
{
    struct senders *senders = ctx;
    http_client_destroy(senders->senders[worker].client);
    free(senders->senders[worker].array);
}

/* The next slice of the load's text. */
static bool slice_take(struct bytes *rest, uint64_t lines_max, struct slice *slice)
{
    const uint8_t *begin = rest->data;
    struct bytes line;
    uint64_t lines = 0;
    slice->events = 0;
    while (lines < lines_max && line_take(rest, &line)) {
        slice->events += line_is_blank(line) ? 0 : 1;
        lines++;
    }
    slice->text = bytes_of(begin, (size_t)(rest->data - begin));
    return lines > 0;
}

/* Lines as one JSON array. */
static struct bytes array_make(const struct sender *sender, struct bytes text)
{
    struct buf out = buf_of(sender->array, LOAD_BYTES + 16);
    struct bytes line;
    buf_put_u8(&out, '[');
    while (line_take(&text, &line)) {
        if (!line_is_blank(line)) {
            if (out.len > 1) {
                buf_put_u8(&out, ',');
            }
            buf_put_bytes(&out, line);
        }
    }
    buf_put_u8(&out, ']');
    return buf_bytes(&out);
}

static void refusals_take(const struct slice *slice, struct bytes body)
{
    struct tally_of_events *tally = &slice->load->tally;
    struct json_value list;
    struct json_value name;
    struct json_value item;
    if (!json_member(body, "rejected", &list)) {
        return;
    }
    struct json_walk walk = json_walk_of(list.text);
    while (tally->shown < REFUSALS_SHOWN && json_walk_next(&walk, &name, &item)) {
        struct refused_event *refused = &tally->refusals[tally->shown++];
        int64_t index = json_member_number(item.text, "index", 0);
        refused->line = slice->first_line + event_line(slice->text, (uint64_t)index);
        json_member_text(item.text, "id", refused->id, sizeof(refused->id));
        json_member_text(item.text, "detail", refused->detail, sizeof(refused->detail));
    }
}

/* What a final answer says about the slice's events. False: it is no answer about events, and goes
 * for all that follows too. */
static bool answer_take(const struct slice *slice, const struct http_client_response *response)
{
    struct load *load = slice->load;
    struct tally_of_events *tally = &load->tally;
    char detail[sizeof(load->failure) - 40];
    bool json = json_text_valid(response->body);
    int64_t accepted = json ? json_member_number(response->body, "accepted", -1) : -1;
    if (response->status != 200 && response->status != 400 && response->status != 422) {
        json_member_text(json ? response->body : BYTES("{}"), "detail", detail, sizeof(detail));
        load->exit_code = response->status >= 500 ? EXIT_CODE_UNREACHABLE : EXIT_CODE_REFUSED;
        text_put(load->failure,
                 sizeof(load->failure),
                 "the server refuses, status %d: %s",
                 response->status,
                 detail);
        return false;
    }
    if (response->status == 200 && accepted < 0) {
        load->exit_code = EXIT_CODE_UNREACHABLE;
        text_put(load->failure, sizeof(load->failure), "the server's answer can't be understood");
        return false;
    }
    uint64_t taken = accepted > 0 ? (uint64_t)accepted : 0;
    tally->sent += slice->events;
    tally->accepted += taken;
    tally->rejected += slice->events > taken ? slice->events - taken : 0;
    if (json) {
        size_t shown = tally->shown;
        refusals_take(slice, response->body);
        if (response->status != 200 && tally->shown == shown && shown < REFUSALS_SHOWN) {
            struct refused_event *refused = &tally->refusals[tally->shown++];
            *refused = (struct refused_event){.line = slice->first_line};
            json_member_text(response->body, "detail", refused->detail, sizeof(refused->detail));
        }
    }
    return true;
}

static bool answer_is_for_now(int status)
{
    return status == 429 || status == 503 || status == 507 || status == 408;
}

/* Sends one slice until it is answered for good, or patience is at its end. */
static bool
slice_send(const struct senders *senders, const struct sender *sender, const struct slice *slice)
{
    struct load *load = slice->load;
    const struct http_client_request request = {
        .method = "POST",
        .target = "/v1/events",
        .content_type =
            senders->as_array ? "application/cloudevents-batch+json" : "application/x-ndjson",
        .body = senders->as_array ? array_make(sender, slice->text) : slice->text,
    };
    int64_t give_up_us = steady_us() + senders->patience_us;
    int64_t backoff_us = BACKOFF_FIRST_US;
    for (;;) {
        struct http_client_response response;
        enum err err = http_client_exchange(sender->client, &request, &response);
        if (err == OK && !answer_is_for_now(response.status)) {
            return answer_take(slice, &response);
        }
        int64_t wait_us = backoff_us;
        if (err == OK && response.head.retry_after_s > 0) {
            int64_t seconds = response.head.retry_after_s;
            wait_us = (seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds) * 1000000;
        }
        if (steady_us() + wait_us > give_up_us || !sleep_us(wait_us)) {
            load->exit_code = EXIT_CODE_UNREACHABLE;
            if (err == OK) {
                text_put(load->failure,
                         sizeof(load->failure),
                         "the server takes nothing more, status %d",
                         response.status);
            } else {
                text_put(
                    load->failure, sizeof(load->failure), "%s", http_client_error(sender->client));
            }
            return false;
        }
        load->tally.again++;
        backoff_us = backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : backoff_us * 2;
    }
}

static void sender_work(void *ctx, uint32_t worker, struct load *load)
{
    struct senders *senders = ctx;
    struct bytes rest = buf_bytes(&load->text);
    struct slice slice = {.load = load, .first_line = load->first_line};
    while (slice_take(&rest, senders->batch, &slice)) {
        if (slice.events > 0 && !slice_send(senders, &senders->senders[worker], &slice)) {
            return;
        }
        slice.first_line += count_lines(slice.text);
    }
}

/* PUT or POST of a small JSON to the default lane. */
static int lane_say(struct server *server, const char *method, const char *target, const char *body)
{
    struct http_client_response response;
    const struct http_client_request request = {
        .method = method,
        .target = target,
        .content_type = "application/json",
        .body = bytes_of_string(body),
    };
    int code = server_ask(server, &request, &response);
    if (code == EXIT_CODE_OK && response.status >= 300) {
        code = problem_complain(&response, (struct bytes){0});
    }
    return code;
}

static int disorder_set(struct server *server, int64_t us)
{
    char body[96];
    struct buf out = buf_of(body, sizeof(body) - 1);
    buf_put_text(&out, "{\"watermark\":\"bounded\",\"disorder\":\"");
    duration_put(&out, us);
    buf_put_text(&out, "\"}");
    body[out.len] = '\0';
    return lane_say(server, "PUT", "/v1/sources/%2A", body);
}

static int
events_send(const struct command *command, struct senders *senders, struct ingest_run *run)
{
    uint32_t connections = (uint32_t)setting_number(command->settings, OPTION_INGEST_CONNECTIONS);
    const struct crew_work work = {
        .begin = sender_begin, .work = sender_work, .end = sender_end, .ctx = senders};
    run->crew = crew_create(connections, &work);
    if (run->crew == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    int code = ingest_pump(run);
    crew_destroy(run->crew);
    return code;
}

int ingest_over_http(const struct command *command, struct feed *feed)
{
    const struct settings *settings = command->settings;
    static struct senders senders; /* large */
    struct server server;
    struct ingest_run run = {.command = command, .feed = feed};
    int code = server_open(&server, settings);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    senders = (struct senders){
        .settings = settings,
        .url = server.url,
        .batch = (uint64_t)setting_number(settings, OPTION_INGEST_BATCH),
        .as_array = strcmp(setting_text(settings, OPTION_FORM), "batch") == 0,
        .patience_us = setting_number(settings, OPTION_PATIENCE),
        .timeout_us = setting_number(settings, OPTION_TIMEOUT),
    };
    if (setting_given(settings, OPTION_DISORDER)) {
        code = disorder_set(&server, setting_number(settings, OPTION_DISORDER));
    }
    if (code == EXIT_CODE_OK) {
        code = events_send(command, &senders, &run);
        if (code == EXIT_CODE_OK && setting_flag(settings, OPTION_FINAL)) {
            code = lane_say(&server, "POST", "/v1/sources/%2A/watermark", "{\"final\":true}");
        }
        int refused = ingest_summary(&run);
        code = code != EXIT_CODE_OK ? code : refused;
    }
    server_close(&server);
    return code;
}
