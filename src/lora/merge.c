#include "lora/merge.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "chat/source.h"
#include "io/atomic.h"
#include "io/safetensors.h"
#include "io/shards.h"
#include "lora/merge_sum.h"
#include "model/config_text.h"
#include "model/files.h"

static enum loam_status check_out(const struct loam_merge_settings *settings, struct loam_error *error)
{
    for (size_t i = 0; i <= settings->adapters.count; i++) {
        const bool model = i == settings->adapters.count;
        const char *other = model ? settings->model : settings->adapters.items[i].directory;
        if (!loam_directory_same(settings->out, other)) continue;
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--out %s is the %s's own directory, which must stay as it is; choose another",
                         settings->out, model ? "model" : "adapter");
    }
    // Readers of the directory would apply that adapter to the merged model.
    char *marker = loam_path_join(settings->out, "adapter_config.json", error);
    if (marker == NULL) return LOAM_ERROR_MEMORY;
    bool there = loam_file_exists(marker);
    free(marker);
    if (!there) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_EXISTS,
        "--out %s holds an adapter (adapter_config.json), and a merge makes a model; choose another",
        settings->out);
}

static enum loam_status write_shard(struct loam_merge_state *merge, size_t shard, struct loam_error *error)
{
    size_t count = 0;
    char name[LOAM_SHARD_NAME_SIZE];
    loam_shard_name(shard, merge->shards, name);
    for (size_t i = 0; i < merge->model->parameter_count; i++) {
        if (merge->shard_of[i] != shard) continue;
        merge->of_shard[count] = merge->tensors[i];
        merge->parameter_of[count++] = i;
    }
    char *path = loam_path_join(merge->staging.directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_write_source source = {.fill = loam_merge_fill_block, .user = merge};
    enum loam_status status = loam_safetensors_write_from(path, merge->of_shard, count, &source, error);
    free(path);
    return status;
}

// Copies the chat template of the first adapter that was trained with another than the model's.
static enum loam_status copy_chat(struct loam_merge_state *merge, const char *directory,
                                  struct loam_error *error)
{
    const struct loam_adapter_choices *adapters = &merge->settings->adapters;
    char *from = NULL;
    for (size_t i = 0; i < adapters->count && from == NULL; i++)
        LOAM_TRY(
            loam_chat_source_of_adapter(merge->settings->model, adapters->items[i].directory, &from, error));
    merge->has_other_chat = from != NULL;
    if (from == NULL) return LOAM_OK;
    char *to = loam_path_join(directory, loam_chat_source_file, error);
    const enum loam_status status = to == NULL ? LOAM_ERROR_MEMORY : loam_atomic_copy_file(from, to, error);
    free(to);
    free(from);
    return status;
}

static enum loam_status write_files(struct loam_merge_state *merge, struct loam_merge_result *result,
                                    struct loam_error *error)
{
    const char *directory = merge->staging.directory;
    LOAM_TRY(loam_model_copy_files(merge->settings->model, directory, true, error));
    LOAM_TRY(loam_model_copy_templates(merge->settings->model, directory, error));
    LOAM_TRY(copy_chat(merge, directory, error));
    LOAM_TRY(loam_config_rewrite(directory, &merge->model->config, merge->settings->dtype, error));
    for (size_t shard = 0; shard < merge->shards; shard++)
        LOAM_TRY(write_shard(merge, shard, error));
    if (merge->shards == 1) return LOAM_OK;
    return loam_shards_write_index(directory, merge->tensors, merge->shard_of, merge->model->parameter_count,
                                   merge->shards, result->bytes, result->parameters, error);
}

static void count_all(const struct loam_merge_state *merge, struct loam_merge_result *result)
{
    *result = (struct loam_merge_result){.tensors = merge->model->parameter_count,
                                         .files = merge->shards,
                                         .parameters = loam_model_parameter_total(merge->model)};
    for (size_t i = 0; i < merge->model->parameter_count; i++) {
        result->bytes += merge->bytes[i];
        const bool merged = merge->merged[i] != NULL || merge->has_tokens[i] || merge->replaced[i] != NULL;
        result->merged += merged;
    }
}

static enum loam_status run_merge(struct loam_merge_state *merge, struct loam_merge_result *result,
                                  struct loam_error *error)
{
    LOAM_TRY(check_out(merge->settings, error));
    LOAM_TRY(loam_model_check_files(merge->settings->model, true, error));
    LOAM_TRY(loam_merge_state_init(merge, merge->settings, error));
    count_all(merge, result);
    merge->total = (int64_t)result->bytes;
    LOAM_TRY(loam_staging_open(&merge->staging, merge->settings->out, merge->settings->overwrite,
                               loam_merge_log(merge->settings), error));
    enum loam_status status = write_files(merge, result, error);
    if (status == LOAM_OK) status = loam_staging_commit(&merge->staging, "config.json", error);
    if (status == LOAM_OK) {
        loam_model_warn_of_old_files(merge->settings->model, merge->settings->out, true,
                                     merge->has_other_chat ? loam_chat_source_file : NULL,
                                     loam_merge_log(merge->settings));
        status = loam_shards_remove_old(merge->settings->out, merge->shards, error);
    }
    loam_staging_close(&merge->staging);
    return status;
}

enum loam_status loam_merge(const struct loam_merge_settings *settings, struct loam_merge_result *result,
                            struct loam_error *error)
{
    struct loam_merge_state merge = {.settings = settings};
    enum loam_status status = run_merge(&merge, result, error);
    loam_merge_state_deinit(&merge);
    return status;
}
