#include "hub/meter.h"

#include <stdio.h>
#include <time.h>

#include "base/event.h"
#include "hub/hub.h"

enum { TELL_SECONDS = 30 };

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

void loam_meter_start(struct loam_meter *meter, struct loam_hub *hub, enum loam_activity activity,
                      int64_t total)
{
    double time = now();
    *meter =
        (struct loam_meter){.hub = hub, .activity = activity, .total = total, .started = time, .told = time};
    hub->meter = meter;
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
    double time = now();
    if (time - meter->told < TELL_SECONDS) return;
    meter->told = time;
    char done[LOAM_AMOUNT_SIZE], total[LOAM_AMOUNT_SIZE], speed[LOAM_AMOUNT_SIZE];
    loam_log_write(&meter->hub->callbacks->log, LOAM_LOG_INFO, "%s %s of %s, %s/s", verb(meter),
                   loam_amount(meter->done, done), loam_amount(meter->total, total),
                   loam_amount((int64_t)((double)meter->done / (time - meter->started)), speed));
}

enum loam_status loam_meter_tell(struct loam_meter *meter, const struct loam_callbacks *callbacks,
                                 struct loam_error *error)
{
    if (meter == NULL) return loam_event_progress(callbacks, LOAM_ACTIVITY_DOWNLOAD, 0, 0, error);
    log_speed(meter);
    return loam_event_progress(callbacks, meter->activity, meter->done, meter->total, error);
}

enum loam_status loam_meter_finish(struct loam_meter *meter, enum loam_status status)
{
    struct loam_hub *hub = meter->hub;
    struct loam_error ignored;
    hub->meter = NULL;
    if (status != LOAM_OK || meter->total == 0) return status;
    // It is done: being stopped now makes no difference.
    (void)loam_event_progress(hub->callbacks, meter->activity, meter->total, meter->total, &ignored);
    char total[LOAM_AMOUNT_SIZE];
    loam_log_write(&hub->callbacks->log, LOAM_LOG_INFO, "%s %s in %.1f s", verb(meter),
                   loam_amount(meter->total, total), now() - meter->started);
    return LOAM_OK;
}
