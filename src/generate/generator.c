#include "generate/generator.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "generate/sequence.h"

// ---- creating and destroying ----

static bool depends_on_length(const struct loam_config *config)
{
    for (int i = 0; i < config->family->rope_count; i++)
        if (loam_config_rope_depends_on_length(config, i)) return true;
    return false;
}

static enum loam_status allocate_generator(struct loam_generator *generator,
                                           const struct loam_generator_limits *limits,
                                           struct loam_error *error)
{
    const size_t count = (size_t)limits->sequences;
    generator->adapters_of_sequence =
        limits->adapters_of_sequence > 0 ? (size_t)limits->adapters_of_sequence : limits->adapters.count;
    generator->sequences = loam_calloc(count, sizeof *generator->sequences, error);
    generator->feeds = loam_calloc(count, sizeof *generator->feeds, error);
    generator->segments =
        loam_calloc(count * generator->adapters_of_sequence, sizeof *generator->segments, error);
    generator->row = loam_calloc((size_t)generator->vocabulary, sizeof *generator->row, error);
    const bool all = generator->sequences != NULL && generator->feeds != NULL &&
                     generator->segments != NULL && generator->row != NULL;
    if (!all) return LOAM_ERROR_MEMORY;
    generator->count = limits->sequences;
    return LOAM_OK;
}

// A pass has at least a row for each sequence, as far as these go together.
static int32_t tokens_of_pass(const struct loam_generator_limits *limits)
{
    const int32_t steps = limits->sequences < LOAM_ROWS_ALIKE ? limits->sequences : LOAM_ROWS_ALIKE;
    return limits->tokens > steps ? limits->tokens : steps;
}

enum loam_status loam_generator_create(struct loam_generator **out, const struct loam_model *model,
                                       const struct loam_device *device,
                                       const struct loam_generator_limits *limits, struct loam_error *error)
{
    if (limits->sequences < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a generator of %d sequences: expected at least 1",
                         (int)limits->sequences);
    struct loam_generator *generator = loam_calloc(1, sizeof *generator, error);
    if (generator == NULL) return LOAM_ERROR_MEMORY;
    generator->vocabulary = (int32_t)model->config.vocabulary;
    generator->depends_on_length = depends_on_length(&model->config);
    generator->shares = limits->shares && !generator->depends_on_length;
    generator->tokens = tokens_of_pass(limits);
    const struct loam_decoder_limits decoder = {.tokens = generator->tokens,
                                                .sequences = 1,
                                                .context = limits->context,
                                                .cached = limits->sequences,
                                                .generate = true,
                                                .evaluate = limits->scores,
                                                .adapters = limits->adapters,
                                                .adapters_of_row = limits->adapters_of_sequence};
    enum loam_status status = allocate_generator(generator, limits, error);
    if (status == LOAM_OK) status = loam_decoder_create(&generator->decoder, model, device, &decoder, error);
    if (status != LOAM_OK) {
        loam_generator_destroy(generator);
        return status;
    }
    *out = generator;
    return LOAM_OK;
}

// Forgets the prompt that the place still has in the cache.
static void clear_place(struct loam_sequence *sequence)
{
    free(sequence->history);
    free(sequence->adapters);
    *sequence = (struct loam_sequence){0};
}

// Frees the place. Where prompts are shared, what its part of the cache holds stays known.
static void release_sequence(struct loam_sequence *sequence, bool shares)
{
    loam_choice_deinit(&sequence->choice);
    free(sequence->targets);
    sequence->targets = NULL;
    sequence->taken = sequence->running = false;
    if (!shares) clear_place(sequence);
}

void loam_generator_destroy(struct loam_generator *generator)
{
    if (generator == NULL) return;
    for (int32_t i = 0; i < generator->count; i++)
        release_sequence(&generator->sequences[i], false);
    loam_decoder_destroy(generator->decoder);
    free(generator->sequences);
    free(generator->row);
    free(generator->feeds);
    free(generator->segments);
    free(generator);
}

