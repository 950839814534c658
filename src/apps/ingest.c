/* tidemark ingest: see ingest.h.
 *
 *   feed ──[pace]──► loads of about 1 MiB ──► crew ──► tallies ──► summary   */
#include "apps/ingest.h"

#include "apps/pace.h"
#include "apps/progress.h"
#include "apps/say.h"
#include "apps/terminal.h"

#include <string.h>

#define WAIT_US       100000
#define PACE_EVERY_US 20000

bool line_take(struct bytes *text, struct bytes *line)
{
    if (text->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->data);
    size_t skip = end == NULL ? len : len + 1;
    *line = bytes_slice(*text, 0, len);
    *text = bytes_slice(*text, skip, text->len - skip);
    return true;
}

bool line_is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

uint64_t count_lines(struct bytes text)
{
    uint64_t count = 0;
    struct bytes line;
    while (line_take(&text, &line)) {
        count++;
    }
    return count;
}

uint64_t event_line(struct bytes text, uint64_t index)
{
    uint64_t number = 0;
    struct bytes line;
    while (line_take(&text, &line)) {
        if (!line_is_blank(line) && index-- == 0) {
            return number;
        }
        number++;
    }
    return number;
}

/* --- Pumping --- */

struct pump {
    struct ingest_run *run;
    struct pace pace;
    bool paced;
    bool ended;
    uint64_t lines;
    int code;
    char failure[240];
};

static void loads_collect(struct pump *pump)
{
    struct load *load = NULL;
    while ((load = crew_done(pump->run->crew)) != NULL) {
        tally_add(&pump->run->tally, &load->tally);
        if (load->exit_code != EXIT_CODE_OK && pump->code == EXIT_CODE_OK) {
            pump->code = load->exit_code;
            memcpy(pump->failure, load->failure, sizeof(pump->failure));
        }
        pump->ended = pump->ended || pump->code != EXIT_CODE_OK;
        crew_put_back(pump->run->crew, load);
    }
}

/* Fills one load and gives it away. How long there is nothing to do then. */
static int64_t load_send(struct pump *pump, struct load *load)
{
    int64_t wait_us = 0;
    if (pump->paced) {
        pace_fill(&pump->pace, steady_us(), &load->text, &wait_us);
        pump->ended = pump->pace.ended;
        wait_us = !pump->ended && wait_us < PACE_EVERY_US ? PACE_EVERY_US : wait_us;
    } else {
        feed_fill(pump->run->feed, &load->text);
        pump->ended = load->text.len == 0;
    }
    if (load->text.len == 0) {
        crew_put_back(pump->run->crew, load);
        return wait_us;
    }
    load->first_line = pump->lines + 1;
    pump->lines += count_lines(buf_bytes(&load->text));
    crew_give(pump->run->crew, load);
    return wait_us;
}

static void pump_run(struct pump *pump, struct progress *progress)
{
    struct crew *crew = pump->run->crew;
    int64_t due_us = 0;
    while (!pump->ended || crew_under_way(crew) > 0) {
        int64_t now = steady_us();
        loads_collect(pump);
        struct load *load = pump->ended || now < due_us ? NULL : crew_load(crew);
        if (load != NULL) {
            due_us = now + load_send(pump, load);
        } else if (!pump->ended || crew_under_way(crew) > 0) {
            bool pacing = !pump->ended && due_us > now && due_us - now < WAIT_US;
            crew_wait(crew, pacing ? due_us - now : WAIT_US);
        }
        const struct progress_state state = {
            .events = pump->run->tally.sent,
            .bytes = feed_position(pump->run->feed),
            .bytes_total = feed_total(pump->run->feed),
            .rejected = pump->run->tally.rejected,
        };
        progress_show(progress, &state);
        if (interrupted() && !pump->ended) {
            pump->ended = true;
            pump->code = 130;
            text_put(pump->failure, sizeof(pump->failure), "interrupted");
        }
    }
}

