// The threads of OpenMP. OpenMP ends the process when it cannot start a thread, so threads are started on
// trial first.
#include <dirent.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/fault.h"
#include "device/cpu/cpu.h"

// The number of threads that OpenMP keeps for the calling thread, itself included. They need no trial.
static _Thread_local int kept = 1;

static void *wait_at(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

// Threads of this process; 0 where that is not known.
static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    if (tasks == NULL) return 0;
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

// Waits until joined threads are gone. Until then, for a moment, they count towards the system's limit.
static void wait_until_gone(int before)
{
    enum { LOOKS = 200 };
    static const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (int i = 0; i < LOOKS && count_threads() > before; i++)
        nanosleep(&pause, NULL);
}

// Starts up to `wanted` waiting threads and ends them. Returns how many could exist at once.
static int try_threads(int wanted)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = calloc((size_t)wanted, sizeof *threads);
    int count = 0, before = count_threads();
    if (threads == NULL) return 0;
    pthread_mutex_lock(&gate);
    while (count < wanted && pthread_create(&threads[count], NULL, wait_at, &gate) == 0)
        count++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (before > 0) wait_until_gone(before);
    return count;
}

int loam_cpu_start_threads(int wanted)
{
    int threads = wanted <= kept ? wanted : kept + try_threads(wanted - kept);
    if (threads > kept) {
        int started = 1;
#pragma omp parallel num_threads(threads)
        {
            loam_fault_prepare_thread();
#pragma omp single
            started = omp_get_num_threads();
        }
        kept = threads = started;
    }
    return threads;
}
