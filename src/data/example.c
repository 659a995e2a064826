#include "data/example.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

// The tokens of an example: [bos] ids[begin, drop_begin) ids[drop_end, end) [eos], with the ids of the
// encoding.
struct layout {
    size_t begin;
    size_t drop_begin;
    size_t drop_end;
    size_t end;
    bool bos;
    bool eos;
};

static size_t layout_count(const struct layout *layout)
{
    return layout->bos + (layout->drop_begin - layout->begin) + (layout->end - layout->drop_end) +
           layout->eos;
}

// Whether the post-processor added the token: such a token has an empty span.
static bool is_added(const struct loam_encoding *encoding, size_t index)
{
    return encoding->starts[index] == 0 && encoding->ends[index] == 0;
}

// Places BOS and EOS at most once each: leaves out a token of the post-processor if the text has it too, and
// adds one that the tokenizer's configuration or the source asks for if the encoding has none.
static struct layout place_special_tokens(const struct loam_encoding *encoding,
                                          const struct loam_special_tokens *special,
                                          const struct loam_example_source *source)
{
    const int32_t *ids = encoding->ids;
    size_t begin = 0;
    size_t end = encoding->count;
    if (special->bos >= 0 && end >= 2 && ids[0] == special->bos && ids[1] == special->bos &&
        is_added(encoding, 0))
        begin++;
    if (special->eos >= 0 && end - begin >= 2 && ids[end - 1] == special->eos &&
        ids[end - 2] == special->eos && is_added(encoding, end - 1))
        end--;
    bool has_bos = end > begin && ids[begin] == special->bos;
    bool has_eos = end > begin && ids[end - 1] == special->eos;
    return (struct layout){
        .begin = begin,
        .drop_begin = end,
        .drop_end = end,
        .end = end,
        .bos = special->bos >= 0 && special->add_bos && !has_bos,
        .eos =
            special->eos >= 0 && (special->add_eos || source->wants_eos) && !has_eos && !source->prompt_only,
    };
}

// Encodes the text with the tokens of the post-processor. `*completion` is the index of the first token
// after the prompt. A prompt gets no tokens at its end.
static enum loam_status encode(struct loam_example_work *work, const struct loam_example_source *source,
                               const struct loam_tokenizer *tokenizer, size_t *completion,
                               struct loam_error *error)
{
    struct loam_text_input text = {
        .text = source->text, .size = source->size, .marks = source->marks, .mark_count = source->mark_count};
    struct loam_text_input before = text;
    before.size = source->completion_start;
    while (before.mark_count > 0 && before.marks[before.mark_count - 1].end > before.size)
        before.mark_count--;
    struct loam_prompt *prompt = &work->prompt;
    LOAM_TRY(loam_prompt_encode(prompt, tokenizer, &before, error));
    struct loam_encoding *encoding = &work->encoding;
    if (source->prompt_only) {
        encoding->count = 0;
        LOAM_TRY(loam_encoding_append(encoding, &prompt->encoding, 0, error));
    } else {
        LOAM_TRY(loam_prompt_continue(prompt, tokenizer, &text, encoding, error));
    }
    size_t added;
    LOAM_TRY(loam_tokenizer_add_special(tokenizer, encoding, &added, error));
    *completion = added + prompt->encoding.count;
    if (*completion > encoding->count) *completion = encoding->count;
    if (source->prompt_only) encoding->count = *completion;
    return LOAM_OK;
}

// Drops the first `excess` tokens of the context. False: it has fewer.
static bool cut_context(struct layout *layout, const struct loam_encoding *encoding,
                        const struct loam_example_source *source, size_t excess)
{
    size_t first = layout->begin;
    while (first < layout->end &&
           (is_added(encoding, first) || encoding->starts[first] < source->context_start))
        first++;
    size_t last = first;
    while (last < layout->end && !is_added(encoding, last) && encoding->ends[last] <= source->context_end)
        last++;
    if (last - first < excess) return false;
    layout->drop_begin = first;
    layout->drop_end = first + excess;
    return true;
}

// Keeps the first `limit` tokens.
static void cut_end(struct layout *layout, size_t limit)
{
    layout->eos = false;
    layout->end = layout->begin + limit - layout->bos;
    layout->drop_begin = layout->drop_end = layout->end;
}

// Shortens an example to `limit` tokens. False: it has to be dropped.
static bool shorten_layout(struct layout *layout, const struct loam_encoding *encoding,
                           const struct loam_example_source *source, enum loam_too_long too_long,
                           size_t limit)
{
    if (too_long == LOAM_TOO_LONG_DROP) return false;
    if (source->has_context) return cut_context(layout, encoding, source, layout_count(layout) - limit);
    cut_end(layout, limit);
    return true;
}

enum loam_status loam_example_check_vocabulary(const struct loam_example *example, const char *name,
                                               int32_t vocabulary, struct loam_error *error)
{
    for (int32_t i = 0; i < example->count; i++) {
        int32_t id = example->ids[i];
        if (id >= 0 && id < vocabulary) continue;
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: record %s: token id %d is beyond the model's vocabulary of %d; the tokenizer and the "
            "model do not belong together",
            name, example->id, (int)id, (int)vocabulary);
    }
    return LOAM_OK;
}

const char *loam_loss_on_name(enum loam_loss_on loss_on)
{
    static const char *const names[] = {[LOAM_LOSS_ON_DEFAULT] = "all",
                                        [LOAM_LOSS_ON_ALL] = "all",
                                        [LOAM_LOSS_ON_COMPLETION] = "completion",
                                        [LOAM_LOSS_ON_ASSISTANT] = "assistant",
                                        [LOAM_LOSS_ON_LAST] = "last"};
    return names[loss_on];
}

