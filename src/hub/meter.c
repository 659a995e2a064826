#include "hub/meter.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"

enum { LOG_SECONDS = 30 }; // between log lines

const char *loam_amount_format(int64_t bytes, char text[LOAM_AMOUNT_SIZE])
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

void loam_meter_start(struct loam_meter *meter, const struct loam_callbacks *callbacks,
                      enum loam_activity activity, int64_t total)
{
    double time = loam_clock_seconds();
    *meter = (struct loam_meter){
        .callbacks = callbacks, .activity = activity, .total = total, .started = time, .reported = time};
}

void loam_meter_add(struct loam_meter *meter, int64_t size)
{
    meter->done += size;
}

static const char *verb(const struct loam_meter *meter)
{
    return meter->activity == LOAM_ACTIVITY_UPLOAD ? "uploaded" : "downloaded";
}

static void log_speed(struct loam_meter *meter)
{
    double time = loam_clock_seconds();
    if (time - meter->reported < LOG_SECONDS) return;
    meter->reported = time;
    char done[LOAM_AMOUNT_SIZE], total[LOAM_AMOUNT_SIZE], speed[LOAM_AMOUNT_SIZE];
    loam_log_write(&meter->callbacks->log, LOAM_LOG_INFO, "%s %s of %s, %s/s", verb(meter),
                   loam_amount_format(meter->done, done), loam_amount_format(meter->total, total),
                   loam_amount_format((int64_t)((double)meter->done / (time - meter->started)), speed));
}

enum loam_status loam_meter_report(struct loam_meter *meter, struct loam_error *error)
{
    log_speed(meter);
    return loam_event_progress(meter->callbacks, meter->activity, meter->done, meter->total, error);
}

void loam_meter_finish(struct loam_meter *meter)
{
    struct loam_error ignored;
    if (meter->total == 0) return;
    // The transfer is complete, so a request to stop is ignored.
    (void)loam_event_progress(meter->callbacks, meter->activity, meter->total, meter->total, &ignored);
    char total[LOAM_AMOUNT_SIZE];
    loam_log_write(&meter->callbacks->log, LOAM_LOG_INFO, "%s %s in %.1f s", verb(meter),
                   loam_amount_format(meter->total, total), loam_clock_seconds() - meter->started);
}
