// Recognises the shape of a record, checks its fields, and brings them to the form of data/record.h.
#ifndef LOAM_DATA_RECORD_SHAPE_H
#define LOAM_DATA_RECORD_SHAPE_H

#include "data/record.h"
#include "data/record_messages.h"

// The shape of the first row of the table whose fields all exist and are not null. "text" comes first: a
// record with a text is learnt as that text, whatever else it has.
enum loam_record_shape loam_record_recognise(const json_t *tree);

// What a shape is called in messages: "conversations".
const char *loam_record_shape_title(enum loam_record_shape shape);

// The fields of a shape that is learnt without a template, as texts. `count` 0: it has none.
struct loam_record_texts {
    const char *const *names; // [count]
    size_t count;
    size_t required; // the first ones; the others may be missing
};
struct loam_record_texts loam_record_texts_of(enum loam_record_shape shape);

// Checks a record of that shape, and replaces fields that are written in another way: "conversations" of
// ShareGPT become "messages", "tools" that are a text of JSON an array, "answer" the index of the choice. A
// wrong field is one line that names file, line, field and what was expected.
enum loam_status loam_record_check(json_t *tree, enum loam_record_shape shape, struct loam_record_place place,
                                   struct loam_record_notes *notes, struct loam_error *error);

#endif
