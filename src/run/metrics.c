#include "run/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/decimal.h"
#include "base/heap.h"
#include "io/atomic.h"

enum { LINE_SIZE = 1024 };

enum loam_status loam_metrics_open(struct loam_metrics *metrics, const char *path, struct loam_error *error)
{
    return loam_journal_open(&metrics->journal, path, error);
}

void loam_metrics_close(struct loam_metrics *metrics)
{
    loam_journal_close(&metrics->journal);
}

// Adds `"name": value` to the line. A line beyond LINE_SIZE is cut.
static void append_metric(char line[LINE_SIZE], size_t *size, const struct loam_metric *metric)
{
    char number[LOAM_DECIMAL_SIZE];
    if (!isfinite(metric->value)) return;
    loam_decimal_format(metric->value, number);
    int length = snprintf(line + *size, LINE_SIZE - *size, "%s\"%s\": %s", *size > 1 ? ", " : "",
                          metric->name, number);
    *size += (size_t)length;
    if (*size > LINE_SIZE - 1) *size = LINE_SIZE - 1;
}

enum loam_status loam_metrics_write(struct loam_metrics *metrics, const struct loam_metric *line,
                                    size_t count, struct loam_error *error)
{
    char text[LINE_SIZE + 2] = "{";
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        append_metric(text, &size, &line[i]);
    text[size++] = '}';
    text[size++] = '\n';
    return loam_journal_append(&metrics->journal, text, size, error);
}

enum loam_status loam_metrics_resume(struct loam_metrics *metrics, const char *saved,
                                     struct loam_error *error)
{
    struct stat about;
    char *path = loam_strdup(metrics->journal.path, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    loam_metrics_close(metrics);
    enum loam_status status = loam_atomic_copy_file(saved, path, error);
    if (status == LOAM_OK && stat(path, &about) == 0 && about.st_size > 0)
        status = loam_journal_reopen(&metrics->journal, path, about.st_size, error);
    else if (status == LOAM_OK && unlink(path) != 0) // the first line creates the file
        status = loam_fail(error, LOAM_ERROR_IO, "%s cannot be removed: %s", path, strerror(errno));
    else if (status == LOAM_OK)
        status = loam_journal_open(&metrics->journal, path, error);
    free(path);
    return status;
}

int64_t loam_peak_memory_bytes(void)
{
    // Not getrusage: its figure starts at the parent's.
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
