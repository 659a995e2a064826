// Parses the JSON of tokenizer.json. The vocabulary and the merges, nearly all of the file, go straight into
// their tables; the rest becomes a small JSON tree.
#ifndef LOAM_TEXT_TOKENIZER_FILE_H
#define LOAM_TEXT_TOKENIZER_FILE_H

#include "base/json.h"
#include "text/bpe.h"

struct loam_tokenizer_file {
    json_t *root;
    bool has_vocab;
    bool has_merges;
    struct loam_vocab vocab;
    struct loam_bytes merge_text;
    struct loam_merge_text *merges; // [merge_count] spans of merge_text
    size_t merge_count;
    size_t merge_capacity;
};

// Call deinit after a failure too.
enum loam_status loam_tokenizer_file_read(struct loam_tokenizer_file *file, const char *path,
                                          struct loam_error *error);
void loam_tokenizer_file_deinit(struct loam_tokenizer_file *file);

#endif