const char *loam_too_long_name(enum loam_too_long too_long)
{
    static const char *const names[] = {
        [LOAM_TOO_LONG_CUT] = "cut", [LOAM_TOO_LONG_DROP] = "drop", [LOAM_TOO_LONG_SPLIT] = "split"};
    return names[too_long];
}

enum loam_status loam_example_reserve(struct loam_example *example, size_t count, struct loam_error *error)
{
    size_t capacity = example->capacity;
    int32_t *ids = loam_grow(example->ids, &capacity, count, sizeof *ids, error);
    if (ids == NULL) return LOAM_ERROR_MEMORY;
    example->ids = ids;
    float *weights = loam_grow(example->weights, &example->capacity, count, sizeof *weights, error);
    if (weights == NULL) return LOAM_ERROR_MEMORY;
    example->weights = weights;
    return LOAM_OK;
}

void loam_example_learn_from(struct loam_example *example, size_t start)
{
    for (int32_t t = 0; t < example->count; t++)
        example->weights[t] = (size_t)t < start ? 0 : 1;
}

static enum loam_status write_ids(struct loam_example *example, const struct loam_encoding *encoding,
                                  const struct layout *layout, const struct loam_special_tokens *special,
                                  struct loam_error *error)
{
    size_t count = layout_count(layout);
    LOAM_TRY(loam_example_reserve(example, count, error));
    int32_t *ids = example->ids;
    if (layout->bos) *ids++ = special->bos;
    for (size_t i = layout->begin; i < layout->end; i++)
        if (i < layout->drop_begin || i >= layout->drop_end) *ids++ = encoding->ids[i];
    if (layout->eos) *ids++ = special->eos;
    example->count = (int32_t)count;
    return LOAM_OK;
}

// Whether generation stops at the example's last token.
static bool ends_with_stop(const struct loam_special_tokens *special, const struct loam_example *example)
{
    return loam_special_tokens_is_stop(special, example->ids[example->count - 1]);
}

enum loam_status loam_example_build(struct loam_example *example, const struct loam_example_source *source,
                                    const struct loam_example_options *options,
                                    struct loam_example_work *work, enum loam_example_fate *fate,
                                    struct loam_error *error)
{
    *fate = LOAM_EXAMPLE_WHOLE;
    example->count = 0;
    example->dropped = example->lacks_stop = false;
    struct loam_encoding *encoding = &work->encoding;
    size_t completion;
    LOAM_TRY(encode(work, source, options->tokenizer, &completion, error));
    struct layout layout = place_special_tokens(encoding, options->special, source);
    if (completion < layout.begin || source->completion_start == 0) completion = layout.begin;
    size_t limit = (size_t)options->max_length;
    example->length = (int32_t)layout_count(&layout);
    if (layout_count(&layout) > limit) {
        example->dropped = !shorten_layout(&layout, encoding, source, options->too_long, limit);
        *fate = example->dropped ? LOAM_EXAMPLE_DROPPED : LOAM_EXAMPLE_CUT;
        if (example->dropped) return LOAM_OK;
    }
    LOAM_TRY(write_ids(example, encoding, &layout, options->special, error));
    loam_example_learn_from(example, source->prompt_only ? layout_count(&layout) : 0);
    if (source->prompt_only)
        return loam_example_check_vocabulary(example, options->name, options->vocabulary, error);
    if (example->count == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: record %s gives no tokens", options->name,
                         example->id);
    if (options->loss_on > LOAM_LOSS_ON_ALL) {
        size_t dropped = layout.drop_end - layout.drop_begin;
        loam_example_learn_from(example, layout.bos + (completion - layout.begin) -
                                             (completion >= layout.drop_end ? dropped : 0));
    }
    example->lacks_stop = layout.end == encoding->count && !ends_with_stop(options->special, example);
    return loam_example_check_vocabulary(example, options->name, options->vocabulary, error);
}

enum loam_status loam_example_build_prompt(struct loam_example *example, const struct loam_rendered *rendered,
                                           const struct loam_tokenizer *tokenizer,
                                           const struct loam_special_tokens *special, int32_t max_length,
                                           struct loam_example_work *work, struct loam_error *error)
{
    const struct loam_example_source source = {
        .text = rendered->text.data,
        .size = rendered->text.size,
        .marks = rendered->marks,
        .mark_count = rendered->mark_count,
        .completion_start = rendered->text.size,
        .context_start = rendered->context_start,
        .context_end = rendered->context_end,
        .has_context = rendered->context_end > rendered->context_start,
        .prompt_only = true,
    };
    const struct loam_example_options options = {.name = "prompt",
                                                 .too_long = LOAM_TOO_LONG_CUT,
                                                 .max_length = max_length,
                                                 .tokenizer = tokenizer,
                                                 .special = special,
                                                 .vocabulary = INT32_MAX};
    enum loam_example_fate fate;
    return loam_example_build(example, &source, &options, work, &fate, error);
}

size_t loam_example_work_bytes(const struct loam_example_work *work)
{
    const size_t bytes[] = {work->encoding.work_bytes, work->prompt.encoding.work_bytes,
                            work->prompt.rest.work_bytes};
    size_t most = 0;
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        most = bytes[i] > most ? bytes[i] : most;
    return most;
}

void loam_example_work_deinit(struct loam_example_work *work)
{
    loam_prompt_deinit(&work->prompt);
    loam_encoding_deinit(&work->encoding);
}

void loam_example_deinit(struct loam_example *example)
{
    free(example->ids);
    free(example->weights);
    *example = (struct loam_example){0};
}
