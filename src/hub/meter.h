// How far a transfer is: a line now and then.
#ifndef LOAM_HUB_METER_H
#define LOAM_HUB_METER_H

#include <stdint.h>

#include "base/log.h"

struct loam_meter {
    const struct loam_callbacks *callbacks;
    const char *what; // "downloaded", "uploaded"
    int64_t total;    // bytes
    int64_t done;
    double started; // seconds
    double told;
};

void loam_meter_start(struct loam_meter *meter, const struct loam_callbacks *callbacks, const char *what,
                      int64_t total);
// `size`: bytes that went through, below 0 when they have to go through again.
void loam_meter_add(struct loam_meter *meter, int64_t size);
void loam_meter_finish(struct loam_meter *meter);

// "1.21 GB", as the hub counts: by thousands.
enum { LOAM_AMOUNT_SIZE = 32 };
const char *loam_amount(int64_t bytes, char text[LOAM_AMOUNT_SIZE]);

#endif
