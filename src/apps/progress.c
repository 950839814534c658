/* Progress: see progress.h. */
#include "apps/progress.h"

#include "apps/say.h"
#include "apps/terminal.h"

#include <unistd.h>

#define DRAW_EVERY_US 100000
#define BAR_WIDTH     24
#define CLEAR_LINE    "\r\033[K"

void progress_begin(struct progress *progress, bool quiet)
{
    *progress = (struct progress){
        .shown = !quiet && terminal_look(STDERR_FILENO).present,
        .start_us = steady_us(),
    };
    progress->drawn_at_us = progress->start_us;
}

static void bar_draw(double part)
{
    int full = (int)(part * BAR_WIDTH);
    note("▕");
    for (int i = 0; i < BAR_WIDTH; i++) {
        note("%s", i < full ? "█" : " ");
    }
    note("▏%3d %%  ", (int)(part * 100));
}

void progress_show(struct progress *progress, const struct progress_state *state)
{
    int64_t now = steady_us();
    int64_t passed = now - progress->drawn_at_us;
    if (!progress->shown || passed < DRAW_EVERY_US) {
        return;
    }
    double rate = (double)(state->events - progress->events_then) * 1e6 / (double)passed;
    progress->per_second = progress->drawn ? 0.8 * progress->per_second + 0.2 * rate : rate;
    progress->events_then = state->events;
    progress->drawn_at_us = now;
    progress->drawn = true;
    note(CLEAR_LINE);
    if (state->bytes_total > 0 && state->bytes <= state->bytes_total) {
        bar_draw((double)state->bytes / (double)state->bytes_total);
    }
    note("%s events  %s/s",
         amount_count(state->events).text,
         amount_short(progress->per_second).text);
    if (state->bytes > 0) {
        note("  %s", amount_bytes(state->bytes).text);
    }
    if (state->rejected > 0) {
        note("  %s rejected", amount_count(state->rejected).text);
    }
    if (state->bytes_total > 0 && state->bytes > 0 && state->bytes <= state->bytes_total) {
        double left = (double)(now - progress->start_us) *
                      (double)(state->bytes_total - state->bytes) / (double)state->bytes;
        note("  ETA %s", amount_duration(((int64_t)(left / 1e6) + 1) * 1000000).text);
    }
}

int64_t progress_end(struct progress *progress)
{
    if (progress->drawn) {
        note(CLEAR_LINE);
    }
    return steady_us() - progress->start_us;
}
