// How far a transfer is: an event often, and a line of the log now and then.
#ifndef LOAM_HUB_METER_H
#define LOAM_HUB_METER_H

#include <stdint.h>

#include "base/status.h"

struct loam_hub;

struct loam_meter {
    struct loam_hub *hub; // whose meter it is while it runs
    enum loam_activity activity;
    int64_t total; // bytes
    int64_t done;
    double started; // seconds
    double told;    // seconds: the last line
};

void loam_meter_start(struct loam_meter *meter, struct loam_hub *hub, enum loam_activity activity,
                      int64_t total);
// `size`: bytes that went through, below 0 when they have to go through again.
void loam_meter_add(struct loam_meter *meter, int64_t size);
// Reports; LOAM_ERROR_STOPPED when the caller wants no more. `meter` may be NULL: nothing to count, but
// stoppable.
enum loam_status loam_meter_tell(struct loam_meter *meter, const struct loam_callbacks *callbacks,
                                 struct loam_error *error);
// The end, well or not as `status` says, which is returned.
enum loam_status loam_meter_finish(struct loam_meter *meter, enum loam_status status);

// "1.21 GB", as the hub counts: by thousands.
enum { LOAM_AMOUNT_SIZE = 32 };
const char *loam_amount(int64_t bytes, char text[LOAM_AMOUNT_SIZE]);

#endif
