// Answers to the questions of records (data/question.h): generated greedily from the prompt up to the end of sequence or
// of the turn, and scored; and options that are compared by their log-likelihood after the prompt.
#ifndef LOAM_EVALUATE_ANSWERS_H
#define LOAM_EVALUATE_ANSWERS_H

#include "data/question.h"
#include "evaluate/evaluate.h"
#include "generate/generator.h"
#include "lora/lora.h"
#include "session/session.h"

struct loam_answerer_options {
    bool answers;           // generate answers; else only losses and choices
    int64_t max_new_tokens; // of an answer; 0: 64
    int32_t most_sequences; // sequences at once; 0: as many as are best
};

// What a data set must have.
enum loam_answers_need {
    LOAM_ANSWERS_OR_CHOICES,
    LOAM_ANSWERS_TEXT,   // a record whose answer is generated
    LOAM_ANSWERS_CHOICE, // a question with choices
};

// Fails if no record of the data set has it, or the model has too few positions for prompt and answer. `option` is the
// option that asks for it, for messages.
enum loam_status loam_answers_check(const struct loam_session *session, struct loam_dataset *dataset,
                                    enum loam_answers_need need, const char *option, int64_t max_new_tokens,
                                    struct loam_error *error);

// Generator and buffers for answering, allocated once.
struct loam_answerer;
// Creates an answerer of the session's model with adapters over all rows, or of the base (no segments). Session and
// adapters must outlive it. In a planning session or one without text, only loam_answerer_bytes may be called.
enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_segments *adapters,
                                      const struct loam_answerer_options *options, struct loam_error *error);
void loam_answerer_destroy(struct loam_answerer *answerer);
struct loam_decoder_bytes loam_answerer_bytes(const struct loam_answerer *answerer);
// Evaluates the first `limit` records (0: all): their losses, as loam_evaluate_loss does, their answers and their
// choices. Each prompt is computed once for all of these, and what prompts have in common at their beginning once.
enum loam_status loam_answerer_evaluate(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        size_t limit, struct loam_evaluate_result *result,
                                        struct loam_error *error);
// Evaluates the first record with one token, so that a run whose generation fails stops before its first step.
enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        struct loam_error *error);

#endif
