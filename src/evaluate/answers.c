#include "evaluate/answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/heap.h"
#include "evaluate/score.h"
#include "session/prompt.h"

enum { DEFAULT_MAX_NEW_TOKENS = 64 };

static int32_t resolve_new_tokens(int64_t max_new_tokens)
{
    if (max_new_tokens <= 0) return DEFAULT_MAX_NEW_TOKENS;
    return max_new_tokens < INT32_MAX / 2 ? (int32_t)max_new_tokens : INT32_MAX / 2;
}

// Returns the rows of the KV cache: the longest prompt and an answer, at most the positions of the model.
static int32_t count_context_rows(const struct loam_session *session, int32_t max_new_tokens)
{
    const int64_t rows = (int64_t)session->max_length + max_new_tokens;
    const int64_t positions = loam_config_position_limit(&session->model->config);
    return (int32_t)(rows < positions ? rows : positions);
}

enum loam_status loam_answers_check(const struct loam_session *session, const struct loam_dataset *dataset,
                                    const char *option, const char *path, int64_t max_new_tokens,
                                    struct loam_error *error)
{
    struct loam_squad_record record;
    int32_t new_tokens = resolve_new_tokens(max_new_tokens);
    if (loam_dataset_squad(dataset, 0, &record, NULL) != LOAM_OK) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s is not a SQuAD file: --%s scores answers to SQuAD questions only", path, option);
    }
    int32_t rows = count_context_rows(session, new_tokens);
    if (rows > new_tokens) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "--max-new-tokens %d leaves no room for a prompt: the model has %d positions",
                     (int)new_tokens, (int)rows);
}

// ---- places and results ----

// What became of a record. Sums over records add these in the order of the records, whatever the order in which
// they were evaluated.
struct outcome {
    bool read; // has tokens that were not dropped
    int32_t tokens;
    struct loam_labels labels;
    double loss; // sum over the labels, weighted
    struct loam_score score;
    bool answerable;
};

// A record that is being evaluated: its losses, its answer, or both at once.
struct place {
    bool taken;
    size_t record;
    bool answers; // the sequence answers; else it is there only for the losses of the example
    struct loam_example example;
    struct loam_scored scored;
    struct loam_session_prompt prompt;
    struct loam_generation generation;
    float *losses;   // [longest_example]
    int32_t *output; // [max_new_tokens]
    int32_t output_count;
};

struct loam_answerer {
    const struct loam_session *session;
    struct loam_segments adapters;
    struct loam_generator *generator;
    const struct loam_template *prompt_template;
    struct loam_template *own_template; // NULL if the session has a template
    int32_t longest_prompt;             // tokens
    int32_t max_new_tokens;
    struct place *places;             // [sequences]
    size_t *place_of;                 // [sequences] the place that a sequence of the generator works for
    struct loam_generated *generated; // [sequences]
    int32_t sequences;
    struct loam_bytes text; // an answer
};

// An evaluation in progress.
struct evaluation {
    struct loam_answerer *answerer;
    struct loam_dataset *dataset;
    struct outcome *outcomes; // [count]
    size_t count;
    size_t next; // record
    size_t done; // records
    int64_t generated_tokens;
    double reading_seconds; // of passes that read prompts
};

static void deinit_place(struct place *place)
{
    loam_example_deinit(&place->example);
    loam_session_prompt_deinit(&place->prompt);
    free(place->losses);
    free(place->output);
}

void loam_answerer_destroy(struct loam_answerer *answerer)
{
    if (answerer == NULL) return;
    loam_generator_destroy(answerer->generator);
    loam_template_destroy(answerer->own_template);
    for (int32_t i = 0; answerer->places != NULL && i < answerer->sequences; i++)
        deinit_place(&answerer->places[i]);
    free(answerer->places);
    free(answerer->place_of);
    free(answerer->generated);
    loam_bytes_deinit(&answerer->text);
    free(answerer);
}

struct loam_decoder_bytes loam_answerer_bytes(const struct loam_answerer *answerer)
{
    return loam_generator_bytes(answerer->generator);
}

// ---- creating ----

