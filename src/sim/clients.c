#include "sim/clients.h"

#include "base/check.h"
#include "sim/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX       500
#define TEXT_BYTES      32
#define EVENT_BYTES     256 /* more than a row and its texts take */
#define BACK_OFF_MAX_MS 2000

/* A batch under way: in the process's memory, as the API would keep it. */
struct request {
    struct proposal proposal;
    bool answered;
    uint8_t records[];
};

struct event_texts {
    char source[TEXT_BYTES];
    char id[TEXT_BYTES];
    char type[TEXT_BYTES];
    char subject[TEXT_BYTES];
    char data[TEXT_BYTES];
};

bool clients_init(struct clients *clients,
                  const struct plan *plan,
                  struct choice *choice,
                  struct journal *journal)
{
    *clients = (struct clients){.plan = plan, .choice = choice, .journal = journal};
    for (uint32_t n = 0; n < plan->client_count; n++) {
        struct client *client = &clients->list[n];
        client->number = n;
        client->next_event = n;
        client->again = calloc(plan->event_count, sizeof(uint32_t));
        if (client->again == NULL) {
            clients_free(clients);
            return false;
        }
    }
    return true;
}

void clients_free(struct clients *clients)
{
    for (uint32_t n = 0; n < PLAN_CLIENTS_MAX; n++) {
        free(clients->list[n].again);
        clients->list[n].again = NULL;
    }
}

/* --- what is to be sent --- */

static void send_again(struct clients *clients, struct client *client, uint32_t event)
{
    size_t size = clients->plan->event_count;
    if (client->again_count < size) {
        client->again[(client->again_first + client->again_count++) % size] = event;
    }
}

static bool due(const struct clients *clients, const struct client *client, int64_t now_us)
{
    return client->next_event < clients->plan->event_count &&
           (clients->hurried || clients->plan->due_us[client->next_event] <= now_us);
}

static size_t
gather(struct clients *clients, struct client *client, int64_t now_us, uint32_t *events)
{
    const struct plan *plan = clients->plan;
    size_t wanted = 1 + choose(clients->choice, CHOICE_CLIENTS, plan->batch_max);
    size_t count = 0;
    while (count < wanted && client->again_count > 0) {
        events[count++] = client->again[client->again_first];
        client->again_first = (client->again_first + 1) % plan->event_count;
        client->again_count--;
    }
    while (count < wanted && due(clients, client, now_us)) {
        events[count++] = (uint32_t)client->next_event;
        client->next_event += plan->client_count;
    }
    return count;
}

static struct event describe(const struct planned_event *planned, struct event_texts *texts)
{
    (void)snprintf(texts->source, TEXT_BYTES, "s%u", planned->source);
    (void)snprintf(texts->id, TEXT_BYTES, "%u", planned->id);
    (void)snprintf(texts->type, TEXT_BYTES, "t%u", planned->type);
    (void)snprintf(texts->subject, TEXT_BYTES, "k%u", planned->subject);
    (void)snprintf(texts->data, TEXT_BYTES, "{\"x\":%lld}", (long long)planned->x);
    struct event event = {.source = bytes_of_string(texts->source),
                          .id = bytes_of_string(texts->id),
                          .type = bytes_of_string(texts->type),
                          .time = planned->time,
                          .flags = EVENT_HAS_TIME};
    if (planned->subject != 0) {
        event.flags |= EVENT_HAS_SUBJECT;
        event.subject = bytes_of_string(texts->subject);
    }
    if (planned->has_x) {
        event.flags |= EVENT_HAS_DATA;
        event.data = bytes_of_string(texts->data);
    }
    return event;
}

/* --- sending --- */

static void answered(struct letter *letter)
{
    struct request *request = letter->user;
    CHECK(!request->answered);
    request->answered = true;
}

/* Writes the events that the engine may take now as records; the others wait. How many were. */
static size_t write_records(struct clients *clients,
                            struct client *client,
                            const struct gateway *gateway,
                            const uint32_t *events,
                            size_t count,
                            struct buf *out)
{
    static struct batch_writer writer;
    static struct event_texts texts[BATCH_MAX];
    const struct process_options *options = &clients->plan->process;
    batch_writer_init(&writer, options->hash_seed, options->partitions);
    batch_writer_reset(&writer, out->data, out->cap);
    batch_begin(&writer, gateway_now(gateway), (struct event_time){MACHINE_EPOCH_US});
    size_t written = 0;
    for (size_t n = 0; n < count; n++) {
        struct event event = describe(&clients->plan->events[events[n]], &texts[n]);
        if (event.time.us > gateway_time_limit(gateway, event.source).us) {
            send_again(clients, client, events[n]);
            continue;
        }
        CHECK(batch_add(&writer, &event));
        size_t submission = journal_submit(clients->journal, events[n]);
        client->first_submission = written == 0 ? submission : client->first_submission;
        written++;
    }
    batch_end(&writer);
    out->len = writer.out.len;
    return written;
}

