/* Fibers by ucontext (POSIX.1-2001 makecontext), with a word to AddressSanitizer at each switch. */
#include "sim/fiber.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifndef FIBER_ASAN
#define FIBER_ASAN 0
#endif

#if FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES ((size_t)2 << 20)
#else
#define STACK_BYTES ((size_t)512 << 10)
#endif

struct fiber {
    ucontext_t own;
    ucontext_t resumer;
    void (*run)(void *ctx);
    void *ctx;
    uint8_t *stack;
    bool ended;
    void *fake_stack;
    const void *resumer_stack;
    size_t resumer_stack_bytes;
};

static struct fiber *current;

/* Called on the old stack just before a switch, and on the new one just after. */
static void switch_begins(void **save, const void *stack, size_t bytes)
{
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(save, stack, bytes);
#else
    (void)save;
    (void)stack;
    (void)bytes;
#endif
}

static void switch_ended(void *saved, const void **old_stack, size_t *old_bytes)
{
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(saved, old_stack, old_bytes);
#else
    (void)saved;
    (void)old_stack;
    (void)old_bytes;
#endif
}

static void begin(void)
{
    switch_ended(NULL, &current->resumer_stack, &current->resumer_stack_bytes);
    current->run(current->ctx);
    current->ended = true;
    switch_begins(NULL, current->resumer_stack, current->resumer_stack_bytes);
    int rc = swapcontext(&current->own, &current->resumer);
    CHECK(rc != 0); /* an ended fiber is never resumed */
}

/* By itself: the compiler takes getcontext for a function that returns twice. */
__attribute__((noinline)) static bool take_context(ucontext_t *context)
{
    return getcontext(context) == 0;
}

struct fiber *fiber_create(void (*run)(void *ctx), void *ctx)
{
    struct fiber *fiber = calloc(1, sizeof(*fiber));
    uint8_t *stack = malloc(STACK_BYTES);
    if (fiber == NULL || stack == NULL || !take_context(&fiber->own)) {
        free(stack);
        free(fiber);
        return NULL;
    }
    fiber->run = run;
    fiber->ctx = ctx;
    fiber->stack = stack;
    fiber->own.uc_stack.ss_sp = stack;
    fiber->own.uc_stack.ss_size = STACK_BYTES;
    fiber->own.uc_link = NULL;
    makecontext(&fiber->own, begin, 0);
    return fiber;
}

void fiber_drop(struct fiber *fiber)
{
    CHECK(fiber != current);
    free(fiber->stack);
    free(fiber);
}

void fiber_resume(struct fiber *fiber)
{
    CHECK(current == NULL && !fiber->ended);
    current = fiber;
    void *own_fake_stack = NULL;
    switch_begins(&own_fake_stack, fiber->stack, STACK_BYTES);
    int rc = swapcontext(&current->resumer, &current->own);
    switch_ended(own_fake_stack, NULL, NULL);
    CHECK(rc == 0);
    current = NULL;
}

bool fiber_ended(const struct fiber *fiber)
{
    return fiber->ended;
}

void fiber_yield(void)
{
    CHECK(current != NULL);
    switch_begins(&current->fake_stack, current->resumer_stack, current->resumer_stack_bytes);
    int rc = swapcontext(&current->own, &current->resumer);
    switch_ended(current->fake_stack, &current->resumer_stack, &current->resumer_stack_bytes);
    CHECK(rc == 0);
}

bool fiber_inside(void)
{
    return current != NULL;
}
