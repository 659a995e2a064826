#include "evaluate/answers.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "evaluate/answerer.h"

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

static bool satisfies(enum loam_question_kind kind, enum loam_answers_need need)
{
    const bool is_choice = kind == LOAM_QUESTION_CHOICE;
    if (kind == LOAM_QUESTION_NONE) return false;
    return need == LOAM_ANSWERS_OR_CHOICES || is_choice == (need == LOAM_ANSWERS_CHOICE);
}

static enum loam_status find_needed(const struct loam_session *session, struct loam_dataset *dataset,
                                    enum loam_answers_need need, bool *found, struct loam_error *error)
{
    struct loam_question question = {0};
    enum loam_status status = LOAM_OK;
    *found = false;
    for (size_t i = 0; i < loam_dataset_count(dataset) && !*found && status == LOAM_OK; i++) {
        status = loam_dataset_question(dataset, i, session->max_length, &question, error);
        *found = satisfies(question.kind, need);
    }
    loam_question_deinit(&question);
    return status;
}

enum loam_status loam_answers_check(const struct loam_session *session, struct loam_dataset *dataset,
                                    enum loam_answers_need need, const char *option, int64_t max_new_tokens,
                                    struct loam_error *error)
{
    static const char *const expected[] = {
        [LOAM_ANSWERS_OR_CHOICES] = "completions, answers in conversations, questions of SQuAD or choices",
        [LOAM_ANSWERS_TEXT] = "completions, answers in conversations or questions of SQuAD",
        [LOAM_ANSWERS_CHOICE] = "questions with choices and an answer",
    };
    const int32_t new_tokens = resolve_new_tokens(max_new_tokens);
    const int32_t rows = count_context_rows(session, new_tokens);
    bool found;
    LOAM_TRY(find_needed(session, dataset, need, &found, error));
    if (!found)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s has nothing to score: --%s needs %s",
                         loam_dataset_name(dataset), option, expected[need]);
    if (need == LOAM_ANSWERS_CHOICE || rows > new_tokens) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "--max-new-tokens %d leaves no room for a prompt: the model has %d positions",
                     (int)new_tokens, (int)rows);
}

static void deinit_place(struct loam_place *place)
{
    loam_example_deinit(&place->example);
    loam_question_deinit(&place->question);
    loam_healing_deinit(&place->healing);
    free(place->losses);
    free(place->output);
}

void loam_answerer_destroy(struct loam_answerer *answerer)
{
    if (answerer == NULL) return;
    loam_generator_destroy(answerer->generator);
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
    return loam_generate_check_memory(session->device, config, session->dtype, rows,
                                      new_tokens > 0 ? "max-new-tokens" : "max-length",
                                      new_tokens > 0 ? new_tokens : session->max_length, error);
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
        struct loam_place *place = &answerer->places[i];
        place->losses = loam_calloc((size_t)answerer->session->max_length, sizeof *place->losses, error);
        place->output = loam_calloc((size_t)answerer->max_new_tokens, sizeof *place->output, error);
        all = place->losses != NULL && place->output != NULL;
    }
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_segments *adapters,
                                      const struct loam_answerer_options *options, struct loam_error *error)
{
    const int32_t new_tokens = options->answers ? resolve_new_tokens(options->max_new_tokens) : 0;
    const int32_t rows = count_context_rows(session, new_tokens);
    int32_t sequences = choose_sequences(session, rows, options->most_sequences);
    LOAM_TRY(fit_sequences(session, rows, new_tokens, &sequences, error));
    struct loam_answerer *answerer = loam_calloc(1, sizeof *answerer, error);
    if (answerer == NULL) return LOAM_ERROR_MEMORY;
    answerer->session = session;
    answerer->adapters = *adapters;
    answerer->answers = options->answers;
    answerer->max_new_tokens = new_tokens;
    answerer->longest_prompt = rows - new_tokens;
    answerer->sequences = sequences;
    enum loam_status status = LOAM_OK;
    if (session->tokenizer != NULL) status = prepare_places(answerer, error);
    if (status == LOAM_OK) status = create_generator(answerer, rows, error);
    if (status != LOAM_OK) {
        loam_answerer_destroy(answerer);
        return status;
    }
    *out = answerer;
    return LOAM_OK;
}

// ---- evaluating ----

static enum loam_status summarise(const struct loam_answerer_evaluation *evaluation,
                                  struct loam_evaluate_result *result, struct loam_error *error)
{
    double loss_sum;
    const struct loam_model *model = evaluation->answerer->session->model;
    const bool f32 = model->dtype == LOAM_F32 && model->matrix_dtype == LOAM_F32;
    loam_outcomes_sum(evaluation->outcomes, evaluation->count, evaluation->answerer->answers, result,
                      &loss_sum);
    result->generated_tokens = evaluation->generated_tokens;
    return loam_evaluation_finish(&result->loss, loss_sum, f32, error);
}

enum loam_status loam_answerer_evaluate(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        size_t limit, struct loam_evaluate_result *result,
                                        struct loam_error *error)
{
    const double start = loam_clock_seconds();
    struct loam_answerer_evaluation evaluation = {.answerer = answerer, .dataset = dataset};
    *result = (struct loam_evaluate_result){0};
    enum loam_status status = loam_answerer_run(&evaluation, limit, error);
    if (status == LOAM_OK) {
        result->loss.seconds = evaluation.reading_seconds;
        result->generate_seconds = loam_clock_seconds() - start - evaluation.reading_seconds;
        status = summarise(&evaluation, result, error);
    }
    loam_answerer_evaluation_deinit(&evaluation);
    return status;
}

enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, struct loam_dataset *dataset,
                                        struct loam_error *error)
{
    const int32_t most = answerer->max_new_tokens;
    struct loam_answerer_evaluation evaluation = {.answerer = answerer, .dataset = dataset};
    if (most > 1) answerer->max_new_tokens = 1;
    enum loam_status status = loam_answerer_run(&evaluation, 1, error);
    answerer->max_new_tokens = most;
    loam_answerer_evaluation_deinit(&evaluation);
    return status;
}
