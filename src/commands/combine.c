// loam combine: makes one adapter of several.
#include "lora/combine.h"
#include "commands/commands.h"
#include "commands/output.h"

// By enum loam_combination.
static const char *const names[] = {"svd", "linear", "cat"};

static enum loam_status report(const struct loam_settings *settings, const struct loam_combine_result *result,
                               const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const char *out = settings->train.out, *type = names[result->combination];
    if (settings->json) {
        json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:I}", "out", out, "combination_type", type, "r",
                                 (json_int_t)result->rank, "modules", (json_int_t)result->modules,
                                 "parameters", (json_int_t)result->parameters);
        return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    }
    char number[LOAM_GROUPED_SIZE];
    struct loam_bytes text = {0};
    enum loam_status status =
        loam_bytes_format(&text, error, "%s: %zu adapter%s by %s, %zu modules of rank %lld, %s parameters\n",
                          out, settings->chosen.count, settings->chosen.count == 1 ? "" : "s", type,
                          result->modules, (long long)result->rank, loam_grouped(result->parameters, number));
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_combine(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const struct loam_combine_settings combine = {.adapters = settings->chosen,
                                                  .combination =
                                                      (enum loam_combination)settings->combine.type,
                                                  .rank = settings->combine.rank,
                                                  .out = settings->train.out,
                                                  .overwrite = settings->train.overwrite,
                                                  .callbacks = callbacks};
    struct loam_combine_result result = {0};
    LOAM_TRY(loam_combine(&combine, &result, error));
    return report(settings, &result, callbacks, error);
}
