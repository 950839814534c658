/* Verify and dump: the same walk as recovery and readers, over files that may be moving.
 *
 * What moves: the last segment grows, a new one appears, the oldest disappear. So a file that is
 * gone is not an error, and a bad frame at the end is looked at again before it is called one. */
#include "adapters/log_file/log_verify.h"

#include "adapters/log_file/log_disk.h"
#include "adapters/log_file/log_recover.h"
#include "adapters/log_file/log_segments.h"
#include "adapters/log_file/log_walk.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_MAX 3

struct verify {
    struct log_segments segments;
    struct log_walk walk;
    struct log_verify_result *result;
    bool broken;                /* damage was found: `end` stays where it is */
    size_t bad;                 /* index of the first segment with a bad header ... */
    const char *header_problem; /* ... and why */
};

static void count_frame(struct log_segment_report *report,
                        struct log_verify_result *result,
                        const struct log_walk *walk)
{
    if ((walk->frame.flags & LOG_FLAG_SEAL) != 0) {
        report->seal_count++;
    } else {
        report->frame_count++;
        report->record_count += walk->frame.record_count;
        report->body_bytes += walk->frame.body_len;
    }
    if (walk->frame.durable_to > result->frontier) {
        result->frontier = walk->frame.durable_to;
    }
}

static void found_problem(struct log_segment_report *report,
                          enum log_segment_state state,
                          const char *problem,
                          uint64_t position)
{
    report->state = state;
    report->problem = problem;
    report->problem_position = position;
    report->problem_offset = position < report->base ? 0 : LOG_BLOCK + position - report->base;
}

/* From the medium, if it can still be opened; else as it was. */
static void reread(struct verify *verify)
{
    int file = log_segments_open_readable(&verify->segments, verify->walk.base, true);
    if (file >= 0) {
        disk_close(&verify->segments.disk, verify->walk.file);
    }
    log_walk_reread(&verify->walk, file >= 0 ? file : verify->walk.file);
}

/* Walks to the limit; true when it got there, or to the end of what was ever written. */
static bool walk_all(struct verify *verify, struct log_segment_report *report, uint64_t limit)
{
    struct log_walk *walk = &verify->walk;
    int looks = 0;
    for (;;) {
        enum log_walk_result result = log_walk_next(walk, limit);
        if (result == LOG_WALK_END) {
            return true;
        }
        if (result == LOG_WALK_FRAME) {
            count_frame(report, verify->result, walk);
            looks = 0;
            if ((walk->frame.flags & LOG_FLAG_CONTINUES) != 0 && limit == UINT64_MAX) {
                return true;
            }
            continue;
        }
        if (++looks >= LOOKS_MAX) {
            return false;
        }
        reread(verify);
    }
}

static void judge_tail(struct verify *verify,
                       const struct log_segment_header *header,
                       struct log_segment_report *report)
{
    const struct log_walk *walk = &verify->walk;
    struct log_frontier rest = log_scan_frontier(walk->disk, walk->file, header, walk->position);
    if (rest.durable_to > verify->result->frontier) {
        verify->result->frontier = rest.durable_to;
    }
    if (rest.durable_to > walk->position || rest.read_failed) {
        found_problem(report, LOG_SEGMENT_DAMAGED, walk->problem, walk->position);
    } else if (rest.first_valid != UINT64_MAX) {
        found_problem(report, LOG_SEGMENT_TORN, walk->problem, walk->position);
    }
}

static void verify_last(struct verify *verify,
                        const struct log_segment_header *header,
                        struct log_segment_report *report)
{
    struct log_walk *walk = &verify->walk;
    if (!walk_all(verify, report, UINT64_MAX)) {
        judge_tail(verify, header, report);
    } else if (!log_segments_exists(&verify->segments, walk->position)) {
        found_problem(report, LOG_SEGMENT_DAMAGED, "the next segment is missing", walk->position);
    }
    /* A recovery may have begun another segment and cut this one off since the listing. */
    bool followed =
        walk->position > header->base && log_segments_exists(&verify->segments, walk->position);
    bool cut = report->file_bytes < header->segment_bytes;
    if (cut && !followed && report->state != LOG_SEGMENT_DAMAGED) {
        found_problem(report,
                      LOG_SEGMENT_DAMAGED,
                      "the file is cut off, or the next segment is missing",
                      walk->position);
    }
}

/* Before a segment whose header can't be read: where this one has to end is not known. */
static void verify_before_bad(struct verify *verify,
                              const struct log_segment_header *header,
                              struct log_segment_report *report)
{
    if (!walk_all(verify, report, UINT64_MAX)) {
        judge_tail(verify, header, report);
    }
}

