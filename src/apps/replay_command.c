/* tidemark replay and tidemark snapshot: an engine opened for one look. */
#include "adapters/disk_system/disk_system.h"
#include "adapters/snapshot_dir/snapshot_dir.h"
#include "adapters/snapshot_dir/snapshot_format.h"
#include "apps/direct.h"
#include "apps/node_settings.h"
#include "apps/say.h"
#include "apps/terminal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOTS_LISTED_MAX 64
#define SNAPSHOT_PATIENCE_US (600 * US_PER_SECOND)
#define LOOK_EVERY_US        5000

/* --data must be given, and nothing else. */
static bool arguments_check(const struct command *command, const char *name)
{
    if (!setting_given(command->settings, OPTION_DATA)) {
        complain("%s needs --data DIR", name);
        return false;
    }
    if (command->argument_count > 0) {
        complain("%s takes options only, not \"%.60s\"", name, command->arguments[0]);
        return false;
    }
    return true;
}

/* Looking at a directory must not make one. */
static bool directory_is_there(const char *directory)
{
    char path[4096];
    text_put(path, sizeof(path), "%s/genesis", directory);
    if (access(path, R_OK) == 0) {
        return true;
    }
    complain("%.300s is no data directory", directory);
    return false;
}

static void replay_say(const struct settings *settings,
                       const struct node_start *start,
                       uint64_t digest,
                       int64_t total_us)
{
    int64_t us = start->replay_us;
    double rate = us > 0 ? (double)start->replayed_events * 1e6 / (double)us : 0;
    if (setting_flag(settings, OPTION_JSON)) {
        say("{\"events\":%" PRIu64
            ",\"seconds\":%.3f,\"seconds_with_opening\":%.3f,\"events_per_second\":%.0f,"
            "\"position\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\"}\n",
            start->replayed_events,
            (double)us / 1e6,
            (double)total_us / 1e6,
            rate,
            start->log_position,
            digest);
        return;
    }
    if (start->snapshot_position != UINT64_MAX) {
        say("From the snapshot at position %" PRIu64 ".\n", start->snapshot_position);
    }
    say("The log was opened and proved in %s.\n", amount_duration(total_us - us).text);
    say("%s events applied in %s (%s/s), up to position %" PRIu64 "\ndigest %016" PRIx64 "\n",
        amount_count(start->replayed_events).text,
        amount_duration(us).text,
        amount_short(rate).text,
        start->log_position,
        digest);
}

int replay_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    struct node_options options = node_settings(settings);
    struct node *node = NULL;
    struct node_start start;
    if (!arguments_check(command, "replay")) {
        return EXIT_CODE_USAGE;
    }
    options.directory = setting_text(settings, OPTION_DATA);
    if (!directory_is_there(options.directory)) {
        return EXIT_CODE_NO_INPUT;
    }
    options.gateways = 1;
    options.snapshot_every_bytes = UINT64_MAX;
    options.ignore_snapshots = !setting_flag(settings, OPTION_FROM_SNAPSHOT);
    uint64_t until = (uint64_t)setting_number(settings, OPTION_UNTIL);
    /* Any bound makes it a look that writes nothing; this one is never reached. */
    options.replay_until = until > 0 ? until : UINT64_MAX - 1;
    int64_t start_us = steady_us();
    int code = direct_open(&options, &node, &start);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    int64_t total_us = steady_us() - start_us;
    replay_say(settings, &start, node_digest(node), total_us);
    node_close(node);
    return EXIT_CODE_OK;
}

/* --- Snapshots --- */

