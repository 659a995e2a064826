// From a rendered text to the token ids and the label mask of one example.
#ifndef LOAM_DATA_EXAMPLE_H
#define LOAM_DATA_EXAMPLE_H

#include "data/dataset.h"
#include "text/prompt.h"

struct loam_example_source {
    const char *text;
    size_t size;
    const struct loam_mark *marks; // [mark_count]
    size_t mark_count;
    size_t completion_start; // byte spans, as struct loam_rendered has them
    size_t context_start;
    size_t context_end;
    bool has_context; // false: nothing may be cut from the left, so the end is cut
    bool wants_eos;   // EOS belongs at the end whatever the tokenizer adds
    bool prompt_only; // the text ends at completion_start, and generation goes on from there
};

// Working memory, kept from example to example. A zeroed struct is valid.
struct loam_example_work {
    struct loam_prompt prompt; // of a source that is a prompt: text[prompt.cut, size) has no ids yet
    struct loam_encoding encoding;
};
void loam_example_work_deinit(struct loam_example_work *work);
// The most that encoding the last example took beside, while it ran.
size_t loam_example_work_bytes(const struct loam_example_work *work);

enum loam_example_fate { LOAM_EXAMPLE_WHOLE, LOAM_EXAMPLE_CUT, LOAM_EXAMPLE_DROPPED };

// Room for ids and weights of `count` tokens; those that it has stay.
enum loam_status loam_example_reserve(struct loam_example *example, size_t count, struct loam_error *error);
// Weighs the tokens from `start` on 1 and those before it 0.
void loam_example_learn_from(struct loam_example *example, size_t start);

// Fills ids, weights, count, dropped and unended of `example`. Messages name `example->id`. Whatever the
// completion, the ids of an example begin with those of its prompt.
enum loam_status loam_example_build(struct loam_example *example, const struct loam_example_source *source,
                                    const struct loam_dataset_options *options,
                                    struct loam_example_work *work, enum loam_example_fate *fate,
                                    struct loam_error *error);

// Fills ids and count of `example` with those of a text that generation goes on from. A text of more than
// `max_length` tokens loses tokens from the start of its context, or is dropped.
enum loam_status loam_example_build_prompt(struct loam_example *example, const struct loam_rendered *rendered,
                                           const struct loam_tokenizer *tokenizer,
                                           const struct loam_special_tokens *special, int32_t max_length,
                                           struct loam_example_work *work, struct loam_error *error);

#endif
