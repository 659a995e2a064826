// Encodes a prompt: the text before the place where generation begins. Training examples begin with the same
// ids, so that generation and training see the same prompt.
//
// The text after a prompt changes the prompt's last tokens: a word's token includes the space before it
// ("Ġword"), and two line breaks are one token or two. The ids of a prompt are those of its text followed by
// a word, without the space that becomes part of the word's token. The model generates that space, as it
// learnt in training.
#ifndef LOAM_TEXT_PROMPT_H
#define LOAM_TEXT_PROMPT_H

#include "text/tokenizer.h"

// A prompt and the working memory of encoding it, reused for every text. A zeroed struct is valid.
struct loam_prompt {
    struct loam_encoding encoding; // ids of text[0, cut), without tokens of the post-processor
    size_t cut;                    // byte; generation has to write text[cut, size)
    struct loam_bytes probe;       // the text followed by a word
    struct loam_encoding rest;     // ids of the text from `cut` on
    struct loam_mark *marks;       // marks of the text from `cut` on
    size_t mark_capacity;
    struct loam_plain_range *plain; // plain ranges of the text from `cut` on
    size_t plain_capacity;
};
void loam_prompt_deinit(struct loam_prompt *prompt);

// Encodes a prompt.
enum loam_status loam_prompt_encode(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                    const struct loam_text_input *text, struct loam_error *error);

// Replaces the contents of `encoding` with ids of `text`, which begins with the prompt's text. The first ids
// are the prompt's. If the tokenizer's ids of the whole text begin with them too, the result is these ids.
enum loam_status loam_prompt_continue(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                      const struct loam_text_input *text, struct loam_encoding *encoding,
                                      struct loam_error *error);

// Lets an encoding begin with the ids of the prompt that ends at a boundary. `boundary` and `encoding` are those of the
// whole text. `*count` is the number of the prompt's ids.
enum loam_status loam_prompt_align(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                   const struct loam_text_input *text, const struct loam_boundary *boundary,
                                   struct loam_encoding *encoding, size_t *count, struct loam_error *error);

// Token healing: generation first writes the end of the prompt's text that has no ids (struct loam_prompt,
// `cut`), and only then new text. A zeroed struct has nothing to write.
struct loam_healing {
    const struct loam_tokenizer *tokenizer;
    struct loam_bytes spelt; // the text to write, as the vocabulary spells it
    size_t written;          // bytes of `spelt` that generated tokens cover
    struct loam_bytes text;  // the text to write
    size_t shown;            // bytes of `text` that the decoded output has repeated
};
void loam_healing_deinit(struct loam_healing *healing);
enum loam_status loam_healing_begin(struct loam_healing *healing, const struct loam_tokenizer *tokenizer,
                                    const char *text, size_t size, struct loam_error *error);
bool loam_healing_is_done(const struct loam_healing *healing);
// Sets allowed[id] for ids in [0, vocabulary): whether the token continues the text to write. Returns false,
// and allows all ids, if no token does.
bool loam_healing_allow(const struct loam_healing *healing, bool *allowed, int32_t vocabulary);
// Records a generated token.
void loam_healing_accept(struct loam_healing *healing, int32_t id);
// Removes from the next part of the decoded output the text that repeats the prompt.
void loam_healing_strip(struct loam_healing *healing, struct loam_bytes *text);

#endif
