// Preflight: mistakes in data, template and model that training would learn in silence. A sample of the
// records is read as it will be trained on. Each check is a row of a table (data/preflight_checks.h).
#ifndef LOAM_DATA_PREFLIGHT_H
#define LOAM_DATA_PREFLIGHT_H

#include "chat/source.h"
#include "data/dataset.h"
#include "data/preflight_level.h"
#include "model/model.h"

enum loam_severity {
    LOAM_FINDING_DOUBT,   // may be meant so
    LOAM_FINDING_MISTAKE, // the result is not what anyone wants
};

enum { LOAM_PREFLIGHT_CHECKS = 12 };

struct loam_finding {
    const char *check; // its name
    enum loam_severity severity;
    size_t records;    // that show it; 0: it is about the data set as a whole
    size_t looked;     // records looked at
    char message[768]; // one line, which names the file and a record as an example
};

// All of it must outlive the checks.
struct loam_preflight_input {
    const char *model_directory; // for the model's own chat template; NULL: it is not looked for
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    int32_t vocabulary; // rows of the embedding
    int32_t max_length;
    const struct loam_chat_source *chat; // the chat template of the examples; NULL: none
    const char *data;                    // name of the data set in messages
    struct loam_dataset *dataset;
    const char *eval_data;
    struct loam_dataset *eval_dataset; // NULL: none
};

// A zeroed struct is valid.
struct loam_preflight {
    struct loam_finding findings[LOAM_PREFLIGHT_CHECKS]; // [count] in the order of the table
    size_t count;
    size_t mistakes;     // those of severity LOAM_FINDING_MISTAKE
    size_t checked;      // checks made
    size_t looked;       // records looked at
    uint32_t *first_use; // [vocabulary] 1 + index of the first record looked at that uses a token; 0: none
};
void loam_preflight_deinit(struct loam_preflight *preflight);

// Makes the checks that need no weights. Reading does not count records (loam_dataset_counts). At most 256
// records are examined: the first ones and random ones.
enum loam_status loam_preflight_run(struct loam_preflight *preflight,
                                    const struct loam_preflight_input *input, struct loam_error *error);
// Makes the checks of a loaded model, with the tokens that the records of loam_preflight_run use.
enum loam_status loam_preflight_run_loaded(struct loam_preflight *preflight,
                                           const struct loam_preflight_input *input,
                                           const struct loam_model *model, struct loam_error *error);

// Fails if there are mistakes. The message names their checks.
enum loam_status loam_preflight_require(const struct loam_preflight *preflight, struct loam_error *error);
const char *loam_severity_name(enum loam_severity severity); // "doubt", "mistake"

#endif
