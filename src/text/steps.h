// The steps of normalizers and pre-tokenizers: each rewrites pieces of text or splits them.
#ifndef LOAM_TEXT_STEPS_H
#define LOAM_TEXT_STEPS_H

#include "text/pieces.h"

// What a split does with a match. The comments show "a-b" split at "-".
enum loam_split_behavior {
    LOAM_SPLIT_REMOVED,              // a, b
    LOAM_SPLIT_ISOLATED,             // a, -, b
    LOAM_SPLIT_MERGED_WITH_PREVIOUS, // a-, b
    LOAM_SPLIT_MERGED_WITH_NEXT,     // a, -b
    LOAM_SPLIT_CONTIGUOUS,           // a, -, b; neighbouring matches are one piece
};

// When Metaspace adds its character before a piece: before every piece, the first piece of the text, or none.
enum loam_prepend_scheme { LOAM_PREPEND_ALWAYS, LOAM_PREPEND_FIRST, LOAM_PREPEND_NEVER };

struct loam_step;

// Appends the rewritten form of bytes [start, end) of the current text to the next text.
typedef enum loam_status (*loam_rewrite)(const struct loam_step *step, struct loam_pieces *pieces,
                                         size_t start, size_t end, struct loam_matcher *matcher,
                                         struct loam_error *error);

struct loam_step {
    loam_rewrite rewrite;        // NULL: the step splits by `pattern`, `behavior` and `invert`
    struct loam_pattern pattern; // Split, Replace
    enum loam_split_behavior behavior;
    bool invert;
    struct loam_bytes content; // Prepend, Replace, Metaspace
    enum loam_prepend_scheme prepend_scheme;
    bool strip_left;
    bool strip_right;
    bool compose;       // NFC, NFKC
    bool compatibility; // NFKC, NFKD
};

enum { LOAM_MAX_STEPS = 64 }; // each step calls the next one, so the stack bounds their number

struct loam_steps {
    struct loam_step *items; // [count]
    size_t count;
    size_t capacity;
};

void loam_steps_deinit(struct loam_steps *steps);
// Appends a step. Takes over its pattern and content, also on failure.
enum loam_status loam_steps_add(struct loam_steps *steps, struct loam_step *step, struct loam_error *error);

// Fills stages[0, steps->count) with stages that run the steps in order.
void loam_steps_make_stages(const struct loam_steps *steps, struct loam_stage *stages);

// ---- The rewrites (rewrite.c, normal_form.c) ----

enum loam_status loam_rewrite_prepend(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                      size_t end, struct loam_matcher *matcher, struct loam_error *error);
enum loam_status loam_rewrite_replace(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                      size_t end, struct loam_matcher *matcher, struct loam_error *error);
enum loam_status loam_rewrite_lowercase(const struct loam_step *step, struct loam_pieces *pieces,
                                        size_t start, size_t end, struct loam_matcher *matcher,
                                        struct loam_error *error);
enum loam_status loam_rewrite_strip(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                    size_t end, struct loam_matcher *matcher, struct loam_error *error);
enum loam_status loam_rewrite_metaspace(const struct loam_step *step, struct loam_pieces *pieces,
                                        size_t start, size_t end, struct loam_matcher *matcher,
                                        struct loam_error *error);
enum loam_status loam_rewrite_prefix_space(const struct loam_step *step, struct loam_pieces *pieces,
                                           size_t start, size_t end, struct loam_matcher *matcher,
                                           struct loam_error *error);
enum loam_status loam_rewrite_byte_level(const struct loam_step *step, struct loam_pieces *pieces,
                                         size_t start, size_t end, struct loam_matcher *matcher,
                                         struct loam_error *error);
enum loam_status loam_rewrite_normal_form(const struct loam_step *step, struct loam_pieces *pieces,
                                          size_t start, size_t end, struct loam_matcher *matcher,
                                          struct loam_error *error);

#endif
