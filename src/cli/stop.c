// The wish to stop: a signal, remembered for the command to see.
#include <signal.h>
#include <stddef.h>

#include "cli/cli.h"

static volatile sig_atomic_t received; // the signal; 0: none

static const int signals[] = {SIGINT, SIGTERM};

// A second signal, whichever it is, ends the process at once.
static void remember(int number)
{
    received = number;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) != 0 || action.sa_handler != remember) continue;
        action.sa_handler = SIG_DFL;
        sigaction(signals[i], &action, NULL);
    }
}

static void catch_signal(int number)
{
    struct sigaction before;
    // nohup, and a shell that starts something in the background, have it ignored: so it stays.
    if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN) return;
    struct sigaction action = {.sa_handler = remember};
    action.sa_flags = SA_RESTART; // interrupted calls go on
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void cli_stop_on_signals(void)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        catch_signal(signals[i]);
}

int cli_stop_signal(void)
{
    return (int)received;
}
