// The generator: each step gives the next token of every running sequence.
//
// One decoder has a KV cache with a place for each sequence. A pass takes tokens of several sequences, so that the
// weights are read once for all of them. Each sequence gets the tokens that it gets alone.
#ifndef LOAM_GENERATE_GENERATOR_H
#define LOAM_GENERATE_GENERATOR_H

#include "generate/generate.h"

struct loam_generator_limits {
    int32_t sequences; // sequences at the same time
    int32_t context;   // rows of the KV cache of a sequence; the last token needs no row
    int32_t tokens;    // tokens of prompts in one pass
    // The adapters that sequences may use. They must be valid and filled whenever a step uses them.
    struct loam_segments adapters;
    int32_t adapters_of_sequence; // the most that one sequence uses at once; 0: all
    bool scores;                  // sequences may be scored (loam_generator_begin_scored)
    // A prompt takes from the cache what it has in common with another prompt there. The rows are those of the same
    // adapters: call loam_generator_forget after a change of these. Ignored where rows of the cache depend on the
    // length of a sequence (dynamic RoPE scaling, LongRoPE).
    bool shares;
};

struct loam_generator;
// Creates a generator. The model must outlive it. On a planning device only loam_generator_bytes may be
// called.
enum loam_status loam_generator_create(struct loam_generator **out, const struct loam_model *model,
                                       const struct loam_device *device,
                                       const struct loam_generator_limits *limits, struct loam_error *error);
void loam_generator_destroy(struct loam_generator *generator);
struct loam_decoder_bytes loam_generator_bytes(const struct loam_generator *generator);
int32_t loam_generator_context(const struct loam_generator *generator);
// Records every later op in `trace`; NULL: stops recording.
void loam_generator_trace(struct loam_generator *generator, struct loam_trace *trace);

// Starts a sequence. Copies the prompt [count] and `generation`, whose pointers must stay valid until
// loam_generator_end. `adapters` are some of limits.adapters, over all rows; empty: the base model.
// LOAM_ERROR_ARGUMENT for an empty prompt, one beyond the context, an id beyond the vocabulary, and if all
// sequences are taken.
enum loam_status loam_generator_begin(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                                      const struct loam_generation *generation,
                                      const struct loam_segments *adapters, int32_t *sequence,
                                      struct loam_error *error);

// A text that begins with a prompt, and the losses of its tokens.
struct loam_scored {
    const int32_t *ids;   // [count]
    const float *weights; // [count] of each token's loss; 0: its loss is not computed
    int32_t count;
    // [count] losses[t] is the cross entropy of token t + 1, where that has a weight; others are left as they are.
    float *losses;
};
// As loam_generator_begin, for a prompt that is the first `count` tokens of a text. The pass that reads the prompt also
// reads the rest of the text and computes its losses; generation then goes on from the prompt. The losses are complete
// with the first token, or with the end where generation->max_new_tokens is 0. The pointers of `scored` must stay valid
// until then.
enum loam_status loam_generator_begin_scored(struct loam_generator *generator,
                                             const struct loam_scored *scored, int32_t count,
                                             const struct loam_generation *generation,
                                             const struct loam_segments *adapters, int32_t *sequence,
                                             struct loam_error *error);
// Gives a sequence, which runs or has finished, another prompt, with the same adapters. Rows of the cache for tokens with
// which both prompts begin are kept, so that only the others are read; `*kept` is their number. Where the rows depend on
// the length of the prompt (dynamic RoPE scaling, LongRoPE), none is kept. After a failure the sequence has ended.
enum loam_status loam_generator_continue(struct loam_generator *generator, int32_t sequence,
                                         const int32_t *prompt, int32_t count,
                                         const struct loam_generation *generation, int32_t *kept,
                                         struct loam_error *error);
// Makes one step for each running sequence; `out` [limits.sequences] is in the order of their numbers. A step
// reads the next LOAM_PROMPT_CHUNK tokens of a long prompt (id -1), or generates a token.
enum loam_status loam_generator_advance(struct loam_generator *generator, struct loam_generated *out,
                                        size_t *count, struct loam_error *error);
// Frees the place of a sequence, whether it runs or has finished. Other numbers are ignored.
void loam_generator_end(struct loam_generator *generator, int32_t sequence);
bool loam_generator_has(const struct loam_generator *generator, int32_t sequence);
// Makes later prompts share nothing with what was read so far.
void loam_generator_forget(struct loam_generator *generator);

#endif
