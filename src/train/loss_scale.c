#include "train/loss_scale.h"

#include <math.h>

enum { GROWTH_INTERVAL = 2000, LARGEST_EXPONENT = 126 };
static const double first_factor = 65536, growth = 2, backoff = 0.5;

struct loam_loss_scale loam_loss_scale_make(bool dynamic)
{
    return (struct loam_loss_scale){.dynamic = dynamic, .factor = dynamic ? first_factor : 1};
}

bool loam_loss_scale_can_shrink(const struct loam_loss_scale *scale)
{
    return scale->dynamic && scale->factor > 1;
}

void loam_loss_scale_update(struct loam_loss_scale *scale, bool finite)
{
    if (!scale->dynamic) return;
    if (!finite) {
        if (loam_loss_scale_can_shrink(scale)) scale->factor *= backoff;
        scale->good_steps = 0;
    } else if (++scale->good_steps == GROWTH_INTERVAL) {
        if (scale->factor < ldexp(1, LARGEST_EXPONENT)) scale->factor *= growth;
        scale->good_steps = 0;
    }
}

bool loam_loss_scale_is_valid(const struct loam_loss_scale *scale)
{
    int exponent;
    return frexp(scale->factor, &exponent) == 0.5 && exponent >= 1 && exponent <= LARGEST_EXPONENT + 1 &&
           scale->good_steps >= 0 && scale->good_steps < GROWTH_INTERVAL;
}