// Returns how many records are answered at once: as many as a pass takes without another order of sums, as long as
// their keys and values take no more memory than the weights.
static int32_t choose_sequences(const struct loam_session *session, int32_t rows, int32_t most)
{
    const double weights =
        (double)loam_model_parameter_total(session->model) * (double)loam_dtype_size(session->dtype);
    const double cache = loam_generate_cache_bytes(&session->model->config, session->dtype, rows);
    int32_t count = most > 0 && most < LOAM_ROWS_ALIKE ? most : LOAM_ROWS_ALIKE;
    while (count > 1 && (double)count * cache > weights)
        count--;
    return count;
}

// With less memory than for so many, fewer records are answered at once.
static enum loam_status fit_sequences(const struct loam_session *session, int32_t rows, int32_t new_tokens,
                                      int32_t *count, struct loam_error *error)
{
    const struct loam_config *config = &session->model->config;
    const double cache = loam_generate_cache_bytes(config, session->dtype, rows);
    if (session->device->planning) return LOAM_OK;
    while (*count > 1 && (double)*count * cache > (double)loam_device_free_memory(session->device).bytes / 2)
        --*count;
    return loam_generate_check_memory(session->device, config, session->dtype, rows, "max-new-tokens",
                                      new_tokens, error);
}

static enum loam_status create_generator(struct loam_answerer *answerer, int32_t rows,
                                         struct loam_error *error)
{
    const struct loam_session *session = answerer->session;
    const struct loam_generator_limits limits = {
        .tokens = session->token_budget,
        .sequences = answerer->sequences,
        .context = rows,
        .adapters = answerer->adapters,
        .scores = true,
        .shares = true,
    };
    return loam_generator_create(&answerer->generator, session->model, session->device, &limits, error);
}

static enum loam_status prepare_places(struct loam_answerer *answerer, struct loam_error *error)
{
    const size_t count = (size_t)answerer->sequences;
    answerer->places = loam_calloc(count, sizeof *answerer->places, error);
    answerer->place_of = loam_calloc(count, sizeof *answerer->place_of, error);
    answerer->generated = loam_calloc(count, sizeof *answerer->generated, error);
    bool all = answerer->places != NULL && answerer->place_of != NULL && answerer->generated != NULL;
    for (size_t i = 0; i < count && all; i++) {
        struct place *place = &answerer->places[i];
        place->losses = loam_calloc((size_t)answerer->session->max_length, sizeof *place->losses, error);
        place->output = loam_calloc((size_t)answerer->max_new_tokens, sizeof *place->output, error);
        all = place->losses != NULL && place->output != NULL;
    }
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// Sets the prompt template and allocates what the records need.
static enum loam_status prepare_text(struct loam_answerer *answerer, int32_t rows, struct loam_error *error)
{
    const struct loam_session *session = answerer->session;
    answerer->longest_prompt = rows - answerer->max_new_tokens;
    answerer->prompt_template = session->prompt_template;
    if (answerer->prompt_template == NULL) {
        LOAM_TRY(loam_template_open(&answerer->own_template, "squad", error));
        answerer->prompt_template = answerer->own_template;
    }
    return prepare_places(answerer, error);
}

enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_segments *adapters, int64_t max_new_tokens,
                                      int32_t most_sequences, struct loam_error *error)
{
    int32_t new_tokens = resolve_new_tokens(max_new_tokens), rows = count_context_rows(session, new_tokens);
    int32_t sequences = choose_sequences(session, rows, most_sequences);
    LOAM_TRY(fit_sequences(session, rows, new_tokens, &sequences, error));
    struct loam_answerer *answerer = loam_calloc(1, sizeof *answerer, error);
    if (answerer == NULL) return LOAM_ERROR_MEMORY;
    answerer->session = session;
    answerer->adapters = *adapters;
    answerer->max_new_tokens = new_tokens;
    answerer->sequences = sequences;
    enum loam_status status = LOAM_OK;
    if (session->tokenizer != NULL) status = prepare_text(answerer, rows, error);
    if (status == LOAM_OK) status = create_generator(answerer, rows, error);
    if (status != LOAM_OK) {
        loam_answerer_destroy(answerer);
        return status;
    }
    *out = answerer;
    return LOAM_OK;
}

// ---- the end of a record ----

