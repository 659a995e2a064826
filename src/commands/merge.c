// loam merge: adds an adapter into its base model and writes the model.
#include "lora/merge.h"
#include "commands/commands.h"
#include "commands/merge_check.h"
#include "commands/output.h"
#include "options/size.h"

static enum loam_status report_json(const struct loam_settings *settings,
                                    const struct loam_merge_result *result,
                                    const struct loam_merge_check *check,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "out", settings->train.out, "parameters",
                             (json_int_t)result->parameters, "tensors", (json_int_t)result->tensors, "merged",
                             (json_int_t)result->merged, "files", (json_int_t)result->files, "bytes",
                             (json_int_t)result->bytes);
    if (root != NULL && settings->merge.check)
        loam_json_put(&root, "check",
                      json_pack("{s:i, s:o, s:o}", "tokens", check->count, "max_logit_difference",
                                loam_json_number(check->largest), "kl_divergence",
                                loam_json_number(check->divergence)));
    return loam_output_json(callbacks, root, JSON_INDENT(2), error);
}

static enum loam_status format_report(struct loam_bytes *text, const struct loam_settings *settings,
                                      const struct loam_merge_result *result,
                                      const struct loam_merge_check *check, struct loam_error *error)
{
    char bytes[LOAM_GROUPED_SIZE];
    LOAM_TRY(loam_bytes_format(text, error, "%s: %zu of %zu tensors merged, %s bytes in %zu file%s\n",
                               settings->train.out, result->merged, result->tensors,
                               loam_grouped((int64_t)result->bytes, bytes), result->files,
                               result->files == 1 ? "" : "s"));
    if (!settings->merge.check) return LOAM_OK;
    return loam_bytes_format(text, error,
                             "against base and adapter, over %d tokens: largest logit difference %.2e, KL "
                             "divergence %.2e\n",
                             check->count, check->largest, check->divergence);
}

static enum loam_status report(const struct loam_settings *settings, const struct loam_merge_result *result,
                               const struct loam_merge_check *check, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    if (settings->json) return report_json(settings, result, check, callbacks, error);
    struct loam_bytes text = {0};
    enum loam_status status = format_report(&text, settings, result, check, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status open_check(struct loam_merge_check *check, const struct loam_settings *settings,
                                   const struct loam_session_options *options, struct loam_error *error)
{
    if (!settings->merge.check) return LOAM_OK;
    enum loam_status status = loam_merge_check_open(check, options, settings->merge.prompt, error);
    if (status != LOAM_OK) (void)loam_fail_prefix(error, "the check, which --no-check skips");
    return status;
}

enum loam_status loam_run_merge(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error)
{
    const struct loam_train_settings *shared = &settings->train;
    struct loam_merge_settings merge = {.model = shared->model,
                                        .adapters = settings->chosen,
                                        .out = shared->out,
                                        .dtype = shared->dtype,
                                        .overwrite = shared->overwrite,
                                        .callbacks = callbacks};
    // The merge has already logged the notices about the model.
    struct loam_callbacks quiet = *callbacks;
    quiet.log = (struct loam_log){0};
    // The check measures the rounding of the merge, so it computes in f32. It streams the weights, since a
    // merge needs memory for one tensor at a time only.
    struct loam_session_options options = {.model = shared->model,
                                           .device = shared->device,
                                           .threads = shared->threads,
                                           .dtype = LOAM_F32,
                                           .batch_size = 1,
                                           .streamed = true,
                                           .callbacks = &quiet};
    LOAM_TRY(
        loam_size_parse(&merge.max_shard_bytes, "max-shard-size", settings->merge.max_shard_size, error));
    struct loam_merge_check check = {0};
    struct loam_merge_result result = {0};
    LOAM_TRY(open_check(&check, settings, &options, error));
    enum loam_status status = loam_merge(&merge, &result, error);
    if (status == LOAM_OK && settings->merge.check)
        status = loam_merge_check_run(&check, &options, &settings->chosen, shared->out, error);
    if (status == LOAM_OK) status = report(settings, &result, &check, callbacks, error);
    loam_merge_check_deinit(&check);
    return status;
}
