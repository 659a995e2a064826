// From a rendered text to the token ids and the label mask of one example.
#ifndef LOAM_TEXT_EXAMPLE_H
#define LOAM_TEXT_EXAMPLE_H

#include "text/dataset.h"

struct loam_example_source {
    const char *text;
    size_t size;
    size_t completion_start; // byte spans, as struct loam_rendered has them
    size_t context_start;
    size_t context_end;
    bool has_context; // false: nothing may be cut from the left, so the end is cut
    bool wants_eos;   // EOS belongs at the end whatever the tokenizer adds
};

enum loam_example_fate { LOAM_EXAMPLE_WHOLE, LOAM_EXAMPLE_CUT, LOAM_EXAMPLE_DROPPED };

// Fills ids, count, label_start and dropped of `example`; `encoding` is working memory. Messages name
// `example->id`.
enum loam_status loam_example_build(struct loam_example *example, const struct loam_example_source *source,
                                    const struct loam_dataset_options *options,
                                    struct loam_encoding *encoding, enum loam_example_fate *fate,
                                    struct loam_error *error);

#endif
