#include "base/decimal.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Replaces the decimal point of the caller's locale.
static void use_point(char text[LOAM_DECIMAL_SIZE])
{
    const char *point = localeconv()->decimal_point;
    char *at = strstr(text, point);
    if (at == NULL) return;
    size_t size = strlen(point);
    *at = '.';
    memmove(at + 1, at + size, strlen(at + size) + 1);
}

void loam_decimal_format(double value, char text[LOAM_DECIMAL_SIZE])
{
    if (!isfinite(value)) {
        memcpy(text, "null", sizeof "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(text, LOAM_DECIMAL_SIZE, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, LOAM_DECIMAL_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    use_point(text);
}

const char *loam_memory_format(size_t bytes, char text[LOAM_MEMORY_SIZE])
{
    const double kibibytes = (double)bytes / 1024;
    if (bytes < 1024)
        snprintf(text, LOAM_MEMORY_SIZE, bytes == 1 ? "%zu byte" : "%zu bytes", bytes);
    else if (kibibytes < 1024)
        snprintf(text, LOAM_MEMORY_SIZE, "%.1f KiB", kibibytes);
    else if (kibibytes < 1024 * 1024)
        snprintf(text, LOAM_MEMORY_SIZE, "%.1f MiB", kibibytes / 1024);
    else
        snprintf(text, LOAM_MEMORY_SIZE, "%.2f GiB", kibibytes / (1024 * 1024));
    return text;
}

void loam_memory_format_both(size_t a, size_t b, char a_text[LOAM_MEMORY_SIZE], char b_text[LOAM_MEMORY_SIZE])
{
    loam_memory_format(a, a_text);
    loam_memory_format(b, b_text);
    if (a == b || strcmp(a_text, b_text) != 0) return;
    snprintf(a_text, LOAM_MEMORY_SIZE, "%zu bytes", a);
    snprintf(b_text, LOAM_MEMORY_SIZE, "%zu bytes", b);
}
