#include "hub/meter.h"

#include <stdio.h>
#include <time.h>

enum { TELL_SECONDS = 5 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

const char *loam_amount(int64_t bytes, char text[LOAM_AMOUNT_SIZE])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    if (bytes < 1000) {
        snprintf(text, LOAM_AMOUNT_SIZE, "%lld bytes", (long long)bytes);
        return text;
    }
    double amount = (double)bytes / 1000;
    size_t unit = 0;
    for (; amount >= 999.95 && unit + 1 < sizeof units / sizeof *units; unit++)
        amount /= 1000;
    snprintf(text, LOAM_AMOUNT_SIZE, "%.*f %s", amount < 10 ? 2 : 1, amount, units[unit]);
    return text;
}

void loam_meter_start(struct loam_meter *meter, const struct loam_callbacks *callbacks, const char *what,
                      int64_t total)
{
    double time = now();
    *meter = (struct loam_meter){
        .callbacks = callbacks, .what = what, .total = total, .started = time, .told = time};
}

void loam_meter_add(struct loam_meter *meter, int64_t size)
{
    meter->done += size;
    double time = now();
    if (time - meter->told < TELL_SECONDS) return;
    meter->told = time;
    char done[LOAM_AMOUNT_SIZE], total[LOAM_AMOUNT_SIZE], speed[LOAM_AMOUNT_SIZE];
    loam_log_write(&meter->callbacks->log, LOAM_LOG_INFO, "%s %s of %s, %s/s", meter->what,
                   loam_amount(meter->done, done), loam_amount(meter->total, total),
                   loam_amount((int64_t)((double)meter->done / (time - meter->started)), speed));
}

void loam_meter_finish(struct loam_meter *meter)
{
    if (meter->total == 0) return;
    double seconds = now() - meter->started;
    char done[LOAM_AMOUNT_SIZE];
    loam_log_write(&meter->callbacks->log, LOAM_LOG_INFO, "%s %s in %.1f s", meter->what,
                   loam_amount(meter->done, done), seconds);
}
