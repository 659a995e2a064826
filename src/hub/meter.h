// The progress of a transfer: frequent events for the caller, and a log line every 30 seconds.
#ifndef LOAM_HUB_METER_H
#define LOAM_HUB_METER_H

#include <stdint.h>

#include "base/status.h"

struct loam_meter {
    const struct loam_callbacks *callbacks;
    enum loam_activity activity;
    int64_t total; // bytes
    int64_t done;
    double started;  // seconds, by loam_clock_seconds
    double reported; // seconds: time of the last log line
};

void loam_meter_start(struct loam_meter *meter, const struct loam_callbacks *callbacks,
                      enum loam_activity activity, int64_t total);
// Adds `size` transferred bytes. A negative `size` takes bytes back that must be transferred again.
void loam_meter_add(struct loam_meter *meter, int64_t size);
// Sends a progress event, and a log line when one is due. LOAM_ERROR_STOPPED: the caller wants to stop.
enum loam_status loam_meter_report(struct loam_meter *meter, struct loam_error *error);
// Reports the end of a transfer that succeeded.
void loam_meter_finish(struct loam_meter *meter);

// Formats a number of bytes in powers of 1000, as the hub does: "1.21 GB".
enum { LOAM_AMOUNT_SIZE = 32 };
const char *loam_amount_format(int64_t bytes, char text[LOAM_AMOUNT_SIZE]);

#endif
