#include "options/option_texts.h"

#include "hub/repo.h"
#include "lora/target.h"
#include "options/size.h"

enum loam_status loam_option_check_targets(const char *text, struct loam_error *error)
{
    struct loam_targets targets = {0};
    LOAM_TRY(loam_targets_parse(&targets, text, error));
    loam_targets_deinit(&targets);
    return LOAM_OK;
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
