// The decoder: one forward and one backward for every family, by calling device ops in order.
#ifndef LOAM_MODEL_DECODER_H
#define LOAM_MODEL_DECODER_H

#include "model/batch.h"
#include "model/feed.h"
#include "model/limits.h"

// Sizes and takes the step and scratch memory by a dry run of the step, and asks the device for every op that
// the model needs; nothing is allocated afterwards. The model must outlive the decoder; it may be without
// data only when `planning` (then only loam_decoder_bytes may be called).
enum loam_status loam_decoder_create(struct loam_decoder **out, const struct loam_model *model,
                                     const struct loam_device *device,
                                     const struct loam_decoder_limits *limits, struct loam_error *error);
void loam_decoder_destroy(struct loam_decoder *decoder);
// The adapters of the passes from now on, each one of limits.adapters; none: the base model. Rows are those
// of the batch, or of the tokens that are fed.
enum loam_status loam_decoder_adapt(struct loam_decoder *decoder, const struct loam_segments *segments,
                                    struct loam_error *error);
// Every op from now on goes to `trace` as well; NULL: to none.
void loam_decoder_trace(struct loam_decoder *decoder, struct loam_trace *trace);

// Adds the ops of training on a full batch of sequences of `length` tokens, all of them learnt, to `trace`: calls,
// operations and bytes. Nothing is computed.
enum loam_status loam_decoder_count(struct loam_decoder *decoder, int32_t length, struct loam_trace *trace,
                                    struct loam_error *error);

// What a decoder has taken, in bytes.
struct loam_decoder_bytes {
    size_t step;    // activations of one pass
    size_t cache;   // keys and values of generation
    size_t scratch; // workspace of one op
};
struct loam_decoder_bytes loam_decoder_bytes(const struct loam_decoder *decoder);
// Whether activations and matrices are f32, so that --dtype f32 would change nothing.
bool loam_decoder_is_f32(const struct loam_decoder *decoder);

// Whether the weights that lie in mapped files could be read so far (base/fault.h). False: the passes computed with
// zeros in their place.
bool loam_decoder_could_read(const struct loam_decoder *decoder);

// Writes the cross entropy of each row that counts into batch->losses, and adds the gradient of sum_t scale
// weights[t] losses[t] to the trainables' gradients. `scale` is 1 over the weight of the labels of the whole
// accumulated batch. `dropout_counter` tells apart the micro-batches of a run (its high bits move the
// counters of the dropout streams).
enum loam_status loam_decoder_train(struct loam_decoder *decoder, struct loam_batch *batch, double scale,
                                    uint64_t seed, uint64_t dropout_counter, struct loam_error *error);
struct loam_decoder_step {
    double scale;
    uint64_t seed;
    uint64_t dropout_counter;
};
// The losses of a pass that is queued.
struct loam_decoder_losses {
    float *place;   // [batch.tokens] of the device, written in the order of the queue
    float *weights; // [batch.tokens] of the host
    int32_t rows;   // how many there are; those without a target have loss 0 and weight 0
};
// As loam_decoder_train, without waiting for the device: fills losses->weights and losses->rows. The batch can change
// when the call returns.
enum loam_status loam_decoder_queue(struct loam_decoder *decoder, const struct loam_batch *batch,
                                    const struct loam_decoder_step *step, struct loam_decoder_losses *losses,
                                    struct loam_error *error);
// Writes the cross entropy of each row that counts into batch->losses; no gradients, no dropout.
enum loam_status loam_decoder_evaluate(struct loam_decoder *decoder, struct loam_batch *batch,
                                       struct loam_error *error);
// Logits [batch.tokens, V] f32 of every row into host memory; limits.logit_rows must allow it.
enum loam_status loam_decoder_logits(struct loam_decoder *decoder, const struct loam_batch *batch,
                                     float *logits, struct loam_error *error);

#endif
