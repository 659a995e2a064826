// The wish to stop: a signal, remembered for the command to see.
#include <signal.h>
#include <stddef.h>

#include "cli/cli.h"

static volatile sig_atomic_t received; // the signal; 0: none

static void remember(int number)
{
    received = number;
}

static void catch_signal(int number)
{
    struct sigaction before;
    // nohup, and a shell that starts something in the background, have it ignored: so it stays.
    if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN) return;
    struct sigaction action = {.sa_handler = remember};
    // Interrupted calls go on, and a second signal ends the process at once.
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void cli_stop_on_signals(void)
{
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
}

int cli_stop_signal(void)
{
    return (int)received;
}
