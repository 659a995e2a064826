// What normalisers and pre-tokenisers come down to: steps that rewrite pieces of text or cut them up.
#ifndef LOAM_TEXT_STEPS_H
#define LOAM_TEXT_STEPS_H

#include "text/pieces.h"

// What becomes of a match (the delimiter): "a-b" cut at "-" gives
enum loam_split_behavior {
    LOAM_SPLIT_REMOVED,              // a, b
    LOAM_SPLIT_ISOLATED,             // a, -, b
    LOAM_SPLIT_MERGED_WITH_PREVIOUS, // a-, b
    LOAM_SPLIT_MERGED_WITH_NEXT,     // a, -b
    LOAM_SPLIT_CONTIGUOUS,           // a, -, b, neighbouring matches together
};

// When Metaspace puts its character in front of a piece.
enum loam_prepend_scheme { LOAM_PREPEND_ALWAYS, LOAM_PREPEND_FIRST, LOAM_PREPEND_NEVER };

struct loam_step;

// Appends what becomes of bytes [start, end) of the present text to the next text.
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

enum { LOAM_MAX_STEPS = 64 }; // each runs within the one before it, on the stack

struct loam_steps {
    struct loam_step *items; // [count]
    size_t count;
    size_t capacity;
};

void loam_steps_deinit(struct loam_steps *steps);
// Appends a step and takes over what it owns, which is released on failure too.
enum loam_status loam_steps_add(struct loam_steps *steps, struct loam_step *step, struct loam_error *error);

// Fills stages[0, steps->count): they take every piece that is not an added token through the steps, in
// order.
void loam_steps_stages(const struct loam_steps *steps, struct loam_stage *stages);

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
