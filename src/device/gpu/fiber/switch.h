// Fibers: stacks that one thread switches between.
#ifndef LOAM_DEVICE_GPU_FIBER_SWITCH_H
#define LOAM_DEVICE_GPU_FIBER_SWITCH_H

#include <stddef.h>

#if !defined(__x86_64__) || defined(LOAM_FIBER_PORTABLE)
#define LOAM_FIBER_UCONTEXT 1
#include <ucontext.h>
#endif

struct fiber {
#ifdef LOAM_FIBER_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer; // while it does not run
#endif
    char *stack; // lowest byte; of the thread's own stack: known once a fiber was entered
    size_t bytes;
    void *fake_stack; // of AddressSanitizer
};

// Sets a fiber up that starts with `entry` on `stack`. The entry calls fiber_entered first and never returns.
void fiber_init(struct fiber *fiber, char *stack, size_t bytes, void (*entry)(void));
void fiber_entered(struct fiber *from);
// Leaves `from`, which is the running one, for `to`. Returns when a fiber switches back to `from`.
void fiber_switch(struct fiber *from, struct fiber *to);
// The stack can hold anything again.
void fiber_forget(const struct fiber *fiber);

#endif
