#include "options/size.h"

#include <string.h>
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

bool loam_size_read_number(double *number, const char **text)
{
    const char *at = *text;
    double digits = 0, scale = 1;
    if (*at < '0' || *at > '9') return false;
    for (bool fraction = false; (*at >= '0' && *at <= '9') || (*at == '.' && !fraction); at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        digits = 10 * digits + (*at - '0');
        if (fraction) scale *= 10;
    }
    *number = digits / scale;
    *text = at;
    return true;
}

enum loam_status loam_size_parse(size_t *bytes, const char *option, const char *text,
                                 struct loam_error *error)
{
    double number = 0;
    const char *unit = text;
    const bool starts = loam_size_read_number(&number, &unit);
    unit += strspn(unit, " ");
    for (size_t i = 0; i < sizeof units / sizeof units[0] && starts; i++) {
        if (strcasecmp(unit, units[i].name) != 0) continue;
        double size = number * units[i].bytes;
        if (!(size >= 1) || size > 0x1p62) break;
        *bytes = (size_t)size;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_USAGE,
                     "--%s %s: expected a size such as 5GB, 500MB, 2GiB or a number of bytes", option, text);
}
