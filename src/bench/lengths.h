// Generated examples: their lengths come from text, their tokens are random.
#ifndef LOAM_BENCH_LENGTHS_H
#define LOAM_BENCH_LENGTHS_H

#include "run/settings.h"
#include "train/step.h"

struct loam_bench_length {
    int32_t tokens;
    int32_t labels; // tokens at the end that are labels; 0: all
};
struct loam_bench_lengths {
    struct loam_bench_length *items;
    size_t count;
    int32_t longest;
};

// Parses "180,240:12,205", or a file with such lengths between commas or white space. With `completion` every
// length must give its labels.
enum loam_status loam_bench_lengths_parse(struct loam_bench_lengths *lengths, const char *text,
                                          bool completion, struct loam_error *error);
// Parses the lengths and sets max_length and batch_size by them where they are 0.
enum loam_status loam_bench_lengths_open(struct loam_bench_lengths *lengths, const char *text,
                                         struct loam_train_settings *settings, struct loam_error *error);
void loam_bench_lengths_deinit(struct loam_bench_lengths *lengths);

// Fills the buffers of a step with the examples at `indices` [count], as loam_step_collect does from a data
// set. An id depends only on the seed, the example and the position.
enum loam_status loam_bench_lengths_collect(const struct loam_bench_lengths *lengths, int64_t vocabulary,
                                            uint64_t seed, const uint32_t *indices, size_t count,
                                            struct loam_step_buffers *buffers, struct loam_error *error);

#endif
