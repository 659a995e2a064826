#include "model/family_parts.h"

#include <math.h>

enum loam_status loam_config_fill_kinds(struct loam_config *config, const char *name, int64_t first,
                                        int64_t period, struct loam_error *error)
{
    struct loam_config_list *kinds = &config->layer_kinds;
    if (period < 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the period of the windowed layers is %lld; expected at least 1", name,
                         (long long)period);
    if (kinds->count > 0) return LOAM_OK;
    if (config->layers > LOAM_CONFIG_LIST)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: %lld layers of several kinds; at most %d are supported", name,
                         (long long)config->layers, LOAM_CONFIG_LIST);
    kinds->count = config->layers > 0 ? (int)config->layers : 0;
    for (int i = 0; i < kinds->count; i++) {
        const bool kept = i < first || (period > 0 && (i + 1) % period == 0);
        kinds->items[i] = kept ? 0 : 1;
    }
    return LOAM_OK;
}

enum loam_status loam_config_complete_qwen(struct loam_config *config, const json_t *root, const char *name,
                                           struct loam_error *error)
{
    bool windowed = false;
    int64_t first = 28;
    LOAM_TRY(loam_json_get_bool(root, name, "use_sliding_window", &windowed, error));
    LOAM_TRY(loam_json_get_int(root, name, "max_window_layers", &first, error));
    if (!windowed) config->window = 0;
    return loam_config_fill_kinds(config, name, config->window > 0 ? first : config->layers, 0, error);
}

enum loam_status loam_config_scale_gemma(struct loam_config *config, const char *name,
                                         struct loam_error *error)
{
    if (!(config->attention_factor > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"query_pre_attn_scalar\" must be positive", name);
    config->attention_factor = 1.0 / sqrt(config->attention_factor);
    config->embedding_factor = sqrt((double)config->hidden);
    return LOAM_OK;
}
