// What a record asks: a prompt with the texts that answer it, or with options to choose from.
#ifndef LOAM_DATA_QUESTION_H
#define LOAM_DATA_QUESTION_H

#include "data/dataset.h"

enum loam_question_kind {
    LOAM_QUESTION_NONE,   // the record has no prompt, or nothing to compare an answer with
    LOAM_QUESTION_ANSWER, // an answer is compared with `golds`
    LOAM_QUESTION_SQUAD,  // the same, by the rules of SQuAD
    LOAM_QUESTION_CHOICE, // one of `option_count` options is right
};

// A zeroed struct is valid, and is reused for every record.
struct loam_question {
    enum loam_question_kind kind;
    bool is_chat;                  // the prompt is a conversation's; the answer ends with its turn
    struct loam_example prompt;    // ids, as generation makes them
    struct loam_bytes rest;        // end of the prompt's text that has no ids: the answer begins with it
    struct loam_text_list golds;   // right answers; none: the right answer is the empty one
    bool has_list;                 // the record has a list of right answers
    struct loam_text_list options; // of a CHOICE
    size_t right;                  // the index of the right one
};
void loam_question_deinit(struct loam_question *question);

// Reads what record `index` asks. A prompt of more than `max_length` tokens is shortened, or dropped if it cannot be.
//
// The right answer is the completion; of a conversation, the last answer as the template renders it and generation
// decodes it. A list of texts in the field "answers" (or in its "text") takes its place. A record with "choices" is a
// CHOICE where its "answer" is what is learnt: always without a template, and with a template that ends in {answer}.
enum loam_status loam_dataset_question(struct loam_dataset *dataset, size_t index, int32_t max_length,
                                       struct loam_question *question, struct loam_error *error);
// Makes the example of one option of a CHOICE: the prompt and the option, whose tokens have the weight 1. The end of the
// turn is left out. An example of more than `max_length` tokens is dropped. With a template the options are written as
// "answer" is: as texts, letters from A on, or numbers from 0 on.
enum loam_status loam_dataset_option(struct loam_dataset *dataset, size_t index,
                                     const struct loam_question *question, size_t option, int32_t max_length,
                                     struct loam_example *example, struct loam_error *error);
// Whether the first record of any file is a CHOICE.
enum loam_status loam_dataset_has_choices(struct loam_dataset *dataset, bool *has, struct loam_error *error);

// The ids at which the answer to a conversation ends [*count]. They last as long as the dataset.
enum loam_status loam_dataset_stops(struct loam_dataset *dataset, const int32_t **ids, size_t *count,
                                    struct loam_error *error);
// A text that ends the answer to a conversation, where the end of a turn is no token; else NULL.
const char *loam_dataset_stop_text(const struct loam_dataset *dataset);

#endif
