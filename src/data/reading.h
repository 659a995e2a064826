// A data set and the record that is read from it, for the files that make examples and questions of records.
#ifndef LOAM_DATA_READING_H
#define LOAM_DATA_READING_H

#include "data/data_file.h"
#include "data/dataset.h"

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

    struct loam_dataset_counts counts;
    unsigned char *is_counted; // [records] whether `counts` has the record

    // Working memory of reading.
    struct loam_example_work work;
    struct loam_chat_work chat_work;
    struct loam_rendered rendered;
    size_t reading_bytes; // temporary memory of reading a record
};

// A record and its file.
struct loam_reading {
    struct loam_data_file *file;
    size_t local; // index of the record in its file
    bool is_chat; // rendered by the chat template
    // Of a conversation.
    struct loam_conversation conversation;
    json_t *made; // what `conversation` points to, beyond the record's tree
    // Of another record.
    struct loam_record_fields fields;
};

// Reads a record and sets the id of `example`. `reading->made` is to be released, also on failure.
enum loam_status loam_reading_open(struct loam_dataset *dataset, size_t index, struct loam_reading *reading,
                                   struct loam_example *example, struct loam_error *error);
// Renders a record that is no conversation through its template; without a template, takes the only field. The text
// lasts until the next call.
enum loam_status loam_reading_render(struct loam_dataset *dataset, const struct loam_record_fields *fields,
                                     bool prompt_only, struct loam_example_source *source,
                                     struct loam_error *error);

#endif
