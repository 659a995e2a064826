// loam export: writes an adapter as a GGUF file for llama.cpp.
#include "lora/export.h"
#include "commands/commands.h"
#include "commands/output.h"

static enum loam_status report(const struct loam_settings *settings, const struct loam_export_result *result,
                               const struct loam_callbacks *callbacks, struct loam_error *error)
{
    if (settings->json) {
        json_t *root =
            json_pack("{s:s, s:I, s:I, s:s}", "gguf", settings->gguf, "modules", (json_int_t)result->modules,
                      "bytes", (json_int_t)result->bytes, "dtype", loam_dtype_name(settings->train.dtype));
        return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    }
    char bytes[LOAM_GROUPED_SIZE];
    struct loam_bytes text = {0};
    enum loam_status status = loam_bytes_format(
        &text, error, "%s: LoRA of %zu modules, %s bytes in %s\n", settings->gguf, result->modules,
        loam_grouped((int64_t)result->bytes, bytes), loam_dtype_name(settings->train.dtype));
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_export(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                 struct loam_error *error)
{
    const struct loam_export_settings export = {.model = settings->train.model,
                                                .adapter = settings->train.adapter,
                                                .path = settings->gguf,
                                                .dtype = settings->train.dtype,
                                                .overwrite = settings->train.overwrite,
                                                .callbacks = callbacks};
    struct loam_export_result result = {0};
    LOAM_TRY(loam_export_gguf(&export, &result, error));
    return report(settings, &result, callbacks, error);
}
