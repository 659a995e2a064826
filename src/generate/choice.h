// What a sequence asks the device about its next token, so that the logits of the whole vocabulary stay there.
#ifndef LOAM_GENERATE_CHOICE_H
#define LOAM_GENERATE_CHOICE_H

#include "generate/generate.h"
#include "model/top.h"

struct loam_choice {
    struct loam_top top; // whose arrays are those below
    int32_t vocabulary;  // of the model
    bool *allowed;       // [vocabulary] ids that may come next
    bool is_open;        // all ids that may ever come are allowed
    int32_t *bits;       // [(vocabulary + 31) / 32] of ids that the device searches
    bool *seen;          // [vocabulary] ids of the history, where there is a repetition penalty
    int32_t *seen_ids;   // [seen_count] the same as a list
    int32_t seen_count;
    size_t history_count; // tokens of the history that are in it
    int32_t *asked;       // [most_asked] of the device: ids that it does not search
    int32_t most_asked;
    float values[LOAM_MOST_TOP_LOGITS];
    int32_t ids[LOAM_MOST_TOP_LOGITS];
    float *answers; // [most_asked]
};
enum loam_status loam_choice_init(struct loam_choice *choice, const struct loam_generation *generation,
                                  int32_t vocabulary, int32_t most_asked, struct loam_error *error);
void loam_choice_deinit(struct loam_choice *choice);

// Prepares choice->top for the next token after `history`. False where only the whole row of logits serves: more ids
// have a penalty than the device can be asked about.
bool loam_choice_prepare(struct loam_choice *choice, const struct loam_generation *generation,
                         const int32_t *history, size_t history_count);
// Chooses from the results of the device, as loam_sample does from all logits. `*is_known` is false where they do not
// settle what that would choose.
enum loam_status loam_choice_sample(const struct loam_choice *choice, const struct loam_sampling *sampling,
                                    uint64_t draw, int32_t *id, bool *is_known, struct loam_error *error);

#endif
