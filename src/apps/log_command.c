/* tidemark log verify|dump|salvage: a log on disk, looked at from outside, or given up in part. */
#include "adapters/disk_system/disk_system.h"
#include "adapters/log_file/log_file.h"
#include "adapters/log_file/log_verify.h"
#include "adapters/snapshot_dir/snapshot_dir.h"
#include "adapters/snapshot_dir/snapshot_format.h"
#include "apps/commands.h"
#include "apps/directory.h"
#include "apps/log_dump.h"
#include "apps/say.h"
#include "apps/table.h"
#include "apps/terminal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *state_words(enum log_segment_state state)
{
    switch (state) {
    case LOG_SEGMENT_GOOD:
        return "good";
    case LOG_SEGMENT_TORN:
        return "torn tail";
    case LOG_SEGMENT_DAMAGED:
        return "DAMAGED";
    }
    return "unknown";
}

struct verify {
    bool json;
    struct table table;
};

static void number_cell(struct table *table, uint64_t number)
{
    table_cell(table, CELL_NUMBER, bytes_of_string(amount_count(number).text));
}

static void segment_row(struct table *table, const struct log_segment_report *report)
{
    char problem[160] = "";
    table_cell(table, CELL_TEXT, bytes_of_string(report->file));
    table_cell(table, CELL_TEXT, bytes_of_string(state_words(report->state)));
    number_cell(table, report->frame_count);
    number_cell(table, report->record_count);
    table_cell(table, CELL_NUMBER, bytes_of_string(amount_bytes(report->body_bytes).text));
    number_cell(table, report->base);
    number_cell(table, report->end);
    if (report->problem != NULL) {
        text_put(problem,
                 sizeof(problem),
                 "%s at byte %llu (position %llu)",
                 report->problem,
                 (unsigned long long)report->problem_offset,
                 (unsigned long long)report->problem_position);
    }
    table_cell(table, CELL_TEXT, bytes_of_string(problem));
}

/* File names and problems are this program's own words: nothing in them needs escaping. */
static void segment_json(const struct log_segment_report *report)
{
    say("{\"file\":\"%s\",\"state\":\"%s\",\"frames\":%llu,\"records\":%llu,\"bytes\":%llu,"
        "\"begin\":%llu,\"end\":%llu",
        report->file,
        state_words(report->state),
        (unsigned long long)report->frame_count,
        (unsigned long long)report->record_count,
        (unsigned long long)report->body_bytes,
        (unsigned long long)report->base,
        (unsigned long long)report->end);
    if (report->problem != NULL) {
        say(",\"problem\":\"%s\",\"offset\":%llu,\"position\":%llu",
            report->problem,
            (unsigned long long)report->problem_offset,
            (unsigned long long)report->problem_position);
    }
    say("}\n");
}

static void segment_report(void *ctx, const struct log_segment_report *report)
{
    struct verify *verify = ctx;
    if (verify->json) {
        segment_json(report);
    } else {
        segment_row(&verify->table, report);
    }
}

static void result_say(const struct verify *verify, const struct log_verify_result *result)
{
    struct terminal terminal = terminal_look(STDOUT_FILENO);
    const struct table_style style = {.colours = terminal.colours};
    if (verify->json) {
        say("{\"segments\":%llu,\"damaged\":%llu,\"frames\":%llu,\"records\":%llu,\"oldest\":%llu,"
            "\"end\":%llu,\"durable_frontier\":%llu}\n",
            (unsigned long long)result->segment_count,
            (unsigned long long)result->damaged_count,
            (unsigned long long)result->frame_count,
            (unsigned long long)result->record_count,
            (unsigned long long)result->oldest,
            (unsigned long long)result->end,
            (unsigned long long)result->frontier);
        return;
    }
    (void)table_print(&verify->table, &style);
    say("%s segments, %s damaged; %s frames, %s records; positions %llu to %llu\n",
        amount_count(result->segment_count).text,
        amount_count(result->damaged_count).text,
        amount_count(result->frame_count).text,
        amount_count(result->record_count).text,
        (unsigned long long)result->oldest,
        (unsigned long long)result->end);
}

static bool newest_of(void *user, const char *name)
{
    uint64_t *newest = user;
    uint64_t position = 0;
    if (snapshot_parse_name(name, &position) && position > *newest) {
        *newest = position;
    }
    return true;
}

/* The position in the newest snapshot's name, 0 without one. A snapshot has its name only once it is
 * whole, so the log was durable up to there. Only looks: a server may be running. */
static uint64_t newest_snapshot_name(const struct disk_folder *data)
{
    const struct disk_port *disk = &data->disk;
    uint64_t newest = 0;
    int folder = disk->files->open(disk->ctx, data->handle, "snapshots", DISK_FOLDER);
    if (folder >= 0) {
        (void)disk->folders->list(disk->ctx, folder, newest_of, &newest);
        disk->files->close(disk->ctx, folder);
    }
    return newest;
}

