// The commands: one function and one file each. Call after the options are read and checked.
#ifndef LOAM_COMMANDS_COMMANDS_H
#define LOAM_COMMANDS_COMMANDS_H

#include "options/settings.h"

enum loam_status loam_run_train(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error);
enum loam_status loam_run_plan(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_generate(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_run_chat(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_eval(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_merge(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error);
enum loam_status loam_run_inspect(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_run_init(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_tokenize(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_run_data(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_devices(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error);

// Checks of settings before models are located and anything is computed.
enum loam_status loam_check_train(const struct loam_settings *settings, struct loam_error *error);
enum loam_status loam_check_push(const struct loam_settings *settings, struct loam_error *error);
enum loam_status loam_run_push(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_pull(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
enum loam_status loam_run_bench(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                struct loam_error *error);
enum loam_status loam_run_combine(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_run_convert(const struct loam_settings *settings,
                                  const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_run_export(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                                 struct loam_error *error);

#endif
