// What preflight reads and what it finds (data/preflight.h).
#ifndef LOAM_DATA_PREFLIGHT_TYPES_H
#define LOAM_DATA_PREFLIGHT_TYPES_H

#include "chat/source.h"
#include "data/dataset.h"

enum loam_severity {
    LOAM_FINDING_DOUBT,   // may be meant so
    LOAM_FINDING_MISTAKE, // the result is not what anyone wants
};

enum { LOAM_PREFLIGHT_CHECKS = 13 };

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
    struct loam_dataset *dataset;
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

#endif