static void trim(const struct loam_bytes *text, const char **start, size_t *size)
{
    static const char blanks[] = " \t\r\n\f\v";
    *start = text->data != NULL ? text->data : "";
    *size = text->size;
    for (; *size > 0 && memchr(blanks, (*start)[0], sizeof blanks - 1) != NULL; --*size)
        ++*start;
    while (*size > 0 && memchr(blanks, (*start)[*size - 1], sizeof blanks - 1) != NULL)
        --*size;
}

static enum loam_status decode_answer(struct loam_answerer *answerer, struct place *place,
                                      struct loam_error *error)
{
    loam_bytes_clear(&answerer->text);
    LOAM_TRY(loam_tokenizer_decode(answerer->session->tokenizer, place->output, (size_t)place->output_count,
                                   true, &answerer->text, error));
    loam_healing_strip(&place->prompt.healing, &answerer->text);
    return LOAM_OK;
}

// Scores the answer of a place, which is empty where no prompt could be made, and frees the place.
static enum loam_status finish_record(struct evaluation *evaluation, struct place *place,
                                      struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct outcome *outcome = &evaluation->outcomes[place->record];
    struct loam_squad_record record;
    const char *text;
    size_t size;
    LOAM_TRY(decode_answer(answerer, place, error));
    LOAM_TRY(loam_dataset_squad(evaluation->dataset, place->record, &record, error));
    trim(&answerer->text, &text, &size);
    LOAM_TRY(loam_score_answer(text, size, record.answers, record.answer_count, &outcome->score, error));
    outcome->answerable = record.answer_count > 0;
    evaluation->generated_tokens += place->output_count;
    place->taken = false;
    return loam_event_progress(answerer->session->callbacks, LOAM_ACTIVITY_ANSWER,
                               (int64_t)++evaluation->done, (int64_t)evaluation->count, error);
}

static void take_losses(struct evaluation *evaluation, const struct place *place)
{
    struct outcome *outcome = &evaluation->outcomes[place->record];
    const struct loam_example *example = &place->example;
    outcome->loss = 0;
    for (int32_t t = 1; t < example->count; t++)
        if (example->weights[t] != 0)
            outcome->loss += (double)example->weights[t] * (double)place->losses[t - 1];
}

// ---- the beginning of a record ----

// Encodes the prompt like that of a training example. A context that is too long is cut.
static enum loam_status encode_prompt(struct loam_answerer *answerer, const struct loam_squad_record *record,
                                      struct loam_session_prompt *prompt, struct loam_error *error)
{
    struct loam_field fields[] = {
        {"id", record->id, strlen(record->id)},
        {"title", record->title, strlen(record->title)},
        {"context", record->context, strlen(record->context)},
        {"question", record->question, strlen(record->question)},
    };
    LOAM_TRY(loam_template_render(answerer->prompt_template, fields, sizeof fields / sizeof fields[0],
                                  &answerer->session->special, true, &prompt->rendered, error));
    snprintf(prompt->example.id, sizeof prompt->example.id, "%s", record->id);
    return loam_session_prompt_encode(answerer->session, prompt, answerer->longest_prompt, error);
}

static struct loam_generation generation_of(const struct loam_answerer *answerer, struct place *place,
                                            int32_t max_new_tokens)
{
    return (struct loam_generation){
        .max_new_tokens = max_new_tokens,
        .vocabulary = loam_tokenizer_vocabulary_size(answerer->session->tokenizer),
        .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1},
        .special = &answerer->session->special,
        .healing = &place->prompt.healing,
    };
}

// Begins to answer. With `scored` the losses of the example come from the same passes.
static enum loam_status begin_answer(struct loam_answerer *answerer, struct place *place, bool scored,
                                     struct loam_error *error)
{
    const struct loam_example *prompt = &place->prompt.example;
    int32_t sequence;
    place->answers = true;
    place->generation = generation_of(answerer, place, answerer->max_new_tokens);
    if (scored)
        LOAM_TRY(loam_generator_begin_scored(answerer->generator, &place->scored, prompt->count,
                                             &place->generation, &answerer->adapters, &sequence, error));
    else
        LOAM_TRY(loam_generator_begin(answerer->generator, prompt->ids, prompt->count, &place->generation,
                                      &answerer->adapters, &sequence, error));
    answerer->place_of[sequence] = (size_t)(place - answerer->places);
    return LOAM_OK;
}

