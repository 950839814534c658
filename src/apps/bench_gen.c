/* tidemark bench gen: the events of job J1, always the same for the same seed.
 *
 *   1,000 types by Zipf's law (exponent 1), 10,000 subjects, 16 sources; event i happens at i ms
 *   after the beginning and is written up to 5 s too late: 1,000 events per second of event time,
 *   disorder below 5 s. About 225 bytes a line.
 *
 * Types are drawn by Walker's alias method: one random number, one look-up. */
#include "apps/bench.h"

#include "apps/progress.h"
#include "apps/say.h"
#include "apps/terminal.h"
#include "base/check.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPES       1000
#define SUBJECTS    10000
#define SOURCES     16
#define LATE_US     5000000u
#define BASE_US     1735689600000000LL /* 2025-01-01T00:00:00Z */
#define WRITE_BYTES ((size_t)1024 * 1024)

/* splitmix64: small, fast, good enough for a load. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t random, uint32_t limit)
{
    return (uint32_t)(((random >> 32) * limit) >> 32);
}

struct alias {
    uint32_t keep[TYPES]; /* of 2^32: stay with this type, else take the other */
    uint16_t other[TYPES];
};

static void alias_make(struct alias *alias)
{
    double weight[TYPES];
    uint16_t small[TYPES];
    uint16_t large[TYPES];
    size_t small_count = 0;
    size_t large_count = 0;
    double sum = 0;
    for (size_t i = 0; i < TYPES; i++) {
        sum += 1 / (double)(i + 1);
    }
    for (size_t i = 0; i < TYPES; i++) {
        weight[i] = TYPES / (double)(i + 1) / sum;
        alias->keep[i] = UINT32_MAX;
        alias->other[i] = (uint16_t)i;
        if (weight[i] < 1) {
            small[small_count++] = (uint16_t)i;
        } else {
            large[large_count++] = (uint16_t)i;
        }
    }
    while (small_count > 0 && large_count > 0) {
        uint16_t less = small[--small_count];
        uint16_t more = large[large_count - 1];
        alias->keep[less] = (uint32_t)(weight[less] * 4294967295.0);
        alias->other[less] = more;
        weight[more] -= 1 - weight[less];
        if (weight[more] < 1) {
            large_count--;
            small[small_count++] = more;
        }
    }
}

/* --- Lines --- */

static uint8_t *put_literal(uint8_t *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

static uint8_t *put_digits(uint8_t *at, uint64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    return at + digits;
}

/* "2025-01-01T00:00:00.000Z" */
static uint8_t *put_time(uint8_t *at, int64_t us)
{
    int64_t days = us / 86400000000;
    int64_t rest = us % 86400000000 / 1000;
    int64_t year = 0;
    int month = 0;
    int day = 0;
    civil_from_days(days, &year, &month, &day);
    at = put_digits(at, (uint64_t)year, 4);
    *at++ = '-';
    at = put_digits(at, (uint64_t)month, 2);
    *at++ = '-';
    at = put_digits(at, (uint64_t)day, 2);
    *at++ = 'T';
    at = put_digits(at, (uint64_t)(rest / 3600000), 2);
    *at++ = ':';
    at = put_digits(at, (uint64_t)(rest / 60000 % 60), 2);
    *at++ = ':';
    at = put_digits(at, (uint64_t)(rest / 1000 % 60), 2);
    *at++ = '.';
    at = put_digits(at, (uint64_t)(rest % 1000), 3);
    *at++ = 'Z';
    return at;
}

void bench_event_put(struct buf *out, const struct bench_event *event)
{
    CHECK(out->cap - out->len >= BENCH_EVENT_MAX);
    uint8_t *begin = out->data + out->len;
    uint8_t *at = put_literal(begin, "{\"specversion\":\"1.0\",\"id\":\"");
    at = put_literal(at, event->prefix);
    at = put_digits(at, event->number, 12);
    at = put_literal(at, "\",\"source\":\"/plants/");
    at = put_digits(at, event->source, 2);
    at = put_literal(at, "\",\"type\":\"");
    at = put_literal(at, event->type);
    at = put_literal(at, "\",\"subject\":\"device-");
    at = put_digits(at, event->subject, 7);
    at = put_literal(at, "\",\"time\":\"");
    at = put_time(at, event->time_us);
    at = put_literal(at, "\",\"datacontenttype\":\"application/json\",\"data\":{\"value\":");
    at = put_digits(at, 1 + event->value / 100, event->value >= 99900 ? 4 : 3);
    *at++ = '.';
    at = put_digits(at, event->value % 100, 2);
    at = put_literal(at, ",\"unit\":\"kW\"}}\n");
    out->len += (size_t)(at - begin);
    CHECK(out->len <= out->cap);
}

struct generator {
    struct alias alias;
    uint64_t random;
    uint64_t count;
    struct buf out;
};

static void line_put(struct generator *generator, uint64_t i)
{
    uint64_t a = next_random(&generator->random);
    uint64_t b = next_random(&generator->random);
    uint64_t c = next_random(&generator->random);
    uint32_t type = below(a, TYPES);
    if ((uint32_t)a > generator->alias.keep[type]) {
        type = generator->alias.other[type];
    }
    char name[32] = "sensor.reading.0000";
    (void)put_digits((uint8_t *)name + 15, type, 4);
    const struct bench_event event = {
        .number = i,
        .time_us = BASE_US + (int64_t)i * 1000 - (int64_t)below(b, LATE_US),
        .prefix = "e-",
        .type = name,
        .subject = below(b << 32, SUBJECTS),
        .source = below(c, SOURCES),
        .value = 10000 + below(c << 32, 89900),
    };
    bench_event_put(&generator->out, &event);
}

static int lines_write(struct generator *generator, FILE *file)
{
    struct progress progress;
    progress_begin(&progress, false);
    for (uint64_t i = 0; i < generator->count; i++) {
        line_put(generator, i);
        if (generator->out.cap - generator->out.len < BENCH_EVENT_MAX ||
            i + 1 == generator->count) {
            const struct progress_state state = {
                .events = i + 1, .bytes = i + 1, .bytes_total = generator->count};
            if (fwrite(generator->out.data, 1, generator->out.len, file) != generator->out.len) {
                complain("the file can't be written: %s", strerrordesc_np(errno));
                return EXIT_CODE_IO;
            }
            generator->out.len = 0;
            progress_show(&progress, &state);
        }
    }
    (void)progress_end(&progress);
    return EXIT_CODE_OK;
}

int bench_gen(const struct command *command)
{
    static struct generator generator;
    const char *path = command->arguments[1];
    alias_make(&generator.alias);
    generator.random = (uint64_t)setting_number(command->settings, OPTION_SEED);
    generator.count = (uint64_t)setting_number(command->settings, OPTION_EVENTS);
    generator.out = buf_of(malloc(WRITE_BYTES), WRITE_BYTES);
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    int code = EXIT_CODE_IO;
    if (generator.out.data == NULL || file == NULL) {
        complain("%s can't be written: %s", path, strerrordesc_np(errno));
    } else {
        int64_t start_us = steady_us();
        code = lines_write(&generator, file);
        bool closed = file == stdout ? fflush(file) == 0 : fclose(file) == 0;
        if (code == EXIT_CODE_OK && !closed) {
            complain("%s can't be written: %s", path, strerrordesc_np(errno));
            code = EXIT_CODE_IO;
        }
        int64_t us = steady_us() - start_us;
        note("%s events in %s\n", amount_count(generator.count).text, amount_duration(us).text);
    }
    free(generator.out.data);
    return code;
}
