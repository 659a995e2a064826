// Texts that end generation where they appear in the output, such as "\nUser:". The output ends before them.
#ifndef LOAM_GENERATE_STOP_TEXTS_H
#define LOAM_GENERATE_STOP_TEXTS_H

#include <stdbool.h>

#include "base/bytes.h"

struct loam_stop_texts {
    const char *const *items; // [count] UTF-8; an empty text is ignored
    size_t count;
};

// Searches one output as it comes. A zeroed struct with `texts` is valid.
struct loam_stop_scan {
    struct loam_stop_texts texts;
    struct loam_bytes held; // the end of the output, which may become a stop text
    bool is_found;          // a stop text is complete, and the output has ended before it
};
void loam_stop_scan_deinit(struct loam_stop_scan *scan);

// Adds text to the output and appends to `out` the part that cannot belong to a stop text any more: whole characters.
// The stop text that ends first counts, and of several that end together the longest. So the result does not depend
// on how the output is split. Text after a stop text is ignored.
enum loam_status loam_stop_scan_push(struct loam_stop_scan *scan, const char *text, size_t size,
                                     struct loam_bytes *out, struct loam_error *error);
// Ends the output: appends the text that is still held.
enum loam_status loam_stop_scan_finish(struct loam_stop_scan *scan, struct loam_bytes *out,
                                       struct loam_error *error);

#endif
