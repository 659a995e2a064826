#include "commands/merge_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/decoder.h"
#include "session/prompt.h"

enum { MOST_TOKENS = 128 };

// ---- the prompt ----

static enum loam_status take_prompt(struct loam_merge_check *check, const struct loam_session *session,
                                    const struct loam_example *prompt, struct loam_error *error)
{
    check->vocabulary = session->model->config.vocabulary;
    check->count = prompt->count < MOST_TOKENS ? prompt->count : MOST_TOKENS;
    if (check->count > session->max_length) check->count = session->max_length;
    if (check->count == 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the prompt is empty: no token to compare on");
    check->ids = loam_calloc((size_t)check->count, sizeof *check->ids, error);
    if (check->ids == NULL) return LOAM_ERROR_MEMORY;
    memcpy(check->ids, prompt->ids, (size_t)check->count * sizeof *check->ids);
    return LOAM_OK;
}

enum loam_status loam_merge_check_open(struct loam_merge_check *check,
                                       const struct loam_session_options *options, const char *prompt,
                                       struct loam_error *error)
{
    *check = (struct loam_merge_check){0};
    struct loam_session session;
    LOAM_TRY(loam_session_open(&session, options, error));
    struct loam_session_prompt encoded = {0};
    enum loam_status status = loam_bytes_append_text(&encoded.rendered.text, prompt, error);
    if (status == LOAM_OK) status = loam_session_prompt_encode(&session, &encoded, INT32_MAX, error);
    if (status == LOAM_OK) status = take_prompt(check, &session, &encoded.example, error);
    loam_session_prompt_deinit(&encoded);
    loam_session_close(&session);
    if (status != LOAM_OK) loam_merge_check_deinit(check);
    return status;
}

// ---- logits ----

static enum loam_status compute(const struct loam_merge_check *check, const struct loam_session *session,
                                const struct loam_adapter_list *adapters, float *logits,
                                struct loam_error *error)
{
    struct loam_decoder_limits limits = {.tokens = check->count,
                                         .sequences = 1,
                                         .logit_rows = check->count,
                                         .adapters = loam_adapter_list_segments(adapters)};
    struct loam_batch batch;
    struct loam_decoder *decoder = NULL;
    LOAM_TRY(loam_batch_init(&batch, check->count, 1, error));
    enum loam_status status = loam_batch_append(&batch, "check", check->ids, NULL, check->count, error);
    if (status == LOAM_OK)
        status = loam_decoder_create(&decoder, session->model, session->device, &limits, error);
    if (status == LOAM_OK) status = loam_decoder_logits(decoder, &batch, logits, error);
    loam_decoder_destroy(decoder);
    loam_batch_deinit(&batch);
    return status;
}

// The logits [count, V] of the model in options->model, with `adapters` on it.
static enum loam_status logits_of(const struct loam_merge_check *check,
                                  const struct loam_session_options *options,
                                  const struct loam_adapter_choices *adapters, float *logits,
                                  struct loam_error *error)
{
    struct loam_session session;
    struct loam_adapter_list opened = {0};
    LOAM_TRY(loam_session_open(&session, options, error));
    enum loam_status status = loam_session_load(&session, false, error);
    if (status == LOAM_OK) status = loam_session_adapters(&session, adapters, &opened, error);
    if (status == LOAM_OK) status = compute(check, &session, &opened, logits, error);
    loam_adapter_list_deinit(&opened);
    loam_session_close(&session);
    return status;
}

// ---- the comparison ----

// log of the sum of exp(logits[V]).
static double log_sum(const float *logits, int64_t vocabulary)
{
    double most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < vocabulary; i++)
        most = fmax(most, (double)logits[i]);
    for (int64_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum);
}

// KL(p || q) = sum of p (log p - log q).
void loam_merge_check_add(struct loam_merge_check *check, const float *p, const float *q)
{
    double p_sum = log_sum(p, check->vocabulary);
    double q_sum = log_sum(q, check->vocabulary);
    double divergence = 0;
    for (int64_t i = 0; i < check->vocabulary; i++) {
        double log_p = (double)p[i] - p_sum;
        double log_q = (double)q[i] - q_sum;
        double difference = fabs((double)p[i] - (double)q[i]);
        divergence += exp(log_p) * (log_p - log_q);
        // A difference that is not a number stays: nothing is larger than it.
        if (isnan(difference) || difference > check->largest) check->largest = difference;
    }
    check->divergence += divergence / check->count;
}

enum loam_status loam_merge_check_run(struct loam_merge_check *check,
                                      const struct loam_session_options *options,
                                      const struct loam_adapter_choices *adapters, const char *merged,
                                      struct loam_error *error)
{
    const struct loam_adapter_choices none = {0};
    struct loam_session_options other = *options;
    other.model = merged;
    size_t rows = (size_t)check->count;
    size_t vocabulary = (size_t)check->vocabulary;
    check->expected = loam_calloc(rows * vocabulary, sizeof *check->expected, error);
    float *logits = loam_calloc(rows * vocabulary, sizeof *logits, error);
    enum loam_status status = check->expected != NULL && logits != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) status = logits_of(check, options, adapters, check->expected, error);
    if (status == LOAM_OK) status = logits_of(check, &other, &none, logits, error);
    for (size_t i = 0; i < rows && status == LOAM_OK; i++)
        loam_merge_check_add(check, check->expected + i * vocabulary, logits + i * vocabulary);
    free(logits);
    return status;
}

void loam_merge_check_deinit(struct loam_merge_check *check)
{
    free(check->expected);
    free(check->ids);
    *check = (struct loam_merge_check){0};
}
