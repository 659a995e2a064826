#include "text/postprocessor.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"
#include "text/byte_level.h"
#include "text/part.h"
#include "text/vocab.h"

// ---- Parsing ----

static enum loam_status add_piece(struct loam_postprocessor *processor, int32_t id, struct loam_error *error)
{
    int32_t *grown = loam_grow(processor->pieces, &processor->piece_capacity, processor->piece_count + 1,
                               sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    processor->pieces = grown;
    processor->pieces[processor->piece_count++] = id;
    return LOAM_OK;
}

static enum loam_status add_special(struct loam_postprocessor *processor, const json_t *special_tokens,
                                    const char *token, const char *name, struct loam_error *error)
{
    const json_t *ids = json_object_get(json_object_get(special_tokens, token), "ids");
    if (!json_is_array(ids))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"special_tokens\" must give the \"ids\" of \"%s\"",
                         name, token);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= LOAM_MAX_VOCABULARY)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: special_tokens.%s: \"ids\" must be token ids",
                             name, token);
        LOAM_TRY(add_piece(processor, (int32_t)json_integer_value(id), error));
    }
    return LOAM_OK;
}

static enum loam_status parse_template(const json_t *part, const char *name, void *target,
                                       struct loam_error *error)
{
    struct loam_postprocessor *processor = target;
    if (processor->has_template)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: a second TemplateProcessing is not supported",
                         name);
    processor->has_template = true;
    const json_t *single = json_object_get(part, "single");
    if (!json_is_array(single))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"single\" must be an array", name);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const char *token = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        const char *text = json_string_value(json_object_get(json_object_get(piece, "Sequence"), "id"));
        if (token != NULL)
            LOAM_TRY(add_special(processor, json_object_get(part, "special_tokens"), token, name, error));
        else if (text != NULL && strcmp(text, "A") == 0)
            LOAM_TRY(add_piece(processor, LOAM_POST_TEXT, error));
        else
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: single[%zu] must be a SpecialToken or Sequence \"A\"", name, i);
    }
    return LOAM_OK;
}

static enum loam_status parse_byte_level(const json_t *part, const char *name, void *target,
                                         struct loam_error *error)
{
    struct loam_postprocessor *processor = target;
    bool trim;
    bool prefix_space;
    LOAM_TRY(loam_part_bool(part, name, "trim_offsets", &trim, error));
    LOAM_TRY(loam_part_bool(part, name, "add_prefix_space", &prefix_space, error));
    if (!trim) return LOAM_OK;
    bool *grown = loam_grow(processor->trims, &processor->trim_capacity, processor->trim_count + 1,
                            sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    processor->trims = grown;
    processor->trims[processor->trim_count++] = prefix_space;
    return LOAM_OK;
}

static const struct loam_part_kind kinds[] = {
    {"ByteLevel", parse_byte_level},
    {"TemplateProcessing", parse_template},
};
static const struct loam_part_table table = {"post-processor", "processors", kinds,
                                             sizeof kinds / sizeof *kinds};

enum loam_status loam_postprocessor_parse(const json_t *part, const char *name,
                                          struct loam_postprocessor *processor, struct loam_error *error)
{
    return loam_part_parse(&table, part, name, processor, error);
}

void loam_postprocessor_deinit(struct loam_postprocessor *processor)
{
    free(processor->pieces);
    free(processor->trims);
    *processor = (struct loam_postprocessor){0};
}

// ---- Running ----

static bool is_space(const char *character, size_t *length)
{
    int32_t code_point = loam_utf8_decode(character, length);
    return code_point == LOAM_BYTE_LEVEL_SPACE || loam_char_is_whitespace(code_point);
}

// Number of white space characters at the start of a token.
static size_t count_leading(const char *token, size_t size)
{
    size_t count = 0;
    size_t length;
    for (size_t at = 0; at < size && is_space(token + at, &length); at += length)
        count++;
    return count;
}

static size_t count_trailing(const char *token, size_t size)
{
    size_t count = 0;
    size_t length;
    while (size > 0) {
        size -= loam_utf8_last(token, size);
        if (!is_space(token + size, &length)) break;
        count++;
    }
    return count;
}

// Moves `at` forward by `count` characters, at most to `end`.
static uint32_t skip_forward(const char *text, uint32_t at, uint32_t end, size_t count)
{
    for (; count > 0 && at < end; count--)
        at += (uint32_t)loam_utf8_length(text[at]);
    return at < end ? at : end;
}

// Moves `at` back by `count` characters, at most to `start`. It stays if the text has fewer characters
// before it.
static uint32_t skip_back(const char *text, uint32_t start, uint32_t at, size_t count)
{
    uint32_t moved = at;
    for (; count > 0 && moved > 0; count--)
        moved -= (uint32_t)loam_utf8_last(text, moved);
    if (count > 0) return at;
    return moved > start ? moved : start;
}

void loam_postprocessor_trim(const struct loam_postprocessor *processor, const char *token, size_t size,
                             size_t index, const char *text, uint32_t *start, uint32_t *end)
{
    for (size_t i = 0; i < processor->trim_count; i++) {
        size_t leading = count_leading(token, size);
        bool first = index == 0 || *start == 0;
        // A single space of the first token comes from the pre-tokenizer, not from the text.
        if (first && processor->trims[i] && leading == 1) leading = 0;
        *start = skip_forward(text, *start, *end, leading);
        *end = skip_back(text, *start, *end, count_trailing(token, size));
    }
}

// Copies the first `count` tokens to `place`; the two may overlap.
static void copy_text(struct loam_encoding *encoding, size_t place, size_t count)
{
    if (count == 0) return; // the arrays may be NULL
    memmove(encoding->ids + place, encoding->ids, count * sizeof *encoding->ids);
    memmove(encoding->starts + place, encoding->starts, count * sizeof *encoding->starts);
    memmove(encoding->ends + place, encoding->ends, count * sizeof *encoding->ends);
}

// Works in place, from the last piece to the first: pieces are written after the text's tokens until these
// move.
enum loam_status loam_postprocessor_run(const struct loam_postprocessor *processor, bool add_special_tokens,
                                        struct loam_encoding *encoding, struct loam_error *error)
{
    if (!processor->has_template) return LOAM_OK;
    size_t text = encoding->count;
    size_t end = 0;
    for (size_t i = 0; i < processor->piece_count; i++)
        end += processor->pieces[i] == LOAM_POST_TEXT ? text : add_special_tokens;
    while (encoding->count < end)
        LOAM_TRY(loam_encoding_add(encoding, 0, 0, 0, error));
    encoding->count = end;
    for (size_t i = processor->piece_count; i-- > 0;) {
        int32_t id = processor->pieces[i];
        if (id == LOAM_POST_TEXT) {
            end -= text;
            copy_text(encoding, end, text);
        } else if (add_special_tokens) {
            end--;
            encoding->ids[end] = id;
            encoding->starts[end] = encoding->ends[end] = 0;
        }
    }
    return LOAM_OK;
}
