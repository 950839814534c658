/* Many bodies to POST: see bench.h. Threads take numbers off one counter, so bodies go
 * out nearly in order. */
#include "apps/answer_json.h"
#include "apps/bench.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAUSE_US      20000
#define ATTEMPTS_MAX  3000
#define SPIN_BELOW_US 100

struct gun {
    struct blast *blast;
    _Atomic uint64_t *next;
    const struct http_url *url;
    uint32_t number;
    pthread_t thread;
    bool started;
    struct histogram acks;
    uint64_t accepted;
    uint64_t rejected;
    uint64_t repeated;
    char failure[200];
};

/* Sleeps to shortly before, then spins: the scheduler's slack would count as latency. */
static void wait_until(int64_t due_us)
{
    int64_t left = due_us - steady_us();
    if (left > SPIN_BELOW_US) {
        (void)sleep_us(left - SPIN_BELOW_US);
    }
    while (steady_us() < due_us) {
    }
}

/* The answer to events. */
static void events_judge(struct bytes answer, uint64_t *accepted, uint64_t *rejected)
{
    struct json_walk refusals = {.ended = true};
    struct json_value value;
    int64_t taken = json_member_number(answer, "accepted", 0);
    *accepted += taken > 0 ? (uint64_t)taken : 0;
    if (json_member(answer, "rejected", &value)) {
        refusals = json_walk_of(value.text);
    }
    while (json_walk_next(&refusals, &value, &value)) {
        (*rejected)++;
    }
}

static bool status_fail(struct gun *gun, const struct http_client_response *response)
{
    text_put(gun->failure,
             sizeof(gun->failure),
             "status %d: %.*s",
             response->status,
             (int)(response->body.len < 120 ? response->body.len : 120),
             (const char *)response->body.data);
    return false;
}

/* One body, until it is taken for good. */
static bool body_send(struct gun *gun, struct http_client *client, struct bytes body)
{
    const struct blast *blast = gun->blast;
    const struct http_client_request request = {
        .method = "POST",
        .target = blast->target != NULL ? blast->target : "/v1/events",
        .content_type = "application/x-ndjson",
        .body = body,
    };
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        struct http_client_response response;
        if (http_client_exchange(client, &request, &response) != OK) {
            text_put(gun->failure, sizeof(gun->failure), "%s", http_client_error(client));
            return false;
        }
        if (response.status == 200) {
            (blast->judge != NULL ? blast->judge
                                  : events_judge)(response.body, &gun->accepted, &gun->rejected);
            return true;
        }
        if (response.status != 429 && response.status != 503) {
            return status_fail(gun, &response);
        }
        gun->repeated++;
        (void)sleep_us(PAUSE_US);
    }
    text_put(gun->failure, sizeof(gun->failure), "the server is overloaded all the time");
    return false;
}

static void *gun_run(void *argument)
{
    struct gun *gun = argument;
    struct blast *blast = gun->blast;
    struct http_client *client =
        http_client_create(gun->url, setting_number(blast->settings, OPTION_TIMEOUT));
    if (client == NULL) {
        text_put(gun->failure, sizeof(gun->failure), "there is no memory left");
        return NULL;
    }
    for (;;) {
        uint64_t index = atomic_fetch_add(gun->next, 1);
        if (index >= blast->body_count || gun->failure[0] != '\0') {
            break;
        }
        struct bytes body = blast->body(blast->ctx, gun->number, index);
        int64_t start_us = steady_us();
        if (blast->due_us != NULL) {
            start_us = blast->due_us(blast->ctx, index);
            wait_until(start_us);
        }
        if (body_send(gun, client, body)) {
            histogram_add(&gun->acks, steady_us() - start_us);
        }
    }
    http_client_destroy(client);
    return NULL;
}

int blast_run(struct blast *blast)
{
    static struct gun guns[BLAST_CONNECTIONS_MAX];
    _Atomic uint64_t next = 0;
    struct http_url url;
    struct error error;
    int code = EXIT_CODE_OK;
    CHECK(blast->connections > 0 && blast->connections <= BLAST_CONNECTIONS_MAX);
    if (http_url_parse(setting_text(blast->settings, OPTION_URL), &url, &error) != OK) {
        complain("--url: %s", error.text);
        return EXIT_CODE_USAGE;
    }
    int64_t start_us = steady_us();
    for (uint32_t i = 0; i < blast->connections; i++) {
        guns[i] = (struct gun){.blast = blast, .next = &next, .url = &url, .number = i};
        guns[i].started = pthread_create(&guns[i].thread, NULL, gun_run, &guns[i]) == 0;
    }
    for (uint32_t i = 0; i < blast->connections; i++) {
        struct gun *gun = &guns[i];
        if (gun->started) {
            int rc = pthread_join(gun->thread, NULL);
            CHECK(rc == 0);
        }
        histogram_merge(&blast->acks, &gun->acks);
        blast->accepted += gun->accepted;
        blast->rejected += gun->rejected;
        blast->repeated += gun->repeated;
        if ((gun->failure[0] != '\0' || !gun->started) && code == EXIT_CODE_OK) {
            complain("%s", gun->started ? gun->failure : "no thread can be started");
            code = EXIT_CODE_UNREACHABLE;
        }
    }
    blast->us = steady_us() - start_us;
    return code;
}
