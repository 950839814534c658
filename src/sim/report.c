#include "sim/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 512

typedef bool (*each_named)(void *ctx, const char *name, uint64_t count);

/* Everything that is counted, with its name. */
static void each_count(const struct run_counts *counts, each_named tell, void *ctx)
{
    const struct {
        const char *name;
        uint64_t count;
    } all[] = {
        {"kill", counts->kills},
        {"power cut", counts->power_cuts},
        {"exit after a disk error", counts->exits},
        {"refusal of a damaged log", counts->refusals},
        {"restart in order", counts->orderly},
        {"stop", counts->stops},
        {"clock step", counts->clock_steps},
        {"clock freeze", counts->clock_freezes},
        {"disk full", counts->disk_full},
        {"no memory", counts->no_memory},
        {"snapshot", counts->snapshots},
        {"slow reading", counts->slow_readings},
        {"slow reading over a life", counts->readings_over_lives},
        {"timeout fired", counts->timers.fired},
        {"timeout fired by events", counts->timers.fired_by_events},
        {"timeout born late", counts->timers.born_late},
        {"timeout fired overdue", counts->timers.overdue},
        {"command after the firing", counts->timers.races_lost},
        {"timeout extended", counts->timers.extended},
        {"timeout replaced", counts->timers.replaced},
        {"tombstone", counts->timers.tombstones},
        {"tombstone met", counts->timers.tombstones_met},
        {"pulse that holds firings", counts->timers.held},
        {"episode of holding told", counts->timers.lagging},
        {"pulse that left some due", counts->timers.sliced},
        {"rule fired", counts->timers.rules_fired},
        {"silence fired", counts->timers.silences},
        {"firing of a rule met late", counts->timers.rules_late},
        {"rule met in time", counts->timers.rules_met},
        {"rule cancelled", counts->timers.rules_cancelled},
        {"rule extended", counts->timers.rules_extended},
        {"rule ended within the grace", counts->timers.rules_met_by_grace},
        {"rule fired behind a grace", counts->timers.rules_grace_over},
        {"firing taken back, time anew", counts->timers.rules_reopened},
        {"rule fired by the clock", counts->timers.rules_by_clock},
        {"silence fired by the clock", counts->timers.silences_by_clock},
        {"rule fired, time computed", counts->timers.rules_computed},
        {"start without a time", counts->timers.rules_unusable},
        {"rule fired, sources chosen", counts->timers.rules_chosen},
        {"waited for when dropped", counts->timers.rules_dropped},
        {"instance that is left open", counts->timers.rules_open},
        {"instance of a rule seen", counts->timers.instances_seen},
        {"wrong generation", counts->timers.other_generation},
        {"wrong version", counts->timers.other_version},
        {"no room for a timeout", counts->timers.no_room},
        {"ended timeout forgotten", counts->timers.forgotten},
        {"timeout looked at", counts->looks},
        {"rule looked at", counts->rule_looks},
        {"feed page", counts->feed_pages},
        {"feed read over a life", counts->feed_pages_over_lives},
        {"feed resumed where acked", counts->feed_resumed},
        {"feed read too late", counts->feed_gaps},
    };
    for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
        (void)tell(ctx, all[n].name, all[n].count);
    }
    for (uint32_t fault = 0; fault < FAULT_KINDS; fault++) {
        (void)tell(ctx, disk_fault_name((enum disk_fault)fault), counts->faults[fault]);
    }
}

static bool print_count(void *ctx, const char *name, uint64_t count)
{
    FILE *out = ctx;
    if (count > 0) {
        (void)fprintf(out, "  %-28s %" PRIu64 "\n", name, count);
    }
    return true;
}

void report_run(const struct run *run, uint64_t seed, FILE *out)
{
    const struct run_counts *counts = &run->counts;
    (void)fprintf(out, "seed %" PRIu64 "\n", seed);
    plan_print(&run->plan, out);
    (void)fprintf(out,
                  "happened in %.1f simulated minutes, %" PRIu64 " lives, %" PRIu64
                  " frames, %zu sendings (%" PRIu64 " acknowledged, %" PRIu64 " refused)\n",
                  (double)counts->simulated_us / 60e6,
                  counts->lives,
                  counts->frames,
                  run->journal.submission_count,
                  counts->acked,
                  counts->refused);
    each_count(counts, print_count, out);
    (void)fprintf(out,
                  "judged: %" PRIu64 " events, %" PRIu64 " rows, %" PRIu64 " digests, %" PRIu64
                  " answers\n",
                  counts->events,
                  counts->rows,
                  counts->digests,
                  run->visitor.answered);
    if (run->finding.text[0] != '\0') {
        (void)fprintf(out,
                      "FAILED: %s\nrepeat: make sim SEED=%" PRIu64
                      "\nshorten: make sim-shrink SEED=%" PRIu64 "\n",
                      run->finding.text,
                      seed,
                      seed);
    } else {
        (void)fprintf(out,
                      "%s\n",
                      run->over ? "ended early: damage was found, as it must be" : "all is well");
    }
}

