#include "commands/output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

enum loam_status loam_output_bytes(const struct loam_callbacks *callbacks, const char *text, size_t size,
                                   struct loam_error *error)
{
    if (callbacks->text == NULL || size == 0 || callbacks->text(callbacks->user, text, size)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_STOPPED, "the output was closed");
}

// Copies JSON and escapes the characters that control a terminal ("\u009b"). They occur in strings only, and
// jansson has already escaped those below 0x20.
static enum loam_status escape_unprintable(struct loam_bytes *out, const struct loam_bytes *json,
                                           struct loam_error *error)
{
    size_t copied = 0;
    for (size_t at = 0; at < json->size;) {
        struct loam_character character = loam_character_read(json->data + at, json->size - at);
        if (!character.printable && character.code != '\n') {
            LOAM_TRY(loam_bytes_append(out, json->data + copied, at - copied, error));
            LOAM_TRY(loam_bytes_format(out, error, "\\u%04x", (unsigned)character.code));
            copied = at + character.size;
        }
        at += character.size;
    }
    return loam_bytes_append(out, json->data + copied, json->size - copied, error);
}

enum loam_status loam_output_json(const struct loam_callbacks *callbacks, json_t *root, size_t flags,
                                  struct loam_error *error)
{
    struct loam_bytes text = {0};
    struct loam_bytes escaped = {0};
    enum loam_status status = loam_json_append(&text, root, flags | JSON_REAL_PRECISION(10), error);
    json_decref(root);
    if (status == LOAM_OK) status = escape_unprintable(&escaped, &text, error);
    if (status == LOAM_OK) status = loam_bytes_append_text(&escaped, "\n", error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, escaped.data, escaped.size, error);
    loam_bytes_deinit(&escaped);
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
