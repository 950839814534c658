/* Deciding about commands: on sources and lanes here, on metrics in the catalogue, on consumers and
 * kept answers in theirs. What is taken becomes a record, which acts at once: the next command is decided upon what
 * this one made of things, whether or not it is durable yet (nothing is answered before it is). */
#include "base/check.h"
#include "host/sequencer.h"

#include <stdio.h>

static void refuse(struct proposal *proposal, enum err err, const char *detail)
{
    proposal->err = err;
    (void)snprintf(proposal->detail, sizeof(proposal->detail), "%s", detail);
}

static bool precondition_holds(struct proposal *proposal, uint32_t version)
{
    if (!condition_holds(&proposal->condition, version)) {
        refuse(proposal, ERR_PRECONDITION, "the source is not at a version of If-Match");
        return false;
    }
    return true;
}

static void put_source(struct sequencer *sequencer, struct proposal *proposal, struct buf *out)
{
    uint32_t lane = tide_lane_of(&sequencer->tide, proposal->name);
    bool is_default = bytes_equal(proposal->name, BYTES("*"));
    bool exists = lane != LANE_DEFAULT || is_default;
    uint32_t version = exists ? sequencer->tide.lanes[lane].version : 0;
    if (!precondition_holds(proposal, version)) {
        return;
    }
    if (!exists) {
        lane = tide_free_lane(&sequencer->tide);
    }
    if (lane >= LANES_MAX) {
        refuse(proposal, ERR_LIMIT, "no more than 4095 sources can be declared");
        return;
    }
    struct source source = proposal->source;
    const struct source *now = &sequencer->tide.lanes[lane].source;
    bool same = exists && source.kind == now->kind && source.disorder_us == now->disorder_us &&
                source.idle_after_us == now->idle_after_us &&
                source.max_future_skew_us == now->max_future_skew_us;
    proposal->version = version;
    if (same) {
        return;
    }
    if (!exists && !tide_reserve_name(&sequencer->tide)) {
        refuse(proposal, ERR_UNAVAILABLE, "there is no memory for another source");
        return;
    }
    source.lane = lane;
    source.name = proposal->name;
    source.declared = sequencer->clock;
    source_put(out, &source);
    proposal->version = version + 1;
    proposal->created = !exists;
    proposal->changed = true;
}

static void put_forget(struct sequencer *sequencer, struct proposal *proposal, struct buf *out)
{
    uint32_t lane = tide_lane_of(&sequencer->tide, proposal->name);
    if (lane == LANE_DEFAULT) {
        bool is_default = bytes_equal(proposal->name, BYTES("*"));
        refuse(proposal,
               is_default ? ERR_CONFLICT : ERR_UNKNOWN_SOURCE,
               is_default ? "the default lane can't be forgotten" : "that source was not declared");
        return;
    }
    if (!precondition_holds(proposal, sequencer->tide.lanes[lane].version)) {
        return;
    }
    forget_put(out, lane);
    proposal->changed = true;
}

static void put_lane(struct sequencer *sequencer, struct proposal *proposal, struct buf *out)
{
    uint32_t number = tide_lane_of(&sequencer->tide, proposal->name);
    if (number == LANE_DEFAULT && !bytes_equal(proposal->name, BYTES("*"))) {
        refuse(proposal, ERR_UNKNOWN_SOURCE, "declare the source first: PUT /v1/sources/{name}");
        return;
    }
    const struct tide_lane *lane = &sequencer->tide.lanes[number];
    if (!precondition_holds(proposal, lane->version)) {
        return;
    }
    bool advance = proposal->command == LANE_ADVANCE;
    if (advance && lane->final) {
        refuse(proposal, ERR_CONFLICT, "the source is final; reopen it with {\"final\":false}");
        return;
    }
    if (advance && lane->watermark != WATERMARK_NONE && proposal->time < lane->watermark) {
        refuse(proposal, ERR_WATERMARK_BACKWARDS, "the source's watermark is later already");
        return;
    }
    if (advance && proposal->time > sequencer->clock.us + lane->source.max_future_skew_us) {
        refuse(proposal, ERR_FUTURE, "a watermark can't lie further ahead than max_future_skew");
        return;
    }
    bool same = (advance && proposal->time == lane->watermark) ||
                (proposal->command == LANE_FINISH && lane->final) ||
                (proposal->command == LANE_REOPEN && !lane->final);
    if (same) {
        return;
    }
    struct lane_command command = {.lane = number,
                                   .kind = proposal->command,
                                   .time = proposal->time,
                                   .clock = sequencer->clock};
    lane_command_put(out, &command);
    proposal->changed = true;
}

void sequencer_put_command(struct sequencer *sequencer,
                           struct frame *frame,
                           struct proposal *proposal,
                           struct buf *out)
{
    size_t start = out->len;
    if (proposal->kind == PROPOSE_SOURCE) {
        put_source(sequencer, proposal, out);
    } else if (proposal->kind == PROPOSE_FORGET) {
        put_forget(sequencer, proposal, out);
    } else if (proposal->kind == PROPOSE_LANE) {
        put_lane(sequencer, proposal, out);
    } else if (proposal->kind == PROPOSE_CONSUMER) {
        consumers_propose(&sequencer->consumers, proposal, sequencer->clock, out);
    } else if (proposal->kind == PROPOSE_ANSWER) {
        answers_propose(&sequencer->answers, proposal, sequencer->clock, out);
    } else {
        catalog_propose(&sequencer->catalog, proposal, sequencer->clock, out);
    }
    struct reader reader = reader_of(bytes_of(out->data + start, out->len - start));
    struct record record;
    while (record_next(&reader, out->data + start, &record)) {
        tide_apply(&sequencer->tide, &record);
        catalog_apply(&sequencer->catalog, &record, sequencer->position);
        consumers_apply(&sequencer->consumers, &record);
        answers_apply(&sequencer->answers, &record, sequencer->frame_count + 1);
        frame->log.record_count++;
    }
    CHECK(!reader.bad);
    bool about_source = proposal->kind == PROPOSE_SOURCE || proposal->kind == PROPOSE_FORGET;
    sequencer->skews_changed |= about_source && proposal->changed;
}
