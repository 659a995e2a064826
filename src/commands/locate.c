#include "commands/locate.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "commands/model_path.h"
#include "hub/meter.h"
#include "hub/pull.h"
#include "lora/adapter_config.h"

// A larger model that only the adapter names is not downloaded without asking.
enum { ASK_BYTES = 1000 * 1000 * 1000 };

struct locate_job {
    struct loam_located *located;
    const struct loam_callbacks *callbacks;
    const char *option;    // before an adapter in messages
    const char *base_name; // the model, if only the adapter names it; NULL: the user named it
};

// Whether a name is a repository on the hub. A name of an existing file or directory is not.
static bool is_for_hub(const char *name, struct loam_repo *repo)
{
    struct loam_error ignored;
    return !loam_directory_exists(name) && !loam_file_exists(name) &&
           loam_repo_parse(repo, name, &ignored) == LOAM_OK;
}

static enum loam_status allow_download(void *user, int64_t bytes, struct loam_error *error)
{
    const struct locate_job *job = user;
    const struct loam_callbacks *callbacks = job->callbacks;
    char amount[LOAM_AMOUNT_SIZE];
    if (job->base_name == NULL || bytes <= ASK_BYTES || job->located->settings.hub.yes) return LOAM_OK;
    char *question = loam_format(error, "The adapter needs the model %s: download %s?", job->base_name,
                                 loam_amount_format(bytes, amount));
    if (question == NULL) return LOAM_ERROR_MEMORY;
    bool yes = callbacks->confirm != NULL && callbacks->confirm(callbacks->user, question);
    free(question);
    if (yes) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_STOPPED,
                     "the adapter needs the model %s, %s to download: pass --yes to allow it, or --model",
                     job->base_name, loam_amount_format(bytes, amount));
}

static enum loam_status pull_repository(struct locate_job *job, const struct loam_repo *repo,
                                        enum loam_pull_kind kind, char **directory, struct loam_error *error)
{
    struct loam_hub hub;
    struct loam_pull wanted = {.kind = kind, .allow = allow_download, .user = job};
    LOAM_TRY(loam_hub_open(&hub, job->callbacks, error));
    enum loam_status status = loam_hub_pull(&hub, repo, &wanted, directory, error);
    loam_hub_close(&hub);
    return status;
}

// The current directory, for messages.
static const char *find_working_directory(char path[PATH_MAX])
{
    return getcwd(path, PATH_MAX) != NULL ? path : "the working directory";
}

// Reports a name that is neither a directory here nor a repository on the hub.
static enum loam_status fail_on_hub(const struct locate_job *job, const char *name, struct loam_error *error)
{
    char here[PATH_MAX];
    if (error->status == LOAM_ERROR_STOPPED) return error->status;
    if (job->base_name == NULL)
        return loam_fail_prefix(error, "there is no directory %s, so it is looked for on the hub", name);
    return loam_fail_prefix(
        error,
        "the adapter is for the model \"%s\" (--model names another); there is no directory "
        "of this name in %s, so it is looked for on the hub",
        job->base_name, find_working_directory(here));
}

// If `*setting` is a name on the hub, replaces it with a directory, which `*directory` then owns.
static enum loam_status locate_setting(struct locate_job *job, const char **setting, enum loam_pull_kind kind,
                                       char **directory, struct loam_error *error)
{
    struct loam_repo repo;
    if (*setting == NULL || !is_for_hub(*setting, &repo)) return LOAM_OK;
    if (pull_repository(job, &repo, kind, directory, error) != LOAM_OK)
        return fail_on_hub(job, *setting, error);
    *setting = *directory;
    return LOAM_OK;
}

static enum loam_status locate_model(struct locate_job *job, enum loam_pull_kind kind,
                                     struct loam_error *error)
{
    struct loam_located *located = job->located;
    struct loam_train_settings *train = &located->settings.train;
    struct loam_repo repo;
    if (is_for_hub(train->model, &repo)) {
        located->model_name = loam_strdup(repo.id, error);
        if (located->model_name == NULL) return LOAM_ERROR_MEMORY;
        train->model_name = located->model_name;
        if (strcmp(repo.revision, "main") != 0) {
            located->model_revision = loam_strdup(repo.revision, error);
            if (located->model_revision == NULL) return LOAM_ERROR_MEMORY;
            train->model_revision = located->model_revision;
        }
    }
    return locate_setting(job, &train->model, kind, &located->model, error);
}