// Begins to compute the losses of an example whose prompt is another one. Its prompt ends at the first label.
static enum loam_status begin_losses(struct loam_answerer *answerer, struct place *place,
                                     struct loam_error *error)
{
    int32_t sequence, count = 1;
    while (place->example.weights[count] == 0)
        count++;
    place->answers = false;
    place->generation = generation_of(answerer, place, 0);
    LOAM_TRY(loam_generator_begin_scored(answerer->generator, &place->scored, count, &place->generation,
                                         &answerer->adapters, &sequence, error));
    answerer->place_of[sequence] = (size_t)(place - answerer->places);
    return LOAM_OK;
}

static bool has_prompt(const struct place *place)
{
    return !place->prompt.example.dropped && place->prompt.example.count > 0;
}

// A prompt that was cut otherwise than the example is not its beginning.
static bool begins_with_prompt(const struct place *place)
{
    const struct loam_example *prompt = &place->prompt.example, *example = &place->example;
    return has_prompt(place) && prompt->count <= example->count &&
           memcmp(prompt->ids, example->ids, (size_t)prompt->count * sizeof *prompt->ids) == 0;
}

static enum loam_status begin_record(struct evaluation *evaluation, struct place *place, size_t index,
                                     struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct outcome *outcome = &evaluation->outcomes[index];
    struct loam_squad_record record;
    struct loam_example *example = &place->example;
    place->taken = true;
    place->record = index;
    place->output_count = 0;
    LOAM_TRY(loam_dataset_read(evaluation->dataset, index, example, error));
    LOAM_TRY(loam_dataset_squad(evaluation->dataset, index, &record, error));
    LOAM_TRY(encode_prompt(answerer, &record, &place->prompt, error));
    outcome->read = !example->dropped && example->count > 0;
    if (outcome->read) {
        outcome->tokens = example->count;
        outcome->labels = loam_labels_count(example->weights, example->count);
    }
    place->scored = (struct loam_scored){example->ids, example->weights, example->count, place->losses};
    const bool scored = outcome->labels.count > 0;
    if (scored && !begins_with_prompt(place)) return begin_losses(answerer, place, error);
    if (has_prompt(place)) return begin_answer(answerer, place, scored, error);
    return finish_record(evaluation, place, error);
}

// ---- all records ----

static int32_t count_taken(const struct loam_answerer *answerer)
{
    int32_t taken = 0;
    for (int32_t i = 0; i < answerer->sequences; i++)
        taken += answerer->places[i].taken;
    return taken;
}

// Begins records in all free places, where at least half are free: prompts are read faster together.
static enum loam_status fill_places(struct evaluation *evaluation, struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    if (2 * count_taken(answerer) > answerer->sequences) return LOAM_OK;
    for (int32_t i = 0; i < answerer->sequences; i++)
        while (!answerer->places[i].taken && evaluation->next < evaluation->count)
            LOAM_TRY(begin_record(evaluation, &answerer->places[i], evaluation->next++, error));
    return LOAM_OK;
}

static enum loam_status take_generated(struct evaluation *evaluation, const struct loam_generated *generated,
                                       struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    struct place *place = &answerer->places[answerer->place_of[generated->sequence]];
    if (generated->id >= 0 && generated->finish != LOAM_FINISH_STOP)
        place->output[place->output_count++] = generated->id;
    if (generated->finish == LOAM_FINISH_NONE) return LOAM_OK;
    loam_generator_end(answerer->generator, generated->sequence);
    if (evaluation->outcomes[place->record].labels.count > 0) take_losses(evaluation, place);
    if (!place->answers && has_prompt(place)) return begin_answer(answerer, place, false, error);
    return finish_record(evaluation, place, error);
}

