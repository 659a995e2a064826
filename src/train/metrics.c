#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/decimal.h"
#include "io/atomic.h"

enum { LINE_SIZE = 1024 };

void loam_metrics_init(struct loam_metrics *metrics, const char *path)
{
    *metrics = (struct loam_metrics){.path = path, .descriptor = -1};
}

void loam_metrics_deinit(struct loam_metrics *metrics)
{
    if (metrics->descriptor >= 0) close(metrics->descriptor);
    metrics->descriptor = -1;
}

static enum loam_status fail_system(const struct loam_metrics *metrics, const char *what,
                                    struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO, "%s cannot %s: %s", metrics->path, what, strerror(errno));
}

// Adds `"name": value` to the line; what does not fit is cut, which write_line reports.
static void append(char line[LINE_SIZE], size_t *size, const struct loam_metric *metric)
{
    char number[LOAM_DECIMAL_SIZE];
    if (!isfinite(metric->value)) return;
    loam_decimal(metric->value, number);
    int length = snprintf(line + *size, LINE_SIZE - *size, "%s\"%s\": %s", *size > 1 ? ", " : "",
                          metric->name, number);
    *size += (size_t)length;
    if (*size > LINE_SIZE - 1) *size = LINE_SIZE - 1;
}

// Half a line at the end is worse than none; nor is there anything in a file without a line.
static void take_back(const struct loam_metrics *metrics, size_t written)
{
    off_t end = lseek(metrics->descriptor, 0, SEEK_CUR);
    if (ftruncate(metrics->descriptor, end - (off_t)written) != 0) return; // a device, say
    if (end == (off_t)written) (void)unlink(metrics->path);
}

enum loam_status loam_metrics_write(struct loam_metrics *metrics, const struct loam_metric *line,
                                    size_t count, struct loam_error *error)
{
    char text[LINE_SIZE + 2] = "{";
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        append(text, &size, &line[i]);
    text[size++] = '}';
    text[size++] = '\n';
    if (metrics->descriptor < 0) {
        metrics->descriptor = open(metrics->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (metrics->descriptor < 0) return fail_system(metrics, "be made", error);
    }
    for (size_t done = 0; done < size;) {
        ssize_t written = write(metrics->descriptor, text + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            enum loam_status status = fail_system(metrics, "be written", error);
            take_back(metrics, done);
            return status;
        }
        done += (size_t)written;
    }
    return LOAM_OK;
}

enum loam_status loam_metrics_resume(struct loam_metrics *metrics, const char *saved,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_atomic_copy_file(saved, metrics->path, error));
    metrics->descriptor = open(metrics->path, O_WRONLY | O_CLOEXEC);
    off_t end = metrics->descriptor < 0 ? -1 : lseek(metrics->descriptor, 0, SEEK_END);
    if (end < 0) return fail_system(metrics, "be opened", error);
    if (end > 0) return LOAM_OK;
    loam_metrics_deinit(metrics); // the first line makes it
    if (unlink(metrics->path) != 0) return fail_system(metrics, "be removed", error);
    return LOAM_OK;
}

int64_t loam_peak_memory_bytes(void)
{
    // getrusage would do, but its figure starts at the parent's.
    static const char key[] = "VmHWM:";
    char text[4096];
    int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    ssize_t size = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (size <= 0) return 0;
    text[size] = '\0';
    const char *found = strstr(text, key);
    return found != NULL ? 1024 * strtoll(found + strlen(key), NULL, 10) : 0;
}
