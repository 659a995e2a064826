// Evaluation: mean loss and perplexity over a data set; scores of generated answers and of choices.
#ifndef LOAM_EVALUATE_EVALUATE_H
#define LOAM_EVALUATE_EVALUATE_H

#include "base/event.h"
#include "data/chat_roles.h"
#include "data/dataset.h"
#include "generate/generate.h"

struct loam_evaluation {
    double loss;       // mean over the labels, weighted
    double perplexity; // exp(loss)
    int64_t examples;  // examples in the mean
    int64_t tokens;
    struct loam_labels labels;
    double seconds;
};

// Mean loss over the first `limit` records of `dataset` (0: all), in packed batches that `batch` has room for
// and `decoder` was made for. `example` is a buffer. No label at all is an error. `callbacks`, which may be
// NULL, receive LOAM_ACTIVITY_EVALUATE after every batch.
enum loam_status loam_evaluate_loss(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                    struct loam_batch *batch, struct loam_example *example,
                                    const struct loam_callbacks *callbacks, struct loam_evaluation *result,
                                    struct loam_error *error);

// Sets the mean from the weighted sum of all losses and the labels of `result`. No label at all and a mean that is
// not finite are errors; `f32`: whether all is computed in f32, for the message.
enum loam_status loam_evaluation_finish(struct loam_evaluation *result, double loss_sum, bool f32,
                                        struct loam_error *error);

// Evaluates the first record that has labels, so that a run whose evaluation fails stops before its first
// step. A loss that is not finite is allowed here, because training may change it.
enum loam_status loam_evaluate_rehearse(struct loam_decoder *decoder, struct loam_dataset *dataset,
                                        struct loam_batch *batch, struct loam_example *example,
                                        struct loam_error *error);

// The losses of the tokens of each role in conversations, whether they are learnt or not.
struct loam_role_losses {
    struct loam_role_loss {
        int64_t count; // tokens with a token before them
        double loss;   // mean; NAN without tokens
    } items[LOAM_CHAT_ROLES];
};

// As loam_evaluate_loss, and computes the losses of all tokens of conversations.
enum loam_status loam_evaluate_roles(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                     struct loam_batch *batch, struct loam_example *example,
                                     const struct loam_callbacks *callbacks, struct loam_evaluation *result,
                                     struct loam_role_losses *roles, struct loam_error *error);

// Scores of a group of answers, in percent; NAN if the group is empty. An answer is answerable where its record has a
// right answer; else the right one is the empty text.
struct loam_answer_scores {
    int64_t count;
    double exact;
    double f1;
    double rouge_l;
};

// Accuracy of choosing among options, in percent; NAN if there are no questions with choices.
struct loam_choice_scores {
    int64_t count;              // questions whose options were all compared
    int64_t too_long;           // questions with an option that does not fit
    double accuracy;            // of the most likely option
    double accuracy_normalised; // of the most likely option for each of its characters
};

// The result of evaluating a data set.
struct loam_evaluate_result {
    struct loam_evaluation loss;
    bool scored;   // answers were generated; the fields up to the tokens are set
    bool is_squad; // all of them answer questions of SQuAD
    struct loam_answer_scores overall;
    struct loam_answer_scores answerable;
    struct loam_answer_scores unanswerable;
    int64_t unscored; // records with no prompt, or nothing to compare an answer with
    double generate_seconds;
    int64_t generated_tokens;
    struct loam_choice_scores choices;
    bool has_roles; // `roles` is set
    struct loam_role_losses roles;
};

#endif