static bool count_missing(void *ctx, const char *name, uint64_t count)
{
    uint32_t *missing = ctx;
    if (count < FAULTS_WANTED) {
        (void)printf("sim: \"%s\" was seen %" PRIu64 " times only, %d are wanted\n",
                     name,
                     count,
                     FAULTS_WANTED);
        (*missing)++;
    }
    return true;
}

bool report_totals(
    const struct run_counts *sum, double seconds, uint32_t jobs, bool gate, FILE *out)
{
    double hours = (double)sum->simulated_us / 3600e6;
    each_count(sum, print_count, out);
    (void)fprintf(out,
                  "sim: %" PRIu64
                  " seeds, %.1f simulated hours in %.1f s by %u workers: %.0f "
                  "simulated hours a minute and worker; %" PRIu64 " lives, %" PRIu64
                  " frames, %" PRIu64 " events, %" PRIu64 " rows, %" PRIu64 " digests and %" PRIu64
                  " logs in other batches judged\n",
                  sum->runs,
                  hours,
                  seconds,
                  jobs,
                  hours * 60 / seconds / jobs,
                  sum->lives,
                  sum->frames,
                  sum->events,
                  sum->rows,
                  sum->digests,
                  sum->recuts);
    (void)fprintf(out,
                  "totals: sim_seeds=%" PRIu64 " sim_hours=%.0f crashes=%" PRIu64
                  " torn_writes=%" PRIu64 " rots=%" PRIu64 "\n",
                  sum->runs,
                  hours,
                  sum->kills + sum->power_cuts + sum->exits,
                  sum->faults[FAULT_TORN_WRITE],
                  sum->faults[FAULT_ROT] + sum->faults[FAULT_GARBAGE] +
                      sum->faults[FAULT_MISDIRECTED]);
    uint32_t missing = 0;
    if (gate) {
        each_count(sum, count_missing, &missing);
    }
    return missing == 0;
}

/* --- keeping --- */

static bool write_file(const char *path, const uint8_t *data, uint64_t bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return false;
    }
    bool good = fwrite(data, 1, bytes, file) == bytes;
    return fclose(file) == 0 && good;
}

static void keep_folder(const struct run *run, const char *root, const char *folder)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", root, folder);
    (void)mkdir(path, 0755);
    size_t count = sim_disk_name_count(run->machine.disk, folder);
    for (size_t n = 0; n < count; n++) {
        const char *name = sim_disk_name(run->machine.disk, folder, n);
        uint64_t bytes = 0;
        const uint8_t *content = sim_disk_content(run->machine.disk, folder, name, &bytes);
        (void)snprintf(path, sizeof(path), "%s/%s/%s", root, folder, name);
        if (content != NULL && !write_file(path, content, bytes)) {
            (void)fprintf(stderr, "sim: can't write %s\n", path);
        }
    }
}

void report_keep(const struct run *run, uint64_t seed, const char *directory)
{
    char root[PATH_BYTES - 64];
    char path[PATH_BYTES];
    (void)mkdir(directory, 0755);
    (void)snprintf(root, sizeof(root), "%s/%" PRIu64, directory, seed);
    (void)mkdir(root, 0755);
    keep_folder(run, root, "log");
    keep_folder(run, root, "snapshots");
    (void)snprintf(path, sizeof(path), "%s/tape", root);
    (void)choice_save(run->choice, path);
    (void)snprintf(path, sizeof(path), "%s/run.txt", root);
    FILE *text = fopen(path, "w");
    if (text != NULL) {
        report_run(run, seed, text);
        (void)fclose(text);
    }
    (void)printf("kept: %s\n", root);
}

/* --- tapes --- */

bool choice_save(const struct choice *choice, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        const struct choice_tape *tape = &choice->tapes[stream];
        size_t count = tape->count;
        while (count > 0 && tape->values[count - 1] == 0) {
            count--; /* what a tape doesn't hold is 0 */
        }
        (void)fprintf(file, "%zu", count);
        for (size_t n = 0; n < count; n++) {
            (void)fprintf(file, " %u", tape->values[n]);
        }
        (void)fprintf(file, "\n");
    }
    return fclose(file) == 0;
}

bool choice_load(struct choice *choice, const char *path)
{
    struct choice_tape tapes[CHOICE_STREAMS] = {0};
    FILE *file = fopen(path, "r");
    bool good = file != NULL;
    for (uint32_t stream = 0; good && stream < CHOICE_STREAMS; stream++) {
        struct choice_tape *tape = &tapes[stream];
        good = fscanf(file, "%zu", &tape->count) == 1 && tape->count < (1u << 26);
        tape->values = good ? calloc(tape->count + 1, sizeof(uint32_t)) : NULL;
        good = good && tape->values != NULL;
        for (size_t n = 0; good && n < tape->count; n++) {
            good = fscanf(file, "%" SCNu32, &tape->values[n]) == 1;
        }
    }
    if (good) {
        choice_from_tapes(choice, tapes);
    }
    for (uint32_t stream = 0; stream < CHOICE_STREAMS; stream++) {
        free(tapes[stream].values);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return good;
}
