// loam inspect. A directory with adapter_config.json is an adapter, any other a model; --families shows what is built.
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/inspect.h"

enum loam_status loam_run_inspect(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error)
{
    if (settings->families) return loam_inspect_families(settings, callbacks, error);
    if (settings->path == NULL)
        return loam_fail(error, LOAM_ERROR_USAGE,
                         "loam inspect needs PATH, a model or an adapter, or --families for what is built");
    if (!loam_directory_exists(settings->path) && !loam_file_exists(settings->path))
        return loam_fail(error, LOAM_ERROR_IO, "%s: no such file or directory", settings->path);
    char *adapter_config = loam_path_join(settings->path, "adapter_config.json", error);
    if (adapter_config == NULL) return error->status;
    bool is_adapter = loam_file_exists(adapter_config);
    free(adapter_config);
    if (is_adapter && settings->with_lora)
        loam_log_write(&callbacks->log, LOAM_LOG_WARNING,
                       "%s is an adapter: --lora-r, --target-modules and the like have no effect",
                       settings->path);
    return (is_adapter ? loam_inspect_adapter : loam_inspect_model)(settings, callbacks, error);
}
