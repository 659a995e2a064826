// loam convert: turns an adapter from one program's form into another's.
#include "lora/convert.h"
#include "commands/commands.h"
#include "commands/output.h"

static enum loam_status report(const struct loam_settings *settings, const struct loam_convert_result *result,
                               const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const char *out = settings->train.out, *from = loam_adapter_form_name(result->from);
    const char *to = loam_adapter_form_name((enum loam_adapter_form)settings->convert_to);
    if (settings->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "out", out, "from", from, "to", to,
                                 "modules", (json_int_t)result->modules, "r", (json_int_t)result->rank,
                                 "parameters", (json_int_t)result->parameters);
        return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    }
    char number[LOAM_GROUPED_SIZE];
    struct loam_bytes text = {0};
    enum loam_status status =
        loam_bytes_format(&text, error, "%s: an adapter of %s from one of %s, %zu modules, %s parameters\n",
                          out, to, from, result->modules, loam_grouped(result->parameters, number));
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_convert(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const struct loam_train_settings *train = &settings->train;
    const struct loam_convert_settings convert = {.model = train->model,
                                                  .base_model = train->model_name != NULL ? train->model_name
                                                                                          : train->model,
                                                  .revision = train->model_revision,
                                                  .path = settings->path,
                                                  .to = (enum loam_adapter_form)settings->convert_to,
                                                  .out = train->out,
                                                  .overwrite = train->overwrite,
                                                  .callbacks = callbacks};
    struct loam_convert_result result = {0};
    LOAM_TRY(loam_adapter_convert(&convert, &result, error));
    return report(settings, &result, callbacks, error);
}
