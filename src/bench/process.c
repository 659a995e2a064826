#include "bench/process.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Field 22 of /proc/self/stat is the start in ticks since boot. The second field, a name in parentheses, may
// contain blanks, so counting begins at field 3 after the last parenthesis.
static double start_seconds(void)
{
    enum { START_FIELD = 22, FIRST_FIELD = 3 };
    char text[4096];
    int descriptor = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return NAN;
    ssize_t size = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (size <= 0) return NAN;
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL) return NAN;
    at++;
    for (int field = FIRST_FIELD; field < START_FIELD && at != NULL; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK) : NAN;
}

double loam_bench_process_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return NAN;
    const double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - start_seconds();
    return seconds >= 0 ? seconds : NAN;
}
