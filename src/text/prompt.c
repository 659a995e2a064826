#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"
#include "text/unicode.h"

void loam_prompt_deinit(struct loam_prompt *prompt)
{
    loam_encoding_deinit(&prompt->encoding);
    loam_encoding_deinit(&prompt->rest);
    loam_bytes_deinit(&prompt->probe);
    free(prompt->marks);
    free(prompt->plain);
    *prompt = (struct loam_prompt){0};
}

// ---- The prompt ----

static bool ends_in_space(const char *text, size_t size)
{
    size_t length;
    return size > 0 &&
           loam_char_is_whitespace(loam_utf8_decode(text + size - loam_utf8_last(text, size), &length));
}

static bool is_all_space(const char *text, size_t size)
{
    size_t length;
    for (size_t at = 0; at < size; at += length)
        if (!loam_char_is_whitespace(loam_utf8_decode(text + at, &length))) return false;
    return true;
}

// Makes the probe: the text followed by a word.
static enum loam_status make_probe(struct loam_prompt *prompt, const struct loam_text_input *text,
                                   struct loam_error *error)
{
    loam_bytes_clear(&prompt->probe);
    LOAM_TRY(loam_bytes_append(&prompt->probe, text->text, text->size, error));
    return loam_bytes_append_text(&prompt->probe, ends_in_space(text->text, text->size) ? "a" : " a", error);
}

// The start of the token, or of the word of white space, that extends beyond the text's end; else the text's
// end.
static size_t find_cut(const struct loam_encoding *encoding, const struct loam_text_input *text,
                       const struct loam_boundary *boundary)
{
    size_t cut = text->size;
    for (size_t i = 0; i < encoding->count; i++) {
        if (encoding->ends[i] <= text->size) continue;
        if (encoding->starts[i] < cut) cut = encoding->starts[i];
        break;
    }
    bool is_space = is_all_space(text->text + boundary->word, text->size - boundary->word);
    return is_space && boundary->word < cut ? boundary->word : cut;
}

enum loam_status loam_prompt_encode(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                    const struct loam_text_input *text, struct loam_error *error)
{
    struct loam_encoding *encoding = &prompt->encoding;
    encoding->count = prompt->cut = 0;
    if (text->size == 0) return LOAM_OK;
    struct loam_boundary boundary = {.at = text->size};
    if (loam_utf8_check(text->text, text->size) < text->size) // fails with the place of the error
        return loam_tokenizer_encode_input(tokenizer, text, &boundary, encoding, error);
    LOAM_TRY(make_probe(prompt, text, error));
    struct loam_text_input probed = *text;
    probed.text = prompt->probe.data;
    probed.size = prompt->probe.size;
    LOAM_TRY(loam_tokenizer_encode_input(tokenizer, &probed, &boundary, encoding, error));
    prompt->cut = find_cut(encoding, text, &boundary);
    size_t count = 0;
    while (count < encoding->count && encoding->ends[count] <= prompt->cut)
        count++;
    encoding->count = count;
    if (count > 0) return LOAM_OK;
    // A model needs a first token, so a text of white space only is not cut.
    prompt->cut = text->size;
    return loam_tokenizer_encode_input(tokenizer, text, &boundary, encoding, error);
}

// ---- The text after the prompt ----

// Whether the ids from `from` on begin with the prompt's.
static bool has_prompt(const struct loam_encoding *encoding, size_t from, const struct loam_prompt *prompt)
{
    const struct loam_encoding *start = &prompt->encoding;
    if (start->count == 0) return prompt->cut == 0;
    return encoding->count - from >= start->count &&
           memcmp(encoding->ids + from, start->ids, start->count * sizeof *start->ids) == 0;
}

// Gives bytes [start, end) of the text as a text, with its marks and plain ranges.
static enum loam_status take_part(struct loam_prompt *prompt, const struct loam_text_input *text,
                                  size_t start, size_t end, struct loam_text_input *part,
                                  struct loam_error *error)
{
    *part = (struct loam_text_input){.text = text->text + start,
                                     .size = end - start,
                                     .reserved = text->reserved,
                                     .reserved_count = text->reserved_count};
    struct loam_mark *marks =
        loam_grow(prompt->marks, &prompt->mark_capacity, text->mark_count, sizeof *marks, error);
    if (marks == NULL) return LOAM_ERROR_MEMORY;
    part->marks = prompt->marks = marks;
    struct loam_plain_range *plain =
        loam_grow(prompt->plain, &prompt->plain_capacity, text->plain_count, sizeof *plain, error);
    if (plain == NULL) return LOAM_ERROR_MEMORY;
    part->plain = prompt->plain = plain;
    for (size_t i = 0; i < text->mark_count; i++) {
        struct loam_mark mark = text->marks[i];
        if (mark.start >= start && mark.end <= end)
            marks[part->mark_count++] = (struct loam_mark){mark.start - start, mark.end - start, mark.id};
    }
    for (size_t i = 0; i < text->plain_count; i++) {
        struct loam_plain_range range = text->plain[i];
        if (range.end <= start || range.start >= end) continue;
        range.start = range.start < start ? 0 : range.start - start;
        range.end -= start;
        plain[part->plain_count++] = range;
    }
    return LOAM_OK;
}