static enum loam_status find_base_on_hub(const struct loam_adapter_config *config, const char *directory,
                                         char **name, struct loam_error *error)
{
    struct loam_repo repo;
    char here[PATH_MAX];
    *name = config->revision == NULL ? loam_strdup(config->base_model, error)
                                     : loam_format(error, "%s@%s", config->base_model, config->revision);
    if (*name == NULL) return LOAM_ERROR_MEMORY;
    if (is_for_hub(*name, &repo)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "the adapter %s is for the model \"%s\", which is no directory%s%s; name it with --model", directory,
        *name, (*name)[0] == '/' ? "" : " as seen from ",
        (*name)[0] == '/' ? "" : find_working_directory(here));
}

// Finds the directory of an adapter that may have a factor, and adds it to those that are chosen.
static enum loam_status locate_choice(struct locate_job *job, const char *text, struct loam_error *error)
{
    struct loam_adapter_choice choice = {0};
    size_t size;
    LOAM_TRY(loam_adapter_choice_parse(text, &size, &choice.factor, error));
    char *name = loam_strndup(text, size, error), *directory = NULL;
    if (name == NULL) return LOAM_ERROR_MEMORY;
    choice.directory = name;
    enum loam_status status = loam_adapter_path_check(job->option, name, error);
    if (status == LOAM_OK)
        status = locate_setting(job, &choice.directory, LOAM_PULL_ADAPTER, &directory, error);
    if (status != LOAM_OK || directory != NULL) free(name);
    if (status == LOAM_OK) job->located->chosen[job->located->chosen_count++] = choice;
    return status;
}

static enum loam_status locate_choices(struct locate_job *job, struct loam_error *error)
{
    struct loam_located *located = job->located;
    struct loam_settings *settings = &located->settings;
    located->chosen = loam_calloc(settings->adapters.count, sizeof *located->chosen, error);
    if (located->chosen == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < settings->adapters.count; i++)
        LOAM_TRY(locate_choice(job, settings->adapters.items[i], error));
    settings->chosen = (struct loam_adapter_choices){located->chosen, located->chosen_count};
    return LOAM_OK;
}

// Finds the model that the adapter in `directory` was made for. Release `*name` with free(), also on failure.
static enum loam_status find_base(const char *directory, char **name, struct loam_error *error)
{
    struct loam_adapter_config config = {0};
    LOAM_TRY(loam_adapter_config_load(&config, directory, error));
    enum loam_status status = LOAM_OK;
    if (config.base_model == NULL)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "the adapter %s does not name its model; name it with --model", directory);
    else if (!loam_directory_exists(config.base_model))
        status = find_base_on_hub(&config, directory, name, error);
    else if ((*name = loam_strdup(config.base_model, error)) == NULL)
        status = LOAM_ERROR_MEMORY;
    loam_adapter_config_deinit(&config);
    return status;
}

// Warns if an adapter names another model than `name`, which the first one, `first`, was made for.
static enum loam_status compare_base(const struct locate_job *job, const char *directory, const char *first,
                                     const char *name, struct loam_error *error)
{
    struct loam_adapter_config config = {0};
    LOAM_TRY(loam_adapter_config_load(&config, directory, error));
    const size_t size = config.base_model == NULL ? 0 : strlen(config.base_model);
    const bool same =
        size > 0 && strncmp(name, config.base_model, size) == 0 && (name[size] == '\0' || name[size] == '@');
    if (!same)
        loam_log_write(
            &job->callbacks->log, LOAM_LOG_WARNING,
            "the adapter %s is for the model \"%s\", and %s for \"%s\", which is used (--model names "
            "another)",
            directory, size == 0 ? "(not named)" : config.base_model, first, name);
    loam_adapter_config_deinit(&config);
    return LOAM_OK;
}

static enum loam_status locate_base(struct locate_job *job, enum loam_pull_kind kind,
                                    struct loam_error *error)
{
    char *name = NULL;
    struct loam_train_settings *train = &job->located->settings.train;
    const struct loam_adapter_choices *chosen = &job->located->settings.chosen;
    const char *adapter = chosen->count > 0 ? chosen->items[0].directory : train->adapter;
    if (adapter == NULL)
        return loam_fail(error, LOAM_ERROR_USAGE,
                         "--model DIR|NAME is needed, or an --adapter that names its model");
    enum loam_status status = find_base(adapter, &name, error);
    for (size_t i = 1; i < chosen->count && status == LOAM_OK; i++)
        status = compare_base(job, chosen->items[i].directory, adapter, name, error);
    if (status != LOAM_OK) {
        free(name);
        return status;
    }
    job->base_name = name;
    train->model = name;
    status = locate_model(job, kind, error);
    // Without a directory of the cache, the name itself is a directory.
    if (job->located->model == NULL)
        job->located->model = name;
    else
        free(name);
    return status;
}

