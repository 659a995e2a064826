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

struct loam_answerer {
    const struct loam_session *session;
    struct loam_segments adapters;
    struct loam_generator *generator;
    const struct loam_template *prompt_template;
    struct loam_template *own_template; // NULL if the session has a template
    int32_t longest_prompt;             // tokens
    struct loam_generation generation;
    struct loam_session_prompt prompt;
    struct loam_bytes text; // the answer
    int32_t *output;        // [max_new_tokens]
};

void loam_answerer_destroy(struct loam_answerer *answerer)
{
    if (answerer == NULL) return;
    loam_generator_destroy(answerer->generator);
    loam_template_destroy(answerer->own_template);
    loam_session_prompt_deinit(&answerer->prompt);
    loam_bytes_deinit(&answerer->text);
    free(answerer->output);
    free(answerer);
}

struct loam_decoder_bytes loam_answerer_bytes(const struct loam_answerer *answerer)
{
    return loam_generator_bytes(answerer->generator);
}

static enum loam_status create_generator(struct loam_answerer *answerer, int32_t rows,
                                         struct loam_error *error)
{
    const struct loam_session *session = answerer->session;
    const struct loam_generator_limits limits = {
        .tokens = session->token_budget < rows ? session->token_budget : rows,
        .sequences = 1,
        .context = rows,
        .adapters = answerer->adapters,
    };
    return loam_generator_create(&answerer->generator, session->model, session->device, &limits, error);
}

// Sets the prompt template and the settings of generation, and allocates the output.
static enum loam_status prepare_text(struct loam_answerer *answerer, int32_t rows, int32_t max_new_tokens,
                                     struct loam_error *error)
{
    const struct loam_session *session = answerer->session;
    answerer->longest_prompt = rows - max_new_tokens;
    answerer->generation = (struct loam_generation){
        .max_new_tokens = max_new_tokens,
        .vocabulary = loam_tokenizer_vocabulary_size(session->tokenizer),
        .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1},
        .special = &session->special,
        .healing = &answerer->prompt.healing,
    };
    answerer->prompt_template = session->prompt_template;
    if (answerer->prompt_template == NULL) {
        LOAM_TRY(loam_template_open(&answerer->own_template, "squad", error));
        answerer->prompt_template = answerer->own_template;
    }
    answerer->output = loam_calloc((size_t)max_new_tokens, sizeof *answerer->output, error);
    return answerer->output != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

enum loam_status loam_answerer_create(struct loam_answerer **out, const struct loam_session *session,
                                      const struct loam_segments *adapters, int64_t max_new_tokens,
                                      struct loam_error *error)
{
    int32_t new_tokens = resolve_new_tokens(max_new_tokens), rows = count_context_rows(session, new_tokens);
    if (!session->device->planning)
        LOAM_TRY(loam_generate_check_memory(session->device, &session->model->config, session->dtype, rows,
                                            "max-new-tokens", new_tokens, error));
    struct loam_answerer *answerer = loam_calloc(1, sizeof *answerer, error);
    if (answerer == NULL) return LOAM_ERROR_MEMORY;
    answerer->session = session;
    answerer->adapters = *adapters;
    enum loam_status status = LOAM_OK;
    if (session->tokenizer != NULL) status = prepare_text(answerer, rows, new_tokens, error);
    if (status == LOAM_OK) status = create_generator(answerer, rows, error);
    if (status != LOAM_OK) {
        loam_answerer_destroy(answerer);
        return status;
    }
    *out = answerer;
    return LOAM_OK;
}