static int snapshots_list(const struct settings *settings)
{
    struct snapshot_dir_options options = {.kept = SNAPSHOTS_LISTED_MAX};
    struct snapshot_dir_entry entries[SNAPSHOTS_LISTED_MAX];
    struct snapshot_dir *dir = NULL;
    struct error error = {.code = OK};
    if (disk_system_open(setting_text(settings, OPTION_DATA), false, &options.data, &error) != OK ||
        snapshot_dir_open(&options, &dir, &error) != OK) {
        complain("%s", error.text);
        disk_system_close(&options.data);
        return EXIT_CODE_NO_INPUT;
    }
    uint64_t newest_good;
    if (snapshot_dir_prove(dir, &newest_good) == ERR_OVERLOADED) {
        complain("no memory to read the snapshots");
        snapshot_dir_close(dir);
        disk_system_close(&options.data);
        return EXIT_CODE_NO_MEMORY;
    }
    size_t count = snapshot_dir_list(dir, entries, SNAPSHOTS_LISTED_MAX);
    for (size_t i = 0; i < count && i < SNAPSHOTS_LISTED_MAX; i++) {
        if (setting_flag(settings, OPTION_JSON)) {
            say("{\"position\":%" PRIu64 ",\"damaged\":%s,\"other_version\":%" PRIu32 "}\n",
                entries[i].position,
                entries[i].damaged ? "true" : "false",
                entries[i].foreign);
        } else if (entries[i].foreign != 0) {
            say("position %" PRIu64 "  format version %" PRIu32 "\n",
                entries[i].position,
                entries[i].foreign);
        } else {
            say("position %" PRIu64 "%s\n",
                entries[i].position,
                entries[i].damaged ? "  DAMAGED" : "");
        }
    }
    snapshot_dir_close(dir);
    disk_system_close(&options.data);
    return EXIT_CODE_OK;
}

static void status_done(struct letter *letter)
{
    bool *done = letter->user;
    *done = true;
}

/* Where the newest snapshot is; UINT64_MAX: there is none. */
static enum err newest_snapshot(struct node *node, uint64_t *position)
{
    bool done = false;
    struct inspection inspection = {.letter = {.done = status_done, .user = &done},
                                    .kind = INSPECT_STATUS};
    enum err err = gateway_inspect(node_gateway(node, 0), &inspection);
    while (err == OK && !done) {
        if (!node_gateway_step(node, 0)) {
            node_wait(node, 0, LOOK_EVERY_US);
        }
    }
    err = err == OK ? inspection.err : err;
    *position = err == OK ? inspection.snapshot_position : UINT64_MAX;
    inspection_free(&inspection);
    return err;
}

/* The proposal is done when its pulse is durable; the snapshot itself is written after that. */
static int snapshot_take(struct node *node, uint64_t *position)
{
    struct proposal proposal = {.kind = PROPOSE_SNAPSHOT};
    int64_t give_up_us = steady_us() + SNAPSHOT_PATIENCE_US;
    uint64_t before = 0;
    enum err err = newest_snapshot(node, &before);
    if (err == OK) {
        err = direct_propose(node, 0, &proposal);
    }
    *position = before;
    while (err == OK && *position == before && steady_us() < give_up_us) {
        (void)sleep_us(LOOK_EVERY_US);
        err = newest_snapshot(node, position);
    }
    if (err != OK || *position == before) {
        complain("no snapshot was made: %s", err != OK ? err_text(err) : "it takes too long");
        return EXIT_CODE_IO;
    }
    return EXIT_CODE_OK;
}

static uint64_t snapshot_bytes(const char *directory, uint64_t position)
{
    char name[SNAPSHOT_NAME_BYTES];
    char path[4096];
    struct stat status;
    snapshot_name(name, position);
    text_put(path, sizeof(path), "%s/snapshots/%s", directory, name);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

int snapshot_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    struct node_options options = node_settings(settings);
    struct node *node = NULL;
    struct node_start start;
    uint64_t position = 0;
    if (!arguments_check(command, "snapshot")) {
        return EXIT_CODE_USAGE;
    }
    if (!directory_is_there(setting_text(settings, OPTION_DATA))) {
        return EXIT_CODE_NO_INPUT;
    }
    if (setting_flag(settings, OPTION_LIST_ONLY)) {
        return snapshots_list(settings);
    }
    options.directory = setting_text(settings, OPTION_DATA);
    options.gateways = 1;
    options.snapshot_every_bytes = UINT64_MAX;
    int code = direct_open(&options, &node, &start);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    int64_t start_us = steady_us();
    code = snapshot_take(node, &position);
    int64_t us = steady_us() - start_us;
    node_close(node);
    if (code == EXIT_CODE_OK) {
        uint64_t bytes = snapshot_bytes(options.directory, position);
        if (setting_flag(settings, OPTION_JSON)) {
            say("{\"position\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.3f}\n",
                position,
                bytes,
                (double)us / 1e6);
        } else {
            say("snapshot at position %" PRIu64 ", %s, in %s\n",
                position,
                amount_bytes(bytes).text,
                amount_duration(us).text);
        }
    }
    return code;
}
