// loam init: writes a randomly initialised checkpoint from a config.json.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "commands/commands.h"
#include "commands/output.h"
#include "io/atomic.h"
#include "io/shards.h"
#include "io/staging.h"
#include "model/config_text.h"
#include "model/model.h"

// The directory of a path; "." if the path has none. Release it with free().
static char *find_directory(const char *path, struct loam_error *error)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return loam_strdup(".", error);
    return loam_strndup(path, slash == path ? 1 : (size_t)(slash - path), error);
}

// Copies the file `name` in the directory of `path` to out/name, if it exists.
static enum loam_status copy_beside(const char *path, const char *name, const char *out,
                                    struct loam_error *error)
{
    char *directory = find_directory(path, error);
    char *from = directory == NULL ? NULL : loam_path_join(directory, name, error);
    char *to = from == NULL ? NULL : loam_path_join(out, name, error);
    enum loam_status status = to == NULL ? error->status : loam_file_check_inside(directory, name, error);
    if (status == LOAM_OK && loam_file_exists(from)) status = loam_atomic_copy_file(from, to, error);
    free(to);
    free(from);
    free(directory);
    return status;
}

static enum loam_status copy_to(const char *path, const char *out, const char *name, struct loam_error *error)
{
    char *to = loam_path_join(out, name, error);
    if (to == NULL) return error->status;
    enum loam_status status = loam_atomic_copy_file(path, to, error);
    free(to);
    return status;
}

// Checks that the tokenizer can be read and that its ids are rows of the model's embedding.
static enum loam_status check_tokenizer(const char *path, const struct loam_config *config,
                                        struct loam_error *error)
{
    struct loam_tokenizer *tokenizer;
    LOAM_TRY(loam_tokenizer_load(&tokenizer, path, error));
    int32_t size = loam_tokenizer_vocabulary_size(tokenizer);
    loam_tokenizer_destroy(tokenizer);
    if (size <= config->vocabulary) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s has ids up to %d, but the config's vocab_size is %lld: set it to %d or more", path,
                     size - 1, (long long)config->vocabulary, size);
}

static enum loam_status copy_tokenizer(const char *path, const char *out, struct loam_error *error)
{
    static const char *const beside[] = {"tokenizer_config.json", "special_tokens_map.json"};
    LOAM_TRY(copy_to(path, out, "tokenizer.json", error));
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        LOAM_TRY(copy_beside(path, beside[i], out, error));
    return LOAM_OK;
}

static enum loam_status report(const struct loam_settings *settings, const struct loam_model *model,
                               const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const char *out = settings->train.out, *dtype = loam_dtype_name(settings->train.dtype);
    const char *family = model->config.family->model_type;
    int64_t parameters = loam_model_parameter_total(model);
    if (settings->json) {
        json_t *root =
            json_pack("{s:s, s:s, s:I, s:s, s:I}", "out", out, "model_type", family, "parameters",
                      (json_int_t)parameters, "dtype", dtype, "seed", (json_int_t)settings->train.seed);
        return loam_output_json(callbacks, root, JSON_INDENT(2), error);
    }
    char number[LOAM_GROUPED_SIZE];
    struct loam_bytes text = {0};
    enum loam_status status = loam_bytes_format(
        &text, error, "%s: a random %s model of %s parameters in %s, seed %llu\n", out, family,
        loam_grouped(parameters, number), dtype, (unsigned long long)settings->train.seed);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status write_all(const struct loam_settings *settings, const struct loam_model *model,
                                  const char *directory, const struct loam_callbacks *callbacks,
                                  struct loam_error *error)
{
    LOAM_TRY(copy_to(settings->config, directory, "config.json", error));
    LOAM_TRY(loam_config_rewrite(directory, &model->config, settings->train.dtype, error));
    if (settings->tokenizer != NULL) LOAM_TRY(copy_tokenizer(settings->tokenizer, directory, error));
    return loam_model_init_checkpoint(model, settings->train.seed, settings->train.dtype, directory,
                                      callbacks, error);
}

static enum loam_status write_model(const struct loam_settings *settings, const struct loam_model *model,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct loam_staging staging;
    LOAM_TRY(
        loam_staging_open(&staging, settings->train.out, settings->train.overwrite, &callbacks->log, error));
    enum loam_status status = write_all(settings, model, staging.directory, callbacks, error);
    if (status == LOAM_OK) status = loam_staging_commit(&staging, "config.json", error);
    if (status == LOAM_OK) status = loam_shards_remove_old(settings->train.out, 1, error);
    loam_staging_close(&staging);
    return status;
}

enum loam_status loam_run_init(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct loam_config config;
    LOAM_TRY(loam_config_load(&config, settings->config, error));
    loam_config_log(&config, &callbacks->log);
    if (settings->tokenizer != NULL) LOAM_TRY(check_tokenizer(settings->tokenizer, &config, error));
    struct loam_model *model;
    LOAM_TRY(loam_model_create(&model, &config, error));
    enum loam_status status = write_model(settings, model, callbacks, error);
    if (status == LOAM_OK) status = report(settings, model, callbacks, error);
    loam_model_destroy(model);
    return status;
}
