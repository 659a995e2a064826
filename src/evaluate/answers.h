// Answers to SQuAD questions: generated greedily from the prompt up to the end of sequence, and scored by the
// official rules of SQuAD.
#ifndef LOAM_EVALUATE_ANSWERS_H
#define LOAM_EVALUATE_ANSWERS_H

#include "evaluate/evaluate.h"
#include "generate/generator.h"
#include "lora/lora.h"
#include "session/session.h"

// Fails if the data set has no questions, or the model has too few positions for prompt and answer. `option`
// is the option that asks for answers and `path` the file of the data set, for messages. `max_new_tokens` is
// the limit of an answer; 0: 64.
enum loam_status loam_answers_check(const struct loam_session *session, const struct loam_dataset *dataset,
                                    const char *option, const char *path, int64_t max_new_tokens,
                                    struct loam_error *error);

// Generator, template and buffers for answering, allocated once.
struct loam_answerer;
// Creates an answerer of the session's model with adapters over all rows, or of the base (no segments). Session and
// adapters must outlive it. It works on several records at once, at most `most_sequences`; 0: as many as are best.
// In a planning session or one without text, only loam_answerer_bytes may be called.
enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_segments *adapters, int64_t max_new_tokens,
                                      int32_t most_sequences, struct loam_error *error);
void loam_answerer_destroy(struct loam_answerer *answerer);
struct loam_decoder_bytes loam_answerer_bytes(const struct loam_answerer *answerer);
// Answers the first `limit` questions (0: all) and computes the losses of their examples, as loam_evaluate_loss
// does. Each prompt is computed once for both, and what prompts have in common at their beginning once for all.
enum loam_status loam_answerer_evaluate(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        size_t limit, struct loam_evaluate_result *result,
                                        struct loam_error *error);
// Evaluates the first question with one token, so that a run whose generation fails stops before its first step.
enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        struct loam_error *error);

#endif
