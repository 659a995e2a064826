#include "api/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum loam_status loam_output_bytes(const struct loam_callbacks *callbacks, const char *text, size_t size,
                                   struct loam_error *error)
{
    if (callbacks->text == NULL || size == 0 || callbacks->text(callbacks->user, text, size)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_STOPPED, "the output was closed");
}

enum loam_status loam_output_json(const struct loam_callbacks *callbacks, json_t *root, size_t flags,
                                  struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_json_append(&text, root, flags | JSON_REAL_PRECISION(10), error);
    json_decref(root);
    if (status == LOAM_OK) status = loam_bytes_append_text(&text, "\n", error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

json_t *loam_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

const char *loam_grouped(int64_t number, char text[LOAM_GROUPED_SIZE])
{
    char digits[LOAM_GROUPED_SIZE];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)number);
    char *end = text;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0 && digits[i - 1] != '-') *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return text;
}