// Encodes the prompt like that of a training example. A context that is too long is cut.
static enum loam_status encode_prompt(struct loam_answerer *answerer, const struct loam_squad_record *record,
                                      struct loam_error *error)
{
    struct loam_field fields[] = {
        {"id", record->id, strlen(record->id)},
        {"title", record->title, strlen(record->title)},
        {"context", record->context, strlen(record->context)},
        {"question", record->question, strlen(record->question)},
    };
    struct loam_session_prompt *prompt = &answerer->prompt;
    LOAM_TRY(loam_template_render(answerer->prompt_template, fields, sizeof fields / sizeof fields[0],
                                  &answerer->session->special, true, &prompt->rendered, error));
    snprintf(prompt->example.id, sizeof prompt->example.id, "%s", record->id);
    return loam_session_prompt_encode(answerer->session, prompt, answerer->longest_prompt, error);
}

// Writes the answer to one question to answerer->text. If the prompt cannot be cut to fit, the answer is
// empty.
static enum loam_status answer_question(struct loam_answerer *answerer,
                                        const struct loam_squad_record *record, int64_t *generated_tokens,
                                        struct loam_error *error)
{
    loam_bytes_clear(&answerer->text);
    LOAM_TRY(encode_prompt(answerer, record, error));
    const struct loam_example *prompt = &answerer->prompt.example;
    if (prompt->dropped || prompt->count == 0) return LOAM_OK;
    int32_t count = 0;
    LOAM_TRY(loam_generate_all(answerer->generator, prompt->ids, prompt->count, &answerer->generation,
                               &answerer->adapters, answerer->output, &count, NULL, error));
    *generated_tokens += count;
    LOAM_TRY(loam_tokenizer_decode(answerer->session->tokenizer, answerer->output, (size_t)count, true,
                                   &answerer->text, error));
    loam_healing_strip(&answerer->prompt.healing, &answerer->text);
    return LOAM_OK;
}

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

static enum loam_status answer_all(struct loam_answerer *answerer, const struct loam_dataset *dataset,
                                   size_t count, struct loam_score_sums *sums, int64_t *generated_tokens,
                                   struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct loam_squad_record record;
        LOAM_TRY(loam_dataset_squad(dataset, i, &record, error));
        LOAM_TRY(answer_question(answerer, &record, generated_tokens, error));
        const char *text;
        size_t size;
        trim(&answerer->text, &text, &size);
        struct loam_score score;
        LOAM_TRY(loam_score_answer(text, size, record.answers, record.answer_count, &score, error));
        loam_score_add(sums, &score, record.answer_count > 0);
        LOAM_TRY(loam_event_progress(answerer->session->callbacks, LOAM_ACTIVITY_ANSWER, (int64_t)i + 1,
                                     (int64_t)count, error));
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
    };
}

enum loam_status loam_answerer_score(struct loam_answerer *answerer, const struct loam_dataset *dataset,
                                     size_t limit, struct loam_evaluate_result *result,
                                     struct loam_error *error)
{
    double start = loam_clock_seconds();
    size_t count = loam_dataset_count(dataset);
    if (limit > 0 && limit < count) count = limit;
    struct loam_score_sums sums = {0};
    int64_t generated_tokens = 0;
    LOAM_TRY(answer_all(answerer, dataset, count, &sums, &generated_tokens, error));
    result->scored = true;
    result->overall = compute_percent(&sums.overall);
    result->answerable = compute_percent(&sums.answerable);
    result->unanswerable = compute_percent(&sums.unanswerable);
    result->generate_seconds = loam_clock_seconds() - start;
    result->generated_tokens = generated_tokens;
    return LOAM_OK;
}

enum loam_status loam_answerer_rehearse(struct loam_answerer *answerer, const struct loam_dataset *dataset,
                                        struct loam_error *error)
{
    struct loam_squad_record record;
    int64_t generated_tokens = 0;
    int32_t most = answerer->generation.max_new_tokens;
    LOAM_TRY(loam_dataset_squad(dataset, 0, &record, error));
    answerer->generation.max_new_tokens = 1;
    enum loam_status status = answer_question(answerer, &record, &generated_tokens, error);
    answerer->generation.max_new_tokens = most;
    return status;
}
