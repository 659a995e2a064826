#include "base/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STACK_SIZE = 1 << 16 };

static atomic_bool handled, tolerated, occurred;

// Maps a page of zeros over the unreadable one.
static bool replace_page(void *address)
{
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)address / size * size);
    return mmap(page, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
}

static void on_fault(int number, siginfo_t *about, void *context)
{
    static const char message[] =
        "loam: a file that is in use was cut short, or its disk or the memory fails: ended\n";
    (void)context;
    int before = errno;
    if (atomic_load(&tolerated) && about->si_code == BUS_ADRERR && replace_page(about->si_addr)) {
        atomic_store(&occurred, true);
        errno = before;
        return;
    }
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) errno = before;
    signal(number, SIG_DFL);
    raise(number); // takes effect when the handler returns
}

void loam_fault_handle(void)
{
    struct sigaction before, action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &before) != 0 || before.sa_handler != SIG_DFL) return;
    atomic_store(&handled, sigaction(SIGBUS, &action, NULL) == 0);
    loam_fault_prepare_thread();
}

void loam_fault_tolerate(bool tolerate)
{
    if (tolerate) atomic_store(&occurred, false);
    atomic_store(&tolerated, tolerate);
}

bool loam_fault_occurred(void)
{
    return atomic_load(&occurred);
}

void loam_fault_record(void)
{
    atomic_store(&occurred, true);
}

void loam_fault_prepare_thread(void)
{
    stack_t stack;
    if (!atomic_load(&handled) || sigaltstack(NULL, &stack) != 0 || !(stack.ss_flags & SS_DISABLE)) return;
    void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack = (stack_t){.ss_sp = memory, .ss_size = STACK_SIZE};
    if (sigaltstack(&stack, NULL) != 0) munmap(memory, STACK_SIZE);
}
