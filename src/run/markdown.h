// Names from outside in a model card.
#ifndef LOAM_RUN_MARKDOWN_H
#define LOAM_RUN_MARKDOWN_H

#include "base/bytes.h"

// Appends `text` as a code span. Markup, HTML, line breaks and cell marks in the text have no effect.
enum loam_status loam_markdown_code(struct loam_bytes *out, const char *text, bool in_table,
                                    struct loam_error *error);

#endif
