// What a generator has of each sequence.
#ifndef LOAM_GENERATE_SEQUENCE_H
#define LOAM_GENERATE_SEQUENCE_H

#include "generate/choice.h"
#include "generate/generator.h"

// A place for a sequence. One that is free keeps the prompt that its part of the cache holds, where prompts are
// shared.
struct loam_sequence {
    bool taken;
    bool running;
    bool started;  // has what it shares with other prompts
    bool advanced; // in this step
    struct loam_generation generation;
    struct loam_scored scored; // ids NULL: not scored
    int32_t *targets;          // [reads] of a scored sequence
    struct loam_segment *adapters;
    size_t adapter_count;
    bool apart;       // its adapters must have all rows of a pass
    int32_t *history; // [prompt_count + most] the prompt, then the output
    int32_t prompt_count;
    int32_t reads;              // tokens to read before the first token is chosen
    int32_t most_taken;         // of the first tokens that may come from another sequence's cache
    int32_t fed;                // tokens that are in the cache
    int32_t count;              // tokens of the output
    int32_t most;               // limit of `count`
    struct loam_choice choice;  // of the next token
    bool takes_row;             // the next token is chosen from all logits
    struct loam_generated next; // what this step gave
};

struct loam_generator {
    struct loam_decoder *decoder;
    struct loam_sequence *sequences; // [count]
    int32_t count;
    int32_t vocabulary;            // of the model
    int32_t tokens;                // of a pass
    size_t adapters_of_sequence;   // the most
    bool shares;                   // struct loam_generator_limits
    bool depends_on_length;        // rows of the cache depend on the length of a sequence
    float *row;                    // [vocabulary] logits of a choice that needs all of them
    struct loam_feed *feeds;       // [count] of a pass
    struct loam_segment *segments; // [count, adapters_of_sequence] of a pass
};

// Tokens of a sequence that are read together as many: a device may give other bits to fewer (LOAM_ROWS_ALIKE).
enum { LOAM_MANY_TOKENS = 2 * LOAM_ROWS_ALIKE };

bool loam_sequence_has_adapters(const struct loam_sequence *sequence, const struct loam_segment *adapters,
                                size_t count);
// Tokens with which two sequences of ids begin alike.
int32_t loam_sequence_common(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count);

#endif
