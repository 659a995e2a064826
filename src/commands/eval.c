// loam eval.
#include "commands/commands.h"
#include "commands/output.h"

static json_t *scores_json(const struct loam_answer_scores *scores)
{
    return json_pack("{s:I, s:o, s:o}", "count", (json_int_t)scores->count, "exact_match",
                     loam_json_number(scores->exact), "f1", loam_json_number(scores->f1));
}

// ROUGE-L is zero for questions whose right answer has no words, so only the others report it.
static json_t *answerable_json(const struct loam_answer_scores *scores)
{
    json_t *root = scores_json(scores);
    loam_json_put(&root, "rouge_l", loam_json_number(scores->rouge_l));
    return root;
}

static json_t *answers_json(const struct loam_evaluate_result *result)
{
    json_t *root = scores_json(&result->overall);
    loam_json_put(&root, "rouge_l", loam_json_number(result->answerable.rouge_l));
    loam_json_put(&root, "nothing_to_score", json_integer(result->unscored));
    loam_json_put(&root, "seconds", loam_json_number(result->generate_seconds));
    loam_json_put(&root, "generated_tokens", json_integer(result->generated_tokens));
    return root;
}

static json_t *choices_json(const struct loam_choice_scores *choices)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "count", (json_int_t)choices->count, "too_long",
                     (json_int_t)choices->too_long, "accuracy", loam_json_number(choices->accuracy),
                     "accuracy_normalised", loam_json_number(choices->accuracy_normalised));
}

static json_t *roles_json(const struct loam_role_losses *roles)
{
    json_t *root = json_object();
    for (int i = 0; i < LOAM_CHAT_ROLES; i++) {
        const struct loam_role_loss *item = &roles->items[i];
        if (item->count > 0)
            loam_json_put(&root, loam_chat_role_name((enum loam_chat_role)i),
                          json_pack("{s:I, s:o}", "tokens", (json_int_t)item->count, "loss",
                                    loam_json_number(item->loss)));
    }
    return root;
}

static enum loam_status report_json(const struct loam_evaluate_result *result,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const struct loam_evaluation *loss = &result->loss;
    json_t *root = json_pack("{s:o, s:o, s:I, s:I, s:I, s:o}", "eval_loss", loam_json_number(loss->loss),
                             "perplexity", loam_json_number(loss->perplexity), "examples",
                             (json_int_t)loss->examples, "tokens", (json_int_t)loss->tokens, "labels",
                             (json_int_t)loss->labels.count, "seconds", loam_json_number(loss->seconds));
    if (root != NULL && result->has_roles) loam_json_put(&root, "roles", roles_json(&result->roles));
    if (root != NULL && result->choices.count + result->choices.too_long > 0)
        loam_json_put(&root, "choices", choices_json(&result->choices));
    if (root != NULL && result->scored) loam_json_put(&root, "answers", answers_json(result));
    if (root != NULL && result->is_squad) {
        loam_json_put(&root, "squad",
                      json_pack("{s:o, s:o, s:o, s:o, s:I}", "overall", scores_json(&result->overall),
                                "answerable", answerable_json(&result->answerable), "unanswerable",
                                scores_json(&result->unanswerable), "seconds",
                                loam_json_number(result->generate_seconds), "generated_tokens",
                                (json_int_t)result->generated_tokens));
    }
    return loam_output_json(callbacks, root, JSON_INDENT(2), error);
}

static enum loam_status format_scores(struct loam_bytes *text, const char *name,
                                      const struct loam_answer_scores *scores, struct loam_error *error)
{
    if (scores->count == 0) return loam_bytes_format(text, error, "%-13s %6d questions\n", name, 0);
    return loam_bytes_format(text, error, "%-13s %6lld questions  exact match %6.2f %%  F1 %6.2f %%\n", name,
                             (long long)scores->count, scores->exact, scores->f1);
}

static enum loam_status format_squad(struct loam_bytes *text, const struct loam_evaluate_result *result,
                                     struct loam_error *error)
{
    LOAM_TRY(format_scores(text, "overall", &result->overall, error));
    LOAM_TRY(format_scores(text, "answerable", &result->answerable, error));
    if (result->answerable.count > 0)
        LOAM_TRY(loam_bytes_format(text, error, "%-13s ROUGE-L %6.2f %%\n", "", result->answerable.rouge_l));
    return format_scores(text, "unanswerable", &result->unanswerable, error);
}

