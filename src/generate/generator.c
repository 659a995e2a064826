#include "generate/generator.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

struct sequence {
    struct loam_decoder *decoder;
    bool taken;
    bool running;
    struct loam_generation generation;
    int32_t *history; // [prompt_count + most] the prompt, then the output
    int32_t prompt_count;
    int32_t fed;   // tokens of the history that are in the cache
    int32_t count; // tokens of the output
    int32_t most;  // limit of `count`
    bool *allowed; // [vocabulary]
    float *logits; // [vocabulary]
};

struct loam_generator {
    struct sequence *sequences; // [count]
    int32_t count;
    int32_t vocabulary;         // of the model
    bool rows_depend_on_length; // rows of the cache hold only for sequences of one length
};

// ---- creating and destroying ----

static bool rows_depend_on_length(const struct loam_config *config)
{
    for (int i = 0; i < config->family->rope_count; i++)
        if (loam_config_rope_depends_on_length(config, i)) return true;
    return false;
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
    generator->rows_depend_on_length = rows_depend_on_length(&model->config);
    generator->sequences = loam_calloc((size_t)limits->sequences, sizeof *generator->sequences, error);
    if (generator->sequences == NULL) {
        free(generator);
        return LOAM_ERROR_MEMORY;
    }
    enum loam_status status = LOAM_OK;
    const struct loam_decoder_limits decoder = {.tokens = limits->tokens,
                                                .sequences = 1,
                                                .context = limits->context,
                                                .generate = true,
                                                .adapters = limits->adapters,
                                                .adapters_of_row = limits->adapters_of_sequence};
    while (status == LOAM_OK && generator->count < limits->sequences) {
        status = loam_decoder_create(&generator->sequences[generator->count].decoder, model, device, &decoder,
                                     error);
        generator->count += status == LOAM_OK;
    }
    if (status != LOAM_OK) {
        loam_generator_destroy(generator);
        return status;
    }
    *out = generator;
    return LOAM_OK;
}

static void release_sequence(struct sequence *sequence)
{
    free(sequence->history);
    free(sequence->allowed);
    free(sequence->logits);
    *sequence = (struct sequence){.decoder = sequence->decoder};
}

void loam_generator_destroy(struct loam_generator *generator)
{
    if (generator == NULL) return;
    for (int32_t i = 0; i < generator->count; i++) {
        release_sequence(&generator->sequences[i]);
        loam_decoder_destroy(generator->sequences[i].decoder);
    }
    free(generator->sequences);
    free(generator);
}

struct loam_decoder_bytes loam_generator_bytes(const struct loam_generator *generator)
{
    struct loam_decoder_bytes bytes = loam_decoder_bytes(generator->sequences[0].decoder);
    const size_t count = (size_t)generator->count;
    return (struct loam_decoder_bytes){
        .step = count * bytes.step, .cache = count * bytes.cache, .scratch = count * bytes.scratch};
}

int32_t loam_generator_context(const struct loam_generator *generator)
{
    return loam_decoder_context(generator->sequences[0].decoder);
}

void loam_generator_trace(struct loam_generator *generator, struct loam_trace *trace)
{
    for (int32_t i = 0; i < generator->count; i++)
        loam_decoder_trace(generator->sequences[i].decoder, trace);
}

// ---- sequences ----

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

static struct sequence *find_free(struct loam_generator *generator)
{
    for (int32_t i = 0; i < generator->count; i++)
        if (!generator->sequences[i].taken) return &generator->sequences[i];
    return NULL;
}

