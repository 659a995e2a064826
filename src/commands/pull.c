// loam pull: downloads a repository of the hub into the cache.
#include <stdlib.h>

#include "commands/commands.h"
#include "commands/output.h"
#include "hub/pull.h"

static enum loam_status report(const struct loam_settings *settings, const struct loam_repo *repo,
                               const char *directory, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    if (settings->json)
        return loam_output_json(callbacks,
                                json_pack("{s:s, s:s, s:s}", "repository", repo->id, "revision",
                                          repo->revision, "directory", directory),
                                JSON_INDENT(2), error);
    struct loam_bytes text = {0};
    enum loam_status status = loam_bytes_format(&text, error, "%s\n", directory);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_pull(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct loam_repo repo;
    struct loam_hub hub;
    struct loam_pull pull = {.kind = LOAM_PULL_EITHER,
                             .include = settings->hub.include.items,
                             .include_count = settings->hub.include.count,
                             .update = settings->hub.update};
    LOAM_TRY(loam_repo_parse(&repo, settings->hub.repository, error));
    LOAM_TRY(loam_hub_open(&hub, callbacks, error));
    char *directory = NULL;
    enum loam_status status = loam_hub_pull(&hub, &repo, &pull, &directory, error);
    loam_hub_close(&hub);
    if (status == LOAM_OK) status = report(settings, &repo, directory, callbacks, error);
    free(directory);
    return status;
}
