// What a tokenizer reads and what it gives: a text with marked tokens, and token ids with their byte spans.
#ifndef LOAM_TEXT_ENCODING_H
#define LOAM_TEXT_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A token with a given id at bytes [start, end) of a text. These bytes are not tokenised.
struct loam_mark {
    size_t start;
    size_t end; // > start
    int32_t id;
};

// Bytes [start, end) of a text that are plain: they are no part of a special token that is found in the text, and of
// no reserved token unless `keeps_reserved`.
struct loam_plain_range {
    size_t start;
    size_t end; // > start
    bool keeps_reserved;
};

struct loam_text_input {
    const char *text; // [size], UTF-8
    size_t size;
    const struct loam_mark *marks; // [mark_count], in order, not overlapping
    size_t mark_count;
    const struct loam_plain_range *plain; // [plain_count], in order, not overlapping
    size_t plain_count;
    const int32_t *reserved; // [reserved_count] ids of added tokens
    size_t reserved_count;
    bool continues; // the text continues an earlier one: no prefix space is added to its first word
};

// Token ids, each with the byte span [start, end) of the original text that it came from. Special tokens that
// the post-processor added have start = end = 0. A zeroed struct is a valid empty encoding.
struct loam_encoding {
    int32_t *ids;     // [count]
    uint32_t *starts; // [count]
    uint32_t *ends;   // [count]
    size_t count;
    size_t capacity;
    size_t work_bytes; // peak of the temporary memory of the last encoding
};
void loam_encoding_deinit(struct loam_encoding *encoding);

enum loam_status loam_encoding_add(struct loam_encoding *encoding, int32_t id, uint32_t start, uint32_t end,
                                   struct loam_error *error);
// Appends the tokens of a text that begins at byte `offset`.
enum loam_status loam_encoding_append(struct loam_encoding *encoding, const struct loam_encoding *more,
                                      size_t offset, struct loam_error *error);

#endif