static void verify_inner(struct verify *verify,
                         const struct log_segment_header *next,
                         struct log_segment_report *report)
{
    struct log_walk *walk = &verify->walk;
    if (!walk_all(verify, report, next->prev_end)) {
        found_problem(report, LOG_SEGMENT_DAMAGED, walk->problem, walk->position);
    } else if (walk->seq != next->first_seq || walk->prev_hash != next->prev_hash) {
        found_problem(
            report, LOG_SEGMENT_DAMAGED, "the next segment follows other frames", walk->position);
    }
}

static void verify_segment(struct verify *verify, size_t index, struct log_segment_report *report)
{
    const struct log_segment *segment = &verify->segments.list[index];
    *report = (struct log_segment_report){.number = segment->header.number,
                                          .base = segment->header.base,
                                          .end = segment->header.base,
                                          .file_bytes = segment->file_bytes};
    log_segment_name(report->file, report->base);
    if (index == verify->bad) {
        found_problem(report, LOG_SEGMENT_DAMAGED, verify->header_problem, report->base);
        report->problem_offset = 0;
        return;
    }
    int file = log_segments_open_readable(&verify->segments, report->base, false);
    if (file < 0) {
        found_problem(report, LOG_SEGMENT_DAMAGED, "the file can't be opened", report->base);
        return;
    }
    log_walk_enter(&verify->walk, file, &segment->header);
    bool last = index + 1 == verify->segments.count;
    if (last) {
        verify_last(verify, &segment->header, report);
    } else if (index + 1 == verify->bad) {
        verify_before_bad(verify, &segment->header, report);
    } else {
        verify_inner(verify, &verify->segments.list[index + 1].header, report);
    }
    report->end = verify->walk.position;
    disk_close(&verify->segments.disk, verify->walk.file);
}

static void add_up(struct verify *verify, const struct log_segment_report *report)
{
    struct log_verify_result *result = verify->result;
    result->segment_count++;
    result->frame_count += report->frame_count;
    result->record_count += report->record_count;
    if (!verify->broken) {
        result->end = report->end;
    }
    if (report->state == LOG_SEGMENT_DAMAGED) {
        result->damaged_count++;
        verify->broken = true;
    }
}

/* Segments that a running server trimmed since the listing. */
static size_t count_trimmed(const struct log_segments *segments)
{
    size_t gone = 0;
    while (gone < segments->count &&
           !log_segments_exists(segments, segments->list[gone].header.base)) {
        gone++;
    }
    return gone;
}

enum err log_verify(const struct disk_folder *data,
                    void (*report)(void *ctx, const struct log_segment_report *report),
                    void *ctx,
                    struct log_verify_result *result,
                    struct error *error)
{
    *result = (struct log_verify_result){0};
    struct verify verify = {.result = result};
    log_walk_init(&verify.walk, &verify.segments.disk);
    enum err err = log_segments_open(&verify.segments, data, true, error);
    if (err == OK) {
        err = log_segments_list(&verify.segments, error);
    }
    for (int looks = 0; err == OK && looks < LOOKS_MAX; looks++) {
        verify.bad = log_check_headers(&verify.segments, &verify.header_problem);
        if (verify.bad == verify.segments.count ||
            log_segments_exists(&verify.segments, verify.segments.list[verify.bad].header.base)) {
            break;
        }
        err = log_segments_list(&verify.segments, error); /* it was trimmed meanwhile */
    }
    for (size_t i = 0; err == OK && i < verify.segments.count; i++) {
        struct log_segment_report found;
        verify_segment(&verify, i, &found);
        if (found.state == LOG_SEGMENT_DAMAGED && i < count_trimmed(&verify.segments)) {
            continue;
        }
        if (result->segment_count == 0) {
            result->oldest = found.base;
        }
        add_up(&verify, &found);
        report(ctx, &found);
        if (i == verify.bad) {
            break; /* the headers after it were not read */
        }
    }
    if (err == OK && result->damaged_count > 0) {
        *error = (struct error){.code = ERR_UNPROCESSABLE};
        snprintf(error->text,
                 sizeof error->text,
                 "%llu of %llu segments are damaged",
                 (unsigned long long)result->damaged_count,
                 (unsigned long long)result->segment_count);
        err = error->code;
    }
    log_walk_deinit(&verify.walk);
    log_segments_close(&verify.segments);
    return err;
}

/* --- dump --- */

struct log_dump {
    struct log_segments segments;
    struct log_walk walk;
    int file;
    size_t index;      /* of the entered segment, or the one to enter */
    uint64_t position; /* frames before it are skipped */
    size_t bad;        /* index of the first segment with a bad header */
    const char *header_problem;
};

