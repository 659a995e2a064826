// Prepares the process: descriptors 0 to 2 are open, the stack is large enough, and failed writes are
// errors instead of signals.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"

// The smallest stack of the main thread, the size that it is raised to if possible, and that of other
// threads.
enum { STACK_KIB = 512, USUAL_STACK_KIB = 8192, THREAD_STACK_KIB = 2048 };

// Opens /dev/null on closed standard descriptors. Otherwise the next file or socket would get the number
// of standard output, and output would be written to it.
static bool fill_descriptors(void)
{
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (fcntl(i, F_GETFD) >= 0 || errno != EBADF) continue;
        if (open("/dev/null", O_RDWR) != i) return false;
    }
    return true;
}

// Sets the default stack size of threads. Without it they, such as OpenMP's, get the limit from the
// process's start.
static void enlarge_thread_stacks(void)
{
    pthread_attr_t attributes;
    size_t size;
    const size_t wanted = (size_t)THREAD_STACK_KIB * 1024;
    if (pthread_getattr_default_np(&attributes) != 0) return;
    if (pthread_attr_getstacksize(&attributes, &size) == 0 && size < wanted &&
        pthread_attr_setstacksize(&attributes, wanted) == 0)
        (void)pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

// Raises a small stack limit. A stack that overflows ends the process without a message.
static bool enlarge_stack(void)
{
    struct rlimit limit;
    const rlim_t needed = (rlim_t)STACK_KIB * 1024, usual = (rlim_t)USUAL_STACK_KIB * 1024;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= needed) return true;
    enlarge_thread_stacks();
    struct rlimit larger = {limit.rlim_max < usual ? limit.rlim_max : usual, limit.rlim_max};
    if (larger.rlim_cur >= needed && setrlimit(RLIMIT_STACK, &larger) == 0) return true;
    fprintf(stderr, "loam: the stack is limited to %llu KiB, and %d are needed: raise it with ulimit -s %d\n",
            (unsigned long long)limit.rlim_max / 1024, (int)STACK_KIB, (int)USUAL_STACK_KIB);
    return false;
}

bool cli_prepare_process(void)
{
    // A write to a closed pipe, or beyond the size limit of a file, then fails with errno, and unfinished
    // output is removed.
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    loam_fault_handle();
    return fill_descriptors() && enlarge_stack();
}
