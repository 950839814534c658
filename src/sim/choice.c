/* Choices: numbers from a seed or from a tape, and the tape of what was chosen.
 *
 *     seed ──splitmix64──► one xoshiro256** per stream ──► choice ──► noted on the stream's tape
 *     tape ──────────────────────────────────────────────► choice
 *
 *  1. A choice is noted as the answer that was given, not as the raw number behind it: so a tape
 *     can be read, and an edit changes one answer.
 *  2. Where there is but one answer nothing is drawn, noted or played.
 *  3. A tape never makes an answer that is out of range. What it does not say is 0.
 *
 * splitmix64 and xoshiro256** are by D. Blackman and S. Vigna (prng.di.unimi.it). */
#include "sim/choice.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define TAPE_FIRST 1024
#define TAPE_MAX   ((size_t)1 << 28) /* 1 GiB: no run is that long */

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static uint64_t rotate_left(uint64_t x, unsigned int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t xoshiro_next(uint64_t state[4])
{
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

static void tape_reserve(struct choice_tape *tape, size_t capacity)
{
    CHECK(capacity <= TAPE_MAX);
    uint32_t *values = realloc(tape->values, capacity * sizeof(*values));
    CHECK(values != NULL);
    tape->values = values;
    tape->capacity = capacity;
}

static void tape_note(struct choice_tape *tape, uint32_t value)
{
    if (tape->count == tape->capacity) {
        tape_reserve(tape, tape->capacity == 0 ? TAPE_FIRST : 2 * tape->capacity);
    }
    tape->values[tape->count++] = value;
}

void choice_from_seed(struct choice *choice, uint64_t seed)
{
    *choice = (struct choice){.playing = false};
    uint64_t mixer = seed;
    for (int stream = 0; stream < CHOICE_STREAMS; stream++) {
        for (int word = 0; word < 4; word++) {
            choice->state[stream][word] = splitmix64(&mixer);
        }
    }
}

void choice_from_tapes(struct choice *choice, const struct choice_tape tapes[CHOICE_STREAMS])
{
    *choice = (struct choice){.playing = true};
    for (int stream = 0; stream < CHOICE_STREAMS; stream++) {
        size_t count = tapes[stream].count;
        if (count > 0) {
            tape_reserve(&choice->tapes[stream], count);
            memcpy(choice->tapes[stream].values, tapes[stream].values, count * sizeof(uint32_t));
            choice->tapes[stream].count = count;
        }
    }
}

void choice_free(struct choice *choice)
{
    for (int stream = 0; stream < CHOICE_STREAMS; stream++) {
        free(choice->tapes[stream].values);
        choice->tapes[stream] = (struct choice_tape){.values = NULL};
    }
}

static uint32_t play(struct choice *choice, enum choice_stream stream, uint32_t end)
{
    const struct choice_tape *tape = &choice->tapes[stream];
    size_t at = choice->played[stream]++;
    uint32_t value = at < tape->count ? tape->values[at] : 0;
    return value < end ? value : 0;
}

/* Draws below `end` without noting it. The upper half times `end`: no answer is likelier by
 * more than one part in 2^32 / end. */
static uint32_t draw(struct choice *choice, enum choice_stream stream, uint32_t end)
{
    uint64_t upper = xoshiro_next(choice->state[stream]) >> 32;
    return (uint32_t)((upper * end) >> 32);
}

uint32_t choose(struct choice *choice, enum choice_stream stream, uint32_t end)
{
    CHECK(end >= 1);
    CHECK(stream < CHOICE_STREAMS);
    if (end == 1) {
        return 0;
    }
    if (choice->playing) {
        return play(choice, stream, end);
    }
    uint32_t value = draw(choice, stream, end);
    tape_note(&choice->tapes[stream], value);
    return value;
}

bool choose_once_in(struct choice *choice, enum choice_stream stream, uint32_t times)
{
    CHECK(times >= 1);
    CHECK(stream < CHOICE_STREAMS);
    if (choice->playing) {
        return play(choice, stream, 2) == 1;
    }
    bool answer = draw(choice, stream, times) == 0;
    tape_note(&choice->tapes[stream], answer ? 1 : 0);
    return answer;
}

uint32_t
choose_magnitude(struct choice *choice, enum choice_stream stream, uint32_t low, uint32_t high)
{
    CHECK(low >= 1);
    CHECK(low <= high);
    uint32_t doublings = 1;
    while ((uint64_t)low << doublings <= high) {
        doublings++;
    }
    uint64_t first = (uint64_t)low << choose(choice, stream, doublings);
    uint64_t last = 2 * first - 1 < high ? 2 * first - 1 : high;
    return (uint32_t)(first + choose(choice, stream, (uint32_t)(last - first + 1)));
}