static enum loam_status allocate(const struct loam_generator *generator, struct sequence *sequence,
                                 struct loam_error *error)
{
    const size_t vocabulary = (size_t)generator->vocabulary;
    sequence->allowed = loam_calloc(vocabulary, sizeof *sequence->allowed, error);
    sequence->logits = loam_calloc(vocabulary, sizeof *sequence->logits, error);
    sequence->history = loam_calloc((size_t)sequence->prompt_count + (size_t)sequence->most,
                                    sizeof *sequence->history, error);
    const bool all = sequence->allowed != NULL && sequence->logits != NULL && sequence->history != NULL;
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// Fills the place of a sequence with a prompt, of which the first `fed` tokens are in the cache.
static enum loam_status start(const struct loam_generator *generator, struct sequence *sequence,
                              const int32_t *prompt, int32_t count, int32_t fed,
                              const struct loam_generation *generation, struct loam_error *error)
{
    sequence->generation = *generation;
    sequence->prompt_count = count;
    // The last token is not fed, so it needs no row of the cache.
    sequence->most = loam_generator_context(generator) - count + 1;
    if (sequence->most > generation->max_new_tokens) sequence->most = generation->max_new_tokens;
    enum loam_status status = allocate(generator, sequence, error);
    if (status != LOAM_OK) {
        release_sequence(sequence);
        return status;
    }
    memcpy(sequence->history, prompt, (size_t)count * sizeof *prompt);
    loam_decoder_cache_truncate(sequence->decoder, fed);
    sequence->fed = fed;
    sequence->taken = sequence->running = true;
    return LOAM_OK;
}

enum loam_status loam_generator_begin(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                                      const struct loam_generation *generation,
                                      const struct loam_segments *adapters, int32_t *number,
                                      struct loam_error *error)
{
    LOAM_TRY(check_prompt(generator, prompt, count, error));
    struct sequence *sequence = find_free(generator);
    if (sequence == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "all %d sequences of the generator are taken",
                         generator->count);
    LOAM_TRY(loam_decoder_adapt(sequence->decoder, adapters, error));
    LOAM_TRY(start(generator, sequence, prompt, count, 0, generation, error));
    *number = (int32_t)(sequence - generator->sequences);
    return LOAM_OK;
}

static int32_t count_common(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count)
{
    int32_t count = 0;
    while (count < a_count && count < b_count && a[count] == b[count])
        count++;
    return count;
}

enum loam_status loam_generator_continue(struct loam_generator *generator, int32_t number,
                                         const int32_t *prompt, int32_t count,
                                         const struct loam_generation *generation, int32_t *kept,
                                         struct loam_error *error)
{
    if (!loam_generator_has(generator, number))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the generator has no sequence %d", number);
    struct sequence *sequence = &generator->sequences[number];
    enum loam_status status = check_prompt(generator, prompt, count, error);
    // The prompt's last token is fed in any case: its logits choose the next one.
    *kept = status != LOAM_OK || generator->rows_depend_on_length
                ? 0
                : count_common(sequence->history, sequence->fed, prompt, count - 1);
    release_sequence(sequence);
    if (status != LOAM_OK) return status;
    return start(generator, sequence, prompt, count, *kept, generation, error);
}

bool loam_generator_has(const struct loam_generator *generator, int32_t sequence)
{
    return sequence >= 0 && sequence < generator->count && generator->sequences[sequence].taken;
}

void loam_generator_end(struct loam_generator *generator, int32_t sequence)
{
    if (loam_generator_has(generator, sequence)) release_sequence(&generator->sequences[sequence]);
}

// ---- steps ----

// Sets the ids that may come next. While healing is not done, they are the ids that continue its text. After
// that, they are all ids of the tokenizer and end tokens beyond its vocabulary.
static void set_allowed(struct sequence *sequence, int32_t vocabulary)
{
    const struct loam_generation *generation = &sequence->generation;
    const struct loam_special_tokens *special = generation->special;
    const int32_t known = generation->vocabulary < vocabulary ? generation->vocabulary : vocabulary;
    memset(sequence->allowed, 0, (size_t)vocabulary * sizeof *sequence->allowed);
    if (generation->healing != NULL && !loam_healing_is_done(generation->healing) &&
        loam_healing_allow(generation->healing, sequence->allowed, known))
        return;
    for (int32_t id = 0; id < known; id++)
        sequence->allowed[id] = true;
    for (size_t i = 0; i < special->eos_count; i++)
        if (special->eos_ids[i] >= known && special->eos_ids[i] < vocabulary)
            sequence->allowed[special->eos_ids[i]] = true;
}

// Returns the reason why a sequence of `most` tokens ends: the context, or max_new_tokens.
static enum loam_finish find_limit(const struct sequence *sequence)
{
    return sequence->most < sequence->generation.max_new_tokens ? LOAM_FINISH_CONTEXT : LOAM_FINISH_LENGTH;
}

// Feeds the tokens that are not in the cache yet, and chooses the next token.
static enum loam_status generate_token(struct sequence *sequence, int32_t vocabulary,
                                       struct loam_generated *out, struct loam_error *error)
{
    const int32_t known = sequence->prompt_count + sequence->count;
    struct loam_sampling sampling = sequence->generation.sampling;
    sampling.allowed = sequence->allowed;
    LOAM_TRY(loam_decoder_feed(sequence->decoder, sequence->history + sequence->fed, known - sequence->fed,
                               sequence->logits, error));
    sequence->fed = known;
    set_allowed(sequence, vocabulary);
    LOAM_TRY(loam_sample(&sampling, sequence->logits, vocabulary, sequence->history, (size_t)known,
                         (uint64_t)sequence->count, &out->id, error));
    if (loam_generation_stops_at(&sequence->generation, out->id)) {
        out->finish = LOAM_FINISH_STOP;
        return LOAM_OK;
    }
    if (sequence->generation.healing != NULL) loam_healing_accept(sequence->generation.healing, out->id);
    sequence->history[known] = out->id;
    if (++sequence->count == sequence->most) out->finish = find_limit(sequence);
    return LOAM_OK;
}

static enum loam_status advance_sequence(struct sequence *sequence, int32_t vocabulary,
                                         struct loam_generated *out, struct loam_error *error)
{
    out->id = -1;
    out->finish = LOAM_FINISH_NONE;
    if (sequence->prompt_count - sequence->fed > LOAM_PROMPT_CHUNK) {
        LOAM_TRY(loam_decoder_feed(sequence->decoder, sequence->history + sequence->fed, LOAM_PROMPT_CHUNK,
                                   NULL, error));
        sequence->fed += LOAM_PROMPT_CHUNK;
        return LOAM_OK;
    }
    if (sequence->most > 0) return generate_token(sequence, vocabulary, out, error);
    out->finish = find_limit(sequence);
    return LOAM_OK;
}

enum loam_status loam_generator_advance(struct loam_generator *generator, struct loam_generated *out,
                                        size_t *count, struct loam_error *error)
{
    *count = 0;
    for (int32_t i = 0; i < generator->count; i++) {
        struct sequence *sequence = &generator->sequences[i];
        if (!sequence->running) continue;
        struct loam_generated *next = &out[*count];
        next->sequence = i;
        LOAM_TRY(advance_sequence(sequence, generator->vocabulary, next, error));
        sequence->running = next->finish == LOAM_FINISH_NONE;
        ++*count;
    }
    return LOAM_OK;
}

// ---- one prompt ----

static enum loam_status run_sequence(struct loam_generator *generator, int32_t sequence, int32_t *output,
                                     int32_t *output_count, enum loam_finish *finish,
                                     struct loam_error *error)
{
    struct loam_generated next = {.finish = LOAM_FINISH_NONE};
    while (next.finish == LOAM_FINISH_NONE) {
        LOAM_TRY(advance_sequence(&generator->sequences[sequence], generator->vocabulary, &next, error));
        if (next.id >= 0 && next.finish != LOAM_FINISH_STOP) output[(*output_count)++] = next.id;
    }
    if (finish != NULL) *finish = next.finish;
    return LOAM_OK;
}

enum loam_status loam_generate_all(struct loam_generator *generator, const int32_t *prompt, int32_t count,
                                   const struct loam_generation *generation,
                                   const struct loam_segments *adapters, int32_t *output,
                                   int32_t *output_count, enum loam_finish *finish, struct loam_error *error)
{
    int32_t sequence;
    *output_count = 0;
    LOAM_TRY(loam_generator_begin(generator, prompt, count, generation, adapters, &sequence, error));
    enum loam_status status = run_sequence(generator, sequence, output, output_count, finish, error);
    loam_generator_end(generator, sequence);
    return status;
}
