#include "base/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void loam_decimal(double value, char text[LOAM_DECIMAL_SIZE])
{
    if (!isfinite(value)) {
        memcpy(text, "null", sizeof "null");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, LOAM_DECIMAL_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}
