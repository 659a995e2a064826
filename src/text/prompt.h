// Encodes a text up to the place where generation begins. Training examples begin with the same ids, so that
// inference and training see the same prompt.
//
// What follows a text changes its last tokens: a word takes the space before it into its token ("Ġword"), two
// line breaks are one token or two. A prompt's ids are those of its text when a word follows it, without the
// space that becomes part of the word's token. The model generates that space, as in training.
#ifndef LOAM_TEXT_PROMPT_H
#define LOAM_TEXT_PROMPT_H

#include "text/tokenizer.h"

// A zeroed struct is valid. Kept from text to text as working memory.
struct loam_prompt {
    struct loam_encoding encoding; // ids of text[0, cut), without what the post-processor adds
    size_t cut;                    // bytes; what is left of the text generation has to write
    struct loam_bytes probe;
    struct loam_encoding rest;
    struct loam_mark *marks; // of the rest
    size_t mark_capacity;
};
void loam_prompt_deinit(struct loam_prompt *prompt);

// Encodes a text that something follows.
enum loam_status loam_prompt_encode(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                    const struct loam_text_input *text, struct loam_error *error);

// Replaces the contents of `encoding` by ids of `text`, of which the prompt's text is the beginning: the
// prompt's ids come first. They are the tokenizer's ids of the whole text wherever those begin so.
enum loam_status loam_prompt_continue(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                      const struct loam_text_input *text, struct loam_encoding *encoding,
                                      struct loam_error *error);

// The end of a prompt's text that generation still has to write, and how far it is. A zeroed struct has
// nothing to write.
struct loam_healing {
    const struct loam_tokenizer *tokenizer;
    struct loam_bytes spelt; // as tokens spell it
    size_t written;          // bytes of it that tokens have covered
    struct loam_bytes text;  // as it is
    size_t shown;            // bytes of it that decoded text has repeated
};
void loam_healing_deinit(struct loam_healing *healing);
enum loam_status loam_healing_begin(struct loam_healing *healing, const struct loam_tokenizer *tokenizer,
                                    const char *text, size_t size, struct loam_error *error);
bool loam_healing_is_done(const struct loam_healing *healing);
// Sets `allowed` [vocabulary] to the ids that continue the text. false: there is none, and all are allowed.
bool loam_healing_allow(const struct loam_healing *healing, bool *allowed, int32_t vocabulary);
void loam_healing_take(struct loam_healing *healing, int32_t id);
// Removes from decoded text, as it comes, what repeats the prompt.
void loam_healing_strip(struct loam_healing *healing, struct loam_bytes *text);

#endif
