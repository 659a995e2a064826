// The measurements of `loam bench`: training steps, and the same products by the matrix library alone.
#ifndef LOAM_BENCH_BENCH_H
#define LOAM_BENCH_BENCH_H

#include "base/log.h"
#include "device/device.h"
#include "run/settings.h"

struct loam_bench_settings {
    // As for `loam train`. `data` NULL: the examples are made up, of `lengths`. batch_size 0: all lengths, or
    // 8 examples of the data.
    struct loam_train_settings train;
    const char *lengths; // "LENGTH,LENGTH:LABELS,...", or a file of them (bench/lengths.h)
    int64_t steps;       // measured
    int64_t warm_up;     // steps before them
    bool ceiling;        // measure the matrix library as well
    int prompt_tokens;   // of generate
    int new_tokens;      // of generate, at least 2: the first one belongs to the prompt
};

// The machine and the setting that figures belong to.
struct loam_bench_machine {
    char device[16];
    char isa[16]; // level of instructions; empty: has no levels
    int threads;
    enum loam_dtype dtype;        // of activations
    enum loam_dtype matrix_dtype; // of the matrices
    double
        peak_gflops; // multiply-adds in registers, in the dtype that products are computed in; 0: not known
    int64_t weight_bytes; // of the model in memory, what is tied counted once
};

// What the ceiling was measured with.
struct loam_bench_ceiling {
    bool measured;
    double gflops;         // all products of all rounds over their time
    enum loam_dtype dtype; // of its operands; f32 where the library has no product of the model's dtype
    bool own_weights;      // it read the model's weights where they lie; else copies of their size
    int64_t weight_bytes;  // of the distinct weights that it read in turn
    int64_t products;      // of the last round
};

struct loam_bench_step {
    struct loam_bench_machine machine;
    struct loam_bench_ceiling ceiling;
    int64_t steps;
    double seconds_min; // a step
    double seconds_median;
    double seconds_total;         // of all measured steps
    double seconds_to_first_step; // from the start of the process; NAN: not known
    double tokens_per_step;       // mean
    double labels_per_step;       // mean
    double flops_per_step;        // mean
    double tokens_per_second;     // all tokens over all time
    double gflops;                // all needed operations over all time
    double of_ceiling;            // median over the rounds of step rate over ceiling rate; NAN: not measured
    double loss;                  // of the last step
    int64_t peak_rss_bytes;       // of the steps, before the ceiling took memory of its own
    struct loam_op_total ops[LOAM_OP_COUNT]; // all measured steps
    double other_seconds;                    // of them outside ops
};
enum loam_status loam_bench_step_run(const struct loam_bench_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_bench_step *result,
                                     struct loam_error *error);

struct loam_bench_matmul_shape {
    struct loam_product product;
    int64_t calls;        // a step
    double plain_gflops;  // weights as they lie in the checkpoint
    double packed_gflops; // in the library's own form, made beforehand; NAN: there is none
};
struct loam_bench_matmul {
    struct loam_bench_machine machine;
    enum loam_dtype dtype; // of the operands
    int64_t rounds;
    struct loam_bench_matmul_shape *shapes; // in the order of the step
    size_t shape_count;
    double flops_per_step; // of these products
    double plain_gflops;   // of all together
    double packed_gflops;  // where there is no packed form, with the plain one
};
// The products of the first step, shape by shape. `result` is released by loam_bench_matmul_deinit, on failure as well.
enum loam_status loam_bench_matmul_run(const struct loam_bench_settings *settings,
                                       const struct loam_callbacks *callbacks,
                                       struct loam_bench_matmul *result, struct loam_error *error);
void loam_bench_matmul_deinit(struct loam_bench_matmul *result);

// Generation of one sequence: a prompt made up of random tokens, then greedily on.
struct loam_bench_generate {
    struct loam_bench_machine machine;
    struct loam_bench_ceiling ceiling;
    int64_t rounds;
    int64_t prompt_tokens;
    int64_t new_tokens;
    double prefill_seconds;    // of a prompt, median, up to the first new token
    double prefill_gflops;     // all needed operations over all time
    double prefill_of_ceiling; // median over the rounds; NAN: not measured
    double prefill_tokens_per_second;
    double decode_tokens_per_second; // of the tokens after the first
    int64_t decode_weight_bytes;     // that a new token reads: all but the rows of an embedding of its own
    double read_bandwidth;           // bytes a second, of memory that no cache holds; 0: not known
    double of_bandwidth;             // decode_weight_bytes a token over read_bandwidth; NAN: not known
    int64_t peak_rss_bytes;
    struct loam_op_total prefill_ops[LOAM_OP_COUNT];
    struct loam_op_total decode_ops[LOAM_OP_COUNT];
    double prefill_total; // seconds of all rounds
    double decode_total;
};
enum loam_status loam_bench_generate_run(const struct loam_bench_settings *settings,
                                         const struct loam_callbacks *callbacks,
                                         struct loam_bench_generate *result, struct loam_error *error);

#endif
