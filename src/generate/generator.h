// The generator: each step gives the next token of every running sequence.
//
// Each sequence has a decoder with its own KV cache, allocated when the generator is created.
#ifndef LOAM_GENERATE_GENERATOR_H
#define LOAM_GENERATE_GENERATOR_H

#include "generate/generate.h"

struct loam_generator_limits {
    int32_t sequences; // sequences at the same time
    int32_t context;   // rows of the KV cache of a sequence; the last token needs no row
    int32_t tokens;    // tokens of a prompt in one pass
    // The adapters that sequences may use. They must be valid and filled whenever a step uses them.
    struct loam_segments adapters;
    int32_t adapters_of_sequence; // the most that one sequence uses at once; 0: all
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
// Gives a sequence, which runs or has finished, another prompt, with the same adapters. Rows of the cache for tokens with
// which both prompts begin are kept, so that only the others are read; `*kept` is their number. Where the rows depend on
// the length of the prompt (dynamic RoPE scaling, LongRoPE), none is kept. After a failure the sequence has ended.
enum loam_status loam_generator_continue(struct loam_generator *generator, int32_t sequence,
                                         const int32_t *prompt, int32_t count,
                                         const struct loam_generation *generation, int32_t *kept,
                                         struct loam_error *error);
// Makes one pass for each running sequence, in the order of their numbers. A pass reads the next
// LOAM_PROMPT_CHUNK tokens of a long prompt (id -1), or generates a token. `out` is [limits.sequences].
enum loam_status loam_generator_advance(struct loam_generator *generator, struct loam_generated *out,
                                        size_t *count, struct loam_error *error);
// Frees the place of a sequence, whether it runs or has finished. Other numbers are ignored.
void loam_generator_end(struct loam_generator *generator, int32_t sequence);
bool loam_generator_has(const struct loam_generator *generator, int32_t sequence);

// Generates for one prompt until the end. `output` has room for max_new_tokens, or for as many as the context
// leaves. The end token is left out. `finish` may be NULL.
enum loam_status loam_generate_all(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                                   const struct loam_generation *generation,
                                   const struct loam_segments *adapters, int32_t *output,
                                   int32_t *output_count, enum loam_finish *finish, struct loam_error *error);

#endif
