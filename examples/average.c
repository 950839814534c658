/* Means per window: reads lines "PARTITION TIMESTAMP VALUE" and prints a line for each window.
 *
 * Usage: average [WINDOW_SIZE [DISORDER]] <FILE     (60 and 10 unless told)
 *
 * Partitions are 0 to 3. A partition may be out of order by DISORDER: its watermark follows its
 * latest timestamp at that distance. At the end of the input nothing more will come, so all windows
 * are told. What came too late is counted and told on stderr.
 *
 *     cc average.c $(pkg-config --cflags --libs tidemark) -o average */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark.h>

#define PARTITIONS 4

struct line {
    uint32_t partition;
    int64_t timestamp;
    double value;
};

static int print_mean(const struct tidemark_window *window, void *context)
{
    FILE *out = context;
    double sum = 0;
    const struct tidemark_event *event;
    for (event = window->first; event != NULL; event = event->next) {
        double value;
        memcpy(&value, event->data, sizeof(value));
        sum += value;
    }
    double mean = sum / (double)window->event_count;
    (void)fprintf(out,
                  "[%" PRId64 ", %" PRId64 ") %zu events, mean %.2f\n",
                  window->start,
                  window->end,
                  window->event_count,
                  mean);
    return ferror(out);
}

/* Reads one line; false when it isn't three numbers. */
static bool parse(const char *text, struct line *line)
{
    char *end = NULL;
    errno = 0;
    unsigned long partition = strtoul(text, &end, 10);
    if (end == text || partition >= PARTITIONS) {
        return false;
    }
    const char *rest = end;
    line->partition = (uint32_t)partition;
    line->timestamp = strtoll(rest, &end, 10);
    if (end == rest) {
        return false;
    }
    rest = end;
    line->value = strtod(rest, &end);
    return end != rest && errno == 0 && (*end == '\n' || *end == '\0');
}

/* Takes one line in, and hands over what it made ready. */
static enum tidemark_result
take(struct tidemark_ingestor *ingestor, const struct line *line, int64_t disorder)
{
    enum tidemark_result result = tidemark_ingestor_ingest(
        ingestor, line->partition, line->timestamp, &line->value, sizeof(line->value));
    if (result != TIDEMARK_OK) {
        return result;
    }
    if (line->timestamp < INT64_MIN + disorder) {
        return TIDEMARK_OK;
    }
    result =
        tidemark_ingestor_advance_watermark(ingestor, line->partition, line->timestamp - disorder);
    if (result == TIDEMARK_BACKWARDS) {
        return TIDEMARK_OK; /* a later event said more */
    }
    return result == TIDEMARK_OK ? tidemark_ingestor_emit(ingestor, print_mean, stdout) : result;
}

static enum tidemark_result finish(struct tidemark_ingestor *ingestor)
{
    uint32_t partition;
    for (partition = 0; partition < PARTITIONS; partition++) {
        enum tidemark_result result =
            tidemark_ingestor_advance_watermark(ingestor, partition, INT64_MAX);
        if (result != TIDEMARK_OK) {
            return result;
        }
    }
    return tidemark_ingestor_emit(ingestor, print_mean, stdout);
}

/* All of stdin; the exit code. */
static int run(struct tidemark_ingestor *ingestor, int64_t disorder)
{
    char text[256];
    long number = 0;
    long late = 0;
    enum tidemark_result result = TIDEMARK_OK;
    while (fgets(text, sizeof(text), stdin) != NULL) {
        struct line line;
        number++;
        if (!parse(text, &line)) {
            (void)fprintf(stderr, "line %ld is not PARTITION TIMESTAMP VALUE\n", number);
            return 1;
        }
        result = take(ingestor, &line, disorder);
        if (result == TIDEMARK_LATE) {
            late++;
        } else if (result != TIDEMARK_OK) {
            (void)fprintf(stderr, "line %ld: %s\n", number, tidemark_error_text(result));
            return 1;
        }
    }
    result = finish(ingestor);
    if (late > 0) {
        (void)fprintf(stderr, "%ld too late\n", late);
    }
    if (result != TIDEMARK_OK || fflush(stdout) != 0) {
        (void)fprintf(stderr, "the output could not be written\n");
        return 1;
    }
    return 0;
}

/* A number of at least `min`, or -1. */
static int64_t number_of(const char *text, int64_t min)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && number >= min ? (int64_t)number : -1;
}

int main(int argc, char **argv)
{
    static const uint32_t partitions[PARTITIONS] = {0, 1, 2, 3};
    int64_t window_size = argc > 1 ? number_of(argv[1], 1) : 60;
    int64_t disorder = argc > 2 ? number_of(argv[2], 0) : 10;
    if (argc > 3 || window_size < 0 || disorder < 0) {
        (void)fprintf(stderr, "usage: average [WINDOW_SIZE [DISORDER]] <FILE\n");
        return 2;
    }
    enum tidemark_result result;
    struct tidemark_ingestor *ingestor =
        tidemark_ingestor_create(partitions, PARTITIONS, window_size, NULL, &result);
    if (ingestor == NULL) {
        (void)fprintf(stderr, "average: %s\n", tidemark_error_text(result));
        return 1;
    }
    int code = run(ingestor, disorder);
    (void)tidemark_ingestor_destroy(ingestor);
    return code;
}