static enum loam_status run_records(struct evaluation *evaluation, struct loam_error *error)
{
    struct loam_answerer *answerer = evaluation->answerer;
    while (evaluation->next < evaluation->count || count_taken(answerer) > 0) {
        const double start = loam_clock_seconds();
        const size_t before = evaluation->next;
        size_t count;
        LOAM_TRY(fill_places(evaluation, error));
        LOAM_TRY(loam_generator_advance(answerer->generator, answerer->generated, &count, error));
        for (size_t i = 0; i < count; i++)
            LOAM_TRY(take_generated(evaluation, &answerer->generated[i], error));
        if (evaluation->next == before) continue;
        evaluation->reading_seconds += loam_clock_seconds() - start;
        LOAM_TRY(loam_event_progress(answerer->session->callbacks, LOAM_ACTIVITY_EVALUATE,
                                     (int64_t)evaluation->next, (int64_t)evaluation->count, error));
    }
    return LOAM_OK;
}

static struct loam_answer_scores compute_percent(const struct loam_score_sum *sum)
{
    double count = (double)sum->count;
    return (struct loam_answer_scores){
        .count = sum->count,
        .exact = sum->count > 0 ? 100 * sum->exact / count : NAN,
        .f1 = sum->count > 0 ? 100 * sum->f1 / count : NAN,
        .rouge_l = sum->count > 0 ? 100 * sum->rouge_l / count : NAN,
    };
}

static enum loam_status summarise(const struct evaluation *evaluation, struct loam_evaluate_result *result,
                                  struct loam_error *error)
{
    struct loam_score_sums sums = {0};
    double loss_sum = 0;
    for (size_t i = 0; i < evaluation->count; i++) {
        const struct outcome *outcome = &evaluation->outcomes[i];
        loam_score_add(&sums, &outcome->score, outcome->answerable);
        if (!outcome->read) continue;
        result->loss.examples++;
        result->loss.tokens += outcome->tokens;
        loam_labels_add(&result->loss.labels, outcome->labels);
        loss_sum += outcome->loss;
    }
    result->scored = true;
    result->overall = compute_percent(&sums.overall);
    result->answerable = compute_percent(&sums.answerable);
    result->unanswerable = compute_percent(&sums.unanswerable);
    result->generated_tokens = evaluation->generated_tokens;
    const struct loam_model *model = evaluation->answerer->session->model;
    const bool f32 = model->dtype == LOAM_F32 && model->matrix_dtype == LOAM_F32;
    return loam_evaluation_finish(&result->loss, loss_sum, f32, error);
}

// Ends what a failure left running, so that the next evaluation finds all places free.
static void end_all(struct loam_answerer *answerer)
{
    for (int32_t i = 0; i < answerer->sequences; i++) {
        loam_generator_end(answerer->generator, i);
        answerer->places[i].taken = false;
    }
}

// Adapters may have changed since the last evaluation, and with them what the cache should hold.
static enum loam_status evaluate_records(struct evaluation *evaluation, size_t limit,
                                         struct loam_error *error)
{
    evaluation->count = loam_dataset_limit(evaluation->dataset, limit);
    evaluation->outcomes = loam_calloc(evaluation->count, sizeof *evaluation->outcomes, error);
    if (evaluation->outcomes == NULL) return LOAM_ERROR_MEMORY;
    loam_generator_forget(evaluation->answerer->generator);
    enum loam_status status = run_records(evaluation, error);
    end_all(evaluation->answerer);
    return status;
}

enum loam_status loam_answerer_evaluate(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        size_t limit, struct loam_evaluate_result *result,
                                        struct loam_error *error)
{
    const double start = loam_clock_seconds();
    struct evaluation evaluation = {.answerer = answerer, .dataset = dataset};
    *result = (struct loam_evaluate_result){0};
    enum loam_status status = evaluate_records(&evaluation, limit, error);
    if (status == LOAM_OK) {
        result->loss.seconds = evaluation.reading_seconds;
        result->generate_seconds = loam_clock_seconds() - start - evaluation.reading_seconds;
        status = summarise(&evaluation, result, error);
    }
    free(evaluation.outcomes);
    return status;
}

enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        struct loam_error *error)
{
    const int32_t most = answerer->max_new_tokens;
    struct evaluation evaluation = {.answerer = answerer, .dataset = dataset};
    answerer->max_new_tokens = 1;
    enum loam_status status = evaluate_records(&evaluation, 1, error);
    answerer->max_new_tokens = most;
    free(evaluation.outcomes);
    return status;
}
