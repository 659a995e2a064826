// Answers to SQuAD questions: generated greedily from the prompt up to the end of sequence, and scored by the
// official rules.
#ifndef LOAM_TRAIN_ANSWERS_H
#define LOAM_TRAIN_ANSWERS_H

#include "train/evaluate.h"
#include "train/session.h"

// Whether the data set has questions to answer, and the model positions for prompt and answer.
enum loam_status loam_answers_check(const struct loam_session *session, const struct loam_dataset *dataset,
                                    const char *path, int32_t max_new_tokens, struct loam_error *error);
// Answers the first `limit` questions (0: all) and fills the scores of `result`.
enum loam_status loam_answers_score(const struct loam_session *session, const struct loam_dataset *dataset,
                                    size_t limit, int32_t max_new_tokens, struct loam_evaluate_result *result,
                                    struct loam_error *error);

#endif