static void send_events(struct clients *clients, struct client *client, struct process *process)
{
    static uint32_t events[BATCH_MAX];
    struct gateway *gateway = process->gateways[client->number % clients->plan->process.gateways];
    size_t count = gather(clients, client, process->machine->now_us, events);
    if (count == 0) {
        return;
    }
    size_t cap = 4096 + count * EVENT_BYTES;
    memory_switch(true);
    struct request *request = calloc(1, sizeof(*request) + cap);
    memory_switch(false);
    CHECK(request != NULL);
    struct buf out = buf_of(request->records, cap);
    size_t written = write_records(clients, client, gateway, events, count, &out);
    client->pending_count = (uint32_t)written;
    client->sent += written;
    request->proposal = (struct proposal){
        .letter = {.done = answered, .user = request},
        .kind = PROPOSE_EVENTS,
        .records = buf_bytes(&out),
        .event_count = (uint32_t)written,
        .wants_applied = choose_once_in(clients->choice, CHOICE_CLIENTS, 4),
    };
    enum err err = OK;
    if (written > 0) {
        memory_switch(true);
        err = gateway_propose(gateway, &request->proposal);
        memory_switch(false);
    }
    if (written == 0 || err != OK) {
        request->proposal.err = err;
        request->answered = true;
    }
    client->pending = request;
    client->patience_ends = process->machine->now_us + (int64_t)clients->plan->impatience_ms * 1000;
}

/* --- answers --- */

static bool resends(struct clients *clients)
{
    uint32_t once_in = clients->plan->resend_once_in;
    return !clients->hurried && once_in > 0 &&
           choose_once_in(clients->choice, CHOICE_CLIENTS, once_in);
}

static void take_answer(struct clients *clients, struct client *client, struct process *process)
{
    struct request *request = client->pending;
    bool good = request->proposal.err == OK;
    for (uint32_t n = 0; n < client->pending_count; n++) {
        size_t submission = client->first_submission + n;
        uint32_t event = clients->journal->submissions[submission].event;
        journal_outcome(clients->journal,
                        submission,
                        good ? OUTCOME_ACKED : OUTCOME_REFUSED,
                        request->proposal.as_of);
        if (!good || resends(clients)) {
            send_again(clients, client, event);
        }
    }
    clients->refused += good ? 0 : client->pending_count;
    uint32_t back_off_ms = good ? 0 : 1 + choose(clients->choice, CHOICE_CLIENTS, BACK_OFF_MAX_MS);
    client->next_at = process->machine->now_us + (int64_t)back_off_ms * 1000;
    if (client->pending_count == 0) {
        client->next_at = process->machine->now_us + US_PER_SECOND; /* all lie in the future */
    }
    memory_switch(true);
    free(request);
    memory_switch(false);
    client->pending = NULL;
}

/* Nothing was heard: what was sent is sent again. The request stays with the process. */
static void give_up(struct clients *clients, struct client *client)
{
    for (uint32_t n = 0; n < client->pending_count; n++) {
        send_again(
            clients, client, clients->journal->submissions[client->first_submission + n].event);
    }
    client->pending = NULL;
    client->gave_up++;
}

static void client_act(struct clients *clients, struct client *client, struct process *process)
{
    int64_t now_us = process->machine->now_us;
    if (client->pending != NULL && client->pending->answered) {
        take_answer(clients, client, process);
    }
    if (client->pending != NULL) {
        if (now_us < client->patience_ends || clients->hurried) {
            client->next_at = clients->hurried ? INT64_MAX : client->patience_ends;
            return;
        }
        give_up(clients, client);
        client->next_at = now_us;
    }
    if (client->next_at > now_us) {
        return;
    }
    bool more = client->next_event < clients->plan->event_count;
    if (client->again_count == 0 && !due(clients, client, now_us)) {
        client->next_at = more ? clients->plan->due_us[client->next_event] : INT64_MAX;
        return;
    }
    if (process->state != PROCESS_READY || !gateway_ready(process->gateways[0])) {
        client->next_at = now_us + 100000;
        return;
    }
    send_events(clients, client, process);
    client->next_at = client->pending == NULL ? now_us : client->patience_ends;
}

void clients_act(struct clients *clients, struct process *process)
{
    for (uint32_t n = 0; n < clients->plan->client_count; n++) {
        client_act(clients, &clients->list[n], process);
    }
}

int64_t clients_next(const struct clients *clients)
{
    int64_t next = INT64_MAX;
    for (uint32_t n = 0; n < clients->plan->client_count; n++) {
        const struct client *client = &clients->list[n];
        bool heard = client->pending != NULL && client->pending->answered;
        int64_t at = heard ? 0 : client->next_at;
        next = at < next ? at : next;
    }
    return next;
}

void clients_bereaved(struct clients *clients, int64_t now_us)
{
    for (uint32_t n = 0; n < clients->plan->client_count; n++) {
        struct client *client = &clients->list[n];
        if (client->pending != NULL) {
            give_up(clients, client);
        }
        client->next_at = now_us + 1000;
    }
}

bool clients_content(const struct clients *clients)
{
    for (uint32_t n = 0; n < clients->plan->client_count; n++) {
        const struct client *client = &clients->list[n];
        if (client->pending != NULL || client->again_count > 0 ||
            client->next_event < clients->plan->event_count) {
            return false;
        }
    }
    return true;
}
