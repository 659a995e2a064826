// A file of examples, each rendered through a template and tokenised when it is read. Opening a file parses
// all of it and checks every record; tokenising on demand lets training start before the last record is
// tokenised.
//
// SQuAD v1/v2 JSON   an object with a "data" array; keys in any order, unknown keys ignored. Fields: id,
//                    title, context, question, and answer: the first answer, else LOAM_NO_ANSWER.
// JSONL              one object per line (named .jsonl, or recognised by content). Fields that the template
//                    names must be strings or numbers; others may be anything. Blank lines are ignored.
// JSON array         an array of such objects, also as "data" of an object.
// plain text         named .txt: one example per line, field "text". Blank lines are ignored.
//
// Without a template SQuAD files use the built-in template "squad", and the others their field "text"
// followed by EOS. With any template, BOS and EOS are added as the tokenizer's configuration says, but never
// twice.
#ifndef LOAM_DATA_DATASET_H
#define LOAM_DATA_DATASET_H

#include "data/example.h"
#include "data/template.h"

#define LOAM_NO_ANSWER "Can not find answer" // the answer that a model learns for an unanswerable question

// The template, the tokenizer and the special tokens must outlive the dataset.
struct loam_dataset_options {
    const char *path;
    const struct loam_template *prompt_template; // NULL: see above
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int32_t max_length; // tokens
    bool skip_bad;      // skip and count broken lines and records; a file that is not JSON is still an error
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    int32_t vocabulary; // rows of the model's embedding; an id beyond them is an error that names the record
};

struct loam_dataset;
enum loam_status loam_dataset_open(struct loam_dataset **out, const struct loam_dataset_options *options,
                                   struct loam_error *error);
void loam_dataset_destroy(struct loam_dataset *dataset);

// Number of records, including those that are dropped for their length.
size_t loam_dataset_count(const struct loam_dataset *dataset);

// Reads the first record and the longest one, so that errors in them come early. Afterwards the memory that
// is kept between records is allocated, and loam_dataset_reading_bytes gives the temporary memory of any
// read.
enum loam_status loam_dataset_try(struct loam_dataset *dataset, struct loam_error *error);
size_t loam_dataset_reading_bytes(const struct loam_dataset *dataset);

// Whether examples come from a template and so have a completion.
bool loam_dataset_has_template(const struct loam_dataset *dataset);

// Counts over the records read so far. A record that is read in several epochs counts once.
struct loam_dataset_counts {
    size_t records; // of the file
    size_t skipped_bad;
    size_t cut;
    size_t dropped;
    size_t without_label; // not dropped, but no token has a weight
};
struct loam_dataset_counts loam_dataset_counts(const struct loam_dataset *dataset);

// Reads record `index` and replaces the contents of `example`. Only one thread may read from a dataset at a
// time.
enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error);

// Reads a record as loam_dataset_read does, without counting it.
enum loam_status loam_dataset_look(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error);
// The text of record `index` as it is rendered, before it is tokenised and cut. It lasts until the next call
// that reads from the dataset, and may contain NULs.
enum loam_status loam_dataset_text(struct loam_dataset *dataset, size_t index, const char **text,
                                   size_t *size, struct loam_error *error);
// Fills `example` with the ids of the prompt of record `index`, as generation makes them. Without a template
// there is no prompt: count is 0.
enum loam_status loam_dataset_prompt(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     struct loam_error *error);

// Where a record stands.
struct loam_dataset_place {
    const char *path; // belongs to the dataset
    size_t line;      // 1-based; of JSON, where the record's object begins
};
struct loam_dataset_place loam_dataset_place(const struct loam_dataset *dataset, size_t index);

// The fields of a SQuAD record, for generation and scoring. LOAM_ERROR_ARGUMENT: the file is not SQuAD.
struct loam_squad_record {
    const char *id;
    const char *title;
    const char *context;
    const char *question;
    const char *const *answers; // [answer_count] gold texts; none for an unanswerable question
    size_t answer_count;
};
enum loam_status loam_dataset_squad(const struct loam_dataset *dataset, size_t index,
                                    struct loam_squad_record *record, struct loam_error *error);

#endif
