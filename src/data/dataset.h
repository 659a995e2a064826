// A data set: the records of one or several files, each rendered through a template and tokenised when it is
// read. Opening parses all files and checks every record; tokenising on demand lets training start before the
// last record is tokenised. A record's index counts over all files in their order.
//
// SQuAD v1/v2 JSON   an object with a "data" array; keys in any order, unknown keys ignored. Fields: id,
//                    title, context, question, and answer: the first answer, else LOAM_NO_ANSWER.
// JSONL              one object per line (named .jsonl, or recognised by content). Fields that the template
//                    names must be strings or numbers; others may be anything. Blank lines are ignored.
// JSON array         an array of such objects, also as "data" of an object.
// CSV, TSV           named .csv or .tsv: a header, and a row for each record (data/csv.h).
// plain text         named .txt: one example per line, field "text". Blank lines are ignored.
// .gz, .zst          any of these, compressed (data/compressed.h).
//
// Without a template the shape of a file's first record decides (data/record.h). SQuAD files use the built-in
// template "squad". A text is learnt as it is, a completion after its prompt, an instruction as in Stanford's
// Alpaca; EOS follows each. With any template, BOS and EOS are added as the tokenizer's configuration says,
// but never twice.
#ifndef LOAM_DATA_DATASET_H
#define LOAM_DATA_DATASET_H

#include "base/log.h"
#include "base/text_list.h"
#include "data/chat_example.h"
#include "data/example.h"
#include "data/mixture.h"
#include "data/record.h"
#include "data/template.h"

// The map, the template, the tokenizer and the special tokens must outlive the dataset.
struct loam_dataset_options {
    const char *path;                            // one file; NULL: `sources`
    const struct loam_text_list *sources;        // values of --data (data/source.h)
    bool takes_all;                              // a source with a weight or a count is refused
    const struct loam_field_list *map;           // renamed fields, FIELD=KEY; NULL: none
    const struct loam_template *prompt_template; // NULL: see above
    // How messages are rendered, and without a template prompts with an answer; NULL: not at all, for `chat_refusal`. What
    // is learnt and what is done with long records follow from the options here.
    const struct loam_chat_options *chat;
    const char *chat_refusal;
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int32_t max_length; // tokens
    bool skip_bad;      // skip and count broken lines and records; a file that is not JSON is still an error
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    int32_t vocabulary; // rows of the model's embedding; an id beyond them is an error that names the record
    const struct loam_callbacks *callbacks; // told of the progress of LOAM_TOO_LONG_SPLIT; NULL: none
};

struct loam_dataset;
enum loam_status loam_dataset_open(struct loam_dataset **out, const struct loam_dataset_options *options,
                                   struct loam_error *error);
void loam_dataset_destroy(struct loam_dataset *dataset);

// Number of examples, including those that are dropped for their length: one for each record, or several of a long record
// (LOAM_TOO_LONG_SPLIT). Below, `index` is that of an example.
size_t loam_dataset_count(const struct loam_dataset *dataset);
// Number of examples of the first `records` records; 0: of all.
size_t loam_dataset_limit(const struct loam_dataset *dataset, size_t records);

// The name of the data in messages: the path of the only file, or that of the first one and the number of others.
const char *loam_dataset_name(const struct loam_dataset *dataset);
// The files, in the order of their records.
size_t loam_dataset_file_count(const struct loam_dataset *dataset);
const char *loam_dataset_file_path(const struct loam_dataset *dataset, size_t file);
// The sources as parts of an epoch [*count].
const struct loam_mixture_part *loam_dataset_parts(const struct loam_dataset *dataset, size_t *count);
// Logs what opening noticed and did not refuse.
void loam_dataset_tell(const struct loam_dataset *dataset, const struct loam_log *log);

// Reads the first record of each file and the longest one, so that errors in them come early. Afterwards the
// memory that is kept between records is allocated, and loam_dataset_reading_bytes gives the temporary memory
// of any read.
enum loam_status loam_dataset_try(struct loam_dataset *dataset, struct loam_error *error);
size_t loam_dataset_reading_bytes(const struct loam_dataset *dataset);

// Whether examples come from a template, or from other fields than a text, and so have a completion.
bool loam_dataset_has_template(const struct loam_dataset *dataset);
// What is learnt where the options leave the choice (LOAM_LOSS_ON_DEFAULT), of the first file of which not all is.
enum loam_loss_on loam_dataset_loss_on(const struct loam_dataset *dataset);
// Whether any file's records become conversations.
bool loam_dataset_has_chats(const struct loam_dataset *dataset);

// Counts over the examples read so far. One that is read in several epochs counts once.
struct loam_dataset_counts {
    size_t records;  // of all files
    size_t split;    // records that are several examples
    size_t examples; // of all records
    size_t skipped_bad;
    size_t cut;
    size_t dropped;
    size_t without_label; // not dropped, but no token has a weight
};
struct loam_dataset_counts loam_dataset_counts(const struct loam_dataset *dataset);

// Reads example `index` and replaces the contents of `example`. Only one thread may read from a dataset at a
// time.
enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error);

// From now on reading finds who wrote each token of a conversation.
void loam_dataset_want_roles(struct loam_dataset *dataset);
// The roles (enum loam_chat_role, data/chat_roles.h) of the tokens of example `index`, which was read last. NULL: it is no
// conversation.
const unsigned char *loam_dataset_roles(const struct loam_dataset *dataset, size_t index);

// Reads an example as loam_dataset_read does, without counting it.
enum loam_status loam_dataset_look(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error);
// The text of the record of example `index` as it is rendered, before it is tokenised and cut; of a conversation, its
// roles and texts, a line each. It lasts until the next call that reads from the dataset, and may contain NULs.
enum loam_status loam_dataset_text(struct loam_dataset *dataset, size_t index, const char **text,
                                   size_t *size, struct loam_error *error);
// Fills `example` with the ids of the prompt of example `index`, as generation makes them. Without a template,
// without an answer in a conversation, or in a piece of a text, there is no prompt: count is 0.
enum loam_status loam_dataset_prompt(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     struct loam_error *error);

// Where the record of an example stands.
struct loam_dataset_place {
    const char *path; // belongs to the dataset
    size_t line;      // 1-based; of JSON, where the record's object begins
    int32_t piece;    // 0-based, of `pieces`
    int32_t pieces;   // examples of the record
};
struct loam_dataset_place loam_dataset_place(const struct loam_dataset *dataset, size_t index);

// Gives the record of example `index` as a tree, with fields renamed and checked. It lasts until the next call for a record.
// Without a template all records of a file have the shape of its first one.
enum loam_status loam_dataset_record(struct loam_dataset *dataset, size_t index, struct loam_record *record,
                                     struct loam_error *error);

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
