// Reading the records of a data set, for the files that implement data/dataset.h.
#ifndef LOAM_DATA_DATASET_READ_H
#define LOAM_DATA_DATASET_READ_H

#include "data/dataset_parts.h"

// Whether a file's records become conversations.
bool loam_dataset_is_chat(const struct loam_dataset *dataset, const struct loam_data_file *file);
// What is learnt of a file's records by default.
enum loam_loss_on loam_dataset_default_loss(const struct loam_data_file *file);

// A record, or a piece of one, and its file.
struct loam_dataset_reading {
    struct loam_data_file *file;
    size_t local; // index of the record in its file
    bool is_chat; // rendered by the chat template
    // Of a conversation.
    struct loam_conversation conversation;
    json_t *made;  // what `conversation` points to, beyond the record's tree
    json_t *piece; // the messages of a piece
    // Of another record.
    struct loam_record_fields fields;
};
// Opens the record of an example, or the piece of a conversation, and sets the id of `example`.
enum loam_status loam_dataset_reading_open(struct loam_dataset *dataset, const struct loam_split_place *place,
                                           struct loam_dataset_reading *reading, struct loam_example *example,
                                           struct loam_error *error);
// To be called also after a failure.
void loam_dataset_reading_close(struct loam_dataset_reading *reading);

// Fails if there is no example `index`.
enum loam_status loam_dataset_check_index(const struct loam_dataset *dataset, size_t index,
                                          struct loam_error *error);
// Renders a record that is not a conversation through its template; without a template, takes the only field. The text
// lasts until the next call.
enum loam_status loam_dataset_render(struct loam_dataset *dataset, const struct loam_record_fields *fields,
                                     bool prompt_only, struct loam_example_source *source,
                                     struct loam_error *error);
// Makes the example of a record that is not a conversation.
enum loam_status loam_dataset_build_text(struct loam_dataset *dataset,
                                         const struct loam_dataset_reading *reading, int32_t max_length,
                                         struct loam_example *example, enum loam_example_fate *fate,
                                         struct loam_error *error);

#endif
