// Signals that ask the command to stop. A thread waits for them and remembers the first one. A handler is
// not used, because it would run on the stack of a thread that computes: with one, one of ten early stops
// ended with a broken heap. Code that oneDNN generates seems to keep values further below its stack
// pointer than the system preserves.
//
// Signals that end a process by default:
//   INT, TERM               stop; a second one ends the process at once. At a terminal, INT only interrupts the
//                           answers of `loam chat`
//   HUP                     stop: the terminal was closed, or the connection dropped
//   XCPU, USR1, USR2, ALRM  stop: batch systems and timers send them as a warning
//   VTALRM, PROF, PWR       stop: timers, and a power failure
//   PIPE, XFSZ              ignored (process.c): the write fails instead
//   QUIT                    ends the process at once, with a core dump
//   BUS                     a mapped file was shortened (base/fault.h): training saves its finished steps
//   SEGV, FPE, ...          end the process at once: memory may be corrupt
// A signal that was ignored at the start (nohup, a shell's background job) stays ignored. One that
// already has a handler, such as a profiler's, keeps it.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "cli/cli.h"

static sigset_t signals;        // that are waited for: those without a handler at the start
static atomic_int received;     // the signal that came first; 0: none
static atomic_bool spared;      // INT interrupts an answer only
static atomic_bool interrupted; // by INT, since cli_stop_resume

static void list_signals(void)
{
    static const int numbers[] = {SIGINT,  SIGTERM, SIGHUP,    SIGXCPU, SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPWR};
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaddset(&signals, numbers[i]);
    }
}

// Ends the process by the default action of the signal.
static void end_process(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

// Only a second INT or TERM ends the process: the system repeats XCPU every second, a closed terminal may
// send HUP twice, and the end of a session sends TERM and HUP.
static void *wait_for_signals(void *unused)
{
    bool asked = false;
    int number;
    while (sigwait(&signals, &number) == 0) {
        if (number == SIGINT && atomic_load(&spared)) {
            atomic_store(&interrupted, true);
            continue;
        }
        bool ends = number == SIGINT || number == SIGTERM;
        if (ends && asked) end_process(number);
        asked = asked || ends;
        int none = 0;
        atomic_compare_exchange_strong(&received, &none, number);
    }
    return unused;
}

// Must be called before other threads start, because threads inherit the blocked signals. If no thread
// can be made to wait for the signals, they keep their default action. The thread may start late, when libedit
// already has handlers of its own, so the signals are listed here.
void cli_stop_on_signals(void)
{
    pthread_t thread;
    list_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

int cli_stop_signal(void)
{
    return atomic_load(&received);
}

void cli_stop_spare(void)
{
    atomic_store(&spared, true);
}

bool cli_stop_is_interrupted(void)
{
    return atomic_load(&interrupted);
}

void cli_stop_resume(void)
{
    atomic_store(&interrupted, false);
}
