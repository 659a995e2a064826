// The records of one data file, of any format, and the template that renders them.
#ifndef LOAM_DATA_DATA_FILE_H
#define LOAM_DATA_DATA_FILE_H

#include "base/log.h"
#include "data/dataset_lines.h"
#include "data/dataset_squad.h"
#include "data/record.h"

struct loam_data_file_options {
    const char *path;
    const struct loam_template *prompt_template; // NULL: by the shape of the records
    struct loam_field_map *map;
    bool skip_bad;
};

struct loam_data_file;
// The template and the map must outlive the file.
enum loam_status loam_data_file_open(struct loam_data_file **out,
                                     const struct loam_data_file_options *options, struct loam_error *error);
void loam_data_file_destroy(struct loam_data_file *file);

const char *loam_data_file_path(const struct loam_data_file *file);
size_t loam_data_file_count(const struct loam_data_file *file);   // records, at least 1
size_t loam_data_file_skipped(const struct loam_data_file *file); // broken ones
size_t loam_data_file_longest(const struct loam_data_file *file); // index of the record with the most text
size_t loam_data_file_reading_bytes(const struct loam_data_file *file); // see loam_lines_reading_bytes
// The shape of the first record; LOAM_RECORD_FIELDS with a template.
enum loam_record_shape loam_data_file_shape(const struct loam_data_file *file);
// Logs what opening noticed: that the file was unpacked, roles that templates do not know.
void loam_data_file_tell(const struct loam_data_file *file, const struct loam_log *log);

enum { LOAM_SQUAD_ANSWER = 4 }; // place of the answer among the fields of a SQuAD file

// The texts of a record. They last until the next call.
struct loam_record_fields {
    const struct loam_field *items; // [count]
    size_t count;                   // 0: the shape is not that of texts
    // What renders them; NULL: the only field as it is.
    const struct loam_template *prompt_template;
    bool wants_eos; // EOS is added even if the tokenizer does not add it
    const char *id; // of the record, [id_size]; may be empty
    size_t id_size;
    size_t line;
};
// Sets `line` and the id even where it fails.
enum loam_status loam_data_file_fields(struct loam_data_file *file, size_t index,
                                       struct loam_record_fields *fields, struct loam_error *error);
size_t loam_data_file_line(const struct loam_data_file *file, size_t index); // of a record
// The tree of a record. It lasts until the next call.
enum loam_status loam_data_file_record(struct loam_data_file *file, size_t index, struct loam_record *record,
                                       struct loam_error *error);
// The question of a SQuAD file. False: the file has another format.
bool loam_data_file_question(const struct loam_data_file *file, size_t index,
                             struct loam_squad_question *question);

#endif
