// What an answerer has, for the files that evaluate records with it.
#ifndef LOAM_EVALUATE_ANSWERER_H
#define LOAM_EVALUATE_ANSWERER_H

#include "evaluate/answers.h"
#include "evaluate/outcome.h"

enum loam_place_work {
    LOAM_PLACE_LOSSES, // the losses of the example
    LOAM_PLACE_ANSWER, // an answer, and the losses of the example where these come from the same passes
    LOAM_PLACE_OPTION, // the losses of an option of a question with choices
};

// A place works on a record, or on an option of one.
struct loam_place {
    bool taken;
    size_t record;
    enum loam_place_work work;
    size_t option, characters;     // of OPTION
    struct loam_example example;   // of the record or the option
    struct loam_question question; // of the record; its prompt is answered
    struct loam_healing healing;   // the end of the prompt's text
    const char *stop_text;         // ends the answer; NULL: none
    struct loam_scored scored;
    struct loam_generation generation;
    float *losses;   // [max_length]
    int32_t *output; // [max_new_tokens]
    int32_t output_count;
};

struct loam_answerer {
    const struct loam_session *session;
    struct loam_segments adapters;
    struct loam_generator *generator;
    bool answers;           // generates answers; else only losses and choices
    int32_t longest_prompt; // tokens
    int32_t max_new_tokens;
    struct loam_place *places;        // [sequences]
    size_t *place_of;                 // [sequences] the place that a sequence of the generator works for
    struct loam_generated *generated; // [sequences]
    int32_t sequences;
    struct loam_bytes text; // an answer
};

// Evaluates the first `limit` records (0: all) into `evaluation`, whose memory the caller releases, also on failure.
struct loam_answerer_evaluation {
    struct loam_answerer *answerer;
    struct loam_dataset *dataset;
    struct loam_outcome *outcomes; // [count]
    size_t count;
    size_t next;                   // record
    struct loam_question choosing; // whose options are being begun
    size_t chosen_record;          // of `choosing`
    size_t next_option;            // of `choosing`
    size_t done;                   // records that are evaluated as a whole
    int64_t generated_tokens;
    double reading_seconds; // of passes that read prompts
};
enum loam_status loam_answerer_run(struct loam_answerer_evaluation *evaluation, size_t limit,
                                   struct loam_error *error);
void loam_answerer_evaluation_deinit(struct loam_answerer_evaluation *evaluation);

#endif
