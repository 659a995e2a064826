// The wish to stop: a signal, remembered for the command to see. A thread of its own waits for it. A handler
// would run on the stack of whatever computes, where it broke the heap in one early stop of ten: it seems
// that code which oneDNN makes while running keeps numbers further below its stack pointer than the system
// spares.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/cli.h"

static atomic_int received; // the signal; 0: none

static sigset_t waited_for(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before;
        // nohup, and a shell that starts something in the background, have it ignored: so it stays.
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(&set, signals[i]);
    }
    return set;
}

// A second signal, whichever it is, ends the process at once.
static void *wait_for_signals(void *unused)
{
    const sigset_t set = waited_for();
    int number;
    if (sigwait(&set, &number) != 0) return unused;
    atomic_store(&received, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;)
        pause();
}

// Before any other thread is made, which then has the signals blocked as well. Without a thread to wait for
// them they end the process, as they would have.
void cli_stop_on_signals(void)
{
    const sigset_t set = waited_for();
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int cli_stop_signal(void)
{
    return atomic_load(&received);
}
