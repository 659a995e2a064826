// loam push: uploads a directory to a repository of the hub.
#include <string.h>

#include "commands/commands.h"
#include "commands/output.h"
#include "commands/push.h"

enum loam_status loam_push_check(const char *repository, struct loam_error *error)
{
    static const struct loam_callbacks none;
    struct loam_repo repo;
    struct loam_hub hub;
    LOAM_TRY(loam_repo_parse(&repo, repository, error));
    LOAM_TRY(loam_hub_open(&hub, &none, error));
    enum loam_status status = loam_hub_check_push(&hub, &repo, error);
    loam_hub_close(&hub);
    return status;
}

enum loam_status loam_push_directory(const struct loam_hub_options *options, const char *directory,
                                     const char *repository, const struct loam_callbacks *callbacks,
                                     struct loam_pushed *pushed, struct loam_error *error)
{
    struct loam_repo repo;
    struct loam_hub hub;
    struct loam_push push = {.directory = directory,
                             .message = options->message == NULL ? "Upload with loam " LOAM_VERSION
                                                                 : options->message,
                             .private_if_new = options->private_if_new};
    LOAM_TRY(loam_repo_parse(&repo, repository, error));
    LOAM_TRY(loam_hub_open(&hub, callbacks, error));
    enum loam_status status = loam_hub_push(&hub, &repo, &push, pushed, error);
    loam_hub_close(&hub);
    return status;
}

enum loam_status loam_check_push(const struct loam_settings *settings, struct loam_error *error)
{
    const char *message = settings->hub.message;
    if (message != NULL && message[strspn(message, " \t\r\n")] == '\0')
        return loam_fail(error, LOAM_ERROR_USAGE, "--message is empty: a commit needs one");
    return loam_push_check(settings->hub.repository, error);
}

static enum loam_status report(const struct loam_settings *settings, const struct loam_pushed *pushed,
                               const struct loam_callbacks *callbacks, struct loam_error *error)
{
    if (settings->json)
        return loam_output_json(callbacks,
                                json_pack("{s:s, s:s, s:I}", "url", pushed->address, "commit", pushed->commit,
                                          "files", (json_int_t)pushed->files),
                                JSON_INDENT(2), error);
    struct loam_bytes text = {0};
    enum loam_status status =
        pushed->files == 0 ? loam_bytes_format(&text, error, "%s already has all files\n", pushed->address)
                           : loam_bytes_format(&text, error, "%zu file%s in %s\n", pushed->files,
                                               pushed->files == 1 ? "" : "s", pushed->address);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_run_push(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct loam_pushed pushed = {0};
    const struct loam_hub_options *hub = &settings->hub;
    enum loam_status status =
        loam_push_directory(hub, hub->directory, hub->repository, callbacks, &pushed, error);
    if (status == LOAM_OK) status = report(settings, &pushed, callbacks, error);
    loam_pushed_deinit(&pushed);
    return status;
}
