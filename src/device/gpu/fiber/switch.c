// The switch is written by hand on x86-64: swapcontext, which serves elsewhere, asks the kernel for the signal mask
// each time and takes 17 times as long.
#include "device/gpu/fiber/switch.h"

#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

static void start_switch(struct fiber *from, const struct fiber *to)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
#else
    (void)from;
    (void)to;
#endif
}

static void finish_switch(const struct fiber *to)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(to->fake_stack, NULL, NULL);
#else
    (void)to;
#endif
}

void fiber_entered(struct fiber *from)
{
#ifdef HAS_ASAN
    const void *stack = NULL;
    __sanitizer_finish_switch_fiber(NULL, &stack, &from->bytes);
    memcpy(&from->stack, &stack, sizeof stack);
#else
    (void)from;
#endif
}

void fiber_forget(const struct fiber *fiber)
{
#ifdef HAS_ASAN
    __asan_unpoison_memory_region(fiber->stack, fiber->bytes);
#else
    (void)fiber;
#endif
}

#ifdef LOAM_FIBER_UCONTEXT

void fiber_init(struct fiber *fiber, char *stack, size_t bytes, void (*entry)(void))
{
    *fiber = (struct fiber){.stack = stack, .bytes = bytes};
    (void)getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = bytes;
    makecontext(&fiber->context, entry, 0);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    start_switch(from, to);
    (void)swapcontext(&from->context, &to->context);
    finish_switch(from);
}

#else

// Saves the registers that a call keeps and the stack pointer, and takes those of the other stack.
void loam_fiber_swap(void **from, void *to);
__asm__(".text\n"
        ".globl loam_fiber_swap\n"
        ".hidden loam_fiber_swap\n"
        ".type loam_fiber_swap, @function\n"
        "loam_fiber_swap:\n"
        "  push %rbp\n"
        "  push %rbx\n"
        "  push %r12\n"
        "  push %r13\n"
        "  push %r14\n"
        "  push %r15\n"
        "  mov %rsp, (%rdi)\n"
        "  mov %rsi, %rsp\n"
        "  pop %r15\n"
        "  pop %r14\n"
        "  pop %r13\n"
        "  pop %r12\n"
        "  pop %rbx\n"
        "  pop %rbp\n"
        "  ret\n"
        ".size loam_fiber_swap, . - loam_fiber_swap\n");

enum { KEPT = 6 }; // registers

// At the entry the stack pointer is 8 modulo 16, as after a call.
void fiber_init(struct fiber *fiber, char *stack, size_t bytes, void (*entry)(void))
{
    *fiber = (struct fiber){.stack = stack, .bytes = bytes};
    uintptr_t frame[KEPT + 2] = {0};
    memcpy(&frame[KEPT], &entry, sizeof entry);
    char *const top = stack + bytes / 16 * 16 - sizeof frame;
    memcpy(top, frame, sizeof frame);
    fiber->stack_pointer = top;
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    start_switch(from, to);
    loam_fiber_swap(&from->stack_pointer, to->stack_pointer);
    finish_switch(from);
}

#endif