int ingest_pump(struct ingest_run *run)
{
    const struct settings *settings = run->command->settings;
    struct pump pump = {.run = run, .paced = pace_wanted(settings)};
    struct progress progress;
    if (pump.paced) {
        int code = pace_open(&pump.pace, settings, run->command->arguments[0], run->feed);
        if (code != EXIT_CODE_OK) {
            return code;
        }
    }
    interrupt_catch();
    progress_begin(&progress, setting_flag(settings, OPTION_QUIET));
    pump_run(&pump, &progress);
    run->us = progress_end(&progress);
    if (pump.code != EXIT_CODE_OK) {
        complain("%s", pump.failure);
    } else if (feed_failure(run->feed) != NULL) {
        complain("%s: %s", run->command->arguments[0], feed_failure(run->feed));
        pump.code = EXIT_CODE_NO_INPUT;
    } else if (pump.paced && pump.pace.failure[0] != '\0') {
        complain("%s", pump.pace.failure);
        pump.code = EXIT_CODE_NO_INPUT;
    }
    if (pump.paced) {
        pace_close(&pump.pace);
    }
    return pump.code;
}

/* --- Summary --- */

static double per_second(uint64_t count, int64_t us)
{
    return us > 0 ? (double)count * 1e6 / (double)us : 0;
}

int ingest_summary(const struct ingest_run *run)
{
    const struct tally_of_events *tally = &run->tally;
    double rate = per_second(tally->sent, run->us);
    if (run->us == 0 && tally->sent == 0) {
        return EXIT_CODE_OK; /* it never began: the complaint says it all */
    }
    if (setting_flag(run->command->settings, OPTION_JSON)) {
        say("{\"sent\":%llu,\"accepted\":%llu,\"rejected\":%llu,\"repeated_requests\":%llu,"
            "\"seconds\":%.3f,\"events_per_second\":%.0f}\n",
            (unsigned long long)tally->sent,
            (unsigned long long)tally->accepted,
            (unsigned long long)tally->rejected,
            (unsigned long long)tally->again,
            (double)run->us / 1e6,
            rate);
    } else {
        say("%s events sent, %s accepted, %s rejected, in %s (%s/s)\n",
            amount_count(tally->sent).text,
            amount_count(tally->accepted).text,
            amount_count(tally->rejected).text,
            amount_duration(run->us).text,
            amount_short(rate).text);
    }
    if (tally->again > 0) {
        note("%s request%s had to be sent again.\n",
             amount_count(tally->again).text,
             tally->again == 1 ? "" : "s");
    }
    for (size_t i = 0; i < tally->shown; i++) {
        const struct refused_event *refused = &tally->refusals[i];
        note("Rejected: line %llu%s%s: %s\n",
             (unsigned long long)refused->line,
             refused->id[0] != '\0' ? ", id " : "",
             refused->id,
             refused->detail);
    }
    if (tally->rejected > tally->shown && tally->shown > 0) {
        note("... and %s more\n", amount_count(tally->rejected - tally->shown).text);
    }
    return tally->rejected > 0 ? EXIT_CODE_REFUSED : EXIT_CODE_OK;
}

int ingest_command(const struct command *command)
{
    const struct settings *settings = command->settings;
    struct feed *feed = NULL;
    if (command->argument_count != 1) {
        complain("ingest needs one FILE, or - for standard input");
        return EXIT_CODE_USAGE;
    }
    bool direct = setting_given(settings, OPTION_DATA);
    if (direct && setting(settings, OPTION_URL)->origin == ORIGIN_COMMAND_LINE) {
        complain("--data works without a server, so there is no --url");
        return EXIT_CODE_USAGE;
    }
    if (!direct && settings->texts[OPTION_SQL_FIRST].count > 0) {
        complain("--sql goes with --data; with a server use `tidemark sql`");
        return EXIT_CODE_USAGE;
    }
    const char *form = setting_text(settings, OPTION_FORM);
    if (strcmp(form, "ndjson") != 0 && strcmp(form, "batch") != 0) {
        complain("--form: \"%.40s\" is neither ndjson nor batch", form);
        return EXIT_CODE_USAGE;
    }
    int code = feed_open(command->arguments[0], &feed);
    if (code == EXIT_CODE_OK) {
        code = (direct ? ingest_into_directory : ingest_over_http)(command, feed);
        feed_close(feed);
    }
    return code;
}
