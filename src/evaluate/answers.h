// Answers to SQuAD questions: generated greedily from the prompt up to the end of sequence, and scored by the
// official rules.
#ifndef LOAM_EVALUATE_ANSWERS_H
#define LOAM_EVALUATE_ANSWERS_H

#include "evaluate/evaluate.h"
#include "generate/generator.h"
#include "lora/lora.h"
#include "session/session.h"

// Whether the data set has questions to answer, and the model positions for prompt and answer. `option` is
// what asks for answers, `path` the data set's file, for messages. `max_new_tokens` of an answer; 0: 64.
enum loam_status loam_answers_check(const struct loam_session *session, const struct loam_dataset *dataset,
                                    const char *option, const char *path, int64_t max_new_tokens,
                                    struct loam_error *error);

// A model that answers, with its memory.
struct loam_answerer;
// Answers of the session's model with an adapter, or of the base (NULL). Both must outlive the answerer. For
// a session that plans or has no text, only loam_answerer_bytes may be called.
enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_adapter *adapter, int64_t max_new_tokens,
                                      struct loam_error *error);
void loam_answerer_destroy(struct loam_answerer *answerer);
struct loam_decoder_bytes loam_answerer_bytes(const struct loam_answerer *answerer);
// Answers the first `limit` questions (0: all) and sets all fields of `result` but the loss.
enum loam_status loam_answerer_score(struct loam_answerer *answerer, const struct loam_dataset *dataset,
                                     size_t limit, struct loam_evaluate_result *result,
                                     struct loam_error *error);
// Generates one token for the first question, so that generation that cannot work is found before the first
// step.
enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, const struct loam_dataset *dataset,
                                        struct loam_error *error);

#endif