// The files that a command reads of its model. A plan and a look at data are made before weights are
// downloaded; an export needs only the names of tensors.
static enum loam_pull_kind choose_kind(enum loam_command command)
{
    if (command == LOAM_COMMAND_TOKENIZE) return LOAM_PULL_TOKENIZER;
    bool weightless = command == LOAM_COMMAND_PLAN || command == LOAM_COMMAND_EXPORT ||
                      command == LOAM_COMMAND_CONVERT || command == LOAM_COMMAND_DATA;
    return weightless ? LOAM_PULL_OUTLINE : LOAM_PULL_MODEL;
}

// Whether the command uses the adapter's model if --model is not given.
static bool may_use_base_of_adapter(enum loam_command command)
{
    return command == LOAM_COMMAND_GENERATE || command == LOAM_COMMAND_CHAT || command == LOAM_COMMAND_EVAL ||
           command == LOAM_COMMAND_MERGE || command == LOAM_COMMAND_EXPORT;
}

// Finds the adapter to convert, and the model that one of PEFT names; the other forms name none of PEFT's.
static enum loam_status locate_conversion(struct locate_job *job, struct loam_error *error)
{
    struct loam_located *located = job->located;
    struct loam_settings *settings = &located->settings;
    enum loam_adapter_form form;
    LOAM_TRY(locate_setting(job, &settings->path, LOAM_PULL_ADAPTER, &located->path, error));
    if (settings->train.model != NULL) return locate_model(job, LOAM_PULL_OUTLINE, error);
    LOAM_TRY(loam_adapter_form_find(settings->path, &form, error));
    if (form != LOAM_FORM_PEFT)
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "%s is an adapter of %s, which does not name its model for transformers: name it with "
            "--model DIR|NAME",
            settings->path, loam_adapter_form_name(form));
    settings->train.adapter = settings->path;
    return locate_base(job, LOAM_PULL_OUTLINE, error);
}

static enum loam_status locate_all(struct locate_job *job, enum loam_command command,
                                   struct loam_error *error)
{
    struct loam_located *located = job->located;
    struct loam_settings *settings = &located->settings;
    const char *model = command == LOAM_COMMAND_INSPECT ? settings->path : settings->train.model;
    if (model != NULL) LOAM_TRY(loam_model_path_check(model, command, error));
    if (command == LOAM_COMMAND_INSPECT)
        return locate_setting(job, &settings->path, LOAM_PULL_EITHER, &located->path, error);
    if (command == LOAM_COMMAND_CONVERT) return locate_conversion(job, error);
    const char *adapter = settings->train.adapter;
    if (adapter != NULL) LOAM_TRY(loam_adapter_path_check("--adapter ", adapter, error));
    LOAM_TRY(locate_setting(job, &settings->train.adapter, LOAM_PULL_ADAPTER, &located->adapter, error));
    LOAM_TRY(locate_choices(job, error));
    if (settings->train.model != NULL) return locate_model(job, choose_kind(command), error);
    return may_use_base_of_adapter(command) ? locate_base(job, choose_kind(command), error) : LOAM_OK;
}

enum loam_status loam_locate(struct loam_located *located, enum loam_command command,
                             const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                             struct loam_error *error)
{
    *located = (struct loam_located){.settings = *settings};
    struct locate_job job = {.located = located,
                             .callbacks = callbacks,
                             .option = command == LOAM_COMMAND_COMBINE ? "" : "--adapter "};
    enum loam_status status = locate_all(&job, command, error);
    if (status != LOAM_OK) loam_located_deinit(located);
    return status;
}

void loam_located_deinit(struct loam_located *located)
{
    free(located->model);
    free(located->model_name);
    free(located->model_revision);
    free(located->adapter);
    for (size_t i = 0; i < located->chosen_count; i++)
        free((char *)located->chosen[i].directory);
    free(located->chosen);
    free(located->path);
    *located = (struct loam_located){0};
}