static int verify_run(const struct command *command)
{
    static const char *const heads[] = {
        "segment", "state", "frames", "records", "bytes", "begin", "end", "problem"};
    struct verify verify = {.json = setting_flag(command->settings, OPTION_JSON)};
    struct log_verify_result result = {0};
    struct error error = {.code = OK};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        table_head(&verify.table, bytes_of_string(heads[i]));
    }
    struct disk_folder data;
    uint64_t snapshot = 0;
    enum err err = disk_system_open(command->arguments[1], false, &data, &error);
    if (err == OK) {
        /* Before the walk: one that is taken meanwhile stands behind what the walk may see. */
        snapshot = newest_snapshot_name(&data);
        err = log_verify(&data, segment_report, &verify, &result, &error);
    }
    disk_system_close(&data);
    if (err == OK || err == ERR_UNPROCESSABLE) {
        result_say(&verify, &result);
    }
    table_free(&verify.table);
    if (err == ERR_UNPROCESSABLE) {
        complain("acknowledged data is damaged");
        return EXIT_CODE_DAMAGED;
    }
    if (err != OK) {
        complain("%s", error.text[0] != '\0' ? error.text : err_text(err));
        return EXIT_CODE_NO_INPUT;
    }
    if (snapshot > result.end) {
        complain(
            "acknowledged data is missing: the log ends at position %llu, before the newest "
            "snapshot at %llu",
            (unsigned long long)result.end,
            (unsigned long long)snapshot);
        return EXIT_CODE_DAMAGED;
    }
    return EXIT_CODE_OK;
}

static void ignore_durable(void *ctx, struct log_frame *frame)
{
    (void)ctx;
    (void)frame;
}

/* Where the newest good snapshot stands, 0 without one: all below it is not needed to go on, and the
 * log may not end before it. The directory's lock is held. */
static enum err
snapshot_position(const struct disk_folder *data, uint64_t *position, struct error *error)
{
    const struct snapshot_dir_options options = {.data = *data};
    struct snapshot_dir *snapshots = NULL;
    *position = 0;
    enum err err = snapshot_dir_open(&options, &snapshots, error);
    if (err != OK) {
        return err;
    }
    if (snapshot_dir_prove(snapshots, position) != OK) {
        *position = 0;
    }
    snapshot_dir_close(snapshots);
    return OK;
}

/* What a log that has to be begun anew must carry; all zero where there is no genesis. */
static enum err genesis_instance(const struct disk_folder *data,
                                 uint8_t instance[16],
                                 int *exit_code,
                                 struct error *error)
{
    struct disk_info info;
    struct genesis genesis;
    if (!data->disk.folders->info(data->disk.ctx, data->handle, "genesis", &info)) {
        return OK; /* a start without it is refused as well */
    }
    enum err err = directory_genesis(data, 1, &genesis, exit_code, error);
    if (err == OK) {
        memcpy(instance, genesis.instance, sizeof(genesis.instance));
    }
    return err;
}

/* The directory is locked. Returns the exit code. */
static int salvage_locked(const struct disk_folder *data)
{
    struct log_file_options options = {
        .data = *data,
        .accept_loss = true,
        .durable = ignore_durable,
    };
    struct log_file *log = NULL;
    struct log_file_start start = {0};
    struct error error = {.code = OK};
    if (genesis_instance(data, options.instance, &start.exit_code, &error) != OK) {
        complain("%s", error.text);
        return start.exit_code;
    }
    if (snapshot_position(data, &options.verify_from, &error) != OK) {
        complain("%s", error.text);
        return EXIT_CODE_CONFIGURATION;
    }
    if (log_file_open(&options, &log, &start, &error) != OK) {
        complain("%s", error.text);
        return start.exit_code;
    }
    log_file_close(log, true);
    if (start.lost_from < start.lost_to) {
        say("positions %llu to %llu are given up; ",
            (unsigned long long)start.lost_from,
            (unsigned long long)start.lost_to);
    }
    say("%s set aside as *.torn; the log goes on at position %llu\n",
        amount_bytes(start.torn_bytes).text,
        (unsigned long long)start.position);
    return EXIT_CODE_OK;
}

/* Makes a damaged log usable again: what is good up to the damage is kept, and what the newest
 * snapshot needs after it; the rest is set aside. */
static int salvage_run(const struct command *command)
{
    if (!setting_flag(command->settings, OPTION_ACCEPT_LOSS)) {
        complain(
            "salvage gives up acknowledged events from the first damage on: look at `tidemark "
            "log verify %.200s`, keep a copy, then say --accept-loss",
            command->arguments[1]);
        return EXIT_CODE_USAGE;
    }
    if (access(command->arguments[1], F_OK) != 0) {
        complain("there is no %.300s", command->arguments[1]);
        return EXIT_CODE_NO_INPUT;
    }
    struct disk_folder data;
    struct error error = {.code = OK};
    int lock = -1;
    int code = EXIT_CODE_OK;
    enum err err = disk_system_open(command->arguments[1], false, &data, &error);
    if (err == OK) {
        err = disk_system_lock(&data, &lock, &error);
    }
    if (err == OK) {
        code = salvage_locked(&data);
        (void)close(lock);
    } else {
        complain("%s", error.text);
        code = err == ERR_CONFLICT ? EXIT_CODE_IN_USE : EXIT_CODE_CONFIGURATION;
    }
    disk_system_close(&data);
    return code;
}

int log_command(const struct command *command)
{
    bool verify = command->argument_count == 2 && strcmp(command->arguments[0], "verify") == 0;
    bool dump = command->argument_count == 2 && strcmp(command->arguments[0], "dump") == 0;
    bool salvage = command->argument_count == 2 && strcmp(command->arguments[0], "salvage") == 0;
    if (salvage) {
        return salvage_run(command);
    }
    if (!verify && !dump) {
        complain("log needs verify, dump or salvage, and a data directory");
        note("`tidemark help log` says more.\n");
        return EXIT_CODE_USAGE;
    }
    return verify ? verify_run(command) : log_dump_run(command);
}