struct loam_decoder_bytes loam_generator_bytes(const struct loam_generator *generator)
{
    return loam_decoder_bytes(generator->decoder);
}

int32_t loam_generator_context(const struct loam_generator *generator)
{
    return loam_decoder_context(generator->decoder);
}

void loam_generator_trace(struct loam_generator *generator, struct loam_trace *trace)
{
    loam_decoder_trace(generator->decoder, trace);
}

void loam_generator_forget(struct loam_generator *generator)
{
    for (int32_t i = 0; i < generator->count; i++)
        if (!generator->sequences[i].taken) clear_place(&generator->sequences[i]);
}

// ---- the place of a sequence ----

static enum loam_status check_prompt(const struct loam_generator *generator, const int32_t *prompt,
                                     int32_t count, struct loam_error *error)
{
    const int32_t room = loam_generator_context(generator);
    if (count < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "an empty prompt: expected at least one token");
    if (count > room)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a prompt of %d tokens: the context has room for %d",
                         count, room);
    for (int32_t i = 0; i < count; i++)
        if (prompt[i] < 0 || prompt[i] >= generator->vocabulary)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "token %d of the prompt is id %d: the model's embedding has %d rows", i,
                             prompt[i], generator->vocabulary);
    return LOAM_OK;
}

// Validates the adapters, by the decoder and by number.
static enum loam_status check_adapters(struct loam_generator *generator, const struct loam_segments *adapters,
                                       struct loam_error *error)
{
    LOAM_TRY(loam_decoder_adapt(generator->decoder, adapters, error));
    if (adapters->count <= generator->adapters_of_sequence) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "a sequence with %zu adapters: the generator was made for at most %zu", adapters->count,
                     generator->adapters_of_sequence);
}

int32_t loam_sequence_common(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count)
{
    int32_t count = 0;
    while (count < a_count && count < b_count && a[count] == b[count])
        count++;
    return count;
}

// Finds a free place: the one whose prompt has most in common with the new one, where prompts are shared.
static struct loam_sequence *find_free(const struct loam_generator *generator, const int32_t *prompt,
                                       int32_t count)
{
    struct loam_sequence *found = NULL;
    int32_t most = -1;
    for (int32_t i = 0; i < generator->count; i++) {
        struct loam_sequence *place = &generator->sequences[i];
        if (place->taken) continue;
        const int32_t common = loam_sequence_common(place->history, place->fed, prompt, count);
        if (common > most) found = place;
        if (common > most) most = common;
    }
    return found;
}

// DoRA rounds otherwise where it has not all rows of a pass, and parameters that an adapter replaces belong to all
// rows.
static bool stands_apart(const struct loam_segments *adapters)
{
    for (size_t i = 0; i < adapters->count; i++) {
        const struct loam_adapter_slots *adapter = adapters->items[i].adapter;
        if (adapter->replaced_count > 0) return true;
        for (size_t slot = 0; slot < adapter->count; slot++)
            if (adapter->slots[slot].dora) return true;
    }
    return false;
}

bool loam_sequence_has_adapters(const struct loam_sequence *sequence, const struct loam_segment *adapters,
                                size_t count)
{
    if (sequence->adapter_count != count) return false;
    for (size_t i = 0; i < count; i++)
        if (sequence->adapters[i].adapter != adapters[i].adapter ||
            sequence->adapters[i].factor != adapters[i].factor)
            return false;
    return true;
}

