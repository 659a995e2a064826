// loam plan: reports the planned memory of a training run.
#include "run/plan.h"

#include "bench/lengths.h"
#include "commands/commands.h"
#include "commands/output.h"

struct planned {
    struct loam_plan plan;
    struct loam_plan_limit limit;
    bool fits;
    struct loam_plan_advice advice; // set if it does not fit
};

static const char *const level_names[] = {
    [LOAM_CHECKPOINT_NONE] = "none", [LOAM_CHECKPOINT_MLP] = "mlp", [LOAM_CHECKPOINT_BLOCK] = "block"};

static enum loam_status make_plan(const struct loam_train_settings *settings, size_t given,
                                  struct planned *planned, struct loam_error *error)
{
    size_t process, examples;
    LOAM_TRY(loam_plan_process(settings, &process, &examples, error));
    if (given > 0) examples = given;
    LOAM_TRY(loam_plan_make(&planned->plan, settings, process, examples, error));
    planned->limit = loam_plan_limit(settings, &planned->plan);
    planned->fits = planned->plan.peak <= planned->limit.bytes;
    if (planned->fits) return LOAM_OK;
    return loam_plan_advise(&planned->advice, settings, process, examples, planned->limit.bytes, error);
}

// Makes the plan. With --lengths, made-up examples as in `loam bench` give the settings that depend on
// examples.
static enum loam_status make_plan_for(const struct loam_settings *settings, struct planned *planned,
                                      struct loam_error *error)
{
    enum { DEFAULT_BATCH = 8 }; // the default of loam train
    struct loam_train_settings train = settings->train;
    struct loam_bench_lengths lengths = {0};
    const char *text = settings->bench.lengths;
    enum loam_status status = text != NULL ? loam_bench_lengths_open(&lengths, text, &train, error) : LOAM_OK;
    if (train.batch_size == 0) train.batch_size = DEFAULT_BATCH;
    if (status == LOAM_OK) status = make_plan(&train, lengths.count, planned, error);
    loam_bench_lengths_deinit(&lengths);
    return status;
}

// One part of the peak, for both outputs.
struct part {
    const char *key;
    const char *text;
    size_t bytes;
};
enum { PARTS = 8 };

static void list_parts(const struct loam_plan *plan, struct part parts[PARTS])
{
    const struct part all[PARTS] = {
        {"weights_mapped_bytes", "weights, used in their file", plan->weights_mapped},
        {"weights_converted_bytes", "weights, converted", plan->weights_converted},
        {"trained_bytes", plan->full ? "f32 masters of the weights" : "LoRA matrices", plan->trained},
        {"gradients_bytes", "gradients", plan->gradients},
        {"optimiser_bytes", "optimiser", plan->optimiser},
        {"activations_bytes", "activations", plan->activations},
        {"scratch_bytes", "scratch of the operations", plan->scratch},
        {"process_bytes", "program, tokenizer, examples", plan->process},
    };
    for (int i = 0; i < PARTS; i++)
        parts[i] = all[i];
}

// ---- JSON ----

static enum loam_status report_json(const struct planned *planned, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    const struct loam_plan *plan = &planned->plan;
    const struct loam_plan_advice *advice = &planned->advice;
    struct part parts[PARTS];
    list_parts(plan, parts);
    json_t *root = json_pack("{s:I, s:b, s:s}", "peak_bytes", (json_int_t)plan->peak, "fits", planned->fits,
                             "limited_by", planned->limit.by);
    if (root == NULL) return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    loam_json_put(&root, "limit_bytes",
                  planned->limit.bytes == SIZE_MAX ? json_null()
                                                   : json_integer((json_int_t)planned->limit.bytes));
    for (int i = 0; i < PARTS; i++)
        loam_json_put(&root, parts[i].key, json_integer((json_int_t)parts[i].bytes));
    loam_json_put(&root, "max_length", json_integer(plan->max_length));
    loam_json_put(&root, "token_budget", json_integer(plan->token_budget));
    loam_json_put(&root, "dtype", json_string(loam_dtype_name(plan->dtype)));
    loam_json_put(&root, "gradient_checkpointing", json_string(level_names[plan->checkpointing]));
    loam_json_put(&root, "advice", advice->found ? json_string(advice->options) : json_null());
    loam_json_put(&root, "advice_peak_bytes",
                  advice->found ? json_integer((json_int_t)advice->plan.peak) : json_null());
    return loam_output_json(callbacks, root, JSON_INDENT(2), error);
}

// ---- Text ----

static const char *format_mebibytes(size_t bytes, char text[LOAM_GROUPED_SIZE])
{
    return loam_grouped((int64_t)((bytes + (1 << 19)) >> 20), text);
}

static enum loam_status format_verdict(struct loam_bytes *text, const struct planned *planned,
                                       struct loam_error *error)
{
    const struct loam_plan_advice *advice = &planned->advice;
    char limit[LOAM_GROUPED_SIZE], other[LOAM_GROUPED_SIZE];
    if (planned->limit.bytes == SIZE_MAX)
        return loam_bytes_append_text(text, "No limit is known or set.\n", error);
    format_mebibytes(planned->limit.bytes, limit);
    format_mebibytes(advice->plan.peak, other);
    if (planned->fits)
        return loam_bytes_format(text, error, "It fits: %s allows %s MiB.\n", planned->limit.by, limit);
    LOAM_TRY(
        loam_bytes_format(text, error, "It does not fit: %s allows %s MiB.\n", planned->limit.by, limit));
    if (advice->found)
        return loam_bytes_format(text, error, "With %s it takes %s MiB and fits.\n", advice->options, other);
    if (advice->options[0] == '\0')
        return loam_bytes_append_text(text, "No option makes the plan smaller.\n", error);
    return loam_bytes_format(text, error, "No option makes it fit; %s brings it down to %s MiB.\n",
                             advice->options, other);
}

static enum loam_status format_plan(struct loam_bytes *text, const struct planned *planned,
                                    struct loam_error *error)
{
    const struct loam_plan *plan = &planned->plan;
    struct part parts[PARTS];
    char number[LOAM_GROUPED_SIZE];
    list_parts(plan, parts);
    LOAM_TRY(loam_bytes_format(text, error, "In %s, up to %d tokens at once, gradient checkpointing %s:\n\n",
                               loam_dtype_name(plan->dtype), plan->token_budget,
                               level_names[plan->checkpointing]));
    for (int i = 0; i < PARTS; i++)
        LOAM_TRY(loam_bytes_format(text, error, "  %-30s %9s MiB\n", parts[i].text,
                                   format_mebibytes(parts[i].bytes, number)));
    LOAM_TRY(loam_bytes_format(text, error, "  %-30s %9s MiB\n\n", "at the peak",
                               format_mebibytes(plan->peak, number)));
    return format_verdict(text, planned, error);
}

static enum loam_status report_text(const struct planned *planned, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = format_plan(&text, planned, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_plan(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct planned planned = {0};
    LOAM_TRY(make_plan_for(settings, &planned, error));
    return (settings->json ? report_json : report_text)(&planned, callbacks, error);
}
