#include "commands/commands.h"

#include "commands/locate.h"
#include "commands/output.h"
#include "device/registry.h"
#include "options/run_file.h"

const char *loam_version(void)
{
    return LOAM_VERSION;
}

static enum loam_status print_config(const struct loam_options *options,
                                     const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_run_file_write(options, &text, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status write_record(void *user, const struct loam_train_resolved *resolved,
                                     struct loam_bytes *text, struct loam_error *error)
{
    return loam_run_file_write_resolved(user, resolved, text, error);
}

enum loam_status loam_run(struct loam_options *options, const struct loam_callbacks *callbacks,
                          struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(options, "the options", error));
    // What is wrong with the options themselves is said before anything is downloaded for them.
    static enum loam_status (*const checks[LOAM_COMMAND_COUNT])(const struct loam_settings *,
                                                                struct loam_error *) = {
        [LOAM_COMMAND_TRAIN] = loam_check_train,
        [LOAM_COMMAND_PUSH] = loam_check_push,
    };
    static enum loam_status (*const commands[LOAM_COMMAND_COUNT])(
        const struct loam_settings *, const struct loam_callbacks *, struct loam_error *) = {
        [LOAM_COMMAND_TRAIN] = loam_run_train,       [LOAM_COMMAND_PLAN] = loam_run_plan,
        [LOAM_COMMAND_GENERATE] = loam_run_generate, [LOAM_COMMAND_EVAL] = loam_run_eval,
        [LOAM_COMMAND_INSPECT] = loam_run_inspect,   [LOAM_COMMAND_MERGE] = loam_run_merge,
        [LOAM_COMMAND_EXPORT] = loam_run_export,     [LOAM_COMMAND_INIT] = loam_run_init,
        [LOAM_COMMAND_TOKENIZE] = loam_run_tokenize, [LOAM_COMMAND_PULL] = loam_run_pull,
        [LOAM_COMMAND_PUSH] = loam_run_push,         [LOAM_COMMAND_BENCH] = loam_run_bench,
        [LOAM_COMMAND_COMBINE] = loam_run_combine,   [LOAM_COMMAND_CONVERT] = loam_run_convert,
        [LOAM_COMMAND_CHAT] = loam_run_chat,         [LOAM_COMMAND_DATA] = loam_run_data,
        [LOAM_COMMAND_DEVICES] = loam_run_devices,
    };
    static const struct loam_callbacks none;
    if (callbacks == NULL) callbacks = &none;
    LOAM_TRY(loam_options_read_config(options, error));
    if (options->settings.print_config) return print_config(options, callbacks, error);
    LOAM_TRY(loam_options_check(options, &callbacks->log, error));
    if (options->settings.train.device != NULL)
        LOAM_TRY(loam_device_find(options->settings.train.device, error));
    if (checks[options->command] != NULL) LOAM_TRY(checks[options->command](&options->settings, error));
    struct loam_located located;
    LOAM_TRY(loam_locate(&located, options->command, &options->settings, callbacks, error));
    located.settings.train.record = write_record;
    located.settings.train.record_user = options;
    enum loam_status status = commands[options->command](&located.settings, callbacks, error);
    loam_located_deinit(&located);
    return status;
}
