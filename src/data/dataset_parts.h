// The parts of a data set, for the files that implement data/dataset.h.
#ifndef LOAM_DATA_DATASET_PARTS_H
#define LOAM_DATA_DATASET_PARTS_H

#include "data/data_file.h"
#include "data/dataset.h"
#include "data/split.h"

// The ids at which the answer to a conversation ends.
struct loam_answer_stops {
    int32_t *ids; // [count]
    size_t count, capacity;
};

struct loam_dataset {
    struct loam_example_options example_options;
    enum loam_loss_on loss_on; // of the options
    bool has_template;         // of the options
    struct loam_chat_options chat;
    bool has_chat;                  // `chat` is set
    struct loam_answer_stops stops; // found when they are first needed
    char *chat_refusal;             // why not; NULL: nothing is known
    char *name;                     // in messages
    struct loam_data_sources sources;
    struct loam_field_map map;
    struct loam_data_file **files; // [file_count]
    size_t *firsts;                // [file_count] index of the first record of each file
    size_t file_count;
    struct loam_mixture_part *parts; // [sources.count]

    struct loam_splits splits; // the examples of the records
    struct loam_dataset_counts counts;
    unsigned char *is_counted; // [examples] whether `counts` has the example

    // Working memory of reading.
    struct loam_example_work work;
    struct loam_chat_work chat_work;
    struct loam_rendered rendered;
    size_t reading_bytes; // temporary memory of reading a record
};

#endif