static enum loam_status allocate_sequence(const struct loam_generator *generator,
                                          struct loam_sequence *sequence,
                                          const struct loam_segments *adapters, struct loam_error *error)
{
    LOAM_TRY(loam_choice_init(&sequence->choice, &sequence->generation, generator->vocabulary,
                              loam_top_most_asked(generator->decoder), error));
    sequence->history = loam_calloc((size_t)sequence->prompt_count + (size_t)sequence->most,
                                    sizeof *sequence->history, error);
    sequence->adapters = loam_calloc(adapters->count, sizeof *sequence->adapters, error);
    bool all = sequence->history != NULL && sequence->adapters != NULL;
    if (sequence->scored.ids != NULL) {
        sequence->targets = loam_calloc((size_t)sequence->reads, sizeof *sequence->targets, error);
        all = all && sequence->targets != NULL;
    }
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// Sets the targets of the tokens that are read, and returns the first with a target; `reads` where none has.
static int32_t set_targets(const struct loam_sequence *sequence)
{
    const struct loam_scored *scored = &sequence->scored;
    int32_t first = sequence->reads;
    for (int32_t t = sequence->reads; t-- > 0;) {
        const bool counts = t + 1 < scored->count && scored->weights[t + 1] != 0;
        sequence->targets[t] = counts ? scored->ids[t + 1] : LOAM_NO_TARGET;
        if (counts) first = t;
    }
    return first;
}

static int32_t min32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// The tokens of a scored text but the last, and at least the prompt where a token is wanted.
static int32_t count_reads(const struct loam_sequence *sequence)
{
    const int32_t scored = sequence->scored.ids != NULL ? sequence->scored.count - 1 : 0;
    const int32_t prompt = sequence->most > 0 ? sequence->prompt_count : 0;
    return scored > prompt ? scored : prompt;
}

// What a sequence begins with.
struct beginning {
    const int32_t *prompt; // [count]
    int32_t count;
    const struct loam_scored *scored; // NULL: none
    const struct loam_generation *generation;
    const struct loam_segments *adapters;
};

// What is taken from the cache leaves many tokens to read, all that have losses, and the one whose logits are
// needed.
static int32_t limit_taken(const struct loam_sequence *sequence)
{
    int32_t most = min32(sequence->reads - LOAM_MANY_TOKENS, sequence->prompt_count - 1);
    if (sequence->scored.ids != NULL) most = min32(most, set_targets(sequence));
    return most < 0 ? 0 : most;
}

// Fills the place of a sequence.
static enum loam_status start(struct loam_generator *generator, struct loam_sequence *sequence,
                              const struct beginning *beginning, struct loam_error *error)
{
    const int32_t room = loam_generator_context(generator) - beginning->count + 1;
    clear_place(sequence);
    sequence->generation = *beginning->generation;
    sequence->prompt_count = beginning->count;
    if (beginning->scored != NULL) sequence->scored = *beginning->scored;
    // The last token is not fed, so it needs no row of the cache.
    sequence->most = min32(room, beginning->generation->max_new_tokens);
    sequence->reads = count_reads(sequence);
    sequence->adapter_count = beginning->adapters->count;
    enum loam_status status = allocate_sequence(generator, sequence, beginning->adapters, error);
    if (status != LOAM_OK) {
        release_sequence(sequence, false);
        return status;
    }
    memcpy(sequence->history, beginning->prompt, (size_t)beginning->count * sizeof *beginning->prompt);
    if (sequence->adapter_count > 0)
        memcpy(sequence->adapters, beginning->adapters->items,
               sequence->adapter_count * sizeof *sequence->adapters);
    sequence->apart = stands_apart(beginning->adapters);
    sequence->most_taken = limit_taken(sequence);
    sequence->taken = sequence->running = true;
    return LOAM_OK;
}

// Makes the first `count` tokens in its part of the cache the first of a sequence that has just started.
static void keep_tokens(struct loam_generator *generator, struct loam_sequence *sequence, int32_t count)
{
    loam_decoder_cache_truncate(generator->decoder, (int32_t)(sequence - generator->sequences), count);
    sequence->fed = count;
}

static enum loam_status begin(struct loam_generator *generator, const struct beginning *beginning,
                              int32_t *number, struct loam_error *error)
{
    struct loam_sequence *sequence = find_free(generator, beginning->prompt, beginning->count);
    if (sequence == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "all %d sequences of the generator are taken",
                         generator->count);
    LOAM_TRY(check_adapters(generator, beginning->adapters, error));
    const struct loam_segments *adapters = beginning->adapters;
    int32_t kept = 0;
    if (generator->shares && loam_sequence_has_adapters(sequence, adapters->items, adapters->count))
        kept = loam_sequence_common(sequence->history, min32(sequence->fed, sequence->prompt_count),
                                    beginning->prompt, beginning->count);
    LOAM_TRY(start(generator, sequence, beginning, error));
    keep_tokens(generator, sequence, min32(kept, sequence->most_taken));
    *number = (int32_t)(sequence - generator->sequences);
    return LOAM_OK;
}

enum loam_status loam_generator_begin(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                                      const struct loam_generation *generation,
                                      const struct loam_segments *adapters, int32_t *number,
                                      struct loam_error *error)
{
    LOAM_TRY(check_prompt(generator, prompt, count, error));
    return begin(
        generator,
        &(struct beginning){.prompt = prompt, .count = count, .generation = generation, .adapters = adapters},
        number, error);
}

static enum loam_status check_scored(const struct loam_generator *generator, const struct loam_scored *scored,
                                     int32_t count, struct loam_error *error)
{
    const int32_t room = loam_generator_context(generator);
    if (count > scored->count)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a prompt of %d tokens of a text that has %d", count,
                         scored->count);
    // The last token is not fed.
    if (scored->count - 1 <= room) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "a text of %d tokens: the context has room for %d",
                     scored->count, room + 1);
}

