#include "options/size.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;
    double bytes;
} units[] = {
    {"", 1},
    {"B", 1},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"TB", 1e12},
    {"KiB", 1024.0},
    {"MiB", 1024.0 * 1024},
    {"GiB", 1024.0 * 1024 * 1024},
    {"TiB", 1024.0 * 1024 * 1024 * 1024},
};

enum loam_status loam_size_parse(size_t *bytes, const char *option, const char *text,
                                 struct loam_error *error)
{
    char *unit;
    double number = strtod(text, &unit);
    while (unit != text && *unit == ' ')
        unit++;
    for (size_t i = 0; i < sizeof units / sizeof units[0] && unit != text; i++) {
        if (strcasecmp(unit, units[i].name) != 0) continue;
        double size = number * units[i].bytes;
        if (!(size >= 1) || size > 0x1p62) break;
        *bytes = (size_t)size;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_USAGE,
                     "--%s %s: expected a size such as 5GB, 500MB, 2GiB or a number of bytes", option, text);
}