static enum err
dump_failed(const struct log_dump *dump, const char *problem, uint64_t base, struct error *error)
{
    uint64_t position = dump->file >= 0 ? dump->walk.position : base;
    char name[LOG_NAME_BYTES];
    log_segment_name(name, base);
    *error = (struct error){.code = ERR_UNPROCESSABLE};
    snprintf(error->text,
             sizeof error->text,
             "log/%s at offset %llu (position %llu): %s",
             name,
             (unsigned long long)(LOG_BLOCK + position - base),
             (unsigned long long)position,
             problem);
    return error->code;
}

enum err log_dump_open(const struct disk_folder *data,
                       uint64_t position,
                       struct log_dump **out,
                       struct error *error)
{
    struct log_dump *dump = calloc(1, sizeof *dump);
    if (dump == NULL) {
        *error = (struct error){.code = ERR_UNAVAILABLE, .text = "no memory"};
        return error->code;
    }
    dump->file = -1;
    dump->position = position;
    log_walk_init(&dump->walk, &dump->segments.disk);
    enum err err = log_segments_open(&dump->segments, data, true, error);
    if (err == OK) {
        err = log_segments_list(&dump->segments, error);
    }
    if (err == OK && dump->segments.count == 0) {
        *error = (struct error){.code = ERR_NOT_FOUND, .text = "there is no segment"};
        err = error->code;
    }
    if (err != OK) {
        log_dump_close(dump);
        return err;
    }
    dump->bad = log_check_headers(&dump->segments, &dump->header_problem);
    while (dump->index + 1 < dump->segments.count &&
           dump->segments.list[dump->index + 1].header.base <= position) {
        dump->index++;
    }
    *out = dump;
    return OK;
}

static enum err dump_enter(struct log_dump *dump, struct error *error)
{
    uint64_t base = dump->segments.list[dump->index].header.base;
    if (dump->bad <= dump->index) {
        uint64_t bad_base = dump->segments.list[dump->bad].header.base;
        return dump_failed(dump, dump->header_problem, bad_base, error);
    }
    dump->file = log_segments_open_readable(&dump->segments, base, false);
    if (dump->file < 0) {
        return dump_failed(dump, "the file can't be opened", base, error);
    }
    log_walk_enter(&dump->walk, dump->file, &dump->segments.list[dump->index].header);
    return OK;
}

/* The walk ended or met a frame that can't be proved. */
static enum err dump_end(struct log_dump *dump, bool bad, struct error *error)
{
    const struct log_segment_header *header = &dump->segments.list[dump->index].header;
    if (dump->index + 1 == dump->segments.count) {
        struct log_frontier rest =
            log_scan_frontier(&dump->segments.disk, dump->file, header, dump->walk.position);
        return rest.durable_to > dump->walk.position
                   ? dump_failed(dump, dump->walk.problem, header->base, error)
                   : ERR_NOT_FOUND;
    }
    if (bad && dump->index + 1 != dump->bad) {
        return dump_failed(dump, dump->walk.problem, header->base, error);
    }
    disk_close(&dump->segments.disk, dump->file);
    dump->file = -1;
    dump->index++;
    return OK;
}

enum err log_dump_next(struct log_dump *dump, struct log_dump_frame *frame, struct error *error)
{
    for (;;) {
        enum err err = dump->file < 0 ? dump_enter(dump, error) : OK;
        if (err != OK) {
            return err;
        }
        bool last = dump->index + 1 == dump->segments.count;
        bool open_end = last || dump->index + 1 == dump->bad; /* where it ends is not known */
        uint64_t limit =
            open_end ? UINT64_MAX : dump->segments.list[dump->index + 1].header.prev_end;
        uint64_t begin = dump->walk.position;
        enum log_walk_result result = log_walk_next(&dump->walk, limit);
        if (result != LOG_WALK_FRAME) {
            err = dump_end(dump, result != LOG_WALK_END, error);
            if (err != OK) {
                return err;
            }
            continue;
        }
        if (begin < dump->position) {
            continue;
        }
        uint64_t base = dump->segments.list[dump->index].header.base;
        *frame = (struct log_dump_frame){.header = dump->walk.frame,
                                         .end = dump->walk.position,
                                         .segment = base,
                                         .offset = LOG_BLOCK + begin - base,
                                         .body = dump->walk.body};
        return OK;
    }
}

void log_dump_close(struct log_dump *dump)
{
    if (dump->file >= 0) {
        disk_close(&dump->segments.disk, dump->file);
    }
    log_walk_deinit(&dump->walk);
    log_segments_close(&dump->segments);
    free(dump);
}
