#include "model/config_dtype.h"

#include <string.h>

static const char *const names[] = {
    [LOAM_F32] = "\"float32\"", [LOAM_F16] = "\"float16\"", [LOAM_BF16] = "\"bfloat16\""};

// A string, from its opening quote on: the place after its closing one.
static size_t skip_string(const char *text, size_t size, size_t at)
{
    for (at++; at < size && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at < size ? at + 1 : size;
}

static size_t skip_blanks(const char *text, size_t size, size_t at)
{
    while (at < size && memchr(" \t\r\n", text[at], 4) != NULL)
        at++;
    return at;
}

// Where a value that is a string or a word (null) ends.
static size_t skip_value(const char *text, size_t size, size_t at)
{
    if (at < size && text[at] == '"') return skip_string(text, size, at);
    while (at < size && memchr(" \t\r\n,}]", text[at], 7) == NULL)
        at++;
    return at;
}

static bool is_dtype_key(const char *string, size_t size)
{
    static const char *const keys[] = {"\"dtype\"", "\"torch_dtype\""};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strlen(keys[i]) == size && memcmp(keys[i], string, size) == 0) return true;
    return false;
}

// Copies the document and puts `name` in the place of each value that such a key of the outermost object has.
static enum loam_status replace(struct loam_bytes *out, const char *text, size_t size, const char *name,
                                bool *found, struct loam_error *error)
{
    int depth = 0;
    size_t copied = 0;
    for (size_t at = 0; at < size;) {
        if (text[at] != '"') {
            depth += text[at] == '{' || text[at] == '[';
            depth -= text[at] == '}' || text[at] == ']';
            at++;
            continue;
        }
        size_t end = skip_string(text, size, at);
        size_t colon = skip_blanks(text, size, end);
        bool is_key = depth == 1 && colon < size && text[colon] == ':';
        if (is_key && is_dtype_key(text + at, end - at)) {
            size_t value = skip_blanks(text, size, colon + 1);
            LOAM_TRY(loam_bytes_append(out, text + copied, value - copied, error));
            LOAM_TRY(loam_bytes_append_text(out, name, error));
            copied = end = skip_value(text, size, value);
            *found = true;
        }
        at = end;
    }
    return loam_bytes_append(out, text + copied, size - copied, error);
}

enum loam_status loam_config_set_dtype(struct loam_bytes *out, const char *text, size_t size,
                                       enum loam_dtype dtype, struct loam_error *error)
{
    bool found = false;
    size_t start = out->size;
    LOAM_TRY(replace(out, text, size, names[dtype], &found, error));
    if (found) return LOAM_OK;
    const char *brace = memchr(text, '{', size);
    if (brace == NULL) return loam_fail(error, LOAM_ERROR_FORMAT, "config.json is no JSON object");
    size_t head = (size_t)(brace - text) + 1;
    out->size = start;
    LOAM_TRY(loam_bytes_append(out, text, head, error));
    LOAM_TRY(loam_bytes_format(out, error, "\n  \"torch_dtype\": %s,", names[dtype]));
    return loam_bytes_append(out, text + head, size - head, error);
}
