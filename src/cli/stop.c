// The wish to stop: a signal, remembered for the command to see. A thread of its own waits for it. A handler
// would run on the stack of whatever computes, where it broke the heap in one early stop of ten: it seems
// that code which oneDNN makes while running keeps numbers further below its stack pointer than the system
// spares.
//
// Signals that would end the process, and what becomes of them:
//   INT, TERM               stop; a second one ends the process at once
//   HUP                     stop: the terminal was closed, or the connection dropped
//   XCPU, USR1, USR2, ALRM  stop: batch systems and timers warn with them before they kill
//   VTALRM, PROF, PWR       stop: timers, and the power that is about to fail
//   PIPE, XFSZ              ignored (process.c): the write fails instead
//   QUIT                    ends the process at once: it is for that, and for a core dump
//   BUS                     a mapped file was cut short (base/fault.h): while training, the steps are saved
//   faults (SEGV, FPE, ...) end the process at once: what is in memory may be broken
// One that was ignored at the start (nohup, a shell's background) stays so, and one that has a handler, of a
// profiler say, keeps it.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "cli/cli.h"

static atomic_int received; // the signal that came first; 0: none

static sigset_t waited_for(void)
{
    static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,    SIGXCPU, SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPWR};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before;
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaddset(&set, signals[i]);
    }
    return set;
}

// Ends the process by the signal, whose action is the default.
static void end_by(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

// Only a second INT or TERM ends the process: the system repeats XCPU every second, a closed terminal may
// send HUP twice, and a session that ends sends TERM and HUP.
static void *wait_for_signals(void *unused)
{
    const sigset_t set = waited_for();
    bool asked = false;
    int number;
    while (sigwait(&set, &number) == 0) {
        bool ends = number == SIGINT || number == SIGTERM;
        if (ends && asked) end_by(number);
        asked = asked || ends;
        int none = 0;
        atomic_compare_exchange_strong(&received, &none, number);
    }
    return unused;
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
