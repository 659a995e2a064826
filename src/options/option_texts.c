#include "options/option_texts.h"

#include <float.h>

#include "data/source.h"
#include "device/registry.h"
#include "hub/repo.h"
#include "lora/adapter_config.h"
#include "lora/adapter_list.h"
#include "options/size.h"

enum loam_status loam_option_check_adapter(const char *text, struct loam_error *error)
{
    size_t size;
    double factor;
    return loam_adapter_choice_parse(text, &size, &factor, error);
}

enum loam_status loam_option_check_device(const char *text, struct loam_error *error)
{
    return loam_device_name_check(text, error);
}

enum loam_status loam_option_check_source(const char *text, struct loam_error *error)
{
    size_t size;
    struct loam_data_share share;
    return loam_data_share_parse(text, &size, &share, error);
}

enum loam_status loam_option_check_targets(const char *text, struct loam_error *error)
{
    struct loam_targets targets = {0};
    LOAM_TRY(loam_targets_parse(&targets, text, error));
    loam_targets_deinit(&targets);
    return LOAM_OK;
}

enum loam_status loam_option_check_saved(const char *text, struct loam_error *error)
{
    struct loam_targets targets = {0};
    LOAM_TRY(loam_targets_parse_list(&targets, text, error));
    loam_targets_deinit(&targets);
    return LOAM_OK;
}

enum loam_status loam_option_check_layers(const char *text, struct loam_error *error)
{
    struct loam_layer_choice choice;
    LOAM_TRY(loam_layer_choice_parse(&choice, text, NULL, error));
    loam_layer_choice_deinit(&choice);
    return LOAM_OK;
}

enum loam_status loam_option_check_layer_names(const char *text, struct loam_error *error)
{
    struct loam_layer_choice choice;
    LOAM_TRY(loam_layer_choice_parse(&choice, "0", text, error));
    loam_layer_choice_deinit(&choice);
    return LOAM_OK;
}

static enum loam_status check_values(const char *text, const char *name, double most, bool whole,
                                     struct loam_error *error)
{
    struct loam_module_values values;
    LOAM_TRY(loam_module_values_parse(&values, text, name, most, whole, error));
    loam_module_values_deinit(&values);
    return LOAM_OK;
}

enum loam_status loam_option_check_ranks(const char *text, struct loam_error *error)
{
    return check_values(text, "--rank-pattern", LOAM_LARGEST_RANK, true, error);
}

enum loam_status loam_option_check_alphas(const char *text, struct loam_error *error)
{
    return check_values(text, "--alpha-pattern", DBL_MAX, false, error);
}

enum loam_status loam_option_check_tokens(const char *text, struct loam_error *error)
{
    struct loam_token_choice choice = {0};
    enum loam_status status = loam_token_choice_parse(&choice, text, error);
    loam_token_choice_deinit(&choice);
    return status;
}

enum loam_status loam_option_check_init(const char *text, struct loam_error *error)
{
    struct loam_lora_init_choice init;
    return loam_lora_init_parse(&init, text, error);
}

enum loam_status loam_option_check_repository(const char *text, struct loam_error *error)
{
    struct loam_repo repo;
    return loam_repo_parse(&repo, text, error);
}

enum loam_status loam_option_check_shard_size(const char *text, struct loam_error *error)
{
    size_t bytes;
    return loam_size_parse(&bytes, "max-shard-size", text, error);
}