static enum loam_status format_answers(struct loam_bytes *text, const struct loam_evaluate_result *result,
                                       struct loam_error *error)
{
    const struct loam_answer_scores *all = &result->overall;
    if (result->is_squad) LOAM_TRY(format_squad(text, result, error));
    if (!result->is_squad && all->count > 0)
        LOAM_TRY(loam_bytes_format(text, error, "%-13s %6lld records    exact match %6.2f %%  F1 %6.2f %%",
                                   "answers", (long long)all->count, all->exact, all->f1));
    if (!result->is_squad && result->answerable.count > 0)
        LOAM_TRY(loam_bytes_format(text, error, "  ROUGE-L %6.2f %%", result->answerable.rouge_l));
    if (!result->is_squad && all->count > 0) LOAM_TRY(loam_bytes_append_text(text, "\n", error));
    if (result->unscored > 0)
        LOAM_TRY(loam_bytes_format(text, error, "%-13s %6lld records without a prompt and an answer\n",
                                   "not answered", (long long)result->unscored));
    return loam_bytes_format(text, error, "generated %lld tokens in %.1f s\n",
                             (long long)result->generated_tokens, result->generate_seconds);
}

static enum loam_status format_choices(struct loam_bytes *text, const struct loam_choice_scores *choices,
                                       struct loam_error *error)
{
    if (choices->count > 0)
        LOAM_TRY(loam_bytes_format(
            text, error, "%-13s %6lld questions  accuracy %6.2f %%  by length %6.2f %%\n", "choices",
            (long long)choices->count, choices->accuracy, choices->accuracy_normalised));
    if (choices->too_long == 0) return LOAM_OK;
    return loam_bytes_format(text, error, "%-13s %6lld questions with an option beyond --max-length\n",
                             "not compared", (long long)choices->too_long);
}

static enum loam_status format_roles(struct loam_bytes *text, const struct loam_role_losses *roles,
                                     struct loam_error *error)
{
    for (int i = 0; i < LOAM_CHAT_ROLES; i++) {
        const struct loam_role_loss *item = &roles->items[i];
        if (item->count > 0)
            LOAM_TRY(loam_bytes_format(text, error, "%-13s %6lld tokens     loss %.4f\n",
                                       loam_chat_role_name((enum loam_chat_role)i), (long long)item->count,
                                       item->loss));
    }
    return LOAM_OK;
}

static enum loam_status format_result(struct loam_bytes *text, const struct loam_evaluate_result *result,
                                      struct loam_error *error)
{
    const struct loam_evaluation *loss = &result->loss;
    LOAM_TRY(loam_bytes_format(
        text, error, "loss %.4f  perplexity %.3f  (%lld examples, %lld labels, %lld tokens, %.1f s)\n",
        loss->loss, loss->perplexity, (long long)loss->examples, (long long)loss->labels.count,
        (long long)loss->tokens, loss->seconds));
    if (result->has_roles) LOAM_TRY(format_roles(text, &result->roles, error));
    LOAM_TRY(format_choices(text, &result->choices, error));
    return result->scored ? format_answers(text, result, error) : LOAM_OK;
}

enum loam_status loam_run_eval(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    const struct loam_train_settings *shared = &settings->train;
    struct loam_evaluate_settings eval = settings->eval;
    eval.model = shared->model;
    eval.adapters = settings->chosen;
    eval.data = shared->data;
    eval.map = shared->map;
    eval.device = shared->device;
    eval.threads = shared->threads;
    eval.dtype = shared->dtype;
    eval.prompt_template = shared->prompt_template;
    eval.cut = shared->cut;
    eval.chat_template = shared->chat_template;
    eval.content_may_be_special = shared->content_may_be_special;
    eval.loss_on = shared->loss_on;
    eval.too_long = shared->too_long;
    eval.max_length = shared->max_length;
    eval.skip_bad = shared->skip_bad;
    eval.token_budget = shared->token_budget;
    eval.max_new_tokens = shared->max_new_tokens;
    eval.offload = shared->offload;
    eval.device_memory_limit = shared->device_memory_limit;

    struct loam_evaluate_result result;
    LOAM_TRY(loam_evaluate_run(&eval, callbacks, &result, error));
    if (settings->json) return report_json(&result, callbacks, error);
    struct loam_bytes text = {0};
    enum loam_status status = format_result(&text, &result, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}
