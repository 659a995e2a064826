// One example: token ids with a weight for the loss of each, made from a rendered text.
#ifndef LOAM_DATA_EXAMPLE_H
#define LOAM_DATA_EXAMPLE_H

#include "data/template.h"
#include "text/prompt.h"

// A zeroed struct is a valid empty example.
struct loam_example {
    int32_t *ids;   // [count]
    float *weights; // [count] weight of the token's loss; 0: not learnt
    int32_t count;
    int32_t length;     // tokens before the example was shortened or dropped
    bool dropped;       // too long and dropped: count is 0
    bool lacks_stop;    // not shortened at its end, but its last token does not stop generation
    bool begins_inside; // a piece of a text that began in an earlier one
    bool ends_inside;   // a piece of a text that goes on in the next one
    char id[64];        // the record's id, or "line N"
    size_t capacity;    // of ids and weights
};
void loam_example_deinit(struct loam_example *example);
// Makes room for ids and weights of `count` tokens. Keeps the present ones.
enum loam_status loam_example_reserve(struct loam_example *example, size_t count, struct loam_error *error);
// Fails for an id that is not in [0, vocabulary). `name` is the source of examples.
enum loam_status loam_example_check_vocabulary(const struct loam_example *example, const char *name,
                                               int32_t vocabulary, struct loam_error *error);
// Sets the weights of the tokens from `start` on to 1 and of those before it to 0.
void loam_example_learn_from(struct loam_example *example, size_t start);

// The tokens that count in the loss. DEFAULT: the completion of records that have prompt and completion, or instruction and
// output, and no template; the answers of conversations; else all. ASSISTANT and LAST are answers of conversations
// (data/chat_example.h); of other records they are the completion.
enum loam_loss_on {
    LOAM_LOSS_ON_DEFAULT,
    LOAM_LOSS_ON_ALL,
    LOAM_LOSS_ON_COMPLETION,
    LOAM_LOSS_ON_ASSISTANT,
    LOAM_LOSS_ON_LAST,
};
// The name of the option's value; "all" of LOAM_LOSS_ON_DEFAULT.
const char *loam_loss_on_name(enum loam_loss_on loss_on);

// What to do with an example of more than max_length tokens. CUT removes tokens from the start of the
// context, the longest field before the completion; an example whose context is too short for that is
// dropped. Without a context (no template, or a template of one field) CUT keeps the first max_length
// tokens. SPLIT makes several examples of a text or a conversation (data/split.h), and cuts a record with a
// completion.
enum loam_too_long { LOAM_TOO_LONG_CUT, LOAM_TOO_LONG_DROP, LOAM_TOO_LONG_SPLIT };
// The name of the option's value.
const char *loam_too_long_name(enum loam_too_long too_long);

struct loam_example_options {
    const char *name; // of the source of examples, for messages
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int32_t max_length; // tokens
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    int32_t vocabulary; // rows of the model's embedding; an id beyond them is an error that names the record
};

struct loam_example_source {
    const char *text;
    size_t size;
    const struct loam_mark *marks; // [mark_count]
    size_t mark_count;
    size_t completion_start; // bytes, as in struct loam_rendered
    size_t context_start;
    size_t context_end;
    bool has_context; // a long example is cut in the context, else at its end
    bool wants_eos;   // EOS is added even if the tokenizer does not add it
    bool prompt_only; // the text ends at completion_start, where generation begins
};

// Working memory, reused for every example. A zeroed struct is valid.
struct loam_example_work {
    struct loam_prompt prompt; // the example's prompt; text[prompt.cut, size) of a prompt has no ids
    struct loam_encoding encoding;
};
void loam_example_work_deinit(struct loam_example_work *work);
// Peak of the temporary memory of encoding the last example.
size_t loam_example_work_bytes(const struct loam_example_work *work);

enum loam_example_fate { LOAM_EXAMPLE_WHOLE, LOAM_EXAMPLE_CUT, LOAM_EXAMPLE_DROPPED };

// Fills all of `example` but its id, which messages name. The ids of an example begin with those of its
// prompt, for any completion.
enum loam_status loam_example_build(struct loam_example *example, const struct loam_example_source *source,
                                    const struct loam_example_options *options,
                                    struct loam_example_work *work, enum loam_example_fate *fate,
                                    struct loam_error *error);

// Fills `example` with the ids of a prompt. A prompt of more than `max_length` tokens is cut at the start of
// its context, or dropped if the context is too short.
enum loam_status loam_example_build_prompt(struct loam_example *example, const struct loam_rendered *rendered,
                                           const struct loam_tokenizer *tokenizer,
                                           const struct loam_special_tokens *special, int32_t max_length,
                                           struct loam_example_work *work, struct loam_error *error);

#endif
