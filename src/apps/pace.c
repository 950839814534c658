/* Pacing: see pace.h. */
#include "apps/pace.h"

#include "apps/exit_codes.h"
#include "apps/say.h"
#include "base/check.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096

/* "a/b.ndjson.gz" -> "a/b.arrival", "a/b.arrival.gz" or "a/b.arrival.zst": the first that exists.
 */
static bool arrival_path(const char *path, char *out, size_t size)
{
    static const char *const ends[] = {"", ".gz", ".zst"};
    const char *stem = strstr(path, ".ndjson");
    for (const char *next = stem; next != NULL; next = strstr(next + 1, ".ndjson")) {
        stem = next; /* the last one */
    }
    size_t len = stem == NULL ? strlen(path) : (size_t)(stem - path);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        text_put(out, size, "%.*s.arrival%s", (int)len, path, ends[i]);
        if (access(out, R_OK) == 0) {
            return true;
        }
    }
    text_put(out, size, "%.*s.arrival", (int)len, path);
    return false;
}

int pace_open(struct pace *pace,
              const struct settings *settings,
              const char *path,
              struct feed *lines)
{
    char arrivals[PATH_MAX_BYTES];
    *pace = (struct pace){.lines = lines, .start_us = -1};
    if (setting_given(settings, OPTION_INGEST_RATE)) {
        pace->per_second = setting(settings, OPTION_INGEST_RATE)->real;
    }
    if (!setting_given(settings, OPTION_SPEED)) {
        return EXIT_CODE_OK;
    }
    pace->factor = setting(settings, OPTION_SPEED)->real;
    if (pace->per_second > 0) {
        complain("--rate and --speed exclude each other");
        return EXIT_CODE_USAGE;
    }
    if (strcmp(path, "-") == 0) {
        complain("--speed needs a file: its arrival times stand beside it");
        return EXIT_CODE_USAGE;
    }
    if (!arrival_path(path, arrivals, sizeof(arrivals))) {
        complain("--speed needs the arrival times in %s: one RFC 3339 time for each line",
                 arrivals);
        return EXIT_CODE_NO_INPUT;
    }
    return feed_open(arrivals, &pace->arrivals);
}

void pace_close(struct pace *pace)
{
    feed_close(pace->arrivals);
    pace->arrivals = NULL;
}

/* When the line that was just read may go, in steady time. */
static bool due_find(struct pace *pace, int64_t now_us)
{
    struct bytes text;
    int64_t arrival = 0;
    if (pace->start_us < 0) {
        pace->start_us = now_us;
    }
    if (pace->arrivals == NULL) {
        pace->due_us = pace->start_us + (int64_t)((double)pace->count * 1e6 / pace->per_second);
        return true;
    }
    if (!feed_line(pace->arrivals, &text)) {
        const char *why = feed_failure(pace->arrivals);
        text_put(pace->failure,
                 sizeof(pace->failure),
                 "the file of arrival times ends at line %llu%s%s",
                 (unsigned long long)pace->count,
                 why != NULL ? ": " : "",
                 why != NULL ? why : "");
        return false;
    }
    if (timestamp_parse(text, &arrival) != OK) {
        text_put(pace->failure,
                 sizeof(pace->failure),
                 "line %llu of the arrival times is not RFC 3339",
                 (unsigned long long)pace->count + 1);
        return false;
    }
    if (pace->count == 0) {
        pace->first_arrival_us = arrival;
    }
    pace->due_us =
        pace->start_us + (int64_t)((double)(arrival - pace->first_arrival_us) / pace->factor);
    return true;
}

void pace_fill(struct pace *pace, int64_t now_us, struct buf *out, int64_t *wait_us)
{
    *wait_us = 0;
    while (!pace->ended) {
        if (!pace->held) {
            if (!feed_line(pace->lines, &pace->line) || !due_find(pace, now_us)) {
                pace->ended = true;
                return;
            }
            pace->held = true;
        }
        if (pace->due_us > now_us) {
            *wait_us = pace->due_us - now_us;
            return;
        }
        if (pace->line.len + 1 > out->cap - out->len) {
            CHECK(out->len > 0 || pace->line.len + 1 > out->cap);
            pace->ended = out->len == 0;
            text_put(pace->failure,
                     sizeof(pace->failure),
                     "%s",
                     pace->ended ? "there is a line of more than 1 MiB" : "");
            return;
        }
        buf_put_bytes(out, pace->line);
        buf_put_u8(out, '\n');
        pace->held = false;
        pace->count++;
    }
}