// Replaces the contents of `encoding` with the prompt's ids and those of the text after them, encoded separately.
static enum loam_status encode_apart(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                     const struct loam_text_input *text, struct loam_boundary *boundary,
                                     struct loam_encoding *encoding, struct loam_error *error)
{
    struct loam_text_input rest;
    LOAM_TRY(take_part(prompt, text, prompt->cut, text->size, &rest, error));
    rest.continues = prompt->encoding.count > 0;
    LOAM_TRY(loam_tokenizer_encode_input(tokenizer, &rest, boundary, &prompt->rest, error));
    encoding->count = 0;
    LOAM_TRY(loam_encoding_append(encoding, &prompt->encoding, 0, error));
    return loam_encoding_append(encoding, &prompt->rest, prompt->cut, error);
}

enum loam_status loam_prompt_continue(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                      const struct loam_text_input *text, struct loam_encoding *encoding,
                                      struct loam_error *error)
{
    LOAM_TRY(loam_tokenizer_encode_input(tokenizer, text, NULL, encoding, error));
    return has_prompt(encoding, 0, prompt) ? LOAM_OK
                                           : encode_apart(prompt, tokenizer, text, NULL, encoding, error);
}

// Encodes the prompt from a separator on, which is what the answer can change. Sets `*count` to the number of the prompt's
// ids if the encoding begins with them, else to 0.
static enum loam_status compare_end(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                    const struct loam_text_input *text, const struct loam_boundary *boundary,
                                    const struct loam_encoding *encoding, size_t *count,
                                    struct loam_error *error)
{
    struct loam_text_input end;
    *count = 0;
    if (boundary->separator == SIZE_MAX) return LOAM_OK;
    LOAM_TRY(take_part(prompt, text, encoding->starts[boundary->separator], boundary->at, &end, error));
    LOAM_TRY(loam_prompt_encode(prompt, tokenizer, &end, error));
    if (has_prompt(encoding, boundary->separator, prompt))
        *count = boundary->separator + prompt->encoding.count;
    return LOAM_OK;
}

enum loam_status loam_prompt_align(struct loam_prompt *prompt, const struct loam_tokenizer *tokenizer,
                                   const struct loam_text_input *text, const struct loam_boundary *boundary,
                                   struct loam_encoding *encoding, size_t *count, struct loam_error *error)
{
    struct loam_boundary start = {0};
    struct loam_text_input before = *text;
    before.size = boundary->at;
    LOAM_TRY(compare_end(prompt, tokenizer, text, boundary, encoding, count, error));
    if (*count > 0) return LOAM_OK;
    LOAM_TRY(loam_prompt_encode(prompt, tokenizer, &before, error));
    *count = prompt->encoding.count;
    return has_prompt(encoding, 0, prompt) ? LOAM_OK
                                           : encode_apart(prompt, tokenizer, text, &start, encoding, error);
}

// ---- Token healing ----

void loam_healing_deinit(struct loam_healing *healing)
{
    loam_bytes_deinit(&healing->spelt);
    loam_bytes_deinit(&healing->text);
    *healing = (struct loam_healing){0};
}

enum loam_status loam_healing_begin(struct loam_healing *healing, const struct loam_tokenizer *tokenizer,
                                    const char *text, size_t size, struct loam_error *error)
{
    healing->tokenizer = tokenizer;
    healing->written = healing->shown = 0;
    loam_bytes_clear(&healing->text);
    LOAM_TRY(loam_bytes_append(&healing->text, text, size, error));
    return loam_tokenizer_spell(tokenizer, text, size, &healing->spelt, error);
}

bool loam_healing_is_done(const struct loam_healing *healing)
{
    return healing->written >= healing->spelt.size;
}

static size_t match_token(const struct loam_healing *healing, int32_t id)
{
    return loam_tokenizer_match(healing->tokenizer, id, healing->spelt.data + healing->written,
                                healing->spelt.size - healing->written);
}

bool loam_healing_allow(const struct loam_healing *healing, bool *allowed, int32_t vocabulary)
{
    bool any = false;
    for (int32_t id = 0; id < vocabulary; id++) {
        allowed[id] = match_token(healing, id) > 0;
        any = any || allowed[id];
    }
    for (int32_t id = 0; id < vocabulary && !any; id++)
        allowed[id] = true;
    return any;
}

void loam_healing_accept(struct loam_healing *healing, int32_t id)
{
    if (loam_healing_is_done(healing)) return;
    size_t size = match_token(healing, id);
    // A token that does not continue the text means that the vocabulary cannot spell it: healing ends.
    healing->written = size > 0 ? healing->written + size : healing->spelt.size;
}

void loam_healing_strip(struct loam_healing *healing, struct loam_bytes *text)
{
    size_t taken = 0;
    const struct loam_bytes *known = &healing->text;
    while (healing->shown < known->size && taken < text->size) {
        if (text->data[taken] == known->data[healing->shown])
            taken++;
        else if (healing->shown > 0 ||
                 known->data[0] != ' ') // decoders remove the space before the first word
            break;
        healing->shown++;
    }
    if (taken < text->size) healing->shown = known->size;
    if (taken == 0) return;
    text->size -= taken;
    memmove(text->data, text->data + taken, text->size);
    text->data[text->size] = '\0';
}
