/* The terminal: see terminal.h. */
#include "apps/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_DEFAULT  100
#define HEIGHT_DEFAULT 40

struct terminal terminal_look(int fd)
{
    const char *kind = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    struct winsize size = {0};
    struct terminal terminal = {.width = WIDTH_DEFAULT, .height = HEIGHT_DEFAULT};
    terminal.present = isatty(fd) == 1 && kind != NULL && strcmp(kind, "dumb") != 0;
    terminal.colours = terminal.present && (no_color == NULL || no_color[0] == '\0');
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 && size.ws_row >= 5) {
        terminal.width = size.ws_col;
        terminal.height = size.ws_row;
    }
    return terminal;
}

static volatile sig_atomic_t interrupt_seen;

static void on_interrupt(int number)
{
    if (interrupt_seen != 0) {
        _exit(128 + number);
    }
    interrupt_seen = 1;
}

void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
    return interrupt_seen != 0;
}

bool sleep_us(int64_t us)
{
    struct timespec wait = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (us > 0 && nanosleep(&wait, &wait) != 0) {
        if (errno != EINTR || interrupted()) {
            return false;
        }
    }
    return !interrupted();
}

int64_t steady_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t wall_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
