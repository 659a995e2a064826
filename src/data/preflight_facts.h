// What preflight knows of a model before it looks at records: its chat template, and how it begins a text.
#ifndef LOAM_DATA_PREFLIGHT_FACTS_H
#define LOAM_DATA_PREFLIGHT_FACTS_H

#include "data/preflight_types.h"
#include "model/model.h"

// What a chat template does around an assistant's answer.
struct loam_chat_habit {
    bool known;           // it rendered a conversation
    bool begins_with_bos; // the text begins with BOS
    char end[48];         // the text after the answer, up to white space; "": none
    int32_t end_id;       // the token of `end`; -1: the tokenizer splits it
    size_t end_tokens;    // tokens of `end`
};

struct loam_preflight_facts {
    const struct loam_preflight_input *input;
    struct loam_chat_source own; // the model's chat template; chat_template NULL: none
    struct loam_chat_habit own_habit;
    struct loam_chat_habit habit;   // of the chat template of the examples
    const struct loam_model *model; // NULL: not loaded
};
// A zeroed struct is valid. A chat template that cannot be read or refuses a plain conversation counts as none.
enum loam_status loam_preflight_facts_find(struct loam_preflight_facts *facts,
                                           const struct loam_preflight_input *input,
                                           struct loam_error *error);
void loam_preflight_facts_deinit(struct loam_preflight_facts *facts);

// Whether the model was made for chats: its chat template ends a turn in a token that stops generation. Many base
// models have a template, too, but do not stop at its end of turn.
bool loam_preflight_is_chat_model(const struct loam_preflight_facts *facts);

#endif