enum loam_status loam_generator_begin_scored(struct loam_generator *generator,
                                             const struct loam_scored *scored, int32_t count,
                                             const struct loam_generation *generation,
                                             const struct loam_segments *adapters, int32_t *number,
                                             struct loam_error *error)
{
    LOAM_TRY(check_prompt(generator, scored->ids, count, error));
    LOAM_TRY(check_scored(generator, scored, count, error));
    return begin(generator,
                 &(struct beginning){.prompt = scored->ids,
                                     .count = count,
                                     .scored = scored,
                                     .generation = generation,
                                     .adapters = adapters},
                 number, error);
}

enum loam_status loam_generator_continue(struct loam_generator *generator, int32_t number,
                                         const int32_t *prompt, int32_t count,
                                         const struct loam_generation *generation, int32_t *kept,
                                         struct loam_error *error)
{
    if (!loam_generator_has(generator, number))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the generator has no sequence %d", number);
    struct loam_sequence *sequence = &generator->sequences[number];
    // The prompt's last token is fed in any case: its logits choose the next one.
    *kept = generator->depends_on_length
                ? 0
                : loam_sequence_common(sequence->history, sequence->fed, prompt, count - 1);
    const struct loam_segments adapters = {sequence->adapters, sequence->adapter_count};
    sequence->adapters = NULL; // clear_place must not free them yet
    enum loam_status status = check_prompt(generator, prompt, count, error);
    release_sequence(sequence, false);
    if (status == LOAM_OK)
        status = start(generator, sequence,
                       &(struct beginning){
                           .prompt = prompt, .count = count, .generation = generation, .adapters = &adapters},
                       error);
    free((struct loam_segment *)adapters.items);
    if (status != LOAM_OK) return status;
    keep_tokens(generator, sequence, *kept);
    sequence->started = true;
    return LOAM_OK;
}

bool loam_generator_has(const struct loam_generator *generator, int32_t sequence)
{
    return sequence >= 0 && sequence < generator->count && generator->sequences[sequence].taken;
}

void loam_generator_end(struct loam_generator *generator, int32_t sequence)
{
    if (loam_generator_has(generator, sequence))
        release_sequence(&generator->sequences[sequence], generator->shares);
}
