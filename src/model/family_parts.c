#include "model/family_parts.h"

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
