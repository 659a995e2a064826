// Training and evaluation examples, rendered through a template and tokenised when asked for, so that the
// first step need not wait for the last record. Opening parses the whole file once and checks every record.
//
// SQuAD v1/v2 JSON   an object with a "data" array, keys in any order, unknown keys ignored; fields id,
// title, context,
//                    question and answer: the first answer's text, or "Can not find answer" where there is
//                    none
// JSONL              an object a line (.jsonl, or told by its content); the fields that the template names
// must be
//                    strings or numbers, others may be anything; blank lines do not count
// plain text         .txt: an example a line, field "text"; blank lines do not count
//
// Without a template SQuAD gets the built-in "squad" and the others their field "text" as it is with EOS at
// its end. Whatever the template, BOS and EOS are added as the tokenizer's configuration says, and never next
// to one that is already there.
#ifndef LOAM_DATA_DATASET_H
#define LOAM_DATA_DATASET_H

#include "data/template.h"
#include "text/special.h"
#include "text/tokenizer.h"

#define LOAM_NO_ANSWER "Can not find answer" // what a model is taught to say about an unanswerable question

enum loam_loss_on { LOAM_LOSS_ON_ALL, LOAM_LOSS_ON_COMPLETION };

// What becomes of an example of more than max_length tokens. CUT takes tokens away from the start of the
// longest field before the completion (the context); the rest stays, and if the context has too few tokens
// the example is dropped. Where there is no context apart from the completion (no template, or one of a
// single field) the first max_length tokens stay.
enum loam_too_long { LOAM_TOO_LONG_CUT, LOAM_TOO_LONG_DROP };

// The template, the tokenizer and the special tokens must outlive the dataset.
struct loam_dataset_options {
    const char *path;
    const struct loam_template
        *prompt_template; // NULL: SQuAD files get the squad template, others their "text" field
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int32_t max_length; // tokens
    bool skip_bad; // count a broken line or record instead of failing; a file that is no JSON still fails
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    int32_t vocabulary; // rows of the model's embedding: an id beyond is an error that names the record
};

struct loam_dataset;
enum loam_status loam_dataset_open(struct loam_dataset **out, const struct loam_dataset_options *options,
                                   struct loam_error *error);
void loam_dataset_destroy(struct loam_dataset *dataset);

size_t
loam_dataset_count(const struct loam_dataset *dataset); // records, before any is dropped for its length

// Reads the first record and the longest, so that what is wrong with them shows before anything else is done,
// and so that the memory for reading any record is known: afterwards the memory that is kept from record to
// record is allocated, and loam_dataset_reading_bytes gives what a read takes temporarily. `*unended` is that
// of the first record.
enum loam_status loam_dataset_try(struct loam_dataset *dataset, bool *unended, struct loam_error *error);
size_t loam_dataset_reading_bytes(const struct loam_dataset *dataset);

// Whether examples come from a template and so have a completion; texts without one do not.
bool loam_dataset_has_template(const struct loam_dataset *dataset);

// What reading has met so far; a record that is read in several epochs counts once.
struct loam_dataset_counts {
    size_t records;
    size_t skipped_bad;
    size_t cut;
    size_t dropped;
    size_t without_label; // give nothing to learn, though they were not dropped
};
struct loam_dataset_counts loam_dataset_counts(const struct loam_dataset *dataset);

// One tokenised example. A zeroed struct is a valid empty example.
struct loam_example {
    int32_t *ids;   // [count]
    float *weights; // [count] of each token's loss; 0: not learnt
    int32_t count;
    bool dropped;    // too long and dropped: count is 0
    bool unended;    // all of it is there, and its last token does not stop generation
    char id[64];     // the record's own id, or "line N"
    size_t capacity; // of ids and weights
};
void loam_example_deinit(struct loam_example *example);
// Reads record `index` into `example` (contents replaced). One thread at a time may read from a dataset.
enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error);

// A SQuAD record's own fields, for generation and scoring; LOAM_ERROR_ARGUMENT when the file is not SQuAD.
struct loam_squad_record {
    const char *id;
    const char *title;
    const char *context;
    const char *question;
    const char *const *answers; // gold texts; none for an unanswerable question
    size_t answer_count;
};
enum loam_status loam_dataset_squad(const struct loam_dataset *dataset, size_t index,
                                    struct loam_squad_record *record, struct loam_error *error);

#endif
