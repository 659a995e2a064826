#include "generate/stop_texts.h"

#include <string.h>

void loam_stop_scan_deinit(struct loam_stop_scan *scan)
{
    loam_bytes_deinit(&scan->held);
}

// Whether the held text ends in text [size].
static bool ends_in(const struct loam_bytes *held, const char *text, size_t size)
{
    return size <= held->size && memcmp(held->data + held->size - size, text, size) == 0;
}

// The size of the longest stop text in which the held text ends; 0: none.
static size_t find_stop(const struct loam_stop_scan *scan)
{
    size_t longest = 0;
    for (size_t i = 0; i < scan->texts.count; i++) {
        const char *text = scan->texts.items[i];
        const size_t size = strlen(text);
        if (size > longest && ends_in(&scan->held, text, size)) longest = size;
    }
    return longest;
}

// The size of the longest end of the held text with which a stop text begins.
static size_t find_beginning(const struct loam_stop_scan *scan)
{
    size_t longest = 0;
    for (size_t i = 0; i < scan->texts.count; i++) {
        const char *text = scan->texts.items[i];
        for (size_t size = strlen(text); size-- > longest + 1;)
            if (ends_in(&scan->held, text, size)) longest = size;
    }
    return longest;
}

// Appends the held text to `out`, but for its last `kept` bytes.
static enum loam_status release(struct loam_stop_scan *scan, size_t kept, struct loam_bytes *out,
                                struct loam_error *error)
{
    struct loam_bytes *held = &scan->held;
    const size_t released = held->size - kept;
    if (released == 0) return LOAM_OK;
    LOAM_TRY(loam_bytes_append(out, held->data, released, error));
    memmove(held->data, held->data + released, kept + 1); // with the NUL
    held->size = kept;
    return LOAM_OK;
}

// A stop text that ends at a later byte begins within the held text: before each push it is the longest end of the
// output with which a stop text begins.
enum loam_status loam_stop_scan_push(struct loam_stop_scan *scan, const char *text, size_t size,
                                     struct loam_bytes *out, struct loam_error *error)
{
    for (size_t i = 0; i < size && !scan->is_found; i++) {
        LOAM_TRY(loam_bytes_append(&scan->held, &text[i], 1, error));
        const size_t stop = find_stop(scan);
        if (stop == 0) continue;
        scan->is_found = true;
        LOAM_TRY(release(scan, stop, out, error));
        loam_bytes_clear(&scan->held);
    }
    return release(scan, find_beginning(scan), out, error);
}

enum loam_status loam_stop_scan_finish(struct loam_stop_scan *scan, struct loam_bytes *out,
                                       struct loam_error *error)
{
    return release(scan, 0, out, error);
}
